"""What chapter 17 claims, each claim against a witness that is not the code it speaks of."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq

import bea
from live_answers import ends
from tree_peers import PEERS

VALLEY, START = bea.bilinear(), (0.9, 1.5)
X = sp.Symbol("x", positive=True)
BOWL = bea.Loss(X**2 / 2, (X,))


# --- the third term, and the divergence ---------------------------------------------------------


def study(order, **options):
    adam = bea.adam(0.5, 0.6, 0.3)
    return bea.order_study(adam, VALLEY, START, 0.1, [1e-3, 5e-4, 2.5e-4], order=order, **options)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_adam_slopes_on_the_slow_manifold(order, measured):
    slope = study(order).slope
    assert slope == pytest.approx(order, abs=0.05)
    measured("slope", slope, f"{order} ± 0.05")


def test_a_halved_third_term_has_slope_two(measured):
    three = bea.modified_equation(bea.adam(0.5, 0.6, 0.3), VALLEY, 3)

    class Halved:
        def field(self, h):
            return lambda theta: np.tensordot([1, h, h**2 / 2], three.coefficients(theta), 1)

    slope = study(3, equation=Halved()).slope
    assert slope == pytest.approx(2, abs=0.05)
    measured("slope", slope, "2 ± 0.05")


def test_equal_decays_leave_a_second_correction(measured):
    # beta = rho = 3/5, l = 3/2: f_1 = 0, f_2 = l (1 + l) / 2
    tie = bea.adam(Fraction(3, 5), Fraction(3, 5), sp.Integer(0))
    found = bea.modified_equation(tie, BOWL, 3).coefficients([sp.Integer(1)])[:, 0]
    assert list(found) == [-1, 0, sp.Rational(15, 8)]
    measured("exact", 3, "coefficients")


@pytest.mark.parametrize("rho", [Fraction(3, 5), Fraction(4, 5), Fraction(9, 10)])
def test_coefficients_grow_like_a_factorial_over_the_memorys_logarithm(rho, measured):
    # exact rationals, so that no cancellation can pretend; 16 terms are enough to see 0.9 and a rise
    adam = bea.adam(Fraction(1, 2), rho, sp.Integer(0))
    c = bea.modified_equation(adam, BOWL, 16).coefficients([sp.Integer(1)])[:, 0]
    c = np.abs(c.astype(float))
    ratios = [c[k + 1] / (k * c[k]) * -np.log(float(rho)) for k in (10, 14)]
    assert ratios == pytest.approx([0.96, 0.975], abs=0.025)
    powers = [c[k + 1] / c[k] for k in (9, 14)]  # were there a radius, these would be equal
    assert powers[1] > 1.4 * powers[0]
    measured("growth over k/|ln rho| at k = 10, 14", ratios, "0.96, 0.975 ± 0.025")


def coefficients(terms):
    return bea.modified_equation(bea.adam(0.5, 0.9, 0.0), BOWL, terms).coefficients((1.0,))[:, 0]


def defect(c, n, beta=0.5, rho=0.9):
    """One step of Adam against the flow in y = x/h, from a past that is integrated forwards from far away."""

    def field(s, y):
        return [np.polynomial.polynomial.polyval(1 / y[0], c)]

    def here(s, y):
        return y[0] - n

    here.terminal = True
    options = {"method": "DOP853", "rtol": 1e-13, "atol": 1e-13, "dense_output": True}
    path = solve_ivp(field, (0, 3000), [n + 400.0], events=here, **options)
    arrived = path.t[-1]
    m, v = path.sol(0)[0], path.sol(0)[0] ** 2
    times = np.arange(arrived % 1, arrived + 0.5, 1.0)
    for y in path.sol(times)[0]:
        m, v = beta * m + (1 - beta) * y, rho * v + (1 - rho) * y * y
    after = solve_ivp(field, (0, 1), [float(n)], **options).y[0, -1]
    return abs(after - n + m / np.sqrt(v))


def test_best_number_of_terms_and_smallest_defect(measured):
    c = coefficients(16)
    best = {}
    for n in (50, 100):
        values = [defect(c[:N], n) for N in range(1, 16)]
        best[n] = min(values)
        assert abs(np.argmin(values) + 1 - n * -np.log(0.9)) < 2.5
        assert values[0] > 30 * min(values) and values[-1] > 1.4 * min(values)
    assert best[50] == pytest.approx(1.1e-3, rel=0.05)
    assert best[100] == pytest.approx(2.7e-6, rel=0.05)
    exponent = np.log(best[100] / best[50]) / 50
    assert np.log(0.9) * 1.2 < exponent < np.log(0.9)
    measured("smallest defect at h = 1/50, 1/100", list(best.values()), "1.1e-3, 2.7e-6 ± 5 %", digits=2)
    measured(
        "slope of its logarithm in 1/h",
        exponent,
        "between 1.2 ln 0.9 and ln 0.9 = -0.105",
        digits=2,
    )


def test_growth_on_the_valley_is_set_by_the_time_to_the_floor(measured, says):
    a, b = START
    to_floor = brentq(lambda s: (a - s) * (b - s) - 0.75, 0, a)
    assert to_floor == pytest.approx(0.283, abs=5e-4)
    norms = np.linalg.norm(bea.modified_equation(bea.adam(0.9, 0.99, 0.0), VALLEY, 25).coefficients(START), axis=1)
    growth = norms[24] / (23 * norms[23]) * -np.log(0.99) * to_floor
    assert growth == pytest.approx(1, abs=0.01)
    measured("growth times |ln rho| and the time to the floor", growth, "1 ± 0.01")
    other = np.linalg.norm(bea.modified_equation(bea.adam(0.9, 0.99, 0.0), VALLEY, 25).coefficients((1.2, 1.8)), axis=1)
    assert other[24] / (23 * other[23]) * -np.log(0.99) * to_floor < 0.7  # from elsewhere, another time
    says("17", "with $s_*=0.283$", to_floor)


def defect_on_valley(h, N, beta=0.5, rho=0.6, epsilon=0.3, steps=50):
    """One step of Adam against the flow of N terms, from averages of the flow's own past, by Runge and Kutta."""
    field = bea.modified_equation(bea.adam(beta, rho, epsilon), VALLEY, N).field(h)

    def move(theta, time, parts=4):
        for _ in range(parts):
            d = time / parts
            a = field(theta)
            b = field(theta + d / 2 * a)
            c = field(theta + d / 2 * b)
            theta = theta + d / 6 * (a + 2 * b + 2 * c + field(theta + d * c))
        return theta

    theta, past = np.array(START), []
    for _ in range(steps):
        past.append(VALLEY.gradient(theta))
        theta = move(theta, -h)
    m = v = np.zeros(2)
    for g in past[::-1]:
        m, v = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g * g
    return np.linalg.norm((move(np.array(START), h) - START) / h + m / np.sqrt(v + epsilon))


def test_terms_help_at_a_small_step_and_hurt_at_a_large_one(measured):
    small = [defect_on_valley(0.01, N) for N in (1, 2, 3, 4, 6)]
    assert all(late < early for early, late in zip(small, small[1:]))
    assert small[0] == pytest.approx(0.033, rel=0.05) and small[-1] < 4e-6
    large = [defect_on_valley(0.04, N) for N in (1, 2, 3, 4, 6, 8)]
    assert np.argmin(large) == 3 and large[3] < large[4] < large[5]
    measured("defect at h = 0.01 with 1, 2, 3, 4, 6 terms", small, "falls, to below 4e-6", digits=1)


def test_radius_of_heavy_ball_on_a_mode(measured):
    # exact: the chain's coefficients against the series of the slow root's logarithm at half the radius
    z, beta = 0.5 * (1 - np.sqrt(0.5)) ** 2, 0.5
    c = bea.modified_equation(bea.heavy_ball(beta), bea.quadratic([1]), 60).coefficients([1.0])[:, 0]
    roots = np.roots([1, -(1 + beta - z), beta])
    assert np.polynomial.polynomial.polyval(z, c) == pytest.approx(np.log(max(roots)) / z, rel=1e-12)
    outside = np.abs(c) * (1.2 * (1 - np.sqrt(beta)) ** 2) ** np.arange(60)
    assert outside[59] > outside[40] > outside[20]
    measured("exact", 60, "terms")


# --- trees ---------------------------------------------------------------------------------------


def test_numbers_of_trees_through_nine_nodes(measured):
    euler = bea.tree_coefficients(bea.gradient_descent(), 9)
    assert len(euler) == 486 and sum(value == 0 for value in euler.values()) == 41
    measured("exact", 486, "trees")


@pytest.mark.parametrize("peer", PEERS)
def test_trees_equal_another_package_through_order_seven(peer, measured):
    try:
        theirs = PEERS[peer](7)
    except ImportError:
        pytest.skip(f"{peer} is not installed (make bench says where it comes from)")
    ours = bea.tree_coefficients(bea.gradient_descent(), 7)
    assert len(ours) == 85 and theirs.keys() == ours.keys()
    assert all(abs(theirs[tree] - value) < 1e-12 for tree, value in ours.items())
    measured("exact", len(ours), "trees")


# --- the family ----------------------------------------------------------------------------------


def first_correction(optimizer, theta=START):
    return bea.modified_equation(optimizer, VALLEY, 2).coefficients(theta)[1]


@pytest.mark.parametrize("epsilon", [1e-4, 0.1, 3.0, 1e3])
def test_adam_with_equal_decays_is_signum_to_first_order(epsilon, measured):
    adam, signum = bea.adam(0.8, 0.8, epsilon), bea.signum(0.8, epsilon)
    assert first_correction(adam) == pytest.approx(first_correction(signum), rel=1e-10)
    second = [bea.modified_equation(o, VALLEY, 3).coefficients(START)[2] for o in (adam, signum)]
    assert not np.allclose(*second, rtol=1e-3)
    measured("exact", 2, "coordinates, to ten digits")


def test_lions_correction_is_proportional_to_epsilon_and_speeds_it_up(measured):
    small = [first_correction(bea.lion(0.9, 0.99, epsilon)) for epsilon in (1e-4, 1e-5)]
    assert small[0] == pytest.approx(10 * small[1], rel=1e-3)
    ratio = small[0] / first_correction(bea.signum(0.9, 1e-4))
    assert ratio == pytest.approx((1 + 180) / (1 + 18), rel=1e-3)
    measured("Lion's correction over Signum's, both coordinates", ratio, "181/19 = 9.53 ± 0.1 %")
    for epsilon in (
        1e-4,
        1.0,
        100.0,
    ):  # never the reverse: -f_1 R^3 is a positive multiple of the norm's gradient
        for theta in ((0.9, 1.5), (2.8, 3.5), (-1.0, 0.5)):
            R = np.sqrt(VALLEY.gradient(theta) ** 2 + epsilon)
            push = first_correction(bea.lion(0.9, 0.99, epsilon), theta) * R**3
            d = 1e-7 * push / np.linalg.norm(push)
            ahead, behind = (np.sqrt(VALLEY.gradient(theta + s * d) ** 2 + epsilon).sum() for s in (1, -1))
            assert ahead < behind


# --- when there is a loss ------------------------------------------------------------------------


def curl(optimizer, at, term=2, metric=None, d=1e-4):
    """By differences of the numeric engine, on the bilinear model."""
    at = np.array(at)
    shifted = at + d * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    f = bea.modified_equation(optimizer, VALLEY, term + 1).coefficients(shifted)[term]
    if metric is not None:
        f = f * np.sqrt(VALLEY.gradient(shifted) ** 2 + metric)
    return (f[0, 1] - f[1, 1] - f[2, 0] + f[3, 0]) / (2 * d)


def test_heavy_balls_curl_is_gradient_descents_in_the_effective_step(measured):
    at = (2.0, 1.0)
    ratio = curl(bea.heavy_ball(0.6), at) / curl(bea.gradient_descent(), at)
    assert ratio == pytest.approx(0.4**-3, rel=1e-5)
    measured("ratio of the curls at beta = 0.6", ratio, "1/0.4³ = 15.625", digits=5)


def test_nesterov_has_a_modified_loss_at_one_beta(measured, says):
    special = brentq(lambda z: 6 * z**3 + z - 1, 0, 1)
    assert special == pytest.approx(0.4507, abs=5e-5)
    size = abs(curl(bea.gradient_descent(), (2.0, 1.0)))
    assert abs(curl(bea.nesterov(special), (2.0, 1.0))) < 1e-4 * size
    assert curl(bea.nesterov(0.3), (2.0, 1.0)) < -size
    assert curl(bea.nesterov(0.6), (2.0, 1.0)) > size
    measured("beta without a curl", special, "0.4507", digits=4)
    says("17", "$6\\beta^3+\\beta=1$, which is $\\beta=0.4507$", 6, 1, special)


def test_adams_correction_is_a_gradient_in_its_metric_at_both_ends_only(measured):
    def relative(epsilon):
        adam = bea.adam(0.5, 0.8, epsilon)
        size = np.linalg.norm(first_correction(adam) * np.sqrt(VALLEY.gradient(START) ** 2 + epsilon))
        return abs(curl(adam, START, 1, epsilon, 1e-5)) / size

    assert relative(1e-6) < 1e-4 and relative(1e6) < 1e-3
    middle = [relative(1.0), relative(10.0)]
    assert middle == pytest.approx([0.393, 2.226], abs=0.01)
    measured("relative curl at epsilon = 1, 10", middle, "0.393, 2.23; below 1e-3 at both ends")


@pytest.mark.parametrize(("beta", "rho", "first"), [(0.5, 0.6, 5), (0.5, 0.8, 5), (0.5, 0.9, 0), (0.8, 0.5, 5)])
def test_signs_of_the_coefficients_alternate(beta, rho, first, measured):
    """Exact rationals: from the start where the page says so, else from k = 5 on."""
    adam = bea.adam(Fraction(str(beta)), Fraction(str(rho)), sp.Integer(0))
    c = bea.modified_equation(adam, BOWL, 16).coefficients([sp.Integer(1)])[:, 0]
    assert all(a * b < 0 for a, b in zip(c[first:], c[first + 1 :]))
    measured("exact", 16 - first, "signs that alternate")


def test_walls_that_flatten_too_much_have_no_stable_cycle(measured):
    """With phi = (1 - exp(-x^2)) / 2, by iteration on both sides of eta^2 = sqrt(e)."""
    apart = []
    for eta in (0.999 * np.e**0.25, 1.01 * np.e**0.25):
        x = 0.3
        for _ in range(40000):
            before, x = x, x - 2 * eta**2 * x * np.exp(-x * x)
        apart.append(abs(x + before))
    assert apart[0] < 1e-8 and apart[1] > 0.05
    measured("distance of x from minus the x before, below and above", apart, "0, not 0", digits=2)


# --- the edge ------------------------------------------------------------------------------------


def at_the_edge(h, x, eta, horizon):
    """Gradient descent on the chapter's loss by a loop; eta = y sqrt(h / 2), its averages over two steps."""
    path = [(x, eta)]
    for _ in range(round(horizon / h)):
        root = np.sqrt(1 + x * x)
        x, eta = x - 2 * eta**2 * x / root, eta - h * (2 * eta * (root - 1) + eta - 1.6)
        path.append((x, eta))
    path = np.array(path)
    return path, (path[1:, 1] + path[:-1, 1]) / 2, h * (np.arange(len(path) - 1) + 0.5)


def flow(eta0, times, force=2):
    def motion(t, eta):
        return 1.6 - eta - force * eta * np.maximum(eta**2 - 1, 0)

    return solve_ivp(motion, (0, times[-1]), [eta0], t_eval=times, rtol=1e-10, atol=1e-12).y[0]


HS = np.array([0.04, 0.02, 0.01, 0.005])


@pytest.mark.parametrize(("force", "slope", "last"), [(2, 1.1, 0.0014), (1, 0, 0.0635), (0, 0, 0.42)])
def test_central_flow_from_the_cycle(force, slope, last, measured):
    errors = []
    for h in HS:
        _, mean, times = at_the_edge(h, np.sqrt(1.05**4 - 1), 1.05, 2.0)
        errors.append(np.abs(mean - flow(1.05, times, force)).max())
    found = bea.Study(HS, np.array(errors)).slope
    assert found == pytest.approx(slope, abs=0.06)
    measured("slope", found, f"{slope} ± 0.06", digits=2)
    assert errors[-1] == pytest.approx(last, rel=0.05)


def test_delay_past_the_edge_is_predicted(measured):
    def eta(t):
        return 1.6 - 0.7 * np.exp(-t)

    awake = brentq(lambda T: quad(lambda t: np.log(abs(2 * eta(t) ** 2 - 1)), 0, T)[0], 0.2, 2)
    limit = eta(awake) - flow(0.9, np.linspace(0, awake, 30))[-1]
    errors = []
    for h in HS:
        _, mean, times = at_the_edge(h, 0.3, 0.9, 1.5)
        errors.append(np.abs(mean - flow(0.9, times)).max())
    assert limit == pytest.approx(0.0295, abs=1e-4)
    slope = bea.Study(HS, np.array(errors) - limit).slope
    assert slope == pytest.approx(1, abs=0.1)
    measured("delay, and slope of what is left", [limit, slope], "0.0295, 1 ± 0.1", digits=2)


def test_the_live_figure_stays_behind_where_the_oscillation_is_back(measured, says):
    """At h = 0.04, and not at 0.025, by the engine and by a loop over the two formulas of the step."""
    x, y = sp.symbols("x y", real=True)
    loss = bea.Loss(y**2 * (sp.sqrt(1 + x**2) - 1) + (y - 10) ** 2 / 2, (x, y))
    last, smallest, highest = {}, {}, {}
    for h in (0.04, 0.025):
        a, b, steps, path = 0.3, 6.0, round(4 / h), []
        for _ in range(2 * steps):
            root = np.sqrt(1 + a * a)
            a, b = a - h * b**2 * a / root, b - h * (2 * b * (root - 1) + b - 10)
            path.append((abs(a), b))
        end, far = ends("17", bea.gradient_descent(), loss, h)
        np.testing.assert_allclose([abs(end[0]), end[1]], path[steps - 1], rtol=1e-6)
        last[h], smallest[h], highest[h] = (*path[steps - 1], far), min(path)[0], max(b for _, b in path)
    assert last[0.04][2][0] > 2 and max(last[0.025][2]) < 0.01
    says("17", "which climbs to $y = 8.2$ and ends at $y = 7.6$", highest[0.04], last[0.04][1])
    says("17", "is at $9.93$ at the time 4, as the lines are", last[0.025][1], 4)
    back = next(n for n, (size, _) in enumerate(path, 1) if size > 0.1 and n > steps) * h
    says("17", "Near the time 5.3 the jumps return, and the run falls back to $y = 9.15$", back, b)
    says("17", "at y = 7.1 for h = 0.04, and at y = 8.9 for h = 0.025", np.sqrt(50), 0.04, np.sqrt(80), 0.025)
    assert smallest[0.025] < 1e-22 and 0.9e-10 < last[0.025][0] < 1.4e-10
    measured("where the run ends", last[0.04][1], "7.6, below both flows by 2.4", digits=2)


def test_where_it_settles_and_where_it_does_not(measured, says):
    path, mean, _ = at_the_edge(0.005, 0.3, 0.9, 12.0)
    assert mean[-1] == pytest.approx(1.106, abs=1e-3) and mean[-1] ** 2 == pytest.approx(1.22, abs=5e-3)
    assert abs(path[-1, 0]) == pytest.approx(np.sqrt(mean[-1] ** 4 - 1), abs=2e-3)
    measured("where the mean settles", mean[-1], "1.106 ± 0.001")
    says("17", "It settles at $\\eta^2=1.22$, 22 % above the edge", mean[-1] ** 2, 100 * (mean[-1] ** 2 - 1))
    says("17", "gradient flow ends at $\\eta=1.6$, the averages at 1.106", 1.6, mean[-1])
    says("17", "settles at 1.106, while the grey gradient flow climbs towards 1.6", mean[-1], 1.6)


def test_keeping_the_amplitude_covers_the_onset(measured):
    errors = []
    for h in HS:
        path, mean, times = at_the_edge(h, 0.3, 0.9, 1.5)

        def motion(t, z, h=h):
            root = np.hypot(1, np.exp(z[0]))
            return [np.log(2 * z[1] ** 2 / root - 1) / h, 1.6 - z[1] - 2 * z[1] * (root - 1)]

        kept = solve_ivp(motion, (0, 1.5), [np.log(0.3), 0.9], t_eval=times, method="Radau", rtol=1e-8, atol=1e-9)
        errors.append(np.abs(mean - kept.y[1]).max())
    slope = bea.Study(HS, np.array(errors)).slope
    assert slope == pytest.approx(0.92, abs=0.03) and errors[-1] == pytest.approx(0.0032, rel=0.03)
    assert errors[-2] / errors[-1] == pytest.approx(2, abs=0.15)
    measured("slope of the distance from a start below the edge", slope, "0.92 ± 0.03, towards 1", digits=2)


SIZES = [0.04, 0.02, 0.015, 0.012, 0.01, 0.008, 0.007, 0.006, 0.005, 0.004, 0.0025]


@pytest.mark.parametrize("h", SIZES)
def test_straight_walls_at_every_step_size_tried(h, measured):
    x, eta, largest = 0.3, 0.9, 0.0
    for _ in range(round(6 / h)):
        x, eta = x - 2 * eta**2 * x, eta - h * (eta * x * x + eta - 1.6)
        largest = max(largest, abs(x))
        if abs(x) > 1e6:
            break
    lost = h in (0.04, 0.02, 0.015, 0.012, 0.005, 0.0025)
    assert (largest > 1e6) == lost and largest > 19
    if h in HS:
        assert np.abs(at_the_edge(h, 0.3, 0.9, 6.0)[0][:, 0]).max() < 1  # with flat walls
    measured("lost before t = 6 (1 or 0)", int(largest > 1e6), "as the table says")


def test_rounding_decides_whether_a_run_is_lost(measured):
    ends = []
    for factored in (False, True):
        x, eta = 0.3, 0.9
        for _ in range(round(12 / 0.007)):
            f = 2 * eta * eta
            moved = x * (1 - f) if factored else x - f * x
            x, eta = moved, eta - 0.007 * (eta * x * x + eta - 1.6)
            if abs(x) > 1e6:
                break
        ends.append(abs(x) > 1e6)
    assert ends == [True, False]
    measured("h = 0.007, lost by t = 12 (1 or 0), in two roundings", [int(e) for e in ends], "differ")
