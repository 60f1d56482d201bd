# Everything runs in .venv, which the first call makes and later calls reuse. PIP_* variables are honoured by pip.
#   make PYTHON=python3.13 test      another interpreter
#   make APT=no test                 never install Debian packages

PYTHON ?= python3

# Relative paths only: make splits words at blanks, so this works in a folder such as "My Documents".
VENV := .venv
RUN := $(VENV)/bin/python
AXE := $(VENV)/npm/node_modules/axe-core
PIP := "$(RUN)" -m pip install --quiet

# JupyterLab refuses to run as root unless told to.
AS_ROOT := $(shell test "$$(id -u)" -ne 0 || echo --allow-root)

# How many test files run side by side; 0: one after the other, which takes about 1.4 times as long on two cores.
JOBS ?= 2

# Given on the command line, it shall reach tests/debian-packages.
export APT

.DELETE_ON_ERROR:
.PHONY: help demo lab test bench catalogue clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
	  printf '  make %-9s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.installed ## send a generated PDF to a mail server on this machine and show what arrived
	@"$(RUN)" -m docmail demo

lab: $(VENV)/.installed-lab ## open the tutorial notebooks in JupyterLab
	@"$(RUN)" -m jupyterlab $(AS_ROOT) --LabApp.default_url=/lab/tree/notebooks/1_provider_setup.ipynb

# Compiled here, because the tests start some hundred programs, and not every machine lets Python keep what it compiles.
test: $(VENV)/.installed-test ## lint, type-check, all tests and all notebooks
	@tests/debian-packages
	@test -d "$(AXE)" || npm install --silent --no-save --no-audit --no-fund --prefix "$(VENV)/npm" axe-core@4 || \
	  echo "axe-core is missing (npm could not install it): the tests of accessibility will be skipped."
	@"$(RUN)" -m compileall -q docmail tests
	"$(RUN)" -m ruff check
	"$(RUN)" -m ruff format --check
	"$(RUN)" -m mypy
	"$(RUN)" -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg tests notebooks

bench: $(VENV)/.installed-bench ## measure; prints a table per benchmark
	@tests/debian-packages
	@"$(RUN)" -m tests.benchmarks

catalogue: $(VENV)/.installed-test ## bring docmail/locale in step with the sentences in the code
	@"$(RUN)" -m tests.support.catalogue

clean: ## remove .venv, caches and build results
	rm -rf "$(VENV)" build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage test-results
	find . -name __pycache__ -prune -exec rm -rf {} +

# Installed in place (-e), so that a changed module needs no new installation; a changed pyproject.toml does.
$(VENV)/.installed: pyproject.toml $(VENV)/.made
	@echo "Installing docmail into $(VENV)."
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-lab: pyproject.toml $(VENV)/.made
	@echo "Installing docmail and JupyterLab into $(VENV)."
	@$(PIP) -e '.[lab]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-test: pyproject.toml $(VENV)/.made
	@echo "Installing docmail and what its tests need into $(VENV)."
	@$(PIP) -e '.[lab,test,oauth,proxy]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-lab

$(VENV)/.installed-bench: $(VENV)/.installed-test
	@echo "Installing what docmail is measured against into $(VENV)."
	@$(PIP) -e '.[bench]'
	@touch $@

$(VENV)/.made:
	@command -v "$(PYTHON)" >/dev/null || \
	  { echo "docmail needs Python 3.11 or later, and '$(PYTHON)' is not there; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "docmail needs Python 3.11 or later, and '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1); name another: make PYTHON=python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing; run: sudo apt-get install python3-venv" >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear "$(VENV)"
	@touch $@
