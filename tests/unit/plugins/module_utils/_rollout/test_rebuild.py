# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A state that is lost, rebuilt from the containers."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import (
    Scene,
)

OLDEST, OLD, NEW = 512, 1024, 2048
OLDEST, OLD = 512, 1024


@pytest.mark.parametrize(
    "text",
    [b"{", b"\xff\xfe\x00", b'{"schema": 0, "checksum": "", "state": {}}', None],
    ids=["cut", "binary", "of no schema", "gone"],
)
def test_a_lost_state_is_rebuilt_from_the_containers_and_said(scene: Scene, text: bytes | None) -> None:
    scene.roll_out(OLDEST)
    scene.roll_out(OLD)
    path = pathlib.Path(scene.store.path("state.json"))
    path.write_bytes(text or b"")
    if text is None:
        path.unlink()
    assert scene.recover() == ""
    state = scene.store.load()
    assert state.current is not None and state.current.digest == plan(OLD)["digest"]
    assert state.previous is not None and state.previous.digest == plan(OLDEST)["digest"]
    assert "rebuilt from the labels" in scene.last()["detail"]
    assert scene.serves() == OLD
    aside = pathlib.Path(scene.store.path("state.json.damaged"))
    assert (aside.read_bytes() if aside.exists() else None) == text
    scene.assert_settled()


def test_a_state_that_cannot_be_rebuilt_is_left_alone_and_said(scene: Scene) -> None:
    scene.roll_out(OLD)
    path = pathlib.Path(scene.store.path("state.json"))
    path.write_text("{")
    scene.docker.containers["id2"]["HostConfig"]["RestartPolicy"]["Name"] = "no"
    writes = len(scene.docker.writes)
    assert scene.recover() == "failed"
    assert "nothing was touched" in scene.last()["detail"]
    assert (len(scene.docker.writes), path.read_text()) == (writes, "{")


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("", "Expecting value"),
        ("[" * 9999, "nested deeper than 64 levels"),
        ("[]", "the label is a list, not an object"),
        ('{"instance": "assistant"}', "the label has no image"),
        ('{"port": 1e400}', "the number 1e400, which is too large"),
    ],
)
def test_a_label_that_is_no_release_rebuilds_nothing(scene: Scene, label: str, why: str) -> None:
    scene.roll_out(OLD)
    pathlib.Path(scene.store.path("state.json")).write_text("{")
    scene.docker.containers["id2"]["Config"]["Labels"]["io.gpufleet.release"] = label
    writes = len(scene.docker.writes)
    assert scene.recover() == "failed"
    assert why in scene.last()["detail"] and "nothing was touched" in scene.last()["detail"]
    assert len(scene.docker.writes) == writes
