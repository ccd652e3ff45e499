# Every target makes its own environment in .venv where it is missing. Needed on the machine:
# Python 3.11 or newer with pip, and make. Another interpreter: make test PYTHON=python3.12
# More arguments for the command behind a target: make test ARGS="-k records"

.DEFAULT_GOAL := help
.PHONY: help reproduce reproduce-all test test-long bench lab lint strip constraints clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?=
ARGS ?=
# One thread for each test process: two processes with two threads each fight over two cores.
JOBS ?= logical
TEST_ENV := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
# The benchmark has an environment of its own: what ragft is timed against is no dependency.
BENCH_VENV := .venv-bench
# JupyterLab would ask the package index for newer versions of itself; nothing is asked unasked.
LAB_OPTIONS := --LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdates
BENCH_RECORD ?= figures/data/bench_retrieval.json
PEERS := llama-index-core llama-index-retrievers-bm25 llama-index-vector-stores-faiss \
  langchain-community langchain-classic numba

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-14s %s\n", $$1, $$2}'

reproduce: $(STAMP) ## Run every numbered notebook on a reduced grid: minutes; writes results/ and figures/
	$(BIN)/python -m ragft reproduce $(ARGS)
	$(BIN)/python -m ragft claims --figure figures
	$(BIN)/python -m ragft readme README.md figures/claims.md

reproduce-all: reproduce ## The same on the full grid: hours; an interrupted run goes on where it stopped
reproduce-all: override ARGS := --full $(ARGS)

test: $(STAMP) ## Run the tests, style and imports included
	$(TEST_ENV) $(BIN)/python -m pytest -n $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
	  -m "not long" $(ARGS)

test-long: $(STAMP) ## Run the tests that take minutes each
	$(BIN)/python -m pytest -m long $(ARGS)

bench: ## Time retrieval against other libraries, in an environment of its own: about ten minutes
	@$(MAKE) --no-print-directory VENV=$(BENCH_VENV) $(BENCH_VENV)/.peers
	$(TEST_ENV) $(BENCH_VENV)/bin/python -m ragft bench retrieval --json --record $(BENCH_RECORD) $(ARGS)

lab: $(STAMP) ## Open JupyterLab on the notebooks
	cd notebooks && ../$(BIN)/python -m jupyterlab $(LAB_OPTIONS) $(ARGS)

lint: $(STAMP) ## Check style, the floors of the house and that notebooks are stripped
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q tests/test_repository.py -k notebook

strip: $(STAMP) ## Take outputs and run data out of the notebooks, as they are committed
	$(BIN)/nbstripout --extra-keys "metadata.papermill cell.metadata.papermill" notebooks/*.ipynb

constraints: $(STAMP) ## Pin what .venv holds (after installing a changed pyproject.toml there)
	{ sed '/^[^#]/,$$d' constraints.txt; \
	  $(BIN)/python -m pip freeze --all --exclude-editable --exclude pip --exclude ragft \
	    | sed 's/+cpu$$//' | LC_ALL=C sort -f; \
	  echo; sed -n '/^# Not in the environment/,$$p' constraints.txt; } > constraints.part
	mv constraints.part constraints.txt && touch $(STAMP)

clean: ## Remove caches and build leftovers; .venv, results/ and figures/ stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -path './.venv*' -prune -o -name __pycache__ -type d -exec rm -rf {} +
	find . -path './.venv*' -prune -o -name .ipynb_checkpoints -type d -exec rm -rf {} +

# torch first and alone: a build that stands in the environment or in a local folder is kept.
$(STAMP): pyproject.toml constraints.txt
	@$(MAKE_VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

$(BENCH_VENV)/.peers: $(STAMP) constraints-bench.txt
	$(BIN)/python -m pip install --disable-pip-version-check \
	  -c constraints.txt -c constraints-bench.txt $(PEERS)
	@touch $@

# Without ensurepip (Debian's python3 without python3-venv) the machine's own pip fills the venv.
define MAKE_VENV
[ -x $(BIN)/pip ] && $(BIN)/python -c "" 2>/dev/null && exit 0; \
for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
  if $$python -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then \
    echo "Making $(VENV) with $$($$python --version)"; \
    $$python -m venv $(VENV) >/dev/null && exit 0; \
    $$python -m venv --without-pip $(VENV) \
      && $$python -m pip --python $(BIN)/python install pip && exit 0; \
    echo "$$python cannot make a virtual environment: install its venv module (python3-venv)" >&2; \
    exit 1; \
  fi; \
done; \
echo "ragft needs Python 3.11 or newer, and $(or $(PYTHON),python3) is $$($(or $(PYTHON),python3) --version 2>&1)." >&2; \
echo "Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1
endef
