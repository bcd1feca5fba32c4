r"""The appendix that proves the error bound: the moments of the age, and one step of the algorithm and of the flow.

The algorithm's side is run (chapter 7's :func:`by_running`), the flow's side solved from the engine's equation;
what both are compared with are the theorem's sums, written out here with their weights.
"""

import random
from functools import cache

import numpy as np
import sympy as sp

from bea.averages import Average, identity
from bea.modified import transient_equation
from bea.optimizers import adam
from bea_book.equations.ch07 import (
    DIGITS,
    T,
    averages_seen,
    decays,
    experiment,
    run_to,
    step,
    theorem_atoms,
    weight,
)
from bea_book.equations.instances import polynomial_loss, random_point, ratio
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

LAST = 3  # the step in whose running averages the theorem's atoms are
ORDER = (0, 2, 1)  # the mini-batches of the steps before and at the flow's piece


def moments_of_the_age(rng):
    """Moments under weights from impulses through the running average; their limits by summing a long series."""
    beta, _ = decays(rng)
    found = {r"\beta": beta}
    for n in range(5):
        weights = [
            weight(Average(identity, beta), impulse)
            for impulse in np.eye(n + 1, dtype=int).tolist()
        ]
        found |= {
            rf"\mu_{r}({n})": sum((n - k) ** r * w for k, w in enumerate(weights)) for r in (1, 2)
        }
    found |= {rf"\mu_{r}({n}-1)": found[rf"\mu_{r}({n - 1})"] for r in (1, 2) for n in range(1, 5)}
    decay = beta.evalf(DIGITS)
    return found | {
        rf"\mu_{r}": (1 - decay) * sum(i**r * decay**i for i in range(1, 1500)) for r in (1, 2)
    }


def one_step(rng):
    """Chapter 7's atoms at n = 3, with what its run adds: the step from here and from the true past, and its slopes."""
    return one_step_atoms(rng.randrange(4))


@cache
def one_step_atoms(seed):
    found = dict(theorem_atoms(True, seed))
    optimizer, gradients, hessians = experiment_of(seed)
    displacements, _ = run_to(optimizer, gradients, hessians, LAST)
    directions = {"past": [x - displacements[-1] for x in displacements]}
    directions |= {i: [sp.Matrix([int(i == j) for j in (1, 2)])] * (LAST + 1) for i in (1, 2)}
    moved = {
        name: step(optimizer, averages_seen(optimizer, gradients, hessians, points))
        for name, points in directions.items()
    }
    for j in (1, 2):
        found |= {rf"\Delta U_{j}": moved["past"][1][j - 1], f"U_{j}": moved["past"][0][j - 1]}
        found |= {rf"\partial_{i} U_{j}": moved[i][1][j - 1] for i in (1, 2)}
    return found


def experiment_of(seed):
    """The losses and hyper-parameters that :func:`theorem_atoms` draws from this seed."""
    optimizer, gradients, hessians = experiment(random.Random(seed), inside=True)
    return optimizer, gradients[: LAST + 1], hessians[: LAST + 1]


def local(rng):
    """One step after ORDER: run on polynomials in h, the engine's piece solved to h^3, and U and its correction as sums."""
    return local_atoms(rng.randrange(2))


@cache
def local_atoms(seed):
    rng = random.Random(seed)
    beta, rho = decays(rng)
    epsilon = ratio(rng, 1, 9, 10)
    optimizer, n = adam(beta, rho, epsilon), len(ORDER) - 1
    losses = [polynomial_loss(rng, degree=3) for _ in range(3)]
    at = random_point(rng, losses[0])
    here = sp.Matrix(list(at.values()))

    gradients, hessians = (
        [sp.Matrix(e).subs(at).evalf(DIGITS) for e in parts]
        for parts in zip(
            *((losses[i].gradient_expressions, losses[i].hessian_expressions) for i in ORDER)
        )
    )
    # the algorithm: the points that lead here, to h^2, by iteration from the last to the first; then one step on
    path = [here] * (n + 1)
    for _ in range(3):
        steps = [
            seen_step(optimizer, [losses[i] for i in ORDER], path[: l + 1]) for l in range(n + 1)
        ]
        path = [here + h * sum(steps[k:n], sp.zeros(2, 1)) for k in range(n + 1)]
    # the flow: Taylor's formula to h^3 for a solution of the engine's equation; f', f'' by derivatives on straight lines
    f_0, f_1 = transient_equation(optimizer, losses, batches=ORDER).terms(n)

    def along(f, v, order=1):
        line = f.subs(
            {x: a + T * b for x, a, b in zip(losses[0].symbols, here, v)}, simultaneous=True
        )
        return sp.diff(line, T, order).subs(T, 0).evalf(DIGITS)

    f, g = (term.subs(at).evalf(DIGITS) for term in (f_0, f_1))
    bent = along(f_0, f)
    flow = (
        here
        + h * f
        + h**2 * (g + bent / 2)
        + h**3 * ((along(f_0, g) + along(f_1, f)) / 2 + (along(f_0, f, 2) + along(f_0, bent)) / 6)
    )
    # the sums
    w, u = (
        [(1 - a) * a ** (n - k) / (1 - a ** (n + 1)) for k in range(n + 1)] for a in (beta, rho)
    )
    U = [quotient(beta, rho, epsilon, gradients, l) for l in range(n + 1)]
    change = []
    for j in (0, 1):
        back = [(hessians[k] * sum(U[k:n], sp.zeros(2, 1)))[j] for k in range(n + 1)]
        mean = sum(w[k] * gradients[k][j] for k in range(n + 1))
        root = sp.sqrt(sum(u[k] * gradients[k][j] ** 2 for k in range(n + 1)) + epsilon)
        change.append(
            sum((w[k] - mean * u[k] * gradients[k][j] / root**2) * back[k] for k in range(n + 1))
            / root
        )
    found = {"h": h, r"\theta^{(n+1)}": here - h * steps[n], r"\varphi_n(\theta)": flow}
    for point in (r"\theta", r"\theta^{(n)}"):
        found |= {
            point: here,
            rf"U^{{(n)}}({point})": U[n],
            rf"\Delta U^{{(n)}}({point})": sp.Matrix(change),
        }
    return found


def seen_step(optimizer, losses, points):
    """The step after the gradients of these losses were seen at these points, polynomials in h; to h^2."""
    memory = [[0, 0] for _ in optimizer.averages]
    for loss, point in zip(losses, points):
        here = dict(zip(loss.symbols, point))
        g = [to_square(e.subs(here, simultaneous=True)) for e in loss.gradient_expressions]
        memory = [
            [average.advance(memory[a][j], average.of(g[j])) for j in (0, 1)]
            for a, average in enumerate(optimizer.averages)
        ]
    n = len(points) - 1
    seen = [
        [to_square(m / average.correction(n)) for m in memory[a]]
        for a, average in enumerate(optimizer.averages)
    ]
    return sp.Matrix([taylor_to_square(optimizer.update(*of_j)) for of_j in zip(*seen)])


def to_square(polynomial):
    """A polynomial in h, cut off behind h^2."""
    expanded = sp.expand(polynomial)
    return sum(expanded.coeff(h, p).evalf(DIGITS) * h**p for p in range(3))


def taylor_to_square(expression):
    """Taylor's polynomial at h = 0, of degree 2."""
    derivatives = [sp.diff(expression, h, p).subs(h, 0).evalf(DIGITS) for p in range(3)]
    return derivatives[0] + h * derivatives[1] + h**2 * derivatives[2] / 2


def quotient(beta, rho, epsilon, gradients, n):
    """Adam's step n if all gradients were seen at one point: weighted sums over sums of weights."""

    def mean(decay, values):
        ages = [decay ** (n - k) for k in range(n + 1)]
        return sum(a * x for a, x in zip(ages, values)) / sum(ages)

    return sp.Matrix(
        [
            mean(beta, [g[j] for g in gradients])
            / sp.sqrt(mean(rho, [g[j] ** 2 for g in gradients]) + epsilon)
            for j in (0, 1)
        ]
    )


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
