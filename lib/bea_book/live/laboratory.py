"""The laboratory: a page on which a reader's own loss and optimizer are computed at once.

``reader.js`` reads what is typed, ``tape.js`` records it, ``parse.js`` makes traces of it, ``experiment.js``
computes with ``engine.js`` in a worker, ``laboratory.js`` is the page.  The presets are the programs of
:mod:`bea.optimizers` and :mod:`bea_book.atlas`, in their own text.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from importlib.resources import files
from typing import Any

import bea
from bea_book import atlas

__all__ = [
    "FIRST",
    "LOSSES",
    "NOT_READ",
    "OPENING",
    "OPTIMIZERS",
    "PACE",
    "presets",
    "script",
    "source",
    "style",
    "worker",
]

#: The losses to choose from: a name, the text, a start, and a step size for most of the optimizers.
LOSSES = {
    "bilinear model": ("(3/2 - 2*x*y)**2 / 2", (1.2, 1.3), 0.004),
    "quadratic": ("(x**2 + 9*y**2) / 2", (1.5, 0.4), 0.01),
    "Rosenbrock's valley": ("((1 - x)**2 + 100*(y - x**2)**2) / 100", (-0.6, 0.6), 0.005),
    "double well": ("(x**2 - 1)**2 / 4 + y**2 / 2", (0.3, 1.2), 0.02),
    "two labels, logistic": ("log(1 + exp(-x - 2*y)) + log(1 + exp(x - y)) + x**2 / 10", (1.5, -1.0), 0.02),
    "neuron with tanh": ("(tanh(x*y) - 1/2)**2 + (x**2 + y**2) / 50", (0.8, -0.6), 0.01),
    "waves": ("sin(x)*cos(y) + (x**2 + y**2) / 8", (1.8, 0.6), 0.02),
}
STEPS = 24  # of a run with a loss and an optimizer to choose from

#: The loss that the page begins with.
FIRST = "neuron with tanh"
#: Adam's start and steps on it, such that the run, the leading-order flow and the flow with two terms lie side by side.
OPENING = {"x": 0, "y": 0.4, "h": 0.06, "time": 0.72, "empty": False}

#: The optimizers to choose from.
OPTIMIZERS = {
    "Adam": bea.adam(0.5, 0.6, 0.1),
    "gradient descent": bea.gradient_descent(),
    "heavy ball": bea.heavy_ball(0.5),
    "Nesterov's momentum": bea.nesterov(0.5),
    "RMSProp": bea.rmsprop(0.6, 0.1),
    "AdamW": bea.adamw(0.5, 0.6, 0.1, 0.1),
    "NAdam": bea.nadam(0.5, 0.6, 0.1),
    "Signum, smooth": bea.signum(0.5, 0.1),
    "Lion, smooth": bea.lion(0.5, 0.6, 0.1, 0.1),
    "AdaBelief": atlas.adabelief(0.4, 0.5, 1.0),
    "Adan": atlas.adan(0.5, 0.6, 0.6, 0.1),
    "LAMB": atlas.lamb(0.5, 0.6, 0.1),
    "LARS": atlas.lars(0.5),
    "SAM": atlas.sam(0.1),
    "RMSProp with momentum": atlas.rmsprop_momentum(0.6, 0.6, 0.3),
    "centred RMSProp": atlas.centred_rmsprop(0.5, 2.0),
    "AdEMAMix": atlas.ademamix(0.6, 0.6, 2.0, 0.6, 0.3),
    "Adam with warm-up and cosine": atlas.adam_warmup_cosine(0.5, 0.6, 0.1, 6.0, 12.0),
    "Adam with L2 in the gradient": atlas.adam_with_l2(0.5, 0.6, 0.3, 0.1),
    "two groups of parameters": atlas.adam_with_groups(1, 0.7, 0.6, 0.1, 2.0),
    "clipped momentum": atlas.clipped_momentum(0.5, 100.0),
    "normalized momentum": atlas.normalized_momentum(0.5),
    "descent in the 4/3-norm": atlas.p_norm_descent(0.5, 4.0),
    "Adam with epsilon hat": atlas.tensorflow_adam(0.5, 0.6, 0.3),
}

#: How many times as long a step they make as the others, so that the series converges and its errors are no round-off:
#: longer steps for smaller updates, shorter ones for large updates and long memories.
PACE = {
    "heavy ball": 1 / 2,
    "Signum, smooth": 2,
    "LARS": 1 / 2,
    "RMSProp with momentum": 1 / 4,
    "AdEMAMix": 1 / 2,
    "Adam with warm-up and cosine": 2,
    "two groups of parameters": 1 / 4,
    "clipped momentum": 1 / 2,
}

#: Programs of the atlas that the page does not read, and why.
NOT_READ = {
    "adafactor": "it reads theta as a matrix",
    "muon": "it reads theta as a matrix",
    "shampoo": "it reads theta as a matrix",
}


def source(optimizer: bea.Optimizer) -> str:
    """Return the lines of an optimizer's program, without its head and its docstring.

    Parameters
    ----------
    optimizer : Optimizer

    Returns
    -------
    str

    Examples
    --------
    >>> print(source(bea.heavy_ball(0.9)))
    m = memory.average(gradient(theta), beta)
    return m if damped else m / (1 - beta)
    """
    text = textwrap.dedent(inspect.getsource(optimizer.program.__wrapped__))  # type: ignore[attr-defined]
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    first = next(part for part in function.body if not isinstance(getattr(part, "value", None), ast.Constant))
    return textwrap.dedent("\n".join(text.splitlines()[first.lineno - 1 : function.end_lineno]))


def presets() -> dict[str, Any]:
    """Return the losses and the optimizers to choose from, as text, and what the page begins with.

    The step size of a loss times the pace of an optimizer is the step size for both.

    Returns
    -------
    dict
    """
    losses = [
        {"name": name, "loss": text, "x": start[0], "y": start[1], "h": h, "time": STEPS * h}
        for name, (text, start, h) in LOSSES.items()
    ]
    optimizers = [
        {
            "name": name,
            "optimizer": source(optimizer),
            "pace": PACE.get(name, 1),
            "given": ", ".join(f"{key}={value!r}" for key, value in optimizer.hyperparameters.items()),
        }
        for name, optimizer in OPTIMIZERS.items()
    ]
    first = losses[list(LOSSES).index(FIRST)]
    return {"losses": losses, "optimizers": optimizers, "opening": {**first, **optimizers[0], **OPENING}}


def worker() -> str:
    """Return the script of the worker: what is typed, the engine and the experiment, without modules.

    Returns
    -------
    str
    """
    modules = ("engine.js", "tape.js", "reader.js", "parse.js", "experiment.js")
    return "".join(map(_module, modules)) + _asset("worker.js")


def script(console: str = "", first: str = "") -> str:
    """Return the script of the page, which holds that of its worker.

    Parameters
    ----------
    console : str
        The address to which Python code is added so that it runs in the browser; without it there is no
        such link.
    first : str
        The code that runs there before what the page shows.

    Returns
    -------
    str
    """
    data = {"WORKER": worker(), "PRESETS": presets(), "CONSOLE": console, "FIRST": first}
    constants = "".join(f"const {name} = {json.dumps(value, ensure_ascii=False)};\n" for name, value in data.items())
    return f"(() => {{\n{constants}{_asset('laboratory.js')}}})();\n"


def style() -> str:
    """Return the style of the page: that of the explorers and of live figures, and its own.

    Returns
    -------
    str
    """
    shared = files("bea_book").joinpath("explore.css").read_text(encoding="utf-8").replace(".bea-explorer", ".bea-live")
    return shared + _asset("figure.css") + _asset("laboratory.css")


def _module(name: str) -> str:
    """A module as a script: a function that returns what the module exports."""
    text = re.sub(r"^import .*\n", "", _asset(name), flags=re.MULTILINE)
    names = ", ".join(re.findall(r"^export (?:const|function\*?|class) (\w+)", text, re.MULTILINE))
    return f"const {{ {names} }} = (() => {{\n{re.sub('^export ', '', text, flags=re.MULTILINE)}return {{ {names} }};\n}})();\n"


def _asset(name: str) -> str:
    return files("bea_book").joinpath("live", name).read_text(encoding="utf-8")
