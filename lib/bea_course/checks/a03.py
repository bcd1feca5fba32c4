r"""Assignment 3: epochs in which each batch is used r times in succession.

The references are exact epochs on random parabolas, as polynomials in the step size, over all orders
or all sequences; no formula of the answers is written here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import permutations, product
from typing import Any

import numpy as np
import sympy as sp

from bea_course.compare import (
    Answer,
    answered,
    demand,
    expression,
    follows,
    generator,
    lengths,
    matched,
    name_the_mistake,
    real,
    runge_kutta,
    uses_all,
    vector,
)

g_A, g_B, H_A, H_B, r = SYMBOLS = sp.symbols("g_A g_B H_A H_B r", positive=True)

Exact = Sequence[Fraction]  # a number for each batch
Formula = Callable[[Exact, Exact, int], Any]  # of gradients, curvatures and repeats


# --- epoch -------------------------------------------------------------------------------------


def epoch(epoch: Answer, seed: int = 3) -> None:
    """Where an epoch on random losses ends."""
    answered(epoch)
    rng = generator(seed)
    for repeats, count in zip([*rng.permutation([2, 3, 4, 5])[:2], 1], rng.permutation([3, 4, 5])):
        _one_epoch(epoch, rng, int(repeats), int(count))


def _one_epoch(epoch: Answer, rng: np.random.Generator, repeats: int, count: int) -> None:
    matrices, theta = rng.normal(size=(count, 2, 2)), rng.normal(size=2)
    gradients = [lambda x, matrix=matrix: np.tanh(matrix @ x) for matrix in matrices]
    order, h = [int(b) for b in rng.permutation(count)], rng.uniform(0.1, 0.3)
    if order == sorted(order):
        order.reverse()
    got = vector(epoch(theta.copy(), [*gradients], [*order], h, repeats), (2,), "epoch", returned=True)

    def run(order: Iterable[int], h: float = h) -> np.ndarray:
        x = theta
        for batch in order:
            x = x - h * gradients[batch](x)
        return x

    if not np.allclose(got, run(np.repeat(order, repeats))):
        others = {
            "each batch is used once only; `r` is missing.": run(order),
        }
        if repeats == 1:
            others = {"r is 1 here, and each batch is used twice.": run(np.repeat(order, 2))}
        others |= {
            "that is the order from its end: the first number in `order` comes first.": run(
                np.repeat(order[::-1], repeats)
            ),
            "that is the whole order, r times: each batch must be used r times before the next one comes.": run(
                order * repeats
            ),
            "that is one step r times as long for each batch; each of the r steps takes the gradient anew.": run(
                order, h * repeats
            ),
            "all gradients are taken at the epoch's start; each step takes its own at the point that it has reached.": theta
            - h * repeats * sum(gradient(theta) for gradient in gradients),
            "the batches must come as `order` says.": run(np.repeat(sorted(order), repeats)),
            "uphill: a step goes against the gradient.": run(np.repeat(order, repeats), -h),
            "a step is h times the batch's own gradient, not a part of it.": run(np.repeat(order, repeats), h / count),
        }

        def unless() -> None:
            at = {"theta": theta, "gradients": gradients, "order": order, "h": h, "r": repeats}
            uses_all(epoch, "epoch", ["gradients"], **at)
            counts = {
                "each batch is used r − 1 times, not r times.": run(np.repeat(order, repeats - 1)),
                "each batch is used r + 1 times, not r times.": run(np.repeat(order, repeats + 1)),
                "only the first batch is used: is the `return` inside the loop?": run(np.repeat(order[:1], repeats)),
                "the last batch is not used.": run(np.repeat(order[:-1], repeats)),
            }
            for message, other in counts.items():
                demand(not np.allclose(got, other), message)
            calm = epoch(theta.copy(), [np.zeros_like] * count, [*order], h, repeats)
            demand(np.allclose(calm, theta), "use the `gradients` that it is given, not those of the first cells.")

        name_the_mistake(lambda other: np.allclose(got, other), others, "this is not where the epoch ends.", unless)


# --- two batches -------------------------------------------------------------------------------


def end_of(sequence: Iterable[int], gradients: Exact, curvatures: Exact) -> tuple[Fraction, Fraction]:
    """The coefficients of h and h^2 of where a run ends that starts at 0, on parabolas."""
    first, second = Fraction(0), Fraction(0)
    for batch in sequence:
        # the gradient at first*h is g + H*first*h, to order h
        first, second = first - gradients[batch], second - curvatures[batch] * first
    return first, second


def instances(seed: int, count: int = 4, batches: int = 2) -> Iterator[tuple[list[Fraction], list[Fraction], int]]:
    """Random gradients and curvatures, and a number of repeats."""
    rng = generator(seed)
    repeats = rng.permutation(np.arange(2, 12 if batches == 2 else 6))
    for k in range(count):
        gradients, curvatures = ([Fraction(int(n), 10) for n in rng.integers(5, 40, batches)] for _ in range(2))
        yield gradients, curvatures, 1 if k == 2 else int(repeats[k])


def at(gradients: Exact, curvatures: Exact, repeats: int) -> dict[sp.Symbol, sp.Expr]:
    """The symbols' values."""
    numbers = [sp.Rational(x.numerator, x.denominator) for x in (*gradients, *curvatures)]
    return dict(zip((g_A, g_B, H_A, H_B, r), (*numbers, repeats)))


Columns = tuple[list[dict[sp.Symbol, sp.Expr]], Callable[..., np.ndarray], Any, Any, Any]


def drawn_at(seed: int) -> Columns:
    """(points, what makes a formula of (g, H, r) the numbers there, g and H, a row a batch, and r)."""
    cases = list(instances(seed))
    g, H, n = (np.array([case[k] for case in cases], dtype=float).T for k in range(3))

    def over(formula: Formula, *options: Any) -> np.ndarray:
        return np.array([float(formula(*case, *options)) for case in cases])

    return [at(*case) for case in cases], over, g, H, n


def two(gradients: Exact, curvatures: Exact, repeats: int, sequence: Sequence[int] = (0, 1)) -> Fraction:
    """The coefficient of h^2 for A and then B."""
    return end_of(np.repeat(sequence, repeats), gradients, curvatures)[1]


PRODUCTS = {"g_A·H_A": (0, 0), "g_B·H_B": (1, 1), "g_A·H_B": (0, 1), "g_B·H_A": (1, 0)}


def where_to_look(answer: sp.Expr, formula: Callable[..., Fraction]) -> str:
    """Which products of a gradient and a curvature a wrong formula has with another coefficient; empty if none is seen."""
    found, n = [], 3
    units = ([Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)])
    for pair, (gradient, curvature) in PRODUCTS.items():
        case = units[gradient], units[curvature], n
        try:
            coefficient = complex(answer.subs(at(*case)))
        except (TypeError, ValueError):
            return ""
        if not np.isclose(coefficient, float(formula(*case))):
            found.append(pair)
    return f" Count again how often {', '.join(found)} enter{'s' * (len(found) == 1)}." if 0 < len(found) < 4 else ""


def second(second: Answer, seed: int = 3) -> None:
    """The coefficient of h^2."""
    answer = expression(second, SYMBOLS, "second")
    at, over, g, H, n = drawn_at(seed)
    right, turned = over(two), over(two, (1, 0))
    own = over(lambda g, H, n: end_of([0] * n, g, H)[1] + end_of([1] * n, g, H)[1])
    each = (g * H).sum(axis=0)
    pairs = "of r steps on one batch there are r(r−1)/2 pairs of an earlier and a later one"
    mistakes = {
        "the sign: the later gradients are smaller, so that the run falls short.": -right,
        "that is B first: the batch that comes later is the one that is seen from elsewhere.": turned,
        "each batch's own r steps also displace each other.": right - own,
        "B sees all of A's r steps: the product of the two is missing.": own,
        "this is r = 1: `r` is missing.": over(lambda g, H, n: two(g, H, 1)),
        f"{pairs}: not r².": right - own + n**2 * each,
        f"{pairs}.": right + own,
        f"{pairs}: not r²/2.": right + n / 2 * each,
        f"{pairs}: not r(r+1)/2.": right + n * each,
        "each of B's r steps sees each of A's: r² pairs, not r.": own + (right - own) / n,
        "that is the mean over both orders; this is one of them.": (right + turned) / 2,
    }
    otherwise = "an exact run has another coefficient of h²." + where_to_look(answer, two)
    matched(answer, "second", SYMBOLS, at, right, mistakes, otherwise)


def field(gradients: Exact, curvatures: Exact, repeats: int, sequence: Sequence[int] = (0, 1)) -> Fraction:
    """f_1, from the end of an exact run and the flow's own term."""
    time = 2 * repeats
    own = Fraction(time**2, 2) * sum(curvatures) / 2 * sum(gradients) / 2
    return (two(gradients, curvatures, repeats, sequence) - own) / time


def correction(correction: Answer, seed: int = 3) -> None:
    """The correction of the field."""
    answer = expression(correction, SYMBOLS, "correction")
    at, over, g, H, n = drawn_at(seed)
    right, turned, end = over(field), over(field, (1, 0)), over(two)
    own = end / (2 * n) - right  # what the flow of -E' itself gives
    mistakes = {
        "the sign: subtract the flow from the run.": -right,
        "the flow's own term of order h² is missing.": end / (2 * n),
        "the flow's own term of order h² is added; subtract it, since f_1 is what the run has beyond the flow.": right
        + 2 * own,
        "the flow's own term is half as large: the square of the time enters with ½.": right - own,
        "the flow's own term is twice as large as that.": right + own / 2,
        "the flow's own term belongs to the time 2r, as the run does, not to 2.": right + own - own / n**2,
        "the flow's own term belongs to the time 2r, not to r.": right + own * 3 / 4,
        "divide by the time of an epoch, 2r steps.": right * 2 * n,
        "divide by the time of an epoch, 2r steps, not 2.": right * n,
        "that is the mean over both orders; this is one of them.": (right + turned) / 2,
        "that is B first and A second.": turned,
        "this is r = 1: `r` is missing.": over(lambda g, H, n: field(g, H, 1)),
        "that is −½ E''E': the field of gradient descent with the whole loss.": -H.sum(axis=0) * g.sum(axis=0) / 8,
        "the part that depends on the order is twice as large as it should be.": right + (right - turned) / 2,
        "the part that does not depend on the order is twice as large as it should be.": right + (right + turned) / 2,
        "E is the mean of the two losses, not their sum.": end / (2 * n) - n * H.sum(axis=0) * g.sum(axis=0),
    }
    otherwise = "with this correction the flow does not end where an exact run does." + where_to_look(answer, field)
    matched(answer, "correction", SYMBOLS, at, right, mistakes, otherwise)


# --- means -------------------------------------------------------------------------------------


def shuffled(k: Answer) -> None:
    """The penalty of the mean over both orders."""
    answer = expression(k, (r,), "k")
    at, over, g, H, n = drawn_at(3)
    # minus the derivative of k (g_A^2 + g_B^2)/2 is -k (H_A g_A + H_B g_B)
    right = -(over(field) + over(field, (1, 0))) / 2 / (g * H).sum(axis=0)
    mistakes = {
        "the sign: this would be a reward.": -right,
        "H g is half of the derivative of g²: a factor of 2.": 2 * right,
        "a factor of 2 is lost: each batch's loss counts half in E, and its square also enters with one half.": right
        / 2,
        "count again what depends on r: r steps on a batch are not one step r times as long.": n * right,
        "count again what depends on r; the pairs of steps on one batch take part.": right / n,
    }
    matched(
        answer,
        "k",
        (),
        at,
        right,
        mistakes,
        "the mean over both orders has another penalty: take the mean of your f_1 and of the one with A and B exchanged, and compare it with minus the derivative of the penalty.",
    )


@cache
def _drawn(
    gradients: tuple[Fraction, ...], curvatures: tuple[Fraction, ...], repeats: int
) -> tuple[Fraction | float, ...]:
    """(what the mean over all sequences needs, H g of the full batch, the mean of H_b g_b), each exact."""
    m = len(gradients)
    ends = [end_of(np.repeat(s, repeats), gradients, curvatures)[1] for s in product(range(m), repeat=m)]
    time = m * repeats
    full = sum(curvatures) * sum(gradients) / m**2
    own = sum(H * g for H, g in zip(curvatures, gradients)) / m
    return (Fraction(time**2, 2) * full - sum(ends) / m**m) * 2 / time, full, own


def drawn(u: Answer, v: Answer, seed: int = 3) -> None:
    """The two coefficients with replacement."""
    answers = [expression(answer, (r,), name) for answer, name in ((u, "u"), (v, "v"))]
    alone = [real(answer, {r: sp.Integer(1)}, name) for answer, name in zip(answers, "uv")]
    for m in (2, 3):
        for g, H, n in instances(seed + m, 3, m):
            wanted, full, own = map(float, _drawn(tuple(g), tuple(H), n))
            x, y = (real(answer, {r: n}, name) for answer, name in zip(answers, "uv"))
            got = x * full + y * own
            if not np.isclose(got, wanted):
                name_the_mistake(
                    lambda other: np.isclose(got, other),
                    {
                        "that is r = 1; a batch that is drawn stays for r steps.": full,
                        "that is the reshuffled epoch; here a batch may come twice.": own,
                        "the signs of both: a penalty is added to E, and the flow descends.": -wanted,
                        "both are twice as large as they should be.": 2 * wanted,
                        "both are half as large as they should be: the factor before the bracket is h/4.": wanted / 2,
                        "the sign of v: repeats take something *away* from the batches' own squares.": wanted
                        + 2 * y * own,
                        "u and v have changed places.": wanted - (y - x) * (full - own),
                        "a pair of steps with the same draw has the mean of H_b g_b, and there are r(r−1)/2 of them for each draw, not r²/2.": wanted
                        - own,
                    },
                    f"with {m} batches, each used {n} time{'s' * (n > 1)}, the mean over all {m**m} sequences is another one."
                    + (" Already at r = 1 it is not what chapter 4 says." if not np.allclose(alone, (1, 0)) else ""),
                )


# --- experiment --------------------------------------------------------------------------------

DATA = [(1.0, 1.2), (0.6, -0.4), (-0.8, 0.5)]


def _gradient(theta: np.ndarray, batch: int) -> np.ndarray:
    x, y = DATA[batch]
    return -x * (y - x * theta[0] * theta[1]) * theta[::-1]


ORDERS = tuple(permutations(range(3)))


@cache
def _gaps(
    hs: tuple[float, ...],
    repeats: int,
    orders: tuple[tuple[int, ...], ...] = ORDERS,
    factor: float = 0.0,
    power: int = 0,
    flaw: str = "",
) -> list[np.ndarray]:
    """The gaps, as vectors, with the penalty of the question times a factor and a power of h; with flaws on demand."""
    gaps = []
    for h in hs:
        ends = []
        for order in orders:
            theta = np.array([1.1, 0.7])
            for batch in np.repeat(order, repeats):
                theta = theta - h * _gradient(theta, batch)
            ends.append(theta)

        def plain(theta: np.ndarray, h: float = h) -> Any:
            gradients = [_gradient(theta, batch) for batch in range(3)]
            # gradients are polynomials: a complex step gives the Hessian times one
            steps = [np.imag(_gradient(theta + 1e-20j * g, batch)) / 1e-20 for batch, g in enumerate(gradients)]
            return -sum(gradients) / 3 - factor * h ** (1 + power) / 2 * sum(steps) / 3

        flow = np.array([1.1, 0.7])
        if flaw == "Euler":
            for _ in range(20):
                flow = flow + 3 * repeats * h / 20 * plain(flow)
        else:
            flow = runge_kutta(plain, flow, 3 * repeats * h / 40, 40)
        if flaw == "mean distance":
            gaps.append(np.array([np.mean([np.linalg.norm(end - flow) for end in ends])]))
        else:
            gaps.append((1 if flaw == "sum" else 1 / len(ends)) * sum(ends) - flow)
    return gaps


def gap(gap: Answer, r: int = 2, hs: tuple[float, ...] = (8e-3, 4e-3, 2e-3), seed: int = 3) -> None:
    """The gaps with the penalty and without: by their slopes, and against reference runs."""
    answered(gap)
    rng, most = generator(seed), r
    r = int(rng.integers(2, most + 2))
    scale = rng.uniform(0.85, 1.1) * most / r  # epochs of the same time
    hs = tuple(float(h * scale) for h in hs)
    on, off = (vector(gap(np.array(hs), r, factor), (len(hs),), "gap", returned=True) for factor in (1.0, 0.0))

    def without() -> dict[str, list[np.ndarray]]:
        one = "that is one order; take the mean over all six."
        return {
            "these are the gaps of r = 1.": _gaps(hs, 1),
            **{one + " " * k: _gaps(hs, r, (order,)) for k, order in enumerate(ORDERS)},
            "it has the penalty: `factor` does not reach it.": _gaps(hs, r, ORDERS, 1.0),
            "that is the mean of six distances; take the distance of the mean.": _gaps(hs, r, flaw="mean distance"),
            "that is the sum of the six ends; take their mean.": _gaps(hs, r, flaw="sum"),
            "that is the mean over all 27 sequences; in an order each batch comes once.": _gaps(
                hs, r, tuple(product(range(3), repeat=3))
            ),
            "the run sees the last batch only. Functions that are made in a loop share its variable: write lambda theta, b=b: ...": _gaps(
                hs, r, ((2, 2, 2),)
            ),
            "the flow is solved by Euler's method, whose error is as large as the gap; take that of Runge and Kutta.": _gaps(
                hs, r, flaw="Euler"
            ),
        }

    def unless() -> None:
        uses_all(gap, "gap", ["factor"], hs=np.array(hs), r=r, factor=0.0)

    of = "of these batches from this start after the time 3·r·h"
    follows("the control without penalty (factor 0)", hs, off, _gaps(hs, r), 2, of, without, 0.01, unless)

    def penalized() -> dict[str, list[np.ndarray]]:
        return {
            "that is half the penalty.": _gaps(hs, r, ORDERS, 0.5),
            "that is twice the penalty.": _gaps(hs, r, ORDERS, 2.0),
            "that is three times the penalty; take the mean of the three batches.": _gaps(hs, r, ORDERS, 3.0),
            "the wrong sign doubles the gap.": _gaps(hs, r, ORDERS, -1.0),
            "the penalty is not in it: these are the gaps of the control.": _gaps(hs, r),
            "the penalty has the factor h², not h.": _gaps(hs, r, ORDERS, 1.0, 1),
        }

    right = _gaps(hs, r, ORDERS, 1.0)
    follows("with the penalty (factor 1)", hs, on, right, 3, "with that penalty", penalized, control=True)
    once = vector(gap(np.array(hs[:1]), 1, 0.0), (1,), "gap", returned=True)
    demand(np.allclose(once, lengths(_gaps(hs[:1], 1)), rtol=0.01, atol=0), f"right for r = {r}, and not for r = 1.")
