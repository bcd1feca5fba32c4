"""What chapter 3 claims of implicit gradient regularization, each against an oracle that does not use the claim."""

import random
from functools import cache
from itertools import combinations_with_replacement

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp
from scipy.optimize import fsolve
from sklearn.datasets import load_diabetes

import bea
from live_answers import ends

DESCENT = bea.gradient_descent()
MODEL = bea.bilinear()
A, B = MODEL.symbols
START = (2.8, 3.5)  # Barrett and Dherin (2021), Figure 1
h = sp.Symbol("h", positive=True)


def imbalance(path):
    return path[..., 0] ** 2 - path[..., 1] ** 2


def penalized(mu, loss=MODEL):
    gradient = sp.Matrix(loss.gradient_expressions)
    return bea.Loss(loss.expression + mu * gradient.dot(gradient), loss.symbols)


class PenaltyFlow:
    """Gradient flow of E + factor * h * |grad E|^2, with no use of the engine."""

    def __init__(self, factor):
        self.factor = factor

    def field(self, h):
        modified = penalized(self.factor * h)
        return lambda theta: -modified.gradient(theta)


def slope(sizes, errors):
    return bea.Study(np.array(sizes), np.array(errors)).slope


def newton_terms(loss, order):
    """The modified field's terms from steps of the algorithm alone.

    The derivative of the curve through equally spaced points is h y' = D y - D^2 y/2 + D^3 y/3 - ... with forward differences D
    (Newton); the k-th difference of iterates is O(h^k), so the first few give the first few powers of h exactly.
    """
    points = [sp.Matrix(loss.symbols)]
    gradient = sp.Matrix(loss.gradient_expressions)
    for _ in range(order):
        here = dict(zip(loss.symbols, points[-1]))
        points.append((points[-1] - h * gradient.subs(here, simultaneous=True)).applyfunc(sp.expand))
    total, differences = sp.zeros(len(loss.symbols), 1), points
    for k in range(1, order + 1):
        differences = [right - left for left, right in zip(differences, differences[1:])]
        total += differences[0] * sp.Rational((-1) ** (k + 1), k)
    return [total.applyfunc(lambda x, k=k: sp.expand(x).coeff(h, k + 1)) for k in range(order)]


# --- the modified loss -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "factor, expected",
    [(sp.Rational(1, 4), True), (sp.Rational(1, 2), False), (-sp.Rational(1, 4), False)],
)
def test_barrett_and_dherin_modified_loss_for_an_abstract_loss(factor, expected, measured):
    x = sp.symbols("x_1:4")
    E = sp.Function("E")(*x)
    modified = E + factor * h * sum(sp.diff(E, s) ** 2 for s in x)
    f_0, f_1 = bea.modified_equation(DESCENT, bea.Loss(E, x), 2).terms
    gap = (f_0 + h * f_1 + sp.Matrix([sp.diff(modified, s) for s in x])).applyfunc(lambda e: sp.expand(e.doit()))
    assert (gap == sp.zeros(3, 1)) is expected
    measured("exact", 1, "factor, for any loss in three variables")


def test_barrett_and_dherin_bookkeeping_lambda_is_hm_over_4_of_the_mean_square(measured):
    gradient = MODEL.gradient(START)
    m = len(gradient)
    assert (0.01 * m / 4) * np.mean(gradient**2) == pytest.approx(0.01 / 4 * np.sum(gradient**2))
    assert 0.01 * m / 4 == 0.01 / 2  # the value in the caption of their Figure 1
    measured("exact", 2, "identities")


def test_terms_equal_those_from_newton_differences_of_the_iterates(measured):
    for term, oracle in zip(bea.modified_equation(DESCENT, MODEL, 3).terms, newton_terms(MODEL, 3)):
        assert (term - oracle).applyfunc(sp.expand) == sp.zeros(2, 1)
    measured("exact", 3, "terms")


def test_hlw_ix_1_coefficients_of_explicit_euler(measured):
    """Hairer, Lubich and Wanner, IX.1: -1/2 f'f, 1/3 f'f'f + 1/12 f''(f,f), on a field that is no gradient."""
    x, y = sp.symbols("x y")
    f = sp.Matrix([x * y**2 + y, x**3 - 2 * x * y])
    jacobian = f.jacobian([x, y])
    second = sp.Matrix([(f.T * sp.hessian(component, (x, y)) * f)[0] for component in f])
    terms = bea.modified_equation(DESCENT, bea.VectorField(tuple(f), (x, y)), 3).terms
    expected = (f, -jacobian * f / 2, jacobian * jacobian * f / 3 + second / 12)
    for term, formula in zip(terms, expected):
        assert (term - formula).applyfunc(sp.expand) == sp.zeros(2, 1)
    measured("exact", 3, "terms")


CASES = [
    ((2.8, 3.5), 0.2, [0.2 / n for n in (160, 320, 640)]),
    ((0.9, 1.5), 1.0, [0.01, 0.005, 0.0025]),
    ((1.2, -0.8), 1.0, [0.01, 0.005, 0.0025]),
]


@pytest.mark.parametrize("start, horizon, sizes", CASES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_slopes_over_the_window_of_the_chapter(start, horizon, sizes, order, measured):
    slope = bea.order_study(DESCENT, MODEL, start, horizon, sizes, order=order).slope
    assert slope == pytest.approx(order, abs=0.1)
    measured("slope", slope, f"{order} ± 0.1")


@pytest.mark.parametrize("start, horizon, sizes", CASES)
def test_penalty_slope_is_2_and_wrong_factors_drop_it(start, horizon, sizes, measured):
    slopes = {
        factor: bea.order_study(DESCENT, MODEL, start, horizon, sizes, equation=PenaltyFlow(factor)).slope
        for factor in (0.25, 0.5, -0.25)
    }
    assert slopes[0.25] == pytest.approx(2, abs=0.1)
    assert slopes[0.5] < 1.2 and slopes[-0.25] < 1.2
    measured("slopes for the factors 1/4, 1/2, -1/4", slopes.values(), "2 ± 0.1, others below 1.2")


# --- the invariant and the landing point ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.001, 0.01, 0.02, 0.03])
def test_exact_law_along_whole_runs_at_any_step(size, measured):
    path = bea.run(DESCENT, MODEL, START, size, 100)
    r = 1.5 - 2 * path[:-1, 0] * path[:-1, 1]
    assert np.allclose(imbalance(path[1:]), imbalance(path[:-1]) * (1 - size**2 * 4 * r**2), atol=1e-12)
    assert not np.allclose(imbalance(path[1:]), imbalance(path[:-1]) * (1 - size**2 * 2 * r**2), atol=1e-6)
    measured("exact", 100, "steps, to 1e-12")


def test_gradient_flow_keeps_the_imbalance_and_the_modified_flow_does_not(measured):
    flows = [bea.flow(bea.modified_equation(DESCENT, MODEL, order), START, 0.005, 40) for order in (1, 2)]
    assert np.abs(imbalance(flows[0]) - imbalance(flows[0][0])).max() < 1e-9
    assert imbalance(flows[1][-1]) > -4.2 > imbalance(flows[1][0])
    measured(
        "imbalance at the end of leading-order and modified flow",
        [imbalance(flow[-1]) for flow in flows],
        "-4.41, above -4.2",
    )


SIZES = [0.002, 0.001, 0.0005]


def landing(mu, size):
    return bea.run(DESCENT, penalized(mu), START, size, round(1 / size))[-1]


def test_an_explicit_penalty_replaces_the_large_step(measured):
    """Barrett and Dherin (2021): explicit gradient regularization, in the two-parameter model."""
    errors, control = (
        [np.linalg.norm(landing(0, s) - landing(factor * 0.9 * s, s / 10)) for s in SIZES] for factor in (0.25, 0.5)
    )
    assert slope(SIZES, errors) == pytest.approx(2, abs=0.1)
    assert slope(SIZES, control) < 1.2
    measured(
        "slopes with the right and a wrong penalty",
        [slope(SIZES, errors), slope(SIZES, control)],
        "2 ± 0.1, below 1.2",
    )


def test_a_negative_penalty_cancels_the_implicit_one(measured):
    plain = bea.flow(PenaltyFlow(0), START, 1.0, 1)[-1]
    slopes = {
        factor: slope(SIZES, [np.linalg.norm(landing(factor * s, s) - plain) for s in SIZES])
        for factor in (-0.25, -0.125, 0)
    }
    assert slopes[-0.25] == pytest.approx(2, abs=0.1)
    assert slopes[-0.125] < 1.2 and slopes[0] < 1.2
    measured("slopes for the factors -1/4, -1/8, 0", slopes.values(), "2 ± 0.1, others below 1.2")


def test_modified_flow_covers_little_more_than_half_of_the_drift_at_a_hundredth(measured, says):
    """h = 0.01, 0.005, 0.0025: the drift of the modified flow over that of the run; the first has h lambda = 1.16 at the start."""
    covered = []
    for size in (0.01, 0.005, 0.0025):
        run = bea.run(DESCENT, MODEL, START, size, round(1 / size))[-1]
        flow = bea.flow(PenaltyFlow(1 / 4), START, size, round(1 / size))[-1]
        assert MODEL.value(run) < 1e-14
        covered.append((imbalance(flow) + 4.41) / (imbalance(run) + 4.41))
    assert 0.5 < covered[0] < 0.6 < covered[1] < covered[2] > 0.85
    assert np.linalg.eigvalsh(MODEL.hessian(np.array(START)))[-1] == pytest.approx(116, abs=0.5)
    measured("part of the drift that the modified flow covers", covered, "little more than half, ..., nearly all")
    runs = [imbalance(bea.run(DESCENT, MODEL, START, size, round(1 / size))[-1]) for size in (0.01, 0.005, 0.0025)]
    said = [-runs[0], 0.01, -runs[1], 0.005, -runs[2], 0.0025]
    says("03", "at minus 3.71 for h = 0.01, minus 4.11 for 0.005 and minus 4.27 for 0.0025", *said)
    largest = -4.41 + covered[0] * (runs[0] + 4.41)
    says("03", "and at minus 4.01 for the largest", -largest)


def test_penalty_that_cancels_the_correction(measured, says):
    """The live figure: distances of the two flows from the run, by the weight w of the penalty w h |grad E|^2."""

    @bea.optimizer
    def penalized_descent(theta, gradient, memory, w):
        g = gradient(theta)
        twice_Hg = 1e5 * (gradient(theta + 1e-5 * g) - gradient(theta - 1e-5 * g))
        return g + w * memory.h * twice_Hg

    weights = (-0.5, -0.3, -0.25, -0.2, 1e-9, 0.5)  # a trace leaves a zero out
    found = {w: ends("03", penalized_descent(w), MODEL) for w in weights}
    apart = {w: abs(corrected - leading) for w, (_, (leading, corrected)) in found.items()}
    assert min(apart, key=apart.get) == -0.25 and apart[-0.25] < 1e-4
    # The same run by gradient descent on the penalized loss itself.
    for w, (last, _) in found.items():
        assert last == pytest.approx(bea.run(DESCENT, penalized(0.002 * w), START, 0.002, 300)[-1], abs=1e-6)
    cancelled, without = found[-0.25][1], found[1e-9][1]
    says("03", "Both are 0.0031 from the run", cancelled[0])
    says("03", "Without a penalty the grey line is 0.027 away", without[0])
    measured("distances of both flows at w = -1/4", cancelled, "equal", digits=2)


# --- not a gradient --------------------------------------------------------------------------------------------------------


def asymmetry(field, symbols):
    jacobian = field.jacobian(symbols)
    return (jacobian - jacobian.T).applyfunc(sp.expand)


def test_curl_of_the_third_term_from_three_steps_of_the_algorithm(measured):
    f_0, f_1, f_2 = newton_terms(MODEL, 3)
    assert asymmetry(f_0, (A, B)) == asymmetry(f_1, (A, B)) == sp.zeros(2, 2)
    claimed = -sp.Rational(32, 3) * (sp.Rational(3, 2) - 2 * A * B) * (A**4 - B**4)
    assert sp.expand(asymmetry(f_2, (A, B))[0, 1] - claimed) == 0
    assert claimed.subs({A: 2, B: 1}) == 400
    measured("exact", 3, "terms")


def test_every_term_is_a_gradient_on_a_quadratic_and_sums_to_the_logarithm(measured):
    loss = bea.quadratic([[3, 1], [1, 2]])
    H, theta = sp.Matrix([[3, 1], [1, 2]]), sp.Matrix(loss.symbols)
    for k, term in enumerate(bea.modified_equation(DESCENT, loss, 5).terms):
        assert (term + H ** (k + 1) * theta / (k + 1)).applyfunc(sp.expand) == sp.zeros(
            2, 1
        )  # -ln(1 - hH)/h = sum of h^k H^(k+1)/(k+1)
        assert asymmetry(term, loss.symbols) == sp.zeros(2, 2)
    measured("exact", 5, "terms")


@pytest.mark.parametrize("expression, is_gradient", [((A**2 + B**2) ** 2, True), ((A**2 + 2 * B**2) ** 2, False)])
def test_third_term_of_radial_and_of_stretched_losses(expression, is_gradient, measured):
    loss = bea.Loss(expression, (A, B))
    assert (asymmetry(newton_terms(loss, 3)[2], (A, B)) == sp.zeros(2, 2)) is is_gradient
    measured("exact", 1, "loss")


# --- real data, limits, exercises ---------------------------------------------------------------------------------------


@cache
def diabetes():
    """The standardized data, and the slopes in the products w of the chapter's model, without SymPy."""
    data = load_diabetes()
    X = data.data[:, [data.feature_names.index(name) for name in ("bmi", "bp", "s5")]]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    y = (data.target - data.target.mean()) / data.target.std()
    return X, y, lambda theta: ((theta[:, :3] * theta[:, 3:]) @ X.T - y) @ X / len(y)


DIABETES_STARTS = np.array([np.random.default_rng(seed).normal(size=6) for seed in range(10)])


def total(theta):
    return np.abs(theta[:, :3] ** 2 - theta[:, 3:] ** 2).sum(axis=1)


def diabetes_end(size):
    slopes, theta = diabetes()[2], DIABETES_STARTS
    for _ in range(round(60 / size)):
        s = slopes(theta)
        assert np.abs(size * s).max() < np.sqrt(2)  # where the law guarantees that every imbalance shrinks
        theta = theta - size * np.hstack([s * theta[:, 3:], s * theta[:, :3]])
    return theta


def diabetes_hessian(theta):
    X, y, slopes = diabetes()
    u, v = theta[:3], theta[3:]
    M, s = X.T @ X / len(y), slopes(theta[None])[0]
    return np.block([[M * np.outer(v, v), M * np.outer(v, u)], [M * np.outer(u, v), M * np.outer(u, u)]]) + np.block(
        [[np.zeros((3, 3)), np.diag(s)], [np.diag(s), np.zeros((3, 3))]]
    )


def test_diabetes_imbalance_falls_in_every_run_and_the_prediction_stays(measured):
    X, y, _ = diabetes()
    ends = [diabetes_end(size) for size in (0.05, 0.1, 0.2)]
    left = [total(theta) / total(DIABETES_STARTS) for theta in ends]
    assert np.all(left[0] < 1) and np.all(left[1] < left[0]) and np.all(left[2] < left[1])
    assert [ratio.mean() for ratio in left] == pytest.approx([0.985, 0.966, 0.897], abs=5e-4)
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    assert max(np.abs(theta[:, :3] * theta[:, 3:] - best).max() for theta in ends) < 1e-5
    measured(
        "mean fraction of the imbalance left for h = 0.05, 0.1, 0.2",
        [ratio.mean() for ratio in left],
        "falls in all 10 runs",
    )


def test_diabetes_modified_flow_explains_less_than_half_at_the_largest_step(measured):
    """Five of ten starts have h lambda > 1; three starts make nine tenths of the change of the trace; the modified flow has settled at t = 14."""
    size, slopes = 0.2, diabetes()[2]

    def field(_, flat):
        theta = flat.reshape(10, 6)
        s = slopes(theta)
        g = np.hstack([s * theta[:, 3:], s * theta[:, :3]])
        Hg = np.array([diabetes_hessian(x) @ slope for x, slope in zip(theta, g)])
        return -(g + size / 2 * Hg).ravel()

    flow = solve_ivp(field, (0, 28), DIABETES_STARTS.ravel(), "DOP853", [14, 28], rtol=1e-8, atol=1e-10)
    predicted = [(total(y.reshape(10, 6)) / total(DIABETES_STARTS)).mean() for y in flow.y.T]
    assert predicted[0] == pytest.approx(predicted[1], abs=5e-5) and predicted[0] == pytest.approx(0.960, abs=5e-4)
    share = (1 - predicted[0]) / (1 - (total(diabetes_end(size)) / total(DIABETES_STARTS)).mean())
    assert share < 0.5
    assert sum(size * np.linalg.eigvalsh(diabetes_hessian(x))[-1] > 1 for x in DIABETES_STARTS) == 5
    traces = [np.array([np.trace(diabetes_hessian(x)) for x in diabetes_end(h)]) for h in (0.2, 0.05)]
    change = np.sort(traces[0] - traces[1])
    assert np.all(change < 0) and change[:3].sum() / change.sum() == pytest.approx(0.9, abs=0.02)
    measured(
        "share of the drift explained; share of three starts",
        [share, change[:3].sum() / change.sum()],
        "below 0.5; 0.9",
    )


def test_beyond_2_the_run_leaves_the_sharp_minimizer_and_every_truncation_stays(measured, says):
    curvature, beside = 4 * (0.25**2 + 3**2), (0.26, 3.0)
    size = 2.2 / curvature
    end = bea.run(DESCENT, MODEL, beside, size, 200)[-1]
    assert size * 4 * (end**2).sum() < 2
    for order in (1, 2, 3):
        flow = bea.flow(bea.modified_equation(DESCENT, MODEL, order), beside, size, 20)
        assert size * 4 * (flow[-1] ** 2).sum() > 2.19
    stable = bea.run(DESCENT, MODEL, beside, 1.7 / curvature, 200)[-1]
    assert np.linalg.norm(stable - [0.25, 3.0]) < 0.02
    measured(
        "h times the curvature at the end of the run",
        size * 4 * (end**2).sum(),
        "below 2, from 2.2",
    )
    says("03", "where $\\lambda = k^2(a^2 + b^2) = 36.25$", curvature)


def test_implicit_euler_has_the_opposite_penalty(measured):
    def path(size, steps):
        points = [np.array([0.9, 1.5])]
        for _ in range(steps):
            points.append(
                fsolve(
                    lambda new: new - points[-1] + size * MODEL.gradient(new),
                    points[-1],
                    xtol=1e-13,
                )
            )
        return np.array(points)

    sizes = [0.01, 0.005, 0.0025]
    errors = {factor: [] for factor in (-0.25, 0.25)}
    for size in sizes:
        steps = round(0.4 / size)
        points = path(size, steps)
        for factor, found in errors.items():
            found.append(np.linalg.norm(bea.flow(PenaltyFlow(factor), (0.9, 1.5), size, steps) - points, axis=1).max())
    assert slope(sizes, errors[-0.25]) == pytest.approx(2, abs=0.1)
    assert slope(sizes, errors[0.25]) < 1.2
    measured(
        "slopes for the factors -1/4, 1/4",
        [slope(sizes, found) for found in errors.values()],
        "2 ± 0.1, below 1.2",
    )


def test_law_of_the_loss_with_a_squared_factor(measured):
    c, k = sp.symbols("c k")
    r = c - k * A * B**2
    new = [s - h * sp.diff(r**2 / 2, s) for s in (A, B)]
    law = (2 * A**2 - B**2) * (1 - 2 * h**2 * k**2 * r**2 * B**2)
    assert sp.expand(2 * new[0] ** 2 - new[1] ** 2 - law) == 0
    measured("exact", 1, "identity in symbols")


def test_a_step_of_three_hundredths_lands_on_the_other_branch(measured):
    path = bea.run(DESCENT, MODEL, START, 0.03, 100)
    assert path[-1] == pytest.approx([-1.090, -0.688], abs=1e-3)
    assert imbalance(path[-1]) == pytest.approx(0.715, abs=1e-3)
    predicted = bea.flow(PenaltyFlow(0.25), START, 0.03, 50)[-1]
    assert imbalance(predicted) == pytest.approx(-3.623, abs=1e-3)
    measured(
        "imbalance, measured and predicted",
        [imbalance(path[-1]), imbalance(predicted)],
        "0.715, -3.623",
    )


@pytest.mark.parametrize("size, left", [(0.0275, -0.028), (0.0278, 0.041), (0.03, 0.715), (0.04, 4.804), (0.05, 0.143)])
def test_large_steps_balance_overshoot_and_unbalance(size, left, measured, says):
    end = imbalance(bea.run(DESCENT, MODEL, START, size, 300)[-1])
    assert end == pytest.approx(left, abs=1e-3)
    measured("imbalance left", end, str(left), digits=2)
    point = bea.run(DESCENT, MODEL, START, size, 300)[-1]
    if size == 0.0275:
        says("03", "A slightly smaller step, 0.0275, ends nearly balanced at $(0.86, 0.87)$", size, *point)
    if size == 0.0278:
        says("03", "a slightly larger one, 0.0278, at $(-0.88, -0.85)$", size, *point)


def test_a_step_of_fifty_four_thousandths_diverges(measured, says):
    with pytest.raises(bea.Divergence):
        bea.run(DESCENT, MODEL, START, 0.054, 300)
    measured("exact", 1, "run that diverges")
    says("03", "from about 0.054 on the runs diverge", 0.054)
    residual = 2 * abs(1.5 - 2 * START[0] * START[1])
    says("03", "= 36.2$, so $h = 1/36.2 \\approx 0.0276$", residual, 1, residual, 1 / residual)


def test_maximum_with_a_large_negative_curvature_becomes_a_minimum_of_the_modified_loss(measured):
    """E = 30 sin theta with h = 0.1: at pi/2 the curvature is -30 < -2/h; with h = 0.05 nothing changes."""
    theta = sp.Symbol("theta")
    E = 30 * sp.sin(theta)

    def curvature(h):
        modified = E + sp.Rational(h) / 4 * sp.diff(E, theta) ** 2
        at = {theta: sp.pi / 2}
        assert sp.diff(modified, theta).subs(at) == 0
        return sp.diff(modified, theta, 2).subs(at)

    assert sp.diff(E, theta, 2).subs(theta, sp.pi / 2) == -30
    assert curvature("1/10") == 15
    assert curvature("1/20") < 0
    measured("curvature of the modified loss at the maximum", float(curvature("1/10")), "15")


def test_three_terms_are_the_gradient_in_a_metric(measured):
    """f_0 + h f_1 + h^2 f_2 = -(I + h/2 H + h^2 (H^2/3 + T/12)) grad E with T = D3E[grad E], for an abstract loss."""
    a, b, h = sp.symbols("a b h")
    E = sp.Function("E")(a, b)
    terms = bea.modified_equation(bea.gradient_descent(), bea.Loss(E, (a, b)), order=3).terms
    g, H = sp.Matrix([E.diff(a), E.diff(b)]), sp.hessian(E, (a, b))
    T = sp.Matrix(2, 2, lambda i, j: H[i, j].diff(a) * g[0] + H[i, j].diff(b) * g[1])
    metric = sp.eye(2) + h / 2 * H + h**2 * (H**2 / 3 + T / 12)
    gap = sum((h**k * term for k, term in enumerate(terms)), metric * g)
    assert metric == metric.T
    assert gap.expand() == sp.zeros(2, 1)
    measured("exact", 3, "terms, abstract loss")


def test_metric_is_symmetric_through_the_fourth_power_of_h(measured):
    """On a polynomial of degree five in three variables, exactly; in the order of the trees the last one is not symmetric."""
    rng, x, half = random.Random(1), sp.symbols("x y z"), sp.Rational
    monomials = (sp.prod(m) for d in range(1, 6) for m in combinations_with_replacement(x, d))
    E = sum(half(rng.randint(-9, 9), rng.randint(2, 7)) * m for m in monomials)
    at = dict(zip(x, (half(1, 3), half(-2, 5), half(3, 4))))

    def along(*directions):
        """The Hessian of the derivative of E along fixed vectors, at the point."""
        e = E
        for v in directions:
            e = sum(sp.diff(e, s) * c for s, c in zip(x, v))
        return sp.hessian(e, x).subs(at)

    g, H = sp.Matrix([sp.diff(E, s).subs(at) for s in x]), along()
    T, S, Q, R = along(g), along(H * g), along(g, g), along(g, g, g)
    third = (3 * H**3 + H * T + T * H) / 12
    shared = half(1, 5) * H**4 + T**2 / 120 - R / 720
    trees = shared + half(3, 40) * H**2 * T + T * H**2 / 20 + H * T * H / 10 + S * H / 60 + H * Q / 180 - Q * H / 120
    fourth = shared + half(3, 40) * (H**2 * T + T * H**2) - along(H**2 * g) / 40 + H * T * H / 12
    fourth += (S * H + H * S) / 60 + (H * Q + Q * H) / 180 - along(g, H * g) / 72
    terms = bea.modified_equation(bea.gradient_descent(), bea.Loss(E, x), 5).coefficients(list(at.values()))
    for matrix, term in ((third, terms[3]), (fourth, terms[4]), (trees, terms[4])):
        assert matrix * g == -sp.Matrix(list(term))
    assert third == third.T and fourth == fourth.T and trees != trees.T
    measured("exact", 2, "terms, a polynomial of degree five")
