"""Where a chapter first uses a term of the glossary, the word leads there, and nowhere else."""

import doctest
import re

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from tools.site import terms

CHAPTER = """\
# 1 The imbalance

Its net
signs, an order, `lag`, [the lag](glossary.md), and $lag$.

| lag |
|---|
| lag |

The *lag* is a time lag; imbalances and
the net sign come again, and a lag.
"""
GLOSSARY = """\
# Glossary

:::{glossary}
imbalance
  What is kept.

lag
  An age, or an imbalance.

net sign
  A sum.

order
  Of accuracy.
:::
"""


def test_first_use_leads_to_the_glossary(tmp_path):
    for name, text in {
        "index": "# Lag\n\nA lag.\n\n```{toctree}\none\nglossary\n```\n",
        "one": CHAPTER,
        "glossary": GLOSSARY,
    }.items():
        (tmp_path / f"{name}.md").write_text(text, encoding="utf-8")
    config = {"extensions": ["myst_parser", "tools.site.terms"], "html_theme": "basic"}
    config["source_suffix"] = {".md": "markdown"}  # its default is shared by all that one process builds
    config |= {"myst_enable_extensions": ["colon_fence", "dollarmath"]}
    with docutils_namespace():
        app = Sphinx(
            tmp_path, None, tmp_path / "out", tmp_path / "trees", "html", config, status=None, warningiserror=True
        )
        app.build()
    pages = {
        name: (tmp_path / "out" / f"{name}.html").read_text(encoding="utf-8") for name in ("index", "one", "glossary")
    }
    link = re.compile(r'<a class="book-term reference internal" href="([^"]*)"><span>([^<]*)</span></a>(\w?)')
    assert link.findall(pages["one"]) == [
        ("glossary.html#term-net-sign", "net\nsign", "s"),
        ("glossary.html#term-lag", "lag", ""),
        ("glossary.html#term-imbalance", "imbalance", "s"),
    ]
    assert 'id="term-lag"' in pages["glossary"]
    assert not link.search(pages["index"] + pages["glossary"])


def test_pattern():
    assert doctest.testmod(terms).failed == 0
