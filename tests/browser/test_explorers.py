"""Every explorer of the built book, moved in a real browser as a reader moves it."""

import re

import explorers
import pages
import pytest
from browsing import SITE
from oracles import ORACLES

ID = re.compile(r'<div class="bea-explorer" id="([\w-]+)"')
# (page, which of its explorers)
EXPLORERS = [
    (path.stem, k)
    for path in sorted((SITE / "chapters").glob("*.html"))
    for k in range(len(ID.findall(path.read_text(encoding="utf-8"))))
]


def test_every_explorer_has_an_oracle():
    """Add a function to oracles.py for an explorer that has none; remove what has no explorer."""
    assert EXPLORERS
    assert EXPLORERS == [(name, k) for name in sorted(ORACLES) for k in range(len(ORACLES[name]))]


@pytest.fixture
def load(book, offline_context):
    """load(page, which, **options) -> (explorer, log), the page loaded in a context with the options."""

    def load(name, which, **options):
        context, log = offline_context(**options)
        context.add_init_script(path=pages.FACTS)
        page = context.new_page()
        page.goto(f"{book}/chapters/{name}.html")
        page.evaluate("facts.ready()")
        identity = page.locator(".bea-explorer").nth(which).get_attribute("id")
        return explorers.Explorer(page, identity, ORACLES[name][which]), log

    return load


@pytest.mark.parametrize("name, which", EXPLORERS)
def test_explorer(name, which, load, record_property):
    explorer, log = load(name, which, viewport=pages.VIEWS["desktop"][0])
    problems = [problem for rule in explorers.DESK_RULES for problem in rule(explorer)]
    times = explorer.frames
    row = {
        "explorers": f"{explorers.weight(explorer) / 1000:.1f} kB",
        "ms per frame": f"{times['work']:.1f} of {times['wait']:.1f}",
        "outside requests": len(log.outside),
    }
    record_property("row", (f"chapters/{name}.html", row))
    assert problems + log.problems() == []


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
@pytest.mark.parametrize("name, which", EXPLORERS)
def test_play(name, which, motion, load):
    explorer, log = load(name, which, reduced_motion=motion)
    assert explorers.problems_of_play(explorer) + log.problems() == []


@pytest.mark.parametrize("name, which", EXPLORERS)
def test_touch(name, which, load):
    explorer, log = load(name, which, viewport=pages.VIEWS["phone"][0], has_touch=True)
    assert explorers.problems_of_touch(explorer) + log.problems() == []
