r"""The equations of chapter 4, one epoch of mini-batches.

They are compared with the algorithm itself: gradient descent run on random polynomial batches, for
every order or every sequence, as polynomials in h.  No Hessian and no penalty is written down there.
"""

import random
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import permutations, product
from typing import cast

import sympy as sp

from bea import Loss, gradient_descent, mean, transient_equation
from bea_book.equations.shared import (
    Point,
    Polynomial,
    Values,
    at_origin,
    average,
    critical_at_origin,
    gradient_along,
    gradient_at,
    hessian_at,
    on_polynomials,
    polynomial_loss,
    random_point,
    variance,
    works,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

M = 3  # batches
ORDERS = tuple(permutations(range(M)))
SEQUENCES = tuple(product(range(M), repeat=M))

Losses = Sequence[Loss]


def run(losses: Losses, at: Point, sequence: Iterable[int], powers: int = 4) -> list[Polynomial]:
    """The point after one step on each batch of a sequence, up to O(h^powers)."""
    size = Polynomial([0, 1, *[0] * (powers - 2)])
    theta = [Polynomial([Fraction(x.p, x.q), *[0] * (powers - 1)]) for x in at.values()]
    for k in sequence:
        slopes = [on_polynomials(g, list(at), theta) for g in losses[k].gradient_expressions]
        theta = [x - size * u for x, u in zip(theta, gradient_along(slopes))]
    return theta


def centre_of(cloud: Iterable[Sequence[Polynomial]]) -> list[Polynomial]:
    return [average(values) for values in zip(*cloud)]


def column(point: Sequence[Polynomial]) -> sp.Matrix:
    return sp.Matrix([x.expression() for x in point])


def full_batch(losses: Losses) -> Loss:
    """The mean of the losses."""
    return cast(Loss, mean(losses))


def mean_end(losses: Losses, at: Point, sequences: Iterable[Iterable[int]], powers: int = 3) -> list[Polynomial]:
    return centre_of(run(losses, at, s, powers) for s in sequences)


def field_of(end: Sequence[Polynomial], losses: Losses, at: Point) -> sp.Matrix:
    """f_1 such that the flow of -grad E + h f_1 ends there after the time m h."""
    m, second = len(losses), sp.Matrix([x.coefficients[2] for x in end])
    hessian = average(hessian_at(loss, at) for loss in losses)
    gradient = average(gradient_at(loss, at) for loss in losses)
    return second / m - sp.Rational(m, 2) * hessian * gradient


def calculus(losses: Losses, at: Point) -> Values:
    """Values at a point: gradients, Hessians, and the same of the mean loss."""
    full = full_batch(losses)
    found = {"h": h, "m": sp.Integer(len(losses)), r"\theta": sp.Matrix(list(at.values()))}
    for k, loss in enumerate(losses):
        found |= {f"H_{k}": hessian_at(loss, at), rf"\nabla E_{k}": gradient_at(loss, at)}
    return found | {
        "E": full.expression.subs(at),
        "H": hessian_at(full, at),
        r"\nabla E": gradient_at(full, at),
    }


def batches(rng: random.Random, count: int = M, degree: int = 3) -> tuple[list[Loss], Point]:
    losses = [polynomial_loss(rng, degree=degree) for _ in range(count)]
    return losses, random_point(rng, losses[0])


# --- one epoch -----------------------------------------------------------------------------------


def two_batches(rng: random.Random) -> Values:
    """Two batches, in both orders."""
    losses, at = batches(rng, 2)
    ends = {rf"\theta_{{{i}{j}}}": column(run(losses, at, (i, j))) for i, j in ((0, 1), (1, 0))}
    return {**calculus(losses, at), **ends}


def epoch(rng: random.Random) -> Values:
    """Three batches: one order, and the means over all orders and all sequences."""
    losses, at = batches(rng)
    values = calculus(losses, at)
    for name, sequences in (("once", ORDERS), ("repl", SEQUENCES)):
        cloud = [run(losses, at, s) for s in sequences]
        centre = centre_of(cloud)
        spread = average(sum((x - c) ** 2 for x, c in zip(end, centre)) for end in cloud)
        values[rf"\langle\theta^{{(m)}}\rangle_{{\mathrm{{{name}}}}}"] = column(centre)
        values[
            r"\langle\lVert\theta^{(m)} - \langle\theta^{(m)}\rangle\rVert^2\rangle"
            rf"_{{\mathrm{{{name}}}}}"
        ] = spread.expression()
    in_order = run(losses, at, ORDERS[0])
    slopes = [gradient_at(loss, at) for loss in losses]
    # a product of two different steps, the second on batch i and the first on batch j
    pairs = [hessian_at(losses[i], at) * slopes[j] for i, j, *_ in ORDERS]
    scatter = sp.expand(variance([sp.Matrix(loss.gradient_expressions) for loss in losses]))
    return {
        **values,
        r"\theta^{(m)}": column(in_order),
        "f_1": field_of(in_order, losses, at),
        r"\langle H_i\nabla E_j\rangle_{\mathrm{once}}": average(pairs),
        r"\Gamma": variance(slopes),
        r"\nabla\Gamma": sp.Matrix([sp.diff(scatter, s) for s in losses[0].symbols]).subs(at),
    }


def modified_losses(rng: random.Random) -> Values:
    """The work against the fields of both means, along the ray from a point that is critical for all
    batches."""
    losses = [critical_at_origin(rng) for _ in range(M)]
    at = random_point(rng, losses[0])
    values, full = calculus(losses, at), full_batch(losses)

    def fields(place: Point) -> list[sp.Matrix]:
        ends = (mean_end(losses, place, sequences) for sequences in (ORDERS, SEQUENCES))
        return [-gradient_at(full, place), *(field_of(end, losses, place) for end in ends)]

    plain, once, repl = works(fields, at, degree=3)
    for name, work in (("once", once), ("repl", repl)):
        values[rf"\tilde E_{{\mathrm{{{name}}}}}"] = at_origin(full) + plain + h * work
    return values


def single_step(rng: random.Random) -> Values:
    """The engine's piece of one step in an irregular sequence."""
    losses, at = batches(rng)
    sequence, n = (2, 0, 0, 1), rng.randrange(4)
    f_0, f_1 = transient_equation(gradient_descent(), losses, batches=sequence).terms(n)
    loss = losses[sequence[n]]
    return {
        "h": h,
        r"\dot\theta": (f_0 + h * f_1).subs(at),
        r"\nabla E_k": gradient_at(loss, at),
        "H_k": hessian_at(loss, at),
    }


# --- the size of the batches ---------------------------------------------------------------------


def examples_in_batches(rng: random.Random) -> Values:
    """Four examples cut into two batches in all ways."""
    losses, at = batches(rng, 4)
    slopes = [gradient_at(loss, at) for loss in losses]
    cuts = [(order[:2], order[2:]) for order in permutations(range(4))]
    means = [[(slopes[i] + slopes[j]) / 2 for i, j in cut] for cut in cuts]
    return {
        "m": sp.Integer(2),
        "N": sp.Integer(4),
        r"\langle\Gamma\rangle": average(variance(vectors) for vectors in means),
        r"\Gamma_1": variance(slopes),
    }


EVERY = "The left side runs the algorithm on polynomials in h through"

ENTRIES = (
    Entry("eq-mb-two-orders", two_batches, "The left sides run the algorithm for two steps."),
    Entry(
        "eq-mb-commutator",
        two_batches,
        "The left side runs the algorithm for two steps, in both orders.",
    ),
    Entry(
        "eq-mb-two-mean",
        two_batches,
        "The left side runs the algorithm for two steps, in both orders.",
    ),
    Entry("eq-mb-epoch", epoch, "The left side runs the algorithm for one epoch."),
    Entry("eq-mb-mean-once", epoch, f"{EVERY} every order."),
    Entry("eq-mb-mean-repl", epoch, f"{EVERY} every sequence."),
    Entry(
        "eq-mb-reshuffled",
        modified_losses,
        "The left side integrates, along a ray, the field whose flow ends at the mean over every order.",
    ),
    Entry(
        "eq-mb-replacement",
        modified_losses,
        "The left side integrates, along a ray, the field whose flow ends at the mean over every sequence.",
    ),
    Entry(
        "eq-mb-step",
        single_step,
        "The left side is the engine's piece of one step in an irregular sequence of batches.",
    ),
    Entry("eq-mb-variance", epoch, "The left side is found from the differences of all pairs."),
    Entry(
        "eq-mb-anticorrelated",
        epoch,
        "The left side lists every order; the right differentiates the variance found from pairs.",
    ),
    Entry(
        "eq-mb-order-field",
        epoch,
        "The left side is the field whose flow ends where the algorithm's run through this order does.",
    ),
    Entry(
        "eq-mb-batch-size",
        examples_in_batches,
        "The left side lists every way of cutting four examples into two batches.",
    ),
)
