# What the Makefiles of layers and functions share. `sam build` runs them from a scratch copy of
# their folder, but names them by their own path, from where the repository is found.
ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)
PYTHON := $(firstword $(wildcard $(ROOT)/.venv/bin/python) python3)
# Must equal the template's parameter Architecture.
ARCH ?= arm64
BUILD := $(PYTHON) $(ROOT)/local/agentrun_project/build.py
