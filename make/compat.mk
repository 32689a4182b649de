# Supported releases of ansible-core; `docs/compatibility.md` says which, and what each has shown.
.PHONY: compat

# RELEASES="2.20 2.22" for some of them; their rows on the page are written anew. In a container the last commit is what is tested.
compat: setup lab ## See that every supported ansible-core does what it has to
	$(PYTHON) -m pytest $(AT_ONCE) tests/compat --releases "$(RELEASES)"
