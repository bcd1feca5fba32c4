r"""The equations of chapter 10, Adam: the theorem.

They are compared with Adam itself, run for n + 1 steps on polynomials of first degree in h
(:func:`bea_book.equations.shared.by_running`), with no weights, no lags and no displacements written
down anywhere; and with the engine.
"""

import random

import sympy as sp

from bea import adam, bilinear, transient_equation
from bea_book.equations.shared import (
    DIGITS,
    Values,
    adam_from_the_start,
    adam_sign_change,
    constant,
    constants,
    decays,
    experiment,
    gradient_at,
    hessian_at,
    lag_of_weights,
    motion,
    one_loss,
    polynomial_loss,
    random_point,
    ratio,
    running_average,
    step_from,
    terms_at,
    theorem_values,
    weights,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]


def theorem(rng: random.Random) -> Values:
    return theorem_values(*experiment(rng))


def theorem_outside(rng: random.Random) -> Values:
    return theorem_values(*experiment(rng, inside=False))


def one_loss_in_the_theorem(rng: random.Random) -> Values:
    """The theorem's sums for n = 3 if all batches are one random loss."""
    (beta, rho), epsilon = decays(rng), ratio(rng, 1, 9, 10)
    loss = polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    g, hessian = gradient_at(loss, at).evalf(DIGITS), hessian_at(loss, at).evalf(DIGITS)
    found = theorem_values(adam(beta, rho, epsilon), [g] * 4, [hessian] * 4) | one_loss(loss, at, epsilon)
    return found | constants(r"\beta", beta, 3) | constants(r"\rho", rho, 3)


def one_step(rng: random.Random) -> Values:
    """Steps 1 and 2 of the library's Adam in one coordinate, from random memory and gradients."""
    (beta, rho), epsilon = decays(rng), ratio(rng)
    found = {r"\beta": beta, r"\rho": rho, r"\varepsilon": epsilon, "h": h}
    for n in (1, 2):
        m, v, g, theta = ratio(rng), ratio(rng), ratio(rng), ratio(rng)
        state = [(m, beta**n), (v, rho**n)]
        update, [(new_m, p), (new_v, q)] = step_from(adam(beta, rho, epsilon), g, state)
        for j in (1, 2):
            found |= {
                f"m_{j}^{{({n}-1)}}": m,
                f"v_{j}^{{({n}-1)}}": v,
                f"m_{j}^{{({n})}}": new_m,
                f"v_{j}^{{({n})}}": new_v,
                rf"\hat m_{j}^{{({n})}}": new_m / (1 - p),
                rf"\hat v_{j}^{{({n})}}": new_v / (1 - q),
                rf"\partial_{j} E_{n}(\theta^{{({n})}})": g,
                rf"\theta_{j}^{{({n})}}": theta,
                rf"\theta_{j}^{{({n}+1)}}": theta - h * update,
            }
    return found


def weights_and_constants(rng: random.Random) -> Values:
    """Weights from impulses, the lag as the mean age under them, C from the engine on a parabola."""
    beta, rho = decays(rng)
    values = [ratio(rng) for _ in range(5)]
    found = {r"\beta": beta, r"\rho": rho} | {f"g^{{({k})}}": g for k, g in enumerate(values)}
    for n in (0, 1, 4):
        found |= {f"w_{k}^{{({n})}}": w for k, w in enumerate(weights(beta, n))}
        found[rf"\hat m^{{({n})}}"] = running_average(beta, values[: n + 1])
        found[rf"C_\beta({n})"] = constant(beta, n)
        found[rf"\mathrm{{lag}}_\beta({n})"] = lag_of_weights(beta, n)
    return found


def steady_state(rng: random.Random) -> Values:
    """One random loss: Adam in steady state, by the engine."""
    (beta, rho), epsilon = decays(rng), ratio(rng, 1, 9, 10)
    loss = polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    found = {r"\beta": beta, r"\rho": rho} | one_loss(loss, at, epsilon)
    f_0, f_1 = terms_at(adam(beta, rho, epsilon), loss, at, 2)
    return found | motion(f_0, f_1, found)


def offset(rng: random.Random) -> Values:
    """a - b on the bilinear model with epsilon = 0, by the engine's piece n = 3."""
    (beta, rho), n, loss = decays(rng), 3, bilinear()
    a, b = ratio(rng, 11, 19, 10), ratio(rng, 21, 29, 10)
    equation = transient_equation(adam(beta, rho, sp.Integer(0)), loss)
    f_0, f_1 = (f.subs(dict(zip(loss.symbols, (a, b)))) for f in equation.terms(n))
    return {
        r"\dot\delta": (f_0[0] - f_0[1]) + h * (f_1[0] - f_1[1]),
        r"\delta": a - b,
        "a": a,
        "b": b,
        "h": h,
        **constants(r"\beta", beta, n),
        **constants(r"\rho", rho, n),
    }


RUN = "Adam run for n + 1 steps on polynomials in h, compared with Taylor's formula for the flow"

ENTRIES = (
    Entry(
        "eq-adam-algorithm",
        one_step,
        "the library's Adam itself, on exact numbers",
        {"j": (1, 2), "n": (1, 2)},
    ),
    Entry(
        "eq-adam-weights",
        weights_and_constants,
        "the running average of random values, and of impulses",
        {"n": (0, 1, 4)},
    ),
    Entry(
        "eq-adam-constants",
        weights_and_constants,
        "the engine's piece n of a bias-corrected mean gradient on a parabola",
        {"n": (0, 1, 4)},
    ),
    Entry(
        "eq-adam-line",
        adam_from_the_start,
        RUN,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-full-batch",
        adam_from_the_start,
        RUN,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-stationary",
        steady_state,
        "the engine's steady-state terms on a random loss",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-sign-change",
        adam_sign_change,
        "the root in epsilon of the engine's second term on a parabola",
    ),
    Entry(
        "eq-adam-theorem-averages",
        theorem,
        "Adam's running averages at one point",
        {"j": (1, 2), "n": (0, 1, 3)},
    ),
    Entry(
        "eq-adam-theorem-memory",
        theorem,
        "the running averages along Adam's run, differentiated in h (half of it for the squares)",
        {"j": (1, 2), "n": (1, 3)},
    ),
    Entry(
        "eq-adam-theorem-bars",
        theorem,
        "the running averages at a point moved by the step, differentiated in h (half of it for the squares)",
        {"j": (1, 2), "n": (1, 3)},
    ),
    Entry(
        "eq-adam-theorem",
        theorem,
        RUN,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-theorem-outside",
        theorem_outside,
        RUN,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-reduction",
        one_loss_in_the_theorem,
        "the running averages along Adam's run on one loss, and at a point moved by its step, differentiated in h",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-imbalance",
        offset,
        "the engine's piece n on the bilinear model without epsilon",
    ),
)
