"""Sphinx extension of `make pdf`: puts the pages in the order and the shape of a printed book."""

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.texescape import escape
from sphinx_proof.nodes import proof_node

SCALE = 75  # per cent; then the letters in figures are a little smaller than those of the text
LONG = 30  # rows; Sphinx lets longer tables break across pages


class Layout(SphinxPostTransform):
    """Arrange the book's one document, which Sphinx has put together from all pages."""

    default_priority = 700
    formats = ("latex",)

    def run(self, **kwargs):
        self.make_preface_and_parts()
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
        for table in self.document.findall(nodes.table):
            set_widths(table)
        for page in self.document.findall(addnodes.start_of_file):
            if any("formula-sheet" in table["classes"] for table in page.findall(nodes.table)):
                page.children = [latex(r"\opensheet"), *page.children, latex(r"\closesheet")]

    def make_preface_and_parts(self):
        """Without this the first page's sections would be chapters, and the parts would be lost."""
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


def latex(code):
    return nodes.raw("", code, format="latex")


def set_widths(table):
    """Give a long table's columns widths by what is in them; Sphinx would break no line there."""
    rows = [[entry.astext() for entry in row] for row in table.findall(nodes.row)]
    if len(rows) <= LONG:
        return
    table["classes"].append("colwidths-given")
    for specification, *column in zip(table.findall(nodes.colspec), *rows, strict=True):
        word = max(len(word) for text in column for word in text.split())
        longest = max(len(text) for text in column)
        # No column may be narrower than its longest word, in letters of code, which are wide.  The
        # root, because a column that is twice as wide needs half as many lines.
        specification["colwidth"] = max(round(1.25 * word), round(4 * longest**0.5))


def setup(app):
    app.add_post_transform(Layout)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
