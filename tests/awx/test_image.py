# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-builder makes of the checkout: the context of an image, and what the collection itself asks for."""

from __future__ import annotations

import pathlib
import subprocess

import pytest
import yaml

from ansible_collections.gpufleet.vllm.tests.awx import project
from ansible_collections.gpufleet.vllm.tests.awx.configuration import CHECKOUT

NEEDS = CHECKOUT / "meta" / "ee-requirements.txt"


def built(tools: pathlib.Path, definition: pathlib.Path, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [str(tools / "bin" / "ansible-builder"), "create", "-f", str(definition), "--context", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_context_of_the_image_is_made(tools: pathlib.Path, tmp_path: pathlib.Path) -> None:
    done = built(tools, CHECKOUT / "execution-environment.yml", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    recipe = (tmp_path / "Dockerfile").read_text()
    assert 'EE_BASE_IMAGE="quay.io/centos/centos:stream9"' in recipe and 'PYCMD="/usr/bin/python3.12"' in recipe
    assert 'ANSIBLE_INSTALL_REFS="ansible-core==2.19.14 ansible-runner==2.4.3"' in recipe
    assert (tmp_path / "_build" / "requirements.txt").read_text() == NEEDS.read_text()
    assert (tmp_path / "_build" / "bindep.txt").read_text() == (CHECKOUT / "bindep.txt").read_text()


@pytest.mark.parametrize("key", ["bogus", "dependencys"])
def test_a_definition_that_is_none_is_refused(tools: pathlib.Path, tmp_path: pathlib.Path, key: str) -> None:
    definition = yaml.safe_load((CHECKOUT / "execution-environment.yml").read_text())
    wrong = tmp_path / "execution-environment.yml"
    wrong.write_text(yaml.safe_dump({**definition, key: {}}))
    done = built(tools, wrong, tmp_path / "context")
    assert done.returncode != 0 and key in done.stdout + done.stderr


def test_the_installed_collection_says_what_it_needs(tools: pathlib.Path, tmp_path: pathlib.Path) -> None:
    project.synced(tools, tmp_path)
    here = tmp_path / "ansible_collections" / "gpufleet" / "vllm"
    kept = {path.name for path in here.iterdir()}
    assert {"plugins", "roles", "playbooks", "bindep.txt"} <= kept
    assert kept & {"awx", "inventories", "collections", "tests", ".collections"} == set()
    command = [str(tools / "bin" / "ansible-builder"), "introspect", str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "nvidia-ml-py==13.615.71  # from collection gpufleet.vllm" in said
    assert "openssh-clients [platform:rpm]  # from collection gpufleet.vllm" in said
