"""Laws that the arithmetic of series must keep, on inputs that Hypothesis draws (the same ones every time).

Ring laws and inverses on exact numbers are in test_series.py; here are brute-force products, composition,
the resolvent against sums, what follows for modified equations, and programs that are drawn at random.
"""

from fractions import Fraction
from math import factorial

import numpy as np
import sympy as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import bea
import naive
from bea import Series, antidifference, modified, moments
from bea.program import Running, resolvent
from drawn import draws

fixed = draws(15)
FRACTIONS = st.fractions(min_value=-3, max_value=3, max_denominator=5)
DECAYS = st.fractions(min_value=0, max_value=Fraction(9, 10), max_denominator=10)


def exact(number):
    return sp.Rational(number.numerator, number.denominator)


@st.composite
def float_series(draw, lengths=(1, 6), leading=(-1.5, 1.5), shape=()):
    """A series of floats: P_k of degree k, its constant P_0 within the bounds."""
    length = draw(st.integers(*lengths))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = [[rng.uniform(*leading, shape)]] + [list(rng.uniform(-1, 1, (k + 1, *shape))) for k in range(1, length)]
    return Series.from_polynomials([[np.asarray(c) for c in row] for row in rows])


@st.composite
def exact_polynomials(draw, length=4):
    """Exact coefficients [h^k s^j], j <= k."""
    return [[exact(draw(FRACTIONS)) for _ in range(k + 1)] for k in range(length)]


def of(polynomials):
    return Series.from_polynomials([[np.array(c, dtype=object) for c in row] for row in polynomials])


def close(left, right):
    size = 1 + np.abs(right.coefficients).max()
    np.testing.assert_allclose(left.coefficients, right.coefficients, rtol=0, atol=1e-11 * size)


def same(left, right):
    return np.array_equal(left.coefficients, right.coefficients)


def pair(draw_lengths):
    """Two series of one length."""
    return draw_lengths.flatmap(lambda n: st.tuples(float_series((n, n)), float_series((n, n))))


# --- products, by brute force -------------------------------------------------------------------


@fixed
@given(pair(st.integers(1, 7)))
def test_a_product_is_the_double_sum(series):
    a, b = series
    length = a.terms
    wanted = np.zeros((length, length))
    for k in range(length):
        for i in range(length - k):
            for j in range(k + 1):
                for m in range(i + 1):
                    wanted[k + i, j + m] += a.coefficients[k, j] * b.coefficients[i, m]
    close(a * b, Series(wanted))


@fixed
@given(pair(st.integers(1, 6)), st.floats(-2, 2))
def test_values_add_and_a_series_is_cut_where_it_says(series, s):
    """at() is linear; and of a product it differs from the product of values by O(h^K): 2^-K when h is halved."""
    a, b = series
    assert np.isclose((a + b).at(s, 0.3), a.at(s, 0.3) + b.at(s, 0.3), rtol=1e-12, atol=1e-12)
    misses = [abs((a * b).at(s, h) - a.at(s, h) * b.at(s, h)) for h in (2e-2, 1e-2)]
    assert misses[0] <= 200 * (3 * 2e-2) ** a.terms
    if misses[0] > 1e-9:
        assert misses[1] < misses[0]


# --- composition ----------------------------------------------------------------------------------


@fixed
@given(pair(st.integers(1, 6)))
def test_functions_keep_their_addition_theorems(series):
    a, b = series
    close(np.exp(a + b), np.exp(a) * np.exp(b))
    close(np.sin(a + b), np.sin(a) * np.cos(b) + np.cos(a) * np.sin(b))
    close(np.cos(a - b), np.cos(a) * np.cos(b) + np.sin(a) * np.sin(b))
    close(np.cosh(a + b), np.cosh(a) * np.cosh(b) + np.sinh(a) * np.sinh(b))
    close(np.tanh(a + b) * (1 + np.tanh(a) * np.tanh(b)), np.tanh(a) + np.tanh(b))


@fixed
@given(float_series(leading=(0.4, 1.4), shape=(3,)))
def test_functions_undo_each_other(a):
    one = a * 0 + 1
    close(np.log(np.exp(a)), a)
    close(np.exp(np.log(a)), a)
    close(np.arctan(np.tan(a)), a)
    close(np.tan(np.arctan(a)), a)
    close(np.sqrt(a) * np.sqrt(a), a)
    close(np.sqrt(a * a), a)
    close(a**1.5 * a**-0.5, a)
    close(np.log(a**2.5), 2.5 * np.log(a))
    close(np.sin(a) ** 2 + np.cos(a) ** 2, one)
    close(np.cosh(a) ** 2 - np.sinh(a) ** 2, one)
    close(np.tanh(a), np.sinh(a) / np.cosh(a))
    close(np.abs(-a) * np.sign(-a), -a)


@fixed
@given(float_series((2, 6)), st.integers(1, 5))
def test_composition_is_the_sum_of_powers(a, degree):
    """exp and sin of a series without leading term, against their power series, which then end."""
    small = a - a.leading
    terms = [small**n * (1 / factorial(n)) for n in range(a.terms)]
    close(np.exp(small), sum(terms[1:], terms[0]))
    close(np.sin(small), sum(((-1) ** (n // 2) * t for n, t in enumerate(terms) if n % 2), 0 * small))
    power = a * 0 + 1
    for _ in range(degree):
        power = power * a
    close(a**degree, power)


# --- averages along the curve ---------------------------------------------------------------------


@fixed
@given(exact_polynomials(), DECAYS)
def test_the_resolvent_solves_its_recursion_exactly(polynomials, decay):
    """m(s) = beta m(s-1) + (1-beta) a(s), identically in s: tested at more points than the degree."""
    beta = exact(decay)
    m = resolvent(of(polynomials), beta)
    for k, row in enumerate(polynomials):
        for s in range(-1, 5):
            value, before = (sum(c * sp.Integer(t) ** j for j, c in enumerate(m.coefficients[k])) for t in (s, s - 1))
            assert value == beta * before + (1 - beta) * sum(c * sp.Integer(s) ** j for j, c in enumerate(row))


@fixed
@given(exact_polynomials(), DECAYS, st.fractions(-2, 2, max_denominator=3))
def test_the_resolvent_is_the_brute_force_sum(polynomials, decay, s):
    """(1-beta) sum_i beta^i a(s - i) in exact fractions, up to i = 399: the rest is below 1e-9."""
    series = resolvent(of(polynomials), exact(decay))
    for k, row in enumerate(polynomials):
        row = [Fraction(int(c.p), int(c.q)) for c in row]
        total = sum(float(decay) ** i * float(sum(c * (s - i) ** j for j, c in enumerate(row))) for i in range(400))
        found = sum(float(c) * float(s) ** j for j, c in enumerate(series.coefficients[k]))
        assert abs(found - (1 - float(decay)) * total) < 1e-9 * (1 + abs(found))


@fixed
@given(exact_polynomials(), exact_polynomials(), DECAYS, DECAYS, FRACTIONS)
def test_averages_are_linear_commute_and_leave_constants(p, q, first, second, factor):
    a, b, factor = of(p), of(q), exact(factor)
    one, two = exact(first), exact(second)
    assert same(resolvent(a + b * factor, one), resolvent(a, one) + resolvent(b, one) * factor)
    assert same(resolvent(resolvent(a, two), one), resolvent(resolvent(a, one), two))
    assert same(resolvent(a * 0 + factor, one), a * 0 + factor)


@fixed
@given(DECAYS, st.integers(1, 8))
def test_moments_solve_their_recurrence(decay, count):
    """mu_r = E(age^r): an age is 0 with weight 1 - beta, or one more than an older age."""
    beta = exact(decay)
    found = moments(beta, count)
    for r in range(1, count):
        assert sp.simplify(found[r] - beta * sum(sp.binomial(r, i) * found[i] for i in range(r + 1))) == 0


@fixed
@given(st.lists(FRACTIONS, min_size=1, max_size=6), st.lists(FRACTIONS, min_size=1, max_size=6))
def test_sums_are_linear(left, right):
    size = max(len(left), len(right))
    p, q = (
        np.array([exact(c) for c in (*row, *[Fraction(0)] * (size - len(row)))], dtype=object) for row in (left, right)
    )
    assert np.array_equal(antidifference(p + 3 * q), antidifference(p) + 3 * antidifference(q))


# --- what follows for modified equations ------------------------------------------------------------


@fixed
@given(st.fractions(Fraction(1, 5), 3, max_denominator=5), FRACTIONS.filter(bool), st.integers(1, 8))
def test_gradient_descent_on_a_parabola_is_a_logarithm(curvature, start, order):
    """(1 - h c)^(t/h) = exp(t log(1 - h c)/h), so f_k = -c^(k+1)/(k+1) theta, exactly."""
    # a whole number, given alone, would count as a float
    start = start if start.denominator > 1 else start + Fraction(1, 7)
    equation = bea.modified_equation(bea.gradient_descent(), bea.quadratic([exact(curvature)]), order)
    found = equation.coefficients([start])
    assert [f[0] for f in found] == [-(exact(curvature) ** (k + 1)) / (k + 1) * exact(start) for k in range(order)]


@fixed
@given(st.floats(0, 0.9), st.floats(0.2, 3), st.integers(2, 7))
def test_heavy_ball_on_a_parabola_is_a_root(beta, curvature, order):
    """The multiplier z of theta solves z^2 - (1 + beta - h c (1 - beta)) z + beta = 0; exp(h sum f_k h^k) = z up to h^(order+1)."""
    coefficients = bea.modified_equation(
        bea.heavy_ball(beta, damped=True), bea.quadratic([curvature]), order
    ).coefficients([1.0])[:, 0]
    misses = []
    for h in (0.02 * (1 - beta), 0.01 * (1 - beta)):
        b = 1 + beta - h * curvature * (1 - beta)
        z = (b + np.sqrt(b * b - 4 * beta)) / 2
        misses.append(abs(np.log(z) - h * sum(f * h**k for k, f in enumerate(coefficients))))
    assert misses[1] <= misses[0] / 2 ** (order + 0.5) + 1e-14


@fixed
@given(
    st.integers(0, 2**32),
    st.permutations(range(3)),
    st.sampled_from(["adam", "nesterov", "signum"]),
)
def test_equations_turn_with_their_coordinates(seed, order, name):
    """Coordinates in another order give the same numbers in that order."""
    x = sp.symbols("x:3")
    loss = x[0] ** 2 * x[1] + sp.exp(x[1] - x[2]) + x[2] ** 4 / 4 + x[0]
    optimizer = {
        "adam": bea.adam(0.7, 0.8, 0.01),
        "nesterov": bea.nesterov(0.6),
        "signum": bea.signum(0.5, 0.1),
    }[name]
    theta = np.random.default_rng(seed).uniform(-1, 1, 3)
    plain = bea.modified_equation(optimizer, bea.Loss(loss, x), 3).coefficients(theta)
    turned = bea.modified_equation(optimizer, bea.Loss(loss, [x[i] for i in order]), 3).coefficients(theta[list(order)])
    np.testing.assert_allclose(turned, plain[:, list(order)], rtol=1e-9, atol=1e-9)


# --- programs drawn at random -----------------------------------------------------------------------
#
# A program is a tree of tuples.  It is read by one decorated function, so that whatever holds for that
# function on every tree holds for the language of programs.


@bea.optimizer
def drawn(theta, gradient, memory, tree, decays):
    """Evaluate a tree; every average has the next of the decays."""
    values = iter(decays)

    def at(node):
        kind, *parts = node
        if kind == "theta":
            return theta
        if kind == "gradient":
            return gradient(theta)
        x = at(parts[0])
        if kind == "average":
            return memory.average(x, next(values), corrected=parts[1])
        if kind == "fading":  # a decay that follows the time
            return memory.average(x, next(values) / (1 + memory.time), corrected=parts[1])
        if kind == "previous":
            return memory.previous(x)
        if kind == "warm-up":
            return x * (1 + memory.time) / (2 + memory.time)
        if kind == "ahead":  # the gradient where a step of fixed length would lead
            return gradient(theta - 0.1 * np.tanh(x))
        if kind == "step ahead":  # and where a step of size h would
            return gradient(theta - memory.h * x)
        if kind == "normalized":
            return x / (np.sum(x**2) + 0.5) ** 0.5
        if kind == "power":
            return (x**2 + 0.4) ** parts[1]
        if kind == "tanh":
            return np.tanh(x)
        if kind == "clip":
            return np.clip(x, -parts[1], parts[1])
        if kind == "larger":
            return np.maximum(x, 0.3 * x + parts[1])
        y = at(parts[1])
        return x * y if kind == "times" else x - 0.7 * y

    return at(tree)


LEAVES = st.sampled_from([("gradient",), ("gradient",), ("theta",)])


def grow(smaller):
    corrected = st.booleans()
    average = st.tuples(st.sampled_from(["average", "average", "fading"]), smaller, corrected)
    one = st.tuples(
        st.sampled_from(["previous", "warm-up", "ahead", "step ahead", "normalized", "tanh"]),
        smaller,
    )
    number = st.one_of(
        st.tuples(st.just("power"), smaller, st.sampled_from([-0.5, 0.5, 1.5])),
        st.tuples(st.sampled_from(["clip", "larger"]), smaller, st.sampled_from([0.3, 0.9])),
    )
    two = st.tuples(st.sampled_from(["times", "minus"]), smaller, smaller)
    return st.one_of(average, average, one, number, two)


TREES = st.recursive(LEAVES, grow, max_leaves=5).filter(lambda tree: len(tree) > 1)


def number_of(tree, kinds):
    return (tree[0] in kinds) + sum(number_of(t, kinds) for t in tree[1:] if isinstance(t, tuple))


def reads_time(tree):
    return number_of(tree, ("fading", "warm-up")) > 0


@st.composite
def optimizers(draw):
    tree = draw(TREES)
    count = number_of(tree, ("average", "fading"))
    decays = draw(st.lists(st.sampled_from([0.1, 0.3, 0.45]), min_size=count, max_size=count))
    return drawn(tree, tuple(decays))


U, V = sp.symbols("u v", real=True)
MONOMIALS = [U**i * V**j for i in range(4) for j in range(4 - i) if i + j]
WAVES = [sp.sin(U + 2 * V), sp.tanh(U * V), sp.exp(-(U**2)), sp.log(1 + V**2), sp.sqrt(1 + U**2)]


@st.composite
def losses(draw):
    """A loss of two coordinates: two monomials and two other functions."""
    chosen = draw(st.lists(st.sampled_from(MONOMIALS), min_size=1, max_size=2))
    chosen += draw(st.lists(st.sampled_from(WAVES), min_size=1, max_size=2))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return bea.Loss(sum(sp.Rational(int(rng.integers(2, 9)), 8) * e for e in chosen), (U, V))


def code(loss):
    """Its gradient as NumPy code that shares nothing with the library; it takes complex numbers, too."""
    derivatives = [sp.lambdify((U, V), sp.diff(loss.expression, s), "numpy") for s in (U, V)]
    return lambda theta: np.stack([f(*theta) + 0 * theta[0] for f in derivatives])


POINTS = st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).uniform(0.4, 1.3, 2))
programs = draws(30)


def at_a_kink(optimizer, gradient, theta, h=1e-3, near=0.02):
    """Whether a clip or a maximum changes its branch near theta; there no program has an expansion."""
    close = []

    class Watching(naive.Sums):
        def average(self, x, decay, corrected=False):
            return x

        def previous(self, x, start=0.0):
            return x

    def watched(node):
        kind, *parts = node
        for part in parts:
            if isinstance(part, tuple):
                watched(part)
        if kind in ("clip", "larger"):
            x = drawn(parts[0], optimizer.hyperparameters["decays"])(theta, gradient, Watching(h))
            edge = (np.abs(x) if kind == "clip" else 0.7 * x) - parts[1]
            close.append(np.abs(edge).min() < near)

    watched(optimizer.hyperparameters["tree"])
    return any(close)


def curve_of(polynomials):
    return lambda s, h: sum(h**k * sum(c * s**j for j, c in enumerate(p)) for k, p in enumerate(polynomials))


def sizes_of_defects(optimizer, gradient, polynomials, time):
    follow = curve_of(polynomials)
    return [np.linalg.norm(naive.defect(optimizer, gradient, follow, h, 60, time)) for h in (2e-3, 1e-3)]


def falls(defects, power):
    """Whether a defect falls like h^power, or is round-off already."""
    return defects[1] < 1e-13 or defects[1] <= defects[0] / 2 ** (power - 0.3)


@programs
@given(optimizers(), losses(), POINTS, st.sampled_from([1, 2, 3]), st.sampled_from([0.0, 0.7]))
def test_one_step_of_any_program_along_its_curve_has_the_defect_of_its_order(optimizer, loss, theta, order, time):
    """theta(t + h) - theta(t) = -h U up to h^(order + 1), U the program's after 60 steps along the curve."""
    gradient = code(loss)
    assume(not at_a_kink(optimizer, gradient, theta))
    polynomials = modified.curve(optimizer, loss, theta, order, time)
    defects = sizes_of_defects(optimizer, gradient, polynomials, time)
    assert falls(defects, order + 1), defects


@programs
@given(optimizers(), losses(), POINTS, st.sampled_from([2, 3]))
def test_control_a_wrong_last_term_is_seen(optimizer, loss, theta, order):
    """The same with the last coefficient off, by 0.3 or ten times what h adds to it: the defect loses a power of h."""
    gradient = code(loss)
    assume(not at_a_kink(optimizer, gradient, theta))
    polynomials = modified.curve(optimizer, loss, theta, order)
    right = sizes_of_defects(optimizer, gradient, polynomials, 0.0)[0]
    assume(right < 1e-5)  # else what would be added is not small
    polynomials[-1][1] += max(0.3, 10 * right / 2e-3**order)
    assert not falls(sizes_of_defects(optimizer, gradient, polynomials, 0.0), order + 1)


@programs
@given(optimizers(), losses(), POINTS, st.sampled_from([0, 1, 2, 5, 9]))
def test_pieces_of_any_program_are_the_brute_force_sums(optimizer, loss, theta, n):
    """f_0 and f_1 of step n against every value that the memory ever saw, weighted one by one, and complex steps."""
    gradient = code(loss)
    found = bea.transient_equation(optimizer, loss)._step_by_step(optimizer, theta, n, 0.1)
    wanted = naive.transient_terms(optimizer, [gradient] * (n + 1), theta, 0.1)
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)


@programs
@given(optimizers(), st.lists(losses(), min_size=2, max_size=3), POINTS, st.integers(0, 2**16))
def test_pieces_of_mini_batches_are_the_brute_force_sums(optimizer, several, theta, seed):
    """The field itself, by whatever reading is trusted, with the mini-batches in a drawn order."""
    order = np.random.default_rng(seed).integers(0, len(several), 8)
    gradients = [code(several[k]) for k in order]
    equation = bea.transient_equation(optimizer, several, batches=order)
    for n in (2, 7):
        f_0, f_1 = naive.transient_terms(optimizer, gradients[: n + 1], theta, 0.1)
        np.testing.assert_allclose(equation.field(0.1, n)(theta), f_0 + 0.1 * f_1, rtol=1e-10, atol=1e-10)


@programs
@given(optimizers(), losses(), POINTS, st.sampled_from([0, 1, 4, 40]))
def test_the_readings_of_a_piece_agree(optimizer, loss, theta, n):
    """All steps at once, and one step with the mean age of the memory, wherever they cover the program: to 1e-12."""
    equation = bea.transient_equation(optimizer, loss)
    plain = equation._step_by_step(optimizer, theta, n, 0.05)
    field = equation.field(0.05, n)(theta)
    scale = 1 + np.abs(plain).max()
    assert np.abs(field - plain[0] - 0.05 * plain[1]).max() < 1e-12 * scale


@programs
@given(optimizers(), losses(), POINTS)
def test_a_loss_given_by_code_is_the_loss_given_by_its_expression(optimizer, loss, theta):
    """Coefficients, the piece of a step, the equation with the memory kept, runs and starts on the slow manifold."""
    gradient = code(loss)
    assume(not at_a_kink(optimizer, gradient, theta))
    coded = bea.NumericLoss(2, None, gradient)
    both = (loss, coded)

    def five_steps(which):
        """Five steps, or the step at which the run diverges."""
        try:
            return bea.run(optimizer, which, theta, 0.01, 5)
        except bea.Divergence as divergence:
            return divergence.step

    def agree(ask, tolerance=1e-11):
        one, two = (np.asarray(ask(which)) for which in both)
        scale = 1 + np.abs(one).max()
        np.testing.assert_allclose(two, one, rtol=0, atol=tolerance * scale)

    agree(lambda l: bea.modified_equation(optimizer, l, 3).coefficients(theta, 0.3))
    agree(lambda l: bea.transient_equation(optimizer, l).field(0.05, 3)(theta))
    agree(five_steps)
    for m in zip(*(bea.modified_equation(optimizer, l, 2).memory(theta, 0.05) for l in both)):
        np.testing.assert_allclose(*m, rtol=1e-11, atol=1e-11)


# --- the memory kept -------------------------------------------------------------------------------


def held(optimizer, gradient, theta, h):
    """What the memory holds after four steps at one point, and the update there."""
    memory = Running(h)
    for _ in range(4):
        update = optimizer(theta, gradient, memory)
        memory = memory.advance()
    return memory.state or [], update


@programs
@given(optimizers(), losses(), POINTS, st.sampled_from([1, 2, 3]))
def test_the_kept_field_of_code_is_that_of_its_expression(optimizer, loss, theta, order):
    gradient = code(loss)
    assume(not at_a_kink(optimizer, gradient, theta))
    fields = []
    for given_loss in (loss, bea.NumericLoss(2, None, gradient)):
        equation = bea.modified_equation(optimizer, given_loss, order, memory="kept")
        z = equation.state(theta, held(optimizer, gradient, theta, 0.02)[0], 0.02)
        fields.append(equation.field(0.02)(z, 0.08))
    scale = 1 + np.abs(fields[0]).max()
    assert np.abs(fields[0] - fields[1]).max() < 1e-9 * scale


@programs
@given(optimizers(), losses(), POINTS, st.sampled_from([1, 2]), st.integers(0, 2**16))
def test_one_step_of_any_program_is_the_kept_flow_over_h(optimizer, loss, theta, order, seed):
    """From one state z, with decays exp(-kappa h): the step of the program and SciPy's flow differ by O(h^(order + 1))."""
    tree = optimizer.hyperparameters["tree"]
    # a value that was held one step earlier is no coordinate; a decay that fades has no memory time
    assume(number_of(tree, ("previous", "fading")) == 0)
    gradient = code(loss)
    count = len(optimizer.hyperparameters["decays"])
    kappas = np.random.default_rng(seed).uniform(1, 8, count)
    defects = []
    for h in (8e-3, 4e-3):
        made = drawn(tree, tuple(np.exp(-kappas * h).tolist()))
        if not defects:
            states, update = held(made, gradient, theta, h)
            assume(np.abs(update).max() < 3 and not at_a_kink(made, gradient, theta, near=0.1))
        equation = bea.modified_equation(made, loss, order, memory="kept")
        memory = Running(h, states, 0.1 / h)
        moved = theta - h * made(theta, gradient, memory)
        wanted = equation.state(moved, memory.new, h)
        field = equation.field(h)
        flow = solve_ivp(
            lambda t, z, field=field: field(z, t),
            (0.1, 0.1 + h),
            equation.state(theta, states, h),
            rtol=1e-11,
            atol=1e-13,
        )
        defects.append(np.linalg.norm(flow.y[:, -1] - wanted))
    assert defects[1] < 1e-12 or defects[1] <= defects[0] / 2 ** (order + 0.5), defects
