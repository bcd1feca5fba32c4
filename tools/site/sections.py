"""A Sphinx extension: the book's own search, which leads to sections, terms and theorems.

Sphinx's index knows pages only.  This gathers from each page its sections, the terms that it defines and its
theorems, with their text; _static/sections.js is the list, which search.html searches by MiniSearch
(chapters/assets/search.js says how).  Formulas are written in letters, as a reader may type them.
"""

import json
import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.errors import ExtensionError
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_node, solution_node
from sphinx_proof.nodes import NODE_TYPES, proof_node

MINISEARCH = Path(__file__).parent / "web" / "node_modules" / "minisearch" / "dist" / "umd" / "index.js"
# Sphinx's own, which the theme loads on every page.
SPHINX_SEARCH = re.compile(r'<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>\s*')

LETTERS = dict(
    pair.split("=")
    for pair in (
        "alpha=α beta=β gamma=γ delta=δ epsilon=ε varepsilon=ε zeta=ζ eta=η theta=θ kappa=κ lambda=λ mu=μ nu=ν xi=ξ "
        "pi=π rho=ρ sigma=σ tau=τ phi=φ varphi=φ chi=χ psi=ψ omega=ω Gamma=Γ Delta=Δ Theta=Θ Lambda=Λ Sigma=Σ Phi=Φ "
        "Psi=Ψ Omega=Ω nabla=∇ partial=∂ infty=∞ to=→ le=≤ ge=≥ ne=≠ approx=≈ cdot=· times=× in=∈ dots=… ldots=… "
        "sqrt=√ lVert=‖ rVert=‖ lvert=| rvert=| quad= qquad= left= right= big= Big= bigl= bigr= Bigl= Bigr="
    ).split()
)
# Code, what cells print, and lists of links are not searched.
BOXES = (proof_node, *NODE_TYPES.values(), exercise_node, exercise_enumerable_node, solution_node)
LEFT_OUT = (
    *BOXES,
    *(nodes.title, nodes.literal_block, nodes.raw, nodes.comment, nodes.math_block, nodes.image),
    *(addnodes.toctree, addnodes.glossary, addnodes.desc),
)


def plain(tex):
    r"""A formula in letters.

    >>> plain(r"\tfrac h4\lVert\nabla E_{j}\rVert^2"), plain(r"\sqrt{\hat v + \varepsilon}, \beta_2")
    ('h4‖∇ Ej‖^2', '√v + ε, β2')
    """
    text = re.sub(r"\\([A-Za-z]+)", lambda m: LETTERS.get(m[1], " "), tex)
    return " ".join(re.sub(r"\\.|[{}_&$]", "", text).split())


def is_section(node):
    """Whether a node is a section of the page, not what sphinx-proof and sphinx-exercise wrap a box's text in."""
    return isinstance(node, nodes.section) and not node["ids"][0].endswith("-content")


def text_of(node):
    """What a reader reads in a node, without what has a place of its own."""
    if isinstance(node, LEFT_OUT) or is_section(node):
        return ""
    if isinstance(node, nodes.math):
        return plain(node.astext())
    if isinstance(node, nodes.Text):
        return str(node)
    pieces = [text_of(child) for child in node.children]
    return ("" if isinstance(node, nodes.TextElement) else " ").join(pieces)


def one_line(text):
    return " ".join(text.split())


def title_of(node):
    return one_line("".join(text_of(child) for title in node.children[:1] for child in title.children))


def kind_of(node):
    """`theorem`, `exercise` or the like, of a box."""
    return type(node).__name__.split("_")[0]


def name_of(node, numbers):
    """A box's kind, number and title, as in `Theorem 6.1: The first correction`; numbers are {kind: {id: parts}}."""
    kind = kind_of(node)
    number = ".".join(map(str, numbers.get(kind, {}).get(node["ids"][0], ())))
    title = "" if kind == "solution" else re.sub(r"^\((.*)\)$", r"\1", title_of(node))
    return f"{kind.capitalize()} {number}".strip() + (f": {title}" if title else "")


def sections_of(page, tree, numbers):
    """The places of a page that can be found: [page, anchor, title, kind, text]; `name_of` says what numbers are."""
    found = []
    for node in filter(is_section, tree.findall(nodes.section)):
        kind = "page" if not found else "section"
        text = one_line(" ".join(text_of(child) for child in node.children))
        found.append([page, "" if not found else node["ids"][0], title_of(node), kind, text])
    for node in tree.findall(lambda node: isinstance(node, BOXES)):
        if node["ids"] and kind_of(node) != "proof":
            text = one_line(" ".join(text_of(child) for child in node.children))
            found.append([page, node["ids"][0], name_of(node, numbers), kind_of(node), text])
    for node in tree.findall(nodes.definition_list_item):
        for term in node.findall(nodes.term):
            if term["ids"]:
                definition = " ".join(text_of(child) for child in node.children if child is not term)
                name = one_line("".join(text_of(child) for child in term.children))
                found.append([page, term["ids"][0], name, "term", one_line(definition)])
    for node in tree.findall(addnodes.desc_signature):
        if node["ids"]:
            found.append([page, node["ids"][0], node["ids"][0], "code", one_line(text_of(node.parent.children[-1]))])
    return found


def folder(app):
    return Path(app.doctreedir) / "sections"


def turn_off(app):
    """No index of Sphinx's; its page for searching is made all the same."""
    if app.builder.format == "html":
        app.builder.search = False


def keep_sections(app, pagename, templatename, context, doctree):
    if doctree is not None:
        path = folder(app) / f"{pagename}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(sections_of(pagename, doctree, app.env.toc_fignumbers.get(pagename, {}))), encoding="utf-8"
        )
    elif pagename == "search":
        for name in ("minisearch.js", "sections.js", "search.js"):
            context["script_files"].append(f"_static/{name}")


def search_page(app):
    yield "search", {}, "search.html"


def finish(app, exception):
    if exception or app.builder.format != "html":
        return
    if not MINISEARCH.is_file():
        raise ExtensionError(f"MiniSearch is not there: {MINISEARCH} is missing; run `make book`")
    out = Path(app.outdir)
    paths = [folder(app) / f"{page}.json" for page in sorted(app.env.found_docs)]
    found = [place for path in paths if path.is_file() for place in json.loads(path.read_text(encoding="utf-8"))]
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    (out / "_static" / "sections.js").write_text(f"var bookSections = {text};\n", encoding="utf-8")
    shutil.copyfile(MINISEARCH, out / "_static" / "minisearch.js")
    for path in [*out.glob("*.html"), *out.glob("chapters/**/*.html")]:
        text, found = SPHINX_SEARCH.subn("", path.read_text(encoding="utf-8"))
        if found:
            path.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", turn_off)
    app.connect("html-collect-pages", search_page)
    app.connect("html-page-context", keep_sections, priority=950)  # after book_site has looked at the scripts
    app.connect("build-finished", finish, priority=90)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
