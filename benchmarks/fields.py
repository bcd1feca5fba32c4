"""Modified fields and their coefficients: against kauri, BSeries, pybs and naive differentiation, and how the cost grows."""

from functools import partial

import numpy as np
import sympy as sp
from sympy.core.cache import clear_cache

import bea
import naive
from measure import Missing, agree, compared, fresh, growth, rounds_of

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


def processes(title, code, arguments, turns, targets, note=""):
    """A comparison in which every measurement is a fresh process, so that nobody finds a cache filled.

    ``turns``: {name: in how many rounds it takes part}.  Returns the result and, by name, why a rival is missing.
    """
    missing, agreement, seconds = {}, [], {}
    for turn in range(max(turns.values())):
        for name in turns:
            if name in missing or turn >= turns[name]:
                continue
            try:
                found, took = fresh(code, name, *arguments)
            except Missing as problem:
                missing[name] = str(problem)
                continue
            if name == "bea":
                ours = found
            else:
                agreement += [agree(name, ours, found, 1e-9)][: turn == 0]
            seconds.setdefault(name, []).append(took)
    targets = [wanted for wanted in targets if wanted[0] in seconds]
    return compared(title, "bea", seconds, agreement=", ".join(agreement), note=note, targets=targets), missing


def gradient_descent():
    field_note = "From the loss to two numbers, each time in a fresh process; imports are not counted."
    fifty = [(name, "at least", 50) for name in ("BSeries", "kauri", "pybs")]
    return [
        processes("Gradient descent's modified field at a point of the bilinear loss, order 8", FIELD, (8, H, *START),
                  {"bea": 3, "BSeries": 3}, fifty, field_note + "  kauri, slower still, is compared at order 6; pybs gives coefficients only."),
        processes("Gradient descent's modified field, order 6", FIELD, (6, H, *START), {"bea": 5, "BSeries": 5, "kauri": 5}, fifty),
        processes("Coefficients of explicit Euler's modified equation, the 200 trees through order 8", TREES, (8,),
                  {"bea": 3, "BSeries": 3, "pybs": 3}, fifty, "Exact fractions, no loss; each time in a fresh process."),
        processes("Coefficients of explicit Euler's modified equation, the 85 trees through order 7", TREES, (7,), {"bea": 3, "BSeries": 3, "kauri": 3, "pybs": 3}, fifty),
    ]  # fmt: skip


def adam(rounds):
    loss, optimizer = bea.bilinear(), bea.adam(BETA, RHO, EPSILON)
    averages = [(lambda g: g, BETA), (lambda g: g * g, RHO)]

    def differentiate(order):
        clear_cache()
        terms = naive.modified_terms(
            list(loss.gradient_expressions),
            loss.symbols,
            averages,
            lambda m, v: m / sp.sqrt(v + EPSILON),
            order,
        )
        return [[float(c.subs(dict(zip(loss.symbols, START)))) for c in term] for term in terms]

    def ours(order):
        return bea.modified_equation(optimizer, loss, order).coefficients(START)

    agreement = [agree(f"{order} terms", ours(order), differentiate(order), 1e-10) for order in (2, 3)]
    agreement += [agree("the first of 12", ours(12)[:3], ours(3), 1e-10)]
    tasks = {f"bea, {order} terms": partial(ours, order) for order in (3, 2, 6, 8, 12)}
    tasks |= {f"differentiation, {order} terms": partial(differentiate, order) for order in (2, 3)}
    yield compared("Adam's modified field at a point of the bilinear loss", "bea, 3 terms", rounds_of(tasks, rounds),
                   agreement=", ".join(agreement), targets=[("differentiation, 3 terms", "at least", 50)],
                   note="Differentiation is naive and symbolic, `tests/naive.py`; how its time grows from two terms to three is why four are not tried.")  # fmt: skip

    points = np.random.default_rng(0).uniform(0.5, 1.5, (100_000, 2))
    four = bea.modified_equation(optimizer, loss, 4)
    agree("many points", four.coefficients(points[17]), four.coefficients(points[:100])[:, 17], 1e-10)

    def of_dimension(d):
        separate = bea.NumericLoss(d, lambda t: (t**4 / 4 + t * t / 2).sum(axis=0), lambda t: t * t * t + t)
        return partial(bea.modified_equation(optimizer, separate, 4).coefficients, np.linspace(0.5, 1.5, d))

    for title, variable, tasks, fit_from in (
        ("Adam's field at one point, 2 to 12 terms", "terms", {order: partial(ours, order) for order in (2, 3, 4, 5, 6, 8, 10, 12)}, 4),
        ("Four terms in many dimensions, at one point", "dimensions", {d: of_dimension(d) for d in (2, 10, 100, 1000, 10_000)}, 1000),
        ("Four terms in two dimensions, at many points", "points",
         {n: partial(four.coefficients, points[:n]) for n in (1, 10, 100, 1000, 10_000, 100_000)}, 1000),
    ):  # fmt: skip
        seconds = {x: float(np.median(values)) for x, values in rounds_of(tasks, rounds).items()}
        yield growth(title, variable, seconds, fit_from=fit_from)


def measure(rounds):
    results, missing = [], {}
    for result, left_out in gradient_descent():
        results.append(result)
        missing |= left_out
    return [*results, *adam(rounds)], missing
