# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of ours get back the GPUs that they lost, one after the other."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.gpu_access import GpuContainer, Probed
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.gpu_regain import Instances, NotRegained, regain
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._runtime.containers import (
    LOST,
    Host,
    container,
)

ALL = "/dev/nvidia0, /dev/nvidiactl"


def host(**access: Probed) -> Host:
    """Two containers of ours and one of somebody else, all with their GPUs but for those named."""
    made = Host(container("vllm-a", instance="a"), container("vllm-b", instance="b"), container("other"))
    made.access = {name.replace("_", "-"): probed for name, probed in access.items()}
    return made


def test_nothing_is_done_where_nothing_is_lost() -> None:
    made = host()
    outcome = regain(True, made.ports(), False)
    assert (made.did, outcome.restarted, outcome.warnings) == ([], [], [])
    assert [one["name"] for one in outcome.containers] == ["other", "vllm-a", "vllm-b"]


def test_what_is_ours_is_restarted_and_what_is_not_is_named() -> None:
    made = host(vllm_b=LOST, other=LOST)
    outcome = regain(True, made.ports(), False)
    assert (made.did, outcome.restarted) == (["restart vllm-b 45"], ["vllm-b"])
    assert [one["lost"] for one in outcome.containers] == [ALL.split(", "), [], []]
    (warning,) = outcome.warnings
    assert warning.startswith(f"other may not open {ALL} any more, as after a daemon-reload")
    assert warning.endswith("not ours and was left alone. This gives it its GPUs back: docker restart other")
    again = regain(True, made.ports(), False)
    assert (len(made.did), again.restarted, again.warnings) == (1, [], [warning])


def test_a_check_run_restarts_nothing() -> None:
    made = host(vllm_a=LOST)
    outcome = regain(True, made.ports(), True)
    assert (made.did, outcome.restarted) == ([], ["vllm-a"])
    assert outcome.containers[1]["lost"] == ALL.split(", ")


@pytest.mark.parametrize(
    ("restart", "rollouts", "probed", "said"),
    [
        (False, set(), LOST, "It was left alone. This gives it its GPUs back: docker restart vllm-a"),
        (True, {"a"}, LOST, "because a rollout of a is running"),
        (
            True,
            set(),
            Probed({}, "it is paused"),
            "Whether vllm-a still has its GPUs cannot be found out (it is paused).",
        ),
    ],
)
def test_what_is_left_alone_is_told(restart: bool, rollouts: set[str], probed: Probed, said: str) -> None:
    made = host(vllm_a=probed)
    made.rollouts = rollouts
    outcome = regain(restart, made.ports(), False)
    assert (made.did, outcome.restarted) == ([], [])
    assert said in outcome.warnings[0]


def test_the_next_one_waits_until_the_first_serves() -> None:
    made = host(vllm_a=LOST, vllm_b=LOST)
    made.limits, made.loads = {"a": 60.0}, {"a": 20.0}
    assert regain(True, made.ports(), False).restarted == ["vllm-a", "vllm-b"]
    assert made.did == ["restart vllm-a 45", "a serves", "restart vllm-b 45"]
    assert made.clock == 20.0


def test_what_is_stopped_meanwhile_is_not_started() -> None:
    made = host(vllm_a=LOST, vllm_b=LOST)
    made.limits, made.loads, made.stopped = {"a": 60.0}, {"a": 20.0}, {"id-vllm-b"}
    assert regain(True, made.ports(), False).restarted == ["vllm-a"]
    assert "restart vllm-b 45" not in made.did


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"after": {"vllm-a": LOST}}, f"any more, and a restart did not give it back: {ALL}. Create it again"),
        ({"after": {"vllm-a": Probed({"/dev/nvidiactl": 0})}}, "did not give it back: /dev/nvidia0."),
        ({"after": {"vllm-a": Probed({}, "no answer within 5 s")}}, "did not give it back: no answer within 5 s."),
        ({"ends": {"id-vllm-a"}}, "was restarted, and ended at once: see docker logs vllm-a."),
        ({"stuck": {"id-vllm-a"}}, "Docker could not restart it: tried to kill it, and it is still there."),
        (
            {"limits": {"a": 60.0}, "loads": {"a": 61.0}},
            "has its GPUs back, and does not serve after 60 s: /health does not answer 200. See docker logs vllm-a.",
        ),
    ],
)
def test_the_first_that_fails_is_the_last_that_is_touched(faults: dict[str, t.Any], said: str) -> None:
    made = host(vllm_a=LOST, vllm_b=LOST)
    vars(made).update(faults)
    with pytest.raises(NotRegained) as error:
        regain(True, made.ports(), False)
    assert said in str(error.value)
    assert "restart vllm-b 45" not in made.did


def test_what_the_host_knows_of_an_instance(tmp_path: pathlib.Path) -> None:
    scene = Scene(tmp_path)
    scene.roll_out(1024, settings={"smoke": {}, "timeouts": {"stop": 7, "ready": 300, "hold": 1}})
    instances = Instances(scene.docker, scene.host.http, scene.store.state_dir)
    current = scene.store.load().current
    assert current is not None
    serving: GpuContainer = {"instance": NAME, "id": current.container_id}
    assert (instances.grace(serving), instances.ready_within(serving)) == (7, 300.0)
    assert instances.unhealthy_because(NAME) == ""
    scene.docker.stop(current.container_id, 1)
    assert instances.unhealthy_because(NAME).startswith("its container is exited")


@pytest.mark.parametrize("text", ["", "{"])
def test_a_container_that_no_state_knows_need_not_serve(tmp_path: pathlib.Path, text: str) -> None:
    instances = Instances(Docker("/nowhere"), Http(), str(tmp_path))
    if text:
        (tmp_path / NAME).mkdir()
        (tmp_path / NAME / "state.json").write_text(text)
    candidate: GpuContainer = {"instance": NAME, "id": "id-candidate"}
    assert (instances.grace(candidate), instances.ready_within(candidate)) == (30, 0.0)
    assert instances.in_rollout("no-such-instance") is False
