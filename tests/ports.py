# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports for servers of tests that stop and come back at the same address."""

from __future__ import annotations

import contextlib
import random
import socket
import typing as t

# Below those that a kernel gives to whoever connects: no connection of anybody takes one while its server is away.
PORTS: t.Final = range(12_000, 32_000)


def free_port() -> int:
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
