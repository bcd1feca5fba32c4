"""No text of a solution, and no hidden test, may be in what is published."""

import html
import io
import json
import re
import subprocess
from functools import cache
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from bea_course.notebook import read_assignment

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "assignments").glob("[0-9]*.ipynb"))
# Shorter lines say nothing, and could stand anywhere.
SHORTEST = 24


def squeezed(text):
    """Text without white space and quotes, which printing and highlighting change."""
    return re.sub(r"[\s\"'‘’“”]", "", text)


@cache
def public():
    """What is published anyway: the text of the chapters and of the library."""
    paths = [*(ROOT / "chapters").glob("*.*")]
    paths += [path for name in ("bea", "bea_book") for path in (ROOT / "lib" / name).rglob("*.py")]
    return "".join(squeezed(words_of(path.name, path.read_bytes())) for path in sorted(paths) if path.is_file())


def secrets_of(source, hidden_tests=True):
    """The lines, squeezed, of the solutions and hidden tests of an assignment that stand nowhere in public."""
    secrets = set()
    for question in read_assignment(source).questions:
        texts = [
            question.solution,
            *(test.source for test in question.tests if test.hidden and hidden_tests),
        ]
        lines = {squeezed(line) for text in texts for line in text.splitlines()}
        # what the question itself says, such as a function's first line
        given = squeezed(question.text) + "".join(squeezed(t.source) for t in question.tests if not t.hidden)
        secrets |= {
            line
            for line in lines
            if len(line) >= SHORTEST and line not in given and not line.startswith(("def", "import", "from"))
        }
    return frozenset(line for line in secrets if line not in public())


def strings_in(value):
    """The strings in what JSON holds; a list of them, such as a cell's lines, joined."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "\n".join(strings_in(v) for v in value.values())
    return "".join(map(strings_in, value)) if isinstance(value, list) else ""


def words_of(name, data):
    """The text of a file, whatever its kind."""
    suffix = Path(name).suffix
    if suffix == ".pdf":
        done = subprocess.run(["pdftotext", "-", "-"], input=data, capture_output=True, check=True)
        return done.stdout.decode("utf-8", "replace")
    if suffix in (".whl", ".zip"):
        try:
            with ZipFile(io.BytesIO(data)) as archive:
                return "\n".join(words_of(part, archive.read(part)) for part in archive.namelist())
        except BadZipFile:
            pass
    text = data.decode("utf-8", "replace")
    if suffix in (".html", ".htm"):
        text = html.unescape(re.sub(r"<[^>]*>", "", text))
    if suffix in (".ipynb", ".json"):
        try:
            text = strings_in(json.loads(text))
        except ValueError:
            pass
    return text


PICTURES = {".png", ".jpg", ".gif", ".ico", ".woff", ".woff2", ".ttf", ".eot", ".wasm", ".gz"}


def leaks_in(paths, sources=SOURCES, hidden_tests=True):
    """`file: line` of every secret line that is in one of the files."""
    secrets = {source: secrets_of(source, hidden_tests) for source in sources}
    found = []
    for path in paths:
        if path.suffix in PICTURES or not path.is_file():
            continue
        text = squeezed(words_of(path.name, path.read_bytes()))
        for source, lines in secrets.items():
            found += [f"{path}: holds of {source.stem} `{line}`" for line in sorted(lines) if line in text]
    return found


def leaks_in_site(root):
    """The leaks in the folder of a built site."""
    return leaks_in(sorted(Path(root).rglob("*")))
