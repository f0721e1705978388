# `sam build` runs this for each function and layer of template.yaml: they are made of the installed
# framework, and the agents' layer of this project. It runs in a scratch copy of this folder, but
# names this file by its own path, from where the project is found.
PROJECT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))../..)
FRAMEWORK := $(firstword $(wildcard $(PROJECT)/.venv/bin/python) python3) -m agentrun_project.project_build
# Must equal the template's parameter Architecture.
ARCH ?= arm64

build-%:
	@$(FRAMEWORK) $* "$(ARTIFACTS_DIR)" --architecture $(ARCH) --project "$(PROJECT)"
