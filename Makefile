# Everything runs in .venv, which the first call makes and later calls reuse. PIP_* variables are honoured by pip.
#   make PYTHON=python3.13 test      another interpreter, in an environment of its own (.venv-3.13)
#   make APT=no test                 never install Debian packages

PYTHON ?= python3

# Relative paths only: make splits words at blanks, so this works in a folder such as "My Documents".
# An interpreter is known by its version and its place: two of 3.11 have different libraries below them.
identity = $(shell "$(1)" -c 'import os, sys; print("%d.%d.%d" % sys.version_info[:3], os.path.realpath(sys.base_prefix))' 2>/dev/null)
INTERPRETER := $(call identity,$(PYTHON))
USUAL := $(if $(filter python3,$(PYTHON)),$(INTERPRETER),$(call identity,python3))
VENV := .venv$(if $(filter-out =$(USUAL)=,=$(INTERPRETER)=),$(addprefix -,$(basename $(firstword $(INTERPRETER)))))
RUN := $(VENV)/bin/python

# What is installed does not depend on the day: exact versions, of build requirements too, which the first variable
# binds in an older pip and the second in a newer one.
CONSTRAINTS := constraints.txt
PIP = PIP_CONSTRAINT=$(CONSTRAINTS) PIP_BUILD_CONSTRAINT=$(CONSTRAINTS) "$(RUN)" -m pip install --quiet
NPM := axe-core@4.14.1 caniemail@2.0.2 configurable-http-proxy@5.1.0 mailparser@3.14.2
AS_OF := 2026-11-30

# JupyterLab refuses to run as root unless told to.
AS_ROOT := $(shell test "$$(id -u)" -ne 0 || echo --allow-root)

# How many test files run side by side; 0: one after the other, which takes about 1.4 times as long on two cores.
JOBS ?= 2

# Given on the command line, it shall reach tests/debian-packages.
export APT

# Which Debian `make fresh` makes: trixie (13) or bookworm (12).
DEBIAN ?= trixie

.DELETE_ON_ERROR:
.PHONY: help demo lab docs test test-oldest fresh release bench catalogue update clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
	  printf '  make %-12s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.installed ## send a generated PDF to a mail server on this machine and show what arrived
	@"$(RUN)" -m docmail demo

lab: $(VENV)/.installed-lab ## open the tutorial notebooks in JupyterLab
	@"$(RUN)" -m jupyterlab $(AS_ROOT) --LabApp.default_url=/lab/tree/notebooks/0_first_pdf.ipynb

# Made anew each time: the tutorials are executed, and a page that is gone must not stay.
docs: $(VENV)/.installed-docs ## build the documentation site, with its tutorials executed
	@rm -rf build/docs
	@mkdir -p build/docs/source
	@"$(RUN)" -m sphinx -q -W --keep-going -c docs -d build/docs/doctrees build/docs/source build/docs/html
	@echo "The site begins at build/docs/html/index.html."

# Compiled here, because the tests start some hundred programs, and not every machine lets Python keep what it compiles.
test: $(VENV)/.installed-test ## lint, type-check, all tests and all notebooks
	@tests/debian-packages
	@test "$$(cat "$(VENV)/npm/.installed" 2>/dev/null)" = "$(NPM)" || { \
	  npm install --silent --no-save --no-audit --no-fund --prefix "$(VENV)/npm" $(NPM) && \
	  echo "$(NPM)" >"$(VENV)/npm/.installed"; } || \
	  echo "npm could not install $(NPM): the tests that need them will be skipped."
	@"$(RUN)" -m compileall -q docmail tests
	"$(RUN)" -m ruff check
	"$(RUN)" -m ruff format --check
	"$(RUN)" -m mypy
	"$(RUN)" -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg tests notebooks

# Only docmail's own tests: browsers, mail servers, notebooks, the site and npm's readers are no matter of a dependency's
# age. What the lower bounds need in turn is the newest of one day, so that the result does not depend on today. An old
# release beside a new one may warn (matplotlib 3.9 of pyparsing 3.3), which is no failure here. Subshells came with
# ipykernel 7.
test-oldest: $(VENV)/.uv ## the unit tests on Python 3.11 with the oldest releases that pyproject.toml allows
	@grep -E '^(editables|pip|setuptools|uv|wheel)==' constraints.txt | \
	  "$(VENV)/bin/uv" pip compile --quiet --resolution lowest-direct --exclude-newer $(AS_OF) --python-version 3.11 \
	  --no-header --no-annotate --all-extras pyproject.toml - >.venv-oldest.new
	@cmp -s .venv-oldest.new .venv-oldest.txt || cp .venv-oldest.new .venv-oldest.txt
	@rm .venv-oldest.new
	@$(MAKE) --no-print-directory PYTHON="$(if $(filter 3.11.%,$(INTERPRETER)),$(PYTHON),python3.11)" \
	  VENV=.venv-oldest CONSTRAINTS=.venv-oldest.txt .venv-oldest/.installed-test
	DOCMAIL_CONSTRAINTS=.venv-oldest.txt ".venv-oldest/bin/python" -m pytest -n $(JOBS) --dist loadfile \
	  -W default -m "not browser and not mailserver and not keyring_daemon" --ignore=tests/docs \
	  --ignore=tests/leaks --ignore=tests/message/test_read_back.py --ignore=tests/message/test_mail_programs.py \
	  --ignore=tests/widgets/parts/test_beside_cells.py tests

fresh: ## make demo and make test on a bare Debian (DEBIAN=trixie or bookworm); needs root and debootstrap
	@tests/fresh-debian "$(DEBIAN)"

release: $(VENV)/.installed-release ## build wheel and sdist into dist/, check them, and try them with the newest and the oldest dependencies
	@tests/check-release "$(CURDIR)/$(RUN)" $(AS_OF)

bench: $(VENV)/.installed-bench ## measure; prints a table per benchmark
	@tests/debian-packages
	@"$(RUN)" -m tests.benchmarks

catalogue: $(VENV)/.installed-test ## bring docmail/locale in step with the sentences in the code
	@"$(RUN)" -m tests.support.catalogue

update: $(VENV)/.uv ## write constraints.txt anew from the newest releases, and say what changed
	@"$(RUN)" -m tests.support.constraints

clean: ## remove all environments, caches and build results
	rm -rf .venv .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage test-results
	find . -name __pycache__ -prune -exec rm -rf {} +

# Installed in place (-e), so that a changed module needs no new installation; a changed pyproject.toml does.
$(VENV)/.installed: pyproject.toml $(CONSTRAINTS) $(VENV)/.made
	@echo "Installing docmail into $(VENV)."
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-lab: pyproject.toml $(CONSTRAINTS) $(VENV)/.made
	@echo "Installing docmail and JupyterLab into $(VENV)."
	@$(PIP) -e '.[lab]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml $(CONSTRAINTS) $(VENV)/.made
	@echo "Installing docmail and what builds its site into $(VENV)."
	@$(PIP) -e '.[docs,lab,notebook]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-lab

$(VENV)/.installed-test: pyproject.toml $(CONSTRAINTS) $(VENV)/.made
	@echo "Installing docmail and what its tests need into $(VENV)."
	@$(PIP) -e '.[lab,test,oauth,proxy,docs,notebook]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-lab $(VENV)/.installed-docs

$(VENV)/.installed-bench: $(VENV)/.installed-test
	@echo "Installing what docmail is measured against into $(VENV)."
	@$(PIP) -e '.[bench]'
	@touch $@

$(VENV)/.installed-release: $(VENV)/.installed $(VENV)/.uv
	@$(PIP) build check-wheel-contents twine
	@touch $@

$(VENV)/.uv: $(CONSTRAINTS) $(VENV)/.made
	@$(PIP) uv
	@touch $@

$(VENV)/.made: $(if $(filter-out =$(shell cat $(VENV)/.made 2>/dev/null)=,=$(INTERPRETER)=),FORCE)
	@command -v "$(PYTHON)" >/dev/null || \
	  { echo "docmail needs Python 3.11 or later, and '$(PYTHON)' is not there; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "docmail needs Python 3.11 or later, and '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1); name another: make PYTHON=python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing; run: sudo apt-get install python3-venv" >&2; exit 1; }
	@test ! -e "$(RUN)" || echo "$(VENV) was made by another Python; making it anew with $(INTERPRETER)."
	@"$(PYTHON)" -m venv --clear "$(VENV)"
	@$(PIP) pip setuptools
	@echo "$(INTERPRETER)" >$@

FORCE:
