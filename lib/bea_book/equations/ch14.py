r"""The equations of chapter 14, experiments: Adam's field at a network, and what a small correction does
to a quantity at a given loss.

They are compared with Adam run on polynomials in h, with derivatives of that field by SymPy, with
limits, and with implicit differentiation.
"""

import random

import sympy as sp

from bea import Loss, adam, lag, transient_equation
from bea_book.equations.shared import (
    DIGITS,
    Polynomial,
    Values,
    adam_from_the_start,
    constants,
    decays,
    on_polynomials,
    one_loss,
    polynomial_loss,
    random_point,
    ratio,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

EARLY = 2  # a step


def long_memory(rng: random.Random) -> Values:
    rho, n = sp.Symbol("rho", positive=True), rng.randint(3, 6)
    limit = sp.limit(1 + 2 * lag(rho, n), rho, 1)
    return {"n": sp.Integer(n), r"\lim_{\rho\to 1}C_\rho(n)": limit}


def field(rng: random.Random) -> Values:
    """Adam from its start; the brackets are what its second term is made of."""
    found = adam_from_the_start(rng)
    for j in (1, 2):
        pull = found[rf"\partial_{j}\lVert\nabla E\rVert_{{1,\varepsilon}}"]
        found[f"B_{j}(n)"] = 2 * found[rf"\mathrm{{bias}}_{j}"] / (h * pull)
    return found


def terminal(rng: random.Random) -> Values:
    """A displaced line theta + s delta + tau f, moved in tau until E is what it was: how N changes."""
    loss, other = polynomial_loss(rng, degree=3), polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    delta, f = ([ratio(rng), ratio(rng)] for _ in range(2))

    def slope(problem: Loss, direction: list[sp.Expr]) -> sp.Expr:
        line = [Polynomial(pair) for pair in zip(at.values(), direction)]
        return on_polynomials(problem.expression, problem.symbols, line).coefficients[1]

    def change(direction: list[sp.Expr]) -> sp.Expr:
        rate = -slope(loss, direction) / slope(loss, f)  # d tau/d s on the level
        return slope(other, direction) + slope(other, f) * rate

    found = {
        r"\Delta N": change(delta),
        "d": sp.Integer(2),
        r"\dot N": slope(other, f),
        r"\dot E": slope(loss, f),
    }
    for j, x in enumerate(loss.symbols, 1):
        found |= {
            rf"\delta_{j}": delta[j - 1],
            rf"\partial_{j} N": sp.diff(other.expression, x).subs(at),
            rf"\partial_{j} E": sp.diff(loss.expression, x).subs(at),
            # the coefficient of delta_j: the same with a unit displacement
            f"a_{j}": change([sp.Integer(int(y == x)) for y in loss.symbols]),
        }
    return found


def carried(rng: random.Random) -> Values:
    """A random loss with a vector a carried by minus the transposed Jacobian of f_0, and a
    displacement pushed by h f_1."""
    (beta, rho), epsilon, n = decays(rng), ratio(rng), EARLY
    loss = polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    second = transient_equation(adam(beta, rho, epsilon), loss).terms(n)[1]
    plain = sp.Matrix([-g / sp.sqrt(g**2 + epsilon) for g in loss.gradient_expressions])
    jacobian = plain.jacobian(loss.symbols).subs(at).evalf(DIGITS)
    a, delta = (sp.Matrix([ratio(rng), ratio(rng)]) for _ in range(2))
    a_dot, delta_dot = -jacobian.T * a, jacobian * delta + h * second.subs(at).evalf(DIGITS)
    found = one_loss(loss, at, epsilon)
    found[r"\dot s"] = (a_dot.T * delta + a.T * delta_dot)[0]
    lags = constants(r"\beta", beta, n) | constants(r"\rho", rho, n)
    for j in (1, 2):
        share = found[rf"\partial_{j} E"] ** 2 / found[f"R_{j}"] ** 2
        found[f"B_{j}(n)"] = lags[r"C_\beta(n)"] - lags[r"C_\rho(n)"] * share
        found |= {f"a_{j}": a[j - 1], rf"\dot a_{j}": a_dot[j - 1]}
    return found


ENTRIES = (
    Entry(
        "eq-nets-young",
        long_memory,
        "SymPy's limit of 1 + 2 lag",
    ),
    Entry(
        "eq-nets-field",
        field,
        "Adam run for n + 1 steps on polynomials in h; the bracket is its second term divided by the norm's derivative",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-nets-terminal",
        terminal,
        "implicit differentiation of two random polynomials on a displaced line",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-nets-adjoint",
        carried,
        "minus the transposed Jacobian of f_0 of a random loss, by differentiation",
        {"i": (1, 2)},
    ),
    Entry(
        "eq-nets-response",
        carried,
        "the product rule, with the Jacobian by differentiation and the push from the engine",
    ),
)
