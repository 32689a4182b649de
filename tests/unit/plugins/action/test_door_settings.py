# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door's settings, read from an inventory as Ansible has it: all that is wrong is told before a host is asked."""

from __future__ import annotations

import json
import pathlib
import typing as t
from unittest import mock

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.gpufleet.vllm.plugins.action import role_settings as action
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings

Json = dict[str, t.Any]
CHECKOUT = role_settings.ROLES.parent
A: Json = {"name": "a", "model": "org/m", "port": 8000}
B: Json = {**A, "name": "b", "served_model_name": "a", "bind": "10.0.0.2"}
KEY = {"name": "web", "key": "sk-client-0123456789"}


@pytest.fixture
def told(tmp_path: pathlib.Path) -> t.Callable[..., list[str]]:
    """What is wrong with a door on gpu-1, in front of gpu-1 and gpu-2."""

    def errors(*of_second: Json, check: bool = False, **of_door: t.Any) -> list[str]:
        gpu_hosts = {"gpu-1": {"vllm_server_instances": [A]}, "gpu-2": {"vllm_server_instances": [B]}}
        gpu_hosts["gpu-2"].update(*of_second)
        doors = {"gpu-1": of_door}
        children = {"gpu_hosts": {"hosts": gpu_hosts}, "vllm_gateway": {"hosts": doors}, "empty": {"hosts": {}}}
        file = tmp_path / "hosts.yml"
        file.write_text(json.dumps({"all": {"children": children}}))
        loader = DataLoader()
        inventory = InventoryManager(loader, [str(file)])
        manager = VariableManager(loader, inventory)
        hostvars = HostVars(inventory, manager, loader)
        variables = {**manager.get_vars(host=inventory.get_host("gpu-1")), "hostvars": hostvars}
        arguments = {"role": "vllm_gateway", "values": True}
        task = mock.Mock(args=arguments, async_val=0, check_mode=True, diff=False, delegate_to=None)
        templar = Templar(loader, variables=variables)
        made: t.Any = action.ActionModule(task, mock.Mock(), mock.Mock(), loader, templar, mock.Mock())
        return list(made.run(task_vars=variables).get("errors", []))

    return errors


def test_what_is_right_is_not_told(told: t.Callable[..., list[str]]) -> None:
    assert told() == []
    assert told(vllm_gateway_hosts=["gpu_hosts"]) == []
    assert told(vllm_gateway_hosts=["gpu-1", "gpu_hosts", "gpu-2", "gpu-1"]) == []


def test_types_values_and_hosts_are_told_at_once(told: t.Callable[..., list[str]]) -> None:
    found = told(
        {"vllm_server_instances": [{**B, "model": ""}]},
        vllm_gateway_port="abc",
        vllm_gateway_check_interval=0,
        vllm_gateway_bind="x",
        vllm_gateway_api_keys=[{"name": "Web"}],
        vllm_gateway_left_out=["gpu-2:b", "gpu-7"],
    )
    for words in (
        "vllm_gateway_port is 'abc': write a whole number.",
        "vllm_gateway_check_interval is 0",
        "vllm_gateway_bind is 'x'",
        "vllm_gateway_api_keys, entry 1: write a name",
        "gpu-2: instance b: model is empty",
        "vllm_gateway_left_out has 'gpu-7'",
    ):
        assert len([text for text in found if text.startswith(words)]) == 1, (words, found)
    assert len(found) == 6, "what follows from another mistake is none of its own"


def test_keys_that_cannot_be_read_are_not_said_to_be_missing(told: t.Callable[..., list[str]]) -> None:
    (error,) = told(vllm_gateway_bind="0.0.0.0", vllm_gateway_api_keys="sk-client-0123456789")
    assert error.startswith("vllm_gateway_api_keys is of type text")
    (error,) = told(vllm_gateway_bind="0.0.0.0", vllm_gateway_api_keys=[{"name": "web", "key": "short"}])
    assert error.startswith("vllm_gateway_api_keys, entry 1 (web): its key is missing or not usable")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("gpu-9.example.com", "neither a host nor a group of the inventory: correct it, or take it out."),
        (
            "gpu_host",
            "neither a host nor a group of the inventory: correct it, or take it out. Did you mean gpu_hosts?",
        ),
        ("empty", "a group without hosts: correct it, or take it out."),
        # Ansible makes this one up where it is asked for.
        ("localhost", "neither a host nor a group of the inventory: correct it, or take it out."),
    ],
)
def test_a_host_that_is_none(told: t.Callable[..., list[str]], name: str, wrong: str) -> None:
    assert told(vllm_gateway_hosts=["gpu-1", name]) == [f"vllm_gateway_hosts has {name!r}, which is {wrong}"]


def test_what_another_host_does_not_define_names_host_instance_and_variable(told: t.Callable[..., list[str]]) -> None:
    (error,) = told({"vllm_server_instances": [{**B, "api_key": "{{ vault_two }}"}]}, vllm_gateway_left_out=["gpu-2:b"])
    assert error.startswith("gpu-2, instance b: vllm_server_instances[0].api_key cannot be read: ")
    assert "'vault_two' is undefined" in error
    (error,) = told({"ansible_host": "{{ nix }}"})
    assert error.startswith("gpu-2: ansible_host cannot be read: ") and "'nix' is undefined" in error


def test_the_variables_of_another_host_are_in_its_own_words(told: t.Callable[..., list[str]]) -> None:
    known = {"own": "10.0.0.2", "ansible_host": "{{ own }}"}
    assert told({"vllm_server_instances": [{**B, "bind": "0.0.0.0"}], **known}) == []


def test_nothing_is_installed_and_nothing_rolled_out_before_it_was_told() -> None:
    reads = {"role": "vllm_gateway", "values": True}
    tasks = yaml.safe_load((CHECKOUT / "roles/vllm_gateway/tasks/main.yml").read_text())
    assert tasks[0]["gpufleet.vllm.role_settings"] == reads
    site = yaml.safe_load((CHECKOUT / "playbooks/site.yml").read_text())
    assert site[0]["tasks"][0]["gpufleet.vllm.role_settings"] == reads
    assert site[0]["any_errors_fatal"] is True and "vllm_gateway" in site[0]["hosts"]
