"""Make from the sources in assignments/ what students and graders get.

    python -m tools.course.assignments

`make assignments` runs this.  Of each source, otter-grader makes the student copy, written to
assignments/student, and the autograder that Gradescope takes, in _build/assignments/autograder;
the solution sheet, run and as a page to print, goes to _build/assignments/solutions.

It fails if a student copy holds a line of a solution or a hidden test, or an autograder one of a
solution, and if otter-grader, with that autograder, does not give the solution all points and the
student copy none.
"""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from bea_course.notebook import filled, read_assignment
from tools.notebooks.execute import KERNELSPEC, normalize, write
from tools.site.leaks import leaks_in
from tools.site.lite import library_wheel

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "assignments").glob("[0-9]*.ipynb"))
STUDENT = ROOT / "assignments" / "student"
BUILD = ROOT / "_build" / "assignments"
# Where Gradescope unpacks the autograder's files.
UNPACKED = "/autograder/source/files"


def student_copy(notebook):
    """What otter-grader left for students, without its own traces: the checks need only this library."""
    notebook.metadata.pop("otter", None)
    for cell in notebook.cells:
        cell.metadata = nbformat.NotebookNode(
            {key: cell.metadata[key] for key in ("deletable", "editable") if key in cell.metadata}
        )
        cell.source = cell.source.replace("<!-- BEGIN QUESTION -->", "").replace("<!-- END QUESTION -->", "").strip()
    notebook.cells = [cell for cell in notebook.cells if cell.source]
    return normalize(notebook)


def solution_sheet(notebook):
    """The source with its solutions, without marks and tests, run."""
    cells, hidden = [], False
    for cell in notebook.cells:
        if cell.cell_type == "raw":
            hidden = {"# BEGIN TESTS": True, "# END TESTS": False}.get(cell.source.strip(), hidden)
        elif not hidden:
            lines = [
                line
                for line in cell.source.splitlines()
                if "# BEGIN SOLUTION" not in line and "# END SOLUTION" not in line
            ]
            cell.source = "\n".join(line.removesuffix("  # SOLUTION") for line in lines)
            cells.append(cell)
    notebook.cells = cells
    NotebookClient(notebook, timeout=120, kernel_name=KERNELSPEC["name"]).execute()
    return notebook


def make(source, wheel):
    """All that is made of one source."""
    name = source.stem
    stage = BUILD / "stage" / name
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    notebook = nbformat.read(source, 4)
    notebook.cells[0].source += f"\nrequirements: requirements.txt\nfiles:\n  - {wheel.name}"
    nbformat.write(notebook, stage / source.name)
    shutil.copy(wheel, stage)
    (stage / "requirements.txt").write_text(f"bea-book[book] @ file://{UNPACKED}/{wheel.name}\n", encoding="utf-8")
    otter(stage, "assign", source.name, "dist", "--no-run-tests")
    STUDENT.mkdir(exist_ok=True)
    write(
        student_copy(nbformat.read(stage / "dist" / "student" / source.name, 4)),
        STUDENT / source.name,
    )
    (zip_file,) = (stage / "dist" / "autograder").glob("*.zip")
    for folder in ("autograder", "solutions"):
        (BUILD / folder).mkdir(exist_ok=True)
    shutil.copy(zip_file, BUILD / "autograder" / f"{name}.zip")
    page, _ = HTMLExporter().from_notebook_node(solution_sheet(nbformat.read(source, 4)))
    (BUILD / "solutions" / f"{name}.html").write_text(page, encoding="utf-8")
    return problems_of(source, stage)


def otter(folder, *command):
    """Run a command of otter-grader in a folder."""
    done = subprocess.run([sys.executable, "-m", "otter", *command], cwd=folder, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{done.stdout}{done.stderr}\n`otter {' '.join(command)}` failed in {folder}")


def points(folder, autograder, notebook):
    """(points, of how many) by otter-grader with this autograder."""
    otter(folder, "run", "--no-logo", "-a", str(autograder), "-o", str(folder), str(notebook))
    tests = json.loads((folder / "results.json").read_text(encoding="utf-8"))["tests"]
    return tuple(sum(test.get(key) or 0 for test in tests) for key in ("score", "max_score"))


def problems_of(source, stage):
    """What is wrong with what was made of a source, as sentences."""
    student, autograder = STUDENT / source.name, BUILD / "autograder" / f"{source.stem}.zip"
    assignment = read_assignment(source)
    problems = leaks_in([student])
    problems += leaks_in([autograder], [source], hidden_tests=False)
    right = stage / "right.ipynb"
    answers = {question.name: question.solution for question in assignment.questions}
    right.write_text(filled(assignment, answers), encoding="utf-8")
    of = sum(question.points for question in assignment.questions if not question.by_hand)
    for notebook, wanted in ((right, of), (student, 0)):
        found = points(stage, autograder, notebook)
        if found != (wanted, of):
            problems.append(
                f"{autograder.name} gives {notebook.name} {found[0]:g} of {found[1]:g} points, not {wanted} of {of}"
            )
    return problems


def main():
    BUILD.mkdir(parents=True, exist_ok=True)
    wheel = library_wheel(BUILD / "wheel")
    with ProcessPoolExecutor(max_workers=2) as pool:
        problems = []
        for source, found in zip(SOURCES, pool.map(make, SOURCES, [wheel] * len(SOURCES))):
            print(f"{source.relative_to(ROOT)}: {len(found)} problems", flush=True)
            problems += found
    if problems:
        raise SystemExit("The assignments have problems:\n  " + "\n  ".join(problems))


if __name__ == "__main__":
    main()
