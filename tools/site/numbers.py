"""A Sphinx extension: after an edit, figures and equations are counted again only if there are others.

To number them Sphinx reads every page of the book from its cache, which takes half of the time that
`make page` may take.  If the pages that were read again have the same figures and equations as before, and
the order of the pages is the same, so are the numbers.
"""

from docutils import nodes
from sphinx.environment.collectors.toctree import TocTreeCollector

COUNT_ALL = TocTreeCollector.assign_figure_numbers


def numbered(env, page):
    """{kind: names of the figures or equations of a page that get a number}, in their order."""
    found = {}
    for node in env.get_doctree(page).findall(nodes.Element):
        for domain in env.domains.values():
            kind = domain.get_enumerable_node_type(node)
            titled = domain.name != "std" or domain.get_numfig_title(node)
            if kind and titled and node["ids"]:
                found.setdefault(kind, []).append(node["ids"][0])
                break
    return found


def keep_numbers(app):
    pages, order = dict(app.env.toc_fignumbers), dict(app.env.toctree_includes)
    read = set()
    app.connect("source-read", lambda app, page, source: read.add(page))

    def assign(collector, env):
        same = env.toctree_includes == order and all(
            numbered(env, page) == {kind: list(ids) for kind, ids in pages.get(page, {}).items()} for page in read
        )
        if not (same and pages):
            return COUNT_ALL(collector, env)
        env.toc_fignumbers.update({page: pages[page] for page in read if page in pages})
        return []

    TocTreeCollector.assign_figure_numbers = assign


def setup(app):
    app.connect("builder-inited", keep_numbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
