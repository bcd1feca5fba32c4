"""Hygiene of the committed notebooks: what nbval does not see.

nbval runs the cells and compares text; it passes a notebook that was never run, and looks at no
picture and no prose.  Each rule here is a function from a notebook to the list of its problems, and
each is itself tested on a notebook that breaks it: a check that cannot fail checks nothing.
"""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from bea_book.explore import MIME
from reading import code_cells, directives_of, images_of, markdown_cells, prose_of, text_of
from tools.notebooks import execute

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = ROOT / "chapters"
NOTEBOOKS = sorted(CHAPTERS.glob("*.ipynb"))

# The tag of a cell that lists what other pages and the tests hold.  Its output is not compared, so
# that a change of theirs does not force anyone to execute this page; the book's build does.
LISTS = "lists-the-book"
LARGEST = 3_000_000  # bytes
SHORTEST_ALT = 60  # characters: a reader who cannot see the figure must learn what it shows
SHORTEST_CAPTION = 40
OPENING = ("Objectives", "Prerequisites", "Reading time")
SECTIONS = (
    "## The question",
    "## How do we know?",
    "## Summary",
    "## Exercises",
    "## Further reading",
)


# --- rules -------------------------------------------------------------------------------------


def problems_of_execution(notebook):
    """Every code cell was run, once, in order."""
    counts = [cell.execution_count for _, cell in code_cells(notebook)]
    if not counts:
        return ["has no code cell"]
    if counts != list(range(1, len(counts) + 1)):
        return [f"cells were not run once each from the top: their counts are {counts}"]
    return []


def problems_of_errors(notebook):
    """Nothing on the error stream, and no exception that the text does not announce."""
    problems = []
    for number, cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                problems.append(f"cell {number} prints to stderr: {output.text[:80]!r}")
            if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", []):
                problems.append(f"cell {number} fails with {output.ename} and no tag raises-exception")
    return problems


def problems_of_code(notebook):
    """No trailing semicolon (nbval runs it otherwise), no import path of its own, nothing uncompared."""
    problems = []
    for number, cell in code_cells(notebook):
        for line in cell.source.splitlines():
            if line.rstrip().endswith(";"):
                problems.append(f"cell {number} has a line that ends in ';': {line.strip()!r}")
            if re.search(r"\bsys\.path\b", line):
                problems.append(f"cell {number} touches the import path: {line.strip()!r}")
        marks = [
            *cell.metadata.get("tags", []),
            *re.findall(r"^\s*#\s*(\w+)\s*$", cell.source, re.M),
        ]
        if LISTS in marks:
            marks.remove("nbval-ignore-output")
        for mark in marks:
            if re.fullmatch(r"(?i)(nbval|pytest_validate)[-_](ignore[-_]output|skip)", mark):
                problems.append(f"cell {number} is exempt from comparison: {mark}")
    return problems


def problems_of_outputs(notebook):
    """No memory addresses, no paths of the machine that ran it, no line that ends in spaces: they stay on the
    page or not, depending on where the kernel happened to cut what was printed."""
    problems = []
    for number, cell in code_cells(notebook):
        for output in cell.outputs:
            text = text_of(output)
            if match := re.search(r"<[^<>\n]* at 0x[0-9a-fA-F]+>", text):
                problems.append(f"cell {number} prints a bare object: {match[0]!r}")
            if match := re.search(r"(?<![\w.])/(?:home|root|tmp|Users|work|opt|var)/[\w./-]+", text):
                problems.append(f"cell {number} prints a path of this machine: {match[0]!r}")
            if match := re.search(r"^.*[ \t]+$", output.get("text", ""), re.M):
                problems.append(f"cell {number} prints a line that ends in spaces: {match[0]!r}")
    return problems


def problems_of_figures(notebook):
    """Every figure has a name, a caption and a text for those who cannot see it."""
    problems = []
    names = set()
    for number, cell in code_cells(notebook):
        images = images_of(cell)
        if not images:
            continue
        if len(images) > 1:
            problems.append(f"cell {number} shows {len(images)} images; one caption cannot describe them")
        mystnb = cell.metadata.get("mystnb", {})
        alt = mystnb.get("image", {}).get("alt", "")
        caption = mystnb.get("figure", {}).get("caption", "")
        name = mystnb.get("figure", {}).get("name", "")
        if len(alt.strip()) < SHORTEST_ALT:
            problems.append(f"cell {number}: alt text of {len(alt)} characters; {SHORTEST_ALT} are needed")
        if len(caption.strip()) < SHORTEST_CAPTION:
            problems.append(f"cell {number}: caption of {len(caption)} characters; {SHORTEST_CAPTION} are needed")
        if not name:
            problems.append(f"cell {number}: its figure has no name")
        elif name in names:
            problems.append(f"cell {number}: the figure name {name!r} is used twice")
        names.add(name)
    return problems


def problems_of_skeleton(notebook):
    """Title, opening box and the sections that every chapter has, in their order."""
    text = "\n".join(line for _, cell in markdown_cells(notebook) for line in cell.source.splitlines())
    problems = []
    titles = re.findall(r"^# .*$", text, re.M)
    if len(titles) != 1 or not text.lstrip().startswith("# "):
        problems.append(f"must open with its one title; the first-level headings are {titles}")
    opening = re.split(r"^## ", text, maxsplit=1, flags=re.M)[0]
    places = [opening.find(word) for word in OPENING]
    if -1 in places or places != sorted(places):
        problems.append(f"needs {', '.join(OPENING)} in this order before its first section")
    headings = [line.strip() for line in re.findall(r"^## .*$", text, re.M)]
    missing = [section for section in SECTIONS if section not in headings]
    if missing:
        problems.append(f"lacks {missing}")
    present = [heading for heading in headings if heading in SECTIONS]
    if not missing and present != list(SECTIONS):
        problems.append(f"has its sections out of order or twice: {present}")
    return problems


def problems_of_explorers(notebook):
    """Every chapter has a figure that moves; each has a picture beside it for print."""
    shown = [o.data for _, cell in code_cells(notebook) for o in cell.outputs if "data" in o]
    outputs = [data for data in shown if MIME in data or 'class="bea-live"' in data.get("text/html", "")]
    if not outputs:
        return ["has no explorer (bea_book.explore) and no live figure (bea_book.live)"]
    return ["an explorer has no picture for print"] if any("image/svg+xml" not in o for o in outputs) else []


QUESTION = re.compile(r"^\*\*\d\.\*\*", re.M)
ANSWER = re.compile(r"^:::\{admonition\} [a-e]\) .*\n:class: dropdown quiz\n\n\*\*(Right|No)\.\*\*", re.M)


def problems_of_quiz(notebook):
    """Three to five questions, each with folded answers: one right, and for each wrong one a reason."""
    quizzes = [c.source for _, c in markdown_cells(notebook) if c.source.startswith("## Quiz")]
    if len(quizzes) != 1:
        return [f"has {len(quizzes)} cells that begin with '## Quiz'; one is needed"]
    questions = QUESTION.split(quizzes[0])[1:]
    problems = []
    if not 3 <= len(questions) <= 5:
        problems.append(f"its quiz has {len(questions)} questions, not 3 to 5")
    for number, question in enumerate(questions, 1):
        verdicts = ANSWER.findall(question)
        if len(verdicts) < 3 or verdicts.count("Right") != 1 or len(verdicts) != question.count("{admonition}"):
            problems.append(f"question {number} of its quiz: the answers are {verdicts}")
    return problems


ABBREVIATIONS = re.compile(
    r"\b(?:(?i:e\.g|i\.e|cf|chs?|eqs?|figs?|secs?|sect|thm|def|ex|vol|nos?|pp?|vs|resp|al|eds?|approx|dr)|[A-Z])\."
)
SENTENCE_END = re.compile(r"[.!?][\"'”’)*_\]]*\s+[\"'“‘(*_\[]*[A-Z]")


def problems_of_lines(notebook):
    """One sentence a line, so that a diff of the prose shows the sentence that changed."""
    problems = []
    for number, cell in markdown_cells(notebook):
        for line_number, line in prose_of(cell.source):
            text = re.sub(r"^\s*(?:>\s*)*(?:[-*+]\s+|\d+[.)]\s+)?", "", line)
            text = re.sub(r"^\*\*[^*]+[.:?!]\*\*\s+", "", text)  # a run-in heading
            text = re.sub(r"`[^`]*`|\$[^$]*\$", "formula", text)
            text = ABBREVIATIONS.sub("abbreviation", text)
            if SENTENCE_END.search(text):
                problems.append(f"cell {number}, line {line_number}: more than one sentence: {line[:70]!r}")
    return problems


def problems_of_exercises(notebook):
    """Every exercise has a label and one solution, every solution is folded, and its end is no cell of
    its own, which would be an empty box in JupyterLab."""
    ends = [n for n, c in markdown_cells(notebook) if c.source.strip() == "```{solution-end}\n```"]
    problems = [f"cell {n}: the end of a solution alone; join it to the next cell" for n in ends]
    exercises, solutions = [], []
    for number, name, argument, options in directives_of(notebook):
        if name in ("exercise", "exercise-start"):
            if "label" not in options:
                problems.append(f"cell {number}: an exercise has no :label:")
            exercises.append(options.get("label"))
        if name in ("solution", "solution-start"):
            if "dropdown" not in options.get("class", "").split():
                problems.append(f"cell {number}: the solution of {argument!r} lacks ':class: dropdown'")
            solutions.append(argument)
    for label in exercises:
        if label is not None and solutions.count(label) != 1:
            problems.append(f"the exercise {label!r} has {solutions.count(label)} solutions; one is needed")
    problems += [f"a solution of {s!r}, which is no exercise here" for s in solutions if s not in exercises]
    return problems


def problems_of_format(notebook):
    """Valid, run by the kernel python3, and as `make execute` writes it."""
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return [f"is not valid: {str(error).splitlines()[0]}"]
    problems = []
    kernel = notebook.metadata.get("kernelspec", {}).get("name")
    if kernel != "python3":
        problems.append(f"its kernel is {kernel!r}, not 'python3'")
    if not all("id" in cell for cell in notebook.cells):
        problems.append("has cells without an id")
    if nbformat.writes(execute.normalize(nbformat.from_dict(notebook))) != nbformat.writes(notebook):
        problems.append("is not as `make execute` writes it: run that")
    return problems


def problems_of_size(path):
    size = path.stat().st_size
    return [f"has {size} bytes; {LARGEST} are allowed"] if size > LARGEST else []


EVERY_NOTEBOOK = [
    problems_of_execution,
    problems_of_errors,
    problems_of_code,
    problems_of_outputs,
    problems_of_figures,
    problems_of_lines,
    problems_of_exercises,
    problems_of_format,
]


# --- the book's notebooks ----------------------------------------------------------------------


def test_there_are_notebooks():
    assert NOTEBOOKS, f"no notebook in {CHAPTERS}"


def test_one_page_lists_the_book():
    def lists(path):
        cells = nbformat.read(path, as_version=4).cells
        return any(LISTS in cell.metadata.get("tags", []) for cell in cells)

    assert [path.stem for path in NOTEBOOKS if lists(path)] == ["how_we_know"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_clean(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    problems = [problem for rule in EVERY_NOTEBOOK for problem in rule(notebook)]
    if re.match(r"\d\d_", path.name):
        problems += problems_of_skeleton(notebook) + problems_of_explorers(notebook)
        problems += problems_of_quiz(notebook)
    problems += problems_of_size(path)
    assert not problems, f"{path.name}:\n  " + "\n  ".join(problems)


# --- the rules themselves ----------------------------------------------------------------------

ALT = "Two curves fall from left to right; the upper one is the iteration, the lower one its flow."
CAPTION = "The iteration and the flow of its modified equation, from one start."
OPENING_CELL = """\
# 1 A chapter

:::{admonition} Before you start
**Objectives.** You can read this.

**Prerequisites.** None, i.e. Nothing at all.

**Reading time.** One minute.
:::"""
SECTIONS_CELL = """\
## The question

One sentence.
Another one by E. Hairer, cf. Eq. 2 and $x. Y$ and `a. B`.
1. A list is no sentence.

| a table. With | two sentences |
|---|---|

```python
x = 1. ; A = "code. More code."
```

$$
x = 1. \\quad Y = 2. A
$$

## How do we know?
## Summary
## Exercises

```{exercise}
:label: ex-one
Do it.
```

```{solution} ex-one
:class: dropdown
Done.
```

## Further reading"""


QUIZ_CELL = "## Quiz\n\n" + "\n\n".join(
    f"**{number}.** Which?\n\n"
    + "\n\n".join(
        f":::{{admonition}} {letter}) This one.\n:class: dropdown quiz\n\n**{verdict}.**\nSo it is.\n:::"
        for letter, verdict in zip("abc", ("No", "Right", "No"))
    )
    for number in (1, 2, 3)
)


def good_notebook():
    figure = new_code_cell("draw()", execution_count=2)
    data = {"image/svg+xml": "<svg/>", MIME: "<div></div>", "text/plain": "<Figure 1>"}
    figure.outputs = [new_output("display_data", data)]
    figure.metadata["mystnb"] = {
        "image": {"alt": ALT},
        "figure": {"caption": CAPTION, "name": "fig-one"},
    }
    number = new_code_cell("1 + 1", execution_count=1)
    number.outputs = [new_output("execute_result", {"text/plain": "2"}, execution_count=1)]
    texts = [new_markdown_cell(text) for text in (OPENING_CELL, SECTIONS_CELL, QUIZ_CELL)]
    cells = [texts[0], number, figure, *texts[1:]]
    return execute.normalize(new_notebook(cells=cells))


def test_good_notebook_has_no_problems():
    notebook = good_notebook()
    rules = [*EVERY_NOTEBOOK, problems_of_skeleton, problems_of_explorers, problems_of_quiz]
    assert [p for rule in rules for p in rule(notebook)] == []


def drop_count(nb):
    nb.cells[1].execution_count = None


def swap_counts(nb):
    nb.cells[1].execution_count, nb.cells[2].execution_count = 2, 1


def drop_code(nb):
    nb.cells = [cell for cell in nb.cells if cell.cell_type == "markdown"]


def add_stderr(nb):
    nb.cells[1].outputs.append(new_output("stream", name="stderr", text="a warning"))


def add_error(nb):
    nb.cells[1].outputs.append(new_output("error", ename="ValueError", evalue="no", traceback=[]))


def add_semicolon(nb):
    nb.cells[1].source += ";"


def add_import_path(nb):
    # spelt apart: no file of the project may hold the words that it looks for
    nb.cells[1].source = "import sys\n" + "sys." + "path.append('..')"


def exempt_by_tag(nb):
    nb.cells[1].metadata["tags"] = ["nbval-ignore-output"]


def exempt_by_comment(nb):
    nb.cells[1].source = "# NBVAL_SKIP\n1 + 1"


def print_address(nb):
    nb.cells[1].outputs[0].data["text/plain"] = "<object object at 0x7f00aa10>"


def print_path(nb):
    nb.cells[1].outputs[0].data["text/plain"] = "'/" + "home/someone/book'"


def print_spaces(nb):
    nb.cells[1].outputs = [new_output("stream", text="N   error  \n1   0.5\n")]


def drop_alt(nb):
    del nb.cells[2].metadata["mystnb"]["image"]


def shorten_caption(nb):
    nb.cells[2].metadata["mystnb"]["figure"]["caption"] = "A figure."


def drop_name(nb):
    del nb.cells[2].metadata["mystnb"]["figure"]["name"]


def repeat_figure(nb):
    nb.cells.append(nbformat.from_dict(nb.cells[2]))


def second_image(nb):
    nb.cells[2].outputs.append(nbformat.from_dict(nb.cells[2].outputs[0]))


def join_sentences(nb):
    nb.cells[3].source = nb.cells[3].source.replace("One sentence.\n", "One sentence. ")


def join_after_formula(nb):
    nb.cells[3].source += "\n\nSo $x = y$. The rest follows."


def open_solution(nb):
    nb.cells[3].source = nb.cells[3].source.replace(":class: dropdown\n", "")


def drop_solution(nb):
    nb.cells[3].source = nb.cells[3].source.replace("{solution} ex-one", "{note}")


def stray_solution(nb):
    nb.cells[3].source = nb.cells[3].source.replace("{solution} ex-one", "{solution} ex-two")


def lone_end(nb):
    nb.cells.insert(3, new_markdown_cell("```{solution-end}\n```"))


def unlabelled_exercise(nb):
    nb.cells[3].source = nb.cells[3].source.replace(":label: ex-one\n", "")


def other_kernel(nb):
    nb.metadata["kernelspec"]["name"] = "python3-mine"


def random_id(nb):
    nb.cells[0]["id"] = "12345678"


def keep_version(nb):
    nb.metadata["language_info"] = {"name": "python", "version": "3.11.7"}


def keep_widget(nb):
    nb.cells[2].outputs[0].data["application/vnd.jupyter.widget-view+json"] = {"model_id": "1"}


def keep_widget_state(nb):
    nb.metadata["widgets"] = {}


def drop_explorer(nb):
    del nb.cells[2].outputs[0].data[MIME]


def drop_picture(nb):
    del nb.cells[2].outputs[0].data["image/svg+xml"]


def drop_quiz(nb):
    del nb.cells[4]


def drop_question(nb):
    nb.cells[4].source = nb.cells[4].source.split("**3.**")[0]


def two_right_answers(nb):
    nb.cells[4].source = nb.cells[4].source.replace("**No.**", "**Right.**", 1)


def unexplained_answer(nb):
    nb.cells[4].source = nb.cells[4].source.replace("**No.**\n", "", 1)


def open_answer(nb):
    nb.cells[4].source = nb.cells[4].source.replace(":class: dropdown quiz\n", "", 1)


def invalid_cell(nb):
    nb.cells[0]["outputs"] = []


def drop_summary(nb):
    nb.cells[3].source = nb.cells[3].source.replace("## Summary\n", "")


def late_question(nb):
    nb.cells[3].source = nb.cells[3].source.replace("## The question\n", "") + "\n## The question"


def second_title(nb):
    nb.cells[3].source += "\n# Another title"


def drop_objectives(nb):
    nb.cells[0].source = nb.cells[0].source.replace("Objectives", "Aims")


@pytest.mark.parametrize(
    "rule, spoil",
    [
        (problems_of_execution, drop_count),
        (problems_of_execution, swap_counts),
        (problems_of_execution, drop_code),
        (problems_of_errors, add_stderr),
        (problems_of_errors, add_error),
        (problems_of_code, add_semicolon),
        (problems_of_code, add_import_path),
        (problems_of_code, exempt_by_tag),
        (problems_of_code, exempt_by_comment),
        (problems_of_outputs, print_address),
        (problems_of_outputs, print_path),
        (problems_of_outputs, print_spaces),
        (problems_of_figures, drop_alt),
        (problems_of_figures, shorten_caption),
        (problems_of_figures, drop_name),
        (problems_of_figures, repeat_figure),
        (problems_of_figures, second_image),
        (problems_of_lines, join_sentences),
        (problems_of_lines, join_after_formula),
        (problems_of_exercises, open_solution),
        (problems_of_exercises, drop_solution),
        (problems_of_exercises, stray_solution),
        (problems_of_exercises, lone_end),
        (problems_of_exercises, unlabelled_exercise),
        (problems_of_format, other_kernel),
        (problems_of_format, random_id),
        (problems_of_format, keep_version),
        (problems_of_format, invalid_cell),
        (problems_of_format, keep_widget),
        (problems_of_format, keep_widget_state),
        (problems_of_quiz, drop_quiz),
        (problems_of_quiz, drop_question),
        (problems_of_quiz, two_right_answers),
        (problems_of_quiz, unexplained_answer),
        (problems_of_quiz, open_answer),
        (problems_of_explorers, drop_explorer),
        (problems_of_explorers, drop_picture),
        (problems_of_skeleton, drop_summary),
        (problems_of_skeleton, late_question),
        (problems_of_skeleton, second_title),
        (problems_of_skeleton, drop_objectives),
    ],
    ids=lambda thing: thing.__name__,
)
def test_rule_catches(rule, spoil):
    notebook = good_notebook()
    spoil(notebook)
    assert rule(notebook)


def test_announced_error_is_allowed():
    notebook = good_notebook()
    add_error(notebook)
    notebook.cells[1].metadata["tags"] = ["raises-exception"]
    assert problems_of_errors(notebook) == []


def test_large_file_is_caught(tmp_path):
    path = tmp_path / "large.ipynb"
    path.write_bytes(b" " * (LARGEST + 1))
    assert problems_of_size(path)


# --- running and timing them -------------------------------------------------------------------


def small_notebook(path, source):
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), path)
    return path


def test_execute_is_deterministic_and_normal(tmp_path):
    path = small_notebook(tmp_path / "a.ipynb", "for k in range(3):\n    print(k, flush=True)")
    texts = []
    for _ in range(2):
        notebook, seconds = execute.execute(path)
        execute.write(execute.normalize(notebook), path)
        texts.append(path.read_bytes())
        assert 0 < seconds < 60
    assert texts[0] == texts[1]
    notebook = nbformat.read(path, as_version=4)
    assert problems_of_execution(notebook) == problems_of_format(notebook) == []


def run_nbval(limit, folder):
    """Run the folder's notebooks as `make test` does: two at a time, with the plugin that times them."""
    command = [sys.executable, "-m", "pytest", str(folder), "--rootdir", str(folder)]
    command += ["--nbval", "-p", "tests.notebook_clock", f"--notebook-limit={limit}", "-n", "2"]
    done = subprocess.run([*command, "--dist", "loadfile"], cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.slow
def test_notebooks_are_held_to_processor_time(tmp_path):
    """The limit bites for work and not for waiting; the cell during which it is passed fails, and no other."""
    work = "import time\nwhile time.process_time() < {}:\n    pass"
    sources = {
        "slow": [work.format(k) for k in (1.5, 4, 4.5)],
        "waits": ["import time\ntime.sleep(3.5)"],
    }
    for name, cells in sources.items():
        notebook = execute.normalize(new_notebook(cells=[new_code_cell(cell) for cell in cells]))
        for number, cell in enumerate(notebook.cells, 1):
            cell.execution_count = number
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")

    code, text = run_nbval(60, tmp_path)
    assert code == 0 and "4 passed" in text, text
    assert re.search(r"[45]\.\d s of 60 s  slow.ipynb", text)
    assert re.search(r"[012]\.\d s of 60 s  waits.ipynb", text)

    # What is allowed here is three seconds, whatever this processor's pace is.
    limit = 3 / execute.slowness()
    code, text = run_nbval(limit, tmp_path)
    assert code == 1 and "1 failed, 3 passed" in text, text
    assert "slow.ipynb has taken" in text and "the limit for the whole notebook is" in text
