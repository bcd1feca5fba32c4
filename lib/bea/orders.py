r"""Order as a measurement: the error against the step size, and its slope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bea._validate import one_number, step_size, whole
from bea.flows import flow
from bea.losses import Problem
from bea.modified import KeptEquation, modified_equation
from bea.program import Optimizer, asked_of_memory, check_optimizer
from bea.runs import Divergence, run

__all__ = ["Study", "order_study"]

FLOOR = 5e-12  # relative to the size of theta: below this the solver and round-off are measured


@dataclass(frozen=True, eq=False)
class Study:
    r"""Errors :math:`\max_n \lVert\theta(t_n) - \theta^{(n)}\rVert` at several step sizes.

    Parameters
    ----------
    hs : array
        Step sizes; they are kept with the largest first.
    errors : array
        The error at each.
    order : int
        The expected order.
    scale : float
        The size of theta, with which round-off is compared.

    Examples
    --------
    >>> study = Study(np.array([0.1, 0.05]), np.array([3e-2, 7.5e-3]), order=2)
    >>> study.slope, study.order_holds
    (2.0, True)
    >>> print(study)
    observed order 2.00 over h = 0.05 to 0.1: order 2 holds
    """

    hs: np.ndarray
    errors: np.ndarray
    order: int = 2
    scale: float = 1.0

    def __post_init__(self) -> None:
        hs, errors = (np.array(values, dtype=float) for values in (self.hs, self.errors))
        fitting = hs.ndim == 1 and hs.shape == errors.shape and len(hs) > 1 and np.isfinite([hs, errors]).all()
        if not fitting or np.any(hs <= 0) or len(set(hs)) < len(hs) or np.any(errors < 0):
            raise ValueError(
                f"one error for each of two positive step sizes or more, all different, is needed; not {hs} and {errors}"
            )
        order, scale = whole("order", self.order, 1), one_number("the scale", self.scale, 0.0, np.inf)
        down = np.argsort(-hs)
        self.__dict__.update(hs=hs[down], errors=errors[down], order=order, scale=scale)

    @property
    def above_floor(self) -> np.ndarray:
        """Which errors are large enough to be more than round-off."""
        return self.errors > FLOOR * self.scale

    @property
    def slope(self) -> float:
        """The slope of log error against log h by least squares, over the errors above the round-off floor.

        It is nan if fewer than two are.
        """
        use = self.above_floor
        if use.sum() < 2:
            return float("nan")
        return float(np.round(np.polyfit(np.log(self.hs[use]), np.log(self.errors[use]), 1)[0], 12))

    @property
    def slopes(self) -> np.ndarray:
        """The slope between each step size and the next."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.diff(np.log(self.errors)) / np.diff(np.log(self.hs))

    @property
    def order_holds(self) -> bool | None:
        """Whether the slope is the expected order, or a higher whole number, within 0.1; None if the errors are round-off.

        Between the smallest step sizes it is not to be smaller by more than 0.5.
        """
        if np.isnan(self.slope):
            return None
        use = self.above_floor
        last = np.diff(np.log(self.errors[use][-2:])) / np.diff(np.log(self.hs[use][-2:]))
        return bool(abs(self.slope - max(self.order, round(self.slope))) <= 0.1 and last.item() > self.slope - 0.5)

    def __str__(self) -> str:
        window = f"over h = {self.hs.min():g} to {self.hs.max():g}"
        if self.order_holds is None:
            exact = "" if self.above_floor.any() else "the equation is exact here to round-off, or "
            return f"at the round-off floor {window}: no slope can be measured; {exact}take larger step sizes"
        left_out = np.sum(~self.above_floor)
        note = f" ({left_out} at the round-off floor left out)" if left_out else ""
        better = ", and better" if self.slope > self.order + 0.1 else ""
        result = f"holds{better}" if self.order_holds else "does NOT hold"
        away = np.abs(self.slopes[self.above_floor[1:]] - self.order)
        if not self.order_holds and len(away) > 1 and away[-1] < 0.3 and np.all(away[1:] < 0.75 * away[:-1]):
            result += " here, but from one step size to the next the slope comes closer to it; take smaller ones"
        return f"observed order {self.slope:.2f} {window}{note}: order {self.order} {result}"


def order_study(
    optimizer: Optimizer,
    loss: Problem | Sequence[Problem],
    theta0: Any,
    horizon: float,
    hs: Sequence[float],
    order: int = 2,
    *,
    equation: Any = None,
    start: str | None = None,
) -> Study:
    r"""Measure the largest distance, over steps, of a run from the flow of its modified equation.

    Parameters
    ----------
    optimizer, loss, theta0 : as for :func:`bea.run`; one configuration, one point
    horizon : float
        The time T = steps * h, the same for all step sizes.
    hs : sequence of float
        Two or more step sizes that divide the horizon.
    order : int
        The number of terms of the steady-state equation, and the expected order; an `equation` that
        has an order of its own is measured by that.
    equation : modified equation, optional
        Another equation to measure against: a transient one, or a control with a ``field(h)`` that
        should fail.
    start : "slow manifold" or "rest", optional
        Whether the memory starts as if the run had always followed the steady-state equation, or
        empty.  Without it, empty for a transient equation, and the slow manifold otherwise.

    Returns
    -------
    Study

    Raises
    ------
    Divergence
        If the run or the flow leaves the finite numbers.
    TypeError, ValueError
        If an argument is of the wrong kind, a step size does not divide the horizon, there are fewer than two, the equation keeps
        the memory (whose order belongs to fixed memory times, not to fixed decays), or the run is to
        start on the slow manifold and the program reads ``memory.step``.

    Examples
    --------
    >>> from bea.problems import bilinear
    >>> from bea.optimizers import gradient_descent
    >>> study = order_study(gradient_descent(), bilinear(), (0.9, 1.5), horizon=0.1, hs=[4e-3, 2e-3, 1e-3], order=2)
    >>> round(study.slope, 1)
    2.0
    """
    order = whole("order", order, 1)
    check_optimizer(optimizer)
    if equation is None:
        equation = modified_equation(optimizer, loss, order)
    expected = getattr(equation, "order", order)
    if start not in (None, "slow manifold", "rest"):
        raise ValueError(f"start = {start!r} must be 'slow manifold' or 'rest'")
    from_rest = start == "rest" or (start is None and hasattr(equation, "pieces"))
    if isinstance(equation, KeptEquation):
        raise ValueError(
            "with the memory kept the order is that at fixed memory times, and order_study keeps the decays fixed; "
            "compare bea.flow(equation, ..., first=round(0.2 / h)) with bea.run at decays exp(-h / time)"
        )
    if not from_rest and "step" in asked_of_memory(optimizer, theta0):
        raise ValueError(
            f"{optimizer.name} reads memory.step, which is infinite on the slow manifold and 0 at the start of a run; correct "
            "a bias by memory.average(x, decay, corrected=True), write a schedule with memory.time, or measure a run from "
            "rest with equation=bea.transient_equation(...)"
        )
    if np.ndim(theta0) > 1 or optimizer.batch_shape:
        raise ValueError(f"order_study takes one point and one configuration, not {theta0!r} and {optimizer!r}")
    horizon = one_number("the horizon", horizon, 0.0, 1e300, open_below=True)
    given = [step_size(h) for h in np.atleast_1d(np.asarray(hs, dtype=object))]
    if any(map(np.ndim, given)) or len(set(given)) < 2:
        raise ValueError(f"hs = {hs!r} must be at least two different positive step sizes")
    batches = getattr(equation, "batches", None)
    sizes, errors, scale = np.unique(given)[::-1], [], 0.0
    for h in sizes.tolist():
        steps = round(min(horizon / h, 2.0**63))
        if steps < 1 or abs(steps * h - horizon) > 1e-9 * horizon:
            raise ValueError(f"the step size {h} does not divide the horizon {horizon}; use horizon / (whole number)")
        memory = None if from_rest else _slow_manifold(optimizer, loss, max(order, expected), theta0, h)
        try:
            iterates = run(optimizer, loss, theta0, h, steps, batches=batches, memory=memory)
        except Divergence as problem:
            if memory is None or problem.step > 1 or all(np.all(value >= 0) for value in memory):
                raise
            raise Divergence(
                "the run diverged at step 1: the memory from which it starts is expanded in h, and holds negative numbers "
                f"at h = {h}; if an average of squares is negative, take a smaller h or smaller decays, or compare "
                'bea.run with the bea.flow of an equation with memory="kept"',
                problem.step,
                problem.path,
            ) from None
        path = flow(
            equation, theta0, h, steps, tolerance=1e-13
        )  # by DOP853, or step by step RK45: more accurate than odeint near the floor
        errors.append(np.linalg.norm(path - iterates, axis=-1).max())
        scale = max(scale, float(np.abs(iterates).max()))
    return Study(sizes, np.array(errors), expected, scale)


def _slow_manifold(optimizer: Optimizer, loss: Any, order: int, theta0: Any, h: float) -> Any:
    """Return the memory of a run that has always followed its equation.

    It is that of the true equation, also when a control is measured, and of two terms more, so that
    the start adds nothing to the error.  A loss that knows no more than `order` terms still gives the order.
    """
    try:
        return modified_equation(optimizer, loss, order + 2).memory(theta0, h)
    except (TypeError, ValueError):
        return modified_equation(optimizer, loss, order).memory(theta0, h)
