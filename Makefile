# The one list of commands. `make` alone prints it.
.DEFAULT_GOAL := help
.PHONY: help install system demo contracts test check slither bench interop kills fuzz format clean

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
UV := .tools/bin/uv
READY := .venv/.ready
# What the tests import is compiled once, not by every worker and every process; tests/conftest.py says the same.
PYTEST := PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX="$(CURDIR)/.pytest_cache/compiled" $(BIN)/pytest
WORKERS ?= 3# test files at a time: most of them wait for processes, so one more than the cores of a small machine

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY) ## Make .venv with the `nearcast` command in it

$(UV):
	@PYTHON=$(PYTHON) bash scripts/get-uv.sh

$(READY): $(UV) pyproject.toml uv.lock
	@UV_PROJECT_ENVIRONMENT=.venv $(UV) sync --frozen --quiet --python $(PYTHON)
	@touch $@
	@echo 'installed: $(BIN)/nearcast'

system: ## Install what the tests and benchmarks need from the system: Chromium, nginx, wrk
	@bash scripts/system-packages.sh

demo: install ## A chain, an origin, two caches, a liar and a client: delivered, paid, settled (ONCE=1 ends by itself)
	@$(BIN)/python examples/demo.py $(if $(ONCE),--once)

contracts: ## Compile the contracts and write their ABI, bytecode and storage layout for Python
	@bash scripts/contracts-tools.sh
	@node contracts/build.mjs --sizes
	@node contracts/build.mjs --hostile

test: check system ## Run the checks and every test (NEARCAST_TESTS_FRESH=1: each process starts from nothing)
	@bash scripts/contracts-tools.sh
	@$(PYTEST) -q -m "not interop" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: install ## Formatting, lint, types, and the ladder of imports
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports | grep -E "KEPT|BROKEN|Contracts:|imports|->" ; exit $${PIPESTATUS[0]}

slither: install ## Analyse the contracts with slither; every finding is answered in contracts/README.md
	@bash scripts/contracts-tools.sh
	@bash scripts/slither.sh

bench: install system ## Print every figure beside its rival and write bench/results.json (ONLY=name for one row)
	@bash scripts/interop-tools.sh
	@$(BIN)/python -m bench.run $(if $(ONLY),--only $(ONLY))

interop: install system slither ## Run the suites that use other people's programs, and slither
	@bash scripts/interop-tools.sh
	@$(PYTEST) -q -m interop

kills: install ## Kill clients, caches, origins and their chain in the middle of paid fetches (RUNS=300, SEED=1)
	@$(BIN)/python -m tests.payments.kills --runs $(or $(RUNS),300) --seed $(or $(SEED),1)

fuzz: install ## Throw many more random inputs at the parsers and state machines (a few minutes)
	@HYPOTHESIS_PROFILE=nightly $(PYTEST) -q -m "hypothesis and not interop"

format: install ## Let ruff put the code into shape
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

clean: ## Remove everything that was installed or built here
	@rm -rf .venv .tools dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache tests/interop/node_modules contracts/node_modules bench/results.json
