r"""Each optimizer once: the averages it keeps, and a memoryless formula for the step.

Every optimizer here makes the step

.. math:: \theta^{(n+1)} = \theta^{(n)} - h\, U(m_1^{(n)}, m_2^{(n)}, \dots),

where the :math:`m_i` are exponential averages (:class:`bea.averages.Average`) of functions of the
gradient, all taken *including* the gradient at step n, and :math:`U` is a formula that acts
coordinate by coordinate and remembers nothing. The formula runs alike on floats, on arrays, on
:class:`bea.series.Series` and on SymPy expressions: from this one definition the algorithm, its
modified equation and their check all follow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real

import numpy as np
import sympy as sp

from bea.averages import Average, identity, square

__all__ = ["Optimizer", "adam", "gradient_descent", "heavy_ball", "nesterov", "rmsprop"]


@dataclass(frozen=True)
class Optimizer:
    """An optimizer with exponential memory.

    Attributes
    ----------
    constructor : the function that made it
    hyperparameters : mapping from name to value, as they were given
    conventions : mapping from name to bool: the constructor's other arguments
    averages : tuple of Average
    update : function of one argument per average; returns the step U, which is then multiplied by
        -h
    bias_correction : bool
        Whether each average is divided by 1 - decay^(n+1), so that its weights sum to one from the
        first step on.

    Examples
    --------
    >>> g = sp.Symbol("g")
    >>> adam(beta=sp.Symbol("beta"), rho=sp.Symbol("rho"), epsilon=sp.Symbol("epsilon")).update(g, g**2)
    g/sqrt(epsilon + g**2)
    """

    constructor: Callable
    hyperparameters: Mapping
    conventions: Mapping
    averages: tuple
    update: Callable
    bias_correction: bool = False

    @property
    def name(self):
        """The name of its constructor."""
        return self.constructor.__name__

    def with_hyperparameters(self, **values):
        """The same optimizer with other hyper-parameters: numbers for symbols, or the reverse."""
        return self.constructor(**{**self.hyperparameters, **values}, **self.conventions)

    def __post_init__(self):
        lengths = {
            name: np.shape(value) for name, value in self.hyperparameters.items() if np.ndim(value)
        }
        if len(set(lengths.values()) - {(1,)}) > 1:
            raise ValueError(
                f"arrays of hyper-parameters must be of one length; {lengths} were given"
            )

    def in_floats(self):
        """The same optimizer with floats for SymPy's numbers; symbols stay."""
        exact = {
            name: float(value)
            for name, value in self.hyperparameters.items()
            if isinstance(value, sp.Basic) and value.is_number
        }
        return self.with_hyperparameters(**exact) if exact else self

    @property
    def settings(self):
        """The shape of the settings: () for one, (batch,) if hyper-parameters are arrays."""
        return np.broadcast_shapes(*(np.shape(value) for value in self.hyperparameters.values()))

    @property
    def symbols(self):
        """The SymPy symbols among the hyper-parameters, as a set."""
        given = self.hyperparameters.values()
        return set().union(*(value.free_symbols for value in given if isinstance(value, sp.Basic)))

    def __repr__(self):
        given = {**self.hyperparameters, **self.conventions}
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in given.items())})"


def gradient_descent():
    r"""Gradient descent, :math:`\theta \leftarrow \theta - h\nabla E(\theta)`.

    It is explicit Euler's method for gradient flow.

    Examples
    --------
    >>> gradient_descent().update(3.0)
    3.0
    """
    return Optimizer(gradient_descent, {}, {}, (Average(identity, 0),), identity)


def heavy_ball(beta, *, damped=False):
    r"""Polyak's heavy ball, started from :math:`m = 0`.

    .. math:: m \leftarrow \beta m + c\,\nabla E(\theta), \qquad \theta \leftarrow \theta - h m

    ``damped=False``: c = 1, PyTorch's SGD with momentum, the same as :math:`\theta^{(n+1)} =
    \theta^{(n)} - h\nabla E(\theta^{(n)}) + \beta(\theta^{(n)} - \theta^{(n-1)})`. ``damped=True``:
    :math:`c = 1-\beta`, an average of gradients, Adam's numerator.

    Raises ValueError if ``beta`` is not in [0, 1).

    Examples
    --------
    >>> beta, g = sp.symbols("beta g")
    >>> heavy_ball(beta).update(g), heavy_ball(beta, damped=True).update(g)
    (g/(1 - beta), g)
    """
    beta = _decay("beta", beta)
    step = identity if _flag("damped", damped) else lambda m: m / (1 - beta)
    memory = (Average(identity, beta),)
    return Optimizer(heavy_ball, {"beta": beta}, {"damped": damped}, memory, step)


def nesterov(beta):
    r"""Nesterov's momentum in PyTorch's form.

    .. math:: b \leftarrow \beta b + \nabla E(\theta), \qquad
              \theta \leftarrow \theta - h(\nabla E(\theta) + \beta b)

    The iterates are the points at which the gradient is taken.  No factor :math:`1-\beta`.
    Raises ValueError if ``beta`` is not in [0, 1).

    Examples
    --------
    >>> beta, g = sp.symbols("beta g")
    >>> sp.factor(nesterov(beta).update(g, g))
    -g/(beta - 1)
    """
    beta = _decay("beta", beta)
    memory = (Average(identity, 0), Average(identity, beta))
    return Optimizer(nesterov, {"beta": beta}, {}, memory, lambda g, m: g + m * (beta / (1 - beta)))


def rmsprop(rho, epsilon, *, epsilon_inside=True, bias_correction=False):
    r"""RMSProp, with :math:`v` the average of squared gradients.

    .. math:: \theta_j \leftarrow \theta_j - h\,\partial_j E/\sqrt{v_j + \varepsilon}

    ``epsilon_inside=False`` divides by :math:`\sqrt{v_j} + \varepsilon` instead.
    Raises ValueError if ``rho`` is not in [0, 1) or ``epsilon`` is negative.

    Examples
    --------
    >>> rmsprop(rho=0.9, epsilon=0.0).update(2.0, 4.0).item()
    1.0
    """
    rho, epsilon = _decay("rho", rho), _stability("epsilon", epsilon)
    memory = (Average(identity, 0), Average(square, rho))
    update = _adaptive(epsilon, epsilon_inside)
    given = {"rho": rho, "epsilon": epsilon}
    conventions = {
        "epsilon_inside": epsilon_inside,
        "bias_correction": _flag("bias_correction", bias_correction),
    }
    return Optimizer(rmsprop, given, conventions, memory, update, bias_correction)


def adam(beta, rho, epsilon, *, epsilon_inside=True, bias_correction=True):
    r"""Adam, with :math:`\hat m` and :math:`\hat v` the averages of gradients and of their squares.

    .. math:: \theta_j \leftarrow \theta_j - h\,\hat m_j/\sqrt{\hat v_j + \varepsilon}

    Parameters
    ----------
    beta, rho
        Decays of the average of the gradient and of its square (often called beta_1 and beta_2).
    epsilon
        Stability constant, in units of the squared gradient inside the root and of the gradient
        outside.
    epsilon_inside
        The Adam paper's convention :math:`\sqrt{\hat v + \varepsilon}` if True; Kingma and Ba's
        :math:`\sqrt{\hat v} + \varepsilon` if False.
    bias_correction
        Whether :math:`\hat m = m/(1-\beta^{n+1})` and likewise :math:`\hat v`, or :math:`m` and
        :math:`v` themselves.

    Each of beta, rho, epsilon may be a number, an array of shape (batch,) for many settings at
    once, or a SymPy symbol.

    Raises ValueError if ``beta`` or ``rho`` is not in [0, 1) or ``epsilon`` is negative.

    Source: Kingma and Ba (2015), Algorithm 1; Cattaneo, Klusowski and Shigida (2024).

    Examples
    --------
    >>> adam(beta=0.9, rho=0.99, epsilon=1e-8)
    adam(beta=0.9, rho=0.99, epsilon=1e-08, epsilon_inside=True, bias_correction=True)
    """
    beta, rho = _decay("beta", beta), _decay("rho", rho)
    epsilon = _stability("epsilon", epsilon)
    memory = (Average(identity, beta), Average(square, rho))
    update = _adaptive(epsilon, epsilon_inside)
    given = {"beta": beta, "rho": rho, "epsilon": epsilon}
    conventions = {
        "epsilon_inside": epsilon_inside,
        "bias_correction": _flag("bias_correction", bias_correction),
    }
    return Optimizer(adam, given, conventions, memory, update, bias_correction)


def _adaptive(epsilon, inside):
    """The update of RMSProp and Adam: m / sqrt(v + epsilon) or m / (sqrt(v) + epsilon)."""
    if _flag("epsilon_inside", inside):
        return lambda m, v: m / _sqrt(v + epsilon)
    return lambda m, v: m / (_sqrt(v) + epsilon)


def _sqrt(x):
    return sp.sqrt(x) if isinstance(x, sp.Basic) else np.sqrt(x)


# --- what a hyper-parameter may be --------------------------------------------------------------


def _flag(name, value):
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} = {value!r} must be True or False")
    return bool(value)


def _decay(name, value):
    return _hyperparameter(name, value, lambda v: (v >= 0) & (v < 1), "in [0, 1)")


def _stability(name, value):
    return _hyperparameter(
        name, value, lambda v: (v >= 0) & np.isfinite(v), "finite and not negative"
    )


def _hyperparameter(name, value, allowed, range_in_words):
    wrong_kind = TypeError(
        f"{name} = {value!r} must be a real number, a one-dimensional array of them "
        "or a SymPy expression"
    )
    if isinstance(value, Fraction):
        value = sp.Rational(value.numerator, value.denominator)
    if isinstance(value, sp.Basic):
        if not isinstance(value, sp.Expr) or value.is_extended_real is False:
            raise wrong_kind
        if value.is_number and not allowed(float(value)):
            raise ValueError(f"{name} = {value} must be {range_in_words}")
        return value
    if isinstance(value, bool) or not isinstance(value, (Real, np.ndarray, list, tuple)):
        raise wrong_kind
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim > 1 or array.size == 0:
        raise wrong_kind
    wrong = ~allowed(array.astype(float))
    if np.any(wrong):
        raise ValueError(
            f"{name} = {np.atleast_1d(array)[np.atleast_1d(wrong)][0]} must be {range_in_words}"
        )
    if array.ndim == 0:
        return float(array)
    array = array.astype(float)
    array.flags.writeable = False
    return array
