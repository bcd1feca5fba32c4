"""Flows: the solution of a modified equation at the times t_n = n h of the iterates."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from bea._validate import finite, whole, with_batch
from bea.modified import KeptEquation, numeric
from bea.runs import Divergence, float_step, state_after
from bea.transient import TransientEquation

__all__ = ["flow"]

TOLERANCE = 1e-12  # of SciPy's solvers: far below any error that the book measures
PATIENCE = 3000  # evaluations for each unit of work before a problem is taken to be stiff


def flow(
    equation: Any,
    theta0: Any,
    h: float,
    steps: int,
    *,
    per_step: int = 1,
    first: int = 0,
    method: str | None = None,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    r"""Return the solution of a modified equation at the times :math:`t_n = nh`.

    SciPy's DOP853 computes it.  If that takes very many evaluations the equation is stiff, and LSODA
    starts again.

    Parameters
    ----------
    equation : ModifiedEquation, KeptEquation or TransientEquation
        Any object with a method ``field(h)`` that returns a function of theta, or of theta and the
        time, serves as well (a control with a wrong coefficient, for instance).
    theta0 : array of shape (d,) or (batch, d)
    h : float
        Step size.
    steps : int
        Number of steps of the run that is followed.
    per_step : int
        Points for each step of the optimizer; more than one for a smooth line in a figure.
    first : int
        With the memory kept: the flow starts from the run's own state after that many steps from
        `theta0`, and returns the points at the steps first, ..., steps.
    method : str, optional
        A method of ``scipy.integrate.solve_ivp``.
    tolerance : float
        Relative and absolute tolerance of the solver.

    Returns
    -------
    array of shape ((steps - first) * per_step + 1, d), or (..., batch, d)

    Raises
    ------
    Divergence
        If the solution does not exist that long.
    TypeError, ValueError
        If an argument is of the wrong kind or out of its range.

    Examples
    --------
    >>> from bea.problems import quadratic
    >>> from bea.modified import modified_equation
    >>> from bea.optimizers import gradient_descent
    >>> equation = modified_equation(gradient_descent(), quadratic([1]), order=1)
    >>> flow(equation, (1.0,), h=0.5, steps=2).ravel().round(6).tolist()
    [1.0, 0.606531, 0.367879]
    """
    h, steps, per_step = float_step(h), whole("steps", steps, 0), whole("per_step", per_step, 1)
    first = whole("first", first, 0, steps)
    if np.ndim(h):
        raise ValueError(f"a flow takes one step size, not {h!r}: its times n h are common to all points")
    if not hasattr(equation, "field"):
        raise TypeError(f"a modified equation is needed (or an object with a method field(h)), not {equation!r}")
    if first and not isinstance(equation, KeptEquation):
        raise ValueError("first = ... belongs to equations with the memory kept; start others at theta0")
    times = h * (first + np.arange((steps - first) * per_step + 1) / per_step)
    options = {"method": method, "tolerance": tolerance}
    if isinstance(equation, KeptEquation):
        path = _kept(equation, theta0, h, times, first, per_step, options)
    elif isinstance(equation, TransientEquation):
        path = _in_pieces(equation.pieces(h, steps), _start(equation, theta0), times, per_step, options)
    else:
        path = _smooth(equation.field(h), _start(equation, theta0), times, per_step, options)
    wrong = np.flatnonzero(~np.isfinite(path).reshape(len(path), -1).all(axis=1))
    if wrong.size:
        step = -(-int(wrong[0]) // per_step) + first
        raise Divergence(f"the flow is not finite at step {step} of {steps} (h = {h})", step, path[: wrong[0]])
    return path


def _start(equation: Any, theta0: Any) -> np.ndarray:
    """Return the points to start from, with one for each configuration of the optimizer."""
    losses = getattr(equation, "losses", None) or (getattr(equation, "loss", None),)
    if losses[0] is None:
        return np.array(theta0, dtype=float)
    optimizer = getattr(equation, "optimizer", None)
    batch = () if optimizer is None else numeric(optimizer).batch_shape
    return np.moveaxis(with_batch(losses[0].components(theta0), batch), 0, -1)


def _kept(
    equation: KeptEquation,
    theta0: Any,
    h: float,
    times: np.ndarray,
    first: int,
    per_step: int,
    options: dict,
) -> np.ndarray:
    """Follow the state of one run, and return its points."""
    losses, batches = equation.losses, equation.batches
    if losses[0].components(theta0).ndim > 1 or equation.optimizer.batch_shape:
        raise ValueError("a flow with the memory kept takes one point and one configuration at a time")
    theta, states = state_after(
        equation.optimizer, losses, theta0, h, first, None if batches is None else batches[:first]
    )
    z = equation.state(theta, states, h)
    if batches is None:
        path = _smooth(equation.field(h), z, times, per_step, options)
    else:
        last = round(times[-1] / h)
        fields = (equation.field(h, n) for n in range(first, last))
        path = _in_pieces(fields, z, times, per_step, options)
    return path[:, : len(theta)]


def _smooth(
    field: Callable[..., np.ndarray],
    start: np.ndarray,
    times: np.ndarray,
    per_step: int,
    options: dict,
) -> np.ndarray:
    if len(times) == 1:
        return start[None]
    _check_start(field, start, times[0])
    solution = _solve(field, start, times, **options)
    path = solution.y.T.reshape(-1, *start.shape)
    if not solution.success:
        reached = (len(path) - 1) // per_step
        raise Divergence(f"the flow stops after step {reached}: {solution.message}", reached + 1, path)
    return path


def _in_pieces(fields: Any, start: np.ndarray, times: np.ndarray, per_step: int, options: dict) -> np.ndarray:
    path = np.empty((len(times), *start.shape))
    path[0] = start
    method = options["method"] or "RK45"  # over one step it needs half of DOP853's evaluations
    for n, field in enumerate(fields):
        if n == 0:
            _check_start(field, start, times[0])
        begin = n * per_step
        piece = _solve(
            field,
            path[begin],
            times[begin : begin + per_step + 1],
            method,
            options["tolerance"],
            one_step=True,
        )
        if not piece.success:
            raise Divergence(f"the flow stops between steps {n} and {n + 1}", n + 1, path[: begin + 1])
        path[begin + 1 : begin + per_step + 1] = piece.y.T[-per_step:].reshape(-1, *start.shape)
    return path


def _check_start(field: Callable[..., np.ndarray], start: np.ndarray, time: float) -> None:
    """Raise ValueError if the field is not finite at the start, where no smaller step would help."""
    with np.errstate(all="ignore"):
        value = field(start, time=time) if _takes_time(field) else field(start)
    finite("the field", "the start", np.moveaxis(np.asarray(value), -1, 0))


def _takes_time(field: Callable[..., np.ndarray]) -> bool:
    return "time" in inspect.signature(field).parameters


class _Stiff(Exception):
    """DOP853 needs more evaluations than a smooth problem would."""


def _solve(
    field: Callable[..., np.ndarray],
    start: np.ndarray,
    times: np.ndarray,
    method: str | None = None,
    tolerance: float = TOLERANCE,
    one_step: bool = False,
) -> Any:
    """Return SciPy's solution at `times`, by LSODA if DOP853 finds the problem stiff."""
    # here, because it takes nearly half of the library's start
    from scipy.integrate import solve_ivp

    takes_time = _takes_time(field)
    evaluations, limit = 0, PATIENCE + 30 * len(times)

    def rhs(t: float, y: np.ndarray) -> np.ndarray:
        nonlocal evaluations
        evaluations += 1
        if method is None and evaluations > limit:
            raise _Stiff
        if not np.isfinite(y).all():
            return np.full(y.shape, np.nan)  # the solver takes it back, and gives up in the end
        point = y.reshape(start.shape)
        return (field(point, time=t) if takes_time else field(point)).ravel()

    # of a single step only the end is asked for: interpolation costs a quarter more
    at = None if one_step and len(times) == 2 else times
    extra = {"first_step": times[-1] - times[0]} if one_step else {}
    common: dict[str, Any] = {"t_eval": at, "rtol": tolerance, "atol": tolerance, **extra}
    with np.errstate(all="ignore"):  # a blow-up is reported by whoever called
        try:
            return solve_ivp(rhs, (times[0], times[-1]), start.ravel(), method=method or "DOP853", **common)
        except _Stiff:
            method = "LSODA"
            return solve_ivp(rhs, (times[0], times[-1]), start.ravel(), method=method, **common)
