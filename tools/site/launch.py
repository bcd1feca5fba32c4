"""A Sphinx extension: what a reader who launches a chapter needs, and _config.yml cannot know.

- The button for JupyterLite, if `make lite` has put that site beside the pages; without it there is
  no button, and so no broken one.
- The line that installs the library from the repository, which a chapter in Colab needs first: in
  the tooltip of Colab's button, and as the substitution `install_line`.
"""

from pathlib import Path

LITE = "lite/lab/index.html"


def add_settings(app, config):
    line = f'%pip install "bea-book[book] @ git+{config.html_theme_options["repository_url"]}"'
    config.myst_substitutions["install_line"] = f"`{line}`"
    if (Path(app.outdir) / LITE).is_file():
        # Every notebook of the book is one folder below the top.
        config.html_theme_options["launch_buttons"]["jupyterlite_url"] = f"../{LITE}"


def explain_colab(app, pagename, templatename, context, doctree):
    line = app.config.myst_substitutions["install_line"].strip("`")
    for menu in context.get("header_buttons", []):
        for button in menu.get("buttons", []):
            if button["text"] == "Colab":
                button["tooltip"] = f"Launch on Colab; there, run this first: {line}"


def setup(app):
    app.connect("config-inited", add_settings, priority=400)  # before MyST reads its settings
    app.connect("html-page-context", explain_colab, priority=502)  # after the theme's own buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
