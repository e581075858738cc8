# One word per chore, the same for people and for CI. `make` alone prints them.
#
# Set PYTHON to choose the interpreter (make test PYTHON=python3.12), ARGS to pass more to pytest or a
# benchmark (make test ARGS=tests/cli).

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt
BASE := $(VENV)/.stamp-base
DEV := $(VENV)/.stamp-dev
PAGE := src/foveate/assets/demo/page.png

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow check bench nano-report docs clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(BASE) ## set up, then read a page with the embedded model and show the Markdown
	@echo "==> reading $(PAGE) with the embedded model: foveate read $(PAGE)"
	@$(BIN)/foveate read $(PAGE)

# One torch thread per worker: two workers with all cores each would only wait for one another.
test: $(DEV) ## set up, then run the quick tests
	@echo "==> running the quick tests on 2 workers"
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false \
		$(BIN)/python -m pytest -m "not slow" -n 2 $(ARGS)

test-slow: $(DEV) ## set up, then run the tests that take minutes or gigabytes
	@echo "==> running the slow tests, one after the other"
	$(BIN)/python -m pytest -m slow $(ARGS)

check: $(DEV) ## style and types: ruff check, ruff format --check, mypy
	@echo "==> checking style and types"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(DEV) ## run every script in benchmarks/; each prints a table
	@found=; for script in benchmarks/*.py; do \
		test -e "$$script" || continue; found=1; \
		echo "==> $$script"; $(BIN)/python "$$script" $(ARGS) || exit 1; \
	done; test -n "$$found" || echo "==> benchmarks/ holds no script yet"

nano-report: $(DEV) ## everything that nano's card says, measured: hours; runs/evaluation/report.html
	$(BIN)/python scripts/nano/evaluate.py --out runs/evaluation $(ARGS)

docs: $(DEV) ## write docs/cli.md from the commands' own --help
	@echo "==> writing docs/cli.md"
	$(BIN)/python scripts/make_cli_page.py

clean: ## remove what these targets made: .venv, caches and builds
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "foveate needs Python 3.11 or newer, and $(PYTHON) is not: try make PYTHON=python3.12" >&2; exit 1; }
	@echo "==> making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make virtual environments: install its venv package" >&2; exit 1; }

# The stamps are older than what they depend on when an install is due, so a second run installs nothing.
$(BASE): pyproject.toml constraints.txt | $(BIN)/python
	@echo "==> installing foveate (the first time this takes a few minutes: PyTorch is large)"
	@$(INSTALL) -e .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "==> installing foveate and its development tools (the first time this takes a few minutes)"
	@$(INSTALL) -e '.[dev]'
	@touch $@ $(BASE)
