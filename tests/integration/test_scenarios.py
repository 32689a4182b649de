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

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
# It compiles a kernel module, which takes longer than all others: `molecule test --scenario-name driver`.
ON_REQUEST = ("driver",)
SCENARIOS = sorted(
    path.parent.name for path in (CHECKOUT / "molecule").glob("*/molecule.yml") if path.parent.name not in ON_REQUEST
)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What molecule puts before a line of Ansible.
MARGIN = "  │ "
# Of a task that failed.
LINES = 60


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, capfd: pytest.CaptureFixture[str], scenario_times: dict[str, float]) -> None:
    commands = pathlib.Path(sys.executable).parent
    environment = {
        **os.environ,
        # Molecule looks Ansible's commands up on PATH, and its scenarios in extensions/ unless told otherwise.
        "PATH": f"{commands}:{os.environ['PATH']}",
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
    }
    started = time.monotonic()
    with capfd.disabled():
        print(f"\n=== scenario {name}", flush=True)
        code, said = _told([str(commands / "molecule"), "test", "--scenario-name", name], environment)
        scenario_times[name] = time.monotonic() - started
        print(f"=== scenario {name}: {scenario_times[name]:.0f} s", flush=True)
    assert code == 0, f"molecule test --scenario-name {name} ended with {code}:\n{_failure(said)}"


def _told(command: list[str], environment: dict[str, str]) -> tuple[int, list[str]]:
    """Run a command, pass on what it says as it says it; its exit code and lines."""
    said = []
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        for line in t.cast("t.IO[str]", running.stdout):
            print(line, end="", flush=True)
            said.append(line)
    return running.returncode, said


def _failure(said: list[str]) -> str:
    """The task that failed and what it said, because the end of a long run is about clearing away."""
    plain = [COLOURS.sub("", line).removeprefix(MARGIN) for line in said]
    failed = max((at for at, line in enumerate(plain) if line.startswith(("fatal: ", "failed: "))), default=len(plain))
    task = max((at for at, line in enumerate(plain[:failed]) if line.startswith("TASK [")), default=-LINES)
    return "".join(plain[task : failed + LINES])
