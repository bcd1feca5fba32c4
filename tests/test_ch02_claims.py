"""Chapter 2's claims, each against an oracle that is not the engine's recursion: printed examples, exact solutions, exact iterates.

HLW is Hairer, Lubich and Wanner, Geometric Numerical Integration, second edition.
"""

from fractions import Fraction
from math import comb, e, pi
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from mpmath.calculus.quadrature import GaussLegendre

import bea
from bea_book.equations.ch02 import logarithm_of_step
from live_answers import ends

euler = bea.gradient_descent()
h = sp.Symbol("h", positive=True)  # the ledger's
q, p, y, x = sp.symbols("q p y x", real=True)
RICCATI = bea.VectorField((y**2,), (y,))
LOTKA_VOLTERRA = bea.VectorField((q * (p - 1), p * (2 - q)), (q, p))
PENDULUM = bea.VectorField((p, -sp.sin(q)), (q, p))


# --- printed examples --------------------------------------------------------------------------------------------------


def test_hlw_example_ix_1_1(measured):
    """HLW Example IX.1.1: the six coefficients printed there for explicit Euler on y' = y^2."""
    printed = [
        1,
        -1,
        sp.Rational(3, 2),
        -sp.Rational(8, 3),
        sp.Rational(31, 6),
        -sp.Rational(157, 15),
    ]
    terms = bea.modified_equation(euler, RICCATI, order=6).terms
    assert [sp.simplify(term[0] / y ** (k + 2)) for k, term in enumerate(terms)] == printed
    measured("exact", 6, "printed coefficients")


def test_hlw_ix_1_explicit_euler_on_lotka_volterra(measured):
    """HLW chapter IX.1: the term in h for explicit Euler on the model of Lotka and Volterra."""
    term = bea.modified_equation(euler, LOTKA_VOLTERRA, order=2).terms[1]
    printed = sp.Matrix([-q * (p**2 - p * q + 1) / 2, -p * (q**2 - p * q - 3 * q + 4) / 2])
    assert (term - printed).expand().is_zero_matrix
    measured("exact", 2, "printed components")


def test_hlw_ix_1_symplectic_euler_on_lotka_volterra(measured):
    """HLW chapter IX.1: the term in h for symplectic Euler (p implicit); the same oracle is in the tests of BSeries.jl."""

    def step(z, h):
        p_new = z[1] / (h * (z[0] - 2) + 1)
        return [z[0] + h * z[0] * (p_new - 1), p_new]

    field = logarithm_of_step(step, [q, p], powers=3)
    printed = sp.Matrix(
        [
            q * (p - 1) - h * q * (p**2 + p * q - 4 * p + 1) / 2,
            -p * (q - 2) + h * p * (q**2 + p * q - 5 * q + 4) / 2,
        ]
    )
    assert (field - printed).expand().is_zero_matrix
    measured("exact", 2, "printed components")


def test_by_hand_to_h_squared_for_an_abstract_field(measured):
    """Equation eq-bea-euler in two dimensions, identically, for functions without a formula."""
    f = sp.Matrix([sp.Function("F")(x, y), sp.Function("G")(x, y)])
    jacobian = f.jacobian([x, y])
    second = sp.Matrix([(f.T * sp.hessian(component, [x, y]) * f)[0] for component in f])
    by_hand = (f, -jacobian * f / 2, jacobian**2 * f / 3 + second / 12)
    for found, expected in zip(bea.modified_equation(euler, bea.VectorField(tuple(f), (x, y)), order=3).terms, by_hand):
        assert (found - expected).expand().is_zero_matrix
    measured("exact", 3, "terms, for any field")


def test_trees(measured):
    """HLW IX.1 and III: the tall tree has coefficient (-1)^(p+1)/p, the bushy one B_(p-1)/(p-1)!, which is 0 for p = 4 and 6."""
    linear = bea.modified_equation(euler, bea.VectorField((y,), (y,)), order=6).terms
    assert [term[0] / y for term in linear] == [sp.Rational((-1) ** (k + 1), k) for k in range(1, 7)]
    for nodes in range(2, 7):
        bushy = bea.VectorField((sp.Integer(1), x ** (nodes - 1) / sp.factorial(nodes - 1)), (x, y))
        bernoulli = sp.Rational(-1, 2) if nodes == 2 else sp.bernoulli(nodes - 1)
        assert bea.modified_equation(euler, bushy, order=nodes).terms[-1][1] == bernoulli / sp.factorial(nodes - 1)
    measured("exact", 11, "coefficients of trees")


def test_polynomials_are_the_coefficients_of_exact_iterates(measured):
    curve = bea.modified.curve(euler, RICCATI, np.array([sp.Integer(1)], dtype=object), 5)
    iterate = sp.Integer(1)
    for n in range(5):
        for k, polynomial in enumerate(curve):
            assert sum(c * n**j for j, c in enumerate(polynomial[:, 0])) == iterate.coeff(h, k)
        iterate = sp.expand(iterate + h * iterate**2)
    measured("exact", 5, "iterates to order 4")


# --- one mode ----------------------------------------------------------------------------------------------------------


def test_one_mode_is_solved_exactly(measured):
    size, rate = 0.5, 1.0
    iterates = bea.run(euler, bea.quadratic([1]), (1.0,), size, 20).ravel()
    mu = -np.log(1 - size * rate) / size
    assert np.allclose(np.exp(-mu * size * np.arange(21)), iterates, rtol=1e-12, atol=0)
    assert not np.allclose(np.exp(-rate * size * np.arange(21)), iterates, rtol=0.2, atol=0)  # gradient flow
    measured("exact", 20, "steps, to 1e-12")


def test_one_mode_converges_below_one_and_not_beyond(measured):
    terms = bea.modified_equation(euler, bea.quadratic([1]), order=60).coefficients([1.0])[:, 0]
    for z in (0.3, 0.5, 0.7):
        assert np.sum(terms * z ** np.arange(60)) == pytest.approx(np.log(1 - z) / z, rel=1e-9)
    beyond = np.abs(np.cumsum(terms * 1.2 ** np.arange(60)))
    assert beyond[59] > 5 * beyond[29] > 25 * beyond[9]
    iterates = bea.run(euler, bea.quadratic([1]), (1.0,), 1.2, 10).ravel()
    assert np.all(np.sign(iterates[1:]) == -np.sign(iterates[:-1])) and abs(iterates[-1]) < abs(iterates[0])
    measured("partial sums at z = 1.2 after 10, 30, 60 terms", beyond[[9, 29, 59]], "they diverge")


# --- orders ------------------------------------------------------------------------------------------------------------

WINDOW = dict(
    optimizer=euler,
    loss=LOTKA_VOLTERRA,
    theta0=(3.0, 1.0),
    horizon=1.0,
    hs=[0.04, 0.02, 0.01, 0.005],
)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_slope_is_the_number_of_terms(order, measured):
    """Lotka-Volterra from (3, 1) to T = 1, h = 0.005 to 0.04."""
    slope = bea.order_study(**WINDOW, order=order).slope
    assert slope == pytest.approx(order, abs=0.1)
    measured("slope", slope, f"{order} ± 0.1")


def test_control_loses_its_order(measured):
    """-h/3 f'f for -h/2 f'f: two terms, but slope 1."""

    def field(size):
        def spoilt(theta):
            f_0, f_1 = bea.modified_equation(euler, LOTKA_VOLTERRA, 2).coefficients(theta)
            return f_0 + 2 / 3 * size * f_1

        return spoilt

    slope = bea.order_study(**WINDOW, equation=SimpleNamespace(field=field)).slope
    assert slope == pytest.approx(1, abs=0.1)
    measured("slope of the control", slope, "1 ± 0.1")


def test_each_term_comes_closer_on_the_spiral(measured):
    """The chapter's figure: h = 0.15 from (2.5, 1), 91 steps."""
    path = bea.run(euler, LOTKA_VOLTERRA, (2.5, 1.0), 0.15, 91)
    errors = [
        np.linalg.norm(
            bea.flow(bea.modified_equation(euler, LOTKA_VOLTERRA, k), (2.5, 1.0), 0.15, 91) - path,
            axis=1,
        ).max()
        for k in (1, 2, 3, 4)
    ]
    assert (
        errors[0] > 3 and all(later < earlier / 2.5 for earlier, later in zip(errors, errors[1:])) and errors[3] < 0.03
    )
    measured(
        "largest distance with 1, 2, 3, 4 terms",
        errors,
        "each less than 1/2.5 of the last",
        digits=2,
    )


# --- the pendulum ------------------------------------------------------------------------------------------------------


def energy(path):
    return path[:, 1] ** 2 / 2 - np.cos(path[:, 0])


def symplectic_euler(start, size, steps, q_first=False):
    path = [start]
    for _ in range(steps):
        a, b = path[-1]
        if q_first:
            a = a + size * b
            b = b - size * np.sin(a)
        else:
            b = b - size * np.sin(a)
            a = a + size * b
        path.append((a, b))
    return np.array(path)


def test_explicit_euler_adds_h_times_the_mean_of_sin_squared(measured, says):
    """Over one period of a small swing: gain against h times the integral of sin(q)^2 along the exact motion, ratio to 1 as h falls."""
    ratios = []
    for steps in (1000, 2000):
        period = 4 * float(mp.ellipk(mp.sin(0.5) ** 2))  # release at q = 1
        size = period / steps
        path = bea.run(euler, PENDULUM, (1.0, 0.0), size, steps)
        motion = bea.flow(bea.modified_equation(euler, PENDULUM, 1), (1.0, 0.0), size, steps)
        predicted = size * np.sum(np.sin(motion[:-1, 0]) ** 2) * size
        ratios.append(np.diff(energy(path)[[0, -1]])[0] / predicted)
    assert abs(ratios[1] - 1) < 0.03 and abs(ratios[1] - 1) < 0.6 * abs(ratios[0] - 1)
    measured("energy gained, measured / predicted, as h halves", ratios, "towards 1")
    swing = energy(bea.run(euler, PENDULUM, (1.2, 0.0), 0.1, 160))
    says("02", "climb in waves from minus 0.36 to about 0.67", -swing[0], swing[-1])


def test_symplectic_euler_keeps_a_nearby_energy(measured):
    """The nearby energy varies by O(h^2), the energy itself by O(h); with the other sign of the new term it is no better."""

    def spread(size, sign, q_first=False):
        path = symplectic_euler((1.2, 0.0), size, round(16 / size), q_first)
        return np.ptp(energy(path) + sign * size / 2 * path[:, 1] * np.sin(path[:, 0]))

    sizes = np.array([0.1, 0.05, 0.025])

    def slope(*options):
        return np.polyfit(np.log(sizes), np.log([spread(size, *options) for size in sizes]), 1)[0]

    slopes = [
        slope(-1),
        slope(0),
        slope(1),
        slope(1, True),
    ]  # the last with q first: the sign flips
    assert slopes == pytest.approx([2, 1, 1, 2], abs=0.1)
    measured("slopes: nearby energy, energy, wrong sign, q first", slopes, "2, 1, 1, 2 ± 0.1")


# --- divergence --------------------------------------------------------------------------------------------------------


def coefficients(count, power=2):
    """Of the modified field for y' = y^power at y = 1, from F(y + h y^power) = (1 + power h y^(power - 1)) F(y)."""
    c, r = [Fraction(1)], power - 1
    for k in range(1, count):
        c.append(-sum(comb(r * i + power, k + 1 - i) * c[i] for i in range(k)) / (r * k))
    return c


@pytest.fixture(scope="module")
def smallest():
    """power, 1/h -> (defects of one step by number of terms), by quadrature to 50 digits."""

    def defects(power, inverse, count=120):
        with mp.workdps(50):
            exact = [mp.mpf(a.numerator) / a.denominator for a in coefficients(count, power)]
            size, times = mp.mpf(1) / inverse, [mp.mpf(0)] * count
            for node, weight in GaussLegendre(mp).get_nodes(0, 1, 5, mp.prec):
                value, total = 1 + size * node, mp.mpf(0)
                for k, c in enumerate(exact):
                    total += c * size**k * value ** (k * (power - 1) + power)
                    times[k] += weight / total
            return np.array([float(abs(time - 1)) for time in times])

    return defects


@pytest.mark.parametrize("power", [2, 3])
def test_engine_agrees_with_the_functional_equation(power, measured):
    engine = bea.modified_equation(euler, bea.VectorField((y**power,), (y,)), order=12).coefficients([sp.Integer(1)])[
        :, 0
    ]
    assert [Fraction(int(a.p), int(a.q)) for a in engine] == coefficients(12, power)
    measured("exact", 12, "coefficients")


def test_coefficients_grow_like_a_factorial(measured, says):
    c = coefficients(120)
    roots = {k: float(abs(c[k])) ** (1 / k) / k for k in (60, 90, 119)}
    assert all(abs(root * 2 * pi * e - 1) < 0.12 for root in roots.values())  # |c_k|^(1/k) ~ k/(2 pi e)
    assert float(abs(c[20])) ** (1 / 20) < 2 < 7 < float(abs(c[119])) ** (1 / 119)
    measured(
        "root of coefficient 60, 90, 119, divided by k/(2 pi e)",
        [root * 2 * pi * e for root in roots.values()],
        "1 ± 0.12",
    )
    says(
        "02", "grow like $k/(2\\pi e) = 0.059\\,k$; the table ends at $0.061\\,k$", 2, 1 / float(2 * pi * e), roots[119]
    )


@pytest.mark.parametrize("inverse", [6, 9, 12])
def test_defect_falls_then_rises(smallest, inverse, measured):
    defects = smallest(2, inverse)
    best = int(defects.argmin()) + 1
    assert 0.7 < best / (2 * pi * inverse) < 1.3
    assert defects[9] > 1e4 * defects[best - 1] and defects[82 if inverse == 6 else -1] > 1e4 * defects[best - 1]
    measured("best number of terms / (2 pi / h)", best / (2 * pi * inverse), "between 0.7 and 1.3")


def test_defect_agrees_with_the_flow(smallest, measured):
    """The quadrature's time of one step against an integration in doubles: 4 terms, h = 1/6."""
    equation = bea.modified_equation(euler, RICCATI, 4)
    after = bea.flow(equation, (1.0,), 1 / 6, 1)[-1, 0]
    miss = abs(after - (1 + 1 / 6)) / equation.field(1 / 6)(np.array([after]))[0]  # in time
    assert miss * 6 == pytest.approx(smallest(2, 6)[3], rel=0.02)
    measured("integration / quadrature", miss * 6 / smallest(2, 6)[3], "1 ± 0.02")


@pytest.mark.parametrize("power, exponent, inverses", [(2, 2 * pi, range(5, 16)), (3, pi, range(8, 21, 3))])
def test_best_defect_is_exponentially_small(smallest, power, exponent, inverses, measured):
    """HLW Theorem IX.7.6 in kind; the exponent is 2 pi times the distance of the solution's singularity, within 6 %."""
    best = [np.log(smallest(power, inverse, 120 if power == 2 else 80).min()) for inverse in inverses]
    slope, level = np.polyfit(list(inverses), best, 1)
    assert -slope == pytest.approx(exponent, rel=0.06)
    assert np.abs(np.polyval((slope, level), list(inverses)) - best).max() < 0.05 * (best[0] - best[-1])
    measured("exponent / predicted", -slope / exponent, "1 ± 0.06")


def test_envelope_of_the_defects_has_the_heuristic_exponent(smallest, measured):
    """Without the lucky zeros of the defect: the largest of seven in a row, then the smallest."""
    windows = [np.lib.stride_tricks.sliding_window_view(smallest(2, m, 110), 7) for m in (6, 9, 12, 15)]
    best = [np.log(window.max(axis=1).min()) for window in windows]
    slope = np.polyfit((6, 9, 12, 15), best, 1)[0]
    assert -slope == pytest.approx(2 * pi, rel=0.02)
    measured("exponent / 2 pi", -slope / (2 * pi), "1 ± 0.02")


def test_truncated_field_gets_a_spurious_zero_at_84_terms(measured):
    """y' = y^2, h = 1/6: with up to 83 terms the truncated field is positive on the step from 1 to 7/6."""

    def lowest(count):
        c = np.array([float(a) for a in coefficients(count)])
        points = np.linspace(1, 7 / 6, 2001)
        return sum(a * points ** (k + 2) / 6.0**k for k, a in enumerate(c)).min()

    assert min(lowest(count) for count in range(1, 84)) > 0
    assert lowest(84) < 0
    measured("lowest value of the field with 84 terms", lowest(84), "below 0")


def test_48_nodes_suffice_where_the_defect_is_drawn(measured):
    """Twice as many nodes change no drawn defect by one per cent; at 84 terms and h = 1/6, beyond the first spurious zero, they do."""
    with mp.workdps(50):
        exact = [mp.mpf(a.numerator) / a.denominator for a in coefficients(120)]

        def defects(inverse, degree):
            size, times = mp.mpf(1) / inverse, [mp.mpf(0)] * 120
            for node, weight in GaussLegendre(mp).get_nodes(0, 1, degree, mp.prec):
                value, field = 1 + size * node, mp.mpf(0)
                for k, c in enumerate(exact):
                    field += c * size**k * value ** (k + 2)
                    times[k] += weight / field
            return np.array([float(abs(time - 1)) for time in times])

        changes = {inverse: np.abs(defects(inverse, 6) / defects(inverse, 5) - 1) for inverse in (6, 9, 12)}
    drawn = [changes[6][:83].max(), changes[9].max(), changes[12].max()]
    assert max(drawn) < 0.01 < changes[6][83]
    measured("largest relative change at h = 1/6, 1/9, 1/12", [max(drawn) < 0.01] * 3, "below 0.01")


def test_five_terms_follow_the_solution_that_blows_up(measured):
    """y' = y^2 at t = 0.9, h = 0.02: Euler is 28 % below 1/(1 - t), and within 0.02 % of the modified equation with five terms."""
    value = 1.0
    for _ in range(45):
        value += 0.02 * value**2
    modified = bea.flow(bea.modified_equation(euler, RICCATI, 5), (1.0,), 0.02, 45)[-1, 0]
    assert value / 10 - 1 == pytest.approx(-0.28, abs=0.005)
    assert abs(value / modified - 1) < 2e-4
    measured("Euler / exact", value / 10, "0.72")


@pytest.mark.parametrize("size, needed, left, gains", [(0.03, 2, 0.0034, (20, 50)), (0.15, 4, 0.0149, (3.6, 7))])
def test_terms_needed_in_the_live_figure(size, needed, left, gains, measured, says):
    """How many terms come within 0.02 of the last iterate at t = 9, and what each further term gains."""
    steps = round(9 / size)
    end = bea.run(euler, LOTKA_VOLTERRA, (2.5, 1.0), size, steps)[-1]
    apart = [
        np.linalg.norm(bea.flow(bea.modified_equation(euler, LOTKA_VOLTERRA, k), (2.5, 1.0), size, steps)[-1] - end)
        for k in range(1, 5)
    ]
    np.testing.assert_allclose(apart, ends("02", euler, LOTKA_VOLTERRA, h=size)[1], rtol=1e-5)
    assert [x < 0.02 for x in apart] == [k >= needed for k in range(1, 5)]
    assert apart[needed - 1] == pytest.approx(left, abs=5e-5)
    ratios = np.divide(apart[:-1], apart[1:])
    assert gains[0] * 0.97 < ratios.min() and ratios.max() < gains[1] * 1.03
    measured("distance with the terms needed", apart[needed - 1], str(left))
    if needed == 2:
        says("02", "Two terms for $h = 0.03$ (0.0034 apart)", needed, size, apart[1])
        says("02", "of 20 to 50 at $h = 0.03$", ratios.min(), ratios.max(), size)
    else:
        says("02", "four for $h = 0.15$ (0.0149 apart)", needed, size, apart[3])
        says("02", "a factor of 3.6 to 7 at $h = 0.15$", ratios.min(), ratios.max(), size)
