"""The optimizer's own formula, written out as straight-line code: what makes runs on symbolic
losses fast.

Nothing is defined twice: an optimizer's averages and update are run once on SymPy symbols, and the
expressions that come out are printed as code, for one setting as a Python function, and for many
settings, if Numba is installed, as a compiled loop.
"""

import math
from functools import lru_cache
from inspect import signature
from itertools import chain
from typing import NamedTuple

import numpy as np
import sympy as sp

__all__ = ["numba_run", "straight_line_step"]


def straight_line_step(optimizer, loss):
    """A function (h, hyper-parameters, corrections, theta, averages) to (theta, averages) after one
    step, all of them floats."""
    return _straight_line_step(optimizer.constructor, tuple(optimizer.conventions.items()), loss)


@lru_cache(maxsize=64)
def _straight_line_step(constructor, conventions, loss):
    step = _symbolic_step(constructor, conventions, loss)
    return sp.lambdify(
        [*step.given, *step.corrections, *step.theta, *step.memory],
        step.results,
        modules="math",
        cse=True,
    )


class _Step(NamedTuple):
    """One step on symbols: what goes in, group by group, and what comes out, the new theta and then
    the new averages."""

    given: tuple  # h and the hyper-parameters
    corrections: tuple  # one for each average
    theta: tuple
    memory: tuple  # average by average, coordinate by coordinate
    results: tuple


def _symbolic_step(constructor, conventions, loss):
    loss.check_numeric()
    conventions = dict(conventions)
    names = [name for name in signature(constructor).parameters if name not in conventions]
    h, *hyperparameters = sp.symbols(["h", *names])
    optimizer = constructor(**dict(zip(names, hyperparameters)), **conventions)
    corrections = sp.symbols(f"c:{len(optimizer.averages)}")
    memory = [sp.symbols(f"m_{a}_:{loss.dimension}") for a in range(len(optimizer.averages))]
    theta = sp.symbols(f"theta_:{loss.dimension}")
    gradient = [g.xreplace(dict(zip(loss.symbols, theta))) for g in loss.gradient_expressions]
    advanced = [
        [average.advance(m, average.of(g)) for m, g in zip(row, gradient)]
        for average, row in zip(optimizer.averages, memory)
    ]
    moved = [
        x - h * optimizer.update(*(m * c for m, c in zip(now, corrections)))
        for x, now in zip(theta, zip(*advanced))
    ]
    flat = tuple(chain.from_iterable(memory))
    return _Step(
        (h, *hyperparameters), corrections, theta, flat, (*moved, *chain.from_iterable(advanced))
    )


def numba_run(optimizer, loss):
    """A function like the runs in :mod:`bea.flow` that loops over steps and settings in machine
    code; None without Numba.

    Numba is optional (``pip install bea-book[fast]``); the results agree with the other paths to
    round-off.
    """
    try:
        kernel = _numba_kernel(optimizer.constructor, tuple(optimizer.conventions.items()), loss)
    except ImportError:
        return None
    decays = [average.decay for average in optimizer.averages]

    def run(theta, h, steps, state, correct):
        d, *settings = theta.shape
        count = int(np.prod(settings))

        def rows(values):
            return np.array(
                [np.broadcast_to(value, count) for value in values], dtype=float
            ).reshape(len(values), count)

        path = np.empty((steps + 1, d, count))
        path[0] = theta.reshape(d, count)
        state = np.concatenate([np.asarray(m, dtype=float).reshape(d, count) for m in state])
        kernel(
            path,
            state,
            rows([h, *optimizer.hyperparameters.values()]),
            rows(decays),
            1.0 if correct else 0.0,
        )
        return np.moveaxis(path.reshape(steps + 1, d, *settings), 1, -1)

    return run


@lru_cache(maxsize=64)
def _numba_kernel(constructor, conventions, loss):
    import numba  # optional, hence here

    step = _symbolic_step(constructor, conventions, loss)
    shared, results = sp.cse(step.results)
    d = len(step.theta)
    body = [f"{symbol} = given[{i}, s]" for i, symbol in enumerate(step.given)]
    for a, symbol in enumerate(step.corrections):
        body += [f"weight[{a}, s] *= decays[{a}, s]", f"{symbol} = 1 / (1 - weight[{a}, s])"]
    body += [f"{symbol} = path[n, {i}, s]" for i, symbol in enumerate(step.theta)]
    body += [f"{symbol} = state[{i}, s]" for i, symbol in enumerate(step.memory)]
    body += [f"{symbol} = {sp.pycode(expression)}" for symbol, expression in shared]
    body += [
        f"path[n + 1, {i}, s] = {sp.pycode(expression)}" for i, expression in enumerate(results[:d])
    ]
    body += [f"state[{i}, s] = {sp.pycode(expression)}" for i, expression in enumerate(results[d:])]
    lines = [
        "def kernel(path, state, given, decays, unknown):",
        "    weight = np.full(decays.shape, unknown)",
        "    for n in range(path.shape[0] - 1):",
        "        for s in range(path.shape[2]):",
    ]
    scope = {"np": np, "math": math}
    exec("\n".join(lines + [" " * 12 + line for line in body]), scope)
    return numba.njit(scope["kernel"], error_model="numpy")
