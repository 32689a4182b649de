# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host class is checked on the control node."""

from __future__ import annotations

import typing as t
from unittest import mock

import pytest
from ansible.errors import AnsibleError

from ansible_collections.gpufleet.vllm.plugins.action import gpu_class_check

FACTS: t.Final = {"state": "no_gpu", "advice": "", "pci": [], "gpus": []}
CLASSES: t.Final = {"gpu_12gb": {"count": 1}, "cpu": {}}


def action(**arguments: t.Any) -> t.Any:
    task = mock.Mock(args=arguments, async_val=0, check_mode=True, diff=False, delegate_to=None)
    made: t.Any = gpu_class_check.ActionModule(task, mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock())
    made._execute_module = mock.Mock()
    return made


def test_a_host_that_agrees_with_its_class() -> None:
    made = action(host_class="cpu", classes=CLASSES, facts=FACTS)
    assert made.run(task_vars={})["changed"] is False
    assert "failed" not in made.run(task_vars={})


def test_a_host_that_contradicts_its_class_fails_without_a_connection() -> None:
    made = action(host_class="gpu_12gb", classes=CLASSES, facts=FACTS)
    result = made.run(task_vars={})
    assert result["failed"] is True
    assert "expects 1 NVIDIA GPU, found none" in result["msg"]
    assert made._requires_connection is False
    made._execute_module.assert_not_called()


def test_a_host_that_was_not_observed_is_said_to_be() -> None:
    result = action(host_class="cpu", classes=CLASSES, facts={}).run(task_vars={})
    assert result["failed"] is True
    assert result["msg"] == "There are no facts of the host: it was not observed."


@pytest.mark.parametrize("missing", ["host_class", "classes", "facts"])
def test_what_the_check_needs(missing: str) -> None:
    given = {"host_class": "cpu", "classes": CLASSES, "facts": FACTS}
    del given[missing]
    with pytest.raises(AnsibleError, match=missing):
        action(**given).run(task_vars={})


def test_a_class_is_assigned() -> None:
    assert action(host_class="auto", classes=CLASSES, facts=FACTS).run(task_vars={})["host_class"] == "cpu"


def test_a_class_that_cannot_be_assigned() -> None:
    result = action(host_class="auto", classes={"gpu_12gb": {"count": 1}}, facts=FACTS).run(task_vars={})
    assert result["failed"] is True
    assert "is auto, and the hardware agrees with no class of gpu_12gb" in result["msg"]


GPU: t.Final = {"index": 0, "name": "NVIDIA L4", "memory_mib": {"total": 23034}, "compute_capability": "8.9"}
OTHER: t.Final = {**GPU, "index": 1, "name": "NVIDIA T4", "memory_mib": {"total": 15360}, "compute_capability": "7.5"}
ONE_GPU: t.Final = {**FACTS, "state": "healthy", "gpus": [GPU]}
TWO: t.Final = {**ONE_GPU, "gpus": [GPU, OTHER]}
ARGUMENTS: t.Final = {"engine_args": {"max_num_seqs": 4}, "limits": {"max_num_seqs": 8}}
SHIPPED: t.Final = {"gpu_24gb": {"count": 1, "about": "one GPU", **ARGUMENTS}, "cpu": {}}
OWN: t.Final = {"mine": {"count": 1, "min_compute_capability": "8.9", **ARGUMENTS}}


def test_arguments_of_the_inventorys_own_class_go_to_the_plan() -> None:
    found = action(host_class="auto", classes=SHIPPED, own_classes=OWN, facts=ONE_GPU).run(
        task_vars={"groups": {"cpu": []}}
    )
    assert found["ansible_facts"] == {"gpufleet_host_class": {"name": "mine", **ARGUMENTS}}
    assert "warnings" not in found


def test_arguments_of_a_shipped_class_come_from_group_vars_alone() -> None:
    found = action(host_class="gpu_24gb", classes=SHIPPED, facts=ONE_GPU).run(task_vars={})
    assert found["ansible_facts"] == {"gpufleet_host_class": {"name": "gpu_24gb", "engine_args": {}, "limits": {}}}


@pytest.mark.parametrize(
    ("host_class", "groups", "warned"),
    [
        ("auto", {"cpu": []}, True),
        ("auto", {"gpu_24gb": []}, False),
        ("gpu_24gb", {"cpu": []}, False),
    ],
)
def test_a_class_that_the_inventory_has_no_group_of(host_class: str, groups: dict[str, t.Any], warned: bool) -> None:
    found = action(host_class=host_class, classes=SHIPPED, facts=ONE_GPU).run(task_vars={"groups": groups})
    texts = found.get("warnings", [])
    assert bool(texts) is warned
    assert all("is of the class gpu_24gb, and the inventory has no group gpu_24gb" in text for text in texts)


def test_gpus_that_differ_are_warned_of_where_the_class_allows_it() -> None:
    found = action(host_class="two", classes={"two": {"count": 2}}, facts=TWO).run(task_vars={})
    (text,) = found["warnings"]
    assert text.startswith(
        "The GPUs of this host differ: GPU 0 is NVIDIA L4 (23034 MiB, compute capability 8.9) and GPU 1"
    )
    assert text.endswith("name the GPUs of each instance (gpus: [0]).")
