# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CDI specification as nvidia-ctk writes one, whose devices are harmless.

A container that is given a GPU finds it in its environment (GPUFLEET_LAB_GPU_<index>=<UUID>) and as a device node that
is /dev/null underneath. Format: Container Device Interface specification 0.6.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.gpu.description import Section

KIND = "nvidia.com/gpu"
ENVIRONMENT = "GPUFLEET_LAB_GPU"


@dataclass(frozen=True)
class Device:
    """One name that can be asked for, and the GPUs that it gives: (index or gpu:mig, UUID)."""

    name: str
    gives: tuple[tuple[str, str], ...]


def devices(host: Section) -> list[Device]:
    """Each GPU, and each MIG device of a GPU that has some, by index and by UUID; then `all` of them."""
    single: list[tuple[str, str]] = []
    for index, gpu in enumerate(host.of("gpu")):
        parts = [(f"{index}:{number}", mig.get("uuid")) for number, mig in enumerate(gpu.of("mig"))]
        single += parts if gpu.get("mig") == "1" else [(str(index), gpu.get("uuid"))]
    by_index = [Device(index, ((index, uuid),)) for index, uuid in single]
    by_uuid = [Device(uuid, ((index, uuid),)) for index, uuid in single]
    return [*by_index, *by_uuid, Device("all", tuple(single))]


def render(host: Section) -> str:
    """The specification as YAML."""
    lines = ["---", "cdiVersion: 0.6.0", f"kind: {KIND}", "devices:"]
    for device in devices(host):
        lines += [f'  - name: "{device.name}"', "    containerEdits:", "      env:"]
        lines += [f"        - {ENVIRONMENT}_{index.replace(':', '_')}={uuid}" for index, uuid in device.gives]
        lines += ["      deviceNodes:"]
        for number in dict.fromkeys(index.split(":")[0] for index, _uuid in device.gives):
            lines += [f"        - path: /dev/nvidia{number}", "          hostPath: /dev/null"]
    lines += ["containerEdits:", "  env:", "    - NVIDIA_VISIBLE_DEVICES=void"]
    return "\n".join(lines) + "\n"
