# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs in the layout of AWX, run by ansible-runner: what they leave, how they end, and that no event holds a secret."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.awx import project
from ansible_collections.gpufleet.vllm.tests.awx.configuration import CHECKOUT, Json

SECRETS = {"vllm_server_hub_token": "token-of-a-test", "vault_assistant_api_key": "api-key-of-a-test"}
HERE: Json = {
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    "ansible_become": False,
    "gpu_detect_host_class": "cpu",
    "vllm_server_image": "vllm-cpu:0.32.0",
    "vllm_server_version": "0.32.0",
}
INSTANCE: Json = {"name": "a", "model": "/nowhere/model", "port": 8000, "api_key": "{{ vault_assistant_api_key }}"}


class Job(t.NamedTuple):
    """What AWX has of a job. `left` are its artifacts."""

    status: str
    left: Json
    events: str
    said: str


@pytest.fixture(scope="module")
def collections(tools: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What a sync of the project installs."""
    folder = tmp_path_factory.mktemp("sync") / "requirements_collections"
    project.synced(tools, folder)
    return folder


def job(tools: pathlib.Path, collections: pathlib.Path, folder: pathlib.Path, playbook: str, **host: t.Any) -> Job:
    """Run one with two hosts, whose order is lost on the way."""
    (folder / "env").mkdir()
    (folder / "inventory").mkdir()
    (folder / "project").symlink_to(CHECKOUT)
    variables = {"_meta": {"hostvars": {name: {**HERE, **host} for name in ("h2", "h1")}}}
    inventory = folder / "inventory" / "hosts"
    listed = json.dumps({"gpu_hosts": {"hosts": ["h2", "h1"]}, **variables})
    inventory.write_text(f"#!{sys.executable}\nprint({listed!r})\n")
    inventory.chmod(0o755)
    # As AWX has the extra variables of a credential: in a file of their own.
    secrets = folder / "env" / "credential"
    secrets.write_text(json.dumps(SECRETS))
    (folder / "env" / "cmdline").write_text(f"-e @{secrets}")
    # Answers of a survey; a blank one is an answer.
    (folder / "env" / "extravars").write_text(json.dumps({"vllm_server_target_version": "", "vllm_server_active": ""}))
    environment = {
        **os.environ,
        "PATH": f"{tools / 'bin'}:{os.environ['PATH']}",
        # AWX has that of the checkout's ansible.cfg behind it: what a sync has installed has to do.
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
    }
    command = [str(tools / "bin" / "ansible-runner"), "run", str(folder), "-p", playbook, "--ident", "1", "-q"]
    subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True)
    kept = folder / "artifacts" / "1"
    events = [json.loads(path.read_text()) for path in (kept / "job_events").glob("*.json")]
    stats = [event["event_data"] for event in events if event["event"] == "playbook_on_stats"]
    left = stats[0].get("artifact_data", {}) if stats else {}
    return Job((kept / "status").read_text(), left, json.dumps(events), (kept / "stdout").read_text())


def test_a_plan_leaves_what_serves_on_every_host(
    tools: pathlib.Path, collections: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    ended = job(tools, collections, tmp_path, "playbooks/plan.yml", vllm_server_instances=[])
    assert ended.status == "successful", ended.said
    assert ended.left == {"vllm_rollback_to": {"h1": {}, "h2": {}}, "gpufleet_plan": {"h1": {}, "h2": {}}}
    assert ended.said.index("[h1]") < ended.said.index("[h2]")


def test_a_plan_that_fails_fails_the_job_and_no_event_holds_a_secret(
    tools: pathlib.Path, collections: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    ended = job(tools, collections, tmp_path, "playbooks/plan.yml", vllm_server_instances=[INSTANCE])
    assert ended.status == "failed" and "/nowhere/model" in ended.said
    assert set(ended.left["gpufleet_plan"]) == {"h1", "h2"}
    # The table at the end: a callback of the collection beside that of AWX.
    assert "INSTANCES" in ended.events
    assert [secret for secret in SECRETS.values() if secret in ended.events + ended.said] == []


def test_a_secret_that_is_shown_would_be_found(
    tools: pathlib.Path, collections: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """What the test before would say of a task that shows one."""
    playbook = tmp_path / "shows.yml"
    shows = {"ansible.builtin.debug": {"msg": "{{ vault_assistant_api_key }}"}}
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [shows]}]))
    folder = tmp_path / "job"
    folder.mkdir()
    assert SECRETS["vault_assistant_api_key"] in job(tools, collections, folder, str(playbook)).events


def test_the_last_node_of_a_rollback_fails(
    tools: pathlib.Path, collections: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    ended = job(tools, collections, tmp_path, "awx/rolled_back.yml")
    assert (ended.status, ended.left) == ("failed", {})
    assert "The rollout failed." in ended.said
