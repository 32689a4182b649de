# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties: more memory never turns fits into does_not_fit, and every answer is whole."""

from __future__ import annotations

import json
import typing as t

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.plan import MemoryPlan, plan_memory
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.request import GpuMemory, MemoryRequest
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS

GIB = 1024**3
arguments = st.fixed_dictionaries(
    {
        "gpu_memory_utilization": st.one_of(st.none(), st.floats(0.3, 1.0)),
        "max_model_len": st.one_of(st.none(), st.integers(1, 262144)),
        "max_num_seqs": st.one_of(st.none(), st.integers(1, 2048)),
        "max_num_batched_tokens": st.one_of(st.none(), st.integers(256, 32768)),
        "tensor_parallel_size": st.sampled_from([None, 1, 2, 4]),
        "pipeline_parallel_size": st.sampled_from([None, 2]),
        "enforce_eager": st.booleans(),
        "kv_cache_dtype": st.sampled_from(["auto", "fp8"]),
        "kv_cache_memory_bytes": st.one_of(st.none(), st.integers(GIB, 40 * GIB)),
    }
)
models = st.sampled_from(sorted(CONFIGS))
versions = st.sampled_from(
    ["0.8.5", "0.9.2", "0.11.0", "0.16.0", "0.17.0", "0.19.0", "0.20.0", "0.24.0", "0.28.0", "0.33.0"]
)
totals = st.floats(8000.0, 200000.0)
capabilities = st.sampled_from(["7.5", "8.0", "8.6", "9.0", "12.0", None])


def plan(
    model: str,
    version: str,
    given_arguments: dict[str, t.Any],
    total: float,
    held: float | None,
    capability: str | None,
) -> MemoryPlan:
    gpus = tuple(
        GpuMemory(
            index=index,
            total_mib=total,
            free_mib=None if held is None else max(0.0, total - held),
            compute_capability=capability,
        )
        for index in range(8)
    )
    return plan_memory(
        MemoryRequest(version=version, arguments=given_arguments, gpus=gpus, config=CONFIGS[model]), advise=False
    )


@settings(max_examples=150)
@given(
    model=models,
    version=versions,
    chosen=arguments,
    total=totals,
    more=st.floats(1.0, 100000.0),
    held=st.one_of(st.none(), st.floats(500.0, 60000.0)),
    capability=capabilities,
)
def test_more_memory_never_turns_fits_into_does_not_fit(
    model: str,
    version: str,
    chosen: dict[str, t.Any],
    total: float,
    more: float,
    held: float | None,
    capability: str | None,
) -> None:
    """What others hold stays the same while the GPU grows."""
    less = plan(model, version, chosen, total, held, capability)
    if less.verdict == "fits":
        assert plan(model, version, chosen, total + more, held, capability).verdict != "does_not_fit"


@settings(max_examples=100)
@given(model=models, version=versions, chosen=arguments, total=totals, capability=capabilities)
def test_ranges_are_in_order_and_plans_are_json(
    model: str, version: str, chosen: dict[str, t.Any], total: float, capability: str | None
) -> None:
    found = plan(model, version, chosen, total, None, capability)
    said = found.as_dict()
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    left = found.budget.kv
    assert left is not None
    assert left.low <= left.expected <= left.high
    assert (found.verdict == "fits") == (not found.reasons)


@settings(max_examples=100)
@given(model=models, version=versions, length=st.integers(1, 131072), gib=st.floats(0.1, 200.0))
def test_a_pool_that_holds_one_request_says_so(model: str, version: str, length: int, gib: float) -> None:
    pool = plan(model, version, {"max_model_len": length}, 200000.0, None, None).budget.layout
    assert pool is not None
    assert (pool.needed_gib(length) <= gib) <= (pool.concurrency(gib, length) >= 1.0)
    assert pool.needed_gib(pool.longest(gib)) <= gib or pool.longest(gib) == 0


@settings(max_examples=60)
@given(
    broken=st.dictionaries(
        st.sampled_from(
            ["num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size", "sliding_window", "layer_types"]
        ),
        st.one_of(st.none(), st.integers(-5, 100), st.text(max_size=3), st.lists(st.text(max_size=3), max_size=3)),
    )
)
def test_a_broken_config_is_answered(broken: dict[str, t.Any]) -> None:
    config = {**CONFIGS["Qwen/Qwen2.5-7B-Instruct"], **broken}
    found = plan_memory(
        MemoryRequest(version="0.32.0", arguments={}, gpus=(GpuMemory(total_mib=24576),), config=config), advise=False
    )
    assert found.verdict in ("fits", "tight", "does_not_fit", "unknown")


odd = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-4, 10**12),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["full_attention", "sliding_attention", "linear_attention", "mamba", "conv", "M*E-"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
KEYS = (
    "layer_types", "layers_block_type", "hybrid_override_pattern", "block_configs", "linear_attn_config",
    "attn_type_list", "full_attn_idxs", "attn_layer_indices", "attn_layer_period", "attn_layer_offset",
    "full_attention_interval", "hybrid_layer_pattern", "attention_chunk_size", "sliding_window", "num_kv_shared_layers",
    "num_key_value_heads", "global_head_dim", "attention_k_eq_v", "num_global_key_value_heads", "swa_head_dim",
    "conv_L_cache", "mamba_d_state", "mamba_num_heads", "ssm_state_size", "conv_kernel", "n_groups", "kv_lora_rank",
    "qk_rope_head_dim", "index_head_dim", "is_encoder_decoder", "decoder_layers", "max_source_positions", "model_type",
    "rope_parameters", "partial_rotary_factor", "mtp_num_hidden_layers", "num_hidden_layers", "head_dim",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYS), odd, max_size=6), st.dictionaries(st.text(max_size=8), odd, max_size=3))
@settings(max_examples=100, deadline=None)
def test_no_config_and_no_argument_breaks_a_plan(config: dict[str, t.Any], section: dict[str, t.Any]) -> None:
    """Files and arguments are the work of others; whatever they say, the answer is a plan."""
    base = {"num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 128}
    arguments = {
        "max_model_len": 64,
        "speculative_config": section,
        "hf_overrides": section,
        "compilation_config": section,
        "limit_mm_per_prompt": section,
        "cudagraph_capture_sizes": next(iter(section.values()), None),
    }
    request = MemoryRequest(
        version="0.28.0",
        arguments=arguments,
        gpus=(GpuMemory(total_mib=24576.0, compute_capability="8.6"),),
        config={**base, **config},
        weights_bytes=GIB,
        environment={"VLLM_PP_LAYER_PARTITION": str(next(iter(section), "")), "VLLM_USE_V2_MODEL_RUNNER": "x"},
    )
    json.dumps(plan_memory(request, advise=False).as_dict(), allow_nan=False)
