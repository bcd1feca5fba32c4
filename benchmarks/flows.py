"""Flows of Adam's modified equation: against SymPy's terms by lambdify with SciPy's solvers, diffrax and heyoka.

The rivals need the equation's terms as expressions, and take them from the library: they are given what they could not have derived.
"""

import math
from functools import cache, partial

import numpy as np
import sympy as sp

import bea
from fields import formulas
from measure import fastest, processes, race

START, H, STEPS, TOLERANCE = (1.0, 0.7), 1e-2, 100, 1e-12
TIMES = np.arange(STEPS + 1) * H
ACCURACY = {"rtol": TOLERANCE, "atol": TOLERANCE}


@cache
def equation(order):
    x, y = sp.symbols("x y", real=True)
    loss = bea.Loss(x**2 * y**2 / 2 + sp.exp(x * y / 4) + (x - 1) ** 2 / 2 + y**2, (x, y))
    return bea.modified_equation(bea.adam(0.8, 0.95, 0.02), loss, order)


def ours(order, method=None):
    return partial(bea.flow, equation(order), START, H, STEPS, tolerance=TOLERANCE, method=method)


def lambdified(order):
    field = formulas(equation(order), H, math)
    return lambda t, y: field(*y.tolist())


def compiled(order):
    import numba

    field = numba.njit(formulas(equation(order), H, math), error_model="numpy")
    return numba.njit(lambda t, y: np.array(field(y[0], y[1])))


def by_solve_ivp(order):
    from scipy.integrate import solve_ivp

    field = lambdified(order)
    return lambda: solve_ivp(field, (0, TIMES[-1]), START, "DOP853", t_eval=TIMES, **ACCURACY).y.T


def by_odeint(field, order):
    from scipy.integrate import odeint

    return partial(odeint, field(order), START, TIMES, tfirst=True, **ACCURACY)


def by_diffrax(order):
    import diffrax
    import jax

    field = formulas(equation(order), H, jax.numpy)
    options = {"saveat": diffrax.SaveAt(ts=TIMES), "stepsize_controller": diffrax.PIDController(**ACCURACY)}

    def form(packed, path):
        term, start = diffrax.ODETerm(lambda t, y, _: packed(field(*y))), packed(jax.numpy.array(START))
        solve = jax.jit(lambda y: diffrax.diffeqsolve(term, diffrax.Dopri8(), 0.0, TIMES[-1], H, y, **options).ys)
        return lambda: path(solve(start))

    forms = {"array as state": (jax.numpy.stack, np.asarray), "tuple as state": (tuple, partial(np.stack, axis=-1))}
    return fastest((name, form(*given)) for name, given in forms.items())


def by_heyoka(order):
    import heyoka

    variables = heyoka.make_vars("x", "y")
    field = formulas(equation(order), H, heyoka, products=False)  # its own powers are faster
    solver = heyoka.taylor_adaptive(list(zip(variables, field(*variables))), list(START), tol=TOLERANCE)

    def solve():
        solver.time, solver.state[:] = 0.0, START
        return solver.propagate_grid(TIMES)[5]

    return solve


SERIES = "bea, Taylor series"
MAKERS = {"bea": ours, SERIES: partial(ours, method="taylor"), "lambdify, DOP853": by_solve_ivp,
          "lambdify, odeint": partial(by_odeint, lambdified), "lambdify by Numba, odeint": partial(by_odeint, compiled),
          "diffrax, compiled": by_diffrax, "heyoka, compiled": by_heyoka}  # fmt: skip

COLD = """
import importlib, os, tempfile, time
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()  # where heyoka keeps compiled code
name, order = sys.argv[3] if sys.argv[1] == "bea" else sys.argv[1], int(sys.argv[2])
import flows, scipy.integrate
needed = "heyoka" if name == flows.SERIES else name.lower()
for package in ("diffrax", "heyoka", "numba"):
    if package in needed:
        importlib.import_module(package)
flows.fastest = lambda forms: next(iter(forms))[1]  # no trial
began = time.process_time()
path = flows.MAKERS[name](order)()
print(*path[-1], time.process_time() - began)
"""
RIVALS, BY = list(MAKERS)[2:], {"bea": "", SERIES: ", by heyoka's Taylor series"}
BOUNDS = {"lambdify, DOP853": 5, "heyoka, compiled": 0.1}


def warm(us, order, rounds):
    title = f"The flow of Adam's equation with {order} term{'s' * (order > 1)}, {STEPS} steps of {H}"
    note = (f"All use the tolerance {TOLERANCE:.0e}.  Neither deriving the formulas nor compiling is counted.  "
            "DOP853 is the library's default solver, in Python; odeint is SciPy's LSODA, which is compiled.")  # fmt: skip
    return race(title + BY[us], us, {name: partial(MAKERS[name], order) for name in (us, *RIVALS)},
                rounds, tolerance=1e-8, targets=[(name, "at least", BOUNDS.get(name, 1)) for name in RIVALS], note=note)  # fmt: skip


def cold(us, order, rounds):
    note = "From the loss and the optimizer to the path, in a fresh process; imports are not counted.  The library derives the formulas for the rivals."
    return processes(f"The flow from cold, with {order} terms{BY[us]}", COLD, (order, us), dict.fromkeys(["bea", *RIVALS], 3), 1,
                     tolerance=1e-8, note=note)  # fmt: skip


ROWS = {f"warm-{order}": partial(warm, "bea", order) for order in (1, 2, 3)}
ROWS |= {f"taylor-{order}": partial(warm, SERIES, order) for order in (1, 2, 3)}
ROWS |= {"cold-2": partial(cold, "bea", 2), "cold-taylor-2": partial(cold, SERIES, 2)}
