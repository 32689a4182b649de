# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers, origins, old spellings, and what a release does not take."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import release_of

PROFILE = {"p": {"description": "x", "engine_args": {"max_num_seqs": 8, "dtype": "half"}}}


def arguments(**changes: t.Any) -> dict[str, tuple[t.Any, str]]:
    return {a["name"]: (a["value"], a["origin"]) for a in fleet.plan(**changes)["arguments"]}


def with_args(engine_args: t.Any, **changes: t.Any) -> t.Any:
    return fleet.outcome(instances=[fleet.instance(engine_args=engine_args)], **changes)


def test_each_layer_is_above_the_one_before() -> None:
    layers = {
        "class_engine_args": {"max_num_seqs": 1},
        "profiles": {name: {"engine_args": {"max_num_seqs": n}} for name, n in (("p", 2), ("q", 5))},
        "environment_engine_args": {"max_num_seqs": 3},
    }
    plain, profiled = fleet.instance(), fleet.instance(profile="p")
    stated = fleet.instance(profile="p", engine_args={"max_num_seqs": 4})
    alone = {"class_engine_args": layers["class_engine_args"]}
    below = {**alone, "profiles": layers["profiles"]}
    assert arguments(**alone, instances=[plain])["max_num_seqs"] == (1, "class gpu_test")
    assert arguments(**below, instances=[profiled])["max_num_seqs"] == (2, "profile p")
    assert arguments(**layers, instances=[profiled])["max_num_seqs"] == (3, "environment")
    assert arguments(**layers, instances=[stated])["max_num_seqs"] == (4, "instance")
    assert arguments(**layers, instances=[stated], target={"profile": "q"})["max_num_seqs"] == (5, "target")


def test_null_unsets_and_says_that_vllms_default_holds() -> None:
    found = fleet.plan(
        class_engine_args={"gpu_memory_utilization": 0.8},
        instances=[fleet.instance(engine_args={"gpu_memory_utilization": None, "max_num_seqs": None})],
    )
    assert found["arguments"] == [{"name": "gpu_memory_utilization", "value": 0.92, "origin": "vllm default"}]
    assert found["release"]["arguments"] == {}
    assert "--gpu-memory-utilization" not in found["release"]["command"]


def test_target_profile_replaces_the_instances_own() -> None:
    profiles = {**PROFILE, "q": {"engine_args": {"max_num_seqs": 2}, "sampling": {"top_p": 0.5}}}
    own = fleet.instance(profile="p", sampling={"top_p": 0.9, "temperature": 0.1})
    found = fleet.plan(profiles=profiles, instances=[own], target={"profile": "q", "instance": "", "version": ""})
    assert found["release"]["arguments"] == {"max_num_seqs": 2}
    assert found["client"]["sampling"] == {"temperature": 0.1, "top_p": 0.5}


def test_target_of_another_instance_leaves_this_one_alone() -> None:
    found = fleet.outcome(
        profiles=PROFILE, instances=[fleet.instance(profile="p")], target={"profile": "p", "instance": "asistant"}
    )
    assert found.plans[0]["arguments"][1]["origin"] == "profile p"
    assert "Did you mean assistant?" in found.warnings[0]


def test_target_version_takes_the_place_of_the_stated_one() -> None:
    image = "vllm/vllm-openai:v0.11.0"
    assert fleet.plan(target={"version": "0.11.0"}, image=image)["release"]["command"][0] == "--model"
    assert (
        "is of vLLM 0.32.0 by its tag and the version is 0.11.0"
        in fleet.outcome(target={"version": "0.11.0"}).errors[0]
    )


def test_empty_target_is_unset() -> None:
    target = {"profile": "", "instance": "", "version": ""}
    assert fleet.plan(target=target)["digest"] == fleet.plan()["digest"]


@pytest.mark.parametrize(
    "spelling", ["max_model_len", "max-model-len", "--max-model-len", "--max_model_len", "VLLM_MAX_MODEL_LEN"]
)
def test_spellings_of_one_argument(spelling: t.Any) -> None:
    assert with_args({spelling: 4096}).plans[0]["release"]["arguments"] == {"max_model_len": 4096}


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"-tp": 2}, "tensor_parallel_size", 2),
        ({"tp": 2}, "tensor_parallel_size", 2),
        ({"-q": "awq"}, "quantization", "awq"),
        ({"device-memory-utilization": 0.5}, "gpu_memory_utilization", 0.5),
        ({"no_enable_prefix_caching": True}, "enable_prefix_caching", False),
        ({"--no-enable-prefix-caching": True}, "enable_prefix_caching", False),
        ({"--disable-prefix-caching": True}, "enable_prefix_caching", False),
        ({"disable_chunked_prefill": False}, "enable_chunked_prefill", True),
        ({"enable_log_stats": False}, "disable_log_stats", True),
    ],
)
def test_second_names(given: t.Any, name: t.Any, value: t.Any) -> None:
    assert with_args(given).plans[0]["release"]["arguments"] == {name: value}


@pytest.mark.parametrize(
    ("version", "given", "rendered", "says"),
    [
        ("0.32.0", {"disable_log_requests": True}, {}, "left out: requests are not logged by default"),
        ("0.32.0", {"disable_log_requests": False}, {"enable_log_requests": True}, "write that instead"),
        ("0.16.0", {"disable_log_requests": True}, {"disable_log_requests": True}, "deprecated"),
        ("0.32.0", {"reasoning_parser": "deepseek-r1"}, {"reasoning_parser": "deepseek_r1"}, "write deepseek_r1"),
        ("0.32.0", {"reasoning_parser": "GptOss"}, {"reasoning_parser": "openai_gptoss"}, "write openai_gptoss"),
        ("0.32.0", {"kv_cache_memory": "1G"}, {"kv_cache_memory_bytes": 2**30}, "taken as kv_cache_memory_bytes"),
        (
            "0.32.0",
            {"guided_decoding_backend": "xgrammar"},
            {"structured_outputs_config": {"backend": "xgrammar"}},
            "taken as structured_outputs_config.backend",
        ),
        (
            "0.32.0",
            {"--speculative-model": "DRAFT", "--num-speculative-tokens": 5},
            {"speculative_config": {"model": "DRAFT", "num_speculative_tokens": 5}},
            "gone since vLLM 0.8.3",
        ),
        (
            "0.32.0",
            {"speculative_model": "[ngram]", "num_speculative_tokens": 2, "ngram_prompt_lookup_max": 4},
            {"speculative_config": {"method": "ngram", "num_speculative_tokens": 2, "prompt_lookup_max": 4}},
            "speculative_config",
        ),
        ("0.10.0", {"enable_reasoning": True, "reasoning_parser": "qwen3"}, {"reasoning_parser": "qwen3"}, "left out"),
    ],
)
def test_old_spellings_are_translated_with_a_warning(
    version: t.Any, given: t.Any, rendered: t.Any, says: t.Any
) -> None:
    found = with_args(given, version=version, settings={"allow_dangerous": ["enable_log_requests"]})
    assert found.errors == ()
    assert found.plans[0]["release"]["arguments"] == rendered
    assert any(says in warning for warning in found.warnings)
    assert all(warning.startswith("instance assistant") for warning in found.warnings)


@pytest.mark.parametrize(
    ("version", "given", "says"),
    [
        ("0.32.0", {"max_num_sequs": 4}, "no engine argument max_num_sequs. Did you mean max_num_seqs?"),
        ("0.32.0", {"speculativ_config": {}}, "Did you mean speculative_config?"),
        ("0.32.0", {"swap_space": 4}, "gone since vLLM 0.18.0: leave it out (the V1 engine never swaps)"),
        ("0.32.0", {"num_lookahead_slots": 4}, "gone since vLLM 0.12.0: leave it out"),
        ("0.10.0", {"kv_cache_memory_bytes": 4}, "comes with vLLM 0.10.2"),
        ("0.32.0", {"reasoning_parser": "qwen"}, "has no reasoning_parser 'qwen'. Did you mean qwen3?"),
        ("0.32.0", {"tool_call_parser": "hermess"}, "Did you mean hermes?"),
        ("0.32.0", {"quantization": "awqq"}, "Did you mean awq?"),
        ("0.32.0", {"quantization": "q5_K_M"}, "GGUF"),
        ("0.32.0", {"quantization": "gguf"}, "vllm-gguf-plugin"),
        ("0.32.0", {"dtype": "bf16"}, "Did you mean bfloat16?"),
        ("0.32.0", {"max_num_seqs": "08"}, "instance assistant: max_num_seqs is '08'"),
        (
            "0.32.0",
            {"max_model_len": 4, "--max-model-len": 8},
            "given twice, as 'max_model_len' and as '--max-model-len'",
        ),
        ("0.32.0", {"max_model_len": 4, "VLLM_MAX_MODEL_LEN": 8}, "given twice, once as VLLM_MAX_MODEL_LEN"),
        ("0.32.0", {"tp": 1, "tensor_parallel_size": 1}, "given twice"),
        ("0.32.0", {"speculative_model": "x", "speculative_config": {"model": "y"}}, "keep speculative_config"),
        ("0.32.0", {"kv_cache_memory": 1, "kv_cache_memory_bytes": 2}, "keep kv_cache_memory_bytes"),
        ("0.32.0", {"host": "0.0.0.0"}, "use the instance's key bind"),
        ("0.32.0", {"--port": 8001}, "use the instance's key port"),
        ("0.32.0", {"api_key": "s3cret"}, "use the instance's key api_key"),
        ("0.32.0", {"hf_token": "s3cret"}, "download the model to the host first"),
        ("0.32.0", {"model": "m"}, "use the instance's key model"),
        ("0.32.0", {"served-model-name": "m"}, "use the instance's key served_model_name"),
        ("0.32.0", {"config": "/x.yaml"}, "every value has an origin"),
        ("0.32.0", {"revision": "main"}, "use the instance's key revision"),
        ("0.32.0", {"enable_auto_tool_choice": True}, "needs tool_call_parser"),
        ("0.32.0", {"max_num_batched_tokens": 4, "max_num_seqs": 8}, "is below max_num_seqs (8)"),
        (
            "0.32.0",
            {"enable_chunked_prefill": False, "max_num_batched_tokens": 1024, "max_model_len": 2048},
            "a full prompt fits into no batch",
        ),
        ("0.13.0", {"max_model_len": "auto"}, "comes with vLLM 0.14.0"),
        ("0.32.0", {"max_cudagraph_capture_size": 8, "cudagraph_capture_sizes": [4]}, "is not the largest"),
        (
            "0.32.0",
            {"logits_processors": ["a.b:C"], "speculative_config": {"method": "ngram", "num_speculative_tokens": 2}},
            "logits_processors and speculative_config exclude each other",
        ),
        ("0.32.0", {"num_redundant_experts": 16}, "set enable_eplb, or leave it out"),
        ("0.32.0", {"eplb_config": {"num_redundant_experts": 16}}, "set enable_eplb, or leave it out"),
        ("0.32.0", {"mamba_backend": "CUDA"}, "vLLM has triton and flashinfer"),
        ("0.32.0", {"seed": dt.date(2026, 1, 2)}, "read by YAML as the date 2026-01-02"),
    ],
)
def test_refused(version: t.Any, given: t.Any, says: t.Any) -> None:
    found = with_args(given, version=version)
    assert found.plans == ()
    assert any(says in error for error in found.errors), found.errors
    assert "s3cret" not in " ".join(found.errors)


@pytest.mark.parametrize(
    ("version", "given"),
    [
        # What nobody has read of a release is not refused there.
        (
            "0.11.0",
            {"logits_processors": ["a.b:C"], "speculative_config": {"method": "ngram", "num_speculative_tokens": 2}},
        ),
        ("0.32.0", {"mamba_backend": "cpu"}),
        ("0.32.0", {"max_cudagraph_capture_size": 8, "cudagraph_capture_sizes": [4, 8]}),
    ],
)
def test_not_refused(version: str, given: t.Any) -> None:
    assert not [one for one in with_args(given, version=version).errors if "exclude" in one or "mamba_backend" in one]


@pytest.mark.parametrize(
    ("parser", "plugin"), [("reasoning_parser", "reasoning_parser_plugin"), ("tool_call_parser", "tool_parser_plugin")]
)
def test_a_parser_that_a_plugin_brings_is_in_no_list(parser: str, plugin: str) -> None:
    said = [
        f"has no {parser} 'of_mine'" in " ".join(with_args(given).errors)
        for given in ({parser: "of_mine"}, {parser: "of_mine", plugin: "/plugins/mine.py"})
    ]
    assert said == [True, False]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"brand_new_flag": True}, ["--brand-new-flag"]),
        ({"brand_new_flag": 3}, ["--brand-new-flag", "3"]),
        ({"reasoning_parser": "brand_new"}, ["--reasoning-parser", "brand_new"]),
        ({"kv_cache_dtype": "fp3"}, ["--kv-cache-dtype", "fp3"]),
    ],
)
def test_unknown_names_are_passed_on_where_that_is_asked_for(given: t.Any, words: t.Any) -> None:
    assert with_args(given).errors
    found = with_args(given, unknown_arguments="warn")
    assert found.errors == ()
    assert len(found.warnings) == 1
    assert found.plans[0]["release"]["command"][-len(words) :] == words


def test_wrong_types_are_refused_even_then() -> None:
    assert with_args({"max_num_seqs": "many"}, unknown_arguments="warn").errors


def test_fault_of_a_class_is_told_once_for_all_instances() -> None:
    two = [fleet.instance(), fleet.instance(name="other", port=8001)]
    found = fleet.outcome(instances=two, class_engine_args={"max_num_sequs": 1})
    told = "class gpu_test: vLLM 0.32.0 has no engine argument max_num_sequs. Did you mean max_num_seqs?"
    assert found.errors == (f"{told} vllm_server_unknown_arguments: warn passes it on as it is.",)


def test_unset_argument_need_not_be_known() -> None:
    assert with_args({"swap_space": None}, class_engine_args={"swap_space": 4}).errors == ()


@pytest.mark.parametrize(("value", "refused"), [(8192, False), (8193, True)])
def test_limits_of_the_class(value: t.Any, refused: t.Any) -> None:
    found = with_args({"max_model_len": value}, class_limits={"--max-model-len": 8192})
    assert bool(found.errors) is refused
    if refused:
        assert "max_model_len is 8193 (instance), and class gpu_test allows at most 8192" in found.errors[0]


@pytest.mark.parametrize(
    ("allowed", "config", "kept", "refused"),
    [
        (None, {}, False, False),
        (["other/model"], {}, False, False),
        (["/srv/models/tiny"], {}, True, False),
        (True, {}, True, False),
        ("true", {}, True, False),
        ("false", {}, False, False),
        ("false", {"auto_map": {"AutoModel": "x.Y"}}, False, True),
        (None, {"auto_map": {"AutoModel": "x.Y"}}, False, True),
        (["/srv/models/tiny"], {"auto_map": {"AutoModel": "x.Y"}}, True, False),
    ],
)
def test_code_of_the_models_own(allowed: t.Any, config: t.Any, kept: t.Any, refused: t.Any) -> None:
    models = {"/srv/models/tiny": {"config": config, "problems": [], "notes": []}}
    found = with_args({"trust_remote_code": True}, models=models, settings={"allow_trust_remote_code": allowed})
    assert bool(found.errors) is refused
    if not refused:
        assert ("trust_remote_code" in found.plans[0]["release"]["arguments"]) is kept
        assert any("trust_remote_code is left out" in text for text in found.warnings) is not kept


def test_profiles_of_the_collection_are_valid_for_every_release_that_has_their_arguments() -> None:
    for name, profile in fleet.PROFILES.items():
        found = fleet.outcome(
            facts={**fleet.host_facts(4)}, profiles=fleet.PROFILES, instances=[fleet.instance(profile=name)]
        )
        assert found.errors == (), name
        assert found.warnings == (), name
        assert release_of(found.plans[0])["arguments"] == profile["engine_args"], name
        assert profile["description"].endswith((".", "}.")), name


@pytest.mark.parametrize(
    ("target", "promote", "warned"),
    [
        ({"instance": "assistant"}, False, True),
        ({"instance": "assistant", "version": "0.32.0"}, False, False),
        ({"instance": "assistant"}, True, False),
        ({"instance": "assistant", "profile": "p"}, False, False),
        ({"instance": ""}, False, False),
    ],
)
def test_a_target_instance_alone_limits_image_and_version_only(target: t.Any, promote: bool, warned: bool) -> None:
    errors: list[str] = []
    read = inputs.read(fleet.task(profiles=PROFILE, target=target), fleet.HISTORY, fleet.READINGS, errors)
    told = planner.plan_host(dataclasses.replace(read, promote=promote), errors).warnings
    assert any("all else is planned for every one." in text for text in told) is warned
