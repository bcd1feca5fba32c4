"""What GitHub's workflows name must exist here: they run only there, so that a slip shows late."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
# What `make` puts there; everything else that a workflow names is in the repository.
MADE = ("_build", ".venv")


def problems_of_workflow(text):
    """What is wrong with a workflow, given as the file's text."""
    workflow = yaml.safe_load(text)
    # YAML 1.1 reads the key `on` as true.
    problems = [] if True in workflow or "on" in workflow else ["does not say when it runs"]
    if workflow.get("permissions") in (None, "write-all", "read-all"):
        problems.append("names no permissions; it would get the repository's default")
    when = workflow.get(True) or {}
    for entry in when.get("schedule", []) if isinstance(when, dict) else []:
        if not re.fullmatch(r"\d+ \d+ (\*|\d+) \* (\*|[0-6])", entry["cron"]):
            problems.append(f"runs at {entry['cron']!r}, which is not once a day, week or month")
    for name, job in workflow["jobs"].items():
        if "timeout-minutes" not in job:
            problems.append(f"gives the job {name} no time limit")
        for step in job["steps"]:
            if "uses" in step and not re.fullmatch(r"[\w.-]+/[\w./-]+@v\d+", step["uses"]):
                problems.append(f"uses {step['uses']}, which is no action with a major version")
            problems += problems_of_commands(step.get("run", ""))
    return problems


def problems_of_commands(script):
    """Commands of `make` and files that a shell script names and that are not there."""
    words = [w for line in script.splitlines() if "#" not in line[:1] for w in re.findall(r"\S+", line)]
    called = [b for a, b in zip(words, words[1:]) if a == "make" and "/" not in b]
    problems = [f"calls make {name}, which is no command" for name in called if name not in TARGETS]
    files = [w.strip("\"'()") for w in words if re.fullmatch(r"[\"'(]*[\w.-]+(/[\w.-]+)+[\"')]*", w)]
    files += [w for w in words if re.fullmatch(r"[\w.-]+\.(toml|txt|md|py|json|cff)", w)]
    return problems + [
        f"names {name}, which is not there"
        for name in files
        if not name.startswith(MADE) and not (ROOT / name).exists()
    ]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow(path):
    text = path.read_text(encoding="utf-8")
    assert problems_of_workflow(text) == []


def test_nothing_long_starts_before_the_quick_job_is_through():
    jobs = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))["jobs"]
    assert [name for name, job in jobs.items() if job.get("needs") != "quick"] == ["quick"]
    assert jobs["quick"]["timeout-minutes"] <= 10


def test_what_must_run_does():
    scripts = {}
    for path in WORKFLOWS:
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
        scripts[path.stem] = "\n".join(s.get("run", "") for job in jobs for s in job["steps"])
    assert {"make lint", "make quick", "make fuzz", "bash .ci/run"} <= set(scripts["tests"].splitlines())
    assert "make site" in scripts["pages"]
    assert {"make site", "make publish-check"} <= set(scripts["pages"].splitlines())
    assert {"make site", "make publish-check"} <= set(scripts["release"].splitlines())
    assert "make book" in scripts["links"]
    assert {"make test", "make book"} <= set(scripts["newest"].splitlines())


GOOD = """\
on: {schedule: [{cron: "17 4 * * 1"}]}
permissions: {contents: read}
jobs:
  one:
    timeout-minutes: 5
    steps:
      - uses: actions/checkout@v7
      - run: sudo make book
      - run: cat README.md _build/site.zip
"""


@pytest.mark.parametrize(
    "old, new, word",
    [
        ("on: {", "when: {", "does not say when"),
        ("permissions:", "permission:", "permissions"),
        ("{contents: read}", "write-all", "permissions"),
        ("17 4 * * 1", "* * * * *", "once"),
        ("    timeout-minutes: 5\n", "", "time limit"),
        ("checkout@v7", "checkout", "major version"),
        ("checkout@v7", "checkout@main", "major version"),
        ("make book", "make bok", "make bok"),
        ("README.md", "READ.md", "READ.md"),
        ("README.md", "tools/lost.py", "tools/lost.py"),
    ],
)
def test_wrong_workflow_is_caught(old, new, word):
    assert problems_of_workflow(GOOD) == []
    assert GOOD.count(old) == 1
    problems = problems_of_workflow(GOOD.replace(old, new))
    assert any(word in problem for problem in problems), problems
