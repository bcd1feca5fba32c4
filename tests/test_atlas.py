"""The atlas: each program's first steps against loops and other libraries, and its observed orders."""

import inspect

import numpy as np
import pytest
import sympy as sp

import bea
from bea_book import atlas

x = sp.symbols("x0:4", real=True)
LOSS = bea.Loss(
    (x[0] * x[2] + x[1] * x[3] - 1) ** 2 / 2
    + sp.sin(x[0] - x[3]) / 2
    + (x[1] - x[2]) ** 4 / 10
    + x[0] ** 2 / 5
    + sp.exp(x[1] / 3),
    x,
)
START = (0.9, 1.5, -0.4, 0.7)
FOUR = (2, 2)

PROGRAMS = {
    "gradient descent": bea.gradient_descent(),
    "heavy ball": bea.heavy_ball(0.4),
    "Nesterov": bea.nesterov(0.4),
    "RMSProp": bea.rmsprop(0.5, 0.1),
    "Adam": bea.adam(0.4, 0.5, 0.1),
    "AdamW": bea.adamw(0.4, 0.5, 0.1, 0.1),
    "NAdam": bea.nadam(0.4, 0.5, 0.1),
    "Signum": bea.signum(0.4, 0.3),
    "Lion": bea.lion(0.4, 0.5, 0.3, 0.1),
    "AdaBelief": atlas.adabelief(0.3, 0.4, 0.5),
    "Adan": atlas.adan(0.3, 0.4, 0.5, 0.1),
    "Adafactor": atlas.adafactor(0.5, 0.1, FOUR),
    "LAMB": atlas.lamb(0.3, 0.5, 0.1),
    "LARS": atlas.lars(0.4),
    "Muon": atlas.muon(0.4, FOUR),
    "Muon, exact": atlas.muon(0.4, FOUR, exact=True),
    "Shampoo": atlas.shampoo(0.4, 0.3, FOUR),
    "SAM": atlas.sam(0.1),
    "RMSProp with momentum": atlas.rmsprop_momentum(0.4, 0.5, 0.3),
    "centred RMSProp": atlas.centred_rmsprop(0.4, 0.5),
    "AdEMAMix": atlas.ademamix(0.3, 0.6, 2.0, 0.5, 0.3),
    "Adam with warm-up": atlas.adam_warmup_cosine(0.4, 0.5, 0.1, 0.5, 2.0),
    "Adam with L2": atlas.adam_with_l2(0.4, 0.5, 0.3, 0.1),
    "two groups": atlas.adam_with_groups(2, 0.4, 0.5, 0.1, 2.0),
    "clipped momentum": atlas.clipped_momentum(0.4, 0.5),
    "normalized momentum": atlas.normalized_momentum(0.4),
    "p-norm": atlas.p_norm_descent(0.4, 4.0),
    "Adam, epsilon hat": atlas.tensorflow_adam(0.3, 0.5, 0.3),
}
HS = [4e-4, 2e-4, 1e-4]


class HalfLast:
    """A control: the last term of the true equation counts only half."""

    def __init__(self, optimizer, order):
        self.equation, self.order = bea.modified_equation(optimizer, LOSS, order), order

    def field(self, h):
        factors = h ** np.arange(self.order)
        factors[-1] /= 2
        return lambda theta, time=0.0: factors @ self.equation.coefficients(theta, time)


@pytest.mark.parametrize("name", PROGRAMS)
def test_observed_orders(name):
    optimizer = PROGRAMS[name]
    for order in (1, 2):
        study = bea.order_study(optimizer, LOSS, START, 0.016, HS, order)
        assert abs(study.slope - order) < 0.1, (order, study)
    factor = 8 if name == "Muon, exact" else 1  # its third-order errors are tiny
    hs = [factor * h for h in (2e-3, 1e-3, 5e-4)]
    third = bea.order_study(optimizer, LOSS, START, 0.02 * factor, hs, 3)
    assert abs(third.slope - 3) < 0.15, third
    control = bea.order_study(optimizer, LOSS, START, 0.016, HS, 2, equation=HalfLast(optimizer, 2))
    assert abs(control.slope - 1) < 0.15, control


def gradient(theta):
    return LOSS.gradient(theta)


def adabelief_loop(theta, h, steps, beta, rho, epsilon):
    m, s = np.zeros(4), np.zeros(4)
    for n in range(1, steps + 1):
        g = gradient(theta)
        m = beta * m + (1 - beta) * g
        s = rho * s + (1 - rho) * (g - m) ** 2
        theta = theta - h * (m / (1 - beta**n)) / np.sqrt(s / (1 - rho**n) + epsilon)
    return theta


def adan_loop(theta, h, steps, b1, b2, b3, epsilon):
    m, v, w, before = np.zeros(4), np.zeros(4), np.zeros(4), gradient(theta)
    for n in range(1, steps + 1):
        g = gradient(theta)
        d, before = g - before, g
        m, v, w = (
            b1 * m + (1 - b1) * g,
            b2 * v + (1 - b2) * d,
            b3 * w + (1 - b3) * (g + b2 * d) ** 2,
        )
        step = m / (1 - b1**n) + b2 * v / (1 - b2**n)
        theta = theta - h * step / np.sqrt(w / (1 - b3**n) + epsilon)
    return theta


def adafactor_loop(theta, h, steps, rho, epsilon):
    r, c = np.zeros(2), np.zeros(2)
    for _ in range(steps):
        g = gradient(theta).reshape(2, 2)
        r = rho * r + (1 - rho) * np.mean(g**2 + epsilon, axis=1)
        c = rho * c + (1 - rho) * np.mean(g**2 + epsilon, axis=0)
        theta = theta - h * (g / np.sqrt(np.outer(r, c) / np.mean(r))).ravel()
    return theta


def muon_loop(theta, h, steps, beta):
    m = np.zeros((2, 2))
    for _ in range(steps):
        m = beta * m + (1 - beta) * gradient(theta).reshape(2, 2)
        u, _, vt = np.linalg.svd(m)
        theta = theta - h * (u @ vt).ravel()
    return theta


def shampoo_loop(theta, h, steps, rho, epsilon):
    def root(a):
        values, vectors = np.linalg.eigh(a)
        return vectors @ np.diag(values**-0.25) @ vectors.T

    left, right = np.zeros((2, 2)), np.zeros((2, 2))
    for _ in range(steps):
        g = gradient(theta).reshape(2, 2)
        left, right = rho * left + (1 - rho) * g @ g.T, rho * right + (1 - rho) * g.T @ g
        step = root(left + epsilon * np.eye(2)) @ g @ root(right + epsilon * np.eye(2))
        theta = theta - h * step.ravel()
    return theta


def lars_loop(theta, h, steps, beta):
    b = np.zeros(4)
    for _ in range(steps):
        g = gradient(theta)
        b = beta * b + np.linalg.norm(theta) / np.linalg.norm(g) * g
        theta = theta - h * b
    return theta


def clipped_loop(theta, h, steps, beta, largest):
    b = np.zeros(4)
    for _ in range(steps):
        g = gradient(theta)
        b = beta * b + g / max(1.0, np.linalg.norm(g) / largest)
        theta = theta - h * b
    return theta


def warmup_loop(theta, h, steps, beta, rho, epsilon, warmup, horizon):
    m, v = np.zeros(4), np.zeros(4)
    for n in range(steps):
        g, t = gradient(theta), n * h
        m, v = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g**2
        rate = t / warmup if t < warmup else (1 + np.cos(np.pi * (t - warmup) / (horizon - warmup))) / 2
        corrected = np.sqrt(v / (1 - rho ** (n + 1)) + epsilon)
        theta = theta - h * rate * m / (1 - beta ** (n + 1)) / corrected
    return theta


@pytest.mark.parametrize(
    "optimizer, loop, given",
    [
        (atlas.adabelief, adabelief_loop, (0.9, 0.99, 1e-3)),
        (atlas.adan, adan_loop, (0.9, 0.8, 0.99, 1e-3)),
        (lambda rho, epsilon: atlas.adafactor(rho, epsilon, FOUR), adafactor_loop, (0.9, 1e-3)),
        (lambda beta: atlas.muon(beta, FOUR, exact=True), muon_loop, (0.9,)),
        (lambda rho, epsilon: atlas.shampoo(rho, epsilon, FOUR), shampoo_loop, (0.9, 0.1)),
        (atlas.lars, lars_loop, (0.9,)),
        (atlas.clipped_momentum, clipped_loop, (0.9, 0.5)),
        (atlas.adam_warmup_cosine, warmup_loop, (0.9, 0.99, 1e-3, 0.1, 0.5)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_first_steps_follow_the_loop(optimizer, loop, given):
    got = bea.run(optimizer(*given), LOSS, START, 0.01, 30)[-1]
    assert got == pytest.approx(loop(np.array(START), 0.01, 30, *given), rel=1e-11)


def with_torch(make, steps=30):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theta = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = make(torch, [theta])
    for _ in range(steps):
        theta.grad = torch.tensor(LOSS.gradient(theta.detach().numpy()))
        optimizer.step()
    return theta.detach().numpy()


@pytest.mark.parametrize(
    "optimizer, make",
    [
        (
            atlas.rmsprop_momentum(0.9, 0.99, 1e-3),
            lambda torch, p: torch.optim.RMSprop(p, lr=0.01, alpha=0.99, eps=1e-3, momentum=0.9),
        ),
        (
            atlas.adam_with_l2(0.9, 0.99, 1e-3, 0.1),
            lambda torch, p: torch.optim.Adam(p, lr=0.01, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.1),
        ),
    ],
    ids=["RMSprop with momentum", "Adam with L2"],
)
def test_first_steps_follow_pytorch(optimizer, make):
    assert bea.run(optimizer, LOSS, START, 0.01, 30)[-1] == pytest.approx(with_torch(make), rel=1e-12)


@pytest.mark.parametrize(
    "optimizer, make",
    [
        (
            atlas.lamb(0.9, 0.99, 1e-3),
            lambda optax: optax.lamb(0.01, 0.9, 0.99, eps=1e-3, weight_decay=0.0),
        ),
        (atlas.sam(0.05), lambda optax: None),
    ],
    ids=["LAMB", "SAM"],
)
def test_first_steps_follow_optax(optimizer, make):
    optax = pytest.importorskip("optax", reason="optax is not installed")
    import jax

    chosen = make(optax) or optax.contrib.sam(
        optax.sgd(0.01), optax.chain(optax.contrib.normalize(), optax.sgd(0.05)), sync_period=2
    )
    with jax.enable_x64(True):
        theta = jax.numpy.array(START)
        state = chosen.init(theta)
        for _ in range(30 if optimizer.name == "lamb" else 60):
            change, state = chosen.update(jax.numpy.array(LOSS.gradient(np.asarray(theta))), state, theta)
            theta = optax.apply_updates(theta, change)
        want = np.asarray(theta)
    assert bea.run(optimizer, LOSS, START, 0.01, 30)[-1] == pytest.approx(want, rel=1e-11)


def test_programs_are_a_few_lines():
    for optimizer in PROGRAMS.values():
        text = inspect.getsource(optimizer.program)
        code = text.split('"""')[2] if '"""' in text else text
        assert len(code.strip().splitlines()) <= 8, optimizer.name


def test_newton_schulz_is_near_the_polar_factor():
    matrix = np.random.default_rng(0).normal(size=(2, 3))
    u, _, vt = np.linalg.svd(matrix, full_matrices=False)
    assert atlas.polar(matrix) == pytest.approx(u @ vt, abs=1e-12)
    assert np.linalg.svd(atlas.newton_schulz(matrix))[1] == pytest.approx(np.ones(2), abs=0.4)


def test_adamw_follows_the_formula_with_its_decay():
    """The chapter's first correction of decoupled weight decay, by its Hessian; without the term that the decay adds it
    fails."""
    loss, point = bea.bilinear(), np.array([0.7, 1.9])
    beta, rho, epsilon, decay = 0.6, 0.8, 0.1, 0.3
    g, H = loss.gradient(point), loss.hessian(point)
    R = np.sqrt(g**2 + epsilon)
    bracket = (1 + beta) / (1 - beta) - (1 + rho) / (1 - rho) * g**2 / R**2
    f_0, f_1 = bea.modified_equation(bea.adamw(beta, rho, epsilon, decay), loss, 2).coefficients(point)
    assert f_0 == pytest.approx(-(g / R + decay * point), rel=1e-12)
    for from_decay, holds in ((H @ point, True), (0, False)):
        norm = H @ (g / R) + decay * from_decay
        by_hand = -decay / 2 * (g / R + decay * point) - bracket / R * norm / 2
        assert np.allclose(f_1, by_hand, rtol=1e-10) == holds
