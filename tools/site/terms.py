"""A Sphinx extension: where a chapter first uses a term of the glossary, the word leads there.

The page shows what the glossary says beside it (chapters/assets/preview.js).  In print nothing changes.
"""

import re

from docutils import nodes
from sphinx import addnodes

# Terms that are also words of every day, or of programming: the book uses them in both senses.
ORDINARY = {"control", "engine", "kernel", "metric", "mode", "order", "share"}
# Where a link would be in another one, in code, or in a place that says what it is about.
LEFT_ALONE = (
    *(nodes.reference, nodes.literal, nodes.math, nodes.title, nodes.caption, nodes.raw, nodes.table),
    *(addnodes.pending_xref, addnodes.download_reference),
)


def terms_of(env):
    """{term in small letters: (page, anchor)} of the glossary."""
    objects = env.get_domain("std").objects
    return {name.lower(): place for (kind, name), place in objects.items() if kind == "term"}


def pattern(terms):
    """What finds any of the terms, the longest first, with a plural's ending.

    >>> pattern(["lag", "time lag", "imbalance"]).findall("Time lags of the flags, an imbalance, a lag.")
    ['Time lag', 'imbalance', 'lag']
    """
    words = "|".join(re.escape(term).replace(r"\ ", r"\s") for term in sorted(terms, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])({words})(?=(?:e?s)?(?![\w-]))", re.IGNORECASE)


def join_texts(node):
    """Make one piece of text of those that follow each other, as where a line of the source ends."""
    children = []
    for child in node.children:
        if isinstance(child, nodes.Text) and children and isinstance(children[-1], nodes.Text):
            children[-1] = nodes.Text(children[-1] + child)
        else:
            children.append(child)
    if len(children) < len(node.children):
        node[:] = children


def texts_of(page):
    """The pieces of text of a page's paragraphs in which a term may become a link."""
    for paragraph in page.findall(nodes.paragraph):
        for node in list(paragraph.findall(nodes.TextElement)):
            join_texts(node)
        for text in list(paragraph.findall(nodes.Text)):
            node = text.parent
            while node is not None and not isinstance(node, LEFT_ALONE):
                node = node.parent
            if node is None:
                yield text


def link_terms(app, page, name):
    terms = {term: place for term, place in terms_of(app.env).items() if term not in ORDINARY}
    if app.builder.format != "html" or not terms or not re.match(r"\d+ ", app.env.titles[name].astext()):
        return
    found, done = pattern(terms), set()
    for text in texts_of(page):
        pieces, rest = [], 0
        for match in found.finditer(text):
            term = " ".join(match[1].lower().split())
            if term in done:
                continue
            done.add(term)
            glossary, anchor = terms[term]
            address = f"{app.builder.get_relative_uri(name, glossary)}#{anchor}"
            words = nodes.inline("", match[1])
            link = nodes.reference("", "", words, internal=True, refuri=address, classes=["book-term"])
            pieces += [nodes.Text(text[rest : match.start()]), link]
            rest = match.end()
        if pieces:
            parent, place = text.parent, text.parent.index(text)
            parent[place : place + 1] = [*pieces, nodes.Text(text[rest:])]


def setup(app):
    app.connect("doctree-resolved", link_terms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
