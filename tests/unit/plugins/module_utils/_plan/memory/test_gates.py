# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compute capability, parallel sizes and neighbours: what is refused, and what is only said."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.capability import check
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.parallel import problems, too_few_gpus
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.request import (
    Claim,
    GpuMemory,
    Holder,
    MemoryRequest,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.settings import Settings, resolve
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.sharing import crowded, holders, overbooked
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.architecture import from_config
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS


def settled(version: str = "0.32.0", **arguments: t.Any) -> Settings:
    return resolve(MemoryRequest(version=version, arguments=arguments, gpus=()), None)


def gpu(capability: str | None, **more: t.Any) -> GpuMemory:
    return GpuMemory(total_mib=24576, reserved_mib=480, compute_capability=capability, **more)


@pytest.mark.parametrize(
    ("method", "version", "capability", "refused"),
    [
        ("fp8", "0.11.2", "7.5", True),
        ("fp8", "0.16.0", "7.5", False),
        ("awq_marlin", "0.11.2", "7.5", True),
        ("awq_marlin", "0.17.0", "7.5", False),
        ("mxfp4", "0.32.0", "7.5", True),
        ("mxfp4", "0.32.0", "8.0", False),
        ("modelopt", "0.24.0", "8.6", True),
        ("modelopt", "0.28.0", "8.6", False),
        ("gptq", "0.19.0", "7.0", False),
        ("", "0.19.0", "7.0", False),
        ("", "0.20.0", "7.0", True),
        ("gguf", "0.23.0", "8.6", False),
        ("gguf", "0.24.0", "8.6", True),
        ("bitsandbytes", "0.27.0", "8.6", False),
        ("bitsandbytes", "0.28.0", "8.6", True),
        ("nonsense", "0.32.0", "8.6", False),
    ],
)
def test_methods(method: str, version: str, capability: str, refused: bool) -> None:
    found = check(settled(version), method, [gpu(capability)])
    assert any(one.refuse for one in found) is refused


def test_a_plugin_brings_a_method_back() -> None:
    assert not check(settled(), "gguf", [gpu("8.6")], plugins=("gguf",))


def test_an_unknown_release_is_no_ground_to_refuse() -> None:
    found = check(settled("nightly"), "gguf", [gpu("8.6")])
    assert [one.refuse for one in found] == [False]


@pytest.mark.parametrize(("dtype", "refuse"), [("bfloat16", True), ("auto", False)])
def test_bfloat16_before_ampere(dtype: str, refuse: bool) -> None:
    found = check(settled(dtype=dtype), "", [gpu("7.5")])
    assert [one.refuse for one in found] == [refuse]
    assert "float16" in found[0].reason or "half" in found[0].reason


@pytest.mark.parametrize(("capability", "said"), [("8.6", True), ("8.9", False), ("12.0", False), (None, False)])
def test_fp8_cache_is_only_warned_of(capability: str | None, said: bool) -> None:
    found = check(settled(kv_cache_dtype="fp8"), "", [gpu(capability)])
    assert bool(found) is said
    assert not any(one.refuse for one in found)


@pytest.mark.parametrize(
    ("model", "arguments", "gpus", "word"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", {"tensor_parallel_size": 2}, 2, ""),
        ("Qwen/Qwen2.5-7B-Instruct", {"tensor_parallel_size": 2}, 1, "needs 2 GPUs, 1 are assigned"),
        ("Qwen/Qwen2.5-7B-Instruct", {"tensor_parallel_size": 8}, 8, "28 attention heads do not divide"),
        ("Qwen/Qwen2.5-14B-Instruct-AWQ", {"tensor_parallel_size": 5}, 5, "8 KV heads do not divide"),
        ("openai/gpt-oss-20b", {"tensor_parallel_size": 16}, 16, ""),
        ("openai/gpt-oss-20b", {"pipeline_parallel_size": 25}, 25, "more than the model's 24 layers"),
        ("openai/gpt-oss-20b", {"tensor_parallel_size": 2, "data_parallel_size": 2}, 2, "needs 4 GPUs"),
    ],
)
def test_parallel(model: str, arguments: dict[str, t.Any], gpus: int, word: str) -> None:
    found = [*too_few_gpus(settled(**arguments), gpus), *problems(settled(**arguments), from_config(CONFIGS[model]))]
    assert (word in " ".join(found)) if word else not found


def test_vocabulary_is_padded_before_it_is_split() -> None:
    architecture = from_config(
        {**CONFIGS["Qwen/Qwen2.5-14B-Instruct-AWQ"], "vocab_size": 49155, "num_key_value_heads": 40}
    )
    assert not problems(settled(tensor_parallel_size=4), architecture)
    assert "vocabulary" in problems(settled(tensor_parallel_size=5), architecture)[0]


def test_more_than_one_gpu_is_not_given_away() -> None:
    shared = gpu("9.0", claims=(Claim("backup", fraction=0.85),))
    text = overbooked(shared, settled(gpu_memory_utilization=0.85))
    assert text is not None
    assert "2 instances ask for 1.70 of GPU 0" in text
    assert overbooked(shared, settled(gpu_memory_utilization=0.1)) is None
    assert overbooked(gpu("9.0"), settled(gpu_memory_utilization=1.0)) is None


def test_a_fixed_cache_counts_by_its_size() -> None:
    shared = gpu("9.0", claims=(Claim("backup", gib=20.0),))
    assert overbooked(shared, settled(gpu_memory_utilization=0.5)) is not None


def test_shares_that_leave_no_room_for_graphs() -> None:
    shared = gpu("9.0", claims=(Claim("backup", fraction=0.5),))
    assert crowded(shared, settled(gpu_memory_utilization=0.48)) is not None
    assert crowded(shared, settled(gpu_memory_utilization=0.4)) is None


def test_holders_are_named_largest_first() -> None:
    held = gpu("9.0", holders=(Holder(7, "Xorg", 100.0), Holder(9, "python", 5120.0), Holder(11, "other")))
    assert holders(held) == "python (pid 9, 5.0 GiB), Xorg (pid 7, 0.1 GiB), other (pid 11)"
