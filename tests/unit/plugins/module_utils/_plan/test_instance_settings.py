# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of an instance and the switches of the planner, in every way that people write them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import (
    inputs,
    instances,
    rollout_settings,
    rollout_values,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings import reader
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings
from ansible_collections.gpufleet.vllm.tests.data import setting_cases as cases

Json = dict[str, t.Any]
SERVER = role_settings.options_of("vllm_server")
KEYS: Json = SERVER["vllm_server_instances"]["options"]
TYPED = [key for key, option in KEYS.items() if option["type"] in ("bool", "int")]
NEEDED = {"name": "a", "model": "org/m", "port": 8000}
ROLLOUT = {"timeouts": "vllm_server_timeouts", "smoke": "vllm_server_smoke", "watch": "vllm_server_watch"}
NESTED = [
    (what, key, option)
    for what, variable in ROLLOUT.items()
    for key, option in SERVER[variable]["options"].items()
    if option["type"] in ("bool", "int", "float", "str")
]


def read(**changed: t.Any) -> tuple[instances.Instance | None, list[str]]:
    errors: list[str] = []
    return instances.read({**NEEDED, **changed}, 1, {}, errors), errors


def test_the_specification_has_every_key() -> None:
    assert set(KEYS) == set(instances.KEYS)


@pytest.mark.parametrize("what", ROLLOUT)
def test_the_specification_has_every_key_of_a_rollout(what: str) -> None:
    known = {
        "timeouts": rollout_values.TIMEOUT_KEYS,
        "smoke": rollout_settings.SMOKE_KEYS,
        "watch": rollout_values.WATCH_KEYS,
    }
    assert set(SERVER[ROLLOUT[what]]["options"]) == set(known[what])


@pytest.mark.parametrize("key", TYPED)
def test_texts_are_what_they_say(key: str) -> None:
    for one in cases.right(key, KEYS[key]):
        if key != "port" or one.means:
            assert read(**{key: one.value}) == read(**{key: one.means}), one
            assert read(**{key: one.value})[1] == []


@pytest.mark.parametrize("key", [key for key in KEYS if key not in NEEDED and key != "api_key"])
@pytest.mark.parametrize("blank", cases.BLANK, ids=repr)
def test_blank_is_unset(key: str, blank: str | None) -> None:
    assert read(**{key: blank}) == read()


@pytest.mark.parametrize("key", NEEDED)
@pytest.mark.parametrize("blank", cases.BLANK, ids=repr)
def test_blank_is_missing(key: str, blank: str | None) -> None:
    assert any(f"{key} is empty: every instance needs one." in error for error in read(**{key: blank})[1])


@pytest.mark.parametrize("key", TYPED)
def test_wrong_is_told_once(key: str) -> None:
    for value, _place in cases.wrong(key, KEYS[key]):
        _found, errors = read(**{key: value})
        assert len(errors) == 1 and errors[0].startswith(f"instance a: {key} is {value!r}: write"), (value, errors)


@pytest.mark.parametrize(("what", "key", "option"), NESTED, ids=[f"{what}.{key}" for what, key, _option in NESTED])
def test_an_instances_own_are_read_as_those_of_the_host(what: str, key: str, option: Json) -> None:
    """By the reader of the planner, which knows bounds too; with the same answer for every way to write a value."""

    def merged(value: t.Any, *, host: bool) -> tuple[Json, list[str]]:
        errors: list[str] = []
        variable, given = ROLLOUT[what], {key: value}
        if host:
            given = reader.read({variable: SERVER[variable]}, {variable: given}, errors)[variable]
        one, _errors = read(**({} if host else {what: given}))
        assert one is not None
        found: t.Any = rollout_settings.merged(one, {what: given} if host else {}, errors)
        return found[what], errors

    for written in cases.right(f"{what}.{key}", option):
        (own, wrong), (hosts, _wrong) = (merged(written.value, host=host) for host in (False, True))
        assert own == hosts == ({} if wrong else {key: own[key]}), written
    for blank in cases.BLANK:
        assert merged(blank, host=False) == ({}, []) == merged(blank, host=True)
    for value, _place in cases.wrong(key, option):
        _found, (told,) = merged(value, host=False)
        assert told.startswith(f"instance a: {what}.{key} is {value!r}: ")


@pytest.mark.parametrize("value", ["", " ", None])
def test_a_switch_that_is_blank_is_off(value: t.Any) -> None:
    errors: list[str] = []
    assert (inputs.switch(value, "retry", errors), errors) == (False, [])
