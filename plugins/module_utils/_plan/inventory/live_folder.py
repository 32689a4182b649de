# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of adapters that are loaded while their server runs, which its container has whole.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re

PLAIN = re.compile(r"/[^:\x00-\x1f]+")
RIGHT = "write the folder of the host that holds the adapters and nothing else, a plain path such as /srv/adapters."
# Keys, sockets that give root, and what other containers have: read-only keeps none of it from being used.
KEPT = (
    "/dev", "/etc", "/proc", "/run", "/sys", "/var/run", "/var/lib/containerd", "/var/lib/docker", "/var/lib/gpufleet",
)  # fmt: skip


def problem(stated: str) -> str:
    """What is wrong with it, as the end of a sentence that names it; '' where nothing is."""
    folder = stated.rstrip("/")
    if not PLAIN.fullmatch(folder) or folder.startswith("//") or os.path.normpath(folder) != folder:
        return f": {RIGHT}"
    held = [kept for kept in KEPT if f"{folder}/".startswith(f"{kept}/") or kept.startswith(f"{folder}/")]
    if held:
        return f", and its server would have what is in {held[0]} of the host: {RIGHT}"
    return ""
