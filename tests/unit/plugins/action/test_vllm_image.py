# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only a check run is told what the inventory states, and logins are piped then."""

from __future__ import annotations

import json
import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.action import vllm_image as action
from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.test_vllm_api_keys import Wire

Json = dict[str, t.Any]
NOTHING: t.Any = None
LOGINS = {"ghcr.io": {"username": "u", "password": "hidden-word"}}
STATED: Json = {"registries": LOGINS, "mirrors": {"docker.io": "m.example.com"}, "archives": {}}


def run(wire: Wire, monkeypatch: pytest.MonkeyPatch, check: bool, **args: t.Any) -> Json:
    task = types.SimpleNamespace(
        args=args, check_mode=check, no_log=False, async_val=0, diff=False, action=action.MODULE, environment=None
    )
    parts: Json = {"task": task, "connection": wire.connection, "play_context": types.SimpleNamespace(check_mode=check)}
    plugin = action.ActionModule(**parts, loader=NOTHING, templar=NOTHING, shared_loader_obj=NOTHING)

    def execute_module(_name: str, module_args: Json, task_vars: Json, **_more: t.Any) -> Json:
        wire.calls.append(module_args)
        wire.piped.append(plugin._is_pipelining_enabled("new"))
        return {"changed": True, "msg": "\x1b[31mred"}

    monkeypatch.setattr(plugin, "_execute_module", execute_module)
    result: Json = plugin.run(None, {})
    return result


def test_what_is_stated_goes_along_in_a_check_run(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    said = run(wire, monkeypatch, True, image="a:1", **STATED)
    assert wire.calls == [{"image": "a:1", "mirrors": STATED["mirrors"], "archives": {}, "logins": json.dumps(LOGINS)}]
    assert wire.piped == [True] and "\x1b" not in said["msg"]


def test_a_run_is_told_nothing_that_the_host_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(pipes=False)
    assert run(wire, monkeypatch, False, image="a:1", **STATED)["changed"]
    assert wire.calls == [{"image": "a:1"}] and wire.piped == [False]
