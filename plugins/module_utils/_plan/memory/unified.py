# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPUs that share the host's memory: what is free there at once, and what only the page cache gives back.

Source: vLLM's MemorySnapshot, which counts what is available on such GPUs from 0.20 on, and before it what is free.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from ..._gpu.fact import Facts
from ..._outside.documents import Json
from .request import parse_version

SHARED = "meminfo"
MIB_PER_GIB = 1024
COUNTS_AVAILABLE = (0, 20, 0)


def cautions(memory: Json | None, facts: Facts, version: str | None = None) -> list[str]:
    """vLLM looks at the free memory first; a host that has read its models has little of it and much that is cached.

    VERSION: vLLM's; nobody knows where it is None.
    """
    release = parse_version(version)
    if release is not None and release >= COUNTS_AVAILABLE:
        return []
    host = facts.get("memory_mib") or {}
    free, available = host.get("free"), host.get("available")
    shared = {gpu["index"] for gpu in facts.get("gpus") or [] if (gpu.get("memory_mib") or {}).get("source") == SHARED}
    takes = [gpu["requested_gib"] or 0 for gpu in (memory or {}).get("gpus", []) if gpu["gpu"] in shared]
    asked = max(takes, default=0)
    if free is None or available is None or not free < asked * MIB_PER_GIB <= available:
        return []
    return [
        (
            f"GPU and host share one memory, of which {available / MIB_PER_GIB:.1f} GiB are available and only "
            f"{free / MIB_PER_GIB:.1f} GiB free at once; this start takes {asked:.1f} GiB, and some releases of vLLM "
            "look at the free memory only. If it ends with 'Free memory on device', empty the page cache on the host: "
            "`sync; echo 1 > /proc/sys/vm/drop_caches`."
        )
    ]
