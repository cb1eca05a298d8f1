# Everything a fresh machine needs is python3 with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
FUZZ := $(VENV)/fuzz
FUZZ_TIME ?= 60s
TARGET ?= all

.PHONY: help demo test fuzz soak compare picture check bench format clean

help: ## list what make can do
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '  make %-8s %s\n' "$$name" "$$text"; done

demo: $(READY) ## a server, 1,000 bots and the dashboard, until Ctrl-C; or DURATION=30s BOTS=200 GATEWAYS=2
	@$(BIN)/python -m zonetools.demo $(if $(DURATION),--time $(DURATION)) $(if $(BOTS),--bots $(BOTS)) $(if $(GATEWAYS),--gateways $(GATEWAYS))

compare: $(READY) ## three ways to deliver against the same bots: a table and compare.html
	@$(BIN)/python -m zonetools.compare --html compare.html $(if $(PLAYERS),--players $(PLAYERS))

picture: $(READY) ## draw the dashboard of README.md anew, from a minute of a real run
	@$(BIN)/python -m zonetools.picture docs/dashboard.svg

# In four processes: most tests wait for something more than they work. They start hundreds of programs. Where the
# environment forbids bytecode, each would compile its modules anew: a third of all CPU.
test: $(READY) ## the test suite; PROFILE=thorough tries twenty times as many examples of each property
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 4 --dist worksteal $(if $(PROFILE),--hypothesis-profile=$(PROFILE))

fuzz: $(FUZZ) ## bytes of every kind into everything that reads bytes; FUZZ_TIME=1h TARGET=gateway
	PYTHONPATH=tests $(BIN)/python -m fuzz --time $(FUZZ_TIME) $(TARGET)

check: $(READY) ## the linter, the formatter and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY) ## measure the server beside the floor that the kernel sets, on both cores; some minutes
	@$(BIN)/python -m zonetools.bench

format: $(READY) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(READY) ## measure the promises of PROMISES.md; some minutes, or less than two with QUICK=1
	$(BIN)/python -m zonetools.soak $(if $(QUICK),--quick)

clean: ## remove the virtual environment
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
