r"""Chapter 7, Adam: the theorem.

The truth of the chapter is :func:`by_running`: the optimizer itself, run for n + 1 steps on polynomials of first degree in h,
with no weights, no lags and no displacements written down anywhere.  The engine (bea.modified) is the other witness.
"""

import random
from dataclasses import replace
from functools import cache

import numpy as np
import sympy as sp

from bea.averages import Average, identity, lag
from bea.losses import Loss, bilinear
from bea.modified import modified_equation, transient_equation
from bea.optimizers import adam, heavy_ball
from bea_book.equations.instances import polynomial_loss, random_point, ratio
from bea_book.ledger import Entry, h

DIGITS = 200
T = sp.Symbol("t")

# --- the algorithm on polynomials in h ---------------------------------------------------------------------------------


def decays(rng):
    """Two random decays that differ."""
    return ratio(rng, 2, 9, 10), ratio(rng, 2, 10, 11)


def experiment(rng, inside=True, batches=(0, 2, 1, 1, 2)):
    """Adam with random exact hyper-parameters, three random polynomial losses in two coordinates, an irregular order, a point."""
    optimizer = adam(*decays(rng), ratio(rng, 1, 9, 10), epsilon_inside=inside)
    losses = [polynomial_loss(rng, degree=3) for _ in range(3)]
    at = random_point(rng, losses[0])
    gradients = [sp.Matrix(loss.gradient_expressions).subs(at).evalf(DIGITS) for loss in losses]
    hessians = [loss.hessian_expressions.subs(at).evalf(DIGITS) for loss in losses]
    return optimizer, [gradients[i] for i in batches], [hessians[i] for i in batches]


def averages_seen(optimizer, gradients, hessians, displacements):
    """The bias-corrected averages after the last step, to first order in h, if step k saw the point theta + h displacements[k]."""
    memory = [[0, 0] for _ in optimizer.averages]
    for g, hessian, displacement in zip(gradients, hessians, displacements):
        seen = g + h * hessian * displacement
        memory = [
            [average.advance(memory[a][j], average.of(seen[j])) for j in range(2)]
            for a, average in enumerate(optimizer.averages)
        ]
    n = len(displacements) - 1
    return [
        [first_order(m / average.correction(n)) for m in memory[a]]
        for a, average in enumerate(optimizer.averages)
    ]


def first_order(expression):
    """The coefficients of 1 and h."""
    return sp.sympify(expression).subs(h, 0).evalf(DIGITS), sp.diff(expression, h).subs(h, 0).evalf(
        DIGITS
    )


def step(optimizer, seen):
    """The step U and its derivative in h, as two column vectors, from averages known to first order."""
    moved = [
        optimizer.update(*(m[0] + h * m[1] for m in of_coordinate)) for of_coordinate in zip(*seen)
    ]
    return tuple(sp.Matrix([first_order(u)[order] for u in moved]) for order in (0, 1))


def run_to(optimizer, gradients, hessians, n):
    """Displacements of the points of steps 0..n from that of step 0, in units of h at leading order, and the steps U^(0..n)."""
    displacements, steps = [sp.zeros(2, 1)], []
    for _ in range(n + 1):
        steps.append(
            step(optimizer, averages_seen(optimizer, gradients, hessians, displacements))[0]
        )
        displacements.append(displacements[-1] - steps[-1])
    return displacements[:-1], steps


def by_running(optimizer, gradients, hessians, n):
    r"""f_0 and f_1 of the flow on [t_n, t_{n+1}], because that flow moves as the optimizer does in its step n.

    The iterates are theta^(k) = theta + h a_k + h^2 c_k.  The flow's Taylor series gives
    c_{n+1} - c_n = f_0' a_n + f_1 + f_0' f_0 / 2, and the run gives c_{n+1} - c_n and, from all displacements alike, f_0' v.
    """
    displacements, steps = run_to(optimizer, gradients, hessians, n)

    def second_order(points):
        return -step(optimizer, averages_seen(optimizer, gradients, hessians, points))[1]

    f_0 = -steps[-1]
    return f_0, second_order(displacements) - second_order(
        [displacements[-1]] * (n + 1)
    ) - second_order([f_0] * (n + 1)) / 2


def parts(optimizer, gradients, hessians, n):
    """M, R (or V), L, P and their barred partners at step n, as derivatives in h of the running averages."""
    displacements, steps = run_to(optimizer, gradients, hessians, n)
    behind = [x - displacements[-1] for x in displacements]
    found = {}
    for bar, points in (("", behind), (r"\bar ", [steps[-1]] * (n + 1))):
        mean, squares = averages_seen(optimizer, gradients, hessians, points)
        for j in (1, 2):
            found |= {
                rf"{bar}L_{j}^{{({n})}}": mean[j - 1][1],
                rf"{bar}P_{j}^{{({n})}}": squares[j - 1][1] / 2,
            }
            found |= {f"M_{j}^{{({n})}}": mean[j - 1][0], f"V_{j}^{{({n})}}": squares[j - 1][0]}
    return found


def theorem(inside):
    """All atoms of the theorem for n = 0..3 of one of a few experiments; without a superscript they belong to n = 3."""
    return lambda rng: theorem_atoms(inside, rng.randrange(4))


@cache
def theorem_atoms(inside, seed):
    optimizer, gradients, hessians = experiment(random.Random(seed), inside)
    beta, rho, epsilon = optimizer.hyperparameters.values()
    found = {r"\beta": beta, r"\rho": rho, r"\varepsilon": epsilon, "d": sp.Integer(2), "h": h}
    for n in range(4):
        found |= parts(optimizer, gradients, hessians, n)
        for j in (1, 2):
            v = found[f"V_{j}^{{({n})}}"]
            found[f"R_{j}^{{({n})}}"] = (
                sp.sqrt(v + epsilon) if inside else sp.sqrt(v) + epsilon
            ).evalf(DIGITS)
            found[rf"\partial_{j} E_{n}"] = gradients[n][j - 1]
            found |= {rf"\partial_{{{i}{j}}} E_{n}": hessians[n][i - 1, j - 1] for i in (1, 2)}
        for k, impulse in enumerate(np.eye(n + 1, dtype=int).tolist()):
            found |= {
                f"{letter}_{k}^{{({n})}}": weight(average, impulse)
                for letter, average in zip("wu", optimizer.averages)
            }
    f_0, f_1 = by_running(optimizer, gradients, hessians, 3)
    for j in (1, 2):
        found[rf"\dot\theta_{j}"] = f_0[j - 1] + h * f_1[j - 1]
        found |= {
            f"{name}_{j}": found[f"{name}_{j}^{{(3)}}"]
            for name in ("M", "V", "R", "L", "P", r"\bar L", r"\bar P")
        }
    return found


def weight(average, values):
    """The bias-corrected running average of a sequence: of an impulse, the weight of its place."""
    memory = 0
    for value in values:
        memory = average.advance(memory, value)
    return memory / average.correction(len(values) - 1)


# --- one loss ------------------------------------------------------------------------------------------------------------


def one_step(rng):
    """Step n = 1 and 2 of bea.adam in one coordinate, from random memory and a random gradient."""
    optimizer = adam(*decays(rng), ratio(rng))
    found = dict(zip((r"\beta", r"\rho", r"\varepsilon"), optimizer.hyperparameters.values()))
    for n in (1, 2):
        old, g, theta = [ratio(rng), ratio(rng)], ratio(rng), ratio(rng)
        new = [average.advance(m, average.of(g)) for average, m in zip(optimizer.averages, old)]
        seen = [m / average.correction(n) for average, m in zip(optimizer.averages, new)]
        for j in (1, 2):
            found |= {
                f"m_{j}^{{({n}-1)}}": old[0],
                f"v_{j}^{{({n}-1)}}": old[1],
                f"m_{j}^{{({n})}}": new[0],
                f"v_{j}^{{({n})}}": new[1],
                rf"\hat m_{j}^{{({n})}}": seen[0],
                rf"\hat v_{j}^{{({n})}}": seen[1],
                rf"\partial_{j} E_{n}(\theta^{{({n})}})": g,
                rf"\theta_{j}^{{({n})}}": theta,
                rf"\theta_{j}^{{({n}+1)}}": theta - h * optimizer.update(*seen),
                "h": h,
            }
    return found


def weights_and_lags(rng):
    """Weights from impulses through the running average, the lag as the mean age under them, C from the engine."""
    beta, rho = decays(rng)
    average, x = Average(identity, beta), sp.Symbol("x")
    momentum = transient_equation(
        replace(heavy_ball(beta, damped=True), bias_correction=True), Loss(x**2 / 2, (x,))
    )
    found = {r"\beta": beta, r"\rho": rho}
    values = [ratio(rng) for _ in range(5)]
    for n in (0, 1, 4):
        weights = [weight(average, impulse) for impulse in np.eye(n + 1, dtype=int).tolist()]
        found |= {f"w_{k}^{{({n})}}": w for k, w in enumerate(weights)} | {
            f"g^{{({k})}}": g for k, g in enumerate(values)
        }
        found[rf"\hat m^{{({n})}}"] = weight(average, values[: n + 1])
        found[rf"C_\beta({n})"] = -2 * momentum.terms(n)[1][0] / x
        found[rf"\mathrm{{lag}}_\beta({n})"] = sum(
            ((n - k) * w for k, w in enumerate(weights)), sp.Integer(0)
        )
    return found


def mirror(rng):
    """The average of a random cubic in t, by its sum."""
    beta, n = ratio(rng, 2, 9, 10), 3
    g = sum(ratio(rng) * T**i for i in range(4))
    seen = sum(
        weight(Average(identity, beta), row) * g.subs(T, 1 - (n - k) * h)
        for k, row in enumerate(np.eye(n + 1, dtype=int).tolist())
    )
    return {
        r"\hat m(t_n)": sp.expand(seen),
        "g(t_n)": g.subs(T, 1),
        r"\dot g(t_n)": sp.diff(g, T).subs(T, 1),
        "h": h,
        r"\mathrm{lag}_\beta(n)": lag(beta, n),
    }


def resolvent(rng):
    """The average of g = c exp(t) over an infinite past, at t = 0."""
    beta, g = ratio(rng, 2, 9, 10), ratio(rng)
    return {
        r"\beta": beta,
        "e^{-hD}": sp.exp(-h),
        "g": g,
        r"\dot g": g,
        r"\ddot g": g,
        "h": h,
    }


def full_batch(n=None):
    """One random loss: its Adam from the start, by running for n + 1 steps, or in steady state (n is None) by the engine."""

    @cache
    def atoms(seed):
        rng = random.Random(seed)
        optimizer = adam(*decays(rng), ratio(rng, 1, 9, 10))
        loss = polynomial_loss(rng, degree=3)
        at = random_point(rng, loss)
        beta, rho, epsilon = optimizer.hyperparameters.values()
        g, hessian = (
            sp.Matrix(loss.gradient_expressions),
            loss.hessian_expressions.subs(at).evalf(DIGITS),
        )
        norm = sum(sp.sqrt(x**2 + epsilon) for x in g)
        g_here = g.subs(at).evalf(DIGITS)
        found = {r"\beta": beta, r"\rho": rho, r"\varepsilon": epsilon, "h": h, "d": sp.Integer(2)}
        if n is None:
            f_0, f_1 = (
                term.subs(at).evalf(DIGITS) for term in modified_equation(optimizer, loss, 2).terms
            )
        else:
            f_0, f_1 = by_running(optimizer, [g_here] * (n + 1), [hessian] * (n + 1), n)
            back = sp.Matrix([x / sp.sqrt(x**2 + epsilon) for x in g_here])
            past = [
                g.subs(
                    {x: x + (n - k) * h * back[i] for i, x in enumerate(loss.symbols)},
                    simultaneous=True,
                ).subs(at)
                for k in range(n + 1)
            ]
            jacobian = (
                sp.Matrix([-x / sp.sqrt(x**2 + epsilon) for x in g])
                .jacobian(loss.symbols)
                .subs(at)
                .evalf(DIGITS)
            )
            for name, decay in ((r"\beta", beta), (r"\rho", rho)):
                found |= {
                    rf"\mathrm{{lag}}_{name}(n)": lag(decay, n),
                    rf"C_{name}(n)": 1 + 2 * lag(decay, n),
                }
        for j in (1, 2):
            found[rf"\partial_{j} E"] = g_here[j - 1]
            found[f"R_{j}"] = sp.sqrt(g_here[j - 1] ** 2 + epsilon)
            found[rf"\partial_{j}\lVert\nabla E\rVert_{{1,\varepsilon}}"] = (
                sp.diff(norm, loss.symbols[j - 1]).subs(at).evalf(DIGITS)
            )
            found |= {rf"\partial_{{{i}{j}}} E": hessian[i - 1, j - 1] for i in (1, 2)}
            found[rf"\dot\theta_{j}"] = f_0[j - 1] + h * f_1[j - 1]
            found[rf"\mathrm{{bias}}_{j}"] = -h * f_1[j - 1] * found[f"R_{j}"]
            if n is not None:
                for name, average in zip(("m", "v"), optimizer.averages):
                    found[rf"\hat {name}_{j}"] = sp.expand(
                        weight(average, [average.of(x[j - 1]) for x in past])
                    )
                found[rf"(f_0'f_0)_{j}"] = (jacobian * f_0)[j - 1]
        return found

    return lambda rng: atoms(rng.randrange(4))


def sign_change(rng):
    """The epsilon at which the engine's f_1 vanishes, on a parabola, with the gradient g > 0 there."""
    beta, x = ratio(rng, 1, 4, 10), sp.Symbol("x", positive=True)
    rho, epsilon, g = ratio(rng, 5, 9, 10), sp.Symbol("epsilon", positive=True), ratio(rng, 8, 13)
    f_1 = (
        modified_equation(adam(beta, rho, epsilon), Loss(x**2 / 2, (x,)), 2).terms[1][0].subs(x, g)
    )
    (root,) = sp.solve(sp.numer(sp.together(f_1)), epsilon)
    return {
        r"\varepsilon": root,
        r"\partial_j E": g,
        r"C_\beta": 1 + 2 * lag(beta),
        r"C_\rho": 1 + 2 * lag(rho),
    }


def imbalance(rng):
    """a - b on the bilinear model with epsilon = 0, by the engine's piece n = 3."""
    (beta, rho), n = decays(rng), 3
    a, b = ratio(rng, 11, 19, 10), ratio(rng, 21, 29, 10)
    loss = bilinear()
    f_0, f_1 = (
        f.subs(dict(zip(loss.symbols, (a, b))))
        for f in transient_equation(adam(beta, rho, sp.Integer(0)), loss).terms(n)
    )
    return {
        r"\dot\delta": (f_0[0] - f_0[1]) + h * (f_1[0] - f_1[1]),
        r"\delta": a - b,
        "a": a,
        "b": b,
        "h": h,
        r"C_\beta(n)": 1 + 2 * lag(beta, n),
        r"C_\rho(n)": 1 + 2 * lag(rho, n),
    }


ALONG = "the running averages of a random loss's gradient along the line theta + (n - k) h g/R, exactly in h"
RUN = "Adam run for n + 1 steps on polynomials in h, compared with Taylor's formula for the flow"
from_start = full_batch(n=2)

ENTRIES = (
    Entry(
        "eq-adam-algorithm",
        one_step,
        "bea.adam itself, on exact numbers",
        {"j": (1, 2), "n": (1, 2)},
    ),
    Entry(
        "eq-adam-weights",
        weights_and_lags,
        "the running average of random values, and of impulses",
        {"n": (0, 1, 4)},
    ),
    Entry(
        "eq-adam-lag",
        weights_and_lags,
        "weights from impulses through the running average, summed",
        {"n": (0, 1, 4)},
    ),
    Entry(
        "eq-adam-mirror",
        mirror,
        "the running average of a random cubic in t",
    ),
    Entry(
        "eq-adam-resolvent",
        resolvent,
        "the exponential g = exp(t), on which D is 1",
    ),
    Entry(
        "eq-adam-mirrors",
        from_start,
        ALONG,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-one-norm",
        from_start,
        "the one-norm of a random loss's gradient, differentiated",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-expanded",
        from_start,
        ALONG,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-half-step",
        from_start,
        "the Jacobian of f_0 of a random loss, times f_0",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-constants",
        weights_and_lags,
        "the engine's piece n of a bias-corrected mean gradient on a parabola",
        {"n": (0, 1, 4)},
    ),
    Entry(
        "eq-adam-full-batch",
        from_start,
        RUN,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-stationary",
        full_batch(),
        "the engine's steady-state terms on a random loss",
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-sign-change",
        sign_change,
        "the root in epsilon of the engine's second term on a parabola",
    ),
    Entry(
        "eq-adam-theorem-averages",
        theorem(True),
        "Adam's running averages at one point",
        {"j": (1, 2), "n": (0, 1, 3)},
    ),
    Entry(
        "eq-adam-theorem-memory",
        theorem(True),
        "the running averages along Adam's run, differentiated in h (half of it for the squares)",
        {"j": (1, 2), "n": (1, 3)},
    ),
    Entry(
        "eq-adam-theorem-bars",
        theorem(True),
        "the running averages at a point moved by the step, differentiated in h (half of it for the squares)",
        {"j": (1, 2), "n": (1, 3)},
    ),
    Entry(
        "eq-adam-theorem",
        theorem(True),
        RUN,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-theorem-outside",
        theorem(False),
        RUN,
        {"j": (1, 2)},
    ),
    Entry(
        "eq-adam-imbalance",
        imbalance,
        "the engine's piece n on the bilinear model without epsilon",
    ),
)
