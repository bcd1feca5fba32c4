"""One deck of slides, made from the built page and shown."""

import re

import pytest
from browsing import ROOT, SITE

from tools.site import slides
from tools.site.check_site import Page, is_outside


def test_deck(offline_context, book):
    deck = slides.make("06", SITE)
    page = (SITE / "chapters" / "06_momentum.html").read_text(encoding="utf-8")
    text = deck.read_text(encoding="utf-8")
    # Every labelled equation and figure of the chapter once, and its two theorems.
    article = page[page.index("<article") : page.index('id="exercises"')]
    for kind in ("equation-eq-", "fig-", "thm-"):
        labels = re.findall(rf'<(?:div|figure)[^>]* id="({kind}[\w-]+)"', article)
        assert labels and [label for label in labels if text.count(f'id="{label}"') != 1] == []
    loaded = Page(text).loaded
    assert loaded and [address for address in loaded if is_outside(address)] == []
    assert "cell_input" not in text and 'class="solution' not in text
    # Formulas come with the sentence that leads to them; the title has the question's.
    leading = [words.split("\n")[-1] for words in re.findall(r'([^<>]+:)</p>\s*<div class="math', article)]
    assert len(leading) > 5 and [words for words in leading if f"{words}</p>" not in text] == []
    assert text.index("keeps a fraction") < text.index('<div class="math') < text.index("On a straight ")

    context, log = offline_context(viewport={"width": 1280, "height": 800})
    show = context.new_page()
    show.goto(f"{book}/slides/06_momentum.html")
    total = show.evaluate("Reveal.getTotalSlides()")
    assert total >= 10
    # Who sits at the back reads captions and figures, too.
    sizes = "'.slides :is(figcaption p, .bea-live p, .bea-live td, .bea-explorer p)'"
    assert (
        show.evaluate(
            f"Math.min(...[...document.querySelectorAll({sizes})].map(e => parseFloat(getComputedStyle(e).fontSize)))"
        )
        >= 18
    )
    explorers = 0
    for _ in range(total):
        wide, low = show.evaluate(
            "(s => [s.scrollWidth - s.clientWidth, s.getBoundingClientRect().bottom])(Reveal.getCurrentSlide())"
        )
        assert wide <= 1 and low <= 800
        figure = show.locator(".slides section.present :is(.bea-explorer, .bea-live)").first
        if figure.count():
            explorers += 1
            skip = figure.locator("[data-part=skip]")
            if skip.count():
                skip.click()
            numbers = figure.locator("[data-value], td[data-part^=distance]")
            shown = numbers.all_inner_texts()
            slider = figure.locator("input[type=range]").first
            at_end = slider.evaluate("one => one.value === one.min")
            slider.press("End" if at_end else "Home")
            show.wait_for_timeout(500)
            assert numbers.all_inner_texts() != shown
        show.evaluate("Reveal.next()")
    assert explorers >= 2
    assert log.problems() == []


CHAPTERS = sorted(path.stem for path in (ROOT / "chapters").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_slide_holds_what_is_on_it(name, offline_context, book):
    slides.make(name, SITE)
    context, log = offline_context(viewport={"width": 1280, "height": 800})
    show = context.new_page()
    show.goto(f"{book}/slides/{name}.html")
    problems = []
    for number in range(show.evaluate("Reveal.getTotalSlides()")):
        show.evaluate("number => Reveal.slide(number)", number)
        show.evaluate(
            "Promise.all([...Reveal.getCurrentSlide().querySelectorAll('img')]"
            ".map(image => { image.loading = 'eager'; return image.decode() }))"
        )
        show.evaluate("document.fonts.ready")
        high, wide = show.evaluate(
            "(s => [s.scrollHeight - s.clientHeight, s.scrollWidth - s.clientWidth])(Reveal.getCurrentSlide())"
        )
        problems += [f"slide {number}: {high} too high, {wide} too wide"] * (max(high, wide) > 1)
    assert problems + log.problems() == []
