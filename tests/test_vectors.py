"""Fields that JAX compiles as one function: equal to the plain way, or not used."""

import numpy as np
import pytest

import bea
from bea import Series, vectors
from bea.trace import Trace
from bea.vectors import evaluated

D = 12
X, Y = np.random.default_rng(0).normal(size=(20, 3)), np.random.default_rng(1).normal(size=20)
POINT = np.random.default_rng(2).normal(size=D) / 2


@bea.optimizer
def look_ahead(theta, gradient, memory, beta: bea.Decay):
    b = memory.average(gradient(theta - memory.h * memory.previous(theta) ** 2), beta)
    return b + memory.time * theta


@bea.optimizer
def twice(theta, gradient, memory, rho):
    return gradient(theta + rho * gradient(theta))


@bea.optimizer
def normalized(theta, gradient, memory):
    g = gradient(theta)
    return g / np.sqrt(np.mean(g**2))


@bea.optimizer
def in_groups(theta, gradient, memory):
    g = gradient(theta)
    return np.concatenate([(1 - 1e-6) * g[:-3], g[-3:]])  # g itself, if there is one coordinate


@bea.optimizer
def clipped(theta, gradient, memory):
    return np.clip(gradient(theta), -0.1, 0.1)


def network(t):
    """Three tanh units; their weights come last."""
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed; pip install bea-book[jax]")
    return ((jnp.tanh(X @ t[:9].reshape(3, 3)) @ t[9:] - Y) ** 2).mean()


@pytest.fixture
def loss(monkeypatch):
    pytest.importorskip("jax", reason="jax is not installed; pip install bea-book[jax]")
    monkeypatch.setattr(vectors, "PATIENCE", 2)
    return bea.from_jax(network, D)


def both(equation, point=POINT, h=0.05):
    """The field in the plain way and as it is after three calls, and what computes it."""
    field = equation.field(h)
    values = [field(point, 0.7) for _ in range(3)]
    [[computes]] = [kept.values() for kept in equation.functions.values()]
    np.testing.assert_array_equal(values[0], values[1])
    assert all(value.flags.writeable for value in values)  # they belong to the caller
    return values[0], values[2], computes


CASES = [
    *((bea.gradient_descent(), order) for order in (1, 2, 3, 4)), *((bea.adam(0.5, 0.7, 1e-2), order) for order in (1, 2, 3)),
    (bea.heavy_ball(0.6), 3), (bea.nesterov(0.5), 3), (bea.adamw(0.4, 0.7, 1e-2, 0.1), 2), (look_ahead(0.5), 3), (twice(0.3), 3),
]  # fmt: skip


@pytest.mark.parametrize("optimizer, order", CASES, ids=[f"{optimizer.name} {order}" for optimizer, order in CASES])
def test_compiled_fields_are_the_plain_ones(loss, optimizer, order):
    equation = bea.modified_equation(optimizer, loss, order)
    plain, fast, computes = both(equation)
    assert computes.fast is not None
    np.testing.assert_allclose(fast, plain, rtol=1e-11, atol=1e-12)
    for theta, h, time in ((POINT[::-1], 0.05, 0.0), (2 * POINT, 0.2, 1.5)):  # another point, step size and time
        x = np.array([*theta, time, h])
        wanted = computes.plain(loss, x)
        np.testing.assert_allclose(computes(x), wanted, rtol=1e-11, atol=1e-12)
        np.testing.assert_array_equal(equation.field(h)(theta, time), computes(x))


def test_coefficients_are_compiled_too(loss):
    equation = bea.modified_equation(bea.adam(0.5, 0.7, 1e-2), loss, 3)
    plain, _, fast = (equation.coefficients(POINT) for _ in range(3))
    [[computes]] = [kept.values() for kept in equation.functions.values()]
    assert computes.fast is not None and fast.shape == (3, D)
    np.testing.assert_allclose(fast, plain, rtol=1e-11, atol=1e-12)
    computes.plain = None  # it is not asked any more
    np.testing.assert_array_equal(equation.coefficients(POINT), fast)


def test_points_at_once_are_computed_in_the_plain_way(loss):
    equation = bea.modified_equation(bea.gradient_descent(), loss, 2)
    field, points = equation.field(0.05), np.stack([POINT, 2 * POINT])
    together = field(points)
    both(equation)
    np.testing.assert_array_equal(field(points), together)
    np.testing.assert_allclose(together, [field(point) for point in points], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    "optimizer", [normalized(), in_groups(), clipped(), bea.lion(0.5, 0.7, 0.0)], ids=lambda o: o.name
)
def test_what_is_not_one_formula_is_left_to_the_plain_way(loss, optimizer):
    """Even where it looks like one: if the last layer is zero, the others have no gradient.

    The first step gives them one, so that there a sign has no expansion.
    """
    last_is_zero = np.concatenate([POINT[:9], np.zeros(3)])
    if optimizer.name == "lion":
        with pytest.raises(ValueError, match="has no expansion at this point"):
            bea.modified_equation(optimizer, loss, 1).coefficients(last_is_zero)
    for theta in [POINT, last_is_zero][: 1 if optimizer.name == "lion" else 2]:
        plain, after, computes = both(bea.modified_equation(optimizer, loss, 1), theta)
        assert computes.fast is None
        np.testing.assert_array_equal(after, plain)


def test_a_pole_is_named_after_compiling(loss):
    equation = bea.modified_equation(bea.rmsprop(0.5, 0.0), loss, 2)
    assert both(equation)[2].fast is not None
    with pytest.raises(ValueError, match="rmsprop has no expansion at this point"):
        equation.field(0.05)(np.zeros(D))


def test_a_wrong_compiled_field_is_not_used(loss, monkeypatch):
    right = type(loss).whole_field
    monkeypatch.setattr(type(loss), "whole_field", lambda self, code: lambda x: right(self, code)(x) * (1 + 1e-6))
    plain, after, computes = both(bea.modified_equation(bea.gradient_descent(), loss, 2))
    assert computes.fast is None
    np.testing.assert_array_equal(after, plain)


def test_a_function_that_jet_does_not_know_is_compiled_by_nested_derivatives(loss):
    jax = pytest.importorskip("jax")
    strange = bea.from_jax(lambda t: jax.lax.fori_loop(0, 2, lambda i, x: jax.numpy.sin(x) + x, t).sum(), D)
    plain, fast, computes = both(bea.modified_equation(bea.heavy_ball(0.5), strange, 3))
    assert computes.fast is not None
    np.testing.assert_allclose(fast, plain, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("k", range(6))
def test_the_last_row_along_a_curve(k, fixed):
    """From expansions in h alone, against the same code on a Series."""
    rng = np.random.default_rng(k)
    rows = [
        [rng.normal(size=3)],
        *([0.0 if fixed else rng.normal(size=3), *rng.normal(size=(i, 3))] for i in range(1, k + 1)),
    ]
    code = bea.NumericLoss(3, None, lambda t: np.exp(t) * t[::-1] + t**3).gradient_code
    asked = []

    def last(*curve):
        asked.append(curve)
        return code(Series.from_polynomials([[c] for c in curve])).coefficients[-1, 0]

    found = vectors.along_curves(last, rows)
    wanted = code(Series.from_polynomials(rows)).coefficients[-1]
    np.testing.assert_allclose(
        np.array([c + np.zeros(3) for c in found]), wanted, rtol=1e-10, atol=1e-11 * abs(wanted).max()
    )
    assert len(asked) == max(1, k if fixed else k + 1)


def test_the_value_0_is_not_the_number_0():
    """Two gradients whose arguments are number 0 of the values and the number 0.0; the sum is asked of each."""
    names = "theta_0", "given_0"
    code = Trace(names, (("gradient 1 1", 0, 0.0, 1), ("gradient 1 1", 0, 0, 1)), (2, 3), ((2,),))
    found = evaluated(code, [10.0, 1.0], np, lambda rows: [sum(map(sum, rows))] * len(rows))
    assert found == [11.0, 21.0]


def test_a_gradient_a_step_ahead_is_one_formula():
    pytest.importorskip("jax", reason="jax is not installed; pip install bea-book[jax]")
    loss = bea.from_jax(lambda t: (t**3).sum() / 3 + (t**2).sum(), 3)

    @bea.optimizer
    def ahead(theta, gradient, memory):
        return gradient(theta) + gradient(theta + memory.h * theta)

    equation = bea.modified_equation(ahead(), loss, 2)
    assert equation._function(ahead(), 2)._traced(5).operations
