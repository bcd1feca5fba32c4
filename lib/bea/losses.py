r"""Losses: what an optimizer sees of a problem is its gradient.

Points are arrays :math:`\theta` of shape (d,), or many points at once of shape (batch, d).
Inside the library the coordinate axis comes first, (d, ...), because then one coordinate of all
points is contiguous in memory.  The methods ``gradient_code`` and ``value_code`` use that layout;
they run on arrays of floats, on :class:`bea.series.Series`, and on arrays of dtype ``object`` that
hold SymPy expressions or traced numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from bea._validate import whole
from bea.expressions import compiled, partial_derivatives, stable
from bea.series import Series, taylor
from bea.trace import Untraceable

__all__ = ["Loss", "NumericLoss", "VectorField", "mean"]


class Problem:
    """Common interface of all losses.

    Subclasses provide ``dimension``, ``gradient_code``, ``product_code`` and, except for vector
    fields, ``value_code``; of all four, the coordinate axis comes first.
    """

    dimension: Any
    value_code: Any
    gradient_code: Any
    product_code: Any

    def value(self, theta: ArrayLike) -> np.ndarray:
        r"""Return the loss :math:`E(\theta)`: a number, or shape (batch,)."""
        return self.value_code(self.components(theta))

    def gradient(self, theta: ArrayLike) -> np.ndarray:
        r"""Return the gradient :math:`\nabla E(\theta)`: shape (d,) or (batch, d), as `theta`."""
        return np.moveaxis(self.gradient_code(self.components(theta)), 0, -1)

    def hessian_vector(self, theta: ArrayLike, v: ArrayLike) -> np.ndarray:
        r"""Return :math:`\nabla^2 E(\theta)\,v`, of the shape of `theta`; `v` may be (d,) for a batch."""
        point, direction = self.components(theta), Problem.components(self, v)
        if direction.shape != point.shape and direction.ndim > 1:
            raise ValueError(
                f"v has the shape {np.shape(v)}; allowed are that of theta, {np.shape(theta)}, and ({self.dimension},)"
            )
        direction = direction.reshape(direction.shape + (1,) * (point.ndim - direction.ndim))
        return np.moveaxis(self.product_code(point, np.broadcast_to(direction, point.shape)), 0, -1)

    def hessian(self, theta: ArrayLike) -> np.ndarray:
        """Return the second derivatives, (d, d) or (batch, d, d); of a vector field, minus its Jacobian."""
        columns = [self.hessian_vector(theta, unit) for unit in np.eye(self.dimension)]
        return np.stack(columns, axis=-1)

    def components(self, theta: ArrayLike) -> np.ndarray:
        """Return the user's `theta` checked, as floats, with the coordinate axis first."""
        d = self.dimension
        try:
            array = np.asarray(theta)
            if array.dtype.kind not in "iufO" or isinstance(theta, np.ma.MaskedArray):
                raise TypeError(f"{array.dtype} is not a type of real numbers")
            array = array.astype(float)
        except (TypeError, ValueError, OverflowError) as problem:
            raise TypeError(
                f"a point must hold numbers in an array of shape ({d},) or (batch, {d}), not {theta!r}"
            ) from problem
        if array.ndim not in (1, 2) or array.shape[-1] != d or array.size == 0:
            raise ValueError(f"a point of shape {array.shape} was given; allowed are ({d},) and (batch, {d})")
        if not np.isfinite(array).all():
            raise ValueError(f"a point must be finite, not {theta!r}")
        return array.T


# --- losses given by expressions -----------------------------------------------------------------


_SIGNS = {
    "positive": np.greater,
    "negative": np.less,
    "nonnegative": np.greater_equal,
    "nonpositive": np.less_equal,
}


class _SymbolicProblem(Problem):
    """A problem given by SymPy expressions: ``gradient_expressions`` in ``symbols``."""

    symbols: tuple[sp.Symbol, ...]
    parameters: tuple[sp.Symbol, ...]
    gradient_expressions: Any
    _given: Any

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone: compiled code does not pickle, and is soon made again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore

    @property
    def dimension(self) -> int:
        """The number of coordinates, d."""
        return len(self.symbols)

    def check_numeric(self) -> None:
        """Raise ValueError if the expressions hold parameters or anything else without numbers."""
        if self.parameters:
            raise ValueError(
                f"give numbers to the parameters {', '.join(map(str, self.parameters))} before computing with this loss"
            )
        for expression in self._given:
            for unknown in expression.atoms(sp.core.function.AppliedUndef, sp.DiracDelta):
                kind = "distribution" if isinstance(unknown, sp.DiracDelta) else "abstract function"
                raise ValueError(f"the {kind} {unknown} has no numbers; only symbolic terms can be had of it")

    @cached_property
    def _numeric(self) -> list[sp.Expr]:
        """The given expressions in the form that is computed."""
        self.check_numeric()
        return [stable(_evaluated(expression)) for expression in self._given]

    def components(self, theta: ArrayLike) -> np.ndarray:
        """Return the user's `theta` checked, also against what the symbols are declared to be."""
        array = super().components(theta)
        for symbol, x in zip(self.symbols, array):
            for sign, holds in _SIGNS.items():
                if getattr(symbol, f"is_{sign}") and not np.all(holds(x, 0)):
                    raise ValueError(
                        f"{symbol} is declared {sign}, but the point has {symbol} = {x[~holds(x, 0)][0]}; "
                        "declare it real=True to allow both signs"
                    )
        return array

    def product_code(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the Hessian times `v`: the coefficient of h s of the gradient on theta + h s v."""
        line = Series.from_polynomials([[theta], [0 * theta, v]])
        return self.gradient_code(line).coefficients[1, 1]

    def gradient_code(self, theta: Any) -> Any:
        """Return the gradient, with the coordinate axis first; exact if `theta` is."""
        if isinstance(theta, Series):
            if _exact(theta.leading):
                parts = [taylor(g, self.symbols, theta) for g in self.gradient_expressions]
            else:
                parts = self._gradient_line(*(theta[i] for i in range(self.dimension)))
            zero = theta[0] * 0
            return Series.stack([g if isinstance(g, Series) else zero + g for g in parts])
        if _exact(theta):
            return self.gradient_code(Series.from_polynomials([[theta]])).leading
        return _on_points(self._gradient_line, theta, self.dimension)

    @cached_property
    def _gradient_line(self) -> Callable[..., tuple[Any, ...]]:
        return compiled(self.symbols, self._numeric)


@dataclass(frozen=True)
class Loss(_SymbolicProblem):
    r"""A loss :math:`E(\theta)` given by a SymPy expression.

    Parameters
    ----------
    expression : Expr
        The loss.  Abstract functions such as ``Function("E")(a, b)`` are allowed where only
        symbols are computed.
    symbols : Symbol or sequence of Symbol
        The coordinates of theta, in order.  Absolute values need ``real=True``.
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
    the branch at the point counts.  Logarithms and quotients of sums of exponentials are computed
    so that they do not overflow.  Losses are equal if their fields are, and can be pickled.

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
        object.__setattr__(self, "symbols", _symbols(self.symbols, "symbols"))
        object.__setattr__(self, "parameters", _symbols(self.parameters, "parameters"))
        _check_expression(self.expression, self.symbols, self.parameters)

    @property
    def _given(self) -> tuple[sp.Expr, ...]:
        return (self.expression,)

    @cached_property
    def gradient_expressions(self) -> tuple[sp.Expr, ...]:
        """The partial derivatives, as SymPy expressions."""
        return tuple(sp.diff(self.expression, symbol) for symbol in self.symbols)

    @cached_property
    def hessian_expressions(self) -> sp.Matrix:
        """The second derivatives, as a SymPy matrix."""
        return sp.Matrix([[sp.diff(g, s) for s in self.symbols] for g in self.gradient_expressions])

    @cached_property
    def _gradient_line(self) -> Callable[..., tuple[Any, ...]]:
        definitions, derivatives = partial_derivatives(self._numeric[0], self.symbols)
        return compiled(self.symbols, derivatives, definitions)

    @cached_property
    def _value_line(self) -> Callable[..., tuple[Any, ...]]:
        return compiled(self.symbols, self._numeric)

    def value_code(self, theta: Any) -> Any:
        """Return the loss from coordinates that come first: shape (d, ...) to (...)."""
        if isinstance(theta, Series):
            return theta[0] * 0 + self._value_line(*(theta[i] for i in range(self.dimension)))[0]
        return _on_points(self._value_line, theta, 1)[0]


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

    def __init__(
        self,
        components: Sequence[sp.Expr | float],
        symbols: Sequence[sp.Symbol],
        parameters: Sequence[sp.Symbol] = (),
    ) -> None:
        numbers = (int, float, np.integer, np.floating)
        right = tuple(sp.sympify(c) if isinstance(c, numbers) and not isinstance(c, bool) else c for c in components)
        object.__setattr__(self, "right_hand_side", right)
        object.__setattr__(self, "symbols", _symbols(symbols, "symbols"))
        object.__setattr__(self, "parameters", _symbols(parameters, "parameters"))
        if len(right) != len(self.symbols):
            raise ValueError(
                f"{len(right)} components were given for {len(self.symbols)} symbols; there must be one for each"
            )
        for component in right:
            _check_expression(component, self.symbols, self.parameters)

    @property
    def _given(self) -> tuple[sp.Expr, ...]:
        return self.gradient_expressions

    @cached_property
    def gradient_expressions(self) -> tuple[sp.Expr, ...]:
        """Minus the components of the field."""
        return tuple(-component for component in self.right_hand_side)

    def value_code(self, theta: Any) -> Any:
        """Raise TypeError: a vector field has no loss."""
        raise TypeError("a VectorField is not the gradient of a loss, so it has no value; use bea.Loss for a loss")


def _exact(values: np.ndarray) -> bool:
    """Whether an array holds exact numbers or SymPy expressions, rather than floats or traced numbers."""
    return values.dtype == object and all(isinstance(x, (sp.Basic, Real)) for x in values.flat)


def _on_points(line: Callable[..., tuple[Any, ...]], theta: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` results of compiled code at points (d, ...).

    A function of NumPy's has the same bits for one number as in contiguous arrays of many.
    """
    if theta.ndim == 1 and theta.dtype != object:
        return np.array(line(*theta), dtype=theta.dtype)
    flat = np.ascontiguousarray(theta.reshape(len(theta), -1))
    results = np.empty((count, flat.shape[1]), dtype=flat.dtype)
    if flat.dtype == object:
        for j, point in enumerate(flat.T):
            for i, result in enumerate(line(*point)):
                results[i, j] = result
    else:
        for i, result in enumerate(line(*flat)):
            results[i] = result
    return results.reshape(count, *theta.shape[1:])


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
        If an argument is no function; later, if a function returns None, complex numbers or an
        array of another shape.

    Notes
    -----
    *Batches.*  Every function is first called with all points, as arrays (d, points).  The result
    is used if it has the right shape and its first and last columns agree with calls for these
    points alone (compared once for each shape).  Otherwise the points are taken one at a time.

    *Modified equations.*  Code of sums, products, powers, ``matrix @ theta`` and NumPy's or
    SciPy's functions runs on a :class:`bea.series.Series`, and so serves to any order.  For two
    terms a Hessian-vector product is enough: `hessian_vector` if it is given, else one complex
    step of the gradient where that agrees with differences, else central differences (about ten
    digits).  For more terms of code that does not run on a Series see :func:`bea.from_jax`,
    :func:`bea.from_torch` and :func:`bea.black_box`.

    Numbers in single precision are converted, with one warning: they limit every result to about
    seven digits.

    Examples
    --------
    >>> bowl = NumericLoss(2, lambda t: (t * t).sum(axis=0) / 2, lambda t: t)
    >>> bowl.gradient([[1.0, 2.0], [3.0, 4.0]]).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """

    def __init__(
        self,
        dimension: int,
        value: Callable[..., Any] | None,
        gradient: Callable[..., Any],
        hessian_vector: Callable[..., Any] | None = None,
    ) -> None:
        self.dimension = whole("the dimension", dimension, 1)
        if not callable(gradient):
            raise TypeError(f"gradient must be a function of theta, not {gradient!r}")
        for name, function in (("value", value), ("hessian_vector", hessian_vector)):
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be a function or None, not {function!r}")
        self._functions = {"value": value, "gradient": gradient, "hessian_vector": hessian_vector}
        self._found: dict[Any, Any] = {}  # what is known of the functions so far

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_found": {}}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[Any, ...]:
        return (self.dimension, *self._functions.values())

    def value_code(self, theta: Any) -> Any:
        """Return the loss from coordinates that come first: shape (d, ...) to (...)."""
        if self._functions["value"] is None:
            raise TypeError("this loss was made without a function for its value; give value=")
        if isinstance(theta, Series):
            return self._functions["value"](theta)
        return self._traced("value", theta) if theta.dtype == object else self._call("value", theta)

    def gradient_code(self, theta: Any) -> Any:
        """Return the gradient, with the coordinate axis first."""
        if isinstance(theta, Series):
            return self._along(theta)
        if theta.dtype != object:
            return self._call("gradient", theta)
        if _exact(theta):
            return self._along(Series.from_polynomials([[theta]])).leading
        return self._traced("gradient", theta)

    def product_code(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the Hessian times `v`, with the coordinate axis first."""
        if self._functions["hessian_vector"] is not None:
            return self._call("hessian_vector", theta, v)
        if self._found.get("analytic", True):
            try:
                product = np.imag(self._call("gradient", theta + 1e-20j * v)) / 1e-20
            except Exception:  # the code does not take complex numbers
                self._found["analytic"] = False
            else:
                if "analytic" not in self._found:
                    self._found["analytic"] = _close(product, self._differences(theta, v), 1e-4)
                if self._found["analytic"]:
                    return product
        return self._differences(theta, v)

    def _differences(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the Hessian times `v` by a central difference of the gradient."""
        size, speed = (np.abs(x).max(axis=0) for x in (theta, v))
        step = np.maximum(size, 1.0) / np.maximum(speed, 1e-300)
        step = step * (5e-3 if "single" in self._found else 6e-6)
        ahead, behind = (self._call("gradient", theta + side * step * v) for side in (1, -1))
        return (ahead - behind) / (2 * step)

    def _call(self, name: str, *arguments: np.ndarray) -> np.ndarray:
        """Return what a function gives at points (d, ...), as an array of floats."""
        theta, function, cut = arguments[0], self._functions[name], int(name == "value")
        if theta.ndim == 1:
            return self._checked(name, function(*arguments), theta)
        flat = [a.reshape(len(a), -1) for a in arguments]
        points = flat[0].shape[1]

        def alone(j: int) -> np.ndarray:
            return self._call(name, *(a[:, j] for a in flat))

        key, together = (name, flat[0].shape, theta.dtype), None
        if points > 1 and self._found.get(key, True):
            try:
                together = self._checked(name, function(*flat), flat[0])
            except Exception:  # it takes one point at a time, or its error comes again from that
                self._found[key] = False
            if together is not None and key not in self._found:
                ends = np.stack([alone(0), alone(-1)], axis=-1)
                agree = _close(together[..., [0, -1]], ends, 1e-3 if "single" in self._found else 1e-6)
                if not agree or np.any(flat[0][:, 0] != flat[0][:, -1]):
                    self._found[key] = agree
                together = together if agree else None
        if together is None:
            together = np.stack([alone(j) for j in range(points)], axis=-1)
        return together.reshape(theta.shape[cut:])

    def _checked(self, name: str, result: Any, theta: np.ndarray) -> np.ndarray:
        """Return what a function of the user's gave as an array of floats of the right shape."""
        if result is None:
            raise TypeError(f"the function for the {name} returned None; it must return numbers")
        array = np.asarray(result.detach().cpu() if hasattr(result, "detach") else result)
        shape = theta.shape[name == "value" :]
        if array.dtype.kind not in ("c" if theta.dtype.kind == "c" else "fiu"):
            raise TypeError(f"the function for the {name} returned {array.dtype}; it must return real numbers")
        if array.shape != shape:
            raise ValueError(
                f"the function for the {name} returned the shape {array.shape} for theta of shape "
                f"{theta.shape}; it must return {shape}"
            )
        if array.dtype.kind == "f" and array.dtype.itemsize < 8 and "single" not in self._found:
            self._found["single"] = True
            warnings.warn(
                f"the function for the {name} returned {array.dtype}; results are converted to double "
                "precision, but have its seven digits at most. Compute in float64 instead.",
                stacklevel=2,
            )
        return array.astype(theta.dtype if theta.dtype.kind == "c" else float)

    # --- along a curve ---------------------------------------------------------------------------

    def _along(self, theta: Series) -> Series:
        """Return the gradient along a curve."""
        enough = theta.dtype != object and theta.terms <= 2
        if enough and (theta.terms == 1 or self._functions["hessian_vector"] or "no Series" in self._found):
            return self._lifted(theta)
        try:
            result = self._functions["gradient"](theta)
            if isinstance(result, (list, tuple)):
                result = Series.stack(result)
            if not isinstance(result, Series) or result.leading.shape != theta.leading.shape:
                raise TypeError(f"{result!r} was returned for {theta!r}")
            return result
        except Exception as problem:
            if enough:
                if not isinstance(problem, ValueError):  # which may be due to this point
                    self._found["no Series"] = True
                return self._lifted(theta)
            if theta.dtype == object and not _exact(theta.leading):
                raise Untraceable(f"the gradient's code cannot be traced: {problem}") from problem
            raise TypeError(
                f"the gradient's code does not run on a Series ({problem}), so only two terms of a "
                "modified equation can be had of it. Write it with NumPy's functions, or make the "
                "loss by bea.from_jax, bea.from_torch or bea.black_box."
            ) from problem

    def _lifted(self, theta: Series) -> Series:
        """Return the gradient along a curve from expansions in h at numbers s.

        The coefficient of h^k is a polynomial in s of degree k, so its values at k + 1 numbers
        determine it.
        """
        c = theta.coefficients
        terms = len(c)
        nodes = np.cos(np.pi * np.arange(terms) / max(2 * (terms // 2), 1)).round(15)
        nodes = np.append(0.0, sorted(nodes[nodes != 0], key=abs, reverse=True))[:terms]
        values = np.zeros((terms, *c.shape[1:]))
        values[:, 0] = self._leading(theta)
        for i, s in enumerate(nodes):
            curve = [np.tensordot(s ** np.arange(terms), polynomial, 1) for polynomial in c]
            if any(map(np.any, curve[1:])):
                values[i, 1:] = self._taylor(curve)
        result = np.zeros_like(values)
        result[:, 0] = values[0]
        for k in range(1, terms):
            s, slopes = nodes[1 : k + 1], (values[1 : k + 1, k] - values[0, k]).T / nodes[1 : k + 1]
            fit = np.linalg.inv(np.vander(s, increasing=True))
            result[k, 1 : k + 1] = np.tensordot(fit, slopes.T, 1)
        return Series(result)

    def _taylor(self, curve: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Return the coefficients of h, h^2, ... of the gradient at the sum of h^k curve[k]."""
        return [self.product_code(curve[0], curve[1])]

    def _leading(self, theta: Series) -> np.ndarray:
        """Return the gradient at the leading coefficient, known if fewer terms were asked for before."""
        terms, point, gradient = self._found.get("last", (theta.terms, None, None))
        if terms >= theta.terms or not np.array_equal(point, theta.leading):
            gradient = self._call("gradient", theta.leading)
        self._found["last"] = theta.terms, theta.leading.copy(), gradient
        return gradient

    def _traced(self, name: str, theta: np.ndarray) -> Any:
        """Return what a function gives for an array of traced numbers."""
        try:
            result = np.asarray(self._functions[name](theta), dtype=object)
        except Exception as problem:
            raise Untraceable(f"the code of the {name} cannot be traced: {problem}") from problem
        if result.shape != theta.shape[name == "value" :]:
            raise Untraceable(f"the {name} has the shape {result.shape} for {theta.shape}")
        return result


def _close(first: np.ndarray, second: np.ndarray, tolerance: float) -> bool:
    """Whether two arrays agree, compared with the largest entry of each column."""
    scale = np.nan_to_num(np.abs(second)).max(axis=0)
    return bool(np.all((np.abs(first - second) <= tolerance * scale) | (np.isnan(first) & np.isnan(second))))


# --- several losses ------------------------------------------------------------------------------


class _Mean:
    """The functions of the average of losses."""

    def __init__(self, losses: Sequence[Problem]) -> None:
        self.losses = tuple(losses)

    def value(self, theta: Any) -> Any:
        return sum(loss.value_code(theta) for loss in self.losses) * (1 / len(self.losses))

    def gradient(self, theta: Any) -> Any:
        return sum(loss.gradient_code(theta) for loss in self.losses) * (1 / len(self.losses))

    def product(self, theta: np.ndarray, v: np.ndarray) -> Any:
        return sum(loss.product_code(theta, v) for loss in self.losses) * (1 / len(self.losses))


def mean(losses: Sequence[Problem]) -> Problem:
    """Return the average of losses in the same coordinates: the full-batch loss of mini-batch losses.

    Parameters
    ----------
    losses : sequence of losses
        At least one; all in the same coordinates.

    Returns
    -------
    Loss or NumericLoss
        A Loss if all of them are.

    Raises
    ------
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
    average = _Mean(several)
    return NumericLoss(several[0].dimension, average.value, average.gradient, average.product)


def batch_losses(loss_or_losses: Problem | Sequence[Problem]) -> tuple[Problem, ...]:
    """Return one loss, or a sequence of mini-batch losses in the same coordinates, as a tuple."""
    losses = (loss_or_losses,) if isinstance(loss_or_losses, Problem) else loss_or_losses
    if not isinstance(losses, (list, tuple)) or not all(isinstance(x, Problem) for x in losses):
        raise TypeError(
            f"a loss (bea.Loss, bea.NumericLoss or bea.VectorField) or a list of them is needed, not {loss_or_losses!r}"
        )
    if not losses:
        raise ValueError("the list of mini-batch losses is empty; give at least one")
    kinds = {loss.symbols if isinstance(loss, _SymbolicProblem) else loss.dimension for loss in losses}
    names = [kind for kind in kinds if isinstance(kind, tuple)]
    if len(names) > 1 or len({loss.dimension for loss in losses}) > 1:
        raise ValueError(f"mini-batch losses must share their coordinates; these have {kinds}")
    return tuple(losses)


# --- checks --------------------------------------------------------------------------------------


def _symbols(symbols: Any, name: str) -> tuple[sp.Symbol, ...]:
    symbols = tuple(symbols) if isinstance(symbols, (list, tuple, sp.Tuple)) else (symbols,)
    if not all(isinstance(s, sp.Symbol) for s in symbols):
        raise TypeError(f"{name} must be SymPy symbols, not {symbols!r}; for many of them use sp.symbols('x:10')")
    if len(set(symbols)) != len(symbols) or (name == "symbols" and not symbols):
        raise ValueError(f"{name} must be distinct and at least one, not {symbols!r}")
    return symbols


def _check_expression(expression: Any, symbols: tuple[sp.Symbol, ...], parameters: tuple[sp.Symbol, ...]) -> None:
    if not isinstance(expression, sp.Expr):
        raise TypeError(f"a SymPy expression is needed, not {expression!r} of type {type(expression).__name__}")
    stray = sorted(expression.free_symbols - {*symbols, *parameters}, key=str)
    if stray:
        names = ", ".join(map(str, stray))
        hint = ""
        if {str(s) for s in stray} & {str(s) for s in (*symbols, *parameters)}:
            hint = "; a symbol of the same name is, but it was declared with other assumptions"
        elif not all(isinstance(s, sp.Symbol) for s in stray) or expression.has(sp.Indexed):
            hint = "; an element of an IndexedBase or MatrixSymbol is no coordinate: use sp.symbols('x:10')"
        raise ValueError(
            f"the expression {expression} holds {names}, which is not among the coordinates "
            f"{symbols} or the parameters {parameters}{hint}"
        )
    for part in expression.atoms(sp.Abs, sp.sign, sp.conjugate, sp.re, sp.im, sp.arg):
        plain = [s for s in sorted(part.free_symbols, key=str) if s.is_extended_real is None]
        if plain:
            raise ValueError(
                f"{part} has a derivative only for real {plain[0]}: declare it with "
                f"sp.Symbol({str(plain[0])!r}, real=True)"
            )
    if expression.is_extended_real is False or expression.has(sp.I):
        raise ValueError(f"the expression {expression} is not real")
    if expression.has(sp.nan, sp.zoo, sp.oo) and not expression.has(*_PENDING):
        raise ValueError(f"the expression {expression} is not finite")


_PENDING = (sp.Sum, sp.Product, sp.Integral, sp.Derivative, sp.Subs, sp.Limit)


def _evaluated(expression: sp.Expr) -> sp.Expr:
    """Return an expression without sums, integrals and derivatives that are only written down."""
    if expression.has(*_PENDING):
        expression = expression.doit()
        for left in expression.atoms(*_PENDING):
            raise ValueError(
                f"{left} does not evaluate, so it has no numbers; write it out, for instance with "
                "sp.Add(*(... for k in range(10)))"
            )
    return expression
