"""What the tests of sweeps evaluate; a module of its own, so that worker processes load little."""

import os
import signal
import sys
import time

import numpy as np

import bea
from bea_book import Network, sweep

RATE = 1  # read by `scaled`


def measured_run(beta, h, rng):
    """A run of a network from a random start: its losses, its last gradient's norm, its steps."""
    network = Network((3, 4, 2))
    loss = network.loss(rng.normal(size=(6, 3)), rng.integers(2, size=6))
    path = bea.run(bea.adam(beta, 0.9, 1e-4), loss, network.start(rng), h, 5)
    return {
        "loss": ("step", loss.value(path)),
        "norm": np.abs(loss.gradient(path[-1])).sum(),
        "steps": 5,
    }


def scaled(a, t=1):
    return RATE * t * a


def noted(a, rng, log, pause=0.0):
    """Write down that it begins, wait, and return a random number."""
    with open(log, "a") as file:  # one short write: lines of several processes do not mix
        file.write(f"{a}\n")
    time.sleep(pause)
    return a + rng.normal()


def failing(a, rng=None):
    time.sleep(0.01)
    if a == 3:
        raise ArithmeticError("three is too many")
    return a


def deadly(a, flag=""):
    """Kill its process at a = 5, always, or only if a file is not there yet."""
    time.sleep(0.05)
    if a == 5 and not (flag and os.path.exists(flag)):
        if flag:
            open(flag, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return a


def diverging(h):
    """Leave the finite numbers at the second step."""
    return bea.run(bea.gradient_descent(), bea.quadratic([1]), (1.0,), h, 5)


def large(a):
    return np.full(20_000, a, dtype=float)


def main(folder, log, count, pause, limit):
    """A program that is killed, interrupted, or finds the disk full."""
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        sweep(large, {"a": range(count)}, folder=folder)
    else:
        task = __import__("functools").partial(noted, log=log, pause=pause)
        sweep(task, {"a": range(count)}, repeats=1, folder=folder)


if __name__ == "__main__":
    import sweep_tasks  # so that the function has the name that it has in the tests

    sweep_tasks.main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
