"""Sphinx extension of `make pdf`: puts the pages in the order and the shape of a printed book."""

import json
import math
import re
import subprocess
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup, NavigableString
from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.transforms.post_transforms.images import ImageConverter
from sphinx.util.texescape import escape
from sphinx_proof.nodes import proof_node

from bea_book.svg import DOTS
from tools.site.numbers import prefix_of

SCALE = 75  # per cent; then the letters in figures are a little smaller than those of the text
LONG = 30  # lines of cells; a table with more breaks across pages
# In letters of the text: the width of a page's table, the gap between two columns, a formula that may be
# broken nevertheless; and the width of a letter of code.
ROOM, GAP, FORMULA, CODE = 100, 1.5, 24, 1.15


class Vectors(ImageConverter):
    """Make PDF of figures in SVG, in the inches that Matplotlib gave them."""

    conversion_rules = [("image/svg+xml", "application/pdf")]

    def is_available(self):
        return True

    def convert(self, source, target):
        dots = [f"--dpi-{side}={72 * DOTS:g}" for side in "xy"]
        subprocess.run(["rsvg-convert", "--format=pdf", *dots, f"--output={target}", source], check=True)
        return True


class Layout(SphinxPostTransform):
    """Arrange the book's one document, which Sphinx has put together from all pages."""

    default_priority = 700
    formats = ("latex",)

    def run(self, **kwargs):
        preface = self.make_preface_and_parts()
        for page in self.document.findall(addnodes.start_of_file):
            # sphinx-proof finds a theorem's page by its title, whose quotes have become curly here.
            title = self.env.titles[page["docname"]].astext()
            next(page.findall(nodes.section))["names"].append(title.lower())
        for cell in self.document.findall(nodes.container):
            if cell.get("hide_mode") == "input":  # folded on the page, left out in print
                code = [child for child in cell if child.get("nb_element") == "cell_code_source"]
                cell.children = [child for child in cell if child not in code]
        for proof in list(self.document.findall(proof_node)):
            # sphinx-proof's own LaTeX opens a box and forgets its title.
            begin, end = latex(r"\begin{bookproof}"), latex(r"\end{bookproof}")
            proof.replace_self([begin, *proof.children, end])
        for link in list(self.document.findall(addnodes.number_reference)):
            # Exercises have labels of sphinx-exercise's own, which it knows on their page only.
            label = link.get("refuri", "").partition("#")[2]
            if label in self.env.sphinx_exercise_registry:
                link.replace_self(latex(rf"\hyperref[exercise:{label}]{{{link.astext()}}}"))
        for image in list(self.document.findall(nodes.image)):
            image.setdefault("scale", SCALE)
            if "alt" in image:
                begin = latex(rf"\begin{{bookalt}}{{{escape(image['alt'], 'xelatex')}}}")
                image.replace_self([begin, image.copy(), latex(r"\end{bookalt}")])
        for page in [preface, *self.document.findall(addnodes.start_of_file)]:
            put_answers_at_the_end(page)
            source = Path(self.env.doc2path(page["docname"]))
            if source.suffix == ".ipynb":
                frame_moving_figures(page, moving_figures(nbformat.read(source, 4)))
        for table in list(self.document.findall(nodes.table)):
            set_widths(table)
        for page in self.document.findall(addnodes.start_of_file):
            if any("formula-sheet" in table["classes"] for table in page.findall(nodes.table)):
                page.children = [latex(r"\opensheet"), *page.children, latex(r"\closesheet")]
            page.insert(0, latex(rf"\bookpage{{{prefix_of(self.env, page['docname'])}}}"))

    def make_preface_and_parts(self):
        """Return the preface; without this its sections would be chapters, and the parts would be lost."""
        (book,) = (child for child in self.document.children if isinstance(child, nodes.section))
        first_page = self.env.get_doctree(self.env.config.root_doc)
        names = [toctree["caption"] for toctree in first_page.findall(addnodes.toctree)]
        parts = [node for node in book.children if "toctree-wrapper" in node.get("classes", [])]
        preface = nodes.section("", nodes.title("", "Preface"), ids=["preface"], names=[])
        preface["docname"] = self.env.config.root_doc
        preface.extend(node for node in book.children[1:] if node not in parts)
        book.children = [book.children[0]]
        book.append(preface)
        for name, part in zip(names, parts, strict=True):
            book.append(latex(rf"\part{{{escape(name, 'xelatex')}}}"))
            book.append(part)
        return preface


def latex(code):
    return nodes.raw("", code, format="latex")


# --- figures that move ---------------------------------------------------------------------------

# A command and the tags of MathML whose children are its arguments.
COMMANDS = {
    "mfrac": r"\frac{%s}{%s}",
    "msub": "{%s}_{%s}",
    "msup": "{%s}^{%s}",
    "msubsup": "{%s}_{%s}^{%s}",
    "munder": r"\mathop{%s}\limits_{%s}",
    "munderover": r"\mathop{%s}\limits_{%s}^{%s}",
}
ACCENTS = {"^": "hat", "ˆ": "hat", "~": "tilde", "˜": "tilde", "˙": "dot", "¯": "bar", "―": "bar"}


def tex_of(mathml):
    r"""The TeX of a formula in MathML, as explorers have it; unicode-math prints its letters as they are.

    >>> tex_of(BeautifulSoup("<math><msub><mi>f</mi><mn>1</mn></msub><mo>=</mo><mi>lag</mi></math>", "html.parser"))
    '{f}_{1}=\\mathrm{lag}'
    """
    if isinstance(mathml, NavigableString):
        return escape(str(mathml), "xelatex") if str(mathml).strip() else ""
    parts = [
        tex_of(child) for child in mathml.children if not isinstance(child, NavigableString) or mathml.name in LEAVES
    ]
    if mathml.name == "mover" and len(parts) == 2 and mathml.contents[-1].get_text().strip() in ACCENTS:
        return rf"\{ACCENTS[mathml.contents[-1].get_text().strip()]}{{{parts[0]}}}"
    if mathml.name == "mover":
        return rf"\overset{{{parts[1]}}}{{{parts[0]}}}"
    if mathml.name in COMMANDS:
        return COMMANDS[mathml.name] % tuple(parts)
    text = "".join(parts)
    if mathml.name == "msqrt":
        return rf"\sqrt{{{text}}}"
    if mathml.name == "mspace":
        return r"\," if mathml.get("width", "").startswith("0.") else r"\quad "
    if mathml.name == "mtext":
        return rf"\text{{{text}}}"
    upright = mathml.name == "mi" and mathml.get("mathvariant") == "normal"
    if upright or (mathml.name in ("mi", "mo") and len(text) > 1 and text.isalpha()):
        return rf"\mathrm{{{text}}}"
    return text


LEAVES = ("mi", "mn", "mo", "mtext")


def moving_figures(notebook):
    """{name of a figure: what the page shows around its picture}, of explorers and live figures."""
    found = {}
    for cell in notebook.cells:
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        for output in cell.get("outputs", []) if name else []:
            data = output.get("data", {})
            html = data.get("application/vnd.bea.explorer+html") or data.get("text/html", "")
            page = BeautifulSoup(html, "html.parser")
            if page.select_one(".bea-ask"):
                found[name] = words_of(page)
    return found


def words_of(page):
    """The two sentences, the formula as TeX and the numbers of a figure, as it opens."""
    formula = page.select_one(".bea-formula math")
    sliders = [
        f"{label.get_text()} = {shown.get_text()}"
        for label, shown in zip(page.select(".bea-slider label"), page.select(".bea-slider output"))
        if shown.get_text()
    ]
    if not sliders and (script := page.select_one('script[type="application/json"]')):
        data = json.loads(script.string)
        if "start" in data:
            labels = [*data["coordinates"], *(label.get_text() for label in page.select(".bea-slider label"))]
            values = [*data["start"], *(data["values"][name] for name in data["sliders"])]
            sliders = [f"{name} = {value:g}" for name, value in zip(labels, values)]
    return {
        "look": page.select_one(".bea-look").get_text(),
        "ask": page.select_one(".bea-ask").get_text(),
        "formula": tex_of(formula) if formula else "",
        "numbers": "; ".join(sliders + [" ".join(value.get_text().split()) for value in page.select(".bea-value")]),
    }


def said(text):
    """A paragraph whose first words, up to the colon, are bold."""
    first, colon, rest = text.partition(":")
    return nodes.paragraph("", "", nodes.strong("", first + colon), nodes.Text(rest))


def frame_moving_figures(page, figures):
    """Print an explorer or a live figure in a frame, with its question, formula and numbers."""
    for figure in list(page.findall(nodes.figure)):
        words = next((figures[name] for name in [*figure["ids"], *figure["names"]] if name in figures), None)
        if not words:
            continue
        numbers = [nodes.paragraph("", f"Shown here: {words['numbers']}.")] if words["numbers"] else []
        formula = [latex(rf"\[{words['formula']}\]")] if words["formula"] else []
        ask = said(words["ask"].replace("Move it to answer:", "Move it on the page to answer:"))
        begin, end = latex(r"\begin{bookmoving}"), latex(r"\end{bookmoving}")
        figure.replace_self([begin, said(words["look"]), *formula, figure.deepcopy(), *numbers, ask, end])


# --- quizzes -------------------------------------------------------------------------------------


def put_answers_at_the_end(page):
    """The answers of a quiz, which are folded on the page, come at the end of the chapter."""
    answers, question = [], ""
    for section in page.findall(nodes.section):
        if section["ids"][:1] != ["quiz"]:
            continue
        for child in list(section.children):
            if isinstance(child, nodes.paragraph):
                if re.fullmatch(r"Choose an answer\b.{,40}\.", child.astext()):
                    child.replace_self(nodes.paragraph("", "The answers are at the end of the chapter."))
                elif match := re.match(r"(\d+)\.", child.astext()):
                    question = match[1]
            elif isinstance(child, nodes.Admonition) and "quiz" in child.get("classes", []):
                title, *reasons = child.children
                child.replace_self(nodes.paragraph("", "", *title.children))
                letter = title.astext().partition(")")[0]
                if reasons and isinstance(reasons[0], nodes.paragraph):
                    reasons[0].insert(0, nodes.Text(f"{question} {letter}) "))
                answers += reasons
    if answers:
        (chapter,) = (child for child in page.children if isinstance(child, nodes.section))
        title = nodes.title("", "Answers to the quiz")
        chapter.append(nodes.section("", title, *answers, ids=[f"{chapter['ids'][0]}-answers"], names=[]))


# --- tables --------------------------------------------------------------------------------------


def pieces_of(entry):
    """The letters of each piece of a cell that no line break divides: a word or a formula."""
    pieces = []
    for text in entry.findall(nodes.Text):
        if isinstance(text.parent, nodes.math):
            letters = re.sub(r"\\(?:[a-zA-Z]+|.)|[{}^_&\s]", lambda match: "x" * match[0].startswith("\\"), text)
            pieces.append(min(len(letters) + 2 * len(re.findall(r"[=<>+-]", letters)), FORMULA))
        elif isinstance(text.parent, nodes.literal):
            pieces += [CODE * len(word) for word in text.split()]
        else:
            pieces += map(len, re.findall(r"[^\s-]+-?|-", text))
    return pieces


def shares(needs, lengths):
    """Widths of columns, in letters: those with which the longest cell has the fewest lines.

    >>> shares([5, 10], [8, 300])
    [5, 92]
    >>> shares([60, 50], [60, 300])
    [60, 50]
    """

    def widths(lines):
        return [max(need, length / lines) for need, length in zip(needs, lengths)]

    lines = next((n / 4 for n in range(4, 400) if sum(widths(n / 4)) <= ROOM), 100)
    return [round(width) for width in widths(lines)]


def set_widths(table):
    """Give the columns of a table that is wider than the page widths by what is in them; let a long one break."""
    for paragraph in [p for p in table.findall(nodes.paragraph) if not p.children]:
        paragraph.parent.remove(paragraph)  # LaTeX would make a line of it
    rows = [[pieces_of(entry) for entry in row.findall(nodes.entry)] for row in table.findall(nodes.row)]
    columns = list(zip(*rows, strict=True))
    needs = [GAP + 1.1 * max(max(cell, default=0) for cell in column) for column in columns]
    lengths = [GAP + max(sum(cell) + len(cell) for cell in column) for column in columns]
    widths = shares(needs, lengths)
    long = LONG < sum(
        max(math.ceil((sum(cell) + len(cell)) / width) for cell, width in zip(row, widths)) for row in rows
    )
    if "formula-sheet" in table["classes"] or not long and sum(lengths) <= ROOM:
        return
    for specification, width in zip(table.findall(nodes.colspec), widths):
        specification["colwidth"] = width
    table["classes"] += ["colwidths-given", *(["longtable"] if long else [])]
    table.replace_self([latex(r"\begin{bookwide}"), table.deepcopy(), latex(r"\end{bookwide}")])


def setup(app):
    app.add_post_transform(Layout)
    app.add_post_transform(Vectors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
