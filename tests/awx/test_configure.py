# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""awx/configure.yml with the real modules of awx.awx against a stand-in for the API: what runs change and show."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.awx.configuration import CHECKOUT, Json
from ansible_collections.gpufleet.vllm.tests.awx.controller import HIDDEN, Controller, Served

SECRETS = ["ssh-key-of-a-test", "word-for-sudo-of-a-test", "token-of-a-test", "password-of-a-test", "key-of-a-test"]
GIVEN: Json = {
    "fleet_credentials": ["machine", "hub", "registry", "api_keys", "vault"],
    "fleet_ssh_private_key": SECRETS[0],
    "fleet_become_password": SECRETS[1],
    "fleet_hub_token": SECRETS[2],
    "fleet_registry": {"host": "registry.example.com", "username": "me", "password": SECRETS[3]},
    "fleet_api_keys": {"vault_assistant_api_key": SECRETS[4]},
    "fleet_webhook_url": "https://hooks.example.com/awx",
    "fleet_keep_alive": 240,
}


class Ended(t.NamedTuple):
    code: int
    said: str
    # Tasks that changed something, with what they were about.
    changed: list[str]


def configure(tools: pathlib.Path, folder: pathlib.Path, url: str, *options: str, **given: t.Any) -> Ended:
    """One run."""
    mine = folder / "mine.json"
    mine.write_text(json.dumps({"aap_hostname": url, "aap_token": "token-of-the-api", **given}))
    command = [str(tools / "bin" / "ansible-playbook"), "awx/configure.yml", "-e", f"@{mine}", *options]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    changed, task = [], ""
    for line in done.stdout.splitlines():
        task = found[1] if (found := re.match(r"TASK \[(.*)\]", line)) else task
        if found := re.match(r"changed: \[localhost\](?: => \(item=(.*)\))?", line):
            changed.append(f"{task}: {found[1]}")
    return Ended(done.returncode, done.stdout + done.stderr, changed)


def nodes_of(controller: Controller) -> dict[str, Json]:
    """By identifier, what each node runs and where it leads."""
    names = {
        one["id"]: one.get("name") or one["identifier"] for kind in controller.objects.values() for one in kind.values()
    }
    return {
        node["identifier"]: {
            "runs": names[node["unified_job_template"]],
            **{
                link: [names[number] for number in controller.linked(node, link)]
                for link in ("success_nodes", "failure_nodes", "always_nodes")
            },
        }
        for node in controller.objects["workflow_job_template_nodes"].values()
    }


def test_a_second_run_changes_nothing_and_no_run_shows_a_secret(tools: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with Served() as served:
        first = configure(tools, tmp_path, served.url, "-vvv", **GIVEN)
        assert first.code == 0, first.said
        second = configure(tools, tmp_path, served.url, **GIVEN)
        third = configure(tools, tmp_path, served.url, "--check", **GIVEN)
    assert (second.code, second.changed, third.code, third.changed) == (0, [], 0, [])
    assert [secret for secret in [*SECRETS, "token-of-the-api"] if secret in first.said + second.said] == []
    assert served.controller.refused == []
    credential = served.controller.named("credentials", "gpufleet registry")
    assert credential["inputs"] == GIVEN["fleet_registry"]
    assert served.controller.shown(credential)["inputs"]["password"] == HIDDEN
    assert served.controller.settings == {"AWX_RUNNER_KEEPALIVE_SECONDS": 240}
    nodes = nodes_of(served.controller)
    assert len(nodes) == 8 and nodes["approval"]["runs"] == "gpufleet approval"
    assert nodes["fleet"] == {
        "runs": "gpufleet deploy",
        "success_nodes": ["fleet proof"],
        "failure_nodes": ["back"],
        "always_nodes": [],
    }


def test_what_is_filled_in_by_hand_stays_and_a_new_secret_takes_a_word(
    tools: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Served() as served:
        assert configure(tools, tmp_path, served.url, fleet_credentials=["machine"]).code == 0
        machine = served.controller.named("credentials", "gpufleet machine")
        by_hand = {"username": "admin", "ssh_key_data": "by hand"}
        machine["inputs"] = by_hand
        assert configure(tools, tmp_path, served.url, fleet_credentials=["machine"]).changed == []
        assert machine["inputs"] == by_hand
        new = {"fleet_ssh_user": "admin", "fleet_ssh_private_key": "new"}
        told = configure(tools, tmp_path, served.url, fleet_update_secrets=True, **new)
        assert told.code == 0 and "Have the credentials: gpufleet machine" in told.changed
        assert machine["inputs"]["ssh_key_data"] == "new"


def test_an_unknown_credential_is_refused_before_anything_is_touched(
    tools: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Served() as served:
        ended = configure(tools, tmp_path, served.url, fleet_credentials=["machine", "hup"])
    assert ended.code == 2 and "fleet_credentials has hup: write some of machine, hub" in ended.said
    assert "organizations" not in served.controller.objects


@pytest.mark.parametrize("given", [{"aap_hostname": "http://127.0.0.1:1"}])
def test_an_api_that_is_away_is_told(tools: pathlib.Path, tmp_path: pathlib.Path, given: Json) -> None:
    ended = configure(tools, tmp_path, "", **given)
    assert ended.code == 2 and "127.0.0.1:1" in ended.said
