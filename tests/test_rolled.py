"""Straight-line code rolled up: the same bits, whatever the code; and loops where coordinates are treated alike."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, reject
from hypothesis import strategies as st

import bea
from bea import straight
from bea.rolled import rolled
from bea.series import NoExpansion
from bea.straight import _series
from bea.trace import SCOPE, by_numba, trace
from drawn import draws

NAMES = ["add", "subtract", "multiply", "divide", "maximum", "minimum", "less", "exp", "sqrt", "tanh", "negative"]


def traced(code, size):
    """Code is given Series of one term, on which all of NumPy's functions run."""

    def on_series(x, a):
        return code(_series(x), a)

    return trace(on_series, {"x": (size,), "a": ()})


@st.composite
def codes(draw):
    """A function of an array and of numbers: a few operations on parts of the arrays so far, drawn at random."""
    size = draw(st.integers(1, 9))
    steps = draw(
        st.lists(
            st.tuples(st.sampled_from(NAMES), st.integers(0, 9), st.integers(0, 9), st.integers(-2, 2), st.booleans()),
            min_size=1,
            max_size=12,
        )
    )
    weights = np.array(draw(st.lists(st.floats(-3, 3), min_size=size, max_size=size)))

    def code(x, a, every=False):
        arrays = [x, x * a, weights * x]
        for name, first, second, turn, reverse in steps:
            one, other = arrays[first % len(arrays)], arrays[second % len(arrays)]
            one = np.roll(one[::-1] if reverse else one, turn)
            if name in ("exp", "sqrt", "tanh", "negative"):
                arrays.append(getattr(np, name)(one))
            elif name == "less":
                arrays.append(np.where(one < other, one, a))
            else:
                arrays.append(getattr(np, name)(one, other))
        if every:
            return arrays
        return [arrays[-1], arrays[-1].sum(), x[::-1], arrays[-2]]

    return size, code


@draws(100)
@given(codes(), st.integers(0, 2**32 - 1))
def test_rolled_code_has_the_bits_of_straight_code(drawn, seed):
    size, code = drawn
    try:
        straight_code = traced(code, size)
    except NoExpansion:  # a zero weight under a root, or in a denominator
        reject()
    if float in map(type, straight_code.outputs):  # which no step has
        reject()
    inputs = np.random.default_rng(seed).uniform(-2, 2, (size + 1, 3))
    for apart in (False, True):
        roll = rolled(straight_code, size + 1 + len(straight_code.outputs), apart)
        v = roll.filled(inputs)
        with np.errstate(all="ignore"):
            roll.whole(v)
        for column in range(3):
            try:
                wanted = straight_code.on_floats(*inputs[:, column].tolist())
            except (ArithmeticError, ValueError):  # where math raises
                continue
            np.testing.assert_array_equal(v[size + 1 :][: len(wanted), column], wanted)


@st.composite
def updates(draw):
    """A function that returns as many numbers as it is given: what becomes of the inputs in one step."""
    size, code = draw(codes())
    first, second, turn = draw(st.integers(0, 9)), draw(st.integers(0, 9)), draw(st.integers(-2, 2))

    def update(x, y, a):
        inner = code(x, a, every=True)
        arrays = [x, y, x - y, *inner, np.maximum(y, inner[-1]), y * inner[2]]
        chosen = arrays[first % len(arrays)], np.roll(arrays[-1 - second % len(arrays)], turn)
        return [*chosen, chosen[0][0] + a]

    return size, update


@draws(100)
@given(updates(), st.integers(0, 2**32 - 1))
def test_loops_that_write_over_their_inputs_make_the_same_steps(drawn, seed):
    size, update = drawn

    def on_series(x, y, a):
        return update(_series(x), _series(y), a)

    try:
        straight_code = trace(on_series, {"x": (size,), "y": (size,), "a": ()})
    except NoExpansion:
        reject()
    if float in map(type, straight_code.outputs):
        reject()
    inputs = np.random.default_rng(seed).uniform(-2, 2, 2 * size + 1)
    for apart in (False, True):
        places, roll = [], rolled(straight_code, 2 * len(inputs), apart)
        lines = roll.lines(places, into=0)
        step = {**SCOPE}
        exec("\n".join(["def step(v, g):", *(f" {line}" for line in lines)]), step)
        v, wanted = roll.filled(inputs[:, None])[:, 0], inputs.tolist()
        with np.errstate(all="ignore"):
            for _ in range(3):
                try:
                    wanted = straight_code.on_floats(*wanted)
                    step["step"](v, places)
                except (ArithmeticError, ValueError):  # where math raises
                    break
                np.testing.assert_array_equal(v[: len(inputs)], wanted)


def test_compiled_loops_have_the_bits_of_straight_code():
    pytest.importorskip("numba", reason="Numba is not installed")
    weights = np.linspace(-1, 1, 12)

    def code(x, a):
        y = np.roll(x, 1) * a + np.exp(x[::-1]) * weights
        return [np.maximum(y, -x), (y[::2] * x[1::2]).sum(), y[[3, 1, 4, 1, 5]]]

    straight_code = traced(code, 12)
    places = [0]
    roll = rolled(straight_code, 13 + len(straight_code.outputs))
    lines = ["def values(v, g):", *(f" {line}" for line in roll.lines(places))]
    inputs = np.random.default_rng(0).normal(size=13)
    v = roll.filled(inputs[:, None]).ravel()
    by_numba(lines, "values", "void(f8[::1], i8[::1])", straight_code.exact)(v, np.array(places))
    assert v[13 : roll.base].tolist() == list(straight_code.on_floats(*inputs.tolist()))


def test_products_of_a_matrix_and_a_vector_are_loops_over_the_rows():
    matrix = np.random.default_rng(0).normal(size=(40, 6))
    straight_code = trace(lambda x: matrix @ x, {"x": (6,)})
    whole, apart = (rolled(straight_code, 46, way) for way in (False, True))
    assert [len(loop) for loop in apart.loops] == [11] and [loop[0].count for loop in apart.loops] == [40]
    assert whole.operations == 6
    places = []
    apart.lines(places)
    assert places == []
    v = apart.filled(np.ones((6, 1)))
    apart.whole(v)
    np.testing.assert_allclose(v[6:46, 0], matrix.sum(axis=1), rtol=1e-13)


def test_arguments_that_may_be_exchanged_are_in_the_order_of_their_places():
    """Products of neighbours are one loop, in whatever order their factors were made."""
    squares = {}

    def code(x):
        for k in (0, 2, 1, 4, 3):
            squares[k] = x[k] * x[k]
        return [squares[k] * squares[k + 1] for k in range(4)]

    places, roll = [], rolled(trace(code, {"x": (5,)}), 9)
    lines = roll.lines(places)
    assert places == [] and [line for line in lines if line.startswith("for")] == [
        "for i in range(5):", "for i in range(4):", "for i in range(4):"
    ]  # fmt: skip


def test_outputs_that_lie_side_by_side_are_copied_together():
    places, roll = [], rolled(trace(lambda x, y, z: [z, x[:2], y], {"x": (3,), "y": (4,), "z": (3,)}), 19)
    copies = roll.lines(places)
    assert copies == [
        "for i in range(3):", " v[10 + i] = v[7 + i]",
        "for i in range(2):", " v[13 + i] = v[0 + i]",
        "for i in range(4):", " v[15 + i] = v[3 + i]",
    ]  # fmt: skip
    assert places == []


def shifted(t):
    return np.concatenate([t[:1], t[1:] * t[:-1]])


def test_what_is_alike_is_one_loop():
    """So the code does not grow with their number."""
    lengths = []
    for d in (40, 400):
        loss = bea.NumericLoss(d, None, shifted)
        start = bea.runs._prepared(bea.adam(0.9, 0.99, 0.1), loss, np.ones(d), 0.1, None)
        [roll] = straight._rolled((straight.traced_step(start, loss),))
        assert {d, d - 1} <= {loop[0].count for loop in roll.loops}
        lengths.append(len(roll.lines([])))
    assert lengths[0] == lengths[1] < 120


def test_adam_on_a_chain_is_two_loops_that_write_over_their_inputs():
    """One of the differences, one of the rest; the first and the last coordinate are apart."""
    d = 20
    x = sp.symbols(f"x:{d}", real=True)
    loss = bea.Loss(sum((x[i + 1] - x[i] ** 2) ** 2 for i in range(d - 1)), x)
    start = bea.runs._prepared(bea.adam(0.9, 0.99, 0.1), loss, np.ones(d), 0.1, None)
    code = straight.traced_step(start, loss).code
    inputs, outputs = len(code.inputs), len(code.outputs)
    places = []
    lines = rolled(code, inputs + outputs, apart=True).lines(places, into=inputs - outputs)
    assert [line for line in lines if line.startswith("for")] == ["for i in range(17):", "for i in range(18):"]
    assert places == [] and not any(f"v[{k}" in line for line in lines for k in range(inputs, inputs + outputs))
