"""What chapter 10 claims about Adam, each claim against a witness that is not the code it speaks of."""

import numpy as np
import pytest
import sympy as sp

import bea

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


def printed_theorem(theta, n, h, decays, epsilon, inside):
    """The theorem's right side in its printed sums, with loops, for mini-batches E_k = BATCHES[ORDER[k]]."""
    gradients = [BATCHES[i].gradient(theta) for i in ORDER[: n + 1]]
    hessians = [BATCHES[i].hessian(theta) for i in ORDER[: n + 1]]

    def averages(decay, n):
        return [(1 - decay) * decay ** (n - k) / (1 - decay ** (n + 1)) for k in range(n + 1)]

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


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("n", [0, 1, 4])
def test_engine_equals_the_theorems_printed_sums(n, inside, measured):
    """Cattaneo, Klusowski and Shigida (2024), main theorem; with epsilon outside, its variant."""
    theta, h = np.array(START), 0.1
    equation = bea.transient_equation(bea.adam(0.6, 0.8, 0.3, epsilon_inside=inside), BATCHES, batches=ORDER)
    np.testing.assert_allclose(
        equation.field(h, n)(theta),
        printed_theorem(theta, n, h, (0.6, 0.8), 0.3, inside),
        rtol=1e-12,
    )
    assert np.abs(printed_theorem(theta, n, h, (0.6, 0.8), 0.3, not inside) - equation.field(h, n)(theta)).max() > 1e-3
    measured("exact", 2, "components, to 1e-12")


def test_the_sign_changes_where_it_is_printed(measured):
    """eq-adam-sign-change: epsilon/g^2 = C_rho/C_beta - 1, by the sign of the engine's correction on either side."""
    x = sp.Symbol("x")
    parabola, g = bea.Loss(x**2 / 2, (x,)), 0.7
    threshold = (C(0.99) / C(0.9) - 1) * g**2
    signs = [
        np.sign(bea.modified_equation(bea.adam(0.9, 0.99, threshold * factor), parabola, 2).coefficients([g])[1, 0])
        for factor in (0.99, 1.01)
    ]
    assert signs == [1, -1]  # impeded below, regularized above
    measured("exact", 2, "signs, 1 % below and above")


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


# --- finite n against stationary ---------------------------------------------------------------------------------------


def errors(adam, start, h, steps):
    path = bea.run(adam, VALLEY, start, h, steps)
    three = (
        bea.modified_equation(adam, VALLEY, 1),
        bea.modified_equation(adam, VALLEY, 2),
        bea.transient_equation(adam, VALLEY),
    )
    return [np.linalg.norm(bea.flow(equation, start, h, steps) - path, axis=1) for equation in three]


def test_stationary_is_worse_than_none_and_the_finite_constants_are_better(measured):
    none, stationary, finite = (e.max() for e in errors(bea.adam(0.9, 0.99, 1e-2), (2.8, 3.5), 1e-2, 50))
    assert stationary > 10 * none > 100 * finite
    measured(
        "largest distance: no, stationary, finite constants",
        [none, stationary, finite],
        "stationary above 10 times none, finite below a tenth",
        digits=2,
    )


def test_the_stationary_equation_catches_up_after_three_times_both_memories(measured):
    none, stationary, finite = errors(bea.adam(0.9, 0.95, 1e-2), (2.8, 3.5), 5e-3, 110)
    crossing = int(np.argmax(stationary[1:] < none[1:])) + 1
    assert 0.8 * 90 < crossing < 1.2 * 90
    assert (finite[1:] < none[1:]).all() and (finite[1:] < stationary[1:]).all()
    measured("step of the crossing", crossing, "90 ± 20 %")


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


def imbalance_at_half(beta, rho, h):
    """The imbalance a - b of a run when |r| passes 1/2, and the law's, integrated along the run."""
    path = bea.run(bea.adam(beta, rho, 1e-8), VALLEY, (2.8, 3.5), h, round(2.6 / h))
    product = path.prod(axis=1)
    end = int(np.argmax(abs(1.5 - 2 * product) < 0.5))
    push = [(C(beta, n) - C(rho, n)) * (1 / product[n] + 1 / product[n + 1]) / 2 for n in range(end)]
    return path[end, 0] - path[end, 1], -0.7 * np.exp(-h * h / 2 * sum(push))


@pytest.mark.parametrize(
    "decays, expected, predicted",
    [((0.9, 0.99), -0.7112, -0.7112), ((0.9, 0.9), -0.7, -0.7), ((0.99, 0.9), -0.6885, -0.6905)],
)
def test_imbalance_law(decays, expected, predicted, measured):
    found = imbalance_at_half(*decays, 2.5e-4)
    np.testing.assert_allclose(found, (expected, predicted), atol=6e-5)
    measured("imbalance, measured and by the law", found, f"{expected}, {predicted}", digits=4)


def test_gap_between_run_and_imbalance_law_is_of_second_order(measured):
    gaps = [np.subtract(*imbalance_at_half(0.99, 0.9, h)) for h in (5e-4, 2.5e-4, 1.25e-4)]
    slopes = np.log2(np.divide(gaps[:-1], gaps[1:]))
    np.testing.assert_allclose(slopes, 2, atol=0.15)
    measured("slopes", slopes, "2 ± 0.15")
