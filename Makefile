# Everything a fresh machine needs is python3 with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
FUZZ := $(VENV)/fuzz
FUZZ_TIME ?= 60s
TARGET ?= all

.PHONY: demo test fuzz soak compare picture check bench format clean

# The live demo, until Ctrl-C or for DURATION=30s: a server, 1,000 bots, the dashboard.
demo: $(READY)
	@$(BIN)/python -m zonetools.demo $(if $(DURATION),--time $(DURATION)) $(if $(BOTS),--bots $(BOTS))

# Three ways to deliver, the same bots against each: a table, and compare.html with plots.
compare: $(READY)
	@$(BIN)/python -m zonetools.compare --html compare.html $(if $(PLAYERS),--players $(PLAYERS))

# The dashboard of README.md, docs/dashboard.svg, drawn anew from a minute of a real run.
picture: $(READY)
	@$(BIN)/python -m zonetools.picture docs/dashboard.svg

# In four processes: most tests wait for something more than they work.
test: $(READY)
	$(BIN)/python -m pytest -n 4

# Bytes of every kind into everything that reads bytes: make fuzz FUZZ_TIME=1h TARGET=gateway
fuzz: $(FUZZ)
	PYTHONPATH=tests $(BIN)/python -m fuzz --time $(FUZZ_TIME) $(TARGET)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The server beside the floor, and its pieces: some minutes on both cores, best with nothing else running.
bench: $(READY)
	@$(BIN)/python -m zonetools.bench

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The promises of PROMISES.md, measured: some minutes, or less than one with QUICK=1.
soak: $(READY)
	$(BIN)/python -m zonetools.soak $(if $(QUICK),--quick)

clean:
	rm -rf $(VENV) .fuzz

# uvloop has no wheel for every system: without it the server runs on asyncio.
$(READY): pyproject.toml
	@echo "Installing into $(VENV): once, in less than a minute with a fast connection to the package index."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[speed]'
	@touch $@

# atheris has a wheel for few systems: without it hypothesis does the work.
$(FUZZ): $(READY)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary atheris --editable '.[fuzz]'
	@touch $@
