r"""The equations of chapter 2, backward error analysis.

Most are read against *exact iterates*: a few steps of a method on a random polynomial field, in powers of h.  Their differences give the
modified field as the logarithm of the step, :math:`h\tilde f = \ln(1 + \Delta)\,\theta`, without the engine's recursion, without Taylor
series of a solution and without a derivative of any field.  Where the chapter derives something by that logarithm, the engine judges.
"""

from math import comb

import sympy as sp
from mpmath import mp

from bea.losses import VectorField, quadratic
from bea.modified import modified_equation
from bea.optimizers import gradient_descent
from bea_book.equations.instances import ratio
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

POWERS = 5  # of h, that the expansions keep: h^0, ..., h^4
q, p, s, t = sp.symbols("q p s t", real=True)


def cut(expression, variable=h, powers=POWERS):
    """The Taylor polynomial in ``variable`` with the given number of powers."""
    if expression.is_polynomial(variable):
        polynomial = sp.Poly(expression, variable)
        return sum(polynomial.coeff_monomial(variable**k) * variable**k for k in range(powers))
    return sum(
        sp.diff(expression, variable, k).subs(variable, 0) * variable**k / sp.factorial(k)
        for k in range(powers)
    )


def exact_iterates(step, start, count, powers=POWERS):
    """``start`` and ``count`` iterates of ``step``, each cut off in powers of h."""
    path = [sp.Matrix(start)]
    for _ in range(count):
        path.append(step(path[-1]).applyfunc(lambda v: cut(sp.expand(v), powers=powers)))
    return path


def difference(path, k):
    r"""The k-th forward difference of a sequence of vectors at its start."""
    return sum(
        ((-1) ** (k - j) * comb(k, j) * path[j] for j in range(k + 1)), sp.zeros(*path[0].shape)
    )


def logarithm_of_step(step, start, powers=POWERS):
    """The modified field at ``start``, with powers h^0, ..., h^(powers - 2), from iterates alone."""
    path = exact_iterates(step, start, powers - 1, powers)
    total = sum(
        (sp.Rational((-1) ** (k + 1), k) * difference(path, k) for k in range(1, powers)),
        sp.zeros(*path[0].shape),
    )
    return total.applyfunc(lambda v: sp.expand(cut(sp.expand(v), powers=powers) / h))


def euler(field, symbols):
    """The step of explicit Euler's method for a column of expressions."""
    return lambda y: y + h * field.subs(dict(zip(symbols, y)), simultaneous=True)


def random_field(rng, dimension=2, degree=3):
    """(field as a column, symbols, point): random whole coefficients in all monomials up to ``degree``."""
    symbols = sp.symbols(f"x_1:{dimension + 1}", real=True)
    monomials = sorted(sp.itermonomials(symbols, degree), key=str)
    field = sp.Matrix(
        [sp.Add(*(rng.choice((-1, 1)) * rng.randint(1, 5) * m for m in monomials)) for _ in symbols]
    )
    return field, symbols, {x: ratio(rng, denominator=5 + 2 * i) for i, x in enumerate(symbols)}


def picard(field, symbols, start):
    """The solution of an equation with this field after the time h, in powers of h, by Picard's iteration in the scaled time s = t/h."""
    solution = sp.Matrix(start)
    for _ in range(POWERS - 1):
        speed = h * field.subs(dict(zip(symbols, solution)), simultaneous=True)
        solution = sp.Matrix(start) + speed.applyfunc(
            lambda v: sp.expand(cut(sp.expand(v))).integrate((s, 0, s))
        )
    return solution.subs(s, 1).applyfunc(sp.expand)


def differentials(field, symbols, point):
    """The elementary differentials f, f'f, f'f'f and f''(f, f) at a point: products of matrices of partial derivatives."""
    f, jacobian = field.subs(point), field.jacobian(symbols).subs(point)
    return {
        "f": f,
        "f'f": jacobian * f,
        "f'f'f": jacobian * jacobian * f,
        "f''(f,f)": second(field, symbols, point, f),
    }


def second(field, symbols, point, v):
    """f''(v, v): the sum over all second partial derivatives."""
    return sp.Matrix(
        [(v.T * sp.hessian(component, symbols).subs(point) * v)[0] for component in field]
    )


# --- instances -------------------------------------------------------------------------------------------------------


def mode(rng):
    size, rate = ratio(rng, high=3), ratio(rng, high=9, denominator=5)
    with mp.workdps(60):
        mu = mp.findroot(
            lambda m: (
                mp.exp(-m * mp.mpf(size.p) / size.q) - 1 + mp.mpf((size * rate).p) / (size * rate).q
            ),
            float(rate),
        )
        return {r"\tilde\lambda": sp.Float(mu, 55), r"\lambda": rate, "h": size}


def mode_by_engine(rng):
    rate = ratio(rng)
    theta = sp.Rational(3, 2)
    terms = modified_equation(gradient_descent(), quadratic([rate]), order=6).coefficients([theta])[
        :, 0
    ]
    return {
        r"\tilde\lambda": sum(-term / theta * h**k for k, term in enumerate(terms)),
        r"\lambda": rate,
        "h": h,
    }


def straight_line(rng):
    field, symbols, point = random_field(rng)
    v = sp.Matrix([ratio(rng), -ratio(rng)])
    moved = field.subs(
        {x: point[x] + h * v[i] for i, x in enumerate(symbols)}, simultaneous=True
    ).applyfunc(sp.expand)
    return {
        r"f(\theta + h v)": moved,
        "f": field.subs(point),
        "f'v": field.jacobian(symbols).subs(point) * v,
        "f''(v,v)": second(field, symbols, point, v),
        "h": h,
    }


def unknown_terms(rng):
    field, symbols, point = random_field(rng, degree=2)
    first, then = random_field(rng, degree=2)[0], random_field(rng, degree=1)[0]
    start = [point[x] for x in symbols]
    solution = picard(field + h * first + h**2 * then, symbols, start)
    f, f_1 = field.subs(point), first.subs(point)
    return {
        **differentials(field, symbols, point),
        r"\theta(t + h)": solution,
        r"\theta": sp.Matrix(start),
        "f_1": f_1,
        "f_2": then.subs(point),
        "f'f_1": field.jacobian(symbols).subs(point) * f_1,
        "f_1'f": first.jacobian(symbols).subs(point) * f,
        "h": h,
    }


def euler_field(rng):
    field, symbols, point = random_field(rng)
    return {
        **differentials(field, symbols, point),
        r"\tilde f": logarithm_of_step(euler(field, symbols), [point[x] for x in symbols]),
        "h": h,
    }


def shift(rng):
    field, symbols, point = random_field(rng)
    start = sp.Matrix([point[x] for x in symbols])
    powers = [sp.Matrix(symbols)]
    for _ in range(3):
        powers.append(powers[-1].jacobian(symbols) * field)  # D a = a' f
    return {
        r"\theta(t + h)": picard(field, symbols, start),
        r"\theta": start,
        r"D\theta": powers[1].subs(point),
        r"D^2\theta": powers[2].subs(point),
        r"D^3\theta": powers[3].subs(point),
        "h": h,
    }


def differences_by_engine(rng):
    field, symbols, point = random_field(rng)
    start = [point[x] for x in symbols]
    terms = modified_equation(
        gradient_descent(), VectorField(tuple(field), symbols), order=4
    ).coefficients(start)
    path = exact_iterates(euler(field, symbols), start, 3)
    return {
        r"\tilde f": sum((sp.Matrix(term) * h**k for k, term in enumerate(terms)), sp.zeros(2, 1)),
        r"\Delta\theta": difference(path, 1),
        r"\Delta^2\theta": difference(path, 2),
        r"\Delta^3\theta": difference(path, 3),
        "h": h,
    }


def polynomials(rng):
    field, (x,), point = random_field(rng, dimension=1, degree=2)
    path = exact_iterates(euler(field, (x,)), [point[x]], POWERS - 1)
    curve = [
        sp.interpolate([(n, path[n][0].coeff(h, k)) for n in range(POWERS)], s)
        for k in range(POWERS)
    ]
    on_curve = sp.expand(field[0].subs(x, sum(c * h**k for k, c in enumerate(curve))))
    here = ratio(rng)
    instance = {"s": here, "h": h}
    for k in range(POWERS - 1):
        instance[f"P_{{{k}+1}}(s+1)"] = curve[k + 1].subs(s, here + 1)
        instance[f"P_{{{k}+1}}(s)"] = curve[k + 1].subs(s, here)
        instance[f"[h^{k}] f(\\theta(t+sh))"] = on_curve.coeff(h, k).subs(s, here)
    return instance


def square(rng):
    y = ratio(rng)
    field = logarithm_of_step(lambda v: v + h * v.applyfunc(lambda w: w**2), [y], powers=8)
    return {r"\tilde f(y)": field[0], "y": y, "h": h}


def lotka_volterra(rng):
    start = [ratio(rng), ratio(rng, denominator=5)]
    field = sp.Matrix([q * (p - 1), p * (2 - q)])
    found = logarithm_of_step(euler(field, (q, p)), start, powers=4)
    return {r"\dot q": found[0], r"\dot p": found[1], "q": start[0], "p": start[1], "h": h}


PENDULUM = sp.Matrix([p, -sp.sin(q)])
ENERGY = p**2 / 2 - sp.cos(q)


def trigonometry(point):
    """What the pendulum's equations are printed in."""
    return {
        "q": point[q],
        "p": point[p],
        "p^2": point[p] ** 2,
        r"\sin q": sp.sin(point[q]),
        r"\cos q": sp.cos(point[q]),
        r"\sin^2 q": sp.sin(point[q]) ** 2,
    }


def energy_of_a_step(rng):
    point = {q: ratio(rng), p: ratio(rng, denominator=5)}
    after = euler(PENDULUM, (q, p))(sp.Matrix([q, p]))
    gained = (ENERGY.subs({q: after[0], p: after[1]}, simultaneous=True) - ENERGY).subs(point)
    return {r"\dot H": sp.expand(cut(gained, powers=4) / h), **trigonometry(point), "h": h}


def along_the_flow(rng):
    point = {q: ratio(rng), p: ratio(rng, denominator=5)}
    solution = [
        point[q] + t * point[p] - t**2 * sp.sin(point[q]) / 2,
        point[p] - t * sp.sin(point[q]),
    ]
    return {
        r"\frac{d}{dt}(p \sin q)": sp.diff(solution[1] * sp.sin(solution[0]), t).subs(t, 0),
        **trigonometry(point),
    }


def kick_then_drift(y):
    kicked = y[1] - h * sp.sin(y[0])
    return sp.Matrix([y[0] + h * kicked, kicked])


def symplectic(rng):
    point = {q: ratio(rng), p: ratio(rng, denominator=5)}
    found = logarithm_of_step(kick_then_drift, [q, p], powers=4).subs(point)
    return {r"\dot q": found[0], r"\dot p": found[1], **trigonometry(point), "h": h}


def symplectic_energy(rng):
    point = {q: ratio(rng), p: ratio(rng, denominator=5)}
    found = logarithm_of_step(kick_then_drift, [q, p], powers=4)
    # the work along a path from the origin: first q at p = 0, then p; the constant is fixed by H = -1 at rest
    energy = (
        -1
        - sp.integrate(found[1].subs({q: s, p: 0}), (s, 0, point[q]))
        + sp.integrate(found[0].subs({q: point[q], p: s}), (s, 0, point[p]))
    )
    return {r"\tilde H": sp.expand(energy), **trigonometry(point), "h": h}


def quadrature(rng):
    x, y = sp.symbols("x y", real=True)
    integrand = sum(rng.choice((-1, 1)) * rng.randint(1, 9) * x**k for k in range(7))
    here = ratio(rng)
    found = logarithm_of_step(
        euler(sp.Matrix([1, integrand]), (x, y)), [here, ratio(rng)], powers=8
    )
    slopes = {"g" + "'" * k: sp.diff(integrand, x, k).subs(x, here) for k in range(3)}
    return {
        r"\dot y": found[1],
        **slopes,
        "g^{(4)}": sp.diff(integrand, x, 4).subs(x, here),
        "h": h,
    }


def coefficients(rng):
    y = sp.Symbol("y")
    found = modified_equation(gradient_descent(), VectorField((y**2,), (y,)), order=7).coefficients(
        [sp.Integer(1)]
    )[:, 0]
    return {f"c_{k}": value for k, value in enumerate(found)}


ITERATES = (
    "The modified field is the logarithm of the step, a sum of differences of exact iterates."
)

ENTRIES = (
    Entry(
        "eq-bea-mode-rate",
        mode,
        "The rate is the root of exp(-rate h) = 1 - h lambda, found by Newton's method to 55 digits.",
    ),
    Entry(
        "eq-bea-mode-series",
        mode_by_engine,
        "The rate comes from the engine's terms on a quadratic loss.",
    ),
    Entry(
        "eq-bea-directional",
        straight_line,
        "The left side is a random cubic field on a straight line, multiplied out; f'v and f''(v,v) are sums over partial derivatives.",
    ),
    Entry(
        "eq-bea-flow",
        unknown_terms,
        "The solution is found by Picard's iteration, with three unrelated random polynomial fields for f, f_1 and f_2.",
    ),
    Entry(
        "eq-bea-euler",
        euler_field,
        ITERATES,
    ),
    Entry(
        "eq-bea-shift",
        shift,
        "The solution is found by Picard's iteration; D differentiates along the field.",
    ),
    Entry(
        "eq-bea-log",
        differences_by_engine,
        "The differences are those of exact iterates; the modified field is the engine's.",
    ),
    Entry(
        "eq-bea-difference",
        polynomials,
        "The polynomial P_k interpolates the coefficients of h^k of exact iterates; s is not a whole number.",
        indices={"k": (0, 1, 2, 3)},
    ),
    Entry(
        "eq-bea-square",
        square,
        ITERATES,
    ),
    Entry(
        "eq-bea-lotka-volterra",
        lotka_volterra,
        ITERATES,
    ),
    Entry(
        "eq-bea-energy",
        energy_of_a_step,
        "The energy that one exact step of Euler's method gains, divided by h.",
    ),
    Entry(
        "eq-bea-virial",
        along_the_flow,
        "The derivative at t = 0 on the pendulum's solution, by its Taylor polynomial in t.",
    ),
    Entry(
        "eq-bea-symplectic",
        symplectic,
        ITERATES,
    ),
    Entry(
        "eq-bea-symplectic-energy",
        symplectic_energy,
        "The work of the modified field, itself the logarithm of the step, along a path from the origin.",
    ),
    Entry(
        "eq-bea-recursion",
        coefficients,
        "The coefficients are the engine's, at y = 1.",
        indices={"k": (1, 2, 3, 6)},
    ),
    Entry(
        "eq-bea-bernoulli",
        quadrature,
        ITERATES,
    ),
)
