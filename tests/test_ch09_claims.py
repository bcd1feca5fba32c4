"""What chapter 9 claims of RMSProp, each claim against a witness that is not the code it speaks of."""

import math

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad
from scipy.optimize import brentq

import bea
from live_answers import ends

VALLEY = bea.bilinear()
START, FAR = (0.9, 1.5), (2.8, 3.5)
HS = [2e-3, 1e-3]
a, b = sp.symbols("a b", real=True)


def lag(rho, n=None):
    """The mean age of a bias-corrected average, as a weighted sum; without n its limit."""
    if n is None:
        return rho / (1 - rho)
    weights = [rho**age for age in range(n + 1)]
    return sum(age * w for age, w in enumerate(weights)) / sum(weights)


def plain_run(rho, h, steps, start=FAR, corrected=True, k=2.0, c=1.5):
    """RMSProp without epsilon on E = (c - k a b)^2/2, written out: iterates (steps + 1, 2)."""
    x, y = start
    u = v = 0.0
    path = [(x, y)]
    for n in range(steps):
        r = c - k * x * y
        g, e = -k * r * y, -k * r * x
        u, v = rho * u + (1 - rho) * g * g, rho * v + (1 - rho) * e * e
        fill = 1 - rho ** (n + 1) if corrected else 1.0
        x, y = x - h * g / math.sqrt(u / fill), y - h * e / math.sqrt(v / fill)
        path.append((x, y))
    return np.array(path)


# --- without memory ----------------------------------------------------------------------------


def test_perturbed_one_norm_is_the_potential_of_the_step_without_memory(measured):
    """U is the gradient of the perturbed one-norm in g, and H U that of the norm of grad E in theta."""
    g, eps = sp.symbols("g_1 g_2", real=True), sp.Rational(1, 3)
    phi = sum(sp.sqrt(s**2 + eps) for s in g)
    U = [s / sp.sqrt(s**2 + eps) for s in g]
    assert all(sp.simplify(u - sp.diff(phi, s)) == 0 for u, s in zip(U, g))
    E = a**3 * b + a * b**2 - 2 * a
    along = dict(zip(g, (sp.diff(E, s) for s in (a, b))))
    left = sp.hessian(E, (a, b)) * sp.Matrix([u.subs(along) for u in U])
    there = {a: sp.Rational(7, 5), b: sp.Rational(3, 7)}
    for j, s in enumerate((a, b)):
        assert float(left[j].subs(there)) == pytest.approx(float(sp.diff(phi.subs(along), s).subs(there)))
    measured("exact", 4, "derivatives, to round-off")


def test_sign_descent_keeps_to_a_straight_line_at_equal_distances(measured):
    walk = bea.run(bea.rmsprop(0.0, 0.0), VALLEY, FAR, 0.01, 200)
    np.testing.assert_allclose(walk, np.array(FAR) - 0.01 * np.arange(201)[:, None], atol=1e-12)
    tiny = bea.modified_equation(bea.rmsprop(sp.Integer(0), sp.Integer(0)), VALLEY, 3).coefficients(
        (sp.Rational(9, 10), sp.Rational(3, 2))
    )
    assert tiny.tolist() == [[-1, -1], [0, 0], [0, 0]]
    measured("exact", 200, "steps, to 1e-12")


# --- the equation ------------------------------------------------------------------------------


def theorem(theta, n, h, rho, epsilon, inside):
    """Cattaneo, Klusowski and Shigida (2024), main theorem for beta = 0 and full batch, in its sums."""
    g, H = VALLEY.gradient(theta), VALLEY.hessian(theta)
    u = np.array([rho ** (n - k) for k in range(n + 1)])
    u = u / u.sum()
    V = g * g
    R = np.sqrt(V + epsilon) if inside else np.sqrt(V) + epsilon
    P = sum(u[k] * g * (H @ ((n - k) * g / R)) for k in range(n + 1))
    bar = H @ (g / R)
    root = R if inside else np.sqrt(V)
    return -g / R + h * (g * (2 * P + g * bar) / (2 * root * R**2) - bar / (2 * R))


def printed(theta, h, C, epsilon, inside=True):
    """The chapter's equation with its bracket, and the potential's gradient by central differences."""

    def potential(at):
        g = np.abs(VALLEY.gradient(at))
        return np.sqrt(g * g + epsilon).sum() if inside else (g - epsilon * np.log(g + epsilon)).sum()

    g, step = VALLEY.gradient(theta), 1e-5
    R = np.sqrt(g * g + epsilon) if inside else np.abs(g) + epsilon
    push = np.array([(potential(theta + step * e) - potential(theta - step * e)) / (2 * step) for e in np.eye(2)])
    bracket = 1 - C + C * epsilon / (g * g + epsilon) if inside else 1 - C * np.abs(g) / R
    return -(g + h / 2 * bracket * push) / R


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("n", [0, 1, 4])
def test_engine_theorem_and_printed_equation_agree_at_each_step(n, inside, measured):
    theta, h = np.array(START), 0.1
    equation = bea.transient_equation(bea.rmsprop(0.8, 0.7, epsilon_inside=inside, bias_correction=True), VALLEY)
    found = equation.field(h, n)(theta)
    np.testing.assert_allclose(found, theorem(theta, n, h, 0.8, 0.7, inside), rtol=1e-12)
    np.testing.assert_allclose(found, printed(theta, h, 1 + 2 * lag(0.8, n), 0.7, inside), rtol=1e-7)
    assert np.abs(found - theorem(theta, n, h, 0.8, 0.7, not inside)).max() > 1e-3
    measured("exact", 2, "witnesses, to 1e-12 and 1e-7")


class Field:
    """The printed steady-state equation with any constant, as an equation to measure against."""

    def __init__(self, C, epsilon, inside=True, bracket=None):
        self.C, self.epsilon, self.inside, self.bracket = C, epsilon, inside, bracket

    def field(self, h):
        def velocity(theta):
            g = VALLEY.gradient(theta)
            R = np.sqrt(g * g + self.epsilon) if self.inside else np.abs(g) + self.epsilon
            q = np.abs(g) / R
            bracket = 1 - self.C * (q * q if self.inside else q) if self.bracket is None else self.bracket(q)
            return -(g + h / 2 * bracket * (VALLEY.hessian(theta) @ (g / R))) / R

        return velocity


def slope(optimizer, equation=None, order=2, **options):
    return bea.order_study(optimizer, VALLEY, START, 0.1, HS, order=order, equation=equation, **options).slope


@pytest.mark.parametrize(
    "bracket, expected",
    [
        (lambda q: 1 - 3 * q**2, 2),  # C = 3 at rho = 1/2
        (lambda q: 1 - q**2 + 2 * q**2, 1),  # memory's sign flipped
        (lambda q: -2 * q**2, 1),  # without the half step
        (lambda q: 0 * q, 1),  # no correction
    ],
)
def test_slopes_of_the_printed_bracket_and_its_controls(bracket, expected, measured):
    mild = bea.rmsprop(0.5, 1.0, bias_correction=True)
    found = slope(mild, Field(3, 1.0, bracket=bracket))
    assert found == pytest.approx(expected, abs=0.1)
    measured("slope", found, f"{expected} ± 0.1")


@pytest.mark.parametrize("bracket, expected", [(lambda q: 1 - 3 * q, 2), (lambda q: 1 - 3 * q**2, 1)])
def test_epsilon_outside_has_its_own_bracket(bracket, expected, measured):
    outside = bea.rmsprop(0.5, 0.5, epsilon_inside=False, bias_correction=True)
    found = slope(outside, Field(3, 0.5, inside=False, bracket=bracket))
    assert found == pytest.approx(expected, abs=0.1)
    measured("slope", found, f"{expected} ± 0.1")


@pytest.mark.parametrize("loss, start", [(VALLEY, START), (bea.rosenbrock(5), (-0.5, 0.8)), (bea.logistic_regression(), (0.3, 0.5))],
                         ids=["bilinear", "rosenbrock", "logistic"])  # fmt: skip
def test_orders_one_two_three_from_the_slow_manifold(loss, start, measured):
    mild = bea.rmsprop(0.5, 1.0)
    slopes = [bea.order_study(mild, loss, start, 0.1, [2e-3, 1e-3, 5e-4], order=p).slope for p in (1, 2, 3)]
    np.testing.assert_allclose(slopes, [1, 2, 3], atol=0.1)
    measured("slopes with 1, 2, 3 terms", slopes, "1, 2, 3 ± 0.1")


# --- one dimension -----------------------------------------------------------------------------


def test_figure_of_the_parabola(measured):
    """Speeds at the places that the text names, from RMSProp written out in one dimension, rho = 0.99, h = 0.002."""
    x, v, h, rho = 2.0, 0.0, 0.002, 0.99
    places, speeds = [], []
    for n in range(1150):
        v = rho * v + (1 - rho) * x * x
        speed = x / math.sqrt(v / (1 - rho ** (n + 1)))
        places.append(x)
        speeds.append(speed)
        x -= h * speed
    at = dict(zip((1.0, 0.2), np.interp([-1.0, -0.2], -np.array(places), speeds)))
    assert at[1.0] == pytest.approx(0.85, abs=0.005) and at[0.2] == pytest.approx(0.56, abs=0.01)
    assert 1 - h * lag(rho) / 1.0 == pytest.approx(0.80, abs=0.005)
    assert h * lag(rho) == pytest.approx(0.2, abs=0.003)
    measured("speed at 1 and at 0.2", at.values(), "0.85, 0.56")


def test_momentum_on_the_parabola_makes_longer_steps(measured):
    mean = [1.0 + 0.01 * k for k in range(400)]  # gradients k steps ago, on a walk at unit speed with h = 0.01
    weights = [0.1 * 0.9**k for k in range(400)]
    assert sum(w * g for w, g in zip(weights, mean)) > 1 > 1 / math.sqrt(sum(w * g * g for w, g in zip(weights, mean)))
    measured(
        "numerator's mean, denominator's share",
        [
            sum(w * g for w, g in zip(weights, mean)),
            1 / math.sqrt(sum(w * g * g for w, g in zip(weights, mean))),
        ],
        "above 1, below 1",
    )


# --- what kind of equation ---------------------------------------------------------------------


def test_small_epsilon_flow_lowers_its_loss_and_is_no_gradient(measured):
    h, L = sp.Rational(1, 100), 9
    g = VALLEY.gradient_expressions
    (x, y), here = (
        VALLEY.symbols,
        {VALLEY.symbols[0]: sp.Rational(9, 10), VALLEY.symbols[1]: sp.Rational(3, 2)},
    )
    tilde = VALLEY.expression - h * L * (g[0] + g[1])  # both partial derivatives are positive here
    field = [-sp.diff(tilde, s) / d for s, d in zip((x, y), g)]
    engine = bea.modified_equation(bea.rmsprop(sp.Rational(9, 10), sp.Integer(0)), VALLEY, 2).coefficients(
        tuple(here.values())
    )
    for j in range(2):
        assert sp.simplify(field[j].subs(here) - engine[0][j] - h * engine[1][j]) == 0
    rate = sum(sp.diff(tilde, s) * f for s, f in zip((x, y), field)).subs(here)
    assert rate == -sum(sp.diff(tilde, s) ** 2 / d for s, d in zip((x, y), g)).subs(here) < 0
    assert (sp.diff(field[0], y) - sp.diff(field[1], x)).subs(here) != 0
    measured("exact", 3, "identities in fractions")


@pytest.mark.parametrize("epsilon, expected", [(1e-6, 0), (1, 0.083), (100, 0.524), (1e6, 0)])
def test_asymmetry_of_the_bias(epsilon, expected, measured):
    """The printed numbers, from the formula of the bias and central differences."""

    def bias(theta):
        g = VALLEY.gradient(theta)
        R2 = g * g + epsilon
        return (1 - 19 * g * g / R2) * (VALLEY.hessian(theta) @ (g / np.sqrt(R2)))

    theta, step = np.array(START), 1e-5
    x, y = [(bias(theta + step * e) - bias(theta - step * e)) / (2 * step) for e in np.eye(2)]
    asymmetry = abs(y[0] - x[1]) / (abs(y[0]) + abs(x[1]))
    assert asymmetry == pytest.approx(expected, abs=1e-3)
    measured("asymmetry", round(asymmetry, 3), f"{expected} ± 0.001")


def test_large_epsilon_imitates_gradient_descent_whatever_rho(measured):
    epsilon = 1e10
    theta = np.array(FAR)
    for _ in range(400):
        theta = theta - 0.0025 * VALLEY.gradient(theta)
    for rho in (0.5, 0.9):
        path = bea.run(
            bea.rmsprop(rho, epsilon, bias_correction=True),
            VALLEY,
            FAR,
            0.0025 * math.sqrt(epsilon),
            400,
        )
        np.testing.assert_allclose(path[-1], theta, atol=1e-5)
    measured("exact", 2, "values of rho, 400 steps, to 1e-5")


def test_threshold_of_the_sign_and_of_the_explorers_answer(measured):
    for rho, threshold, slider in ((0.5, 2, 10), (0.9, 18, 20), (0.99, 198, 200)):
        assert 2 * rho / (1 - rho) == pytest.approx(threshold)
        options = [0.0001, 0.01, 0.1, 1.0, 10.0, 20.0, 100.0, 200.0, 1000.0]
        # on the parabola at x = 1 the push is positive, so the sign of -f_1 is that of the bracket
        parabola = bea.Loss(a**2 / 2, (a,))
        brackets = [-bea.modified_equation(bea.rmsprop(rho, e), parabola, 2).coefficients([1.0])[1, 0] for e in options]
        assert next(e for e, x in zip(options, brackets) if x > 0) == slider
    measured("exact", 3, "values of rho")


def test_outside_the_root_the_sign_changes_fourteen_times_further_down(measured, says):
    def change(inside):
        parabola = bea.Loss(a**2 / 2, (a,))

        def f_1(g):
            return bea.modified_equation(bea.rmsprop(0.99, 1.0, epsilon_inside=inside), parabola, 2).coefficients([g])[
                1, 0
            ]

        return brentq(f_1, 1e-4, 1.0)

    assert change(True) == pytest.approx(1 / math.sqrt(198), rel=1e-6)
    assert change(False) == pytest.approx(1 / 198, rel=1e-6)
    assert change(True) / change(False) == pytest.approx(14, abs=0.1)
    measured("gradient of the change, inside / outside", change(True) / change(False), "14")
    says("09", "the gradient has to fall 14 times further", change(True) / change(False))


# --- as PyTorch ships it -----------------------------------------------------------------------

LOSSES = [bea.bilinear(c, k) for c, k in ((1, 2), (2, 2.5), (1.5, 1.5))]
BATCHES = [1, 0, 2, 2, 1, 0, 1, 0, 0, 2] * 10


def shipped_theorem(theta, n, h, rho, epsilon, part=1.0):
    """The printed sums of RMSProp's theorem, with loops; a part of the correction for the controls."""
    g = [LOSSES[i].gradient(theta) for i in BATCHES[: n + 1]]
    H = [LOSSES[i].hessian(theta) for i in BATCHES[: n + 1]]

    def V(l):
        return sum((1 - rho) * rho ** (l - k) * g[k] ** 2 for k in range(l + 1))

    steps = [g[l] / (np.sqrt(V(l)) + epsilon) for l in range(n + 1)]
    R, P, P_bar = np.sqrt(V(n)) + epsilon, np.zeros(2), np.zeros(2)
    for k in range(n + 1):
        weight = (1 - rho) * rho ** (n - k)
        P = P + weight * g[k] * (H[k] @ sum(steps[k:n], np.zeros(2)))
        P_bar = P_bar + weight * g[k] * (H[k] @ steps[n])
    bracket = g[n] * (2 * P + P_bar) / (np.sqrt(V(n)) * R) - H[n] @ steps[n]
    return -steps[n] + part * h / (2 * R) * bracket


@pytest.mark.parametrize("n", [0, 1, 4])
def test_engine_has_the_printed_sums_of_rmsprop_as_shipped(n, measured):
    """Mini-batches, no bias correction, epsilon outside the root."""
    shipped = bea.rmsprop(0.8, 0.7, epsilon_inside=False)
    found = bea.transient_equation(shipped, LOSSES, batches=BATCHES).field(0.1, n)(np.array(START))
    np.testing.assert_allclose(found, shipped_theorem(np.array(START), n, 0.1, 0.8, 0.7), rtol=1e-12)
    assert np.abs(found - shipped_theorem(np.array(START), n, 0.1, 0.8, 0.7, part=0.5)).max() > 1e-3
    measured("exact", 2, "components, to 1e-12")


def one_piece(field, x, h):
    a = field(x)
    b = field(x + h / 2 * a)
    c = field(x + h / 2 * b)
    return x + h / 6 * (a + 2 * b + 2 * c + field(x + h * c))


@pytest.mark.parametrize("part, expected", [(1, 2), (0.5, 1), (0, 1)])
def test_theorem_as_shipped_has_order_two_from_the_first_step(part, expected, measured):
    shipped, hs, errors = bea.rmsprop(0.5, 1.0, epsilon_inside=False), np.array([3e-3, 1.5e-3]), []
    for h in hs:
        path = bea.run(shipped, LOSSES, START, h, round(0.09 / h), batches=BATCHES)
        curve, largest = path[0], 0.0
        for n, point in enumerate(path[1:]):
            curve = one_piece(lambda x, n=n, h=h: shipped_theorem(x, n, h, 0.5, 1.0, part), curve, h)
            largest = max(largest, np.abs(point - curve).max())
        errors.append(largest)
    found = np.log2(errors[0] / errors[1])
    assert found == pytest.approx(expected, abs=0.1)
    measured("slope", found, f"{expected} ± 0.1")


@pytest.mark.parametrize("part, expected", [(1, 2), (0.5, 1), (0, 1)])
def test_one_loss_as_shipped_follows_the_steady_equation_after_the_start(part, expected, measured):
    shipped, hs, errors = bea.rmsprop(0.5, 0.5, epsilon_inside=False), np.array([2e-3, 1e-3, 5e-4]), []
    for h in hs:
        wait = math.ceil(math.log(h) / math.log(0.5))
        path = bea.run(shipped, VALLEY, START, h, wait + round(0.12 / h))[wait:]
        curve, largest = path[0], 0.0
        field = Field(3, 0.5, inside=False, bracket=lambda q: part * (1 - 3 * q)).field(h)
        for point in path[1:]:
            curve = one_piece(field, curve, h)
            largest = max(largest, np.abs(point - curve).max())
        errors.append(largest)
    found = np.polyfit(np.log(hs), np.log(errors), 1)[0]
    assert found == pytest.approx(expected, abs=0.1)
    measured("slope", found, f"{expected} ± 0.1")


# --- the first steps ---------------------------------------------------------------------------


@pytest.mark.parametrize("rho, head_start", [(0.9, 9), (0.99, 124), (0.999, 1340)])
def test_head_start_by_its_sum_and_its_integral(rho, head_start, measured, says):
    total = math.fsum(1 / math.sqrt(-math.expm1((n + 1) * math.log(rho))) - 1 for n in range(60000))
    assert round(total) == head_start
    integral = quad(lambda y: 1 / math.sqrt(-math.expm1(-y)) - 1, 0, 60)[0]
    assert integral == pytest.approx(2 * math.log(2), rel=1e-6)
    assert total < integral / -math.log(rho) < integral / (1 - rho)
    measured("steps ahead", round(total), f"{head_start}")
    if rho == 0.9:
        says("09", "at 0.9, 9.1 and 13.9", rho, total, integral / (1 - rho))
    if rho == 0.99:
        says("09", "At $\\rho = 0.99$ they are 124 and 139", rho, total, integral / (1 - rho))
    if rho == 0.999:
        says("09", "at 0.999, 1340 and 1386", rho, total, integral / (1 - rho))


def test_head_start_counted_on_the_valley(measured):
    counts = []
    for rho, counted in ((0.9, 9), (0.99, 125)):
        ends = [int(np.argmax(plain_run(rho, 2.5e-4, 9000, corrected=c).prod(axis=1) < 1)) for c in (True, False)]
        counts.append(ends[0] - ends[1])
        assert counts[-1] == counted
    measured("steps ahead at rho = 0.9, 0.99", counts, "9, 125")


def test_first_step_without_bias_correction_is_exact(measured):
    for rho, factor in ((0.99, 10), (0.999, math.sqrt(1000))):
        first = bea.run(bea.rmsprop(rho, 0.0), VALLEY, FAR, 1e-3, 1)
        np.testing.assert_allclose(first[0] - first[1], 1e-3 * factor, rtol=1e-9)
    measured("exact", 2, "values of rho, to 1e-9")


def test_steady_equation_misses_an_uncorrected_run_at_first_order(measured):
    uncorrected = bea.rmsprop(0.5, 1.0)
    steady, finite = (
        bea.modified_equation(uncorrected, VALLEY, 2),
        bea.transient_equation(uncorrected, VALLEY),
    )
    slopes = [slope(uncorrected, steady, start="rest"), slope(uncorrected, finite)]
    assert slopes == pytest.approx([1, 2], abs=0.1)
    measured("slopes: steady, of each step", slopes, "1, 2 ± 0.1")


def test_first_step_of_pytorch_is_ten_times_its_learning_rate(measured):
    torch = pytest.importorskip("torch")
    theta = torch.tensor([0.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.RMSprop([theta], lr=1e-3)
    theta.grad = torch.tensor([3.0, -0.02], dtype=torch.float64)
    optimizer.step()
    np.testing.assert_allclose(theta.detach().numpy(), [-1e-2, 1e-2], rtol=1e-4)
    measured("exact", 2, "coordinates, to 1e-4")


def test_warm_up_of_about_one_memory_cancels_the_head_start(measured):
    def missing(w):
        return quad(lambda y: (1 - y / w) / math.sqrt(-math.expm1(-y)), 0, w)[0] - 2 * math.log(2)

    memories = brentq(missing, 0.1, 10)
    assert memories == pytest.approx(0.98, abs=0.005)
    measured("length of the warm-up, in memories", memories, "0.98")


# --- the valley --------------------------------------------------------------------------------


def offset_at_the_end(rho, h):
    """Imbalance of a run when ab passes 1, and the law's, summed along the run."""
    path = plain_run(rho, h, round(6.5 / h))
    product = path.prod(axis=1)
    end = int(np.argmax(product < 1))
    full, push = rho / (1 - rho), 0.0
    for n in range(end):
        now = full - (n + 1) * rho ** (n + 1) / (1 - rho ** (n + 1)) if rho else 0.0
        push += now * (1 / product[n] + 1 / product[n + 1]) / 2
    return path[end, 0] - path[end, 1], -0.7 * math.exp(h * h * push)


@pytest.mark.parametrize(
    "rho, law, run",
    [
        (0.0, -0.7, -0.7),
        (0.9, -0.70105, -0.70105),
        (0.95, -0.70224, -0.70223),
        (0.99, -0.71242, -0.71214),
    ],
)
def test_offset_law_in_numbers(rho, law, run, measured):
    found = offset_at_the_end(rho, 2.5e-4)
    np.testing.assert_allclose(found, (run, law), atol=6e-6)
    measured("offset, measured and by the law", found, f"{run}, {law}", digits=5)


@pytest.mark.parametrize("hC, ratio", [(0.05, 0.98), (0.2, 0.87), (1, 0.29), (4, 0.01)])
def test_edge_of_validity_depends_on_h_times_C(hC, ratio, measured, says):
    ratios = []
    for h in (2e-3, 1e-3):
        C = hC / h
        end, law = offset_at_the_end((C - 1) / (C + 1), h)
        ratios.append((end + 0.7) / (law + 0.7))
        assert ratios[-1] == pytest.approx(ratio, abs=0.011)
    measured("drift / law for h = 0.002, 0.001", ratios, f"{ratio} ± 0.011", digits=2)
    if hC == 0.2:
        runs = [offset_at_the_end(rho, 5e-4)[0] for rho in (0.9, 0.99, 0.995)]
        said = [-runs[0], 0.9, -runs[1], 0.99, -runs[2], 0.995]
        says("09", "to minus 0.702 for rho 0.9, minus 0.725 for 0.99 and minus 0.754 for 0.995", *said)


@pytest.mark.parametrize("point", [(0.9, 1.5), (1.5, 0.9), (0.4, 0.7), (0.7, 0.4)])
def test_offset_grows_on_both_sides_of_the_valley(point, measured):
    f_1 = bea.modified_equation(bea.rmsprop(0.9, 0.0), VALLEY, 2).coefficients(point)[1]
    assert f_1[0] - f_1[1] == pytest.approx(9 * (point[0] - point[1]) / (point[0] * point[1]))
    measured("exact", 1, "point, to round-off")


def test_why_it_grows_the_gradient_of_the_larger_variable_shrinks_faster(measured):
    x, y = 0.9, 1.5
    before, after = VALLEY.gradient((x, y)), VALLEY.gradient((x - 1e-6, y - 1e-6))
    shrinking = (before - after) / before
    assert shrinking[1] > shrinking[0] > 0
    measured("relative fall of the gradients, times a million", 1e6 * shrinking, "the second is larger")


def test_gradients_fall_about_a_hundredfold_down_the_valley(measured):
    path = plain_run(0.9, 1e-3, 3000)
    end = path[np.argmax(path.prod(axis=1) < 1)]
    falls = VALLEY.gradient(FAR) / VALLEY.gradient(end)
    assert ((80 < falls) & (falls < 160)).all()
    assert 2 < 1e-3 * np.argmax(path.prod(axis=1) < 1) < 2.2
    measured("gradients at the start / at the end", falls, "80 to 160")


# --- the live figure ---------------------------------------------------------------------------------------------------


def test_distance_from_the_leading_order_grows_like_the_lag(measured, says):
    found = {rho: ends("09", bea.rmsprop(rho, 1e-2), bea.bilinear())[1][0] for rho in (0.5, 0.75)}
    says("09", "From 0.034 to 0.095, by a factor of 2.8", found[0.5], found[0.75], found[0.75] / found[0.5])
    says("09", "The lag grows from 1 to 3", bea.lag(0.5), bea.lag(0.75))
    measured("distances", list(found.values()), "0.034, 0.095", digits=2)
