# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitoring, read from an inventory as Ansible has it: what is watched, and all that is wrong."""

from __future__ import annotations

import json
import pathlib
import typing as t
from unittest import mock

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.gpufleet.vllm.plugins.action import role_settings, vllm_monitoring

Json = dict[str, t.Any]
A: Json = {"name": "a", "model": "org/m", "port": 8000, "api_key": "sk-engine-0123456789"}
B: Json = {**A, "name": "b", "bind": "10.0.0.2"}
GPU: Json = {"vllm_server_instances": [A], "vllm_monitoring_dcgm_port": "9400"}
OTHER: Json = {"vllm_server_instances": [B], "vllm_monitoring_node_port_elsewhere": 9100, "ansible_host": "10.0.0.2"}


class Inventory:
    """gpu-1 with a door and gpu-2 with none, both GPU hosts; `watch` is neither."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.here, self.own, self.other = folder, "gpu-1", dict[str, t.Any](), dict(OTHER)
        self.sent: list[Json] = []

    def ask(self, plugin: t.Any, **arguments: t.Any) -> Json:
        hosts: Json = {"gpu-1": dict(GPU), "gpu-2": self.other, "watch": {}}
        hosts[self.here].update(self.own)
        groups = {"gpu_hosts": ["gpu-1", "gpu-2"], "vllm_gateway": ["gpu-1"], "monitoring": [self.here]}
        children = {name: {"hosts": dict.fromkeys(names)} for name, names in groups.items()}
        file = self.folder / "hosts.yml"
        file.write_text(json.dumps({"all": {"hosts": hosts, "children": children}}))
        loader = DataLoader()
        inventory = InventoryManager(loader, [str(file)])
        manager = VariableManager(loader, inventory)
        variables = {
            **manager.get_vars(host=inventory.get_host(self.here)),
            "hostvars": HostVars(inventory, manager, loader),
        }
        task = mock.Mock(args=arguments, async_val=0, check_mode=True, diff=False, delegate_to=None)
        made = plugin.ActionModule(
            task, mock.Mock(), mock.Mock(), loader, Templar(loader, variables=variables), mock.Mock()
        )

        def execute(_name: str, module_args: Json, task_vars: Json) -> Json:
            self.sent.append(module_args)
            return {"changed": True, "action": "start"}

        made._execute_module = execute
        result: Json = made.run(task_vars=variables)
        return result

    def errors(self) -> list[str]:
        """By the first task of the playbook, and by the action alike."""
        found = self.ask(role_settings, role="vllm_monitoring", values=True).get("errors", [])
        assert self.ask(vllm_monitoring).get("errors", []) == found
        return list(found)


@pytest.fixture
def inventory(tmp_path: pathlib.Path) -> Inventory:
    return Inventory(tmp_path)


def test_a_gpu_host_watches_itself(inventory: Inventory) -> None:
    assert inventory.errors() == []
    assert inventory.ask(vllm_monitoring)["targets"] == {
        "vllm": ["gpu-1:a"], "door": ["gpu-1"], "node": ["gpu-1"], "dcgm": ["gpu-1"], "prometheus": ["gpu-1"]
    }  # fmt: skip
    assert A["api_key"] not in repr(inventory.sent)


def test_it_watches_others_where_it_is_asked_to(inventory: Inventory) -> None:
    inventory.own = {"vllm_monitoring_hosts": ["gpu_hosts"]}
    assert inventory.errors() == []
    found = inventory.ask(vllm_monitoring)["targets"]
    assert found["vllm"] == ["gpu-1:a", "gpu-2:b"] and found["node"] == ["gpu-1", "gpu-2"]


def test_a_host_of_its_own_watches_all_gpu_hosts(inventory: Inventory) -> None:
    """The loopback of gpu-1 is out of its reach, and its door too, which is said where nothing else is wrong."""
    inventory.here = "watch"
    assert [text for text in inventory.errors() if "put gpu-1 into the group monitoring" in text]
    inventory.own = {"vllm_monitoring_hosts": ["gpu-2"]}
    assert inventory.errors() == []
    assert inventory.ask(vllm_monitoring)["targets"]["vllm"] == ["gpu-2:b"]


def test_a_door_that_nobody_watches_is_told(inventory: Inventory) -> None:
    inventory.here = "watch"
    reached = {**A, "bind": "10.0.0.1"}
    inventory.own = {"vllm_monitoring_hosts": ["gpu-1"]}
    with mock.patch.dict(GPU, {"vllm_server_instances": [reached], "ansible_host": "10.0.0.1"}):
        (told,) = inventory.ask(role_settings, role="vllm_monitoring", values=True)["warnings"]
    assert "The door on gpu-1" in told


def test_all_that_is_wrong_is_told_at_once(inventory: Inventory) -> None:
    inventory.own = {
        "vllm_monitoring_hosts": ["gpu-2", "gpu3"],
        "vllm_monitoring_port": "many",
        "vllm_monitoring_bind": "::",
    }
    inventory.other = {"vllm_server_instances": [{**B, "model": ""}], "vllm_monitoring_dcgm_port": [1]}
    told = "\n".join(inventory.errors())
    for text in (
        "vllm_monitoring_port",
        "vllm_monitoring_bind is ::",
        "vllm_monitoring_hosts has 'gpu3'",
        "gpu-2: instance b: model is empty",
        "gpu-2: vllm_monitoring_dcgm_port",
    ):
        assert told.count(text) == 1, told
    assert inventory.sent == []
