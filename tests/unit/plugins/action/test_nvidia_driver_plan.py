# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver is planned on the control node."""

from __future__ import annotations

import typing as t
from unittest import mock

import pytest
from ansible.errors import AnsibleError

from ansible_collections.gpufleet.vllm.plugins.action import nvidia_driver_plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._driver.machines import facts


def run(seen: dict[str, t.Any], settings: dict[str, t.Any], **task_vars: t.Any) -> dict[str, t.Any]:
    arguments = {"facts": seen, "settings": settings}
    task = mock.Mock(args=arguments, async_val=0, check_mode=True, diff=False, delegate_to=None)
    made: t.Any = nvidia_driver_plan.ActionModule(task, mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock())
    made._execute_module = mock.Mock()
    result: dict[str, t.Any] = made.run(task_vars=task_vars)
    made._execute_module.assert_not_called()
    return result


def test_what_is_due() -> None:
    result = run(facts("debian12"), {"reboot": True})
    assert (result["changed"], result["due"][0]) == (True, "install")
    assert result["msg"].startswith("branch 580 with open modules")
    assert result["reboot"]["allowed"] is True


def test_nothing_is_due() -> None:
    result = run(facts("debian12", state="healthy", version="580.1"), {})
    assert (result["changed"], result["due"]) == (False, [])


def test_to_look_again_is_no_change() -> None:
    result = run(facts("debian12", state="driver_library_mismatch", version="580.1"), {})
    assert (result["changed"], result["due"]) == (False, ["start"])


def test_the_control_node_is_not_rebooted() -> None:
    result = run(facts("debian12"), {"reboot": True}, ansible_connection="local")
    assert result["reboot"]["allowed"] is False


def test_a_refusal() -> None:
    result = run(facts("debian12", secure_boot=True), {})
    assert (result["failed"], result["changed"]) == (True, False)
    assert "Secure Boot is on" in result["msg"]


def test_a_host_that_is_not_ours_and_cannot_serve() -> None:
    result = run(facts("debian12"), {"manage": False})
    assert result["failed"] is True
    assert "nvidia_driver_manage is false, so nothing was changed: set it to true" in result["msg"]


def test_a_host_that_is_not_ours_and_serves() -> None:
    result = run(facts("debian12", state="healthy", version="580.1", packages={"libcuda1": False}), {"manage": False})
    assert "failed" not in result
    assert "packages are not held" in result["warnings"][0]


def test_a_host_that_was_not_observed() -> None:
    assert run({}, {})["msg"] == "There are no facts of the host: it was not observed."


def test_what_the_plan_needs() -> None:
    task = mock.Mock(args={"facts": {}}, async_val=0, check_mode=True, diff=False, delegate_to=None)
    made: t.Any = nvidia_driver_plan.ActionModule(task, mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock())
    with pytest.raises(AnsibleError, match="settings"):
        made.run(task_vars={})
