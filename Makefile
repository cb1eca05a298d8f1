# Everything a fresh machine needs is python3 with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: demo compare test check format clean

# The live demo, until Ctrl-C or for DURATION=30s: a server, 1,000 bots, the dashboard.
demo: $(READY)
	@$(BIN)/python -m tools.demo $(if $(DURATION),--time $(DURATION)) $(if $(BOTS),--bots $(BOTS))

# Three ways to deliver, the same bots against each: a table, and compare.html with plots.
compare: $(READY)
	@$(BIN)/python -m tools.compare --html compare.html $(if $(PLAYERS),--players $(PLAYERS))

test: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV)

# uvloop has no wheel for every system: without it the server runs on asyncio.
$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[speed]'
	@touch $@
