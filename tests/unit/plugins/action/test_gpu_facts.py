# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control node sends along with gpu_facts."""

from __future__ import annotations

import importlib.metadata
import typing as t
from unittest import mock

import pytest

from ansible_collections.gpufleet.vllm.plugins.action import gpu_facts
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.bindings import unpack
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import pynvml_source

FACTS: t.Final = {"state": "no_gpu"}


def action(**arguments: t.Any) -> t.Any:
    task = mock.Mock(args=arguments, async_val=0, check_mode=True, diff=False, delegate_to=None)
    made: t.Any = gpu_facts.ActionModule(task, mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock())
    made._execute_module = mock.Mock(return_value={"changed": False, "ansible_facts": {"gpufleet": FACTS}})
    return made


def test_one_execution_with_the_source_along() -> None:
    made = action(images=["vllm:1"])
    assert made.run(task_vars={})["ansible_facts"] == {"gpufleet": FACTS}
    made._execute_module.assert_called_once()
    (module,), sent = made._execute_module.call_args
    assert module == "gpufleet.vllm.gpu_facts"
    assert sent["module_args"]["images"] == ["vllm:1"]
    assert "def nvmlInit" in unpack(sent["module_args"]["pynvml_source"])
    assert made._task.args == {"images": ["vllm:1"]}


def test_a_control_node_without_pynvml_sends_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml_source, "installed_source", lambda: None)
    made = action()
    made.run(task_vars={})
    assert made._execute_module.call_args.kwargs["module_args"] == {}


def test_where_the_source_is() -> None:
    source = pynvml_source.installed_source() or b""
    assert b"Copyright (c)" in source
    assert b"def nvmlInit" in source


@pytest.mark.parametrize("error", [importlib.metadata.PackageNotFoundError("nvidia-ml-py"), FileNotFoundError()])
def test_the_source_is_not_there(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def absent(_name: str) -> t.NoReturn:
        raise error

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    assert pynvml_source.installed_source() is None
