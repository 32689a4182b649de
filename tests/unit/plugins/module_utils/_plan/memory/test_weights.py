# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Weights of one rank against what real starts logged."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.weights import (
    WeightQuestion,
    count_parameters,
    rank_weights,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.architecture import from_config
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.quantization import by_name
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS

GIB = 1024**3


def ask(model: str, **more: t.Any) -> WeightQuestion:
    architecture = from_config(CONFIGS[model])
    assert architecture is not None
    quantization = more.pop("quantization", None)
    found = by_name(quantization) if quantization else architecture.quantization
    return WeightQuestion(architecture=architecture, quantization=found, **more)


@pytest.mark.parametrize(
    ("model", "billions"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", 7.62),
        ("meta-llama/Llama-3.1-8B-Instruct", 8.03),
        ("meta-llama/Llama-3.1-70B-Instruct", 70.6),
        ("openai/gpt-oss-20b", 20.9),
        ("openai/gpt-oss-120b", 116.8),
        ("Qwen/Qwen3-VL-2B-Instruct", 2.1),
    ],
)
def test_parameters_from_the_geometry(model: str, billions: float) -> None:
    architecture = from_config(CONFIGS[model])
    assert architecture is not None
    assert count_parameters(architecture) == pytest.approx(billions * 1e9, rel=0.04)


# GiB that vLLM logged as loaded on the first rank.
LOGGED: list[tuple[str, dict[str, t.Any], float]] = [
    ("Qwen/Qwen2.5-7B-Instruct", {}, 14.25),
    ("meta-llama/Llama-3.1-8B-Instruct", {}, 14.99),
    ("meta-llama/Llama-3.1-8B-Instruct", {"tensor_parallel": 2}, 7.51),
    ("meta-llama/Llama-3.1-8B-Instruct", {"tensor_parallel": 4}, 3.77),
    ("meta-llama/Llama-3.1-8B-Instruct", {"pipeline_parallel": 2}, 7.51),
    ("meta-llama/Llama-3.1-8B-Instruct", {"pipeline_parallel": 4}, 4.26),
    ("meta-llama/Llama-3.1-8B-Instruct", {"quantization": "fp8"}, 8.49),
    ("meta-llama/Llama-3.1-8B-Instruct", {"quantization": "int4"}, 5.38),
    ("meta-llama/Llama-3.1-8B-Instruct", {"dtype": "float32"}, 29.98),
    ("meta-llama/Llama-3.1-70B-Instruct", {"quantization": "fp8", "tensor_parallel": 2}, 33.88),
    ("openai/gpt-oss-20b", {}, 13.64),
    ("openai/gpt-oss-20b", {"tensor_parallel": 2}, 7.01),
    ("openai/gpt-oss-120b", {}, 64.38),
    ("Qwen/Qwen2.5-7B-Instruct-AWQ", {}, 5.2),
]


@pytest.mark.parametrize(("model", "more", "logged"), LOGGED)
def test_predicted_as_logged(model: str, more: dict[str, t.Any], logged: float) -> None:
    found = rank_weights(ask(model, **more))
    assert found is not None
    assert found.source == "parameters"
    assert found.stages[0].expected == pytest.approx(logged, rel=0.035)
    assert found.stages[0].low <= logged <= found.stages[0].high


@pytest.mark.parametrize(
    ("model", "stored", "loaded"), [("openai/gpt-oss-20b", 12.82, 13.64), ("openai/gpt-oss-120b", 60.77, 64.38)]
)
def test_padded_experts_load_larger_than_stored(model: str, stored: float, loaded: float) -> None:
    found = rank_weights(ask(model, file_bytes=int(stored * GIB)))
    assert found is not None
    assert found.source == "files"
    assert found.stages[0].expected == pytest.approx(loaded, rel=0.005)


def test_quantized_while_loading() -> None:
    found = rank_weights(
        ask("meta-llama/Llama-3.1-8B-Instruct", quantization="fp8", file_bytes=16_060_000_000, load_quantization=True)
    )
    assert found is not None
    assert found.stages[0].expected == pytest.approx(8.49, rel=0.02)


def test_measured_wins() -> None:
    found = rank_weights(ask("Qwen/Qwen2.5-7B-Instruct", measured_gib=14.25, file_bytes=GIB, parameters=1e9))
    assert found is not None
    assert found.source == "measured"
    assert found.stages[0].expected == 14.25


def test_nothing_known() -> None:
    assert rank_weights(WeightQuestion(architecture=None, quantization=None)) is None


def test_experts_are_spread_over_data_parallel_ranks() -> None:
    alone = rank_weights(ask("openai/gpt-oss-120b"))
    spread = rank_weights(ask("openai/gpt-oss-120b", data_parallel=2))
    dense = rank_weights(ask("Qwen/Qwen2.5-7B-Instruct", data_parallel=2))
    assert alone is not None
    assert spread is not None
    assert dense is not None
    assert spread.stages[0].expected < 0.6 * alone.stages[0].expected
    assert dense.stages[0].expected == pytest.approx(14.25, rel=0.02)
