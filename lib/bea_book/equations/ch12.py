r"""The equations of chapter 12, the equation that keeps its memory.

Decays are exp(-rate * h), as functions of h.  The fields are found from Adam's own step in exact
numbers (:func:`bea_book.equations.shared.step_from`), expanded in h, and from the engine; averages of
exponentials are integrals over the past.
"""

import random

import sympy as sp

from bea import adam, modified_equation
from bea_book.equations.shared import Values, polynomial_loss, random_point, ratio, step_from
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

S = sp.Symbol("s", positive=True)  # the age of what is remembered


def rates(rng: random.Random) -> Values:
    """Both rates from decays and a step size."""
    size, beta, rho = ratio(rng), ratio(rng, 2, 9, 10), ratio(rng, 2, 10, 11)
    return {
        r"\beta": beta,
        r"\rho": rho,
        "h": size,
        r"\kappa": -sp.log(beta) / size,
        r"\lambda": -sp.log(rho) / size,
        "e": sp.E,
    }


def one_average(rng: random.Random) -> Values:
    """The solution of m' = kappa (g - m), by SymPy."""
    kappa, g, start, size = ratio(rng), ratio(rng, denominator=5), ratio(rng, denominator=3), ratio(rng, denominator=11)
    m = sp.Function("m")
    equation = m(S).diff(S) - kappa * (g - m(S))
    solution = sp.dsolve(equation, m(S), ics={m(0): start}, hint="1st_linear", simplify=False).rhs
    return {
        r"\kappa": kappa,
        "g": g,
        "h": size,
        "m(t)": start,
        "m(t + h)": solution.subs(S, size),
        "e": sp.E,
    }


def leading(rng: random.Random) -> Values:
    """The step of the library's Adam in one coordinate at a time t, divided by h, as h goes to 0."""
    kappa, lam, t, epsilon = ratio(rng), ratio(rng, denominator=11), ratio(rng, denominator=5), ratio(rng)
    found = {r"\kappa": kappa, r"\lambda": lam, "t": t, r"\varepsilon": epsilon, "e": sp.E}
    method = adam(sp.exp(-kappa * h), sp.exp(-lam * h), epsilon, epsilon_inside=False)
    for j in (1, 2):
        m, v, g = ratio(rng), ratio(rng, denominator=5), ratio(rng, denominator=3)
        p, q = sp.exp(-kappa * t), sp.exp(-lam * t)
        update, [(new_m, _), (new_v, _)] = step_from(method, g, [(m, p), (v, q)])
        found |= {
            rf"\dot\theta_{j}": -update.subs(h, 0),
            rf"\dot m_{j}": sp.diff(new_m, h).subs(h, 0),
            rf"\dot v_{j}": sp.diff(new_v, h).subs(h, 0),
            f"u_{j}": update.subs(h, 0),
            f"m_{j}": m,
            f"v_{j}": v,
            f"g_{j}": g,
            rf"\hat m_{j}": m / (1 - p),
            rf"\hat v_{j}": v / (1 - q),
        }
    return found


def next_term(rng: random.Random) -> Values:
    """A field in one dimension that depends on h, and the terms of its own flow over the time h."""
    z = sp.Symbol("z")
    a, b, c, d, at = (ratio(rng) for _ in range(5))
    field = a * z**2 + h * (b * z + c) + h**2 * d * z

    def along(function: sp.Expr) -> sp.Expr:
        return sp.diff(function, z) * field

    move = sp.expand(field + h / 2 * along(field) + h**2 / 6 * along(along(field)))
    f_0, f_1 = move.coeff(h, 0), move.coeff(h, 1)
    return {
        r"\dot z": field.subs(z, at),
        "F_0": f_0.subs(z, at),
        "F_1": f_1.subs(z, at),
        r"\dot F_0": (sp.diff(f_0, z) * f_0).subs(z, at),
        "h": h,
    }


def two_terms(rng: random.Random) -> Values:
    """The engine's three terms on a random cubic loss, and u and g along its first term."""
    loss = polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    kappa, lam, epsilon = ratio(rng), ratio(rng, denominator=11), ratio(rng)
    beta, rho = sp.symbols("beta rho", positive=True)
    equation = modified_equation(adam(beta, rho, epsilon, epsilon_inside=False), loss, 3, memory="kept")
    z = equation.coordinates
    m, p, v, q = z[2:4], z[4], z[5:7], z[7]
    rate = dict(zip(sp.symbols("kappa_1 kappa_2", positive=True), (kappa, lam)))
    numbers = {
        **at,
        **rate,
        **{s: ratio(rng, denominator=13) for s in (*m, *v)},
        p: ratio(rng, 1, 9, 10),
        q: ratio(rng, 1, 9, 10),
    }
    f_0, f_1, f_2 = (term.xreplace(rate) for term in equation.terms)
    field = (f_0 + h * f_1 + h**2 * f_2).xreplace(numbers)

    def dot(function: sp.Expr) -> sp.Expr:
        return sp.Add(*(sp.diff(function, s) * f for s, f in zip(z, f_0))).xreplace(numbers)

    found = {"h": h, r"\kappa": kappa, r"\lambda": lam}
    for j, g in enumerate(loss.gradient_expressions):
        u = -f_0[j]
        found |= {
            rf"\dot\theta_{j + 1}": field[j],
            rf"\dot m_{j + 1}": field[2 + j],
            rf"\dot v_{j + 1}": field[5 + j],
            f"u_{j + 1}": u.xreplace(numbers),
            rf"\dot u_{j + 1}": dot(u),
            f"g_{j + 1}": g.xreplace(numbers),
            rf"\dot g_{j + 1}": dot(g),
            f"m_{j + 1}": m[j].xreplace(numbers),
            f"v_{j + 1}": v[j].xreplace(numbers),
        }
    return found


def falling(rng: random.Random, end: sp.Expr) -> Values:
    """Averages of exp(-gamma t) and of its square over the ages up to `end`, as integrals."""
    gamma = sp.Rational(rng.randint(1, 5), 11)
    kappa, lam, g = 2 + ratio(rng), 2 + ratio(rng, denominator=5), ratio(rng, denominator=3)
    found = {r"\gamma": gamma, r"\kappa": kappa, r"\lambda": lam, "e": sp.E, "g": g, "t": end}
    for name, rate, fall, now in (("m", kappa, gamma, g), ("v", lam, 2 * gamma, g**2)):
        weight = rate * sp.exp(-rate * S)
        seen = now * sp.integrate(sp.expand(sp.powsimp(weight * sp.exp(fall * S))), (S, 0, end))
        found |= {name: seen, rf"\hat {name}": seen / sp.integrate(weight, (S, 0, end))}
    return found


def long_after(rng: random.Random) -> Values:
    return falling(rng, sp.oo)


def at_any_time(rng: random.Random) -> Values:
    return falling(rng, ratio(rng, denominator=5))


COORDINATES = {"j": (1, 2)}
INTEGRALS = "integrals of exponentials over the past, by SymPy"

ENTRIES = (
    Entry("eq-kept-rates", rates, "logarithms of random decays"),
    Entry("eq-kept-average", one_average, "SymPy's solution of the differential equation"),
    Entry(
        "eq-kept-leading",
        leading,
        "the step of the library's Adam, its decays functions of h, in the limit of h to 0",
        COORDINATES,
    ),
    Entry("eq-kept-next", next_term, "a field that depends on h, and the Lie series of its own flow"),
    Entry(
        "eq-kept-two-terms",
        two_terms,
        "the engine's three terms with the memory kept, on a random cubic loss",
        COORDINATES,
    ),
    Entry("eq-kept-speed", long_after, INTEGRALS),
    Entry("eq-kept-early", at_any_time, INTEGRALS),
)
