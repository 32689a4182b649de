# Faults put into real hosts that serve; `docs/faults.md` says which, and what has to be true afterwards.
.PHONY: faults kills matrix

# FAULTS="F3 F19" for some of them, FAULTS=ci for those that `make test` runs.
faults: setup lab ## Put every fault into a host that serves, and see what becomes of it
	$(PYTHON) -m pytest $(AT_ONCE) tests/faults --faults "$(FAULTS)"

N ?= 100
# SEED=... for the kills of a run before.
kills: setup lab ## Kill a rollout at N random moments; one rerun has to converge each time
	$(PYTHON) -m pytest $(AT_ONCE) tests/faults --kills $(N) $(if $(SEED),--seed $(SEED))

# Both are run and told, whatever becomes of the first one.
matrix: setup lab ## Run every fault and N random kills, and write docs/faults-result.md
	failed=; \
	$(PYTHON) -m pytest $(AT_ONCE) tests/faults --page || failed=yes; \
	$(PYTHON) -m pytest $(AT_ONCE) tests/faults --page --kills $(N) $(if $(SEED),--seed $(SEED)) || failed=yes; \
	test -z "$$failed"

# SEED=... for the kills of a run before, SIZE=... in MiB. Needs no lab: the hub is one of tests, on this machine.
SIZE ?= 96
.PHONY: fetches
fetches: setup ## Kill downloads of a model at N random bytes; one rerun has to end each
	$(PYTHON) tests/fetches --kills $(N) --size $(SIZE) $(if $(SEED),--seed $(SEED))
