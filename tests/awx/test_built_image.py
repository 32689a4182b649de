# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of jobs, built on Debian: what is in it, and jobs in AWX's layout that reach two hosts by SSH from it."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.awx import built, layout, project

# ansible-core, ansible-runner and pynvml by pip, ssh and sshpass by Debian.
ASKED = """
import importlib.metadata, shutil, sys
for name in ("ansible-core", "ansible-runner", "nvidia-ml-py"):
    print(name, importlib.metadata.version(name))
print(*(name for name in ("ssh", "sshpass", "gcc", "nvidia-smi", "vllm") if shutil.which(name)))
"""


@pytest.fixture(scope="module")
def image(tools: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    built.build(tools, tmp_path_factory.mktemp("image"))
    return built.IMAGE


@pytest.fixture(scope="module")
def collections(tools: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("sync") / "requirements_collections"
    project.synced(tools, folder)
    return folder


@pytest.fixture(scope="module")
def hosts(image: str, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[built.Hosts]:
    assert image
    with built.Hosts(tmp_path_factory.mktemp("key"), ["h2", "h1"]) as found:
        yield found


def test_it_has_what_is_named_and_nothing_of_a_host(image: str) -> None:
    said = built.docker("run", "--rm", image, "python3", "-c", ASKED).splitlines()
    core = built.definition()["dependencies"]["ansible_core"]["package_pip"].replace("==", " ")
    assert said == [core, "ansible-runner 2.4.3", "nvidia-ml-py 13.615.71", "ssh sshpass"]


def test_a_plan_by_ssh_leaves_its_artifacts(
    hosts: built.Hosts, collections: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    ended = built.job(tmp_path, collections, hosts, "playbooks/plan.yml", vllm_server_instances=[])
    assert ended.status == "successful", ended.said
    assert ended.left["vllm_rollback_to"] == {"h1": {}, "h2": {}} == ended.left["gpufleet_plan"]
    assert ended.said.index("[h1]") < ended.said.index("[h2]")


def test_a_plan_with_errors_fails_and_shows_no_secret(
    hosts: built.Hosts, collections: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    given = {"vllm_server_instances": [layout.INSTANCE]}
    ended = built.job(tmp_path, collections, hosts, "playbooks/plan.yml", **given)
    assert ended.status == "failed"
    # The hosts were looked at: they have neither of the two.
    assert "h1 cannot be planned" in ended.said and "no container engine" in ended.said and "systemd" in ended.said
    assert ended.secrets() == []
    assert hosts.key.read_text().splitlines()[1] not in ended.events + ended.said
