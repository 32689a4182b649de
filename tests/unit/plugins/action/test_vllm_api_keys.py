# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action: which keys go to the host, and how."""

from __future__ import annotations

import types
import typing as t

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.gpufleet.vllm.plugins.action import vllm_api_keys as action

Json = dict[str, t.Any]
NOTHING: t.Any = None
KEY = "sk-0123456789abcdef"


class Wire:
    """The host as the action sees it."""

    def __init__(self, pipes: bool = True, become: t.Any = None) -> None:
        self.connection = types.SimpleNamespace(
            _shell=types.SimpleNamespace(tmpdir=None),
            has_pipelining=pipes,
            become=become,
            is_pipelining_enabled=lambda _wrap_async: False,
        )
        self.calls: list[Json] = []
        self.piped: list[bool] = []


def run(wire: Wire, monkeypatch: pytest.MonkeyPatch, **args: t.Any) -> Json:
    task = types.SimpleNamespace(
        args=args, check_mode=False, no_log=False, async_val=0, diff=False, action=action.MODULE, environment=None
    )
    parts: Json = {"task": task, "connection": wire.connection, "play_context": types.SimpleNamespace(check_mode=False)}
    plugin = action.ActionModule(**parts, loader=NOTHING, templar=NOTHING, shared_loader_obj=NOTHING)

    def execute_module(_name: str, module_args: Json, task_vars: Json) -> Json:
        wire.calls.append(module_args)
        wire.piped.append(plugin._is_pipelining_enabled("new"))
        return {"changed": False, "fingerprints": {"a": "f1"}}

    monkeypatch.setattr(plugin, "_execute_module", execute_module)
    result: Json = plugin.run(None, {})
    assert plugin._is_pipelining_enabled("new") is False
    return result


def test_only_keys_go_and_they_are_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    listed = [{"name": "a", "api_key": KEY, "model": "m"}, {"name": "b"}]
    result = run(wire, monkeypatch, instances=listed, remember=False)
    assert result["fingerprints"] == {"a": "f1"} and KEY not in repr(result)
    assert wire.calls == [{"api_keys": {"a": [KEY]}, "remember": False}]
    assert wire.piped == [True]


@pytest.mark.parametrize("listed", [[], [{"name": "b"}], None, "", "x", [{"name": "a", "api_key": "short"}]])
def test_without_keys_the_host_is_not_asked(monkeypatch: pytest.MonkeyPatch, listed: t.Any) -> None:
    wire = Wire(pipes=False)
    assert run(wire, monkeypatch, instances=listed)["fingerprints"] == {}
    assert wire.calls == []


@pytest.mark.parametrize("wire", [Wire(pipes=False), Wire(become=types.SimpleNamespace(pipelining=False))])
def test_what_cannot_pipe_is_refused(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    with pytest.raises(AnsibleActionFail, match="has no pipelining"):
        run(wire, monkeypatch, instances=[{"name": "a", "api_key": KEY}])
    assert wire.calls == []
