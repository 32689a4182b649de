# Tests: fast ones first, because scenarios on real hosts are not started once a fast one has failed.
.PHONY: test unit

test: setup lint lab ## Check everything, then all tests: units and scenarios on real hosts
	$(PYTHON) -m pytest tests/unit tests/integration

unit: setup ## Run the unit tests
	$(PYTHON) -m pytest tests/unit
