"""What chapter 6 claims of momentum and of every first correction, each against an oracle that does not use the claim: plain loops, counting, multiple precision."""

from itertools import permutations

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad, solve_ivp

import bea
from live_answers import ends
from rolling import gradient, heavy_ball, slope_of

MODEL = bea.bilinear()
START, GENTLE = (2.8, 3.5), (0.9, 1.5)


def imbalance(path):
    return path[..., 0] ** 2 - path[..., 1] ** 2


def nesterov(theta, beta, step, count):
    path, buffer = [np.array(theta, dtype=float)], 0.0
    for _ in range(count):
        g = gradient(path[-1])
        buffer = beta * buffer + g
        path.append(path[-1] - step * (g + beta * buffer))
    return np.array(path)


# --- averages and their lag ---------------------------------------------------------------------------------------------------------


def test_numerators_of_the_moments_count_permutations_by_descents(measured):
    beta = sp.Symbol("beta")
    for r in range(1, 6):
        found = [0] * r
        for p in permutations(range(r)):
            found[sum(x > y for x, y in zip(p, p[1:]))] += 1
        numerator = sp.expand(sp.cancel(bea.moments(beta, r + 1)[r] * (1 - beta) ** r / beta))
        assert [int(numerator.coeff(beta, k)) for k in range(r)] == found
    measured("exact", 5, "moments, by counting 153 permutations")


def test_lag_of_an_early_and_of_a_late_average(measured, says):
    for n, expected in ((10, 3.97), (12, 4.57), (70, 8.96)):
        weights = 0.9 ** np.arange(n + 1)
        assert (weights @ np.arange(n + 1)) / weights.sum() == pytest.approx(expected, abs=5e-3)
        assert bea.lag(0.9, n) == pytest.approx((weights @ np.arange(n + 1)) / weights.sum())
    measured("lag at n = 10, 12, 70", [bea.lag(0.9, n) for n in (10, 12, 70)], "3.97, 4.57, 8.96")
    says("06", "At $n = 12$ the lag is 4.57; at $n = 10$ it is 3.97", 12, bea.lag(0.9, 12), 10, bea.lag(0.9, 10))
    weights = 0.9 ** np.arange(2000)
    age = weights @ np.arange(2000) / weights.sum()
    says("06", "weights $0.1 \\cdot 0.9^i$ is $\\beta/(1-\\beta) = 9$", 1 / weights.sum(), 0.9, 1, age)


@pytest.mark.parametrize("beta", [0.2, 0.5, 0.9])
def test_nesterov_looks_back_beta_times_the_lag(beta, measured):
    impulse = np.zeros(2000)
    impulse[0] = 1
    buffer, weights = 0.0, []
    for g in impulse:  # the share of a gradient in the steps that follow it
        buffer = beta * buffer + g
        weights.append(g + beta * buffer)
    age = np.arange(2000) @ np.array(weights) / sum(weights)
    assert sum(weights) == pytest.approx(1 / (1 - beta))
    assert age == pytest.approx(beta * beta / (1 - beta))
    measured("age / lag", age / bea.lag(beta), f"{beta}")


# --- the first correction ---------------------------------------------------------------------------------------------

GENTLE_POINT = np.array(GENTLE)
LINES = {  # of the first correction, by hand: U of the averages in units of the gradient, and sum_i C_i dU/dA_i
    "with the factor": (lambda b: 1, lambda b: (1 + b) / (1 - b)),
    "without": (lambda b: 1 / (1 - b), lambda b: (1 + b) / (1 - b) ** 2),
    "nesterov": (lambda b: 1 / (1 - b), lambda b: 1 + b / (1 - b) * (1 + b) / (1 - b)),
}
METHODS = {
    "with the factor": lambda b: bea.heavy_ball(b, damped=True),
    "without": bea.heavy_ball,
    "nesterov": bea.nesterov,
}


@pytest.mark.parametrize("name", LINES)
def test_one_line_gives_the_first_correction_for_any_loss_of_three_parameters(name, measured):
    beta, x = sp.Symbol("beta"), sp.symbols("x y z")
    E = sp.Function("E")(*x)
    g, H = sp.Matrix([sp.diff(E, s) for s in x]), sp.hessian(E, x)
    speed, weight = (f(beta) for f in LINES[name])
    f_0, f_1 = bea.modified_equation(METHODS[name](beta), bea.Loss(E, x), 2).terms
    assert (f_0 + speed * g).applyfunc(sp.factor) == sp.zeros(3, 1)
    # (h/2) sum_i C_i dU/dA_i times the derivative of the gradient along -U
    assert (f_1 - weight / 2 * H * (-speed * g)).applyfunc(sp.factor) == sp.zeros(3, 1)
    assert (f_1 - weight / 2 * H * (+speed * g)).applyfunc(sp.factor) != sp.zeros(3, 1)
    measured("exact", 3, "components, for any loss")


def test_mini_batch_correction_for_any_three_losses_of_three_parameters(measured):
    beta, x = sp.Symbol("beta"), sp.symbols("x y z")
    losses = [bea.Loss(sp.Function(name)(*x), x) for name in "ABC"]
    order = [2, 0, 1]
    for n in range(3):
        g = [sp.Matrix(losses[i].gradient_expressions) for i in order]
        G = [sum((beta ** (l - k) * g[k] for k in range(l + 1)), sp.zeros(3, 1)) for l in range(n + 1)]
        expected = sp.zeros(3, 1)
        for k in range(n + 1):
            back = sum(G[k:n], sp.zeros(3, 1)) + G[n] / 2
            expected -= beta ** (n - k) * losses[order[k]].hessian_expressions * back
        f_0, f_1 = bea.transient_equation(bea.heavy_ball(beta), losses, batches=order).terms(n)
        assert (f_0 + G[n]).applyfunc(sp.factor) == sp.zeros(3, 1)
        assert (f_1 - expected).applyfunc(sp.factor) == sp.zeros(3, 1)
    measured("exact", 9, "components of three steps, for any losses")


class Line:
    """-speed grad E - (h/2) fraction weight speed H grad E on the bilinear model."""

    def __init__(self, speed, weight, fraction):
        self.speed, self.factor = speed, fraction * weight * speed / 2

    def field(self, h):
        def rhs(theta, time=0.0):
            a, b = theta
            hessian = np.array([[4 * b * b, 8 * a * b - 3], [8 * a * b - 3, 4 * a * a]])
            g = gradient(theta)
            return -self.speed * g - h * self.factor * hessian @ g

        return rhs


def later(name, beta, step, count):
    """The run from rest in plain loops, and the first step n_0 with beta^n_0 <= h."""
    wait = int(np.ceil(np.log(step) / np.log(beta)))
    if name == "nesterov":
        return nesterov(GENTLE, beta, step, wait + count)[wait:]
    scale = 1 - beta if name == "with the factor" else 1
    return heavy_ball(GENTLE, beta, scale * step, wait + count)[wait:]


@pytest.mark.parametrize("fraction, slope", [(1, 2), (0.5, 1), (0, 1)])
@pytest.mark.parametrize("name", LINES)
def test_slopes_of_the_first_correction_long_after_the_start(name, fraction, slope, measured):
    beta = 0.5
    speed, weight = (f(beta) for f in LINES[name])
    sizes = np.array([5e-4, 2.5e-4, 1.25e-4, 6.25e-5]) / speed
    errors = []
    for step in sizes:
        path = later(name, beta, step, round(0.05 / speed / step))
        flow = bea.flow(Line(speed, weight, fraction), path[0], step, len(path) - 1)
        errors.append(np.linalg.norm(path - flow, axis=1).max())
    assert slope_of(sizes, errors) == pytest.approx(slope, abs=0.1)
    measured("slope", slope_of(sizes, errors), f"{slope} ± 0.1")


TARGETS = (0.9, 1.5, 2.1)  # of three mini-batches: r = c - 2ab
DRAWN = np.random.default_rng(0).integers(0, 3, 200)


def batch_gradient(c, theta):
    return -2 * (c - 2 * theta[0] * theta[1]) * theta[::-1]


def batch_hessian(c, theta):
    a, b = theta
    return np.array([[4 * b * b, 8 * a * b - 2 * c], [8 * a * b - 2 * c, 4 * a * a]])


def batch_field(theta, n, step, beta, fraction):
    """The sums as printed, without a recursion."""
    g = np.array([batch_gradient(TARGETS[i], theta) for i in DRAWN[: n + 1]])
    H = np.array([batch_hessian(TARGETS[i], theta) for i in DRAWN[: n + 1]])
    powers = beta ** np.subtract.outer(np.arange(n + 1), np.arange(n + 1)).clip(0) * np.tri(n + 1)
    G = powers @ g  # row l: the sum of the gradients up to step l
    after = G[::-1].cumsum(axis=0)[::-1] - G[n] / 2  # row k: the steps k to n, the last one half
    return -G[n] - fraction * step * np.einsum("k,kij,kj->i", powers[n], H, after)


@pytest.mark.parametrize("fraction, slope", [(1, 2), (0.5, 1)])
def test_slopes_of_mini_batch_heavy_ball_from_the_first_step(fraction, slope, measured):
    beta, sizes, errors = 0.5, np.array([2e-4, 1e-4, 5e-5]), []
    for step in sizes:
        theta = curve = GENTLE_POINT
        move, largest = 0.0, 0.0
        for n in range(round(0.008 / step)):
            move = beta * move - step * batch_gradient(TARGETS[DRAWN[n]], theta)
            theta = theta + move
            stages, place = [], curve
            for share in (0.5, 0.5, 1, None):  # Runge and Kutta's method, once a piece
                stages.append(batch_field(place, n, step, beta, fraction))
                place = curve if share is None else curve + share * step * stages[-1]
            curve = curve + step / 6 * (stages[0] + 2 * stages[1] + 2 * stages[2] + stages[3])
            largest = max(largest, np.linalg.norm(theta - curve))
        errors.append(largest)
    assert slope_of(sizes, errors) == pytest.approx(slope, abs=0.1)
    measured("slope", slope_of(sizes, errors), f"{slope} ± 0.1")


def third_derivatives(E, x, g):
    """The third derivatives of E applied to its gradient twice."""
    return sp.Matrix([sum(sp.diff(E, s, u, v) * p * q for u, p in zip(x, g) for v, q in zip(x, g)) for s in x])


def test_theory_of_order_h_squared_for_an_abstract_loss(measured):
    """The third term of heavy ball for any loss of three parameters."""
    beta = sp.Symbol("beta")
    x = sp.symbols("x y z")
    E = sp.Function("E")(*x)
    g, H = sp.Matrix([sp.diff(E, s) for s in x]), sp.hessian(E, x)
    formula = -(1 + 4 * beta + beta**2) / (3 * (1 - beta) ** 5) * H * H * g - (1 + 10 * beta + beta**2) / (
        12 * (1 - beta) ** 5
    ) * third_derivatives(E, x, g)
    f_2 = bea.modified_equation(bea.heavy_ball(beta), bea.Loss(E, x), 3).terms[2]
    assert (f_2 - formula).applyfunc(sp.factor) == sp.zeros(3, 1)
    measured("exact", 3, "components, for any loss")


# --- two contributions ------------------------------------------------------------------------------------------------------------


B_0, R_0 = imbalance(np.array(GENTLE)), 1.5 - 2 * GENTLE[0] * GENTLE[1]
INTEGRAL = quad(lambda r: r / np.sqrt(B_0**2 + (1.5 - r) ** 2), 0, R_0)[0]


def penalty(end):
    return -np.log(imbalance(end) / B_0) / (4 * INTEGRAL)


def test_two_contributions_add_and_each_is_what_the_formula_says(measured, says):
    found = {}
    for s in (4e-4, 2e-4, 1e-4):
        T, until = 9 * s, 2.5
        descent = penalty(heavy_ball(GENTLE, 0.0, s, round(until / s))[-1]) / s
        both = penalty(heavy_ball(GENTLE, 0.9, 0.1 * s, round(until / s))[-1]) / s
        rolling = solve_ivp(
            lambda t, y, T=T: np.concatenate([y[2:], (-gradient(y[:2]) - y[2:]) / T]),
            (0, until),
            [*GENTLE, 0, 0],
            "DOP853",
            rtol=1e-10,
            atol=1e-12,
        )
        found[s] = np.array([descent, penalty(rolling.y[:2, -1]) / s, both])
    expected = np.array([0.25, 4.5, 4.75])
    assert found[2e-4] == pytest.approx(expected, rel=4e-3)
    assert found[2e-4][:2].sum() == pytest.approx(found[2e-4][2], rel=1e-3)
    # what is missing is the next order: it halves with s
    assert (found[4e-4] - expected) / (found[2e-4] - expected) == pytest.approx(2, abs=0.1)
    measured("factors of the penalty: descent, rolling ball, both", found[2e-4], "0.25, 4.5, 4.75")
    says("06", "$0.250 + 4.495$ measured separately, $4.745$ together", *found[1e-4])


def test_refining_the_step_at_a_fixed_memory_time_removes_the_quarter(measured):
    s, until = 2e-4, 2.5
    factors = []
    for parts in (1, 2, 8):
        lag = 9 * parts
        beta = lag / (1 + lag)
        end = heavy_ball(GENTLE, beta, (1 - beta) * s / parts, round(until * parts / s))[-1]
        factors.append(penalty(end) / s)
    assert factors[0] - factors[1] == pytest.approx(0.25 / 2, rel=0.02)
    assert factors[1] - factors[2] == pytest.approx(0.25 * (1 / 2 - 1 / 8), rel=0.02)
    measured("factor with the step cut in 1, 2, 8", factors, "4.75, 4.625, 4.53")


@pytest.mark.parametrize("beta, K", [(0.5, 2.0), (0.9, 17.2)])
def test_nesterov_penalty(beta, K, measured):
    s = 2e-4
    end = nesterov(GENTLE, beta, (1 - beta) * s, round(2.5 / s))[-1]
    assert penalty(end) / s == pytest.approx(K / 4, rel=4e-3)
    measured("factor of the penalty / predicted", penalty(end) / s / (K / 4), "1 ± 0.004")


# --- the valley -----------------------------------------------------------------------------------------------------------


def test_landing_points_and_drift_ratios(measured, says):
    ends = {beta: heavy_ball(START, beta, (1 - beta) * 2.5e-4, 3000)[-1] for beta in (0.0, 0.5, 0.8, 0.9)}
    assert [imbalance(end) for end in ends.values()] == pytest.approx([-4.396, -4.369, -4.288, -4.159], abs=6e-4)
    first = imbalance(np.array(START))
    logs = {beta: np.log(imbalance(end) / first) for beta, end in ends.items()}
    assert [logs[beta] / logs[0.0] for beta in (0.5, 0.8, 0.9)] == pytest.approx([2.98, 8.83, 18.47], abs=0.01)
    drifts = {beta: imbalance(end) - first for beta, end in ends.items()}
    assert drifts[0.9] / drifts[0.0] == pytest.approx(17.96, abs=0.01)
    finer = {beta: heavy_ball(START, beta, (1 - beta) * 2.5e-5, 20000)[-1] for beta in (0.0, 0.9)}
    fine_log, plain_log = (np.log(imbalance(finer[beta]) / first) for beta in (0.9, 0.0))
    fine, plain = (imbalance(finer[beta]) - first for beta in (0.9, 0.0))
    assert fine_log / plain_log == pytest.approx(18.92, abs=0.01)
    assert fine / plain == pytest.approx(18.87, abs=0.01)
    measured(
        "drift / that of gradient descent for beta = 0.5, 0.8, 0.9",
        [drifts[beta] / drifts[0.0] for beta in (0.5, 0.8, 0.9)],
        "3, 9, 19 as h falls",
    )
    measured("the same for the logarithm", [logs[beta] / logs[0.0] for beta in (0.5, 0.8, 0.9)], "3, 9, 19 as h falls")
    measured("both for beta = 0.9 at a tenth of the step", [fine / plain, fine_log / plain_log], "19 as h falls")
    says("06", "is a drift of $a^2 - b^2$ that is 17.96 times gradient descent's", drifts[0.9] / drifts[0.0])
    says("06", "to which the law refers, the ratio is 18.47", logs[0.9] / logs[0.0])
    says("06", "at a tenth of the step the two are 18.87 and 18.92", 2, fine / plain, fine_log / plain_log)
    says("06", "for $\\beta = 0.9$, about eighteen times as large", 0.9, drifts[0.9] / drifts[0.0])
    says("06", "at minus 4.40 for beta 0", -imbalance(ends[0.0]), 0)
    others = [(-imbalance(ends[beta]), beta) for beta in (0.5, 0.8, 0.9)]
    says("06", "minus 4.37 for 0.5, minus 4.29 for 0.8 and minus 4.16 for 0.9", *np.ravel(others))
    says("06", "all start at minus 4.41", -first)


def test_the_correction_explains_nine_tenths_of_the_drift_in_the_opening_figure(measured, says):
    step, count = 0.1 * 2.5e-4, 3000
    end = bea.flow(bea.modified_equation(bea.heavy_ball(0.9), MODEL, 2), START, step, count)[-1]
    first = imbalance(np.array(START))
    fraction = (imbalance(end) - first) / (imbalance(heavy_ball(START, 0.9, step, count)[-1]) - first)
    assert fraction == pytest.approx(0.89, abs=0.005)
    measured("drift of the flow / drift of the run", fraction, "0.89")
    says("06", "the flow has 89 per cent of the drift of this run", 100 * fraction)
    of_descent = imbalance(heavy_ball(START, 0.0, 2.5e-4, count)[-1]) - first
    three = bea.flow(bea.modified_equation(bea.heavy_ball(0.9), MODEL, 3), START, step, count)[-1]
    drifts = [(imbalance(path) - first) / of_descent for path in (end, three)]
    says(
        "06",
        "the flow with two terms has 15.9 times gradient descent's drift, and the one with three 21.8 times",
        2,
        drifts[0],
        3,
        drifts[1],
    )


@pytest.mark.parametrize("beta, step, branch", [(0.9, 2.5e-5, 1), (0.9, 1e-3, -1), (0.9, 2e-3, -1), (0.5, 1e-2, 1)])
def test_exact_law_in_total_whether_it_oscillates_or_not(beta, step, branch, measured):
    path = heavy_ball(START, beta, step, 20000)
    Q = imbalance(np.diff(path, axis=0))
    assert abs(1.5 - 2 * path[-1].prod()) < 1e-4 and np.all(np.sign(path[-1]) == branch)
    assert imbalance(path[-1]) == pytest.approx(imbalance(path[0]) + (1 + beta) / (1 - beta) * Q.sum(), abs=1e-9)
    assert imbalance(path[-1]) != pytest.approx(imbalance(path[0]) + 1 / (1 - beta) * Q.sum(), abs=1e-2)
    measured("exact", 20000, "steps, to 1e-9")


def test_exact_law_step_by_step_for_another_loss_and_with_a_changing_beta(measured):
    def slope(theta):  # of cos(ab)
        return -np.sin(theta.prod()) * theta[::-1]

    betas = [n / (n + 3) for n in range(60)]
    path = heavy_ball((1.2, -0.4), betas, 0.3, 60, slope)
    B, Q = imbalance(path), imbalance(np.diff(path, axis=0))
    for n in range(60):
        memory = sum(np.prod(betas[n - i + 1 : n + 1]) * Q[n - i] for i in range(1, n + 1))
        assert B[n + 1] - B[n] == pytest.approx(Q[n] + 2 * memory, abs=1e-12)
    measured("exact", 60, "steps, to 1e-12")


# --- exercises ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["window", "mixture"])
def test_a_window_of_nineteen_and_a_mixture_cost_as_much_as_beta_nine_tenths(weights, measured):
    """By the imbalance that runs end with, in units of gradient descent's drift."""
    step, count = 2e-5, 20000
    ends = {}
    for name in ("plain", weights):
        theta, seen, average = np.array(GENTLE), [], 0.0
        for n in range(count):
            g = gradient(theta)
            if name == "window":
                seen = [*seen[-18:], g]
                g = sum(seen) / len(seen)
            elif name == "mixture":
                average = 0.99 * average + 0.01 * g
                g = 10 / 11 * g + average / (1 - 0.99 ** (n + 1)) / 11
            theta = theta - step * g
        ends[name] = np.log(imbalance(theta) / imbalance(np.array(GENTLE)))
    ratio = ends[weights] / ends["plain"]
    assert ratio == pytest.approx(19, rel=0.02)
    measured("drift / gradient descent's", ratio, "19 ± 0.4")


def test_two_batches_in_turn_leave_the_full_batch_correction(measured):
    """Of one parameter, with the same curvature: the sums as printed, averaged over the two last batches."""
    beta, lam, sigma, theta, n = 0.6, 1.3, 0.4, 0.7, 400
    found = []
    for last in (1, -1):
        signs = last * (-1.0) ** np.arange(n, -1, -1)
        G, past = 0.0, []
        for sign in signs:
            G = beta * G + lam * (theta - sign * sigma)
            past.append(G)
        assert past[-1] == pytest.approx(lam * theta / (1 - beta) - last * lam * sigma / (1 + beta))
        after = np.cumsum(past[::-1])[::-1] - past[-1] / 2
        found.append(-lam * beta ** np.arange(n, -1, -1) @ after)
    expected = -(1 + beta) / (2 * (1 - beta) ** 3) * lam**2 * theta
    assert np.mean(found) == pytest.approx(expected, rel=1e-9)
    assert abs(found[0] - expected) > 0.01
    measured("mean correction / full-batch correction", np.mean(found) / expected, "1")


# --- the live figure ---------------------------------------------------------------------------------------------------


def test_distance_from_gradient_flow_grows_like_the_constant(measured, says):
    found = {b: ends("06", bea.heavy_ball(b, damped=True), MODEL, h=1e-3)[1][0] for b in (0.5, 0.8)}
    says("06", "From 0.019 to 0.055, by a factor of 2.9", found[0.5], found[0.8], found[0.8] / found[0.5])
    says("06", "$K$ grows from 3 to 9, so the leading term says 3", 1.5 / 0.5, 1.8 / 0.2, 3)
    plain = heavy_ball((2.2, 2.9), 0.8, 2e-4, 400)[-1]
    np.testing.assert_allclose(ends("06", bea.heavy_ball(0.8, damped=True), MODEL, h=1e-3)[0], plain, rtol=1e-9)
    measured("distances at beta = 0.5 and 0.8", list(found.values()), "0.019, 0.055", digits=2)
