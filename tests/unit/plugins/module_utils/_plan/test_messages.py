# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is blamed for what, by the name that people typed; and the ways in which a mapping may be written."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.canonical_json import kind, plain
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

PLUGINS = pathlib.Path(__file__).resolve().parents[5] / "plugins"


class _AnsibleTaggedStr(str):
    """As Ansible wraps what stands in an inventory."""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image": ""}, "vllm_server_image is empty"),
        ({"version": ""}, "vllm_server_version is empty"),
        ({"host_class": ""}, "gpu_detect_host_class is empty"),
        ({"class_limits": {"max_num_seqs": "many"}}, "vllm_server_class_limits: max_num_seqs"),
        ({"class_engine_args": 5}, "vllm_server_class_engine_args is 5"),
        ({"profiles": "x"}, "vllm_server_profiles is 'x'"),
        ({"promotion": 5}, "vllm_server_promotion is 5"),
        ({"unknown_arguments": "no"}, "vllm_server_unknown_arguments is 'no'"),
        ({"retry": "perhaps"}, "vllm_server_retry is 'perhaps'"),
        (
            {"settings": {"watch": {"failure_threshold": 0}}},
            "vllm_server_watch.failure_threshold is 0: write a whole number of 1 or more.",
        ),
        ({"settings": {"smoke": {"deadline": -1}}}, "vllm_server_smoke.deadline is -1"),
        ({"settings": {"on_failure": "x"}}, "vllm_server_on_failure is 'x'"),
    ],
)
def test_the_variable_is_named(changes: t.Any, told: str) -> None:
    two = [fleet.instance(), fleet.instance(name="other", port=8001)]
    errors = fleet.outcome(**{"instances": two, **changes}).errors
    assert [text for text in errors if text.startswith(told)], errors
    assert not [text for text in errors if text.startswith("instance ")]
    assert len([text for text in errors if told in text]) == 1


def test_an_instance_that_states_it_itself_is_named() -> None:
    given = fleet.instance(watch={"failure_threshold": 0}, on_failure="x")
    errors = fleet.outcome(instances=[given], settings={"watch": {"failure_threshold": 0}, "on_failure": "y"}).errors
    assert [text.partition(" is ")[0] for text in errors if " is " in text] == [
        "instance assistant: on_failure",
        "instance assistant: watch.failure_threshold",
    ]


def test_what_follows_from_another_mistake_is_not_told() -> None:
    errors = fleet.outcome(instances=[fleet.instance(api_key="short")]).errors
    assert len(errors) == 1 and "api_key is not usable" in errors[0]


@pytest.mark.parametrize("value", [None, True, 1, 1.5, _AnsibleTaggedStr("x"), [], ()])
def test_types_have_plain_names(value: t.Any) -> None:
    assert kind(value) in ("null", "true or false", "number", "text", "mapping", "list")
    errors = fleet.outcome(instances=[value]).errors
    assert f"instance 1: it is of type {kind(value)}, write" in errors[0] and "Tagged" not in errors[0]
    problems: list[str] = []
    plain(object(), "x", problems)
    assert problems == ["x is of type object: write a text, number, boolean, list or mapping."]


MAPPINGS: dict[str, t.Any] = {
    "engine_args": {"max_num_seqs": 4},
    "env": {"VLLM_LOGGING_LEVEL": "INFO"},
    "sampling": {"temperature": 0.5},
    "smoke": {"prompt": "Hi", "json_schema": {"type": "object"}},
    "timeouts": {"ready": 900},
    "watch": {"failure_threshold": 5},
}


def test_a_mapping_may_be_json_as_everywhere() -> None:
    """The release is the same, so nothing is restarted for it."""
    text = {key: json.dumps(value) for key, value in MAPPINGS.items()}
    one, other = (fleet.outcome(instances=[fleet.instance(**given)]) for given in (MAPPINGS, text))
    assert one.errors == other.errors == ()
    assert one.plans == other.plans
    inner = {"smoke": {"prompt": "Hi", "json_schema": '{"type": "object"}', "prompts": '[{"prompt": "x"}]'}}
    settings = fleet.plan(instances=[fleet.instance(**inner)])["settings"]
    assert settings["smoke"]["json_schema"] == {"type": "object"}
    assert settings["smoke"]["prompts"] == [{"prompt": "x"}]


@pytest.mark.parametrize("key", MAPPINGS)
def test_a_text_that_is_no_mapping(key: str) -> None:
    (error,) = fleet.outcome(instances=[fleet.instance(**{key: '{"a": 1, "a": 2}'})]).errors
    assert f"instance assistant: {key} is" in error and "the key a is there twice" in error


def test_no_text_is_a_number_that_int_does_not_take() -> None:
    """Python calls `²` a digit, and int() does not."""
    assert "²".isdigit() and not "²".isdecimal()
    found = [path.name for path in PLUGINS.rglob("*.py") if ".isdigit()" in path.read_text()]
    assert found == []
    assert fleet.outcome(instances=[fleet.instance(gpus="²", port="²")]).errors
