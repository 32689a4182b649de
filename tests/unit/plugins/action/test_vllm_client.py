# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action: what goes to the client's host, and how."""

from __future__ import annotations

import base64
import json
import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.action import vllm_client as action
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._client.test_endpoints import (
    DOOR,
    KEY,
    ONE,
    VERIFIED,
)

Json = dict[str, t.Any]
NOTHING: t.Any = None


def run(monkeypatch: pytest.MonkeyPatch, pipes: bool = True, **args: t.Any) -> tuple[Json, list[Json], list[bool]]:
    calls: list[Json] = []
    piped: list[bool] = []
    given = {"path": "/etc/gpufleet/clients", **args}
    task = types.SimpleNamespace(
        args=given, check_mode=False, no_log=False, async_val=0, diff=False, action=action.MODULE, environment=None
    )
    connection = types.SimpleNamespace(
        _shell=types.SimpleNamespace(tmpdir=None),
        has_pipelining=pipes,
        become=None,
        is_pipelining_enabled=lambda _wrap_async: False,
    )
    parts: Json = {"task": task, "connection": connection, "play_context": types.SimpleNamespace(check_mode=False)}
    plugin = action.ActionModule(**parts, loader=NOTHING, templar=NOTHING, shared_loader_obj=NOTHING)

    def execute_module(_name: str, module_args: Json, task_vars: Json) -> Json:
        calls.append(module_args)
        piped.append(plugin._is_pipelining_enabled("new"))
        return {"changed": True, "written": [], "removed": []}

    monkeypatch.setattr(plugin, "_execute_module", execute_module)
    return plugin.run(None, {"inventory_hostname": "app1"}), calls, piped


def slurped(document: Json) -> Json:
    return {"item": {"name": "assistant"}, "content": base64.b64encode(json.dumps(document).encode()).decode()}


def test_files_of_all_endpoints_and_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    found, (call,), piped = run(monkeypatch, endpoints=[ONE, DOOR], served=[slurped(VERIFIED)], group="apps")
    assert found["changed"] and piped == [False]
    assert {"assistant.json", "assistant.env", "a.json", "gpufleet_client/client.py"} <= set(call["plain"])
    assert "gpufleet_client/py.typed" in call["plain"]
    assert not any("pycache" in name for name in call["plain"])
    assert (call["api_keys"], call["group"], "endpoints" in call) == ({}, "apps", False)


def test_keys_are_piped_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    keyed = [{**DOOR, "api_key": KEY}]
    found, (call,), piped = run(monkeypatch, endpoints=keyed, python=False)
    assert piped == [True] and KEY not in str(found)
    assert KEY not in str(call["plain"]) and call["api_keys"] == {"a.key": KEY + "\n"}
    with pytest.raises(Exception, match="no pipelining"):
        run(monkeypatch, pipes=False, endpoints=keyed)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"path": "clients"}, "vllm_client_path is 'clients': write an absolute path"),
        ({"path": "/"}, "vllm_client_path is '/'"),
        ({"api_key_in": ["vault"]}, "vllm_client_api_key_in has 'vault': write any of file, env and json"),
        (
            {"api_key_in": [], "endpoints": [{**DOOR, "api_key": KEY}]},
            "vllm_client_api_key_in is empty, and there are keys",
        ),
        ({"endpoints": [DOOR], "timeout": 0}, "endpoint a: vllm_client_timeout is 0: write"),
        ({"endpoints": [DOOR], "retries": "soon"}, "endpoint a: vllm_client_retries is of type text: write"),
        ({"endpoints": [ONE], "served": [{"item": ONE, "unreachable": True}]}, "it is out of reach"),
        ({"endpoints": [ONE], "served": [{"item": ONE, "failed": True}]}, "it has no client.json of it"),
        ({"endpoints": [ONE], "served": [{"item": ONE, "content": "%"}]}, "does not say what assistant serves"),
        ({"endpoints": [ONE]}, "nobody has asked it"),
    ],
)
def test_what_is_wrong_reaches_no_host(monkeypatch: pytest.MonkeyPatch, args: Json, says: str) -> None:
    found, calls, _piped = run(monkeypatch, **args)
    assert found["failed"] and says in found["msg"]
    assert calls == []
