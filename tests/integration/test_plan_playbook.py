# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook plan.yml: all hosts are on the page, whatever is wrong with some, and the exit code says that."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import typing as t

import pytest
import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
TYPO = {"name": "a", "model": "/nowhere/model", "port": 8000, "engine_args": {"max_model_length": 4096}}
HERE: dict[str, t.Any] = {
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    "ansible_become": False,
    "gpu_detect_host_class": "cpu",
    "vllm_server_image": "vllm-cpu:0.32.0",
    "vllm_server_version": "0.32.0",
    "vllm_server_instances": [],
}


def plan(folder: pathlib.Path, hosts: dict[str, dict[str, t.Any]]) -> subprocess.CompletedProcess[str]:
    inventory = folder / "hosts.yml"
    inventory.write_text(
        yaml.safe_dump({"gpu_hosts": {"hosts": {name: {**HERE, **given} for name, given in hosts.items()}}})
    )
    command = [
        str(pathlib.Path(sys.executable).parent / "ansible-playbook"),
        "playbooks/plan.yml",
        "-i",
        str(inventory),
    ]
    # The usual limit, under which a play on localhost would find no host.
    command += [
        "-l",
        "gpu_hosts",
        "-e",
        f"vllm_plan_html={folder}/plan.html",
        "-e",
        f"vllm_plan_json={folder}/plan.json",
    ]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"}
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def silent_ssh(tmp_path: pathlib.Path) -> dict[str, t.Any]:
    """A host that nobody answers for: what ssh says and returns then."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host gpu-3 port 22: No route to host' >&2\nexit 255\n")
    ssh.chmod(0o755)
    return {"ansible_connection": "ssh", "ansible_ssh_executable": str(ssh), "ansible_ssh_retries": 0}


def test_hosts_that_cannot_be_planned_keep_nobody_off_the_page(
    tmp_path: pathlib.Path, silent_ssh: dict[str, t.Any]
) -> None:
    hosts: dict[str, dict[str, t.Any]] = {
        "gpu-1": {},
        "gpu-2": {"gpu_detect_host_class": "gpu_12gb"},
        "gpu-3": silent_ssh,
        "gpu-4": {"vllm_server_instances": [TYPO]},
    }
    ended = plan(tmp_path, hosts)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    document = json.loads((tmp_path / "plan.json").read_text())
    assert {host["name"]: host["state"] for host in document["hosts"]} == {
        "gpu-1": "planned",
        "gpu-2": "failed",
        "gpu-3": "unreachable",
        "gpu-4": "refused",
    }
    errors = {host["name"]: " ".join(host["errors"]) for host in document["hosts"]}
    assert "expects 1 NVIDIA GPU, found none" in errors["gpu-2"]
    assert "No route to host" in errors["gpu-3"]
    assert "Did you mean max_model_len?" in errors["gpu-4"]
    page = (tmp_path / "plan.html").read_text()
    assert all(host in page for host in hosts)
    assert "3 hosts cannot be planned." in ended.stdout
    assert re.findall(r"^(gpu-\d) .* failed=1", ended.stdout, re.MULTILINE) == ["gpu-2", "gpu-3", "gpu-4"]
    assert set(re.findall(r"changed=(\d+)", ended.stdout)) == {"0"}


def test_nothing_wrong_is_exit_code_0(tmp_path: pathlib.Path) -> None:
    ended = plan(tmp_path, {"gpu-1": {}})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads((tmp_path / "plan.json").read_text())["totals"]["hosts"] == {"planned": 1}


def test_a_class_of_ones_own_is_stated_in_one_place(tmp_path: pathlib.Path) -> None:
    own = {"mine": {"engine_args": {"max_model_length": 4096}, "limits": {"max_num_seqs": 2}}}
    found = {"gpu_detect_host_class": "auto", "gpu_detect_host_classes": own}
    listed = [{"name": "a", "model": "/nowhere/model", "port": 8000, "engine_args": {"max_num_seqs": 4}}]
    hosts = {
        "gpu-1": {**found, "vllm_server_instances": listed},
        "gpu-2": {**found, "vllm_server_instances": listed, "vllm_server_class_limits": {"max_num_seqs": 8}},
    }
    ended = plan(tmp_path, hosts)
    document = json.loads((tmp_path / "plan.json").read_text())
    errors = {host["name"]: " ".join(host["errors"]) for host in document["hosts"]}
    assert "max_num_seqs is 4 (instance), and class mine allows at most 2" in errors["gpu-1"], ended.stdout
    assert all("max_model_length" in text and "class mine" in text for text in errors.values())
    assert "allows at most" not in errors["gpu-2"]
