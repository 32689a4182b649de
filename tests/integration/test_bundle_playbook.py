# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook `bundle` plans packages of hosts that it can ask or that are stated, and says what it lacks for them."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
STATED = {"distribution": "debian", "version": 13}


@pytest.mark.parametrize(
    "host, said",
    [
        (
            # Port 1 of this machine answers nobody.
            {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
            ["h1 cannot be reached from here", "state it in vllm_bundle_system", "vllm_bundle_packages to false"],
        ),
        (
            {"vllm_bundle_system": {**STATED, "version": 11, "gpus": ["1002:1"]}},
            ["vllm_bundle_system is 'debian' '11', expected one of debian 12", "vllm_bundle_system.gpus has '1002:1'"],
        ),
        (
            {"vllm_bundle_system": STATED, "vllm_bundle_archive": {"keyring": "/none.gpg"}},
            [
                "docker.io, docker-cli, python3-apt: the key of the repository archive",
                "is looked for in /none.gpg, and",
            ],
        ),
    ],
    ids=["out of reach", "stated wrongly", "no keyring"],
)
def test_it_says_what_it_lacks(tmp_path: pathlib.Path, host: dict[str, t.Any], said: list[str]) -> None:
    variables = {
        "gpu_detect_host_class": "cpu",
        "vllm_server_instances": [],
        "vllm_bundle_packages": True,
        "vllm_bundle_dir": str(tmp_path / "bundle"),
    }
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"gpu_hosts": {"hosts": {"h1": {**variables, **host}}}}))
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "gpufleet.vllm.bundle", "--check"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "false"}
    ended = subprocess.run(
        [*command, "--inventory", str(inventory)],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    told = " ".join(f"{ended.stdout} {ended.stderr}".split())
    assert ended.returncode == 2 and all(one in told for one in said), told
    assert not (tmp_path / "bundle").exists()


def test_what_a_manifest_says_does_not_steer_the_terminal(tmp_path: pathlib.Path) -> None:
    tasks = [
        {"gpufleet.vllm.vllm_bundle_facts": {"path": f"{tmp_path}/\x1b[31mred"}, "ignore_errors": True},
        {
            "gpufleet.vllm.vllm_bundle_packages": {
                "path": f"{tmp_path}/\x1b[31mred",
                "digest": "",
                "os": {},
                "packages": [],
            }
        },
    ]
    playbook = tmp_path / "look.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "false"}
    command = [
        str(pathlib.Path(sys.executable).parent / "ansible-playbook"),
        "--check",
        "-vvv",
        str(playbook),
    ]
    ended = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    told = " ".join(f"{ended.stdout} {ended.stderr}".split())
    assert ended.returncode == 2 and told.count("[ERROR]: Task failed: Module failed: ") == 2, told
    assert "red is not there on the host" in told and "\x1b" not in told
