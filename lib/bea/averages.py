r"""Exponential averages: the memory of an optimizer, and its three meanings.

.. math:: m^{(n)} = \beta\, m^{(n-1)} + (1-\beta)\, a^{(n)}, \qquad a^{(n)} = a(\nabla
          E(\theta^{(n)}))

is a *running state* when the optimizer runs, a *finite weighted sum* of all that it has seen since
it started, and, long after the start, a *resolvent* that acts on the smooth curve through the
iterates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from numbers import Real

import numpy as np
import sympy as sp

from bea.series import Series, whole

__all__ = ["Average", "identity", "lag", "moments", "square"]


def identity(gradient):
    """a(g) = g, for a mean gradient."""
    return gradient


def square(gradient):
    """a(g) = g * g, coordinate by coordinate, for a mean squared gradient."""
    return gradient * gradient


@dataclass(frozen=True)
class Average:
    r"""The exponential average of a function of the gradient.

    Parameters
    ----------
    of : function of the gradient, coordinate by coordinate
    decay : number in [0, 1), array of them, or SymPy expression
        The weight :math:`\beta` of the past.  With decay 0 the average is the present value: no
        memory.

    Examples
    --------
    >>> mean = Average(identity, 0.5)
    >>> mean.advance(state=4.0, value=2.0)
    3.0
    >>> mean.weights(3, bias_correction=True).round(4).tolist()
    [0.1429, 0.2857, 0.5714]
    """

    of: Callable
    decay: object

    def __post_init__(self):
        if not callable(self.of):
            raise TypeError(f"an average needs a function of the gradient, not {self.of!r}")
        _check_decay(self.decay)

    def advance(self, state, value):
        """The running state: decay * state + (1 - decay) * value."""
        return self.decay * state + (1 - self.decay) * value

    def correction(self, n):
        r"""The weight :math:`1 - \beta^{n+1}` that the average has gathered after step ``n`` = 0,
        1, ...; bias correction divides by it."""
        _check_step(n)
        return 1 - self.decay ** (n + 1)

    def weights(self, count, bias_correction):
        r"""The finite sum: the weights of :math:`a^{(0)}, \dots, a^{(\mathrm{count}-1)}` in the
        last average.

        :math:`(1-\beta)\beta^{n-k}`, divided by :math:`1-\beta^{n+1}` under bias correction, with n
        = count - 1. Array of shape (count, \\*decay.shape); of dtype object if the decay is
        symbolic.
        """
        count = whole("count", count, 1)
        if not isinstance(bias_correction, (bool, np.bool_)):
            raise TypeError(f"bias_correction = {bias_correction!r} must be True or False")
        total = self.correction(count - 1) if bias_correction else 1
        return np.array(
            [
                normalized((1 - self.decay) * self.decay**age, total)
                for age in reversed(range(count))
            ]
        )

    def along(self, values):
        r"""The resolvent: the steady-state average :math:`(1-\beta)\sum_i \beta^i a(\theta(t -
        ih))` of a Series ``values``.

        On a power of the scaled time, :math:`s^j \mapsto \sum_i \binom{j}{i} s^{j-i} (-1)^i \mu_i`,
        with the :func:`moments` of the age.
        """
        if not isinstance(values, Series):
            raise TypeError(f"the values along a curve must be a Series, not {values!r}")
        if isinstance(self.decay, int) and self.decay == 0:
            return values
        length = len(values)
        age = age_moments(self.decay, length)
        matrix = np.zeros((length, length, *np.shape(age[-1])), dtype=np.asarray(age[-1]).dtype)
        for j in range(length):
            for i in range(j + 1):
                matrix[j, j - i] = (-1) ** i * comb(j, i) * age[i]
        return Series(np.einsum("kj...,jm...->km...", values.coefficients, matrix))


def moments(decay, count):
    r"""The first moments of the age i under the weights :math:`(1-\beta)\beta^i`, i = 0, 1, 2, ...

    .. math:: \mu_r = (1-\beta)\sum_{i\ge 0} i^r \beta^i =
              \frac{\beta}{1-\beta}\sum_{l<r}\binom{r}{l}\mu_l, \qquad \mu_0 = 1.

    (The numerators are Eulerian polynomials in the decay.)

    Examples
    --------
    >>> moments(sp.Symbol("beta"), 3)
    [1, -beta/(beta - 1), beta*(beta + 1)/(beta - 1)**2]
    """
    _check_decay(decay)
    return age_moments(decay, whole("count", count, 1))


def age_moments(decay, count):
    """:func:`moments` of whatever adds, multiplies and divides."""
    ratio = decay / (1 - decay)
    found = [1 + 0 * ratio]
    for r in range(1, count):
        found.append(tidy(ratio * sum(comb(r, l) * found[l] for l in range(r))))
    return found


def tidy(value):
    """A SymPy expression that is a rational function, as one factored fraction; anything else as it
    is."""
    return (
        sp.factor(value) if isinstance(value, sp.Expr) and value.is_rational_function() else value
    )


def normalized(weight, total):
    """``weight / total``, tidied.  A whole total is 1 (no memory, or no bias correction): then the
    weight stays what it is, because a quotient of two ints would be an inexact float."""
    return tidy(weight if isinstance(total, int) else weight / total)


def lag(decay, n=None):
    r"""How many steps behind an average sees, to first order: the mean age of what it remembers.

    .. math:: \mathrm{lag} = \frac{\beta}{1-\beta} - \frac{(n+1)\beta^{n+1}}{1-\beta^{n+1}}

    after step n = 0, 1, ... with bias correction; without ``n``, in steady state, the second term
    is absent. The constants of the Adam paper's theorem are :math:`C_\beta(n) = 1 +
    2\,\mathrm{lag}`.

    Examples
    --------
    >>> round(lag(0.9), 12)
    9.0
    >>> lag(0.9, n=0)
    0.0
    """
    _check_decay(decay)
    if n is None:
        return decay / (1 - decay)
    _check_step(n)
    return decay / (1 - decay) - (n + 1) * decay ** (n + 1) / (1 - decay ** (n + 1))


def _check_decay(decay):
    """Raises TypeError or ValueError if ``decay`` is neither numbers in [0, 1) nor a SymPy expression."""
    if type(decay) is float and 0 <= decay < 1:  # what it nearly always is
        return
    if isinstance(decay, sp.Expr):
        right_kind = decay.is_extended_real is not False
        if right_kind and not decay.is_number:
            return
        if right_kind and not decay.is_finite:
            raise ValueError(f"a decay must be in [0, 1), not {decay}")
    else:
        right_kind = isinstance(decay, (Real, np.ndarray)) and not isinstance(
            decay, (bool, np.ma.MaskedArray)
        )
    numbers = np.asarray(decay)
    if not right_kind or numbers.size == 0 or numbers.dtype.kind not in "iufO":
        raise TypeError(
            f"a decay must be a real number, an array of them or a SymPy expression, not {decay!r}"
        )
    if not np.all((numbers >= 0) & (numbers < 1)):
        raise ValueError(f"a decay must be in [0, 1), not {decay}")


def _check_step(n):
    """Raises TypeError or ValueError if ``n`` is neither numbers of steps nor a SymPy expression."""
    if type(n) is int and 0 <= n < 2**53:
        return
    if isinstance(n, sp.Expr) and n.is_extended_real is not False and not n.is_number:
        return
    numbers = np.asarray(n)  # a smooth curve has values between the steps, too
    if (
        isinstance(n, (bool, np.ma.MaskedArray))
        or numbers.dtype.kind not in "iuf"
        or not numbers.size
    ):
        raise TypeError(f"the number of the step must be a number, 0 or more, not {n!r}")
    if not np.all((numbers >= 0) & np.isfinite(numbers)):
        raise ValueError(f"the number of the step must be finite, 0 or more, not {n}")
