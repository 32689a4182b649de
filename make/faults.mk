# Faults put into real hosts that serve; `docs/faults.md` says which, and what has to be true afterwards.
.PHONY: faults

# FAULTS="F3 F19" for some of them, FAULTS=ci for those that `make test` runs.
faults: setup lab ## Put every fault into a host that serves, and see what becomes of it
	$(PYTHON) -m pytest tests/faults --faults "$(FAULTS)"
