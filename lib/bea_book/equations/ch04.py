r"""The equations of chapter 4, mini-batches.

They are compared with the algorithm itself: gradient descent run on random polynomial batches, for
every order or every sequence, as polynomials in h.  No Hessian and no penalty is written down there.
"""

import random
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import permutations, product
from typing import cast

import sympy as sp

from bea import Loss, bilinear, gradient_descent, mean, transient_equation
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
    ratio,
    variance,
    variance_of,
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


# --- the bilinear model --------------------------------------------------------------------------


def disagreeing(rng: random.Random) -> Values:
    """Batches with one k and different c at a random point: a step on one of them, and the decay of
    a^2 - b^2 along the field of the mean over all orders."""
    k = ratio(rng)
    losses = [bilinear(ratio(rng, 1 + 9 * i, 9 + 9 * i), k) for i in range(M)]
    at = random_point(rng, losses[0])
    a, b = at.values()
    chosen = rng.randrange(M)
    step, residuals = column(run(losses, at, (chosen,))), [residual(loss, k, at) for loss in losses]
    f_1 = field_of(mean_end(losses, at, ORDERS), losses, at)
    field = h * f_1 - gradient_at(full_batch(losses), at)
    return {
        "h": h,
        "a": a,
        "b": b,
        "k": k,
        "m": sp.Integer(M),
        "a'": step[0],
        "b'": step[1],
        "r_i": residuals[chosen],
        "r": average(residuals),
        r"\sigma^2": variance_of(residuals),
        r"\frac{d}{dt}(a^2 - b^2)": 2 * a * field[0] - 2 * b * field[1],
    }


def residual(loss: Loss, k: sp.Expr, at: Point) -> sp.Expr:
    """The root of twice a loss, with the sign of its slope in b."""
    a, b = loss.symbols
    return -sp.diff(loss.expression, b).subs(at) / (k * at[a])


def on_the_valley(rng: random.Random) -> Values:
    """Two batches and all sequences of one epoch, from a point with ab = mean of c over k."""
    k, a, c = ratio(rng), ratio(rng), [ratio(rng), ratio(rng, 10, 19)]
    losses, b = [bilinear(value, k) for value in c], average(c) / k / a
    at = dict(zip(losses[0].symbols, (a, b)))
    cloud = [run(losses, at, sequence, 5) for sequence in product(range(2), repeat=2)]
    mean_a, mean_b = centre_of(cloud)
    square_a, square_b = (average(end[i] ** 2 for end in cloud) for i in range(2))
    return {
        "h": h,
        "a": a,
        "b": b,
        "k": k,
        "m": sp.Integer(2),
        r"\sigma^2": variance_of(c),
        r"\langle a^2 - b^2\rangle_{\mathrm{repl}}": (square_a - square_b).expression(),
        r"(\operatorname{var}b - \operatorname{var}a)_{\mathrm{repl}}": (
            square_b - mean_b**2 - square_a + mean_a**2
        ).expression(),
    }


def cloud_of_points(rng: random.Random) -> Values:
    """Five random points: means, and variances from their differences."""
    a, b = ([ratio(rng) for _ in range(5)] for _ in range(2))
    return {
        r"\langle a\rangle": average(a),
        r"\langle b\rangle": average(b),
        r"\langle a^2 - b^2\rangle": average(x**2 - y**2 for x, y in zip(a, b)),
        r"\operatorname{var}a": variance_of(a),
        r"\operatorname{var}b": variance_of(b),
    }


# --- many epochs, and the size of the batches ----------------------------------------------------


def cloud_in_motion(rng: random.Random) -> Values:
    """A cloud of four points with a covariance of order h, moved by a step on every batch.

    The points are polynomials in the root of h; the arms of the cloud come in pairs, so that only
    powers of h are left.
    """
    losses, at = batches(rng, count=2, degree=5)
    full, symbols, here = full_batch(losses), losses[0].symbols, sp.Matrix(list(at.values()))
    arms = [sp.Matrix([ratio(rng), ratio(rng)]), sp.Matrix([ratio(rng), -ratio(rng)])]
    moved = [step_from_near(loss, at, sign * arm) for loss in losses for arm in arms for sign in (1, -1)]
    centre = centre_of(moved)
    spread = [[average(end[i] * end[j] for end in moved) - centre[i] * centre[j] for j in range(2)] for i in range(2)]
    Q = h * average(arm * arm.T for arm in arms)
    values = calculus(losses, at)
    # a flow of -grad E bends by (h/2) H grad E in the time h; what is left is the rate
    x_dot = (even(centre) - here) / h - h / 2 * values["H"] * values[r"\nabla E"]
    third = [
        sum(
            sp.diff(full.expression, s, u, v).subs(at) * Q[i, j]
            for i, u in enumerate(symbols)
            for j, v in enumerate(symbols)
        )
        for s in symbols
    ]
    slopes = [gradient_at(loss, at) for loss in losses]
    squared = sum(g**2 for g in full.gradient_expressions)
    return {
        **values,
        "Q": Q,
        r"\nabla^3E[Q]": sp.Matrix(third),
        "S": average((u - v) * (u - v).T for u in slopes for v in slopes) / 2,
        r"\dot x": x_dot.applyfunc(sp.expand),
        r"\dot Q": ((sp.Matrix.hstack(*map(even, spread)) - Q) / h).applyfunc(sp.expand),
        r"\nabla\lVert\nabla E\rVert^2": sp.Matrix([sp.diff(squared, s) for s in symbols]).subs(at),
    }


def step_from_near(loss: Loss, at: Point, arm: sp.Matrix) -> list[Polynomial]:
    """The algorithm's step from a point moved by e times an arm, polynomials in e, the root of h."""
    place = [Polynomial([Fraction(x.p, x.q), Fraction(e.p, e.q), *[0] * 5]) for x, e in zip(at.values(), arm)]
    slopes = [on_polynomials(g, loss.symbols, place) for g in loss.gradient_expressions]
    size = Polynomial([0, 0, 1, 0, 0, 0, 0])
    return [x - size * u for x, u in zip(place, gradient_along(slopes))]


def even(values: Iterable[Polynomial]) -> sp.Matrix:
    """Polynomials in the root of h that are polynomials in h."""
    return sp.Matrix([sum(c * h**k for k, c in enumerate(v.coefficients[::2])) for v in values])


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
        "eq-mb-imbalance-step",
        disagreeing,
        "The left side runs the algorithm for one step on one batch.",
    ),
    Entry(
        "eq-mb-imbalance-rate",
        disagreeing,
        "The left side is the derivative along the field whose flow ends at the mean over every order.",
    ),
    Entry(
        "eq-mb-mean-imbalance",
        cloud_of_points,
        "Five random points; their variances from the differences of all pairs.",
    ),
    Entry(
        "eq-mb-cancel",
        on_the_valley,
        "The left sides run the algorithm through every sequence from a point of the valley.",
    ),
    Entry("eq-mb-spread", epoch, f"{EVERY} every sequence."),
    Entry(
        "eq-mb-mean-spread",
        cloud_in_motion,
        "The left sides move a cloud of four points by a step on every batch.",
    ),
    Entry(
        "eq-mb-batch-size",
        examples_in_batches,
        "The left side lists every way of cutting four examples into two batches.",
    ),
)
