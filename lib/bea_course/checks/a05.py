r"""Assignment 5: Adam with another exponent, :math:`\theta_j \leftarrow \theta_j - h\,\hat m_j/(\hat v_j + \varepsilon)^p`.

The references are the library's averages, its engine and complex steps; no formula of the answers is
written here.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import sympy as sp

import bea
from bea import Decay, NonNegative
from bea.program import Running
from bea_course.compare import (
    Answer,
    Point,
    answered,
    called,
    demand,
    expression,
    generator,
    lengths,
    matched,
    name_the_mistake,
    name_the_size,
    number,
    points,
    reaches_the_time,
    slope,
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


def average(decay: Any, old: Any, value: Any) -> Any:
    """The library's average after one step from the old one."""
    return Running(h=0.0, state=[(old, 1.0)]).average(value, decay)


def close(a: Any, b: Any, relative: float = 1e-8) -> bool:
    return np.allclose(a, b, rtol=relative, atol=1e-14)


# --- step --------------------------------------------------------------------------------------


def _step(
    given: tuple[Any, ...],
    undamped: bool = False,
    late: int = 0,
    corrected: bool = True,
    outside: bool = False,
    root: bool = False,
    power: int = 2,
    sign: int = 1,
    double: bool = False,
    bare: bool = False,
    one: bool = False,
) -> np.ndarray:
    """The new theta by the library's averages, with flaws on demand."""
    theta, gradient, m, v, n, h, beta, rho, epsilon, p = given
    m = beta * m + gradient if undamped else average(beta, m, gradient)
    v = rho * v + (1 - beta) * gradient**2 if one else average(rho, v, gradient**power)
    if corrected:
        m, v = m / (1 - beta ** (n + 1 - late)), v / (1 - rho ** (n + 1 - late))
    q, h, epsilon = 0.5 if root else 2 * p if double else p, sign * h, 0 if bare else epsilon
    return theta - h * (m / (v**q + epsilon) if outside else m / (v + epsilon) ** q)


NAMES = ("theta", "gradient", "m", "v", "n", "h", "beta", "rho", "epsilon", "p")


def _instance(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    theta, gradient, m = rng.normal(size=(3, 3))
    v = rng.uniform(0.5, 2, size=3)
    if n == 0:
        m, v = np.zeros(3), np.zeros(3)
    beta, rho = rng.uniform(0.3, 0.9, size=2)
    return (
        theta,
        gradient,
        m,
        v,
        n,
        rng.uniform(0.01, 0.1),
        beta,
        rho,
        rng.uniform(0.1, 1),
        rng.uniform(0.1, 0.4),
    )


def step(step: Answer, seed: int = 5) -> None:
    """One step of the method, from random memory."""
    answered(step)
    rng = generator(seed)
    for n in (3, int(rng.integers(5, 20)), 0):
        given = _instance(rng, n)
        returned = step(*(np.copy(x) if isinstance(x, np.ndarray) else x for x in given))
        called(returned, "step")
        demand(
            isinstance(returned, tuple | list | np.ndarray) and np.shape(returned) == (3, 3),
            "`step` must return theta, m and v, in this order.",
        )
        theta, m, v = (vector(x, (3,), "step", returned=True) for x in returned)
        if not close(theta, _step(given)):
            name_the_mistake(
                lambda flaw: close(theta, _step(given, **flaw)),
                {
                    "this has no bias correction; after step n, m is too small by 1 − β^(n+1), and v likewise.": {
                        "corrected": False
                    },
                    "the bias correction is one step late: after step n an average holds n + 1 gradients.": {
                        "late": 1 if n else 0
                    },
                    "this is the heavy ball without its factor 1−β: the newest gradient enters m with that factor.": {
                        "undamped": True
                    },
                    "ε is outside the power; add it to v before.": {"outside": True},
                    "that is Adam's square root; the exponent here is p.": {"root": True},
                    "v averages the squared gradient, not the gradient.": {"power": 1},
                    "uphill: a step goes against the gradient.": {"sign": -1},
                    "the exponent is p, of v and not of its root.": {"double": True},
                    "ε is missing.": {"bare": True},
                    "v has its own decay: 1 − ρ, not 1 − β.": {"one": True},
                },
                f"theta after step n = {n} is not what the two averages give.",
                lambda: uses_all(step, "step", ["n"], **dict(zip(NAMES, given))),
            )
        _, gradient, old_m, old_v, _, _, beta, rho, *_ = given
        demand(
            close(m, average(beta, old_m, gradient)) and close(v, average(rho, old_v, gradient**2)),
            "theta is right, but the next step needs m and v as they are before bias correction: return those.",
        )


# --- averages ----------------------------------------------------------------------------------


def _coefficient(power: int, decay: float, point: Point, order: int) -> float:
    """The coefficient of h^order of the average of gradient^power, from its weights, age by age."""
    gradient, change = float(point[g]), float(point[S])
    ages = np.arange(4000)
    weights = (1 - decay) * decay**ages
    # k steps ago the gradient was g + k h S; a complex step in h differentiates
    seen = (gradient + ages * 1j * TINY * change) ** power
    return float((weights @ seen).imag / TINY if order else weights @ seen.real)


def averages(m_hat: Answer, v_hat: Answer, seed: int = 5) -> None:
    """What the two averages show, to first order in h."""
    symbols = (g, S, h, lag_beta, lag_rho)
    rng = generator(seed)
    for name, answer, power, lag in (("m_hat", m_hat, 1, lag_beta), ("v_hat", v_hat, 2, lag_rho)):
        answer = expression(answer, symbols, name)
        cases: list[tuple[float, float, Point]] = []  # the average's decay, the other one's, the point
        at = []
        for point in points((g, S), seed, 3):
            decay = {lag_beta: rng.uniform(0.5, 0.85), lag_rho: rng.uniform(0.88, 0.97)}
            at.append(point | {symbol: bea.lag(decay[symbol]) for symbol in decay})
            cases.append((decay[lag], decay[lag_rho if lag is lag_beta else lag_beta], point))

        def change(decay: float, _: float, point: Point, power: int = power) -> float:
            return _coefficient(power, decay, point, 1)

        equal = f"`{name}` at h = 0 must be what an average of equal {'gradients' if power == 1 else 'squared gradients'} is."
        start = lambda decay, _, point, power=power: _coefficient(power, decay, point, 0)  # noqa: E731
        matched(answer.subs(h, 0), name, (), at, start, {equal: lambda *_: np.nan}, equal, cases)
        matched(
            sp.diff(answer, h).subs(h, 0),
            f"the coefficient of h in {name}",
            (),
            at,
            change,
            {
                f"`{name}` has the wrong sign: the run comes from uphill, where the gradient was g + k·h·S.": lambda *case: (
                    -change(*case)
                ),
                f"`{name}` has the lag of the other average: β belongs to m, ρ to v.": lambda decay, other, point: (
                    change(other, decay, point)
                ),
                f"`{name}` changes as the gradient does; but it holds squares, and d(g²) is not g·dg.": lambda *case: (
                    change(*case) / 2
                ),
                f"`{name}` changes as the gradient does; but it holds squares.": lambda *case: (
                    change(*case) / (2 * float(case[2][g]))
                ),
            },
            f"the coefficient of h in `{name}` is not what the weights of the average give.",
            cases,
        )
        demand(
            sp.simplify(sp.diff(answer, h, 2)) == 0,
            f"`{name}` to first order only: it must be linear in h.",
        )


# --- bracket -----------------------------------------------------------------------------------


def _quotient(point: Point, sizes: int = 2, sign: int = 1, power: float | None = None) -> float:
    """The coefficient of h in the quotient of the averages, by a complex step; with flaws on demand."""
    x = {str(symbol): float(number) for symbol, number in point.items()}
    step = 1j * TINY
    m = x["g"] + step * x["lag_beta"] * x["S"]
    v = x["g"] ** 2 + sign * step * sizes * x["lag_rho"] * x["g"] * x["S"]
    return (m * (v + x["epsilon"]) ** -(power or x["p"])).imag / TINY


def lagging(lagging: Answer, seed: int = 5) -> None:
    """The coefficient of h in the quotient."""
    symbols = (g, S, lag_beta, lag_rho, epsilon, p)
    answer = expression(lagging, symbols, "lagging")
    mistakes: dict[str, Callable[[Point], float]] = {
        "the two lags act in the same direction here, but one of the averages is in the denominator.": lambda at: (
            _quotient(at, sign=-1)
        ),
        "the exponent is p, not Adam's one half.": lambda at: _quotient(at, power=0.5),
        "v changes twice as fast as that: it holds squares.": lambda at: _quotient(at, sizes=1),
        "the two lags are exchanged: β belongs to m, ρ to v.": lambda at: _quotient(
            at | {lag_beta: at[lag_rho], lag_rho: at[lag_beta]}
        ),
        "the denominator changes as well: v̂ is in it.": lambda at: _quotient(at | {lag_rho: 0}),
        "ε is in the denominator wherever v̂ is.": lambda at: (
            _quotient(at | {lag_rho: 0})
            + (_quotient(at) - _quotient(at | {lag_rho: 0})) * float(1 + at[epsilon] / at[g] ** 2)
        ),
    }
    otherwise = "this is not the coefficient of h in m_hat/(v_hat + ε)^p."
    matched(answer, "lagging", symbols, points(symbols, seed), _quotient, mistakes, otherwise)


def _bend(point: Point, power: float | None = None) -> float:
    """½ f_0' f_0 for f_0 = −U: half of U's derivative by the gradient, times S."""
    x = {str(symbol): float(number) for symbol, number in point.items()}
    gradient = x["g"] + 1j * TINY
    return 0.5 * x["S"] * (gradient * (gradient**2 + x["epsilon"]) ** -(power or x["p"])).imag / TINY


def half_step(half_step: Answer, seed: int = 5) -> None:
    """Half of the bending of the flow within a step."""
    symbols = (g, S, epsilon, p)
    answer = expression(half_step, symbols, "half_step")
    mistakes: dict[str, Callable[[Point], float]] = {
        "that is the whole bending; a flow that bends evenly is off by half of it.": lambda at: 2 * _bend(at),
        "the sign: f_0 = −U twice, so the two minus signs cancel.": lambda at: -_bend(at),
        "the denominator changes along the path as well: differentiate it also.": lambda at: (
            float(at[S]) * float(at[g] ** 2 + at[epsilon]) ** -float(at[p]) / 2
        ),
        "the exponent is p, not Adam's one half.": lambda at: _bend(at, 0.5),
        "that is half of U's derivative by g; along the flow the gradient changes at the rate −S.": lambda at: (
            _bend(at) / float(at[S])
        ),
    }
    matched(
        answer, "half_step", symbols, points(symbols, seed), _bend, mistakes, "this is not ½ f_0' f_0 with f_0 = −U."
    )


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
    answer = expression(bracket, symbols, "bracket")
    rng = generator(seed)
    cases, at = [], []
    for _ in range(5):
        beta, rho = (float(x) for x in rng.uniform(0.2, 0.95, size=2))
        gradient, stability = (float(x) for x in rng.uniform(0.3, 2, size=2))
        cases.append((gradient, beta, rho, stability, float(rng.uniform(0.1, 0.4))))
        numbers = (gradient, stability, cases[-1][-1], constant(beta), constant(rho))
        at.append(dict(zip(symbols, numbers)))

    def half(*case: float) -> float:
        return _engine_bracket(case[0], 0.0, 0.0, *case[3:])

    mistakes: dict[str, Callable[..., float]] = {
        "that is Adam's bracket; with another exponent the denominator's lag has another factor.": lambda *case: (
            _engine_bracket(*case[:4], 0.5)
        ),
        "both lags have the same sign here; the denominator's acts against the numerator's.": lambda *case: (
            2 * constant(case[1]) - _engine_bracket(*case)
        ),
        "the sign is reversed: f_1 contains minus one half of the bracket.": lambda *case: -_engine_bracket(*case),
        "the one half stands before the bracket, not in it.": lambda *case: _engine_bracket(*case) / 2,
        "only memory is in it, 2·lag in place of C: the half step is missing.": lambda *case: (
            _engine_bracket(*case) - half(*case)
        ),
        "this holds only where ε is negligible: keep g² + ε apart from g².": lambda g, beta, rho, _, p: _engine_bracket(
            g, beta, rho, 0.0, p
        ),
        "the two constants are exchanged.": lambda g, beta, rho, *rest: _engine_bracket(g, rho, beta, *rest),
        "v changes twice as fast as that: it holds squares.": lambda *case: (
            (_engine_bracket(*case) + constant(case[1])) / 2
        ),
    }
    otherwise = "at {at} the engine finds {wanted}, and your bracket is {got}."
    matched(answer, "bracket", symbols, at, _engine_bracket, mistakes, otherwise, cases)


# --- potential ---------------------------------------------------------------------------------


def potential(potential: Answer, seed: int = 5) -> None:
    """A function of g whose derivative is the memoryless step."""
    symbols = (g, epsilon, p)
    answer = expression(potential, symbols, "potential")
    derivative = sp.diff(answer, g)
    at = [point | {p: point[p] / 3} for point in points(symbols, seed)]
    cases = [tuple(float(point[symbol]) for symbol in symbols) for point in at]

    def step(g: float, epsilon: float, p: float) -> float:
        return g / (g**2 + epsilon) ** p

    factor = "right up to a constant factor: differentiate it and compare."
    matched(
        derivative,
        "potential",
        symbols,
        at,
        step,
        {
            "that is Adam's perturbed norm; its derivative has the exponent one half.": lambda *x: step(
                x[0], x[1], 0.5
            ),
            "the sign: the step is minus h times the derivative, not plus.": lambda *x: -step(*x),
            factor: lambda *x: 2 * (1 - x[2]) * step(*x),
            factor + " ": lambda *x: (1 - x[2]) * step(*x),
            factor + "  ": lambda *x: 2 * step(*x),
        },
        "its derivative with respect to g is not g/(g² + ε)^p.",
        cases,
    )


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
    cases = [*cases, *_drawn(seed)]
    for beta, rho, p, n in cases:
        r = number(sign_change(beta, rho, p, n), "sign_change", returned=True)
        where = f"for β = {beta:.4g}, ρ = {rho:.4g}, p = {p:.4g}" + (f" after step {n}" if n is not None else "")
        positive = _bracket_at(0.0, beta, rho, p, n) >= 0
        demand(
            r >= 0,
            "a ratio ε/g² cannot be negative: where the formula gives that, the bracket is positive for every ε, and the answer is 0.",
        )
        if n is not None and r:
            full = number(sign_change(beta, rho, p), "sign_change", returned=True)
            demand(not close(r, full), f"{where} the averages are not yet full: use the lags of step n.")
        if positive:
            demand(
                r == 0,
                f"{where} the bracket is positive for every ε, and the answer is 0; yours is {r:.3g}.",
            )
            continue

        def changes(r: float, n: int | None = n, p: float = p, beta: float = beta, rho: float = rho) -> bool:
            if not 0 < r < np.inf:
                return False
            return _bracket_at(r * 0.999, beta, rho, p, n) < 0 < _bracket_at(r * 1.001, beta, rho, p, n)

        if not changes(r):
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
            demand(
                False,
                f"{where} the bracket does not change its sign at {r:.4g}; there it is {now:.3g}.",
            )


# --- experiment --------------------------------------------------------------------------------

SETTING = (0.8, 0.6, 0.1, 0.3)  # beta, rho, epsilon, p
START, TIME = np.array([0.9, 1.5]), 0.4
HS = (4e-3, 2e-3, 1e-3)


def _gradient(x: Any) -> Any:
    """The gradient of the loss of this question, also at complex points."""
    return -2 * (1.5 - 2 * x[0] * x[1]) * x[::-1]


def _field(x: np.ndarray, lags: tuple[float, float], size: float) -> np.ndarray:
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
def _differences(hs: tuple[float, ...], factor: float, time: float) -> list[np.ndarray]:
    """At each step of a run from rest, the flow of each step's equation with so much of the correction, minus the run."""
    method, loss, found = family(*SETTING), bea.bilinear(), []
    for h in hs:
        steps = round(time / h)
        path = [START]
        for n in range(steps):
            x, at = path[-1], ((bea.lag(SETTING[0], n), bea.lag(SETTING[1], n)), factor * h)
            k1 = _field(x, *at)
            k2 = _field(x + h / 2 * k1, *at)
            k3 = _field(x + h / 2 * k2, *at)
            path.append(x + h / 6 * (k1 + 2 * k2 + 2 * k3 + _field(x + h * k3, *at)))
        found.append(path - bea.run(method, loss, START, h, steps))
    return found


@cache
def _steady_errors(hs: tuple[float, ...], time: float) -> np.ndarray:
    """The errors of the steady-state equation for a run from rest."""
    return bea.order_study(family(*SETTING), bea.bilinear(), START, time, hs, 2, start="rest").errors


def experiment(errors: Answer, hs: tuple[float, ...] = HS, seed: int = 5) -> None:
    """The errors with the bracket and without: by their slopes, and against the library's."""
    answered(errors)
    time = float(TIME * generator(seed).uniform(0.9, 1.1))
    hs = step_sizes(hs, time, seed)
    with_bracket, without = (
        vector(errors(np.array(hs), factor, time), (len(hs),), "errors", returned=True) for factor in (1.0, 0.0)
    )
    demand(
        (with_bracket > 0).all() and (without > 0).all(),
        "an error here is a distance, and positive.",
    )
    control = slope(hs, without)
    if not close(without, lengths(_differences(hs, 0.0, time)), 0.05):
        name_the_size(without, _differences(hs, 0.0, time))
        demand(
            not close(without, lengths(_differences(hs, 1.0, time)), 0.01),
            f"the control without bracket (factor 0) must fail with slope 1; yours has {control:.2f}: it has the bracket.",
        )
        uses_all(errors, "errors", ["factor", "time"], hs=np.array(hs), factor=0.0, time=time)
    demand(
        0.9 < control < 1.1,
        f"the control without bracket (factor 0) must fail with slope 1; yours has {control:.2f}.",
    )
    found = slope(hs, with_bracket)
    if not 1.9 < found < 2.1:
        demand(
            not close(with_bracket, _steady_errors(hs, time), 0.05),
            f"slope {found:.2f}: your C are those of full averages; a run from empty memory needs the C of step n.",
        )
        demand(
            not close(with_bracket, 2 * without, 0.2),
            f"slope {found:.2f}: the correction is added with the wrong sign, and doubles the error.",
        )
        for part, name in ((0.5, "half"), (2.0, "twice")):
            wrong = lengths(_differences(hs, part, time))
            demand(not close(with_bracket, wrong, 0.01), f"slope {found:.2f}: that is with {name} the correction.")
        demand(False, f"with the bracket (factor 1) the slope must be 2; yours is {found:.2f}.")
    demand(
        close(without, lengths(_differences(hs, 0.0, time)), 0.05),
        "the slopes are right, but the errors without bracket are not those of this method from this start.",
    )
    demand(
        close(with_bracket, lengths(_differences(hs, 1.0, time)), 0.03),
        "with the bracket (factor 1) the slope is right, but these are not the errors with the bracket of each coordinate.",
    )
    reaches_the_time(errors, time / 4, hs, _differences)
