# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A state that is lost, rebuilt from the containers."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.rebuild import load
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import (
    Scene,
)

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


@pytest.mark.parametrize("lost", [False, True])
def test_a_daemon_that_is_away_says_nothing_against_the_state(scene: Scene, lost: bool) -> None:
    """After a reboot the state is read before Docker is up. One that is lost is missed as soon as it is."""
    scene.roll_out(OLD)
    path = pathlib.Path(scene.store.path("state.json"))
    if lost:
        path.unlink()
    scene.docker.away = True
    state, problem = load(scene.store, scene.docker, scene.client_dir)
    assert (state.current is None, problem, path.exists()) == (lost, "", not lost)
    scene.docker.away = False
    state, problem = load(scene.store, scene.docker, scene.client_dir)
    assert state.current is not None and state.current.digest == plan(OLD)["digest"]
    assert ("it is missing, and 1 containers of the instance are there" in problem) is lost


@pytest.mark.parametrize(("planned", "length"), [(OLD, OLD), ("auto", 777), (None, 777)])
def test_what_clients_are_told_after_a_loss_is_what_was_shown(scene: Scene, planned: object, length: int) -> None:
    """The length is the release's own where it states one, else the one that clients were told."""
    scene.roll_out(OLD)
    found = scene.docker.containers["id2"]
    document = json.loads(found["Config"]["Labels"]["io.gpufleet.release"])
    document["arguments"] = {} if planned is None else {"max_model_len": planned}
    found["Config"]["Labels"]["io.gpufleet.release"] = json.dumps(document)
    client = pathlib.Path(scene.client_dir, NAME, "client.json")
    client.write_text(json.dumps({**json.loads(client.read_text()), "max_model_len": 777}))
    pathlib.Path(scene.store.path("state.json")).write_text("{")
    state, problem = load(scene.store, scene.docker, scene.client_dir)
    assert problem and state.current is not None
    assert state.current.verified == {"served_model_names": [NAME], "max_model_len": length}
