"""Every page of the built book in a real browser, with the network cut off."""

import pages
import pytest
from browsing import OUT, SITE

PAGES = sorted(p for folder in ("", "chapters") for p in (SITE / folder).glob("*.html"))
# The address of the book itself only sends the reader on.
PAGES = [p.relative_to(SITE).as_posix() for p in PAGES if p != SITE / "index.html"]


def test_the_book_is_there():
    assert "chapters/index.html" in PAGES, f"no book in {SITE}; `make browser-test` builds it"


@pytest.mark.parametrize("view", pages.VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_page(name, view, offline_context, serve, record_property):
    picture = OUT / f"{name.removesuffix('.html').replace('/', '-')}-{view}-{{}}.jpg"
    looks = list(pages.looks(offline_context, f"{serve(SITE)}/{name}", view, picture))
    log, times = looks[0].log, looks[0].times
    row = {
        f"first paint {view}, ms": f"{times['paint']:.0f}",
        f"typeset {view}, ms": f"{times['typeset']:.0f}",
        "serious axe violations": sum(len(pages.problems_of_access(look)) for look in looks),
        "outside requests": len(log.outside),
    }
    if view == "desktop":
        raw, compressed = pages.weights(log, SITE)
        row |= {"requests": len(log.requests), "kB": raw // 1000, "kB gzip": compressed // 1000}
    record_property("row", (name, row))
    assert [problem for look in looks for problem in pages.problems_of(look)] == []
