"""What the page on notation and conventions says of PyTorch and optax, run side by side; skipped where they are not installed."""

import numpy as np
import pytest

import bea

LOSS, START, H, STEPS = bea.bilinear(), (0.9, 1.5), 1e-2, 30
BETA, RHO, EPSILON = 0.8, 0.95, 1e-2


def ours(optimizer, h=H):
    return bea.run(optimizer, LOSS, START, h, STEPS)


def with_torch(name, **settings):
    torch = pytest.importorskip("torch")
    theta = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([theta], **{"lr": H, **settings})
    path = [theta.detach().numpy().copy()]
    for _ in range(STEPS):
        theta.grad = torch.tensor(LOSS.gradient(path[-1]))
        optimizer.step()
        path.append(theta.detach().numpy().copy())
    return np.array(path)


def with_optax(name, h=H, **settings):
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    with jax.enable_x64(True):
        optimizer = getattr(optax, name)(h, **settings)
        theta = jax.numpy.array(START, dtype=jax.numpy.float64)
        state, path = optimizer.init(theta), [np.array(START)]
        for _ in range(STEPS):
            update, state = optimizer.update(jax.numpy.array(LOSS.gradient(path[-1])), state)
            theta = optax.apply_updates(theta, update)
            path.append(np.array(theta))
    return np.array(path)


EQUAL = {
    "gradient_descent torch": (bea.gradient_descent(), lambda: with_torch("SGD")),
    "gradient_descent optax": (bea.gradient_descent(), lambda: with_optax("sgd")),
    "heavy_ball torch": (bea.heavy_ball(BETA), lambda: with_torch("SGD", momentum=BETA)),
    "heavy_ball optax": (bea.heavy_ball(BETA), lambda: with_optax("sgd", momentum=BETA)),
    "damped torch": (
        bea.heavy_ball(BETA, damped=True),
        lambda: with_torch("SGD", lr=(1 - BETA) * H, momentum=BETA),
    ),
    "damped optax": (
        bea.heavy_ball(BETA, damped=True),
        lambda: with_optax("sgd", h=(1 - BETA) * H, momentum=BETA),
    ),
    "nesterov torch": (bea.nesterov(BETA), lambda: with_torch("SGD", momentum=BETA, nesterov=True)),
    "nesterov optax": (bea.nesterov(BETA), lambda: with_optax("sgd", momentum=BETA, nesterov=True)),
    "rmsprop inside optax": (
        bea.rmsprop(RHO, EPSILON),
        lambda: with_optax("rmsprop", decay=RHO, eps=EPSILON),
    ),
    "rmsprop outside torch": (
        bea.rmsprop(RHO, EPSILON, epsilon_inside=False),
        lambda: with_torch("RMSprop", alpha=RHO, eps=EPSILON),
    ),
    "rmsprop outside optax": (
        bea.rmsprop(RHO, EPSILON, epsilon_inside=False),
        lambda: with_optax("rmsprop", decay=RHO, eps=EPSILON, eps_in_sqrt=False),
    ),
    "adam inside optax": (
        bea.adam(BETA, RHO, EPSILON),
        lambda: with_optax("adam", b1=BETA, b2=RHO, eps=0.0, eps_root=EPSILON),
    ),
    "adam outside torch": (
        bea.adam(BETA, RHO, EPSILON, epsilon_inside=False),
        lambda: with_torch("Adam", betas=(BETA, RHO), eps=EPSILON),
    ),
    "adam outside optax": (
        bea.adam(BETA, RHO, EPSILON, epsilon_inside=False),
        lambda: with_optax("adam", b1=BETA, b2=RHO, eps=EPSILON),
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equivalents_agree_to_round_off(name, measured):
    optimizer, peer = EQUAL[name]
    assert np.abs(ours(optimizer) - peer()).max() < 1e-13
    measured("exact", STEPS, "steps, to 1e-13")


def test_torchs_dampening_is_not_damped(measured):
    damped = ours(bea.heavy_ball(BETA, damped=True))
    dampened = with_torch("SGD", momentum=BETA, dampening=BETA)
    first = np.array(START) - H * LOSS.gradient(START)
    assert dampened[1] == pytest.approx(first, abs=1e-14)  # the whole gradient
    assert np.abs(dampened - damped).max() > 1e-3
    measured("largest distance", np.abs(dampened - damped).max(), "above 0.001", digits=2)


def test_inside_and_outside_differ(measured):
    inside, outside = (
        ours(bea.adam(BETA, RHO, EPSILON)),
        ours(bea.adam(BETA, RHO, EPSILON, epsilon_inside=False)),
    )
    assert np.abs(inside - outside).max() > 1e-4
    measured("largest distance", np.abs(inside - outside).max(), "above 0.0001", digits=2)


def test_kerass_epsilon_is_ours_over_the_root_of_the_gathered_weight(measured):
    """Keras's loop as its source has it: lr sqrt(1 - rho^t)/(1 - beta^t) m/(sqrt(v) + epsilon), with t = n + 1."""
    g = 0.7
    for n in (0, 1, 10):
        before = bea.program.Running(0.1, [(0.3, BETA**n), (0.2, RHO**n)], step=n)
        m, v = BETA * 0.3 + (1 - BETA) * g, RHO * 0.2 + (1 - RHO) * g**2
        keras = np.sqrt(1 - RHO ** (n + 1)) / (1 - BETA ** (n + 1)) * m / (np.sqrt(v) + EPSILON)
        changing = EPSILON / np.sqrt(1 - RHO ** (n + 1))
        formula = bea.adam(BETA, RHO, changing, epsilon_inside=False)(None, lambda _: g, before)
        assert formula == pytest.approx(keras, rel=1e-12)
    measured("exact", 3, "steps, to 1e-12")
