"""Runs: each is the algorithm, in every reading the same, and what goes wrong is said in words."""

import dataclasses
import gc
import pickle
import sys
import time
import tracemalloc
import types
import weakref
from fractions import Fraction
from functools import lru_cache, partial, wraps
from itertools import cycle, islice

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, reject
from hypothesis import strategies as st

import bea
from bea import runs, straight, trace
from bea.program import Running, outside
from bea.runs import state_after
from bea.straight import StraightRun
from drawn import draws
from interrupted import interrupted

x, y = sp.symbols("x y", real=True)
HIMMELBLAU = bea.Loss((x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2, (x, y))
BILINEAR = bea.Loss((3 - 4 * x * y) ** 2 / 8, (x, y))
LOSSES = {
    "bilinear": BILINEAR,
    "himmelblau": HIMMELBLAU,
    "functions": bea.Loss(
        sp.exp(-x) * sp.sin(y) + sp.tanh(x * y) + sp.log(1 + x**2) + sp.sqrt(1 + y**2) + sp.erf(x),
        (x, y),
    ),
    "cases": bea.Loss(abs(x - y) + sp.Piecewise((x**2, x > 1), (2 * x - 1, True)) + sp.Max(x, y) ** 2, (x, y)),
}
LOGISTIC = bea.Loss(sp.log(1 + sp.exp(-x - 2 * y)) + sp.log(1 + sp.exp(x - y)) + (x**2 + y**2) / 9, (x, y))
START = (0.9, 1.5)
WAYS = {"floats": 1, "arrays": straight.BLOCK, "compiled": straight.WIDTH, "whole": straight.BLOCK, "in_loops": 1}


def by_code(loss):
    """The same loss without its expression: programs on it are read plainly."""
    return bea.NumericLoss(loss.dimension, loss.value_code, loss.gradient_code)


def force(monkeypatch, way):
    """Make all traced runs in one way, whatever it costs; returns a list with one entry for each."""
    if way in ("compiled", "in_loops"):
        pytest.importorskip("numba", reason="Numba is not installed")
    if way in ("whole", "in_loops"):  # however short a step is
        monkeypatch.setattr(straight, "LONG", 0)
        monkeypatch.setattr(straight, "GAIN", 0)
        monkeypatch.setattr(straight, "_rolled", lru_cache(straight._rolled.__wrapped__))
        monkeypatch.setattr(straight, "_loops", lru_cache(straight._loops.__wrapped__))
    made = []

    def chosen(self, total):
        made.append(self)
        return getattr(self, way), WAYS[way]

    monkeypatch.setattr(StraightRun, "cheapest", chosen)
    return made


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Each way of running a trace."""
    return force(monkeypatch, request.param)


# --- a run is the algorithm ----------------------------------------------------------------------


def gradient_descent(g, state, n):
    return g


def heavy_ball(g, state, n, beta=0.6):
    state["m"] = beta * state.get("m", 0) + g
    return state["m"]


def damped(g, state, n, beta=0.6):
    state["m"] = beta * state.get("m", 0) + (1 - beta) * g
    return state["m"]


def nesterov(g, state, n, beta=0.6):
    state["b"] = beta * state.get("b", 0) + g
    return g + beta * state["b"]


def squares(g, state, rho):
    state["v"] = rho * state.get("v", 0) + (1 - rho) * g**2
    return state["v"]


def adam(g, state, n, beta=0.6, rho=0.8, epsilon=0.05, inside=True, corrected=True):
    m, v = damped(g, state, n, beta), squares(g, state, rho)
    if corrected:
        m, v = m / (1 - beta ** (n + 1)), v / (1 - rho ** (n + 1))
    return m / np.sqrt(v + epsilon) if inside else m / (np.sqrt(v) + epsilon)


def lion(g, state, n, epsilon=0.0):
    m = state.get("m", 0 * g)
    c = 0.6 * m + 0.4 * g
    state["m"] = 0.8 * m + 0.2 * g
    return np.sign(c) if epsilon == 0 else c / np.sqrt(c**2 + epsilon)


def signum(g, state, n, epsilon=0.0):
    m = damped(g, state, n)
    return np.sign(m) if epsilon == 0 else m / np.sqrt(m**2 + epsilon)


HANDMADE = {
    "gradient descent": (bea.gradient_descent(), gradient_descent),
    "heavy ball": (bea.heavy_ball(0.6), heavy_ball),
    "heavy ball, damped": (bea.heavy_ball(0.6, damped=True), damped),
    "nesterov": (bea.nesterov(0.6), nesterov),
    "rmsprop": (bea.rmsprop(0.8, 0.05), lambda g, s, n: g / np.sqrt(squares(g, s, 0.8) + 0.05)),
    "rmsprop, outside, corrected": (
        bea.rmsprop(0.8, 0.05, epsilon_inside=False, bias_correction=True),
        lambda g, s, n: g / (np.sqrt(squares(g, s, 0.8) / (1 - 0.8 ** (n + 1))) + 0.05),
    ),
    "adam": (bea.adam(0.6, 0.8, 0.05), adam),
    "adam, outside": (
        bea.adam(0.6, 0.8, 0.05, epsilon_inside=False),
        lambda g, s, n: adam(g, s, n, inside=False),
    ),
    "adam, not corrected": (
        bea.adam(0.6, 0.8, 0.05, bias_correction=False),
        lambda g, s, n: adam(g, s, n, corrected=False),
    ),
    "adam, no averages": (bea.adam(0.0, 0.0, 0.05), lambda g, s, n: adam(g, s, n, 0.0, 0.0)),
    "signum": (bea.signum(0.6, 0.05), lambda g, s, n: signum(g, s, n, 0.05)),
    "signum itself": (bea.signum(0.6, 0.0), signum),
    "lion": (bea.lion(0.6, 0.8, 0.05), lambda g, s, n: lion(g, s, n, 0.05)),
    "lion itself": (bea.lion(0.6, 0.8, 0.0), lion),
}


def by_hand(rule, gradients, h, steps, theta0=START):
    """The run from a rule on NumPy's arrays; ``gradients[n]`` is the function of step n."""
    theta, state, path = np.array(theta0, dtype=float), {}, [np.array(theta0, dtype=float)]
    for n in range(steps):
        theta = theta - h * rule(gradients[n](theta), state, n)
        path.append(theta)
    return np.array(path)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", HANDMADE)
def test_a_run_is_the_algorithm(name, loss):
    """60 steps, traced and plain, one point and two, and an iteration without end."""
    (optimizer, rule), loss = HANDMADE[name], LOSSES[loss]
    wanted = by_hand(rule, [loss.gradient] * 60, 0.002, 60)
    close = {"rtol": 1e-11, "atol": 1e-12}
    for problem in (loss, by_code(loss)):
        path = bea.run(optimizer, problem, START, 0.002, 60)
        assert path.shape == (61, 2) and path.dtype == float and path[0].tolist() == list(START)
        np.testing.assert_allclose(path, wanted, **close)
        pair = bea.run(optimizer, problem, [(0.4, 0.7), START], 0.002, 60)
        assert pair.shape == (61, 2, 2)
        np.testing.assert_array_equal(pair[:, 1], path)
        walked = list(islice(bea.walk(optimizer, problem, START, 0.002), 61))
        np.testing.assert_array_equal(walked, path)


@pytest.mark.parametrize("name", ["adam", "nesterov", "signum itself", "lion"])
def test_every_way_is_the_algorithm(name, way):
    optimizer, rule = HANDMADE[name]
    for loss in (HIMMELBLAU, LOSSES["cases"]):
        wanted = by_hand(rule, [loss.gradient] * 40, 0.002, 40)
        path = bea.run(optimizer, loss, [START, START, (1.0, 0.3)], 0.002, 40)
        np.testing.assert_allclose(path[:, 1], wanted, rtol=1e-11, atol=1e-12)
    assert len(way) == 2


def test_one_coordinate_without_memory(way):
    """(1 - 3 h)^n: a step of one output, and a constant."""
    path = bea.run(bea.gradient_descent(), bea.quadratic([3]), (1.0,), 0.1, 20)
    np.testing.assert_allclose(path[:, 0], 0.7 ** np.arange(21), rtol=1e-13)


def torchs_path(torch, make, loss, steps):
    theta = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer, path = make([theta]), [theta.detach().numpy().copy()]
    for _ in range(steps):
        theta.grad = torch.tensor(loss.gradient(theta.detach().numpy()))
        optimizer.step()
        path.append(theta.detach().numpy().copy())
    return np.array(path)


def test_pytorch_makes_the_same_steps():
    torch = pytest.importorskip("torch")
    optim, h, decays = torch.optim, 0.01, (0.9, 0.99)
    pairs = [
        (bea.heavy_ball(0.9), lambda p: optim.SGD(p, h, momentum=0.9)),
        (bea.nesterov(0.9), lambda p: optim.SGD(p, h, momentum=0.9, nesterov=True)),
        (bea.rmsprop(0.9, 1e-4, epsilon_inside=False), lambda p: optim.RMSprop(p, h, 0.9, 1e-4)),
        (bea.adam(*decays, 1e-6, epsilon_inside=False), lambda p: optim.Adam(p, h, decays, 1e-6)),
        (
            bea.adamw(*decays, 1e-6, 0.3, epsilon_inside=False),
            lambda p: optim.AdamW(p, h, decays, 1e-6, weight_decay=0.3),
        ),
    ]
    for optimizer, make in pairs:
        wanted = torchs_path(torch, make, bea.bilinear(), 60)
        np.testing.assert_allclose(bea.run(optimizer, bea.bilinear(), START, h, 60), wanted, rtol=1e-12, atol=1e-13)


def test_optax_makes_the_same_steps():
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    loss = bea.bilinear()
    with jax.enable_x64(True):
        for optimizer, peer in [
            (bea.lion(0.9, 0.99, 0.0, 0.3), optax.lion(0.01, 0.9, 0.99, weight_decay=0.3)),
            (bea.adam(0.9, 0.99, 1e-6), optax.adam(0.01, 0.9, 0.99, eps=0.0, eps_root=1e-6)),
            (bea.heavy_ball(0.9), optax.sgd(0.01, 0.9)),
        ]:
            theta, path = np.array(START), [np.array(START)]
            state = peer.init(theta)
            for _ in range(30):
                update, state = peer.update(loss.gradient(theta), state, theta)
                theta = theta + np.asarray(update)
                path.append(theta)
            np.testing.assert_allclose(bea.run(optimizer, loss, START, 0.01, 30), path, rtol=1e-12, atol=1e-13)


def test_coordinates_of_zero_gradient_do_not_move_a_sign():
    """A dead unit: what optax's lion gives."""
    for optimizer in (bea.lion(0.9, 0.99, 0.0), bea.signum(0.9, 0.0)):
        path = bea.run(optimizer, bea.quadratic([1, 4]), (1.0, 0.0), 0.01, 3)
        np.testing.assert_allclose(path[-1], (0.97, 0.0), rtol=1e-15)


# --- one configuration, one answer -----------------------------------------------------------------


@pytest.mark.parametrize("name", HANDMADE)
def test_a_configuration_has_the_same_bits_in_every_batch(name):
    """Alone, among 2, 49, 50 and 256, whatever the number of steps, and in an iteration."""
    optimizer, loss = HANDMADE[name][0], HIMMELBLAU
    floats = {k: v for k, v in optimizer.hyperparameters.items() if isinstance(v, float) and v}
    rng = np.random.default_rng(4)
    points, sizes = rng.uniform(-2, 2, (256, 2)), rng.uniform(1e-5, 1e-3, 256)
    hyper = {name: rng.uniform(0.1, 0.95, 256) for name in floats}
    alone = {
        k: bea.run(
            optimizer.with_hyperparameters(**{n: float(v[k]) for n, v in hyper.items()}),
            loss, points[k], float(sizes[k]), 90,
        )
        for k in (0, 1)
    }  # fmt: skip
    for count in (2, 49, 50, 256):
        chosen = optimizer.with_hyperparameters(**{n: v[:count] for n, v in hyper.items()})
        for steps in (1, 90):
            path = bea.run(chosen, loss, points[:count], sizes[:count], steps)
            assert path.shape == (steps + 1, count, 2)
            for k in (0, 1):
                np.testing.assert_array_equal(path[:, k], alone[k][: steps + 1])
        walked = np.array(list(islice(bea.walk(chosen, loss, points[:count], sizes[:count]), 20)))
        np.testing.assert_array_equal(walked[:, 1], alone[1][:20])


@pytest.mark.parametrize(
    "loss", [HIMMELBLAU, LOGISTIC, LOSSES["functions"]], ids=["himmelblau", "logistic", "functions"]
)
def test_all_ways_have_the_same_bits(loss, monkeypatch):
    """With functions beyond square roots, NumPy's and those of math differ in the last bits only."""
    points = np.random.default_rng(5).uniform(0.3, 1.4, (70, 2))
    optimizer = bea.adamw(np.linspace(0.0, 0.9, 70), 0.99, np.geomspace(1e-8, 1, 70), 0.1)
    paths = []
    for way in WAYS if trace.numba_is_there() else ("floats", "arrays", "whole"):
        force(monkeypatch, way)
        paths.append(bea.run(optimizer, loss, points, 0.01, 120, every=3))
        for k in (0, 69):
            one = optimizer.configuration(k)
            alone = bea.run(one, loss, points[k], 0.01, 120, every=3)
            np.testing.assert_array_equal(alone, paths[-1][:, k])
    for path, way in zip(paths, WAYS if len(paths) == 5 else ("floats", "arrays", "whole")):
        if loss is not LOSSES["functions"] or way != "arrays":
            np.testing.assert_array_equal(path, paths[0])
        np.testing.assert_allclose(path, paths[0], rtol=1e-12, atol=1e-14)


def test_compiled_functions_have_the_bits_of_math(monkeypatch):
    """So a batch has those of its configurations alone, and NumPy's, which may differ, only if that takes too long."""
    pytest.importorskip("numba", reason="Numba is not installed")
    points = np.random.default_rng(6).uniform(0.3, 1.4, (70, 2))
    optimizer, loss = bea.adamw(np.linspace(0.0, 0.9, 70), 0.99, np.geomspace(1e-8, 1, 70), 0.1), LOSSES["functions"]
    paths = [bea.run(optimizer, loss, points, 0.01, 200)]
    for way in ("floats", "compiled"):
        with monkeypatch.context() as patch:
            force(patch, way)
            paths.append(bea.run(optimizer, loss, points, 0.01, 200))
    np.testing.assert_array_equal(paths[0], paths[1])
    np.testing.assert_array_equal(paths[2], paths[1])
    monkeypatch.setattr(straight, "AFFORDABLE", 0.0)
    assert ways_taken(monkeypatch, True, bea.adamw(0.5, 0.99, 0.1, 0.1), loss, points, 0.01, 20) == ["arrays"]


def test_where_floats_raise_the_bits_are_those_of_compiled_loops(monkeypatch):
    """An exponential that overflows, but only in a denominator."""

    def gradient(t):
        return t / (1 + np.exp(1000 * t * t)) + np.sin(t) + np.exp(-t)

    paths = []
    for way in ("floats", "compiled", "whole", "in_loops"):
        with monkeypatch.context() as patch:
            made = force(patch, way)
            loss = bea.NumericLoss(3, None, gradient)
            paths.append(bea.run(bea.adam(0.9, 0.99, 0.01), loss, (0.5, 0.85, 1.2), 1e-3, 200))
            assert made
    for path in paths[1:]:
        np.testing.assert_array_equal(path, paths[0])


def test_zeros_among_hyperparameters():
    """Zero is a constant of a trace, and other values are not: they are run apart."""
    epsilon, beta = np.array([0.0, 0.1, 0.0, 0.2, 0.3]), np.array([0.5, 0.0, 0.0, 0.6, 0.7])
    batch = bea.signum(beta, epsilon)
    path = bea.run(batch, HIMMELBLAU, START, 0.01, 30)
    for k in range(5):
        alone = bea.run(bea.signum(float(beta[k]), float(epsilon[k])), HIMMELBLAU, START, 0.01, 30)
        np.testing.assert_array_equal(path[:, k], alone)
    theta, [(m, p)] = state_after(batch, HIMMELBLAU, START, 0.01, 30)
    np.testing.assert_array_equal(theta.T, path[-1])
    np.testing.assert_array_equal(p, np.multiply.accumulate([beta] * 30)[-1])
    assert m.shape == (2, 5)


@pytest.mark.parametrize("name", HANDMADE)
@pytest.mark.parametrize("count", [2, 3])
def test_batches_of_losses_given_by_code(name, count):
    """Each configuration is what it is alone, up to the last bits of matrix products."""
    optimizer, loss = HANDMADE[name][0], bea.logistic_regression()
    floats = [k for k, v in optimizer.hyperparameters.items() if isinstance(v, float) and v]
    hyper = {name: np.linspace(0.2, 0.9, count) for name in floats}
    points = np.random.default_rng(1).uniform(0.4, 1.4, (count, 2))
    for theta0, h in ((START, np.linspace(0.01, 0.1, count)), (points, 0.05)):
        together = bea.run(optimizer.with_hyperparameters(**hyper), loss, theta0, h, 20)
        assert together.shape == (21, count, 2)
        for k in range(count):
            one = optimizer.with_hyperparameters(**{n: float(v[k]) for n, v in hyper.items()})
            alone = bea.run(one, loss, np.broadcast_to(theta0, (count, 2))[k], np.broadcast_to(h, count)[k], 20)
            np.testing.assert_allclose(together[:, k], alone, rtol=1e-12, atol=1e-13)


# --- it is this optimizer that runs ------------------------------------------------------------------

SCALE = 1.0
WEIGHTS = np.array([1.0, 2.0])
LIMIT = 1e3
TABLE = {"scale": 1.0}
HOLDER = types.SimpleNamespace(scale=1.0)


class Config:
    scale = 1.0


def helper(m):
    return SCALE * m


def program(text):
    return bea.optimizer(text)


@program
def plain_average(theta, gradient, memory, beta):
    return memory.average(gradient(theta), beta)


@program
def swapped(theta, gradient, memory, rho, beta):
    return memory.average(gradient(theta), beta) / (memory.average(gradient(theta) ** 2, rho) + 0.1) ** 0.5


@program
def normalized(theta, gradient, memory, beta):
    m = memory.average(gradient(theta), beta)
    return m / np.sum(m**2) ** 0.5


@program
def by_largest(theta, gradient, memory, beta):
    m = memory.average(gradient(theta), beta)
    return m / np.max(np.abs(m))


@program
def branching(theta, gradient, memory, beta):
    return (2 if beta == 0.9 else 1) * memory.average(gradient(theta), beta)


@program
def rounding(theta, gradient, memory, beta):
    return memory.average(gradient(theta), round(float(beta), 1))


@program
def elementary(theta, gradient, memory, beta):
    m = memory.average(gradient(theta), beta)
    return np.tanh(m) + np.clip(m, -1, 1) + np.exp(-abs(m)) + np.maximum(m, 0.1) + np.sqrt(m**2 + 1)


@program
def with_norms(theta, gradient, memory, beta):
    g = gradient(theta)
    size = memory.average(np.linalg.norm(g), beta, corrected=True)
    return g / (size + 1) * (1 + np.sum(theta * theta)) ** 0.5


@program
def sharpness_aware(theta, gradient, memory, radius):
    g = gradient(theta)
    return gradient(theta + radius * g / np.linalg.norm(g))


@program
def scheduled(theta, gradient, memory, beta):
    warm = np.minimum(1.0, memory.time / 0.05)
    return warm * np.cos(memory.step / 10) * memory.average(gradient(theta), beta) + memory.h * theta


@program
def started(theta, gradient, memory, beta):
    g = gradient(theta)
    return g + beta * memory.previous(g, start=2 * g) + memory.previous(np.sum(g), start=0.5)


@program
def belief(theta, gradient, memory, beta):
    g = gradient(theta)
    m = memory.average(g, beta)
    return m * (memory.average((g - m) ** 2, 0.5) + 0.1) ** -0.5


@program
def listing(theta, gradient, memory, beta):
    g = gradient(theta)
    return np.array([g[0], beta * g[1]])


@program
def stepping(theta, gradient, memory, beta):
    return gradient(theta) * (1 if memory.step % 2 == 0 else beta)


OWN = {
    "average": plain_average(0.9),
    "replaced": dataclasses.replace(plain_average(0.9), hyperparameters={"beta": 0.2}),
    "swapped": swapped(rho=0.9, beta=0.2),
    "swapped, by name": swapped(beta=0.2, rho=0.9),
    "normalized": normalized(0.9),
    "by its largest": by_largest(0.9),
    "branching": branching(0.9),
    "branching, the other way": branching(0.8),
    "rounding": rounding(0.87),
    "elementary": elementary(0.9),
    "norms": with_norms(0.9),
    "sharpness-aware": sharpness_aware(0.1),
    "scheduled": scheduled(0.9),
    "started": started(0.9),
    "belief": belief(0.9),
    "listing": listing(0.5),
    "stepping": stepping(0.5),
}
UNTRACEABLE = {"branching", "branching, the other way", "rounding", "listing", "stepping"}


def literally(optimizer, loss, theta0, h, steps):
    """What a program means, from its text and dictionaries."""

    class Memory:
        def __init__(self):
            self.h, self.step, self.values = h, 0, {}

        @property
        def time(self):
            return self.step * h

        def average(self, value, decay, corrected=False):
            k = self.calls = self.calls + 1
            past = [*self.values.get(k, []), value]
            self.values[k] = past
            weights = [(1 - decay) * decay**age for age in reversed(range(len(past)))]
            total = sum(w * v for w, v in zip(weights, past))
            return total / sum(weights) if corrected else total

        def previous(self, value, start=0.0):
            k = self.calls = self.calls + 1
            before, self.values[k] = self.values.get(k, start + np.zeros(np.shape(value))), value
            return before

    memory, theta, path = Memory(), np.array(theta0, dtype=float), [np.array(theta0, dtype=float)]
    for n in range(steps):
        memory.step, memory.calls = n, 0
        text = optimizer.program.__wrapped__
        theta = theta - h * text(theta, loss.gradient_code, memory, **optimizer.hyperparameters)
        path.append(theta)
    return np.array(path)


@pytest.mark.parametrize("name", OWN)
def test_it_is_the_given_optimizer_that_runs(name):
    """On an expression and on code, one point and many, whether it can be traced or not."""
    optimizer, loss = OWN[name], HIMMELBLAU
    points = [(0.4, 0.7), START, (1.1, -0.3)]
    wanted = [literally(optimizer, loss, point, 0.01, 25) for point in points]
    for problem in (loss, by_code(loss)):
        for k, point in enumerate(points):
            path = bea.run(optimizer, problem, point, 0.01, 25)
            np.testing.assert_allclose(path, wanted[k], rtol=1e-11, atol=1e-12)
        together = bea.run(optimizer, problem, points, 0.01, 25)
        np.testing.assert_array_equal(together[:, 2], path)
        np.testing.assert_array_equal(list(islice(bea.walk(optimizer, problem, points, 0.01), 26)), together)


@pytest.mark.parametrize("name", OWN)
def test_what_can_be_traced_is(name, way):
    bea.run(OWN[name], HIMMELBLAU, START, 0.01, 5)
    assert bool(way) == (name not in UNTRACEABLE)


def test_every_way_counts_the_steps(way, monkeypatch):
    """Through the pieces of a path, and the calls that make a piece."""
    monkeypatch.setattr(runs, "PIECE", 7)
    monkeypatch.setattr(straight, "PATIENCE", 200)
    wanted = literally(OWN["scheduled"], HIMMELBLAU, START, 0.01, 24)
    for every in (1, 3):
        path = bea.run(OWN["scheduled"], HIMMELBLAU, START, 0.01, 24, every=every)
        np.testing.assert_allclose(path, wanted[::every], rtol=1e-11)
    assert len(way) == 2


def changed(text, change):
    """The runs before and after something that a program reads has changed, traced and plain."""
    optimizer, ends = bea.optimizer(text)(), []
    for loss in (HIMMELBLAU, by_code(HIMMELBLAU)):
        before = bea.run(optimizer, loss, START, 0.001, 40)
        undo = change()
        ends.append(bea.run(optimizer, loss, START, 0.001, 40))
        assert not np.allclose(before, ends[-1], rtol=1e-4)
        undo()
        np.testing.assert_array_equal(bea.run(optimizer, loss, START, 0.001, 40), before)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-12)


@pytest.mark.parametrize("points", [START, [START, (0.3, 0.2), (1.1, 0.4)]])
@pytest.mark.parametrize("made", [bea.Loss, lambda *_: bea.NumericLoss(2, None, lambda t: (t.T * WEIGHTS).T)])
def test_what_is_read_may_change_during_a_walk(points, made, monkeypatch):
    """A schedule by hand: the step size of a program, or the data of a loss, is another after each step."""

    @bea.optimizer
    def scaled_average(theta, gradient, memory, beta):
        return SCALE * memory.average(gradient(theta), beta, corrected=True) + memory.step * 1e-3

    loss = made((x**2 + 2 * y**2) / 2, (x, y))
    theta, m = np.array(points), 0.0
    iterates = bea.walk(scaled_average(0.5), loss, points, 0.1)
    for n in range(20):
        np.testing.assert_allclose(next(iterates), theta, rtol=1e-13)
        monkeypatch.setitem(globals(), "SCALE", 0.9 ** max(0, n - 5))
        if made is not bea.Loss and n > 7:
            WEIGHTS[0] *= 1.1
        m = m / 2 + theta * (WEIGHTS if made is not bea.Loss else (1.0, 2.0)) / 2
        theta = theta - 0.1 * (SCALE * m / (1 - 0.5 ** (n + 1)) + n * 1e-3)
    WEIGHTS[:] = 1.0, 2.0


def assigned(owner, name, value):
    def change():
        old = getattr(owner, name)
        setattr(owner, name, value)
        return lambda: setattr(owner, name, old)

    return change


def test_what_a_program_reads_may_change_between_runs():
    """A notebook's life: globals, tables, configurations, helpers, closures, arrays."""
    this = sys.modules[__name__]
    changed(lambda theta, gradient, memory: SCALE * gradient(theta), assigned(this, "SCALE", 3.0))
    changed(lambda theta, gradient, memory: helper(gradient(theta)), assigned(this, "SCALE", 3.0))
    changed(
        lambda theta, gradient, memory: helper(gradient(theta)),
        assigned(this, "helper", lambda m: 2 * m),
    )
    changed(
        lambda theta, gradient, memory: HOLDER.scale * gradient(theta),
        assigned(HOLDER, "scale", 3.0),
    )
    changed(
        lambda theta, gradient, memory: Config.scale * gradient(theta),
        assigned(Config, "scale", 3.0),
    )
    # what only later steps would show
    changed(
        lambda theta, gradient, memory: np.clip(gradient(theta), -LIMIT, LIMIT) - 40 * theta,
        assigned(this, "LIMIT", 35.0),
    )

    def in_table():
        TABLE["scale"] = 3.0
        return lambda: TABLE.update(scale=1.0)

    changed(lambda theta, gradient, memory: TABLE["scale"] * gradient(theta), in_table)
    scale, weights = 1.0, np.ones(2)

    def in_closure():
        nonlocal scale
        scale = 3.0

        def undo():
            nonlocal scale
            scale = 1.0

        return undo

    changed(lambda theta, gradient, memory: scale * gradient(theta), in_closure)

    def in_array():
        weights[:] = 3.0
        return lambda: weights.fill(1.0)

    changed(lambda theta, gradient, memory: gradient(theta) * weights[0], in_array)


class Unknown:
    """An object that shows nothing of what it holds."""

    __slots__ = ("scale",)


def test_what_cannot_be_seen_is_traced_anew():
    unknown = Unknown()
    unknown.scale = 1.0
    changed(
        lambda theta, gradient, memory: unknown.scale * gradient(theta),
        assigned(unknown, "scale", 3.0),
    )


def wrong(step, change):
    """A traced step with one output changed."""
    code = step.code
    n = len(code.inputs) + len(code.operations)
    operations = (*code.operations, change(code.outputs))
    outputs = tuple(n if value == change(code.outputs)[1] else value for value in code.outputs)
    return dataclasses.replace(step, code=dataclasses.replace(code, operations=operations, outputs=outputs), runs=0)


@pytest.mark.parametrize("points", [START, [START, (0.3, 0.2)]])
@pytest.mark.parametrize(
    "change",
    [
        lambda outputs: ("multiply", outputs[0], 1 + 1e-11),
        lambda outputs: ("add", outputs[0], 1e-12),
        lambda outputs: ("multiply", outputs[2], 1 + 1e-12),
    ],
)
def test_a_wrong_trace_is_not_used(points, change, monkeypatch):
    """Were it not compared with plain steps, this would go unseen."""
    optimizer = bea.heavy_ball(0.9)
    wanted = bea.run(optimizer, by_code(HIMMELBLAU), points, 0.01, 30)
    traced_step = straight.traced_step
    monkeypatch.setattr(runs, "traced_step", lambda *given: wrong(traced_step(*given), change))
    np.testing.assert_array_equal(bea.run(optimizer, HIMMELBLAU, points, 0.01, 30), wanted)
    monkeypatch.setattr(runs, "_agrees", lambda *given: True)  # the control
    assert not np.array_equal(bea.run(optimizer, HIMMELBLAU, points, 0.01, 30), wanted)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("place", [0, -1])
def test_both_ends_of_a_batch_are_compared(count, place, monkeypatch):
    """A trace that is wrong for one point alone: as a key, a traced number is not what it is in the program."""

    def loss():
        return bea.NumericLoss(2, None, lambda t: {-0.5: 2.0}.get(t[0], 1.0) * t)

    points = np.linspace((0.4, 0.1), (0.9, 0.3), count)
    points[place] = -0.5, 0.6
    wanted = points * np.where(points[:, :1] == -0.5, 0.8, 0.9)
    np.testing.assert_allclose(bea.run(bea.gradient_descent(), loss(), points, 0.1, 1)[1], wanted, rtol=1e-14)
    monkeypatch.setattr(runs, "_agrees", lambda *given: True)  # the control
    assert not np.allclose(bea.run(bea.gradient_descent(), loss(), points, 0.1, 1)[1], wanted)


def test_exact_numbers_are_floats():
    exact = bea.adam(sp.Rational(3, 5), Fraction(4, 5), sp.Rational(1, 20))
    np.testing.assert_array_equal(
        bea.run(exact, HIMMELBLAU, START, 0.01, 5),
        bea.run(bea.adam(0.6, 0.8, 0.05), HIMMELBLAU, START, 0.01, 5),
    )


# --- random programs and losses ------------------------------------------------------------------------

atoms = st.sampled_from(["g", "theta", "ahead", "time", "one"])
decays = st.sampled_from([0.0, 0.3, 0.9])
values = st.recursive(
    atoms,
    lambda inner: (
        st.tuples(st.sampled_from(["add", "sub", "mul", "quotient", "max"]), inner, inner)
        | st.tuples(st.sampled_from(["tanh", "clip", "norm", "square", "root", "abs", "decay"]), inner)
        | st.tuples(st.sampled_from(["average", "corrected"]), inner, decays)
        | st.tuples(st.just("previous"), inner)
    ),
    max_leaves=7,
)
formulas = st.recursive(
    st.sampled_from([x, y, sp.Integer(2), sp.Rational(-1, 3)]),
    lambda inner: (
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1])
        | st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1])
        | inner.map(lambda e: 1 / (2 + e**2))
        | inner.map(lambda e: sp.sqrt(1 + e**2))
        | inner.map(lambda e: sp.tanh(e))
        | inner.map(lambda e: sp.sin(e) * sp.exp(-(e**2)))
    ),
    max_leaves=6,
)


def computed(tree, known, memory, scale):
    """A random value of a program."""
    if isinstance(tree, str):
        return known[tree]
    name, *parts = tree
    a = computed(parts[0], known, memory, scale)
    if name in ("average", "corrected"):
        return memory.average(a, parts[1], corrected=name == "corrected")
    if name in ("add", "sub", "mul", "quotient", "max"):
        b = computed(parts[1], known, memory, scale)
        return {
            "add": lambda: a + scale * b,
            "sub": lambda: a - b,
            "mul": lambda: np.tanh(a) * b,
            "quotient": lambda: a / (1 + b**2),
            "max": lambda: np.maximum(a, b),
        }[name]()
    return {
        "tanh": lambda: np.tanh(a),
        "clip": lambda: np.clip(a, -0.5, 0.7),
        "norm": lambda: a / (1 + np.sum(a * a) ** 0.5),
        "square": lambda: np.tanh(a) ** 2,
        "root": lambda: (a**2 + 0.1) ** -0.5,
        "abs": lambda: np.abs(a),
        "decay": lambda: a * np.exp(-memory.time),
        "previous": lambda: memory.previous(a, start=0.25),
    }[name]()


@bea.optimizer
def random_program(theta, gradient, memory, scale, *, tree):
    g = gradient(theta)
    known = {"g": g, "theta": theta, "one": theta * 0 + 1, "time": theta * memory.time}
    if "ahead" in str(tree):
        known["ahead"] = gradient(theta - memory.h * g)
    return computed(tree, known, memory, scale) + np.tanh(g)


@draws(60)
@given(values, formulas, formulas)
def test_random_programs_on_random_losses(tree, first, second):
    """Run, iteration, columns of batches of 3 and 40, and the plain reading agree over 20 steps."""
    loss = bea.Loss(first * second + (x**2 + y**2) / 3, (x, y))
    optimizer = random_program(0.7, tree=tree)
    points = np.random.default_rng(7).uniform(-1, 1, (40, 2))
    try:
        columns = [bea.run(optimizer, loss, points[:count], 0.05, 20)[:, 1] for count in (3, 40)]
    except bea.Divergence:  # of a loss without a lower bound
        reject()
    alone = bea.run(optimizer, loss, points[1], 0.05, 20)
    walked = list(islice(bea.walk(optimizer, loss, points[1], 0.05), 21))
    np.testing.assert_array_equal(walked, alone)
    plain = bea.run(optimizer, by_code(loss), points[1], 0.05, 20)
    np.testing.assert_allclose(alone, plain, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(literally(optimizer, loss, points[1], 0.05, 20), plain, rtol=1e-10, atol=1e-11)
    for column in columns:
        np.testing.assert_allclose(column, alone, rtol=1e-12, atol=1e-13)


# --- mini-batches, memory, what is kept -------------------------------------------------------------------


@pytest.mark.parametrize("name, forced", [*((name, None) for name in HANDMADE), *(("adam", way) for way in WAYS)])
def test_mini_batches_are_seen_in_their_order(name, forced, monkeypatch):
    if forced:
        force(monkeypatch, forced)
    losses, order = [BILINEAR, LOSSES["cases"], HIMMELBLAU], (2, 0, 0, 1, 2, 1, 1, 0)
    optimizer, rule = HANDMADE[name]
    wanted = by_hand(rule, [losses[i].gradient for i in order], 0.002, 8)
    for problems in (losses, [by_code(losses[0]), *losses[1:]]):
        for theta0 in (START, [START, START]):
            path = bea.run(optimizer, problems, theta0, 0.002, 8, batches=order)
            np.testing.assert_allclose(path[:, -1] if path.ndim == 3 else path, wanted, rtol=1e-12)
        shorter = bea.run(optimizer, problems, START, 0.002, 5, batches=iter(order))
        np.testing.assert_allclose(shorter, wanted[:6], rtol=1e-12)
        walked = list(bea.walk(optimizer, problems, START, 0.002, batches=(i for i in order)))
        np.testing.assert_allclose(walked, wanted, rtol=1e-12)
        endless = bea.walk(optimizer, problems, [START, START], 0.002, batches=cycle(order))
        np.testing.assert_allclose([p[0] for p in islice(endless, 9)], wanted, rtol=1e-12)


@pytest.mark.parametrize("every", [1, 2, 5])
def test_mini_batches_stay_in_their_order_on_a_long_path(every):
    """Of which some thousand points are kept: the product of 1 - h rate over the steps."""
    steps, h = 2600 * every, 1e-3
    order = np.random.default_rng(5).integers(0, 3, steps)
    losses = [bea.quadratic([rate]) for rate in (-1, 0.5, 1)]
    for several in (losses, [by_code(loss) for loss in losses]):
        path = bea.run(bea.gradient_descent(), several, (1.0,), h, steps, batches=order, every=every)
        wanted = np.cumprod(1 - h * np.array([-1, 0.5, 1])[order])[every - 1 :: every]
        np.testing.assert_allclose(path[1:, 0], wanted, rtol=1e-11)


def test_the_same_loss_as_its_own_mini_batches():
    optimizer, loss = bea.adam(0.6, 0.8, 0.05), HIMMELBLAU
    path = bea.run(optimizer, loss, START, 0.01, 20)
    np.testing.assert_array_equal(bea.run(optimizer, [loss, loss], START, 0.01, 20, batches=[0, 1] * 10), path)
    np.testing.assert_array_equal(bea.run(optimizer, loss, START, 0.01, 20, batches=[0] * 20), path)


@pytest.mark.parametrize("name", ["heavy ball", "adam", "lion", "rmsprop, outside, corrected"])
def test_a_run_goes_on_from_its_memory(name):
    """Given its memory, a run without bias correction goes on as if it had never stopped."""
    optimizer = HANDMADE[name][0]
    if "bias_correction" in optimizer.hyperparameters:
        optimizer = optimizer.with_hyperparameters(bias_correction=False)
    for loss in (HIMMELBLAU, by_code(HIMMELBLAU)):
        whole = bea.run(optimizer, loss, [START, (0.2, 0.1)], 0.01, 30)
        theta, state = state_after(optimizer, loss, [START, (0.2, 0.1)], 0.01, 10)
        np.testing.assert_array_equal(theta.T, whole[10])
        memory = [np.broadcast_to(m, (2, 2)) for m, _ in state]
        np.testing.assert_array_equal(bea.run(optimizer, loss, theta.T, 0.01, 20, memory=memory), whole[10:])
        one = bea.run(optimizer, loss, theta.T[1], 0.01, 20, memory=[m[:, 1] for m in memory])
        np.testing.assert_array_equal(one, whole[10:, 1])
    # with a memory there is nothing to correct
    corrected = HANDMADE["adam"][0]
    uncorrected = HANDMADE["adam, not corrected"][0]
    memory = [np.array([0.1, 0.2]), np.array([0.3, 0.4])]
    np.testing.assert_array_equal(
        bea.run(corrected, HIMMELBLAU, START, 0.01, 20, memory=memory),
        bea.run(uncorrected, HIMMELBLAU, START, 0.01, 20, memory=memory),
    )


def test_a_memory_of_numbers_for_each_configuration():
    """The average of a norm: (), or (batch,), also where the batch is as large as theta."""
    loss, points = HIMMELBLAU, [START, (0.2, 0.1)]
    paths = [bea.run(with_norms(0.9), loss, p, 0.01, 9, memory=[s]) for p, s in zip(points, (1.0, 2.0))]
    for problem in (loss, by_code(loss)):
        together = bea.run(with_norms(0.9), problem, points, 0.01, 9, memory=[[1.0, 2.0]])
        np.testing.assert_allclose(together, np.stack(paths, axis=1), rtol=1e-12)
        same = bea.run(with_norms(0.9), problem, points, 0.01, 9, memory=[1.0])
        np.testing.assert_allclose(same[:, 0], paths[0], rtol=1e-12)


@bea.optimizer
def extrapolated(theta, gradient, memory):
    memory.previous(1.0 * memory.step)
    return gradient(2 * theta - memory.previous(theta, start=theta))


def test_a_memory_may_hold_theta_itself_and_the_step(way):
    """A state that is an input of the step must not be written over before it is kept."""
    loss, points = bea.NumericLoss(3, None, lambda t: np.cos(t[::-1])), np.linspace((0.1, 0.5, 2), (1, 0.7, 0.3), 9)
    path = [points, points - 0.1 * np.cos(points[:, ::-1])]
    for _ in range(3):
        path.append(path[-1] - 0.1 * np.cos(2 * path[-1] - path[-2])[:, ::-1])
    walked = list(islice(bea.walk(extrapolated(), loss, points, 0.1), 5))
    np.testing.assert_allclose(walked, path, rtol=1e-15)
    theta, [(step, _), (state, _)] = state_after(extrapolated(), loss, points, 0.1, 4)
    assert np.all(step == 3)
    np.testing.assert_allclose([state.T, theta.T], path[-2:], rtol=1e-15)


def test_the_state_after_steps():
    optimizer = bea.adam(0.6, 0.8, 0.05)
    for loss in (HIMMELBLAU, by_code(HIMMELBLAU)):
        theta, [(m, p), (v, q)] = state_after(optimizer, loss, START, 0.01, 3)
        path = bea.run(optimizer, loss, START, 0.01, 3)
        gradients = loss.gradient(path[:3])
        np.testing.assert_array_equal(theta, path[3])
        np.testing.assert_allclose(m, bea.weights(0.6, 3) @ gradients, rtol=1e-13)
        np.testing.assert_allclose(v, bea.weights(0.8, 3) @ gradients**2, rtol=1e-13)
        np.testing.assert_allclose([p, q], [0.6**3, 0.8**3], rtol=1e-15)
        theta, [(m, p), _] = state_after(optimizer, loss, [START, START], 0.01, 0)
        assert theta.shape == m.shape == (2, 2) and not m.any() and p == 1.0


@pytest.mark.parametrize("name", HANDMADE)
def test_no_steps_is_the_start(name):
    for loss in (bea.bilinear(), bea.logistic_regression()):
        assert bea.run(HANDMADE[name][0], loss, START, 0.1, 0).tolist() == [list(START)]
        assert bea.run(HANDMADE[name][0], loss, [START, START], 0.1, 0, every=3).shape == (1, 2, 2)


def test_the_start_is_not_changed_and_whole_numbers_are_floats():
    start = np.array([1, 2])
    path = bea.run(bea.gradient_descent(), bea.bilinear(), start, 0.01, 3)
    assert path.dtype == float and start.tolist() == [1, 2]
    iterates = bea.walk(bea.gradient_descent(), bea.bilinear(), START, 0.01)
    first = next(iterates)
    first[:] = 0  # the caller's own
    np.testing.assert_array_equal(next(iterates), bea.run(bea.gradient_descent(), bea.bilinear(), START, 0.01, 1)[1])


def test_every_kth_iterate_is_that_of_the_whole_run(way, monkeypatch):
    """One point, many, mini-batches, code; in pieces, too."""
    monkeypatch.setattr(runs, "PIECE", 7)
    monkeypatch.setattr(straight, "PATIENCE", 100)
    losses, order, sizes = [HIMMELBLAU, BILINEAR], [0, 1, 1] * 20, np.linspace(1e-4, 1e-3, 70)
    for optimizer in (bea.adam(0.6, 0.8, 0.05), normalized(0.5)):
        for problem, h, options in [
            (HIMMELBLAU, 0.01, {}),
            (by_code(HIMMELBLAU), 0.01, {}),
            (HIMMELBLAU, sizes, {}),
            (losses, sizes, {"batches": order}),
        ]:
            whole = bea.run(optimizer, problem, START, h, 60, **options)
            for every in (4, 60):
                part = bea.run(optimizer, problem, START, h, 60, every=every, **options)
                np.testing.assert_array_equal(part, whole[::every])


def peak_bytes(*arguments, **options):
    """The memory that a run takes at its worst, after some to fill caches, and the bytes that it returns."""
    for _ in range(3):
        bea.run(*arguments, **options)
    tracemalloc.start()
    try:
        path = bea.run(*arguments, **options)
        return tracemalloc.get_traced_memory()[1], path.nbytes
    finally:
        tracemalloc.stop()


def test_memory_grows_with_what_is_kept(way):
    """Twelve configurations, 1200 steps: what is kept, a quarter more, and a piece of Python's numbers."""
    optimizer, kept = bea.adam(np.linspace(0.01, 0.9, 12), 0.99, 0.01), []
    for every in (1, 10, 1200):
        peak, stored = peak_bytes(optimizer, BILINEAR, START, 1e-3, 1200, every=every)
        assert stored == (1200 // every + 1) * 192
        assert stored < peak < 1.25 * stored + 150_000
        kept.append(peak)
    assert kept[0] > 2 * kept[1]  # the control: a run that keeps all needs more


def test_traces_do_not_keep_losses_and_programs_alive():
    @bea.optimizer
    def own(theta, gradient, memory):
        return 2 * gradient(theta)

    loss = bea.Loss(x**4 / 7 + y**2, (x, y))
    bea.run(own(), loss, START, 0.01, 5)
    count = len(straight._steps)
    del loss, own
    gc.collect()
    assert len(straight._steps) == count - 1


def test_few_traces_of_one_loss_are_kept(monkeypatch):
    monkeypatch.setattr(bea.program, "KEPT", 3)
    loss = bea.Loss(x**4 / 11 + y**2, (x, y))
    for weight_decay in range(1, 6):  # whole numbers are constants of a trace
        optimizer = bea.adamw(0.9, 0.9, 0.1, float(weight_decay)).with_hyperparameters(epsilon_inside=weight_decay > 2)
        path = bea.run(optimizer, loss, START, 1e-3 / weight_decay, 5)
        plain = bea.run(optimizer, by_code(loss), START, 1e-3 / weight_decay, 5)
        np.testing.assert_allclose(path, plain, rtol=1e-13)
        assert 1 <= len(straight._steps[loss]) <= 3
    for k in range(5):
        zeros = {name: 0.0 for name in list(optimizer.hyperparameters)[:k] if name != "weight_decay"}
        bea.run(optimizer.with_hyperparameters(**zeros), loss, START, 1e-4, 5)
        assert 1 <= len(straight._steps[loss]) <= 3


# --- which way is taken ----------------------------------------------------------------------------------


def ways_taken(monkeypatch, numba, *given, **options):
    taken = []
    cheapest = StraightRun.cheapest

    def watched(self, total):
        way, width = cheapest(self, total)
        taken.append(way.__name__)
        return way, width

    monkeypatch.setattr(trace, "numba_is_there", lambda: numba)
    with monkeypatch.context() as patch:
        patch.setattr(StraightRun, "cheapest", watched)
        bea.run(*given, **options)
    return taken


def test_the_cheapest_way_is_taken(monkeypatch):
    pytest.importorskip("numba", reason="Numba is not installed")
    loss, adam = bea.Loss(x**4 + y**2 + x * y, (x, y)), bea.adam(0.6, 0.8, 0.05)
    many = np.random.default_rng(0).uniform(-1, 1, (2000, 2))

    def taken(numba, theta0, steps):
        return ways_taken(monkeypatch, numba, adam, loss, theta0, 1e-3, steps, every=steps // 10)

    assert taken(False, START, 10) == taken(True, START, 10) == ["floats"]
    assert taken(False, [START] * 3, 10) == ["floats"]
    assert taken(False, many, 10) == taken(True, many, 10) == ["arrays"]
    assert taken(True, START, 10**6) == ["compiled"]
    assert taken(True, START, 10) == taken(True, many, 10) == ["compiled"]  # it is there
    assert taken(False, START, 10) == ["floats"]


def test_a_long_step_is_made_for_many_configurations_at_once(monkeypatch):
    """By NumPy for as many as the memory has room for, with the same bits; by Numba if that takes longer than to compile."""
    optimizer, loss = bea.adam(0.9, 0.99, 0.01), bea.NumericLoss(60, None, chain_gradient)
    points, numbers = np.random.default_rng(0).uniform(0.6, 1.4, (40, 60)), []
    made = StraightRun.whole

    def whole(self, piece, block, *given):
        numbers.append((piece[:, :, block].shape[2], self.rolls[-1].end))
        made(self, piece, block, *given)

    monkeypatch.setattr(StraightRun, "whole", whole)
    assert ways_taken(monkeypatch, False, optimizer, loss, points, 0.01, 3) == ["whole"]
    path = bea.run(optimizer, loss, points, 0.01, 3)
    [*_, (columns, size)] = numbers
    assert columns == 40
    for room in (0, 7 * size, 8 * size - 1):
        numbers.clear()
        monkeypatch.setattr(straight, "ROOM", room)
        np.testing.assert_array_equal(bea.run(optimizer, loss, points, 0.01, 3), path)
        assert [columns for columns, _ in numbers] == ([7] * 5 + [5] if room else [1] * 40)
    if trace.numba_is_there():
        assert ways_taken(monkeypatch, True, optimizer, loss, points[0], 1e-3, 50_000, every=50_000) == ["in_loops"]


def test_a_batch_goes_on_from_its_memory_as_straight_line_code(monkeypatch):
    points, memory = [START, (0.3, 0.2), (0.1, 0.4)], np.arange(6.0).reshape(2, 3)
    given = (bea.heavy_ball(0.6), HIMMELBLAU, points, 0.01, 7)
    assert ways_taken(monkeypatch, False, *given, memory=[memory]) in (["floats"], ["arrays"])
    path = bea.run(*given, memory=[memory])
    for k in range(3):
        alone = bea.run(bea.heavy_ball(0.6), by_code(HIMMELBLAU), points[k], 0.01, 7, memory=[memory[:, k]])
        np.testing.assert_allclose(path[:, k], alone, rtol=1e-13)
    common = bea.run(*given, memory=[memory[:, :1]])  # one memory for all of them
    np.testing.assert_array_equal(common, bea.run(*given, memory=[np.repeat(memory[:, :1], 3, axis=1)]))


def test_many_short_runs_are_worth_compiling(monkeypatch):
    pytest.importorskip("numba", reason="Numba is not installed")
    monkeypatch.setattr(trace, "COMPILING", 0.02)
    monkeypatch.setattr(trace, "COMPILING_LINE", 0.0)
    loss = bea.Loss(x**4 + 3 * y**2 + x * y, (x, y))
    taken = [ways_taken(monkeypatch, True, bea.heavy_ball(0.6), loss, START, 1e-3, 2000)[0] for _ in range(30)]
    assert taken[0] == "floats" and taken[-1] == "compiled"


def test_one_configuration_of_a_batch_may_be_compiled(monkeypatch):
    """A program that branches on a decay is traced for each configuration alone; its points lie apart in the path."""
    pytest.importorskip("numba", reason="Numba is not installed")
    monkeypatch.setattr(straight, "COMPILING", 0.0)
    monkeypatch.setattr(straight, "COMPILING_LINE", 0.0)

    @bea.optimizer
    def branching(theta, gradient, memory, beta: bea.Decay):
        return gradient(theta) if beta == 0 else memory.average(gradient(theta), beta)

    rates, betas = np.linspace(0.5, 1.5, 120), np.array([0.0, 0.9, 0.5])
    path = bea.run(branching(betas), bea.quadratic(list(rates)), np.linspace(1, 2, 120), 0.01, 60)
    for i, beta in enumerate(betas):
        theta, m = np.linspace(1, 2, 120), 0.0
        for n in range(60):
            m = beta * m + (1 - beta) * rates * theta
            theta = theta - 0.01 * m
            np.testing.assert_allclose(path[n + 1, i], theta, rtol=1e-12)


@pytest.mark.parametrize("length", [2, 3])
def test_a_state_that_is_common_to_a_batch_is_no_batch(monkeypatch, length):
    """Here a vector with as many entries as there are configurations, or one more."""
    common = np.array([1.0, 3.0, 2.0][:length])

    @bea.optimizer
    def scaled(theta, gradient, memory, beta: bea.Decay):
        return SCALE * gradient(theta) * np.max(memory.average(common, beta))

    monkeypatch.setitem(globals(), "SCALE", 1.0)

    class Own(bea.NumericLoss):
        """Of a class of its own: what it reads is not known, so that it is not traced."""

    untraceable = Own(2, None, lambda theta: theta)
    h = np.array([0.01, 0.02])
    theta, m = np.ones(2), 0.0
    for n, points in enumerate(islice(bea.walk(scaled(0.5), untraceable, np.ones((2, 2)), h), 8)):
        np.testing.assert_allclose(points[:, 0], theta, rtol=1e-13)
        if n == 3:
            monkeypatch.setitem(globals(), "SCALE", 0.5)
        m = 0.5 * m + 0.5 * 3
        theta = theta - h * SCALE * theta * m


def test_a_run_that_keeps_few_iterates_ends_early_too():
    """Not after 4096 rows of a hundred steps, but after about 4096 steps."""
    asked = []

    def gradient(theta):
        asked.append(None)
        return theta

    with pytest.raises(bea.Divergence, match="diverged by step 700: the last iterate known to be finite is step 600"):
        bea.run(bea.gradient_descent(), bea.NumericLoss(1, None, gradient), (1.0,), 4.0, 100_000, every=100)
    assert len(asked) < 10_000


def test_what_numba_lacks_is_run_otherwise(monkeypatch):
    force(monkeypatch, "compiled")
    monkeypatch.setattr(straight, "by_numba", lambda *given: None)
    loss = bea.Loss(x**4 + 5 * y**2 + x * y, (x, y))
    for theta0 in (START, [START] * 2, [START] * 30):
        path = bea.run(bea.heavy_ball(0.6), loss, theta0, 1e-3, 20)
        np.testing.assert_array_equal(path, bea.run(bea.heavy_ball(0.6), by_code(loss), theta0, 1e-3, 20))


@pytest.mark.parametrize("loss", [bea.Loss(x**4 + 7 * y**2, (x, y)), bea.Loss(sp.exp(x) + 7 * y**2, (x, y))])
def test_functions_of_intels_library_are_not_compiled(monkeypatch, loss):
    """Their last bits depend on a number's place in the loop; sums and products are the same everywhere."""
    numba = pytest.importorskip("numba", reason="Numba is not installed")
    monkeypatch.setattr(numba.config, "USING_SVML", True)
    force(monkeypatch, "compiled")
    path = bea.run(bea.heavy_ball(0.6), loss, [START] * 3, 1e-3, 20)
    [step] = straight._steps[loss].values()
    loop = straight._loop((step,), 3, 2, straight.WIDTH, False)
    assert (loop is not None) == step.code.exact == (not loss.expression.has(sp.exp))
    for k in range(3):
        np.testing.assert_array_equal(path[:, k], bea.run(bea.heavy_ball(0.6), by_code(loss), START, 1e-3, 20))


def test_a_compiled_run_can_be_interrupted(monkeypatch):
    force(monkeypatch, "compiled")
    bea.run(bea.adam(0.6, 0.8, 0.05), HIMMELBLAU, START, 1e-3, 10)  # compiles it

    begun = time.process_time()
    with interrupted(0.3):
        bea.run(bea.adam(0.6, 0.8, 0.05), HIMMELBLAU, START, 1e-3, 10**10, every=10**10)
    assert time.process_time() - begun < 1.3


# --- losses given by code, read plainly --------------------------------------------------------------------


def counting(loss):
    seen = []

    def gradient(theta):
        seen.append(np.shape(theta))
        return loss.gradient_code(theta)

    return bea.NumericLoss(2, loss.value_code, gradient), seen


def test_a_long_compiled_run_is_made_in_pieces():
    """Twenty million steps, of which each piece begins where the last one ended: (1 - h)^n."""
    pytest.importorskip("numba", reason="Numba is not installed")
    path = bea.run(bea.gradient_descent(), bea.quadratic([1, 2]), (1.0, -3.0), 1e-7, 2 * 10**7, every=4 * 10**6)
    steps = 4e6 * np.arange(6)
    wanted = np.stack([(1 - 1e-7) ** steps, -3 * (1 - 2e-7) ** steps], axis=1)
    np.testing.assert_allclose(path, wanted, rtol=1e-8)


def test_a_loss_may_have_a_state():
    """One gradient a step, as in a loop: it may draw its own mini-batches."""
    loss, seen = counting(HIMMELBLAU)
    seen.clear()
    bea.run(bea.adam(0.6, 0.8, 0.05), loss, START, 0.01, 7)
    assert seen == [(2,)] * 7
    seen.clear()
    list(islice(bea.walk(bea.adam(0.6, 0.8, 0.05), loss, START, 0.01), 8))
    assert seen == [(2,)] * 7


def test_a_batch_is_computed_together():
    """One gradient a step, one to see whether the program mixes columns, and those by which a loss is compared once."""

    @bea.optimizer
    def weighted(theta, gradient, memory):
        return (gradient(theta).T * WEIGHTS).T

    for optimizer in (bea.adam(0.6, 0.8, 0.05), weighted()):
        loss, seen = counting(HIMMELBLAU)
        bea.run(optimizer, loss, np.random.default_rng(0).uniform(0, 1, (5, 2)), 0.01, 7)
        assert seen.count((2, 5)) == 17 and seen.count((2,)) == 2


@pytest.mark.parametrize("name", ["normalized", "by its largest", "norms", "listing"])
def test_programs_that_mix_columns_are_run_apart(name):
    points = np.random.default_rng(3).uniform(-1, 1, (4, 2))
    loss = by_code(HIMMELBLAU)
    path = bea.run(OWN[name], loss, points, 0.01, 20)
    for k in range(4):
        np.testing.assert_array_equal(path[:, k], bea.run(OWN[name], loss, points[k], 0.01, 20))
    theta, state = state_after(OWN[name], loss, points, 0.01, 20)
    np.testing.assert_array_equal(theta.T, path[-1])
    assert all(m.shape[-1] == 4 for m, _ in state)


def test_a_program_that_mixes_columns_later_is_run_apart_from_the_start():
    @bea.optimizer
    def late(theta, gradient, memory):
        return gradient(theta) * (1 if memory.step < 2 else np.sum(theta))

    points, loss = [(0.1, 0.2), (0.3, -0.4)], by_code(HIMMELBLAU)
    path = bea.run(late(), loss, points, 0.001, 10)
    for k in range(2):
        np.testing.assert_array_equal(path[:, k], bea.run(late(), loss, points[k], 0.001, 10))


def test_losses_that_mix_points_are_run_apart():
    loss = bea.NumericLoss(2, lambda t: 0.0, lambda t: t / np.sqrt(np.sum(t * t)))
    points = [(0.5, 0.6), (1.5, -0.6), (2.0, 0.1)]
    path = bea.run(bea.heavy_ball(0.5), loss, points, 0.01, 10)
    for k in range(3):
        np.testing.assert_array_equal(path[:, k], bea.run(bea.heavy_ball(0.5), loss, points[k], 0.01, 10))


def test_losses_that_branch_on_all_points_are_run_apart():
    """At the start it is the same branch for each point."""
    loss = bea.NumericLoss(2, None, lambda t: t if (t > 1).any() else 2 * t)
    points = [(0.5, 1.2), (0.5, 1.3), (0.5, 2.9)]
    path = bea.run(bea.gradient_descent(), loss, points, 0.05, 20)
    for k in range(3):
        np.testing.assert_allclose(path[:, k], bea.run(bea.gradient_descent(), loss, points[k], 0.05, 20), rtol=1e-13)


def test_single_precision_gradients_do_not_make_the_run_single():
    loss = bea.NumericLoss(2, lambda t: 0.0, lambda t: t.astype(np.float32))
    with pytest.warns(UserWarning, match="float32"):
        path = bea.run(bea.heavy_ball(0.9), loss, START, 1 / 3, 5)
    assert path.dtype == float and (path[1:] != path[1:].astype(np.float32)).any()


# --- losses given by code that cannot change unseen -------------------------------------------------------

DATA = np.random.default_rng(7).normal(size=(20, 6))
SIGNS = np.sign(DATA @ np.linspace(-1, 1, 6) + 0.1)


def logistic_gradient(t):
    return -DATA.T @ (SIGNS / (1 + np.exp(SIGNS * (DATA @ t)))) / len(SIGNS)


def chain_gradient(t):
    g = np.zeros_like(t)
    r = t[1:] - t[:-1] ** 2
    g[:-1] = -4 * r * t[:-1] - (1 - t[:-1]) / 50
    g[1:] += 2 * r
    return g


def kinked_gradient(t):
    return np.where(t > 1, np.maximum(t, 0.3) ** 2, np.sin(t)) + np.mean(t)


def scaled(scale, t):
    return scale * t


@pytest.mark.parametrize(
    "gradient, d",
    [(logistic_gradient, 6), (chain_gradient, 40), (kinked_gradient, 7), (partial(scaled, np.arange(1.0, 9.0)), 8)],
)
def test_code_that_cannot_change_is_run_as_straight_line_code(gradient, d, monkeypatch):
    """In every way with the same bits, and as the code itself but for round-off."""
    start, h, beta, rho, epsilon = np.linspace(0.6, 1.4, d), 0.01, 0.9, 0.95, 1e-2
    m, v, theta, wanted = np.zeros(d), np.zeros(d), start, [start]
    for n in range(1, 41):
        g = gradient(theta)
        m, v = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g * g
        theta = theta - h * (m / (1 - beta**n)) / (np.sqrt(v / (1 - rho**n)) + epsilon)
        wanted.append(theta)
    optimizer = bea.adam(beta, rho, epsilon, epsilon_inside=False)
    paths = []
    for way in WAYS if trace.numba_is_there() else ("floats", "arrays", "whole"):
        with monkeypatch.context() as patch:
            made = force(patch, way)
            loss = bea.NumericLoss(d, None, gradient)
            paths.append(bea.run(optimizer, loss, start, h, 40))
            assert len(made) == 1
            several = bea.run(optimizer, loss, [start, start / 2], h, 40)
            if way != "arrays" or gradient not in (logistic_gradient, kinked_gradient):
                np.testing.assert_array_equal(paths[-1], paths[0])
                np.testing.assert_array_equal(several[:, 0], paths[0])
    for path in paths:
        np.testing.assert_allclose(path, wanted, rtol=1e-11)


def test_code_may_read_what_changes_between_runs():
    """Arrays are looked at each time, whoever holds them."""
    weights = np.array([1.0, 2.0])
    for gradient in (lambda t: weights * t, partial(scaled, weights), lambda t, w=weights: w * t):
        loss = bea.NumericLoss(2, None, gradient)
        for w in (2.0, 3.0):
            weights[1] = w
            path = bea.run(bea.gradient_descent(), loss, START, 0.1, 2)
            np.testing.assert_allclose(path[-1], START * (1 - 0.1 * weights) ** 2, rtol=1e-14)


counter = 0


def test_code_that_does_more_than_compute_is_called_at_every_step(capsys):
    calls, count, seen = [], 0, []

    def by_global(t):
        global counter
        counter += 1
        return t

    def by_closure(t):
        nonlocal count
        count += 1
        return t

    def by_list(t, seen=seen):
        seen.append(1)
        return t

    def by_print(t):
        print("a gradient")
        return t

    def by_random(t):
        calls.append(np.random.default_rng(0).normal())
        return t

    for gradient in (by_global, by_closure, by_list, by_print, by_random):
        bea.run(bea.heavy_ball(0.5), bea.NumericLoss(1, None, gradient), (1.0,), 0.1, 50)
    assert counter == count == len(seen) == len(calls) == 50
    assert capsys.readouterr().out.count("a gradient") == 50


def attributed(t):
    return attributed.scale * t


@wraps(np.sum)
def disguised(t):
    return SCALE * t


def importing(t):
    import settings

    return settings.scale * t


class Subclass(np.ndarray):
    """An array that holds more than its numbers."""


SUBCLASS = np.ones(2).view(Subclass)
INNER = bea.NumericLoss(2, None, lambda t: SCALE * t)
MADE = np.frompyfunc(lambda t: SCALE * t, 1, 1)
INNER_CODE = INNER.gradient_code
attributed.scale = SUBCLASS.scale = 1.0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "gradient",
    [
        attributed,
        lambda t: attributed(t),
        lambda t: disguised(t),
        importing,
        lambda t: eval("SCALE") * t,
        lambda t: globals()["SCALE"] * t,
        lambda t: np.array(list(MADE(t))),
        lambda t: INNER.gradient_code(t),
        lambda t: INNER_CODE(t),
        lambda t: SUBCLASS.scale * t,
        lambda t: np.array([SCALE * s for s in t]),
    ],
)
def test_nothing_that_changes_between_runs_of_a_loss_is_overlooked(gradient, monkeypatch):
    settings, loss = types.SimpleNamespace(), bea.NumericLoss(2, None, gradient)
    monkeypatch.setitem(sys.modules, "settings", settings)
    for scale in (1.0, 1.0, 3.0):
        monkeypatch.setitem(globals(), "SCALE", scale)
        for owner in (attributed, SUBCLASS, settings):
            monkeypatch.setattr(owner, "scale", scale, raising=False)
        path = bea.run(bea.gradient_descent(), loss, START, 0.1, 2)
        np.testing.assert_allclose(path[-1], (1 - 0.1 * scale) ** 2 * np.array(START), rtol=1e-14)


def caught(t):
    try:
        return t * max(float(t[0]), 0.5)
    except TypeError:
        return t * t[0]


def branched(t):
    try:
        return 0.2 + 0 * t if t[0] < 0.5 else t
    except TypeError:
        return t


@pytest.mark.parametrize(
    "code",
    [
        caught,
        branched,
        lambda t: np.maximum(t, 0.5) if isinstance(t, np.ndarray) and t.dtype == float else t,
        lambda t: np.maximum(t, 0.5) if np.isscalar(t[0]) else t,
        lambda t: np.nan_to_num(np.sqrt(t - 0.5) + 0.1, nan=0.3),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_code_that_asks_what_a_number_is_is_read_plainly(code):
    """On a traced number it would be other code, and only later steps would show it."""
    wanted = by_hand(gradient_descent, [code] * 40, 0.05, 40)
    path = bea.run(bea.gradient_descent(), bea.NumericLoss(2, None, code), START, 0.05, 40)
    np.testing.assert_allclose(path, wanted, rtol=1e-13)
    half = bea.Loss((x**2 + y**2) / 2, (x, y))
    program = bea.optimizer(lambda theta, gradient, memory: code(gradient(theta)))
    np.testing.assert_allclose(bea.run(program(), half, START, 0.05, 40), wanted, rtol=1e-13)


def test_numbers_of_either_zero_are_told_apart(monkeypatch):
    loss = bea.NumericLoss(2, None, lambda t: t + np.copysign(1.0, SCALE))
    for scale in (0.0, -0.0):
        monkeypatch.setitem(globals(), "SCALE", scale)
        path = bea.run(bea.gradient_descent(), loss, START, 0.5, 1)
        np.testing.assert_allclose(path[1], np.array(START) / 2 - np.copysign(0.5, scale))


def test_a_variable_that_is_not_there_yet():
    def made():
        def program(theta, gradient, memory):
            return gradient(theta) if len(theta) == 2 else factor * theta

        return bea.optimizer(program)
        factor = 1.0

    path = bea.run(made()(), HIMMELBLAU, START, 0.01, 5)
    np.testing.assert_array_equal(path, bea.run(bea.gradient_descent(), HIMMELBLAU, START, 0.01, 5))


def test_functions_that_call_each_other_are_read_once():
    """Each calls all others: as many orders as there are of eleven."""
    space = {}
    for k in range(11):
        exec(f"def f{k}(t, n=0):\n return t if n == 0 else {' + '.join(f'f{j}(t)' for j in range(11))}", space)
    begun = time.process_time()
    assert outside(space["f0"]) == outside(space["f0"]) is not None
    assert time.process_time() - begun < 1


def test_programs_are_not_kept_alive():
    def made(scale):
        return bea.optimizer(lambda theta, gradient, memory: scale * gradient(theta))

    kept = []  # by losses that no other test has: steps are kept as long as an equal loss is
    for k in range(3):
        optimizer = made(np.array(1.0 + k))()
        bea.run(optimizer, bea.Loss(x**2 + 131 * y**2 + k, (x, y)), START, 0.001, 3)
        kept.append(weakref.ref(optimizer.program.__wrapped__))
    del optimizer
    gc.collect()
    assert [k() for k in kept] == [None] * 3


def test_a_large_loss_is_left_to_its_code():
    """Not traced, and not for long tried to: a matrix of the data or of pairs, or the point itself, is too large.

    A small one is traced.
    """
    features = np.random.default_rng(0).normal(size=(400, 300))
    begun = time.process_time()
    codes = (
        (lambda t: features.T @ (features @ t), 300),
        (lambda t: 2 * t, 10**5),
        (lambda t: np.outer(t, t) @ t, 700),
        (lambda t: np.tanh(t[:, None] - t).sum(axis=1), 700),
    )
    for gradient, d in codes:
        loss = bea.NumericLoss(d, None, gradient)
        bea.run(bea.adam(0.9, 0.99, 0.1), loss, np.ones(d), 1e-4, 3)
        assert not any(straight._steps.get(loss, {}).values())
    assert time.process_time() - begun < 6
    few = features[:3, :2]
    loss = bea.NumericLoss(2, None, lambda t: few.T @ (few @ t))
    bea.run(bea.adam(0.9, 0.99, 0.1), loss, np.ones(2), 1e-4, 3)
    assert any(straight._steps[loss].values())


def test_a_trace_is_compared_at_the_first_runs_and_then_more_rarely(monkeypatch):
    loss, seen, agrees = bea.Loss(x**4 + 11 * y**2, (x, y)), [], runs._agrees
    monkeypatch.setattr(runs, "_agrees", lambda *given: seen.append(number) or agrees(*given))
    for number in range(1, 21):
        bea.run(bea.heavy_ball(0.6), loss, START, 1e-3, 4 + number)
    assert seen == [1, 2, 4, 8, 16]
    monkeypatch.setattr(runs, "_agrees", lambda *given: seen.append(number) or False)
    for number in range(21, 36):  # at 32 it differs, and is not trusted then
        bea.run(bea.heavy_ball(0.6), loss, START, 1e-3, 4 + number)
    monkeypatch.setattr(runs, "_agrees", lambda *given: seen.append(number) or agrees(*given))
    for number in range(36, 40):
        bea.run(bea.heavy_ball(0.6), loss, START, 1e-3, 4 + number)
    assert seen[5:] == [*range(32, 40)]


# --- what leaves the finite numbers -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["expression", "code"])
def test_a_diverging_run_says_where(kind, way):
    """h lambda = 3: the sizes double, and 2^1024 is beyond the floats."""
    loss = bea.quadratic([1]) if kind == "expression" else by_code(bea.quadratic([1]))
    with pytest.raises(bea.Divergence, match="diverged at step 1024: the last finite") as caught:
        bea.run(bea.gradient_descent(), loss, (1.0,), 3.0, 5000)
    np.testing.assert_array_equal(caught.value.path[:, 0], (-2.0) ** np.arange(1024))
    assert caught.value.step == 1024 and caught.value.configurations == ()
    with pytest.raises(bea.Divergence, match="step 1030: the last iterate known to be finite is step 1020") as caught:
        bea.run(bea.gradient_descent(), loss, (1.0,), 3.0, 2000, every=10)
    np.testing.assert_array_equal(caught.value.path[:, 0], (-2.0) ** np.arange(0, 1024, 10))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.step, again.path.shape, str(again)) == (1030, (103, 1), str(caught.value))


def test_of_a_batch_the_diverging_configurations_are_named(way):
    starts, sizes = [(1.0,), (1.0,), (0.5,), (-1.0,)], np.array([0.5, 3.0, 2.5, 3.0])
    for loss in (bea.quadratic([1]), by_code(bea.quadratic([1]))):
        with pytest.raises(bea.Divergence, match=r"at step 1024 \(configurations \[1, 3\]\)") as caught:
            bea.run(bea.gradient_descent(), loss, starts, sizes, 2000)
        assert caught.value.configurations == (1, 3) and caught.value.path.shape == (1024, 4, 1)
        assert np.isfinite(caught.value.path).all()


def test_an_iteration_says_where_it_diverges():
    points = []
    with pytest.raises(bea.Divergence, match="diverged at step .* take a smaller step than h = 10") as caught:
        for point in bea.walk(bea.gradient_descent(), bea.bilinear(), (2.8, 3.5), 10.0):
            points.append(point)
    assert caught.value.step == len(points) and np.isfinite(points).all()
    np.testing.assert_array_equal(caught.value.path, points[-1:])
    for start, step in ((1.0, 1024), (2.0, 1023)):
        with pytest.raises(bea.Divergence, match=f"at step {step}: the last finite iterate is step {step - 1}"):
            list(bea.walk(bea.gradient_descent(), bea.quadratic([1]), (start,), 3.0))


def test_a_long_run_that_diverges_stops_early():
    begun = time.process_time()
    with pytest.raises(bea.Divergence, match="step 1024"):
        bea.run(bea.gradient_descent(), bea.quadratic([1]), (1.0,), 3.0, 10**7)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("theta0", [(0.5,), [(2.0,), (0.5,)]])
def test_a_start_without_a_gradient_is_not_blamed_on_the_step_size(theta0):
    loss = bea.Loss(sp.sqrt(x - 1), (x,))
    for problem in (loss, by_code(loss)):
        with pytest.raises(ValueError, match="the gradient is not finite at the start: coordinate 0"):
            bea.run(bea.gradient_descent(), problem, theta0, 0.1, 10, every=5)
        with pytest.raises(ValueError, match="the gradient is not finite at the start: coordinate 0"):
            list(islice(bea.walk(bea.gradient_descent(), problem, theta0, 0.1), 3))
        with pytest.raises(ValueError, match="the gradient is not finite at the start: coordinate 0"):
            state_after(bea.heavy_ball(0.5), problem, theta0, 0.1, 4)


def test_an_update_that_is_not_finite_is_not_blamed_on_the_step_size():
    for loss in (bea.quadratic([1, 4]), by_code(bea.quadratic([1, 4]))):
        with pytest.raises(bea.Divergence, match="the gradient at the start is finite, but the update is not"):
            bea.run(bea.adam(0.9, 0.99, 0.0), loss, (1.0, 0.0), 0.1, 3)


def test_a_first_step_that_is_too_large_is_blamed_on_the_step_size():
    for loss in (bea.quadratic([1e200]), by_code(bea.quadratic([1e200]))):
        with pytest.raises(bea.Divergence, match="at step 1: .*; take a smaller step than h"):
            bea.run(bea.gradient_descent(), loss, (1e100,), 1e10, 3)


def test_an_overflow_on_the_way_is_no_divergence(way):
    """Where math raises, arrays go on: 1/(1 + e^800) is 0, and e^(e^7) is infinite in a case not taken."""
    field = bea.VectorField((1 / (1 + sp.exp(x) ** 2),), (x,))
    assert bea.run(bea.heavy_ball(0.5), field, (800.0,), 0.1, 5)[:, 0].tolist() == [800.0] * 6
    cases = bea.VectorField((sp.Piecewise((-sp.exp(sp.exp(x)), x < 5), (-1, True)),), (x,))
    for theta0 in ((7.0,), [(7.0,), (8.0,)]):
        path = bea.run(bea.gradient_descent(), cases, theta0, 0.5, 3).reshape(4, -1)
        np.testing.assert_array_equal(path[:, 0], [7.0, 6.5, 6.0, 5.5])


@pytest.mark.parametrize(
    "expression, start",
    [
        (-1 - x ** sp.Rational(2, 3), 1.0),
        (sp.sign(sp.log(x)) - 1, 0.5),
        (-sp.Piecewise((1, x > 0)), 0.4),
        (sp.log(x), 0.5),
    ],
)
def test_what_is_no_number_diverges_in_every_way(expression, start, way):
    """In Python (-0.2)**(2/3) is complex, and None is no case; a path holds real numbers."""
    field = bea.VectorField((expression,), (x,))
    with pytest.raises(bea.Divergence) as caught:
        bea.run(bea.gradient_descent(), field, (start,), 0.6, 10)
    assert caught.value.path.dtype == float and 1 <= len(caught.value.path) <= 3
    with pytest.raises(bea.Divergence) as again:
        bea.run(bea.gradient_descent(), by_code(field), [(start,), (start,)], 0.6, 10)
    assert again.value.step == caught.value.step


def test_a_maximum_does_not_hide_what_is_no_number(way):
    """Neither in a loss nor in a program, on the left or on the right."""

    @bea.optimizer
    def clipped(theta, gradient, memory):
        return np.clip(np.minimum(gradient(theta), 1), 0, 1)

    for larger in (lambda t: np.maximum(np.log(t), t) + 1, lambda t: np.maximum(t, np.log(t)) + 1):
        with pytest.raises(bea.Divergence) as caught:
            bea.run(clipped(), bea.NumericLoss(2, None, larger), [(0.75, 2.0)] * 3, 0.25, 9)
        assert caught.value.step == 5


# --- arguments ----------------------------------------------------------------------------------------------

ADAM = bea.adam(0.6, 0.8, 0.05)


def refused(error, match, *given, **options):
    with pytest.raises(error, match=match):
        bea.run(*given, **options)


def test_arguments_of_an_iteration_are_checked_before_its_first_step():
    for error, wrong, options in [
        (ValueError, (ADAM, HIMMELBLAU, START, 0), {}),
        (ValueError, (ADAM, HIMMELBLAU, (1.0,), 0.1), {}),
        (TypeError, ("adam", HIMMELBLAU, START, 0.1), {}),
        (ValueError, (ADAM, [HIMMELBLAU, BILINEAR], START, 0.1), {}),
        (ValueError, (ADAM, [HIMMELBLAU, BILINEAR], START, 0.1), {"batches": [0, 2]}),
    ]:
        with pytest.raises(error):
            bea.walk(*wrong, **options)


def test_step_sizes_are_checked():
    for h in (0, -0.1, float("nan"), float("inf"), [0.1, 0.0]):
        refused(ValueError, "the step size h = .* must be in", ADAM, HIMMELBLAU, START, h, 2)
    for h in ("0.1", True, 1j, sp.Symbol("h")):
        refused(TypeError, "the step size h = .* must be a", ADAM, HIMMELBLAU, START, h, 2)
    refused(ValueError, "has the shape", ADAM, HIMMELBLAU, START, np.ones((2, 2)), 2)
    refused(ValueError, "the step size h = -0.2 must be in", ADAM, HIMMELBLAU, START, np.array([0.1, -0.2, 0.3]), 2)
    for h in (1, np.float32(1), Fraction(1), sp.Integer(1), sp.Rational(2, 2)):
        assert bea.run(bea.gradient_descent(), bea.quadratic([1]), (1.0,), h, 1)[1, 0] == 0.0


def test_numbers_of_steps_are_checked():
    for steps in (2.0, True, None, "2"):
        refused(TypeError, "steps = .* must be a whole number", ADAM, HIMMELBLAU, START, 0.1, steps)
    refused(ValueError, "steps = -1 must be at least 0", ADAM, HIMMELBLAU, START, 0.1, -1)
    refused(ValueError, f"steps = {10**20} must be less than", ADAM, HIMMELBLAU, START, 0.1, 10**20, every=10**20)
    refused(ValueError, "2 configurations and 3 step sizes do not combine", bea.heavy_ball([0.1, 0.2]), HIMMELBLAU, START, [0.1, 0.2, 0.3], 3)  # fmt: skip
    for every, error, match in [
        (0, ValueError, "every = 0 must be at least 1"),
        (7, ValueError, "every = 7 must divide the number of steps, 10"),
        (2.0, TypeError, "every = 2.0 must be a whole number"),
    ]:
        refused(error, match, ADAM, HIMMELBLAU, START, 0.01, 10, every=every)


def test_points_optimizers_and_losses_are_checked():
    for wrong in ((1.0,), (1.0, 2.0, 3.0), 1.0, np.ones((2, 2, 2))):
        refused(ValueError, "a point of shape", ADAM, HIMMELBLAU, wrong, 0.1, 2)
    refused(ValueError, "must be finite", ADAM, HIMMELBLAU, (np.nan, 1.0), 0.1, 2)
    refused(TypeError, "must hold numbers", ADAM, HIMMELBLAU, ("x", "y"), 0.1, 2)
    for wrong in ("adam", bea.adam, None):
        refused(TypeError, "an optimizer such as", wrong, HIMMELBLAU, START, 0.1, 2)
    for wrong in ("E", None, ADAM):
        refused(TypeError, "a loss .* or a list of them is needed", ADAM, wrong, START, 0.1, 2)
    given = bea.heavy_ball([0.1, 0.2, 0.3]), HIMMELBLAU, [START, START], 0.1, 2
    refused(ValueError, "2 points and 3 configurations do not combine", *given)


def test_symbols_cannot_run():
    beta, lam = sp.symbols("beta lambda")
    given = HIMMELBLAU, START, 0.1, 2
    refused(ValueError, "holds the symbols beta; give them numbers", bea.heavy_ball(beta), *given)
    with pytest.raises(ValueError, match="give numbers to the parameters lambda"):
        bea.run(ADAM, bea.quadratic([lam]), (1.0,), 0.1, 2)
    for theta0 in (START, [START, START]):
        with pytest.raises(ValueError, match="abstract function"):
            bea.run(ADAM, bea.Loss(sp.Function("E")(x, y), (x, y)), theta0, 0.1, 2)


def test_mini_batches_are_checked():
    two = [HIMMELBLAU, bea.Loss(x**2 + y**2, (x, y))]
    refused(ValueError, "2 mini-batch losses were given without batches", ADAM, two, START, 0.1, 2)
    for batches in ((0, 1), iter([0, 1])):
        with pytest.raises(ValueError, match="batches names the mini-batches of 2 steps, but 3 steps"):
            bea.run(ADAM, two, START, 0.1, 3, batches=batches)
    for batches in ((0, 2), (7, 0), (-1, 0), np.array([0, -3])):
        refused(ValueError, "batches must lie in 0..1", ADAM, two, START, 0.1, 2, batches=batches)
    refused(TypeError, "sequence of whole numbers", ADAM, two, START, 0.1, 2, batches=(0.0, 1.0))
    for wrong, error in ((2, ValueError), (0.5, TypeError)):
        with pytest.raises(error, match="an entry of batches"):
            bea.run(ADAM, two, START, 0.1, 2, batches=iter([0, wrong]))
        with pytest.raises(error, match="an entry of batches"):
            list(bea.walk(ADAM, two, START, 0.1, batches=iter([0, wrong])))


@pytest.mark.parametrize(
    "memory, error, match",
    [
        ([np.zeros(2)], ValueError, "adam keeps 2 values in its memory, but memory holds 1"),
        ([np.zeros(2)] * 3, ValueError, "adam keeps 2 values in its memory, but memory holds 3"),
        ([np.zeros(3)] * 2, ValueError, r"a value of shape \(3,\); allowed is \(2,\)"),
        ([np.zeros((2, 2))] * 2, ValueError, r"a value of shape \(2, 2\); allowed is \(2,\)"),
        (
            [np.zeros(2), (1, np.nan)],
            ValueError,
            "the memory is not finite at the start: coordinate 1",
        ),
        ([np.zeros(2), ("a", "b")], TypeError, "memory must hold numbers"),
        ([np.zeros(2), (1j, 2)], TypeError, "memory must hold numbers"),
        ([np.zeros(2), ("1.5", "2")], TypeError, "memory must hold numbers"),
        ([np.zeros(2), (True, False)], TypeError, "memory must hold numbers"),
        ([np.zeros(2), np.ma.array([1.0, 2.0], mask=[0, 1])], TypeError, "memory must hold numbers"),
        (5, TypeError, "memory must be a sequence of arrays, one for each value kept, not 5"),
    ],
)
def test_memory_is_checked(memory, error, match):
    for loss in (HIMMELBLAU, by_code(HIMMELBLAU)):
        with pytest.raises(error, match=match):
            bea.run(ADAM, loss, START, 0.1, 2, memory=memory)


def test_a_path_too_large_to_be_kept():
    for loss in (HIMMELBLAU, by_code(HIMMELBLAU)):
        with pytest.raises(MemoryError, match="needs 16,000 GB; keep fewer of them with every="):
            bea.run(ADAM, loss, START, 0.1, 10**12)


@pytest.mark.parametrize(
    "text, match",
    [
        (
            lambda theta, gradient, memory: gradient(theta).sum(),
            r"has the shape \(\); it must have that of theta",
        ),
        (lambda theta, gradient, memory: gradient(theta)[:1], r"has the shape \(1,\)"),
        (lambda theta, gradient, memory: gradient(theta) * 1j, "must be real numbers, not complex"),
        (lambda theta, gradient, memory: 1.0, r"has the shape \(\)"),
    ],
)
def test_updates_are_checked(text, match):
    for loss in (HIMMELBLAU, by_code(HIMMELBLAU)):
        for theta0 in (START, [START, START]):
            with pytest.raises(ValueError, match=match):
                bea.run(bea.optimizer(text)(), loss, theta0, 0.1, 2)


def test_memory_asked_a_different_number_of_times():
    @bea.optimizer
    def forgetful(theta, gradient, memory):
        return memory.average(gradient(theta), 0.5) if memory.step < 2 else gradient(theta)

    for loss in (HIMMELBLAU, by_code(HIMMELBLAU)):
        with pytest.raises(ValueError, match="asked its memory less often"):
            bea.run(forgetful(), loss, START, 0.001, 5)


def test_arrays_of_decays_are_configurations_not_groups():
    """For one point of two coordinates they would act on each coordinate, silently."""

    @bea.optimizer
    def groups(theta, gradient, memory):
        return memory.average(gradient(theta), np.array([0.2, 0.6]))

    for loss in (HIMMELBLAU, by_code(HIMMELBLAU)):
        with pytest.raises(ValueError, match="an array of decays is a batch of configurations"):
            bea.run(groups(), loss, START, 0.001, 5)


def test_weights_that_have_faded_are_nothing():
    """A product of many decays would be stuck at the smallest numbers, which are slow; no iterate has other bits without it."""
    optimizer, loss, h, steps = bea.adam(0.625, 0.75, 0.01), bea.quadratic([1, 2]), 1e-3, 9000
    theta, memory = np.array(START), Running(h)
    for _ in range(steps):
        theta = theta - h * optimizer(theta, loss.gradient_code, memory)
        memory = memory.advance()
    assert all(0 < p < 1e-300 for _, p in memory.state)
    np.testing.assert_array_equal(bea.run(optimizer, loss, START, h, steps)[-1], theta)
    for many in (START, [START, (0.3, 0.2)]):
        path = bea.run(optimizer, loss, many, h, 4096, every=4096)[-1]
        found, state = state_after(optimizer, loss, many, h, 4096)
        np.testing.assert_array_equal(found.T, path)
        assert all(np.all(np.asarray(p) == 0) for _, p in state)
    _, state = state_after(optimizer, loss, START, h, 500)
    assert abs(state[0][1] - 0.625**500) < 1e-14 * 0.625**500 and state[1][1] > 0


def test_huge_numbers_are_whole_in_compiled_code(monkeypatch):
    """Numba's floor gives an int64, which ends at 2**63; and there is no fraction from 2**52 on."""
    loss = bea.VectorField((-sp.frac(x) - sp.ceiling(x) / 4,), (x,))
    for start in (2.0**51 + 0.5, 2.0**52 + 1, 2.0**63, 3e20, -3e20):
        theta, wanted = start, [start]
        for _ in range(5):
            theta = theta - 0.125 * ((theta - np.floor(theta)) + np.ceil(theta) / 4)
            wanted.append(theta)
        for way in ("floats", "arrays", "compiled"):
            with monkeypatch.context() as patch:
                force(patch, way)
                found = bea.run(bea.gradient_descent(), loss, (start,), 0.125, 5).ravel()
            np.testing.assert_array_equal(found, wanted, err_msg=f"{way}, {start}")


def test_a_program_that_raises_raises_at_every_run():
    """Its trace may know no such case: were the comparison given up once, later runs would return numbers."""

    @bea.optimizer
    def from_the_second(theta, gradient, memory):
        return gradient(theta) / (1 + 1 / (memory.step - 1) ** 2)

    for _ in range(9):
        with pytest.raises(ZeroDivisionError):
            bea.run(from_the_second(), BILINEAR, START, 0.1, 3)


def test_an_interrupted_comparison_is_made_at_the_next_run(monkeypatch):
    @bea.optimizer
    def ten_at_first(theta, gradient, memory):  # a trace never sees an empty memory
        g = gradient(theta)
        m = memory.average(g, 0.9)
        return m if memory.state is not None else 10 * g

    wanted = bea.run(ten_at_first(), by_code(BILINEAR), START, 0.05, 1)
    optimizer, real = ten_at_first(), runs._agrees
    assert not real([straight.traced_step(runs._prepared(optimizer, BILINEAR, START, 0.05, None), BILINEAR)],
                    runs._prepared(optimizer, BILINEAR, START, 0.05, None))  # fmt: skip

    def stopped(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "_agrees", stopped)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            bea.run(optimizer, BILINEAR, START, 0.05, 1)
    monkeypatch.setattr(runs, "_agrees", real)
    np.testing.assert_array_equal(bea.run(optimizer, BILINEAR, START, 0.05, 1), wanted)


def test_a_loss_of_ones_own_class_may_change():
    scale = 1.0

    class Scaled(bea.Loss):
        def gradient_code(self, theta):
            return scale * super().gradient_code(theta)

    loss = Scaled(x**2 / 2, (x,))
    for _ in range(2):  # the third run would not be compared
        bea.run(bea.gradient_descent(), loss, (1.0,), 0.5, 2)
    scale = 2.0
    assert bea.run(bea.gradient_descent(), loss, (1.0,), 0.25, 2).ravel().tolist() == [1.0, 0.5, 0.25]


@pytest.mark.parametrize(("beta", "steps"), [(0.5, 1000), (1e-100, 3)])
def test_a_faded_weight_does_not_tell_how_a_run_was_made(beta, steps, monkeypatch):
    for way in ("floats", "arrays", "compiled"):
        with monkeypatch.context() as patch:
            force(patch, way)
            _, [(_, p)] = state_after(bea.heavy_ball(beta), bea.quadratic([1]), (1.0,), 0.1, steps)
            assert p == 0, way


def test_what_numba_lacks_has_the_bits_of_floats(monkeypatch):
    """A batch ran on floats before its step was to be compiled; if it cannot be, its functions stay those of ``math``."""
    points = [START, (0.3, 0.2), (1.7, -0.4)]
    paths = []
    for way in ("floats", "compiled"):
        with monkeypatch.context() as patch:
            force(patch, way)
            patch.setattr(straight, "_loop", lambda *given: None)
            paths.append(bea.run(bea.adam(0.9, 0.99, 0.01), LOSSES["functions"], points, 0.01, 300))
    np.testing.assert_array_equal(*paths)
