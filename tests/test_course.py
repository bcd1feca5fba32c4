"""The assignments mark themselves: right answers get all points, wrong ones are told why, and what
breaks costs its author one question."""

import csv
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bea_course import checks_of
from bea_course.grade import grade
from bea_course.marking import mark, warm_up
from bea_course.notebook import EMPTY, cells_of, filled, read_assignment
from bea_course.sandbox import Limits, ask
from tools.site import check_site
from tools.site.leaks import leaks_in, secrets_of

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "assignments"
SOURCES = sorted(FOLDER.glob("[0-9]*.ipynb"))
ADAM = next(path for path in SOURCES if path.name.startswith("05"))
LIMITS = Limits(seconds=120)  # the machine may be busy
FAULTS = runpy.run_path(FOLDER / "wrong" / "faults.py")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="marking needs a system that can fork")


@pytest.fixture(scope="module", autouse=True)
def warm():
    warm_up()


def wrong_of(source):
    return runpy.run_path(FOLDER / "wrong" / f"{source.stem}.py")["WRONG"]


def solutions_of(assignment):
    return {question.name: question.solution for question in assignment.questions}


def handed_in(path, assignment, answers):
    path.write_text(filled(assignment, answers), encoding="utf-8")
    return path


each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)

# --- what an assignment is ---------------------------------------------------------------------


@each_source
def test_source_is_in_order(source):
    assignment = read_assignment(source)
    text = "\n".join(assignment.prose)
    assert f"**Points.** {assignment.points}." in text
    assert f"**Time.** {assignment.minutes} minutes." in text
    names = [question.name for question in assignment.questions]
    assert len(names) == len(set(names))
    for question in assignment.questions:
        assert question.solution
        assert question.by_hand == ("*Rubric.*" in question.text), question.name
        assert question.by_hand == (not question.tests), question.name
    outputs = [cell.get("outputs") for cell in json.loads(source.read_text(encoding="utf-8"))["cells"]]
    assert not any(outputs)


@each_source
def test_student_copy_is_of_this_source(source):
    """`make assignments` makes it; the rest of what that makes is not committed."""
    assignment = read_assignment(source)
    copy = cells_of(FOLDER / "student" / source.name)
    sources = cells_of(source)
    public = [text.strip() for kind, text in sources if kind == "markdown" and text.strip() in assignment.prose]
    solutions = {question.solution for question in assignment.questions if question.by_hand}
    assert [text for kind, text in copy if kind == "markdown" and text != EMPTY] == [
        t for t in public if t not in solutions
    ]
    checks = [text.strip() for kind, text in sources if kind == "code" and text.startswith("check(")]
    assert [text for kind, text in copy if kind == "code" and text.startswith("check(")] == checks
    assert [text for kind, text in copy if kind == "code"][: len(assignment.setup)] == [
        s.strip() for s in assignment.setup
    ]


@each_source
def test_student_copy_holds_no_solution(source):
    assert secrets_of(source)
    assert leaks_in([FOLDER / "student" / path.name for path in SOURCES], [source]) == []


# --- marks -------------------------------------------------------------------------------------


@each_source
def test_solution_gets_all_points(source, tmp_path):
    assignment = read_assignment(source)
    result = mark(source, handed_in(tmp_path / "right.ipynb", assignment, solutions_of(assignment)), LIMITS)
    by_hand = sum(question.points for question in assignment.questions if question.by_hand)
    assert (result["points"], result["to_read"]) == (assignment.points - by_hand, by_hand), result


@each_source
def test_student_copy_gets_none(source):
    result = mark(source, FOLDER / "student" / source.name, LIMITS)
    assert (result["points"], result["to_read"]) == (0, 0), result


@each_source
def test_student_copy_runs_as_it_is(source, capsys):
    names = {}
    for kind, text in cells_of(FOLDER / "student" / source.name):
        if kind == "code":
            exec(text, names)
    said = capsys.readouterr().out.splitlines()
    questions = read_assignment(source).questions
    assert len(said) == len(questions)
    assert all(("not answered yet" in line) != q.by_hand for line, q in zip(said, questions)), said


@each_source
def test_students_checks_say_what_marking_says(source, capsys):
    """The cells that check, in order, as in a student's own notebook with the right answers."""
    assignment = read_assignment(source)
    names = {}
    code = [*assignment.setup, *(q.solution for q in assignment.questions if not q.by_hand)]
    code += [text for kind, text in cells_of(source) if kind == "code" and text.startswith("check(")]
    for text in code:
        exec(text, names)
    said = capsys.readouterr().out.splitlines()
    for question in assignment.questions:
        end = (
            "a person reads this answer; there is nothing to check."
            if question.by_hand
            else "right, as far as this check sees."
        )
        assert f"{question.name}: {end}" in said


CASES = [
    pytest.param(source, name, answers, id=f"{source.stem}-{name}")
    for source in SOURCES
    for name, answers in wrong_of(source).items()
]


@pytest.mark.parametrize("source, name, answers", CASES)
def test_wrong_answers_are_told_why(source, name, answers):
    assignment = read_assignment(source)
    question, right = assignment.question(name), solutions_of(assignment)
    names = [q.name for q in assignment.questions if not q.by_hand]
    before = [right[other] for other in names[: names.index(name)]]
    for old, new, said in answers:
        answer = new if old is None else right[name].replace(old, new)
        assert answer != right[name], old
        found = ask(source, name, assignment.setup, [*before, answer], LIMITS)
        tests = found["tests"].values()
        assert not found["fault"] and len(tests) == len(question.tests), (new, found)
        assert not any(test.get("unexpected") for test in tests), (new, found)
        assert any(said in test.get("message", "") for test in tests), (new, found)


@each_source
def test_every_question_has_wrong_answers(source):
    wanted = {question.name for question in read_assignment(source).questions if not question.by_hand}
    assert set(wrong_of(source)) == wanted
    assert all(len(answers) >= 3 for answers in wrong_of(source).values())


def test_an_unanswered_question_is_no_error(capsys):
    checks_of("05")("potential", ...)
    assert capsys.readouterr().out == "potential: not answered yet.\n"


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize("title, code, said", FAULTS["FAULTS"], ids=[f[0] for f in FAULTS["FAULTS"]])
def test_fault_costs_one_question(title, code, said, tmp_path):
    assignment = read_assignment(ADAM)
    right = solutions_of(assignment)
    faulty = code.replace("SOURCE", repr(str(ADAM)))
    answers = {"half_step": faulty, "potential": right["potential"]}
    path = handed_in(tmp_path / "faulty.ipynb", assignment, answers)
    outside = tmp_path.parent / "outside.txt"
    result = mark(ADAM, path, Limits(seconds=4 if "did not end" in said else 60))
    entry = result["questions"]["half_step"]
    assert entry["points"] == 0
    assert said in f"{entry['fault']} {entry['errors']}"
    assert result["questions"]["potential"]["points"] == 2
    assert not outside.exists()


def test_a_broken_cell_costs_no_other_its_marks(tmp_path):
    assignment = read_assignment(ADAM)
    answers = solutions_of(assignment) | {"step": FAULTS["BREAKS"]}
    result = mark(ADAM, handed_in(tmp_path / "broken.ipynb", assignment, answers), LIMITS)
    points = {name: entry["points"] for name, entry in result["questions"].items()}
    # the experiment uses `step`, which is not there
    assert points == {q.name: q.points for q in assignment.questions} | {
        "step": 0,
        "experiment": 0,
        "words": None,
    }


# --- a class -----------------------------------------------------------------------------------


def test_class_survives_a_kill(tmp_path):
    assignment = read_assignment(ADAM)
    folder, out = tmp_path / "class", tmp_path / "grades.csv"
    folder.mkdir()
    answers = {"potential": solutions_of(assignment)["potential"]}
    for k in range(6):
        handed_in(folder / f"student{k}.ipynb", assignment, answers)
    (folder / "student6.ipynb").write_text("no notebook")
    command = [
        sys.executable,
        "-m",
        "bea_course.grade",
        str(folder),
        "--out",
        str(out),
        "--assignment",
        str(ADAM),
        "--jobs",
        "1",
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    done = out.with_suffix("")
    while process.poll() is None and len(list(done.glob("*.json"))) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in done.glob("*.json")}
    assert 2 <= len(kept) < 7
    # what a person has given in the meantime is kept, and counts
    (done / "by_hand.csv").write_text("student,question,points,comment\nstudent0,words,1.5,Good.\n")
    results, marked = grade(ADAM, folder, out, jobs=2, quiet=True)
    assert marked == 7 - len(kept)
    assert all((done / name).stat().st_mtime_ns == when for name, when in kept.items())
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert [float(row["points"]) for row in rows] == [3.5, 2, 2, 2, 2, 2, 0]
    assert "no notebook" in rows[-1]["note"]
    assert "Good." in (done / "student0.md").read_text(encoding="utf-8")


# --- leaks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["page.html", "copy.ipynb", "wheel.whl", "plain.txt"])
def test_a_leak_is_found(name, tmp_path):
    from html import escape
    from zipfile import ZipFile

    line = sorted(secrets_of(ADAM))[0]
    path = tmp_path / name
    if name == "wheel.whl":
        with ZipFile(path, "w") as archive:
            archive.writestr("inside.py", line)
    elif name == "page.html":
        path.write_text("<pre>" + "<span>".join(escape(c) for c in line) + "</pre>", encoding="utf-8")
    else:
        path.write_text(json.dumps([line]) if name == "copy.ipynb" else line, encoding="utf-8")
    assert len(leaks_in([path], [ADAM])) == 1
    path.write_bytes(re.sub(rb".", b"x", b"nothing"))
    if name != "wheel.whl":
        assert leaks_in([path], [ADAM]) == []


def test_a_planted_solution_stops_the_build(tmp_path):
    """`make book` runs check_site on the site that it has built."""
    (tmp_path / "index.html").write_text("<p>nothing</p>", encoding="utf-8")
    answer = solutions_of(read_assignment(ADAM))["bracket"]
    assert len(answer) > 40
    for text, caught in (("nothing", False), (answer, True)):
        place = tmp_path / "chapters" / "10_adam.html"
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"<pre>{text}</pre>", encoding="utf-8")
        with pytest.raises(SystemExit) as stopped:  # for other reasons as well: this is hardly a site
            check_site.main(tmp_path)
        assert ("10_adam.html: holds of 05_adam" in str(stopped.value)) == caught
