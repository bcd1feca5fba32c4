"""The file of the claims' figures, and the plugin that keeps it."""

import re
from pathlib import Path

import nbformat
import pytest

import claims

ROOT = Path(__file__).resolve().parent.parent


def problems_of_file(kept, tests):
    """Where the file and the claim tests differ, figures apart."""
    problems = [f"{name} is gone" for name in kept if name not in tests]
    for name, of_file in tests.items():
        there = kept.get(name, {})
        problems += [f"{name}: {test} is not in the file" for test in of_file if test not in there]
        problems += [f"{name}: {test} is gone" for test in there if test not in of_file]
        if [test for test in there if test in of_file] != [test for test in of_file if test in there]:
            problems.append(f"{name}: the order is another one")
        problems += [
            f"{name}: {test} is described otherwise"
            for test, about in of_file.items()
            if there.get(test, {}).get("about", about) != about
        ]
    return problems


def test_every_claim_has_its_figures_and_no_other():
    """Run `make claims` after adding, renaming or removing a claim test."""
    assert problems_of_file(claims.load(claims.FILE), claims.claims_in(ROOT / "tests")) == []


def test_the_file_is_as_make_claims_writes_it():
    assert claims.FILE.read_text(encoding="utf-8") == claims.text(claims.load(claims.FILE))


def test_a_wrong_file_is_caught():
    tests = {"a": {"test_one": "", "test_two": "of two"}}
    good = {"a": {"test_one": {"about": ""}, "test_two": {"about": "of two"}}}
    assert problems_of_file(good, tests) == []
    assert problems_of_file({}, tests) == [
        "a: test_one is not in the file",
        "a: test_two is not in the file",
    ]
    other = {"a": good["a"] | {"test_old": {"about": ""}, "test_two": {"about": "of 2"}}, "b": {}}
    assert problems_of_file(other, tests) == [
        "b is gone",
        "a: test_old is gone",
        "a: test_two is described otherwise",
    ]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (2.0, 3, "2.00"),
        (299.4, 3, "299"),
        (0.041, 2, "0.041"),
        (1.234e-7, 2, "1.2e-07"),
        (4e-5, 1, "4e-05"),
        (6, 3, "6"),
        (123456, 3, "123456"),
    ],
)
def test_numbers_as_they_are_kept(value, digits, text):
    assert claims.shown(value, digits) == text
    assert claims.agrees([value], text)
    assert not claims.agrees([value * 1.3], text)


@pytest.mark.parametrize(
    ("values", "agrees"),
    [([1.014, 2.0], True), ([1.021, 2.0], False), ([1.01], False), ([1.01, 2], True)],
)
def test_one_unit_of_the_last_digit_is_allowed(values, agrees):
    assert claims.agrees(values, "1.01, 2.00") is agrees


MEASURING = """
import nbformat
import pytest

@pytest.mark.parametrize("k", [1, 2])
def test_line(k, measured):
    "A line."
    measured("slope", SLOPE * k, "about k")
    measured("exact", 3, "points")
"""


@pytest.fixture(autouse=True)
def no_other_plugins(monkeypatch):
    """Of those that are installed, which the runs within these tests would load every time."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def run(pytester, test, *options):
    pytester.makepyfile(test_other_claims=test)
    return pytester.runpytest("-p", "claims", "--claims-file=claims.json", *options)


@pytest.fixture
def written(pytester):
    run(pytester, MEASURING.replace("SLOPE", "1.013"), "--write-claims").assert_outcomes(passed=2)
    return claims.load(pytester.path / "claims.json")


def test_figures_are_written_and_compared(pytester, written):
    [cases] = [test["cases"] for test in written["test_other_claims.py"].values()]
    assert cases == {
        "1": [["slope", "1.01", "about k"], ["exact", "3", "points"]],
        "2": [["slope", "2.03", "about k"], ["exact", "3", "points"]],
    }
    assert written["test_other_claims.py"]["test_line"]["about"] == "A line."
    run(pytester, MEASURING.replace("SLOPE", "1.013")).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("SLOPE", "1.03", "*slope: measured was 1.03, and the file has 1.01*"),
        ('3, "points"', '4, "points"', "*exact: measured was 4, and the file has 3*"),
        ('"about k"', '"k"', "*measured were*"),
        ('    measured("exact", 3, "points")\n', "", "*measured were*"),
        ("[1, 2]", "[1, 3]", "*not in the file*"),
    ],
)
def test_other_figures_fail(pytester, written, old, new, said):
    assert old in MEASURING
    result = run(pytester, MEASURING.replace(old, new).replace("SLOPE", "1.013"))
    result.stdout.fnmatch_lines([said])
    assert result.parseoutcomes()["failed"] >= 1


@pytest.mark.parametrize("options", [(), ("--write-claims",)])
@pytest.mark.parametrize("test", ["def test_a(): pass", "def test_a(measured): pass"])
def test_a_claim_that_says_nothing_fails(pytester, test, options):
    result = run(pytester, test, *options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*says nothing of what it measured*"])


def test_files_that_did_not_run_are_kept_and_lost_ones_dropped(pytester, written):
    other = pytester.makepyfile(test_sample_claims="def test_b(measured): measured('exact', 1)")
    result = pytester.runpytest("-p", "claims", "--claims-file=claims.json", "--write-claims", other)
    result.assert_outcomes(passed=1)
    both = claims.load(pytester.path / "claims.json")
    assert list(both) == ["test_other_claims.py", "test_sample_claims.py"]
    (pytester.path / "test_other_claims.py").unlink()
    pytester.runpytest("-p", "claims", "--claims-file=claims.json", "--write-claims", other)
    assert list(claims.load(pytester.path / "claims.json")) == ["test_sample_claims.py"]


# --- the page ------------------------------------------------------------------------------------


def rows_of_paper(page):
    """The rows of the table of what the paper says: (statement, chapters, places)."""
    [table] = re.findall(r"^\| the paper says .*\n\|[-|]+\n((?:\|.*\n)+)", page, re.M)
    return [tuple(cell.strip() for cell in row[1:-1].split(" | ")) for row in table.splitlines()]


def problems_of_paper(rows, targets):
    """Rows without a chapter or a place, and links to nowhere; targets: {role: what there is}."""
    problems = [f"{row[0]}: not three cells" for row in rows if len(row) != 3]
    for statement, chapters, places in (row for row in rows if len(row) == 3):
        links = re.findall(r"\{([\w:]+)\}`(?:[^`<]* <)?([^`>]+)>?`", chapters + " " + places)
        roles = {role for role, _ in links}
        if "doc" not in roles:
            problems.append(f"{statement}: no chapter")
        if not roles & {"eq", "numref", "prf:ref"}:
            problems.append(f"{statement}: no place")
        problems += [f"{statement}: no {name}" for role, name in links if name not in targets.get(role, ())]
    return problems


@pytest.fixture(scope="module")
def targets():
    """{role: the names that it may point to} in all pages."""
    texts, figures = {}, set()
    for path in (ROOT / "chapters").glob("*.md"):
        texts[path.stem] = path.read_text(encoding="utf-8")
    for path in (ROOT / "chapters").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        texts[path.stem] = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
        figures |= {c.metadata.get("mystnb", {}).get("figure", {}).get("name") for c in cells}
    together = "\n\n".join(texts.values())
    return {
        "doc": set(texts),
        "eq": set(re.findall(r"^.*\$\$ \((eq-[\w-]+)\)", together, re.M)),
        "numref": figures,
        "prf:ref": set(re.findall(r"^:label: ((?:thm|lem|asm)-[\w-]+)", together, re.M)),
    }


@pytest.fixture(scope="module")
def page():
    cells = nbformat.read(ROOT / "chapters" / "how_we_know.ipynb", as_version=4).cells
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown") + "\n"


def test_what_the_paper_says_is_shown_somewhere(page, targets):
    rows = rows_of_paper(page)
    assert len(rows) >= 16
    assert problems_of_paper(rows, targets) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{eq}`eq-rms-one-norm`", "{eq}`eq-rms-two-norm`", "no eq-rms-two-norm"),
        ("{numref}`fig-nets-sweeps`", "{numref}`fig-nets-sweep`", "no fig-nets-sweep"),
        ("{doc}`3 <03_implicit_gradient_regularization>`", "3", "no chapter"),
        ("{doc}`3 <03_implicit_gradient_regularization>`", "{doc}`3 <03_x>`", "no 03_x"),
        ("| {eq}`eq-adam-theorem-outside` |", "| above |", "no place"),
        ("{prf:ref}`thm-proof`", "{prf:ref}`thm-prof`", "no thm-prof"),
    ],
)
def test_a_spoilt_table_is_caught(page, targets, old, new, said):
    assert old in page
    problems = problems_of_paper(rows_of_paper(page.replace(old, new)), targets)
    assert [problem for problem in problems if problem.endswith(said)]
