r"""Losses: what an optimizer sees of a problem is its gradient.

Parameters are points :math:`\theta` of shape (d,), or many points at once of shape (batch, d).
Inside the library the coordinate axis comes first, (d, ...), because then one coordinate of all
points lies together in memory; functions called ``..._code`` use that layout and run on arrays and
on :class:`bea.series.Series` alike.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import numpy as np
import sympy as sp

from bea.series import Series, taylor

__all__ = [
    "Loss",
    "NumericLoss",
    "VectorField",
    "bilinear",
    "logistic_regression",
    "mean",
    "quadratic",
    "rosenbrock",
]


class _Problem:
    """What every kind of loss offers, from ``dimension``, ``gradient_code`` and (but for vector
    fields) ``value_code``."""

    def value(self, theta):
        r"""The loss :math:`E(\theta)`: a number, or shape (batch,)."""
        return self.value_code(self.components(theta))

    def gradient(self, theta):
        r"""The gradient :math:`\nabla E(\theta)`: shape (d,) or (batch, d), as ``theta``."""
        return np.moveaxis(self.gradient_code(self.components(theta)), 0, -1)

    def hessian_vector(self, theta, v):
        r"""The product :math:`\nabla^2 E(\theta)\,v`, exact to round-off, by one complex step in
        the direction ``v``.

        For code that is analytic, :math:`\mathrm{Im}\,\nabla E(\theta + i\eta v)/\eta` has no
        cancellation, so :math:`\eta` can be tiny.
        """
        step = 1e-20
        point, direction = self._point_and_direction(theta, v)
        moved = point + 1j * step * direction
        return np.moveaxis(np.imag(self.gradient_code(moved)) / step, 0, -1)

    def hessian(self, theta):
        r"""The matrix of second derivatives: shape (d, d) or (batch, d, d).  (For a vector field,
        minus its Jacobian.)"""
        shape = np.moveaxis(self.components(theta), 0, -1).shape
        columns = [
            self.hessian_vector(theta, np.broadcast_to(unit, shape))
            for unit in np.eye(self.dimension)
        ]
        return np.stack(columns, axis=-1)

    def _point_and_direction(self, theta, v):
        point, direction = self.components(theta), self.components(v)
        if direction.shape != point.shape and direction.ndim > 1:
            raise ValueError(
                f"v has the shape {np.shape(v)}; allowed are that of theta, {np.shape(theta)}, and ({self.dimension},)"
            )
        return point, np.broadcast_to(
            direction.reshape(direction.shape + (1,) * (point.ndim - direction.ndim)), point.shape
        )

    def components(self, theta):
        """``theta`` checked, as floats, with the coordinate axis first."""
        try:
            array = np.asarray(theta)
            if array.dtype.kind not in "iufO" or isinstance(theta, np.ma.MaskedArray):
                raise TypeError(f"{array.dtype} is not a type of real numbers")
            array = array.astype(float)
        except (TypeError, ValueError, OverflowError) as problem:
            raise TypeError(
                f"a point must hold numbers in an array of shape ({self.dimension},) or (batch, {self.dimension}), not {theta!r}"
            ) from problem
        if array.ndim not in (1, 2) or array.shape[-1] != self.dimension or array.size == 0:
            raise ValueError(
                f"a point of shape {array.shape} was given; allowed are ({self.dimension},) and (batch, {self.dimension})"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"a point must be finite, not {theta!r}")
        return array.T


class _SymbolicProblem(_Problem):
    """A problem given by SymPy expressions: ``gradient_expressions`` in ``symbols``."""

    @property
    def dimension(self):
        return len(self.symbols)

    def check_numeric(self):
        """Raises ValueError if the expressions hold parameters or abstract functions, which have no
        numbers, or numbers that no float holds."""
        if self.parameters:
            raise ValueError(
                f"give numbers to the parameters {', '.join(map(str, self.parameters))} before computing with this loss"
            )
        unknown = set().union(
            *(g.atoms(sp.core.function.AppliedUndef) for g in self.gradient_expressions)
        )
        if unknown:
            raise ValueError(
                f"the abstract function {unknown.pop()} has no numbers; only symbolic terms can be had of it"
            )
        _check_numbers(*self.gradient_expressions)

    @cached_property
    def _compiled_gradient(self):
        self.check_numeric()
        return sp.lambdify(self.symbols, self.gradient_expressions, modules="numpy", cse=True)

    def hessian_vector(self, theta, v):
        r"""The product :math:`\nabla^2 E(\theta)\,v`: the gradient's coefficient of :math:`h s` on
        the line :math:`\theta + h s v`.

        Unlike a complex step, this is right for absolute values, too, away from their kink.
        """
        point, direction = self._point_and_direction(theta, v)
        line = Series.from_polynomials([[point], [0 * point, direction]])
        return np.moveaxis(self.gradient_code(line).coefficients[1, 1], 0, -1)

    def gradient_code(self, theta):
        """The gradient with the coordinate axis first, on arrays (d, ...) or on a Series (exact if
        its coefficients are)."""
        if isinstance(theta, Series):
            if theta.coefficients.dtype == object:
                return Series.stack(
                    [taylor(g, self.symbols, theta) for g in self.gradient_expressions]
                )
            components = self._compiled_gradient(*(theta[i] for i in range(self.dimension)))
            return Series.stack(
                [g if isinstance(g, Series) else theta[0] * 0 + g for g in components]
            )
        if theta.dtype == object:
            return self.gradient_code(Series.from_polynomials([theta[None]])).leading
        gradient = np.empty_like(theta)
        for i, component in enumerate(self._compiled_gradient(*theta)):
            gradient[i] = component
        return gradient


@dataclass(frozen=True, eq=False)
class Loss(_SymbolicProblem):
    r"""A loss :math:`E(\theta)` given by a SymPy expression.

    Parameters
    ----------
    expression : SymPy expression; an abstract function such as ``Function("E")(a, b)`` is allowed
    where only symbols are computed
    symbols : the coordinates of theta, in order
    parameters : further symbols that stay symbols in the expression, such as the curvature of a
    quadratic

    Raises
    ------
    TypeError
        If ``expression`` is not a SymPy expression or ``symbols`` are not SymPy symbols.
    ValueError
        If the expression holds symbols that are neither in ``symbols`` nor in ``parameters``.

    Examples
    --------
    >>> a, b = sp.symbols("a b")
    >>> loss = Loss((sp.Rational(3, 2) - 2*a*b)**2 / 2, (a, b))
    >>> loss.value([1.0, 1.0]).item(), loss.gradient([1.0, 1.0]).tolist()
    (0.125, [1.0, 1.0])
    >>> loss.hessian([1.0, 1.0]).tolist()
    [[4.0, 5.0], [5.0, 4.0]]
    """

    expression: sp.Expr
    symbols: tuple
    parameters: tuple = ()

    def __post_init__(self):
        object.__setattr__(self, "symbols", _symbols(self.symbols, "symbols"))
        object.__setattr__(self, "parameters", _symbols(self.parameters, "parameters"))
        _check_expression(self.expression, self.symbols, self.parameters)

    @cached_property
    def gradient_expressions(self):
        """The partial derivatives, as SymPy expressions."""
        return tuple(sp.diff(self.expression, symbol) for symbol in self.symbols)

    @cached_property
    def hessian_expressions(self):
        """The matrix of second derivatives, a SymPy matrix."""
        return sp.Matrix(
            self.dimension,
            self.dimension,
            lambda i, j: sp.diff(self.gradient_expressions[i], self.symbols[j]),
        )

    @cached_property
    def _compiled_value(self):
        self.check_numeric()
        _check_numbers(self.expression)
        return sp.lambdify(self.symbols, self.expression, modules="numpy")

    def value_code(self, theta):
        """The loss from coordinates that come first: shape (d, ...) to (...)."""
        return np.broadcast_to(self._compiled_value(*theta), theta.shape[1:]).astype(float)


@dataclass(frozen=True, eq=False)
class VectorField(_SymbolicProblem):
    r"""A differential equation :math:`\dot y = f(y)` in the place of a loss: the optimizer sees
    :math:`-f` as its gradient.

    Gradient descent on it is explicit Euler's method, whether or not :math:`f` is the gradient of
    anything.

    Parameters and errors as for :class:`Loss`, with one expression per coordinate.

    Examples
    --------
    Lotka and Volterra's equations, as in Hairer, Lubich and Wanner, Example IX.1.3:

    >>> q, p = sp.symbols("q p")
    >>> VectorField((q*(p - 1), p*(2 - q)), (q, p)).gradient([1.0, 3.0]).tolist()
    [-2.0, -3.0]
    """

    components_of_field: tuple
    symbols: tuple
    parameters: tuple = ()

    def __post_init__(self):
        object.__setattr__(self, "components_of_field", tuple(self.components_of_field))
        object.__setattr__(self, "symbols", _symbols(self.symbols, "symbols"))
        object.__setattr__(self, "parameters", _symbols(self.parameters, "parameters"))
        if len(self.components_of_field) != len(self.symbols):
            raise ValueError(
                f"{len(self.components_of_field)} components were given for {len(self.symbols)} symbols; there must be one for each"
            )
        for component in self.components_of_field:
            _check_expression(component, self.symbols, self.parameters)

    @cached_property
    def gradient_expressions(self):
        """Minus the components of the field."""
        return tuple(-component for component in self.components_of_field)

    def value_code(self, theta):
        """A vector field has no loss; raises TypeError."""
        raise TypeError(
            "a VectorField is the gradient of no loss, so it has no value; use bea.Loss for a loss"
        )


@dataclass(frozen=True, eq=False)
class NumericLoss(_Problem):
    r"""A loss given by code.

    Parameters
    ----------
    dimension : d
    value_code : function of theta, shape (d, ...), that returns E, shape (...)
    gradient_code : function of theta, shape (d, ...), that returns the gradient, shape (d, ...)
        Written with sums, products, powers, ``matrix @ theta`` and NumPy's elementary functions it
        runs on a Series
        too, which is all that the engine needs.

    hessian_vector_code : function of theta and v, both (d, ...), that returns the Hessian's product
        with v, shape (d, ...); without it one complex step of the gradient gives the product

    Examples
    --------
    >>> bowl = NumericLoss(2, lambda t: (t * t).sum(axis=0) / 2, lambda t: t)
    >>> bowl.gradient([[1.0, 2.0], [3.0, 4.0]]).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """

    dimension: int
    value_code: Callable
    gradient_code: Callable
    hessian_vector_code: Callable | None = None

    def __post_init__(self):
        if (
            isinstance(self.dimension, bool)
            or not isinstance(self.dimension, (int, np.integer))
            or self.dimension < 1
        ):
            raise ValueError(f"the dimension {self.dimension!r} must be a whole number, 1 or more")
        if not callable(self.value_code) or not callable(self.gradient_code):
            raise TypeError(
                f"value_code and gradient_code must be functions of theta, not {self.value_code!r} and {self.gradient_code!r}"
            )
        if self.hessian_vector_code is not None and not callable(self.hessian_vector_code):
            raise TypeError(
                f"hessian_vector_code must be a function of theta and v, or None, not {self.hessian_vector_code!r}"
            )

    def hessian_vector(self, theta, v):
        r"""The product :math:`\nabla^2 E(\theta)\,v`, by ``hessian_vector_code`` if it was given."""
        if self.hessian_vector_code is None:
            return super().hessian_vector(theta, v)
        return np.moveaxis(self.hessian_vector_code(*self._point_and_direction(theta, v)), 0, -1)


def quadratic(curvature):
    r"""The quadratic :math:`E = \tfrac12\theta^T A\theta`, with :math:`A` a symmetric matrix or the
    list of its eigenvalues.

    Entries may be numbers or SymPy expressions.  Raises ValueError if the matrix is not square and
    symmetric.

    Examples
    --------
    >>> quadratic([1, 9]).expression
    theta_1**2/2 + 9*theta_2**2/2
    """
    needed = (
        f"a quadratic needs a square symmetric matrix or a list of eigenvalues, not {curvature!r}"
    )
    try:
        given = np.array(curvature, dtype=object)
    except ValueError as problem:  # rows of different lengths
        raise ValueError(needed) from problem
    if given.size == 0:
        raise ValueError("a quadratic needs at least one eigenvalue")
    if given.ndim not in (1, 2) or not all(
        isinstance(x, (Real, sp.Expr)) and not isinstance(x, bool) for x in given.ravel()
    ):
        raise TypeError(needed)
    entries = sp.Matrix(given)
    matrix = sp.diag(*entries) if entries.shape[1] == 1 else entries
    if not matrix.is_symmetric():
        raise ValueError(needed)
    symbols = sp.symbols(f"theta_1:{matrix.shape[0] + 1}", real=True)
    theta = sp.Matrix(symbols)
    return Loss(
        sp.expand((theta.T * matrix * theta)[0] / 2),
        symbols,
        tuple(sorted(matrix.free_symbols, key=str)),
    )


def bilinear(c=1.5, k=2):
    r"""The bilinear model :math:`E(a, b) = \tfrac12(c - k\,a b)^2`, whose minimizers are the whole
    curve :math:`ab = c/k`.

    ``c`` and ``k`` may be numbers or symbols.  Source: Barrett and Dherin (2021), there with one
    training point.

    Examples
    --------
    >>> bilinear().expression
    (-2*a*b + 3/2)**2/2
    """
    a, b = sp.symbols("a b", real=True)
    c, k = _constant("c", c, (a, b)), _constant("k", k, (a, b))
    return Loss(
        (c - k * a * b) ** 2 / 2, (a, b), tuple(sorted(c.free_symbols | k.free_symbols, key=str))
    )


def rosenbrock(steepness=100):
    r"""Rosenbrock's valley :math:`E = (1 - x)^2 + s\,(y - x^2)^2` with steepness s, a number or a
    symbol.

    Examples
    --------
    >>> rosenbrock().value([1.0, 1.0]).item()
    0.0
    """
    x, y = sp.symbols("x y", real=True)
    steepness = _constant("steepness", steepness, (x, y))
    return Loss(
        (1 - x) ** 2 + steepness * (y - x**2) ** 2,
        (x, y),
        tuple(sorted(steepness.free_symbols, key=str)),
    )


def logistic_regression(columns=(0, 1), rows=slice(None)):
    r"""Logistic regression on scikit-learn's breast-cancer data, without intercept.

    .. math:: E(\theta) = \frac1n\sum_{i} \ln\bigl(1 + e^{-y_i\,x_i\cdot\theta}\bigr), \qquad y_i =
              \pm 1,

    with features standardized over all 569 rows (Street, Wolberg and Mangasarian, 1993).

    Parameters
    ----------
    columns : which of the 30 features; their number is d
    rows : slice or index array of the rows to average over: give disjoint ones for mini-batches

    Examples
    --------
    >>> round(logistic_regression().value([0.0, 0.0]).item(), 6)    # ln 2
    0.693147
    """
    # imported here, because that takes longer than importing all the rest
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    columns = np.asarray(columns)
    if (
        columns.ndim != 1
        or columns.dtype.kind not in "iu"
        or columns.size == 0
        or columns.min() < 0
        or columns.max() > 29
    ):
        raise ValueError(
            f"columns = {columns.tolist()} must be a sequence of whole numbers from 0 to 29"
        )
    features = data.data[:, columns]
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    if not isinstance(rows, slice):
        rows = np.asarray(rows)
        if rows.ndim != 1 or not (
            rows.dtype == bool
            and len(rows) == len(features)
            or rows.dtype.kind in "iu"
            and np.all((rows >= -len(features)) & (rows < len(features)))
        ):
            raise ValueError(
                f"rows = {rows.tolist()} must be a slice or a sequence of whole numbers below {len(features)}"
            )
    signed = (features * np.where(data.target == 1, 1.0, -1.0)[:, None])[rows]
    if len(signed) == 0:
        raise ValueError(f"rows = {rows!r} selects none of the {len(data.data)} rows")

    def value(theta):
        return np.logaddexp(0, -(signed @ theta)).mean(axis=0)

    def gradient(theta):
        # 1/(1 + e^z) = (1 - tanh(z/2))/2, which neither overflows nor needs a case distinction
        return signed.T @ ((np.tanh(0.5 * (signed @ theta)) - 1) * (0.5 / len(signed)))

    return NumericLoss(signed.shape[1], value, gradient)


def mean(losses):
    """The average of losses in the same coordinates: the full-batch loss of a list of mini-batch
    losses.

    Raises ValueError if the list is empty or the losses differ in their coordinates.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> mean([Loss(x**2, (x,)), Loss(3*x**2, (x,))]).expression
    2*x**2
    """
    losses = batch_losses(losses)
    if all(isinstance(loss, Loss) for loss in losses):
        parameters = sorted(set().union(*(loss.parameters for loss in losses)), key=str)
        return Loss(
            sp.Add(*(loss.expression for loss in losses)) / len(losses),
            losses[0].symbols,
            tuple(parameters),
        )
    return NumericLoss(
        losses[0].dimension,
        lambda theta: sum(loss.value_code(theta) for loss in losses) / len(losses),
        lambda theta: sum(loss.gradient_code(theta) for loss in losses) * (1 / len(losses)),
    )


def batch_losses(loss_or_losses):
    """A tuple of losses in the same coordinates, from one loss or a sequence of mini-batch
    losses."""
    losses = (loss_or_losses,) if isinstance(loss_or_losses, _Problem) else loss_or_losses
    if not isinstance(losses, (list, tuple)) or not all(
        isinstance(loss, _Problem) for loss in losses
    ):
        raise TypeError(
            f"a loss (bea.Loss, bea.NumericLoss or bea.VectorField) or a list of them is needed, not {loss_or_losses!r}"
        )
    if not losses:
        raise ValueError("the list of mini-batch losses is empty; give at least one")
    kinds = {getattr(loss, "symbols", loss.dimension) for loss in losses}
    if len(kinds) > 1:
        raise ValueError(f"mini-batch losses must share their coordinates; these have {kinds}")
    return tuple(losses)


def _constant(name, value, coordinates):
    """A number or an expression in other symbols than the coordinates, exact if it is a float."""
    if isinstance(value, bool) or not isinstance(value, (Real, sp.Expr)):
        raise TypeError(f"{name} = {value!r} must be a real number or a SymPy expression")
    exact = sp.nsimplify(value)
    if not exact.free_symbols and not (exact.is_real and exact.is_finite):
        raise ValueError(f"{name} = {value} must be real and finite")
    clash = {str(s) for s in exact.free_symbols} & {str(s) for s in coordinates}
    if clash:
        raise ValueError(f"{name} = {value} holds {clash.pop()}, the name of a coordinate")
    return exact


def _symbols(symbols, name):
    symbols = tuple(symbols) if isinstance(symbols, (list, tuple, sp.Tuple)) else (symbols,)
    if not all(isinstance(s, sp.Symbol) for s in symbols):
        raise TypeError(f"{name} must be SymPy symbols, not {symbols!r}")
    if len(set(symbols)) != len(symbols) or (name == "symbols" and not symbols):
        raise ValueError(f"{name} must be distinct and at least one, not {symbols!r}")
    return symbols


def _check_expression(expression, symbols, parameters):
    if not isinstance(expression, sp.Expr):
        raise TypeError(
            f"a SymPy expression is needed, not {expression!r} of type {type(expression).__name__}"
        )
    stray = expression.free_symbols - set(symbols) - set(parameters)
    if stray:
        raise ValueError(
            f"the expression {expression} holds {', '.join(sorted(map(str, stray)))}, which is not among the coordinates "
            f"{symbols} or the parameters {parameters}"
        )
    if expression.is_extended_real is False or expression.has(sp.I):
        raise ValueError(f"the expression {expression} is not real")
    if expression.has(sp.nan, sp.zoo, sp.oo):
        raise ValueError(f"the expression {expression} is not finite")


def _check_numbers(*expressions):
    for expression in expressions:
        powers = {power for power in expression.atoms(sp.Pow) if power.is_number}
        for number in expression.atoms(sp.Rational, sp.Float) | powers:
            if number.is_real is False:
                raise ValueError(f"the number {number} is not real")
            if abs(number) > sys.float_info.max:
                raise ValueError(
                    f"the number {sp.N(number, 3)} is beyond the floats, which end at {sys.float_info.max:.3g}; measure in other units"
                )
