"""What chapter 14 claims of networks, on repetitions that it does not show, with the network and Adam written anew."""

import ast
from functools import cache
from itertools import repeat
from pathlib import Path

import nbformat
import numpy as np
import pytest
import sympy as sp
from scipy import stats
from sklearn.datasets import load_digits

import bea
import bea_book

DIGITS = load_digits()
REPETITIONS = range(100, 105)


class Net:
    """One hidden tanh layer of 16 units on 200 digits, softmax; rows are examples.  theta: (settings, d)."""

    units = 16

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        order = rng.permutation(1797)
        x = np.hstack([DIGITS.data / 16, np.ones((1797, 1))])  # the ones make biases weights
        self.x, self.y = x[order[:200]], DIGITS.target[order[:200]]
        self.test_x, self.test_y = x[order[200:]], DIGITS.target[order[200:]]
        self.hits = np.eye(10)[self.y]
        hidden = np.vstack([rng.normal(size=(64, self.units)) / 8, np.zeros(self.units)])
        top = np.vstack([rng.normal(size=(self.units, 10)) / self.units**0.5, np.zeros(10)])
        self.start = np.concatenate([hidden.ravel(), top.ravel()])

    def parts(self, theta):
        cut = 65 * self.units
        return theta[:, :cut].reshape(-1, 65, self.units), theta[:, cut:].reshape(-1, self.units + 1, 10)

    def scores(self, theta, x):
        w, u = self.parts(theta)
        a = np.tanh(x @ w)
        return a, a @ u[:, :-1] + u[:, -1:]

    def loss_and_gradient(self, theta, rows=slice(None)):
        _, u = self.parts(theta)
        x, hits = self.x[rows], self.hits[rows]
        a, z = self.scores(theta, x)
        p = np.exp(z)  # scores stay small here
        p /= p @ np.ones((10, 1))
        loss = -np.log((p * hits) @ np.ones(10)).mean(axis=1)
        d = (p - hits) / len(x)
        back = d @ u[:, :-1].swapaxes(1, 2) * (1 - a * a)
        g_u = np.concatenate([a.swapaxes(1, 2) @ d, d.sum(axis=1)[:, None]], axis=1)
        g_w = x.T @ back
        return loss, np.concatenate([g_w.reshape(len(theta), -1), g_u.reshape(len(theta), -1)], axis=1)

    def gradient(self, theta):
        return self.loss_and_gradient(theta[None])[1][0]

    def hessian_vector(self, theta, v):
        """By a central difference; the chapter's network differentiates its backpropagation."""
        step = 1e-5 / np.linalg.norm(v)
        return (self.gradient(theta + step * v) - self.gradient(theta - step * v)) / (2 * step)

    def accuracy(self, theta):
        return 100 * (self.scores(theta, self.test_x)[1].argmax(axis=2) == self.test_y).mean(axis=1)


def adam(net, settings, epsilon, h, steps, order=None):
    """Adam as Kingma and Ba print it, but with epsilon inside: theta, full loss and gradient at every step."""
    beta, rho = np.array(settings).T[..., None]
    theta = np.tile(net.start, (len(settings), 1))
    m, v = 0 * theta, 0 * theta
    for n in range(steps):
        loss, full = net.loss_and_gradient(theta)
        yield theta, loss, full
        g = full if order is None else net.loss_and_gradient(theta, order[n])[1]
        m, v = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g**2
        theta = theta - h * (m / (1 - beta ** (n + 1))) / np.sqrt(v / (1 - rho ** (n + 1)) + epsilon)


def at_loss(net, settings, level, epsilon=1e-8, h=1e-3, order=None):
    """The one-norm of the gradient when each setting first passes the loss, between steps by a line."""
    found, before = np.full(len(settings), np.nan), None
    for _, loss, g in adam(net, settings, epsilon, h, 4000, order):
        now = np.abs(g).sum(axis=1)
        below = (loss < level) & np.isnan(found)
        if below.any():
            share = (before[0] - level) / (before[0] - loss)
            found[below] = ((1 - share) * before[1] + share * now)[below]
        if not np.isnan(found).any():
            return found
        before = loss, now
    raise AssertionError(f"not every setting reaches {level}")


def first_below(net, settings, level):
    """The first point of each setting at which the loss is below the level."""
    found = {}
    for theta, loss, _ in adam(net, settings, 1e-8, 1e-3, 4000):
        for i in np.flatnonzero(loss < level):
            found.setdefault(int(i), theta[i])
        if len(found) == len(settings):
            return np.array([found[i] for i in range(len(settings))])
    raise AssertionError(f"not every setting reaches {level}")


def from_the_chapter(*names):
    """Functions as the chapter defines them."""
    path = Path(__file__).resolve().parent.parent / "chapters" / "14_experiments.ipynb"
    scope = {"np": np, "bea": bea, "repeat": repeat}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.FunctionDef) and node.name in names:
                    exec(compile(ast.Module([node], []), "chapter", "exec"), scope)
    return [scope[name] for name in names]


def crossings(net, settings, fraction):
    """The points, (settings, d), at which each setting first passes a fraction of the initial loss, on a line."""
    goal, found, before = level(net, fraction), {}, None
    for theta, loss, _ in adam(net, settings, 1e-8, 1e-3, 4000):
        for i in np.flatnonzero(loss < goal):
            if i not in found:
                share = (before[1][i] - goal) / (before[1][i] - loss[i])
                found[i] = (1 - share) * before[0][i] + share * theta[i]
        if len(found) == len(settings):
            return np.array([found[i] for i in range(len(settings))])
        before = theta, loss
    raise AssertionError(f"not every setting reaches {goal}")


def percent(of, against):
    return 100 * (of / against - 1)


def half_width(values):
    return stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5


def interval(values):
    """Mean and half-width of the 95 % interval."""
    return [np.mean(values), half_width(values)]


NO_BETA, USUAL, LARGE_BETA, SMALL_RHO, RINGING = (
    (0.0, 0.999),
    (0.9, 0.999),
    (0.99, 0.999),
    (0.9, 0.9),
    (0.99, 0.9),
)
FOUR = [NO_BETA, USUAL, LARGE_BETA, SMALL_RHO]


@cache
def net(seed):
    return Net(seed)


def level(net, fraction):
    return fraction * net.loss_and_gradient(net.start[None])[0][0]


@cache
def full_batch(fraction=1 / 5):
    return np.array([at_loss(net(seed), FOUR, level(net(seed), fraction)) for seed in REPETITIONS])


# --- the effects -------------------------------------------------------------------------------


def test_the_one_norm_falls_with_beta_and_rises_with_rho_at_equal_loss(measured):
    norm = full_batch()
    of_beta, of_rho = percent(norm[:, 2], norm[:, 0]), percent(norm[:, 1], norm[:, 3])
    assert of_beta.mean() + half_width(of_beta) < 0 < of_rho.mean() - half_width(of_rho)
    assert -20 < of_beta.mean() < -8 and 8 < of_rho.mean() < 16
    measured(
        "per cent: beta from 0 to 0.99, rho from 0.9 to 0.999, each with its half-width",
        interval(of_beta) + interval(of_rho),
        "-20 to -8, 8 to 16",
    )


def test_the_two_norm_does_not_follow_rho_late_in_training(measured):
    """At 1/20 of the initial loss; the control is the one-norm at the same points."""
    one, two = [], []
    for seed in REPETITIONS:
        points = crossings(net(seed), [USUAL, SMALL_RHO], 1 / 20)
        g = net(seed).loss_and_gradient(points)[1]
        one.append(percent(*np.abs(g).sum(axis=1)))
        two.append(percent(*np.linalg.norm(g, axis=1)))
    assert np.mean(one) - half_width(one) > 2
    assert abs(np.mean(two)) < np.mean(one) / 3
    measured("per cent, rho from 0.9 to 0.999: one-norm, two-norm", [np.mean(one), np.mean(two)],
             "above 2, less than a third of it")  # fmt: skip


def test_points_read_every_ten_steps_are_those_of_every_step(measured):
    """The chapter's reading of a level, against one at every step of Adam written anew."""
    passing, _ = from_the_chapter("passing", "iterates")
    worst = 0.0
    for seed in (100, 101):
        loss = bea_book.Network((64, 16, 10)).loss(net(seed).x[:, :-1], net(seed).y)
        optimizer = bea.adam(*np.array(FOUR).T, 1e-8)
        points, _ = passing(optimizer, loss, net(seed).start, 1e-3, (1 / 2, 1 / 5), 900, 10)
        for fraction, theta in zip((1 / 2, 1 / 5), points):
            fine = at_loss(net(seed), FOUR, level(net(seed), fraction))
            coarse = np.abs(loss.gradient(theta)).sum(axis=1)
            worst = max(worst, np.abs(percent(coarse, fine)).max())
    assert worst < 0.2
    measured("largest difference of the one-norm, per cent", worst, "below 0.2", digits=2)


def test_at_equal_time_rho_is_mostly_speed(measured):
    ratios = []
    for seed in REPETITIONS:
        *_, (_, loss, g) = adam(net(seed), [USUAL, SMALL_RHO], 1e-8, 1e-3, 451)
        ratios.append(percent(*np.abs(g).sum(axis=1)))
        assert percent(loss[0], loss[1]) > 10
    norm = full_batch()
    assert np.mean(ratios) > 2 * percent(norm[:, 1], norm[:, 3]).mean()
    measured(
        "per cent: rho from 0.9 to 0.999 at equal time, at equal loss",
        [np.mean(ratios), percent(norm[:, 1], norm[:, 3]).mean()],
        "more than twice",
    )


def test_at_large_epsilon_rho_has_no_effect_and_beta_keeps_its_own(measured):
    norm = np.array([at_loss(net(seed), FOUR, 0.8, epsilon=1.0, h=0.2) for seed in REPETITIONS])
    of_beta, of_rho = percent(norm[:, 1], norm[:, 0]), percent(norm[:, 1], norm[:, 3])
    assert np.abs(of_rho).max() < 0.02
    assert of_beta.mean() + half_width(of_beta) < -2
    measured(
        "per cent: beta from 0 to 0.9, with half-width",
        interval(of_beta),
        "below -2; of rho below 0.02",
    )


def test_the_effect_of_beta_is_proportional_to_h_and_that_of_rho_is_not(measured):
    small, large = (np.array([at_loss(net(seed), FOUR, 1.0, h=h) for seed in REPETITIONS]) for h in (5e-4, 1e-3))
    of_beta, of_rho = (
        percent(large[:, 1], large[:, k]).mean() / percent(small[:, 1], small[:, k]).mean() for k in (0, 3)
    )
    assert of_beta == pytest.approx(2, abs=0.25)
    assert of_rho == pytest.approx(0.9, abs=0.15)
    measured("effect at 2h / at h: of beta, of rho", [of_beta, of_rho], "2 ± 0.25, 0.9 ± 0.15")


def test_constants_of_a_run_of_250_steps(measured, says):
    """By the mean age of the weights, not by the formula of the chapter."""
    ages = np.arange(251)
    c_beta, c_rho = (1 + 2 * (decay**ages) @ ages / (decay**ages).sum() for decay in (0.9, 0.999))
    left = 0.999**251
    says("14", "\\approx e^{-0.251} \\approx 0.778$", 251e-3, left)
    says("14", "1999 - 502\\cdot0.778/0.222 \\approx 240$", 1999, 502, left, 1 - left, round(c_rho, -1))
    says("14", "is about $-220$ instead of $-1980$", round(c_beta - c_rho, -1), 19 - 1999)
    measured("C_beta, C_rho", [c_beta, c_rho], "19, 240")


def test_beta_above_rho_rings(measured):
    norm = at_loss(net(100), [SMALL_RHO, RINGING], 0.6)
    assert norm[1] > 2 * norm[0]
    measured("norm / that of beta = rho", norm[1] / norm[0], "above 2", digits=2)


def test_minibatches_of_50_halve_the_effect_of_rho_and_keep_that_of_beta(measured):
    found = []
    for seed in REPETITIONS:
        rng = np.random.default_rng(seed)
        order = [cut for _ in range(300) for cut in rng.permutation(200).reshape(-1, 50)]
        found.append(at_loss(net(seed), FOUR, level(net(seed), 1 / 2), order=order))
    found, norm = np.array(found), full_batch(1 / 2)
    of_beta, of_rho = percent(found[:, 2], found[:, 0]), percent(found[:, 1], found[:, 3])
    assert of_beta.mean() + half_width(of_beta) < 0 < of_rho.mean() - half_width(of_rho)
    assert of_rho.mean() < 0.7 * percent(norm[:, 1], norm[:, 3]).mean()
    measured(
        "per cent: beta from 0 to 0.99, rho from 0.9 to 0.999, each with its half-width",
        interval(of_beta) + interval(of_rho),
        "signs as in full batch",
    )


def test_a_smaller_norm_goes_with_a_lower_accuracy(measured):
    """At 1/5 and 1/20 of the initial loss, ten seeds; the null is one within half a point."""
    found = []
    for seed in range(100, 110):
        at = [net(seed).accuracy(crossings(net(seed), FOUR, fraction)) for fraction in (1 / 5, 1 / 20)]
        found.append([[a[2] - a[0], a[1] - a[3], a[1] - a[0]] for a in at])
    found = np.array(found)
    middle, half = found.mean(axis=0), np.apply_along_axis(half_width, 0, found)
    assert (middle[:, 0] + half[:, 0] < 0).all() and middle[0, 1] - half[0, 1] > 0
    assert abs(middle[1, 2]) + half[1, 2] < 0.5
    measured(
        "points of accuracy at 1/20: beta 0 to 0.99, rho 0.9 to 0.999, beta 0 to 0.9",
        middle[1].tolist(),
        "interval below 0, open, within 0.5",
        digits=2,
    )
    measured(
        "the same at 1/5: beta 0 to 0.99, rho 0.9 to 0.999",
        middle[0, :2].tolist(),
        "interval below 0, above 0",
        digits=2,
    )


def test_the_test_loss_hardly_moves(measured):
    """At 1/5 of the initial loss; its null is 2 per cent, as in the chapter."""
    found = []
    for seed in range(100, 110):
        n = net(seed)
        _, z = n.scores(crossings(n, FOUR, 1 / 5), n.test_x)
        z = z - z.max(axis=2, keepdims=True)
        chosen = np.take_along_axis(z, np.broadcast_to(n.test_y[None, :, None], (4, len(n.test_y), 1)), 2)[..., 0]
        loss = (np.log(np.exp(z).sum(axis=2)) - chosen).mean(axis=1)
        found.append([percent(loss[2], loss[0]), percent(loss[1], loss[3])])
    middle, half = np.mean(found, axis=0), np.apply_along_axis(half_width, 0, np.array(found))
    assert (np.abs(middle) + half < 2).all()
    measured("per cent of the test loss: beta 0 to 0.99, rho 0.9 to 0.999", middle.tolist(), "within 2", digits=2)


def test_sharpness_moves_with_the_norm(measured):
    """The whole Hessian of a network with 4 units, and all its eigenvalues."""

    class Small(Net):
        units = 4

    for seed in (100, 101):
        small, top = Small(seed), []
        for theta in first_below(small, FOUR, 1.2):
            columns = [small.hessian_vector(theta, unit) for unit in np.eye(theta.size)]
            top.append(np.linalg.eigvalsh(np.array(columns)).max())
        assert top[2] < top[0] and top[3] < top[1]
    measured(
        "sharpness against that without memory / small rho, in the last repetition",
        [top[2] / top[0], top[3] / top[1]],
        "below 1",
    )


# --- the field ---------------------------------------------------------------------------------


def C(decay, n):
    """One plus twice the mean age under the weights themselves."""
    ages = np.arange(int(n) + 1)
    weights = float(decay) ** ages
    return 1 + 2 * (weights @ ages) / weights.sum()


def field(net, theta, beta, rho, epsilon, h, n, share=1.0):
    g = net.gradient(theta)
    R = np.sqrt(g**2 + epsilon)
    if share == 0:
        return -g / R
    bracket = C(beta, n) - C(rho, n) * g**2 / R**2
    return -(g + share * h / 2 * bracket * net.hessian_vector(theta, g / R)) / R


def test_the_field_by_hessian_vector_products_is_the_engines(measured):
    """A network of seven parameters in symbols; the engine knows nothing of Hessians."""
    x, labels = [(0.3, -1.0), (1.2, 0.4), (-0.5, 0.7)], (0, 1, 1)
    t = sp.symbols("t_1:8", real=True)
    terms = []
    for example, label in zip(x, labels):
        hidden = sp.tanh(t[0] * example[0] + t[1] * example[1] + t[2])
        scores = (hidden * t[3] + t[5], hidden * t[4] + t[6])
        terms.append(sp.log(sum(sp.exp(s) for s in scores)) - scores[label])
    symbolic = bea.Loss(sp.Add(*terms) / 3, t)
    numeric = bea_book.Network((2, 1, 2)).loss(np.array(x), labels)
    theta = np.linspace(-1, 1.4, 7)
    for n in (0, 1, 6):
        engine = bea.transient_equation(bea.adam(0.6, 0.9, 1e-3), symbolic).field(0.01, n)(theta)
        np.testing.assert_allclose(field(numeric, theta, 0.6, 0.9, 1e-3, 0.01, n), engine, rtol=1e-9)
    measured("exact", 3, "steps, to 1e-9")


def rk4(f, y, dt):
    a = f(y)
    b = f(y + dt / 2 * a)
    c = f(y + dt / 2 * b)
    return y + dt / 6 * (a + 2 * b + 2 * c + f(y + dt * c))


def distances(net, beta, rho, epsilon, h, steps, share):
    walk = adam(net, [(beta, rho)], epsilon, h, steps + 1)
    flowed, found = next(walk)[0][0], []
    for n in range(steps):
        flowed = rk4(lambda y, n=n: field(net, y, beta, rho, epsilon, h, n, share), flowed, h)
        stepped = next(walk)[0][0]
        found.append(np.linalg.norm(flowed - stepped) / np.linalg.norm(stepped - net.start))
    return np.array(found)


def test_a_network_gains_an_order_by_the_correction(measured):
    slopes = []
    for share, order in ((0, 1), (1, 2)):
        errors = [distances(net(100), 0.9, 0.95, 1e-2, h, round(0.04 / h), share)[-1] for h in (2e-4, 1e-4)]
        slopes.append(np.log2(errors[0] / errors[1]))
        assert slopes[-1] == pytest.approx(order, abs=0.15)
    measured("slopes without and with the correction", slopes, "1, 2 ± 0.15")


def test_the_corrected_flow_breaks_away_for_long_memory_only(measured):
    ratio = {}
    for rho in (0.9, 0.999):
        plain, corrected = (distances(net(100), 0.9, rho, 1e-4, 1e-3, 160, share) for share in (0, 1))
        ratio[rho] = corrected / plain
        assert ratio[rho][60] < 1
    assert ratio[0.9][-1] < 0.5 and ratio[0.999][-1] > 1.5
    measured(
        "corrected / plain distance after 160 steps, rho = 0.9 and 0.999",
        [r[-1] for r in ratio.values()],
        "below 0.5, above 1.5",
        digits=2,
    )


def test_twelve_integration_steps_are_enough_where_the_field_is_stiff(measured):
    """The chapter's distances at epsilon = 1e-8, and with twice as many steps of the integrator."""
    scope = from_the_chapter("distances", "field", "rk4", "C")
    loss = bea_book.Network((64, 16, 10)).loss(net(100).x[:, :-1], net(100).y)
    far = []
    for parts in (12, 24):
        gone, _, off = scope[0](loss, net(100).start, 0.9, 0.999, 1e-8, 1e-3, 30, parts)
        far.append(off[-1] / gone[-1])
    assert far[0] == pytest.approx(far[1], rel=0.02)
    measured("relative distance at step 30 with 12 and 24 steps", far, "equal to 2 per cent", digits=3)


# --- the response ------------------------------------------------------------------------------


class AsLoss:
    """The network of this file as the chapter's functions call a loss."""

    def __init__(self, net):
        self.net, self.value = net, lambda theta: net.loss_and_gradient(theta[None])[0][0]

    def gradient(self, theta):
        return self.net.loss_and_gradient(np.atleast_2d(theta))[1].reshape(theta.shape)

    def hessian_vector(self, theta, v):
        if theta.ndim == 1:
            return self.net.hessian_vector(theta, v)
        return np.array([self.net.hessian_vector(*pair) for pair in zip(theta, v)])


def norm_of_flow(net, beta, rho, h, share, level, epsilon=1e-6, dt=1e-3):
    """The one-norm at the level along f_0 + share h f_1."""
    theta, n, before = net.start, 0.0, None
    while True:
        loss, g = net.loss_and_gradient(theta[None])
        now = np.log(loss[0]), np.abs(g).sum()
        if loss[0] < level:
            part = (before[0] - np.log(level)) / (before[0] - now[0])
            return (1 - part) * before[1] + part * now[1]
        before = now
        theta = rk4(lambda y, n=n: field(net, y, beta, rho, epsilon, h, n, share), theta, dt)
        n += dt / h


def test_the_response_predicts_runs_where_it_should(measured):
    """Backwards, as the chapter does; forwards, by a flow with a hundredth of the correction; and by running Adam."""
    response, predicted, *_ = from_the_chapter("response", "predicted", "rk4", "C")
    h, goal = 2e-4, level(net(100), 1 / 2)
    result = response(AsLoss(net(100)), net(100).start, 1e-6, goal)
    plain = norm_of_flow(net(100), 0.9, 0.9, h, 0, goal)
    assert result[0] == pytest.approx(plain, rel=1e-4)
    runs = at_loss(net(100), [SMALL_RHO, USUAL], goal, epsilon=1e-6, h=h) - result[0]
    ratios = []
    for k, (beta, rho) in enumerate((SMALL_RHO, USUAL)):
        forwards = (norm_of_flow(net(100), beta, rho, h, 0.01, goal) - plain) / 0.01
        backwards = predicted(result, beta, rho, h)
        assert backwards == pytest.approx(forwards, rel=0.1)
        ratios.append(runs[k] / backwards)
    assert ratios[0] == pytest.approx(1, abs=0.12)
    assert 0.2 < ratios[1] < 0.7
    measured("effect, run / predicted, rho = 0.9 and 0.999", ratios, "1 ± 0.12, 0.2 to 0.7")


def test_the_ratio_tends_to_one_for_memories_that_nearly_cancel(measured):
    """Pairs whose predicted sign is at stake: far from one at h = 1e-3, near it at a tenth of that."""
    response, predicted, *_ = from_the_chapter("response", "predicted", "rk4", "C")
    pairs, goal = [(0.8, 0.9), (0.9, 0.95), (0.9, 0.98)], level(net(100), 1 / 2)
    result, ratios = response(AsLoss(net(100)), net(100).start, 1e-6, goal), {}
    for h in (1e-3, 1e-4):
        runs = at_loss(net(100), pairs, goal, epsilon=1e-6, h=h) - result[0]
        ratios[h] = runs / [predicted(result, *pair, h) for pair in pairs]
    assert (ratios[1e-3] < 0.75).all()
    assert (np.abs(ratios[1e-4] - 1) < 0.3).all()
    measured("effect, run / predicted, at h = 1e-4", ratios[1e-4].tolist(), "1 ± 0.3; below 0.75 at h = 1e-3")
