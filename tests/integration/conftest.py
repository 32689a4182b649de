# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios take minutes: what each took is listed at the end."""

from __future__ import annotations

import typing as t

import pytest

# Of a test's report: the scenario's name, and the seconds that it took.
SCENARIO = "scenario"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List the scenarios of this run with their times; a worker sees its own only."""
    if hasattr(config, "workerinput"):
        return
    told = [one for kind in terminalreporter.stats.values() for one in kind if isinstance(one, pytest.TestReport)]
    properties: list[dict[str, t.Any]] = [dict(one.user_properties) for one in told if one.when == "call"]
    took = sorted(one[SCENARIO] for one in properties if SCENARIO in one)
    if took:
        terminalreporter.section("scenarios")
    for name, seconds in took:
        terminalreporter.write_line(f"{name}: {seconds:.0f} s")
