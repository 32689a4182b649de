# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that an application reads: a known shape, or one sentence that says what is wrong."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.roles.vllm_client.files.gpufleet_client import SettingsError
from ansible_collections.gpufleet.vllm.roles.vllm_client.files.gpufleet_client import settings as client_settings

RIGHT: dict[str, t.Any] = {"schema": 1, "instance": "a", "base_url": "http://h/v1/", "served_model_names": ["m"]}


def test_the_file_of_a_host_is_enough(tmp_path: pathlib.Path) -> None:
    """What a rollout writes on the host of the server itself, /etc/gpufleet/NAME/client.json."""
    path = tmp_path / "client.json"
    own = {"max_model_len": 4096, "api_key_required": False, "sampling": {"n": 1, "effort": {"top_p": 0.6}}}
    path.write_text(json.dumps({**RIGHT, **own}))
    found = client_settings.read(path)
    assert (found.name, found.base_url, found.model, found.max_model_len) == ("a", "http://h/v1", "m", 4096)
    assert (found.waits, found.max_in_flight, found.api_key) == ((2, 4, 8, 16), 8, "unused")
    assert found.phase("effort").parameters == {"n": 1, "top_p": 0.6}


def test_a_mapping_that_is_a_value_is_no_phase() -> None:
    template = {"chat_template_kwargs": {"enable_thinking": False}, "logit_bias": {"5": -1}}
    found = client_settings.parse({**RIGHT, "sampling": {**template, "plan": {"own_word": 3}}})
    assert set(found.phases) == {"plan"}
    assert found.phase().extra == {"chat_template_kwargs": {"enable_thinking": False}}
    assert found.phase().parameters == {"logit_bias": {"5": -1}}
    assert found.phase("plan").own == {"own_word": 3}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 2}, "its schema is 2, and this client reads 1"),
        ({"schema": None}, "its schema is missing"),
        ({"instance": ""}, "name is ''"),
        ({"base_url": 5}, "base_url is 5: write a text"),
        ({"served_model_names": []}, "served_model_names is \\[\\]"),
        ({"served_model_names": [1]}, "served_model_names is 1"),
        ({"max_model_len": "4096"}, "max_model_len is '4096': write a whole number of 1"),
        ({"max_model_len": True}, "max_model_len is True"),
        ({"sampling": [1]}, "sampling is \\[1\\]: write a mapping"),
        ({"sampling": {"max_tokens": 0}}, "a: sampling.max_tokens is 0"),
        ({"sampling": {"plan": {"output_reserve": "x"}}}, "sampling.plan.output_reserve is 'x'"),
        ({"sampling": {"minimum_output": 0}}, "sampling.minimum_output is 0"),
        ({"retries": 4}, "retries is 4: write a list of seconds"),
        ({"retries": [-1]}, "retries is -1: write seconds"),
        ({"retries": [float("inf")]}, "retries is inf"),
        ({"max_in_flight": 0}, "max_in_flight is 0"),
        ({"timeout": "long"}, "timeout is 'long'"),
        ({"api_key_file": "/nowhere/key"}, "/nowhere/key cannot be read"),
        ({"api_key": "two words of-secret"}, "its API key is none that can be sent \\(it is not shown\\)"),
    ],
)
def test_what_is_wrong_is_told(changes: dict[str, t.Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says) as error:
        client_settings.parse({**RIGHT, **changes})
    assert "secret" not in str(error.value)


def test_a_file_that_is_not_there_is_not_called_wrong_json(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SettingsError) as error:
        client_settings.read(tmp_path / "nope.json")
    assert str(error.value) == f"{tmp_path}/nope.json cannot be read (No such file or directory)."


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"{", "is no JSON"),
        (b"[" * 100000, "is no JSON"),
        (b"\xff", "x.json is no text in UTF-8: write"),
        (b"[]", "this is no mapping"),
        (b" " * (1024 * 1024 + 1), "has more than 1048576 characters"),
    ],
)
def test_a_file_that_is_none(tmp_path: pathlib.Path, raw: bytes, says: str) -> None:
    (tmp_path / "x.json").write_bytes(raw)
    with pytest.raises(SettingsError, match=says):
        client_settings.read(tmp_path / "x.json")
