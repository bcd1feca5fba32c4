r"""The equations of chapter 5, many epochs.

They are compared with the algorithm itself, as those of chapter 4 are: gradient descent run on
polynomials in h, for every order or every sequence, or on a small cloud of points.
"""

import random
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import product

import sympy as sp

from bea import Loss, bilinear
from bea_book.equations.shared import (
    EVERY,
    ORDERS,
    Losses,
    M,
    Point,
    Polynomial,
    Values,
    average,
    batches,
    calculus_of_batches,
    centre_of,
    column,
    epoch,
    field_of,
    full_batch,
    gradient_along,
    gradient_at,
    hessian_at,
    mean_end,
    on_polynomials,
    random_point,
    ratio,
    run,
    variance_of,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

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


# --- many epochs ---------------------------------------------------------------------------------


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
    values = calculus_of_batches(losses, at)
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


def near(at: Point, arm: sp.Matrix) -> list[Polynomial]:
    """A point moved by e times an arm, polynomials in e."""
    return [Polynomial([Fraction(x.p, x.q), Fraction(e.p, e.q), *[0] * 5]) for x, e in zip(at.values(), arm)]


def step_from_near(loss: Loss, at: Point, arm: sp.Matrix) -> list[Polynomial]:
    """The algorithm's step from a point moved by e times an arm, polynomials in e, the root of h."""
    place = near(at, arm)
    slopes = [on_polynomials(g, loss.symbols, place) for g in loss.gradient_expressions]
    size = Polynomial([0, 0, 1, 0, 0, 0, 0])
    return [x - size * u for x, u in zip(place, gradient_along(slopes))]


def even(values: Iterable[Polynomial]) -> sp.Matrix:
    """Polynomials in the root of h that are polynomials in h."""
    return sp.Matrix([sum(c * h**k for k, c in enumerate(v.coefficients[::2])) for v in values])


# --- settled on the valley -----------------------------------------------------------------------


def settled(rng: random.Random) -> Values:
    """The mean square of a residual on the valley: over every order of an epoch that starts there, and,
    with replacement, over two points whose spread a step on every batch leaves as it is."""
    k, a, c = ratio(rng), ratio(rng), [ratio(rng, 1 + 9 * i, 9 + 9 * i) for i in range(M)]
    losses = [bilinear(value, k) for value in c]
    at = dict(zip(losses[0].symbols, (a, average(c) / k / a)))
    once = average(square for order in ORDERS for square in squares_on_the_way(losses, at, order))

    def cloud(width: int) -> tuple[Polynomial, sp.Expr]:
        """For two points e * width off the valley, with h = e^2: the mean square of a residual, and
        how much a step changes the variance of the product ab, up to h^2."""
        arms = [sign * width * sp.Matrix([at[s] for s in reversed(losses[0].symbols)]) for sign in (1, -1)]
        moved = [step_from_near(loss, at, arm) for loss in losses for arm in arms]
        stayed = [near(at, arm) for arm in arms]
        products = [[x * y for x, y in points] for points in (stayed, moved)]
        before, after = (average(x * x for x in found) - average(found) * average(found) for found in products)
        square = average(on_polynomials(2 * loss.expression, list(at), place) for loss in losses for place in stayed)
        return square, after.coefficients[4] - before.coefficients[4]

    (square, change), (_, other) = cloud(1), cloud(2)
    width = 1 - 3 * change / (other - change)  # squared: for this one nothing changes
    repl = sum(square.coefficients[2 * n] * (h * width) ** n for n in range(3))
    return {
        "h": h,
        r"\lambda": hessian_at(full_batch(losses), at).trace(),
        r"\sigma^2": variance_of(c),
        r"\langle r_i^2\rangle_{\mathrm{once}}": once.expression(),
        r"\langle r_i^2\rangle_{\mathrm{repl}}": repl,
    }


def squares_on_the_way(losses: Losses, at: Point, order: Sequence[int]) -> list[Polynomial]:
    """The square of the residual of each batch of an order, at the point where its step starts."""
    squares = []
    for n, k in enumerate(order):
        place = run(losses, at, order[:n], 3)
        squares.append(on_polynomials(2 * losses[k].expression, list(at), place))
    return squares


ENTRIES = (
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
        "eq-mb-next",
        settled,
        "The left sides run the algorithm through every order, and a cloud of two points by a step on every batch.",
    ),
)
