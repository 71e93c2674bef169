# Every target sets up what it needs: Python 3.11+, pip, make and git are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(PYTHON) -m pip --python $(BIN)/python install --quiet

.PHONY: demo test check lint schemas bench torture lock clean

demo: $(VENV)/.ready
	@$(BIN)/finexio-mcp demo

test: $(VENV)/.ready-dev
	$(BIN)/pytest

check: lint test

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/finexio-mcp schemas --check

schemas: $(VENV)/.ready
	$(BIN)/finexio-mcp schemas --write

bench: $(VENV)/.ready-dev
	$(BIN)/python -m bench

# Kills processes that pay; STORM="--rounds 1 --seed 7" and the like choose the storm.
torture: $(VENV)/.ready-dev
	$(BIN)/python -m tests.torture $(STORM)

# Needs uv; the locks hold hashes and no addresses.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
		-q pyproject.toml --extra postgres --extra metrics --extra tracing --group build -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
		-q pyproject.toml --all-extras --group build --group test --group check -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) .pytest_cache .hypothesis .ruff_cache dist

$(VENV)/.ready: requirements.lock pyproject.toml
	@echo "Setting up $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.lock
	@echo "Setting up the tools for tests and checks ..."
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@
