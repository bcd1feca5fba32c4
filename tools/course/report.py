"""Measure the assignments and their marking, and write assignments/report.md.

    python -m tools.course.report

`make course-bench` runs this: the marks of solutions, student copies and wrong answers; what becomes of
answers that break something; thirty files as a class hands them in, by the command and by the archive for
Gradescope; and a class of 200, killed half-way and started again, a sample of it by the archive.
"""

import argparse
import contextlib
import io
import json
import os
import random
import runpy
import shutil
import socket
import subprocess
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from zipfile import ZipFile

import nbformat
import psutil

from bea_course.examiner import examine
from bea_course.fence import fence
from bea_course.grade import grade, result_in
from bea_course.gradescope import as_results
from bea_course.handed_in import rows_of
from bea_course.kernel import Fault, Kernel, Limits
from bea_course.marking import mark
from bea_course.notebook import filled, read_assignment
from tools.course.assignments import archive
from tools.site.leaks import SOURCES, leaks_in, secrets_of

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "assignments"
WORK = ROOT / "_build" / "course"
CLASS = Limits(seconds=10.0)  # of the large class
JOBS = 2


def solutions_of(assignment):
    return {question.name: question.solution for question in assignment.questions}


def wrong_of(source):
    return runpy.run_path(FOLDER / "wrong" / f"{source.stem}.py")["WRONG"]


def faults():
    found = runpy.run_path(FOLDER / "wrong" / "faults.py")
    return found["ENDS"] + found["FAULTS"] + found["VALUES"]


def changed(right, name, choice):
    """A wrong answer: a text of its own, or the right one with something replaced."""
    old, new, _ = choice
    return new if old is None else right[name].replace(old, new)


def handed_in(name, assignment, answers):
    path = WORK / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(filled(assignment, answers), encoding="utf-8")
    return path


def row(*cells):
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def cpu():
    own, children = os.times()[:2], os.times()[2:4]
    return sum(own) + sum(children)


# --- one assignment ----------------------------------------------------------------------------


def of_assignment(source):
    """(the row of the overview, the lines of its table of wrong answers)."""
    import_module(f"bea_course.checks.a{source.name[:2]}")  # here once, not in each process of tests
    assignment = read_assignment(source)
    right = solutions_of(assignment)
    solution = mark(source, handed_in("right.ipynb", assignment, right))
    blank = mark(source, FOLDER / "student" / source.name)
    lines, told, total = [], 0, 0
    kernel = Kernel()
    for cell in assignment.setup:
        kernel.run(cell)
    for name, answers in wrong_of(source).items():
        question = assignment.question(name)
        names = [q.name for q in assignment.questions if not q.by_hand]
        for other in names[: names.index(name)]:
            kernel.run(right[other])
        for choice in answers:
            kernel.run(changed(right, name, choice))
            found, _ = examine(kernel, question)
            tests = {test.name: test for test in question.tests}
            points = sum(tests[k].points for k, test in found["tests"].items() if test["passed"])
            messages = [test["message"] for test in found["tests"].values() if test.get("message")]
            right_reason = any(choice[2] in message for message in messages)
            told, total = told + right_reason, total + 1
            lines.append(
                row(
                    name,
                    f"{points:g} of {question.points}",
                    messages[0] if messages else "",
                    "yes" if right_reason else "**no**",
                )
            )
    kernel.end()
    leaks = leaks_in([FOLDER / "student" / path.name for path in SOURCES], [source])
    overview = row(
        assignment.title,
        f"{solution['points']:g} + {solution['to_read']} by hand, of {assignment.points}",
        f"{blank['points']:g}",
        f"{told} of {total}",
        f"{solution['processor']:.1f}",
        f"{len(secrets_of(source))}, {len(leaks)}",
    )
    return overview, lines


def by_every_road(source):
    """A line on notebooks with a wrong answer to every question: whether each test gets the same in every way of grading."""
    assignment = read_assignment(source)
    right = solutions_of(assignment)
    base, wrong = WORK / "wrong" / source.stem, wrong_of(source)
    shutil.rmtree(base / "class", ignore_errors=True)
    many = max(map(len, wrong.values()))
    for k in range(many):
        answers = {name: changed(right, name, choices[k]) for name, choices in wrong.items() if k < len(choices)}
        handed_in(f"wrong/{source.stem}/class/{k:02d}.ipynb", assignment, right | answers)
    done = grade(source, base / "class", base / "marks.csv", JOBS, private=WORK, quiet=True)
    archive(source, None, base / "archive.zip", WORK / "secret.txt")
    same = 0
    for name, result in done.results.items():
        there = partial(in_container, base / "archive.zip", base / "class" / f"{name}.ipynb", base / "stage")
        same += scores(kept(f"road {source.stem} {name}", there)["tests"]) == scores(as_results(result)["tests"])
    return f"- {assignment.title}: {many} notebooks, {same} of them with the same points in each test."


# --- faults ------------------------------------------------------------------------------------


def of_faults(source):
    assignment = read_assignment(source)
    right = solutions_of(assignment)
    lines = []
    for title, code, _ in faults():
        answers = right | {"half_step": code}
        result = mark(source, handed_in("faulty.ipynb", assignment, answers), Limits(seconds=10))
        entry = result["questions"]["half_step"]
        became = entry["fault"] or "; ".join(entry["errors"]) or entry["tests"][0]["message"]
        others = [other for name, other in result["questions"].items() if name != "half_step" and not other["by_hand"]]
        points, of = (sum(other[key] for other in others) for key in ("points", "of"))
        lines.append(row(title, became, f"{entry['points']:g} of {entry['of']}", f"{points:g} of {of}"))
    return lines


def of_reach():
    """A line for each attempt to reach what is outside a kernel, or to harm the machine: what became of it."""
    tried, place = runpy.run_path(FOLDER / "wrong" / "faults.py"), WORK / "reach"
    place.mkdir(parents=True, exist_ok=True)
    for name in ("marked.json", "secret.txt"):
        (place / name).write_text("{}", encoding="utf-8")
    lines = []
    with Kernel() as other, Kernel() as kernel, socket.create_server(("127.0.0.1", 0)) as listening:
        names = {"OUTSIDE": place / "outside.txt", "SECRET": place / "secret.txt", "MARKED": place / "marked.json"}
        names |= {"OTHER": other.folder, "HOME": Path.home(), "SOURCE": SOURCES[0]}
        for title, code in tried["REACH"]:
            for name, path in names.items():
                code = code.replace(name, repr(str(path)))
            code = code.replace("GRADER", str(os.getpid())).replace("PORT", str(listening.getsockname()[1]))
            problem = kernel.run(code)
            lines.append(row(title, problem.partition(":")[0] if problem else "**it succeeded**"))
    for title, code, _ in tried["HARMS"]:
        with Kernel(Limits(seconds=60, memory=400_000_000)) as kernel:
            became = "**it was not stopped**"
            try:
                kernel.run(code)
            except Fault as fault:
                became = f"it {fault}"
        lines.append(row(title, became))
    return lines


# --- a class -----------------------------------------------------------------------------------


def cells_changed(text, change):
    """A notebook's text after ``change`` of its list of cells."""
    notebook = json.loads(text)
    return json.dumps(notebook | {"cells": change(notebook["cells"])})


def right_in_many_forms(source):
    """{file: (what it is, its content)}: the right answers, in every form that a notebook may have."""
    assignment = read_assignment(source)
    right = solutions_of(assignment)
    code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}

    def notebook(**changed):
        return filled(assignment, right | changed)

    full = notebook()
    below = cells_changed(notebook(bracket=""), lambda cells: [*cells, code | {"source": right["bracket"]}])
    one_cell = "\n\n".join([*assignment.setup, *(right[q.name] for q in assignment.questions if not q.by_hand)])
    without_checks = cells_changed(full, lambda cells: [c for c in cells if not c["source"].startswith("check(")])
    words_below = cells_changed(
        notebook(words=""), lambda cells: [*cells, {"cell_type": "markdown", "metadata": {}, "source": "In my words."}]
    )
    odd = "if (3\n    != None):\n    x = (7\n    % 3)\n" + right["sign"]
    shown = right["averages"] + "\ndisplay(m_hat)\nsp.simplify?"
    anew = "g, epsilon, p = sp.symbols('g epsilon p')\n" + right["potential"]
    return {
        "anna.ipynb": ("all right", full),
        "María José.ipynb": ("all right, a name with accents", full),
        "UPPER.IPYNB": ("all right, an ending in capitals", full),
        "bom.ipynb": ("all right, with a byte order mark", "\ufeff" + full),
        "old.ipynb": ("all right, in format 3", nbformat.writes(nbformat.reads(full, 3), 3)),
        "olga.ipynb": ("an answer below its check", below),
        "nils.ipynb": ("display and a question mark", notebook(averages=shown)),
        "paul.ipynb": ("%%capture above an answer", notebook(step="%%capture\n" + right["step"])),
        "quinn.ipynb": ("lines that begin with != and %", notebook(sign=odd)),
        "rosa.ipynb": ("symbols made anew", notebook(potential=anew)),
        "frank.ipynb": ("no check cells", without_checks),
        "walt.ipynb": ("all in one cell", cells_changed(full, lambda _: [code | {"source": one_cell}])),
        "ugo.ipynb": ("words below the last check", words_below),
    }


def class_of_thirty(source):
    """{file: (what it is, its content)}: notebooks in every state in which a class hands them in."""
    assignment, forms = read_assignment(source), right_in_many_forms(source)
    right, wrong, full = solutions_of(assignment), wrong_of(source), forms["anna.ipynb"][1]
    blank = (FOLDER / "student" / source.name).read_text(encoding="utf-8")
    named = {title: text for title, text, _ in faults()}

    def notebook(**changed):
        return filled(assignment, right | changed)

    def spoilt(k, *names):
        return notebook(**{name: changed(right, name, wrong[name][k]) for name in names})

    def packed(text, name="05_adam.ipynb"):
        stream = io.BytesIO()
        with ZipFile(stream, "w") as archive:
            archive.writestr(name, text)
        return stream.getvalue()

    thief = "import gc\nhalf_step = [o for o in gc.get_objects() if type(o).__name__ == 'Question'][0].solution"
    other = next(path for path in SOURCES if path.name.startswith("03"))
    return forms | {
        "blank.ipynb": ("the student copy as it was", blank),
        "bob.ipynb": ("one wrong bracket", spoilt(0, "bracket")),
        "cleo.ipynb": ("wrong in every question", spoilt(1, *wrong)),
        "loop.ipynb": ("a loop without end", notebook(half_step=named["loops for ever"])),
        "exit.ipynb": ("ends Python", notebook(half_step=named["ends Python"])),
        "thief.ipynb": ("looks for the solutions in its memory", notebook(half_step=thief)),
        "doejohn_LATE_12345_987_05_adam.ipynb": ("as Canvas packs it, late, and again", blank),
        "doejohn_LATE_12345_988_05_adam-1.ipynb": ("the second of these", full),
        "Lena M_123_assignsubmission_file_/05_adam.ipynb": ("as Moodle packs it", full),
        "judy.zip": ("a zip", packed(full)),
        "judy2/05_adam.zip": ("a zip in a folder", packed(full)),
        "ivan.py": ("no notebook", "x = 1"),
        "ivan2/answer.docx": ("no notebook, in a folder", "x"),
        "empty.ipynb": ("an empty file", ""),
        "cut.ipynb": ("a notebook cut off", full[: len(full) // 2]),
        "other.ipynb": ("another assignment", (FOLDER / "student" / other.name).read_text(encoding="utf-8")),
        "broken.zip": ("a damaged zip", "no zip"),
    }


def of_thirty(source):
    """A line for each file of the class of thirty: the same by the command and by the archive for Gradescope."""
    base, files = WORK / "thirty", class_of_thirty(source)
    for name, (_, content) in files.items():
        path = base / "class" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    start = time.perf_counter()
    done = grade(source, base / "class", base / "05.csv", JOBS, private=base, quiet=True)
    seconds = time.perf_counter() - start
    used = [result["processor"] for result in done.results.values() if "processor" in result]
    archive(source, None, base / "05.zip", base / "secret.txt")
    rows = rows_of(base / "05" / "files.csv")
    owner = {name: row["student"] for row in rows for name in files if name in row["handed in as"]}
    lines, same, replaced = [], 0, 0
    for name, (what, _) in files.items():
        result = done.results[owner[name]]
        there = in_container(base / "05.zip", base / "class" / name, base / "stage")["tests"]
        earlier = "_987_" in name  # the one that was handed in again
        same += scores(there) == scores(as_results(result)["tests"])
        replaced += earlier
        here = "replaced" if earlier else f"{result['points']:g}"
        lines.append(row(name, what, here, f"{sum(scores(there)):g}", result["to_read"], result["note"]))
    first = f"{len(files)} files of assignment 5, {len(owner)} of them with a row in `files.csv`, from {len(done.results)} students, each with a row in the table; {seconds:.0f} seconds by the clock, {sum(used) / len(used):.1f} CPU seconds a notebook."
    second = f"Marks equal by the command and by the archive, test by test: {same} of the {len(files) - replaced} that count."
    return [first, second, lines]


def make_class(source, folder, size):
    """Submissions: right, wrong in every question, blank, and some that break something."""
    assignment = read_assignment(source)
    right, wrong, rng = solutions_of(assignment), wrong_of(source), random.Random(5)
    folder.mkdir(parents=True)
    for k in range(size):
        answers = dict(right)
        if k % 10 in (3, 4, 5, 6):
            for name, choices in wrong.items():
                answers[name] = changed(right, name, rng.choice(choices))
        if k % 10 == 7:
            answers = {}
        if k % 10 == 8:
            answers[rng.choice(list(wrong))] = rng.choice(faults())[1]
        (folder / f"student{k:03d}.ipynb").write_text(filled(assignment, answers), encoding="utf-8")


def memory_of(pid):
    """The memory in bytes of a process and its descendants; what they share is counted once."""
    total = 0
    with contextlib.suppress(psutil.Error):
        for one in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += one.memory_full_info().pss
    return total


def by_command(source, folder, out, stop_at=None):
    """Mark a folder by the command; kill it when ``stop_at`` results are there.  (seconds, memory)."""
    command = [sys.executable, "-m", "bea_course.grade", folder, "--out", out, "--assignment", source, "--jobs", JOBS]
    command += ["--private", WORK, "--seconds", CLASS.seconds]
    start, most = time.perf_counter(), 0
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        most = max(most, memory_of(process.pid))
        if stop_at and len(list(out.with_suffix("").glob("*.json"))) >= stop_at:
            process.kill()
            process.wait()
        time.sleep(1)
    return time.perf_counter() - start, most


def in_container(zip_file, notebook, base):
    """What the archive's own script writes for one file, run at /autograder with the rights that a container has."""
    shutil.rmtree(base, ignore_errors=True)
    (base / "submission").mkdir(parents=True)
    shutil.copy(notebook, base / "submission")
    with ZipFile(zip_file) as made:
        made.extractall(base / "source")
    (base / "results").mkdir()
    command = [shutil.which("bwrap"), "--unshare-net", "--cap-drop", "ALL"]
    for name in ("setuid", "setgid", "chown", "fowner", "dac_override", "kill"):
        command += ["--cap-add", f"CAP_{name.upper()}"]
    for top in sorted(Path("/").iterdir()):
        link = top.is_symlink()
        command += ["--symlink", os.readlink(top), top] if link else ["--dev-bind", top, top]
    command += ["--bind", base, "/autograder", "bash", "/autograder/source/run_autograder"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT / "lib")}
    subprocess.run(list(map(str, command)), env=environment, check=True)
    return json.loads((base / "results" / "results.json").read_text(encoding="utf-8"))


def scores(tests):
    """The points of all tests, in Gradescope's form."""
    return [test["score"] for test in tests]


def of_roads(source, folder, out, sample):
    """The table of what went by the command, which has marked all, and by the archive, ``sample`` that are drawn."""
    found = {path.stem: scores(as_results(result_in(path))["tests"]) for path in out.with_suffix("").glob("*.json")}
    archive(source, None, WORK / "class.zip", WORK / "secret.txt")

    def there(name):
        start, used = time.perf_counter(), cpu()
        results = in_container(WORK / "class.zip", folder / f"{name}.ipynb", WORK / "stage")
        spent = time.perf_counter() - start, cpu() - used
        return [*spent, scores(results["tests"]), results["output"].splitlines()[0]]

    names = sorted(found)
    random.Random(7).shuffle(names)
    by_archive = [kept(f"{folder.name} {name}", lambda name=name: there(name)) for name in names[:sample]]
    seconds, used, points, says = zip(*by_archive)
    same = sum(found[name] == marks for name, marks in zip(names, points))
    return [
        f"- By the archive's own script, in a container without network and with a container's rights, {sample} of them: {same} with the same points in each test; {sum(seconds):.0f} seconds by the clock, {sum(used) / sample:.1f} CPU seconds each.",
        f"- What confined the answers: by the command, “{fence().says}”; in the container, “{says[0]}”",
    ]


def of_class(source, folder, out, size):
    for place in (folder, out.with_suffix("")):
        shutil.rmtree(place, ignore_errors=True)
    make_class(source, folder, size)
    killed = by_command(source, folder, out, stop_at=size // 2)
    kept = {path: path.stat().st_mtime_ns for path in out.with_suffix("").glob("*.json")}
    resumed = by_command(source, folder, out)
    found = {path.stem: result_in(path) for path in out.with_suffix("").glob("*.json")}
    again = sum(path.stat().st_mtime_ns != when for path, when in kept.items())
    right = sum(question.points for question in read_assignment(source).questions if not question.by_hand)
    full = sum(result["points"] == right for result in found.values())
    stopped = sum(any(entry.get("fault") for entry in r["questions"].values()) for r in found.values())
    third = grade(source, folder, out, JOBS, quiet=True, limits=CLASS, private=WORK)
    used = sum(result["processor"] for result in found.values()) / size
    return [
        f"- {size} submissions of assignment {int(source.name[:2])}, {JOBS} at a time: {killed[0] + resumed[0]:.0f} seconds by the clock, {used:.1f} CPU seconds each; {full} have all points, {stopped} have a question that was stopped.",
        f"- The command was killed (SIGKILL) when {len(kept)} results were there, and started again: {len(found)} results in the end, {again} of the first made twice, {size - len(third.results)} lost.  A third run had {third.marked} to mark.",
        f"- Memory of all processes together: at most {max(killed[1], resumed[1]) / 1e6:.0f} MB.",
    ]


def kept(name, measure):
    """What ``measure`` returns, or what it has returned before, if that is in _build/course-report; without it, None."""
    path = ROOT / "_build" / "course-report" / f"{name}.json"
    if measure and not path.is_file():
        print(f"{name} ...", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(measure()), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


PARTS = ("assignments", "roads", "thirty", "class", "faults")
MISSING = "Not measured with the present examiner yet."
OVERVIEW = ("assignment", "solution", "student copy", "wrong answers told the expected reason", "seconds to mark one")
OVERVIEW += ("secret lines, and found in student copies",)


def lacking(found):
    """A sentence that says which of {source: what was found} are not measured; empty if all are."""
    left = ", ".join(str(int(source.stem[:2])) for source, there in found.items() if not there)
    return f"Assignments {left}: {MISSING[0].lower()}{MISSING[1:]}" if left else ""


def table(head, rows):
    """A table, or what to say where nothing is measured."""
    return "\n".join([row(*head), row(*["---"] * len(head)), *rows]) if rows else MISSING


def page(measure, size, sample):
    """The text of the page; ``measure`` holds the parts that are measured where they are not kept."""
    adam = next(path for path in SOURCES if path.name.startswith("05"))
    folder, out = WORK / "class", WORK / "grades.csv"

    def part(section, name, of):
        return kept(name, of if section in measure else None)

    def large():
        return of_class(SOURCES[0], folder, out, size) + (of_roads(SOURCES[0], folder, out, sample) if sample else [])

    *of_30, files = part("thirty", "thirty", lambda: of_thirty(adam)) or [MISSING, []]
    by_source = {path: part("assignments", path.stem, lambda path=path: of_assignment(path)) for path in SOURCES}
    roads = {path: part("roads", f"roads {path.stem}", lambda path=path: by_every_road(path)) for path in SOURCES}
    head = ("question", "points", "what the checks say", "the expected reason")
    tables = [
        f"### {read_assignment(path).title}\n\n{table(head, found and found[1])}" for path, found in by_source.items()
    ]
    blocks = [
        "# The assignments, measured",
        "Written by `make course-bench`; do not edit it.",
        "<!-- figures -->",
        table(OVERVIEW, [found[0] for found in by_source.values() if found]),
        lacking(by_source),
        "Wrong answers in every way of grading, a wrong one to each question of a notebook:",
        "\n".join(filter(None, roads.values())),
        lacking(roads),
        "Files in every state in which notebooks are handed in:",
        "\n".join(of_30),
        "A larger class:",
        "\n".join(part("class", "class", large) or [MISSING]),
        "<!-- end -->",
        "## Everything that a class hands in",
        table(("file", "what it is", "points by the command", "by the archive", "to read", "note"), files),
        "## Answers that break something",
        "Each is an answer to the question *The half step* of assignment 5; all other answers are right.",
        table(
            ("the answer", "what became of it", "its question", "the other questions"),
            part("faults", "faults", lambda: of_faults(adam)),
        ),
        "## Attempts to get out",
        "What each tries is in `assignments/wrong/faults.py`; the second column is what Python said, or what ended it.",
        table(("the answer", "what became of it"), part("faults", "reach", of_reach)),
        "## Wrong answers",
        *tables,
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="measure only what is not in _build/course-report yet")
    parser.add_argument("--measure", nargs="*", choices=PARTS, default=PARTS, help="these parts alone (all)")
    parser.add_argument("--size", type=int, default=200, help="submissions of the large class (%(default)s)")
    parser.add_argument("--sample", type=int, help="how many of it also go by the archive (all)")
    parser.add_argument("--jobs", type=int, default=JOBS, help="submissions at a time (%(default)s)")
    given = parser.parse_args()
    globals()["JOBS"] = given.jobs
    if not given.keep:
        shutil.rmtree(ROOT / "_build" / "course-report", ignore_errors=True)
    sample = given.size if given.sample is None else given.sample
    (FOLDER / "report.md").write_text(page(given.measure, given.size, sample), encoding="utf-8")


if __name__ == "__main__":
    main()
