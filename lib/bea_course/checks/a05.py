r"""Assignment 5: Adam with another exponent, :math:`\theta_j \leftarrow \theta_j - h\,\hat m_j/(\hat v_j + \varepsilon)^p`.

The references are the library's averages, its engine and complex steps; no formula of the answers is
written here.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import sympy as sp

import bea
from bea import Decay, NonNegative
from bea_course.compare import (
    Answer,
    Wrong,
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
    number,
    points,
    reaches_the_time,
    runge_kutta,
    step_sizes,
    uses_all,
    vector,
)

g, S, h, epsilon, p = sp.symbols("g S h epsilon p", positive=True)
lag_beta, lag_rho, C_beta, C_rho = sp.symbols("lag_beta lag_rho C_beta C_rho", positive=True)

TINY = 1e-20  # of a complex step

Case = tuple[float, float, float, int | None]  # beta, rho, p, n


@bea.optimizer
def family(theta: Any, gradient: Any, memory: Any, beta: Decay, rho: Decay, epsilon: NonNegative, p: Any) -> Any:
    """The optimizer of this assignment; p = 1/2 is Adam."""
    g = gradient(theta)
    m = memory.average(g, beta, corrected=True)
    v = memory.average(g**2, rho, corrected=True)
    return m / (v + epsilon) ** p


def close(a: Any, b: Any, relative: float = 1e-8) -> bool:
    return np.allclose(a, b, rtol=relative, atol=1e-14)


# --- step --------------------------------------------------------------------------------------


def _step(given: tuple[Any, ...], flaw: str = "") -> np.ndarray:
    """The new theta by the library's averages, with a flaw on demand."""
    theta, gradient, m, v, n, h, beta, rho, epsilon, p = given
    before = m, v
    if flaw == "exchanged":
        beta, rho = rho, beta
    m_weight, v_weight = (
        1 - decay if flaw == turned else decay for decay, turned in ((beta, "m turned"), (rho, "v turned"))
    )
    if flaw == "turned":
        m_weight, v_weight = 1 - beta, 1 - rho
    m = beta * m + gradient if flaw == "undamped" else average(m_weight, m, gradient)
    squares = {"unsquared": gradient, "norm": gradient * 0 + gradient @ gradient, "average": m**2}
    v = average(v_weight, v, squares.get(flaw, gradient**2))
    if flaw in ("one decay", "undamped v"):
        v = rho * before[1] + (1 - beta if flaw == "one decay" else 1) * gradient**2
    if flaw == "before":
        m, v = before
    seen = {"late": n or 1, "early": n + 2}.get(flaw, n + 1)
    by_m, by_v = ((1 - x) ** seen if flaw == "power" else 1 - x**seen for x in (beta, rho))
    m, v = m if flaw in ("uncorrected", "m bare") else m / by_m, v if flaw in ("uncorrected", "v bare") else v / by_v
    q, h, epsilon = (
        {"root": 0.5, "double": 2 * p, "half": p / 2, "times": -p}.get(flaw, p),
        -h if flaw == "uphill" else h,
        epsilon * (flaw != "bare"),
    )
    return theta - h * (m / (v**q + epsilon) if flaw == "outside" else m / (v + epsilon) ** q)


FLAWS = {
    "this has no bias correction; after step n, m is too small by 1 − β^(n+1), and v likewise.": "uncorrected",
    "the bias correction is one step late: after step n an average holds n + 1 gradients.": "late",
    "this is the heavy ball without its factor 1−β: the newest gradient enters m with that factor.": "undamped",
    "ε is outside the power; add it to v before.": "outside",
    "that is Adam's square root; the exponent here is p.": "root",
    "v averages the squared gradient, not the gradient.": "unsquared",
    "uphill: a step goes against the gradient.": "uphill",
    "the exponent is p, of v and not of its root.": "double",
    "ε is missing.": "bare",
    "v has its own decay: 1 − ρ, not 1 − β.": "one decay",
    "m has the bias correction, and v needs it also, with its own decay.": "v bare",
    "v has the bias correction, and m needs it also, with its own decay.": "m bare",
    "the bias correction divides by 1 − β^(n+1), not by (1 − β)^(n+1), and likewise for v.": "power",
    "the bias correction is one step early: after step n an average holds n + 1 gradients.": "early",
    "β and ρ are exchanged: β belongs to m, ρ to v.": "exchanged",
    "the weights of m are exchanged: the old m has β, the new gradient 1 − β.": "m turned",
    "the weights of v are exchanged: the old v has ρ, the new square 1 − ρ.": "v turned",
    "the weights of both averages are exchanged: the decay belongs to the old value, one minus the decay to the new one.": "turned",
    "the newest squared gradient enters v with the factor 1 − ρ.": "undamped v",
    "v averages the square of each coordinate, not that of the whole gradient's length.": "norm",
    "v averages the squared gradient, not the square of m.": "average",
    "the averages must take in the new gradient before the step uses them.": "before",
    "the power p is that of v + ε itself, not of its root.": "half",
    "the power of v + ε belongs into the denominator.": "times",
}
NAMES = ("theta", "gradient", "m", "v", "n", "h", "beta", "rho", "epsilon", "p")


def _instance(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    theta, gradient, m = rng.normal(size=(3, 3))
    v = rng.uniform(0.5, 2, size=3)
    if n == 0:
        m, v = np.zeros(3), np.zeros(3)
    drawn = rng.uniform((0.01, 0.3, 0.3, 0.1, 0.1), (0.1, 0.99, 0.99, 1, 0.4))  # h, beta, rho, epsilon, p
    return theta, gradient, m, v, n, *drawn.tolist()


def step(step: Answer, seed: int = 5) -> None:
    """One step of the method, from random memory."""
    answered(step)
    rng = generator(seed)
    for n in (3, int(rng.integers(5, 20)), 0):
        given = _instance(rng, n)
        returned = step(*(np.copy(x) if isinstance(x, np.ndarray) else x for x in given))
        called(returned, "step")
        demand(
            (isinstance(returned, tuple | list) or np.ndim(returned) == 2) and len(returned) == 3,
            "`step` must return theta, m and v, in this order.",
        )
        theta, m, v = (vector(x, (3,), "step", returned=True) for x in returned)
        if not close(theta, _step(given)):
            name_the_mistake(
                lambda flaw: close(theta, _step(given, flaw)),
                FLAWS,
                f"theta after step n = {n} is not what the two averages give.",
                lambda: uses_all(step, "step", ["n"], **dict(zip(NAMES, given))),
            )
        _, gradient, old_m, old_v, _, _, beta, rho, *_ = given
        demand(
            close(m, average(beta, old_m, gradient)) and close(v, average(rho, old_v, gradient**2)),
            "theta is right, but the next step needs m and v as they are before bias correction: return those.",
        )


# --- averages ----------------------------------------------------------------------------------


def _coefficient(power: int, decay: Any, gradient: Any, change: Any, order: int) -> np.ndarray:
    """The coefficients of h^order of the averages of gradient^power, from their weights, age by age."""
    ages = np.arange(4000)[:, None]
    # k steps ago the gradient was g + k h S; a complex step in h differentiates
    seen = (gradient + ages * 1j * TINY * change) ** power
    total = ((1 - decay) * decay**ages * seen).sum(axis=0)
    return total.imag / TINY if order else total.real


def averages(m_hat: Answer, v_hat: Answer, seed: int = 5) -> None:
    """What the two averages show, to first order in h."""
    symbols, rng = (g, S, h, lag_beta, lag_rho), generator(seed)
    at, decays = points((g, S), seed, 3), rng.uniform([[0.5], [0.88]], [[0.85], [0.97]], size=(2, 3))
    at = [point | {lag_beta: bea.lag(beta), lag_rho: bea.lag(rho)} for point, beta, rho in zip(at, *decays.tolist())]
    gradient, change = columns(at, (g, S))
    for name, answer, power, (own, other) in (("m_hat", m_hat, 1, decays), ("v_hat", v_hat, 2, decays[::-1])):
        answer = expression(answer, symbols, name)
        demand(answer.has(h), f"`{name}` must be right to first order in h, and yours does not contain h.")
        equal = f"`{name}` at h = 0 must be what an average of equal {'gradients' if power == 1 else 'squared gradients'} is."
        start, right = (_coefficient(power, own, gradient, change, order) for order in (0, 1))
        matched(answer.subs(h, 0), name, (), at, start, {equal: np.nan}, equal)
        squares = f"`{name}` changes as the gradient does; but it holds squares"
        mistakes = {
            f"`{name}` has the wrong sign: the run comes from uphill, where the gradient was g + k·h·S.": -right,
            f"`{name}` has the lag of the other average: β belongs to m, ρ to v.": _coefficient(
                power, other, gradient, change, 1
            ),
            f"{squares}, and d(g²) is not g·dg.": right / 2,
            f"{squares}.": right / (2 * gradient),
        }
        otherwise = f"the coefficient of h in `{name}` is not what the weights of the average give."
        slope = sp.diff(answer, h).subs(h, 0)
        matched(slope, f"the coefficient of h in `{name}`", (), at, right, mistakes, otherwise)
        demand(
            sp.simplify(sp.diff(answer, h, 2)) == 0,
            f"`{name}` to first order only: it must be linear in h.",
        )


# --- bracket -----------------------------------------------------------------------------------


def _quotient(
    g: Any, S: Any, lag_beta: Any, lag_rho: Any, epsilon: Any, p: Any, sizes: int = 2, sign: int = 1
) -> np.ndarray:
    """The coefficients of h in the quotient of the averages, by a complex step; with flaws on demand."""
    step = 1j * TINY
    v = g**2 + sign * step * sizes * lag_rho * g * S
    return ((g + step * lag_beta * S) * (v + epsilon) ** -p).imag / TINY


def lagging(lagging: Answer, seed: int = 5) -> None:
    """The coefficient of h in the quotient."""
    symbols = (g, S, lag_beta, lag_rho, epsilon, p)
    answer, at = expression(lagging, symbols, "lagging"), points(symbols, seed)
    x, rate, beta, rho, stability, power = columns(at, symbols)
    rest = stability, power
    right, numerator = _quotient(x, rate, beta, rho, *rest), _quotient(x, rate, beta, 0, *rest)
    mistakes = {
        "the two lags act in the same direction here, but one of the averages is in the denominator.": _quotient(
            x, rate, beta, rho, *rest, sign=-1
        ),
        "the exponent is p, not Adam's one half.": _quotient(x, rate, beta, rho, stability, 0.5),
        "v changes twice as fast as that: it holds squares.": _quotient(x, rate, beta, rho, *rest, sizes=1),
        "the two lags are exchanged: β belongs to m, ρ to v.": _quotient(x, rate, rho, beta, *rest),
        "the denominator also changes: it contains v̂.": numerator,
        "the derivative of a power −p also has the factor p.": numerator + (right - numerator) / power,
        "the derivative of a power −p has the power −p − 1.": numerator + (right - numerator) * (x**2 + stability),
        "ε is in the denominator wherever v̂ is.": numerator + (right - numerator) * (1 + stability / x**2),
    }
    otherwise = "this is not the coefficient of h in m_hat/(v_hat + ε)^p."
    matched(answer, "lagging", symbols, at, right, mistakes, otherwise)


def half_step(half_step: Answer, seed: int = 5) -> None:
    """Half of the bending of the flow within a step."""
    symbols = (g, S, epsilon, p)
    answer, at = expression(half_step, symbols, "half_step"), points(symbols, seed)
    x, rate, stability, power = columns(at, symbols)

    def bend(power: Any) -> np.ndarray:
        """Half of U's derivative by the gradient, times S."""
        gradient = x + 1j * TINY
        return 0.5 * rate * (gradient * (gradient**2 + stability) ** -power).imag / TINY

    right, plain = bend(power), rate * (x**2 + stability) ** -power / 2
    mistakes = {
        "the derivative of g² by g is 2g.": (right + plain) / 2,
        "the derivative of a power −p has the factor −p: mind its sign.": 2 * plain - right,
        "that is the derivative of U by g, times U; a derivative of f_0 along the flow has the rate of g, −S.": right
        / rate
        * x
        * (x**2 + stability) ** -power,
        "that is the same with the opposite sign, and with U as the rate of g; along the flow the rate of g is −S.": -right
        / rate
        * x
        * (x**2 + stability) ** -power,
        "this holds only where ε is negligible: keep g² + ε apart from g².": plain * (1 - 2 * power),
        "that is the whole bending; a flow that bends evenly is off by half of it.": 2 * right,
        "the sign: f_0 = −U twice, so the two minus signs cancel.": -right,
        "the denominator changes along the path: differentiate it also.": plain,
        "the exponent is p, not Adam's one half.": bend(0.5),
        "that is half of U's derivative by g; along the flow the gradient changes at the rate −S.": right / rate,
    }
    matched(answer, "half_step", symbols, at, right, mistakes, "this is not ½ f_0' f_0 with f_0 = −U.")


@cache
def _engine_bracket(gradient: float, beta: float, rho: float, epsilon: float, p: float) -> float:
    """The bracket of f_1, from the engine's f_1 on a parabola through this gradient."""
    loss = bea.quadratic([1.7])
    theta = np.array([gradient / 1.7])
    _, f_1 = bea.modified_equation(family(beta, rho, epsilon, p), loss, 2).coefficients(theta)
    power = (gradient**2 + epsilon) ** p
    change = 1.7 * gradient / power
    return float(-2 * f_1[0] * power / change)


def constant(decay: float, n: int | None = None) -> float:
    """C = 1 + 2·lag."""
    return 1 + 2 * bea.lag(decay, n)


def bracket(bracket: Answer, seed: int = 5) -> None:
    """The bracket, against the engine."""
    symbols = (g, epsilon, p, C_beta, C_rho)
    answer, rng = expression(bracket, symbols, "bracket"), generator(seed)
    beta, rho = rng.uniform(0.2, 0.95, size=(2, 5))
    (x, stability), power = rng.uniform(0.3, 2, size=(2, 5)), rng.uniform(0.1, 0.4, size=5)
    engine, own = np.vectorize(_engine_bracket), np.vectorize(constant)(beta)
    right = engine(x, beta, rho, stability, power)
    mistakes = {
        "that is Adam's bracket; with another exponent the denominator's lag has another factor.": engine(
            x, beta, rho, stability, 0.5
        ),
        "both lags have the same sign here; the denominator counteracts the numerator.": 2 * own - right,
        "the sign is reversed: f_1 contains minus one half of the bracket.": -right,
        "the factor one half is before the bracket, not in it.": right / 2,
        "it contains memory alone, 2·lag instead of C: the half step is missing.": right
        - engine(x, 0.0, 0.0, stability, power),
        "this holds only where ε is negligible: keep g² + ε apart from g².": engine(x, beta, rho, 0.0, power),
        "the two constants are exchanged.": engine(x, rho, beta, stability, power),
        "v changes twice as fast as that: it holds squares.": (right + own) / 2,
    }
    at = [dict(zip(symbols, numbers)) for numbers in zip(x, stability, power, own, np.vectorize(constant)(rho))]
    otherwise = "at {at} the engine finds {wanted}, and your bracket is {got}."
    matched(answer, "bracket", symbols, at, right, mistakes, otherwise)


# --- potential ---------------------------------------------------------------------------------


def potential(potential: Answer, seed: int = 5) -> None:
    """A function of g whose derivative is the memoryless step."""
    symbols = (g, epsilon, p)
    answer = expression(potential, symbols, "potential")
    at = [point | {p: point[p] / 3} for point in points(symbols, seed)]
    x, stability, power = columns(at, symbols)
    step = x / (x**2 + stability) ** power
    factor = "right up to a constant factor: differentiate it and compare."
    mistakes = {
        "that is Adam's perturbed norm; its derivative has the exponent one half.": x / np.sqrt(x**2 + stability),
        "the sign: the step is minus h times the derivative, not plus.": -step,
        factor: 2 * (1 - power) * step,
        factor + " ": (1 - power) * step,
        factor + "  ": 2 * step,
    }
    otherwise = "its derivative with respect to g is not g/(g² + ε)^p."
    matched(sp.diff(answer, g), "potential", symbols, at, step, mistakes, otherwise)


# --- sign --------------------------------------------------------------------------------------


def _bracket_at(ratio: float, beta: float, rho: float, p: float, n: int | None) -> float:
    """The bracket after step n where ε is `ratio` times the squared gradient, from the engine's two parts."""
    share = (_engine_bracket(1.0, beta, rho, ratio, p) - constant(beta)) / constant(rho)
    return constant(beta, n) + share * constant(rho, n)


CASES: list[Case] = [
    (0.9, 0.99, 0.4, None),
    (0.0, 0.9, 0.3, None),
    (0.9, 0.99, 0.01, None),
    (0.95, 0.9, 0.45, None),
]
EARLY: list[Case] = [(0.9, 0.99, 0.4, 0), (0.9, 0.999, 0.45, 40), (0.5, 0.99, 0.3, 12)]


def _drawn(seed: int) -> list[Case]:
    """Cases with full and with young averages, at which the bracket changes its sign."""
    rng, found = generator(seed), []
    for n in (None, int(rng.integers(1, 9)), int(rng.integers(10, 60)), 0):
        found.append((float(rng.uniform(0.6, 0.9)), float(rng.uniform(0.985, 0.998)), float(rng.uniform(0.3, 0.8)), n))
    return found


def sign(sign_change: Answer, cases: Iterable[Case] = CASES, seed: int = 5) -> None:
    """Where the bracket changes its sign: at given cases and at drawn ones, with full averages and young ones."""
    answered(sign_change)
    for case in (*cases, *_drawn(seed)):
        _one_sign(sign_change, *case)


def _one_sign(sign_change: Answer, beta: float, rho: float, p: float, n: int | None) -> None:
    where = f"for β = {beta:.4g}, ρ = {rho:.4g}, p = {p:.4g}" + (f" after step {n}" if n is not None else "")
    found = sign_change(beta, rho, p, n)
    if found is None and sign_change(*CASES[0]) is not None:
        raise Wrong(f"{where} `sign_change` returns nothing: return a number in each case.")
    r = number(found, "sign_change", returned=True)
    demand(
        r >= 0,
        "a ratio ε/g² cannot be negative: where the formula gives that, the bracket is positive for every ε, and the answer is 0.",
    )
    if n is not None and r:
        full = number(sign_change(beta, rho, p), "sign_change", returned=True)
        demand(not close(r, full), f"{where} the averages are not yet full: use the lags of step n.")
    if _bracket_at(0.0, beta, rho, p, n) >= 0:
        demand(r == 0, f"{where} the bracket is positive for every ε, and the answer is 0; yours is {r:.3g}.")
        return

    def changes(r: float) -> bool:
        inside = 0 < r < np.inf
        return inside and _bracket_at(r * 0.999, beta, rho, p, n) < 0 < _bracket_at(r * 1.001, beta, rho, p, n)

    if changes(r):
        return
    demand(not (r and changes(1 / r)), f"{where} that is g²/ε; the ratio asked for is ε/g².")
    demand(
        not close(r, constant(rho, n) / constant(beta, n) - 1),
        f"{where} that is where Adam's bracket changes its sign; the exponent p moves the place.",
    )
    if r:
        uses_all(sign_change, "sign_change", ["n"], beta=beta, rho=rho, p=p, n=n)
    turned = number(sign_change(rho, beta, p, n), "sign_change", returned=True)
    demand(not changes(turned), "β and ρ are exchanged.")
    now = _bracket_at(r, beta, rho, p, n) if r < np.inf else np.nan
    raise Wrong(f"{where} the bracket does not change its sign at {r:.4g}; there it is {now:.3g}.")


# --- experiment --------------------------------------------------------------------------------

SETTING = (0.8, 0.6, 0.1, 0.3)  # beta, rho, epsilon, p
START, TIME = np.array([0.9, 1.5]), 0.4
HS = (4e-3, 2e-3, 1e-3)


def _gradient(x: Any) -> Any:
    """The gradient of the loss of this question, also at complex points."""
    return -2 * (1.5 - 2 * x[0] * x[1]) * x[::-1]


def _field(x: np.ndarray, lags: np.ndarray, size: float) -> np.ndarray:
    """The equation at these lags, with a correction of this size, from averages and half step, by complex steps."""
    *_, epsilon, p = SETTING
    t = 1j * TINY

    def quotient(m: Any, v: Any) -> Any:
        return m * (v + epsilon) ** -p

    g = _gradient(x)
    step = quotient(g, g**2)
    S = _gradient(x + t * step).imag / TINY
    seen = quotient(g + t * lags[0] * S, g**2 + t * 2 * lags[1] * g * S).imag / TINY
    bend = quotient(g + t * S, (g + t * S) ** 2).imag / TINY / 2
    return -step - size * (seen + bend)


@cache
def _differences(hs: tuple[float, ...], factor: float, time: float, flaw: str = "") -> list[np.ndarray]:
    """At each step of a run from rest, the flow of each step's equation with so much of the correction, minus the run; with flaws on demand."""
    beta, rho, epsilon, p = SETTING
    used = (rho, beta, epsilon, p) if flaw == "exchanged" else SETTING
    method, loss, found = family(*used), bea.bilinear(), []
    for h in hs:
        steps, size = round(time / h), factor * h ** (1 + (flaw == "h²"))
        path, run = [START], bea.run(method, loss, START, h, steps)
        seen = None if flaw == "full" else np.maximum(0, np.arange(steps) + {"later": 1, "earlier": -1}.get(flaw, 0))
        all_lags = np.broadcast_to(np.stack([bea.lag(beta, seen), bea.lag(rho, seen)], axis=-1), (steps, 2))
        for n, lags in enumerate(all_lags):

            def field(x: np.ndarray, lags: np.ndarray = lags, size: float = size) -> np.ndarray:
                return _field(x, lags, size)

            start = run[n] if flaw == "anew" else path[-1]
            path.append(start + h * field(start) if flaw == "Euler" else runge_kutta(field, start, h))
        found.append(path - run)
    return found


def experiment(errors: Answer, hs: tuple[float, ...] = HS, seed: int = 5) -> None:
    """The errors with the bracket and without: by their slopes, and against the library's."""
    answered(errors)
    time = float(TIME * generator(seed).uniform(0.9, 1.1))
    hs = step_sizes(hs, time, seed)
    with_bracket, without = (
        vector(errors(np.array(hs), factor, time), (len(hs),), "errors", returned=True) for factor in (1.0, 0.0)
    )

    def of_the_control() -> dict[str, list[np.ndarray]]:
        return {
            "it has the bracket: `factor` does not reach it.": _differences(hs, 1.0, time),
            "the flow is solved by Euler's method, whose error is as large as what you measure; take one such as Runge and Kutta's.": _differences(
                hs, 0.0, time, "Euler"
            ),
            "the flow starts anew from the run at each step; let it go on from its own end.": _differences(
                hs, 0.0, time, "anew"
            ),
            "β and ρ are exchanged in the run.": _differences(hs, 0.0, time, "exchanged"),
        }

    def of_the_bracket() -> dict[str, list[np.ndarray]]:
        return {
            "your C are those of full averages; a run from empty memory needs the C of step n.": _differences(
                hs, 1.0, time, "full"
            ),
            "your C are those of the next step; on [nh, (n+1)h] take those of step n.": _differences(
                hs, 1.0, time, "later"
            ),
            "your C are those of the step before; on [nh, (n+1)h] take those of step n.": _differences(
                hs, 1.0, time, "earlier"
            ),
            "the correction is added with the wrong sign, and doubles the error.": _differences(hs, -1.0, time),
            "that is half the correction.": _differences(hs, 0.5, time),
            "that is twice the correction.": _differences(hs, 2.0, time),
            "the correction is not in it: these are the errors of the control.": _differences(hs, 0.0, time),
            "the correction has the factor h², not h.": _differences(hs, 1.0, time, "h²"),
        }

    follows(
        "the control without bracket (factor 0)",
        hs,
        without,
        _differences(hs, 0.0, time),
        1,
        "of this method from this start",
        of_the_control,
        0.005,
        lambda: uses_all(errors, "errors", ["factor", "time"], hs=np.array(hs), factor=0.0, time=time),
    )
    of, right = "with the bracket of each coordinate", _differences(hs, 1.0, time)
    follows("with the bracket (factor 1)", hs, with_bracket, right, 2, of, of_the_bracket, 0.005, control=True)
    reaches_the_time(errors, hs, _differences)
