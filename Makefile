# Two commands on a fresh machine: make demo, make test. They need Python >= 3.11 with venv.
VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) >/dev/null 2>&1 && $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
INSTALLED := $(VENV)/.installed

.PHONY: setup demo test check bench lock clean

setup: $(INSTALLED)

$(INSTALLED): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install python3 (for example: apt-get install python3 python3-venv)."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is needed: apt-get install python3-venv."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked requirements (a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## train on two real trials and a synthetic cohort, score held-out patients
	@$(BIN)/python -m experiments.demo

test: check  ## everything CI runs
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: setup  ## lint, format, types, import contracts
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports >/dev/null || $(BIN)/lint-imports

bench: setup  ## print every benchmark ratio (long; peers get their own environment)
	@$(BIN)/python -m experiments.benchmarks

lock: setup  ## re-resolve requirements/*.txt from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --python-version 3.11 --no-header --quiet -o requirements/dev.txt
	@$(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --python-version 3.11 --no-header --quiet -c requirements/dev.txt -o requirements/runtime.txt
	@$(BIN)/uv pip compile requirements/bench.in --universal --generate-hashes --python-version 3.11 --no-header --no-annotate --quiet -o requirements/bench.txt

clean:
	rm -rf $(VENV) .venv-* demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
