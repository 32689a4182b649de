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

from .._engine.wire import Http
from .._gpu.sockets import listening
from .docker import Docker


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
    exists: t.Callable[[str], bool] = os.path.exists
    owner: str = ""
    binds: t.Callable[[str], bool] = binds
