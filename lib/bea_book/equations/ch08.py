r"""The equations of chapter 8, one law for every geometry.

They are compared with the engine's terms of programs that step along the gradient of a potential: a
random polynomial, or the nuclear norm of a 2x2 matrix, where the program has the closed form.
Singular values come from eigenvalues, ages from the generating function of the weights or from the
engine's terms on a parabola, and turns from exact runs.
"""

import random
from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np
import sympy as sp

from bea import Optimizer, lion, nesterov
from bea.program import Decay, Running, optimizer
from bea_book.equations.shared import (
    BOWL,
    DIGITS,
    Point,
    Values,
    X,
    calculus,
    critical_at_origin,
    gradient_at,
    hessian_at,
    polynomial_loss,
    random_point,
    ratio,
    terms_at,
    works,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

SLOTS = sp.symbols("u v")  # the coordinates of a gradient


def steepest(direction: Callable[[Any], Any], beta: sp.Expr) -> Optimizer:
    """The optimizer that puts an average of the gradient into a function."""

    @optimizer
    def descent(theta: Any, gradient: Any, memory: Any, beta: Decay) -> Any:
        return direction(memory.average(gradient(theta), beta))

    return descent(beta)


def age(beta: sp.Expr) -> sp.Expr:
    """The mean age, from the generating function of the weights."""
    u = sp.Symbol("u")
    return sp.diff((1 - beta) / (1 - beta * u), u).subs(u, 1)


# --- a random potential --------------------------------------------------------------------------


def potential(rng: random.Random) -> sp.Expr:
    """A random polynomial of degree 4 in a gradient, zero at zero, that is convex enough."""
    u, v = SLOTS
    return 5 * (u**2 + v**2) + ratio(rng) * u * v + sum((ratio(rng) * w**4 for w in SLOTS), ratio(rng) * u**2 * v)


def of_gradient(expression: sp.Expr) -> Callable[[Any], Any]:
    """The gradient of a polynomial, as a program computes it."""
    polynomials = [sp.Poly(expression.diff(w), *SLOTS).terms() for w in SLOTS]

    def direction(m: Any) -> Any:
        return np.stack([sum(c * m[0] ** i * m[1] ** j for (i, j), c in terms) for terms in polynomials])

    return direction


def law(rng: random.Random) -> Values:
    """Descent along the gradient of a random potential, on a random loss."""
    loss, phi, beta = critical_at_origin(rng), potential(rng), ratio(rng, 1, 9, 10)
    at, method = random_point(rng, loss), steepest(of_gradient(phi), beta)
    gradient, hessian = gradient_at(loss, at), hessian_at(loss, at)
    here = dict(zip(SLOTS, gradient))
    slope = sp.Matrix([phi.diff(w) for w in SLOTS])
    bend = sp.hessian(phi, SLOTS)
    f_0, f_1 = terms_at(method, loss, at, 2)

    def displaced(place: Point) -> list[sp.Matrix]:
        """By how much the gradient in the potential would have to be displaced for the second term."""
        second = terms_at(method, loss, place, 2)[1]
        return [bend.xreplace(dict(zip(SLOTS, gradient_at(loss, place)))).LUsolve(second)]

    # the displacement is a gradient, a polynomial of degree 4 * 2 - 1
    [work] = works(displaced, at, 7)
    moved = gradient - h * displaced(at)[0]
    composite = phi.subs(dict(zip(SLOTS, loss.gradient_expressions)), simultaneous=True)
    return {
        **calculus(loss, at),
        "h": h,
        r"\ell": age(beta),
        r"\Phi": bend.xreplace(here),
        r"\dot g": hessian * (f_0 + h * f_1),
        r"\dot\theta": f_0 + h * f_1,
        r"\nabla\varphi(g)": slope.xreplace(here),
        r"\varphi(\nabla E)": phi.xreplace(here),
        r"\nabla\varphi(\nabla E)": -f_0,
        r"\nabla_\theta\varphi(\nabla E)": sp.Matrix([composite.diff(s) for s in loss.symbols]).xreplace(at),
        r"\nabla\varphi(\nabla\tilde E)": slope.subs(dict(zip(SLOTS, moved)), simultaneous=True),
        r"\tilde E": loss.expression.xreplace(at) + h * work,
    }


# --- a 2x2 matrix --------------------------------------------------------------------------------


def singular_values(matrix: sp.Matrix) -> list[sp.Expr]:
    """The roots of the eigenvalues of the matrix times its transpose."""
    trace, determinant = (matrix * matrix.T).trace(), (matrix * matrix.T).det()
    root = sp.sqrt(trace**2 - 4 * determinant)
    return [sp.sqrt((trace + sign * root) / 2).evalf(DIGITS) for sign in (1, -1)]


def polar_of_2x2(m: Any) -> Any:
    """The polar factor of a matrix of positive determinant: the sum with its cofactors, scaled."""
    turned = m + np.stack([m[3], -m[2], -m[1], m[0]])
    return turned / np.sqrt(np.sum(turned**2) / 2)


def matrix(rng: random.Random) -> Values:
    found = sp.Matrix(2, 2, lambda i, j: rng.choice((-1, 1)) * ratio(rng, denominator=5))
    return {
        "G": found,
        r"\lVert G\rVert_{\mathrm{nuc}}": sum(singular_values(found)),
        r"\lVert G\rVert_F": sp.sqrt((found * found.T).trace()),
        r"\det G": found.det(),
    }


def muon_rate(rng: random.Random) -> Values:
    """How fast a random loss of a 2x2 matrix falls along the leading order of the program of Muon."""
    while True:
        loss = polynomial_loss(rng, dimension=4, degree=2)
        at = random_point(rng, loss)
        gradient = gradient_at(loss, at)
        square = gradient.reshape(2, 2)
        if square.det() > 0:
            break
    [rate] = terms_at(steepest(polar_of_2x2, sp.Integer(0)), loss, at, 1)
    t = sp.Symbol("t")
    moved = {s: at[s] + t * r for s, r in zip(loss.symbols, rate)}
    return {
        r"\dot E": sp.Matrix([sp.expand(loss.expression.xreplace(moved)).coeff(t, 1).evalf(DIGITS)]),
        r"\nabla E": gradient,
        r"\dot\theta": rate.evalf(DIGITS),
        r"\lVert\nabla E\rVert_*": sp.Matrix([sum(singular_values(square))]),
    }


# --- memory --------------------------------------------------------------------------------------


def ages(rng: random.Random) -> Values:
    beta, first, second = ratio(rng, 1, 9, 10), ratio(rng, 1, 9, 10), ratio(rng, 1, 10, 11)
    at = {X: ratio(rng)}
    f_0, f_1 = (term[0] for term in terms_at(nesterov(beta), BOWL, at, 2))
    speed = -f_0 / at[X]
    c_nesterov = -2 * f_1 / (speed**2 * at[X])
    f_0, f_1 = (term[0] for term in terms_at(lion(first, second, sp.Integer(1)), BOWL, at, 2))
    c_lion = 2 * f_1 * (at[X] ** 2 + 1) ** sp.Rational(3, 2) / f_0
    return {
        r"\beta": beta,
        r"\beta_1": first,
        r"\beta_2": second,
        r"\ell": age(beta),
        r"\ell_{\mathrm{N}}": (c_nesterov - 1) / 2,
        r"\ell_{\mathrm{Lion}}": ((c_lion - 1) / 2).evalf(DIGITS),
    }


def turns(rng: random.Random) -> Values:
    """Exact runs: the average of a gradient that falls at a constant rate, with zeros in the middle of
    equal parts of a step, and the first step at which the average is negative."""
    beta, size, rate = sp.Rational(rng.randint(1, 4), 5), ratio(rng), ratio(rng, denominator=5)
    lag = age(beta)
    parts = int(sp.denom(lag)) * 4
    delays = []
    for k in range(parts):
        zero = size * (3 + sp.Rational(2 * k + 1, 2 * parts))
        memory = Running(size, [(rate * (zero + size * (1 + lag)), 0)])  # what it holds one step before the start
        n = 0
        while memory.average(rate * (zero - n * size), beta) > 0:
            memory, n = memory.advance(), n + 1
            assert n < 10 + ceil(lag)
        delays.append(n * size - zero)
    return {
        r"\langle t_{\mathrm{turn}} - t_*\rangle": sum(delays) / parts,
        "h": size,
        r"\ell": lag,
    }


ENTRIES = (
    Entry(
        "eq-geo-rate",
        muon_rate,
        "The nuclear norm, by eigenvalues; the rate, along the engine's leading term of Muon on a random loss of a 2x2 matrix.",
    ),
    Entry(
        "eq-geo-chain",
        law,
        "The left side differentiates the composite of a random potential and a random gradient; the step is the engine's.",
    ),
    Entry(
        "eq-geo-line",
        law,
        "The left side is the engine's two terms for a random potential.",
    ),
    Entry(
        "eq-geo-law",
        law,
        "The engine's second term, solved for the displaced gradient, and its work along a ray from a critical point.",
    ),
    Entry(
        "eq-geo-nuclear",
        matrix,
        "Singular values from the eigenvalues of the matrix times its transpose.",
    ),
    Entry(
        "eq-geo-ages",
        ages,
        "From the generating function of the weights, and from the engine's two terms of the library's optimizers.",
    ),
    Entry(
        "eq-geo-turn",
        turns,
        "Exact runs of the average, with the zero of the gradient at equally spaced places in a step.",
    ),
)
