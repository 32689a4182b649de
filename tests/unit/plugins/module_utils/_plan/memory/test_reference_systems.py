# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The memory side of five reference systems: each configuration gets the verdict that arithmetic gives it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.plan import MemoryPlan, plan_memory
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.request import Claim, GpuMemory, MemoryRequest
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS

GIB = 1024**3
SERVES = ("fits", "tight")
RTX_24 = GpuMemory(total_mib=24576, reserved_mib=450, free_mib=24120, compute_capability="8.6")
H100_NVL = GpuMemory(total_mib=95830, reserved_mib=470, free_mib=95350, compute_capability="9.0")
RTX_3060 = GpuMemory(total_mib=12288, reserved_mib=400, free_mib=11880, compute_capability="8.6")
RTX_5060_TI = GpuMemory(total_mib=16311, reserved_mib=450, free_mib=15855, compute_capability="12.0")
L40S = GpuMemory(total_mib=46068, reserved_mib=613, free_mib=45450, compute_capability="8.9")
A6000 = GpuMemory(total_mib=49140, reserved_mib=633, free_mib=48500, compute_capability="8.6")
SMALL, MEDIUM = "Qwen/Qwen3-VL-2B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"
LARGE = "meta-llama/Llama-3.1-70B-Instruct"
AWQ_7B, AWQ_14B = "Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen2.5-14B-Instruct-AWQ"


def plan(
    model: str,
    gpus: t.Sequence[GpuMemory],
    stored: float | None = None,
    parameters: float | None = None,
    **arguments: t.Any,
) -> MemoryPlan:
    return plan_memory(
        MemoryRequest(
            version="0.32.0",
            model=model,
            config=CONFIGS[model],
            arguments=arguments,
            gpus=tuple(gpus),
            weights_bytes=int(stored * GIB) if stored else None,
            parameters=parameters,
        )
    )


@pytest.mark.parametrize(
    ("length", "utilisation", "batched"),
    [(8192, 0.9, 4096), (10240, 0.9, 5120), (12288, 0.9, 6144), (16384, 0.95, 8192)],
)
def test_the_promotion_of_the_agent_serves(length: int, utilisation: float, batched: int) -> None:
    found = plan(
        "openai/gpt-oss-20b",
        [RTX_24],
        12.82,
        dtype="bfloat16",
        max_model_len=length,
        gpu_memory_utilization=utilisation,
        max_num_batched_tokens=batched,
    )
    assert found.verdict in SERVES
    assert found.budget.weights is not None
    assert found.budget.weights.whole_gib == pytest.approx(13.72, abs=0.15)


PRIMARY: dict[str, t.Any] = {
    "gpu_memory_utilization": 0.85,
    "max_model_len": 4096,
    "max_num_seqs": 8,
    "max_num_batched_tokens": 8192,
}


def test_one_large_endpoint_serves_alone() -> None:
    assert plan("openai/gpt-oss-120b", [H100_NVL], 60.77, **PRIMARY).verdict == "fits"


def test_two_large_endpoints_on_one_gpu_are_refused() -> None:
    shared = GpuMemory(
        total_mib=95830, reserved_mib=470, compute_capability="9.0", claims=(Claim("backup", fraction=0.85),)
    )
    found = plan("openai/gpt-oss-120b", [shared], 60.77, **PRIMARY)
    assert found.verdict == "does_not_fit"
    assert "1.70" in found.reasons[0].text


@pytest.mark.parametrize(
    "arguments",
    [
        {
            "quantization": "awq",
            "kv_cache_dtype": "fp8",
            "max_model_len": 12288,
            "max_num_seqs": 2,
            "gpu_memory_utilization": 0.88,
            "enforce_eager": True,
        },
        {"max_model_len": 8192, "max_num_seqs": 6},
        {"quantization": "awq_marlin", "max_model_len": 8192, "max_num_seqs": 6},
    ],
)
def test_long_context_on_12_gb_serves(arguments: dict[str, t.Any]) -> None:
    assert plan(AWQ_7B, [RTX_3060], 5.2, **arguments).verdict in SERVES


def test_an_fp8_cache_halves_the_requests_and_is_warned_of_on_ampere() -> None:
    common: dict[str, t.Any] = {"max_model_len": 12288, "max_num_seqs": 2, "gpu_memory_utilization": 0.88}
    half = plan(AWQ_7B, [RTX_3060], 5.2, kv_cache_dtype="fp8", **common)
    whole = plan(AWQ_7B, [RTX_3060], 5.2, **common)
    assert 2 * half.as_dict()["kv"]["gib_per_request"] == pytest.approx(0.66, abs=0.01)
    assert 2 * whole.as_dict()["kv"]["gib_per_request"] == pytest.approx(1.31, abs=0.01)
    assert any("Triton refuses it below 8.9" in text for text in half.warnings)
    assert not whole.warnings


@pytest.mark.parametrize(
    ("model", "quantization", "billions", "utilisation", "length", "gib"),
    [
        ("Qwen/Qwen2.5-32B-Instruct", "q5_K_M", 32.8, 0.85, 32768, 21.7),
        ("Qwen/Qwen2.5-32B-Instruct", "q4_K_M", 32.8, 0.95, 32768, 18.5),
    ],
)
def test_32b_on_16_gb_is_refused(
    model: str, quantization: str, billions: float, utilisation: float, length: int, gib: float
) -> None:
    found = plan(
        model,
        [RTX_5060_TI],
        parameters=billions * 1e9,
        quantization=quantization,
        gpu_memory_utilization=utilisation,
        max_model_len=length,
    )
    assert found.verdict == "does_not_fit"
    texts = " ".join(one.text for one in found.reasons)
    assert f"{gib} GiB of weights do not fit" in texts
    assert "out of tree since vLLM 0.24" in texts


def test_a_gguf_build_that_would_fit_is_refused_for_its_format_only() -> None:
    arguments: dict[str, t.Any] = {"gpu_memory_utilization": 0.7, "max_model_len": 16384, "quantization": "q5_K_M"}
    found = plan("Qwen/Qwen2.5-7B-Instruct", [RTX_5060_TI], parameters=7.62e9, **arguments)
    assert found.verdict == "does_not_fit"
    assert {one.kind for one in found.reasons} == {"setup"}
    assert found.budget.weights is not None
    assert found.budget.weights.whole_gib == pytest.approx(5.1, abs=0.1)


@pytest.mark.parametrize(
    ("model", "stored", "length", "words"),
    [
        (AWQ_7B, 5.2, 16384, SERVES),
        (AWQ_14B, 9.3, 16384, SERVES),
        (AWQ_14B, 9.3, 32768, ("does_not_fit",)),
    ],
)
def test_stand_ins_on_16_gb(model: str, stored: float, length: int, words: tuple[str, ...]) -> None:
    assert plan(model, [RTX_5060_TI], stored, gpu_memory_utilization=0.9, max_model_len=length).verdict in words


@pytest.mark.parametrize(("gpus", "words"), [(2, SERVES), (1, ("does_not_fit",))])
def test_a_second_gpu(gpus: int, words: tuple[str, ...]) -> None:
    found = plan(AWQ_14B, [RTX_5060_TI] * gpus, 9.3, tensor_parallel_size=2, max_model_len=16384)
    assert found.verdict in words


@pytest.mark.parametrize("board", [L40S, A6000])
@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        (
            SMALL,
            {
                "data_parallel_size": 4,
                "max_num_seqs": 512,
                "max_num_batched_tokens": 8192,
                "gpu_memory_utilization": 0.95,
            },
        ),
        (
            SMALL,
            {"data_parallel_size": 2, "tensor_parallel_size": 2, "max_num_seqs": 256, "max_num_batched_tokens": 4096},
        ),
        (SMALL, {"tensor_parallel_size": 4, "max_num_seqs": 64, "max_num_batched_tokens": 2048}),
        (SMALL, {"tensor_parallel_size": 4, "enforce_eager": True, "max_num_seqs": 32}),
        (MEDIUM, {"tensor_parallel_size": 4, "enforce_eager": True, "max_num_seqs": 32}),
        (LARGE, {"tensor_parallel_size": 4, "enforce_eager": True, "max_num_seqs": 32}),
        (
            MEDIUM,
            {
                "tensor_parallel_size": 2,
                "data_parallel_size": 2,
                "max_num_seqs": 256,
                "max_num_batched_tokens": 8192,
                "gpu_memory_utilization": 0.95,
            },
        ),
        (MEDIUM, {"tensor_parallel_size": 2, "max_num_seqs": 128, "max_num_batched_tokens": 4096}),
        (
            LARGE,
            {
                "tensor_parallel_size": 4,
                "max_num_seqs": 128,
                "max_num_batched_tokens": 8192,
                "gpu_memory_utilization": 0.95,
            },
        ),
        (LARGE, {"tensor_parallel_size": 4, "max_num_seqs": 32, "max_num_batched_tokens": 2048}),
        (
            SMALL,
            {
                "data_parallel_size": 2,
                "max_num_batched_tokens": 4096,
                "max_num_seqs": 32,
                "gpu_memory_utilization": 0.95,
                "enable_chunked_prefill": True,
            },
        ),
        (AWQ_7B, {"data_parallel_size": 4, "quantization": "awq", "max_num_seqs": 1024, "gpu_memory_utilization": 0.9}),
        (SMALL, {"data_parallel_size": 4, "max_num_seqs": 256, "speculative_config": {"num_speculative_tokens": 5}}),
    ],
)
def test_presets_for_four_gpus_serve(board: GpuMemory, model: str, arguments: dict[str, t.Any]) -> None:
    assert plan(model, [board] * 4, max_model_len=8192, **arguments).verdict in SERVES


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_num_seqs": 128, "max_num_batched_tokens": 8192, "gpu_memory_utilization": 0.95},
        {"max_num_seqs": 32, "max_num_batched_tokens": 2048},
    ],
)
def test_the_large_model_at_its_own_length_is_refused_with_the_one_that_fits(arguments: dict[str, t.Any]) -> None:
    found = plan(LARGE, [L40S] * 4, tensor_parallel_size=4, **arguments)
    assert found.verdict == "does_not_fit"
    change = next(one for one in found.changes if one.name == "max_model_len")
    assert 8192 < change.value < 131072
    again = plan(LARGE, [L40S] * 4, tensor_parallel_size=4, max_model_len=change.value, **arguments)
    assert again.verdict == change.verdict
    assert plan(LARGE, [A6000] * 4, tensor_parallel_size=4, **arguments).verdict != "fits"


VISION: dict[str, t.Any] = {
    "data_parallel_size": 4,
    "max_num_seqs": 32,
    "max_num_batched_tokens": 16384,
    "gpu_memory_utilization": 0.95,
    "max_model_len": 40960,
}


def test_vision_language_from_its_measured_cache() -> None:
    found = plan(SMALL, [A6000] * 4, **VISION)
    assert found.budget.layout is not None
    assert round(found.budget.layout.concurrency(37.15, 40960), 2) == 8.49


@pytest.mark.parametrize("board", [L40S, A6000])
def test_vision_language_predicted_without_being_given_it(board: GpuMemory) -> None:
    found = plan(SMALL, [board] * 4, **VISION)
    assert found.verdict in SERVES
    assert found.budget.kv is not None
    assert found.budget.kv.expected == pytest.approx(37.15, rel=0.06)
    assert found.concurrency == pytest.approx(8.49, rel=0.06)
    assert any("max_num_seqs 32 a data parallel rank is more than the" in text for text in found.warnings)


def test_reasoning_on_four_gpus() -> None:
    found = plan(SMALL, [L40S] * 4, data_parallel_size=4, max_num_seqs=32, max_model_len=40960)
    assert found.verdict in SERVES
