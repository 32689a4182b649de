# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this folder share."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import Tree


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> Tree:
    """A host with memory and nothing else."""
    return Tree(tmp_path).memory()
