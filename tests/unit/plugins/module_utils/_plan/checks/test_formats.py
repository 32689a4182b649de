# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Formats that left vLLM: what each release does with them, and what to take instead."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

FILE, HUB = "/srv/models/x.Q4_K_M.gguf", "org/Model-GGUF"


def planned(version: str, model: str, arguments: t.Any = None, **changes: t.Any) -> planner.Outcome:
    own = fleet.instance(model=model, engine_args=arguments or {})
    return fleet.outcome(version=version, instances=[own], **changes)


@pytest.mark.parametrize(
    ("version", "model", "arguments", "says"),
    [
        ("0.24.0", FILE, {}, "is gguf, which vLLM 0.24.0 reads with vllm-gguf-plugin only"),
        ("0.23.0", HUB, {}, "is GGUF, of which vLLM reads one file, not a folder or a repository"),
        ("0.32.0", HUB, {}, "take the AWQ, GPTQ or FP8 build of the same model"),
        ("0.32.0", "org/model", {"load_format": "gguf"}, "is gguf, which vLLM 0.32.0 reads"),
        (
            "0.28.0",
            "org/model",
            {"load_format": "bitsandbytes"},
            "is bitsandbytes, which vLLM 0.28.0 reads with vllm-bnb",
        ),
        (
            "0.14.0",
            "/srv/m/x-00001-of-00002.gguf",
            {},
            "is one part of several, and vLLM reads a GGUF of one file only",
        ),
    ],
)
def test_refused(version: str, model: str, arguments: t.Any, says: str) -> None:
    found = planned(version, model, arguments)
    assert any(says in text for text in found.errors), found.errors
    assert all(text.startswith("instance assistant: ") for text in found.errors)
    for changes in ({"settings": {"quantization_check": "warn"}}, {"unknown_arguments": "warn"}):
        let = planned(version, model, arguments, **changes)
        assert not any(says in text for text in let.errors)
        assert any(says in text for text in let.warnings)


@pytest.mark.parametrize(
    ("version", "model", "arguments"),
    [
        ("0.23.0", FILE, {"tokenizer": "org/base"}),
        ("0.32.0", "org/gguf", {}),
        ("0.27.0", "org/model", {"load_format": "bitsandbytes"}),
        ("0.32.0", "org/gguf-like", {}),
        ("0.32.0", "org/model", {"load_format": "safetensors"}),
    ],
)
def test_taken(version: str, model: str, arguments: t.Any) -> None:
    assert planned(version, model, arguments).errors == ()


def test_what_gguf_costs_where_it_is_read() -> None:
    warned = " ".join(planned("0.23.0", FILE).warnings)
    assert "what it takes of the GPU is not known" in warned and "No tokenizer is stated" in warned
    assert "No tokenizer" not in " ".join(planned("0.23.0", FILE, {"tokenizer": "org/base"}).warnings)
    assert "GGUF" not in " ".join(planned("0.23.0", "org/model").warnings)


def test_a_name_is_no_proof_where_safetensors_are_known() -> None:
    seen = {"config": {"architectures": ["X"]}, "weights": {"bytes": 5}, "problems": [], "notes": []}
    assert not any("gguf" in text.lower() for text in planned("0.32.0", HUB, models={HUB: seen}).errors)


def test_a_quantization_that_is_gone_is_told_once() -> None:
    errors = planned("0.32.0", HUB, {"quantization": "gguf"}).errors
    told = [*errors, *planned("0.32.0", HUB, {"quantization": "gguf"}).warnings]
    assert sum("vllm-gguf-plugin" in text for text in told) == 1
