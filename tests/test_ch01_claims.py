"""The claims of chapter 1, gradient descent as Euler's method, each beside an oracle of its own."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad, solve_ivp

import bea
from live_answers import ends

DESCENT = bea.gradient_descent()
VALLEY = bea.bilinear()
BOWL = bea.quadratic([1, 4])
START = (2.8, 3.5)
HALVINGS = 40 * 2 ** np.arange(5)
CASES = {
    "valley": (VALLEY, START, 0.1),
    "bowl": (BOWL, (1.0, 1.0), 2),
    "logistic": (bea.logistic_regression(), (0.0, 0.0), 40),
}


def flow_of(loss):
    return bea.modified_equation(DESCENT, loss, order=1)


def scaled_error(loss, theta0, h, steps):
    return (bea.run(DESCENT, loss, theta0, h, steps) - bea.flow(flow_of(loss), theta0, h, steps)) / h


def imbalance(path):
    return path[..., 0] ** 2 - path[..., 1] ** 2


def first_variation(loss, theta0, time):
    d = len(theta0)

    def field(t, y):
        g = loss.gradient(y[:d])
        return np.concatenate([-g, -loss.hessian(y[:d]) @ (y[d:] + g / 2)])

    return solve_ivp(field, (0, time), [*theta0, *np.zeros(d)], "DOP853", rtol=1e-10, atol=1e-12).y[d:, -1]


# --- one mode ------------------------------------------------------------------------------------


def test_step_is_euler_on_symbols(measured):
    theta, h, lam = sp.symbols("theta h lambda")
    assert theta - h * DESCENT(theta, lambda x: lam * x, None) == theta - h * lam * theta
    measured("exact", 1, "identity in symbols")


@pytest.mark.parametrize("z", [0.1, 0.5, 0.9])
def test_mode_decays_with_the_logarithms_rate(z, measured):
    path = bea.run(DESCENT, bea.quadratic([1]), (1.0,), h=z, steps=20)[:, 0]
    assert path == pytest.approx(np.exp(np.log(1 - z) * np.arange(21)), rel=1e-12)
    assert np.all(path[1:] < np.exp(-z * np.arange(1, 21)))  # below the flow, always
    measured("exact", 20, "steps, to 1e-12")


@pytest.mark.parametrize("z, alternates, grows", [(0.5, False, False), (1.5, True, False), (2.1, True, True)])
def test_mode_beyond_one_alternates_and_beyond_two_grows(z, alternates, grows, measured):
    path = bea.run(DESCENT, bea.quadratic([1]), (1.0,), h=z, steps=20)[:, 0]
    assert np.all(path[1:] * path[:-1] < 0) == alternates
    assert (abs(path[-1]) > 1) == grows
    measured("size after 20 steps", abs(path[-1]), "grows beyond z = 2")


# --- order ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_global_error_has_slope_one_over_four_halvings(name, measured):
    loss, theta0, horizon = CASES[name]
    study = bea.order_study(DESCENT, loss, theta0, horizon, horizon / HALVINGS, order=1)
    assert study.slope == pytest.approx(1, abs=0.1)
    measured("slope", study.slope, "1 ± 0.1")


def test_control_ten_per_cent_too_slow_loses_the_slope(measured):
    class TooSlow:
        def field(self, h):
            return lambda theta: -0.9 * VALLEY.gradient(theta)

    study = bea.order_study(DESCENT, VALLEY, START, 0.1, 0.1 / HALVINGS, order=1, equation=TooSlow())
    assert study.slope < 0.3
    measured("slope of the control", study.slope, "below 0.3", digits=2)


@pytest.mark.parametrize("name", CASES)
def test_local_error_is_half_h_squared_hessian_times_gradient(name, measured):
    loss, theta0, horizon = CASES[name]
    theta0 = np.array(theta0) + 0.1  # away from the origin, where the logistic loss has a symmetry
    predicted = -loss.hessian(theta0) @ loss.gradient(theta0) / 2
    hs = horizon / HALVINGS[1:] / 8
    left = [np.linalg.norm(scaled_error(loss, theta0, h, 1)[-1] / h - predicted) for h in hs]
    slope = bea.Study(hs, np.array(left)).slope
    assert slope == pytest.approx(1, abs=0.1)  # what is left of the local error is O(h^3), and we divided by h^2
    assert np.linalg.norm(scaled_error(loss, theta0, hs[-1], 1)[-1] / hs[-1] + predicted) > np.linalg.norm(
        predicted
    )  # the other sign fails
    measured("slope of what is left", slope, "1 ± 0.1")


def test_bound_of_the_theorem_holds_and_is_what_the_text_says(measured, says):
    h, horizon, L, M = 0.05, 2, 4, np.sqrt(257)
    steps = round(horizon / h)
    errors = h * np.linalg.norm(scaled_error(BOWL, (1.0, 1.0), h, steps), axis=1)
    bound = h / 2 * M * (np.exp(L * h * np.arange(steps + 1)) - 1) / L
    assert np.all(errors <= bound)
    assert errors.max() == pytest.approx(0.041, abs=5e-4)
    assert bound[-1] == pytest.approx(299, abs=0.5)
    measured("largest error", errors.max(), "0.041", digits=2)
    measured("bound at the end", bound[-1], "299")
    says("01", "the bound is 299 for $h = 0.05$, and the measured error is 0.041", bound[-1], h, errors.max())


# --- direction -----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss, theta0, time", [(VALLEY, START, 0.5), (BOWL, (1.0, 1.0), 1.0)], ids=["valley", "bowl"])
def test_scaled_error_tends_to_the_first_variation_with_slope_one(loss, theta0, time, measured):
    w = first_variation(loss, theta0, time)
    steps = np.array([250, 500, 1000])
    left = np.array([np.linalg.norm(scaled_error(loss, theta0, time / n, n)[-1] - w) for n in steps])
    slope = bea.Study(time / steps, left).slope
    assert slope == pytest.approx(1, abs=0.1)
    assert left[-1] < 0.02 * np.linalg.norm(w)
    measured("slope", slope, "1 ± 0.1")


def test_direction_of_the_error_tends_to_that_of_w_with_slope_one(measured):
    steps = np.array([125, 250, 500, 1000])
    vectors = [first_variation(VALLEY, START, 0.5), *(scaled_error(VALLEY, START, 0.5 / n, n)[-1] for n in steps)]
    angles = np.array([np.arctan2(y, x) for x, y in vectors])
    slope = bea.Study(0.5 / steps, abs(angles[1:] - angles[0])).slope
    assert slope == pytest.approx(1, abs=0.15)
    measured("slope of the angle", slope, "1 ± 0.15")


def test_first_variation_of_one_mode_by_hand(measured):
    lam, time = 3.0, 0.4
    assert first_variation(bea.quadratic([3]), (2.0,), time) == pytest.approx(
        -0.5 * lam**2 * time * np.exp(-lam * time) * 2.0, rel=1e-8
    )
    measured("exact", 1, "mode, to 1e-8")


def test_bowl_forgets_and_valley_keeps(measured):
    assert np.linalg.norm(scaled_error(BOWL, (1.0, 1.0), 0.05, 400)[-1]) < 1e-6
    early, late = (scaled_error(VALLEY, START, 0.002, n)[-1] for n in (250, 2500))
    assert np.linalg.norm(late) > 10
    assert late == pytest.approx(early, rel=1e-3)
    end = bea.flow(flow_of(VALLEY), START, 0.5, 1)[-1]
    along = np.array([end[0], -end[1]]) / np.linalg.norm(end)
    w = first_variation(VALLEY, START, 0.5)
    assert w @ along == pytest.approx(np.linalg.norm(w), rel=1e-4)
    measured(
        "distance kept on the valley, divided by h",
        np.linalg.norm(late),
        "above 10; none in the bowl",
    )


# --- the imbalance -------------------------------------------------------------------------------


def test_imbalance_law_is_exact_in_exact_arithmetic(measured):
    a, b, h = sp.Rational(14, 5), sp.Rational(7, 2), sp.Rational(1, 100)
    symbols = VALLEY.symbols
    for _ in range(3):
        r = sp.Rational(3, 2) - 2 * a * b
        gradient = [g.subs(dict(zip(symbols, (a, b)))) for g in VALLEY.gradient_expressions]
        after = a - h * gradient[0], b - h * gradient[1]
        assert after[0] ** 2 - after[1] ** 2 == (a**2 - b**2) * (1 - 4 * h**2 * r**2)
        assert after[0] ** 2 - after[1] ** 2 != (a**2 - b**2) * (1 - h**2 * r**2)
        a, b = after
    measured("exact", 3, "steps in fractions")


def test_flow_keeps_the_imbalance(measured):
    flow = bea.flow(flow_of(VALLEY), START, 0.01, 50)
    assert imbalance(flow) == pytest.approx(-4.41, abs=1e-9)
    measured("imbalance after 50 steps of 0.01", imbalance(flow)[-1], "-4.41")


@pytest.mark.parametrize("h", [0.0025, 0.005, 0.01])
def test_every_step_moves_towards_balance_and_nothing_comes_back(h, measured):
    path = bea.run(DESCENT, VALLEY, START, h, round(100 / h))
    kept = imbalance(path)
    moving = np.abs(VALLEY.value(path[:-1])) > 1e-8  # later the change is below round-off
    assert np.all(np.diff(kept)[moving] > 0)
    assert kept[-1] == pytest.approx(kept[round(1 / h)], abs=1e-9)
    measured("imbalance at the end", kept[-1], "from -4.41 towards 0")


def test_final_imbalance_is_predicted_to_second_order(measured):
    times = np.linspace(0, 1.5, 15001)
    path = bea.flow(flow_of(VALLEY), START, times[1], len(times) - 1)
    J = np.trapezoid((1.5 - 2 * path[:, 0] * path[:, 1]) ** 2, times)
    # the same integral over p = ab instead of t: dp/dt = 2 r sqrt(4.41^2 + 4 p^2)
    p = np.linspace(0.75, 9.8, 200001)
    assert J == pytest.approx(np.trapezoid((2 * p - 1.5) / (2 * np.sqrt(4.41**2 + 4 * p**2)), p), rel=1e-4)
    hs = np.array([0.002, 0.001, 0.0005, 0.00025])
    ends = np.array([imbalance(bea.run(DESCENT, VALLEY, START, h, round(1.5 / h))[-1]) for h in hs])
    misses = (ends + 4.41 * (1 - 4 * hs * J), ends + 4.41)  # with and without the prediction
    slopes = [bea.Study(hs, np.abs(miss)).slope for miss in misses]
    assert slopes == pytest.approx([2, 1], abs=0.1)
    measured("slopes with and without the prediction", slopes, "2 and 1 ± 0.1")


def test_final_imbalance_is_the_integral_over_the_residual(measured):
    """k^2 J without a differential equation, against the derivative in h of the final imbalance."""
    first, r_0 = imbalance(np.array(START)), 1.5 - 2 * START[0] * START[1]
    integral = quad(lambda r: r / np.sqrt(first**2 + (1.5 - r) ** 2), 0, r_0)[0]
    sizes = np.array([0.001, 0.0005])
    quotients = [
        (1 - imbalance(bea.run(DESCENT, VALLEY, START, size, round(1 / size))[-1]) / first) / size for size in sizes
    ]
    extrapolated = 2 * quotients[1] - quotients[0]
    assert extrapolated == pytest.approx(integral, rel=1e-3)
    assert abs(quotients[0] - integral) == pytest.approx(2 * abs(quotients[1] - integral), rel=0.1)
    assert integral / 4 == pytest.approx(3.159, abs=5e-4)
    measured("extrapolated derivative / integral", extrapolated / integral, "1 ± 0.001", digits=4)


@pytest.mark.parametrize("h, jumps", [(0.018, False), (0.019, True)])
def test_first_step_jumps_across_the_floor(h, jumps, measured, says):
    """The live figure's answer: at 0.019 ab is 0.618 after one step and h lambda 2.21 at the start."""
    a, b = bea.run(DESCENT, VALLEY, START, h, 1)[-1]
    z = h * np.linalg.eigvalsh(VALLEY.hessian(np.array(START)))[-1]
    assert (a * b < 0.75) == jumps
    if jumps:
        assert a * b == pytest.approx(0.618, abs=5e-4) and z == pytest.approx(2.21, abs=5e-3)
    measured("ab after one step, h lambda", [a * b, z], "below 0.75 from h = 0.019 on")
    if jumps:
        says("01", "At $h = 0.019$ the product $ab$ after the first step is 0.618, below the 0.75", h, a * b, 0.75)
        says("01", "there $h\\lambda_{\\max} = 2.21$ at the start", z)
        larger = 0.02 / 0.019 * z
        says("01", "where $h\\lambda_{\\max} = 2.3$ at the start", larger)


# --- the preface ---------------------------------------------------------------------------------


def equal_loss_run(rho, beta=0.9, steps=320):
    """Adam, each step as long as it takes to lower the loss by five per cent; found by bisection."""
    path, m, v = [np.array(START)], 0, 0
    for n in range(1, steps + 1):
        g = VALLEY.gradient(path[-1])
        m, v = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g**2
        u = m / (1 - beta**n) / np.sqrt(v / (1 - rho**n))
        low, high = 0.0, 0.1
        for _ in range(60):
            middle = (low + high) / 2
            a, b = path[-1] - middle * u
            far = a * b > 0.75 and VALLEY.value((a, b)) > 0.95 * VALLEY.value(path[-1])
            low, high = (middle, high) if far else (low, middle)
        path.append(path[-1] - low * u)
    return np.array(path)


def test_preface_runs_of_equal_loss_end_apart(measured):
    """On the logarithmic axis the two losses coincide to 1e-9 of a decade at all 321 points."""
    ends, curves = [], []
    for rho in (0.9, 0.999):
        path = equal_loss_run(rho)
        assert VALLEY.value(path) == pytest.approx(VALLEY.value(path[0]) * 0.95 ** np.arange(321), rel=1e-6)
        ends.append(path[-1])
        curves.append(np.log10(VALLEY.value(path)))
    assert np.abs(curves[0] - curves[1]).max() < 1e-9  # decades, along the whole run
    fixed = [bea.run(bea.adam(0.9, rho, epsilon=1e-8), VALLEY, START, 0.01, 320) for rho in (0.9, 0.999)]
    assert np.abs(np.subtract(*(np.log10(VALLEY.value(path)) for path in fixed))).max() > 1  # a control: equal steps
    assert [end[0] - end[1] for end in ends] == pytest.approx([-0.74, -0.98], abs=0.005)
    measured("a - b at the two ends", [end[0] - end[1] for end in ends], "-0.74, -0.98", digits=2)


def test_preface_runs_with_a_fixed_step_differ_at_equal_loss(measured):
    found = []
    for rho in (0.9, 0.999):
        path = bea.run(bea.adam(0.9, rho, epsilon=1e-8), VALLEY, START, 0.005, 3000)
        a, b = path[np.argmax(VALLEY.value(path) < 1e-4)]
        found.append(a - b)
    assert found == pytest.approx([-0.71, -1.07], abs=0.005)
    measured("a - b when the loss falls below 1e-4", found, "-0.71, -1.07", digits=2)


def test_preface_one_correction_follows_adam_for_80_steps(measured):
    adam = bea.adam(beta=0.9, rho=0.95, epsilon=1e-4)
    path = bea.run(adam, VALLEY, START, 0.02, 80)
    distances = []  # over the first 80 steps, without and with one correction
    for order in (1, 2):
        flow = bea.flow(bea.transient_equation(adam, VALLEY, order=order), START, 0.02, 80)
        distances.append(np.linalg.norm(flow - path, axis=1))
    assert distances[0][-1] == pytest.approx(0.34, abs=0.01)
    assert distances[1].max() < 0.01
    measured("distance without the correction", distances[0][-1], "0.34", digits=2)


@pytest.mark.parametrize("beta", [0.5, 0.8, 0.9, 0.95])
def test_preface_only_equal_decays_keep_the_difference(beta, measured):
    """All pairs of the explorer: the difference a - b stays within 0.005 for equal decays only, grows in size for rho > beta, shrinks for beta > rho."""
    rhos = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
    drifts = {
        rho: np.subtract(*bea.run(bea.adam(beta, rho, epsilon=1e-4), VALLEY, START, 0.005, 3000)[-1]) + 0.7
        for rho in rhos
    }
    for rho in rhos:
        assert (abs(drifts[rho]) < 0.005) == (rho == beta)
        assert rho == beta or (drifts[rho] < 0) == (rho > beta)
    if beta in drifts:
        measured("drift of a - b for equal decays", drifts[beta], "within 0.005", digits=1)
    else:
        measured("smallest drift of a - b", min(drifts.values(), key=abs), "beyond 0.005", digits=2)


# --- the live figure ---------------------------------------------------------------------------------------------------


def test_distance_at_the_end_halves_with_the_step(measured, says):
    found = {h: ends("01", DESCENT, VALLEY, h=h)[1][0] for h in (0.01, 0.005, 0.0025)}
    says("01", "From 0.168 to 0.071, by a factor of 2.4", found[0.01], found[0.005], found[0.01] / found[0.005])
    says("01", "the next halving gives 2.1", found[0.005] / found[0.0025])
    measured("distances", list(found.values()), "in proportion to h in the limit", digits=3)
