"""Straight-line code: what is printed runs in Python and, translated, in machine code, to the same bits."""

import math
import sys

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import bea

COMPILED = sys.modules["bea.compiled"]
x, y = sp.symbols("x y", real=True)

OPTIMIZERS = {
    "gradient descent": bea.gradient_descent(),
    "heavy ball": bea.heavy_ball(0.9),
    "nesterov": bea.nesterov(0.5),
    "rmsprop": bea.rmsprop(0.9, 1e-3),
    "adam": bea.adam(0.9, 0.99, 1e-3),
    "adam, epsilon outside, not corrected": bea.adam(
        0.9, 0.99, 1e-3, epsilon_inside=False, bias_correction=False
    ),
    "adamw": bea.adamw(0.9, 0.99, 1e-3, 0.1),
    "nadam": bea.nadam(0.9, 0.99, 1e-3),
    "signum": bea.signum(0.9, 1e-3),
    "lion": bea.lion(0.9, 0.99, 1e-3, 0.1),
}
LOSSES = {
    "bilinear": bea.bilinear(),
    "rosenbrock": bea.rosenbrock(2),
    "functions of the C library": bea.Loss(
        sp.exp(-x) + sp.tanh(y) ** 2 + y * sp.sin(x) + sp.cos(x) + sp.log(3 + y**2) + sp.erf(x),
        (x, y),
    ),
    "absolute values and pieces": bea.Loss(
        abs(x - y) + sp.Piecewise((x**2, x > 1), (2 * x - 1, True)) + y**4, (x, y)
    ),
    "roots and high powers": bea.Loss(
        sp.sqrt(1 + x**2)
        + (2 + x**2 + y**2) ** sp.Rational(3, 2) / 20
        + x**6 / 30
        + 1 / (3 + y) ** 3,
        (x, y),
    ),
}


@pytest.fixture
def in_machine_code(monkeypatch):
    pytest.importorskip("llvmlite", reason="llvmlite is not installed: runs stay Python")
    monkeypatch.setattr(COMPILED, "LONG_RUN", 0)


def in_python(*arguments, **options):
    """A run without llvmlite, of one setting; and a look whether it was that."""
    seen = []
    run_python = COMPILED._Program.run_python

    def watched(*given):
        seen.append(run_python(*given))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "bea.machine", None)
        patch.setattr(COMPILED._Program, "run_python", watched)
        COMPILED._program.cache_clear()
        path = bea.run(*arguments, **options)
        COMPILED._program.cache_clear()
    assert len(seen) == 1 and seen[0] is not None
    return path


def ways(field, start, optimizer=OPTIMIZERS["gradient descent"]):
    """What one run comes to without llvmlite, in machine code, and as the second of two settings: its
    path, to the sign of zero, or the name of what it raises."""
    found = []
    for compiled, points in [(False, start), (True, start), (False, [start, start])]:
        with pytest.MonkeyPatch.context() as patch:
            if not compiled:
                patch.setitem(sys.modules, "bea.machine", None)
            patch.setattr(COMPILED, "LONG_RUN", 0 if compiled else 10**9)
            COMPILED._program.cache_clear()
            try:
                path = bea.run(optimizer, field, points, 0.05, 20)
                if compiled:
                    program = COMPILED._program(
                        optimizer.constructor, tuple(optimizer.conventions.items()), field
                    )
                    assert program.loops[1] is not None
                found.append((path if path.ndim == 2 else path[:, 1]).tobytes())
            except Exception as problem:
                found.append(type(problem).__name__)
            COMPILED._program.cache_clear()
    return found


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_machine_code_has_pythons_bits(name, loss, in_machine_code):
    """One setting, and eleven, eight of which stand side by side: each is a run of its own in Python, bit for bit."""
    optimizer, loss = OPTIMIZERS[name], LOSSES[loss]
    points = np.random.default_rng(3).uniform(0.3, 1.4, (11, 2))
    sizes = np.linspace(0.004, 0.02, 11)
    one = bea.run(optimizer, loss, points[0], sizes[0], 60)
    eleven = bea.run(optimizer, loss, points, sizes, 60, every=3)
    program = COMPILED._program(optimizer.constructor, tuple(optimizer.conventions.items()), loss)
    assert (
        set(program.loops) == {1, 8} and None not in program.loops.values()
    )  # it was machine code
    np.testing.assert_array_equal(one, in_python(optimizer, loss, points[0], sizes[0], 60))
    for k in range(11):
        np.testing.assert_array_equal(
            eleven[:, k], in_python(optimizer, loss, points[k], float(sizes[k]), 60, every=3)
        )


def test_every_setting_has_its_own_hyperparameters(in_machine_code):
    beta, rho, epsilon = (
        np.linspace(0, 0.9, 19),
        np.linspace(0.5, 0.99, 19),
        np.linspace(0.01, 1, 19),
    )
    together = bea.run(bea.adam(beta, rho, epsilon), bea.bilinear(), (0.9, 1.5), 0.01, 50)
    for k in range(19):
        alone = in_python(
            bea.adam(beta[k], rho[k], epsilon[k]), bea.bilinear(), (0.9, 1.5), 0.01, 50
        )
        np.testing.assert_array_equal(together[:, k], alone)


@pytest.mark.parametrize("name", ["heavy ball", "rmsprop", "adam", "nadam"])
def test_machine_code_begins_with_a_memory(name, in_machine_code):
    loss, start, h = bea.bilinear(), (0.9, 1.5), 0.001
    memory = bea.modified_equation(OPTIMIZERS[name], loss, 3).memory(start, h)
    given = OPTIMIZERS[name], loss, start, h, 40
    remembered = bea.run(*given, memory=memory)
    np.testing.assert_array_equal(remembered, in_python(*given, memory=memory))
    assert not np.allclose(
        remembered, bea.run(*given), rtol=1e-6
    )  # the control: the memory matters


def test_whole_numbers_are_divided_before_they_are_rounded(in_machine_code):
    """As Python does it: such a fraction is not that of the rounded numbers, which may not even exist."""
    p, q = 1227767160581583681, 1315376154388015873
    assert p / q != float(p) / float(q)
    loss = bea.VectorField(
        (x * sp.Rational(p, q) + sp.Rational(-p, q), y * sp.Rational(10**400 + 1, 2 * 10**400 + 1)),
        (x, y),
    )
    given = bea.gradient_descent(), loss, (0.9, 1.5), 0.3, 40
    np.testing.assert_array_equal(bea.run(*given), in_python(*given))


def test_a_path_in_pieces_is_the_path(in_machine_code, monkeypatch):
    """Pieces of seven rows, the last one shorter."""
    points = np.random.default_rng(3).uniform(0.3, 1.4, (9, 2))
    whole = bea.run(OPTIMIZERS["adam"], bea.bilinear(), points, 0.01, 60, every=2)
    monkeypatch.setattr(COMPILED, "PIECE", 7 * 9)
    np.testing.assert_array_equal(
        bea.run(OPTIMIZERS["adam"], bea.bilinear(), points, 0.01, 60, every=2), whole
    )
    monkeypatch.setattr(COMPILED, "PIECE", 1)
    np.testing.assert_array_equal(
        bea.run(OPTIMIZERS["adam"], bea.bilinear(), points, 0.01, 60, every=2), whole
    )


numbers = st.sampled_from(
    [sp.Integer(-3), sp.Integer(2), sp.Rational(1, 3), sp.Float(0.7), sp.Rational(-5, 2)]
)
formulas = st.recursive(
    st.sampled_from([x, y]) | numbers,
    lambda inner: (
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1])
        | st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1])
        | st.tuples(inner, st.integers(2, 5)).map(lambda pair: pair[0] ** pair[1])
        | inner.map(lambda e: 1 / (2 + e**2))
        | inner.map(lambda e: sp.sqrt(1 + e**2))
        | inner.map(sp.sin)
        | inner.map(sp.tanh)
        | inner.map(lambda e: sp.exp(-(e**2)))
    ),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(formulas, formulas)
def test_any_formula_has_the_same_bits(first, second):
    pytest.importorskip("llvmlite", reason="llvmlite is not installed: runs stay Python")
    field = bea.VectorField((sp.tanh(first), sp.tanh(second)), (x, y))
    points = np.random.default_rng(5).uniform(-1, 1, (9, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(COMPILED, "LONG_RUN", 0)
        nine = bea.run(OPTIMIZERS["adam"], field, points, 0.05, 20)
    for k in (0, 8):
        np.testing.assert_array_equal(
            nine[:, k], in_python(OPTIMIZERS["adam"], field, points[k], 0.05, 20)
        )


def test_the_first_short_run_is_python_and_the_next_is_not():
    pytest.importorskip("llvmlite", reason="llvmlite is not installed: runs stay Python")
    loss = bea.bilinear()
    optimizer = bea.adam(0.9, 0.99, 1e-3)
    program = COMPILED._program(optimizer.constructor, tuple(optimizer.conventions.items()), loss)
    runs = [bea.run(optimizer, loss, (0.9, 1.5), 0.01, 50)]
    assert program.loops == {}
    runs.append(bea.run(optimizer, loss, (0.9, 1.5), 0.01, 50))
    assert set(program.loops) == {1}
    np.testing.assert_array_equal(*runs)


def test_what_is_long_to_compile_stays_python():
    """Five coordinates, run twice; a run of many steps is compiled nevertheless."""
    pytest.importorskip("llvmlite", reason="llvmlite is not installed: runs stay Python")
    loss = bea.quadratic([1, 2, 3, 4, 5])
    program = COMPILED._program(bea.gradient_descent, (), loss)
    runs = [bea.run(bea.gradient_descent(), loss, (1.0,) * 5, 0.01, 50) for _ in range(2)]
    bea.run(bea.gradient_descent(), loss, (1.0,) * 5, 0.01, COMPILED.LONG_RUN // 2)
    assert program.has_run and program.loops == {}
    runs.append(bea.run(bea.gradient_descent(), loss, (1.0,) * 5, 0.01, COMPILED.LONG_RUN)[:51])
    assert set(program.loops) == {1}
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])


def test_few_steps_of_many_settings_do_not_depend_on_what_ran_before():
    loss, points = bea.bilinear(), [(0.9, 1.5), (0.4, 0.7)]
    runs = []
    for _ in range(2):
        runs.append(bea.run(OPTIMIZERS["adam"], loss, points, 0.01, 50))
        for _ in range(2):
            bea.run(OPTIMIZERS["adam"], loss, points[0], 0.01, 50)
    np.testing.assert_array_equal(*runs)


# --- where floats of Python raise, and what cannot be translated ---------------------------------


def test_an_overflow_on_the_way_is_no_divergence(way):
    """1/(1 + e^800) is 0, though Python refuses e^800: the first run is like the second."""
    field = bea.VectorField((1 / (1 + sp.exp(x)),), (x,))
    for _ in range(2):
        assert bea.run(bea.heavy_ball(0.5), field, (800.0,), 0.1, 5)[:, 0].tolist() == [800.0] * 6
    with pytest.raises(OverflowError):  # the control
        math.exp(800)


def test_a_negative_number_to_a_broken_power_diverges(way):
    """In Python (-0.2)**(2/3) is complex; a path is not."""
    field = bea.VectorField((-1 - x ** sp.Rational(2, 3),), (x,))
    for _ in range(2):
        with pytest.raises(bea.Divergence, match="at step 2:") as caught:
            bea.run(bea.gradient_descent(), field, (1.0,), 0.6, 10)
        assert caught.value.path.dtype == float and len(caught.value.path) == 2


def test_a_function_that_means_something_else_in_c_stays_python(in_machine_code):
    """C's gamma is the logarithm of Python's: a step from 5 leads to 5 + 0.01 * 4!."""
    field = bea.VectorField((sp.gamma(x),), (x,))
    for _ in range(2):
        assert bea.run(bea.gradient_descent(), field, (5.0,), 0.01, 1)[1, 0] == pytest.approx(
            5.24, rel=1e-14
        )


WHOLE = {
    "products of whole numbers": (
        bea.Loss(9007199254740993 * x, (x,)),
        (1.0,),
        bea.rmsprop(0.9, 1e-3),
    ),
    "comparison with a whole number": (
        bea.VectorField((sp.Piecewise((2**53, x < 2**53 + 1), (1, True)),), (x,)),
        (2.0**53,),
        bea.gradient_descent(),
    ),
    "minus nothing": (
        bea.VectorField((sp.atan2(y, -1), sp.Integer(0)), (x, y)),
        (1.0, -0.0),
        bea.gradient_descent(),
    ),
    "a coordinate that the loss does not hold": (
        bea.Loss(x**2, (x, y)),
        (1.0, -0.0),
        bea.gradient_descent(),
    ),
    "minus a case": (
        bea.VectorField((sp.atan2(-sp.Piecewise((0, y >= 0), (1, True)), -1), y), (x, y)),
        (1.0, 1.0),
        bea.gradient_descent(),
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_are_floats(name):
    """With exact whole numbers, and no zero below zero, Python would be the one that differs."""
    pytest.importorskip("llvmlite", reason="llvmlite is not installed: runs stay Python")
    field, start, optimizer = WHOLE[name]
    python, machine, _ = ways(field, start, optimizer=optimizer)
    assert python == machine and isinstance(python, bytes)


NOWHERE = {
    "sign of a logarithm": (sp.sign(sp.log(x)) - 1, (-1.0,)),
    "sign of a difference": (sp.sign(1 / x - 1 / sp.sin(x)), (0.0,)),
    "a Piecewise without a case": (-sp.Piecewise((1, x > 0)), (0.4,)),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_what_is_no_number_diverges_in_every_way(name):
    expression, start = NOWHERE[name]
    assert ways(bea.VectorField((expression,), (x,)), start) == ["Divergence"] * 3


def test_what_cannot_be_printed_is_left_to_arrays(way):
    """The derivative of an absolute value whose sign is unknown, and a sum with an index."""
    k = sp.Symbol("k", integer=True)
    for field in (
        bea.Loss(abs(sp.log(x) * x), (x,)),
        bea.VectorField((-sp.Sum(x**k, (k, 1, 3)),), (x,)),
    ):
        both = bea.run(bea.gradient_descent(), field, [(0.4,), (0.3,)], 0.05, 5)
        np.testing.assert_allclose(
            bea.run(bea.gradient_descent(), field, (0.3,), 0.05, 5), both[:, 1], rtol=1e-13
        )


def test_a_sum_too_long_to_translate_stays_python(way):
    loss = bea.Loss(sp.Add(*(sp.exp(-x * sp.Rational(k, 977)) for k in range(1, 700))), (x,))
    runs = [bea.run(bea.gradient_descent(), loss, (0.1,), 0.001, 2) for _ in range(2)]
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-14)


def test_what_has_no_instruction_stays_python(in_machine_code):
    """The greater of two: one setting in Python, many by arrays, and they agree."""
    loss = bea.VectorField((sp.Max(x, y), y), (x, y))
    points = [(0.9, 1.5), (1.4, 0.7)]
    many = bea.run(OPTIMIZERS["adam"], loss, points, 0.01, 30)
    for k, point in enumerate(points):
        np.testing.assert_allclose(
            many[:, k], bea.run(OPTIMIZERS["adam"], loss, point, 0.01, 30), rtol=1e-12
        )
    program = COMPILED._program(bea.adam, tuple(OPTIMIZERS["adam"].conventions.items()), loss)
    assert "max(" in program.source and program.loops == {1: None}


@pytest.mark.parametrize(
    "code",
    [
        "x % 2",
        "unheard_of(x)",
        "x if x else 1",
        "math.tau",
        "x if x != 1 else 2",
        "'x'",
        "math.unheard_of(x)",
        "math.gamma(x)",
        "math.hypot(x, x)",
        "round(x)",
    ],
)
def test_a_refused_translation_says_what(code):
    machine = pytest.importorskip("bea.machine", reason="llvmlite is not installed")
    with pytest.raises(NotImplementedError, match="no instruction for"):
        machine.loop(f"def step(x):\n    return ({code},)", 1, 1)


def test_small_powers_are_products():
    printed = COMPILED._Printer().doprint
    assert printed(x**3) == "(x*x*x)" and printed(x**-2) == "(1/(x*x))"
    assert (
        printed((x + y) ** 2) == "((y0 := x + y)*y0)"
        or printed((x + y) ** 2) == "((y1 := x + y)*y1)"
    )
    assert (
        printed(x**5) == "math.pow(x, 5.0)"
        and printed(sp.sqrt(x)) == "math.sqrt(x)"
        and printed(1 / x) == "1.0/x"
    )
