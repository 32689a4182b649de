# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values for clients: what is no value of vLLM's, no phase, and no variable of its own."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import sampling

Json = dict[str, t.Any]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"response_fromat": {"type": "json_object"}},
            "response_fromat is no value that vLLM takes. Did you mean",
        ),
        ({"logit_bais": {"a": 1}}, "sampling.logit_bais is no value that vLLM takes. Did you mean logit_bias?"),
        ({"plan": {"logit_bais": {"5": 1}}}, "sampling.plan.logit_bais is no value that vLLM takes"),
        ({"temperature": {"value": 0.7}}, "sampling.temperature is {'value': 0.7}: write a number of 0 or more"),
        ({"plan": {"top_p": {"value": 0.7}}}, "sampling.plan.top_p is {'value': 0.7}: write a number above 0"),
        ({"context_limit": {}}, "sampling.context_limit is {}: write a whole number"),
        ({"stop": {"a": 1}}, "sampling.stop is {'a': 1}: write a text, or a list"),
        ({"logprobs": "x"}, "sampling.logprobs is 'x': write true or false, or a whole number"),
        ({"logprobs": {"x": 1}}, "sampling.logprobs is {'x': 1}: write true or false"),
        ({"skip_special_tokens": "x"}, "sampling.skip_special_tokens is 'x': write true or false."),
        ({"include_stop_str_in_output": 2}, "sampling.include_stop_str_in_output is 2: write true or false."),
        ({"bad_words": 5}, "sampling.bad_words is 5: write a list of texts"),
        ({"bad_words": [""]}, "sampling.bad_words is ['']: write a list of texts"),
        ({"reasoning_effort": 5}, "sampling.reasoning_effort is 5: write a text"),
        ({"thinking_token_budget": "x"}, "sampling.thinking_token_budget is 'x': write a whole number"),
        ({"model": "x"}, "sampling.model would be VLLM_CLIENT_MODEL for applications"),
        ({"Max_Model_Len": 5}, "sampling.Max_Model_Len would be VLLM_CLIENT_MAX_MODEL_LEN"),
        ({"api_key_required": True}, "VLLM_CLIENT_API_KEY_REQUIRED"),
        ({"file": {"top_p": 0.5}}, "sampling.file would be VLLM_CLIENT_FILE"),
        ({"api_key_file": "x"}, "VLLM_CLIENT_API_KEY_FILE"),
        ({"Effort": {}, "effort": {}}, "sampling.Effort and sampling.effort are one variable for applications"),
    ],
)
def test_what_is_wrong_is_told_once(given: Json, says: str) -> None:
    found = sampling.problems(given)
    assert len(found) == 1 and says in found[0], found


@pytest.mark.parametrize(
    "given",
    [
        {"logprobs": True, "top_logprobs": 5, "skip_special_tokens": False, "bad_words": [], "reasoning_effort": "low"},
        {"logprobs": 5, "thinking_token_budget": 64, "include_stop_str_in_output": True},
        {"logprobs": None, "bad_words": None, "model": None, "effort": {}, "Effort": None},
        {"response_format": {"type": "json_object"}, "logit_bias": {"5": 1}, "chat_template_kwargs": {"a": {"b": 1}}},
        {"alternatives": {"temperature": 0.9}, "effort": {"top_p": 0.6}, "alignment": {}, "reflection": {"seed": 1}},
        {"tool_call": {"model": "own", "file": "own", "max_tokens": 512}, "birthday": "own", "own": [1]},
    ],
)
def test_what_is_right_stays_right(given: Json) -> None:
    assert sampling.problems(given) == []
