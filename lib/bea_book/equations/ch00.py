"""The equations of the page on notation and conventions, compared with steps of the library's
optimizers in exact arithmetic."""

import random
from collections.abc import Callable, Sequence

import sympy as sp

from bea import Optimizer, adam, heavy_ball, nesterov, rmsprop
from bea_book.equations.shared import Values, ratio, step_from
from bea_book.ledger import Entry

__all__ = ["ENTRIES"]


def steps(method: Optimizer, gradients: Sequence[sp.Expr], size: sp.Expr) -> list[sp.Expr]:
    """Parameters before and after each step of the library's optimizer, one coordinate, for given
    gradients; its memory starts empty."""
    path, state = [sp.Rational(3, 2)], None
    for g in gradients:
        update, state = step_from(method, g, state)
        path.append(path[-1] - size * update)
    return path


def weighted(values: Sequence[sp.Expr], decay: sp.Expr) -> sp.Expr:
    """The sum of values with weights decay^age."""
    return sum(decay**age * value for age, value in enumerate(reversed(values)))


def instance(
    optimizer: Callable[[sp.Expr, sp.Expr, sp.Expr], Optimizer],
) -> Callable[[random.Random], Values]:
    """A few steps of ``optimizer(beta, rho, epsilon)``, with the averages as finite sums."""

    def draw(rng: random.Random) -> Values:
        beta, rho, epsilon, size = (
            ratio(rng, denominator=10),
            ratio(rng, denominator=11),
            ratio(rng, denominator=4),
            ratio(rng, denominator=13),
        )
        n = 3
        g = [ratio(rng, denominator=3 + k) for k in range(n + 1)]
        squares = [x**2 for x in g]
        path = steps(optimizer(beta, rho, epsilon), g, size)
        atoms = {
            r"\beta": beta,
            r"\rho": rho,
            r"\varepsilon": epsilon,
            "h": size,
            "n": sp.Integer(n),
            "g^{(n)}": g[-1],
            "m^{(n)}": (1 - beta) * weighted(g, beta),
            "m^{(n-1)}": (1 - beta) * weighted(g[:-1], beta),
            "b^{(n)}": weighted(g, beta),
            "b^{(n-1)}": weighted(g[:-1], beta),
            "v^{(n)}": (1 - rho) * weighted(squares, rho),
            r"\hat m^{(n)}": weighted(g, beta) / weighted([1] * (n + 1), beta),
            r"\hat v^{(n)}": weighted(squares, rho) / weighted([1] * (n + 1), rho),
            r"\theta^{(n+1)}": path[-1],
            r"\theta^{(n)}": path[-2],
            r"\theta^{(n-1)}": path[-3],
        }
        return atoms | {f"g^{{({k})}}": x for k, x in enumerate(g)}

    return draw


STEP = "a few steps of the library's optimizer in exact arithmetic, with random gradients; averages as finite sums"
ADAM = instance(lambda beta, rho, epsilon: adam(beta, rho, epsilon))

ENTRIES = (
    Entry(
        "eq-conv-average",
        ADAM,
        "the finite sum, over ages",
    ),
    Entry(
        "eq-conv-bias-correction",
        ADAM,
        "sums of gradients over sums of their weights",
    ),
    Entry(
        "eq-conv-heavy-ball",
        instance(lambda beta, rho, epsilon: heavy_ball(beta)),
        STEP,
    ),
    Entry(
        "eq-conv-damped",
        instance(lambda beta, rho, epsilon: heavy_ball(beta, damped=True)),
        STEP,
    ),
    Entry(
        "eq-conv-nesterov",
        instance(lambda beta, rho, epsilon: nesterov(beta)),
        STEP,
    ),
    Entry(
        "eq-conv-rmsprop",
        instance(lambda beta, rho, epsilon: rmsprop(rho, epsilon)),
        STEP,
    ),
    Entry(
        "eq-conv-adam",
        ADAM,
        STEP,
    ),
    Entry(
        "eq-conv-adam-outside",
        instance(lambda beta, rho, epsilon: adam(beta, rho, epsilon, epsilon_inside=False)),
        STEP,
    ),
)
