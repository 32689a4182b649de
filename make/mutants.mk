# Small changes of the code that a test has to notice; `docs/mutants-result.md` says which none did.
.PHONY: mutants

# So many of each room in tools/mutants/rooms.py, 0 for all of them: a few seconds each, after minutes in which it is recorded
# which test runs which line.
MUTANTS ?= 150

# ROOMS="_engine" for some rooms; MINUTES=20 for so long a room at most; AGAIN=1 tries only what survived the last time;
# PAGE=1 writes docs/mutants-result.md.
mutants: setup ## Change the code in MUTANTS small ways a room, and list what no test notices
	nice -n 15 $(PYTHON) -m tools.mutants --sample $(MUTANTS) --seed $(or $(SEED),1) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(ROOMS),--rooms $(ROOMS)) $(if $(AGAIN),--again) $(if $(PAGE),--page)
