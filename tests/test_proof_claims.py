"""The proof of the error bound, held to numbers: every lemma, with its printed constants.

The losses are waves a sin(q.x + p), whose derivatives are bounded by their coefficients, so that
G_1, G_2, G_3 are known.  Everything beside the library's run and flow is written here in plain sums.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

import bea

BETA, RHO, EPSILON = 0.6, 0.7, 0.5
WAVES = [  # of each mini-batch: (amplitude, wave vector, phase)
    [(0.5, (1.0, 0.5), 0.3), (0.3, (-0.5, 1.0), 1.1)],
    [(0.4, (0.5, -1.0), 2.0), (0.3, (1.0, 1.0), 0.2)],
    [(0.6, (-1.0, 0.25), 0.7)],
]
START = np.array([0.4, -0.3])
DRAWN = np.random.default_rng(5).integers(0, 3, 2000).tolist()


def gradient(batch, x):
    """At a point (2,), or at points (..., 2)."""
    return sum(a * np.cos(np.dot(x, q) + p)[..., None] * np.array(q) for a, q, p in WAVES[batch])


def hessian(batch, x):
    return sum(-a * np.sin(np.dot(x, q) + p)[..., None, None] * np.outer(q, q) for a, q, p in WAVES[batch])


def weights(decay, n):
    return (1 - decay) * decay ** np.arange(n, -1, -1) / (1 - decay ** (n + 1))


def mean(n, d):
    return max(weights(BETA, n) @ d, weights(RHO, n) @ d)


def size(z):
    return np.abs(z).max(axis=-1)


def constants(h_0):
    """The table of the page."""
    G_1, G_2, G_3 = (
        max(max(sum(abs(a) * abs(q[j]) * np.abs(q).sum() ** r for a, q, _ in waves) for j in (0, 1)) for waves in WAVES)
        for r in range(3)
    )
    c = SimpleNamespace(h_0=h_0)
    decay = max(BETA, RHO)
    c.A = np.sqrt(decay * (1 + decay)) / (1 - decay)
    c.U = G_1 / np.sqrt(EPSILON)
    tau = (1 + G_1**2 / EPSILON) / np.sqrt(EPSILON)
    c.L = tau * G_2
    c.L_2 = tau * (G_3 + 3 * G_1 * G_2**2 / EPSILON)
    c.L_3 = c.L_2 * c.U + c.L**2
    c.F = c.U * (1 + h_0 * c.L * (c.A + 0.5))
    c.L_F = c.L + h_0 * c.L_3 * (c.A + 0.5)
    c.C_1 = c.A**2 * c.U * (c.L_2 * c.U / 2 + 2 * c.L**2)
    c.C_2 = c.F * (c.L_2 * c.F / 6 + c.L**2 * (c.A + 1) / 2 + c.L_3 * (c.A + 0.5) / 2)
    return c


# --- the step as a function of its history, and its derivatives ----------------------------------


def quotient(g):
    """Adam's step n after the gradients g[0], ..., g[n]."""
    n = len(g) - 1
    return weights(BETA, n) @ g / np.sqrt(weights(RHO, n) @ g**2 + EPSILON)


def step(points, batches=DRAWN):
    """U^(n)(x_0, ..., x_n)."""
    return quotient(np.array([gradient(i, x) for i, x in zip(batches, points)]))


def slope(points, z, batches=DRAWN):
    """DU^(n)(x)[z]."""
    n = len(points) - 1
    w, u = weights(BETA, n), weights(RHO, n)
    g = np.array([gradient(i, x) for i, x in zip(batches, points)])
    dg = np.array([hessian(i, x) @ d for i, x, d in zip(batches, points, z)])
    root = np.sqrt(u @ g**2 + EPSILON)
    return w @ dg / root - (w @ g) * (u @ (g * dg)) / root**3


def steps_here(theta, n, batches=DRAWN):
    """U^(0)(theta), ..., U^(n)(theta)."""
    g = np.array([gradient(i, theta) for i in batches[: n + 1]])
    return np.array([quotient(g[: l + 1]) for l in range(n + 1)])


def change(theta, n, half=0.0, batches=DRAWN):
    """DU^(n)(theta)[b], b_k = U^(k) + ... + U^(n-1) + half U^(n): Delta U for half = 0, Q for 1/2."""
    steps = steps_here(theta, n, batches)
    b = [steps[k:n].sum(axis=0) + half * steps[n] for k in range(n + 1)]
    return slope([theta] * (n + 1), b, batches)


def adam_run(h, steps, batches=DRAWN):
    path, g = [START], []
    for n in range(steps):
        g.append(gradient(batches[n], path[-1]))
        path.append(path[-1] - h * quotient(np.array(g)))
    return np.array(path)


# --- ages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.999])
def test_moments_of_the_age_rise_to_their_printed_limits(decay, measured):
    limits = (decay / (1 - decay), decay * (1 + decay) / (1 - decay) ** 2)
    for r, limit in zip((1, 2), limits):
        found = [weights(decay, n) @ np.arange(n, -1, -1.0) ** r for n in (0, 1, 2, 5, 50, 1000, 40000)]
        assert all(a <= b * (1 + 1e-12) for a, b in zip(found, found[1:]))
        assert found[0] == 0
        assert found[-1] == pytest.approx(limit, rel=1e-9, abs=1e-12)
    measured("exact", 2, "limits, to 1e-9")


# --- the three bounds ----------------------------------------------------------------------------


def test_bounds_of_the_step_hold_on_random_histories_and_none_is_idle(measured):
    rng, c = np.random.default_rng(0), constants(1.0)
    largest = np.zeros(3)
    for n in (0, 1, 3, 10, 40):
        for _ in range(40):
            x = rng.uniform(-4, 4, (n + 1, 2))
            y, z = rng.normal(size=(2, n + 1, 2)) * rng.exponential(size=(2, n + 1, 1))
            tiny = 1e-5
            second = (slope(x + tiny * y, z) - slope(x - tiny * y, z)) / (2 * tiny)
            norms = np.sqrt(mean(n, size(y) ** 2) * mean(n, size(z) ** 2))
            ratios = (
                size(step(x)) / c.U,
                size(slope(x, z)) / (c.L * mean(n, size(z))),
                size(second) / (c.L_2 * norms),
            )
            largest = np.maximum(largest, ratios)
    assert (largest < 1).all()
    assert (largest > (0.5, 0.1, 0.03)).all()  # within a factor of some tens of what occurs
    measured("largest fraction of the three bounds in 200 histories", largest, "below 1", digits=2)


def test_derivatives_of_the_step_are_those_of_the_step(measured):
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(2, 6, 2))
    tiny = 1e-6
    np.testing.assert_allclose(slope(x, z), (step(x + tiny * z) - step(x - tiny * z)) / (2 * tiny), rtol=1e-7)
    measured("exact", 1, "history, to 1e-7")


# --- one step ------------------------------------------------------------------------------------


def test_past_seen_from_the_present(measured):
    c, h, shares = constants(1.0), 0.02, []
    path = adam_run(h, 60)
    for n in (1, 2, 7, 25, 60):
        delta, steps = path[: n + 1] - path[n], steps_here(path[n], n)
        ages = np.arange(n, -1, -1)
        assert (size(delta) <= h * c.U * ages + 1e-15).all()
        B = np.array([steps[k:n].sum(axis=0) for k in range(n + 1)])
        shares.append(mean(n, size(delta - h * B)) / (2 * c.L * c.U * c.A**2 * h**2))
        assert 0 < shares[-1] <= 1
    measured("largest fraction of the bound", max(shares), "below 1", digits=2)


def algorithm_against_map(h, n, correction=1.0):
    path = adam_run(h, n + 1)
    theta = path[n]
    return size(path[n + 1] - theta + h * step([theta] * (n + 1)) + correction * h**2 * change(theta, n))


@pytest.mark.parametrize("n", [1, 4, 30])
def test_step_of_the_algorithm_has_local_error_of_third_order(n, measured):
    c, hs = constants(1.0), np.array([4e-3, 2e-3, 1e-3, 5e-4])
    errors = np.array([algorithm_against_map(h, n) for h in hs])
    assert (errors <= c.C_1 * hs**3).all()
    without = [algorithm_against_map(h, n, correction=0.0) for h in hs]
    slopes = [np.polyfit(np.log(hs), np.log(found), 1)[0] for found in (errors, without)]
    assert slopes == pytest.approx([3, 2], abs=0.1)  # the second is the control
    measured("slopes of the local error with and without Delta U", slopes, "3 and 2 ± 0.1")


def test_first_step_has_no_past(measured):
    assert algorithm_against_map(0.1, 0) < 1e-16
    measured("exact", 1, "step, to 1e-16")


def test_local_error_does_not_grow_with_the_number_of_steps(measured):
    h = 2e-3
    c, path = constants(1.0), adam_run(h, 301)
    errors = []
    for n in range(1, 301, 23):
        theta = path[n]
        moved = theta - h * step([theta] * (n + 1)) - h**2 * change(theta, n)
        errors.append(size(path[n + 1] - moved) / h**3)
    assert max(errors) < c.C_1
    assert max(errors[6:]) < 3 * max(errors[:6])
    measured(
        "largest local error early and late, divided by h^3",
        [max(errors[:6]), max(errors[6:])],
        "late below 3 times early",
        digits=2,
    )


# --- one piece -----------------------------------------------------------------------------------


def field(n, h, half=0.5):
    return lambda t, x: -step([x] * (n + 1)) - h * change(x, n, half)


def piece(theta, n, h, half=0.5):
    return solve_ivp(field(n, h, half), (0, h), theta, rtol=1e-13, atol=1e-15, method="DOP853").y[:, -1]


@pytest.mark.parametrize("n", [0, 3, 20])
def test_piece_of_the_curve_has_local_error_of_third_order(n, measured):
    c, hs = constants(0.04), np.array([4e-2, 2e-2, 1e-2, 5e-3])
    theta = np.array([0.9, 0.5])

    def error(h, half):
        moved = theta - h * step([theta] * (n + 1)) - h**2 * change(theta, n)
        return size(piece(theta, n, h, half) - moved)

    errors = np.array([error(h, 0.5) for h in hs])
    assert (errors <= c.C_2 * hs**3).all()
    without = [error(h, 0.0) for h in hs]
    slopes = [np.polyfit(np.log(hs), np.log(found), 1)[0] for found in (errors, without)]
    assert slopes == pytest.approx([3, 2], abs=0.1)  # the second is the control: no half step
    measured("slopes of the local error with and without the half step", slopes, "3 and 2 ± 0.1")


def test_field_is_bounded_and_lipschitz_as_printed(measured):
    rng, h = np.random.default_rng(2), 0.05
    c = constants(h)
    for n in (0, 2, 15):
        for x, y in rng.uniform(-3, 3, (20, 2, 2)):
            y = x + 0.1 * (y - x)
            assert size(field(n, h)(0, x)) <= c.F
            assert size(field(n, h)(0, x) - field(n, h)(0, y)) <= c.L_F * size(x - y)
            assert size(change(x, n, 0.5)) <= c.L * c.U * (c.A + 0.5)
    measured("bounds that held", 180, "three at each of 60 pairs")


# --- all steps -----------------------------------------------------------------------------------


def library_losses():
    x = sp.symbols("x y", real=True)
    return [bea.Loss(sum(a * sp.sin(q[0] * x[0] + q[1] * x[1] + p) for a, q, p in waves), x) for waves in WAVES]


def test_engine_has_the_field_of_the_proof(measured):
    equation = bea.transient_equation(bea.adam(BETA, RHO, EPSILON), library_losses(), batches=DRAWN[:8])
    for n in (0, 1, 7):
        np.testing.assert_allclose(equation.field(0.05, n)(START), field(n, 0.05)(0, START), rtol=1e-12)
    measured("exact", 3, "steps, to 1e-12")


@pytest.mark.parametrize("order", ["in turn", "drawn"])
def test_error_bound_holds_and_its_order_shows(order, measured):
    hs, T = [0.01, 0.0025], 0.12
    c, errors = constants(hs[0]), []
    for h in hs:
        steps = round(T / h)
        batches = DRAWN[:steps] if order == "drawn" else ([0, 1, 2] * steps)[:steps]
        adam = bea.adam(BETA, RHO, EPSILON)
        losses = library_losses()
        path = bea.run(adam, losses, START, h, steps, batches=batches)
        curve = bea.flow(bea.transient_equation(adam, losses, batches=batches), START, h, steps)
        np.testing.assert_allclose(path, adam_run(h, steps, batches), rtol=0, atol=1e-13)
        errors.append(size(curve - path).max())
    bound = (c.C_1 + c.C_2) * T * np.exp(c.L_F * T)
    assert (errors <= bound * np.array(hs) ** 2).all()
    assert errors[1] < errors[0] / 8  # about a sixteenth at order two, a fourth at order one
    measured("error at h over that at h/4", errors[0] / errors[1], "about 16, above 8")


# --- any step of averages ------------------------------------------------------------------------

DECAY, WINDOW = 0.6, 4


def some_weights(n):
    """Of three averages at step n: two exponential ones that start empty, and one over four steps."""
    ages = np.arange(n, -1, -1)
    exponential = (1 - DECAY) * DECAY**ages
    return np.array([exponential, exponential, (ages < WINDOW) / WINDOW])


def averaged(g):
    """What is averaged: both entries of the gradient, and its square."""
    return np.stack([g[..., 0], g[..., 1], (g * g).sum(axis=-1)], axis=-1)


def averaged_slope(g, dg):
    return np.stack([dg[..., 0], dg[..., 1], 2 * (g * dg).sum(axis=-1)], axis=-1)


def some_step(A):
    return np.array([A[0] / (1 + A[2]), A[1] / (1 + A[2]) + 0.3 * np.sin(A[0])])


def some_step_slope(A, dA):
    by_hand = [
        [1 / (1 + A[2]), 0, -A[0] / (1 + A[2]) ** 2],
        [0.3 * np.cos(A[0]), 1 / (1 + A[2]), -A[1] / (1 + A[2]) ** 2],
    ]
    return np.array(by_hand) @ dA


def seen(function, points, batches):
    """The gradient or the Hessian of each step's own batch at the step's own point."""
    return np.array([function(i, np.array(points)) for i in range(3)])[batches[: len(points)], np.arange(len(points))]


def means_of(points, batches):
    return np.einsum("ik,ki->i", some_weights(len(points) - 1), averaged(seen(gradient, points, batches)))


def means_slope(points, z, batches):
    dg = np.einsum("kij,kj->ki", seen(hessian, points, batches), z)
    slopes = averaged_slope(seen(gradient, points, batches), dg)
    return np.einsum("ik,ki->i", some_weights(len(points) - 1), slopes)


def any_slope(points, z, batches):
    """DU^(n)(x)[z]."""
    return some_step_slope(means_of(points, batches), means_slope(points, z, batches))


# Those of the steps 0, ..., 239, each filled up with zeros; (averages, steps, steps).
ALL_WEIGHTS = np.array([np.pad(some_weights(n), ((0, 0), (0, 239 - n))) for n in range(240)]).swapaxes(0, 1)


def any_field(n, h, batches, share=1.0):
    """F_n, with a share of its correction."""

    def field(t, x):
        points = [x] * (n + 1)
        g = averaged(seen(gradient, points, batches))
        steps = some_step((ALL_WEIGHTS[:, : n + 1, : n + 1] @ g.T[..., None])[..., 0]).T
        b = np.cumsum([steps[n] / 2, *steps[:n][::-1]], axis=0)[::-1]
        return -steps[n] - share * h * any_slope(points, b, batches)

    return field


def any_run(h, steps, batches):
    path = [START]
    for _ in range(steps):
        path.append(path[-1] - h * some_step(means_of(path, batches)))
    return np.array(path)


def runge_kutta(field, x, h):
    a = field(0, x)
    b = field(0, x + h / 2 * a)
    c = field(0, x + h / 2 * b)
    return x + h / 6 * (a + 2 * b + 2 * c + field(0, x + h * c))


def order_of(hs, errors):
    return np.polyfit(np.log(hs), np.log(errors), 1)[0]


def test_bounds_of_any_step_hold_on_random_histories(measured):
    """The constants of the lemma, from bounds of the losses and of the step by hand."""
    G_1, G_2, G_3 = (
        max(max(sum(abs(a) * abs(q[j]) * np.abs(q).sum() ** r for a, q, _ in waves) for j in (0, 1)) for waves in WAVES)
        for r in range(3)
    )
    a_1, a_2 = max(G_2, 4 * G_1 * G_2), max(G_3, 4 * (G_2**2 + G_1 * G_3))
    S_1, S_2 = 1.3 + G_1, 2.3 + 2 * G_1
    rng, largest = np.random.default_rng(0), np.zeros(2)

    def size_of(n, z, power):
        return (some_weights(n) @ size(z) ** power).max() ** (1 / power)

    for n in (0, 1, 3, 10, 40):
        for _ in range(40):
            x = rng.uniform(-4, 4, (n + 1, 2))
            y, z = rng.normal(size=(2, n + 1, 2)) * rng.exponential(size=(2, n + 1, 1))
            tiny = 1e-5
            second = (any_slope(x + tiny * y, z, DRAWN) - any_slope(x - tiny * y, z, DRAWN)) / (2 * tiny)
            bounds = (
                S_1 * a_1 * size_of(n, z, 1),
                (S_1 * a_2 + S_2 * a_1**2) * size_of(n, y, 2) * size_of(n, z, 2),
            )
            largest = np.maximum(largest, [size(any_slope(x, z, DRAWN)) / bounds[0], size(second) / bounds[1]])
    assert (largest < 1).all() and (largest > (0.05, 0.005)).all()
    measured("largest fraction of the two bounds in 200 histories", largest, "below 1", digits=2)


@pytest.mark.parametrize("share, slope", [(1, 2), (0.5, 1)])
def test_any_step_follows_its_pieces_from_the_first_step(share, slope, measured):
    """Three averages, one over a window, with mini-batches; with half of the correction as the control."""
    hs, errors, in_turn = np.array([0.02, 0.01, 0.005]), [], [0, 1, 2] * 80
    for h in hs:
        path, curve, largest = any_run(h, round(1.2 / h), in_turn), START, 0.0
        for n, point in enumerate(path[1:]):
            curve = runge_kutta(any_field(n, h, in_turn, share), curve, h)
            largest = max(largest, size(point - curve))
        errors.append(largest)
    assert order_of(hs, errors) == pytest.approx(slope, abs=0.1)
    measured("slope", order_of(hs, errors), f"{slope} ± 0.1")


@pytest.mark.parametrize("share, slope", [(1, 2), (0.5, 1)])
def test_any_step_follows_one_line_long_after_the_start(share, slope, measured):
    """One loss; C_i = 1 + 2 lag and 1 + 2 * 1.5; the control has half of the correction."""
    hs, errors, alone = np.array([0.02, 0.01, 0.005, 0.0025]), [], [0] * 1000
    C = 1 + 2 * np.array([DECAY / (1 - DECAY), DECAY / (1 - DECAY), (WINDOW - 1) / 2])
    for h in hs:
        wait = max(WINDOW, int(np.ceil(np.log(h) / np.log(DECAY))))
        path = any_run(h, wait + round(1.2 / h), alone)[wait:]

        def line(t, x, h=h):
            g = gradient(0, x)
            U = some_step(averaged(g))
            moved = averaged_slope(g, -hessian(0, x) @ U)
            return -U + share * h / 2 * some_step_slope(averaged(g), C * moved)

        curve, largest = path[0], 0.0
        for point in path[1:]:
            curve = runge_kutta(line, curve, h)
            largest = max(largest, size(point - curve))
        errors.append(largest)
    assert order_of(hs, errors) == pytest.approx(slope, abs=0.1)
    measured("slope", order_of(hs, errors), f"{slope} ± 0.1")


@pytest.mark.parametrize("decay", [0.3, 0.9, 0.99])
def test_exponential_averages_satisfy_the_assumptions(decay, measured):
    """What is missing of the sum and of the mean age, with and without correction, and the second moment."""
    limit = decay / (1 - decay)
    for n in (0, 1, 5, 50, 500):
        ages = np.arange(n, -1, -1)
        plain, corrected = (1 - decay) * decay**ages, weights(decay, n)
        assert 1 - plain.sum() == pytest.approx(decay ** (n + 1), abs=1e-12)
        assert limit - plain @ ages == pytest.approx(decay ** (n + 1) * (n + 1 + limit), abs=1e-9)
        assert limit - corrected @ ages == pytest.approx((n + 1) * decay ** (n + 1) / (1 - decay ** (n + 1)), abs=1e-9)
        for held in (plain, corrected):
            assert held @ ages**2 <= decay * (1 + decay) / (1 - decay) ** 2 * (1 + 1e-12)
    measured("exact", 5, "numbers of steps, to 1e-9")


# --- losses without bounds -----------------------------------------------------------------------


@pytest.mark.parametrize("decays", [(0.9, 0.999), (0.6, 0.7), (0.0, 0.5), (0.9, 0.9)])
def test_step_is_bounded_whatever_the_gradients(decays, measured):
    beta, rho = decays
    bound = ((1 - rho) * (1 - beta**2 / rho)) ** -0.5
    largest = 0
    for n in (0, 1, 10, 300 if rho < 0.99 else 6000):
        w, u = ((1 - d) * d ** np.arange(n, -1, -1) / (1 - d ** (n + 1)) if d else np.eye(n + 1)[n] for d in decays)
        worst = w / u  # these gradients make the Cauchy-Schwarz inequality an equality
        drawn = np.random.default_rng(n).standard_cauchy(n + 1) * 1e6
        for g in (worst, drawn):
            largest = max(largest, abs(w @ g) / np.sqrt(u @ g**2))
    assert 0.99 * (1 - beta) * bound < largest <= bound * (1 + 1e-12)
    measured("largest step / bound", largest / bound, "above 0.99 (1 - beta), at most 1")


# --- the equation that keeps its memory ----------------------------------------------------------

KAPPA, LAMBDA, OUTSIDE = 3.0, 1.0, 0.1  # the rates of the memories, and epsilon outside the root


def kept_step(state, n, h, batch):
    """Adam's step on the state (theta, m, v), with decays that belong to h."""
    theta, m, v = state
    beta, rho, g = np.exp(-KAPPA * h), np.exp(-LAMBDA * h), gradient(batch, state[0])
    m, v = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g**2
    corrected = m / (1 - beta ** (n + 1)), v / (1 - rho ** (n + 1))
    return np.array([theta - h * corrected[0] / (np.sqrt(corrected[1]) + OUTSIDE), m, v])


def kept_field(state, t, h, batch, part):
    """The equation with memory kept: its leading order, and a part of its second term."""
    theta, m, v = state
    g = gradient(batch, theta)
    a, b = 1 - np.exp(-KAPPA * t), 1 - np.exp(-LAMBDA * t)
    root, m_dot, v_dot = np.sqrt(v / b), KAPPA * (g - m), LAMBDA * (g**2 - v)
    u = m / a / (root + OUTSIDE)
    g_dot = hessian(batch, theta) @ -u
    up = m_dot / a - m * KAPPA * (1 - a) / a**2
    down = v_dot / b - v * LAMBDA * (1 - b) / b**2
    u_dot = up / (root + OUTSIDE) - m / a * down / (2 * root * (root + OUTSIDE) ** 2)
    second = np.array([-u_dot / 2, -KAPPA * g_dot / 2, -LAMBDA * g * g_dot])
    return np.array([-u, m_dot, v_dot]) + part * h * second


def kept_flow(state, t, h, batch, part, shift=0.0):
    """One Runge-Kutta step of length h; its own error is O(h^5)."""

    def f(x, s):
        return kept_field(x, s + shift * h, h, batch, part)

    k_1 = f(state, t)
    k_2 = f(state + h / 2 * k_1, t + h / 2)
    k_3 = f(state + h / 2 * k_2, t + h / 2)
    k_4 = f(state + h * k_3, t + h)
    return state + h / 6 * (k_1 + 2 * k_2 + 2 * k_3 + k_4)


def kept_states(h, batches, until=1.5):
    """The state of Adam before each step."""
    states = [np.array([START, 0 * START, 0 * START])]
    for n in range(round(until / h)):
        states.append(kept_step(states[-1], n, h, batches[n % len(batches)]))
    return np.array(states)


@pytest.mark.parametrize(("part", "order"), [(0, 2), (1, 3), (0.5, 2)], ids=["one term", "two terms", "half of it"])
def test_kept_equation_makes_the_step(part, order, measured):
    """One step from the same state, at the same time."""
    hs = np.array([0.02, 0.01, 0.005])
    state = np.array([START, [0.3, -0.2], [0.2, 0.1]])
    gaps = [size(kept_flow(state, 1.0, h, 0, part) - kept_step(state, round(1 / h), h, 0)).max() for h in hs]
    slope = bea.Study(hs, np.array(gaps)).slope
    measured("slope of the local error", slope, f"{order} ± 0.1")
    assert abs(slope - order) < 0.1


@pytest.mark.parametrize("batches", [(0,), (0, 1, 2)], ids=["one loss", "mini-batches"])
@pytest.mark.parametrize(("part", "order"), [(0, 1), (1, 2), (0.5, 1)], ids=["one term", "two terms", "half of it"])
def test_kept_equation_follows_the_run(batches, part, order, measured):
    """From t = 0.5 to 1.5, in the point and in its memory."""
    hs = np.array([0.02, 0.01, 0.005])
    errors = []
    for h in hs:
        states, first = kept_states(h, batches), round(0.5 / h)
        flow, largest = states[first], 0.0
        for n in range(first, len(states) - 1):
            flow = kept_flow(flow, n * h, h, batches[n % len(batches)], part)
            largest = max(largest, size(flow - states[n + 1]).max())
        errors.append(largest)
    slope = bea.Study(hs, np.array(errors)).slope
    measured("slope", slope, f"{order} ± 0.15")
    assert abs(slope - order) < 0.15


@pytest.mark.parametrize("shift", [0.5, 0, 1], ids=["half a step", "none", "a whole step"])
def test_leading_kept_equation_follows_if_its_memory_is_read_half_a_step_later(shift, measured):
    """The point, from t = 0.5 to 1.5; no shift and a whole step are controls."""
    hs = np.array([0.02, 0.01, 0.005])
    errors = []
    for h in hs:
        states, first = kept_states(h, (0,)), round(0.5 / h)
        theta, m, v = states[first]
        g = gradient(0, theta)
        flow = np.array([theta, m + shift * h * KAPPA * (g - m), v + shift * h * LAMBDA * (g**2 - v)])
        largest = 0.0
        for n in range(first, len(states) - 1):
            flow = kept_flow(flow, n * h, h, 0, 0, shift)
            largest = max(largest, size(flow[0] - states[n + 1][0]).max())
        errors.append(largest)
    slope = bea.Study(hs, np.array(errors)).slope
    measured("slope", slope, "2 ± 0.15" if shift == 0.5 else "below 1.5")
    assert abs(slope - 2) < 0.15 if shift == 0.5 else slope < 1.5
