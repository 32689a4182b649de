# Every check that needs no host: all run, and the first that fails ends the run.
HERE := .collections/ansible_collections/gpufleet/vllm

.PHONY: lint lint-yaml lint-python lint-types lint-ansible lint-docs lint-words lint-changelog sanity format docs

lint: setup lint-yaml lint-python lint-types lint-words lint-docs lint-changelog lint-ansible sanity ## Check everything that needs no host

lint-yaml:
	yamllint --strict .

lint-python:
	ruff check .
	ruff format --check .

# Twice, because what runs on hosts must be right for Python 3.9; the rest for the Python that is here, as Ansible is. mypy is given the
# paths as Ansible imports them: ansible_collections.gpufleet.vllm.
lint-types:
	mypy --python-version 3.9 $(wildcard $(HERE)/plugins/modules $(HERE)/plugins/module_utils)
	mypy $(wildcard $(HERE)/plugins $(HERE)/tools $(HERE)/tests $(HERE)/roles/*/files/*.py $(HERE)/roles/*/files/*/*.py)
	mypy lab

lint-words:
	$(PYTHON) -m tools.check_text

lint-docs:
	$(PYTHON) -m tools.check_argument_specs
	$(PYTHON) -m tools.reference --check

lint-changelog:
	antsibull-changelog lint

# With a home of its own, so that no collection that is installed for the user hides this checkout.
lint-ansible:
	ANSIBLE_HOME=$(CURDIR)/.cache/ansible ansible-lint --offline

sanity: setup ## Run ansible-test sanity on a copy of the checkout
	tools/sanity.sh

format: setup ## Write Python as ruff formats it, and fix what it can fix
	ruff check --fix .
	ruff format .

docs: setup ## Write docs/roles, docs/modules and the tables of other pages anew from their sources
	$(PYTHON) -m tools.reference
