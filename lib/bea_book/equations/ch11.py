r"""The equations of chapter 11, regimes: the sign of Adam's bracket.

They are compared with the engine's second term on random losses, with its roots in one unknown, and
with the engine's equation of heavy ball.
"""

import random
from typing import Any

import sympy as sp

from bea import adam, bilinear, heavy_ball
from bea_book.equations.shared import (
    BOWL,
    DIGITS,
    Values,
    X,
    adam_sign_change,
    at_origin,
    calculus,
    constant,
    constants,
    critical_at_origin,
    decays,
    gradient_at,
    hessian_at,
    polynomial_loss,
    random_point,
    ratio,
    terms,
    terms_at,
    works_of_terms,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]


def steady(rng: random.Random, inside: bool = True) -> Values:
    """A random loss at a random point: gradients, the norm's derivatives, and brackets from the
    engine's second term of Adam."""
    (beta, rho), epsilon = decays(rng), ratio(rng, 1, 9, 10)
    loss = polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    method = adam(beta, rho, epsilon, epsilon_inside=inside)
    f_0, f_1 = (term.evalf(DIGITS) for term in terms_at(method, loss, at, 2))
    pull = -hessian_at(loss, at) * f_0
    found = {r"\varepsilon": epsilon, "d": sp.Integer(2), "h": h}
    found |= constants(r"\beta", beta) | constants(r"\rho", rho)
    for j, g in enumerate(gradient_at(loss, at), 1):
        R = sp.sqrt(g**2 + epsilon) if inside else abs(g) + epsilon
        found |= {
            rf"\partial_{j} E": g,
            f"R_{j}": R,
            f"B_{j}": -2 * f_1[j - 1] * R / pull[j - 1],
            rf"\mathrm{{bias}}_{j}": -h * f_1[j - 1] * R,
            rf"\partial_{j}\lVert\nabla E\rVert_{{1,\varepsilon}}": pull[j - 1],
        }
    return found


def net_sign(rng: random.Random) -> Values:
    """As above, but with the brackets from the lags, so that only the left side knows the engine."""
    found = steady(rng)
    for j in (1, 2):
        square = found[rf"\partial_{j} E"] ** 2
        share = square / (square + found[r"\varepsilon"])
        found[f"B_{j}"] = found[r"C_\beta"] - found[r"C_\rho"] * share
    return found


def root(unknown: str, inside: bool = True, **given: Any) -> sp.Expr:
    """The positive value of one symbol at which the engine's second term on a parabola vanishes."""
    symbols = {name: sp.Symbol(name, positive=True) for name in ("beta", "rho", "epsilon")}
    second = terms(adam(*symbols.values(), epsilon_inside=inside), BOWL, 2)[1][0]
    symbols["x"] = X
    values = {symbols[name]: value for name, value in given.items()}
    roots = sp.solve(sp.numer(sp.together(second.subs(values))), symbols[unknown])
    (found,) = (value for value in roots if value > 0)
    return found


def threshold(rng: random.Random) -> Values:
    """The gradient at which a coordinate changes its regime."""
    beta, rho, epsilon = ratio(rng, 1, 4, 10), ratio(rng, 6, 9, 10), ratio(rng, 8, 13)
    return {
        r"\varepsilon": epsilon,
        r"C_\beta": constant(beta),
        r"C_\rho": constant(rho),
        "g_*": root("x", beta=beta, rho=rho, epsilon=epsilon),
    }


def threshold_outside(rng: random.Random) -> Values:
    """The same with epsilon outside the root, for the constants of a random loss."""
    found = steady(rng, inside=False)
    # C = (1 + decay)/(1 - decay)
    beta, rho = ((found[name] - 1) / (found[name] + 1) for name in (r"C_\beta", r"C_\rho"))
    if beta > rho:  # no positive root: draw again
        return threshold_outside(rng)
    epsilon = found[r"\varepsilon"]
    return {**found, "g_*": root("x", inside=False, beta=beta, rho=rho, epsilon=epsilon)}


def balanced_rho(rng: random.Random) -> Values:
    beta, epsilon, g = ratio(rng, 1, 9, 10), ratio(rng), ratio(rng)
    return {
        r"\beta": beta,
        "u": epsilon / g**2,
        r"\rho_*": root("rho", beta=beta, epsilon=epsilon, x=g),
    }


def two_constants(rng: random.Random) -> Values:
    beta, rho = decays(rng)
    return {r"\beta": beta, r"\rho": rho, r"C_\beta": constant(beta), r"C_\rho": constant(rho)}


def missing(rng: random.Random) -> Values:
    rho = ratio(rng, 2, 9, 10)
    after = {rf"C_\rho({n})": constant(rho, n) for n in (0, 1, 4)}
    return {r"\rho": rho, r"C_\rho": constant(rho), **after}


def large_epsilon(rng: random.Random) -> Values:
    """Heavy ball with the step size h / sqrt(epsilon): its modified loss, integrated along a ray."""
    loss, beta, epsilon = critical_at_origin(rng), ratio(rng, 2, 9, 10), ratio(rng)
    at = random_point(rng, loss)
    first, second = works_of_terms(heavy_ball(beta, damped=True), loss, at)
    return {
        **calculus(loss, at),
        r"\tilde E": at_origin(loss) + first + h / sp.sqrt(epsilon) * second,
        "h": h,
        r"\varepsilon": epsilon,
        **constants(r"\beta", beta),
    }


def on_the_valley(rng: random.Random) -> Values:
    """The bilinear model above its valley: readings by differentiation, motions by the engine."""
    c, k, a, b = ratio(rng), ratio(rng, 8, 15), ratio(rng, 11, 19, 10), ratio(rng, 21, 29, 10)
    (beta, rho), epsilon = decays(rng), ratio(rng)
    loss = bilinear(c, k)
    at = dict(zip(loss.symbols, (a, b)))
    f_0, f_1 = terms_at(adam(beta, rho, sp.Integer(0)), loss, at, 2)
    motion = f_0 + h * f_1
    ball = terms_at(heavy_ball(beta, damped=True), loss, at, 2)
    rolling = ball[0] + h / sp.sqrt(epsilon) * ball[1]
    turning = (a * rolling[0] - b * rolling[1]) / (a * rolling[1] + b * rolling[0])
    return {
        "a": a,
        "b": b,
        "k": k,
        "h": h,
        "r": c - k * a * b,
        "p": a * b,
        "D": a**2 - b**2,
        r"\delta": a - b,
        r"\varepsilon": epsilon,
        **constants(r"\beta", beta),
        **constants(r"\rho", rho),
        r"\dot a": motion[0],
        r"\dot b": motion[1],
        r"\dot\delta": motion[0] - motion[1],
        r"\lVert\nabla E\rVert_1": sum(abs(g) for g in gradient_at(loss, at)),
        r"\operatorname{tr}H": hessian_at(loss, at).trace(),
        r"\frac{dD}{dp}": 2 * turning,
    }


ENTRIES = (
    Entry(
        "eq-regimes-bracket",
        steady,
        "the engine's second term on a random loss, divided by the norm's derivative",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-regimes-boundary",
        adam_sign_change,
        "the root in epsilon of the engine's second term on a parabola",
    ),
    Entry(
        "eq-regimes-decays",
        two_constants,
        "the constants from the engine's equation of a damped mean gradient",
    ),
    Entry(
        "eq-regimes-large",
        large_epsilon,
        "the engine's two terms of heavy ball, integrated along a ray",
    ),
    Entry(
        "eq-regimes-rho",
        balanced_rho,
        "the root in rho of the engine's second term on a parabola",
    ),
    Entry(
        "eq-regimes-threshold",
        threshold,
        "the root in the gradient of the engine's second term on a parabola",
    ),
    Entry(
        "eq-regimes-outside",
        threshold_outside,
        "the engine's second term with epsilon outside: on a random loss, and its root on a parabola",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-regimes-missing",
        missing,
        "the engine's steady state and its piece n of a bias-corrected mean gradient",
        {"n": (0, 1, 4)},
    ),
    Entry(
        "eq-regimes-vote",
        net_sign,
        "the left side is the norm's gradient times the engine's second term",
    ),
    Entry(
        "eq-regimes-drift",
        on_the_valley,
        "the engine's two terms on the bilinear model without epsilon, on both sides",
    ),
    Entry(
        "eq-regimes-readings",
        on_the_valley,
        "differentiation of the bilinear model",
    ),
    Entry(
        "eq-regimes-momentum",
        on_the_valley,
        "the engine's two terms of heavy ball with the step size h / sqrt(epsilon)",
    ),
)
