"""What protects the book's words: each rule, over all pages, and on a text that breaks it."""

import re

import pytest
import yaml
from matplotlib.colors import ListedColormap
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import claims
import prose
from bea_book import plot, svg
from prose import CHAPTERS, ROOT, notebook

NOTEBOOKS = sorted(CHAPTERS.glob("*.ipynb"))
NUMBERED = [path for path in NOTEBOOKS if re.match(r"\d\d_", path.name)]
NUMBERS = {int(path.name[:2]) for path in NUMBERED}
SEPARATE = [
    ROOT / name
    for name in ("README.md", "CONTRIBUTING.md", "assignments/README.md", "assignments/report.md", "Makefile")
]


def texts_of_pages():
    """(place, text) of everything in words: chapters, pages, assignments, docstrings and messages."""
    found = [(f"{path.name}, cell {n}", text) for path in NOTEBOOKS for n, text in prose.words_of(notebook(path))]
    for path in sorted((ROOT / "assignments").glob("*.ipynb")):
        found += [(f"{path.name}, cell {n}", text) for n, text in prose.words_of(notebook(path))]
    for path in [*sorted(CHAPTERS.glob("*.md")), *SEPARATE, *sorted((ROOT / "lib").rglob("*.py"))]:
        text = path.read_text(encoding="utf-8")
        found.append((path.relative_to(ROOT).as_posix(), prose.words_of_code(text) if path.suffix == ".py" else text))
    return found


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("about eighteen times as far", [18]),
        ("$-0.70$ and 2,400 parameters", [-0.7, 2400]),
        (r"below $2\cdot10^{-6}$, not 3·10⁻²", [2e-6, 3e-2]),
        ("less than $10^{-13}$", [1e-13]),
        ("twice .5, $t_1$ and $x^2$, ch04", [2, 0.5]),
        ("from 0.1-0.2", [0.1, 0.2]),
        (r"$5.19h$ and $2\cdot90 = 180$", [5.19, 2, 90, 180]),
    ],
)
def test_numbers_are_read(text, values):
    assert [value for _, value, _ in prose.numbers_in(text)] == pytest.approx(values)


@pytest.mark.parametrize(
    ("value", "text", "right"),
    [
        (17.96, "18", True),
        (17.4, "18", False),
        (17.4, "eighteen", False),
        (2.2, "twice", True),
        (2.4, "twice", False),  # it would round, but nobody would call it twice
        (0.0284, "0.028", True),
        (0.0286, "0.028", False),
        (-0.7, "0.7", False),
        (1.94e-6, r"2\cdot10^{-6}", True),
    ],
)
def test_values_round_to_what_is_said(value, text, right):
    [(_, number, unit)] = prose.numbers_in(text)
    assert prose.rounds_to(value, number, unit) is right


def small_page(text, output="0.25 and 3.0e-04", source="h = 0.05"):
    cell = new_code_cell(source, outputs=[new_output("stream", text=output)], execution_count=1)
    return new_notebook(cells=[new_markdown_cell(text), cell])


def test_a_bound_sentence_must_be_there_and_right():
    page = small_page("It moves\nabout 18 times as far.")
    assert prose.problem_of_sentence(page, "about 18 times", (17.96,)) is None
    assert "no longer says" in prose.problem_of_sentence(page, "about 19 times", (19,))
    assert "17.3 is measured" in prose.problem_of_sentence(page, "about 18 times", (17.3,))
    assert "there are 0 values" in prose.problem_of_sentence(page, "about 18 times", ())


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("The error is 0.25.", True),
        ("The error is 25.0 per cent.", True),
        ("The error is 25.0.", False),
        ("The error is 0.26.", False),
        (r"The error is $3.0\cdot10^{-4}$.", True),
        ("With $h = 0.05$.", True),
        ("With $h = 0.06$.", False),
        (r"It is $1/9 \approx 0.111$.", True),
        (r"It is $1/9 \approx 0.112$.", False),
        ("A claim has 7.5.", True),
        ("A sentence with 8.5 is bound.", True),
    ],
)
def test_a_number_needs_a_source(line, known):
    problems = prose.numbers_without_source(small_page(line), [7.5], ["with 8.5 is bound"])
    assert (problems == []) is known


@pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
def test_numbers_in_prose_have_a_source(path):
    """Bind the sentence by `says` in a claim test that measures it, or let a cell print the number."""
    tests = claims.load(claims.FILE).get(f"test_ch{path.name[:2]}_claims.py", {})
    figures = [value for test in tests.values() for case in test["cases"].values() for _, value, _ in case]
    bound = prose.bound_sentences().get(path.stem, [])
    assert prose.numbers_without_source(notebook(path), prose.printed_numbers(" ".join(figures)), bound) == []


def test_every_chapter_has_bound_sentences():
    assert [path.stem for path in NUMBERED if len(prose.bound_sentences().get(path.stem, [])) < 3] == []


# --- words ---------------------------------------------------------------------------------------


def test_turns_of_phrase_do_not_come_back():
    assert prose.problems_of_phrases(texts_of_pages()) == []


@pytest.mark.parametrize(
    "text",
    ["Look at the left panel.", "the plain\nflow", "It stands at 3.", "minimised", "both settings", "It doesn't."],
)
def test_a_turn_of_phrase_is_caught(text):
    assert prose.problems_of_phrases([("here", text)])


def test_names_are_no_words():
    assert prose.problems_of_phrases([("here", "see {eq}`eq-adam-mirror`, a mirror image, by standing waves")]) == []


# --- chapters ------------------------------------------------------------------------------------


def test_chapters_that_are_named_exist():
    assert prose.problems_of_chapters(texts_of_pages(), NUMBERS) == []


@pytest.mark.parametrize(
    "text",
    ["chapter 99", "chapters 1, 2 and 99", "{doc}`chapter 3 <04_one_epoch>`", "[chapter 2](01_gradient_descent.ipynb)"],
)
def test_a_wrong_chapter_is_caught(text):
    assert prose.problems_of_chapters([("here", text)], NUMBERS)


def problems_of_preface(page, files):
    """Rows of the preface's table that differ from the contents, and chapters built on later ones."""
    rows = re.findall(r"^\| \[(\d+) [^\]]+\]\((\w+)\.ipynb\) \| [^|]+\? \| ([\d, ]*)\|$", page, re.M)
    problems = [] if [name for _, name, _ in rows] == files else ["the table and the contents differ"]
    for number, name, before in rows:
        if int(number) != int(name[:2]):
            problems.append(f"chapter {number} links to {name}")
        problems += [f"chapter {number} builds on {n}" for n in re.findall(r"\d+", before) if int(n) >= int(number)]
    return problems


def chapters_of_contents():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [entry["file"] for part in contents["parts"] for entry in part["chapters"]]
    return [name.removeprefix("chapters/") for name in files if re.match(r"chapters/\d\d_", name)]


def test_the_prefaces_table_is_the_contents():
    page = "\n".join(text for _, text in prose.words_of(notebook(CHAPTERS / "index.ipynb")))
    files = chapters_of_contents()
    assert files == [path.stem for path in NUMBERED]
    assert problems_of_preface(page, files) == []
    row = next(line for line in page.splitlines() if "(02_" in line)
    assert problems_of_preface(page.replace(row + "\n", ""), files)
    assert problems_of_preface(page.replace("(02_backward", "(02_forward"), files)
    assert problems_of_preface(page.replace(row, row[: row.rindex("1")] + "3 |"), files)


# --- quizzes and captions ------------------------------------------------------------------------


def test_right_answers_have_various_places():
    answers = {path.stem: prose.places_of_answers(notebook(path)) for path in NUMBERED}
    assert min(map(len, answers.values())) >= 3
    assert prose.problems_of_places(answers) == []


def test_answers_at_one_place_are_caught():
    assert prose.problems_of_places({"01": ["a", "b", "c"], "02": ["c", "d", "a"]}) == []
    assert prose.problems_of_places({"01": ["a", "a", "a"], "02": ["b", "c", "d"]})
    assert prose.problems_of_places({"01": ["a", "b", "b"], "02": ["b", "b", "c"]})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_captions_name_what_is_drawn(path):
    assert prose.problems_of_captions(notebook(path)) == []


@pytest.mark.parametrize(
    ("caption", "problems"),
    [("The blue curve.", 0), ("The orange layer.", 0), ("The red curve.", 1), ("Left: the blue curve.", 1)],
)
def test_a_wrong_caption_is_caught(caption, problems):
    with plot.figure() as ax:
        ax.plot([0, 1], color=plot.COLORS["blue"])
        ax.pcolormesh([[1]], cmap=ListedColormap([plot.COLORS["orange"]]), rasterized=True)
        shown = {"image/svg+xml": svg.whole(ax.figure)}
    cell = new_code_cell("with plot.figure() as ax:\n    ...", outputs=[new_output("display_data", shown)])
    cell.metadata["mystnb"] = {"figure": {"caption": caption, "name": "fig-a"}}
    assert len(prose.problems_of_captions(new_notebook(cells=[cell]))) == problems
