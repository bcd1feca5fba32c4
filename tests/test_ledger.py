"""The equation ledger: nothing labelled escapes it, everything in it holds, and every spoilt copy is caught."""

import random
import re
from pathlib import Path

import nbformat
import pytest
import sympy as sp

from bea_book import equations, ledger

CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"
LABELLED = re.compile(r"\$\$\s*((?:(?!\$\$).)*?)\s*\$\$\s*\(([\w-]+)\)", re.S)
OTHER_LABELS = re.compile(
    r"```\{math\}[^`]*?:label:|\\label\{|\\begin\{(?:align|equation|gather|multline)\}"
)
ENTRIES = equations.entries()


def printed_equations():
    """(label, latex) of every labelled equation in the book, in print order."""
    found = []
    for path in sorted(CHAPTERS.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                found += [(label, latex) for latex, label in LABELLED.findall(cell.source)]
    for path in sorted(CHAPTERS.glob("*.md")):
        found += [(label, latex) for latex, label in LABELLED.findall(path.read_text())]
    return found


PRINTED = printed_equations()


def test_the_book_has_labelled_equations():
    assert len(PRINTED) >= 25


def test_every_label_is_used_once():
    labels = [label for label, _ in PRINTED]
    assert sorted(labels) == sorted(set(labels))


def test_every_labelled_equation_has_an_entry_and_every_entry_an_equation():
    assert {label for label, _ in PRINTED} == {entry.label for entry in ENTRIES}
    assert len({entry.label for entry in ENTRIES}) == len(ENTRIES)


def test_no_other_way_of_labelling_is_used():
    for path in [*CHAPTERS.glob("*.ipynb"), *CHAPTERS.glob("*.md")]:
        text = (
            "\n".join(
                c.source
                for c in nbformat.read(path, as_version=4).cells
                if c.cell_type == "markdown"
            )
            if path.suffix == ".ipynb"
            else path.read_text()
        )
        assert not OTHER_LABELS.search(text), (
            f"{path.name} labels an equation in a way that the ledger does not see"
        )


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.label)
def test_what_is_printed_is_what_is_checked(entry):
    printed = dict(PRINTED)[entry.label]
    assert re.sub(r"\s+", "", printed) == re.sub(r"\s+", "", entry.latex)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.label)
def test_equation_holds_and_every_mutant_is_caught(entry):
    report = ledger.verify(entry)
    assert report.holds, f"{entry.label} is wrong as printed: {entry.latex}"
    assert report.tried >= 1, (
        f"{entry.label}: nothing in it could be spoilt, so the check proves nothing"
    )
    assert not report.survivors, f"{entry.label}: spoilt copies that pass: {report.survivors}"


# --- the reader itself -------------------------------------------------------------------------------------------------


def value(latex, **atoms):
    return ledger.read("0 = " + latex, {name.replace("_", "_"): v for name, v in atoms.items()})[0][
        1
    ]


x, y = sp.symbols("x y")


@pytest.mark.parametrize(
    "latex, meaning",
    [
        (r"x - y - x", -y),
        (r"-\frac{x}{2}\,y^2", -x * y**2 / 2),
        (r"\frac{1}{2}\left(x + y\right)^2", (x + y) ** 2 / 2),
        (r"\frac{x}{(1 - y)^{3}}", x / (1 - y) ** 3),
        (r"\sqrt{x^2 + 1}", sp.sqrt(x**2 + 1)),
        (r"x/2 y", x / 2 * y),
        (r"\ln(1 - x)", sp.log(1 - x)),
        (r"\sin x \cdot y", sp.sin(x) * y),
        (r"\sum_{k=1}^{3} k x^k - y", x + 2 * x**2 + 3 * x**3 - y),
        (r"\sum_{k=2}^{3} 2 k y", 10 * y),
        (r"\sum_{k=1}^{0} x", 0),
        (r"x^{-1}", 1 / x),
        (r"\begin{aligned} x &+ 2 \\ &- y \end{aligned}", x + 2 - y),
        (r"x\,y\;x\ y\left(x\right)", x**3 * y**2),
        (r"\binom{2 + 3}{2} x", 10 * x),
        (r"\binom{2}{3}", 0),
    ],
)
def test_reader(latex, meaning):
    assert sp.simplify(value(latex, x=x, y=y) - meaning) == 0


@pytest.mark.parametrize("latex", [r"x +* y", r"\frac{x}", r"z", r"(x", r"x^"])
def test_reader_refuses_what_it_does_not_understand(latex):
    with pytest.raises(ValueError):
        value(latex, x=x, y=y)


def test_reader_keeps_a_greek_factor_apart_from_the_letter_behind_it():
    assert value(r"\beta\,x + \beta x", **{r"\beta": y, "x": x}) == 2 * x * y
    assert (
        len([m for m in ledger.mutants(r"y = \beta\,x") if r"\beta" not in m]) == 2
    )  # dropped, and exchanged with rho


def test_reader_takes_the_longest_atom_and_whole_commands_only():
    assert value(r"\beta", **{r"\beta": x}) == x
    assert value(r"D^2 E", **{"D^2 E": x, "D": y, "E": y}) == x
    with pytest.raises(ValueError):
        value(r"\betax", **{r"\beta": x})


def test_reader_writes_indices_into_subscripts():
    atoms = {r"\partial_1E": x, r"\partial_2E": y, r"H_{11}": 1, r"H_{12}": 2, r"H_{22}": 3}
    assert value(r"\sum_{i=1}^{2} \partial_i E", **atoms) == x + y
    assert (
        value(r"\sum_{j=1}^{2} \sum_{i=1}^{j} H_{ij}\,\partial_i E", **atoms) == x + 2 * x + 3 * y
    )


def test_order_term_is_judged_at_its_power():
    def entry(latex):
        return ledger.Entry(
            "eq-exponential",
            latex,
            lambda rng: {"y": sp.exp(ledger.h), "h": ledger.h},
            "the exponential's series",
        )

    assert ledger.holds(entry(r"y = 1 + h + \frac{h^2}{2} + O(h^3)"))
    assert not ledger.holds(entry(r"y = 1 + h + \frac{h^2}{2} + O(h^4)"))
    assert not ledger.holds(entry(r"y = 1 + h + \frac{h^2}{3} + O(h^3)"))


def test_mutants_keep_statements_apart():
    for mutant in ledger.mutants(r"y = 1, \qquad x = 2"):
        assert len(ledger.read(mutant, {"x": x, "y": y})) == 2


def test_a_check_that_passes_everything_is_found_out():
    empty = ledger.Entry(
        "eq-empty", "x = x", lambda rng: {"x": sp.Integer(rng.randint(2, 9))}, "nothing"
    )
    assert ledger.verify(empty).tried == 0
    blind = ledger.Entry(
        "eq-blind",
        "x = 2 y",
        lambda rng: {"x": sp.Integer(0), "y": sp.Integer(0)},
        "an instance that sees nothing",
    )
    assert ledger.verify(blind).survivors


def test_instances_are_random_but_repeatable():
    entry = ENTRIES[0]
    assert entry.instance(random.Random("a")).keys() == entry.instance(random.Random("b")).keys()
    assert str(ledger.verify(entry)) == str(ledger.verify(entry))
