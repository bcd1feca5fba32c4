"""What the tests of sweeps measure; a module of its own, so that worker processes load nothing else."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np

import bea
import bea_book


def measured_run(beta, h, rng):
    """A run from a random start, on a network: its path of losses, its last gradient's norm, its steps."""
    network = bea_book.Network((3, 4, 2))
    loss = network.loss(rng.normal(size=(6, 3)), rng.integers(2, size=6))
    path = bea.run(bea.adam(beta, 0.9, 1e-4), loss, network.start(rng), h, 5)
    return {
        "loss": ("step", loss.value(path)),
        "norm": np.abs(loss.gradient(path[-1])).sum(),
        "steps": 5,
    }


def log(path, text):
    with open(path, "a") as file:  # one short write: lines of several processes do not mix
        file.write(text + "\n")


def noted(a, rng, logfile, pause=0.0):
    """Says that it begins, takes its time, and gives a random number."""
    log(logfile, str(a))
    time.sleep(pause)
    return a + rng.normal()


def deadly(a, rng, logfile, folder):
    """As `noted`, but the first to come to a = 5 waits until four results are kept, says what is, and kills its process."""
    flag = Path(logfile + ".killed")
    if a == 5 and not flag.exists():
        log(logfile, str(a))
        flag.touch()
        while len(kept := [int(p.stem) for p in Path(folder).glob("*.npz")]) < 4:
            time.sleep(0.01)
        begun = len(Path(logfile).read_text().split())
        flag.write_text(json.dumps({"kept": kept, "begun": begun}))
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    return noted(a, rng, logfile, pause=0.05)


def diverging(h):
    """Leaves the finite numbers at its second step."""
    return bea.run(bea.gradient_descent(), bea.quadratic([1]), (1.0,), h, 5)
