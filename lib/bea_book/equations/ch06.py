r"""The equations of chapter 6, momentum: one lag, one penalty, and one line for every first correction.

They are compared with exact runs of the library's optimizers on random losses, with the moments of
the geometric distribution from its generating function, and, where the chapter derives something by
hand, with the engine.
"""

import random

import numpy as np
import sympy as sp

from bea import Loss, Optimizer, adam, bilinear, heavy_ball, nesterov, transient_equation
from bea.program import Running
from bea_book.equations.shared import (
    DIGITS,
    Point,
    Values,
    age_moment,
    at_origin,
    calculus,
    critical_at_origin,
    decay,
    gradient_at,
    hessian_at,
    jacobian_at,
    lag_of_weights,
    pace_constant,
    polynomial_loss,
    random_point,
    ratio,
    terms_at,
    third_derivatives,
    weights,
    works_of_terms,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

STEPS = 5


def exact_run(method: Optimizer, loss: Loss, at: Point, size: sp.Expr, steps: int) -> list[sp.Matrix]:
    """Exact iterates of the library's optimizer from rest."""
    theta, memory = np.array(list(at.values()), dtype=object), Running(size)

    def gradient(theta: np.ndarray) -> np.ndarray:
        return np.array(list(gradient_at(loss, dict(zip(loss.symbols, theta)))), dtype=object)

    path = [theta]
    for _ in range(steps):
        update, memory = method(path[-1], gradient, memory), memory.advance()
        path.append(path[-1] - update * size)
    return [sp.Matrix(theta) for theta in path]


def unrolled(rng: random.Random) -> Values:
    """The recursion in the last step, fed with random gradients, and the running average of them."""
    beta, size = decay(rng), ratio(rng, denominator=13)
    theta, memory = [ratio(rng)] * 2, Running(size)
    values = {r"\beta": beta, "h": size}
    for n in range(STEPS):
        g = ratio(rng)
        theta.append(theta[-1] - size * g + beta * (theta[-1] - theta[-2]))
        m, memory = memory.average(g, beta), memory.advance()
        values |= {
            rf"\theta^{{({n}+1)}}": theta[-1],
            rf"\theta^{{({n})}}": theta[-2],
            f"g^{{({n})}}": g,
            f"m^{{({n})}}": m,
        }
    return values


def lags(rng: random.Random) -> Values:
    beta = decay(rng)
    values = {r"\beta": beta, r"\mathrm{lag}": age_moment(beta, 1)}
    return values | {rf"\mathrm{{lag}}({n})": lag_of_weights(beta, n) for n in range(STEPS)}


def averaged_cubic(rng: random.Random) -> Values:
    """The steady-state average of a random cubic in time: each power of t by the moments of the age."""
    beta, t = decay(rng), sp.Symbol("t")
    here, i = ratio(rng, denominator=5), sp.Symbol("i")
    g = sp.Add(*(ratio(rng) * t**k for k in range(4)))
    past = sp.Poly(sp.expand(g.subs(t, here - i * h)), i)
    return {
        "m(t)": sum(c * age_moment(beta, power[0]) for power, c in past.terms()),
        "g(t)": g.subs(t, here),
        r"\dot g(t)": sp.diff(g, t).subs(t, here),
        "h": h,
        r"\mathrm{lag}": age_moment(beta, 1),
    }


def resolvent(rng: random.Random) -> Values:
    """On g = c exp(D t) at t = 0 the derivative D is a number, and the average is a geometric series
    that SymPy sums."""
    beta, number, g = decay(rng), ratio(rng), ratio(rng, denominator=5)
    i, q = sp.symbols("i q", positive=True)
    (total, _), *_ = sp.summation(q**i, (i, 0, sp.oo)).args
    return {
        r"\beta": beta,
        "h": h,
        "D": number,
        "e": sp.E,
        "g": g,
        "m": (1 - beta) * g * total.subs(q, beta * sp.exp(-h * number)),
        "Dg": number * g,
        "D^2g": number**2 * g,
        "D^3g": number**3 * g,
    }


def memoryless_map(rng: random.Random) -> Values:
    """The flow of the engine's terms on a random loss for a time h, by Taylor's formula."""
    loss, beta = critical_at_origin(rng), decay(rng)
    at = random_point(rng, loss)

    def first_two(place: Point) -> sp.Matrix:
        return sp.Matrix.vstack(*terms_at(heavy_ball(beta), loss, place, 2))

    def turning(place: Point) -> sp.Matrix:
        field = terms_at(heavy_ball(beta), loss, place, 1)[0]
        return jacobian_at(lambda near: terms_at(heavy_ball(beta), loss, near, 1)[0], place) * field

    f_0, f_1, f_2 = terms_at(heavy_ball(beta), loss, at, 3)
    jacobian = jacobian_at(first_two, at)
    j_0, j_1 = jacobian[:2, :], jacobian[2:, :]
    bent = jacobian_at(turning, at) * f_0
    moved = h * f_0 + h**2 * (f_1 + j_0 * f_0 / 2) + h**3 * (f_2 + (j_1 * f_0 + j_0 * f_1) / 2 + bent / 6)
    start = sp.Matrix(list(at.values()))
    return {
        **calculus(loss, at),
        "h": h,
        "h_e": h / (1 - beta),
        r"\mathrm{lag}": age_moment(beta, 1),
        r"\theta^{(n+1)}": start + moved,
        r"\theta^{(n)}": start,
    }


def field(rng: random.Random) -> Values:
    loss, beta = polynomial_loss(rng), decay(rng)
    at = random_point(rng, loss)
    found = terms_at(heavy_ball(beta), loss, at, 4)
    return {
        **calculus(loss, at),
        **third_derivatives(loss, at),
        r"\beta": beta,
        "h": h,
        r"\dot\theta": sum((h**k * f for k, f in enumerate(found)), sp.zeros(2, 1)),
    }


def modified_loss(rng: random.Random) -> Values:
    loss, beta = critical_at_origin(rng), decay(rng)
    at = random_point(rng, loss)
    first, second = works_of_terms(heavy_ball(beta), loss, at)
    return {
        **calculus(loss, at),
        r"\beta": beta,
        "h": h,
        "h_e": h / (1 - beta),
        r"\tilde E": at_origin(loss) + (1 - beta) * (first + h * second),
        "K": pace_constant(heavy_ball, beta),
    }


def constants(rng: random.Random) -> Values:
    beta = decay(rng)
    return {
        r"\beta": beta,
        r"\mathrm{lag}": age_moment(beta, 1),
        "K": pace_constant(heavy_ball, beta),
        r"K_{\mathrm{N}}": pace_constant(nesterov, beta),
    }


def exact_law(rng: random.Random) -> Values:
    """Four exact steps on a random polynomial of ab."""
    beta, size = decay(rng), ratio(rng, denominator=60)
    a, b = sp.symbols("a b", real=True)
    loss = Loss(sum(ratio(rng) * (a * b) ** k for k in range(1, 3)), (a, b))
    start = {a: ratio(rng), b: ratio(rng, denominator=5)}
    path = exact_run(heavy_ball(beta), loss, start, size, 4)
    values = {r"\beta": beta}
    for n, (old, new) in enumerate(zip(path, path[1:])):
        u, v = new - old
        for name in (f"B_{n}", f"B_{{{n - 1}+1}}"):
            values[name] = old[0] ** 2 - old[1] ** 2
        values[f"B_{{{n}+1}}"] = new[0] ** 2 - new[1] ** 2
        values[f"Q_{n}"] = u**2 - v**2
        for i in range(1, n + 1):
            values[f"Q_{{{n}-{i}}}"] = values[f"Q_{n - i}"]
    return values


def flow_law(rng: random.Random) -> Values:
    beta, c, k = decay(rng), ratio(rng), ratio(rng)
    loss = bilinear(c, k)
    at = random_point(rng, loss)
    a, b = at.values()
    f_0, f_1 = terms_at(heavy_ball(beta), loss, at, 2)
    motion = f_0 + h * f_1
    return {
        r"\frac{d}{dt}(a^2-b^2)": 2 * a * motion[0] - 2 * b * motion[1],
        "h": h,
        r"\beta": beta,
        "k": k,
        "r": c - k * a * b,
        "a": a,
        "b": b,
    }


A_1, A_2 = sp.symbols("A_1 A_2")


def quotient(rng: random.Random) -> tuple[Optimizer, sp.Expr, tuple[sp.Rational, sp.Rational]]:
    """Adam with random exact hyper-parameters, its step as a function of its two averages, its decays."""
    beta, rho, epsilon = decay(rng), decay(rng), ratio(rng, 1, 9, 10)
    return adam(beta, rho, epsilon), A_1 / sp.sqrt(A_2 + epsilon), (beta, rho)


def functions(loss: Loss) -> tuple[sp.Expr, sp.Expr]:
    """What Adam averages on a loss of one parameter."""
    (g,) = loss.gradient_expressions
    return g, g**2


def one_line(rng: random.Random) -> Values:
    """Adam on a random loss of one parameter: its step has two averages and is linear in neither."""
    method, step, decays = quotient(rng)
    loss = polynomial_loss(rng, degree=3, dimension=1)
    at = random_point(rng, loss)
    (x,) = loss.symbols
    seen = functions(loss)
    here = dict(zip((A_1, A_2), (a.subs(at) for a in seen)))
    speed = step.subs(here)
    motion = sum((h**k * f[0].evalf(DIGITS) for k, f in enumerate(terms_at(method, loss, at, 3))), sp.Integer(0))
    values = {"U": speed, "h": h, "p": sp.Integer(2)}
    for i, (A, a, beta) in enumerate(zip((A_1, A_2), seen, decays), 1):
        values[f"C_{i}"] = 1 + 2 * age_moment(beta, 1)
        values[rf"\frac{{\partial U}}{{\partial A_{i}}}"] = sp.diff(step, A).subs(here)
        values[rf"\dot a_{i}"] = -speed * sp.diff(a, x).subs(at)
    found = {name: value if name in ("h", "p") else value.evalf(DIGITS) for name, value in values.items()}
    return found | {r"\dot\theta": motion}


def first_step(rng: random.Random) -> Values:
    """Adam on three random mini-batches of one parameter, step by step; its weights from impulses."""
    method, step, decays = quotient(rng)
    losses = [polynomial_loss(rng, degree=3, dimension=1) for _ in range(3)]
    (x,) = losses[0].symbols
    at = random_point(rng, losses[0])
    batches = (0, 2, 1)
    seen = [functions(losses[i]) for i in batches]
    values: Values = {"h": h, "p": sp.Integer(2)}
    here: dict[sp.Symbol, sp.Expr] = {}
    held: list[list[sp.Expr]] = []
    for n in range(3):
        held = [weights(beta, n) for beta in decays]
        means = [sum(w[k] * seen[k][i].subs(at) for k in range(n + 1)) for i, w in enumerate(held)]
        here = dict(zip((A_1, A_2), means))
        values[f"U^{{({n})}}"] = step.subs(here)
    for i, A in enumerate((A_1, A_2), 1):
        values[rf"\frac{{\partial U}}{{\partial A_{i}}}"] = sp.diff(step, A).subs(here)
        for k in range(3):
            values[f"w_{{{i},{k}}}^{{(2)}}"] = held[i - 1][k]
            values[f"a_{{{i},{k}}}'"] = sp.diff(seen[k][i - 1], x).subs(at)
    f_0, f_1 = (term.subs(at) for term in transient_equation(method, losses, batches=batches).terms(2))
    found = {name: value if name in ("h", "p") else value.evalf(DIGITS) for name, value in values.items()}
    return found | {r"\dot\theta": f_0[0].evalf(DIGITS) + h * f_1[0].evalf(DIGITS)}


def mini_batches(rng: random.Random) -> Values:
    """Heavy ball after three mini-batches, by the engine; G from the recursion of its buffer."""
    beta, batches = decay(rng), (0, 2, 1)
    losses = [polynomial_loss(rng, degree=3) for _ in range(3)]
    at = random_point(rng, losses[0])
    values: Values = {r"\beta": beta, "h": h}
    buffer = sp.zeros(2, 1)
    for n, i in enumerate(batches):
        buffer = beta * buffer + gradient_at(losses[i], at)
        values[f"G^{{({n})}}"] = buffer
        values[f"H_{n}"] = hessian_at(losses[i], at)
    f_0, f_1 = (term.subs(at) for term in transient_equation(heavy_ball(beta), losses, batches=batches).terms(2))
    return values | {r"\dot\theta": f_0 + h * f_1}


ENGINE = "the engine's terms on a random loss"

ENTRIES = (
    Entry(
        "eq-mem-unrolled",
        unrolled,
        "the recursion with the last step, run on random gradients, and the library's running average of them",
        {"n": (0, 1, 4)},
    ),
    Entry(
        "eq-mem-lag",
        lags,
        "the mean of the geometric distribution from its generating function; finite weights summed",
        {"n": (0, 1, 4)},
    ),
    Entry(
        "eq-mem-lagged",
        averaged_cubic,
        "the average of a random cubic in t, power by power, with moments from the generating function",
    ),
    Entry(
        "eq-mem-map",
        memoryless_map,
        "the flow of " + ENGINE + " for a time h, by Taylor's formula",
    ),
    Entry(
        "eq-mem-two-parts",
        modified_loss,
        ENGINE + ", slowed by 1 - beta and integrated along a ray from a critical point",
    ),
    Entry(
        "eq-mem-constants",
        constants,
        "the engine's second term of each method on a parabola, in units of its first term squared",
    ),
    Entry(
        "eq-mem-resolvent",
        resolvent,
        "the average of g = exp(D t), a geometric series summed by SymPy",
    ),
    Entry(
        "eq-mem-field",
        field,
        ENGINE,
    ),
    Entry(
        "eq-mem-exact-law",
        exact_law,
        "four exact steps of the library's heavy ball on a random polynomial of ab",
        {"n": (0, 1, 3)},
    ),
    Entry(
        "eq-mem-flow-law",
        flow_law,
        "the derivative of the imbalance along the engine's two terms on the bilinear model",
    ),
    Entry(
        "eq-mem-line",
        one_line,
        "the engine's three terms of Adam on a random loss of one parameter; the moments of the geometric distribution",
    ),
    Entry(
        "eq-mem-first-step",
        first_step,
        "the engine's piece of Adam after three random mini-batches of one parameter; weights from impulses",
        {"n": (2,)},
    ),
    Entry(
        "eq-mem-batches",
        mini_batches,
        "the engine's piece of heavy ball after three random mini-batches",
        {"n": (2,)},
    ),
)
