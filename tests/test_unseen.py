"""Programs and losses with which a fast reading could go wrong unseen: each against a plain loop, or refused in words."""

import math
from functools import partial
from importlib.util import find_spec
from itertools import cycle

import numpy as np
import pytest
import sympy as sp

import bea
from bea.straight import alike

x, y = sp.symbols("x y", real=True)
BOWL = bea.Loss(x**2 / 2 + y**2, (x, y))
LINE = bea.Loss(x**2 / 2, (x,))
CODED = bea.NumericLoss(2, None, lambda t: np.stack([t[0], 2 * t[1]]))
CODED_LINE = bea.NumericLoss(1, None, lambda t: 1 * t)


def loop(update, theta, h, steps):
    """Plain iterations of a memoryless update on the bowl."""
    theta = np.array(theta, dtype=float)
    for _ in range(steps):
        theta = theta - h * update(np.array([1.0, 2.0])[: len(theta)] * theta)
    return theta


def program(update):
    @bea.optimizer
    def made(theta, gradient, memory):
        return update(gradient(theta))

    return made()


@pytest.mark.parametrize(
    "update",
    [
        lambda g: g * ((g > 0) + (g > -1)),
        lambda g: g + 0.5 * np.sum(g < -0.5, axis=0) + 1,
        lambda g: g * ((g > 0) * (g < 1) + (g > -2)),
        lambda g: g * (1 + np.sum((g > 0.1) & (g < 0.9), axis=0)),
    ],
)
def test_truth_values_add_up_as_in_numpy(update):
    start = [0.3, 0.6]
    wanted = loop(update, start, 0.1, 20)
    for loss in (BOWL, CODED):
        np.testing.assert_allclose(bea.run(program(update), loss, start, 0.1, 20)[-1], wanted, rtol=1e-12)
        np.testing.assert_allclose(bea.run(program(update), loss, [start] * 40, 0.1, 20)[-1, 7], wanted, rtol=1e-12)


@pytest.mark.parametrize("largest", [6.0, 1e3])
def test_a_norm_over_all_steps_is_not_a_norm(largest):
    """Clipping that never acts changes nothing in the transient equation."""

    @bea.optimizer
    def clipped(theta, gradient, memory, beta, most):
        g = gradient(theta)
        return memory.average(g * np.minimum(1, most / np.sqrt(np.sum(g**2))), beta)

    round_bowl = bea.Loss((x**2 + y**2) / 2, (x, y))
    equation = bea.transient_equation(clipped(0.5, largest), round_bowl)
    run = bea.run(clipped(0.5, largest), round_bowl, [1.4, 1.4], 0.02, 30)
    flow = bea.flow(equation, [1.4, 1.4], 0.02, 30, tolerance=1e-7)
    assert np.abs(flow - run).max() < 1.5e-3


def test_mini_batches_of_different_size_are_not_mixed():
    made = program(lambda g: g / np.max(np.abs(g)))
    equation = bea.transient_equation(made, [bea.Loss(10 * x**2, (x,)), LINE], 1, batches=[0] * 6 + [1] * 6)
    assert equation.field(0.1, 8)([1.0]).tolist() == [-1.0]


def test_points_between_the_first_and_the_last_are_asked_too():
    made, points = program(lambda g: g / np.max(np.abs(g))), np.array([[-1.0], [-0.5], [0.25], [1.0]])
    end = bea.run(made, CODED_LINE, points, 0.1, 1)[-1]
    np.testing.assert_allclose(end, points - 0.1 * np.sign(points), rtol=1e-15)
    np.testing.assert_allclose(bea.modified_equation(made, LINE, 2).field(0.1)(points), -np.sign(points), rtol=1e-12)
    saturated = bea.NumericLoss(1, None, lambda t: t if abs(t).max() < 1 else np.sign(t))
    saturated.gradient([[0.1], [0.2], [0.3]])
    assert saturated.gradient([[0.5], [3.0], [0.6]]).ravel().tolist() == [0.5, 1.0, 0.6]


def test_clipping_that_begins_later_is_found_before():
    made = program(lambda g: g * min(1.0, 5 / np.linalg.norm(g)))
    hill = bea.Loss(-1.5 * x**2 - y**2, (x, y))
    together = bea.run(made, hill, [[1.0, 0.2], [0.1, 0.1], [1.2, 0.1]], 0.1, 20)
    np.testing.assert_array_equal(together[:, 0], bea.run(made, hill, [1.0, 0.2], 0.1, 20))


def test_a_flat_place_does_not_decide_what_serves_elsewhere():
    """An average of an average is not as old as one, though on a straight piece it looks so."""

    @bea.optimizer
    def twice(theta, gradient, memory):
        return memory.average(memory.average(gradient(theta), 0.9, True), 0.9, True)

    huber = bea.Loss(sp.Piecewise((x**2 / 2, sp.Abs(x) < 1), (sp.Abs(x) - sp.Rational(1, 2), True)), (x,))
    equation = bea.transient_equation(twice(), huber)
    equation.field(0.1, 0)([3.0])
    fresh = bea.transient_equation(twice(), huber)
    assert equation.field(0.1, 7)([0.5])[0] == pytest.approx(fresh.field(0.1, 7)([0.5])[0], rel=1e-12)


@pytest.mark.parametrize(
    "factor",
    [
        lambda n: 1.0 if n % 2 == 0 else 3.0,
        lambda n: 1 + n // 10,
        lambda n: np.where(np.cos(n) > 0, 1.0, 2.0),
        lambda n: 2.0 + (-1) ** n,
    ],
)
def test_a_schedule_without_a_limit_has_no_steady_state(factor):
    @bea.optimizer
    def periodic(theta, gradient, memory):
        return gradient(theta) * factor(memory.step)

    with pytest.raises(ValueError, match="not defined; use np.minimum"):
        _ = bea.modified_equation(periodic(), LINE, 2).terms


@pytest.mark.parametrize(
    "factor", [lambda n: np.minimum(1, n / 100), lambda n: 1 - 0.5 ** (n + 1), lambda n: 1.0 if n > 7 else 0.0]
)
def test_a_schedule_with_a_limit_has_the_limits_equation(factor):
    @bea.optimizer
    def warmed(theta, gradient, memory):
        return gradient(theta) * factor(memory.step)

    terms = bea.modified_equation(warmed(), LINE, 2).terms
    assert [sp.nsimplify(term[0]) for term in terms] == [-x, -x / 2]


def test_what_is_changed_in_place_is_the_programs_own():
    @bea.optimizer
    def doubled(theta, gradient, memory):
        m = memory.average(gradient(theta), 0.5)
        before = memory.previous(m)
        m *= 2
        before -= 1
        return m

    @bea.optimizer
    def plainly(theta, gradient, memory):
        return 2 * memory.average(gradient(theta), 0.5)

    np.testing.assert_array_equal(*(bea.run(o(), CODED, [1.0, 0.5], 0.1, 9) for o in (doubled, plainly)))
    terms = [bea.modified_equation(o(), LINE, 2).field(0.1)([1.0]) for o in (doubled, plainly)]
    np.testing.assert_allclose(*terms, rtol=1e-14)

    @bea.optimizer
    def numbers(theta, gradient, memory):
        g = gradient(theta)
        a, b = g
        a += b
        return np.stack([a, g[0]])

    end = bea.run(numbers(), CODED, [1.0, 1.0], 0.1, 1)[-1]
    assert end == pytest.approx([1 - 0.3, 1 - 0.1])
    f_0 = bea.modified_equation(numbers(), BOWL, 1).field(0.1)([1.0, 1.0])
    assert f_0 == pytest.approx([-3, -1])


@pytest.mark.parametrize("points", [[1.0, 2.0], [[1.0, 2.0], [0.5, 1.0]]])
@pytest.mark.parametrize("loss", [BOWL, CODED])
def test_theta_is_not_changed_in_place(loss, points):
    @bea.optimizer
    def halving(theta, gradient, memory):
        theta *= 0.5
        return gradient(theta)

    with pytest.raises(ValueError, match="changes theta in place"):
        bea.run(halving(), loss, points, 0.1, 2)
    with pytest.raises((TypeError, ValueError), match="in place"):
        bea.modified_equation(halving(), loss, 2).field(0.1)(points)


SCALE = 1.0


@bea.optimizer
def scaled_from_outside(theta, gradient, memory):
    return SCALE * gradient(theta)


def test_what_a_program_reads_may_change_between_calls(monkeypatch):
    steady = bea.modified_equation(scaled_from_outside(), LINE, 1).field(0.1)
    kept = bea.modified_equation(scaled_from_outside(), LINE, 1, memory="kept").field(0.1)
    transient = bea.transient_equation(scaled_from_outside(), LINE, 1)
    for scale in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0):
        monkeypatch.setitem(globals(), "SCALE", scale)
        assert [kept([1.0])[0] for _ in range(4)] == [-scale] * 4  # the fourth is traced
        assert steady([1.0])[0] == transient.field(0.1, 3)([1.0])[0] == -scale
        assert bea.run(scaled_from_outside(), LINE, [1.0], 0.1, 1)[-1, 0] == pytest.approx(1 - 0.1 * scale)


def test_what_a_program_read_before_is_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr(bea.program, "KEPT", 3)
    steady, transient = (
        make(scaled_from_outside(), LINE, 1) for make in (bea.modified_equation, bea.transient_equation)
    )
    kept = bea.modified_equation(scaled_from_outside(), LINE, 1, memory="kept").field(0.1)
    traced = kept.__closure__[kept.__code__.co_freevars.index("traced")].cell_contents
    for n in range(1, 12):
        monkeypatch.setitem(globals(), "SCALE", np.array([float(n)]))
        for field in (kept, steady.field(0.1), transient.field(0.1, 3)):
            assert field(np.array([1.0])) == -n
        [of_steady], [of_transient] = (
            equation.__dict__[name].values() for equation, name in ((steady, "functions"), (transient, "trusted"))
        )
        assert max(map(len, (traced, of_steady, of_transient))) <= 3


class Scale:
    scale = 1.0

    def __call__(self, time):
        return self.scale * (1 + 0 * time)


def falling(time):
    return SCALE * (1 + 0 * time)


@pytest.mark.parametrize("given", [falling, Scale()], ids=["function", "object"])
def test_what_a_hyper_parameter_reads_may_change_between_calls(given, monkeypatch):
    @bea.optimizer
    def scheduled(theta, gradient, memory, *, given):
        return given(memory.time) * gradient(theta)

    made, wanted = scheduled(given=given), 1.0
    steady, transient = bea.modified_equation(made, LINE, 1), bea.transient_equation(made, LINE, 1)
    kept, field = bea.modified_equation(made, LINE, 1, memory="kept").field(0.1), steady.field(0.1)
    path = bea.walk(made, LINE, [1.0], 0.1)
    assert next(path) == wanted
    for scale in (1.0, 2.0, 3.0):
        monkeypatch.setitem(globals(), "SCALE", scale)
        monkeypatch.setattr(Scale, "scale", scale)
        for _ in range(5):  # the fourth is traced
            found = [f(np.array([1.0])).item() for f in (kept, field, steady.coefficients, transient.field(0.1, 3))]
            assert found == [-scale] * 4
        wanted = wanted - 0.1 * (scale * wanted)
        assert next(path) == pytest.approx(wanted)
        assert bea.run(made, LINE, [1.0], 0.1, 1)[-1, 0] == pytest.approx(1 - 0.1 * scale)


def made_anew(theta, gradient, memory, *, scale=1.0):
    return scale * gradient(theta)


@pytest.mark.skipif(not find_spec("numba"), reason="Numba is not installed")
def test_a_compiled_field_at_one_point(monkeypatch):
    """The bits of the field that is not compiled, at points of every kind; what is not finite is refused."""
    loss = bea.Loss(x**4 / 4 + sp.Abs(x - y) + sp.exp(x) * y**2, (x, y))
    before = bea.modified_equation(bea.adam(0.9, 0.95, 0.01), loss, 2).field(0.1)
    points = np.random.default_rng(3).uniform(-1.5, 1.5, (50, 2))
    wanted = [before(point) for point in [*points[:3], *points]][3:]  # the first three calls are not traced
    monkeypatch.setattr(bea.trace, "COMPILING", 0.0)
    monkeypatch.setattr(bea.trace, "COMPILING_LINE", 0.0)
    equation = bea.modified_equation(bea.adam(0.9, 0.95, 0.01), loss, 2)
    field = equation.field(0.1)
    for _ in range(5):
        field(points[0])
    [[function]] = [kept.values() for kept in equation.__dict__["functions"].values()]
    assert function.compiled is not None
    np.testing.assert_array_equal([field(point) for point in points], wanted)
    np.testing.assert_array_equal(field(list(points[1])), wanted[1])
    strided = np.repeat(points[2], 3)[::3]
    np.testing.assert_array_equal(field(strided), wanted[2])
    assert field(points[3]) is not field(points[3])
    np.testing.assert_allclose(field(points), wanted, rtol=1e-13)
    for call in (field, before):
        with pytest.raises(ValueError, match="kink"):
            call(np.array([0.3, 0.3]))
        for wrong in (np.nan, np.inf):
            with pytest.raises(ValueError, match="a point must be finite"):
                call(np.array([wrong, 0.5]))
    positive = sp.Symbol("p", positive=True)
    half = bea.modified_equation(bea.gradient_descent(), bea.Loss(positive**2 / 2, (positive,)), 1).field(0.1)
    for _ in range(5):
        assert half(np.array([2.0])) == -2.0
    with pytest.raises(ValueError, match="p is declared positive"):
        half(np.array([-2.0]))


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("compiling", [0.0, np.inf])
@pytest.mark.parametrize("component", [1 / (1 + 1 / x), sp.exp(-1 / x**2), sp.tanh(1 / x)])
def test_what_divides_by_zero_is_refused_alone_and_in_a_batch(component, compiling, monkeypatch):
    """1/(1 + 1/x) and the like are finite at x = 0 if 1/0 is infinite."""
    monkeypatch.setattr(bea.trace, "COMPILING", compiling)
    monkeypatch.setattr(bea.trace, "COMPILING_LINE", 0.0)
    field = bea.modified_equation(bea.gradient_descent(), bea.VectorField((component,), (x,)), 1).field(0.1)
    for _ in range(5):
        np.testing.assert_allclose(field([[0.7], [0.5]])[0], field(np.array([0.7])))
    for point in (np.array([0.0]), [-0.0], [[0.7], [0.0]]):
        with pytest.raises(ValueError, match="divided by is 0"):
            field(point)


@pytest.mark.parametrize("compiling", [0.0, np.inf])
def test_a_state_of_another_kind_is_refused(compiling, monkeypatch):
    """Before the field is traced and after; compiled code would read what lies behind the state."""
    monkeypatch.setattr(bea.trace, "COMPILING", compiling)
    monkeypatch.setattr(bea.trace, "COMPILING_LINE", 0.0)
    state = np.linspace(0.1, 0.8, 8)
    field = bea.modified_equation(bea.adam(0.9, 0.95, 0.01), BOWL, 2, memory="kept").field(0.1)
    wanted = field(state)
    for _ in range(3):
        for wrong in (state[:-1], state[:3], np.append(state, 1.0)):
            with pytest.raises(ValueError, match=f"the state has 8 coordinates, but {len(wrong)} were given"):
                field(wrong)
        for wrong in ([], state[:1], np.stack([state, state]), state[None], 0.5, None, state + 0j, ["a"] * 8):
            with pytest.raises(ValueError, match="a state must be one vector of finite real numbers"):
                field(wrong)
        for right in (state, list(state), state.astype(np.longdouble), state.astype(object), np.repeat(state, 2)[::2]):
            np.testing.assert_allclose(field(right, time=2), wanted, rtol=1e-13)


@pytest.mark.skipif(not find_spec("numba"), reason="Numba is not installed")
@pytest.mark.parametrize("how", ["keyword", "global", "closure", "built-in"])
def test_what_a_compiled_program_reads_may_change(how, monkeypatch):
    monkeypatch.setattr(bea.trace, "COMPILING", 0.0)
    monkeypatch.setattr(bea.trace, "COMPILING_LINE", 0.0)
    scale = 1.0

    def closed(theta, gradient, memory):
        return scale * gradient(theta)

    space = {"scale": 1.0}
    exec("def text(theta, gradient, memory):\n return scale * gradient(theta)", space)
    exec("def longer(theta, gradient, memory):\n return len((1, 2)) * gradient(theta)", space)

    def set_to(value):
        nonlocal scale
        scale = space["scale"] = value
        if how == "built-in":
            space["len"] = lambda given: value

    text = {"closure": closed, "global": space["text"], "built-in": space["longer"]}.get(how, made_anew)
    program = bea.optimizer(text)
    field = bea.modified_equation(program(), LINE, 1).field(0.1)
    first = 2.0 if how == "built-in" else 1.0
    for _ in range(6):
        assert field(np.array([1.0])) == -first
    set_to(3.0)
    wanted = -1.0 if how == "keyword" else -3.0  # an optimizer holds the keywords that it was made with
    for _ in range(6):
        assert field(np.array([1.0])) == wanted
    set_to(5.0)
    assert field(np.array([1.0])) == (wanted if how == "keyword" else -5.0)


@pytest.mark.parametrize(
    "change",
    [
        lambda function: setattr(function, "__defaults__", (3.0,)),
        lambda function: function.__kwdefaults__.update(scale=3.0),
        lambda function: setattr(function, "__kwdefaults__", {"scale": 3.0}),
        lambda function: setattr(function, "__code__", (lambda g, factor=1.0, *, scale=1.0: 3 * g).__code__),
    ],
)
def test_a_function_that_a_program_calls_may_change_between_calls(change):
    def helper(g, factor=1.0, *, scale=1.0):
        return factor * scale * g

    @bea.optimizer
    def by_helper(theta, gradient, memory):
        return helper(gradient(theta))

    field = bea.modified_equation(by_helper(), LINE, 1).field(0.1)
    assert [field([1.0])[0] for _ in range(6)] == [-1.0] * 6
    change(helper)
    assert [field([1.0])[0] for _ in range(6)] == [-3.0] * 6


@pytest.mark.parametrize(
    "jumps, slope",
    [(sp.floor(x), 0), (sp.ceiling(x), 0), (sp.frac(x), 1), (sp.Mod(x, 2), 1), (sp.floor(x) * sp.exp(x), np.exp(1.5))],
)
def test_a_jump_of_the_gradient_is_refused_where_a_curve_leaves_it(jumps, slope):
    field = bea.modified_equation(bea.gradient_descent(), bea.VectorField((jumps + x,), (x,)), 2).field(0.1)
    there = float(jumps.subs(x, 1.5)) + 1.5
    for _ in range(5):
        assert field([1.5])[0] == pytest.approx(there - 0.05 * there * (slope + 1))
    with pytest.raises(ValueError, match="jump"):
        field([2.0])
    with pytest.raises(ValueError, match="jump"):
        field([[0.5], [2.0]])


@pytest.mark.parametrize("loss", [LINE, CODED_LINE])
def test_a_decay_is_checked_at_every_step(loss):
    @bea.optimizer
    def growing(theta, gradient, memory):
        return memory.average(gradient(theta), 0.5 + 0.1 * memory.step)

    with pytest.raises(ValueError, match="a decay = 1"):
        bea.run(growing(), loss, [1.0], 0.1, 20)


@pytest.mark.parametrize(
    "loss",
    [bea.Loss(sp.Max(x, 0) ** 2 / 2 + sp.Max(x, 0), (x,)), bea.NumericLoss(1, None, lambda t: np.maximum(t, 0) + 1)],
)
def test_a_kink_is_refused_also_after_many_calls_elsewhere(loss):
    field = bea.modified_equation(bea.gradient_descent(), loss, 2).field(0.1)
    for _ in range(6):
        field([1.0])
    with pytest.raises(ValueError, match="kink"):
        field([0.0])


@pytest.mark.parametrize("compiling", [np.inf, 0.0])
def test_a_kink_is_refused_at_one_of_many_points(compiling, monkeypatch):
    monkeypatch.setattr(bea.trace, "COMPILING", compiling)
    monkeypatch.setattr(bea.trace, "COMPILING_LINE", 0.0)
    loss = bea.Loss(sp.Max(x, 0) ** 2 / 2 + sp.Max(x, 0), (x,))
    field = bea.modified_equation(bea.gradient_descent(), loss, 2).field(0.1)
    points = np.linspace(1, 2, 7)[:, None]
    for _ in range(6):
        field(points)
    points[3] = 0
    with pytest.raises(ValueError, match="kink"):
        field(points)


def test_a_range_is_checked_beside_an_annotation_that_only_type_checkers_import():
    names = {"bea": bea}
    exec(
        "def damped(theta: 'ArrayLike', gradient, memory, epsilon: 'bea.NonNegative'):\n    return gradient(theta)\n",
        names,
    )
    with pytest.raises(ValueError, match="epsilon = -0.5 must be in"):
        bea.optimizer(names["damped"])(epsilon=-0.5)


def test_optimizers_with_values_of_different_types_are_different():
    """A program may tell True from 1; so their runs may not be taken one for the other."""

    @bea.optimizer
    def flagged(theta, gradient, memory, kind):
        return gradient(theta) * (2 if kind is True else 1)

    assert flagged(1) != flagged(True) and flagged(1) == flagged(1)
    for kind, last in ((1, 0.9), (True, 0.8)):
        assert bea.run(flagged(kind), bea.quadratic([1]), (1.0,), 0.1, 1)[-1].item() == pytest.approx(last)


def test_the_words_on_the_memory_are_counted():
    for words in (("forgotten",) * 3, ("kept", "kept")):
        with pytest.raises(ValueError, match="number of averages of gradient_descent is 0"):
            bea.modified_equation(bea.gradient_descent(), bea.bilinear(), 2, memory=words)


def test_a_name_that_is_no_hyperparameter_is_named():
    with pytest.raises(TypeError, match=r"adam has no \['eps'\]; it has \['beta', 'rho', 'epsilon', "):
        bea.adam(0.9, 0.999, eps=1e-8)


def test_an_equation_takes_no_batches_that_may_be_endless():
    losses = [bea.bilinear(0, 2), bea.bilinear(1, 2)]
    for make in (bea.transient_equation, partial(bea.modified_equation, memory="kept", order=2)):
        with pytest.raises(TypeError, match="batches must be a sequence, such as a list, and not <itertools.cycle"):
            make(bea.gradient_descent(), losses, batches=cycle([0, 1]))


def test_what_is_wrong_with_a_program_is_not_blamed_on_the_point():
    @bea.optimizer
    def adagrad(theta, gradient, memory):
        return memory.average(gradient(theta) ** 2, 1.0)

    with pytest.raises(ValueError, match="^adagrad: a decay = 1.0 must be in"):
        bea.modified_equation(adagrad(), LINE, 1).coefficients((1.0,))


def test_an_array_of_zeros_takes_no_series():
    @bea.optimizer
    def by_entries(theta, gradient, memory):
        step = np.zeros(2)
        step[0] = gradient(theta)[0]
        return step

    with pytest.raises(TypeError, match=r"np.zeros_like\(theta\) instead of np.zeros"):
        bea.modified_equation(by_entries(), bea.bilinear(), 2).coefficients((0.9, 1.5))


def test_whole_numbers_are_exact_for_trees():
    @bea.optimizer
    def repeated(theta, gradient, memory, times):
        return times * gradient(theta)

    assert bea.tree_coefficients(repeated(2), 2) == bea.tree_coefficients(repeated(sp.Integer(2)), 2)
    with pytest.raises(ValueError, match=r"trees need exact .*Integer\(1\)"):
        bea.tree_coefficients(repeated(2.0), 2)


def test_smaller_refusals():
    line = bea.modified_equation
    for unnamed, shown in (
        (lambda theta, gradient, memory, **others: gradient(theta), "not [*]{2}others"),
        (lambda theta, gradient, memory, *rest, x=1: gradient(theta), "not [*]rest"),
        (lambda theta, gradient, memory, a, /, b: gradient(theta), "not a$"),
    ):
        with pytest.raises(TypeError, match=f"can be given by name, {shown}"):
            bea.optimizer(unnamed)
    for callable_but_no_function in (partial(lambda theta, gradient, memory, a: a, a=2.0), bea.Loss, np.add):
        with pytest.raises(TypeError, match="a function of .theta, gradient, memory, .... is needed"):
            bea.optimizer(callable_but_no_function)

    @bea.optimizer
    def with_h(theta, gradient, memory):
        return (1 + memory.h) * gradient(theta)

    with pytest.raises(ValueError, match="more than averages of the gradient"):
        bea.tree_coefficients(with_h(), 3)
    kept = line(bea.adam(0.9, 0.99, 1e-2), [LINE, LINE], 1, memory="kept", batches=[1, 0])
    for n in (None, 2, -1):
        with pytest.raises((TypeError, ValueError), match="n, the step of a mini-batch"):
            kept.field(0.1, n)
    with pytest.raises(ValueError, match="has the length 2, but the number of averages of heavy_ball is 1"):
        _ = line(bea.heavy_ball(0.9), LINE, 1, memory=["kept", "kept"]).terms
    with pytest.raises(ValueError, match="the tolerance"):
        bea.flow(line(bea.gradient_descent(), LINE, 1), [1.0], 0.1, 3, tolerance=float("nan"))

    @bea.optimizer
    def with_options(theta, gradient, memory, options):
        return options["scale"] * gradient(theta)

    with pytest.raises(TypeError, match="can change"):
        with_options({"scale": 2})


# --- batches of programs that branch ------------------------------------------------------------------


def apart(optimizer, loss, points, h, steps):
    """How far the runs of a batch are from those of its points alone."""
    together = bea.run(optimizer, loss, points, h, steps)
    alone = np.stack([bea.run(optimizer, loss, p, k, steps) for p, k in zip(points, np.broadcast_to(h, 2))], axis=1)
    return np.abs(together - alone).max()


@bea.optimizer
def normalized_late(theta, gradient, memory):
    g = gradient(theta)
    return g if memory.step < 10 else g / np.linalg.norm(g)


@bea.optimizer
def clipped_by_python(theta, gradient, memory):
    g = gradient(theta)
    return g * min(1.0, 1 / np.linalg.norm(g))


def test_a_program_that_mixes_columns_after_many_steps_is_run_apart():
    points = [(1.5, 0.3), (0.4, 1.0)]
    assert apart(normalized_late(), bea.bilinear(), points, 0.02, 14) == 0
    assert apart(normalized_late(), bea.bilinear(), points, np.array([0.02, 0.01]), 14) == 0


@pytest.mark.parametrize("kind", ["expressions", "code"])
def test_a_start_at_which_nothing_is_mixed_does_not_decide(kind):
    """Where the gradient is minus the point, a gradient that is the first one plus the point is zero for all."""
    saddle = bea.VectorField((x, y), (x, y)) if kind == "expressions" else bea.NumericLoss(2, None, lambda t: -t)
    points = [(0.1, 0.2), (0.2, 0.3)]
    assert apart(clipped_by_python(), saddle, points, 0.3, 20) == 0
    weighted = program(lambda g: np.array([1.0, 3.0]) * g)  # along the wrong axis if there are two columns
    assert apart(weighted, saddle, points, 0.5, 3) == 0


def test_points_at_which_nothing_is_clipped_do_not_decide_for_a_field():
    field = bea.modified_equation(clipped_by_python(), bea.NumericLoss(2, None, lambda t: 2 * t), 1).field(0.1)
    field(np.array([(0.01, 0.01), (0.02, 0.02)]))
    points = np.array([(1.0, 2.0), (3.0, 1.0)])
    np.testing.assert_array_equal(field(points), [field(p) for p in points])


def test_which_programs_treat_columns_alike():
    made = [
        bea.adam(0.9, 0.99, 1e-8),
        bea.nesterov(0.9),
        bea.lion(0.9, 0.99, 0.1),
        program(lambda g: g / np.sqrt(np.sum(g**2, axis=0))),
        program(lambda g: np.clip(g, -1, 1) * np.where(g > 0.5, 2, g)),
        program(lambda g: g / np.sqrt(np.sum(g**2))),
        program(lambda g: g / g.size),
        program(lambda g: g * np.arange(1, 3)),
        program(lambda g: g if g[0] > 0 else 2 * g),
    ]
    assert [alike(one, 2) for one in made] == [True] * 5 + [False] * 4
    assert alike(made[0], 10**6) and not alike(made[5], 10**6)


@pytest.mark.parametrize("axis", [0, None])
def test_columns_may_be_mixed_in_the_second_thing_that_is_remembered(axis):
    @bea.optimizer
    def scaled_by_the_last(theta, gradient, memory):
        g = gradient(theta)
        return memory.average(g, 0.5) + memory.previous(g).sum(axis=axis)

    assert alike(scaled_by_the_last(), 2) == (axis == 0)


def test_a_program_that_returns_nothing_is_told_so():
    made = program(lambda g: None)
    for ask in (
        lambda: bea.run(made, BOWL, [1.0, 2.0], 0.1, 3),
        lambda: bea.run(made, CODED, [1.0, 2.0], 0.1, 3),
        lambda: bea.run(made, BOWL, [[1.0, 2.0], [3.0, 4.0]], 0.1, 3),
        lambda: bea.run(made, CODED, [[1.0, 2.0], [3.0, 4.0]], 0.1, 3),
        lambda: bea.modified_equation(made, BOWL, 2).terms,
        lambda: bea.transient_equation(made, CODED).field(0.1, 2)([1.0, 2.0]),
    ):
        with pytest.raises(TypeError, match="made returned nothing; a program ends with: return update"):
            ask()


def test_a_memory_that_is_asked_now_and_then_is_told_what_to_do():
    @bea.optimizer
    def sometimes(theta, gradient, memory):
        g = gradient(theta)
        return memory.average(g, 0.9) if memory.step != 1 else g

    with pytest.raises(ValueError, match="less often than in the step before; ask it in the same order at every step"):
        bea.run(sometimes(), BOWL, [1.0, 2.0], 0.1, 3)


# --- programs that do another thing with series than with numbers ----------------------------------------------------------------------


@bea.optimizer
def swallows(theta, gradient, memory):
    g = gradient(theta)
    try:
        size = math.sqrt(float(np.sum(g * g)))  # no number, along a flow
    except (TypeError, ValueError):
        size = 1.0
    return g / size


@bea.optimizer
def asks_for_a_dtype(theta, gradient, memory):
    return gradient(theta) * (2 if theta.dtype == float else 1)


@bea.optimizer
def asks_for_a_type(theta, gradient, memory):
    return memory.average(gradient(theta), 0.5) * (2 if isinstance(memory.h, float) else 1)


@bea.optimizer
def catches_and_agrees(theta, gradient, memory):
    g = gradient(theta)
    try:
        return memory.average(g, 0.5) + (g - memory.previous(g)) / 3
    except ZeroDivisionError:
        return g


@pytest.mark.parametrize("program", [swallows, asks_for_a_dtype, asks_for_a_type])
@pytest.mark.parametrize("memory", ["forgotten", "kept"])
def test_another_branch_than_the_run_is_refused(program, memory):
    with pytest.raises(ValueError, match="one thing with numbers, and another with the series"):
        bea.modified_equation(program(), bea.quadratic([1, 3]), 2, memory)


def test_what_catches_errors_and_does_the_same_is_not_refused():
    equation = bea.modified_equation(catches_and_agrees(), bea.quadratic([1.0]), 1)
    assert equation.coefficients([2.0]).tolist() == [[-2.0]]


@bea.optimizer
def masks(theta, gradient, memory):
    g = gradient(theta).copy()
    g[np.abs(theta) < 0.6] *= 2
    g[g > 1] = 1 + g[g > 1] / 4
    return g


@bea.optimizer
def asks_numpy_for_a_product(theta, gradient, memory):
    g = gradient(theta)
    return g / (1 + np.vdot(g, g))


@pytest.mark.parametrize("program", [masks, asks_numpy_for_a_product])
def test_what_cannot_be_traced_or_taken_together_has_its_value(program):
    """Again and again at one point, and for a batch of points."""
    loss, points = bea.quadratic([1, 3]), np.array([[0.4, 0.9], [0.8, 0.2], [0.3, 0.1]])
    for equation in (bea.modified_equation(program(), loss, 2), bea.transient_equation(program(), loss)):
        n = () if isinstance(equation, bea.ModifiedEquation) else (0,)
        alone = [[equation.field(0.1, *n)(point) for _ in range(6)] for point in points]
        assert all(np.array_equal(again, found[0]) for found in alone for again in found)
        np.testing.assert_allclose(equation.field(0.1, *n)(points), [found[0] for found in alone], rtol=1e-14)
    assert len(bea.flow(bea.modified_equation(program(), loss, 2), points[0], 0.01, 3)) == 4


def test_an_equation_equals_itself_alone():
    """So that it can be a key, whatever its losses are."""
    for make in (
        lambda: bea.modified_equation(bea.heavy_ball(0.5, damped=True), BOWL, 1),
        lambda: bea.modified_equation(bea.heavy_ball(0.5, damped=True), BOWL, 1, "kept"),
        lambda: bea.transient_equation(bea.heavy_ball(0.5, damped=True), [BOWL, CODED], batches=[0, 1]),
    ):
        one, other = make(), make()
        assert {one: 1, other: 2}[one] == 1 and one == one and one != other
