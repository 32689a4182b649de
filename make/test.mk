# Tests: fast ones first, because scenarios on real hosts are not started once a fast one has failed.
.PHONY: test unit browser

# The checks take a core while the lab mostly waits for packages.
test: setup ## Check everything, then all tests: units, scenarios and faults on real hosts
	$(MAKE) --jobs=2 lint lab
	$(MAKE) browser
	$(PYTHON) -m pytest tests/unit tests/integration tests/faults --faults ci --kills 5

unit: setup ## Run the unit tests
	$(PYTHON) -m pytest tests/unit

browser: ## Install the browser in which tests open the plan's page, where there is none
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
		|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-liberation; }
