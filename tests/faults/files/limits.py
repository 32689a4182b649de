# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print how much memory (bytes) and how many tasks the kernel lets the control group of a process have: limits.py PID.

Nothing (`{}`) where there is no such process. Control groups may be of either version.
"""

from __future__ import annotations

import json
import pathlib
import sys

ROOT = pathlib.Path("/sys/fs/cgroup")
FILES = {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max", "pids.max")}


def groups(pid: str) -> dict[str, str]:
    """The control group by controller; that of version 2 under ''."""
    lines = [line.split(":", 2) for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    return {name: path for _number, names, path in lines for name in names.split(",")}


def limit(controller: str, of: dict[str, str]) -> int:
    first, second = FILES[controller]
    if controller in of:
        return int((ROOT / controller / of[controller].lstrip("/") / first).read_text())
    return int((ROOT / of[""].lstrip("/") / second).read_text())


try:
    found = groups(sys.argv[1]) if sys.argv[1] != "0" else {}
    held = {name: limit(name, found) for name in FILES} if found else {}
except FileNotFoundError:
    held = {}
json.dump(held, sys.stdout)
