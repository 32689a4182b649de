# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application is told: what its server's host has verified, and what is stated above it."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._client import document, endpoints
from ansible_collections.gpufleet.vllm.plugins.module_utils._client.document import Endpoint
from ansible_collections.gpufleet.vllm.plugins.module_utils._client.endpoints import Served
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import sampling
from ansible_collections.gpufleet.vllm.roles.vllm_client.files.gpufleet_client import settings as client_settings

KEY = "not-a-real-key-0123456789"
DEFAULTS = {"retries": [2, 4, 8, 16], "max_in_flight": 8, "timeout": 600}
VERIFIED: dict[str, t.Any] = {
    "schema": 1,
    "instance": "assistant",
    "base_url": "http://192.0.2.1:8000/v1",
    "served_model_names": ["assistant", "core"],
    "max_model_len": 12288,
    "api_key_required": False,
    "sampling": {"temperature": 0.7, "output_reserve": 3000, "effort": {"temperature": 0.3, "top_p": 0.6}},
}
ONE = {"name": "assistant", "host": "gpu1"}
DOOR = {"name": "a", "base_url": "http://door.example.com:8080/v1", "served_model_name": "m"}


def read(*given: t.Any, verified: t.Any = None, host: str = "app1") -> tuple[list[Endpoint], list[str]]:
    errors: list[str] = []
    found = {"assistant": endpoints.served(json.dumps({**VERIFIED, **(verified or {})}))}
    return endpoints.read(list(given), found, host, DEFAULTS, errors), errors


def test_it_is_what_the_host_has_verified() -> None:
    (one,), errors = read(ONE)
    assert errors == []
    told = {key: one.document[key] for key in VERIFIED if key != "instance"}  # type: ignore[literal-required]
    assert told == {key: value for key, value in VERIFIED.items() if key != "instance"}
    assert one.document["retries"] == [2, 4, 8, 16]
    assert one.document["max_in_flight"] == 8


def test_what_is_stated_stands_above_it_phase_by_phase() -> None:
    own = {"sampling": {"temperature": 0.1, "output_reserve": None, "effort": {"top_p": 0.9}, "mine": {"top_k": 5}}}
    (one,), errors = read({**ONE, **own, "retries": "1, 2", "timeout": 30, "max_model_len": 4096})
    assert errors == []
    assert one.document["sampling"] == {
        "temperature": 0.1,
        "effort": {"temperature": 0.3, "top_p": 0.9},
        "mine": {"top_k": 5},
    }
    assert (one.document["retries"], one.document["timeout"], one.document["max_model_len"]) == ([1.0, 2.0], 30, 4096)


@pytest.mark.parametrize(
    ("changes", "verified", "says"),
    [
        ({"host": ""}, {}, "endpoint assistant: write host, the host of the inventory"),
        ({"nam": "x"}, {}, "there is no key nam"),
        ({"name": "../x"}, {}, "the name '../x' is not usable"),
        ({}, {"max_model_len": "long"}, "its client.json is not what a rollout of this collection writes"),
        ({}, {"schema": 2}, "gpu1 does not say what assistant serves"),
        ({}, {"base_url": "http://127.0.0.1:8000/v1"}, "listens on the loopback, where no other host reaches it"),
        ({}, {"base_url": "http://[::1]:8000/v1"}, "listens on the loopback"),
        ({}, {"api_key_required": True}, "gpu1 asks for an API key: state api_key"),
        ({"api_key": "short"}, {}, "api_key is not usable (it is not shown)"),
        ({"api_key": ""}, {}, "api_key is not usable (it is not shown)"),
        ({"base_url": "door:8080"}, {}, "base_url is not usable"),
        ({"base_url": "http://door:8080"}, {}, "with /v1 once at its end"),
        ({"base_url": "http://a:b@door/v1"}, {}, "no password, ? or # in it"),
        ({"base_url": "http://do\ror:8080/v1"}, {}, "base_url is not usable"),
        ({"base_url": "http://door:8080/v1?"}, {}, "base_url is not usable"),
        ({"base_url": "http://door:8080/v1#"}, {}, "base_url is not usable"),
        ({"base_url": "http://door:8080/x?a=/v1"}, {}, "base_url is not usable"),
        ({"base_url": "http://door:8080/v1/v1/"}, {}, "base_url is not usable"),
        ({"base_url": ["http://door:8080/v1"]}, {}, "base_url is not usable"),
        ({"host": ["gpu1"]}, {}, "endpoint assistant: host is of type list: write one name"),
        ({"instance": ["a"]}, {}, "instance is of type list: write one name"),
        ({"instance": "../../x"}, {}, "instance is '../../x': write small letters"),
        ({"served_model_name": []}, {}, "served_model_name is an empty list: write a text"),
        ({"served_model_name": [" "]}, {}, "served_model_name is [' ']: write a text"),
        (
            {"sampling": {"birthday": dt.date(2026, 1, 2)}},
            {},
            "sampling.birthday is read by YAML as the date",
        ),
        ({"sampling": {"plan": {"seed": float("inf")}}}, {}, "sampling.plan.seed is inf"),
        ({"max_model_len": dt.date(2026, 1, 2)}, {}, "max_model_len is read by YAML as the date 2026-01-02"),
        ({"base_url": "http://door:99999/v1"}, {}, "base_url is not usable"),
        ({"served_model_name": "other"}, {}, "served_model_name is 'other', and gpu1 serves assistant and core"),
        ({"max_model_len": 16384}, {}, "max_model_len is 16384, and gpu1 has verified 12288"),
        ({"max_model_len": "x"}, {}, "max_model_len is of type text: write"),
        ({"max_model_len": "1.5"}, {}, "max_model_len is '1.5': write"),
        ({"retries": [-1]}, {}, "retries is [-1]: write the seconds"),
        ({"retries": [1] * 21}, {}, "at most 20 of them"),
        ({"retries": "soon"}, {}, "retries is of type text: write the seconds"),
        ({"retries": ["nan"]}, {}, "retries is [of type text]: write"),
        ({"max_in_flight": 0}, {}, "max_in_flight is 0: write a whole number from 1"),
        ({"timeout": "soon"}, {}, "timeout is of type text: write"),
        ({"timeout": True}, {}, "timeout is true: write"),
        ({"sampling": {"temperature": 3}}, {}, "sampling.temperature is 3: vLLM takes at most 2"),
        (
            {"sampling": {"plan": {"top_p": 1.5}}},
            {},
            "sampling.plan.top_p is 1.5: write a number above 0 and at most 1",
        ),
        ({"sampling": {"max_tokens": 20000}}, {}, "a request has 12288 tokens in all"),
        ({"sampling": {"safety_margin": 12288}}, {}, "safety_margin is 12288, and a request has 12288 tokens"),
        ({"sampling": {"file": "x"}}, {}, "sampling.file would be VLLM_CLIENT_FILE"),
        ({"sampling": {"temprature": 0.1}}, {}, "Did you mean temperature?"),
    ],
)
def test_what_is_wrong_is_told(changes: dict[str, t.Any], verified: dict[str, t.Any], says: str) -> None:
    _ends, errors = read({**ONE, **changes}, verified=verified)
    assert len([text for text in errors if says in text]) == 1, errors


def test_all_of_it_at_once_and_never_a_key() -> None:
    _ends, errors = read({**ONE, "api_key": "secret key", "timeout": 0}, f"{KEY}", ONE)
    assert len(errors) == 4
    assert KEY not in " ".join(errors) and "secret key" not in " ".join(errors)
    assert "there are two of this name" in errors[-1]


@pytest.mark.parametrize("key", ["retries", "max_in_flight", "timeout", "max_model_len", "api_kay", "token"])
@pytest.mark.parametrize("value", [KEY, [KEY], {"a": KEY}])
def test_a_key_on_the_wrong_line_is_not_told(key: str, value: t.Any) -> None:
    _ends, errors = read({**ONE, key: value})
    assert len(errors) == 1 and key in errors[0] and KEY not in errors[0]


def test_one_without_a_name_is_told_once() -> None:
    assert read({"host": "gpu1"})[1] == [
        "endpoint 1: the name '' is not usable: write small letters, digits and hyphens, no hyphen first."
    ]


def test_a_document_can_always_be_written() -> None:
    ends, errors = read({**ONE, "api_key": dt.date(2026, 1, 2), "token": dt.date(2026, 1, 2), "sampling": {5: 1}})
    assert len(errors) == 3 and "2026" not in str(errors)
    assert document.texts(ends, "/x", ["file"])


def test_the_servers_own_host_may_use_the_loopback() -> None:
    assert read(ONE, verified={"base_url": "http://127.0.0.1:8000/v1"}, host="gpu1")[1] == []


def test_an_address_needs_no_host() -> None:
    (one,), errors = read(DOOR)
    assert errors == []
    assert (one.document["served_model_names"], one.document["max_model_len"]) == (["m"], None)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"a":' * 99, "9" * 400])
def test_a_document_that_is_none(text: str) -> None:
    assert endpoints.served(text).why


@pytest.mark.parametrize(
    ("places", "secret"),
    [
        (["file"], {"a.key"}),
        (["env"], {"a.env"}),
        (["json"], {"a.json"}),
        (["file", "env", "json"], {"a.key", "a.env", "a.json"}),
    ],
)
def test_a_key_stands_where_it_was_asked_for_and_nowhere_else(places: list[str], secret: set[str]) -> None:
    (one,), errors = read({**DOOR, "api_key": [KEY, KEY + "2"]})
    found = document.texts([one], "/etc/gpufleet/clients", places)
    assert errors == []
    assert set(found.secret) == secret
    assert KEY not in str(found.plain) and all(KEY in text for text in found.secret.values())
    assert KEY + "2" not in str(found)
    assert "OPENAI_API_KEY=unused" not in found.plain.get("a.env", "")
    if "file" in places:
        assert "VLLM_CLIENT_API_KEY_FILE=/etc/gpufleet/clients/a.key\n" in {**found.plain, **found.secret}["a.env"]


def test_variables_and_json_are_what_the_client_reads(tmp_path: t.Any) -> None:
    (one,), _errors = read(ONE)
    found = document.texts([one], str(tmp_path), ["file"])
    assert set(found.plain) == {"assistant.json", "assistant.env"} and not found.secret
    for line in (
        "OPENAI_BASE_URL=http://192.0.2.1:8000/v1",
        "VLLM_CLIENT_MODEL=assistant",
        "VLLM_CLIENT_MAX_MODEL_LEN=12288",
        "VLLM_CLIENT_OUTPUT_RESERVE=3000",
        f"VLLM_CLIENT_FILE={tmp_path}/assistant.json",
        "OPENAI_API_KEY=unused",
    ):
        assert f"{line}\n" in found.plain["assistant.env"]
    read_back = client_settings.parse(json.loads(found.plain["assistant.json"]))
    assert (read_back.model, read_back.max_model_len, read_back.waits) == ("assistant", 12288, (2, 4, 8, 16))
    assert read_back.phase("effort").output_reserve == 3000


def test_the_planner_and_the_client_have_the_same_names() -> None:
    assert client_settings.OPENAI | client_settings.VLLM == sampling.SENT
    assert client_settings.BUDGET == sampling.BUDGET
    assert client_settings.MAPPINGS == sampling.MAPPINGS
    assert client_settings.NO_KEY == document.NO_KEY
    assert client_settings.SCHEMA == endpoints.SCHEMA


def test_nobody_was_asked() -> None:
    errors: list[str] = []
    endpoints.read([ONE], {"assistant": Served({}, "it is out of reach")}, "app1", DEFAULTS, errors)
    assert "gpu1 does not say what assistant serves: it is out of reach" in errors[0]
