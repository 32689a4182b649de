# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reader of a plan wants to know about its host, beside the plan.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._gpu.fact import Gpu
from .._outside.documents import Json
from .inventory.inputs import Inputs


def host(inputs: Inputs) -> Json:
    """The host's class, its driver, and its GPUs: whole ones, and the MIG devices of those that are divided."""
    driver = inputs.facts.get("driver") or {}
    return {
        "host_class": inputs.host_class,
        "driver": {"version": driver.get("version"), "cuda_version": driver.get("cuda_version")},
        "gpus": [device for gpu in inputs.facts.get("gpus", []) for device in _devices(gpu)],
    }


def _devices(gpu: Gpu) -> list[Json]:
    """Sizes in MiB, as NVML reports them; None where nobody knows."""
    memory = gpu.get("memory_mib") or {}
    whole = {
        "uuid": gpu["uuid"],
        "index": gpu["index"],
        "name": gpu["name"],
        "compute_capability": gpu.get("compute_capability"),
        "mig": False,
        "total_mib": memory.get("total"),
        "reserved_mib": memory.get("reserved"),
        "used_mib": memory.get("used"),
        "problems": list(gpu.get("problems") or []),
    }
    mig = gpu.get("mig") or {}
    if mig.get("mode") != "enabled":
        return [whole]
    parts = mig.get("devices") or []
    unknown: Json = {"reserved_mib": None, "used_mib": None, "mig": True}
    return [{**whole, **unknown, "uuid": part["uuid"], "total_mib": part.get("memory_mib")} for part in parts]
