# make demo and make test need python3 (>= 3.11, with venv), make and git; everything else comes from requirements.lock.

SHELL := /bin/bash
ARGS ?=
# The first that really runs (a pyenv shim may exist and fail). The system's comes first: Debian builds it with profile
# guided optimisation, pyenv does not, and a worker then takes an eighth more CPU.
PYTHON ?= $(shell for python in /usr/bin/python3 python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && \
	break; done)
BIN := .venv/bin
READY := .venv/ready
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench torture mutants lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## a real Kafka, sample usage, priced spend per project; ARGS='--events 20000 --exit'
	@$(BIN)/stream-pricing demo $(ARGS)

# Three at once on two cores: the broker tests mostly wait, and the simulation, which does not, gives way (nice).
test: $(READY) ## all tests, on a real Kafka too; ARGS='-k name', ARGS='-n 0 -s' one at a time
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(READY) ## ruff: lint and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	@$(BIN)/mypy

bench: $(READY) ## throughput, latency and cost per event, beside a raw copy
	@$(BIN)/stream-pricing bench $(ARGS)

torture: $(READY) ## the simulated broker with many more seeds
	@$(BIN)/python -m pytest tests/simulation/test_crashes.py --seeds 50000 $(ARGS)

mutants: $(READY) ## break the worker on purpose; each breakage must fail a test
	@$(BIN)/python -m tests.mutants $(ARGS)

$(READY): .venv/locked pyproject.toml
	@$(PIP) --no-deps --no-build-isolation --no-index -e .
	@touch $@

.venv/locked: requirements.lock
	@python="$(PYTHON)"; fail() { echo "make: $$*; name another: make PYTHON=/path/to/python3" >&2; exit 1; }; \
	test -n "$$python" || fail "no Python >= 3.11 with venv is on the PATH (on Debian: apt install python3-venv)"; \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$$python is no Python >= 3.11 that runs"; \
	$$python -c 'import venv, ensurepip' || fail "$$python has no venv (on Debian: apt install python3-venv)"; \
	echo "making .venv with $$($$python --version), once"; \
	$$python -m venv --clear .venv
	@$(PIP) --require-hashes -r requirements.lock
	@touch $@

lock: ## requirements.lock anew, for every platform, with hashes; UPGRADE=1 takes newer versions
	@test -x .venv-lock/bin/uv || \
		{ $(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv==0.13.9; }
	@.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade) \
		pyproject.toml -o requirements.lock
	@! grep -nE '://|^-' requirements.lock

clean: ## what was made here (not the Kafka in your cache folder)
	@rm -rf .venv .venv-lock .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	@find pricing streams tests -name __pycache__ -type d -prune -exec rm -rf {} +
