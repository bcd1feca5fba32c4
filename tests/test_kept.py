"""The equation that keeps its memory: slopes with a control, hand derivations, exact solutions, and where it cannot start.

Memory times are held fixed: at step size h the decays are exp(-kappa h) and exp(-lambda h).  The flow starts from the run's
own state after some steps.
"""

from contextlib import suppress

import numpy as np
import pytest
import sympy as sp
from scipy.linalg import expm, logm

import bea
import naive
from bea.modified import KeptEquation
from bea.program import Running
from bea.runs import state_after

LOSS, START = bea.bilinear(), (0.9, 1.5)
KAPPA, LAMBDA = 20.0, 1.0
SIZES = [5e-3, 2.5e-3, 1.25e-3]
BEGIN, HORIZON = 0.02, 0.3


class LastTermHalved(KeptEquation):
    """A control: half of the last term."""

    def field(self, h, n=None):
        fewer = KeptEquation(self.optimizer, self.losses, self.order - 1, self.kept, self.batches)
        less, whole = fewer.field(h, n), super().field(h, n)
        return lambda z, time=0.0: (less(z, time) + whole(z, time)) / 2


def distance(optimizer, loss, equation, h, batches=None, begin=BEGIN, horizon=HORIZON):
    """The largest distance of the flow from the run, from the time `begin` on."""
    first, steps = round(begin / h), round(horizon / h)
    run = bea.run(optimizer, loss, START, h, steps, batches=batches)[first:]
    flow = bea.flow(equation, START, h, steps, first=first)
    assert flow.shape == run.shape
    return np.linalg.norm(flow - run, axis=1).max()


def slope(make, loss, order, memory="kept", change=lambda equation: equation, **options):
    errors = []
    for h in SIZES:
        optimizer = make(h)
        equation = change(bea.modified_equation(optimizer, loss, order, memory=memory))
        errors.append(distance(optimizer, loss, equation, h, **options))
    return observed(errors)


def observed(errors):
    """The order between the two smaller step sizes: at the largest, the start after four steps is seen."""
    return bea.Study(np.array(SIZES), np.array(errors)).slopes[-1]


def adam(h, **conventions):
    return bea.adam(np.exp(-KAPPA * h), np.exp(-LAMBDA * h), 1e-2, **conventions)


MAKERS = {
    "adam": adam,
    "adam outside": lambda h: adam(h, epsilon_inside=False),
    "adam not corrected": lambda h: adam(h, bias_correction=False),
    "adamw": lambda h: bea.adamw(np.exp(-KAPPA * h), np.exp(-LAMBDA * h), 1e-2, 0.3),
    "heavy ball": lambda h: bea.heavy_ball(np.exp(-KAPPA * h), damped=True),
    "lion": lambda h: bea.lion(0.9, np.exp(-KAPPA * h), 0.3, 0.2),
}


# --- order ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", MAKERS)
def test_one_two_and_three_terms_have_their_order(name, order):
    """h = 5e-3 to 1.25e-3, kappa = 20, lambda = 1, from t = 0.02 to 0.3 on the bilinear loss: within 0.2."""
    found = slope(MAKERS[name], LOSS, order)
    assert abs(found - order) < 0.2, found


@pytest.mark.parametrize("order", [2, 3])
def test_control_half_of_the_last_term_loses_an_order(order):
    def halved(e):
        return LastTermHalved(e.optimizer, e.losses, e.order, e.kept, e.batches)

    found = slope(adam, LOSS, order, change=halved)
    assert abs(found - (order - 1)) < 0.15, found


def test_control_the_steady_state_has_no_order_here():
    """Its decays are held fixed: with memory times fixed its error does not fall with h."""
    errors = []
    for h in SIZES:
        optimizer, first = adam(h), round(BEGIN / h)
        run = bea.run(optimizer, LOSS, START, h, round(HORIZON / h))[first:]
        equation = bea.modified_equation(optimizer, LOSS, 2)
        flow = bea.flow(equation, run[0], h, len(run) - 1)
        errors.append(abs(flow - run).max())
    assert bea.Study(np.array(SIZES), np.array(errors)).slope < 0.3 and min(errors) > 0.01


@pytest.mark.parametrize("order", [1, 2, 3])
def test_one_average_kept_and_one_forgotten(order):
    """rho = exp(-h) is kept; beta = 0.3 is forgotten, and starts on no slow manifold: the start is late enough."""
    found = slope(
        lambda h: bea.adam(0.3, np.exp(-LAMBDA * h), 1e-2),
        LOSS,
        order,
        memory=("forgotten", "kept"),
        begin=0.2,
    )
    assert abs(found - order) < 0.15, found


@pytest.mark.parametrize("order", [1, 2])
def test_schedules_see_the_time(order):
    """A step that grows with the time, a warm-up over 0.3, and a memory time that does."""

    @bea.optimizer
    def warmed(theta, gradient, memory, kappa):
        m = memory.average(gradient(theta), np.exp(-kappa * memory.h * (1 + memory.time)))
        return m * (1 + 3 * memory.time)

    found = slope(lambda h: warmed(KAPPA), LOSS, order, horizon=0.06)
    assert abs(found - order) < 0.2, found


@pytest.mark.parametrize("order", [1, 2])
def test_averages_of_averages_and_of_norms(order):
    """Centred, clipped, and with a second gradient: everything that a program may do."""

    @bea.optimizer
    def rich(theta, gradient, memory, beta, rho):
        g = gradient(theta + 0.1 * theta)
        m = memory.average(g / np.sum(g**2 + 1) ** 0.5, beta)
        v = memory.average(memory.average((g - m) ** 2, rho), beta, corrected=True)
        return m / np.sqrt(v + 0.1)

    found = slope(lambda h: rich(np.exp(-KAPPA * h), np.exp(-LAMBDA * h)), LOSS, order)
    assert abs(found - order) < 0.15, found


def test_mini_batches_step_by_step():
    """Three losses in a fixed irregular order, each step with its own field: slopes 1 and 2, and the wrong order is seen."""
    losses = [bea.bilinear(), bea.bilinear(1, 1), bea.bilinear(sp.Rational(1, 2), 3)]
    batches, hs = (0, 2, 1, 1, 0, 2, 2) * 20, np.array([4e-3, 2e-3])

    def follow(order, shift=0):
        errors = []
        for h in hs:
            optimizer = bea.heavy_ball(np.exp(-KAPPA * h), damped=True)
            equation = bea.modified_equation(optimizer, losses, order, "kept", batches[shift:])
            first, steps = round(0.04 / h), round(0.152 / h)
            run = bea.run(optimizer, losses, START, h, steps, batches=batches)[first:]
            errors.append(abs(bea.flow(equation, START, h, steps, first=first) - run).max())
        return bea.Study(hs, np.array(errors)).slope

    for order in (1, 2):
        found = follow(order)
        assert abs(found - order) < 0.15, (order, found)
    assert follow(2, shift=1) < 1.5


@bea.optimizer
def curvature_scaled(theta, gradient, memory, decay: bea.Decay):
    g = gradient(theta)
    d = g - memory.previous(g)
    return g / np.sqrt(0.1 + memory.average(d * d, decay))


@pytest.mark.parametrize(
    ("optimizer", "memory"),
    [
        (curvature_scaled(0.9), "kept"),
        (curvature_scaled(np.array([0.9, 0.8])), "kept"),
        (curvature_scaled(sp.Symbol("b")), "kept"),
        (bea.adam(0.99, 0.5, 0.1), ("kept", "forgotten")),
        (bea.adam(0.99, sp.Rational(1, 2), 0.1), ("forgotten", "kept")),
    ],
)
def test_mini_batches_need_all_of_the_memory_kept(optimizer, memory):
    """A value of the step before, or a short average, is of other mini-batches: the equation took the present one."""
    with pytest.raises(ValueError, match=r"several losses .* all of them kept, and no memory\.previous.*transient"):
        bea.modified_equation(optimizer, [LOSS, bea.bilinear(1, 1)], 2, memory, [0, 1] * 20)
    assert bea.modified_equation(optimizer, LOSS, 2, memory).order == 2


def test_mini_batches_with_an_average_of_decay_zero():
    """It is what it averages, and may be forgotten: slope 2 with two losses in turn."""
    losses, errors = [bea.bilinear(), bea.bilinear(1, 1)], []
    for h in SIZES:
        optimizer, batches = bea.adam(0.0, np.exp(-LAMBDA * h), 0.1), [0, 1] * round(HORIZON / h)
        equation = bea.modified_equation(optimizer, losses, 2, ("forgotten", "kept"), batches)
        errors.append(distance(optimizer, losses, equation, h, batches, horizon=0.1))
    assert abs(observed(errors) - 2) < 0.2, errors


def test_an_equation_made_without_the_check_refuses_in_its_field():
    made = KeptEquation(curvature_scaled(0.9), (LOSS, bea.bilinear(1, 1)), 2, None, (0, 1))
    with pytest.raises(ValueError, match="no memory.previous"):
        made.field(0.01, 0)(np.full(4, 0.5))


# --- exact solutions --------------------------------------------------------------------------------


@pytest.mark.parametrize("damped", [True, False])
def test_the_heavy_ball_on_a_quadratic_is_a_matrix_logarithm(damped):
    """One step on (theta, m) is a matrix A(h): the terms are the Taylor coefficients of log A(h)/h, and eight of them give the flow."""
    c, kappa, h = 1.3, 4.0, 0.02
    beta = np.exp(-kappa * h)
    scale = 1 if damped else 1 / (1 - beta)
    move = np.array([[1 - h * scale * (1 - beta) * c, -h * scale * beta], [(1 - beta) * c, beta]])
    rate = np.real(logm(move) / h)
    equation = bea.modified_equation(bea.heavy_ball(beta, damped=damped), bea.quadratic([c]), 8, "kept")
    field, z = equation.field(h), np.array([0.7, 0.4])
    np.testing.assert_allclose(field(z), rate @ z, rtol=2e-7 if damped else 5e-4)
    path = bea.flow(equation, (1.0,), h, 60, first=10)
    theta, states = state_after(equation.optimizer, bea.quadratic([c]), (1.0,), h, 10)
    start = np.array([theta[0], states[0][0][0]])
    wanted = [(expm(rate * h * k) @ start)[0] for k in range(51)]
    np.testing.assert_allclose(path[:, 0], wanted, rtol=1e-7 if damped else 1e-3, atol=1e-8)
    if damped:
        run = bea.run(equation.optimizer, bea.quadratic([c]), (1.0,), h, 60)[10:]
        np.testing.assert_allclose(path, run, rtol=1e-7, atol=1e-9)


def hand_derivation(weights, gradient, theta, corrected):
    """F_0 and F_1 - F_0' F_0/2 of the one-step map of Adam on (theta, m, v, p, q), by SymPy, from the paper's own loop.

    The map z -> z + h F(z, h) is expanded in h with beta = exp(-kappa h), rho = exp(-lambda h).
    """
    kappa, lam, epsilon = weights
    h = sp.Symbol("h")
    d = len(theta)
    m, v = sp.symbols(f"m_1_1:{d + 1}", real=True), sp.symbols(f"m_2_1:{d + 1}", real=True)
    p, q = sp.symbols("p_1 p_2")
    slow, slower = kappa - h * kappa**2 / 2, lam - h * lam**2 / 2  # (1 - exp(-kappa h))/h to O(h^2)
    rates = [slow * (g - a) for a, g in zip(m, gradient)]
    rates += [-slow * p] * corrected + [slower * (g**2 - a) for a, g in zip(v, gradient)]
    rates += [-slower * q] * corrected
    z = [*theta, *m, *([p] if corrected else []), *v, *([q] if corrected else [])]
    after = dict(zip(z[d:], (a + h * r for a, r in zip(z[d:], rates))))
    one, two = (1 - after[p], 1 - after[q]) if corrected else (1, 1)
    move = [-(after[a] / one) / sp.sqrt(after[b] / two + epsilon) for a, b in zip(m, v)]
    f = sp.Matrix([*move, *rates])
    f_0, f_1 = f.subs(h, 0), f.diff(h).subs(h, 0)
    return z, f_0, f_1 - f_0.jacobian(z) * f_0 / 2


@pytest.mark.parametrize("corrected", [True, False])
def test_adams_terms_are_the_hand_derivation(corrected):
    """On E = x^2 y, in all symbols: the coordinates by name, F_0, and F_1 - F_0' F_0/2, at random numbers with 30 digits."""
    x, y = sp.symbols("x y", real=True)
    beta, rho, epsilon = sp.symbols("beta rho epsilon", positive=True)
    equation = bea.modified_equation(
        bea.adam(beta, rho, epsilon, bias_correction=corrected),
        bea.Loss(x**2 * y, (x, y)),
        2,
        "kept",
    )
    kappa, lam = sp.symbols("kappa_1 kappa_2", positive=True)
    z, f_0, f_1 = hand_derivation((kappa, lam, epsilon), [2 * x * y, x**2], (x, y), corrected)
    assert [str(s) for s in equation.coordinates] == [str(s) for s in z]
    names = {str(s): s for s in equation.coordinates}
    rng = np.random.default_rng(0)
    numbers = {s: sp.Rational(int(rng.integers(2, 40)), 41) for s in [*z, kappa, lam, epsilon]}
    ours = {names.get(str(s), s): value for s, value in numbers.items()}
    for term, wanted in zip(equation.terms, (f_0, f_1)):
        for a, b in zip(term, wanted):
            assert abs(sp.N(a.subs(ours) - b.subs(numbers), 30)) < 1e-25, (a, b)


def test_symbolic_terms_are_the_numbers_of_the_field():
    """A third term as well; the field with one and three terms is their sum in powers of h."""
    beta, rho = sp.symbols("beta rho")
    exact = bea.adam(beta, rho, sp.Rational(1, 10), bias_correction=False)
    symbolic = bea.modified_equation(exact, bea.quadratic([1, 2]), 3, "kept")
    h = 0.01
    z = np.array([0.9, 1.5, 0.3, -0.2, 0.6, 0.4])
    kappas = sp.symbols("kappa_1 kappa_2", positive=True)
    code = sp.lambdify([*symbolic.coordinates, *kappas], list(symbolic.terms), cse=True)
    numbers = [term.ravel() for term in code(*z, KAPPA, LAMBDA)]
    made = bea.adam(np.exp(-KAPPA * h), np.exp(-LAMBDA * h), 0.1, bias_correction=False)
    for order in (1, 3):
        field = bea.modified_equation(made, bea.quadratic([1, 2]), order, "kept").field(h)(z)
        wanted = sum(h**k * f for k, f in enumerate(numbers[:order]))
        np.testing.assert_allclose(field, wanted, rtol=1e-9)
    two = [
        bea.modified_equation(
            bea.adam(np.exp(-KAPPA * s), np.exp(-LAMBDA * s), 0.1, bias_correction=False),
            bea.quadratic([1, 2]),
            2,
            "kept",
        ).field(s)(z)
        - numbers[0]
        - s * numbers[1]
        for s in (2e-3, 1e-3)
    ]
    assert 3.5 < np.linalg.norm(two[0]) / np.linalg.norm(two[1]) < 4.5  # the same up to O(h^2)


def test_two_terms_take_the_increment_exactly():
    """F(h) - (h/2) F_0' F_0 with F(h) one step of the program divided by h: differences of F_0 along itself."""
    h, z = 0.01, np.array([0.9, 1.5, 0.3, -0.2, 0.6, 0.4, 0.5, 0.7])
    made = bea.adam(np.exp(-KAPPA * h), np.exp(-LAMBDA * h), 0.1)
    memory = Running(h, [(z[2:4], z[4]), (z[5:7], z[7])])
    update = made(z[:2], LOSS.gradient_code, memory)
    (m, p), (v, q) = memory.new
    step = (np.concatenate([z[:2] - h * update, m, [p], v, [q]]) - z) / h
    first = bea.modified_equation(made, LOSS, 1, "kept").field(h)
    t = 1e-5
    turning = (first(z + t * first(z)) - first(z - t * first(z))) / (2 * t)
    two = bea.modified_equation(made, LOSS, 2, "kept").field(h)(z)
    np.testing.assert_allclose(two, step - h / 2 * turning, rtol=1e-6)


def test_a_flow_starts_from_the_runs_own_state():
    """And returns the points at the steps first, ..., steps; per_step puts points between them."""
    made, h = adam(0.01), 0.01
    equation = bea.modified_equation(made, LOSS, 2, "kept")
    run = bea.run(made, LOSS, START, h, 30)
    flow = bea.flow(equation, START, h, 30, first=10)
    assert flow.shape == (21, 2)
    np.testing.assert_array_equal(flow[0], run[10])
    fine = bea.flow(equation, START, h, 30, first=10, per_step=3)
    assert fine.shape == (61, 2)
    np.testing.assert_allclose(fine[::3], flow, rtol=1e-9)
    np.testing.assert_array_equal(bea.flow(equation, START, h, 10, first=10), run[10:11])


@pytest.mark.parametrize("per_step", [1, 3])
def test_a_flow_with_memory_that_blows_up_says_where(per_step):
    """The step counts from the run's start, and it is the first of those that have no point any more."""
    x = sp.Symbol("x")
    equation = bea.modified_equation(bea.heavy_ball(0.5), bea.Loss(-(x**4), (x,)), 1, "kept")
    with pytest.raises(bea.Divergence) as caught:
        bea.flow(equation, (1.0,), 0.01, 100, first=5, per_step=per_step)
    path = caught.value.path
    assert 5 < caught.value.step < 40 and caught.value.step == 5 + -(-len(path) // per_step)
    assert np.isfinite(path).all() and np.all(np.diff(path[:, 0]) > 0)


# --- the figures of the theory ----------------------------------------------------------------------


def distances_at_everybodys_settings(h, steps):
    """Adam (0.9, 0.999, 1e-8) from (2.8, 3.5), started after 20 steps: with one and two terms, until `steps`."""
    made = bea.adam(0.9, 0.999, 1e-8)
    run = bea.run(made, LOSS, (2.8, 3.5), h, steps)[20:]
    found = []
    for order in (1, 2):
        equation = bea.modified_equation(made, LOSS, order, "kept")
        flow = bea.flow(equation, (2.8, 3.5), h, steps, first=20)
        found.append(np.linalg.norm(flow - run, axis=1).max())
    return found


def test_adam_at_everybodys_settings():
    """h = 5e-3 up to t = 2.5: two terms 2.5e-6 away (at most 1e-5), one term 9.2e-4; the steady state is far off at once."""
    one, two = distances_at_everybodys_settings(5e-3, 500)
    assert 5e-4 < one < 1e-3 and 1e-6 < two <= 1e-5
    made = bea.adam(0.9, 0.999, 1e-8)
    run = bea.run(made, LOSS, (2.8, 3.5), 5e-3, 60)[20:]
    with np.errstate(all="ignore"):
        steady = bea.flow(bea.modified_equation(made, LOSS, 2), run[0], 5e-3, 5)
    assert abs(steady - run[:6]).max() > 100 * two


def test_adam_at_a_smaller_step():
    """h = 1e-3 up to t = 2.5: two terms 7.7e-7 away (at most 2.5e-6), one term 2.2e-4."""
    one, two = distances_at_everybodys_settings(1e-3, 2500)
    assert 1e-4 < one < 2.5e-4 and 1e-7 < two <= 2.5e-6


# --- where it cannot start, and what it refuses ------------------------------------------------------


def test_a_corrected_average_holds_nothing_before_the_first_step():
    """Its weight is 1 and its correction 0/0: the message says how to start."""
    equation = bea.modified_equation(adam(0.01), LOSS, 2, "kept")
    with pytest.raises(ValueError, match="start the flow after some steps of the run, for example first=20"):
        bea.flow(equation, START, 0.01, 30)


@pytest.mark.parametrize("name", ["heavy ball", "large epsilon"])
def test_an_uncorrected_average_may_start_at_rest(name):
    """Its memory is zero then, which is a state like another: from the first step on, slope 2."""
    errors = []
    for h in SIZES:
        late = bea.adam(np.exp(-KAPPA * h), np.exp(-LAMBDA * h), 1.0, bias_correction=False)
        made = late if name == "large epsilon" else MAKERS[name](h)
        equation = bea.modified_equation(made, LOSS, 2, "kept")
        errors.append(distance(made, LOSS, equation, h, begin=0.0, horizon=0.1))
    found = observed(errors)
    assert abs(found - 2) < 0.2, (found, errors)


def test_a_decay_of_zero_keeps_nothing():
    with pytest.raises(ValueError, match='decay 0 has no memory to keep; choose "forgotten" for it'):
        bea.modified_equation(bea.adam(0.0, 0.9, 0.1), LOSS, 2, "kept").field(0.1)(np.ones(8))


@pytest.mark.parametrize("memory", ["keep", "", True, None, (), ("kept", "lost"), 3, ("kept", None)])
def test_other_words_are_refused(memory):
    with pytest.raises((ValueError, TypeError), match="memory = .* must be"):
        bea.modified_equation(adam(0.01), LOSS, 2, memory)


def test_a_word_for_each_average_is_needed():
    beta, rho, epsilon = sp.symbols("beta rho epsilon", positive=True)
    for optimizer in (adam(0.01), bea.adam(beta, rho, epsilon), bea.adam([0.9, 0.5], 0.9, 0.1)):
        for words in (["kept"], ("kept", "forgotten", "kept")):
            with pytest.raises(
                ValueError,
                match=f"^memory = .* has the length {len(words)}, but the number of averages of .* is 2; give",
            ):
                bea.modified_equation(optimizer, LOSS, 2, words)


def test_a_number_of_steps_is_not_smooth():
    """The time is; a program that counts steps is refused instead of being read as if it had made them all."""

    @bea.optimizer
    def counting(theta, gradient, memory, beta):
        return memory.average(gradient(theta), beta) / (1 + memory.step)

    with pytest.raises(ValueError, match="^with the memory kept a program has no number of steps; use memory.time"):
        bea.modified_equation(counting(0.9), LOSS, 2, "kept").field(0.01)(np.ones(4))


def test_one_run_at_a_time():
    equation = bea.modified_equation(adam(0.01), LOSS, 2, "kept")
    many = bea.modified_equation(bea.adam([0.8, 0.9], 0.9, 0.1), LOSS, 2, "kept")
    for ask in (
        lambda: bea.flow(equation, [START, START], 0.01, 30, first=20),
        lambda: bea.flow(many, START, 0.01, 30, first=20),
    ):
        with pytest.raises(ValueError, match="one point and one configuration"):
            ask()
    for first in (31, -1):
        with pytest.raises(ValueError, match="first = .* must be from 0 to 30"):
            bea.flow(equation, START, 0.01, 30, first=first)
    for equation in (bea.modified_equation, bea.transient_equation):
        with pytest.raises(ValueError, match="belongs to equations with the memory kept"):
            bea.flow(
                equation(adam(0.01), LOSS), START, 0.01, 30, first=20
            ) if equation is bea.transient_equation else bea.flow(
                equation(adam(0.01), LOSS, 2), START, 0.01, 30, first=20
            )


def test_code_has_no_symbolic_terms_but_a_field():
    coded = bea.NumericLoss(2, None, LOSS.gradient_code)
    with pytest.raises(TypeError, match="symbolic terms need"):
        _ = bea.modified_equation(adam(0.01), coded, 2, "kept").terms
    z = np.array([0.9, 1.5, 0.3, -0.2, 0.6, 0.4, 0.5, 0.7])
    for order in (1, 2, 3):
        a, b = (bea.modified_equation(adam(0.01), l, order, "kept").field(0.01)(z) for l in (LOSS, coded))
        np.testing.assert_allclose(a, b, rtol=1e-11)


def test_kept_and_forgotten_are_one_equation_for_short_memory():
    """One step of a program, whichever reading: along the curve of the kept equation the naive memory has the defect of its order."""
    h_values, defects = (4e-3, 2e-3), []
    for h in h_values:
        made = adam(h, bias_correction=False)
        equation = bea.modified_equation(made, LOSS, 3, "kept")
        path = bea.flow(equation, START, h, round(0.1 / h))
        # continue from the flow's own past: the memory that the naive sums build from it is the state, to O(h^4)
        updates = naive.updates_at(made, [LOSS.gradient] * len(path), list(path), h)
        defects.append(np.linalg.norm(path[-1] - path[-2] + h * updates[-2]))
    assert defects[1] < defects[0] / 2**3


def test_a_division_by_the_step_size_is_noticed_at_the_first_point_that_tells():
    """Neither at a kink nor where nothing is finite; a later point is asked as the first one is."""
    x = sp.Symbol("x", real=True)

    @bea.optimizer
    def divided(theta, gradient, memory, beta: bea.Decay):
        move = theta - memory.previous(theta)
        return memory.average(gradient(theta), beta) + 0 * (np.abs(theta) + np.log(theta + 1)) - 0.1 * move / memory.h

    for before in (0.0, -2.0):
        field = bea.modified_equation(divided(0.9), bea.Loss(x**2 / 2, (x,)), 2, memory="kept").field(0.1)
        with suppress(ValueError), np.errstate(invalid="ignore"):
            assert np.isnan(field(np.array([before, 0.3]))).any()
        with pytest.raises(ValueError, match="it divides by memory.h what does not go to 0 with it"):
            field(np.array([0.5, 0.3]))
