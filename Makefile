# `make` alone lists the targets.

PYTHON ?= python3
UV ?= uv
VENV := .venv
BIN := $(VENV)/bin
RUN_COMMAND ?= $(BIN)/ingestion-server serve --sandbox --first-fetch AAPL
OUT ?= generated
REFERENCE ?= docs/api.md
OBSERVABILITY ?= docs/observability.md

# Each stamp is as old as the last installation of its lock file.
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
# pip leaves this out where PYTHONDONTWRITEBYTECODE is set, and then each start takes
# twice as long. Some packages ship templates that are no Python, so its status is none.
COMPILEALL := $(BIN)/python -m compileall -qq -j 0 \
	$(VENV)/lib ingestion_server generated || true
PROTOC := $(BIN)/python -m grpc_tools.protoc -I protos \
	--plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test bench check format generate checkgenerate lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

# `exec` leaves no shell between make and the server: each signal arrives once, and a
# clean end is not reported as an error.
run: $(RUNTIME) ## Start the server with simulated vendors; Ctrl-C stops it
	@exec $(RUN_COMMAND)

test: $(DEV) ## Run every test, and measure the coverage
	$(BIN)/python -m pytest --cov --cov-branch --cov-report=term-missing:skip-covered \
		--cov-fail-under=90 $(PYTEST_FLAGS)

bench: $(DEV) ## Measure start, memory and quota, and say whether all is as promised
	$(BIN)/python -m benchmarks $(BENCHMARKS)

check: $(DEV) checkgenerate ## Check everything but the tests
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/interrogate --quiet ingestion_server
	$(BIN)/buf lint
	@tag=$$(git describe --tags --abbrev=0 2>/dev/null) || exit 0; \
		echo "$(BIN)/buf breaking --against .git#tag=$$tag"; \
		exec $(BIN)/buf breaking --against ".git#tag=$$tag"
	$(BIN)/python .ci/locks.py

format: $(DEV) ## Format the code, and mend what ruff can mend
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format --quiet .

generate: $(DEV) ## Write generated/ and docs/api.md from protos/, docs/observability.md
	@rm -rf "$(OUT)/marketdata"
	@mkdir -p "$(OUT)"
	$(PROTOC) --python_out="$(OUT)" --mypy_out="quiet:$(OUT)" \
		$$(find protos -name '*.proto' | sort)
	$(PROTOC) --grpc_python_out="$(OUT)" --mypy_grpc_out="quiet:$(OUT)" \
		$$(grep --recursive --files-with-matches '^service ' protos | sort)
	@find "$(OUT)/marketdata" -type d -exec touch {}/__init__.py \;
	@touch "$(OUT)/marketdata/py.typed"
	$(BIN)/python .ci/api_reference.py "$(REFERENCE)"
	$(BIN)/python .ci/observability.py "$(OBSERVABILITY)"

checkgenerate: $(DEV) ## Check that all that is generated is what protos/ and code say
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && \
		$(MAKE) --silent --no-print-directory generate OUT="$$fresh/generated" \
			REFERENCE="$$fresh/api.md" \
			OBSERVABILITY="$$fresh/observability.md" && \
		diff --recursive --brief --exclude=__pycache__ \
			generated "$$fresh/generated" && \
		diff --brief docs/api.md "$$fresh/api.md" && \
		diff --brief docs/observability.md "$$fresh/observability.md" || \
		{ echo "what is generated is out of date: run 'make generate'" >&2; exit 1; }

lock: ## Resolve pyproject.toml into the lock files (LOCK_FLAGS=--upgrade for newer ones)
	printf '%s\n' hatchling editables | \
		$(COMPILE) $(LOCK_FLAGS) -o requirements.lock pyproject.toml -
	printf '%s\n' hatchling editables | \
		$(COMPILE) $(LOCK_FLAGS) -o requirements-dev.lock --group dev \
			--constraints requirements.lock pyproject.toml -

clean: ## Remove what the other targets made
	rm -rf $(VENV) dist build htmlcov .coverage .coverage.* .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is not Python 3.11 or newer: name one, as in" \
			"make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV); the first time takes a minute."
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(COMPILEALL)
	@touch $@

# The development lock holds the runtime lock, so it renews both stamps.
$(DEV): requirements-dev.lock requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing with development tools into $(VENV); the first time takes minutes."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(COMPILEALL)
	@touch $(RUNTIME) $@
