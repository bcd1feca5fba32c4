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
def test_page(name, view, offline_context, book, record_property):
    OUT.mkdir(parents=True, exist_ok=True)
    picture = f"{OUT}/{name.removesuffix('.html').replace('/', '-')}-{view}-{{}}.jpg"
    look = pages.look_at(offline_context, f"{book}/{name}", view, picture)
    row = {
        f"first paint {view}, ms": f"{look.times['paint']:.0f}",
        f"typeset {view}, ms": f"{look.times['typeset']:.0f}",
        "serious axe violations": sum(
            not pages.excepted(rule, node) for _, rule, node in pages.serious(look)
        ),
        "outside requests": len(look.log.outside),
    }
    if view == "desktop":
        raw, compressed = pages.weights(look.log, book)
        row |= {
            "requests": len(look.log.requests),
            "kB": raw // 1000,
            "kB gzip": compressed // 1000,
        }
    record_property("row", (name, row))
    assert pages.problems_of(look) == []
