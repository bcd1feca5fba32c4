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

import bea
from bea_book import atlas, live
from bea_book.live import laboratory
from test_live import LOSSES, OPTIMIZERS, worst

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
    found = subprocess.run([node, HERE / "laboratory.mjs"], input=given, capture_output=True, text=True, timeout=600)
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


# --- the page's numbers against its own snippets -----------------------------------------------------

SPECS = {}  # what the page computes when both are chosen from those of the book
for _loss in laboratory.presets()["losses"]:
    for _optimizer in laboratory.presets()["optimizers"]:
        _both = {name: _loss[name] * _optimizer["pace"] for name in ("h", "time")}
        _spec = {name: str(value) for name, value in {**_loss, **_optimizer, **_both}.items()}
        SPECS[f"{_loss['name']}, {_optimizer['name']}"] = {**_spec, "empty": False}
# Every optimizer on the first loss, and the first optimizer on every loss, with an empty memory on the first.
COMPARED = {
    name: {**spec, "empty": name.startswith("bilinear")}
    for name, spec in SPECS.items()
    if name.startswith("bilinear") or name.endswith(", Adam")
}


def experiments(specs):
    return [answer["parts"] for answer in ask([{"call": "experiment", "spec": spec} for spec in specs])]


@functools.cache
def presets_computed():
    return dict(zip(COMPARED, experiments(COMPARED.values())))


def test_every_choice_has_the_orders_of_the_theory():
    """Of all losses and optimizers to choose from, each pair shows the slopes 1 to 4."""
    slopes = {
        name: [study["slope"] for study in studies]
        for name, (_, *studies, _) in zip(SPECS, experiments(SPECS.values()))
    }
    assert len(slopes) == len(laboratory.LOSSES) * len(laboratory.OPTIMIZERS)
    assert {name: found for name, found in slopes.items() if found != pytest.approx([1, 2, 3, 4], abs=0.35)} == {}


def in_python(snippet, symbols=False):
    """What the snippet computes; without f_1 in symbols unless it is asked for, which takes seconds."""
    lines, found = snippet.rstrip().split("\n"), {}
    assert lines[-3].startswith("f_1 = ") and lines[-2:] == ["print(f_1)", "f_1"]
    lines[-3:] = lines[-3:] if symbols else []
    exec("\n".join(lines), found)
    return found


@pytest.mark.parametrize("name", COMPARED)
def test_snippet_computes_the_same(name, capsys):
    shown, *studies, done = presets_computed()[name]
    found = in_python(shown["snippet"])
    notes = [note for note in shown["notes"] if note != "At the start the leading-order flow is at rest."]
    one, two = (float(f"{distance:.3g}") for distance in found["distances"][:2])  # as they are shown
    no_closer = two >= one > 1e-11  # the note is there then, and only then
    assert done["kind"] == "done" and ["empty memory" in note for note in notes] == [True] * int(no_closer)
    assert far(shown["path"], found["path"]) < EXACT
    assert [line["distance"] for line in shown["flows"]] == pytest.approx(found["distances"], rel=0.01, abs=1e-10)
    if "kept_distance" in found:
        assert shown["kept"]["distance"] == pytest.approx(found["kept_distance"], rel=0.01)
    else:
        assert shown["kept"]["why"] in ("the program has no memory", "tick “empty memory” to see it")
    for study, of_python in zip(studies, found["studies"]):
        large = of_python.above_floor
        assert np.array(study["errors"])[large] == pytest.approx(of_python.errors[large], rel=0.01, abs=1e-11)
        if large.all():
            assert study["slope"] == pytest.approx(of_python.slope, abs=0.02)
            assert abs(study["slope"] - study["order"]) < 0.5


def aside(path, curve):
    """The median distance of a run's points from a curve, wherever on it that is."""
    begin, way = curve[:-1], np.diff(curve, axis=0)
    share = np.clip(((path[:, None] - begin) * way).sum(-1) / (way**2).sum(-1), 0, 1)
    return np.median(np.linalg.norm(path[:, None] - begin - share[..., None] * way, axis=-1).min(1))


def test_the_opening_tells_the_curves_apart():
    """On the page's first picture the leading-order flow and that with two terms run beside the iterates."""
    opening = laboratory.presets()["opening"]
    [[shown, *studies, _]] = experiments([{name: str(value) for name, value in opening.items()} | {"empty": False}])
    start, h, steps = (opening["x"], opening["y"]), opening["h"], round(opening["time"] / opening["h"])
    x, y = sp.symbols("x y", real=True)
    adam, loss = laboratory.OPTIMIZERS["Adam"], bea.Loss(sp.sympify(opening["loss"], {"x": x, "y": y}), (x, y))
    path = bea.run(adam, loss, start, h, steps, memory=bea.modified_equation(adam, loss, 4).memory(start, h))
    flows = [bea.flow(bea.modified_equation(adam, loss, terms), start, h, steps) for terms in (1, 2, 3, 4)]
    assert far(shown["path"], path) < EXACT
    for found, flow in zip(shown["flows"], flows):
        assert found["distance"] == pytest.approx(np.linalg.norm(flow[-1] - path[-1]), rel=0.02)
    wide = max(high - low for low, high in shown["window"])
    leading, two, three, four = (aside(path[1:], flow) / wide for flow in flows)
    assert leading > 0.06 and two > 0.015 and max(three, four) < 0.003 and 3 < leading / two < 4
    assert [study["slope"] for study in studies] == pytest.approx([1, 2, 3, 4], abs=0.3)


def test_snippet_prints_the_correction_in_symbols(capsys):
    name = "quadratic, Adam"
    f_1 = in_python(presets_computed()[name][0]["snippet"], symbols=True)["f_1"]
    assert {str(symbol) for part in f_1 for symbol in part.free_symbols} == {"x", "y", "beta", "rho", "epsilon"}


# --- what is wrong is told at its place ----------------------------------------------------------------

GOOD = {
    "loss": "x**2 + y**2", "optimizer": "return gradient(theta)", "given": "", "h": "0.1", "time": "1", "x": "1", "y": "2",
    "empty": True,
}  # fmt: skip
AVERAGE = "m = memory.average(gradient(theta), beta)\nreturn m"
BAD = [
    # what is typed, the field, its line and column, words of what is told
    ({"loss": "x**2 +"}, "loss", 1, 7, "a value is missing before the end"),
    ({"loss": "x^2"}, "loss", 1, 2, "a power is written **"),
    ({"loss": "x**2 + z"}, "loss", 1, 8, "“z” is unknown; there are x, y, pi, abs, sqrt"),
    ({"loss": "2x"}, "loss", 1, 2, "the line should end before x"),
    ({"loss": "(x + y"}, "loss", 1, 7, "“)” is missing"),
    ({"loss": "x(y)"}, "loss", 1, 2, "for a product write *"),
    ({"loss": "sqrt(x, y)"}, "loss", 1, 1, "sqrt takes 1 value, not 2"),
    ({"loss": "7"}, "loss", None, None, "does not depend on x or y"),
    ({"loss": "x/0"}, "loss", 1, 2, "divides by zero"),
    ({"loss": "sqrt(-1)*x"}, "loss", 1, 1, "the square root of -1 is taken"),
    ({"loss": "1e300*1e300*x"}, "loss", 1, 6, "“*” of 1e+300 and 1e+300 is no finite number"),
    ({"loss": "9" * 400 + "*x"}, "loss", 1, 1, "999999999999… is too large for a number"),
    ({"loss": "E = x**2"}, "loss", 1, 1, "write the expression alone"),
    ({"loss": "Max(x, y)"}, "loss", 1, 1, "a loss is one formula"),
    ({"loss": "(" * 3000}, "loss", 1, 61, "more than 60 brackets"),
    ({"loss": "-" * 3000 + "x"}, "loss", 1, None, "too deep"),
    ({"loss": "x" * 5000}, "loss", 1, 1, "at most 4000"),
    ({"loss": "fetch('/')"}, "loss", 1, 1, "“fetch” is unknown"),
    ({"loss": "x.constructor"}, "loss", 1, 2, "has no “constructor”"),
    ({"loss": "__proto__"}, "loss", 1, 1, "“__proto__” is unknown"),
    ({"loss": ""}, "loss", 1, 1, "a value is missing"),
    ({"loss": "x<y"}, "loss", 1, 2, "a loss is one number, without “<”"),
    ({"loss": "x if 1 else y"}, "loss", 1, 3, "a loss is one formula, without “if”"),
    ({"loss": "(x, y)"}, "loss", 1, 1, "a loss is one number, not a list"),
    ({"loss": "1e400*x"}, "loss", 1, 1, "1e400 is too large for a number"),
    ({"loss": "x² + y"}, "loss", 1, 2, "a power is written **"),
    ({"loss": "(1 − x)**2"}, "loss", 1, 4, "the minus sign of the keyboard is -"),
    ({"loss": "x·y"}, "loss", 1, 2, "a product is written *"),
    ({"loss": "(2x + 1)**2"}, "loss", 1, 3, "here is x; a product is written *"),
    ({"loss": "x(y + 1)"}, "loss", 1, 2, "for a product write *"),
    ({"loss": "sin x"}, "loss", 1, 5, "write sin(…), with brackets"),
    ({"loss": "np.sin(x)"}, "loss", 1, 1, "in a loss write sin(x), not np.sin(x)"),
    ({"loss": "arctan(x)"}, "loss", 1, 1, "write atan(x)"),
    ({"loss": "a**2 + b**2"}, "loss", 1, 1, "the variables are x and y"),
    ({"loss": "toString"}, "loss", 1, 1, "“toString” is unknown; there are x, y"),
    ({"loss": "log(x - 3) + y**2"}, "loss", 1, 1, "the logarithm of -2 is taken"),
    ({"loss": "x**2 + 1/(y - 2)"}, "loss", 1, 9, "1 is divided by zero"),
    ({"loss": "sqrt(x - 1) + y**2"}, "loss", 1, 1, "is divided by zero in the gradient"),
    ({"optimizer": "g = gradient(theta)"}, "optimizer", 1, 20, "the last line must be “return”"),
    ({"optimizer": "g = gradient(theta\nreturn g"}, "optimizer", 2, 1, "the “(” of line 1, column 13 is still open"),
    ({"optimizer": "g = gradient(theta)\ng = np.stack([g[0], (g[1])\nreturn g"}, "optimizer", 3, 1, "the “[” of line 2, column 14 is"),
    ({"optimizer": "def f(a, g, m):\n    return f(a, g, m)"}, "optimizer", 2, 12, "a program cannot call itself"),
    ({"optimizer": "f = lambda x: x\nreturn f"}, "optimizer", 1, 5, "“lambda” is a word of Python’s own that is not read here"),
    ({"optimizer": "g = gradient(theta)\nreturn g @ g"}, "optimizer", 2, 10, "write np.sum(a * b)"),
    ({"optimizer": "g = gradient(theta)\ng[0] = 1\nreturn g"}, "optimizer", 2, 2, "write np.stack([a, b])"),
    ({"optimizer": AVERAGE, "given": "beta=-0.5"}, "optimizer", 1, 5, "is -0.5; it must be at least 0 and less than 1"),
    ({"optimizer": AVERAGE, "given": "beta=1/0"}, "given", 1, 7, "1 is divided by zero"),
    ({"optimizer": "g = gradient(theta)\nreturn np.foo(g)"}, "optimizer", 2, 10, "np has no “foo” here"),
    ({"optimizer": "return gradient"}, "optimizer", None, None, "the update has one number"),
    ({"optimizer": AVERAGE}, "optimizer", 1, 37, "“beta” is unknown"),
    ({"optimizer": AVERAGE, "given": "beta=1.5"}, "optimizer", 1, 5, "the decay of an average is 1.5"),
    ({"optimizer": AVERAGE, "given": "beta"}, "given", 1, 5, "“=” is missing"),
    ({"optimizer": AVERAGE, "given": "beta=0.5 rho=1"}, "given", 1, 10, "“,” is missing before rho"),
    ({"optimizer": AVERAGE, "given": "beta=0.5, lambda=1"}, "given", 1, 11, "a word of Python’s own"),
    ({"optimizer": AVERAGE, "given": "theta=0.5, beta=0.5"}, "given", None, None, "no name for a hyper-parameter"),
    ({"optimizer": "for k in g:\n  pass\nreturn g"}, "optimizer", 1, 1, "“for” is not read here"),
    ({"optimizer": "g = gradient(theta)\nreturn g if g > 0 else 0"}, "optimizer", 2, 10, "np.where(condition, a, b)"),
    ({"optimizer": "return theta[2]"}, "optimizer", 1, 13, "there is no entry 2"),
    ({"optimizer": "return memory.mean(theta)"}, "optimizer", 1, 14, "it has h, time, step, average, previous"),
    ({"optimizer": "g = gradient(theta)\nreturn g / np.linalg.norm(g)", "x": "0", "y": "0"}, "optimizer", None, None, ""),
    ({"optimizer": "x -= theta\nreturn x"}, "optimizer", 1, 3, "write x = x - …"),
    ({"optimizer": "return h * theta"}, "optimizer", 1, 8, "the step size is memory.h; return the update U"),
    ({"optimizer": "m = 0.9 * m + theta\nreturn m"}, "optimizer", 1, 11, "what is kept from step to step is memory.average"),
    ({"optimizer": "return sqrt(theta)"}, "optimizer", 1, 8, "write np.sqrt"),
    ({"optimizer": "return max(theta, 0)"}, "optimizer", 1, 8, "write np.maximum(a, b)"),
    ({"optimizer": "return np.array([theta[1], -theta[0]])"}, "optimizer", 1, 8, "takes fixed numbers only; write np.stack([...])"),
    ({"optimizer": "return [theta[1], -theta[0]]"}, "optimizer", 1, None, "write np.stack([...])"),
    ({"optimizer": "return [1, 2] * theta"}, "optimizer", 1, 15, "a list is not a value that one can compute with"),
    ({"optimizer": "return np.stack([theta, theta])"}, "optimizer", 1, 8, "a list of numbers, not of arrays"),
    ({"optimizer": "return np.stack(theta)"}, "optimizer", 1, 8, "np.stack takes a list"),
    ({"optimizer": "return np.concatenate([1, 2])"}, "optimizer", 1, 8, "takes a list of arrays"),
    ({"optimizer": "return gradient(theta[0])"}, "optimizer", 1, 8, "a point with two coordinates"),
    ({"optimizer": "return theta[]"}, "optimizer", 1, 13, "must be a fixed whole number"),
    ({"optimizer": "return memory.average(theta)"}, "optimizer", 1, 8, "memory.average takes 2 to 3 values, not 1"),
    ({"optimizer": "return memory.average(theta, beta=0.5)"}, "optimizer", 1, 30, "has no argument “beta”; it has x, decay, corrected"),
    ({"optimizer": "return memory.average(theta, 0.5, decay=0.1)"}, "optimizer", 1, 35, "is given “decay” twice"),
    ({"optimizer": "return lr * theta", "given": "lr=1e400"}, "given", 1, 4, "too large for a number"),
    ({"optimizer": "return 1 / (theta - 1)"}, "optimizer", 1, 10, "1 is divided by zero"),
    ({"optimizer": "def f(theta, gradient, memory, beta):\n    return theta * beta"}, "optimizer", 1, 32, "has no value"),
    ({"h": "0"}, "h", None, None, "larger than 0"),
    ({"h": "a tenth"}, "h", None, None, "not “a tenth”"),
    ({"h": ""}, "h", None, None, "must be a number"),
    ({"time": "0.01"}, "time", None, None, "h or more, here 0.1"),
    ({"time": "1e9"}, "time", None, None, "at most 1000"),
    ({"x": "Infinity"}, "x", None, None, "must be a number"),
]  # fmt: skip


@functools.cache
def bad_computed():
    return experiments([{**GOOD, **changed} for changed, *_ in BAD])


@pytest.mark.parametrize("number", range(len(BAD)), ids=lambda n: str(BAD[n][0])[:40])
def test_bad_input_is_told_at_its_place(number):
    changed, field, line, column, words = BAD[number]
    told = bad_computed()[number][-1]
    assert told["kind"] == "problem", changed
    assert words in told["message"], told
    assert told["field"] == field
    assert column is None or (told["line"], told["column"]) == (line, column)


def test_a_loss_without_a_value_is_told():
    [[shown, *_]] = experiments([{**GOOD, "loss": "log(x) + y**2", "h": "0.5", "time": "1", "x": "0.4"}])
    assert (
        shown["notes"][0]
        == "After step 1, at x = -0.85, y = 0, the loss has no value: the logarithm of -0.85 is taken."
    )


def test_divergence_is_told():
    [shown, *studies, done], [still, *_] = experiments(
        [{**GOOD, "h": "5", "time": "5000"}, {**GOOD, "optimizer": "return gradient(theta)", "x": "0", "y": "0"}]
    )
    assert not shown["whole"] and "The run diverges: after step" in shown["notes"][0] and done["kind"] == "done"
    assert all(study["slope"] in ("NaN", None) or np.isfinite(float(study["slope"])) for study in studies)
    assert still["notes"] == ["At the start the leading-order flow is at rest."]


SAME = [
    ("g = gradient(theta)\nreturn np.stack([g[1] + theta[0], np.square(g[0])])", "lambda g, t: np.stack([g[1] + t[0], g[0] ** 2])"),
    ("g = gradient(theta)\nreturn np.array([1, 3/2]) * np.concatenate((g[1:], g[:1]))", "lambda g, t: np.array([1, 1.5]) * g[::-1]"),
    ("g = gradient(theta)\na, b = g[0], -g[-1]\nreturn g + theta.mean() - np.sum(g) / 9 + a - b ** 2 / 9", "lambda g, t: g + t.mean() - g.sum() / 9 + g[0] - g[1] ** 2 / 9"),
]  # fmt: skip


@pytest.mark.parametrize("text, update", SAME)
def test_arrays_are_those_of_numpy(text, update):
    """A run by what the page reads, and by a plain loop in NumPy; the loss is (x^2 + y^2), its gradient 2 theta."""
    [[shown, *_]] = experiments([{**GOOD, "optimizer": text, "h": "0.01", "time": "0.1"}])
    point, update = np.array([1.0, 2.0]), eval(update)
    for _ in range(10):
        point = point - 0.01 * update(2 * point, point)
    assert shown["path"][-1] == pytest.approx(point, rel=1e-13)


PYTORCH = (
    "g = gradient(theta)\nm = memory.average(g, b1, corrected=True)\nv = memory.average(g*g, b2, corrected=True)\n"
)
PYTORCH += "return m/(v**0.5 + eps)"
NOT_THERE = [
    # an experiment in which some flow ends before the run does, or is too steep for as many steps as there are
    {"loss": "(3/2 - 2*x*y)**2/2", "optimizer": "m = memory.average(gradient(theta), 0.9)\nreturn memory.average(m, 0.9)",
     "h": "0.004", "time": "0.12", "x": "1.2", "y": "1.3"},
    {"loss": "sin(x)*cos(y) + x**2/10", "optimizer": PYTORCH, "given": "b1=0.9, b2=0.999, eps=1e-8", "h": "0.001",
     "time": "0.1", "x": "1", "y": "1"},
]  # fmt: skip


@pytest.mark.parametrize("spec", NOT_THERE, ids=["nested averages", "waves"])
def test_a_number_is_shown_only_where_there_is_one(spec, capsys):
    [[shown, *studies, done]] = experiments([{**GOOD, **spec}])
    found = in_python(shown["snippet"])  # and the snippet gets to its end
    for line, distance in zip(shown["flows"], found["distances"]):
        assert "distance" not in line if np.isnan(distance) else line["distance"] == pytest.approx(distance, rel=0.05)
    missing = [float(x) for study in studies for x in study["errors"]]
    assert done["kind"] == "done" and np.isnan(missing).any() and not np.isinf(missing).any()


def test_what_python_would_refuse_is_mended_in_the_snippet(capsys):
    changed = {"loss": "x**2 + y**2;  # a bowl", "optimizer": "return 2*gradient(theta)"}
    [[shown, *_]] = experiments([{**GOOD, **changed}])
    found = in_python(shown["snippet"])
    assert far(shown["path"], found["path"]) < EXACT


def test_where_more_terms_do_not_help_is_told():
    average = {"optimizer": "return memory.average(gradient(theta), 0.9)", "h": "0.004", "time": "0.12"}
    asked = [{**GOOD, **average}, {**GOOD, "loss": "1000*x**2 + y**2", "h": "0.1"}, {**GOOD, "loss": "abs(x) + y**2"}]
    told = [" ".join(parts[0]["notes"]) for parts in experiments([*asked, GOOD])]
    assert "empty memory" in told[0] and "grows without bound" in told[1] and "has a kink" in told[2] and told[3] == ""


def test_numbers_may_be_arithmetic():
    [[plain, *_], [typed, *_]] = experiments(
        [{**GOOD, "h": "0.05", "x": "-0.5"}, {**GOOD, "h": "1/20", "x": "\u22121/2"}]
    )
    assert plain["path"] == typed["path"]
    words = [experiments([{**GOOD, "h": text}])[0][-1]["message"] for text in ("0,05", "")]
    assert "with a point: 0.05" in words[0] and "here is none" in words[1]


def test_a_flow_that_goes_astray_does_not_hide_the_run():
    spec = {"loss": "(3/2 - 2*x*y)**2/2", "optimizer": PYTORCH, "given": "b1=0.9, b2=0.999, eps=1e-8", "h": "0.01"}
    [[shown, *_]] = experiments([{**GOOD, **spec, "time": "1", "x": "1.2", "y": "1.3"}])
    path = np.array(shown["path"])
    assert all(high - low < 8 * np.ptp(path, axis=0).max() for low, high in shown["window"])


def test_two_forms_of_one_program():
    head = "@bea.optimizer\ndef polyak(theta, gradient, memory, *, beta: bea.Decay = 0.5):\n    '''Doc.'''\n"
    lines = "m = memory.average(gradient(theta), beta)  # a comment\n\nreturn m / (1 -\n  beta)"
    whole = head + "\n".join("    " + line for line in lines.split("\n"))
    [alone, *_], [function, *_] = experiments(
        [{**GOOD, "optimizer": lines, "given": "beta=0.5"}, {**GOOD, "optimizer": whole}]
    )
    assert alone["path"] == function["path"]
    assert "def polyak(theta, gradient, memory, beta):" in function["snippet"]
    assert in_python(function["snippet"])["distances"] == in_python(alone["snippet"])["distances"]
