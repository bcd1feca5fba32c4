"""After an edit, figures and equations are counted again exactly if there are others."""

import pytest
from sphinx.application import Sphinx
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.util.docutils import docutils_namespace

from tools.site import numbers

PAGES = {
    "index": "Book\n====\n\n.. toctree::\n\n   one\n   two\n",
    "one": "One\n===\n\n.. math:: a = b\n   :label: eq-a\n\n.. math:: c = d\n   :label: eq-c\n\nWords.\n",
    "two": "Two\n===\n\n.. math:: e = f\n   :label: eq-e\n",
}


@pytest.fixture
def build(tmp_path, monkeypatch):
    """build(page=text, ...) -> (the number of equation e, whether all equations were counted)"""
    counted = []

    def count(collector, env):
        counted.append(True)
        return whole(collector, env)

    whole = numbers.COUNT_ALL
    monkeypatch.setattr(numbers, "COUNT_ALL", count)
    monkeypatch.setattr(TocTreeCollector, "assign_figure_numbers", whole)  # put back at the end
    source = tmp_path / "source"
    source.mkdir()
    settings = {"extensions": ["tools.site.numbers"], "numfig": True, "math_numfig": True}
    settings |= {"numfig_secnum_depth": 0, "html_theme": "basic"}

    def build(**pages):
        for name, text in pages.items():
            (source / f"{name}.rst").write_text(text)
        counted.clear()
        with docutils_namespace():
            places = [source, None, tmp_path / "html", tmp_path / "trees"]
            app = Sphinx(*places, "html", settings, status=None, warning=None)
            app.build()
        [number] = app.env.toc_fignumbers["two"]["displaymath"].values()
        assert f"({number[0]})" in (tmp_path / "html" / "two.html").read_text()
        return number[0], bool(counted)

    return build


def test_equations_are_counted_if_there_are_others(build):
    assert build(**PAGES) == (3, True)
    assert build(one=PAGES["one"].replace("Words.", "Other words.")) == (3, False)
    more = PAGES["one"] + "\n.. math:: x = y\n   :label: eq-x\n"
    assert build(one=more) == (4, True)
    assert build(one=more.replace("a = b", "b = a")) == (4, False)
    assert build(one=PAGES["one"]) == (3, True)
    assert build(index=PAGES["index"].replace("   one\n   two\n", "   two\n   one\n")) == (1, True)
