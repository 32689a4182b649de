# What can be typed here. `make help` lists it; each subject has its own file under make/.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
PYTHON := $(VENV)/bin/python
# Ansible and molecule look their own commands up on PATH.
export PATH := $(abspath $(VENV))/bin:$(PATH)
# Without it every molecule command looks for extensions/molecule and warns.
export MOLECULE_GLOB := molecule/*/molecule.yml

include make/*.mk

.PHONY: help
help: ## List what can be typed here
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
