# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role left on a host, and the daemons of the driver."""

from __future__ import annotations

import hashlib
import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import prepared
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import Tree


def test_units(tree: Tree) -> None:
    bare = prepared.observe(str(tree.root))
    assert not (bare["persistence_unit"] or bare["fabric_manager_unit"])
    tree.write("lib/systemd/system/nvidia-persistenced.service", "")
    tree.write("usr/lib/systemd/system/nvidia-fabricmanager.service", "")
    seen = prepared.observe(str(tree.root))
    assert (seen["persistence_unit"], seen["fabric_manager_unit"]) == (True, True)


@pytest.mark.parametrize(
    ("stamp", "content", "expected"),
    [
        (None, "x", None),
        ("no json", "x", None),
        ("[]", "x", None),
        ('{"digest": "d", "files": {}}', "x", {"digest": "d", "intact": True}),
        (
            json.dumps({"digest": "d", "files": {"/etc/f": hashlib.sha256(b"x").hexdigest()}}),
            "x",
            {"digest": "d", "intact": True},
        ),
        (
            json.dumps({"digest": "d", "files": {"/etc/f": hashlib.sha256(b"x").hexdigest()}}),
            "y",
            {"digest": "d", "intact": False},
        ),
        (json.dumps({"digest": "d", "files": {"/etc/gone": "0"}}), "x", {"digest": "d", "intact": False}),
    ],
)
def test_what_we_left(tree: Tree, stamp: str | None, content: str, expected: dict[str, t.Any] | None) -> None:
    tree.write("etc/f", content)
    if stamp is not None:
        tree.write(prepared.STAMP, stamp)
    assert prepared.prepared(str(tree.root)) == expected
