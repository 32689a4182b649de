# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""KV cache of one rank: bytes a block, blocks a request, requests and tokens that a pool holds, as vLLM groups layers.

Layers of equal kind are split into groups of equal size that share one pool of blocks. All blocks are equally large: a
layer that keeps less a token has longer blocks, and one whose size does not divide the largest is padded. Sizes are
bytes, lengths tokens. Source: v1/core/kv_cache_utils.py and the platforms' block sizes.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, replace

from ..model import kv_types
from ..model.architecture import Architecture
from ..model.layers import Kept, Kind
from .calibration import (
    EVERY_STATE,
    HYBRID_GROUPS,
    HYBRID_PREFIXES,
    IN_FLIGHT_BATCHES,
    PADDING_RULE,
    STATES_ALIGNED,
    TOKENS_BY_CONCURRENCY,
)
from .request import Version

BLOCK_TOKENS = 16
# The smallest block that the kernels of latent attention share with state layers.
LATENT_BLOCK_TOKENS = 128
LONGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class Groups:
    """COUNT groups of one kind whose blocks hold block_tokens; window in tokens where the kind has one."""

    kind: Kind
    count: int
    window: int = 0
    block_tokens: int = BLOCK_TOKENS


@dataclass(frozen=True)
class KvLayout:
    """One rank's pool.

    block_tokens: the shortest block's. in_flight: tokens that may be scheduled and not yet settled. state_blocks: of
    one request in each group of state layers, beside one for every block of its tokens where every_state.
    context_parallel: ranks over which a request's tokens are spread.
    """

    block_tokens: int
    block_bytes: float
    groups: tuple[Groups, ...]
    in_flight: int
    state_blocks: int
    version: Version
    context_parallel: int = 1
    every_state: bool = False

    @property
    def stateful(self) -> bool:
        """Whether each request being answered holds a block for a state."""
        return any(group.kind == "linear" for group in self.groups)

    def blocks(self, length: int) -> int:
        """Blocks that one request of LENGTH tokens takes, over all groups."""
        return sum(group.count * self._blocks_of(group, length) for group in self.groups)

    def _blocks_of(self, group: Groups, length: int) -> int:
        if group.kind == "linear":
            return self.state_blocks + (math.ceil(length / group.block_tokens) if self.every_state else 0)
        if group.kind == "cross":
            return math.ceil(group.window / group.block_tokens)
        if group.kind == "sliding":
            return math.ceil(min(group.window - 1 + self.in_flight, length) / group.block_tokens) + 1
        if group.kind == "chunked":
            return math.ceil(min(group.window + self.in_flight, length) / group.block_tokens)
        return math.ceil(math.ceil(length / self.context_parallel) / group.block_tokens)

    def needed_gib(self, length: int) -> float:
        """GiB that one request of LENGTH tokens needs, with the one block that vLLM keeps for itself."""
        return (self.blocks(length) + 1) * self.block_bytes / 1024.0**3

    def pool_blocks(self, gib: float) -> int:
        return max(0, int(gib * 1024.0**3 // self.block_bytes))

    def concurrency(self, gib: float, length: int) -> float:
        """Requests of LENGTH tokens that GIB hold at once, as vLLM logs it."""
        return self.pool_blocks(gib) / self.blocks(length)

    def tokens(self, gib: float, length: int) -> int:
        """Tokens that GIB hold as vLLM logs them; from 0.20.1 derived from the concurrency."""
        if self.version >= TOKENS_BY_CONCURRENCY:
            return int(self.concurrency(gib, length) * length)
        groups = sum(group.count for group in self.groups)
        return self.pool_blocks(gib) // groups * self.block_tokens * self.context_parallel

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
        growing = sum(group.count / group.block_tokens for group in self.groups if group.kind == "full")
        return growing * self.block_bytes / self.context_parallel


@dataclass(frozen=True)
class KvSettings:
    """The engine arguments that shape the cache, resolved to values.

    prefix_caching: None where nobody set it. drafted: tokens a step beside the one that is sure; draft_layers: layers
    of full attention that the drafter keeps in the same pool. stages: layers of each pipeline stage, as set by hand.
    """

    version: Version
    dtype: str = "bfloat16"
    cache_dtype: str = "auto"
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    block_tokens: int = BLOCK_TOKENS
    batched_tokens: int = 2048
    concurrent_batches: int = 1
    hybrid_manager: bool = True
    prefix_caching: bool | None = None
    drafted: int = 0
    draft_layers: int = 0
    context_parallel: int = 1
    state_dtype: str = "auto"
    recurrent_dtype: str = "auto"
    stages: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Pages:
    """Layers whose pages are alike: COUNT of them, of BYTES for TOKENS each."""

    kind: Kind
    count: int
    window: int
    tokens: int
    bytes: float


def layout(architecture: Architecture, settings: KvSettings) -> KvLayout | None:
    """The pool of the rank with the most layers; None when the model's cache cannot be computed."""
    if not architecture.cacheable:
        return None
    pages = _pages(architecture, settings)
    if not pages:
        return None
    attention = {(page.kind, page.window) for page in pages}
    if len(attention) == 1:
        # One group, whose layers need not be alike.
        first = pages[0]
        groups: tuple[Groups, ...] = (Groups(first.kind, 1, first.window, first.tokens),)
        block_bytes = sum(page.bytes * page.count for page in pages)
    else:
        pages = _unified(pages)
        size, groups = _grouped(pages, settings.version)
        block_bytes = size * pages[0].bytes
    state = architecture.layers.state
    first_release, last = EVERY_STATE
    every = state is not None and state.mamba and first_release <= settings.version < last and _caching(settings)
    if block_bytes <= 0.0:
        return None
    batches = settings.concurrent_batches if settings.version >= IN_FLIGHT_BATCHES else 1
    return KvLayout(
        block_tokens=min(group.block_tokens for group in groups),
        block_bytes=block_bytes,
        groups=groups,
        in_flight=settings.batched_tokens * batches,
        state_blocks=settings.drafted if every else _state_blocks(settings),
        version=settings.version,
        context_parallel=settings.context_parallel,
        every_state=every,
    )


def stage_layers(count: int, stages: int, partition: t.Sequence[int] = ()) -> tuple[int, ...]:
    """Layers of each of STAGES pipeline stages. What does not divide goes to the stages before the last one."""
    if len(partition) == stages and sum(partition) == count:
        return tuple(partition)
    counts = [count // stages] * stages
    for place in range(2, count % stages + 2):
        counts[-place] += 1
    return tuple(counts)


def _state_blocks(settings: KvSettings) -> int:
    """With prefix caching a request holds the state it goes on from, too; each drafted token has one of its own."""
    if settings.version < STATES_ALIGNED:
        return 1
    return (2 if _caching(settings) else 1) + settings.drafted


def _caching(settings: KvSettings) -> bool:
    """Whether prefixes are cached; what a release does by default holds for models with state layers."""
    return settings.version >= HYBRID_PREFIXES if settings.prefix_caching is None else settings.prefix_caching


def _pages(architecture: Architecture, settings: KvSettings) -> list[_Pages]:
    """All layers of the largest stage; empty where the bytes of a token are not known."""
    layers = architecture.layers
    share = max(stage_layers(layers.count, settings.pipeline_parallel, settings.stages)) / layers.count
    kept = [replace(layer, count=max(1, math.ceil(round(layer.count * share, 6)))) for layer in layers.kept]
    if not settings.hybrid_manager or settings.version < HYBRID_GROUPS:
        kept = [
            replace(layer, kind="full", window=0) if layer.kind in ("sliding", "chunked") else layer for layer in kept
        ]
    if settings.draft_layers:
        kept = _with_drafter(kept, settings.draft_layers)
    block = settings.block_tokens
    state_bytes = 0.0
    if layers.state is not None:
        state_bytes = layers.state.page_bytes(
            settings.tensor_parallel, settings.drafted, settings.dtype, settings.state_dtype, settings.recurrent_dtype
        )
    pages: list[_Pages] = []
    for layer in kept:
        if layer.kind == "linear":
            continue
        row = kv_types.token_bytes(architecture, layer, settings.tensor_parallel, settings.cache_dtype, settings.dtype)
        if row is None:
            return []
        pages.append(_Pages(layer.kind, layer.count, layer.window, block, row))
    if pages and state_bytes:
        # A block of attention is at least as large as a state, so that one pool serves both.
        least = max(block, LATENT_BLOCK_TOKENS) if architecture.mla and settings.version >= (0, 27, 0) else block
        widest = max(page.bytes for page in pages)
        block = max(block, least * math.ceil(state_bytes / (least * widest)))
        pages = [replace(page, tokens=block) for page in pages]
    pages = [replace(page, bytes=page.bytes * page.tokens) for page in pages]
    pages = _with_boundary(pages, architecture, settings)
    states = sum(layer.count for layer in kept if layer.kind == "linear")
    if states:
        pages.append(_Pages("linear", states, 0, block, state_bytes))
    return pages


def _with_drafter(kept: list[Kept], layers: int) -> list[Kept]:
    """The drafter's layers go with those that keep everything."""
    for place, layer in enumerate(kept):
        if layer.kind == "full":
            return [*kept[:place], replace(layer, count=layer.count + layers), *kept[place + 1 :]]
    return [*kept, Kept("full", layers)]


def _with_boundary(pages: list[_Pages], architecture: Architecture, settings: KvSettings) -> list[_Pages]:
    """Turboquant keeps the first and the last layers of a model without state layers as they are."""
    if settings.cache_dtype not in kv_types.TURBOQUANT or architecture.layers.state is not None:
        return pages
    plain = kv_types.token_bytes(
        architecture, architecture.layers.kept[0], settings.tensor_parallel, "auto", settings.dtype
    )
    count = min(2 * kv_types.BOUNDARY, pages[0].count)
    if plain is None or count == pages[0].count:
        return pages
    first = replace(pages[0], count=pages[0].count - count)
    return [first, *pages[1:], replace(first, count=count, bytes=plain * first.tokens)]


def _unified(pages: t.Sequence[_Pages]) -> list[_Pages]:
    """All pages as large as the largest: longer blocks where that comes out even, else padding."""
    largest = max(page.bytes for page in pages)
    merged: dict[tuple[Kind, int, int], _Pages] = {}
    for page in pages:
        times = largest / page.bytes if page.bytes else 1.0
        tokens = page.tokens * int(times) if page.kind != "linear" and times == int(times) else page.tokens
        key = (page.kind, page.window, tokens)
        before = merged[key].count if key in merged else 0
        merged[key] = _Pages(page.kind, before + page.count, page.window, tokens, largest)
    return list(merged.values())


def _grouped(pages: t.Sequence[_Pages], version: Version) -> tuple[int, tuple[Groups, ...]]:
    """(layers in a group, groups). Small differences between the kinds are padded, large ones split."""
    counts = [page.count for page in pages]
    size = min(counts)
    ratio = 1.5 if version >= PADDING_RULE else 1.25
    if max(counts) < size * ratio:
        size = max(counts)
    return size, tuple(Groups(page.kind, math.ceil(page.count / size), page.window, page.tokens) for page in pages)
