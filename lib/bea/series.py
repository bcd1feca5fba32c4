r"""Truncated power series in the step size, along the curve that an optimizer follows.

Near its present point an optimizer's smooth curve is

.. math:: \theta(t + s h) = \sum_{k \ge 0} h^k P_k(s), \qquad P_0 = \theta,

where each :math:`P_k` is a polynomial in the scaled time :math:`s` of degree at most :math:`k`.
Whatever an optimizer computes along the curve has the same form, so the arithmetic of such series
is all that deriving a modified equation needs.  The coefficients are floats, or arrays of them
(many points at once), or exact numbers and expressions in an array of dtype ``object``: the same
lines of code serve all three.

A :class:`Series` takes part in NumPy's functions as an array of its value's shape does.  Three rules
make this possible: a *linear* function acts on each coefficient, a *bilinear* one on pairs of them, and
any other smooth function follows from its partial derivatives by :math:`\partial_h f(v) = f'(v)\,\partial_h v`.
What is not smooth is decided by the leading coefficients.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cache, partial, reduce
from math import comb, floor, inf, pi, prod, sqrt
from numbers import Real
from typing import Any

import numpy as np
import sympy as sp
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple
from scipy import special
from sympy.codegen import cfunctions

__all__ = ["Series", "antidifference", "select", "taylor"]

BLOCK = 4096  # as many values are worked on at a time, so that what is needed for them stays in the cache

_NOT_AN_ARRAY = (
    "a Series does not become an array; write np.stack([...]) instead of np.array([...]), A @ theta "
    "instead of A.dot(theta), np.cos(x) instead of math.cos(x), np.zeros_like(theta) instead of np.zeros(...), and np.logaddexp.reduce "
    "instead of scipy.special.logsumexp; series.leading is its value at the point"
)


class NoExpansion(ValueError):
    """A function has no expansion at the present point: a kink, a jump or a pole is exactly there.

    Examples
    --------
    >>> try:
    ...     abs(Series.from_polynomials([[0.0], [0.0, 1.0]]))
    ... except NoExpansion as problem:
    ...     print("no expansion:", str(problem)[:30])
    no expansion: two values that are compared a
    """


def _bounded(number: Any) -> None:
    """Raise NoExpansion for infinite numbers, such as those that grow with the number of the step."""
    if isinstance(number, (float, np.ndarray)) and np.asarray(number).dtype.kind == "f" and np.isinf(number).any():
        raise NoExpansion(
            "something is multiplied by an infinite number, raised to it or added to it: one that is divided by 0, or grows "
            "without bound, as the number of the step does; bound it, as in min(1.0, memory.step / 100), or write memory.time"
        )


class Series(np.lib.mixins.NDArrayOperatorsMixin):
    r"""The series :math:`\sum_{k<K} h^k \sum_{j\le k} c_{kj} s^j`, cut off at :math:`h^K`.

    Code that was written for arrays of the value's shape runs on a Series: arithmetic, indexing,
    NumPy's functions of arrays, and the elementary functions of NumPy and SciPy.  Comparisons,
    ``abs``, ``maximum`` and ``where`` are decided by the leading coefficients.  The attributes
    ``shape``, ``ndim``, ``size`` and ``dtype`` and the methods, such as ``mean``, are those of the value.

    Parameters
    ----------
    coefficients : ndarray of shape (K, K, \*shape)
        ``coefficients[k, j]`` belongs to :math:`h^k s^j`; it is zero for ``j > k``.
        ``shape`` is the shape of the value that is expanded: ``()``, ``(d,)`` or ``(d, batch)``.
        Whole numbers become floats.

    Raises
    ------
    TypeError
        If the coefficients are not an array of numbers.
    ValueError
        If their shape is not (K, K, \*shape).

    Examples
    --------
    The gradient of :math:`E = \theta^4/4` at :math:`\theta = 2`, on the line :math:`\theta(t + sh)
    = 2 - 3 s h`:

    >>> theta = Series.from_polynomials([[2.0], [0.0, -3.0]])
    >>> (theta**3).coefficients[:, :2].tolist()
    [[8.0, 0.0], [0.0, -36.0]]
    """

    __slots__ = ("coefficients",)
    __hash__ = None  # type: ignore[assignment]
    coefficients: np.ndarray

    def __init__(self, coefficients: np.ndarray) -> None:
        if not isinstance(coefficients, np.ndarray) or coefficients.dtype.kind not in "biufcO":
            raise TypeError(f"the coefficients must be an array of numbers, not {coefficients!r}")
        shape = coefficients.shape
        if len(shape) < 2 or shape[0] != shape[1] or not shape[0]:
            raise ValueError(f"coefficients of shape {shape} were given; allowed is (K, K, *shape)")
        self.coefficients = coefficients.astype(float) if coefficients.dtype.kind in "biu" else coefficients

    @classmethod
    def from_polynomials(cls, polynomials: Sequence[Any]) -> Series:
        """Return the series whose coefficient of h^k is the polynomial ``polynomials[k]`` in s.

        Parameters
        ----------
        polynomials : sequence of K sequences
            ``polynomials[k]`` has the coefficients of 1, s, s^2, ..., at most k + 1 of them.

        Returns
        -------
        Series

        Raises
        ------
        TypeError
            If no lists of numbers are given.
        ValueError
            If a list is too long, or there is none.

        Examples
        --------
        >>> Series.from_polynomials([[1.0], [0.0, 2.0], [0.0, 0.0, 3.0]]).at(s=1.0, h=0.1).item()
        1.23
        """
        rows = [[np.asarray(c) for c in polynomial] for polynomial in polynomials]
        sizes = [len(row) for row in rows]
        if not sizes or not sizes[0] or any(size > k + 1 for k, size in enumerate(sizes)):
            raise ValueError(f"lists of 1, 2, 3, ... coefficients are needed, not of {sizes}")
        dtype = np.result_type(float, *{c.dtype for row in rows for c in row})
        coefficients = np.zeros((len(rows), len(rows), *rows[0][0].shape), dtype)
        for k, row in enumerate(rows):
            for j, coefficient in enumerate(row):
                coefficients[k, j, ...] = coefficient
        return cls(coefficients)

    # --- what an array has -----------------------------------------------------------------------

    @property
    def terms(self) -> int:
        """The number K of powers of h that are kept."""
        return len(self.coefficients)

    @property
    def leading(self) -> np.ndarray:
        """The coefficient of h^0, which is the value at the present point."""
        return self.coefficients[0, 0, ...]

    T = property(np.transpose, doc="The value with its axes reversed.")

    def reshape(self, *shape: Any) -> Any:
        """Return the same entries in another shape.

        Parameters
        ----------
        *shape : int, or one tuple of them

        Returns
        -------
        Series
        """
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """Return the value with its axes in another order, reversed by default.

        Parameters
        ----------
        *axes : int, or one tuple of them

        Returns
        -------
        Series
        """
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def __len__(self) -> int:
        return len(self.leading)

    def __iter__(self) -> Iterator[Series]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Series:
        index = index if isinstance(index, tuple) else (index,)
        if any(isinstance(i, (list, tuple, range, np.ndarray)) for i in index):
            return _linear(operator.getitem, self, index)
        found = self.coefficients[(slice(None), slice(None), *index)]  # a view, as of an array
        return _wrap(found if found.ndim > 2 else found.copy())  # but a number is none

    def __setitem__(self, index: Any, value: Any) -> None:
        if not self.coefficients.flags.writeable:
            raise TypeError("a Series that belongs to others cannot be changed in place; write a = a + b, not a += b")
        value = _lift(value, self)
        for place in _places(range(self.terms)):
            self.coefficients[(*place, ...)][index] = value.coefficients[place]

    def __getattr__(self, name: str) -> Any:
        if name in ("dtype", "ndim", "shape", "size"):
            return getattr(self.leading, name)
        if hasattr(np.ndarray, name) and getattr(np, name, None) in _RULES:
            return partial(getattr(np, name), self)
        raise AttributeError(f"a Series has no attribute {name!r}")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(_NOT_AN_ARRAY)

    __float__ = __array__

    def _sympy_(self) -> Any:
        raise sp.SympifyError(self)  # so that a SymPy expression leaves an operation to the Series

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __repr__(self) -> str:
        return f"Series(terms in h: {self.terms}, value shape: {self.shape})"

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        rule, (out,) = _RULES.get(ufunc), options.pop("out", (None,))
        if method == "reduce" and rule and out is None:
            rule = _REDUCTIONS.get(ufunc) or partial(_reduced, partial(reduce, ufunc))
            return rule(*inputs, **{"axis": 0, **options})
        if not rule or method != "__call__" or options or not isinstance(out, Series | None):
            raise TypeError(_refusal(ufunc.__name__ + f".{method}" * (method != "__call__"), out))
        if out is None:
            return rule(*inputs)
        out[...] = rule(*inputs)
        return out

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if function not in _RULES or kwargs.keys() & {"out", "where", "initial", "prepend", "append", "returned"}:
            raise TypeError(_refusal(function.__name__, kwargs.get("out")))
        return _RULES[function](*args, **kwargs)

    # --- what a series has -----------------------------------------------------------------------

    def at(self, s: Any, h: Any) -> Any:
        """Return the value at a scaled time and a step size.

        Parameters
        ----------
        s, h : number or array
            The scaled time and the step size; arrays combine with the value as in NumPy.

        Returns
        -------
        array of the value's shape, combined with those of `s` and `h`

        Examples
        --------
        >>> Series.from_polynomials([[2.0], [0.0, -3.0]]).at(s=1.0, h=0.5).item()
        0.5
        """
        s, h = _constant(s, self), _constant(h, self)
        rows = (reduce(lambda total, c: total * s + c, row[::-1]) for row in self.coefficients[::-1])
        return reduce(lambda total, c: total * h + c, rows)

    def shift(self, by: Any) -> Series:
        """Return the series at the scaled time s + ``by``; -1 is one step earlier.

        Parameters
        ----------
        by : number

        Returns
        -------
        Series

        Examples
        --------
        >>> Series.from_polynomials([[2.0], [0.0, -3.0]]).shift(-1).coefficients[1].tolist()
        [3.0, -3.0]
        """
        by, moved = _constant(by, self), self.coefficients.copy()
        for first in range(self.terms - 1):  # Horner's rule, again and again
            for j in range(self.terms - 2, first - 1, -1):
                moved[:, j] = moved[:, j] + moved[:, j + 1] * by
        return _wrap(moved)

    def compose(self, value: Any, derivative: Callable[[Series], Series] | Series) -> Series:
        r"""Return the series :math:`w` of a function of this one, :math:`v`, from
        :math:`\partial_h w = F\,\partial_h v`.

        Parameters
        ----------
        value : array
            The function at the leading coefficient.
        derivative : Series or callable
            The Series :math:`F`; or a function that gives :math:`F` from the terms of ``w`` that are
            known so far: ``lambda w: w`` for the exponential, ``lambda w: 1 - w * w`` for the
            hyperbolic tangent.

        Returns
        -------
        Series

        Examples
        --------
        >>> v = Series.from_polynomials([[0.0], [0.0, 2.0], [0.0]])
        >>> v.compose(np.exp(v.leading), lambda w: w).coefficients[2].tolist()
        [0.0, 0.0, 2.0]
        """
        if isinstance(derivative, Series):
            return _integral(value, self, [(derivative, self)])
        w = _lift(value, _cut(self, 1))
        for terms in range(2, self.terms + 1):
            v = _cut(self, terms)
            w = _integral(value, v, [(derivative(w), v)])
        return w

    def apply_derivatives(self, derivatives: Sequence[Any]) -> Series:
        r"""Return a function of this series by Taylor's formula at the leading coefficient.

        Parameters
        ----------
        derivatives : sequence of K arrays
            :math:`D_k`, the function and its derivatives at the leading coefficient; further ones
            are ignored.

        Returns
        -------
        Series
            :math:`\sum_k D_k\,(v - v_0)^k/k!`

        Raises
        ------
        ValueError
            If there are fewer than K derivatives.

        Examples
        --------
        >>> v = Series.from_polynomials([[0.0], [0.0, 1.0], [0.0]])
        >>> v.apply_derivatives([5.0, 6.0, 8.0]).coefficients[2].tolist()
        [0.0, 0.0, 4.0]
        """
        if len(derivatives) < self.terms:
            raise ValueError(f"{self.terms} derivatives are needed, not {len(derivatives)}")
        value, *others = derivatives[: self.terms]
        if not others:
            return _lift(value, self)
        return _integral(value, self, [(_cut(self, -1).apply_derivatives(others), self)])


# --- coefficients --------------------------------------------------------------------------------


def _wrap(coefficients: np.ndarray) -> Series:
    """Return a Series without checking its coefficients."""
    series = object.__new__(Series)
    series.coefficients = coefficients
    return series


def _cut(series: Series, terms: int) -> Series:
    """Return the first terms of a series; -1: all but the last one."""
    return _wrap(series.coefficients[:terms, :terms])


def _constant(other: Any, series: Series) -> Any:
    """Return a number or an array of them, for an operation with a series."""
    array = np.asarray(other)
    if array.dtype.kind not in "biufcO":
        raise TypeError(f"a series combines with numbers and arrays of them, not with {other!r}")
    if series.dtype.hasobject:
        return array if array.ndim else array.item()
    if array.dtype.hasobject and all(isinstance(x, Real) or getattr(x, "is_number", False) for x in array.flat):
        array = array.astype(float)
    return array[()]


def _lift(value: Any, like: Series) -> Series:
    """Return a Series as it is, and a constant as a Series with as many terms as ``like``."""
    terms = len(like.coefficients)
    if not isinstance(value, Series):
        value = np.asarray(_constant(value, like))
        c = np.zeros((terms, terms, *value.shape), np.result_type(like.coefficients, value))
        c[0, 0, ...] = value
        return _wrap(c)
    if len(value.coefficients) != terms:
        raise ValueError(f"series of {terms} and of {value.terms} terms in h do not combine")
    return value


def _lifted(*values: Any) -> list[Series]:
    """Return series and constants as Series, at least one of them being one."""
    like = next((value for value in values if isinstance(value, Series)), None)
    if like is None:
        raise TypeError("a Series is allowed in the first argument only")
    return [_lift(value, like) for value in values]


def _widened(series: Series, ndim: int) -> np.ndarray:
    """Return coefficients with axes inserted, so that values align from the right as NumPy's do."""
    c = series.coefficients
    missing = ndim + 2 - c.ndim
    return c.reshape(c.shape[:2] + (1,) * missing + c.shape[2:]) if missing > 0 else c


def _aligned(left: Any, right: Any, ndim: int = 0) -> list[np.ndarray]:
    """Return the coefficients of two series, or of one and a constant, as arrays that combine."""
    left, right = _lifted(left, right)
    ndim = max(ndim, left.coefficients.ndim - 2, right.coefficients.ndim - 2)
    return [_widened(left, ndim), _widened(right, ndim)]


@cache
def _places(rows: range) -> list[tuple[int, int]]:
    """Return the places (k, j) of the coefficients of h^k for k in ``rows``."""
    return [(k, j) for k in rows for j in range(k + 1)]


# Of objects zeros are skipped, so that expressions and traces stay short.
def _is_zero(x: Any) -> bool:
    return x is sp.S.Zero or type(x) in (int, float, Fraction) and x == 0


_zero_objects = np.frompyfunc(_is_zero, 1, 1)
_plus_objects = np.frompyfunc(lambda a, b: b if _is_zero(a) else a if _is_zero(b) else a + b, 2, 1)
_times_objects = np.frompyfunc(lambda a, b: 0 if _is_zero(a) or _is_zero(b) else a * b, 2, 1)


def _vanishes(array: np.ndarray) -> np.ndarray:
    return np.asarray(_zero_objects(array), dtype=bool) if array.dtype.hasobject else array == 0


def _arithmetic(*arrays: np.ndarray) -> tuple[np.ufunc, np.ufunc]:
    """Return addition and multiplication."""
    exact = any(array.dtype.hasobject for array in arrays)
    return (_plus_objects, _times_objects) if exact else (np.add, np.multiply)


def _orders(c: np.ndarray) -> np.ndarray:
    """Return the powers of h, of shape (K, 1, ..., 1)."""
    return np.arange(len(c)).reshape(-1, *(1,) * (c.ndim - 1))


def _one_over(k: int, like: np.ndarray) -> Any:
    return sp.Rational(1, k) if like.dtype.hasobject else 1.0 / k


# --- arithmetic ----------------------------------------------------------------------------------


@cache
def _pairs(rows: range, first: int, columns: int, others: int) -> tuple[Any, ...]:
    """Return the places (k, j); for each of them which coefficients (i, m), i >= first, and (k - i, j - m) multiply, as
    places in flat arrays; these in two arrays; and where in these each group starts."""
    groups = [
        [(i * columns + m, (k - i) * others + j - m) for i, m in _places(range(first, k + 1)) if 0 <= j - m <= k - i]
        for k, j in _places(rows)
    ]
    left, right = np.array(sum(groups, [])).T.copy()
    return _places(rows), groups, left, right, np.cumsum([0, *map(len, groups[:-1])])


def _convolve(
    a: np.ndarray, b: np.ndarray, rows: range, first: int = 0, times: Any = None
) -> Iterable[tuple[Any, Any]]:
    """Return the places (k, j), k in ``rows``, and the coefficients there of a product, by ``times``; of the first
    factor only what has the order i >= first in h counts."""
    places, groups, left, right, starts = _pairs(rows, first, a.shape[1], b.shape[1])
    plus, multiply = _arithmetic(a, b)
    size = len(left) * max(a[0, 0, ...].size, b[0, 0, ...].size)
    a, b = a.reshape(-1, *a.shape[2:]), b.reshape(-1, *b.shape[2:])
    if times is None and size < 4000:  # all at once
        values: Any = plus.reduceat(multiply(a.take(left, axis=0), b.take(right, axis=0)), starts, axis=0)
    else:
        times = times or multiply
        values = (reduce(plus, (times(a[i], b[j]) for i, j in group)) for group in groups)
    return zip(places, values)


def _blocks(*arrays: np.ndarray) -> Iterable[Sequence[np.ndarray]]:
    """Yield arrays of coefficients; large ones as views of as many values as stay in the processor's cache."""
    shape = arrays[0].shape[2:]
    size = prod(shape)
    if size <= BLOCK or any(a.shape[2:] != shape or a.dtype.hasobject for a in arrays):
        return [arrays]
    flat = [a.reshape(*a.shape[:2], size) for a in arrays]
    return ([a[..., i : i + BLOCK] for a in flat] for i in range(0, size, BLOCK))


def _add(left: Any, right: Any) -> Series:
    series, other = (left, right) if isinstance(left, Series) else (right, left)
    if type(other) in (int, float) and abs(other) != inf:
        c = series.coefficients.copy()
        c[0, 0] += other
        return _wrap(c)
    _bounded(other)
    a, b = _aligned(series, other)
    return _wrap(_arithmetic(a, b)[0](a, b))


def _multiply(left: Any, right: Any) -> Series:
    series, other = (left, right) if isinstance(left, Series) else (right, left)
    if isinstance(other, Series):
        a, b = _aligned(series, other)
        shape = np.broadcast_shapes(a.shape[2:], b.shape[2:])
        product = np.zeros((*a.shape[:2], *shape), np.result_type(a, b))
        for x, y, c in _blocks(a, b, product):
            for place, value in _convolve(x, y, range(len(x))):
                c[place] = value
        return _wrap(product)
    _bounded(other)
    other = np.asarray(_constant(other, series))
    c = _widened(series, other.ndim)
    return _wrap(_arithmetic(c)[1](c, other))


def _divide(left: Any, right: Any) -> Series:
    if isinstance(right, Series):
        if right.terms == 1 and right.dtype.hasobject and not np.any(_vanishes(right.leading)):  # as traced numbers do
            return _wrap(_of_objects(operator.truediv, *_aligned(left, right)))
        return _multiply(_power(right, -1), left)
    return _multiply(left, _one_over(1, left.coefficients) / _constant(right, left))


def _raise(base: Any, exponent: Any) -> Series:
    """Return a power; the base or the exponent is a Series."""
    if isinstance(exponent, Series) and isinstance(base, Series) and np.all(_vanishes(exponent.coefficients[1:])):
        exponent = exponent.leading  # a constant, as exact hyper-parameters are
    if isinstance(exponent, Series):
        base = _lift(base, exponent)
        return (exponent * np.log(base)).compose(base.leading**exponent.leading, lambda w: w)
    _bounded(exponent)
    exponent = _constant(exponent, base)
    if isinstance(exponent, Real) and exponent == exponent // 1 and not exponent < 0:
        return _whole_power(base, int(floor(exponent)))
    if isinstance(exponent, np.ndarray) and exponent.dtype.kind in "iuf":
        whole = (exponent >= 0) & (exponent % 1 == 0)
        found = _power(select(whole, 1.0, base), exponent)
        for n in np.unique(exponent[whole]):
            found = select(exponent == n, _whole_power(base, int(n)), found)
        return found
    return _power(base, exponent)


def _whole_power(base: Series, exponent: int) -> Series:
    if exponent < 2:
        return base * exponent + (1 - exponent)
    half = _whole_power(base, exponent // 2) if exponent > 3 else base
    return half * half * base if exponent % 2 else half * half


def _power(base: Series, exponent: Any, value: Any = None) -> Series:
    r"""Return :math:`w = v^\alpha` by :math:`v\,\partial_h w = \alpha\,w\,\partial_h v`; ``value`` is another
    root of the leading coefficient."""
    exact = base.dtype.hasobject
    if exact and isinstance(exponent, (Real, sp.Expr)):
        exponent = (sp.nsimplify if isinstance(exponent, (float, sp.Float)) else sp.sympify)(exponent)
    negative = isinstance(exponent, Real) and exponent < 0
    if (base.terms > 1 or negative) and np.any(_vanishes(base.leading)):
        if np.all(exponent % 1 == 0):
            raise NoExpansion(
                "what is divided by is 0 there: it has no term of order 0 in h; add a constant, as epsilon, or move the point "
                "(memory.h is of order 1 at every point: add up gradients instead of dividing a difference of points by it)"
            )
        place = np.argwhere(_vanishes(base.leading))[0].tolist()
        raise NoExpansion(
            f"what is raised to the power {exponent} is 0 there{f', in its entry {place}' * bool(place)}: a power has no "
            "expansion at 0, even if the gradient is 0 everywhere in that coordinate; add a constant before, as in "
            "(v + epsilon) ** 0.5, or leave that coordinate out"
        )
    value = np.asarray(base.leading**exponent if value is None else value)
    found = _lift(value, base).coefficients
    both = _widened(base, value.ndim), found
    for v, w in [both] if isinstance(exponent, np.ndarray) else _blocks(*both):
        times, orders = _arithmetic(v)[1], _orders(w)
        for k in range(1, base.terms):
            weighted = times(v[: k + 1], (orders[: k + 1] * (exponent + 1) - k) * _one_over(k, v))
            for place, total in _convolve(weighted, w, range(k, k + 1), 1):
                w[place] = total
            w[k] = times(w[k], v[0, 0, ...] ** (sp.Integer(-1) if exact else -1.0))
    return _wrap(found)


# --- smooth functions ----------------------------------------------------------------------------


def _integral(value: Any, like: Series, pairs: Iterable[tuple[Series, Series]]) -> Series:
    r"""Return the series w with the leading coefficient ``value`` and :math:`\partial_h w = \sum F\,\partial_h v`
    for the pairs (F, v), of which F needs one term less."""
    found = _lift(value, like).coefficients
    for slope, v in pairs if len(found) > 1 else ():
        for c, f, w in _blocks(_widened(v, found.ndim - 2), _widened(slope, found.ndim - 2), found):
            plus, times = _arithmetic(c, f)
            for place, rate in _convolve(times(c, _orders(c)), f, range(1, len(w)), 1):
                w[place] = plus(w[place], rate)
    for k in range(2, len(found)):
        found[k] = found[k] * _one_over(k, found)
    return _wrap(found)


def _smooth(ufunc: np.ufunc, slopes: Sequence[Callable[..., Any]], *arguments: Any) -> Series:
    """Return a function of series, from its partial derivatives."""
    variables = _lifted(*arguments)
    known = [_cut(v, -1) for v in variables]
    value = _at(ufunc, *(v.leading for v in variables))
    return _integral(value, variables[0], ((slope(*known), v) for slope, v in zip(slopes, variables)))


def _symbolic(name: str) -> Any:
    """Return SymPy's function for the name of one of NumPy's, or None."""
    name = name.replace("arc", "a")
    return _SYMPY.get(name) or getattr(sp, name, None) or getattr(cfunctions, name, None)


@cache
def _derivative(name: str) -> Callable[[Series], Series]:
    """Return the derivative of a function of one variable as SymPy knows it."""
    x = sp.Symbol("x")
    return sp.lambdify(x, _symbolic(name)(x).diff(x), "numpy")


def _slope_of_expit(v: Series) -> Series:
    """Return expit(v) * expit(-v), with all digits in both tails."""
    w = special.expit(v)
    other = -w.coefficients
    other[0, 0, ...] = _at(special.expit, np.asarray(-v.leading))
    return w * _wrap(other)


def _at(ufunc: np.ufunc, *values: np.ndarray) -> np.ndarray:
    """Return a function of arrays; of objects, their method of that name or SymPy's function."""
    if not any(value.dtype.hasobject for value in values):
        return ufunc(*values)
    return _of_objects(partial(_at_element, ufunc.__name__), *values)


def _of_objects(function: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """Apply a function to each entry, outside of NumPy's loops, in which an exception is not safe."""
    grid = np.broadcast(*arrays)
    return np.fromiter((function(*entries) for entries in grid), object, grid.size).reshape(grid.shape)


def _at_element(name: str, *values: Any) -> Any:
    for value in values:
        if hasattr(value, name) and not isinstance(value, sp.Basic):
            return getattr(type(value), name)(*values)
    if _symbolic(name) is None:
        raise TypeError(f"{name} has no exact value; use floats")
    return _symbolic(name)(*map(sp.sympify, values))


_SYMPY = {"cbrt": lambda x: sp.real_root(x, 3), "expit": lambda x: 1 / (1 + sp.exp(-x))}


# --- decisions by the leading coefficients ---------------------------------------------------------


def select(condition: Any, x: Any, y: Any) -> Series:
    """Return ``x`` where the condition holds and ``y`` elsewhere, coefficient by coefficient.

    Parameters
    ----------
    condition : array of bool, or of objects with a method ``where(x, y)``, or of SymPy relations
    x, y : Series or array
        At least one of them a Series.

    Returns
    -------
    Series

    Raises
    ------
    TypeError
        If the condition is a Series, or neither ``x`` nor ``y`` is one.

    Examples
    --------
    >>> x = Series.from_polynomials([[np.array([1.0, 2.0])], [np.zeros(2), np.ones(2)]])
    >>> select(np.array([True, False]), x, 0.0).coefficients[1, 1].tolist()
    [1.0, 0.0]
    """
    if isinstance(condition, Series):
        raise TypeError("a Series is not a condition; compare it, as in np.where(x > 0, ...)")
    condition = np.asarray(condition)
    choose = partial(_of_objects, _choice) if condition.dtype.hasobject else np.where
    return _wrap(choose(condition, *_aligned(x, y, condition.ndim)))


def _choice(condition: Any, x: Any, y: Any) -> Any:
    if x is y or _is_zero(x) and _is_zero(y):
        return x
    if hasattr(condition, "where"):
        return condition.where(x, y)
    if isinstance(condition, sp.core.relational.Relational):
        return sp.Piecewise((x, condition), *(y.args if isinstance(y, sp.Piecewise) else [(y, True)]))
    return x if condition else y


class _Ties(threading.local):
    """How often two values were compared that are equal in all terms, and may differ in later ones."""

    seen = 0


ties = _Ties()


def _no_kink(left: Any, right: Any) -> None:
    """Raise ValueError where two values are equal at the present point, but not next to it."""
    same = _vanishes((left - right).coefficients)
    if left is not right and np.any(same.all(axis=(0, 1))):
        ties.seen += 1
    if np.any(same[0, 0] & ~same.all(axis=(0, 1))):
        raise NoExpansion(
            "two values that are compared are equal at this point but not next to it: a kink or a jump is exactly here, "
            "so there is no expansion; move the point, unless they are equal everywhere, as a value and the one before are"
        )


def _compare(ufunc: np.ufunc, left: Any, right: Any) -> Any:
    """Return a comparison of the leading coefficients."""
    left, right = _lifted(left, right)
    _no_kink(left, right)
    if not (left.dtype.hasobject or right.dtype.hasobject):
        return ufunc(left.leading, right.leading)
    found = np.asarray(ufunc(left.leading, right.leading, dtype=object))
    decided = all(isinstance(x, (bool, np.bool_, sp.logic.boolalg.BooleanAtom)) for x in found.flat)
    return found.astype(bool) if decided else found


def _sign(x: Series) -> np.ndarray:
    _no_kink(x, _lift(0, x))
    return _at(np.sign, x.leading)


def _larger(compare: np.ufunc, left: Any, right: Any) -> Series:
    """Return the maximum (by >=) or minimum (by <=); what is not a number stays so."""
    left, right = _lifted(left, right)
    other = select(_compare(np.not_equal, left, left), left, right)
    return select(_compare(compare, left, right), left, other)


def _extreme(compare: np.ufunc, arg: Callable[..., Any], x: Any) -> Series:
    """Return the largest or smallest entry along the first axis; ties between others do not matter."""
    if x.dtype.hasobject:
        return reduce(partial(_larger, compare), x)
    index = arg(x.leading, 0)[None]
    best, places = np.take_along_axis(x, index, 0), np.arange(len(x)).reshape(-1, *(1,) * (x.ndim - 1))
    _no_kink(select(places == index, np.nan, x), best)  # it ties with others, not with itself
    return best[0]


def _clip(x: Any, a_min: Any = None, a_max: Any = None, **bounds: Any) -> Series:
    low, high = bounds.get("min", a_min), bounds.get("max", a_max)
    if isinstance(x, Series) and low is not None and high is not None and isinstance(x.leading.flat[0], sp.Expr):
        inside = select(x > high, high, x)  # terms are easier to read if all conditions are on x itself
        return select(x < low, np.minimum(_lift(low, x), high), inside)
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


# --- functions of arrays ---------------------------------------------------------------------------


def _linear(function: Callable[..., Any], first: Any, *rest: Any, **options: Any) -> Any:
    """Apply a linear function of the first argument (a Series, or a list with one) to each coefficient."""
    several = isinstance(first, (list, tuple))
    arrays = [series.coefficients for series in (_lifted(*first) if several else _lifted(first))]
    places, rows = _places(range(len(arrays[0]))), []
    for k, j in places:
        values = [c[k, j, ...] for c in arrays]
        rows.append(function(values if several else values[0], *rest, **options))
    if isinstance(rows[0], (list, tuple)):
        return [_fixed(_assembled(zip(places, row), arrays[0])) for row in zip(*rows)]
    found = _assembled(zip(places, rows), arrays[0])
    return _fixed(found) if function.__name__ in _VIEWS else found


def _fixed(series: Series) -> Series:
    """Return a Series that cannot be changed in place: what NumPy shows as a view is a copy here."""
    series.coefficients.flags.writeable = False
    return series


def _assembled(found: Iterable[tuple[Any, Any]], like: np.ndarray) -> Series:
    """Return the Series with the coefficients that were found, as pairs of a place (k, j) and a value."""
    c: Any = None
    for place, value in found:
        if c is None:
            first = np.asarray(value)
            c = np.zeros((*like.shape[:2], *first.shape), np.result_type(like, first))
        c[place] = value
    return _wrap(c)


def _bilinear(function: Callable[..., Any], *arguments: Any, **options: Any) -> Series:
    """Apply a function that is linear in each of its arrays; at most two of them are Series."""
    places = [i for i, value in enumerate(arguments) if isinstance(value, Series)]
    if len(places) > 2:
        raise TypeError(f"{function.__name__} takes at most two Series; multiply one after another")
    series = _lifted(*(arguments[i] for i in places))
    given = [_constant(a, series[0]) if isinstance(a, np.ndarray) else a for a in arguments]

    def at(*values: np.ndarray) -> Any:
        for i, value in zip(places, values):
            given[i] = value
        return function(*given, **options)

    if len(series) == 1:
        return _linear(at, series[0])
    left, right = (s.coefficients for s in series)
    return _assembled(_convolve(left, right, range(len(left)), times=at), left)


def _axes(x: Series, axis: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)


def _reduced(combine: Callable[..., Series], x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Return the entries along axes, combined by a function of a Series that has them on its first axis."""
    axes = _axes(x, axis)
    front = np.moveaxis(x, axes, range(len(axes)))
    result = combine(front.reshape(-1, *front.shape[len(axes) :]))
    return np.expand_dims(result, axes) if keepdims else result


def _sum(x: Series, axis: Any = None, *, keepdims: bool = False) -> Series:
    return _wrap(np.asarray(x.coefficients.sum(axis=tuple(a + 2 for a in _axes(x, axis)), keepdims=keepdims)))


def _stack(arrays: Sequence[Any], axis: int = 0) -> Series:
    parts = _lifted(*arrays)
    return _wrap(np.stack([part.coefficients for part in parts], normalize_axis_index(axis, parts[0].ndim + 1) + 2))


def _full_like(x: Series, fill_value: Any, dtype: Any = None, shape: Any = None) -> Series:
    """Return a Series to fill."""
    if dtype is not None and np.dtype(dtype).kind not in "fO":
        raise TypeError(f"a Series has no dtype {dtype}; leave it out, or write float")
    return _lift(np.full(x.shape if shape is None else shape, fill_value), x)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    axes = x.ndim if axis is None else np.size(axis)
    if ord == 1 and axes == 1:
        return np.sum(abs(x), axis, keepdims=keepdims)
    if ord is None or (ord, axes) in ((2, 1), ("fro", 2)):
        return np.sqrt(np.sum(np.square(x), axis, keepdims=keepdims))
    raise TypeError(f"the norm {ord!r} does not run on a Series; write it with abs, sum and powers")


def _inverse(matrix: Series) -> Series:
    """Return the inverse, by Newton's iteration, which doubles the number of right terms."""
    inverse, one = _lift(np.linalg.inv(matrix.leading), matrix), np.eye(matrix.shape[-1])
    for _ in range((matrix.terms - 1).bit_length()):
        inverse = inverse + inverse @ (one - matrix @ inverse)
    return inverse


# --- the table of rules ----------------------------------------------------------------------------

_LINEAR = """array_split atleast_1d atleast_2d average broadcast_to column_stack concatenate copy cumsum diag
    diagonal diff expand_dims flip fliplr flipud hsplit hstack moveaxis ravel repeat reshape roll rot90 split
    squeeze swapaxes take take_along_axis tile trace transpose tril triu vsplit vstack"""
_VIEWS = """array_split atleast_1d atleast_2d broadcast_to diagonal expand_dims flip fliplr flipud hsplit moveaxis
    ravel reshape rot90 split squeeze swapaxes transpose vsplit""".split()
_BILINEAR = "convolve correlate cross dot einsum inner kron matmul outer tensordot vdot"
_SMOOTH = """arccos arccosh arcsin arcsinh arctan arctanh cos cosh exp exp2 expm1 log log10 log1p log2 sin sinh
    tan tanh erf erfc"""


def _named(names: str, rule: Callable[..., Any]) -> dict[Callable[..., Any], Callable[..., Any]]:
    functions = [getattr(np, name, None) or getattr(special, name) for name in names.split()]
    return {function: partial(rule, function) for function in functions}


#: The partial derivatives of functions that SymPy does not know, or not as accurately.
_SLOPES: dict[np.ufunc, Sequence[Callable[..., Any]]] = {
    np.arctan2: (lambda y, x: x / (x * x + y * y), lambda y, x: -y / (x * x + y * y)),
    np.logaddexp: (lambda a, b: special.expit(a - b), lambda a, b: special.expit(b - a)),
    special.expit: [_slope_of_expit],
    special.gammaln: [special.psi],
    special.log_expit: [lambda v: special.expit(-v)],
    special.log_ndtr: [lambda v: np.exp(-v * v / 2 - special.log_ndtr(v)) / sqrt(2 * pi)],
    special.ndtr: [lambda v: np.exp(-v * v / 2) / sqrt(2 * pi)],
}
_RULES: dict[Callable[..., Any], Callable[..., Any]] = {
    **_named(_LINEAR, _linear),
    **_named(_BILINEAR, _bilinear),
    **_named("equal not_equal less less_equal greater greater_equal", _compare),
    **_named("isfinite isinf isnan", lambda ufunc, v: ufunc(v.leading)),
    **_named("ndim shape size", lambda function, v, *axis, **named: function(v.leading, *axis, **named)),
    **_named(_SMOOTH, lambda ufunc, v: _smooth(ufunc, [_derivative(ufunc.__name__)], v)),
    **{ufunc: partial(_smooth, ufunc, slopes) for ufunc, slopes in _SLOPES.items()},
    # by further derivatives
    special.j0: lambda v: v.apply_derivatives([special.jvp(0, v.leading, k) for k in range(v.terms)]),
    special.j1: lambda v: v.apply_derivatives([special.jvp(1, v.leading, k) for k in range(v.terms)]),
    special.psi: lambda v: v.apply_derivatives([special.polygamma(k, v.leading) for k in range(v.terms)]),
    # by arithmetic
    np.add: _add,
    np.cbrt: lambda v: _power(v, _constant(Fraction(1, 3), v), _at(np.cbrt, v.leading)),
    np.divide: _divide,
    np.hypot: lambda a, b: np.sqrt(np.square(a) + np.square(b)),
    np.multiply: _multiply,
    np.negative: lambda v: _wrap(-v.coefficients),
    np.positive: np.copy,
    np.power: _raise,
    np.reciprocal: lambda v: _power(v, -1),
    np.sqrt: lambda v: v ** Fraction(1, 2),
    np.square: lambda v: v * v,
    np.subtract: lambda a, b: _add(a, np.negative(b)),
    special.xlogy: lambda x, y: x * np.log(y),
    # by the leading coefficient
    np.absolute: lambda v: v * _sign(v),
    np.clip: _clip,
    np.copysign: lambda a, b: np.absolute(a) * (2 * np.heaviside(b, 1) - 1),
    np.fabs: np.absolute,
    np.heaviside: lambda v, half: np.where(np.equal(v, 0), half, (np.sign(v) + 1) / 2),
    np.max: partial(_reduced, partial(_extreme, np.greater_equal, np.argmax)),
    np.maximum: partial(_larger, np.greater_equal),
    np.min: partial(_reduced, partial(_extreme, np.less_equal, np.argmin)),
    np.minimum: partial(_larger, np.less_equal),
    np.sign: lambda v: _lift(_sign(v), v),
    np.where: select,
    # functions of arrays
    np.empty_like: lambda x, *dtype, **options: _full_like(x, 0, *dtype, **options),
    np.full_like: _full_like,
    np.linalg.inv: _inverse,
    np.linalg.norm: _norm,
    np.linalg.solve: lambda a, b: _inverse(a) @ b if isinstance(a, Series) else _bilinear(np.linalg.solve, a, b),
    np.mean: lambda x, *axis, **options: (total := np.sum(x, *axis, **options)) / (x.size // total.size),
    np.ones_like: lambda x, *dtype, **options: _full_like(x, 1, *dtype, **options),
    np.stack: _stack,
    np.sum: _sum,
    np.prod: partial(_reduced, partial(reduce, operator.mul)),
    np.zeros_like: lambda x, *dtype, **options: _full_like(x, 0, *dtype, **options),
}
_REDUCTIONS = {np.add: np.sum, np.maximum: np.max, np.minimum: np.min}
_INSTEAD = {
    "floor": "it jumps, so it has no expansion",
    "svd": "write U @ Vt by Newton and Schulz: repeat X = 1.5 * X - 0.5 * X @ X.T @ X",
}


def _refusal(name: str, out: Any) -> str:
    if out is not None:
        return "an array cannot hold a Series; write a = a + b instead of a += b, or fill np.zeros_like(theta)"
    otherwise = "write it with arithmetic, NumPy's elementary functions, np.where and np.stack"
    return f"{name} does not run on a Series; {_INSTEAD.get(name, otherwise)}"


# --- difference equations, Taylor's formula ------------------------------------------------------


def antidifference(polynomial: np.ndarray) -> np.ndarray:
    r"""Return the polynomial :math:`P` with :math:`P(s+1) - P(s) = q(s)` and :math:`P(0) = 0`.

    By Faulhaber, :math:`s^j` comes from :math:`\frac1{j+1} \sum_{i \ge 1} \binom{j+1}i B_{j+1-i} s^i` with
    the Bernoulli numbers.

    Parameters
    ----------
    polynomial : array of shape (n, ...)
        ``polynomial[j]`` is the coefficient of :math:`s^j` in :math:`q`.

    Returns
    -------
    ndarray of shape (n + 1, ...)

    Raises
    ------
    TypeError
        If ``polynomial`` is not an array of at least one number.

    Examples
    --------
    The sum of the first integers, :math:`0 + 1 + \dots + (s-1) = s^2/2 - s/2`:

    >>> antidifference(np.array([0.0, 1.0])).tolist()
    [0.0, -0.5, 0.5]
    """
    polynomial = np.asarray(polynomial)
    if polynomial.dtype.kind not in "iufcO" or not polynomial.ndim or not len(polynomial):
        raise TypeError(f"a polynomial is an array of coefficients, at least one; not {polynomial!r}")
    return np.tensordot(faulhaber(len(polynomial), polynomial.dtype.hasobject), polynomial, axes=1)


@cache
def faulhaber(length: int, exact: bool) -> np.ndarray:
    """Return the matrix of :func:`antidifference`: column j holds the polynomial that belongs to s^j."""
    matrix, bernoulli = np.zeros((length + 1, length), dtype=object), list[Fraction]()
    for j in range(length):
        bernoulli.append((j == 0) - Fraction(1, j + 1) * sum(comb(j + 1, k) * b for k, b in enumerate(bernoulli)))
        for i in range(1, j + 2):
            found = Fraction(comb(j + 1, i), j + 1) * bernoulli[j + 1 - i]
            matrix[i, j] = sp.Rational(found.numerator, found.denominator)
    return matrix if exact else matrix.astype(float)


def taylor(expression: sp.Expr, symbols: Sequence[sp.Symbol], curve: Series) -> Series:
    r"""Return the Series of a SymPy expression along an exact curve, by its partial derivatives.

    Parameters
    ----------
    expression : SymPy expression
        Abstract functions such as ``Function("E")(a, b)`` may be in it.
    symbols : sequence of d SymPy symbols
    curve : Series of shape (d,) and dtype object
        Its leading coefficient is ``symbols`` itself, or, without abstract functions, exact numbers.

    Returns
    -------
    Series
        Of value shape ().

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind; if the curve has not one value for each symbol.

    Examples
    --------
    >>> x, v = sp.symbols("x v")
    >>> line = Series.from_polynomials([[np.array([x])], [np.array([0]), np.array([v])]])
    >>> taylor(sp.exp(x), [x], line).coefficients[1, 1]
    v*exp(x)
    """
    kinds = isinstance(expression, sp.Expr) and isinstance(symbols, (list, tuple)) and isinstance(curve, Series)
    if not kinds or not all(isinstance(symbol, sp.Symbol) for symbol in symbols):
        raise TypeError(
            f"an expression, a list of symbols and a Series are needed, not {(expression, symbols, curve)!r}"
        )
    if not curve.dtype.hasobject or curve.shape != (len(symbols),):
        raise ValueError(f"{curve!r} must be exact and have one value for each of the {len(symbols)} symbols")
    here = dict(zip(symbols, curve.leading))

    @cache
    def along(function: sp.Expr, terms: int) -> Series:
        slopes = (sp.diff(function, symbol) for symbol in symbols)  # which one term alone does not ask for
        pairs = ((along(slope, terms - 1), _cut(v, terms)) for slope, v in zip(slopes, curve) if slope != 0)
        return _integral(function.xreplace(here), _cut(curve, terms), pairs)

    return along(expression, curve.terms)
