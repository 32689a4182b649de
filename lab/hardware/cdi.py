#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes /etc/cdi/nvidia.yaml from what a machine really has, as `nvidia-ctk cdi generate` would.

Without hooks: the names that the loader asks for are mounted themselves. Run in the host of start_host.sh.
"""

from __future__ import annotations

import glob
import os
import pathlib
import stat
import typing as t

import pynvml

SPECIFICATION = pathlib.Path("/etc/cdi/nvidia.yaml")
LIBRARIES, INTO = ("/usr/local/nvidia/lib64", "/usr/lib/x86_64-linux-gnu"), "/usr/lib/x86_64-linux-gnu"
PROGRAMS = ("/usr/local/nvidia/bin", "/usr/bin")
NAMES = (
    *("libcuda.so", "libcudadebugger.so", "libnvidia-ml.so", "libnvidia-ptxjitcompiler.so", "libnvidia-nvvm"),
    *("libnvidia-gpucomp.so", "libnvidia-cfg.so", "libnvidia-opencl.so", "libnvidia-allocator.so", "libnvidia-pkcs11"),
    "libnvidia-sandboxutils.so",
)
SHARED = ("/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl")


def gpus() -> list[tuple[str, str]]:
    """UUID and device node of each GPU."""
    pynvml.nvmlInit()
    nodes = sorted(glob.glob("/dev/nvidia[0-9]*"))
    found = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        node = f"/dev/nvidia{pynvml.nvmlDeviceGetMinorNumber(handle)}"
        # In a container of somebody's, numbers may be others than the driver says.
        found.append((str(pynvml.nvmlDeviceGetUUID(handle)), node if os.path.exists(node) else nodes[index]))
    return found


def device(name: str, nodes: t.Iterable[str]) -> list[str]:
    listed = [f"        - path: {node}" for node in nodes]
    return [f'  - name: "{name}"', "    containerEdits:", "      deviceNodes:", *listed]


def mounts() -> list[tuple[str, str]]:
    """From and to."""
    found = []
    for folder in LIBRARIES:
        names = [path for path in sorted(glob.glob(f"{folder}/lib*.so*")) if os.path.basename(path).startswith(NAMES)]
        if names:
            found += [(path, f"{INTO}/{os.path.basename(path)}") for path in names]
            break
    for folder in PROGRAMS:
        if os.path.exists(f"{folder}/nvidia-smi"):
            found.append((f"{folder}/nvidia-smi", "/usr/bin/nvidia-smi"))
            break
    return found


def specification() -> str:
    here = gpus()
    lines = ["---", "cdiVersion: 0.5.0", "kind: nvidia.com/gpu", "devices:"]
    for index, (uuid, node) in enumerate(here):
        lines += [*device(str(index), [node]), *device(uuid, [node])]
    lines += device("all", [node for _uuid, node in here])
    lines += ["containerEdits:", "  env:", "    - NVIDIA_VISIBLE_DEVICES=void", "  deviceNodes:"]
    lines += [f"    - path: {node}" for node in SHARED if os.path.exists(node) and stat.S_ISCHR(os.stat(node).st_mode)]
    lines.append("  mounts:")
    for source, target in mounts():
        options = "      options: [ro, nosuid, nodev, bind]"
        lines += [f"    - hostPath: {source}", f"      containerPath: {target}", options]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    SPECIFICATION.parent.mkdir(parents=True, exist_ok=True)
    SPECIFICATION.write_text(specification())
    print(f"{SPECIFICATION} is written")
