# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What speaks against a start beside the sums of one GPU: states, batches, the host's memory, loaders of weights.

Sizes are GiB, lengths tokens.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..model.estimate import MIB_PER_GIB
from .budget import Budget
from .calibration import BLOCK_IN_A_BATCH, STATES_CHECKED, STATES_REFUSED
from .reason import Reason
from .request import MemoryRequest
from .settings import AUTO_LENGTH, Settings

# What a host needs for itself beside an engine whose GPU shares its memory: the system, and the engine's own processes.
HOST_NEEDS_GIB = 6.0
# How much longer than in these sums a block may be, as a share.
ROUNDED_UP = 0.05
# Loaders that hold GPU memory of their own while they load, which no counter of vLLM sees.
LOADERS = {
    "instanttensor": "InstantTensor prefetches into buffers on the GPU",
    "fastsafetensors": "fastsafetensors reads whole files into buffers on the GPU",
    "ipc_cache": "the weight cache's own process holds the weights on the same GPU",
    "tensorizer": "tensorizer decodes into buffers on the GPU",
}


def reasons(request: MemoryRequest, settings: Settings, budget: Budget) -> list[Reason]:
    """Everything of this file that speaks against plainly `fits`."""
    found = [*_states(settings, budget), *_aligned(settings, budget), *_unsplit(settings), *_whole(settings)]
    return [*found, *_shared(request, settings, budget), *_offloaded(request, settings, budget), *_loader(settings)]


def _states(settings: Settings, budget: Budget) -> list[Reason]:
    """Whole CUDA graphs of a model with state layers take one block for each sequence, and vLLM looks at start."""
    pool, left = budget.layout, budget.kv
    if pool is None or left is None or not pool.stateful or settings.eager or settings.piecewise:
        return []
    if settings.version < STATES_CHECKED:
        return []
    low, expected, high = (pool.pool_blocks(edge) for edge in (left.low, left.expected, left.high))
    if low >= settings.sequences:
        return []
    text = (
        f"max_num_seqs {settings.sequences} takes a state block for each sequence (linear attention or Mamba layers), "
        f"and the KV cache has {expected} blocks ({low} to {high}): set max_num_seqs to at most {max(1, low)}."
    )
    refused = high < settings.sequences and settings.version >= STATES_REFUSED
    return [Reason("does_not_fit" if refused else "tight", "memory", text, capped=False)]


def _aligned(settings: Settings, budget: Budget) -> list[Reason]:
    """States that are cached at the ends of blocks: VllmConfig.validate_block_size wants a block in one batch."""
    pool, (first, last) = budget.layout, BLOCK_IN_A_BATCH
    if pool is None or pool.every_state or not settings.prefix_caching or not first <= settings.version < last:
        return []
    block = max((group.block_tokens for group in pool.groups if group.kind == "linear"), default=0)
    # Kernels round blocks up, each in its own way.
    if block * (1 + ROUNDED_UP) <= settings.batched_tokens:
        return []
    text = (
        f"Prefix caching keeps this model's states at the ends of blocks of about {block} tokens, and a block has to "
        f"go into one batch: set max_num_batched_tokens (it is {settings.batched_tokens}) well above that, or leave "
        "enable_prefix_caching out."
    )
    refused = block > settings.batched_tokens * (1 + ROUNDED_UP)
    return [Reason("does_not_fit" if refused else "tight", "setup", text, "value")]


def _unsplit(settings: Settings) -> list[Reason]:
    """Without chunked prefill a prompt is one batch, however long; vLLM refuses a batch that is shorter. Of an encoder
    model_checks says it."""
    length = settings.length
    if settings.chunked or settings.encodes or length in (None, AUTO_LENGTH):
        return []
    if settings.batched_tokens < t.cast(int, length):
        text = (
            f"Chunked prefill is off and max_num_batched_tokens {settings.batched_tokens} is less than max_model_len "
            f"{length}: a prompt of that length fits no batch. Leave enable_chunked_prefill out."
        )
        return [Reason("does_not_fit", "setup", text, "value")]
    text = (
        f"Chunked prefill is off, so that a whole prompt is one batch and {settings.batched_tokens} tokens are tried "
        "at start: leave enable_chunked_prefill out, or take a shorter max_model_len."
    )
    return [Reason("tight", "memory", text)]


def _whole(settings: Settings) -> list[Reason]:
    """An image or a video that is never split has to fit one batch; vLLM refuses a smaller one, asked for or not."""
    size, kind = settings.whole
    if settings.batched_tokens >= size:
        return []
    by_default = " by default" if "max_num_batched_tokens" in settings.unset else ""
    text = (
        f"max_num_batched_tokens is {settings.batched_tokens}{by_default}, and this model takes {kind}s whole, of up "
        f"to {size} tokens: set max_num_batched_tokens to {size} or more, or {kind}: 0 in limit_mm_per_prompt."
    )
    return [Reason("does_not_fit", "setup", text, "value")]


def _shared(request: MemoryRequest, settings: Settings, budget: Budget) -> list[Reason]:
    """One memory for GPU and host: files that are read lie in it beside what is loaded from them."""
    if not request.unified or not budget.ranks or budget.weights is None:
        return []
    rank = budget.ranks[0]
    files = budget.weights.whole_gib if settings.load_format != "dummy" else 0.0
    needed = rank.requested.expected + files + HOST_NEEDS_GIB
    if needed <= rank.total.expected:
        return []
    text = (
        f"GPU and host share one memory of {rank.total.expected:.0f} GiB: beside the {rank.requested.expected:.0f} GiB "
        f"of gpu_memory_utilization {settings.utilisation:g}, the host's memory holds {files:.0f} GiB of weight files "
        f"while they load and about {HOST_NEEDS_GIB:.0f} GiB of its own; the profile run may take the host down."
    )
    return [Reason("tight", "memory", text)]


def _offloaded(request: MemoryRequest, settings: Settings, budget: Budget) -> list[Reason]:
    """What is kept on the host must be free there: weights for each rank, KV cache for all of them."""
    free = request.host_free_mib
    wanted = settings.offload_gib * max(1, settings.world) + settings.offload_kv_gib
    if free is None or not wanted:
        return []
    have = free / MIB_PER_GIB
    if wanted <= 0.9 * have:
        return []
    names = [name for name, size in _OFFLOADS if getattr(settings, size)]
    text = f"{' and '.join(names)} put {wanted:.1f} GiB into the host's memory, of which {have:.1f} GiB are available."
    return [Reason("does_not_fit" if wanted > have else "tight", "memory", text, here=True)]


_OFFLOADS = (("cpu_offload_gb", "offload_gib"), ("kv_offloading_size", "offload_kv_gib"))


def _loader(settings: Settings) -> list[Reason]:
    why = LOADERS.get(settings.load_format)
    if why is None:
        return []
    return [Reason("tight", "memory", f"load_format {settings.load_format}: {why}, which is not in these sums.")]
