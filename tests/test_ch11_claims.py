"""What chapter 11 claims about the regimes, each claim against a witness that is not the code it speaks of."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad, solve_ivp
from sklearn.datasets import load_breast_cancer

import bea
from live_answers import ends

VALLEY = bea.bilinear()
START = np.array([2.8, 3.5])
X = sp.Symbol("x", positive=True)
BOWL = bea.Loss(X**2 / 2, (X,))


def C(decay, n=None):
    """One plus twice the mean age under the weights themselves, added up one by one."""
    last = 60 / (1 - decay) if n is None else n
    ages = np.arange(int(last) + 1)
    weights = float(decay) ** ages
    return 1 + 2 * (weights @ ages) / weights.sum()


def adam(gradient, theta, beta, rho, epsilon, h, steps):
    """Adam as Kingma and Ba print it, but with epsilon inside; theta may hold many configurations, (d, configurations)."""
    m, v, path = 0 * theta, 0 * theta, [theta]
    for n in range(steps):
        g = gradient(theta)
        m, v = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g * g
        theta = theta - h * (m / (1 - beta ** (n + 1))) / np.sqrt(v / (1 - rho ** (n + 1)) + epsilon)
        path.append(theta)
    return np.array(path)


def valley_gradient(theta):
    return -2 * (1.5 - 2 * theta[0] * theta[1]) * theta[::-1]


def offset_at_half(path):
    """a - b where |r| first passes 1/2, that is where ab passes 1, for each setting of (steps + 1, 2, settings)."""
    product, delta = path[:, 0] * path[:, 1], path[:, 0] - path[:, 1]
    k, i = (product < 1).argmax(axis=0), np.arange(product.shape[1])
    assert (k > 0).all()
    part = (product[k - 1, i] - 1) / (product[k - 1, i] - product[k, i])
    return (1 - part) * delta[k - 1, i] + part * delta[k, i]


def start(settings):
    return np.tile(START[:, None], settings)


# --- thresholds --------------------------------------------------------------------------------


def equal_step(optimizer, h, low, high):
    """The gradient at which a step from the slow manifold is as long as the leading-order flow's, by bisection."""
    for _ in range(30):
        middle = (low + high) / 2
        memory = bea.modified_equation(optimizer, BOWL, 4).memory((middle,), h)
        stepped = bea.run(optimizer, BOWL, (middle,), h, 1, memory=memory)[1, 0]
        plain = bea.flow(bea.modified_equation(optimizer, BOWL, 1), (middle,), h, 1)[1, 0]
        low, high = (middle, high) if stepped < plain else (low, middle)
    return low


@pytest.mark.parametrize("inside, power", [(True, 0.5), (False, 1.0)])
def test_a_coordinate_changes_its_regime_at_g_star(inside, power, measured):
    optimizer = bea.adam(0.5, 0.8, 0.3, epsilon_inside=inside)
    printed = 0.3**power * (C(0.5) / (C(0.8) - C(0.5))) ** power
    gaps = [equal_step(optimizer, h, 0.5 * printed, 1.5 * printed) / printed - 1 for h in (2e-3, 1e-3, 5e-4)]
    slopes = np.log2(np.divide(gaps[:-1], gaps[1:]))
    np.testing.assert_allclose(slopes, 1, atol=0.1)
    assert abs(gaps[-1]) < 0.02
    measured("slopes of the distance from g*", slopes, "1 ± 0.1", digits=2)


def test_pytorchs_defaults_change_sign_at_1e_10_and_the_same_epsilon_inside_at_1e_5(measured, says):
    for inside, epsilon, g_star in (
        (False, 1e-8, 9.6e-11),
        (True, 1e-16, 9.8e-10),
        (True, 1e-8, 9.8e-6),
    ):
        equation = bea.modified_equation(bea.adam(0.9, 0.999, epsilon, epsilon_inside=inside), BOWL, 2)
        below, above = (equation.coefficients((g,))[1, 0] for g in (0.98 * g_star, 1.02 * g_star))
        assert below < 0 < above  # downhill is to the left: below it the correction speeds the descent up
    measured("exact", 3, "changes of sign, within 2 %")
    ratio = 1e-8 / 9.6e-11
    says("11", "would have to be about $104 \\cdot 10^{-3} \\approx 0.1$", ratio * 1e-3, ratio * 1e-3)


def test_without_crossing_the_sign_is_positive(measured):
    for beta, rho in ((0.9, 0.9), (0.99, 0.9), (0.5, 0.0)):
        for epsilon in (1e-6, 1.0, 1e6):
            assert bea.modified_equation(bea.adam(beta, rho, epsilon), BOWL, 2).coefficients((1.0,))[1, 0] < 0
    measured("exact", 9, "runs")


def test_0_98_is_just_short_of_balance_at_0_99_and_equal_squares(measured):
    assert C(0.98) - C(0.99) / 2 == pytest.approx(-0.5)
    measured("bracket", C(0.98) - C(0.99) / 2, "-0.5")


# --- the limit of large epsilon ----------------------------------------------------------------


def test_adam_tends_to_bias_corrected_momentum_of_step_h_over_root_epsilon(measured):
    def momentum(beta, h, steps):
        theta, m, path = START, 0 * START, [START]
        for n in range(steps):
            m = beta * m + (1 - beta) * valley_gradient(theta)
            theta = theta - h * m / (1 - beta ** (n + 1))
            path.append(theta)
        return np.array(path)

    distances = []
    for epsilon in (1e7, 1e8, 1e9):
        h = 1e-5 * np.sqrt(epsilon)
        path = adam(valley_gradient, START, 0.9, 0.999, epsilon, h, 3000)
        distances.append(np.abs(path - momentum(0.9, 1e-5, 3000)).max())
    slopes = np.log10(np.divide(distances[:-1], distances[1:]))
    np.testing.assert_allclose(slopes, 1, atol=0.05)
    measured("slopes of the distance in 1/epsilon", slopes, "1 ± 0.05", digits=2)


# --- the first steps ---------------------------------------------------------------------------


def test_the_difference_starts_with_the_square_of_the_step_number(measured):
    def error(rate, n):
        beta, rho = np.exp(-10 * rate), np.exp(-rate)
        return abs(C(rho, n) - C(beta, n) - n * (n + 2) / 6 * np.log(rho / beta))

    assert C(0.9, 0) == C(0.999, 0) == 1
    slopes = [np.log2(error(2e-3, n) / error(1e-3, n)) for n in (1, 3, 6)]
    assert slopes == pytest.approx([3, 3, 3], abs=0.02)
    exact, early = (np.array([f(n) for n in (4, 30)]) for f in (
        lambda n: C(0.999, n) - C(0.9, n), lambda n: n * (n + 2) / 6 * np.log(0.999 / 0.9)))  # fmt: skip
    assert abs(early[0] / exact[0] - 1) < 0.01 and early[1] / exact[1] > 1.1
    measured("slopes of what is left at n = 1, 3, 6", slopes, "3 ± 0.02")


def test_with_pytorchs_defaults_anti_regularization_begins_at_step_one(measured):
    assert C(0.9, 1) - C(0.999, 1) == pytest.approx(-0.05, abs=5e-3)
    assert 1e-8 * C(0.9, 1) / (C(0.999, 1) - C(0.9, 1)) == pytest.approx(3.7e-7, rel=0.02)
    measured("C_beta(1) - C_rho(1)", C(0.9, 1) - C(0.999, 1), "-0.05")


@pytest.mark.parametrize("missing, memories", [(0.1, 3.6), (0.01, 6.5)])
def test_the_denominator_fills_in_a_few_memories(missing, memories, measured):
    n = np.arange(0, 8000, 25)
    full = C(0.999)
    first = n[np.argmax([full - C(0.999, k) < missing * full for k in n])]
    assert first / 1000 == pytest.approx(memories, abs=0.05)
    measured("memories until full but for a part", first / 1000, f"{memories} ± 0.05")


@pytest.mark.parametrize("pair, times", [
    ((0.9, 0.99), (3.72, 3.87, 0.34)), ((0.9, 0.999), (3.63, 3.64, 0.03)), ((0.99, 0.999), (3.75, 3.91, 0.36))])  # fmt: skip
def test_each_regime_waits_for_its_own_constant(pair, times, measured):
    ages, waits = np.arange(20000), []
    c_beta, c_rho = (1 + 2 * np.cumsum(decay**ages * ages) / np.cumsum(decay**ages) for decay in pair)
    for share, time in zip((1.0, 0.5, 0.0), times):
        found = c_beta - share * c_rho
        last = np.flatnonzero(np.abs(found - found[-1]) > 0.1 * abs(found[-1]))[-1]
        waits.append((last + 1) * (1 - pair[1]))
        assert waits[-1] == pytest.approx(time, abs=6e-3)
    measured("memories until settled: large, middle, small epsilon", waits, ", ".join(map(str, times)))


# --- ten coordinates ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def regression():
    """Value, gradient and Hessian of the chapter's logistic loss, by its textbook formulas."""
    data = load_breast_cancer()
    A = data.data[:, :10]
    A = (A - A.mean(axis=0)) / A.std(axis=0)
    y = 2.0 * data.target - 1

    def value(theta):
        return np.log1p(np.exp(-y * (A @ theta))).mean()

    def gradient(theta):
        return A.T @ (-y / (1 + np.exp(y * (A @ theta)))) / len(y)

    def hessian(theta):
        p = 1 / (1 + np.exp(-(A @ theta)))
        return (A.T * (p * (1 - p))) @ A / len(y)

    return value, gradient, hessian


@pytest.fixture(scope="module")
def ten(regression):
    _, gradient, _ = regression
    path = adam(gradient, np.full(10, 0.5), 0.9, 0.99, 1e-2, 1e-3, 4000)
    return path, np.array([gradient(theta) for theta in path])


def bracket(g, n, epsilon=1e-2):
    return C(0.9, n) - C(0.99, n) * g**2 / (g**2 + epsilon)


def test_coordinates_change_their_regimes_at_different_steps(ten, measured):
    path, gradients = ten
    counts = [int((bracket(gradients[n], n) < 0).sum()) for n in (0, 20, 300, 1000, 2000, 4000)]
    assert counts == [0, 9, 10, 8, 0, 0]
    measured("coordinates against, of ten, at six steps", counts, "0, 9, 10, 8, 0, 0")


def test_bracket_is_negative_for_half_of_the_first_2500_steps(ten, measured):
    """The table's percentage at epsilon = 0.01, over all coordinates."""
    _, gradients = ten
    share = np.mean([bracket(g, n) < 0 for n, g in enumerate(gradients[:2501])])
    assert share == pytest.approx(0.53, abs=0.005)
    measured("fraction of the run with a negative bracket", float(share), "0.53", digits=2)


def test_the_net_effect_is_the_corrections_share_of_the_norms_change(ten, regression, measured):
    """By the engine's field and a difference quotient of the norm; and its two changes of sign."""
    (path, gradients), (_, gradient, hessian) = ten, regression
    loss = bea.logistic_regression(range(10))
    theta, epsilon = path[700], 1e-2
    f_1 = bea.modified_equation(bea.adam(0.9, 0.99, epsilon), loss, 2).coefficients(theta)[1]

    def norm(theta):
        return np.sqrt(gradient(theta) ** 2 + epsilon).sum()

    quotient = (norm(theta + 1e-6 * f_1) - norm(theta - 1e-6 * f_1)) / 2e-6

    def net_effect(n, brackets):
        g = gradients[n]
        R = np.sqrt(g**2 + epsilon)
        return -(brackets / R * (hessian(path[n]) @ (g / R)) ** 2).sum() / 2

    g = gradients[700]
    assert quotient == pytest.approx(net_effect(700, C(0.9) - C(0.99) * g**2 / (g**2 + epsilon)), rel=1e-5)
    signs = [np.sign(net_effect(n, bracket(gradients[n], n))) for n in (1, 2, 1569, 1570)]
    assert signs == [-1, 1, 1, -1]
    measured(
        "difference quotient / weighted sum of brackets",
        quotient / net_effect(700, C(0.9) - C(0.99) * g**2 / (g**2 + epsilon)),
        "1 ± 1e-5",
        digits=4,
    )


def test_one_norm_at_equal_loss_has_the_predicted_sign(regression, measured):
    value, gradient, _ = regression

    def at_level(path, epsilon):
        values = np.array([value(theta) for theta in path])
        k = int((values < 0.3).argmax())
        assert k > 0
        part = (values[k - 1] - 0.3) / (values[k - 1] - values[k])
        norms = [(np.sqrt(gradient(theta) ** 2 + epsilon) - np.sqrt(epsilon)).sum() for theta in path[k - 1 : k + 1]]
        return norms[0] + part * (norms[1] - norms[0])

    def plain(epsilon):
        """The norm at the loss 0.3 along the leading-order flow, by SciPy with an event."""

        def event(t, theta):
            return value(theta) - 0.3

        event.terminal = True
        found = solve_ivp(lambda t, y: -gradient(y) / np.sqrt(gradient(y) ** 2 + epsilon), (0, 1e9), np.full(10, 0.5),
                          "DOP853", rtol=1e-9, atol=1e-11, events=event)  # fmt: skip
        return (np.sqrt(gradient(found.y_events[0][0]) ** 2 + epsilon) - np.sqrt(epsilon)).sum()

    changes = []
    for epsilon, expected in ((1e-12, (1.53, -1.77)), (1e2, (-0.040, -0.453))):
        h = 1e-3 * np.sqrt(1 + epsilon / np.abs(gradient(np.full(10, 0.5))).max() ** 2)
        for pair, percent in zip(((0.9, 0.99), (0.99, 0.9)), expected):
            path = adam(gradient, np.full(10, 0.5), *pair, epsilon, h, 2600)
            changes.append(100 * (at_level(path, epsilon) / plain(epsilon) - 1))
            assert changes[-1] == pytest.approx(percent, abs=0.02)
    measured(
        "norm compared with the leading-order flow's, per cent, small and large epsilon",
        changes,
        "1.53, -1.77, -0.04, -0.45",
        digits=2,
    )


# --- the valley --------------------------------------------------------------------------------

A_END = -0.35 + np.sqrt(0.35**2 + 1)
LOG = np.log((A_END + 0.7) / A_END / 1.25)


def closed_form(beta, rho, h):
    return h / 2 * (C(beta) - C(rho)) * LOG


def test_the_logarithm_is_0_23_after_halving(measured):
    assert LOG / 2 == pytest.approx(0.23, abs=2e-3) and (A_END + 0.7) / A_END == pytest.approx(1.99, abs=5e-3)
    measured("half the logarithm", LOG / 2, "0.23")


@pytest.mark.parametrize("beta, rho", [(0.5, 0.8), (0.8, 0.5)])
def test_the_closed_form_law_has_slope_two_and_its_control_slope_one(beta, rho, measured):
    hs = np.array([2e-3, 1e-3, 5e-4])
    moved = offset_at_half(adam(valley_gradient, start(3), beta, rho, 1e-12, hs, 6000)) + 0.7
    slopes = []
    for law, slope in ((closed_form(beta, rho, hs), 2), (0 * hs, 1), (closed_form(rho, beta, hs), 1)):
        gaps = np.abs(moved - law)
        found = np.log2(gaps[:-1] / gaps[1:])
        slopes.append(found[-1])
        np.testing.assert_allclose(found, slope, atol=0.06)
    measured("slopes: the law, none, exchanged", slopes, "2, 1, 1 ± 0.06")


def test_the_law_holds_on_both_sides_of_the_valley(measured):
    a, b = VALLEY.symbols
    f_1 = bea.modified_equation(bea.adam(sp.Rational(1, 2), sp.Rational(4, 5), sp.Integer(0)), VALLEY, 2).terms[1]
    for point in ({a: 2, b: 3}, {a: sp.Rational(1, 5), b: sp.Rational(1, 2)}):
        drift = (f_1[0] - f_1[1]).subs(point)
        assert sp.simplify(drift - 3 * (point[a] - point[b]) / (point[a] * point[b])) == 0  # -(3 - 9)/2
    measured("exact", 2, "points in fractions")


@pytest.mark.parametrize("pair, h, run, law", [
    ((0.9, 0.99), 2.5e-4, -0.7112, -0.7104), ((0.9, 0.9), 2.5e-4, -0.7, -0.7),
    ((0.99, 0.9), 2.5e-4, -0.6885, -0.6896), ((0.9, 0.999), 1e-3, -0.9720, -1.1587)])  # fmt: skip
def test_the_printed_table(pair, h, run, law, measured, says):
    path = adam(valley_gradient, START, *pair, 1e-8, h, round((6 if h > 5e-4 else 2.8) / h))
    end = path[np.argmax(path.prod(axis=1) < 1)]
    assert end[0] - end[1] == pytest.approx(run, abs=6e-5)
    assert -0.7 + closed_form(*pair, h) == pytest.approx(law, abs=6e-5)
    measured(
        "offset, run and law",
        [end[0] - end[1], -0.7 + closed_form(*pair, h)],
        f"{run}, {law}",
        digits=4,
    )
    if pair == (0.9, 0.99):
        says("11", "the drift $\\delta + 0.7$ is $-0.0112$", 0.7, end[0] - end[1] + 0.7)
    if pair == (0.99, 0.9):
        says("11", "and 0.0115 is measured", end[0] - end[1] + 0.7)
        inverse = 1 / path[: np.argmax(path.prod(axis=1) < 1) + 1].prod(axis=1)
        push = sum((C(0.99, k) - C(0.9, k)) * (inverse[k] + inverse[k + 1]) / 2 for k in range(len(inverse) - 1))
        says("11", "the law along the run gives a drift of 0.0095", 0.7 - 0.7 * np.exp(-(h**2) / 2 * push))


def test_a_run_that_swings_through_the_valley_goes_on_drifting(measured, says):
    path = adam(valley_gradient, START, 0.99, 0.9, 1e-8, 1e-3, 4000)
    product = path.prod(axis=1)
    first = path[np.argmax(product < 1)]
    assert first[0] - first[1] == pytest.approx(-0.64, abs=0.01)
    assert path[-1, 0] - path[-1, 1] == pytest.approx(-0.43, abs=0.01)
    assert (np.diff(np.sign(product - 0.75)) != 0).sum() > 10
    measured(
        "offset at the first passage and at the end",
        [first[0] - first[1], path[-1, 0] - path[-1, 1]],
        "-0.64, -0.43",
        digits=2,
    )
    sizes = (0.99, 0.9, 1e-3, first[0] - first[1])
    says("11", "with $\\beta = 0.99$, $\\rho = 0.9$ and $h = 10^{-3}$ the offset is $-0.64$", *sizes)
    says("11", "and $-0.43$ after 4000 ste", path[-1, 0] - path[-1, 1], 4000)


@pytest.fixture(scope="module")
def sweep():
    """(beta, rho, measured drift, law) for 8 by 8 decays at h = 1e-3."""
    decays = 1 - 1 / np.geomspace(2, 500, 8)
    betas, rhos = (x.ravel() for x in np.meshgrid(decays, decays))
    moved = offset_at_half(adam(valley_gradient, start(64), betas, rhos, 1e-8, 1e-3, 4200)) + 0.7
    return betas, rhos, moved, np.array([closed_form(b, r, 1e-3) for b, r in zip(betas, rhos)])


def test_larger_beta_bends_towards_balance_and_larger_rho_away(sweep, measured):
    betas, rhos, moved, law = sweep
    apart = betas != rhos  # here neighbours differ by a factor of more than two
    assert (np.sign(moved[apart]) == np.sign(betas - rhos)[apart]).all()
    grid = moved.reshape(8, 8)[:7, :7]  # beta along a row, rho down a column
    assert (np.diff(grid, axis=1) > 0).all() and (np.diff(grid, axis=0) < 0).all()
    measured(
        "runs with the predicted sign",
        int((np.sign(moved[apart]) == np.sign(betas - rhos)[apart]).sum()),
        "all 56",
    )


def test_the_edge_of_validity(sweep, measured):
    betas, rhos, moved, law = sweep
    largest = 1e-3 * np.array([max(C(b), C(r)) for b, r in zip(betas, rhos)])
    apart = betas != rhos
    ratio = moved[apart] / law[apart]
    largest, shorter = largest[apart], betas[apart] > rhos[apart]
    assert np.abs(ratio[largest < 0.03] - 1).max() < 0.1
    assert 1.15 < np.median(ratio[(largest > 0.1) & (largest < 0.5)]) < 1.4
    assert (ratio[(largest > 0.9) & shorter] < 0.75).all()
    same = moved[(betas == rhos)]
    assert -0.057 < same[-1] < -0.047 and abs(same[0]) < 1e-4
    measured(
        "run / law for h C < 0.03, largest distance from 1",
        np.abs(ratio[largest < 0.03] - 1).max(),
        "below 0.1",
        digits=2,
    )
    measured(
        "run / law for h C from 0.1 to 0.5, median",
        np.median(ratio[(largest > 0.1) & (largest < 0.5)]),
        "1.15 to 1.4",
    )


# --- between the limits ------------------------------------------------------------------------


def plain_at_half(epsilon):
    """The offset of the leading-order flow at ab = 1, by SciPy with an event."""

    def event(t, y):
        return y[0] * y[1] - 1

    event.terminal = True
    found = solve_ivp(lambda t, y: -valley_gradient(y) / np.sqrt(valley_gradient(y) ** 2 + epsilon), (0, 1e9), START,
                      "DOP853", rtol=1e-11, atol=1e-13, events=event)  # fmt: skip
    return found.y_events[0][0] @ (1, -1)


def test_both_asymptotes_and_one_change_of_sign(measured):
    D, G = -4.41, np.linalg.norm(valley_gradient(START))
    # a^2 - 1/a^2 = D on ab = 1
    a_squared = (D + np.sqrt(D**2 + 4)) / 2
    assert plain_at_half(1e10) == pytest.approx(np.sqrt(a_squared) - 1 / np.sqrt(a_squared), abs=1e-5)
    assert plain_at_half(1e-6) == pytest.approx(-0.7, abs=1e-5)

    epsilons, h = np.array([1e-4, 10.0, 18.0, 1.8e3, 1e9]), 5e-4
    path = adam(valley_gradient, start(5), 0.9, 0.99, epsilons, h * np.sqrt(1 + epsilons / G**2), 52000)
    corrections = (offset_at_half(path) - [plain_at_half(e) for e in epsilons]) / h
    assert (np.sign(corrections) == [-1, -1, 1, 1, 1]).all()
    assert corrections[0] == pytest.approx(-47.3, abs=0.1)
    # momentum's law integrated with the residual as the clock: d ln D = h_e C k^2 r^2 dt and dr = -k^2 r (a^2 + b^2) dt
    log_change = 19 / G * quad(lambda r: r / np.hypot(D, 1.5 - r), -18.1, -0.5)[0]
    # delta = D / (a + b) and (a + b)^2 = sqrt(D^2 + 4) + 2, differentiated in D
    total = np.sqrt(np.hypot(D, 2) + 2)
    slope = 1 / total - D**2 / (2 * total**3 * np.hypot(D, 2))
    assert corrections[-1] == pytest.approx(slope * D * log_change, rel=0.01)
    assert 7 < corrections[3] / corrections[-1] < 9
    measured("correction / h for five epsilon", corrections, "one change of sign")


def test_a_growing_gradient_meets_the_regimes_in_the_other_order(measured):
    """On a hill the fraction m / sqrt(v + epsilon) of an exact exponential path, with the memory of an endless past."""
    rate = 1e-3

    def speed_against_plain(x):
        ages = np.arange(400)
        past = x * np.exp(-rate * ages)
        m, v = (0.5 * 0.5**ages) @ past, (0.2 * 0.8**ages) @ past**2
        return m / np.sqrt(v + 1) - x / np.sqrt(x**2 + 1)

    # on a path of a given rate only the lags count, not the half step: 2 lag = C - 1
    balance = np.sqrt((C(0.5) - 1) / (C(0.8) - C(0.5)))
    assert speed_against_plain(0.98 * balance) < 0 < speed_against_plain(1.02 * balance)
    measured("exact", 2, "signs, 2 % below and above the balance")


# --- the live figure ---------------------------------------------------------------------------------------------------


def test_lags_move_the_end_in_opposite_directions(measured, says):
    """The live figure: how far the end of the run is from that of the leading-order flow, and on which side."""
    flow = bea.flow(bea.modified_equation(bea.adam(0.9, 0.9, 1e-8), VALLEY, 1), START, 0.001, 1500)[-1]
    found = {}
    for h in (0.001, 0.0005):
        for pair in ((0.99, 0.9), (0.9, 0.99), (0.9, 0.9)):
            last, (found[pair, h], _) = ends("11", bea.adam(*pair, 1e-8), VALLEY, h=h)
            ahead = (flow - last).sum()
            assert ahead > 0.2 if pair[0] > pair[1] else ahead < -0.1 if pair[1] > pair[0] else abs(ahead) < 1e-3
    assert C(0.99) - C(0.9) == pytest.approx(180, abs=1e-6)
    says("11", "With $\\beta = 0.99$ the end is 0.44 further on, with $\\rho = 0.99$ it is 0.24 behind",
         0.99, found[(0.99, 0.9), 0.001], 0.99, found[(0.9, 0.99), 0.001])  # fmt: skip
    says("11", "At half the step size, 0.17 and 0.13", found[(0.99, 0.9), 0.0005], found[(0.9, 0.99), 0.0005])
    measured("distances at h = 0.001", [found[(0.99, 0.9), 0.001], found[(0.9, 0.99), 0.001]], "beta further", digits=2)
