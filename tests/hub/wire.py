# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the servers of a hub of tests share: what is written down of a request, signatures, and a hard end."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import hmac
import os
import socket

KEY = b"signs addresses of the CDN"


@dataclasses.dataclass
class Asked:
    """One request. `path` is that of the file or of the API, `sent` the bytes of the body that were sent."""

    server: str
    method: str
    path: str
    address: str
    range: str
    token: bool
    status: int = 0
    sent: int = 0
    fault: str = ""
    began: float = 0.0


def reset(connection: socket.socket) -> None:
    """Ends a connection of this thread with a TCP reset: closed at once, and without the end that comes before."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        os.close(connection.detach())


def cut(connection: socket.socket) -> None:
    """Ends a connection of another thread, which may be waiting in it."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.shutdown(socket.SHUT_RDWR)


def signature(where: str, expires: str) -> str:
    return hmac.new(KEY, f"{where}\n{expires}".encode(), hashlib.sha256).hexdigest()
