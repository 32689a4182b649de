# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the store, in every way that people write it, and what is said of what is wrong."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._store.desk import Request
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import fetch_requests

DEFAULTS: dict[str, t.Any] = {
    "models": [], "instances": [], "sources": {}, "allow_dangerous": [], "allow_code": [], "allow_pickles": [],
    "hub_dir": "/srv/hub", "token": "",
    "endpoint": "https://huggingface.co", "verify": "quick", "files_at_once": 4, "bandwidth": 0,
}  # fmt: skip
INSTANCE = {"name": "a", "model": "org/m"}


def read(**asked: t.Any) -> tuple[list[Request], list[str]]:
    errors: list[str] = []
    return fetch_requests.read({**DEFAULTS, **asked}, errors), errors


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"modle": "org/m"}, "model_store_models[0] has no key modle; it has model, revision, code, pickles and gguf."),
        ({"revision": "main"}, "model_store_models[0] has no model: write its id in the hub, as ORGANISATION/NAME."),
        ({"model": "org/m", "code": "perhaps"}, "model_store_models[0].code is 'perhaps': write true or false."),
        ({"model": ["org/m"]}, "model_store_models[0].model is ['org/m']: write"),
        ({"model": "a b"}, "model_store_models[0]: the model 'a b' is no id of a hub"),
        ({"model": "org/m", "gguf": "../x.gguf"}, "model_store_models[0]: gguf is '../x.gguf': write the name of one"),
        ("org/m", "model_store_models is ['org/m']: its entry 1 is of type text, write a mapping with model."),
    ],
)
def test_an_entry_of_models_is_refused_with_its_place(entry: t.Any, told: str) -> None:
    (said,) = read(models=[entry])[1]
    assert said.startswith(told)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"files_at_once": 17}, "model_store_files_at_once is 17: write a number from 1 to 16."),
        ({"bandwidth": 0.05}, "model_store_bandwidth is 0.05: write MB a second, from 0.1 to"),
        ({"bandwidth": -1}, "model_store_bandwidth is -1: "),
        ({"hub_dir": "hub"}, "vllm_server_hub_dir is 'hub': write an absolute path"),
        ({"endpoint": "ftp://x"}, "The endpoint of the hub (vllm_server_hub_endpoint) is no http or https address"),
        ({"token": "a b"}, "vllm_server_hub_token has characters that no token has"),
        ({"allow_code": [1]}, "vllm_server_allow_trust_remote_code is [1]: write a list of models"),
    ],
)
def test_what_is_wrong_is_told_by_the_variable_that_people_write(asked: dict[str, t.Any], told: str) -> None:
    (said,) = read(**asked)[1]
    assert said.startswith(told)


@pytest.mark.parametrize(
    ("allowed", "code"),
    [
        (["org/m"], True), (["org/x"], False), ("org/x, org/m", True), ('["org/m"]', True), ([], False),
        (True, True), ("true", True), ("yes", True), (False, False), ("false", False), ("no", False), ("", False),
    ],
)  # fmt: skip
def test_own_code_comes_by_every_way_to_write_who_may_run_it(allowed: t.Any, code: bool) -> None:
    (request,), errors = read(instances=[INSTANCE], allow_code=allowed)
    assert (request["code"], errors) == (code, [])


@pytest.mark.parametrize("allowed", [["trust_remote_code"], "trust_remote_code", "x, trust_remote_code"])
def test_own_code_comes_where_the_instance_itself_allows_it(allowed: t.Any) -> None:
    (request,), _errors = read(instances=[{**INSTANCE, "allow_dangerous": allowed}])
    assert request["code"] is True


@pytest.mark.parametrize("allowed", [["trust_remote_code"], "trust_remote_code", "x, trust_remote_code"])
def test_own_code_comes_for_all_instances_where_the_host_allows_it(allowed: t.Any) -> None:
    drafted = {"name": "b", "model": "org/n", "engine_args": {"speculative_config": {"model": "org/d"}}}
    requests, errors = read(instances=[INSTANCE, drafted], models=[{"model": "org/l"}], allow_dangerous=allowed)
    assert errors == []
    assert {one["model"]: one["code"] for one in requests} == {
        "org/m": True, "org/n": True, "org/d": True, "org/l": False,
    }  # fmt: skip
    assert not any(one["code"] for one in read(instances=[INSTANCE, drafted], allow_dangerous=["enable_sleep_mode"])[0])


def test_a_model_that_is_listed_too_comes_once_and_as_it_is_listed() -> None:
    listed = [{"model": "org/m", "gguf": "a.gguf"}, {"model": "org/m", "gguf": "b.gguf", "pickles": "yes"}]
    requests, errors = read(models=listed, instances=[INSTANCE, {**INSTANCE, "revision": "v2"}])
    assert errors == []
    assert [(one["revision"], one["gguf"], one["pickles"]) for one in requests] == [
        ("", "a.gguf", True), ("", "b.gguf", True), ("v2", "", False),
    ]  # fmt: skip


def test_an_endpoint_may_end_in_a_slash() -> None:
    assert (
        read(endpoint="https://hub.example/ ", models=[{"model": "org/m"}])[0][0]["endpoint"] == "https://hub.example"
    )


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ({"org/m": "ftp://x/y"}, "vllm_server_model_sources['org/m'] is 'ftp://x/y': write an address"),
        ({"org/m": "models/m"}, "vllm_server_model_sources['org/m'] is 'models/m': write an address"),
        ({"org/m": "/srv/../etc"}, "vllm_server_model_sources['org/m'] is '/srv/../etc': write an address"),
        ({"org/m": "control_node:m"}, "vllm_server_model_sources['org/m'] is 'control_node:m': write an address"),
        ({"org/m": "control_node:/srv/../etc"}, "vllm_server_model_sources['org/m'] is 'control_node:/srv/../etc': "),
        ({"org/m": "control_node:/"}, "vllm_server_model_sources['org/m'] is 'control_node:/': write an address"),
        ({"org/m": "/"}, "vllm_server_model_sources['org/m'] is '/': write an address"),
        ({"org/m": ["/srv/m"]}, "vllm_server_model_sources['org/m'] is no text, or an empty one: write"),
        ({"org/m": ""}, "vllm_server_model_sources['org/m'] is no text, or an empty one: write"),
        ({"m": "/srv/m"}, "vllm_server_model_sources['m']: write the name that instances have in `model`"),
        (["/srv/m"], "vllm_server_model_sources is ['/srv/m']: write a mapping"),
    ],
)
def test_a_source_that_is_none_is_refused(sources: t.Any, told: str) -> None:
    (said,) = read(sources=sources)[1]
    assert said.startswith(told)


@pytest.mark.parametrize("source", ["https://me:pw123@x/m", "https://x/m?sig=pw123", "https://x/m#pw123"])
def test_a_source_with_a_secret_in_it_is_refused_and_not_repeated(source: str) -> None:
    (said,) = read(sources={"org/m": source})[1]
    assert "has a query, a fragment or credentials in it" in said and "pw123" not in said


def test_models_come_from_their_source_and_others_from_the_hub() -> None:
    sources = {
        "org/m": "https://files.example/m/", "org/x": "/srv/models/x/", "org/z": "control_node:/srv/models/z/",
    }  # fmt: skip
    listed = [{"model": f"org/{name}"} for name in "xyz"]
    requests, errors = read(sources=sources, instances=[INSTANCE], models=listed)
    assert errors == []
    assert {one["model"]: one.get("source") for one in requests} == {
        "org/m": "https://files.example/m", "org/x": "/srv/models/x", "org/y": None,
        "org/z": "control_node:/srv/models/z",
    }  # fmt: skip


def test_a_source_has_no_branches() -> None:
    sources = {"org/m": "/srv/m"}
    (said,) = read(sources=sources, instances=[{**INSTANCE, "revision": "v2"}])[1]
    assert said.startswith(
        "the instance a: org/m comes from /srv/m, which has no revision 'v2': leave the revision out"
    )
    for revision in ("main", "c" * 40):
        assert read(sources=sources, instances=[{**INSTANCE, "revision": revision}])[1] == []


def test_other_hosts_are_asked_for_what_lies_on_neither() -> None:
    listed = [{"model": f"org/{name}"} for name in "xyz"]
    sources = {"org/x": "/srv/models/x", "org/z": "https://files.example/z"}
    given: t.Any = {"models": listed, "sources": sources, "peers": [" 192.0.2.9:8790", "[2001:db8::1]:1", "gpu-1:8790"]}
    requests, errors = read(**given)
    assert errors == []
    assert [one.get("peers") for one in requests] == [
        None, ["192.0.2.9:8790", "[2001:db8::1]:1", "gpu-1:8790"], ["192.0.2.9:8790", "[2001:db8::1]:1", "gpu-1:8790"],
    ]  # fmt: skip
    assert all("peers" not in one for one in read(**given, bundle="/srv/bundle")[0])
