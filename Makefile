# A fresh machine needs Python 3.11 or newer and make. `make demo` and `make test` fetch the rest into .venv, once.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(INSTALLED) ## draw sixteen cats, then recognise a drawing (docs/examples/cat.svg)
	$(BIN)/visketch generate --class cat -n 16 --out demo/
	$(BIN)/visketch classify docs/examples/cat.svg
	@echo "The cats: $(CURDIR)/demo/sheet.png"

.PHONY: studio
studio: $(INSTALLED) ## open a page to draw on, in the browser
	$(BIN)/visketch serve --open

.PHONY: test
test: $(INSTALLED) ## run the tests, every shape annotation checked
	$(BIN)/python -m pytest -n 2 --dist loadgroup

.PHONY: lint
lint: $(INSTALLED) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy visketch cli

.PHONY: bench
bench: $(INSTALLED) ## measure speed and memory (studies/ has the experiments of docs/questions/)
	for script in quadtree classify generate whole canvas; do $(BIN)/python bench/$$script.py || exit 1; done

.PHONY: clean
clean: ## remove .venv, caches and the demo's drawings; never runs/, data/ or checkpoints/
	rm -rf .venv demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch goes first, alone and pinned: left to the dependencies it could be a newer build of several gigabytes.
# Compiling all of it takes pip longer than a minute. Python compiles what is imported, unless it may write no bytecode.
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check $(if $(PYTHONDONTWRITEBYTECODE),,--no-compile)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "Setting up .venv, once; torch and the others take a few minutes."
	@$(PYTHON) -m venv .venv
	@$(PIP_INSTALL) torch==2.13.0 -c constraints.txt
	@$(PIP_INSTALL) -e ".[dev]" -c constraints.txt
	@touch $@
