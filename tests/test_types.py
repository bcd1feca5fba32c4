"""A type checker sees mistakes in a user's code: the packages are typed, and say so."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bea
import bea_book

GOOD = """\
import bea
import numpy as np

@bea.optimizer
def adabelief(theta, gradient, memory, beta: bea.Decay, rho: bea.Decay, epsilon: bea.NonNegative):
    g = gradient(theta)
    m = memory.average(g, beta)
    s = memory.average((g - m) ** 2, rho)
    return m / np.sqrt(s + epsilon)

optimizer = adabelief(0.5, 0.5, epsilon=0.1)
x: np.ndarray = bea.run(optimizer, bea.bilinear(), (0.9, 1.5), 0.1, steps=3)
y: np.ndarray = bea.run(bea.adam(0.9, 0.99, 1e-8), bea.bilinear(), np.ones((5, 2)), h=0.1, steps=3, every=3)
study = bea.order_study(optimizer, bea.bilinear(), (0.9, 1.5), horizon=0.05, hs=[1e-3, 5e-4], order=2)
slope: float = study.slope
"""
START = "import bea\noptimizer, loss, x = bea.adam(0.9, 0.99, 1e-8), bea.bilinear(), (0.9, 1.5)\n"
# (a line of a user's code, what the checker must say of it)
BAD = {
    "misspelt": ("bea.run(optimizer, loss, x, 0.1, stepz=3)", "stepz"),
    "wrong result": ("y: str = bea.run(optimizer, loss, x, 0.1, steps=3)", "str"),
    "no such name": ("bea.walks(optimizer, loss, x, 0.1)", "walks"),
    "steps of the wrong type": ("bea.run(optimizer, loss, x, 0.1, steps='3')", "steps"),
    "no loss": ("bea.order_study(optimizer, 3, x, horizon=0.1, hs=[0.1], order=1)", "loss"),
    "too few": ("bea.run(optimizer)", "missing"),
    "misspelt hyper-parameter": ("bea.adam(betta=0.9)", "betta"),
}


def complaints(folder):
    """{file: what pyright says of it} for the Python files in a folder."""
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run([*command, folder], cwd=folder, capture_output=True, text=True)
    found = {path.stem: "" for path in folder.glob("*.py")}
    for item in json.loads(done.stdout)["generalDiagnostics"]:
        if item["severity"] == "error":
            found[Path(item["file"]).stem] += item["message"]
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    (folder / "good.py").write_text(GOOD)
    for name, (line, _) in BAD.items():
        (folder / f"{name}.py").write_text(START + line + "\n")
    return complaints(folder)


def test_packages_say_that_they_are_typed():
    for package in (bea, bea_book):
        assert Path(package.__file__).with_name("py.typed").is_file()


def test_right_code_is_accepted(found):
    assert found["good"] == ""


@pytest.mark.parametrize("name", BAD)
def test_wrong_code_is_flagged(found, name):
    assert BAD[name][1] in found[name]
