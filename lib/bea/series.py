r"""Truncated power series in the step size, along the curve that an optimizer follows.

Near its present point an optimizer's smooth curve is

.. math:: \theta(t + s h) = \sum_{k \ge 0} h^k P_k(s), \qquad P_0 = \theta,

where each :math:`P_k` is a polynomial in the scaled time :math:`s` of degree at most :math:`k`.
Whatever an optimizer computes along the curve has the same form, so the arithmetic of such series
is all that deriving a modified equation needs.  The coefficients are floats, or arrays of them
(many points at once), or exact numbers and expressions in an array of dtype ``object``: the same
lines of code serve all three.

A :class:`Series` takes part in NumPy's functions as an array of its value's shape does.  Three kinds
of rules make this possible: a *linear* function acts on each coefficient, a *bilinear* one on pairs
of them, and a function of one variable follows from its derivative (:meth:`Series.compose`).
"""

from __future__ import annotations

import operator
import string
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache, lru_cache, partial, reduce
from math import comb, factorial, log, pi, prod, sqrt
from numbers import Real
from typing import Any

import numpy as np
import sympy as sp
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple
from scipy import special

__all__ = ["Series", "antidifference", "select", "taylor"]

_np: Any = np  # NumPy's functions give a Series for a Series, which their declared types do not say
_NOT_AN_ARRAY = (
    "a Series does not become an array; write np.stack([...]) instead of np.array([...]), A @ theta "
    "instead of A.dot(theta), np.zeros_like(theta) instead of np.zeros(...), and np.logaddexp.reduce "
    "instead of scipy.special.logsumexp; its present value is series.leading"
)


class Series(np.lib.mixins.NDArrayOperatorsMixin):
    r"""The series :math:`\sum_{k<K} h^k \sum_{j\le k} c_{kj} s^j`, cut off at :math:`h^K`.

    Code that was written for arrays of the value's shape runs on a Series: arithmetic, indexing,
    NumPy's functions of arrays, and the elementary functions of NumPy and SciPy.  Comparisons,
    ``abs``, ``maximum`` and ``where`` are decided by the leading coefficients.

    Parameters
    ----------
    coefficients : ndarray of shape (K, K, \*shape)
        ``coefficients[k, j]`` belongs to :math:`h^k s^j`; it is zero for ``j > k``.
        ``shape`` is the shape of the value that is expanded: ``()``, ``(d,)`` or ``(d, batch)``.

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
    stack = staticmethod(np.stack)

    def __init__(self, coefficients: np.ndarray) -> None:
        if not isinstance(coefficients, np.ndarray) or coefficients.dtype.kind not in "biufcO":
            raise TypeError(f"the coefficients must be an array of numbers, not {coefficients!r}")
        shape = coefficients.shape
        if len(shape) < 2 or shape[0] != shape[1] or not shape[0]:
            raise ValueError(f"coefficients of shape {shape} were given; allowed is (K, K, *shape)")
        self.coefficients = coefficients

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
        lists = (list, tuple, np.ndarray)
        if not isinstance(polynomials, lists) or not all(isinstance(p, lists) for p in polynomials):
            raise TypeError(f"lists of coefficients are needed, not {polynomials!r}")
        sizes = [len(polynomial) for polynomial in polynomials]
        if not sizes or not sizes[0] or any(size > k + 1 for k, size in enumerate(sizes)):
            raise ValueError(f"lists of 1, 2, 3, ... coefficients are needed, not of {sizes}")
        rows = [[np.asarray(c) for c in polynomial] for polynomial in polynomials]
        dtype = np.result_type(*{c.dtype for row in rows for c in row}, float)
        if dtype.kind not in "fcO":
            raise TypeError(f"the coefficients must be numbers, not {dtype}")
        coefficients = np.zeros((len(rows), len(rows), *rows[0][0].shape), dtype=dtype)
        for k, row in enumerate(rows):
            for j, coefficient in enumerate(row):
                coefficients[k, j, ...] = coefficient
        return _wrap(coefficients)

    # --- what an array has -----------------------------------------------------------------------

    @property
    def terms(self) -> int:
        """The number K of powers of h that are kept."""
        return len(self.coefficients)

    @property
    def leading(self) -> np.ndarray:
        """The coefficient of h^0, which is the value at the present point."""
        return np.asarray(self.coefficients[0, 0])

    @property
    def dtype(self) -> np.dtype:
        """The type of the coefficients."""
        return self.coefficients.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return self.coefficients.shape[2:]

    @property
    def ndim(self) -> int:
        """The number of the value's axes."""
        return self.coefficients.ndim - 2

    @property
    def size(self) -> int:
        """The number of the value's entries."""
        return prod(self.shape)

    @property
    def T(self) -> Series:
        """The value with its axes reversed."""
        return _np.transpose(self)

    def reshape(self, *shape: Any) -> Series:
        """Return the same entries in another shape.

        Parameters
        ----------
        *shape : int, or one tuple of them

        Returns
        -------
        Series
        """
        return _np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a Series of a single number has no length")
        return self.coefficients.shape[2]

    def __iter__(self) -> Iterator[Series]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Series:
        index = index if isinstance(index, tuple) else (index,)
        if len(index) > 1 and any(isinstance(i, (list, np.ndarray)) for i in index):
            return _linear(operator.getitem, self, index)  # NumPy may move such axes to the front
        return _wrap(self.coefficients[(slice(None), slice(None), *index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        value = _lift(value, self)
        for k in range(self.terms):
            for j in range(k + 1):
                self.coefficients[k, j, ...][index] = value.coefficients[k, j]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Offer NumPy's functions as methods, as an array does: ``mean``, ``dot``, ``clip``, ..."""
        if name in _METHODS:
            return partial(getattr(np, name), self)
        raise AttributeError(f"a Series has no attribute {name!r}")

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError(_NOT_AN_ARRAY)

    def _sympy_(self) -> Any:
        raise sp.SympifyError(self)  # so that a SymPy expression leaves an operation to the Series

    def __float__(self) -> float:
        raise TypeError(_NOT_AN_ARRAY)

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError("the truth of a Series of several numbers is ambiguous")
        return bool(np.all(self != 0))

    def __repr__(self) -> str:
        return f"Series(terms in h: {self.terms}, value shape: {self.shape})"

    # --- what a series has -----------------------------------------------------------------------

    def at(self, s: Any, h: Any) -> Any:
        """Return the value at a scaled time and a step size.

        Parameters
        ----------
        s, h : number or array

        Returns
        -------
        array, or SymPy expression

        Examples
        --------
        >>> Series.from_polynomials([[2.0], [0.0, -3.0]]).at(s=1.0, h=0.5).item()
        0.5
        """
        s, h = _constant(s, self), _constant(h, self)
        value = 0
        for polynomial in self.coefficients[::-1]:
            inner = 0
            for coefficient in polynomial[::-1]:
                inner = inner * s + coefficient
            value = value * h + inner
        return value

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
        by = _constant(by, self)
        c, moved = self.coefficients, self.coefficients.copy()
        for j in range(self.terms):
            for m in range(j + 1, self.terms):
                moved[m:, j] = moved[m:, j] + c[m:, m] * (comb(m, j) * by ** (m - j))
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
            return _integral(value, derivative * _weighted(self))
        value, terms = np.asarray(value), self.terms
        v = _flat(_weighted(self), value.ndim)
        w = np.zeros((terms, terms, *value.shape), dtype=np.result_type(v, value))
        w[0, 0, ...] = value
        for k in range(1, terms):
            f = _flat(derivative(_wrap(w[:k, :k])), value.ndim)
            w[k, : k + 1] = _convolve(v, f, _pairs((k,), 1, terms, k)) * _one_over(k, w)
        return _wrap(w)

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

        Examples
        --------
        >>> v = Series.from_polynomials([[0.0], [0.0, 1.0], [0.0]])
        >>> v.apply_derivatives([5.0, 6.0, 8.0]).coefficients[2].tolist()
        [0.0, 0.0, 4.0]
        """
        if len(derivatives) < self.terms:
            raise ValueError(f"{self.terms} derivatives are needed, not {len(derivatives)}")
        c = self.coefficients.copy()
        c[0, 0] = 0
        scaled = [d * _one_over(factorial(k), c) for k, d in enumerate(derivatives[: self.terms])]
        return _lift(reduce(lambda total, d: _wrap(c) * total + d, scaled[::-1]), self)

    def _power(self, exponent: Any, value: Any = None) -> Series:
        r"""Return ``self ** exponent`` by :math:`v\,\partial_h w = \alpha\,w\,\partial_h v` for
        :math:`w = v^\alpha`, with another root of the leading coefficient if it is given."""
        terms, exact = self.terms, self.dtype.hasobject
        if exact and isinstance(exponent, (Real, sp.Expr)):
            convert = sp.nsimplify if isinstance(exponent, (float, sp.Float)) else sp.sympify
            exponent = convert(exponent)
        negative = isinstance(exponent, Real) and exponent < 0
        if (terms > 1 or negative) and np.any(_vanishes(self.leading)):
            raise ValueError(
                f"what is {'divided by' if exponent == -1 else f'raised to the power {exponent}'} is 0 there; "
                "that needs a leading coefficient other than 0"
            )
        value = np.asarray(self.leading**exponent if value is None else value)
        w = np.zeros((terms, terms, *value.shape), dtype=np.result_type(self.coefficients, value))
        w[0, 0, ...] = value
        if terms == 1:
            return _wrap(w)
        v, flat = _flat(self, value.ndim), w.reshape(terms**2, *value.shape)
        inverse = self.leading ** (sp.Integer(-1) if exact else -1.0)
        plain = isinstance(exponent, (float, sp.Expr))
        weights = _weights if plain else _weights.__wrapped__
        for k in range(1, terms):
            weighted = _times(v)(v, weights(k, terms, value.ndim, exact, exponent))  # type: ignore[arg-type]
            row = _convolve(weighted, flat, _pairs((k,), 1, terms, terms))
            w[k, : k + 1] = row * inverse
        return _wrap(w)

    # --- operators: NumPy finds them all, but these are needed often ------------------------------

    def __add__(self, other: Any) -> Series:
        return _add(self, other)

    def __sub__(self, other: Any) -> Series:
        return _subtract(self, other)

    def __mul__(self, other: Any) -> Series:
        return _multiply(self, other)

    def __truediv__(self, other: Any) -> Series:
        return _divide(self, other)

    def __pow__(self, other: Any) -> Series:
        return _raise(self, other)

    __radd__, __rmul__ = __add__, __mul__

    # --- NumPy's two protocols -------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        name, (out,) = ufunc.__name__, options.pop("out", (None,))
        rule = _UFUNCS.get(name)
        if method == "reduce" and rule and ufunc.nin == 2 and out is None:
            rule = _REDUCTIONS.get(name) or partial(_fold, ufunc)
            return rule(*inputs, **{"axis": 0, **options})
        if not rule or method != "__call__" or options or not isinstance(out, Series | None):
            raise TypeError(_refusal(name if method == "__call__" else f"{name}.{method}", out))
        if out is None:
            return rule(*inputs)
        out[...] = rule(*inputs)
        return out

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if func in _FUNCTIONS:
            return _FUNCTIONS[func](*args, **kwargs)
        if func.__name__ in _LINEAR and not {"out", "prepend", "append"} & kwargs.keys():
            return _linear(func, *args, **kwargs)
        raise TypeError(_refusal(func.__name__, kwargs.get("out")))


# --- arithmetic ----------------------------------------------------------------------------------


def _add(left: Any, right: Any) -> Series:
    series, other = (left, right) if isinstance(left, Series) else (right, left)
    if type(other) in (int, float):
        total = series.coefficients.copy()
        total[0, 0] += other
        return _wrap(total)
    other = _lift(other, series)
    ndim = max(series.ndim, other.ndim)
    return _wrap(_widened(series, ndim) + _widened(other, ndim))


def _subtract(left: Any, right: Any) -> Series:
    return _add(left, -(right if isinstance(right, Series) else _constant(right, left)))


def _multiply(left: Any, right: Any) -> Series:
    series, other = (left, right) if isinstance(left, Series) else (right, left)
    if isinstance(other, Series):
        return _product(series, other)
    other = _constant(other, series)
    return _wrap(_times(series.coefficients)(_widened(series, np.ndim(other)), other))


def _divide(left: Any, right: Any) -> Series:
    if isinstance(right, Series):
        return _multiply(right._power(-1), left)
    one = sp.Integer(1) if left.dtype.hasobject else 1.0
    return _multiply(left, one / _constant(right, left))


def _raise(base: Any, exponent: Any) -> Series:
    """Return a power; the base or the exponent is a Series."""
    if isinstance(exponent, Series):
        base = _lift(base, exponent)
        value = np.asarray(base.leading**exponent.leading)
        return (exponent * np.log(base)).compose(value, lambda w: w)
    exponent = _constant(exponent, base)
    if isinstance(exponent, np.ndarray) and exponent.dtype.kind in "iu":
        powers = ((exponent == p, base ** p.item()) for p in np.unique(exponent))
        return reduce(lambda total, power: select(*power, total), powers, base)
    if isinstance(exponent, Real) and exponent >= 0 and exponent == exponent // 1:  # type: ignore[operator]
        return _whole_power(base, int(exponent))  # type: ignore[arg-type]
    return base._power(exponent)


def _whole_power(base: Series, exponent: int) -> Series:
    if exponent < 2:
        return base * exponent + (1 - exponent)
    half = _whole_power(base, exponent // 2)
    return half * half * base if exponent % 2 else half * half


def _wrap(coefficients: np.ndarray) -> Series:
    """Return a Series without checking its coefficients."""
    series = object.__new__(Series)
    series.coefficients = coefficients
    return series


def _constant(other: Any, series: Series) -> Any:
    """Return a number or an array of them, for an operation with a series."""
    if type(other) is float or type(other) is int:
        return other
    array = np.asarray(other)
    if array.dtype.kind not in "biufcO":
        raise TypeError(f"a series combines with numbers and arrays of them, not with {other!r}")
    if array.dtype.hasobject and not series.dtype.hasobject:
        if all(isinstance(x, Real) or isinstance(x, sp.Expr) and x.is_number for x in array.flat):
            array = array.astype(float)
    elif series.dtype.hasobject and not array.dtype.hasobject and not array.ndim:
        return array.item()
    return array if array.ndim else array[()]


def _lift(value: Any, like: Series) -> Series:
    """Return a Series as it is, and a constant as a Series with as many terms as ``like``."""
    terms = like.terms
    if isinstance(value, Series):
        if value.terms != terms:
            raise ValueError(f"series of {terms} and of {value.terms} terms in h do not combine")
        return value
    value = np.asarray(_constant(value, like))
    c = np.zeros((terms, terms, *value.shape), dtype=np.result_type(like.coefficients, value))
    c[0, 0, ...] = value
    return _wrap(c)


def _lifted(*values: Any) -> list[Series]:
    """Return series and constants as Series, at least one of them being one."""
    like = next((value for value in values if isinstance(value, Series)), None)
    if like is None:
        raise TypeError("a Series is allowed in the first argument only")
    return [_lift(value, like) for value in values]


def _widened(series: Series, ndim: int) -> np.ndarray:
    """Return coefficients with axes inserted, so that values align from the right as NumPy's do."""
    c = series.coefficients
    missing = ndim - c.ndim + 2
    return c if missing <= 0 else c.reshape(c.shape[:2] + (1,) * missing + c.shape[2:])


def _flat(series: Series, ndim: int) -> np.ndarray:
    """Return the coefficients, widened, with one axis for the pairs (k, j)."""
    c = series.coefficients
    return c.reshape((c.shape[0] ** 2,) + (1,) * (ndim - c.ndim + 2) + c.shape[2:])


@cache
def _pairs(rows: Sequence[int], first: int, terms: int, others: int) -> tuple[Any, ...]:
    """Return which coefficients multiply: for each j <= k and each k in ``rows``, the flat indices of
    (i, m) and (k - i, j - m) with i >= first; all of them, and where each group starts."""
    groups = [
        [
            (i * terms + m, (k - i) * others + j - m)
            for i in range(first, k + 1)
            for m in range(max(0, j - k + i), min(i, j) + 1)
        ]
        for k in rows
        for j in range(k + 1)
    ]
    left, right = np.array(sum(groups, [])).T.copy()
    return groups, left, right, np.cumsum([0, *map(len, groups[:-1])])


_MANY = 4000  # products that are made at once; more are made one after another, to save memory


def _convolve(left: np.ndarray, right: np.ndarray, pairs: tuple[Any, ...], times: Any = None) -> np.ndarray:
    """Return, for each group of pairs (a, b), the sum of left[a] * right[b] or ``times`` of them."""
    groups, i, j, starts = pairs
    exact = left.dtype.hasobject or right.dtype.hasobject
    plus = _plus if exact else np.add
    times = times or (_object_times if exact else np.multiply)
    if len(i) * max(left.size // len(left), right.size // len(right)) < _MANY:
        return plus.reduceat(times(left.take(i, axis=0), right.take(j, axis=0)), starts, axis=0)
    products = ((times(left[a : a + 1], right[b : b + 1]) for a, b in group) for group in groups)
    return np.concatenate([reduce(plus, group) for group in products])


def _product(left: Series, right: Series, times: Any = None) -> Series:
    """Return the product of two series: of their values, or ``times`` of them."""
    ndim, terms = max(left.ndim, right.ndim), left.terms
    factors = _flat(left, ndim), _flat(_lift(right, left), ndim)
    return _assembled(terms, _convolve(*factors, _pairs(range(terms), 0, terms, terms), times))


def _assembled(terms: int, rows: np.ndarray) -> Series:
    """Return the Series whose coefficients (k, j), j <= k, are the given rows."""
    c = np.zeros((terms * terms, *rows.shape[1:]), dtype=rows.dtype)
    c[_triangle(terms)] = rows
    return _wrap(c.reshape(terms, terms, *rows.shape[1:]))


@cache
def _triangle(terms: int) -> np.ndarray:
    return np.flatnonzero(np.tri(terms))


@cache
def _orders(terms: int, ndim: int, exact: bool, power: int = 1) -> np.ndarray:
    """Return the powers k of h, or one over them, in an array (K, K, 1, ..., 1)."""
    kind = sp.Integer if exact else float
    numbers = [0, *(kind(k) ** power for k in range(1, terms))]
    column = np.array(numbers, dtype=object if exact else float)
    return np.repeat(column, terms).reshape(terms, terms, *(1,) * ndim)


@lru_cache(1000)
def _weights(k: int, terms: int, ndim: int, exact: bool, exponent: Any) -> np.ndarray:
    """Return the factors of the i-th term of v in the k-th one of its power, at flat indices (i, m)."""
    orders = _orders(terms, ndim, exact).reshape(terms**2, *(1,) * ndim)
    return ((exponent + 1) * orders - k) * _one_over(k, orders)


def _one_over(k: int, like: np.ndarray) -> Any:
    return sp.Rational(1, k) if like.dtype.hasobject else 1.0 / k


def _weighted(series: Series, power: int = 1) -> Series:
    r"""Return :math:`h\,\partial_h` of a series; with the power -1, what it is that of."""
    c = series.coefficients
    return _wrap(_times(c)(c, _orders(series.terms, series.ndim, c.dtype.hasobject, power)))


def _integral(value: Any, series: Series) -> Series:
    r"""Return the series w with the leading coefficient ``value`` and a given :math:`h\,\partial_h w`."""
    w = _weighted(series, -1)
    w.coefficients[0, 0, ...] = value
    return w


# --- numbers that are objects: zeros are skipped, so that expressions and traces stay short --------


def _is_zero(x: Any) -> bool:
    return x is sp.S.Zero or type(x) in (int, float, Fraction) and x == 0


_plus = np.frompyfunc(lambda a, b: b if _is_zero(a) else a if _is_zero(b) else a + b, 2, 1)
_object_times = np.frompyfunc(lambda a, b: 0 if _is_zero(a) or _is_zero(b) else a * b, 2, 1)
_zero_objects = np.frompyfunc(_is_zero, 1, 1)


def _times(c: np.ndarray) -> Callable[..., np.ndarray]:
    return _object_times if c.dtype.hasobject else np.multiply


def _vanishes(array: np.ndarray) -> np.ndarray:
    return np.asarray(_zero_objects(array)).astype(bool) if array.dtype.hasobject else array == 0


def _at(ufunc: np.ufunc, *values: np.ndarray) -> np.ndarray:
    """Return a function of arrays; of objects, their method of that name or SymPy's function."""
    if not any(value.dtype.hasobject for value in values):
        return ufunc(*values)
    elementwise = np.frompyfunc(partial(_at_element, ufunc), len(values), 1)
    return np.asarray(elementwise(*values), dtype=object)


def _at_element(ufunc: np.ufunc, *values: Any) -> Any:
    name = ufunc.__name__
    for value in values:
        if hasattr(value, name) and not isinstance(value, sp.Basic):
            return getattr(type(value), name)(*values)
    if all(isinstance(value, float) for value in values):
        return ufunc(*values)
    symbolic = _SYMPY.get(name) or getattr(sp, name.replace("arc", "a"), None)
    if symbolic is None:
        raise TypeError(f"{name} has no exact value; use floats")
    return symbolic(*map(sp.sympify, values))


_SYMPY: dict[str, Callable[..., Any]] = {
    "cbrt": lambda x: sp.real_root(x, 3),
    "expit": lambda x: 1 / (1 + sp.exp(-x)),
    "expm1": lambda x: sp.exp(x) - 1,
    "log1p": lambda x: sp.log(1 + x),
    "logaddexp": lambda x, y: sp.log(sp.exp(x) + sp.exp(y)),
}


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

    Examples
    --------
    >>> x = Series.from_polynomials([[np.array([1.0, 2.0])], [np.zeros(2), np.ones(2)]])
    >>> select(np.array([True, False]), x, 0.0).coefficients[1, 1].tolist()
    [1.0, 0.0]
    """
    if isinstance(condition, Series):
        raise TypeError("a Series is no condition; compare it, as in np.where(x > 0, ...)")
    x, y = _lifted(x, y)
    condition = np.asarray(condition)
    ndim = max(condition.ndim, x.ndim, y.ndim)
    choose = _choose if condition.dtype.hasobject else np.where
    return _wrap(np.asarray(choose(condition, _widened(x, ndim), _widened(y, ndim))))


def _choose_of(condition: Any, x: Any, y: Any) -> Any:
    if x is y or _is_zero(x) and _is_zero(y):
        return x
    if hasattr(condition, "where"):
        return condition.where(x, y)
    if isinstance(condition, sp.core.relational.Relational):
        return sp.Piecewise((x, condition), (y, True))
    return x if condition else y


_choose = np.frompyfunc(_choose_of, 3, 1)
_NUMBERS = (Real, sp.Basic)
_same = np.frompyfunc(lambda x, y: isinstance(x, _NUMBERS) and isinstance(y, _NUMBERS) and bool(x == y), 2, 1)


def _compare(ufunc: np.ufunc, left: Any, right: Any) -> Any:
    """Return a comparison of the leading coefficients."""
    like = left if isinstance(left, Series) else right
    a, b = (np.asarray(x.leading if isinstance(x, Series) else _constant(x, like)) for x in (left, right))
    _no_kink(left, right, a, b)
    if not (a.dtype.hasobject or b.dtype.hasobject):
        return ufunc(a, b)
    found = np.asarray(ufunc(a, b, dtype=object))
    decided = all(isinstance(x, (bool, np.bool_, sp.logic.boolalg.BooleanAtom)) for x in found.flat)
    return found.astype(bool) if decided else found


def _no_kink(left: Any, right: Any, a: np.ndarray, b: np.ndarray) -> None:
    """Raise ValueError where two values are equal at the present point, but not next to it."""
    equal = np.asarray(_same(a, b)).astype(bool) if a.dtype.hasobject or b.dtype.hasobject else a == b
    if np.any(equal):
        change = left - right if isinstance(left, Series) else right - left
        moving = ~_vanishes(change.coefficients).all(axis=(0, 1))
        if np.any(equal & moving):
            raise ValueError(
                "two values that are compared are equal at this point but not next to it: a kink or a "
                "jump is exactly here, so there is no expansion; move the point"
            )


def _sign(x: Series) -> np.ndarray:
    _no_kink(x, 0, x.leading, np.zeros((), dtype=int))
    return np.asarray(_signs(x.leading)) if x.dtype.hasobject else np.sign(x.leading)


def _sign_of(x: Any) -> Any:
    if isinstance(x, Real) and not isinstance(x, sp.Basic):
        return (x > 0) - (x < 0)  # type: ignore[operator]
    return sp.sign(x) if isinstance(x, sp.Basic) else x.sign()  # type: ignore[attr-defined]


_signs = np.frompyfunc(_sign_of, 1, 1)


def _larger(sign: int, left: Any, right: Any) -> Series:
    """Return the maximum (sign 1) or minimum (sign -1); what is not a number stays so."""
    left, right = _lifted(left, right)
    condition = _compare(np.greater_equal if sign > 0 else np.less_equal, left, right)
    if not left.dtype.hasobject:
        condition = condition | np.isnan(left.leading)
    return select(condition, left, right)


def _extremum(sign: int, x: Series, axis: Any = None, keepdims: bool = False) -> Series:
    """Return the largest (sign 1) or smallest entry over all axes, or over one."""
    if x.dtype.hasobject or isinstance(axis, tuple):
        return _fold(partial(_larger, sign), x, axis, keepdims)
    flat, axis = (x.ravel(), 0) if axis is None else (x, normalize_axis_index(axis, x.ndim))
    best = _np.take_along_axis(flat, np.argmax(sign * flat.leading, axis, keepdims=True), axis)
    _compare(np.equal, flat, best)
    if not keepdims:
        return _np.squeeze(best, axis)
    return best.reshape((1,) * x.ndim) if flat.ndim != x.ndim else best


# --- functions of arrays ---------------------------------------------------------------------------


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)


def _linear(function: Callable[..., Any], first: Any, *rest: Any, **options: Any) -> Any:
    """Apply a linear function of the first argument (a Series, or a list with one) to each coefficient."""
    several = isinstance(first, (list, tuple))
    parts = _lifted(*first) if several else _lifted(first)
    terms = parts[0].terms
    rows = []
    for k in range(terms):
        for j in range(k + 1):
            values = [part.coefficients[k, j, ...] for part in parts]
            rows.append(function(values if several else values[0], *rest, **options))
    if isinstance(rows[0], (list, tuple)):
        return [_assembled(terms, np.stack(row)) for row in zip(*rows)]
    return _assembled(terms, np.stack(rows))


def _matmul(left: Any, right: Any) -> Series:
    like = left if isinstance(left, Series) else right
    left, right = (x if isinstance(x, Series) else np.asarray(_constant(x, like)) for x in (left, right))
    rows, columns = left.ndim == 1, right.ndim == 1
    left, right = left[None, :] if rows else left, right[:, None] if columns else right
    if isinstance(left, Series) and isinstance(right, Series):
        product = _product(left, right, np.matmul)
    else:
        ndim = max(left.ndim, right.ndim)
        operands = (_widened(x, ndim) if isinstance(x, Series) else x for x in (left, right))
        product = _wrap(np.matmul(*operands))
    axes = (-2,) * rows + (-1,) * columns
    return _wrap(np.squeeze(product.coefficients, axes)) if axes else product


def _dot(left: Any, right: Any) -> Series:
    scalar = min(np.ndim(left), np.ndim(right)) == 0
    return np.multiply(left, right) if scalar else np.matmul(left, right)


def _einsum(subscripts: str, *operands: Any, **options: Any) -> Series:
    series = [o for o in operands if isinstance(o, Series)]
    if not isinstance(subscripts, str) or len(series) > 2 or "out" in options:
        raise TypeError("np.einsum takes a string and at most two Series; multiply one after another")
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    if not arrow:
        letters = [l for l in sorted(set(inputs)) if l.isalpha() and inputs.count(l) == 1]
        output = "..." * ("..." in inputs) + "".join(letters)
    mark = next(l for l in string.ascii_letters if l not in subscripts)
    names = (mark * isinstance(o, Series) + i for o, i in zip(operands, inputs.split(",")))
    marked = f"{','.join(names)}->{mark}{output}"

    def contract(*flat: np.ndarray) -> np.ndarray:
        given = iter(flat)
        arrays = (next(given) if isinstance(o, Series) else o for o in operands)
        return np.einsum(marked, *arrays, **options)

    terms, flat = series[0].terms, [_flat(_lift(s, series[0]), s.ndim) for s in series]
    if len(flat) == 2:
        return _assembled(terms, _convolve(flat[0], flat[1], _pairs(range(terms), 0, terms, terms), contract))
    value = contract(*flat)
    return _wrap(value.reshape(terms, terms, *value.shape[1:]))


def _fold(function: Callable[..., Any], x: Series, axis: Any = None, keepdims: bool = False) -> Series:
    """Return the entries along axes, combined two at a time."""
    axes = _axes(axis, x.ndim)
    front = _np.moveaxis(x, axes, range(len(axes)))
    result = reduce(function, front.reshape(-1, *front.shape[len(axes) :]))
    return _np.expand_dims(result, axes) if keepdims else result


def _sum(x: Series, axis: Any = None, keepdims: bool = False) -> Series:
    axes = tuple(a + 2 for a in _axes(axis, x.ndim))
    return _wrap(np.asarray(x.coefficients.sum(axis=axes, keepdims=keepdims)))


def _mean(x: Series, axis: Any = None, keepdims: bool = False) -> Series:
    return _sum(x, axis, keepdims) / prod(x.shape[a] for a in _axes(axis, x.ndim))


def _stack(arrays: Sequence[Any], axis: int = 0) -> Series:
    parts = _lifted(*arrays)
    axis = normalize_axis_index(axis, parts[0].ndim + 1) + 2
    return _wrap(np.stack([part.coefficients for part in parts], axis))


def _full_like(x: Series, fill_value: Any, dtype: Any = None, shape: Any = None) -> Series:
    """Return a Series to fill, whatever the ``dtype`` that was asked for."""
    shape = x.shape if shape is None else tuple(np.atleast_1d(shape))
    full = _wrap(np.zeros((x.terms, x.terms, *shape), dtype=x.dtype))
    full[...] = fill_value
    return full


def _clip(x: Any, a_min: Any = None, a_max: Any = None, **bounds: Any) -> Series:
    low, high = bounds.get("min", a_min), bounds.get("max", a_max)
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _norm(x: Series, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Series:
    axes = _axes(axis, x.ndim)
    if ord == 1 and len(axes) == 1:
        return _sum(abs(x), axes, keepdims)
    if ord is None and (axis is None or len(axes) < 3) or (ord, len(axes)) in ((2, 1), ("fro", 2)):
        return _np.sqrt(_sum(x * x, axes, keepdims))
    raise TypeError(f"the norm {ord!r} does not run on a Series; write it with abs, sum and powers")


def _inverse(matrix: Series) -> Series:
    """Return the inverse, by Newton's iteration, which doubles the number of right terms."""
    inverse, one = _lift(np.linalg.inv(matrix.leading), matrix), np.eye(matrix.shape[-1])
    for _ in range((matrix.terms - 1).bit_length()):
        inverse = inverse + inverse @ (one - matrix @ inverse)
    return inverse


def _solve(matrix: Any, right: Any) -> Series:
    if isinstance(matrix, Series):
        return _inverse(matrix) @ right
    return _linear(lambda b: np.linalg.solve(matrix, b), right)


_LINEAR = frozenset(
    """array_split atleast_1d atleast_2d average broadcast_to column_stack concatenate copy
    cumsum diag diagonal diff expand_dims flip fliplr flipud hsplit hstack moveaxis ravel real
    repeat reshape roll rot90 split squeeze swapaxes take take_along_axis tile trace transpose tril
    triu vsplit vstack""".split()
)
_METHODS = frozenset(
    """clip copy cumsum diagonal dot max mean min prod ravel repeat squeeze sum swapaxes take trace
    transpose""".split()
)
_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.clip: _clip,
    np.dot: _dot,
    np.einsum: _einsum,
    np.empty_like: partial(_full_like, fill_value=0),
    np.full_like: _full_like,
    np.inner: lambda a, b: np.dot(a, np.transpose(b)),
    np.iscomplexobj: lambda x: x.dtype.kind == "c",
    np.linalg.inv: _inverse,
    np.linalg.norm: _norm,
    np.linalg.solve: _solve,
    np.max: partial(_extremum, 1),
    np.mean: _mean,
    np.min: partial(_extremum, -1),
    np.ndim: lambda x: x.ndim,
    np.ones_like: partial(_full_like, fill_value=1),
    np.outer: lambda a, b: np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1)),
    np.prod: partial(_fold, operator.mul),
    np.shape: lambda x: x.shape,
    np.size: lambda x, axis=None: x.size if axis is None else x.shape[axis],
    np.stack: _stack,
    np.sum: _sum,
    np.vdot: lambda a, b: np.dot(np.ravel(a), np.ravel(b)),
    np.where: select,
    np.zeros_like: partial(_full_like, fill_value=0),
}
_REDUCTIONS = {"add": np.sum, "maximum": np.max, "minimum": np.min, "multiply": np.prod}
_INSTEAD = {
    "floor": "it jumps, so it has no expansion",
    "floor_divide": "it jumps, so it has no expansion",
    "piecewise": "write np.where",
    "svd": "write U @ Vt by Newton and Schulz: repeat X = 1.5 * X - 0.5 * X @ X.T @ X",
}


def _refusal(name: str, out: Any) -> str:
    if out is not None:
        return "an array cannot hold a Series; write a = a + b instead of a += b, or fill np.zeros_like(theta)"
    otherwise = "write it with arithmetic, NumPy's elementary functions, np.where and np.stack"
    return f"{name} does not run on a Series; {_INSTEAD.get(name, otherwise)}"


# --- functions of numbers --------------------------------------------------------------------------


def _by_slope(ufunc: np.ufunc, slope: Callable[[Series], Series]) -> Callable[[Series], Series]:
    """Return the rule of a function whose derivative is known beforehand."""
    return lambda v: v.compose(_at(ufunc, v.leading), slope(v))


def _by_equation(ufunc: np.ufunc, slope: Callable[..., Series]) -> Callable[[Series], Series]:
    """Return the rule of a function w of v whose derivative is a function of w and v."""
    return lambda v: v.compose(_at(ufunc, v.leading), lambda w: slope(w, _wrap(v.coefficients[: w.terms, : w.terms])))


def _by_derivatives(derivative: Callable[[int, Any], Any]) -> Callable[[Series], Series]:
    """Return the rule of a function whose k-th derivative is known for floats."""

    def rule(v: Series) -> Series:
        if v.dtype.hasobject:
            raise TypeError("gammaln, psi, j0 and j1 run on a Series of floats; use floats")
        return v.apply_derivatives([derivative(k, v.leading) for k in range(v.terms)])

    return rule


def _by_cycle(f: np.ufunc, g: np.ufunc, up: int, twice: int) -> Callable[[Series], Series]:
    """Return the rule of a function f with f' = up * g and f'' = twice * f."""

    def rule(v: Series) -> Series:
        pair = _at(f, v.leading), up * _at(g, v.leading)
        return v.apply_derivatives([twice ** (k // 2) * pair[k % 2] for k in range(v.terms)])

    return rule


def _logaddexp(left: Any, right: Any) -> Series:
    a, b = _lifted(left, right)
    rate = special.expit(a - b) * _weighted(a) + special.expit(b - a) * _weighted(b)
    return _integral(_at(np.logaddexp, a.leading, b.leading), rate)


def _arctan2(y: Any, x: Any) -> Series:
    y, x = _lifted(y, x)
    rate = (x * _weighted(y) - y * _weighted(x)) / (x * x + y * y)
    return _integral(_at(np.arctan2, y.leading, x.leading), rate)


_ROOT, _LOG_2 = sqrt(2 * pi), log(2)
_UFUNCS: dict[str, Callable[..., Any]] = {
    "absolute": lambda v: v * _sign(v),
    "add": _add,
    "arccos": _by_slope(np.arccos, lambda v: -((1 - v * v) ** Fraction(-1, 2))),
    "arccosh": _by_slope(np.arccosh, lambda v: (v * v - 1) ** Fraction(-1, 2)),
    "arcsin": _by_slope(np.arcsin, lambda v: (1 - v * v) ** Fraction(-1, 2)),
    "arcsinh": _by_slope(np.arcsinh, lambda v: (1 + v * v) ** Fraction(-1, 2)),
    "arctan": _by_slope(np.arctan, lambda v: 1 / (1 + v * v)),
    "arctan2": _arctan2,
    "arctanh": _by_slope(np.arctanh, lambda v: 1 / (1 - v * v)),
    "cbrt": lambda v: v._power(_constant(Fraction(1, 3), v), _at(np.cbrt, v.leading)),
    "copysign": lambda a, b: np.absolute(a) * np.sign(b),
    "cos": _by_cycle(np.cos, np.sin, -1, -1),
    "cosh": _by_cycle(np.cosh, np.sinh, 1, 1),
    "divide": _divide,
    "erf": _by_slope(special.erf, lambda v: np.exp(-v * v) * (2 / sqrt(pi))),
    "erfc": _by_slope(special.erfc, lambda v: np.exp(-v * v) * (-2 / sqrt(pi))),
    "exp": _by_equation(np.exp, lambda w, v: w),
    "exp2": _by_equation(np.exp2, lambda w, v: w * _LOG_2),
    "expit": _by_equation(special.expit, lambda w, v: w * (1 - w)),
    "expm1": _by_equation(np.expm1, lambda w, v: w + 1),
    "gammaln": _by_slope(special.gammaln, lambda v: special.psi(v)),
    "heaviside": lambda v, half: _lift((_sign(v) + 1) / 2 + (v.leading == 0) * (half - 0.5), v),
    "hypot": lambda a, b: np.sqrt(np.square(a) + np.square(b)),
    "j0": _by_derivatives(lambda k, x: special.jvp(0, x, k)),
    "j1": _by_derivatives(lambda k, x: special.jvp(1, x, k)),
    "log": _by_slope(np.log, lambda v: 1 / v),
    "log10": _by_slope(np.log10, lambda v: 1 / (v * log(10))),
    "log1p": _by_slope(np.log1p, lambda v: 1 / (1 + v)),
    "log2": _by_slope(np.log2, lambda v: 1 / (v * _LOG_2)),
    "log_expit": _by_slope(special.log_expit, lambda v: special.expit(-v)),
    "log_ndtr": _by_equation(special.log_ndtr, lambda w, v: np.exp(-v * v / 2 - w) / _ROOT),
    "logaddexp": _logaddexp,
    "matmul": _matmul,
    "multiply": _multiply,
    "ndtr": _by_slope(special.ndtr, lambda v: np.exp(-v * v / 2) / _ROOT),
    "negative": lambda v: _wrap(-v.coefficients),
    "positive": lambda v: v,
    "power": _raise,
    "psi": _by_derivatives(special.polygamma),
    "reciprocal": lambda v: v._power(-1),
    "sign": lambda v: _lift(_sign(v), v),
    "sin": _by_cycle(np.sin, np.cos, 1, -1),
    "sinh": _by_cycle(np.sinh, np.cosh, 1, 1),
    "sqrt": lambda v: v ** Fraction(1, 2),
    "square": lambda v: v * v,
    "subtract": _subtract,
    "tan": _by_equation(np.tan, lambda w, v: 1 + w * w),
    "tanh": _by_equation(np.tanh, lambda w, v: 1 - w * w),
    "xlogy": lambda x, y: x * np.log(y),
}
_UFUNCS |= {"fabs": _UFUNCS["absolute"], "float_power": _raise}
_UFUNCS |= dict.fromkeys(("maximum", "fmax"), partial(_larger, 1))
_UFUNCS |= dict.fromkeys(("minimum", "fmin"), partial(_larger, -1))
for _comparison in (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal):
    _UFUNCS[_comparison.__name__] = partial(_compare, _comparison)
for _question in (np.isfinite, np.isinf, np.isnan):
    _UFUNCS[_question.__name__] = lambda v, question=_question: question(v.leading)


# --- difference equations, Taylor's formula ------------------------------------------------------


def antidifference(polynomial: np.ndarray) -> np.ndarray:
    r"""Return the polynomial :math:`P` with :math:`P(s+1) - P(s) = q(s)` and :math:`P(0) = 0`.

    By Faulhaber, :math:`s^j` comes from :math:`(B_{j+1}(s) - B_{j+1}(0))/(j+1)` with Bernoulli's
    polynomials.

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
    matrix = faulhaber(len(polynomial), polynomial.dtype.hasobject)
    if not polynomial.dtype.hasobject:
        return np.tensordot(matrix, polynomial, axes=(1, 0))
    columns = matrix.reshape(matrix.shape + (1,) * (polynomial.ndim - 1))
    return _plus.reduce(_object_times(columns, polynomial), axis=1)


@cache
def faulhaber(length: int, exact: bool) -> np.ndarray:
    """Return the matrix of :func:`antidifference`: column j holds the polynomial that belongs to s^j."""
    matrix = np.zeros((length + 1, length), dtype=object)
    for j in range(length):
        for i in range(1, j + 2):
            # B_1 = -1/2 is the convention that goes with B_n(0)
            bernoulli = sp.bernoulli(j + 1 - i) if j != i else sp.Rational(-1, 2)
            matrix[i, j] = bernoulli * comb(j + 1, i) / (j + 1)
    return matrix if exact else matrix.astype(float)


def taylor(expression: sp.Expr, symbols: Sequence[sp.Symbol], curve: Series) -> Series:
    r"""Return the Series of a SymPy expression along an exact curve, by Taylor's formula.

    Parameters
    ----------
    expression : SymPy expression
        Abstract functions such as ``Function("E")(a, b)`` may be in it.
    symbols : sequence of d SymPy symbols
    curve : Series of shape (d,) and dtype object
        Its leading coefficient is ``symbols`` itself, or exact numbers.

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
    if not isinstance(expression, sp.Expr):
        raise TypeError(f"a SymPy expression is needed, not {expression!r}")
    if not isinstance(symbols, (list, tuple)) or not all(isinstance(s, sp.Symbol) for s in symbols):
        raise TypeError(f"a list of SymPy symbols is needed, not {symbols!r}")
    if not isinstance(curve, Series):
        raise TypeError(f"the curve must be a Series, not {curve!r}")
    if not curve.dtype.hasobject or curve.shape != (len(symbols),):
        raise ValueError(f"{curve!r} must be exact and have one value for each of the {len(symbols)} symbols")
    here = dict(zip(symbols, curve.leading))
    departure = curve - curve.leading
    total = _lift(expression.xreplace(here), curve)

    def extend(derivative: sp.Expr, product: Series | int, first: int, counts: tuple) -> None:
        nonlocal total
        if sum(counts) == curve.terms - 1:
            return
        for i in range(first, len(symbols)):
            slope = sp.diff(derivative, symbols[i])
            if slope != 0:
                more = (*counts[:i], counts[i] + 1, *counts[i + 1 :])
                monomial = product * departure[i]
                weight = sp.Rational(1, prod(map(factorial, more)))
                total = total + monomial * (weight * slope.xreplace(here))
                extend(slope, monomial, i, more)

    extend(expression, 1, 0, (0,) * len(symbols))
    return total
