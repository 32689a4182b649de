# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkout as a project of AWX."""

from __future__ import annotations

import os
import pathlib
import subprocess

from ansible_collections.gpufleet.vllm.tests.awx.configuration import CHECKOUT


def synced(tools: pathlib.Path, folder: pathlib.Path) -> None:
    """Do what a sync does in the root of the checkout: install collections/requirements.yml to a path of its own."""
    command = [str(tools / "bin" / "ansible-galaxy"), "collection", "install", "-r", "collections/requirements.yml"]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(folder)}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "gpufleet.vllm:0.1.0 was installed successfully" in done.stdout, done.stderr
