"""Programs: what their memory means on numbers and along a curve, optimizers as data, and what has no expansion."""

import copy
import dataclasses
import inspect
import itertools
import math
import pickle
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

import bea
import naive
from bea import Series, lag, moments, weights
from bea.program import Along, Running, resolvent
from drawn import draws

DECAYS = st.floats(0, 0.99)
BETA = sp.Symbol("beta")
LOSS, START = bea.bilinear(), (0.9, 1.5)
CODED = bea.NumericLoss(2, LOSS.value_code, LOSS.gradient_code)


def eulerian(r):
    """The coefficients A(r, 0), ..., A(r, r-1) by their recurrence; sum_i i^r x^i = x (sum_m A(r, m) x^m)/(1-x)^(r+1)."""
    row = [1]
    for n in range(2, r + 1):
        row = [(m + 1) * (row[m] if m < n - 1 else 0) + (n - m) * (row[m - 1] if m else 0) for m in range(n)]
    return row


# --- running state = weighted sum -------------------------------------------------------------------------------------------


@draws(100)
@given(DECAYS, st.lists(st.floats(-10, 10), min_size=1, max_size=30))
def test_the_running_state_is_the_weighted_sum(decay, values):
    memory = Running(0.1)
    for n, value in enumerate(values):
        plain, corrected = memory.average(value, decay), memory.average(value, decay, True)
        memory = memory.advance()
        for found, w in (
            (plain, weights(decay, n + 1)),
            (corrected, weights(decay, n + 1, corrected=True)),
        ):
            assert np.isclose(found, w @ values[: n + 1], rtol=1e-10, atol=1e-10)
        assert np.isclose(weights(decay, n + 1, corrected=True).sum(), 1)
        assert np.isclose(weights(decay, n + 1).sum(), 1 - decay ** (n + 1))


@draws(100)
@given(st.lists(st.tuples(st.floats(-10, 10), DECAYS), min_size=1, max_size=12))
def test_decays_that_change_have_weights_of_their_product(given_values):
    """(1 - d_k) d_{k+1} ... d_n x_k, summed by hand, over 1 - d_0 ... d_n if corrected."""
    memory, wanted = Running(0.1), naive.Sums(0.1)
    for value, decay in given_values:
        for corrected in (False, True):
            found = memory.average(value, decay, corrected)
            assert np.isclose(found, wanted.average(value, decay, corrected), rtol=1e-9, atol=1e-9)
        memory = memory.advance()
        wanted.next_step()


def test_the_weights_are_the_formula_identically():
    """w_k = (1-beta) beta^(n-k) / (1 - beta^(n+1)) for n = 5, beta a symbol."""
    n = 5
    for corrected in (False, True):
        for k, weight in enumerate(weights(BETA, n + 1, corrected)):
            wanted = (1 - BETA) * BETA ** (n - k) / ((1 - BETA ** (n + 1)) if corrected else 1)
            assert sp.cancel(weight - wanted) == 0


def test_arrays_of_decays_equal_one_by_one():
    decays = np.array([0.0, 0.3, 0.9])
    for i, decay in enumerate(decays):
        np.testing.assert_allclose(weights(decays, 7, True)[:, i], weights(float(decay), 7, True), rtol=1e-14)
        np.testing.assert_allclose(np.array(moments(decays, 6))[:, i], moments(float(decay), 6), rtol=1e-13)
    assert weights(decays, 7).shape == (7, 3)


def test_a_memory_that_is_given_is_not_corrected():
    """Its weight p is 0, so that the corrected average is the average itself."""
    memory = Running(0.1, [(np.array([2.0, 3.0]), 0.0)])
    found = memory.average(np.array([1.0, 1.0]), 0.5, corrected=True)
    assert found.tolist() == [1.5, 2.0] and memory.new[0][1] == 0


def test_previous_is_the_value_before_and_then_its_start():
    """In the shape of the value, so that a delayed gradient is a program of its own."""
    memory = Running(0.1)
    assert memory.previous(np.array([1.0, 2.0])).tolist() == [0, 0]
    assert memory.previous(np.array([1.0, 2.0]), start=7.0).tolist() == [7, 7]
    memory = memory.advance()
    assert memory.previous(np.array([3.0, 4.0])).tolist() == [1, 2]

    @bea.optimizer
    def delayed(theta, gradient, memory):
        return memory.previous(gradient(theta))

    wanted = naive.path(delayed(), [LOSS.gradient] * 6, np.array(START), 0.01)
    for loss in (LOSS, CODED):
        np.testing.assert_allclose(bea.run(delayed(), loss, START, 0.01, 6), wanted, rtol=1e-13)
    assert abs(bea.order_study(delayed(), LOSS, START, 0.1, [1e-3, 5e-4]).slope - 2) < 0.1
    piece = bea.transient_equation(delayed(), LOSS).field(0.1, 0)(START)
    np.testing.assert_array_equal(piece, [0, 0])


# --- moments and lag ----------------------------------------------------------------------------------------------------------


def test_moments_are_eulerian_polynomials():
    """(1-beta) sum_i i^r beta^i = beta A_r(beta)/(1-beta)^r identically, r = 1, ..., 9; the numerators printed in the theory for r = 2, 3."""
    found = moments(BETA, 10)
    assert found[0] == 1
    for r in range(1, 10):
        numerator = sum(a * BETA**m for m, a in enumerate(eulerian(r)))
        assert sp.cancel(found[r] - BETA * numerator / (1 - BETA) ** r) == 0
    assert sp.cancel(found[2] - BETA * (1 + BETA) / (1 - BETA) ** 2) == 0
    assert sp.cancel(found[3] - BETA * (1 + 4 * BETA + BETA**2) / (1 - BETA) ** 3) == 0


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.99])
def test_moments_are_sums(decay):
    """Against the summed series, to 1e-12."""
    with mpmath.workdps(30):
        terms = int(100 / -mpmath.log(decay)) if decay else 1
        powers = [mpmath.mpf(decay) ** i for i in range(terms)]
        for r, found in enumerate(moments(decay, 9)):
            wanted = (1 - mpmath.mpf(decay)) * mpmath.fsum(i**r * power for i, power in enumerate(powers))
            assert abs(found - wanted) <= 1e-12 * abs(wanted) * 10 ** (r / 4)


@draws(100)
@given(
    st.fractions(min_value=0, max_value=1, max_denominator=30).filter(lambda x: x < 1),
    st.integers(0, 12),
)
def test_lag_is_the_mean_age_of_the_weights(decay, n):
    """Exactly, on rationals: with n the corrected weights' mean age; without, the first moment."""
    exact = sp.Rational(decay.numerator, decay.denominator)
    found = weights(exact, n + 1, corrected=True)
    assert lag(exact, n) == sum(w * (n - k) for k, w in enumerate(found))
    assert lag(exact) == moments(exact, 2)[1]


def test_lag_gives_the_constants_of_the_theorem():
    """C_beta(n) = (1+beta)/(1-beta) - 2(n+1) beta^(n+1)/(1 - beta^(n+1)) = 1 + 2 lag; C(0) = 1; and n to infinity."""
    for n in range(6):
        wanted = (1 + BETA) / (1 - BETA) - 2 * (n + 1) * BETA ** (n + 1) / (1 - BETA ** (n + 1))
        assert sp.cancel(1 + 2 * lag(BETA, n) - wanted) == 0
    assert sp.cancel(1 + 2 * lag(BETA, 0)) == 1
    assert sp.cancel(1 + 2 * lag(BETA) - (1 + BETA) / (1 - BETA)) == 0
    assert np.isclose(lag(0.9, 2000), lag(0.9)) and lag(0.0, 3) == 0
    np.testing.assert_allclose(lag(np.array([0.5, 0.9]), 3), [lag(0.5, 3), lag(0.9, 3)])


# --- the resolvent ---------------------------------------------------------------------------------------------------------------


def polynomial_curve(rng, length, shape=()):
    return [[rng.normal(size=shape) for _ in range(k + 1)] for k in range(length)]


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9])
def test_the_resolvent_is_the_infinite_sum(decay):
    """``along`` on a polynomial of degree 5 in s equals (1-beta) sum_i beta^i a(s-i), summed with 40 digits until terms are below 1e-40."""
    polynomials = polynomial_curve(np.random.default_rng(1), 6)
    result = resolvent(Series.from_polynomials(polynomials), decay)
    with mpmath.workdps(30):
        beta = mpmath.mpf(decay)
        terms = int(110 / -mpmath.log(beta)) if decay else 1
        for k, polynomial in enumerate(polynomials):
            for s in (0, mpmath.mpf("0.7"), -2):
                wanted = (1 - beta) * mpmath.fsum(
                    beta**i * mpmath.polyval([mpmath.mpf(float(c)) for c in polynomial[::-1]], s - i)
                    for i in range(terms)
                )
                found = mpmath.polyval([mpmath.mpf(float(c)) for c in result.coefficients[k][::-1]], s)
                assert abs(found - wanted) < 1e-9 * max(1, abs(wanted))


def test_the_resolvent_solves_the_recursion_exactly():
    """m(s) = beta m(s-1) + (1-beta) a(s) identically in s and beta: the only polynomial that does."""
    s = sp.Symbol("s")
    rows = [[sp.Rational(2, 3)], [1, -2], [0, sp.Rational(1, 2), 5], [7, 0, -1, 3]]
    series = Series.from_polynomials([[np.array(sp.sympify(c), dtype=object) for c in row] for row in rows])
    result = resolvent(series, BETA)
    for k, row in enumerate(rows):
        m = sum(c * s**j for j, c in enumerate(result.coefficients[k]))
        a = sum(c * s**j for j, c in enumerate(row))
        assert sp.cancel(sp.expand(m - BETA * m.subs(s, s - 1) - (1 - BETA) * a)) == 0


def test_the_resolvent_in_powers_of_the_derivative():
    """a - h beta/(1-beta) D a + h^2 beta(1+beta)/(2(1-beta)^2) D^2 a - ..., on a = s^j (D = d/ds, h = 1)."""
    s = sp.Symbol("s")
    for j in range(4):
        rows = [[sp.Integer(0)] for _ in range(j)] + [[sp.Integer(0)] * j + [sp.Integer(1)]]
        series = Series.from_polynomials([[np.array(c, dtype=object) for c in row] for row in rows])
        found = sum(c * s**i for i, c in enumerate(resolvent(series, BETA).coefficients[j]))
        coefficients = [
            1,
            -BETA / (1 - BETA),
            BETA * (1 + BETA) / (2 * (1 - BETA) ** 2),
            -BETA * (1 + 4 * BETA + BETA**2) / (6 * (1 - BETA) ** 3),
        ]
        assert sp.cancel(sp.expand(found - sum(c * sp.diff(s**j, s, r) for r, c in enumerate(coefficients)))) == 0


def test_the_resolvent_on_arrays_of_points_and_decays():
    rng = np.random.default_rng(2)
    decays = np.array([0.1, 0.5, 0.95])
    polynomials = polynomial_curve(rng, 4, (2, 3))
    together = resolvent(Series.from_polynomials(polynomials), decays)
    for i, decay in enumerate(decays):
        alone = resolvent(Series.from_polynomials([[c[:, i] for c in row] for row in polynomials]), float(decay))
        np.testing.assert_allclose(together.coefficients[..., i], alone.coefficients, rtol=1e-12)


def test_no_memory_leaves_the_value_alone():
    series = Series.from_polynomials(polynomial_curve(np.random.default_rng(4), 4))
    assert resolvent(series, 0) is series
    for zero in (0.0, sp.Integer(0)):
        np.testing.assert_array_equal(resolvent(series, zero).coefficients.astype(float), series.coefficients)


# --- refusals ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "decay", [1.5, -0.1, 1, np.array([0.5, 1.5]), np.array([0.5, np.nan]), sp.Rational(3, 2), sp.oo]
)
def test_a_decay_out_of_range_is_refused(decay):
    for refuse in (lambda: lag(decay), lambda: moments(decay, 3), lambda: weights(decay, 3)):
        with pytest.raises(ValueError, match="must be in"):
            refuse()


def test_the_lags_of_a_list_of_steps():
    for steps in ([0, 1, 2], range(3), np.array([0, 1, 2], dtype=object), [sp.Integer(n) for n in range(3)]):
        for decay in (0.9, 1 - 1e-9):
            assert np.array_equal(lag(decay, steps), [lag(decay, n) for n in range(3)])
    assert lag(1 - 1e-9, sp.Integer(1)) == lag(1 - 1e-9, 1)
    assert lag(sp.Rational(1, 2), range(2)).tolist() == [0, sp.Rational(1, 3)]


@pytest.mark.parametrize("n", [-1, -0.5, np.array([0, -1]), np.nan, np.inf, "3", True, 1j, sp.I])
def test_a_step_before_the_first_is_refused(n):
    with pytest.raises((ValueError, TypeError), match="n, the number of a step,"):
        lag(0.9, n)


@pytest.mark.parametrize("count", [0, -1, True, 1.0])
def test_a_count_that_counts_nothing_is_refused(count):
    for refuse in (lambda: moments(0.5, count), lambda: weights(0.5, count)):
        with pytest.raises((ValueError, TypeError), match="count = .* must be"):
            refuse()


@pytest.mark.parametrize("decay", [1e-300, 0.3, 0.59, 0.61, 0.999999, 1 - 1e-9, 1 - 1e-12, np.nextafter(1, 0)])
def test_lag_has_all_digits_near_decay_one(decay):
    """Against its formula with 400 digits; as it stands it cancels: at 1 - 1e-9 it would be 1 instead of 1/2 after one step."""
    n = [0, 1, 5, 100, 10**6, 10**12]
    with mpmath.workdps(400):
        b = mpmath.mpf(float(decay))
        wanted = [float(b / (1 - b) - (k + 1) * b ** (k + 1) / (1 - b ** (k + 1))) for k in n]
    np.testing.assert_allclose(bea.lag(decay, np.array(n)), wanted, rtol=1e-14)
    assert [bea.lag(decay, k) for k in n] == bea.lag(decay, np.array(n)).tolist()


def test_steps_may_be_symbols_arrays_and_between_the_steps():
    n = sp.Symbol("n", real=True)
    assert lag(BETA, n).subs(n, 4).equals(lag(BETA, 4))
    np.testing.assert_allclose(lag(0.9, np.arange(3)), [lag(0.9, k) for k in range(3)])
    assert lag(0.9, 0) < lag(0.9, 0.5) < lag(0.9, 1)


@pytest.mark.parametrize("decay", [1.0, -0.1, 1.5, np.nan, True, "0.9", None])
def test_a_decay_is_checked_where_a_program_uses_it(decay):
    """On numbers and along a curve alike."""

    @bea.optimizer
    def unchecked(theta, gradient, memory, decay):
        return memory.average(gradient(theta), decay[0])

    made = unchecked((decay,))
    for ask in (
        lambda: bea.run(made, CODED, START, 0.1, 2),
        lambda: bea.modified_equation(made, LOSS, 2).coefficients(START),
        lambda: bea.modified_equation(made, LOSS, 2, memory="kept").field(0.1)(np.ones(4)),
        lambda: bea.transient_equation(made, LOSS).terms(1),
        lambda: bea.transient_equation(made, LOSS).field(0.1, 1)(START),
    ):
        with pytest.raises((ValueError, TypeError), match="decay"):
            ask()


@pytest.mark.parametrize(
    "betas, shift", [([0.5, 0.2, 0.45], -0.3), ([0.5, 0.2, 0.45], 0.5), ([0.3, 0.5, 0.2], 0.5), ([0.3, 0.5, 0.2], 0.6)]
)
def test_every_decay_of_a_batch_is_checked_where_a_program_uses_it(betas, shift):
    """Also of one that is neither the first nor the last."""

    @bea.optimizer
    def shifted(theta, gradient, memory, beta: bea.Decay):
        return memory.average(gradient(theta), beta + shift)

    made = shifted(betas)
    for ask in (
        lambda: bea.run(made, CODED, START, 0.1, 2),
        lambda: bea.run(made, LOSS, START, 0.1, 2),
        lambda: bea.modified_equation(made, LOSS, 2).coefficients(START),
    ):
        with pytest.raises(ValueError, match="a decay = .* must be in"):
            ask()


def test_a_decay_is_checked_however_often_a_program_ran_before():
    """A hyper-parameter without a declared range, and a coordinate that leaves the range on its way."""

    @bea.optimizer
    def undeclared(theta, gradient, memory, beta):
        return memory.average(gradient(theta), beta)

    for beta in (0.1, 0.2, 0.3, 1.5, [0.4, 1.5, 0.5], 0.4, 0.5, 0.6, 0.7, -0.5):
        if beta in (1.5, -0.5) or isinstance(beta, list):
            with pytest.raises(ValueError, match="a decay = .* must be in"):
                bea.run(undeclared(beta), LOSS, START, 0.01, 2)
        else:
            bea.run(undeclared(beta), LOSS, START, 0.01, 2)

    @bea.optimizer
    def by_coordinate(theta, gradient, memory):
        return memory.average(gradient(theta), theta[0])

    x = sp.Symbol("x")
    with pytest.raises(ValueError, match="a decay = .* must be in"):
        bea.run(by_coordinate(), bea.Loss(-x, (x,)), (0.0,), 0.1, 25)


# --- an optimizer is data ----------------------------------------------------------------------------------------------------------


@bea.optimizer
def scaled(theta, gradient, memory, scale=2.0, beta: bea.Decay = 0.5, *, sign: bool = False):
    """Half a program of the library, half one of a reader."""
    m = memory.average(gradient(theta), beta)
    return scale * (np.sign(m) if sign else m)


def last_point(optimizer):
    """The end of a short run, for another process."""
    return bea.run(optimizer, LOSS, START, 0.01, 5)[-1].tolist()


def test_equal_programs_and_hyperparameters_are_equal_optimizers():
    assert bea.adam(0.9, 0.99, 1e-8) == bea.adam(epsilon=1e-8, rho=0.99, beta=0.9)
    assert hash(bea.adam(0.9, 0.99, 1e-8)) == hash(bea.adam(epsilon=1e-8, rho=0.99, beta=0.9))
    assert bea.adam(0.9, 0.99, 1e-8) != bea.adam(0.9, 0.99, 1e-7)
    assert bea.adam(0.9, 0.99, 1e-8) != bea.adam(0.9, 0.99, 1e-8, epsilon_inside=False)
    assert bea.heavy_ball(0.5) != bea.nesterov(0.5) and bea.heavy_ball(0.5) != "heavy_ball"
    assert scaled() == scaled(2.0, 0.5) != scaled(2.0, 0.25)
    many = [bea.heavy_ball([0.1, 0.2]), bea.heavy_ball(np.array([0.1, 0.2]))]
    assert many[0] == many[1] != bea.heavy_ball([0.1, 0.3]) and hash(many[0]) == hash(many[1])
    assert {bea.heavy_ball(BETA), bea.heavy_ball(BETA)} == {bea.heavy_ball(BETA)}


def test_the_type_of_a_number_does_not_make_another_optimizer():
    """0.5 as a float, a NumPy float, a fraction or SymPy's rational is exact or it is not: floats differ from fractions."""
    assert bea.heavy_ball(0.5) == bea.heavy_ball(np.float64(0.5))
    assert bea.heavy_ball(Fraction(1, 2)) == bea.heavy_ball(sp.Rational(1, 2))
    assert bea.heavy_ball(0) == bea.heavy_ball(0.0) and bea.adam(0.5, 0.5, 1) == bea.adam(0.5, 0.5, 1.0)


@pytest.mark.parametrize(
    "optimizer",
    [
        bea.adam(0.9, 0.99, 1e-8),
        bea.adam(BETA, Fraction(1, 2), 0, bias_correction=False),
        bea.heavy_ball([0.1, 0.2]),
        bea.gradient_descent(),
        scaled(3.0, sign=True),
    ],
    ids=str,
)
def test_optimizers_travel(optimizer):
    """Through pickle and copy, and as what they are: equal, of equal hash, with the same run."""
    for other in (
        pickle.loads(pickle.dumps(optimizer)),
        copy.copy(optimizer),
        copy.deepcopy(optimizer),
        dataclasses.replace(optimizer),
        optimizer.with_hyperparameters(),
        optimizer.program(**optimizer.hyperparameters),
    ):
        assert other == optimizer and hash(other) == hash(optimizer) and repr(other) == repr(optimizer)
        if not optimizer.symbols:
            assert last_point(other) == last_point(optimizer)


def test_optimizers_reach_other_processes():
    """As bound arguments and results of a pool, which starts afresh and imports what it is given by name."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        made = bea.adam(0.9, 0.99, 1e-2)
        assert pool.submit(last_point, made).result() == last_point(made)
        assert pool.submit(bea.heavy_ball, 0.25).result() == bea.heavy_ball(0.25)


def test_replace_is_honest():
    """A replaced hyper-parameter or program is the one that runs, and is checked as at the start."""
    adam = bea.adam(0.9, 0.99, 1e-2)
    changed = dataclasses.replace(adam, hyperparameters={**adam.hyperparameters, "beta": 0.25})
    assert changed == bea.adam(0.25, 0.99, 1e-2) == adam.with_hyperparameters(beta=0.25)
    other = dataclasses.replace(adam, program=bea.nadam, hyperparameters={"beta": 0.9, "rho": 0.99, "epsilon": 0.1})
    assert other == bea.nadam(0.9, 0.99, 0.1)
    with pytest.raises(ValueError, match="beta = 1.5"):
        adam.with_hyperparameters(beta=1.5)
    with pytest.raises(TypeError, match="adam has no .'gamma'.; it has .'beta', 'rho', 'epsilon'"):
        adam.with_hyperparameters(gamma=1.5)


@pytest.mark.parametrize("other", ["a word", "Unknown", "bea.nothing", "1 / 0"])
def test_ranges_are_checked_whatever_other_annotations_are(other):
    """Also where the names of ranges are known only inside of the function that makes the program."""
    scope = {"bea": bea}
    exec(
        "def program(theta, gradient, memory, beta: 'Decay', epsilon: 'NonNegative', flag=True, other: "
        f"{other!r} = None): return gradient(theta)",
        scope,
    )
    made = bea.optimizer(scope["program"])
    assert made(0.5, 1.0).hyperparameters["beta"] == 0.5
    for wrong in ((1.5, 1.0), (0.5, -1.0)):
        with pytest.raises(ValueError, match="must be in"):
            made(*wrong)
    with pytest.raises(TypeError, match="flag = 1 must be True or False"):
        made(0.5, 1.0, 1)


def test_a_bound_hyperparameter_is_the_one_named():
    """Whatever the order in which they are given."""
    wanted = naive.path(scaled(3.0, 0.25), [LOSS.gradient] * 4, np.array(START), 0.01)
    for made in (
        scaled(3.0, 0.25),
        scaled(beta=0.25, scale=3.0),
        scaled(beta=0.25).with_hyperparameters(scale=3.0),
    ):
        for loss in (LOSS, CODED):
            np.testing.assert_allclose(bea.run(made, loss, START, 0.01, 4), wanted, rtol=1e-13)


def test_what_an_optimizer_says_of_itself():
    assert repr(scaled(3)) == "scaled(scale=3, beta=0.5, sign=False)"
    assert (
        repr(bea.adam(BETA, 0.5, 0))
        == "adam(beta=beta, rho=0.5, epsilon=0.0, epsilon_inside=True, bias_correction=True)"
    )
    assert bea.adam(BETA, BETA**2, 0.1).symbols == {BETA} and bea.adam(0.1, 0.2, 0.3).symbols == set()
    assert bea.adam([0.1, 0.2], 0.5, [0.3]).batch_shape == (2,) and scaled().batch_shape == ()
    assert scaled().name == "scaled"
    floats = bea.adam(sp.Rational(1, 2), BETA, sp.Rational(1, 10)).in_floats()
    assert floats.hyperparameters["beta"] == 0.5 and type(floats.hyperparameters["beta"]) is float
    assert floats.hyperparameters["rho"] == BETA and floats.in_floats() is floats


def test_a_constructor_shows_its_text_and_its_arguments():
    """Help, completion and a reader who asks for the source see the program."""
    assert str(inspect.signature(bea.adam)).startswith("(beta: ") and "memory" not in str(inspect.signature(bea.adam))
    assert list(inspect.signature(bea.adam).parameters) == [
        "beta",
        "rho",
        "epsilon",
        "epsilon_inside",
        "bias_correction",
    ]
    assert "memory.average(g**2, rho, corrected=bias_correction)" in inspect.getsource(bea.adam)

    @bea.optimizer
    def bare(theta, gradient, memory, /, *, rate):
        return rate * gradient(theta)

    assert list(inspect.signature(bare).parameters) == ["rate"]
    assert bea.run(bare(rate=2.0), bea.quadratic([1]), (1.0,), 0.25, 1)[1] == 0.5
    assert bea.adam.__doc__.startswith("Adam, with")
    assert bea.adam.__name__ == "adam" and bea.adam.__module__ == "bea.optimizers"


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: bea.adam(0.9, 0.99), TypeError, "epsilon"),
        (lambda: bea.adam(0.9, 0.99, 0.1, 7, 8), TypeError, "too many"),
        (lambda: bea.adam(0.9, 0.99, 0.1, True), TypeError, "too many"),
        (lambda: bea.adam(0.9, 0.99, 0.1, gamma=1), TypeError, "gamma"),
        (lambda: bea.adam(0.9, 0.99, 0.1, beta=0.9), TypeError, "beta"),
        (lambda: bea.adam(1.0, 0.99, 0.1), ValueError, r"beta = 1.0 must be in \[0, 1\)"),
        (lambda: bea.adam(-0.1, 0.99, 0.1), ValueError, r"beta = -0.1 must be in \[0, 1\)"),
        (lambda: bea.adam(0.9, 0.99, -1), ValueError, r"epsilon = -1.* must be in \[0, infinity\)"),
        (lambda: bea.adam(0.9, 0.99, float("inf")), ValueError, "epsilon = inf"),
        (lambda: bea.adam(float("nan"), 0.99, 0.1), ValueError, "beta = nan"),
        (lambda: bea.adam(True, 0.99, 0.1), TypeError, "beta = True must be a real number"),
        (lambda: bea.adam("0.9", 0.99, 0.1), TypeError, "beta = '0.9' must be a real number"),
        (lambda: bea.adam(0.9, 0.99, 0.1, epsilon_inside=1), TypeError, "epsilon_inside = 1 must be True or False"),
        (lambda: bea.adam([0.1, 0.2], [0.1, 0.2, 0.3], 0.1), ValueError, r"one length.*\(2,\), \(3,\)"),
        (lambda: bea.adam([0.1, 1.2], 0.1, 0.1), ValueError, "beta = 1.2"),
        (lambda: bea.adam([[0.1], [0.2]], 0.1, 0.1), ValueError, r"beta has the shape \(2, 1\)"),
        (lambda: scaled(float("nan")), ValueError, "scale = nan"),
        (lambda: bea.Optimizer(lambda t, g, m: g(t), {}), TypeError, "decorate it with @bea.optimizer"),
        (lambda: bea.Optimizer("adam", {}), TypeError, "decorate it with @bea.optimizer"),
        (lambda: bea.Optimizer(bea.adam, {"beta": 0.1}), TypeError, "missing"),
        (lambda: bea.optimizer(7), TypeError, "a function of"),
        (lambda: bea.optimizer(lambda theta, gradient: 0), TypeError, "must take"),
        (lambda: bea.optimizer(lambda *all: 0), TypeError, "must take"),
    ],
)  # fmt: skip
def test_what_is_no_optimizer_is_refused(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_hyperparameters_cannot_be_changed_behind_an_optimizers_back():
    values = np.array([0.1, 0.2])
    optimizer = bea.heavy_ball(values)
    values[0] = 7.0
    assert optimizer.hyperparameters["beta"][0] == 0.1
    with pytest.raises(ValueError, match="read-only"):
        optimizer.hyperparameters["beta"][0] = 7.0
    with pytest.raises(TypeError):
        optimizer.hyperparameters["beta"] = 7.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        optimizer.program = bea.adam


# --- no silent wrong answer --------------------------------------------------------------------------------------------------------
#
# Each of these was once computed as another optimizer: a formula that mixes coordinates as one that acts on each, a
# replaced part as the part before, hyper-parameters by position, a constant as it was at an earlier run.


FACTOR = 1.0


@bea.optimizer
def length_one(theta, gradient, memory, beta: bea.Decay):
    m = memory.average(gradient(theta), beta)
    return m / np.sum(m**2) ** 0.5


@bea.optimizer
def largest_one(theta, gradient, memory, beta: bea.Decay):
    m = memory.average(gradient(theta), beta)
    return m / np.max(np.abs(m))


@bea.optimizer
def swapped(theta, gradient, memory, rho: bea.Decay, beta: bea.Decay):
    m, v = memory.average(gradient(theta), beta), memory.average(gradient(theta) ** 2, rho)
    return m / (v + 0.1) ** 0.5


@bea.optimizer
def branching(theta, gradient, memory, beta: bea.Decay):
    return (2 if beta == 0.9 else 1) * memory.average(gradient(theta), round(beta, 1))


@bea.optimizer
def numpys(theta, gradient, memory, beta: bea.Decay):
    m = memory.average(gradient(theta), beta)
    return np.tanh(m) + np.clip(m, -0.5, 0.5) + np.exp(-np.abs(m)) + np.sqrt(m**2 + 1)


@bea.optimizer
def clipped(theta, gradient, memory, beta: bea.Decay):
    g = gradient(theta)
    g = g * np.minimum(1, 0.5 / np.sum(g**2) ** 0.5)
    return memory.average(g, beta)


@bea.optimizer
def reads_a_global(theta, gradient, memory):
    return FACTOR * gradient(theta)


@bea.optimizer
def counts_steps(theta, gradient, memory):
    return gradient(theta) / (1 + memory.step)


@bea.optimizer
def decays_later(theta, gradient, memory, beta: bea.Decay):
    return memory.average(gradient(theta), beta if memory.step > 4 else 0.0)


MINE = [
    length_one(0.5), largest_one(0.5), swapped(beta=0.9, rho=0.5), swapped(rho=0.9, beta=0.5), branching(0.9),
    branching(0.51), numpys(0.5), clipped(0.5), counts_steps(), decays_later(0.9), scaled(-1.5), scaled(sign=True),
]  # fmt: skip


@pytest.mark.parametrize("optimizer", MINE, ids=str)
def test_a_run_is_the_program_that_it_is_given(optimizer):
    """Against every step written out, for a loss by its expression and by its code, one point and several."""
    for start in (START, (0.4, 0.7)):
        wanted = naive.path(optimizer, [LOSS.gradient] * 12, np.array(start), 0.01)
        for loss in (LOSS, CODED):
            np.testing.assert_allclose(bea.run(optimizer, loss, start, 0.01, 12), wanted, rtol=1e-12)
            together = bea.run(optimizer, loss, [start, (1.1, -0.6), (0.2, 0.3)], 0.01, 12)
            np.testing.assert_allclose(together[:, 0], wanted, rtol=1e-12)


@pytest.mark.parametrize("optimizer", [o for o in MINE if o.name != "counts_steps"], ids=str)
def test_the_equations_are_those_of_the_program(optimizer):
    """Pieces against weights written out, the steady state against a step along its own curve, several points at once."""
    points = np.array([START, (0.4, 0.7), (1.1, -0.6)])
    equation = bea.transient_equation(optimizer, LOSS)
    for n in (0, 3, 7):
        wanted = []
        for point in points:
            f_0, f_1 = naive.transient_terms(optimizer, [LOSS.gradient_code] * (n + 1), point, 0.01)
            wanted.append(f_0 + 0.01 * f_1)
        if optimizer.name == "numpys" or "sign=True" in str(optimizer) or optimizer.name == "largest_one":
            break  # abs and sign have no complex derivative
        np.testing.assert_allclose(equation.field(0.01, n)(points), wanted, rtol=1e-9)
        np.testing.assert_allclose(equation.field(0.01, n)(points[1]), wanted[1], rtol=1e-9)
    steady = bea.modified_equation(optimizer, LOSS, 3)
    together = steady.coefficients(points)
    for i, point in enumerate(points):
        np.testing.assert_allclose(together[:, i], steady.coefficients(point), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimizer", [length_one(0.3), clipped(0.3)], ids=str)
def test_order_studies_of_formulas_that_mix_coordinates(optimizer):
    """Slope 3 with three terms."""
    study = bea.order_study(optimizer, LOSS, START, 0.12, [4e-3, 2e-3, 1e-3], order=3)
    assert abs(study.slope - 3) < 0.15, study


def test_a_formula_that_mixes_coordinates_has_order_two_from_its_first_step():
    """It was -0.32 when time was taken for a coordinate."""
    optimizer = length_one(0.2)
    equation = bea.transient_equation(optimizer, LOSS)
    study = bea.order_study(optimizer, LOSS, START, 0.01, [5e-4, 2.5e-4], equation=equation)
    assert abs(study.slope - 2) < 0.25, study


def test_one_equation_has_one_answer():
    """Exact hyper-parameters: terms, coefficients and field of a program of one's own."""
    optimizer = scaled(sp.Integer(3), sp.Rational(1, 2))
    equation = bea.modified_equation(optimizer, LOSS, 2)
    here = dict(zip(LOSS.symbols, (-3.6, -2.16)))
    terms = np.array([term.subs(here).T.tolist()[0] for term in equation.terms], dtype=float)
    np.testing.assert_allclose(equation.coefficients((-3.6, -2.16)), terms, rtol=1e-12)
    np.testing.assert_allclose(equation.field(0.1)((-3.6, -2.16)), terms[0] + 0.1 * terms[1], rtol=1e-12)


def test_a_global_that_changes_between_two_runs_is_seen(monkeypatch):
    """A notebook's life; also in fields that were asked for before."""
    field = bea.modified_equation(reads_a_global(), LOSS, 1).field(0.1)
    ends, values = [], []
    for factor in (1.0, 3.0):
        monkeypatch.setitem(globals(), "FACTOR", factor)
        ends.append(bea.run(reads_a_global(), LOSS, START, 0.01, 3)[-1])
        wanted = naive.path(reads_a_global(), [LOSS.gradient] * 3, np.array(START), 0.01)[-1]
        np.testing.assert_allclose(ends[-1], wanted, rtol=1e-13)
        values.append(bea.modified_equation(reads_a_global(), LOSS, 1).field(0.1)(START))
    assert abs(ends[0] - ends[1]).max() > 0.01
    np.testing.assert_allclose(values[1], 3 * values[0], rtol=1e-13)
    assert field(START).shape == (2,)


def test_decays_are_configurations_and_never_coordinates():
    """An array of decays inside a program for one point was taken for one decay a coordinate."""

    @bea.optimizer
    def groups(theta, gradient, memory):
        return memory.average(gradient(theta), np.array([0.2, 0.6]))

    @bea.optimizer
    def two_groups(theta, gradient, memory):
        g = gradient(theta)
        return np.concatenate([memory.average(g[:1], 0.2), memory.average(g[1:], 0.6)])

    for ask in (
        lambda: bea.run(groups(), CODED, START, 0.1, 2),
        lambda: bea.run(groups(), LOSS, START, 0.1, 2),
        lambda: bea.modified_equation(groups(), LOSS, 2).coefficients(START),
        lambda: bea.transient_equation(groups(), LOSS).field(0.1, 1)(START),
    ):
        with pytest.raises(ValueError, match="np.concatenate"):
            ask()
    for value in (2.0, np.ones(2)):
        with pytest.raises(ValueError, match="np.concatenate"):
            Running(0.1).average(value, np.array([0.2, 0.6]))
    for order in (1, 2, 3):
        study = bea.order_study(two_groups(), LOSS, START, 0.12, [1e-3, 5e-4, 2.5e-4], order=order)
        assert abs(study.slope - order) < 0.1


@pytest.mark.parametrize("epsilon", [0.0, 0])
def test_a_sign_of_zero_is_zero(epsilon):
    """Lion and Signum with epsilon = 0 where a coordinate of the gradient is exactly zero, as optax has it."""
    for optimizer in (bea.lion(0.9, 0.99, epsilon), bea.signum(0.9, epsilon)):
        for loss in (
            bea.quadratic([1, 4]),
            bea.NumericLoss(2, None, lambda t: np.stack([t[0], 4 * t[1]])),
        ):
            path = bea.run(optimizer, loss, (1.0, 0.0), 0.01, 3)
            np.testing.assert_allclose(path[-1], (0.97, 0.0), rtol=1e-14)
            pair = bea.run(optimizer, loss, [(1.0, 0.0), (0.5, 1.0)], 0.01, 3)
            np.testing.assert_allclose(pair[:, 0], path, rtol=1e-14)
    many = bea.signum(0.9, np.array([0.0, 0.5]))
    np.testing.assert_allclose(bea.run(many, bea.quadratic([1, 4]), (1.0, 0.0), 0.01, 3)[-1, 0], (0.97, 0))


def test_a_sign_of_what_underflows_when_squared():
    """A batch in which epsilon may be 0 has the signs that each has alone."""
    tiny = np.array([[1e-200, 1e-200], [-1e-200, -3.0]])
    found = bea.optimizers.smooth_sign(tiny, np.array([0.0, 1e-8]))
    assert found[:, 0].tolist() == [1.0, -1.0] and np.isfinite(found).all()


def test_a_smooth_sign_of_several_configurations():
    """3/sqrt(9 + 16) = 0.6 beside a plain sign; an equation of both is that of each."""
    found = bea.optimizers.smooth_sign(np.array([[-2.0, 3.0], [0.0, 0.0]]), np.array([0.0, 16.0]))
    np.testing.assert_allclose(found, [[-1.0, 0.6], [0.0, 0.0]], rtol=1e-15)
    both = bea.modified_equation(bea.signum(0.5, np.array([0.0, 16.0])), bea.quadratic([1, 4]), 1).coefficients(
        (3.0, 0.75)
    )
    np.testing.assert_allclose(both[0], [[-1.0, -1.0], [-0.6, -0.6]], rtol=1e-14)


def test_an_update_of_another_shape_is_refused():
    """A sum over coordinates was spread over all of them in silence."""

    @bea.optimizer
    def total(theta, gradient, memory):
        return gradient(theta).sum()

    @bea.optimizer
    def half(theta, gradient, memory):
        return gradient(theta)[:1]

    def readings(made):
        yield lambda: bea.run(made, LOSS, START, 0.1, 2)
        yield lambda: bea.run(made, CODED, START, 0.1, 2)
        yield lambda: bea.run(made, CODED, [START, START, START], 0.1, 2)
        yield lambda: bea.modified_equation(made, LOSS, 2).coefficients(START)
        yield lambda: bea.modified_equation(made, LOSS, 2).terms
        yield lambda: bea.modified_equation(made, LOSS, 2).memory(START, 0.1)
        yield lambda: bea.transient_equation(made, LOSS).field(0.1, 0)(START)
        kept = bea.modified_equation(made, LOSS, 2, memory="kept")
        yield lambda: kept.field(0.1)(np.array(START))

    for made in (total(), half()):
        for ask in readings(made):
            with pytest.raises(ValueError, match="shape"):
                ask()


def test_the_start_is_blamed_and_not_the_step():
    """A gradient that is not finite at theta0: no step size helps, and the message says which coordinate."""
    x, y = sp.symbols("x y", real=True)
    rooted = bea.Loss(sp.sqrt(x - 1) + y**2, (x, y))
    coded = bea.NumericLoss(2, None, lambda t: np.stack([0.5 / np.sqrt(t[0] - 1), 2 * t[1]]))
    for loss in (rooted, coded):
        with pytest.raises(ValueError, match="gradient is not finite at the start: coordinate 0") as caught:
            bea.run(bea.gradient_descent(), loss, (0.5, 1.0), 0.01, 3)
        assert "smaller" not in str(caught.value)
        for equation in (bea.modified_equation, bea.transient_equation):
            with pytest.raises((ValueError, bea.Divergence)) as caught:
                bea.flow(equation(bea.gradient_descent(), loss, 1), (0.5, 1.0), 0.01, 3)
            assert "array([nan" not in str(caught.value)


# --- what has no expansion, and says so --------------------------------------------------------------------------------------------


@bea.optimizer
def adabelief(theta, gradient, memory, beta: bea.Decay, rho: bea.Decay, epsilon: bea.NonNegative):
    g = gradient(theta)
    m = memory.average(g, beta)
    s = memory.average((g - m) ** 2, rho)
    return m / np.sqrt(s + epsilon)


@bea.optimizer
def yogi(theta, gradient, memory, beta: bea.Decay, rho: bea.Decay, epsilon: bea.NonNegative):
    """Its second moment feels itself: v - (1-rho) sign(v - g^2) g^2, so that v is what it was one step earlier."""
    g = gradient(theta)
    m, v = memory.average(g, beta), memory.average(g**2, rho)
    v = v - (1 - rho) * np.sign(v - g**2) * g**2
    return m / np.sqrt(v + epsilon)


@bea.optimizer
def signs(theta, gradient, memory):
    return np.sign(gradient(theta))


@bea.optimizer
def rectified(theta, gradient, memory):
    return np.maximum(gradient(theta), 0)


def one_sentence(error):
    """Its words: one sentence, of the library's, long enough to explain and short enough to read."""
    words = str(error.value)
    assert 20 < len(words) < 300 and "\n" not in words, words
    assert "object" not in words and "ufunc" not in words, words
    return words


def test_adabelief_without_epsilon_has_no_expansion():
    """Its second average is O(h^2), so that the step is O(1); with epsilon it has slopes like everyone."""
    bare = adabelief(0.5, 0.6, 0.0)
    for ask in (
        lambda: bea.modified_equation(bare, LOSS, 2).coefficients(START),
        lambda: bea.modified_equation(bare, LOSS, 2).field(0.1)(START),
        lambda: bea.order_study(bare, LOSS, START, 0.1, [1e-3, 5e-4]),
    ):
        with pytest.raises(ValueError) as caught:
            ask()
        assert "no term of order 0 in h" in one_sentence(caught)
    for order in (1, 2, 3):
        study = bea.order_study(adabelief(0.3, 0.4, 0.5), LOSS, START, 0.12, [1e-3, 5e-4, 2.5e-4], order=order)
        assert abs(study.slope - order) < 0.1, study


def test_a_sign_at_its_kink_has_no_expansion():
    """A coordinate of the gradient that passes through zero: Yogi's difference v - g^2 does so at every point."""
    loss = bea.quadratic([[2, 1], [1, 3]])
    for made in (
        signs(),
        rectified(),
        bea.signum(0.5, 0.0),
        bea.lion(0.4, 0.5, 0.0),
        yogi(0.5, 0.6, 0.1),
    ):
        point = (1.0, 0.3) if made.name == "yogi" else (3.0, -1.0)
        with pytest.raises(ValueError) as caught:
            bea.modified_equation(made, loss, 3).coefficients(point)
        assert "kink" in one_sentence(caught)
    away = bea.modified_equation(signs(), loss, 2).coefficients((1.0, -1.0))
    assert away.tolist() == [[-1, 1], [0, 0]]


def test_a_coordinate_at_rest_has_an_expansion():
    """A gradient that stays zero, of a dead unit for instance, is at a kink that it never leaves."""
    made, loss = bea.lion(0.4, 0.5, 0.0), bea.quadratic([1, 4])
    assert bea.modified_equation(made, loss, 2).coefficients((1.0, 0.0))[:, 1].tolist() == [0, 0]


def test_a_memory_that_is_asked_differently_says_so():
    """More often, less often, and in a step between."""

    def asks(counts):
        @bea.optimizer
        def uneven(theta, gradient, memory):
            g = gradient(theta)
            for _ in range(counts[min(int(memory.step), 2)]):
                g = memory.average(g, 0.5)
            return g

        return uneven()

    for counts, word in (
        ((1, 2, 2), "more often"),
        ((2, 1, 1), "less often"),
        ((1, 1, 0), "less often"),
    ):
        for loss in (LOSS, CODED):
            with pytest.raises(ValueError, match=f"asked its memory {word} than in the step before") as caught:
                bea.run(asks(counts), loss, START, 0.1, 3)
            one_sentence(caught)
        with pytest.raises(ValueError, match=f"asked its memory {word}"):
            bea.transient_equation(asks(counts), LOSS).field(0.1, 3)(START)


def test_a_program_with_an_ordinary_bug_shows_it():
    """An error of the reader's own code comes out as it is, from every reading."""

    @bea.optimizer
    def misspelt(theta, gradient, memory):
        return gradient(theta) + undefined_name  # noqa: F821

    for ask in (
        lambda: bea.run(misspelt(), LOSS, START, 0.1, 2),
        lambda: bea.modified_equation(misspelt(), LOSS, 2).coefficients(START),
        lambda: bea.transient_equation(misspelt(), LOSS).field(0.1, 1)(START),
        lambda: bea.modified_equation(misspelt(), LOSS, 2, memory="kept").field(0.1)(np.array(START)),
    ):
        with pytest.raises(NameError, match="undefined_name"):
            ask()


# --- the memory along a curve ------------------------------------------------------------------------------------------------------


def test_time_step_size_and_the_value_before_along_a_curve():
    line = Series.from_polynomials([[np.array([2.0])], [np.array([0.0]), np.array([1.0])]])
    memory = Along(line, time=0.5)
    assert memory.h.at(3, 0.1) == 0.1 and np.isclose(memory.time.at(3, 0.1), 0.8)
    np.testing.assert_allclose(memory.previous(line).at(3, 0.1), line.at(2, 0.1))
    assert memory.step == np.inf
    np.testing.assert_allclose(memory.average(7.0, 0.5).at(0, 0.1), 7.0)


LIMITS = {
    "1 / (1 + n)": (lambda n: 1 / (1 + n), 0.0),
    "1 / (n - 1)": (lambda n: 1 / (n - 1), 0.0),
    "1 / (1 - n)": (lambda n: 1 / (1 - n), 0.0),
    "-3 / n": (lambda n: -3 / n, 0.0),
    "1 / (n * -2)": (lambda n: 1 / (n * -2), 0.0),
    "1 / -n": (lambda n: 1 / -n, 0.0),
    "1 / (-1 + n)": (lambda n: 1 / (-1 + n), 0.0),
    "n ** -0.5": (lambda n: n**-0.5, 0.0),
    "0.5 ** n": (lambda n: 0.5**n, 0.0),
    "min(2, n / 100)": (lambda n: min(2.0, n / 100), 2.0),
    "exp(-n)": (lambda n: np.exp(-n), 0.0),
    "tanh(n)": (lambda n: np.tanh(n), 1.0),
}


@pytest.mark.parametrize("name", LIMITS)
def test_long_after_the_start_a_schedule_has_its_limit(name):
    code, limit = LIMITS[name]

    @bea.optimizer
    def scheduled(theta, gradient, memory):
        return (5 + code(memory.step)) * gradient(theta)

    found = bea.modified_equation(scheduled(), bea.quadratic([1]), 1).coefficients((2.0,))
    assert found.tolist() == [[-2 * (5 + limit)]]


@pytest.mark.parametrize(
    "code",
    [
        lambda n: (-1) ** n,
        lambda n: n % 2,
        lambda n: 7 // n,
        lambda n: n - n,
        lambda n: 0 * n,
        np.sin,
        lambda n: min(1.0, abs(n) % 7),
        lambda n: min(1.0, +n % 7),
        lambda n: int(n) % 2,
        lambda n: round(n, 1) % 2,
        lambda n: math.floor(n / 5) % 2,
    ],
)
def test_a_schedule_without_a_limit_is_refused(code):
    @bea.optimizer
    def scheduled(theta, gradient, memory):
        return (5 + code(memory.step)) * gradient(theta)

    with pytest.raises(ValueError, match="is not defined; use np.minimum"):
        bea.modified_equation(scheduled(), bea.quadratic([1]), 1).coefficients((2.0,))


@pytest.mark.parametrize(
    "step",
    [
        lambda g, n: g * (n + 1),
        lambda g, n: (n + 1) ** 0.5 * g,
        lambda g, n: np.log(n + 1) + g,
        lambda g, n: g - n,
        lambda g, n: n - g,
        lambda g, n: n / g,
        lambda g, n: g**n,
        lambda g, n: n,
        lambda g, n: np.array([2.0]) * (n + 1) * g,
        lambda g, n: g - np.log(np.array([2.0]) + n),
    ],
)
def test_a_schedule_that_grows_without_bound_is_refused(step):
    """In numbers and in symbols; they were infinities, with warnings alone."""

    @bea.optimizer
    def growing(theta, gradient, memory):
        return step(gradient(theta), memory.step)

    equation = bea.modified_equation(growing(), bea.quadratic([1]), 2)
    for ask in (
        lambda: equation.coefficients((2.0,)),
        lambda: equation.field(0.1)(np.array([2.0])),
        lambda: equation.terms,
    ):
        with pytest.raises(ValueError, match="grows without bound"):
            ask()


# --- comparisons that later terms decide ---------------------------------------------------------


@bea.optimizer
def twice_while_shrinking(theta, gradient, memory):
    g = gradient(theta)
    return g * np.where(g * (g - memory.previous(g)) < 0, 2.0, 1.0)


@bea.optimizer
def ahead_of_the_average(theta, gradient, memory):
    g = gradient(theta)
    return g + np.sign(memory.average(g, 0.5, corrected=True) - g)


@bea.optimizer
def third_difference(theta, gradient, memory):
    g = gradient(theta)
    p = memory.previous(g)
    q = memory.previous(p)
    return g * (1 + np.sign(g - 3 * p + 3 * q - memory.previous(q)))


@bea.optimizer
def by_speed(theta, gradient, memory):
    v = (theta - memory.previous(theta, start=theta)) / memory.h
    return gradient(theta) / np.sqrt(1 + np.sum(v * v))


@bea.optimizer
def by_a_quotient_of_moves(theta, gradient, memory):
    g = gradient(theta)
    s, y = (theta - memory.previous(theta)) / memory.h, (g - memory.previous(g)) / memory.h
    return g * np.clip(np.sum(s * y) / np.sum(y * y), 0.1, 10)


WITHIN = [twice_while_shrinking(), ahead_of_the_average(), third_difference(), by_speed(), by_a_quotient_of_moves()]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("optimizer", WITHIN, ids=lambda made: made.name)
def test_what_terms_decide_that_are_not_computed_is_refused(optimizer, order):
    """The runs take the other branch, or the other factor, however small h is: the terms had an error of order one."""
    bowl, at = bea.quadratic([2.0]), (1.0,)
    run = bea.run(optimizer, bowl, at, 1e-6, 60)[:, 0]
    assert abs((run[60] - run[59]) / 1e-6 + 2 * run[59]) > 0.1  # not gradient descent, which is what was returned
    steady, transient = bea.modified_equation(optimizer, bowl, order), bea.transient_equation(optimizer, bowl, order)
    for ask in (
        lambda: steady.field(1e-3)(at),
        lambda: steady.terms,
        lambda: transient.field(1e-3, 9)(at),
        lambda: transient.terms(9),
    ):
        with pytest.raises(ValueError, match="no expansion"):
            ask()


def test_what_is_equal_in_all_terms_is_taken():
    """A coordinate without a gradient, a product with 0: the comparison is decided, and the equation that of gradient descent."""

    @bea.optimizer
    def with_ties(theta, gradient, memory):
        g = gradient(theta)
        return np.where(g == 0, 0.0, g) * (1 + np.sign(0 * g)) + np.maximum(memory.average(0 * g, 0.5), 0)

    loss, plain = bea.NumericLoss(2, None, lambda t: np.stack([t[0] ** 3, 0 * t[1]])), bea.gradient_descent()
    for order in (1, 2, 3):
        found, wanted = (bea.modified_equation(o, loss, order).coefficients((1.3, 0.4)) for o in (with_ties(), plain))
        np.testing.assert_array_equal(found, wanted)
        if order < 3:
            found, wanted = (
                bea.transient_equation(o, loss, order).field(0.1, 3)((1.3, 0.4)) for o in (with_ties(), plain)
            )
            np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_memory_that_is_asked_in_another_order_is_refused():
    @bea.optimizer
    def exchanged(theta, gradient, memory):
        g = gradient(theta)
        if theta[0] > 0.5:
            return memory.average(g, 0.9) + memory.previous(g)
        return memory.previous(g) + memory.average(g, 0.9)

    with pytest.raises(ValueError, match="in another order than in the step before"):
        bea.run(exchanged(), bea.quadratic([1.0]), (1.0,), 0.1, 30)


def test_what_bounds_a_growing_schedule_is_taken():
    @bea.optimizer
    def bounded(theta, gradient, memory):
        g = gradient(theta)
        warm = np.minimum(1.0, np.array([1.0, 2.0])[: len(theta)] * (memory.step + 1) / 100)
        return np.minimum(g, memory.step + 5) / (1 + 1 / (memory.step + 1)) * warm + g / memory.step

    assert bea.modified_equation(bounded(), bea.quadratic([1]), 2).coefficients((2.0,)).tolist() == [[-2.0], [-1.0]]


@pytest.mark.parametrize("name", ["decay", "warm-up"])
def test_schedules_have_their_order(name):
    """Of the decay and of the step, slopes 1, 2, 3 from the slow manifold, and 2 from the first step."""

    @bea.optimizer
    def scheduled(theta, gradient, memory):
        t = memory.time
        if name == "decay":
            return memory.average(gradient(theta), 0.3 + 2 * t)
        return memory.average(gradient(theta), 0.4) * (1 + t) / (1 + 20 * t**2)

    study = bea.order_study(scheduled(), LOSS, START, 0.12, [1e-3, 5e-4, 2.5e-4], order=3)
    assert abs(study.slope - 3) < 0.1, study
    equation = bea.transient_equation(scheduled(), LOSS)
    study = bea.order_study(scheduled(), LOSS, START, 0.01, [5e-4, 2.5e-4], equation=equation)
    assert abs(study.slope - 2) < 0.25, study


@pytest.mark.parametrize("memory", ["forgotten", "kept", "from rest"])
def test_equations_travel_after_they_were_used(memory):
    """Into another process, with the same numbers: what they have cached stays behind."""
    made = bea.adam(0.9, 0.95, 0.1)
    if memory == "from rest":
        equation = bea.transient_equation(made, LOSS)
        ask = [lambda e: e.field(0.1, 3)(START)]
    else:
        equation = bea.modified_equation(made, LOSS, 2, memory)
        z = np.array(START if memory == "forgotten" else (*START, 0.3, -0.2, 0.6, 0.4, 0.5, 0.7))
        ask = [lambda e: e.field(0.1)(z), lambda e: np.array(e.terms, dtype=object)]
    before = [a(equation) for a in ask]
    other = pickle.loads(pickle.dumps(equation))
    for a, value in zip(ask, before):
        assert np.array_equal(a(other), value)


# --- a program decides by its arguments alone ---------------------------------------------------------------------------------

KEPT = {}
CHANCE = np.random.default_rng(0)


@bea.optimizer
def keeps_on_its_memory(theta, gradient, memory, beta: bea.Decay):
    memory.m = beta * getattr(memory, "m", 0) + (1 - beta) * gradient(theta)
    return memory.m


@bea.optimizer
def keeps_outside(theta, gradient, memory, beta: bea.Decay):
    KEPT["m"] = beta * KEPT.get("m", 0) + (1 - beta) * gradient(theta)
    return KEPT["m"]


@bea.optimizer
def draws(theta, gradient, memory, beta: bea.Decay):
    return gradient(theta) + beta * CHANCE.normal()


ASKED = [
    lambda made: bea.run(made, LOSS, START, 0.01, 5),
    lambda made: list(itertools.islice(bea.walk(made, LOSS, START, 0.01), 2)),
    lambda made: bea.modified_equation(made, LOSS, 2).field(0.1)(START),
    lambda made: bea.modified_equation(made, LOSS, 2, memory="kept").field(0.1)(np.array(START)),
    lambda made: bea.transient_equation(made, LOSS).field(0.1, 3)(START),
]


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize(
    ("program", "words"),
    [
        (keeps_on_its_memory, "cannot keep 'm' on its memory.*memory.average"),
        (keeps_outside, "two different updates.*keeps state of its own"),
        (draws, "draws random numbers"),
    ],
)
def test_state_of_its_own_and_chance_are_refused(program, words, ask):
    with pytest.raises((AttributeError, ValueError), match=words):
        ask(program(0.9))


@bea.optimizer
def misspells(theta, gradient, memory, beta):
    return memory.avg(gradient(theta), beta)


@pytest.mark.parametrize("ask", ASKED)
def test_a_memory_says_what_it_has(ask):
    with pytest.raises(
        AttributeError, match=r"no attribute 'avg'; it has memory.average.*previous.*step, memory.time, memory.h"
    ):
        ask(misspells(0.9))


def test_a_random_loss_is_refused_by_the_flow():
    noisy = bea.NumericLoss(2, None, lambda t: LOSS.gradient_code(t) + CHANCE.normal())
    with pytest.raises(ValueError, match="two values at .*random or keeps state"):
        bea.order_study(bea.gradient_descent(), noisy, START, 0.1, [0.01, 0.005])


@bea.optimizer
def cooling(theta, gradient, memory, T):
    return (1 + np.cos(memory.time / T)) * gradient(theta)


@pytest.mark.parametrize("memory", ["forgotten", "kept"])
def test_terms_of_a_schedule_hold_the_time(memory):
    """f_0 = -c(t) grad E, and f_1 = -(d f_0/dt + f_0' f_0)/2 as for Euler's method."""
    T, x, time = sp.Symbol("T", positive=True), sp.Symbol("x"), bea.modified.TIME
    bowl = bea.Loss(x**2 / 2, (x,))
    f_0, f_1 = bea.modified_equation(cooling(T), bowl, 2, memory).terms
    c = 1 + sp.cos(time / T)
    assert sp.simplify(f_0[0] + c * x) == 0
    assert sp.simplify(f_1[0] + (-sp.diff(c, time) * x + c**2 * x) / 2) == 0
    at = bea.modified_equation(cooling(0.3), bowl, 2, memory).field(0.01)(np.array([2.0]), time=0.4)
    printed = (f_0 + sp.Rational(1, 100) * f_1)[0].subs({T: 0.3, x: 2.0, time: 0.4})
    assert at[0] == pytest.approx(float(printed), rel=1e-12)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda g, memory: g / max(1, np.sum(g**2)), r"branches on a symbol; write np.where"),
        (lambda g, memory: g * math.cos(memory.time), r"np.cos\(x\) instead of math.cos"),
        (lambda g, memory: g / memory.h, r"divided by is 0 there.*memory.h"),
    ],
)
def test_what_cannot_be_expanded_says_what_to_write(step, words):
    @bea.optimizer
    def program(theta, gradient, memory):
        return step(gradient(theta), memory)

    with pytest.raises((TypeError, ValueError), match=words):
        _ = bea.modified_equation(program(), LOSS, 2).terms


def test_two_terms_are_measured_of_a_gradient_that_knows_no_more():
    """np.array makes arrays of numbers, so the gradient does not run on a Series; the third order is refused."""
    loss = bea.NumericLoss(3, None, lambda t: np.array([t[0], 2 * t[1] ** 3, 3 * t[2]]))
    for order in (1, 2):
        study = bea.order_study(bea.heavy_ball(0.5), loss, (1, 0.5, 0.3), 0.1, [0.01, 0.005, 0.0025], order=order)
        assert study.order_holds, study
    with pytest.raises(TypeError, match="only two terms"):
        bea.order_study(bea.heavy_ball(0.5), loss, (1, 0.5, 0.3), 0.1, [0.01, 0.005], order=3)


def test_a_kept_equation_has_no_order_at_fixed_decays():
    kept = bea.modified_equation(bea.heavy_ball(0.5), LOSS, 2, memory="kept")
    with pytest.raises(ValueError, match="fixed memory times"):
        bea.order_study(bea.heavy_ball(0.5), LOSS, START, 0.1, [0.01, 0.005], equation=kept)
