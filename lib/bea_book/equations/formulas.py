r"""The equations that are on the formula sheet alone.

Its other lines repeat labelled equations of the chapters, which a test compares with them.  The potential of an
optimizer is the work of its step along the ray from zero to the gradient: the step is the engine's leading term on a
linear loss, or, for matrices, the gradient times the inverse root of its square.
"""

import random

import sympy as sp

from bea import Loss, Optimizer, adam, gradient_descent, signum
from bea_book import atlas
from bea_book.equations.shared import (
    DIGITS,
    Values,
    calculus,
    constants,
    decays,
    from_the_start,
    gradient_at,
    polynomial_loss,
    random_point,
    ratio,
    terms,
    terms_at,
    third_derivatives,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

N = 2  # the step that stands for n where a formula holds for every n


def five_terms(rng: random.Random) -> Values:
    """The engine's five terms of gradient descent on a random loss."""
    loss = polynomial_loss(rng)
    at = random_point(rng, loss)
    found = terms_at(gradient_descent(), loss, at, 5)
    return {
        **calculus(loss, at),
        **third_derivatives(loss, at),
        "h": h,
        "I": sp.eye(2),
        r"\dot\theta": sum((h**k * term for k, term in enumerate(found)), sp.zeros(2, 1)),
    }


def work(method: Optimizer, gradient: sp.Matrix) -> sp.Expr:
    """The work of a step without memory along the ray from zero to a gradient."""
    x, s = sp.symbols("x_1:3", real=True), sp.Symbol("s", positive=True)
    (step,) = terms(method, Loss(s * sum(g * symbol for g, symbol in zip(gradient, x)), x, (s,)), 1)
    return sp.integrate(-step.dot(gradient), (s, 0, 1)).evalf(DIGITS)


def root_of_2x2(square: sp.Matrix) -> sp.Matrix:
    """The positive definite root of a positive definite matrix, by the theorem of Cayley and Hamilton."""
    size = sp.sqrt(square.det())
    return (square + size * sp.eye(2)) / sp.sqrt(square.trace() + 2 * size)


def potentials(rng: random.Random) -> Values:
    g = sp.Matrix([ratio(rng), -ratio(rng, denominator=5)])
    matrix = sp.Matrix(2, 2, lambda i, j: rng.choice((-1, 1)) * ratio(rng, denominator=5 + 2 * i + 4 * j))
    square, epsilon, q = matrix.T * matrix, ratio(rng), sp.Integer(rng.choice((3, 4, 6)))
    polar = matrix * root_of_2x2(square.evalf(DIGITS)).inv()
    zero = sp.Integer(0)
    return {
        "g": g,
        "g_1": g[0],
        "g_2": g[1],
        "d": sp.Integer(2),
        "q": q,
        r"\varepsilon": epsilon,
        r"\varphi_{\mathrm{gradient}}": work(gradient_descent(), g),
        r"\varphi_{\mathrm{normalized}}": work(atlas.normalized_momentum(zero), g),
        r"\varphi_p": work(atlas.p_norm_descent(zero, q), g),
        r"\varphi_{\mathrm{sign}}": 2 * sp.sqrt(epsilon) + work(signum(zero, epsilon), g),
        r"\varphi_{\mathrm{Muon}}": (matrix.T * polar).trace(),
        r"\lVert G\rVert_{\mathrm{nuc}}": sum(
            sp.sqrt(value).evalf(DIGITS) for value in square.eigenvals(multiple=True)
        ),
    }


def adam_outside(rng: random.Random) -> Values:
    """Adam with epsilon outside the root on one random loss, by running."""
    (beta, rho), epsilon, loss = decays(rng), ratio(rng), polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    f_0, f_1 = from_the_start(adam(beta, rho, epsilon, epsilon_inside=False), loss, at, N)
    g = gradient_at(loss, at)
    sizes = [sp.sign(x) * y for x, y in zip(g, loss.gradient_expressions)]
    potential = sp.Add(*(x - epsilon * sp.log(x + epsilon) for x in sizes))
    found = constants(r"\beta", beta, N) | constants(r"\rho", rho, N) | {"h": h}
    for j, x in enumerate(loss.symbols, 1):
        found |= {
            rf"\partial_{j} E": g[j - 1],
            rf"\dot\theta_{j}": f_0[j - 1] + h * f_1[j - 1],
            f"R_{j}": abs(g[j - 1]) + epsilon,
            rf"\partial_{j} N": sp.diff(potential, x).subs(at),
        }
    return found


ENTRIES = (
    Entry(
        "eq-sheet-gradient-descent",
        five_terms,
        "The left side is the engine's five terms on a random loss.",
    ),
    Entry(
        "eq-sheet-potentials",
        potentials,
        "The work of the programs' steps along a ray; for Muon the polar factor, and singular values from eigenvalues.",
    ),
    Entry(
        "eq-sheet-adam-outside",
        adam_outside,
        "Adam run for n + 1 steps on polynomials in h, with epsilon outside the root, compared with Taylor's formula.",
        {"j": (1, 2)},
    ),
)
