# What AWX does with this checkout, as far as it can be tried without one; `docs/awx.md` says what has been.
.PHONY: awx
AWX_TOOLS := .cache/awx

awx: setup $(AWX_TOOLS)/.installed ## Configure a stand-in for AWX, run jobs in its layout, build the image of jobs on Debian
	lab/lab engine
	$(PYTHON) -m pytest tests/awx --tools $(AWX_TOOLS)

# An environment of its own: awx.awx is in no newer Ansible package.
$(AWX_TOOLS)/.installed: tests/awx/requirements.txt meta/ee-requirements.txt | $(VENV)/.installed
	$(PYTHON) -m venv $(AWX_TOOLS)
	$(AWX_TOOLS)/bin/pip install --quiet --disable-pip-version-check --requirement tests/awx/requirements.txt
	touch $@
