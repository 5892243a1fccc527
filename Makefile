# Attention from Scratch: everything runs from the root of the repository, in the virtual environment $(VENV).
#   make                             lists the commands
#   make train ARGS="--epochs 3"     hands options on to the program behind the command
#   make train PYTHON=python3.13     makes the virtual environment with this Python (3.11 or newer)

VENV ?= .venv
# The Pythons to try, in this order. Setting PYTHON leaves just that one.
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python)
PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check
# An environment that was interrupted while it was made, or made by another tool, may lack pip.
ENSURE_PIP := $(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help train test test-browser lab notebooks exercises grade badges bench lint format clean

help: ## this list
	@echo "Attention from Scratch. The commands:"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

train: $(VENV)/.stamp-core ## train AttentionSeq2seq on the shipped dates (ARGS="--epochs 3 --seed 1" and so on)
	$(PY) -m ch08.train $(ARGS)

test: $(VENV)/.stamp-test ## run all tests and notebooks, outputs compared (ARGS="tests/unit -k lstm -x" and so on)
	$(PY) -m pytest $(ARGS)

test-browser: $(VENV)/.stamp-browser ## use the widgets in JupyterLab as a person would, in headless Chromium
	$(PY) -m pytest -m browser tests/browser $(ARGS)

lab: $(VENV)/.stamp-lab ## open JupyterLab on notebooks/
	@mkdir -p notebooks
	$(PY) -m jupyter lab $(ARGS) notebooks

notebooks: $(VENV)/.stamp-test ## run notebooks and store them with outputs (ARGS="ch08_02_weight_sum ..."; all chapters)
	$(PY) -m tests.notebooks run $(ARGS)

exercises: $(VENV)/.stamp-test ## write notebooks/exercises/ from notebooks/solutions/ (ARGS="--check" only compares)
	$(PY) -m common.grading release $(ARGS)

grade: $(VENV)/.stamp-test ## grade a folder of submissions (ARGS="SUBMISSIONS --out REPORT -n 2")
	$(PY) -m common.grading grade $(ARGS)

badges: $(VENV)/.stamp-test ## write the address of the repository into notebooks and pages (REPO=https://github.com/...)
	$(PY) -m tests.notebooks badges $(REPO)

bench: $(VENV)/.stamp-test ## time the library, as ratios to the plain version, to PyTorch where installed, and to the floor
	$(PY) -m tests.bench $(ARGS)

lint: $(VENV)/.stamp-test ## ruff over code and notebooks: rules and format
	$(PY) -m ruff check
	$(PY) -m ruff format --check

format: $(VENV)/.stamp-test ## mend what ruff can mend
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

clean: ## remove caches and the traces of installing; keeps $(VENV) and everything you trained
	rm -rf build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find common dataset ch07 ch08 tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the virtual environment ---------------------------------------------------------------------------------
# A stamp is older than pyproject.toml after the latter has changed: then, and only then, pip runs again.

$(VENV)/.stamp-core: pyproject.toml | $(PY)
	@echo "Installing NumPy and matplotlib into $(VENV) (once; about a minute) ..."
	@$(ENSURE_PIP)
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.stamp-test: pyproject.toml | $(PY)
	@echo "Installing what the tests need into $(VENV) (once; a minute or two) ..."
	@$(ENSURE_PIP)
	$(PIP_INSTALL) --editable ".[test]"
	@touch $@ $(VENV)/.stamp-core

$(VENV)/.stamp-browser: $(VENV)/.stamp-test
	@echo "Installing Playwright's Python package into $(VENV) (once) ..."
	$(PIP_INSTALL) --editable ".[browser]"
	@touch $@

$(VENV)/.stamp-lab: pyproject.toml | $(PY)
	@echo "Installing JupyterLab and ipywidgets into $(VENV) (once; a minute or two) ..."
	@$(ENSURE_PIP)
	$(PIP_INSTALL) --editable ".[lab]"
	@touch $@ $(VENV)/.stamp-core

# Takes the first Python that is new enough. Only needed where $(VENV)/bin/python is missing or leads nowhere.
$(PY):
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
	rm -f $(VENV)/.stamp-* $(VENV)/bin/python*; \
	if ! "$$found" -m venv $(VENV); then rm -f $(PY); exit 1; fi
