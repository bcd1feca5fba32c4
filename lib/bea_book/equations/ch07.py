r"""The equations of chapter 7, when momentum has a flow: heavy ball from rest, and on one mode.

They are compared with exact runs of the library's optimizer on random losses, and with eigenvalues
of one such step.
"""

import random

import numpy as np
import sympy as sp

from bea import heavy_ball
from bea.program import Running
from bea_book.equations.shared import (
    Polynomial,
    Values,
    age_moment,
    decay,
    gradient_at,
    on_polynomials,
    pace_constant,
    polynomial_loss,
    random_point,
    ratio,
    step_matrix,
    terms,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

STEPS = 5


def layer(rng: random.Random) -> Values:
    """Exact steps from rest, and the flow of the engine's two terms by Taylor's formula, to h^2."""
    loss, beta = polynomial_loss(rng, degree=3), decay(rng)
    at = random_point(rng, loss)
    start = sp.Matrix(list(at.values()))
    f_0, f_1 = terms(heavy_ball(beta), loss, 2)
    here, second = f_0.subs(at), f_1.subs(at)
    bend = f_0.jacobian(loss.symbols).subs(at) * here
    values = {r"\beta": beta, "h": h, r"\nabla E": gradient_at(loss, at)}

    def gradient(theta: np.ndarray) -> np.ndarray:
        slopes = [on_polynomials(g, loss.symbols, theta) for g in loss.gradient_expressions]
        return np.array(slopes, dtype=object)

    size, memory = Polynomial([0, 1, 0]), Running(h)
    theta = np.array([Polynomial([x, 0, 0]) for x in start], dtype=object)
    for n in range(STEPS):
        flow = start + n * h * here + h**2 * (n * second + n**2 * bend / 2)
        values[rf"\theta^{{({n})}}"] = sp.Matrix([x.expression() for x in theta])
        values[rf"\theta(t_{n})"] = flow
        update, memory = heavy_ball(beta)(theta, gradient, memory), memory.advance()
        theta = theta - update * size
    return values


def roots(rng: random.Random) -> Values:
    """Both eigenvalues, whatever their regime, with h lambda from small to large."""
    beta, lam = decay(rng), ratio(rng)
    size = rng.choice((sp.Rational(1, 3000), sp.Rational(1, 3), sp.Integer(3)))
    matrix = step_matrix(heavy_ball(beta), size * lam)
    first, second = (z for z, count in matrix.eigenvals().items() for _ in range(count))
    return {"z": first, "z_+": first, "z_-": second, r"\beta": beta, "h": size, r"\lambda": lam}


def manifold(rng: random.Random) -> Values:
    """An eigenvector of the library's step from (theta, m) to (theta, m), the average before the step."""
    beta, size, lam = decay(rng), sp.Rational(1, 3000), ratio(rng)
    matrix = step_matrix(heavy_ball(beta), size * lam)
    z, _, (vector, *_) = rng.choice(matrix.eigenvects())
    # on E = theta^2/2 with the step h lambda the library averages theta, not lambda theta
    return {
        r"m^{(n-1)}": lam * vector[1],
        r"\theta^{(n)}": vector[0],
        "z": z,
        r"\beta": beta,
        r"\lambda": lam,
    }


def slow_root(beta: sp.Expr, curvature: sp.Expr) -> sp.Expr:
    """The eigenvalue that is 1 without curvature."""
    s = sp.Symbol("s", positive=True)
    found = step_matrix(heavy_ball(beta), s).eigenvals()
    (slow,) = (z for z in found if sp.simplify(z.subs(s, 0) - 1) == 0)
    return slow.subs(s, curvature)


def slow_rate(rng: random.Random) -> Values:
    beta, x = decay(rng), sp.Symbol("x", positive=True)
    K = 1 + 2 * age_moment(beta, 1)
    at = ratio(rng, 1, 9, 11) * (K - sp.sqrt(K**2 - 1))
    logarithm = sp.log(slow_root(beta, (1 - beta) * x))
    return {r"\frac{d}{dx}\ln z_+": sp.diff(logarithm, x).subs(x, at).evalf(60), "K": K, "x": at}


def legendre(rng: random.Random) -> Values:
    beta, lam = decay(rng), ratio(rng)
    return {
        "z_+": slow_root(beta, h * lam),
        "x": h * lam / (1 - beta),
        "K": pace_constant(heavy_ball, beta),
        "h": h,
    }


EIGENVALUES = "eigenvalues of the library's step on one mode, a matrix made by stepping from unit vectors"

ENTRIES = (
    Entry(
        "eq-mem-layer",
        layer,
        "exact steps of the library's heavy ball from rest, in powers of h, against the flow of the engine's two terms",
        {"n": (0, 1, 4)},
    ),
    Entry("eq-mem-roots", roots, EIGENVALUES),
    Entry(
        "eq-mem-manifold",
        manifold,
        "eigenvectors of the library's step on one mode",
    ),
    Entry(
        "eq-mem-discriminant",
        roots,
        EIGENVALUES,
    ),
    Entry(
        "eq-mem-slow-rate",
        slow_rate,
        EIGENVALUES + "; the logarithm is differentiated by SymPy",
    ),
    Entry(
        "eq-mem-legendre",
        legendre,
        EIGENVALUES,
    ),
)
