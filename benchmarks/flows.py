"""Flows of Adam's modified equation: against SymPy's terms by lambdify with SciPy's solvers, diffrax and heyoka.

The rivals need the equation's terms as expressions, and take them from the library: they are given what they could not have derived.
"""

import math
from functools import cache, partial

import numpy as np
import sympy as sp
from scipy.integrate import odeint, solve_ivp

import bea
from fields import formulas
from measure import fastest, from_cold, race

START, H, STEPS, TOLERANCE = (1.0, 0.7), 1e-2, 100, 1e-12
TIMES = np.arange(STEPS + 1) * H
ACCURACY = {"rtol": TOLERANCE, "atol": TOLERANCE}


@cache
def equation(order):
    x, y = sp.symbols("x y", real=True)
    loss = bea.Loss(x**2 * y**2 / 2 + sp.exp(x * y / 4) + (x - 1) ** 2 / 2 + y**2, (x, y))
    return bea.modified_equation(bea.adam(0.8, 0.95, 0.02), loss, order)


def by_bea(order, method=None):
    return partial(bea.flow, equation(order), START, H, STEPS, tolerance=TOLERANCE, method=method)


def lambdified(order):
    field = formulas(equation(order), H, math)
    return lambda t, y: field(*y.tolist())


def compiled(order):
    import numba

    field = numba.njit(formulas(equation(order), H, math), error_model="numpy")
    return numba.njit(lambda t, y: np.array(field(y[0], y[1])))


def by_solve_ivp(order):
    field = lambdified(order)
    return lambda: solve_ivp(field, (0, TIMES[-1]), START, "DOP853", t_eval=TIMES, **ACCURACY).y.T


def by_odeint(field, order):
    return partial(odeint, field(order), START, TIMES, tfirst=True, **ACCURACY)


def by_diffrax(order, choose=fastest):
    import diffrax
    import jax

    field = formulas(equation(order), H, jax.numpy)
    options = {"saveat": diffrax.SaveAt(ts=TIMES), "stepsize_controller": diffrax.PIDController(**ACCURACY)}

    def form(packed, path):
        term, start = diffrax.ODETerm(lambda t, y, _: packed(field(*y))), packed(jax.numpy.array(START))
        solve = jax.jit(lambda y: diffrax.diffeqsolve(term, diffrax.Dopri8(), 0.0, TIMES[-1], H, y, **options).ys)
        return lambda: path(solve(start))

    forms = {"array as state": (jax.numpy.stack, np.asarray), "tuple as state": (tuple, partial(np.stack, axis=-1))}
    return choose((name, form(*given)) for name, given in forms.items())


def by_heyoka(order):
    import heyoka

    variables = heyoka.make_vars("x", "y")
    field = formulas(equation(order), H, heyoka, products=False)  # its own powers are faster
    solver = heyoka.taylor_adaptive(list(zip(variables, field(*variables))), list(START), tol=TOLERANCE)

    def solve():
        solver.time, solver.state[:] = 0.0, START
        return solver.propagate_grid(TIMES)[5]

    return solve


SERIES = "bea, heyoka's Taylor series"
MAKERS = {"bea": by_bea, SERIES: partial(by_bea, method="taylor"), "lambdify, DOP853": by_solve_ivp,
          "lambdify, odeint": partial(by_odeint, lambdified), "lambdify by Numba, odeint": partial(by_odeint, compiled),
          "diffrax, compiled": by_diffrax, "heyoka, compiled": by_heyoka}  # fmt: skip

COLD_START = lambda order: (order,)  # noqa: E731
RIVALS, BY = list(MAKERS)[2:], {"bea": "", SERIES: ", by heyoka's Taylor series"}
BOUNDS = {"lambdify, DOP853": 5, "heyoka, compiled": 0.1}


def warm(us, order, rounds):
    title = f"The flow of Adam's equation with {order} term{'s' * (order > 1)}, {STEPS} steps of {H}"
    note = f"All use the tolerance {TOLERANCE:.0e}.  Neither deriving the formulas nor compiling is counted.  DOP853 is written in Python; odeint is SciPy's compiled LSODA, the library's default, which asks it for a tenth of the tolerance."
    return race(title + BY[us], us, {name: partial(MAKERS[name], order) for name in (us, *RIVALS)},
                rounds, tolerance=1e-8, targets=[(name, "at least", BOUNDS.get(name, 1)) for name in RIVALS], note=note)  # fmt: skip


def cold(us, order, rounds):
    note = "From the loss and the optimizer to the path, in a fresh process; imports are not counted.  heyoka's cache on disk is empty.  The library derives the formulas for the rivals."
    names = [us, *RIVALS[:3], *(f"diffrax, compiled ({state} as state)" for state in ("array", "tuple")), RIVALS[-1]]
    return from_cold(f"The flow from cold, with {order} terms{BY[us]}", "flows", order, dict.fromkeys(names, rounds), rounds, tolerance=1e-8, note=note)  # fmt: skip


ROWS = {f"warm-{order}": partial(warm, "bea", order) for order in (1, 2, 3)}
ROWS |= {f"taylor-{order}": partial(warm, SERIES, order) for order in (1, 2, 3)}
ROWS |= {"cold-2": partial(cold, "bea", 2), "cold-taylor-2": partial(cold, SERIES, 2)}
