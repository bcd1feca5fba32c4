r"""Runs as straight-line code: one step of a program on a symbolic loss, traced.

A trace serves every configuration: point, memory, step size, hyper-parameters and step count are its
inputs.  It runs on Python's floats, one configuration after another, on NumPy arrays over the batch,
or, where that is worth the time to compile it, as a Numba loop.  All three make the same operations in
the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from bea.program import Running
from bea.series import Series
from bea.trace import HELPERS, LITERALS, MATH, Trace, Untraceable, trace

__all__ = ["Step", "StraightRun", "traced_step"]

WIDTH = 64  # configurations that the compiled loop has side by side
BLOCK = 1024  # configurations that are in one NumPy array
# Seconds, rounded, on a machine of 2024; they decide which way is taken, never what comes out.
PER_FLOAT, PER_ARRAY, PER_ENTRY, PER_COMPILED = 4e-8, 6e-7, 6e-10, 1e-9
COMPILING, COMPILING_LINE = 2.0, 0.01
EPSILON = float(np.finfo(float).eps)
PATIENCE = 2e7  # operations of the compiled loop in one call, which Ctrl-C has to wait for


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a program on a loss, as straight-line code of h, hyper-parameters, theta and memory.

    Parameters
    ----------
    names : tuple of str
        The hyper-parameters that are inputs.
    shapes : list of (shape of m, shape of p)
    initial : Trace
        The states of an empty memory.
    steady : Trace
        The point and the states after a step from a step count, a point and states.
    """

    names: tuple[str, ...]
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]]
    initial: Trace
    steady: Trace
    loops: dict[tuple[Any, ...], Callable[..., None] | None] = field(default_factory=dict)
    spent: list[float] = field(default_factory=list)

    def fixed(self, start: Any) -> np.ndarray:
        """Return h and the hyper-parameters, shape (inputs, configurations)."""
        values = (start.h, *(start.optimizer.hyperparameters[name] for name in self.names))
        columns = start.theta[0].size
        return np.stack([np.broadcast_to(np.asarray(v, dtype=float), columns) for v in values])

    def variables(self, start: Any, fixed: np.ndarray) -> np.ndarray:
        """Return the point and the states before the first step, shape (variables, configurations)."""
        theta = start.theta.reshape(len(start.theta), -1)
        if start.memory is None:
            return np.concatenate([theta, on_columns(self.initial, [*fixed, *theta])])
        return np.concatenate([theta, flat(start.memory, theta.shape[1])])

    def states(self, variables: np.ndarray, batch: tuple[int, ...]) -> list[tuple[Any, Any]]:
        """Return the states (m, p) from the rows behind the point, shape (variables, configurations)."""
        parts, first = [], 0
        for shape in (shape for pair in self.shapes for shape in pair):
            count = math.prod(shape)
            parts.append(variables[first : first + count].reshape(*shape, *batch))
            first += count
        return list(zip(parts[::2], parts[1::2]))

    @cached_property
    def everything(self) -> Trace:
        """The step with all its intermediate values as outputs."""
        count = len(self.steady.inputs) + len(self.steady.operations)
        return replace(self.steady, outputs=tuple(range(count)), shapes=((),) * count)


def flat(states: Sequence[tuple[Any, Any]], columns: int) -> np.ndarray:
    """Return the entries of all states, shape (entries, configurations)."""
    parts = [np.asarray(part, dtype=float) for pair in states for part in pair]
    rows = [
        part.reshape(-1, columns) if part.size % columns == 0 and part.ndim else part.reshape(1, 1)
        for part in parts
    ]
    return np.concatenate(
        [np.broadcast_to(r, (len(r), columns)) for r in rows] or [np.empty((0, columns))]
    )


def on_columns(code: Trace, rows: Sequence[Any]) -> np.ndarray:
    """Return the outputs of a trace, shape (outputs, configurations), by NumPy."""
    out = np.empty((len(code.outputs), len(rows[0])))
    with np.errstate(all="ignore"):
        for row, value in zip(out, code.on_arrays(*rows)):
            row[...] = value
    return out


# --- tracing -------------------------------------------------------------------------------------

_steps: WeakKeyDictionary[Any, WeakKeyDictionary[Any, dict[Any, Step]]] = WeakKeyDictionary()


def traced_step(start: Any, loss: Any, states: list[tuple[Any, Any]], fresh: bool = False) -> Step:
    """Return the traced step of one configuration, from the cache unless it must be fresh.

    Hyper-parameters that are zero, or no floats, are constants of the trace.
    """
    given = start.optimizer.hyperparameters
    names = tuple(name for name, v in given.items() if type(v) is float and v != 0)
    constants = {name: v for name, v in given.items() if name not in names}
    shapes = [(np.shape(m), np.shape(p)) for m, p in states]
    key = (tuple((name, type(v), v) for name, v in constants.items()), tuple(shapes))
    known = _steps.setdefault(loss, WeakKeyDictionary()).setdefault(start.optimizer.program, {})
    if fresh or key not in known:
        known[key] = _trace(start, loss, names, constants, shapes)
    return known[key]


def _trace(
    start: Any, loss: Any, names: tuple[str, ...], constants: dict[str, Any], shapes: Any
) -> Step:
    program, point = start.optimizer.program.__wrapped__, start.theta.shape

    def gradient(theta: Any) -> Any:
        if isinstance(theta, Series):  # its entries: the loss's code needs no more
            return _series(loss.gradient_code(theta.leading))
        return loss.gradient_code(theta)

    def advance(memory: Running, theta: Any, h: Any, given: dict[str, Any]) -> list[Any]:
        update = program(
            _series(theta), gradient, memory, **{name: given[name] for name in names}, **constants
        )
        moved = theta - h * _entries(update, point)
        if len(memory.new) != len(shapes):
            raise Untraceable("the program does not ask its memory as often as before")
        states = [
            _entries(part, shape)
            for pair, pair_shapes in zip(memory.new, shapes)
            for part, shape in zip(pair, pair_shapes)
        ]
        return [moved, *states]

    def initial(h: Any, theta: Any, **given: Any) -> list[Any]:
        memory = _Starting(_series(h), None, 0)
        advance(memory, theta, h, given)
        return [
            _entries(part, shape)
            for pair, pair_shapes in zip(memory.starts, shapes)
            for part, shape in zip(pair, pair_shapes)
        ]

    def steady(step: Any, h: Any, theta: Any, **given: Any) -> list[Any]:
        states = [(_series(given[f"m {k}"]), given[f"p {k}"]) for k in range(len(shapes))]
        return advance(Running(_series(h), states, _series(step)), theta, h, given)

    scalars = {"h": (), **dict.fromkeys(names, ())}
    memory = {f"{kind} {k}": s for k, pair in enumerate(shapes) for kind, s in zip("mp", pair)}
    return Step(
        names,
        shapes,
        trace(initial, scalars | {"theta": point}, {"h", *names}),
        trace(steady, {"step": ()} | scalars | {"theta": point} | memory, {"h", *names}),
    )


class _Starting(Running):
    """A memory that notes what its first step starts from."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.starts: list[tuple[Any, Any]] = []

    def _last(self, start: Any) -> tuple[Any, Any]:
        self.starts.append((start, 1.0))
        return self.starts[-1]


def _series(value: Any) -> Series:
    array = np.asarray(value, dtype=object)
    return Series(array.reshape(1, 1, *array.shape))


def _entries(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(value.leading if isinstance(value, Series) else value, dtype=object)
    return np.broadcast_to(array, shape)


def agrees(steps: list[Step], start: Any, path: Sequence[tuple[np.ndarray, Any]]) -> bool:
    """Return whether traced steps are those of a path of plain ones, each from where that one starts."""
    fixed = steps[0].fixed(start)
    x, d = steps[0].variables(start, fixed), len(start.theta)
    for n, (theta, states) in enumerate(path):
        step = steps[n % len(steps)]
        wanted = np.concatenate([theta[:, None], flat(states, 1)])
        rows = [np.full(1, float(n)), *fixed, *x]
        found = on_columns(step.steady, rows)
        if found.shape != wanted.shape or not np.array_equal(
            np.isfinite(found), np.isfinite(wanted)
        ):
            return False
        # a few units in the last place of what was added to theta, and of the memory
        with np.errstate(all="ignore"):
            error = abs(found - wanted)
            sizes = np.concatenate([[abs(wanted - x)[:d].max()] * d, _sizes(step, wanted[d:])])[
                :, None
            ]
            allowed = 256 * EPSILON * sizes
            allowed[:d] += 4 * EPSILON * abs(wanted[:d])
            if np.any(error > allowed):  # or of what cancelled in between
                within = abs(on_columns(step.everything, rows))
                allowed += 16 * EPSILON * within[np.isfinite(within)].max()
        if np.any(error > allowed):
            return False
        x = wanted
    return True


def _sizes(step: Step, states: np.ndarray) -> np.ndarray:
    """Return the largest entry of each state, for each of its entries."""
    parts = [part for pair in step.states(states, (1,)) for part in pair]
    return np.concatenate([np.full(p.size, abs(p).max()) for p in parts] or [np.empty(0)])


# --- running -------------------------------------------------------------------------------------


class StraightRun:
    """A run by traced steps, one for each loss; ``steps`` of them, or an unknown number.

    The same configuration has the same bits alone and in every batch, as long as the loss and the
    program need only sums, products, quotients, square roots and comparisons.
    """

    def __init__(self, start: Any, steps: list[Step], total: int | None) -> None:
        self.steps, self.batch, self.count = steps, start.theta.shape[1:], 0
        self.fixed = steps[0].fixed(start)
        self.x = steps[0].variables(start, self.fixed)
        self.d, self.columns = len(start.theta), self.fixed.shape[1]
        self.way = self._cheapest(total)

    def memory(self) -> list[tuple[Any, Any]]:
        """Return the states of the memory."""
        return self.steps[0].states(self.x[self.d :], self.batch)

    def fill(self, rows: np.ndarray, every: int, batches: Sequence[int] | None) -> None:
        """Make ``every`` steps for each row and write the point after the last of them to it."""
        piece = rows.reshape(len(rows), self.d, self.columns)
        self.way(piece, every, batches)
        self.count += len(rows) * every

    def _cheapest(self, total: int | None) -> Callable[..., None]:
        """Return the way of least estimated cost."""
        size = max(len(s.steady.operations) + len(s.steady.outputs) for s in self.steps)
        count, blocks = total or 1, -(-self.columns // BLOCK)
        floats = count * self.columns * (size * PER_FLOAT + 1e-6)
        arrays = count * size * (blocks * PER_ARRAY + self.columns * PER_ENTRY)
        way, cost = min(((self._floats, floats), (self._arrays, arrays)), key=lambda pair: pair[1])
        if total is None or find_spec("numba") is None:
            return way
        wait, spent = COMPILING + COMPILING_LINE * size, self.steps[0].spent
        # what ran before may decide only if that changes no bits
        if way == self._floats or all(s.steady.exact for s in self.steps):
            wait = 0.0 if tuple(self.steps) in self.steps[0].loops else wait - sum(spent)
            spent[:] = [sum(spent) + cost]
        return self._compiled if count * self.columns * size * PER_COMPILED + wait < cost else way

    def _floats(self, piece: np.ndarray, every: int, batches: Sequence[int] | None) -> None:
        codes = [step.steady.on_floats for step in self.steps]
        for c in range(self.columns):
            fixed, x, n, rows = self.fixed[:, c].tolist(), self.x[:, c].tolist(), self.count, []
            try:
                for _ in range(len(piece)):
                    for _ in range(every):
                        code = codes[batches[n - self.count]] if batches else codes[0]
                        x = code(float(n), *fixed, *x)
                        n += 1
                    rows.append(x[: self.d])
            except (ArithmeticError, ValueError):  # arrays give what is not finite instead
                self._arrays(piece[:, :, c : c + 1], every, batches, slice(c, c + 1))
            else:
                piece[:, :, c], self.x[:, c] = rows, x

    def _arrays(
        self,
        piece: np.ndarray,
        every: int,
        batches: Sequence[int] | None,
        part: slice = slice(None),
    ) -> None:
        codes = [step.steady.on_arrays for step in self.steps]
        x, fixed = self.x[:, part], self.fixed[:, part]
        for first in range(0, x.shape[1], BLOCK):
            block = slice(first, first + BLOCK)
            now, given = x[:, block].copy(), list(fixed[:, block])
            with np.errstate(all="ignore"):
                for n in range(len(piece) * every):
                    code = codes[batches[n]] if batches else codes[0]
                    for row, value in zip(
                        now, code(np.float64(self.count + n), *given, *now.copy())
                    ):
                        row[...] = value
                    if n % every == every - 1:
                        piece[n // every, :, block] = now[: self.d]
            x[:, block] = now

    def _compiled(self, piece: np.ndarray, every: int, batches: Sequence[int] | None) -> None:
        loop = _loop(self.steps, len(self.fixed), self.d)
        if loop is None:  # Numba lacks one of the functions
            self.way = self._floats if self.columns == 1 else self._arrays
            return self.way(piece, every, batches)
        order = np.array(batches if batches else [0], dtype=np.int64)
        total, lines = len(piece) * every, len(self.steps[0].steady.operations) + 1
        most = max(1, int(PATIENCE / (lines * min(self.columns, WIDTH))))
        for first in range(0, self.columns, WIDTH):
            block = slice(first, min(first + WIDTH, self.columns))
            width = block.stop - first
            work = np.ones((len(self.fixed) + len(self.x), WIDTH))
            work[: len(self.fixed), :width] = self.fixed[:, block]
            work[len(self.fixed) :, :width] = self.x[:, block]
            for n in range(0, total, most):
                end = min(n + most, total)
                loop(piece, work.ravel(), order, self.count, n, end, every, first, width)
            self.x[:, block] = work[len(self.fixed) :, :width]


def _loop(steps: list[Step], fixed: int, d: int) -> Callable[..., None] | None:
    """Return the compiled loop over steps, and inside it over configurations side by side."""
    loops, key = steps[0].loops, tuple(steps)
    if key not in loops:
        try:
            loops[key] = _compiled_loop(steps, fixed, d)
        except Exception:  # of Numba's own kinds
            loops[key] = None
    return loops[key]


def _compiled_loop(steps: list[Step], fixed: int, d: int) -> Callable[..., None]:
    import numba

    inputs = len(steps[0].steady.inputs) - 1  # but for the step count
    lines = [
        "def loop(piece, work, order, count, begin, end, every, start, width):",
        " for n in range(begin, end):",
        "  x0 = float(count + n)",
        "  loss = order[n] if order.size > 1 else order[0]",
    ]
    for k, step in enumerate(steps):
        lines += [f"  if loss == {k}:", "   for c in range(width):"]
        lines += [f"    x{i + 1} = work[{i * WIDTH} + c]" for i in range(inputs)]
        lines += [f"    {line}" for line in step.steady.lines()]
        for i, value in enumerate(step.steady.outputs):
            lines.append(f"    work[{(fixed + i) * WIDTH} + c] = {step.steady.text(value)}")
    lines += [
        "  if n % every == every - 1:",
        f"   for i in range({d}):",
        "    for c in range(width):",
    ]
    lines.append(f"     piece[n // every, i, start + c] = work[({fixed} + i) * {WIDTH} + c]")
    scope = {**LITERALS, **MATH, **{name: numba.njit(f) for name, f in HELPERS.items()}}
    exec("\n".join(lines), scope)
    kind = "void(f8[:, :, :], f8[::1], i8[::1], i8, i8, i8, i8, i8, i8)"
    return numba.njit(kind, error_model="numpy", nogil=True)(scope["loop"])
