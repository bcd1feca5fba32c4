"""Make from the sources in assignments/ what students and graders get.

    python -m tools.course.assignments [--secret FILE] [05 ...]

`make assignments` runs this for all of them; with numbers it makes those alone.  Of each source it makes the student copy, in assignments/student, the
archive that Gradescope takes, in _build/assignments/autograder, and the solution sheet, run and as a
page to print, in _build/assignments/solutions.

It fails if a student copy holds a line of a solution or a hidden test, if an archive holds one of a
solution, and if the examiner, with what is in the archive, does not give the solution all points and
the student copy none.
"""

import argparse
import json
import re
import shutil
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import nbformat
import yaml
from nbclient import NotebookClient

from bea_course import gradescope
from bea_course.notebook import EMPTY, blanked, filled, read_assignment, without_markers
from tools.notebooks.execute import KERNELSPEC, normalize, write
from tools.site.check_site import PLACEHOLDERS
from tools.site.leaks import leaks_in
from tools.site.lite import library_wheel

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "assignments").glob("[0-9]*.ipynb"))
STUDENT = ROOT / "assignments" / "student"
BUILD = ROOT / "_build" / "assignments"

SETUP = """#!/usr/bin/env bash
apt-get update && apt-get install -y python3-pip bubblewrap util-linux
python3 -m pip install "/autograder/source/{wheel}[book]" ipykernel jupyter_client nbformat psutil
"""
RUN = """#!/usr/bin/env bash
chmod -R go-rwx /autograder/source /autograder/submission /autograder/results
cd /autograder && python3 -m bea_course.gradescope /autograder
"""


def parts_of(notebook):
    """(cell, where it is) of each cell but the raw ones; where is "SOLUTION", "TESTS", "QUESTION" or ""."""
    within = []
    for cell in notebook.cells:
        mark = re.match(r"# (BEGIN|END) (\w+)", cell.source) if cell.cell_type == "raw" else None
        if mark and mark[1] == "BEGIN":
            within.append(mark[2])
        elif mark:
            within.pop()
        elif cell.cell_type != "raw":
            yield cell, within[-1] if within else ""


INSTALL = """# where the book's library is not installed yet, as in Colab
try:
    import bea_course
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", 'install -q "bea-book[book] @ git+{url}"')"""


def install_cells():
    """The cell that installs the library, by the address in _config.yml; none as long as that is a placeholder."""
    url = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    if PLACEHOLDERS.search(url):
        return []
    return [nbformat.v4.new_code_cell(INSTALL.format(url=url), id="install")]


def student_copy(notebook):
    """The source without solutions and tests."""
    cells = install_cells()
    for cell, where in parts_of(notebook):
        if where == "TESTS":
            continue
        cell.metadata = nbformat.NotebookNode()
        if where == "SOLUTION":
            cell.source = blanked(cell.source) if cell.cell_type == "code" else EMPTY
        elif where == "QUESTION":
            cell.metadata = nbformat.NotebookNode(deletable=False, editable=False)
        cells.append(cell)
    notebook.cells = cells
    return normalize(notebook)


def without_solutions(notebook):
    """The source as the examiner needs it in a container: with its tests, without its solutions."""
    for cell, where in parts_of(notebook):
        if where == "SOLUTION":
            cell.source = blanked(cell.source) if cell.cell_type == "code" else EMPTY
    return notebook


def solution_sheet(notebook):
    """The source with its solutions, without marks and tests, run."""
    cells = []
    for cell, where in parts_of(notebook):
        if where != "TESTS":
            cell.source = without_markers(cell.source)
            cells.append(cell)
    notebook.cells = cells
    NotebookClient(notebook, timeout=120, kernel_name=KERNELSPEC["name"]).execute()
    return notebook


def archive(source, wheel, target, secret=None):
    """Write the archive for Gradescope."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(target, "w", ZIP_DEFLATED) as made:
        made.writestr("setup.sh", SETUP.format(wheel=wheel.name if wheel else ""))
        made.writestr("run_autograder", RUN)
        made.writestr(source.name, nbformat.writes(without_solutions(nbformat.read(source, 4))))
        if wheel:
            made.write(wheel, wheel.name)
        if secret:
            made.write(secret, "secret.txt")


def points(folder, zip_file, notebook):
    """(points, of how many) by what is in an archive, as a container would have it."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "submission").mkdir(parents=True)
    with ZipFile(zip_file) as made:
        made.extractall(folder / "source")
    shutil.copy(notebook, folder / "submission")
    gradescope.main([str(folder)])
    tests = json.loads((folder / "results" / "results.json").read_text(encoding="utf-8"))["tests"]
    return tuple(sum(test[key] for test in tests) for key in ("score", "max_score"))


def make(source, wheel, secret):
    """All that is made of one source; returns what is wrong with it, as sentences."""
    STUDENT.mkdir(exist_ok=True)
    student, zip_file = STUDENT / source.name, BUILD / "autograder" / f"{source.stem}.zip"
    write(student_copy(nbformat.read(source, 4)), student)
    archive(source, wheel, zip_file, secret)
    (BUILD / "solutions").mkdir(exist_ok=True)
    from nbconvert import HTMLExporter  # here, because only `make assignments` installs it

    page, _ = HTMLExporter().from_notebook_node(solution_sheet(nbformat.read(source, 4)))
    (BUILD / "solutions" / f"{source.stem}.html").write_text(page, encoding="utf-8")
    assignment, stage = read_assignment(source), BUILD / "stage" / source.stem
    stage.mkdir(parents=True, exist_ok=True)
    problems = leaks_in([student]) + leaks_in([zip_file], [source], hidden_tests=False)
    right = stage / "right.ipynb"
    right.write_text(filled(assignment, {q.name: q.solution for q in assignment.questions}), encoding="utf-8")
    of = sum(question.points for question in assignment.questions if not question.by_hand)
    for notebook, wanted in ((right, of), (student, 0)):
        found = points(stage / "autograder", zip_file, notebook)
        if found != (wanted, of):
            problems.append(f"{zip_file.name} gives {notebook.name} {found[0]:g} of {found[1]:g}, not {wanted} of {of}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--secret", type=Path, help="the file with your secret, to go into the archives")
    parser.add_argument("number", nargs="*", help="the assignments to make, such as 05; all of them if left out")
    given = parser.parse_args()
    sources = [source for source in SOURCES if not given.number or source.name[:2] in given.number]
    if not sources:
        raise SystemExit(f"there is none of {', '.join(given.number)}; there are {', '.join(p.stem for p in SOURCES)}")
    BUILD.mkdir(parents=True, exist_ok=True)
    wheel = library_wheel(BUILD / "wheel")
    problems = []
    for source in sources:
        found = make(source, wheel, given.secret)
        print(f"{source.relative_to(ROOT)}: {len(found)} problems", flush=True)
        problems += found
    if problems:
        raise SystemExit("The assignments have problems:\n  " + "\n  ".join(problems))


if __name__ == "__main__":
    main()
