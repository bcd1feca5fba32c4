"""Independent implementations as oracles: PyTorch's and optax's optimizers walk the same path.  Skipped where they are not installed.

All in float64 from the same start, on the bilinear loss (gradients by their own automatic differentiation) and on logistic regression.
"""

import numpy as np
import pytest

import bea

START, STEPS, H = (0.9, 1.5), 50, 1e-2
BETA, RHO, EPSILON = 0.8, 0.95, 1e-3
PROBLEMS = {"bilinear": bea.bilinear(), "logistic": bea.logistic_regression()}


def torch_path(problem, make):
    """The iterates of a PyTorch optimizer; the loss rewritten in PyTorch, its gradient by ``backward``."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (make peers)")
    torch.set_num_threads(1)
    theta = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = make(torch, [theta])
    signed = None if problem == "bilinear" else torch.tensor(signed_features())
    path = [np.array(START)]
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (
            0.5 * (1.5 - 2 * theta[0] * theta[1]) ** 2
            if signed is None
            else torch.nn.functional.softplus(-(signed @ theta)).mean()
        )
        loss.backward()
        optimizer.step()
        path.append(theta.detach().numpy().copy())
    return np.array(path)


def signed_features():
    """y_i x_i of the data, read anew from scikit-learn."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer()
    return StandardScaler().fit_transform(data.data[:, :2]) * np.where(data.target == 1, 1.0, -1.0)[:, None]


def optax_path(problem, make):
    """The iterates of an optax optimizer, gradients by ``jax.grad``."""
    jax = pytest.importorskip("jax", reason="JAX is not installed (make peers)")
    optax = pytest.importorskip("optax", reason="optax is not installed (make peers)")
    with jax.enable_x64(True):
        signed = None if problem == "bilinear" else jax.numpy.array(signed_features())

        def loss(theta):
            return (
                0.5 * (1.5 - 2 * theta[0] * theta[1]) ** 2
                if signed is None
                else jax.numpy.logaddexp(0, -(signed @ theta)).mean()
            )

        theta = jax.numpy.array(START)
        optimizer, gradient = make(optax), jax.jit(jax.grad(loss))
        state, path = optimizer.init(theta), [np.array(START)]
        for _ in range(STEPS):
            change, state = optimizer.update(gradient(theta), state, theta)
            theta = optax.apply_updates(theta, change)
            path.append(np.array(theta))
    assert path[-1].dtype == np.float64
    return np.array(path)


TORCH = {
    "SGD": (bea.gradient_descent(), lambda torch, p: torch.optim.SGD(p, lr=H)),
    "SGD, momentum": (
        bea.heavy_ball(BETA),
        lambda torch, p: torch.optim.SGD(p, lr=H, momentum=BETA),
    ),
    "SGD, Nesterov": (
        bea.nesterov(BETA),
        lambda torch, p: torch.optim.SGD(p, lr=H, momentum=BETA, nesterov=True),
    ),
    "RMSprop": (
        bea.rmsprop(RHO, EPSILON, epsilon_inside=False),
        lambda torch, p: torch.optim.RMSprop(p, lr=H, alpha=RHO, eps=EPSILON),
    ),
    "Adam": (
        bea.adam(BETA, RHO, EPSILON, epsilon_inside=False),
        lambda torch, p: torch.optim.Adam(p, lr=H, betas=(BETA, RHO), eps=EPSILON),
    ),
}
OPTAX = {
    "sgd": (bea.gradient_descent(), lambda optax: optax.sgd(H)),
    "sgd, momentum": (bea.heavy_ball(BETA), lambda optax: optax.sgd(H, momentum=BETA)),
    "sgd, Nesterov": (bea.nesterov(BETA), lambda optax: optax.sgd(H, momentum=BETA, nesterov=True)),
    "ema": (
        bea.heavy_ball(BETA, damped=True),
        lambda optax: optax.chain(optax.ema(BETA, debias=False), optax.scale(-H)),
    ),
    "rmsprop, eps inside": (
        bea.rmsprop(RHO, EPSILON),
        lambda optax: optax.rmsprop(H, decay=RHO, eps=EPSILON),
    ),
    "rmsprop, eps outside": (
        bea.rmsprop(RHO, EPSILON, epsilon_inside=False),
        lambda optax: optax.rmsprop(H, decay=RHO, eps=EPSILON, eps_in_sqrt=False),
    ),
    "rmsprop, bias correction": (
        bea.rmsprop(RHO, EPSILON, bias_correction=True),
        lambda optax: optax.rmsprop(H, decay=RHO, eps=EPSILON, bias_correction=True),
    ),
    "adam, eps inside": (
        bea.adam(BETA, RHO, EPSILON),
        lambda optax: optax.adam(H, b1=BETA, b2=RHO, eps=0.0, eps_root=EPSILON),
    ),
    "adam, eps outside": (
        bea.adam(BETA, RHO, EPSILON, epsilon_inside=False),
        lambda optax: optax.adam(H, b1=BETA, b2=RHO, eps=EPSILON),
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", TORCH)
def test_pytorch_walks_the_same_path(name, problem):
    """50 steps of 0.01, beta 0.8, rho 0.95, eps 1e-3: equal to 1e-12."""
    optimizer, make = TORCH[name]
    np.testing.assert_allclose(
        bea.run(optimizer, PROBLEMS[problem], START, H, STEPS),
        torch_path(problem, make),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", OPTAX)
def test_optax_walks_the_same_path(name, problem):
    """As above; optax's ``eps_root`` is the paper's epsilon inside the root."""
    optimizer, make = OPTAX[name]
    np.testing.assert_allclose(
        bea.run(optimizer, PROBLEMS[problem], START, H, STEPS),
        optax_path(problem, make),
        rtol=1e-12,
        atol=1e-12,
    )


def test_control_the_conventions_are_told_apart():
    """Epsilon on the wrong side of the root, no bias correction, or the other momentum: paths differ by more than 1e-5."""
    path = torch_path("bilinear", TORCH["Adam"][1])
    for wrong in (
        bea.adam(BETA, RHO, EPSILON),
        bea.adam(BETA, RHO, EPSILON, epsilon_inside=False, bias_correction=False),
        bea.nesterov(BETA),
    ):
        assert abs(bea.run(wrong, bea.bilinear(), START, H, STEPS) - path).max() > 1e-5
    heavy = torch_path("bilinear", TORCH["SGD, momentum"][1])
    for wrong in (bea.nesterov(BETA), bea.heavy_ball(BETA, damped=True)):
        assert abs(bea.run(wrong, bea.bilinear(), START, H, STEPS) - heavy).max() > 1e-5


def test_gradients_and_hessians_are_jaxs():
    jax = pytest.importorskip("jax", reason="JAX is not installed (make peers)")
    with jax.enable_x64(True):
        signed = jax.numpy.array(signed_features())
        losses = {
            "bilinear": lambda t: 0.5 * (1.5 - 2 * t[0] * t[1]) ** 2,
            "logistic": lambda t: jax.numpy.logaddexp(0, -(signed @ t)).mean(),
        }
        for name, loss in losses.items():
            for theta in ((0.9, 1.5), (-0.4, 0.3)):
                point = jax.numpy.array(theta)
                np.testing.assert_allclose(PROBLEMS[name].value(theta), loss(point), rtol=1e-13)
                np.testing.assert_allclose(
                    PROBLEMS[name].gradient(theta), jax.grad(loss)(point), rtol=1e-12, atol=1e-14
                )
                np.testing.assert_allclose(
                    PROBLEMS[name].hessian(theta), jax.hessian(loss)(point), rtol=1e-11, atol=1e-14
                )


def test_two_terms_by_automatic_differentiation():
    """Gradient descent's first two terms on the bilinear loss, -grad E and -H grad E/2, with jax.jvp: an engine of another kind."""
    jax = pytest.importorskip("jax", reason="JAX is not installed (make peers)")
    with jax.enable_x64(True):
        gradient = jax.grad(lambda t: 0.5 * (1.5 - 2 * t[0] * t[1]) ** 2)
        point = jax.numpy.array(START)
        field, along = jax.jvp(gradient, (point,), (gradient(point),))
        found = bea.modified_equation(bea.gradient_descent(), bea.bilinear(), 2).coefficients(START)
        np.testing.assert_allclose(found, [-np.array(field), -np.array(along) / 2], rtol=1e-12)
