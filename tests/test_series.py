"""Series take part in NumPy: every function against the same function of plain arrays.

The oracle knows nothing of series: it evaluates the function on arrays along the curve, at Chebyshev
points in h and a few s, and reads the coefficients from the interpolating polynomial.
"""

import copy
import pickle
from fractions import Fraction
from math import factorial
from numbers import Rational

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from bea import Series, antidifference, taylor
from bea.series import select, ties
from drawn import draws

H, S = sp.symbols("h s")
K = 4
MATRIX = np.array([[2.0, -1.0, 0.5, 0.0], [0.3, 1.0, -0.7, 0.2], [0.0, 0.4, 3.0, 1.0]])
SQUARE = MATRIX[:, :3]
VECTOR = np.array([0.5, -1.0, 2.0])


def curve(leading, seed=0, terms=K):
    """A Series of floats with a given value and coefficients of size one."""
    rng, leading = np.random.default_rng(seed), np.asarray(leading, dtype=float)
    rows = [[leading]] + [list(rng.uniform(-1, 1, (k + 1, *leading.shape))) for k in range(1, terms)]
    return Series.from_polynomials(rows)


def expansion(function, series, radius=0.02, points=14):
    """The coefficients of ``function`` along a series, from values of the function alone."""
    terms = series.terms
    x = np.cos(np.pi * (np.arange(points) + 0.5) / points)
    scale = radius ** np.arange(terms)
    rows = []
    nodes = np.linspace(-1, 1, terms)
    for s in nodes:
        c = np.tensordot(s ** np.arange(terms), series.coefficients, axes=(0, 1))
        values = np.stack([function(sum((radius * t) ** k * c[k] for k in range(terms))) for t in x])
        fitted = np.linalg.solve(np.vander(x, increasing=True), values.reshape(points, -1))
        rows.append((fitted[:terms].T / scale).T.reshape(terms, *values.shape[1:]))
    in_s = np.linalg.inv(np.vander(nodes, increasing=True))
    return np.tensordot(in_s, np.stack(rows), axes=1).swapaxes(0, 1)


def agree(function, series, tolerance=2e-8):
    found = function(series)
    assert isinstance(found, Series), found
    plain = np.asarray(function(series.leading))
    assert found.shape == plain.shape
    np.testing.assert_allclose(found.leading, plain, rtol=1e-13, atol=1e-14)
    wanted = expansion(function, series)
    size = 1 + np.abs(wanted).max()
    np.testing.assert_allclose(found.coefficients, wanted, rtol=0, atol=tolerance * size)
    assert not found.coefficients[np.triu_indices(series.terms, 1)].any()  # no s^j beyond h^k


def same(left, right):
    return np.array_equal(left.coefficients, right.coefficients)


# --- gradients as they are written for arrays ------------------------------------------------------


def filled(t):
    out = np.zeros_like(t)
    for i in range(len(t)):
        out[i] = t[i] ** 3 - (t[i - 1] if i else 0.0)
    return out


def filled_with_slices(t):
    out = np.empty_like(t)
    out[0] = t[0] * t[1]
    out[1:] = t[1:] ** 2
    out[-1] += 2 * t[0]
    tail = out[2:]
    tail *= 3
    return out


def loop(t):
    total = 0
    for x in t:
        total = total + np.sin(x)
    return t * total


def unpacked(t):
    a, b, c = t
    return np.stack([a**2 - b, b * c, 1.0 / c])


def rosenbrock(t):
    g = np.zeros_like(t)
    d = t[1:] - t[:-1] ** 2
    g[:-1] = -400 * t[:-1] * d - 2 * (1 - t[:-1])
    g[1:] += 200 * d
    return g


def two_layers(t):
    first, second = np.split(np.concatenate([t, t * 2]), [3])
    hidden = np.tanh(SQUARE @ first)
    return np.outer(hidden, second)[0]


def softmax(t):
    e = np.exp(t - t.max())
    return e / e.sum()


def log_loss(t):
    z = MATRIX.T @ t
    return MATRIX @ (1 / (1 + np.exp(-z)) - 1.0) / z.size + 0.1 * t


def branches(t):
    return np.stack([x**2 if x > 1 else np.exp(x) for x in t])


def newton_schulz(t):
    x = np.outer(t, t[::-1])[:, :2]
    x = x / np.linalg.norm(x)
    for _ in range(3):
        x = 1.5 * x - 0.5 * x @ x.T @ x
    return x


def in_place(t):
    g = t.copy()
    g += 1
    g *= t
    g -= VECTOR
    g /= 1 + t**2
    return g


GRADIENTS = {
    # those of the first edition's review
    "t**3 - t": lambda t: t**3 - t,
    "stack": lambda t: np.stack([t[0] ** 3, t[1], 2.0 * t[2]]),
    "stack with a number": lambda t: np.stack([t[0] ** 3, t[1], 1.0]),
    "concatenate": lambda t: np.concatenate([t[:1] ** 2, t[1:]]),
    "dot": lambda t: np.dot(SQUARE, t),
    "einsum": lambda t: np.einsum("ij,j->i", SQUARE, t),
    "clip": lambda t: np.clip(t, 0.6, 1.5),
    "roll": lambda t: t - np.roll(t, 1),
    "unpacking": unpacked,
    "filling zeros_like": filled,
    "np.sum": lambda t: t * np.sum(t**2),
    "method sum": lambda t: t * (t**2).sum(),
    "mean": lambda t: t - t.mean(),
    "np.mean": lambda t: t * np.mean(t * t, axis=0),
    "T": lambda t: t.T * 2,
    "copy": in_place,
    "where": lambda t: np.where(t > 1, t**2, -t),
    "maximum": lambda t: np.maximum(t, 1) * np.minimum(t, 1.2),
    "least squares": lambda t: SQUARE.T @ (SQUARE @ t - VECTOR),
    "inner product": lambda t: t * (t @ t),
    "method dot": lambda t: t.dot(SQUARE),
    "vector on the right": lambda t: t @ SQUARE + VECTOR @ SQUARE,
    "reversed": lambda t: t[::-1] * t,
    "fancy index": lambda t: t[[1, 0, 2]] ** 2,
    "softmax": softmax,
    "logistic": log_loss,
    "logaddexp": lambda t: np.logaddexp(0, t) + np.logaddexp(t, VECTOR),
    "expit": lambda t: special.expit(-t) * t,
    "norm": lambda t: t / np.linalg.norm(t),
    # further ones
    "filling slices": filled_with_slices,
    "loop": loop,
    "rosenbrock": rosenbrock,
    "two layers": two_layers,
    "branches": branches,
    "Newton and Schulz": newton_schulz,
    "outer": lambda t: np.outer(t, t) @ t,
    "matrix product": lambda t: (np.outer(t, t + 1) @ SQUARE @ np.outer(VECTOR, t)).ravel(),
    "reshape": lambda t: (t.reshape(3, 1) @ t.reshape((1, -1))).reshape(-1),
    "None": lambda t: t[:, None] - t[None, :],
    "ellipsis": lambda t: t[..., None][..., 0] * t[...],
    "mask": lambda t: t[np.array([True, False, True])] ** 2,
    "boolean mask": lambda t: t[t > 1] * 2,
    "separate arrays": lambda t: (t[:, None, None] * t[:, None] * t)[[0, 1], :, [1, 2]],
    "keepdims": lambda t: np.outer(t, t) / np.outer(t, t).sum(axis=1, keepdims=True),
    "two axes": lambda t: np.outer(t, t).sum(axis=(0, 1)) * t,
    "quadratic form": lambda t: np.einsum("i,ij,j", t, SQUARE, t) * t,
    "einsum to a matrix": lambda t: np.einsum("i,j->ij", t, VECTOR) @ VECTOR,
    "einsum, outer": lambda t: np.einsum("i,j", t, t**2),
    "einsum, trace": lambda t: np.einsum("ii", np.outer(t, t)) * t,
    "einsum, ellipsis": lambda t: np.einsum("...i,i->...", np.outer(t, t), t),
    "einsum, no arrow": lambda t: np.einsum("...i,i", np.outer(t, t), t) * np.einsum("ba,b", SQUARE, t),
    "vdot": lambda t: np.vdot(t, VECTOR) * np.inner(t, t),
    "power with a series": lambda t: t**t + 2**t + np.power(t, VECTOR),
    "powers": lambda t: t ** np.array([0, 1, 3]) + t**-2 + t**0.5 + t**2.5,
    "more axes": lambda t: np.logaddexp(t, np.outer(t, t)) + t ** abs(SQUARE) + np.where(SQUARE > 0, t, t**2),
    "p-norm": lambda t: np.sum(np.abs(t - 1.1) ** 1.5) ** (1 / 1.5),
    "2-norm": lambda t: np.linalg.norm(np.outer(t, t + 1), 2, axis=0),
    "1-norm": lambda t: np.linalg.norm(t - 1.1, 1) * np.linalg.norm(np.outer(t, t), axis=0),
    "Frobenius": lambda t: np.linalg.norm(np.outer(t, t + 1), "fro") * t,
    "inverse": lambda t: np.linalg.inv(SQUARE + np.outer(t, t)) @ t,
    "solve": lambda t: np.linalg.solve(SQUARE, t) + np.linalg.solve(np.diag(t) + 3, t),
    "prod": lambda t: np.prod(t) / t + np.multiply.reduce(t),
    "reductions": lambda t: np.add.reduce(t) + np.logaddexp.reduce(t) - np.maximum.reduce(t),
    "max along an axis": lambda t: np.outer(t, VECTOR).max(axis=1) - np.min(t),
    "cumsum": lambda t: np.cumsum(t**2),
    "convolve": lambda t: np.convolve(t, t) + np.kron(t, t)[:5] + np.tensordot(t, np.outer(t, t), 1)[0],
    "diff": lambda t: np.diff(t) ** 2,
    "trace and diag": lambda t: np.trace(np.outer(t, t)) * np.diag(np.outer(t, t)),
    "stacks": lambda t: np.vstack([t, t**2, np.ones(3)]) @ np.column_stack([t, t]),
    "repeat and tile": lambda t: np.repeat(t, 2) * np.tile(t, 2),
    "axes": lambda t: np.moveaxis(np.expand_dims(np.outer(t, t), 0), 0, -1).squeeze().swapaxes(0, 1),
    "transposed": lambda t: np.outer(t, VECTOR).T @ t + np.transpose(np.outer(t, t)) @ t,
    "flipped": lambda t: np.flip(t) * np.broadcast_to(t[0], (3,)) * np.ravel(t),
    "ones_like": lambda t: np.ones_like(t) * t + np.full_like(t, 2.0),
    "shapes": lambda t: t * np.shape(t)[0] + np.ndim(t) + np.size(t) + len(t) + t.size + t.shape[0],
    "hypot and arctan2": lambda t: np.hypot(t, 1.7) + np.arctan2(t, VECTOR) + np.arctan2(0.7, t),
    "signs": lambda t: np.sign(t - 1.1) * t + np.copysign(t, -VECTOR) + np.abs(1.1 - t),
    "heaviside": lambda t: np.heaviside(t - 1.1, 0.5) * t + np.heaviside([0.0, -1.0, 2.0], t),
    "Huber": lambda t: np.where(abs(t) <= 1.1, t, 1.1 * np.sign(t)),
    "Python's sum, max and abs": lambda t: sum(t) * max(t[0], t[1]) * abs(t),
    "softplus": lambda t: special.expit(t) * np.log1p(np.exp(-t)) + np.log(np.cosh(t)),
    "sums of squares": lambda t: np.sqrt(np.square(t).sum() + 1e-2) / np.cbrt(t),
    "xlogy": lambda t: special.xlogy(t, t) - special.xlogy(2.0, t),
}  # fmt: skip


@pytest.mark.parametrize("name", GRADIENTS)
def test_code_for_arrays_runs_on_a_series(name):
    agree(GRADIENTS[name], curve([1.3, 0.7, 0.9]))


def test_a_batch_is_point_by_point():
    t = curve(np.random.default_rng(1).uniform(0.5, 2, (3, 600)))  # long: another way of summing

    def work(t):
        return SQUARE @ np.tanh(t) + np.where(t > 1, t**2, t) / t.sum(axis=0)

    together = work(t)
    for i in (0, 7, 599):
        alone = work(t[:, i]).coefficients
        np.testing.assert_allclose(together[:, i].coefficients, alone, rtol=1e-12, atol=1e-13)


def test_out_and_reflected_operators_change_entries_as_an_array_does():
    t = curve([1.0, 2.0])
    other = t.copy()
    view = other[:1]
    view += t[1]
    assert same(other[0], t[0] + t[1]) and same(other[1], t[1])
    assert same(np.float64(2) - t, 2 - t) and same(VECTOR[:2] * t, t * VECTOR[:2])
    assert same(np.add(t, 1, out=other), t + 1) and same(other, t + 1)


def test_copies_and_pickles():
    t = curve([1.0, 2.0])
    for other in (copy.deepcopy(t), pickle.loads(pickle.dumps(t))):
        assert same(other, t)


# --- functions of one variable -----------------------------------------------------------------------

ABOVE, BETWEEN = (0.4, 1.8), (-0.8, 0.8)
FUNCTIONS = {
    **{np.__dict__[f]: ABOVE for f in "sqrt cbrt log log2 log10 log1p reciprocal".split()},
    **{
        np.__dict__[f]: BETWEEN
        for f in """exp exp2 expm1 sin cos tan sinh cosh tanh arctan arcsin arccos arcsinh arctanh square
        negative positive""".split()
    },
    **{getattr(special, f): BETWEEN for f in "expit erf erfc log_expit ndtr log_ndtr j0 j1".split()},
    **{getattr(special, f): ABOVE for f in "gammaln psi softplus".split()},
    np.arccosh: (1.5, 2.5),
    np.abs: (0.1, 2.0),
    np.fabs: (-2.0, -0.1),
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@draws(4)
@given(st.data())
def test_functions_expand_as_their_values_do(function, data):
    value = data.draw(st.floats(*FUNCTIONS[function]))
    terms = data.draw(st.integers(1, 4))
    agree(function, curve(value, data.draw(st.integers(0, 9)), terms))


def test_large_arguments_keep_their_digits():
    """log(1 + e^x) and the logistic function where e^x is beyond the floats."""
    t = Series.from_polynomials([[np.array([800.0, -800.0])], [np.zeros(2), np.ones(2)]])
    found = np.logaddexp(0, t).coefficients
    assert found[0, 0].tolist() == [800.0, 0.0] and found[1, 1].tolist() == [1.0, 0.0]
    assert special.expit(t).coefficients[:, 0].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    tails = Series.from_polynomials([[np.array([40.0, -40.0])], [np.zeros(2), np.ones(2)]])
    np.testing.assert_allclose(special.expit(tails).coefficients[1, 1], np.exp(-40.0), rtol=1e-12)
    tiny = Series.from_polynomials([[-40.0], [0.0, 1.0]])
    assert np.isclose(np.logaddexp(0, tiny).coefficients[1, 1], np.exp(-40.0), rtol=1e-12, atol=0)


def test_derivatives_given_one_by_one():
    t = curve([1.3, 0.7])
    powers = [factorial(5) / factorial(5 - k) * t.leading ** (5 - k) for k in range(K)]
    np.testing.assert_allclose(t.apply_derivatives(powers).coefficients, (t**5).coefficients)
    with pytest.raises(ValueError, match="4 derivatives are needed, not 3"):
        t.apply_derivatives(powers[:3])


def test_a_composition_may_know_its_derivative():
    t = curve(0.7)
    slope = 1 / (1 + t * t)
    expected = np.arctan(t).coefficients
    np.testing.assert_allclose(t.compose(np.arctan(0.7), slope).coefficients, expected)
    by_terms = t.compose(np.arctan(0.7), lambda w: Series(slope.coefficients[: w.terms, : w.terms]))
    np.testing.assert_allclose(by_terms.coefficients, expected)


# --- products, shifts, values -------------------------------------------------------------------------


@draws(15)
@given(st.integers(1, 6), st.integers(0, 99))
def test_a_product_is_the_double_sum(terms, seed):
    a, b = curve(1.0, seed, terms), curve(-0.5, seed + 1, terms)
    wanted = np.zeros((terms, terms))
    for k, i in np.ndindex(terms, terms):
        for j, m in np.ndindex(k + 1, i + 1):
            if k + i < terms:
                wanted[k + i, j + m] += a.coefficients[k, j] * b.coefficients[i, m]
    np.testing.assert_allclose((a * b).coefficients, wanted, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("shape", [(10_000,), (3, 3001), (5000, 2)])
def test_many_values_are_each_alone(shape, monkeypatch):
    """What is worked on in blocks has the same bits as all at once, and the values of its parts."""
    v, w = curve(np.linspace(0.5, 1.5, np.prod(shape)).reshape(shape), 3), curve(np.full(shape, 2.0), 4)
    turned, powers = Series(np.asfortranarray(w.coefficients)), np.linspace(0.3, 2.2, v.size).reshape(shape)
    for function in (
        lambda v, w: v * w,
        lambda v, w: v * w[..., :1],
        lambda v, w: v / w,
        lambda v, w: v**0.3,
        lambda v, w: v ** powers[: len(v)],
        lambda v, w: np.exp(v) + np.arctan2(v, w),
    ):
        found = function(v, w).coefficients
        np.testing.assert_array_equal(function(v, turned).coefficients, found)
        with monkeypatch.context() as patch:
            patch.setattr("bea.series.BLOCK", v.size)
            np.testing.assert_array_equal(function(v, w).coefficients, found)
        np.testing.assert_allclose(function(v[:1], w[:1]).coefficients, found[:, :, :1], rtol=1e-12, atol=1e-15)


@draws(15)
@given(st.integers(1, 6), st.floats(-2, 2), st.floats(-2, 2))
def test_a_shift_moves_the_scaled_time(terms, s, by):
    t = curve([1.0, 2.0], 5, terms)
    np.testing.assert_allclose(t.shift(by).at(s, 0.3), t.at(s + by, 0.3), rtol=1e-10, atol=1e-10)


def test_an_exact_shift_is_exact():
    t = exact_example().shift(sp.Rational(-1, 3))
    back = t.shift(sp.Rational(1, 3))
    assert np.array_equal(back.coefficients, exact_example().coefficients)
    assert t.coefficients[0, 1] == 0 and not same(t, back)


def test_at_is_the_polynomial():
    v = curve(1.5)
    wanted = sum(c * 0.3**k * 0.7**j for k, row in enumerate(v.coefficients) for j, c in enumerate(row))
    assert np.isclose(v.at(0.7, 0.3), wanted, rtol=1e-13)


# --- exact numbers ------------------------------------------------------------------------------------


def exact_example(leading="3/2"):
    terms = 3
    rng = np.random.default_rng(7)
    rows = [[sp.Rational(leading)]] + [
        [sp.Rational(int(rng.integers(-9, 10)), int(rng.integers(1, 7))) for _ in range(k + 1)] for k in range(1, terms)
    ]
    return Series.from_polynomials([[np.array(c, dtype=object) for c in row] for row in rows])


def expression(series):
    return sp.Add(*(c * H**k * S**j for (k, j), c in np.ndenumerate(series.coefficients)))


@draws(8)
@given(st.data())
def test_ring_laws_hold_exactly(data):
    numbers = st.fractions(-3, 3, max_denominator=4)

    def draw():
        rows = [[data.draw(numbers) for _ in range(k + 1)] for k in range(3)]
        rows[0] = [rows[0][0] or Fraction(1)]
        return Series.from_polynomials([[np.array(c, dtype=object) for c in r] for r in rows])

    a, b, c = draw(), draw(), draw()
    one = a * 0 + 1
    assert same(a + b, b + a) and same(a * b, b * a) and same(a - a, a * 0)
    assert same((a + b) + c, a + (b + c)) and same((a * b) * c, a * (b * c))
    assert same(a * (b + c), a * b + a * c) and same(1 - a, -(a - 1)) and same(2 * a, a + a)
    assert same(a * a**-1, one) and same(b / a * a, b) and same(a**3, a * a * a)
    assert same(a**0, one) and same(a**2 * a**-3, 1 / a) and same(np.square(a), a * a)


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (np.sqrt, sp.sqrt),
        (np.exp, sp.exp),
        (np.log, sp.log),
        (np.tanh, sp.tanh),
        (np.sin, sp.sin),
        (np.cosh, sp.cosh),
        (np.arctan, sp.atan),
        (lambda v: v ** sp.Rational(-3, 2), lambda x: x ** sp.Rational(-3, 2)),
        (lambda v: v**-0.5, lambda x: x ** sp.Rational(-1, 2)),
        (lambda v: np.abs(-v) + np.sign(-v), lambda x: x - 1),
        (special.expit, lambda x: 1 / (1 + sp.exp(-x))),
        (np.log1p, lambda x: sp.log(1 + x)),
    ],
)
def test_functions_of_exact_numbers_are_sympys(ours, theirs):
    series = exact_example()
    f = theirs(expression(series))
    found = ours(series)
    for k in range(3):
        wanted = sp.expand(sp.diff(f, H, k).subs(H, 0) / sp.factorial(k))
        difference = sum(c * S**j for j, c in enumerate(found.coefficients[k])) - wanted
        for s in range(3):
            assert abs(sp.N(difference.subs(S, s), 25)) < 1e-20


def test_exact_arithmetic_stays_exact():
    v = exact_example()
    for result in (v / 3, v * Fraction(1, 3), v**-2, 1 / v, (v**2 - 1) / v, v.shift(-1), -v):
        assert all(isinstance(c, Rational) for c in result.coefficients.ravel())
    vector = np.stack([v, v + 1])
    for result in (
        vector.mean(),
        vector @ vector,
        np.array([1, 2]) @ vector,
        np.outer(vector, vector),
    ):
        assert all(isinstance(c, Rational) for c in result.coefficients.ravel())


def test_whole_numbers_are_floats_unless_they_are_exact():
    assert (1 / Series.from_polynomials([[2], [0, 1]])).coefficients[:, :2].tolist() == [
        [0.5, 0.0],
        [0.0, -0.25],
    ]
    assert (curve(1.0) * sp.Rational(1, 2) + Fraction(1, 2)).dtype == float


class Traced:
    """A number that only counts what is done with it, and has no truth."""

    count = 0

    def __init__(self, text):
        self.text = text

    def _operate(self, other):
        assert not isinstance(other, (int, float)) or other != 0, "needless operation with 0"
        Traced.count += 1
        return Traced("?")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __pow__ = _operate
    __lt__ = __le__ = __gt__ = __ge__ = _operate

    def __neg__(self):
        return self._operate(None)

    def __bool__(self):
        raise TypeError("no truth")

    def exp(self):
        return self._operate(None)

    sign = exp

    def where(self, x, y):
        Traced.count += 1
        return Traced("?")


def test_traced_numbers_are_not_multiplied_by_zero_or_asked_for_their_truth():
    a, b = Traced("a"), Traced("b")
    x = Series.from_polynomials([[np.array([a, b])], [np.array([0, 0]), np.array([b, b])]])
    Traced.count = 0
    square = x * x
    assert Traced.count == 2 * 4  # for each entry: a * a, and a * b + b * a
    assert [type(c) for c in square.coefficients[:, 0].ravel()] == [Traced, Traced, int, int]
    assert isinstance(np.exp(x).coefficients[1, 1, 0], Traced)
    assert np.exp(x).coefficients[1, 0].tolist() == [0, 0]
    for result in (np.maximum(x, 1.0), np.where(x > 1, x, 2 * x), abs(x), x * x / 3 + x):
        assert isinstance(result.coefficients[1, 1, 0], Traced)
        assert result.coefficients[0, 1].tolist() == [0, 0]
    assert isinstance((x * x).sum().coefficients[1, 1], Traced)


# --- decisions and their limits -----------------------------------------------------------------------


@pytest.mark.parametrize("exponent", range(10))
def test_whole_powers_are_repeated_products(exponent):
    t, wanted = curve([1.5, -2.0]), 1.0 + 0.0 * curve([1.5, -2.0])
    for _ in range(exponent):
        wanted = wanted * t
    np.testing.assert_allclose((t**exponent).coefficients, wanted.coefficients, rtol=1e-12)


def test_floats_combine_with_what_is_no_number():
    t, b = curve([1.0, 2.0]), sp.Symbol("b")
    assert (t * np.array([b, 3 * b])).leading.tolist() == [1.0 * b, 6.0 * b]
    assert (t * np.array([sp.Rational(1, 2), Fraction(1, 4)])).leading.tolist() == [0.5, 0.5]
    assert all(isinstance(x, Traced) for x in (t + np.array([Traced("a"), Traced("b")])).leading)


def test_comparisons_are_those_of_the_leading_coefficients():
    t, v = curve([1.0, 2.0, -3.0], 1), curve([1.5, 1.0, -2.0], 2)
    for compare in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal):
        for left, right in ((t, v), (t, 0.5), (0.5, t), (t, np.array([0.0, 5.0, 1.0]))):
            plain = [x.leading if isinstance(x, Series) else x for x in (left, right)]
            found = compare(left, right)
            assert found.dtype == bool and np.array_equal(found, compare(*plain))
    assert bool(t[0]) and not bool(Series.from_polynomials([[0.0], [0.0]]))
    assert np.array_equal(t == t.copy(), [True] * 3) and np.isfinite(t).all()


AT_A_KINK = {
    "abs": abs,
    "sign": np.sign,
    "maximum": lambda t: np.maximum(t, 0),
    "where": lambda t: np.where(t > 0, t, 0),
    "equal": lambda t: t == 0,
    "bool": lambda t: bool(t[0]),
    "heaviside": lambda t: np.heaviside(t, 0.5),
    "clip": lambda t: t.clip(0, 1),
    "max": lambda t: np.concatenate([t, 2 * t]).max(),
    "1-norm": lambda t: np.linalg.norm(t, 1),
}


@pytest.mark.parametrize("name", AT_A_KINK)
def test_no_expansion_at_a_kink(name):
    t = Series.from_polynomials([[np.array([0.0])], [np.array([0.0]), np.array([1.0])]])
    with pytest.raises(ValueError, match="kink"):
        AT_A_KINK[name](t)
    still = Series.from_polynomials([[np.array([0.0])], [np.array([0.0])]])
    with np.errstate(all="raise"):
        AT_A_KINK[name](still)  # what does not move has no kink, and nothing to warn of
    AT_A_KINK[name](Series.from_polynomials([[np.array([0.0])]]))  # nor a value alone


def test_the_sign_of_zero_is_copied_as_plus():
    t = curve([1.5, -2.0])
    for zero in (0.0, np.zeros(2), 0 * t):
        assert same(np.copysign(t, zero), abs(t))


def test_the_largest_entry_is_no_tie_with_itself():
    t = curve([1.0, 3.0, 2.0])
    seen = ties.seen
    np.max(t), np.min(t)
    assert ties.seen == seen
    np.max(curve([1.0, 1.0, 2.0]) * 0 + 1)
    assert ties.seen > seen


def test_shapes_as_numpy_has_them():
    t = curve([1.0, 2.0, 3.0])
    box = np.reshape(np.outer(t, np.arange(8.0)), (3, 4, 2))
    value = box.leading
    for index in (((0, 1), slice(None), 0), (range(2), slice(None), 0)):
        assert box[index].shape == value[index].shape and same(box[index], box[np.array(index[0]), :, 0])
    assert same(box.transpose(1, 0, 2), np.transpose(box, (1, 0, 2))) and same(box.transpose(), box.T)
    assert np.zeros_like(t, float).shape == (3,) and np.size(box, 1) == np.size(box, axis=1) == 4
    with pytest.raises(np.exceptions.AxisError):
        np.stack([t, t], axis=-3)
    for ask in (lambda: np.clip(t, 0, 1, where=False), lambda: np.sum(t, where=True), lambda: np.prod(box, 0, float)):
        with pytest.raises(TypeError):
            ask()


def test_numbers_that_are_not_floats():
    whole = Series(np.array([[1, 0], [0, 1]]))
    assert whole.dtype == float and (whole + 0.5).coefficients.tolist() == [[1.5, 0], [0, 1]]
    with pytest.raises(ValueError, match="without bound"):
        whole + float("inf")


@pytest.mark.parametrize("base", [-2.0, 0.0, 1.5])
def test_whole_powers_of_any_base(base):
    x = Series.from_polynomials([[base], [0.5, 1.0], [0.25, 0.0, 1.0]])
    wanted = [x**0, x, x * x, x * x * x]
    found = x ** np.arange(4)
    for n in range(4):
        np.testing.assert_allclose(found[n].coefficients, wanted[n].coefficients, atol=1e-14)
    np.testing.assert_allclose((x ** (0 * x + 2.0)).coefficients, (x * x).coefficients, atol=1e-14)
    several = np.stack([x, abs(base) + 1 + x * x]) ** np.array([2, 0.5])
    for found, wanted in zip(several, (x * x, np.sqrt(abs(base) + 1 + x * x))):
        np.testing.assert_allclose(found.coefficients, wanted.coefficients, atol=1e-14)


def test_ties_below_the_maximum_do_not_matter():
    t = curve([1.0, 1.0, 2.0])
    assert same(t.max(), t[2])


def test_a_quotient_without_expansion_says_so():
    line = Series.from_polynomials([[0.0], [0.0, 1.0]])
    for code, what in ((lambda: 1 / line, "divided by"), (lambda: np.sqrt(line), "raised to the power 0.5")):
        with pytest.raises(ValueError, match=f"what is {what} is 0 there"):
            code()


@pytest.mark.parametrize("power", [-1, -2, 0.5, Fraction(1, 2), -0.5])
def test_a_zero_leading_coefficient_has_no_such_power(power):
    zero = Series.from_polynomials([[np.array([1.0, 0.0])], [np.zeros(2), np.ones(2)]])
    exact = Series.from_polynomials([[np.array(sp.Integer(0), dtype=object)], [0, sp.Integer(1)]])
    for series in (zero, exact):
        whole = "is 0 there: it has no term of order 0 in h; add a constant, .*memory.h is of order 1 at every point: add up"
        root = f"is 0 there{', in its entry .1.' * (series is zero)}: a power has no expansion at 0"
        with pytest.raises(ValueError, match=whole if power % 1 == 0 else root):
            series**power


def test_a_value_alone_has_roots_at_zero():
    assert np.sqrt(Series.from_polynomials([[0.0]])).leading == 0
    with pytest.raises(ValueError, match="raised to the power -0.5 is 0 there"):
        Series.from_polynomials([[0.0]]) ** -0.5


def test_not_a_number_stays_so():
    t = Series.from_polynomials([[np.array([np.nan, 1.0])], [np.zeros(2), np.ones(2)]])
    assert np.isnan(np.maximum(t, 0).leading).tolist() == [True, False]


def test_select_takes_conditions_that_are_objects():
    x = sp.Symbol("x", real=True)
    t = Series.from_polynomials([[np.array([x])], [np.array([0]), np.array([sp.Integer(1)])]])
    chosen = np.where(t > 0, t, 0)
    assert chosen.leading[0].subs(x, 2) == 2 and chosen.leading[0].subs(x, -2) == 0
    assert same(select(np.array([True]), t, 0), t)


# --- what does not run, and its message ----------------------------------------------------------------

REFUSED = {
    "np.array of components": (lambda t: np.array([t[0], t[1]]), r"np.stack\(\[...\]\)"),
    "np.array of a series": (np.array, "series.leading"),
    "np.asarray": (lambda t: np.asarray(t, dtype=float), "does not become an array"),
    "an array's own dot": (lambda t: SQUARE.dot(t), "A @ theta"),
    "an array's in-place sum": (lambda t: np.ones(3).__iadd__(t), "write a = a \\+ b"),
    "logsumexp": (special.logsumexp, "np.logaddexp.reduce"),
    "svd": (lambda t: np.linalg.svd(np.outer(t, t)), r"svd does not run .* X @ X.T @ X"),
    "floor": (np.floor, "floor does not run on a Series; it jumps"),
    "floor division": (lambda t: t // 2, "floor_divide does not run"),
    "median": (np.median, "median does not run on a Series"),
    "piecewise": (lambda t: np.piecewise(t, [t > 1], [1, 2]), "np.where"),
    "interp": (lambda t: np.interp(t, [0, 1], [2, 3]), "interp does not run"),
    "cumprod": (lambda t: np.multiply.accumulate(t), "multiply.accumulate does not run"),
    "three series in einsum": (lambda t: np.einsum("i,i,i", t, t, t), "at most two"),
    "spectral norm": (lambda t: np.linalg.norm(np.outer(t, t), 2), "norm 2 does not run"),
    "a series as condition": (lambda t: np.where(t, t, 0), "compare it"),
    "float": (lambda t: float(t[0]), "does not become an array"),
    "words": (lambda t: t + "word", "numbers and arrays of them"),
    "length of a number": (lambda t: len(t[0]), "unsized"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_run_says_what_to_write(name):
    code, message = REFUSED[name]
    with pytest.raises(TypeError, match=message):
        code(curve([1.3, 0.7, 0.9]))


def test_an_array_refuses_a_series_as_entry():
    with pytest.raises((TypeError, ValueError)) as problem:
        np.zeros(3)[0] = curve(1.0)
    assert "zeros_like" in str(problem.value.__cause__ or problem.value)


def test_truth_of_several_numbers_is_ambiguous():
    with pytest.raises(ValueError, match="ambiguous"):
        bool(curve([1.0, 2.0]))


def test_unknown_attributes():
    with pytest.raises(AttributeError, match="tolist"):
        curve(1.0).tolist()


def test_series_of_different_length_do_not_combine():
    short, long = curve(1.0, terms=3), curve(1.0, terms=4)
    for combine in (
        lambda: short + long,
        lambda: short * long,
        lambda: long - short,
        lambda: short / long,
        lambda: np.stack([short, long]),
        lambda: short < long,
    ):
        with pytest.raises(ValueError, match=r"(3 and of 4|4 and of 3) terms"):
            combine()


def test_shapes_that_do_not_fit():
    t = curve([1.0, 2.0, 3.0])
    for wrong in (
        lambda: np.ones((2, 2)) @ t,
        lambda: t + np.ones(2),
        lambda: t.sum(axis=1),
        lambda: t.sum(axis=-2),
        lambda: np.stack([t, t[0]]),
        lambda: t.reshape(2, 2),
    ):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(IndexError):
        t[3]


def test_coefficients_are_a_square():
    for shape in ((3,), (2, 3), (3, 2), (0, 0)):
        with pytest.raises(ValueError, match="allowed is"):
            Series(np.zeros(shape))
    with pytest.raises(TypeError, match="array of numbers"):
        Series([[1.0]])
    for wrong in ([[1.0, 2.0]], [], [[1.0], [1.0, 2.0, 3.0]]):
        with pytest.raises(ValueError, match="lists of 1, 2, 3"):
            Series.from_polynomials(wrong)
    for wrong in ("word", [1.0], [[np.array("word")]]):
        with pytest.raises(TypeError):
            Series.from_polynomials(wrong)


# --- difference equations, Taylor's formula -------------------------------------------------------------


@draws(15)
@given(st.lists(st.fractions(-5, 5, max_denominator=6), min_size=1, max_size=7))
def test_antidifference_is_the_sum(numbers):
    """P(N) = q(0) + ... + q(N-1) exactly, at more points than the degree."""
    q = np.array([sp.Rational(c.numerator, c.denominator) for c in numbers], dtype=object)
    p = antidifference(q)
    assert len(p) == len(q) + 1 and p[0] == 0
    total = sp.Integer(0)
    for n in range(len(q) + 2):
        assert sum(c * sp.Integer(n) ** j for j, c in enumerate(p)) == total
        total += sum(c * sp.Integer(n) ** j for j, c in enumerate(q))


def test_antidifference_of_arrays_of_floats():
    q = np.random.default_rng(0).normal(size=(6, 3, 4))
    p = antidifference(q)
    steps = np.arange(9.0)
    values = np.einsum("jab,js->sab", q, steps ** np.arange(6)[:, None])
    sums = np.concatenate([np.zeros((1, 3, 4)), np.cumsum(values, axis=0)[:-1]])
    found = np.einsum("jab,js->sab", p, steps ** np.arange(7)[:, None])
    np.testing.assert_allclose(found, sums, rtol=1e-9, atol=1e-9)
    exact = antidifference(q.astype(object))
    np.testing.assert_allclose(exact.astype(float), p, rtol=1e-13, atol=1e-13)


def test_taylor_equals_sympys_series():
    x, y = sp.symbols("x y")
    f = sp.exp(x) * sp.sin(y) + x**3 * y / (1 + x**2)
    along = np.stack([exact_example(), exact_example("1/3") * 2])
    found = taylor(f, [x, y], along)
    composed = f.subs({x: expression(along[0]), y: expression(along[1])}, simultaneous=True)
    for k in range(3):
        wanted = sp.diff(composed, H, k).subs(H, 0) / sp.factorial(k)
        for s in range(3):
            value = sum(c * sp.Integer(s) ** j for j, c in enumerate(found.coefficients[k]))
            assert abs(sp.N(value - wanted.subs(S, s), 25)) < 1e-20


def test_taylor_of_an_abstract_function():
    x, y, u, v, q, r = sp.symbols("x y u v q r")
    energy = sp.Function("E")(x, y)
    zero = np.array([0, 0])
    line = Series.from_polynomials([[np.array([x, y])], [zero, np.array([u, v])], [zero, zero, np.array([q, r])]])
    second = energy.diff(x, 2) * u**2 + 2 * energy.diff(x, y) * u * v + energy.diff(y, 2) * v**2
    wanted = energy.diff(x) * q + energy.diff(y) * r + second / 2
    assert sp.expand(taylor(energy, [x, y], line).coefficients[2, 2] - wanted) == 0


def test_taylor_wants_an_exact_curve():
    x, y = sp.symbols("x y")
    exact = Series.from_polynomials([[np.array([x])], [np.array([0]), np.array([1])]])
    for wrong, error in (
        ((x, [x], curve([1.0])), ValueError),
        ((x + y, [x, y], exact), ValueError),
        ((x + y, [x, y], np.stack([exact[0]] * 3)), ValueError),
        ((x, [x], x), TypeError),
        ((x, "x", curve([1.0])), TypeError),
        (("x", [x], curve([1.0])), TypeError),
    ):
        with pytest.raises(error):
            taylor(*wrong)
