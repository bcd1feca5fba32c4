r"""Assignment 7: an optimizer of the student's own, :math:`\theta \leftarrow \theta - h\,U`.

Nothing is known of it but the steps that it makes when it sees given gradients.  A constant gradient
gives the step without memory, one that grows slowly gives the ages, and from these the first correction
and the distances of runs follow, by another route than the engine's.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from numpy.polynomial import Chebyshev
from numpy.polynomial.chebyshev import chebfit, chebval
from scipy.optimize import least_squares
from scipy.special import expit, logit

import bea
from bea.program import Running
from bea_course.compare import (
    Answer,
    advice,
    answered,
    demand,
    expression,
    generator,
    name_the_mistake,
    number,
    real,
    runge_kutta,
    slope,
    type_of,
    vector,
)

g, beta, rho, epsilon = symbols = sp.symbols("g beta rho epsilon", positive=True)

Choice = tuple[float, float, float]  # beta, rho, epsilon
LONG = 90  # steps after which a memory with decays up to 0.6 is full
LONGER = 400  # the same for decays up to 0.95
WIDE = (0.9, 0.95)  # decays as people use them
FILL = 40  # steps that a run makes before it is compared with a flow
PARTS = (80, 160, 320)  # steps of the three runs


def choice(rng: np.random.Generator, decays: tuple[float, float] = (0.2, 0.5)) -> Choice:
    """Hyper-parameters, drawn."""
    return float(rng.uniform(*decays)), float(rng.uniform(*decays)), float(rng.uniform(0.2, 0.8))


def seen_by(updates: Answer, gradients: np.ndarray, at: Choice, *where: Any) -> np.ndarray:
    """The updates U, a row a step, that these gradients cause; ``where``: the points, and the step size."""
    try:
        found = updates(gradients, *at, *where)
    except Exception as stopped:
        kind, said = type_of(stopped), str(stopped)
        demand(
            "truth value of an array" not in said,
            "`mine` cannot be run: the gradient is an array, which an `if` cannot ask about; take np.where.",
        )
        own = kind == "ValueError" and not any(part in said for part in ("in place", "read-only", "memory", "state"))
        why = "`mine` cannot be run." if own else STOPPED.get(kind)
        demand(kind not in STOPPED, f"{why} Python says: {said}{advice(said)}")
        raise
    answered(*np.ravel(found)[:1])
    return vector(found, gradients.shape, "updates", returned=True)


#: What is behind the types of exceptions that a program raises.
STOPPED = {
    "TypeError": "not answered yet, or `mine` cannot be run: put @bea.optimizer above it, keep beta, rho and epsilon in its first line, also those that it does not use, and end with: return update.",
    "ValueError": "`mine` cannot be run: a program changes neither theta nor a gradient in place (write a = a - b, not a -= b), remembers by `memory` only, and keeps nothing of its own between calls.",
}


def measured(
    updates: Answer, gradients: np.ndarray, at: Choice, smooth: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(u, its degree, the net factor) at some gradients, from updates alone; Wrong if they must be smooth and are not."""
    small, long = (1e-4, LONG) if max(at[:2]) <= 0.6 else (1e-5, LONGER)
    n = np.arange(-long, 1)[:, None]
    histories = [1 + 0 * n, 1 + small + 0 * n, 1 - small + 0 * n, 1 + small * n, 1 - small * n]
    rows = np.concatenate([history * gradients for history in histories], axis=1)
    u, up, down, rising, falling = seen_by(updates, rows, at)[-1].reshape(5, -1)
    for more, less in ((up, down), (rising, falling)):
        bend, move = np.abs(more + less - 2 * u), np.abs(more - u) + np.abs(less - u)
        demand(
            not smooth or (bend <= 0.1 * move + 1e-7 * np.abs(u)).all(),
            "it has a kink: its step changes differently where the gradient rises and where it falls, so there is no first correction.",
        )
    degree = (up - down) / (2 * small * u)
    return u, degree, degree - (rising - falling) / (small * u)


def close(a: Any, b: Any, relative: float = 1e-5) -> bool:
    return np.allclose(a, b, rtol=relative, atol=1e-6)


def proportional(a: np.ndarray, b: np.ndarray) -> float | None:
    """The factor by which a is b everywhere, if there is one."""
    ratio = np.sum(a * b) / np.sum(b * b) if np.any(b) else 0.0
    return float(ratio) if ratio and np.allclose(a, ratio * b, rtol=1e-7, atol=1e-9) else None


# --- the program -------------------------------------------------------------------------------


def updates_of(optimizer: bea.Optimizer, gradients: np.ndarray) -> np.ndarray:
    """The updates of one of the library's optimizers, which sees these gradients."""
    memory, found = Running(h=1.0), []
    for row in gradients:
        found.append(optimizer(0 * row, lambda theta, row=row: row, memory))
        memory = memory.advance()
    return np.array(found)


#: The library's own optimizers, as functions of two decays and epsilon.
KNOWN: list[Callable[[float, float, float], bea.Optimizer]] = [
    lambda b, r, e: bea.gradient_descent(),
    lambda b, r, e: bea.heavy_ball(b),
    lambda b, r, e: bea.nesterov(b),
    lambda b, r, e: bea.signum(b, e),
    lambda b, r, e: bea.rmsprop(b, e),
    lambda b, r, e: bea.rmsprop(b, e, bias_correction=True),
    lambda b, r, e: bea.rmsprop(b, e, epsilon_inside=False),
    lambda b, r, e: bea.adam(b, r, e),
    lambda b, r, e: bea.adam(b, r, e, bias_correction=False),
    lambda b, r, e: bea.adam(b, r, e, epsilon_inside=False),
    lambda b, r, e: bea.nadam(b, r, e),
    lambda b, r, e: bea.nadam(b, r, e, bias_correction=False),
    lambda b, r, e: bea.lion(b, r, e),
]


def is_new(mine: np.ndarray, gradients: np.ndarray, at: Choice) -> None:
    """Raise Wrong if with some decays it is one of the library's optimizers, up to a factor."""
    for make in KNOWN:

        def differs(x: np.ndarray, make: Callable[..., bea.Optimizer] = make) -> np.ndarray:
            u = updates_of(make(*expit(np.clip(x, -20, 20)), at[2]), gradients)
            return (mine - np.sum(mine * u) / np.sum(u * u) * u).ravel()

        for decays in (at[:2], at[1::-1]):
            found = least_squares(differs, logit(decays), method="lm", max_nfev=40)
            demand(
                np.abs(found.fun).max() > 1e-7 * np.abs(mine).max(),
                f"this is `bea.{make(*at).name}`, which the library has: change what it does.",
            )


def program(updates: Answer, by_hand: Answer, seed: int = 7) -> None:
    """An optimizer with memory, coordinate by coordinate, that is not the library's; as program and as loop."""
    answered(updates, by_hand)
    rng = generator(seed)
    at = choice(rng)
    gradients = rng.normal(size=(60, 3))
    mine = seen_by(updates, gradients, at)
    demand(
        close(seen_by(updates, gradients, at), mine, 1e-9),
        "the same gradients cause other steps the second time: a program remembers by `memory` only, and keeps nothing of its own between calls.",
    )
    _sees_its_gradient_only(updates, gradients, at, mine, rng)
    _forgets_and_descends(updates, at, rng)
    # The last gradients are small in part, or the sign of an average would often be that of the last.
    one, other = rng.normal(size=(2, 60, 40))
    one[-1] = other[-1] = np.geomspace(1e-3, 1, 40)
    demand(
        not close(seen_by(updates, one, at)[-1], seen_by(updates, other, at)[-1], 1e-9),
        "it has no memory: its step is the same whatever the gradients before were. Let it average something.",
    )
    is_new(mine[:8], gradients[:8], at)
    some = rng.uniform(0.5, 2, 6)
    demand(
        any(np.abs(measured(updates, some, choice(rng), smooth=True)[2]).max() > 1e-3 for _ in range(2)),
        "its net factor is zero, so there is nothing to measure: take another one.",
    )
    _is_smooth(updates, at, rng)
    _agrees(by_hand, gradients, at, mine)
    wide = choice(rng, WIDE)
    _agrees(by_hand, gradients, wide, seen_by(updates, gradients, wide))


def _sees_its_gradient_only(
    updates: Answer, gradients: np.ndarray, at: Choice, mine: np.ndarray, rng: np.random.Generator
) -> None:
    """Neither other coordinates, nor where it is, nor the step size change its updates."""
    demand(
        close(seen_by(updates, gradients[:, :1], at), mine[:, :1], 1e-9),
        "what it does to one coordinate depends on the others: take an optimizer that acts coordinate by coordinate.",
    )
    for where, why in (
        ((rng.normal(size=(60, 3)),), "its step depends on θ itself, or on gradients elsewhere"),
        ((0 * gradients, 0.3), "its step U depends on `memory.h`"),
    ):
        demand(
            close(seen_by(updates, gradients, at, *where), mine, 1e-9),
            f"{why}: the loss may be seen by gradient(theta) only, and the program returns U, not the new θ.",
        )


def _forgets_and_descends(updates: Answer, at: Choice, rng: np.random.Generator) -> None:
    """Under a constant gradient its step settles, and has the sign of the gradient."""
    constant = rng.uniform(0.5, 2, 3) * [1, -1, 1]
    found = seen_by(updates, np.tile(constant, (LONG + 1, 1)), at)
    demand(
        close(found[-1], found[-10], 1e-7),
        "under a constant gradient its step still changes after 90 steps: either its memory never forgets, and it has no first correction, or it forgets more slowly than by β and ρ, which are below one half here, or it uses the number of the step.",
    )
    demand(
        (found[-1] * constant > 0).all(),
        "it climbs: U is subtracted, and must have the sign of the gradient.",
    )


def _is_smooth(updates: Answer, at: Choice, rng: np.random.Generator) -> None:
    """A polynomial meets its step without memory also between its nodes."""
    nodes = 1.15 - 0.85 * np.cos(np.pi * np.arange(0.5, 40) / 40)
    between = rng.uniform(0.35, 1.95, 20)
    u = seen_by(updates, np.tile(np.concatenate([nodes, between]), (LONG + 1, 1)), at)[-1]
    fit = Chebyshev.fit(nodes, u[:40], 39, domain=[0.3, 2])
    demand(
        np.abs(fit(between) - u[40:]).max() < 1e-4 * np.abs(u).max(),
        "its step u(g) under a constant gradient g has a kink or a jump: take smooth functions.",
    )


def _agrees(by_hand: Answer, gradients: np.ndarray, at: Choice, mine: np.ndarray) -> None:
    """The loop gives the updates of the program, without the library."""
    try:
        by_hand(gradients[:2].copy(), -1e-12, -1e-12, at[2])
    except Exception as stopped:  # the library refuses such decays; a loop hardly sees them
        demand(
            type_of(stopped) != "ValueError", "`by_hand` uses `mine`, or the library's memory; write it without `bea`."
        )
    hand = vector(by_hand(gradients.copy(), *at), gradients.shape, "by_hand", returned=True)
    if close(hand, mine, 1e-8):
        return
    demand(not close(hand, -mine, 1e-8), "`by_hand` has the other sign: U is subtracted.")
    demand(
        len(hand) < 2 or not np.ptp(hand, axis=0).max() == 0,
        "all rows of `by_hand` are the same: does each hold the same array, which changes later? Append a copy.",
    )
    with np.errstate(all="ignore"):
        turned = vector(by_hand(gradients.copy(), at[1], at[0], at[2]), gradients.shape, "by_hand", returned=True)
    demand(not close(turned, mine, 1e-8), "β and ρ are exchanged between the loop and the program.")
    demand(
        not any(close(sign * np.diff(hand, axis=0), mine[1:], 1e-8) for sign in (1, -1)),
        "`by_hand` returns sums of the updates; return U itself for each row.",
    )
    ratio = proportional(hand, mine)
    demand(
        ratio is None,
        f"the loop's updates are {ratio or 0:.3g} times the program's: does one of them lack a factor such as 1−β?",
    )
    demand(
        not close(hand[1:], mine[:-1], 1e-8),
        "the loop is one step late: an average takes in the new gradient before it is used.",
    )
    demand(
        not close(hand[-1], mine[-1], 1e-8),
        "the loop and the program agree in the end and not at first: does only one of them correct its bias, or start with something else than an empty memory, zeros?",
    )
    first = int(np.argmax(~np.isclose(hand, mine, rtol=1e-8, atol=1e-9).all(axis=1)))
    why = (
        "compare both for one row of gradients: after it an average holds one minus its decay times what it averages, or, with bias correction, that itself."
        if first == 0
        else "they agree before: how is the memory carried on?"
    )
    demand(False, f"the loop and the program differ from step {first} on; {why}")


# --- by hand -----------------------------------------------------------------------------------


def at_points(
    updates: Answer, seed: int
) -> list[tuple[dict[sp.Symbol, sp.Rational], Choice, tuple[float, float, float]]]:
    """Drawn points, as SymPy's numbers and as floats, and what is measured there: u, degree, net factor."""
    rng, found = generator(seed), []
    for decays in ((0.2, 0.5), (0.2, 0.5), (0.2, 0.5), WIDE):
        exact = [sp.Rational(round(1000 * x), 1000) for x in (rng.uniform(0.4, 2), *choice(rng, decays))]
        at = float(exact[1]), float(exact[2]), float(exact[3])
        numbers = (float(x[0]) for x in measured(updates, np.array([float(exact[0])]), at))
        found.append((dict(zip(symbols, exact)), at, tuple(numbers)))
    return found


def without_epsilon(updates: Answer, point: Mapping[sp.Symbol, Any], at: Choice) -> tuple[float, float]:
    """u and the net factor for a vanishing epsilon; not a number where there is none."""
    with np.errstate(all="ignore"):
        try:
            u, _, factor = measured(updates, np.array([float(point[g])]), (*at[:2], 1e-9))
        except AssertionError:
            return np.nan, np.nan
    return float(u[0]), float(factor[0])


def leading(updates: Answer, u: Answer, seed: int = 7) -> None:
    """The step without memory."""
    answered(updates)
    formula = expression(u, symbols, "u")
    found = at_points(updates, seed)
    got = [real(formula, point, "u") for point, *_ in found]
    wanted = [numbers[0] for *_, numbers in found]
    if close(got, wanted):
        return
    demand(not close(np.negative(got), wanted), "the sign: U is subtracted.")
    for name, place in (("β", 0), ("ρ", 1)):
        for power in (1, -1):
            spoilt = [w * (1 - at[place]) ** power for (_, at, _), w in zip(found, wanted)]
            demand(
                not close(got, spoilt),
                f"right but for a factor 1−{name}: the average of a constant gradient is that gradient.",
            )
    bare = [without_epsilon(updates, point, at)[0] for point, at, _ in found]
    demand(not close(got, bare, 1e-3), "ε is missing.")
    ratio = np.array(got) / wanted
    demand(not ratio[0] or not close(ratio, ratio[0]), "right up to a constant factor.")
    demand(
        False,
        "under a constant gradient g your program's step is not that; each average is then what it averages."
        + lacks(updates, formula, 0),
    )


def lacks(updates: Answer, formula: sp.Expr, place: int) -> str:
    """What to add for a formula without a symbol on which u (place 0) or the net factor (place 2) depends."""
    start, gone = (1.1, 0.35, 0.45, 0.5), []
    for k, symbol in enumerate(symbols):
        moved = tuple(1.1 * x if j == k else x for j, x in enumerate(start))
        cases = [(np.array([g]), (beta, rho, epsilon)) for g, beta, rho, epsilon in (start, moved)]
        one, other = (float(measured(updates, *case)[place][0]) for case in cases)
        if not formula.has(symbol) and not close(one, other):
            gone.append(str(symbol))
    return f" It does not contain {', '.join(gone)}: was that overwritten by a number?" if gone else ""


def factor(updates: Answer, K: Answer, seed: int = 7) -> None:
    """The net factor."""
    answered(updates)
    formula = expression(K, symbols, "K")
    found = at_points(updates, seed)
    got = np.array([real(formula, point, "K") for point, *_ in found])
    degree, wanted = (np.array([numbers[k] for *_, numbers in found]) for k in (1, 2))
    if close(got, wanted):
        return
    swapped = formula.subs({beta: rho, rho: beta}, simultaneous=True)
    demand(
        not close([real(swapped, point, "K") for point, *_ in found], wanted),
        "right with β and ρ exchanged.",
    )
    bare = [without_epsilon(updates, point, at)[1] for point, at, _ in found]
    demand(not close(got, bare, 1e-3), "that is the limit of small ε: the shares depend on ε/g².")
    worst = int(np.argmax(np.abs(got - wanted)))
    name_the_mistake(
        lambda values: close(got, values),
        {
            "that is the degree alone, from discretization; add twice the ages, weighted by the shares.": degree,
            "that is the memory contribution alone; add the degree.": wanted - degree,
            "the sign: K is the sum of C·s, with the shares of what u grows with positive.": -wanted,
            "twice that: the shares add up to the degree of u.": wanted * 2,
            "half of that: the shares add up to the degree of u.": wanted / 2,
            "the ages count twice: C = 1 + 2ℓ.": (wanted + degree) / 2,
            "the present gradient has age zero, so an average has the age β/(1−β) and not 1/(1−β).": wanted
            + 2 * degree,
        },
        f"{measured_at(found[worst][0])} the measured net factor of your program is {wanted[worst]:.4g}, and your K is {got[worst]:.4g}: look at the shares and ages again.{off_by(got - wanted)}{lacks(updates, formula, 2)}",
    )


def off_by(difference: np.ndarray) -> str:
    """What to add for a net factor that is off by a constant."""
    constant = close(difference, difference[0])
    return (
        f" Yours is off by {difference[0]:+.3g} everywhere: is the present gradient, of age zero and with C = 1, counted once?"
        if constant
        else ""
    )


def measured_at(point: Mapping[sp.Symbol, Any]) -> str:
    """Where something was measured."""
    return "at " + ", ".join(f"{symbol} = {float(value):.3g}" for symbol, value in point.items())


def penalized(updates: Answer, potential: Answer, direction: Answer, seed: int = 7) -> None:
    """What is penalized, and whether."""
    answered(updates, direction)
    formula = expression(potential, symbols, "potential")
    derivative = formula.diff(g)
    found = at_points(updates, seed)
    wanted = [numbers[0] for *_, numbers in found]
    got = np.array([real(derivative, point, "potential") for point, *_ in found])
    if not close(got, wanted):
        plain = [real(formula, point, "potential") for point, *_ in found]
        demand(not close(plain, wanted), "that is the step u itself: the potential is its integral over g.")
        demand(
            not close(got, [float(point[g]) for point, *_ in found]),
            "that is gradient descent's ½g²: the potential integrates your step, not the gradient.",
        )
        ratio = got / wanted
        demand(not close(ratio, -1), "the sign: the step is minus h times the derivative of the potential.")
        demand(
            not ratio[0] or not close(ratio, ratio[0]), "right up to a constant factor: differentiate it and compare."
        )
        demand(False, "its derivative with respect to g is not the step without memory.")
    rng, says, true, without_degree, places = generator(seed + 1), [], [], [], []
    slow, quick = (0.88, 0.95), (0.05, 0.5)
    for kind in (quick, quick), (quick, slow), (slow, quick), (slow, slow):
        for _ in range(2):
            at = (float(rng.uniform(*kind[0])), float(rng.uniform(*kind[1])), float(10 ** rng.uniform(-2, 0.5)))
            gradients = rng.uniform(0.3, 2, 40)
            _, degrees, nets = measured(updates, gradients, at)
            clear = [k for k in np.argsort(np.abs(nets)) if abs(nets[k]) > 0.05]  # the hardest first
            for k in [k for k in clear if nets[k] > 0][:2] + [k for k in clear if nets[k] < 0][:2]:
                places.append((float(gradients[k]), *at))
                says.append(number(direction(*places[-1]), "direction", returned=True))
                true.append(np.sign(nets[k]))
                without_degree.append(np.sign(nets[k] - degrees[k]))
    demand(set(says) <= {1, -1}, "`direction` must return 1 where it penalizes, and −1 where it anti-penalizes.")
    if says != true:
        demand(not np.array_equal(np.negative(says), true), "exactly reversed: a positive net factor penalizes.")
        demand(says != without_degree, "that is the sign of the memory contribution alone.")
        demand(len(set(says)) > 1, f"`direction` is {says[0]:g} everywhere, but the net factor changes its sign.")
        turned = [float(direction(g, rho, beta, epsilon)) for g, beta, rho, epsilon in places]
        demand(turned != true, "β and ρ are exchanged.")
        k = next(k for k, (one, other) in enumerate(zip(says, true)) if one != other)
        where, sign = measured_at(dict(zip(symbols, places[k]))), "positive" if true[k] > 0 else "negative"
        demand(
            False,
            f"`direction` is not the sign of your program's net factor everywhere: {where} this is {sign}.",
        )


# --- with the engine, and measured -------------------------------------------------------------


def terms(updates: Answer, terms: Answer, seed: int = 7) -> None:
    """The first two terms of the modified equation on E = x²/2 + x³/3."""
    answered(updates, terms)
    rng = generator(seed)
    for most in (1.0, 1.6):
        x, at = float(rng.uniform(most - 0.6, most)), choice(rng)
        got = vector(terms(x, *at), (2,), "terms", returned=True)
        gradient, second = x + x**2, 1 + 2 * x
        u, degree, net = (float(found[0]) for found in measured(updates, np.array([gradient]), at))
        first = -net * u**2 / (2 * gradient) * second
        if not close(got[0], -u):
            demand(not close(got[0], u), "f₀ has the wrong sign: the flow goes down.")
            demand(False, "the first number is not f₀: at leading order x moves by −u(g), with g = x + x².")
        if not close(got[1], first):
            name_the_mistake(
                lambda value: close(got[1], value),
                {
                    "f₁ has the wrong sign.": -first,
                    "that is f₁ on x²/2; the loss here is x²/2 + x³/3, and E'' = 1 + 2x.": first / second,
                    "f₁ is the whole coefficient of h, with the ½ in it.": 2 * first,
                    "f₁ has the ½ in it once.": first / 2,
                    "that is the discretization contribution alone.": degree / net * first,
                    "that is the memory contribution alone.": (1 - degree / net) * first,
                },
                "the second number is not f₁ of your program on this loss.",
                lambda at=at, first=first, x=x: exchanged(terms(x, at[1], at[0], at[2]), first),
            )


def exchanged(turned: Answer, first: float) -> None:
    """Raise Wrong if f₁ comes out right with the two decays exchanged."""
    demand(not close(vector(turned, (2,), "terms", returned=True)[1], first), "β and ρ are exchanged.")


def runs_of(updates: Answer, x: float, hs: np.ndarray, at: Choice) -> list[np.ndarray]:
    """The iterates on E = x²/2 + x³/3 at three step sizes, by successive approximation of whole runs."""
    path = np.full((FILL + max(PARTS) + 1, len(hs)), x)
    runs: list[np.ndarray] = []
    for _ in range(60):
        before = np.maximum(path, 0.01)  # where the longer steps come after their run has ended
        moves = seen_by(updates, (before + before**2)[:-1], at)
        path = x - hs * np.concatenate([0 * moves[:1], np.cumsum(moves, axis=0)])
        runs = [path[: FILL + n + 1, k] for k, n in enumerate(PARTS)]
        if all(np.abs(run - before[: len(run), k]).max() < 1e-11 for k, run in enumerate(runs)):
            break
    return runs


def flow_of(updates: Answer, at: Choice, low: float, high: float) -> Callable[..., np.ndarray]:
    """flow(x, h, factor, time): where the equation leads from each x, by what is measured between two points."""
    middle, half, at_nodes = (low + high) / 2, (high - low) / 2, np.cos(np.pi * (np.arange(16) + 0.5) / 16)
    nodes = middle + half * at_nodes
    u, _, net = measured(updates, nodes + nodes**2, at)
    first = -net * u**2 / (2 * (nodes + nodes**2)) * (1 + 2 * nodes)
    f_0, f_1 = (chebfit(at_nodes, values, 15)[:, None] for values in (-u, first))

    def flow(x: np.ndarray, h: np.ndarray, factor: float, time: np.ndarray) -> np.ndarray:
        series = f_0 + h * factor * f_1
        return runge_kutta(lambda y: chebval((y - middle) / half, series, tensor=False), x, time / 50, 50)

    return flow


Reference = Callable[..., np.ndarray]  # (factor, or one for each h, first step of the flow, steps more) -> distances


def prepared(updates: Answer, x: float, at: Choice) -> tuple[np.ndarray, Reference]:
    """The step sizes, and what gives how far apart runs from x and the flow are in the end."""
    rate = abs(float(measured(updates, np.array([x + x**2]), at)[0][0]))
    hs = 0.25 * x / rate / np.array(PARTS)
    runs = runs_of(updates, x, hs, at)
    flow = flow_of(updates, at, min(map(np.min, runs)) * 0.97, x)

    def reference(factor: float, start: int = FILL, more: int = 0) -> np.ndarray:
        begin, end = (np.array([path[k] for path in runs]) for k in (start, -1))
        return np.abs(flow(begin, hs, factor, hs * (np.array(PARTS) + more)) - end)

    return hs, reference


def name_the_flow(got: np.ndarray, factor: int, hs: np.ndarray, reference: Reference) -> None:
    """Raise Wrong with what these distances are instead."""
    right, name = reference(factor), ("the control", "with the correction")[factor]
    start = "the flow starts at x; let it start where the run is after 40 steps, when its memory is full."
    apart = "run and flow end 40 steps apart: either the flow starts at x, or the run makes `steps` steps in all. Let the run make 40 + steps, and the flow start where it is after 40."
    mistakes = {
        start: reference(factor, 0, FILL),
        apart: reference(factor, 0),
        "the flow is followed for 40 steps too many: it starts after them.": reference(factor, FILL, FILL),
        "the flow starts one step too early: the first point of a run is x, before any step.": reference(
            factor, FILL - 1
        ),
        "the flow starts one step too late: the first point of a run is x, before any step.": reference(
            factor, FILL + 1
        ),
        "that is the square of the distance.": right**2,
        "that is the distance divided by h.": right / hs,
    }
    if factor:
        mistakes |= {
            "the correction is added with the wrong sign.": reference(-1.0),
            "that is with half of the correction.": reference(0.5),
            "that is with twice the correction.": reference(2.0),
            "with and without are exchanged.": reference(0.0),
            "the correction has the factor h², not h.": reference(hs),
        }
    off = {message: np.abs(got / values - 1).max() for message, values in mistakes.items()}
    closest = min(off, key=off.__getitem__)
    demand(off[closest] > 0.03, f"{name}: {closest}")
    demand(
        not factor,
        f"{name}: the slope is {slope(hs, got):.2f}, and the distances are not those of your program. The control is right: look at the correction alone, which is factor·h·f₁.",
    )
    demand(
        False,
        f"{name}: the slope is {slope(hs, got):.2f}, and the distances are not those of your program on this loss, between a run of 40 + steps and a flow that starts after 40 and takes the time steps·h. Is the flow solved to ten digits?",
    )


def distance(updates: Answer, distance: Answer, seed: int = 7) -> None:
    """The distances of runs from the flow with the correction and without: slopes and levels."""
    answered(updates, distance)
    rng = generator(seed)
    x = float(rng.uniform(0.7, 1))
    choices = [choice(rng) for _ in range(8)]
    nets = [np.abs(measured(updates, np.linspace(0.4, 2, 6), at)[2]).min() for at in choices]
    best = [choices[k] for k in np.argsort(nets)[:-5:-1]]

    def given(hs: np.ndarray, factor: int, x: float, at: Choice) -> np.ndarray:
        values = [number(distance(float(h), n, factor, x, *at), "distance", returned=True) for h, n in zip(hs, PARTS)]
        demand(all(value > 0 and np.isfinite(value) for value in values), "a distance here is finite and positive.")
        return np.array(values)

    prepare = cache(lambda at: prepared(updates, x, at))

    def falls(at: Choice) -> bool:
        hs, reference = prepare(at)
        return all(abs(slope(hs, reference(factor)) - 1 - factor) < 0.25 for factor in (0, 1))

    # the first of four where the distances fall as they should, or that where the smallest is largest
    at = next(filter(falls, best), max(best, key=lambda at: prepare(at)[1](1).min()))
    hs, reference = prepare(at)
    got = [given(hs, factor, x, at) for factor in (0, 1)]
    demand(
        not np.allclose(got[1], got[0], rtol=1e-6, atol=0),
        "the control has the same distances: `factor` does not reach the correction.",
    )
    for factor in (0, 1):
        if not np.allclose(got[factor], reference(factor), rtol=0.03, atol=0):
            name_the_flow(got[factor], factor, hs, reference)
    other, nearer = best[at is best[0]], 0.75 * x
    few, there = prepared(updates, nearer, other)
    demand(
        np.allclose(given(few[:1], 1, nearer, other), there(1)[:1], rtol=0.03, atol=0),
        "right from one x, at one choice of β, ρ and ε, and not at another: does each of them reach the run and the flow?",
    )
