# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host needs becomes a call for each image and model: secrets are piped, and each only where it is needed."""

from __future__ import annotations

import json
import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.action import vllm_bundle as action
from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.test_vllm_api_keys import Wire

Json = dict[str, t.Any]
NOTHING: t.Any = None
LOGINS = {"ghcr.io": {"username": "u", "password": "hidden-word"}}
ASKED: Json = {
    "dir": "/srv/bundle",
    "images": ["ghcr.io/o/v:1", "ghcr.io/o/v:1"],
    "instances": [
        {"name": "a", "model": "org/model", "revision": "v1", "api_key": "hidden-key"},
        {"name": "b", "model": "acme/here"},
        {"name": "d", "model": "acme/there"},
        {"name": "c", "model": "/models/path"},
    ],
    "sources": {"acme/here": "/srv/models/here", "acme/there": "control_node:/srv/models/there"},
}


@pytest.fixture
def wire() -> Wire:
    return Wire()


def run(wire: Wire, monkeypatch: pytest.MonkeyPatch, said: Json | None = None, **args: t.Any) -> Json:
    task = types.SimpleNamespace(
        args=args, check_mode=False, no_log=False, async_val=0, diff=False, action=action.MODULE, environment=None
    )
    parts: Json = {"task": task, "connection": wire.connection, "play_context": types.SimpleNamespace(check_mode=False)}
    plugin = action.ActionModule(**parts, loader=NOTHING, templar=NOTHING, shared_loader_obj=NOTHING)

    def execute_module(_name: str, module_args: Json, task_vars: Json) -> Json:
        wire.calls.append(module_args)
        wire.piped.append(plugin._is_pipelining_enabled("new"))
        return said or {"changed": True, "part": {"files": []}, "msg": f"part {len(wire.calls)}"}

    monkeypatch.setattr(plugin, "_execute_module", execute_module)
    monkeypatch.setattr(plugin._display, "display", lambda *_words, **_more: None)
    result: Json = plugin.run(None, {})
    return result


def test_each_thing_is_asked_for_once_with_its_own_secret(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(wire, monkeypatch, **ASKED, registries=LOGINS, token="hf_hidden")
    image, model = wire.calls
    assert image["image"] == "ghcr.io/o/v:1" and json.loads(image["logins"]) == LOGINS and "token" not in image
    assert (model["request"]["model"], model["request"]["revision"]) == ("org/model", "v1")
    assert model["token"] == "hf_hidden" and "logins" not in model
    assert wire.piped == [True, True] and "hidden-key" not in repr(wire.calls)
    assert found["changed"] and len(found["parts"]) == 2 and "hidden" not in repr(found)
    assert found["msg"][0].startswith("acme/here is left out: it comes from /srv/models/here of the hosts")
    assert found["msg"][1].startswith("acme/there is left out: it comes from control_node:/srv/models/there (vllm_")
    assert found["msg"][2:] == ["part 1", "part 2"]


def test_without_secrets_any_connection_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(pipes=False)
    assert run(wire, monkeypatch, **ASKED)["changed"] and wire.piped == [False, False]


def test_what_fails_ends_it_and_is_named(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(wire, monkeypatch, said={"failed": True, "msg": "no room."}, **ASKED)
    assert found["failed"] and found["msg"] == "ghcr.io/o/v:1: no room." and len(wire.calls) == 1


def test_all_that_is_wrong_is_told_before_anything_is_fetched(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    instances: t.Any = [{"name": "a", "model": "a b"}]
    registries: t.Any = {"ghcr.io": {"x": "hidden"}}
    found = run(wire, monkeypatch, dir="bundle", instances=instances, registries=registries, endpoint="hub")
    assert found["failed"] and wire.calls == [] and "hidden" not in found["msg"]
    for said in ("vllm_bundle_dir is 'bundle': write an absolute path", "'a b' is no id", "vllm_server_registries"):
        assert said in found["msg"]
    assert "vllm_bundle_dir is ''" in run(wire, monkeypatch)["msg"]


def test_packages_are_calls_of_their_own(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    os = {"id": "debian", "version": "13", "codename": "trixie", "architecture": "x86_64", "name": "Debian"}
    asked = {"os": os, "driver": {}, "runtime": {"packages": ["docker.io"]}, "archive": {}}
    found = run(wire, monkeypatch, dir="/srv/bundle", packages=asked)
    assert [one["package_set"]["packages"] for one in wire.calls] == [["docker.io", "python3-apt"]]
    assert found["changed"] and len(found["parts"]) == 1
    wrong: t.Any = {**asked, "os": {**os, "id": "rocky"}}
    assert "for Debian and Ubuntu" in run(wire, monkeypatch, dir="/srv/bundle", packages=wrong)["msg"]


def test_the_manifest_is_one_call(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    run(wire, monkeypatch, said={"changed": True, "msg": "whole"}, dir="/srv/b", parts=[{"files": []}], hosts=["a"])
    assert wire.calls == [{"dir": "/srv/b", "parts": [{"files": []}], "hosts": ["a"], "signing_key": ""}]


def test_a_home_is_that_of_the_machine_that_signs(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    run(wire, monkeypatch, said={"msg": ""}, dir="/srv/b", parts=[{"files": []}], signing_key="~/.ssh/bundle")
    assert wire.calls[0]["signing_key"] == "~/.ssh/bundle"
