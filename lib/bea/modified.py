r"""Modified equations: the differential equation that an optimizer with finite steps really follows.

*Memory forgotten.*  Long after its start the iterates lie on a smooth curve that solves
:math:`\dot\theta = f_0(\theta) + h f_1(\theta) + h^2 f_2(\theta) + \dots`.  Writing the curve as
:math:`\theta(t+sh) = \sum_k h^k P_k(s)` turns "one step along the curve is one step of the
optimizer",

.. math:: \theta(t + (s+1)h) - \theta(t + sh) = -h\,U(s),

into :math:`P_{k+1}(s+1) - P_{k+1}(s) = -[h^k]\,U(s)`: a difference equation for one polynomial
after another, whose right-hand side needs only the polynomials that are known already.  Then
:math:`f_k(\theta) = P_{k+1}'(0)`.  The same lines give symbolic terms (coefficients: SymPy
expressions) and numbers (coefficients: arrays).

*Memory kept.*  If the memory is as long as the descent, hold its times fixed instead of its decays,
:math:`\beta = e^{-\kappa h}`: then the averages are coordinates of the curve beside
:math:`\theta`, and the same recursion gives the equation of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from itertools import repeat
from math import factorial, prod
from numbers import Rational
from typing import Any

import numpy as np
import sympy as sp

from bea._validate import all_finite, columns_apart, finite_batches, step_size, whole, with_batch
from bea.losses import Problem, batch_losses
from bea.program import (
    Along,
    Late,
    Memory,
    Misfit,
    Optimizer,
    asked_of_memory,
    check_decay,
    check_optimizer,
    collected,
    constant_readings,
    copied,
    numeric,
    read_by,
    reads_openly,
    remembered,
    tidy,
    update,
)
from bea.series import NoExpansion, Series, antidifference, ties
from bea.straight import alike
from bea.trace import Traced
from bea.vectors import Vectorial

__all__ = ["KeptEquation", "ModifiedEquation", "modified_equation"]


FLOAT = np.dtype(float)
EARLIER = (
    "with several losses the memory kept takes averages alone, all of them kept, and no memory.previous: what else is "
    "remembered depends on the mini-batches of the steps before; keep all averages, or use bea.transient_equation"
)
DECISIVE = 5  # polynomials after which values that are compared and equal so far are taken to be equal
#: The time in printed terms.
TIME = sp.Symbol("time", nonnegative=True)


class Equation:
    """What equations share: caches and traced functions are not pickled."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class ModifiedEquation(Equation):
    """The steady-state modified equation of an optimizer on a loss, made by :func:`modified_equation`.

    Parameters
    ----------
    optimizer : Optimizer
    loss : loss
    order : int
        The number of terms.

    Examples
    --------
    >>> from bea.losses import VectorField
    >>> from bea.optimizers import gradient_descent
    >>> y = sp.Symbol("y")
    >>> equation = modified_equation(gradient_descent(), VectorField((y**2,), (y,)), order=2)
    >>> equation.field(h=0.5)([1.0]).tolist()
    [0.5]
    """

    optimizer: Optimizer
    loss: Any
    order: int

    @cached_property
    def terms(self) -> tuple[sp.Matrix, ...]:
        r"""The coefficients :math:`(f_0, \dots, f_{p-1})` of :math:`h^0, \dots, h^{p-1}`: SymPy column vectors.

        In a program that uses ``memory.time`` they contain the symbol :data:`TIME`.
        """
        start = symbolic_start(self.optimizer, (self.loss,))
        return tuple(column(f) for f in rates(curve(self.optimizer, self.loss, start, self.order, TIME)))

    def coefficients(self, theta: Any, time: float = 0) -> np.ndarray:
        r"""Return the numbers :math:`f_0(\theta), \dots, f_{p-1}(\theta)`, with no derivative of any field.

        Parameters
        ----------
        theta : array of shape (d,) or (batch, d)
            A single point of exact numbers (SymPy's or Python's fractions) and a symbolic loss give
            SymPy numbers, exact if the hyper-parameters are; these may then also be symbols.
        time : float
            For programs that use ``memory.time``.

        Returns
        -------
        array of shape (order, d) or (order, batch, d)

        Raises
        ------
        TypeError, ValueError
            If `theta` is not a point of the loss, a hyper-parameter is a symbol and the point one of
            floats, or the program has no expansion at `theta`.
        """
        exact = _is_exact(theta) and hasattr(self.loss, "gradient_expressions") and not self.optimizer.batch_shape
        if not exact:
            return self._numbers(numeric(self.optimizer), theta, time)
        self.loss.components(theta)  # checks the point
        start = np.array([sp.Rational(x) for x in theta], dtype=object)
        return rates(curve(self.optimizer, self.loss, start, self.order, time))

    def _numbers(
        self, optimizer: Optimizer, theta: Any, *given: float, function: Any = None, inner: bool = False
    ) -> np.ndarray:
        """Return the coefficients at points of floats and a time; if h is given as well, their sum."""

        def numbers(optimizer: Optimizer, start: np.ndarray) -> np.ndarray:
            return (function or self._function(optimizer, len(given)))(_joined(start, given))

        point = Problem.components(self.loss, theta) if inner else self.loss.components(theta)
        start = with_batch(point, optimizer.batch_shape)
        found = by_columns(numbers, optimizer, start, self.__dict__)
        return found if start.ndim == 1 else np.moveaxis(found, -2, -1)

    def _function(self, optimizer: Optimizer, given: int) -> Callable[[np.ndarray], np.ndarray]:
        """Return what :meth:`_numbers` computes as a function of one array, traced if nothing can change unseen."""
        program: Any = optimizer.program.__wrapped__  # type: ignore[attr-defined]
        last: Any = self.__dict__.get("last", (None, 0, None, None))
        if last[0] is optimizer and last[1] == given and last[2].holds(program):
            return last[3]  # often, as at every point of a path
        read = read_by(optimizer)

        def plain(loss: Any, x: np.ndarray) -> np.ndarray:
            d = len(x) - given
            found = rates(curve(optimizer, loss, x[:d], self.order, x[d]))
            return found if given == 1 else sum_powers(found, x[d + 1])

        symbolic = hasattr(self.loss, "gradient_expressions")
        if optimizer.batch_shape or read is None or not (symbolic or hasattr(self.loss, "whole_field")):
            return partial(plain, self.loss)

        def made() -> Any:
            return Traced(partial(plain, self.loss)) if symbolic else Vectorial(plain, self.loss)

        functions = self.__dict__.setdefault("functions", {}).setdefault((optimizer, given), {})
        function = remembered(functions, read, made)
        if (reading := constant_readings.get(program)) is not None and reading.found is read:
            self.__dict__["last"] = optimizer, given, reading, function
        return function

    def field(self, h: Any) -> Callable[..., np.ndarray]:
        r"""Return the right-hand side :math:`f_0 + h f_1 + \dots + h^{p-1} f_{p-1}` as a NumPy function.

        Parameters
        ----------
        h : float, or array (batch,)
            Step size.

        Returns
        -------
        function of theta, (d,) or (batch, d), and optionally the time
            It returns an array of the shape of theta, or (batch, d) if `h` or hyper-parameters are arrays.

        Raises
        ------
        TypeError, ValueError
            If `h` is not a positive number.
        """
        h, optimizer = step_size(h), numeric(self.optimizer)
        if isinstance(h, np.ndarray):

            def several(theta: Any, time: float = 0.0) -> np.ndarray:
                points = with_batch(self.loss.components(theta), h.shape).T
                return sum_powers(self._numbers(optimizer, points, time), h[:, None])

            return several
        shape = None if optimizer.batch_shape or getattr(self.loss, "declared", ()) else (self.loss.dimension,)
        blank = np.full(self.loss.dimension + 2, h)

        def field(theta: Any, time: float = 0.0) -> np.ndarray:
            if type(theta) is np.ndarray and theta.shape == shape and theta.dtype is FLOAT:
                function: Any = self._function(optimizer, 2)
                x = blank.copy()
                x[:-2], x[-2] = theta, time
                if type(function) is Traced and function.compiled is not None:
                    if (found := function.at_once(x)) is not None:
                        return found
                elif all_finite(x):
                    return function(x)
            return self._numbers(optimizer, theta, time, h)

        def held() -> Callable[..., np.ndarray]:
            if optimizer.batch_shape:
                return lambda theta, time=0.0: self._numbers(optimizer, theta, time, h, inner=True)
            function = self._function(optimizer, 2)

            def rate(theta: np.ndarray, time: float = 0.0) -> np.ndarray:
                if theta.ndim > 1:
                    return self._numbers(optimizer, theta, time, h, function=function, inner=True)
                x = blank.copy()
                x[:-2], x[-2] = theta, time
                return function(x)

            return rate

        field.held = held  # type: ignore[attr-defined]  # for a flow, during which the program stays what it is
        return field

    def memory(self, theta0: Any, h: Any) -> tuple[np.ndarray, ...]:
        r"""Return what the optimizer's memory holds just before its step from ``theta0`` on the slow manifold.

        A run that starts with it has no initial layer, and truncations show their order.

        Parameters
        ----------
        theta0 : array of shape (d,) or (batch, d)
        h : float, or array (batch,)
            Step size.

        Returns
        -------
        tuple of arrays
            One value for each call of the memory, in the order of the calls, coordinates first; a batch is their
            last axis.

        Raises
        ------
        TypeError, ValueError
            As for :meth:`coefficients`, and if `h` is not a positive number.
        """
        h, optimizer = step_size(h), numeric(self.optimizer)
        start = with_batch(with_batch(self.loss.components(theta0), optimizer.batch_shape), np.shape(h))

        def values(optimizer: Optimizer, point: np.ndarray, h: Any) -> list[np.ndarray]:
            memory = Along(Series.from_polynomials(curve(optimizer, self.loss, point, self.order)[:-1]))
            memory.update(optimizer, self.loss.gradient_code)
            return [np.asarray(value.at(-1, h)) for value in memory.kept]

        if start.ndim == 1:
            return tuple(values(optimizer, start, h))
        sizes = np.broadcast_to(h, start.shape[1:])
        shapes = [value.shape for value in values(optimizer.configuration(0), start[:, 0].copy(), sizes[0])]

        def rows(optimizer: Optimizer, point: np.ndarray, h: Any) -> np.ndarray:
            columns = point.shape[1:]
            found = [np.broadcast_to(v, s + columns) for v, s in zip(values(optimizer, point, h), shapes)]
            return np.concatenate([np.zeros((0, *columns)), *(v.reshape(-1, *columns) for v in found)])

        found = by_columns(rows, optimizer, start, self.__dict__, sizes)
        pieces = np.split(found, np.cumsum([prod(shape) for shape in shapes]))
        return tuple(piece.reshape(*shape, -1) for piece, shape in zip(pieces, shapes))


@dataclass(frozen=True, eq=False)
class KeptEquation(Equation):
    r"""The modified equation in which averages are coordinates, made by :func:`modified_equation`.

    The state z holds :math:`\theta` and, for each average that is kept, its value :math:`m` and, if
    it is bias-corrected, the weight :math:`p = \beta^n` that it has not gathered yet; coordinates
    first, one after another.

    Parameters
    ----------
    optimizer : Optimizer
    losses : tuple of losses
    order : int
        The number of terms.
    kept : tuple of bool, or None
        Which averages are kept, in the order of the calls; None if all are.
    batches : sequence of int, or None

    Examples
    --------
    >>> from bea.losses import Loss
    >>> from bea.optimizers import heavy_ball
    >>> x, beta = sp.symbols("x beta")
    >>> equation = modified_equation(heavy_ball(beta, damped=True), Loss(x**2 / 2, (x,)), 1, memory="kept")
    >>> equation.terms[0].T, equation.coordinates
    (Matrix([[-m_1_1, kappa_1*(-m_1_1 + x)]]), (x, m_1_1))
    """

    optimizer: Optimizer
    losses: tuple[Any, ...]
    order: int
    kept: tuple[bool, ...] | None = None
    batches: Any = None

    @property
    def loss(self) -> Any:
        """The loss, if there is only one."""
        return only(self.losses)

    @cached_property
    def coordinates(self) -> tuple[sp.Symbol, ...]:
        """The symbols of the state z, in the order of the entries of :attr:`terms`."""
        theta = symbolic_start(self.optimizer, (self.loss,))
        found = list(theta)
        for call, part, shape in self._layout(self.optimizer, theta, None):
            if part:
                found.append(sp.Symbol(f"p_{call}"))
            else:
                found += [sp.Symbol(f"m_{call}_{j}", real=True) for j in range(1, prod(shape) + 1)]
        return tuple(found)

    @cached_property
    def terms(self) -> tuple[sp.Matrix, ...]:
        r"""The coefficients of the powers of h: SymPy column vectors in the rates kappa_1, kappa_2, ...

        The rate of an average with the decay :math:`\beta` is :math:`\kappa = -\ln(\beta)/h`.  Other uses of
        a decay stay as they are: the terms of ``bea.heavy_ball(beta)`` hold beta beside kappa_1.
        """
        start, reading = np.array(self.coordinates, dtype=object), self._reading(None)
        return tuple(column(f) for f in rates(curve(self.optimizer, self.loss, start, self.order, TIME, reading)))

    def field(self, h: float, n: int | None = None) -> Callable[..., np.ndarray]:
        r"""Return the right-hand side as a NumPy function of the state.

        With two terms, if all that the memory holds is kept, the increment of one step is taken
        exactly, :math:`F(h) - \tfrac h2 \dot F_0`; the series :math:`F_0 + h(F_1 - \tfrac12 \dot
        F_0)` has the same order and a larger constant.

        Parameters
        ----------
        h : float
            Step size.
        n : int, optional
            With mini-batches, the step whose mini-batch is used.

        Returns
        -------
        function of the state z, (D,), and optionally the time
            It returns an array (D,).

        Raises
        ------
        TypeError, ValueError
            If `h` is not a positive number, or a hyper-parameter is a symbol.
        """
        h, optimizer = step_size(h), numeric(self.optimizer)
        if np.ndim(h):
            raise ValueError(f"the field of an equation with the memory kept takes one step size, not {h!r}")
        if self.batches is not None:
            n = whole("n, the step of a mini-batch,", n, 0, len(self.batches) - 1)
        loss = self.losses[0 if self.batches is None else self.batches[n]]
        reading = self._reading(h)

        def plain(x: np.ndarray) -> np.ndarray:
            z, time = x[:-1], x[-1]
            polynomials = curve(optimizer, loss, z, self.order, time, reading)
            if self.order == 2:
                step = reading(Series.from_polynomials([[z]]), time, exact=True)
                increment = -step.update(optimizer, loss.gradient_code).leading
                if step.all_kept:  # z(t + h) - z(t) = h dz/dt + h^2 P_2''(0)/2, and that is h^2 times P_2[2]
                    return increment - h * polynomials[2][2]
            return sum_powers(rates(polynomials), h)

        traced: dict[Any, Traced] = {}

        def rhs(z: Any, time: float = 0.0) -> np.ndarray:
            z = np.asarray(z)
            numbers = z.dtype.kind in "biufO" and all_finite(np.asarray(z, dtype=float))
            if z.ndim != 1 or len(z) < loss.dimension or not numbers:
                raise ValueError(f"a state must be one vector of finite real numbers, theta first, not {z!r}")
            x = _joined(z, (time,))
            read = read_by(optimizer)
            self._check_division(
                optimizer, lambda s: rates(curve(optimizer, loss, z, 4, time, partial(reading, seen=s)))
            )
            if read is None or not hasattr(loss, "gradient_expressions"):
                return plain(x)
            return remembered(traced, read, partial(Traced, plain))(x)

        return rhs

    def _check_division(self, optimizer: Optimizer, terms: Callable[[float], np.ndarray]) -> None:
        """Raise ValueError if terms grow without bound as the number that is memory.h goes to 0; asked at one point."""
        if self.__dict__.get("divided"):
            return
        try:
            with np.errstate(all="ignore"):
                large, small, smallest = (np.abs(terms(h)).sum() for h in (1e-4, 1e-6, 1e-8))
        except NoExpansion:  # at this point: it comes again where the terms are used, and the next point is asked
            return
        except Exception:  # so does it
            large = small = smallest = 0.0
        if small > 5 * large and smallest > max(5 * small, 100):  # 100: above round-off divided by h**2
            raise ValueError(
                f"{optimizer.name} has no expansion: it divides by memory.h what does not go to 0 with it, or a change from "
                "step to step; for b times the move of the step before write memory.average(g, b) / (1 - b) instead of "
                "g - b * (theta - memory.previous(theta)) / memory.h"
            )
        self.__dict__["divided"] = np.isfinite([large, small, smallest]).all()

    def state(self, theta: np.ndarray, states: Sequence[tuple[Any, Any]], h: float) -> np.ndarray:
        """Return the state z that a run has at a point.

        Parameters
        ----------
        theta : array of shape (d,)
        states : sequence of pairs
            What the memory of the run holds there: values and weights.
        h : float
            Step size.

        Returns
        -------
        array of shape (D,)

        Raises
        ------
        ValueError
            If the run has made no step, and an average is bias-corrected.
        """
        parts = [(part, states[call - 1][part]) for call, part, _ in self._layout(numeric(self.optimizer), theta, h)]
        if any(part == 1 and np.any(np.equal(value, 1)) for part, value in parts):
            raise ValueError(
                "an average that is bias-corrected holds nothing before the first step; start the flow "
                "after some steps of the run, for example first=20; where h falls, after the same time"
            )
        return np.concatenate([theta, *(np.ravel(value) for _, value in parts)])

    def check_batches(self) -> None:
        """Raise ValueError if the memory holds more of earlier mini-batches than averages that are kept."""
        if len(self.losses) == 1 or (one := one_in_numbers(self.optimizer)) is None:
            return
        try:
            with np.errstate(all="ignore"):  # whatever the values are
                self._layout(one, np.linspace(0.5, 1.5, self.losses[0].dimension), 0.1)
        except Misfit as problem:
            raise ValueError(f"{self.optimizer.name} and {len(self.losses)} losses: {problem}") from problem
        except Exception:  # it comes again where the equation is used
            return

    def _reading(self, h: Any) -> Callable[..., Any]:
        """Return the memory of a state, as a function of a curve."""
        return partial(_Kept, self.kept, len(self.losses) > 1, self.losses[0].dimension, h)

    def _layout(self, optimizer: Optimizer, theta: np.ndarray, h: Any) -> list[tuple[int, int, tuple[int, ...]]]:
        """Return for each part of the state after theta the number of its call, 0 for m or 1 for p, and its shape."""
        line = Series.from_polynomials([[theta]])
        memory = self._reading(h)(line)
        update(optimizer, self.losses[0].gradient_code, line, memory)
        return memory.layout


class _Kept(Along):
    """The memory as coordinates: each average that is kept takes the next entries of the state z for its own.

    `layout` notes them: the number of the call, 0 for the value m or 1 for its weight p, and the shape.
    """

    __slots__ = ("choice", "exact", "layout", "seen", "several", "size", "steps", "used", "words")

    def __init__(
        self,
        choice: Any,
        several: bool,
        dimension: int,
        size: Any,
        like: Series,
        time: Any = 0.0,
        exact: bool = False,
        seen: Any = None,
    ):
        super().__init__(like, time)
        self.seen = size if seen is None else seen
        self.choice, self.several, self.used, self.size, self.exact = choice, several, dimension, size, exact
        self.words = repeat(True) if choice is None else iter(choice)
        self.layout: list[tuple[int, int, tuple[int, ...]]] = []
        self.steps: list[Series] = []  # minus the increments of the coordinates, divided by h

    @property
    def all_kept(self) -> bool:
        """Whether all that the memory holds is kept."""
        return sum(part == 0 for _, part, _ in self.layout) == len(self.kept)

    @property
    def h(self) -> Any:
        """The step size: a number, of which the decays may be any function."""
        return super().h if self.seen is None else self.seen

    @property
    def step(self) -> Any:  # type: ignore[override]
        """Refuse: along a curve that keeps its memory only the time is smooth."""
        raise Misfit("with the memory kept a program has no number of steps; use memory.time and memory.h")

    def update(self, optimizer: Optimizer, gradient: Callable[[Any], Any]) -> Series:
        theta = self.like[: self.used]
        step: Any = np.concatenate([update(optimizer, gradient, theta, self), *self.steps])
        if self.choice is not None and next(self.words, None) is not None:
            raise ValueError(f"memory = ... names {len(self.choice)} averages, but the program has fewer")
        if step.shape != self.like.shape:
            raise ValueError(f"the state has {len(step)} coordinates, but {len(self.like)} were given")
        return step

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Series:
        kept = next(self.words, None)
        if kept is None:
            raise Misfit(
                f'memory = ... names {len(self.choice)} averages, but the program has more; give "forgotten" or "kept" '
                "for each"
            )
        if not kept:
            if self.several and np.any(np.not_equal(getattr(decay, "coefficients", decay), 0)):
                raise Misfit(EARLIER)
            return super().average(x, decay, corrected)
        check_decay(decay, x)
        x, rate = self.series(x), self._rate(decay)
        h = self.size if self.exact else self._linear(1, 0)
        self.kept.append(x)
        m = self._next(0, x.shape)
        change = rate * (x - m)
        self.steps.append(-change.reshape(-1))
        if not corrected:
            return m + h * change
        p = self._next(1, ())
        fading = self.series(-rate * p)
        self.steps.append(-fading.reshape(-1))
        return (m + h * change) / (1 - p - h * fading)

    def previous(self, x: Any, start: Any = 0.0) -> Series:
        if self.several:
            raise Misfit(EARLIER)
        return super().previous(x, start)

    def _next(self, part: int, shape: tuple[int, ...]) -> Any:
        """Return the next entries of the state, or anything if it ends before: then only the layout is of use."""
        self.layout.append((len(self.kept), part, shape))
        begin, self.used = self.used, self.used + prod(shape)
        return self.like[begin : self.used].reshape(shape) if self.used <= len(self.like) else 0.5

    def _rate(self, decay: Any) -> Any:
        r"""Return :math:`(1 - e^{-\kappa h})/h` for the decay :math:`e^{-\kappa h}`."""
        if self.exact:
            return (1 - decay) / self.size
        if self.size is None:
            if isinstance(decay, Series) and np.any(decay.coefficients.reshape(-1, *decay.shape)[1:] != 0):
                raise ValueError("terms take every decay to be exp(-kappa h) with a constant kappa; this one changes")
            kappa: Any = sp.Symbol(f"kappa_{len(self.kept) + 1}", positive=True)
        elif np.any(self.series(decay).leading == 0):
            raise ValueError('an average with decay 0 has no memory to keep; choose "forgotten" for it')
        else:
            kappa = -np.log(decay) / self.size
        terms = [-((-kappa) ** (k + 1)) / factorial(k + 1) for k in range(self.like.terms)]
        return sum(self._linear(k, 0) * term for k, term in enumerate(terms))


def modified_equation(
    optimizer: Optimizer, loss: Any, order: int, memory: Any = "forgotten", batches: Any = None
) -> Any:
    r"""Return the modified equation of `optimizer` on `loss` with `order` terms.

    With p terms the flow follows the iterates to :math:`O(h^p)` on a fixed time horizon.  With the
    memory forgotten this holds for fixed decays and a run that starts on the slow manifold
    (:meth:`ModifiedEquation.memory`); bias correction plays no part.  With the memory kept it holds
    for fixed memory times :math:`-h/\ln\beta`, from the run's own state after any step on (with bias
    correction, after a fixed time, because at first it changes much in each step), if decays occur in
    averages only: other uses of a decay, such as the factor :math:`1/(1-\beta)` of
    ``bea.heavy_ball(beta)`` (unless ``damped=True``), keep its value while :math:`h` falls.

    Parameters
    ----------
    optimizer : Optimizer
        Hyper-parameters may be numbers, arrays (batch,) or SymPy symbols.
    loss : Loss, NumericLoss or VectorField; a list of mini-batch losses if the memory is kept
    order : int
        The number of terms, at least 1.
    memory : "forgotten", "kept", or a sequence of these
        One word for all averages, or one for each, in the order of the calls.  Several losses need
        all of them kept (but for those with decay 0), and a program without ``memory.previous``.
    batches : sequence of int, optional
        For several losses, the index of the mini-batch of each step.

    Returns
    -------
    ModifiedEquation, or KeptEquation if an average is kept

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, `order` is not a positive whole number, `memory` does not
        name as many averages as the program has, or, with several losses, the program remembers more
        than averages that are kept.

    Examples
    --------
    Explicit Euler on :math:`\dot y = y^2` (Hairer, Lubich and Wanner, Example IX.1.1):

    >>> from bea.losses import VectorField
    >>> from bea.optimizers import gradient_descent
    >>> y = sp.Symbol("y")
    >>> [f[0] for f in modified_equation(gradient_descent(), VectorField((y**2,), (y,)), order=4).terms]
    [y**2, -y**3, 3*y**4/2, -8*y**5/3]
    """
    order, losses = whole("order, the number of terms,", order, 1), batch_losses(loss)
    check_optimizer(optimizer, losses[0])
    _check_branches(optimizer, losses[0].dimension)
    several = isinstance(memory, (tuple, list))
    words = tuple(memory) if several else (memory,)
    if not words or any(word not in ("forgotten", "kept") for word in words):
        raise ValueError(f'memory = {memory!r} must be "forgotten" or "kept", or one of these for each average')
    if several and (one := one_in_numbers(optimizer)) is not None:
        asked = asked_of_memory(one, np.linspace(0.5, 1.5, losses[0].dimension))
        if (count := asked.count("average")) != len(words) and "error" not in asked:
            raise ValueError(
                f"memory = {memory!r} has the length {len(words)}, but the number of averages of {optimizer.name} is "
                f'{count}; give "forgotten" or "kept" for each'
            )
    if "kept" in words:
        kept = tuple(word == "kept" for word in words) if several else None
        equation = KeptEquation(optimizer, losses, order, kept, finite_batches(batches, len(losses)))
        equation.check_batches()
        return equation
    if len(losses) > 1 or batches is not None:
        raise ValueError('the steady state takes one loss; use bea.mean, bea.transient_equation or memory="kept"')
    return ModifiedEquation(optimizer, only(losses), order)


class _Settled(Memory):
    """The memory of numbers that have been the same for ever."""

    h, time, step = float("nan"), 0.0, Late()

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Any:
        return copied(x)

    def previous(self, x: Any, start: Any = 0.0) -> Any:
        return copied(x)


def _check_branches(optimizer: Optimizer, dimension: int) -> None:
    """Refuse a program that catches errors or asks for types, if its results on series then differ from those on numbers."""
    if optimizer.symbols or reads_openly(optimizer):
        return
    numbers, point = optimizer.configuration(0).in_floats(), np.linspace(0.5, 1.5, dimension)
    starts = point, np.array([sp.Rational(x) for x in point], dtype=object)
    try:
        with np.errstate(all="ignore"):
            wanted = numbers(point, lambda x: 3 * x + 1, _Settled())
            series = [
                Along(Series.from_polynomials([[x]])).update(numbers, lambda x: 3 * x + 1).leading for x in starts
            ]
            same = not np.isfinite(wanted).all() or np.allclose(np.array(series, dtype=float), wanted, rtol=1e-9)
    except Exception:  # the program's own error comes again where the program is used
        return
    if not same:
        raise ValueError(
            f"{optimizer.name} does one thing with numbers, and another with the series along the flow: it catches an "
            "error or asks for a type; write what it computes with NumPy's functions alone, as np.sqrt for math.sqrt"
        )


# --- reading a program along a curve -------------------------------------------------------------


def curve(optimizer, loss, start, order, time=0.0, reading: Any = Along):
    """Return the polynomials P_0, ..., P_order of the optimizer's smooth curve through `start`, coordinates first."""
    polynomials, simple, before = [start[None]], start.dtype.hasobject, ties.seen
    while len(polynomials) <= order or ties.seen > before and len(polynomials) < DECISIVE:
        memory = reading(Series.from_polynomials(polynomials), time)
        step = memory.update(optimizer, loss.gradient_code)
        found = antidifference(-step.coefficients[-1])
        simple = simple and all(isinstance(x, sp.Expr) and x.is_polynomial() for x in found.flat)
        if simple:  # so that they stay short
            found = np.array([collected(x) for x in found.flat], dtype=object).reshape(found.shape)
        polynomials.append(found)
    return polynomials[: order + 1]


def rates(polynomials: list[np.ndarray]) -> np.ndarray:
    """Return the coefficients f_0, f_1, ... of the curve's velocity at s = 0."""
    return np.stack([polynomial[1] for polynomial in polynomials[1:]])


# --- shared small parts --------------------------------------------------------------------------


def by_columns(
    evaluate: Callable[..., np.ndarray], optimizer: Optimizer, start: np.ndarray, known: dict, *given: np.ndarray
) -> np.ndarray:
    """Evaluate (d, batch) points at once if single columns give the same, else column after column.

    What else is given, arrays (batch,), is given on.

    A program that sums over all its numbers would mix the columns of a batch.  The answer of the
    first comparison is remembered in `known` as long as the program reads the same.
    """
    if start.ndim == 1:
        return evaluate(optimizer, start, *given)

    def alone(j: int) -> np.ndarray:
        return evaluate(optimizer.configuration(j), start[:, j].copy(), *(x[j] for x in given))

    read = read_by(optimizer)
    if known.get("read", read) != read:
        known.pop("mixes", None)
    known["read"] = read
    if "mixes" not in known:
        try:
            ends = evaluate(optimizer, start, *given)[..., [0, -1]]
            single = np.stack([alone(0), alone(-1)], axis=-1)
            agree = np.allclose(ends, single, rtol=1e-9, atol=1e-300, equal_nan=True)
            apart = (
                agree
                and alike(optimizer, len(start))
                and columns_apart(lambda x: evaluate(optimizer, x, *given), start)
            )
            known["mixes"] = not apart
        except (TypeError, ValueError):
            known["mixes"] = True
    if known["mixes"]:
        return np.stack([alone(j) for j in range(start.shape[1])], axis=-1)
    return evaluate(optimizer, start, *given)


def one_in_numbers(optimizer: Optimizer) -> Optimizer | None:
    """Return one configuration with 1/2 for each symbol; None if a hyper-parameter does not take what it is then."""
    one = optimizer.configuration(0)
    half = dict.fromkeys(one.symbols, sp.Rational(1, 2))
    numbers = {name: v.subs(half) for name, v in one.hyperparameters.items() if isinstance(v, sp.Expr)}
    try:
        return one.with_hyperparameters(**numbers).in_floats()
    except (TypeError, ValueError):
        return None


def only(losses: Sequence[Any]) -> Any:
    """Return the only loss; raise ValueError if there are several."""
    if len(losses) > 1:
        raise ValueError("this equation has several mini-batch losses; see .losses")
    return losses[0]


def symbolic_start(optimizer: Optimizer, losses: tuple[Any, ...]) -> np.ndarray:
    """Return the coordinates themselves as the point to expand about, if symbolic terms exist."""
    if not all(hasattr(loss, "gradient_expressions") for loss in losses):
        raise TypeError("symbolic terms need a loss given by a SymPy expression; a loss given by code has .field only")
    if optimizer.batch_shape:
        raise ValueError(f"symbolic terms need one configuration, but {optimizer} holds arrays; use symbols or numbers")
    if both := {*losses[0].symbols} & optimizer.symbols:
        raise ValueError(
            f"{both} are hyper-parameters of {optimizer} and coordinates of the loss; use other symbols for one of them"
        )
    return np.array(losses[0].symbols, dtype=object)


def column(entries: Any) -> sp.Matrix:
    """Return a SymPy column vector; rational entries are brought to their shortest common form."""
    return sp.Matrix([tidy(entry) for entry in entries])


def sum_powers(terms: np.ndarray, h: Any) -> np.ndarray:
    """Return terms[0] + h terms[1] + ..., by Horner's rule."""
    total = terms[-1]
    for term in terms[-2::-1]:
        total = total * h + term
    return total


def _joined(start: np.ndarray, given: Sequence[float]) -> np.ndarray:
    """Return points, coordinates first, and the numbers that follow them, as one array."""
    x = np.empty((len(start) + len(given), *start.shape[1:]))
    x[: len(start)] = start
    for i, value in enumerate(given, len(start)):
        x[i] = value
    return x


def _is_exact(theta: Any) -> bool:
    """Whether a point is a sequence of exact numbers that are not all ints."""
    exact = isinstance(theta, (list, tuple)) and all(isinstance(x, Rational) for x in theta)
    return exact and not all(isinstance(x, int) for x in theta)
