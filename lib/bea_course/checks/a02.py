r"""Assignment 2: the equation behind :math:`x \leftarrow x + h\,f(x + c\,h\,f(x))`.

The references are Taylor series of the step itself; no coefficient of the answers is written here.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from bea_course.compare import (
    Answer,
    answered,
    columns,
    demand,
    expression,
    follows,
    generator,
    matched,
    number,
    points,
    real,
    step_sizes,
    uses_all,
    vector,
)

c, h, lam = sp.symbols("c h lambda", positive=True)
POINT = sp.QQ(3, 7)


def factor(factor: Answer) -> None:
    """The factor of one step on f(x) = -lambda x."""
    answer = expression(factor, (c, h, lam), "factor")
    at = points((c, h, lam), 2)
    size, rate, k = columns(at, (h, lam, c))
    y = size * rate
    mistakes = {
        "that is Euler's; the field is taken at the point ahead, x + c·h·f(x).": 1 - y,
        "that is a step from the point ahead; the step itself begins at x.": (1 - k * y) * (1 - y),
        "the point ahead is x + c·h·f(x): its h is missing.": 1 - y * (1 - k * rate),
        "the x from which the step begins is missing.": -y * (1 - k * y),
        "the sign of the last term: two minus signs meet in it.": 1 - y * (1 + k * y),
        "this is the flow's own factor; the method only comes near to it.": np.exp(-y),
    }
    otherwise = "this is not what one step does to x."
    matched(answer, "factor", (c, h, lam), at, 1 - y * (1 - k * y), mistakes, otherwise)


def _rates(at: Mapping[sp.Symbol, Any]) -> list[float]:
    """The coefficients of the exact rate in h, by mpmath's Taylor series at numbers."""
    l, k = float(at[lam]), float(at[c])
    series = mpmath.taylor(lambda x: -mpmath.log(1 - x * l + k * x**2 * l**2), 0, 3)
    return [float(term) for term in series[1:]]


def rate(rate: Answer, seed: int = 2) -> None:
    """The rate's first three coefficients."""
    answered(rate)
    demand(
        isinstance(rate, list | tuple | np.ndarray | sp.MatrixBase) and len(rate) == 3,
        "`rate` must be a list of three formulas.",
    )
    answers = [expression(answer, (c, lam), f"rate[{k}]") for k, answer in enumerate(rate)]
    at = points((c, lam), seed)
    right, euler = (np.array([_rates(point | other) for point in at]).T for other in ({}, {c: 0}))
    for k, answer in enumerate(answers):
        mistakes = {
            "the signs: the rate is positive where x decays.": -right[k],
            "those are Euler's; c is missing.": euler[k],
        }
        otherwise = f"the coefficient of h^{k} is not that of −ln(factor)/h."
        matched(answer, f"rate[{k}]", (c, lam)[k == 0 :], at, right[k], mistakes, otherwise)


RING, Y, H = sp.ring("y h", sp.QQ)
Field = Callable[[Any], Any]


def _residual(f: Field, k: Any, *answers: Any) -> list[Any]:
    """The coefficients of h^2 and h^3 in flow minus step, at the point for c = ``k`` and a, b, d; f is a polynomial."""
    a, b, d, c = (sp.QQ.from_sympy(sp.Rational(x)) for x in (*answers, k))
    value = f(Y)
    f_1, f_2 = value.diff(Y), value.diff(Y).diff(Y)
    F = value + H * f_1 * value * a + H**2 * (f_1 * f_1 * value * b + f_2 * value * value * d)
    D = [Y, F]
    for _ in range(2):
        D.append(D[-1].diff(Y) * F)
    flow = sum(H**j * term * sp.QQ(1, int(sp.factorial(j))) for j, term in enumerate(D))
    terms = (flow - Y - H * f(Y + H * value * c)).terms()
    return [sum((x * POINT ** m[0] for m, x in terms if m[1] == order), sp.QQ(0)) for order in (2, 3)]


def linear(y: Any) -> Any:
    return y


def bent(y: Any) -> Any:
    return 1 + y + y**2


def vanishes(residual: Any) -> bool:
    """Whether a residual is zero, but for rounding."""
    return abs(float(residual)) < 1e-10


def terms(a: Answer, b: Answer, d: Answer, seed: int = 2) -> None:
    """The three coefficients of the modified equation."""
    a, b, d = (expression(answer, (c,), name) for answer, name in ((a, "a"), (b, "b"), (d, "d")))
    rng = generator(seed)
    for _ in range(2):
        k = sp.Rational(int(rng.integers(1, 50)), 51)
        at = [sp.Float(real(answer, {c: k}, name), 30) for answer, name in ((a, "a"), (b, "b"), (d, "d"))]
        second, third = _residual(linear, k, *at)
        if not vanishes(second):
            mistakes = {
                "`a`: the flow of f already has half of h² f'f, since it curves; `a` is what the step has beyond that.": a
                - sp.Rational(1, 2),
                "`a` has the wrong sign: it is the step's coefficient of h² f'f minus that of the flow of f.": -a,
            }
            for message, other in mistakes.items():
                demand(not vanishes(_residual(linear, k, other.subs(c, k), 0, 0)[0]), message)
            demand(False, "`a`: flow and step differ in h².")
        demand(
            vanishes(third),
            "`b`: on f(x) = x flow and step differ in h³. In ẍ = F'F the field is F = f + h·a·f'f + …, so this also has terms of order h.",
        )
        demand(
            vanishes(_residual(bent, k, *at)[1]),
            "`d`: on a field with f'' ≠ 0 flow and step differ in h³. Both Taylor's formula for the step and the derivative of f'f contribute.",
        )


def penalty(penalty: Answer) -> None:
    """The coefficient of h |grad E|^2."""
    answer = expression(penalty, (c,), "penalty")
    # On E = lambda x^2/2 the rate is lambda(1 + 2 k h lambda + ...) with the coefficient k.
    at = [{c: sp.Rational(int(n), 101)} for n in generator(2).integers(1, 101, 4)]
    right = np.array([_rates(point | {lam: 1.0})[1] / 2 for point in at])
    mistakes = {
        "the sign: gradient flow is minus the gradient, and f = −∇E, so f'f = +H∇E.": -right,
        "that is the coefficient of f'f; write f'f as a gradient.": -2 * right,
        "a factor of 2: H∇E is *half* of the gradient of ‖∇E‖².": 2 * right,
    }
    otherwise = "with this penalty the rate on one mode is not the method's."
    matched(answer, "penalty", (c,), at, right, mistakes, otherwise)


def errors(errors: Answer, k: float = 0.25, hs: tuple[float, ...] = (0.04, 0.02, 0.01), seed: int = 2) -> None:
    """The errors with one, two and three terms: by their slopes, and against reference runs."""
    answered(errors)
    k, hs = float(k * generator(seed).uniform(0.9, 1.1)), step_sizes(hs, 1, seed)
    for terms in (1, 2, 3):
        got = vector(errors(np.array(hs), terms, k), (len(hs),), "errors", returned=True)
        follows(
            f"with {terms} term{'s' * (terms > 1)}",
            hs,
            got,
            _differences(hs, k, terms),
            terms,
            "of this method, start and time",
            {
                f"these are the errors with {n} term{'s' * (n > 1)}.": _differences(hs, k, n)
                for n in (1, 2, 3)
                if n != terms
            },
            unless=lambda terms=terms: uses_all(errors, "errors", ["terms"], hs=np.array(hs), terms=terms, c=k),
        )


def _solved(k: float) -> list[float]:
    """The three coefficients as numbers, from the identities that they must satisfy, which are linear in them."""
    found: list[Any] = [0, 0, 0]
    for which, (f, order) in enumerate(((linear, 0), (linear, 1), (bent, 1))):
        at = []
        for trial in (0, 1):
            found[which] = trial
            at.append(_residual(f, k, *found)[order])
        found[which] = sp.QQ.to_sympy(at[0] / (at[0] - at[1]))
    return [float(x) for x in found]


def _field(x: np.ndarray) -> np.ndarray:
    u, v = x
    return np.array([u * (2 - v), v * (u - 1)])


@cache
def _differences(hs: tuple[float, ...], k: float, terms: int) -> list[np.ndarray]:
    """The differences at t = 1 of the runs from the flow with so many terms, by a fine integration."""
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
        found.append(x - flow)
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
