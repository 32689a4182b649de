# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a smoke test demands of an engine that cannot give it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

TOOLS = {"enable_auto_tool_choice": True, "tool_call_parser": "hermes"}


def errors(smoke: fleet.Json, engine_args: fleet.Json, **changes: t.Any) -> tuple[str, ...]:
    model = changes.pop("model", "/srv/models/tiny")
    config = changes.pop("config", None)
    models = {model: {"config": config, "problems": [], "notes": []}} if config else {}
    own = fleet.instance(smoke=smoke, engine_args=engine_args, model=model)
    return fleet.outcome(instances=[own], models=models, **changes).errors


@pytest.mark.parametrize(
    ("smoke", "engine_args", "says"),
    [
        (
            {"tool_call": True},
            {},
            (
                "smoke.tool_call is true, and vLLM 0.32.0 refuses to be asked for a tool call without "
                "enable_auto_tool_choice and tool_call_parser: set enable_auto_tool_choice: true and the model's "
                "tool_call_parser among the engine arguments, or smoke.tool_call: auto."
            ),
        ),
        ({"tool_call": True}, {"tool_call_parser": "hermes"}, "for a tool call without enable_auto_tool_choice: set"),
        (
            {"reasoning": True},
            {},
            (
                "smoke.reasoning is true, and no answer has reasoning without a reasoning_parser: set the model's "
                "among the engine arguments, or smoke.reasoning: auto."
            ),
        ),
        (
            {"stream": True},
            {"stream_interval": 64},
            (
                "smoke.stream is true, and with stream_interval 64 the engine sends 64 tokens together: write fewer "
                "than 64 there, or leave smoke.stream out."
            ),
        ),
        ({"stream": True}, {"runner": "pooling"}, "smoke.stream is stated, and a server that pools generates nothing"),
        (
            {"max_tokens": 1024},
            {"max_model_len": 1024},
            (
                "smoke.max_tokens is 1024, and max_model_len is 1024, of which the prompt takes some: write fewer than "
                "1024, or have a longer max_model_len."
            ),
        ),
        (
            {"prompts": [{"prompt": "x"}, {"prompt": "x", "max_tokens": "4096"}]},
            {"max_model_len": "2k"},
            "smoke.prompts[1].max_tokens is 4096, and max_model_len is 2000",
        ),
    ],
)
def test_refused(smoke: fleet.Json, engine_args: fleet.Json, says: str) -> None:
    (found,) = errors(smoke, engine_args)
    assert found.startswith("instance assistant: ") and says in found


@pytest.mark.parametrize(
    ("smoke", "engine_args"),
    [
        ({"tool_call": True}, TOOLS),
        ({"tool_call": True}, {"tokenizer_mode": "mistral"}),
        ({"tool_call": "auto", "reasoning": "auto"}, {}),
        ({"tool_call": False, "reasoning": False}, {}),
        ({"reasoning": True}, {"reasoning_parser": "qwen3"}),
        ({"stream": True}, {"stream_interval": 63}),
        ({"stream": True, "max_tokens": 65}, {"stream_interval": 64}),
        ({"stream": False}, {"stream_interval": 64}),
        ({"reasoning": True}, {"structured_outputs_config": {"reasoning_parser": "qwen3"}}),
        ({"max_tokens": 1023}, {"max_model_len": 1024}),
        ({"max_tokens": 100000}, {}),
        ({"max_tokens": 100000}, {"max_model_len": "auto"}),
        ({"prompts": [{"prompt": "x", "max_tokens": 1023}, {"prompt": "x"}]}, {"max_model_len": 1024}),
    ],
)
def test_taken(smoke: fleet.Json, engine_args: fleet.Json) -> None:
    assert errors(smoke, engine_args) == ()


def test_all_at_once_with_the_other_errors() -> None:
    found = errors({"tool_call": True, "reasoning": True, "max_tokens": 64}, {"max_model_len": 64, "seeed": 1})
    assert len(found) == 4


@pytest.mark.parametrize(
    ("version", "refused"), [("0.13.0", False), ("0.14.0", True), ("0.32.0", True), ("0.33.0", True)]
)
def test_tool_calls_need_a_parser_since_a_release(version: str, refused: bool) -> None:
    assert bool(errors({"tool_call": True}, {}, version=version)) is refused


@pytest.mark.parametrize(
    ("model", "config", "reasoning", "tool_call"),
    [
        ("openai/gpt-oss-20b", None, False, False),
        ("/srv/models/a", {"model_type": "gpt_oss"}, False, False),
        ("mistralai/Magistral-Small-2509", None, True, False),
        ("/srv/models/a", {"model_type": "mixtral"}, True, False),
        ("Qwen/Qwen3-8B", None, True, True),
    ],
)
def test_what_vllm_parses_by_itself_is_not_refused(
    model: str, config: fleet.Json | None, reasoning: bool, tool_call: bool
) -> None:
    for demand, refused in (("reasoning", reasoning), ("tool_call", tool_call)):
        found = errors({demand: True}, {}, model=model, config=config)
        assert any(f"smoke.{demand} is true" in error for error in found) is refused


@pytest.mark.parametrize(
    ("asked", "engine_args", "refused"),
    [(4096, {}, True), (4095, {}, False), (4096, {"hf_overrides": {"rope_theta": 1}}, False)],
)
def test_a_length_that_nobody_states_is_the_models_own(asked: int, engine_args: fleet.Json, refused: bool) -> None:
    config = {"model_type": "qwen2", "max_position_embeddings": 4096}
    found = errors({"max_tokens": asked}, engine_args, config=config)
    says = "smoke.max_tokens is 4096, and /srv/models/tiny was made for 4096, of which the prompt takes some"
    assert any(says in error for error in found) is refused


def test_a_rung_on_which_the_smoke_test_cannot_pass_is_left_out() -> None:
    steps = [{"helps": ["oom"], "engine_args": {"max_model_len": 512}}]
    own = fleet.instance(
        smoke={"max_tokens": 600}, engine_args={"max_model_len": 1024}, on_failure="fallback", fallback=steps
    )
    plan = fleet.plan(instances=[own], settings={"fallback_shorter": True})
    assert plan["fallbacks"] == []
    assert any("smoke.max_tokens is 600, and max_model_len is 512" in note for note in plan["notes"])


def test_a_server_that_pools_generates_nothing() -> None:
    engine_args = {"runner": "pooling"}
    assert fleet.outcome(instances=[fleet.instance(engine_args=engine_args)]).errors == ()
    smoke = {"json_schema": {"type": "object"}, "tool_call": True, "prompt": "Hi", "pattern": "praise"}
    errors = fleet.outcome(instances=[fleet.instance(engine_args=engine_args, smoke=smoke)]).errors
    assert len(errors) == 2
    assert all("a server that pools generates nothing: leave it out" in text for text in errors)


@pytest.mark.parametrize("engine_args", [{"convert": "embed"}, {"runner": "pooling", "convert": "embed"}])
def test_an_embedding_matches_no_pattern(engine_args: fleet.Json) -> None:
    (error,) = errors({"pattern": "4"}, engine_args)
    assert "smoke.pattern is stated, and a server that pools generates nothing: leave it out." in error


BERT = {"architectures": ["BertModel"], "model_type": "bert"}
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
RANK = {"query": "q", "documents": ["a", "b"]}


def test_a_model_that_pools_by_its_files_pools_without_a_word() -> None:
    (error,) = errors({"stream": True, "dimension": 128, "rank": RANK}, {}, config=BERT)
    assert "smoke.stream is stated, and a server that pools generates nothing: leave it out." in error
    assert errors({"dimension": 128}, {}, config=BERT) == ()


def test_numbers_are_demanded_of_servers_that_pool() -> None:
    (error,) = errors({"dimension": 128, "rank": RANK}, {}, config=LLAMA)
    assert "smoke.dimension and smoke.rank are stated, and /srv/models/tiny generates" in error
    assert "state the engine argument runner: pooling, or leave this out." in error
    assert errors({"dimension": 128}, {"runner": "pooling"}, config=LLAMA) == ()


@pytest.mark.parametrize(
    "rank",
    [
        "Paris", {}, {"query": "q"}, {"query": "", "documents": ["a", "b"]}, {"query": "q", "documents": ["a"]},
        {"query": "q", "documents": ["a", 1]}, {"query": "q", "documents": ["a"] * 17}, {**RANK, "top_n": 1}, [1],
    ],
)  # fmt: skip
def test_a_rank_is_a_query_and_documents(rank: t.Any) -> None:
    if rank == {}:  # states nothing
        assert errors({"rank": rank}, {"runner": "pooling"}) == ()
        return
    (error,) = errors({"rank": rank}, {"runner": "pooling"})
    assert "write a mapping of query, a text, and documents, 2 to 16 texts, the best first." in error


def test_a_rank_from_the_command_line_is_json() -> None:
    text = '{"query": "q", "documents": ["a", "b"]}'
    own = fleet.instance(smoke={"rank": text, "dimension": "8"}, engine_args={"runner": "pooling"})
    outcome = fleet.outcome(instances=[own])
    assert outcome.errors == ()
    smoke = outcome.plans[0]["settings"]["smoke"]
    assert (smoke["rank"], smoke["dimension"]) == (RANK, 8)
