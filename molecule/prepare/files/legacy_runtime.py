#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for nvidia-container-runtime in its legacy mode: GPUs are given behind the back of runc and of systemd.

As a runtime it adds a hook to the container, and is runc from then on. As the hook (first argument: hook), it makes the
device nodes in the container that is being created, and allows them in its control group, unless REFUSES is there. So
does NVIDIA's, with the real nodes.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys

NODES = {"nvidiactl": os.makedev(195, 255), "nvidia0": os.makedev(195, 0)}

REFUSES = pathlib.Path("/run/hook-allows-nothing")


def hook() -> None:
    state = json.load(sys.stdin)
    process = pathlib.Path("/proc", str(state["pid"]))
    config = json.loads(pathlib.Path(state["bundle"], "config.json").read_text())
    root = pathlib.Path(state["bundle"], config["root"]["path"])
    for name, device in NODES.items():
        # The container's mounts are there, and it has not moved to its root yet.
        os.mknod(f"{process}/root{root}/dev/{name}", 0o020666, device)
    if REFUSES.exists():
        return
    memberships = [line.split(":", 2) for line in (process / "cgroup").read_text().splitlines()]
    group = next(path for _number, controllers, path in memberships if controllers == "devices")
    pathlib.Path(f"/sys/fs/cgroup/devices{group}/devices.allow").write_text("c 195:* rw")


def runtime() -> None:
    arguments = sys.argv[1:]
    if "create" in arguments:
        file = pathlib.Path(arguments[arguments.index("--bundle") + 1], "config.json")
        config = json.loads(file.read_text())
        config.setdefault("hooks", {})["prestart"] = [{"path": __file__, "args": [__file__, "hook"]}]
        file.write_text(json.dumps(config))
    os.execvp("runc", ["runc", *arguments])


if __name__ == "__main__":
    hook() if sys.argv[1:] == ["hook"] else runtime()
