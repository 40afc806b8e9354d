# The two commands a newcomer needs are `make demo` and `make test`; both set up what they use.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
PACKAGES := engine sessions tui

NEWEST := .venv-newest

# Where this is set, every host and command that a test starts would compile our modules anew (.2 s each).
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test newest lint format bench clean

demo: $(STAMP)
	@$(BIN)/headcode demo

test: $(DEV_STAMP) lint
	$(BIN)/python -m pytest -n 4 --dist loadfile -q --durations=10

# The suite against the newest of every dependency that pyproject.toml allows, whatever constraints.txt says: run it now
# and then, so that a release that breaks something is found here. A change of constraints.txt follows from what it prints.
newest:
	@test -x $(NEWEST)/bin/python || $(PYTHON) -m venv $(NEWEST) 2>/dev/null || python3 -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager --editable '.[dev]'
	$(NEWEST)/bin/python -m pip freeze --exclude-editable
	$(NEWEST)/bin/python -m pytest -n 4 --dist loadfile -q --durations=10

lint: $(DEV_STAMP)
	$(BIN)/ruff check $(PACKAGES) tests docs
	$(BIN)/ruff format --check $(PACKAGES) tests docs
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_STAMP)
	$(BIN)/ruff check --fix $(PACKAGES) tests docs
	$(BIN)/ruff format $(PACKAGES) tests docs

bench: $(DEV_STAMP)
	$(BIN)/python tests/benchmarks/first_light.py

# Any python from 3.11 to 3.13 will do where python3.11 is not its name.
$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || python3 -m venv $(VENV)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(STAMP)

clean:
	rm -rf $(VENV) $(NEWEST) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
