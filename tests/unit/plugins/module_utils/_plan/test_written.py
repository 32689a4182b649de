# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that were passed on as they are, and that no release could take as they were meant."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import images
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

PIN = "0f" * 32


def errors(arguments: fleet.Json, **changes: t.Any) -> tuple[str, ...]:
    return fleet.outcome(instances=[fleet.instance(engine_args=arguments, **changes)]).errors


def planned(arguments: fleet.Json) -> t.Any:
    return fleet.plan(instances=[fleet.instance(engine_args=arguments)])["release"]["arguments"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"chat_template": "chat.jinja"}, "chat_template is 'chat.jinja', and no container has a file of that name"),
        ({"chat_template": "Inventory:chat.jinja"}, "write inventory:chat.jinja, in small letters."),
        ({"tokenizer": "INVENTORY:tok"}, "tokenizer is 'INVENTORY:tok': write inventory:tok, in small letters."),
        ({"log_config_file": "log.json"}, "log_config_file is 'log.json', and no container has a file of that name"),
        ({"chat_template": ""}, "chat_template is empty: give a value, or null to unset it."),
        ({"chat_template": "  "}, "chat_template is empty: give a value, or null to unset it."),
        ({"tokenizer": ""}, "tokenizer is empty: give a value, or null to unset it."),
        ({"ignore_patterns": [""]}, "ignore_patterns is empty: give a value, or null to unset it."),
        ({"tokenizer_revision": "main branch"}, "tokenizer_revision is 'main branch': write a branch, a tag or a"),
        (
            {"speculative_config": {"method": "ngram", "revision": "a b"}},
            "speculative_config has revision, which is 'a b'",
        ),
        ({"max_lora_rank": 17}, "256, 320 and 512. Did you mean 32?"),
        ({"max_lora_rank": 1000}, "256, 320 and 512. Did you mean 512?"),
        ({"max_model_len": "9" * 5000}, "max_model_len is a number of 5000 digits: no such number can be meant."),
        ({"gpu_memory_utilization": "9" * 400 + ".5"}, "gpu_memory_utilization is a number of 402 digits"),
        ({"max_model_len": 10**400}, "engine_args.max_model_len is a number of about 400 digits"),
        ({"max_model_len": "9" * 400 + "k"}, "max_model_len is '9999"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: fleet.Json, says: str) -> None:
    found = errors(arguments)
    assert len([text for text in found if says in text]) == 1, found
    assert all(len(text) < 700 for text in found)


@pytest.mark.parametrize(
    "template",
    ["{{ messages[0].content }}", "a\nb", "examples/tool_chat_template_hermes.jinja", "template_chatml.jinja"],
)
def test_a_template_itself_a_path_in_the_image_and_one_of_vllms_own_are_taken(template: str) -> None:
    assert planned({"chat_template": template})["chat_template"] == template


def test_a_text_that_is_empty_by_default_may_be_empty() -> None:
    assert planned({"worker_extension_cls": ""})["worker_extension_cls"] == ""


@pytest.mark.parametrize(
    ("modules", "says"),
    [
        (
            ["/srv/adapter"],
            "lora_modules has '/srv/adapter': write NAME=PATH, with the name that clients ask for, such as ",
        ),
        ("/srv/adapter", "write NAME=PATH"),
        ([{"sql": "/srv/sql"}], 'lora_modules has {"sql": "/srv/sql"}: write sql=/srv/sql.'),
        (['{"sql": "/srv/sql"}'], 'lora_modules has {"sql": "/srv/sql"}: write sql=/srv/sql.'),
        ([{"name": "sql"}], "or a mapping with name and path."),
        (["=/srv/sql"], "lora_modules has '=/srv/sql': write NAME=PATH"),
        (["sql="], "lora_modules has 'sql=': write NAME=PATH"),
        (["sql=/srv/a,b=/srv/b"], "one adapter for each entry, and no comma in its path"),
        (["sql=/srv/a", {"name": "sql", "path": "/srv/b"}], "lora_modules has the name sql 2 times"),
        (["assistant=/srv/a"], "lora_modules names an adapter assistant, and the model itself is served as assistant"),
    ],
)
def test_an_adapter_that_nobody_could_ask_for(modules: t.Any, says: str) -> None:
    found = errors({"enable_lora": True, "lora_modules": modules})
    assert len([text for text in found if says in text]) == 1, found


def test_adapters_that_are_written_rightly_are_not_told() -> None:
    modules = ["sql=org/adapter", {"name": "b", "path": "org/b"}, '{"name": "c", "path": "org/c"}']
    assert errors({"enable_lora": True, "lora_modules": modules}) == ()


@pytest.mark.parametrize(
    "image",
    [
        "vllm/vllm-openai", "localhost:5000/a/b:v1", "registry.example/odd@sha256:" + PIN, "vllm", "sha256:" + PIN,
        "[::1]:5000/x/y__z:v0.32.0-cu129@sha256:" + PIN, "ghcr.io/a-b/c.d_e:1",
    ],
)  # fmt: skip
def test_names_that_docker_takes(image: str) -> None:
    assert images.problem(image) == ""


def test_the_hosts_own_image_is_read_like_that_of_an_instance() -> None:
    found = fleet.outcome(image="https://registry.example/x:1").errors
    assert "vllm_server_image is 'https://registry.example/x:1': write the name of an image without https://." in found


def test_keys_of_a_profile_that_belong_into_it_elsewhere() -> None:
    found = fleet.outcome(profiles={"p": {"max_num_seqs": 3, "temperature": 1, "engine_arg": {}}}).errors
    assert found == (
        "profile p: there is no key max_num_seqs. It is an engine argument: write it under engine_args.",
        "profile p: there is no key temperature. Write it under sampling.",
        "profile p: there is no key engine_arg. Did you mean engine_args?",
    )


def test_a_profile_of_a_promotion_that_is_none_is_told_once() -> None:
    profiles: fleet.Json = {"safe_fallback": {"engine_args": {}}}
    found = fleet.outcome(instances=[fleet.instance(promotion=["safe_fallbak"])], profiles=profiles).errors
    assert found == (
        "instance assistant: promotion names safe_fallbak, and there is no such profile. Did you mean safe_fallback?",
    )
    (error,) = fleet.outcome(instances=[fleet.instance(promotion=["q"])], profiles=profiles).errors
    assert error.endswith("there is no such profile. There are safe_fallback.")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("methd", "method"),
        ("num_speculative_token", "num_speculative_tokens"),
        ("prompt-lookup-max", "prompt_lookup_max"),
    ],
)
def test_a_misspelt_key_of_speculative_config(written: str, meant: str) -> None:
    config = {"method": "ngram", "num_speculative_tokens": 3, written: "x"}
    (error,) = errors({"speculative_config": config})
    assert f"speculative_config has no key {written} in vLLM 0.32.0. Did you mean {meant}?" in error
    assert errors({"speculative_config": {"method": "ngram", "num_speculative_tokens": 3, "ours": 1}}) == ()
    older = fleet.outcome(version="0.31.0", instances=[fleet.instance(engine_args={"speculative_config": config})])
    assert not [text for text in older.errors if "has no key" in text]
    # What nobody has read may have more keys.
    newer = fleet.outcome(version="0.99.0", instances=[fleet.instance(engine_args={"speculative_config": config})])
    assert not [text for text in newer.errors if "has no key" in text]


@pytest.mark.parametrize(
    ("arguments", "brought"), [({"lora_modules": ["sql=/nope"]}, False), ({"chat_template": "/nope"}, True)]
)
def test_only_a_single_file_is_told_to_be_brought(arguments: fleet.Json, brought: bool) -> None:
    found = [text for text in errors({"enable_lora": True, **arguments}) if "not there on the host" in text]
    assert len(found) == 1
    assert ("write inventory:NAME" in found[0]) is brought
    assert ("Put the folder there on the host, or build an image that has it." in found[0]) is not brought


def test_of_an_adapter_that_is_named_twice_a_warning_is_told_once() -> None:
    modules = ["sql=/nope/sql", "sql=/nope/sql"]
    arguments = {"enable_lora": True, "lora_modules": modules}
    own_image = fleet.instance(engine_args=arguments, image="own/vllm:1", value_check="warn")
    found = fleet.outcome(instances=[own_image])
    (planned,) = found.plans
    warnings = [text for text in planned["warnings"] if "The image may have it." in text]
    assert len(warnings) == 1
