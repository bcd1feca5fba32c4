"""Check the built site: it asks no other server for anything, and every page can be found,
and no solution of an assignment stands anywhere.

    python -m tools.site.check_site _build/html
    python -m tools.site.check_site _build/html --publish

With --publish it also refuses the placeholders of the public address, which everyone may build with but nobody
may publish.

`make book` runs this after every build and fails if it finds a problem.  What it cannot see is what
scripts do when they run; the browser test looks at that, with the network cut off.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import yaml

from tools.site.book_site import site_address
from tools.site.leaks import leaks_in_site

CONFIG = Path(__file__).resolve().parents[2] / "_config.yml"

# Pages that search engines need not list: the redirect at the root and two without a text.
UNLISTED = {"index.html", "search.html", "404.html"}
# What follows a link only when the reader does; every other <link> is loaded or prepared for.
PASSIVE = {"alternate", "author", "canonical", "help", "index", "license", "next", "prev", "search"}
# Folders whose files are no pages of the book.
OTHERS = {"_static", "lite", "slides"}
# What stands for the repository's owner and name until `repository.url` in _config.yml is filled in: the address
# of every page and card, of the buttons and of the sitemap follows from that one line.
PLACEHOLDERS = re.compile(r"\b(?:OWNER/|owner\.github\.io|/REPOSITORY\b)")
LONGEST = 200  # characters of a description; search engines show fewer

IN_CSS = re.compile(r"""@import\s+["']([^"']+)|url\(\s*["']?([^"')]+)""")
# Names of XML dialects look like addresses, but nothing is fetched from there.
IN_SCRIPT = re.compile(r"""(?:https?:)?//(?!www\.w3\.org/)[\w-]+(?:\.[\w-]+)+[^\s"'`]*""")


class Page(HTMLParser):
    """What one page loads and links to, and what its head says.

    `loaded` and `linked` list addresses, `title`, `description` and `canonical` are lists too, so
    that a second one shows.
    """

    def __init__(self, text):
        super().__init__()
        self.loaded, self.linked = [], []
        self.title, self.description, self.canonical, self.icon = [], [], [], []
        self._inside = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        at = {name: value or "" for name, value in attributes}
        rel = at.get("rel", "").split()
        if tag in ("title", "script", "style"):
            self._inside = tag if at.get("type", "").lower() in ("", "text/javascript", "module") else None
        if tag == "meta" and at.get("name") == "description":
            self.description.append(at.get("content", "").strip())
        if tag == "link" and "canonical" in rel:
            self.canonical.append(at.get("href", ""))
        if tag == "link" and "icon" in rel:
            self.icon.append(at.get("href", ""))
        if tag in ("a", "area", "form") or (tag == "link" and PASSIVE & set(rel)):
            self.linked += [at[name] for name in ("href", "action") if name in at]
        else:
            names = ("src", "href", "data", "poster", "xlink:href", "background")
            self.loaded += [at[name] for name in names if at.get(name)]
            self.loaded += [part.split()[0] for part in at.get("srcset", "").split(",") if part.strip()]
        self.loaded += addresses_in_css(at.get("style", ""))

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "title":
            self.title.append(data.strip())
        if self._inside == "style":
            self.loaded += addresses_in_css(data)
        if self._inside == "script":
            self.loaded += IN_SCRIPT.findall(data)


def addresses_in_css(text):
    return [first or second for first, second in IN_CSS.findall(text)]


def is_outside(address):
    """Whether a browser would ask another server for this address."""
    return urlsplit(address).scheme not in ("", "data", "blob", "about") or address.startswith("//")


def missing(address, page, site, root):
    """Whether a local address on the page names a file that is not there."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or not parts.path:
        return False
    name = unquote(parts.path)
    prefix = urlsplit(site).path
    if name.startswith("/"):
        if not name.startswith(prefix):
            return True
        target = root / name.removeprefix(prefix)
    else:
        target = page.parent / name
    return not (target / "index.html" if target.is_dir() else target).is_file()


def problems_of_page(path, site, root):
    """What is wrong with one page, as sentences."""
    name = path.relative_to(root).as_posix()
    page = Page(path.read_text(encoding="utf-8"))
    problems = [f"loads {a}, which is on another server" for a in page.loaded if is_outside(a)]
    local = dict.fromkeys(page.loaded + page.linked)
    problems += [f"names {a}, which is not there" for a in local if missing(a, path, site, root)]
    if len(page.title) != 1 or not page.title[0]:
        problems.append(f"needs one title; it has {page.title}")
    if len(page.description) != 1 or not 0 < len(page.description[0]) <= LONGEST:
        problems.append(f"needs one description of at most {LONGEST} characters; it has {page.description}")
    target = "chapters/index.html" if name == "index.html" else name
    if page.canonical != [site + target]:
        problems.append(f"needs the canonical address {site + target}; it has {page.canonical}")
    if not page.icon and name != "index.html":
        problems.append("has no icon")
    if name == "404.html":
        # A server shows this page at every address, so that relative ones lead nowhere.
        local = [a for a in page.loaded + page.linked if not urlsplit(a).scheme and a[:1] not in ("/", "#", "")]
        problems += [f"names {a}, which is no address from the server's root" for a in local]
    return [f"{name} {problem}" for problem in problems]


def problems_of_site(root, site):
    """What is wrong with the site in the folder `root` whose public address is `site`."""
    pages = [path for path in sorted(root.rglob("*.html")) if path.relative_to(root).parts[0] not in OTHERS]
    names = {path.relative_to(root).as_posix() for path in pages}
    problems = [f"{name} is missing" for name in sorted(UNLISTED - names)]
    problems += [problem for path in pages for problem in problems_of_page(path, site, root)]
    for path in sorted(root.rglob("*.css")):
        outside = filter(is_outside, addresses_in_css(path.read_text(encoding="utf-8")))
        problems += [f"{path.relative_to(root)} loads {address}" for address in outside]

    if not (root / "sitemap.xml").is_file():
        return [*problems, "sitemap.xml is missing"]
    listed = [e.text for e in ElementTree.parse(root / "sitemap.xml").iter() if e.tag.endswith("}loc")]
    wanted = sorted(site + name for name in names - UNLISTED)
    if sorted(listed) != wanted:
        difference = sorted(set(listed) ^ set(wanted))
        problems.append(f"sitemap.xml does not list every page once; it differs in {difference or listed}")
    robots = root / "robots.txt"
    if not robots.is_file() or f"Sitemap: {site}sitemap.xml" not in robots.read_text(encoding="utf-8"):
        problems.append("robots.txt does not name the sitemap")
    return problems


def placeholders_of_site(root, repository):
    """Where a placeholder would be published: in the address, which the social cards show, or in a file."""
    files = [p for p in sorted(root.rglob("*")) if p.suffix in {".html", ".xml", ".txt", ".json", ".js", ".svg"}]
    files = [p for p in files if PLACEHOLDERS.search(p.read_text(encoding="utf-8", errors="replace"))]
    found = [str(p.relative_to(root)) for p in files]
    if PLACEHOLDERS.search(repository) or not urlsplit(repository).path.strip("/"):
        found.insert(0, "the address on every social card")
    return [
        f"{name} holds a placeholder; fill in `repository.url` in _config.yml, its only place, and build again"
        for name in found
    ]


def main(folder, publish=False):
    root = Path(folder)
    if not (root / "index.html").is_file():
        raise SystemExit(f"{folder} holds no site: run `make book` first")
    repository = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["repository"]["url"]
    site = site_address(repository)
    problems = placeholders_of_site(root, repository) if publish else []
    problems += problems_of_site(root, site) + leaks_in_site(root)
    if problems:
        raise SystemExit("The site has problems:\n  " + "\n  ".join(problems))
    print(
        f"Checked: no page in {folder} needs another server, each can be found, and no solution of an assignment is there."
    )


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--publish"]):
        raise SystemExit(__doc__)
    main(sys.argv[1], publish="--publish" in sys.argv)
