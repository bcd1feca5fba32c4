r"""Assignment 1: Euler's method with the step sizes :math:`(1+a)h` and :math:`(1-a)h` in turn.

The references are runs and fine integrations; no formula of the answers is written here.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import sympy as sp

from bea_course.compare import (
    Answer,
    Wrong,
    answered,
    columns,
    demand,
    expression,
    follows,
    generator,
    matched,
    name_the_mistake,
    number,
    points,
    runge_kutta,
    step_sizes,
    uses_all,
    vector,
)

a, h, lam, T = sp.symbols("a h lambda T", positive=True)

Field = Callable[[Any], Any]


def two(f: Field, x: Any, first: Any, second: Any) -> Any:
    """Two steps of Euler's method."""
    x = x + first * f(x)
    return x + second * f(x)


# --- pair and factor ---------------------------------------------------------------------------


def pair(pair: Answer, seed: int = 1) -> None:
    """A pair of steps on a random field."""
    answered(pair)
    rng = generator(seed)
    matrix, x = rng.normal(size=(3, 3)), rng.normal(size=3)

    def f(x: Any) -> np.ndarray:
        return np.sin(matrix @ x)

    size, part = rng.uniform(0.05, 0.3), rng.uniform(0.2, 0.9)
    got = vector(pair(f, x.copy(), size, part), (3,), "pair", returned=True)
    long, short = (1 + part) * size, (1 - part) * size
    if not np.allclose(got, two(f, x, long, short)):
        name_the_mistake(
            lambda other: np.allclose(got, other),
            {
                "the field is taken at x in both steps: the second one starts where the first has ended.": x
                + (long + short) * f(x),
                "the short step comes first here; the long one must.": two(f, x, short, long),
                "a pair takes the time 2h, yours only half of it.": two(f, x, long / 2, short / 2),
                "both steps have one length; `a` is missing.": two(f, x, size, size),
                "the steps go against f: a step adds h·f.": two(f, x, -long, -short),
            },
            "this is not where two steps of Euler's method lead.",
            lambda: uses_all(pair, "pair", ["f"], f=f, x=x, h=size, a=part),
        )


def factor(factor: Answer, seed: int = 1) -> None:
    """The factor of a pair on f(x) = -lambda x."""
    answer, at = expression(factor, (a, h, lam), "factor"), points((a, h, lam), seed)
    part, size, rate = columns(at, (a, h, lam))
    long, short = (1 + part) * size, (1 - part) * size

    def f(x: Any) -> Any:
        return -rate * x

    pair = two(f, 1.0, long, short)
    mistakes = {
        "that is two equal steps; `a` is missing.": two(f, 1.0, size, size),
        "that is a sum: the second step sees what the first has left.": 1 + 2 * size * f(1.0),
        "the signs: x decays, so each step takes something away.": two(f, 1.0, -long, -short),
        "this is one of the two steps.": 1 + long * f(1.0),
        "this is the other one of the two steps.": 1 + short * f(1.0),
        "its size, without the sign: a factor may be negative.": abs(pair),
    }
    matched(answer, "factor", (a, h, lam), at, pair, mistakes, "this is not what a pair does to x.")


# --- errors, small h ---------------------------------------------------------------------------


def _second_order(part: Any, sees: bool = True) -> tuple[sp.Expr, sp.Expr]:
    """The coefficients of h^2 on f(x) = x, x = 1: of the flow after 2h, and of a pair."""
    flow = sp.series(sp.exp(2 * h), h, 0, 3).removeO().coeff(h, 2)
    middle = 1 + (1 + part) * h
    end = middle + (1 - part) * h * (middle if sees else 1)
    return flow, sp.expand(end).coeff(h, 2)


def local(k: Answer) -> None:
    """The coefficient of the local error."""
    answer = expression(k, (a,), "k")
    at = [{a: sp.Rational(int(n), 101)} for n in generator(1).integers(1, 101, 4)]
    flow, pair = np.array([_second_order(point[a]) for point in at], dtype=float).T
    equal = float(_second_order(0)[1])
    mistakes = {
        "that is the coefficient of the pair itself; take it from the flow's.": pair,
        "that is the flow's own; a pair also has a term of order h², since its second step sees f elsewhere.": flow,
        "the sign: it is the flow minus the pair.": pair - flow,
        "that is the error of two equal steps; do the long and the short one make up for each other?": flow - equal,
        "after the time 2h the flow has the term (2h)²/2 f'f: you took the time h.": flow / 4 - pair,
    }
    otherwise = "on f(x) = x flow and pair differ by another multiple of h²."
    matched(answer, "k", (a,), at, flow - pair, mistakes, otherwise)


@cache
def _first_term(part: float, rate: float, time: float) -> float:
    """The limit of (run minus flow)/h, by exact products and extrapolation."""
    found = []
    for pairs in (500, 1000, 2000):
        step = time / (2 * pairs)
        x = two(lambda x: -rate * x, 1.0, (1 + part) * step, (1 - part) * step)
        found.append((np.exp(pairs * np.log(x)) - np.exp(-rate * time)) / step)
    once = [2 * found[1] - found[0], 2 * found[2] - found[1]]
    return (4 * once[1] - once[0]) / 3


def error(error: Answer, seed: int = 1) -> None:
    """The first term of the global error on a mode."""
    answer = expression(error, (a, h, lam, T), "error")
    demand(answer.has(h), "`error` must have its factor h.")
    demand(
        sp.simplify(sp.diff(answer, h, 2)) == 0 and answer.subs(h, 0) == 0,
        "the first term only: `error` must be h times something without h.",
    )
    at = points((a, lam, T), seed, 4)
    # not too small, or rounding spoils the reference
    part, rate, time = columns(at, (a, lam, T)) * [[0.5], [0.6], [0.6]] + [[0], [0.3], [0.3]]
    right = np.vectorize(_first_term)(part, rate, time)
    mistakes = {
        "the sign: it is the run minus the flow. Which of them is lower?": -right,
        "there are T/(2h) pairs, not T/h.": 2 * right,
        "an error made early decays like everything else on this mode: the exponential is missing.": right
        * np.exp(rate * time),
        "errors add up: the number of pairs grows with T.": right / time,
        "that is the error of equal steps; `a` is missing.": np.vectorize(_first_term)(0.0, rate, time),
    }
    otherwise = "at {at} a run of 2000 pairs tends to the error {wanted} h, and you say {got} h."
    at = [dict(zip((a, lam, T), case)) for case in zip(part, rate, time)]
    matched(answer.subs(h, 1), "error", (a, lam, T), at, right, mistakes, otherwise, 1e-5)


# --- how large ---------------------------------------------------------------------------------


def change(h: float, part: float, rate: float) -> float:
    """By which factor a pair of steps changes x on a mode."""
    return two(lambda x: -rate * x, 1.0, (1 + part) * h, (1 - part) * h)


def size(h: float, part: float, rate: float) -> float:
    """By how much a pair of steps changes the size of x on a mode."""
    return abs(change(h, part, rate))


def limit(
    limit: Answer,
    cases: Iterable[tuple[float, float]] = ((0.0, 1.0), (0.5, 2.0), (0.9, 0.5), (0.7, 1.3)),
    seed: int = 1,
) -> None:
    """The largest step size: at given cases, and at drawn ones, also close to where the answer changes."""
    answered(limit)
    rng, edge = generator(seed), np.sqrt(0.5)
    drawn = (
        rng.uniform(0.1, 0.6),
        edge - rng.uniform(1e-3, 4e-3),
        edge + rng.uniform(1e-3, 4e-3),
        rng.uniform(0.8, 0.97),
    )
    cases = [*cases, *((float(part), float(rng.uniform(0.4, 3))) for part in drawn)]

    for part, rate in cases:
        where, got = f"for a = {part:.4g}, λ = {rate:.4g}", limit(part, rate)
        demand(not (isinstance(got, float) and np.isnan(got)), f"{where} the result of `limit` is not a number.")
        got = number(got, "limit", returned=True)
        demand(got > 0, f"{where} your limit is {got:.4g}; some step is always small enough.")
        grows = [h for h in (*np.linspace(0, got, 400)[1:-1], got * (1 - 1e-5)) if size(h, part, rate) > 1 + 1e-9]
        if part and np.isclose(got, limit_of_each := 2 / (1 + part) / rate):
            demand(
                size(1.001 * limit_of_each, part, rate) > 1,
                f"{where} that is where the long step alone would grow; the short one may repair that.",
            )
        demand(not (part and np.isclose(got, 2 / rate)), f"{where} that is the limit of equal steps.")
        demand(
            not (rate != 1 and size(got / rate * 1.001, part, rate) > 1 > size(got / rate * 0.999, part, rate)),
            f"{where} you give h·λ, not h.",
        )
        longer = size(got * (1 + 1e-5), part, rate) > 1
        if grows or not longer:
            uses_all(limit, "limit", a=0.3, lam=rate)
        if grows:
            met = "is below −1" if change(min(grows), part, rate) < 0 else "is above 1"
            late = "by a little: find the limit as a formula" if min(grows) > 0.997 * got else f"the factor {met} there"
            raise Wrong(f"{where} x grows already at h = {min(grows):.4g}: {late}.")
        demand(longer, f"{where} a step longer than your {got:.4g} is still safe.")


# --- experiment --------------------------------------------------------------------------------


def _pendulum(x: np.ndarray) -> np.ndarray:
    return np.array([x[1], -np.sin(x[0]) - x[1] / 2])


@cache
def _differences(part: float, hs: tuple[float, ...], finer: float = 0) -> list[np.ndarray]:
    """The differences of runs, with as much of one with half the step as ``finer`` says, from a fine integration."""
    flow = runge_kutta(_pendulum, np.array([1.0, 0.0]), 1 / 200, 400)

    def end(step: float) -> np.ndarray:
        x = np.array([1.0, 0.0])
        for _ in range(round(1 / step)):
            x = two(_pendulum, x, (1 + part) * step, (1 - part) * step)
        return x

    return [finer * end(h / 2) + (1 - finer) * end(h) - flow for h in hs]


def errors(errors: Answer, a: float = 0.4, hs: tuple[float, ...] = (0.02, 0.01, 0.005), seed: int = 1) -> None:
    """The errors of runs, and of two combined: by their slopes, and against reference runs."""
    answered(errors)
    a, hs = float(a * generator(seed).uniform(0.85, 1.1)), step_sizes(hs, 1, seed)
    plain, combined = (
        vector(errors(np.array(hs), a, both), (len(hs),), "errors", returned=True) for both in (False, True)
    )
    follows(
        "without `combine`",
        hs,
        plain,
        _differences(a, hs),
        1,
        "of this method, start and time",
        {"these are the errors of equal steps; `a` is missing.": _differences(0.0, hs)},
        1e-3,
        lambda: uses_all(errors, "errors", ["combine"], hs=np.array(hs), a=a, combine=False),
    )
    mistakes = {
        "nothing changes.": _differences(a, hs),
        "a mean of the two runs only averages their errors, of h and h/2; they must cancel.": _differences(a, hs, 0.5),
        "that is the run with half the step, by itself.": _differences(a, hs, 1),
        "the finer run is the one that counts twice.": _differences(a, hs, -1),
        "that cancels an error of order h²; the runs here have one of order h.": _differences(a, hs, 4 / 3),
    }
    follows("with `combine`", hs, combined, _differences(a, hs, 2), 2, "of 2·x(h/2) − x(h)", mistakes, 0.01)
