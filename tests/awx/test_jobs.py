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

from ansible_collections.gpufleet.vllm.tests.awx import layout, project
from ansible_collections.gpufleet.vllm.tests.awx.configuration import CHECKOUT, Json

HERE: Json = {
    **layout.STATED,
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    "ansible_become": False,
}


@pytest.fixture(scope="module")
def collections(tools: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What a sync of the project installs."""
    folder = tmp_path_factory.mktemp("sync") / "requirements_collections"
    project.synced(tools, folder)
    return folder


def job(
    tools: pathlib.Path, collections: pathlib.Path, folder: pathlib.Path, playbook: str, **host: t.Any
) -> layout.Job:
    """Run one with two hosts, whose order is lost on the way."""
    layout.lay_out(folder, {name: {**HERE, **host} for name in ("h2", "h1")}, sys.executable, folder)
    (folder / "project").symlink_to(CHECKOUT)
    environment = {
        **os.environ,
        "PATH": f"{tools / 'bin'}:{os.environ['PATH']}",
        # AWX has that of the checkout's ansible.cfg behind it: what a sync has installed has to do.
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
    }
    command = [str(tools / "bin" / "ansible-runner"), "run", str(folder), "-p", playbook, "--ident", layout.IDENT, "-q"]
    subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True)
    return layout.kept(folder)


def test_a_plan_leaves_what_serves_on_every_host(
    tools: pathlib.Path, collections: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    ended = job(tools, collections, tmp_path, "playbooks/plan.yml", vllm_server_instances=[])
    assert ended.status == "successful", ended.said
    left = ("vllm_rollback_to", "gpufleet_plan", "vllm_server_approved")
    assert ended.left == {name: {"h1": {}, "h2": {}} for name in left}
    assert ended.said.index("[h1]") < ended.said.index("[h2]")


def test_a_plan_that_fails_fails_the_job_and_no_event_holds_a_secret(
    tools: pathlib.Path, collections: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    ended = job(tools, collections, tmp_path, "playbooks/plan.yml", vllm_server_instances=[layout.INSTANCE])
    assert ended.status == "failed" and "/nowhere/model" in ended.said
    assert set(ended.left["gpufleet_plan"]) == {"h1", "h2"} and "vllm_server_approved" not in ended.left
    # The table at the end: a callback of the collection beside that of AWX.
    assert "INSTANCES" in ended.events
    assert ended.secrets() == []


def test_a_secret_that_is_shown_would_be_found(
    tools: pathlib.Path, collections: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """What the test before would say of a task that shows one."""
    playbook = tmp_path / "shows.yml"
    shows = {"ansible.builtin.debug": {"msg": "{{ vault_assistant_api_key }}"}}
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [shows]}]))
    folder = tmp_path / "job"
    folder.mkdir()
    assert job(tools, collections, folder, str(playbook)).secrets() == [layout.SECRETS["vault_assistant_api_key"]]


def test_the_last_node_of_a_rollback_fails(
    tools: pathlib.Path, collections: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    ended = job(tools, collections, tmp_path, "awx/rolled_back.yml")
    assert (ended.status, ended.left) == ("failed", {})
    assert "The rollout failed." in ended.said
