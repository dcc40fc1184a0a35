# Everything a new machine needs is Python 3.11 and make: every target sets up its own environment first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Named before the other packages are installed, or they would take the newest build, with gigabytes for GPUs.
TORCH ?= 2.13.0
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install browser demo test check bench bench-adapt clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## create .venv and install Rejoinder with its test tools

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==$(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,whisper,llm,train,serve]'
	touch $@

browser: ## install Chromium for the report's tests, where this may be done
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit; done; \
	{ [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	|| echo "no Chromium: the report's browser tests are skipped; on Debian, type: sudo apt-get install chromium"

demo: install ## hear and answer real recorded customers of the example cafe
	$(BIN)/rejoinder demo

check: install ## lint and type-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check browser ## lint, type-check and run every test
	$(BIN)/pytest

bench: install ## measure latency, speed, memory and accuracy; writes benchmarks/results.json
	$(BIN)/python -m benchmarks.run

bench-adapt: install ## adapt every stage and measure it before and after; writes benchmarks/adapt.json
	$(BIN)/python -m benchmarks.adapt

clean: ## remove what the targets made
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis
