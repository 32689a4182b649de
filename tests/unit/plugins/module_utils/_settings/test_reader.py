# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of every role and playbook, in every way to write it."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._settings import reader
from ansible_collections.gpufleet.vllm.tests.data import setting_cases as cases

OPTIONS = cases.every_option()
Json = dict[str, t.Any]


def read(name: str, value: t.Any) -> tuple[t.Any, list[str]]:
    errors: list[str] = []
    return reader.read({name: OPTIONS[name]}, {name: value}, errors)[name], errors


def exactly(value: t.Any) -> t.Any:
    """With types, because for Python true is 1 and 1 is 1.0."""
    if isinstance(value, dict):
        return {key: exactly(item) for key, item in value.items()}
    return [exactly(item) for item in value] if isinstance(value, list) else (type(value), value)


@pytest.mark.parametrize("name", OPTIONS)
def test_whatever_way_it_is_written(name: str) -> None:
    for one in cases.right(name, OPTIONS[name]):
        found, errors = read(name, one.value)
        assert (exactly(found), errors) == (exactly(one.means), []), one


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("blank", cases.BLANK, ids=repr)
def test_blank_is_unset(name: str, blank: str | None) -> None:
    assert read(name, blank) == (OPTIONS[name].get("default"), [])


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if option["type"] != "raw"])
def test_wrong_is_told_once_by_name_and_value(name: str) -> None:
    for value, place in cases.wrong(name, OPTIONS[name]):
        found, errors = read(name, value)
        assert len(errors) == 1, (value, found, errors)
        told = errors[0]
        known = ("vllm_server_instances", "vllm_client_endpoints", "vllm_gateway_api_keys")
        secret = name in known or OPTIONS[name].get("no_log")
        assert told.startswith(f"{place} ") and told.endswith((".", "?")) and "\n" not in told
        inner = value
        for key in place.split(".")[1:]:
            inner = inner[key]
        assert secret or "has no key" in told or f"is {reader.shown(inner)}: " in told
        assert "write" in told or "put it in quotes" in told or "has no key" in told


def test_all_that_is_wrong_is_told_at_once() -> None:
    errors: list[str] = []
    options = {name: option for name, option in OPTIONS.items() if option["type"] != "raw"}
    given = {name: cases.wrong(name, option)[0][0] for name, option in options.items()}
    found = reader.read(options, given, errors)
    assert [told.split()[0] for told in errors] == list(options)
    assert found == {name: option.get("default") for name, option in options.items()}


def test_defaults_are_nobody_elses() -> None:
    read("vllm_server_timeouts", None)[0]["pull"] = 1
    assert read("vllm_server_timeouts", None)[0]["pull"] == OPTIONS["vllm_server_timeouts"]["default"]["pull"] != 1


SAID = [
    ("nvidia_driver_manage", "maybe", "is 'maybe': write true or false."),
    ("nvidia_driver_lock_timeout", True, "is true: write a whole number."),
    ("nvidia_driver_cuda", 12.10, "is 12.1: put it in quotes, a number loses the zeros at its end."),
    (
        "container_runtime_origin",
        "distro",
        "is 'distro': write auto, distribution or docker. Did you mean distribution?",
    ),
    (
        "container_runtime_docker_repository",
        {"uri": "x"},
        "has no key uri; it has url, key, key_url and fingerprints. Did you mean url?",
    ),
    (
        "container_runtime_daemon_options",
        '{"a": 1, "a": 2}',
        """is '{"a": 1, "a": 2}': write a mapping, or one as JSON (the key a is there twice).""",
    ),
    (
        "nvidia_driver_repository_url",
        ["https://me:hu@sh@mirror/x"],
        "is ['https://***@mirror/x']: write a text, in quotes.",
    ),
]


@pytest.mark.parametrize(("name", "value", "told"), SAID)
def test_what_is_said(name: str, value: t.Any, told: str) -> None:
    assert read(name, value)[1] == [f"{name} {told}"]


@pytest.mark.parametrize("value", ["sk-hush", ["sk-hush"], '[{"api_key": "sk-hush"', {"api_key": "sk-hush"}])
def test_no_secret_is_told(value: t.Any) -> None:
    _found, (told,) = read("vllm_server_instances", value)
    assert "hush" not in told and "write" in told


def test_no_secret_is_kept() -> None:
    given = [{"name": "a", "api_key": "sk-hush", "port": "8000", "active": "off"}, {"name": "b"}]
    before = copy.deepcopy(given)
    found, errors = read("vllm_server_instances", given)
    kept = reader.without_secrets(OPTIONS, {"vllm_server_instances": found})
    assert errors == [] and given == before and found[0]["api_key"] == "sk-hush"
    assert kept == {"vllm_server_instances": [{"name": "a", "port": 8000, "active": False}, {"name": "b"}]}


# Where any key is one, as an engine argument, none is misspelt.
@pytest.mark.parametrize(
    "name", [name for name, one in OPTIONS.items() if one.get("elements") == "dict" and one.get("options")]
)
def test_a_key_that_is_none_shows_nothing(name: str) -> None:
    """It may be that of a secret, misspelt."""
    kept = reader.without_secrets(OPTIONS, {name: [{"name": "a", "api_kay": "hush", "token": ["hush"]}]})
    assert "hush" not in repr(kept)
    if not OPTIONS[name].get("no_log"):
        assert (kept[name][0]["api_kay"], kept[name][0]["token"]) == ("***", "***")


def test_a_secret_is_right_where_one_belongs() -> None:
    token = "hf_" + "a" * 34
    for no_log, wrong in ((True, 0), (False, 1)):
        options = {"token": {"type": "str", "default": "", "no_log": no_log}}
        errors: list[str] = []
        values = reader.read(options, {"token": token}, errors)
        assert (values["token"], len(errors)) == (token, wrong)
        assert token not in repr(reader.without_secrets(options, values))


def test_what_is_long_is_cut() -> None:
    _found, (told,) = read("nvidia_driver_manage", "x" * 10_000)
    assert len(told) < 200


def test_a_key_keeps_its_lines() -> None:
    key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n"
    assert read("nvidia_driver_key", key) == (key, [])


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("vllm_bundle_archive", {"url": "https://me:s3cret@mirror/debian"}, "in the folder of the bundle, and repos"),
        ("vllm_server_hub_endpoint", "https://me:s3cret@mirror", "in clear in docker inspect"),
    ],
)
def test_a_login_in_an_address_is_refused_for_where_it_would_stand(name: str, value: t.Any, said: str) -> None:
    _found, errors = read(name, value)
    assert "would stand" in errors[0] and said in errors[0] and "s3cret" not in errors[0]
