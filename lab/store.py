# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's /var/lib/docker in memory, where it is pulled to faster and removed at once.

It is mounted on this machine, so it outlives a restart of the host. A host that serves takes 1.4 GiB of memory for it.
"""

from __future__ import annotations

import pathlib

from lab.tools import WORK, run, work_directory

LIMIT = "16g"  # of one host: only what is written is taken


def mount(name: str) -> pathlib.Path:
    unmount(name)
    path = work_directory("stores", name)
    run("mount", "-t", "tmpfs", "-o", f"size={LIMIT},mode=0710", "gpufleet-lab", path)
    return path


def unmount(name: str) -> None:
    path = WORK / "stores" / name
    if path.is_mount():
        # A process of the host that Docker has killed may not be gone yet: the last one takes the memory along.
        run("umount", "--lazy", path)
    if path.is_dir():
        path.rmdir()


def unmount_all() -> None:
    for path in sorted(pathlib.Path(WORK / "stores").glob("*")):
        unmount(path.name)
