# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the kernel whether a container may open its GPU device nodes, from within the container's control group.

Nothing is run in the container, which may have no shell, and no driver is called: the kernel refuses before.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import stat
import typing as t

from .._docker.gpu_access import Probed, control_group

FOLDERS = ("", "nvidia-caps")
PREFIX = "nvidia"
PATIENCE = 5.0  # seconds


def probe(pid: int, root: str = "/", is_device: t.Callable[[int], bool] = stat.S_ISCHR) -> Probed:
    """What the processes of a container may open, by the id of its first one."""
    process = os.path.join(root, "proc", str(pid))
    try:
        memberships = _text(os.path.join(process, "cgroup"))
        group = control_group(memberships, _text(os.path.join(root, "proc/self/mountinfo")))
        nodes = device_nodes(os.path.join(process, "root/dev"), is_device)
    except OSError as error:
        return Probed({}, f"{error.filename}: {error.strerror}")
    if not nodes:
        return Probed({})
    if not group:
        return Probed({}, "its control group is not mounted")
    return asked(os.path.join(root, group.lstrip("/"), "cgroup.procs"), nodes)


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def device_nodes(dev: str, is_device: t.Callable[[int], bool] = stat.S_ISCHR) -> dict[str, str]:
    """NVIDIA's device nodes below a container's /dev: the name that they have there, and where they are for us."""
    found = {}
    for folder in FOLDERS:
        try:
            entries = sorted(os.scandir(os.path.join(dev, folder)), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            # A link would lead out of the container.
            if entry.name.startswith(PREFIX) and is_device(entry.stat(follow_symlinks=False).st_mode):
                found[os.path.join("/dev", folder, entry.name)] = entry.path
    return found


def asked(procs: str, nodes: t.Mapping[str, str], patience: float = PATIENCE) -> Probed:
    """Have a child of ours enter the control group by its `cgroup.procs`, ask there, and end."""
    paths = list(nodes.values())
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            os.write(writing, json.dumps(_answers(procs, paths)).encode())
        os._exit(0)
    os.close(writing)
    try:
        said = os.read(reading, 65536) if select.select([reading], [], [], patience)[0] else b""
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    entered, *errors = json.loads(said or "[-1]")
    if entered:
        why = os.strerror(entered) if entered > 0 else f"no answer within {patience:g} s"
        return Probed({}, f"{procs}: {why}")
    return Probed(dict(zip(nodes, errors)))


def _answers(procs: str, paths: t.Sequence[str]) -> list[int]:
    """The errno of entering the control group, then of each path."""
    try:
        with open(procs, "w", encoding="ascii") as file:
            file.write("0")
    except OSError as error:
        return [error.errno or -1]
    return [0, *map(_error, paths)]


def _error(path: str) -> int:
    """The errno of opening a node. One that may be opened is not: that would call its driver."""
    if os.access(path, os.R_OK | os.W_OK):
        return 0
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno or -1
    return 0
