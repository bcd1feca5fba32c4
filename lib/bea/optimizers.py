r"""The optimizers of the book, each a program of a few lines.

.. math:: \theta^{(n+1)} = \theta^{(n)} - h\,U

Nothing is used here that is not available to a reader's own program; see :mod:`bea.program`.
A hyper-parameter is a number, an array (batch,) of them for many configurations at once, or a SymPy
expression.
"""

from __future__ import annotations

import numpy as np

from bea.program import Decay, NonNegative, optimizer

__all__ = ["adam", "adamw", "gradient_descent", "heavy_ball", "lion", "nadam", "nesterov", "rmsprop", "signum"]


@optimizer
def gradient_descent(theta, gradient, memory):
    r"""Gradient descent, :math:`\theta \leftarrow \theta - h\nabla E(\theta)`.

    It is the explicit Euler method for gradient flow.

    Returns
    -------
    Optimizer

    Examples
    --------
    >>> gradient_descent()
    gradient_descent()
    """
    return gradient(theta)


@optimizer
def heavy_ball(theta, gradient, memory, beta: Decay, *, damped=False):
    r"""Polyak's heavy ball, started from :math:`m = 0`.

    .. math:: m \leftarrow \beta m + c\,\nabla E(\theta), \qquad \theta \leftarrow \theta - h m

    Parameters
    ----------
    beta : Decay, in [0, 1)
        Decay of the average of the gradient.
    damped : bool
        If False, :math:`c = 1`: PyTorch's SGD with momentum, the same as :math:`\theta^{(n+1)} =
        \theta^{(n)} - h\nabla E(\theta^{(n)}) + \beta(\theta^{(n)} - \theta^{(n-1)})`.  If True,
        :math:`c = 1-\beta`: an average of gradients, as in Adam's numerator.

    Returns
    -------
    Optimizer

    References
    ----------
    Polyak (1964).

    Examples
    --------
    >>> heavy_ball(0.9)
    heavy_ball(beta=0.9, damped=False)
    """
    m = memory.average(gradient(theta), beta)
    return m if damped else m / (1 - beta)


@optimizer
def nesterov(theta, gradient, memory, beta: Decay):
    r"""Nesterov's momentum in PyTorch's form.

    .. math:: b \leftarrow \beta b + \nabla E(\theta), \qquad
              \theta \leftarrow \theta - h(\nabla E(\theta) + \beta b)

    The iterates are the points at which the gradient is taken.  No factor :math:`1-\beta`.

    Parameters
    ----------
    beta : Decay, in [0, 1)
        Decay of the sum of gradients.

    Returns
    -------
    Optimizer

    References
    ----------
    Sutskever et al. (2013), equations (3) and (4); PyTorch's ``torch.optim.SGD`` with
    ``nesterov=True``.

    Examples
    --------
    >>> nesterov(0.9)
    nesterov(beta=0.9)
    """
    g = gradient(theta)
    b = memory.average(g, beta) / (1 - beta)
    return g + beta * b


@optimizer
def rmsprop(theta, gradient, memory, rho: Decay, epsilon: NonNegative, *, epsilon_inside=True, bias_correction=False):
    r"""RMSProp, with :math:`v` the average of squared gradients.

    .. math:: \theta_j \leftarrow \theta_j - h\,\partial_j E/\sqrt{v_j + \varepsilon}

    Parameters
    ----------
    rho : Decay, in [0, 1)
        Decay of the average of the squared gradient.
    epsilon : NonNegative
        Stability constant, in units of the squared gradient inside the root and of the gradient
        outside.
    epsilon_inside : bool
        If False, divide by :math:`\sqrt{v_j} + \varepsilon` instead.
    bias_correction : bool
        Whether to divide :math:`v` by :math:`1-\rho^{n+1}`.

    Returns
    -------
    Optimizer

    References
    ----------
    Tieleman and Hinton (2012), slide 29.

    Examples
    --------
    >>> rmsprop(rho=0.9, epsilon=1e-8)
    rmsprop(rho=0.9, epsilon=1e-08, epsilon_inside=True, bias_correction=False)
    """
    g = gradient(theta)
    v = memory.average(g**2, rho, corrected=bias_correction)
    return g / np.sqrt(v + epsilon) if epsilon_inside else g / (np.sqrt(v) + epsilon)


@optimizer
def adam(
    theta, gradient, memory, beta: Decay, rho: Decay, epsilon: NonNegative, *, epsilon_inside=True, bias_correction=True
):
    r"""Adam, with :math:`\hat m` and :math:`\hat v` the averages of gradients and of their squares.

    .. math:: \theta_j \leftarrow \theta_j - h\,\hat m_j/\sqrt{\hat v_j + \varepsilon}

    Parameters
    ----------
    beta, rho : Decay, in [0, 1)
        Decays of the average of the gradient and of its square (often called beta_1 and beta_2).
    epsilon : NonNegative
        Stability constant, in units of the squared gradient inside the root and of the gradient
        outside.
    epsilon_inside : bool
        The Adam paper's convention :math:`\sqrt{\hat v + \varepsilon}` if True; Kingma and Ba's
        :math:`\sqrt{\hat v} + \varepsilon` if False.
    bias_correction : bool
        Whether :math:`\hat m = m/(1-\beta^{n+1})` and likewise :math:`\hat v`, or :math:`m` and
        :math:`v` themselves.

    Returns
    -------
    Optimizer

    References
    ----------
    Kingma and Ba (2015), Algorithm 1; Cattaneo, Klusowski and Shigida (2024).

    Examples
    --------
    >>> adam(beta=0.9, rho=0.99, epsilon=1e-8)
    adam(beta=0.9, rho=0.99, epsilon=1e-08, epsilon_inside=True, bias_correction=True)
    """
    g = gradient(theta)
    m = memory.average(g, beta, corrected=bias_correction)
    v = memory.average(g**2, rho, corrected=bias_correction)
    return m / np.sqrt(v + epsilon) if epsilon_inside else m / (np.sqrt(v) + epsilon)


@optimizer
def adamw(
    theta, gradient, memory, beta: Decay, rho: Decay, epsilon: NonNegative, weight_decay: NonNegative,
    *, epsilon_inside=True, bias_correction=True,
):  # fmt: skip
    r"""AdamW: Adam with decoupled weight decay.

    .. math:: \theta_j \leftarrow \theta_j - h\,\bigl(\hat m_j/\sqrt{\hat v_j + \varepsilon} +
              \lambda\theta_j\bigr)

    The weight decay is multiplied by h, as in PyTorch; the paper scales it by the schedule
    multiplier only.

    Parameters
    ----------
    beta, rho : Decay, in [0, 1)
        Decays of the average of the gradient and of its square.
    epsilon : NonNegative
        Stability constant, as for :func:`adam`.
    weight_decay : NonNegative
        The number :math:`\lambda`.
    epsilon_inside, bias_correction : bool
        As for :func:`adam`.

    Returns
    -------
    Optimizer

    References
    ----------
    Loshchilov and Hutter (2019), Algorithm 2.

    Examples
    --------
    >>> adamw(beta=0.9, rho=0.99, epsilon=1e-8, weight_decay=0.5).hyperparameters["weight_decay"]
    0.5
    """
    g = gradient(theta)
    m = memory.average(g, beta, corrected=bias_correction)
    v = memory.average(g**2, rho, corrected=bias_correction)
    step = m / np.sqrt(v + epsilon) if epsilon_inside else m / (np.sqrt(v) + epsilon)
    return step + weight_decay * theta


@optimizer
def nadam(theta, gradient, memory, beta: Decay, rho: Decay, epsilon: NonNegative, *, bias_correction=True):
    r"""NAdam: Adam with Nesterov's look ahead in the numerator, :math:`\varepsilon` inside the root.

    .. math:: \theta_j \leftarrow \theta_j - h\,\frac{\beta\hat m_j + (1-\beta)\,\partial_j E}
              {\sqrt{\hat v_j + \varepsilon}}

    Both averages are corrected with the weights of the present step, and the gradient is not
    corrected.  The paper corrects the first average with the weights of the next step, divides the
    gradient by :math:`1-\beta^{n+1}`, and lets :math:`\beta` grow; this makes no difference in the
    steady state.

    Parameters
    ----------
    beta, rho : Decay, in [0, 1)
        Decays of the average of the gradient and of its square.
    epsilon : NonNegative
        Stability constant, in units of the squared gradient.
    bias_correction : bool
        As for :func:`adam`.

    Returns
    -------
    Optimizer

    References
    ----------
    Dozat (2016), Algorithm 2.

    Examples
    --------
    >>> nadam(beta=0.9, rho=0.99, epsilon=1e-8)
    nadam(beta=0.9, rho=0.99, epsilon=1e-08, bias_correction=True)
    """
    g = gradient(theta)
    m = memory.average(g, beta, corrected=bias_correction)
    v = memory.average(g**2, rho, corrected=bias_correction)
    return (beta * m + (1 - beta) * g) / np.sqrt(v + epsilon)


@optimizer
def signum(theta, gradient, memory, beta: Decay, epsilon: NonNegative):
    r"""Signum: the sign of an average of gradients, :math:`m/\sqrt{m^2 + \varepsilon}`.

    Parameters
    ----------
    beta : Decay, in [0, 1)
        Decay of the average of the gradient.
    epsilon : NonNegative
        With 0 it is the sign itself; a positive one makes it smooth, as the modified equation needs
        where a coordinate of the gradient changes sign.

    Returns
    -------
    Optimizer

    References
    ----------
    Bernstein et al. (2018), Algorithm 2, with the sign made smooth.

    Examples
    --------
    >>> signum(beta=0.9, epsilon=0.0)
    signum(beta=0.9, epsilon=0.0)
    """
    m = memory.average(gradient(theta), beta)
    return smooth_sign(m, epsilon)


@optimizer
def lion(theta, gradient, memory, beta_1: Decay, beta_2: Decay, epsilon: NonNegative, weight_decay: NonNegative = 0.0):
    r"""Lion: the sign of a mixture of the present gradient and an older average, made smooth.

    .. math:: c = \beta_1 m + (1-\beta_1)\nabla E, \quad
              \theta_j \leftarrow \theta_j - h\,\bigl(c_j/\sqrt{c_j^2 + \varepsilon} +
              \lambda\theta_j\bigr), \quad m \leftarrow \beta_2 m + (1-\beta_2)\nabla E

    Lion looks at m before it takes in the present gradient.

    Parameters
    ----------
    beta_1 : Decay, in [0, 1)
        Weight of the older average in the mixture.
    beta_2 : Decay, in [0, 1)
        Decay of the average.
    epsilon : NonNegative
        As for :func:`signum`; 0 is the paper's.
    weight_decay : NonNegative
        The number :math:`\lambda`.

    Returns
    -------
    Optimizer

    References
    ----------
    Chen et al. (2023), Algorithm 2.

    Examples
    --------
    >>> lion(beta_1=0.9, beta_2=0.99, epsilon=0.0)
    lion(beta_1=0.9, beta_2=0.99, epsilon=0.0, weight_decay=0.0)
    """
    g = gradient(theta)
    m = memory.previous(memory.average(g, beta_2))
    c = beta_1 * m + (1 - beta_1) * g
    return smooth_sign(c, epsilon) + weight_decay * theta


def smooth_sign(x, epsilon):
    r"""Return :math:`x/\sqrt{x^2 + \varepsilon}`, and the sign of x itself for :math:`\varepsilon = 0`.

    Parameters
    ----------
    x : array or Series
    epsilon : number, or array (batch,)

    Returns
    -------
    array or Series, of the shape of `x`

    Examples
    --------
    >>> smooth_sign(np.array([-2.0, 0.0, 3.0]), 0.0).tolist()
    [-1.0, 0.0, 1.0]
    """
    if np.ndim(epsilon):  # a batch, in which some may be zero
        zero = epsilon == 0
        smooth = x / np.sqrt(x**2 + np.where(zero, 1.0, epsilon))
        return np.where(zero, np.sign(np.where(zero, x, 1.0)), smooth)
    return np.sign(x) if epsilon == 0 else x / np.sqrt(x**2 + epsilon)
