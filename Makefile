# Everything a user or CI runs. PYTHON chooses the interpreter: 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: quickstart test test-all lint format lock clean

quickstart: .venv/installed  ## the whole experiment on the built-in world: table, report, models
	$(BIN)/xlstance experiment --config jobs/configs/quickstart.yaml

test: .venv/developer  ## the tests, without the slow ones, a process for each core
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile -m "not slow and not gpu"

test-all: .venv/developer  ## every test that this machine can run
	$(BIN)/pytest -m "not gpu"

lint: .venv/developer  ## ruff, mypy (strict on the library), known vulnerabilities of the locks where the network allows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python requirements/audit.py

format: .venv/developer
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: requirements/cpu.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("xlstance needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -r requirements/cpu.txt
	$(BIN)/pip install -q --no-deps -e .
	touch $@

.venv/developer: .venv/installed requirements/dev.txt
	$(BIN)/pip install -q -r requirements/dev.txt
	touch $@

lock:  ## requirements/cpu.txt and dev.txt anew, from the ranges in pyproject.toml
	$(PYTHON) requirements/lock.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
