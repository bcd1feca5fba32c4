"""The live engine agrees with `bea`: every optimizer and loss of the library, and programs of a reader's own."""

import functools
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from scipy import special

import bea
from bea.runs import Divergence, state_after
from bea.trace import MATH, ON_FLOATS, Node, trace
from bea_book import live
from bea_book.live.traces import _data

HERE = Path(__file__).parent
ORDERS = (1, 2, 3, 4)
EXACT = 1e-12  # relative to the largest entry of what is compared

# --- programs and losses ---------------------------------------------------------------------------


@bea.optimizer
def sharpness_aware(theta, gradient, memory, radius, beta: bea.Decay):
    """Two gradients a step, the second at a point that the first decides."""
    g = gradient(theta)
    return memory.average(gradient(theta + radius * g / np.sum(g**2) ** 0.5), beta, corrected=True)


@bea.optimizer
def scheduled(theta, gradient, memory, rate):
    """A decay that changes with the time, a warm-up, and a term that vanishes with the step size."""
    m = memory.average(gradient(theta), 0.8 / (1 + rate * memory.time))
    one = memory.average(1.0, 0.8 / (1 + rate * memory.time))
    return m * np.exp(-rate * memory.time) + one * memory.h * np.tanh(theta)


@bea.optimizer
def warmed(theta, gradient, memory, length):
    """A warm-up by the number of the step, long over in the steady state."""
    return gradient(theta) * np.minimum((memory.step + 1) / length, 1.0)


@bea.optimizer
def differences(theta, gradient, memory, beta: bea.Decay):
    """An average of differences of gradients, the first of them from a start that is not zero."""
    g = gradient(theta)
    return g + memory.average(g - memory.previous(g, start=0.25), beta, corrected=True)


@bea.optimizer
def of_step_size(theta, gradient, memory, time):
    """An average of a fixed length of time, whatever the step size."""
    return memory.average(gradient(theta), np.exp(-memory.h / time), corrected=True)


@bea.optimizer
def clipped(theta, gradient, memory, bound, beta: bea.Decay):
    """Everything that is decided by the present value: maximum, minimum, where, abs, comparisons."""
    g = gradient(theta)
    m = memory.average(np.where(g > bound, bound + 0.1 * g, g), beta)
    v = memory.average(np.maximum(np.abs(g), memory.average(g**2, beta, corrected=True)), beta, corrected=True)
    return np.minimum(m, 3 * bound) / v


@bea.optimizer
def constant(theta, gradient, memory, speed):
    """An update that is no Series: it does not change along the curve."""
    return 0 * theta + speed * np.sign(gradient(theta))


LIBRARY = {
    "gradient_descent": bea.gradient_descent(),
    "heavy_ball": bea.heavy_ball(0.9),
    "heavy_ball damped": bea.heavy_ball(0.6, damped=True),
    "nesterov": bea.nesterov(0.8),
    "rmsprop": bea.rmsprop(0.9, 1e-2),
    "rmsprop outside": bea.rmsprop(0.9, 1e-2, epsilon_inside=False, bias_correction=True),
    "adam": bea.adam(0.8, 0.95, 1e-2),
    "adam outside": bea.adam(0.8, 0.95, 1e-2, epsilon_inside=False),
    "adam uncorrected": bea.adam(0.8, 0.95, 1e-2, bias_correction=False),
    "adamw": bea.adamw(0.8, 0.95, 1e-2, 0.1),
    "nadam": bea.nadam(0.8, 0.95, 1e-2),
    "signum": bea.signum(0.8, 0.1),
    "signum sharp": bea.signum(0.8, 0.0),
    "lion": bea.lion(0.8, 0.9, 0.1, 0.1),
    "lion sharp": bea.lion(0.8, 0.9, 0.0, 0.1),
}
OWN = {
    "sharpness_aware": sharpness_aware(0.05, 0.8),
    "scheduled": scheduled(0.3),
    "warmed": warmed(30.0),
    "differences": differences(0.7),
    "of_step_size": of_step_size(0.1),
    "clipped": clipped(0.4, 0.8),
    "constant": constant(0.3),
}
OPTIMIZERS = LIBRARY | OWN

x, y = sp.symbols("x y", real=True)
LOSSES = {
    "quadratic": bea.quadratic([[2, 1], [1, 5]]),
    "three": bea.quadratic([1, 3, 9]),
    "bilinear": bea.bilinear(),
    "rosenbrock": bea.rosenbrock(),
    "logistic": bea.logistic_regression(rows=slice(0, 60)),
    "orbit": bea.VectorField((x * (y - 1), y * (2 - x)), (x, y)),  # Lotka and Volterra: no loss
    "functions": bea.Loss(
        sp.log(1 + sp.exp(x - y)) + sp.cos(x * y) + sp.sqrt(1 + x**2) * sp.tanh(y) + sp.Abs(y) ** 3 + sp.Max(x, y) ** 2,
        (x, y),
    ),
}
POINTS = {
    "quadratic": (1.0, -0.7),
    "three": (1.0, -0.7, 0.4),
    "bilinear": (0.9, 1.5),
    "rosenbrock": (-1.2, 1.1),
    "logistic": (0.3, -0.2),
    "orbit": (1.0, 3.0),
    "functions": (0.4, 0.9),
}
SIZES = {"gradient_descent": 2e-3, "heavy_ball": 2e-4, "nesterov": 2e-4, "warmed": 2e-3}  # all others: 0.01


def size(name, loss):
    """A step size that does not diverge."""
    return SIZES.get(name, 0.01) * (0.1 if loss == "rosenbrock" else 1.0)


PAIRS = [(name, loss) for name in OPTIMIZERS for loss in LOSSES]
SHORT = [(name, loss) for name, loss in PAIRS if name in LIBRARY or loss in ("bilinear", "functions")]

# --- functions along a Series ------------------------------------------------------------------------

FUNCTIONS = {
    "add": lambda a, b: a + b + 2.0 + (1.5 + a),
    "subtract": lambda a, b: (a - b) * (3.0 - a) * (b - 0.5),
    "multiply": lambda a, b: a * b * 0.3,
    "divide": lambda a, b: a / b + 2.0 / b + a / 3.0,
    "negative": lambda a, b: -a * b,
    "power": lambda a, b: a**0.7 + a**b + 1.3**b + b**-1.5,
    "sqrt": lambda a, b: np.sqrt(a) + np.sqrt(b),
    "hypot": np.hypot,
    "maximum": lambda a, b: np.maximum(a, b) + np.maximum(b, a) * a + np.maximum(a, 0.1) + np.maximum(5.0, a),
    "minimum": lambda a, b: np.minimum(a, b) + np.minimum(b, a) * a + np.minimum(a, 9.0) + np.minimum(0.1, a),
    "where": lambda a, b: np.where(a > b, a, b) + 2 * np.where(b > a, a, b) + np.where(a > 9, a, b),
    "less": lambda a, b: np.where(a < b, a, b) + 3 * np.where(b < a, a, b) + np.where(a < 9, 1.0, a),
    "greater_equal": lambda a, b: np.where(a >= b, a, b) + 3 * np.where(b >= a, a, b),
    "less_equal": lambda a, b: np.where(a <= b, a, b) + 3 * np.where(b <= a, a, b),
    "equal": lambda a, b: np.where(a == b, a, b) + np.where(a == a + 0.0 * b, a, b),
    "not_equal": lambda a, b: np.where(a != b, a, b) + np.where(a != a + 0.0 * b, a, b),
    "absolute": lambda a, b: abs(a - b) + abs(b - a) * a,
    "sign": lambda a, b: np.sign(a - b) * a + np.sign(b - a) * b * a,
    "expit": lambda a, b: special.expit(a) + special.expit(-b),
    "log_expit": lambda a, b: special.log_expit(a) + special.log_expit(-b),
    "logaddexp": lambda a, b: np.logaddexp(a, b) + np.logaddexp(b, a) * a + np.logaddexp(0.3, a),
    "arcsin": lambda a, b: np.arcsin(a / 3) * np.arcsin(-b),
    "arccos": lambda a, b: np.arccos(a / 3) * np.arccos(-b),
    "arctanh": lambda a, b: np.arctanh(a / 3) * np.arctanh(-b),
    "arccosh": lambda a, b: np.arccosh(a + 1) * np.arccosh(b + 2),
}
SMOOTH = "exp log sin cos tan sinh cosh tanh arctan arcsinh cbrt expm1 exp2 log1p log2 log10".split()
FUNCTIONS |= {name: lambda a, b, name=name: smooth(name, a) * smooth(name, b) + smooth(name, b) for name in SMOOTH}
JUMPS = {
    "floor": lambda a, b: jump("floor", a * 10) + jump("floor", -b),
    "ceil": lambda a, b: jump("ceil", a * 10) + jump("ceil", -b),
    "remainder": lambda a, b: a % b + (-a) % b + 3.0 * (a % -b),
    "base": lambda a, b: (-2.0) ** jump("floor", a * 10),
}
AT = (0.9, 0.35)


def smooth(name, v):
    """A function of NumPy."""
    return getattr(np, name)(v)


def jump(name, v):
    """A function of NumPy that has no expansion, of a number or of a traced one."""
    return getattr(v, name)() if isinstance(v, Node) else getattr(np, name)(v)


def curve_through(values, terms):
    """Series through some values, with other coefficients that are all different."""
    rng = np.random.default_rng(terms)
    c = rng.uniform(-1, 1, (terms, terms, len(values)))
    c[np.triu_indices(terms, 1)] = 0
    c[0, 0] = values
    return bea.Series(c)


def packed(series):
    """The coefficients of a Series row after row, as the engine has them."""
    return [float(series.coefficients[k, j]) for k in range(series.terms) for j in range(k + 1)]


def traced(function, series=True):
    """The trace of a function of two numbers."""

    def code(**given):
        return function(*(bea.Series(np.array(v, dtype=object).reshape(1, 1)) for v in given.values()))

    return _data(trace(code if series else function, {"a": (), "b": ()}))


# --- cases -------------------------------------------------------------------------------------------


@dataclass
class Case:
    """A request to the engine, and what the answer has to be."""

    request: dict[str, Any]
    expected: Any  # an array, a function that returns it, or words of an error
    bound: float = EXACT
    norm: Any = field(default=None)  # the axis along which the largest entry is the measure
    check: Any = field(default=None)  # what else has to hold of the answer


def amplified(name, loss):
    """The round-off of the derivatives of m / (m^2 + epsilon)^(1/2), which are differences of numbers m^2 / epsilon times as large.

    See test_amplification: bea's own round-off is as large.
    """
    if name not in ("signum", "lion"):
        return 0.0
    g = LOSSES[loss].gradient(POINTS[loss])
    return np.finfo(float).eps * max(g**2) / OPTIMIZERS[name].hyperparameters["epsilon"]


def kept_reference(name, loss, order, h, steps, choice):
    opt = OPTIMIZERS[name]
    theta, states = state_after(opt, LOSSES[loss], POINTS[loss], h, steps)
    equation = bea.modified_equation(opt, LOSSES[loss], order, memory=choice)
    return equation.field(h)(equation.state(theta, states, h), time=h * steps)


def path_of(*args, **options):
    try:
        return bea.run(*args, **options)
    except Divergence as divergence:
        return divergence.path


def all_cases():
    cases = {}
    for loss, point in POINTS.items():
        if loss != "orbit":
            cases[f"value-{loss}"] = Case(
                {"call": "value", "loss": loss, "theta": point}, lambda loss=loss, p=point: [LOSSES[loss].value(p)]
            )
        cases[f"gradient-{loss}"] = Case(
            {"call": "gradient", "loss": loss, "theta": point}, lambda loss=loss, p=point: LOSSES[loss].gradient(p)
        )
    for name, loss in SHORT:
        opt, here, point, h = OPTIMIZERS[name], LOSSES[loss], POINTS[loss], size(name, loss)
        base = {"program": f"{name}/{len(point)}", "loss": loss, "theta": point, "h": h}
        for order in ORDERS:
            if name != "of_step_size":  # without its memory kept, its decay is 1
                cases[f"terms-{name}-{loss}-{order}"] = Case(
                    {**base, "call": "terms", "order": order, "time": 0.7},
                    lambda o=opt, e=here, p=point, k=order: bea.modified_equation(o, e, k).coefficients(p, time=0.7),
                    max(EXACT, amplified(name, loss)),
                    norm=1,
                )
            if name != "warmed":  # with its memory kept, there is no number of the step
                cases[f"kept-{name}-{loss}-{order}"] = Case(
                    {**base, "call": "kept", "order": order, "steps": 20, "choice": "kept"},
                    lambda n=name, e=loss, k=order, h=h: kept_reference(n, e, k, h, 20, "kept"),
                )
        cases[f"run-{name}-{loss}"] = Case(
            {**base, "call": "path", "steps": 200}, lambda o=opt, e=here, p=point, h=h: path_of(o, e, p, h, 200), norm=1
        )

    for name, function in FUNCTIONS.items():
        for terms in (1, 2, 3, 4, 5):
            a, b = curve_through(AT, terms)
            cases[f"{name}-{terms}"] = Case(
                {"call": "trace", "trace": name, "inputs": [packed(a), packed(b)]},
                lambda f=function, a=a, b=b: [packed(f(a, b))],
            )
        cases[f"{name}-numbers"] = Case(
            {"call": "trace", "trace": name, "inputs": AT}, lambda f=function: [packed(f(*curve_through(AT, 1)))[0]]
        )
    for name, function in JUMPS.items():
        cases[name] = Case({"call": "trace", "trace": name, "inputs": AT}, lambda f=function: [f(*AT)])
        cases[f"{name}-2"] = Case({"call": "trace", "trace": name, "inputs": [[*AT, 1.0], 2.0]}, [np.nan])
    cases |= {f"other-{n}": case for n, case in enumerate(other_cases())}
    return cases


def other_cases():
    """Everything else that the engine does."""
    yield Case({"call": "names"}, None, check=lambda names: set(names) == {*MATH, *ON_FLOATS} - live.traces.MISSING)
    # what is equal here, but not next to here, has no expansion
    rising, level, nothing = [0.5, 1.0, 0.25], [0.5, 0.0, 0.0], [np.nan]
    for name in "less less_equal greater greater_equal equal not_equal maximum minimum".split():
        for a, b in ((rising, level), (rising, 0.5), (0.5, rising), (rising, [0.5, 1.0, 0.5])):
            yield Case({"call": "rule", "rule": name, "values": [a, b]}, nothing)
        for a, b in (
            (level, 0.5),
            (rising, rising),
            (0.5, 0.5),
            (0.25, rising),
            (rising, 0.25),
            (0.25, level),
            (1.0, 0.5),
        ):
            wanted = float(getattr(np, name)(np.ravel(a)[0], np.ravel(b)[0]))
            yield Case({"call": "rule", "rule": name, "values": [a, b], "leading": True}, [wanted])
        for a, b in (("NaN", 0.5), (0.5, "NaN"), ("NaN", level), (level, "NaN"), ("NaN", "NaN")):
            yield Case({"call": "rule", "rule": name, "values": [a, b]}, nothing)
    for name in ("sign", "absolute"):
        for value in ([0.0, 1.0, 0.25], [0.0, 0.0, 0.25], "NaN"):
            yield Case({"call": "rule", "rule": name, "values": [value], "leading": True}, nothing)
        for value in ([0.0, 0.0, 0.0], [-2.0, 0.0, 1.0], -3.0, 0.0, 5.0):
            wanted = float(getattr(np, name)(np.ravel(value)[0]))
            yield Case({"call": "rule", "rule": name, "values": [value], "leading": True}, [wanted])
    yield Case({"call": "rule", "rule": "where", "values": ["NaN", 1.0, 2.0]}, nothing)
    yield Case({"call": "rule", "rule": "hypot", "values": [3.0, 4.0]}, [5.0])
    yield Case({"call": "rule", "rule": "hypot", "values": [[3.0, 1.0, 2.0], 4.0]}, [[5.0, 0.6, 1.2]])
    # functions that would overflow if they were written down naively
    for name, values in {"expit": [800.0, -800.0, 0.0], "log_expit": [800.0, -800.0, 0.0, -40.0]}.items():
        for value in values:
            wanted = float(getattr(special, name)(value))
            yield Case({"call": "rule", "rule": name, "values": [value]}, [wanted], EXACT)
    for a, b in ((800.0, -800.0), (-800.0, 800.0), (0.0, -40.0), (-40.0, 0.0), (700.0, 700.0)):
        yield Case({"call": "rule", "rule": "logaddexp", "values": [a, b]}, [np.logaddexp(a, b)])
    # constants of the reader's own, hyper-parameters, a memory that is given
    adam, loss, point = bea.adam(0.7, 0.9, 0.05), LOSSES["bilinear"], POINTS["bilinear"]
    base = {"program": "adam/2", "loss": "bilinear", "theta": point, "h": 0.02}
    moved = {**base, "given": {"epsilon": 0.05, "beta": 0.7, "rho": 0.9}}
    yield Case({**moved, "call": "path", "steps": 30}, lambda: bea.run(adam, loss, point, 0.02, 30))
    yield Case({**moved, "call": "field", "order": 3, "memory": "forgotten"},
               lambda: bea.modified_equation(adam, loss, 3).field(0.02)(point))  # fmt: skip
    yield Case({**base, "call": "path", "steps": 3, "given": {"gamma": 1.0}}, "the program has no gamma")
    memory = [0.1, -0.2, 0.0, 0.3, 0.4, 0.0]
    yield Case({**moved, "call": "path", "steps": 30, "memory": memory},
               lambda: bea.run(adam, loss, point, 0.02, 30, memory=[[0.1, -0.2], [0.3, 0.4]]))  # fmt: skip
    for name in ("adam", "lion", "heavy_ball", "differences"):
        for order in (1, 2, 3, 4):
            request = {**base, "program": f"{name}/2", "call": "slowMemory", "order": order}
            yield Case(request, lambda n=name, k=order: slow_memory(OPTIMIZERS[n], loss, point, 0.02, k))
    time = {**base, "program": "scheduled/2", "call": "field", "order": 3, "memory": "forgotten", "time": 0.4}
    yield Case(time, lambda: bea.modified_equation(OPTIMIZERS["scheduled"], loss, 3).field(0.02)(point, time=0.4))
    for order in (0, 9):
        yield Case({**base, "call": "terms", "order": order}, "1 to 8 terms")
    yield Case(
        {**base, "call": "terms", "order": 8},
        lambda: bea.modified_equation(OPTIMIZERS["adam"], loss, 8).coefficients(point),
        norm=1,
    )
    yield Case({**base, "program": "of_step_size/2", "call": "terms", "order": 2}, [[np.nan] * 2] * 2)
    # with its memory kept, a program has no number of steps
    warm = {**base, "program": "warmed/2", "call": "kept", "steps": 5, "choice": "kept"}
    yield from (Case({**warm, "order": order}, "no number of steps") for order in ORDERS)
    # a time that is not given is 0
    begin = {"program": "scheduled/2", "loss": "bilinear", "h": 0.02, "order": 2}
    z, equation = (*point, 0.3, -0.4, 0.9), bea.modified_equation(OPTIMIZERS["scheduled"], loss, 2)
    yield Case({**begin, "call": "terms", "theta": point}, lambda q=equation: q.coefficients(point), norm=1)
    yield Case(
        {**begin, "call": "field", "theta": point, "memory": "forgotten"}, lambda q=equation: q.field(0.02)(point)
    )
    kept = bea.modified_equation(OPTIMIZERS["scheduled"], loss, 2, memory="kept")
    yield Case({**begin, "call": "field", "theta": z, "memory": "kept"}, lambda: kept.field(0.02)(np.array(z)))
    # at a point where one component of the gradient vanishes, its sign has no expansion
    kink = {"loss": "quadratic", "theta": (1.0, -0.2), "call": "terms", "order": 2}
    yield Case({**kink, "program": "constant/2"}, [[-0.3, 0.0], [0.0, np.nan]])
    yield Case(
        {**kink, "program": "lion sharp/2", "call": "field", "h": 0.01, "memory": "forgotten"},
        [-1.1 - 0.01 * 0.055, np.nan],
    )
    yield Case({"call": "rule", "rule": "erf", "values": [0.5]}, "the live engine has no operation erf")
    # before the first step an average has gathered nothing: its weight is 1; a program without memory keeps nothing
    yield Case({**base, "call": "state"}, [*point, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    given = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    yield Case({**base, "call": "state", "memory": given}, [*point, *given])
    yield Case({**base, "program": "gradient_descent/2", "call": "memory", "steps": 3}, [])
    yield Case({**base, "program": "gradient_descent/2", "call": "slowMemory", "order": 2}, [])
    held = [0.3, -0.4, 0.1, 0.5, 0.6, 0.2]
    yield Case({**base, "call": "shared", "held": held}, lambda: shared(OPTIMIZERS["adam"], loss, point, 0.02, held))
    # the decay exp(-h / time) does not change from step to step: it is computed once for a run, and for a field
    once = {**base, "program": "of_step_size/2", "call": "exponentials", "steps": 5, "points": [0.1, 0.2, 0.3]}
    yield Case(once, None, check=lambda counts: counts[0] == 2 and counts[1] == 2)
    # while a slider moves, the function of a field is written once
    yield Case({**base, "call": "writings", "betas": [0.1, 0.2, 0.3]}, [1.0])
    # some averages kept and others not
    for name, choice in (("adam", ["kept", "forgotten"]), ("adam", ["forgotten", "kept"]), ("adam", ["kept", "kept"]),
                         ("lion", ["kept"]), ("clipped", ["kept", "forgotten", "kept"])):  # fmt: skip
        for order in ORDERS:
            request = {
                **base,
                "program": f"{name}/2",
                "call": "kept",
                "order": order,
                "steps": 20,
                "choice": choice,
                "h": 0.01,
            }
            yield Case(request, lambda n=name, k=order, c=choice: kept_reference(n, "bilinear", k, 0.01, 20, c))
    # what is not finite ends a run
    far = {"program": "gradient_descent/2", "loss": "quadratic", "theta": (1.0, -0.7), "h": 3.0, "call": "path"}
    yield Case(
        {**far, "steps": 2000},
        lambda: path_of(OPTIMIZERS["gradient_descent"], LOSSES["quadratic"], (1.0, -0.7), 3.0, 2000),
        norm=1,
    )
    # flows: dz/dt = t - z has a solution in closed form, dz/dt = z^2 none after the time 1
    times = 0.5 + 0.25 * np.arange(5)
    wanted = times - 1 + 1.5 * np.exp(0.5 - times)
    line = {"call": "own", "own": "line", "theta": [1.0], "dt": 0.25, "steps": 4, "time": 0.5}
    yield Case({**line, "tolerance": 1e-9}, wanted[:, None], 1e-8)
    yield Case({**line, "tolerance": 1e-12}, wanted[:, None], 1e-11)
    # whose first variable follows the cosine at the rate 1e6, so that the second is exp(sin t): far more than any
    # explicit method could follow in as many steps
    stiff = {"call": "own", "own": "stiff", "theta": [1.0, 1.0], "dt": 0.5, "steps": 4, "tolerance": 1e-9, "time": 0.0}
    times = 0.5 * np.arange(5)
    yield Case(stiff, np.array([np.cos(times), np.exp(np.sin(times))]).T, 2e-6)
    for sign in (1, -1):
        blow_up = {
            "call": "own",
            "own": "square",
            "theta": [1.0 * sign],
            "dt": 0.1 * sign,
            "steps": 40,
            "tolerance": 1e-6,
            "time": 0.0,
        }
        yield Case(blow_up, None, check=lambda path, sign=sign: ends_at_one(sign * np.array(path)[:, 0]))
    # by default from the time 0
    yield Case({"call": "own", "own": "line", "theta": [1.0], "dt": 1.0, "steps": 1}, [[1.0], [2 / np.e]], 1e-5)
    pair = {"call": "own", "own": "pair", "theta": [1.0, 1.0], "dt": 0.1, "steps": 40, "tolerance": 1e-6, "time": 0.0}
    yield Case(pair, None, check=lambda path: ends_at_one(np.array(path)[:, 0]))
    # every entry goes to its mean, which stays; 1e100 is no number that a flow goes on from
    mean = {
        "call": "own",
        "own": "mean",
        "theta": [1.0, 2.0, 6.0],
        "dt": 0.25,
        "steps": 2,
        "tolerance": 1e-11,
        "time": 0.0,
    }
    yield Case(mean, 3 + np.exp(-0.25 * np.arange(3))[:, None] * [-2.0, -1.0, 3.0], 1e-10)
    far = {"call": "own", "own": "still", "theta": [1e100], "dt": 0.25, "steps": 3, "tolerance": 1e-6, "time": 0.0}
    yield Case(far, [[1e100]])
    yield Case({**far, "theta": [9e99]}, [[9e99]] * 4)
    # a step that tries where the field has no value is made again, smaller; where the solution comes there, it ends
    times = 0.4 * np.arange(5)
    root = {"call": "own", "own": "root", "theta": [1.0, 1.0], "dt": 0.4, "steps": 40, "tolerance": 1e-3, "time": 0.0}
    yield Case(root, np.array([(1 - times / 2) ** 2, np.sqrt(1 + 2 * times)]).T, 2e-3)
    wall = {**root, "own": "wall", "theta": [0.0, 1.0], "steps": 4, "tolerance": 1e-6}
    yield Case(wall, np.array([1 - 1 / (1 + 25 * times) ** 2, np.sqrt(1 + 2 * times)]).T, 1e-5)
    # whether a flow is settled, and as much of it as is: one that ends before, and one that no tolerance settles
    settled = {"call": "closely", "own": "pair", "theta": [1.0, 1.0], "dt": 0.1, "steps": 8, "apart": 1e-3}
    yield Case(settled, None, check=lambda found: found[0] == [1] and abs(found[9][0] - 5) < 2e-6 and len(found) == 10)
    yield Case({**settled, "steps": 40}, None, check=lambda found: found[0] == [0] and len(found) == 11)
    yield Case({**settled, "own": "noise"}, None, check=lambda found: found[0] == [0] and len(found) < 10)
    # stiff flows: past a valley whose walls, for so small an epsilon, are a thousandth wide
    for beta, rho, begin, terms in (
        (0.95, 0.0, (2.7, 0.38), 2),
        (0.95, 0.95, (2.7, 0.38), 1),
        (0.9, 0.5, (2.2, 2.9), 2),
    ):
        request = {"program": "adam/2", "loss": "bilinear", "theta": begin, "order": terms, "h": 0.02, "steps": 60}
        request |= {"call": "followed", "apart": 1e-3, "given": {"beta": beta, "rho": rho, "epsilon": 1e-6}}
        equation = bea.modified_equation(bea.adam(beta, rho, 1e-6), loss, terms)
        yield Case(request, lambda q=equation, begin=begin: bea.flow(q, begin, 0.02, 60)[-1], 3e-6)
    flow = {**base, "h": 0.01, "call": "flow", "steps": 40, "tolerance": 1e-11}
    # without a word about the memory, it is forgotten: only then may a program have a number of steps
    for name, order in (
        ("gradient_descent", 1),
        ("gradient_descent", 3),
        ("adamw", 1),
        ("scheduled", 2),
        ("warmed", 2),
    ):
        equation = bea.modified_equation(OPTIMIZERS[name], loss, order)
        yield Case(
            {**flow, "program": f"{name}/2", "order": order}, lambda q=equation: bea.flow(q, point, 0.01, 40), 1e-9
        )


def ends_at_one(path):
    """1 / (1 - t) at 0, 0.1, ..., 0.9, and then at most a number that is large because it is not quite at its end."""
    return (
        np.allclose(path[:10], 1 / (1 - 0.1 * np.arange(10)), rtol=1e-5) and (path[10:] > 1e5).all() and len(path) < 12
    )


def slow_memory(optimizer, loss, point, h, order):
    """The memory on the slow manifold, with zero for each weight, in the order of the program's questions."""
    found = [m.tolist() for m in bea.modified_equation(optimizer, loss, order).memory(point, h)]
    data = live.program_data(optimizer, 2)["operations"]
    entries = iter(sum(found, []))
    return [
        0.0 if name == "weight" else next(entries) for name, *_ in data if name in ("average", "weight", "previous")
    ]


def shared(optimizer, loss, point, h, held):
    """What one optimizer is asked in turn: the last coefficient, the field, the memory, the field with the memory kept."""
    found = []
    for order in ORDERS:
        equation, kept = (
            bea.modified_equation(optimizer, loss, order),
            bea.modified_equation(optimizer, loss, order, memory="kept"),
        )
        found += [
            *equation.coefficients(point)[-1],
            *equation.field(h)(point),
            *slow_memory(optimizer, loss, point, h, order),
        ]
        found += [*kept.field(h)(np.array([*point, *held]))]
    return found


CASES = all_cases()
GROUPS: dict[str, list[str]] = {}
for _name in CASES:
    GROUPS.setdefault("-".join(_name.split("-")[:2]) if _name[:5] != "other" else "other", []).append(_name)


@functools.cache
def expected(name):
    found = CASES[name].expected
    return found() if callable(found) else found


def requests():
    """All that Node needs to answer the cases."""
    return {
        "programs": {f"{n}/{d}": live.program_data(o, d) for n, o in OPTIMIZERS.items() for d in (1, 2, 3)},
        "losses": {name: live.loss_data(loss) for name, loss in LOSSES.items()},
        "traces": {name: traced(function, name in FUNCTIONS) for name, function in (FUNCTIONS | JUMPS).items()},
        "requests": [case.request for case in CASES.values()],
    }


def ask(text, wanted):
    """Answer all cases by an engine's text, in one run of Node."""
    node = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    assert node, "Node.js is needed, which `make test` installs"
    given = json.dumps({**wanted, "text": text}, allow_nan=False)
    found = subprocess.run([node, HERE / "live.mjs"], input=given, capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stderr
    return dict(zip(CASES, json.loads(found.stdout)))


def worst(case, answer, wanted):
    """How far an answer is from what is wanted, compared with the largest entries of that; infinite if of another shape."""
    found, wanted = np.asarray(answer, dtype=float), np.asarray(wanted, dtype=float)
    if found.shape != wanted.shape or not np.array_equal(np.isnan(found), np.isnan(wanted)):
        return np.inf
    scale = np.nan_to_num(abs(wanted)).max(axis=case.norm, keepdims=True, initial=0)
    return np.nan_to_num(abs(found - wanted) / np.where(scale > 0, scale, 1)).max(initial=0)


@pytest.fixture(scope="module")
def answers():
    return ask(live.engine(), requests())


def problem(name, answer):
    """What is wrong with an answer, in words; empty if nothing is."""
    case = CASES[name]
    if isinstance(case.expected, str):
        return "" if isinstance(answer, dict) and case.expected in answer.get("error", "") else f"{answer}"
    if isinstance(answer, dict) and "error" in answer:
        return answer["error"]
    if case.check:
        return "" if case.check(answer) else f"{answer}"
    found = worst(case, answer, expected(name))
    return "" if found <= case.bound else f"{found:.2g} > {case.bound:.2g}"


@pytest.mark.parametrize("group", GROUPS)
def test_agrees(group, answers):
    found = {name: problem(name, answers[name]) for name in GROUPS[group]}
    assert {name: text for name, text in found.items() if text} == {}


# --- what the engine is made from --------------------------------------------------------------------


def test_everything_is_covered():
    programs = {optimizer.name for optimizer in LIBRARY.values()}
    assert programs == set(bea.optimizers.__all__)
    assert {"quadratic", "bilinear", "rosenbrock", "logistic_regression"} == set(bea.problems.__all__)


def test_every_rule_is_asked():
    wanted = requests()
    traces = [*wanted["programs"].values(), *wanted["traces"].values()]
    traces += [part for loss in wanted["losses"].values() for part in loss.values() if part]
    used = {name for data in traces for name, *_ in data["operations"]}
    used |= {request["rule"] for request in wanted["requests"] if request["call"] == "rule"}
    assert used >= {*MATH, *ON_FLOATS} - live.traces.MISSING


def test_amplification():
    """The terms of a sharp sign are as far from the exact ones in bea as in the engine."""
    exact = bea.modified_equation(bea.signum(sp.Rational(4, 5), sp.Rational(1, 10)), LOSSES["rosenbrock"], 3)
    wanted = np.array(exact.coefficients([sp.Rational(-6, 5), sp.Rational(11, 10)]), dtype=float)
    floats = bea.modified_equation(OPTIMIZERS["signum"], LOSSES["rosenbrock"], 3).coefficients(POINTS["rosenbrock"])
    distance = np.max(abs(floats - wanted) / abs(wanted).max(axis=1, keepdims=True))
    assert EXACT < distance < amplified("signum", "rosenbrock")


def test_worst_is_strict():
    case = Case({}, None)
    assert worst(case, [1.0, 2.0], [1.0, 2.0 + 1e-11]) > EXACT
    assert worst(case, [1.0], [1.0, 2.0]) == worst(case, ["NaN"], [1.0]) == worst(case, [1.0], [np.nan]) == np.inf
    assert worst(case, ["NaN", 1.0], [np.nan, 1.0]) == 0


def test_hyperparameters_are_inputs():
    data = live.program_data(bea.adam(0.8, 0.95, 0.0), 2)
    assert data["given"] == {"beta": 0.8, "rho": 0.95}  # zero is a constant of the text
    assert data["inputs"] == ["theta_0", "theta_1", "memory.h", "memory.time", "memory.step", "beta", "rho"]
    json.dumps(data, allow_nan=False)
    exact = live.program_data(bea.heavy_ball(sp.Rational(1, 2)), 1)
    assert exact["given"] == {"beta": 0.5}


@pytest.mark.parametrize("optimizer", [bea.heavy_ball(sp.Symbol("beta")), bea.heavy_ball(np.array([0.1, 0.2]))])
def test_one_configuration(optimizer):
    with pytest.raises(ValueError, match="give one number"):
        live.program_data(optimizer, 2)


def test_what_the_engine_lacks():
    with pytest.raises(ValueError, match="has no erf"):
        live.loss_data(bea.Loss(sp.erf(x) ** 2, (x,)))
    with pytest.raises(ValueError, match="finite constants"):
        live.program_data(_infinite(), 1)
    with pytest.raises(TypeError):
        live.loss_data(bea.NumericLoss(1, None, lambda t: np.round(t)), value=False)


@bea.optimizer
def _infinite(theta, gradient, memory):
    return np.minimum(gradient(theta), np.inf)


def test_no_value():
    assert live.loss_data(LOSSES["orbit"])["value"] is None
    assert live.loss_data(LOSSES["bilinear"], value=False)["value"] is None


def test_engine_stands_alone():
    assert "import" not in live.engine().replace("important", "")
