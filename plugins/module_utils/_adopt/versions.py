# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release a server says that it is of.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import ipaddress
import typing as t

from .._outside import documents, web
from .._outside.limited import KIB
from .._vllm.schema import VERSION
from . import commands
from .served import Served

ROOM = 16 * KIB
WITHIN = 5.0
LOOPBACK = "127.0.0.1"


def told(served: Served) -> Served:
    """The same with its version, where none is known yet and it answers without a key, as vLLM does."""
    address, port = _address(served)
    if served["version"] or not port:
        return served
    try:
        answer = web.ask("GET", f"http://{address}:{port}/version", {}, WITHIN, ROOM, proxies=False)
        said = documents.parse(answer.body.decode("utf-8", "replace")) if answer.status == 200 else {}
    except (web.NotReached, ValueError):
        return served
    version = said.get("version") if isinstance(said, dict) else None
    known = isinstance(version, str) and VERSION.fullmatch(version)
    return {**served, "version": t.cast("str", version)} if known else served


def _address(served: Served) -> tuple[str, int]:
    """Where it listens on the host; port 0 where it cannot be told."""
    stated = commands.port(served["words"])
    port = served["port"] or (int(stated) if stated.isdecimal() and len(stated) <= 5 else 0)
    try:
        bind = ipaddress.ip_address(served["bind"] or LOOPBACK)
    except ValueError:
        return LOOPBACK, max(port, 0)
    host = LOOPBACK if bind.is_unspecified else str(bind)
    return f"[{host}]" if ":" in host else host, max(port, 0)
