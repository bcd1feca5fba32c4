"""The three meanings of an exponential average agree: running state, finite weighted sum, resolvent."""

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from bea import Average, Series, identity, lag, moments, square

DECAYS = st.floats(0, 0.99)
BETA = sp.Symbol("beta")


def eulerian(r):
    """The coefficients A(r, 0), ..., A(r, r-1) by their recurrence; sum_i i^r x^i = x (sum_m A(r, m) x^m)/(1-x)^(r+1)."""
    row = [1]
    for n in range(2, r + 1):
        row = [
            (m + 1) * (row[m] if m < n - 1 else 0) + (n - m) * (row[m - 1] if m else 0)
            for m in range(n)
        ]
    return row


# --- running state = weighted sum -------------------------------------------------------------------------------------------


@given(DECAYS, st.lists(st.floats(-10, 10), min_size=1, max_size=30))
def test_the_running_state_is_the_weighted_sum(decay, values):
    average, state = Average(identity, decay), 0.0
    for n, value in enumerate(values):
        state = average.advance(state, value)
        plain, corrected = (
            average.weights(n + 1, bias_correction=False),
            average.weights(n + 1, bias_correction=True),
        )
        assert np.isclose(state, plain @ values[: n + 1], rtol=1e-10, atol=1e-10)
        assert np.isclose(
            state / average.correction(n), corrected @ values[: n + 1], rtol=1e-10, atol=1e-10
        )
        assert np.isclose(corrected.sum(), 1) and np.isclose(plain.sum(), average.correction(n))


def test_the_weights_are_the_formula_identically():
    """w_k = (1-beta) beta^(n-k) / (1 - beta^(n+1)) for n = 5, beta a symbol."""
    average, n = Average(identity, BETA), 5
    for corrected in (False, True):
        weights = average.weights(n + 1, bias_correction=corrected)
        for k, weight in enumerate(weights):
            wanted = (1 - BETA) * BETA ** (n - k) / ((1 - BETA ** (n + 1)) if corrected else 1)
            assert sp.cancel(weight - wanted) == 0


def test_arrays_of_decays_equal_one_by_one():
    decays = np.array([0.0, 0.3, 0.9])
    together = Average(square, decays)
    for i, decay in enumerate(decays):
        alone = Average(square, float(decay))
        np.testing.assert_allclose(
            together.weights(7, True)[:, i], alone.weights(7, True), rtol=1e-14
        )
        np.testing.assert_allclose(together.correction(4)[i], alone.correction(4))
        np.testing.assert_allclose(
            np.array(moments(decays, 6))[:, i], moments(float(decay), 6), rtol=1e-13
        )
    assert together.weights(7, False).shape == (7, 3)


def test_the_functions_of_the_gradient():
    gradient = np.array([[1.0, -2.0], [0.5, 3.0]])
    assert identity(gradient) is gradient
    assert np.array_equal(square(gradient), [[1.0, 4.0], [0.25, 9.0]])


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
        terms = int(160 / -mpmath.log(decay)) if decay else 1
        for r, found in enumerate(moments(decay, 9)):
            wanted = (1 - mpmath.mpf(decay)) * mpmath.fsum(
                mpmath.mpf(i) ** r * mpmath.mpf(decay) ** i for i in range(terms)
            )
            assert abs(found - wanted) <= 1e-12 * abs(wanted) * 10 ** (r / 4)


@given(
    st.fractions(min_value=0, max_value=1, max_denominator=30).filter(lambda x: x < 1),
    st.integers(0, 12),
)
def test_lag_is_the_mean_age_of_the_weights(decay, n):
    """Exactly, on rationals: with n the corrected weights' mean age; without, the first moment."""
    exact = sp.Rational(decay.numerator, decay.denominator)
    weights = Average(identity, exact).weights(n + 1, bias_correction=True)
    assert lag(exact, n) == sum(w * (n - k) for k, w in enumerate(weights))
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
    result = Average(identity, decay).along(Series.from_polynomials(polynomials))
    with mpmath.workdps(40):
        beta = mpmath.mpf(decay)
        terms = int(150 / -mpmath.log(beta)) if decay else 1
        for k, polynomial in enumerate(polynomials):
            for s in (0, mpmath.mpf("0.7"), -2):
                wanted = (1 - beta) * mpmath.fsum(
                    beta**i
                    * mpmath.polyval([mpmath.mpf(float(c)) for c in polynomial[::-1]], s - i)
                    for i in range(terms)
                )
                found = mpmath.polyval(
                    [mpmath.mpf(float(c)) for c in result.coefficients[k][::-1]], s
                )
                assert abs(found - wanted) < 1e-9 * max(1, abs(wanted))


def test_the_resolvent_solves_the_recursion_exactly():
    """m(s) = beta m(s-1) + (1-beta) a(s) identically in s and beta: the only polynomial that does."""
    s = sp.Symbol("s")
    rows = [[sp.Rational(2, 3)], [1, -2], [0, sp.Rational(1, 2), 5], [7, 0, -1, 3]]
    series = Series.from_polynomials(
        [[np.array(sp.sympify(c), dtype=object) for c in row] for row in rows]
    )
    result = Average(identity, BETA).along(series)
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
        found = sum(
            c * s**i for i, c in enumerate(Average(identity, BETA).along(series).coefficients[j])
        )
        coefficients = [
            1,
            -BETA / (1 - BETA),
            BETA * (1 + BETA) / (2 * (1 - BETA) ** 2),
            -BETA * (1 + 4 * BETA + BETA**2) / (6 * (1 - BETA) ** 3),
        ]
        assert (
            sp.cancel(
                sp.expand(found - sum(c * sp.diff(s**j, s, r) for r, c in enumerate(coefficients)))
            )
            == 0
        )


def test_the_resolvent_on_arrays_of_points_and_decays():
    rng = np.random.default_rng(2)
    decays = np.array([0.1, 0.5, 0.95])
    polynomials = polynomial_curve(rng, 4, (2, 3))
    together = Average(identity, decays).along(Series.from_polynomials(polynomials))
    for i, decay in enumerate(decays):
        alone = Average(identity, float(decay)).along(
            Series.from_polynomials([[c[:, i] for c in row] for row in polynomials])
        )
        np.testing.assert_allclose(together.coefficients[..., i], alone.coefficients, rtol=1e-12)


def test_no_memory_leaves_the_value_alone():
    series = Series.from_polynomials(polynomial_curve(np.random.default_rng(4), 4))
    assert Average(identity, 0).along(series) is series
    for zero in (0.0, sp.Integer(0)):
        np.testing.assert_array_equal(
            Average(identity, zero).along(series).coefficients.astype(float), series.coefficients
        )


# --- refusals ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "decay", [1.5, -0.1, 1, np.array([0.5, 1.5]), np.array([0.5, np.nan]), sp.Rational(3, 2), sp.oo]
)
def test_a_decay_out_of_range_is_refused(decay):
    for refuse in (lambda: lag(decay), lambda: moments(decay, 3), lambda: Average(identity, decay)):
        with pytest.raises(ValueError, match="must be in"):
            refuse()


@pytest.mark.parametrize("n", [-1, -0.5, np.array([0, -1]), np.inf, np.nan])
def test_a_step_before_the_first_is_refused(n):
    with pytest.raises(ValueError, match="finite, 0 or more"):
        lag(0.9, n)


@pytest.mark.parametrize("n", ["3", True, 1j, np.array([]), sp.I])
def test_a_step_that_is_no_number_is_refused(n):
    with pytest.raises(TypeError, match="must be a number"):
        lag(0.9, n)


def test_steps_may_be_symbols_arrays_and_between_the_steps():
    n = sp.Symbol("n", real=True)
    assert lag(BETA, n).subs(n, 4).equals(lag(BETA, 4))
    np.testing.assert_allclose(lag(0.9, np.arange(3)), [lag(0.9, k) for k in range(3)])
    assert lag(0.9, 0) < lag(0.9, 0.5) < lag(0.9, 1)
