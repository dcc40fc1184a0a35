# Everything a new machine needs is Python 3.11 and make: every target sets up its own environment first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Named before the other packages are installed, or they would take the newest build, with gigabytes for GPUs.
TORCH ?= 2.13.0
VENV := .venv
# One more than there are cores: many tests wait for a process, a browser, or a caller who speaks at the pace of speech.
TESTERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
CLIENTS ?= $(HOME)/.cache/rejoinder/clients
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install programs clients demo test check bench bench-adapt bench-serve bench-capacity bench-cluster clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## create .venv and install Rejoinder with its test tools

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==$(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,whisper,llm,train,serve,webrtc,riva,traces,postgres,ray]'
	touch $@

PROGRAMS := chromium:chromium initdb:postgresql baresip:baresip-core sipp:sip-tester node:nodejs npm:npm
programs: ## install other people's programs that tests run (a browser, a database, telephones), where this may be done
	@packages=""; for one in $(PROGRAMS); do \
	command -v $${one%%:*} >/dev/null || ls /usr/lib/postgresql/*/bin/$${one%%:*} >/dev/null 2>&1 || packages="$$packages $${one##*:}"; done; \
	[ -z "$$packages" ] || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends $$packages >/dev/null; } \
	|| echo "tests that need these are skipped; on Debian, type: sudo apt-get install$$packages"

clients: ## install the clients that the server is tested with, in a folder of their own: they want other versions than we do
	@test -f $(CLIENTS)/.installed || { $(PYTHON) -m venv $(CLIENTS)/python \
	&& $(CLIENTS)/python/bin/pip install --quiet --disable-pip-version-check 'pipecat-ai[openai]==1.14.0' 'livekit-plugins-openai==1.8.9' \
	&& { ! command -v npm >/dev/null || npm install --silent --prefix $(CLIENTS) @openai/agents-realtime@0.20 zod; } \
	&& touch $(CLIENTS)/.installed; } || echo "not all clients could be installed: their tests are skipped"

demo: install ## hear and answer real recorded customers of the example cafe
	$(BIN)/rejoinder demo

check: install ## lint and type-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check programs clients ## lint, type-check and run every test
	$(BIN)/pytest -n $(TESTERS) --dist loadfile

bench: install ## measure latency, speed, memory and accuracy; writes benchmarks/results.json
	$(BIN)/python -m benchmarks.run

bench-adapt: install ## adapt every stage and measure it before and after; writes benchmarks/adapt.json
	$(BIN)/python -m benchmarks.adapt

bench-serve: install ## put the server under load; writes benchmarks/serve.json
	$(BIN)/python -m benchmarks.serve

bench-capacity: install ## what more callers take, by a simulation; writes the tables of docs/scaling.md
	$(BIN)/python -m benchmarks.capacity --markdown

bench-cluster: install ## serve and adapt on a cluster of several nodes on this machine; writes benchmarks/cluster.json
	$(BIN)/python -m benchmarks.cluster
	$(BIN)/python -m benchmarks.cluster_adapt

clean: ## remove what the targets made
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis
