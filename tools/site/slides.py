"""Make the slides of a chapter from its built page.

    python -m tools.site.slides 06

`make slides CHAPTER=06` runs this.  A deck has the chapter's title and question, its labelled theorems and
definitions, its labelled equations with the sentences that lead to them, its figures with their captions - explorers
and live figures still move - and the questions of its quiz, in the chapter's order and with its numbers.  The page is taken instead of the
notebook, because there the references are resolved and the formulas set.  reveal.js shows the deck,
_build/html/slides/NAME.html, and asks no other server for anything.
"""

import re
import shutil
import sys
from pathlib import Path

from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
REVEAL = Path(__file__).parent / "web" / "node_modules" / "reveal.js" / "dist"
FILES = ("reset.css", "reveal.css", "reveal.js", "theme/white.css")
# What has slides of its own; proofs, exercises and solutions have none.
STATEMENTS = "theorem definition proposition lemma corollary".split()
TOGETHER = 3  # equations on one slide

DECK = """\
<!doctype html>
<html lang="en" data-theme="light">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="Slides of the chapter: {title}.">
<title>{title}: slides</title>
<link rel="icon" href="../_static/logo.svg">
<link rel="stylesheet" href="../_static/styles/theme.css">
<link rel="stylesheet" href="../_static/styles/pydata-sphinx-theme.css">
<link rel="stylesheet" href="../_static/katex/katex.css">
<link rel="stylesheet" href="../_static/reveal/reveal.css">
<link rel="stylesheet" href="../_static/reveal/theme/white.css">
<link rel="stylesheet" href="../_static/book.css">
<style>
  .reveal .slides {{ text-align: left; font-size: 26px; }}
  .reveal :is(h1, h2) {{ text-transform: none; letter-spacing: 0; color: #222; }}
  .reveal h1 {{ font-size: 1.9em; }}
  .reveal h2 {{ font-size: 1.1em; color: #555; margin: 0 0 0.6em; }}
  .reveal .slides > section {{ box-sizing: border-box; max-height: 780px; overflow-y: auto; padding: 10px; }}
  .reveal .katex-display {{ margin: 0.8em 0; }}
  .reveal :is(.proof, .admonition) {{ font-size: 0.85em; max-width: 100%; }}
  .reveal figure {{ margin: 0; font-size: 0.75em; }}
  .reveal figcaption, .reveal figcaption :is(p, .caption-text, .caption-number) {{ font-family: inherit; font-size: 18px; }}
  .reveal figure img {{ max-height: 500px; width: 100%; height: auto; object-fit: contain; margin: 0; display: block; }}
  .reveal :is(.bea-explorer, .bea-live) {{ font-size: 20px; }}
  .reveal .bea-live :is(th, td) {{ border: 0; padding: 0.1rem 0.8rem 0.1rem 0; font-weight: normal; }}
  .reveal .bea-live td:last-child {{ font-weight: bold; }}
  .reveal .bea-figure > svg {{ max-width: 640px !important; margin: 0 auto; }}
  .reveal .bea-figure > .bea-still {{ right: 0; }}
  .reveal :is(p, ol, ul, li) {{ line-height: 1.4; }}
  .reveal details {{ margin: 0.4em 0; }}
</style>
</head>
<body>
<div class="reveal"><div class="slides bd-content">
{slides}
</div></div>
<script src="../_static/reveal/reveal.js"></script>
<script>
Reveal.initialize({{ width: 1280, height: 800, center: false, hash: true, slideNumber: true, transition: "none" }});
// What is higher than its slide is made smaller.
function fit() {{
  const slide = Reveal.getCurrentSlide();
  if (!slide) return;
  slide.style.zoom = slide.style.maxHeight = "";
  for (let zoom = 0.95; zoom > 0.6 && slide.scrollHeight > slide.clientHeight + 1; zoom -= 0.05) {{
    slide.style.zoom = zoom;
    slide.style.maxHeight = `${{780 / zoom}}px`;
  }}
}}
for (const event of ["ready", "slidechanged"]) Reveal.on(event, fit);
addEventListener("load", fit, true); // of the images, too
document.fonts.addEventListener("loadingdone", fit); // of those that a slide is the first to need
</script>
</body>
</html>
"""


def clean(part):
    """The part without links to itself, buttons of the page and code."""
    for extra in part.select(".headerlink, .cell_input, .toggle-button"):
        extra.decompose()
    for inner in part.select("section"):
        inner.name = "div"  # or reveal.js would take it for a slide
    for link in part.select("a[href]"):
        if not re.match(r"[a-z]+:|\.\./", link["href"]):
            link["href"] = "../chapters/" + link["href"]
    return str(part)


def text(heading):
    for link in heading.select(".headerlink"):
        link.decompose()
    return heading.decode_contents().strip()


def opening(section):
    """The first two paragraphs of a section, with the formulas that belong to them."""
    found, paragraphs = [], 0
    for child in section.find_all(recursive=False)[1:]:
        paragraphs += child.name == "p"
        if paragraphs > 2 or child.name != "p" and "math" not in child.get("class", []):
            break
        found.append(child)
    return found


def lead(formula):
    """The sentence before a formula, if it has one; each sentence is a line of its own."""
    before = formula.find_previous_sibling()
    if before is None or before.name != "p":
        return ""
    sentence = []
    for node in reversed(before.contents):
        _, end, words = node.rpartition("\n") if isinstance(node, str) else ("", "", str(node))
        sentence.insert(0, words)
        if end:
            break
    return clean(BeautifulSoup(f"<p>{''.join(sentence)}</p>", "html.parser"))


def picked(section):
    """The elements of a section that get slides, in order, none within another."""
    kinds = ", ".join(f".proof.{kind}" for kind in STATEMENTS)
    wanted = section.select(f"{kinds}, div.math[id], figure, .bea-explorer, .bea-live")
    chosen = set(map(id, wanted))
    boxes = section.select(".exercise, .solution, .proof.proof, details, .dropdown")
    inside = {id(e) for box in [*wanted, *boxes] for e in box.find_all(True)}
    return [e for e in wanted if id(e) in chosen - inside]


def questions(section):
    """[[question, answers]] of a quiz; each answer unfolds."""
    found = []
    for child in section.find_all(recursive=False):
        if child.name == "p" and child.find("strong") and re.match(r"\d+\.", child.get_text().strip()):
            found.append([])
        if not found:
            continue
        if child.name == "div" and "admonition" in child.get("class", []):
            title = child.select_one(".admonition-title")
            name = title.decode_contents()
            title.decompose()
            found[-1].append(f"<details><summary>{name}</summary>{clean(child)}</details>")
        else:
            found[-1].append(clean(child))
    return found


def slides_of(page):
    """(title, [HTML of a slide]) of a chapter's page, given as HTML."""
    article = BeautifulSoup(page, "html.parser").select_one("article.bd-article")
    title = text(article.h1)
    slides, equations = [[f"<h1>{title}</h1>"]], None
    for section in article.section.find_all("section", recursive=False):
        heading = f"<h2>{text(section.h2)}</h2>" if section.h2 else ""
        equations = None
        if section.get("id") == "the-question":
            slides[0] += [clean(part.extract()) for part in opening(section)]
        if section.get("id") == "quiz":
            slides += [[heading, *question] for question in questions(section)]
            continue
        for part in picked(section):
            if part.name == "div" and "math" in part.get("class", []):
                if equations is None or len(equations) > TOGETHER:
                    equations = [heading]
                    slides.append(equations)
                equations.append(lead(part) + clean(part))
            else:
                equations = None
                slides.append([heading, clean(part)])
    return title, ["\n".join(slide) for slide in slides]


def page_of(chapter, site=SITE):
    """The built page of a chapter, named by its number or by its file."""
    number = chapter.zfill(2) if chapter.isdigit() else chapter
    found = sorted(
        p for p in (site / "chapters").glob("*.html") if p.stem in (number,) or p.stem.startswith(f"{number}_")
    )
    if len(found) != 1:
        raise SystemExit(f"There is no one page of chapter {chapter!r} in {site}; run `make book`, and name one, as 06")
    return found[0]


def make(chapter, site=SITE):
    """Write the deck of a chapter; returns its path."""
    page = page_of(chapter, site)
    title, slides = slides_of(page.read_text(encoding="utf-8"))
    plain = BeautifulSoup(title, "html.parser").get_text()
    deck = site / "slides" / page.name
    deck.parent.mkdir(exist_ok=True)
    body = "\n".join(f"<section>\n{slide}\n</section>" for slide in slides)
    deck.write_text(DECK.format(title=plain, slides=body), encoding="utf-8")
    for name in FILES:
        target = site / "_static" / "reveal" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REVEAL / name, target)
    return deck


def main(chapters):
    for chapter in chapters:
        print(f"The slides are ready: {make(chapter)}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(sys.argv[1:])
