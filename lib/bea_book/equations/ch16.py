r"""The equations of chapter 16, an atlas of optimizers: net factors, and wrappers.

They are compared with the engine's terms on random losses; shares and degrees are derivatives of the
logarithm of the step, and ages those of averages on a parabola.
"""

import random
from typing import Any

import numpy as np
import sympy as sp

from bea import Loss, Optimizer, VectorField, adam
from bea.program import Decay, optimizer
from bea_book.equations.shared import (
    BOWL,
    DIGITS,
    Point,
    Values,
    X,
    age_moment,
    constant,
    decay,
    gradient_at,
    hessian_at,
    polynomial_loss,
    random_point,
    ratio,
    terms_at,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

A_1, A_2 = sp.symbols("A_1 A_2", positive=True)
LEVER = sp.Symbol("t")


def in_digits(values: Values) -> Values:
    """The values in floats of many digits, but for h and the number of slots."""
    return {name: v if name in ("h", "p") else v.evalf(DIGITS) for name, v in values.items()}


def three_terms(method: Optimizer, loss: Loss | VectorField, at: Point) -> sp.Matrix:
    """The engine's equation at a point, one term more than a page prints, so that remainders can be judged."""
    found = (h**k * term.evalf(DIGITS) for k, term in enumerate(terms_at(method, loss, at, 3)))
    return sum(found, sp.zeros(len(at), 1))


# --- coordinate by coordinate --------------------------------------------------------------------


def shares(step: sp.Expr, g: sp.Expr) -> list[sp.Expr]:
    """By how much the logarithm of a step U(A_1, A_2) changes with that of the gradient in one slot."""
    found = []
    for first, second in ((g * sp.exp(LEVER), g), (g, g * sp.exp(LEVER))):
        moved = step.subs({A_1: first, A_2: second**2}, simultaneous=True)
        found.append((sp.diff(moved, LEVER) / moved).subs(LEVER, 0))
    return found


def net_factor(rng: random.Random) -> Values:
    """Adam on a random loss of one parameter; the net factor is solved for in the engine's second term."""
    beta, rho, epsilon = decay(rng), decay(rng), ratio(rng)
    while True:
        loss = polynomial_loss(rng, degree=3, dimension=1)
        at = random_point(rng, loss)
        (g,), (curvature,) = gradient_at(loss, at), hessian_at(loss, at)
        if g != 0 and curvature != 0:
            break
    step = A_1 / sp.sqrt(A_2 + epsilon)
    here = {A_1: g, A_2: g**2}
    u = step.subs(here)
    second = terms_at(adam(beta, rho, epsilon), loss, at, 2)[1][0]
    G = sp.Symbol("G", real=True)
    alone = step.subs({A_1: G, A_2: G**2}, simultaneous=True)
    values = {
        "p": sp.Integer(2),
        "K": -2 * second * g / (u**2 * curvature),
        "g": g,
        "u": u,
        "u'(g)": sp.diff(alone, G).subs(G, g),
        "q": sum(shares(step, g)),
        "a_1'": sp.Integer(1),
        "a_2'": 2 * g,
    }
    for i, (A, b, s) in enumerate(zip((A_1, A_2), (beta, rho), shares(step, g)), 1):
        values |= {f"C_{i}": constant(b), rf"\ell_{i}": age_moment(b, 1), f"s_{i}": s}
        values[rf"\frac{{\partial U}}{{\partial A_{i}}}"] = sp.diff(step, A).subs(here)
    return in_digits(values)


def law(rng: random.Random) -> Values:
    """Adam on a random loss of two parameters, by the engine; the potential is differentiated."""
    loss, beta, rho, epsilon = polynomial_loss(rng), decay(rng), decay(rng), ratio(rng)
    at = random_point(rng, loss)
    motion = three_terms(adam(beta, rho, epsilon), loss, at)
    potential = sum(sp.sqrt(g**2 + epsilon) for g in loss.gradient_expressions)
    values: Values = {"h": h}
    for j, (symbol, g) in enumerate(zip(loss.symbols, gradient_at(loss, at)), 1):
        both = shares(A_1 / sp.sqrt(A_2 + epsilon), g)
        values |= {
            rf"\dot\theta_{j}": motion[j - 1],
            f"u_{j}": (g / sp.sqrt(g**2 + epsilon)).evalf(DIGITS),
            f"g_{j}": g,
            f"K_{j}": (constant(beta) * both[0] + constant(rho) * both[1]).evalf(DIGITS),
            rf"\partial_{j}\varphi(\nabla E)": sp.diff(potential, symbol).xreplace(at).evalf(DIGITS),
        }
    return values


@optimizer
def average_of_average(theta: Any, gradient: Any, memory: Any, beta: Decay, rho: Decay) -> Any:
    """Move by an average of an average of the gradient."""
    return memory.average(memory.average(gradient(theta), rho), beta)


def nested(rng: random.Random) -> Values:
    """An average of an average of the gradient, on a parabola."""
    beta, rho = ratio(rng, 1, 9, 10), ratio(rng, 1, 10, 11)
    return {
        r"C_{\beta\rho}": -2 * terms_at(average_of_average(beta, rho), BOWL, {X: sp.Integer(1)}, 2)[1][0],
        r"C_\beta": constant(beta),
        r"C_\rho": constant(rho),
        r"\ell_\beta": age_moment(beta, 1),
        r"\ell_\rho": age_moment(rho, 1),
    }


# --- wrappers ------------------------------------------------------------------------------------


@optimizer
def sam_with_step(theta: Any, gradient: Any, memory: Any, kappa: Any) -> Any:
    """SAM whose radius is kappa times the step size."""
    g = gradient(theta)
    return gradient(theta + kappa * memory.h * g / np.sqrt(np.sum(g**2)))


def sam(rng: random.Random) -> Values:
    loss, kappa = polynomial_loss(rng, degree=3), ratio(rng)
    at = random_point(rng, loss)
    squared = sum(g**2 for g in loss.gradient_expressions)
    slopes = [sp.Matrix([sp.diff(f, s) for s in at]).xreplace(at).evalf(DIGITS) for f in (sp.sqrt(squared), squared)]
    return {
        r"\dot\theta": three_terms(sam_with_step(kappa), loss, at),
        r"\nabla E": gradient_at(loss, at),
        r"\nabla\lVert\nabla E\rVert": slopes[0],
        r"\nabla\lVert\nabla E\rVert^2": slopes[1],
        r"\kappa": kappa,
        "h": h,
    }


@optimizer
def lars_with_factor(theta: Any, gradient: Any, memory: Any, beta: Decay) -> Any:
    """LARS whose average carries the factor 1 - beta."""
    g = gradient(theta)
    return memory.average(g * np.sqrt(np.sum(theta**2) / np.sum(g**2)), beta)


def last(rng: random.Random) -> Values:
    """LARS on a random loss of two parameters."""
    loss, beta = polynomial_loss(rng, degree=3), decay(rng)
    at = random_point(rng, loss)
    g = sp.Matrix(loss.gradient_expressions)
    w = g * sp.sqrt(sum(s**2 for s in at) / sum(v**2 for v in g))
    rate = -(w.jacobian(list(at)).xreplace(at) * w.xreplace(at))
    return {
        r"\dot\theta": three_terms(lars_with_factor(beta), loss, at),
        "w": w.xreplace(at).evalf(DIGITS),
        r"\dot w": rate.evalf(DIGITS),
        r"C_\beta": constant(beta),
        "h": h,
    }


# --- memory that never forgets -------------------------------------------------------------------


@optimizer
def adagrad_with_sum(z: Any, gradient: Any, memory: Any) -> Any:
    """Adagrad for one parameter, with its sum as a second coordinate."""
    g = gradient(z)[:1]
    return np.concatenate([g / np.sqrt(z[1:] + memory.h * g**2), -(g**2)])


def adagrad(rng: random.Random) -> Values:
    loss, s = polynomial_loss(rng, dimension=1), sp.Symbol("s", positive=True)
    (x,), (slope,) = loss.symbols, loss.gradient_expressions
    at = {x: ratio(rng), s: ratio(rng, denominator=5)}
    field = VectorField((-slope, slope**2), (x, s))
    motion = three_terms(adagrad_with_sum(), field, at)
    return {
        r"\dot\theta": motion[0],
        r"\dot s": motion[1],
        "E'": sp.diff(loss.expression, x).subs(at),
        "E''": sp.diff(loss.expression, x, 2).subs(at),
        "s": at[s].evalf(DIGITS),
        "h": h,
    }


ENTRIES = (
    Entry(
        "eq-atlas-net",
        net_factor,
        "The net factor from the engine's second term of Adam; shares from the logarithm of the step.",
    ),
    Entry(
        "eq-atlas-law",
        law,
        "The engine's three terms of Adam on a random loss of two parameters.",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-atlas-degree",
        net_factor,
        "The net factor from the engine's second term of Adam; ages from the moments of the weights.",
    ),
    Entry(
        "eq-atlas-nested",
        nested,
        "The engine's second term of an average of an average, on a parabola.",
    ),
    Entry(
        "eq-atlas-sam",
        sam,
        "The engine's three terms of SAM with a radius in units of the step.",
    ),
    Entry(
        "eq-atlas-last",
        last,
        "The engine's three terms of LARS; its direction is differentiated along itself.",
    ),
    Entry(
        "eq-atlas-adagrad",
        adagrad,
        "The engine's three terms of Adagrad with its sum as a coordinate.",
    ),
)
