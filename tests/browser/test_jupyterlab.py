"""In JupyterLab with a kernel on this machine, as on Binder: an explorer moves, an assignment checks itself."""

import os
import shutil
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import live
import pytest
from browsing import ROOT

from bea_course.notebook import read_assignment

pytestmark = pytest.mark.timeout(600)

CHAPTER = "index"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory):
    """The address of a JupyterLab with a copy of the chapters and of the student copies."""
    folder = tmp_path_factory.mktemp("jupyterlab")
    shutil.copytree(ROOT / "chapters", folder / "chapters")
    shutil.copytree(ROOT / "assignments" / "student", folder / "student")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # Nothing of the reader's own settings, and nothing that is left behind in them.
    places = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    settings = ["--no-browser", "--allow-root", "--expose-app-in-browser", f"--port={port}"]
    settings += [
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        f"--notebook-dir={folder}",
    ]
    with open(folder / "log.txt", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", *settings],
            env=os.environ | places,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + 120
        while True:
            try:
                urlopen(f"{url}/api", timeout=10).close()
                break
            except (URLError, TimeoutError):
                if server.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"JupyterLab did not start:\n{(folder / 'log.txt').read_text()}")
                time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def test_chapter_runs_and_its_explorer_moves(jupyterlab, offline_context):
    context, log = offline_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    live.open_notebook(page, f"{jupyterlab}/lab/tree/chapters/{CHAPTER}.ipynb?reset")
    assert page.evaluate(live.RAW_MARKUP) == []
    cells = live.run_all(page, 400)
    assert live.problems_of_run(cells) == []
    first, moved, again = live.move_explorer(page, live.explorers(cells)[0])
    assert moved != first
    assert again == first
    assert log.outside == []


def test_a_student_copy_checks_itself(jupyterlab, offline_context):
    context, log = offline_context(viewport={"width": 1400, "height": 1000})
    page, source = context.new_page(), ROOT / "assignments" / "03_batches.ipynb"
    live.open_notebook(page, f"{jupyterlab}/lab/tree/student/{source.name}?reset")
    live.check_an_assignment(page, read_assignment(source), 300)
    assert log.outside == []
