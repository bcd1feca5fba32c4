"""The marks of one submission, question by question."""

import contextlib
import re
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from bea_course.examiner import Found, examine
from bea_course.fence import Fence, fence
from bea_course.kernel import Fault, Kernel, Limits, Spent
from bea_course.notebook import CHECK, Assignment, Question, Unreadable, is_answer, read_assignment, read_submission

__all__ = ["Result", "Source", "mark"]

Result = dict[str, Any]  # ready for JSON
Source = str | Path


@dataclass
class Run:
    """A notebook's way through a kernel, and through others if it ends one."""

    assignment: Assignment
    limits: Limits
    around: Fence
    secret: str
    only: frozenset[str] | None = None

    def __post_init__(self) -> None:
        self.kernel: Kernel | None = None
        self.spent = Spent()  # by the kernels that have ended
        self.ran: list[str] = []  # the cells that a new kernel must be given again
        self.ended = 0
        self.found: dict[str, Found] = {}
        self.errors: list[tuple[str, str | None]] = []  # (text, the question that came next, if any)

    def all_of(self, cells: tuple[str, ...]) -> None:
        """Run the cells in order; test a question at its check, and again at the end if that may help."""
        later: set[str] = set()  # questions since whose test other cells ran
        pending: list[str] = []
        try:
            for source in cells:
                names = [name for name in CHECK.findall(source) if name in self._names()]
                problem = self._cell(source)
                if problem and not (problem.startswith("NameError") and not is_answer(source)):
                    pending.append(f"{problem}{beginning(source)}")  # what a check alone misses, its tests say
                if not names or len(source.splitlines()) > len(names):
                    later |= set(self.found)
                for name in dict.fromkeys(names):
                    self.errors += [(text, name) for text in pending]
                    pending = []
                    self._test(name)
                    later.discard(name)
            self.errors += [(text, None) for text in pending]
            for name in self._names():
                if name not in self.found or name in later:
                    self._test(name)
        finally:
            self._lose()

    def _names(self) -> list[str]:
        tested = [q.name for q in self.assignment.questions if not q.by_hand]
        return [name for name in tested if self.only is None or name in self.only]

    def _ready(self) -> Kernel:
        """A kernel in which the cells so far have run; a new one if the last has ended."""
        if sum(self.spent) + sum(self.kernel.spent if self.kernel else ()) >= self.limits.whole:
            raise Fault(f"came after {self.limits.whole:g} seconds, which is all that a notebook may take")
        while self.kernel is None:
            if self.ended >= self.limits.kernels:
                raise Fault(f"ended Python {self.ended} times")
            kernel = self.kernel = Kernel(self.limits, self.around)
            for source in (*self.assignment.setup, *self.ran):
                try:
                    kernel.run(source)
                except Fault:  # this time the cell does not come through
                    self.ran = [other for other in self.ran if other != source]
                    self._lose()
                    break
        return self.kernel

    def _lose(self) -> None:
        if self.kernel:
            self.kernel.end()
            self.spent = self.spent.plus(self.kernel.spent)
        self.kernel, self.ended = None, self.ended + 1

    def _cell(self, source: str) -> str | None:
        """Run a cell; returns what went wrong."""
        try:
            kernel = self._ready()
        except Fault as fault:
            return f"it {fault}"
        try:
            problem = kernel.run(source)
        except Fault as fault:
            self._lose()
            return f"it {fault}"
        self.ran.append(source)
        return problem

    def _test(self, name: str) -> None:
        """Test a question; what was found before is kept if it was better."""
        question, before = self.assignment.question(name), self.found.get(name)
        if before and (before["fault"] or points_of(question, before) == question.points):
            return
        try:
            now, alive = examine(self._ready(), question, self.secret)
        except Fault as fault:
            now, alive = {"tests": {}, "fault": f"it {fault}"}, True
        if not alive:
            self._lose()
        if before is None or points_of(question, now) > points_of(question, before):
            self.found[name] = now


def beginning(source: str) -> str:
    """Which cell this is, for its author.

    Examples
    --------
    >>> beginning("# my answer\\nk = 1/(1 - beta\\n")
    ' (the cell that begins with "# my answer")'
    """
    line = next((line.strip() for line in source.splitlines() if line.strip()), "")
    return f' (the cell that begins with "{line[:60]}{"…" * (len(line) > 60)}")'


def points_of(question: Question, found: Found) -> float:
    """The points for what the tests found; a question that was stopped gets none."""
    passed = {name for name, test in found["tests"].items() if test["passed"]}
    return 0 if found["fault"] else sum(test.points for test in question.tests if test.name in passed)


def mark(
    source: Source,
    path: Source,
    limits: Limits = Limits(),
    secret: str = "",
    only: frozenset[str] | None = None,
    around: Fence | None = None,
) -> Result:
    """Mark one submission.

    The notebook's cells run in order, in a kernel of their own.  Each question is tested where the
    notebook checks it, and again at the end if it is not right yet and other cells came after; the
    better result counts.  A cell or a function that ends the kernel costs its own question: the cells
    before it run again in a new kernel, without it.

    Parameters
    ----------
    source, path : str or Path
        The source of the assignment, and the notebook that was handed in.
    limits : Limits
        What the notebook may use.
    secret : str
        What the instances of all tests are drawn from; with none, they are the public ones.
    only : frozenset of str, optional
        The questions to test; all of them if left out.
    around : Fence, optional
        The fence; the strongest of this machine if left out.

    Returns
    -------
    dict
        Ready for JSON: "points", "of", "to_read", "seconds" by the clock, "processor", "note", "fence",
        "questions", and for each of those its points and what its tests said.
    """
    start, used = time.perf_counter(), time.process_time()
    assignment, around = read_assignment(source), around or fence()
    result: Result = {"assignment": assignment.number, "title": assignment.title, "note": "", "fence": around.says}
    with contextlib.suppress(ImportError):  # here once, not in each process of tests
        import_module(f"bea_course.checks.a{assignment.number}")
    run = Run(assignment, limits, around, secret, only)
    prose: dict[str, str | None] = {}
    try:
        submission = read_submission(path, assignment)
        prose, result["note"] = submission.prose, submission.note
        run.all_of(submission.code)
    except Unreadable as problem:
        result |= {"note": str(problem), "unreadable": True}
    result["limits"] = asdict(limits)
    result["questions"] = {
        question.name: _entry(question, run, prose)
        for question in assignment.questions
        if only is None or question.name in only or question.by_hand
    }
    result["seconds"] = round(time.perf_counter() - start, 3)
    result["processor"] = round(time.process_time() - used + run.spent.kernel + run.spent.tests, 3)
    return totalled(result)


def totalled(result: Result) -> Result:
    """A result with its sums made anew."""
    entries = result["questions"].values()
    result["points"] = sum(entry["points"] or 0 for entry in entries)
    result["of"] = sum(entry["of"] for entry in entries)
    result["to_read"] = sum(entry["of"] for entry in entries if entry["points"] is None)
    return result


def shortened(text: str, most: int = 50_000) -> str:
    """A text that a page can show."""
    return text if len(text) <= most else f"{text[:most]}\n(and {len(text) - most} characters more: see the notebook)"


def _entry(question: Question, run: Run, prose: dict[str, str | None]) -> Result:
    entry: Result = {"title": question.title, "of": question.points, "by_hand": question.by_hand}
    if question.by_hand:
        answer = prose.get(question.name)
        unread = bool(prose) and answer is not None
        return entry | {"points": None if unread else 0, "answer": shortened(answer or ""), "unanswered": not unread}
    found = run.found.get(question.name, {"tests": {}, "fault": None})
    tests = []
    for test in question.tests:
        outcome = found["tests"].get(test.name, {"passed": False, "message": "was not reached."})
        passed = outcome["passed"] and not found["fault"]
        tests.append(
            {
                "name": test.name,
                "hidden": test.hidden,
                "of": test.points,
                "points": test.points if passed else 0,
                "message": outcome.get("message", ""),
                "unexpected": outcome.get("unexpected", False),
            }
        )
    points = sum(test["points"] for test in tests)
    errors = [text for text, name in run.errors if name == question.name or (name is None and points < question.points)]
    entry |= {"points": points, "tests": tests, "fault": found["fault"], "errors": errors}
    said = " ".join([*errors, *(test["message"] for test in tests)])
    missing = {name.partition(".")[0] for name in re.findall(r"No module named '([\w.]+)'", said)} - {"bea_course"}
    return entry | ({"missing": sorted(missing)} if missing and points < question.points else {})
