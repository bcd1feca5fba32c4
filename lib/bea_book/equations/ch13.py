r"""The equations of chapter 13, mini-batch Adam: what noise does to the bracket.

They are compared with the engine on random mean gradients and mean squares (:func:`noisy_terms`),
with geometric sums of the averages' weights, with Adam's algorithm in 200 digits, and with a cloud of points
moved by a step on every batch.
"""

import inspect
import random
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import sympy as sp

from bea import Decay, NonNegative, VectorField, adam, bilinear, optimizer
from bea_book.equations.shared import (
    DIGITS,
    Given,
    Point,
    Values,
    average,
    constant,
    constants,
    decays,
    polynomial_loss,
    random_point,
    ratio,
    running_average,
    terms,
    terms_at,
    update,
    variance_of,
    weights,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

P = sp.Symbol("p", integer=True)


@optimizer
def self_averaged(theta: Any, gradient: Any, memory: Any, beta: Decay, rho: Decay, epsilon: NonNegative) -> Any:
    """Adam on mean gradients and mean squares, which are the two halves of what it sees."""
    seen = gradient(theta)
    d = len(seen) // 2
    means, squares = memory.average(seen[:d], beta), memory.average(seen[d:], rho)
    text = inspect.unwrap(adam)  # the constructor would refuse numbers that are series
    step = text(theta, lambda theta: seen[:d], Given(means, squares), beta, rho, epsilon)
    return np.concatenate([step, 0 * means])


def noisy_field(
    means: Sequence[sp.Expr],
    squares: Sequence[sp.Expr],
    symbols: Sequence[sp.Symbol],
    parameters: Sequence[sp.Symbol] = (),
) -> VectorField:
    """Mean gradients and mean squares, with coordinates that nothing depends on for the latter."""
    unused = sp.symbols(f"unused_1:{len(symbols) + 1}")
    return VectorField([-y for y in (*means, *squares)], (*symbols, *unused), parameters)


def noisy_terms(
    beta: sp.Expr,
    rho: sp.Expr,
    epsilon: sp.Expr,
    means: Sequence[sp.Expr],
    squares: Sequence[sp.Expr],
    at: Point,
) -> list[sp.Matrix]:
    """The engine's two terms at a point, for averages of mean gradients and mean squares."""
    field = noisy_field(means, squares, tuple(at))
    everywhere = {**at, **dict.fromkeys(field.symbols[len(at) :], sp.Integer(0))}
    found = terms_at(self_averaged(beta, rho, epsilon), field, everywhere, 2)
    return [f[: len(at), :] for f in found]


def noisy(rng: random.Random) -> Values:
    """Random mean gradients of two coordinates, with variances that are random polynomials."""
    other = polynomial_loss(rng, degree=2)
    return with_variance(rng, [sp.expand(y**2) + ratio(rng) for y in other.gradient_expressions])


def noisy_constant(rng: random.Random) -> Values:
    """The same with constant variances."""
    return with_variance(rng, [ratio(rng), ratio(rng)])


def with_variance(rng: random.Random, variance: Sequence[sp.Expr]) -> Values:
    (beta, rho), epsilon = decays(rng), ratio(rng, 1, 9, 10)
    loss = polynomial_loss(rng, degree=3)
    at, g = random_point(rng, loss), loss.gradient_expressions
    s = [sp.expand(y**2) + v for y, v in zip(g, variance)]
    f_0, f_1 = (f.evalf(DIGITS) for f in noisy_terms(beta, rho, epsilon, g, s, at))

    def along(y: sp.Expr) -> sp.Expr:
        """The derivative along the flow of the engine's f_0."""
        return sum(f_0[i] * sp.diff(y, x).subs(at) for i, x in enumerate(loss.symbols))

    found = {r"\varepsilon": epsilon, "h": h}
    found |= constants(r"\beta", beta) | constants(r"\rho", rho)
    for j, (slope, square, var) in enumerate(zip(g, s, variance), 1):
        R = sp.sqrt(square.subs(at) + epsilon).evalf(DIGITS)
        found |= {
            f"g_{j}": slope.subs(at),
            f"s_{j}": square.subs(at),
            rf"\sigma_{j}^2": var.subs(at),
            f"R_{j}": R,
            f"Dg_{j}": along(slope),
            f"Ds_{j}": along(square),
            rf"D\sigma_{j}^2": along(var),
            rf"\dot\theta_{j}": f_0[j - 1] + h * f_1[j - 1],
            f"B_{j}": 2 * f_1[j - 1] * R / along(slope),
            rf"\alpha_{j}": along(sp.log(var)) / along(sp.log(slope**2)),
        }
    return found


def two_signs(rng: random.Random) -> Values:
    g, sigma, epsilon = ratio(rng), ratio(rng), ratio(rng)
    steps = [update(adam(0, 0, epsilon), y, y, y**2) for y in (g + sigma, g - sigma)]
    return {r"\bar F": average(steps), "g": g, r"\sigma": sigma, r"\varepsilon": epsilon}


def batch_gradients(rng: random.Random) -> Values:
    """Three batch gradients; Adam's step on the averages of a round of them as the decay goes to 1."""
    values, epsilon = [ratio(rng), -ratio(rng), ratio(rng, 10, 19)], ratio(rng)
    decay = sp.Symbol("decay", positive=True)
    limits = [sp.limit(w, decay, 1) for w in weights(decay, 2)]
    mean = sum(w * y for w, y in zip(limits, values))
    square = sum(w * y**2 for w, y in zip(limits, values))
    return {
        **{f"g_{k}": y for k, y in enumerate(values)},
        "m": sp.Integer(3),
        "g": average(values),
        r"\sigma^2": variance_of(values),
        r"\varepsilon": epsilon,
        "R": sp.sqrt(square + epsilon),
        r"\bar F": update(adam(0, 0, epsilon), mean, mean, square),
    }


def geometric(q: sp.Expr, start: int = 0) -> sp.Expr:
    """The sum of q^p from p = start on."""
    return sp.summation(q**P, (P, start, sp.oo))


def fluctuations(rng: random.Random) -> Values:
    """Covariances of independent draws, summed over the weights of both averages."""
    beta, rho = decays(rng)
    values = [ratio(rng) for _ in range(4)]
    centre, squares = average(values), average(y**2 for y in values)
    covariance = average((y - centre) * (y**2 - squares) for y in values)
    variance = average((y**2 - squares) ** 2 for y in values)
    both = (1 - beta) * (1 - rho) * geometric(beta * rho)
    twice = (1 - rho) ** 2 * geometric(rho**2)
    return {
        r"\operatorname{cov}(M, V)": both * covariance,
        r"\operatorname{cov}(g_k, g_k^2)": covariance,
        r"\operatorname{var} V": twice * variance,
        r"\operatorname{var}(g_k^2)": variance,
        r"\kappa": both,
        r"\nu": twice,
        r"\beta": beta,
        r"\rho": rho,
    }


def moved_by_noise(rng: random.Random) -> Values:
    """Covariances of the numerator's noise with the places it has pushed to, from sums over all past
    steps."""
    (beta, rho), R, variance = decays(rng), ratio(rng), ratio(rng)
    square = (1 - beta) ** 2 * variance * geometric(beta**2)
    # M of now with the push of p steps ago: beta^p times the square
    here = -h / R * square * geometric(beta, 1)
    # and with the place of j steps ago: only pushes from before count, p > j
    shown = -h / R * square * (1 - rho) * beta / (1 - beta) * geometric(rho * beta)
    return {
        r"\langle\tilde M^2\rangle": square,
        r"\langle\tilde M y\rangle": here,
        r"\langle\tilde M \bar y\rangle": shown,
        r"\tau": -shown * R / h / variance,
        r"\beta": beta,
        r"\rho": rho,
        r"\sigma^2": variance,
        "R": R,
        "h": h,
    }


def on_the_floor(rng: random.Random) -> Values:
    """Steps of a and b on the floor, where both move by h M: the gradients b_k xi_k and the squares
    b_k^2 of past places.

    To first order the step of a differs from M by -(h/b) times the weighted sum of xi_k and of how far
    b has come since step k, and by (h/b) M times the weighted sum of that distance alone.
    """
    (beta, rho), a, b = decays(rng), ratio(rng), ratio(rng, 10, 19)
    square = (1 - beta) ** 2 * geometric(beta**2)
    # xi_k of p steps ago with the M of every step since: (1 - beta) (1 + beta + ...), p of them
    own = (1 - beta) * (geometric(beta) - geometric(beta**2))
    # M of now with the p steps before it, weighted with rho
    shared = square * (1 - rho) * beta / (1 - beta) * (geometric(rho) - geometric(rho * beta))
    return {
        r"\dot\delta": -h * (own - shared) * (1 / b - 1 / a),
        r"\delta": a - b,
        "a": a,
        "b": b,
        "h": h,
        r"\tau_*": moved_fraction(beta, rho),
    }


def moved_fraction(beta: sp.Expr, rho: sp.Expr) -> sp.Expr:
    """tau as a stationary solution of the three recursions, by SymPy."""
    x, y, z = sp.symbols("x y z")
    recursions = [
        beta**2 * x + (1 - beta) ** 2 - x,
        beta * (y - x) - y,
        rho * beta * z + (1 - rho) * y - z,
    ]
    (found,) = sp.linsolve(recursions, x, y, z)
    return -found[2]


def long_memory(rng: random.Random) -> Values:
    """Stationary covariances of the displacement y, pulled back by the valley, and of its average, as
    the step size goes to zero with the memory's share of the relaxation time held."""
    omega, share, size = ratio(rng), ratio(rng), sp.Symbol("size", positive=True)
    rho = 1 - omega * size / share
    y_2, mixed = sp.symbols("y_2 mixed")
    keeps = 1 - omega * size
    # a step sees (y, average) and makes (keeps y - size xi, rho average + (1 - rho) y of the next step)
    recursions = [keeps**2 * y_2 + size**2 - y_2, rho * keeps * mixed + (1 - rho) * y_2 - mixed]
    (found,) = sp.linsolve(recursions, y_2, mixed)
    return {
        r"\tau_*": sp.limit(omega * (found[0] - found[1]) / size, size, 0),
        r"\chi": share,
        r"\omega": omega,
        r"\rho": 1 - omega * h / share,
        "h": h,
    }


def epochs(rng: random.Random) -> Values:
    """Two labels of reshuffled epochs, from all orders of two epochs and all places of the first."""
    m, p = 4, rng.randrange(1, 4)
    labels = [ratio(rng) for _ in range(m)]
    labels = [x - average(labels) for x in labels]
    orders = list(permutations(range(m)))
    two = [one + other for one in orders for other in orders]
    products = (average(labels[s[k]] * labels[s[k + p]] for s in two) for k in range(m))
    found = average(products) / average(x**2 for x in labels)
    return {r"\langle\xi_k\xi_{k+p}\rangle": found, "m": sp.Integer(m), "p": sp.Integer(p)}


def valley_steps(beta: Any, rho: Any, labels: Sequence[Any], k: Any, point: Sequence[Any], size: Any) -> list[Any]:
    """Adam's algorithm without epsilon on bilinear losses: what each step does to a - b."""
    (a, b), m, v, changes = point, [0, 0], [0, 0], []
    for n, label in enumerate(labels, 1):
        slope = -k * (label - k * a * b)
        for j, g in enumerate((slope * b, slope * a)):
            m[j] = beta * m[j] + (1 - beta) * g
            v[j] = rho * v[j] + (1 - rho) * g * g
        steps = [size * m[j] / (1 - beta**n) / sp.sqrt(v[j] / (1 - rho**n)) for j in (0, 1)]
        a, b = a - steps[0], b - steps[1]
        changes.append(steps[1] - steps[0])
    return changes


def sequence_on_valley(rng: random.Random) -> Values:
    """Adam on four bilinear losses with labels of their own, at two opposite, very small step sizes:
    the change of a - b in each step through h cubed."""
    labels, k = [ratio(rng) for _ in range(4)], ratio(rng, 8, 15)
    (beta, rho), tiny = decays(rng), sp.Rational(1, 10**40)
    a, b = ratio(rng, 11, 19, 10), ratio(rng, 21, 29, 10)
    floats = [y.evalf(DIGITS) for y in (a, b)]
    forth, back = (valley_steps(beta, rho, labels, k, floats, size) for size in (tiny, -tiny))
    eta = [-k * (label - k * a * b) for label in labels]
    found = {"h": h, r"\delta": a - b, "a": a, "b": b}
    for n in range(4):
        square, cube = (forth[n] + back[n]) / 2 / tiny**2, (forth[n] - back[n]) / 2 / tiny**3
        found |= {
            rf"\delta^{{({n}+1)}}": a - b + h**2 * square + h**3 * cube,
            rf"\delta^{{({n})}}": a - b,  # only differences count
            f"M^{{({n})}}": running_average(beta, eta[: n + 1]),
            f"R^{{({n})}}": sp.sqrt(running_average(rho, [y**2 for y in eta[: n + 1]])),
            rf"\eta_{n}": eta[n],
        }
        found |= {f"w_{i}^{{({n})}}": w for i, w in enumerate(weights(beta, n))}
        found |= {f"u_{i}^{{({n})}}": u for i, u in enumerate(weights(rho, n))}
    return found


def noise_of_balance(rng: random.Random) -> Values:
    """The variance at which the engine's f_1 vanishes, on a parabola with constant noise, where the
    gradient is g > 0."""
    beta, rho, g = ratio(rng, 1, 4, 10), ratio(rng, 6, 9, 10), ratio(rng, 8, 13)
    epsilon = ratio(rng, 1, 3, 30)
    x, noise = sp.symbols("x v", positive=True)
    field = noisy_field([x], [x**2 + noise], (x,), (noise,))
    second = terms(self_averaged(beta, rho, epsilon), field, 2)[1][0].subs(x, g)
    return {
        r"\sigma_j^2": sp.solve(sp.numer(sp.together(second)), noise)[0],
        r"\varepsilon": epsilon,
        "g_j": g,
        r"C_\beta": constant(beta),
        r"C_\rho": constant(rho),
    }


def labels(rng: random.Random) -> Values:
    """The bilinear model with noise in its labels, above its valley, by the engine."""
    c, k, sigma = ratio(rng), ratio(rng, 8, 15), ratio(rng)
    (beta, rho), loss = decays(rng), bilinear(c, k)
    at = dict(zip(loss.symbols, (ratio(rng, 11, 19, 10), ratio(rng, 21, 29, 10))))
    a, b = at.values()
    # the batch gradients for the labels c + sigma and c - sigma
    pair = [bilinear(c + sign * sigma, k).gradient_expressions for sign in (1, -1)]
    means = [average(y) for y in zip(*pair)]
    squares = [average(x**2 for x in y) for y in zip(*pair)]
    f_0, f_1 = noisy_terms(beta, rho, sp.Integer(0), means, squares, at)
    motion = f_0 + h * f_1
    return {
        r"\dot\delta": motion[0] - motion[1],
        r"\delta": a - b,
        "a": a,
        "b": b,
        "r": c - k * a * b,
        r"\sigma": sigma,
        "q": sp.Abs(f_0[0]),
        "h": h,
        **constants(r"\beta", beta),
        **constants(r"\rho", rho),
    }


def memoryless(rng: random.Random) -> Values:
    """Two batches in one coordinate, and a cloud of four points moved by a step on each.

    Pythagoras' triples 3, 4, 5 and 15, 8, 17 make all roots at the point rational.  The points are
    polynomials in the root of h; the arms of the cloud come in pairs, so that only powers of h are
    left.
    """
    x, e, size = sp.Symbol("x", real=True), sp.Symbol("e", positive=True), ratio(rng)
    arms = [ratio(rng), ratio(rng, 10, 19)]
    gradients = [
        ratio(rng) * x + 3 * size,
        ratio(rng, 10, 19) * x - sp.Rational(15, 2) * size,
    ]  # the point is x = 0
    F_k = [update(adam(0, 0, 16 * size**2), g, g, g**2) for g in gradients]
    F, S = average(F_k), variance_of(F_k)
    moved = []
    for f in F_k:
        taylor = [(f.diff(x, i) if i else f).subs(x, 0) / sp.factorial(i) for i in range(5)]
        for arm in (*arms, *(-y for y in arms)):
            step = sum(t * (e * arm) ** i for i, t in enumerate(taylor))
            moved.append(sp.Poly(e * arm - e**2 * step, e))
    centre = average(moved)
    spread = average(y**2 for y in moved) - centre**2
    centre, spread = (sum(c * h ** sp.Rational(n, 2) for (n,), c in sp.Poly(y, e).terms()) for y in (centre, spread))
    Q = h * average(y**2 for y in arms)
    values = {"F": F, "F'": F.diff(x), "F''": F.diff(x, 2), "S": S, "S'": S.diff(x)}
    values |= {f"F_{k}": f for k, f in enumerate(F_k)}
    values |= {f"F_{k}'": f.diff(x) for k, f in enumerate(F_k)}
    found = {name: y.subs(x, 0) for name, y in values.items()}
    # a flow of -F bends by (h/2) F F' in the time h; what is left is the rate
    return {
        **found,
        "m": sp.Integer(2),
        "h": h,
        "Q": Q,
        r"\dot Q": sp.expand((spread - Q) / h),
        r"\dot x": sp.expand(centre / h) - h / 2 * found["F"] * found["F'"],
    }


BY_ENGINE = "the engine's two terms for averages of random mean gradients and mean squares"

ENTRIES = (
    Entry(
        "eq-mba-signs",
        two_signs,
        "the step of the library's Adam without memory on both gradients",
    ),
    Entry(
        "eq-mba-self-averaging",
        batch_gradients,
        "the step of the library's Adam from the averages of a round of batches, with their weights as the decay goes to one",
    ),
    Entry(
        "eq-mba-fluctuations",
        fluctuations,
        "geometric sums of the products of weights",
    ),
    Entry(
        "eq-mba-equation",
        noisy,
        BY_ENGINE,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-mba-share",
        noisy,
        f"{BY_ENGINE}, divided by the derivative of the gradient; and derivatives of logarithms",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-mba-constant",
        noisy_constant,
        f"{BY_ENGINE}, with a constant variance",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-mba-sign-change",
        noise_of_balance,
        "the root in the variance of the engine's second term on a parabola",
    ),
    Entry(
        "eq-mba-stationary",
        moved_by_noise,
        "geometric sums over all past steps",
    ),
    Entry(
        "eq-mba-tau",
        moved_by_noise,
        "geometric sums over all past steps",
    ),
    Entry(
        "eq-mba-law",
        labels,
        "the engine's two terms for averages of two labels' gradients and squares",
    ),
    Entry(
        "eq-mba-floor",
        on_the_floor,
        "geometric sums of the products that Adam's step itself has on the floor; the fraction from the recursions",
    ),
    Entry(
        "eq-mba-valley",
        sequence_on_valley,
        "Adam's algorithm on four bilinear losses, in 200 digits, at h = 10^-40 and -10^-40",
        {"n": (1, 3)},
    ),
    Entry(
        "eq-mba-long",
        long_memory,
        "the limit of the stationary covariances, solved by SymPy",
    ),
    Entry(
        "eq-mba-correlation",
        epochs,
        "all orders of two epochs of four random labels",
    ),
    Entry(
        "eq-mba-mean-spread",
        memoryless,
        "a cloud of four points, moved by a step on both batches",
    ),
    Entry(
        "eq-mba-mean-field",
        memoryless,
        "Adam's step on two random batches, differentiated; the variance from the pairs",
    ),
)
