# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a server is asked: an address of its API, and whether that is the loopback.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import urllib.parse

LOOPBACK = ("127.0.0.1", "::1", "localhost")
# Before anybody takes it apart: a parser leaves out line breaks, and an empty query.
_PLAIN = re.compile(r"[!-~]+")
_NEVER = frozenset("\"'?#@\\")


def is_right(url: str) -> bool:
    """Whether it is that of an API that ends in /v1, with nothing beside it."""
    parts = _parts(url)
    if parts is None or not _PLAIN.fullmatch(url) or set(url) & _NEVER:
        return False
    right = parts.scheme in ("http", "https") and bool(parts.hostname)
    return right and parts.path.endswith("/v1") and not parts.path.endswith("/v1/v1")


def is_loopback(url: str) -> bool:
    parts = _parts(url)
    return parts is not None and (parts.hostname or "") in LOOPBACK


def _parts(url: str) -> urllib.parse.SplitResult | None:
    try:
        parts = urllib.parse.urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:
        return None
