r"""The equations of chapter 4, one epoch of mini-batches.

They are compared with the algorithm itself: gradient descent run on random polynomial batches, for
every order or every sequence, as polynomials in h.  No Hessian and no penalty is written down there.
"""

import random
from itertools import permutations

import sympy as sp

from bea import gradient_descent, transient_equation
from bea_book.equations.shared import (
    EVERY,
    ORDERS,
    SEQUENCES,
    M,
    Point,
    Values,
    at_origin,
    average,
    batches,
    calculus_of_batches,
    column,
    critical_at_origin,
    epoch,
    field_of,
    full_batch,
    gradient_at,
    hessian_at,
    mean_end,
    random_point,
    run,
    variance,
    works,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

# --- one epoch -----------------------------------------------------------------------------------


def two_batches(rng: random.Random) -> Values:
    """Two batches, in both orders."""
    losses, at = batches(rng, 2)
    ends = {rf"\theta_{{{i}{j}}}": column(run(losses, at, (i, j))) for i, j in ((0, 1), (1, 0))}
    return {**calculus_of_batches(losses, at), **ends}


def modified_losses(rng: random.Random) -> Values:
    """The work against the fields of both means, along the ray from a point that is critical for all
    batches."""
    losses = [critical_at_origin(rng) for _ in range(M)]
    at = random_point(rng, losses[0])
    values, full = calculus_of_batches(losses, at), full_batch(losses)

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
