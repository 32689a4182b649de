# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How near the GPUs of a host are to each other: their common ancestor, and the NVLinks between them.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import itertools
import typing as t

from .device import slot_of
from .fact import Pair
from .nvml import Device

# nvmlGpuTopologyLevel_t, from the nearest to the farthest.
ANCESTORS = {0: "INTERNAL", 10: "SINGLE", 20: "MULTIPLE", 30: "HOSTBRIDGE", 40: "NODE", 50: "SYSTEM"}
SWITCH = "switch"
LINKS = 18


def pairs(devices: t.Mapping[int, tuple[Device, str | None]]) -> list[Pair]:
    """One entry for each pair of GPUs; `devices` by index, each with its PCI slot. One GPU: nothing is asked."""
    if len(devices) < 2:
        return []
    links = {index: _links(device) for index, (device, _slot) in devices.items()}
    found: list[Pair] = []
    for a, b in itertools.combinations(sorted(devices), 2):
        level = devices[a][0].get("nvmlDeviceGetTopologyCommonAncestor", devices[b][0].handle)
        direct = links[a].count(devices[b][1] or "")
        switched = min(links[a].count(SWITCH), links[b].count(SWITCH))
        found.append({"a": a, "b": b, "ancestor": ANCESTORS.get(level), "nvlinks": direct + switched})
    return found


def _links(device: Device) -> list[str]:
    """Where this GPU's active NVLinks lead: the slot of another GPU, or a switch that leads to all."""
    ends = []
    for link in range(device.nvml.constant("NVML_NVLINK_MAX_LINKS") or LINKS):
        state = device.nvml.get("nvmlDeviceGetNvLinkState", device.handle, link)
        if state:
            ends.append(_end(device, link))
    return [end for end in ends if end]


def _end(device: Device, link: int) -> str:
    kind = device.nvml.get("nvmlDeviceGetNvLinkRemoteDeviceType", device.handle, link)
    if kind is not None and kind == device.nvml.constant("NVML_NVLINK_DEVICE_TYPE_SWITCH"):
        return SWITCH
    remote = device.nvml.get("nvmlDeviceGetNvLinkRemotePciInfo", device.handle, link)
    if remote is None:
        return ""
    bus_id = remote.busId
    return slot_of(bus_id.decode("ascii") if isinstance(bus_id, bytes) else bus_id)
