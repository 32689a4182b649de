# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios take minutes: none is started once a fast test has failed, and their times are listed at the end."""

from __future__ import annotations

import pytest

SCENARIO_TIMES = pytest.StashKey[dict[str, float]]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a place to keep how long each scenario took."""
    config.stash[SCENARIO_TIMES] = {}


@pytest.fixture(scope="session", autouse=True)
def _fast_tests_have_passed(request: pytest.FixtureRequest) -> None:
    failed = request.session.testsfailed
    if failed:
        pytest.skip(f"not started: {failed} of the tests before failed")


@pytest.fixture
def scenario_times(pytestconfig: pytest.Config) -> dict[str, float]:
    """Return where the seconds of each scenario are kept, by its name."""
    return pytestconfig.stash[SCENARIO_TIMES]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List the scenarios of this run with their times."""
    times = config.stash[SCENARIO_TIMES]
    if times:
        terminalreporter.section("scenarios")
    for name, seconds in times.items():
        terminalreporter.write_line(f"{name}: {seconds:.0f} s")
