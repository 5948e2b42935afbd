# The three commands of the README. `make setup` is what the others call first.
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
STAMP := $(VENV)/.installed
export PATH := $(BIN):$(PATH)

.PHONY: setup run test bench lock

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

# Pins what pyproject.toml allows; run by hand when a dependency changes.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev \
	  --no-emit-index-url --no-header --output-file requirements.lock pyproject.toml
