"""Figures and equations are numbered chapter by chapter, and again exactly on the pages that were read again."""

import base64

import pytest
from sphinx.application import Sphinx
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.util.docutils import docutils_namespace

from tools.site import numbers

PAGES = {
    "index": "Book\n====\n\n.. math:: z = 0\n   :label: eq-z\n\n.. toctree::\n\n   one\n   two\n   proof\n",
    "one": "1 One\n=====\n\n.. math:: a = b\n   :label: eq-a\n\n.. math:: c = d\n   :label: eq-c\n\nWords.\n",
    "two": "12 Two\n======\n\n.. math:: e = f\n   :label: eq-e\n\nAs in :eq:`eq-c` and :eq:`eq-p`.\n",
    "proof": "Proof of it\n===========\n\n.. math:: p = q\n   :label: eq-p\n\n.. figure:: dot.png\n\n   A caption\n",
}

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="


@pytest.fixture
def build(tmp_path, monkeypatch):
    """build(page=text, ...) -> (the numbers of all equations, the pages that were numbered, the warnings)"""
    numbered, numbers_of = [], numbers.numbers_of
    monkeypatch.setattr(numbers, "numbers_of", lambda env, page: numbered.append(page) or numbers_of(env, page))
    monkeypatch.setattr(TocTreeCollector, "assign_figure_numbers", None)  # put back at the end
    source = tmp_path / "source"
    source.mkdir()
    settings = {"extensions": ["tools.site.numbers"], "numfig": True, "math_numfig": True, "html_theme": "basic"}
    settings["source_suffix"] = {".rst": "restructuredtext"}
    (source / "dot.png").write_bytes(base64.b64decode(PNG))

    def build(**pages):
        for name, text in pages.items():
            (source / f"{name}.rst").write_text(text)
        numbered.clear()
        warnings = tmp_path / "warnings"
        with docutils_namespace(), warnings.open("w") as file:
            places = [source, None, tmp_path / "html", tmp_path / "trees"]
            app = Sphinx(*places, "html", settings, status=None, warning=file)
            app.build()
        kinds = [found for _, found in sorted(app.env.toc_fignumbers.items())]
        found = [".".join(map(str, n)) for kind in kinds for n in kind.get("displaymath", {}).values()]
        build.page = lambda name: (tmp_path / "html" / f"{name}.html").read_text()
        return found, sorted(numbered), warnings.read_text()

    return build


def test_numbers_by_chapter(build):
    found, numbered, warnings = build(**PAGES)
    assert found == ["0.1", "1.1", "1.2", "P.1", "12.1"]
    assert numbered == sorted(PAGES) and "initial" not in warnings
    assert ">(1.2)<" in build.page("two") and ">(P.1)<" in build.page("two")
    assert "Fig. P.1" in build.page("proof")


def test_only_pages_that_were_read_are_numbered_again(build):
    build(**PAGES)
    assert build(one=PAGES["one"].replace("Words.", "Other words."))[1] == ["one"]
    found, numbered, _ = build(one=PAGES["one"].replace("Words.", ".. math:: x = y\n   :label: eq-x\n"))
    assert (found, numbered) == (["0.1", "1.1", "1.2", "1.3", "P.1", "12.1"], ["one"])
    assert build(index=PAGES["index"].replace("   one\n   two\n", "   two\n   one\n"))[0] == found


def test_two_appendices_with_one_initial_are_refused(build):
    assert "proof has the same initial" in build(**PAGES | {"two": PAGES["two"].replace("12 Two", "Part two")})[2]
