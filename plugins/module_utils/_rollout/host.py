# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outside world as a transaction sees it: clock, Docker, HTTP, listening ports. Tests script it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import socket
import time
import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timezone

from .._docker.client import Docker
from .._docker.release import Release
from .._docker.sockets import listening
from .._door.entrance import Entrance
from .._door.instances import Door
from .._engine.http_client import Http
from .._gpu import bindings, report
from .._gpu.fact import Gpu
from .._gpu.nvml import Nvml
from .._images.fetching import Ask
from .._state.api_keys import ApiKeys
from .others import Others
from .weights import look_at, must_be_whole

MIB = 1024 * 1024


class Clock:
    """Monotonic seconds for limits, UTC for people."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def utc(self) -> str:
        return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def listening_ports() -> set[int]:
    """TCP ports that something on this host listens on."""
    return {found["port"] for found in listening()}


def free_mib(path: str) -> int:
    """MiB that root can still write to the filesystem of a path. Raises OSError."""
    found = os.statvfs(path)
    return found.f_bfree * found.f_frsize // MIB


def binds(address: str) -> bool:
    """Whether a server on this host can listen on the address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


@dataclass
class Host:
    """Everything a transaction touches. `owner` is the InvocationID of the unit it runs in."""

    docker: Docker = field(default_factory=Docker)
    http: Http = field(default_factory=Http)
    clock: Clock = field(default_factory=Clock)
    ports: t.Callable[[], set[int]] = listening_ports
    check_model: t.Callable[[Release], None] = must_be_whole
    free_mib: t.Callable[[str], int] = free_mib
    owner: str = ""
    binds: t.Callable[[str], bool] = binds
    open_nvml: t.Callable[[], Nvml | None] = bindings.opened
    gpus: t.Callable[[], list[Gpu]] = report.gpus_of_this_host
    look_at_model: t.Callable[[Release], dict[str, t.Any]] = look_at
    keys: ApiKeys = field(default_factory=ApiKeys)
    registry: Ask | None = None
    door: Door = field(default_factory=Door)
    entrance: Entrance = field(default_factory=Entrance)
    others: Others = field(default_factory=Others)
