# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What guessing ahead costs: by method, by the drafter's files, by its name, and where nothing is known."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.plan import MemoryPlan, plan_memory
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.request import GpuMemory, MemoryRequest
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.architecture import Architecture, from_config
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.speculation import speculation
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS

GIB = 1024**3


def of(model: str) -> Architecture:
    found = from_config(CONFIGS[model])
    assert found is not None
    return found


QWEN = of("Qwen/Qwen3.6-27B-FP8")
LLAMA = of("meta-llama/Llama-3.1-8B-Instruct")


@pytest.mark.parametrize(
    ("section", "method", "layers", "known"),
    [
        ({"method": "mtp", "num_speculative_tokens": 3}, "mtp", 1, True),
        ({"method": "qwen3_5_mtp", "num_speculative_tokens": 3}, "qwen3_5_mtp", 1, True),
        ({"method": "ngram", "num_speculative_tokens": 3}, "ngram", 0, True),
        ({"model": "[ngram]", "num_speculative_tokens": 3}, "ngram", 0, True),
        ({"model": "somebody/Llama-EAGLE3-8B", "num_speculative_tokens": 3}, "eagle3", 1, True),
        ({"method": "dflash", "model": "/models/d", "num_speculative_tokens": 7}, "dflash", 5, True),
        ({"model": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 3}, "draft_model", 1, True),
        ({"model": "google/gemma-4-26B-A4B-it-assistant", "num_speculative_tokens": 4}, "assistant", 0, False),
        ({"model": "/models/tiny", "num_speculative_tokens": 3}, "draft_model", 1, False),
        ({}, "", 0, True),
    ],
)
def test_methods(section: dict[str, t.Any], method: str, layers: int, known: bool) -> None:
    found = speculation(section, QWEN)
    assert (found.method, found.layers, found.known) == (method, layers, known)
    assert found.tokens == section.get("num_speculative_tokens", 0)


def test_the_drafters_own_files_win() -> None:
    drafter = from_config({"num_hidden_layers": 28, "hidden_size": 1024, "num_attention_heads": 16, "vocab_size": 9})
    found = speculation({"model": "/models/tiny", "num_speculative_tokens": 3}, LLAMA, drafter, 2 * GIB)
    assert (found.layers, found.weights.expected, found.known) == (28, 2.0, True)


def test_eagle_is_one_layer_and_a_small_head() -> None:
    """yuhuili/EAGLE3-LLaMA3.1-Instruct-8B: 0.79 GiB of 16-bit files."""
    found = speculation({"method": "eagle3", "model": "e", "num_speculative_tokens": 3}, LLAMA)
    assert found.weights.expected == pytest.approx(0.8, abs=0.25)
    assert found.weights.low < 0.79 < found.weights.high


def plan(section: dict[str, t.Any], advise: bool = False, **more: t.Any) -> MemoryPlan:
    return plan_memory(
        MemoryRequest(
            version="0.27.0",
            arguments={"max_model_len": 32768, "max_num_seqs": 8, "speculative_config": section},
            gpus=(GpuMemory(total_mib=97_887, reserved_mib=640, compute_capability="12.0"),),
            config=CONFIGS["Qwen/Qwen3.6-27B-FP8"],
            weights_bytes=30_866_866_928,
            **more,
        ),
        advise=advise,
    )


def test_layers_that_guess_are_loaded_only_where_they_are_used() -> None:
    """vLLM skips mtp.* without a speculative method: one layer and a projection, 0.4 GiB in FP8."""
    idle, used = plan({}), plan({"method": "mtp", "num_speculative_tokens": 3})
    idle_gib, used_gib = (found.budget.ranks[0].weights.expected for found in (idle, used))
    assert used_gib - idle_gib == pytest.approx(0.4, abs=0.05)
    assert idle.budget.ranks[0].weights.high >= used_gib


def test_each_guessed_token_has_a_state_of_its_own() -> None:
    idle, used = plan({}), plan({"method": "mtp", "num_speculative_tokens": 3})
    assert idle.budget.layout is not None
    assert used.budget.layout is not None
    assert (idle.budget.layout.state_blocks, used.budget.layout.state_blocks) == (1, 4)


def test_a_drafter_of_which_nothing_is_known_is_said() -> None:
    found = plan({"model": "/models/tiny", "num_speculative_tokens": 3})
    assert any("Nothing is known of the drafter /models/tiny" in text for text in found.assumptions)
    assert not any("drafter" in text for text in plan({"method": "mtp", "num_speculative_tokens": 3}).assumptions)
    rank = found.budget.ranks[0]
    assert rank.weights.high - rank.weights.expected > 3.0


def test_tokens_guessed_ahead_that_no_gpu_holds_are_the_nearest_change() -> None:
    found = plan({"method": "ngram", "num_speculative_tokens": 99999}, advise=True)
    assert found.verdict == "does_not_fit"
    nearest = found.changes[0]
    assert (nearest.name, nearest.value) == ("speculative_config.num_speculative_tokens", 5)
    assert plan({"method": "ngram", "num_speculative_tokens": 5}).verdict == nearest.verdict != "does_not_fit"
