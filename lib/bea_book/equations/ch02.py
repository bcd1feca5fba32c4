r"""The equations of chapter 2, backward error analysis.

Most are compared with *exact iterates*: a few steps of a method on a random polynomial field, as
polynomials in h.  Their differences give the modified field as the logarithm of the step,
:math:`h\tilde f = \ln(1 + \Delta)\,\theta`, without the engine's recursion, without a Taylor
series of a solution and without a derivative of any field.  What the chapter derives by that
logarithm is compared with the engine.
"""

import random
from collections.abc import Callable, Sequence
from math import comb
from typing import Any

import sympy as sp
from sympy.polys.rings import ring

from bea import VectorField, gradient_descent, quadratic
from bea_book.equations.shared import (
    Polynomial,
    Values,
    gradient_along,
    on_polynomials,
    ratio,
    terms_at,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES", "logarithm_of_step"]

POWERS = 5  # of h, that the expansions keep: h^0, ..., h^4
q, p, s, x, y = sp.symbols("q p s x y", real=True)

State = list[Polynomial]
Step = Callable[[State, Polynomial], State]


def iterates(step: Step, start: Sequence[sp.Expr], count: int, powers: int = POWERS) -> list[State]:
    """``start`` and ``count`` iterates of ``step``, as polynomials in h."""
    zeros = [sp.Integer(0)] * powers
    size = Polynomial([sp.Integer(0), sp.Integer(1), *zeros[2:]])
    path = [[Polynomial([value, *zeros[1:]]) for value in start]]
    for _ in range(count):
        path.append(step(path[-1], size))
    return path


def difference(path: Sequence[State], k: int) -> State:
    """The k-th forward difference of a sequence at its start."""
    factors = [(-1) ** (k - j) * comb(k, j) for j in range(k + 1)]
    found: list[Any] = [sum((x * factor for x, factor in zip(values, factors)), 0) for values in zip(*path)]
    return found


def logarithm_of_step(step: Step, start: Sequence[sp.Expr], powers: int = POWERS) -> sp.Matrix:
    """The modified field at ``start`` from iterates alone, with the powers h^0, ..., h^(powers - 2).

    ``step(state, h)`` takes and returns lists of polynomials in h.
    """
    path = iterates(step, start, powers - 1, powers)
    logarithm: list[Any] = [0] * len(start)
    for k in range(1, powers):
        factor = sp.Rational((-1) ** (k + 1), k)
        logarithm = [a + b * factor for a, b in zip(logarithm, difference(path, k))]
    return column(logarithm, divided_by=1)


def column(state: State, divided_by: int = 0) -> sp.Matrix:
    """Polynomials in h as a column of expressions, divided by a power of h."""
    return sp.Matrix([value.expression(divided_by) for value in state])


def euler(field: Sequence[sp.Expr], symbols: Sequence[sp.Symbol]) -> Step:
    """The step of the library's gradient descent on a polynomial field: Euler's method."""

    def step(state: State, size: Polynomial) -> State:
        slopes = [-on_polynomials(component, symbols, state) for component in field]
        return [x - size * u for x, u in zip(state, gradient_along(slopes))]

    return step


def random_field(
    rng: random.Random, dimension: int = 2, degree: int = 3
) -> tuple[sp.Matrix, tuple[sp.Symbol, ...], dict[sp.Symbol, sp.Expr]]:
    """A field with random whole coefficients in all monomials up to ``degree``, its symbols, and a
    point."""
    symbols = sp.symbols(f"x_1:{dimension + 1}", real=True)
    monomials = sorted(sp.itermonomials(symbols, degree), key=str)
    field = sp.Matrix([sp.Add(*(rng.choice((-1, 1)) * rng.randint(1, 5) * m for m in monomials)) for _ in symbols])
    return field, symbols, {x: ratio(rng, denominator=5 + 2 * i) for i, x in enumerate(symbols)}


def picard(fields: Sequence[sp.Matrix], symbols: Sequence[sp.Symbol], start: Sequence[sp.Expr]) -> sp.Matrix:
    """The solution after the time h of the equation with the field f + h f_1 + h^2 f_2 + ..., by
    Picard's iteration in the scaled time s = t/h."""
    polynomials, *_ = ring("s", sp.QQ)
    zeros = [polynomials.zero] * (POWERS - 1)
    beginning = [Polynomial([polynomials(sp.QQ(v.p, v.q)), *zeros]) for v in start]
    solution = beginning
    for _ in range(POWERS - 1):
        speed: list[Any] = [0] * len(start)
        for k, field in enumerate(fields):
            values = (on_polynomials(component, symbols, solution) for component in field)
            speed = [total + delayed(value, k + 1) for total, value in zip(speed, values)]
        solution = [
            at_start + Polynomial(integral(c) for c in value.coefficients) for at_start, value in zip(beginning, speed)
        ]
    ends = [[sp.QQ.to_sympy(c.evaluate(0, 1)) for c in value.coefficients] for value in solution]
    return column([Polynomial(end) for end in ends])


def delayed(value: Polynomial, powers: int) -> Polynomial:
    """A polynomial times a power of h."""
    kept = value.coefficients
    return Polynomial([kept[0] * 0] * powers + list(kept[: len(kept) - powers]))


def integral(element: sp.polys.rings.PolyElement) -> sp.polys.rings.PolyElement:
    """The integral from 0 of a polynomial in s."""
    return element.ring.from_dict({(j + 1,): c / (j + 1) for (j,), c in element.items()})


def differentials(field: sp.Matrix, symbols: Sequence[sp.Symbol], point: dict[sp.Symbol, sp.Expr]) -> Values:
    """The elementary differentials f, f'f, f'f'f and f''(f, f) at a point."""
    f, jacobian = field.subs(point), field.jacobian(symbols).subs(point)
    return {
        "f": f,
        "f'f": jacobian * f,
        "f'f'f": jacobian * jacobian * f,
        "f''(f,f)": second(field, symbols, point, f),
    }


def second(
    field: sp.Matrix,
    symbols: Sequence[sp.Symbol],
    point: dict[sp.Symbol, sp.Expr],
    v: sp.Matrix,
) -> sp.Matrix:
    """f''(v, v): the sum over all second partial derivatives."""
    return sp.Matrix([(v.T * sp.hessian(component, symbols).subs(point) * v)[0] for component in field])


# --- instances -----------------------------------------------------------------------------------


def mode_by_engine(rng: random.Random) -> Values:
    rate, theta = ratio(rng), sp.Rational(3, 2)
    loss = quadratic([rate])
    found = terms_at(gradient_descent(), loss, {loss.symbols[0]: theta}, order=6)
    return {
        r"\tilde\lambda": sum(-term[0] / theta * h**k for k, term in enumerate(found)),
        r"\lambda": rate,
        "h": h,
    }


def straight_line(rng: random.Random) -> Values:
    field, symbols, point = random_field(rng)
    v = sp.Matrix([ratio(rng), -ratio(rng)])
    line = [Polynomial([point[x], v[i], 0, 0]) for i, x in enumerate(symbols)]
    return {
        r"f(\theta + h v)": column([on_polynomials(f, symbols, line) for f in field]),
        "f": field.subs(point),
        "f'v": field.jacobian(symbols).subs(point) * v,
        "f''(v,v)": second(field, symbols, point, v),
        "h": h,
    }


def unknown_terms(rng: random.Random) -> Values:
    field, symbols, point = random_field(rng, degree=2)
    first, then = random_field(rng, degree=2)[0], random_field(rng, degree=1)[0]
    start = [point[x] for x in symbols]
    f, f_1 = field.subs(point), first.subs(point)
    return {
        **differentials(field, symbols, point),
        r"\theta(t + h)": picard([field, first, then], symbols, start),
        r"\theta": sp.Matrix(start),
        "f_1": f_1,
        "f_2": then.subs(point),
        "f'f_1": field.jacobian(symbols).subs(point) * f_1,
        "f_1'f": first.jacobian(symbols).subs(point) * f,
        "h": h,
    }


def euler_field(rng: random.Random) -> Values:
    field, symbols, point = random_field(rng)
    return {
        **differentials(field, symbols, point),
        r"\tilde f": logarithm_of_step(euler(field, symbols), [point[x] for x in symbols]),
        "h": h,
    }


def shift(rng: random.Random) -> Values:
    field, symbols, point = random_field(rng)
    start = [point[x] for x in symbols]
    powers = [sp.Matrix(symbols)]
    for _ in range(3):
        powers.append(powers[-1].jacobian(symbols) * field)  # D a = a' f
    return {
        r"\theta(t + h)": picard([field], symbols, start),
        r"\theta": sp.Matrix(start),
        r"D\theta": powers[1].subs(point),
        r"D^2\theta": powers[2].subs(point),
        r"D^3\theta": powers[3].subs(point),
        "h": h,
    }


def differences_by_engine(rng: random.Random) -> Values:
    field, symbols, point = random_field(rng)
    found = terms_at(gradient_descent(), VectorField(tuple(field), symbols), point, order=4)
    path = iterates(euler(field, symbols), [point[x] for x in symbols], 3)
    return {
        r"\tilde f": sum((term * h**k for k, term in enumerate(found)), sp.zeros(2, 1)),
        r"\Delta\theta": column(difference(path, 1)),
        r"\Delta^2\theta": column(difference(path, 2)),
        r"\Delta^3\theta": column(difference(path, 3)),
        "h": h,
    }


def polynomials(rng: random.Random) -> Values:
    field, (x,), point = random_field(rng, dimension=1, degree=2)
    path = [state[0].coefficients for state in iterates(euler(field, (x,)), [point[x]], POWERS - 1)]
    curve = [sp.interpolate([(n, path[n][k]) for n in range(POWERS)], s) for k in range(POWERS)]
    on_curve = sp.expand(field[0].subs(x, sum(c * h**k for k, c in enumerate(curve))))
    here = ratio(rng)
    found = {"s": here, "h": h}
    for k in range(POWERS - 1):
        found[f"P_{{{k}+1}}(s+1)"] = curve[k + 1].subs(s, here + 1)
        found[f"P_{{{k}+1}}(s)"] = curve[k + 1].subs(s, here)
        found[f"[h^{k}] f(\\theta(t+sh))"] = on_curve.coeff(h, k).subs(s, here)
    return found


def square(rng: random.Random) -> Values:
    here = ratio(rng)
    field = logarithm_of_step(euler([y**2], (y,)), [here], powers=8)
    return {r"\tilde f(y)": field[0], "y": here, "h": h}


def lotka_volterra(rng: random.Random) -> Values:
    start = [ratio(rng), ratio(rng, denominator=5)]
    found = logarithm_of_step(euler([q * (p - 1), p * (2 - q)], (q, p)), start, powers=4)
    return {r"\dot q": found[0], r"\dot p": found[1], "q": start[0], "p": start[1], "h": h}


def trigonometry(point: dict[sp.Symbol, sp.Expr]) -> Values:
    """What the pendulum's equations are printed in."""
    return {
        "q": point[q],
        "p": point[p],
        "p^2": point[p] ** 2,
        r"\sin q": sp.sin(point[q]),
        r"\cos q": sp.cos(point[q]),
    }


def pendulum_point(rng: random.Random) -> dict[sp.Symbol, sp.Expr]:
    return {q: ratio(rng), p: ratio(rng, denominator=5)}


def kick_then_drift(state: State, size: Polynomial) -> State:
    """Symplectic Euler on the pendulum."""
    kicked = state[1] - size * state[0].sin()
    return [state[0] + size * kicked, kicked]


def symplectic(rng: random.Random) -> Values:
    point = pendulum_point(rng)
    found = logarithm_of_step(kick_then_drift, [point[q], point[p]], powers=4)
    return {r"\dot q": found[0], r"\dot p": found[1], **trigonometry(point), "h": h}


def symplectic_energy(rng: random.Random) -> Values:
    """The work along a path from rest: first q at p = 0, then p; the energy of rest is -1."""
    point = pendulum_point(rng)
    found = logarithm_of_step(kick_then_drift, [q, p], powers=4).applyfunc(sp.expand)
    energy = (
        -1
        - sp.integrate(found[1].subs({q: s, p: 0}), (s, 0, point[q]))
        + sp.integrate(found[0].subs({q: point[q], p: s}), (s, 0, point[p]))
    )
    return {r"\tilde H": sp.expand(energy), **trigonometry(point), "h": h}


def quadrature(rng: random.Random) -> Values:
    integrand = sum(rng.choice((-1, 1)) * rng.randint(1, 9) * x**k for k in range(7))
    here = ratio(rng)
    step = euler([sp.Integer(1), integrand], (x, y))
    slopes = {"g" + "'" * k: sp.diff(integrand, x, k).subs(x, here) for k in range(3)}
    return {
        r"\dot y": logarithm_of_step(step, [here, ratio(rng)], powers=8)[1],
        **slopes,
        "g^{(4)}": sp.diff(integrand, x, 4).subs(x, here),
        "h": h,
    }


def coefficients(rng: random.Random) -> Values:
    found = terms_at(gradient_descent(), VectorField((y**2,), (y,)), {y: sp.Integer(1)}, order=7)
    return {f"c_{k}": value[0] for k, value in enumerate(found)}


ITERATES = "The modified field is the logarithm of the step, a sum of differences of exact iterates."

ENTRIES = (
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
