# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an encoder is not started with: vLLM 0.32.0 refuses a batch that is smaller than its longest text."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.checks import model_checks
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.catalogue import Model
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.encoders import encodes

BERT = {"architectures": ["BertModel"], "max_position_embeddings": 512}
NESTED = {"architectures": ["Qwen3_5ForConditionalGeneration"], "text_config": {"max_position_embeddings": 512}}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}
LLAMA = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 512}


def told(values: dict[str, t.Any], config: dict[str, t.Any] | None = None) -> list[str]:
    model = Model("m", "host", BERT if config is None else config)
    return [doubt.text for doubt in model_checks.problems(values, {}, model, "0.32.0")]


@pytest.mark.parametrize(
    ("values", "length"),
    [
        ({"max_num_batched_tokens": 256}, 512),
        ({"max_num_batched_tokens": 256, "max_model_len": 300}, 300),
        ({"max_num_batched_tokens": 511, "enable_chunked_prefill": False}, 512),
    ],
)
def test_a_batch_that_holds_no_whole_text(values: dict[str, t.Any], length: int) -> None:
    (said,) = told(values)
    tokens = values["max_num_batched_tokens"]
    assert said == (
        f"max_num_batched_tokens is {tokens}, and m reads texts of up to {length} tokens at once (it is an encoder): "
        f"write {length} or more, a max_model_len of {tokens} or less, or leave it out."
    )


@pytest.mark.parametrize(
    ("values", "config"),
    [
        ({"max_num_batched_tokens": 512}, BERT),
        ({"max_num_batched_tokens": 256, "max_model_len": 256}, BERT),
        ({"max_num_batched_tokens": 256, "enable_chunked_prefill": True}, BERT),
        ({}, BERT),
        ({"max_num_batched_tokens": 256}, LLAMA),
        ({"max_num_batched_tokens": 256}, {"architectures": ["BertModel"]}),
    ],
)
def test_what_is_started(values: dict[str, t.Any], config: dict[str, t.Any]) -> None:
    assert told(values, config) == []


@pytest.mark.parametrize(
    "config", [None, {}, {"architectures": []}, {"architectures": "BertModel"}, {"architectures": [1]}]
)
def test_a_config_that_says_nothing(config: t.Any) -> None:
    assert not encodes(config)


@pytest.mark.parametrize(
    ("config", "overrides", "refused"),
    [
        # get_hf_text_config takes the section of the text model; what is beside it stays there (vLLM 0.27.1, a report).
        (NESTED, {"rope_scaling": YARN}, True),
        (NESTED, {"max_position_embeddings": 2048}, True),
        (NESTED, {"text_config": {"rope_parameters": YARN}}, False),
        (NESTED, {"architectures": ["Other"]}, False),
        (LLAMA, {"rope_scaling": YARN}, False),
        (LLAMA, {}, True),
    ],
)
def test_what_stretches_a_model_reaches_its_text_model(
    config: dict[str, t.Any], overrides: dict[str, t.Any], refused: bool
) -> None:
    asked = {"max_model_len": 2048, "hf_overrides": overrides}
    assert bool(told(asked, config)) == refused
    assert all("do not reach" in text for text in told(asked, config) if overrides)
    insisting = {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}
    assert model_checks.problems(asked, insisting, Model("m", "host", config), "0.32.0") == []
