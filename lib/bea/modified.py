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
from functools import cached_property
from math import factorial
from numbers import Rational
from typing import Any

import numpy as np
import sympy as sp

from bea._validate import batch_sequence, step_size, whole, with_batch
from bea.losses import batch_losses
from bea.program import Along, Optimizer, Running, tidy
from bea.series import Series, antidifference
from bea.trace import Traced

__all__ = ["KeptEquation", "ModifiedEquation", "modified_equation"]


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
        r"""The coefficients :math:`(f_0, \dots, f_{p-1})` of :math:`h^0, \dots, h^{p-1}`: SymPy column vectors."""
        start = symbolic_start(self.optimizer, (self.loss,))
        found = curve(self.optimizer, self.loss, start, self.order)
        return tuple(column(p[1]) for p in found[1:])

    def coefficients(self, theta: Any, time: float = 0.0) -> np.ndarray:
        r"""Return the numbers :math:`f_0(\theta), \dots, f_{p-1}(\theta)`, with no derivative of any field.

        ``theta`` of shape (d,) or (batch, d) gives shape (order, d) or (order, batch, d).  A single
        point of exact numbers (SymPy's or Python's fractions), with exact hyper-parameters and a
        symbolic loss, gives exact numbers.  `time` matters to programs that use ``memory.time``.
        """
        exact = None if self.optimizer.batch_shape else _exact_point(theta, self.loss)
        if exact is not None:
            return np.stack([p[1] for p in curve(self.optimizer, self.loss, exact, self.order, time)[1:]])
        start = with_batch(self.loss.components(theta), numeric(self.optimizer).batch_shape)
        return np.moveaxis(self._numbers(start, time), 1, -1)

    def _numbers(self, start: np.ndarray, time: float) -> np.ndarray:
        def plain(optimizer: Optimizer, x: np.ndarray) -> np.ndarray:
            found = curve(optimizer, self.loss, x[:-1], self.order, x[-1] if x.ndim == 1 else time)
            return np.stack([p[1] for p in found[1:]])

        def terms(optimizer: Optimizer, start: np.ndarray) -> np.ndarray:
            x = np.concatenate([start, np.full((1, *start.shape[1:]), time)])
            if optimizer.batch_shape or not hasattr(self.loss, "gradient_expressions"):
                return plain(optimizer, x)
            known = self.__dict__.setdefault("traced", {})
            if optimizer not in known:
                known[optimizer] = Traced(lambda x: plain(optimizer, x))
            return known[optimizer](x)

        return by_columns(terms, numeric(self.optimizer), start, self.__dict__)

    def field(self, h: Any) -> Callable[..., np.ndarray]:
        r"""Return the right-hand side :math:`f_0 + h f_1 + \dots + h^{p-1} f_{p-1}` as a NumPy function.

        It takes theta, (d,) or (batch, d), and optionally the time, and returns the shape of theta.
        Raises ValueError if ``h`` is not positive.
        """
        h = step_size(h)
        return lambda theta, time=0.0: sum_powers(self.coefficients(theta, time), h)

    def memory(self, theta0: Any, h: Any) -> tuple[np.ndarray, ...]:
        r"""Return what the optimizer's memory holds just before its step from ``theta0`` on the slow manifold.

        A run that starts with it has no initial layer, and truncations show their order.  One value
        for each call of the memory, in the order of the calls, coordinates first.
        """
        h = step_size(h)
        optimizer = numeric(self.optimizer)
        start = with_batch(self.loss.components(theta0), optimizer.batch_shape)
        found = curve(optimizer, self.loss, start, self.order)
        memory = Along(Series.from_polynomials(found[:-1]))
        update_along(optimizer, self.loss.gradient_code, memory)
        return tuple(value.at(-1, h) for value in memory.kept)


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
    def _symbolic(self) -> tuple[tuple[sp.Matrix, ...], tuple[sp.Symbol, ...]]:
        theta = symbolic_start(self.optimizer, (self.loss,))
        memory = Running(sp.Symbol("h", positive=True))
        line = Series.from_polynomials([[theta]])
        update(self.optimizer, self.loss.gradient_code, line, memory, line)
        states = []
        for i, (m, _) in enumerate(memory.new, 1):
            shape = m.leading.shape
            names = [f"m_{i}_{j}" for j in range(1, int(np.prod(shape)) + 1)]
            values = [sp.Symbol(name, real=True) for name in names]
            states.append((np.array(values, dtype=object).reshape(shape), np.array(sp.Symbol(f"p_{i}"))))
        found, layout, _ = self._terms(self.optimizer, self.loss, theta, states, None, 0)
        names = join([theta, *(states[i][part] for i, part in layout)])
        return tuple(column(term) for term in found), tuple(names)

    @property
    def terms(self) -> tuple[sp.Matrix, ...]:
        """The coefficients of the powers of h: SymPy column vectors in the rates kappa_1, kappa_2, ..."""
        return self._symbolic[0]

    @property
    def coordinates(self) -> tuple[sp.Symbol, ...]:
        """The symbols of the state z, in the order of the entries of :attr:`terms`."""
        return self._symbolic[1]

    def field(self, h: float, n: int | None = None) -> Callable[..., np.ndarray]:
        r"""Return the right-hand side as a function of the state z, (D,), and the time.

        With mini-batches, `n` is the step whose mini-batch is used.  With two terms, if
        all that the memory holds is kept, the increment of one step is taken exactly,
        :math:`F(h) - \tfrac h2 \dot F_0`; the series
        :math:`F_0 + h(F_1 - \tfrac12 \dot F_0)` has the same order and a larger constant.
        """
        h, optimizer = step_size(h), numeric(self.optimizer)
        loss = self.losses[0 if self.batches is None or n is None else self.batches[n]]
        point = np.full(loss.dimension, 0.5)
        memory = Running(h)
        optimizer(point, loss.gradient_code, memory)
        shapes = [np.shape(m) for m, _ in memory.new]
        filled = [(m, np.full((), 0.5)) for m, _ in memory.new]  # where a bias correction exists
        layout = self._terms(optimizer, loss, point, filled, h, 0.0, 1)[1]
        whole_step = self.order == 2 and sum(part == 0 for _, part in layout) == len(shapes)

        def plain(x: np.ndarray) -> np.ndarray:
            theta, time, end = x[: loss.dimension], x[-1], loss.dimension
            states = [[np.zeros(shape), np.zeros(())] for shape in shapes]
            for i, part in layout:
                shape = shapes[i] if part == 0 else ()
                begin, end = end, end + int(np.prod(shape))
                states[i][part] = x[begin:end].reshape(shape)
            terms, _, turning = self._terms(optimizer, loss, theta, states, h, time)
            if not whole_step:
                return sum_powers(np.stack(terms), h)
            step = Running(h, [(m, p) for m, p in states], time / h)
            here: Any = theta
            if x.dtype == object:  # traced
                here = Series.from_polynomials([[theta]])
                update_here = update(optimizer, loss.gradient_code, here, step, here).leading
            else:
                update_here = optimizer(theta, loss.gradient_code, step)
            values = [getattr(step.new[i][part], "leading", step.new[i][part]) for i, part in layout]
            moved = [(v - states[i][part]) / h for v, (i, part) in zip(values, layout)]
            return join([-update_here, *moved]) - h / 2 * turning

        fast = Traced(plain) if hasattr(loss, "gradient_expressions") else plain
        return lambda z, time=0.0: fast(np.append(z, time))

    def state(self, theta: np.ndarray, states: Sequence[tuple[Any, Any]], h: float) -> np.ndarray:
        """Return the state z from a point and what a run's memory holds there, as (value, weight) pairs."""
        filled = [(m, np.full((), 0.5)) for m, _ in states]
        layout = self._terms(numeric(self.optimizer), self.losses[0], theta, filled, h, 0.0, 1)[1]
        parts = [np.asarray(states[i][part], dtype=float) for i, part in layout]
        for i, part in layout:
            if part == 1 and np.any(np.asarray(states[i][part]) == 1):
                raise ValueError(
                    "an average that is bias-corrected holds nothing before the first step; start the flow "
                    "after some steps of the run, for example first=20"
                )
        return np.concatenate([theta, *(np.ravel(part) for part in parts)])

    def _terms(
        self,
        optimizer: Optimizer,
        loss: Any,
        theta: np.ndarray,
        states: Any,
        h: Any,
        time: Any,
        order: int = 0,
    ) -> tuple[list[np.ndarray], list[tuple[int, int]], Any]:
        """Return the terms of the state z; for each average that is kept (call, 0 for value or 1 for weight);
        and, if there are two terms, the derivative of the first along itself."""
        curves = [[theta[None]]] + [[np.asarray(part)[None]] for state in states for part in state]
        for _ in range(order or self.order):
            series = [Series.from_polynomials(polynomials) for polynomials in curves]
            memory = _Kept(series[0], list(zip(series[1::2], series[2::2])), self.kept, h, time)
            step = update_along(optimizer, loss.gradient_code, memory)
            changes = [-step, *(c for pair in memory.changes for c in pair)]
            for polynomials, change in zip(curves, changes):
                if change is None:
                    polynomials.append(np.array([0 * polynomials[0][0]] * 2))
                else:
                    polynomials.append(antidifference(change.coefficients[-1]))
        layout = [(i, part) for i, pair in enumerate(memory.changes) for part in (0, 1) if pair[part] is not None]
        places = [0, *(1 + 2 * i + part for i, part in layout)]
        terms = [join([curves[c][k][1] for c in places]) for k in range(1, len(curves[0]))]
        turning = join([changes[c].coefficients[1, 1] for c in places]) if len(terms) == 2 else None
        return terms, layout, turning


class _Kept(Along):
    """The memory as coordinates of the curve; `changes` collects their increments, divided by h."""

    def __init__(self, like: Series, slots: list[tuple[Series, Series]], kept: Any, h: Any, time: Any) -> None:
        super().__init__(like, time)
        self.slots, self.choice, self.size, self.averages = slots, kept, h, 0
        self.changes: list[tuple[Series | None, Series | None]] = []

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Series:
        self.averages += 1
        if self.choice is not None and self.averages > len(self.choice):
            raise ValueError(
                f'memory = ... names {len(self.choice)} averages, but the program has more; give "forgotten" or '
                '"kept" for each'
            )
        if self.choice is not None and not self.choice[self.averages - 1]:
            self.changes.append((None, None))
            return super().average(x, decay, corrected)
        m, p = self.slots[len(self.changes)]
        rate, h = self._rate(decay), self._linear(1, 0)
        change, fading = rate * (self.series(x) - m), -rate * p
        self.changes.append((change, fading if corrected else None))
        m = m + h * change
        return m / (1 - p - h * fading) if corrected else m

    @property
    def h(self) -> Any:
        """The step size: a number, of which the decays may be any function."""
        return super().h if self.size is None else self.size

    @property
    def step(self) -> Any:  # type: ignore[override]
        """Refuse: along a curve that keeps its memory only the time is smooth."""
        raise ValueError("with the memory kept a program has no number of steps; use memory.time and memory.h")

    def previous(self, x: Any, start: Any = 0.0) -> Series:
        self.changes.append((None, None))
        return super().previous(x)

    def _rate(self, decay: Any) -> Series:
        r"""Return the Series :math:`(1 - e^{-\kappa h})/h` for the decay :math:`e^{-\kappa h}`."""
        if self.size is None:
            kappa: Any = sp.Symbol(f"kappa_{self.averages}", positive=True)
        else:
            number = decay.leading if isinstance(decay, Series) else decay
            if not np.all(np.asarray(number) > 0):
                raise ValueError('an average with decay 0 has no memory to keep; choose "forgotten" for it')
            kappa = -np.log(decay) / self.size
        one = sp.Integer(1) if self.size is None else 1.0
        terms = [-((-kappa) ** (k + 1)) * (one / factorial(k + 1)) for k in range(self.like.terms)]
        return self.series(sum(self._linear(k, 0) * term for k, term in enumerate(terms)))


def modified_equation(
    optimizer: Optimizer, loss: Any, order: int, memory: Any = "forgotten", batches: Any = None
) -> Any:
    r"""Return the modified equation of `optimizer` on `loss` with `order` terms.

    With p terms the flow follows the iterates to :math:`O(h^p)` on a fixed time horizon.  With the
    memory forgotten this holds for fixed decays and a run that starts on the slow manifold
    (:meth:`ModifiedEquation.memory`); bias correction plays no part.  With the memory kept it holds
    for fixed memory times :math:`-h/\ln\beta`, from the run's own state after any step on.

    Parameters
    ----------
    optimizer : Optimizer
        Hyper-parameters may be numbers, arrays (batch,) or SymPy symbols.
    loss : Loss, NumericLoss or VectorField; a list of mini-batch losses if the memory is kept
    order : int
        The number of terms, at least 1.
    memory : "forgotten", "kept", or a sequence of these
        One word for all averages, or one for each, in the order of the calls.
    batches : sequence of int, optional
        For several losses, the index of the mini-batch of each step.

    Returns
    -------
    ModifiedEquation, or KeptEquation if an average is kept

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or `order` is not a positive whole number.

    Examples
    --------
    Explicit Euler on :math:`\dot y = y^2` (Hairer, Lubich and Wanner, Example IX.1.1):

    >>> from bea.losses import VectorField
    >>> from bea.optimizers import gradient_descent
    >>> y = sp.Symbol("y")
    >>> [f[0] for f in modified_equation(gradient_descent(), VectorField((y**2,), (y,)), order=4).terms]
    [y**2, -y**3, 3*y**4/2, -8*y**5/3]
    """
    check_optimizer(optimizer)
    order, losses = whole("order, the number of terms,", order, 1), batch_losses(loss)
    several = isinstance(memory, (tuple, list))
    words = tuple(memory) if several else (memory,)
    if not words or any(word not in ("forgotten", "kept") for word in words):
        raise ValueError(
            f'memory = {memory!r} must be "forgotten" or "kept", or one of these for each average, '
            "in the order of the calls"
        )
    if "kept" in words:
        kept = tuple(word == "kept" for word in words) if several else None
        found = batch_sequence(batches, len(losses))
        return KeptEquation(optimizer, losses, order, kept, found if found is None else tuple(found))
    if len(losses) > 1 or batches is not None:
        raise ValueError(
            "the steady-state equation takes one loss and no batches; use bea.mean for a full batch, "
            'bea.transient_equation for mini-batches, or memory="kept"'
        )
    return ModifiedEquation(optimizer, losses[0], order)


# --- reading a program along a curve -------------------------------------------------------------


def curve(optimizer: Optimizer, loss: Any, start: np.ndarray, order: int, time: Any = 0.0) -> list[np.ndarray]:
    """Return the polynomials P_0, ..., P_order of the optimizer's smooth curve through `start`, coordinates first."""
    polynomials = [start[None]]
    for _ in range(order):
        memory = Along(Series.from_polynomials(polynomials), time)
        step = update_along(optimizer, loss.gradient_code, memory)
        polynomials.append(antidifference(-step.coefficients[-1]))
    return polynomials


def update_along(optimizer: Optimizer, gradient: Callable[[Any], Any], memory: Along) -> Series:
    """Return the update of a program along the curve that its memory belongs to."""
    return update(optimizer, gradient, memory.like, memory, memory.like)


def update(optimizer: Optimizer, gradient: Callable[[Any], Any], theta: Any, memory: Any, like: Series) -> Series:
    """Run a program on a Series; exact hyper-parameters become constant Series, so that ``**0.5`` stays exact."""
    one = Series(np.zeros_like(like.coefficients[..., :1].reshape(like.terms, like.terms, -1)[:, :, 0]))
    values = {n: one + v if isinstance(v, sp.Expr) else v for n, v in optimizer.hyperparameters.items()}
    step = optimizer.program.__wrapped__(theta, gradient, memory, **values)  # type: ignore[attr-defined]
    step = step if isinstance(step, Series) else one + step
    if step.leading.shape != like.leading.shape:
        raise ValueError(
            f"{optimizer.name} returned an update of shape {step.leading.shape} for a point of shape "
            f"{like.leading.shape}; they must be the same"
        )
    return step


# --- shared small parts --------------------------------------------------------------------------


def by_columns(
    evaluate: Callable[[Optimizer, np.ndarray], np.ndarray],
    optimizer: Optimizer,
    start: np.ndarray,
    known: dict,
) -> np.ndarray:
    """Evaluate (d, batch) points at once if single columns give the same, else column after column.

    A program that sums over all its numbers would mix the columns of a batch.  The answer of the
    first comparison is remembered in `known`.
    """
    if start.ndim == 1:
        return evaluate(optimizer, start)

    def alone(j: int) -> np.ndarray:
        return evaluate(optimizer.configuration(j) if optimizer.batch_shape else optimizer, start[:, j].copy())

    if "mixes" not in known:
        try:
            together = evaluate(optimizer, start)
            single = np.stack([alone(0), alone(-1)], axis=-1)
            known["mixes"] = not np.allclose(together[..., [0, -1]], single, rtol=1e-9, atol=1e-300, equal_nan=True)
        except (TypeError, ValueError):
            known["mixes"] = True
        if not known["mixes"]:
            return together
    if known["mixes"]:
        return np.stack([alone(j) for j in range(start.shape[1])], axis=-1)
    return evaluate(optimizer, start)


def check_optimizer(optimizer: Any) -> None:
    """Raise TypeError if it is not an Optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"an optimizer such as bea.adam(beta=0.9, rho=0.999, epsilon=1e-8) is needed, not {optimizer!r}"
        )


def numeric(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer in floats; raise ValueError if it holds symbols."""
    check_optimizer(optimizer)
    if optimizer.symbols:
        raise ValueError(
            f"{optimizer} holds the symbols {', '.join(sorted(map(str, optimizer.symbols)))}; give them "
            "numbers to compute"
        )
    return optimizer.in_floats()


def only(losses: tuple[Any, ...]) -> Any:
    """Return the only loss; raise ValueError if there are several."""
    if len(losses) > 1:
        raise ValueError("this equation has several mini-batch losses; see .losses")
    return losses[0]


def symbolic_start(optimizer: Optimizer, losses: tuple[Any, ...]) -> np.ndarray:
    """Return the coordinates themselves as the point to expand about, if symbolic terms can be had."""
    if not all(hasattr(loss, "gradient_expressions") for loss in losses):
        raise TypeError("symbolic terms need a loss given by a SymPy expression; a loss given by code has .field only")
    if optimizer.batch_shape:
        raise ValueError(f"symbolic terms need one configuration, but {optimizer} holds arrays; use symbols or numbers")
    return np.array(losses[0].symbols, dtype=object)


def column(entries: Any) -> sp.Matrix:
    """Return a SymPy column vector; rational entries are brought to their shortest common form."""
    return sp.Matrix([tidy(entry) for entry in entries])


def join(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return one vector from values of any shape."""
    return np.concatenate([np.ravel(part) for part in parts])


def sum_powers(terms: np.ndarray, h: Any) -> np.ndarray:
    """Return terms[0] + h terms[1] + ...; `h` may have one entry per point, terms then being (order, batch, d)."""
    h = np.asarray(h)[..., None] if np.ndim(h) else h
    total = terms[-1]
    for term in terms[-2::-1]:
        total = total * h + term
    return total


def _exact_point(theta: Any, loss: Any) -> np.ndarray | None:
    """Return `theta` as an object array if it is a sequence of exact numbers that are not all ints, else None."""
    exact = (
        isinstance(theta, (list, tuple))
        and all(isinstance(x, Rational) for x in theta)
        and not all(isinstance(x, int) for x in theta)
    )
    if not exact or not hasattr(loss, "gradient_expressions"):
        return None
    loss.components(theta)  # complains about a wrong dimension
    return np.array([sp.Rational(x.numerator, x.denominator) for x in theta], dtype=object)
