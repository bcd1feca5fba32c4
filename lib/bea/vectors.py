r"""Fields in which all coordinates follow one formula, and only gradients join them.

Most programs treat the coordinates of :math:`\theta` alike: Adam does, a norm does not.  Such a
field is read once, for one coordinate, as a :class:`~bea.trace.Trace` in which gradients are
also operations.  Its numbers may then be whole vectors, and a loss from another library can compile
it with all its gradients as one function, in which nothing that two terms share is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bea.losses import NumericLoss
from bea.series import Series
from bea.trace import KINKED, Node, Trace, Untraceable, trace

__all__ = ["Vectorial", "along_curves", "evaluated"]

PATIENCE = 50  # calls before a field is compiled, which takes seconds

Row = list[Any]  # the polynomial in s that belongs to one power of h, by its coefficients


class Vectorial:
    """A field that its loss compiles as one function after some calls, which is compared with the field before its use.

    Parameters
    ----------
    plain : function of a loss and an array
        The array holds a point and further numbers, such as the time.  Returns an array (..., d).
    loss : loss with a method ``whole_field``
    """

    def __init__(self, plain: Callable[[Any, np.ndarray], np.ndarray], loss: Any) -> None:
        self.plain, self.loss, self.calls = plain, loss, 0
        self.fast: Callable[[np.ndarray], np.ndarray] | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the value at a vector, or at each column of an array in the plain way."""
        if x.ndim == 1 and self.fast is not None:
            found = np.array(self.fast(x))  # which the caller may change
            if np.isfinite(found).all():  # else the plain way says what is wrong
                return found
        value = self.plain(self.loss, x)
        if x.ndim == 1 and self.calls < PATIENCE:
            if self.calls == PATIENCE - 1:
                self._compile(x, value)
            self.calls += 1  # not before: an interrupt leaves the code to the next call
        return value

    def _compile(self, x: np.ndarray, value: np.ndarray) -> None:
        try:
            fast = self.loss.whole_field(self._traced(len(x)))
            if np.allclose(fast(x), value, rtol=1e-9, atol=1e-9 * np.abs(value).max()):
                self.fast = fast
        except Exception:  # whatever it was, the plain way does without
            pass

    def _traced(self, size: int) -> Trace:
        """Return the trace for one coordinate, compared with the program at a random point with a random gradient."""
        d, rng = self.loss.dimension, np.random.default_rng(0)

        def one(theta: np.ndarray, given: np.ndarray) -> np.ndarray:
            return self.plain(_OneCoordinate(), np.concatenate([theta, given]))

        code = trace(one, {"theta": (1,), "given": (size - d,)})
        if KINKED.intersection(name for name, *_ in code.operations):
            raise Untraceable("the formula is not the same everywhere")
        x, (a, b) = rng.uniform(0.5, 1.5, size), rng.uniform(0.5, 1.5, (2, d))
        drawn = NumericLoss(d, None, lambda theta: a * theta * theta + b)

        def gradient(rows: list[Row]) -> Row:
            return list(drawn.gradient_code(Series.from_polynomials(rows)).coefficients[-1])

        wanted, found = self.plain(drawn, x), evaluated(code, [x[:d], *x[d:]], np, gradient)
        if not np.allclose(np.reshape(found, wanted.shape), wanted, rtol=1e-9, atol=0.0):
            raise Untraceable("the coordinates do not follow one formula")
        return code


class _OneCoordinate:
    """A loss of one coordinate whose gradient is the operation ``gradient k j`` on the curve's terms up to h^k."""

    dimension = 1

    def gradient_code(self, theta: Series) -> Series:
        """Return the gradient along a curve."""
        found, given = np.zeros_like(theta.coefficients), list[Any]()
        for k, row in enumerate(theta.coefficients[..., 0]):
            given += [x if isinstance(x, Node) else float(x) for x in row[: k + 1]]
            tape = next(x.tape for x in given if isinstance(x, Node))
            for j in range(k + 1):
                found[k, j, 0] = tape.record(f"gradient {k} {j}", *given)
        return Series(found)


def evaluated(code: Trace, values: Sequence[Any], library: Any, gradient: Callable[[list[Row]], Row]) -> list[Any]:
    """Return the outputs of a trace with gradients.

    Parameters
    ----------
    code : Trace
    values : sequence
        Its inputs, vectors or numbers.
    library : module
        NumPy, or one that has functions of the same names.
    gradient : function
        Takes the rows of a curve up to h^k, and returns row k of the gradient along it.

    Returns
    -------
    list
    """
    values, known = list(values), {}
    for name, *arguments in code.operations:
        given = [values[a] if isinstance(a, int) else a for a in arguments]
        if not name.startswith("gradient"):
            values.append(getattr(library, name)(*given))
            continue
        k, j = map(int, name.split()[1:])
        key = (k, *map(repr, arguments))  # value 0 is not the number 0.0
        if key not in known:
            known[key] = gradient([given[i * (i + 1) // 2 :][: i + 1] for i in range(k + 1)])
        values.append(known[key][j])
    return [values[output] if isinstance(output, int) else output for output in code.outputs]


def along_curves(last: Callable[..., Any], rows: list[Row]) -> Row:
    r"""Return the last row of the gradient along :math:`\sum_k h^k P_k(s)` from expansions in h alone.

    With h/s in place of h the coefficients of the curve are :math:`P_k(s)/s^k`, polynomials in 1/s,
    and so are those of the gradient: as many values determine one as it has coefficients.

    Parameters
    ----------
    last : function
        Takes the coefficients of 1, h, ..., h^k of a curve, and returns that of h^k of the gradient along it.
    rows : list of lists
        The coefficients of P_0, ..., P_k.  If all curves start at the same point, ``P_1[0]``, ... are the
        number 0.0, and the gradient has no such coefficients either.

    Returns
    -------
    list
        The coefficients of 1, s, ..., s^k.

    Examples
    --------
    The gradient of theta^3/3 along 2 + 3 s h + 5 s^2 h^2, whose coefficient of h^2 is 29 s^2:

    >>> square = lambda x, y, z: 2 * x * z + y * y
    >>> [float(c) for c in along_curves(square, [[2.0], [0.0, 3.0], [0.0, 0.0, 5.0]])]
    [0.0, 0.0, 29.0]
    """
    k = len(rows) - 1
    fixed = k > 0 and all(isinstance(row[0], float) and row[0] == 0 for row in rows[1:])
    # values of 1/s: those for h^k begin with those for lower powers, so that expansions have terms in common
    numbers = [0.0, *(sign / n for n in range(1, k + 1) for sign in (1, -1))][: k if fixed else k + 1]

    def at(x: float, i: int, row: Row) -> Any:
        return sum(c * x ** (i - j) for j, c in enumerate(row) if x or i == j)

    values = [last(*(at(x, i, row) for i, row in enumerate(rows))) for x in numbers]
    inverse = np.linalg.inv(np.vander(numbers, increasing=True))
    found = [sum(weight * value for weight, value in zip(weights, values)) for weights in inverse]
    return [0.0] * fixed + found[::-1]
