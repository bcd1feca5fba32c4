"""What a link leads to, shown beside it: by mouse, by keyboard, by touch."""

import pytest
from browsing import SITE

PAGE = "chapters/10_adam.html"
OTHER = ".bd-article a[href='06_momentum.html#thm-mem-correction']"
HERE = ".bd-article a[href='#equation-eq-adam-theorem']"


def opened(context, book):
    page = context.new_page()
    page.goto(f"{book}/{PAGE}")
    return page


def test_hover_shows_and_escape_closes(offline_context, book):
    context, log = offline_context(viewport={"width": 1280, "height": 800})
    page = opened(context, book)
    box = page.locator(".book-preview")
    for link, words, part in [(OTHER, "Theorem", ".katex"), (HERE, "(", ".katex-display")]:
        page.locator(link).first.hover()
        box.wait_for()
        assert words in box.inner_text() and box.locator(part).count() > 0
        assert page.locator(link).first.get_attribute("aria-describedby") == box.get_attribute("id")
        frame = box.bounding_box()
        assert frame["x"] >= 0 and frame["x"] + frame["width"] <= 1280
        # The pointer may go into the preview without closing it.
        page.mouse.move(frame["x"] + 20, frame["y"] + 10)
        page.wait_for_timeout(500)
        assert box.count() == 1
        page.keyboard.press("Escape")
        assert box.count() == 0
        page.mouse.move(2, 2)
    assert log.problems() == []


def test_focus_shows(offline_context, book):
    context, _ = offline_context(viewport={"width": 1280, "height": 800})
    page = opened(context, book)
    page.keyboard.press("Tab")  # the keyboard is in use
    page.locator(OTHER).first.focus()
    page.locator(".book-preview").wait_for()
    page.keyboard.press("Escape")
    page.locator(".book-preview").wait_for(state="detached")
    assert page.locator(OTHER).first.evaluate("link => link === document.activeElement")


def test_first_tap_shows_and_second_follows(offline_context, book):
    context, _ = offline_context(viewport={"width": 375, "height": 800}, has_touch=True)
    page = opened(context, book)
    link = page.locator(OTHER).first
    link.scroll_into_view_if_needed()
    link.tap()
    page.locator(".book-preview").wait_for()
    assert page.url.endswith(PAGE)
    link.tap()
    page.wait_for_url("**/06_momentum.html#thm-mem-correction")


def test_a_term_shows_what_the_glossary_says(offline_context, book):
    context, log = offline_context(viewport={"width": 1280, "height": 800})
    page = opened(context, book)
    page.locator("a.book-term[href$='#term-lag']").first.hover()
    page.locator(".book-preview").wait_for()
    assert page.locator(".book-preview dt").inner_text().startswith("lag")
    assert page.locator(".book-preview dd").inner_text() != ""
    assert log.problems() == []


def test_a_file_says_what_it_cannot_show(browser):
    """Opened as a file: previews within the page, and one word about those that need a server."""
    page = browser.new_page()
    page.goto(f"file://{SITE}/{PAGE}")
    page.locator(OTHER).first.hover()
    page.locator(".book-preview").wait_for()
    assert "make serve" in page.locator(".book-preview").inner_text()
    page.keyboard.press("Escape")
    page.locator(HERE).first.hover()
    page.locator(".book-preview .katex-display").wait_for()
    page.goto(f"file://{SITE}/search.html?q=imbalance")
    assert page.locator("#search-results li a").count() > 3
    page.close()


@pytest.mark.parametrize("link", [".bd-article a[href='proof.html']", ".toc-entry a:visible"])
def test_other_links_show_nothing(link, offline_context, book):
    context, _ = offline_context(viewport={"width": 1280, "height": 800})
    page = opened(context, book)
    page.locator(link).first.hover()
    page.wait_for_timeout(600)
    assert page.locator(".book-preview").count() == 0
