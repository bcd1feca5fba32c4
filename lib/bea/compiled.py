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
    """A function of floats, (h, hyper-parameters, variables) to the variables after one step.

    The variables are theta, then the averages, one after another, then for each average the weight
    that it has not gathered yet: decay^n under bias correction, which divides by one minus it, and
    zero without.
    """
    return _straight_line_step(optimizer.constructor, tuple(optimizer.conventions.items()), loss)


@lru_cache(maxsize=64)
def _straight_line_step(constructor, conventions, loss):
    step = _symbolic_step(constructor, conventions, loss)
    return sp.lambdify([*step.given, *step.variables], step.results, modules="math", cse=True)


class _Step(NamedTuple):
    """One step on symbols."""

    given: tuple  # h and the hyper-parameters
    variables: tuple
    results: tuple  # the variables after the step


def _symbolic_step(constructor, conventions, loss):
    loss.check_numeric()
    conventions = dict(conventions)
    names = [name for name in signature(constructor).parameters if name not in conventions]
    h, *hyperparameters = sp.symbols(["h", *names])
    optimizer = constructor(**dict(zip(names, hyperparameters)), **conventions)
    theta = sp.symbols(f"theta_:{loss.dimension}")
    memory = [sp.symbols(f"m_{a}_:{loss.dimension}") for a in range(len(optimizer.averages))]
    missing = sp.symbols(f"w_:{len(optimizer.averages)}")
    gradient = [g.xreplace(dict(zip(loss.symbols, theta))) for g in loss.gradient_expressions]
    advanced = [
        [average.advance(m, average.of(g)) for m, g in zip(row, gradient)]
        for average, row in zip(optimizer.averages, memory)
    ]
    still_missing = [average.decay * w for average, w in zip(optimizer.averages, missing)]
    moved = [
        x - h * optimizer.step(x, *(m / (1 - w) for m, w in zip(now, still_missing)))
        for x, now in zip(theta, zip(*advanced))
    ]
    return _Step(
        (h, *hyperparameters),
        (*theta, *chain.from_iterable(memory), *missing),
        (*moved, *chain.from_iterable(advanced), *still_missing),
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

    def run(theta, h, steps, state, correct, every):
        d, *settings = theta.shape
        count = int(np.prod(settings))

        def rows(values):
            return np.array([np.broadcast_to(value, count) for value in values], dtype=float)

        path = np.empty((steps // every + 1, d, count))
        path[0] = theta.reshape(d, count)
        missing = np.full((len(state), count), 1.0 if correct else 0.0)
        memory = np.concatenate([*(m.reshape(d, count) for m in state), missing])
        kernel(path, memory, rows([h, *optimizer.hyperparameters.values()]), every)
        return np.moveaxis(path.reshape(len(path), d, *settings), 1, -1)

    return run


@lru_cache(maxsize=64)
def _numba_kernel(constructor, conventions, loss):
    import numba  # optional, hence here

    step = _symbolic_step(constructor, conventions, loss)
    shared, results = sp.cse(step.results)
    d = loss.dimension
    now = [f"path[before, {i}, s]" for i in range(d)]
    then = [f"path[n + 1, {i}, s]" for i in range(d)]
    memory = [f"memory[{i}, s]" for i in range(len(results) - d)]
    body = [f"{symbol} = given[{i}, s]" for i, symbol in enumerate(step.given)]
    body += [f"{symbol} = {place}" for symbol, place in zip(step.variables, now + memory)]
    body += [f"{symbol} = {sp.pycode(expression)}" for symbol, expression in shared]
    body += [f"{place} = {sp.pycode(value)}" for place, value in zip(then + memory, results)]
    lines = [
        "def kernel(path, memory, given, every):",
        "    for n in range(path.shape[0] - 1):",
        "        for k in range(every):",
        "            before = n if k == 0 else n + 1",  # what is not kept is overwritten
        "            for s in range(path.shape[2]):",
    ]
    scope = {"math": math}
    exec("\n".join(lines + [" " * 16 + line for line in body]), scope)
    return numba.njit(scope["kernel"], error_model="numpy")
