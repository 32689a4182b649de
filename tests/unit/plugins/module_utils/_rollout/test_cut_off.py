# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kill or a daemon left half done is known by its container."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import containers, steps
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.recover import repair_cut_off, rest_cut_off
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import State
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import (
    NAME,
    entry,
    plan,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLD, NEW = 1024, 2048
BROKEN = Engine(ready_after=99, exits_after=2.0, log=((1.0, "error: unrecognized arguments: --nope"),))


@pytest.mark.parametrize(
    ("state", "policy", "stopped"),
    [(True, "no", True), (True, "unless-stopped", False), (False, "no", False)],
    ids=["a stop that was cut off", "it serves and was never to be stopped", "it is down"],
)
def test_only_a_stop_that_was_cut_off_is_brought_to_its_end(
    scene: Scene, state: bool, policy: str, stopped: bool
) -> None:
    scene.roll_out(OLD)
    current = scene.store.load().current
    assert current is not None
    found = scene.docker.containers[current.container_id]
    found["HostConfig"]["RestartPolicy"]["Name"] = policy
    found["State"]["Running"] = state
    scene.docker.writes.clear()
    containers.end_stop(scene.docker, current, 9)
    assert scene.docker.writes == (["stop vllm-assistant"] if stopped else [])
    containers.end_stop(scene.docker, dataclasses.replace(current, container_id=""), 9)
    containers.end_stop(scene.docker, dataclasses.replace(current, container_id="gone"), 9)
    assert scene.docker.writes == (["stop vllm-assistant"] if stopped else [])


@pytest.mark.parametrize(
    ("policy", "candidate", "failed", "running", "cut_off"),
    [
        ("unless-stopped", False, "", True, False),
        ("no", False, "", True, True),
        ("no", True, "", True, False),
        ("no", False, "it did not come up", True, False),
        (None, False, "", True, True),
        ("unless-stopped", False, "", False, False),
    ],
    ids=["it serves", "no policy", "a candidate is tried", "it is known to be down", "gone", "Docker has it"],
)
def test_a_repair_was_cut_off_where_docker_does_not_start_it_again(
    scene: Scene, policy: str | None, candidate: bool, failed: str, running: bool, cut_off: bool
) -> None:
    scene.roll_out(OLD)
    state = scene.store.load()
    assert state.current is not None
    found = scene.docker.containers[state.current.container_id]
    found["HostConfig"]["RestartPolicy"]["Name"] = policy
    found["State"]["Running"] = running
    if policy is None:
        scene.docker.containers.clear()
    state = dataclasses.replace(state, candidate=entry(NEW) if candidate else None, failed=failed)
    assert repair_cut_off(scene.host, state) == (state.current if cut_off else None)
    assert repair_cut_off(scene.host, State(NAME)) is None


@pytest.mark.parametrize(
    ("policy", "running", "cut_off"),
    [("no", False, False), ("no", True, True), ("unless-stopped", False, True), (None, False, False)],
)
def test_a_rest_was_cut_off_where_it_runs_or_would_again(
    scene: Scene, policy: str | None, running: bool, cut_off: bool
) -> None:
    scene.roll_out(OLD)
    state = scene.store.load()
    assert state.current is not None
    found = scene.docker.containers[state.current.container_id]
    found["HostConfig"]["RestartPolicy"]["Name"] = policy
    found["State"]["Running"] = running
    if policy is None:
        scene.docker.containers.clear()
    rests = dataclasses.replace(state, current=None, resting=state.current)
    assert rest_cut_off(scene.host, rests) is cut_off
    assert not rest_cut_off(scene.host, state)
    for busy in ({"candidate": entry(NEW)}, {"current": state.current}, {"resting": None}):
        assert not rest_cut_off(scene.host, dataclasses.replace(rests, **t.cast(t.Any, busy)))


def test_a_candidate_that_docker_does_not_remove_leaves_the_release_before_it_known(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, BROKEN)
    scene.docker.errors["remove vllm-assistant"] = DockerError(500, "device busy")
    assert scene.roll_out(NEW) == "failed"
    assert "device busy" in scene.last()["detail"]
    state = scene.store.load()
    assert state.candidate is None and state.failed == scene.last()["detail"]
    assert state.current is not None and state.current.digest == plan(OLD)["digest"]


def test_a_release_of_which_clients_cannot_be_told_is_not_committed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.roll_out(OLD)

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(steps, "write", full)
    assert scene.roll_out(NEW) == "rolled_back"
    assert scene.last()["facts"]["failure"]["failure_class"] == "disk.full"
    assert scene.serves() == OLD
    monkeypatch.undo()
    scene.assert_settled()
