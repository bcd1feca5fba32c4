r"""Each optimizer once: the averages it keeps, and a memoryless formula for the step.

Every optimizer here makes the step

.. math:: \theta^{(n+1)} = \theta^{(n)} - h\, \bigl(U(m_1^{(n)}, m_2^{(n)}, \dots) +
          \lambda\,\theta^{(n)}\bigr),

where the :math:`m_i` are exponential averages (:class:`bea.averages.Average`) of functions of the
gradient, all taken *including* the gradient at step n, and :math:`U` is a formula that acts
coordinate by coordinate and remembers nothing; :math:`\lambda` is a weight decay, 0 in most of them. The formula runs alike on floats, on arrays, on
:class:`bea.series.Series` and on SymPy expressions: from this one definition the algorithm, its
modified equation and their check all follow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Real

import numpy as np
import sympy as sp

from bea.averages import Average, identity, square

__all__ = [
    "Optimizer",
    "adam",
    "adamw",
    "gradient_descent",
    "heavy_ball",
    "lion",
    "nadam",
    "nesterov",
    "rmsprop",
    "signum",
]


@dataclass(frozen=True)
class Optimizer:
    r"""An optimizer with exponential memory.

    Attributes
    ----------
    constructor : the function that made it
    hyperparameters : mapping from name to value, as they were given
    conventions : mapping from name to bool: the constructor's other arguments
    averages : tuple of Average
    update : function of one argument per average; returns U
    bias_correction : bool
        Whether each average is divided by 1 - decay^(n+1), so that its weights sum to one from the
        first step on.
    weight_decay : what :math:`\lambda\,\theta` is added to U with

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
    weight_decay: object = 0

    def step(self, theta, *averages):
        """What is multiplied by -h and added to ``theta``: the update and the weight decay."""
        update = self.update(*averages)
        if isinstance(self.weight_decay, int) and self.weight_decay == 0:
            return update
        return update + self.weight_decay * theta

    @property
    def name(self):
        """The name of its constructor."""
        return self.constructor.__name__

    def with_hyperparameters(self, **values):
        """The same optimizer with other hyper-parameters: numbers for symbols, or the reverse."""
        return self.constructor(**{**self.hyperparameters, **values}, **self.conventions)

    def __post_init__(self):
        lengths = {
            name: value.shape
            for name, value in self.hyperparameters.items()
            if isinstance(value, np.ndarray)
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
        """The shape of the settings, () for one and (batch,) if hyper-parameters are arrays."""
        arrays = [v for v in self.hyperparameters.values() if isinstance(v, np.ndarray)]
        return np.broadcast_shapes(*(array.shape for array in arrays)) if arrays else ()

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

    Each of beta, rho, epsilon may be a number, an array of shape (batch,) for many settings at
    once, or a SymPy symbol.
    Raises ValueError if ``beta`` or ``rho`` is not in [0, 1) or ``epsilon`` is negative.
    Source: Kingma and Ba (2015), Algorithm 1; Cattaneo, Klusowski and Shigida (2024).

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


def adamw(beta, rho, epsilon, weight_decay, *, epsilon_inside=True, bias_correction=True):
    r"""AdamW: Adam, whose parameters decay besides, untouched by its averages.

    .. math:: \theta_j \leftarrow \theta_j - h\,\bigl(\hat m_j/\sqrt{\hat v_j + \varepsilon} +
              \lambda\theta_j\bigr)

    ``weight_decay`` is :math:`\lambda`; PyTorch's and the paper's decay is multiplied by h, too.
    Raises ValueError if a decay is not in [0, 1), or ``epsilon`` or ``weight_decay`` is negative.

    Source: Loshchilov and Hutter (2019), Algorithm 2.

    Examples
    --------
    >>> adamw(beta=0.9, rho=0.99, epsilon=0.0, weight_decay=0.5).step(2.0, 3.0, 9.0).item()
    2.0
    """
    plain = adam(beta, rho, epsilon, epsilon_inside=epsilon_inside, bias_correction=bias_correction)
    decay = _stability("weight_decay", weight_decay)
    given = {**plain.hyperparameters, "weight_decay": decay}
    return replace(plain, constructor=adamw, hyperparameters=given, weight_decay=decay)


def nadam(beta, rho, epsilon, *, bias_correction=True):
    r"""NAdam: Adam with Nesterov's look ahead in the numerator, :math:`\varepsilon` inside the root.

    .. math:: \theta_j \leftarrow \theta_j - h\,\frac{\beta\hat m_j + (1-\beta)\,\partial_j E}
              {\sqrt{\hat v_j + \varepsilon}}

    Both averages are corrected with the present step's weights; Dozat (2016) corrects the
    first one with the next step's and lets :math:`\beta` grow, which a steady state does not see.
    Raises ValueError if ``beta`` or ``rho`` is not in [0, 1) or ``epsilon`` is negative.

    Examples
    --------
    >>> g = sp.Symbol("g", positive=True)
    >>> sp.simplify(nadam(sp.Symbol("beta"), sp.Symbol("rho"), 0).update(g, g, g**2))
    1
    """
    beta, rho = _decay("beta", beta), _decay("rho", rho)
    epsilon = _stability("epsilon", epsilon)
    memory = (Average(identity, 0), Average(identity, beta), Average(square, rho))
    given = {"beta": beta, "rho": rho, "epsilon": epsilon}
    conventions = {"bias_correction": _flag("bias_correction", bias_correction)}

    def update(g, m, v):
        return (beta * m + (1 - beta) * g) / _sqrt(v + epsilon)

    return Optimizer(nadam, given, conventions, memory, update, bias_correction)


def signum(beta, epsilon):
    r"""Signum: the sign of an average of gradients, :math:`m/\sqrt{m^2 + \varepsilon}`.

    With :math:`\varepsilon = 0` it is the sign itself; a positive one makes it smooth, as the
    modified equation needs where a coordinate of the gradient changes its sign.
    Raises ValueError if ``beta`` is not in [0, 1) or ``epsilon`` is negative.

    Source: Bernstein et al. (2018), with the sign made smooth.

    Examples
    --------
    >>> signum(beta=0.9, epsilon=0.0).update(-2.0).item()
    -1.0
    """
    beta, epsilon = _decay("beta", beta), _stability("epsilon", epsilon)
    given = {"beta": beta, "epsilon": epsilon}
    return Optimizer(signum, given, {}, (Average(identity, beta),), _smooth_sign(epsilon))


def lion(beta_1, beta_2, epsilon, weight_decay=0.0):
    r"""Lion: the sign of a mixture of the present gradient and an older average, made smooth.

    .. math:: c = \beta_1 m + (1-\beta_1)\nabla E, \quad
              \theta_j \leftarrow \theta_j - h\,\bigl(c_j/\sqrt{c_j^2 + \varepsilon} +
              \lambda\theta_j\bigr), \quad m \leftarrow \beta_2 m + (1-\beta_2)\nabla E

    Lion looks at m *before* it takes in the present gradient.  In terms of the m after that,
    :math:`c = (\beta_1/\beta_2)\,m + (1 - \beta_1/\beta_2)\nabla E`, which is how it is written here.
    Raises ValueError if ``beta_1`` is not in [0, 1), ``beta_2`` not in (0, 1), or ``epsilon`` or
    ``weight_decay`` is negative.

    Source: Chen et al. (2023), Algorithm 2; epsilon = 0 is theirs.

    Examples
    --------
    >>> lion(beta_1=0.9, beta_2=0.99, epsilon=0.0).update(1.0, -20.0).item()
    -1.0
    """
    beta_1, epsilon = _decay("beta_1", beta_1), _stability("epsilon", epsilon)
    beta_2 = _hyperparameter("beta_2", beta_2, lambda v: (v > 0) & (v < 1), "in (0, 1)")
    decay = _stability("weight_decay", weight_decay)
    given = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, "weight_decay": decay}
    memory = (Average(identity, 0), Average(identity, beta_2))
    sign = _smooth_sign(epsilon)

    def update(g, m):
        return sign(beta_1 / beta_2 * m + (1 - beta_1 / beta_2) * g)

    return Optimizer(lion, given, {}, memory, update, weight_decay=decay)


def _smooth_sign(epsilon):
    return lambda m: m / _sqrt(m * m + epsilon)


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
    if type(value) is float and allowed(value):
        return value  # nearly always; NumPy takes its time over one number
    if isinstance(value, Fraction):
        value = sp.Rational(value.numerator, value.denominator)
    if isinstance(value, sp.Expr) and value.is_extended_real is not False:
        if value.is_number and not allowed(float(value)):
            raise ValueError(f"{name} = {value} must be {range_in_words}")
        return value
    right_kind = isinstance(value, (Real, np.ndarray, list, tuple)) and not isinstance(
        value, (bool, sp.Basic, np.ma.MaskedArray)
    )
    array = np.asarray(value) if right_kind else None
    if not right_kind or array.dtype.kind not in "iuf" or array.ndim > 1 or array.size == 0:
        raise TypeError(
            f"{name} = {value!r} must be a real number, a one-dimensional array of them "
            "or a SymPy expression"
        )
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
