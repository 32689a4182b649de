# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are on a host, and the units: a Prometheus of our own, beside whatever else the host has.

What may change stands in files that the units read, so that no change needs a daemon-reload, which takes the GPUs from
containers that run under NVIDIA's legacy hook.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses

UNIT, NODE_UNIT = "gpufleet-prometheus.service", "gpufleet-node-exporter.service"
DATA = "/var/lib/gpufleet-prometheus"
PROMETHEUS, NODE, PROMTOOL = "/usr/bin/prometheus", "/usr/bin/prometheus-node-exporter", "/usr/bin/promtool"


@dataclasses.dataclass(frozen=True)
class Places:
    """TEXTFILES is where the watch of the host writes what it knows, for node exporter."""

    folder: str = "/etc/gpufleet/monitoring"
    units: str = "/etc/systemd/system"
    textfiles: str = "/run/gpufleet/metrics"

    @property
    def config(self) -> str:
        return f"{self.folder}/prometheus.yml"

    @property
    def rules(self) -> str:
        return f"{self.folder}/rules.yml"

    @property
    def arguments(self) -> str:
        return f"{self.folder}/prometheus.env"

    @property
    def node_arguments(self) -> str:
        return f"{self.folder}/node-exporter.env"

    def targets(self, job: str) -> str:
        return f"{self.folder}/targets-{job}.json"

    def wanted(self, unit: str) -> str:
        return f"{self.units}/multi-user.target.wants/{unit}"


HARDENED = """NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectHome=yes
ProtectSystem=strict
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
CapabilityBoundingSet="""


def unit_text(places: Places) -> str:
    return f"""[Unit]
Description=Metrics and alerts of the vLLM servers
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
User=prometheus
EnvironmentFile={places.arguments}
ExecStart={PROMETHEUS} --config.file={places.config} --storage.tsdb.path={DATA} $ARGS
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=5
TimeoutStopSec=60
MemoryHigh=2G
StateDirectory=gpufleet-prometheus
StateDirectoryMode=0750
{HARDENED}

[Install]
WantedBy=multi-user.target
"""


def node_unit_text(places: Places) -> str:
    return f"""[Unit]
Description=Metrics of the host for Prometheus
After=network-online.target
StartLimitIntervalSec=0

[Service]
User=prometheus
EnvironmentFile={places.node_arguments}
ExecStart={NODE} $ARGS
Restart=always
RestartSec=5
{HARDENED}

[Install]
WantedBy=multi-user.target
"""
