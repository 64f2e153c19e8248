# `make dev` and `make test` are all that a newcomer needs; each installs what it uses.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
JS := tests/js/node_modules/.installed
CLOCK := .venv/.clock

.PHONY: dev test chaos lint format bench install javascript chromium clean

dev: install
	@$(BIN)/treadle dev $(ARGS)

# Files run side by side, each group of them with a server of its own; ARGS="-n 0 ..." runs them one after the other.
test: install javascript $(CLOCK)
	@$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

# Load and kills at random for ten minutes; make chaos ARGS="--minutes 2 --seeds 7" for one seed and less of it.
chaos: install
	@$(BIN)/python -m tests.chaos $(ARGS)

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

format: install
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: install
	@$(BIN)/python -m benchmarks $(ARGS)

install: $(INSTALLED)

# Debian splits venv from Python; virtualenv from the same package index does not need ensurepip.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Treadle needs Python 3.11 or newer; run make with PYTHON=python3.12, for example." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "No venv module: apt-get install python3-venv" >&2; rm -rf .venv; exit 2; }
	@echo "Installing what Treadle needs into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable . --group dev
	@touch $(INSTALLED)

javascript: $(JS) chromium

# Node comes with the Python packages.
$(JS): $(INSTALLED) tests/js/package.json tests/js/package-lock.json
	@echo "Installing what the JavaScript tests need into tests/js/node_modules ..."
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --prefix tests/js && touch $(JS)

$(CLOCK): $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group clock
	@touch $(CLOCK)

# What is missing is only said: the tests that need it fail, and name it again.
chromium:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium, which the browser tests need ..." && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else echo "No Chromium, which the browser tests need: apt-get install chromium" >&2; fi

clean:
	rm -rf .venv .treadle .peers tests/js/node_modules build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
