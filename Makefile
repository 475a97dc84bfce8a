# Two commands on a fresh machine: `make demo`, `make test`. Everything else depends on `setup`.
PYTHON ?= python3
TOOLS  := .tools
UV     := $(TOOLS)/bin/uv
BIN    := .venv/bin

.PHONY: setup lock demo test lint bench soak clean
.DEFAULT_GOAL := test

setup: .venv/.ready

$(UV):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fraudgraph needs Python 3.11 or newer, found " + sys.version.split()[0] + "; set PYTHON=")'
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.lock

# What the program needs, and no more: a demo does not wait for the packages of tests and training.
.venv/.runs: $(UV) requirements/run.lock requirements/build.lock pyproject.toml
	test -d .venv || $(UV) venv --quiet --python $(TOOLS)/bin/python .venv
	$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(BIN)/python -r requirements/run.lock -r requirements/build.lock
	$(UV) pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .
	touch $@

.venv/.ready: $(UV) requirements/dev.lock pyproject.toml
	test -d .venv || $(UV) venv --quiet --python $(TOOLS)/bin/python .venv
	$(UV) pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements/dev.lock
	$(UV) pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .
	touch .venv/.runs $@

lock: $(UV)
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 pyproject.toml -o requirements/run.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --extra dev pyproject.toml requirements/build.in -o requirements/dev.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 requirements/tools.in -o requirements/tools.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 requirements/build.in -o requirements/build.lock

demo: .venv/.runs
	$(BIN)/fraudgraph demo --out demo-out

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: setup
	$(BIN)/python -m benchmarks

# The crash matrix and the kills in full, with their counts; some hours on two cores. The tests' own defaults are what CI runs.
soak: export FRAUDGRAPH_TEST_SEEDS = 40
soak: export FRAUDGRAPH_TEST_NEO4J_SEEDS = 20
soak: export FRAUDGRAPH_TEST_KILLS = 500
soak: export FRAUDGRAPH_TEST_PRODUCTION_KILLS = 55
soak: export FRAUDGRAPH_TEST_WRITER_KILLS = 20
soak: export FRAUDGRAPH_TEST_SERVER_KILLS = 10
soak: setup
	$(BIN)/python -m pytest -q -s --durations=10 tests/simulation/test_daemon_crash.py tests/simulation/test_daemon_crash_neo4j.py tests/simulation/test_stores_crash.py tests/integration/test_cli_daemon.py tests/integration/test_cli_daemon_neo4j.py tests/integration/test_stores_neo4j.py

clean:
	rm -rf .venv $(TOOLS) .coverage* demo-out
