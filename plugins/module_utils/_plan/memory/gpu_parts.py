# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the memory of one GPU goes to: the parts of a rank, which add up to the GPU's total.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses

from ..._outside.documents import Json

# Figures come rounded to hundredths: what is below is their rounding, not memory.
ROUNDING_GIB = 0.03


@dataclasses.dataclass(frozen=True)
class Parts:
    """GiB. `graphs_inside` are CUDA graphs that vLLM takes off its own share, `graphs_on_top` those that come on top.

    `share` is what gpu_memory_utilization takes of `total`; `free` is left of it, `beyond` is outside of it. `kv_cache`
    is below zero where the rest is more than the share, and `beyond` where everything is more than the GPU.
    """

    weights: float
    activation: float
    non_torch: float
    graphs_inside: float
    graphs_on_top: float
    kv_cache: float
    free: float
    beyond: float
    share: float
    total: float

    @property
    def graphs(self) -> float:
        return self.graphs_inside + self.graphs_on_top


def parts(rank: Json) -> Parts:
    """The parts of one entry of a memory plan's `gpus`, by its expected figures."""
    weights, activation, non_torch, held, counted, kv_cache = (
        float(rank[f"{name}_gib"]["expected"])
        for name in ("weights", "activation", "non_torch", "graphs", "graphs_counted", "kv_cache")
    )
    total, share = float(rank["total_gib"]), float(rank["requested_gib"])
    on_top = max(0.0, held - counted)
    left = share - weights - activation - non_torch - counted - kv_cache
    free = left if left > ROUNDING_GIB else 0.0
    beyond = total - weights - activation - non_torch - counted - on_top - kv_cache - free
    return Parts(weights, activation, non_torch, counted, on_top, kv_cache, free, beyond, share, total)
