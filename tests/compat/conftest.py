# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One test for each release and Python; what it showed goes to the report."""

from __future__ import annotations

import dataclasses
import subprocess
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.compat import control, releases, report
from ansible_collections.gpufleet.vllm.tests.faults.play import CHECKOUT, as_user

# Of a test's report, which is what reaches the process that writes the page.
RESULT = "compat"
# The most that one word of the command line means: what `make test` has time for.
OF_EACH_BUILD = "create or failing_rollout"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Choose the releases."""
    parser.addoption("--releases", default="", help="of ansible-core, such as '2.20 2.22', or 'ci'; default: all")


def _asked(config: pytest.Config) -> str:
    return str(config.getoption("--releases")).strip()


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a release that is none of ours."""
    try:
        releases.asked(_asked(config))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each."""
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize("cell", releases.asked(_asked(metafunc.config)), ids=str)


def _lab(playbook: str) -> None:
    command = ["ansible-playbook", f"molecule/shared/{playbook}.yml", "--limit", "compat-a,compat-b"]
    command += ["--inventory", "molecule/shared/inventory", "--inventory", "tests/compat/inventory"]
    done = subprocess.run(command, cwd=CHECKOUT, env=as_user(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{playbook} failed: {done.stdout[-3000:]}{done.stderr}"


@pytest.fixture
def hosts(cell: releases.Cell) -> t.Iterator[None]:
    """Two fresh hosts, where the cell has anything to do with them."""
    if cell.lab:
        _lab("destroy")
        _lab("create")
    yield
    if cell.lab:
        _lab("destroy")


@pytest.fixture
def shown(
    cell: releases.Cell, request: pytest.FixtureRequest, record_property: t.Callable[[str, t.Any], None]
) -> t.Iterator[control.Result]:
    """What the cell shows; written down however the test ends."""
    made = control.Result(str(cell))
    yield made
    record_property(RESULT, dataclasses.asdict(made))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table and keep its rows on the page; a worker sees its own cells only."""
    if hasattr(config, "workerinput"):
        return
    told = [one for kind in terminalreporter.stats.values() for one in kind if isinstance(one, pytest.TestReport)]
    properties: list[dict[str, t.Any]] = [dict(one.user_properties) for one in told]
    results = {one[RESULT]["cell"]: one[RESULT] for one in properties if RESULT in one}
    if results:
        terminalreporter.section("compatibility")
        order = [str(cell) for cell in releases.asked(_asked(config))]
        text = report.write([results[name] for name in order if name in results], keep=_asked(config) != "ci")
        terminalreporter.write_line(text)
