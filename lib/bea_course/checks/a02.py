r"""Assignment 2: the equation behind :math:`x \leftarrow x + h\,f(x + c\,h\,f(x))`.

The references are Taylor series of the step itself; no coefficient of the answers is written here.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from bea_course.compare import (
    Answer,
    answered,
    demand,
    expression,
    generator,
    name_the_mistake,
    number,
    points,
    real,
    same,
    slope,
    vector,
)

c, h, lam = sp.symbols("c h lambda", positive=True)
POINT = sp.Rational(3, 7)


def factor(factor: Answer) -> None:
    """The factor of one step on f(x) = -lambda x."""
    answer = expression(factor, (c, h, lam), "factor")
    f = lambda x: -lam * x  # noqa: E731
    step = 1 + h * f(1 + c * h * f(1))
    name_unless = {
        "that is Euler's; the gradient is taken at the point c·h further on.": step.subs(c, 0),
        "the sign of the last term: two minus signs meet in it.": 2 * step.subs(c, 0) - step,
        "this is the flow's own factor; the method only comes near to it.": sp.exp(-h * lam),
    }
    if not same(answer, step, (c, h, lam)):
        name_the_mistake(
            lambda formula: same(answer, formula, (c, h, lam)),
            name_unless,
            "this is not what one step does to x.",
        )


def _rates(at: Mapping[sp.Symbol, Any]) -> list[float]:
    """The coefficients of the exact rate in h, by mpmath's Taylor series at numbers."""
    l, k = float(at[lam]), float(at[c])
    series = mpmath.taylor(lambda x: -mpmath.log(1 - x * l + k * x**2 * l**2), 0, 3)
    return [float(term) for term in series[1:]]


def rate(rate: Answer, seed: int = 2) -> None:
    """The rate's first three coefficients."""
    answered(rate)
    demand(
        isinstance(rate, list | tuple) and len(rate) == 3,
        "`rate` must be a list of three formulas.",
    )
    answers = [expression(answer, (c, lam), f"rate[{k}]") for k, answer in enumerate(rate)]
    for at in points((c, lam), seed):
        wanted = _rates(at)
        got = [real(answer, at) for answer in answers]
        if not np.allclose(got, wanted, rtol=1e-8):
            demand(
                not np.allclose(got, np.negative(wanted), rtol=1e-8),
                "the signs: the rate is positive where x decays.",
            )
            demand(
                not np.allclose(got, _rates(at | {c: 0}), rtol=1e-8),
                "those are Euler's; c is missing.",
            )
            for k in range(3):
                demand(
                    np.isclose(got[k], wanted[k], rtol=1e-8),
                    f"the coefficient of h^{k} is not that of −ln(factor)/h.",
                )


def _residual(
    f: sp.Expr, x: sp.Expr, k: sp.Expr, a: sp.Expr | int, b: sp.Expr | int, d: sp.Expr | int
) -> list[sp.Expr]:
    """The coefficients of h^2 and h^3 in flow minus step, at the point ``x`` for c = ``k``."""
    y = sp.Symbol("y")
    f_1, f_2 = f.diff(y), f.diff(y, 2)
    F = f + h * a * f_1 * f + h**2 * (b * f_1 * f_1 * f + d * f_2 * f * f)
    D = [y, F]
    for _ in range(2):
        D.append(D[-1].diff(y) * F)
    flow = sum(h**j / sp.factorial(j) * term for j, term in enumerate(D))
    step = y + h * f.subs(y, y + k * h * f)
    difference = sp.expand(flow - step)  # polynomials, since f is one
    return [difference.coeff(h, order).subs(y, x) for order in (2, 3)]


def vanishes(residual: sp.Expr) -> bool:
    """Whether a residual is zero, but for rounding."""
    return abs(complex(residual)) < 1e-10


def terms(a: Answer, b: Answer, d: Answer, seed: int = 2) -> None:
    """The three coefficients of the modified equation."""
    a, b, d = (expression(answer, (c,), name) for answer, name in ((a, "a"), (b, "b"), (d, "d")))
    y = sp.Symbol("y")
    rng = generator(seed)
    for _ in range(2):
        k = sp.Rational(int(rng.integers(1, 50)), 51)
        at = [sp.Float(real(answer, {c: k}), 30) for answer in (a, b, d)]
        linear, bent = y, 1 + y + y**2
        second, third = _residual(linear, POINT, k, *at)
        if not vanishes(second):
            mistakes = {
                "`a`: the flow's own bending is missing: it has made half of f'f already.": a - sp.Rational(1, 2),
                "`a` has the wrong sign: memory of the step, minus what the flow does.": -a,
            }
            for message, other in mistakes.items():
                demand(not vanishes(_residual(linear, POINT, k, other.subs(c, k), 0, 0)[0]), message)
            demand(False, "`a`: flow and step differ in h².")
        demand(
            vanishes(third),
            "`b`: on f(x) = x flow and step differ in h³. Note that F'F also has parts of order h.",
        )
        demand(
            vanishes(_residual(bent, POINT, k, *at)[1]),
            "`d`: where f is bent, flow and step differ in h³.",
        )


def penalty(penalty: Answer) -> None:
    """The coefficient of h |grad E|^2."""
    answer = expression(penalty, (c,), "penalty")
    # On E = lambda x^2/2 the rate is lambda(1 + 2 k h lambda + ...) with the coefficient k.
    at = [sp.Rational(int(n), 101) for n in generator(2).integers(1, 101, 4)]
    wanted = np.array([_rates({lam: 1.0, c: k})[1] / 2 for k in at])
    got = np.array([real(answer, {c: k}) for k in at])
    if not np.allclose(got, wanted):
        demand(
            not np.allclose(got, -wanted),
            "the sign: at c = 0 this must be gradient descent's penalty.",
        )
        demand(
            not np.allclose(got, 2 * wanted),
            "a factor of 2: H∇E is *half* of the gradient of ‖∇E‖².",
        )
        demand(False, "with this penalty the rate on one mode is not the method's.")


def errors(errors: Answer, k: float = 0.25, hs: tuple[float, ...] = (0.04, 0.02, 0.01), seed: int = 2) -> None:
    """The errors with one, two and three terms: by their slopes, and against reference runs."""
    answered(errors)
    k = float(k * generator(seed).uniform(0.9, 1.1))
    found = {}
    for terms in (1, 2, 3):
        sizes = vector(errors(np.array(hs), terms, k), (len(hs),), "what `errors` returns")
        demand((sizes > 0).all(), "an error here is a distance, and positive.")
        found[terms] = sizes
    slopes = {terms: slope(hs, sizes) for terms, sizes in found.items()}
    for terms, measured in slopes.items():
        demand(
            abs(measured - terms) < 0.25,
            f"with {terms} term{'s' * (terms > 1)} the slope must be {terms}; yours is {measured:.2f}.",
        )
    for terms in (1, 2, 3):
        demand(
            np.allclose(found[terms], _distances(hs, k, terms), rtol=0.02),
            f"the slopes are right, but the errors with {terms} term{'s' * (terms > 1)} are not those of this method, start and time.",
        )


def _solved(k: float) -> list[float]:
    """The three coefficients as numbers, from the identities that they must satisfy, which are linear in them."""
    y = sp.Symbol("y")
    rational, found = sp.nsimplify(k, rational=True), [sp.Integer(0)] * 3
    for which, (f, order) in enumerate(((y, 0), (y, 1), (1 + y + y**2, 1))):
        at = []
        for trial in (0, 1):
            found[which] = sp.Integer(trial)
            at.append(_residual(f, POINT, rational, *found)[order])
        found[which] = at[0] / (at[0] - at[1])
    return [float(x) for x in found]


def _field(x: np.ndarray) -> np.ndarray:
    u, v = x
    return np.array([u * (2 - v), v * (u - 1)])


@cache
def _distances(hs: tuple[float, ...], k: float, terms: int) -> list[float]:
    """The distances at t = 1 of the runs from the flow with so many terms, by a fine integration."""
    from scipy.integrate import solve_ivp

    f, numbers = _field, _solved(k)

    def along(x: np.ndarray, direction: np.ndarray) -> np.ndarray:
        return np.imag(f(x + 1j * 1e-20 * direction)) / 1e-20  # f is a polynomial

    def modified(x: np.ndarray, h: float) -> np.ndarray:
        one = f(x)
        two = along(x, one)
        bent = f(x + one) + f(x - one) - 2 * one  # exact: f is quadratic
        second = h * numbers[0] * two * (terms > 1)
        return one + second + h**2 * (numbers[1] * along(x, two) + numbers[2] * bent) * (terms > 2)

    found = []
    for h in hs:
        flow = solve_ivp(lambda t, x, h=h: modified(x, h), (0, 1), (1.5, 1.0), rtol=1e-11, atol=1e-12).y[:, -1]
        x = np.array([1.5, 1.0])
        steps = round(1 / h)
        for _ in range(steps):
            x = x + h * f(x + k * h * f(x))
        found.append(float(np.linalg.norm(x - flow)))
    return found


def best(best: Answer, order: Answer) -> None:
    """The c whose method has the highest order."""
    k, p = number(best, "best"), number(order, "order")
    rates = _rates({lam: 1.0, c: k})
    demand(
        abs(rates[1]) < 1e-9,
        f"at c = {k:g} the flow of f is met to order 1 only: `a` does not vanish.",
    )
    demand(
        p == 2,
        "the order is the slope of the error against the *leading-order* flow: the power of h in the first term that is left.",
    )
