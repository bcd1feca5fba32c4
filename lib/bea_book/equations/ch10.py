r"""Chapter 10, experiments: Adam's field at a network, and what a small correction does to a quantity at a given loss.

The witnesses: Adam run on polynomials in h (chapter 7's), the derivatives of that field by SymPy, limits, and implicit differentiation.
"""

import random
from functools import cache

import sympy as sp

from bea.averages import lag
from bea.modified import transient_equation
from bea.optimizers import adam
from bea_book.equations.ch07 import DIGITS, decays, full_batch
from bea_book.equations.instances import polynomial_loss, random_point, ratio
from bea_book.ledger import Entry, h

young_step = 2
from_the_start = full_batch(n=young_step)


def filling(rng):
    rho = sp.Symbol("rho", positive=True)
    return {
        "n": sp.Integer(n := rng.randint(3, 6)),
        r"\lim_{\rho\to 1}C_\rho(n)": sp.limit(1 + 2 * lag(rho, n), rho, 1),
    }


def field(rng):
    """Chapter 7's Adam from its start; the brackets are what its second term is made of."""
    found = dict(from_the_start(rng))
    for j in (1, 2):
        pull = found[rf"\partial_{j}\lVert\nabla E\rVert_{{1,\varepsilon}}"]
        found[f"B_{j}(n)"] = 2 * found[rf"\mathrm{{bias}}_{j}"] / (h * pull)
    return found


def terminal(rng):
    """A displaced line theta + s delta + tau f, moved in tau until E is what it was, by implicit differentiation at s = 0."""
    loss, other = polynomial_loss(rng, degree=3), polynomial_loss(rng, degree=3)
    s, tau = sp.symbols("s tau")
    at = random_point(rng, loss)
    delta, f = ([ratio(rng), ratio(rng)] for _ in range(2))
    moved = {x: at[x] + s * u + tau * v for x, u, v in zip(loss.symbols, delta, f)}
    E, N = (k.expression.subs(moved, simultaneous=True) for k in (loss, other))
    when = sp.idiff(E, tau, s)  # d tau/d s on the level
    here = {s: 0, tau: 0}
    change = (sp.diff(N, s) + sp.diff(N, tau) * when).subs(here)
    found = {
        r"\Delta N": change,
        "d": sp.Integer(2),
        r"\dot N": sp.diff(N, tau).subs(here),
        r"\dot E": sp.diff(E, tau).subs(here),
    }
    for j in (1, 2):
        x = loss.symbols[j - 1]
        found |= {
            rf"\delta_{j}": delta[j - 1],
            rf"\partial_{j} N": sp.diff(other.expression, x).subs(at),
            rf"\partial_{j} E": sp.diff(loss.expression, x).subs(at),
        }
        # the coefficient of delta_j in the change: the same with a unit displacement
        unit = {y: at[y] + s * int(y == x) + tau * v for y, v in zip(loss.symbols, f)}
        E_j, N_j = (k.expression.subs(unit, simultaneous=True) for k in (loss, other))
        found[f"a_{j}"] = (sp.diff(N_j, s) + sp.diff(N_j, tau) * sp.idiff(E_j, tau, s)).subs(here)
    return found


@cache
def carried_atoms(seed):
    """A random loss with a vector a carried by minus the transposed Jacobian of f_0, and a displacement pushed by h f_1."""
    rng = random.Random(seed)
    (beta, rho), epsilon, n = decays(rng), ratio(rng), young_step
    loss = polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    pieces = transient_equation(adam(beta, rho, epsilon), loss).terms(n)
    plain = sp.Matrix([-g / sp.sqrt(g**2 + epsilon) for g in loss.gradient_expressions])
    jacobian = plain.jacobian(loss.symbols).subs(at).evalf(DIGITS)
    push = h * pieces[1].subs(at).evalf(DIGITS)
    a, delta = (sp.Matrix([ratio(rng), ratio(rng)]) for _ in range(2))
    a_dot, delta_dot = -jacobian.T * a, jacobian * delta + push
    hessian = loss.hessian_expressions.subs(at).evalf(DIGITS)
    found = {
        r"\dot s": (a_dot.T * delta + a.T * delta_dot)[0],
        r"\varepsilon": epsilon,
        "h": h,
        "d": sp.Integer(2),
    }
    norm = sum(sp.sqrt(g**2 + epsilon) for g in loss.gradient_expressions)
    for j in (1, 2):
        g = loss.gradient_expressions[j - 1].subs(at).evalf(DIGITS)
        R = sp.sqrt(g**2 + epsilon)
        found |= {f"a_{j}": a[j - 1], rf"\dot a_{j}": a_dot[j - 1], f"R_{j}": R}
        found[f"B_{j}(n)"] = 1 + 2 * lag(beta, n) - (1 + 2 * lag(rho, n)) * g**2 / R**2
        found[rf"\partial_{j}\lVert\nabla E\rVert_{{1,\varepsilon}}"] = (
            sp.diff(norm, loss.symbols[j - 1]).subs(at).evalf(DIGITS)
        )
        found |= {rf"\partial_{{{i}{j}}} E": hessian[i - 1, j - 1] for i in (1, 2)}
    return found


def carried(rng):
    return carried_atoms(rng.randrange(4))


ENTRIES = (
    Entry(
        "eq-nets-young",
        filling,
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
