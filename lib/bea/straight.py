r"""Runs as straight-line code: one step of a program on a loss, traced.

A trace serves every configuration: point, memory, step size, hyper-parameters and step count are its
inputs.  It runs on Python's floats, one configuration after another, on NumPy arrays over the batch,
or, where that is worth the time to compile it, as a Numba loop; a long one is rolled up into loops over
its coordinates first.  All make the same operations in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from bea.program import Optimizer, Running, check_decay, read_by, remembered
from bea.rolled import Rolled, rolled
from bea.series import Series
from bea.trace import (
    BLOCK,
    COMPILED_FORMS,
    COMPILING,
    COMPILING_LINE,
    Node,
    Trace,
    Untraceable,
    _Tape,
    by_numba,
    numba_is_there,
    trace,
)

__all__ = ["Step", "StraightRun", "alike", "state_shapes", "traced_step"]

WIDTH = 256  # configurations that the compiled loop has side by side
AFFORDABLE = 1.0  # seconds of a run for which arrays, whose functions may have other last bits, are not taken
PATIENCE = 2e7  # operations of the compiled loop in one call, which Ctrl-C has to wait for
LONG, GAIN = 200, 4  # operations from which on steps are rolled up, if so many become one
LONGEST = 50_000  # operations that a step may have
LARGEST = 2_000  # coordinates that a loss in code may have
LATE, NOTHING = 4096, 1e-290  # steps from which on weights so small are 0: smaller ones are slow, and 1 - p is 1
PLAIN = 5e-5  # seconds of a plain step, about
ROOM = 2**21  # numbers in an array of all values
MOST = 64  # loops that are kept
ONE_LOSS = np.zeros(1, dtype=np.int64)  # the order of batches if there is one


@dataclass(eq=False)
class Step:
    """One step of a program on a loss, as straight-line code.

    Parameters
    ----------
    names : tuple of str
        The hyper-parameters that are inputs.
    shapes : tuple of shapes
        Those of the states of the memory: m, p, m, p, ...
    decays : tuple of str
        The hyper-parameters that are decays of averages.
    code : Trace
        The point and the states after a step, from the step count, h, the hyper-parameters, and the
        point and the states before.
    spent : float
        Seconds that its runs have taken, about.
    runs : int
        How many runs it has made, or was about to make.
    differed : bool
        Whether it ever differed from the program, or could not be compared with it.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    decays: tuple[str, ...]
    code: Trace
    spent: float = 0.0
    runs: int = 0
    differed: bool = False

    def is_due(self) -> bool:
        """Return whether the next run is to be compared with the program: runs 1, 2, 4, 8, ..., or all if it differed."""
        return self.differed or (self.runs + 1) & self.runs == 0

    def is_worth_it(self) -> bool:
        """Return whether a loss that is code should be traced, which may be slower until it is compiled."""
        seconds = [self.code.seconds(1)[0], *(roll.seconds(1, 1) for roll in _rolled((self,)))]
        return min(seconds) < PLAIN * (4 if numba_is_there() and self.code.compiled_exactly else 1)

    def inputs(self, start: Any) -> np.ndarray:
        """Return what the first step starts from, but for the step count: shape (inputs, configurations)."""
        given = start.optimizer.hyperparameters
        for name in self.decays:
            check_decay(given[name], start.theta)
        columns, head = start.theta[0].size, [start.h, *(given[name] for name in self.names)]
        states = self.rows(start.memory, columns) if start.memory else self._empty
        if start.theta.ndim == 1:
            return np.concatenate([head, start.theta, states[:, 0]])[:, None]
        rows = np.empty((len(self.code.inputs) - 1, columns))
        for row, value in zip(rows, head):
            row[:] = value
        rows[len(head) : len(head) + len(start.theta)] = start.theta
        rows[len(head) + len(start.theta) :] = states
        return rows

    @cached_property
    def weights(self) -> np.ndarray:
        """Which entries of the states are weights p."""
        return np.repeat(np.arange(len(self.shapes)) % 2 == 1, [math.prod(shape) for shape in self.shapes])

    @cached_property
    def _empty(self) -> np.ndarray:
        """The states of an empty memory, whose weight is 1: shape (entries, 1)."""
        return self.rows([(0.0, 1.0)] * (len(self.shapes) // 2), 1)

    def rows(self, states: Sequence[tuple[Any, Any]], columns: int) -> np.ndarray:
        """Return the entries of all states, shape (entries, configurations)."""
        rows, first = np.empty((sum(map(math.prod, self.shapes)), columns)), 0
        for part, shape in zip((part for pair in states for part in pair), self.shapes):
            count = math.prod(shape)
            rows[first : first + count] = np.reshape(part, (count, -1)) if np.ndim(part) else part
            first += count
        return rows

    def states(self, rows: np.ndarray, batch: tuple[int, ...]) -> list[tuple[Any, Any]]:
        """Return the states (m, p) from their entries, shape (entries, configurations)."""
        parts = np.split(rows, np.cumsum([math.prod(shape) for shape in self.shapes]))
        parts = [part.reshape((*shape, *batch)) for part, shape in zip(parts, self.shapes)]
        return list(zip(parts[::2], parts[1::2]))

    def outcome(self, values: Sequence[float]) -> tuple[list[float], float]:
        """Return the outputs from the inputs, and the largest finite number among all values."""
        inputs, rolls = len(self.code.inputs), _rolled((self,))
        with np.errstate(all="ignore"):
            if rolls:
                found = rolls[0].filled(np.array(values)[:, None])
                rolls[0].whole(found)
                outputs = found[inputs : inputs + len(self.code.outputs), 0].tolist()
                return outputs, float(np.abs(found[np.isfinite(found)]).max())
            found = self._everything.on_arrays(*map(np.float64, values))
        return [found[x] for x in self.code.outputs], max(abs(x) for x in found if math.isfinite(x))

    @cached_property
    def _everything(self) -> Trace:
        """The step with all its values as outputs: inputs, intermediate ones, results."""
        return replace(self.code, outputs=tuple(range(len(self.code.inputs) + len(self.code.operations))))


# --- tracing -------------------------------------------------------------------------------------

_steps: WeakKeyDictionary[Any, dict[Any, Step | bool]] = WeakKeyDictionary()


def traced_step(start: Any, loss: Any) -> Step:
    """Return the traced step of a program on a loss; it is kept, or that there is none, if they cannot change.

    Hyper-parameters that are zero in all configurations, or no floats, are constants of the trace.
    """
    code, read, last = loss.as_read, start.read, start.optimizer.__dict__.get("last", (None,) * 4)
    if last[0] is loss and last[1] is read and last[2] is code:  # often, as in a loop over starting points
        return last[3]
    given, program = start.optimizer.hyperparameters, start.optimizer.program.__wrapped__
    names, constants = {}, {}
    for name, v in given.items():
        if isinstance(v, float) and v or isinstance(v, np.ndarray) and v.any():
            names[name] = isinstance(v, float) or bool(v.all())
        else:
            constants[name] = 0.0 if isinstance(v, np.ndarray) else v

    def traced() -> Step:
        step = _trace(program, loss, names, constants, start.shapes(), start.theta.shape[:1])
        if read_by(start.optimizer) != read or loss.as_read != code:
            raise Untraceable("the program or the loss changes what it reads")
        if code and not step.is_worth_it():
            raise Untraceable("the loss's own code is faster")
        return step

    if code is None or read is None or code and len(start.theta) > LARGEST:
        raise Untraceable("the loss or the program may hold state, draw random numbers or print, or is too large")
    if not all(isinstance(v, (bool, int, float, str)) for v in constants.values()):
        return traced()

    def traced_if_possible() -> Step | bool:
        try:
            return traced()
        except Exception:  # whatever it was, it comes again
            return False

    key = program, read, code, repr((names, constants))
    step: Any = remembered(_steps.setdefault(loss, {}), key, traced_if_possible)
    if not step:
        raise Untraceable(f"{start.optimizer.name} on this loss was not traced before")
    start.optimizer.__dict__["last"] = loss, read, code, step
    return step


class _Memory(Running):
    """A traced memory, in which the step may be any: it is empty as long as a weight is one."""

    __slots__ = ("decays",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.decays: set[int] = set()  # the inputs that are decays

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Any:
        if isinstance(decay, Series) or isinstance(decay, Node) and decay.index >= decay.tape.inputs:
            raise Untraceable("a decay that is no hyper-parameter is checked at every step")
        if isinstance(decay, Node):
            self.decays.add(decay.index)
        return super().average(x, decay, corrected)

    def previous(self, x: Any, start: Any = 0.0) -> Any:
        before, weight = self._last(start, "previous")
        self.new.append((x, 0.0))
        return np.where(_series(weight) > 0, start, before)


def _trace(
    program: Callable[..., Any],
    loss: Any,
    names: dict[str, bool],
    constants: dict[str, Any],
    shapes: tuple[tuple[int, ...], ...],
    point: tuple[int, ...],
) -> Step:
    """Trace a program, which is given Series of one term; names says which inputs are never zero."""

    tapes: list[_Tape] = []
    decays: list[str] = []

    def gradient(theta: Any) -> Any:
        entries = theta.leading if isinstance(theta, Series) else theta  # the code of expressions needs no more
        try:
            found = loss.gradient_code(entries)
        except TypeError:  # np.where and np.maximum compare entries, but not those of a Series
            if tapes[0].full:
                raise
            found = loss.gradient_code(_series(entries)).leading
        if tapes[0].full:  # what it gave is of no use
            raise Untraceable("the loss makes too many operations")
        return _series(found) if isinstance(theta, Series) else found

    def step(step: Any, h: Any, theta: Any, **given: Any) -> list[Any]:
        def rows(value: Any, shape: tuple[int, ...]) -> np.ndarray:
            array = np.asarray(value.leading if isinstance(value, Series) else value, dtype=object)
            array = np.broadcast_to(array, shape).copy()
            for index in np.ndindex(shape):
                if not isinstance(array[index], Node):  # so that all outputs are arrays if the inputs are
                    array[index] = h.tape.record("where", h, float(array[index]), float(array[index]))
            return array

        tapes.append(h.tape)
        states = [given[f"state {k}"] for k in range(len(shapes))]
        memory = _Memory(_series(h), list(zip(map(_series, states[::2]), states[1::2])), _series(step))
        update = program(_series(theta), gradient, memory, **{n: given[f"given {n}"] for n in names}, **constants)
        if 2 * len(memory.new) != len(shapes):
            raise Untraceable("the program does not ask its memory as often as before")
        decays.extend(list(names)[k - 2] for k in memory.decays)  # behind the step and h
        new = [part for pair in memory.new for part in pair]
        return [theta - h * rows(update, point), *map(rows, new, shapes)]

    inputs = {"step": (), "h": (), **{f"given {name}": () for name in names}, "theta": point}
    inputs |= {f"state {k}": shape for k, shape in enumerate(shapes)}
    nonzero = {"h", *(f"given {name}" for name, never in names.items() if never)}
    with np.errstate(all="ignore"):
        code = trace(step, inputs, nonzero, LONGEST)
    return Step(tuple(names), shapes, tuple(decays), code)


def _series(value: Any) -> Series:
    array = np.asarray(value, dtype=object)
    return Series(array.reshape(1, 1, *array.shape))


# --- columns -------------------------------------------------------------------------------------

FEW = 40  # coordinates from which on a program is read on five


def alike(optimizer: Optimizer, d: int) -> bool:
    """Return whether a program treats the columns of a batch apart and alike, whatever the numbers are.

    It is read on one column and on two.  The numbers are traced, so that no branch depends on them; what
    becomes of each of the two must be what becomes of the one.
    """
    one, d, known = optimizer.configuration(0), d if d < FEW else 5, {}
    try:
        shapes = [((d, *batch), *state_shapes(one, np.ones((d, *batch)))) for batch in ((), (2,))]
        [alone], columns = (_columns(one, d, shapes[0], made, known) for made in shapes)
        return columns == [alone, alone]
    except Exception:  # it asks for a value, or for other shapes
        return False


def state_shapes(optimizer: Optimizer, theta: np.ndarray, h: Any = 1.0) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of the states m, p, m, p, ... that the memory holds after a step."""
    memory = Running(h)
    with np.errstate(all="ignore"):  # whatever the values are
        optimizer(theta, np.ones_like, memory)
    return tuple(np.shape(part) for pair in memory.new for part in pair)


def _columns(optimizer: Optimizer, d: int, alone: tuple, shapes: tuple, known: dict[Any, int]) -> list[list[Any]]:
    """Return for each column the update and the new states as numbers of expressions, which `known` collects."""
    tape, labels, calls = _Tape(0), [], count()
    batch = shapes[0][1:]

    def inputs(label: Any, shape: tuple[int, ...], single: tuple[int, ...]) -> np.ndarray:
        array = np.empty(shape, dtype=object)
        for index in np.ndindex(shape):
            array[index] = Node(tape, len(labels))
            labels.append((label, index[: len(single)], index[len(single) :]))
        return array

    theta, *states = (inputs(k, *both) for k, both in enumerate(zip(shapes, alone)))
    step = inputs("step", (), ())
    tape.inputs = len(labels)

    def gradient(point: Any) -> Any:
        call, values = next(calls), np.broadcast_to(getattr(point, "leading", point), shapes[0])
        found = np.empty(shapes[0], dtype=object)
        for i, *column in np.ndindex(shapes[0]):
            found[(i, *column)] = tape.record(f"gradient {call} {i}", *values[(slice(None), *column)])
        return _series(found) if isinstance(point, Series) else found

    memory = _Memory(1.0, [(_series(m), p[()]) for m, p in zip(states[::2], states[1::2])], _series(step))
    update = optimizer(_series(theta), gradient, memory)
    if tape.full:
        raise Untraceable("the program makes too many operations")
    results = [update, *(part for pair in memory.new for part in pair)]
    arrays = [np.broadcast_to(getattr(x, "leading", x), shape) for x, shape in zip(results, shapes, strict=True)]

    def seen_from(column: tuple[int, ...]) -> list[Any]:
        names: list[Any] = [("input", label, place, home in ((), column)) for label, place, home in labels]
        for name, *arguments in tape.operations:
            parts = [known.setdefault(names[a], len(known)) if isinstance(a, int) else repr(a) for a in arguments]
            names.append((name, *(sorted(parts, key=str) if name in ("add", "multiply") else parts)))
        own = (a[(..., *column)] if a.shape != single else a for a, single in zip(arrays, alone))
        return [names[x.index] if isinstance(x, Node) else float(x) for a in own for x in np.ravel(a)]

    return [seen_from(column) for column in np.ndindex(batch)]


# --- running -------------------------------------------------------------------------------------


class StraightRun:
    """A run by traced steps, one for each loss; ``total`` of them, or an unknown number.

    The same configuration has the same bits alone and in every batch, as long as the loss and the
    program need only sums, products, quotients, square roots, logistic functions and comparisons, and
    no vector functions are taken.
    """

    def __init__(self, start: Any, steps: Sequence[Step], total: int | None) -> None:
        self.vectors = start.vectors
        self.steps, self.batch, self.count = tuple(steps), start.theta.shape[1:], start.made
        self.values, self.d = steps[0].inputs(start), len(start.theta)
        self.first, self.columns = 1 + len(steps[0].names), self.values.shape[1]
        self.rolls = _rolled(self.steps)
        self.way, self.width = self.cheapest(total)

    def memory(self) -> list[tuple[Any, Any]]:
        """Return the states of the memory; they do not tell how the steps were made."""
        self.fade()
        return self.steps[0].states(self.values[self.first + self.d :], self.batch)

    def fade(self) -> None:
        """Set the weights that no longer count to 0."""
        states, weights = self.values[self.first + self.d :], self.steps[0].weights
        states[weights] = np.where(states[weights] > NOTHING, states[weights], 0.0)

    def fill(self, rows: np.ndarray, every: int, batches: Sequence[int] | None) -> None:
        """Make ``every`` steps for each row and write the point after the last of them to it."""
        piece = rows.reshape(len(rows), self.d, self.columns)
        for first in range(0, self.columns, self.width):
            block = slice(first, first + self.width)
            self.way(piece, block, every, batches)
        self.count += len(rows) * every
        if self.count >= LATE:
            self.fade()

    def cheapest(self, total: int | None) -> tuple[Callable[..., None], int]:
        """Return the way of least estimated cost, and how many configurations it takes at a time.

        A step is compiled once its runs have taken as long as that takes; but what ran before may
        decide only if it changes no bits.
        """
        codes = [step.code for step in self.steps]
        exact = self.vectors or all(code.exact for code in codes)
        compiling = sum(code.compiling for code in codes)
        if exact and total is not None and self.steps[0].spent == math.inf > compiling:
            return (self.in_loops, 1) if self.rolls else (self.compiled, WIDTH)
        largest = max(codes, key=lambda code: code.size)
        floats, arrays = largest.seconds(self.columns)
        compiled, several = (self.compiled, WIDTH), (self.arrays, BLOCK)
        if self.rolls:
            width = max(1, min(BLOCK, ROOM // self.rolls[-1].end))
            compiled, several = (self.in_loops, 1), (self.whole, width)
            arrays = max(roll.seconds(self.columns, width) for roll in self.rolls)
            compiling = COMPILING + COMPILING_LINE * sum(roll.operations for roll in self.rolls)
        single = floats < arrays
        if total is not None and compiling < math.inf:
            if not exact and all(code.compiled_exactly for code in codes):
                single = single or not self.rolls and min(total * floats, compiling) < AFFORDABLE
                exact = single or bool(self.rolls)
            cost = total * (floats if single else arrays)
            if exact:
                self.steps[0].spent = cost = self.steps[0].spent + cost
            if cost > compiling:
                self.steps[0].spent = math.inf
                return compiled
        return (self.floats, 1) if single else several

    def floats(self, piece: np.ndarray, block: slice, every: int, batches: Sequence[int] | None) -> None:
        """Step one configuration on Python's floats."""
        codes, at = [step.code.on_floats for step in self.steps], block.start
        try:
            found = self.stepped(codes, float, self.values[:, at].tolist(), piece[:, :, at], every, batches)
            self.values[:, at] = found
        except (ArithmeticError, ValueError):  # arrays give what is not finite instead
            self.arrays(piece, block, every, batches, "on_arrays_by_math")

    def arrays(
        self, piece: np.ndarray, block: slice, every: int, batches: Sequence[int] | None, code: str = "on_arrays"
    ) -> None:
        """Step several configurations on NumPy's arrays."""
        codes, values = [getattr(step.code, code) for step in self.steps], self.values[:, block]
        with np.errstate(all="ignore"):
            found = self.stepped(codes, np.float64, list(values.copy()), piece[:, :, block], every, batches)
        for row, x in zip(values, found):  # some may be inputs, or numbers
            row[:] = x

    def stepped(
        self,
        codes: Sequence[Callable[..., Any]],
        number: Callable[[int], Any],
        values: list[Any],
        piece: np.ndarray,
        every: int,
        batches: Sequence[int] | None,
    ) -> list[Any]:
        """Make the steps of a piece on floats or on arrays; return the values at its end."""
        given, x = values[: self.first], values[self.first :]
        for n in range(len(piece) * every):
            x = codes[batches[n] if batches else 0](number(self.count + n), *given, *x)
            if n % every == every - 1:
                piece[n // every] = x[: self.d]
        return [*given, *x]

    def whole(self, piece: np.ndarray, block: slice, every: int, batches: Sequence[int] | None) -> None:
        """Step several configurations by NumPy, on numbers that lie side by side."""
        values, piece = self.values[:, block], piece[:, :, block]
        given = np.concatenate([np.zeros((1, values.shape[1])), values])
        v, count = self.rolls[-1].filled(given, self.rolls[:-1]), len(self.steps[0].code.outputs)
        with np.errstate(all="ignore"):
            for n in range(len(piece) * every):
                v[0] = self.count + n
                self.rolls[batches[n] if batches else 0].whole(v)
                v[1 + self.first : len(given)] = v[len(given) : len(given) + count]
                if n % every == every - 1:
                    piece[n // every] = v[1 + self.first :][: self.d]
        values[:] = v[1 : len(given)]

    def in_loops(self, piece: np.ndarray, block: slice, every: int, batches: Sequence[int] | None) -> None:
        """Step one configuration in Numba's loops."""
        values, path = self.values[:, block], np.ascontiguousarray(piece[:, :, block.start])
        loops, places = _loops(self.steps, self.first, self.d, self.vectors)
        if loops is None:  # Numba lacks one of the functions
            return self.whole(piece, block, every, batches)
        rolls = _rolled(self.steps, True)
        v = rolls[-1].filled(np.concatenate([np.zeros((1, 1)), values]), rolls[:-1])
        order = np.array(batches, dtype=np.int64) if batches else ONE_LOSS
        total = len(piece) * every
        most = max(1, int(PATIENCE / len(v)))
        for begin in range(0, total, most):
            loops(path, v.ravel(), places, order, self.count, begin, min(begin + most, total), every)
        values[:, 0] = v[1 : 1 + len(values), 0]
        if not np.may_share_memory(path, piece):  # a copy, of one configuration of a batch
            piece[:, :, block.start] = path

    def compiled(self, piece: np.ndarray, block: slice, every: int, batches: Sequence[int] | None) -> None:
        """Step some configurations side by side in Numba's loop, with a break now and then."""
        values, path = self.values[:, block], np.ascontiguousarray(piece)
        width = 1 if self.columns == 1 else WIDTH
        loop = _loop(self.steps, self.first, self.d, width, self.vectors)
        if loop is None:  # Numba lacks one of the functions; what ran before had the bits of floats
            return self.arrays(piece, block, every, batches, "on_arrays_by_math")
        work = values
        if width > 1:
            work = np.ones((len(values), width))
            work[:, : values.shape[1]] = values
        order = np.array(batches, dtype=np.int64) if batches else ONE_LOSS
        total = len(piece) * every
        most = max(1, int(PATIENCE / (values.shape[1] * (1 + len(self.steps[0].code.operations)))))
        for begin in range(0, total, most):
            end, place = min(begin + most, total), (block.start, values.shape[1], self.columns)
            loop(path.reshape(-1), work.reshape(-1), order, self.count, begin, end, every, *place)
        if width > 1:
            values[:] = work[:, : values.shape[1]]
        if path is not piece:  # that of one configuration of a batch
            piece[:, :, block] = path[:, :, block]


@lru_cache(MOST)
def _loop(steps: tuple[Step, ...], first: int, d: int, most: int, vectors: bool) -> Callable[..., None] | None:
    """Return the loop over steps, and inside it over at most so many configurations; None if Numba cannot compile it."""
    bodies = []
    for step in steps:
        body = [f" x{i + 1} = work[{i * most} + c]" for i in range(len(step.code.inputs) - 1)]
        body += [f" {line}" for line in step.code.lines(COMPILED_FORMS)]
        for i, output in enumerate(map(step.code.text, step.code.outputs)):
            faded = f" if {output} > {NOTHING} else 0.0" if i >= d and step.weights[i - d] else ""
            body.append(f" work[{(first + i) * most} + c] = {output}{faded}")
        bodies.append(["for c in range(width):", *body])
    if most == 1:
        keep = [f" path[row * {d} + i] = work[{first} + i]"]
    else:
        keep = [
            f" place = (row * {d} + i) * columns + first",
            " out = path[place : place + width]",  # an index of it is not negative: so LLVM copies vectors
            " for c in range(width):",
            f"  out[c] = work[({first} + i) * {most} + c]",
        ]
    head = [
        "def loop(path, work, order, count, begin, end, every, first, width, columns):",
        *[" width = 1"] * (most == 1),
    ]
    lines = _stepping(head, "x0", bodies, [f"for i in range({d}):", *keep])
    kind = "void(f8[::1], f8[::1], i8[::1], i8, i8, i8, i8, i8, i8, i8)"
    return by_numba(lines, "loop", kind, all(step.code.exact for step in steps), vectors)


def _stepping(head: list[str], number: str, bodies: list[list[str]], keep: list[str]) -> list[str]:
    """Return the lines of a function that makes steps, each by the body of its loss, and keeps every so many of them."""
    lines = [*head, " row, left = begin // every, every - begin % every", " for n in range(begin, end):"]
    lines += [f"  {number} = float(count + n)", "  loss = order[n] if order.size > 1 else order[0]"]
    for k, body in enumerate(bodies):
        lines += [f"  if loss == {k}:", *(f"   {line}" for line in body)]
    return [*lines, "  left -= 1", "  if left == 0:", *(f"   {line}" for line in keep), "   row, left = row + 1, every"]


@lru_cache(MOST)
def _rolled(steps: tuple[Step, ...], apart: bool = False) -> tuple[Rolled, ...]:
    """Return steps rolled up, each behind the values of that before; none if they are short or hardly shorter so."""
    base, rolls = len(steps[0].code.inputs) + len(steps[0].code.outputs), []
    if max(step.code.size for step in steps) < LONG:
        return ()
    for step in steps:
        rolls.append(rolled(step.code, base, apart))
        base = rolls[-1].end
    return tuple(rolls) if apart or GAIN * sum(r.operations for r in rolls) < sum(s.code.size for s in steps) else ()


@lru_cache(MOST)
def _loops(steps: tuple[Step, ...], first: int, d: int, vectors: bool) -> tuple[Callable[..., None] | None, np.ndarray]:
    """Return the steps as loops over coordinates, None if Numba cannot compile them, and the places they look up."""
    places = [0]
    bodies = [roll.lines(places, into=1 + first) for roll in _rolled(steps, True)]
    keep = [f"for i in range({d}):", f" piece[row, i] = v[{1 + first} + i]"]
    head = ["def loops(piece, v, g, order, count, begin, end, every):"]
    lines = _stepping(head, "v[0]", bodies, keep)
    exact = all(step.code.exact for step in steps)
    kind = "void(f8[:, ::1], f8[::1], i8[::1], i8[::1], i8, i8, i8, i8)"
    return by_numba(lines, "loops", kind, exact, vectors), np.array(places)
