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
