# framegate: `make` alone lists the targets. Needs python3 >= 3.10 with venv, make and git.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
MADE   := $(VENV)/.made
READY  := $(VENV)/.installed
TESTED := $(VENV)/.installed-test
FLEET := $(VENV)/.installed-fleet
BENCHED := $(VENV)/.installed-bench
PACKED := setup.cfg pyproject.toml
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup
# below a short folder, for a socket's path has room for 107 bytes; kept if a test fails
TRY    := base=$$(mktemp -dut fg.XXXXXX) && $(PYTEST) --basetemp $$base
TRIED  := && rm -rf $$base

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: setup cases help demo fleet check fast long test policy bench bench-load soak mutants clips hil pico deb arm64 clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) clips ## set up: then .venv/bin/framegate init, and a daemon runs

demo: $(READY) clips ## set up, run the whole product on real footage, write the report
	@$(BIN)/framegate demo $(ARGS)

fleet: $(FLEET) clips ## a broker, a witness, three guards, a page and a TUF repository; one log forks (ARGS=--once to end after the alarm)
	@$(BIN)/python -m bench.fleet.demo $(ARGS)

fast: check clips ## about two minutes: every test but whole guards and slow ones
	@$(TRY) -m "not guard and not slow and not long" $(ARGS) $(TRIED)

test: check clips ## set up, check the style and run every test (ARGS='-k gate' for some)
	@$(TRY) -m "not long" $(ARGS) $(TRIED)

long: $(TESTED) clips ## what `make test` tries in part: more seeds, more recordings, 100,000 gate steps
	@FRAMEGATE_STEPS=100000 $(PYTEST) tests/frames/test_gate_machine.py $(ARGS)
	@$(TRY) -m long $(ARGS) $(TRIED)
	@$(BIN)/python -m tests.fuzz

check: $(TESTED) ## seconds: style, types, and that no import points upwards
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "make: run '$(BIN)/ruff format .'" >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/framegate policy lint --warnings >&2
	@found=$$(PYTHONPATH=. $(BIN)/lint-imports 2>&1) || { echo "$$found" | sed -n "/^Contracts$$/,\$$p" >&2; exit 1; }

hil: $(TESTED) ## the board suite in full: process, emulated board, real one (PORT=/dev/ttyACM0 KEY=FILE)
	@if command -v npm >/dev/null; then $(MAKE) pico; else echo "no npm: the RP2040 image is not run"; fi
	@$(BIN)/framegate board test --process --rounds 50
	@$(BIN)/framegate board test --emulated --rounds 50
	@$(BIN)/framegate board cost
	@$(BIN)/python -m pytest tests/hil --emulated -rs $(if $(PORT),--board $(PORT) --board-key $(KEY)) $(ARGS)

pico: $(MADE) ## fetch the emulated RP2040 from npm, for the tests on the image that flashes a real one
	@npm install --no-save --silent --no-audit --no-fund --prefix $(VENV) rp2040js@1.4.1

policy: $(TESTED) ## both policy packs against a plain second reading, 100,000 random requests
	@$(BIN)/python -m tests.conformance.differential $(ARGS)

bench: $(BENCHED) ## measure the gate beside every peer that can run here (ARGS=--quick)
	@$(BIN)/framegate bench $(ARGS)

bench-load: $(BENCHED) ## the gate with both cores saturated, minutes long
	@$(BIN)/python -m bench.gate.load $(ARGS)

soak: $(TESTED) clips ## an hour: the whole daemon with churn (MINUTES=60), a million gate steps, 1,000 kills
	@FRAMEGATE_STEPS=1000000 $(BIN)/python -m pytest tests/frames/test_gate_machine.py $(ARGS)
	@$(BIN)/python -m bench.audit.kills --kills 1000
	@$(BIN)/python -m bench.soak.run --minutes $(or $(MINUTES),60)

arm64: $(TESTED) clips ## the suite on an emulated ARM computer with its board (MACHINE=pi-5-class, ARGS=--all)
	@$(BIN)/framegate device test $(if $(MACHINE),--machine $(MACHINE)) $(ARGS)

cases: $(TESTED) clips ## inputs that strangers bring, each with what is right and what is found (ARGS=recordings)
	@$(BIN)/python -m tests.cases $(ARGS)

mutants: $(BENCHED) ## change lease, gate and policy loader in every small way; a test must notice (ARGS='edge.lease.*')
	@$(BIN)/python -m bench.mutants $(ARGS)

deb: $(READY) ## the Debian package, in dist/ (needs dpkg-deb; for the python3 of this system)
	@$(BIN)/python -m deb.build --out dist $(ARGS)

clips: $(READY) ## fetch the demo clips and the face detector
	@$(BIN)/framegate models check >/dev/null || $(BIN)/framegate models pull

clean: ## remove the virtual environment and everything built
	@rm -rf $(VENV) build dist out mutants *.egg-info .pytest_cache .mypy_cache .ruff_cache \
	  .hypothesis .benchmarks .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
	  || { echo "make: needs python3 >= 3.10 (or name one: make PYTHON=python3.12)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "make: $(PYTHON) has no venv; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(READY): $(MADE) $(PACKED)
	@echo "installing framegate into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(FLEET): $(READY) $(PACKED)
	@echo "installing what a fleet needs"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[mqtt,tuf]'
	@touch $@

$(TESTED): $(READY) $(PACKED)
	@echo "installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

$(BENCHED): $(TESTED) $(PACKED)
	@echo "installing what the benchmarks compare with"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,bench]'
	@touch $@
