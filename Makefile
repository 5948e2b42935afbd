# The three commands of the README. `make setup` is what `make run` calls first; `make test` adds the tests' tools.
PYTHON ?= python3
PROCFILE ?= Procfile
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
export PATH := $(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE # some images set it: each process, and each worker of the tests, would compile it all

.PHONY: setup run check test soak long bench bench-short peers lock clients

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ibstream needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip uninstall --quiet --yes nautilus_ibapi ibapi-latest ibapi 2> /dev/null # one package `ibapi` at a time
	@$(PIP) --requirement requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@$(PIP) --requirement requirements-dev.lock
	@touch $@

# Settings come from the environment and from .env. A wrong one ends this here, before anything starts.
run: setup
	@python -m services.cli.run $(PROCFILE)

# IB's client under its other names and ages, apart from the one that is installed: the gateway must run on each.
.venvs/ibapi-9.81.1/ibapi: PACKAGE := ibapi==9.81.1.post1
.venvs/nautilus_ibapi-10.46.1/ibapi: PACKAGE := nautilus_ibapi==10.46.1
.venvs/ibapi-latest-10.51.1/ibapi: PACKAGE := ibapi-latest==10.51.1
.venvs/ib_insync-0.9.86/ib_insync: PACKAGE := ib_insync==0.9.86
OTHER_CLIENTS := $(addprefix .venvs/,$(addsuffix /ibapi,ibapi-9.81.1 nautilus_ibapi-10.46.1 ibapi-latest-10.51.1)) \
    .venvs/ib_insync-0.9.86/ib_insync

$(OTHER_CLIENTS): $(VENV)/.installed
	@$(PIP) --no-deps --upgrade --target $(@D) $(PACKAGE)
	@touch $@

# Large clients of other people, each in an environment of its own, for `pytest -m tools`.
.venvs/stoqey-1.6.10/node_modules:
	@npm install --silent --no-fund --no-audit --prefix $(@D) @stoqey/ib@1.6.10
.venvs/nautilus-trader-1.221.0/.installed:
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check "nautilus_trader[ib]==1.221.0"
	@touch $@
clients: .venvs/stoqey-1.6.10/node_modules .venvs/nautilus-trader-1.221.0/.installed

# Tests at a time: real processes are waited for most of the time, and three leave two cores idle for 40 % of it.
JOBS ?= 5

# What a change must pass before anything else, in under a minute: no process is started, Hypothesis tries a tenth.
# mypy runs beside the tests and speaks after them. Their files are in memory where there is room for them.
QUICK := -m "not slow and not tools and not nightly and not hours" tests/simulation tests/unit
check: $(VENV)/.installed-dev
	ruff check .
	ruff format --check .
	lint-imports
	@mkdir -p .mypy_cache; mypy > .mypy_cache/said 2>&1 & types=$$!; \
	[ "$$(df --output=avail /dev/shm 2> /dev/null | tail -n 1)" -gt 2000000 ] 2> /dev/null && export TMPDIR=/dev/shm; \
	TEST_EXAMPLES=quick pytest --numprocesses logical --dist worksteal $(QUICK); tests=$$?; \
	wait $$types; types=$$?; echo mypy; cat .mypy_cache/said; exit $$((tests | types))

test: $(VENV)/.installed-dev $(OTHER_CLIENTS)
	pytest --numprocesses $(JOBS) --dist worksteal

# Everything runs for so many seconds, under faults; exits 1 with a sentence for what leaks, is lost or does not heal.
soak: $(VENV)/.installed-dev
	python -m tests.soak --seconds $(or $(IBSTREAM_SOAK_SECONDS),1200)

# The long forms of the tests, see tests/README.md: forty minutes.
long:
	.ci/long

# Half an hour on two quiet cores; `make bench NAMES="decode gateway"` runs the named ones.
bench: $(VENV)/.installed-dev
	python -m tests.benchmarks $(NAMES)

bench-short: $(VENV)/.installed-dev
	python -m tests.benchmarks --short $(NAMES)

# The clients that we are compared with, in environments of their own; benchmarks make them when needed.
peers: $(VENV)/.installed-dev
	python -m tests.benchmarks.peers

PINS := --quiet --universal --python-version 3.11 --all-extras --no-emit-index-url --no-header

# Pins what pyproject.toml allows; run by hand when a dependency changes.
lock:
	uv pip compile $(PINS) --group dev --output-file requirements-dev.lock pyproject.toml
	uv pip compile $(PINS) --group build --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml
