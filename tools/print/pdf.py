"""Make a PDF of the whole book from the notebooks as they are committed, and check it.

    python -m tools.print.pdf

Jupyter Book writes LaTeX and latexmk runs xelatex.  LaTeX prints a page without its letters and with
references to nowhere, too, and only the log tells; here the log must be clean.  The result is
_build/pdf/book.pdf, the same bytes for the same commit.
"""

import datetime
import os
import pickle
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from tools.print import system
from tools.site.book_site import site_address

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "_build" / "pdf"
BUILD = OUT / "_build"  # Jupyter Book adds this folder to the one that it is given
# Points by which a line may be too wide, and a page too high (by a line of text).
WIDEST = {"h": 5, "v": 12}


# --- settings ----------------------------------------------------------------------------------


SETUP = """
hmargin={2.4cm,2.4cm}, vmargin={2.4cm,2.2cm}, verbatimwithframe=false,
VerbatimColor={RGB}{245,245,245}, pre_border-radius=0pt, div.note_border-radius=0pt,
div.note_border-width=0pt, div.note_border-left-width=2pt, div.note_padding=3pt,
div.note_padding-left=8pt, div.note_padding-right=0pt,
div.note_border-TeXcolor={RGB}{120,120,120}, div.note_background-TeXcolor={RGB}{255,255,255}
"""


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def date_of_version():
    """Seconds of SOURCE_DATE_EPOCH or else of the last commit; None where there is neither."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "log", "-1", "--format=%ct"]
        return int(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return None


def settings(epoch):
    """The book's settings, as in _config.yml, changed for print; `epoch` dates the title page."""
    config = yaml.safe_load(read("_config.yml"))
    subtitle = yaml.safe_load(read("CITATION.cff"))["title"].removeprefix(config["title"] + ": ")
    day = datetime.datetime.fromtimestamp(epoch, datetime.UTC) if epoch is not None else None
    repository = config["repository"]["url"]
    preamble = [
        rf"\newcommand{{\booksubtitle}}{{{subtitle[0].upper() + subtitle[1:]}}}",
        rf"\newcommand{{\bookdate}}{{{f', {day.day} {day:%B %Y}' if day else ''}}}",
        rf"\newcommand{{\booksources}}{{{repository}}}",
        rf"\newcommand{{\bookaddress}}{{{site_address(repository)}}}",
        r"\usepackage{pdf}",
    ]
    # The committed outputs are printed; `make test` compares them with a run.
    config["execute"]["execute_notebooks"] = "off"
    # sphinx-jupyterbook-latex would make lines of the preface's headings; pdf_layout keeps them.
    config["latex"] = {
        "latex_engine": "xelatex",
        "use_jupyterbook_latex": False,
        "latex_documents": {"targetname": "book.tex", "author": config["author"]},
    }
    # The changed settings are in another folder, so the paths in them must be whole.
    extensions = config["sphinx"].get("local_extensions", {}) | {"tools.print.pdf_layout": "."}
    config["sphinx"]["local_extensions"] = {k: str(ROOT / path) for k, path in extensions.items()}
    config["sphinx"]["config"] |= {
        "release": tomllib.loads(read("pyproject.toml"))["project"]["version"],
        "numfig_secnum_depth": 0,  # tools/site/numbers.py numbers them by chapter
        "latex_additional_files": ["tools/print/pdf.sty"],
        "latex_domain_indices": False,
        # The library reference makes entries for an index, which is not printed; xindy would be one
        # more program to install for it.
        "latex_use_xindy": False,
        "latex_elements": {
            "releasename": "Version",
            "papersize": "a4paper",
            "pointsize": "11pt",
            "extraclassoptions": "oneside,openany",
            "fontpkg": "",
            "fncychap": "",
            "printindex": "",  # it would list the labels of theorems
            "sphinxsetup": " ".join(SETUP.split()),
            "preamble": "\n".join(preamble),
        },
    }
    return config


# --- checks ------------------------------------------------------------------------------------


def problems_of_log(log):
    """What xelatex and xdvipdfmx complained of, where a reader would see it."""
    patterns = (
        r"^Missing character: .*",
        r"^.*Warning: (?:Hyper reference|Reference|Citation) .* undefined.*",
        r"^.*Warning: Label .* multiply defined.*",
        r"^.*Warning: Float too large .*",
        r"^xdvipdfmx:warning: .*",
    )
    problems = [line.strip() for pattern in patterns for line in re.findall(pattern, log, re.M)]
    for line, kind, size in re.findall(r"^(Overfull \\([hv])box \(([\d.]+)pt too .*)", log, re.M):
        if float(size) > WIDEST[kind]:
            problems.append(line)
    return list(dict.fromkeys(problems))


def numbers_on_pages(fignumbers):
    """{label as in LaTeX: number} from Sphinx's {page: {kind: {id: number}}}."""
    numbers = {}
    for page, kinds in fignumbers.items():
        for name, number in kinds.get("figure", {}).items():
            numbers[f"{page}:{name}"] = ".".join(map(str, number))
        for name, number in kinds.get("displaymath", {}).items():
            label = name.removeprefix("equation-")
            numbers[f"equation:{page}:{label}"] = ".".join(map(str, number))
    return numbers


def problems_of_numbers(pages, aux):
    """Equations and figures that have another number on paper than on the web page."""
    paper = dict(re.findall(r"\\newlabel\{([^}]*)\}\{\{([^}]*)\}", aux))
    if not pages:
        return ["no numbered equation or figure was found: the check has lost its object"]
    return [
        f"{label} has the number {number} on the page and {paper.get(label)} in print"
        for label, number in pages.items()
        if paper.get(label) != number
    ]


# --- making it ---------------------------------------------------------------------------------


def write_latex(epoch):
    OUT.mkdir(parents=True, exist_ok=True)
    config = OUT / "config.yml"
    config.write_text(yaml.safe_dump(settings(epoch)), encoding="utf-8")
    # What LaTeX wrote before must not be read again: a label or a figure may be gone.
    shutil.rmtree(BUILD / "latex", ignore_errors=True)
    program = Path(sys.executable).with_name("jupyter-book")
    command = [
        program,
        "build",
        ROOT,
        "--path-output",
        OUT,
        "--config",
        config,
        "--builder",
        "latex",
    ]
    if subprocess.run([*command, "--all", "-W", "-n", "--keep-going", "-q"]).returncode:
        raise SystemExit("Jupyter Book could not write the LaTeX; the warnings above say why.")


def run_latex(epoch):
    """Run xelatex and xdvipdfmx as often as needed; return what they said last."""
    environment = os.environ | {"max_print_line": "1000"}  # else TeX breaks the lines of its log
    if epoch is not None:
        environment |= {"SOURCE_DATE_EPOCH": str(epoch), "FORCE_SOURCE_DATE": "1"}
    command = ["latexmk", "-xelatex", "-interaction=nonstopmode", "-halt-on-error", "book.tex"]
    how = {"cwd": BUILD / "latex", "env": environment, "capture_output": True, "errors": "replace"}
    run = subprocess.run(command, **how)
    if run.returncode:
        log = BUILD / "latex" / "book.log"
        raise SystemExit(f"{run.stdout[-3000:]}\nxelatex failed; its whole log is {log}")
    return (BUILD / "latex" / "book.log").read_text(encoding="utf-8", errors="replace") + run.stderr


def main():
    if packages := system.missing():
        raise SystemExit(system.advice(packages))
    epoch = date_of_version()
    write_latex(epoch)
    log = run_latex(epoch)
    with open(BUILD / ".doctrees" / "environment.pickle", "rb") as file:
        numbers = numbers_on_pages(pickle.load(file).toc_fignumbers)
    aux = (BUILD / "latex" / "book.aux").read_text(encoding="utf-8")
    if problems := problems_of_log(log) + problems_of_numbers(numbers, aux):
        print("\n".join(problems), file=sys.stderr)
        source = BUILD / "latex" / "book.tex"
        raise SystemExit(f"{len(problems)} problems in print; line numbers are those of {source}")
    shutil.copyfile(BUILD / "latex" / "book.pdf", OUT / "book.pdf")


if __name__ == "__main__":
    main()
