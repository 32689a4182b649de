# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Models whose layers are not alike, as their configs say it and as vLLM reads them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.architecture import from_config
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.layers import Layers, layers_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.states import State

ATTENTION: dict[str, t.Any] = {
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 32000,
}
MAMBA: dict[str, t.Any] = {
    "mamba_num_heads": 128,
    "mamba_head_dim": 64,
    "ssm_state_size": 128,
    "n_groups": 8,
    "conv_kernel": 4,
}


def counted(layers: Layers) -> list[tuple[str, int, int]]:
    return [(one.kind, one.count, one.window) for one in layers.kept]


def test_global_layers_with_heads_of_their_own() -> None:
    """Gemma 4 (models/gemma4.py): num_global_key_value_heads holds where a key is its own value."""
    text = {
        **ATTENTION,
        "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 2,
        "sliding_window": 1024,
        "num_global_key_value_heads": 2,
        "global_head_dim": 512,
    }
    shared = layers_of({**text, "attention_k_eq_v": True}, 12)
    assert counted(shared) == [("full", 2, 0), ("sliding", 10, 1024)]
    assert [(one.heads, one.size) for one in shared.kept] == [(2, 512), (None, None)]
    assert layers_of(text, 12).kept[0].heads is None


def test_layers_that_read_the_cache_of_others_keep_none() -> None:
    """Gemma 3n E4B: 35 layers, the last 15 share."""
    text = {**ATTENTION, "num_kv_shared_layers": 15, "sliding_window": 512}
    text["layer_types"] = (["sliding_attention"] * 4 + ["full_attention"]) * 7
    assert counted(layers_of(text, 35)) == [("full", 4, 0), ("sliding", 16, 512)]


def test_lists_of_linear_layers_count_from_one() -> None:
    """Kimi Linear: 7 of 27 layers have latent attention, the others a state for each head."""
    section = {
        "full_attn_layers": [4, 8, 12, 16, 20, 24, 27],
        "kda_layers": [one for one in range(1, 28) if one not in (4, 8, 12, 16, 20, 24, 27)],
        "num_heads": 32,
        "head_dim": 128,
        "short_conv_kernel_size": 4,
    }
    found = layers_of({**ATTENTION, "linear_attn_config": section}, 27)
    assert counted(found) == [("full", 7, 0), ("linear", 20, 0)]
    assert found.state == State(32 * 128 * 128, 3 * 32 * 128, 3, "float32")


def test_a_pattern_of_letters() -> None:
    """Nemotron-H: M is Mamba, * attention, - and E keep nothing."""
    found = layers_of({**ATTENTION, **MAMBA, "hybrid_override_pattern": "MEM*-MEM*"}, 9)
    assert counted(found) == [("full", 2, 0), ("linear", 4, 0)]
    assert found.state == State(128 * 64 * 128, 128 * 64 + 2 * 8 * 128, 3, "", True, 8, 256)
    assert found.known


def test_attention_and_a_state_in_each_layer() -> None:
    text = {**ATTENTION, "model_type": "falcon_h1", "mamba_d_ssm": 3072, "mamba_n_heads": 24, "mamba_d_head": 128}
    found = layers_of({**text, "mamba_d_state": 256, "mamba_d_conv": 4, "mamba_n_groups": 1}, 44)
    assert counted(found) == [("full", 44, 0), ("linear", 44, 0)]


def test_short_convolutions() -> None:
    """LFM2: the convolution's last inputs, and no recurrent state."""
    text = {**ATTENTION, "hidden_size": 2048, "conv_L_cache": 3, "layer_types": ["conv", "conv", "full_attention"] * 2}
    found = layers_of(text, 6)
    assert counted(found) == [("full", 2, 0), ("linear", 4, 0)]
    assert found.state == State(0, 2048, 2)


def test_a_decoder_keeps_what_the_encoder_said() -> None:
    text = {"is_encoder_decoder": True, "decoder_layers": 4, "max_source_positions": 1500}
    assert counted(layers_of(text, 32)) == [("full", 4, 0), ("cross", 4, 1500)]


def test_heads_that_differ_from_layer_to_layer() -> None:
    found = layers_of({**ATTENTION, "num_key_value_heads": [2, 4, 4, 4]}, 4)
    assert sorted((one.heads, one.count) for one in found.kept) == [(2, 1), (4, 3)]


def test_pruned_blocks() -> None:
    """Nemotron-NAS: an attention that is gone keeps nothing."""
    blocks = [
        {"attention": {"no_op": False, "n_heads_in_group": 8}},
        {"attention": {"no_op": True}},
        {"attention": {"replace_with_linear": True}},
    ]
    found = layers_of({**ATTENTION, "block_configs": blocks}, 3)
    assert [(one.kind, one.count, one.heads) for one in found.kept] == [("full", 1, 4)]


@pytest.mark.parametrize(
    "odd",
    [
        {"layer_types": ["full_attention", "lightning_strike"]},
        {"mamba_d_state": 128},
        {"model_type": "deepseek_v4"},
        {"layer_types": ["linear_attention", "full_attention"]},
    ],
)
def test_what_is_not_understood_is_said(odd: dict[str, t.Any]) -> None:
    architecture = from_config({**ATTENTION, **odd, "num_hidden_layers": 2})
    assert architecture is not None
    assert not architecture.cacheable
    assert architecture.problems


def test_a_sparse_models_index() -> None:
    """DeepSeek V3.2: one key of 128 bytes and its scale a token and layer besides."""
    architecture = from_config(
        {**ATTENTION, "num_hidden_layers": 4, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "index_head_dim": 128}
    )
    assert architecture is not None
    assert (architecture.latent_size, architecture.index_size) == (576, 128)
