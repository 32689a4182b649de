# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Engine arguments as values, and what this vLLM does where nobody set them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.request import (
    GpuMemory,
    MemoryRequest,
    parse_version,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.settings import (
    AUTO_LENGTH,
    Settings,
    default_batch,
    number,
    resolve,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.images import parse_capability

H100 = GpuMemory(total_mib=81559, compute_capability="9.0")
A100 = GpuMemory(total_mib=81920, compute_capability="8.0")
RTX = GpuMemory(total_mib=24576, compute_capability="8.6")
B200 = GpuMemory(total_mib=183359, compute_capability="10.0")
GB10 = GpuMemory(total_mib=124610, compute_capability="12.1")


def settled(version: str = "0.32.0", gpu: GpuMemory = RTX, **arguments: t.Any) -> Settings:
    return resolve(MemoryRequest(version=version, arguments=arguments, gpus=(gpu,)), None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (32768, 32768),
        ("32k", 32000),
        ("32K", 32768),
        ("0.5", 0.5),
        ("1g", 10**9),
        ("2GiB", 2 * 2**30),
        (None, None),
        (True, None),
        ("long", None),
        (float("inf"), None),
        (float("nan"), None),
        (10**400, None),
        ("9" * 400, None),
    ],
)
def test_numbers(value: t.Any, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.32.0", (0, 32, 0)),
        ("0.15.2rc1.dev93", (0, 15, 2)),
        ("0.8.x", (0, 8, 0)),
        ("v0.9.1+cu128", (0, 9, 1)),
        ("2026-09 build", None),
        (None, None),
    ],
)
def test_versions(text: str | None, expected: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("8.6", (8, 6)), ("12.0", (12, 0)), ("", None), (None, None), ("x", None)]
)
def test_capabilities(text: str | None, expected: tuple[int, int] | None) -> None:
    assert parse_capability(text) == expected


@pytest.mark.parametrize(
    ("version", "gpus", "expected"),
    [
        ((0, 32, 0), (RTX,), (256, 2048)),
        ((0, 32, 0), (H100,), (1024, 8192)),
        ((0, 32, 0), (A100,), (256, 2048)),
        ((0, 32, 0), (B200,), (1024, 16384)),
        ((0, 24, 0), (B200,), (1024, 8192)),
        # The log of vLLM 0.13.0 on one says max_num_batched_tokens=2048; 0.33.0 has it by name (get_batch_defaults).
        ((0, 13, 0), (GB10,), (256, 2048)),
        ((0, 33, 0), (GB10,), (256, 2048)),
        ((0, 32, 0), (H100, RTX), (256, 2048)),
        ((0, 32, 0), (GpuMemory(),), (256, 2048)),
    ],
)
def test_default_batch(version: tuple[int, int, int], gpus: tuple[GpuMemory, ...], expected: tuple[int, int]) -> None:
    assert default_batch(version, gpus) == expected


@pytest.mark.parametrize(("version", "expected"), [("0.19.0", 0.9), ("0.20.0", 0.92), ("0.32.0", 0.92)])
def test_utilisation(version: str, expected: float) -> None:
    assert settled(version).utilisation == expected
    assert settled(version, gpu_memory_utilization=0.5).utilisation == 0.5


def test_what_nobody_set_is_known() -> None:
    assert settled().unset == ("max_num_seqs", "max_num_batched_tokens")
    assert settled(max_num_seqs=4).unset == ("max_num_batched_tokens",)


def test_unset_sequences_follow_a_small_batch() -> None:
    assert settled(max_num_batched_tokens=64).sequences == 64


@pytest.mark.parametrize("value", ["auto", -1])
def test_automatic_length(value: t.Any) -> None:
    assert settled(max_model_len=value).length == AUTO_LENGTH


@pytest.mark.parametrize(
    "arguments",
    [
        {"enforce_eager": True},
        {"compilation_config": {"cudagraph_mode": "NONE"}},
        {"compilation_config": '{"cudagraph_mode": "none"}'},
    ],
)
def test_no_graphs(arguments: dict[str, t.Any]) -> None:
    assert settled(**arguments).eager
    assert not settled().eager


def test_engines() -> None:
    assert settled("0.7.3").engine == "V0"
    assert settled("0.8.5").engine == "V1"


def test_unknown_version_is_said() -> None:
    assert not settled("nightly").version_known
    assert settled("0.19.0").version_known


def test_batches_in_flight() -> None:
    assert settled("0.32.0").concurrent_batches == 2
    assert settled("0.32.0", async_scheduling=False).concurrent_batches == 1
    assert settled("0.11.0").concurrent_batches == 1


QWEN, GEMMA_3 = "Qwen3_5MoeForConditionalGeneration", "Gemma3ForConditionalGeneration"


@pytest.mark.parametrize(
    ("name", "version", "limits", "tried", "loaded"),
    [
        # noonghunna/club-3090#323: no image, no sound, and 0.07 GiB of KV cache; without videos it had room.
        (QWEN, "0.22.0", {"image": 0, "audio": 0}, True, True),
        (QWEN, "0.22.0", {"image": 0, "video": 0}, False, False),
        (QWEN, "0.22.0", '{"image": 0, "video": 0}', False, False),
        (QWEN, "0.22.0", {"image": {"count": 0}, "video": {"count": 1}}, True, True),
        (QWEN, "0.22.0", {"video": 0}, True, True),
        (QWEN, "0.22.0", {}, True, True),
        # MultiModalConfig.get_limit_per_prompt: what is not stated is 999. Only images come through its encoder.
        (GEMMA_3, "0.22.0", {"image": 0}, False, False),
        (GEMMA_3, "0.22.0", {"video": 0}, True, True),
        ("MuseSparkForConditionalGeneration", "0.33.0", {"image": 0}, True, True),
        # _mark_tower_model was not there yet.
        (GEMMA_3, "0.19.0", {"image": 0}, False, True),
    ],
)
def test_a_limit_of_no_images_leaves_the_videos_of_a_model_that_takes_them(
    name: str, version: str, limits: t.Any, tried: bool, loaded: bool
) -> None:
    request = MemoryRequest(version, {"limit_mm_per_prompt": limits}, (), config={"architectures": [name]})
    found = resolve(request, None)

    assert (found.images, found.sees) == (tried, loaded)


@pytest.mark.parametrize(
    ("name", "arguments", "tokens"),
    [
        # Seven layers of 16384 tokens from 14 frames, as many of them as the length holds, and never less than one.
        ("Qwen2_5_VLForConditionalGeneration", {"max_model_len": 128000}, 114_688),
        ("Qwen2VLForConditionalGeneration", {"max_model_len": 128000}, 114_688),
        ("Qwen2_5_VLForConditionalGeneration", {"max_model_len": 32768}, 32_768),
        ("Qwen2_5_VLForConditionalGeneration", {"max_model_len": 4096}, 16_384),
        ("Qwen2_5_VLForConditionalGeneration", {"max_model_len": 128000, "limit_mm_per_prompt": {"video": 0}}, 0),
        ("Qwen2_5_VLForConditionalGeneration", {"max_model_len": 128000, "limit_mm_per_prompt": {"image": 0}}, 114_688),
        (
            "Qwen2_5_VLForConditionalGeneration",
            {"max_model_len": 128000, "limit_mm_per_prompt": {"video": {"count": 1, "num_frames": 4}}},
            32_768,
        ),
        (
            "Qwen2_5_VLForConditionalGeneration",
            {"max_model_len": 128000, "mm_processor_kwargs": {"max_pixels": 1_003_520}},
            8_960,
        ),
        ("Qwen2_5_VLForConditionalGeneration", {"max_model_len": 128000, "mm_processor_kwargs": "x"}, 114_688),
        ("Qwen2_5_VLForConditionalGeneration", {"max_model_len": "auto"}, 0),
        # Two frames, which are as large as an image.
        ("Qwen3VLForConditionalGeneration", {"max_model_len": 128000}, 0),
    ],
)
def test_the_video_that_is_tried_at_start(name: str, arguments: dict[str, t.Any], tokens: int) -> None:
    """get_num_frames_with_most_features (vllm/model_executor/models/qwen2_vl.py)."""
    assert resolve(MemoryRequest("0.28.0", arguments, (), config={"architectures": [name]}), None).video == tokens
