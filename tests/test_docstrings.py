"""Everything that the packages offer is documented: parameters, results and an example that runs."""

import inspect

from numpydoc.validate import validate

import bea
import bea_book

# What numpydoc must not find: no docstring, sections out of order, parameters that are missing, unknown
# or in another order, no result, no example.
CHECKS = {"GL08", "SS01", "GL06", "GL07", "PR01", "PR02", "PR03", "RT01", "EX01"}
# Arguments that every program has; bea.optimizer explains them once.
PROGRAM = "{'gradient', 'memory', 'theta'}"


def offered():
    """The full name of every public function and class, and of every public method of such a class."""
    names = []
    for package in (bea, bea_book):
        for name in package.__all__:
            thing = getattr(package, name)
            if not inspect.isclass(thing) and not callable(thing):
                continue
            names.append(f"{package.__name__}.{name}")
            if inspect.isclass(thing):
                own = [k for k, v in vars(thing).items() if k[:1] != "_" and inspect.isroutine(v)]
                names += [f"{package.__name__}.{name}.{method}" for method in own]
    return names


def problems_of(name):
    """What numpydoc finds wrong, as lines."""
    found = {(code, text) for code, text in validate(name)["errors"] if code in CHECKS}
    if name.count(".") > 1:  # the class has the example
        found = {(code, text) for code, text in found if code != "EX01"}
    if getattr(inspect.unwrap(eval(name, {"bea": bea, "bea_book": bea_book})), "program", None):
        found -= {("PR01", f"Parameters {PROGRAM} not documented")}
    return sorted(f"{name}: {code} {text}" for code, text in found)


LEFT = 40  # public things whose docstrings lack a section; to be lowered, never raised


def test_documented():
    incomplete = [name for name in offered() if problems_of(name)]
    assert len(incomplete) <= LEFT, incomplete


def test_missing_parts_are_caught(monkeypatch):
    def half(x, y):
        """Half of x.

        Parameters
        ----------
        x : float
            A number.
        """
        return x / 2

    monkeypatch.setattr(bea, "half", half, raising=False)
    codes = " ".join(problems_of("bea.half"))
    assert all(code in codes for code in ("PR01", "RT01", "EX01"))
