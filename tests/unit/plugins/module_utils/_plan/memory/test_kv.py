# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""KV cache sums against what real starts logged."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.kv import KvLayout, KvSettings, layout
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.architecture import from_config
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS


def of(model: str, version: tuple[int, int, int], **more: t.Any) -> KvLayout:
    architecture = from_config(CONFIGS[model])
    assert architecture is not None
    found = layout(architecture, KvSettings(version=version, **more))
    assert found is not None
    return found


# (model, release, settings, GiB, length, concurrency as logged)
LOGGED: list[tuple[str, tuple[int, int, int], dict[str, t.Any], float, int, float]] = [
    ("Qwen/Qwen2.5-7B-Instruct", (0, 19, 0), {"batched_tokens": 8192}, 58.53, 8192, 133.79),
    ("Qwen/Qwen2.5-7B-Instruct", (0, 19, 0), {"cache_dtype": "fp8"}, 58.53, 8192, 267.58),
    ("Qwen/Qwen2.5-7B-Instruct", (0, 19, 0), {"tensor_parallel": 4}, 67.34, 8192, 615.63),
    ("openai/gpt-oss-20b", (0, 19, 0), {"batched_tokens": 8192}, 58.47, 8192, 155.75),
    ("google/gemma-3-1b-it", (0, 13, 0), {"batched_tokens": 8192}, 25.39, 2048, 461.21),
    ("deepseek-ai/DeepSeek-V2-Lite-Chat", (0, 19, 0), {}, 43.61, 8192, 183.78),
    (
        "meta-llama/Llama-4-Scout-17B-16E-Instruct",
        (0, 19, 0),
        {"tensor_parallel": 4, "batched_tokens": 8192},
        16.75,
        8192,
        44.68,
    ),
    ("Qwen/Qwen3.5-4B", (0, 29, 0), {}, 9.1, 32768, 8.17),
    ("Qwen/Qwen3-VL-2B-Instruct", (0, 11, 0), {}, 37.15, 40960, 8.49),
]


@pytest.mark.parametrize(("model", "version", "settings", "gib", "length", "logged"), LOGGED)
def test_concurrency_as_logged(
    model: str, version: tuple[int, int, int], settings: dict[str, t.Any], gib: float, length: int, logged: float
) -> None:
    assert of(model, version, **settings).concurrency(gib, length) == pytest.approx(logged, rel=0.002)


@pytest.mark.parametrize(
    ("model", "batched", "length", "gib"),
    [
        ("openai/gpt-oss-20b", 2048, 131072, 3.05),
        ("openai/gpt-oss-20b", 8192, 131072, 3.19),
        ("openai/gpt-oss-20b", 2048, 8192, 0.238),
        ("openai/gpt-oss-120b", 8192, 131072, 4.79),
        ("meta-llama/Llama-3.1-8B-Instruct", 2048, 32768, 4.0),
    ],
)
def test_gib_a_request(model: str, batched: int, length: int, gib: float) -> None:
    """Figures that vLLM's own code gives for the same layouts with one batch in flight."""
    assert of(model, (0, 32, 0), batched_tokens=batched).needed_gib(length) == pytest.approx(gib, abs=0.01)


def test_two_batches_in_flight_cost_a_window_more() -> None:
    one = of("openai/gpt-oss-120b", (0, 32, 0), batched_tokens=8192)
    two = of("openai/gpt-oss-120b", (0, 32, 0), batched_tokens=8192, concurrent_batches=2)
    assert two.needed_gib(131072) == pytest.approx(5.07, abs=0.01)
    assert two.needed_gib(131072) > one.needed_gib(131072)


@pytest.mark.parametrize(("version", "batches"), [((0, 24, 0), 1), ((0, 25, 1), 1), ((0, 26, 0), 2)])
def test_a_window_holds_every_batch_in_flight_from_026_on(version: tuple[int, int, int], batches: int) -> None:
    """SlidingWindowSpec (vllm/v1/kv_cache_interface.py): max_num_batched_tokens to 0.25.1, then max_in_flight_tokens.

    vllm-project/vllm#49878: what 0.25.1 had started with was 40 % too small for 0.26.
    """
    found = of("openai/gpt-oss-120b", version, batched_tokens=8192, concurrent_batches=2)
    assert found.in_flight == 8192 * batches


def test_tokens_are_derived_from_0_20_1_on() -> None:
    """_report_kv_cache_config (vllm/v1/core/kv_cache_utils.py), read in 0.20.0, 0.20.1 and 0.20.2."""
    old, new = of("openai/gpt-oss-20b", (0, 20, 0)), of("openai/gpt-oss-20b", (0, 20, 1))
    assert old.tokens(10.0, 131072) == 218448
    assert new.tokens(10.0, 131072) == int(new.concurrency(10.0, 131072) * 131072)
    assert new.tokens(10.0, 131072) > 1.9 * old.tokens(10.0, 131072)


def test_without_groups_every_layer_keeps_everything() -> None:
    grouped = of("google/gemma-3-1b-it", (0, 10, 0), batched_tokens=512)
    whole = of("google/gemma-3-1b-it", (0, 9, 2), batched_tokens=512)
    asked = of("google/gemma-3-1b-it", (0, 32, 0), batched_tokens=512, hybrid_manager=False)
    assert whole.needed_gib(32768) == pytest.approx(asked.needed_gib(32768))
    assert grouped.needed_gib(32768) < whole.needed_gib(32768) / 3


def test_state_layers_make_blocks_longer() -> None:
    assert of("Qwen/Qwen3.5-4B", (0, 29, 0)).block_tokens == 528


def test_tensor_parallel_does_not_divide_a_latent_cache() -> None:
    alone = of("deepseek-ai/DeepSeek-V2-Lite-Chat", (0, 19, 0))
    assert of("deepseek-ai/DeepSeek-V2-Lite-Chat", (0, 19, 0), tensor_parallel=2).block_bytes == alone.block_bytes


def test_bytes_a_token() -> None:
    assert of("Qwen/Qwen3-VL-2B-Instruct", (0, 32, 0)).bytes_per_token == 112 * 1024
    assert of("Qwen/Qwen2.5-14B-Instruct-AWQ", (0, 32, 0)).bytes_per_token == 192 * 1024


@pytest.mark.parametrize("gib", [0.0, 0.01, 1.0, 9.7])
def test_longest_is_the_last_that_fits(gib: float) -> None:
    pool = of("openai/gpt-oss-20b", (0, 32, 0))
    longest = pool.longest(gib)
    assert longest == 0 or pool.needed_gib(longest) <= gib
    assert pool.needed_gib(longest + 16) > gib
