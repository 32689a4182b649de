# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every Molecule scenario is a test: real hosts in containers, a real Docker engine and a real vLLM in each."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
# It compiles a kernel module, which takes longer than all others: `molecule test --scenario-name driver`.
ON_REQUEST = ("driver",)
SCENARIOS = sorted(
    path.parent.name for path in (CHECKOUT / "molecule").glob("*/molecule.yml") if path.parent.name not in ON_REQUEST
)


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
        ended = subprocess.run(
            [str(commands / "molecule"), "test", "--scenario-name", name], cwd=CHECKOUT, env=environment, check=False
        )
        scenario_times[name] = time.monotonic() - started
        print(f"=== scenario {name}: {scenario_times[name]:.0f} s", flush=True)
    assert ended.returncode == 0, f"molecule test --scenario-name {name} ended with {ended.returncode}"
