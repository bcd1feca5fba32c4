"""Traces: what is recorded is what was computed, printed for floats and for arrays with the same bits."""

import math
import pickle
from contextlib import suppress
from fractions import Fraction
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.special
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

import bea
from bea import trace as module
from bea.series import Series
from bea.trace import Node, Trace, Traced, Untraceable, trace
from drawn import draws

REALS = np.concatenate([np.linspace(-9, 9, 1501), np.geomspace(1e-9, 500, 400), [0.0]])
UNIT = np.linspace(-0.999, 0.999, 1501)
DOMAINS = {
    "log": abs(REALS) + 1e-9,
    "log2": abs(REALS) + 1e-9,
    "log10": abs(REALS) + 1e-9,
    "sqrt": abs(REALS),
    "log1p": abs(REALS) - 0.9,
    "arcsin": UNIT,
    "arccos": UNIT,
    "arctanh": UNIT,
    "arccosh": abs(REALS) + 1,
    # where the result is tiny, or close to a zero, no two libraries agree
    "erfc": REALS[REALS < 1],
    "gammaln": abs(REALS) + 8,
}
WIDE = {"erfc": 8, "gammaln": 16}
TWO = ["power", "hypot", "arctan2", "maximum", "minimum", "logaddexp", "remainder"]
ONE = sorted({*module.MATH, *module.ON_FLOATS} - {*TWO, *module.OPERATORS, "where"})
LOGISTIC = ["expit", "log_expit", "logaddexp"]
EXACT = ["sqrt", "absolute", "sign", "floor", "ceil", "maximum", "minimum", *LOGISTIC]


def in_numpy(name):
    return getattr(np, name, None) or getattr(scipy.special, name)


def units_apart(x, y):
    """The largest distance in units in the last place; infinite if one of two is not a number."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    assert np.array_equal(np.isnan(x), np.isnan(y))
    return np.nanmax(abs(x - y) / np.spacing(np.maximum(abs(x), 1e-300)), initial=0.0)


def on_floats(found, *points):
    return [found.on_floats(*map(float, p))[0] for p in zip(*points)]


# --- each operation, on floats, on arrays and in NumPy -------------------------------------------


@pytest.mark.parametrize("name", ONE)
def test_functions_of_one_number(name):
    """At most two units in the last place between math and NumPy; on arrays it is NumPy itself."""
    x = DOMAINS.get(name, REALS if name not in ("exp", "exp2", "sinh", "cosh", "expm1") else REALS[:1501])
    found = trace(lambda x: getattr(x, name)(), {"x": ()})
    assert found.operations == ((name, 0),)
    np.testing.assert_array_equal(found.on_arrays(x)[0], in_numpy(name)(x))
    apart = units_apart(on_floats(found, x), in_numpy(name)(x))
    assert apart == 0 if name in EXACT else apart <= WIDE.get(name, 2)
    assert found.exact == (name in EXACT)


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two_numbers(name):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-9, 9, (2, 2000))
    x = abs(x) if name == "power" else x
    found = trace(lambda x, y: getattr(x, name)(y), {"x": (), "y": ()})
    np.testing.assert_array_equal(found.on_arrays(x, y)[0], in_numpy(name)(x, y))
    apart = units_apart(on_floats(found, x, y), in_numpy(name)(x, y))
    assert apart == 0 if name in EXACT else apart <= 2
    constant = trace(lambda x: getattr(Node, name)(2.5, x), {"x": ()})  # a number first
    np.testing.assert_array_equal(constant.on_arrays(x)[0], in_numpy(name)(2.5, x))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", sorted(module.BY_MATH))
def test_arrays_by_math_have_the_bits_of_floats_and_the_infinities_of_numpy(name):
    x = np.array([0.3, -0.7, 2.5, 800.0, 0.0, -1.0, -3.0, math.inf, math.nan])
    columns = [x, np.roll(x, 4)] if name in TWO else [x]
    code = (lambda x, y: getattr(x, name)(y)) if name in TWO else (lambda x: getattr(x, name)())
    found, wanted = trace(code, dict.fromkeys("xy"[: len(columns)], ())), []
    for point in zip(*columns):
        try:
            wanted += found.on_floats(*map(float, point))
        except (ArithmeticError, ValueError):
            wanted.append(in_numpy(name)(*point))
            assert not np.isfinite(wanted[-1])
    np.testing.assert_array_equal(found.on_arrays_by_math(*columns)[0], wanted)


def logistic_arguments(rng):
    """300,000 numbers: ordinary ones, bits drawn at random, and where a formula may change."""
    ordinary = [rng.standard_normal(100_000) * 10 ** rng.uniform(-4, 3, 100_000), rng.uniform(-800, 800, 100_000)]
    ends = np.array([0.0, 5e-324, 1e-310, 2.2e-308, 1e-17, 18.4, 36.7, 37.5, 709.782712893384, 745.2, 1e308, np.inf])
    edges = np.concatenate([ends, np.nextafter(ends, 0), np.nextafter(ends, np.inf), [np.nan]])
    any_bits = rng.integers(0, 2**64, 100_000 - 2 * edges.size, dtype=np.uint64).view(float)
    return rng.permutation(np.concatenate([*ordinary, any_bits, edges, -edges]))


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("name", LOGISTIC)
def test_logistic_functions_have_the_bits_of_numpy_and_scipy(name):
    """On floats, on arrays and compiled."""
    rng = np.random.default_rng(3)
    columns = [logistic_arguments(rng) for _ in range(1 + (name in TWO))]
    if name in TWO:  # many equal ones, and close ones
        close = columns[0][50_000:150_000]
        columns[1][:50_000], columns[1][50_000:150_000] = columns[0][:50_000], close + rng.uniform(-40, 40, close.size)
    wanted = in_numpy(name)(*columns)
    code = (lambda x, y: getattr(x, name)(y)) if name in TWO else (lambda x: getattr(x, name)())
    found = trace(code, dict.fromkeys("xy"[: len(columns)], ()))
    results = [np.array(on_floats(found, *columns)), found.on_arrays(*columns)[0]]
    if find_spec("numba"):
        import numba

        compiled = numba.njit(error_model="numpy")(found.on_floats)
        results.append(np.array([compiled(*point)[0] for point in zip(*columns)]))
    assert np.isfinite(wanted).sum() > 200_000
    for result in results:
        np.testing.assert_array_equal(np.isnan(result), np.isnan(wanted))
        same = result.view(np.uint64) == wanted.view(np.uint64)
        assert (same | np.isnan(wanted)).all(), np.transpose(columns)[~same][:5]


@pytest.mark.parametrize("name", ["sign", "floor", "ceil", "negative", "absolute", "sqrt", "maximum", "minimum"])
def test_zeros_have_numpys_signs(name):
    values = [0.0, -0.0, 0.5, -0.5]
    if name in ("maximum", "minimum"):
        code = trace(lambda a, b: getattr(a, name)(b), {"a": (), "b": ()})
        given = [(a, b) for a in values for b in values]
    else:
        code = trace(lambda a: getattr(a, name)(), {"a": ()})
        given = [(a,) for a in (values[:3] if name == "sqrt" else values)]
    for numbers in given:
        found, wanted = code.on_floats(*numbers)[0], getattr(np, name)(*map(np.atleast_1d, numbers)).item()
        assert (found, math.copysign(1, found)) == (wanted, math.copysign(1, wanted)), numbers


def test_an_error_at_the_third_call_only_delays_a_trace():
    calls = []

    def plain(x):
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return x * 2

    function = Traced(plain)
    for _ in range(5):
        with suppress(KeyboardInterrupt):
            assert function(np.array([1.0, 2.0])).tolist() == [2.0, 4.0]
    assert function.fast is not None


def test_conditions_combine_with_arrays_and_complex_numbers_are_refused():
    mask = np.array([True, False])
    for combined, wanted in (
        (lambda x: ((x > 0) & mask) * 2.0, {1.0: [2.0, 0.0], -1.0: [0.0, 0.0]}),
        (lambda x: ((x > 0) | mask) * 2.0, {1.0: [2.0, 2.0], -1.0: [2.0, 0.0]}),
    ):
        code = trace(combined, {"x": ()})
        assert {x: list(code.on_floats(x)) for x in wanted} == wanted
    with pytest.raises(TypeError):
        trace(lambda x: x * np.complex128(1 + 2j), {"x": ()})


def test_what_is_not_a_number_stays_so():
    """Signs, maxima and cases do not hide a divergence."""
    found = trace(lambda x: [x.sign(), x.maximum(0.0), x.minimum(0.0), (x > 0).where(x, x)], {"x": ()})
    assert np.isnan(found.on_floats(math.nan)).all()
    assert np.isnan(found.on_arrays(np.array([math.nan]))).all()
    assert trace(lambda x: x.floor(), {"x": ()}).on_floats(math.inf) == (math.inf,)


def test_operators_are_pythons():
    def code(x, y):
        return [x + y, x - y, x * y, x / y, -x, +x, abs(x), x % y, x**y, 2 - x, 2 / x, 2 % x, 2**x]

    found, x, y = trace(code, {"x": (), "y": ()}), 1.7, -0.3
    assert list(found.on_floats(x, 0.3)) == code(x, 0.3)
    arrays = found.on_arrays(np.array([x, 2.5]), np.array([y, 1.5]))
    np.testing.assert_array_equal(np.array(arrays), code(np.array([x, 2.5]), np.array([y, 1.5])))


def test_conditions():
    def code(x, y, where):
        inside, equal = (x > y) & (x >= -1) | ~(x <= 2), (x == 1) | (x != y)
        return [
            where(inside, x, y),
            where(equal, 1, 0 * y),
            where((x < y) & True, x, 2.0),
            where(True, x, y),
        ]

    found = trace(lambda x, y: code(x, y, Node.where), {"x": (), "y": ()})
    x, y = np.array([0.0, 1.0, -3.0, 3.0, 1.0]), np.array([0.0, 1.0, -5.0, 1.0, 4.0])
    wanted = np.broadcast_arrays(*code(x, y, np.where))
    np.testing.assert_array_equal(np.broadcast_arrays(*found.on_arrays(x, y)), wanted)
    np.testing.assert_array_equal([found.on_floats(*p) for p in zip(x, y)], np.transpose(wanted))
    assert trace(lambda x: Node.where(x > 0, x, x), {"x": ()}).operations == ()


@pytest.mark.parametrize(
    "two",
    [2, 2.0, np.float64(2), np.float32(2), np.int64(2), Fraction(2), sp.Integer(2), np.array(2.0)],
)
def test_numbers_of_all_kinds(two):
    found = trace(lambda x: [x * two, two * x, x - two, two / x, x**two, Node.maximum(two, x)], {"x": ()})
    assert found.on_floats(3.0) == (6.0, 6.0, 1.0, 2 / 3, 9.0, 3.0)
    assert trace(lambda x: x * sp.Rational(1, 3), {"x": ()}).on_floats(1.0) == (1 / 3,)
    assert trace(lambda x: np.array([1.0, 2.0]) * x, {"x": ()}).on_floats(3.0) == (3.0, 6.0)


# --- what is recorded ------------------------------------------------------------------------------


def operations(code, *names):
    return trace(code, dict.fromkeys(names or ("x",), ())).operations


def test_zeros_ones_and_signs_are_not_computed():
    for code in (
        lambda x: x + 0, lambda x: 0.0 + x, lambda x: x - 0, lambda x: x * 1, lambda x: 1 * x,
        lambda x: x / 1, lambda x: 0 - (0 - x), lambda x: x**1, lambda x: 0 * x, lambda x: 0 / x, lambda x: x**0,
    ):  # fmt: skip
        assert operations(code) == ()
    assert operations(lambda x: 0 - x) == operations(lambda x: x * -1) == (("negative", 0),)
    assert operations(lambda x, y: x + -y, "x", "y") == (("subtract", 0, 1),)
    assert operations(lambda x, y: -y + x, "x", "y") == (("subtract", 0, 1),)
    assert operations(lambda x, y: x - (0 - y), "x", "y") == (("add", 0, 1),)
    assert operations(lambda x, y: x * y**-1, "x", "y") == (("divide", 1.0, 1), ("multiply", 0, 2))


def test_each_operation_is_recorded_once_and_only_if_it_is_needed():
    def code(x, y):
        x.exp()
        return [x * y + 1, y * x + 1.0, 1 + x * y]

    found = trace(code, {"x": (), "y": ()})
    assert found.operations == (("multiply", 0, 1), ("add", 2, 1.0)) and found.outputs == (3, 3, 3)
    # an index and a constant of the same value are not the same
    assert len(operations(lambda x, y: [x + y, x + 1.0], "x", "y")) == 2
    assert len(operations(lambda x: [x.arctan2(0.0), x.arctan2(-0.0)])) == 2


@pytest.mark.parametrize("n", range(-16, 17))
def test_whole_powers_are_products(n):
    x = np.random.default_rng(0).uniform(0.5, 2, 50)
    found = trace(lambda x: x**n, {"x": ()})
    assert {name for name, *_ in found.operations} <= {"multiply", "divide"}
    assert len(found.operations) <= 7
    np.testing.assert_allclose(found.on_arrays(x)[0], x**n, rtol=3e-15)
    assert on_floats(found, x) == np.broadcast_to(found.on_arrays(x)[0], x.shape).tolist()


def test_other_powers():
    assert operations(lambda x: x**17) == (("power", 0, 17.0),)
    assert operations(lambda x: x**1.5) == (("power", 0, 1.5),)
    assert operations(lambda x: x**0.5) == operations(lambda x: x ** sp.Rational(1, 2)) == (("sqrt", 0),)
    assert operations(lambda x: x**-0.5) == (("sqrt", 0), ("divide", 1.0, 1))
    assert operations(lambda x: 2**x) == (("power", 2.0, 0),)


def test_series_of_one_term_run_numpys_functions():
    """Norms, sums, matrices, maxima and cases: what a program may contain."""
    matrix = np.array([[1.0, 2.0, -1.0], [0.5, -3.0, 2.0]])

    def code(x):
        y = np.tanh(matrix @ x) + np.sum(x**2) / np.linalg.norm(x)
        return np.where(y > 0, np.maximum(y, 0.5), np.exp(y)) * np.max(abs(x)) + np.clip(y, -1, 1)

    def on_series(x):
        return code(Series(x.reshape(1, 1, *x.shape)))

    found, x = trace(on_series, {"x": (3,)}), np.array([0.3, -0.4, 1.2])
    assert found.shapes == ((2,),) and found.inputs == ("x_0", "x_1", "x_2")
    np.testing.assert_allclose(found.on_floats(*x), code(x), rtol=1e-14)
    np.testing.assert_allclose(found.on_arrays(*x[:, None]), code(x)[:, None], rtol=1e-14)


def test_longer_series_give_their_coefficients():
    def code(x, v):
        curve = Series.from_polynomials([[x], [0 * x, v], [0 * x]])
        return list((curve**3).coefficients[[0, 1, 2], [0, 1, 2]])

    found = trace(code, {"x": (), "v": ()})
    assert found.on_floats(2.0, 3.0) == (8.0, 36.0, 54.0)
    with pytest.raises(Untraceable, match="a Series of 2 terms is not a number"):
        trace(lambda x: Series.from_polynomials([[x], [x, x]]), {"x": ()})


# --- what cannot be traced -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        lambda x: x if x > 0 else -x,
        lambda x: max(x, 0.0),
        lambda x: x and 1.0,
        lambda x: 1.0 if x == 0 else x,
        lambda x: math.exp(x),
        lambda x: float(x),
        lambda x: list(range(x)),
        lambda x: np.zeros(2) + np.array([x], dtype=float),
        lambda x: x * 1j,
        lambda x: x + "1",
        lambda x: x.exp("1"),
        lambda x: sp.Symbol("s") * x,
        lambda x: None,
    ],
)
def test_what_needs_a_value_is_refused(code):
    with pytest.raises(TypeError):
        trace(code, {"x": ()})


@pytest.mark.parametrize("code", [lambda x: (x > 0) + (x > 1), lambda x: (x > 0) * (x < 3) + (x > 1) * (x < 2)])
def test_numbers_that_are_truth_values_are_refused(code):
    """Of NumPy's, true and true are true and not 2."""
    assert code(np.float64(1.5)).dtype == bool
    with pytest.raises(Untraceable, match="truth values"):
        trace(code, {"x": ()})


def test_too_many_operations_are_refused():
    assert len(trace(lambda x: sum((x + k) * k for k in range(2, 5)), {"x": ()}, most=10).operations) == 8
    with pytest.raises(Untraceable, match="more than 10 operations"):
        trace(lambda x: sum((x + k) * k for k in range(2, 9)), {"x": ()}, most=10)
    with pytest.raises(Untraceable, match="more than 8,000 operations"):
        operations(lambda x: sum((x + k) * k for k in range(2, 9000)))


@pytest.mark.filterwarnings("error")
def test_a_trace_that_is_too_long_gives_no_warning():
    """What is computed once the tape is full is not a number, of which no user wants to hear."""
    equation = bea.modified_equation(bea.adam(0.9, 0.95, 1e-2), bea.bilinear(), 10)
    values = [equation.coefficients((0.9, 1.5)) for _ in range(5)]
    assert all(np.array_equal(value, values[0]) for value in values)


def test_an_input_that_is_not_zero():
    def code(x, y):
        assert not x == 0 and x != 0 and x and not 0 == x
        return x + y

    assert trace(code, {"x": (), "y": ()}, nonzero={"x"}).operations == (("add", 0, 1),)
    with pytest.raises(Untraceable, match="branches on a traced number"):
        trace(code, {"x": (), "y": ()}, nonzero={"y"})
    with pytest.raises(Untraceable):
        trace(lambda x: 1.0 if x == 2 else x, {"x": ()}, nonzero={"x"})


# --- the trace as data -------------------------------------------------------------------------------


def interpreted(found, inputs):
    """The outputs of a trace from its operations, as another language would compute them."""
    values = [*inputs]

    def value(argument):
        return argument if isinstance(argument, float) else values[argument]

    for name, *arguments in found.operations:
        given = [value(argument) for argument in arguments]
        values.append((np.where if name == "where" else in_numpy(name))(*given))
    return [float(value(output)) for output in found.outputs]


def test_a_trace_is_data():
    def code(x, k):
        y = (x**3).sum() / k + np.array([np.inf, 1.0])
        return [Node.where(y[1] > 2, y[1] * 0.1, 7), y[0], 0.25]

    found = trace(code, {"x": (2,), "k": ()})
    assert found.inputs == ("x_0", "x_1", "k") and found.shapes == ((), (), ())
    for point in [(1.0, 2.0, 3.0), (0.1, -0.2, 0.5)]:
        assert interpreted(found, point) == list(found.on_floats(*point))


def test_traces_are_pickled_without_their_functions():
    found = trace(lambda x: x.exp() * 2, {"x": ()})
    assert found.on_floats(1.0) == found.on_arrays(1.0)
    again = pickle.loads(pickle.dumps(found))
    assert isinstance(again, Trace) and again.source() == found.source()
    assert again.on_floats(1.0) == found.on_floats(1.0)


# --- functions that are traced when they are called often --------------------------------------------


def on_series(code):
    """The same function, written for a Series of one term, as programs and losses are."""
    return lambda x: code(Series(np.asarray(x)[None, None])).leading


ON_POINTS = {
    "square roots": on_series(lambda x: np.stack([x[0] / (x[1] ** 2 + 0.3) ** 0.5, x[0] * x[1] - x[2] ** 3])),
    "functions of math": on_series(
        lambda x: np.stack([np.exp(np.sin(x[0])) * x[1], np.log1p(x[2] ** 2) / np.tanh(x[1])])
    ),
    "kinks": on_series(lambda x: np.stack([np.maximum(x[0], x[1]), np.where(x[2] > 0, x[0], -x[0]) * abs(x[1])])),
    "what Numba lacks": on_series(lambda x: np.stack([scipy.special.gammaln(2 + x[0] ** 2), x[1] * x[2]])),
}


def results(code, points, compiled, monkeypatch):
    """What a Traced gives, call after call, at single points and at all of them together."""
    monkeypatch.setattr(module, "COMPILING", 0.0 if compiled else math.inf)
    monkeypatch.setattr(module, "COMPILING_LINE", 0.0)
    alone, together = module.Traced(code), module.Traced(code)
    for _ in range(3):
        together(points[:, :5])
    found = [alone(point) for point in points.T], [together(points) for _ in range(2)][-1]
    assert ("compiled" in vars(alone.fast)) == (compiled and alone.fast.compiled_exactly)
    assert ("compiled" in vars(together.fast)) == (compiled and together.fast.exact)
    return found


@pytest.mark.skipif(not find_spec("numba"), reason="Numba is not installed")
@pytest.mark.parametrize("name", ON_POINTS)
def test_a_function_has_the_same_bits_before_and_after_it_is_compiled(name, monkeypatch):
    points = np.random.default_rng(5).uniform(-2, 2, (3, 2500))
    points[:, 7] = points[0, 7]  # a kink: the plain code decides
    plain, compiled = (results(ON_POINTS[name], points, way, monkeypatch) for way in (False, True))
    np.testing.assert_array_equal(compiled[0], plain[0])
    np.testing.assert_array_equal(compiled[1], plain[1])
    np.testing.assert_allclose(compiled[1], ON_POINTS[name](points), rtol=1e-13)
    np.testing.assert_allclose(np.transpose(compiled[0]), ON_POINTS[name](points), rtol=1e-13, atol=1e-14)


@pytest.mark.skipif(not find_spec("numba"), reason="Numba is not installed")
def test_where_floats_raise_a_compiled_function_asks_the_plain_code(monkeypatch):
    asked = []

    def code(x):
        asked.append(x)
        with np.errstate(divide="ignore"):
            return 1 / np.asarray(x) ** 2

    monkeypatch.setattr(module, "COMPILING", 0.0)
    monkeypatch.setattr(module, "COMPILING_LINE", 0.0)
    function = module.Traced(code)
    for _ in range(5):
        assert function(np.array([2.0])) == 0.25
    assert "compiled" in vars(function.fast)
    before = len(asked)
    assert function(np.array([0.0])) == math.inf and len(asked) == before + 1
    assert function(np.array([4.0])) == 1 / 16 and len(asked) == before + 1


def test_a_function_is_compiled_once_it_has_taken_as_long(monkeypatch):
    monkeypatch.setattr(module, "numba_is_there", lambda: True)
    tried = []
    monkeypatch.setattr(module, "by_numba", lambda *given: tried.append(given))  # as if Numba could not
    function = module.Traced(lambda x: x * x + 1)
    once = module.trace(function.plain, {"x": (1,)}).seconds(1)[0]
    monkeypatch.setattr(module, "COMPILING", 20.5 * once)
    monkeypatch.setattr(module, "COMPILING_LINE", 0.0)
    for n in range(40):
        assert function(np.array([3.0])) == 10
        assert bool(tried) == (n >= 22)  # three plain calls, one of which compares; the twenty-first is too much
    assert len(tried) == 1


@pytest.mark.parametrize("compiling", [math.inf, 0.0])
@pytest.mark.parametrize("points", [np.array([1.0, 2.0]), np.ones((2, 5))])
def test_a_function_that_computes_something_else_on_nodes_is_not_traced(points, compiling, monkeypatch):
    monkeypatch.setattr(module, "COMPILING", compiling)
    monkeypatch.setattr(module, "COMPILING_LINE", 0.0)
    function = module.Traced(lambda x: x * (2.0 if x.dtype == object else 3.0))
    for _ in range(6):
        np.testing.assert_array_equal(function(points), 3 * points)


@pytest.mark.skipif(not find_spec("numba"), reason="Numba is not installed")
def test_where_numba_has_intels_library_only_exact_code_is_compiled(monkeypatch):
    import numba

    monkeypatch.setattr(numba.config, "USING_SVML", True)
    assert trace(lambda x: x.sqrt(), {"x": ()}).compiled is not None
    assert trace(lambda x: x.exp(), {"x": ()}).compiled is None


def test_estimated_times_choose_floats_for_one_point_and_arrays_for_many(monkeypatch):
    monkeypatch.setattr(module, "numba_is_there", lambda: True)
    short, long = (trace(lambda x, n=n: sum((x + k) * k for k in range(2, n)), {"x": ()}) for n in (5, 50))
    for code in (short, long):
        (floats, arrays), (floats_of_many, arrays_of_many) = code.seconds(1), code.seconds(2000)
        assert floats < arrays and arrays_of_many < floats_of_many == pytest.approx(2000 * floats)
    for columns in (1, 2000):
        assert np.all(np.greater(long.seconds(columns), short.seconds(columns)))
    assert long.compiling > short.compiling


leaves = st.sampled_from(["x", "y", 0.5, -3.0, 2, Fraction(1, 3)])
trees = st.recursive(
    leaves,
    lambda inner: st.tuples(st.sampled_from("+-*/"), inner, inner) | st.tuples(st.just("sqrt"), inner),
    max_leaves=25,
)


def evaluated(tree, known):
    if not isinstance(tree, tuple):
        return known.get(tree, tree) if isinstance(tree, str) else tree
    a, *rest = (evaluated(part, known) for part in tree[1:])
    if tree[0] == "sqrt":
        square = a * a + 1
        return math.sqrt(square) if isinstance(square, (float, int, Fraction)) else np.sqrt(square)
    b = rest[0]
    return {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: a / (b * b + 1),
    }[tree[0]]()


@draws(200)
@given(trees)
def test_random_formulas_have_the_same_bits_on_floats_and_arrays(tree):
    """And are what plain NumPy computes, up to round-off."""
    found = trace(lambda x, y: evaluated(tree, {"x": x, "y": y}), {"x": (), "y": ()})
    x, y = np.random.default_rng(3).uniform(-2, 2, (2, 17))
    arrays = np.broadcast_to(found.on_arrays(x, y)[0], x.shape)
    np.testing.assert_array_equal(arrays, on_floats(found, x, y))
    wanted = np.array([float(evaluated(tree, {"x": a, "y": b})) for a, b in zip(x, y)])
    everything = evaluated(tree, {"x": 1e3, "y": 1e3})
    np.testing.assert_allclose(arrays, wanted, rtol=1e-12, atol=1e-14 * (1 + abs(float(everything))))
