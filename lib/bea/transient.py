r"""The transient equation of a run from its first step on: the Adam paper's theorem, for any program.

While the memory fills, each step follows an equation of its own.  On :math:`[t_n, t_{n+1}]`, with
averages and their weights as the optimizer has them at step n,

.. math:: \dot\theta = -U^{(n)}(\theta) - h\Bigl(\Delta U^{(n)}(\theta) - \tfrac12 \dot
          U^{(n)}(\theta)\Bigr),

where :math:`\Delta U^{(n)}` is what the step changes by because step k saw the gradient not at
:math:`\theta` but at :math:`\theta + h\sum_{l=k}^{n-1} U^{(l)}(\theta)`, and :math:`\dot U^{(n)}` is
the derivative of :math:`U^{(n)}` along :math:`-U^{(n)}`.

By definition, the program runs from step 0 to n with theta held fixed, and then on series of two
terms.  Two readings are faster, and are compared with this one before they are used: all steps at
once on a last axis (:class:`_AllSteps`), and the last step alone, where every average of one loss is
bias-corrected and so is as old as its mean age (:class:`_MeanAge`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import sympy as sp
from scipy.linalg.lapack import dtbtrs

from bea._validate import columns_apart, finite_batches, interval, step_size, whole, with_batch
from bea.losses import NumericLoss, Problem, batch_losses
from bea.modified import (
    Equation,
    by_columns,
    column,
    one_in_numbers,
    only,
    sum_powers,
    symbolic_start,
)
from bea.program import (
    Memory,
    Optimizer,
    Running,
    check_decay,
    check_optimizer,
    numeric,
    read_by,
    remembered,
    tidy,
    update,
)
from bea.series import Series, antidifference
from bea.trace import Traced

__all__ = ["TransientEquation", "transient_equation"]


EARLY, TINY = 40, (1e-8, 1e-11)  # steps of a run, and their lengths, by which a program is tried


@dataclass(frozen=True, eq=False)
class TransientEquation(Equation):
    """The transient equation of an optimizer from its first step on, made by :func:`transient_equation`.

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
        r"""Return the coefficients of the equation of step n.

        Parameters
        ----------
        n : int
            The number of the step, 0 or more.

        Returns
        -------
        tuple of SymPy column vectors
            :math:`(f_0^{(n)},)` or :math:`(f_0^{(n)}, f_1^{(n)})` on :math:`[t_n, t_{n+1}]`.

        Raises
        ------
        TypeError, ValueError
            If `n` is not such a number, or if a loss or an optimizer is numeric only.
        """
        self._check_step(n)
        start = symbolic_start(self.optimizer, self.losses)
        if (some := one_in_numbers(self.optimizer)) is not None:
            self._check(some, np.linspace(0.5, 1.5, len(start)))
        found = self._step_by_step(self.optimizer, start, n, sp.Symbol("h", positive=True))
        return tuple(map(column, found))

    def field(self, h: Any, n: int) -> Callable[..., np.ndarray]:
        r"""Return the right-hand side on :math:`[t_n, t_{n+1}]`.

        Parameters
        ----------
        h : float
            Step size.
        n : int
            The number of the step, 0 or more.

        Returns
        -------
        function of theta, an array of shape (d,) or (batch, d)

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or out of its range, or if the optimizer holds symbols.
        """
        h, optimizer = step_size(h), numeric(self.optimizer)
        if np.ndim(h):
            raise ValueError(f"the field of a transient equation takes one step size, not {h!r}")
        self._check_step(n)

        def rate(point: np.ndarray) -> np.ndarray:
            start = with_batch(point, optimizer.batch_shape)
            # point after point: the last axis is taken by the steps
            found = by_columns(partial(self._numbers, n, h), optimizer, start, {"mixes": True})
            return sum_powers(np.moveaxis(found, 1, -1), h)

        def rhs(theta: Any) -> np.ndarray:
            return rate(self.losses[0].components(theta))

        rhs.held = lambda: lambda theta: rate(Problem.components(self.losses[0], theta))  # type: ignore[attr-defined]
        return rhs

    def pieces(self, h: Any, steps: int) -> Iterator[Callable[..., np.ndarray]]:
        """Return the fields of the steps 0, 1, ..., steps - 1, one after another.

        Parameters
        ----------
        h : float
            Step size.
        steps : int
            The number of steps.

        Returns
        -------
        iterator of functions of theta, as from :meth:`field`

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or out of its range.
        """
        return iter([self.field(h, n) for n in range(whole("steps", steps, 0))])

    def _check_step(self, n: Any) -> None:
        whole("the step n", n, 0)
        if self.batches is not None and n >= len(self.batches):
            raise ValueError(
                f"step {n} was asked for, but batches names the mini-batches of {len(self.batches)} steps only"
            )

    def _check(self, optimizer: Optimizer, theta: np.ndarray) -> None:
        """Refuse a program whose first steps on a generic loss are not those at a fixed point, however small they are."""
        checked, gradient = self.__dict__.setdefault("checked", set()), _generic(len(theta), 0).gradient_code
        if optimizer in checked:
            return

        def updates(h: float, moved: bool) -> np.ndarray:
            memory, point, found = _Timed(h), theta.copy(), []
            for _ in range(EARLY):
                found.append(optimizer(point, gradient, memory))
                point, memory = point - moved * h * found[-1], memory.advance()
            return np.array(found)

        def apart(length: float) -> float:
            """The largest relative difference of an update, for moves of this length."""
            h = length / max(1.0, np.abs(optimizer(theta.copy(), gradient, _Timed(length))).max())
            both = np.array([updates(h, True), updates(h, False)])
            finite = np.isfinite(both).all(axis=(1, 2))
            if not finite.all():
                return np.inf if finite.any() else 0.0
            return float(
                (np.abs(both[0] - both[1]).max(axis=1) / np.maximum(np.abs(both).max(axis=(0, 2)), 1e-300)).max()
            )

        found = False
        with suppress(Exception), np.errstate(all="ignore"):  # an error comes again where the terms are used
            # for a smooth program each is about as long as the moves, so that small is a thousandth of large
            large, small = map(apart, TINY)
            found = large > 1e3 * TINY[0] and small >= large / 100
        if found:
            raise ValueError(
                f"{optimizer.name} has no expansion: however small the steps, it does not do what it does at a fixed point. "
                "It divides by memory.h what does not go to 0 with it, or a change from step to step, or it compares what "
                "differs by such changes alone; for b times the move of the step before write memory.average(g, b) / (1 - b) "
                "instead of g - b * (theta - memory.previous(theta)) / memory.h"
            )
        checked.add(optimizer)

    def _numbers(self, n: int, h: Any, optimizer: Optimizer, theta: np.ndarray) -> np.ndarray:
        """Return the terms at one point, by a reading that was compared with the definition."""
        trusted = self.__dict__.setdefault("trusted", {}).setdefault(optimizer, {})
        self._check(optimizer, theta)
        read = read_by(optimizer)
        if read is None:
            return self._step_by_step(optimizer, theta, n, h)
        last = min(len(self.batches) - 1 if self.batches else 5, 5)
        return remembered(trusted, read, lambda: self._fastest(optimizer, theta, last, h))(theta, n, h)

    def _fastest(self, optimizer: Optimizer, theta: np.ndarray, n: int, h: Any) -> Callable[..., np.ndarray]:
        """Return the fastest function of theta, n and h that agrees with the definition, also on generic losses."""
        generic = tuple(_generic(len(theta), seed) for seed in range(len(self.losses)))
        equations = self, TransientEquation(optimizer, generic, self.order, self.batches)
        for readings in zip(*(equation._readings(optimizer) for equation in equations)):
            try:
                pairs = [(r(theta, n, h), e._step_by_step(optimizer, theta, n, h)) for r, e in zip(readings, equations)]
                if all(np.allclose(found, wanted, rtol=1e-9, atol=1e-300) for found, wanted in pairs):
                    return readings[0]
            except (AttributeError, LookupError, TypeError, ValueError):
                pass  # the program asks for what this reading does not have
        return partial(self._step_by_step, optimizer)

    def _readings(self, optimizer: Optimizer) -> list[Callable[..., np.ndarray]]:
        """Return the fast readings as functions of theta, n and h, the fastest first."""

        def at_once(theta: np.ndarray, n: int, h: Any) -> np.ndarray:
            def program(points: np.ndarray) -> np.ndarray:
                return optimizer(points, lambda points: points + 0.5, _AllSteps(h, n + 1))

            if optimizer not in self.__dict__.setdefault("apart", set()):
                if n and not columns_apart(program, np.repeat(theta[:, None], n + 1, axis=1), last=False):
                    raise ValueError("the program mixes the steps")
                self.__dict__["apart"].add(optimizer)
            return self._terms(optimizer, theta, n + 1, self._at_once, partial(_AllSteps, h, n + 1))

        def last(x: np.ndarray) -> np.ndarray:
            return self._terms(optimizer, x[:-1], 1, self._in_turn, partial(_MeanAge, x[-1]))

        traced = Traced(last) if hasattr(self.losses[0], "gradient_expressions") else last

        def mean_age(theta: np.ndarray, n: int, h: Any) -> np.ndarray:
            return traced(np.append(theta, n))

        return [mean_age, at_once] if len(set(self.batches or [0])) == 1 else [at_once]

    def _step_by_step(self, optimizer: Optimizer, theta: np.ndarray, n: int, h: Any) -> np.ndarray:
        """Return the terms of piece n by their definition."""
        if theta.dtype == object:
            with suppress(Varying):
                return self._terms(optimizer, theta, n + 1, self._in_turn, partial(_Weighted, h))
        return self._terms(optimizer, theta, n + 1, self._in_turn, partial(Running, h))

    def _terms(self, optimizer: Optimizer, theta: np.ndarray, steps: int, updates: Any, memory: Any) -> np.ndarray:
        """Return the terms of the last of some steps, all of which `updates` makes, each at its column of points."""
        here = np.repeat(theta[:, None], steps, axis=1)
        still = updates(optimizer, Series.from_polynomials([[here]]), memory()).leading
        if self.order == 1:
            return -still[None, :, -1]
        behind = 0 * here  # step k saw the gradient at theta + h behind[k] = theta + h (U^(k) + ... + U^(n-1))
        behind[:, :-1] = np.cumsum(still[:, -2::-1], axis=1)[:, ::-1]
        seen = Series.from_polynomials([[here], [behind, -still[:, -1:]]])
        turning = updates(optimizer, seen, memory()).coefficients[1, :, :, -1]
        return np.stack([-still[:, -1], antidifference(-turning)[1]])

    def _in_turn(self, optimizer: Optimizer, points: Series, memory: Any) -> Any:
        """Return the updates of the steps, made one after another."""
        found = []
        for k in range(len(points.T)):
            gradient = self.losses[self.batches[k] if self.batches else 0].gradient_code
            found.append(update(optimizer, gradient, _plain(points[:, k]), memory))
            memory = memory.advance()
        return np.stack(found, axis=-1)

    @cached_property
    def _jacobians(self) -> list[Callable[[np.ndarray], np.ndarray]]:
        return [_jacobian(loss) for loss in self.losses]

    def _at_once(self, optimizer: Optimizer, points: Series, memory: Any) -> Series:
        """Return the updates of the steps, all made at once."""
        batches = np.array(self.batches or [0] * points.shape[1])[: points.shape[1]]

        def gradient(points: Any) -> Any:
            found = np.zeros_like(points)
            for batch in np.unique(batches):
                here = np.flatnonzero(batches == batch)
                found[:, here] = _gradients(self.losses[batch], self._jacobians[batch], points[:, here])
            return found

        with np.errstate(all="ignore"):
            return update(optimizer, gradient, _plain(points), memory)


def transient_equation(
    optimizer: Optimizer, loss_or_losses: Any, order: int = 2, batches: Any = None
) -> TransientEquation:
    r"""Return the transient equation of a run that starts with empty memory.

    The global error is :math:`O(h^{\text{order}})` on a fixed horizon if the decays stay below a number smaller
    than 1.  Where they tend to 1, as :math:`n/(n+1)` does, the memory grows with the run, and what is small is
    only the error after a fixed number of steps.

    ``memory.h`` is a number here: a program may divide by it a difference of gradients at points that are
    ``memory.h`` times something apart.  Where it divides anything else by it, also what changed from one step to
    the next, the terms and the field raise ValueError.

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
    order = whole("order, the number of terms of a transient equation,", order, 1, 2)
    losses = batch_losses(loss_or_losses)
    check_optimizer(optimizer, losses[0])
    return TransientEquation(optimizer, losses, order, finite_batches(batches, len(losses)))


# --- three readings of a program --------------------------------------------------------------------


def _plain(points: Series) -> Any:
    """Return an array instead of a Series of one term: it is the same, and faster."""
    return points.leading if points.terms == 1 and points.dtype != object else points


def _generic(dimension: int, seed: int) -> NumericLoss:
    """Return a loss whose gradient is linear and nowhere degenerate."""
    slopes = np.random.default_rng(seed).uniform(0.5, 1.5, dimension)

    def gradient(theta: Any) -> Any:
        return (theta.T * slopes).T + np.roll(theta, 1, 0) / 3 + slopes[0]

    return NumericLoss(dimension, None, gradient)


def _gradients(loss: Any, jacobian: Callable[[np.ndarray], np.ndarray], points: Any) -> Any:
    """Return the gradients at the columns of points, an array or a Series of two terms.

    Where all columns move away from one point, its Hessian serves all of them.
    """
    theta = points.leading if isinstance(points, Series) else points
    if theta.shape[1] <= len(theta) or np.any(theta != theta[:, :1]):
        return loss.gradient_code(points)
    if not isinstance(points, Series):
        return np.repeat(loss.gradient_code(theta[:, 0])[:, None], theta.shape[1], axis=1)
    local, found = jacobian(theta[:, 0]), np.zeros_like(points.coefficients)
    found[0, 0], found[1] = local[:, :1], local[:, 1:] @ points.coefficients[1]
    return Series(found)


def _jacobian(loss: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of a point that gives the gradient and the Hessian, side by side."""

    def plain(theta: np.ndarray) -> np.ndarray:
        here = np.repeat(theta[:, None], len(theta), axis=1)
        return np.append(loss.gradient_code(theta)[:, None], loss.product_code(here, np.eye(len(theta))), axis=1)

    return Traced(plain) if hasattr(loss, "gradient_expressions") else plain


class _Timed(Running):
    """The memory of a run whose times are 0, 1, 2, ... whatever memory.h is."""

    __slots__ = ()

    @property
    def time(self) -> Any:
        """The number of the step."""
        return 1.0 * self.step


class Varying(Exception):
    """A decay depends on the point."""


class _Weighted(Running):
    """Averages of symbols as sums of weights: what was seen more than once is added up first."""

    __slots__ = ()

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Any:
        if isinstance(decay, Series):
            if np.any(decay.coefficients[1:] != 0):
                raise Varying
            decay = decay.leading.item()
        check_decay(decay, x)
        past, p = self._last({}, "average")
        p = p * decay
        total = 1 - p if corrected else 1

        def added(weights: dict[Any, Any], entry: Any) -> dict[Any, Any]:
            faded = {seen: weight * decay for seen, weight in weights.items()}
            return {**faded, entry: faded.get(entry, 0) + 1 - decay}

        def summed(weights: dict[Any, Any]) -> Any:
            return sum(tidy(weight / total) * entry for entry, weight in weights.items())

        weights: Any = np.frompyfunc(added, 2, 1)(past, getattr(x, "coefficients", x))
        self.new.append((weights, p))
        found: Any = np.frompyfunc(summed, 1, 1)(weights)
        return Series(found) if isinstance(x, Series) else found


class _AllSteps(Memory):
    """The memory of the steps 0, 1, ... at once: every value has them on its last axis."""

    __slots__ = ("h", "step", "time")

    def __init__(self, h: Any, steps: int) -> None:
        self.h, self.step = h, np.arange(steps, dtype=float)
        self.time = h * self.step

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Any:
        """Solve m_k - d_k m_(k-1) = (1 - d_k) x_k for all k."""
        decays = interval("a decay", np.broadcast_to(decay, self.step.shape), 0.0, 1.0)
        values = getattr(x, "coefficients", x)
        bands = np.array([-decays, np.ones(len(decays))])
        m, _ = dtbtrs(bands, ((1 - decays) * values).reshape(-1, len(decays)).T, trans="T")
        m = m.T.reshape(values.shape) / (1 - np.cumprod(decays) if corrected else 1)
        return Series(m) if isinstance(x, Series) else m

    def previous(self, x: Any, start: Any = 0.0) -> Any:
        before = np.zeros_like(x)
        before[..., 0], before[..., 1:] = start, x[..., :-1]
        return before


class _MeanAge(Memory):
    """The memory after step n if there is one loss and every average is corrected: each is as old as its mean age."""

    __slots__ = ("n",)

    def __init__(self, n: Any) -> None:
        self.n = n

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Any:
        if not corrected:
            raise TypeError("without bias correction an average also depends on how long it has run")
        if not isinstance(decay, float):
            raise TypeError("the mean age belongs to a decay that is a number")
        check_decay(decay, x)
        left = decay ** (self.n + 1)
        age = decay / (1 - decay) - (self.n + 1) * left / (1 - left)
        return x - age * (x - x.shift(-1)) if isinstance(x, Series) else x

    def advance(self) -> _MeanAge:
        return self
