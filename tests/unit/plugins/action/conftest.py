# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this folder share."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.action import vllm_rollout as action
from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.rollout_wire import Json, Wire, pause

NOTHING: t.Any = None


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Json]:
    """The action vllm_rollout on a wire, with a clock that does not wait; it takes the task's arguments."""

    def carry_out(wire: Wire, *, check: bool = False, no_log: bool = False, **args: t.Any) -> Json:
        task = types.SimpleNamespace(
            args=args,
            check_mode=check,
            no_log=no_log,
            async_val=0,
            diff=False,
            action=action.MODULE,
            environment=None,
            delegate_to=None,
        )
        shell = types.SimpleNamespace(tmpdir="/tmp/task", join_path=lambda *parts: "/".join(parts))
        parts: Json = {
            "task": task,
            "connection": types.SimpleNamespace(
                _shell=shell, has_pipelining=wire.pipes, is_pipelining_enabled=lambda _wrap_async: False
            ),
            "play_context": types.SimpleNamespace(remote_addr="gpu1", check_mode=check),
        }
        plugin = action.ActionModule(**parts, loader=NOTHING, templar=NOTHING, shared_loader_obj=NOTHING)

        def execute_module(name: str, module_args: Json, task_vars: Json) -> Json:
            wire.piped.append(plugin._is_pipelining_enabled("new"))
            return wire.execute_module(name, module_args, task_vars)

        monkeypatch.setattr(plugin, "_execute_module", execute_module)
        monkeypatch.setattr(plugin, "_low_level_execute_command", wire.execute_command)
        monkeypatch.setattr(plugin, "_transfer_file", lambda _source, target: wire.brought.append(target))
        monkeypatch.setattr(plugin, "_remove_tmp_path", lambda _path: None)
        monkeypatch.setattr(plugin, "_display", types.SimpleNamespace(display=wire.shown.append))
        clock = types.SimpleNamespace(monotonic=lambda: wire.paused, sleep=pause(wire))
        monkeypatch.setattr(action, "time", clock)
        result: Json = plugin.run(None, {"inventory_hostname": "gpu1"})
        return result

    return carry_out
