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
    known = agree("our flow and the exponential, on a quadratic,", exact, bea.flow(quadratic, (1.0, 1.0), H, STEPS), 1e-10)
    reference, few = ours(), {m: abs(euler(m) - ours()).max() for m in (2, 20)}
    assert 8 < few[2] / few[20] < 12, few  # Euler's method has order 1, and it is our flow that it converges to
    tasks, notes = {"bea": ours}, []
    for m in (2, 20):
        name = f"Euler, {m} small steps in each"
        tasks[name] = partial(euler, m)
        notes.append(f"{name}: error {abs(euler(m) - reference).max():.0e}")
    seconds = rounds_of(tasks, rounds)
    slow = f"Euler, {200} small steps in each"
    tasks = {"bea": ours, slow: partial(euler, 200, STEPS // 10)}
    tenth = rounds_of(tasks, 2)
    seconds[slow] = [10 * s for s in tenth[slow]]
    notes.append(f"{slow}: error {abs(euler(200, STEPS // 10) - reference[: STEPS // 10 + 1]).max():.0e} in the first tenth, whose time is taken tenfold")
    return [compared(f"The flow of Adam's modified equation, two terms, over {STEPS} steps of {H}", "bea", seconds,
                     agreement=f"{known}; Euler's error falls by {few[2] / few[20]:.1f} if its steps are ten times smaller",
                     targets=[(slow, "at least", 10)], note="; ".join(notes) + ".")], {}  # fmt: skip
