r"""Chapter 5, memory: heavy ball and Nesterov.

The witnesses are exact runs of the library's optimizers on random losses, eigenvalues of one such step, the moments of the
geometric distribution from its generating function, and, where the chapter derives something by hand, the engine.
"""

import sympy as sp

from bea.averages import Average, identity
from bea.losses import bilinear, quadratic
from bea.modified import modified_equation
from bea.optimizers import heavy_ball, nesterov
from bea_book.equations.ch03 import calculus, loss_with_critical_origin, potential
from bea_book.equations.instances import polynomial_loss, random_point, ratio
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

STEPS = 5


def decay(rng):
    return ratio(rng, 1, 9, 10)


def lag_of(beta):
    """The mean age under geometric weights, from the generating function (1 - beta)/(1 - beta u)."""
    u = sp.Symbol("u")
    return sp.diff((1 - beta) / (1 - beta * u), u).subs(u, 1)


def age_moment(beta, r):
    """The mean of the r-th power of the age: (u d/du)^r of the generating function at u = 1."""
    u = sp.Symbol("u")
    generating = (1 - beta) / (1 - beta * u)
    for _ in range(r):
        generating = u * sp.diff(generating, u)
    return generating.subs(u, 1)


def iterates(optimizer, loss, at, size, steps):
    """Exact iterates of the library's optimizer from rest, as SymPy vectors."""
    theta = sp.Matrix([at[s] for s in loss.symbols])
    memory, path = [0 * theta for _ in optimizer.averages], [theta]
    for _ in range(steps):
        g = sp.Matrix(loss.gradient_expressions).subs(
            dict(zip(loss.symbols, path[-1])), simultaneous=True
        )
        memory = [
            average.advance(m, g.applyfunc(average.of))
            for average, m in zip(optimizer.averages, memory)
        ]
        path.append(
            path[-1]
            - size
            * sp.Matrix([optimizer.update(*(m[i] for m in memory)) for i in range(len(theta))])
        )
    return path


def unrolled(rng):
    """The recursion in the last step, fed with random gradients, beside the running average of them."""
    beta, size = decay(rng), ratio(rng, denominator=13)
    gradients = [ratio(rng) for _ in range(STEPS)]
    theta, m, values = [ratio(rng)] * 2, sp.Integer(0), {r"\beta": beta, "h": size}
    for n, g in enumerate(gradients):
        theta.append(theta[-1] - size * g + beta * (theta[-1] - theta[-2]))
        m = Average(identity, beta).advance(m, g)
        values |= {
            rf"\theta^{{({n}+1)}}": theta[-1],
            rf"\theta^{{({n})}}": theta[-2],
            f"g^{{({n})}}": g,
            f"m^{{({n})}}": m,
        }
    return values


def lags(rng):
    beta = decay(rng)
    values = {r"\beta": beta, r"\mathrm{lag}": lag_of(beta)}
    for n in range(STEPS):
        weights = Average(identity, beta).weights(n + 1, bias_correction=True)
        values[rf"\mathrm{{lag}}({n})"] = sum((n - k) * w for k, w in enumerate(weights))
    return values


def mirror(rng):
    """The steady-state average of a random cubic in time: each power of t averaged by the moments of the age."""
    beta, t = decay(rng), sp.Symbol("t")
    here, i = ratio(rng, denominator=5), sp.Symbol("i")
    g = sum(ratio(rng) * t**k for k in range(4))
    past = sp.Poly(sp.expand(g.subs(t, here - i * h)), i)
    average = sum(c * age_moment(beta, power[0]) for power, c in past.terms())
    return {
        "m(t)": average,
        "g(t)": g.subs(t, here),
        r"\dot g(t)": sp.diff(g, t).subs(t, here),
        "h": h,
        r"\mathrm{lag}": lag_of(beta),
    }


def resolvent(rng):
    """On g = c exp(D t) at t = 0 the derivative D is a number, and the average is a geometric series that SymPy sums."""
    beta, number, g = decay(rng), ratio(rng), ratio(rng, denominator=5)
    i, q = sp.symbols("i q", positive=True)
    (total, _), *_ = sp.summation(q**i, (i, 0, sp.oo)).args
    average = (1 - beta) * g * total.subs(q, beta * sp.exp(-h * number))
    return {
        r"\beta": beta,
        "h": h,
        "D": number,
        "e": sp.E,
        "g": g,
        "m": average,
        "Dg": number * g,
        "D^2g": number**2 * g,
        "D^3g": number**3 * g,
    }


def engine(rng, order):
    """The engine's terms for heavy ball on a random loss whose origin is critical, and its derivatives at a point."""
    loss, beta = loss_with_critical_origin(rng), decay(rng)
    at = random_point(rng, loss)
    terms = modified_equation(heavy_ball(beta), loss, order).terms
    lag = lag_of(beta)
    step = h / (1 - beta)
    constants = {r"\beta": beta, "h": h, "h_e": step, r"\mathrm{lag}": lag}
    return loss, beta, at, terms, {**calculus(loss, at), **constants}


def memoryless_map(rng):
    loss, _, at, (f_0, f_1, f_2), values = engine(rng, 3)
    x = loss.symbols
    second = f_0.jacobian(x) * f_0
    third = f_2 + (f_1.jacobian(x) * f_0 + f_0.jacobian(x) * f_1) / 2 + second.jacobian(x) * f_0 / 6
    moved = (
        h * f_0 + h**2 * (f_1 + second / 2) + h**3 * third
    )  # the flow for a time h, by Taylor's formula
    start = sp.Matrix(list(at.values()))
    return {**values, r"\theta^{(n+1)}": start + moved.subs(at), r"\theta^{(n)}": start}


def field(rng):
    loss, beta = polynomial_loss(rng), decay(rng)
    at = random_point(rng, loss)
    terms = modified_equation(heavy_ball(beta), loss, 4).coefficients(list(at.values()))
    return {
        **calculus(loss, at),
        r"\beta": beta,
        "h": h,
        r"\dot\theta": sum((h**k * sp.Matrix(f) for k, f in enumerate(terms)), sp.zeros(2, 1)),
    }


def modified_loss(rng):
    loss, beta, at, (f_0, f_1), values = engine(rng, 2)
    slowed = ((1 - beta) * (f_0 + h * f_1)).applyfunc(sp.expand)
    return {**values, r"\tilde E": potential(slowed, loss, at), "K": constant(heavy_ball, beta)}


def constant(method, beta):
    """The penalty at the same pace in units of gradient descent's, from the engine on a parabola: -f_1 theta/(f_0 theta)^2 by two."""
    theta = sp.Integer(3)
    f_0, f_1 = modified_equation(method(beta), quadratic([1]), 2).coefficients([theta])[:, 0]
    return -2 * f_1 * theta / f_0**2


def constants(rng):
    beta = decay(rng)
    return {
        r"\beta": beta,
        r"\mathrm{lag}": lag_of(beta),
        "K": constant(heavy_ball, beta),
        r"K_{\mathrm{N}}": constant(nesterov, beta),
    }


def exact_law(rng):
    """Four exact steps on a random polynomial of ab."""
    beta, size = decay(rng), ratio(rng, denominator=60)
    a, b = sp.symbols("a b", real=True)
    powers = sum(ratio(rng) * (a * b) ** k for k in range(1, 3))
    loss = type(bilinear())(powers, (a, b))
    path = iterates(heavy_ball(beta), loss, {a: ratio(rng), b: ratio(rng, denominator=5)}, size, 4)
    values = {r"\beta": beta}
    for n, (old, new) in enumerate(zip(path, path[1:])):
        u, v = new - old
        for name in {f"B_{n}", f"B_{{{n - 1}+1}}"}:
            values[name] = old[0] ** 2 - old[1] ** 2
        values[f"B_{{{n}+1}}"] = new[0] ** 2 - new[1] ** 2
        values[f"Q_{n}"] = u**2 - v**2
        for i in range(1, n + 1):
            values[f"Q_{{{n}-{i}}}"] = values[f"Q_{n - i}"]
    return values


def flow_law(rng):
    beta, c, k = decay(rng), ratio(rng), ratio(rng)
    loss = bilinear(c, k)
    at = random_point(rng, loss)
    a, b = loss.symbols
    f_0, f_1 = modified_equation(heavy_ball(beta), loss, 2).terms
    change = (sp.Matrix([a**2 - b**2]).jacobian([a, b]) * (f_0 + h * f_1))[0].subs(at)
    return {
        r"\frac{d}{dt}(a^2-b^2)": change,
        "h": h,
        r"\beta": beta,
        "k": k,
        "r": (c - k * a * b).subs(at),
        "a": at[a],
        "b": at[b],
    }


def layer(rng):
    """Exact steps from rest, and the flow of the engine's two terms by Taylor's formula, both to order h^2."""
    loss, beta = polynomial_loss(rng, degree=3), decay(rng)
    at = random_point(rng, loss)
    start, gradient = sp.Matrix(list(at.values())), sp.Matrix(loss.gradient_expressions)
    f_0, f_1 = modified_equation(heavy_ball(beta), loss, 2).terms
    here, second = f_0.subs(at), f_1.subs(at)
    bend = (f_0.jacobian(loss.symbols) * f_0).subs(at)
    values, memory, theta = (
        {r"\beta": beta, "h": h, r"\nabla E": gradient.subs(at)},
        0 * start,
        start,
    )
    for n in range(STEPS):
        values |= {
            rf"\theta^{{({n})}}": theta,
            rf"\theta(t_{n})": start + n * h * here + h**2 * (n * second + n**2 * bend / 2),
        }
        seen = gradient.subs(dict(zip(loss.symbols, theta)), simultaneous=True)
        memory = Average(identity, beta).advance(memory, seen)
        theta = (theta - h * memory.applyfunc(heavy_ball(beta).update)).applyfunc(
            lambda v: sp.series(sp.expand(v), h, 0, 3).removeO()
        )
    return values


def step_matrix(beta, curvature):
    """One step on the mode with this curvature (h = 1), on the state (theta, m): its columns are the images of the unit vectors."""
    average, update = heavy_ball(beta).averages[0], heavy_ball(beta).update
    columns = []
    for theta, m in ((1, 0), (0, 1)):
        new = average.advance(sp.Integer(m), average.of(curvature * theta))
        columns.append([theta - update(new), new])
    return sp.Matrix(columns).T


def roots(rng):
    """Both eigenvalues, whatever their regime, with h lambda from small to large."""
    beta, lam, size = (
        decay(rng),
        ratio(rng),
        rng.choice((sp.Rational(1, 3000), sp.Rational(1, 3), sp.Integer(3))),
    )
    first, second = (
        z for z, count in step_matrix(beta, size * lam).eigenvals().items() for _ in range(count)
    )
    return {"z": first, "z_+": first, "z_-": second, r"\beta": beta, "h": size, r"\lambda": lam}


def slow_root(beta, curvature):
    """The eigenvalue that is 1 without curvature."""
    s = sp.Symbol("s", positive=True)
    (slow,) = (z for z in step_matrix(beta, s).eigenvals() if sp.simplify(z.subs(s, 0) - 1) == 0)
    return slow.subs(s, curvature)


def slow_rate(rng):
    beta = decay(rng)
    K = 1 + 2 * lag_of(beta)
    at, x = ratio(rng, 1, 9, 11) * (K - sp.sqrt(K**2 - 1)), sp.Symbol("x", positive=True)
    logarithm = sp.log(slow_root(beta, (1 - beta) * x))
    return {r"\frac{d}{dx}\ln z_+": sp.diff(logarithm, x).subs(x, at).evalf(60), "K": K, "x": at}


def legendre(rng):
    beta, lam = decay(rng), ratio(rng)
    return {
        "z_+": slow_root(beta, h * lam),
        "x": h * lam / (1 - beta),
        "K": constant(heavy_ball, beta),
        "h": h,
    }


ENGINE = "the engine's terms on a random loss"
EIGENVALUES = (
    "eigenvalues of the library's step on one mode, a matrix made by stepping from unit vectors"
)

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
        mirror,
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
