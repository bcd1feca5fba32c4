r"""Assignment 4: momentum that mixes in the newest gradient,
:math:`\theta \leftarrow \theta - h\,((1-\alpha)\nabla E + \alpha\,m)`.

The references are the library's averages and engine, and runs.
"""

from functools import cache
from typing import Any

import numpy as np
import sympy as sp

import bea
from bea import Decay
from bea.program import Running
from bea_course.compare import (
    Answer,
    Point,
    answered,
    demand,
    expression,
    generator,
    name_the_mistake,
    points,
    real,
    slope,
    vector,
)

alpha, beta = sp.symbols("alpha beta", positive=True)


@bea.optimizer
def mixed(theta: Any, gradient: Any, memory: Any, mix: Any, decay: Decay) -> Any:
    """The optimizer of this assignment."""
    g = gradient(theta)
    return (1 - mix) * g + mix * memory.average(g, decay)


def average(decay: Any, old: Any, value: Any) -> Any:
    """The library's average after one step from the old one."""
    return Running(h=0.0, state=[(old, 1.0)]).average(value, decay)


def half(point: Point) -> Point:
    """Decays and mixes below one, from points below two."""
    return {symbol: number / 2 for symbol, number in point.items()}


# --- step --------------------------------------------------------------------------------------


def step(step: Answer, seed: int = 4) -> None:
    """One step from random memory."""
    answered(step)
    rng = generator(seed)
    for _ in range(3):
        theta, gradient, m = rng.normal(size=(3, 3))
        h, a, b = rng.uniform(0.01, 0.1), *rng.uniform(0.2, 0.9, size=2)
        returned = step(theta.copy(), gradient.copy(), m.copy(), h, a, b)
        answered(returned)
        demand(
            isinstance(returned, tuple | list) and len(returned) == 2,
            "`step` must return theta and m, in this order.",
        )
        new, memory = (vector(x, (3,), "what `step` returns") for x in returned)

        def is_it(
            flaw: str,
            theta: Any = theta,
            gradient: Any = gradient,
            m: Any = m,
            h: float = h,
            a: float = a,
            b: float = b,
            new: np.ndarray = new,
        ) -> bool:
            newest = b * m + gradient if flaw == "undamped" else average(b, m, gradient)
            if flaw == "late":
                newest = m
            weight = {"turned": 1 - a, "all": 1}.get(flaw, a)
            sign = 1 if flaw == "uphill" else -1
            return np.allclose(new, theta + sign * h * ((1 - weight) * gradient + weight * newest))

        if not is_it(""):
            name_the_mistake(
                is_it,
                {
                    "this is the heavy ball without its factor 1−β: the newest gradient enters m with that factor.": "undamped",
                    "m must take in the newest gradient before it is used.": "late",
                    "α and 1−α have changed places: α belongs to the memory.": "turned",
                    "that is the damped heavy ball; the newest gradient also enters directly, beside m.": "all",
                    "uphill: a step goes against the gradient.": "uphill",
                },
                "theta is not what the formula gives.",
            )
        demand(
            np.allclose(memory, average(b, m, gradient)),
            "theta is right, but return m as the next step needs it.",
        )


# --- weights and lag ---------------------------------------------------------------------------


def weights(weights: Answer, seed: int = 4) -> None:
    """The weights of the gradients in a step, newest first."""
    answered(weights)
    rng = generator(seed)
    for count in (1, 2, int(rng.integers(5, 12))):
        a, b = rng.uniform(0.2, 0.9, size=2)
        got = vector(weights(count, a, b), (count,), "what `weights` returns")
        # a run on prescribed gradients, one of them 1
        wanted = []
        for age in range(count):
            m = 0.0
            for k in reversed(range(count)):
                m = b * m + (1 - b) * (k == age)
            wanted.append(a * m + (1 - a) * (age == 0))
        wanted = np.array(wanted)
        if not np.allclose(got, wanted):
            demand(
                count == 1 or not np.allclose(got, wanted[::-1]),
                "newest first: weight 0 is that of the present gradient.",
            )
            demand(
                not np.allclose(got * (1 - b), wanted - (1 - a) * (np.arange(count) == 0) * b),
                "the factor 1−β of the average is missing.",
            )
            demand(
                not np.allclose(got, wanted - (1 - a) * (np.arange(count) == 0)),
                "the newest gradient also enters directly, beside m, with 1−α.",
            )
            demand(False, f"these are not the weights of the last {count} gradients.")


def _mean_age(a: float, b: float) -> float:
    ages = np.arange(3000)
    share = (1 - b) * b**ages * a
    share[0] += 1 - a
    return float(share @ ages)


def lag(lag: Answer) -> None:
    """The mean age of what a step sees."""
    answer = expression(lag, (alpha, beta), "lag")
    at = [half(point) for point in points((alpha, beta), 4, 4)]
    numbers = [(float(x[alpha]), float(x[beta])) for x in at]
    got = np.array([real(answer, x) for x in at])
    others = {
        "that is the memory's own lag; only the part α of a step is memory.": [_mean_age(1, b) for _, b in numbers],
        "the newest gradient has age zero: count from 0, not from 1.": [_mean_age(a, b) + a for a, b in numbers],
        "the present gradient's share 1−α has age zero, and only the rest is memory.": [
            _mean_age(1 - a, b) for a, b in numbers
        ],
    }
    wanted = [_mean_age(*pair) for pair in numbers]
    if not np.allclose(got, wanted):
        name_the_mistake(
            lambda other: np.allclose(got, other),
            others,
            "this is not the mean age under the weights of a step.",
        )


# --- penalty -----------------------------------------------------------------------------------


@cache
def _constant(a: float, b: float) -> float:
    """K from the engine's f_1 on one mode, where f_1 = -K/2 lambda^2 theta."""
    equation = bea.modified_equation(mixed(a, b), bea.quadratic([1.3]), 2)
    return float(-2 * equation.coefficients(np.array([1.0]))[1][0] / 1.3**2)


def penalty(penalty: Answer) -> None:
    """K in E + (h/4) K |grad E|^2."""
    answer = expression(penalty, (alpha, beta), "penalty")
    at = [half(point) for point in points((alpha, beta), 5, 4)]
    numbers = [(float(x[alpha]), float(x[beta])) for x in at]
    got = np.array([real(answer, x) for x in at])
    wanted = np.array([_constant(*pair) for pair in numbers])
    others = {
        "only the memory contribution is in it; a step by itself is worth half a step more.": wanted - 1,
        "this is the damped heavy ball's; only the part α of a step is memory.": [
            _constant(1.0, b) for _, b in numbers
        ],
        "a lag counts twice: K = 1 + 2 lag, since the penalty of one half step is h/4.": (wanted + 1) / 2,
        "the sign of the memory contribution: it looks back uphill, to larger gradients.": 2 - wanted,
    }
    if not np.allclose(got, wanted):
        name_the_mistake(lambda other: np.allclose(got, other), others, "the engine finds another K.")


# --- oscillation -------------------------------------------------------------------------------


def matrix(matrix: Answer, seed: int = 4) -> None:
    """The matrix of one step on a mode."""
    answered(matrix)
    rng = generator(seed)
    for _ in range(4):
        y, (a, b) = rng.uniform(0.05, 2), rng.uniform(0.2, 0.9, size=2)
        got = vector(matrix(y, a, b), (2, 2), "what `matrix` returns")

        def column(theta: Any, m: Any, y: float = y, a: float = a, b: float = b, late: bool = False) -> list[float]:
            new = average(b, m, theta)
            return [theta - y * ((1 - a) * theta + a * (m if late else new)), new]

        wanted = np.array([column(1.0, 0.0), column(0.0, 1.0)]).T
        if not np.allclose(got, wanted):
            demand(
                not np.allclose(got.T, wanted),
                "columns and rows: the first column is where (1, 0) goes.",
            )
            late = np.array([column(1.0, 0.0, late=True), column(0.0, 1.0, late=True)]).T
            demand(not np.allclose(got, late), "m takes in the newest gradient before theta moves.")
            demand(np.allclose(got[1], wanted[1]), "the second row: the new m, in units of λ.")
            demand(False, "the first row: the new theta.")


# --- experiment --------------------------------------------------------------------------------

SETTING = (0.7, 0.6)  # alpha, beta
START, HORIZON, HS = np.array([0.9, 1.5]), 0.2, (2e-3, 1e-3, 5e-4)


@cache
def _without(hs: tuple[float, ...], rest: bool) -> np.ndarray:
    method, loss = mixed(*SETTING), bea.bilinear()
    equation = bea.modified_equation(method, loss, 1)
    return bea.order_study(
        method,
        loss,
        START,
        HORIZON,
        hs,
        1,
        equation=equation,
        start="rest" if rest else "slow manifold",
    ).errors


@cache
def _with(hs: tuple[float, ...]) -> np.ndarray:
    return bea.order_study(mixed(*SETTING), bea.bilinear(), START, HORIZON, hs, 2).errors


def experiment(errors: Answer, hs: tuple[float, ...] = HS) -> None:
    """The errors with the penalty and without."""
    answered(errors)
    on = vector(errors(np.array(hs), 1.0), (len(hs),), "what `errors` returns")
    off = vector(errors(np.array(hs), 0.0), (len(hs),), "what `errors` returns")
    demand((on > 0).all() and (off > 0).all(), "an error here is a distance, and positive.")
    control, found = slope(hs, off), slope(hs, on)
    demand(
        not np.allclose(off, _without(hs, True), rtol=0.02),
        "the memory is empty at the start, and its layer spoils both slopes. Fill it as if the run had come from uphill.",
    )
    demand(
        0.85 < control < 1.15,
        f"the control without penalty (factor 0) must fail with slope 1; yours has {control:.2f}.",
    )
    if not 1.85 < found < 2.2:
        demand(
            not np.allclose(on, 2 * off, rtol=0.3),
            f"slope {found:.2f}: the wrong sign doubles the error.",
        )
        demand(False, f"with the penalty (factor 1) the slope must be 2; yours is {found:.2f}.")
    demand(
        np.allclose(off, _without(hs, False), rtol=0.05),
        "the slopes are right, but the errors without penalty are not those of this method from this start.",
    )
    demand(
        np.isclose(on[-1], _with(hs)[-1], rtol=0.06),
        "with the penalty (factor 1) the slope is right, but these are not the errors with that penalty.",
    )
