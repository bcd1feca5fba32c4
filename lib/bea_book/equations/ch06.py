r"""The equations of chapter 6, memory: heavy ball and Nesterov.

They are compared with exact runs of the library's optimizers on random losses, with eigenvalues of
one such step, with the moments of the geometric distribution from its generating function, and,
where the chapter derives something by hand, with the engine.
"""

import random
from collections.abc import Callable

import numpy as np
import sympy as sp

from bea import Loss, Optimizer, bilinear, heavy_ball, nesterov
from bea.program import Running
from bea_book.equations.shared import (
    BOWL,
    Point,
    Polynomial,
    Values,
    X,
    at_origin,
    calculus,
    critical_at_origin,
    gradient_at,
    jacobian_at,
    lag_of_weights,
    on_polynomials,
    polynomial_loss,
    random_point,
    ratio,
    step_matrix,
    terms,
    terms_at,
    third_derivatives,
    works_of_terms,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

STEPS = 5


def decay(rng: random.Random) -> sp.Rational:
    return ratio(rng, 1, 9, 10)


def age_moment(beta: sp.Expr, r: int) -> sp.Expr:
    """The mean of the r-th power of the age under geometric weights: (u d/du)^r of the generating
    function (1 - beta)/(1 - beta u) at u = 1."""
    u = sp.Symbol("u")
    generating = (1 - beta) / (1 - beta * u)
    for _ in range(r):
        generating = u * sp.diff(generating, u)
    return generating.subs(u, 1)


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
        "K": constant(heavy_ball, beta),
    }


def constant(method: Callable[[sp.Expr], Optimizer], beta: sp.Expr) -> sp.Expr:
    """The penalty at the same pace in units of gradient descent's, from the engine on a parabola."""
    f_0, f_1 = terms_at(method(beta), BOWL, {X: sp.Integer(3)}, 2)
    return -2 * f_1[0] * 3 / f_0[0] ** 2


def constants(rng: random.Random) -> Values:
    beta = decay(rng)
    return {
        r"\beta": beta,
        r"\mathrm{lag}": age_moment(beta, 1),
        "K": constant(heavy_ball, beta),
        r"K_{\mathrm{N}}": constant(nesterov, beta),
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
        "K": constant(heavy_ball, beta),
        "h": h,
    }


ENGINE = "the engine's terms on a random loss"
EIGENVALUES = "eigenvalues of the library's step on one mode, a matrix made by stepping from unit vectors"

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
        "eq-mem-mirror",
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
        "eq-mem-layer",
        layer,
        "exact steps of the library's heavy ball from rest, in powers of h, against the flow of the engine's two terms",
        {"n": (0, 1, 4)},
    ),
    Entry("eq-mem-roots", roots, EIGENVALUES),
    Entry(
        "eq-mem-ringing",
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
