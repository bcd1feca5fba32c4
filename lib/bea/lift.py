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
from bea.trace import Trace
from bea.vectors import along_curves, evaluated

__all__ = ["black_box", "from_jax", "from_torch"]


class _BlackBox(NumericLoss):
    """A loss whose gradient is expanded by differences, never by running it on a Series."""

    _terms, _runs_on_series = 4.0, False

    def _along(self, theta: Series) -> Series:
        if theta.terms > self._terms:
            raise ValueError(
                f"differences of gradients serve for at most 4 terms, not {theta.terms}: further ones would be little but round-off; "
                "take bea.from_jax, bea.from_torch, or code that runs on a Series"
            )
        return super()._along(theta)

    def _taylor(self, curve: Sequence[np.ndarray]) -> Any:
        # the higher the derivative, the more round-off: the piece of the curve grows with their number
        return self._differences(curve, 2 * len(curve) + 5, 0.3 if self._single else 0.00125 * len(curve) ** 3)


def black_box(gradient: Callable[..., Any], dimension: int, value: Callable[..., Any] | None = None) -> NumericLoss:
    r"""Return a loss for which only gradients are available.

    Derivatives along curves are differences of gradients.  Where the gradient is analytic, and
    changes on the scale of :math:`\max(1, |\theta|)`, the first correction of a modified equation
    has about eleven digits.  If the decays are at most 0.95 the second has eight or more, and the third five
    or more; at 0.999 it is seven and only one or two, because averages amplify round-off.  Further ones would
    be little but round-off, so more than four terms are refused.

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


class _Automatic(_BlackBox):
    """A loss whose derivatives another library takes, one point or a batch at a time."""

    _terms = np.inf

    def __init__(self, function: Callable[..., Any], dimension: int) -> None:
        value, gradient = partial(self._compute, "value"), partial(self._compute, "gradient")
        super().__init__(dimension, value, gradient, lambda *curve: self._taylor(curve)[0])
        self._arguments = (function, dimension)

    def _taylor(self, curve: Sequence[np.ndarray]) -> Any:
        return self._compute("taylor", *curve)

    def _compute(self, name: str, *curve: np.ndarray) -> Any:
        raise NotImplementedError


def _nested(jvp: Callable[..., Any], gradient: Callable[..., Any], one: Any, curve: Sequence[Any]) -> list[Any]:
    """Return the Taylor coefficients of h, h^2, ... of the gradient at the sum of h^k curve[k]."""
    found = []
    along = lambda h: gradient(sum(h**k * c for k, c in enumerate(curve)))  # noqa: E731
    for k in range(1, len(curve)):
        along = partial(lambda f, h: jvp(f, (h,), (one,))[1], along)
        found.append(along(0 * one) / factorial(k))
    return found


class _FromJax(_Automatic):
    @cached_property
    def _function(self) -> Callable[..., Any]:
        """The function with all that it reads as it is now, so that codes which are compiled later agree."""
        jax: Any = _library("jax")
        with _double():
            code, result = jax.make_jaxpr(self._arguments[0], return_shape=True)(np.zeros(self.dimension))
            read, kind = [jax.numpy.array(constant) for constant in code.consts], jax.tree.structure(result)
        return lambda theta: jax.tree.unflatten(kind, jax.core.eval_jaxpr(code.jaxpr, read, theta))

    @cached_property
    def _expansion(self) -> Callable[..., Any]:
        """The function of a curve's coefficients, of 1, h, h^2, ..., that gives those of the gradient along it."""
        jax: Any = _library("jax")
        from jax.experimental.jet import jet

        gradient = jax.grad(self._function)

        def taylor(start: Any, *rest: Any) -> Any:
            try:
                scaled = [c * factorial(k) for k, c in enumerate(rest, 1)]
                first, others = jet(gradient, (start,), (scaled,))
                return [first, *(term / factorial(k) for k, term in enumerate(others, 1))]
            except (NotImplementedError, KeyError, TypeError):  # a function that jet does not know
                return [gradient(start), *_nested(jax.jvp, gradient, jax.numpy.ones(()), (start, *rest))]

        return taylor

    @cached_property
    def _codes(self) -> dict[Any, Callable[..., Any]]:
        jax: Any = _library("jax")
        function = self._function
        codes = {"value": function, "gradient": jax.grad(function), "taylor": lambda *c: self._expansion(*c)[1:]}
        batched = {name: jax.vmap(code, -1, 0 if name == "value" else -1) for name, code in codes.items()}
        return {(n, k): jax.jit(code) for k, kind in ((1, codes), (2, batched)) for n, code in kind.items()}

    def _compute(self, name: str, *curve: np.ndarray) -> Any:
        return _in_double(self._codes[name, curve[0].ndim], *curve)

    def whole_field(self, code: Trace) -> Callable[[np.ndarray], np.ndarray]:
        """Return a traced field (see :mod:`bea.vectors`) as one compiled function.

        Parameters
        ----------
        code : Trace

        Returns
        -------
        function of an array that holds a point and further numbers
        """
        jax: Any = _library("jax")

        def last(start: Any, *rest: Any) -> Any:
            # jet computes tanh by other functions than grad does; by jet alone all terms have them in common
            return self._expansion(start, *rest)[-1] if rest else self._expansion(start, 0 * start)[0]

        @jax.jit
        def field(x: Any) -> Any:
            theta, given = x[: self.dimension], x[self.dimension :]
            found = evaluated(code, [theta, *given], jax.numpy, partial(along_curves, last))
            return jax.numpy.stack([f + 0 * theta for f in found]).reshape(*code.shapes[0][:-1], self.dimension)

        return partial(_in_double, field)


def _in_double(code: Callable[..., Any], *arguments: np.ndarray) -> Any:
    """Return what JAX computes in double precision, as arrays of NumPy."""
    with _double():
        return _library("jax").tree.map(np.asarray, code(*arguments))


def _double() -> Any:
    jax: Any = _library("jax")
    return (jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64)(True)


class _FromTorch(_Automatic):
    def _compute(self, name: str, *curve: np.ndarray) -> Any:
        torch: Any = _library("torch")

        def function(theta: Any) -> Any:
            result = self._arguments[0](theta)
            if not isinstance(result, torch.Tensor) or result.ndim:
                shape = f" of shape {tuple(result.shape)}" if isinstance(result, torch.Tensor) else ""
                raise TypeError(
                    f"the function returned a {type(result).__name__}{shape}; it must return a tensor of shape (), made "
                    "from theta by PyTorch's functions alone, without item(), float() or numpy()"
                )
            return result

        gradient, one = torch.func.grad(function), torch.ones((), dtype=torch.float64)

        def taylor(*curve: Any) -> Any:
            return _nested(torch.func.jvp, gradient, one, curve)

        code = {"value": function, "gradient": gradient, "taylor": taylor}[name]
        code = code if curve[0].ndim == 1 else torch.func.vmap(code, -1, 0 if name == "value" else -1)
        try:
            result = code(*(torch.tensor(c, dtype=torch.float64) for c in curve))
        except RuntimeError as problem:
            if "ZeroTensors" not in str(problem):
                raise
            advice = f"write it out, as ((a - b)**2).mean() for mse_loss, or take bea.black_box(loss.gradient_code, {self.dimension})"
            raise ValueError(f"PyTorch does not differentiate the function so often ({problem}); {advice}") from problem
        return [r.detach().numpy() for r in result] if name == "taylor" else result.detach().numpy()


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as problem:
        raise ImportError(f'{name} is not installed: pip install "bea-book[{name}]"') from problem


def from_jax(function: Callable[..., Any], dimension: int) -> NumericLoss:
    r"""Return a loss from a JAX function, with its gradient and all higher derivatives.

    Everything is compiled and computed in double precision.  The modified equation may have any
    number of terms.  Data that the function reads stay as they were at the first call: for new ones
    make a new loss.

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
        scalar.  For a module see the example below.
    dimension : int
        The number of coordinates, d.

    Returns
    -------
    NumericLoss

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If a module is given instead of a function.

    Examples
    --------
    >>> from_torch(lambda t: (t**3).sum() / 3, 2).gradient([1.0, 2.0]).tolist()  # doctest: +SKIP
    [1.0, 4.0]

    A module, its data X and y in double precision too, with all its parameters in one vector
    (``vector_to_parameters`` does not serve: it leaves the graph of derivatives)::

        net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
        names, parameters = zip(*net.named_parameters())
        sizes = [p.numel() for p in parameters]

        def function(theta):
            parts = [part.reshape(p.shape) for part, p in zip(theta.split(sizes), parameters)]
            output = torch.func.functional_call(net, dict(zip(names, parts)), (X,))
            return ((output - y) ** 2).mean()

        loss = bea.from_torch(function, sum(sizes))
    """
    torch: Any = _library("torch")
    if isinstance(function, torch.nn.Module):
        raise TypeError("a function of one vector of all parameters is needed, not a module; see help(bea.from_torch)")
    return _FromTorch(function, dimension)
