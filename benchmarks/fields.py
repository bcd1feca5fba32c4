"""Modified fields and their coefficients: against kauri, BSeries, pybs, SymPy's terms by lambdify, Numba and heyoka; and growth."""

import math
import tracemalloc
from functools import partial
from statistics import median

import numpy as np
import sympy as sp
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

import bea
from measure import facts, processes, processor_seconds, race, rounds_of, target

START, H = (0.9, 1.5), 0.1  # at this h all eight terms matter
BETA, RHO, EPSILON = 0.9, 0.95, 1e-2

# Each prints the sum of f_k h^k, of all terms, at one point, and the seconds from the loss to the numbers or to the formulas.
FIELD = """
import importlib, time
import numpy as np, sympy as sp, bea
name, order, h, point, wanted = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), (float(sys.argv[4]), float(sys.argv[5])), sys.argv[6]
loss = bea.bilinear()
y, f = list(loss.symbols), [-g for g in loss.gradient_expressions]
peer = importlib.import_module("BSeries.bs" if name == "BSeries" else name)
step = getattr(peer, "h", sp.Symbol("h"))
numbers = dict(zip([step, *y], map(sp.Float, (h, *point))))
sp.lambdify((), 0, "numpy")  # the first call imports what NumPy had put off
began = time.process_time()
if name == "bea":
    equation = bea.modified_equation(bea.gradient_descent(), loss, order)
    terms = equation.terms if wanted == "formulas" else equation.coefficients(point)
    total = lambda: sum(h**k * np.array(term).ravel() for k, term in enumerate(terms))
elif name == "kauri":
    series = peer.BSeries(sp.Matrix(y), sp.Matrix(f), peer.euler.modified_equation_map(), order)
    total = lambda: [(entry - start) / step for entry, start in zip(series.series(), y)]
else:
    series = peer.modified_equation(np.array(y), np.array(f), np.array([[0]], dtype=object), np.array([1], dtype=object), order)
    total = lambda: series
made = time.process_time()  # formulas, where they are wanted, are complete; their values are only compared
value = [float(v.xreplace(numbers) if hasattr(v, "xreplace") else v) for v in total()]
done = time.process_time()
print(*value, (made if wanted == "formulas" else done) - began)
"""

# Each prints the coefficients of all trees, in one order, and the seconds.
TREES = """
import time
from tree_peers import PEERS
import bea
name, order = sys.argv[1], int(sys.argv[2])
task = PEERS.get(name) or (lambda n: bea.tree_coefficients(bea.gradient_descent(), n))
task(1)  # its imports
began = time.process_time()
found = task(order)
seconds = time.process_time() - began
print(*(float(found[tree]) for n in range(1, order + 1) for tree in bea.rooted_trees(n)), seconds)
"""


def descent(order, wanted, turns, rounds):
    title = f"Gradient descent's modified field on the bilinear loss, {wanted}, order {order}"
    note = f"From the loss to the {wanted}, each time in a fresh process; imports are not counted."
    if wanted == "formulas":
        note += "  The library also simplifies its formulas.  The clock stops before numbers are substituted, with which the formulas are compared."
    return processes(title, FIELD, (order, H, *START, wanted), turns, rounds, 1 if wanted == "formulas" else 50, note=note)  # fmt: skip


def trees(order, turns, rounds):
    title = f"Coefficients of explicit Euler's modified equation, all trees through order {order}"
    note = "The coefficients are exact fractions, except kauri's, which are floats.  No loss is involved.  Each measurement uses a fresh process."
    return processes(title, TREES, (order,), turns, rounds, 50, note=note)


# --- Adam's field, warm ----------------------------------------------------------------------------


def adam(order):
    return bea.modified_equation(bea.adam(BETA, RHO, EPSILON), bea.bilinear(), order)


class Products(StrPrinter):
    """Prints integer powers as products, which are faster than Python's and NumPy's powers."""

    def _print_Pow(self, power, rational=False):
        if not power.exp.is_Integer:
            return super()._print_Pow(power, rational)
        product = "*".join([self.parenthesize(power.base, PRECEDENCE["Pow"])] * abs(power.exp))
        return f"({product})" if power.exp > 0 else f"1/({product})"


def formulas(equation, h, xp, products=True):
    """The entries of the sum of the terms h^k f_k as one function, by SymPy's lambdify; powers as products, of square roots, too."""
    total, printer = sum((h**k * term for k, term in enumerate(equation.terms)), sp.zeros(2, 1)), None
    if products:
        total = total.replace(lambda e: e.is_Pow and (2 * e.exp).is_odd, lambda e: sp.Function("sqrt")(e.base) ** (2 * e.exp))  # fmt: skip
        printer = lambda entry: Products().doprint(entry)  # noqa: E731 (lambdify wants a function)
    return sp.lambdify(equation.loss.symbols, tuple(total), {"sqrt": xp.sqrt, "exp": xp.exp}, cse=True, printer=printer)


def by_lambdify(order, points):
    one = points.ndim == 1
    field = formulas(adam(order), H, math if one else np)
    return (lambda: np.array(field(*points.tolist()))) if one else lambda: np.stack(field(*points.T), axis=-1)


def by_heyoka(order, points):
    import heyoka

    variables = heyoka.make_vars("x", "y")
    field = heyoka.cfunc(list(formulas(adam(order), H, heyoka, products=False)(*variables)), vars=variables)
    columns, out = np.ascontiguousarray(points.T), np.empty(points.shape[::-1])
    return lambda: field(columns, outputs=out).T


def by_numba(entries, points):
    """A loop over the points, without ``fastmath``, which would give other bits."""
    import numba

    compiled = numba.njit(error_model="numpy")
    entries = compiled(entries)

    @compiled
    def field(points, out):
        for i in range(len(points)):
            out[i, 0], out[i, 1] = entries(points[i, 0], points[i, 1])

    def task():
        field(many, out)
        return out.reshape(points.shape)

    many, out = np.atleast_2d(points), np.empty_like(np.atleast_2d(points))
    task.about = f"compiled in {processor_seconds(task):.2g} s"
    return task


def two_terms(x, y):
    """The two terms as they stand in a paper, with gradient and Hessian of the bilinear loss written by hand."""
    a, b, half = BETA / (1 - BETA), RHO / (1 - RHO), EPSILON / 2
    r = 1.5 - 2 * x * y
    g0, g1 = -2 * r * y, -2 * r * x
    hxx, hxy, hyy = 4 * y * y, 8 * x * y - 3, 4 * x * x
    q0, q1 = g0 * g0, g1 * g1
    s0, s1 = 1 / np.sqrt(q0 + EPSILON), 1 / np.sqrt(q1 + EPSILON)
    u0, u1 = g0 * s0, g1 * s1
    # each average lags behind: H u times its mean age; and half of what one step changes
    c0, c1 = s0 * (a - (b * q0 - half) * s0 * s0), s1 * (a - (b * q1 - half) * s1 * s1)
    return -u0 - H * c0 * (hxx * u0 + hxy * u1), -u1 - H * c1 * (hxy * u0 + hyy * u1)


def warm(order, count, rounds):
    points = np.random.default_rng(0).uniform(0.5, 1.5, (count, 2)) if count > 1 else np.array(START)
    makers = {"bea": lambda: partial(adam(order).field(H), points), "lambdify": partial(by_lambdify, order, points),
              "lambdify, compiled by Numba": lambda: by_numba(formulas(adam(order), H, math), points),
              "heyoka, compiled": partial(by_heyoka, order, points)}  # fmt: skip
    makers |= {"Numba by hand": partial(by_numba, two_terms, points)} if order == 2 else {}
    where = "one point" if count == 1 else f"{count:,} points"
    return race(f"Adam's field with {order} terms on the bilinear loss, at {where}", "bea", makers, rounds, tolerance=1e-9,
                targets=[(name, "at least", 1 if name == "lambdify" else 0.2) for name in list(makers)[1:]],
                note="lambdify and heyoka take their formulas from the library.")  # fmt: skip


# --- growth ----------------------------------------------------------------------------------------


def of_dimension(d, order):
    separate = bea.NumericLoss(d, lambda t: (t**4 / 4 + t * t / 2).sum(axis=0), lambda t: t * t * t + t)
    equation = bea.modified_equation(bea.adam(BETA, RHO, EPSILON), separate, order)
    return partial(equation.coefficients, np.linspace(0.5, 1.5, d))


def transient(steps):
    """The flow of Adam's transient equation, all steps on one loss."""
    equation = bea.transient_equation(bea.adam(BETA, RHO, EPSILON), bea.bilinear(), 2)
    return partial(bea.flow, equation, START, 1e-4, steps)


def grown(title, variable, task, values, fit_from, note, rounds):
    """The time against a number, with the exponent of the number fitted where it is at least ``fit_from``."""
    measured = rounds_of({value: task(value) for value in values}, rounds)
    points = [[value, median(measured[value])] for value in values]
    slope, _ = np.polyfit(*np.log([point for point in points if point[0] >= fit_from]).T, 1)
    return {"kind": "growth", "title": title, "variable": variable, "points": points, "fit_from": fit_from, "exponent": float(slope),
            "note": note + "  Each point is timed after three calls."}  # fmt: skip


def memory(_):
    """Measured once, since it does not change."""
    vectors, d = {}, 100_000
    for order in (2, 3, 4, 6):
        task = of_dimension(d, order)
        task()
        tracemalloc.start()
        task()
        vectors[order] = tracemalloc.get_traced_memory()[1] / (8 * d)
        tracemalloc.stop()
    return facts(f"Peak memory while computing Adam's coefficients in {d:,} dimensions",
                 [(f"{order} terms", found, "vectors") for order, found in vectors.items()],
                 targets=[target(f"{order} terms: vectors", found, "at most", (order + 1) ** 2 / 2) for order, found in vectors.items()],
                 note=f"In units of one vector of {d:,} float64 numbers, including the returned arrays; in the second call.")  # fmt: skip


def symbolic(_):
    """Timed once, since SymPy remembers what it has computed."""
    x, (beta, rho, epsilon) = sp.symbols("x:4", real=True), sp.symbols("beta rho epsilon", positive=True)
    loss = bea.Loss(sum((x[i] * x[i - 1]) ** 2 + x[i] ** 2 for i in range(4)) / 2, x)
    optimizers = {"heavy ball": bea.heavy_ball(beta), "Adam": bea.adam(beta, rho, epsilon)}
    seconds = {name: processor_seconds(partial(getattr, bea.modified_equation(o, loss, 4), "terms")) for name, o in optimizers.items()}  # fmt: skip
    return facts("Four symbolic terms in four variables, with symbols for the hyper-parameters",
                 [(name, found, "s") for name, found in seconds.items()], note="Each is timed once, in its first call.",
                 targets=[target(f"{name}: seconds", found, "at most", 10) for name, found in seconds.items()])  # fmt: skip


ROWS = {
    "descent-8": partial(descent, 8, "numbers at one point", {"bea": 2, "BSeries": 2, "kauri": 1}),
    "descent-6": partial(descent, 6, "numbers at one point", {"bea": 3, "BSeries": 3, "kauri": 3}),
    "formulas": partial(descent, 6, "formulas", {"bea": 3, "BSeries": 3, "kauri": 3}),
    "trees-8": partial(trees, 8, {"bea": 2, "BSeries": 2, "kauri": 1, "pybs": 2}),
    "trees-7": partial(trees, 7, {"bea": 3, "BSeries": 3, "kauri": 2, "pybs": 3}),
    **{f"adam-{order}-{count}": partial(warm, order, count) for order in (2, 3) for count in (1, 20_000)},
    "dimensions": partial(grown, "Four terms in many dimensions, at one point", "dimensions", partial(of_dimension, order=4),
                          (2, 10, 100, 1000, 10_000, 100_000, 1_000_000), 10_000, "The loss is a NumericLoss, whose gradient is NumPy code and is not traced."),
    "transient": partial(grown, "The flow of Adam's transient equation, full batch", "steps", transient, (25, 50, 100, 200, 400, 800), 25,
                         "The step size of 0.0001 keeps the path away from the minimum, where steps take more evaluations.  The field is traced in the first call."),
    "memory": memory, "symbolic": symbolic,
}  # fmt: skip
