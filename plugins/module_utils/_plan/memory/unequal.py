# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One instance on GPUs that differ: what stays unused of the larger ones, and that the oldest decides on formats.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._settings.names import listed
from .request import GpuMemory
from .settings import Settings

MIB_A_GIB = 1024


def warnings(settings: Settings, gpus: t.Sequence[GpuMemory]) -> list[str]:
    """One sentence for what differs in size, one for what differs in compute capability."""
    found = []
    sizes = {gpu.index: (gpu.total_mib or 0) / MIB_A_GIB for gpu in gpus}
    smallest = min(sizes.values(), default=0.0)
    larger = {index: size for index, size in sizes.items() if round(size) > round(smallest)}
    if larger:
        spelt = listed(f"GPU {index} has {size:.1f} GiB" for index, size in sizes.items())
        found.append(f"The GPUs differ in size, {spelt}: {_what(settings, smallest, larger)}")
    capabilities = {gpu.index: gpu.compute_capability for gpu in gpus if gpu.compute_capability}
    if len(set(capabilities.values())) > 1:
        spelt = listed(f"GPU {index} has {value}" for index, value in capabilities.items())
        found.append(
            f"The GPUs differ in compute capability, {spelt}: the oldest decides which formats and kernels there are. "
            "List GPUs that are alike (gpus) where there are enough."
        )
    return found


def _what(settings: Settings, smallest: float, larger: t.Mapping[int, float]) -> str:
    if settings.tensor_parallel * settings.pipeline_parallel == 1:
        return (
            "a request goes to any of the copies, so the smallest decides for all. One instance for each size uses "
            "both."
        )
    unused = listed(
        f"{settings.utilisation * (size - smallest):.1f} GiB of GPU {index}" for index, size in larger.items()
    )
    return (
        f"each gives the same share of itself, and the smallest decides for all, so {unused} stay unused. "
        "List GPUs that are alike (gpus), or run one instance on each."
    )
