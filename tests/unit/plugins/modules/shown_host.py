# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with instances, as the modules see it that show what runs there, or drain it."""

from __future__ import annotations

import pathlib
import types
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store, instances
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

Json = dict[str, t.Any]


class Ended(Exception):
    """exit_json or fail_json, with the result."""

    def __init__(self, result: Json) -> None:
        super().__init__(result)
        self.result = result


def known_to(module: types.ModuleType, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The host, with whose state the module works from now on."""
    made = Scene(tmp_path)
    state_dir = str(tmp_path / "state")

    def ended(_module: t.Any, **result: t.Any) -> None:
        raise Ended(result)

    monkeypatch.setattr(module, "Store", lambda name: Store(name, state_dir))
    monkeypatch.setattr(module, "instances", lambda: instances(state_dir))
    monkeypatch.setattr(AnsibleModule, "exit_json", ended)
    monkeypatch.setattr(AnsibleModule, "fail_json", lambda _module, **result: ended(_module, failed=True, **result))
    return made


def shown_to(module: types.ModuleType, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The same, with its Docker."""
    made = known_to(module, tmp_path, monkeypatch)
    monkeypatch.setattr(module, "Docker", lambda: made.docker)
    return made


def ran(module: types.ModuleType, **args: t.Any) -> Json:
    """What the module ends with."""
    with patch_module_args(args), pytest.raises(Ended) as end:
        module.main()
    return end.value.result
