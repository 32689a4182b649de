# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, argument by argument, for both styles of entry point."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.arguments import render
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.arguments.layers import Resolved
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

OURS = ["--served-model-name", "a", "b", "--host", "0.0.0.0", "--port", "8000"]


def test_model_is_positional_from_0_11_1() -> None:
    assert render.command(fleet.schema_of("0.11.1"), "org/m", None, ["a", "b"], []) == ["org/m", *OURS]


def test_model_is_an_option_up_to_0_11_0() -> None:
    assert render.command(fleet.schema_of("0.11.0"), "org/m", None, ["a", "b"], []) == ["--model", "org/m", *OURS]


def test_order_is_canonical_and_unset_arguments_are_left_out() -> None:
    arguments = [
        Resolved("max_num_seqs", 4, "instance"),
        Resolved("dtype", "auto", "vllm default", set=False),
        Resolved("enforce_eager", True, "instance"),
    ]
    words = render.command(fleet.schema_of("0.32.0"), "m", "abc", ["a", "b"], arguments)
    assert words == ["m", *OURS, "--revision", "abc", "--enforce-eager", "--max-num-seqs", "4"]


@pytest.mark.parametrize(
    ("version", "name", "value", "words"),
    [
        ("0.32.0", "max_num_seqs", 4, ["--max-num-seqs", "4"]),
        ("0.32.0", "max_model_len", 32768, ["--max-model-len", "32768"]),
        ("0.32.0", "max_model_len", "auto", ["--max-model-len", "auto"]),
        ("0.32.0", "max_logprobs", -1, ["--max-logprobs", "-1"]),
        ("0.32.0", "gpu_memory_utilization", 0.92, ["--gpu-memory-utilization", "0.92"]),
        ("0.32.0", "enforce_eager", True, ["--enforce-eager"]),
        ("0.32.0", "enforce_eager", False, ["--no-enforce-eager"]),
        ("0.8.5", "enforce_eager", True, ["--enforce-eager"]),
        ("0.8.5", "enforce_eager", False, []),
        ("0.32.0", "disable_log_stats", False, []),
        ("0.32.0", "enable_prefix_caching", False, ["--no-enable-prefix-caching"]),
        ("0.32.0", "limit_mm_per_prompt", {"video": 1, "image": 2}, ["--limit-mm-per-prompt", '{"image":2,"video":1}']),
        ("0.32.0", "allowed_origins", ["*"], ["--allowed-origins", '["*"]']),
        ("0.32.0", "hf_overrides", {"a": [1]}, ["--hf-overrides", '{"a":[1]}']),
        ("0.32.0", "cudagraph_capture_sizes", [1, 2], ["--cudagraph-capture-sizes", "1", "2"]),
        ("0.32.0", "middleware", ["x", "y"], ["--middleware", "x", "--middleware", "y"]),
        ("0.32.0", "lora_modules", [{"name": "a", "path": "/p"}], ["--lora-modules", '{"name":"a","path":"/p"}']),
        ("0.32.0", "chat_template", "-x-", ["--chat-template=-x-"]),
        ("0.32.0", "not_known", True, ["--not-known"]),
        ("0.32.0", "not_known", False, ["--no-not-known"]),
        ("0.32.0", "not_known", 3, ["--not-known", "3"]),
        ("0.32.0", "not_known", [1, "b"], ["--not-known", "1", "b"]),
        ("0.32.0", "not_known", {"b": True}, ["--not-known", '{"b":true}']),
    ],
)
def test_option(version: t.Any, name: t.Any, value: t.Any, words: t.Any) -> None:
    assert render.option(name, value, fleet.schema_of(version).arguments.get(name)) == words
