# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP ports that somebody listens on, from /proc/net/tcp and tcp6.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import ipaddress
import os
import sys
import typing as t

TABLES = ("proc/net/tcp", "proc/net/tcp6")
LISTEN = "0A"


class Listening(t.TypedDict):
    """Where somebody listens on the host."""

    address: str
    port: int


def listening(root: str = "/", byteorder: str = sys.byteorder) -> list[Listening]:
    """Address and port of each listening socket, by port. `byteorder` is the host's: the kernel prints words of it."""
    found = set()
    for table in TABLES:
        for local, state in _rows(os.path.join(root, table)):
            if state == LISTEN:
                address, _colon, port = local.partition(":")
                found.add((int(port, 16), _address(address, byteorder)))
    return [{"address": address, "port": port} for port, address in sorted(found)]


def _rows(path: str) -> t.Iterator[tuple[str, str]]:
    """The local address and the state of each line; nothing where the table is missing (no IPv6)."""
    try:
        with open(path, encoding="ascii") as file:
            lines = file.read().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        columns = line.split()
        yield columns[1], columns[3]


def _address(words: str, byteorder: str) -> str:
    """'0100007F' is 127.0.0.1 on a little-endian host: each group of eight digits is one word in the host's order."""
    raw = bytes.fromhex(words)
    if byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return str(ipaddress.ip_address(raw))
