# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a config.json says about a model's geometry."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.architecture import from_config
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.quantization import by_name, quantization_of
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", [("full", 28, 0)]),
        ("openai/gpt-oss-20b", [("full", 12, 0), ("sliding", 12, 128)]),
        ("google/gemma-3-1b-it", [("full", 4, 0), ("sliding", 22, 512)]),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", [("full", 12, 0), ("chunked", 36, 8192)]),
        ("Qwen/Qwen3.5-4B", [("full", 8, 0), ("linear", 24, 0)]),
        ("Qwen/Qwen3-VL-2B-Instruct", [("full", 28, 0)]),
    ],
)
def test_layers(model: str, kept: list[tuple[str, int, int]]) -> None:
    architecture = from_config(CONFIGS[model])
    assert architecture is not None
    assert [(one.kind, one.count, one.window) for one in architecture.layers.kept] == kept
    assert architecture.cacheable


def test_latent_attention() -> None:
    architecture = from_config(CONFIGS["deepseek-ai/DeepSeek-V2-Lite-Chat"])
    assert architecture is not None
    assert architecture.mla
    assert architecture.latent_size == 576
    assert architecture.experts is not None
    assert (architecture.experts.count, architecture.experts.top_k, architecture.experts.layers) == (64, 6, 26)


def test_head_size_is_derived_and_a_stated_one_wins() -> None:
    derived = from_config(CONFIGS["Qwen/Qwen2.5-7B-Instruct"])
    stated = from_config(CONFIGS["openai/gpt-oss-20b"])
    assert derived is not None
    assert stated is not None
    assert derived.head_size == 128
    assert stated.head_size == 64


@pytest.mark.parametrize(
    "config", [None, {}, {"model_type": "t5"}, {"num_hidden_layers": "32"}, {"num_hidden_layers": -1}]
)
def test_no_language_model(config: dict[str, t.Any] | None) -> None:
    assert from_config(config) is None


def test_layers_not_understood_are_said() -> None:
    architecture = from_config(
        {"num_hidden_layers": 4, "mamba_d_state": 128, "num_attention_heads": 8, "hidden_size": 64}
    )
    assert architecture is not None
    assert not architecture.cacheable
    assert "not understood" in architecture.problems[0]


def test_a_truncated_config_leaves_the_cache_unknown() -> None:
    architecture = from_config({"num_hidden_layers": 4})
    assert architecture is not None
    assert not architecture.cacheable


@pytest.mark.parametrize(
    ("section", "method", "bits"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "awq", 4.16),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "gptq", 8.19),
        ({"quant_method": "fp8"}, "fp8", 8.0),
        ({"quant_method": "mxfp4"}, "mxfp4", 4.25),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes", 4.4),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "modelopt_fp4", 4.5),
        ({"quant_method": "auto-round", "bits": 6, "group_size": 128}, "inc", 6.17),
        ({"quantization": {"quant_algo": "MIXED_PRECISION"}, "producer": {"name": "modelopt"}}, "modelopt_mixed", 4.5),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 128}}},
            },
            "compressed-tensors",
            4.13,
        ),
    ],
)
def test_quantization_of_a_config(section: dict[str, t.Any], method: str, bits: float) -> None:
    found = quantization_of(section)
    assert found is not None
    assert found.method == method
    assert found.bits == pytest.approx(bits, abs=0.01)


def test_a_checkpoint_can_ask_for_an_fp8_cache() -> None:
    found = quantization_of({"quant_method": "compressed-tensors", "kv_cache_scheme": {"num_bits": 8}})
    assert found is not None
    assert found.kv_fp8


@pytest.mark.parametrize(("name", "bits"), [("q5_K_M", 5.68), ("q4_K_M", 4.85), ("gguf:q8_0", 8.5)])
def test_gguf_names(name: str, bits: float) -> None:
    found = by_name(name)
    assert found is not None
    assert (found.method, found.bits, found.whole) == ("gguf", bits, True)


@pytest.mark.parametrize("name", ["", "bf16", "nonsense"])
def test_names_of_no_quantization(name: str) -> None:
    assert by_name(name) is None


@pytest.mark.parametrize(
    ("said", "kind"),
    [({"use_sliding_window": False}, "full"), ({"use_sliding_window": True}, "sliding"), ({}, "sliding")],
    ids=["switched off", "switched on", "not said"],
)
def test_a_window_shorter_than_the_model_counts_where_it_is_not_switched_off(said: t.Any, kind: str) -> None:
    stated = {**CONFIGS["Qwen/Qwen2.5-7B-Instruct"], "model_type": "mistral", "sliding_window": 4096}
    del stated["use_sliding_window"]
    found = from_config({**stated, **said})
    assert found is not None
    assert {one.kind for one in found.layers.kept} == {kind}


@pytest.mark.parametrize(
    ("vision", "patches"),
    [
        ({"model_type": "gemma4_vision"}, 9),
        ({"model_type": "gemma4_vision", "pooling_kernel_size": 4}, 16),
        ({"spatial_merge_size": 2}, 4),
        ({}, 4),
    ],
)
def test_patches_that_become_one_token(vision: dict[str, t.Any], patches: int) -> None:
    """max_patches = max_soft_tokens * pooling_kernel_size ** 2 (vllm/model_executor/models/gemma4_mm.py)."""
    architecture = from_config({"num_hidden_layers": 2, "vision_config": {"hidden_size": 64, **vision}})

    assert architecture is not None and architecture.vision is not None
    assert architecture.vision.patches_per_token == patches


def test_positions_as_vllm_derives_them() -> None:
    """derive_max_model_len_and_key: the least of all keys; a rope scaling stretches it, yarn from where it began."""
    plain = {"num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4}
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    seen = [
        from_config({**plain, **more})
        for more in (
            {"model_max_length": 1048576},
            {"max_position_embeddings": 40960, "rope_scaling": yarn},
            {"max_position_embeddings": 40960, "seq_length": 8192},
        )
    ]
    assert [one.positions for one in seen if one is not None] == [1048576, 131072, 8192]
