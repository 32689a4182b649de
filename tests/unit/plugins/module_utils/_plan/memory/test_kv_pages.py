# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools of models whose layers are not alike, against what real starts logged, block for block."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.kv import (
    KvLayout,
    KvSettings,
    layout,
    stage_layers,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model import kv_types
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.architecture import Architecture, from_config
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.layers import Kept
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS


def of(model: str, version: tuple[int, int, int], **more: t.Any) -> KvLayout:
    architecture = from_config(CONFIGS[model])
    assert architecture is not None
    found = layout(architecture, KvSettings(version=version, **more))
    assert found is not None
    return found


# Model, release, settings, GiB as logged, length, tokens as logged.
LOGGED: list[tuple[str, tuple[int, int, int], dict[str, t.Any], float, int, int]] = [
    # noonghunna/club-3090#594: two RTX 3090, MTP of three tokens; the drafting layer is the seventeenth of attention.
    (
        "Qwen/Qwen3.6-27B-FP8",
        (0, 24, 0),
        {"tensor_parallel": 2, "cache_dtype": "fp8", "drafted": 3, "draft_layers": 1, "prefix_caching": True},
        5.33,
        262144,
        300_220,
    ),
    # noonghunna/club-3090#642: the same geometry with another quantization.
    (
        "Qwen/Qwen3.6-27B-FP8",
        (0, 24, 0),
        {
            "tensor_parallel": 2,
            "cache_dtype": "fp8_e5m2",
            "dtype": "float16",
            "drafted": 3,
            "draft_layers": 1,
            "prefix_caching": True,
        },
        11.05,
        262144,
        623_873,
    ),
]


@pytest.mark.parametrize(("model", "version", "settings", "gib", "length", "tokens"), LOGGED)
def test_tokens_as_logged(
    model: str, version: tuple[int, int, int], settings: dict[str, t.Any], gib: float, length: int, tokens: int
) -> None:
    pool = of(model, version, **settings)
    # GiB are logged with two decimals: a block more or less.
    assert abs(pool.tokens(gib, length) - tokens) <= length / pool.blocks(length) + 1


@pytest.mark.parametrize(
    ("settings", "length", "blocks", "tokens"),
    [
        # A build of 2026-08-15 on one and on two RTX 5090, FP8 cache, with the prefixes of 0.28: whole
        # blocks give exactly what was logged.
        ({}, 32768, 75, 91_022),
        ({"tensor_parallel": 2}, 262144, 611, 920_517),
    ],
)
def test_whole_blocks_give_the_logged_tokens(settings: dict[str, t.Any], length: int, blocks: int, tokens: int) -> None:
    pool = of("Qwen/Qwen3.6-27B-FP8", (0, 28, 0), cache_dtype="fp8", **settings)
    assert pool.tokens((blocks + 0.5) * pool.block_bytes / 1024.0**3, length) == tokens


def test_prefix_caching_is_on_by_default_for_states_from_028() -> None:
    """_set_default_chunked_prefill_and_prefix_caching_args of 0.27.1 still says `and not model_config.is_hybrid`.

    With it a request holds the state that it goes on from, too.
    """
    old, new = of("Qwen/Qwen3.5-4B", (0, 27, 1)), of("Qwen/Qwen3.5-4B", (0, 28, 0))
    assert (old.state_blocks, new.state_blocks) == (1, 2)
    assert of("Qwen/Qwen3.5-4B", (0, 28, 0), prefix_caching=False).state_blocks == 1


def test_states_of_a_release_without_prefixes_give_the_logged_tokens() -> None:
    """Nemotron 3 Super with 0.27.1 on four L40S, FP8 cache, states of 16 bits: 15.27 GiB were 5,912,283 tokens."""
    settings = {"cache_dtype": "fp8", "tensor_parallel": 4, "recurrent_dtype": "float16"}
    pool = of("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8", (0, 27, 1), **settings)
    assert pool.blocks(32768) == 21
    assert pool.tokens(15.27, 32768) == pytest.approx(5_912_283, rel=0.01)


def test_states_of_mamba_layers_for_every_block() -> None:
    """Until 0.27 the mode was `all` where the model could; from 0.28 it is `align`."""
    kept = {"prefix_caching": True, "cache_dtype": "fp8"}
    every, aligned = (of("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8", (0, minor, 0), **kept) for minor in (27, 28))
    assert every.blocks(262144) > 4 * aligned.blocks(262144)


def test_a_layer_that_keeps_less_has_longer_blocks() -> None:
    """Gemma 4 26B-A4B: a global layer keeps half of what one with a window keeps, so its blocks hold 32 tokens."""
    pool = of("google/gemma-4-26B-A4B-it", (0, 24, 0), tensor_parallel=2)
    assert {(one.kind, one.count, one.block_tokens) for one in pool.groups} == {("full", 1, 32), ("sliding", 5, 16)}
    assert pool.bytes_per_token == 5 * 2 * 512 * 2


def test_drafters_pad_the_groups() -> None:
    """gpt-oss with one layer of EAGLE: 12 with a window and 13 without are two groups of 13."""
    pool = of("openai/gpt-oss-20b", (0, 19, 0), draft_layers=1)
    assert [one.count for one in pool.groups] == [1, 1]
    assert pool.block_bytes == 13 * 16 * 2 * 8 * 64 * 2


def test_turboquant_block() -> None:
    """3-bit keys with a norm, 3-bit values with scale and zero point: 198 bytes a head of 256."""
    pool = of("Qwen/Qwen3.6-27B-FP8", (0, 21, 0), cache_dtype="turboquant_3bit_nc", drafted=3, draft_layers=1)
    assert pool.block_tokens == 4128
    assert pool.block_bytes == 17 * 4128 * 4 * 198


def test_turboquant_leaves_the_ends_as_they_are() -> None:
    pool = of("meta-llama/Llama-3.1-8B-Instruct", (0, 21, 0), cache_dtype="turboquant_k8v4")
    packed, plain = 8 * (128 + 64 + 4), 8 * 2 * 128 * 2
    assert pool.block_bytes == 16 * (28 * packed + 4 * plain)


@pytest.mark.parametrize(
    ("cache_dtype", "size"),
    [
        ("auto", 8 * 256 * 2),
        ("fp8_e4m3", 8 * 256),
        ("int8_per_token_head", 8 * (256 + 8)),
        ("int4_per_token_head", 8 * (128 + 8)),
        ("nvfp4", 8 * 2 * (64 + 8)),
        ("octave_k3v4", None),
        ("nonsense", None),
    ],
)
def test_bytes_a_token(cache_dtype: str, size: float | None) -> None:
    architecture = from_config(CONFIGS["meta-llama/Llama-3.1-8B-Instruct"])
    assert architecture is not None
    assert kv_types.token_bytes(architecture, Kept("full", 1), 1, cache_dtype, "bfloat16") == size
    assert kv_types.known(cache_dtype) is (size is not None)


def test_a_type_that_nobody_knows_has_no_pool() -> None:
    architecture = from_config(CONFIGS["meta-llama/Llama-3.1-8B-Instruct"])
    assert architecture is not None
    assert layout(architecture, KvSettings(version=(0, 33, 0), cache_dtype="nonsense")) is None


def sparse() -> Architecture:
    found = from_config(
        {
            "num_hidden_layers": 61,
            "hidden_size": 7168,
            "num_attention_heads": 128,
            "vocab_size": 129280,
            "kv_lora_rank": 512,
            "qk_rope_head_dim": 64,
            "index_head_dim": 128,
        }
    )
    assert found is not None
    return found


@pytest.mark.parametrize(("cache_dtype", "size"), [("auto", 576 * 2 + 132), ("fp8", 656 + 132)])
def test_a_sparse_cache_has_an_index_beside_it(cache_dtype: str, size: int) -> None:
    assert kv_types.token_bytes(sparse(), Kept("full", 61), 8, cache_dtype, "bfloat16") == size


def test_context_parallel_ranks_share_a_request() -> None:
    one, four = (of("meta-llama/Llama-3.1-8B-Instruct", (0, 32, 0), context_parallel=ranks) for ranks in (1, 4))
    assert four.blocks(131072) * 4 == one.blocks(131072)
    assert four.tokens(8.0, 131072) == pytest.approx(4 * one.tokens(8.0, 131072), rel=0.01)


@pytest.mark.parametrize(
    ("count", "stages", "partition", "expected"),
    [
        (32, 2, (), (16, 16)),
        # distributed/utils.py: what is left over goes to the stages before the last one.
        (31, 4, (), (8, 8, 8, 7)),
        (30, 4, (), (7, 8, 8, 7)),
        (32, 2, (10, 22), (10, 22)),
        (32, 2, (10, 10), (16, 16)),
    ],
)
def test_layers_of_stages(count: int, stages: int, partition: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert stage_layers(count, stages, partition) == expected
    assert sum(expected) == count
