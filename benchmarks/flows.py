"""Flows: the reference flow (DOP853 at 1e-12) against explicit Euler with many small steps, as experiments often take it."""

from functools import partial

import numpy as np

import bea
from measure import agree, compared, rounds_of

START, H, STEPS = (0.9, 1.5), 1e-2, 100
EQUATION = bea.modified_equation(bea.adam(0.9, 0.95, 1e-2), bea.bilinear(), order=2)


def ours():
    return bea.flow(EQUATION, START, H, STEPS)


def euler(per_step, steps=STEPS):
    """``per_step`` steps of Euler's method for each step of the optimizer."""
    field, theta, path = EQUATION.field(H), np.array(START), [np.array(START)]
    for _ in range(steps):
        for _ in range(per_step):
            theta = theta + H / per_step * field(theta)
        path.append(theta)
    return np.array(path)


def measure(rounds):
    exact = np.exp(-np.outer(np.arange(STEPS + 1) * H, [1.0, 9.0]))
    quadratic = bea.modified_equation(bea.gradient_descent(), bea.quadratic([1, 9]), order=1)
    known = agree(
        "our flow and the exponential, on a quadratic,",
        exact,
        bea.flow(quadratic, (1.0, 1.0), H, STEPS),
        1e-10,
    )
    reference = ours()
    errors = {m: abs(euler(m, STEPS // 20) - reference[: STEPS // 20 + 1]).max() for m in (2, 20, 200)}
    falls = errors[20] / errors[200]
    assert 9 < falls < 11, errors  # Euler's method has order 1, and it is our flow that it converges to
    names = {m: f"Euler, {m} small steps in each" for m in errors}
    seconds = rounds_of({"bea": ours, names[2]: partial(euler, 2), names[20]: partial(euler, 20)}, rounds)
    seconds[names[200]] = [20 * s for s in rounds_of({"part": partial(euler, 200, STEPS // 20)}, 2)["part"]]
    listed = ", ".join(f"{error:.0e} with {m}" for m, error in errors.items())
    return [compared(f"The flow of Adam's modified equation, two terms, over {STEPS} steps of {H}", "bea", seconds,
                     agreement=f"{known}; Euler's error falls by {falls:.1f} if its steps are ten times smaller",
                     targets=[(names[200], "at least", 10)],
                     note=f"Errors of Euler's method over the first {STEPS // 20} steps, for so many small steps in each: {listed}; "
                     f"ours has a relative tolerance of 1e-12.  The time for 200 is that of these {STEPS // 20} steps, twentyfold.")], {}  # fmt: skip
