r"""Modified equations: the differential equation that an optimizer with finite steps really
follows.

*Steady state.*  Far from its start the iterates lie on a smooth curve that solves
:math:`\dot\theta = f_0(\theta) + h f_1(\theta) + h^2 f_2(\theta) + \dots`.  Writing the curve as
:math:`\theta(t+sh) = \sum_k h^k P_k(s)` turns "one step along the curve is one step of the
optimizer",

.. math:: \theta(t + (s+1)h) - \theta(t + sh) = -h\,U(s),

into :math:`P_{k+1}(s+1) - P_{k+1}(s) = -[h^k]\,U(s)`: a difference equation for one polynomial
after another, whose right side needs only the polynomials that are known already.  Then
:math:`f_k(\theta) = P_{k+1}'(0)`. The same lines give symbolic terms (coefficients: SymPy
expressions) and numbers (coefficients: arrays).

*From the first step.*  While the memory fills, each step follows an equation of its own: the
piecewise equation of Cattaneo, Klusowski and Shigida's theorem, here for any optimizer, with or
without bias correction, and mini-batches.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Rational

import numpy as np
import sympy as sp

from bea.averages import normalized, tidy
from bea.losses import batch_losses
from bea.optimizers import Optimizer
from bea.series import Series, antidifference, whole

__all__ = ["ModifiedEquation", "TransientEquation", "modified_equation", "transient_equation"]


@dataclass(frozen=True, eq=False)
class ModifiedEquation:
    """The steady-state modified equation of an optimizer on a loss, made by
    :func:`modified_equation`."""

    optimizer: Optimizer
    loss: object
    order: int

    @cached_property
    def terms(self):
        r"""The coefficients :math:`(f_0, \dots, f_{p-1})` of :math:`h^0, \dots, h^{p-1}`: SymPy
        column vectors, in closed form."""
        start = _symbolic_start(self.optimizer, (self.loss,))
        curve = _curve(self.optimizer, self.loss, start, self.order)
        return tuple(_column(p[1]) for p in curve[1:])

    def coefficients(self, theta):
        r"""The numbers :math:`f_0(\theta), \dots, f_{p-1}(\theta)`, to any order, with no
        derivative of any field.

        ``theta`` of shape (d,) or (batch, d) gives shape (order, d) or (order, batch, d).  A single
        point of exact numbers (SymPy's or Python's fractions), with exact hyper-parameters and a
        symbolic loss, gives exact numbers.
        """
        exact = None if self.optimizer.settings else _exact_point(theta, self.loss)
        if exact is None:
            curve = _curve(self.optimizer.in_floats(), self.loss, _start(theta, self), self.order)
        else:
            curve = _curve(self.optimizer, self.loss, exact, self.order)
        return np.stack([np.moveaxis(p[1], 0, -1) for p in curve[1:]])

    def field(self, h):
        r"""The right side :math:`f_0 + h f_1 + \dots + h^{p-1} f_{p-1}` as a NumPy function: theta
        (d,) or (batch, d) to the same shape.

        Raises ValueError if ``h`` is not positive.
        """
        h = step_size(h)
        return lambda theta: _sum_powers(self.coefficients(theta), h)

    def memory(self, theta0, h):
        r"""The averages that the optimizer holds just before its step from ``theta0`` if it has
        always followed this equation.

        A run that starts with them starts on the *slow manifold*: it has no initial layer, and
        truncations show their order. Returns a tuple with one array per average, in the shape of
        ``theta0``.
        """
        h = step_size(h)
        optimizer = self.optimizer.in_floats()
        theta = Series.from_polynomials(
            _curve(optimizer, self.loss, _start(theta0, self), self.order)[:-1]
        )
        return tuple(
            np.moveaxis(values.at(-1, h), 0, -1)
            for values in _averages_along(optimizer, self.loss.gradient_code(theta))
        )


def modified_equation(optimizer, loss, order):
    r"""The modified equation of ``optimizer`` on ``loss``, in steady state, with ``order`` terms.

    With p terms the flow follows the iterates to :math:`O(h^p)` on a fixed time horizon, if the run
    starts on the slow manifold (:meth:`ModifiedEquation.memory`).  Bias correction plays no part:
    in steady state it is one.

    Parameters
    ----------
    optimizer : Optimizer, whose hyper-parameters may be numbers, arrays (batch,) or SymPy symbols
    loss : Loss, NumericLoss or VectorField
    order : the number of terms, at least 1

    Raises
    ------
    TypeError or ValueError
        If an argument is of the wrong kind, or ``order`` is not a positive whole number.

    Examples
    --------
    Explicit Euler on :math:`\dot y = y^2` (Hairer, Lubich and Wanner, Example IX.1.1):

    >>> from bea.losses import VectorField
    >>> from bea.optimizers import gradient_descent
    >>> y = sp.Symbol("y")
    >>> [f[0] for f in modified_equation(gradient_descent(), VectorField((y**2,), (y,)), order=4).terms]
    [y**2, -y**3, 3*y**4/2, -8*y**5/3]
    """
    _check(optimizer, order)
    batches = batch_losses(loss)
    if len(batches) > 1:
        raise ValueError(
            "the steady-state equation takes one loss; use bea.mean for a full batch or transient_equation for mini-batches"
        )
    return ModifiedEquation(optimizer, batches[0], int(order))


@dataclass(frozen=True, eq=False)
class TransientEquation:
    """The piecewise equation of an optimizer from its first step on, made by
    :func:`transient_equation`."""

    optimizer: Optimizer
    losses: tuple
    order: int
    batches: tuple | None

    @property
    def loss(self):
        """The loss, if there is only one."""
        if len(self.losses) > 1:
            raise ValueError("this equation has several mini-batch losses; see .losses")
        return self.losses[0]

    def terms(self, n):
        r"""The coefficients :math:`(f_0^{(n)},)` or :math:`(f_0^{(n)}, f_1^{(n)})` on :math:`[t_n,
        t_{n+1}]`: SymPy column vectors."""
        start = _symbolic_start(self.optimizer, self.losses)
        history = self._history(n)
        return tuple(_column(f) for f in _piece(self, history, start))

    def field(self, h, n):
        r"""The right side on :math:`[t_n, t_{n+1}]`, as a NumPy function: theta (d,) or (batch, d)
        to the same shape."""
        numeric = replace(self, optimizer=self.optimizer.in_floats())
        return numeric._field(step_size(h), numeric._history(n))

    def pieces(self, h, steps):
        """The fields of steps 0, 1, ..., steps - 1, one after another."""
        h, steps = step_size(h), whole("steps", steps, 0)
        if steps:
            self._check_step(steps - 1)
        numeric = replace(self, optimizer=self.optimizer.in_floats())
        weights = _History(numeric)
        for n in range(steps):
            weights.extend(n)
            yield numeric._field(h, weights.snapshot())

    def _field(self, h, history):
        return lambda theta: _sum_powers(
            np.stack([np.moveaxis(f, 0, -1) for f in _piece(self, history, _start(theta, self))]), h
        )

    def _history(self, n):
        self._check_step(n)
        history = _History(self)
        for l in range(n + 1):
            history.extend(l)
        return history.snapshot()

    def _check_step(self, n):
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ValueError(f"the step n = {n!r} must be a whole number, 0 or more")
        if self.batches is not None and n >= len(self.batches):
            raise ValueError(
                f"step {n} was asked for, but batches names the mini-batches of {len(self.batches)} steps only"
            )


def transient_equation(optimizer, loss_or_losses, order=2, batches=None):
    r"""The piecewise modified equation of a run that starts with empty memory: the Adam paper's
    theorem, for any optimizer here.

    On :math:`[t_n, t_{n+1}]`, with averages and their weights as the optimizer has them at step n
    (bias-corrected or not),

    .. math:: \dot\theta = -U^{(n)}(\theta) - h\Bigl(\Delta U^{(n)}(\theta) - \tfrac12 \dot
              U^{(n)}(\theta)\Bigr),

    where :math:`\Delta U^{(n)}` is what the step changes by because step k saw the gradient not at
    :math:`\theta` but at :math:`\theta + h\sum_{l=k}^{n-1} U^{(l)}(\theta)`, and :math:`\dot
    U^{(n)}` is the derivative of :math:`U^{(n)}` along :math:`-U^{(n)}`.  The global error is
    :math:`O(h^{\text{order}})` on a fixed horizon.

    Parameters
    ----------
    optimizer : Optimizer
    loss_or_losses : one loss (full batch), or a list of mini-batch losses
    order : 1 or 2
    batches : for several losses, the index of the mini-batch of each step

    Raises
    ------
    TypeError or ValueError
        If ``order`` is neither 1 nor 2, or ``batches`` does not fit the losses.

    Examples
    --------
    Bias-corrected averages of one loss are the gradient itself at leading order, from the first
    step on:

    >>> from bea.losses import quadratic
    >>> from bea.optimizers import adam
    >>> equation = transient_equation(adam(beta=0.5, rho=0.5, epsilon=0.0), quadratic([1]))
    >>> equation.field(h=0.1, n=0)([2.0]).tolist()
    [-1.0]
    """
    _check(optimizer, order)
    if order > 2:
        raise ValueError(
            f"order = {order} was given; the piecewise equation is known to order 1 or 2 (modified_equation has no such limit)"
        )
    losses = batch_losses(loss_or_losses)
    return TransientEquation(optimizer, losses, int(order), batch_sequence(batches, len(losses)))


def batch_sequence(batches, count):
    """``batches`` as a tuple of indices below ``count``, or None if there is one loss and no need
    for them; ValueError or TypeError if they are anything else."""
    if batches is None:
        if count > 1:
            raise ValueError(
                f"{count} mini-batch losses were given without batches; "
                "give the index of the loss that each step uses"
            )
        return None
    array = np.asarray(batches)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise TypeError(f"batches must be a non-empty sequence of whole numbers, not {batches!r}")
    if array.min() < 0 or array.max() >= count:
        raise ValueError(
            f"batches must lie in 0..{count - 1} for {count} losses; {array.min()} to {array.max()} were given"
        )
    return tuple(array.tolist())


def step_size(h):
    """``h`` as a float, or an array (batch,) of them; ValueError or TypeError if it is not positive
    and finite."""
    if type(h) is float and 0 < h < np.inf:  # nearly always; NumPy takes its time over one number
        return h
    if isinstance(h, (bool, str)) or isinstance(h, sp.Basic) and not h.is_number:
        raise TypeError(f"the step size h = {h!r} must be a positive number")
    try:
        array = np.asarray(h)
        if array.dtype.kind not in "iufO" or isinstance(h, np.ma.MaskedArray):
            raise TypeError(f"{array.dtype} is not a type of real numbers")
        array = array.astype(float)
    except (TypeError, ValueError, OverflowError) as problem:
        raise TypeError(f"the step size h = {h!r} must be a positive number") from problem
    if array.ndim > 1 or array.size == 0 or not np.all(np.isfinite(array)) or not np.all(array > 0):
        raise ValueError(f"the step size h = {h!r} must be positive and finite")
    return array if array.ndim else float(array)


# --- steady state -------------------------------------------------------------------------------


def _curve(optimizer, loss, start, order):
    """The polynomials P_0, ..., P_order of the optimizer's smooth curve through ``start``,
    coordinates first."""
    polynomials = [start[None]]
    for _ in range(order):
        theta = Series.from_polynomials(polynomials)
        step = optimizer.step(theta, *_averages_along(optimizer, loss.gradient_code(theta)))
        polynomials.append(antidifference(-step.coefficients[-1]))
    return polynomials


def _averages_along(optimizer, gradient):
    """The steady-state averages of the optimizer as Series in h, from the gradient along the
    curve."""
    return [average.along(average.of(gradient)) for average in optimizer.averages]


# --- from the first step ------------------------------------------------------------------------


class _History:
    """The weights with which each mini-batch counts in each average, after steps 0, 1, ..., n.

    ``shares[a][l][i]`` is the weight of all gradients of mini-batch i in average a after step l.
    """

    def __init__(self, equation):
        self.equation = equation
        self.shares = [[] for _ in equation.optimizer.averages]
        self.raw = [
            [0 * (1 - average.decay)] * len(equation.losses)
            for average in equation.optimizer.averages
        ]
        self.steps = 0

    def extend(self, n):
        batch = 0 if self.equation.batches is None else self.equation.batches[n]
        for a, average in enumerate(self.equation.optimizer.averages):
            seen = [
                average.advance(raw, 1 if i == batch else 0) for i, raw in enumerate(self.raw[a])
            ]
            self.raw[a] = seen
            total = average.correction(n) if self.equation.optimizer.bias_correction else 1
            self.shares[a].append([normalized(weight, total) for weight in seen])
        self.steps = n + 1

    def snapshot(self):
        """What the n-th piece needs: per average its shares at steps 0..n, and the weights of the
        steps 0..n at step n."""
        optimizer = self.equation.optimizer
        batches = (
            np.zeros(self.steps, dtype=int)
            if self.equation.batches is None
            else np.array(self.equation.batches[: self.steps])
        )
        return (
            [np.array(shares) for shares in self.shares],
            [
                average.weights(self.steps, optimizer.bias_correction)
                for average in optimizer.averages
            ],
            batches,
        )


def _piece(equation, history, start):
    """The terms f_0 (and f_1) of the n-th piece at ``start`` (coordinates first), from its
    :class:`_History`."""
    optimizer, losses = equation.optimizer, equation.losses
    shares, weights, batches = history
    gradients = [loss.gradient_code(start) for loss in losses]
    values = [[average.of(gradient) for gradient in gradients] for average in optimizer.averages]
    # U^(l) at the present point for all steps l = 0..n, the step on the first axis
    steps = _steps_at(
        start,
        optimizer,
        [
            sum(_times(shares[a][:, i], value, start.ndim) for i, value in enumerate(values[a]))
            for a in range(len(values))
        ],
    )
    f_0 = -steps[-1]
    if equation.order == 1:
        return (f_0,)
    # step k saw the gradient at theta + h * behind[k], with behind[k] = U^(k) + ... + U^(n-1)
    behind = np.concatenate([np.cumsum(steps[:-1][::-1], axis=0)[::-1], 0 * steps[-1:]])
    averages = []
    for a, average in enumerate(optimizer.averages):
        total = 0
        for i, loss in enumerate(losses):
            of_batch = batches == i
            if not of_batch.any():
                continue
            share = shares[a][-1, i]
            shift = _times(weights[a][of_batch], behind[of_batch], start.ndim).sum(axis=0)
            # to order h the value is linear in the displacement, so the steps that used this
            # mini-batch combine into one
            seen = average.of(
                loss.gradient_code(Series.from_polynomials([[start], [shift, share * f_0]]))
            )
            seen.coefficients[0] = seen.coefficients[0] * share
            total = total + seen
        averages.append(total)
    step = optimizer.step(Series.from_polynomials([[start], [0 * start, f_0]]), *averages)
    return f_0, antidifference(-step.coefficients[1])[1]


def _steps_at(theta, optimizer, averages):
    """The step of the optimizer at many times: arrays at once, SymPy objects one after another."""
    if averages[0].dtype != object:
        return optimizer.step(theta, *averages)
    here = Series.from_polynomials([[theta]])
    return np.stack(
        [
            optimizer.step(here, *(Series.from_polynomials([[m]]) for m in at_step)).leading
            for at_step in zip(*averages)
        ]
    )


def _times(weights, values, dimensions):
    """weights (steps, *settings) times values (d, *shape), of ``dimensions`` axes, or (steps, d,
    *shape): shape (steps, d, *shape)."""
    fill = (1,) * (dimensions + 1 - weights.ndim)
    return weights.reshape(len(weights), *fill, *weights.shape[1:]) * values


# --- shared small parts -------------------------------------------------------------------------


def _check(optimizer, order):
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"an optimizer such as bea.adam(beta=0.9, rho=0.999, epsilon=1e-8) is needed, not {optimizer!r}"
        )
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)):
        raise TypeError(f"the order {order!r} must be a whole number")
    if order < 1:
        raise ValueError(f"the order {order} must be at least 1: it is the number of terms kept")


def _symbolic_start(optimizer, losses):
    """The coordinates themselves as the point to expand about, if symbolic terms can be had."""
    if not all(hasattr(loss, "gradient_expressions") for loss in losses):
        raise TypeError(
            "symbolic terms need a loss given by a SymPy expression; "
            "a loss given by code has .field only"
        )
    if optimizer.settings:
        raise ValueError(
            f"symbolic terms need one setting, but {optimizer} holds arrays; use symbols or numbers"
        )
    return np.array(losses[0].symbols, dtype=object)


def _start(theta, equation):
    """A point, coordinates first, with an axis for the settings if the hyper-parameters hold
    arrays."""
    if equation.optimizer.symbols:
        raise ValueError(
            f"{equation.optimizer} holds the symbols {', '.join(sorted(map(str, equation.optimizer.symbols)))}; give them numbers to compute"
        )
    losses = equation.losses if isinstance(equation, TransientEquation) else (equation.loss,)
    return with_settings(losses[0].components(theta), equation.optimizer.settings)


def with_settings(theta, settings):
    """``theta`` (d,) or (d, batch) broadcast against the shape of the settings; ValueError if they
    do not fit."""
    if not settings:
        return np.ascontiguousarray(theta)
    try:
        shape = np.broadcast_shapes(theta.shape[1:], settings)
    except ValueError as problem:
        raise ValueError(
            f"{theta.shape[1]} points and {settings[0]} settings do not combine; give as many of one as of the other, or one"
        ) from problem
    theta = theta.reshape(theta.shape + (1,) * (len(shape) - theta.ndim + 1))
    return np.ascontiguousarray(np.broadcast_to(theta, (len(theta), *shape)))


def _column(entries):
    """A SymPy column vector; entries that are rational functions are brought to their shortest
    common form."""
    return sp.Matrix([tidy(entry) for entry in entries])


def _exact_point(theta, loss):
    """``theta`` as an object array if it is a tuple or list of exact numbers that are not all plain
    integers, else None."""
    exact = (
        isinstance(theta, (list, tuple))
        and all(isinstance(x, Rational) for x in theta)
        and not all(isinstance(x, int) for x in theta)
    )
    if not exact or not hasattr(loss, "gradient_expressions"):
        return None
    loss.components(theta)  # complains about a wrong dimension
    return np.array([sp.Rational(x.numerator, x.denominator) for x in theta], dtype=object)


def _sum_powers(terms, h):
    """terms[0] + h terms[1] + ...; ``h`` may have one entry per point, terms then being (order,
    batch, d)."""
    h = np.asarray(h)[..., None] if np.ndim(h) else h
    total = terms[-1]
    for term in terms[-2::-1]:
        total = total * h + term
    return total
