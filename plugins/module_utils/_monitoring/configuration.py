# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that the role writes on a host for Prometheus and node exporter. None of it is a secret.

JSON is YAML, so what is YAML to Prometheus is written as JSON below a line that says who wrote it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import typing as t

from .alerts import alerts
from .places import NODE_UNIT, UNIT, Places, node_unit_text, unit_text
from .recorded import RECORDED
from .settings import Settings
from .targets import JOBS, VLLM, Targets, as_json

HEAD = "# Written by gpufleet.vllm: what is changed by hand is lost with the next run of the role vllm_monitoring."


def of_host(settings: Settings, targets: Targets, places: Places | None = None) -> dict[str, str]:
    """Text by path."""
    at = places or Places()
    found = {
        **{at.targets(job): _json(as_json(targets.get(job, ()))["groups"]) for job in JOBS},
        at.rules: document(rules(settings)),
        at.config: document(prometheus(settings, at)),
        at.arguments: f'ARGS="{" ".join(arguments(settings))}"\n',
        f"{at.units}/{UNIT}": unit_text(at),
    }
    if settings.node_port:
        found[at.node_arguments] = f'ARGS="{" ".join(node_arguments(settings, at))}"\n'
        found[f"{at.units}/{NODE_UNIT}"] = node_unit_text(at)
    return found


def document(value: t.Any) -> str:
    return f"{HEAD}\n{_json(value)}"


def _json(value: t.Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def arguments(settings: Settings) -> list[str]:
    """What changes Prometheus only when it is started."""
    address = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    return [
        f"--web.listen-address={address}:{settings.port}",
        f"--storage.tsdb.retention.time={settings.retention_days}d",
        f"--storage.tsdb.retention.size={settings.retention_gib}GB",
    ]


def node_arguments(settings: Settings, places: Places) -> list[str]:
    return [
        f"--web.listen-address=127.0.0.1:{settings.node_port}",
        f"--collector.textfile.directory={places.textfiles}",
    ]


def prometheus(settings: Settings, places: Places) -> dict[str, t.Any]:
    """What Prometheus reads at its start and with each reload."""
    every = f"{settings.scrape_interval}s"
    found: dict[str, t.Any] = {
        "global": {
            "scrape_interval": every,
            "evaluation_interval": every,
            "scrape_timeout": f"{min(settings.scrape_interval, 10)}s",
        },
        "rule_files": [places.rules],
        "scrape_configs": [_job(job, places) for job in JOBS],
    }
    if settings.alertmanagers:
        found["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": list(settings.alertmanagers)}]}]}
    return found


def _job(job: str, places: Places) -> dict[str, t.Any]:
    """An engine is outside too: one that answers without an end, or with a series for everything, costs itself only."""
    found: dict[str, t.Any] = {
        "job_name": job,
        "file_sd_configs": [{"files": [places.targets(job)], "refresh_interval": "1m"}],
        "body_size_limit": "16MB",
        "sample_limit": 20000,
        "label_limit": 64,
    }
    if job == VLLM:
        # One that speaks TLS itself has a certificate for clients, by a name that is not known here; nothing is sent.
        found["tls_config"] = {"insecure_skip_verify": True}
        found["follow_redirects"] = False
    return found


def rules(settings: Settings) -> dict[str, t.Any]:
    """Recording rules first: what alerts read has to be there."""
    recording = [{"record": name, "expr": query} for name, query in RECORDED.items()]
    alerting = [
        {
            "alert": one.name,
            "expr": one.query,
            "for": f"{one.seconds}s",
            "labels": {"severity": one.severity},
            "annotations": {"summary": one.summary, "description": one.description, "runbook_url": one.page},
        }
        for one in alerts(settings)
    ]
    return {"groups": [{"name": "gpufleet-recorded", "rules": recording}, {"name": "gpufleet", "rules": alerting}]}
