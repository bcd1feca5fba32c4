r"""Runs of an optimizer, from its program.

The plain reading of a program is the program itself, on NumPy arrays, step after step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, repeat
from typing import Any, NoReturn, Protocol

import numpy as np

from bea._validate import batch_sequence, finite, step_size, whole, with_batch
from bea.losses import batch_losses
from bea.program import Optimizer, Running
from bea.straight import StraightRun, agrees, traced_step

__all__ = ["Divergence", "run", "state_after", "walk"]

PIECE = 1024  # rows of a path that are computed before it is asked whether they are finite
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
) -> np.ndarray:
    r"""Return the iterates :math:`\theta^{(0)}, \dots, \theta^{(\mathrm{steps})}` of an optimizer.

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
        Without it the memory is empty.  With it there is no bias correction: there is no start to
        correct.
    every : int
        Keep the iterates 0, every, 2 every, ... up to ``steps``, a multiple of it.

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
    Configurations of a batch are computed together only if the program, given the same gradients,
    has the same bits for the first and the last of them alone, over three steps; one that mixes
    columns, such as ``m / np.sum(m**2) ** 0.5``, is run for one configuration after another.

    Examples
    --------
    >>> from bea.problems import quadratic
    >>> from bea.optimizers import gradient_descent
    >>> run(gradient_descent(), quadratic([1]), theta0=(1.0,), h=0.5, steps=3).ravel().tolist()
    [1.0, 0.5, 0.25, 0.125]
    >>> run(gradient_descent(), quadratic([1]), theta0=(1.0,), h=0.5, steps=4, every=2).ravel().tolist()
    [1.0, 0.25, 0.0625]
    """
    steps, every = whole("steps", steps, 0), whole("every", every, 1)
    if steps % every:
        raise ValueError(f"every = {every} must divide the number of steps, {steps}")
    start = _prepared(optimizer, loss, theta0, h, memory)
    order = _batches_of_run(batches, len(start.losses), steps)
    path = _room(steps // every + 1, start.theta.shape)
    path[0] = start.theta
    if steps:
        _fill(path, start, _reading(start, steps), every, order)
    return np.moveaxis(path, 1, -1)


def walk(
    optimizer: Optimizer,
    loss: Any,
    theta0: Any,
    h: Any,
    *,
    batches: Iterable[int] | None = None,
) -> Iterator[np.ndarray]:
    r"""Yield the iterates :math:`\theta^{(0)}, \theta^{(1)}, \dots` one after another.

    For runs that are too large to be kept: measure each iterate and let it go.

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
    steps = whole("steps", steps, 0)
    start = _prepared(optimizer, loss, theta0, h, None)
    order = _batches_of_run(batches, len(start.losses), steps)
    if steps == 0:
        batch = start.theta.shape[1:]
        return start.theta, [(np.zeros((*shape, *batch)), 1.0) for shape in _shapes(start)]
    reading, row = _reading(start, steps), np.empty((1, *start.theta.shape))
    reading.fill(row, steps, order)
    if not np.isfinite(row).all():
        _diverged(start, np.stack([start.theta, row[0]]), steps, order[0] if order else 0)
    return row[0], reading.memory()


# --- what a run starts from ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Start:
    """The arguments of a run, checked: theta is (d,) or, for a batch, (d, batch)."""

    optimizer: Optimizer
    losses: tuple[Any, ...]
    theta: np.ndarray
    h: Any
    memory: list[tuple[Any, Any]] | None = None

    def columns(self, index: Any) -> _Start:
        """Return one configuration of a batch, or those of an array of indices."""

        def pick(value: Any) -> Any:
            if np.ndim(value) == 0:
                return value
            chosen = np.broadcast_to(value, (*np.shape(value)[:-1], self.theta.shape[1]))[..., index]
            return chosen.copy() if chosen.ndim else float(chosen)

        given = self.optimizer.hyperparameters.items()
        single = {name: pick(v) for name, v in given if isinstance(v, np.ndarray)}
        memory = self.memory and [(pick(m), p) for m, p in self.memory]
        return replace(
            self,
            optimizer=self.optimizer.with_hyperparameters(**single) if single else self.optimizer,
            theta=np.ascontiguousarray(self.theta[:, index]),
            h=pick(self.h),
            memory=memory,
        )


def _prepared(optimizer: Any, loss: Any, theta0: Any, h: Any, memory: Any) -> _Start:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"an optimizer such as bea.adam(beta=0.9, rho=0.999, epsilon=1e-8) is needed, not {optimizer!r}"
        )
    if optimizer.symbols:
        raise ValueError(
            f"{optimizer} holds the symbols {', '.join(sorted(map(str, optimizer.symbols)))}; give "
            "them numbers to run it"
        )
    optimizer, losses, h = optimizer.in_floats(), batch_losses(loss), step_size(h)
    if not isinstance(h, (float, np.ndarray)):
        h = step_size(_number(h))
    shape = np.broadcast_shapes(optimizer.batch_shape, np.shape(h))
    start = _Start(optimizer, losses, with_batch(losses[0].components(theta0), shape), h)
    return start if memory is None else replace(start, memory=_given_memory(start, memory))


def _number(h: Any) -> float:
    try:
        return float(h)
    except TypeError:
        raise TypeError(f"the step size h = {h} must be a number; it holds symbols") from None


def _batches_of_run(batches: Any, losses: int, steps: int) -> tuple[int, ...] | None:
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
    shapes, given, batch = _shapes(start), list(memory), start.theta.shape[1:]
    if len(given) != len(shapes):
        raise ValueError(
            f"{start.optimizer.name} keeps {len(shapes)} values in its memory, but memory holds {len(given)}"
        )
    return [(_memory_value(m, shape, batch), 0.0) for m, shape in zip(given, shapes)]


def _shapes(start: _Start) -> list[tuple[int, ...]]:
    """Return the shapes of the values that the memory of one configuration holds."""
    one = start.columns(0) if start.theta.ndim > 1 else start
    probe = Running(one.h)
    with np.errstate(all="ignore"):  # whatever the values are
        one.optimizer(one.theta, np.ones_like, probe)
    return [np.shape(m) for m, _ in probe.new]


def _memory_value(value: Any, shape: tuple[int, ...], batch: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "iufO":
        raise TypeError(f"memory must hold numbers, not {value!r}")
    array = array.astype(float)
    if array.shape == shape:
        array = array.reshape(shape + (1,) * len(batch))
    elif not batch or array.shape not in ((*shape, *batch), (*shape, 1)):
        allowed = f"{shape} or {(*shape, *batch)}, coordinates first" if batch else f"{shape}"
        raise ValueError(f"memory holds a value of shape {array.shape}; allowed is {allowed}")
    finite("the memory", "the start", np.atleast_1d(array))
    return np.ascontiguousarray(np.broadcast_to(array, (*shape, *batch)))


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


class _Reading(Protocol):
    """One way to make the steps of a run."""

    def fill(self, rows: np.ndarray, every: int, batches: Sequence[int] | None) -> None:
        """Make ``every`` steps for each row and write the point after the last of them to it."""
        ...

    def memory(self) -> list[tuple[Any, Any]]:
        """Return the states of the memory."""
        ...


def _reading(start: _Start, steps: int | None) -> _Reading:
    """Return the fastest reading that agrees with the plain one."""
    if not all(hasattr(loss, "gradient_expressions") for loss in start.losses):
        return _plain(start)  # code may hold state or randomness
    arrays = [v for v in start.optimizer.hyperparameters.values() if isinstance(v, np.ndarray)]
    if all(v.all() for v in arrays):
        return _traced(start, steps)
    # zeros are constants of a trace, so configurations are run together that share them
    zeros = np.stack([np.broadcast_to(v == 0, start.theta.shape[1]) for v in arrays])
    _, group = np.unique(zeros, axis=1, return_inverse=True)
    groups = [np.flatnonzero(group == k) for k in range(group.max() + 1)]
    return _Apart(start, ((g, _traced(start.columns(g), steps)) for g in groups))


def _traced(start: _Start, steps: int | None) -> _Reading:
    """Return the traced reading if it agrees with the plain one on the first steps, else that."""
    single = start.theta.ndim == 1
    ends = [start if single else start.columns(k) for k in {0, start.theta.size // len(start.theta) - 1}]
    paths = [_first_steps(end) for end in ends]
    try:
        found = [traced_step(ends[0], loss, paths[0][0][1]) for loss in start.losses]
    except Exception:  # whatever it was, the plain reading does without
        return _plain(start)
    if all(agrees(found, end, path) for end, path in zip(ends, paths)):
        return StraightRun(start, found, steps)
    return _plain(start)


def _first_steps(start: _Start) -> list[tuple[np.ndarray, list[tuple[Any, Any]]]]:
    """Return the point and the states after each of the first steps of a configuration."""
    plain, path = _Plain(start), []
    for n in range(max(CHECKED, len(start.losses))):
        plain.step(n % len(start.losses))
        path.append((plain.theta, plain.memory()))
    return path


def _plain(start: _Start) -> _Reading:
    return _Together(start) if start.theta.ndim > 1 else _Plain(start)


class _Plain:
    """The program itself, on arrays."""

    def __init__(self, start: _Start) -> None:
        self.optimizer, self.losses, self.h = start.optimizer, start.losses, start.h
        self.theta, self.reading = start.theta, Running(start.h, start.memory)

    def step(self, batch: int, gradient: Callable[[Any], Any] | None = None) -> None:
        """Make one step, with the gradient of a loss or with another one."""
        code = self.losses[batch].gradient_code if gradient is None else gradient
        with np.errstate(all="ignore"):  # what is not finite is reported with its step
            update = self.optimizer(self.theta, code, self.reading)
            self.theta = self.theta - self.h * _as_update(update, self.theta, self.optimizer)
        self.reading = self.reading.advance()

    def fill(self, rows: np.ndarray, every: int, batches: Sequence[int] | None) -> None:
        for row, theta in enumerate(rows):
            for n in range(row * every, (row + 1) * every):
                self.step(batches[n] if batches else 0)
            theta[...] = self.theta

    def memory(self) -> list[tuple[Any, Any]]:
        return list(self.reading.state or [])


def _as_update(update: Any, theta: np.ndarray, optimizer: Optimizer) -> np.ndarray:
    """Return the update as floats; raise unless it is real and has the shape of theta."""
    array = np.asarray(update)
    if array.dtype == float and array.shape == theta.shape:  # nearly always
        return array
    if array.shape != theta.shape:
        raise ValueError(
            f"the update of {optimizer.name} has the shape {array.shape}; it must have that of theta, {theta.shape}"
        )
    if array.dtype.kind not in "biuf":
        raise ValueError(f"the update of {optimizer.name} must be real numbers, not {array.dtype}")
    return array.astype(float)


class _Apart:
    """Parts of a batch, one after another; each has an index or an array of them."""

    def __init__(self, start: _Start, parts: Iterable[tuple[Any, _Reading]]) -> None:
        self.columns, self.parts = start.theta.shape[1], list(parts)

    def fill(self, rows: np.ndarray, every: int, batches: Sequence[int] | None) -> None:
        for index, part in self.parts:
            piece = np.empty(rows[..., index].shape)
            part.fill(piece, every, batches)
            rows[..., index] = piece

    def memory(self) -> list[tuple[Any, Any]]:
        found = [(index, part.memory()) for index, part in self.parts]
        count = len(found[0][1])
        m, p = ([[(i, state[k][w]) for i, state in found] for k in range(count)] for w in (0, 1))
        return list(zip(map(self._joined, m), map(self._joined, p)))

    def _joined(self, values: list[tuple[Any, Any]]) -> np.ndarray:
        index, value = values[0]
        shape = np.shape(value)[: np.ndim(value) - np.ndim(index)]
        joined = np.empty((*shape, self.columns))
        for index, value in values:
            joined[..., index] = value
        return joined


class _Together:
    """The program on all configurations of a batch at once, as long as it keeps them apart itself.

    In the first steps the first and the last configuration are computed alone as well, with the
    gradients that the batch received; at the first difference all of them are.
    """

    def __init__(self, start: _Start) -> None:
        self.start, self.all, self.theta = start, _Plain(start), start.theta
        self.alone = [(k, _Plain(start.columns(k))) for k in {0, start.theta.shape[1] - 1}]
        self.before: list[int] = []  # the mini-batches of the checked steps
        self.apart: _Apart | None = None

    def fill(self, rows: np.ndarray, every: int, batches: Sequence[int] | None) -> None:
        for row, theta in enumerate(rows):
            for n in range(row * every, (row + 1) * every):
                self._step(batches[n] if batches else 0)
            theta[...] = self.theta

    def memory(self) -> list[tuple[Any, Any]]:
        return (self.apart or self.all).memory()

    def _step(self, batch: int) -> None:
        missed = [batch]
        if self.apart is None:
            if len(self.before) == CHECKED:
                self.all.step(batch)
            else:
                self.before.append(batch)
                if not self._same(batch):
                    columns = range(self.theta.shape[1])
                    self.apart = _Apart(self.start, ((k, _Plain(self.start.columns(k))) for k in columns))
                    missed = self.before
            self.theta = self.all.theta
        if self.apart is not None:
            row = np.empty((1, *self.theta.shape))
            self.apart.fill(row, len(missed), missed)
            self.theta = row[0]

    def _same(self, batch: int) -> bool:
        """Make one step; return whether each configuration alone has the same bits."""
        loss, seen = self.start.losses[batch], []

        def recorded(points: np.ndarray) -> np.ndarray:
            values = loss.gradient_code(points)
            seen.append((points.copy(), values.copy()))
            return values

        try:
            self.all.step(batch, recorded)
            for k, one in self.alone:
                given = iter(seen)

                def replayed(point: np.ndarray, k: int = k, given: Any = given) -> np.ndarray:
                    points, values = next(given)
                    if not np.array_equal(points[:, k], point, equal_nan=True):
                        raise ValueError("the program mixes configurations before a gradient")
                    return values[:, k].copy()

                one.step(batch, replayed)
                if not np.array_equal(one.theta, self.all.theta[:, k], equal_nan=True):
                    return False
        except Exception:  # if a configuration alone raises it, too, the run does
            return False
        return True


# --- iterating, and what leaves the finite numbers -----------------------------------------------


def _fill(path: np.ndarray, start: _Start, reading: _Reading, every: int, order: tuple[int, ...] | None) -> None:
    """Fill a path, of which the start is there, in pieces; raise as soon as one is not finite."""
    for row in range(1, len(path), PIECE):
        piece, first = path[row : row + PIECE], (row - 1) * every
        reading.fill(piece, every, order and order[first : first + len(piece) * every])
        if not np.isfinite(piece).all():
            _diverged(start, path[: row + len(piece)], every, order[0] if order else 0)


def _walk(start: _Start, batches: Iterable[int] | None) -> Iterator[np.ndarray]:
    reading, last = _reading(start, None), np.moveaxis(start.theta, 0, -1)
    yield last.copy()
    for n, batch in enumerate(repeat(0) if batches is None else batches, start=1):
        row = np.empty((1, *start.theta.shape))
        reading.fill(row, 1, (batch,))
        point = np.moveaxis(row[0], 0, -1)
        if not np.isfinite(point).all():
            _diverged(start, np.stack([np.moveaxis(last, -1, 0), row[0]]), 1, batch, n - 1)
        last = point
        yield point.copy()


def _diverged(start: _Start, path: np.ndarray, every: int, batch: int, first: int = 0) -> NoReturn:
    """Say where a path, of which row 0 belongs to step ``first``, leaves the finite numbers."""
    path = np.moveaxis(path, 1, -1)
    of_configuration = np.isfinite(path).all(axis=-1).reshape(len(path), -1)
    row = int(np.argmin(of_configuration.all(axis=1)))
    wrong = tuple(np.flatnonzero(~of_configuration[row]).tolist()) if path.ndim == 3 else ()
    advice = f"take a smaller step than h = {start.h}"
    if first == 0 and row == 1:  # perhaps no step is small enough
        point, h = np.empty((1, *start.theta.shape)), start.h * 1e-300
        with np.errstate(all="ignore"):
            finite("the gradient", "the start", start.losses[batch].gradient_code(start.theta))
            _plain(replace(start, h=h)).fill(point, 1, (batch,))
        if not np.isfinite(point).all():
            advice = "the gradient at the start is finite, but the update is not (a division by zero?)"
    step = first + row * every
    which = f" (configurations {list(wrong)})" if wrong else ""
    raise Divergence(
        f"the run diverged at step {step}{which}: the last finite iterate is step {step - every}; {advice}",
        step,
        path[:row],
        wrong,
    )
