# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action: what it reads of which host, what goes to the host of the door, and how."""

from __future__ import annotations

import types
import typing as t

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.gpufleet.vllm.plugins.action import vllm_gateway as action
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.places import Places
from ansible_collections.gpufleet.vllm.plugins.modules import vllm_gateway as module

Json = dict[str, t.Any]
NOTHING: t.Any = None
CLIENT, ENGINE = "sk-client-0123456789", "sk-engine-0123456789"
INSTANCE = {"name": "a", "model": "org/m", "port": 8000, "api_key": ENGINE}
DOOR = {"vllm_gateway_api_keys": [{"name": "web", "key": CLIENT}], "vllm_server_instances": [INSTANCE]}
ELSEWHERE = {
    "vllm_server_instances": [{**INSTANCE, "bind": "0.0.0.0"}],
    "ansible_host": "10.0.0.2",
}


class Hostvars(dict[str, Json]):
    """Variables of all hosts, as the inventory has them."""

    def raw_get(self, name: str) -> Json:
        return self[name]


class Wire:
    """The host of the door as the action sees it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pipes: bool = True) -> None:
        self.connection = types.SimpleNamespace(
            _shell=types.SimpleNamespace(tmpdir=None),
            has_pipelining=pipes,
            become=None,
            is_pipelining_enabled=lambda _wrap_async: False,
        )
        self.calls: list[Json] = []
        self.monkeypatch = monkeypatch

    def run(self, own: Json, others: Json) -> Json:
        task = types.SimpleNamespace(
            args={"hosts": ["gpu-1", *others]}, check_mode=False, no_log=False, async_val=0, diff=False,
            action=action.MODULE, environment=None,
        )  # fmt: skip
        templar: t.Any = types.SimpleNamespace(template=lambda value: value, copy_with_new_env=lambda **_given: templar)
        parts: Json = {
            "task": task,
            "connection": self.connection,
            "play_context": types.SimpleNamespace(check_mode=False),
            "templar": templar,
        }
        plugin = action.ActionModule(**parts, loader=NOTHING, shared_loader_obj=NOTHING)

        def execute_module(_name: str, module_args: Json, task_vars: Json) -> Json:
            assert plugin._is_pipelining_enabled("new")
            self.calls.append(module_args)
            return {"changed": True, "action": "live"}

        self.monkeypatch.setattr(plugin, "_execute_module", execute_module)
        result: Json = plugin.run(None, {"inventory_hostname": "gpu-1", **own, "hostvars": Hostvars(others)})
        return result


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    return Wire(monkeypatch)


def test_keys_go_piped_and_as_keys_alone(wire: Wire) -> None:
    result = wire.run(DOOR, {"gpu-2": ELSEWHERE})
    assert result["names"] == {"a": ["gpu-1:a", "gpu-2:a"]}
    assert CLIENT not in repr(result) and ENGINE not in repr(result)
    (sent,) = wire.calls
    assert CLIENT not in repr(sent)
    assert ENGINE not in repr({name: value for name, value in sent.items() if name != "api_keys"})
    assert sent["api_keys"]["engines"] == [ENGINE]
    assert "10.0.0.2:8000" in sent["files"][Places().config]


def test_the_module_makes_maps_of_what_it_is_sent(wire: Wire) -> None:
    wire.run(DOOR, {})
    wanted = module.wanted(wire.calls[0], Places(), "GONE 7\n", 1000.5)
    (digest,) = wire.calls[0]["api_keys"]["clients"]
    (backend,) = wire.calls[0]["engines"]
    folder = Places().folder
    assert wanted.maps == {
        f"{folder}/keys.map": {digest: "web"},
        f"{folder}/engines.map": {backend: ENGINE},
        f"{folder}/limits.map": {"web": "0"},
        f"{folder}/names.map": {"a": backend},
    }
    assert wanted.files[f"{folder}/keys.map"] == f"{digest} web\n".encode()
    # No map of HAProxy's: it remembers when each key came.
    assert wanted.files[f"{folder}/since.map"] == f"{digest} 1000\n".encode()
    assert set(wire.calls[0]) <= set(module.SPEC)


def test_what_is_wrong_on_any_host_stops_it_before_the_host_is_asked(wire: Wire) -> None:
    broken = {**ELSEWHERE, "vllm_server_instances": [{**INSTANCE, "model": ""}], "vllm_gateway_address": ["x"]}
    result = wire.run({**DOOR, "vllm_gateway_port": 0}, {"gpu-2": broken, "gpu-3": {}})
    assert result["failed"] and wire.calls == []
    for told in ("vllm_gateway_port is 0", "gpu-2: instance a: model is empty", "gpu-2: vllm_gateway_address"):
        assert told in result["msg"]
    assert CLIENT not in repr(result) and ENGINE not in repr(result)


def test_what_cannot_pipe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(monkeypatch, pipes=False)
    with pytest.raises(AnsibleActionFail, match="has no pipelining"):
        wire.run(DOOR, {})
    assert wire.calls == []
