# Tests: fast ones first; those on real hosts are not started once a fast one has failed.
.PHONY: test unit browser haproxy prometheus skopeo

# Tests on hosts run beside each other, each on hosts of its own: while one waits another works. Two take up to 22 GiB.
WORKERS ?= $(shell awk '/^MemTotal:/ {print ($$2 > 23000000) ? 2 : 1}' /proc/meminfo)
# One that dies ends the run: what killed it would kill the next.
AT_ONCE := --numprocesses $(WORKERS) --dist loadgroup --no-loadscope-reorder --max-worker-restart 0

# The checks take a core while the lab mostly waits for packages.
test: setup ## Check everything, then all tests: units, scenarios and faults on real hosts
	$(MAKE) --jobs=2 lint lab
	$(MAKE) browser haproxy prometheus skopeo
	$(MAKE) unit
	$(PYTHON) -m pytest $(AT_ONCE) tests/integration tests/faults tests/compat --faults ci --kills 3 --releases ci

unit: setup ## Run the unit tests
	$(PYTHON) -m pytest --numprocesses auto tests/unit

browser: ## Install the browser in which tests open the plan's page, where there is none
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
		|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-liberation; }

haproxy: ## Install the HAProxy that tests put in front of servers, where there is none
	@test -x /usr/sbin/haproxy || { apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy; }

# Two programs of its package, which is not installed: its services would listen on all addresses.
prometheus: ## Fetch the Prometheus and promtool that tests use, where there are none
	@command -v promtool > /dev/null || { apt-get update -qq && kept=$$(mktemp -d) && chmod 0777 $$kept && cd $$kept \
		&& apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb root \
		&& install -m 0755 root/usr/bin/promtool root/usr/bin/prometheus /usr/local/bin/ && rm -rf $$kept; }

skopeo: ## Install what tests write OCI layouts with, where there is none
	@command -v skopeo || { apt-get update -qq && apt-get install -y -qq --no-install-recommends skopeo; }
