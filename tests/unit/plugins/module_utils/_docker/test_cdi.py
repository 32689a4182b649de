# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices in CDI specifications."""

from __future__ import annotations

import json

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker import cdi
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import Tree

# As nvidia-ctk writes it: keys sorted, lists not indented, names below edits.
NVIDIA = """\
---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
  hooks:
  - args:
    - nvidia-cdi-hook
    name: not-a-device
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
      name: not-a-device
  name: "0"
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: GPU-4eda2005-0000-4000-8000-000000000001
- name: all
  containerEdits: {}
kind: nvidia.com/gpu
"""
INDENTED = """\
kind: "example.com/device"
devices:
  # the first
  - name: 'one'
    containerEdits:
      env: [name=x]
  - containerEdits:
      env: []
    name: two
"""


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        pytest.param(
            "nvidia.yaml",
            NVIDIA,
            ["nvidia.com/gpu=0", "nvidia.com/gpu=GPU-4eda2005-0000-4000-8000-000000000001", "nvidia.com/gpu=all"],
            id="nvidia-ctk",
        ),
        pytest.param("own.yaml", INDENTED, ["example.com/device=one", "example.com/device=two"], id="indented"),
        pytest.param(
            "nvidia.json",
            json.dumps({"kind": "nvidia.com/gpu", "devices": [{"name": "1"}, {"name": "0"}, {}]}),
            ["nvidia.com/gpu=0", "nvidia.com/gpu=1"],
            id="JSON",
        ),
        pytest.param("list.json", "[]", [], id="JSON that is none"),
        pytest.param("broken.json", '{"kind": ', [], id="broken"),
        pytest.param("nokind.yaml", "devices:\n- name: x\n", [], id="without kind"),
        pytest.param("notes.txt", NVIDIA, [], id="another file"),
    ],
)
def test_devices(tree: Tree, file: str, text: str, expected: list[str]) -> None:
    tree.write(f"etc/cdi/{file}", text)
    assert cdi.devices(["/etc/cdi", "/var/run/cdi"], str(tree.root)) == expected


def test_a_device_in_two_folders_is_named_once(tree: Tree) -> None:
    tree.write("etc/cdi/a.yaml", INDENTED).write("run/cdi/b.yaml", INDENTED)
    assert len(cdi.devices(["/etc/cdi", "/run/cdi"], str(tree.root))) == 2
