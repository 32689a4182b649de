# The control node, the lab, and the demo. `lab/README.md` says what the lab is.
DEMO := -i inventories/demo

.PHONY: setup lab lab-down demo demo-down scenarios

setup: $(VENV)/.installed ## Make the virtual environment that everything here runs in

# Debian keeps what `python3 -m venv` needs in a package of its own.
$(VENV)/.installed: requirements.txt requirements-dev.txt
	python3 -c 'import ensurepip' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	touch $@

lab: ## Start the Docker engine and the registry, and make the images for hosts
	lab/lab up

lab-down: ## Remove every host of the lab, and stop what it started
	lab/lab down

demo: setup lab ## Serve a model on one host on this machine, from nothing to a proven answer
	ansible-playbook $(DEMO) molecule/shared/create.yml molecule/shared/prepare.yml
	ansible-playbook $(DEMO) site.yml -l gpu_hosts
	$(PYTHON) -m lab.demo

demo-down: ## Remove every host of the lab, and its images, registry and models
	lab/lab down --purge

scenarios: setup lab ## Run the scenarios: every part real, only the GPU simulated
	molecule test --all
