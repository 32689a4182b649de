# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in FP8 blocks over tensor parallel ranks: refused as `not divisible by weight quantization block_k`."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.checks import blocks
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.catalogue import Model, look_up
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

FP8: fleet.Json = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
# Qwen3.6-35B-A3B-FP8, Qwen3-30B-A3B-FP8, MiniMax-M2.7, Qwen3.8-Flash-Next-FP8, DeepSeek-V3 and a dense model.
SHARED: fleet.Json = {"num_experts": 256, "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512}
EXPERTS: fleet.Json = {"num_experts": 128, "moe_intermediate_size": 768, "intermediate_size": 6144}
MINIMAX: fleet.Json = {"num_local_experts": 256, "intermediate_size": 1536}
SPARSE: fleet.Json = {"num_experts": 512, "moe_intermediate_size": 640, "shared_expert_intermediate_size": 640}
DEEPSEEK: fleet.Json = {"n_routed_experts": 256, "moe_intermediate_size": 2048, "n_shared_experts": 1}
DENSE: fleet.Json = {"intermediate_size": 17408}
TOGETHER: fleet.Json = {"enable_expert_parallel": True}


def said(
    text: fleet.Json, ranks: int | None, version: str = "0.27.0", section: fleet.Json | None = None, **more: t.Any
) -> str:
    config = {"text_config": text, "quantization_config": FP8 if section is None else section}
    model: Model = look_up("some/model", {"some/model": {"config": config, "problems": [], "notes": []}}, {})
    values = more if ranks is None else {"tensor_parallel_size": ranks, **more}
    found = blocks.problems(values, model, version)
    assert [doubt.check for doubt in found] in ([], ["quantization"])
    return found[0].text if found else ""


@pytest.mark.parametrize(
    ("text", "ranks", "values", "what"),
    [
        (SHARED, 8, {}, "gives a rank 64 of the 512 columns of a shared expert"),  # vllm-project/vllm#52997
        (SHARED, 8, TOGETHER, "shared expert"),
        (SHARED, 4, {}, ""),
        (SHARED, None, {}, ""),
        (EXPERTS, 4, {}, "gives a rank 192 of the 768 columns of an expert"),  # vllm-project/vllm#25292
        (EXPERTS, 4, TOGETHER, ""),
        (EXPERTS, 2, {}, ""),
        (MINIMAX, 8, {}, "gives a rank 192 of the 1536 columns of an expert"),  # vllm-project/vllm#48173
        (MINIMAX, 4, {}, ""),
        (SPARSE, 8, {}, "gives a rank 80 of the 640 columns of a shared expert"),  # vllm-project/vllm#54178
        (DEEPSEEK, 16, {}, ""),
        (DEEPSEEK, 32, {}, "gives a rank 64 of the 2048 columns of a shared expert"),  # vllm-project/vllm#12256
        (DEEPSEEK, 32, {**TOGETHER, "data_parallel_size": 2}, ""),
        (DENSE, 8, {}, ""),
        (DENSE, 16, {}, "gives a rank 1088 of the 17408 columns of each layer's MLP"),
        (DENSE, 16, {"quantization": "modelopt"}, ""),
        # Who splits nothing evenly is told so elsewhere.
        (SHARED, 3, {}, ""),
    ],
)
def test_a_rank_gets_whole_blocks(text: fleet.Json, ranks: int | None, values: fleet.Json, what: str) -> None:
    found = said(text, ranks, **values)
    assert (what in found) if what else not found


@pytest.mark.parametrize(
    "section",
    [
        {**FP8, "quant_method": "modelopt"}, {"quant_method": "fp8"}, {**FP8, "weight_block_size": "128"},
        {**FP8, "weight_block_size": [128, 0]}, {**FP8, "weight_block_size": [64, 64]},
        {**FP8, "modules_to_not_convert": ["layers.0.mlp.shared_expert.down_proj", "layers.0.mlp.experts"]},
    ],
)  # fmt: skip
def test_other_files_are_split_as_they_are(section: fleet.Json) -> None:
    assert not said(SHARED, 8, section=section)


def test_a_gate_of_experts_and_an_encoder_left_out_say_nothing_of_them() -> None:
    names = ["lm_head", "model.layers.0.mlp.shared_expert_gate", "model.visual.blocks.0.mlp.linear_fc1"]
    assert "shared expert" in said(SHARED, 8, section={**FP8, "modules_to_not_convert": names})
    names = ["lm_head", "model.visual.blocks.0.mlp.linear_fc1"]
    assert "MLP" in said(DENSE, 16, section={**FP8, "modules_to_not_convert": names})


def test_it_says_what_would_do() -> None:
    assert said(SHARED, 8).endswith("which cannot be split: take 1 or 2 or 4.")
    assert said(SPARSE, 8).endswith("take 1.")


@pytest.mark.parametrize(
    ("version", "refused"), [("0.8.5", True), ("0.28.0", True), ("0.29.0", False), ("0.33.0", False)]
)
def test_experts_are_cut_finer_in_later_releases(version: str, refused: bool) -> None:
    """Fp8MoEMethod.create_weights raises; from 0.29.0 on refine_fp8_moe_block_shape comes before it."""
    assert bool(said(EXPERTS, 4, version)) is refused
    assert said(SHARED, 8, version)


def test_a_plan_says_it() -> None:
    config = {
        "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_hidden_layers": 2, "hidden_size": 256,
        "num_attention_heads": 8, "num_key_value_heads": 8, "vocab_size": 256, "max_position_embeddings": 4096,
        **EXPERTS, "quantization_config": FP8,
    }  # fmt: skip
    models = {"/srv/models/tiny": {"config": config, "problems": [], "notes": [], "weights": {"bytes": 2**20}}}
    own = fleet.instance(model="/srv/models/tiny", engine_args={"tensor_parallel_size": 4})
    facts = fleet.facts_with(gpus=[fleet.gpu(index) for index in range(4)])
    found = fleet.outcome(instances=[own], models=models, facts=facts, version="0.27.0")
    assert any("blocks of 128" in error for error in found.errors)
