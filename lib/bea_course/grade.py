"""Mark the submissions of a class:

    python -m bea_course.grade submissions/ --assignment 05 --out grades/05.csv

``submissions/`` holds what was handed in: notebooks, folders, zip files, as the platform packs them.
Beside the table comes a folder, here ``grades/05/``, with a page and the full result for each student,
``files.csv`` with a row for every file, ``log.csv`` with every change of a mark, ``read.html``, where
answers in words are read and marked, and ``feedback.zip``, the pages under the names that the platform
expects.

Stopped half-way, in whatever manner, the same command goes on where it was.  A result is made again
if the submission, the limits, the secret or the versions have changed, or in part if a check has.

The exit status is 0 if every submission was marked and nothing about it is strange, else 1; what is
wrong or strange is listed in the end.
"""

import argparse
import csv
import json
import os
import secrets
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from tqdm import tqdm

from bea_course.fence import FENCES, Fence, fence
from bea_course.handed_in import (
    Handed,
    Person,
    collect,
    feedback_name,
    local_time,
    named,
    of_the_download,
    plain,
    read_roster,
    rows_of,
)
from bea_course.kernel import Limits, adopt_orphans
from bea_course.made_of import digest, made_of, stale
from bea_course.marking import Result, Source, mark, totalled
from bea_course.notebook import read_assignment
from bea_course.report import as_csv, as_html, harmless, reading_page, table

__all__ = ["Class", "Late", "grade", "main"]

TIMES = "no lateness was counted by the times of files: all have the same, that of a download; give times in the roster, column `handed in`"
ByHand = dict[str, tuple[float, str]]  # {question: (points, comment)}


@dataclass(frozen=True)
class Late:
    """When an assignment is due, what is forgiven, and the fraction of the points lost a day after that."""

    due: datetime | None = None
    grace: timedelta = timedelta(minutes=15)
    a_day: float = 0.0

    def lost(self, when: datetime | None, due: datetime | None) -> tuple[float, str]:
        """(fraction of the points that is lost, what to say) for a submission at a time; ``due`` is an extension."""
        due = max(filter(None, (due, self.due)), default=None)
        if due is None or when is None or when <= due + self.grace:
            return 0.0, ""
        days = -((due - when) // timedelta(days=1))
        return min(1.0, days * self.a_day), f"late by {days} day{'s' * (days > 1)}"

    def of(self, handed: Handed) -> tuple[float, str]:
        """The same for what a student handed in."""
        return self.lost(handed.when if handed.path else None, handed.person.due if handed.person else None)


@dataclass
class Class:
    """What came of marking a class: {student: result}, how many were marked now, why, and what is wrong."""

    results: dict[str, Result] = field(default_factory=dict)
    marked: int = 0
    why: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8", errors="replace")
    os.replace(part, path)


def results_in(folder: Path, found: Iterable[Handed]) -> dict[str, Result]:
    """{student: result} of those who have one in a folder."""
    paths = {handed.student: folder / f"{file_name(handed.student)}.json" for handed in found}
    return {student: result for student, path in paths.items() if (result := result_in(path))}


def result_in(path: Path) -> Result | None:
    """The result in a file, or None if there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


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
                    adopt_orphans()
                    task()
                    code = 0
                except Exception:
                    traceback.print_exc()
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


def secret_of(folder: Path) -> str:
    """The secret that instances are drawn from; made on first use."""
    path = folder / "secret.txt"
    if not path.is_file():
        write(path, secrets.token_hex(16) + "\n")
        path.chmod(0o600)
    return path.read_text(encoding="utf-8").strip()


# --- points by hand ----------------------------------------------------------------------------


def by_hand(path: Path, results: dict[str, Result]) -> tuple[dict[str, ByHand], list[str]]:
    """({student: {question: (points, comment)}}, what is wrong) from a table, if it is there."""
    given: dict[str, ByHand] = {}
    problems = []
    students: dict[str, str] = {}
    for student, result in results.items():  # also by the roster's name, if it is one student's
        for key in {plain(student), plain(result.get("name", ""))} - {""}:
            students[key] = "" if students.get(key, student) != student else student
    students |= {student: student for student in results}
    for number, row in enumerate(rows_of(path) if path.is_file() else [], 2):
        row = {key.casefold(): value for key, value in row.items()}
        if not {"student", "question", "points"} <= set(row):
            return {}, [f"{path.name}: the columns must be student, question, points and comment, not {', '.join(row)}"]
        where = f"{path.name}, line {number}"
        who, name = row.get("student", ""), row.get("question", "")
        student = students.get(who, students.get(plain(who)))
        text = row.get("points", "").replace(",", ".")
        entry = results[student]["questions"].get(name) if student else None
        if not text:
            continue
        if entry is None:
            many = f"there is more than one student {who!r}: write the name in the table's first column"
            none = f"there is no question {name!r}" if student else f"there is no student {who!r}"
            problems.append(f"{where}: {many if student == '' else none}")
            continue
        try:
            points = float(text)
        except ValueError:
            points = -1
        if row.get("read") not in (None, "", digest(entry.get("answer") or "")):
            problems.append(f"{where}: {student} has handed in another answer to {name!r} since: read it again")
            continue
        if not 0 <= points <= entry["of"]:
            problems.append(f"{where}: {row['points']!r} is no number from 0 to {entry['of']}")
            continue
        given.setdefault(str(student), {})[name] = (points, row.get("comment", ""))
    return given, problems


def with_hand(result: Result, given: ByHand) -> Result:
    """A result with the points that a person gave; these also overrule the tests."""
    for name, (points, comment) in given.items():
        result["questions"][name] |= {"points": points, "comment": comment, "by_person": True}
    return totalled(result)


# --- a class -----------------------------------------------------------------------------------


def mark_into(
    source: Source, path: Path, target: Path, limits: Limits, secret: str, around: Fence, only: frozenset[str] | None
) -> None:
    """Mark one submission, wholly or some questions of it, and write its result."""
    now = mark(source, path, limits, secret, only, around)
    old = result_in(target) if only is not None else None
    if old:
        now["questions"] = {name: now["questions"].get(name, entry) for name, entry in old["questions"].items()}
    now["made_of"] = made_of(source, path, limits, secret, around)
    if old and only:  # what was not marked now is as old as it was
        digests = now["made_of"]["questions"]
        before = old["made_of"]["questions"]
        now["made_of"] = old["made_of"] | {"questions": before | {name: digests[name] for name in only & set(digests)}}
    write(target, json.dumps(totalled(now), indent=1))


def not_marked(source: Source, note: str) -> Result:
    """The result of somebody who handed in no notebook."""
    assignment = read_assignment(source)
    entries = {
        q.name: {"title": q.title, "of": q.points, "by_hand": q.by_hand, "points": 0} for q in assignment.questions
    }
    return totalled(
        {"assignment": assignment.number, "title": assignment.title, "note": note, "fence": "", "questions": entries}
    )


def log_changes(path: Path, before: dict[str, Result], after: dict[str, Result], why: dict[str, str]) -> None:
    """Add to the log what changed for whom, and why."""
    new = not path.is_file()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["when", "student", "question", "before", "after", "why"])
        now = datetime.now().isoformat(timespec="seconds")
        for student, result in after.items():
            old, reason = before.get(student, {}).get("questions", {}), why.get(student, "")
            lost = [f"{100 * one.get('lost', 0):g}" for one in (before.get(student, {}), result)]
            if lost[0] != lost[1]:
                said = "lateness, in percent"
                writer.writerow([now, harmless(student), said, *lost, result.get("late", "") or "not late any more"])
            for name, entry in result["questions"].items():
                was = old.get(name, {})
                a, b = was.get("points", ""), entry["points"]
                if a != b:
                    taken = "by hand, taken back" if was.get("by_person") else reason
                    reason_here = "by hand" if entry.get("by_person") else taken
                    writer.writerow(
                        [now, harmless(student), name, "" if a is None else a, "" if b is None else b, reason_here]
                    )


def file_name(student: str) -> str:
    """A student's name as a file's; ``read.html`` is the page for answers in words."""
    return {"read": "read_"}.get(student.casefold(), student.replace("/", "_"))


def grade(
    source: Source,
    folder: Source,
    out: Source,
    jobs: int = 2,
    limits: Limits = Limits(),
    quiet: bool = False,
    *,
    roster: list[Person] | None = None,
    late: Late = Late(),
    private: Path | None = None,
    questions: frozenset[str] | None = None,
    force: bool = False,
    around: Fence | None = None,
) -> Class:
    """Mark all that is in a folder.

    Parameters
    ----------
    source, folder, out : str or Path
        The source of the assignment, what was handed in, and the table to write.
    jobs, limits : int, Limits
        Submissions at a time, and what a notebook may use.
    roster : list of Person, optional
        Everybody who should have handed in.
    late : Late
        When it is due, and what lateness costs.
    private : Path, optional
        The folder with the instructor's secret; that of ``out`` if left out.
    questions : frozenset of str, optional
        The only questions to mark again.
    quiet, force : bool
        Whether to show no progress, and whether to mark again what is up to date.
    around : Fence, optional
        The fence; the strongest of this machine if left out.

    Returns
    -------
    Class
    """
    out = Path(out) if Path(out).suffix == ".csv" else Path(f"{out}.csv")
    for place in (out, private or out):
        if place.resolve().is_relative_to(Path(folder).resolve()):
            raise SystemExit(f"{place} is in {folder}, among what was handed in: take a place outside")
    work, walls, secret = out.with_suffix(""), around or fence(), secret_of(private or out.parent)
    found = collect(folder, work / "unpacked", roster)
    if not found:
        raise SystemExit(f"there is nothing in {folder}")
    unknown = of_the_download(found) and any(late.of(handed)[1] for handed in found)
    for handed in found if unknown else ():
        handed.when = handed.when if handed.timed else None
    tasks, why = _tasks(found, work, source, (limits, secret, walls), questions, force)
    with tqdm(total=len(tasks), unit="student", disable=quiet) as bar:
        failed = {list(tasks)[k] for k in run_all(tasks.values(), jobs, bar)}
    done = Class(_gathered(found, failed, work, source, late), len(tasks) - len(failed), why)
    given, done.problems = by_hand(work / "by_hand.csv", done.results)
    if unknown:
        done.problems.insert(0, TIMES)
    for student, points in given.items():
        with_hand(done.results[student], points)
    finish(done, found, source, out)
    shown, now = sorted((work / "shown").glob("*.json")), set(map(file_name, done.results))
    gone = [path.stem for path in shown if path.stem not in now and (result_in(path) or {}).get("file")]
    if gone:
        why_gone = f"{folder} has nothing of theirs, and must hold all that was handed in, not only what is new"
        done.problems.append(f"no longer in the table: {', '.join(gone)}; {why_gone}")
    _keep_shown(work, found, done.results, why)
    return done


def _tasks(
    found: list[Handed],
    work: Path,
    source: Source,
    how: tuple[Limits, str, Fence],
    questions: frozenset[str] | None,
    force: bool,
) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """({student: what marks the submission}, {student: why}) of those whose results are not up to date."""
    before, number = results_in(work, found), read_assignment(source).number
    for result in before.values():
        if result["assignment"] != number:
            raise SystemExit(f"{work} holds results of assignment {result['assignment']}: take another --out")
    tasks, why = {}, {}
    for handed in found:
        if handed.path:
            old = before.get(handed.student, {}).get("made_of")
            part, reason = to_mark(old, made_of(source, handed.path, *how), questions, force)
            if reason:
                target = work / f"{file_name(handed.student)}.json"
                tasks[handed.student] = partial(mark_into, source, handed.path, target, *how, part)
                why[handed.student] = reason
    return tasks, why


def _keep_shown(work: Path, found: list[Handed], results: dict[str, Result], why: dict[str, str]) -> None:
    """Log what has changed since the last time, and keep what is shown now."""
    log_changes(work / "log.csv", results_in(work / "shown", found), results, why)
    now = {work / "shown" / f"{file_name(student)}.json": result for student, result in results.items()}
    for path in set((work / "shown").glob("*.json")) - set(now):
        path.unlink()  # of somebody who is no longer in the folder or on the roster
    for path, result in now.items():
        write(path, json.dumps(result))


def to_mark(
    old: Mapping[str, object] | None, new: Mapping[str, object], questions: frozenset[str] | None, force: bool
) -> tuple[frozenset[str] | None, str]:
    """(the questions to mark, or None for all, why); no reason if there is nothing to do."""
    again, reason = stale(old, new)
    if old and questions:
        return questions, "asked for"
    if force:
        return None, "asked for"
    return (frozenset(again) if reason == "the checks have changed" else None), reason if again else ""


def _gathered(found: list[Handed], failed: set[str], work: Path, source: Source, late: Late) -> dict[str, Result]:
    """The results of all students, one made for each who has none."""
    there, results = results_in(work, found), {}
    for handed in found:
        result = there.get(handed.student) if handed.path and handed.student not in failed else None
        note = "the marking itself failed; run again" if handed.path else handed.problem or "nothing handed in"
        results[handed.student] = _dressed(result or not_marked(source, note), handed, late)
    return results


def _dressed(result: Result, handed: Handed, late: Late) -> Result:
    """A result with what is known of who handed it in, and when."""
    person = handed.person
    lost, said = late.of(handed)
    if handed.late_mark and not said:
        said = "marked as late by the platform"
    missing = sorted({name for entry in result["questions"].values() for name in entry.get("missing", ())})
    lacking = f"not installed here: {', '.join(missing)}" if missing else ""
    notes = [result["note"], handed.problem if handed.problem != result["note"] else "", lacking, said]
    if handed.path and handed.others:
        notes.append(f"not marked: {', '.join(named(handed.others))}")
    return result | {
        "file": named([handed.shown])[0] if handed.path else "",
        "note": "; ".join(filter(None, notes)),
        "doubt": handed.doubt,
        "lost": lost,
        "late": said,
        "name": person.name if person else handed.student,
        "id": person.id if person and person.id else handed.id,
        "email": person.email if person else "",
        "when": handed.when.isoformat(timespec="seconds") if handed.when else "",
        "attention": bool(handed.problem or handed.doubt or lacking or result["note"]),
    }


def finish(done: Class, found: list[Handed], source: Source, out: Path) -> None:
    """Write the tables and pages, and add to the problems."""
    work = out.with_suffix("")
    for student, result in done.results.items():
        write(work / f"{file_name(student)}.html", as_html(result))
        if result["attention"] and result["note"] != "nothing handed in":
            done.problems.append(f"{student}: {'; '.join(filter(None, [result['note'], result['doubt']]))}")
        stopped = [n for n, entry in result["questions"].items() if entry.get("fault")]
        if stopped:
            result["note"] = "; ".join(
                filter(None, [result["note"], *(f"{n}: {result['questions'][n]['fault']}" for n in stopped)])
            )
    write(out, table(done.results))
    write(work / "read.html", reading_page(read_assignment(source), done.results))
    with ZipFile(work / "feedback.zip", "w", ZIP_DEFLATED) as pages:
        for handed in found:
            if handed.path or handed.others:  # to whom the platform has nothing, it takes nothing back
                pages.write(work / f"{file_name(handed.student)}.html", feedback_name(handed))
    rows = [["file", "student", "what became of it", "handed in as"]]
    for handed in found:
        if handed.path:
            rows.append([str(handed.path), handed.student, "marked", handed.shown])
        rows += [[shown, handed.student, why, shown] for shown, why in handed.others.items()]
    write(work / "files.csv", as_csv(rows))


# --- the command -------------------------------------------------------------------------------


def source_for(assignment: str | None, folder: Source) -> Source:
    """The source of an assignment, given by its path or number, or by the name of a student's file."""
    if assignment and Path(assignment).is_file():
        return assignment
    sources = {path.name[:2]: path for path in sorted(Path("assignments").glob("[0-9]*.ipynb"))}
    if assignment is None:
        named = {path.name[:2] for path in Path(folder).rglob("*.ipynb")} & set(sources)
        assignment = named.pop() if len(named) == 1 else None
    if assignment not in sources:
        raise SystemExit(
            f"say which assignment it is, with --assignment and one of {', '.join(sources) or 'the sources'}"
        )
    return sources[assignment]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    default = Limits()
    made = argparse.ArgumentParser(
        prog="python -m bea_course.grade", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("folder", help="the folder with what was handed in")
    made.add_argument("--out", help="the table to write (grades/NUMBER.csv)")
    made.add_argument("--assignment", help="the number or the source; else told by the files' names")
    made.add_argument("--roster", help="a table of all students: columns name, id, email, due")
    made.add_argument(
        "--private", type=Path, help="your folder with secret.txt, which instances are drawn from (that of --out)"
    )
    made.add_argument("--question", action="append", help="mark only this question again (may be repeated)")
    made.add_argument("--force", action="store_true", help="mark again what is up to date")
    made.add_argument("--due", type=local_time, help="such as 2026-11-30T18:00; a day alone is due at its end")
    made.add_argument("--grace", type=float, default=15, help="minutes that are forgiven (%(default)g)")
    made.add_argument("--late", type=float, default=0, help="percent of the points lost for a day (%(default)g)")
    made.add_argument("--jobs", type=int, default=os.cpu_count(), help="submissions at a time (all cores)")
    made.add_argument("--seconds", type=float, default=default.seconds, help="for a cell or question (%(default)g)")
    made.add_argument("--memory", type=int, default=default.memory // 10**6, help="megabytes (%(default)s)")
    made.add_argument("--fence", choices=[one.kind for one in FENCES], help="this fence, or fail")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Mark a class; returns the exit status."""
    given = parser().parse_args(arguments)
    if not Path(given.folder).is_dir():
        raise SystemExit(f"there is no folder {given.folder}")
    source, around = source_for(given.assignment, given.folder), fence(given.fence)
    assignment, roster = read_assignment(source), read_roster(given.roster) if given.roster else None
    number, tested = assignment.number, [q.name for q in assignment.questions if not q.by_hand]
    if strange := sorted(set(given.question or ()) - set(tested)):
        raise SystemExit(f"no tests mark {', '.join(strange)}; --question takes one of {', '.join(tested)}")
    if given.late and not given.due and not any(person.due for person in roster or ()):
        raise SystemExit("--late needs --due: after which date?")
    for name, least in (("jobs", 1), ("seconds", 1), ("memory", 1), ("late", 0), ("grace", 0)):
        if getattr(given, name) < least:
            raise SystemExit(f"--{name} takes {least} or more, not {getattr(given, name):g}")
    print(around.says)
    done = grade(
        source,
        given.folder,
        given.out or f"grades/{number}.csv",
        given.jobs,
        Limits(seconds=given.seconds, memory=given.memory * 10**6),
        roster=roster,
        late=Late(given.due, timedelta(minutes=given.grace), given.late / 100),
        private=given.private,
        questions=frozenset(given.question) if given.question else None,
        force=given.force,
        around=around,
    )
    to_read = sum(result["to_read"] > 0 for result in done.results.values())
    print(f"Assignment {number}: {len(done.results)} rows, {done.marked} marked now, {to_read} with words to read.")
    for reason, count in Counter(done.why.values()).items():
        print(f"  {count}: {reason}.")
    for problem in done.problems:
        print(f"  {problem}", file=sys.stderr)
    return 1 if done.problems else 0


if __name__ == "__main__":
    sys.exit(main())
