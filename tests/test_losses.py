"""Losses: derivatives against SymPy and finite differences, batches against single points, real data against scikit-learn."""

import numpy as np
import pytest
import sympy as sp
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import log_loss

import bea
from bea import Series

A, B, X = sp.symbols("a b x", real=True)


def numeric_bowl():
    """A loss by code that is not a quadratic, with tanh, a matrix and a power."""
    matrix = np.array([[1.0, 0.5], [-0.25, 2.0]])
    return bea.NumericLoss(
        2,
        lambda t: np.log(np.cosh(matrix @ t)).sum(axis=0) + (t**4).sum(axis=0) / 4,
        lambda t: matrix.T @ np.tanh(matrix @ t) + t**3,
    )


LOSSES = {
    "quadratic": bea.quadratic([[2, 1], [1, 3]]),
    "bilinear": bea.bilinear(),
    "rosenbrock": bea.rosenbrock(5),
    "transcendental": bea.Loss(
        sp.exp(-A) * sp.sin(B) + sp.tanh(A * B) + sp.log(1 + A**2) + sp.sqrt(1 + B**2), (A, B)
    ),
    "absolute values": bea.Loss(
        sp.Abs(A - 2 * B) ** 3 + sp.sqrt((A * B) ** 2) ** 3 + sp.cosh(A) + sp.atan(A * B), (A, B)
    ),
    "one variable unused": bea.Loss(A**4 / 4, (A, B)),
    "logistic": bea.logistic_regression(),
    "logistic, some rows": bea.logistic_regression(columns=(3, 7), rows=slice(10, 60)),
    "code": numeric_bowl(),
    "mean": bea.mean([bea.quadratic([1, 2]), bea.quadratic([3, 5])]),
    "mean of code": bea.mean([numeric_bowl(), bea.logistic_regression()]),
}
POINTS = np.random.default_rng(11).uniform(0.3, 1.4, (5, 2))


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_central_differences_of_the_value(name):
    """Step 1e-5, agreement to 1e-8."""
    loss, step = LOSSES[name], 1e-5
    for point in POINTS:
        differences = [
            (loss.value(point + step * unit) - loss.value(point - step * unit)) / (2 * step)
            for unit in np.eye(2)
        ]
        np.testing.assert_allclose(loss.gradient(point), differences, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_hessians_are_central_differences_of_the_gradient_and_symmetric(name):
    loss, step = LOSSES[name], 1e-5
    for point in POINTS:
        differences = np.stack(
            [
                (loss.gradient(point + step * unit) - loss.gradient(point - step * unit))
                / (2 * step)
                for unit in np.eye(2)
            ],
            axis=-1,
        )
        hessian = loss.hessian(point)
        np.testing.assert_allclose(hessian, differences, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(hessian, hessian.T, rtol=1e-13, atol=1e-14)
        v = np.array([0.3, -1.7])
        np.testing.assert_allclose(
            loss.hessian_vector(point, v), hessian @ v, rtol=1e-12, atol=1e-13
        )


@pytest.mark.parametrize(
    "name", [name for name, loss in LOSSES.items() if isinstance(loss, bea.Loss)]
)
def test_derivatives_are_sympys(name):
    """To round-off (1e-13), and the expressions identically."""
    loss = LOSSES[name]
    gradient = [sp.diff(loss.expression, s) for s in loss.symbols]
    assert [sp.simplify(a - b) for a, b in zip(gradient, loss.gradient_expressions)] == [0, 0]
    assert sp.simplify(
        loss.hessian_expressions - sp.hessian(loss.expression, loss.symbols)
    ) == sp.zeros(2, 2)
    for point in POINTS:
        here = dict(zip(loss.symbols, map(sp.Float, point)))
        np.testing.assert_allclose(
            loss.value(point), float(loss.expression.subs(here)), rtol=1e-13, atol=1e-14
        )
        np.testing.assert_allclose(
            loss.gradient(point), [float(g.subs(here)) for g in gradient], rtol=1e-12, atol=1e-13
        )
        np.testing.assert_allclose(
            loss.hessian(point),
            np.array(loss.hessian_expressions.subs(here), dtype=float),
            rtol=1e-12,
            atol=1e-13,
        )


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_is_its_points_one_by_one(name):
    loss = LOSSES[name]
    directions = np.random.default_rng(12).normal(size=POINTS.shape)
    for points in (
        POINTS,
        POINTS[:2],
        POINTS[:1],
    ):  # two points in two coordinates: axes must not be mistaken for each other
        v = directions[: len(points)]
        assert (
            loss.value(points).shape == (len(points),)
            and loss.gradient(points).shape == points.shape
        )
        assert loss.hessian(points).shape == (len(points), 2, 2)
        for i, point in enumerate(points):
            np.testing.assert_allclose(loss.value(points)[i], loss.value(point), rtol=1e-14)
            np.testing.assert_allclose(
                loss.gradient(points)[i], loss.gradient(point), rtol=1e-13, atol=1e-15
            )
            np.testing.assert_allclose(
                loss.hessian(points)[i], loss.hessian(point), rtol=1e-13, atol=1e-15
            )
            np.testing.assert_allclose(
                loss.hessian_vector(points, v)[i],
                loss.hessian_vector(point, v[i]),
                rtol=1e-13,
                atol=1e-15,
            )
            np.testing.assert_allclose(
                loss.hessian_vector(points, v[0])[i],
                loss.hessian_vector(point, v[0]),
                rtol=1e-13,
                atol=1e-15,
            )


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_run_on_series(name):
    """On the line theta + s h v: coefficient of h^0 the gradient, of h s the Hessian times v, of h^2 s^2 half the second difference."""
    loss = LOSSES[name]
    theta, v = np.array([0.7, 1.1]), np.array([1.0, -0.5])
    zero = np.zeros(2)
    gradient = loss.gradient_code(
        Series.from_polynomials([[theta], [zero, v], [zero]])
    ).coefficients
    np.testing.assert_allclose(gradient[0, 0], loss.gradient(theta), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(
        gradient[1, 1], loss.hessian_vector(theta, v), rtol=1e-12, atol=1e-14
    )
    step = 1e-4
    second = (
        loss.gradient(theta + step * v) - 2 * loss.gradient(theta) + loss.gradient(theta - step * v)
    ) / (2 * step**2)
    np.testing.assert_allclose(gradient[2, 2], second, rtol=1e-5, atol=1e-6)


def test_gradients_run_on_exact_series():
    loss, curve = (
        bea.bilinear(),
        [
            [np.array([sp.Rational(9, 10), sp.Rational(3, 2)], dtype=object)],
            [np.array([0, 0]), np.array([1, -2])],
        ],
    )
    gradient = loss.gradient_code(Series.from_polynomials(curve)).coefficients
    here = dict(zip(loss.symbols, curve[0][0]))
    assert [g.subs(here) for g in loss.gradient_expressions] == gradient[0, 0].tolist()
    assert list(loss.hessian_expressions.subs(here) @ sp.Matrix([1, -2])) == gradient[1, 1].tolist()


# --- the book's losses --------------------------------------------------------------------------------------------------------


def test_quadratics():
    assert bea.quadratic([1, 9]).hessian([0.3, 0.4]).tolist() == [[1.0, 0.0], [0.0, 9.0]]
    assert bea.quadratic([[2, 1], [1, 3]]).hessian([0.3, 0.4]).tolist() == [[2.0, 1.0], [1.0, 3.0]]
    lam = sp.Symbol("lambda")
    loss = bea.quadratic([lam])
    assert loss.parameters == (lam,) and loss.expression == lam * loss.symbols[0] ** 2 / 2
    for wrong in ([[1, 2], [3, 4]], [[1, 2, 3], [2, 1, 0]], [[1, 2]]):
        with pytest.raises(ValueError, match="square symmetric matrix"):
            bea.quadratic(wrong)
    with pytest.raises(ValueError, match="at least one eigenvalue"):
        bea.quadratic([])
    with pytest.raises(ValueError, match=r"not \[nan, 1.0\]"):
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
        np.testing.assert_allclose(
            bea.rosenbrock(steepness).value(POINTS), (1 - x) ** 2 + steepness * (y - x**2) ** 2
        )
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
        assert np.isclose(
            loss.value(theta), log_loss(data.target[rows], probability, labels=[0, 1]), rtol=1e-12
        )


def test_disjoint_minibatches_average_to_the_full_batch():
    """Eight of 71 rows each: equal sizes, or the mean would be another loss."""
    parts = [bea.logistic_regression(rows=slice(71 * k, 71 * (k + 1))) for k in range(8)]
    full, average = bea.logistic_regression(rows=slice(568)), bea.mean(parts)
    np.testing.assert_allclose(average.value(POINTS[0]), full.value(POINTS[0]), rtol=1e-12)
    np.testing.assert_allclose(average.gradient(POINTS), full.gradient(POINTS), rtol=1e-11)


def test_logistic_regression_far_out_neither_overflows_nor_warns():
    with np.errstate(all="raise", under="ignore"):
        loss = bea.logistic_regression()
        assert np.isfinite(loss.value([1e3, -1e3])) and np.all(
            np.isfinite(loss.gradient([[1e3, 1e3], [-1e3, 1e3]]))
        )


def test_mean():
    first, second = bea.Loss(A**2 + B, (A, B)), bea.Loss(3 * B**2, (A, B))
    assert sp.expand(bea.mean([first, second]).expression - (A**2 + B + 3 * B**2) / 2) == 0
    lam = sp.Symbol("lambda")
    assert bea.mean([bea.quadratic([lam]), bea.quadratic([1])]).parameters == (lam,)
    assert bea.mean([second]).expression == 3 * B**2  # of one
    coded = LOSSES["mean of code"]
    np.testing.assert_allclose(
        coded.value(POINTS),
        (numeric_bowl().value(POINTS) + bea.logistic_regression().value(POINTS)) / 2,
    )


def test_vector_fields():
    field = bea.VectorField((A * (B - 1), B * (2 - A)), (A, B))
    np.testing.assert_allclose(
        field.gradient(POINTS),
        -np.stack([POINTS[:, 0] * (POINTS[:, 1] - 1), POINTS[:, 1] * (2 - POINTS[:, 0])], axis=-1),
    )
    np.testing.assert_allclose(
        field.hessian([0.5, 0.7]), -np.array([[-0.3, 0.5], [-0.7, 1.5]]), rtol=1e-13
    )
    with pytest.raises(TypeError, match="no value"):
        field.value([1.0, 1.0])
    with pytest.raises(ValueError, match="1 components were given for 2 symbols"):
        bea.VectorField((A,), (A, B))


# --- errors -----------------------------------------------------------------------------------------------------------------------


def test_losses_in_the_wrong_symbols_are_refused():
    with pytest.raises(ValueError, match=r"holds b, which is not among the coordinates \(a,\)"):
        bea.Loss(A * B, (A,))
    with pytest.raises(ValueError, match="holds a, x"):
        bea.VectorField((A * X,), (B,))
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
        with pytest.raises(
            ValueError, match=r"shape .* was given; allowed are \(2,\) and \(batch, 2\)"
        ):
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
        with pytest.raises(
            ValueError, match=r"v has the shape \(1, 2\); allowed are that of theta"
        ):
            loss.hessian_vector(points, np.ones((1, 2)))


def test_losses_by_code_are_checked():
    for dimension in (0, -1, 2.0, True, "2"):
        with pytest.raises(ValueError, match="dimension .* must be a whole number, 1 or more"):
            bea.NumericLoss(dimension, np.sum, np.sin)
    with pytest.raises(TypeError, match="must be functions of theta"):
        bea.NumericLoss(2, 1.0, np.sin)
    for code in (lambda t: t.sum(axis=0), lambda t: t[:1]):
        with pytest.raises(
            ValueError, match=r"gradient_code returned the shape \(.*\) for theta of shape \(2,\)"
        ):
            bea.run(bea.gradient_descent(), bea.NumericLoss(2, np.sum, code), (1.0, 1.0), 0.1, 1)


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
    held = bea.Loss(
        sp.Rational(10**400 + 1, 2 * 10**400 + 1) * A**2 + sp.Rational(1, 10**400) * B, (A, B)
    )
    assert held.gradient([3.0, 1.0]).tolist() == [3.0, 0.0]


def test_what_is_not_real_is_refused():
    with pytest.raises(ValueError, match="is not real"):
        bea.VectorField((sp.log(-2) * A,), (A,))
    root = bea.VectorField(((-1) ** sp.Rational(1, 3) * A,), (A,))
    with pytest.raises(ValueError, match="is not real"):
        bea.run(bea.gradient_descent(), root, (2.0,), 0.05, 5)
    with pytest.raises(ValueError, match="beyond the floats"):
        bea.run(bea.gradient_descent(), bea.VectorField((sp.pi**1000 * A,), (A,)), (2.0,), 0.05, 5)


def test_what_has_no_numbers_says_so():
    abstract = bea.Loss(sp.Function("E")(A, B), (A, B))
    for ask in (abstract.value, abstract.gradient, abstract.hessian):
        with pytest.raises(ValueError, match=r"abstract function E\(a, b\) has no numbers"):
            ask([1.0, 1.0])
    with pytest.raises(ValueError, match="give numbers to the parameters lambda"):
        bea.quadratic([sp.Symbol("lambda")]).value([1.0])


def test_lists_of_losses_are_checked():
    with pytest.raises(ValueError, match="must share their coordinates"):
        bea.mean([bea.bilinear(), bea.quadratic([1, 2])])
    with pytest.raises(ValueError, match="empty"):
        bea.mean([])
    for wrong in (3, [bea.bilinear(), 3], "bilinear"):
        with pytest.raises(TypeError, match="a loss .* or a list of them"):
            bea.mean(wrong)


def test_rows_and_columns_of_the_data_are_checked():
    assert bea.logistic_regression((0, 29), rows=[0, 568, -569]).dimension == 2  # the last of both
    chosen = np.isin(np.arange(569), [5, 17, 400])
    assert bea.logistic_regression(rows=chosen).value([0.3, -0.2]) == bea.logistic_regression(
        rows=[5, 17, 400]
    ).value([0.3, -0.2])
    for columns in ((30,), (-1, 2), (), (0.5,), 3):
        with pytest.raises(ValueError, match="whole numbers from 0 to 29"):
            bea.logistic_regression(columns)
    with pytest.raises(ValueError, match="selects none"):
        bea.logistic_regression(rows=slice(600, 700))
    for rows in ([569], [-570], [0.5], [[0]], np.ones(3, dtype=bool)):
        with pytest.raises(ValueError, match="whole numbers below 569"):
            bea.logistic_regression(rows=rows)


def test_a_linear_loss_has_constant_gradient_and_no_corrections():
    a, b = sp.symbols("a b")
    equation = bea.modified_equation(
        bea.adam(beta=0.9, rho=0.99, epsilon=0.1), bea.Loss(a + 2 * b, (a, b)), order=3
    )
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
