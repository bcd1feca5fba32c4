r"""Chapter 9, mini-batch Adam: what noise does to the bracket.

The witnesses: the engine on random mean gradients and mean squares (:func:`self_averaged`); geometric sums of the averages'
weights; and a cloud of points moved by a step on every batch.
"""

import random
from functools import cache

import sympy as sp

from bea.averages import Average, identity, lag
from bea.losses import VectorField, bilinear
from bea.modified import modified_equation
from bea.optimizers import Optimizer, adam
from bea.series import Series
from bea_book.equations.ch04 import average, by_pairs
from bea_book.equations.ch07 import DIGITS, decays
from bea_book.equations.ch08 import constant
from bea_book.equations.instances import polynomial_loss, random_point, ratio
from bea_book.ledger import Entry, h

P = sp.Symbol("p", integer=True)


def self_averaged(beta, rho, epsilon, g, s, symbols, parameters=()):
    """The engine's f_0 and f_1 of an optimizer that divides an average of g by the root of an average of s."""
    d = len(g)
    field = VectorField(
        [-y for y in (*g, *s)], (*symbols, *sp.symbols(f"unused_1:{d + 1}")), parameters
    )

    def update(m, v):
        steps = [adam(beta, rho, epsilon).update(m[j], v[d + j]) for j in range(d)]
        return Series.stack(steps + [0 * m[0]] * d)

    memory = (Average(identity, beta), Average(identity, rho))
    return [
        f[:d, :]
        for f in modified_equation(Optimizer(self_averaged, {}, {}, memory, update), field, 2).terms
    ]


def noisy(kind):
    """Random mean gradients of two coordinates, with a variance that is constant or another random polynomial, squared."""

    @cache
    def atoms(seed):
        rng = random.Random(seed)
        (beta, rho), epsilon = decays(rng), ratio(rng, 1, 9, 10)
        loss = polynomial_loss(rng, degree=3)
        at, g = random_point(rng, loss), loss.gradient_expressions
        if kind == "constant":
            variance = [ratio(rng), ratio(rng)]
        else:
            variance = [
                sp.expand(y**2) + ratio(rng)
                for y in polynomial_loss(rng, degree=2).gradient_expressions
            ]
        s = [sp.expand(y**2) + v for y, v in zip(g, variance)]
        f_0, f_1 = (
            f.subs(at).evalf(DIGITS) for f in self_averaged(beta, rho, epsilon, g, s, loss.symbols)
        )

        def along(y):
            """The derivative along the way back, which the engine's f_0 gives."""
            return sum(-f_0[i] * sp.diff(y, x).subs(at) for i, x in enumerate(loss.symbols))

        found = {
            r"\varepsilon": epsilon,
            r"C_\beta": 1 + 2 * lag(beta),
            r"C_\rho": 1 + 2 * lag(rho),
            "h": h,
        }
        for j in (1, 2):
            slope, square, var = (sp.sympify(y[j - 1]) for y in (g, s, variance))
            R = sp.sqrt(square.subs(at) + epsilon).evalf(DIGITS)
            found |= {f"g_{j}": slope.subs(at), f"s_{j}": square.subs(at), rf"\sigma_{j}^2": var.subs(at), f"R_{j}": R,
                      f"Dg_{j}": along(slope), f"Ds_{j}": along(square), rf"D\sigma_{j}^2": along(var),
                      rf"\dot\theta_{j}": f_0[j - 1] + h * f_1[j - 1], f"B_{j}": -2 * f_1[j - 1] * R / along(slope),
                      rf"\lambda_{j}": along(sp.log(var)) / along(sp.log(slope**2))}  # fmt: skip
        return found

    return lambda rng: atoms(rng.randrange(4))


def two_signs(rng):
    g, sigma, epsilon = ratio(rng), ratio(rng), ratio(rng)
    without = adam(0, 0, epsilon)
    steps = [without.update(y, y**2) for y in (g + sigma, g - sigma)]
    return {r"\bar F": average(steps), "g": g, r"\sigma": sigma, r"\varepsilon": epsilon}


def batch_gradients(rng):
    """Three batch gradients; Adam's step on the averages of a round of them as the decay goes to one."""
    values, epsilon, decay = (
        [ratio(rng), -ratio(rng), ratio(rng, 10, 19)],
        ratio(rng),
        sp.Symbol("decay", positive=True),
    )
    weights = [
        sp.limit(w, decay, 1) for w in Average(identity, decay).weights(3, bias_correction=True)
    ]
    mean, square = (
        sum(w * y for w, y in zip(weights, of)) for of in (values, [y**2 for y in values])
    )
    found = {f"g_{k}": y for k, y in enumerate(values)}
    return {**found, "m": sp.Integer(3), "g": average(values), r"\sigma^2": by_pairs([sp.Matrix([y]) for y in values]),
            r"\varepsilon": epsilon, "R": sp.sqrt(square + epsilon), r"\bar F": adam(0, 0, epsilon).update(mean, square)}  # fmt: skip


def geometric(q, start=0):
    """The sum of q^p from p = start on."""
    return sp.summation(q**P, (P, start, sp.oo))


def fluctuations(rng):
    """Covariances of independent draws, summed over the weights of both averages."""
    beta, rho = decays(rng)
    values = [ratio(rng) for _ in range(4)]
    centre, squares = average(values), average(y**2 for y in values)
    covariance = average((y - centre) * (y**2 - squares) for y in values)
    variance = average((y**2 - squares) ** 2 for y in values)
    both = (1 - beta) * (1 - rho) * geometric(beta * rho)
    twice = (1 - rho) ** 2 * geometric(rho**2)
    return {r"\operatorname{cov}(M, V)": both * covariance, r"\operatorname{cov}(g_k, g_k^2)": covariance,
            r"\operatorname{var} V": twice * variance, r"\operatorname{var}(g_k^2)": variance,
            r"\kappa": both, r"\nu": twice, r"\beta": beta, r"\rho": rho}  # fmt: skip


def trembling(rng):
    """Covariances of the numerator's noise with the places it has pushed to, from sums over all past steps."""
    (beta, rho), R, variance = decays(rng), ratio(rng), ratio(rng)
    square = (1 - beta) ** 2 * variance * geometric(beta**2)
    # M of now with the push of p steps ago: beta^p times the square
    here = -h / R * square * geometric(beta, 1)
    # and with the place of j steps ago: only pushes from before count, p > j
    shown = -h / R * square * (1 - rho) * beta / (1 - beta) * geometric(rho * beta)
    return {r"\langle\tilde M^2\rangle": square, r"\langle\tilde M u\rangle": here, r"\langle\tilde M w\rangle": shown,
            r"\tau": -shown * R / h / variance, r"\beta": beta, r"\rho": rho, r"\sigma^2": variance, "R": R, "h": h}  # fmt: skip


def on_the_floor(rng):
    """Steps of a and b on the floor, where both move by h M: the gradients b_k xi_k and the squares b_k^2 of past places.

    To first order the step of a differs from M by -(h/b) times the weighted sum of xi_k and of how far b has come since step k,
    and by (h/b) M times the weighted sum of that distance alone.
    """
    (beta, rho), a, b = decays(rng), ratio(rng), ratio(rng, 10, 19)
    square = (1 - beta) ** 2 * geometric(beta**2)
    # xi_k of p steps ago with the M of every step since: (1 - beta) (1 + beta + ...), p of them
    own = (1 - beta) * (geometric(beta) - geometric(beta**2))
    # M of now with the p steps before it, weighted with rho
    shared = square * (1 - rho) * beta / (1 - beta) * (geometric(rho) - geometric(rho * beta))
    tau = trembling_share(beta, rho)
    return {
        r"\dot\delta": -h * (own - shared) * (1 / b - 1 / a),
        r"\delta": a - b,
        "a": a,
        "b": b,
        "h": h,
        r"\tau": tau,
    }


def trembling_share(beta, rho):
    """tau as a stationary solution of the three recursions, by SymPy."""
    x, y, z = sp.symbols("x y z")
    (found,) = sp.linsolve(
        [beta**2 * x + (1 - beta) ** 2 - x, beta * (y - x) - y, rho * beta * z + (1 - rho) * y - z],
        x,
        y,
        z,
    )
    return -found[2]


def noise_of_balance(rng):
    """The variance at which the engine's f_1 vanishes, on a parabola with constant noise, with the gradient g > 0 there."""
    beta, rho, g = ratio(rng, 1, 4, 10), ratio(rng, 5, 9, 10), ratio(rng, 8, 13)
    epsilon, x, variance = (
        ratio(rng, 1, 3, 30),
        sp.Symbol("x", positive=True),
        sp.Symbol("v", positive=True),
    )
    f_1 = self_averaged(beta, rho, epsilon, [x], [x**2 + variance], (x,), (variance,))[1][0].subs(
        x, g
    )
    root = sp.solve(sp.numer(sp.together(f_1)), variance)[0]
    return {
        r"\sigma_j^2": root,
        r"\varepsilon": epsilon,
        "g_j": g,
        r"C_\beta": constant(beta),
        r"C_\rho": constant(rho),
    }


def labels(rng):
    """The bilinear model with noise in its labels, above its valley, by the engine."""
    c, k, sigma = ratio(rng), ratio(rng, 8, 15), ratio(rng)
    (beta, rho), loss = decays(rng), bilinear(c, k)
    at = dict(zip(loss.symbols, (ratio(rng, 11, 19, 10), ratio(rng, 21, 29, 10))))
    a, b = at.values()
    # the batch gradients for the labels c + sigma and c - sigma
    pair = [bilinear(c + sign * sigma, k).gradient_expressions for sign in (1, -1)]
    means = [average(y) for y in zip(*pair)]
    squares = [average(x**2 for x in y) for y in zip(*pair)]
    f_0, f_1 = (
        f.subs(at) for f in self_averaged(beta, rho, sp.Integer(0), means, squares, loss.symbols)
    )
    motion = f_0 + h * f_1
    return {r"\dot\delta": motion[0] - motion[1], r"\delta": a - b, "a": a, "b": b, "p": a * b, "r": c - k * a * b, r"\sigma": sigma,
            "q": sp.Abs(f_0[0]), "h": h, r"C_\beta": 1 + 2 * lag(beta), r"C_\rho": 1 + 2 * lag(rho),
            r"\frac{d\delta}{dp}": (motion[0] - motion[1]) / (motion[0] * b + motion[1] * a)}  # fmt: skip


def memoryless(rng):
    """Two batches in one coordinate, and a cloud of four points moved by a step on each.

    Pythagoras' triples 3, 4, 5 and 15, 8, 17 make all roots at the point rational.
    """
    x, e, size = sp.Symbol("x", real=True), sp.Symbol("e", positive=True), ratio(rng)
    arms, optimizer = [ratio(rng), ratio(rng, 10, 19)], adam(0, 0, 16 * size**2)
    gradients = [
        ratio(rng) * x + 3 * size,
        ratio(rng, 10, 19) * x - sp.Rational(15, 2) * size,
    ]  # the point is x = 0
    F_k = [optimizer.update(g, g**2) for g in gradients]
    F, S = average(F_k), by_pairs([sp.Matrix([f]) for f in F_k])
    moved = []
    for f in F_k:
        taylor = [(f.diff(x, i) if i else f).subs(x, 0) / sp.factorial(i) for i in range(5)]
        for arm in (*arms, *(-y for y in arms)):
            moved.append(
                sp.Poly(e * arm - e**2 * sum(t * (e * arm) ** i for i, t in enumerate(taylor)), e)
            )
    centre, squares = (sp.Poly(average(y), e) for y in (moved, [y**2 for y in moved]))
    # the arms come in pairs, so that only even powers of e are left, which are powers of h
    centre, spread = (
        sum(c * h ** sp.Rational(n, 2) for (n,), c in y.terms())
        for y in (centre, squares - centre**2)
    )
    Q = h * average(y**2 for y in arms)
    values = {"F": F, "F'": F.diff(x), "F''": F.diff(x, 2), "S": S, "S'": S.diff(x)}
    values |= {f"F_{k}": f for k, f in enumerate(F_k)} | {
        f"F_{k}'": f.diff(x) for k, f in enumerate(F_k)
    }
    found = {name: y.subs(x, 0) for name, y in values.items()}
    # a flow of -F bends by (h/2) F F' in the time h; what is left is the rate
    return {**found, "m": sp.Integer(2), "h": h, "Q": Q, r"\dot Q": sp.expand((spread - Q) / h),
            r"\dot x": sp.expand(centre / h) - h / 2 * found["F"] * found["F'"]}  # fmt: skip


BY_ENGINE = "the engine's two terms for mirrors of random mean gradients and mean squares"

ENTRIES = (
    Entry(
        "eq-mba-signs",
        two_signs,
        "bea.adam's step without memory on both gradients",
    ),
    Entry(
        "eq-mba-squares",
        batch_gradients,
        "the variance from the differences of all pairs",
    ),
    Entry(
        "eq-mba-self-averaging",
        batch_gradients,
        "bea.adam's step from the averages of a round of batches, with their weights as the decay goes to one",
    ),
    Entry(
        "eq-mba-fluctuations",
        fluctuations,
        "geometric sums of the products of weights",
    ),
    Entry(
        "eq-mba-race",
        noisy("any"),
        BY_ENGINE,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-mba-runners",
        noisy("any"),
        BY_ENGINE,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-mba-share",
        noisy("any"),
        f"{BY_ENGINE}, divided by the derivative of the gradient; and derivatives of logarithms",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-mba-constant",
        noisy("constant"),
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
        trembling,
        "geometric sums over all past steps",
    ),
    Entry(
        "eq-mba-tau",
        trembling,
        "geometric sums over all past steps",
    ),
    Entry(
        "eq-mba-law",
        labels,
        "the engine's two terms for the mirrors of two labels' gradients and squares",
    ),
    Entry(
        "eq-mba-law-way",
        labels,
        "the engine's two terms for the mirrors of two labels' gradients and squares",
    ),
    Entry(
        "eq-mba-floor",
        on_the_floor,
        "geometric sums of the products that Adam's step itself has on the floor; tau from the recursions",
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
