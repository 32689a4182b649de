# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of containers that this host cannot give: Docker takes such a setting, and then no container starts.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .._outside.documents import Json
from .._prepare.files import NotWritten

CAP_SYS_RESOURCE = 24
_OPEN_FILES = re.compile(r"^Max open files\s+\S+\s+(\d+|unlimited)", re.MULTILINE)
_CAPABILITIES = re.compile(r"^CapBnd:\s*([0-9a-f]+)", re.MULTILINE)

Read = t.Callable[[str], t.Optional[bytes]]


def objection(config: Json, read: Read) -> str:
    """Why the limit of open files cannot be given; '' where it can."""
    limits = config.get("default-ulimits")
    nofile = limits.get("nofile") if isinstance(limits, dict) else None
    asked = nofile.get("Hard", 0) if isinstance(nofile, dict) else 0
    allowed = most(read)
    if allowed is None or not isinstance(asked, int) or asked <= allowed:
        return ""
    return (
        f"A container may have {asked} files open by the settings, and this host cannot go beyond {allowed}: no "
        f"container would start. Set container_runtime_nofile to {allowed} at most, or to 0."
    )


def most(read: Read) -> int | None:
    """How many open files can be given at most; None where any number can, or nothing says."""
    try:
        status, limits = read("/proc/1/status") or b"", read("/proc/1/limits") or b""
    except NotWritten:
        return None
    said = _CAPABILITIES.search(status.decode("utf-8", "replace"))
    if said is None or int(said.group(1), 16) >> CAP_SYS_RESOURCE & 1:
        return None
    found = _OPEN_FILES.search(limits.decode("utf-8", "replace"))
    return None if found is None or found.group(1) == "unlimited" else int(found.group(1))
