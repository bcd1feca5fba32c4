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
from bea_course.compare import (
    Answer,
    Point,
    answered,
    average,
    called,
    columns,
    demand,
    expression,
    follows,
    generator,
    matched,
    name_the_mistake,
    points,
    reaches_the_time,
    runge_kutta,
    step_sizes,
    uses_all,
    vector,
)

alpha, beta = sp.symbols("alpha beta", positive=True)


@bea.optimizer
def mixed(theta: Any, gradient: Any, memory: Any, mix: Any, decay: Decay) -> Any:
    """The optimizer of this assignment."""
    g = gradient(theta)
    return (1 - mix) * g + mix * memory.average(g, decay)


def half(point: Point) -> Point:
    """Decays and mixes below one, from points below two."""
    return {symbol: number / 2 for symbol, number in point.items()}


# --- step --------------------------------------------------------------------------------------


def step(step: Answer, seed: int = 4) -> None:
    """Steps from random memory."""
    answered(step)
    rng = generator(seed)
    for most in (0.9, 0.9, 0.999):
        _one_step(step, rng, most)


def _one_step(step: Answer, rng: np.random.Generator, most: float) -> None:
    theta, gradient, m = rng.normal(size=(3, 3))
    h, a, b = rng.uniform(0.01, 0.1), rng.uniform(0.2, 0.9), rng.uniform(most - 0.1, most)
    returned = step(theta.copy(), gradient.copy(), m.copy(), h, a, b)
    called(returned, "step")
    demand(
        isinstance(returned, tuple | list | np.ndarray) and len(returned) == 2,
        "`step` must return theta and m, in this order.",
    )
    new, memory = (vector(x, (3,), "step", returned=True) for x in returned)

    turned = np.allclose(new, average(b, m, gradient)) and np.allclose(
        memory, theta - h * ((1 - a) * gradient + a * new)
    )
    demand(not turned, "`step` must return theta and m, in this order.")

    def is_it(flaw: str) -> bool:
        newest = b * m + gradient if flaw == "undamped" else average(b, m, gradient)
        if flaw == "late":
            newest = m
        weight = {"turned": 1 - a, "all": 1}.get(flaw, a)
        size = {"uphill": -h, "long": 1}.get(flaw, h)
        direct = 1 if flaw == "both" else 1 - weight
        return np.allclose(new, theta - size * (direct * gradient + weight * newest))

    if not is_it(""):
        name_the_mistake(
            is_it,
            {
                "this is the heavy ball without its factor 1−β: the newest gradient enters m with that factor.": "undamped",
                "m must take in the newest gradient before it is used.": "late",
                "α and 1−α have changed places: α belongs to the memory.": "turned",
                "that is the damped heavy ball; the newest gradient also enters directly, beside m.": "all",
                "uphill: a step goes against the gradient.": "uphill",
                "the step size h is missing.": "long",
                "the newest gradient enters with 1−α, not wholly.": "both",
            },
            "theta is not what the formula gives.",
            lambda: uses_all(step, "step", theta=theta, gradient=gradient, m=m, h=h, alpha=a, beta=b),
        )
    demand(np.allclose(memory, average(b, m, gradient)), "theta is right, but return m as the next step needs it.")


# --- weights and lag ---------------------------------------------------------------------------


def weights(weights: Answer, seed: int = 4) -> None:
    """The weights of the gradients in a step, newest first."""
    answered(weights)
    rng = generator(seed)
    for count in (int(rng.integers(5, 12)), 2, 1):
        _some_weights(weights, count, rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.99))


def _some_weights(weights: Answer, count: int, a: float, b: float) -> None:
    got = vector(weights(count, a, b), (count,), "weights", returned=True)
    # a run on prescribed gradients, one of them 1: a column for each
    m, ones = np.zeros(count), np.eye(count)
    for gradient in ones[::-1]:
        m = b * m + (1 - b) * gradient
    newest = (1 - a) * ones[0]
    wanted = newest + a * m
    if np.allclose(got, wanted):
        return
    others = {
        "the factor 1−β of the average is missing.": newest + (wanted - newest) / (1 - b),
        "the newest gradient also enters directly, beside m, with 1−α.": wanted - newest,
        "the newest gradient also enters m, beside its direct share 1−α.": wanted - a * (1 - b) * ones[0],
        "a weight here is positive: the step is −h times the sum.": -wanted,
    }
    if count > 1:
        others |= {
            "newest first: weight 0 is that of the present gradient.": wanted[::-1],
            "these are sums of weights.": np.cumsum(wanted),
            "from empty memory they do not add up to one.": wanted / wanted.sum(),
        }
    name_the_mistake(
        lambda other: np.allclose(got, other),
        others,
        f"these are not the weights of the last {count} gradients.",
        lambda: uses_all(weights, "weights", ["count"], count=count, alpha=a, beta=b),
    )


def _mean_age(a: Any, b: Any) -> Any:
    ages = np.arange(3000)
    share = (1 - b) * b ** ages[:, None] * a
    share[0] += 1 - a
    return ages @ share


def lag(lag: Answer) -> None:
    """The mean age of what a step sees."""
    answer = expression(lag, (alpha, beta), "lag")
    at = [half(point) for point in points((alpha, beta), 4, 4)]
    a, b = columns(at, (alpha, beta))
    right = _mean_age(a, b)
    mistakes = {
        "that is the memory's own lag; only the fraction α of a step is memory.": _mean_age(1, b),
        "the newest gradient has age zero: count from 0, not from 1.": right + a,
        "the present gradient's share 1−α has age zero, and only the rest is memory.": _mean_age(1 - a, b),
        "the age of an average is β/(1−β), with one factor 1−β below.": right / (1 - b),
    }
    otherwise = "this is not the mean age under the weights of a step."
    matched(answer, "lag", (alpha, beta), at, right, mistakes, otherwise)


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
    (a, b), constant = columns(at, (alpha, beta)), np.vectorize(_constant)
    right = constant(a, b)
    mistakes = {
        "only the memory contribution is in it; a step by itself is worth half a step more.": right - 1,
        "this is the damped heavy ball's; only the fraction α of a step is memory.": constant(1.0, b),
        "α and 1−α have changed places: α belongs to the memory.": constant(1 - a, b),
        "a lag counts twice: K = 1 + 2 lag, since the penalty of one half step is h/4.": (right + 1) / 2,
        "the sign of the memory contribution: it looks back uphill, to larger gradients.": 2 - right,
    }
    matched(answer, "penalty", (alpha, beta), at, right, mistakes, "the engine finds another K.")


# --- oscillation -------------------------------------------------------------------------------


def matrix(matrix: Answer, seed: int = 4) -> None:
    """The matrix of one step on a mode."""
    answered(matrix)
    rng = generator(seed)
    for most in (2, 2, 2, 5):
        _one_matrix(matrix, rng.uniform(most - 1.9, most), *rng.uniform(0.2, 0.9, size=2))


def _one_matrix(matrix: Answer, y: float, a: float, b: float) -> None:
    got = vector(matrix(y, a, b), (2, 2), "matrix", returned=True)

    def columns(late: bool = False) -> np.ndarray:
        theta, m = np.eye(2)
        new = average(b, m, theta)
        return np.array([theta - y * ((1 - a) * theta + a * (m if late else new)), new])

    wanted = columns()
    if np.allclose(got, wanted):
        return
    others = {
        "columns and rows: the first column is where (1, 0) goes.": wanted.T,
        "m takes in the newest gradient before theta moves.": columns(late=True),
        "θ comes first, and then m, in rows and in columns.": wanted[::-1, ::-1],
    }

    def unless() -> None:
        uses_all(matrix, "matrix", y=y, alpha=a, beta=b)
        demand(not np.allclose(abs(got), abs(wanted)), "a sign: a step goes against the gradient.")
        demand(np.allclose(got[1], wanted[1]), "the second row: the new m, in units of λ.")

    name_the_mistake(lambda other: np.allclose(got, other), others, "the first row: the new theta.", unless)


# --- experiment --------------------------------------------------------------------------------

SETTING = (0.7, 0.6)  # alpha, beta
START, TIME, HS = np.array([0.9, 1.5]), 0.2, (2e-3, 1e-3, 5e-4)


def _gradient(x: Any) -> Any:
    """The gradient of the loss of this question, also at complex points."""
    return -2 * (1.5 - 2 * x[0] * x[1]) * x[::-1]


@cache
def _differences(hs: tuple[float, ...], factor: float, time: float, memory: str = "full") -> list[np.ndarray]:
    """At each step the run minus the flow with so much of the correction; the memory is full, late, the gradient or empty."""
    (a, b), found, uphill = SETTING, [], _gradient(START)
    for h in hs:
        x = y = START
        ages = {"full": np.arange(1, 100), "late": np.arange(99)}.get(memory, np.zeros(99))
        m = (memory != "empty") * sum((1 - b) * b**k * _gradient(x + age * h * uphill) for k, age in enumerate(ages))

        def field(x: np.ndarray, h: float = h) -> np.ndarray:
            g = _gradient(x)
            return -g - factor * h / 2 * _constant(a, b) * _gradient(x + 1e-20j * g).imag / 1e-20

        path, steps = [x - y], round(time / h)
        for _ in range(steps):
            g = _gradient(x)
            m = average(b, m, g)
            x = x - h * ((1 - a) * g + a * m)
            y = runge_kutta(field, y, h)
            path.append(x - y)
        found.append(np.array(path))
    return found


def experiment(errors: Answer, hs: tuple[float, ...] = HS, seed: int = 4) -> None:
    """The errors with the penalty and without."""
    answered(errors)
    time = float(TIME * generator(seed).uniform(0.9, 1.1))
    hs = step_sizes(hs, time, seed)
    on, off = (vector(errors(np.array(hs), x, time), (len(hs),), "errors", returned=True) for x in (1.0, 0.0))
    known = {
        "the memory is empty at the start, and its layer spoils both slopes. Fill it as if the run had come from uphill.": "empty",
        "the memory is the gradient at the start; a run that came from uphill remembers larger ones.": "gradient",
        "the memory before step 0 holds the gradients of steps −1, −2, … and not that of step 0.": "late",
    }
    starts = [{said: _differences(hs, x, time, memory) for said, memory in known.items()} for x in (0.0, 1.0)]
    mistakes = starts[0] | {"it has the penalty: `factor` does not reach it.": _differences(hs, 1.0, time)}
    follows(
        "the control without penalty (factor 0)",
        hs,
        off,
        _differences(hs, 0.0, time),
        1,
        "of this method from this start",
        mistakes,
        0.05,
        lambda: uses_all(errors, "errors", ["factor", "time"], hs=np.array(hs), factor=0.0, time=time),
    )
    mistakes = starts[1] | {
        "that is half the penalty.": _differences(hs, 0.5, time),
        "that is twice the penalty.": _differences(hs, 2.0, time),
        "the wrong sign doubles the error.": _differences(hs, -1.0, time),
    }
    right = _differences(hs, 1.0, time)
    follows("with the penalty (factor 1)", hs, on, right, 2, "with that penalty", mistakes, 0.06, control=True)
    reaches_the_time(errors, hs, _differences)
