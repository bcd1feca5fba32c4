"""The ledger of equations: no labelled equation escapes it, everything in it holds, and every mutant is caught."""

import json
import random
import re
from pathlib import Path

import pytest
import sympy as sp

from bea_book import equations, ledger
from bea_book.ledger import reader

CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"
ENTRIES = equations.entries()
OTHER_LABELS = re.compile(r"\\label\{|\\begin\{(?:align|equation|gather|multline)\}")
x, y = sp.symbols("x y")


def by_label(entry):
    return entry.label


def prose():
    """{page: its Markdown}."""
    found = {path.name: path.read_text(encoding="utf-8") for path in CHAPTERS.glob("*.md")}
    for path in CHAPTERS.glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = ("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        found[path.name] = "\n\n".join(texts)
    return found


# --- the book ----------------------------------------------------------------------------------


def test_every_labelled_equation_has_one_entry():
    labels = [label for text in prose().values() for label in ledger.labelled(text)]
    assert sorted(labels) == sorted(set(labels)), "a label is used twice"
    assert set(labels) == set(ledger.printed())
    assert sorted(entry.label for entry in ENTRIES) == sorted(labels)


def test_the_ledger_sees_every_label():
    for page, text in prose().items():
        assert not OTHER_LABELS.search(text), f"{page} labels an equation in another way"
        labels = set(re.findall(r"\{eq\}`([\w-]+)`", text))
        assert labels <= set(ledger.printed()), f"{page} refers to equations that are not there"


@pytest.mark.parametrize("entry", ENTRIES, ids=by_label)
def test_equation(entry):
    report = ledger.verify(entry)
    assert report.passes, str(report)
    assert report.tried >= 5, f"only {report.tried} mutants could be read"


@pytest.mark.parametrize("entry", ENTRIES, ids=by_label)
def test_equivalent_mutants_are_mutants(entry):
    assert set(entry.equivalent) <= set(ledger.mutants(entry.equation))


def test_instances_depend_on_their_seed_alone():
    for instance in {entry.instance for entry in ENTRIES if entry.label.startswith("eq-gd-")}:
        one, again, other = (instance(random.Random(seed)) for seed in ("a", "a", "b"))
        assert one == again
        assert one.keys() == other.keys()
        assert one != other


def test_equations_of_a_chapter_import_no_other_chapter():
    for path in Path(equations.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"equations\.(ch\d|proof)|equations import (?!shared$)", text, re.M), (
            f"{path.name} imports the equations of another page; move what both need to shared.py"
        )


# --- what a check says ---------------------------------------------------------------------------


def entry(latex, **values):
    return ledger.Entry("eq-test", lambda rng: drawn(rng, values), "a test", latex=latex)


def drawn(rng, values):
    """The values, with random numbers for what is a function of the random generator."""
    found = {}
    for name, value in values.items():
        found[name] = value(rng, found) if callable(value) else sp.sympify(value)
    return found


def number(rng, found):
    return sp.Rational(rng.randint(2, 9), 11)


def test_a_right_equation():
    report = ledger.verify(entry(r"y = \frac{x}{2}", x=number, y=lambda rng, at: at["x"] / 2))
    assert report.passes
    assert str(report) == f"eq-test: holds; {report.tried} of {report.tried} mutants caught"


def test_a_wrong_equation_is_printed_with_its_correction():
    values = {"x": number, "y": lambda rng, at: -at["x"] / 2}
    report = ledger.verify(entry(r"y = \frac{x}{2}", **values))
    assert not report.holds
    assert str(report).splitlines() == [
        "eq-test: does not hold as printed",
        r"    y = \frac{x}{2}",
        "  This holds instead:",
        r"    y=-\frac{x}{2}",
    ]


def test_a_wrong_equation_without_a_correction():
    report = ledger.verify(entry("y = x", x=number, y=lambda rng, at: at["x"] ** 5))
    assert not report.passes
    assert "holds instead" not in str(report)


def test_a_check_that_sees_nothing():
    report = ledger.verify(entry("y = 2 x", x=0, y=0))
    assert report.holds
    assert set(report.survivors) == {"y=-2x", "y=3x", "y=1x"}
    assert "but so do these mutants" in str(report)


def test_a_summary_is_one_line():
    right = entry(r"y = \frac{x}{2}", x=number, y=lambda rng, at: at["x"] / 2)
    wrong = entry(r"y = \frac{x}{3}", x=number, y=lambda rng, at: at["x"] / 2)
    tried = ledger.verify(right).tried
    assert str(ledger.summary([right], sample=None)) == (
        f"1 of 1 equations hold in one random instance; {tried} of {tried} mutants caught"
    )
    text = str(ledger.summary([right, wrong], trials=2, sample=2))
    assert text.splitlines()[0] == (
        "1 of 2 equations hold in 2 random instances; 3 of 4 mutants in a sample caught; the tests try all"
    )
    assert "eq-test: does not hold as printed" in text


def test_every_symbol_varies():
    """An identity that is true at one value of h only is no identity."""
    special = sp.Rational(7, 11)
    values = {"h": ledger.h, "y": ledger.h + ledger.h * (ledger.h - special)}
    assert not ledger.holds(entry("y = h", **values))
    points = {reader_value("h", trial) for trial in range(4)}
    assert len(points) == 4


def reader_value(name, trial):
    from bea_book.ledger.check import _random_number

    return _random_number(trial, name)


@pytest.mark.parametrize(
    ("latex", "truth"),
    [
        (r"y = 1 + h + \frac{h^2}{2} + O(h^3)", True),
        (r"y = 1 + h + \frac{h^2}{2} + O(h^4)", False),
        (r"y = 1 + h + \frac{h^2}{3} + O(h^3)", False),
        (r"y = 1 + O(h)", True),
        (r"y = 2 + O(h)", False),
        (r"\frac{y - 1}{h} = 1 + O(h)", True),
        (r"\frac{y - 1}{h^2} = \frac{1}{h} + O(h)", False),
    ],
)
def test_a_remainder_is_judged_at_its_power(latex, truth):
    assert ledger.holds(entry(latex, y=sp.exp(ledger.h), h=ledger.h)) is truth


def test_exact_sides_beside_a_remainder_are_compared_exactly():
    values = {"y": sp.exp(ledger.h), "z": sp.exp(ledger.h) + ledger.h**3, "h": ledger.h}
    assert ledger.holds(entry("z = 1 + h + O(h^2)", **values))
    assert not ledger.holds(entry("y = z = 1 + h + O(h^2)", **values))


def test_a_sample_of_mutants_is_always_the_same():
    right = entry(r"y = \frac{x^2}{2} - 3x", x=number, y=lambda rng, at: at["x"] ** 2 / 2 - 3 * at["x"])
    assert ledger.verify(right, sample=3).tried == 3
    assert ledger.verify(right, sample=3) == ledger.verify(right, sample=3)


# --- pages ---------------------------------------------------------------------------------------


def test_labels_of_a_page():
    page = "$$ a = b $$ (eq-one)\n\n$$ no = label $$\n\n$$\nc = d\n$$ (eq-two)\n"
    page += "```{math}\n:label: eq-three\ne = f\n```\n"
    assert ledger.labelled(page) == {"eq-one": "a = b", "eq-two": "c = d", "eq-three": "e = f"}


def test_without_pages_the_ledger_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(reader, "CHAPTERS", tmp_path / "nowhere")
    monkeypatch.setattr(reader, "files", lambda package: tmp_path)
    with pytest.raises(FileNotFoundError, match="copy of the repository"):
        reader.printed.__wrapped__()
    (tmp_path / "printed.json").write_text('{"eq-one": "a = b"}')
    assert reader.printed.__wrapped__() == {"eq-one": "a = b"}


def test_a_label_that_is_on_no_page():
    with pytest.raises(KeyError, match="eq-nowhere"):
        _ = ledger.Entry("eq-nowhere", lambda rng: {}, "nothing").equation


# --- the reader ----------------------------------------------------------------------------------


def value(latex, **symbols):
    return ledger.read(latex, symbols)[0][0].value


@pytest.mark.parametrize(
    ("latex", "meaning"),
    [
        (r"x - y - x", -y),
        (r"-\frac{x}{2}\,y^2", -x * y**2 / 2),
        (r"\tfrac{1}{2}\left(x + y\right)^2", (x + y) ** 2 / 2),
        (r"\frac{x}{(1 - y)^{3}}", x / (1 - y) ** 3),
        (r"\sqrt{x^2 + 1}", sp.sqrt(x**2 + 1)),
        (r"x/2 y", x / 2 * y),
        (r"\ln(1 - x)", sp.log(1 - x)),
        (r"\sin x \cdot y", sp.sin(x) * y),
        (r"\sum_{k=1}^{3} k x^k - y", x + 2 * x**2 + 3 * x**3 - y),
        (r"\sum_{k=2}^{3} 2 k y", 10 * y),
        (r"\sum_{k=1}^{0} x", 0),
        (r"\sum_{k=9}^{10} k x^k", 9 * x**9 + 10 * x**10),
        (r"x^{-1}", 1 / x),
        (r"x^{12}", x**12),
        (r"\begin{aligned} x &+ 2 \\ &- y \end{aligned}", x + 2 - y),
        (r"2\Bigl[x \\ + y\Bigr]", 2 * (x + y)),
        (r"x\,y\;x\ y\left(x\right)", x**3 * y**2),
        (r"\binom{2 + 3}{2} x", 10 * x),
        (r"\binom{2}{3}", 0),
    ],
)
def test_reader(latex, meaning):
    assert sp.simplify(value(latex, x=x, y=y) - meaning) == 0


@pytest.mark.parametrize("latex", ["x +* y", r"\frac{x}", "z", "(x", "x^", r"\sum x", "x)"])
def test_reader_refuses_what_it_does_not_understand(latex):
    with pytest.raises(ValueError):
        value(latex, x=x, y=y)


def test_reader_takes_whole_commands_and_the_longest_symbol():
    assert value(r"\beta\,x + \beta x", **{r"\beta": y, "x": x}) == 2 * x * y
    assert value(r"D^2 E", **{"D^2 E": x, "D": y, "E": y}) == x
    with pytest.raises(ValueError):
        value(r"\betax", **{r"\beta": x})


def test_reader_writes_indices_into_names():
    symbols = {r"\partial_1E": x, r"\partial_2E": y, "H_{11}": 1, "H_{12}": 2, "H_{22}": 3}
    assert value(r"\sum_{i=1}^{2} \partial_i E", **symbols) == x + y
    double = r"\sum_{j=1}^{2} \sum_{i=1}^{j} H_{ij}\,\partial_i E"
    assert value(double, **symbols) == x + 2 * x + 3 * y
    powers = {"g^{(0)}": x, "g^{(1)}": y}
    assert value(r"\sum_{k=0}^{1} 3^{1-k} g^{(k)}", **powers) == 3 * x + y


def test_reader_reads_norms_and_transposes():
    vector = sp.Matrix([x, y])
    assert value(r"{\lVert v \rVert}^2", v=vector) == x**2 + y**2
    assert value(r"(v^\top v)", v=vector) == sp.Matrix([x**2 + y**2])
    assert value(r"\lvert v\rvert", v=sp.Integer(-2)) == 2


def test_statements_and_rows():
    aligned = r"\begin{aligned} y &= 1, \\ x &= 2 \\ &+ 3 \\ &= 4 \end{aligned}"
    assert [[s.value for s in sides] for sides in ledger.read(aligned, {"x": x, "y": y})] == [
        [y, 1],
        [x, 5, 4],
    ]
    assert len(ledger.read(r"y = 1, \qquad x = 2", {"x": x, "y": y})) == 2


# --- mutants -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("latex", "mutant"),
    [
        ("y = x - 1", "y=x+1"),
        ("y = x", "y=-x"),
        ("y = x", "y=2x"),
        ("y = x + 12", "y=x+13"),
        ("y = x^9", "y=x^{10}"),
        ("y = 3x", "y=2x"),
        (r"y = \frac{x}{3}", "y=(x)"),
        (r"y = \sqrt{x}", "y={x}"),
        (r"y = x^\top", "y=x"),
        (r"y = \beta\,x", "y=1x"),
        (r"y = \beta\,x", r"y=\rho x"),
        (r"y = \sin x", r"y=\cos x"),
        (r"y = \hat m_j^{(n)} x", "y=1x"),
        (r"y = \sum_{k=0}^{n} x^k", r"y=\sum_{k=0+1}^nx^k"),
        ("y = x + O(h^2)", "y=x+O(h^3)"),
        ("y = x + O(h)", "y=x+O(h^2)"),
    ],
)
def test_mutants(latex, mutant):
    assert mutant in ledger.mutants(latex)


def test_mutants_are_different_and_keep_names_and_statements():
    latex = r"y_1 = g^{(n-1)} + O(h^2), \quad z = 1"
    found = ledger.mutants(latex)
    assert len(found) == len(set(found))
    assert "".join(reader.tokens(latex)) not in found
    assert not any("y_2" in mutant or "(n+1)" in mutant or "O(h^1)" in mutant for mutant in found)
    symbols = {"y_1": x, "g^{(n-1)}": x, "z": y, "h": ledger.h}
    assert all(len(ledger.read(mutant, symbols)) == 2 for mutant in found if "1z" not in mutant)
