"""The report that a student gets, and the table of a class."""

import csv
import io
from collections.abc import Mapping
from typing import Any

__all__ = ["as_text", "table"]


def mark_of(entry: Mapping[str, Any]) -> str:
    """A question's points as text; those that a person still has to give as a dash."""
    return "–" if entry["points"] is None else f"{entry['points']:g}"


def as_text(result: Mapping[str, Any]) -> str:
    """The report on one submission, in Markdown."""
    lines = [f"# {result['title']}", "", f"**{result['points']:g} of {result['of']} points**"]
    if result["to_read"]:
        lines[-1] += f", and {result['to_read']} that a person still has to give"
    if result["note"]:
        lines += ["", f"Your file could not be marked: {result['note']}."]
    for entry in result["questions"].values():
        lines += ["", f"## {entry['title']}: {mark_of(entry)} of {entry['of']}", ""]
        if entry.get("comment"):
            lines.append(entry["comment"])
        elif entry["by_hand"]:
            lines.append("A person reads this answer." if entry["points"] is None else "Not answered.")
        if entry.get("fault"):
            lines.append(f"Your answer was stopped: {entry['fault']}.")
        lines += [f"- A cell stopped: {error}" for error in entry.get("errors", ())]
        for test in entry.get("tests", ()):
            kind = "A test that was not in your copy" if test["hidden"] else "The check in your copy"
            said = f" {test['message']}" if test["message"] else ""
            lines.append(f"- {kind}: {test['points']:g} of {test['of']:g}.{said}")
    return "\n".join(lines) + "\n"


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A CSV table of {student: result}, one row each, in the order of the names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    questions = list(next(iter(results.values()))["questions"]) if results else []
    writer.writerow(["student", "points", "of", "to read", *questions, "note"])
    for student, result in sorted(results.items()):
        entries = result["questions"]
        marks = ["" if entries[q]["points"] is None else f"{entries[q]['points']:g}" for q in questions]
        faults = [f"{q}: {entries[q]['fault']}" for q in questions if entries[q].get("fault")]
        note = "; ".join(filter(None, [result["note"], *faults]))
        writer.writerow([student, f"{result['points']:g}", result["of"], result["to_read"], *marks, note])
    return text.getvalue()
