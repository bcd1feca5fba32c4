"""What chapter 10 claims about Adam, each claim against a witness that is not the code it speaks of."""

import numpy as np
import pytest
import sympy as sp

import bea
from bea_book.equations.shared import by_running

WINDOW = {
    "horizon": 0.12,
    "hs": [3e-3, 1.2e-3],
}  # 40 to 100 steps; the memory of rho = 0.5 is 2 steps
ORDER = [1, 0, 2, 2, 1, 0, 1, 0, 0, 2] * 10
VALLEY = bea.bilinear()
BATCHES = [bea.bilinear(c, k) for c, k in ((1, 2), (2, 2.5), (1.5, 1.5))]
START = (0.9, 1.5)


def C(decay, n=None):
    """The constants of the paper's Corollary for full batch, as printed."""
    full = (1 + decay) / (1 - decay)
    return full if n is None else full - 2 * (n + 1) * decay ** (n + 1) / (1 - decay ** (n + 1))


# --- identities --------------------------------------------------------------------------------------------------------

a, b = sp.symbols("a b", real=True)
beta, rho, epsilon = sp.symbols("beta rho epsilon", positive=True)
ABSTRACT = bea.Loss(sp.Function("E")(a, b), (a, b))


def printed_bias(C_beta, C_rho):
    g = [sp.diff(ABSTRACT.expression, x) for x in (a, b)]
    norm = sum(sp.sqrt(x**2 + epsilon) for x in g)
    return sp.Matrix(
        [
            -(C_beta - C_rho + C_rho * epsilon / (x**2 + epsilon)) * sp.diff(norm, s) / (2 * sp.sqrt(x**2 + epsilon))
            for x, s in zip(g, (a, b))
        ]
    )


def test_stationary_equation_is_the_papers_for_any_loss(measured):
    """Cattaneo, Klusowski and Shigida (2024), full batch, n large."""
    f_1 = bea.modified_equation(bea.adam(beta, rho, epsilon), ABSTRACT, 2).terms[1]
    assert sp.simplify(f_1 - printed_bias(C(beta), C(rho))) == sp.zeros(2, 1)
    assert sp.simplify(f_1 - printed_bias(C(rho), C(beta))) != sp.zeros(2, 1)
    measured("exact", 2, "components, for any loss")


@pytest.mark.parametrize("n", [0, 1, 2])
def test_equation_of_each_step_has_the_finite_constants(n, measured):
    f_1 = bea.transient_equation(bea.adam(beta, rho, epsilon), ABSTRACT).terms(n)[1]
    assert sp.simplify(f_1 - printed_bias(C(beta, n), C(rho, n))) == sp.zeros(2, 1)
    measured("exact", 2, "components, for any loss")


def printed_theorem(theta, n, h, decays, epsilon, inside, corrected=True):
    """The theorem's right side in its printed sums, with loops, for mini-batches E_k = BATCHES[ORDER[k]]."""
    gradients = [BATCHES[i].gradient(theta) for i in ORDER[: n + 1]]
    hessians = [BATCHES[i].hessian(theta) for i in ORDER[: n + 1]]

    def averages(decay, n):
        total = 1 - decay ** (n + 1) if corrected else 1
        return [(1 - decay) * decay ** (n - k) / total for k in range(n + 1)]

    def M(n):
        return sum(w * g for w, g in zip(averages(decays[0], n), gradients))

    def V(n):
        return sum(u * g**2 for u, g in zip(averages(decays[1], n), gradients))

    def R(n):
        return np.sqrt(V(n) + epsilon) if inside else np.sqrt(V(n)) + epsilon

    w, u = averages(decays[0], n), averages(decays[1], n)
    way = [sum((M(l) / R(l) for l in range(k, n)), np.zeros(2)) for k in range(n + 1)]
    L = sum(w[k] * hessians[k] @ way[k] for k in range(n + 1))
    P = sum(u[k] * gradients[k] * (hessians[k] @ way[k]) for k in range(n + 1))
    L_bar = sum(w[k] * hessians[k] @ (M(n) / R(n)) for k in range(n + 1))
    P_bar = sum(u[k] * gradients[k] * (hessians[k] @ (M(n) / R(n))) for k in range(n + 1))
    root = R(n) if inside else np.sqrt(V(n))
    return -M(n) / R(n) + h * (M(n) * (2 * P + P_bar) / (2 * root * R(n) ** 2) - (2 * L + L_bar) / (2 * R(n)))


@pytest.mark.parametrize("beta", [0, 0.6], ids=["rmsprop", "adam"])
@pytest.mark.parametrize("corrected", [True, False])
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("n", [0, 1, 4])
def test_engine_equals_the_theorems_printed_sums(n, inside, corrected, beta, measured):
    """After Cattaneo, Klusowski and Shigida (2024): the eight cases of the theorem."""
    theta, h = np.array(START), 0.1
    options = {"epsilon_inside": inside, "bias_correction": corrected}
    method = bea.adam(beta, 0.8, 0.3, **options) if beta else bea.rmsprop(0.8, 0.3, **options)
    found = bea.transient_equation(method, BATCHES, batches=ORDER).field(h, n)(theta)
    printed = printed_theorem(theta, n, h, (beta, 0.8), 0.3, inside, corrected)
    np.testing.assert_allclose(found, printed, rtol=1e-12)
    assert np.abs(printed_theorem(theta, n, h, (beta, 0.8), 0.3, not inside, corrected) - found).max() > 1e-3
    measured("exact", 2, "components, to 1e-12")


def test_worked_instance_by_running_adam(measured, says):
    """n = 1, two batches: Adam run for two steps on polynomials of first degree in h."""
    adam = bea.adam(sp.Rational(1, 3), sp.Rational(1, 2), sp.Integer(8))
    gradients = [sp.Matrix([slope, slope]) for slope in (1, 5)]
    hessians = [sp.eye(2) * bend for bend in (2, 1)]
    f_0, f_1 = (sp.simplify(f[0]) for f in by_running(adam, gradients, hessians, 1))
    assert (f_0, f_1) == (-sp.Rational(4, 5), -sp.Rational(422, 5625))
    measured("f_0 and f_1", [float(f_0), float(f_1)], "-4/5, -422/5625")
    says("10", "\\approx -0.8 - 0.075\\, h .", float(f_0), abs(float(f_1)))


def test_the_sign_changes_where_it_is_printed(measured, says):
    """eq-adam-sign-change: epsilon/g^2 = C_rho/C_beta - 1, by the sign of the engine's correction on either side."""
    x = sp.Symbol("x")
    parabola, g = bea.Loss(x**2 / 2, (x,)), 0.7
    threshold = (C(0.99) / C(0.9) - 1) * g**2
    signs = [
        np.sign(bea.modified_equation(bea.adam(0.9, 0.99, threshold * factor), parabola, 2).coefficients([g])[1, 0])
        for factor in (0.99, 1.01)
    ]
    assert signs == [1, -1]  # anti-penalized below, penalized above
    measured("exact", 2, "signs, 1 % below and above")
    says("10", "so $C_\\beta = 199/2 = 99.5$", 199, 2, 199 / 2)
    says("10", "= 98.5/100.5 \\approx 0.980$", 99.5 - 1, 99.5 + 1, (99.5 - 1) / (99.5 + 1))


# --- slopes ------------------------------------------------------------------------------------------------------------


def from_rest(equation, loss, start=START, optimizer=None):
    return bea.order_study(optimizer or equation.optimizer, loss, start, equation=equation, **WINDOW)


@pytest.mark.parametrize("inside", [True, False])
def test_theorem_has_order_two_with_three_mini_batches(inside, measured):
    adam = bea.adam(0.4, 0.5, 1.0, epsilon_inside=inside)
    one, two = (
        from_rest(bea.transient_equation(adam, BATCHES, terms, batches=ORDER), BATCHES).slope for terms in (1, 2)
    )
    assert abs(two - 2) < 0.1
    assert abs(one - 1) < 0.1  # the control: without the bracket
    measured("slopes with and without the correction", [two, one], "2, 1 ± 0.1")


@pytest.mark.parametrize("inside", [True, False])
def test_theorem_has_order_two_on_rosenbrock_full_batch(inside, measured):
    adam, loss, start = (
        bea.adam(0.4, 0.5, 1.0, epsilon_inside=inside),
        bea.rosenbrock(5),
        (-0.5, 0.8),
    )
    wrong = bea.transient_equation(bea.adam(0.4, 0.5, 1.0, epsilon_inside=not inside), loss, order=1)
    right = bea.transient_equation(adam, loss)
    slopes = [from_rest(equation, loss, start, optimizer=adam).slope for equation in (right, wrong)]
    assert abs(slopes[0] - 2) < 0.1
    assert slopes[1] < 0.5  # epsilon at the wrong place: not even order 1
    measured("slopes, with epsilon in its place and not", slopes, "2 ± 0.1, below 0.5", digits=2)


class WithoutHalfStep(bea.TransientEquation):
    def pieces(self, h, steps):
        leading = bea.transient_equation(self.optimizer, self.losses, order=1)
        for field, f in zip(super().pieces(h, steps), leading.pieces(h, steps)):
            yield (lambda y, field=field, f=f: field(y) + h / 2 * (f(y + 1e-5 * f(y)) - f(y - 1e-5 * f(y))) / 2e-5)


def test_theorem_on_logistic_regression_and_without_its_half_step(measured):
    loss, start = bea.logistic_regression(), (0.3, 0.5)
    adam = bea.adam(0.4, 0.5, 1.0)
    equations = bea.transient_equation(adam, loss), WithoutHalfStep(adam, (loss,), 2, None)
    slopes = [from_rest(equation, loss, start).slope for equation in equations]
    assert slopes == pytest.approx([2, 1], abs=0.1)
    measured("slopes with and without the half step", slopes, "2, 1 ± 0.1")


def test_exchanged_constants_lose_the_second_order(measured):
    adam, loss, start = bea.adam(0.4, 0.5, 1.0), bea.rosenbrock(5), (-0.5, 0.8)
    exchanged = bea.transient_equation(bea.adam(0.5, 0.4, 1.0), loss)
    slope = from_rest(exchanged, loss, start, optimizer=adam).slope
    assert slope < 1.2
    measured("slope of the control", slope, "below 1.2")


@pytest.mark.parametrize(
    "loss, start",
    [(VALLEY, START), (bea.rosenbrock(5), (-0.5, 0.8)), (bea.logistic_regression(), (0.3, 0.5))],
    ids=["bilinear", "rosenbrock", "logistic"],
)
def test_steady_state_has_orders_one_two_three_from_the_slow_manifold(loss, start, measured):
    slopes = [
        bea.order_study(bea.adam(0.4, 0.5, 1.0), loss, start, 0.1, [2e-3, 1e-3, 5e-4], order=p).slope for p in (1, 2, 3)
    ]
    np.testing.assert_allclose(slopes, [1, 2, 3], atol=0.1)
    measured("slopes with 1, 2, 3 terms", slopes, "1, 2, 3 ± 0.1")


# --- the table of eight --------------------------------------------------------------------------------------------------

WAVES = [  # of each mini-batch: (amplitude, wave vector, phase); all derivatives are bounded
    [(0.5, (1.0, 0.5), 0.3), (0.3, (-0.5, 1.0), 1.1)],
    [(0.4, (0.5, -1.0), 2.0), (0.3, (1.0, 1.0), 0.2)],
    [(0.6, (-1.0, 0.25), 0.7)],
]
IN_TURN = [0, 2, 1] * 40
WAVE_START = np.array([0.4, -0.3])
ROWS = {  # beta, rho, epsilon inside?, bias correction?
    "heavy ball": (0.5, None, None, False),
    "row 1": (0, 0.6, True, True),
    "row 2": (0, 0.6, True, False),
    "row 3": (0, 0.6, False, True),
    "row 4": (0, 0.6, False, False),
    "row 5": (0.5, 0.6, True, True),
    "row 6": (0.5, 0.6, True, False),
    "row 7": (0.5, 0.6, False, True),
    "row 8": (0.5, 0.6, False, False),
}
EPSILON = 0.5


def waves(batch, x):
    """Gradient and Hessian of one mini-batch loss, at a point (2,) or at points (2, m)."""
    g, H = np.zeros(x.shape), np.zeros((2, *x.shape))
    for amplitude, q, phase in WAVES[batch]:
        at, q = np.dot(q, x) + phase, np.reshape(q, (2,) + (1,) * (x.ndim - 1))
        g, H = g + amplitude * np.cos(at) * q, H - amplitude * np.sin(at) * q[:, None] * q
    return g, H


def times(H, z):
    """Matrices times vectors, at each point."""
    return H[:, 0] * z[0] + H[:, 1] * z[1]


def run_of(row, h, steps, batches):
    """The method of a row, written out."""
    beta, rho, inside, corrected = row
    path, m, v = [WAVE_START], np.zeros(2), np.zeros(2)
    for n in range(steps):
        g = waves(batches[n], path[-1])[0]
        m = beta * m + (1 - beta) * g
        v = v if rho is None else rho * v + (1 - rho) * g**2
        top, below = (m / (1 - beta ** (n + 1)), v / (1 - (rho or 0) ** (n + 1))) if corrected else (m, v)
        if rho is None:
            bottom = 1
        else:
            bottom = np.sqrt(below + EPSILON) if inside else np.sqrt(below) + EPSILON
        path.append(path[-1] - h * top / bottom)
    return np.array(path)


def row_field(x, row, n, h, batches, part):
    """The theorem's right side; its sums over k and l grow by one step at a time, all gradients taken at x.

    At as many points as there are parts: x is (2, parts).
    """
    beta, rho, inside, corrected = row
    seen = [waves(i, x) for i in range(len(WAVES))]
    M = V = L = P = U = np.zeros(x.shape)  # sums with the weights (1 - decay) decay^(n - k)
    HM = HV = np.zeros((2, *x.shape))  # of Hessians, and of gradients times Hessians
    for l in range(n + 1):
        g, H = seen[batches[l]]
        # what is remembered was one step further away: that of step l - 1
        L, P = beta * (L + times(HM, U)), P if rho is None else rho * (P + times(HV, U))
        M, HM = beta * M + (1 - beta) * g, beta * HM + (1 - beta) * H
        if rho is not None:
            V, HV = rho * V + (1 - rho) * g**2, rho * HV + (1 - rho) * g[:, None] * H
        a, b = (1 - beta ** (l + 1), 1 - (rho or 0) ** (l + 1)) if corrected else (1, 1)
        if rho is None:
            R = S = np.ones(x.shape)
        else:
            R = np.sqrt(V / b + EPSILON) if inside else np.sqrt(V / b) + EPSILON
            S = R if inside else np.sqrt(V / b)
        U = M / a / R
    bracket = -(2 * L + times(HM, U)) / a / (2 * R)
    if rho is not None:
        bracket = bracket + (M / a) * (2 * P + times(HV, U)) / b / (2 * S * R**2)
    return -U + part * h * bracket


def one_loss_field(x, row, n, h, batches, part):
    """The row's equation for one loss, with its bracket B_j as printed in the table."""
    beta, rho, inside, corrected = row
    g, H = waves(batches[0], x)
    C_beta, C_rho = (C(d, n if corrected else None) if d is not None else 0 for d in (beta, rho))
    if rho is None:
        R, B = np.ones(x.shape), C_beta
    else:
        R = np.sqrt(g**2 + EPSILON) if inside else np.abs(g) + EPSILON
        q = np.abs(g) / R
        B = C_beta - C_rho * (q**2 if inside else q)
    return -(g + part * h / 2 * B * times(H, g / R)) / R


def row_slopes(row, field, batches, wait, parts, hs=(0.02, 0.01, 0.005)):
    """The slope for each part of the correction."""
    errors, part = [], np.array(parts)
    for h in hs:
        count = wait + round(0.6 / h)
        path = run_of(row, h, count, batches)
        x, largest = np.tile(path[wait][:, None], len(parts)), np.zeros(len(parts))
        for n in range(wait, count):
            a = field(x, row, n, h, batches, part)
            b = field(x + h / 2 * a, row, n, h, batches, part)
            c = field(x + h / 2 * b, row, n, h, batches, part)
            x = x + h / 6 * (a + 2 * b + 2 * c + field(x + h * c, row, n, h, batches, part))
            largest = np.maximum(largest, np.abs(x - path[n + 1][:, None]).max(axis=0))
        errors.append(largest)
    return np.polyfit(np.log(hs), np.log(errors), 1)[0].tolist()


@pytest.mark.parametrize("name", ROWS)
def test_row_of_the_table_with_mini_batches(name, measured):
    """From the first step; the controls have half of the correction, and none."""
    slopes = row_slopes(ROWS[name], row_field, IN_TURN, 0, (1, 0.5, 0))
    assert abs(slopes[0] - 2) < 0.15
    assert max(slopes[1:]) < 1.25
    measured("slopes with the correction, half of it, none", slopes, "2 ± 0.15, below 1.25 twice", digits=2)


@pytest.mark.parametrize("name", ROWS)
def test_row_of_the_table_with_one_loss(name, measured):
    """With bias correction from the first step, without it from step 20 on; the controls as before."""
    wait = 0 if ROWS[name][-1] else 20
    slopes = row_slopes(ROWS[name], one_loss_field, [0] * 700, wait, (1, 0.5, 0), (4e-3, 2e-3, 1e-3))
    assert abs(slopes[0] - 2) < 0.15
    assert max(slopes[1:]) < 1.25
    measured("slopes with the correction, half of it, none", slopes, "2 ± 0.15, below 1.25 twice", digits=2)


# --- finite n against stationary ---------------------------------------------------------------------------------------


def errors(adam, start, h, steps):
    path = bea.run(adam, VALLEY, start, h, steps)
    three = (
        bea.modified_equation(adam, VALLEY, 1),
        bea.modified_equation(adam, VALLEY, 2),
        bea.transient_equation(adam, VALLEY),
    )
    return [np.linalg.norm(bea.flow(equation, start, h, steps) - path, axis=1) for equation in three]


def test_stationary_is_worse_than_none_and_the_finite_constants_are_better(measured, says):
    none, stationary, finite = (e.max() for e in errors(bea.adam(0.9, 0.99, 1e-2), (2.8, 3.5), 1e-2, 50))
    assert stationary > 10 * none > 100 * finite
    measured(
        "largest distance: no, stationary, finite constants",
        [none, stationary, finite],
        "stationary above 10 times none, finite below a tenth",
        digits=2,
    )
    says("10", "fifteen times worse in the first line", stationary / none)


def test_the_stationary_equation_catches_up_after_three_times_both_memories(measured, says):
    none, stationary, finite = errors(bea.adam(0.9, 0.95, 1e-2), (2.8, 3.5), 5e-3, 110)
    crossing = int(np.argmax(stationary[1:] < none[1:])) + 1
    assert 0.8 * 90 < crossing < 1.2 * 90
    assert (finite[1:] < none[1:]).all() and (finite[1:] < stationary[1:]).all()
    measured("step of the crossing", crossing, "90 ± 20 %")
    says(
        "10",
        "better than none only after about three times the sum of both memory lengths",
        crossing / (1 / 0.1 + 1 / 0.05),
    )


def test_stationary_from_rest_is_of_order_two_with_bias_correction_but_its_constant_is_larger(
    measured,
):
    adam, window = bea.adam(0.7, 0.8, 0.1), {"horizon": 0.064, "start": "rest"}
    stationary = bea.modified_equation(adam, VALLEY, 2)
    study = bea.order_study(adam, VALLEY, START, hs=[2e-3, 1e-3, 5e-4], equation=stationary, **window)
    assert abs(study.slope - 2) < 0.1
    finite = bea.order_study(
        adam,
        VALLEY,
        START,
        hs=[2e-3, 1e-3],
        equation=bea.transient_equation(adam, VALLEY),
        **window,
    )
    assert (study.errors[:2] > 5 * finite.errors).all()
    uncorrected = bea.adam(0.7, 0.8, 0.1, bias_correction=False)  # the control: an initial layer that costs O(h)
    assert bea.order_study(uncorrected, VALLEY, START, hs=[2e-3, 1e-3, 5e-4], equation=stationary, **window).slope < 1.3
    measured(
        "slope, and error against that of the finite constants",
        [study.slope, study.errors[0] / finite.errors[0]],
        "2 ± 0.1, above 5",
        digits=2,
    )


# --- the valley --------------------------------------------------------------------------------------------------------


def offset_at_half(beta, rho, h):
    """The offset a - b of a run when |r| passes 1/2, and the law's, integrated along the run."""
    path = bea.run(bea.adam(beta, rho, 1e-8), VALLEY, (2.8, 3.5), h, round(2.6 / h))
    product = path.prod(axis=1)
    end = int(np.argmax(abs(1.5 - 2 * product) < 0.5))
    push = [(C(beta, n) - C(rho, n)) * (1 / product[n] + 1 / product[n + 1]) / 2 for n in range(end)]
    return path[end, 0] - path[end, 1], -0.7 * np.exp(-h * h / 2 * sum(push))


@pytest.mark.parametrize(
    "decays, expected, predicted",
    [((0.9, 0.99), -0.7112, -0.7112), ((0.9, 0.9), -0.7, -0.7), ((0.99, 0.9), -0.6885, -0.6905)],
)
def test_offset_law(decays, expected, predicted, measured):
    found = offset_at_half(*decays, 2.5e-4)
    np.testing.assert_allclose(found, (expected, predicted), atol=6e-5)
    measured("offset, measured and by the law", found, f"{expected}, {predicted}", digits=4)


def test_gap_between_run_and_offset_law_is_of_second_order(measured):
    gaps = [np.subtract(*offset_at_half(0.99, 0.9, h)) for h in (5e-4, 2.5e-4, 1.25e-4)]
    slopes = np.log2(np.divide(gaps[:-1], gaps[1:]))
    np.testing.assert_allclose(slopes, 2, atol=0.15)
    measured("slopes", slopes, "2 ± 0.15")


# --- the live figure ---------------------------------------------------------------------------------------------------


def test_leading_order_comes_closest_where_the_lags_cancel(measured, says):
    """Distance of the run in steady state from the end of the leading-order flow, at beta = 0.9."""

    def distance(rho, h=0.01):
        adam, begin, steps = bea.adam(0.9, rho, 1e-4), (2.2, 2.9), round(1.2 / h)
        memory = bea.modified_equation(adam, VALLEY, 2).memory(np.array(begin), h)
        end = bea.run(adam, VALLEY, begin, h, steps, memory=memory)[-1]
        return np.linalg.norm(bea.flow(bea.modified_equation(adam, VALLEY, 1), begin, h, steps)[-1] - end)

    found = {rho: distance(rho) for rho in (0.7, 0.8, 0.9, 0.95)}
    assert all(found[rho] > 0.05 for rho in (0.7, 0.8, 0.95))
    finer = distance(0.9, 0.005)
    says("10", "at $\\rho = 0.9$ the distance is 0.030, at $\\rho = 0.8$ and", 0.9, found[0.9], 0.8)
    says("10", "$\\rho = 0.95$ it is 0.21 and 0.30", 0.95, found[0.8], found[0.95])
    says("10", "at $h = 0.005$ it is 0.008", 0.005, finer)
    measured("distance at rho = 0.8, 0.9, 0.95", [found[rho] for rho in (0.8, 0.9, 0.95)], "smallest at 0.9", digits=2)
