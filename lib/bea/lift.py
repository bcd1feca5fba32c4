r"""Losses from elsewhere: JAX, PyTorch, or any function that gives a gradient.

All that a modified equation needs of a loss is the Taylor expansion of its gradient along curves
:math:`c_0 + h c_1 + h^2 c_2 + \dots` (see :meth:`bea.NumericLoss._lifted`).  JAX's ``jet`` gives
it to any order, nested forward derivatives give the first few, and differences of the gradient
along the curve give the first few digits of the first few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from importlib import import_module
from math import factorial
from typing import Any

import numpy as np

from bea.losses import NumericLoss
from bea.series import Series

__all__ = ["black_box", "from_jax", "from_torch"]


class _Lifted(NumericLoss):
    """A loss whose gradient is expanded by ``_taylor`` alone, never by running it on a Series."""

    def _along(self, theta: Series) -> Series:
        if theta.coefficients.dtype == object:
            return super()._along(theta)
        return self._lifted(theta)


# --- black boxes ---------------------------------------------------------------------------------


class _BlackBox(_Lifted):
    """Central differences along curves."""

    def product_code(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        return self._taylor([theta, v])[0]

    def _taylor(self, curve: Sequence[np.ndarray]) -> Any:
        """Fit a polynomial to the gradient at Chebyshev points of a short piece of the curve."""
        terms, size = len(curve), np.maximum(np.abs(curve[0]).max(axis=0), 1.0)
        speed = max(np.abs(c / size).max() ** (1 / k) for k, c in enumerate(curve) if k)
        count = 2 * terms + 5 if speed else 1
        times = np.cos(np.pi * (np.arange(count) + 0.5) / count)
        radius = (0.3 if "single" in self._found else 0.005 * terms) / (speed or 1.0)
        values = [
            self._call("gradient", np.sum([(radius * t) ** k * c for k, c in enumerate(curve)], axis=0)) for t in times
        ]
        fit = np.linalg.inv(np.vander(times, count, increasing=True))[1:terms]
        weights = fit / radius ** np.arange(1, terms)[:, None]
        return np.tensordot(weights, np.stack(values), 1)


def black_box(gradient: Callable[..., Any], dimension: int, value: Callable[..., Any] | None = None) -> NumericLoss:
    r"""Return a loss of which nothing but gradients can be had.

    Derivatives along curves are differences of gradients.  Where the gradient is analytic, and
    changes on the scale of :math:`\max(1, |\theta|)`, the first correction of a modified equation
    has about eleven digits, the second about ten, the third about seven.

    Parameters
    ----------
    gradient : callable
        A function of theta, shape (d,), that returns the gradient, shape (d,); as for
        :class:`bea.NumericLoss`, arrays (d, points) are tried first for a batch.
    dimension : int
        The number of coordinates, d.
    value : callable, optional
        A function of theta that returns the loss.

    Returns
    -------
    NumericLoss

    Examples
    --------
    >>> import math
    >>> loss = black_box(lambda t: [math.sin(t[0])], 1)
    >>> loss.gradient([1.0]).round(6).tolist(), loss.hessian([0.0]).round(6).tolist()
    ([0.841471], [[1.0]])
    """
    return _BlackBox(dimension, value, gradient)


# --- JAX and PyTorch -----------------------------------------------------------------------------


class _Automatic(_Lifted):
    """A loss whose derivatives another library takes, one point or a batch at a time."""

    def __init__(self, function: Callable[..., Any], dimension: int) -> None:
        self._function = function
        value, gradient = partial(self._calls, "value"), partial(self._calls, "gradient")
        super().__init__(dimension, value, gradient, lambda *pair: self._taylor(pair)[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._function, self.dimension)

    def _identity(self) -> tuple[Any, ...]:
        return self._function, self.dimension

    def _taylor(self, curve: Sequence[np.ndarray]) -> Any:
        return self._calls("taylor", *curve)

    def _calls(self, name: str, *curve: np.ndarray) -> Any:
        raise NotImplementedError


def _derivatives(along: Callable[[Any], Any], jvp: Callable[..., Any], one: Any, count: int) -> list[Any]:
    """Return the Taylor coefficients 1, 2, ..., `count` at 0 of a function of time, by nested jvp."""
    found, zero = [], 0 * one
    for k in range(1, count + 1):
        along = (lambda f: lambda t: jvp(f, (t,), (one,))[1])(along)
        found.append(along(zero) / factorial(k))
    return found


class _FromJax(_Automatic):
    @cached_property
    def _compiled(self) -> dict[Any, Callable[..., Any]]:
        jax = _library("jax")
        from jax.experimental.jet import jet

        gradient = jax.grad(self._function)

        def taylor(*curve: Any) -> Any:
            start, *rest = curve
            if len(rest) == 1:
                return [jax.jvp(gradient, (start,), tuple(rest))[1]]
            try:
                scaled = [c * factorial(k + 1) for k, c in enumerate(rest)]
                terms = jet(gradient, (start,), (scaled,))[1]
                return [term / factorial(k + 1) for k, term in enumerate(terms)]
            except (NotImplementedError, KeyError, TypeError):  # a function that jet does not know
                one = jax.numpy.ones(())
                return _derivatives(
                    lambda t: gradient(sum(t**k * c for k, c in enumerate(curve))),
                    jax.jvp,
                    one,
                    len(rest),
                )

        codes = {"value": self._function, "gradient": gradient, "taylor": taylor}
        return {
            (name, axis): jax.jit(code if axis is None else jax.vmap(code, axis, axis if name != "value" else 0))
            for name, code in codes.items()
            for axis in (None, -1)
        }

    def _calls(self, name: str, *curve: np.ndarray) -> Any:
        jax: Any = _library("jax")
        double = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
        with double(True):
            result = self._compiled[name, None if curve[0].ndim == 1 else -1](*curve)
            return jax.tree.map(np.asarray, result)


class _FromTorch(_Automatic):
    @cached_property
    def _compiled(self) -> dict[Any, Callable[..., Any]]:
        torch = _library("torch")
        gradient, jvp = torch.func.grad(self._function), torch.func.jvp

        def taylor(*curve: Any) -> Any:
            if len(curve) == 2:
                return [jvp(gradient, curve[:1], curve[1:])[1]]
            one = torch.ones((), dtype=torch.float64)
            return _derivatives(
                lambda t: gradient(sum(t**k * c for k, c in enumerate(curve))),
                jvp,
                one,
                len(curve) - 1,
            )

        return {"value": self._function, "gradient": gradient, "taylor": taylor}

    def _calls(self, name: str, *curve: np.ndarray) -> Any:
        import torch

        code = self._compiled[name]
        if curve[0].ndim > 1:
            code = torch.func.vmap(code, -1, 0 if name == "value" else -1)
        result = code(*(torch.tensor(c, dtype=torch.float64) for c in curve))
        plain = [r.detach().cpu().numpy() for r in (result if name == "taylor" else [result])]
        return plain if name == "taylor" else plain[0]


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as problem:
        raise ImportError(f'{name} is not installed: pip install "bea-book[{name}]"') from problem


def from_jax(function: Callable[..., Any], dimension: int) -> NumericLoss:
    r"""Return a loss from a JAX function, with its gradient and all higher derivatives.

    Everything is compiled and computed in double precision.  The modified equation may have any
    number of terms.

    Parameters
    ----------
    function : callable
        A JAX function of theta, shape (d,), that returns the loss, a scalar.  A network's
        parameters can be taken out of theta by ``jax.flatten_util.ravel_pytree``.
    dimension : int
        The number of coordinates, d.

    Returns
    -------
    NumericLoss

    Raises
    ------
    ImportError
        If JAX is not installed.

    Examples
    --------
    >>> from_jax(lambda t: (t**3).sum() / 3, 2).gradient([1.0, 2.0]).tolist()  # doctest: +SKIP
    [1.0, 4.0]
    """
    _library("jax")
    return _FromJax(function, dimension)


def from_torch(function: Callable[..., Any], dimension: int) -> NumericLoss:
    r"""Return a loss from a PyTorch function, with its gradient and the next derivatives.

    Computed in double precision on the CPU, by nested forward derivatives of the gradient; their
    cost doubles with each term of a modified equation.

    Parameters
    ----------
    function : callable
        A PyTorch function of theta, a tensor of float64 and shape (d,), that returns the loss, a
        scalar.  For a module use ``torch.func.functional_call``.
    dimension : int
        The number of coordinates, d.

    Returns
    -------
    NumericLoss

    Raises
    ------
    ImportError
        If PyTorch is not installed.

    Examples
    --------
    >>> from_torch(lambda t: (t**3).sum() / 3, 2).gradient([1.0, 2.0]).tolist()  # doctest: +SKIP
    [1.0, 4.0]
    """
    _library("torch")
    return _FromTorch(function, dimension)
