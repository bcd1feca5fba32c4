r"""The equations of the appendix that proves the error bound: the moments of the age, and one step of
the algorithm and of the flow.

The algorithm's side is run, the flow's side solved from the engine's equation; both are compared
with the theorem's sums, written out here with their weights.
"""

import random
from collections.abc import Sequence

import numpy as np
import sympy as sp
from mpmath import mp

from bea import Loss, Optimizer, adam, transient_equation
from bea.program import Running
from bea_book.equations.shared import (
    DIGITS,
    Polynomial,
    Steps,
    Values,
    decays,
    experiment,
    gradient_at,
    hessian_at,
    last_step,
    on_polynomials,
    polynomial_loss,
    random_point,
    ratio,
    run_to,
    theorem_values,
    weights,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

LAST = 3  # the step to whose running averages the theorem's symbols belong
BATCHES = (0, 2, 1)  # the mini-batches of the steps before and at the flow's piece


def moments_of_the_age(rng: random.Random) -> Values:
    """Moments under weights from impulses; their limits by summing a long series."""
    beta, _ = decays(rng)
    found = {r"\beta": beta}
    for n in range(5):
        held = weights(beta, n)
        for r in (1, 2):
            moment = sum((n - k) ** r * w for k, w in enumerate(held))
            found |= {rf"\mu_{r}({n})": moment, rf"\mu_{r}({n + 1}-1)": moment}
    with mp.workdps(60):
        decay = mp.mpf(beta.p) / beta.q
        for r in (1, 2):
            limit = (1 - decay) * sum(i**r * decay**i for i in range(1, 1500))
            found[rf"\mu_{r}"] = sp.Float(limit, 60)
    return found


def one_step(rng: random.Random) -> Values:
    """The theorem's symbols at n = 3, with the update from here and from the true past, and its
    slopes."""
    method, gradients, hessians = experiment(rng)
    found = theorem_values(method, gradients, hessians)
    displacements, _ = run_to(method, gradients, hessians, LAST)

    def updates(points: Steps) -> list[Polynomial]:
        return last_step(method, gradients, hessians, points)[0]

    past = updates([x - displacements[-1] for x in displacements])
    moved = {i: updates([sp.eye(2).col(i - 1)] * (LAST + 1)) for i in (1, 2)}
    for j in (1, 2):
        found[f"U_{j}"], found[rf"\Delta U_{j}"] = past[j - 1].coefficients
        found |= {rf"\partial_{i} U_{j}": moved[i][j - 1].coefficients[1] for i in (1, 2)}
    return found


def local(rng: random.Random) -> Values:
    """One step after BATCHES: run on polynomials in h; the engine's piece, solved to h^3; and U and its
    correction as sums."""
    (beta, rho), epsilon = decays(rng), ratio(rng, 1, 9, 10)
    method, n = adam(beta, rho, epsilon), len(BATCHES) - 1
    losses = [polynomial_loss(rng, degree=3) for _ in range(3)]
    at = random_point(rng, losses[0])
    here = sp.Matrix(list(at.values()))
    seen = [losses[i] for i in BATCHES]
    gradients = [gradient_at(loss, at).evalf(DIGITS) for loss in seen]
    hessians = [hessian_at(loss, at).evalf(DIGITS) for loss in seen]
    U = [quotient(beta, rho, epsilon, gradients, l) for l in range(n + 1)]
    change = correction(beta, rho, epsilon, gradients, hessians, U)
    found = {
        "h": h,
        r"\theta^{(n+1)}": step_after_the_past(method, seen, here),
        r"\varphi_n(\theta)": flow(method, losses, here, n),
    }
    for point in (r"\theta", r"\theta^{(n)}"):
        found |= {
            point: here,
            rf"U^{{(n)}}({point})": U[n],
            rf"\Delta U^{{(n)}}({point})": change,
        }
    return found


def step_after_the_past(method: Optimizer, losses: Sequence[Loss], here: sp.Matrix) -> sp.Matrix:
    """The point after a step from here, to h^3: the points that lead here by iteration from the last
    to the first, then one step on."""
    n, size = len(losses) - 1, Polynomial([0, 1, 0, 0])
    start = np.array([Polynomial([x.evalf(DIGITS), 0, 0, 0]) for x in here], dtype=object)
    path = [start] * (n + 1)
    for _ in range(3):
        updates = updates_along(method, losses, path)
        path = [start + sum(updates[k:n], 0 * start) * size for k in range(n + 1)]
    moved = start - updates_along(method, losses, path)[n] * size
    return sp.Matrix([x.expression() for x in moved])


def updates_along(method: Optimizer, losses: Sequence[Loss], points: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The updates after the gradients of these losses were seen at these points."""
    memory, found = Running(h), []
    for loss, point in zip(losses, points):
        slopes = [on_polynomials(g, loss.symbols, point) for g in loss.gradient_expressions]
        seen = np.array(slopes, dtype=object)
        found.append(method(point, lambda theta, seen=seen: seen, memory))
        memory = memory.advance()
    return found


def flow(method: Optimizer, losses: Sequence[Loss], here: sp.Matrix, n: int) -> sp.Matrix:
    """Taylor's formula to h^3 for a solution of the engine's equation; f' and f'' by differences on
    straight lines that are exact to 60 digits."""
    terms = transient_equation(method, losses, batches=BATCHES).terms(n)
    small = sp.Float("1e-30", DIGITS)

    def at(field: sp.Matrix, place: sp.Matrix) -> sp.Matrix:
        return field.xreplace(dict(zip(losses[0].symbols, place.evalf(DIGITS)))).evalf(DIGITS)

    def along(field: sp.Matrix, direction: sp.Matrix) -> sp.Matrix:
        ahead, behind = (at(field, here + e * direction) for e in (small, -small))
        return (ahead - behind) / (2 * small)

    f, g = (at(term, here) for term in terms)
    bent = along(terms[0], f)
    ahead, behind = (at(terms[0], here + e * f) for e in (small, -small))
    curved = (ahead - 2 * f + behind) / small**2
    third = (along(terms[0], g) + along(terms[1], f)) / 2 + (curved + along(terms[0], bent)) / 6
    return here + h * f + h**2 * (g + bent / 2) + h**3 * third


def quotient(beta: sp.Expr, rho: sp.Expr, epsilon: sp.Expr, gradients: Sequence[sp.Matrix], n: int) -> sp.Matrix:
    """Adam's update n if all gradients are seen at one point: weighted sums over sums of weights."""

    def mean(decay: sp.Expr, values: Sequence[sp.Expr]) -> sp.Expr:
        ages = [decay ** (n - k) for k in range(n + 1)]
        return sum(a * x for a, x in zip(ages, values)) / sum(ages)

    columns = [[g[j] for g in gradients] for j in (0, 1)]
    return sp.Matrix([mean(beta, g) / sp.sqrt(mean(rho, [x**2 for x in g]) + epsilon) for g in columns])


def correction(
    beta: sp.Expr,
    rho: sp.Expr,
    epsilon: sp.Expr,
    gradients: Sequence[sp.Matrix],
    hessians: Sequence[sp.Matrix],
    U: Sequence[sp.Matrix],
) -> sp.Matrix:
    """What the past changes in Adam's last update, to first order in h, as sums with their weights."""
    n = len(gradients) - 1
    w, u = ([(1 - a) * a ** (n - k) / (1 - a ** (n + 1)) for k in range(n + 1)] for a in (beta, rho))
    found = []
    for j in (0, 1):
        g = [gradient[j] for gradient in gradients]
        back = [(hessians[k] * sum(U[k:n], sp.zeros(2, 1)))[j] for k in range(n + 1)]
        mean = sum(a * x for a, x in zip(w, g))
        root = sp.sqrt(sum(a * x**2 for a, x in zip(u, g)) + epsilon)
        slopes = [w[k] - mean * u[k] * g[k] / root**2 for k in range(n + 1)]
        found.append(sum(a * b for a, b in zip(slopes, back)) / root)
    return sp.Matrix(found)


RUN = "Adam run for n + 1 steps on polynomials in h"

ENTRIES = (
    Entry(
        "eq-proof-moments",
        moments_of_the_age,
        "1500 terms of each series",
    ),
    Entry(
        "eq-proof-ages",
        moments_of_the_age,
        "weights from impulses through the running average, summed",
        {"r": (1, 2), "n": (1, 2, 4)},
    ),
    Entry(
        "eq-proof-delta",
        one_step,
        RUN,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-proof-field",
        one_step,
        "the theorem's right side, found by running Adam and Taylor's formula for the flow",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-proof-local",
        local,
        "Adam's step after the past that leads here, as series in h; the engine's piece, solved by Taylor's formula; U and its correction are finite sums",
    ),
)
