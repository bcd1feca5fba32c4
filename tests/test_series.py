"""The arithmetic of series in h with polynomials in s: against its laws, against SymPy's own series, and against brute force."""

from fractions import Fraction
from numbers import Rational

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from bea import Series, antidifference, taylor
from bea.series import whole

H, S = sp.symbols("h s")
LENGTH = 4


def rational_series(draw, length, nonzero):
    """An exact series, value shape (), whose coefficients are small rational numbers and whose P_0 is constant, as a curve's is."""
    numbers = st.fractions(min_value=-3, max_value=3, max_denominator=4)
    leading = draw(numbers.filter(lambda x: x != 0)) if nonzero else draw(numbers)
    rows = [[leading]] + [[draw(numbers) for _ in range(k + 1)] for k in range(1, length)]
    return Series.from_polynomials(
        [
            [np.array(sp.Rational(c.numerator, c.denominator), dtype=object) for c in row]
            for row in rows
        ]
    )


@st.composite
def exact_series(draw, length=4, nonzero=False):
    return rational_series(draw, length, nonzero)


def expression(series):
    """The series as a SymPy expression in h and s."""
    return sp.Add(
        *(c * H**k * S**j for k, row in enumerate(series.coefficients) for j, c in enumerate(row))
    )


def truncated(f, length):
    """The Taylor polynomial of a SymPy expression in h, below h^length, by plain differentiation."""
    return sp.Add(*(sp.diff(f, H, k).subs(H, 0) * H**k / sp.factorial(k) for k in range(length)))


def same(left, right):
    return np.array_equal(left.coefficients, right.coefficients)


def example(exact=True, length=LENGTH):
    """A fixed series with all kinds of coefficients, leading coefficient 3/2."""
    rng = np.random.default_rng(7)
    rows = [[sp.Rational(3, 2)]] + [
        [sp.Rational(int(rng.integers(-9, 10)), int(rng.integers(1, 7))) for _ in range(k + 1)]
        for k in range(1, length)
    ]
    if exact:
        return Series.from_polynomials([[np.array(c, dtype=object) for c in row] for row in rows])
    return Series.from_polynomials([[float(c) for c in row] for row in rows])


# --- the laws of a ring, exactly ----------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(exact_series(), exact_series(), exact_series())
def test_ring_laws_hold_exactly(a, b, c):
    assert same(a + b, b + a) and same(a * b, b * a)
    assert same((a + b) + c, a + (b + c)) and same((a * b) * c, a * (b * c))
    assert same(a * (b + c), a * b + a * c)
    assert (
        same(a + 0, a)
        and same(a * 1, a)
        and same(a - a, a * 0)
        and same(-a + a, a * 0)
        and same(2 * a, a + a)
    )
    assert same(1 - a, -(a - 1))


@settings(max_examples=40, deadline=None)
@given(exact_series(nonzero=True), exact_series())
def test_inverse_and_powers_hold_exactly(a, b):
    one = a * 0 + 1
    assert same(a * a**-1, one) and same(1 / a, a**-1) and same(b / a * a, b)
    assert (
        same(a**3, a * a * a)
        and same(a**0, one)
        and same(a**1, a)
        and same(a**2 * a**-3, a**-1)
        and same(np.square(a), a * a)
    )


@settings(max_examples=15, deadline=None)
@given(exact_series(), exact_series())
def test_a_product_is_the_truncated_product_of_polynomials(a, b):
    wanted = truncated(sp.expand(expression(a) * expression(b)), len(a))
    assert sp.expand(expression(a * b) - wanted) == 0


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-2, 2), min_size=9, max_size=9),
    st.floats(0.5, 2),
    st.sampled_from([-1, -0.5, 0.5, 1.5, 3, Fraction(1, 3)]),
)
def test_powers_of_floats_multiply_back(numbers, leading, exponent):
    a = Series.from_polynomials([[leading], numbers[:2], numbers[2:5], numbers[5:9]])
    power = a**exponent
    np.testing.assert_allclose(
        (power * a ** (-exponent)).coefficients, (a * 0 + 1).coefficients, atol=1e-9
    )
    np.testing.assert_allclose(
        (a ** (2 * exponent)).coefficients, (power * power).coefficients, rtol=1e-9, atol=1e-9
    )


# --- functions against SymPy ---------------------------------------------------------------------------------------------

FUNCTIONS = {
    "sqrt": (np.sqrt, sp.sqrt),
    "exp": (np.exp, sp.exp),
    "log": (np.log, sp.log),
    "tanh": (np.tanh, sp.tanh),
    "sin": (np.sin, sp.sin),
    "cos": (np.cos, sp.cos),
    "square": (np.square, lambda x: x**2),
    "negative": (np.negative, lambda x: -x),
    "reciprocal": (np.reciprocal, lambda x: 1 / x),
    "power -3/2": (lambda v: v ** sp.Rational(-3, 2), lambda x: x ** sp.Rational(-3, 2)),
    "power 7": (lambda v: v**7, lambda x: x**7),
    "power 1/3": (lambda v: v ** Fraction(1, 3), lambda x: x ** sp.Rational(1, 3)),
    "sinh": (np.sinh, sp.sinh),
    "cosh": (np.cosh, sp.cosh),
    "tan": (lambda v: np.tan(v / 3), lambda x: sp.tan(x / 3)),
    "arctan": (np.arctan, sp.atan),
    "abs": (lambda v: np.abs(-v), lambda x: x),
    "sign": (lambda v: v * np.sign(-v), lambda x: -x),
    "logistic": (lambda v: 1 / (1 + np.exp(-v)), lambda x: 1 / (1 + sp.exp(-x))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_equal_sympys_series_on_exact_coefficients(name):
    """To h^3: every coefficient of h^k s^j is identically the Taylor coefficient by repeated differentiation (30 digits)."""
    ours, theirs = FUNCTIONS[name]
    series = example()
    wanted = sp.Poly(sp.expand(truncated(theirs(expression(series)), LENGTH)), H, S)
    found = ours(series)
    for k in range(LENGTH):
        for j in range(LENGTH):
            difference = sp.N(found.coefficients[k, j] - wanted.coeff_monomial(H**k * S**j), 30)
            assert abs(difference) < 1e-20, (k, j)
            if j > k:
                assert found.coefficients[k, j] == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_floats_equal_the_exact_ones(name):
    ours, _ = FUNCTIONS[name]
    exact = np.array(ours(example()).coefficients, dtype=float)
    np.testing.assert_allclose(
        ours(example(exact=False)).coefficients, exact, rtol=1e-11, atol=1e-11
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_remainder_of_a_function_is_of_the_next_order(name):
    """The value of the series at (s, h) misses the function's by O(h^4): halving h from 4e-3 divides the error by 2^4 (2^3.6 to 2^4.4)."""
    ours, _ = FUNCTIONS[name]
    series, exact, misses = example(exact=False), example(), []
    for h in (sp.Rational(4, 1000), sp.Rational(2, 1000)):
        at = expression(exact).subs({S: sp.Rational(7, 10), H: h})
        # 40 digits, so that the error is not round-off
        misses.append(
            abs(
                sp.N(
                    FUNCTIONS[name][1](at)
                    - expression(ours(exact)).subs({S: sp.Rational(7, 10), H: h}),
                    40,
                )
            )
        )
    assert np.isclose(
        float(ours(series).at(0.7, 4e-3)),
        float(sp.N(FUNCTIONS[name][1](expression(exact).subs({S: 0.7, H: 4e-3})))),
        rtol=1e-6,
    )
    if misses[0] > 0:
        assert 3.6 < float(sp.log(misses[0] / misses[1], 2)) < 4.4


def test_composition_solves_its_differential_equation():
    """atan by the same scheme: its derivative F = 1/(1 + v^2) is known beforehand."""
    v = example(exact=False)
    derivative = 1 / (1 + v * v)
    w = v.compose(np.arctan(v.leading), lambda w: derivative._cut(len(w)))
    exact = sp.Poly(sp.expand(truncated(sp.atan(expression(example())), LENGTH)), H, S)
    wanted = [
        [float(sp.N(exact.coeff_monomial(H**k * S**j))) for j in range(LENGTH)]
        for k in range(LENGTH)
    ]
    np.testing.assert_allclose(w.coefficients, wanted, rtol=1e-10, atol=1e-12)


# --- exactness, shapes, arrays of points ------------------------------------------------------------------------------------


def test_exact_arithmetic_stays_exact():
    series = example()
    for result in (
        series / 3,
        series * Fraction(1, 3),
        series**-2,
        1 / series,
        (series**2 - 1) / series,
    ):
        assert all(isinstance(c, Rational) for c in result.coefficients.ravel())
    assert (series / 3).leading == sp.Rational(1, 2)


def test_whole_numbers_are_not_cut_off():
    series = Series.from_polynomials([[2], [0, 0.5]])
    assert series.coefficients[1, 1] == 0.5
    assert (1 / Series.from_polynomials([[2], [0, 1]])).coefficients[:, :2].tolist() == [
        [0.5, 0.0],
        [0.0, -0.25],
    ]


def test_many_points_equal_one_by_one():
    rng = np.random.default_rng(3)
    polynomials = [[rng.uniform(0.5, 2, (3, 6))]] + [
        [rng.normal(size=(3, 6)) for _ in range(k + 1)] for k in range(1, LENGTH)
    ]
    matrix = rng.normal(size=(4, 3))

    def work(v):
        return matrix @ (
            np.tanh(v) * np.sqrt(v)
            + np.exp(-v) / (1 + v * v)
            - np.log(v) ** 2
            + np.sin(v) * np.cos(v)
        )

    together = work(Series.from_polynomials(polynomials))
    assert together.leading.shape == (4, 6)
    for i in range(6):
        alone = work(Series.from_polynomials([[c[:, i] for c in row] for row in polynomials]))
        np.testing.assert_allclose(
            together[:, i].coefficients, alone.coefficients, rtol=1e-12, atol=1e-12
        )
    np.testing.assert_allclose(
        together.sum(axis=0).coefficients,
        sum(together[i] for i in range(4)).coefficients,
        atol=1e-12,
    )
    np.testing.assert_allclose(
        together.sum(axis=-1).coefficients[..., 2],
        together[2].coefficients.sum(axis=-1),
        atol=1e-12,
    )


def test_values_broadcast_from_the_right_as_numpys_do():
    rng = np.random.default_rng(5)
    vector = Series.from_polynomials(
        [[rng.normal(size=(2, 4))], [0 * np.ones((2, 4)), rng.normal(size=(2, 4))]]
    )
    row = Series.from_polynomials([[rng.normal(size=4)], [np.zeros(4), rng.normal(size=4)]])
    for combine in (lambda a, b: a * b, lambda a, b: a + b, lambda a, b: b - a, lambda a, b: a / b):
        result = combine(vector, row)
        for i in range(2):
            np.testing.assert_allclose(result[i].coefficients, combine(vector[i], row).coefficients)
    shift = rng.normal(size=(2, 4))
    np.testing.assert_allclose((row + shift)[1].coefficients, (row + shift[1]).coefficients)
    np.testing.assert_allclose((shift * row)[1].coefficients, (shift[1] * row).coefficients)
    np.testing.assert_allclose((row / shift)[1].coefficients, (row / shift[1]).coefficients)


def test_numpy_functions_take_a_series_on_either_side():
    v, one = example(exact=False), np.float64(2.0)
    for left, right in [
        (one + v, v + 2),
        (one * v, v * 2),
        (one - v, -(v - 2)),
        (one / v, 2 * v**-1),
        (np.positive(v), v),
    ]:
        np.testing.assert_allclose(left.coefficients, right.coefficients)
    assert np.allclose(np.power(v, 3).coefficients, (v * v * v).coefficients)


def test_at_is_the_polynomial():
    v = example(exact=False)
    wanted = sum(
        c * 0.3**k * 0.7**j for k, row in enumerate(v.coefficients) for j, c in enumerate(row)
    )
    assert np.isclose(v.at(0.7, 0.3), wanted, rtol=1e-13)


def test_stack_joins_series_and_constants():
    v = example(exact=False)
    stacked = Series.stack([v, 1.0, v * v])
    assert stacked.leading.shape == (3,) and len(stacked) == LENGTH
    assert np.array_equal(stacked[2].coefficients, (v * v).coefficients)
    assert np.array_equal(stacked[1].coefficients, (v * 0 + 1.0).coefficients)


# --- difference equations, Taylor's formula -------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(st.fractions(min_value=-5, max_value=5, max_denominator=6), min_size=1, max_size=8))
def test_antidifference_is_the_sum(numbers):
    """P(N) = q(0) + ... + q(N-1) exactly, for N up to 12; and P(s+1) - P(s) = q(s) identically."""
    q = np.array([sp.Rational(c.numerator, c.denominator) for c in numbers], dtype=object)
    p = antidifference(q)
    assert len(p) == len(q) + 1 and p[0] == 0
    for count in range(12):
        assert sum(c * count**j for j, c in enumerate(p)) == sum(
            c * k**j for k in range(count) for j, c in enumerate(q)
        )
    polynomial = sum(c * S**j for j, c in enumerate(p))
    assert (
        sp.expand(polynomial.subs(S, S + 1) - polynomial - sum(c * S**j for j, c in enumerate(q)))
        == 0
    )


def test_antidifference_of_arrays_of_floats():
    q = np.random.default_rng(0).normal(size=(6, 3, 4))
    p = antidifference(q)
    assert p.shape == (7, 3, 4)
    steps = np.arange(9)
    sums = np.concatenate(
        [
            np.zeros((1, 3, 4)),
            np.cumsum(np.einsum("jab,js->sab", q, steps[:-1] ** np.arange(6)[:, None]), axis=0),
        ]
    )
    np.testing.assert_allclose(
        np.einsum("jab,js->sab", p, steps.astype(float) ** np.arange(7)[:, None]),
        sums,
        rtol=1e-9,
        atol=1e-9,
    )


def test_taylor_equals_sympys_series():
    x, y = sp.symbols("x y")
    f = sp.exp(x) * sp.sin(y) + x**3 * y / (1 + x**2)
    rows = [
        [(sp.Rational(1, 2), sp.Rational(1, 3))],
        [(0, 0), (2, -1)],
        [(0, 0), (1, 1), (sp.Rational(1, 2), 3)],
        [(0, 0), (1, 0), (0, 1), (1, 1)],
    ]
    curve = Series.from_polynomials(
        [[np.array([sp.sympify(c) for c in cs], dtype=object) for cs in row] for row in rows]
    )
    along = f.subs({x: expression(curve[0]), y: expression(curve[1])}, simultaneous=True)
    wanted = sp.Poly(sp.expand(truncated(along, 4)), H, S)
    found = taylor(f, [x, y], curve)
    for k in range(4):
        for j in range(4):
            assert (
                abs(sp.N(found.coefficients[k, j] - wanted.coeff_monomial(H**k * S**j), 30)) < 1e-20
            )


def test_taylor_of_an_abstract_function():
    """By the chain rule, with E abstract: the coefficient of h^2 s^2 is E_x q_2 + (1/2) second derivatives in the velocity."""
    x, y, u, v, q, r = sp.symbols("x y u v q r")
    energy = sp.Function("E")(x, y)
    curve = Series.from_polynomials(
        [
            [np.array([x, y])],
            [np.array([0, 0]), np.array([u, v])],
            [np.array([0, 0]), np.array([0, 0]), np.array([q, r])],
        ]
    )
    wanted = (
        energy.diff(x) * q
        + energy.diff(y) * r
        + (energy.diff(x, 2) * u**2 + 2 * energy.diff(x, y) * u * v + energy.diff(y, 2) * v**2) / 2
    )
    assert sp.expand(taylor(energy, [x, y], curve).coefficients[2, 2] - wanted) == 0


# --- errors ---------------------------------------------------------------------------------------------------------------------


def test_series_of_different_length_do_not_combine():
    short, long = example(length=3), example(length=4)
    for combine in (
        lambda: short + long,
        lambda: short * long,
        lambda: long - short,
        lambda: short / long,
    ):
        with pytest.raises(ValueError, match=r"(3 and of 4|4 and of 3) terms"):
            combine()


@pytest.mark.parametrize("power", [-1, -2, 0.5, Fraction(1, 2), -0.5])
def test_a_zero_leading_coefficient_has_no_such_power(power):
    for zero in (
        Series.from_polynomials([[0.0], [0.0, 1.0]]),
        Series.from_polynomials([[np.array([1.0, 0.0])], [np.zeros(2), np.ones(2)]]),
    ):
        with pytest.raises(ValueError, match="leading coefficient other than 0"):
            zero**power
    with pytest.raises(ValueError, match="leading coefficient other than 0"):
        Series.from_polynomials(
            [[np.array(sp.Integer(0), dtype=object)], [0, sp.Integer(1)]]
        ) ** power


def test_absolute_values_end_at_zero():
    for function in (np.abs, np.sign):
        with pytest.raises(ValueError, match="leading coefficient other than 0"):
            function(Series.from_polynomials([[0.0], [0.0, 1.0]]))


def test_a_value_alone_has_roots_at_zero():
    """One term is just a value: sqrt(0) is 0 there; its reciprocal still does not exist."""
    assert np.sqrt(Series.from_polynomials([[0.0]])).leading == 0
    with pytest.raises(ValueError, match="leading coefficient other than 0"):
        Series.from_polynomials([[0.0]]) ** -0.5


def test_other_functions_are_refused_by_name():
    for function in (np.floor, np.arcsin, np.log10):
        with pytest.raises(TypeError, match=f"{function.__name__} does not run on a series"):
            function(example(exact=False))
    with pytest.raises(TypeError):
        np.arctan2(example(exact=False), 1.0)


def test_whole_numbers_within_bounds_and_nothing_else():
    assert [whole("k", k, 1, 3) for k in (1, np.int64(2), 3)] == [1, 2, 3]
    for wrong, error, message in (
        (0, ValueError, "at least 1"),
        (4, ValueError, "at most 3"),
        (2.0, TypeError, "whole"),
        (True, TypeError, "whole"),
    ):
        with pytest.raises(error, match=message):
            whole("k", wrong, 1, 3)


def test_coefficients_are_a_square():
    for shape in ((3,), (2, 3), (3, 2), (0, 0)):
        with pytest.raises(ValueError, match="allowed is"):
            Series(np.zeros(shape))
