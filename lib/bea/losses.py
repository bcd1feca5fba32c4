r"""Losses: what an optimizer sees of a problem is its gradient.

Points are arrays :math:`\theta` of shape (d,), or many points at once of shape (batch, d).
Inside the library the coordinate axis comes first, (d, ...), because then one coordinate of all
points is contiguous in memory.  The methods ``gradient_code`` and ``value_code`` use that layout;
they run on arrays of floats, on :class:`bea.series.Series`, and on arrays of dtype ``object`` that
hold SymPy expressions or traced numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property
from numbers import Real
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from bea._validate import all_finite, columns_apart, real_numbers, whole
from bea.expressions import compiled, computable, partial_derivatives
from bea.program import outside
from bea.series import NoExpansion, Series, taylor

__all__ = ["Loss", "NumericLoss", "VectorField", "mean"]

Code = Callable[..., Any]


class Problem:
    """Common interface of all losses.

    Subclasses provide ``dimension``, ``gradient_code`` and, except for vector fields,
    ``value_code``; the coordinate axis comes first.
    """

    dimension: Any
    value_code: Any
    gradient_code: Any

    def value(self, theta: ArrayLike) -> np.ndarray:
        r"""Return the loss :math:`E(\theta)`: a number, or shape (batch,)."""
        return self.value_code(self.components(theta))

    def gradient(self, theta: ArrayLike) -> np.ndarray:
        r"""Return the gradient :math:`\nabla E(\theta)`: shape (d,) or (batch, d), as `theta`."""
        return np.moveaxis(self.gradient_code(self.components(theta)), 0, -1)

    def hessian_vector(self, theta: ArrayLike, v: ArrayLike) -> np.ndarray:
        r"""Return :math:`\nabla^2 E(\theta)\,v`, of the shape of `theta`; `v` may be (d,) for a batch."""
        point, direction = self.components(theta), Problem.components(self, v)
        if direction.ndim < point.ndim:
            direction = np.broadcast_to(direction[:, None], point.shape)
        if direction.shape != point.shape:
            allowed = f"that of theta, {np.shape(theta)}, and ({self.dimension},)"
            raise ValueError(f"v has the shape {np.shape(v)}; allowed are {allowed}")
        return np.moveaxis(self.product_code(point, direction), 0, -1)

    def hessian(self, theta: ArrayLike) -> np.ndarray:
        """Return the second derivatives, (d, d) or (batch, d, d); of a vector field, minus its Jacobian."""
        return np.stack([self.hessian_vector(theta, unit) for unit in np.eye(self.dimension)], axis=-1)

    def product_code(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the Hessian times `v`: the coefficient of h s of the gradient on theta + h s v."""
        return self.gradient_code(Series.from_polynomials([[theta], [0 * theta, v]])).coefficients[1, 1]

    @property
    def as_read(self) -> tuple[Any, ...] | None:
        """What tells whether the code of the gradient has changed; None if it may change unseen."""
        return None

    def components(self, theta: ArrayLike) -> np.ndarray:
        """Return the user's `theta` checked, as floats, with the coordinate axis first."""
        allowed = f"allowed are ({self.dimension},) and (batch, {self.dimension})"
        try:
            array = real_numbers(theta)
        except (TypeError, ValueError, OverflowError) as problem:
            raise TypeError(f"a point must hold numbers, not {theta!r}; {allowed}") from problem
        if array.ndim not in (1, 2) or array.shape[-1] != self.dimension or array.size == 0:
            raise ValueError(f"a point of shape {array.shape} was given; {allowed}")
        if not all_finite(array):
            raise ValueError(f"a point must be finite, not {theta!r}")
        return array.T


# --- losses given by expressions -----------------------------------------------------------------


_SIGNS = {"positive": np.greater, "negative": np.less, "nonnegative": np.greater_equal, "nonpositive": np.less_equal}


class _SymbolicProblem(Problem):
    """A problem given by SymPy expressions: ``gradient_expressions`` in ``symbols``."""

    symbols: tuple[sp.Symbol, ...]
    parameters: tuple[sp.Symbol, ...]
    gradient_expressions: Any

    def _check(self, expressions: Sequence[Any], symbols: Any, parameters: Any) -> None:
        """Keep the symbols as tuples, and check all that was given."""
        object.__setattr__(self, "symbols", _symbols(symbols, "symbols"))
        object.__setattr__(self, "parameters", _symbols(parameters, "parameters"))
        if both := set(self.symbols) & set(self.parameters):
            raise ValueError(f"{both} are given as coordinates and as parameters; give each symbol once")
        for expression in expressions:
            _check_expression(expression, self.symbols, self.parameters)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone: compiled code does not pickle, and is soon made again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    @property
    def dimension(self) -> int:
        """The number of coordinates, d."""
        return len(self.symbols)

    @property
    def as_read(self) -> tuple[Any, ...] | None:
        """Nothing: expressions do not change.  None for a class of the user's, whose code may read anything."""
        return () if type(self) in (Loss, VectorField) else None

    def _numeric(self, *expressions: sp.Expr) -> list[sp.Expr]:
        """Return expressions in the form that is computed."""
        if self.parameters:
            names = ", ".join(map(str, self.parameters))
            raise ValueError(f"give numbers to the parameters {names} before computing with this loss")
        return [computable(expression) for expression in expressions]

    def components(self, theta: ArrayLike) -> np.ndarray:
        """Return the user's `theta` checked, also against what the symbols are declared to be."""
        array = super().components(theta)
        for i, sign in self.declared:
            x, holds = array[i], _SIGNS[sign]
            if not np.all(holds(x, 0)):
                symbol = self.symbols[i]
                raise ValueError(
                    f"{symbol} is declared {sign}, but the point has {symbol} = {x[~holds(x, 0)][0]}; "
                    "declare it real=True to allow both signs"
                )
        return array

    @cached_property
    def declared(self) -> list[tuple[int, str]]:
        """The coordinates whose symbols are declared to have a sign, and what it is."""
        return [(i, sign) for i, symbol in enumerate(self.symbols) for sign in _SIGNS if getattr(symbol, f"is_{sign}")]

    def gradient_code(self, theta: Any) -> Any:
        """Return the gradient, with the coordinate axis first; exact if `theta` is."""
        if not _exact(theta):
            return self._gradient(theta)
        if not isinstance(theta, Series):
            return self.gradient_code(Series.from_polynomials([[theta]])).leading
        return np.stack([taylor(g, self.symbols, theta) for g in self.gradient_expressions])

    @cached_property
    def _gradient(self) -> Code:
        return compiled(self.symbols, self._numeric(*self.gradient_expressions))


@dataclass(frozen=True)
class Loss(_SymbolicProblem):
    r"""A loss :math:`E(\theta)` given by a SymPy expression.

    Parameters
    ----------
    expression : Expr
        The loss.  Abstract functions such as ``Function("E")(a, b)`` are allowed where only
        symbols are computed.
    symbols : Symbol or sequence of Symbol
        The coordinates of theta, in order.  Absolute values need ``real=True``.  If a symbol is declared
        to have a sign SymPy has simplified with it; a given point that has another is refused, but what a
        run or a flow comes to is not looked at.
    parameters : sequence of Symbol, optional
        Further symbols that stay symbols, such as the curvature of a quadratic.

    Raises
    ------
    TypeError
        If `expression` is not a SymPy expression or `symbols` are not SymPy symbols.
    ValueError
        If the expression holds symbols that are neither in `symbols` nor in `parameters`, or is
        not real or not finite.

    Notes
    -----
    Where a gradient jumps or has a kink (``Abs``, ``Max``, ``floor``, ``Heaviside``, ``Piecewise``)
    the branch at the point counts.  A run steps across such a place; a flow ends there if the field
    points at it from both sides, as that of ``Abs(x)`` does at 0.  Logarithms and quotients of sums of
    exponentials are computed so that they do not overflow.  Losses are equal if their fields are, and
    can be pickled.

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
    symbols: tuple[sp.Symbol, ...]
    parameters: tuple[sp.Symbol, ...] = ()

    def __post_init__(self) -> None:
        self._check([self.expression], self.symbols, self.parameters)

    @cached_property
    def gradient_expressions(self) -> tuple[sp.Expr, ...]:
        """The partial derivatives, as SymPy expressions."""
        return tuple(sp.diff(self.expression, symbol) for symbol in self.symbols)

    @cached_property
    def hessian_expressions(self) -> sp.Matrix:
        """The second derivatives, as a SymPy matrix."""
        return sp.Matrix(
            self.dimension, self.dimension, lambda i, j: sp.diff(self.gradient_expressions[i], self.symbols[j])
        )

    @cached_property
    def _gradient(self) -> Code:
        shared: list[Any] = []
        (expression,) = self._numeric(self.expression)
        return compiled(self.symbols, partial_derivatives(expression, self.symbols, shared), shared)

    @cached_property
    def _value(self) -> Code:
        return compiled(self.symbols, self._numeric(self.expression))

    def value_code(self, theta: Any) -> Any:
        """Return the loss from coordinates that come first.

        Parameters
        ----------
        theta : array of shape (d, ...), or Series

        Returns
        -------
        array of shape (...), or Series
        """
        return self._value(theta)[0]


@dataclass(frozen=True, init=False)
class VectorField(_SymbolicProblem):
    r"""A differential equation :math:`\dot y = f(y)` instead of a loss: the optimizer sees :math:`-f`.

    Gradient descent on it is the explicit Euler method, whether or not :math:`f` is the gradient of
    anything.

    Parameters
    ----------
    components : sequence of Expr or number
        The components of the field, one for each symbol.
    symbols : Symbol or sequence of Symbol
        The coordinates of y, in order.
    parameters : sequence of Symbol, optional
        Further symbols that stay symbols.

    Raises
    ------
    TypeError, ValueError
        As :class:`Loss`.

    Examples
    --------
    The Lotka-Volterra equations, as in Hairer, Lubich and Wanner, Example IX.1.3:

    >>> q, p = sp.symbols("q p")
    >>> VectorField((q*(p - 1), p*(2 - q)), (q, p)).gradient([1.0, 3.0]).tolist()
    [-2.0, -3.0]
    """

    right_hand_side: tuple[sp.Expr, ...]
    symbols: tuple[sp.Symbol, ...]
    parameters: tuple[sp.Symbol, ...]

    def __init__(self, components: Sequence[Any], symbols: Any, parameters: Any = ()) -> None:
        numbers = (int, float, np.integer, np.floating)
        right = tuple(sp.sympify(c) if isinstance(c, numbers) and not isinstance(c, bool) else c for c in components)
        object.__setattr__(self, "right_hand_side", right)
        self._check(right, symbols, parameters)
        if len(right) != self.dimension:
            raise ValueError(f"{len(right)} components were given for {self.dimension} symbols; give one for each")

    @cached_property
    def gradient_expressions(self) -> tuple[sp.Expr, ...]:
        """Minus the components of the field."""
        return tuple(-component for component in self.right_hand_side)

    def value_code(self, theta: Any) -> Any:
        """Raise TypeError: a vector field has no loss.

        Parameters
        ----------
        theta : array of shape (d, ...)
        """
        raise TypeError("a VectorField is not the gradient of a loss, so it has no value; use bea.Loss for a loss")


def _exact(theta: Any) -> bool:
    """Whether an array or a Series holds exact numbers or SymPy expressions, rather than floats or traced numbers."""
    if theta.dtype != object:
        return False
    values = theta.leading if isinstance(theta, Series) else theta
    return all(isinstance(x, (sp.Basic, Real)) for x in values.flat)


# --- losses given by functions -------------------------------------------------------------------


class NumericLoss(Problem):
    r"""A loss given by functions of theta.

    Parameters
    ----------
    dimension : int
        The number of coordinates, d.
    value : callable or None
        A function of theta, shape (d,), that returns E; None if it is not needed.
    gradient : callable
        A function of theta, shape (d,), that returns the gradient, shape (d,).
    hessian_vector : callable, optional
        A function of theta and v, both (d,), that returns the Hessian times v.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a function; later, if a function returns None, complex numbers or an
        array of another shape; where derivatives are first asked for, if the gradient differs from call
        to call, or if derivatives that do not come from its own code are not its own, by differences.

    Notes
    -----
    *Batches.*  Every function is first called with all points, as arrays (d, points).  The result
    is used if it has the right shape and its first and last columns agree with calls for these
    points alone (compared once for each shape).  Otherwise the points are taken one at a time.

    *Runs.*  A short gradient that reads only numbers, functions and small arrays is traced by
    :func:`bea.run`, which changes round-off; one that keeps state, prints or draws random numbers
    is called at every step.

    *Modified equations.*  Code of sums, products, powers, ``matrix @ theta`` and NumPy's or
    SciPy's functions runs on a :class:`bea.series.Series`, and so serves to any order.  For two
    terms a Hessian-vector product is enough: `hessian_vector` if it is given, else one by central
    differences (about ten digits, where the gradient changes on the scale of :math:`\max(1, |\theta|)`) of
    code that does not run on a Series.  For more terms of such
    code see :func:`bea.from_jax`, :func:`bea.from_torch` and :func:`bea.black_box`.

    Numbers in single precision are converted, with one warning: they limit every result to about
    seven digits.

    Examples
    --------
    >>> bowl = NumericLoss(2, lambda t: (t * t).sum(axis=0) / 2, lambda t: t)
    >>> bowl.gradient([[1.0, 2.0], [3.0, 4.0]]).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """

    _terms: float = 2  # so many terms follow from expansions of the gradient
    _runs_on_series = True  # until its code is known not to do so

    def __init__(self, dimension: int, value: Code | None, gradient: Code, hessian_vector: Code | None = None) -> None:
        self.dimension = whole("the dimension", dimension, 1)
        self._functions = {"value": value, "gradient": gradient, "hessian_vector": hessian_vector}
        for name, function in self._functions.items():
            if not callable(function) and (function is not None or name == "gradient"):
                raise TypeError(
                    f"{name} must be a function of theta, not {function!r}; value and hessian_vector may be None"
                )
        self._arguments: tuple[Any, ...] = (dimension, value, gradient, hessian_vector)
        self._single = False  # whether a function returned single precision
        self._batches: dict[Any, bool] = {}  # whether a function takes so many points at once
        self._last: tuple[Any, ...] = (0, None, None)
        self._compared = False  # whether its derivatives were compared with differences of its gradient

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._arguments

    @property
    def as_read(self) -> tuple[Any, ...] | None:
        """What tells whether the code of the gradient has changed; None if it may change unseen."""
        return outside(self._functions["gradient"]) if type(self) is NumericLoss else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NumericLoss) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash(self._arguments)

    def value_code(self, theta: Any) -> Any:
        """Return the loss from coordinates that come first.

        Parameters
        ----------
        theta : array of shape (d, ...), or Series

        Returns
        -------
        array of shape (...), or Series
        """
        if self._functions["value"] is None:
            raise TypeError("this loss was made without a function for its value; give value=")
        return self._functions["value"](theta) if isinstance(theta, Series) else self._call("value", theta)

    def gradient_code(self, theta: Any) -> Any:
        """Return the gradient, with the coordinate axis first.

        Parameters
        ----------
        theta : array of shape (d, ...), or Series

        Returns
        -------
        array or Series, as `theta`
        """
        if isinstance(theta, Series):
            return self._along(theta)
        if _exact(theta):
            return self._along(Series.from_polynomials([[theta]])).leading
        return self._call("gradient", theta)

    def product_code(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the Hessian times `v`, with the coordinate axis first.

        Parameters
        ----------
        theta, v : array of shape (d, ...)

        Returns
        -------
        array of shape (d, ...)
        """
        self._compare(theta)
        if self._functions["hessian_vector"] or not self._runs_on_series:
            return self._taylor([theta, v])[0]
        return super().product_code(theta, v)

    # --- at points -------------------------------------------------------------------------------

    def _call(self, name: str, *arguments: np.ndarray) -> np.ndarray:
        """Return what a function gives at points (d, ...): all at once if it can do so, else one by one."""
        theta = arguments[0]
        if theta.ndim == 1 or theta.dtype == object:
            return self._checked(name, *arguments)
        columns = [a.reshape(len(a), -1) for a in arguments]
        found = self._together(name, columns)
        if found is None:
            found = self._apart(name, columns, range(columns[0].shape[1]))
        return found.reshape(theta.shape[name == "value" :])

    def _apart(self, name: str, columns: Sequence[np.ndarray], which: Iterable[int]) -> np.ndarray:
        return np.stack([self._checked(name, *(a[:, j] for a in columns)) for j in which], axis=-1)

    def _together(self, name: str, columns: Sequence[np.ndarray]) -> np.ndarray | None:
        """Return what a function gives for all columns; None if that is not what it gives one by one."""
        theta, key = columns[0], (name, columns[0].shape, columns[0].dtype)
        if theta.shape[1] == 1 or self._batches.get(key) is False:
            return None
        try:
            found, tolerance = self._checked(name, *columns), 1e-3 if self._single else 1e-6
            agree = key in self._batches or (
                _close(found[..., [0, -1]], self._apart(name, columns, [0, -1]), tolerance)
                and columns_apart(lambda points: self._checked(name, points, *columns[1:]), theta)
            )
        except Exception:  # it takes one point at a time, or its error comes again from that
            found, agree = None, False
        if not agree or np.any(theta[:, 0] != theta[:, -1]):  # for equal points every code agrees
            self._batches[key] = agree
        return found if agree else None

    def _checked(self, name: str, *arguments: np.ndarray) -> np.ndarray:
        """Return what a function of the user's gives, as an array of the right kind and shape."""
        theta, result = arguments[0], self._functions[name](*arguments)
        array = np.asarray(result.detach().cpu() if hasattr(result, "detach") else result)
        kind, what, shape = theta.dtype.kind, f"the function for the {name} returned", theta.shape[name == "value" :]
        if array.dtype.kind not in {"O": "Ofiu", "c": "c"}.get(kind, "fiu"):
            raise TypeError(f"{what} {None if result is None else array.dtype}; it must return real numbers")
        if array.shape != shape:
            raise ValueError(f"{what} the shape {array.shape} for theta of shape {theta.shape}; it must return {shape}")
        if array.dtype.kind == "f" and array.dtype.itemsize < 8 and not self._single:
            self._single = True
            advice = "results are converted to double precision, but have seven digits at most: compute in float64"
            warnings.warn(f"{what} {array.dtype}; {advice}", stacklevel=2)
        return array.astype(theta.dtype if kind in "cO" else float)

    # --- the first time that derivatives are asked for -------------------------------------------

    def _compare(self, theta: np.ndarray) -> None:
        """Raise ValueError if the gradient has no derivatives, or those at hand are not its own; asked once."""
        if not self._compared and theta.dtype == float:
            first, wrong = theta.reshape(len(theta), -1)[:, 0], None
            with np.errstate(all="ignore"):
                if all(wrong := self._wrong(first, seed) for seed in range(3)):
                    raise ValueError(wrong)
            self._compared = True

    def _wrong(self, theta: np.ndarray, seed: int) -> str | None:
        """Return what is wrong with the derivatives, as seen at a point next to theta, where no kink is to be expected."""
        rng, size = np.random.default_rng(seed), np.where(theta == 0, 1.0, np.abs(theta))
        point, v = theta + 0.01 * size * rng.uniform(0.5, 1.5, len(theta)), size * rng.uniform(-1, 1, len(theta))
        try:
            here, again = (self._call("gradient", point) for _ in range(2))
            if not np.isfinite([here, again]).all():
                return None
            if not _close(again, here, 1e-3 if self._single else 1e-6):
                i = np.argmax(np.abs(again - here))
                return (
                    f"the gradient has two values at one point, {here[i]} and {again[i]} in coordinate {i}: it is random "
                    "or keeps state, and so has no derivatives; let its numbers depend on theta alone, by a seed that "
                    "is set at every call, or by net.eval()"
                )
            if self._functions["hessian_vector"] is None or self._single:
                return None
            ahead, behind, near, close = (
                (self._call("gradient", point + h * v) - here) / h for h in (1e-3, -1e-3, 3e-4, -3e-4)
            )
            product, slope = self._call("hessian_vector", point, v), (near + close) / 2
        except Exception:  # the point may be one of which the user did not think; else the error comes again
            return None
        error = np.abs(product - slope)
        i = np.argmax(error)
        # If both steps to both sides tell nearly the same, they cross no kink and are short enough.
        spread, noise = np.ptp([ahead, behind, near, close], axis=0)[i], 3e-3 * np.abs(here).max()
        sure = spread <= 0.02 * abs(slope[i])
        if not sure or not error[i] > max(10 * spread, 0.01 * np.abs(product).max(), noise):
            return None
        return (
            f"the derivative of the gradient along a vector is {product[i]:.4g} in coordinate {i}, but by differences of "
            f"the gradient {slope[i]:.4g}: hessian_vector, or what is held fixed or given a derivative by hand inside of "
            "the function (stop_gradient, custom_jvp, detach), does not belong to the gradient that runs follow; "
            f"bea.black_box(loss.gradient_code, {self.dimension}) has the derivatives of that gradient"
        )

    # --- along a curve ---------------------------------------------------------------------------

    def _along(self, theta: Series) -> Series:
        """Return the gradient along a curve, by its code on a Series or from one Hessian-vector product."""
        if theta.terms > 1:
            self._compare(theta.leading)
        liftable = theta.dtype != object and theta.terms <= self._terms
        if liftable and (theta.terms == 1 or self._functions["hessian_vector"] or not self._runs_on_series):
            return self._lifted(theta)
        try:
            result = self._functions["gradient"](theta)
            result = np.stack(result) if isinstance(result, (list, tuple)) else result
            if not isinstance(result, Series) or result.shape != theta.shape:
                raise TypeError(f"{result!r} was returned for {theta!r}")
            return +result if result is theta else result
        except (NoExpansion, MemoryError):
            raise
        except Exception as problem:
            if liftable:
                self._runs_on_series = False
                return self._lifted(theta)
            raise TypeError(
                f"the gradient's code does not run on a Series ({problem}), so it yields only two "
                "terms of a modified equation. Write it with NumPy's functions, or make the "
                "loss by bea.from_jax, bea.from_torch or bea.black_box."
            ) from problem

    def _lifted(self, theta: Series) -> Series:
        """Return the gradient along a curve from expansions in h at as many numbers s as there are terms.

        The coefficient of h^k is a polynomial in s of degree k, so these determine it.
        """
        terms, shape = theta.terms, theta.coefficients.shape
        if terms == 1:
            return Series(self._leading(theta).reshape(shape).copy())
        powers, inverse, above = _nodes(terms)
        curves = powers @ theta.coefficients.reshape(terms, terms, -1)  # powers of h, numbers s, entries
        values = np.zeros_like(curves)
        for i in range(terms):
            if np.any(curves[1:, i]):
                values[1:, i] = [np.ravel(term) for term in self._taylor([c[i].reshape(shape[2:]) for c in curves])]
        found = (inverse @ values).reshape(shape)
        found[above] = 0
        found[0, 0] = self._leading(theta)
        return Series(found)

    def _leading(self, theta: Series) -> np.ndarray:
        """Return the gradient at the leading coefficient, known if fewer terms were asked for before."""
        terms, point, gradient = self._last
        if terms >= theta.terms or not np.array_equal(point, theta.leading):
            gradient = self._call("gradient", theta.leading)
        self._last = theta.terms, theta.leading.copy(), gradient
        return gradient

    def _taylor(self, curve: Sequence[np.ndarray]) -> Any:
        """Return the coefficients of h, h^2, ... of the gradient at the sum of h^k curve[k]; this one gives only that of h."""
        if self._functions["hessian_vector"]:
            return [self._call("hessian_vector", *curve)]
        return self._differences(curve, 2, 7e-3 if self._single else 8e-6)

    def _differences(self, curve: Sequence[np.ndarray], count: int, width: float) -> Any:
        """Fit a polynomial to the gradient at Chebyshev points of a short piece of the curve."""
        size = np.maximum(np.abs(curve[0]).max(axis=0), 1.0)
        speed = np.max([np.abs(c / size).max(axis=0) ** (1 / k) for k, c in enumerate(curve) if k], axis=0)
        radius = width / np.where(speed > 0, speed, 1.0)
        times = np.cos(np.pi * (np.arange(count) + 0.5) / count)
        points = (np.sum([(radius * t) ** k * c for k, c in enumerate(curve)], axis=0) for t in times)
        values = np.stack([self._call("gradient", point) for point in points])
        fit = np.tensordot(np.linalg.inv(np.vander(times, increasing=True)), values, 1)
        return [(speed > 0) * fit[k] / radius**k for k in range(1, len(curve))]


@cache
def _nodes(terms: int) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return the powers of as many numbers s as there are terms, the inverse matrix, and the places above a diagonal."""
    nodes = np.cos(np.pi * np.arange(terms) / max(2 * (terms // 2), 1)).round(15)
    powers = np.vander(nodes, increasing=True)
    return powers, np.linalg.inv(powers), np.triu_indices(terms, 1)


def _close(first: np.ndarray, second: np.ndarray, tolerance: float) -> bool:
    """Whether two arrays agree, compared with the largest entry of each column."""
    scale = np.nan_to_num(np.abs(second)).max(axis=0)
    return bool(np.all((np.abs(first - second) <= tolerance * scale) | (np.isnan(first) & np.isnan(second))))


# --- several losses ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Mean:
    """A function of the average of losses, by the name of its method."""

    losses: tuple[Problem, ...]
    name: str

    def __call__(self, *arguments: Any) -> Any:
        return sum(getattr(loss, self.name)(*arguments) for loss in self.losses) * (1 / len(self.losses))


def mean(losses: Sequence[Problem]) -> Problem:
    """Return the average of losses in the same coordinates: the full-batch loss of mini-batch losses.

    Parameters
    ----------
    losses : list or tuple of losses
        At least one; all in the same coordinates.

    Returns
    -------
    Loss or NumericLoss
        A Loss if all of them are.

    Raises
    ------
    TypeError
        If it is not a list or tuple of losses.
    ValueError
        If the list is empty or the losses differ in their coordinates.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> mean([Loss(x**2, (x,)), Loss(3*x**2, (x,))]).expression
    2*x**2
    """
    several: Any = batch_losses(losses)
    if all(isinstance(loss, Loss) for loss in several):
        total = sp.Add(*(loss.expression for loss in several)) / len(several)
        parameters = sorted(set().union(*(loss.parameters for loss in several)), key=str)
        return Loss(total, several[0].symbols, tuple(parameters))
    functions = (_Mean(several, name) for name in ("value_code", "gradient_code", "product_code"))
    return NumericLoss(several[0].dimension, *functions)


def batch_losses(losses: Problem | Sequence[Problem]) -> tuple[Problem, ...]:
    """Return one loss, or a sequence of mini-batch losses in the same coordinates, as a tuple."""
    if isinstance(losses, Problem):
        return (losses,)
    if not isinstance(losses, (list, tuple)) or not all(isinstance(x, Problem) for x in losses):
        raise TypeError(
            f"a loss (bea.Loss, bea.NumericLoss or bea.VectorField) or a list of them is needed, not {losses!r}"
        )
    if not losses:
        raise ValueError("the list of mini-batch losses is empty; give at least one")
    names = {loss.symbols for loss in losses if isinstance(loss, _SymbolicProblem)}
    dimensions = {loss.dimension for loss in losses}
    if len(names) > 1 or len(dimensions) > 1:
        raise ValueError(
            f"mini-batch losses must share their coordinates; these have {names if len(names) > 1 else dimensions}"
        )
    return tuple(losses)


# --- checks --------------------------------------------------------------------------------------


def _symbols(symbols: Any, name: str) -> tuple[sp.Symbol, ...]:
    symbols = tuple(symbols) if isinstance(symbols, (list, tuple, sp.Tuple)) else (symbols,)
    if not all(isinstance(s, sp.Symbol) for s in symbols):
        raise TypeError(f"{name} must be SymPy symbols, not {symbols!r}; for many of them use sp.symbols('x:10')")
    if len(set(symbols)) != len(symbols) or (name == "symbols" and not symbols):
        raise ValueError(f"{name} must be distinct and at least one, not {symbols!r}")
    for s in symbols if name == "symbols" else ():
        if s.is_rational or s.is_real is False:  # SymPy takes cos(2*pi*k) for 1 where k is an integer
            word = "integer" if s.is_integer else "rational" if s.is_rational else "not real"
            advice = f"declare it with sp.Symbol({str(s)!r}, real=True)"
            raise ValueError(f"{s} is declared {word}, but a coordinate passes through all real numbers: {advice}")
    return symbols


def _check_expression(expression: Any, symbols: tuple[sp.Symbol, ...], parameters: tuple[sp.Symbol, ...]) -> None:
    if not isinstance(expression, sp.Expr):
        raise TypeError(f"a SymPy expression is needed, not {expression!r} of type {type(expression).__name__}")
    stray = sorted(expression.free_symbols - {*symbols, *parameters}, key=str)
    if stray:
        raise ValueError(
            f"the expression {expression} holds symbols that are not among the coordinates {symbols} or the "
            f"parameters {parameters}: {', '.join(map(str, stray))}; if one of the same name is, it was declared with other "
            "assumptions; an element of an IndexedBase or MatrixSymbol is not a coordinate: use sp.symbols('x:10')"
        )
    for part in expression.atoms(sp.Abs, sp.sign, sp.conjugate, sp.re, sp.im, sp.arg):
        for symbol in part.free_symbols:
            if symbol.is_extended_real is None:
                raise ValueError(
                    f"{part} has a derivative only for real {symbol}: declare it with sp.Symbol({str(symbol)!r}, real=True)"
                )
    if expression.is_extended_real is False or expression.has(sp.I):
        raise ValueError(f"the expression {expression} is not real")
    if expression.has(sp.nan, sp.zoo, sp.oo) and not expression.has(sp.Sum, sp.Product, sp.Integral, sp.Limit):
        raise ValueError(f"the expression {expression} is not finite")
