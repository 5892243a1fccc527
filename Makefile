# Attention from Scratch: everything runs from the root of the repository, in the virtual environment $(VENV).
#   make                             lists the commands
#   make train ARGS="--epochs 3"     hands options on to the program behind the command
#   make train PYTHON=python3.13     makes the virtual environment with this Python (3.11 or newer)

VENV ?= .venv
PYTHON ?=
# Paths may hold spaces: quoted in commands, escaped where make itself reads them.
empty :=
space := $(empty) $(empty)
ENV := $(subst $(space),\$(space),$(VENV))
PY := "$(VENV)/bin/python"
# The Pythons to try, in this order. Setting PYTHON leaves just that one.
PYTHONS := $(if $(PYTHON),"$(PYTHON)",python3 python3.14 python3.13 python3.12 python3.11 python)
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check
# An environment that was interrupted while it was made, or made by another tool, may lack pip.
ENSURE_PIP := $(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help train test test-browser lab notebooks exercises ko site grade badges bench lint format clean

help: ## this list
	@echo "Attention from Scratch. The commands:"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

train: $(ENV)/.stamp-core ## train AttentionSeq2seq on the shipped dates (ARGS="--epochs 3 --seed 1" and so on)
	$(PY) -m ch08.train $(ARGS)

test: $(ENV)/.stamp-test ## run all tests and notebooks on all cores, outputs compared (ARGS="tests/unit -k lstm -x" and so on)
	$(PY) -m pytest $(ARGS)

test-browser: $(ENV)/.stamp-browser ## use widgets and web edition as a person would, in headless Chromium (ARGS="-k site")
	$(PY) -m pytest -m browser tests/browser $(ARGS)

# The root of the course is the root of the server, so that a notebook's links to ../ch08/ lead somewhere. The address
# that is printed leads to the notebook, too. tests/browser starts JupyterLab with the same line.
lab: $(ENV)/.stamp-lab ## open JupyterLab on the first notebook (ARGS="notebooks/ch08_02_weight_sum.ipynb", ARGS=--no-browser)
	@echo "JupyterLab opens in your browser; if it does not, open an address that is printed below. Ctrl-C ends it."
	$(PY) -m jupyter lab --ServerApp.root_dir=. --LabApp.default_url=lab/tree/notebooks/00_start_here.ipynb $(ARGS)

notebooks: $(ENV)/.stamp-test ## run notebooks and store them with outputs (ARGS="ch08_02_weight_sum ..."; all chapters)
	$(PY) -m tests.notebooks run $(ARGS)

exercises: $(ENV)/.stamp-test ## write notebooks/exercises/ from notebooks/solutions/ (ARGS="--check" only compares)
	$(PY) -m common.grading release $(ARGS)

site: $(ENV)/.stamp-site ## build the web edition in runs/site/ from stored notebooks and pages (no cell is executed)
	$(PY) -m notebooks.web $(ARGS)

ko: $(ENV)/.stamp-test ## write the Korean edition, notebooks/ko/, from its catalogs (ARGS="--check", or notebooks to begin)
	$(PY) -m tests.notebooks translate ko $(ARGS)

grade: $(ENV)/.stamp-test ## grade a folder of submissions (ARGS="SUBMISSIONS --out REPORT -n 2")
	$(PY) -m common.grading grade $(ARGS)

badges: $(ENV)/.stamp-test ## write the address of the repository into notebooks and pages (REPO=https://github.com/...)
	$(PY) -m tests.notebooks badges $(REPO)

bench: $(ENV)/.stamp-test ## time the library, as ratios to the plain version, to PyTorch where installed, and to the floor
	$(PY) -m tests.bench $(ARGS)

lint: $(ENV)/.stamp-test ## ruff over code and notebooks: rules and format
	$(PY) -m ruff check
	$(PY) -m ruff format --check

format: $(ENV)/.stamp-test ## fix what ruff can fix
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

clean: ## remove caches and the traces of installing; keeps $(VENV) and everything you trained
	rm -rf build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find common dataset ch07 ch08 tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the virtual environment ---------------------------------------------------------------------------------
# A stamp is older than pyproject.toml after the latter has changed: then, and only then, pip runs again.

$(ENV)/.stamp-core: pyproject.toml | $(ENV)/bin/python
	@echo "Installing NumPy, matplotlib and two small helpers into $(VENV) and nowhere else (once; about a minute) ..."
	@$(ENSURE_PIP)
	$(PIP_INSTALL) --editable .
	@touch "$@"

$(ENV)/.stamp-test: pyproject.toml | $(ENV)/bin/python
	@echo "Installing pytest, JupyterLab and what else the tests need into $(VENV) and nowhere else (once; a minute or two) ..."
	@$(ENSURE_PIP)
	$(PIP_INSTALL) --editable ".[test]"
	@touch "$@" "$(VENV)/.stamp-core" "$(VENV)/.stamp-lab"

$(ENV)/.stamp-browser: $(ENV)/.stamp-test
	@echo "Installing Playwright's Python package and Sphinx into $(VENV) and nowhere else (once) ..."
	$(PIP_INSTALL) --editable ".[browser,site]"
	@touch "$@" "$(VENV)/.stamp-site"

$(ENV)/.stamp-site: pyproject.toml | $(ENV)/bin/python
	@echo "Installing Sphinx and its theme into $(VENV) and nowhere else (once; about a minute) ..."
	@$(ENSURE_PIP)
	$(PIP_INSTALL) --editable ".[site]"
	@touch "$@" "$(VENV)/.stamp-core"

$(ENV)/.stamp-lab: pyproject.toml | $(ENV)/bin/python
	@echo "Installing JupyterLab and ipywidgets into $(VENV) and nowhere else (once; a minute or two) ..."
	@$(ENSURE_PIP)
	$(PIP_INSTALL) --editable ".[lab]"
	@touch "$@" "$(VENV)/.stamp-core"

# Takes the first Python that is new enough. Only needed where $(VENV)/bin/python is missing or leads nowhere.
$(ENV)/bin/python:
	@found=; \
	for python in $(PYTHONS); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "This course needs Python 3.11 or newer. Tried:"; \
	    for python in $(PYTHONS); do \
	        if "$$python" -c pass >/dev/null 2>&1; then echo "  $$python is $$("$$python" --version 2>&1)"; \
	        else echo "  $$python is not there, or does not run"; fi; \
	    done; \
	    echo "Install one, or name it:  make $(or $(firstword $(MAKECMDGOALS)),train) PYTHON=/path/to/python3.11"; \
	    exit 1; \
	fi; \
	if ! "$$found" -c 'import venv, ensurepip' >/dev/null 2>&1; then \
	    echo "$$found ($$("$$found" --version)) comes without the module venv or ensurepip."; \
	    echo "On Debian and Ubuntu:  sudo apt-get install python3-venv"; \
	    echo "Or name another Python:  make $(or $(firstword $(MAKECMDGOALS)),train) PYTHON=/path/to/python3.11"; \
	    exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version)"; \
	rm -f "$(VENV)"/.stamp-* "$(VENV)"/bin/python*; \
	if ! "$$found" -m venv "$(VENV)"; then rm -f $(PY); exit 1; fi
