"""What a result was made of, so that a changed check marks again what it touches and nothing else."""

import ast
import hashlib
import platform
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bea_course.fence import Fence
from bea_course.kernel import Limits
from bea_course.notebook import Question, read_assignment

__all__ = ["made_of", "stale"]


def digest(*texts: str | bytes) -> str:
    """A short number of some texts."""
    sums = hashlib.sha256()
    for text in texts:
        sums.update(hashlib.sha256(text if isinstance(text, bytes) else text.encode()).digest())
    return sums.hexdigest()[:16]


def needed(module: str, names: set[str]) -> str:
    """The source of what these names of a module use, directly or not, within the module."""
    defined: dict[str, list[ast.stmt]] = {}
    for node in ast.parse(module).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
        for target in targets:
            for part in ast.walk(target) if not isinstance(node, ast.FunctionDef | ast.ClassDef) else [node]:
                name = part.id if isinstance(part, ast.Name) else getattr(part, "name", None)
                if isinstance(name, str):
                    defined.setdefault(name, []).append(node)
    waiting, seen = set(names), set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for node in defined.get(name, []):
            used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            waiting |= (used & set(defined)) - seen
    return "\n".join(ast.unparse(node) for name in sorted(seen) for node in defined.get(name, []))


def of_question(question: Question) -> str:
    """A number that changes when the tests of a question change, or a check that they use."""
    used: dict[str, set[str]] = {}
    for test in question.tests:
        for node in ast.walk(ast.parse(test.source)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used.setdefault(node.value.id, set()).add(node.attr)
    parts = [test.source for test in question.tests] + [f"{test.points} {test.hidden}" for test in question.tests]
    for module, names in sorted(used.items()):
        spec = find_spec(f"bea_course.checks.{module}")
        if spec and spec.origin:
            parts.append(needed(Path(spec.origin).read_text(encoding="utf-8"), names))
    parts.append((Path(__file__).parent / "compare.py").read_text(encoding="utf-8"))
    return digest(*parts)


def versions() -> dict[str, str]:
    """The versions that a mark may depend on."""
    found = {"python": platform.python_version()}
    for name in ("bea-book", "numpy", "scipy", "sympy", "ipykernel"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "as found"
    return found


def made_of(source: str | Path, path: Path | None, limits: Limits, secret: str, around: Fence) -> dict[str, Any]:
    """All that a result depends on."""
    assignment = read_assignment(source)
    questions = assignment.questions
    return {
        "submission": digest(path.read_bytes()) if path else "",
        "setup": digest(*assignment.setup),
        "headings": digest(*(f"{q.name} {q.by_hand} {q.points} {q.title}" for q in questions)),
        "limits": repr(limits),
        "secret": digest(secret),
        "fence": around.kind,
        "versions": versions(),
        "questions": {question.name: of_question(question) for question in questions if not question.by_hand},
    }


def stale(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> tuple[set[str], str]:
    """The questions to mark again, and why; all of them if more than their checks has changed."""
    wanted: dict[str, Any] = dict(new["questions"])
    if not old:
        return set(wanted), "marked for the first time"
    changed = [key for key in new if key != "questions" and old.get(key) != new[key]]
    if changed:
        return set(wanted), f"changed: {', '.join(changed)}"
    before = old.get("questions")
    before = before if isinstance(before, dict) else {}
    found = {name for name, number in wanted.items() if before.get(name) != number}
    return found, "the checks have changed" if found else ""
