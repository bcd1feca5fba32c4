"""Measure the assignments and their marking, and write assignments/report.md.

    python -m tools.course.report

`make course-bench` runs this: the marks of solutions, student copies and wrong answers; what becomes of
answers that break something; and a class of 200, killed half-way and started again.
"""

import argparse
import json
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from bea_course.examiner import examine
from bea_course.grade import grade, result_in
from bea_course.kernel import Kernel, Limits
from bea_course.marking import mark
from bea_course.notebook import filled, read_assignment
from tools.site.leaks import SOURCES, leaks_in, secrets_of

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "assignments"
WORK = ROOT / "_build" / "course"
SIZE = 200


def solutions_of(assignment):
    return {question.name: question.solution for question in assignment.questions}


def wrong_of(source):
    return runpy.run_path(FOLDER / "wrong" / f"{source.stem}.py")["WRONG"]


def faults():
    found = runpy.run_path(FOLDER / "wrong" / "faults.py")
    return found["ENDS"] + found["FAULTS"] + found["VALUES"]


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
    assignment = read_assignment(source)
    right = solutions_of(assignment)
    start = cpu()
    solution = mark(source, handed_in("right.ipynb", assignment, right))
    seconds = cpu() - start
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
        for old, new, said in answers:
            answer = new if old is None else right[name].replace(old, new)
            kernel.run(answer)
            found, _ = examine(kernel, question)
            tests = {test.name: test for test in question.tests}
            points = sum(tests[k].points for k, test in found["tests"].items() if test["passed"])
            messages = [test["message"] for test in found["tests"].values() if test.get("message")]
            right_reason = any(said in message for message in messages)
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
        f"{seconds:.1f}",
        f"{len(secrets_of(source))}, {len(leaks)}",
    )
    return overview, lines


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
        lines.append(
            row(
                title,
                became,
                f"{entry['points']:g} of {entry['of']}",
                f"{result['points']:g} of {assignment.points - 2 - entry['of']}",
            )
        )
    return lines


# --- a class -----------------------------------------------------------------------------------


def make_class(source, folder):
    """200 submissions: right, wrong in every question, blank, and some that break something."""
    assignment = read_assignment(source)
    right, wrong, rng = solutions_of(assignment), wrong_of(source), random.Random(5)
    folder.mkdir(parents=True)
    for k in range(SIZE):
        answers = dict(right)
        if k % 10 in (3, 4, 5, 6):
            for name, choices in wrong.items():
                old, new, _ = rng.choice(choices)
                answers[name] = new if old is None else right[name].replace(old, new)
        if k % 10 == 7:
            answers = {}
        if k % 10 == 8:
            answers[rng.choice(list(wrong))] = rng.choice(faults())[1]
        (folder / f"student{k:03d}.ipynb").write_text(filled(assignment, answers), encoding="utf-8")


def memory_of(pid):
    """The memory in bytes of a process and its descendants; what they share is counted once."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += 1024 * int(rollup.partition("\nPss:")[2].split()[0])
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, IndexError, ValueError):
            continue
    return total


def run_class(source, folder, out, stop_at=None):
    """Run the grader in a process; kill it when ``stop_at`` results are there.  (seconds, CPU seconds, memory)."""
    command = [
        sys.executable,
        "-m",
        "bea_course.grade",
        str(folder),
        "--out",
        str(out),
        "--assignment",
        str(source),
        "--jobs",
        "2",
    ]
    start, used, most = time.perf_counter(), cpu(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        most = max(most, memory_of(process.pid))
        if stop_at and len(list(out.with_suffix("").glob("*.json"))) >= stop_at:
            process.send_signal(signal.SIGKILL)
            process.wait()
        time.sleep(1)
    return time.perf_counter() - start, cpu() - used, most


def of_class(source):
    folder, out = WORK / "class", WORK / "grades.csv"
    shutil.rmtree(WORK, ignore_errors=True)
    make_class(source, folder)
    first = run_class(source, folder, out, stop_at=SIZE // 2)
    kept = {path: path.stat().st_mtime_ns for path in out.with_suffix("").glob("*.json")}
    second = run_class(source, folder, out)
    found = {path: result_in(path) for path in out.with_suffix("").glob("*.json")}
    again = sum(path.stat().st_mtime_ns != when for path, when in kept.items())
    wall = first[0] + second[0]
    # The killed run's CPU seconds are not known to its parent: count the second run's.
    each = second[1] / (SIZE - len(kept))
    right = read_assignment(source).points - 2
    full = sum(result["points"] == right for result in found.values())
    stopped = sum(any(entry.get("fault") for entry in r["questions"].values()) for r in found.values())
    third = grade(source, folder, out, quiet=True)
    return [
        f"- {SIZE} submissions of assignment 5, two at a time: {wall:.0f} seconds by the clock, {each:.1f} CPU seconds each.",
        f"- Killed (SIGKILL) when {len(kept)} results were there, and started again: {len(found)} results in the end, {again} of the first made twice, {SIZE - len(third.results)} lost.",
        f"- {full} have all points, {stopped} have a question that was stopped.",
        f"- Memory of all processes together: at most {max(first[2], second[2]) / 1e6:.0f} MB.",
        f"- A third run had {third.marked} to mark.",
    ]


def kept(name, measure):
    """What ``measure`` returns, or what it has returned before, if that is in _build/course-report."""
    path = ROOT / "_build" / "course-report" / f"{name}.json"
    if not path.is_file():
        print(f"{name} ...", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(measure()), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="measure only what is not in _build/course-report yet")
    if not parser.parse_args().keep:
        shutil.rmtree(ROOT / "_build" / "course-report", ignore_errors=True)
    adam = next(path for path in SOURCES if path.name.startswith("05"))
    of_200 = kept("class", lambda: of_class(adam))
    overview, tables = [], []
    for source in SOURCES:
        line, wrong = kept(source.stem, lambda source=source: of_assignment(source))
        overview.append(line)
        tables += [
            "",
            f"### {read_assignment(source).title}",
            "",
            "| question | points | what the checks say | the expected reason |",
            "|---|---|---|---|",
            *wrong,
        ]
    broken = kept("faults", lambda: of_faults(adam))
    text = [
        "# The assignments, measured",
        "",
        "Written by `make course-bench`; do not edit it.",
        "Seconds are CPU seconds on the machine that ran it.",
        "",
        "<!-- figures -->",
        "",
        "| assignment | solution | student copy | wrong answers told the expected reason | seconds to mark one | secret lines, and found in student copies |",
        "|---|---|---|---|---|---|",
        *overview,
        "",
        "A class of 200:",
        "",
        *of_200,
        "",
        "<!-- end -->",
        "",
        "## Answers that break something",
        "",
        "Each is an answer to the question *The half step* of assignment 5; all other answers are right.",
        "",
        "| the answer | what became of it | its question | the other questions |",
        "|---|---|---|---|",
        *broken,
        "",
        "## Wrong answers",
        *tables,
    ]
    (FOLDER / "report.md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
