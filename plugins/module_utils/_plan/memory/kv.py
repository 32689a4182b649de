# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""KV cache of one rank: bytes a block, blocks a request, requests and tokens that a pool holds, as vLLM groups layers.

Layers of equal kind are split into groups of equal size that share one pool of blocks; a block is 16 tokens of every
layer of one group, or more where a state must fit in it. Sizes are bytes, lengths tokens.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

from .architecture import Architecture
from .calibration import HYBRID_GROUPS, IN_FLIGHT_BATCHES, PADDING_RULE
from .layers import Kept, Kind
from .request import Version

BLOCK_TOKENS = 16
LONGEST = 64 * 1024 * 1024
# fp8_ds_mla: 512 one-byte values, 16 bytes of scales and 64 two-byte rotary values.
DS_MLA_BYTES = 656
ELEMENT_BYTES = {
    "float32": 4.0,
    "float": 4.0,
    "bfloat16": 2.0,
    "float16": 2.0,
    "half": 2.0,
    "fp8": 1.0,
    "fp8_e4m3": 1.0,
    "fp8_e5m2": 1.0,
    "fp8_inc": 1.0,
    "int8_per_token_head": 1.0,
    "fp8_per_token_head": 1.0,
    "nvfp4": 0.5625,
    "int4_per_token_head": 0.53,
}


@dataclass(frozen=True)
class Groups:
    """COUNT groups of one kind; window in tokens where the kind has one."""

    kind: Kind
    count: int
    window: int = 0


@dataclass(frozen=True)
class KvLayout:
    """One rank's pool. in_flight: tokens that may be scheduled and not yet settled."""

    block_tokens: int
    block_bytes: float
    groups: tuple[Groups, ...]
    in_flight: int
    state_blocks: int
    version: Version

    def blocks(self, length: int) -> int:
        """Blocks that one request of LENGTH tokens takes, over all groups."""
        return sum(group.count * self._blocks_of(group, length) for group in self.groups)

    def _blocks_of(self, group: Groups, length: int) -> int:
        if group.kind == "linear":
            return self.state_blocks
        if group.kind == "sliding":
            return math.ceil(min(group.window - 1 + self.in_flight, length) / self.block_tokens) + 1
        if group.kind == "chunked":
            return math.ceil(min(group.window + self.in_flight, length) / self.block_tokens)
        return math.ceil(length / self.block_tokens)

    def needed_gib(self, length: int) -> float:
        """GiB that one request of LENGTH tokens needs, with the one block that vLLM keeps for itself."""
        return (self.blocks(length) + 1) * self.block_bytes / 1024.0**3

    def pool_blocks(self, gib: float) -> int:
        return max(0, int(gib * 1024.0**3 // self.block_bytes))

    def concurrency(self, gib: float, length: int) -> float:
        """Requests of LENGTH tokens that GIB hold at once, as vLLM logs it."""
        return self.pool_blocks(gib) / self.blocks(length)

    def tokens(self, gib: float, length: int) -> int:
        """Tokens that GIB hold as vLLM logs them; from 0.21 derived from the concurrency."""
        if self.version >= (0, 21, 0):
            return int(self.concurrency(gib, length) * length)
        return self.pool_blocks(gib) // sum(group.count for group in self.groups) * self.block_tokens

    def longest(self, gib: float) -> int:
        """The longest single request that GIB hold, in whole blocks of tokens; 0 when none does."""
        low, high = 0, LONGEST // self.block_tokens
        while low < high:
            middle = (low + high + 1) // 2
            if self.needed_gib(middle * self.block_tokens) <= gib:
                low = middle
            else:
                high = middle - 1
        return low * self.block_tokens

    @property
    def bytes_per_token(self) -> float:
        """Bytes that one more token of a long request takes: the groups that keep everything."""
        growing = sum(group.count for group in self.groups if group.kind == "full")
        return growing * self.block_bytes / self.block_tokens


@dataclass(frozen=True)
class KvSettings:
    """The engine arguments that shape the cache, resolved to values."""

    version: Version
    dtype: str = "bfloat16"
    cache_dtype: str = "auto"
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    block_tokens: int = BLOCK_TOKENS
    batched_tokens: int = 2048
    concurrent_batches: int = 1
    hybrid_manager: bool = True
    prefix_caching: bool = True


def element_bytes(architecture: Architecture, settings: KvSettings) -> float:
    """Bytes of one cached element."""
    cache = settings.cache_dtype
    if cache in ("", "auto"):
        quantization = architecture.quantization
        if quantization is not None and quantization.kv_fp8:
            return 1.0
        return ELEMENT_BYTES.get(settings.dtype, 2.0)
    return ELEMENT_BYTES.get(cache, 2.0)


def layout(architecture: Architecture, settings: KvSettings) -> KvLayout | None:
    """The pool of the rank with the most layers; None when the model's cache cannot be computed."""
    if not architecture.cacheable:
        return None
    stages = settings.pipeline_parallel
    kept = [Kept(one.kind, math.ceil(one.count / stages), one.window) for one in architecture.layers.kept]
    if not settings.hybrid_manager or settings.version < HYBRID_GROUPS:
        kept = _as_full(kept)
    per_token = _layer_bytes(architecture, settings)
    block_tokens = settings.block_tokens
    state = architecture.layers.state
    if state is not None:
        wide = state.wide_elements * 4.0 + state.narrow_elements * ELEMENT_BYTES.get(settings.dtype, 2.0)
        page = wide / settings.tensor_parallel
        block_tokens = max(block_tokens, math.ceil(page / per_token / BLOCK_TOKENS) * BLOCK_TOKENS)
    size, groups = _grouped(kept, settings.version)
    batches = settings.concurrent_batches if settings.version >= IN_FLIGHT_BATCHES else 1
    return KvLayout(
        block_tokens=block_tokens,
        block_bytes=per_token * block_tokens * size,
        groups=groups,
        in_flight=settings.batched_tokens * batches,
        state_blocks=2 if settings.prefix_caching and settings.version >= (0, 16, 0) else 1,
        version=settings.version,
    )


def _layer_bytes(architecture: Architecture, settings: KvSettings) -> float:
    """Bytes that one layer of one rank keeps for one token."""
    element = element_bytes(architecture, settings)
    if architecture.latent_size is not None:
        # Every rank holds the whole latent vector: tensor parallelism does not divide it.
        return DS_MLA_BYTES if settings.cache_dtype == "fp8_ds_mla" else architecture.latent_size * element
    heads = max(1, (architecture.kv_heads or 1) // settings.tensor_parallel)
    head_size = architecture.head_size or 0
    return heads * (head_size + (architecture.head_size_v or head_size)) * element


def _as_full(kept: t.Sequence[Kept]) -> list[Kept]:
    attention = sum(one.count for one in kept if one.kind != "linear")
    result = [Kept("full", attention)] if attention else []
    return result + [one for one in kept if one.kind == "linear"]


def _grouped(kept: t.Sequence[Kept], version: Version) -> tuple[int, tuple[Groups, ...]]:
    """(layers in a group, groups). Small differences between the kinds are padded, large ones split."""
    counts = [one.count for one in kept]
    size = min(counts)
    ratio = 1.5 if version >= PADDING_RULE else 1.25
    if max(counts) < size * ratio:
        size = max(counts)
    return size, tuple(Groups(one.kind, math.ceil(one.count / size), one.window) for one in kept)
