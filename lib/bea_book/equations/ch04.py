r"""The labelled equations of chapter 4, mini-batches.

The truth of the chapter is the algorithm itself: gradient descent run on random polynomial batches
for every order, or every sequence, as polynomials in h of which the first three coefficients are
kept.  No Hessian and no penalty is written down on the way.
"""

import random
from functools import cache, lru_cache
from itertools import permutations, product

import sympy as sp
from sympy.polys.rings import ring

from bea.losses import bilinear, mean
from bea.modified import transient_equation
from bea.optimizers import gradient_descent
from bea_book.equations.ch03 import loss_with_critical_origin, potential
from bea_book.equations.instances import polynomial_loss, random_point, ratio
from bea_book.ledger import Entry, h

M = 3  # batches
ORDERS = tuple(permutations(range(M)))
SEQUENCES = tuple(product(range(M), repeat=M))


def truncated(element, power):
    """A polynomial of a ring whose first generator is h, without its terms from h^power on."""
    return element.ring.from_dict({m: c for m, c in element.items() if m[0] < power})


@lru_cache(maxsize=64)
def slopes_of(loss):
    """The gradient's components as polynomials of the ring in h and the coordinates."""
    polynomials = ring([h, *loss.symbols], sp.QQ)[0]
    return [polynomials.from_expr(sp.expand(g)) for g in loss.gradient_expressions]


def run(losses, theta, sequence, power=4):
    """The algorithm's end point after one step on each batch of the sequence, up to O(h^power)."""
    polynomials, size, *coordinates = ring([h, *losses[0].symbols], sp.QQ)
    theta = [polynomials.from_expr(sp.sympify(x)) for x in theta]
    for k in sequence:
        here = list(zip(coordinates, theta))
        steps = [gradient_descent().update(g.compose(here)) for g in slopes_of(losses[k])]
        theta = [truncated(x - size * step, power) for x, step in zip(theta, steps)]
    return sp.Matrix([x.as_expr() for x in theta])


def average(values):
    values = list(values)
    return sum(values[1:], values[0]) / len(values)


def mean_end(losses, theta, sequences, power=4):
    return average(run(losses, theta, s, power) for s in sequences).expand()


def gradients(losses, at):
    return [sp.Matrix(loss.gradient_expressions).subs(at) for loss in losses]


def by_pairs(vectors):
    """The variance of vectors from their differences alone."""
    m = len(vectors)
    return sum(((u - v).dot(u - v) for u in vectors for v in vectors), sp.Integer(0)) / (2 * m**2)


def gradient_of_variance(losses, at):
    variance = sp.expand(by_pairs([sp.Matrix(loss.gradient_expressions) for loss in losses]))
    return sp.Matrix([sp.diff(variance, s) for s in losses[0].symbols]).subs(at)


def calculus(losses, at):
    """Values at a point: gradients, Hessians, and the same of the mean loss."""
    full = mean(losses)
    found = {"h": h, "m": sp.Integer(len(losses)), r"\theta": sp.Matrix(list(at.values()))}
    for k, (loss, g) in enumerate(zip(losses, gradients(losses, at))):
        found |= {f"H_{k}": loss.hessian_expressions.subs(at), rf"\nabla E_{k}": g}
    return found | {
        "E": full.expression.subs(at),
        "H": full.hessian_expressions.subs(at),
        r"\nabla E": gradients([full], at)[0],
    }


def batches(rng, count=M, degree=3):
    losses = [polynomial_loss(rng, degree=degree) for _ in range(count)]
    return losses, random_point(rng, losses[0])


# --- one epoch ---------------------------------------------------------------------------------


def two_batches(rng):
    """Two batches: both orders."""
    return two_batch_atoms(rng.randrange(2))


@cache
def two_batch_atoms(seed):
    losses, at = batches(random.Random(seed), 2)
    ends = {
        rf"\theta_{{{i}{j}}}": run(losses, list(at.values()), (i, j)) for i, j in ((0, 1), (1, 0))
    }
    return {**calculus(losses, at), **ends}


def epoch(rng):
    """Three batches: one order, and the means over all orders and all sequences."""
    return epoch_atoms(rng.randrange(2))


@cache
def epoch_atoms(seed):
    losses, at = batches(random.Random(seed))
    theta = list(at.values())
    clouds = {
        name: [run(losses, theta, s) for s in sequences]
        for name, sequences in (("once", ORDERS), ("repl", SEQUENCES))
    }
    in_order = clouds["once"][0]
    values = {**calculus(losses, at), r"\theta^{(m)}": in_order}
    for name, cloud in clouds.items():
        centre = average(cloud)
        values[rf"\langle\theta^{{(m)}}\rangle_{{\mathrm{{{name}}}}}"] = centre
        spread = average((end - centre).dot(end - centre) for end in cloud)
        values[
            r"\langle\lVert\theta^{(m)} - \langle\theta^{(m)}\rangle\rVert^2\rangle"
            rf"_{{\mathrm{{{name}}}}}"
        ] = sp.expand(spread)
    values["f_1"] = field_of(in_order, losses, at)
    slopes = gradients(losses, at)
    # a product of two different steps, the second on batch i and the first on batch j
    pairs = [losses[i].hessian_expressions.subs(at) * slopes[j] for i, j, *_ in ORDERS]
    return {
        **values,
        r"\langle H_i\nabla E_j\rangle_{\mathrm{once}}": average(pairs),
        r"\Gamma": by_pairs(slopes),
        r"\nabla\Gamma": gradient_of_variance(losses, at),
    }


def field_of(end, losses, at):
    """f_1 such that the flow of -grad E + h f_1 ends there after the time m h."""
    values = calculus(losses, at)
    second = end.applyfunc(lambda x: sp.Poly(x, h).coeff_monomial(h**2))
    m = len(losses)
    return second / m - sp.Rational(m, 2) * values["H"] * values[r"\nabla E"]


def modified_losses(rng):
    """The work against the fields of both means, along the ray from a point critical for all batches."""
    return modified_loss_atoms(rng.randrange(2))


@cache
def modified_loss_atoms(seed):
    rng = random.Random(seed)
    losses = [loss_with_critical_origin(rng) for _ in range(M)]
    at = random_point(rng, losses[0])
    full = mean(losses)
    values = calculus(losses, at)
    for name, sequences in (("once", ORDERS), ("repl", SEQUENCES)):
        here = {s: s for s in full.symbols}
        f_1 = field_of(mean_end(losses, list(full.symbols), sequences, 3), losses, here)
        field = -sp.Matrix(full.gradient_expressions) + h * f_1
        values[rf"\tilde E_{{\mathrm{{{name}}}}}"] = potential(field, full, at)
    return values


def single_step(rng):
    """The engine's piece of one step in an irregular sequence."""
    losses, at = batches(rng)
    sequence = (2, 0, 0, 1)
    n = rng.randrange(4)
    f_0, f_1 = transient_equation(gradient_descent(), losses, batches=sequence).terms(n)
    (slope,) = gradients([losses[sequence[n]]], at)
    hessian = losses[sequence[n]].hessian_expressions.subs(at)
    return {"h": h, r"\dot\theta": (f_0 + h * f_1).subs(at), r"\nabla E_k": slope, "H_k": hessian}


# --- the bilinear model ------------------------------------------------------------------------


def disagreeing(rng):
    """Batches with one k and different c at a random point: a step on one of them, and the engine's flow."""
    k = ratio(rng)
    losses = [bilinear(ratio(rng, 1 + 9 * i, 9 + 9 * i), k) for i in range(M)]
    at = random_point(rng, losses[0])
    return {**model(losses, k, at), **one_step(losses, at, rng.randrange(M), k)}


def model(losses, k, at):
    """The decay of a^2 - b^2 along the field of the mean over all orders."""
    a, b = losses[0].symbols
    here = {s: s for s in (a, b)}
    f_1 = field_of(mean_end(losses, [a, b], ORDERS, 3), losses, here)
    f_0 = -sp.Matrix(mean(losses).gradient_expressions)
    law = (sp.Matrix([a**2 - b**2]).jacobian([a, b]) * (f_0 + h * f_1))[0]
    return {
        "h": h, "a": at[a], "b": at[b], "k": k, "m": sp.Integer(len(losses)),
        "r": average(residuals(losses, k, at)),
        r"\sigma^2": by_pairs([sp.Matrix([r]) for r in residuals(losses, k, at)]),
        r"\frac{d}{dt}(a^2 - b^2)": law.subs(at),
    }  # fmt: skip


def residuals(losses, k, at):
    """The root of twice each loss, with the sign of its slope in b."""
    a, b = losses[0].symbols
    return [-sp.diff(loss.expression, b).subs(at) / (k * at[a]) for loss in losses]


def one_step(losses, at, i, k):
    new = run(losses, list(at.values()), (i,))
    return {"a'": new[0], "b'": new[1], "r_i": residuals(losses, k, at)[i]}


def on_the_valley(rng):
    """Two batches and all sequences of one epoch from a point with ab = mean of c over k."""
    k, a, c = ratio(rng), ratio(rng), [ratio(rng), ratio(rng, 10, 19)]
    losses, b = [bilinear(x, k) for x in c], average(c) / k / a
    cloud = [run(losses, (a, b), sequence, 5) for sequence in product(range(2), repeat=2)]
    mean_a, mean_b = average(cloud)
    square_a, square_b = (average(end[i] ** 2 for end in cloud) for i in range(2))
    return {
        "h": h,
        "a": a,
        "b": b,
        "k": k,
        "m": sp.Integer(2),
        r"\sigma^2": by_pairs([sp.Matrix([x]) for x in c]),
        r"\langle a^2 - b^2\rangle_{\mathrm{repl}}": sp.expand(square_a - square_b),
        r"(\operatorname{var}b - \operatorname{var}a)_{\mathrm{repl}}": sp.expand(
            square_b - mean_b**2 - square_a + mean_a**2
        ),
    }


def cloud_of_points(rng):
    """Five random points: means, and variances from their differences."""
    a, b = ([ratio(rng) for _ in range(5)] for _ in range(2))
    return {
        r"\langle a\rangle": average(a), r"\langle b\rangle": average(b),
        r"\langle a^2 - b^2\rangle": average(x**2 - y**2 for x, y in zip(a, b)),
        r"\operatorname{var}a": by_pairs([sp.Matrix([x]) for x in a]),
        r"\operatorname{var}b": by_pairs([sp.Matrix([x]) for x in b]),
    }  # fmt: skip


# --- many epochs, and the size of the batches --------------------------------------------------


def cloud_in_motion(rng):
    """A cloud of four points with a covariance of order h, moved by a step on every batch."""
    losses, at = batches(rng, count=2, degree=5)
    full, symbols, x = mean(losses), losses[0].symbols, sp.Matrix(list(at.values()))
    arms = [sp.Matrix([ratio(rng), ratio(rng)]), sp.Matrix([ratio(rng), -ratio(rng)])]
    points = [sign * arm for arm in arms for sign in (1, -1)]
    moved = [step_from_near(loss, x, point) for loss in losses for point in points]
    root = sp.Symbol("e", positive=True)
    centre = average(moved).expand().subs(root, sp.sqrt(h))
    products = average((end * end.T).expand() for end in moved).expand().subs(root, sp.sqrt(h))
    Q = h * average(p * p.T for p in points)
    values, slopes = calculus(losses, at), gradients(losses, at)
    third = [
        sum(
            sp.diff(full.expression, s, u, v).subs(at) * Q[i, j]
            for i, u in enumerate(symbols)
            for j, v in enumerate(symbols)
        )
        for s in symbols
    ]
    squared = sum(g**2 for g in full.gradient_expressions)
    # a flow of -grad E bends by (h/2) H grad E in the time h; what is left is the rate
    x_dot = (centre - x) / h - h / 2 * values["H"] * values[r"\nabla E"]
    Q_dot = (products - centre * centre.T - Q) / h
    return {
        **values,
        "Q": Q,
        r"\nabla^3E[Q]": sp.Matrix(third),
        "S": average((u - v) * (u - v).T for u in slopes for v in slopes) / 2,
        r"\dot x": x_dot.applyfunc(sp.expand),
        r"\dot Q": Q_dot.applyfunc(sp.expand),
        r"\nabla\lVert\nabla E\rVert^2": sp.Matrix([sp.diff(squared, s) for s in symbols]).subs(at),
    }


def step_from_near(loss, x, arm):
    """The algorithm's step from x + e * arm as a polynomial in e, the root of h."""
    root = sp.Symbol("e", positive=True)
    polynomials, e, *coordinates = ring([root, *loss.symbols], sp.QQ)
    point = [polynomials.from_expr(u) + e * polynomials.from_expr(v) for u, v in zip(x, arm)]
    slopes = [polynomials.from_expr(sp.expand(g)) for g in loss.gradient_expressions]
    here = list(zip(coordinates, point))
    steps = [gradient_descent().update(g.compose(here)) for g in slopes]
    return sp.Matrix([(u - e**2 * step).as_expr() for u, step in zip(point, steps)])


def examples_in_batches(rng):
    """Four examples cut into two batches in all ways."""
    losses, at = batches(rng, 4)
    slopes = gradients(losses, at)
    cuts = [(order[:2], order[2:]) for order in permutations(range(4))]
    means = [[(slopes[i] + slopes[j]) / 2 for i, j in cut] for cut in cuts]
    return {
        "m": sp.Integer(2), "N": sp.Integer(4), r"\langle\Gamma\rangle": average(by_pairs(c) for c in means),
        r"\Gamma_1": by_pairs(slopes),
    }  # fmt: skip


EVERY = "The left side runs the algorithm on polynomials in h through"

ENTRIES = (
    Entry("eq-mb-two-orders", two_batches, "The left sides run the algorithm for two steps."),
    Entry("eq-mb-commutator",
          two_batches, "The left side runs the algorithm for two steps, in both orders."),
    Entry("eq-mb-two-mean", two_batches, "The left side runs the algorithm for two steps, in both orders."),
    Entry("eq-mb-epoch", epoch, "The left side runs the algorithm for one epoch."),
    Entry("eq-mb-mean-once", epoch, f"{EVERY} every order."),
    Entry("eq-mb-mean-repl",
          epoch, f"{EVERY} every sequence."),
    Entry("eq-mb-reshuffled",
          modified_losses, "The left side integrates, along a ray, the field whose flow ends at the mean over every order."),
    Entry("eq-mb-replacement",
          modified_losses, "The left side integrates, along a ray, the field whose flow ends at the mean over every sequence."),
    Entry("eq-mb-step", single_step,
          "The left side is the engine's piece of one step in an irregular sequence of batches."),
    Entry("eq-mb-variance",
          epoch, "The left side is found from the differences of all pairs."),
    Entry("eq-mb-anticorrelated",
          epoch, "The left side lists every order; the right differentiates the variance found from pairs."),
    Entry("eq-mb-order-field", epoch, "The left side is the field whose flow ends where the algorithm's run through this order does."),
    Entry("eq-mb-imbalance-step",
          disagreeing, "The left side runs the algorithm for one step on one batch."),
    Entry("eq-mb-imbalance-rate",
          disagreeing, "The left side is the derivative along the field whose flow ends at the mean over every order."),
    Entry("eq-mb-mean-imbalance",
          cloud_of_points, "Five random points; their variances from the differences of all pairs."),
    Entry("eq-mb-cancel", on_the_valley, "The left sides run the algorithm through every sequence from a point of the valley."),
    Entry("eq-mb-spread",
          epoch, f"{EVERY} every sequence."),
    Entry("eq-mb-mean-spread", cloud_in_motion, "The left sides move a cloud of four points by a step on every batch."),
    Entry("eq-mb-batch-size", examples_in_batches,
          "The left side lists every way of cutting four examples into two batches."),
)  # fmt: skip
