"""Build the book's pages with Jupyter Book, and execute notebooks two at a time.

    python -m tools.site.build [--all]

This does what `jupyter-book build . -W -n --keep-going` does, which knows no way to use two processors.
Without --all only what has changed since the last build is read again.
"""

import argparse
from pathlib import Path

from jupyter_book.sphinx import build_sphinx

ROOT = Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="read every page again")
    given = parser.parse_args()
    settings = {
        "external_toc_path": str(ROOT / "_toc.yml"),
        "latex_individualpages": False,
        "nitpicky": True,
    }
    failure = build_sphinx(
        ROOT,
        ROOT / "_build" / "html",
        noconfig=True,
        path_config=ROOT / "_config.yml",
        confoverrides=settings,
        freshenv=given.all,
        warningiserror=True,
        keep_going=True,
        jobs=2,
    )
    if failure:
        raise SystemExit("The book was not built; the messages above say why.")


if __name__ == "__main__":
    main()
