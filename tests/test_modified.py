"""Modified equations in steady state against the literature, exact solutions and a naive engine; and mutants of the engine.

Each oracle is a function that raises AssertionError; the tests call them, and the mutants at the end must make them fail.
"""

from dataclasses import FrozenInstanceError
from fractions import Fraction
from functools import cache, partial
from itertools import product

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

import bea
from bea import modified, program
from bea.series import Series
from naive import modified_terms, perturbed_norm_gradient, random_polynomial, zero

R = sp.Rational
NINE_TENTHS = R(9, 10)
BETA, RHO, EPSILON, STEP = sp.symbols("beta rho epsilon h", positive=True)
A, B = sp.symbols("a b", real=True)
ABSTRACT = bea.Loss(sp.Function("E")(A, B), (A, B))


class Field:
    """Elementary differentials of f at symbols: d1(u) = f'u, d2(u, v) = f''(u, v)."""

    def __init__(self, components, symbols):
        self.f, self.symbols = sp.Matrix(components), symbols

    def d1(self, u):
        return self.f.jacobian(self.symbols) * u

    def d2(self, u, v):
        n = range(len(self.symbols))
        return sp.Matrix(
            [
                sum(sp.diff(component, self.symbols[j], self.symbols[k]) * u[j] * v[k] for j in n for k in n)
                for component in self.f
            ]
        )


# --- oracles ------------------------------------------------------------------------------------------------------------------


def oracle_hlw_example_1():
    """Hairer, Lubich, Wanner, Geometric Numerical Integration, Example IX.1.1: explicit Euler on y' = y^2."""
    y = sp.Symbol("y")
    terms = bea.modified_equation(bea.gradient_descent(), bea.VectorField((y**2,), (y,)), order=6).terms
    wanted = [1, -1, R(3, 2), -R(8, 3), R(31, 6), -R(157, 15)]
    assert [sp.expand(f[0]) for f in terms] == [c * y ** (k + 2) for k, c in enumerate(wanted)]


def oracle_hlw_example_2():
    """Example IX.1.3(a): explicit Euler on Lotka and Volterra's equations q' = q(p-1), p' = p(2-q); the printed h-term."""
    q, p = sp.symbols("q p")
    f_0, f_1 = bea.modified_equation(
        bea.gradient_descent(), bea.VectorField((q * (p - 1), p * (2 - q)), (q, p)), order=2
    ).terms
    assert sp.expand(f_0 - sp.Matrix([q * (p - 1), p * (2 - q)])) == sp.zeros(2, 1)
    printed = -R(1, 2) * sp.Matrix([q * (p**2 - p * q + 1), -p * (p * q - q**2 + 3 * q - 4)])
    assert sp.expand(f_1 - printed) == sp.zeros(2, 1)


def oracle_euler_b_series(seed=0):
    """HLW IX.1: f - h/2 f'f + h^2 (f'f'f/3 + f''(f,f)/12) - h^3 (f'f'f'f/4 + f'f''(f,f)/12 + f''(f,f'f)/12), on random cubic fields."""
    rng = np.random.default_rng(seed)
    symbols = sp.symbols("x y")
    components = [random_polynomial(rng, symbols, 3) for _ in symbols]
    point = {symbols[0]: R(int(rng.integers(1, 9)), 7), symbols[1]: R(-int(rng.integers(1, 9)), 5)}
    field = Field(components, symbols)
    f = field.f
    f_f, ff = field.d1(f), field.d2(f, f)
    wanted = [
        f,
        -f_f / 2,
        field.d1(f_f) / 3 + ff / 12,
        -(field.d1(field.d1(f_f)) / 4 + field.d1(ff) / 12 + field.d2(f, f_f) / 12),
    ]
    equation = bea.modified_equation(bea.gradient_descent(), bea.VectorField(components, symbols), order=4)
    found = equation.coefficients([point[s] for s in symbols])
    assert [list(w.subs(point)) for w in wanted] == found.tolist()
    floats = equation.coefficients([float(point[s]) for s in symbols])
    np.testing.assert_allclose(floats, found.astype(float), rtol=1e-11)


def oracle_heavy_ball(seed=0):
    """F = f/(1-b) - h (1+b)/(2(1-b)^3) f'f + h^2 [(1+4b+b^2)/(3(1-b)^5) f'f'f + (1+10b+b^2)/(12(1-b)^5) f''(f,f)], b a symbol, random quartic loss.

    Damped (with the factor 1-b): the same in (1-b) h.
    """
    rng = np.random.default_rng(seed)
    loss = bea.Loss(random_polynomial(rng, (A, B)), (A, B))
    here = {A: R(2, 3), B: -R(3, 5)}
    field = Field([-g for g in loss.gradient_expressions], loss.symbols)
    f, f_f = field.f, field.d1(field.f)
    wanted = [
        f / (1 - BETA),
        -(1 + BETA) / (2 * (1 - BETA) ** 3) * f_f,
        (1 + 4 * BETA + BETA**2) / (3 * (1 - BETA) ** 5) * field.d1(f_f)
        + (1 + 10 * BETA + BETA**2) / (12 * (1 - BETA) ** 5) * field.d2(f, f),
    ]
    for damped in (False, True):
        found = bea.modified_equation(bea.heavy_ball(BETA, damped=damped), loss, 3).coefficients((here[A], here[B]))
        for k in range(3):
            scale = (1 - BETA) ** (k + 1) if damped else 1
            assert all(sp.cancel(a - b * scale) == 0 for a, b in zip(found[k], wanted[k].subs(here)))


def slow_root_series(characteristic, beta, order):
    """[x^1..x^order] of ln z for the root z(x) with z(0) = 1 of a polynomial in z and x, by Newton's method on power series; exact."""
    x, z = sp.symbols("x z")
    polynomial = characteristic(z, x, beta)
    root = sp.Integer(1)
    for _ in range(order):  # linear convergence, one power a step, with the derivative at x = 0
        slope = sp.diff(polynomial, z).subs({z: 1, x: 0})
        root = sp.expand(root - polynomial.subs(z, root) / slope)
        root = sum(root.coeff(x, k) * x**k for k in range(order + 1))
    shift, logarithm, power = sp.expand(root - 1), sp.Integer(0), sp.Integer(1)
    for k in range(1, order + 1):
        power = sp.expand(power * shift)
        power = sum(power.coeff(x, j) * x**j for j in range(order + 1))
        logarithm += (-1) ** (k + 1) * power / k
    logarithm = sp.expand(logarithm)
    return [logarithm.coeff(x, k) for k in range(1, order + 1)]


CHARACTERISTIC = {
    "heavy_ball": (bea.heavy_ball, lambda z, x, b: z**2 - (1 + b - x) * z + b),
    "nesterov": (bea.nesterov, lambda z, x, b: z**2 - (1 + b) * (1 - x) * z + b * (1 - x)),
    "gradient_descent": (lambda b: bea.gradient_descent(), lambda z, x, b: z - 1 + x),
}


def oracle_slow_root(name="heavy_ball", beta=NINE_TENTHS, order=6):
    """On E = lambda x^2/2 the flow's exponent is ln z(h lambda)/h with z the slow characteristic root: six coefficients, exactly."""
    maker, characteristic = CHARACTERISTIC[name]
    wanted = slow_root_series(characteristic, beta, order)
    exact = bea.modified_equation(maker(beta), bea.quadratic([R(3)]), order).coefficients((R(5, 2),))
    assert [f[0] for f in exact] == [c * 3 ** (k + 1) * R(5, 2) for k, c in enumerate(wanted)]
    floats = bea.modified_equation(maker(float(beta)), bea.quadratic([3]), order).coefficients((2.5,))
    np.testing.assert_allclose(floats[:, 0], [float(f[0]) for f in exact], rtol=1e-11)


@cache
def naive_numbers(method):
    """Coefficients f_0, f_1, f_2 by the naive engine at three points of the bilinear loss."""
    loss = bea.bilinear()
    mean, squares = (lambda g: g), (lambda g: g * g)

    def sign_of(c):
        return c / sp.sqrt(c * c + R(1, 10))

    averages_and_update = {
        "adam": ([(mean, R(9, 10)), (squares, R(19, 20))], lambda m, v: m / sp.sqrt(v + R(1, 100))),
        "adam, epsilon outside": (
            [(mean, R(9, 10)), (squares, R(19, 20))],
            lambda m, v: m / (sp.sqrt(v) + R(1, 10)),
        ),
        "rmsprop": ([(mean, 0), (squares, R(19, 20))], lambda g, v: g / sp.sqrt(v + R(1, 100))),
        "nesterov": ([(mean, 0), (mean, R(9, 10))], lambda g, m: g + 9 * m),
        "heavy_ball": ([(mean, R(9, 10))], lambda m: 10 * m),
        "gradient_descent": ([(mean, 0)], lambda g: g),
        # beta m_(n-1) = m_n - (1 - beta) g_n, so that Lion is a formula in its average and the gradient
        "lion": (
            [(mean, 0), (mean, R(4, 5))],
            lambda g, m: sign_of(R(3, 5) * (m - g / 5) * R(5, 4) + R(2, 5) * g),
        ),
    }[method]
    if method in ONE_COORDINATE:
        loss = QUARTIC
    # symbols of no known sign: sqrt(g**2) must stay what it is, not become |g|, whose derivatives SymPy writes with Dirac's delta
    symbols = sp.symbols("u v")[: loss.dimension]
    gradient = [g.xreplace(dict(zip(loss.symbols, symbols))) for g in loss.gradient_expressions]
    function = sp.lambdify(
        symbols,
        modified_terms(gradient, symbols, *averages_and_update, 3),
        modules="numpy",
        cse=True,
    )
    return np.array([function(*point[: loss.dimension]) for point in NAIVE_POINTS], dtype=float)


QUARTIC = bea.Loss(A**4 / 4 - A**2 + A / 3, (A,))
ONE_COORDINATE = (
    "adam",
    "adam, epsilon outside",
    "lion",
)  # the naive engine takes half a minute for two
NAIVE_POINTS = ((0.9, 1.5), (0.4, 0.7), (1.3, -0.6))
NAIVE = {
    "adam": bea.adam(0.9, 0.95, 0.01),
    "adam, epsilon outside": bea.adam(0.9, 0.95, 0.1, epsilon_inside=False),
    "rmsprop": bea.rmsprop(0.95, 0.01),
    "nesterov": bea.nesterov(0.9),
    "heavy_ball": bea.heavy_ball(0.9),
    "gradient_descent": bea.gradient_descent(),
    "lion": bea.lion(0.6, 0.8, 0.1),
}


def oracle_naive_engine(method="adam"):
    """Three terms equal those of the naive engine (repeated Lie derivatives, tests/naive.py) to 1e-10, at three points at once."""
    loss = QUARTIC if method in ONE_COORDINATE else bea.bilinear()
    points = np.array(NAIVE_POINTS)[:, : loss.dimension]
    found = bea.modified_equation(NAIVE[method], loss, 3).coefficients(points)
    np.testing.assert_allclose(np.moveaxis(found, 1, 0), naive_numbers(method), rtol=1e-10)


def oracle_adam_full_batch(loss=ABSTRACT):
    """Cattaneo, Klusowski, Shigida (2024), full batch, n large: identically in beta, rho, epsilon, and in an abstract loss."""
    f_0, f_1 = bea.modified_equation(bea.adam(BETA, RHO, EPSILON), loss, order=2).terms
    for j, (g, slope) in enumerate(zip(loss.gradient_expressions, perturbed_norm_gradient(loss, EPSILON))):
        c_beta, c_rho = (1 + BETA) / (1 - BETA), (1 + RHO) / (1 - RHO)
        bias = R(1, 2) * (c_beta - c_rho + c_rho * EPSILON / (g**2 + EPSILON)) * slope
        assert zero(f_0[j] + g / sp.sqrt(g**2 + EPSILON))
        assert zero(f_1[j] + bias / sp.sqrt(g**2 + EPSILON))


# --- the oracles as tests ------------------------------------------------------------------------------------------------------------


def test_hlw_example_ix_1_1():
    oracle_hlw_example_1()


def test_hlw_example_ix_1_3():
    oracle_hlw_example_2()


@pytest.mark.parametrize("seed", range(3))
def test_the_b_series_of_eulers_method(seed):
    oracle_euler_b_series(seed)


def test_the_rate_of_a_quadratic_mode():
    """-ln(1 - h lambda)/h = lambda (1 + h lambda/2 + (h lambda)^2/3 + ...): twelve terms, exactly and in floats."""
    exact = bea.modified_equation(bea.gradient_descent(), bea.quadratic([R(1, 3)]), 12).coefficients((R(7, 2),))
    assert [f[0] for f in exact] == [-R(7, 2) * R(1, 3) ** (k + 1) / (k + 1) for k in range(12)]
    floats = bea.modified_equation(bea.gradient_descent(), bea.quadratic([3.0]), 12).coefficients((0.7,))
    np.testing.assert_allclose(floats[:, 0], [-0.7 * 3.0 ** (k + 1) / (k + 1) for k in range(12)], rtol=1e-10)
    lam = sp.Symbol("lambda")
    loss = bea.quadratic([lam])
    assert [sp.expand(f[0]) for f in bea.modified_equation(bea.gradient_descent(), loss, 4).terms] == [
        -(lam ** (k + 1)) * loss.symbols[0] / (k + 1) for k in range(4)
    ]


def test_barrett_and_dherins_modified_loss():
    """Implicit gradient regularization (2021), equations (3) and (4): E + (h/4)||grad E||^2, on an abstract loss of two variables."""
    terms = bea.modified_equation(bea.gradient_descent(), ABSTRACT, 2).terms
    norm = sum(g**2 for g in ABSTRACT.gradient_expressions)
    for j, s in enumerate((A, B)):
        assert zero(terms[0][j] + sp.diff(ABSTRACT.expression, s)) and zero(terms[1][j] + sp.diff(norm / 4, s).doit())


@pytest.mark.parametrize("seed", range(2))
def test_heavy_ball_to_h_squared(seed):
    oracle_heavy_ball(seed)


def test_heavy_ball_and_nesterov_as_modified_losses():
    """E + (h_e/4) K ||grad E||^2, h_e = h/(1-beta): K = (1+beta)/(1-beta) and (1 - beta + 2 beta^2)/(1-beta)."""
    norm = sum(g**2 for g in ABSTRACT.gradient_expressions)
    for maker, k in (
        (bea.heavy_ball, (1 + BETA) / (1 - BETA)),
        (bea.nesterov, (1 - BETA + 2 * BETA**2) / (1 - BETA)),
    ):
        f_0, f_1 = bea.modified_equation(maker(BETA), ABSTRACT, 2).terms
        for j, s in enumerate((A, B)):
            assert zero(f_0[j] + sp.diff(ABSTRACT.expression, s) / (1 - BETA))
            assert zero(f_1[j] + sp.diff(norm, s).doit() * k / (4 * (1 - BETA) ** 2))


@pytest.mark.parametrize("beta", [R(0), R(1, 2), R(9, 10), R(99, 100)])
@pytest.mark.parametrize("name", CHARACTERISTIC)
def test_memory_on_a_quadratic_is_the_slow_root(name, beta):
    oracle_slow_root(name, beta)


@pytest.mark.parametrize("method", NAIVE)
def test_three_terms_of_the_naive_engine(method):
    oracle_naive_engine(method)


def test_adam_is_the_papers_full_batch_formula_on_an_abstract_loss():
    oracle_adam_full_batch()


def test_adam_is_the_papers_full_batch_formula_on_the_books_losses():
    for loss in (bea.bilinear(), bea.rosenbrock(2), bea.quadratic([[2, 1], [1, 3]])):
        f_0, f_1 = bea.modified_equation(bea.adam(BETA, RHO, EPSILON), loss, order=2).terms
        numbers = {
            BETA: R(9, 10),
            RHO: R(3, 4),
            EPSILON: R(1, 7),
            loss.symbols[0]: R(3, 5),
            loss.symbols[1]: R(4, 3),
        }
        for j, (g, slope) in enumerate(zip(loss.gradient_expressions, perturbed_norm_gradient(loss, EPSILON))):
            c_beta, c_rho = (1 + BETA) / (1 - BETA), (1 + RHO) / (1 - RHO)
            wanted = -(c_beta - c_rho + c_rho * EPSILON / (g**2 + EPSILON)) * slope / sp.sqrt(g**2 + EPSILON) / 2
            assert abs(sp.N((f_1[j] - wanted).subs(numbers), 40)) < 1e-30
            assert abs(sp.N((f_0[j] + g / sp.sqrt(g**2 + EPSILON)).subs(numbers), 40)) < 1e-30


def test_adam_with_epsilon_outside_the_root():
    """f_1 = [(1+rho)/(1-rho) |g|/R - (1+beta)/(1-beta)] S/(2R), S_j = sum_i E_ij g_i/R_i, R = sqrt(g^2) + epsilon; abstract loss."""
    f_0, f_1 = bea.modified_equation(bea.adam(BETA, RHO, EPSILON, epsilon_inside=False), ABSTRACT, order=2).terms
    g = ABSTRACT.gradient_expressions
    r = [sp.sqrt(x**2) + EPSILON for x in g]
    for j in range(2):
        s = sum(ABSTRACT.hessian_expressions[i, j] * g[i] / r[i] for i in range(2))
        wanted = (
            ((1 + RHO) / (1 - RHO) * g[j] ** 2 / (sp.sqrt(g[j] ** 2) * r[j]) - (1 + BETA) / (1 - BETA)) * s / (2 * r[j])
        )
        assert zero(f_0[j] + g[j] / r[j]) and zero(f_1[j] - wanted)


def test_rmsprop_is_adam_with_beta_zero():
    for inside in (True, False):
        adam = bea.modified_equation(bea.adam(sp.Integer(0), RHO, EPSILON, epsilon_inside=inside), ABSTRACT, 2).terms
        rmsprop = bea.modified_equation(bea.rmsprop(RHO, EPSILON, epsilon_inside=inside), ABSTRACT, 2).terms
        assert all(zero(a - b) for x, y in zip(adam, rmsprop) for a, b in zip(x, y))
    points = np.random.default_rng(0).uniform(0.3, 1.5, (4, 2))
    for losses in (bea.bilinear(), bea.logistic_regression()):
        a = bea.modified_equation(bea.adam(0.0, 0.9, 0.1), losses, 5).coefficients(points)
        b = bea.modified_equation(bea.rmsprop(0.9, 0.1), losses, 5).coefficients(points)
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_signs_do_not_depend_on_bias_correction_in_steady_state():
    for maker in (
        lambda c: bea.adam(0.9, 0.95, 0.1, bias_correction=c),
        lambda c: bea.rmsprop(0.95, 0.1, bias_correction=c),
    ):
        a, b = (bea.modified_equation(maker(c), bea.bilinear(), 4).coefficients((0.9, 1.5)) for c in (True, False))
        assert np.array_equal(a, b)


# --- limits and consistency -----------------------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "gradient_descent": bea.gradient_descent(),
    "heavy_ball": bea.heavy_ball(0.6),
    "heavy_ball damped": bea.heavy_ball(0.6, damped=True),
    "nesterov": bea.nesterov(0.6),
    "rmsprop": bea.rmsprop(0.7, 0.05),
    "rmsprop outside": bea.rmsprop(0.7, 0.05, epsilon_inside=False, bias_correction=True),
    "adam": bea.adam(0.6, 0.7, 0.05),
    "adam outside": bea.adam(0.6, 0.7, 0.05, epsilon_inside=False),
    "adam not corrected": bea.adam(0.6, 0.7, 0.05, bias_correction=False),
}


@pytest.mark.parametrize("name", ["heavy_ball", "nesterov", "rmsprop outside", "adam", "adam outside"])
def test_many_points_are_points_one_by_one(name):
    """Also two points in two coordinates and two steps: axes must not be mistaken for each other."""
    for loss, count in (
        (bea.bilinear(), 2),
        (bea.rosenbrock(3), 1),
        (bea.logistic_regression(), 3),
    ):
        points = np.random.default_rng(2).uniform(0.4, 1.3, (count, 2))
        steady = bea.modified_equation(OPTIMIZERS[name], loss, 4)
        transient = bea.transient_equation(OPTIMIZERS[name], loss)
        together, memory = steady.coefficients(points), steady.memory(points, 0.1)
        assert together.shape == (4, count, 2) and steady.coefficients(points[0]).shape == (4, 2)
        field, pieces = (
            steady.field(0.1)(points),
            [transient.field(0.1, n)(points) for n in (0, 1, 4)],
        )
        assert field.shape == points.shape
        for i, point in enumerate(points):
            alone = steady.coefficients(point)
            np.testing.assert_allclose(together[:, i], alone, rtol=1e-9, atol=1e-12 * abs(alone).max())
            np.testing.assert_allclose(field[i], sum(0.1**k * f for k, f in enumerate(alone)), rtol=1e-9)
            for m, one in zip(memory, steady.memory(point, 0.1)):
                np.testing.assert_allclose(m[:, i], one, rtol=1e-9)
            for n, piece in zip((0, 1, 4), pieces):
                np.testing.assert_allclose(piece[i], transient.field(0.1, n)(point), rtol=1e-12)


def test_the_memory_of_many_points_is_that_of_each_alone():
    """Of programs that sum over all their numbers, and of averages that are numbers or have no batch."""

    @bea.optimizer
    def normalized(theta, gradient, memory, beta: bea.Decay):
        m = memory.average(gradient(theta), beta)
        return m / np.sum(m**2) ** 0.5

    @bea.optimizer
    def scaled(theta, gradient, memory, beta: bea.Decay):
        g = gradient(theta)
        return g / (1 + memory.average(np.sum(g**2), beta)) * np.sum(memory.average(np.array([1.0, 3.0]), beta))

    points, hs, betas = np.array([[0.9, 1.5], [0.5, 0.7], [1.0, -0.4]]), [0.1, 0.05, 0.02], [0.6, 0.5, 0.4]
    for made, n in product((normalized, scaled), (2, 3)):
        found = bea.modified_equation(made(betas[:n]), bea.bilinear(), 3).memory(points[:n], hs[:n])
        for i, (point, h, beta) in enumerate(zip(points[:n], hs[:n], betas[:n])):
            alone = bea.modified_equation(made(beta), bea.bilinear(), 3).memory(point, h)
            for m, one in zip(found, alone, strict=True):
                np.testing.assert_allclose(m[..., i], one, rtol=1e-12)
    with pytest.raises(ValueError, match="3 points and 2 configurations do not combine"):
        bea.modified_equation(normalized(betas), bea.bilinear(), 3).memory(points[0], hs[:2])


@pytest.mark.parametrize("count", [2, 3])
def test_many_configurations_are_configurations_one_by_one(count):
    """Arrays of beta, rho and epsilon; of rho alone; with one point or as many."""
    beta, rho, epsilon = (
        np.linspace(0, 0.9, count),
        np.linspace(0.5, 0.95, count),
        np.linspace(0.01, 1, count),
    )
    points = np.random.default_rng(3).uniform(0.4, 1.3, (count, 2))
    for losses, batches in (
        (bea.bilinear(), None),
        ([bea.bilinear(), bea.bilinear(1, 1)], (0, 1, 1, 0, 1)),
    ):
        for theta0 in (points, points[0]):
            for varied in (
                {"beta": beta, "rho": rho, "epsilon": epsilon},
                {"rho": rho},
                {"beta": beta},
            ):
                hyper = {"beta": 0.5, "rho": 0.8, "epsilon": 0.1, **varied}
                singles = [
                    {key: float(np.broadcast_to(value, count)[i]) for key, value in hyper.items()} for i in range(count)
                ]
                transient = bea.transient_equation(bea.adam(**hyper), losses, batches=batches)
                for i, single in enumerate(singles):
                    point = np.broadcast_to(theta0, (count, 2))[i]
                    alone = bea.transient_equation(bea.adam(**single), losses, batches=batches)
                    for n in (0, 2, 4):
                        np.testing.assert_allclose(
                            transient.field(0.1, n)(theta0)[i],
                            alone.field(0.1, n)(point),
                            rtol=1e-12,
                        )
                    if batches is None:
                        together = bea.modified_equation(bea.adam(**hyper), losses, 4).coefficients(theta0)
                        np.testing.assert_allclose(
                            together[:, i],
                            bea.modified_equation(bea.adam(**single), losses, 4).coefficients(point),
                            rtol=1e-9,
                        )


def watched(expression, symbols):
    """A loss, and the points at which its code was asked."""
    calls = []

    class Watched(bea.Loss):
        def gradient_code(self, theta):
            calls.append(theta)
            return super().gradient_code(theta)

    return Watched(expression, symbols), calls


@pytest.mark.parametrize("memory", ["forgotten", "kept"])
def test_a_field_asks_its_loss_a_few_times_only(memory):
    """Then all that it computes is one straight line of code."""
    a, b = sp.symbols("a b", real=True)
    expression, size = sp.Max(a * b, sp.exp(a)) + a**4 * b, 2 if memory == "forgotten" else 4
    loss, calls = watched(expression, (a, b))
    field = bea.modified_equation(bea.heavy_ball(0.5), loss, 2, memory).field(0.1)
    points = [np.full(size, x) for x in np.linspace(0.5, 1.3, 30)]
    first = [field(x) for x in points[:10]]
    several = len(calls)
    found = [*first, *(field(x) for x in points[10:])]
    assert 0 < len(calls) == several
    plain = bea.NumericLoss(2, None, bea.Loss(expression, (a, b)).gradient_code)
    slow = bea.modified_equation(bea.heavy_ball(0.5), plain, 2, memory).field(0.1)
    np.testing.assert_allclose(found, [slow(x) for x in points], rtol=1e-9)


def test_coefficients_and_field_by_turns_ask_the_loss_a_few_times_only():
    loss, calls = watched(A**4 * B + sp.exp(B), (A, B))
    equation = bea.modified_equation(bea.heavy_ball(0.5), loss, 2)
    field, asked = equation.field(0.1), []
    for x in np.linspace(0.5, 1.3, 10):
        terms = equation.coefficients([x, 1.0])
        np.testing.assert_allclose(field([x, 1.0]), terms[0] + 0.1 * terms[1], rtol=1e-12)
        asked.append(len(calls))
    assert 0 < asked[4] == asked[-1]


def test_a_field_reads_the_time_at_every_call():
    """A step that fades with the time, on a quadratic, exactly: at points, in the field, in a flow's own way to it and in coefficients."""

    @bea.optimizer
    def fading(theta, gradient, memory):
        return gradient(theta) / (1 + memory.time)

    rates, points = np.array([1.0, 3.0, 0.5]), np.array([[0.9, -1.5, 2.0], [0.4, 0.7, -1.0]])
    equation = bea.modified_equation(fading(), bea.quadratic(rates.tolist()), 1)
    field = equation.field(0.1)
    for time in np.linspace(0.0, 3.0, 8).tolist():
        wanted = -rates * points / (1 + time)
        for ask in (field, field.held(), lambda theta, time: equation.coefficients(theta, time)[0]):
            np.testing.assert_allclose(ask(points, time=time), wanted, rtol=1e-12)
            np.testing.assert_allclose(ask(points[0], time=time), wanted[0], rtol=1e-12)
    np.testing.assert_allclose(field(points[1]), -rates * points[1], rtol=1e-12)


@pytest.mark.parametrize(
    "loss", [bea.bilinear(), bea.NumericLoss(2, None, bea.bilinear().gradient_code)], ids=["x", "code"]
)
def test_a_field_takes_real_numbers_of_any_kind(loss):
    """Before and after it is traced."""
    field = bea.modified_equation(bea.gradient_descent(), loss, 2).field(0.1)
    for _ in range(5):
        for kind in (int, np.float16, np.float32, ">f8", np.uint8, object):
            found = field(np.array([1, 2], dtype=kind))
            assert found.dtype == np.dtype(float) and found.tolist() == field(np.array([1.0, 2.0])).tolist()
        for kind in (bool, complex, str):
            with pytest.raises(TypeError, match="must hold numbers"):
                field(np.array([1, 2], dtype=kind))


@pytest.mark.parametrize("count", range(1, 6))
@pytest.mark.parametrize("memory", ["forgotten", "kept"])
def test_a_kink_is_seen_at_every_call(memory, count):
    """Also where the field is one straight line of code by then; at the first kink as at the last."""
    a, b = sp.symbols("a b", real=True)
    kinks = [sp.Abs(a - 1) * b, sp.Max(a, b / 3), sp.Abs(b + 2) * b, sp.sign(a + 7) * b, sp.Min(a, 9) * b]
    places = [(1.0, 1.5), (0.5, 1.5), (2.0, -2.0), (-7.0, 1.5), (9.0, 1.5)]
    loss = bea.Loss(sum(kinks[:count]) + a**2, (a, b))
    field = bea.modified_equation(bea.heavy_ball(0.5), loss, 2, memory).field(0.1)
    rest = () if memory == "forgotten" else (0.25, 0.5)
    for x in np.linspace(2, 3, 10):
        assert np.isfinite(field(np.array([x, 1.5, *rest]))).all()
    for place in places[:count]:
        with pytest.raises(ValueError, match="kink"):
            field(np.array([*place, *rest]))


def test_a_step_size_for_each_point():
    equation = bea.modified_equation(OPTIMIZERS["adam"], bea.bilinear(), 3)
    points, sizes = np.random.default_rng(4).uniform(0.4, 1.3, (3, 2)), np.array([0.1, 0.2, 0.3])
    together = equation.field(sizes)(points)
    for i in range(3):
        np.testing.assert_allclose(together[i], equation.field(sizes[i])(points[i]), rtol=1e-12)


@pytest.mark.parametrize("name", ["gradient_descent", "heavy_ball", "nesterov", "adam", "adam outside"])
def test_symbolic_terms_and_numeric_coefficients_agree(name):
    optimizer, loss = OPTIMIZERS[name], bea.rosenbrock(3)
    order = 2 if "adam" in name else 3
    terms = bea.modified_equation(optimizer, loss, order).terms
    numbers = bea.modified_equation(optimizer, loss, order).coefficients((0.4, 0.7))
    here = dict(zip(loss.symbols, (0.4, 0.7)))
    np.testing.assert_allclose(np.array([f.subs(here).T.tolist()[0] for f in terms], dtype=float), numbers, rtol=1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_terms_are_the_factored_fraction_that_sympy_finds(seed):
    """Also where what is divided by is itself a quotient, and where coefficients are floats or roots."""
    rng, (x, y) = np.random.default_rng(seed), sp.symbols("x y")
    scale = (sp.Integer(1), sp.sqrt(2), sp.Float(0.5))[seed % 3]
    value = scale * x
    for a, b, c in rng.integers(1, 4, (2, 3)).tolist():
        value = (value + a * y) / (x - b * y + c / value) + scale / (1 - y) ** a
    assert program.tidy(value) == sp.factor(value)


def test_exact_points_give_exact_numbers():
    loss = bea.bilinear()
    for point in ((R(9, 10), R(3, 2)), [Fraction(9, 10), Fraction(3, 2)], (R(9, 10), 1)):
        for optimizer in (
            bea.gradient_descent(),
            bea.heavy_ball(R(1, 2)),
            bea.nesterov(Fraction(2, 3)),
            bea.adam(R(9, 10), R(19, 20), R(1, 100)),
        ):
            exact = bea.modified_equation(optimizer, loss, 3).coefficients(point)
            assert exact.dtype == object and not any(sp.sympify(x).has(sp.Float) for x in exact.ravel())
            floats = bea.modified_equation(optimizer.in_floats(), loss, 3).coefficients([float(x) for x in point])
            np.testing.assert_allclose(floats, np.array([[float(sp.N(x, 30)) for x in f] for f in exact]), rtol=1e-10)


def test_exact_hyperparameters_serve_in_numeric_calls():
    exact = bea.adam(R(9, 10), R(19, 20), R(1, 100))
    for equation in (
        lambda o: bea.modified_equation(o, bea.bilinear(), 3).field(0.1),
        lambda o: bea.transient_equation(o, bea.bilinear()).field(0.1, 3),
    ):
        found = equation(exact)([0.9, 1.5])
        assert found.dtype == float
        np.testing.assert_array_equal(found, equation(exact.in_floats())([0.9, 1.5]))


def test_the_memory_is_that_of_the_flow_before():
    """memory(theta, h) equals (1-decay) sum_i decay^i a(theta(-(i+1)h)) on the flow run backwards: error ratio near 2^5 for order 5, h halved."""
    optimizer, loss, theta = bea.adam(0.5, 0.6, 0.5), bea.bilinear(), np.array([0.9, 1.5])
    equation, misses = bea.modified_equation(optimizer, loss, 5), []
    for h in (0.02, 0.01):
        ages, field = np.arange(1, 61), equation.field(h)
        past = solve_ivp(
            lambda t, y, field=field: -field(y),
            (0, 60 * h),
            theta,
            method="DOP853",
            rtol=1e-12,
            atol=1e-13,
            t_eval=ages * h,
        ).y.T
        wanted = [
            sum((1 - d) * d ** (i - 1) * loss.gradient(y) ** power for i, y in zip(ages, past))
            for d, power in ((0.5, 1), (0.6, 2))
        ]
        misses.append(max(abs(np.array(m) - w).max() for m, w in zip(equation.memory(theta, h), wanted)))
    assert 20 < misses[0] / misses[1] < 48


def test_one_point_and_several_step_sizes():
    sizes, point = np.array([0.1, 0.5]), (0.9, 1.5)
    for order in (1, 3):
        equation = bea.modified_equation(OPTIMIZERS["adam"], bea.bilinear(), order)
        together, memory = equation.field(sizes)(point), equation.memory(point, sizes)
        for i, h in enumerate(sizes):
            np.testing.assert_allclose(together[i], equation.field(h)(point), rtol=1e-12)
            for found, alone in zip(memory, equation.memory(point, h), strict=True):
                np.testing.assert_allclose(found[:, i], alone, rtol=1e-12)


def test_one_step_size_for_a_field_by_pieces_or_with_the_memory_kept():
    for equation in (
        bea.transient_equation(bea.gradient_descent(), bea.bilinear()),
        bea.modified_equation(bea.gradient_descent(), bea.bilinear(), 2, memory="kept"),
    ):
        with pytest.raises(ValueError, match="takes one step size, not"):
            equation.field(np.array([0.1, 0.5]), 0)((0.9, 1.5))


# --- errors ---------------------------------------------------------------------------------------------------------------------------------

GD, ADAM, BILINEAR = bea.gradient_descent(), bea.adam(0.9, 0.95, 0.1), bea.bilinear()


@pytest.mark.parametrize("make", [bea.modified_equation, bea.transient_equation])
def test_orders_are_whole_and_positive(make):
    for order in (0, -1):
        with pytest.raises(ValueError, match=f"order, .* = {order} must be"):
            make(ADAM, BILINEAR, order=order)
    for order in (2.5, 2.0, True, "2", None, sp.Integer(2)):
        with pytest.raises(TypeError, match="order, .* must be a whole number"):
            make(ADAM, BILINEAR, order=order)
    assert make(ADAM, BILINEAR, order=np.int64(2)).order == 2


@pytest.mark.parametrize("make", [bea.modified_equation, bea.transient_equation])
def test_the_first_two_arguments_are_an_optimizer_and_a_loss(make):
    for wrong in ("adam", bea.adam, None, BILINEAR):
        with pytest.raises(TypeError, match="an optimizer such as"):
            make(wrong, BILINEAR, 2)
    for wrong in ("E", A**2, ADAM, None, [BILINEAR, None]):
        with pytest.raises(TypeError, match="a loss .* or a list of them is needed"):
            make(ADAM, wrong, 2)


@pytest.mark.parametrize(
    "make", [bea.modified_equation, partial(bea.modified_equation, memory="kept"), bea.transient_equation]
)
def test_equations_cannot_be_changed_after_their_terms_are_known(make):
    equation = make(ADAM, BILINEAR, 2)
    for name, value in [("order", 3), ("optimizer", GD)]:
        with pytest.raises(FrozenInstanceError):
            setattr(equation, name, value)


def test_step_sizes_are_positive_and_finite():
    steady, transient = (
        bea.modified_equation(ADAM, BILINEAR, 2),
        bea.transient_equation(ADAM, BILINEAR),
    )
    for ask in (
        steady.field,
        lambda h: transient.field(h, 0),
        lambda h: list(transient.pieces(h, 1)),
        lambda h: steady.memory((0.9, 1.5), h),
    ):
        for h in (0, -0.1, float("nan"), float("inf"), [0.1, -0.1], np.array([]), np.ones((2, 2))):
            with pytest.raises(ValueError, match="(?s)step size h .*"):
                ask(h)
        for h in ("0.1", True, 1j, STEP):
            with pytest.raises(TypeError, match="step size h = .* must be a .*number"):
                ask(h)


def test_points_are_checked():
    steady, transient = (
        bea.modified_equation(ADAM, BILINEAR, 2),
        bea.transient_equation(ADAM, BILINEAR),
    )
    for ask in (
        steady.coefficients,
        steady.field(0.1),
        transient.field(0.1, 1),
        lambda theta: steady.memory(theta, 0.1),
    ):
        for wrong in ([1.0], [1.0, 2.0, 3.0], 1.0, np.ones((2, 3))):
            with pytest.raises(ValueError, match="a point of shape"):
                ask(wrong)
        with pytest.raises(ValueError, match="must be finite"):
            ask([np.nan, 1.0])
        with pytest.raises(TypeError, match="must hold numbers"):
            ask(["x", "y"])
    for wrong in ((R(1, 2),), (R(1, 2), R(1, 2), R(1, 2))):
        with pytest.raises(ValueError, match="a point of shape"):
            steady.coefficients(wrong)


def test_symbols_have_no_numbers():
    symbolic = bea.adam(BETA, RHO, 0.1)
    for ask in (
        lambda: bea.modified_equation(symbolic, BILINEAR, 2).coefficients((0.9, 1.5)),
        lambda: bea.modified_equation(symbolic, BILINEAR, 2).field(0.1)((0.9, 1.5)),
        lambda: bea.transient_equation(symbolic, BILINEAR).field(0.1, 0)((0.9, 1.5)),
        lambda: bea.modified_equation(symbolic, BILINEAR, 2).memory((0.9, 1.5), 0.1),
    ):
        with pytest.raises(ValueError, match="holds the symbols beta, rho; give them numbers"):
            ask()
    with pytest.raises(ValueError, match="abstract function"):
        bea.modified_equation(ADAM, ABSTRACT, 2).coefficients((0.9, 1.5))


@pytest.mark.parametrize("bound", [2, sp.Symbol("c", positive=True)])
def test_terms_of_a_clipped_gradient_are_one_analysis_of_cases(bound):
    """All conditions are on the gradient itself; between the bounds the terms are those without them."""

    @bea.optimizer
    def clipped(theta, gradient, memory, c, beta):
        return memory.average(np.clip(gradient(theta), -c, c), beta)

    loss = bea.Loss(A**4 / 4, (A,))
    terms = bea.modified_equation(clipped(bound, BETA), loss, 3).terms
    free = bea.modified_equation(bea.heavy_ball(BETA, damped=True), loss, 3).terms
    for k, (term, other) in enumerate(zip(terms, free)):
        cases = {case for node in term.atoms(sp.Piecewise) for _, case in node.args}
        assert not any(case.has(sp.Piecewise, sp.ITE) for case in cases)
        for a, wanted in ((1, other[0].subs(A, 1)), (2, -2 if k == 0 else 0), (-2, 2 if k == 0 else 0)):
            assert sp.simplify(term[0].subs({A: a, bound: 2}) - wanted) == 0


def test_terms_need_symbols_and_one_configuration():
    coded = bea.logistic_regression()
    for ask in (
        lambda: bea.modified_equation(ADAM, coded, 2).terms,
        lambda: bea.transient_equation(ADAM, coded).terms(0),
    ):
        with pytest.raises(TypeError, match="symbolic terms need"):
            ask()
    many = bea.adam([0.1, 0.2], 0.9, 0.1)
    for ask in (
        lambda: bea.modified_equation(many, BILINEAR, 2).terms,
        lambda: bea.transient_equation(many, BILINEAR).terms(0),
    ):
        with pytest.raises(ValueError, match="holds arrays"):
            ask()


def test_points_and_configurations_must_fit():
    many = bea.adam([0.1, 0.2, 0.3], 0.9, 0.1)
    for ask in (
        bea.modified_equation(many, BILINEAR, 2).coefficients,
        bea.transient_equation(many, BILINEAR).field(0.1, 1),
    ):
        for count in (2, 4):
            with pytest.raises(ValueError, match=f"{count} points and 3 configurations do not combine"):
                ask(np.ones((count, 2)))


# --- mutants of the engine: the oracles see a wrong one -------------------------------------------------------------------------------------


def wrong_second_moment(monkeypatch):
    """mu_2 = beta/(1-beta)^2, the variance, instead of beta(1+beta)/(1-beta)^2."""
    right = program.age_moments
    monkeypatch.setattr(
        program,
        "age_moments",
        lambda decay, count: [m if r != 2 else decay / (1 - decay) ** 2 for r, m in enumerate(right(decay, count))],
    )


def wrong_first_moment(monkeypatch):
    """A lag of 1/(1-beta), as if the average did not hold the present gradient."""
    right = program.age_moments
    monkeypatch.setattr(
        program,
        "age_moments",
        lambda decay, count: [m if r != 1 else 1 / (1 - decay) for r, m in enumerate(right(decay, count))],
    )


def future_instead_of_past(monkeypatch):
    """s -> s + i instead of s - i."""
    right = program.age_moments
    monkeypatch.setattr(
        program,
        "age_moments",
        lambda decay, count: [(-1) ** r * m for r, m in enumerate(right(decay, count))],
    )


def other_bernoulli_number(monkeypatch):
    """B_1 = +1/2: sums that include the upper limit."""
    right = modified.antidifference

    def wrong(polynomial):
        p = right(polynomial)
        p[: len(polynomial)] = p[: len(polynomial)] + polynomial
        p[0] = p[0] * 0
        return p

    monkeypatch.setattr(modified, "antidifference", wrong)


def integral_instead_of_sum(monkeypatch):
    """The integral of the update: no discretization."""

    def wrong(polynomial):
        exact = polynomial.dtype == object
        return np.stack(
            [polynomial[0] * 0] + [c * R(1, j + 1) if exact else c / (j + 1) for j, c in enumerate(polynomial)]
        )

    monkeypatch.setattr(modified, "antidifference", wrong)


def power_without_its_second_order(monkeypatch):
    """Powers that are right to first order in h only."""
    right = Series.__pow__

    def wrong(self, exponent):
        result = right(self, exponent)
        if exponent not in (2, 1, 0):
            result.coefficients[2:] = result.coefficients[2:] * 0
        return result

    monkeypatch.setattr(Series, "__pow__", wrong)


def squares_without_their_factor_two(monkeypatch):
    """The square of a gradient with half its first-order term: a chain rule without the factor 2."""
    right = Series.__pow__

    def wrong(self, exponent):
        result = right(self, exponent)
        if exponent == 2 and result.terms > 1:
            result.coefficients[1] = result.coefficients[1] / 2
        return result

    monkeypatch.setattr(Series, "__pow__", wrong)


def time_that_stands_still(monkeypatch):
    """The value of the present step instead of the one before."""
    monkeypatch.setattr(program.Along, "previous", lambda self, x, start=0.0: self.series(x))


MUTANTS = [
    (wrong_second_moment, [oracle_heavy_ball, oracle_slow_root, oracle_naive_engine]),
    (
        wrong_first_moment,
        [oracle_heavy_ball, oracle_slow_root, oracle_naive_engine, oracle_adam_full_batch],
    ),
    (
        future_instead_of_past,
        [oracle_heavy_ball, oracle_slow_root, oracle_naive_engine, oracle_adam_full_batch],
    ),
    (
        other_bernoulli_number,
        [
            oracle_hlw_example_1,
            oracle_hlw_example_2,
            oracle_euler_b_series,
            oracle_naive_engine,
        ],
    ),
    (
        integral_instead_of_sum,
        [
            oracle_hlw_example_1,
            oracle_hlw_example_2,
            oracle_euler_b_series,
            oracle_slow_root,
        ],
    ),
    (power_without_its_second_order, [oracle_naive_engine]),
    (squares_without_their_factor_two, [oracle_naive_engine, oracle_adam_full_batch]),
    (time_that_stands_still, [lambda: oracle_naive_engine("lion")]),
]


@pytest.mark.parametrize("mutant, oracles", MUTANTS, ids=[mutant.__name__ for mutant, _ in MUTANTS])
def test_mutants_of_the_engine_are_caught(mutant, oracles, monkeypatch):
    """Every oracle listed passes on the engine as it is (above) and fails on the mutant."""
    naive_numbers("adam")
    mutant(monkeypatch)
    for oracle in oracles:
        with pytest.raises(AssertionError):
            oracle()


def weighted(m):
    return m


def test_a_program_may_begin_to_mix_columns(monkeypatch):
    """Between two calls of one field, by another helper."""

    @bea.optimizer
    def by_helper(theta, gradient, memory, beta):
        return weighted(memory.average(gradient(theta), beta))

    points = np.array([(0.9, 1.5), (2.0, 3.0), (0.7, 0.8)])
    field = bea.modified_equation(by_helper(0.5), bea.Loss(A**2 / 2 + B**2, (A, B)), 2).field(0.1)
    for _ in range(5):
        field(points)
    monkeypatch.setitem(globals(), "weighted", lambda m: m / np.sum(m * m) ** 0.5)
    np.testing.assert_allclose(field(points), [field(point) for point in points], rtol=1e-12)
