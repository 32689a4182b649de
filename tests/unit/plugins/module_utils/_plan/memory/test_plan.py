# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole plans: verdicts with their reasons, what would fit, and what nobody can say."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.plan import MemoryPlan, plan_memory
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.request import (
    Claim,
    GpuMemory,
    Holder,
    MemoryRequest,
)
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS

GIB = 1024**3
AWQ_7B = "Qwen/Qwen2.5-7B-Instruct-AWQ"
LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"


def gpu(total: float = 24576.0, **more: t.Any) -> GpuMemory:
    values: dict[str, t.Any] = {"reserved_mib": 480.0, "free_mib": total - 490.0, "compute_capability": "8.9", **more}
    return GpuMemory(total_mib=total, **values)


def plan(model: str = AWQ_7B, gpus: t.Sequence[GpuMemory] = (), **more: t.Any) -> MemoryPlan:
    arguments = more.pop("arguments", {})
    values: dict[str, t.Any] = {"version": "0.32.0", "config": CONFIGS.get(model), "model": model, **more}
    return plan_memory(MemoryRequest(arguments=arguments, gpus=tuple(gpus) or (gpu(),), **values))


def kinds(found: MemoryPlan) -> set[tuple[str, str]]:
    return {(one.word, one.kind) for one in found.reasons}


def test_a_small_model_fits_and_says_its_sums() -> None:
    found = plan(arguments={"max_model_len": 8192, "max_num_seqs": 8}, weights_bytes=int(5.2 * GIB))
    said = found.as_dict()
    assert said["verdict"] == "fits"
    assert said["reasons"] == []
    assert json.loads(json.dumps(said)) == said
    rank = said["gpus"][0]
    left = rank["requested_gib"] - sum(
        rank[name]["expected"] for name in ("weights_gib", "activation_gib", "non_torch_gib", "graphs_counted_gib")
    )
    assert rank["kv_cache_gib"]["expected"] == pytest.approx(left, abs=0.03)
    assert said["kv"]["tokens"] == pytest.approx(rank["kv_cache_gib"]["expected"] * GIB / 57344, rel=0.01)
    assert said["largest"]["max_model_len"]["sure"] == 32768


def test_weights_larger_than_the_gpu() -> None:
    found = plan("Qwen/Qwen2.5-32B-Instruct", arguments={"max_model_len": 4096})
    assert found.verdict == "does_not_fit"
    assert "GiB of weights do not fit" in found.reasons[0].text
    assert found.largest_sequences is None


def test_a_context_that_is_too_long_names_the_one_that_fits() -> None:
    found = plan(LLAMA_8B, arguments={"max_model_len": 131072, "max_num_seqs": 8})
    assert found.verdict == "does_not_fit"
    assert "One request of 131072 tokens needs 16.00 GiB" in found.reasons[0].text
    change = next(one for one in found.changes if one.name == "max_model_len")
    assert found.largest_length is not None
    assert 1024 < change.value <= found.largest_length["sure"] < 131072
    again = plan(LLAMA_8B, arguments={"max_model_len": change.value, "max_num_seqs": 8})
    assert again.verdict == change.verdict == "fits"


@pytest.mark.parametrize("free", [8600.0, 12000.0])
def test_memory_held_by_others_is_refused_and_named(free: float) -> None:
    busy = gpu(free_mib=free, holders=(Holder(4242, "python3", 15000.0),))
    found = plan(gpus=[busy], arguments={"max_model_len": 4096})
    assert found.verdict == "does_not_fit"
    assert ("does_not_fit", "busy") in kinds(found)
    assert "python3 (pid 4242, 14.6 GiB)" in found.reasons[0].text
    change = next(one for one in found.changes if one.name == "gpu_memory_utilization")
    assert change.value < free / 24576.0


def test_what_the_own_container_holds_comes_back() -> None:
    assert plan(gpus=[gpu(free_mib=2000.0, own_mib=22000.0)], arguments={"max_model_len": 4096}).verdict == "fits"


def test_releases_before_the_check_do_not_refuse_for_it() -> None:
    found = plan(gpus=[gpu(free_mib=9000.0)], version="0.8.5", arguments={"max_model_len": 4096})
    assert ("does_not_fit", "busy") not in kinds(found)


def test_a_budget_that_leaves_no_room_for_graphs_is_tight() -> None:
    high = plan(arguments={"max_model_len": 4096, "gpu_memory_utilization": 0.97}, version="0.19.0")
    low = plan(arguments={"max_model_len": 4096, "gpu_memory_utilization": 0.85}, version="0.19.0")
    assert (high.verdict, low.verdict) == ("tight", "fits")
    eager = plan(
        arguments={"max_model_len": 4096, "gpu_memory_utilization": 0.93, "enforce_eager": True, "max_num_seqs": 4},
        version="0.19.0",
    )
    assert eager.verdict == "fits"


def test_two_on_one_gpu() -> None:
    found = plan(gpus=[gpu(claims=(Claim("other", fraction=0.5),))], arguments={"max_model_len": 4096})
    assert found.verdict == "does_not_fit"
    assert "ask for 1.42 of GPU 0" in found.reasons[0].text
    assert not found.changes


def test_only_what_nobody_set_is_capped() -> None:
    h100 = gpu(81559.0, compute_capability="9.0")
    weights = int(61.03 * GIB)
    unset = plan(
        "Qwen/Qwen2.5-32B-Instruct", [h100], version="0.11.0", weights_bytes=weights, arguments={"max_model_len": 32000}
    )
    assert unset.verdict == "tight"
    assert dict(unset.caps or {}) == {"max_num_seqs": 256, "max_num_batched_tokens": 2048}
    assert "defaults for GPUs of this size do not fit" in unset.reasons[0].text
    was_set = plan(
        "Qwen/Qwen2.5-32B-Instruct",
        [h100],
        version="0.11.0",
        weights_bytes=weights,
        arguments={"max_model_len": 32000, "max_num_seqs": 1024, "max_num_batched_tokens": 8192},
    )
    assert was_set.verdict == "does_not_fit"
    assert not was_set.caps
    assert ("max_num_seqs", "tight") in {(one.name, one.verdict) for one in was_set.changes} or was_set.changes


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"config": None}, "the model's geometry"),
        ({"gpus": [GpuMemory()]}, "how much memory the GPU has"),
        ({"config": {"num_hidden_layers": 28}, "weights_bytes": GIB}, "the model's geometry"),
        ({"config": None, "weights_bytes": GIB, "arguments": {"max_model_len": 4096}}, "the model's geometry"),
    ],
)
def test_what_is_not_known_is_said(more: dict[str, t.Any], word: str) -> None:
    found = plan(**more)
    assert found.verdict == "unknown"
    assert word in found.reasons[0].text


def test_weights_alone_can_rule_a_model_out() -> None:
    assert plan(config=None, weights_bytes=40 * GIB).verdict == "does_not_fit"


def test_the_smallest_gpu_decides() -> None:
    big, small = gpu(49140.0), gpu(24576.0, index=1)
    arguments = {"tensor_parallel_size": 2, "max_model_len": 8192}
    mixed, alike = (plan(LLAMA_8B, gpus, arguments=arguments) for gpus in ([big, small], [small, small]))
    assert mixed.budget.kv is not None
    assert alike.budget.kv is not None
    assert mixed.budget.kv.expected == pytest.approx(alike.budget.kv.expected)
    assert any("differ in size" in text for text in mixed.warnings)
    assert not any("differ in size" in text for text in alike.warnings)


def test_a_fixed_cache_is_summed_up() -> None:
    fits = plan(arguments={"max_model_len": 8192, "kv_cache_memory_bytes": 4 * GIB})
    over = plan(arguments={"max_model_len": 8192, "kv_cache_memory_bytes": 30 * GIB})
    assert fits.verdict == "fits"
    assert fits.as_dict()["kv"]["gib"]["expected"] == 4.0
    assert over.verdict == "does_not_fit"
    assert "Fixed KV cache" in over.reasons[0].text


def test_the_last_stage_of_a_pipeline_has_least() -> None:
    h100 = [gpu(81559.0, compute_capability="9.0", index=index) for index in range(2)]
    found = plan(
        LLAMA_8B,
        h100,
        version="0.19.0",
        arguments={"pipeline_parallel_size": 2, "gpu_memory_utilization": 0.95, "max_model_len": 8192},
    )
    first, last = (rank.kv.expected for rank in found.budget.ranks)
    assert first == pytest.approx(66.54, abs=0.3)
    assert first - last == pytest.approx(0.8, abs=0.2)
    assert found.concurrency == pytest.approx(131.26, rel=0.02)


def test_more_sequences_than_the_cache_holds_is_a_warning_only() -> None:
    found = plan(LLAMA_8B, arguments={"max_model_len": 32768, "max_num_seqs": 64, "gpu_memory_utilization": 0.9})
    assert found.settings.sequences == 64
    assert any(text.startswith("max_num_seqs 64 is more than the") for text in found.warnings)
    assert not found.caps


def test_ranges_are_said_where_caches_move_the_figure() -> None:
    new, old = plan(arguments={"max_model_len": 4096}), plan(arguments={"max_model_len": 4096}, version="0.19.0")
    assert any("compile caches" in text for text in new.assumptions)
    assert not any("compile caches" in text for text in old.assumptions)


def test_each_default_that_was_assumed_is_said() -> None:
    found = plan(arguments={"max_model_len": 4096, "max_num_seqs": 2})
    assert [text for text in found.assumptions if text.startswith("Nobody set")] == [
        "Nobody set max_num_batched_tokens: 2048 is assumed, this vLLM's default for these GPUs unless it is capped."
    ]


def test_automatic_length_gets_what_is_there() -> None:
    found = plan(LLAMA_8B, arguments={"max_model_len": "auto", "max_num_seqs": 8})
    assert found.verdict == "fits"
    assert found.largest_length is not None
    assert 16000 < found.largest_length["sure"] < 131072


def test_unexplained_weights_are_tight() -> None:
    found = plan("Qwen/Qwen2.5-7B-Instruct", [gpu(49140.0)], loaded_weights_gib=19.5, arguments={"max_model_len": 4096})
    assert found.verdict == "tight"
    assert "adapters or a drafter" in found.reasons[0].text


BGE = {
    "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "hidden_size": 1024, "intermediate_size": 4096,
    "num_hidden_layers": 24, "num_attention_heads": 16, "max_position_embeddings": 8194, "vocab_size": 250002,
    "dtype": "float16",
}  # fmt: skip


def test_an_encoder_has_no_cache_and_splits_no_text() -> None:
    """It would not fit beside 20 requests of 8194 tokens, of which it keeps nothing."""
    found = plan("bge", [gpu(4096.0)], config=BGE, weights_bytes=1_140_000_000, arguments={"max_num_seqs": 20})
    said = found.as_dict()
    assert {word for word, _kind in kinds(found)} <= {"tight"}, said["reasons"]
    assert said["gpus"][0]["kv_cache_gib"]["expected"] == 0.0
    assert (said["kv"]["concurrency"], said["kv"]["bytes_per_token"], said["largest"]["max_model_len"]) == (None,) * 3
    assert said["arguments"]["max_num_batched_tokens"] == 8194
    assert not [one for one in found.reasons if "Chunked prefill" in one.text or "KV cache" in one.text]


def test_an_encoder_that_is_larger_than_its_gpu() -> None:
    found = plan("bge", [gpu(2048.0)], config=BGE, weights_bytes=int(3 * GIB))
    assert found.verdict == "does_not_fit"
    assert any(one.text.startswith("No KV cache: 3") for one in found.reasons), found.reasons
    assert "kv_cache_dtype" not in {change.name for change in found.changes}


@pytest.mark.parametrize("more", [{"is_causal": False}, {"use_bidirectional_attention": True}])
def test_a_decoder_that_looks_both_ways_is_an_encoder(more: dict[str, t.Any]) -> None:
    config = {**CONFIGS[LLAMA_8B], **more}
    assert plan("both", config=config, weights_bytes=16 * GIB).settings.encodes
    assert not plan("one", config={**CONFIGS[LLAMA_8B], "is_causal": True}, weights_bytes=16 * GIB).settings.encodes


@pytest.mark.parametrize("method", ["fp8", "fp8_per_tensor", "fp8_per_block", "int8_per_channel_weight_only"])
def test_files_that_are_quantized_while_they_load_are_counted_as_loaded(method: str) -> None:
    """_ONLINE_SHORTHANDS in vllm/config/quantization.py: one byte a weight, whatever the files hold."""
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_size": 5120,
        "intermediate_size": 13824,
        "num_hidden_layers": 48,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "vocab_size": 152064,
    }
    gpu = GpuMemory(total_mib=24564, reserved_mib=490, free_mib=24000, compute_capability="8.9")
    request = MemoryRequest(
        version="0.24.0",
        arguments={"quantization": method, "max_model_len": 8192},
        gpus=(gpu,),
        config=config,
        weights_bytes=29_540_133_888,
    )
    weights = plan_memory(request).budget.weights
    assert weights is not None
    assert 14.0 < weights.whole_gib < 17.0


@pytest.mark.parametrize(("free_mib", "warm_up"), [(23500, True), (20000, False)])
def test_a_warm_up_is_told_beside_what_is_only_just_free(free_mib: int, warm_up: bool) -> None:
    """Where the start is refused for what is held now, what would come after it is not told."""
    config = {
        "num_hidden_layers": 36,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 151936,
    }
    gpu = GpuMemory(total_mib=24564, reserved_mib=490, free_mib=free_mib, compute_capability="8.9")
    arguments = {"max_model_len": 8192, "gpu_memory_utilization": 0.96, "max_num_seqs": 512}
    request = MemoryRequest(version="0.24.0", arguments=arguments, gpus=(gpu,), config=config, weights_bytes=8 * 10**9)
    plan = plan_memory(request, cap_unset=False)
    assert any(reason.kind == "busy" for reason in plan.reasons)
    assert any("warming up the sampler" in reason.text for reason in plan.reasons) == warm_up
