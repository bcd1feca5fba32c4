# The book's commands.  `make` alone lists them.
#   VENV     where the environment is made        PYTHON   the Python that makes it (3.11 or newer)
#   CHAPTERS the notebooks that `execute` runs    PORT     where `serve` listens
#   CLAIMS   the tests that `claims` runs
#   SECTIONS what `bench` measures: fields runs networks flows if none is named; book takes longer
#   EXECUTE  no: the book's pages show the notebooks' outputs as they are committed
#   LIMIT    seconds that a notebook may run, stretched on a slow machine
VENV     ?= .venv
PYTHON   ?= python3
PORT     ?= 8000
CHAPTERS ?= $(wildcard chapters/*.ipynb)
LIMIT    ?= 60
CLAIMS   ?= $(wildcard tests/test_*_claims.py)
SECTIONS ?=

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# A recipe that fails leaves no half-made stamp behind.
.DELETE_ON_ERROR:

# One thread for linear algebra: two of them on a busy machine make run times jump tenfold.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
# The kernel `python3` must be this environment's, whatever else the user has installed.
export JUPYTER_PREFER_ENV_PATH := 1
# Nor may a reader's own IPython settings and start-up files reach the kernels.
export IPYTHONDIR := $(abspath $(VENV))/ipython
# Hashes of strings seed the order of sets, and with it what SymPy prints on rare occasions.
export PYTHONHASHSEED := 0

BIN       := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS     := $(VENV)/.peers
SCALE     := $(VENV)/.scale
BROWSER   := $(VENV)/.browser
JUPYTER   := $(VENV)/.jupyter
COURSE    := $(VENV)/.course
WEB       := tools/web/node_modules/.installed
PYBS      := _build/bench/pybs
# Pages from committed outputs have a stamp of their own, so that `make book` executes all the same.
BUILT     := _build/.built$(if $(filter no,$(EXECUTE)),-committed)
SITE      := _build/html/index.html
PDF       := _build/pdf/book.pdf
LITE      := _build/html/lite/.built
# On a terminal pip shows its own progress; in a log one line a step is enough.
PIP       := $(BIN)/python -m pip --disable-pip-version-check install $(if $(CI),--quiet --progress-bar off)
# chapters/ itself is listed so that a removed file counts as a change.
SOURCES   := chapters $(shell find chapters lib -type f -not -path '*/.*' -not -path '*/__pycache__/*' \
               -not -path '*.egg-info/*' 2>/dev/null) _config.yml _toc.yml assignments/report.md

.PHONY: help book test browser-test lite-test pdf lite site system serve peers scale execute claims run-times \
	bench measure assignments course-bench lint constraints clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

book: $(BUILT)  ## make the environment, execute every notebook, build the site
	@echo "The book is up to date: $(CURDIR)/$(SITE)"
	@echo "Open that file, or run 'make serve' and go to http://localhost:$(PORT)/"

# The notebooks one at a time, because each is timed.
test: $(INSTALLED)  ## make the environment, run all tests, doctests and notebooks
	$(BIN)/python -m pytest tests lib --doctest-modules -n 2 --dist loadfile --durations=10 -rs
	PYTHONPATH=tests:tools $(BIN)/python -m pytest chapters -p notebook_clock --nbval \
	  --nbval-cell-timeout=$$($(BIN)/python tools/pace.py $(LIMIT)) --notebook-limit=$(LIMIT) --durations=10

# In turn, because the pages offer the PDF and JupyterLite only if they are there when they are built.
browser-test: $(BROWSER) $(WEB)  ## test the built book in Chromium, with the network cut off
	$(MAKE) lite
	$(MAKE) book
	$(BIN)/python -m pytest tests/browser -n 2 --durations=5 -rs

lite-test: $(BROWSER) $(WEB)  ## run every chapter in JupyterLite, in Chromium (most of an hour)
	$(MAKE) lite
	$(MAKE) book
	LITE_CHAPTERS=all $(BIN)/python -m pytest tests/browser/test_lite.py -n 2 -rs

pdf: $(PDF)  ## make a PDF of the whole book, from the outputs as they are committed
	@echo "The PDF is up to date: $(CURDIR)/$(PDF)"

lite: $(LITE)  ## make the JupyterLite site: the chapters with a Python that runs in the browser
	@echo "JupyterLite is up to date: $(CURDIR)/_build/html/lite"

site:  ## make all that is published: the book, its PDF to download, JupyterLite
	$(MAKE) pdf
	$(MAKE) lite
	$(MAKE) book

system:  ## install the Debian packages that the PDF and the browser test need (as root)
	$(PYTHON) tools/system.py --install

serve: book  ## build the book and serve it on this machine only
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

peers: $(PEERS)  ## install the independent implementations that the tests compare with
	@echo "The peers are installed; 'make test' uses them."

scale: $(SCALE)  ## install what sweeps on more than one machine need (xarray, Dask)
	@echo "What bea.sweep needs is installed; 'make test' uses it."

execute: $(INSTALLED)  ## run the notebooks and write their outputs in place (CHAPTERS=... for some)
	$(BIN)/python tools/execute.py --limit $$($(BIN)/python tools/pace.py $(LIMIT)) $(CHAPTERS)

claims: $(PEERS)  ## run the claim tests and write chapters/claims.json (CLAIMS=... for some files)
	$(BIN)/python -m pytest $(CLAIMS) --write-claims -n 2 --dist loadfile -q

run-times: $(INSTALLED)  ## measure every notebook and write chapters/run_times.md
	$(BIN)/python tools/run_times.py --limit $(LIMIT) $(CHAPTERS)

bench:  ## measure the library beside other implementations, write chapters/benchmarks.md
	@test -d $(PYBS) || GIT_TERMINAL_PROMPT=0 timeout 60 git clone --quiet --depth 1 https://github.com/henriksu/pybs $(PYBS) \
	  || echo "pybs cannot be fetched: it is left out."
	$(MAKE) VENV=_build/bench/venv measure

# In the environment of VENV, whatever that is.
measure: $(PEERS)
	PYTHONPATH=tests:benchmarks:$(PYBS) $(BIN)/python benchmarks/run.py $(SECTIONS)

assignments: $(COURSE)  ## make the student copies, the autograders and the solution sheets
	$(BIN)/python tools/course.py
	@echo "Student copies: assignments/student; autograders and solution sheets: _build/assignments"

course-bench: $(INSTALLED)  ## mark every wrong answer and a class of 200, write assignments/report.md (ten minutes)
	PYTHONPATH=tools $(BIN)/python tools/course_report.py

lint: $(INSTALLED)  ## check the Python sources' style
	$(BIN)/ruff check lib tests tools benchmarks assignments

# soupsieve 3 needs Python 3.11.5, and Debian 12 has 3.11.2.
constraints:  ## pin again what the requirements bring in (fresh environment; a few minutes)
	rm -rf _build/pins
	$(PYTHON) -m venv _build/pins
	_build/pins/bin/python -m pip install $$(grep -h == requirements.txt requirements-peers.txt requirements-scale.txt requirements-browser.txt requirements-lite.txt requirements-course.txt) wheel 'soupsieve<3'
	_build/pins/bin/python -m pip check
	{ grep '^#' constraints.txt; \
	  _build/pins/bin/python -m pip freeze --all --exclude pip | sed 's/+cpu$$//' | sort -f; } > _build/constraints.txt
	mv _build/constraints.txt constraints.txt
	rm -rf _build/pins

clean:  ## remove what was built and the environment
	rm -rf _build .pytest_cache .hypothesis .ruff_cache tools/web/node_modules "$(VENV)"

$(INSTALLED): requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11 ..." >&2; exit 1; }
	@echo "Making the environment in $(VENV) (about a minute, 600 MB) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements.txt
	@$(BIN)/python -m pip check
	@# ipykernel warns at every start that it talks over loopback; errors are still shown.
	@mkdir -p $(IPYTHONDIR)/profile_default
	@echo 'c.IPKernelApp.log_level = "ERROR"' > $(IPYTHONDIR)/profile_default/ipython_kernel_config.py
	@touch $@

$(PEERS): $(INSTALLED) requirements-peers.txt
	@echo "Installing the peers (torch, jax, optax, BSeries, kauri, autograd) ..."
	@$(PIP) -r requirements-peers.txt
	@$(BIN)/python -m pip check
	@touch $@

$(SCALE): $(INSTALLED) requirements-scale.txt
	@echo "Installing what sweeps need (xarray, netCDF4, zarr, distributed) ..."
	@$(PIP) -r requirements-scale.txt
	@$(BIN)/python -m pip check
	@touch $@

$(BROWSER): $(INSTALLED) requirements-browser.txt
	@echo "Installing what drives the browser (playwright) ..."
	@$(PIP) -r requirements-browser.txt
	@$(BIN)/python -m pip check
	@touch $@

$(JUPYTER): $(INSTALLED) requirements-lite.txt
	@echo "Installing what makes the JupyterLite site ..."
	@$(PIP) -r requirements-lite.txt
	@$(BIN)/python -m pip check
	@touch $@

$(COURSE): $(INSTALLED) requirements-course.txt
	@echo "Installing what makes the assignments (otter-grader) ..."
	@$(PIP) -r requirements-course.txt
	@$(BIN)/python -m pip check
	@touch $@

$(WEB): tools/web/package.json tools/web/package-lock.json
	@command -v npm > /dev/null || { echo "npm is needed: MathJax, which shows the formulas, comes from it." \
	  "It is part of Node.js 18 or newer (on Debian: apt-get install npm)." >&2; exit 1; }
	@echo "Installing what the pages take from npm ..."
	@cd tools/web && npm ci --loglevel=error
	@touch $@

$(PDF): $(INSTALLED) $(SOURCES) CITATION.cff $(wildcard tools/pdf*) tools/book_site.py tools/system.py
	@echo "Building the PDF ..."
	$(BIN)/python tools/pdf.py

$(LITE): $(JUPYTER) $(SOURCES) $(wildcard assignments/student/*.ipynb) pyproject.toml tools/lite.py
	@echo "Building the JupyterLite site ..."
	$(BIN)/python tools/lite.py
	@touch $@

# --all, because otherwise only changed pages are executed again, and a change in lib/ changes them all.
# A PDF and a JupyterLite site that are there are kept up to date, since the pages offer them.
$(BUILT): $(INSTALLED) $(WEB) $(SOURCES) tools/book_site.py tools/check_site.py tools/leaks.py tools/pdf_link.py $(wildcard assignments/[0-9]*.ipynb) tools/launch.py \
  $(wildcard $(PDF) $(LITE))
	@echo "$(if $(filter no,$(EXECUTE)),Building the book from the committed outputs,Executing and building the book) ..."
	@# Files of an older build change the new one: Sphinx adds a checksum to the style sheets that it finds.
	@rm -f _build/.built _build/.built-committed
	@mkdir -p _build/html && find _build/html -mindepth 1 -maxdepth 1 ! -name lite -exec rm -rf {} +
	$(BIN)/jupyter-book build . --all -W -n --keep-going
	$(BIN)/python tools/check_site.py _build/html
	@touch $@
