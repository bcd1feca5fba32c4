r"""Chapter 8, regimes: the sign of Adam's bracket.

The witnesses: the engine's second term on random losses, its roots in one unknown, and the engine's equation of heavy ball.
"""

import random
from dataclasses import replace
from functools import cache

import sympy as sp

from bea.averages import lag
from bea.losses import Loss, bilinear
from bea.modified import modified_equation, transient_equation
from bea.optimizers import adam, heavy_ball
from bea_book.equations.ch03 import calculus, loss_with_critical_origin, potential
from bea_book.equations.ch07 import DIGITS, decays, sign_change
from bea_book.equations.instances import polynomial_loss, random_point, ratio
from bea_book.ledger import Entry, h

X = sp.Symbol("x", positive=True)
BOWL = Loss(X**2 / 2, (X,))  # here the gradient is x itself


def constant(decay, n=None):
    """C from the engine: twice the second term of a damped mean gradient on a parabola, in steady state or at step n."""
    momentum = heavy_ball(decay, damped=True)
    if n is None:
        f_1 = modified_equation(momentum, BOWL, 2).terms[1]
    else:
        f_1 = transient_equation(replace(momentum, bias_correction=True), BOWL).terms(n)[1]
    return -2 * f_1[0] / X


def steady(inside):
    """A random loss at a random point: gradients, the norm's derivatives, and the engine's second term of Adam."""

    @cache
    def atoms(seed):
        rng = random.Random(seed)
        optimizer = adam(*decays(rng), ratio(rng, 1, 9, 10), epsilon_inside=inside)
        loss = polynomial_loss(rng, degree=3)
        at = random_point(rng, loss)
        beta, rho, epsilon = optimizer.hyperparameters.values()
        f_0, f_1 = (
            term.subs(at).evalf(DIGITS) for term in modified_equation(optimizer, loss, 2).terms
        )
        gradient = sp.Matrix(loss.gradient_expressions).subs(at).evalf(DIGITS)
        pull = -loss.hessian_expressions.subs(at).evalf(DIGITS) * f_0
        found = {
            r"\varepsilon": epsilon,
            r"C_\beta": 1 + 2 * lag(beta),
            r"C_\rho": 1 + 2 * lag(rho),
            "d": sp.Integer(2),
            "h": h,
        }
        for j in (1, 2):
            g = gradient[j - 1]
            R = sp.sqrt(g**2 + epsilon) if inside else sp.Abs(g) + epsilon
            found |= {
                rf"\partial_{j} E": g,
                f"R_{j}": R,
                f"B_{j}": -2 * f_1[j - 1] * R / pull[j - 1],
            }
            found[rf"\mathrm{{bias}}_{j}"] = -h * f_1[j - 1] * R
            found[rf"\partial_{j}\lVert\nabla E\rVert_{{1,\varepsilon}}"] = pull[j - 1]
        return found

    return lambda rng: atoms(rng.randrange(4))


def vote(rng):
    """As above, but with the brackets from the lags, so that only the left side knows the engine."""
    found = dict(steady(True)(rng))
    for j in (1, 2):
        g = found[rf"\partial_{j} E"]
        found[f"B_{j}"] = found[r"C_\beta"] - found[r"C_\rho"] * g**2 / (
            g**2 + found[r"\varepsilon"]
        )
    return found


def root(unknown, inside=True, **given):
    """The positive value of one symbol at which the engine's second term on the parabola vanishes."""
    symbols = {name: sp.Symbol(name, positive=True) for name in ("beta", "rho", "epsilon")}
    optimizer = adam(*symbols.values(), epsilon_inside=inside)
    f_1 = modified_equation(optimizer, BOWL, 2).terms[1][0]
    values = {X if name == "x" else symbols[name]: value for name, value in given.items()}
    wanted = X if unknown == "x" else symbols[unknown]
    (found,) = (s for s in sp.solve(sp.numer(sp.together(f_1.subs(values))), wanted) if s > 0)
    return found


def threshold(inside):
    """The gradient at which a coordinate changes its regime; with epsilon outside, the atoms of a random loss too."""

    def instance(rng):
        beta, rho, epsilon = ratio(rng, 1, 4, 10), ratio(rng, 5, 9, 10), ratio(rng, 8, 13)
        if inside:
            found = {r"\varepsilon": epsilon, r"C_\beta": constant(beta), r"C_\rho": constant(rho)}
            return {**found, "g_*": root("x", beta=beta, rho=rho, epsilon=epsilon)}
        found = steady(False)(rng)
        # the root for the same constants as the random loss has, C = (1 + decay)/(1 - decay)
        beta, rho = ((found[name] - 1) / (found[name] + 1) for name in (r"C_\beta", r"C_\rho"))
        if beta > rho:  # no positive root: draw again
            return instance(rng)
        return {
            **found,
            "g_*": root("x", inside=False, beta=beta, rho=rho, epsilon=found[r"\varepsilon"]),
        }

    return instance


def balanced_rho(rng):
    beta, epsilon, g = ratio(rng, 1, 9, 10), ratio(rng), ratio(rng)
    return {
        r"\beta": beta,
        "u": epsilon / g**2,
        r"\rho_*": root("rho", beta=beta, epsilon=epsilon, x=g),
    }


def two_constants(rng):
    beta, rho = decays(rng)
    return {r"\beta": beta, r"\rho": rho, r"C_\beta": constant(beta), r"C_\rho": constant(rho)}


def filling(rng):
    rho = ratio(rng, 2, 9, 10)
    return {r"\rho": rho, r"C_\rho": constant(rho)} | {
        rf"C_\rho({n})": constant(rho, n) for n in (0, 1, 4)
    }


def large_epsilon(rng):
    """Heavy ball with the step size h / sqrt(epsilon): its modified loss, integrated along a ray from a critical point."""
    loss, beta, epsilon = loss_with_critical_origin(rng), ratio(rng, 2, 9, 10), ratio(rng)
    at = random_point(rng, loss)
    f_0, f_1 = modified_equation(heavy_ball(beta, damped=True), loss, 2).terms
    tilted = potential(f_0 + h / sp.sqrt(epsilon) * f_1, loss, at)
    return {
        **calculus(loss, at),
        r"\tilde E": tilted,
        "h": h,
        r"\varepsilon": epsilon,
        r"C_\beta": 1 + 2 * lag(beta),
    }


def on_the_valley(rng):
    """The bilinear model above its valley: readings by differentiation, motions by the engine."""
    c, k, a, b = ratio(rng), ratio(rng, 8, 15), ratio(rng, 11, 19, 10), ratio(rng, 21, 29, 10)
    (beta, rho), epsilon = decays(rng), ratio(rng)
    loss = bilinear(c, k)
    at = dict(zip(loss.symbols, (a, b)))
    gradient = sp.Matrix(loss.gradient_expressions).subs(at)
    f_0, f_1 = (
        f.subs(at) for f in modified_equation(adam(beta, rho, sp.Integer(0)), loss, 2).terms
    )
    motion = f_0 + h * f_1
    ball = modified_equation(heavy_ball(beta, damped=True), loss, 2).terms
    rolling = (ball[0] + h / sp.sqrt(epsilon) * ball[1]).subs(at)
    return {
        "a": a, "b": b, "k": k, "h": h, "r": c - k * a * b, r"\delta": a - b, "p": a * b, "D": a**2 - b**2,
        r"\varepsilon": epsilon, r"C_\beta": 1 + 2 * lag(beta), r"C_\rho": 1 + 2 * lag(rho),
        r"\dot a": motion[0], r"\dot b": motion[1], r"\dot\delta": motion[0] - motion[1],
        r"\lVert\nabla E\rVert_1": sum(abs(g) for g in gradient), r"\operatorname{tr}H": loss.hessian_expressions.trace().subs(at),
        r"\frac{dD}{dp}": 2 * (a * rolling[0] - b * rolling[1]) / (a * rolling[1] + b * rolling[0]),
    }  # fmt: skip


ENTRIES = (
    Entry(
        "eq-regimes-bracket",
        steady(True),
        "the engine's second term on a random loss, divided by the norm's derivative",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-regimes-boundary",
        sign_change,
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
        threshold(True),
        "the root in the gradient of the engine's second term on a parabola",
    ),
    Entry(
        "eq-regimes-outside",
        threshold(False),
        "the engine's second term with epsilon outside: on a random loss, and its root on a parabola",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-regimes-missing",
        filling,
        "the engine's steady state and its piece n of a bias-corrected mean gradient",
        {"n": (0, 1, 4)},
    ),
    Entry(
        "eq-regimes-vote",
        vote,
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
