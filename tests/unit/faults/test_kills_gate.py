# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of kills that has not hit every stage ends in failure, though every kill has passed."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.faults import conftest
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Record
from ansible_collections.gpufleet.vllm.tests.faults.random_kills import STAGES


def session(stages: t.Sequence[str]) -> t.Any:
    """A session that has run one kill at each of these stages, and all have passed."""
    reporter = object.__new__(pytest.TerminalReporter)
    reports = []
    for number, stage in enumerate(stages):
        record = Record("kill", f"test_kill[{number}]", "a kill", passed=True, struck=("transaction", stage))
        report = pytest.TestReport("test", ("", 0, ""), {}, "passed", None, "teardown")
        report.user_properties = [(conftest.RECORD, t.cast(t.Any, record.as_dict())), (conftest.VERSIONS, "")]
        reports.append(report)
    reporter.stats = {"passed": reports}
    plugins = types.SimpleNamespace(get_plugin=lambda _name: reporter)
    return types.SimpleNamespace(config=types.SimpleNamespace(pluginmanager=plugins), exitstatus=0)


@pytest.mark.parametrize(
    ("stages", "exit_status"),
    [
        ([*STAGES] * 20, 0),
        (["stop"] * 20, 1),
        ([stage for stage in STAGES if stage != "commit"] * 4, 1),
        (["stop"] * 5, 0),
    ],
)
def test_kills_that_missed_a_stage_fail_the_run(stages: list[str], exit_status: int) -> None:
    one = session(stages)
    conftest.pytest_sessionfinish(one)
    assert one.exitstatus == exit_status
