# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as the release takes them, and YAML's traps."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.values import BadValueError, checked
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("max_model_len", 8192, 8192),
        ("max_model_len", "8192", 8192),
        ("max_model_len", "32k", 32000),
        ("max_model_len", "32K", 32768),
        ("max_model_len", "25.6k", 25600),
        ("max_model_len", "1M", 1048576),
        ("max_model_len", "auto", "auto"),
        ("max_model_len", -1, "auto"),
        ("kv_cache_memory_bytes", "2G", 2147483648),
        ("max_num_seqs", "4", 4),
        ("max_num_seqs", 4.0, 4),
        ("gpu_memory_utilization", 1, 1.0),
        ("gpu_memory_utilization", "0.92", 0.92),
        ("enforce_eager", True, True),
        ("enforce_eager", "False", False),
        ("enforce_eager", "on", True),
        ("enforce_eager", 0, False),
        ("dtype", "bfloat16", "bfloat16"),
        ("revision", "main", "main"),
        ("seed", 0, 0),
        ("optimization_level", 2, "2"),
        ("limit_mm_per_prompt", {"image": 2}, {"image": 2}),
        ("limit_mm_per_prompt", '{"image": 2}', {"image": 2}),
        ("allowed_origins", ["*"], ["*"]),
        ("hf_overrides", {"a": 1}, {"a": 1}),
        ("hf_overrides", "some.function", "some.function"),
        ("cudagraph_capture_sizes", [1, 2, 4], [1, 2, 4]),
        ("cudagraph_capture_sizes", 4, [4]),
        ("ignore_patterns", ["b", "a"], ["a", "b"]),
        ("max_lora_rank", 64, 64),
        ("load_format", "anything-a-plugin-brings", "anything-a-plugin-brings"),
    ],
)
def test_accepted(name: t.Any, given: t.Any, value: t.Any) -> None:
    found = checked(fleet.schema_of("0.32.0").arguments[name], given)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("max_num_seqs", True, "YAML reads yes, no, on and off so"),
        ("max_num_seqs", "08", "write 8"),
        ("max_num_seqs", "010", "write 10"),
        ("max_num_seqs", "1e3", "write 1000"),
        ("max_num_seqs", "4k", "takes no unit"),
        ("max_num_seqs", "many", "whole number"),
        ("max_num_seqs", 1.5, "whole number"),
        ("max_num_seqs", "", "is empty"),
        ("max_num_seqs", [4], "whole number"),
        ("max_num_seqs", 0, "the least that makes sense is 1"),
        ("max_num_seqs", -4, "the least that makes sense is 1"),
        ("max_num_seqs", 2**70, "no such number"),
        ("max_model_len", "25.6K", "small letter"),
        ("max_model_len", False, "a boolean"),
        ("max_model_len", -5, "the least that makes sense is 1"),
        ("gpu_memory_utilization", 92, "a share of the GPU's memory"),
        ("gpu_memory_utilization", 0, "a share of the GPU's memory"),
        ("gpu_memory_utilization", "9e-1", "write 0.9"),
        ("gpu_memory_utilization", False, "a boolean"),
        ("enforce_eager", 2, "write true or false"),
        ("enforce_eager", "perhaps", "write true or false"),
        ("generation_config", False, "put the text in quotes"),
        ("generation_config", 0.1, "put the text in quotes"),
        ("generation_config", {"a": 1}, "takes a text"),
        ("dtype", "bf16", "Did you mean bfloat16?"),
        ("kv_cache_dtype", "fp9", "Did you mean fp8?"),
        ("max_lora_rank", 65, "it takes 1, 8, 16"),
        ("limit_mm_per_prompt", "{image: 2}", "no valid JSON"),
        ("limit_mm_per_prompt", "2", "takes a mapping"),
        ("limit_mm_per_prompt", 2, "takes a mapping"),
        ("cudagraph_capture_sizes", [], "empty list"),
        ("cudagraph_capture_sizes", [1, "x"], "whole number"),
    ],
)
def test_refused(name: t.Any, given: t.Any, says: t.Any) -> None:
    with pytest.raises(BadValueError) as refusal:
        checked(fleet.schema_of("0.32.0").arguments[name], given)
    assert says in str(refusal.value)
