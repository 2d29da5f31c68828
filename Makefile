# What a person or the CI runs. Everything is installed into .venv; nothing outside this folder is touched.
#
#   make demo        install what the demo needs, then run it
#   make test        install what the tests need, then run them (the slow ones left out)
#   make test-all    the slow ones too
#   make lint        ruff: rules and layout
#   make types       mypy, strict
#   make docs-check  the documentation says what the code does
#   make check       lint, types, docs-check and test
#
# Another interpreter (3.11 to 3.13): make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check -c constraints.txt

# Tests run file by file in two processes of one thread each: two cores are used up, and models here are tiny.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# A stamp says what was installed from the present pyproject.toml and constraints.txt; while it is newer than
# both, nothing is installed again. Remove .venv to start over.
WITH_DEMO := $(VENV)/.installed-demo
WITH_DEV := $(VENV)/.installed-dev

.PHONY: demo test test-all lint types architecture docs-check check
.DEFAULT_GOAL := check

demo: $(WITH_DEMO)
	$(BIN)/whet demo

test: $(WITH_DEV)
	$(PYTEST)

test-all: $(WITH_DEV)
	$(PYTEST) -m ""

lint: $(WITH_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(WITH_DEV)
	$(BIN)/mypy

architecture: $(WITH_DEV)
	$(BIN)/python -m pytest tests/test_architecture.py

# A missing file fails: a check that does not exist has not passed.
docs-check: $(WITH_DEV)
	$(BIN)/python -m pytest tests/test_docs.py

check: lint types docs-check test

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "whet needs Python 3.11, 3.12 or 3.13, and '$(PYTHON)' is not one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -f $@; exit 1; }

$(WITH_DEMO): $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	@echo "Installing whet and the embedded encoder into $(VENV); the first time this takes a few minutes."
	$(INSTALL) -e '.[mini]'
	@touch $@

# The tests' set includes the demo's, so both stamps are set.
$(WITH_DEV): $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	@echo "Installing whet and its tests' tools into $(VENV); the first time this takes a few minutes."
	$(INSTALL) -e '.[mini,bench,dev]'
	@touch $(WITH_DEMO) $@
