"""Where everything is: the source of an assignment, and what a student handed in.

A source is a notebook in otter-grader's format: raw cells mark where a question, its solution and
its tests begin and end.  From it `make assignments` makes the student copy; this module reads it for
grading, with no need of otter-grader.
"""

import ast
import contextlib
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

__all__ = [
    "Assignment",
    "Question",
    "Test",
    "Unreadable",
    "filled",
    "read_assignment",
    "read_submission",
]

HEADING = re.compile(r"^## (.+?) \((\d+) points?, (\d+) minutes\)$", re.M)
CHECK = re.compile(r"""^\s*check\(\s*["'](\w+)["']""", re.M)
EMPTY = "_Type your answer here, replacing this text._"


class Unreadable(Exception):
    """A submission that is no notebook; the message is for its author."""


@dataclass(frozen=True)
class Test:
    """One test of a question: ``source`` defines a function whose arguments name what it tests."""

    name: str
    points: float
    hidden: bool
    source: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """A question; ``by_hand`` if a person reads its answer, which then is prose."""

    name: str
    title: str
    points: int
    minutes: int
    by_hand: bool
    text: str
    solution: str
    tests: tuple[Test, ...]


@dataclass(frozen=True)
class Assignment:
    """An assignment: ``number`` as in its file's name, ``setup`` the code before its questions."""

    number: str
    title: str
    setup: tuple[str, ...]
    questions: tuple[Question, ...]
    prose: frozenset[str]
    blank: frozenset[str]  # the cells that students fill, as they get them

    @property
    def points(self) -> int:
        return sum(question.points for question in self.questions)

    @property
    def minutes(self) -> int:
        return sum(question.minutes for question in self.questions)

    def question(self, name: str) -> Question:
        return next(question for question in self.questions if question.name == name)


def cells_of(path: str | Path) -> list[tuple[str, str]]:
    """(kind, source) of each cell of a notebook; raises Unreadable if it is none."""
    import nbformat

    try:
        data = Path(path).read_bytes()
    except OSError:
        raise Unreadable("the file cannot be read") from None
    if not data.strip():
        raise Unreadable("the file is empty")
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("this is no notebook, or one that was cut off or damaged") from None
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        raw = nbformat.convert(nbformat.from_dict(raw), 4)  # older formats
    try:
        return [  # JSON can hold half a character, which is no text
            (str(cell["cell_type"]), "".join(cell.get("source", "")).encode("utf-8", "replace").decode())
            for cell in raw["cells"]
        ]
    except (KeyError, TypeError, AttributeError):
        raise Unreadable("this file holds no cells of a notebook") from None


# --- the source --------------------------------------------------------------------------------


def settings_of(raw: str) -> dict[str, str]:
    """{key: value} of the lines `key: value` of a raw cell."""
    return dict(re.findall(r"^(\w+): *(.*)$", raw, re.M))


def read_test(source: str) -> Test:
    """The test that a cell defines, its settings in a first string."""
    match = re.match(r'""" # BEGIN TEST CONFIG\n(.*?)""" # END TEST CONFIG\n(.*)', source, re.S)
    if not match:
        raise ValueError(f"a test begins with its settings, not with {source[:40]!r}")
    settings, body = settings_of(match[1]), match[2].strip()
    [function] = [node for node in ast.parse(body).body if isinstance(node, ast.FunctionDef)]
    arguments = tuple(argument.arg for argument in function.args.args)
    points, hidden = float(settings["points"]), settings.get("hidden") == "true"
    return Test(function.name, points, hidden, body, arguments)


def without_markers(source: str) -> str:
    """A solution's cell without the marks of what the student copy leaves out."""
    lines = [line for line in source.splitlines() if not re.match(r"\s*# (BEGIN|END) SOLUTION", line)]
    return "\n".join(re.sub(r"\s*# SOLUTION$", "", line) for line in lines).strip()


def blanked(source: str) -> str:
    """A solution's code as students get it: marked lines are left out, marked values are `...`."""
    source = re.sub(r"^( *)# BEGIN SOLUTION\n.*?# END SOLUTION$", r"\1...", source, flags=re.M | re.S)
    return re.sub(r"^( *)(\w+(?:, \w+)* = )?.*# SOLUTION$", r"\1\2...", source, flags=re.M)


def read_assignment(path: str | Path) -> Assignment:
    """The assignment whose source is at ``path``."""
    setup, questions, prose, blank, title = [], [], [], [], ""
    within, question, tests, texts, solution = [], {}, [], [], []
    for kind, source in cells_of(path):
        mark = re.match(r"# (BEGIN|END) (\w+)", source) if kind == "raw" else None
        if mark and mark[1] == "BEGIN":
            within.append(mark[2])
            if mark[2] == "QUESTION":
                question, tests, texts, solution = settings_of(source), [], [], []
        elif mark:
            within.pop()
            if mark[2] == "QUESTION":
                questions.append(_question(question, texts, solution, tests))
        elif kind == "raw":
            continue
        elif within[-1:] == ["TESTS"]:
            tests.append(read_test(source))
        elif within[-1:] == ["SOLUTION"]:
            solution.append(without_markers(source))
            blank.append(blanked(source))
        elif kind == "markdown":
            prose.append(source.strip())
            title = title or source.splitlines()[0].removeprefix("# ")
            if within:
                texts.append(source.strip())
        elif not questions and not within:
            setup.append(source)
    number = Path(path).stem[:2]
    return Assignment(number, title, tuple(setup), tuple(questions), frozenset(prose), frozenset(blank))


def _question(
    settings: Mapping[str, str], texts: Sequence[str], solution: Sequence[str], tests: Sequence[Test]
) -> Question:
    text = "\n\n".join(texts)
    name, by_hand = settings["name"], settings.get("manual") == "true"
    heading = HEADING.search(text)
    if not heading:
        raise ValueError(f"the question {name} needs a heading such as `## Title (3 points, 20 minutes)`")
    points = int(heading[2])
    given = float(settings["points"]) if by_hand else sum(test.points for test in tests)
    if given != points or float(settings["points"]) != points:
        raise ValueError(f"the question {name} says {points} points, but they add up to {given:g}")
    return Question(
        name,
        heading[1],
        points,
        int(heading[3]),
        by_hand,
        text,
        "\n\n".join(solution),
        tuple(tests),
    )


# --- what students hand in ---------------------------------------------------------------------


@dataclass(frozen=True)
class Submission:
    """What a student handed in: its code cells in order, and what there is to read for each question.

    ``prose`` maps each question that a person reads to its text, or to None if its placeholder is
    untouched and nothing was added near it.  ``note`` says what is strange about the whole.
    """

    code: tuple[str, ...]
    prose: dict[str, str | None]
    note: str = ""


def remarks_in(source: str) -> str:
    """The comments and the longer strings of a code cell: some answer in words there.

    Examples
    --------
    >>> remarks_in("x = 1  # one\\n# with replacement it grows\\nprint('and the order enters with r', end='')")
    'with replacement it grows\\nand the order enters with r'
    """
    lines = [line.strip() for line in source.splitlines()]
    found = [line.lstrip("# ") for line in lines if line.startswith("#") and len(line) > 20]
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for node in ast.walk(ast.parse(source)):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and len(text) > 20 and len(text.split()) > 3:
                found.append(text.strip())
    return "\n".join(found)


def added_to(prose: Iterable[str], text: str) -> str:
    """What is new in a text that begins as one of the assignment's own: all of it if none does.

    A student may have an earlier wording, or write below a question in its own cell.

    Examples
    --------
    >>> added_to(["# One\\nRead this.\\nAnd this."], "# One\\nRead this.\\nMy answer.")
    'My answer.'
    """
    first, *_ = mine = text.splitlines()
    for own in prose:
        theirs = own.splitlines()
        if theirs and theirs[0].partition(" (")[0] == first.partition(" (")[0]:
            parts = SequenceMatcher(None, theirs, mine, autojunk=False).get_opcodes()
            return "\n".join(line for what, _, _, a, b in parts if what != "equal" for line in mine[a:b]).strip()
    return text


def read_submission(path: str | Path, assignment: Assignment) -> Submission:
    """The answers in a submission; raises Unreadable.

    A text belongs to the question whose heading came last before it.  Only an untouched placeholder
    counts as no answer: where anything else is, or the placeholder is gone, a person has to look.
    """
    setup = {source.strip() for source in assignment.setup}
    titles = {question.title: question.name for question in assignment.questions}
    names, by_hand = set(titles.values()), [q.name for q in assignment.questions if q.by_hand]
    code: list[str] = []
    texts: dict[str, list[str]] = {name: [] for name in names}
    blank: set[str] = set()
    here, seen = "", 0
    for kind, source in cells_of(path):
        if kind == "code":
            seen += len(set(CHECK.findall(source)) & names)
            if source.strip() and source.strip() not in setup:
                code.append(source)
                texts.get(here, []).append(remarks_in(source))
            continue
        text = re.sub(r"<!--.*?-->", "", source, flags=re.S).strip()
        for title, name in titles.items():
            if f"## {title}" in text:
                here, seen = name, seen + 1
        if text == EMPTY:
            blank.add(here)
        elif text not in assignment.prose and text:
            texts.setdefault(here, []).append(added_to(assignment.prose, text))
    found = {name: "\n\n".join(filter(None, texts[name])) for name in by_hand}
    rest = "\n\n".join(filter(None, texts.get("", [])))
    prose: dict[str, str | None] = {
        name: found[name] or (None if name in blank and not rest else rest) for name in by_hand
    }
    note = _note(code, assignment, seen)
    # another assignment's text is nobody's answer, but a person has to look
    if not seen and note.startswith("this is assignment"):
        prose |= dict.fromkeys(by_hand, "")
    if not note and not any(map("".join, texts.values())) and assignment.blank.issuperset(filter(is_answer, code)):
        note = "no answer is filled in: it is the copy as it was handed out"
    return Submission(tuple(code), prose, note)


def is_answer(source: str) -> bool:
    """Whether a cell is more than a check, or than what installs the library."""
    return "except ModuleNotFoundError" not in source and not (CHECK.match(source) and "\n" not in source.strip())


def _note(code: Sequence[str], assignment: Assignment, seen: int) -> str:
    others = set(re.findall(r"""checks_of\(\s*["'](\w+)["']""", "\n".join(code))) - {assignment.number}
    if others:
        return f"this is assignment {', '.join(sorted(others))}, not {assignment.number}"
    return "" if seen else f"it holds no question of assignment {assignment.number}"


def filled(assignment: Assignment, answers: Mapping[str, str]) -> str:
    """A notebook as a student would hand it in, with these answers by their questions' names."""
    cells = [("code", source) for source in assignment.setup]
    for question in assignment.questions:
        answer = answers.get(question.name, "")
        cells.append(("markdown", question.text))
        cells.append(("markdown" if question.by_hand else "code", answer or EMPTY * question.by_hand))
        cells.append(("code", f'check("{question.name}")'))
    blank = {"metadata": {}, "outputs": [], "execution_count": None}
    notebook = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}}
    notebook["cells"] = [
        {"cell_type": kind, "source": source, **(blank if kind == "code" else {"metadata": {}})}
        for kind, source in cells
    ]
    return json.dumps(notebook)
