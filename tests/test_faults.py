"""Bad input to every public function, and long runs.

Each argument of each public function is replaced by what users get wrong.  Whatever is not taken must be refused with a
ValueError or TypeError in words, never with an AttributeError, an IndexError or a wrong number.
"""

import inspect
import sys
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp

import bea
from bea import trees

x = sp.Symbol("x")
ONE, TWO = bea.quadratic([1]), bea.quadratic([1, 9])
ADAM, DESCENT = bea.adam(0.9, 0.99, 1e-8), bea.gradient_descent()
STEADY, FIRST = bea.modified_equation(ADAM, ONE, 2), bea.transient_equation(ADAM, ONE)
KEPT = bea.modified_equation(bea.heavy_ball(0.9), ONE, 2, memory="kept")
SERIES = bea.Series.from_polynomials([[np.array([2.0])], [np.array([0.0]), np.array([1.0])]])
LINE = bea.Series.from_polynomials([[np.array([x])], [np.array([0]), np.array([x])]])


def walk(**given):
    return next(bea.walk(**given))


def pieces(h, steps):
    return list(FIRST.pieces(h, steps))


# What is called, with arguments that are right.
GOOD = {
    "Loss": (bea.Loss, {"expression": x**2, "symbols": (x,), "parameters": ()}),
    "Loss.value": (TWO.value, {"theta": (1.0, 1.0)}),
    "Loss.gradient": (TWO.gradient, {"theta": (1.0, 1.0)}),
    "Loss.hessian": (TWO.hessian, {"theta": (1.0, 1.0)}),
    "Loss.hessian_vector": (TWO.hessian_vector, {"theta": (1.0, 1.0), "v": (1.0, 0.0)}),
    "ModifiedEquation.coefficients": (STEADY.coefficients, {"theta": (1.0,)}),
    "ModifiedEquation.field": (STEADY.field, {"h": 0.1}),
    "ModifiedEquation.field()": (STEADY.field(0.1), {"theta": (1.0,)}),
    "ModifiedEquation.memory": (STEADY.memory, {"theta0": (1.0,), "h": 0.1}),
    "KeptEquation.field": (KEPT.field, {"h": 0.1}),
    "NumericLoss": (bea.NumericLoss, {"dimension": 2, "value": sum, "gradient": abs}),
    "Optimizer": (bea.Optimizer, {"program": bea.heavy_ball, "hyperparameters": {"beta": 0.5}}),
    "Optimizer.with_hyperparameters": (ADAM.with_hyperparameters, {"beta": 0.5}),
    "Series": (bea.Series, {"coefficients": np.zeros((2, 2))}),
    "Series.from_polynomials": (bea.Series.from_polynomials, {"polynomials": [[1.0], [0.0, 1.0]]}),
    "Study": (lambda **given: bea.Study(**given).slope, {"hs": np.array([0.1, 0.05]), "errors": np.array([0.1, 0.025])}),
    "TransientEquation.terms": (bea.transient_equation(DESCENT, ONE).terms, {"n": 1}),
    "TransientEquation.field": (FIRST.field, {"h": 0.1, "n": 1}),
    "TransientEquation.field()": (FIRST.field(0.1, 1), {"theta": (1.0,)}),
    "TransientEquation.pieces": (pieces, {"h": 0.1, "steps": 2}),
    "VectorField": (bea.VectorField, {"components": (x,), "symbols": (x,), "parameters": ()}),
    "adam": (bea.adam, {"beta": 0.9, "rho": 0.9, "epsilon": 1e-8, "epsilon_inside": True, "bias_correction": True}),
    "adamw": (
        bea.adamw,
        {"beta": 0.9, "rho": 0.9, "epsilon": 1e-8, "weight_decay": 0.1, "epsilon_inside": True, "bias_correction": True},
    ),
    "antidifference": (bea.antidifference, {"polynomial": np.array([0.0, 1.0])}),
    "bilinear": (bea.bilinear, {"c": 1.5, "k": 2}),
    "black_box": (bea.black_box, {"gradient": lambda theta: theta, "dimension": 2, "value": sum}),
    "elementary_differential": (
        bea.elementary_differential,
        {"tree": ((),), "field": sp.Matrix([x**2]), "variables": [x]},
    ),
    "flow": (
        bea.flow,
        {"equation": bea.modified_equation(DESCENT, ONE, 2), "theta0": (1.0,), "h": 0.1, "steps": 3, "per_step": 1},
    ),
    "gradient_descent": (bea.gradient_descent, {}),
    "heavy_ball": (bea.heavy_ball, {"beta": 0.9, "damped": True}),
    "lag": (bea.lag, {"decay": 0.9, "n": 3}),
    "lion": (bea.lion, {"beta_1": 0.9, "beta_2": 0.9, "epsilon": 1e-8, "weight_decay": 0.1}),
    "logistic_regression": (bea.logistic_regression, {"columns": (0, 1), "rows": slice(0, 10)}),
    "mean": (bea.mean, {"losses": [ONE, ONE]}),
    "modified_equation": (
        bea.modified_equation,
        {"optimizer": ADAM, "loss": ONE, "order": 2, "memory": "forgotten", "batches": None},
    ),
    "moments": (bea.moments, {"decay": 0.9, "count": 3}),
    "nadam": (bea.nadam, {"beta": 0.9, "rho": 0.9, "epsilon": 1e-8, "bias_correction": True}),
    "nesterov": (bea.nesterov, {"beta": 0.9}),
    "optimizer": (bea.optimizer, {"program": lambda theta, gradient, memory: gradient(theta)}),
    "order_study": (
        bea.order_study,
        {
            "optimizer": DESCENT, "loss": ONE, "theta0": (1.0,), "horizon": 0.1, "hs": [0.1, 0.05], "order": 1,
            "equation": None, "start": None,
        },
    ),
    "quadratic": (bea.quadratic, {"curvature": [1, 2]}),
    "rmsprop": (bea.rmsprop, {"rho": 0.9, "epsilon": 1e-8, "epsilon_inside": True, "bias_correction": False}),
    "rooted_trees": (bea.rooted_trees, {"nodes": 3}),
    "rosenbrock": (bea.rosenbrock, {"steepness": 100}),
    "run": (
        bea.run,
        {
            "optimizer": ADAM, "loss": ONE, "theta0": (1.0,), "h": 0.1, "steps": 3, "batches": None, "memory": None,
            "every": 1, "vector_functions": False,
        },
    ),
    "signum": (bea.signum, {"beta": 0.9, "epsilon": 1e-8}),
    "taylor": (bea.taylor, {"expression": x**2, "symbols": [x], "curve": LINE}),
    "transient_equation": (
        bea.transient_equation,
        {"optimizer": ADAM, "loss_or_losses": ONE, "order": 2, "batches": None},
    ),
    "tree_coefficients": (bea.tree_coefficients, {"optimizer": DESCENT, "nodes": 3}),
    "trees.order": (trees.order, {"tree": ((),)}),
    "trees.symmetry": (trees.symmetry, {"tree": ((),)}),
    "trees.density": (trees.density, {"tree": ((),)}),
    "walk": (walk, {"optimizer": ADAM, "loss": ONE, "theta0": (1.0,), "h": 0.1, "batches": None}),
    "weights": (bea.weights, {"decay": 0.9, "count": 3, "corrected": True}),
}  # fmt: skip

# What is not here, and why.
ELSEWHERE = {
    "Decay": "an annotation",
    "Divergence": "an exception, which the library makes",
    "NonNegative": "an annotation",
    "__version__": "a string",
    "from_jax": "test_lift.py",
    "from_torch": "test_lift.py",
}

WRONG = [
    None, True, "word", "", float("nan"), float("inf"), -1, -0.5, 0, 1.5, 3 + 4j, [], (), {}, np.array([]),
    np.zeros((2, 3, 4)), np.array([np.nan]), [[1], [2, 3]], lambda: 0, x, sp.oo, [1, "a"], [None], ONE, ADAM, bea.adam, SERIES,
]  # fmt: skip

# What must never pass, although Python would take it: the silent kind of wrong.
NEVER = {
    ("Loss", "expression"): [sp.I, sp.nan, sp.oo],
    ("Loss.value", "theta"): [np.array([None]), np.array([np.nan, 1.0])],
    ("Optimizer", "hyperparameters"): [
        {},
        {"beta": 1.5},
        {"beta": 0.5, "gamma": 1},
        {"beta": True},
    ],
    ("Optimizer", "program"): ["adam", lambda t, g, m, beta: g(t), None],
    ("Series", "coefficients"): [np.zeros((2, 3, 4)), [[1.0]], "word"],
    ("Series.from_polynomials", "polynomials"): ["word", np.array(["a"])],
    ("Study", "hs"): [np.array([0.1]), np.array([-0.1, 0.1]), np.zeros((2, 2))],
    ("adam", "beta"): [np.ma.masked, True, 1, -0.1, [0.5, 1.0]],
    ("adam", "epsilon_inside"): [1, 0, None, "no"],
    ("elementary_differential", "tree"): ["", [], {}, "word"],
    ("flow", "per_step"): [0, True, 1.5],
    ("lag", "decay"): [-0.5, 1.5, float("nan"), 1],
    ("lag", "n"): [-1, float("inf"), float("nan")],
    ("modified_equation", "memory"): ["keep", None, True, ("kept", "lost")],
    ("moments", "count"): [0, -1, True],
    ("order_study", "horizon"): [True, float("inf")],
    ("order_study", "start"): ["word", True],
    ("quadratic", "curvature"): [["a"], b"x", [1, "a"], [True]],
    ("rooted_trees", "nodes"): [0, -1, True, 1.0, 21],
    ("run", "h"): [True, [0.1, -0.1], 0, float("nan")],
    ("run", "steps"): [True, 1.0, -1],
    ("run", "every"): [True, 0, 2],
    ("run", "vector_functions"): [1, 0, None, "no"],
    ("taylor", "symbols"): ["word", "", {}],
    ("TransientEquation.pieces", "steps"): [True, -1],
    ("weights", "count"): [0, -1, True],
}


def refused(function, given):
    """Whether the arguments are refused; fails if something else than words comes out."""
    try:
        function(**given)
    except bea.Divergence:
        return False  # the numbers were right, and the run went where it had to
    except (TypeError, ValueError) as error:
        assert len(str(error)) > 10
        return True
    return False


def test_every_public_function_is_here():
    named = {word for name in GOOD for word in name.replace(".", " ").split()} | set(ELSEWHERE)
    assert sorted(set(bea.__all__) - named) == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", GOOD)
def test_what_is_wrong_is_refused_in_words(name):
    function, given = GOOD[name]
    assert not refused(function, given)
    for argument in given:
        if (name, argument) == ("weights", "corrected"):
            continue  # whatever is true or false
        taken = [bad for bad in WRONG if not refused(function, given | {argument: bad})]
        assert len(taken) < len(WRONG) / 2, f"{argument} takes nearly anything"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, argument", NEVER)
def test_what_is_silently_wrong_does_not_pass(name, argument):
    function, given = GOOD[name]
    for bad in NEVER[name, argument]:
        assert refused(function, given | {argument: bad}), bad


def test_optional_arguments_are_in_the_table():
    """No argument is left out: the table's names are the signatures' names."""
    elsewhere = {
        "features",
        "labels",
        "standardize",
        "hessian_vector",
        "first",
        "method",
        "tolerance",
        "n",
        "time",
    }  # tested where they belong
    for name, (function, given) in GOOD.items():
        if inspect.isfunction(function) and function.__module__.startswith("bea."):
            left_out = set(inspect.signature(function).parameters) - set(given)
            assert left_out <= elsewhere, (name, left_out)


# --- long runs --------------------------------------------------------------------------------------

LONG = 10**6


def last_of_a_long_run(*given):
    """The last iterate of a run of a million steps, of which it alone is kept."""
    return bea.run(*given, steps=LONG, every=LONG)[-1, 0]


def test_a_million_steps_of_heavy_ball_do_not_drift():
    """On a parabola, from 1 to about e^-2, against the closed form in 50 digits: 1e-11 of the value.

    A memory of another decay, wrong by one part in a billion, is seen.
    """
    beta, h = Fraction(1, 2), Fraction(1, 2**19)
    last = last_of_a_long_run(bea.heavy_ball(float(beta), damped=True), ONE, (1.0,), float(h))
    exact = heavy_ball_in_50_digits(beta, h, LONG)
    assert 0.1 < exact < 0.2
    assert abs(last / exact - 1) < 1e-11
    assert abs(last / heavy_ball_in_50_digits(beta, h * (1 + Fraction(1, 10**9)), LONG) - 1) > 1e-9


def heavy_ball_in_50_digits(beta, h, steps):
    """theta after so many steps from 1, with empty memory: a sum of two powers."""
    with mpmath.workdps(50):
        b, step = (mpmath.mpf(q.numerator) / q.denominator for q in (beta, h))
        trace = 1 + b - step * (1 - b)
        root = mpmath.sqrt(trace**2 - 4 * b)
        fast, slow = (trace - root) / 2, (trace + root) / 2
        weight = (1 - step * (1 - b) - fast) / (slow - fast)
        return weight * slow**steps + (1 - weight) * fast**steps


def test_a_million_steps_of_adam_do_not_drift():
    """On a slope of 3, where both corrected averages are constant: theta = 1 - n h 3/sqrt(9 + epsilon).

    Equal steps are rounded alike, so that the errors add up instead of cancelling: 1.9e-11 was measured.  It
    can't be more than half a unit in the last place of 1 for each step, which is 1.1e-10.
    """
    h, epsilon = 2.0**-20, 0.5
    last = last_of_a_long_run(bea.adam(0.9, 0.999, epsilon), bea.Loss(3 * x, (x,)), (1.0,), h)
    assert abs(last - (1 - LONG * h * 3 / np.sqrt(9 + epsilon))) < LONG * 2.0**-53


def test_a_long_walk_takes_no_more_memory():
    """Python holds as many blocks of memory after 10^5 steps as after 1000; keeping a thousand iterates is seen."""
    steps = 10**5
    walked = bea.walk(DESCENT, bea.NumericLoss(1, lambda t: t[0] ** 2 / 2, lambda t: t), (1.0,), 2.0**-20)

    def go_on(count):
        for _ in range(count):
            point = next(walked)
        return point

    go_on(1001)
    before = sys.getallocatedblocks()
    last = go_on(steps - 1000)
    assert sys.getallocatedblocks() - before < 500
    kept = [next(walked) for _ in range(1000)]
    assert sys.getallocatedblocks() - before > 900 and len(kept) == 1000
    assert abs(last[0] / np.exp(steps * np.log1p(-(2.0**-20))) - 1) < 1e-11
