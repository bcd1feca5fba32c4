"""Losses: derivatives against mpmath and finite differences, batches against single points, real data
against scikit-learn, and every error in words."""

import pickle
import warnings

import mpmath
import numpy as np
import pytest
import sympy as sp
from scipy.special import erf
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import log_loss

import bea
from bea import Series
from bea.trace import Untraceable, trace

A, B, X = sp.symbols("a b x", real=True)
MATRIX = np.array([[1.0, 0.5], [-0.25, 2.0]])


def bowl_value(t):
    return np.log(np.cosh(MATRIX @ t)).sum(axis=0) + (t**4).sum(axis=0) / 4


def bowl_gradient(t):
    return MATRIX.T @ np.tanh(MATRIX @ t) + t**3


def numeric_bowl():
    """A loss by code that is not a quadratic, with tanh, a matrix and a power."""
    return bea.NumericLoss(2, bowl_value, bowl_gradient)


LOSSES = {
    "quadratic": bea.quadratic([[2, 1], [1, 3]]),
    "bilinear": bea.bilinear(),
    "rosenbrock": bea.rosenbrock(5),
    "transcendental": bea.Loss(sp.exp(-A) * sp.sin(B) + sp.tanh(A * B) + sp.log(1 + A**2) + sp.sqrt(1 + B**2), (A, B)),
    "absolute values": bea.Loss(
        sp.Abs(A - 2 * B) ** 3 + sp.sqrt((A * B) ** 2) ** 3 + sp.cosh(A) + sp.atan(A * B), (A, B)
    ),
    "one variable unused": bea.Loss(A**4 / 4, (A, B)),
    "logistic": bea.logistic_regression(),
    "logistic, some rows": bea.logistic_regression(columns=(3, 7), rows=slice(10, 60)),
    "code": numeric_bowl(),
    "mean": bea.mean([bea.quadratic([1, 2]), bea.quadratic([3, 5])]),
    "mean of code": bea.mean([numeric_bowl(), bea.logistic_regression(), bea.bilinear()]),
}
POINTS = np.random.default_rng(11).uniform(0.3, 1.4, (5, 2))


# --- derivatives ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_central_differences_of_the_value(name):
    loss, step = LOSSES[name], 1e-5
    for point in POINTS:
        differences = [
            (loss.value(point + step * unit) - loss.value(point - step * unit)) / (2 * step) for unit in np.eye(2)
        ]
        np.testing.assert_allclose(loss.gradient(point), differences, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_hessians_are_central_differences_of_the_gradient(name):
    loss, step = LOSSES[name], 1e-5
    for point in POINTS:
        pairs = [(loss.gradient(point + step * unit), loss.gradient(point - step * unit)) for unit in np.eye(2)]
        differences = np.stack([(right - left) / (2 * step) for right, left in pairs], axis=-1)
        hessian = loss.hessian(point)
        np.testing.assert_allclose(hessian, differences, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(hessian, hessian.T, rtol=1e-13, atol=1e-14)
        v = np.array([0.3, -1.7])
        np.testing.assert_allclose(loss.hessian_vector(point, v), hessian @ v, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", [k for k, loss in LOSSES.items() if isinstance(loss, bea.Loss)])
def test_expressions_and_numbers_agree(name):
    loss = LOSSES[name]
    gradient = [sp.diff(loss.expression, symbol) for symbol in loss.symbols]
    assert list(loss.gradient_expressions) == gradient
    assert loss.hessian_expressions == sp.hessian(loss.expression, loss.symbols)
    for point in POINTS:
        here = dict(zip(loss.symbols, map(sp.Float, point)))
        expected = float(loss.expression.subs(here))
        np.testing.assert_allclose(loss.value(point), expected, rtol=1e-13, atol=1e-14)
        expected = [float(g.subs(here)) for g in gradient]
        np.testing.assert_allclose(loss.gradient(point), expected, rtol=1e-12, atol=1e-13)
        expected = np.array(loss.hessian_expressions.subs(here), dtype=float)
        np.testing.assert_allclose(loss.hessian(point), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_is_its_points_one_by_one(name):
    """With as many points as coordinates among them, or axes could be mistaken for each other."""
    loss = LOSSES[name]
    directions = np.random.default_rng(12).normal(size=POINTS.shape)
    for points in (POINTS, POINTS[:2], POINTS[:1]):
        v = directions[: len(points)]
        assert loss.value(points).shape == (len(points),)
        assert loss.gradient(points).shape == points.shape
        assert loss.hessian(points).shape == (len(points), 2, 2)
        for i, point in enumerate(points):
            for together, alone in (
                (loss.value(points)[i], loss.value(point)),
                (loss.gradient(points)[i], loss.gradient(point)),
                (loss.hessian(points)[i], loss.hessian(point)),
                (loss.hessian_vector(points, v)[i], loss.hessian_vector(point, v[i])),
                (loss.hessian_vector(points, v[0])[i], loss.hessian_vector(point, v[0])),
            ):
                np.testing.assert_allclose(together, alone, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_run_on_series(name):
    """On theta + s h v: the gradient, the Hessian times v, and half the second difference."""
    loss = LOSSES[name]
    theta, v, zero, step = np.array([0.7, 1.1]), np.array([1.0, -0.5]), np.zeros(2), 1e-4
    line = Series.from_polynomials([[theta], [zero, v], [zero]])
    gradient = loss.gradient_code(line).coefficients
    np.testing.assert_allclose(gradient[0, 0], loss.gradient(theta), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(gradient[1, 1], loss.hessian_vector(theta, v), rtol=1e-12, atol=1e-14)
    ahead, here, behind = (loss.gradient(theta + side * step * v) for side in (1, 0, -1))
    second = (ahead - 2 * here + behind) / (2 * step**2)
    np.testing.assert_allclose(gradient[2, 2], second, rtol=1e-5, atol=1e-6)


def test_gradients_run_on_exact_series():
    point = np.array([sp.Rational(9, 10), sp.Rational(3, 2)], dtype=object)
    curve = [[point], [np.array([0, 0]), np.array([1, -2])]]
    loss = bea.bilinear()
    gradient = loss.gradient_code(Series.from_polynomials(curve)).coefficients
    here = dict(zip(loss.symbols, point))
    assert [g.subs(here) for g in loss.gradient_expressions] == gradient[0, 0].tolist()
    assert list(loss.hessian_expressions.subs(here) @ sp.Matrix([1, -2])) == gradient[1, 1].tolist()
    assert loss.gradient_code(point).tolist() == gradient[0, 0].tolist()
    bowl = bea.NumericLoss(2, None, lambda t: t**3)
    assert bowl.gradient_code(point).tolist() == [x**3 for x in point]


# --- every kind of function ----------------------------------------------------------------------

FUNCTIONS = {
    "piecewise": sp.Piecewise((A**2 / 2, sp.Abs(A) < 1), (sp.Abs(A) - sp.Rational(1, 2), True)) + B**2,
    "conditions": sp.Piecewise((A * B, (A > 0) & (B > 0)), (A**2, sp.Or(A < -1, B > 0)), (B, sp.Ne(A, 2))),
    "max and min": sp.Max(0, A * B, 1 - A) ** 2 + sp.Min(A, B) ** 3,
    "hinge": sp.Max(0, 1 - A * B) + sp.Abs(A) * sp.sign(B),
    "erf": A * (1 + sp.erf(A / sp.sqrt(2))) / 2 + sp.erfc(B) * A,
    "inverse": sp.asin(A / 3) + sp.acos(B / 3) + sp.asinh(A * B) + sp.acosh(3 + A * A) + sp.atanh(B / 4),
    "atan2": sp.atan2(A, B) ** 2,
    "powers": (A * A + 1) ** B + sp.Pow(2, A) + (1 + B * B) ** A + (A**2 + 2) ** sp.Rational(-3, 2) + A**-3,
    "lambert": sp.LambertW(1 + A**2) * B,
    "bessel": sp.besselj(0, A) + sp.besselj(1, B) * A + sp.airyai(A),
    "gamma": sp.gamma(1 + A * A) + sp.loggamma(2 + B * B) + sp.polygamma(1, 1 + A * A * B * B),
    "heaviside": sp.Heaviside(A) * A**2 + sp.sign(B) * B**2,
    "steps": sp.floor(3 * A) * A + sp.Mod(B, sp.Rational(1, 3)) ** 2 + sp.frac(2 * A) * B + sp.ceiling(B) * B,
    "integrals": sp.Si(A) + sp.Ci(1 + B * B) + sp.Ei(1 + A * A) + sp.fresnels(A) + sp.elliptic_k(A * A / 9),
    "beta": sp.beta(1 + A * A, 1 + B * B) + sp.uppergamma(2, 1 + A * A),
    "roots": sp.real_root(A, 3) + sp.cbrt(1 + B * B),
    "stable": sp.log(sp.cosh(A)) + 1 / sp.cosh(B) ** 2 + sp.log(1 + sp.exp(A - B)) / (1 + sp.exp(-B)),
}
UNTRACEABLE = {"lambert", "bessel", "gamma", "integrals", "beta"}
AROUND = np.array([[0.7, 1.1], [0.35, 0.62], [-0.8, 0.9], [0.45, -0.55], [-0.3, -1.3]])


def by_mpmath(expression):
    """The gradient with 40 digits, by a central difference."""
    function = sp.lambdify((A, B), expression, "mpmath")
    step = mpmath.mpf(10) ** -13

    def gradient(a, b):
        moved = [
            (function(a + i * step, b + j * step), function(a - i * step, b - j * step)) for i, j in ((1, 0), (0, 1))
        ]
        return np.array([mpmath.re(right - left) / (2 * step) for right, left in moved])

    return gradient


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_in_every_call(name):
    """Gradients, batches, two derivatives along a curve and traces, against 40 digits."""
    loss, oracle = bea.Loss(FUNCTIONS[name], (A, B)), by_mpmath(FUNCTIONS[name])
    gradient = loss.gradient(AROUND)
    with mpmath.workdps(40):
        expected = [oracle(*map(mpmath.mpf, point)).astype(float) for point in AROUND.tolist()]
        np.testing.assert_allclose(gradient, expected, rtol=1e-13, atol=1e-14)
        step = mpmath.mpf(10) ** -6
        bends = []
        for a, b in AROUND.tolist():
            here = [oracle(a + t * step + mpmath.mpf(0.3) * (t * step) ** 2, b - t * step / 2) for t in (-1, 0, 1)]
            first = (here[2] - here[0]) / (2 * step)
            bends.append([first, (here[2] - 2 * here[1] + here[0]) / (2 * step**2)])
        bends = np.array(bends).astype(float)
    theta, zero = AROUND.T, 0 * AROUND.T
    v, w = zero + [[1.0], [-0.5]], zero + [[0.3], [0.0]]
    curve = Series.from_polynomials([[theta], [zero, v], [zero, zero, w]])
    found = loss.gradient_code(curve).coefficients
    for k in (1, 2):
        np.testing.assert_allclose(found[k, k].T, bends[:, k - 1], rtol=2e-8, atol=2e-8)
    for point, alone in zip(AROUND, gradient):
        np.testing.assert_array_equal(loss.gradient(point), alone)
        assert loss.value(point) == loss.value(AROUND)[AROUND.tolist().index(point.tolist())]
    if name in UNTRACEABLE:
        with pytest.raises(Untraceable, match="no rule for traced numbers"):
            trace(lambda x: loss.gradient_code(x), {"x": (2,)})
        return
    straight = trace(lambda x: loss.gradient_code(x), {"x": (2,)})
    for point, alone in zip(AROUND, gradient):
        np.testing.assert_allclose(straight.on_floats(*point), alone, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("count", [1, 2, 49, 50])
@pytest.mark.parametrize("name", ["transcendental", "powers", "erf", "stable", "gamma"])
def test_bits_do_not_depend_on_the_batch(name, count):
    loss = LOSSES.get(name) or bea.Loss(FUNCTIONS[name], (A, B))
    points = np.random.default_rng(count).uniform(0.2, 1.5, (count, 2))
    for ask in (loss.gradient, loss.value):
        np.testing.assert_array_equal(ask(points), [ask(point) for point in points])
    ends = points[[0, -1]]
    np.testing.assert_array_equal(loss.hessian(points)[[0, -1]], [loss.hessian(p) for p in ends])


def test_small_powers_are_products_and_have_the_same_bits_on_every_machine():
    x = np.random.default_rng(0).uniform(0.5, 1.5, 50)
    square = x * x
    fourth = square * square
    for exponent, wanted in {2: square, 3: square * x, 4: fourth, 5: fourth * x, 8: fourth * fourth}.items():
        np.testing.assert_array_equal(bea.Loss(A**exponent, A).value(x[:, None]), wanted)


def test_sums_of_exponentials_do_not_overflow():
    """log(1 + e^x), log(e^x + e^y + 2), logistic functions and quotients at -800 and 800, without a warning."""
    ends = np.array([[800.0, -800.0], [-800.0, 800.0]])
    cases = [
        (3 * sp.log(1 + sp.exp(A)) + B, [2400.0 - 800, 800], [[3, 1], [0, 1]]),
        (sp.log(sp.exp(A) + 2 * sp.exp(B) + 1), [800, 800 + np.log(2)], [[1, 0], [0, 1]]),
        (sp.exp(A) / (1 + sp.exp(A)) + B, [-799.0, 800.0], [[0, 1], [0, 1]]),
        (1 / (1 + sp.exp(-A)) * B, [-800.0, 0.0], [[0, 1], [0, 0]]),
        (sp.log(1 / (1 + sp.exp(-A))) + B**2, [640000.0, 639200.0], [[0, -1600], [1, 1600]]),
        (sp.exp(A) / (1 + sp.exp(A)) ** 2 + B, [-800.0, 800.0], [[0, 1], [0, 1]]),
        (sp.log(sp.cosh(A)) + sp.tanh(B), [799 - np.log(2), 801 - np.log(2)], [[1, 0], [-1, 0]]),
        (sp.log((1 + sp.exp(A)) ** 3 + sp.sqrt(1 + sp.exp(B))), [2400.0, 400.0], [[3, 0], [0, 0.5]]),
        ((sp.exp(A) - sp.exp(B)) / (sp.exp(A) + sp.exp(B)), [1.0, -1.0], [[0, 0], [0, 0]]),
        (A * (2 * sp.exp(A) - 1) / (1 + sp.exp(A)) + B, [800.0, 1600.0], [[2, 1], [-1, 1]]),
    ]
    for expression, values, gradients in cases:
        loss = bea.Loss(expression, (A, B))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_allclose(loss.value(ends), values, rtol=1e-14)
            np.testing.assert_allclose(loss.gradient(ends), gradients, rtol=1e-13, atol=1e-300)
            line = Series.from_polynomials([[ends.T], [0 * ends, 1 + 0 * ends], [0 * ends]])
            assert np.isfinite(loss.gradient_code(line).coefficients).all()
            assert np.isfinite(loss.hessian(ends)).all()
        assert loss.expression == expression  # the user's own
        assert loss.gradient_expressions[0] == sp.diff(expression, A)


def test_a_softplus_has_all_its_digits():
    loss = bea.Loss(sp.log(1 + sp.exp(A)), A)
    with mpmath.workdps(60):
        for x in (-745.0, -40.0, -1.3, 0.0, 2.0, 36.0, 700.0):
            u = mpmath.mpf(x)
            value, slope = mpmath.log(1 + mpmath.exp(u)), 1 / (1 + mpmath.exp(-u))
            np.testing.assert_allclose(loss.value([x]), float(value), rtol=1e-15, atol=5e-324)
            np.testing.assert_allclose(loss.gradient([x])[0], float(slope), rtol=1e-15, atol=5e-324)
            bend = slope * (1 - slope)
            np.testing.assert_allclose(loss.hessian([x])[0, 0], float(bend), rtol=1e-14, atol=1e-16)


def test_branches_that_are_not_taken_do_not_warn():
    loss = bea.Loss(sp.Piecewise((sp.log(A), A > 1), (sp.sqrt(4 - A), True)) + B / (1 + A), (A, B))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(loss.gradient([[-3.0, 1.0], [5.0, 1.0], [0.0, 1.0]])).all()
        assert np.isfinite(loss.hessian([[-3.0, 1.0], [5.0, 1.0]])).all()


def test_a_piecewise_without_a_case_is_not_a_number():
    assert np.isnan(bea.Loss(sp.Piecewise((A**2, A > 0)), A).gradient([-1.0])).all()


def test_many_coordinates_and_deep_nests():
    x = sp.symbols("x:100", real=True)
    chain = sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(99))
    point = np.linspace(-1, 1, 100)
    t, u = point[:-1], point[1:]
    expected = np.append(-400 * t * (u - t**2) - 2 * (1 - t), 0.0) + np.append(0.0, 200 * (u - t**2))
    np.testing.assert_allclose(bea.Loss(chain, x).gradient(point), expected, rtol=1e-12, atol=1e-12)
    nest, value, slope = A, 0.5, 1.0
    for _ in range(60):
        nest, value, slope = sp.sin(nest), np.sin(value), slope * np.cos(value)
    loss = bea.Loss(nest, A)
    np.testing.assert_allclose((loss.value([0.5]), loss.gradient([0.5])[0]), (value, slope), rtol=1e-13)
    assert np.isfinite(loss.hessian([0.5]))


@pytest.mark.parametrize("names", [("lambda", "if"), (r"\theta", "x y"), ("θ", "t0"), ("h", "v1"), ("sin", "where")])
def test_any_name_of_a_symbol_works(names):
    first, second = map(sp.Symbol, names)
    loss = bea.Loss(first**2 * second + sp.sin(first), (first, second))
    np.testing.assert_allclose(loss.gradient([0.5, 2.0]), [2 + np.cos(0.5), 0.25])


def test_symbols_of_the_same_name_are_different():
    for first, second in (
        (sp.Dummy("x"), sp.Dummy("x")),
        (sp.Symbol("x"), sp.Symbol("x", real=True)),
    ):
        loss = bea.Loss(first**2 + 3 * second, (first, second))
        assert loss.gradient([2.0, 1.0]).tolist() == [4.0, 3.0]


def test_sums_and_integrals_are_evaluated_or_refused():
    k = sp.Symbol("k", integer=True)
    loss = bea.Loss(sp.Sum(A**k, (k, 1, 3)) + sp.Integral(X * A, (X, 0, 2)), A)
    np.testing.assert_allclose(loss.gradient([2.0]), [1 + 4 + 12 + 2])
    for left in (
        sp.Integral(sp.sin(sp.sin(X * A)), (X, 0, 1)),
        sp.Product(1 + sp.sin(A**k), (k, 1, sp.oo)),
    ):
        with pytest.raises(ValueError, match="does not evaluate, so it has no numbers"):
            bea.Loss(left, A).gradient([1.0])


def test_integrals_that_evaluate_for_real_numbers_do_so_for_any_symbol():
    """SymPy's value holds conditions such as x < oo unless the symbol is declared real."""
    k = sp.Symbol("k")
    for x in (sp.Symbol("x"), sp.Symbol("x", real=True)):
        loss = bea.Loss(sp.Integral(sp.exp(-(k**2) * x), (k, 0, 1)), x)
        value = np.sqrt(np.pi / 2.8) * erf(np.sqrt(0.7))
        np.testing.assert_allclose(loss.value([0.7]), value, rtol=1e-14)
        np.testing.assert_allclose(loss.gradient([0.7]), [(np.exp(-0.7) - value) / 1.4], rtol=1e-13)
        wave = bea.Loss(sp.Integral(sp.cos(k * x), (k, 0, A)), (x, A))
        np.testing.assert_allclose(wave.value([0.5, 0.3]), np.sin(0.15) / 0.5, rtol=1e-14)
        with pytest.raises(ValueError, match="does not evaluate.*declare.*positive=True"):
            bea.Loss(sp.Integral(sp.exp(-k * x), (k, 0, sp.oo)), x).value([0.7])
    positive = sp.Symbol("x", positive=True)
    assert bea.Loss(sp.Integral(sp.exp(-k * positive), (k, 0, sp.oo)), positive).value([0.5]) == 2.0


# --- equality, pickling --------------------------------------------------------------------------


def test_losses_are_equal_by_value_and_pickle():
    """Before and after use; compiled code stays behind."""
    first, second = (bea.Loss(sp.exp(A) * B, (A, B)) for _ in range(2))
    assert first == second and hash(first) == hash(second) and len({first, second}) == 1
    assert first != bea.Loss(sp.exp(A) * B, (B, A)) != bea.quadratic([1, 2])
    field = bea.VectorField((B, -A), (A, B))
    assert field == bea.VectorField([B, -A], [A, B]) != bea.VectorField((B, A), (A, B))
    coded = numeric_bowl()
    assert coded == numeric_bowl() and hash(coded) == hash(numeric_bowl())
    two, three = bea.NumericLoss(2, None, np.sin), bea.NumericLoss(3, None, np.sin)
    assert two != three != two != bea.NumericLoss(2, None, np.cos)
    for loss in (first, field, coded, bea.logistic_regression(), LOSSES["mean of code"]):
        before = pickle.loads(pickle.dumps(loss)).gradient(POINTS)
        np.testing.assert_array_equal(before, loss.gradient(POINTS))
        loss.hessian(POINTS)
        copy = pickle.loads(pickle.dumps(loss))
        np.testing.assert_array_equal(copy.gradient(POINTS), before)
        if isinstance(loss, (bea.Loss, bea.VectorField)):
            assert copy == loss


# --- losses by code ------------------------------------------------------------------------------


class Counted:
    """A gradient that counts its calls; it does not run on a Series unless `plain`."""

    def __init__(self, function=bowl_gradient, plain=False):
        self.function, self.plain, self.calls = function, plain, 0

    def __call__(self, theta, *others):
        if not self.plain and not isinstance(theta, np.ndarray):
            raise AttributeError("no such thing on a Series")
        self.calls += 1
        return self.function(theta, *others)


def two_terms(theta, v):
    return Series.from_polynomials([[theta], [0 * theta, v]])


def test_two_terms_cost_one_gradient_and_one_product():
    """A field of two terms asks at one term, then at two with the same leading coefficient."""
    exact = numeric_bowl()
    gradient, product = Counted(), Counted(lambda t, v: exact.product_code(t, v))
    loss = bea.NumericLoss(2, None, gradient, product)
    theta, v = np.array([0.7, 1.1]), np.array([1.0, -0.5])
    loss.hessian_vector(theta, v)  # the first is compared with differences of the gradient
    assert (gradient.calls, product.calls) == (6, 2)
    gradient.calls = product.calls = 0
    loss.gradient_code(Series.from_polynomials([[theta]]))
    found = loss.gradient_code(two_terms(theta.copy(), v)).coefficients
    assert (gradient.calls, product.calls) == (1, 1)
    expected = exact.gradient_code(two_terms(theta, v)).coefficients
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    gradient = Counted()
    loss = bea.NumericLoss(2, None, gradient)
    loss.hessian_vector(theta, v)
    assert gradient.calls == 5  # two of them at one point
    gradient.calls = 0
    loss.gradient_code(Series.from_polynomials([[theta]]))
    found = loss.gradient_code(two_terms(theta, v)).coefficients
    assert gradient.calls == 3
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_changed_data_are_noticed():
    """A remembered gradient serves the next longer Series, not the next question."""
    data = {"scale": 1.0}
    loss = bea.NumericLoss(2, None, lambda t: data["scale"] * t, lambda t, v: data["scale"] * v)
    theta = np.array([1.0, 2.0])
    for scale in (1.0, 3.0):
        data["scale"] = scale
        for line in (Series.from_polynomials([[theta]]), two_terms(theta, theta)):
            assert loss.gradient_code(line).leading.tolist() == [scale, 2 * scale]


def test_code_that_does_not_take_a_series_has_two_terms():
    """By central differences: three gradients, about ten digits."""

    def real(theta):
        return bowl_gradient(theta).astype(float) if theta.dtype == float else np.abs(theta)

    gradient = Counted(real)
    loss, theta, v = bea.NumericLoss(2, None, gradient), np.array([0.7, 1.1]), np.array([1.0, -0.5])
    loss.hessian_vector(theta, v)
    gradient.calls = 0
    found = loss.gradient_code(two_terms(theta, v)).coefficients
    assert gradient.calls <= 3
    np.testing.assert_allclose(found[1, 1], numeric_bowl().hessian_vector(theta, v), rtol=1e-9)
    with pytest.raises(TypeError, match=r"does not run on a Series .* bea.from_jax, .* bea.black_box"):
        loss.gradient_code(Series.from_polynomials([[theta], [theta], [theta]]))


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3, 1e6])
def test_differences_are_taken_on_the_scale_of_the_point(size):
    """Of code for arrays alone, nine digits of the Hessian at points of any size and for directions of any length."""
    loss = bea.NumericLoss(2, None, Counted(lambda t: t**2 + 3 * t[::-1]))
    point = size * np.array([0.7, -1.1])
    for length in (1e-3, 1.0, 1e3):
        v = length * np.array([1.0, -0.5])
        np.testing.assert_allclose(loss.hessian_vector(point, v), 2 * point * v + 3 * v[::-1], rtol=2e-9)


def test_a_gradient_that_is_not_analytic_has_all_its_digits():
    loss = bea.NumericLoss(1, None, lambda t: np.abs(t) * t + t)
    for x in (-1.5, 2.0):
        np.testing.assert_allclose(loss.hessian([x]), [[2 * abs(x) + 1]], rtol=1e-14)


def test_natural_code_runs_on_a_series():
    """np.array-free ways to assemble a gradient, and the Hessian-vector product given, agree."""
    ways = [
        lambda t: np.stack([t[0] ** 3, np.sin(t[1])]),
        lambda t: [t[0] ** 3, np.sin(t[1])],
        lambda t: np.concatenate([t[:1] ** 3, np.sin(t[1:])]),
    ]
    theta = np.array([0.7, 1.1])
    curve = Series.from_polynomials([[theta], [0 * theta, theta], [0 * theta, theta, theta]])
    expected = bea.Loss(A**4 / 4 - sp.cos(B), (A, B)).gradient_code(curve).coefficients
    for way in ways:
        found = bea.NumericLoss(2, None, way).gradient_code(curve).coefficients
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)


def test_a_gradient_may_be_changed_in_place_also_where_it_is_the_point():
    theta, v = np.array([0.7, 1.1]), np.array([1.0, -0.5])
    line = two_terms(theta, v)
    found = bea.NumericLoss(2, None, lambda t: t).gradient_code(line)
    found *= 3
    np.testing.assert_array_equal(found.coefficients, 3 * two_terms(theta, v).coefficients)
    np.testing.assert_array_equal(line.coefficients, two_terms(theta, v).coefficients)


def test_code_can_be_traced_or_says_so():
    loss = numeric_bowl()
    straight = trace(lambda x: loss.gradient_code(x), {"x": (2,)})
    np.testing.assert_allclose(straight.on_floats(0.3, 0.4), loss.gradient([0.3, 0.4]), rtol=1e-15)
    for code in (lambda t: t if t[0] > 0 else -t, lambda t: np.linalg.inv(t), lambda t: t[:1]):
        other = bea.NumericLoss(2, None, code)
        with pytest.raises((Untraceable, ValueError)):  # its own error, or that of a wrong shape
            trace(lambda x, other=other: other.gradient_code(x), {"x": (2,)})


ONE_POINT = {
    "only one point": lambda t: np.array([float(t[0]) ** 3, float(t[1])]),
    "a sum over everything": lambda t: t * np.sum(t**2),
    "a norm over everything": lambda t: t / np.linalg.norm(t),
    "a mean over everything": lambda t: t - np.mean(t),
    "a matrix on the wrong side": lambda t: t @ np.array([[1.0, 2.0], [3.0, 4.0]]),
    "flattened": lambda t: np.ravel(t)[:2] ** 2,
    "twice as much": lambda t: t * t.ndim,
    "a little different": lambda t: t * (1 + 1e-3 * (t.ndim - 1)),
    "a little different and small": lambda t: 1e-3 * t * (1 + 1e-3 * (t.ndim - 1)),
    "a little different and large": lambda t: 1e3 * t * (1 + 1e-3 * (t.ndim - 1)),
}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ONE_POINT)
def test_code_for_one_point_serves_a_batch(name, count):
    """Also where the batched call gives the right shape, but other numbers."""
    code = ONE_POINT[name]
    loss = bea.NumericLoss(2, lambda t: np.sum(t**2), code)
    equal = np.ones((count, 2)) * [0.4, 0.9]
    for points in (equal, POINTS[:count], POINTS[:count] + 1):
        np.testing.assert_allclose(loss.gradient(points), [code(p) for p in points], rtol=1e-12)
        np.testing.assert_allclose(loss.value(points), (points**2).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("dimension", [1, 2])
def test_a_batch_is_compared_with_single_points_once(dimension):
    gradient, points = Counted(lambda t: t**3), POINTS[:, :dimension]
    loss = bea.NumericLoss(dimension, None, gradient)
    with np.errstate(all="raise"):
        loss.gradient(points)
        assert gradient.calls == 12
        loss.gradient(points + 1)
    assert gradient.calls == 13


def test_single_precision_is_converted_with_one_warning():
    loss = bea.NumericLoss(2, None, lambda t: np.float32(2) * t.astype(np.float32))
    with pytest.warns(UserWarning, match="returned float32; results are converted to double") as seen:
        first = loss.gradient([0.3, 0.4])
        loss.gradient([0.5, 0.4])
    assert first.dtype == np.float64 and len(seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(loss.hessian([0.3, 0.4]), 2 * np.eye(2), atol=1e-4)


def test_wider_floats_than_double_lose_nothing_and_are_not_warned_of():
    loss = bea.NumericLoss(2, None, lambda t: 2 * t.astype(np.longdouble))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss.gradient([0.3, 0.4]).tolist() == [0.6, 0.8]


@pytest.mark.parametrize(
    "code, error, message",
    [
        (lambda t: None, TypeError, "function for the gradient returned None"),
        (lambda t: t + 1j, TypeError, "returned complex128; it must return real numbers"),
        (lambda t: "ab", TypeError, "it must return real numbers"),
        (
            lambda t: t.sum(axis=0),
            ValueError,
            r"shape \(\) for theta of shape \(2,\); it must return \(2,\)",
        ),
        (lambda t: t[:1], ValueError, r"returned the shape \(1,\)"),
    ],
)
def test_what_a_gradient_returns_is_checked(code, error, message):
    loss = bea.NumericLoss(2, np.sum, code)
    for point in ([1.0, 1.0], [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]):
        with pytest.raises(error, match=message):
            loss.gradient(point)


def derivatives_of(loss, point):
    """Every way to ask for derivatives of a loss."""
    equation, first = (
        make(bea.gradient_descent(), loss, 2) for make in (bea.modified_equation, bea.transient_equation)
    )
    batch = np.tile(point, (3, 1))
    return [
        lambda: loss.hessian(point),
        lambda: loss.hessian_vector(batch, point),
        lambda: equation.coefficients(point),
        lambda: equation.field(0.1)(batch),
        lambda: first.field(0.1, 3)(point),
    ]


@pytest.mark.parametrize("product", [lambda t, v: 99 * v, lambda t, v: 2.1 * t * v, lambda t, v: 0 * v])
def test_a_product_of_another_hessian_is_refused(product):
    """In every call, also after the first one was refused; 5% more is seen."""
    for point in ([1.0, 2.0], [1e-6, 2e-6], [0.0, 3e5]):
        for ask in derivatives_of(bea.NumericLoss(2, None, lambda t: t**2, product), np.array(point)):
            for _ in range(2):
                with pytest.raises(
                    ValueError, match=r"hessian_vector.*does not belong.*bea.black_box\(loss.gradient_code"
                ):
                    ask()


def test_a_gradient_that_is_random_or_keeps_state_has_no_derivatives():
    rng, calls = np.random.default_rng(0), iter(range(1, 10**6))
    codes = [lambda t: t + 1e-3 * rng.normal(size=t.shape), lambda t: t * next(calls)]
    for code in codes:
        for make in (lambda f: bea.NumericLoss(2, None, f), lambda f: bea.black_box(f, 2)):
            for ask in derivatives_of(make(code), np.array([1.0, 2.0])):
                for _ in range(2):
                    with pytest.raises(ValueError, match="two values at one point.*random or keeps state"):
                        ask()


def softened(t):
    """One gradient of many scales: steep, periodic, and smooth only within 1e-12 of 0."""
    return np.stack(
        [np.sin(1e7 * t[0]), t[1] ** 3 / (t[0] ** 2 + t[1] ** 2 + 1e-24), t[2] / np.sqrt(t[2] ** 2 + 1e-24)]
    )


RIGHT = {
    "kinks": (3, np.abs, lambda t, v: np.sign(t) * v),
    "kinks, of the other side": (3, lambda t: np.maximum(t, 0), lambda t, v: (t >= 0) * v),
    "jumps": (3, np.sign, lambda t, v: 0 * v),
    "poles": (3, lambda t: 1 / t, lambda t, v: -v / t**2),
    "roots": (3, lambda t: np.sqrt(t), lambda t, v: 0.5 * v / np.sqrt(t)),
    "constant": (3, lambda t: 1 + 0 * t, lambda t, v: 1e-13 * v),
    "waves": (1, lambda t: np.sin(1e9 * t), lambda t, v: 1e9 * np.cos(1e9 * t) * v),
    "single precision inside": (3, lambda t: np.float32(t) ** 3 + 0.0 * t, lambda t, v: 3 * t**2 * v),
    "overflow": (3, np.exp, lambda t, v: np.exp(t) * v),
    "no numbers": (3, lambda t: t + np.nan, lambda t, v: v),
    "a narrow valley": (3, lambda t: t + 1e8 * t[::-1].sum(axis=0), lambda t, v: v + 1e8 * v.sum(axis=0)),
    "many scales": (3, softened, lambda t, v: bea.NumericLoss(3, None, softened).product_code(t, v)),
    "bounded": (3, lambda t: np.exp(-1e4 * t * t) * t, lambda t, v: np.exp(-1e4 * t * t) * (1 - 2e4 * t * t) * v),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RIGHT)
def test_no_right_product_is_refused(name):
    """At kinks, jumps and poles, and where the gradient changes within less than any step."""
    dimension, code, product = RIGHT[name]
    rng = np.random.default_rng(1)
    points = [rng.normal(size=dimension) * size for size in (1e-9, 1e-3, 1.0, 1.0, 1.0, 1e3, 1e9)]
    for point in (np.zeros(dimension), np.ones(dimension), -np.ones(dimension), np.arange(dimension) / 2, *points):
        bea.NumericLoss(dimension, None, code, product).hessian_vector(point, np.ones(dimension))


def test_waves_shorter_than_the_steps_are_not_refused_by_chance():
    """Differences of one point agree by chance for one wave in a thousand, of three points for one in a billion."""
    for shift in np.random.default_rng(0).uniform(1.0, 2.0, 2000):
        wave = bea.NumericLoss(1, None, lambda t: np.sin(1e5 * t), lambda t, v: 1e5 * np.cos(1e5 * t) * v)
        wave.hessian([shift])


def test_losses_by_code_are_checked():
    for dimension, error in (
        (0, ValueError),
        (-1, ValueError),
        (2.0, TypeError),
        (True, TypeError),
    ):
        with pytest.raises(error, match="dimension"):
            bea.NumericLoss(dimension, np.sum, np.sin)
    for functions in ((1.0, np.sin), (np.sum, 1.0), (np.sum, np.sin, 1.0), (np.sum, None)):
        with pytest.raises(TypeError, match="must be a function"):
            bea.NumericLoss(2, *functions)
    with pytest.raises(TypeError, match="without a function for its value"):
        bea.NumericLoss(2, None, np.sin).value([1.0, 2.0])


# --- the book's losses --------------------------------------------------------------------------------------------------------


def test_quadratics():
    assert bea.quadratic([1, 9]).hessian([0.3, 0.4]).tolist() == [[1.0, 0.0], [0.0, 9.0]]
    with np.errstate(all="raise"):
        assert bea.quadratic([1, 9]).hessian([0.0, 0.0]).tolist() == [[1.0, 0.0], [0.0, 9.0]]
    assert bea.quadratic([[2, 1], [1, 3]]).hessian([0.3, 0.4]).tolist() == [[2.0, 1.0], [1.0, 3.0]]
    lam = sp.Symbol("lambda")
    loss = bea.quadratic([lam])
    assert loss.parameters == (lam,) and loss.expression == lam * loss.symbols[0] ** 2 / 2
    for wrong in ([[1, 2], [3, 4]], [[1, 2, 3], [2, 1, 0]], [[1, 2], [2, 1], [0, 0]], [[1, 2]], [], np.ones((2, 2, 2))):
        with pytest.raises(ValueError, match="square symmetric matrix"):
            bea.quadratic(wrong)
    with pytest.raises(TypeError, match="must be a real number"):
        bea.quadratic([[1, 2], [3]])
    with pytest.raises(ValueError, match="an entry = nan must be real and finite"):
        bea.quadratic([float("nan"), 1.0])


def test_bilinear_is_barrett_and_dherins():
    loss = bea.bilinear()
    assert np.isclose(loss.value([2.8, 3.5]), 0.5 * (1.5 - 2 * 2.8 * 3.5) ** 2)
    assert loss.value([0.5, 1.5]) == 0
    assert all(symbol.is_real for symbol in (*loss.symbols, *bea.rosenbrock().symbols))
    c, k = sp.symbols("c k")
    assert set(bea.bilinear(c, k).parameters) == {c, k}
    np.testing.assert_allclose(
        bea.bilinear(0.3, 0.7).value(POINTS), 0.5 * (0.3 - 0.7 * POINTS[:, 0] * POINTS[:, 1]) ** 2
    )


def test_rosenbrock():
    for steepness in (100, 2.5):
        x, y = POINTS.T
        np.testing.assert_allclose(bea.rosenbrock(steepness).value(POINTS), (1 - x) ** 2 + steepness * (y - x**2) ** 2)
    s = sp.Symbol("s")
    assert bea.rosenbrock(s).parameters == (s,)


@pytest.mark.parametrize(
    "columns, rows",
    [((0, 1), slice(None)), ((2, 5, 20), slice(0, 100)), ((4,), np.array([3, 5, 500, 7]))],
)
def test_logistic_regression_is_scikit_learns_log_loss(columns, rows):
    """At five random points, to 1e-12; with scikit-learn's own standardization done by hand over all rows."""
    data = load_breast_cancer()
    features = data.data[:, columns]
    features = ((features - features.mean(axis=0)) / features.std(axis=0))[rows]
    loss = bea.logistic_regression(columns, rows)
    for theta in np.random.default_rng(5).normal(size=(5, len(columns))):
        probability = 1 / (1 + np.exp(-(features @ theta)))
        assert np.isclose(loss.value(theta), log_loss(data.target[rows], probability, labels=[0, 1]), rtol=1e-12)


def test_disjoint_minibatches_average_to_the_full_batch():
    """Eight of 71 rows each: equal sizes, or the mean would be another loss."""
    parts = [bea.logistic_regression(rows=slice(71 * k, 71 * (k + 1))) for k in range(8)]
    full, average = bea.logistic_regression(rows=slice(568)), bea.mean(parts)
    np.testing.assert_allclose(average.value(POINTS[0]), full.value(POINTS[0]), rtol=1e-12)
    np.testing.assert_allclose(average.gradient(POINTS), full.gradient(POINTS), rtol=1e-11)


def test_logistic_regression_says_how_data_are_given():
    data, labels = np.eye(3), [0, 1, 1]
    with pytest.raises(TypeError, match="^columns are .*; give them as features=, labels=$"):
        bea.logistic_regression(data, labels)
    with pytest.raises(TypeError, match="without labels; give labels="):
        bea.logistic_regression(features=data)
    with pytest.raises(TypeError, match="without features; give features="):
        bea.logistic_regression(labels=labels)
    with pytest.raises(ValueError, match="data.csv.*holds the labels in its last column.*leave out labels="):
        bea.logistic_regression(features="data.csv", labels=labels)


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, 1e-9, -1e6 / 3, 1e300])
def test_a_constant_feature_is_refused_whatever_its_rounding(constant):
    """Its standard deviation is not always 0; a feature that changes in its tenth digit is none."""
    rng = np.random.default_rng(0)
    for count in (20, 37, 1000):
        varied, labels = rng.normal(size=(count, 2)), np.arange(count) % 2
        for last in (np.full(count, constant), constant * (1 + 1e-15 * rng.normal(size=count))):
            with pytest.raises(ValueError, match="no feature may be constant"):
                bea.logistic_regression(features=np.c_[varied, last], labels=labels)
    if 0 < abs(constant) < 1e300:
        nearly = constant * (1 + 1e-10 * np.arange(count))
        loss = bea.logistic_regression(features=np.c_[varied, nearly], labels=labels)
        np.testing.assert_allclose(loss.hessian(np.zeros(3))[2, 2], 0.25, rtol=1e-4)
    assert bea.logistic_regression(features=np.c_[varied, np.ones(count)], labels=labels, standardize=False)


def test_logistic_regression_far_out_neither_overflows_nor_warns():
    with np.errstate(all="raise", under="ignore"):
        loss = bea.logistic_regression()
        assert np.isfinite(loss.value([1e3, -1e3])) and np.all(np.isfinite(loss.gradient([[1e3, 1e3], [-1e3, 1e3]])))


def test_mean():
    first, second = bea.Loss(A**2 + B, (A, B)), bea.Loss(3 * B**2, (A, B))
    assert sp.expand(bea.mean([first, second]).expression - (A**2 + B + 3 * B**2) / 2) == 0
    lam = sp.Symbol("lambda")
    assert bea.mean([bea.quadratic([lam]), bea.quadratic([1])]).parameters == (lam,)
    assert bea.mean([second]).expression == 3 * B**2  # of one
    coded = LOSSES["mean of code"]
    np.testing.assert_allclose(
        coded.value(POINTS),
        sum(x.value(POINTS) for x in (numeric_bowl(), bea.logistic_regression(), bea.bilinear())) / 3,
    )


def test_vector_fields():
    field = bea.VectorField((A * (B - 1), B * (2 - A)), (A, B))
    np.testing.assert_allclose(
        field.gradient(POINTS),
        -np.stack([POINTS[:, 0] * (POINTS[:, 1] - 1), POINTS[:, 1] * (2 - POINTS[:, 0])], axis=-1),
    )
    np.testing.assert_allclose(field.hessian([0.5, 0.7]), -np.array([[-0.3, 0.5], [-0.7, 1.5]]), rtol=1e-13)
    with pytest.raises(TypeError, match="no value"):
        field.value([1.0, 1.0])
    with pytest.raises(ValueError, match="1 components were given for 2 symbols"):
        bea.VectorField((A,), (A, B))


# --- errors -----------------------------------------------------------------------------------------------------------------------


def test_losses_in_the_wrong_symbols_are_refused():
    with pytest.raises(ValueError, match=r"not among the coordinates \(a,\) or the parameters \(\): b;"):
        bea.Loss(A * B, (A,))
    with pytest.raises(ValueError, match=": a, x;"):
        bea.VectorField((A * X,), (B,))
    with pytest.raises(ValueError, match=r"\{a\} are given as coordinates and as parameters"):
        bea.Loss(A * B, (A, B), (A,))
    ball, loss = bea.heavy_ball(A), bea.Loss(A**4 / 4, (A,))
    for ask in (
        lambda: bea.modified_equation(ball, loss, 2).terms,
        lambda: bea.modified_equation(ball, loss, 2, memory="kept").terms,
        lambda: bea.transient_equation(ball, loss).terms(1),
    ):
        with pytest.raises(ValueError, match=r"\{a\} are hyper-parameters of heavy_ball.* and coordinates of the loss"):
            ask()
    with pytest.raises(ValueError, match=r"must share their coordinates; these have \{1, 2\}"):
        bea.mean([bea.Loss(A, (A,)), bea.NumericLoss(2, lambda x: x, lambda x: x @ x)])
    for symbols in (("a", "b"), (A, 1), (A * B,)):
        with pytest.raises(TypeError, match="must be SymPy symbols"):
            bea.Loss(A, symbols)
    for symbols in ((A, A), ()):
        with pytest.raises(ValueError, match="must be distinct and at least one"):
            bea.Loss(sp.Integer(1), symbols)
    for expression in ("a**2", 3.0, lambda a: a, sp.Eq(A, B)):
        with pytest.raises(TypeError, match="a SymPy expression is needed"):
            bea.Loss(expression, (A, B))
    for expression in (A + sp.nan, A + sp.oo, sp.zoo * A):
        with pytest.raises(ValueError, match="not finite"):
            bea.Loss(expression, (A,))


@pytest.mark.parametrize("name", ["bilinear", "logistic", "code"])
def test_wrong_points_are_refused(name):
    loss = LOSSES[name]
    for wrong in ([1.0], [1.0, 2.0, 3.0], 1.0, np.ones((2, 2, 2)), np.ones((0, 2)), [[1.0], [2.0]]):
        with pytest.raises(ValueError, match=r"shape .* was given; allowed are \(2,\) and \(batch, 2\)"):
            loss.gradient(wrong)
    for wrong in ([np.nan, 1.0], [[1.0, 1.0], [np.inf, 1.0]], [None, 1.0]):
        with pytest.raises(ValueError, match="must be finite"):
            loss.value(wrong)
    for wrong in ("ab", [1j, 1.0], np.array([1j, 1.0]), ["1", "2"], [[1.0, 2.0], [3.0]], [A, B]):
        with pytest.raises(TypeError, match="a point must hold numbers"):
            loss.value(wrong)
    for wrong in ([1.0], np.ones((3, 2))):
        with pytest.raises(ValueError, match="shape"):
            loss.hessian_vector(np.ones((2, 2)), wrong)
    for points in (np.ones((3, 2)), np.ones(2)):  # neither is a v broadcast, nor a theta
        with pytest.raises(ValueError, match=r"v has the shape \(1, 2\); allowed are that of theta"):
            loss.hessian_vector(points, np.ones((1, 2)))


@pytest.mark.parametrize(
    "number",
    [sp.Integer(10) ** 309, sp.Rational(10**400, 3), sp.Float("1e400"), -(sp.Integer(10) ** 309)],
)
def test_a_number_beyond_the_floats_says_so(number):
    loss = bea.Loss(number * A**2 + B, (A, B))
    for ask in (
        loss.value,
        loss.gradient,
        loss.hessian,
        lambda theta: bea.run(bea.gradient_descent(), loss, theta, 0.1, 3),
    ):
        with pytest.raises(
            ValueError,
            match=r"the number -?\d\.\d\dE\+\d+ is beyond the floats, which end at 1.8e\+308",
        ):
            ask([1.0, 1.0])
    held = bea.Loss(sp.Rational(10**400 + 1, 2 * 10**400 + 1) * A**2 + sp.Rational(1, 10**400) * B, (A, B))
    assert held.gradient([3.0, 1.0]).tolist() == [3.0, 0.0]


def test_what_is_not_real_is_refused():
    with pytest.raises(ValueError, match="is not real"):
        bea.VectorField((sp.log(-2) * A,), (A,))
    root = bea.VectorField(((-1) ** sp.Rational(1, 3) * A,), (A,))
    with pytest.raises(ValueError, match="is not real"):
        bea.run(bea.gradient_descent(), root, (2.0,), 0.05, 5)
    with pytest.raises(ValueError, match="beyond the floats"):
        bea.run(bea.gradient_descent(), bea.VectorField((sp.pi**1000 * A,), (A,)), (2.0,), 0.05, 5)


@pytest.mark.parametrize("function", [sp.Abs, sp.sign, sp.conjugate, sp.re])
def test_absolute_values_need_real_symbols(function):
    plain = sp.Symbol("u")
    with pytest.raises(ValueError, match=r"declare it with sp.Symbol\('u', real=True\)"):
        bea.Loss(function(plain) ** 2, plain)


def test_a_stray_symbol_of_the_same_name_is_explained():
    with pytest.raises(ValueError, match="of the same name is, it was declared with other"):
        bea.Loss(sp.Symbol("a") ** 2, A)


def test_elements_of_arrays_and_matrices_are_refused():
    x, matrix = sp.IndexedBase("x"), sp.MatrixSymbol("M", 2, 1)
    for element in (x[0], matrix[0, 0]):
        with pytest.raises(TypeError, match=r"for many of them use sp.symbols\('x:10'\)"):
            bea.Loss(element**2, (element,))
        with pytest.raises(ValueError, match="IndexedBase or MatrixSymbol is not a coordinate"):
            bea.Loss(element**2 + A, A)


@pytest.mark.parametrize(
    "declared, wrong, words",
    [
        ("positive", 0.0, "positive"),
        ("nonnegative", -1.0, "nonnegative"),
        ("negative", 1.0, "negative"),
        ("nonpositive", 0.5, "nonpositive"),
    ],
)
def test_points_must_be_what_the_symbols_are_declared(declared, wrong, words):
    symbol = sp.Symbol("p", **{declared: True})
    loss = bea.Loss(sp.sqrt(symbol**2) + A, (symbol, A))
    for points in ([wrong, -1.0], [[-wrong or 1.0, 1.0], [wrong, -1.0]]):
        with pytest.raises(ValueError, match=f"p is declared {words}, but the point has p = {wrong};"):
            loss.gradient(points)
    assert np.isfinite(loss.hessian_vector([-wrong or 1.0, 1.0], [wrong, 1.0])).all()


@pytest.mark.parametrize(
    "declared, word",
    [
        *((name, "integer") for name in ("integer", "even", "odd", "prime", "zero")),
        ("rational", "rational"),
        ("imaginary", "not real"),
        ("infinite", "not real"),
    ],
)
def test_coordinates_are_not_declared_to_be_single_numbers(declared, word):
    """SymPy takes cos(2 pi k) for 1 where k is whole; as a parameter it is."""
    k = sp.Symbol("k", **{declared: True})
    for make in (lambda: bea.Loss(k**2, (k,)), lambda: bea.VectorField((A, k), (A, k))):
        with pytest.raises(ValueError, match=rf"k is declared {word}, .* sp.Symbol\('k', real=True\)"):
            make()
    if word != "not real":
        assert bea.Loss(k * A**2, A, k).parameters == (k,)
    for allowed in ("real", "positive", "nonzero", "finite", "extended_real", "irrational", "complex"):
        symbol = sp.Symbol("k", **{allowed: True})
        assert bea.Loss(symbol**2, symbol).gradient([0.7]) == 1.4


def test_distributions_and_unknown_derivatives_say_so():
    with pytest.raises(ValueError, match=r"DiracDelta\(a\) does not evaluate, so it has no numbers"):
        bea.VectorField((sp.DiracDelta(A),), A).gradient([1.0])
    with pytest.raises(ValueError, match="SymPy knows no derivative of zeta.* by its argument 1; take bea.black_box"):
        bea.Loss(sp.zeta(2 + A**2), A).gradient([1.0])

    class half(sp.Function):
        nargs = 2

        def fdiff(self, argindex=1):
            if argindex == 2:
                raise sp.core.function.ArgumentIndexError(self, argindex)
            return sp.Integer(1)

    with pytest.raises(ValueError, match="SymPy knows no derivative of half.* by its argument 2; take bea.black_box"):
        bea.Loss(half(A, A**2), A).gradient([1.0])
    unknown = sp.Function("unknown", nargs=1)
    with pytest.raises(ValueError, match=r"unknown\(a\) does not evaluate, so it has no numbers"):
        bea.Loss(unknown(A), A).gradient([1.0])


def test_vector_fields_take_numbers():
    field = bea.VectorField((B, 1, -2.5), (A, B, X))
    assert field.gradient([1.0, 2.0, 3.0]).tolist() == [-2.0, -1.0, 2.5]
    assert field.gradient([[1.0, 2.0, 3.0]] * 2).tolist() == [[-2.0, -1.0, 2.5]] * 2
    for wrong in (True, "b", None):
        with pytest.raises(TypeError, match="a SymPy expression is needed"):
            bea.VectorField((wrong,), A)


def test_what_has_no_numbers_says_so():
    abstract = bea.Loss(sp.Function("E")(A, B), (A, B))
    for ask in (abstract.value, abstract.gradient, abstract.hessian):
        with pytest.raises(ValueError, match=r"E\(a, b\) does not evaluate, so it has no numbers"):
            ask([1.0, 1.0])
    with pytest.raises(ValueError, match="give numbers to the parameters lambda"):
        bea.quadratic([sp.Symbol("lambda")]).value([1.0])


def test_lists_of_losses_are_checked():
    with pytest.raises(ValueError, match="must share their coordinates"):
        bea.mean([bea.bilinear(), bea.quadratic([1, 2])])
    with pytest.raises(ValueError, match="must share their coordinates"):
        bea.mean([bea.NumericLoss(dimension, None, np.sin) for dimension in (2, 3)])
    with pytest.raises(ValueError, match="empty"):
        bea.mean([])
    for wrong in (3, [bea.bilinear(), 3], "bilinear"):
        with pytest.raises(TypeError, match="a loss .* or a list of them"):
            bea.mean(wrong)


def test_rows_and_columns_of_the_data_are_checked():
    assert bea.logistic_regression((0, 29), rows=[0, 568, -569]).dimension == 2  # the last of both
    first_two = bea.logistic_regression((0, 1))
    assert bea.logistic_regression().value([0.3, -0.2]) == first_two.value([0.3, -0.2])
    chosen = np.isin(np.arange(569), [5, 17, 400])
    by_mask, by_index = (bea.logistic_regression(rows=rows) for rows in (chosen, [5, 17, 400]))
    assert by_mask.value([0.3, -0.2]) == by_index.value([0.3, -0.2])
    for columns in ((30,), (-31, 2), (), (0.5,), "a"):
        with pytest.raises(ValueError, match="must select"):
            bea.logistic_regression(columns)
    for rows in ([569], [-570], [0.5], [[0]], np.ones(3, dtype=bool), slice(600, 700), []):
        with pytest.raises(ValueError, match="must select"):
            bea.logistic_regression(rows=rows)


def test_logistic_regression_on_ones_own_data(tmp_path):
    """Arrays or a file with or without a line of names, standardized or not; labels of any two values."""
    rng = np.random.default_rng(3)
    features, labels = rng.normal(2.0, 3.0, (40, 3)), rng.integers(0, 2, 40)
    theta = np.array([0.3, -0.2, 0.1])
    path, named = tmp_path / "data.csv", tmp_path / "named.csv"
    np.savetxt(path, np.column_stack([features, labels]), delimiter=",", fmt="%.17g")
    named.write_text("a,b,c,label\n" + path.read_text())
    one_row = tmp_path / "one.csv"
    one_row.write_text("1.0,2.0,3.0,1\n")
    for standardize in (True, False):
        scaled = (features - features.mean(axis=0)) / features.std(axis=0) if standardize else features
        expected = log_loss(labels, 1 / (1 + np.exp(-scaled @ theta)))
        for arguments in (
            {"features": features, "labels": labels},
            {"features": features.tolist(), "labels": np.where(labels, "yes", "no")},
            {"features": path},
            {"features": str(named)},
        ):
            loss = bea.logistic_regression(**arguments, standardize=standardize)
            np.testing.assert_allclose(loss.value(theta), expected, rtol=1e-12)
    assert bea.logistic_regression([1], features=path, rows=slice(7)).dimension == 1
    for arguments, message in (
        ({"features": features, "labels": labels[:-1]}, "labels of shape"),
        ({"features": features, "labels": 0 * labels}, "two different values"),
        ({"features": features, "labels": np.arange(40) % 3}, "two different values"),
        ({"features": np.nan * features, "labels": labels}, "finite numbers"),
        ({"features": 0 * features, "labels": labels}, "no feature may be constant"),
        ({"features": one_row}, "two different values"),
    ):
        with pytest.raises(ValueError, match=message):
            bea.logistic_regression(**arguments)


def test_a_linear_loss_has_constant_gradient_and_no_corrections():
    a, b = sp.symbols("a b")
    equation = bea.modified_equation(bea.adam(beta=0.9, rho=0.99, epsilon=0.1), bea.Loss(a + 2 * b, (a, b)), order=3)
    f_0, f_1, f_2 = equation.coefficients((1.0, 2.0))
    np.testing.assert_allclose(f_0, [-1 / np.sqrt(1.1), -2 / np.sqrt(4.1)], rtol=1e-15)
    np.testing.assert_array_equal([f_1, f_2], np.zeros((2, 2)))
    np.testing.assert_array_equal(equation.loss.hessian((1.0, 2.0)), np.zeros((2, 2)))


@pytest.mark.parametrize("make", [bea.bilinear, bea.rosenbrock])
@pytest.mark.parametrize(
    "value, error",
    [
        ("a", TypeError),
        (True, TypeError),
        (None, TypeError),
        (float("nan"), ValueError),
        (sp.oo, ValueError),
        (sp.I, ValueError),
    ],
)
def test_constants_of_the_books_losses_are_numbers_or_expressions(make, value, error):
    with pytest.raises(error, match="must be"):
        make(value)


def test_constants_must_not_bear_the_name_of_a_coordinate():
    with pytest.raises(ValueError, match="coordinate"):
        bea.bilinear(sp.Symbol("a"))
    assert str(bea.bilinear(sp.Symbol("c")).parameters) == "(c,)"


def test_no_direction_has_no_curvature():
    """Not by differences either, where the gradient is large."""
    loss = bea.NumericLoss(2, None, lambda t: np.array([t[0] ** 3, np.exp(t[1])]))
    for _ in range(2):  # at the second call it is known that the code does not run on a Series
        assert loss.hessian_vector([1e6, 2.0], [0.0, 0.0]).tolist() == [0.0, 0.0]
    columns = loss.hessian_vector([[1e6, 2.0], [3.0, 2.0]], [[0.0, 0.0], [0.0, 1.0]])
    assert columns[0].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(columns[1], [0.0, np.exp(2.0)], rtol=1e-8, atol=1e-7)


@pytest.mark.parametrize("labels", [[0, 1, 1, 0], [0, 1], [[0, 1, 1]], [0, 0, 0], [0, 1, 2]])
def test_there_are_as_many_labels_as_rows_and_of_two_values(labels):
    with pytest.raises(ValueError, match="allowed are finite numbers .* of two different values"):
        bea.logistic_regression(features=np.eye(3)[:, :2], labels=labels)


def test_constants_keep_their_value():
    """A simple number where it rounds to the one given, and else the very number."""
    for given in (0.1, 1 / 3, 2.718281828459, 1 + 1e-14, 0.75, 1e-30):
        loss = bea.bilinear(given, 2)
        assert float(loss.value((0.0, 0.0)) * 2) == pytest.approx(given**2, rel=1e-15)
    for given in (sp.Float(6.369616873214543), np.float32(6.37)):
        assert float(
            bea.bilinear(given).expression.subs(dict.fromkeys(bea.bilinear().symbols, 0)) * 2
        ) == pytest.approx(float(given) ** 2, rel=1e-15)
    assert bea.rosenbrock(6.369616873214543 * sp.Symbol("s")).expression.has(sp.Rational("6.369616873214543"))
    assert bea.bilinear(0.1).expression.has(sp.Rational(1, 10))
    assert not bea.bilinear(2.718281828459).expression.has(sp.E)


def test_a_missing_label_is_no_class():
    features = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 5.0]])
    with pytest.raises(ValueError, match="of two different values"):
        bea.logistic_regression(features=features, labels=[1.0, np.nan, 1.0])
    for given, labels in (
        (features, np.ma.array([0, 1, 1], mask=[0, 1, 0])),
        (np.ma.array(features, mask=features > 4), [0, 1, 1]),
    ):
        with pytest.raises(ValueError, match="are masked; leave out the rows"):
            bea.logistic_regression(features=given, labels=labels)
    with pytest.raises(TypeError, match="labels must be of one kind, none missing, .* not .None, 1, 1"):
        bea.logistic_regression(features=features, labels=[None, 1, 1])
    two = bea.logistic_regression(features=features, labels=[0, 1, 1], rows=(0, 1))
    assert two.value((0.1, 0.2)) == bea.logistic_regression(features=features, labels=[0, 1, 1], rows=[0, 1]).value(
        (0.1, 0.2)
    )


@pytest.mark.parametrize(
    "wrong",
    [["2", sp.Integer(1)], [True, sp.Integer(1)], [True, 0.5], [(0.5, np.True_)], np.array([np.True_, 1], object)],
)
def test_points_hold_no_words_and_no_truth_values(wrong):
    with pytest.raises(TypeError, match="must hold numbers"):
        bea.run(bea.gradient_descent(), bea.quadratic([1, 1]), wrong, 0.1, 1)


def test_a_lack_of_memory_changes_no_derivative():
    """Code that runs on a series still does so after it ran out of memory once."""
    failed = []

    def gradient(theta):
        if isinstance(theta, Series) and theta.terms > 1 and not failed:
            failed.append(None)
            raise MemoryError
        return theta**3

    equation = bea.modified_equation(bea.gradient_descent(), bea.NumericLoss(1, None, gradient), 2)
    with pytest.raises(MemoryError):
        equation.coefficients((0.7,))
    np.testing.assert_allclose(equation.coefficients((0.7,))[1], -3 * 0.7**5 / 2, rtol=1e-15)
