"""A Sphinx extension: figures, equations, theorems and exercises are numbered chapter by chapter.

Equation (6.3) is the third of chapter 6; the chapters carry their own numbers in their titles.  The first page
has the number 0, and an appendix the first letter of its title.  Since no number depends on another page, an
edit changes those of its own page only.
"""

import re

from docutils import nodes
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.util import logging

logger = logging.getLogger(__name__)


def prefix_of(env, page):
    """What stands before the point in the numbers of a page."""
    if page == env.config.root_doc:
        return "0"
    title = env.titles[page].astext()
    return (re.match(r"\d+(?= )", title) or re.search(r"[A-Z]", title))[0]


def numbers_of(env, page):
    """{kind: {name: (prefix, number)}} of the figures, equations and so on of a page, in their order."""
    found = {}
    for node in env.get_doctree(page).findall(nodes.Element):
        for domain in env.domains.values():
            kind = domain.get_enumerable_node_type(node)
            titled = domain.name != "std" or domain.get_numfig_title(node)
            if kind and titled and node["ids"]:
                names = found.setdefault(kind, {})
                names[node["ids"][0]] = (prefix_of(env, page), len(names) + 1)
                break
    return found


def by_chapter(app):
    read = set()
    app.connect("env-before-read-docs", lambda app, env, pages: read.update(pages))

    def assign(collector, env):
        """Number the pages that were read again; return those that have other numbers than before."""
        before = dict(env.toc_fignumbers)
        env.toc_fignumbers.update({page: numbers_of(env, page) for page in read & set(env.titles)})
        owners = {}
        for page in sorted(page for page, kinds in env.toc_fignumbers.items() if kinds):
            owner = owners.setdefault(prefix_of(env, page), page)
            if owner != page:
                logger.warning(
                    "%s has the same initial, and its figures and equations the same numbers", owner, location=page
                )
        return [page for page in read if before.get(page) != env.toc_fignumbers.get(page)]

    TocTreeCollector.assign_figure_numbers = assign


def setup(app):
    app.connect("builder-inited", by_chapter)
    return {"env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
