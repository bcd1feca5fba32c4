r"""The piecewise equation of a run from its first step on: the Adam paper's theorem, for any program.

While the memory fills, each step follows an equation of its own.  On :math:`[t_n, t_{n+1}]`, with
averages and their weights as the optimizer has them at step n,

.. math:: \dot\theta = -U^{(n)}(\theta) - h\Bigl(\Delta U^{(n)}(\theta) - \tfrac12 \dot
          U^{(n)}(\theta)\Bigr),

where :math:`\Delta U^{(n)}` is what the step changes by because step k saw the gradient not at
:math:`\theta` but at :math:`\theta + h\sum_{l=k}^{n-1} U^{(l)}(\theta)`, and :math:`\dot U^{(n)}` is
the derivative of :math:`U^{(n)}` along :math:`-U^{(n)}`.

The definition is :func:`_step_by_step`: run the program from step 0 to n on numbers, with theta held
fixed, and then on series of two terms.  Two readings do the same at once, and are compared with it
before they are used: all steps on a last axis (:class:`_History`), and one step with the mean age of
the memory where every average of one loss is bias-corrected (:class:`_Lagged`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import sympy as sp
from scipy.signal import lfilter

from bea._validate import batch_sequence, step_size, whole, with_batch
from bea.losses import batch_losses
from bea.modified import (
    Equation,
    by_columns,
    check_optimizer,
    column,
    numeric,
    only,
    sum_powers,
    symbolic_start,
    update,
)
from bea.program import Along, Optimizer, Running, lag, tidy
from bea.series import Series, antidifference
from bea.trace import Traced

__all__ = ["TransientEquation", "transient_equation"]

NEGLIGIBLE = 1e-17  # weights below this leave no trace in a sum of floats


@dataclass(frozen=True, eq=False)
class TransientEquation(Equation):
    """The piecewise equation of an optimizer from its first step on, made by :func:`transient_equation`.

    Parameters
    ----------
    optimizer : Optimizer
    losses : tuple of losses
    order : int
        The number of terms, 1 or 2.
    batches : sequence of int, or None

    Examples
    --------
    >>> from bea.optimizers import rmsprop
    >>> from bea.losses import Loss
    >>> g = sp.Symbol("g", positive=True)
    >>> transient_equation(rmsprop(sp.Rational(3, 4), 0), Loss(g**2 / 2, (g,)), order=1).terms(0)
    (Matrix([[-2]]),)
    """

    optimizer: Optimizer
    losses: tuple[Any, ...]
    order: int
    batches: Any = None

    @property
    def loss(self) -> Any:
        """The loss, if there is only one."""
        return only(self.losses)

    def terms(self, n: int) -> tuple[sp.Matrix, ...]:
        r"""Return the coefficients :math:`(f_0^{(n)},)` or :math:`(f_0^{(n)}, f_1^{(n)})` on
        :math:`[t_n, t_{n+1}]`: SymPy column vectors."""
        self._check_step(n)
        start = symbolic_start(self.optimizer, self.losses)
        found = _step_by_step(self, self.optimizer, start, n, sp.Symbol("h", positive=True))
        return tuple(column(term) for term in found)

    def field(self, h: Any, n: int) -> Callable[..., np.ndarray]:
        r"""Return the right-hand side on :math:`[t_n, t_{n+1}]`: a function of theta, (d,) or (batch, d)."""
        h, optimizer = step_size(h), numeric(self.optimizer)
        self._check_step(n)

        def terms(optimizer: Optimizer, start: np.ndarray) -> np.ndarray:
            return self._terms(optimizer, start, n, h)

        def rhs(theta: Any, time: float = 0.0) -> np.ndarray:
            start = with_batch(self.losses[0].components(theta), optimizer.batch_shape)
            if start.ndim == 1:
                found = terms(optimizer, start)
            else:  # the last axis is taken by the steps
                found = by_columns(terms, optimizer, start, {"mixes": True})
            return sum_powers(np.moveaxis(found, 1, -1), h)

        return rhs

    def pieces(self, h: Any, steps: int) -> Iterator[Callable[..., np.ndarray]]:
        """Yield the fields of the steps 0, 1, ..., steps - 1, one after another."""
        h, steps = step_size(h), whole("steps", steps, 0)
        if steps:
            self._check_step(steps - 1)
        return (self.field(h, n) for n in range(steps))

    def _check_step(self, n: Any) -> None:
        whole("the step n", n, 0)
        if self.batches is not None and n >= len(self.batches):
            raise ValueError(
                f"step {n} was asked for, but batches names the mini-batches of {len(self.batches)} steps only"
            )

    def _terms(self, optimizer: Optimizer, start: np.ndarray, n: int, h: float) -> np.ndarray:
        """The terms at one point by the first reading that can be trusted."""
        trusted = self.__dict__.setdefault("trusted", {})
        for reading in (_lagged, _history):
            if trusted.get(reading, True):
                try:
                    found = reading(self, optimizer, start, n, h)
                    if reading not in trusted and n > 1:
                        check = reading(self, optimizer, start, min(n, 5), h)
                        plain = _step_by_step(self, optimizer, start, min(n, 5), h)
                        trusted[reading] = np.allclose(check, plain, rtol=1e-9, atol=1e-300, equal_nan=True)
                    if trusted.get(reading, False):
                        return found
                except (_NotCovered, TypeError, ValueError):
                    trusted[reading] = False
        return np.stack(_step_by_step(self, optimizer, start, n, h))


def transient_equation(
    optimizer: Optimizer, loss_or_losses: Any, order: int = 2, batches: Any = None
) -> TransientEquation:
    r"""Return the piecewise modified equation of a run that starts with empty memory.

    The global error is :math:`O(h^{\text{order}})` on a fixed horizon.

    Parameters
    ----------
    optimizer : Optimizer
    loss_or_losses : one loss (full batch), or a list of mini-batch losses
    order : int
        The number of terms, 1 or 2.
    batches : sequence of int, optional
        For several losses, the index of the mini-batch of each step.

    Returns
    -------
    TransientEquation

    Raises
    ------
    TypeError, ValueError
        If `order` is neither 1 nor 2, or `batches` does not fit the losses.

    References
    ----------
    Cattaneo, Klusowski and Shigida (2024), for RMSProp and Adam.

    Examples
    --------
    Bias-corrected averages of one loss are the gradient itself at leading order, from the first
    step on:

    >>> from bea.losses import Loss
    >>> from bea.optimizers import adam
    >>> x = sp.Symbol("x")
    >>> equation = transient_equation(adam(beta=0.5, rho=0.5, epsilon=0.0), Loss(x**2 / 2, (x,)))
    >>> equation.field(h=0.1, n=0)([2.0]).tolist()
    [-1.0]
    """
    check_optimizer(optimizer)
    order = whole("order, the number of terms,", order, 1)
    if order > 2:
        raise ValueError(
            f"order = {order} was given; the piecewise equation is known to order 1 or 2 "
            "(modified_equation has no such limit)"
        )
    losses = batch_losses(loss_or_losses)
    batches = batch_sequence(batches, len(losses))
    return TransientEquation(optimizer, losses, order, batches if batches is None else tuple(batches))


# --- the definition ------------------------------------------------------------------------------


def _step_by_step(
    equation: TransientEquation, optimizer: Optimizer, theta: np.ndarray, n: int, h: Any
) -> list[np.ndarray]:
    """Return the terms of piece n at `theta`, by running the program from step 0 to n twice."""
    here = Series.from_polynomials([[theta]])
    gradients: list[dict[int, Any]] = [{} for _ in equation.losses]

    def frozen(k: int) -> Callable[[Any], Any]:
        return _remembering(_loss_of(equation, k).gradient_code, here, gradients[_batch(equation, k)])

    reading = _Weighted if theta.dtype == object else Running
    memory, updates = reading(h), []
    for k in range(n + 1):
        updates.append(update(optimizer, frozen(k), here, memory, here).leading)
        memory = memory.advance()
    if equation.order == 1:
        return [-updates[-1]]
    behind = [0 * theta]  # step k saw the gradient at theta + h * behind[k] = theta + h (U^(k) + ... + U^(n-1))
    for u in updates[-2::-1]:
        behind.insert(0, behind[0] + u)
    memory = reading(h)
    for k in range(n + 1):
        seen = Series.from_polynomials([[theta], [behind[k], -updates[-1]]])
        step = update(optimizer, _loss_of(equation, k).gradient_code, seen, memory, seen)
        memory = memory.advance()
    return [-updates[-1], antidifference(-step.coefficients[1])[1]]


def _batch(equation: TransientEquation, k: int) -> int:
    return 0 if equation.batches is None else equation.batches[k]


def _loss_of(equation: TransientEquation, k: int) -> Any:
    return equation.losses[_batch(equation, k)]


def _remembering(gradient: Callable[[Any], Any], at: Any, known: dict[int, Any]) -> Callable[[Any], Any]:
    """Return the gradient, computed only once at the point that stays fixed."""

    def remembered(theta: Any) -> Any:
        if theta is not at:
            return gradient(theta)
        if 0 not in known:
            known[0] = gradient(theta)
        return known[0]

    return remembered


class _Weighted(Running):
    """Averages of symbols as sums of weights: what was seen more than once is added up first."""

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Series:
        decay = decay.leading.item() if isinstance(decay, Series) else decay
        past, p = self._last(())
        past, p = [*((w * decay, value) for w, value in past), (1 - decay, x)], p * decay
        self.new.append((past, p))
        total = 1 - p if corrected else 1
        found = np.empty_like(x.coefficients)
        for at in np.ndindex(found.shape):
            gathered: dict[Any, Any] = {}
            for w, value in past:
                entry = value.coefficients[at]
                gathered[entry] = gathered.get(entry, 0) + w
            found[at] = sum(tidy(w / total) * entry for entry, w in gathered.items())
        return Series(found)


# --- all steps at once ---------------------------------------------------------------------------


class _NotCovered(Exception):
    """A reading that does not cover the program."""


class _History:
    """The memory of all steps 0, ..., n at once: every value has the steps on its last axis."""

    def __init__(self, h: Any, first: int, count: int) -> None:
        self.h, self.count = h, count
        self.step = np.arange(first, first + count, dtype=float)

    @property
    def time(self) -> np.ndarray:
        return self.h * self.step

    def _full(self, x: Any) -> Any:
        values = x.coefficients if isinstance(x, Series) else np.asarray(x, dtype=float)
        if values.ndim < (3 if isinstance(x, Series) else 1) or values.shape[-1] not in (
            1,
            self.count,
        ):
            raise _NotCovered
        return np.broadcast_to(values, (*values.shape[:-1], self.count))

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Any:
        if not isinstance(decay, float):
            raise _NotCovered
        values = lfilter([1 - decay], [1, -decay], self._full(x), axis=-1)
        if corrected:
            values = values / (1 - decay ** np.arange(1, self.count + 1))
        return Series(values) if isinstance(x, Series) else values

    def previous(self, x: Any, start: Any = 0.0) -> Any:
        if np.ndim(start) or isinstance(start, Series):
            raise _NotCovered
        values = self._full(x)
        shifted = np.empty_like(values)
        shifted[..., 1:], shifted[..., 0] = values[..., :-1], 0
        if isinstance(x, Series):
            shifted[0, 0, ..., 0] = start
            return Series(shifted)
        shifted[..., 0] = start
        return shifted


def _history(
    equation: TransientEquation, optimizer: Optimizer, theta: np.ndarray, n: int, h: float
) -> list[np.ndarray]:
    """Return the terms of piece n with all steps on the last axis, from the first whose weight counts."""
    first = max(0, n - _window(equation, optimizer, theta, n, h))
    steps = n + 1 - first
    batches = [_batch(equation, k) for k in range(first, n + 1)]
    used = sorted(set(batches))
    place = np.array([used.index(b) for b in batches])

    def gradient(point: Any) -> Any:
        if len(used) == 1:
            return equation.losses[used[0]].gradient_code(point)
        if isinstance(point, Series):
            found = np.zeros_like(point.coefficients)
            for i, b in enumerate(used):
                at = np.flatnonzero(place == i)
                found[..., at] = equation.losses[b].gradient_code(Series(point.coefficients[..., at])).coefficients
            return Series(found)
        point = np.broadcast_to(point, (len(theta), point.shape[-1]))
        every = [equation.losses[b].gradient_code(np.ascontiguousarray(point)) for b in used]
        if point.shape[-1] == 1:
            return np.concatenate(every, axis=-1)[:, place]
        return np.choose(place, every)

    with np.errstate(all="ignore"):
        updates = optimizer(theta[:, None], gradient, _History(h, first, steps))
        updates = np.broadcast_to(updates, (len(theta), steps))
        if equation.order == 1:
            return [-updates[:, -1]]
        behind = np.zeros((len(theta), steps))
        behind[:, :-1] = np.cumsum(updates[:, -2::-1], axis=-1)[:, ::-1]
        seen = np.zeros((2, 2, len(theta), steps))
        seen[0, 0], seen[1, 0], seen[1, 1] = theta[:, None], behind, -updates[:, -1:]
        like = Series(seen)
        step = update(optimizer, gradient, like, _History(h, first, steps), like)
    return [-updates[:, -1], antidifference(-step.coefficients[1, :, :, -1])[1]]


def _window(equation: TransientEquation, optimizer: Optimizer, theta: np.ndarray, n: int, h: float) -> int:
    """How many steps back a step can still be felt; found from the decays that the program uses."""

    class Looking(Running):
        def average(self, x: Any, decay: Any, corrected: bool = False) -> Any:
            decays.append(decay)
            return super().average(x, decay, corrected)

    decays: list[Any] = []
    for k in (0, n):
        optimizer(theta, _loss_of(equation, k).gradient_code, Looking(h, step=k))
    half = len(decays) // 2
    if not all(isinstance(d, float) for d in decays) or decays[:half] != decays[half:]:
        return n  # decays that change: nothing may be left out
    slowest = max(decays, default=0.0)
    if slowest == 0.0:
        return 2
    alone = log(NEGLIGIBLE) / log(slowest)
    # averages of averages fade later; and the steps that are seen must have had full memory
    return int(2 * (1.25 * alone * max(1, half) ** 0.5 + 60))


class _Lagged(Along):
    """Two terms along a curve for one loss and bias-corrected averages: each is as old as its mean age.

    The ages come in the order of the calls; without them, as at step 0, they are zero, the decays are
    collected, and what this reading does not cover is refused.
    """

    def __init__(self, like: Series, ages: Any = None) -> None:
        super().__init__(like)
        self.ages, self.decays = ages, []  # type: ignore[var-annotated]

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Series:
        x = self.series(x)
        self.decays.append(decay)
        if self.ages is None:
            nested = np.any(x.coefficients[1, 0] != 0)  # every average leaves this mark
            if nested or not corrected or not isinstance(decay, float):
                raise _NotCovered
            return x + self._linear(1, 0)
        m = x.coefficients.copy()
        m[1, 0] = m[1, 0] - self.ages[len(self.decays) - 1] * m[1, 1]
        return Series(m)

    def previous(self, x: Any, start: Any = 0.0) -> Series:
        raise _NotCovered

    @property
    def h(self) -> Series:
        raise _NotCovered

    time = step = h  # type: ignore[assignment]


def _lagged(equation: TransientEquation, optimizer: Optimizer, theta: np.ndarray, n: int, h: float) -> np.ndarray:
    """Return the terms of piece n where all updates at one point are equal: no sum over steps is left."""
    if equation.order == 1 or equation.batches and len(set(equation.batches[: n + 1])) > 1:
        raise _NotCovered
    loss, known = _loss_of(equation, n), equation.__dict__.setdefault("lagged", {})

    def terms(x: np.ndarray) -> np.ndarray:
        theta, ages = x[: loss.dimension], x[loss.dimension :]
        still = Series.from_polynomials([[theta], [0 * theta]])
        f_0 = -update(optimizer, loss.gradient_code, still, _Lagged(still, ages), still).leading
        moving = Series.from_polynomials([[theta], [0 * theta, f_0]])
        step = update(optimizer, loss.gradient_code, moving, _Lagged(moving, ages), moving)
        return np.stack([f_0, antidifference(-step.coefficients[1])[1]])

    if optimizer not in known:
        still = Series.from_polynomials([[theta], [0 * theta]])
        looking = _Lagged(still)
        update(optimizer, loss.gradient_code, still, looking, still)
        traceable = hasattr(loss, "gradient_expressions")
        known[optimizer] = looking.decays, Traced(terms) if traceable else terms
    decays, fast = known[optimizer]
    return fast(np.concatenate([theta, [lag(decay, n) for decay in decays]]))
