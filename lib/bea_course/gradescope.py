"""The same examiner in Gradescope, or in any container: one submission in, ``results.json`` out.

    python -m bea_course.gradescope /autograder

Gradescope runs this by the archive that `make assignments` writes.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bea_course.grade import not_marked
from bea_course.handed_in import Handed, collect
from bea_course.kernel import Limits
from bea_course.marking import Result, mark
from bea_course.report import lacking

__all__ = ["as_results", "main"]


def as_results(result: Result) -> dict[str, Any]:
    """A result as Gradescope's ``results.json``; what a person reads is left to its rubric."""
    tests = []
    for name, entry in result["questions"].items():
        if entry["by_hand"]:
            continue
        faults = [f"Your answer was stopped: {entry['fault']}."] if entry.get("fault") else []
        said = [*faults, *(f"A cell stopped: {text}" for text in entry.get("errors", ())), lacking(entry)]
        for test in entry.get("tests", ()) or [
            {"name": name, "points": 0, "of": entry["of"], "message": "", "hidden": False}
        ]:
            output = "\n".join(filter(None, [test["message"], *said]))
            kind = "hidden" if test["hidden"] else "public"
            tests.append(
                {
                    "name": f"{entry['title']} ({kind})",
                    "score": test["points"],
                    "max_score": test["of"],
                    "output": output,
                    "status": "passed" if test["points"] == test["of"] else "failed",
                }
            )
    head = "\n".join(filter(None, [result["fence"], result["note"] and f"Note: {result['note']}."]))
    return {"output": head, "tests": tests, "score": sum(test["score"] for test in tests)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Mark what is in BASE/submission by BASE/source, write BASE/results/results.json."""
    given = sys.argv[1:] if arguments is None else arguments
    base = Path(given[0] if given else "/autograder")
    [source] = (base / "source").glob("[0-9]*.ipynb")
    secret = base / "source" / "secret.txt"
    with tempfile.TemporaryDirectory() as unpacked:
        handed = [*collect(base / "submission", Path(unpacked), whose="student"), Handed("student")][0]
        if handed.path:
            text = secret.read_text(encoding="utf-8").strip() if secret.is_file() else ""
            result = mark(source, handed.path, Limits(), text)
        else:
            result = not_marked(source, handed.problem or "nothing handed in")
        left = "; ".join(f"{name}: {why}" for name, why in handed.others.items())
        result["note"] = "; ".join(filter(None, [result["note"], left]))
    (base / "results").mkdir(exist_ok=True)
    (base / "results" / "results.json").write_text(json.dumps(as_results(result), indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
