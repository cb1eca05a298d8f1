# Everything a fresh machine needs is python3 with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: demo test check format soak clean

# The live demo, until Ctrl-C or for DURATION=30s: a server, 1,000 bots, the dashboard.
demo: $(READY)
	@$(BIN)/python -m tools.demo $(if $(DURATION),--time $(DURATION)) $(if $(BOTS),--bots $(BOTS))

test: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The promises of PROMISES.md, measured: some minutes, or less than one with QUICK=1.
soak: $(READY)
	$(BIN)/python -m tools.soak $(if $(QUICK),--quick)

clean:
	rm -rf $(VENV)

# uvloop has no wheel for every system: without it the server runs on asyncio.
$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[speed]'
	@touch $@
