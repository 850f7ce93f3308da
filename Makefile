# Every target makes what it needs: a virtual environment in .venv, the package in it.
.PHONY: demo test test-slow lint format bench clean
.DEFAULT_GOAL := help

PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# One thread for linear algebra: chains and tests run side by side.
export OPENBLAS_NUM_THREADS ?= 1
# Compiled modules are kept, whatever the machine says: processes that tests start need not compile.
export PYTHONDONTWRITEBYTECODE :=
export BAYESMIX_REFERENCE ?= $(realpath ../shared)

.PHONY: help
help:
	@echo "make demo       install, fit sleepstudy, print the summary, write the pictures"
	@echo "make test       install with the test extras, run the tests"
	@echo "make test-slow  the Monte Carlo checks that take minutes"
	@echo "make lint       ruff and mypy      make format   ruff format and fixes"
	@echo "make notebooks  run the notebooks and keep their outputs"
	@echo "make docs       build the site in docs/_build/html      make docs-serve  show it"
	@echo "make bench      side-by-side timings, written to benchmarks/README.md"

$(BIN)/python:
	@python="$$(PYTHON='$(PYTHON)' sh scripts/find-python)" && "$$python" -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing bayesmix into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	@echo "Installing bayesmix with the test extras into $(VENV) ..."
	@$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	@$(BIN)/bayesmix demo

# Two files of tests at a time; those of one file share their fits.
test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-test
	$(BIN)/python benchmarks/run.py

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	@echo "Installing bayesmix with the docs extras into $(VENV) ..."
	@$(PIP) --editable '.[docs]'
	@touch $@ $(VENV)/.installed

.PHONY: docs docs-serve
docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

docs-serve: docs
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory docs/_build/html 8000

.PHONY: notebooks
notebooks: $(VENV)/.installed-test
	$(BIN)/python scripts/execute_notebooks.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
