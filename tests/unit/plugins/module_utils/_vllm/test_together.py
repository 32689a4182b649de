# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments that a release refuses together. Each row of the table, which names its source, has an example here."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import together
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.gates import NEWEST_KNOWN
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.schema import Version
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.together import ROWS
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.together_row import Together

Json = dict[str, t.Any]


def drafts(**keys: t.Any) -> Json:
    return {"speculative_config": keys}


# Row to what meets it, words of the sentence, and what no longer meets it.
EXAMPLES: dict[str, tuple[Json, str, Json]] = {
    "eplb_without_expert_parallel": (
        {"enable_eplb": True, "tensor_parallel_size": 4},
        "set enable_expert_parallel",
        {"enable_expert_parallel": True},
    ),
    "eplb_on_one_gpu": (
        {"enable_eplb": True, "enable_expert_parallel": True},
        "the instance is on one",
        {"data_parallel_size": 2},
    ),
    "balancing_policy": (
        {"eplb_config": {"policy": "swipe", "use_async": False}},
        "policy is swipe",
        {"eplb_config": {"policy": "default", "use_async": True}},
    ),
    "asynchronous_communicator": (
        {"eplb_config": {"communicator": "pynccl"}},
        "communicator pynccl does not go with",
        {"eplb_config": {"communicator": "pynccl", "use_async": False}},
    ),
    "redundant_experts": (
        {"eplb_config": {"num_redundant_experts": 8}},
        "set enable_eplb",
        {"eplb_config": {"num_redundant_experts": 0}},
    ),
    "redundant_experts_of_old": ({"num_redundant_experts": 8}, "set enable_eplb", {"num_redundant_experts": 0}),
    "local_ranks": (
        {"data_parallel_size_local": 4},
        "(4) is above data_parallel_size (1)",
        {"data_parallel_size": 4},
    ),
    "external_balancer": ({"data_parallel_external_lb": True}, "of 2 or more", {"data_parallel_size": 2}),
    "hybrid_balancer": (
        {"data_parallel_hybrid_lb": True},
        "data_parallel_size_local",
        {"data_parallel_size_local": 2, "data_parallel_size": 2},
    ),
    "decode_context_parallel": (
        {"decode_context_parallel_size": 3, "tensor_parallel_size": 8},
        "tensor_parallel_size (8) is no multiple",
        {"decode_context_parallel_size": 4},
    ),
    "adapters_in_memory": (
        {"enable_lora": True, "max_loras": 8, "max_cpu_loras": 4},
        "max_cpu_loras (4) is below max_loras (8)",
        {"max_cpu_loras": 8},
    ),
    "any_whitespace": (
        {"structured_outputs_config": {"disable_any_whitespace": True}},
        "and it is auto",
        {"structured_outputs_config": {"disable_any_whitespace": True, "backend": "xgrammar"}},
    ),
    "additional_properties": (
        {"structured_outputs_config": {"disable_additional_properties": True, "backend": "xgrammar"}},
        "it is xgrammar",
        {"structured_outputs_config": {"disable_additional_properties": True, "backend": "guidance"}},
    ),
    "partial_prefills": ({"max_num_partial_prefills": 4}, "is 4", {"max_num_partial_prefills": 1}),
    "no_partial_prefills": (
        {"max_num_partial_prefills": 0, "max_long_partial_prefills": None},
        "is 0, and the least is 1",
        {"max_num_partial_prefills": 1},
    ),
    "no_long_partial_prefills": ({"max_long_partial_prefills": 0}, "is 0", {"max_long_partial_prefills": 1}),
    "long_partial_prefills": (
        {"max_long_partial_prefills": 2},
        "(2) is above max_num_partial_prefills (1)",
        {"max_long_partial_prefills": 1},
    ),
    "attention_twice": (
        {"attention_backend": "FLASHINFER", "attention_config": {"backend": "FLASHINFER"}},
        "are one thing",
        {"attention_config": {"flash_attn_version": 2}},
    ),
    "graph_sizes_twice": (
        {"cudagraph_capture_sizes": [1, 2], "compilation_config": {"cudagraph_capture_sizes": [1]}},
        "are one thing",
        {"compilation_config": {}},
    ),
    "largest_graph_twice": (
        {"max_cudagraph_capture_size": 8, "compilation_config": {"max_cudagraph_capture_size": 8}},
        "are one thing",
        {"compilation_config": {}},
    ),
    "autotune_twice": (
        {"enable_flashinfer_autotune": False, "kernel_config": {"enable_flashinfer_autotune": True}},
        "are one thing",
        {"kernel_config": {}},
    ),
    "drafter_parallel": (
        drafts(method="eagle3", model="d", num_speculative_tokens=2, tensor_parallel_size=2),
        "draft_tensor_parallel_size",
        drafts(method="eagle3", model="d", num_speculative_tokens=2, draft_tensor_parallel_size=1),
    ),
    "drafter_split": (
        {
            "tensor_parallel_size": 4,
            **drafts(method="eagle3", model="d", num_speculative_tokens=2, draft_tensor_parallel_size=2),
        },
        "tensor_parallel_size (4)",
        {"tensor_parallel_size": 2},
    ),
    "lookup_bounds": (
        drafts(method="ngram", num_speculative_tokens=2, prompt_lookup_min=5, prompt_lookup_max=4),
        "(5) is above",
        drafts(method="ngram", num_speculative_tokens=2, prompt_lookup_min=4, prompt_lookup_max=4),
    ),
    "no_guesses": (
        drafts(method="mtp", num_speculative_tokens=0),
        "is 0",
        drafts(method="mtp", num_speculative_tokens=1),
    ),
    "guesses_of_nobody": (
        drafts(num_speculative_tokens=3),
        "name what guesses",
        drafts(num_speculative_tokens=3, model="d"),
    ),
    "drafter_missing": (
        drafts(method="eagle3", num_speculative_tokens=3),
        "state speculative_config.model",
        drafts(method="eagle3", num_speculative_tokens=3, model="d"),
    ),
    "guesses_uncounted": (
        drafts(method="ngram"),
        "num_speculative_tokens",
        drafts(method="ngram", num_speculative_tokens=2),
    ),
    "fast_prefill_with_drafts": (
        {"kv_sharing_fast_prefill": True, **drafts(method="mtp", num_speculative_tokens=1)},
        "does not go with",
        {"kv_sharing_fast_prefill": False},
    ),
    "spec_method_twice": (
        {"spec_method": "ngram", **drafts(method="ngram", num_speculative_tokens=2)},
        "spec_method and speculative_config.method are one thing",
        {"spec_method": None},
    ),
    "spec_model_twice": (
        {"spec_model": "a/draft", **drafts(method="eagle3", model="a/draft", num_speculative_tokens=2)},
        "spec_model and speculative_config.model are one thing",
        {"spec_model": None},
    ),
    "spec_tokens_twice": (
        {"spec_tokens": 2, **drafts(method="ngram", num_speculative_tokens=2)},
        "spec_tokens and speculative_config.num_speculative_tokens are one thing",
        {"spec_tokens": None},
    ),
    "asynchronous_guesses": (
        {"async_scheduling": True, **drafts(method="ngram", num_speculative_tokens=4)},
        "ngram: leave it out",
        {"async_scheduling": None},
    ),
    "asynchronous_guesses_of_the_first_runner": (
        {"async_scheduling": True, **drafts(method="suffix", num_speculative_tokens=4)},
        "suffix: leave it out",
        {"async_scheduling": None},
    ),
    "argmax_of_two_vocabularies": (
        drafts(
            method="draft_model",
            model="d",
            num_speculative_tokens=2,
            use_heterogeneous_vocab=True,
            use_local_argmax_reduction=True,
        ),
        "exclude each other",
        drafts(method="draft_model", model="d", num_speculative_tokens=2, use_heterogeneous_vocab=True),
    ),
    "too_few_guesses_for_fly": (
        drafts(method="eagle3", model="d", num_speculative_tokens=1, rejection_sample_method="fly"),
        "2 or more, and it is 1",
        drafts(method="eagle3", model="d", num_speculative_tokens=2, rejection_sample_method="fly"),
    ),
    "head_that_is_not_shared": (
        drafts(method="ngram", num_speculative_tokens=2, draft_lm_head_quantization="fp8"),
        "the method is ngram",
        drafts(method="mtp", num_speculative_tokens=2, draft_lm_head_quantization="fp8"),
    ),
    "candidates_of_others": (
        drafts(method="eagle3", model="d", num_speculative_tokens=2, xpress_topc=8),
        "it is eagle3",
        drafts(method="dflash", model="d", num_speculative_tokens=2, xpress_topc=8),
    ),
    "adapters_with_one_kernel": (
        {"enable_lora": True, "moe_backend": "deep_gemm_mega_moe"},
        "moe_backend deep_gemm_mega_moe",
        {"moe_backend": "triton"},
    ),
    "half_cache": ({"kv_cache_dtype": "float16", "dtype": "bfloat16"}, "dtype bfloat16", {"dtype": "half"}),
    "brain_cache": ({"kv_cache_dtype": "bfloat16", "dtype": "half"}, "dtype half", {"dtype": "auto"}),
    "asleep_with_a_store": (
        {"enable_sleep_mode": True, "kv_transfer_config": {"kv_connector": "MooncakeStoreConnector"}},
        "kv_connector MooncakeStoreConnector",
        {"kv_transfer_config": {"kv_connector": "NixlConnector"}},
    ),
    "asynchronous_unpadded": (
        {"async_scheduling": True, **drafts(method="mtp", num_speculative_tokens=1, disable_padded_drafter_batch=True)},
        "exclude each other",
        {"async_scheduling": False},
    ),
    "two_batches_without_kernels": (
        {"enable_dbo": True},
        "it is allgather_reducescatter",
        {"all2all_backend": "deepep_low_latency"},
    ),
    "state_blocks_without_prefixes": (
        {"mamba_block_size": 64, "max_model_len": 4096, "enable_prefix_caching": False},
        "enable_prefix_caching is false",
        {"enable_prefix_caching": True},
    ),
    "state_rounding": (
        {"enable_mamba_cache_stochastic_rounding": True, "mamba_ssm_cache_dtype": "float32"},
        "it is float32",
        {"mamba_ssm_cache_dtype": "float16"},
    ),
    "state_algorithm": ({"mamba_ssu_algorithm": "simple"}, "it is triton", {"mamba_backend": "flashinfer"}),
    "traces_to_nowhere": (
        {"collect_detailed_traces": ["all"]},
        "otlp_traces_endpoint",
        {"otlp_traces_endpoint": "grpc://127.0.0.1:4317"},
    ),
    "metrics_without_counts": (
        {"enable_per_request_metrics": True, "disable_log_stats": True},
        "disable_log_stats",
        {"disable_log_stats": False},
    ),
    "outputs_without_requests": ({"enable_log_outputs": True}, "enable_log_requests", {"enable_log_requests": True}),
    "places_without_binding": ({"numa_bind_nodes": [0]}, "needs numa_bind", {"numa_bind": True}),
    "cores_without_binding": ({"numa_bind_cpus": ["0-3"]}, "needs numa_bind", {"numa_bind": True}),
    "profiles_to_nowhere": (
        {"profiler_config": {"profiler": "torch"}},
        "needs torch_profiler_dir",
        {"profiler_config": {"profiler": "torch", "torch_profiler_dir": "/profiles"}},
    ),
    "profiles_of_nobody": (
        {"profiler_config": {"torch_profiler_dir": "/profiles"}},
        "it is none",
        {"profiler_config": {}},
    ),
    "threads_of_the_loader": (
        {"model_loader_extra_config": {"enable_multithread_load": True}, "safetensors_load_strategy": "prefetch"},
        "safetensors_load_strategy prefetch",
        {"safetensors_load_strategy": "lazy"},
    ),
    "routes_in_stages": (
        {"enable_return_routed_experts": True, "pipeline_parallel_size": 2},
        "pipeline_parallel_size 2",
        {"pipeline_parallel_size": 1},
    ),
}


def newest(row: Together) -> Version:
    """The newest release that has it."""
    return NEWEST_KNOWN if row.until is None else (row.until[0], row.until[1] - 1, 0)


def test_every_row_has_an_example() -> None:
    assert set(EXAMPLES) == {row.name for row in ROWS}
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_refuses_what_meets_it_and_nothing_else(row: Together) -> None:
    values, words, mended = EXAMPLES[row.name]
    (said,) = together.problems(values, row.since)
    assert words in said
    assert "{" not in said
    assert together.problems(values, newest(row)) == [said]
    assert together.problems({**values, **mended}, row.since) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_silent_of_releases_without_it_and_of_those_that_nobody_has_read(row: Together) -> None:
    values, _words, _mended = EXAMPLES[row.name]
    after = (NEWEST_KNOWN[0], NEWEST_KNOWN[1] + 1, 0)
    for version in ((0, 9, 0), after, *([row.until] if row.until else [])):
        assert together.problems(values, version) == [], version


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"speculative_config": {"method": "mtp", "num_speculative_tokens": 2}},
        {"speculative_config": "text"},
        {"eplb_config": None, "structured_outputs_config": [], "profiler_config": "text"},
        {"decode_context_parallel_size": "4", "max_cpu_loras": True, "enable_lora": True},
        {"max_cpu_loras": 1},
        {
            "async_scheduling": True,
            "speculative_config": {"method": "eagle3", "model": "d", "num_speculative_tokens": 2},
        },
    ],
)
def test_what_serves_or_cannot_be_read_is_no_row(values: Json) -> None:
    assert together.problems(values, (0, 26, 0)) == []


@pytest.mark.parametrize(
    ("version", "values"),
    [
        # create_engine_config: none in memory, or fewer, is nothing said.
        ((0, 33, 0), {"enable_lora": True, "max_cpu_loras": 0}),
        ((0, 33, 0), {"attention_backend": "FLASHINFER", "attention_config": {"backend": "auto"}}),
        ((0, 10, 0), {"data_parallel_hybrid_lb": True, "data_parallel_size": 4, "data_parallel_rank": 1}),
        ((0, 33, 0), {"data_parallel_hybrid_lb": True, "data_parallel_size": 4, "nnodes": 2}),
        # Only a drafter that is a model is split.
        (
            (0, 20, 0),
            {
                "tensor_parallel_size": 4,
                **drafts(method="ngram", num_speculative_tokens=2, draft_tensor_parallel_size=2),
            },
        ),
        # n_predict of the drafter's config.json.
        ((0, 20, 0), drafts(method="eagle", model="d")),
        ((0, 22, 0), {**drafts(method="ngram"), "spec_tokens": 2}),
        ((0, 22, 0), {**drafts(num_speculative_tokens=2), "spec_method": "ngram"}),
        ((0, 22, 0), {**drafts(method="eagle3", num_speculative_tokens=2), "spec_model": "d"}),
        # Files of speculators bring a drafter of their own, and there are the short arguments.
        ((0, 29, 0), {"per_request_spec_decode_metrics": "summary"}),
        # With a directory the profiler is torch, and a variable may name it.
        ((0, 13, 0), {"profiler_config": {"torch_profiler_dir": "/profiles"}}),
        ((0, 15, 1), {"profiler_config": {"profiler": "torch"}}),
        # As large as max_model_len it is no size of its own.
        ((0, 20, 0), {"mamba_block_size": 4096, "max_model_len": 4096, "enable_prefix_caching": False}),
        ((0, 20, 0), {"mamba_block_size": 4096, "enable_prefix_caching": False}),
        # A model's own type of states is filled in before it is asked for.
        ((0, 33, 0), {"enable_mamba_cache_stochastic_rounding": True}),
        # Only the default loader asks.
        (
            (0, 24, 0),
            {
                "model_loader_extra_config": {"enable_multithread_load": True},
                "safetensors_load_strategy": "prefetch",
                "load_format": "runai_streamer",
            },
        ),
    ],
)
def test_what_vllm_serves_all_the_same_is_not_refused(version: Version, values: Json) -> None:
    assert together.problems(values, version) == []


@pytest.mark.parametrize(
    ("name", "without", "first"),
    [
        # EPLBPolicyOption in config/parallel.py, and _validate_eplb_config there.
        ("balancing_policy", (0, 12, 0), (0, 13, 0)),
        ("asynchronous_communicator", (0, 23, 0), (0, 24, 0)),
        # __post_init__ of VllmConfig in 0.11.1; in 0.11.0 nobody has read it.
        ("asynchronous_guesses", (0, 11, 0), (0, 11, 1)),
        ("asynchronous_unpadded", (0, 11, 0), (0, 11, 1)),
    ],
)
def test_where_a_row_begins(name: str, without: Version, first: Version) -> None:
    values, words, _mended = EXAMPLES[name]
    assert together.problems(values, without) == []
    (said,) = together.problems(values, first)
    assert words in said


EXPERTS_ON_ONE = {"enable_eplb": True, "enable_expert_parallel": True}


@pytest.mark.parametrize(
    "values",
    [EXPERTS_ON_ONE, {"data_parallel_size_local": 2, "data_parallel_size": 1}, {"data_parallel_external_lb": True}],
)
def test_vllm_takes_the_number_of_ranks_from_the_environment(values: Json) -> None:
    """__post_init__ of ParallelConfig: with a data_parallel_size of 1 it is VLLM_DP_SIZE, read in 0.16.0 and 0.33.0."""
    assert len(together.problems(values, NEWEST_KNOWN, {"VLLM_DP_SIZE_OF_MINE": "2"})) == 1
    assert together.problems(values, NEWEST_KNOWN, {"VLLM_DP_SIZE": "2"}) == []


@pytest.mark.parametrize("version", [(0, 16, 0), (0, 32, 0)])
def test_on_a_cpu_two_batches_are_turned_off_before_anybody_asks(version: Version) -> None:
    """check_and_update_config in platforms/cpu.py, which VllmConfig calls before it asks for the kernels."""
    assert len(together.problems({"enable_dbo": True}, version)) == 1
    assert together.problems({"enable_dbo": True}, version, on_cpu=True) == []
    assert len(together.problems({**EXPERTS_ON_ONE, "enable_expert_parallel": False}, version, on_cpu=True)) == 2


@pytest.mark.parametrize(
    ("method", "version"), [("eagle3", (0, 20, 0)), ("dflash", (0, 20, 0)), ("dspark", (0, 25, 0))]
)
def test_fast_prefill_goes_with_no_method_that_reads_hidden_states(method: str, version: Version) -> None:
    """use_eagle() of the release."""
    values = {"kv_sharing_fast_prefill": True, **drafts(method=method, model="d", num_speculative_tokens=4)}
    (said,) = together.problems(values, version)
    assert said.startswith("kv_sharing_fast_prefill does not go with")
