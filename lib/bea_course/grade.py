"""Mark the submissions of a class:

    python -m bea_course.grade submissions/ --out grades.csv

``submissions/`` holds one notebook for each student, ``name.ipynb`` or ``name/anything.ipynb``.  Beside
the table comes a folder, here ``grades/``, with a report and the full result for each.  Stopped
half-way, in whatever manner, the same command goes on where it was: a result is written whole or not
at all, and made again only if the submission, the assignment or the limits have changed.

Points given by a person are in ``grades/by_hand.csv``, with the columns student, question, points
and comment; this program only reads that file.
"""

import argparse
import csv
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from bea_course.marking import Result, Source, mark, warm_up
from bea_course.notebook import read_assignment
from bea_course.report import as_text, table
from bea_course.sandbox import Limits, die_with_parent

__all__ = ["grade", "main"]

ByHand = dict[str, tuple[float, str]]  # {question: (points, comment)}


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def submissions_in(folder: Source) -> dict[str, Path]:
    """{student: path of the notebook}, in the order of the names."""
    found = {}
    for path in sorted(Path(folder).rglob("*.ipynb")):
        place = path.relative_to(folder)
        if any(part.startswith(".") for part in place.parts):
            continue
        student = place.parts[0] if len(place.parts) > 1 else path.stem
        if student in found:
            raise SystemExit(f"{student} has two notebooks, {found[student]} and {path}: keep one")
        found[student] = path
    return found


def fingerprint(source: Source, path: Source, limits: Limits) -> str:
    """What a result depends on, as one number."""
    digest = hashlib.sha256(repr(limits).encode())
    for file in (source, path):
        digest.update(hashlib.sha256(Path(file).read_bytes()).digest())
    return digest.hexdigest()


def result_in(path: Path) -> Result | None:
    """The result in a file, or None if there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def mark_into(source: Source, path: Path, target: Path, limits: Limits) -> None:
    """Mark one submission and write its result."""
    print_of = fingerprint(source, path, limits)
    write(target, json.dumps(mark(source, path, limits) | {"fingerprint": print_of}, indent=1))


def run_all(tasks: Iterable[Callable[[], object]], jobs: int, progress: tqdm) -> list[int]:
    """Run each task in a process of its own, ``jobs`` at a time; returns the numbers of those that failed."""
    waiting, running, failed = list(enumerate(tasks)), {}, []
    while waiting or running:
        while waiting and len(running) < jobs:
            number, task = waiting.pop(0)
            pid = os.fork()
            if not pid:
                code = 1
                try:
                    die_with_parent()
                    task()
                    code = 0
                finally:
                    os._exit(code)
            running[pid] = number
        pid, status = os.wait()
        if pid in running:
            number = running.pop(pid)
            if status:
                failed.append(number)
            progress.update()
    return failed


def by_hand(path: Path) -> dict[str, ByHand]:
    """{student: {question: (points, comment)}} from a table, if it is there."""
    given = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                comment = row.get("comment") or ""
                given.setdefault(row["student"], {})[row["question"]] = (
                    float(row["points"]),
                    comment,
                )
    return given


def with_hand(result: Result, given: ByHand) -> Result:
    """A result with the points that a person gave; these also overrule the tests."""
    for name, (points, comment) in given.items():
        entry = result["questions"][name]
        if not 0 <= points <= entry["of"]:
            raise SystemExit(f"{points:g} points for {name}: it has {entry['of']}")
        entry |= {"points": points, "comment": comment}
    entries = result["questions"].values()
    result["points"] = sum(entry["points"] or 0 for entry in entries)
    result["to_read"] = sum(entry["of"] for entry in entries if entry["points"] is None)
    return result


def grade(
    source: Source, folder: Source, out: Source, jobs: int = 2, limits: Limits = Limits(), quiet: bool = False
) -> tuple[dict[str, Result], int]:
    """Mark all submissions in a folder; returns {student: result} and the number that was marked now."""
    out = Path(out)
    work = out.with_suffix("")
    found = submissions_in(folder)
    if not found:
        raise SystemExit(f"there is no notebook in {folder}")
    target = {student: work / f"{student}.json" for student in found}

    def done(student: str) -> Result | None:
        result = result_in(target[student])
        fits = result and result["fingerprint"] == fingerprint(source, found[student], limits)
        return result if fits else None

    waiting = [student for student in found if not done(student)]
    if waiting:
        warm_up()
    with tqdm(total=len(found), initial=len(found) - len(waiting), unit="student", disable=quiet) as bar:
        tasks = [lambda s=s: mark_into(source, found[s], target[s], limits) for s in waiting]
        failed = run_all(tasks, jobs, bar)
    for number in failed:
        print(f"{waiting[number]}: the marking itself failed; run again", file=sys.stderr)
    given = by_hand(work / "by_hand.csv")
    results = {}
    for student in found:
        if result := done(student):
            results[student] = with_hand(result, given.get(student, {}))
            write(work / f"{student}.md", as_text(results[student]))
    write(out, table(results))
    return results, len(waiting) - len(failed)


def source_for(assignment: str | None, folder: Source) -> Source:
    """The source of an assignment, given by its path or number, or by the name of a student's file."""
    if assignment and Path(assignment).is_file():
        return assignment
    sources = {path.name[:2]: path for path in sorted(Path("assignments").glob("[0-9]*.ipynb"))}
    if assignment is None:
        named = {path.name[:2] for path in submissions_in(folder).values()} & set(sources)
        assignment = named.pop() if len(named) == 1 else None
    if assignment not in sources:
        raise SystemExit(
            f"say which assignment it is, with --assignment and one of {', '.join(sources) or 'the sources'}"
        )
    return sources[assignment]


def main(arguments: Sequence[str] | None = None) -> int:
    default = Limits()
    parser = argparse.ArgumentParser(
        prog="python -m bea_course.grade",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", help="the folder with the submissions")
    parser.add_argument("--out", default="grades.csv", help="the table to write (grades.csv)")
    parser.add_argument("--assignment", help="the number or the source; else told by the files' names")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="submissions at a time (all cores)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=default.seconds,
        help="of the processor, for one question (%(default)g)",
    )
    parser.add_argument(
        "--memory",
        type=int,
        default=default.memory // 10**6,
        help="megabytes for one question (%(default)s)",
    )
    given = parser.parse_args(arguments)
    source = source_for(given.assignment, given.folder)
    limits = Limits(seconds=given.seconds, memory=given.memory * 10**6)
    results, marked = grade(source, given.folder, given.out, given.jobs, limits)
    title = read_assignment(source).title
    print(f"{title}: {len(results)} submissions, {marked} of them marked now; the table is {given.out}")
    missing = len(submissions_in(given.folder)) - len(results)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
