.DEFAULT_GOAL := help
SHELL := /bin/bash

# The Lambda runtime is 3.13; the laptop may have any Python from 3.11 on.
PYTHON ?= python3
BIN := .venv/bin
# Where images set it, every process would compile its modules anew, and pytest rewrite all tests.
unexport PYTHONDONTWRITEBYTECODE
READERS := tests/readers/node
TS_CLIENT := clients/typescript
CLIENTS := tests/clients/node
PLAYGROUND := playground
DRAWING := tests/diagrams
ISSUER := tests/browser/deployed/issuer

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: setup
setup: .venv/.ready ## Create .venv with everything that is pinned in requirements/dev.txt

# The lock names every package with its hashes, so --no-deps: pip has nothing left to resolve. What is
# imported is compiled then, which is a third of all.
.venv/.ready: requirements/dev.txt pyproject.toml clients/python/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "agentrun needs Python 3.11 or newer; try: make setup PYTHON=python3.13"; exit 1; }
	@echo "Setting up .venv (once, a minute or two) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable clients/python --editable .
	@touch $@

.PHONY: dev
dev: setup ## Run the whole stack on this machine and print a ready curl line
	@$(BIN)/agentrun dev $(ARGS)

.PHONY: doctor
doctor: setup ## Look for what would make a deployment fail, with your AWS credentials, read only
	@$(BIN)/agentrun doctor $(ARGS)

.PHONY: test
test: setup ## Run the tests; offline
	@# Four at a time on two cores: half of them wait for leases and processes, not for the CPU.
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# Not in `check`: hours; the tests play fewer.
.PHONY: schedules
schedules: setup ## Play every schedule of actors that meet in the store, and print how many there were
	@$(BIN)/python -m tests.schedules $(ARGS)

# Not in `check`, which has a short one: it goes on for as long as it is told to.
.PHONY: simulation
simulation: setup ## Look for schedules that break a promise; ARGS="--minutes 60 --store moto"
	@$(BIN)/python -m tests.simulation $(ARGS)

# Not in `check`, which has a small one: ten minutes for 100 runs, on two cores that have little else to do.
.PHONY: endurance
endurance: setup ## Kill the executors of 100 runs, and let runs outlast their functions; ARGS="kills --seed 2"
	@$(BIN)/python -m tests.endurance $(ARGS)

# Not in `check`: a figure to look at, not a threshold. What runs in processes of its own is left out.
.PHONY: coverage
coverage: setup ## Measure what the tests that run in process cover, and print a table
	@$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term tests/unit tests/contract tests/integration $(ARGS)

.PHONY: lint
lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/lint-imports --no-cache
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml layers functions local

.PHONY: check
check: lint project-check $(if $(TESTED),,test) lock-check template-check ## What CI checks, but for rehearse, readers, clients, browser, audit and docs; TESTED=1 skips the tests

.PHONY: project-check
project-check: setup ## Find what is wrong with agents, tools and parameters before they are built
	@$(BIN)/agentrun check --strict

.PHONY: template-check
template-check: setup
	@SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-west-1 $(BIN)/sam validate --lint
	@# The line above lints what SAM is given, this one what CloudFormation gets from SAM.
	@AWS_DEFAULT_REGION=eu-west-1 $(BIN)/python -m tests.template_check

# Not in `check`: some minutes. It needs the package registry.
.PHONY: rehearse
rehearse: setup .venv/ministack/.ready .venv/awscli/.ready ## Build the artefacts, run them, and deploy them to a stand-in for AWS
	@$(BIN)/python -m pytest tests/deploy $(ARGS)

# The stand-in runs the built functions itself, so it needs the runtime's Python. Without one there
# is nothing to rehearse, and the tests say so.
.venv/ministack/.ready: requirements/ministack.txt | .venv/.ready
	@python="$$($(BIN)/python -c 'from agentrun_project.build import runtime_python; print(runtime_python() or "")')"; \
		test -z "$$python" || { $(call environment,ministack,$$python) && touch $@; }

# An environment of its own for a tool that pins what the project does not: its name, its Python.
environment = $(BIN)/uv venv --quiet --clear --python $(2) .venv/$(1) \
	&& $(BIN)/uv pip install --quiet --require-hashes --no-deps --python .venv/$(1)/bin/python -r requirements/$(1).txt

# Not in `check`: a minute. It needs two package registries; without Node or a JDK, the tests of
# their readers are skipped.
.PHONY: readers
readers: setup .venv/readers/.ready $(if $(shell command -v npm),$(READERS)/node_modules/.ready) ## Try the recipes of docs/readers.md with the real packages
	@$(BIN)/python -m pytest tests/readers $(ARGS)

.venv/readers/.ready: requirements/readers.txt | .venv/.ready
	@$(call environment,readers,$(BIN)/python) && touch $@

# A script of a package has nothing to do here, so none is run.
$(READERS)/node_modules/.ready: $(READERS)/package-lock.json $(READERS)/package.json
	@npm ci --prefix $(READERS) --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@

# Not in `check`: a minute. They need a package registry and Node; without npm there is nothing to do.
.PHONY: clients
clients: setup $(if $(shell command -v npm),clients-typescript clients-python playground-check) ## Check the clients and the playground as their users' own tools do: types, lint, tests, packages, size

.PHONY: clients-typescript clients-python playground-check browser-tests
clients-typescript: setup $(TS_CLIENT)/node_modules/.ready
	@npm --prefix $(TS_CLIENT) run --silent check
	@$(BIN)/python -m pytest tests/clients/typescript $(ARGS)

clients-python: setup $(CLIENTS)/node_modules/.ready
	@$(CLIENTS)/node_modules/.bin/pyright --project tests/clients/python/pyrightconfig.json

# Scripts of packages are not run here, either: esbuild's only looks whether its binary is there.
$(TS_CLIENT)/node_modules/.ready: $(TS_CLIENT)/package-lock.json $(TS_CLIENT)/package.json
	@npm ci --prefix $(TS_CLIENT) --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@

$(CLIENTS)/node_modules/.ready: $(CLIENTS)/package-lock.json $(CLIENTS)/package.json
	@npm ci --prefix $(CLIENTS) --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@

.PHONY: dist
dist: setup $(if $(shell command -v npm),$(TS_CLIENT)/node_modules/.ready) ## Build the packages of a release into dist/; that for JavaScript needs npm
	@rm -rf dist
	@$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir dist .
	@$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir dist clients/python
	@$(if $(shell command -v npm),cd $(TS_CLIENT) && npm pack --silent --pack-destination $(CURDIR)/dist >/dev/null,echo "There is no npm: the package for JavaScript is left out.")
	@ls dist

# Its built files are committed, so that nobody else needs Node.
.PHONY: playground
playground: $(PLAYGROUND)/node_modules/.ready $(TS_CLIENT)/dist/index.js ## Build the playground's files after a change of its sources; needs Node 20
	@npm --prefix $(PLAYGROUND) run --silent build

playground-check: clients-typescript $(PLAYGROUND)/node_modules/.ready
	@npm --prefix $(PLAYGROUND) run --silent check

$(TS_CLIENT)/dist/index.js: $(wildcard $(TS_CLIENT)/src/*.ts $(TS_CLIENT)/src/*/*.ts) | $(TS_CLIENT)/node_modules/.ready
	@npm --prefix $(TS_CLIENT) run --silent build

# The client is a link to its folder, and finds its own packages there.
$(PLAYGROUND)/node_modules/.ready: $(PLAYGROUND)/package-lock.json $(PLAYGROUND)/package.json | $(TS_CLIENT)/node_modules/.ready
	@npm ci --prefix $(PLAYGROUND) --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@

# Not in `check`: two minutes. Without Chromium, its driver and npm there is nothing to do.
CHROMIUM := $(and $(shell command -v chromium),$(shell command -v chromedriver),$(shell command -v npm))
.PHONY: browser
browser: setup $(if $(CHROMIUM),browser-tests) ## Try the playground in a real browser; needs chromium, chromium-driver and npm
	@$(if $(CHROMIUM),,echo "There is no chromium, chromedriver or npm: nothing is tried.")

# Two at a time: half of them wait for leases and answers. Each process has a stack and a browser.
browser-tests: .venv/browser/.ready $(PLAYGROUND)/node_modules/.ready $(ISSUER)/node_modules/.ready
	@.venv/browser/bin/python -m pytest --config-file tests/browser/pytest.ini --rootdir . --confcutdir tests/browser tests/browser $(or $(ARGS),-n 2 --dist loadfile)

$(ISSUER)/node_modules/.ready: $(ISSUER)/package-lock.json $(ISSUER)/package.json
	@npm ci --prefix $(ISSUER) --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@

.venv/browser/.ready: requirements/browser.txt | .venv/.ready
	@$(call environment,browser,$(BIN)/python) && touch $@

# The token goes by the environment: arguments can be seen by everybody on this machine.
.PHONY: smoke
smoke: export AGENTRUN_TOKEN := $(or $(TOKEN),$(AGENTRUN_TOKEN))
smoke: setup ## Try a deployed stack from outside, STACK=agentrun TOKEN=...; without STACK the local one
	@$(BIN)/agentrun smoke $(if $(STACK),--stack "$(STACK)") $(ARGS)

# Not in `check`: 200 MB to install and 15 s to run, for files that seldom change.
.PHONY: audit
audit: setup .venv/checkov/.ready .venv/pip-audit/.ready ## Check the template by checkov's rules, packages for known vulnerabilities
	@.venv/checkov/bin/checkov --file template.yaml --framework cloudformation --compact --quiet --skip-download
	@$(BIN)/python requirements/audit.py $(ARGS)

.venv/awscli/.ready: requirements/awscli.txt | .venv/.ready
	@$(call environment,awscli,$(BIN)/python) && touch $@

.venv/checkov/.ready: requirements/checkov.txt | .venv/.ready
	@$(call environment,checkov,$(BIN)/python) && touch $@

.venv/pip-audit/.ready: requirements/pip-audit.txt | .venv/.ready
	@$(call environment,pip-audit,$(BIN)/python) && touch $@

.PHONY: lock
lock: setup ## Compile the hashed requirement files from pyproject.toml and layers/agents/requirements.txt
	@$(BIN)/python requirements/lock.py

.PHONY: lock-check
lock-check: setup
	@$(BIN)/python requirements/lock.py --check

.PHONY: build
build: setup project-check ## Build the functions and layers as they are deployed; ARCH=arm64 (default) or x86_64
	@SAM_CLI_TELEMETRY=0 $(BIN)/sam build

.PHONY: deploy
deploy: setup ## Check, build and deploy; ARGS="--config-env prod" for another stack of samconfig.toml
	@$(BIN)/agentrun deploy $(ARGS)

# Not in `check`: it needs an environment of its own. The notice is Material's, of its successor.
.PHONY: docs
docs: setup .venv/docs/.ready ## Build the docs into site/ and fail on a broken link; ARGS=serve serves them
	@NO_MKDOCS_2_WARNING=1 .venv/docs/bin/mkdocs $(or $(ARGS),build)

# The drawings are committed, so that nobody else needs Node or Chromium.
.PHONY: diagrams
diagrams: setup $(DRAWING)/node_modules/.ready ## Draw the documentation's diagrams after a change; needs Node and chromium
	@$(BIN)/python -m tests.diagrams

$(DRAWING)/node_modules/.ready: $(DRAWING)/package-lock.json $(DRAWING)/package.json
	@npm ci --prefix $(DRAWING) --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@

.venv/docs/.ready: requirements/docs.txt | .venv/.ready
	@$(call environment,docs,$(BIN)/python) && touch $@

# BEFORE is another checkout, measured beside this one; PEERS=1 brings in a peer of its own packages.
.PHONY: bench
bench: setup .venv/bench/.ready $(if $(PEERS),.venv/strands/.ready) ## Measure, and print tables; BEFORE=/another/checkout PEERS=1 ARGS=cold_start
	@BEFORE="$(BEFORE)" PEERS="$(PEERS)" $(BIN)/python -m bench $(ARGS)

# Without the runtime's Python the functions are measured on this one, and the table says so.
.venv/bench/.ready: requirements/bench.txt | .venv/.ready
	@python="$$($(BIN)/python -c 'from agentrun_project.build import runtime_python; print(runtime_python() or "")')"; \
		test -z "$$python" || { $(call environment,bench,$$python) && touch $@; }

.venv/strands/.ready: requirements/strands.txt | .venv/bench/.ready
	@python=.venv/bench/bin/python; test -x "$$python" || python=$(BIN)/python; \
		$(call environment,strands,"$$python") && touch $@

# Not in `check`: ten minutes, for figures to look at. It needs the package registry.
PEERS_COMPARED := agentcore agno dbos fastapi langgraph
.PHONY: compare
compare: setup $(PEERS_COMPARED:%=.venv/peers/%/.ready) ## Ask Agentrun and its peers the same questions, and print docs/why.md's table; ARGS="kills --peer Agno"
	@$(BIN)/python -m bench.peers $(ARGS)

.venv/peers/%/.ready: requirements/peers/%.txt | .venv/.ready
	@$(call environment,peers/$*,$(BIN)/python) && touch $@

.PHONY: clean
clean: ## Remove what the targets above have made
	@rm -rf .venv $(CLIENTS)/node_modules $(DRAWING)/node_modules $(READERS)/node_modules $(READERS)/eventsource-3/node_modules $(TS_CLIENT)/node_modules $(TS_CLIENT)/dist $(PLAYGROUND)/node_modules $(ISSUER)/node_modules .agentrun .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist site
