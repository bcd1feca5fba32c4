"""One look at a page, and the rules that it must keep.

Each rule is a function from a `Look` to the list of its problems.  `test_pages.py` holds every page
of the book to every rule, and every rule to a page that breaks it.
"""

import gzip
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote, urlsplit

from browsing import ROOT, SITE, Log

AXE = ROOT / "tools" / "site" / "web" / "node_modules" / "axe-core" / "axe.min.js"
# Pictures wait until the reader comes near them; the weight counts them all.
PICTURES = """Promise.all([...document.images].map((image) => {
    image.loading = "eager"
    return image.decode().catch(() => null)
}))"""
AXE_ALL = "{resultTypes: ['violations']}"
AXE_COLOURS = "{resultTypes: ['violations'], runOnly: ['color-contrast']}"
AXE_OTHERS = "{resultTypes: ['violations'], rules: {'color-contrast': {enabled: false}}}"
FACTS = ROOT / "tests" / "browser" / "facts.js"

# name: the window, and the colours that the reader's system asks for while the page loads
VIEWS = {
    "desktop": ({"width": 1280, "height": 900}, "light"),
    "phone": ({"width": 375, "height": 800}, "dark"),
}


SHIFT = 0.1  # more "needs improvement" (web.dev/cls)
HEAVIEST = 700  # kB of a page and all that it loads, compressed


@dataclass(frozen=True)
class Look:
    """What was found in a page, in one window and in both colours."""

    log: Log
    times: dict  # ms since the start of the navigation; the layout shift
    stops: int  # presses of Tab to the first figure
    mathematics: dict
    overflow: dict
    themes: dict  # {the reader's colours: those that the page says it shows}
    violations: dict  # {the reader's colours: what axe found}


def look_at(offline_context, url, view, picture=None):
    """Load a page and look at it; `picture.format(colours)` is where the two pictures go."""
    window, first = VIEWS[view]
    second = "dark" if first == "light" else "light"
    context, log = offline_context(viewport=window, color_scheme=first)
    context.add_init_script(path=FACTS)
    page = context.new_page()
    page.goto(url)
    times, stops = page.evaluate("facts.times()"), page.evaluate("facts.stops()")
    page.evaluate("facts.unfold()")
    page.evaluate(PICTURES)
    mathematics, overflow = page.evaluate("facts.mathematics()"), page.evaluate("facts.overflow()")
    themes, violations = {}, {}
    for colours in (first, second):
        page.emulate_media(color_scheme=colours)
        themes[colours] = page.evaluate("facts.theme()")
        if picture:
            page.screenshot(path=picture.format(colours), full_page=True, type="jpeg", quality=70)
    page.evaluate("facts.flatten()")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    # Contrast is looked at in the wide window, where nothing is put away.
    runs = {second: AXE_ALL, first: AXE_COLOURS} if view == "desktop" else {second: AXE_OTHERS}
    for colours, rules in runs.items():
        page.emulate_media(color_scheme=colours)
        page.evaluate("facts.theme()")
        violations[colours] = page.evaluate(f"axe.run({rules})")["violations"]
    return Look(log, times, stops, mathematics, overflow, themes, violations)


# --- rules -------------------------------------------------------------------------------------


def problems_of_loading(look):
    """No outside request, no failed one, no error in the console."""
    return look.log.problems()


def problems_of_mathematics(look):
    """Every formula is typeset, and no TeX or MyST is left in the text."""
    return [
        f"{what}: {text}"
        for what, key in [
            ("not typeset", "untypeset"),
            ("wrongly typeset", "wrong"),
            ("raw markup", "raw"),
        ]
        for text in look.mathematics[key]
    ]


def problems_of_stability(look):
    """What is seen stays where it is while the page loads."""
    shift = look.times["shift"]
    return [f"the layout shifts by {shift:.3f} while the page loads"] if shift > SHIFT else []


def problems_of_width(look):
    """The page does not scroll sideways, nothing hangs out of its column, no text is cut off, and what
    scrolls can be reached by keyboard and shows its beginning first."""
    page, window = look.overflow["page"], look.overflow["window"]
    problems = [f"the page is {page} wide in a window of {window}"] if page > window else []
    problems += [f"too wide: {place}" for place in look.overflow["wide"]]
    problems += [f"cut off: {place}" for place in look.overflow["clipped"]]
    problems += [f"shows its end first: {place}" for place in look.overflow["backwards"]]
    return problems + [f"out of the keyboard's reach: {p}" for p in look.overflow["unreached"]]


def serious(look):
    """(colours, rule, node) of each place where axe found something serious or critical."""
    return [
        (colours, violation["id"], node)
        for colours, violations in look.violations.items()
        for violation in violations
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def problems_of_access(look):
    """The page follows the reader's colours; axe finds nothing serious, contrast included."""
    problems = [
        f"the theme is {theme!r} where the reader's colours are {colours}"
        for colours, theme in look.themes.items()
        if theme != colours
    ]
    for colours, rule, node in serious(look):
        if not excepted(rule, node):
            summary = " ".join(node["failureSummary"].split())
            problems.append(f"{colours}: axe {rule}: {node['html'][:150]} ({summary[:200]})")
    return problems


RULES = [problems_of_loading, problems_of_mathematics, problems_of_stability, problems_of_width, problems_of_access]


def problems_of(look):
    """All problems of a look."""
    return [problem for rule in RULES for problem in rule(look)]


# --- exceptions --------------------------------------------------------------------------------

# What the theme's own templates write and no style sheet can mend: {(axe's rule, a word of the
# element's HTML): why it is borne}.  `test_exceptions_are_needed` fails when one is not met any more.
EXCEPTIONS = {
    ("label-content-name-mismatch", "search-button-field"): "says Search; the rest is its key",
    ("label-content-name-mismatch", 'summary aria-label="Toggle hidden content"'): (
        "its own words follow it and differ only in Show and Hide"
    ),
}


def excepted(rule, node):
    """The exception that a node falls under, or None."""
    for exception in EXCEPTIONS:
        if exception[0] == rule and exception[1] in node["html"]:
            return exception
    return None


# --- weight ------------------------------------------------------------------------------------


@cache
def weight(path):
    """(bytes, bytes when compressed) of a file."""
    content = path.read_bytes()
    return len(content), min(len(content), len(gzip.compress(content, 6)))


def weights(log, book):
    """The sum of both over all that a page of the book has loaded."""
    names = {unquote(urlsplit(url).path) for url in log.requests}
    names = {name.removeprefix(urlsplit(book).path).lstrip("/") for name in names}
    pairs = [weight(SITE / name) for name in names if (SITE / name).is_file()]
    return tuple(map(sum, zip(*pairs)))
