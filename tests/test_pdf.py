"""What `make pdf` does around LaTeX: its settings, its layout, and that it fails on a bad log.

Nothing here needs LaTeX; `make pdf` itself checks every log that it makes.
"""

import re

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from tools.print import pdf, system
from tools.site import book_site

# --- a log that is not clean -------------------------------------------------------------------

# Lines as xelatex and xdvipdfmx write them.
GOOD_LOG = r"""
LaTeX Font Info:    Redeclaring math delimiter \rgroup on input line 97.
Underfull \vbox (badness 10000) has occurred while \output is active []
Overfull \hbox (3.489pt too wide) in paragraph at lines 5212--5212
Overfull \vbox (6.79823pt too high) detected at line 2121
Package hyperref Warning: Rerun to get /PageLabels entry.
Output written on book.xdv (86 pages, 1446160 bytes).
"""


def test_clean_log():
    assert pdf.problems_of_log(GOOD_LOG) == []


@pytest.mark.parametrize(
    "line",
    [
        "Missing character: There is no 🙂 (U+1F642) in font FreeSerif/OT:script=latn;!",
        "LaTeX Warning: Reference `chapters/index:fig-a' on page 93 undefined on input line 7133.",
        "LaTeX Warning: Hyper reference `chapters/a:thm-a' on page 14 undefined on input line 1010.",
        "LaTeX Warning: Citation `chapters/bibliography:id99' on page 3 undefined on input line 9.",
        "LaTeX Warning: Label `equation:chapters/a:eq-a' multiply defined.",
        "LaTeX Warning: Float too large for page by 30.1pt on input line 55.",
        r"Overfull \hbox (376.51082pt too wide) in alignment at lines 5068--5081",
        r"Overfull \hbox (5.1pt too wide) detected at line 17",
        r"Overfull \vbox (44.2pt too high) has occurred while \output is active []",
        "xdvipdfmx:warning: Object @equation.1 already defined.",
    ],
)
def test_spoilt_log(line):
    assert pdf.problems_of_log(f"{GOOD_LOG}{line}\nmore\n") == [line]


# --- numbers in print and on the page ----------------------------------------------------------

PAGES = {"chapters/a": {"figure": {"fig-a": (3,)}, "displaymath": {"equation-eq-a": (12,)}}}
AUX = r"""
\newlabel{equation:chapters/a:eq-a}{{12}{7}{The question}{equation.0.12}{}}
\newlabel{chapters/a:fig-a}{{3}{8}{A caption with \(x_{1}\).}{figure.caption.3}{}}
"""


def test_same_numbers():
    numbers = pdf.numbers_on_pages(PAGES)
    assert numbers == {"chapters/a:fig-a": "3", "equation:chapters/a:eq-a": "12"}
    assert pdf.problems_of_numbers(numbers, AUX) == []


@pytest.mark.parametrize(
    "numbers, aux",
    [
        (pdf.numbers_on_pages(PAGES), AUX.replace("{12}", "{1.12}")),
        (pdf.numbers_on_pages(PAGES), AUX.replace("fig-a", "fig-b")),
        ({}, AUX),
    ],
    ids=["other number", "no such label", "nothing to compare"],
)
def test_other_numbers(numbers, aux):
    assert len(pdf.problems_of_numbers(numbers, aux)) == 1


# --- settings and packages ---------------------------------------------------------------------


def test_settings_come_from_the_projects_files():
    config = yaml.safe_load(pdf.read("_config.yml"))
    changed = pdf.settings(epoch=1_000_000_000)
    assert changed["execute"]["execute_notebooks"] == "off"
    preamble = changed["sphinx"]["config"]["latex_elements"]["preamble"]
    assert config["repository"]["url"] in preamble
    assert book_site.site_address(config["repository"]["url"]) in preamble
    assert "{, 9 September 2001}" in preamble
    assert "{From gradient descent to Adam}" in preamble
    # What print does not change stays.
    kept = config["sphinx"]["config"]
    assert {key: changed["sphinx"]["config"][key] for key in kept} == kept
    assert changed["bibtex_bibfiles"] == config["bibtex_bibfiles"]


def test_no_date_without_git(tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setattr(pdf, "ROOT", tmp_path)
    assert pdf.date_of_version() is None
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert pdf.date_of_version() == 86400


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert system.missing() == list(system.PACKAGES)
    with pytest.raises(SystemExit, match="apt-get install .*texlive-xetex.*\n.*make system"):
        pdf.main()


# --- layout ------------------------------------------------------------------------------------

INDEX = """\
# The title of the book

Hello.

```{toctree}
:caption: First & foremost
:hidden:
one
```

```{toctree}
:caption: Appendices
:hidden:
two
```

## A section of the preface

Its text.
"""
THEOREM = """\
# 1 Euler's method

```{prf:theorem} A name
:label: thm-one
It holds.
```

```{prf:proof}
It is clear.
```
"""
TABLE = "# Long table\n\nBy {prf:ref}`thm-one`.\n\n| word | text |\n|---|---|\n" + 31 * (
    "| `a-rather-long-name` | " + "some more words " * 8 + "|\n"
)
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="


def small_book(folder):
    """A book of three pages, with its configuration."""
    (folder / "index.md").write_text(INDEX, encoding="utf-8")
    (folder / "two.md").write_text(TABLE, encoding="utf-8")
    cell = new_code_cell("draw_in_secret()", execution_count=1)
    cell.outputs = [new_output("display_data", {"image/png": PNG})]
    cell.metadata = {
        "tags": ["hide-input"],
        "mystnb": {
            "image": {"alt": "A dot, 100% black_"},
            "figure": {"caption": "Dot.", "name": "fig-a"},
        },
    }
    cells = [new_markdown_cell(THEOREM), cell, new_code_cell("seen()", execution_count=2)]
    notebook = new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    nbformat.write(notebook, folder / "one.ipynb")
    return {
        "source_suffix": {".rst": "restructuredtext"},  # a default is shared by all that one process builds
        "extensions": ["myst_nb", "sphinx_proof", "tools.print.pdf_layout", "tools.site.pdf_link"],
        "nb_execution_mode": "off",
        "numfig": True,
        "html_theme": "sphinx_book_theme",
        "latex_engine": "xelatex",
        "latex_documents": [("index", "book.tex", "Title", "Author", "manual")],
    }


def build(folder, builder, config):
    out = folder / "_build" / builder
    trees = folder / "_build" / "trees"
    with docutils_namespace():  # leaves nothing behind for the next build
        app = Sphinx(folder, None, out, trees, builder, config, status=None, warningiserror=True)
        app.build()
    assert app.statuscode == 0
    return out


def test_layout(tmp_path):
    config = small_book(tmp_path)
    text = (build(tmp_path, "latex", config) / "book.tex").read_text(encoding="utf-8")

    headings = re.findall(r"^\\(part|chapter|section)\{(.*)\}$", text, re.M)
    assert headings == [
        ("chapter", "Preface"),
        ("section", "A section of the preface"),
        ("part", r"First \& foremost"),
        ("chapter", "1 Euler’s method"),
        ("part", "Appendices"),
        ("chapter", "Long table"),
    ]

    assert r"\label{one:thm-one}" in text and r"one:thm-one}]{" in text
    assert r"\begin{bookproof}" in text and r"\end{bookproof}" in text
    assert r"\begin{bookalt}{A dot, 100\% black\_}" in text
    assert re.search(r"\\sphinxincludegraphics\[scale=0\.75\d*\]", text)
    assert "seen" in text and "secret" not in text

    (first, total), (second, _) = re.findall(r"\\X\{(\d+)\}\{(\d+)\}", text)
    assert int(first) >= len("a-rather-long-name")
    assert int(first) + int(second) == int(total)


QUIZ = """\
## Quiz

Choose an answer, then open it.

**1.** Which?

:::{admonition} a) This one.
:class: dropdown quiz

**Right.**
It is.
:::

:::{admonition} b) The other.
:class: dropdown quiz

**No.**
:::

## Further reading

Much.
"""
EXPLORER = """<div class="bea-explorer"><p class="bea-look"><b>Look for:</b> the bend</p>
<p class="bea-formula"><math><msub><mi>f</mi><mn>1</mn></msub><mo>=</mo><mfrac><mi>lag</mi><mn data-value="x">9</mn></mfrac></math></p>
<p class="bea-slider"><label for="a">β</label><input type="range" id="a"><output for="a">0.9</output></p>
<p class="bea-value">gap = <output>3.5</output></p><p class="bea-ask"><b>Move it to answer:</b> where?</p></div>"""


def test_moving_figures_and_quizzes_are_printed_whole(tmp_path):
    config = small_book(tmp_path) | {"myst_enable_extensions": ["colon_fence"]}
    notebook = nbformat.read(tmp_path / "one.ipynb", 4)
    notebook.cells[1].outputs[0].data["application/vnd.bea.explorer+html"] = EXPLORER
    notebook.cells.append(new_markdown_cell(QUIZ))
    nbformat.write(notebook, tmp_path / "one.ipynb")
    text = (build(tmp_path, "latex", config) / "book.tex").read_text(encoding="utf-8")

    frame = text[text.index(r"\begin{bookmoving}") : text.index(r"\end{bookmoving}")]
    parts = ["Look for:", "the bend", r"\[{f}_{1}=\frac{\mathrm{lag}}{9}\]", r"\begin{figure}", "Dot."]
    parts += ["β = 0.9; gap = 3.5", "Move it on the page to answer:", "where?"]
    places = [frame.find(part) for part in parts]
    assert -1 not in places and places == sorted(places), dict(zip(parts, places))

    question, answers = text.index("Which?"), text.index(r"\section{Answers to the quiz}")
    assert question < text.index("a) This one.") < text.index(r"\section{Further reading}") < answers
    assert answers < text.index("Right.") < text.index(r"\chapter{Long table}")
    assert "1 a) " in text[answers:] and "1 b) " in text[answers:]
    assert "Choose an answer" not in text


WIDE = """\
# Wide table

| | it can | it cannot | $K$ |
|---|---|---|---|
| a word or two here | choose among minimizers by the path to them; move an early stop | move it | $2\\left(a-b\\right)$ |
| anti-regularization | the same | decide how fast a run is: the brackets were negative where it was the fastest | |

| short | table |
|---|---|
| a | b |
"""


def test_a_wide_table_has_widths_and_a_short_one_none(tmp_path):
    config = small_book(tmp_path) | {"myst_enable_extensions": ["dollarmath"]}
    (tmp_path / "two.md").write_text(WIDE, encoding="utf-8")
    text = (build(tmp_path, "latex", config) / "book.tex").read_text(encoding="utf-8")
    wide = text[text.index(r"\begin{bookwide}") : text.index(r"\end{bookwide}")]
    widths = [int(width) for width, _ in re.findall(r"\\X\{(\d+)\}\{(\d+)\}", wide)]
    assert len(widths) == 4 and sum(widths) <= 100
    assert widths[0] > len("regularization") and widths[3] >= 7  # no narrower than a word or a formula
    assert r"\begin{tabulary}" in text and text.count(r"\begin{bookwide}") == 1
    assert not re.search(r"sphinxAtStartPar\s*(&|\\\\)", text)  # no cell is an empty paragraph


def test_numbers_begin_again_with_each_page(tmp_path):
    text = (build(tmp_path, "latex", small_book(tmp_path)) / "book.tex").read_text(encoding="utf-8")
    assert re.findall(r"\\bookpage\{(.*?)\}", text) == ["1", "L"]


SHEET = """\
# Sheet

```{list-table}
:class: formula-sheet
* - a
  - b
```
"""


def test_formula_sheet_has_a_page_of_its_own(tmp_path):
    config = small_book(tmp_path)
    (tmp_path / "two.md").write_text(SHEET, encoding="utf-8")
    text = (build(tmp_path, "latex", config) / "book.tex").read_text(encoding="utf-8")
    before, sheet = text.split(r"\opensheet")
    assert r"\chapter{1 Euler’s method}" in before
    sheet, after = sheet.split(r"\closesheet")
    assert r"\chapter{Sheet}" in sheet and r"\begin{tabular" in sheet
    assert r"\chapter" not in after


@pytest.mark.parametrize("is_there", [True, False])
def test_pages_link_to_the_pdf_only_if_it_is_there(tmp_path, is_there):
    config = small_book(tmp_path)
    made = tmp_path / "_build" / "pdf" / "book.pdf"
    if is_there:
        made.parent.mkdir(parents=True)
        made.write_bytes(b"%PDF-1.5")
    out = build(tmp_path, "html", config)
    assert (out / "book.pdf").exists() == is_there
    for page in ("index.html", "one.html", "two.html"):
        links = re.findall(r'href="([^"]*book\.pdf)"', (out / page).read_text(encoding="utf-8"))
        assert links == (["book.pdf"] if is_there else [])
