# make demo    the main job on real data, in a venv of its own making
# make test    everything: tests, lint, types, layer contracts
# make bench   the tables of benchmarks/, by hand

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKFLOWS := $(wildcard github_action/workflows/*.yml .github/workflows/*.yml)

.PHONY: demo test lint types layers actions bench clean

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "python 3.11 or newer is needed: set PYTHON=…"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

demo: $(STAMP)
	$(BIN)/python -m pytest --inferopt --inferopt-only -q -p no:randomly --no-header --rootdir=examples/digits examples/digits

test: $(STAMP) lint types layers actions
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered --durations=10

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

# The Action, the workflows to copy, and this repository's own.
actions: $(STAMP)
	$(BIN)/actionlint -shellcheck $(BIN)/shellcheck $(WORKFLOWS)
	$(BIN)/zizmor --quiet --offline --config .github/zizmor.yml github_action/action.yml $(WORKFLOWS)

bench: $(STAMP)
	$(BIN)/python -m benchmarks.conversion
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.reports
	$(BIN)/python -m benchmarks.networks
	$(BIN)/python -m benchmarks.gate

clean:
	rm -rf $(VENV) .inferopt .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
