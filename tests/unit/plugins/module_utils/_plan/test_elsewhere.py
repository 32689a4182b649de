# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people write in a place where it does not belong, or in a way of their own: what is taken, and what is told."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.arguments import shorthand
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.checks import answering
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.catalogue import Model
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings import names
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import client_of, release_of

Json = dict[str, t.Any]


def with_args(given: Json, version: str = "0.32.0", **changes: t.Any) -> t.Any:
    return fleet.outcome(version=version, instances=[fleet.instance(engine_args=given)], **changes)


@pytest.mark.parametrize(
    ("version", "given", "arguments", "says"),
    [
        # FlexibleArgumentParser: -O3, -O=3, -O 3 are --optimization-level, and -O was compilation_config before 0.12.
        ("0.32.0", {"-O3": True}, {"optimization_level": "3"}, "-O3 is taken as optimization_level: 3"),
        ("0.32.0", {"-O": 3}, {"optimization_level": "3"}, "-O is taken as optimization_level: 3"),
        ("0.32.0", {"-O=2": None}, {"optimization_level": "2"}, "optimization_level: 2"),
        ("0.11.0", {"-O3": True}, {"compilation_config": {"level": 3}}, "taken as compilation_config"),
        ("0.11.0", {"-O": {"level": 2}}, {"compilation_config": {"level": 2}}, "taken as compilation_config"),
        # Keys with dots become documents, several of one argument one document, + splits at commas.
        ("0.32.0", {"-cc.mode": 3}, {"compilation_config": {"mode": 3}}, "compilation_config: {mode: ...}"),
        (
            "0.32.0",
            {"--compilation-config.pass_config.fuse": True, "-cc.cudagraph_capture_sizes+": "1,2"},
            {"compilation_config": {"pass_config": {"fuse": True}, "cudagraph_capture_sizes": ["1", "2"]}},
            "compilation_config: {pass_config: {fuse: ...}}",
        ),
        (
            "0.32.0",
            {"speculative_config.method": "ngram", "speculative_config": {"num_speculative_tokens": 2}},
            {"speculative_config": {"method": "ngram", "num_speculative_tokens": 2}},
            "speculative_config: {method: ...}",
        ),
        # argparse's abbreviations: of one argument only.
        ("0.11.1", {"tensor_parallel": 2}, {"tensor_parallel_size": 2}, "tensor_parallel is short for tensor_para"),
        ("0.32.0", {"--max-num-seq": 4}, {"max_num_seqs": 4}, "write max_num_seqs"),
        ("0.32.0", {"no_enable_pref": True}, {"enable_prefix_caching": False}, "short for no_enable_prefix_caching"),
    ],
)
def test_short_ways_that_the_parser_takes(version: str, given: Json, arguments: Json, says: str) -> None:
    found = with_args(given, version)
    assert found.errors == ()
    assert found.plans[0]["release"]["arguments"] == arguments
    assert any(says in text for text in found.warnings)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        # Several begin so: argparse calls it ambiguous.
        ({"data_parallel_": 2}, "has no engine argument data_parallel_."),
        ({"enable_": True}, "has no engine argument enable_."),
        # A name with a meaning of its own is no abbreviation, though device_ids begins with it.
        ({"device": "cuda"}, "device is gone since vLLM"),
        ({"env": {"A": "b"}}, "it is a key of the instance, beside engine_args"),
        ({"nothing.like.it": 1}, "has no engine argument nothing.like.it"),
        ({"-cc.mode": 3, "compilation_config": {"mode": 2}}, "compilation_config.mode is given twice"),
        ({"-cc.mode": 3, "compilation_config": '{"mode": 2}'}, "is given as a whole and by keys of it"),
        ({"temperature": 0.8}, "temperature is no engine argument: clients send it, use the instance's key sampling"),
        ({"max_tokens": 100}, "use the instance's key sampling"),
        ({"--top-p": 0.9}, "use the instance's key sampling"),
        ({"image": "x"}, "write image beside engine_args, or set vllm_server_image"),
        ({"shm_size": "16g"}, "set vllm_server_shm_size_mib"),
        ({"environment": ["A=b"]}, "use the instance's key env"),
        (
            {"volumes": ["/a:/b"]},
            "every file that an argument names by its path are mounted by themselves",
        ),
        ({"cudagraph_capture_sizes": "1,2,4"}, "is the text '1,2,4': write a list, [1, 2, 4]"),
        ({"cudagraph_capture_sizes": "[1 2]"}, "write a list, [1, 2]"),
    ],
)
def test_what_is_refused_says_where_it_belongs(given: Json, says: str) -> None:
    errors = with_args(given).errors
    assert len(errors) == 1
    assert says in errors[0]


def test_an_abbreviation_is_passed_on_where_unknown_names_are() -> None:
    found = with_args({"tensor_parallel": 2}, "0.11.1", unknown_arguments="warn")
    assert found.plans[0]["release"]["arguments"] == {"tensor_parallel": 2}
    assert shorthand.unabbreviated("tensor_parallel_size", fleet.schema_of("0.32.0")) is None


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("temperature", "Write it under sampling."),
        ("top_k", "Write it under sampling."),
        ("shm_size", "Set vllm_server_shm_size_mib."),
        ("environment", "Use the instance's key env."),
        ("max_model_len", "It is an engine argument: write it under engine_args."),
        ("tensor-parallel-size", "It is an engine argument: write it under engine_args."),
        ("host", "Write bind."),
        ("profil", "Did you mean profile?"),
    ],
)
def test_keys_of_an_instance_that_belong_elsewhere(key: str, says: str) -> None:
    errors = fleet.outcome(instances=[fleet.instance(**{key: 1})]).errors
    assert errors == (f"instance assistant: there is no key {key}. {says}",)


@pytest.mark.parametrize(
    ("name", "value", "sampling", "says"),
    [
        ("VLLM_TEMPERATURE", "0.7", {"temperature": 0.7}, "it is taken as sampling.temperature, write that instead"),
        ("VLLM_TOP_P", 0.9, {"top_p": 0.9}, "taken as sampling.top_p"),
        ("VLLM_MAX_TOKENS", "1024", {"max_tokens": 1024}, "taken as sampling.max_tokens"),
        ("FRONTEND_TOP_P", "0.4", {"top_p": 0.4}, "taken as sampling.top_p"),
        ("FRONTEND_CONTEXT_LIMIT", "4096", {"context_limit": 4096}, "taken as sampling.context_limit"),
        ("FRONTEND_TOOL_CALL_TOP_P", "0.4", {"tool_call": {"top_p": 0.4}}, "taken as sampling.tool_call.top_p"),
        ("VLLM_TEMPERATURE", "warm", {}, "write it as sampling.temperature of the instance"),
    ],
)
def test_sampling_as_variables(name: str, value: t.Any, sampling: Json, says: str) -> None:
    """The container keeps them, so that no server restarts for it; clients are told."""
    found = fleet.outcome(instances=[fleet.instance(env={name: value})])
    assert found.errors == ()
    assert client_of(found.plans[0])["sampling"] == sampling
    assert release_of(found.plans[0])["env"] == {name: str(value)}
    told = [text for text in found.warnings if name in text]
    assert len(told) == 1
    assert says in told[0]
    assert "Did you mean" not in told[0]


def test_sampling_that_is_stated_stands_above_a_variable() -> None:
    given = fleet.instance(env={"VLLM_TEMPERATURE": "0.7"}, sampling={"temperature": 0.1})
    assert fleet.plan(instances=[given])["client"]["sampling"] == {"temperature": 0.1}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("VLLM_ATTENTION_BACKEND", ": use the engine argument attention_backend."),
        ("VLLM_USE_V1", ": leave it out, there is no other engine any more."),
        ("VLLM_REASONING_PARSER", ": use the engine argument reasoning_parser."),
        ("VLLM_MODEL", ": use the instance's key model."),
        ("VLLM_LOGING_LEVEL", ". Did you mean VLLM_LOGGING_LEVEL?"),
        ("VLLM_PURPLE_ELEPHANT", "."),
    ],
)
def test_variables_that_nobody_reads(name: str, says: str) -> None:
    found = fleet.outcome(instances=[fleet.instance(env={name: "1"})])
    assert f"instance assistant: vLLM 0.32.0 does not read env.{name}{says}" in found.warnings


@pytest.mark.parametrize(
    ("version", "sampling", "says"),
    [
        # SamplingParams._verify_args; the upper bound of temperature came with 0.24.0.
        ("0.32.0", {"temperature": 2.5}, "temperature is 2.5: vLLM takes at most 2 since 0.24.0"),
        ("0.23.0", {"temperature": 2.5}, ""),
        ("0.32.0", {"reflection": {"temperature": -1}}, "sampling.reflection.temperature is -1: write a number of 0"),
        ("0.32.0", {"reflection": {"top_p": 0.5}}, ""),
        ("0.32.0", {"max_tokens": 4096}, "max_tokens is 4096, and a request has 4096 tokens in all"),
        ("0.32.0", {"max_tokens": 4095}, ""),
        ("0.32.0", {"plan": {"max_tokens": 5000}}, "sampling.plan.max_tokens is 5000"),
        ("0.32.0", {"reasoning_budget": 9000}, "sampling.reasoning_budget is 9000"),
        ("0.32.0", {"context_limit": 4097}, "context_limit is 4097, and a request has at most 4096 tokens"),
        ("0.32.0", {"context_limit": 4096}, ""),
        ("0.32.0", {"min_tokens": 20, "max_tokens": 10}, "the least is above the most"),
        # A phase leaves out what holds for all requests.
        (
            "0.32.0",
            {"min_tokens": 20, "plan": {"max_tokens": 10}},
            "sampling.plan.min_tokens is 20 and max_tokens is 10",
        ),
        ("0.32.0", {"output_reserve": 3000, "safety_margin": 128, "minimum_output": 256}, ""),
        # A profile of the role keeps 3000, and an instance may be shorter: the client takes what is left.
        ("0.32.0", {"output_reserve": 5000, "minimum_output": 4500}, ""),
        ("0.32.0", {"output_reserve": 0}, "sampling.output_reserve is 0: write a whole number of 1 or more"),
        ("0.32.0", {"output_reserve": 100, "minimum_output": 256}, "the least is above the most"),
        ("0.32.0", {"tool_call": {"top_p": 0}}, "sampling.tool_call.top_p is 0: write a number above 0 and at most 1"),
        ("0.32.0", {"effort": {"frequency_penalty": 3}}, "write a number of -2 or more and at most 2"),
        ("0.32.0", {"alternatives": {"more": {"top_p": 0.5}}}, "a phase has no phases"),
        ("0.32.0", {"temperature": float("nan")}, "sampling.temperature is nan"),
        ("0.32.0", {"repetition_penalty": float("inf")}, "sampling.repetition_penalty is inf"),
        ("0.32.0", {"temprature": 0.1}, "temprature is no value that vLLM takes. Did you mean temperature?"),
        ("0.32.0", {"reflection": {"max_token": 5}}, "sampling.reflection.max_token is no value"),
        ("0.32.0", {"mood": "calm", "reasoning_budget": 10}, ""),
        ("0.32.0", {"stop": ["###", ""]}, "write a text, or a list of them, none of them empty"),
        ("0.32.0", {"stop": "###", "stop_token_ids": [2], "ignore_eos": True, "logit_bias": {"5": -100}}, ""),
        ("0.32.0", {"stop_token_ids": ["2"]}, "write a list of token ids"),
        ("0.32.0", {"ignore_eos": "yes"}, "write true or false"),
        ("0.32.0", {"logit_bias": {"5": 101}}, "from -100 to 100"),
        ("0.32.0", {"chat_template_kwargs": {"enable_thinking": False}}, ""),
        ("0.32.0", {"chat_template_kwargs": True}, "chat_template_kwargs is True: write a mapping"),
    ],
)
def test_sampling_outside_of_what_is_served(version: str, sampling: Json, says: str) -> None:
    given = fleet.instance(sampling=sampling, engine_args={"max_model_len": 4096})
    errors = fleet.outcome(version=version, instances=[given]).errors
    assert bool(errors) == bool(says)
    assert all(says in text for text in errors)


def test_sampling_against_the_length_that_was_verified() -> None:
    before = fleet.plan()
    longer = {"instances": [fleet.instance(sampling={"max_tokens": 4096})]}
    assert fleet.outcome(**longer).errors == ()
    facts = fleet.facts_with(fleet.observed(before))
    assert "a request has 4096 tokens in all" in fleet.outcome(facts=facts, **longer).errors[0]


@pytest.mark.parametrize(
    ("sampling", "arguments", "told"),
    [
        ({"temperature": 0.7}, {}, True),
        ({"temperature": 0.7}, {"generation_config": "vllm"}, False),
        ({}, {}, False),
        ({"temperature": 0.7, "top_p": 1, "top_k": 0, "min_p": 0, "repetition_penalty": 1}, {}, False),
    ],
)
def test_the_models_own_defaults_are_said(sampling: Json, arguments: Json, told: bool) -> None:
    notes = fleet.plan(instances=[fleet.instance(sampling=sampling, engine_args=arguments)])["notes"]
    assert any("comes from the model's own generation_config.json" in text for text in notes) == told


def test_a_model_that_nobody_knows_is_planned_with_a_warning() -> None:
    found = fleet.outcome(instances=[fleet.instance(model="some/modell")])
    assert found.errors == ()
    assert any("Nobody here knows the model some/modell" in text for text in found.warnings)
    assert not any("Nobody here knows" in text for text in fleet.outcome().warnings)


@pytest.mark.parametrize(
    ("name", "architecture", "says"),
    [
        ("intfloat/multilingual-e5-large", "XLMRobertaModel", "starts it as a pooling server"),
        ("Qwen/Qwen3-Embedding-0.6B", "Qwen3ForCausalLM", "by its name (Embedding) no model that generates"),
        ("BAAI/bge-reranker-v2-m3", "XLMRobertaForSequenceClassification", "does not generate"),
        ("openai/whisper-large-v3", "WhisperForConditionalGeneration", "answers at /v1/audio"),
        ("mistralai/Voxtral-Mini-Realtime", "VoxtralRealtimeGeneration", "answers at /v1/audio"),
        ("Qwen/Qwen3-8B", "Qwen3ForCausalLM", ""),
        ("OpenGVLab/InternVL3-8B", "InternVLChatModel", ""),
        ("zai-org/chatglm3-6b", "ChatGLMModel", ""),
        ("some/model", "", ""),
    ],
)
def test_models_that_do_not_generate(name: str, architecture: str, says: str) -> None:
    config = {"architectures": [architecture]} if architecture else None
    found = answering.caution(Model(name, "host", config), {})
    assert bool(found) == bool(says)
    assert says in found
    assert answering.caution(Model(name, "host", config), {"runner": "generate"}) == ""


@pytest.mark.parametrize(
    ("argument", "value", "model", "refused"),
    [
        ("chat_template", "/etc/template.jinja", "/srv/models/tiny", True),
        ("chat_template", "/srv/models/tiny/template.jinja", "/srv/models/tiny", False),
        ("chat_template", "/srv/models/tiny2/template.jinja", "/srv/models/tiny", True),
        ("chat_template", "/vllm-workspace/examples/tool_chat_template_hermes.jinja", "/srv/models/tiny", False),
        ("chat_template", "{{ messages }}", "/srv/models/tiny", False),
        ("tool_parser_plugin", "/opt2/parser.py", "/srv/models/tiny", True),
        (
            "speculative_config",
            {"method": "eagle3", "model": "/models/draft", "num_speculative_tokens": 3},
            "/srv/models/tiny",
            True,
        ),
    ],
)
def test_files_that_the_container_does_not_see(argument: str, value: t.Any, model: str, refused: bool) -> None:
    allowed = ["tool_parser_plugin"]  # a danger of its own
    given = [fleet.instance(model=model, engine_args={argument: value}, allow_dangerous=allowed)]
    errors = fleet.outcome(instances=given).errors
    assert bool(errors) == refused
    assert all(
        "is not there in the container: it sees only /srv/models/tiny and its own files" in one for one in errors
    )
    other = fleet.outcome(instances=given, image="registry.example/mine:1")
    assert other.errors == ()
    assert any("The image may have it." in text for text in other.warnings) == refused


def test_no_weights_are_needed_where_none_are_loaded() -> None:
    text = "There are no weights in /srv/models/tiny: the download has not ended."
    seen = {"/srv/models/tiny": {"problems": [text], "without_weights": text}}
    assert "There are no weights" in fleet.outcome(models=seen).errors[0]
    dummy = [fleet.instance(engine_args={"load_format": "dummy"})]
    assert fleet.outcome(models=seen, instances=dummy).errors == ()


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("VLLM_TEMPERATURE", ["VLLM_PORT", "VLLM_TARGET_DEVICE"], None),
        ("max_tokens", ["max_model_len", "max_num_seqs"], None),
        ("max_model_length", ["max_model_len", "max_num_seqs"], "max_model_len"),
        ("max_num_sequences", ["max_model_len", "max_num_seqs"], "max_num_seqs"),
        ("fp9", ["auto", "fp8"], "fp8"),
        ("enable_prefix_cache", ["enable_prefix_caching", "enable_expert_parallel"], "enable_prefix_caching"),
    ],
)
def test_a_nearest_word_is_near(name: str, known: list[str], found: str | None) -> None:
    assert names.nearest(name, known) == found


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"tensor_paralell_size": 2}, "tensor_paralell_size"),
        ({"enable_auto_tool_choice": True, "tool_call_parsr": "hermes"}, "tool_call_parsr"),
    ],
)
def test_what_follows_from_a_mistake_is_not_told(given: Json, name: str) -> None:
    """30 GB of weights fit two such GPUs and not one, and the parser is there in all but its spelling."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": 40,
        "hidden_size": 5120,
        "num_attention_heads": 40,
        "intermediate_size": 13824,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
    }
    size = 30_000_000_000 if "paralell" in name else 10_000_000_000
    seen = {"/srv/models/tiny": {"config": config, "weights": {"bytes": size}, "problems": [], "notes": []}}
    memory = {"total": 24576, "reserved": 480, "free": 24000}
    gpus = [fleet.gpu(n, memory_mib=memory, processes=[], compute_capability="8.6") for n in range(2)]
    arguments = {"max_model_len": 1024, "max_num_seqs": 4, **given}
    found = with_args(arguments, models=seen, facts={**fleet.host_facts(), "gpus": gpus})
    assert len(found.errors) == 1
    assert f"has no engine argument {name}. Did you mean" in found.errors[0]
    without = {key: value for key, value in arguments.items() if key != name}
    assert (
        "paralell" not in name
        or "does not fit" in with_args(without, models=seen, facts={**fleet.host_facts(), "gpus": gpus}).errors[0]
    )
