"""Flows are solutions: exact ones, in pieces, stiff ones, and those that end; bad arguments are refused."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
import sympy as sp
from scipy import special
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq

import bea
import naive
from bea import flows
from bea.flows import FORMS
from bea.series import NoExpansion

OPTIMIZERS = {
    "gradient_descent": (bea.gradient_descent, {}),
    "heavy_ball": (bea.heavy_ball, {"beta": 0.6}),
    "heavy_ball damped": (lambda beta: bea.heavy_ball(beta, damped=True), {"beta": 0.6}),
    "nesterov": (bea.nesterov, {"beta": 0.6}),
    "rmsprop": (bea.rmsprop, {"rho": 0.8, "epsilon": 0.05}),
    "rmsprop corrected": (
        lambda rho, epsilon: bea.rmsprop(rho, epsilon, bias_correction=True),
        {"rho": 0.8, "epsilon": 0.05},
    ),
    "rmsprop outside": (
        lambda rho, epsilon: bea.rmsprop(rho, epsilon, epsilon_inside=False),
        {"rho": 0.8, "epsilon": 0.05},
    ),
    "adam": (bea.adam, {"beta": 0.6, "rho": 0.8, "epsilon": 0.05}),
    "adam outside": (
        lambda **h: bea.adam(**h, epsilon_inside=False),
        {"beta": 0.6, "rho": 0.8, "epsilon": 0.05},
    ),
    "adam not corrected": (
        lambda **h: bea.adam(**h, bias_correction=False),
        {"beta": 0.6, "rho": 0.8, "epsilon": 0.05},
    ),
}
A, B = bea.bilinear().symbols
START = (0.9, 1.5)


def make(name, **changes):
    maker, hyper = OPTIMIZERS[name]
    return maker(**{**hyper, **changes})


@pytest.mark.parametrize("name", ["gradient_descent", "adam"])
def test_no_steps_is_the_start(name):
    for loss in (bea.bilinear(), bea.logistic_regression()):
        assert bea.run(make(name), loss, START, 0.1, 0).tolist() == [list(START)]
        assert bea.run(make(name), loss, [START, START], 0.1, 0).shape == (1, 2, 2)
        for equation in (
            bea.modified_equation(make(name), loss, 2),
            bea.transient_equation(make(name), loss),
        ):
            assert bea.flow(equation, START, 0.1, 0).tolist() == [list(START)]


# --- flows are solutions ------------------------------------------------------------------------------------------------------


def test_flows_of_quadratics_are_exponentials():
    """Gradient flow, and heavy ball with three terms on eigenvalues 1 and 3: exp of the summed series, to 1e-10."""
    loss, start, h, steps = bea.quadratic([1, 3]), np.array([1.0, -0.7]), 0.05, 30
    for optimizer, order in (
        (bea.gradient_descent(), 1),
        (bea.heavy_ball(0.5), 3),
        (bea.nesterov(0.3), 4),
    ):
        equation = bea.modified_equation(optimizer, loss, order)
        rate = equation.field(h)(np.ones(2))
        wanted = start * np.exp(np.outer(h * np.arange(steps + 1), rate))
        np.testing.assert_allclose(bea.flow(equation, start, h, steps), wanted, rtol=1e-10, atol=1e-11)


def test_flows_of_vector_fields():
    """y' = y^2 gives y/(1 - yt); a rotation gives cosine and sine."""
    y, z = sp.symbols("y z")
    t = 0.05 * np.arange(11)
    square = bea.modified_equation(bea.gradient_descent(), bea.VectorField((y**2,), (y,)), 1)
    np.testing.assert_allclose(bea.flow(square, (1.0,), 0.05, 10)[:, 0], 1 / (1 - t), rtol=1e-10)
    rotation = bea.modified_equation(bea.gradient_descent(), bea.VectorField((-z, y), (y, z)), 1)
    np.testing.assert_allclose(
        bea.flow(rotation, (1.0, 0.0), 0.05, 10),
        np.stack([np.cos(t), np.sin(t)], axis=1),
        rtol=1e-10,
        atol=1e-11,
    )


def test_the_exact_rate_needs_all_terms():
    """(1 - h lambda)^n is the flow of the whole series: with 24 terms at h lambda = 0.3 the flow is the run to 1e-10; with three it misses by 1e-3."""
    loss = bea.quadratic([3])
    run = bea.run(bea.gradient_descent(), loss, (1.0,), 0.1, 20)
    np.testing.assert_allclose(
        bea.flow(bea.modified_equation(bea.gradient_descent(), loss, 24), (1.0,), 0.1, 20),
        run,
        rtol=1e-10,
        atol=1e-11,
    )
    assert abs(bea.flow(bea.modified_equation(bea.gradient_descent(), loss, 3), (1.0,), 0.1, 20) - run).max() > 1e-3


@pytest.mark.parametrize("name", ["heavy_ball", "adam", "rmsprop outside"])
def test_flows_of_batches_are_flows_one_by_one(name):
    points = np.array([[0.9, 1.5], [0.4, 0.7]])
    for loss in (bea.bilinear(), bea.logistic_regression()):
        for equation in (
            bea.modified_equation(make(name), loss, 3),
            bea.transient_equation(make(name), loss),
        ):
            together = bea.flow(equation, points, 0.02, 4)
            assert together.shape == (5, 2, 2)
            for i in range(2):
                np.testing.assert_allclose(together[:, i], bea.flow(equation, points[i], 0.02, 4), rtol=1e-9)
    many = bea.modified_equation(
        make(name, **({"beta": [0.1, 0.5]} if name != "rmsprop outside" else {"rho": [0.1, 0.5]})),
        bea.bilinear(),
        2,
    )
    assert bea.flow(many, START, 0.02, 4).shape == (5, 2, 2)


def test_the_piecewise_flow_takes_each_piece_in_turn():
    """First order: an Euler step of the run and the flow of each mini-batch's own gradient, by the exact exponential of a quadratic."""
    losses = [bea.quadratic([1, 3]), bea.quadratic([2, 0.5])]
    equation = bea.transient_equation(bea.gradient_descent(), losses, order=1, batches=(0, 1, 1, 0))
    path, theta = bea.flow(equation, (1.0, -1.0), 0.1, 4), np.array([1.0, -1.0])
    for n, rates in enumerate(([1, 3], [2, 0.5], [2, 0.5], [1, 3])):
        theta = theta * np.exp(-0.1 * np.array(rates))
        np.testing.assert_allclose(path[n + 1], theta, rtol=1e-11)


def test_anything_with_a_field_flows():
    class Decay:
        def field(self, h):
            return lambda theta: -theta

    np.testing.assert_allclose(
        bea.flow(Decay(), (1.0, 2.0), 0.1, 3)[-1], np.array([1.0, 2.0]) * np.exp(-0.3), rtol=1e-10
    )


def test_a_kept_flow_of_mini_batches_starts_at_once():
    losses = [bea.quadratic([1, 2]), bea.quadratic([2, 1])]
    for optimizer in (bea.gradient_descent(), bea.heavy_ball(0.99, damped=True)):
        equation = bea.modified_equation(optimizer, losses, 2, memory="kept", batches=[0, 1, 1])
        path = bea.flow(equation, (1.0, 2.0), 0.01, 3)
        assert abs(path - bea.run(optimizer, losses, (1.0, 2.0), 0.01, 3, batches=[0, 1, 1])).max() < 1e-3


def test_a_kept_flow_of_mini_batches_needs_a_batch_for_each_step():
    losses = [bea.quadratic([1, 2]), bea.quadratic([2, 1])]
    equation = bea.modified_equation(bea.heavy_ball(0.5), losses, 2, memory="kept", batches=[0, 1, 1])
    with pytest.raises(ValueError, match="4 steps were asked for, but batches names the mini-batches of 3"):
        bea.flow(equation, (1.0, 2.0), 0.01, 4)


def test_a_flow_that_blows_up_says_where():
    """y' = y^2 from 1 blows up at t = 1: with h = 0.07 the last time before it is 14 h."""
    y = sp.Symbol("y")
    loss = bea.VectorField((y**2,), (y,))
    t = 0.07 * np.arange(15)
    for equation in (
        bea.modified_equation(bea.gradient_descent(), loss, 1),
        bea.transient_equation(bea.gradient_descent(), loss, 1),
    ):
        with pytest.raises(bea.Divergence, match="step") as caught:
            bea.flow(equation, (1.0,), 0.07, 30, tolerance=1e-6)
        assert caught.value.step == 15 == len(caught.value.path)
        np.testing.assert_allclose(caught.value.path[:, 0], 1 / (1 - t), rtol=1e-3)


def test_a_flow_that_grows_without_bound_ends():
    """exp(300 t) at t = 0.8 is the first above 1e100, a size that no solution that matters has."""
    equation = bea.modified_equation(bea.gradient_descent(), bea.quadratic([-300]), 1)
    with pytest.raises(bea.Divergence, match="step 8 of 30") as caught:
        bea.flow(equation, (1.0,), 0.1, 30)
    np.testing.assert_allclose(caught.value.path[:, 0], np.exp(30.0 * np.arange(8)), rtol=1e-8)


X, Y = sp.symbols("x y", real=True)
BENT = bea.Loss(sp.Abs(X) + (X - Y) ** 2 / 2 + sp.Max(0, Y - sp.Rational(1, 2)) ** 2, (X, Y))


@pytest.mark.parametrize("method", [None, "DOP853", "RK45", "LSODA", "Radau"])
@pytest.mark.parametrize(
    "equation, theta0, steps, last",
    [
        (bea.modified_equation(bea.gradient_descent(), bea.Loss(abs(X), (X,)), 1), (0.055,), 20, 6),
        (bea.modified_equation(bea.heavy_ball(0.5), bea.Loss(abs(X), (X,)), 2), (0.055,), 20, 3),
        (bea.modified_equation(bea.gradient_descent(), bea.Loss(abs(X), (X,)), 1, "kept"), (0.055,), 20, 6),
        (bea.transient_equation(bea.gradient_descent(), bea.Loss(abs(X), (X,))), (0.055,), 20, 6),
        (bea.modified_equation(bea.gradient_descent(), BENT, 1), (0.8, -0.2), 300, 58),
    ],
)
def test_a_flow_ends_at_a_kink(equation, theta0, steps, last, method):
    """The field of |x| points at 0 from both sides: the solver's steps once became smaller without end."""
    with pytest.raises(bea.Divergence, match=f"ends before step {last} of {steps} .* perhaps at a kink") as caught:
        bea.flow(equation, theta0, 0.01, steps, method=method)
    assert caught.value.step == last == len(caught.value.path)


def test_a_flow_that_meets_a_kink_exactly_ends_there():
    """What no solver can expand is a kink that it has come to, not an error of the point from which it started."""
    p, q = sp.symbols("p q", real=True)
    ridge = bea.Loss(sp.Abs(p - sp.Rational(1, 3)) + q**2 + p * q / 3, (p, q))
    for equation in (
        bea.modified_equation(bea.gradient_descent(), ridge, 2),
        bea.modified_equation(bea.gradient_descent(), ridge, 2, memory="kept"),
        bea.modified_equation(bea.signum(0.6, 0.0), bea.quadratic([1, 2]), 2),
    ):
        with pytest.raises(bea.Divergence, match="the field jumps there") as caught:
            bea.flow(equation, (1.0, 1.0), 0.01, 300)
        assert 50 < caught.value.step <= 101 and len(caught.value.path) == caught.value.step
    at_zero = bea.modified_equation(bea.gradient_descent(), bea.Loss(sp.Abs(p) + p / 2, (p,)), 2)
    with pytest.raises(ValueError, match="gradient_descent has no expansion at this point"):
        bea.flow(at_zero, (0.0,), 0.01, 300)


def test_every_solver_ends_at_a_kink_that_it_meets(monkeypatch):
    """A field that, as a kink does, cannot be expanded below 1/2."""

    def rate(theta):
        if theta[0] < 0.5:
            raise NoExpansion("a kink")
        return -np.ones(1)

    class Broken:
        def field(self, h):
            return rate

    pieces = bea.transient_equation(bea.gradient_descent(), bea.quadratic([1]))
    monkeypatch.setattr(type(pieces), "pieces", lambda self, h, steps: [rate] * steps)
    for equation, method in ((Broken(), None), (Broken(), "DOP853"), (Broken(), "Radau"), (pieces, None)):
        with pytest.raises(bea.Divergence, match="the field jumps there") as caught:
            bea.flow(equation, (1.0,), 0.125, 20, method=method)
        assert len(caught.value.path) >= 1 and caught.value.path.min() >= 0.5
    with pytest.raises(NoExpansion):
        bea.flow(pieces, (0.25,), 0.125, 20)


def test_a_piece_that_begins_at_a_kink_ends_a_flow(monkeypatch):
    def kink(theta):
        raise NoExpansion("a kink")

    pieces = bea.transient_equation(bea.gradient_descent(), bea.quadratic([1]))
    for smooth in (2, 0):
        monkeypatch.setattr(
            type(pieces), "pieces", lambda self, h, steps, n=smooth: [lambda theta: -np.ones(1)] * n + [kink]
        )
        if smooth:
            with pytest.raises(bea.Divergence, match="before step 3 of 20 .*: the field jumps there") as caught:
                bea.flow(pieces, (1.0,), 0.125, 20)
            np.testing.assert_allclose(caught.value.path[:, 0], [1, 0.875, 0.75])
        else:
            with pytest.raises(NoExpansion):
                bea.flow(pieces, (1.0,), 0.125, 20)


@pytest.mark.parametrize("name", ["log_expit", "logaddexp"])
def test_forms_of_heyoka_are_those_of_numpy(name):
    """Also where exp alone would overflow."""
    function = {"log_expit": special.log_expit, "logaddexp": np.logaddexp}[name]
    scope = {"select": np.where, "gt": np.greater, "exp": np.exp, "log1p": np.log1p}
    values = np.array([-800.0, -30.0, -0.5, 0.0, 0.5, 30.0, 800.0])
    given = [values, values[::-1] + 0.25][: function.nin]
    with np.errstate(over="ignore", invalid="ignore"):  # in the branch that is not taken
        found = eval(FORMS[name].format("x", "y"), scope, dict(zip("xy", given)))
    np.testing.assert_allclose(found, function(*given), rtol=1e-14)


def test_a_flow_passes_a_kink():
    """Of |x| + 2 x the field is -3 and then -1; of a loss that ends, x' = -1/x, no jump is said to be the cause."""
    equation = bea.modified_equation(bea.gradient_descent(), bea.Loss(abs(X) + 2 * X, (X,)), 1)
    np.testing.assert_allclose(bea.flow(equation, (0.31,), 0.1, 3)[:, 0], [0.31, 0.01, -0.29 / 3, -0.59 / 3])
    for method in ("DOP853", "LSODA", "RK45"):
        with pytest.raises(bea.Divergence, match="not finite at step 5 of 10"):
            ends = bea.modified_equation(bea.gradient_descent(), bea.Loss(sp.log(X), (X,)), 1)
            bea.flow(ends, (1.0,), 0.11, 10, method=method)


# --- errors -------------------------------------------------------------------------------------------------------------------------

ADAM, BILINEAR = make("adam"), bea.bilinear()
STEADY = bea.modified_equation(ADAM, BILINEAR, 2)


def test_symbols_cannot_flow():
    beta, lam = sp.symbols("beta lambda")
    for make_equation in (
        lambda o, loss: bea.modified_equation(o, loss, 2),
        bea.transient_equation,
        lambda o, loss: bea.modified_equation(o, loss, 2, "kept"),
    ):
        with pytest.raises(ValueError, match="holds the symbols beta; give them numbers"):
            bea.flow(make_equation(bea.heavy_ball(beta), BILINEAR), START, 0.1, 3)
        with pytest.raises(ValueError, match="give numbers to the parameters lambda"):
            bea.flow(make_equation(ADAM, bea.quadratic([lam])), (1.0,), 0.1, 3)
    exact = bea.adam(sp.Rational(3, 5), sp.Rational(4, 5), sp.Rational(1, 20))
    for make_equation in (
        lambda o: bea.modified_equation(o, BILINEAR, 2),
        lambda o: bea.transient_equation(o, BILINEAR),
    ):
        np.testing.assert_allclose(
            bea.flow(make_equation(exact), START, 0.01, 5),
            bea.flow(make_equation(ADAM), START, 0.01, 5),
            rtol=1e-13,
        )


@pytest.mark.parametrize("make", [bea.modified_equation, bea.transient_equation])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_more_points_per_step_lie_on_the_same_flow(make, steps):
    equation = make(bea.heavy_ball(beta=0.5), bea.bilinear(), order=2)
    coarse = bea.flow(equation, (0.9, 1.5), 1e-2, steps)
    fine = bea.flow(equation, (0.9, 1.5), 1e-2, steps, per_step=4)
    assert coarse.shape == (steps + 1, 2) and fine.shape == (4 * steps + 1, 2)
    np.testing.assert_allclose(fine[::4], coarse, rtol=1e-11)
    if steps:  # between two steps: the flow of the smooth equation with the same field
        field = equation.field(1e-2, 0) if make is bea.transient_equation else equation.field(1e-2)
        np.testing.assert_allclose((fine[1] - fine[0]) / 2.5e-3, field(fine[:2].mean(axis=0)), rtol=1e-3)


def test_points_per_step_must_be_a_positive_whole_number():
    equation = bea.modified_equation(bea.gradient_descent(), bea.bilinear(), order=1)
    with pytest.raises(ValueError, match="per_step"):
        bea.flow(equation, (0.9, 1.5), 1e-2, 3, per_step=0)
    with pytest.raises(TypeError):
        bea.flow(equation, (0.9, 1.5), 1e-2, 3, per_step=1.5)


def flowing(theta0=START, h=0.1, steps=2):
    return [
        lambda: bea.flow(STEADY, theta0, h, steps),
        lambda: bea.flow(bea.transient_equation(ADAM, BILINEAR), theta0, h, steps),
        lambda: bea.flow(bea.modified_equation(ADAM, BILINEAR, 2, "kept"), theta0, h, steps),
    ]


def test_step_sizes_and_numbers_of_steps_are_checked():
    for h in (0, -0.1, float("nan"), float("inf")):
        for ask in flowing(h=h):
            with pytest.raises(ValueError, match="step size h = .* must be in"):
                ask()
    for h in ("0.1", True, 1j):
        for ask in flowing(h=h):
            with pytest.raises(TypeError, match="step size h = .* must be a real number"):
                ask()
    for steps in (2.0, True, None, "2"):
        for ask in flowing(steps=steps):
            with pytest.raises(TypeError, match="steps = .* must be a whole number"):
                ask()
    for ask in flowing(steps=-1):
        with pytest.raises(ValueError, match="steps = -1 must be at least 0"):
            ask()
    with pytest.raises(ValueError, match="a flow takes one step size"):
        bea.flow(STEADY, [START, START], [0.1, 0.2], 2)
    with pytest.raises((TypeError, ValueError), match="step size"):
        bea.flow(STEADY, START, sp.Symbol("h"), 2)


def test_points_are_checked():
    for wrong in ((1.0,), (1.0, 2.0, 3.0), 1.0, np.ones((2, 2, 2))):
        for ask in flowing(theta0=wrong):
            with pytest.raises(ValueError, match="a point of shape"):
                ask()
    for ask in flowing(theta0=(np.nan, 1.0)):
        with pytest.raises(ValueError, match="must be finite"):
            ask()
    for ask in flowing(theta0=("x", "y")):
        with pytest.raises(TypeError, match="must hold numbers"):
            ask()


def test_points_are_checked_where_there_is_no_loss():
    class Decay:
        def field(self, h):
            return lambda theta: -theta

    for wrong, error, words in (
        (1.0, ValueError, "a point of shape"),
        ([], ValueError, "a point of shape"),
        ((np.nan, 1.0), ValueError, "the point is not finite at the start: coordinate 0"),
        (("x", "y"), TypeError, "must hold numbers"),
    ):
        with pytest.raises(error, match=words):
            bea.flow(Decay(), wrong, 0.1, 2)


@pytest.mark.parametrize("start", [(1.0,), [(1.0,), (0.5,)]])
def test_a_flow_may_leave_the_sign_that_a_symbol_was_given(start):
    """To first order exactly: (p + 1)^2/2 leads to p = 2 exp(-t) - 1, or 1.5 exp(-t) - 1, which is negative at t = 2."""
    p = sp.Symbol("p", positive=True)
    loss = bea.Loss((p + 1) ** 2 / 2, (p,))
    wanted = (np.array(start) + 1) * np.exp(-2) - 1
    for equation in (
        bea.modified_equation(bea.gradient_descent(), loss, 1),
        bea.transient_equation(bea.gradient_descent(), loss, 1),
    ):
        np.testing.assert_allclose(bea.flow(equation, start, 0.1, 20)[-1], wanted, rtol=1e-9)
        with pytest.raises(ValueError, match="p is declared positive"):
            bea.flow(equation, -np.array(start), 0.1, 20)


def test_arguments_of_the_wrong_kind_are_refused():
    for wrong in (None, 3, BILINEAR):
        with pytest.raises(TypeError, match="a modified equation is needed"):
            bea.flow(wrong, START, 0.1, 2)
    two = [BILINEAR, bea.bilinear(1, 1)]
    with pytest.raises(ValueError, match="step 2 was asked for, but batches names"):
        bea.flow(bea.transient_equation(ADAM, two, batches=(0, 1)), START, 0.1, 3)


# --- stiff equations ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [1e-4, 1e-8, 1e-10])
def test_small_epsilon_does_not_take_for_ever(epsilon):
    """Adam near the minimum of a quadratic is stiff: LSODA takes over, and agrees with an implicit solver of another family."""
    loss, start = bea.quadratic([1, 9]), (0.05, 0.02)
    equation = bea.modified_equation(bea.adam(0.9, 0.99, epsilon), loss, 1)
    evaluations = 0
    field = equation.field(0.01)

    class Counted:
        def field(self, h):
            def rhs(theta):
                nonlocal evaluations
                evaluations += 1
                return field(theta)

            return rhs

    path = bea.flow(Counted(), start, 0.01, 20)
    assert evaluations < 20_000
    radau = solve_ivp(
        lambda t, y: field(y),
        (0, 0.2),
        start,
        method="Radau",
        rtol=1e-10,
        atol=1e-12,
        t_eval=0.01 * np.arange(21),
    )
    np.testing.assert_allclose(path, radau.y.T, atol=1e-7)


def test_a_method_and_a_tolerance_may_be_chosen():
    loose = bea.flow(STEADY, START, 0.01, 10, method="RK45", tolerance=1e-3)
    with pytest.raises(ValueError, match="the tolerance must be one number, not .1e-06, 1e-07"):
        bea.flow(STEADY, START, 0.01, 10, tolerance=[1e-6, 1e-7])
    tight = bea.flow(STEADY, START, 0.01, 10)
    assert 0 < abs(loose - tight).max() < 1e-3
    with pytest.raises(ValueError, match="method"):
        bea.flow(STEADY, START, 0.01, 10, method="Euler")


# --- Taylor series ------------------------------------------------------------------------------------------------------------------

X, Y = sp.symbols("x y", real=True)
SMOOTH = bea.Loss(sp.log(1 + sp.exp(X - Y)) + sp.exp(sp.cos(X) / 2) + sp.tanh(Y) ** 2 + sp.atan(X * Y), (X, Y))


@pytest.mark.parametrize(
    ("name", "loss"), [*((name, BILINEAR) for name in OPTIMIZERS), ("heavy_ball", SMOOTH), ("adam", SMOOTH)]
)
def test_taylor_series_give_the_same_flow(name, loss):
    """To 1e-10, at two step sizes, which are a parameter of what is compiled; the terms matter a million times as much."""
    pytest.importorskip("heyoka", reason="heyoka is not installed")
    first, equation = (bea.modified_equation(make(name), loss, order) for order in (1, 2))
    for h in (0.01, 0.02):
        plain, taylor = (bea.flow(equation, START, h, 10, method=method, per_step=2) for method in (None, "taylor"))
        np.testing.assert_allclose(taylor, plain, rtol=1e-10)
        assert abs(plain - bea.flow(first, START, h, 10, per_step=2)).max() > 1e-4
    assert len(equation.__dict__["taylor"]) == 1


def test_taylor_series_of_logarithms_of_sums_do_not_overflow():
    """log(1 + exp(x)), log(exp(x) + exp(y)) and log(1/(1 + exp(-x))) where exp alone would be infinite."""
    pytest.importorskip("heyoka", reason="heyoka is not installed")
    x, y = sp.symbols("x y", real=True)
    for expression, start in (
        (sp.log(1 + sp.exp(x)) ** 2 / 2, (800.0, 1.0)),
        (sp.log(sp.exp(x) + sp.exp(y)) ** 2 / 2, (-800.0, 1.0)),
        (sp.log(sp.exp(x) + sp.exp(y)) ** 2 / 2, (800.0, 1.0)),
        (sp.log(1 / (1 + sp.exp(-x))) ** 2 / 2, (-800.0, 1.0)),
    ):
        equation = bea.modified_equation(bea.gradient_descent(), bea.Loss(expression, (x, y)), 2)
        plain, taylor = (bea.flow(equation, start, 0.1, 5, method=method) for method in (None, "taylor"))
        np.testing.assert_allclose(taylor, plain, rtol=1e-10)


def test_taylor_series_follow_batches_schedules_and_what_a_program_reads():
    pytest.importorskip("heyoka", reason="heyoka is not installed")
    together = bea.flow(STEADY, [START, (0.4, 0.7)], 0.01, 5, method="taylor")
    np.testing.assert_allclose(together, bea.flow(STEADY, [START, (0.4, 0.7)], 0.01, 5), rtol=1e-10)
    rates = [1.0]

    @bea.optimizer
    def fading(theta, gradient, memory):
        return rates[0] * gradient(theta) / (1 + memory.time)

    equation = bea.modified_equation(fading(), bea.quadratic([1]), 1)
    for rates[0] in (1.0, 2.0):
        path = bea.flow(equation, (1.0,), 0.01, 50, method="taylor")[:, 0]
        np.testing.assert_allclose(path, (1 + 0.01 * np.arange(51)) ** -rates[0], rtol=1e-10)


@pytest.mark.parametrize("steps", [flows.PIECE - 1, flows.PIECE, 2 * flows.PIECE, 2 * flows.PIECE + 1])
def test_taylor_series_of_many_points_are_joined(steps):
    pytest.importorskip("heyoka", reason="heyoka is not installed")
    equation = bea.modified_equation(bea.gradient_descent(), bea.quadratic([1, 2]), 1)
    path = bea.flow(equation, (1.0, -3.0), 1e-3, steps, method="taylor")
    t = 1e-3 * np.arange(steps + 1)
    np.testing.assert_allclose(path, np.stack([np.exp(-t), -3 * np.exp(-2 * t)], axis=1), rtol=1e-10)


def test_taylor_series_say_where_a_flow_ends():
    pytest.importorskip("heyoka", reason="heyoka is not installed")
    y = sp.Symbol("y")
    equation = bea.modified_equation(bea.gradient_descent(), bea.VectorField((y**2,), (y,)), 1)
    with pytest.raises(bea.Divergence, match="step 15 of 30") as caught:
        bea.flow(equation, (1.0,), 0.07, 30, method="taylor")
    np.testing.assert_allclose(caught.value.path[:, 0], 1 / (1 - 0.07 * np.arange(15)), rtol=1e-9)


def test_taylor_series_end_where_the_last_point_of_a_piece_is_missing():
    """y' = y^2 from 1, which ends at t = 1, half a step before that point; another piece would follow."""
    pytest.importorskip("heyoka", reason="heyoka is not installed")
    y, h, n = sp.Symbol("y"), 1 / (flows.PIECE - 0.5), flows.PIECE
    equation = bea.modified_equation(bea.gradient_descent(), bea.VectorField((y**2,), (y,)), 1)
    with pytest.raises(bea.Divergence, match=f"step {n} of {2 * n}") as caught:
        bea.flow(equation, (1.0,), h, 2 * n, method="taylor")
    np.testing.assert_allclose(caught.value.path[:, 0], 1 / (1 - h * np.arange(n)), rtol=1e-7)


def test_taylor_series_are_refused_where_they_do_not_exist(monkeypatch):
    def asked(equation):
        return lambda: bea.flow(equation, START, 0.01, 2, method="taylor")

    with pytest.raises(ValueError, match="'taylor' must be one of RK23, .*, or taylor for a ModifiedEquation"):
        asked(bea.transient_equation(ADAM, BILINEAR))()
    kept = bea.modified_equation(make("heavy_ball"), BILINEAR, 2, "kept")
    for equation in (kept, bea.modified_equation(ADAM, bea.logistic_regression(), 2)):
        with pytest.raises(TypeError, match="takes a ModifiedEquation of a symbolic loss"):
            asked(equation)()
    with pytest.raises(ValueError, match="one configuration at a time"):
        asked(bea.modified_equation(make("adam", beta=[0.1, 0.5]), BILINEAR, 2))()
    monkeypatch.setitem(sys.modules, "heyoka", None)
    with pytest.raises(ImportError, match=r"needs heyoka: pip install 'bea-book\[taylor\]'"):
        asked(bea.modified_equation(ADAM, BILINEAR, 2))()
    monkeypatch.undo()
    pytest.importorskip("heyoka", reason="heyoka is not installed")
    with pytest.raises(ValueError, match="'taylor' knows no sign"):
        asked(bea.modified_equation(ADAM, bea.Loss(sp.Abs(X) + Y**2, (X, Y)), 2))()


def test_a_field_may_read_the_time():
    """Under the name time; another second argument is the field's own business."""

    class Growing:
        def field(self, h):
            return lambda theta, time=0.0: time * theta

    class Bound:
        def field(self, h):
            return lambda theta, rate=-1.0: rate * theta

    t = 0.1 * np.arange(11)
    for method in (None, "LSODA", "Radau"):
        path = bea.flow(Growing(), (2.0,), 0.1, 10, method=method)
        np.testing.assert_allclose(path[:, 0], 2 * np.exp(t**2 / 2), rtol=1e-9)
    np.testing.assert_allclose(bea.flow(Bound(), (2.0,), 0.1, 10)[:, 0], 2 * np.exp(-t), rtol=1e-10)


def test_a_schedule_is_followed_by_the_flow():
    """A step that fades with the time, on a parabola, exactly: theta' = -theta/(1 + t) + O(h)."""

    @bea.optimizer
    def fading(theta, gradient, memory):
        return gradient(theta) / (1 + memory.time)

    for equation in (
        bea.modified_equation(fading(), bea.quadratic([1]), 1),
        bea.transient_equation(fading(), bea.quadratic([1]), 1),
    ):
        path = bea.flow(equation, (1.0,), 0.01, 50)[:, 0]
        wanted = 1 / (1 + 0.01 * np.arange(51))
        smooth = equation.__class__.__name__ == "ModifiedEquation"
        np.testing.assert_allclose(path, wanted, rtol=1e-9 if smooth else 6e-3)
    run = naive.path(fading(), [lambda t: t] * 50, np.array([1.0]), 0.01)
    three = bea.flow(bea.modified_equation(fading(), bea.quadratic([1]), 3), (1.0,), 0.01, 50)
    assert abs(three - run).max() < 1e-6


def test_the_start_is_blamed_where_the_field_is_not_finite():
    """With several points, the coordinate is named; and the solver is not asked."""
    x, y = sp.symbols("x y", real=True)
    loss = bea.Loss(x**2 + sp.sqrt(y - 1), (x, y))
    for equation in (
        bea.modified_equation(bea.gradient_descent(), loss, 1),
        bea.transient_equation(bea.gradient_descent(), loss, 1),
    ):
        for start in ((1.0, 0.5), [(1.0, 2.0), (2.0, 3.0), (1.0, 0.5)], [(1.0, 0.5), (1.0, 2.0), (2.0, 3.0)]):
            with pytest.raises(ValueError, match="the field is not finite at the start: coordinate 1"):
                bea.flow(equation, start, 0.01, 3)


# --- compiled LSODA, and what follows where it gives up -----------------------------------------------------------------------------


@dataclass
class Field:
    """A field as it is, and how often it was asked."""

    rate: Callable
    asked: int = 0

    def field(self, h):
        def rhs(theta, time):
            self.asked += 1
            return self.rate(theta, time)

        return rhs


@pytest.mark.parametrize("seed", range(6))
def test_compiled_lsoda_agrees_with_plain_solvers(seed):
    """Random smooth, bent and stiff fields, against DOP853 and Radau, which are Python: to 2e-9; no solver in Python is asked."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 5))
    a, c, start = rng.standard_normal((d, d)), rng.standard_normal(d), rng.standard_normal(d)
    fields = {
        "smooth": (lambda y, t: np.tanh(a @ y) + c * np.cos(t) - y, "DOP853", 1e-13),
        "bent": (lambda y, t: np.abs(a @ y - c) + np.maximum(y, t) - y, "DOP853", 1e-13),
        "jumps": (lambda y, t: np.abs(c) * (2 + np.sign(y)), "DOP853", 1e-13),
        "stiff": (lambda y, t: np.sin(a @ y) - np.linspace(1, 1e5, d) * y, "Radau", 1e-10),
    }
    for rate, method, tolerance in fields.values():
        plain = bea.flow(Field(rate), start, 0.02, 40, method=method, tolerance=tolerance)
        with pytest.MonkeyPatch.context() as patch:
            patch.delattr("scipy.integrate.DOP853")
            path = bea.flow(Field(rate), start, 0.02, 40)
        np.testing.assert_allclose(path, plain, rtol=2e-9, atol=2e-9)
        assert abs(bea.flow(Field(lambda y, t: 1.000001 * rate(y, t)), start, 0.02, 40) - plain).max() > 2e-8  # noqa: B023


def test_lsoda_is_not_asked_beyond_the_end():
    last = 0.0

    def rate(theta, time):
        nonlocal last
        last = max(last, time)
        return -theta

    bea.flow(Field(rate), (1.0,), 0.1, 7)
    assert 0.5 < last <= 0.1 * 7


def test_a_field_may_itself_ask_for_a_flow():
    """odeint cannot be entered twice: the inner flow has DOP853's values, the outer one its own."""
    inner = bea.modified_equation(bea.gradient_descent(), bea.quadratic([1]), 1)
    path = bea.flow(Field(lambda theta, time: -theta * bea.flow(inner, (1.0,), 0.1, 10)[-1]), (2.0,), 0.1, 10)
    np.testing.assert_allclose(path[:, 0], 2 * np.exp(-np.exp(-1) * 0.1 * np.arange(11)), rtol=1e-10)
    after = bea.flow(inner, (1.0,), 0.1, 10)
    np.testing.assert_allclose(after[:, 0], np.exp(-0.1 * np.arange(11)), rtol=1e-10)


def test_flows_in_threads_have_the_bits_that_they_have_alone():
    fields = [Field(lambda y, t, k=k: np.array([y[1], -k * y[0] - y[0] ** 3])) for k in range(1, 9)]
    flows_of = partial(bea.flow, theta0=(1.0, 0.3), h=0.1, steps=40)
    alone = [flows_of(field) for field in fields]
    patience = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(flows_of, fields))
    finally:
        sys.setswitchinterval(patience)
    np.testing.assert_array_equal(together, alone)


def test_what_a_field_raises_comes_out():
    """And the next flow starts afresh."""

    def rate(theta, time):
        if time > 0.3:
            raise LookupError("no wind after 0.3")
        return -theta

    for _ in range(2):
        with pytest.raises(LookupError, match="no wind"):
            bea.flow(Field(rate), (1.0,), 0.1, 10)
    counted = Field(lambda theta, time: -theta)
    bea.flow(counted, (1.0,), 0.1, 10)
    assert counted.asked < 200  # DOP853 needs 170 for as few points, and 700 for 100


def test_patience_is_counted_for_each_point_in_time():
    """A long smooth flow of many values, for which LSODA is not asked, is not taken for a stiff one: DOP853 does it alone."""
    asked, start = [], np.ones(flows.SMALL + 1)

    class Slow:
        def field(self, h):
            def rhs(theta):
                asked.append(theta)
                return -theta

            return rhs

    path = bea.flow(Slow(), start, 1e-3, 5000)
    assert 2000 < len(asked) < flows.PATIENCE  # twelve for thirty steps
    np.testing.assert_allclose(path[-1], np.exp(-5.0), rtol=1e-10)
    np.testing.assert_array_equal(path, bea.flow(Slow(), start, 1e-3, 5000, method="DOP853"))


SCALE = 1.0


@bea.optimizer
def pulses(theta, gradient, memory):
    return gradient(theta) * np.exp(-((np.sin(memory.time / 3) / 0.05) ** 2))


@bea.optimizer
def burst(theta, gradient, memory):
    """Twenty steps of a large learning rate among many of a small one."""
    return gradient(theta) * np.where((memory.time > 50.05) & (memory.time < 52.05), 1.0, 0.001)


@bea.optimizer
def heavy_pulses(theta, gradient, memory):
    return memory.average(gradient(theta), 0.1) * np.exp(-((np.sin(memory.time / 3) / 0.05) ** 2))


PULSES = quad(lambda t: np.exp(-((np.sin(t / 3) / 0.05) ** 2)), 0, 100, points=3 * np.pi * np.arange(11), limit=500)[0]


@pytest.mark.parametrize(("program", "wanted"), [(pulses, PULSES), (burst, 2 + 0.098)])
def test_no_flow_steps_over_a_part_of_a_schedule(program, wanted):
    """On a parabola, exactly: minus the logarithm of the end is the schedule's integral."""
    equation = bea.modified_equation(program(), bea.quadratic([1]), 1)
    for method in (None, "DOP853", "taylor") if program is pulses else (None, "DOP853"):
        if method == "taylor" and not find_spec("heyoka"):
            continue
        end = bea.flow(equation, (1.0,), 0.1, 1000, method=method)[-1, 0]
        np.testing.assert_allclose(-np.log(end), wanted, rtol=1e-8)


def test_no_kept_flow_steps_over_a_part_of_a_schedule():
    kept = bea.modified_equation(heavy_pulses(), bea.quadratic([1]), 1, memory="kept")
    steady = bea.modified_equation(heavy_pulses(), bea.quadratic([1]), 1)
    a, b = (bea.flow(equation, (1.0,), 0.1, 1000)[-1, 0] for equation in (kept, steady))
    np.testing.assert_allclose([a, b], np.exp(-PULSES), rtol=0.05)
    assert a != b


@pytest.mark.parametrize("method", [None, "DOP853", "taylor"])
def test_no_flow_steps_over_a_barrier(method):
    """In one dimension no solution passes an equilibrium; the slope before it is flat, so that the solver's steps grow."""
    if method == "taylor":
        pytest.importorskip("heyoka", reason="heyoka is not installed")
    loss = bea.Loss(-X + 2 * sp.exp(-((X - 50) ** 2)), (X,))
    equation = bea.modified_equation(bea.gradient_descent(), loss, 1)
    wall = brentq(lambda x: loss.gradient([x])[0], 48, 49)
    np.testing.assert_allclose(bea.flow(equation, (0.0,), 0.1, 1500, method=method)[-1], wall, rtol=1e-10)


def test_fields_of_the_wrong_kind_are_refused():
    def in_place(theta):
        theta *= 0
        return theta + 1.0

    for rate, error, text in (
        (in_place, ValueError, "read-only"),
        (lambda theta: None, ValueError, "the field has 1 values at a point of shape"),
        (lambda theta: theta[:1], ValueError, "the field has 1 values at a point of shape"),
        (lambda theta: 1j * theta, TypeError, "complex"),
        (lambda theta: theta + np.random.default_rng().normal(), ValueError, "two values at the start"),
    ):
        control = type("Control", (), {"field": lambda self, h, rate=rate: rate})()
        for method in (None, "DOP853"):
            with pytest.raises(error, match=text):
                bea.flow(control, (1.0, 2.0), 0.1, 2, method=method)


def test_a_flow_sees_what_the_program_reads_when_it_begins(monkeypatch):
    """A field asks at every point, a flow at its start."""

    @bea.optimizer
    def scaled(theta, gradient, memory):
        return SCALE * gradient(theta)

    equation, ends = bea.modified_equation(scaled(), bea.quadratic([1.0]), 1), []
    for value in [1.0] * 5 + [2.0] * 5 + [1.0]:
        monkeypatch.setattr(sys.modules[__name__], "SCALE", value)
        ends.append(bea.flow(equation, (1.0,), 0.1, 10)[-1].item())
    np.testing.assert_allclose(ends, np.exp([-1.0] * 5 + [-2.0] * 5 + [-1.0]), rtol=1e-8)
