r"""Order as a measurement: the error against the step size, and its slope."""

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real

import numpy as np

from bea.flow import flow, run
from bea.modified import modified_equation, step_size

__all__ = ["Study", "order_study"]


@dataclass(frozen=True)
class Study:
    r"""Errors :math:`\max_n \lVert\theta(t_n) - \theta^{(n)}\rVert` at several step sizes.

    Attributes
    ----------
    hs, errors : arrays, the largest step size first

    Examples
    --------
    >>> study = Study(np.array([0.1, 0.05]), np.array([3e-2, 7.5e-3]))
    >>> study.slope
    2.0
    >>> study.verdict(2)
    'slope 2.00 over h = 0.05 to 0.1: order 2 holds'
    """

    hs: np.ndarray
    errors: np.ndarray

    def __post_init__(self):
        for name in ("hs", "errors"):
            values = np.asarray(getattr(self, name))
            if values.dtype.kind not in "iuf" or values.ndim != 1:
                raise TypeError(
                    f"{name} must be a sequence of numbers, not {getattr(self, name)!r}"
                )
            if not np.all(np.isfinite(values)) or np.any(values < 0):
                raise ValueError(f"{name} = {values} must be finite and not negative")
            object.__setattr__(self, name, values)
        if len(self.hs) != len(self.errors) or len(self.hs) < 2 or not np.all(self.hs > 0):
            raise ValueError(
                f"a study needs two positive step sizes or more, and an error for each; not {self.hs} and {self.errors}"
            )

    @property
    def slope(self):
        """The slope of log error against log h, by least squares over all step sizes."""
        return float(np.round(np.polyfit(np.log(self.hs), np.log(self.errors), 1)[0], 12))

    @property
    def slopes(self):
        """The slope between each step size and the next."""
        return np.diff(np.log(self.errors)) / np.diff(np.log(self.hs))

    def verdict(self, order, tolerance=0.1):
        """Whether the measured slope is ``order`` within ``tolerance``, in words, with the window
        it was fitted over."""
        for name, value in (("order", order), ("tolerance", tolerance)):
            if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
                raise TypeError(f"{name} = {value!r} must be a real number")
            if not 0 <= value < 1e9:
                raise ValueError(f"{name} = {value} must be a moderate number, not negative")
        holds = abs(self.slope - order) <= tolerance
        return f"slope {self.slope:.2f} over h = {self.hs.min():g} to {self.hs.max():g}: order {order} {'holds' if holds else 'does NOT hold'}"


def order_study(optimizer, loss, theta0, horizon, hs, order=2, *, equation=None, start=None):
    r"""The largest distance, over steps, of a run from the flow of its modified equation, at
    several step sizes.

    Parameters
    ----------
    optimizer, loss, theta0 : as for :func:`bea.flow.run`; one setting, one point
    horizon : the time T = steps * h, the same for all step sizes
    hs : two or more step sizes that divide the horizon
    order : the number of terms of the steady-state equation (not used if ``equation`` is given)
    equation : another equation to measure against: a transient one, or a control with a
        ``field(h)`` that should fail
    start : ``"slow manifold"``, a run whose memory is as if it had always followed the steady-state
        equation, or ``"rest"``, empty memory; without it rest for a transient equation, the slow
        manifold otherwise

    Returns
    -------
    Study

    Raises
    ------
    ValueError
        If a step size does not divide the horizon, or there are fewer than two.

    Examples
    --------
    >>> from bea.losses import bilinear
    >>> from bea.optimizers import gradient_descent
    >>> study = order_study(gradient_descent(), bilinear(), (0.9, 1.5), horizon=0.1, hs=[4e-3, 2e-3, 1e-3, 5e-4], order=2)
    >>> study.verdict(2)
    'slope 2.01 over h = 0.0005 to 0.004: order 2 holds'
    """
    if equation is None:
        equation = modified_equation(optimizer, loss, order)
    steady = not hasattr(equation, "pieces")
    if start is not None and not (isinstance(start, str) and start in ("slow manifold", "rest")):
        raise ValueError(f"start = {start!r} must be 'slow manifold' or 'rest'")
    from_rest = start == "rest" or (start is None and not steady)
    # two terms more than are measured, so that the start on the slow manifold is exact enough; and
    # always of the true equation, also when a control is measured: only the flow shall be wrong
    slow = None if from_rest else modified_equation(optimizer, loss, order + 2)
    if isinstance(hs, str) or not isinstance(hs, Iterable):
        raise TypeError(f"hs = {hs!r} must be a sequence of step sizes")
    needed = f"at least two different positive step sizes are needed for a slope, not {list(hs)}"
    try:
        sizes = np.array(sorted(map(step_size, hs), reverse=True))
    except ValueError as problem:
        raise ValueError(needed) from problem
    if len(sizes) < 2 or sizes[0] == sizes[-1]:
        raise ValueError(needed)
    if isinstance(horizon, bool) or not isinstance(horizon, Real):
        raise TypeError(f"the horizon {horizon!r} must be a number")
    if not 0 < horizon < 1e300:
        raise ValueError(f"the horizon {horizon} must be positive and finite")
    errors = []
    for h in sizes:
        steps = round(min(horizon / h, 2.0**63))
        if steps < 1 or abs(steps * h - horizon) > 1e-9 * horizon:
            raise ValueError(
                f"the step size {h} does not divide the horizon {horizon}; use horizon / (whole number)"
            )
        memory = None if slow is None else slow.memory(theta0, h)
        batches = getattr(equation, "batches", None)
        iterates = run(optimizer, loss, theta0, h, steps, batches=batches, memory=memory)
        errors.append(np.linalg.norm(flow(equation, theta0, h, steps) - iterates, axis=-1).max())
    return Study(sizes, np.array(errors))
