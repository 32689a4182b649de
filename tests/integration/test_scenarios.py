# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every Molecule scenario is a test: real hosts in containers, a real Docker engine and a real vLLM in each."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.conftest import SCENARIO

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
# airgapped and airgapped_packages install from a bundle; benchmark measures for minutes; driver compiles a kernel
# module, which takes longer than all others; fleet shows on real engines what test_site_playbook.py shows of every
# order of hosts; kinds_more shows more of what kinds does; replicas restarts three engines under load; tune starts an
# engine a dozen times.
# `molecule test --scenario-name NAME`.
ON_REQUEST = ("airgapped", "airgapped_packages", "benchmark", "driver", "fleet", "kinds_more", "replicas", "tune")
# What makes a scenario shorter than it is on request.
SHORT = {"turns": {"TURNS_CYCLES": "0"}}
FOUND = {path.parent.name for path in (CHECKOUT / "molecule").glob("*/molecule.yml")} - set(ON_REQUEST)
# Two run at a time: the one with most engines beside those with one.
FIRST = ("classes", "secrets", "watch")
SCENARIOS = sorted(FOUND, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
LOGS = CHECKOUT / "build" / "scenarios"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What molecule puts before a line of Ansible.
MARGIN = "  │ "
# Of a task that failed, at each end.
LINES = 60


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(
    name: str, capfd: pytest.CaptureFixture[str], record_property: t.Callable[[str, t.Any], None]
) -> None:
    commands = pathlib.Path(sys.executable).parent
    environment = {
        **os.environ,
        # Molecule looks Ansible's commands up on PATH, and its scenarios in extensions/ unless told otherwise.
        "PATH": f"{commands}:{os.environ['PATH']}",
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        **SHORT.get(name, {}),
    }
    log = LOGS / f"{name}.log"
    with capfd.disabled():
        _say(f"scenario {name} begins; {log.relative_to(CHECKOUT)} holds what it says")
        began = time.monotonic()
        code = _logged([str(commands / "molecule"), "test", "--scenario-name", name], environment, log)
        seconds = time.monotonic() - began
        _say(f"scenario {name}: {seconds:.0f} s, exit code {code}")
    record_property(SCENARIO, (name, seconds))
    assert code == 0, f"molecule test --scenario-name {name} ended with {code}:\n{_failure(log)}"


def _say(text: str) -> None:
    """To stderr, which is shown at once also by a test that runs beside others."""
    print(f"\n=== {text}", file=sys.stderr, flush=True)


def _logged(command: list[str], environment: dict[str, str], log: pathlib.Path) -> int:
    """Run a command, its output into a file; its exit code."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        ended = subprocess.run(
            command, cwd=CHECKOUT, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    return ended.returncode


def _failure(log: pathlib.Path) -> str:
    """The task that failed: how it begins, and its end, where a run inside it tells its cause.

    The end of the log itself is about clearing away.
    """
    plain = [COLOURS.sub("", line).removeprefix(MARGIN) for line in log.read_text().splitlines(keepends=True)]
    failed = max((at for at, line in enumerate(plain) if line.startswith(("fatal: ", "failed: "))), default=len(plain))
    task = max((at for at, line in enumerate(plain[:failed]) if line.startswith("TASK [")), default=-LINES)
    after = (at for at, line in enumerate(plain) if at > failed and line.startswith(("TASK [", "PLAY ")))
    told = plain[task : next(after, None)]
    if len(told) > 2 * LINES:
        told[LINES:-LINES] = [f"[{len(told) - 2 * LINES} lines are left out]\n"]
    return "".join(told)
