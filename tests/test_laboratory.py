"""The laboratory reads what is typed as Python does, and computes what `bea` computes."""

import functools
import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from test_live import LOSSES, OPTIMIZERS, worst

import bea
from bea_book import atlas, live
from bea_book.live import laboratory

HERE = Path(__file__).parent
EXACT = 1e-12
KEYS = ("path", "fields", "kept", "memory")
READ = {**OPTIMIZERS, **laboratory.OPTIMIZERS}
PLACES = {"bilinear": (0.9, 1.5), "functions": (0.4, 0.9)}
TEXTS = {  # the losses of test_live, typed
    "quadratic": "x**2 + x*y + 5*y**2/2",
    "bilinear": "(3/2 - 2*x*y)**2/2",
    "rosenbrock": "(1 - x)**2 + 100*(y - x**2)**2",
    "functions": "log(1 + exp(x - y)) + cos(x*y) + sqrt(1 + x**2)*tanh(y) + abs(y)**3 + x**2",
}


def ask(requests):
    """Answer all requests in one run of Node."""
    node = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    assert node, "Node.js is needed, which `make test` installs"
    given = json.dumps({"text": laboratory.worker(), "requests": requests}, allow_nan=False)
    found = subprocess.run([node, HERE / "laboratory.mjs"], input=given, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def far(found, wanted, norm=None):
    """How far two answers are apart, compared with the largest entries; texts must be equal."""
    if isinstance(found, str) or isinstance(wanted, str):
        return 0 if found == wanted else np.inf
    if not len(found) and not len(wanted):
        return 0
    return worst(type("Case", (), {"norm": norm}), found, wanted)


# --- the little language against Python --------------------------------------------------------------


@functools.cache
def compared():
    requests = [
        {
            "call": "compare",
            "trace": live.program_data(optimizer, 2),
            "text": inspect.getsource(optimizer.program.__wrapped__),
            "given": dict(optimizer.hyperparameters),
            "loss": live.loss_data(LOSSES[loss], value=False),
            "theta": point,
            "h": 0.002,
            "steps": 60,
        }
        for optimizer in READ.values()
        for loss, point in PLACES.items()
    ]
    return dict(zip([(name, loss) for name in READ for loss in PLACES], ask(requests)))


@pytest.mark.parametrize("name", READ)
def test_source_is_read_as_python_reads_it(name):
    for loss in PLACES:
        answer = compared()[name, loss]
        assert "error" not in answer, answer
        of_python, of_page = answer
        # a sharp sign has no expansion in what makes it smooth: round-off of its derivatives is amplified
        bound = 1e-10 if name.startswith(("Signum", "Lion", "signum", "lion")) else EXACT
        assert {
            key: far(of_page[key], of_python[key], 1 if key == "fields" else None) <= bound for key in KEYS
        } == dict.fromkeys(KEYS, True)


def test_what_is_not_read_is_named():
    covered = {optimizer.name for optimizer in READ.values()}
    of_matrices = {"newton_schulz", "polar", "inverse_fourth_root"}  # functions, no optimizers
    assert covered >= {*bea.optimizers.__all__}
    assert {*atlas.__all__} - of_matrices - covered == set(laboratory.NOT_READ)
    made = [atlas.adafactor(0.5, 0.1, (1, 2)), atlas.muon(0.5, (1, 2)), atlas.shampoo(0.5, 0.1, (1, 2))]
    given = "rho=0.5, beta=0.5, epsilon=0.1, shape=2, exact=True"
    answers = ask([{"call": "program", "text": laboratory.source(made), "given": given} for made in made])
    assert all("has no “reshape” here" in answer["error"] for answer in answers)


def test_losses_are_read_and_differentiated():
    points = [[0.4, 0.9], [1.3, -0.2], [-1.1, 0.6]]
    requests = [
        {"call": "losses", "text": text, "loss": live.loss_data(LOSSES[name], value=False), "points": points}
        for name, text in TEXTS.items()
        if name != "functions"
    ]
    x, y = bea.rosenbrock().symbols
    texts = [text for text, *_ in laboratory.LOSSES.values()]
    texts += [
        "sinh(x)*cosh(y) + tan(x/4)",
        "asin(x/3)*acos(y/3) + atan(x*y) + asinh(x - y)",
        "(2 + x)**y + x**-2 + (x**2 + 1)**0.3 + (x**2 + 1)**-1.5",
        "abs(x - y)**3 + abs(x)*y - -x + 2**(x*y)/pi",
    ]
    scope = {
        name: getattr(sp, name) for name in "sqrt exp log sin cos tan sinh cosh tanh asin acos atan asinh pi".split()
    }
    for text in texts:
        loss = bea.Loss(sp.sympify(eval(text, {}, {**scope, "x": x, "y": y})), (x, y))
        requests.append({"call": "losses", "text": text, "loss": live.loss_data(loss, value=False), "points": points})
    for request, answer in zip(requests, ask(requests)):
        assert "error" not in answer, (request["text"], answer)
        assert far(answer[1], answer[0], -1) < 1e-11, request["text"]
