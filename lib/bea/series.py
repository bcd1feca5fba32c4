r"""Truncated power series in the step size, along the curve that an optimizer follows.

Near its present point an optimizer's smooth curve is

.. math:: \theta(t + s h) = \sum_{k \ge 0} h^k P_k(s), \qquad P_0 = \theta,

where each :math:`P_k` is a polynomial in the scaled time :math:`s` of degree at most :math:`k`.
Whatever an optimizer computes along the curve has the same form, so the arithmetic of such series
is all that deriving a modified equation needs.  The coefficients may be floats, or arrays of them
(many points at once), or exact numbers and SymPy expressions in an array of dtype ``object``: the
same lines of code serve all three.
"""

from fractions import Fraction
from functools import cache
from math import comb, factorial, isfinite
from numbers import Real

import numpy as np
import sympy as sp

__all__ = ["Series", "antidifference", "taylor"]


class Series:
    r"""The series :math:`\sum_{k<K} h^k \sum_{j\le k} c_{kj} s^j`, cut off at :math:`h^K`.

    Sums, products, quotients, powers, ``A @ series``, indexing, ``sum`` and NumPy's ``sqrt``,
    ``exp``, ``log``, ``sin``, ``cos``, ``tan``, ``arctan``, ``sinh``, ``cosh``, ``tanh``,
    ``square``, ``abs`` and ``sign`` run on a Series as they do on an array, so most code that was
    written for arrays does.

    Parameters
    ----------
    coefficients : array of shape (K, K, \*shape)
        ``coefficients[k, j]`` belongs to :math:`h^k s^j`; it is zero for ``j > k``.
        ``shape`` is the shape of the value that is expanded: ``()``, ``(d,)`` or ``(d, points)``.

    Raises
    ------
    ValueError
        If two series of different length meet, or a power needs a leading coefficient that is zero.

    Examples
    --------
    The gradient of :math:`E = \theta^4/4` at :math:`\theta = 2`, on the line :math:`\theta(t + sh)
    = 2 - 3 s h`:

    >>> theta = Series.from_polynomials([[2.0], [0.0, -3.0]])
    >>> (theta**3).coefficients[:, :2].tolist()
    [[8.0, 0.0], [0.0, -36.0]]
    """

    __slots__ = ("coefficients",)

    def __init__(self, coefficients):
        if not isinstance(coefficients, np.ndarray) or coefficients.dtype.kind not in "biufcO":
            raise TypeError(f"the coefficients must be an array of numbers, not {coefficients!r}")
        shape = coefficients.shape
        if len(shape) < 2 or shape[0] != shape[1] or not shape[0]:
            raise ValueError(f"coefficients of shape {shape} were given; allowed is (K, K, *shape)")
        self.coefficients = coefficients

    @classmethod
    def from_polynomials(cls, polynomials):
        """The series whose coefficient of h^k is ``polynomials[k]``, itself a list of coefficients
        of 1, s, s^2, ..., at most k + 1 of them."""
        lists = (list, tuple, np.ndarray)
        if not isinstance(polynomials, lists) or not all(isinstance(p, lists) for p in polynomials):
            raise TypeError(f"lists of coefficients are needed, not {polynomials!r}")
        sizes = [len(polynomial) for polynomial in polynomials]
        if not sizes or not sizes[0] or any(size > k + 1 for k, size in enumerate(sizes)):
            raise ValueError(f"lists of 1, 2, 3, ... coefficients are needed, not of {sizes}")
        leading = np.asarray(polynomials[0][0])
        length = len(polynomials)
        dtype = np.result_type(
            *(np.asarray(c).dtype for polynomial in polynomials for c in polynomial)
        )
        if dtype.kind not in "biufcO":
            raise TypeError(f"the coefficients must be numbers, not {dtype}")
        dtype = (
            float if dtype.kind in "biu" else dtype
        )  # whole numbers would cut off what a division leaves
        coefficients = np.zeros((length, length, *leading.shape), dtype=dtype)
        for k, polynomial in enumerate(polynomials):
            for j, coefficient in enumerate(polynomial):
                coefficients[k, j] = coefficient
        return cls(coefficients)

    @classmethod
    def stack(cls, components):
        """One series with a new first axis, from series (or constants) of equal length."""
        if not isinstance(components, (list, tuple)):
            raise TypeError(f"a list of series is needed, not {components!r}")
        like = next((c for c in components if isinstance(c, Series)), None)
        if like is None:
            raise TypeError("at least one of the components must be a series")
        components = [c if isinstance(c, Series) else like * 0 + c for c in components]
        return cls(np.stack(np.broadcast_arrays(*(c.coefficients for c in components)), axis=2))

    def __len__(self):
        return len(self.coefficients)

    @property
    def leading(self):
        """The coefficient of h^0, which is the value at the present point."""
        return np.asarray(self.coefficients[0, 0])

    def at(self, s, h):
        """The value of the series at scaled time ``s`` and step size ``h``."""
        s, h = self._constant(s), self._constant(h)
        value = self.leading * 0
        for polynomial in self.coefficients[::-1]:
            inner = self.leading * 0
            for coefficient in polynomial[::-1]:
                inner = inner * s + coefficient
            value = value * h + inner
        return value

    # --- ring operations -------------------------------------------------------------------------

    def _constant(self, other):
        """A number or an array of them, for an operation with this series."""
        array = np.asarray(other)
        if array.dtype.kind not in "biufcO":
            raise TypeError(
                f"a series combines with numbers and arrays of them, not with {other!r}"
            )
        if array.dtype == object and self.coefficients.dtype != object and isinstance(other, int):
            raise ValueError(f"a whole number of {other.bit_length()} bits is no float")
        return array

    def _partner(self, other):
        if len(other) != len(self):
            raise ValueError(
                f"series of {len(self)} and of {len(other)} terms in h do not combine; cut both to one length"
            )
        return other.coefficients

    def __add__(self, other):
        if isinstance(other, Series):
            left, right = _aligned(self.coefficients, self._partner(other))
            return Series(left + right)
        other = self._constant(other)
        shape = _broadcast(self.coefficients.shape[2:], other.shape)
        total = np.empty(
            (len(self), len(self), *shape), dtype=np.result_type(self.coefficients, other)
        )
        total[...] = _widened(self.coefficients, len(shape))
        total[0, 0] += other
        return Series(total)

    __radd__ = __add__

    def __neg__(self):
        return Series(-self.coefficients)

    def __sub__(self, other):
        return self + (-other)

    def __rsub__(self, other):
        return (-self) + other

    def __mul__(self, other):
        if not isinstance(other, Series):
            other = self._constant(other)
            return Series(_widened(self.coefficients, other.ndim) * other)
        length = len(self)
        left, right = _aligned(self.coefficients, self._partner(other))
        product = np.zeros(_broadcast(left.shape, right.shape), dtype=np.result_type(left, right))
        for k in range(length):
            for j in range(k + 1):
                product[k:, j : j + length - k] += (
                    left[k : k + 1, j : j + 1] * right[: length - k, : length - k]
                )
        return Series(product)

    __rmul__ = __mul__

    def __truediv__(self, other):
        if isinstance(other, Series):
            return self * other**-1
        one = (
            sp.Integer(1) if self.coefficients.dtype == object else 1.0
        )  # exact numbers stay exact
        return self * (one / self._constant(other))

    def __rtruediv__(self, other):
        return self**-1 * other

    def __pow__(self, exponent):
        r"""``self ** exponent`` for a constant exponent, by :math:`v\,\partial_h w =
        \alpha\,w\,\partial_h v` for :math:`w = v^\alpha`."""
        if exponent == 2:
            return self * self
        exponent = self._exponent(exponent)
        if exponent == int(exponent) and exponent >= 0:
            half = self ** (int(exponent) // 2) if exponent > 1 else self * 0 + 1
            return half * half * self if exponent % 2 else half * half
        exact = self.coefficients.dtype == object
        exponent = sp.nsimplify(exponent) if exact else float(exponent)
        v = self.coefficients
        if np.any(self.leading == 0) and (len(self) > 1 or exponent < 0):
            raise ValueError(
                f"the power {exponent} of a series needs a leading coefficient other than 0"
            )
        w = np.zeros_like(v)
        w[0, 0] = self.leading**exponent
        inverse = self.leading ** (-1 if exact else -1.0) if len(self) > 1 else None
        for k in range(1, len(self)):
            i = _column(np.arange(1, k + 1), v.ndim - 1)
            weighted = (exponent * i - (k - i)) * v[1 : k + 1]
            w[k] = _convolve(weighted, w[k - 1 :: -1]) * inverse * _one_over(k, exact)
        return Series(w)

    def _exponent(self, exponent):
        if isinstance(exponent, bool) or not (
            isinstance(exponent, Real) or isinstance(exponent, sp.Expr) and exponent.is_real
        ):
            raise TypeError(f"the exponent of a series must be a real number, not {exponent!r}")
        try:
            size = abs(float(exponent))
        except (OverflowError, TypeError):  # too large, or a symbol
            size = np.inf
        if not isfinite(size) or size > 1e15:
            raise ValueError(f"the exponent of a series must be a moderate number, not {exponent}")
        return exponent

    def __rmatmul__(self, matrix):
        """A constant matrix times the series, on the value's first axis."""
        matrix = self._constant(matrix)
        if matrix.ndim != 2 or not self.leading.ndim or matrix.shape[1] != len(self.leading):
            raise ValueError(
                f"a matrix of shape {matrix.shape} and values of shape {self.leading.shape} have no product"
            )
        return Series(np.moveaxis(np.tensordot(matrix, self.coefficients, axes=(1, 2)), 0, 2))

    def __getitem__(self, index):
        return Series(
            self.coefficients[
                (slice(None), slice(None), *(index if isinstance(index, tuple) else (index,)))
            ]
        )

    def sum(self, axis=0):
        """The sum over one of the value's axes."""
        axis, dimensions = whole("the axis", axis, -self.leading.ndim), self.leading.ndim
        if axis >= dimensions:
            raise ValueError(f"values of shape {self.leading.shape} have no axis {axis}")
        return Series(self.coefficients.sum(axis=axis + 2 if axis >= 0 else axis))

    # --- analytic functions ----------------------------------------------------------------------

    def compose(self, value, derivative):
        r"""The series :math:`w` of a function of this one, :math:`v`, from :math:`\partial_h w =
        F\,\partial_h v`.

        ``value`` is the function at the leading coefficient; ``derivative(w)`` gives :math:`F` from
        the terms of ``w`` known so far: ``lambda w: w`` for the exponential, ``lambda w: 1 - w *
        w`` for the hyperbolic tangent.
        """
        v = self.coefficients
        shape = _broadcast(v.shape[2:], np.shape(value))
        w = np.zeros((len(self), len(self), *shape), dtype=np.result_type(v, value))
        w[0, 0] = value
        v = _widened(v, len(shape))
        for k in range(1, len(self)):
            f = derivative(Series(w[:k, :k])).coefficients
            f = np.concatenate([f, np.zeros((k, 1, *f.shape[2:]), dtype=f.dtype)], axis=1)
            i = _column(np.arange(1, k + 1), v.ndim - 1)
            w[k, : k + 1] = _convolve(i * v[1 : k + 1, : k + 1], f[k - 1 :: -1]) * _one_over(
                k, w.dtype == object
            )
        return Series(w)

    def _cut(self, length):
        return Series(self.coefficients[:length, :length])

    def _function(self, ufunc):
        """Apply one of NumPy's functions: what lets code that was written for arrays run on a
        Series."""

        def at_leading(f):
            return _apply(f, self.leading)

        if ufunc is np.sqrt:
            return self ** Fraction(1, 2)
        if ufunc is np.exp:
            return self.compose(at_leading(np.exp), lambda w: w)
        if ufunc is np.log:
            reciprocal = self**-1
            return self.compose(at_leading(np.log), lambda w: reciprocal._cut(len(w)))
        if ufunc is np.tanh:
            return self.compose(at_leading(np.tanh), lambda w: 1 - w * w)
        if ufunc is np.tan:
            return self.compose(at_leading(np.tan), lambda w: 1 + w * w)
        if ufunc is np.arctan:
            slope = (1 + self * self) ** -1
            return self.compose(at_leading(np.arctan), lambda w: slope._cut(len(w)))
        if ufunc in (np.sin, np.cos):
            both = np.stack([at_leading(np.sin), at_leading(np.cos)])
            pair = self.compose(both, lambda w: Series.stack([w[1], -w[0]]))
            return pair[0 if ufunc is np.sin else 1]
        if ufunc in (np.sinh, np.cosh):
            both = np.stack([at_leading(np.sinh), at_leading(np.cosh)])
            pair = self.compose(both, lambda w: Series.stack([w[1], w[0]]))
            return pair[0 if ufunc is np.sinh else 1]
        if ufunc in (np.absolute, np.sign):
            if np.any(self.leading == 0):
                raise ValueError(
                    f"{ufunc.__name__} of a series needs a leading coefficient other than 0"
                )
            sign = at_leading(np.sign)
            return self * sign if ufunc is np.absolute else self * 0 + sign
        raise TypeError(
            f"{ufunc.__name__} does not run on a series; NumPy's sqrt, exp, log, sin, cos, tan, arctan, sinh, cosh, tanh, abs and sign do"
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__" or options:
            return NotImplemented
        if len(inputs) == 1:
            plain = {
                np.negative: Series.__neg__,
                np.square: lambda v: v * v,
                np.positive: lambda v: v,
                np.reciprocal: lambda v: v**-1,
            }
            return plain[ufunc](self) if ufunc in plain else self._function(ufunc)
        left, right = inputs
        on_left = {
            np.add: "__add__",
            np.subtract: "__sub__",
            np.multiply: "__mul__",
            np.true_divide: "__truediv__",
            np.power: "__pow__",
        }
        on_right = {
            np.add: "__radd__",
            np.subtract: "__rsub__",
            np.multiply: "__rmul__",
            np.true_divide: "__rtruediv__",
            np.matmul: "__rmatmul__",
        }
        if isinstance(left, Series) and ufunc in on_left:
            return getattr(left, on_left[ufunc])(right)
        if isinstance(right, Series) and ufunc in on_right:
            return getattr(right, on_right[ufunc])(left)
        return NotImplemented

    def __repr__(self):
        return f"Series(terms in h: {len(self)}, value shape: {self.leading.shape})"


def antidifference(polynomial):
    r"""The polynomial :math:`P` with :math:`P(s+1) - P(s) = q(s)` and :math:`P(0) = 0`.

    ``polynomial[j]`` is the coefficient of :math:`s^j` in :math:`q`; the result is one longer.
    By Faulhaber, :math:`s^j` comes from :math:`(B_{j+1}(s) - B_{j+1}(0))/(j+1)` with Bernoulli's
    polynomials.

    Examples
    --------
    The sum of the first integers, :math:`0 + 1 + \dots + (s-1) = s^2/2 - s/2`:

    >>> antidifference(np.array([0.0, 1.0])).tolist()
    [0.0, -0.5, 0.5]
    """
    polynomial = np.asarray(polynomial)
    if polynomial.dtype.kind not in "iufcO" or not polynomial.ndim or not len(polynomial):
        raise TypeError(
            f"a polynomial is an array of coefficients, at least one; not {polynomial!r}"
        )
    if polynomial.dtype == object and not all(
        isinstance(c, (Real, sp.Expr)) for c in polynomial.flat
    ):
        raise TypeError(f"a polynomial has numbers or SymPy expressions, not {polynomial!r}")
    matrix = faulhaber(len(polynomial), polynomial.dtype == object)
    return np.tensordot(matrix, polynomial, axes=(1, 0))


@cache
def faulhaber(length, exact):
    """The matrix of :func:`antidifference`: column j holds the polynomial that belongs to s^j."""
    matrix = np.zeros((length + 1, length), dtype=object)
    for j in range(length):
        for i in range(1, j + 2):
            bernoulli = sp.bernoulli(j + 1 - i)
            if j + 1 - i == 1:
                bernoulli = sp.Rational(-1, 2)  # B_1 = -1/2: the convention that goes with B_n(0)
            matrix[i, j] = bernoulli * comb(j + 1, i) / (j + 1)
    return matrix if exact else matrix.astype(float)


def taylor(expression, symbols, curve):
    r"""The Series of a SymPy expression along an exact ``curve``, by Taylor's formula around the
    curve's present point.

    Parameters
    ----------
    expression : SymPy expression, abstract functions such as ``Function("E")(a, b)`` included
    symbols : sequence of d SymPy symbols
    curve : Series of shape (d,) and dtype object, whose leading coefficient is ``symbols`` itself
    or exact numbers

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
    if curve.coefficients.dtype != object or curve.leading.shape != (len(symbols),):
        raise ValueError(
            f"{curve!r} must be exact and have one value for each of the {len(symbols)} symbols"
        )
    length = len(curve)
    departure = curve + (-curve.leading)
    here = dict(zip(symbols, curve.leading))
    total = curve[0] * 0 + expression.xreplace(here)

    def extend(derivative, product, first, multiplicities):
        nonlocal total
        if sum(multiplicities) == length - 1:
            return
        for i in range(first, len(symbols)):
            slope = sp.diff(derivative, symbols[i])
            if slope == 0:
                continue
            counts = list(multiplicities)
            counts[i] += 1
            monomial = departure[i] if product is None else product * departure[i]
            weight = sp.Mul(*(sp.Rational(1, factorial(c)) for c in counts))
            total = total + monomial * (weight * slope.xreplace(here))
            extend(slope, monomial, i, counts)

    extend(expression, None, 0, [0] * len(symbols))
    return total


def whole(name, value, least, most=None):
    """``value`` as an int; TypeError or ValueError if it is no whole number within the bounds."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} = {value!r} must be a whole number")
    if value < least:
        raise ValueError(f"{name} = {value} must be at least {least}")
    if most is not None and value > most:
        raise ValueError(f"{name} = {value} must be at most {most}")
    return int(value)


# --- small parts --------------------------------------------------------------------------------


def _convolve(left, right):
    """sum over i of the polynomial products left[i](s) * right[i](s), cut to the given length in
    s."""
    length = left.shape[1]
    total = np.zeros(_broadcast(left.shape[1:], right.shape[1:]), dtype=np.result_type(left, right))
    for j in range(min(len(left) + 1, length)):
        total[j:] += (left[:, j : j + 1] * right[:, : length - j]).sum(axis=0)
    return total


def _widened(coefficients, value_dimensions):
    """Insert axes of length one behind the two series axes, so that values align from the right as
    NumPy's do."""
    missing = value_dimensions - (coefficients.ndim - 2)
    return (
        coefficients
        if missing <= 0
        else coefficients.reshape(coefficients.shape[:2] + (1,) * missing + coefficients.shape[2:])
    )


def _broadcast(left, right):
    return left if left == right else np.broadcast_shapes(left, right)


def _aligned(left, right):
    if left.ndim == right.ndim:
        return left, right
    dimensions = max(left.ndim, right.ndim) - 2
    return _widened(left, dimensions), _widened(right, dimensions)


def _column(numbers, dimensions):
    return numbers.reshape((-1,) + (1,) * dimensions)


def _one_over(k, exact):
    return sp.Rational(1, k) if exact else 1.0 / k


def _apply(ufunc, value):
    """A NumPy function of numbers, or SymPy's function of the same name of SymPy objects."""
    if value.dtype != object:
        return ufunc(value)
    symbolic = getattr(sp, {"arctan": "atan"}.get(ufunc.__name__, ufunc.__name__))
    result = np.empty(value.shape, dtype=object)
    for index in np.ndindex(value.shape):
        result[index] = symbolic(value[index])
    return result
