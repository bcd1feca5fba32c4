"""The transient equation from the first step on: the paper's theorem by its printed sums, its readings, its limits; and mutants.

Each oracle is a function that raises AssertionError; the tests call them, and the mutants at the end must make them fail.
"""

from functools import cache, partial

import numpy as np
import pytest
import sympy as sp

import bea
import naive
from bea import transient
from bea.program import Running
from naive import perturbed_norm_gradient, random_polynomial, zero

R = sp.Rational
BETA, RHO, EPSILON = sp.symbols("beta rho epsilon", positive=True)
A, B = sp.symbols("a b", real=True)
ADAM, BILINEAR = bea.adam(0.9, 0.95, 0.1), bea.bilinear()


HYPER = {"beta": R(7, 10), "rho": R(4, 5), "epsilon": R(1, 10)}

ORDER_OF_BATCHES = (2, 0, 0, 1, 2, 1)

POINT = (R(2, 3), -R(4, 5))


@cache
def three_losses():
    rng = np.random.default_rng(8)
    return tuple(bea.Loss(random_polynomial(rng, (A, B), 3), (A, B)) for _ in range(3))


def theorem_by_sums(n, gradients, hessians, beta, rho, epsilon, inside, corrected):
    """The right side f_0, f_1 of the paper's theorem on [t_n, t_{n+1}], term by term as printed; gradients[k], hessians[k] at step k."""
    d = len(gradients[0])

    def weight(decay, k, upto):
        return (1 - decay) * decay ** (upto - k) / ((1 - decay ** (upto + 1)) if corrected else 1)

    def moments_at(upto):
        m = [sum(weight(beta, k, upto) * gradients[k][j] for k in range(upto + 1)) for j in range(d)]
        v = [sum(weight(rho, k, upto) * gradients[k][j] ** 2 for k in range(upto + 1)) for j in range(d)]
        r = [sp.sqrt(x + epsilon) if inside else sp.sqrt(x) + epsilon for x in v]
        return m, v, r

    ratios = []
    for step in range(n + 1):
        m, v, r = moments_at(step)
        ratios.append([a / b for a, b in zip(m, r)])
    f_0, f_1 = [], []
    for j in range(d):
        big_l = sum(
            weight(beta, k, n) * sum(hessians[k][i][j] * sum(ratios[step][i] for step in range(k, n)) for i in range(d))
            for k in range(n + 1)
        )
        l_bar = sum(weight(beta, k, n) * sum(hessians[k][i][j] * ratios[n][i] for i in range(d)) for k in range(n + 1))
        big_p = sum(
            weight(rho, k, n)
            * gradients[k][j]
            * sum(hessians[k][i][j] * sum(ratios[step][i] for step in range(k, n)) for i in range(d))
            for k in range(n + 1)
        )
        p_bar = sum(
            weight(rho, k, n) * gradients[k][j] * sum(hessians[k][i][j] * ratios[n][i] for i in range(d))
            for k in range(n + 1)
        )
        denominator = 2 * r[j] ** 3 if inside else 2 * sp.sqrt(v[j]) * r[j] ** 2
        f_0.append(-m[j] / r[j])
        f_1.append(m[j] * (2 * big_p + p_bar) / denominator - (2 * big_l + l_bar) / (2 * r[j]))
    return f_0, f_1


def derivatives_at_point(batches):
    losses = three_losses()
    here = dict(zip((A, B), POINT))
    gradients = [[g.subs(here) for g in losses[i].gradient_expressions] for i in batches]
    hessians = [losses[i].hessian_expressions.subs(here).tolist() for i in batches]
    return here, gradients, hessians


def oracle_theorem(inside=True, corrected=True, steps=(0, 1, 4)):
    """Three random cubic losses, batches 2, 0, 0, 1, 2: symbolic terms and the numeric field, against the sums with 30 digits."""
    here, gradients, hessians = derivatives_at_point(ORDER_OF_BATCHES)
    optimizer = bea.adam(**HYPER, epsilon_inside=inside, bias_correction=corrected)
    equation = bea.transient_equation(optimizer, list(three_losses()), batches=ORDER_OF_BATCHES)
    for n in steps:
        wanted = theorem_by_sums(n, gradients, hessians, **HYPER, inside=inside, corrected=corrected)
        numeric = [equation.field(h, n)([float(x) for x in POINT]) for h in (1e-3, 1.0)]
        for h, field in zip((1e-3, 1.0), numeric):
            np.testing.assert_allclose(field, [float(sp.N(a + h * b, 30)) for a, b in zip(*wanted)], rtol=1e-11)
        if n <= 2:
            for term, formula in zip(equation.terms(n), wanted):
                assert all(abs(sp.N(a.subs(here) - b, 30)) < 1e-20 for a, b in zip(term, formula))


def oracle_linear_transient(name="heavy_ball", steps=(0, 1, 2, 3, 4)):
    """Momentum: U = sum_k c_k g_k, so f_1 = -sum_k c_k H_k (sum_{k<=l<n} U_l + U_n/2), with the coefficients c_k of each method."""
    _, gradients, hessians = derivatives_at_point(ORDER_OF_BATCHES)
    beta = HYPER["beta"]
    optimizer, coefficient = {
        "gradient_descent": (bea.gradient_descent(), lambda age: 1 if age == 0 else 0),
        "heavy_ball": (bea.heavy_ball(beta), lambda age: beta**age),
        "heavy_ball damped": (
            bea.heavy_ball(beta, damped=True),
            lambda age: (1 - beta) * beta**age,
        ),
        "nesterov": (bea.nesterov(beta), lambda age: (1 if age == 0 else 0) + beta * beta**age),
    }[name]
    g, hess = [sp.Matrix(x) for x in gradients], [sp.Matrix(x) for x in hessians]
    u = [sum((coefficient(n - k) * g[k] for k in range(n + 1)), sp.zeros(2, 1)) for n in range(len(g))]
    equation = bea.transient_equation(optimizer, list(three_losses()), batches=ORDER_OF_BATCHES)
    for n in steps:
        wanted = sum(
            (
                -coefficient(n - k) * hess[k] * (sum((u[step] for step in range(k, n)), sp.zeros(2, 1)) + u[n] / 2)
                for k in range(n + 1)
            ),
            sp.zeros(2, 1),
        )
        found = equation.field(0.5, n)([float(x) for x in POINT])
        np.testing.assert_allclose(found, np.array(-u[n] + wanted / 2, dtype=float).ravel(), rtol=1e-12)


def oracle_adam_full_batch_finite_n(n):
    """The full-batch equation with C_beta(n), C_rho(n) instead of (1+beta)/(1-beta), (1+rho)/(1-rho), in one variable, all symbols."""
    x = sp.Symbol("x", real=True)
    loss = bea.Loss(sp.Function("E")(x), (x,))
    f_0, f_1 = bea.transient_equation(bea.adam(BETA, RHO, EPSILON), loss).terms(n)

    def c(decay):
        return (1 + decay) / (1 - decay) - 2 * (n + 1) * decay ** (n + 1) / (1 - decay ** (n + 1))

    g, slope = loss.gradient_expressions[0], perturbed_norm_gradient(loss, EPSILON)[0]
    bias = (c(BETA) - c(RHO) + c(RHO) * EPSILON / (g**2 + EPSILON)) * slope / 2
    assert zero(f_0[0] + g / sp.sqrt(g**2 + EPSILON))
    assert zero(f_1[0] + bias / sp.sqrt(g**2 + EPSILON))


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("corrected", [True, False])
def test_the_theorem_for_mini_batches(inside, corrected):
    oracle_theorem(inside, corrected)


@pytest.mark.parametrize("name", ["gradient_descent", "heavy_ball", "heavy_ball damped", "nesterov"])
def test_momentum_from_the_first_step_on(name):
    oracle_linear_transient(name)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_the_full_batch_equation_at_finite_n(n):
    oracle_adam_full_batch_finite_n(n)


def test_rmsprop_from_the_first_step_on():
    """The theorem with beta = 0."""
    _, gradients, hessians = derivatives_at_point(ORDER_OF_BATCHES)
    hyper = {**HYPER, "beta": sp.Integer(0)}
    for corrected in (True, False):
        optimizer = bea.rmsprop(HYPER["rho"], HYPER["epsilon"], bias_correction=corrected)
        equation = bea.transient_equation(optimizer, list(three_losses()), batches=ORDER_OF_BATCHES)
        for n in (0, 2, 4):
            wanted = theorem_by_sums(n, gradients, hessians, **hyper, inside=True, corrected=corrected)
            np.testing.assert_allclose(
                equation.field(0.5, n)([float(x) for x in POINT]),
                [float(sp.N(a + b / 2, 30)) for a, b in zip(*wanted)],
                rtol=1e-11,
            )


OPTIMIZERS = {
    "gradient_descent": bea.gradient_descent(),
    "heavy_ball": bea.heavy_ball(0.6),
    "heavy_ball damped": bea.heavy_ball(0.6, damped=True),
    "nesterov": bea.nesterov(0.6),
    "rmsprop": bea.rmsprop(0.7, 0.05),
    "rmsprop outside": bea.rmsprop(0.7, 0.05, epsilon_inside=False, bias_correction=True),
    "adam": bea.adam(0.6, 0.7, 0.05),
    "adam outside": bea.adam(0.3, 0.7, 0.05, epsilon_inside=False),
    "adam not corrected": bea.adam(0.6, 0.7, 0.05, bias_correction=False),
    "adamw": bea.adamw(0.6, 0.7, 0.05, 0.3),
    "nadam": bea.nadam(0.6, 0.7, 0.05),
    "signum": bea.signum(0.6, 0.05),
    "lion": bea.lion(0.5, 0.6, 0.05, 0.3),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_late_pieces_are_the_stationary_equation(name):
    """n = 150 at decays of at most 0.7 (0.7^150 = 6e-24): equal to 1e-11; at n = 3 they differ by more than 1e-3."""
    points = np.random.default_rng(1).uniform(0.4, 1.3, (3, 2))
    transient = bea.transient_equation(OPTIMIZERS[name], bea.bilinear())
    stationary = bea.modified_equation(OPTIMIZERS[name], bea.bilinear(), 2).field(0.1)(points)
    np.testing.assert_allclose(transient.field(0.1, 150)(points), stationary, rtol=1e-11)
    if name != "gradient_descent":
        assert np.abs(transient.field(0.1, 3)(points) - stationary).max() > 1e-3


@pytest.mark.parametrize("corrected", [False, True])
def test_pieces_with_exact_numbers_are_exact_also_where_an_average_remembers_nothing(corrected):
    x = sp.Symbol("x", positive=True)
    rmsprop = bea.rmsprop(R(1, 2), R(0), bias_correction=corrected)
    terms = bea.transient_equation(rmsprop, bea.Loss(x**2 / 2, (x,))).terms(1)
    assert not any(term.has(sp.Float) for term in terms)
    # the weights of (x + h)^2 and x^2 are 1/3 and 2/3: a lag of 1/3
    if corrected:
        assert terms[1][0] == 1 / (3 * x)


def test_the_transient_equation_ends_at_order_two():
    with pytest.raises(ValueError, match="a transient equation, = 3 must be from 1 to 2"):
        bea.transient_equation(ADAM, BILINEAR, order=3)
    first = bea.transient_equation(ADAM, BILINEAR, order=1)
    assert len(first.terms(2)) == 1
    np.testing.assert_allclose(
        first.field(0.1, 2)([0.9, 1.5]),
        np.array(first.terms(2)[0].subs(dict(zip(BILINEAR.symbols, (0.9, 1.5)))), dtype=float).ravel(),
    )


def test_several_losses_need_a_sequence_of_batches():
    with pytest.raises(ValueError, match="takes one loss"):
        bea.modified_equation(ADAM, [BILINEAR, BILINEAR], 2)
    with pytest.raises(ValueError, match="2 mini-batch losses were given without batches"):
        bea.transient_equation(ADAM, [BILINEAR, BILINEAR])
    for wrong in ((0, 2), (-1, 0)):
        with pytest.raises(ValueError, match=r"batches must lie in 0..1 for 2 losses; .* were given"):
            bea.transient_equation(ADAM, [BILINEAR, BILINEAR], batches=wrong)
    for wrong in ((), (0.0, 1.0), "01", [[0, 1]], 1, (True, False)):
        with pytest.raises(TypeError, match="non-empty sequence of whole numbers"):
            bea.transient_equation(ADAM, [BILINEAR, BILINEAR], batches=wrong)
    equation = bea.transient_equation(ADAM, [BILINEAR, BILINEAR], batches=(0, 1, 1))
    for ask in (
        lambda: equation.terms(3),
        lambda: equation.field(0.1, 3),
        lambda: list(equation.pieces(0.1, 4)),
    ):
        with pytest.raises(
            ValueError,
            match="step 3 was asked for, but batches names the mini-batches of 3 steps only",
        ):
            ask()
    with pytest.raises(ValueError, match="several mini-batch losses"):
        _ = equation.loss


def test_steps_are_whole_and_not_negative():
    equation = bea.transient_equation(ADAM, BILINEAR)
    for n in (-1, 1.0, True, None, "1"):
        for ask in (lambda n: equation.terms(n), lambda n: equation.field(0.1, n)):
            with pytest.raises((ValueError, TypeError), match="the step n = .* must be"):
                ask(n)
    assert list(equation.pieces(0.1, 0)) == []
    two = bea.transient_equation(ADAM, [BILINEAR, BILINEAR], batches=(0, 1))
    for n in (2, 3, 7):
        for ask in (lambda n: two.terms(n), lambda n: two.field(0.1, n)):
            with pytest.raises(ValueError, match=f"step {n} was asked for, but batches names the mini-batches of 2"):
                ask(n)


# --- the readings of a piece ---------------------------------------------------------------------------------------------------------

THREE = [bea.bilinear(), bea.bilinear(1, 1), bea.bilinear(R(1, 2), 3)]
IRREGULAR = (0, 2, 1, 1, 0, 2, 2) * 60
CODED = bea.NumericLoss(2, None, bea.bilinear().gradient_code)


def plain(equation, theta, n, h=0.05):
    return equation._step_by_step(equation.optimizer, np.array(theta), n, h)


def at_once(equation, theta, n, h=0.05):
    memory = partial(transient._AllSteps, h, n + 1)
    return equation._terms(equation.optimizer, np.array(theta), n + 1, equation._at_once, memory)


def mean_age(equation, theta, n):
    return equation._terms(equation.optimizer, np.array(theta), 1, equation._in_turn, partial(transient._MeanAge, n))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_all_steps_at_once_are_step_by_step(name):
    """Full batch and mini-batches, one and two terms: to 1e-12."""
    for losses, batches in ((BILINEAR, None), (CODED, None), (THREE, IRREGULAR)):
        for order in (1, 2):
            equation = bea.transient_equation(OPTIMIZERS[name], losses, order, batches)
            for n in (0, 1, 2, 7, 90):
                found, wanted = at_once(equation, (0.9, 1.5), n), plain(equation, (0.9, 1.5), n)
                np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_decays_that_change_are_read_all_at_once():
    """A decay that grows with the steps, one that grows with the time, and the step before's gradient: to 1e-12."""

    @bea.optimizer
    def growing(theta, gradient, memory):
        g = gradient(theta)
        m = memory.average(g, 0.9 * (memory.step + 1) / (memory.step + 4), corrected=True)
        return m + memory.previous(g, 1.0) / (memory.average(g**2, 0.8 - 0.5 * np.exp(-memory.time)) + 0.1)

    for losses, batches in ((BILINEAR, None), (THREE, IRREGULAR)):
        equation = bea.transient_equation(growing(), losses, batches=batches)
        for n in (0, 1, 2, 7, 90):
            found, wanted = at_once(equation, (0.9, 1.5), n), plain(equation, (0.9, 1.5), n)
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
        assert trusted(equation, growing()) == "at_once"


def test_a_decay_that_leaves_its_range_is_refused_by_every_reading():
    """At step 10 here, or at another point than the first one: as a run refuses it."""

    @bea.optimizer
    def ramp(theta, gradient, memory):
        return memory.average(gradient(theta), memory.step / 10)

    @bea.optimizer
    def near(theta, gradient, memory):
        return memory.average(gradient(theta), np.sum(theta**2) / 4, corrected=True)

    for order in (1, 2):
        equation = bea.transient_equation(ramp(), BILINEAR, order)
        assert np.isfinite(equation.field(0.05, 9)((0.9, 1.5))).all()
        with pytest.raises(ValueError, match="decay = 1.0 must be in"):
            equation.field(0.05, 12)((0.9, 1.5))
        field = bea.transient_equation(near(), BILINEAR, order).field(0.05, 3)
        assert all(np.isfinite(field((0.4, b))).all() for b in (0.5, 0.6, 0.7, 0.8))
        with pytest.raises(ValueError, match="decay = 3.25 must be in"):
            field((3.0, 2.0))


def trusted(equation, optimizer):
    """The name of the reading that the field uses."""
    reading = equation._fastest(optimizer, np.array([0.9, 1.5]), 5, 0.05)
    return getattr(reading, "__name__", "_step_by_step")


@pytest.mark.parametrize("decay, n", [(0.5, 400), (0.8, 650)])
def test_what_lies_far_behind_is_not_seen(decay, n):
    """A memory of 700 steps against the last 300 of them weighted one by one."""
    made = bea.heavy_ball(decay, damped=True)
    equation = bea.transient_equation(made, THREE, batches=(0, 2, 1, 1, 0, 2, 2) * 101)
    gradients = [THREE[k].gradient_code for k in equation.batches[: n + 1]]
    f_0, f_1 = naive.transient_terms(made, gradients[-300:], np.array([0.9, 1.5]), 0.05)
    found = equation.field(0.05, n)([0.9, 1.5])
    np.testing.assert_allclose(found, f_0 + 0.05 * f_1, rtol=1e-11)


@pytest.mark.parametrize("name", ["rmsprop outside", "adam", "adam outside", "adamw", "nadam"])
def test_the_mean_age_of_the_memory_is_step_by_step(name):
    """Where every average of one loss is bias-corrected, one step with the age lag(decay, n) is all steps: to 1e-12."""
    for losses, batches in ((BILINEAR, None), (THREE, (1,) * 91)):
        equation = bea.transient_equation(OPTIMIZERS[name], losses, batches=batches)
        for n in (0, 1, 5, 90):
            wanted = plain(equation, (0.9, 1.5), n)
            np.testing.assert_allclose(mean_age(equation, (0.9, 1.5), n), wanted, rtol=1e-12)
        assert trusted(equation, OPTIMIZERS[name]) == "mean_age"


@pytest.mark.parametrize("name", ["heavy_ball", "adam not corrected", "lion", "signum"])
def test_the_mean_age_is_not_used_where_it_is_not_enough(name):
    equation = bea.transient_equation(OPTIMIZERS[name], BILINEAR)
    with pytest.raises((TypeError, AttributeError), match="without bias correction|no attribute 'previous'"):
        mean_age(equation, (0.9, 1.5), 3)
    assert trusted(equation, OPTIMIZERS[name]) == "at_once"
    mini = bea.transient_equation(OPTIMIZERS["adam"], THREE, batches=(0,) * 50 + (1,))
    assert trusted(mini, OPTIMIZERS["adam"]) == "at_once"


@pytest.mark.parametrize("names", [["_MeanAge"], ["_AllSteps", "_MeanAge"]])
def test_nothing_fast_is_trusted_unseen(names, monkeypatch):
    """With a wrong mean age, and wrong weights of all steps at once, the field is still the right one."""
    right = bea.transient_equation(ADAM, BILINEAR).field(0.1, 6)((0.9, 1.5))
    for name in names:
        average = getattr(transient, name).average
        monkeypatch.setattr(
            getattr(transient, name),
            "average",
            lambda self, x, decay, corrected, average=average: average(self, x, decay / 2, corrected),
        )
    equation = bea.transient_equation(ADAM, BILINEAR)
    found = equation.field(0.1, 6)((0.9, 1.5))
    np.testing.assert_allclose(found, right, rtol=1e-12)
    assert trusted(equation, ADAM) == ("_step_by_step" if len(names) > 1 else "at_once")


def test_a_program_that_sums_over_all_its_numbers_is_not_read_with_the_steps_as_an_axis():
    """Sums over an axis by name, over everything, and a matrix in the middle: each against every weight written out."""

    @bea.optimizer
    def summed(theta, gradient, memory, axis):
        m = memory.average(gradient(theta), 0.6)
        return m / (np.sum(m**2, axis=axis) + 0.1) ** 0.5

    @bea.optimizer
    def muon(theta, gradient, memory):
        g = memory.average(gradient(theta), 0.6).reshape(2, 2)
        return (1.5 * g - 0.5 * (g @ g.T) @ g).reshape(4)

    x = sp.symbols("x:4", real=True)
    square = bea.Loss(x[0] * x[3] - x[1] * x[2] ** 2 + sp.sin(x[0] + x[1]) + x[3] ** 2, x)
    two, four = np.array([0.9, 1.5]), np.array([0.5, -0.3, 0.8, 0.2])
    for made, loss, theta in (
        (summed(None), BILINEAR, two), (summed(0), BILINEAR, two), (summed(-1), BILINEAR, two), (muon(), square, four),
    ):  # fmt: skip
        equation = bea.transient_equation(made, loss)
        derivative = sp.lambdify(loss.symbols, loss.gradient_expressions, "numpy")
        for n in (1, 2, 3, 9):
            gradients = [lambda t, d=derivative: np.array(d(*t))] * (n + 1)
            f_0, f_1 = naive.transient_terms(made, gradients, theta, 0.1)
            np.testing.assert_allclose(equation.field(0.1, n)(theta), f_0 + 0.1 * f_1, rtol=1e-10)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_code_has_the_field_of_its_expression(name):
    for n in (0, 1, 6):
        one, two = (
            bea.transient_equation(OPTIMIZERS[name], loss).field(0.1, n)([(0.9, 1.5), (0.4, 0.7)])
            for loss in (BILINEAR, CODED)
        )
        np.testing.assert_allclose(one, two, rtol=1e-12)


def test_terms_and_field_are_one_equation():
    """Symbolic terms of n = 1 at numbers, for every optimizer of the library."""
    here = dict(zip(BILINEAR.symbols, (0.9, 1.5)))
    for made in OPTIMIZERS.values():
        equation = bea.transient_equation(made, BILINEAR)
        f_0, f_1 = (np.array(t.subs(here).evalf().T.tolist()[0], dtype=float) for t in equation.terms(1))
        np.testing.assert_allclose(equation.field(0.1, 1)((0.9, 1.5)), f_0 + 0.1 * f_1, rtol=1e-9)


# --- mutants: the oracles see a wrong one ---------------------------------------------------------------------------------------------


def wrong_average(change):
    """Running averages with another weight or another correction."""

    def average(self, x, decay, corrected=False):
        m, p = self._last(0, "average")
        found, m, p = change(m, p, x, decay, corrected)
        self.new.append((m, p))
        return found

    def mutate(monkeypatch):
        monkeypatch.setattr(Running, "average", average)
        monkeypatch.setattr(transient, "_Weighted", Running)  # the same averages, of symbols

    return mutate


def late(m, p, x, decay, corrected):
    """1 - beta^(n+2) instead of 1 - beta^(n+1)."""
    m, p = decay * m + (1 - decay) * x, p * decay
    return (m / (1 - p * decay) if corrected else m), m, p


def never(m, p, x, decay, corrected):
    m = decay * m + (1 - decay) * x
    return m, m, p * decay


def reversed_weights(m, p, x, decay, corrected):
    """The decay and its complement exchanged."""
    return late(m, p / (1 - decay), x, 1 - decay, corrected)


def other_bernoulli_number(monkeypatch):
    """B_1 = +1/2: sums that include the upper limit."""
    right = transient.antidifference

    def wrong(polynomial):
        p = right(polynomial)
        p[: len(polynomial)] = p[: len(polynomial)] + polynomial
        p[0] = p[0] * 0
        return p

    monkeypatch.setattr(transient, "antidifference", wrong)


MUTANTS = {
    "late bias correction": (
        wrong_average(late),
        [oracle_theorem, lambda: oracle_adam_full_batch_finite_n(1)],
    ),
    "no bias correction": (
        wrong_average(never),
        [oracle_theorem, lambda: oracle_adam_full_batch_finite_n(1)],
    ),
    "reversed weights": (
        wrong_average(reversed_weights),
        [oracle_theorem, oracle_linear_transient],
    ),
    "other Bernoulli number": (
        other_bernoulli_number,
        [oracle_theorem, oracle_linear_transient, lambda: oracle_adam_full_batch_finite_n(1)],
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_of_the_engine_are_caught(name, monkeypatch):
    """Every oracle listed passes on the engine as it is (above) and fails on the mutant."""
    mutant, oracles = MUTANTS[name]
    mutant(monkeypatch)
    for oracle in oracles:
        with pytest.raises(AssertionError):
            oracle()


# --- divisions by memory.h ---------------------------------------------------------------------------


@bea.optimizer
def heavy_ball_by_moves(theta, gradient, memory, b: bea.Decay):
    return gradient(theta) - b * (theta - memory.previous(theta, start=theta)) / memory.h


@bea.optimizer
def over_the_root(theta, gradient, memory, b: bea.Decay):
    g = gradient(theta)
    return g + b * (g - memory.previous(g)) / memory.h**0.5


@bea.optimizer
def over_the_step(theta, gradient, memory, b: bea.Decay):
    return b * gradient(theta) / memory.h


BOWL = bea.quadratic([1])
ASKED = {
    "terms": lambda made, order: bea.transient_equation(made(0.5), BOWL, order).terms(5),
    "symbols": lambda made, order: bea.transient_equation(made(sp.Symbol("b")), BOWL, order).terms(5),
    "field": lambda made, order: bea.transient_equation(made(0.5), BOWL, order).field(0.001, 5)((1.0,)),
    "batch": lambda made, order: bea.transient_equation(made([0.5, 0.4]), BOWL, order).field(0.001, 5)((1.0,)),
    "kept": lambda made, order: bea.flow(bea.modified_equation(made(0.5), BOWL, order, "kept"), (1.0,), 0.001, 3),
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize("made", [heavy_ball_by_moves, over_the_root, over_the_step])
def test_a_division_by_the_step_size_has_no_expansion(made, ask, order):
    """The equations take memory.h as a number: a change from step to step, divided by it, had a wrong order."""
    with pytest.raises(ValueError, match="has no expansion: .*divides by memory.h"):
        ASKED[ask](made, order)


@bea.optimizer
def by_differences(theta, gradient, memory, b: bea.Decay):
    m = memory.average(gradient(theta), b)
    return m + (gradient(theta + memory.h * m) - gradient(theta)) / memory.h / (10 + memory.time)


def test_a_difference_quotient_is_a_derivative():
    """Its numerator is of the order of memory.h at each point: order 2 holds, and with the memory kept as well."""
    loss, start = bea.bilinear(), (0.9, 1.5)
    equation = bea.transient_equation(by_differences(0.5), loss)
    study = bea.order_study(by_differences(0.5), loss, start, 0.05, [1e-3, 5e-4, 2.5e-4], equation=equation)
    assert study.order_holds, study
    errors, hs = [], np.array([2e-3, 1e-3])
    for h in hs:
        made, first, steps = by_differences(np.exp(-20 * h)), round(0.04 / h), round(0.16 / h)
        flow = bea.flow(bea.modified_equation(made, loss, 2, "kept"), start, h, steps, first=first)
        errors.append(abs(flow - bea.run(made, loss, start, h, steps)[first:]).max())
    assert abs(bea.Study(hs, np.array(errors)).slope - 2) < 0.15, errors


@pytest.mark.parametrize(
    "step",
    [
        lambda g, memory: g / np.sqrt(memory.time + memory.h),
        lambda g, memory: memory.average(g, np.exp(-memory.h / 1e-5)),
        lambda g, memory: memory.average(g, 1 - memory.h) / memory.h,
        lambda g, memory: g * (1 - np.exp(-memory.h)) / memory.h,
    ],
)
def test_what_stays_bounded_as_the_step_size_falls_is_taken(step):
    @bea.optimizer
    def program(theta, gradient, memory):
        return step(gradient(theta), memory)

    field = bea.transient_equation(program(), BOWL).field(0.01, 5)
    assert np.isfinite(field((1.0,))).all()


@pytest.mark.parametrize("n", [0, 1, 3])
def test_terms_of_decays_that_depend_on_the_point(n):
    """Exact terms are those of the field, which takes another way; at step 0 there is no memory, and f_1 = -U'U/2."""
    x = sp.Symbol("x")
    loss = bea.Loss(x**4 / 4 + x**2, (x,))

    @bea.optimizer
    def adaptive(theta, gradient, memory, b):
        g = gradient(theta)
        decay = b / (1 + np.sum(g * g, axis=0)) if memory.step != 1 else b
        return memory.average(g, decay)

    exact = bea.transient_equation(adaptive(sp.Rational(1, 3)), loss)
    for h in (0.1, 0.05):
        sums = sum(h**k * float(f[0].subs(x, sp.Rational(3, 5))) for k, f in enumerate(exact.terms(n)))
        np.testing.assert_allclose(
            sums, bea.transient_equation(adaptive(1 / 3), loss).field(h, n)([0.6])[0], rtol=1e-12
        )
    u = (1 - sp.Rational(1, 3) / (1 + (x**3 + 2 * x) ** 2)) * (x**3 + 2 * x)
    if n == 0:
        assert sp.simplify(exact.terms(0)[1][0] + sp.diff(u, x) * u / 2) == 0


@pytest.mark.parametrize("n", [0, 2])
def test_terms_of_an_average_of_numbers(n):
    """Divided by the average of ones, an average is one that is bias-corrected."""

    @bea.optimizer
    def program(theta, gradient, memory, beta: bea.Decay):
        return memory.average(gradient(theta), beta) / memory.average(1, beta)

    @bea.optimizer
    def corrected(theta, gradient, memory, beta: bea.Decay):
        return memory.average(gradient(theta), beta, corrected=True)

    found, wanted = (bea.transient_equation(one(BETA), BILINEAR).terms(n) for one in (program, corrected))
    assert all(sp.simplify(f - w) == sp.zeros(2, 1) for f, w in zip(found, wanted, strict=True))
