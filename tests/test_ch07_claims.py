"""What chapter 7 claims of the flow of momentum, each against an oracle that does not use the claim: plain loops, counting, multiple precision."""

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from scipy.integrate import solve_ivp

import bea
from live_answers import ends
from rolling import gradient, heavy_ball, slope_of

MODEL = bea.bilinear()
START, GENTLE = (2.8, 3.5), (0.9, 1.5)
h = sp.Symbol("h", positive=True)


# --- the start --------------------------------------------------------------------------------------------------------------

SIZES = [1e-4, 5e-5, 2.5e-5]
BALL = bea.heavy_ball(0.8)


@bea.optimizer
def corrected_ball(theta, gradient, memory, beta: bea.Decay):
    return memory.average(gradient(theta), beta, corrected=True)


CORRECTED = corrected_ball(0.8)


def test_bias_corrected_run_is_adams_numerator(measured):
    step, average, path = 5e-4, 0.0, [np.array(GENTLE)]
    for n in range(20):
        average = 0.8 * average + 0.2 * gradient(path[-1])
        path.append(path[-1] - step * average / (1 - 0.8 ** (n + 1)))
    assert bea.run(CORRECTED, MODEL, GENTLE, step, 20) == pytest.approx(np.array(path), abs=1e-14)
    measured("exact", 20, "steps, to 1e-14")


@pytest.mark.parametrize("order", [1, 2, 3])
def test_slopes_from_rest_from_the_slow_manifold_and_bias_corrected(order, measured):
    rest = bea.order_study(BALL, MODEL, GENTLE, 0.01, SIZES, order=order, start="rest").slope
    slow = bea.order_study(BALL, MODEL, GENTLE, 0.01, SIZES, order=order).slope
    corrected = bea.order_study(CORRECTED, MODEL, GENTLE, 0.05, [5 * s for s in SIZES], order=order, start="rest").slope
    assert 0.85 < rest < 1.05
    assert slow == pytest.approx(order, abs=0.1)
    assert corrected == pytest.approx(min(order, 2), abs=0.15)
    measured(
        "slopes: from rest, slow manifold, bias-corrected",
        [rest, slow, corrected],
        f"1, {order}, {min(order, 2)}",
    )


def test_bias_corrected_slope_rises_towards_two(measured, says):
    study = bea.order_study(CORRECTED, MODEL, GENTLE, 0.05, [5e-4, 2.5e-4, 1.25e-4, 6.25e-5], order=2, start="rest")
    assert study.slopes == pytest.approx([1.84, 1.90, 1.94], abs=0.015)
    measured("slopes as h halves", study.slopes, "1.84, 1.90, 1.94")
    says("07", "between the two smallest step sizes it is 1.90", 2, study.slopes[1])


def test_the_transient_equation_describes_the_start(measured):
    found = {
        order: bea.order_study(
            BALL, MODEL, GENTLE, 0.005, SIZES, equation=bea.transient_equation(BALL, MODEL, order)
        ).slope
        for order in (1, 2)
    }
    assert found[1] == pytest.approx(1, abs=0.1) and found[2] > 1.8
    measured("slopes with one and two terms", found.values(), "1 ± 0.1, above 1.8")


def test_a_run_from_rest_is_nine_steps_late(measured, says):
    beta, step, count = 0.9, 2e-6, 60
    path = heavy_ball(GENTLE, beta, step, count)
    flow = solve_ivp(
        lambda t, y: -gradient(y) / (1 - beta),
        (0, count * step),
        GENTLE,
        rtol=1e-12,
        atol=1e-14,
        t_eval=step * np.arange(count + 1),
    ).y.T
    late = np.linalg.norm(path - flow, axis=1) / (
        step / (1 - beta) * np.linalg.norm([gradient(p) for p in path], axis=1)
    )
    assert late[1:] == pytest.approx(9 * (1 - beta ** np.arange(1, count + 1)), rel=0.02)
    # along the path, not beside it
    behind, g = path[-1] - flow[-1], gradient(path[-1])
    assert behind @ g / np.linalg.norm(behind) / np.linalg.norm(g) > 0.9999
    measured("steps late after 60", late[-1], "9")
    says("07", "the run soon falls 9 steps behind", late[-1])


@pytest.mark.parametrize("factor, low, high", [(0, 0.9, 1.1), (0.5, 0.9, 1.1), (1, 1.9, 2.1)])
def test_a_flow_that_starts_uphill(factor, low, high, measured):
    errors = []
    for size in SIZES:
        count = round(0.02 / size)
        uphill = np.array(GENTLE) + factor * size * 0.8 / 0.2**2 * gradient(np.array(GENTLE))
        end = bea.flow(bea.modified_equation(BALL, MODEL, 2), uphill, size, count)[-1]
        errors.append(np.linalg.norm(end - heavy_ball(GENTLE, 0.8, size, count)[-1]))
    assert low < slope_of(SIZES, errors) < high
    measured("slope", slope_of(SIZES, errors), f"between {low} and {high}")


@pytest.mark.parametrize("old, new, late", [(0.5, 0.9, 7.2), (0.9, 0.5, -4.0)])
def test_changing_beta_with_a_buffer_without_the_factor(old, new, late, measured):
    """On a straight slope, g = 1: distance behind steady steps, and with the average kept instead nothing is lost."""
    for buffer, expected in ((1 / (1 - old), late), (1 / (1 - new), 0)):
        place, steady, size = 0.0, 0.0, 1 - new
        for _ in range(500):
            buffer = new * buffer + 1
            place -= size * buffer
            steady -= 1.0
        assert place - steady == pytest.approx(expected, abs=1e-9)
    measured("exact", 2, "buffers, 500 steps, to 1e-9")


# --- one mode ---------------------------------------------------------------------------------------------------------------


def mode(beta, curvature, count):
    return heavy_ball([1.0], beta, curvature, count, slope=lambda theta: theta)[:, 0]


@pytest.mark.parametrize("beta", [0.2, 0.5, 0.8, 0.9])
def test_regimes_by_simulation(beta, measured):
    low, high, stable = (1 - beta**0.5) ** 2, (1 + beta**0.5) ** 2, 2 * (1 + beta)
    assert np.all(mode(beta, 0.98 * low, 300) > 0)
    swinging = mode(beta, 1.5 * low, 300)
    assert np.any(swinging < 0)
    assert not np.all(np.diff(swinging) < 0) and not np.all(swinging[1:] * swinging[:-1] < 0)  # it turns round
    late = mode(beta, high + 0.8 * (stable - high), 4000)[-20:]
    assert np.all(late[1:] * late[:-1] < 0)
    assert abs(mode(beta, stable - 0.01, 2000)[-1]) < 1e-3 < 1e3 < abs(mode(beta, stable + 0.01, 2000)[-1])
    measured("exact", 5, "runs")


@pytest.mark.parametrize("curvature", [0.03, 0.4, 1.6, 3.1])
def test_oscillating_amplitude_does_not_depend_on_the_curvature(curvature, measured, says):
    """While it oscillates, a positive definite form of two iterates in a row falls by exactly beta at each step."""
    path, beta = mode(0.8, curvature, 200), 0.8
    middle = 1 + beta - curvature
    assert middle**2 < 4 * beta  # the form is positive definite: its square root is an amplitude
    form = path[1:] ** 2 - middle * path[1:] * path[:-1] + beta * path[:-1] ** 2
    assert form[1:] / form[:-1] == pytest.approx(beta, rel=1e-6)
    measured("factor of the form in one step", (form[1:] / form[:-1]).mean(), "beta = 0.8", digits=6)
    says("07", "both roots is $\\sqrt{0.8} = 0.894$", np.sqrt((form[1:] / form[:-1]).mean()))


def test_legendre_series_to_twelve_terms_and_its_radius(measured):
    with mp.workdps(40):
        for beta in (mp.mpf("0.5"), mp.mpf("0.9")):
            K = (1 + beta) / (1 - beta)
            x = mp.mpf("0.2") * (K - mp.sqrt(K**2 - 1))
            roots = mp.polyroots([1, -(1 + beta - (1 - beta) * x), beta])
            rate = -mp.log(max(roots, key=abs))
            partial, errors = mp.mpf(0), []
            for j in range(1, 13):
                partial += mp.legendre(j - 1, K) * x**j / j
                errors.append(abs(partial - rate))
            assert errors[-1] < mp.mpf(10) ** -9 * rate and all(b < a for a, b in zip(errors, errors[1:]))
            assert abs((1 - beta) * (K - mp.sqrt(K**2 - 1)) - (1 - mp.sqrt(beta)) ** 2) < mp.mpf(10) ** -35
    measured("exact", 2, "values of beta, twelve terms, to 1e-9")


def test_coefficients_are_the_engines_and_squares_of_binomials(measured):
    beta, lam = sp.symbols("beta lambda", positive=True)
    K = (1 + beta) / (1 - beta)
    for k, term in enumerate(bea.modified_equation(bea.heavy_ball(beta), bea.quadratic([lam]), 5).terms):
        theta = sp.Symbol("theta_1", real=True)
        expected = -(lam ** (k + 1)) * theta * sp.legendre(k, K) / ((k + 1) * (1 - beta) ** (k + 1))
        assert sp.factor(term[0] - expected) == 0
    measured("exact", 5, "coefficients")


def test_numbers_of_the_price(measured, says):
    edge = (1 - 0.9**0.5) / (1 + 0.9**0.5)
    assert edge == pytest.approx(0.026, abs=5e-4) and 1 / edge == pytest.approx(38, abs=0.1)
    assert (1 + 0.9) / (1 - 0.9) ** 2 == pytest.approx(190)
    largest = {start: np.linalg.eigvalsh(MODEL.hessian(start))[-1] for start in (START, GENTLE)}
    assert largest[START] == pytest.approx(116, abs=0.5) and largest[GENTLE] == pytest.approx(14, abs=0.5)
    assert 2.5e-4 * largest[START] == pytest.approx(0.029, abs=5e-4)
    few = heavy_ball(START, 0.9, 0.1 * 2.5e-4, 40)
    curvatures = [np.linalg.eigvalsh(MODEL.hessian(p))[-1] * 2.5e-4 for p in few]
    assert curvatures[11] > edge > curvatures[12]
    assert 2 * (1 + 0.9) / (1 - 0.9**0.5) ** 2 > 1000
    measured(
        "edge, its inverse, the largest curvatures",
        [edge, 1 / edge, *largest.values()],
        "0.026, 38, 116, 14",
    )
    says(
        "06",
        "curvature at the start is $\\lambda = 116$, so that $h_e\\lambda = 0.029$",
        largest[START],
        2.5e-4 * largest[START],
    )
    says(
        "07",
        "started at $h_e\\lambda = 0.029$, slightly beyond the limit, and dropped below it after twelve steps",
        curvatures[0],
        12,
    )
    says("07", "exists only while $h_e\\lambda < 0.026$", edge)
    says("07", "has one up to $h_e\\lambda = 1$, 38 times as far", 1, 1 / edge)
    says("07", "2(1+\\beta) = 3.8$", 2, 1, 2 * (1 + 0.9))
    says("07", "(1-\\sqrt\\beta)^2 = 0.0026$", 1, (1 - 0.9**0.5) ** 2)


# --- the memoryless map, from its functional equation ----------------------------------------------------------------------

X = sp.symbols("x y")


def cut(column, powers=4):
    return column.applyfunc(lambda v: sum(sp.expand(v).coeff(h, k) * h**k for k in range(powers)))


def at(column, point):
    return cut(column.subs(dict(zip(X, point)), simultaneous=True))


def moved(column, by):
    """column(theta + by) for by = O(h), by Taylor's formula to third order."""
    d = sp.Matrix(sp.symbols("d_1:3"))
    total, term = column, column
    for k in (1, 2, 3):
        term = term.jacobian(X) * d / k
        total = total + term
    return cut(total.subs(dict(zip(d, by)), simultaneous=True))


def memoryless(expression, beta):
    """F with F(theta) + beta F^-1(theta) = (1 + beta) theta - h grad E, to order h^3; neither engine nor run."""
    here = sp.Matrix(X)
    slope = sp.Matrix([sp.diff(expression, s) for s in X])
    F, inverse = here, here
    for k in (1, 2, 3):
        inverse = cut(inverse - (moved(F, inverse - here) - here))  # F(inverse) = theta, one more power of h
        missing = inverse.applyfunc(lambda v, k=k: sp.expand(v).coeff(h, k))
        right = -slope if k == 1 else sp.zeros(2, 1)
        term = ((right - beta * missing) / (1 - beta)).applyfunc(sp.expand)
        F, inverse = F + h**k * term, inverse - h**k * term
    return F


LOSS = X[0] ** 3 / 3 - X[0] * X[1] ** 2 + X[1] ** 2 - 3 * X[0] * X[1]
BETA = sp.Rational(2, 3)
POINT = (sp.Rational(3, 5), sp.Rational(2, 7))


@pytest.fixture(scope="module")
def F():
    return memoryless(LOSS, BETA)


def test_functional_equation_is_solved(F, measured):
    """Three points of the recursion in a row, each the image of the last."""
    slope = sp.Matrix([sp.diff(LOSS, s) for s in X])
    first = sp.Matrix(POINT)
    second = at(F, first)
    third = at(F, second)
    gap = cut(third + BETA * first - (1 + BETA) * second + h * at(slope, second))
    assert gap == sp.zeros(2, 1)
    assert cut(third + BETA * first - (1 + BETA) * second - h * at(slope, second)) != sp.zeros(2, 1)
    measured("exact", 2, "components to order h^3")


def test_memoryless_map_is_a_gradient_and_the_flow_is_not(F, measured):
    for k in (1, 2, 3):
        J = F.applyfunc(lambda v, k=k: sp.expand(v).coeff(h, k)).jacobian(X)
        assert (J - J.T).applyfunc(sp.expand) == sp.zeros(2, 2)
    f_2 = bea.modified_equation(bea.heavy_ball(BETA), bea.Loss(LOSS, X), 3).terms[2]
    euler = bea.modified_equation(bea.gradient_descent(), bea.Loss(LOSS, X), 3).terms[2]
    asymmetries = [(f.jacobian(X) - f.jacobian(X).T)[0, 1] for f in (f_2, euler)]
    assert sp.expand(asymmetries[0]) != 0
    assert sp.expand(asymmetries[0] * (1 - BETA) ** 3 - asymmetries[1]) == 0
    measured("exact", 3, "terms")


def test_map_is_descent_on_the_penalized_loss(F, measured):
    step, lag = h / (1 - BETA), BETA / (1 - BETA)
    slope = sp.Matrix([sp.diff(LOSS, s) for s in X])
    penalized = LOSS + step / 2 * lag * slope.dot(slope)
    gap = (F - sp.Matrix(X) + step * sp.Matrix([sp.diff(penalized, s) for s in X])).applyfunc(sp.expand)
    assert all(entry.coeff(h, k) == 0 for entry in gap for k in (0, 1, 2))
    assert any(entry.coeff(h, 3) != 0 for entry in gap)
    measured("exact", 3, "orders in h")


def test_engine_equals_the_logarithm_of_the_map(F, measured):
    """h f = D - D^2/2 + D^3/3 of forward differences of the map's iterates (Newton)."""
    points = [sp.Matrix(POINT)]
    for _ in range(3):
        points.append(at(F, points[-1]))
    total, differences = sp.zeros(2, 1), points
    for k in (1, 2, 3):
        differences = [right - left for left, right in zip(differences, differences[1:])]
        total += differences[0] * sp.Rational((-1) ** (k + 1), k)
    terms = bea.modified_equation(bea.heavy_ball(BETA), bea.Loss(LOSS, X), 3).coefficients(list(POINT))
    for k, term in enumerate(terms):
        oracle = total.applyfunc(lambda v, k=k: sp.expand(v).coeff(h, k + 1))
        assert sp.Matrix(term) == oracle
    measured("exact", 3, "terms in fractions")


# --- the slow manifold of a loss that is not quadratic ---------------------------------------------------------------------

COUPLING = np.array([[1.0, 0.5], [0.3, -0.8]])
LIPSCHITZ = np.linalg.norm(COUPLING.T @ COUPLING, 2)  # the largest curvature, at the origin


def soft_slope(theta):  # of the sum of ln cosh over COUPLING theta, whose critical point is the origin
    return COUPLING.T @ np.tanh(COUPLING @ theta)


def from_rest_through(theta, beta, step, rounds):
    """F(theta) after some rounds: the next point of the run from rest that reaches theta in as many steps."""

    def reached(start):
        return heavy_ball(start, beta, step, rounds, soft_slope)[-1]

    start = np.array(theta)
    for _ in range(60):
        jacobian = np.column_stack([(reached(start + e) - reached(start - e)) / 2e-6 for e in 1e-6 * np.eye(2)])
        start = start - np.linalg.solve(jacobian, reached(start) - theta)
    path = heavy_ball(start, beta, step, rounds + 1, soft_slope)
    assert np.linalg.norm(path[-2] - theta) < 1e-11
    return path[-1]


@pytest.mark.parametrize("part", [0.5, 0.95])
def test_slow_manifold_attracts_at_the_rate_of_the_fast_root(part, measured):
    """At some part of the threshold: the rounds converge by z_-/z_+, runs approach F by z_-."""
    beta = 0.5
    step = part * (1 - beta**0.5) ** 2 / LIPSCHITZ
    slow, fast = sorted(np.roots([1, -(1 + beta - step * LIPSCHITZ), beta]).real)[::-1]

    def F(theta, rounds=40):
        return from_rest_through(theta, beta, step, rounds)

    theta = np.array([0.2, -0.3])
    rounds = np.array([F(theta, k) for k in (3, 4, 5, 6)])
    changes = np.linalg.norm(np.diff(rounds, axis=0), axis=1)
    assert (changes[1:] / changes[:-1] <= fast / slow * 1.001).all()
    previous = heavy_ball(theta, beta, step, 8, soft_slope, last=np.array([0.3, 0.1]))
    distances = np.array([np.linalg.norm(b - F(a)) for a, b in zip(previous, previous[1:])])
    ratios = distances[1:] / distances[:-1]
    assert (ratios <= fast * (1 + 1e-6)).all() and ratios.max() > 0.7 * fast
    measured("largest factor of one step / z_-", ratios.max() / fast, "above 0.7, at most 1")


def test_slow_manifold_is_a_gradient_and_its_sequence_a_run(measured):
    beta = 0.5
    step = 0.9 * (1 - beta**0.5) ** 2 / LIPSCHITZ

    def F(theta):
        return from_rest_through(theta, beta, step, 40)

    theta = np.array([0.4, -0.7])
    tiny = 1e-4
    jacobian = np.column_stack([(F(theta + e) - F(theta - e)) / (2 * tiny) for e in tiny * np.eye(2)])
    assert abs(jacobian[0, 1]) > 1e-3
    assert jacobian[0, 1] == pytest.approx(jacobian[1, 0], abs=1e-7)
    slow = np.roots([1, -(1 + beta - step * LIPSCHITZ), beta]).real.max()
    assert np.linalg.eigvalsh((jacobian + jacobian.T) / 2)[0] >= slow
    after = F(theta)
    expected = (1 + beta) * after - step * soft_slope(after) - beta * theta
    assert F(after) == pytest.approx(expected, abs=1e-9)
    measured("difference of the mixed derivatives", abs(jacobian[0, 1] - jacobian[1, 0]), "below 1e-7", digits=1)


def test_no_slow_manifold_beyond_the_threshold(measured):
    """On the mode: runs from rest turn back, so that the same point is passed in both directions."""
    for beta in (0.3, 0.8):
        for factor, turns in ((0.99, False), (1.05, True)):
            path = mode(beta, factor * (1 - beta**0.5) ** 2, 400)
            assert np.any(np.diff(path) > 0) == turns
    measured("exact", 4, "runs")


def test_phase_plane_of_the_figure(measured):
    """Three starts on one fibre are on one fibre after every step; the manifold's slope is above the gradient's."""
    beta, curvature = 0.8, 0.005
    slow, fast = sorted(np.roots([1, -(1 + beta - curvature), beta]).real)[::-1]
    slopes = (1 - beta) / (slow - beta), (1 - beta) / (fast - beta)
    starts = np.array([[1 + m / slopes[1], m] for m in (0.0, 1.0, 2.5)])
    for n in range(1, 60):
        m = beta * starts[:, 1] + (1 - beta) * starts[:, 0]
        starts = np.column_stack([starts[:, 0] - curvature / (1 - beta) * m, m])
        offsets = starts[1:] - starts[0]
        assert offsets[:, 1] == pytest.approx(slopes[1] * offsets[:, 0], rel=1e-6)
        assert offsets[0, 1] == pytest.approx(fast**n, rel=1e-9)
        assert starts[:, 1] - slopes[0] * starts[:, 0] == pytest.approx(
            fast**n
            * np.array([-slopes[0], 1 - slopes[0] * (1 + 1 / slopes[1]), 2.5 - slopes[0] * (1 + 2.5 / slopes[1])]),
            abs=1e-9,
        )
    assert slopes[0] > 1 and fast > beta
    measured("slopes of manifold and fibres, fast root", [*slopes, fast], "above 1; steep; above 0.8")


# --- exercises --------------------------------------------------------------------------------------------------------------


def test_best_beta_for_one_mode_by_scanning(measured, says):
    misses = []
    for y in (0.01, 0.1, 0.5):
        betas = np.linspace(0, 0.999, 20001)
        half = np.sqrt(((1 + betas - y) / 2) ** 2 - betas + 0j)
        sizes = np.maximum(*(abs((1 + betas - y) / 2 + sign * half) for sign in (1, -1)))
        misses.append(abs(betas[np.argmin(sizes)] - (1 - y**0.5) ** 2))
        assert misses[-1] < 1e-3
        assert sizes.min() == pytest.approx(1 - y**0.5, abs=2e-3)
    assert np.log(0.9) / np.log(0.99) == pytest.approx(10.5, abs=0.05)
    assert 0.81 / 0.19 == pytest.approx(4.26, abs=5e-3) and 1.81 / 0.19 == pytest.approx(9.53, abs=5e-3)
    measured("largest distance of the best beta from its formula", max(misses), "below 0.001", digits=1)
    says("07", "There $\\mathrm{lag} = 4.26$ and $K = 9.53$", bea.lag(0.81), 1 + 2 * bea.lag(0.81))
    says("07", "so one step does the work of ten", np.log(0.9) / np.log(0.99))


def test_growing_memory_begins_to_oscillate_near_the_predicted_step(measured):
    ratios = []
    for y in (1e-4, 1e-5):
        n = next(n for n in range(10**4) if y > (1 - (n / (n + 3)) ** 0.5) ** 2)
        ratios.append(n / (1.5 / y**0.5))
    assert ratios == pytest.approx([1, 1], abs=0.02)
    measured("step / predicted", ratios, "1 ± 0.02")


# --- the live figure ---------------------------------------------------------------------------------------------------


def test_more_terms_help_on_the_slow_manifold_only(measured, says):
    """The live figure: distances from the flows with one, two and three terms, from rest and from the slow manifold."""
    bowl = bea.quadratic([1, 4])
    rest, slow = (ends("07", BALL, bowl, h=1e-3, empty=empty)[1] for empty in (True, False))
    says("07", "From rest 0.016, 0.015 and 0.017", *rest)
    says("07", "ends near (0.64, 0.07); the", *ends("07", BALL, bowl)[0])
    says("07", "From the slow manifold 0.028, 0.0046 and 0.0010", *slow)
    assert min(rest) > 0.9 * rest[0] and slow[0] > 5 * slow[1] > 20 * slow[2]
    measured("from rest, from the slow manifold", [*rest, *slow], "only the latter fall", digits=2)
