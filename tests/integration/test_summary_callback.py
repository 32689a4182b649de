# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The summary at the end of a real run, for a host that nobody reaches and one that is refused."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - gpufleet.vllm.role_settings:
        role: vllm_server
        values: true
    - ansible.builtin.ping:
"""
HOSTS = """
refused ansible_connection=local vllm_server_memory_check=perhaps
away ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1
[all:vars]
ansible_python_interpreter="{{ ansible_playbook_python }}"
"""


def test_a_summary_tells_of_each_host_once(tmp_path: pathlib.Path) -> None:
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "hosts.ini").write_text(HOSTS)
    told = tmp_path / "summary.json"
    commands = pathlib.Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "ANSIBLE_CALLBACKS_ENABLED": "gpufleet.vllm.summary",
        "GPUFLEET_SUMMARY_JSON": str(told),
    }
    command = ["ansible-playbook", "-i", str(tmp_path / "hosts.ini"), str(tmp_path / "play.yml")]
    run = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    lines = run.stdout.split("INSTANCES", 1)[1].splitlines()[1:4]
    assert [line.split()[0] for line in lines] == ["host", "away", "refused"], run.stdout + run.stderr
    rows = {row["host"]: row for row in json.loads(told.read_text())}
    assert rows["away"]["verdict"] == "unreachable"
    assert rows["refused"]["verdict"] == "failed" and "vllm_server_memory_check" in rows["refused"]["cause"]
