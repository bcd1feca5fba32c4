"""Say which Debian packages the PDF and the browser test need and this machine lacks; with --install,
install them.

It needs no environment, and root only for --install.
"""

import os
import shutil
import subprocess
import sys

# Each package, and what shows that it is there: a program, or a file that TeX finds.
PACKAGES = {
    "latexmk": "latexmk",
    "texlive-xetex": "xelatex",
    "texlive-latex-recommended": "unicode-math.sty",
    "texlive-latex-extra": "titlesec.sty",
    "texlive-fonts-recommended": "pzdr.tfm",  # hyperref wants it under XeTeX
    "fonts-freefont-otf": "FreeSerif.otf",
    "fonts-dejavu-core": "DejaVuSansMono.ttf",
    "fonts-texgyre-math": "texgyretermes-math.otf",
    "librsvg2-bin": "rsvg-convert",  # makes PDF of the figures, which are SVG
    "poppler-utils": "pdftotext",  # reads the PDF for the check that no solution leaks
}
# the browser test takes the browser that CHROMIUM names, if there is one
BROWSER = {} if os.environ.get("CHROMIUM") else {"chromium": "chromium"}


def is_there(thing):
    if "." not in thing:
        return shutil.which(thing) is not None
    if shutil.which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", thing], capture_output=True).returncode == 0


def missing(packages=PACKAGES):
    return [package for package, thing in packages.items() if not is_there(thing)]


def advice(packages, what="The PDF needs"):
    return (
        f"{what} these Debian packages, which are missing here: {', '.join(packages)}.\n"
        f"Install them with:  apt-get install --no-install-recommends {' '.join(packages)}\n"
        "or, as root, with:  make system"
    )


def main():
    everything, what = PACKAGES | BROWSER, "The PDF and the browser test need"
    packages = missing(everything)
    if packages and sys.argv[1:] == ["--install"]:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise SystemExit(f"{advice(packages, what)}\nOnly root on Debian or Ubuntu can do that.")
        install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
        subprocess.run(["apt-get", "update"], check=True)
        subprocess.run(install, check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        packages = missing(everything)
    if packages:
        raise SystemExit(advice(packages, what))
    print("All system packages for the PDF and the browser test are there.")


if __name__ == "__main__":
    main()
