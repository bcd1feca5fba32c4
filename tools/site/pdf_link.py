"""Sphinx extension of `make book`: offers the book's PDF for download, where there is one.

`make pdf` makes it.  Without it the pages have no link, and so no broken one.
"""

from pathlib import Path

PDF = Path("_build") / "pdf" / "book.pdf"


def add_button(app, pagename, templatename, context, doctree):
    """Add the whole book to the theme's download menu, which has the page alone."""
    for button in context.get("header_buttons", []):
        if button.get("label") == "download-buttons":
            button["buttons"].append(
                {
                    "type": "link",
                    "url": context["pathto"](PDF.name, 1),
                    "text": "whole book, .pdf",
                    "tooltip": "Download a PDF of the whole book",
                    "icon": "fas fa-book",
                    "label": "download-book-button",
                }
            )


def setup(app):
    path = Path(app.srcdir) / PDF
    if path.is_file():
        app.config.html_extra_path.append(str(path))  # copied beside the pages
        app.connect("html-page-context", add_button, priority=502)  # after the theme's own buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
