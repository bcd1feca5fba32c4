"""The marks of one submission, question by question."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from bea_course.notebook import Assignment, Question, Submission, Unreadable, read_assignment, read_submission
from bea_course.sandbox import Found, Limits, ask

__all__ = ["Result", "Source", "mark", "warm_up"]

Result = dict[str, Any]  # ready for JSON
Source = str | Path


def warm_up() -> None:
    """Import what answers use, so that the processes forked from this one need not."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot
    import scipy.integrate  # noqa: F401
    import scipy.linalg  # noqa: F401
    import scipy.optimize  # noqa: F401
    import scipy.stats  # noqa: F401

    import bea  # noqa: F401
    import bea_book.plot  # noqa: F401


def mark(source: Source, path: Source, limits: Limits = Limits()) -> Result:
    """The marks of the submission at ``path`` for the assignment whose source is at ``source``.

    Each question is run by itself first: the setup, and the cells up to its check.  If a name is
    missing there, it is run again with the cells of the questions before it, but without those that
    ended in a fault; the better run counts.  So nothing that one answer breaks costs another one
    its marks, and nothing is lost by an answer that uses an earlier one.

    Returns a dictionary, ready for JSON: "points", "of", "to_read", "seconds", "note", "questions"
    and, for each of those, its points and what its tests said.
    """
    start = time.perf_counter()
    assignment = read_assignment(source)
    result = {
        "assignment": assignment.number,
        "title": assignment.title,
        "note": "",
        "questions": {},
    }
    try:
        submission = read_submission(path, assignment)
    except Unreadable as problem:
        result["note"] = str(problem)
        submission = None
    faulty = set()
    for question in assignment.questions:
        entry = {"title": question.title, "of": question.points, "by_hand": question.by_hand}
        result["questions"][question.name] = entry
        if submission is None:
            entry |= {"points": 0, "tests": [], "fault": None, "errors": []}
        elif question.by_hand:
            entry |= {"points": None, "answer": submission.prose.get(question.name, "")}
            if not entry["answer"]:
                entry["points"] = 0
        else:
            found = _of_question(source, assignment, question, submission, faulty, limits)
            if found["fault"]:
                faulty.add(question.name if question.name in submission.code else None)
            entry |= _scored(question, found)
    entries = result["questions"].values()
    result["points"] = sum(entry["points"] or 0 for entry in entries)
    result["of"] = assignment.points
    result["to_read"] = sum(entry["of"] for entry in entries if entry["points"] is None)
    result["seconds"] = round(time.perf_counter() - start, 3)
    return result


def _of_question(
    source: Source,
    assignment: Assignment,
    question: Question,
    submission: Submission,
    faulty: set[str | None],
    limits: Limits,
) -> Found:
    name, setup = question.name, assignment.setup
    if name in submission.code:
        alone = ask(source, name, setup, submission.code[name], limits)
        if alone["fault"] or not _name_missing(alone):
            return alone | {"run": "alone"}
    else:
        alone = None
    before = [cells for k in submission.before(name) if k not in faulty for cells in submission.code[k]]
    together = ask(source, name, setup, before, replace(limits, seconds=2 * limits.seconds))
    runs = [found | {"run": run} for run, found in (("in order", together), ("alone", alone)) if found]
    return max(runs, key=lambda found: _scored(question, found)["points"])


def _name_missing(found: Found) -> bool:
    return any(missed for _, missed in found["errors"]) or any(
        test.get("name_error") for test in found["tests"].values()
    )


def _scored(question: Question, found: Found) -> Result:
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
    errors = [text for text, _ in found["errors"]]
    return {
        "points": points,
        "tests": tests,
        "fault": found["fault"],
        "errors": errors,
        "run": found.get("run"),
    }
