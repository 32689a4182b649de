# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host tells reaches Ansible's display without anything that steers a terminal."""

from __future__ import annotations

import types
import typing as t
from dataclasses import dataclass
from unittest import mock

import pytest

from ansible_collections.gpufleet.vllm.plugins.action import (
    container_gpu_access,
    gpu_facts,
    nvidia_driver_install,
    package_neighbours,
    vllm_bundle_facts,
    vllm_bundle_packages,
    vllm_model,
    vllm_status,
)
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import as_told

STEERS = "\x1b]0;owned\x07\x1b[2Jno \u202eroom\nok: [gpu1] verified\r"


@dataclass(frozen=True)
class Event:
    """As a warning is told since ansible-core 2.19."""

    msg: str
    events: tuple[t.Any, ...] | None = None
    formatted_traceback: str | None = None


def test_a_result_is_fit_for_a_terminal() -> None:
    told = as_told(
        {
            "msg": STEERS,
            "warnings": [STEERS, Event(STEERS, (Event(STEERS),))],
            "instances": [{"name": "\x9b31ma", "log": "one\ntwo\x00"}],
            "changed": True,
        }
    )
    line = "no \ufffdroom ok: [gpu1] verified "
    assert told == {
        "msg": line,
        "warnings": [line, Event(line, (Event(line),))],
        "instances": [{"name": "a", "log": "one\ntwo\ufffd"}],
        "changed": True,
    }


def test_an_exception_says_nothing_that_the_message_does_not() -> None:
    """ansible-core shows it in the message's place since 2.19."""
    address = "https://me:s3cret@mirror/"
    told = as_told({"exception": Event(STEERS, (Event(address),), f"Traceback:\n  x\x1b[2J {address}\n")})
    line = "no \ufffdroom ok: [gpu1] verified "
    assert told["exception"] == Event(line, (Event("https://***@mirror/"),), "Traceback:\n  x https://***@mirror/\n")
    assert as_told({"exception": f"Traceback:\n  x\x1b[2J {address}\n"})["exception"].count("\n") == 2
    assert "s3cret" not in str(as_told({"deprecations": [Event(address), {"msg": address}]}))


def test_a_message_that_is_a_list_stays_one() -> None:
    assert as_told({"msg": ["a", "b\x07"]}) == {"msg": ["a", "b\ufffd"]}


@pytest.mark.parametrize(
    "plugin",
    [
        *(vllm_status, vllm_model, container_gpu_access, gpu_facts, vllm_bundle_facts, vllm_bundle_packages),
        *(package_neighbours, nvidia_driver_install),
    ],
)
def test_every_module_that_speaks_for_others_is_run_by_such_an_action(plugin: types.ModuleType) -> None:
    task = mock.Mock(args={"a": 1}, async_val=0, check_mode=True, diff=False, delegate_to=None)
    made: t.Any = plugin.ActionModule(task, mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock())
    made._execute_module = mock.Mock(return_value={"failed": True, "msg": STEERS, "proofs": [{"because": "\x1b[2J"}]})
    result = made.run(task_vars={})
    assert result["msg"].isprintable() and result["proofs"] == [{"because": ""}]
    (module,), sent = made._execute_module.call_args
    assert module == f"gpufleet.vllm.{plugin.__name__.rpartition('.')[2]}"
    assert sent["module_args"]["a"] == 1
