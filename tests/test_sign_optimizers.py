"""AdamW, NAdam, Signum and Lion: the runs against loops written from the papers, the equations by slopes."""

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import sympy as sp

import bea
from bea.trees import tree_coefficients

LOSS = bea.bilinear()
START = (0.9, 1.5)

ADAMW = bea.adamw(beta=0.5, rho=0.6, epsilon=0.3, weight_decay=0.7)
OUTSIDE = ADAMW.with_hyperparameters(epsilon_inside=False, bias_correction=False)
NADAM = bea.nadam(beta=0.5, rho=0.6, epsilon=0.3)
SIGNUM = bea.signum(beta=0.6, epsilon=0.3)
LION = bea.lion(beta_1=0.4, beta_2=0.6, epsilon=0.3, weight_decay=0.7)
FOUR = [ADAMW, NADAM, SIGNUM, LION]


def name(optimizer):
    return optimizer.name


def by_the_paper(optimizer, steps, h):
    """The iterates by a loop that follows the paper's own lines."""
    p = optimizer.hyperparameters
    theta, m, v = np.array(START), np.zeros(2), np.zeros(2)
    path = [theta]
    for n in range(1, steps + 1):
        g = LOSS.gradient(theta)
        if optimizer.name == "lion":  # Chen et al. 2023, Algorithm 2
            c = p["beta_1"] * m + (1 - p["beta_1"]) * g
            move = c / np.sqrt(c**2 + p["epsilon"]) + p["weight_decay"] * theta
            m = p["beta_2"] * m + (1 - p["beta_2"]) * g
        elif optimizer.name == "signum":
            m = p["beta"] * m + (1 - p["beta"]) * g
            move = m / np.sqrt(m**2 + p["epsilon"])
        else:
            m = p["beta"] * m + (1 - p["beta"]) * g
            v = p["rho"] * v + (1 - p["rho"]) * g**2
            corrected = p.get("bias_correction", True)
            top, below = (m / (1 - p["beta"] ** n), v / (1 - p["rho"] ** n)) if corrected else (m, v)
            if optimizer.name == "nadam":
                top = p["beta"] * top + (1 - p["beta"]) * g
            inside = p.get("epsilon_inside", True)
            move = top / (np.sqrt(below + p["epsilon"]) if inside else np.sqrt(below) + p["epsilon"])
            if optimizer.name == "adamw":  # as PyTorch has it; the paper's line 12 does not multiply the decay by h
                move = move + p["weight_decay"] * theta
        theta = theta - h * move
        path.append(theta)
    return np.array(path)


@pytest.mark.parametrize("optimizer", [*FOUR, OUTSIDE], ids=name)
def test_run_follows_the_paper(optimizer):
    expected = by_the_paper(optimizer, 40, 0.05)
    assert np.allclose(bea.run(optimizer, LOSS, START, 0.05, 40), expected, rtol=1e-13, atol=1e-13)
    # the paths for arrays and, where llvmlite is there, for long runs agree
    many = bea.run(optimizer, LOSS, np.array([START, START]), 0.05, 40)
    assert np.allclose(many[:, 1], expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("optimizer", FOUR, ids=name)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_steady_state_slopes(optimizer, order):
    study = bea.order_study(optimizer, LOSS, START, 0.1, [1e-3, 5e-4, 2.5e-4], order=order)
    assert study.slope == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("optimizer", [ADAMW, LION], ids=name)
def test_transient_slopes(optimizer):
    losses = [bea.bilinear(c, k) for c, k in ((1, 2), (2, 2.5), (1.5, 1.5))]
    batches = [1, 0, 2, 2, 1, 0, 1, 0, 0, 2] * 12

    def slope(terms, hs):
        return bea.order_study(
            optimizer, losses, START, 0.02, hs, order=terms, start="rest",
            equation=bea.transient_equation(optimizer, losses, terms, batches=batches),
        ).slope  # fmt: skip

    assert slope(2, [5e-4, 2.5e-4]) == pytest.approx(2, abs=0.2)
    assert slope(1, [5e-4, 2.5e-4]) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("optimizer", FOUR, ids=name)
def test_a_halved_correction_drops_the_slope(optimizer):
    equation = bea.modified_equation(optimizer, LOSS, 2)

    class Halved:
        def field(self, h):
            def field(theta):
                f_0, f_1 = equation.coefficients(theta)
                return f_0 + h / 2 * f_1

            return field

    study = bea.order_study(optimizer, LOSS, START, 0.1, [1e-3, 5e-4, 2.5e-4], order=2, equation=Halved())
    assert study.slope == pytest.approx(1, abs=0.1)


def test_weight_decay_alone_is_a_logarithm():
    # with no gradient the parameter is multiplied by 1 - h lambda: the rate is -ln(1 - h lambda)/h
    x = sp.Symbol("x")
    flat = bea.Loss(0 * x + sp.Integer(1), (x,))
    terms = bea.modified_equation(
        bea.adamw(sp.Rational(1, 2), sp.Rational(1, 2), sp.Integer(1), sp.Symbol("w")), flat, 4
    ).terms
    w = sp.Symbol("w")
    assert [sp.simplify(t[0] / x) for t in terms] == [-w, -(w**2) / 2, -(w**3) / 3, -(w**4) / 4]


def test_without_weight_decay_adamw_is_adam():
    theta = np.array([[0.3, 1.2], [0.9, 1.5]])
    w = bea.adamw(beta=0.9, rho=0.95, epsilon=0.1, weight_decay=0.0)
    a = bea.adam(beta=0.9, rho=0.95, epsilon=0.1)
    assert np.allclose(
        bea.modified_equation(w, LOSS, 3).coefficients(theta),
        bea.modified_equation(a, LOSS, 3).coefficients(theta),
    )
    assert np.array_equal(bea.run(w, LOSS, START, 0.01, 50), bea.run(a, LOSS, START, 0.01, 50))


def first_correction(optimizer, E, variables):
    return bea.modified_equation(optimizer, bea.Loss(E, variables), 2).terms[1]


def test_signum_looks_back_as_far_as_its_average():
    # in one dimension: f = -S(g) with S(g) = g/sqrt(g^2+eps); f_1 = -(1/2)(1 + 2 lag) S'(g) g' S(g)
    x, b, e = sp.Symbol("x"), sp.Symbol("b"), sp.Symbol("e", positive=True)
    E = sp.Function("E")(x)
    g = sp.diff(E, x)
    S = g / sp.sqrt(g**2 + e)
    expected = -(1 + b) / (1 - b) / 2 * sp.diff(S, x) * S
    assert sp.simplify(first_correction(bea.signum(b, e), E, (x,))[0] - expected) == 0


def test_lion_looks_back_by_beta_1_over_one_minus_beta_2():
    # c is, to first order, the gradient where it was beta_1/(1 - beta_2) steps ago
    x, b1, b2 = sp.symbols("x b1 b2")
    e = sp.Symbol("e", positive=True)
    E = sp.Function("E")(x)
    g = sp.diff(E, x)
    S = g / sp.sqrt(g**2 + e)
    expected = -(1 + 2 * b1 / (1 - b2)) / 2 * sp.diff(S, x) * S
    assert sp.simplify(first_correction(bea.lion(b1, b2, e), E, (x,))[0] - expected) == 0


def test_nadam_looks_back_one_step_less_in_the_numerator():
    # beta m + (1-beta) g has the lag beta^2/(1-beta)
    x, b, r = sp.symbols("x b r")
    e = sp.Symbol("e", positive=True)
    E = sp.Function("E")(x)
    g = sp.diff(E, x)
    R = sp.sqrt(g**2 + e)
    lag_top, lag_bottom = b**2 / (1 - b), r / (1 - r)
    speed = -g / R * sp.diff(g, x)  # of g along the flow
    mirrors = -(-lag_top * speed / R + g * lag_bottom * g * speed / R**3)
    half_step = -sp.diff(g / R, x) * g / R / 2
    assert sp.simplify(first_correction(bea.nadam(b, r, e), E, (x,))[0] - mirrors - half_step) == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: bea.adamw(0.9, 0.99, 1e-8, -0.1),
        lambda: bea.lion(0.9, 0.9, 1e-8, -0.1),
        lambda: bea.lion(1.0, 0.9, 1e-8),
        lambda: bea.signum(0.9, -1.0),
        lambda: bea.nadam(-0.1, 0.9, 1e-8),
    ],
)
def test_hyperparameters_out_of_range(make):
    with pytest.raises(ValueError, match="must be"):
        make()


@pytest.mark.parametrize(
    "optimizer",
    [
        bea.signum(Fraction(1, 2), Fraction(1)),
        bea.lion(Fraction(1, 3), Fraction(1, 2), Fraction(1), Fraction(0)),
    ],
    ids=name,
)
def test_trees_need_linear_memory(optimizer):
    with pytest.raises(ValueError, match="linear"):
        tree_coefficients(optimizer, 2)


@pytest.mark.parametrize("value", [1, 1.0, 1.5, -0.1, [0.5, 1.0], float("nan")])
def test_lion_refuses_a_beta_2_outside_its_interval(value):
    with pytest.raises(ValueError, match=r"beta_2 = .* must be in \[0, 1\)"):
        bea.lion(beta_1=0.5, beta_2=value, epsilon=0.1)


def test_lion_without_memory_mixes_the_last_two_gradients():
    """beta_2 = 0: the older average is the gradient before."""
    mixed = bea.lion(beta_1=0.4, beta_2=0.0, epsilon=0.3)
    expected = by_the_paper(mixed, 20, 0.05)
    assert np.allclose(bea.run(mixed, LOSS, START, 0.05, 20), expected, rtol=1e-13, atol=1e-13)
    study = bea.order_study(mixed, LOSS, START, 0.1, [1e-3, 5e-4, 2.5e-4], order=3)
    assert study.slope == pytest.approx(3, abs=0.1)


def test_with_equal_decays_lion_is_signum():
    points = np.array([START, (0.4, 0.7)])
    one = bea.modified_equation(bea.lion(0.6, 0.6, 0.3), LOSS, 3).coefficients(points)
    two = bea.modified_equation(bea.signum(0.6, 0.3), LOSS, 3).coefficients(points)
    assert np.allclose(one, two, rtol=1e-12)


def test_at_epsilon_zero_the_sign_is_the_sign():
    """optax's lion and sign of momentum, from a loop of three lines."""
    for made, beta_1, beta_2 in (
        (bea.lion(0.9, 0.99, 0.0), 0.9, 0.99),
        (bea.signum(0.9, 0.0), 0.9, 0.9),
    ):
        theta, m = np.array([1.0, 0.0]), np.zeros(2)
        for _ in range(5):
            g = bea.quadratic([1, 4]).gradient(theta)
            theta, m = (
                theta - 0.01 * np.sign(beta_1 * m + (1 - beta_1) * g),
                beta_2 * m + (1 - beta_2) * g,
            )
        assert np.array_equal(bea.run(made, bea.quadratic([1, 4]), (1.0, 0.0), 0.01, 5)[-1], theta)


def test_a_smooth_sign_in_a_batch_has_no_kink():
    """Of all that have an epsilon, where the gradient changes sign: as each alone."""
    x, y = sp.symbols("x y", real=True)
    loss = bea.Loss((x - y) ** 2 / 2 + y**4 / 4, (x, y))
    for make in (partial(bea.signum, 0.5), partial(bea.lion, 0.5, 0.6)):
        equation = bea.modified_equation(make([0.1, 0.2]), loss, 3)
        for point in ((0.5, 0.7), (0.7, 0.7)):
            alone = [bea.modified_equation(make(epsilon), loss, 3).coefficients(point) for epsilon in (0.1, 0.2)]
            np.testing.assert_allclose(equation.coefficients(point), np.stack(alone, axis=1), rtol=1e-12)
    mixed = bea.modified_equation(bea.signum(0.5, [0.1, 0.0]), loss, 3)
    with pytest.raises(ValueError, match="a kink or a jump is exactly here"):
        mixed.coefficients((0.7, 0.7))
