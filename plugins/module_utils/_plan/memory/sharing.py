# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who else is on a GPU: other planned instances, and processes that hold memory now.

Fractions are of what vLLM sees as the GPU's total; sizes GiB.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..model.estimate import MIB_PER_GIB
from .budget import seen
from .request import GpuMemory
from .settings import Settings

# A context and its graphs stay outside of an instance's own share.
BESIDE_SHARE_GIB = 0.8


def claimed(gpu: GpuMemory) -> float:
    """The share of GPU that other planned instances ask for."""
    whole = seen(gpu)
    result = 0.0
    for claim in gpu.claims:
        if claim.fraction is not None:
            result += claim.fraction
        elif claim.gib is not None and whole is not None and whole.expected > 0:
            result += claim.gib / whole.expected
    return result


def overbooked(gpu: GpuMemory, settings: Settings) -> str | None:
    """Why the instances planned for GPU cannot run side by side; None when they can."""
    if not gpu.claims or settings.kv_bytes is not None:
        return None
    whole = claimed(gpu) + settings.utilisation
    if whole <= 1.0 + 1e-9:
        return None
    names = ", ".join(claim.instance for claim in gpu.claims)
    return (
        f"{len(gpu.claims) + 1} instances ask for {whole:.2f} of GPU {gpu.index}: this one {settings.utilisation:g}, "
        f"{names} {claimed(gpu):g}; keep the sum below 1 or give them GPUs of their own."
    )


def crowded(gpu: GpuMemory, settings: Settings) -> str | None:
    """Why the instances planned for GPU are only just apart; None when there is room between them."""
    whole = seen(gpu)
    if not gpu.claims or whole is None or settings.kv_bytes is not None:
        return None
    left = (1.0 - claimed(gpu) - settings.utilisation) * whole.expected
    needed = BESIDE_SHARE_GIB * (len(gpu.claims) + 1)
    if left >= needed:
        return None
    return (
        f"The instances on GPU {gpu.index} leave {max(0.0, left):.1f} GiB beside their shares; contexts and CUDA "
        f"graphs of {len(gpu.claims) + 1} instances want about {needed:.1f} GiB."
    )


def holders(gpu: GpuMemory, limit: int = 3) -> str:
    """Who holds memory on GPU now, largest first, as words; '' when nobody is known to."""
    known = sorted(gpu.holders, key=lambda holder: -(holder.memory_mib or 0.0))[:limit]
    return ", ".join(
        f"{holder.name} (pid {holder.pid}{_size(holder.memory_mib)})" for holder in t.cast("t.Sequence[t.Any]", known)
    )


def _size(memory_mib: float | None) -> str:
    return "" if memory_mib is None else f", {memory_mib / MIB_PER_GIB:.1f} GiB"
