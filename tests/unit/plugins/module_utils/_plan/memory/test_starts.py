# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What vLLM refuses at start, or a host cannot bear, beside the sums of a GPU. Each rule is shown both ways."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.plan import MemoryPlan, plan_memory
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.request import (
    Claim,
    GpuMemory,
    MemoryRequest,
)
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS

GIB = 1024**3
LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
QWEN_27B = "Qwen/Qwen3.6-27B-FP8"
NEMOTRON = "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8"
GEMMA_26B = "google/gemma-4-26B-A4B-it"


def h100(**more: t.Any) -> GpuMemory:
    values: dict[str, t.Any] = {"free_mib": 81_075.0, "compute_capability": "9.0", **more}
    return GpuMemory(total_mib=81_559, reserved_mib=480, **values)


def plan(model: str, gpus: t.Sequence[GpuMemory] = (h100(),), **more: t.Any) -> MemoryPlan:
    arguments, version = more.pop("arguments", {}), more.pop("version", "0.28.0")
    request = MemoryRequest(
        version=version, arguments=arguments, gpus=tuple(gpus), model=model, config=CONFIGS[model], **more
    )
    return plan_memory(request, advise=False, cap_unset=False)


def said(found: MemoryPlan, words: str) -> list[str]:
    return [reason.word for reason in found.reasons if words in reason.text]


VISION = {
    **CONFIGS[GEMMA_26B],
    "architectures": ["Gemma4ForConditionalGeneration"],
    "vision_config": {"model_type": "gemma4_vision", "hidden_size": 1152, "default_output_length": 280},
}


def gemma(more: dict[str, t.Any] | None = None, **given: t.Any) -> MemoryPlan:
    """One whose text_config has what google/gemma-4-26B-A4B-it has: use_bidirectional_attention is vision."""
    text = {**VISION["text_config"], "use_bidirectional_attention": "vision", **(more or {})}
    gpus = (GpuMemory(total_mib=81_920, reserved_mib=470, free_mib=81_446, compute_capability="8.0"),)
    request = MemoryRequest(
        given.pop("version", "0.20.1"), given, gpus, GEMMA_26B, {**VISION, "text_config": text}, weights_bytes=48 * GIB
    )
    return plan_memory(request, advise=False, cap_unset=True)


@pytest.mark.parametrize(
    ("arguments", "more", "refused"),
    [
        # vllm-project/recipes#441: "max_tokens_per_mm_item (2496) is larger than max_num_batched_tokens (2048)".
        ({}, {}, True),
        ({"max_num_batched_tokens": 2495}, {}, True),
        ({"max_num_batched_tokens": 2496}, {}, False),
        ({"limit_mm_per_prompt": {"video": 0}}, {}, False),
        ({"limit_mm_per_prompt": {"video": 0}, "max_num_batched_tokens": 279, "max_num_seqs": 8}, {}, True),
        ({"limit_mm_per_prompt": {"image": 0}}, {}, True),
        ({"language_model_only": True}, {}, False),
        # The small ones attend to an image as they do to text, so that it may be split.
        ({}, {"use_bidirectional_attention": None}, False),
        # EngineArgs._get_min_mm_batched_tokens of 0.22.0 raises what nobody set, and nothing else.
        ({"version": "0.22.0"}, {}, False),
        ({"version": "0.22.0", "max_num_batched_tokens": 2048}, {}, True),
        ({"version": "0.21.0"}, {}, True),
        # 16 frames of 78 tokens; in 0.20 all 32 counted.
        ({"version": "0.21.0", "limit_mm_per_prompt": {"video": {"count": 1, "num_frames": 16}}}, {}, False),
        ({"limit_mm_per_prompt": {"video": {"count": 1, "num_frames": 16}}}, {}, True),
    ],
)
def test_an_image_or_a_video_that_is_never_split(
    arguments: dict[str, t.Any], more: dict[str, t.Any], refused: bool
) -> None:
    found = gemma(more, **arguments)

    assert said(found, "whole, of up to") == (["does_not_fit"] if refused else [])


def test_a_default_is_raised_to_what_is_never_split() -> None:
    assert gemma(version="0.21.0").settings.batched_tokens == 2048
    assert gemma(version="0.22.0").settings.batched_tokens == 2496
    # By all that the model takes, whatever is allowed.
    assert gemma(version="0.22.0", limit_mm_per_prompt={"image": 0, "video": 0}).settings.batched_tokens == 2496


@pytest.mark.parametrize(
    ("arguments", "version", "word"),
    [
        # vllm-project/vllm: 524 blocks for 1024 sequences on two H100.
        ({}, "0.20.0", "does_not_fit"),
        ({}, "0.19.0", "tight"),
        ({}, "0.18.0", None),
        ({"max_num_seqs": 64}, "0.20.0", None),
        ({"enforce_eager": True}, "0.20.0", None),
        ({"compilation_config": {"cudagraph_mode": "PIECEWISE"}}, "0.20.0", None),
    ],
)
def test_a_state_block_for_each_sequence(arguments: dict[str, t.Any], version: str, word: str | None) -> None:
    found = plan(
        NEMOTRON,
        (h100(), h100(index=1)),
        arguments={"tensor_parallel_size": 2, "max_model_len": 8192, **arguments},
        version=version,
        weights_bytes=126_701_535_232,
    )
    assert said(found, "takes a state block for each sequence") == ([word] if word else [])


@pytest.mark.parametrize(
    ("arguments", "version", "word"),
    [
        # vllm-project/vllm#36697: "block_size (2096) must be <= max_num_batched_tokens (2048)"; validate_block_size of
        # 0.17.0 to 0.26.0.
        ({"max_num_batched_tokens": 512}, "0.17.0", "does_not_fit"),
        ({"max_num_batched_tokens": 512}, "0.26.0", "does_not_fit"),
        ({"max_num_batched_tokens": 512}, "0.16.0", None),
        ({"max_num_batched_tokens": 512}, "0.27.0", None),
        ({"max_num_batched_tokens": 784}, "0.20.0", "tight"),
        ({"max_num_batched_tokens": 2048}, "0.20.0", None),
        ({"max_num_batched_tokens": 512, "enable_prefix_caching": False}, "0.20.0", None),
        ({"max_num_batched_tokens": 512, "enable_prefix_caching": None}, "0.20.0", None),
    ],
)
def test_a_block_with_a_cached_state_goes_into_one_batch(
    arguments: dict[str, t.Any], version: str, word: str | None
) -> None:
    given = {"enable_prefix_caching": True, "max_model_len": 8192, "max_num_seqs": 8, **arguments}
    found = plan(QWEN_27B, arguments=given, version=version, weights_bytes=29 * GIB)

    assert said(found, "at the ends of blocks") == ([word] if word else [])


def test_state_blocks_are_not_answered_by_a_default_of_ours() -> None:
    """It would change the digest of releases that were planned without."""
    request = MemoryRequest(
        version="0.28.0",
        arguments={"gpu_memory_utilization": 0.8, "max_model_len": 8192},
        gpus=(h100(),),
        config=CONFIGS[QWEN_27B],
        weights_bytes=30_866_866_928,
    )
    found = plan_memory(request)
    assert (found.verdict, found.caps) == ("does_not_fit", {})
    assert any(change.name == "max_num_seqs" for change in found.changes)


@pytest.mark.parametrize(
    ("arguments", "word", "batch"),
    [
        ({"enable_chunked_prefill": False}, "tight", 131072),
        ({"enable_chunked_prefill": False, "max_num_batched_tokens": 2048}, "does_not_fit", 2048),
        ({"enable_chunked_prefill": True}, None, 8192),
        ({}, None, 8192),
    ],
)
def test_without_chunks_a_prompt_is_one_batch(arguments: dict[str, t.Any], word: str | None, batch: int) -> None:
    """SchedulerConfig: max_num_batched_tokens is at least max_model_len, or the start is refused."""
    found = plan(LLAMA_8B, arguments={"max_model_len": 131072, **arguments}, weights_bytes=16 * GIB)
    assert said(found, "Chunked prefill is off") == ([word] if word else [])
    assert found.settings.batched_tokens == batch


def test_a_whole_prompt_is_tried_at_start() -> None:
    whole, parts = (
        plan(LLAMA_8B, arguments={"enable_chunked_prefill": chunked}, weights_bytes=16 * GIB)
        for chunked in (False, True)
    )
    assert whole.budget.ranks[0].activation.expected > parts.budget.ranks[0].activation.expected + 10


def spark(**more: t.Any) -> GpuMemory:
    return GpuMemory(total_mib=124_610, compute_capability="12.1", **{"free_mib": 114_000.0, **more})


@pytest.mark.parametrize(
    ("unified", "utilisation", "word"), [(True, 0.7, "tight"), (True, 0.5, None), (False, 0.7, None)]
)
def test_a_host_needs_memory_too_where_it_is_one(unified: bool, utilisation: float, word: str | None) -> None:
    """A DGX Spark went down with 0.7 and 48 GiB of weight files."""
    found = plan(
        GEMMA_26B,
        (spark(),),
        arguments={"gpu_memory_utilization": utilisation, "max_model_len": 8192},
        weights_bytes=51_646_981_734,
        unified=unified,
    )
    assert said(found, "GPU and host share one memory") == ([word] if word else [])


@pytest.mark.parametrize(
    ("arguments", "free", "word"),
    [
        ({"cpu_offload_gb": 30}, 28 * 1024.0, "does_not_fit"),
        ({"cpu_offload_gb": 30}, 32 * 1024.0, "tight"),
        ({"cpu_offload_gb": 30}, 64 * 1024.0, None),
        ({"cpu_offload_gb": 30}, None, None),
        ({"kv_offloading_size": 40}, 32 * 1024.0, "does_not_fit"),
    ],
)
def test_what_goes_to_the_host_must_have_room(
    arguments: dict[str, t.Any], free: float | None, word: str | None
) -> None:
    found = plan(LLAMA_8B, arguments={"max_model_len": 8192, **arguments}, weights_bytes=16 * GIB, host_free_mib=free)
    assert said(found, "into the host's memory") == ([word] if word else [])


@pytest.mark.parametrize(("loader", "word"), [("instanttensor", "tight"), ("ipc_cache", "tight"), ("auto", None)])
def test_loaders_with_memory_of_their_own(loader: str, word: str | None) -> None:
    found = plan(LLAMA_8B, arguments={"max_model_len": 8192, "load_format": loader}, weights_bytes=16 * GIB)
    assert said(found, "not in these sums") == ([word] if word else [])


@pytest.mark.parametrize(
    ("free", "utilisation", "word"),
    [
        # request_memory: what is free is looked at whether or not the cache is fixed.
        (53_248.0, None, "does_not_fit"),
        (53_248.0, 0.3, None),
        (81_075.0, None, None),
    ],
)
def test_a_fixed_cache_does_not_skip_the_check_at_start(
    free: float, utilisation: float | None, word: str | None
) -> None:
    found = plan(
        LLAMA_8B,
        (h100(free_mib=free),),
        arguments={"kv_cache_memory_bytes": "8G", "max_model_len": 8192, "gpu_memory_utilization": utilisation},
        weights_bytes=16 * GIB,
    )
    assert said(found, "kv_cache_memory_bytes does not skip this check") == ([word] if word else [])


def test_the_second_of_two_fixed_caches_finds_too_little_free() -> None:
    gpu = h100(claims=(Claim("other", gib=18.0),))
    arguments = {"kv_cache_memory_bytes": "2G", "max_model_len": 8192}
    found = plan(LLAMA_8B, (gpu,), arguments=arguments, weights_bytes=16 * GIB)
    assert found.verdict == "does_not_fit"
    assert said(found, "Beside other about") == ["does_not_fit"]
    less = plan(LLAMA_8B, (gpu,), arguments={**arguments, "gpu_memory_utilization": 0.5}, weights_bytes=16 * GIB)
    assert less.verdict == "fits"


@pytest.mark.parametrize(
    ("blocks", "version", "word"),
    [
        (1, "0.28.0", "does_not_fit"),
        (1, "0.21.0", "tight"),
        (600, "0.28.0", "fits"),
        (1_000_000, "0.28.0", "does_not_fit"),
    ],
)
def test_blocks_set_by_hand_are_the_cache(blocks: int, version: str, word: str) -> None:
    found = plan(
        LLAMA_8B,
        arguments={"num_gpu_blocks_override": blocks, "max_model_len": 8192, "max_num_seqs": 64},
        version=version,
        weights_bytes=16 * GIB,
    )
    assert found.verdict == word
    assert found.concurrency == pytest.approx(blocks / 512)


def test_overrides_of_the_config_are_in_the_sums() -> None:
    """hf_overrides that make the model half as deep make its cache half as large."""
    arguments = {"max_model_len": 8192, "load_format": "dummy"}
    whole = plan(LLAMA_8B, arguments=arguments)
    half = plan(LLAMA_8B, arguments={**arguments, "hf_overrides": '{"num_hidden_layers": 16}'})
    assert whole.budget.layout is not None
    assert half.budget.layout is not None
    assert half.budget.layout.bytes_per_token * 2 == whole.budget.layout.bytes_per_token
    assert half.budget.ranks[0].weights.expected < whole.budget.ranks[0].weights.expected - 5


def test_a_type_of_cache_that_nobody_knows_is_said() -> None:
    found = plan(
        LLAMA_8B, arguments={"max_model_len": 8192, "kv_cache_dtype": "a_newer_type"}, version="0.33.0",
        weights_bytes=16 * GIB,
    )  # fmt: skip
    assert found.verdict == "unknown"
    assert said(found, "how many bytes a token takes with kv_cache_dtype a_newer_type") == ["unknown"]


def test_layers_of_stages_set_by_hand() -> None:
    gpus = (h100(), h100(index=1))
    arguments = {"max_model_len": 8192, "pipeline_parallel_size": 2}
    even, odd = (
        plan(LLAMA_8B, gpus, arguments=arguments, weights_bytes=16 * GIB, environment=environment)
        for environment in ({}, {"VLLM_PP_LAYER_PARTITION": "8,24"})
    )
    assert odd.budget.ranks[1].weights.expected > even.budget.ranks[1].weights.expected + 3
    assert odd.budget.layout is not None
    assert even.budget.layout is not None
    assert odd.budget.layout.block_bytes == 1.5 * even.budget.layout.block_bytes


def test_the_smaller_default_is_no_smaller_than_what_is_never_split() -> None:
    text = {**VISION["text_config"], "use_bidirectional_attention": "vision"}
    arguments = {"gpu_memory_utilization": 0.65, "max_model_len": 4096}
    config = {**VISION, "text_config": text}
    request = MemoryRequest("0.22.0", arguments, (h100(),), GEMMA_26B, config, weights_bytes=48 * GIB)

    assert plan_memory(request, advise=False).caps == {"max_num_seqs": 256, "max_num_batched_tokens": 2496}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({}, "tight"), ({"max_model_len": 32768}, "fits"), ({"limit_mm_per_prompt": {"video": 0}}, "fits")],
)
def test_a_long_video_is_tried_at_start(arguments: dict[str, t.Any], word: str) -> None:
    """vllm-project/vllm#18124: Qwen2.5-VL 3B with 0.3 of an A100 and its 128000 tokens had no memory for a cache."""
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "patch_size": 14, "spatial_merge_size": 2}
    config = {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl", "hidden_size": 2048,
        "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 2,
        "vocab_size": 151936, "max_position_embeddings": 128000, "tie_word_embeddings": True, "vision_config": vision,
    }  # fmt: skip
    gpus = (GpuMemory(total_mib=81_920, reserved_mib=470, free_mib=81_446, compute_capability="8.0"),)
    given = {"gpu_memory_utilization": 0.3, **arguments}

    assert plan_memory(MemoryRequest("0.8.5", given, gpus, config=config, weights_bytes=7_509_245_952)).verdict == word
