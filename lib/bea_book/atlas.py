r"""An atlas of optimizers: programs of a few lines, beside the ten of :mod:`bea.optimizers`.

Each is written with nothing but NumPy and the memory that a reader's own program has.  Matrices are
read from the vector of parameters by a ``shape``; decays and constants have the papers' roles, with
the names of this book.  Chapter 16 says what each of them penalizes.

Some well-known methods are absent.  AMSGrad's maximum and Adagrad's sum never forget: they are slow
coordinates, not memory.  Lookahead does something else every k steps, so that only k steps together are
one map.  Yogi takes the sign of a difference that vanishes to leading order, by which the engine decides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import bea
from bea import Decay, NonNegative

__all__ = [
    "adabelief",
    "adafactor",
    "adam_warmup_cosine",
    "adam_with_groups",
    "adam_with_l2",
    "adan",
    "ademamix",
    "centred_rmsprop",
    "clipped_momentum",
    "inverse_fourth_root",
    "lamb",
    "lars",
    "muon",
    "newton_schulz",
    "normalized_momentum",
    "p_norm_descent",
    "polar",
    "rmsprop_momentum",
    "sam",
    "shampoo",
    "tensorflow_adam",
]


@bea.optimizer
def adabelief(theta: Any, gradient: Any, memory: Any, beta: Decay, rho: Decay, epsilon: NonNegative) -> Any:
    r"""AdaBelief: divide by how far the gradient is from its own average.

    Parameters
    ----------
    beta : float in [0, 1)
        Decay of the average of the gradients.
    rho : float in [0, 1)
        Decay of the average of the squared distances from that average.
    epsilon : float, not negative
        The constant under the root, in units of the squared gradient.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Zhuang et al. (2020), Algorithm 1.

    Examples
    --------
    >>> adabelief(0.9, 0.999, 1e-8)
    adabelief(beta=0.9, rho=0.999, epsilon=1e-08)
    """
    g = gradient(theta)
    m = memory.average(g, beta, corrected=True)
    uncorrected = memory.average(g, beta)
    s = memory.average((g - uncorrected) ** 2, rho, corrected=True)
    return m / np.sqrt(s + epsilon)


@bea.optimizer
def adan(
    theta: Any,
    gradient: Any,
    memory: Any,
    beta_1: Decay,
    beta_2: Decay,
    beta_3: Decay,
    epsilon: NonNegative,
) -> Any:
    r"""Adan: averages of the gradient, of its change, and of the square of both together.

    Parameters
    ----------
    beta_1 : float in [0, 1)
        Decay of the average of the gradients.
    beta_2 : float in [0, 1)
        Decay of the average of their changes from step to step; also the weight of these changes.
    beta_3 : float in [0, 1)
        Decay of the average of the squares.
    epsilon : float, not negative
        The constant under the root, in units of the squared gradient.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Xie et al. (2022), Algorithm 1, with decays in the role of one minus theirs.

    Examples
    --------
    >>> adan(0.98, 0.92, 0.99, 1e-8).name
    'adan'
    """
    g = gradient(theta)
    change = g - memory.previous(g, start=g)
    m = memory.average(g, beta_1, corrected=True)
    v = memory.average(change, beta_2, corrected=True)
    n = memory.average((g + beta_2 * change) ** 2, beta_3, corrected=True)
    return (m + beta_2 * v) / np.sqrt(n + epsilon)


@bea.optimizer
def adafactor(theta: Any, gradient: Any, memory: Any, rho: Decay, epsilon: NonNegative, shape: tuple[int, int]) -> Any:
    r"""The second moment of Adafactor: the mean square of rows times that of columns.

    Parameters
    ----------
    rho : float in [0, 1)
        Decay of the mean squares of rows and of columns.
    epsilon : float, not negative
        The constant added to every squared gradient.
    shape : tuple of int
        Rows and columns of the matrix of parameters.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Shazeer and Stern (2018), Algorithm 4, with a constant decay and without clipping.

    Examples
    --------
    >>> adafactor(0.99, 1e-30, (2, 3)).hyperparameters["shape"]
    (2, 3)
    """
    g = gradient(theta).reshape(shape)
    square = g**2 + epsilon
    rows = memory.average(square.mean(axis=1), rho)
    columns = memory.average(square.mean(axis=0), rho)
    v = rows[:, None] * columns[None, :] / rows.mean()
    return (g / np.sqrt(v)).reshape(-1)


@bea.optimizer
def lamb(
    theta: Any,
    gradient: Any,
    memory: Any,
    beta: Decay,
    rho: Decay,
    epsilon: NonNegative,
    weight_decay: NonNegative = 0.0,
) -> Any:
    r"""LAMB for one layer: Adam's step, as long as the parameters are.

    Parameters
    ----------
    beta : float in [0, 1)
        Decay of the average of the gradients.
    rho : float in [0, 1)
        Decay of the average of their squares.
    epsilon : float, not negative
        The constant beside the root, in units of the gradient.
    weight_decay : float, not negative
        This multiple of the parameters is added to Adam's step.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    You et al. (2020), Algorithm 2, with the identity for their function phi.

    Examples
    --------
    >>> lamb(0.9, 0.999, 1e-6).name
    'lamb'
    """
    g = gradient(theta)
    m = memory.average(g, beta, corrected=True)
    v = memory.average(g**2, rho, corrected=True)
    step = m / (np.sqrt(v) + epsilon) + weight_decay * theta
    return step * np.linalg.norm(theta) / np.linalg.norm(step)


@bea.optimizer
def lars(theta: Any, gradient: Any, memory: Any, beta: Decay, weight_decay: NonNegative = 0.0) -> Any:
    r"""LARS for one layer: momentum of gradients that are as long as the parameters are.

    Parameters
    ----------
    beta : float in [0, 1)
        Decay of the average of the gradients.
    weight_decay : float, not negative
        This multiple of the parameters is added to the gradient.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    You, Gitman and Ginsburg (2017), Algorithm 1.

    Examples
    --------
    >>> lars(0.9).name
    'lars'
    """
    g = gradient(theta) + weight_decay * theta
    m = memory.average(g * np.linalg.norm(theta) / np.linalg.norm(g), beta)
    return m / (1 - beta)


@bea.optimizer
def muon(
    theta: Any,
    gradient: Any,
    memory: Any,
    beta: Decay,
    shape: tuple[int, int],
    *,
    exact: bool = False,
) -> Any:
    r"""Muon: the polar factor of an average of matrix gradients.

    Parameters
    ----------
    beta : float in [0, 1)
        Decay of the average of the gradients.
    shape : tuple of int
        Rows and columns of the matrix of parameters.
    exact : bool
        Whether to make as many Newton--Schulz steps as the polar factor needs, or five of them, as
        the method is used.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Jordan et al. (2024), without Nesterov's look ahead.

    Examples
    --------
    >>> muon(0.95, (2, 3)).hyperparameters["exact"]
    False
    """
    m = memory.average(gradient(theta).reshape(shape), beta)
    return (polar(m) if exact else newton_schulz(m)).reshape(-1)


def newton_schulz(matrix: Any) -> Any:
    r"""Return Muon's approximate polar factor: five steps of an odd polynomial of degree five.

    Parameters
    ----------
    matrix : array (rows, columns), or a Series of such values

    Returns
    -------
    array, or Series, of the same shape

    References
    ----------
    Jordan et al. (2024), with their coefficients.

    Examples
    --------
    >>> np.linalg.svd(newton_schulz(np.diag([1.0, 0.5])))[1].round(1).tolist()
    [1.1, 0.7]
    """
    x = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x


def polar(matrix: Any, steps: int = 24) -> Any:
    r"""Return the polar factor :math:`UV^T` of a matrix :math:`U\Sigma V^T` of full rank.

    By the cubic Newton--Schulz iteration :math:`X \leftarrow \tfrac12(3X - XX^TX)`.

    Parameters
    ----------
    matrix : array (rows, columns), or a Series of such values
    steps : int
        Enough for condition numbers up to a thousand.

    Returns
    -------
    array, or Series, of the same shape

    References
    ----------
    Higham, *Functions of Matrices* (2008), section 8.3.

    Examples
    --------
    >>> polar(np.array([[0.0, 2.0], [-3.0, 0.0]])).round(12).tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    x = matrix / np.linalg.norm(matrix)
    for _ in range(steps):
        x = 1.5 * x - 0.5 * (x @ x.T @ x)
    return x


@bea.optimizer
def shampoo(theta: Any, gradient: Any, memory: Any, rho: Decay, epsilon: NonNegative, shape: tuple[int, int]) -> Any:
    r"""Shampoo with exponential statistics: :math:`L^{-1/4}\,G\,R^{-1/4}` for a matrix gradient G.

    Parameters
    ----------
    rho : float in [0, 1)
        Decay of the averages of :math:`GG^T` and :math:`G^TG`.
    epsilon : float, not negative
        This multiple of the identity is added to both averages.
    shape : tuple of int
        Rows and columns of the matrix of parameters.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Gupta, Koren and Singer (2018), Algorithm 1, with averages instead of sums.

    Examples
    --------
    >>> shampoo(0.99, 1e-4, (2, 2)).name
    'shampoo'
    """
    g = gradient(theta).reshape(shape)
    left = memory.average(g @ g.T, rho) + epsilon * np.eye(shape[0])
    right = memory.average(g.T @ g, rho) + epsilon * np.eye(shape[1])
    return (inverse_fourth_root(left) @ g @ inverse_fourth_root(right)).reshape(-1)


def inverse_fourth_root(matrix: Any, steps: int = 16) -> Any:
    r"""Return the inverse fourth root of a symmetric positive definite matrix, by the coupled Newton iteration.

    Parameters
    ----------
    matrix : array (n, n), or a Series of such values
    steps : int
        Enough for condition numbers up to ten thousand.

    Returns
    -------
    array, or Series, of the same shape

    References
    ----------
    Higham, *Functions of Matrices* (2008), section 7.3.

    Examples
    --------
    >>> inverse_fourth_root(np.diag([16.0, 1.0])).round(12).tolist()
    [[0.5, 0.0], [0.0, 1.0]]
    """
    one = np.eye(matrix.shape[0])
    size = np.linalg.norm(matrix)
    x, m = one / size**0.25, matrix / size
    for _ in range(steps):
        t = (5 * one - m) / 4
        x, m = x @ t, t @ t @ t @ t @ m
    return x


@bea.optimizer
def sam(theta: Any, gradient: Any, memory: Any, radius: NonNegative) -> Any:
    r"""Sharpness-aware minimization: the gradient at a distance ``radius`` uphill.

    Parameters
    ----------
    radius : float, not negative
        How far uphill the gradient is taken.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Foret et al. (2021), Algorithm 1.

    Examples
    --------
    >>> sam(0.05).name
    'sam'
    """
    g = gradient(theta)
    return gradient(theta + radius * g / np.linalg.norm(g))


@bea.optimizer
def rmsprop_momentum(theta: Any, gradient: Any, memory: Any, beta: Decay, rho: Decay, epsilon: NonNegative) -> Any:
    r"""RMSProp with momentum: an average of an average, as in PyTorch (without the factor 1 - beta).

    Parameters
    ----------
    beta : float in [0, 1)
        Decay of the momentum.
    rho : float in [0, 1)
        Decay of the average of the squared gradients.
    epsilon : float, not negative
        The constant beside the root, in units of the gradient.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    PyTorch's ``torch.optim.RMSprop`` with its argument ``momentum``.

    Examples
    --------
    >>> rmsprop_momentum(0.9, 0.99, 1e-8).name
    'rmsprop_momentum'
    """
    g = gradient(theta)
    v = memory.average(g**2, rho)
    return memory.average(g / (np.sqrt(v) + epsilon), beta) / (1 - beta)


@bea.optimizer
def centred_rmsprop(theta: Any, gradient: Any, memory: Any, rho: Decay, epsilon: NonNegative) -> Any:
    r"""Centred RMSProp: divide by the standard deviation of the gradient instead of its root mean square.

    Parameters
    ----------
    rho : float in [0, 1)
        Decay of the averages of the gradients and of their squares.
    epsilon : float, not negative
        The constant under the root, in units of the squared gradient.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Graves (2013), equations 38 to 40.

    Examples
    --------
    >>> centred_rmsprop(0.99, 1e-4).name
    'centred_rmsprop'
    """
    g = gradient(theta)
    mean, square = memory.average(g, rho), memory.average(g**2, rho)
    return g / np.sqrt(square - mean**2 + epsilon)


@bea.optimizer
def ademamix(
    theta: Any,
    gradient: Any,
    memory: Any,
    beta: Decay,
    slow: Decay,
    alpha: NonNegative,
    rho: Decay,
    epsilon: NonNegative,
) -> Any:
    r"""AdEMAMix: Adam with a second, slower average in the numerator.

    Parameters
    ----------
    beta : float in [0, 1)
        Decay of the fast average of the gradients.
    slow : float in [0, 1)
        Decay of the slow one.
    alpha : float, not negative
        The weight of the slow one.
    rho : float in [0, 1)
        Decay of the average of the squared gradients.
    epsilon : float, not negative
        The constant beside the root, in units of the gradient.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Pagliardini, Ablin and Grangier (2024), Algorithm 1, without schedulers.

    Examples
    --------
    >>> ademamix(0.9, 0.9999, 5.0, 0.999, 1e-8).name
    'ademamix'
    """
    g = gradient(theta)
    fast = memory.average(g, beta, corrected=True)
    v = memory.average(g**2, rho, corrected=True)
    return (fast + alpha * memory.average(g, slow)) / (np.sqrt(v) + epsilon)


@bea.optimizer
def adam_warmup_cosine(
    theta: Any,
    gradient: Any,
    memory: Any,
    beta: Decay,
    rho: Decay,
    epsilon: NonNegative,
    warmup: NonNegative,
    horizon: NonNegative,
) -> Any:
    r"""Adam whose step size rises linearly until the time ``warmup`` and falls like a cosine until ``horizon``.

    The schedule is a function of the time h * step, so that it stays the same when h is changed.

    Parameters
    ----------
    beta : float in [0, 1)
        Decay of the average of the gradients.
    rho : float in [0, 1)
        Decay of the average of their squares.
    epsilon : float, not negative
        The constant under the root, in units of the squared gradient.
    warmup : float, not negative
        The time at which the step size is largest; not zero.
    horizon : float, not negative
        The time at which the step size is zero; later than ``warmup``.  End the run there: after it the
        cosine rises again.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Loshchilov and Hutter (2017) for the cosine.

    Examples
    --------
    >>> adam_warmup_cosine(0.9, 0.999, 1e-8, 0.1, 1.0).name
    'adam_warmup_cosine'
    """
    g = gradient(theta)
    m = memory.average(g, beta, corrected=True)
    v = memory.average(g**2, rho, corrected=True)
    rise = memory.time / warmup
    fall = 0.5 + 0.5 * np.cos(np.pi * (memory.time - warmup) / (horizon - warmup))
    return np.where(memory.time < warmup, rise, fall) * m / np.sqrt(v + epsilon)


@bea.optimizer
def adam_with_l2(
    theta: Any,
    gradient: Any,
    memory: Any,
    beta: Decay,
    rho: Decay,
    epsilon: NonNegative,
    weight_decay: NonNegative,
) -> Any:
    r"""Adam with the weight decay in the gradient, as PyTorch's ``Adam`` has it, not decoupled.

    Parameters
    ----------
    beta : float in [0, 1)
        Decay of the average of the gradients.
    rho : float in [0, 1)
        Decay of the average of their squares.
    epsilon : float, not negative
        The constant beside the root, in units of the gradient.
    weight_decay : float, not negative
        This multiple of the parameters is added to the gradient.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Loshchilov and Hutter (2019), Algorithm 2, with L2 regularization.

    Examples
    --------
    >>> adam_with_l2(0.9, 0.999, 1e-8, 0.01).name
    'adam_with_l2'
    """
    g = gradient(theta) + weight_decay * theta
    m = memory.average(g, beta, corrected=True)
    v = memory.average(g**2, rho, corrected=True)
    return m / (np.sqrt(v) + epsilon)


@bea.optimizer
def adam_with_groups(
    theta: Any,
    gradient: Any,
    memory: Any,
    first: int,
    beta: Decay,
    rho: Decay,
    epsilon: NonNegative,
    factor: NonNegative,
) -> Any:
    r"""Two groups of parameters: Adam for the ``first`` ones, gradient descent with a step size of its own for the rest.

    Parameters
    ----------
    first : int
        How many parameters, from the first on, are Adam's.
    beta : float in [0, 1)
        Decay of the average of the gradients.
    rho : float in [0, 1)
        Decay of the average of their squares.
    epsilon : float, not negative
        The constant under the root, in units of the squared gradient.
    factor : float, not negative
        The step size of gradient descent, in units of Adam's.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    PyTorch's parameter groups, each with a step size ``lr`` of its own.

    Examples
    --------
    >>> adam_with_groups(1, 0.9, 0.999, 1e-8, 10.0).name
    'adam_with_groups'
    """
    g = gradient(theta)
    m = memory.average(g[:first], beta, corrected=True)
    v = memory.average(g[:first] ** 2, rho, corrected=True)
    return np.concatenate([m / np.sqrt(v + epsilon), factor * g[first:]])


@bea.optimizer
def clipped_momentum(theta: Any, gradient: Any, memory: Any, beta: Decay, largest: NonNegative) -> Any:
    r"""Momentum of gradients that are clipped by their norm.

    Where the norm passes ``largest`` the clipping has a kink, and the expansion ends.

    Parameters
    ----------
    beta : float in [0, 1)
        Decay of the average of the clipped gradients.
    largest : float, not negative
        The largest norm of a gradient that is not clipped.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Pascanu, Mikolov and Bengio (2013), Algorithm 1, for the clipping.

    Examples
    --------
    >>> clipped_momentum(0.9, 1.0).name
    'clipped_momentum'
    """
    g = gradient(theta)
    return memory.average(g * np.minimum(1.0, largest / np.linalg.norm(g)), beta) / (1 - beta)


@bea.optimizer
def normalized_momentum(theta: Any, gradient: Any, memory: Any, beta: Decay) -> Any:
    r"""Steepest descent in the two-norm: an average of gradients, at length one.

    Parameters
    ----------
    beta : float in [0, 1)
        Decay of the average of the gradients.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Cutkosky and Mehta (2020).

    Examples
    --------
    >>> normalized_momentum(0.9).name
    'normalized_momentum'
    """
    m = memory.average(gradient(theta), beta)
    return m / np.linalg.norm(m)


@bea.optimizer
def p_norm_descent(theta: Any, gradient: Any, memory: Any, beta: Decay, p: NonNegative) -> Any:
    r"""Steepest descent in a dual norm: the gradient of :math:`\lVert m \rVert_p` for an average m.

    Parameters
    ----------
    beta : float in [0, 1)
        Decay of the average of the gradients.
    p : float, not negative
        The norm's exponent, larger than one.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Boyd and Vandenberghe (2004), section 9.4.

    Examples
    --------
    >>> p_norm_descent(0.9, 4.0).name
    'p_norm_descent'
    """
    m = memory.average(gradient(theta), beta)
    size = np.abs(m)
    return np.sign(m) * size ** (p - 1) / np.sum(size**p) ** (1 - 1 / p)


@bea.optimizer
def tensorflow_adam(theta: Any, gradient: Any, memory: Any, beta: Decay, rho: Decay, epsilon_hat: NonNegative) -> Any:
    r"""Adam with the constant beside the uncorrected root, Kingma and Ba's "epsilon hat".

    Parameters
    ----------
    beta : float in [0, 1)
        Decay of the average of the gradients.
    rho : float in [0, 1)
        Decay of the average of their squares.
    epsilon_hat : float, not negative
        The constant beside the root of the uncorrected average, in units of the gradient.

    Returns
    -------
    bea.Optimizer

    References
    ----------
    Kingma and Ba (2015), section 2; TensorFlow's ``Adam``.

    Examples
    --------
    >>> tensorflow_adam(0.9, 0.999, 1e-8).name
    'tensorflow_adam'
    """
    g = gradient(theta)
    m = memory.average(g, beta, corrected=True)
    v = memory.average(g**2, rho)
    one = memory.average(1.0 + 0 * g, rho)
    return m * np.sqrt(one) / (np.sqrt(v) + epsilon_hat)
