# Commands for those who read, change or check the book; `make` alone lists them.
# Each sets up what it needs by itself, from the pinned packages in requirements.lock.

PYTHON ?= python3
NOTEBOOKS ?= $(wildcard book/*.ipynb)
TESTS ?=
BENCH ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INDEX := _build/html/index.html
SOURCES := _config.yml _toc.yml $(shell find book flowtutorial -type f \
	-not -path '*/__pycache__/*' -not -path '*/.ipynb_checkpoints/*')
UV := $(shell command -v uv 2>/dev/null)

# Sums over several threads are added in another order on other machines; stored digits are not.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1

.DELETE_ON_ERROR:
.PHONY: help book pdf test equations lint lab notebooks bench clean

help:
	@sed -n 's/^\([a-z]*\):.*## */\1|/p' Makefile | awk -F'|' '{ printf "make %-10s %s\n", $$1, $$2 }'

book: $(INDEX)  ## build the book's pages, offline, from the stored outputs
	@echo "The book is built. Open $(CURDIR)/$(INDEX)"

$(INDEX): $(READY) $(SOURCES)
	@rm -rf _build/html _build/.doctrees
	$(BIN)/jupyter-book build . -W -n --keep-going
	@test -f $@ || { echo "jupyter-book ended without an error but wrote no $@" >&2; exit 1; }

pdf: $(INDEX)  ## print the pages into one PDF (needs Chromium)
	@$(BIN)/python tools/pdf.py

test: $(READY)  ## run every test and every notebook (TESTS=tests/test_flow.py for some)
ifeq ($(TESTS),)
	$(BIN)/python -m pytest tests flowtutorial --numprocesses 2 --dist loadscope --cov
	$(BIN)/python -m pytest book --numprocesses 2 --dist loadscope
else
	$(BIN)/python -m pytest $(TESTS)
endif

equations: $(READY)  ## check that every displayed equation is proved, cited or a definition
	@$(BIN)/python tools/equations.py book

lint: $(READY)  ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

lab: $(READY)  ## open the chapters in JupyterLab
	$(BIN)/jupyter lab --notebook-dir book

notebooks: $(READY)  ## execute the chapters anew and store their outputs (NOTEBOOKS=... for some)
	$(BIN)/python tools/notebooks.py $(NOTEBOOKS)

bench: $(READY)  ## measure beside other libraries, which it installs (BENCH=--quick: shorter)
	@$(BIN)/python -m benchmarks.peers.install
	@$(BIN)/python -m benchmarks.agreement
	@$(BIN)/python -m benchmarks.cost_per_pass
	@$(BIN)/python -m benchmarks $(BENCH)

clean:  ## remove what the other commands made, but not the environment .venv
	rm -rf _build .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): requirements.lock pyproject.toml | $(BIN)/python
ifdef UV
	uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	@# The lock is complete; pip 23 would look for newer releases of what is asked with extras.
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
endif
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "This needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1)." >&2; \
	  echo "Name another one: make PYTHON=python3.12" >&2; exit 1; }
ifdef UV
	uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
else
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python could not make an environment; on Debian install python3-venv." >&2; exit 1; }
endif
