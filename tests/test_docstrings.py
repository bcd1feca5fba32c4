"""Everything that the packages offer is documented: parameters, results and an example that runs."""

import inspect

import pytest
from numpydoc.validate import validate

import bea
import bea_book
import bea_book.atlas
import bea_book.equations
import bea_book.evidence
import bea_book.ledger
import bea_book.live
import bea_book.plot
import bea_book.svg

# What numpydoc must not find: no docstring, sections out of order, parameters that are missing, unknown
# or in another order, no result, no example.
CHECKS = {"GL08", "SS01", "GL06", "GL07", "PR01", "PR02", "PR03", "RT01", "EX01"}
# bea_book itself offers what its other modules have.
MODULES = (
    bea_book.atlas,
    bea_book.equations,
    bea_book.evidence,
    bea_book.ledger,
    bea_book.live,
    bea_book.plot,
    bea_book.svg,
)


def offered():
    """The full name of every public function and class, and of every public method of such a class."""
    names = []
    for module in (bea, bea_book, *MODULES):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                names.append(f"{module.__name__}.{name}")
            if inspect.isclass(thing):
                own = [k for k, v in vars(thing).items() if k[:1] != "_" and inspect.isroutine(v)]
                names += [f"{module.__name__}.{name}.{method}" for method in own]
    return names


def problems_of(name):
    """What numpydoc finds wrong, as lines."""
    found = {(code, text) for code, text in validate(name)["errors"] if code in CHECKS}
    if inspect.isclass(eval(name.rpartition(".")[0], {"bea": bea, "bea_book": bea_book})):  # it has the example
        found = {(code, text) for code, text in found if code != "EX01"}
    return sorted(f"{name}: {code} {text}" for code, text in found)


@pytest.mark.parametrize("name", offered())
def test_documented(name):
    assert problems_of(name) == []


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
