# What others get of this project: the artifact of Galaxy, the documentation site, the release notes. On request only.
.PHONY: galaxy site release-notes
GALAXY_TOOLS := .cache/galaxy
SITE_TOOLS := .cache/docsite

# PYTHON_OF_USERS=python3.13 for the newest that ansible-core takes, where it is not called that. One that is there may not run.
PYTHON_OF_USERS ?= $(shell python3.13 -c 'import sys; print(sys.executable)' 2>/dev/null || echo python3)
galaxy: setup $(GALAXY_TOOLS)/.installed ## Build the artifact, import it as Galaxy does, and use it from an empty folder
	$(PYTHON) -m pytest -n0 tests/galaxy --tools $(GALAXY_TOOLS) --python-of-users $(PYTHON_OF_USERS)

$(GALAXY_TOOLS)/.installed: tests/galaxy/requirements.txt | $(VENV)/.installed
	$(PYTHON) -m venv $(GALAXY_TOOLS)
	$(GALAXY_TOOLS)/bin/pip install --quiet --disable-pip-version-check --requirement tests/galaxy/requirements.txt
	touch $@

site: setup browser $(SITE_TOOLS)/.installed ## Build the documentation site in build/site/html, and look at it in a browser
	$(SITE_TOOLS)/bin/python -m tools.docsite build/site
	$(PYTHON) -m pytest -n0 tests/docsite --site build/site/html

# An environment of its own: nothing else here needs Sphinx.
$(SITE_TOOLS)/.installed: tools/docsite/requirements.txt | $(VENV)/.installed
	$(PYTHON) -m venv $(SITE_TOOLS)
	$(SITE_TOOLS)/bin/pip install --quiet --disable-pip-version-check --requirement tools/docsite/requirements.txt
	touch $@

# VERSION=1.1.0 for another one. In a copy: no fragment is consumed and no file of the checkout changes.
VERSION ?= 1.0.0
release-notes: setup ## Show the notes of a release of VERSION, as its fragments make them
	tools/release_notes.sh $(VERSION)
