r"""The equations of chapter 15, generalization: what a penalty on the gradient does, and where the
equation ends.

They are compared with moments of the normal distribution, derivatives, the engine's terms, the
optimizer's own step, and recursions in exact numbers.
"""

import random
from collections.abc import Sequence

import sympy as sp

from bea import bilinear, gradient_descent, heavy_ball
from bea_book.equations.shared import (
    Values,
    calculus,
    constant,
    constants,
    critical_at_origin,
    polynomial_loss,
    random_point,
    ratio,
    step_matrix,
    works_of_terms,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]


def normal_mean(polynomial: sp.Expr, symbols: Sequence[sp.Symbol]) -> sp.Expr:
    """The mean of a polynomial in independent standard normal symbols: x^2 to 1, x^4 to 3, odd powers to 0."""
    total = 0
    for powers, factor in sp.Poly(polynomial, *symbols).terms():
        total += factor * sp.prod(0 if p % 2 else sp.factorial2(p - 1) for p in powers)
    return total


def student(rng: random.Random) -> Values:
    """A squared neuron and its teacher, both on the floor ab = p; the floor followed by implicit differentiation."""
    x, y, a, d = sp.symbols("x y a d")
    p, at, other = ratio(rng), ratio(rng, 8, 15), ratio(rng, 2, 6)
    b = p / a
    difference = (a * x + b * y) ** 2 - (other * x + p / other * y) ** 2
    T = normal_mean(sp.expand(difference**2), (x, y))
    along = sp.diff(T, a) / sp.diff(a - b, a)
    here = {a: at}
    return {
        "T": T.subs(here),
        r"\frac{dT}{d\delta}": along.subs(here),
        "a": at,
        "b": p / at,
        "A": at**2 - other**2,
        "B": (p / at) ** 2 - (p / other) ** 2,
    }


def penalized(rng: random.Random) -> Values:
    loss, c = polynomial_loss(rng), ratio(rng)
    at = random_point(rng, loss)
    g = sp.Matrix(loss.gradient_expressions)
    total = loss.expression + c * g.dot(g)
    left = sp.Matrix([sp.diff(total, s) for s in loss.symbols]).subs(at)
    return {
        **calculus(loss, at),
        r"\nabla(E+c\lVert\nabla E\rVert^2)": left,
        "c": c,
        "I": sp.eye(2),
    }


def penalized_valley(rng: random.Random) -> Values:
    c_0, k, c = ratio(rng), ratio(rng, 8, 13), ratio(rng, 2, 6)
    loss = bilinear(c_0, k)
    a, b = loss.symbols
    at = {a: ratio(rng, 8, 13), b: ratio(rng, 2, 6)}  # neither is 1, which would hide a wrong power
    g = sp.Matrix(loss.gradient_expressions)
    total = loss.expression + c * g.dot(g)
    motion = [-sp.diff(total, s) for s in (a, b)]
    drift = (2 * a * motion[0] - 2 * b * motion[1]).subs(at)
    return {
        r"\frac{d}{dt}(a^2-b^2)": drift,
        "a": at[a],
        "b": at[b],
        "c": c,
        "k": k,
        "r": (c_0 - k * a * b).subs(at),
    }


def worst_case(rng: random.Random) -> Values:
    """The recursion e' = (1 + L h) e + K h^3, run from zero for N steps."""
    N, K, L, size = rng.randint(3, 6), ratio(rng, 8, 13), ratio(rng, 2, 6), ratio(rng, 2, 6)
    e = sp.Integer(0)
    for _ in range(N):
        e = (1 + L * size) * e + K * size**3
    return {"e_N": e, "N": sp.Integer(N), "K": K, "L": L, "h": size}


def mode(rng: random.Random) -> Values:
    """The matrix of one step of the mean gradient on a mode, with q instead of the step size."""
    beta, q, z = ratio(rng, 1, 6) ** 2, sp.Symbol("q", positive=True), sp.Symbol("z")
    step = step_matrix(heavy_ball(beta, damped=True), q)
    polynomial = sp.expand((z * sp.eye(2) - step).det())
    (edge,) = sp.solve(polynomial.subs(z, -1), q)
    ring = min(sp.solve(sp.discriminant(polynomial, z), q))
    return {
        r"\beta": beta,
        r"q_{\mathrm{edge}}": edge,
        r"q_{\mathrm{ring}}": ring,
        r"C_\beta": constant(beta),
    }


def match(rng: random.Random) -> Values:
    """The step size of gradient descent whose correction is that of the mean gradient."""
    loss, beta, epsilon = critical_at_origin(rng), ratio(rng, 2, 9, 10), ratio(rng)
    at = random_point(rng, loss)
    _, ball = works_of_terms(heavy_ball(beta, damped=True), loss, at)
    _, plain = works_of_terms(gradient_descent(), loss, at)
    return {
        r"\eta": h / sp.sqrt(epsilon) * ball / plain,
        "h": h,
        r"\varepsilon": epsilon,
        **constants(r"\beta", beta),
    }


ENTRIES = (
    Entry(
        "eq-gen-test",
        student,
        "the mean of a polynomial by the normal distribution's moments",
    ),
    Entry(
        "eq-gen-slope",
        student,
        "differentiation along the floor b = p / a",
    ),
    Entry(
        "eq-gen-same",
        penalized,
        "differentiation of the penalized loss, a random polynomial",
    ),
    Entry(
        "eq-gen-drift",
        penalized_valley,
        "the gradient of the penalized bilinear model, by differentiation",
    ),
    Entry(
        "eq-gen-gronwall",
        worst_case,
        "the recursion, run on exact numbers",
    ),
    Entry(
        "eq-gen-edge",
        mode,
        "the matrix of one step of the optimizer; the constant from the engine",
    ),
    Entry(
        "eq-gen-ring",
        mode,
        "the smaller root of the discriminant of the same matrix",
    ),
    Entry(
        "eq-gen-match",
        match,
        "the quotient of the engine's second terms, integrated along a ray",
    ),
)
