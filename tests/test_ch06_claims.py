"""What chapter 6 claims of momentum, each against an oracle that does not use the claim: plain loops, counting, multiple precision."""

from itertools import permutations

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from scipy.integrate import quad, solve_ivp

import bea

MODEL = bea.bilinear()
START, GENTLE = (2.8, 3.5), (0.9, 1.5)
h = sp.Symbol("h", positive=True)


def imbalance(path):
    return path[..., 0] ** 2 - path[..., 1] ** 2


def gradient(theta):  # of the bilinear model, by hand
    return -2 * (1.5 - 2 * theta[0] * theta[1]) * theta[::-1]


def heavy_ball(theta, beta, step, count, slope=gradient, last=0.0):
    """The recursion with the last step, as printed: no factor 1 - beta; ``beta`` may be a list, one for each step."""
    path, move = [np.array(theta, dtype=float)], last
    for n in range(count):
        now = beta[n] if np.ndim(beta) else beta
        move = now * move - step * slope(path[-1])
        path.append(path[-1] + move)
    return np.array(path)


def nesterov(theta, beta, step, count):
    path, buffer = [np.array(theta, dtype=float)], 0.0
    for _ in range(count):
        g = gradient(path[-1])
        buffer = beta * buffer + g
        path.append(path[-1] - step * (g + beta * buffer))
    return np.array(path)


def slope_of(sizes, errors):
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


# --- the mirror ---------------------------------------------------------------------------------------------------------


def test_numerators_of_the_moments_count_permutations_by_descents(measured):
    beta = sp.Symbol("beta")
    for r in range(1, 6):
        found = [0] * r
        for p in permutations(range(r)):
            found[sum(x > y for x, y in zip(p, p[1:]))] += 1
        numerator = sp.expand(sp.cancel(bea.moments(beta, r + 1)[r] * (1 - beta) ** r / beta))
        assert [int(numerator.coeff(beta, k)) for k in range(r)] == found
    measured("exact", 5, "moments, by counting 153 permutations")


def test_lag_of_a_young_and_of_an_old_average(measured):
    for n, expected in ((10, 3.97), (12, 4.57), (70, 8.96)):
        weights = 0.9 ** np.arange(n + 1)
        assert (weights @ np.arange(n + 1)) / weights.sum() == pytest.approx(expected, abs=5e-3)
        assert bea.lag(0.9, n) == pytest.approx((weights @ np.arange(n + 1)) / weights.sum())
    measured("lag at n = 10, 12, 70", [bea.lag(0.9, n) for n in (10, 12, 70)], "3.97, 4.57, 8.96")


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


def test_theory_of_order_h_squared_for_an_abstract_loss(measured):
    beta = sp.Symbol("beta")
    E = sp.Function("E")(*X)
    g, H = sp.Matrix([sp.diff(E, s) for s in X]), sp.hessian(E, X)
    third = sp.Matrix([sum(sp.diff(E, s, u, v) * sp.diff(E, u) * sp.diff(E, v) for u in X for v in X) for s in X])
    formula = (
        -(1 + 4 * beta + beta**2) / (3 * (1 - beta) ** 5) * H * H * g
        - (1 + 10 * beta + beta**2) / (12 * (1 - beta) ** 5) * third
    )
    f_2 = bea.modified_equation(bea.heavy_ball(beta), bea.Loss(E, X), 3).terms[2]
    assert (f_2 - formula).applyfunc(sp.factor) == sp.zeros(2, 1)
    measured("exact", 2, "components, for any loss")


# --- two parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor, low, high", [(1, 1.9, 2.2), (0, 0.8, 1.2), (2, 0.8, 1.2)])
def test_heavy_ball_against_the_memoryless_map(factor, low, high, measured):
    beta, sizes = 0.8, np.array([2e-4, 1e-4, 5e-5])
    errors = []
    for size in sizes:
        (m,) = bea.modified_equation(bea.heavy_ball(beta), MODEL, 4).memory(GENTLE, size)
        ball = heavy_ball(GENTLE, beta, size, round(0.02 / size), last=-size * m / (1 - beta))
        step = size / (1 - beta)
        mu = factor * step / 2 * beta / (1 - beta)

        def penalized(theta, mu=mu):
            a, b = theta
            r, s = 1.5 - 2 * a * b, a * a + b * b  # |grad E|^2 = 4 r^2 s
            return gradient(theta) + mu * np.array([-16 * r * b * s + 8 * r * r * a, -16 * r * a * s + 8 * r * r * b])

        memoryless_run = heavy_ball(GENTLE, 0.0, step, round(0.02 / size), penalized)
        errors.append(np.linalg.norm(ball - memoryless_run, axis=1).max())
    assert low < slope_of(sizes, errors) < high
    measured("slope", slope_of(sizes, errors), f"between {low} and {high}")


B_0, R_0 = imbalance(np.array(GENTLE)), 1.5 - 2 * GENTLE[0] * GENTLE[1]
INTEGRAL = quad(lambda r: r / np.sqrt(B_0**2 + (1.5 - r) ** 2), 0, R_0)[0]


def penalty(end):
    return -np.log(imbalance(end) / B_0) / (4 * INTEGRAL)


def test_two_parts_add_and_each_is_what_the_formula_says(measured):
    found = {}
    for s in (4e-4, 2e-4):
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


def test_landing_points_and_drift_ratios(measured):
    ends = {beta: heavy_ball(START, beta, (1 - beta) * 2.5e-4, 3000)[-1] for beta in (0.0, 0.5, 0.8, 0.9)}
    assert [imbalance(end) for end in ends.values()] == pytest.approx([-4.396, -4.369, -4.288, -4.159], abs=6e-4)
    first = imbalance(np.array(START))
    logs = {beta: np.log(imbalance(end) / first) for beta, end in ends.items()}
    assert [logs[beta] / logs[0.0] for beta in (0.5, 0.8, 0.9)] == pytest.approx([2.98, 8.83, 18.47], abs=0.01)
    finer = {beta: heavy_ball(START, beta, (1 - beta) * 2.5e-5, 20000)[-1] for beta in (0.0, 0.9)}
    assert np.log(imbalance(finer[0.9]) / first) / np.log(imbalance(finer[0.0]) / first) == pytest.approx(19, abs=0.1)
    measured(
        "drift / that of gradient descent for beta = 0.5, 0.8, 0.9",
        [logs[beta] / logs[0.0] for beta in (0.5, 0.8, 0.9)],
        "3, 9, 19 as h falls",
    )


@pytest.mark.parametrize("beta, step, branch", [(0.9, 2.5e-5, 1), (0.9, 1e-3, -1), (0.9, 2e-3, -1), (0.5, 1e-2, 1)])
def test_exact_law_in_total_whether_it_rings_or_not(beta, step, branch, measured):
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


def test_bias_corrected_slope_rises_towards_two(measured):
    study = bea.order_study(CORRECTED, MODEL, GENTLE, 0.05, [5e-4, 2.5e-4, 1.25e-4, 6.25e-5], order=2, start="rest")
    assert study.slopes == pytest.approx([1.84, 1.90, 1.94], abs=0.015)
    measured("slopes as h halves", study.slopes, "1.84, 1.90, 1.94")


def test_the_n_dependent_equation_describes_the_start(measured):
    found = {
        order: bea.order_study(
            BALL, MODEL, GENTLE, 0.005, SIZES, equation=bea.transient_equation(BALL, MODEL, order)
        ).slope
        for order in (1, 2)
    }
    assert found[1] == pytest.approx(1, abs=0.1) and found[2] > 1.8
    measured("slopes with one and two terms", found.values(), "1 ± 0.1, above 1.8")


def test_a_run_from_rest_is_nine_steps_late(measured):
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
    ringing = mode(beta, 1.5 * low, 300)
    assert np.any(ringing < 0)
    assert not np.all(np.diff(ringing) < 0) and not np.all(ringing[1:] * ringing[:-1] < 0)  # it turns round
    late = mode(beta, high + 0.8 * (stable - high), 4000)[-20:]
    assert np.all(late[1:] * late[:-1] < 0)
    assert abs(mode(beta, stable - 0.01, 2000)[-1]) < 1e-3 < 1e3 < abs(mode(beta, stable + 0.01, 2000)[-1])
    measured("exact", 5, "runs")


@pytest.mark.parametrize("curvature", [0.03, 0.4, 1.6, 3.1])
def test_ringing_amplitude_does_not_depend_on_the_curvature(curvature, measured):
    """While it rings, a positive definite form of two iterates in a row falls by exactly beta at each step."""
    path, beta = mode(0.8, curvature, 200), 0.8
    middle = 1 + beta - curvature
    assert middle**2 < 4 * beta  # the form is positive definite: its square root is an amplitude
    form = path[1:] ** 2 - middle * path[1:] * path[:-1] + beta * path[:-1] ** 2
    assert form[1:] / form[:-1] == pytest.approx(beta, rel=1e-6)
    measured("factor of the form in one step", (form[1:] / form[:-1]).mean(), "beta = 0.8", digits=6)


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


def test_numbers_of_the_price(measured):
    edge = (1 - 0.9**0.5) / (1 + 0.9**0.5)
    assert edge == pytest.approx(0.026, abs=5e-4) and 1 / edge == pytest.approx(38, abs=0.1)
    assert (1 + 0.9) / (1 - 0.9) ** 2 == pytest.approx(190)
    largest = {start: np.linalg.eigvalsh(MODEL.hessian(start))[-1] for start in (START, GENTLE)}
    assert largest[START] == pytest.approx(116, abs=0.5) and largest[GENTLE] == pytest.approx(14, abs=0.5)
    assert 2.5e-4 * largest[START] == pytest.approx(0.029, abs=5e-4)
    few = heavy_ball(START, 0.9, 0.1 * 2.5e-4, 40)
    curvatures = [np.linalg.eigvalsh(MODEL.hessian(p))[-1] * 2.5e-4 for p in few]
    assert curvatures[0] > edge > curvatures[20]
    assert 2 * (1 + 0.9) / (1 - 0.9**0.5) ** 2 > 1000
    measured(
        "edge, its inverse, the largest curvatures",
        [edge, 1 / edge, *largest.values()],
        "0.026, 38, 116, 14",
    )


# --- exercises --------------------------------------------------------------------------------------------------------------


def test_best_beta_for_one_mode_by_scanning(measured):
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


def test_published_formulas_on_numbers(measured):
    """Zhang, Lipton, Li and Smola, Dive into Deep Learning, section Momentum, subsection Quadratic Convex Functions."""
    rng = np.random.default_rng(0)
    Q, c, x = np.array([[3.0, 1.0], [1.0, 2.0]]), rng.normal(size=2), rng.normal(size=2)
    value = x @ Q @ x / 2 + x @ c
    minimizer = np.linalg.solve(Q, -c)

    def square(about):
        return (x - about) @ Q @ (x - about) / 2 - c @ np.linalg.solve(Q, c) / 2

    assert square(minimizer) == pytest.approx(value)
    assert square(-minimizer) != pytest.approx(value, abs=1e-3)  # as printed there: x - Q^-1 c
    assert Q @ (x - minimizer) == pytest.approx(Q @ x + c)
    assert Q @ (x + minimizer) != pytest.approx(Q @ x + c, abs=1e-3)
    eigenvalues, basis = np.linalg.eigh(Q)
    stepped = basis.T @ (x - 0.1 * (Q @ x + c) - minimizer)
    assert stepped == pytest.approx((1 - 0.1 * eigenvalues) * (basis.T @ (x - minimizer)))
    assert stepped != pytest.approx((1 - eigenvalues) * (basis.T @ (x - minimizer)), abs=1e-3)
    measured("exact", 3, "formulas, to round-off")


def test_growing_memory_begins_to_ring_near_the_predicted_step(measured):
    ratios = []
    for y in (1e-4, 1e-5):
        n = next(n for n in range(10**4) if y > (1 - (n / (n + 3)) ** 0.5) ** 2)
        ratios.append(n / (1.5 / y**0.5))
    assert ratios == pytest.approx([1, 1], abs=0.02)
    measured("step / predicted", ratios, "1 ± 0.02")
