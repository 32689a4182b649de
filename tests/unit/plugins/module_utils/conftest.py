# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts on which tests of several rooms stand."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._state import units
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import Tree
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.watched import Watched


@pytest.fixture
def scene(tmp_path: pathlib.Path) -> Scene:
    """A host with nothing on it."""
    return Scene(tmp_path)


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A host with nothing on it, which is watched, and on which no unit lives."""
    monkeypatch.setattr(units, "running", lambda _instance: False)
    return Watched(tmp_path)


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> Tree:
    """A host with memory and nothing else."""
    return Tree(tmp_path).memory()
