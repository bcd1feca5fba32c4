r"""The equations of chapter 9, RMSProp: memory in the denominator.

They are compared with RMSProp itself, run for n + 1 steps on polynomials of first degree in h
(:func:`bea_book.equations.shared.by_running`); with the engine; and with derivatives.
"""

import random

import sympy as sp

from bea import bilinear, rmsprop, transient_equation
from bea_book.equations import shared
from bea_book.equations.shared import (
    DIGITS,
    Values,
    by_running,
    from_the_start,
    gradient_at,
    hessian_at,
    last_step,
    motion,
    one_loss,
    polynomial_loss,
    random_point,
    ratio,
    run_to,
    running_average,
    step_from,
    terms,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

N = 2  # the step that stands for n where a formula holds for every n


def decay(rng: random.Random) -> sp.Rational:
    return ratio(rng, 2, 9, 10)


def constants(rho: sp.Expr) -> Values:
    return {r"\rho": rho, **shared.constants(r"\rho", rho, N)}


def one_step(rng: random.Random) -> Values:
    """Steps 1 and 2 of the library's RMSProp in one coordinate, from random memory and gradients."""
    rho, epsilon = decay(rng), ratio(rng)
    found = {r"\rho": rho, r"\varepsilon": epsilon, "h": h}
    for n in (1, 2):
        old, g, theta = ratio(rng), ratio(rng), ratio(rng)
        update, [(new, _)] = step_from(rmsprop(rho, epsilon), g, [(old, 0)])
        for j in (1, 2):
            found |= {
                f"v_{j}^{{({n}-1)}}": old,
                f"v_{j}^{{({n})}}": new,
                rf"\partial_{j} E(\theta^{{({n})}})": g,
                rf"\theta_{j}^{{({n})}}": theta,
                rf"\theta_{j}^{{({n}+1)}}": theta - h * update,
            }
    return found


def parabola(rng: random.Random) -> Values:
    """The average of squares along x + (n - k) h, the places of a run at unit speed, on E = x^2/2."""
    rho, x = decay(rng), ratio(rng)
    v = running_average(rho, [(x + (N - k) * h) ** 2 for k in range(N + 1)])
    return {**constants(rho), "x": x, "h": h, r"\hat v": v}


def full_batch(rng: random.Random) -> Values:
    """One random loss: RMSProp from its start, by running for n + 1 steps."""
    rho, epsilon, loss = decay(rng), ratio(rng, 1, 9, 10), polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    found = constants(rho) | one_loss(loss, at, epsilon)
    f_0, f_1 = from_the_start(rmsprop(rho, epsilon, bias_correction=True), loss, at, N)
    return found | motion(f_0, f_1, found)


def without_epsilon(rng: random.Random) -> Values:
    """RMSProp with epsilon = 0 on a random loss by running, and the one-norm of its gradient."""
    rho, loss = decay(rng), polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    method = rmsprop(rho, sp.Integer(0), bias_correction=True)
    f_0, f_1 = from_the_start(method, loss, at, N)
    g = gradient_at(loss, at)
    norm = sum(sp.sign(x) * y for x, y in zip(g, loss.gradient_expressions))
    found = {**constants(rho), "h": h}
    for j, x in enumerate(loss.symbols, 1):
        found |= {
            rf"\partial_{j} E": g[j - 1],
            rf"\dot\theta_{j}": f_0[j - 1] + h * f_1[j - 1],
            rf"\partial_{j}\lVert\nabla E\rVert_1": sp.diff(norm, x).subs(at),
        }
    return found


def large_epsilon(rng: random.Random) -> Values:
    """The limits of the engine's sqrt(epsilon) f_0 and epsilon f_1 on a random loss, as epsilon
    grows."""
    rho, epsilon, s = decay(rng), ratio(rng), sp.Symbol("s", positive=True)
    loss = polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    f_0, f_1 = (term.subs(at) for term in terms(rmsprop(rho, 1 / s**2), loss, 2))
    g = sp.Matrix(loss.gradient_expressions)
    found = {"h": h, r"\varepsilon": epsilon}
    for j, x in enumerate(loss.symbols, 1):
        first, second = sp.limit(f_0[j - 1] / s, s, 0), sp.limit(f_1[j - 1] / s**2, s, 0)
        found |= {
            rf"\partial_{j}\tilde E": -first - h / sp.sqrt(epsilon) * second,
            rf"\partial_{j} E": g[j - 1].subs(at),
            rf"\partial_{j}\lVert\nabla E\rVert^2": sp.diff(g.dot(g), x).subs(at),
        }
    return found


def sign_change(rng: random.Random) -> Values:
    """The epsilon at which the engine's f_1 vanishes, on a parabola, where the gradient is g > 0."""
    rho, g = ratio(rng, 6, 9, 10), ratio(rng, 8, 13)
    root = shared.sign_change(lambda epsilon: rmsprop(rho, epsilon), g)
    return {r"\varepsilon": root, r"\partial_j E": g, **shared.constants(r"\rho", rho)}


def outside(rng: random.Random) -> Values:
    """RMSProp with epsilon outside the root on a random loss, by running."""
    rho, epsilon, loss = decay(rng), ratio(rng), polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    method = rmsprop(rho, epsilon, epsilon_inside=False, bias_correction=True)
    f_0, f_1 = from_the_start(method, loss, at, N)
    g = gradient_at(loss, at)
    sizes = [sp.sign(x) * y for x, y in zip(g, loss.gradient_expressions)]
    potential = sp.Add(*(x - epsilon * sp.log(x + epsilon) for x in sizes))
    found = {
        **constants(rho),
        r"\varepsilon": epsilon,
        "h": h,
        "N": potential.subs(at).evalf(DIGITS),
        "d": sp.Integer(2),
    }
    for j, x in enumerate(loss.symbols, 1):
        found |= {
            rf"\partial_{j} E": g[j - 1],
            rf"\dot\theta_{j}": f_0[j - 1] + h * f_1[j - 1],
            f"R_{j}": abs(g[j - 1]) + epsilon,
            rf"\partial_{j} N": sp.diff(potential, x).subs(at),
        }
    return found


def as_shipped(rng: random.Random) -> Values:
    """All symbols of the theorem for steps 1, 2 and 3 on three random losses in an irregular order, by running."""
    rho, epsilon = decay(rng), ratio(rng)
    method = rmsprop(rho, epsilon, epsilon_inside=False)
    losses = [polynomial_loss(rng, degree=3) for _ in range(3)]
    at = random_point(rng, losses[0])
    seen = [losses[i] for i in (0, 2, 1, 1)]
    gradients = [gradient_at(loss, at).evalf(DIGITS) for loss in seen]
    hessians = [hessian_at(loss, at).evalf(DIGITS) for loss in seen]
    found = {r"\rho": rho, r"\varepsilon": epsilon, "h": h, "d": sp.Integer(2)}
    for n in range(4):
        displacements, updates = run_to(method, gradients, hessians, n)
        behind = [x - displacements[-1] for x in displacements]
        for bar, points in (("", behind), (r"\bar ", [updates[-1]] * (n + 1))):
            _, (squares,) = last_step(method, gradients, hessians, points)
            for j, v in enumerate(squares, 1):
                v = v * (1 - rho ** (n + 1))  # last_step divides by the sum of the weights
                found[rf"{bar}P_{j}^{{({n})}}"] = v.coefficients[1] / 2
                found[f"V_{j}^{{({n})}}"] = v.coefficients[0]
        for j in (1, 2):
            found[rf"\partial_{j} E_{n}"] = gradients[n][j - 1]
            found[f"R_{j}^{{({n})}}"] = gradients[n][j - 1] / updates[n][j - 1]
            found |= {rf"\partial_{{{i}{j}}} E_{n}": hessians[n][i - 1, j - 1] for i in (1, 2)}
    f_0, f_1 = by_running(method, gradients, hessians, 3)
    for j in (1, 2):
        found[rf"\dot\theta_{j}"] = f_0[j - 1] + h * f_1[j - 1]
        for name in ("V", "R", "P", r"\bar P"):
            found[f"{name}_{j}"] = found[f"{name}_{j}^{{(3)}}"]
    return found


def first_steps(rng: random.Random) -> Values:
    """The first steps of the library's RMSProp, without bias correction and epsilon, on a linear loss."""
    rho, g = decay(rng), ratio(rng)
    found, theta, state = {r"\rho": rho, "h": h}, sp.Integer(0), None
    for n in range(4):
        found[rf"\theta_1^{{({n})}}"] = theta
        update, state = step_from(rmsprop(rho, sp.Integer(0)), g, state)
        theta = theta - h * update
        found[rf"\theta_1^{{({n}+1)}}"] = theta
    return found


def offset(rng: random.Random) -> Values:
    """a - b on the bilinear model with epsilon = 0, by the engine's piece n."""
    rho, loss = decay(rng), bilinear()
    a, b = ratio(rng, 11, 19, 10), ratio(rng, 21, 29, 10)
    equation = transient_equation(rmsprop(rho, sp.Integer(0), bias_correction=True), loss)
    f_0, f_1 = (f.subs(dict(zip(loss.symbols, (a, b)))) for f in equation.terms(N))
    return {
        **constants(rho),
        r"\dot\delta": (f_0[0] - f_0[1]) + h * (f_1[0] - f_1[1]),
        r"\delta": a - b,
        "a": a,
        "b": b,
        "h": h,
    }


RUN = "RMSProp run for n + 1 steps on polynomials in h, compared with Taylor's formula for the flow"

ENTRIES = (
    Entry(
        "eq-rms-algorithm",
        one_step,
        "the library's RMSProp itself, on exact numbers",
        {"j": (1, 2), "n": (1, 2)},
    ),
    Entry(
        "eq-rms-parabola",
        parabola,
        "the running average of squares along the last steps, exactly in h",
    ),
    Entry(
        "eq-rms-one-norm",
        full_batch,
        "the perturbed one-norm of a random loss's gradient, differentiated",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-rms-line",
        full_batch,
        RUN,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-rms-equation",
        full_batch,
        RUN,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-rms-small-epsilon",
        without_epsilon,
        RUN + ", with epsilon = 0",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-rms-large-epsilon",
        large_epsilon,
        "the limits, as epsilon grows, of the engine's scaled terms on a random loss",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-rms-sign-change",
        sign_change,
        "the root in epsilon of the engine's second term on a parabola",
    ),
    Entry(
        "eq-rms-outside",
        outside,
        RUN + ", with epsilon outside the root",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-rms-theorem-sums",
        as_shipped,
        "the running averages of squares along RMSProp's run and at a point moved by its step, differentiated in h",
        {"j": (1, 2), "n": (1, 3)},
    ),
    Entry(
        "eq-rms-theorem",
        as_shipped,
        RUN + ", with mini-batches, epsilon outside the root and no bias correction",
        {"j": (1, 2), "n": (3,)},
    ),
    Entry(
        "eq-rms-first-steps",
        first_steps,
        "the library's RMSProp without bias correction, run on a linear loss",
        {"n": (0, 1, 3)},
    ),
    Entry(
        "eq-rms-imbalance",
        offset,
        "the engine's piece n on the bilinear model without epsilon",
    ),
)
