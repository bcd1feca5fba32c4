"""Flows of Adam's modified equation: against SymPy's terms by lambdify and the same solver, diffrax and heyoka.

The rivals need the equation's terms as expressions, and take them from the library: they are given what they could not have derived.
"""

from functools import cache, partial
from statistics import median

import numpy as np
import sympy as sp

import bea
from fields import formulas
from measure import fresh, processes, race

START, H, STEPS, TOLERANCE = (1.0, 0.7), 1e-2, 100, 1e-12
TIMES = np.arange(STEPS + 1) * H


@cache
def equation(order):
    x, y = sp.symbols("x y", real=True)
    loss = bea.Loss(x**2 * y**2 / 2 + sp.exp(x * y / 4) + (x - 1) ** 2 / 2 + y**2, (x, y))
    return bea.modified_equation(bea.adam(0.8, 0.95, 0.02), loss, order)


def ours(order, method=None):
    return partial(bea.flow, equation(order), START, H, STEPS, tolerance=TOLERANCE, method=method)


def by_lambdify(order):
    from scipy.integrate import solve_ivp

    field = formulas(equation(order), H, "math")
    span, options = (0, TIMES[-1]), {"rtol": TOLERANCE, "atol": TOLERANCE}
    return lambda: solve_ivp(lambda t, y: field(*y), span, START, "DOP853", t_eval=TIMES, **options).y.T


def by_diffrax(order):
    import diffrax
    import jax

    field = formulas(equation(order), H, "jax")
    term = diffrax.ODETerm(lambda t, y, _: jax.numpy.stack(field(*y)))
    steps = diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE)
    options = {"saveat": diffrax.SaveAt(ts=TIMES), "stepsize_controller": steps}
    start = jax.numpy.array(START)
    solve = jax.jit(lambda y: diffrax.diffeqsolve(term, diffrax.Dopri8(), 0.0, TIMES[-1], H, y, **options).ys)
    return lambda: solve(start).block_until_ready()


def by_heyoka(order):
    import heyoka

    variables = heyoka.make_vars("x", "y")
    field = formulas(equation(order), H, [{"sqrt": heyoka.sqrt, "exp": heyoka.exp}])
    solver = heyoka.taylor_adaptive(list(zip(variables, field(*variables))), list(START), tol=TOLERANCE)

    def solve():
        solver.time, solver.state[:] = 0.0, START
        return solver.propagate_grid(TIMES)[5]

    return solve


SERIES = "bea, Taylor series"
MAKERS = {"bea": ours, SERIES: partial(ours, method="taylor"), "lambdify, DOP853": by_lambdify,
          "diffrax, compiled": by_diffrax, "heyoka, compiled": by_heyoka}  # fmt: skip

COLD = """
import os, tempfile, time
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()  # where heyoka keeps compiled code
name, order = sys.argv[3] if sys.argv[1] == "bea" else sys.argv[1], int(sys.argv[2])
import flows, scipy.integrate
if name.startswith("diffrax"):
    import diffrax
elif name not in ("bea", "lambdify, DOP853"):
    import heyoka
began = time.process_time()
path = flows.MAKERS[name](order)()
print(*path[-1], time.process_time() - began)
"""
DERIVED = "import time, flows; e = flows.equation(int(sys.argv[1])); began = time.process_time(); e.terms; print(time.process_time() - began)"
TARGETS = [("lambdify, DOP853", "at least", 5), ("heyoka, compiled", "at least", 0.1), ("diffrax, compiled", "at least", 1)]  # fmt: skip
RIVALS, BY = list(MAKERS)[2:], {"bea": "", SERIES: ", by heyoka's Taylor series"}


def warm(us, order, rounds):
    title = f"The flow of Adam's equation with {order} term{'s' * (order > 1)}, {STEPS} steps of {H}"
    note = f"All use the tolerance {TOLERANCE:.0e}.  Neither deriving the formulas nor compiling is counted."
    return race(title + BY[us], us, {name: partial(MAKERS[name], order) for name in (us, *RIVALS)},
                rounds, tolerance=1e-8, targets=TARGETS, note=note)  # fmt: skip


def cold(us, order, rounds):
    deriving = median(fresh(DERIVED, order)[1] for _ in range(3))
    note = "From the loss and the optimizer to the path, in a fresh process; imports are not counted.  "
    note += f"Of the rivals' times, deriving the formulas, which the library does, took {deriving:.2g} s."
    return processes(f"The flow from cold, with {order} terms{BY[us]}", COLD, (order, us), dict.fromkeys(["bea", *RIVALS], 3),
                     [(name, "at least", 1) for name in RIVALS], tolerance=1e-8, note=note)  # fmt: skip


ROWS = {f"warm-{order}": partial(warm, "bea", order) for order in (1, 2, 3)}
ROWS |= {f"taylor-{order}": partial(warm, SERIES, order) for order in (1, 2, 3)}
ROWS |= {"cold-2": partial(cold, "bea", 2), "cold-taylor-2": partial(cold, SERIES, 2)}
