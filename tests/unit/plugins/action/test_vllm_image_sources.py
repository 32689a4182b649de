# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins are piped, as one text, and what is wrong does not reach the host."""

from __future__ import annotations

import json
import types
import typing as t

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.gpufleet.vllm.plugins.action import vllm_image_sources as action
from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.test_vllm_api_keys import Wire

Json = dict[str, t.Any]
NOTHING: t.Any = None
LOGINS = {"ghcr.io": {"username": "u", "password": "hidden-word"}}


def run(wire: Wire, monkeypatch: pytest.MonkeyPatch, **args: t.Any) -> Json:
    task = types.SimpleNamespace(
        args=args, check_mode=False, no_log=False, async_val=0, diff=False, action=action.MODULE, environment=None
    )
    parts: Json = {"task": task, "connection": wire.connection, "play_context": types.SimpleNamespace(check_mode=False)}
    plugin = action.ActionModule(**parts, loader=NOTHING, templar=NOTHING, shared_loader_obj=NOTHING)

    def execute_module(_name: str, module_args: Json, task_vars: Json) -> Json:
        wire.calls.append(module_args)
        wire.piped.append(plugin._is_pipelining_enabled("new"))
        return {"changed": True}

    monkeypatch.setattr(plugin, "_execute_module", execute_module)
    result: Json = plugin.run(None, {})
    return result


def test_logins_are_piped_as_one_text(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    result = run(wire, monkeypatch, registries=LOGINS, mirrors={"docker.io": "m.example.com"})
    assert result == {"changed": True} and wire.piped == [True]
    assert wire.calls == [{"logins": json.dumps(LOGINS), "mirrors": {"docker.io": "m.example.com"}, "archives": {}}]


def test_without_logins_any_connection_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(pipes=False)
    assert run(wire, monkeypatch)["changed"] and wire.piped == [False]
    with pytest.raises(
        AnsibleActionFail, match=r"A login to a registry would be written .* leave vllm_server_registries"
    ):
        run(wire, monkeypatch, registries=LOGINS)


def test_all_that_is_wrong_is_told_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    wrong = {"ghcr.io": {"password": "hidden-word"}, "a b": {}}
    result = run(wire, monkeypatch, registries=wrong, archives={"a:1": "a.tar"})
    assert result["failed"] and len(result["errors"]) == 3 and "hidden-word" not in repr(result)
    assert run(wire, monkeypatch, registries=["x"])["errors"] == ["registries is no mapping: correct it."]
    assert wire.calls == []
