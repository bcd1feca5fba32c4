r"""Chapter 6, RMSProp: memory in the denominator.

The truth is RMSProp itself, run for n + 1 steps on polynomials of first degree in h (:func:`bea_book.equations.ch07.by_running`, which
holds for any optimizer); the engine, differentiation and sums over weights found from impulses are the other witnesses.
"""

import random
from functools import cache

import numpy as np
import sympy as sp

from bea.averages import Average, lag, square
from bea.losses import Loss, bilinear
from bea.modified import modified_equation, transient_equation
from bea.optimizers import rmsprop
from bea_book.equations.ch07 import DIGITS, by_running, weight
from bea_book.equations.instances import polynomial_loss, random_point, ratio
from bea_book.ledger import Entry, h

N = 2  # the step that stands for n where a formula holds for every n
X = sp.Symbol("x", positive=True)


def decay(rng):
    return ratio(rng, 2, 9, 10)


def constants(rho):
    return {r"\rho": rho, r"\mathrm{lag}_\rho(n)": lag(rho, N), r"C_\rho(n)": 1 + 2 * lag(rho, N)}


def one_step(rng):
    """Step n = 1 and 2 of bea.rmsprop in one coordinate, from random memory and a random gradient."""
    optimizer = rmsprop(decay(rng), ratio(rng))
    mean, squares = optimizer.averages
    found = {**dict(zip((r"\rho", r"\varepsilon"), optimizer.hyperparameters.values())), "h": h}
    for n in (1, 2):
        old, g, theta = ratio(rng), ratio(rng), ratio(rng)
        new = squares.advance(old, squares.of(g))
        step = optimizer.update(mean.advance(0, mean.of(g)), new)
        for j in (1, 2):
            found |= {
                f"v_{j}^{{({n}-1)}}": old,
                f"v_{j}^{{({n})}}": new,
                rf"\partial_{j} E(\theta^{{({n})}})": g,
                rf"\theta_{j}^{{({n})}}": theta,
                rf"\theta_{j}^{{({n}+1)}}": theta - h * step,
            }
    return found


def sign_flow(rng):
    """E along the engine's f_0 without memory and epsilon, at a point of a random loss."""
    loss = polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    g = [x.subs(at) for x in loss.gradient_expressions]
    (f_0,) = modified_equation(rmsprop(sp.Integer(0), sp.Integer(0)), loss, 1).terms
    f_0 = f_0.subs(at)
    return {
        r"\dot E": sum(x * f for x, f in zip(g, f_0)),
        r"\lVert\nabla E\rVert_1": sum(abs(x) for x in g),
        "d": sp.Integer(2),
        **{rf"\partial_{j} E": g[j - 1] for j in (1, 2)},
        **{rf"\dot\theta_{j}": f_0[j - 1] for j in (1, 2)},
    }


def weights_and_lags(rng):
    """Weights from impulses through the running average, the lag as the mean age under them, C from the engine on a parabola."""
    rho = decay(rng)
    average, f_1 = (
        Average(square, rho),
        transient_equation(rmsprop(rho, sp.Integer(0), bias_correction=True), Loss(X**2 / 2, (X,))),
    )
    found = {r"\rho": rho}
    for n in (0, 1, 4):
        weights = [weight(average, impulse) for impulse in np.eye(n + 1, dtype=int).tolist()]
        found |= {f"u_{k}^{{({n})}}": w for k, w in enumerate(weights)}
        found[rf"\mathrm{{lag}}_\rho({n})"] = sum(
            ((n - k) * w for k, w in enumerate(weights)), sp.Integer(0)
        )
        # for epsilon = 0 the bracket is 1 - C, and on the parabola f_1 = -(1 - C)/(2x)
        found[rf"C_\rho({n})"] = sp.simplify(1 + 2 * X * f_1.terms(n)[1][0])
    return found


def parabola(rng):
    """The average of squares along x + (n - k) h, the places of a walk at unit speed, on E = x^2/2."""
    rho, x = decay(rng), ratio(rng)
    v = weight(Average(square, rho), [(x + (N - k) * h) ** 2 for k in range(N + 1)])
    return {**constants(rho), "x": x, "h": h, r"\hat v": v}


def full_batch(n=N):
    """One random loss: its RMSProp from the start, by running for n + 1 steps, or in steady state (n is None) by the engine."""

    @cache
    def atoms(seed):
        rng = random.Random(seed)
        optimizer = rmsprop(decay(rng), ratio(rng, 1, 9, 10), bias_correction=True)
        rho, epsilon = optimizer.hyperparameters.values()
        loss = polynomial_loss(rng, degree=3)
        at = random_point(rng, loss)
        g, hessian = (
            sp.Matrix(loss.gradient_expressions),
            loss.hessian_expressions.subs(at).evalf(DIGITS),
        )
        norm = sum(sp.sqrt(x**2 + epsilon) for x in g)
        here = g.subs(at).evalf(DIGITS)
        found = {**constants(rho), r"\varepsilon": epsilon, "h": h, "d": sp.Integer(2)}
        if n is None:
            f_0, f_1 = (
                term.subs(at).evalf(DIGITS) for term in modified_equation(optimizer, loss, 2).terms
            )
        else:
            f_0, f_1 = by_running(optimizer, [here] * (n + 1), [hessian] * (n + 1), n)
        back = sp.Matrix([x / sp.sqrt(x**2 + epsilon) for x in here])
        past = [
            g.subs(
                {x: x + (N - k) * h * back[i] for i, x in enumerate(loss.symbols)},
                simultaneous=True,
            ).subs(at)
            for k in range(N + 1)
        ]
        jacobian = (
            sp.Matrix([-x / sp.sqrt(x**2 + epsilon) for x in g])
            .jacobian(loss.symbols)
            .subs(at)
            .evalf(DIGITS)
        )
        for j in (1, 2):
            found[rf"\partial_{j} E"] = here[j - 1]
            found[f"R_{j}"] = sp.sqrt(here[j - 1] ** 2 + epsilon)
            found[rf"\partial_{j}\lVert\nabla E\rVert_{{1,\varepsilon}}"] = (
                sp.diff(norm, loss.symbols[j - 1]).subs(at).evalf(DIGITS)
            )
            found |= {rf"\partial_{{{i}{j}}} E": hessian[i - 1, j - 1] for i in (1, 2)}
            found[rf"\dot\theta_{j}"] = f_0[j - 1] + h * f_1[j - 1]
            found[rf"\mathrm{{bias}}_{j}"] = -h * f_1[j - 1] * found[f"R_{j}"]
            # a polynomial in h; what is said of it is said up to O(h^2)
            seen = sp.expand(weight(Average(square, rho), [x[j - 1] ** 2 for x in past]))
            found[rf"\hat v_{j}"] = sum(seen.coeff(h, k).evalf(DIGITS) * h**k for k in range(3))
            found[rf"(f_0'f_0)_{j}"] = (jacobian * f_0)[j - 1]
        return found

    return lambda rng: atoms(rng.randrange(4))


def without_epsilon(rng):
    """RMSProp with epsilon = 0 on a random loss by running, and the one-norm of its gradient, differentiated."""
    rho, loss = decay(rng), polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    g, hessian = (
        sp.Matrix(loss.gradient_expressions),
        loss.hessian_expressions.subs(at).evalf(DIGITS),
    )
    here = g.subs(at).evalf(DIGITS)
    f_0, f_1 = by_running(
        rmsprop(rho, sp.Integer(0), bias_correction=True), [here] * (N + 1), [hessian] * (N + 1), N
    )
    norm = sum(sp.sign(x) * y for x, y in zip(here, g))
    found = {**constants(rho), "h": h}
    for j, x in enumerate(loss.symbols, 1):
        found |= {
            rf"\partial_{j} E": here[j - 1],
            rf"\dot\theta_{j}": f_0[j - 1] + h * f_1[j - 1],
            rf"\partial_{j}\lVert\nabla E\rVert_1": sp.diff(norm, x).subs(at).evalf(DIGITS),
        }
    return found


def large_epsilon(rng):
    """The engine's terms on a random loss as epsilon grows: sqrt(epsilon) f_0 and epsilon f_1 have limits."""
    rho, epsilon, s = decay(rng), ratio(rng), sp.Symbol("s", positive=True)
    loss = polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    g = sp.Matrix(loss.gradient_expressions)
    f_0, f_1 = (term.subs(at) for term in modified_equation(rmsprop(rho, 1 / s**2), loss, 2).terms)
    found = {"h": h, r"\varepsilon": epsilon}
    for j, x in enumerate(loss.symbols, 1):
        first, second = sp.limit(f_0[j - 1] / s, s, 0), sp.limit(f_1[j - 1] / s**2, s, 0)
        found |= {
            rf"\partial_{j}\tilde E": -first - h / sp.sqrt(epsilon) * second,
            rf"\partial_{j} E": g[j - 1].subs(at),
            rf"\partial_{j}\lVert\nabla E\rVert^2": sp.diff(g.dot(g), x).subs(at),
        }
    return found


def sign_change(rng):
    """The epsilon at which the engine's f_1 vanishes, on a parabola, with the gradient g > 0 there."""
    rho, epsilon, g = ratio(rng, 5, 9, 10), sp.Symbol("epsilon", positive=True), ratio(rng, 8, 13)
    f_1 = modified_equation(rmsprop(rho, epsilon), Loss(X**2 / 2, (X,)), 2).terms[1][0].subs(X, g)
    (root,) = sp.solve(sp.numer(sp.together(f_1)), epsilon)
    return {r"\varepsilon": root, r"\partial_j E": g, r"C_\rho": 1 + 2 * lag(rho)}


def outside(rng):
    """RMSProp with epsilon outside on a random loss, by running, where both partial derivatives are positive or negative."""
    rho, epsilon, loss = decay(rng), ratio(rng), polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    hessian = loss.hessian_expressions.subs(at).evalf(DIGITS)
    g = sp.Matrix(loss.gradient_expressions)
    here = g.subs(at).evalf(DIGITS)
    optimizer = rmsprop(rho, epsilon, epsilon_inside=False, bias_correction=True)
    f_0, f_1 = by_running(optimizer, [here] * (N + 1), [hessian] * (N + 1), N)
    sizes = [sp.sign(x) * y for x, y in zip(here, g)]
    potential = sum(x - epsilon * sp.log(x + epsilon) for x in sizes)
    found = {
        **constants(rho),
        r"\varepsilon": epsilon,
        "h": h,
        "N": potential.subs(at).evalf(DIGITS),
        "d": sp.Integer(2),
    }
    for j, x in enumerate(loss.symbols, 1):
        found |= {
            rf"\partial_{j} E": here[j - 1],
            rf"\dot\theta_{j}": f_0[j - 1] + h * f_1[j - 1],
            f"R_{j}": abs(here[j - 1]) + epsilon,
            rf"\partial_{j} N": sp.diff(potential, x).subs(at).evalf(DIGITS),
        }
    return found


def first_steps(rng):
    """The first steps of bea.rmsprop without bias correction and epsilon on a linear loss, by its running average."""
    rho, g = decay(rng), ratio(rng)
    optimizer = rmsprop(rho, sp.Integer(0))
    found, theta, v = {r"\rho": rho, "h": h}, sp.Integer(0), 0
    for n in range(4):
        v = optimizer.averages[1].advance(v, optimizer.averages[1].of(g))
        found |= {
            rf"\theta_1^{{({n})}}": theta,
            rf"\theta_1^{{({n}+1)}}": (theta := theta - h * optimizer.update(g, v)),
        }
    return found


def imbalance(rng):
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
ALONG = "the running average of a random loss's squared gradient along the line theta + (n - k) h g/R, exactly in h"

ENTRIES = (
    Entry(
        "eq-rms-algorithm",
        one_step,
        "bea.rmsprop itself, on exact numbers",
        {"j": (1, 2), "n": (1, 2)},
    ),
    Entry(
        "eq-rms-sign-rate",
        sign_flow,
        "the engine's leading term without memory and epsilon, times the gradient",
    ),
    Entry(
        "eq-rms-lag",
        weights_and_lags,
        "weights from impulses through the running average, summed",
        {"n": (0, 1, 4)},
    ),
    Entry(
        "eq-rms-weights",
        weights_and_lags,
        "impulses through the running average",
        {"n": (4,), "k": (0, 1, 4)},
    ),
    Entry(
        "eq-rms-parabola",
        parabola,
        "the running average of squares along the last steps, exactly in h",
    ),
    Entry(
        "eq-rms-mirror",
        full_batch(),
        ALONG,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-rms-one-norm",
        full_batch(),
        "the perturbed one-norm of a random loss's gradient, differentiated",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-rms-expanded",
        full_batch(),
        ALONG,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-rms-half-step",
        full_batch(),
        "the Jacobian of f_0 of a random loss, times f_0",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-rms-equation",
        full_batch(),
        RUN,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-rms-constant",
        weights_and_lags,
        "the engine's piece n of bias-corrected RMSProp without epsilon on a parabola",
        {"n": (0, 1, 4)},
    ),
    Entry(
        "eq-rms-stationary",
        full_batch(None),
        "the engine's steady-state terms on a random loss",
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
        "eq-rms-first-steps",
        first_steps,
        "bea.rmsprop without bias correction, run on a linear loss",
        {"n": (0, 1, 3)},
    ),
    Entry(
        "eq-rms-imbalance",
        imbalance,
        "the engine's piece n on the bilinear model without epsilon",
    ),
)
