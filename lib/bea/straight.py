r"""Runs as straight-line code: one step of a program on a symbolic loss, traced.

A trace serves every configuration: point, memory, step size, hyper-parameters and step count are its
inputs.  It runs on Python's floats, one configuration after another, on NumPy arrays over the batch,
or, where that is worth the time to compile it, as a Numba loop.  All three make the same operations in
the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.util import find_spec
from inspect import getattr_static
from numbers import Real
from types import CodeType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import sympy as sp

from bea.program import Running
from bea.series import Series
from bea.trace import HELPERS, LITERALS, MATH, Trace, Untraceable, trace

__all__ = ["Step", "StraightRun", "traced_step"]

WIDTH = 64  # configurations that the compiled loop has side by side
BLOCK = 1024  # configurations that are in one NumPy array
# Seconds, rounded, on a machine of 2024; they decide which way is taken, never what comes out.
PER_FLOAT, PER_ARRAY, PER_ENTRY, PER_COMPILED = 4e-8, 7e-7, 1.5e-9, 5e-10
COMPILING, COMPILING_LINE = 1.2, 0.009
EPSILON = float(np.finfo(float).eps)
LIBRARIES = {"bea", "builtins", "math", "numpy", "scipy", "sympy", "jax", "torch"}
MOST = 64  # traces that are kept of one program on one loss
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
        inputs = np.empty((len(values), start.theta[0].size))
        for row, value in zip(inputs, values):
            row[...] = value
        return inputs

    def variables(self, start: Any, fixed: np.ndarray) -> np.ndarray:
        """Return the point and the states before the first step, shape (variables, configurations)."""
        theta = start.theta.reshape(len(start.theta), -1)
        if start.memory is None:
            return np.concatenate([theta, on_columns(self.initial, [*fixed, *theta])])
        return np.concatenate([theta, flat(start.memory, theta.shape[1])])

    def states(self, variables: np.ndarray, batch: tuple[int, ...]) -> list[tuple[Any, Any]]:
        """Return the states (m, p) from the rows behind the point, shape (variables, configurations)."""
        parts = np.split(variables, np.cumsum(self.counts))
        shapes = [shape for pair in self.shapes for shape in pair]
        parts = [part.reshape((*shape, *batch)) for part, shape in zip(parts, shapes)]
        return list(zip(parts[::2], parts[1::2]))

    @cached_property
    def counts(self) -> list[int]:
        """The numbers of entries of the states m, p, m, p, ..."""
        return [math.prod(shape) for pair in self.shapes for shape in pair]

    @cached_property
    def constants(self) -> list[int]:
        """Which of the outputs are constants."""
        return [i for i, value in enumerate(self.steady.outputs) if isinstance(value, float)]

    @cached_property
    def everything(self) -> Trace:
        """The step with all its intermediate values as outputs."""
        count = len(self.steady.inputs) + len(self.steady.operations)
        return replace(self.steady, outputs=tuple(range(count)), shapes=((),) * count)


def flat(states: Sequence[tuple[Any, Any]], columns: int) -> np.ndarray:
    """Return the entries of all states, shape (entries, configurations)."""
    parts = [np.asarray(part, dtype=float) for pair in states for part in pair]
    counts = [max(1, part.size // columns) if part.ndim else 1 for part in parts]
    entries, first = np.empty((sum(counts), columns)), 0
    for part, count in zip(parts, counts):
        entries[first : first + count] = part.reshape(count, -1)
        first += count
    return entries


def on_columns(code: Trace, rows: Any) -> np.ndarray:
    """Return the outputs of a trace, shape (outputs, configurations), by NumPy."""
    out = np.empty((len(code.outputs), len(rows[0])))
    with np.errstate(all="ignore"):
        for row, value in zip(out, code.on_arrays(*rows)):
            row[...] = value
    return out


# --- tracing -------------------------------------------------------------------------------------

_steps: WeakKeyDictionary[Any, WeakKeyDictionary[Any, dict[Any, Step]]] = WeakKeyDictionary()


def traced_step(start: Any, loss: Any, states: list[tuple[Any, Any]]) -> Step:
    """Return the traced step of one configuration, from the cache if nothing that it reads has changed.

    Hyper-parameters that are zero, or no floats, are constants of the trace.
    """
    given, program = start.optimizer.hyperparameters, start.optimizer.program
    names = tuple(name for name, v in given.items() if type(v) is float and v != 0)
    constants = {name: v for name, v in given.items() if name not in names}
    shapes = [(np.shape(m), np.shape(p)) for m, p in states]
    known = _steps.setdefault(loss, WeakKeyDictionary()).setdefault(program, {})
    try:
        key = (_content(constants), tuple(shapes), _content(program.__wrapped__))
        hash(key)
    except (TypeError, ValueError):  # who knows what it reads
        return _trace(start, loss, names, constants, shapes)
    if key not in known:
        if len(known) == MOST:
            known.clear()
        known[key] = _trace(start, loss, names, constants, shapes)
    return known[key]


def _content(value: Any, names: Any = (), within: tuple[int, ...] = ()) -> Any:
    """Return what code can read from a value, as something to compare; raise TypeError if unknown.

    Of a function, that is its code and what this reads from globals, closures and defaults, now; of
    a module or a class, what has one of the ``names``.
    """
    if id(value) in within:
        return "itself"
    within = (*within, id(value))
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if value is None or isinstance(value, (Real, str, sp.Basic)):
        return type(value), value
    if isinstance(value, (list, tuple)):
        return tuple(_content(v, names, within) for v in value)
    if isinstance(value, dict):
        return tuple((k, _content(v, names, within)) for k, v in value.items())
    if isinstance(value, (ModuleType, type)):
        found = ((n, getattr_static(value, n, None)) for n in names)
        kinds = (Real, str, np.ndarray, FunctionType)
        return value, tuple((n, _content(v, names, within)) for n, v in found if isinstance(v, kinds))
    if str(getattr(value, "__module__", None)).split(".")[0] in LIBRARIES:
        return id(value)
    if isinstance(value, FunctionType):
        names = frozenset(_names(value.__code__))
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        read = {n: value.__globals__[n] for n in names if n in value.__globals__}
        parts = (value.__defaults__, value.__kwdefaults__, cells, read)
        return value.__code__, _content(parts, names, within)
    return id(type(value)), _content(vars(value), names, within)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _trace(start: Any, loss: Any, names: tuple[str, ...], constants: dict[str, Any], shapes: Any) -> Step:
    program, point = start.optimizer.program.__wrapped__, start.theta.shape

    def gradient(theta: Any) -> Any:
        if isinstance(theta, Series):  # its entries: the loss's code needs no more
            return _series(loss.gradient_code(theta.leading))
        return loss.gradient_code(theta)

    def entries(states: list[tuple[Any, Any]]) -> list[np.ndarray]:
        if len(states) != len(shapes):
            raise Untraceable("the program does not ask its memory as often as before")
        return [_entries(x, shape) for pair in zip(states, shapes) for x, shape in zip(*pair)]

    def initial(h: Any, theta: Any, **given: Any) -> list[Any]:
        memory = _Starting(_series(h))
        program(_series(theta), gradient, memory, **{n: given[f"given {n}"] for n in names}, **constants)
        return entries(memory.starts)

    def steady(step: Any, h: Any, theta: Any, **given: Any) -> list[Any]:
        states = [(_series(given[f"m {k}"]), given[f"p {k}"]) for k in range(len(shapes))]
        memory = Running(_series(h), states, _series(step))
        hyper = {n: given[f"given {n}"] for n in names}
        update = program(_series(theta), gradient, memory, **hyper, **constants)
        return [theta - h * _entries(update, point), *entries(memory.new)]

    inputs = {"h": (), **{f"given {n}": () for n in names}}
    memory = {f"{kind} {k}": s for k, pair in enumerate(shapes) for kind, s in zip("mp", pair)}
    return Step(
        names,
        shapes,
        trace(initial, inputs | {"theta": point}, set(inputs)),
        trace(steady, {"step": ()} | inputs | {"theta": point} | memory, set(inputs)),
    )


class _Starting(Running):
    """A memory that notes what its first step starts from."""

    def __init__(self, h: Any) -> None:
        super().__init__(h)
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
    inputs = steps[0].fixed(start)
    given, x = inputs[:, 0].tolist(), steps[0].variables(start, inputs)[:, 0].tolist()
    for n, (theta, states) in enumerate(path):
        step, now = steps[n % len(steps)], (float(n), *given, *x)
        wanted = theta.tolist() + flat(states, 1)[:, 0].tolist()
        try:
            found: Sequence[float] = step.steady.on_floats(*now)
        except (ArithmeticError, ValueError):
            found = on_columns(step.steady, np.array([now]).T)[:, 0].tolist()
        finite = list(map(math.isfinite, wanted))
        if list(map(math.isfinite, found)) != finite:
            return False
        if not all(finite):
            break
        if not _close(step, x, wanted, found):  # perhaps large numbers cancelled
            between = abs(on_columns(step.everything, np.array([now]).T))
            if not _close(step, x, wanted, found, between[np.isfinite(between)].max()):
                return False
        x = wanted
    return True


def _close(step: Step, x: Any, wanted: Any, found: Any, cancelled: float = 0.0) -> bool:
    """Return whether what is added to theta, and each state, agree up to a few units in the last place."""
    d = len(wanted) - sum(step.counts)
    moved = max(abs(w - v) for w, v in zip(wanted[:d], x))
    errors = [abs(f - w) - 4 * EPSILON * abs(w) for f, w in zip(found[:d], wanted)]
    allowed = EPSILON * (256 * moved + 16 * cancelled)
    first, good = d, max(errors) <= allowed
    for count in step.counts:
        state, first = slice(first, first + count), first + count
        size = max(map(abs, wanted[state]), default=0.0)
        error = max((abs(f - w) for f, w in zip(found[state], wanted[state])), default=0.0)
        good = good and error <= EPSILON * (256 * size + 16 * cancelled)
    return good


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
        if total is None or not _numba():
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
        codes = [(step.steady.on_arrays, step.constants) for step in self.steps]
        x, fixed = self.x[:, part], self.fixed[:, part]
        for first in range(0, x.shape[1], BLOCK):
            block = slice(first, first + BLOCK)
            now, given = list(x[:, block]), list(fixed[:, block])
            with np.errstate(all="ignore"):
                for n in range(len(piece) * every):
                    code, constants = codes[batches[n] if batches else 0]
                    now = list(code(np.float64(self.count + n), *given, *now))
                    for i in constants:
                        now[i] = np.full(len(given[0]), now[i])
                    if n % every == every - 1:
                        for i in range(self.d):
                            piece[n // every, i, block] = now[i]
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


@cache
def _numba() -> bool:
    return find_spec("numba") is not None


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
