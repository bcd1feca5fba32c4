"""The equations of chapter 1, gradient descent as Euler's method.

Most are compared with the *expansion of exact iterates*: a few steps of gradient descent on a random
polynomial loss, as polynomials in h.  The coefficient of h^k in iterate n is a polynomial in n of
degree k, so it is known from k + 1 iterates.  With t = nh its leading coefficient belongs to the
limit of the iterates as h goes to 0, the flow, and the next one to their first deviation, h w(t).
No derivative of a field and no differential equation is used to find them.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from bea import Loss, bilinear
from bea_book.equations.shared import (
    Point,
    Polynomial,
    Values,
    gradient_at,
    hessian_at,
    on_polynomials,
    plain_step,
    polynomial_loss,
    random_point,
    ratio,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

ORDER = 4  # powers of h that the expansion keeps


@dataclass(frozen=True)
class Expansion:
    """Exact iterates 0, 1, ... as polynomials in h, the flow and w as polynomials in t, from them
    alone."""

    loss: Loss
    point: Point
    iterates: list[list[Polynomial]]
    flow: list[Polynomial]
    w: list[Polynomial]


def expansion(rng: random.Random) -> Expansion:
    loss = polynomial_loss(rng, degree=3)
    point = random_point(rng, loss)
    size = Polynomial([sp.Integer(0), sp.Integer(1), *[sp.Integer(0)] * (ORDER - 1)])
    iterates = [[Polynomial([point[x], *[sp.Integer(0)] * ORDER]) for x in loss.symbols]]
    for _ in range(ORDER):
        gradient = along(loss.gradient_expressions, loss.symbols, iterates[-1])
        iterates.append([plain_step(x, g, size) for x, g in zip(iterates[-1], gradient)])
    n = sp.Symbol("n")
    flow, w = [], []
    for values in zip(*iterates):
        coefficients = list(zip(*(value.coefficients for value in values)))
        in_n = [sp.Poly(sp.interpolate(list(enumerate(c)), n), n) for c in coefficients]
        assert all(polynomial.degree() <= k for k, polynomial in enumerate(in_n))
        flow.append(Polynomial(c.coeff_monomial(n**k) for k, c in enumerate(in_n)))
        w.append(Polynomial(c.coeff_monomial(n**k) for k, c in enumerate(in_n[1:])))
    return Expansion(loss, point, iterates, flow, w)


def along(functions: Sequence[sp.Expr], symbols: Sequence[sp.Symbol], curve: Sequence[Polynomial]) -> list[Polynomial]:
    """Polynomial functions on a curve."""
    return [on_polynomials(function, symbols, curve) for function in functions]


def derivative(curve: Sequence[Polynomial]) -> list[Polynomial]:
    return [Polynomial(k * c for k, c in enumerate(x.coefficients) if k) for x in curve]


def stacked(curve: Sequence[Polynomial], powers: int = 3) -> sp.Matrix:
    """The coefficients of t^0, t^1, ... of all components: an equation between series, as one vector."""
    return sp.Matrix([x.coefficients[k] for k in range(powers) for x in curve])


def in_h(curve: Sequence[Polynomial]) -> sp.Matrix:
    return sp.Matrix([x.expression() for x in curve])


def limit_of_iterates(rng: random.Random) -> Values:
    found = expansion(rng)
    gradient = along(found.loss.gradient_expressions, found.loss.symbols, found.flow)
    return {
        r"\dot\theta": stacked(derivative(found.flow)),
        r"\nabla E(\theta)": stacked(gradient),
        r"\theta(0)": stacked(found.flow, powers=1),
        r"\theta^{(0)}": sp.Matrix(list(found.point.values())),
    }


def one_step(rng: random.Random) -> Values:
    """A step, with the linear coefficients of the loss about the point as its gradient."""
    loss = polynomial_loss(rng)
    point = random_point(rng, loss)
    theta, size = sp.Matrix(list(point.values())), ratio(rng)
    slopes = []
    for unit in sp.eye(2).columnspace():
        line = [Polynomial([x, e]) for x, e in zip(theta, unit)]
        slopes.append(on_polynomials(loss.expression, loss.symbols, line).coefficients[1])
    return {
        r"\theta^{(n+1)}": plain_step(theta, gradient_at(loss, point), size),
        r"\theta^{(n)}": theta,
        "h": size,
        r"\nabla E(\theta^{(n)})": sp.Matrix(slopes),
    }


def mode(rng: random.Random) -> Values:
    rate, size = ratio(rng, denominator=11), ratio(rng, denominator=13)
    steps, start = rng.randint(2, 5), ratio(rng, denominator=5)
    theta = start
    for _ in range(steps):
        theta = plain_step(theta, rate * theta, size)
    return {
        r"\theta^{(n)}": theta,
        r"\theta^{(0)}": start,
        r"\theta(t_n)": decaying(rate, start, 0).subs(sp.Symbol("t"), steps * size),
        "n": sp.Integer(steps),
        "h": size,
        r"\lambda": rate,
        "e": sp.E,
    }


def decaying(rate: sp.Expr, start: sp.Expr, forcing: sp.Expr) -> sp.Expr:
    """SymPy's solution of y' + rate y + forcing = 0 with y(0) = start, a function of t."""
    t, y = sp.Symbol("t"), sp.Function("y")
    equation = y(t).diff(t) + rate * y(t) + forcing
    return sp.dsolve(equation, y(t), ics={y(0): start}, hint="1st_linear", simplify=False).rhs


def mode_rate(rng: random.Random) -> Values:
    """The logarithm of the n-th of n steps, divided by -nh."""
    rate, steps = ratio(rng), rng.randint(2, 5)
    theta = sp.Integer(1)
    for _ in range(steps):
        theta = plain_step(theta, rate * theta, h)
    return {
        r"\tilde\lambda": -sp.log(sp.factor(theta)) / (steps * h),
        "n": sp.Integer(steps),
        "h": h,
        r"\lambda": rate,
        "e": sp.E,
    }


def start_of_flow(rng: random.Random) -> Values:
    found = expansion(rng)
    hessian = hessian_at(found.loss, found.point)
    velocity = derivative(found.flow)
    return {
        r"\theta^{(1)}": in_h(found.iterates[1]),
        r"\theta(h)": in_h(found.flow),
        r"\dot\theta": stacked(velocity, powers=1),
        r"\ddot\theta": stacked(derivative(velocity), powers=1),
        r"H\nabla E": hessian * gradient_at(found.loss, found.point),
        "h": h,
        "H": hessian,
    }


def geometric(rng: random.Random) -> Values:
    return {"h": ratio(rng, denominator=11), "L": ratio(rng), "n": sp.Integer(rng.randint(2, 6))}


def first_variation(rng: random.Random) -> Values:
    found = expansion(rng)
    symbols, w = found.loss.symbols, found.w
    # the flow with as many coefficients as w has
    flow = [Polynomial(x.coefficients[:-1]) for x in found.flow]
    gradient = along(found.loss.gradient_expressions, symbols, flow)
    rows = [along(row, symbols, flow) for row in found.loss.hessian_expressions.tolist()]
    return {
        r"\dot w": stacked(derivative(w)),
        "Hw": stacked([a * w[0] + b * w[1] for a, b in rows]),
        r"H\nabla E": stacked([a * gradient[0] + b * gradient[1] for a, b in rows]),
    }


def deviation(rng: random.Random) -> Values:
    """One mode at a fixed time t: the iterates as a function of h, with n = t/h; and their limit."""
    rate, t, start = ratio(rng), ratio(rng, denominator=5), ratio(rng, denominator=3)
    iterate, flow = start * sp.exp(t * sp.log(1 - h * rate) / h), start * sp.exp(-rate * t)
    return {
        r"\theta^{(n)}": iterate,
        r"\theta(t_n)": flow,
        r"\theta^{(0)}": start,
        r"\lambda": rate,
        "t": t,
        "h": h,
        "e": sp.E,
    }


def mode_deviation(rng: random.Random) -> Values:
    found = deviation(rng)
    rate, start, s = found[r"\lambda"], found[r"\theta^{(0)}"], sp.Symbol("t")
    w = decaying(rate, sp.Integer(0), rate**2 * start * sp.exp(-rate * s) / 2)
    return {**found, "w(t_n)": w.subs(s, found["t"])}


def mode_limit(rng: random.Random) -> Values:
    found = deviation(rng)
    difference = (found[r"\theta^{(n)}"] - found[r"\theta(t_n)"]) / h
    return {**found, "w(t)": sp.limit(difference, h, 0)}


def valley(rng: random.Random) -> Values:
    c, k = sp.symbols("c k")
    loss = bilinear(c, k)
    a, b = loss.symbols
    at = {
        a: ratio(rng),
        b: ratio(rng, denominator=5),
        c: ratio(rng, denominator=3),
        k: ratio(rng, denominator=4),
    }
    size, slopes = ratio(rng, denominator=13), gradient_at(loss, at)
    new = plain_step(sp.Matrix([at[a], at[b]]), slopes, size)
    change = sum((a**2 - b**2).diff(s).subs(at) * -g for s, g in zip(loss.symbols, slopes))
    return {
        "a": at[a],
        "b": at[b],
        "c": at[c],
        "k": at[k],
        "h": size,
        "E(a, b)": loss.expression.subs(at),
        "r": loss.expression.diff(c).subs(at),
        r"\partial_a E": slopes[0],
        r"\partial_b E": slopes[1],
        r"\dot a": -slopes[0],
        r"\dot b": -slopes[1],
        "a'": new[0],
        "b'": new[1],
        r"\frac{d}{dt}\left(a^2 - b^2\right)": change,
    }


ITERATES = "the leading coefficients in n of exact iterates, that is their limit as h goes to 0 at t = nh, on a random cubic loss"
VALLEY = "the library's bilinear loss at random exact values, its SymPy derivatives (r is the derivative in c), and one step of its gradient descent"

ENTRIES = (
    Entry(
        "eq-gd-flow",
        limit_of_iterates,
        ITERATES,
    ),
    Entry(
        "eq-gd-step",
        one_step,
        "the library's step on a random loss, against the linear coefficients of the loss about the point",
    ),
    Entry(
        "eq-gd-mode",
        mode,
        "n steps made one after another; SymPy's solution of the differential equation",
    ),
    Entry(
        "eq-gd-mode-rate",
        mode_rate,
        "the logarithm of the n-th of n steps, divided by -nh",
    ),
    Entry("eq-gd-acceleration", start_of_flow, ITERATES),
    Entry(
        "eq-gd-local-error",
        start_of_flow,
        ITERATES,
    ),
    Entry(
        "eq-gd-geometric-sum",
        geometric,
        "the sum, term by term",
    ),
    Entry(
        "eq-gd-error-direction",
        mode_deviation,
        "one mode at a fixed time t = nh as a function of h; w is SymPy's solution of the first variation's equation",
    ),
    Entry(
        "eq-gd-first-variation",
        first_variation,
        "the two leading coefficients in n of exact iterates on a random cubic loss; both sides as series in t, three coefficients",
    ),
    Entry(
        "eq-gd-mode-deviation",
        mode_limit,
        "the limit of (iterate - flow)/h as h goes to 0 at a fixed time",
    ),
    Entry("eq-gd-valley", valley, VALLEY),
    Entry(
        "eq-gd-valley-gradient",
        valley,
        VALLEY,
    ),
    Entry(
        "eq-gd-flow-keeps-imbalance",
        valley,
        VALLEY,
    ),
    Entry(
        "eq-gd-steps-lose-imbalance",
        valley,
        VALLEY,
    ),
)
