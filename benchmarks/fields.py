"""Modified fields and their coefficients: against kauri, BSeries, pybs, SymPy's terms by lambdify, Numba by hand; and how the cost grows."""

from functools import partial

import numpy as np
import sympy as sp

import bea
from measure import growth, processes, race, rounds_of

START, H = (0.9, 1.5), 0.1  # at this h all eight terms matter
BETA, RHO, EPSILON = 0.9, 0.95, 1e-2

# Each prints the sum of f_k h^k, of all terms, at one point, and the seconds it took from the loss on.
FIELD = """
import time
import numpy as np, sympy as sp, bea
name, order, h, point = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), (float(sys.argv[4]), float(sys.argv[5]))
loss = bea.bilinear()
y, f = list(loss.symbols), [-g for g in loss.gradient_expressions]
if name == "kauri":
    import kauri
elif name == "BSeries":
    from BSeries import bs
sp.lambdify((), 0, "numpy")  # the first call imports what NumPy had put off
began = time.process_time()
if name == "bea":
    terms = bea.modified_equation(bea.gradient_descent(), loss, order).coefficients(point)
    value = sum(h**k * term for k, term in enumerate(terms))
elif name == "kauri":
    series = kauri.BSeries(sp.Matrix(y), sp.Matrix(f), kauri.euler.modified_equation_map(), order)
    value = (np.array(series(list(point), h), dtype=float).ravel() - point) / h
else:
    euler = np.array([[0]], dtype=object), np.array([1], dtype=object)
    series = bs.modified_equation(np.array(y), np.array(f), *euler, order)
    value = [float(s.subs({**dict(zip(y, point)), bs.h: h})) for s in series]
print(*value, time.process_time() - began)
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

FIFTY = [(name, "at least", 50) for name in ("BSeries", "kauri", "pybs")]
NOTE = "From the loss to two numbers, each time in a fresh process; imports are not counted.  The rivals compute the series for every point and every h, we at one.  BSeries.jl (Julia), which its authors report to be far faster than the Python packages, was not run."


def descent(order, turns, rounds):
    title = f"Gradient descent's modified field at a point of the bilinear loss, order {order}"
    return processes(title, FIELD, (order, H, *START), turns, FIFTY, note=NOTE)


def trees(order, turns, rounds):
    title = f"Coefficients of explicit Euler's modified equation, all trees through order {order}"
    return processes(
        title, TREES, (order,), turns, FIFTY, note="Exact fractions, no loss; each time in a fresh process."
    )


# --- Adam's field, warm ----------------------------------------------------------------------------


def adam(order):
    return bea.modified_equation(bea.adam(BETA, RHO, EPSILON), bea.bilinear(), order)


def by_lambdify(order, points):
    equation = adam(order)
    total = sum((H**k * term for k, term in enumerate(equation.terms)), sp.zeros(2, 1))
    field = sp.lambdify(equation.loss.symbols, list(total), "math" if points.ndim == 1 else "numpy", cse=True)
    return lambda: np.stack(field(*points.T), axis=-1)


def by_numba(points):
    """The two terms as they stand in a paper, with gradient and Hessian of the bilinear loss written by hand."""
    import numba

    a, b = BETA / (1 - BETA), RHO / (1 - RHO)

    @numba.njit
    def field(points, out):
        for i in range(len(points)):
            x, y = points[i]
            r = 1.5 - 2 * x * y
            g = -2 * r * y, -2 * r * x
            hxx, hxy, hyy = 4 * y * y, 8 * x * y - 3, 4 * x * x
            w = np.sqrt(g[0] ** 2 + EPSILON), np.sqrt(g[1] ** 2 + EPSILON)
            u = g[0] / w[0], g[1] / w[1]
            hu = hxx * u[0] + hxy * u[1], hxy * u[0] + hyy * u[1]
            for j in range(2):
                # the averages see gradients from later, on the way back: H u times the mean age of each average
                memory = (a / w[j] - b * g[j] ** 2 / w[j] ** 3) * hu[j]
                slope = EPSILON / w[j] ** 3 * hu[j]
                out[i, j] = -u[j] - H * (memory + slope / 2)

    many = np.atleast_2d(points)
    out = np.empty_like(many)

    def task():
        field(many, out)
        return out.reshape(points.shape)

    return task


def warm(order, count, rounds):
    points = np.random.default_rng(0).uniform(0.5, 1.5, (count, 2)) if count > 1 else np.array(START)
    makers = {"bea": lambda: partial(adam(order).field(H), points), "lambdify": partial(by_lambdify, order, points)}
    targets = [("lambdify", "at least", 1)]
    if order == 2:
        makers["Numba by hand"] = partial(by_numba, points)
        targets.append(("Numba by hand", "at least", 0.2))
    where = "one point" if count == 1 else f"{count:,} points"
    return race(f"Adam's field with {order} terms on the bilinear loss, at {where}", "bea", makers, rounds, agreement="",
                tolerance=1e-9, targets=targets)  # fmt: skip


# --- growth ----------------------------------------------------------------------------------------


def of_dimension(d):
    separate = bea.NumericLoss(d, lambda t: (t**4 / 4 + t * t / 2).sum(axis=0), lambda t: t * t * t + t)
    equation = bea.modified_equation(bea.adam(BETA, RHO, EPSILON), separate, 4)
    return partial(equation.coefficients, np.linspace(0.5, 1.5, d))


def grown(title, variable, tasks, fit_from, rounds):
    seconds = {
        x: float(np.median(values)) for x, values in rounds_of(tasks(), rounds).items() if not isinstance(x, str)
    }
    return growth(title, variable, seconds, fit_from=fit_from)


POINTS = np.random.default_rng(0).uniform(0.5, 1.5, (100_000, 2))
ROWS = {
    "descent-8": partial(descent, 8, {"bea": 3, "BSeries": 3}),
    "descent-6": partial(descent, 6, {"bea": 5, "BSeries": 5, "kauri": 5}),
    "trees-8": partial(trees, 8, {"bea": 3, "BSeries": 3, "pybs": 3}),
    "trees-7": partial(trees, 7, {"bea": 3, "BSeries": 3, "kauri": 3, "pybs": 3}),
    **{f"adam-{order}-{count}": partial(warm, order, count) for order in (2, 3) for count in (1, 20_000)},
    "terms": partial(grown, "Adam's coefficients at one point, 2 to 12 terms", "terms",
                     lambda: {n: partial(adam(n).coefficients, START) for n in (2, 3, 4, 5, 6, 8, 10, 12)}, 4),
    "dimensions": partial(grown, "Four terms in many dimensions, at one point", "dimensions",
                          lambda: {d: of_dimension(d) for d in (2, 10, 100, 1000, 10_000, 100_000, 1_000_000)}, 10_000),
    "points": partial(grown, "Four terms in two dimensions, at many points", "points",
                      lambda: {n: partial(adam(4).coefficients, POINTS[:n]) for n in (1, 10, 100, 1000, 10_000, 100_000)}, 1000),
}  # fmt: skip
