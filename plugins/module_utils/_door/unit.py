# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door's unit of systemd: an HAProxy of our own, beside whatever else a host's haproxy.service does.

Private to the collection: may change without notice.
"""

from __future__ import annotations

UNIT = "gpufleet-gateway.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
WANTED = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"


def text(config: str) -> str:
    """The file. A reload leaves what is in flight to the process before."""
    return f"""[Unit]
Description=Door to the vLLM servers
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStartPre=/usr/sbin/haproxy -c -q -f {config}
ExecStart=/usr/sbin/haproxy -Ws -f {config} -p /run/gpufleet-gateway/haproxy.pid
ExecReload=/usr/sbin/haproxy -c -q -f {config}
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
SuccessExitStatus=143
Restart=always
RestartSec=2
LimitNOFILE=1048576
RuntimeDirectory=gpufleet-gateway
RuntimeDirectoryMode=0711
RuntimeDirectoryPreserve=restart
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict
ReadWritePaths=/run/gpufleet-gateway
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_SETGID CAP_SETUID CAP_SYS_RESOURCE

[Install]
WantedBy=multi-user.target
"""
