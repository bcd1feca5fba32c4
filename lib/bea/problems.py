"""The losses of the book: a quadratic, the bilinear model, Rosenbrock's valley, logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from os import PathLike
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike
from scipy.special import expit

from bea.losses import Loss, NumericLoss

__all__ = ["bilinear", "logistic_regression", "quadratic", "rosenbrock"]


def quadratic(curvature: Any) -> Loss:
    r"""Return the quadratic :math:`E = \tfrac12\theta^T A\theta`.

    Parameters
    ----------
    curvature : sequence of d entries or symmetric (d, d)
        The matrix :math:`A`, or its eigenvalues.  Entries may be numbers or SymPy expressions.

    Returns
    -------
    Loss
        In the coordinates theta_1, theta_2, ...

    Raises
    ------
    TypeError, ValueError
        If the matrix is not square and symmetric, or its entries are not finite real numbers.

    Examples
    --------
    >>> quadratic([1, 9]).expression
    theta_1**2/2 + 9*theta_2**2/2
    """
    given = np.array(curvature, dtype=object)
    given = np.diag(given) if given.ndim == 1 else given
    square = given.ndim == 2 and given.shape[0] == given.shape[1] > 0
    symbols = sp.symbols(f"theta_1:{len(given) + 1}", real=True) if square else ()
    matrix = sp.Matrix(
        len(symbols), len(symbols), lambda i, j: _constant("an entry", given[i, j], symbols, exact=False)
    )
    if not square or not matrix.is_symmetric():
        raise ValueError(f"a quadratic needs a square symmetric matrix or a list of eigenvalues, not {curvature!r}")
    theta = sp.Matrix(symbols)
    return _loss(sp.expand((theta.T * matrix * theta)[0] / 2), symbols)


def bilinear(c: Any = 1.5, k: Any = 2) -> Loss:
    r"""Return the bilinear model :math:`E(a, b) = \tfrac12(c - k\,a b)^2`.

    Its minimizers are the whole curve :math:`ab = c/k`.

    Parameters
    ----------
    c, k : number or Expr
        The constants; a float becomes a simple exact number that rounds to it.

    Returns
    -------
    Loss
        In the coordinates a, b.

    Raises
    ------
    TypeError, ValueError
        If a constant is not a finite real number or has the name of a coordinate.

    References
    ----------
    Barrett and Dherin (2021), there with one training point.

    Examples
    --------
    >>> bilinear().expression
    (-2*a*b + 3/2)**2/2
    """
    a, b = symbols = sp.symbols("a b", real=True)
    return _loss((_constant("c", c, symbols) - _constant("k", k, symbols) * a * b) ** 2 / 2, symbols)


def rosenbrock(steepness: Any = 100) -> Loss:
    r"""Return Rosenbrock's valley :math:`E = (1 - x)^2 + s\,(y - x^2)^2`.

    Parameters
    ----------
    steepness : number or Expr
        The constant s; a float is made exact, as in :func:`bilinear`.

    Returns
    -------
    Loss
        In the coordinates x, y.

    Raises
    ------
    TypeError, ValueError
        If the steepness is not a finite real number or has the name of a coordinate.

    Examples
    --------
    >>> rosenbrock().value([1.0, 1.0]).item()
    0.0
    """
    x, y = symbols = sp.symbols("x y", real=True)
    return _loss((1 - x) ** 2 + _constant("steepness", steepness, symbols) * (y - x**2) ** 2, symbols)


def logistic_regression(
    columns: Sequence[int] | None = None,
    rows: Any = slice(None),
    *,
    features: ArrayLike | str | PathLike[str] | None = None,
    labels: ArrayLike | None = None,
    standardize: bool = True,
) -> NumericLoss:
    r"""Return logistic regression, without intercept.

    .. math:: E(\theta) = \frac1n\sum_{i} \ln\bigl(1 + e^{-y_i\,x_i\cdot\theta}\bigr), \qquad y_i =
              \pm 1.

    Parameters
    ----------
    columns : sequence of int, optional
        Which features to use; their number is d.  By default all, or the first two of the default
        data.
    rows : slice, sequence of int or of bool, optional
        The rows to average over: give disjoint ones for mini-batches.
    features : array (n, features) or path, optional
        The data; or a file of comma-separated numbers whose last column is the label, with or
        without a line of names.  By default scikit-learn's breast-cancer data, 569 rows of 30
        features (Street, Wolberg and Mangasarian, 1993).
    labels : array (n,), optional
        Two different values; the larger one is y = 1.
    standardize : bool, optional
        Whether to give every feature mean 0 and standard deviation 1 over all rows.

    Returns
    -------
    NumericLoss

    Raises
    ------
    TypeError, ValueError
        If features are given without labels, labels without features or with a file, the data are
        masked or not finite numbers, the labels do not have two values, a feature to be standardized is
        constant, or `columns` or `rows` select nothing.
    ImportError
        If the default data are asked for and scikit-learn is not installed.

    Examples
    --------
    >>> X, y = [[1.0, 2.0], [3.0, 5.0], [4.0, 1.0]], [0, 1, 1]
    >>> round(logistic_regression(features=X, labels=y).value([0.0, 0.0]).item(), 6)    # ln 2
    0.693147
    """
    if columns is not None and np.ndim(columns) > 1:
        raise TypeError("columns are the numbers of features, but data were given; give them as features=, labels=")
    data, targets = _data(features, labels)
    if columns is None:
        columns = (0, 1) if features is None else range(data.shape[1])
    try:
        chosen = data[:, np.asarray(columns)].reshape(len(data), -1)
        if standardize:
            with np.errstate(all="ignore"):  # of a constant feature, which is refused below
                spread = np.where(np.ptp(chosen, axis=0) > 1e-14 * np.abs(chosen).max(axis=0), chosen.std(axis=0), 0.0)
                chosen = (chosen - chosen.mean(axis=0)) / spread
        signed = (chosen * np.where(targets, 1.0, -1.0)[:, None])[rows if isinstance(rows, slice) else np.asarray(rows)]
    except IndexError:
        signed = np.empty(0)
    if signed.ndim != 2 or not signed.size or not np.isfinite(signed).all():
        raise ValueError(
            f"columns = {columns!r} and rows = {rows!r} must select finite numbers from data of shape {data.shape}; "
            "with standardize=True no feature may be constant"
        )
    loss = _Logistic(signed)
    return NumericLoss(len(signed.T), loss.value, loss.gradient, loss.hessian_vector)


def _data(features: Any, labels: Any) -> Any:
    """Return the features, (n, columns), and the labels, (n,)."""
    if labels is None and features is not None and not isinstance(features, (str, PathLike)):
        raise TypeError("features were given without labels; give labels=, one for each row of the features")
    if labels is not None and features is None:
        raise TypeError("labels were given without features; give features=, one row for each label")
    if features is None:
        from sklearn.datasets import load_breast_cancer  # takes longer than all the rest

        return load_breast_cancer(return_X_y=True)
    if isinstance(features, (str, PathLike)):
        if labels is not None:
            raise ValueError(f"the file {features} holds the labels in its last column; leave out labels=")
        table = np.genfromtxt(features, delimiter=",", ndmin=2)
        table = table[1:] if np.isnan(table[0]).all() else table  # the names of the columns
        features, labels = table[:, :-1], table[:, -1]
    if np.ma.is_masked(features) or np.ma.is_masked(labels):
        raise ValueError("features or labels are masked; leave out the rows in which one is")
    data = np.asarray(features, dtype=float)
    try:
        names, targets = np.unique(np.asarray(labels), return_inverse=True)
    except TypeError:
        raise TypeError(
            f"labels must be of one kind, none missing, so that one is the larger; not {labels!r}"
        ) from None
    given = f"features of shape {data.shape} and labels of shape {targets.shape} with the values {names[:9]}"
    two = len(names) == 2 and not np.any(names != names)  # NaN is a missing label
    if data.ndim != 2 or targets.shape != data.shape[:1] or not two or not np.isfinite(data).all():
        raise ValueError(
            f"{given} were given; allowed are finite numbers (n, features) and (n,), of two different values"
        )
    return data, targets


class _Logistic:
    """Logistic regression on rows that are multiplied by their label, +1 or -1."""

    def __init__(self, signed: np.ndarray) -> None:
        self.signed = signed

    def value(self, theta: Any) -> Any:
        return np.logaddexp(0.0, -(self.signed @ theta)).mean(axis=0)

    def gradient(self, theta: Any) -> Any:
        # 1/(1 + e^z) = (1 - tanh(z/2))/2, which neither overflows nor needs a case distinction
        return self.signed.T @ ((np.tanh(0.5 * (self.signed @ theta)) - 1) * (0.5 / len(self.signed)))

    def hessian_vector(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        z = self.signed @ theta
        return self.signed.T @ (expit(z) * expit(-z) * (self.signed @ v)) / len(self.signed)


def _constant(name: str, value: Any, coordinates: Sequence[sp.Symbol], exact: bool = True) -> Any:
    """Return a number or an expression in symbols other than the coordinates."""
    if isinstance(value, bool) or not isinstance(value, (Real, sp.Expr)):
        raise TypeError(f"{name} = {value!r} must be a real number or a SymPy expression")
    expression = sp.sympify(value)
    if exact:
        expression = expression.xreplace({number: _exact(number) for number in expression.atoms(sp.Float)})
    if not expression.free_symbols and not (expression.is_real and expression.is_finite):
        raise ValueError(f"{name} = {value} must be real and finite")
    clash = {str(s) for s in expression.free_symbols} & {str(s) for s in coordinates}
    if clash:
        raise ValueError(f"{name} = {value} holds {clash.pop()}, the name of a coordinate")
    return expression


def _exact(number: sp.Float) -> sp.Expr:
    """Return a simple exact number that rounds to a float."""
    found = sp.nsimplify(number)
    return found if float(found) == float(number) else sp.Rational(repr(float(number)))


def _loss(expression: sp.Expr, symbols: tuple[sp.Symbol, ...]) -> Loss:
    """Return a loss whose parameters are all other symbols, by name."""
    return Loss(expression, symbols, tuple(sorted(expression.free_symbols - {*symbols}, key=str)))
