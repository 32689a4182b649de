# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the memory planner is asked: plain values about one instance, its model and its GPUs.

Units: MiB where NVML reports MiB, bytes for weight files, GiB for what vLLM logs.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ..model.architecture import Architecture

Version = tuple[int, int, int]
Caches = t.Literal["warm", "cold"]


def parse_version(text: str | None) -> Version | None:
    """(major, minor, patch) of a vLLM version such as 0.32.0, 0.15.2rc1.dev93 or 0.8.x; None when it is none."""
    match = re.search(r"(?<![\d-])(\d+)\.(\d+)(?:\.(\d+))?", text or "")
    if match is None:
        return None
    return int(match.group(1)), int(match.group(2)), int(match.group(3) or 0)


@dataclass(frozen=True)
class Claim:
    """Another planned instance on the same GPU.

    fraction: its gpu_memory_utilization of this GPU; gib: its fixed size instead, where kv_cache_memory_bytes sets one.
    """

    instance: str
    fraction: float | None = None
    gib: float | None = None


@dataclass(frozen=True)
class Holder:
    """A process that holds memory on the GPU now (MiB, None when the driver does not say)."""

    pid: int
    name: str
    memory_mib: float | None = None


@dataclass(frozen=True)
class GpuMemory:
    """One GPU as NVML describes it now.

    total_mib, reserved_mib, free_mib: NVML's figures; reserved and free may be unknown.
    seen_mib: what vLLM itself reported as total on this GPU, from an earlier start.
    free_at_start_mib: what vLLM itself would report as free at start, its CUDA context already taken off.
    own_mib: what the instance's present container holds and gives back before the new one starts.
    """

    index: int = 0
    name: str = ""
    total_mib: float | None = None
    reserved_mib: float | None = None
    free_mib: float | None = None
    compute_capability: str | None = None
    seen_mib: float | None = None
    free_at_start_mib: float | None = None
    own_mib: float = 0.0
    claims: tuple[Claim, ...] = ()
    holders: tuple[Holder, ...] = ()


@dataclass(frozen=True)
class MemoryRequest:
    """One instance to plan.

    version: vLLM's version, None when nobody knows (the newest known is assumed, and said).
    arguments: resolved engine arguments by vLLM's own names with underscores; absent or None is not set by anyone.
    config: the model's config.json; architecture: the model's geometry where it is known without one.
    weights_bytes: the sum of the weight files; loaded_weights_gib: what vLLM logged as loaded, a rank.
    parameters: number of the model's parameters, where nothing better is known.
    gpus: the GPUs assigned to the instance, in order.
    caches: whether the compile caches of exactly this release are warm, where that is known.
    engine: V0 or V1 where it is known; otherwise V1 from vLLM 0.8.0.
    drafter, drafter_bytes: the geometry and the files of the model that guesses ahead, where they are known.
    host_free_mib: memory that is free on the host, page cache included; unified: the GPUs share it.
    environment: of the container; plugins: out-of-tree quantization methods that the image brings.
    """

    version: str | None
    arguments: t.Mapping[str, t.Any]
    gpus: tuple[GpuMemory, ...]
    model: str = ""
    config: t.Mapping[str, t.Any] | None = None
    architecture: Architecture | None = None
    weights_bytes: int | None = None
    loaded_weights_gib: float | None = None
    parameters: float | None = None
    caches: Caches | None = None
    engine: str | None = None
    drafter: Architecture | None = None
    drafter_bytes: int | None = None
    host_free_mib: float | None = None
    unified: bool = False
    environment: t.Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
