"""Vector functions of the C library: their errors, and runs that take them."""

import mpmath
import numpy as np
import pytest
import sympy as sp

import bea
from bea.elementary import vector_functions
from test_runs import force

x, y = sp.symbols("x y", real=True)
REFERENCE = {name: getattr(mpmath, name) for name in "exp log log1p expm1 log10 erf erfc sin cos tan".split()}
REFERENCE |= {name: getattr(mpmath, name) for name in "sinh cosh tanh".split()}
REFERENCE |= {f"arc{name}": getattr(mpmath, f"a{name}") for name in "sin cos tan sinh cosh tanh".split()}
REFERENCE |= {"cbrt": lambda t: mpmath.sign(t) * mpmath.cbrt(abs(t))}
REFERENCE |= {"log2": lambda t: mpmath.log(t, 2), "exp2": lambda t: mpmath.mpf(2) ** t}


@pytest.fixture(params=sorted(REFERENCE))
def vector_function(request):
    """The name of a function, and the function for Numba."""
    if request.param not in vector_functions():
        pytest.skip("the C library has no vector functions here, or Numba is not installed")
    return request.param, vector_functions()[request.param]


def test_there_are_no_others():
    assert vector_functions().keys() <= REFERENCE.keys()


def test_vector_functions_err_by_at_most_four_units_in_the_last_place(vector_function):
    import numba

    name, function = vector_function
    scope = {name: function}
    exec(f"def values(x, found):\n for i in range(x.size):\n  found[i] = {name}(x[i])", scope)
    code = numba.njit("void(f8[::1], f8[::1])", error_model="numpy")(scope["values"])
    assert "_ZGV" in str(code.inspect_asm())  # the names of vector functions
    low = {"arccosh": 1.0, "log": 0.1, "log2": 0.1, "log10": 0.1}.get(name, -0.9)
    points, found = np.random.default_rng(0).uniform(low, low + 1.8, 999), np.empty(999)
    code(points, found)
    with mpmath.workdps(30):
        exact = np.array([float(REFERENCE[name](mpmath.mpf(point))) for point in points])
    np.testing.assert_array_max_ulp(found, exact, maxulp=4)
    code(points := np.array([np.nan, np.inf, -np.inf, 0.0, 2e3, -2e3, 1e-320, 0.5]), found := np.empty(8))
    with np.errstate(all="ignore"):
        by_numpy = getattr(np, name, None) or getattr(pytest.importorskip("scipy.special"), name)
        np.testing.assert_allclose(found, by_numpy(points), rtol=1e-15, atol=1e-323)


FUNCTIONS = [sp.exp(x) * sp.sin(3 * x) + sp.log(2 + x), sp.tanh(x) * sp.atan(y) + sp.erf(x) * sp.sinh(y)]
FUNCTIONS += [sp.log(1 + sp.exp(-3 * x - y)) * sp.cos(sp.exp(x))]


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
@pytest.mark.parametrize("way", ["compiled", "in_loops"])
def test_they_change_no_more_than_the_last_bits_of_a_run(monkeypatch, function, way):
    force(monkeypatch, way)
    loss = bea.Loss(function * function + x * y**2 + y**4, (x, y))
    starts = np.linspace((0.9, 1.5), (-0.4, 0.7), 70)
    given = bea.adam(0.9, 0.99, 0.1), loss, starts, 1e-3, 30
    np.testing.assert_allclose(bea.run(*given, vector_functions=True), bea.run(*given), rtol=1e-13)


def test_they_leave_sums_and_products_as_they_are(monkeypatch):
    force(monkeypatch, "compiled")
    given = bea.adam(0.9, 0.99, 0.1), bea.Loss(x**4 + 7 * y**2 * x, (x, y)), [(0.9, 1.5)] * 70, 1e-3, 30
    np.testing.assert_array_equal(bea.run(*given, vector_functions=True), bea.run(*given))
