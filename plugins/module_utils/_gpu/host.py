# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What planning needs to know of a host besides its GPUs: operating system, memory, disks, systemd.

Sizes are MiB (2**20 bytes).

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

from .fact import Disk, Memory, Os

MIB = 1024 * 1024
StatVfs = t.Callable[[str], t.Any]
Uname = t.Callable[[], os.uname_result]

_MEMINFO = re.compile(r"^(MemTotal|MemFree|MemAvailable):\s+(\d+) kB", re.MULTILINE)


def operating_system(root: str = "/", uname: Uname = os.uname) -> Os:
    """Distribution as os-release names it (None where it does not), architecture, and the kernel that runs."""
    said = _os_release(root)
    return {
        "id": said.get("ID"),
        "version": said.get("VERSION_ID"),
        "codename": said.get("VERSION_CODENAME"),
        "name": said.get("PRETTY_NAME"),
        "architecture": uname().machine,
        "kernel": uname().release,
    }


def machine(root: str = "/") -> str | None:
    """A name for this machine that tells only whether two are the same: machine-id itself stays where it is."""
    try:
        with open(os.path.join(root, "etc/machine-id"), encoding="utf-8") as file:
            own = file.read().strip()
    except OSError:
        return None
    return hashlib.sha256(f"gpufleet.vllm:{own}".encode()).hexdigest()[:16] if own else None


def _os_release(root: str) -> dict[str, str]:
    try:
        with open(os.path.join(root, "etc/os-release"), encoding="utf-8", errors="replace") as file:
            pairs = [line.strip().partition("=") for line in file if "=" in line and not line.startswith("#")]
    except OSError:
        return {}
    return {name: value.strip("\"'") for name, _sign, value in pairs}


def memory(root: str = "/") -> Memory:
    """Total, available and free memory from /proc/meminfo; None where it cannot be read.

    What is available can be had; of that, the page cache is not free yet.
    """
    try:
        with open(os.path.join(root, "proc/meminfo"), encoding="utf-8") as file:
            sizes = {name: int(size) // 1024 for name, size in _MEMINFO.findall(file.read())}
    except OSError:
        sizes = {}
    free = sizes.get("MemFree")
    return {"total": sizes.get("MemTotal"), "available": sizes.get("MemAvailable", free), "free": free}


def disks(paths: t.Iterable[str], root: str = "/", statvfs: StatVfs = os.statvfs) -> list[Disk]:
    """Size and free space where each path is; one that does not exist is measured at its nearest parent."""
    return [_disk(path, root, statvfs) for path in dict.fromkeys(paths)]


def _disk(path: str, root: str, statvfs: StatVfs) -> Disk:
    place = path
    while not os.path.exists(_under(root, place)) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    try:
        measured = statvfs(_under(root, place))
    except OSError:
        return {"path": path, "total_mib": None, "free_mib": None}
    block = measured.f_frsize
    return {
        "path": path,
        "total_mib": measured.f_blocks * block // MIB,
        "free_mib": measured.f_bavail * block // MIB,
    }


def runs_systemd(root: str = "/") -> bool:
    """Whether systemd is PID 1, the way sd_booted() tells."""
    return os.path.isdir(os.path.join(root, "run/systemd/system"))


def comm_of(root: str = "/") -> t.Callable[[int], str | None]:
    """The kernel's short name of a process; None for one that is gone."""

    def comm(pid: int) -> str | None:
        try:
            with open(os.path.join(root, f"proc/{pid}/comm"), encoding="utf-8", errors="replace") as file:
                return file.read().strip() or None
        except OSError:
            return None

    return comm


def _under(root: str, path: str) -> str:
    return os.path.join(root, path.lstrip("/"))
