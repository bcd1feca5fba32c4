r"""Runs of an optimizer, from its program.

The plain reading of a program is the program itself, on NumPy arrays, step after step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, repeat
from typing import Any, NoReturn

import numpy as np

from bea._validate import all_finite, batch_sequence, finite, real_numbers, step_size, whole, with_batch
from bea.losses import batch_losses
from bea.program import Optimizer, Running, check_in_place, check_repeats, numeric, read_by, repeats
from bea.straight import Step, StraightRun, alike, state_shapes, traced_step

__all__ = ["Divergence", "run", "state_after", "walk"]

PIECE = 4096  # steps, at least, that are made before it is asked whether their results are finite
MOST = 2**62  # steps of a run: compiled loops count in int64
EPSILON = float(np.finfo(float).eps)
CHECKED = 3  # steps in which a faster reading is compared with the plain one


class Divergence(ArithmeticError):
    """A run or a flow left the finite numbers.

    Parameters
    ----------
    message : str
    step : int
        The first step whose result is not finite (of those that are kept, if not all are).
    path : array
        All that was kept before that step.
    configurations : tuple of int
        The indices of the configurations that diverged at that step; empty if there is only one.

    Examples
    --------
    >>> from bea.problems import quadratic
    >>> from bea.optimizers import gradient_descent
    >>> try:
    ...     run(gradient_descent(), quadratic([1]), theta0=(1.0,), h=3.0, steps=2000)
    ... except Divergence as divergence:
    ...     divergence.step, divergence.path.shape
    (1024, (1024, 1))
    """

    def __init__(self, message: str, step: int, path: np.ndarray, configurations: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.step, self.path, self.configurations = step, path, configurations

    def __reduce__(self) -> tuple[Any, ...]:  # so that another process can raise it
        return type(self), (*self.args, self.step, self.path, self.configurations)


def run(
    optimizer: Optimizer,
    loss: Any,
    theta0: Any,
    h: Any,
    steps: int,
    *,
    batches: Iterable[int] | None = None,
    memory: Sequence[Any] | None = None,
    every: int = 1,
    vector_functions: bool = False,
) -> np.ndarray:
    r"""Return the iterates :math:`\theta^{(0)}, \dots, \theta^{(\mathrm{steps})}` of an optimizer.

    A batch is many configurations of the optimizer, many step sizes or many starting points on the
    same loss.  Losses whose data differ from one column of a batch to the next are not supported.

    Parameters
    ----------
    optimizer : Optimizer
        Hyper-parameters that are arrays (batch,) run as many configurations at once.
    loss : a loss, or a list of mini-batch losses
    theta0 : array of shape (d,) or (batch, d)
    h : float, or array (batch,)
        Step size.
    steps : int, 0 or more
    batches : iterable of int, optional
        For several losses, the index of the mini-batch of each step.
    memory : sequence of arrays, optional
        The values that the memory holds before the first step, coordinates first, in the order in
        which the program asks for them, as :meth:`bea.modified.ModifiedEquation.memory` gives them.
        Without it the memory is empty.  With it an average with ``corrected=True`` is not corrected:
        there is no start to correct.  ``memory.step`` and ``memory.time`` count from 0 all the same.
    every : int
        Keep the iterates 0, every, 2 every, ... up to ``steps``, a multiple of it.
    vector_functions : bool
        Let a compiled run take functions such as exp from the C library's vector versions, where there are any
        (glibc on x86-64).  Their last bits may differ, and may differ with the number of configurations.

    Returns
    -------
    array of shape (steps // every + 1, d), or (steps // every + 1, batch, d)

    Raises
    ------
    Divergence
        If an iterate that is kept is not finite: it says at which step, and holds those before.
    TypeError, ValueError
        If an argument is of the wrong kind or out of its range, the gradient at ``theta0`` is not
        finite, or the update does not have the shape of theta.
    MemoryError
        If the path is too large to be kept.

    Notes
    -----
    A step is traced if nothing that the program and the losses read can change unseen, and a run then
    carries out the traced operations in the fastest way.  At the runs 1, 2, 4, 8, ... of a program on a loss the
    first three steps, or one for each mini-batch loss if there are more, are compared with the program's own, in a
    batch for the first and the last configuration, to the round-off of the largest number in the step; once they
    differ, or the program raises an error, at every run.  In a trace a constant 0, such as a hyper-parameter that is
    0, makes a product 0 whatever the other factor is, and a quotient 0 whatever it is divided by.

    Write programs coordinate by coordinate, or along axis 0, such as ``m / np.sum(m**2, axis=0) ** 0.5``: then
    the configurations of a batch are computed together.  Each result is that of its configuration alone, whatever
    the program: one that mixes columns, such as ``m / np.sum(m**2) ** 0.5``, or that branches, is noticed, and
    run for one configuration after another, which is slower.

    Examples
    --------
    >>> from bea.problems import quadratic
    >>> from bea.optimizers import gradient_descent
    >>> run(gradient_descent(), quadratic([1]), theta0=(1.0,), h=0.5, steps=3).ravel().tolist()
    [1.0, 0.5, 0.25, 0.125]
    >>> run(gradient_descent(), quadratic([1]), theta0=(1.0,), h=0.5, steps=4, every=2).ravel().tolist()
    [1.0, 0.25, 0.0625]
    """
    steps, every = _steps(steps), whole("every", every, 1)
    if steps % every:
        raise ValueError(f"every = {every} must divide the number of steps, {steps}")
    if not isinstance(vector_functions, bool):
        raise TypeError(f"vector_functions = {vector_functions!r} must be True or False")
    start = _prepared(optimizer, loss, theta0, h, memory, vector_functions)
    order = _order(batches, len(start.losses), steps)
    path = _room(steps // every + 1, start.theta.shape)
    path[0] = start.theta
    if steps:
        _fill(path, start, every, order)
    return path.swapaxes(1, -1)


def walk(
    optimizer: Optimizer,
    loss: Any,
    theta0: Any,
    h: Any,
    *,
    batches: Iterable[int] | None = None,
) -> Iterator[np.ndarray]:
    r"""Yield the iterates :math:`\theta^{(0)}, \theta^{(1)}, \dots` one after another.

    For runs that are too large to be kept: measure each iterate and let it go.  What the program or the loss
    reads may be changed between two iterates; the next step sees it.

    Parameters
    ----------
    optimizer, loss, theta0, h
        As for :func:`run`.
    batches : iterable of int, optional
        As for :func:`run`; it may be an endless generator.  The iteration ends with it, and never
        without it.

    Returns
    -------
    iterator of arrays (d,) or (batch, d)

    Raises
    ------
    Divergence, TypeError, ValueError
        As for :func:`run`; arguments are checked before the first step.

    Examples
    --------
    >>> from bea.problems import quadratic
    >>> from bea.optimizers import gradient_descent
    >>> iterates = walk(gradient_descent(), quadratic([1]), theta0=(1.0,), h=0.5)
    >>> [next(iterates).item() for n in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """
    start = _prepared(optimizer, loss, theta0, h, None)
    return _walk(start, batch_sequence(batches, len(start.losses)))


def state_after(
    optimizer: Optimizer,
    loss: Any,
    theta0: Any,
    h: Any,
    steps: int,
    batches: Iterable[int] | None = None,
) -> tuple[np.ndarray, list[tuple[Any, Any]]]:
    """Return the point, coordinates first, and the states (m, p) of the memory after some steps of a run.

    Parameters
    ----------
    optimizer, loss, theta0, h, steps, batches
        As for :func:`run`.

    Returns
    -------
    array (d,) or (d, batch), and a list with one pair for each value that the memory holds

    Raises
    ------
    Divergence, TypeError, ValueError
        As for :func:`run`.

    Examples
    --------
    >>> from bea.problems import quadratic
    >>> from bea.optimizers import heavy_ball
    >>> theta, state = state_after(heavy_ball(0.5, damped=True), quadratic([1]), (1.0,), 0.5, 1)
    >>> theta.tolist(), state[0][0].tolist(), float(state[0][1])
    ([0.75], [0.5], 0.5)
    """
    steps = _steps(steps)
    start = _prepared(optimizer, loss, theta0, h, None)
    order = _order(batches, len(start.losses), steps)
    if steps == 0:
        batch = start.theta.shape[1:]
        return start.theta, [(np.zeros((*shape, *batch)), 1.0) for shape in start.shapes()[::2]]
    reading, row = _reading(start, steps), np.empty((1, *start.theta.shape))
    reading.fill(row, steps, order)
    if not all_finite(row):
        _diverged(start, np.stack([start.theta, row[0]]), steps, order[0] if order else 0)
    return row[0], reading.memory()


# --- what a run starts from ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Start:
    """The arguments of a run, checked: theta is (d,) or, for a batch, (d, batch); steps made before; vector functions."""

    optimizer: Optimizer
    losses: tuple[Any, ...]
    theta: np.ndarray
    h: Any
    memory: list[tuple[Any, Any]] | None = None
    made: int = 0
    vectors: bool = False

    @cached_property
    def read(self) -> tuple[Any, ...] | None:
        """What the program reads besides its arguments; None if that may change unseen."""
        return read_by(self.optimizer)

    def everything(self) -> list[Any]:
        """Return what the program and the losses read now."""
        return [read_by(self.optimizer), *(loss.as_read for loss in self.losses)]

    def column(self, index: int) -> _Start:
        """Return one configuration of a batch."""

        def pick(value: Any, axes: int = 0) -> Any:
            if np.ndim(value) <= axes:  # the same for all configurations
                return value
            chosen = np.broadcast_to(value, (*np.shape(value)[:-1], self.theta.shape[1]))[..., index]
            return chosen.copy() if chosen.ndim else float(chosen)

        memory = self.memory
        if memory:
            axes = [len(shape) for shape in replace(self, memory=None).shapes()[::2]]
            memory = [(pick(m, *axes[k : k + 1]), pick(p)) for k, (m, p) in enumerate(memory)]
        one = self.optimizer.configuration(index)
        return replace(self, optimizer=one, theta=pick(self.theta), h=pick(self.h), memory=memory)

    def ends(self) -> list[_Start]:
        """Return the first and the last configuration."""
        return [self] if self.theta.ndim == 1 else [self.column(k) for k in {0, self.theta.shape[1] - 1}]

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the states m, p, m, p, ... that the memory of one configuration holds."""
        one = self.ends()[0]
        return state_shapes(one.optimizer, one.theta, one.h)


def _prepared(optimizer: Any, loss: Any, theta0: Any, h: Any, memory: Any, vectors: bool = False) -> _Start:
    optimizer, losses, h = numeric(optimizer), batch_losses(loss), step_size(h)
    batch = optimizer.batch_shape
    if isinstance(h, np.ndarray):
        if batch and h.size > 1 and batch[0] not in (1, h.size):
            raise ValueError(f"{batch[0]} configurations and {h.size} step sizes do not combine; give one or as many")
        batch = np.broadcast_shapes(batch, h.shape)
    start = _Start(optimizer, losses, with_batch(losses[0].components(theta0), batch), h, vectors=vectors)
    if not repeats(optimizer, start.read):
        one = start.ends()[0]
        check_repeats(one.optimizer, one.theta, one.h)
    return start if memory is None else replace(start, memory=_given_memory(start, memory))


def _steps(steps: Any) -> int:
    """Return the number of steps, checked."""
    if (steps := whole("steps", steps, 0)) >= MOST:
        raise ValueError(f"steps = {steps} must be less than 2**62, or use walk, which has no end")
    return steps


def _order(batches: Any, losses: int, steps: int) -> tuple[int, ...] | None:
    """Return the mini-batches of a run's steps as a tuple; None if there is one loss."""
    found = batch_sequence(batches, losses)
    if found is None:
        return None
    order = tuple(islice(found, steps))
    if len(order) < steps:
        raise ValueError(f"batches names the mini-batches of {len(order)} steps, but {steps} steps were asked for")
    return order


def _given_memory(start: _Start, memory: Any) -> list[tuple[Any, Any]]:
    """Return the states of a memory that is given, coordinates first; their weights p are 0."""
    shapes, batch, states = start.shapes()[::2], start.theta.shape[1:], []
    try:
        given = list(memory)
    except TypeError:
        raise TypeError(f"memory must be a sequence of arrays, one for each value kept, not {memory!r}") from None
    if len(given) != len(shapes):
        raise ValueError(
            f"{start.optimizer.name} keeps {len(shapes)} values in its memory, but memory holds {len(given)}"
        )
    for value, shape in zip(given, shapes):
        try:
            array = real_numbers(value)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"memory must hold numbers, not {value!r}") from None
        if array.shape == shape:
            array = array.reshape(shape + (1,) * len(batch))
        elif not batch or array.shape not in ((*shape, *batch), (*shape, 1)):
            allowed = f"{shape} or {(*shape, *batch)}, coordinates first" if batch else f"{shape}"
            raise ValueError(f"memory holds a value of shape {array.shape}; allowed is {allowed}")
        finite("the memory", np.atleast_1d(array))
        states.append((np.broadcast_to(array, (*shape, *batch)).copy(), 0.0))
    return states


def _room(rows: int, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.empty((rows, *shape))
    except (MemoryError, ValueError):
        size = rows * int(np.prod(shape)) * 8 / 1e9
        raise MemoryError(
            f"the path of {rows:,} iterates needs {size:,.0f} GB; keep fewer of them with every=, "
            "or use walk, which keeps none"
        ) from None


# --- readings of a program -----------------------------------------------------------------------


class _Plain:
    """The program itself, on one configuration or on a batch."""

    def __init__(self, start: _Start) -> None:
        self.optimizer, self.losses, self.h = start.optimizer, start.losses, start.h
        self.theta, self.reading = start.theta, Running(start.h, start.memory, start.made)

    def step(self, gradient: Callable[[Any], Any]) -> None:
        """Make one step."""
        with np.errstate(all="ignore"):  # what is not finite is reported with its step
            theta = self.theta.view()
            theta.flags.writeable = False
            try:
                update = np.asarray(self.optimizer(theta, gradient, self.reading))
            except ValueError as problem:
                check_in_place(self.optimizer, problem)
                raise
            if update.shape != self.theta.shape:
                raise ValueError(
                    f"the update of {self.optimizer.name} has the shape {update.shape}; "
                    f"it must have that of theta, {self.theta.shape}"
                )
            if update.dtype.kind not in "biuf":
                raise ValueError(f"the update of {self.optimizer.name} must be real numbers, not {update.dtype}")
            self.theta = self.theta - self.h * update.astype(float, copy=False)
        self.reading = self.reading.advance()

    def fill(self, rows: np.ndarray, every: int, batches: Sequence[int] | None) -> None:
        """Make ``every`` steps for each row and write the point after the last of them to it."""
        for row, theta in enumerate(rows):
            for n in range(row * every, (row + 1) * every):
                self.step(self.losses[batches[n] if batches else 0].gradient_code)
            theta[...] = self.theta

    def memory(self) -> list[tuple[Any, Any]]:
        """Return the states of the memory."""
        return list(self.reading.state or [])


class _Apart:
    """The configurations of a batch, one after another."""

    def __init__(self, readings: Iterable[Any]) -> None:
        self.readings = list(readings)

    def fill(self, rows: np.ndarray, every: int, batches: Sequence[int] | None) -> None:
        """Make ``every`` steps for each row and write the point after the last of them to it."""
        for k, reading in enumerate(self.readings):
            reading.fill(rows[..., k], every, batches)

    def memory(self) -> list[tuple[Any, ...]]:
        """Return the states of the memory."""
        columns = [reading.memory() for reading in self.readings]
        return [tuple(np.stack(parts, axis=-1) for parts in zip(*pairs)) for pairs in zip(*columns)]


def _reading(start: _Start, steps: int | None) -> Any:
    """Return the fastest reading that can be trusted: traced, plain, or each configuration apart."""
    traced = _traced(start, steps)
    if traced is not None or start.theta.ndim == 1:
        return traced or _Plain(start)
    if _mixes(start) or any(_traced(end, 0) for end in start.ends()):  # which have other bits, then
        return _Apart(_reading(start.column(k), steps) for k in range(start.theta.shape[1]))
    return _Plain(start)


def _traced(start: _Start, steps: int | None) -> StraightRun | None:
    """Return the traced reading if no loss can change unseen and its first steps are those of the plain one."""
    try:
        found = [traced_step(start, loss) for loss in start.losses]
        made = StraightRun(start, found, steps)
    except Exception:  # whatever it was, the plain reading does without
        return None
    try:
        agreed = not any(step.is_due() for step in found) or all(_agrees(found, end) for end in start.ends())
    except Exception:  # the plain reading raises it again
        agreed = False
    for step in set(found):  # not before: an interrupt leaves the comparison to the next run
        step.runs, step.differed = step.runs + 1, step.differed or not agreed
    return made if agreed else None


def _agrees(traced: Sequence[Step], start: _Start) -> bool:
    """Return whether traced steps are the first steps of a configuration, each from where a plain one starts.

    They may differ by round-off: a few units in the last place of the largest number that occurs.
    """
    plain, values = _Plain(start), traced[0].inputs(start)[:, 0].tolist()
    for n in range(max(CHECKED, len(traced))):
        step, loss = traced[n % len(traced)], start.losses[n % len(traced)]
        plain.step(loss.gradient_code)
        found, largest = step.outcome([start.made + n, *values])
        wanted = [*plain.theta.tolist(), *step.rows(plain.memory(), 1)[:, 0].tolist()]
        if not np.allclose(found, wanted, rtol=0.0, atol=16 * EPSILON * largest, equal_nan=True):
            return False
        values[-len(wanted) :] = wanted
    return True


def _mixes(start: _Start) -> bool:
    """Return whether a program, given a batch, may move a configuration as it would not alone.

    Its text must treat all columns alike.  Whether they have the same bits then is asked over a few steps, with a
    gradient that has the same bits in a batch and alone.
    """
    if not alike(start.optimizer, len(start.theta)):
        return True

    def moved(start: _Start, gradient: np.ndarray) -> np.ndarray:
        plain = _Plain(start)
        for _ in range(CHECKED):
            plain.step(lambda theta: gradient + theta)
        return plain.theta

    try:
        gradient = start.losses[0].gradient_code(start.theta)
        together = moved(start, gradient)
        return not all(
            np.array_equal(moved(start.column(k), gradient[:, k]), together[:, k], equal_nan=True) for k in (0, -1)
        )
    except Exception:  # if a configuration alone raises it, too, the run does
        return True


# --- iterating, and what leaves the finite numbers -----------------------------------------------


def _fill(path: np.ndarray, start: _Start, every: int, order: tuple[int, ...] | None) -> None:
    """Fill a path, of which the start is there, in pieces; raise as soon as one is not finite."""
    reading = _reading(start, (len(path) - 1) * every)
    row = 1
    while row < len(path):
        piece, first = path[row : row + max(row, PIECE // every)], (row - 1) * every  # as long as all before
        reading.fill(piece, every, order and order[first : first + len(piece) * every])
        if not all_finite(piece[-1]):  # theta - h U: what is not finite once stays so
            _diverged(start, path[: row + len(piece)], every, order[0] if order else 0)
        row += len(piece)


def _walk(start: _Start, batches: Iterable[int] | None) -> Iterator[np.ndarray]:
    start = replace(start)  # what it reads may have changed since it was made
    reading, last, read = _reading(start, None), start.theta, start.everything()
    yield np.moveaxis(last, 0, -1).copy()
    for n, batch in enumerate(repeat(0) if batches is None else batches):
        if read and start.everything() != read:  # it has changed since the step before, and may do so again
            now, read = replace(start, theta=last, memory=reading.memory() if n else None, made=n), []
            reading = _Plain(now) if last.ndim == 1 else _Apart(_Plain(now.column(k)) for k in range(last.shape[1]))
        row = np.empty((1, *last.shape))
        reading.fill(row, 1, (batch,))
        if not all_finite(row):
            _diverged(start, np.stack([last, row[0]]), 1, batch, n)
        last = row[0]
        yield np.moveaxis(last, 0, -1).copy()


def _diverged(start: _Start, path: np.ndarray, every: int, batch: int, first: int = 0) -> NoReturn:
    """Say where a path, of which row 0 belongs to step ``first``, leaves the finite numbers."""
    whole = np.asarray(np.isfinite(path).all(axis=1))
    row = int(np.argmin(whole.reshape(len(path), -1).all(axis=1)))
    wrong = tuple(np.flatnonzero(~whole[row]).tolist()) if path.ndim == 3 else ()
    advice = f"take a smaller step than h = {start.h}"
    if first == 0 and row == 1:  # perhaps no step is small enough
        with np.errstate(all="ignore"):
            finite("the gradient", start.losses[batch].gradient_code(start.theta))
        point = np.empty((1, *start.theta.shape))
        _reading(replace(start, h=start.h * 1e-300), 1).fill(point, 1, (batch,))
        if not np.isfinite(point).all():
            advice = "the gradient at the start is finite, but the update is not (a division by zero?)"
    step = first + row * every
    which = f" (configurations {list(wrong)})" if wrong else ""
    raise Divergence(
        f"the run diverged {'at' if every == 1 else 'by'} step {step}{which}: "
        f"the last {'finite iterate' if every == 1 else 'iterate known to be finite'} is step {step - every}; {advice}",
        step,
        path[:row].swapaxes(1, -1),
        wrong,
    )
