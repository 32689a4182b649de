# What monitoring is held against on request: Grafana's types need npm, and a load an engine.
MINUTES ?= 60
.PHONY: dashboard alerts

dashboard: setup ## Hold the dashboard against the types that Grafana publishes
	$(PYTHON) tests/dashboard

# URL=http://127.0.0.1:8000 is an engine that serves the model `tiny`.
alerts: setup haproxy prometheus ## See which alerts are told within MINUTES of load on the engine at URL
	$(PYTHON) tests/bench/alerts_under_load.py $(URL) --minutes $(MINUTES)
