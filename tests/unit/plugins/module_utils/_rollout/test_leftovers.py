# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of the instance that its state does not know, as a kill leaves them: what is asked next removes them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import IMAGE_ID, NAME
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLDEST, OLD, NEW, BAD = 512, 1024, 2048, 4096
HELD, PREVIOUS = f"vllm-{NAME}-held", f"vllm-{NAME}-previous"
BROKEN = Engine(exits_after=1, log=((0.0, "ValueError: bad"),))
STOPS = {"smoke": {}, "timeouts": {}, "on_failure": "stop"}
READ_ONLY = DockerError(500, "read-only file system")
STAY = "older containers stay until the next rollout: read-only file system"


def left(scene: Scene, name: str) -> str:
    """A leftover; its id."""
    labels = {"io.gpufleet.instance": NAME}
    return scene.docker.create(name, {"Image": IMAGE_ID, "Labels": labels, "HostConfig": {}})


def told(scene: Scene) -> list[str]:
    lines, _offset = scene.store.stages_from(0)
    return [line["detail"] for line in lines]


Ask = t.Callable[[Scene], str]
# What is asked, what comes of it, and the releases before.
REQUESTS: dict[str, tuple[Ask, str, tuple[int, ...]]] = {
    "a rollout": (lambda scene: scene.roll_out(NEW), "verified", (OLD,)),
    "a repair of what runs": (lambda scene: scene.ask("repair", OLD), "repaired", (OLD,)),
    "a repair of what runs after another": (lambda scene: scene.ask("repair", OLD), "repaired", (OLDEST, OLD)),
    "a rollback": (lambda scene: scene.ask("rollback"), "verified", (OLDEST, OLD)),
    "a recovery": (lambda scene: scene.recover("signal"), "", (OLD,)),
    "a recovery of the second release": (lambda scene: scene.recover("signal"), "", (OLDEST, OLD)),
    "a removal": (lambda scene: scene.ask("remove"), "removed", (OLD,)),
}


@pytest.mark.parametrize("name", [HELD, f"vllm-{NAME}-resting"])
@pytest.mark.parametrize(("ask", "outcome", "before"), REQUESTS.values(), ids=REQUESTS)
def test_it_is_gone_after(scene: Scene, ask: Ask, outcome: str, before: tuple[int, ...], name: str) -> None:
    for length in before:
        scene.roll_out(length)
    made = left(scene, name)
    assert ask(scene) == outcome
    assert made not in scene.docker.containers
    scene.assert_settled()


def test_one_that_has_the_name_of_what_is_to_be_held_makes_room(scene: Scene) -> None:
    scene.roll_out(OLD)
    made = left(scene, HELD)
    assert scene.roll_out(NEW) == "verified"
    assert made not in scene.docker.containers
    scene.assert_settled()


def test_one_that_docker_does_not_remove_blames_no_release(scene: Scene) -> None:
    scene.roll_out(OLD)
    left(scene, PREVIOUS)
    scene.docker.errors[f"remove {PREVIOUS}"] = READ_ONLY
    assert scene.roll_out(NEW) == "failed"
    failure = scene.last()["facts"]["failure"]
    assert (failure["failure_class"], failure["cause"]) == ("docker.away", "read-only file system")
    assert scene.store.load().rejected == ()
    scene.docker.errors.clear()
    assert scene.roll_out(NEW) == "verified"
    scene.assert_settled()


@pytest.mark.parametrize(
    ("ask", "outcome", "serves"),
    [
        (lambda scene: scene.roll_out(NEW), "verified", NEW),
        (lambda scene: scene.roll_out(BAD, settings=STOPS), "stopped", 0),
    ],
    ids=["a rollout", "a stop"],
)
def test_an_older_release_that_docker_does_not_remove_at_the_end_is_told_and_costs_nothing(
    scene: Scene, ask: Ask, outcome: str, serves: int
) -> None:
    scene.roll_out(OLDEST)
    scene.roll_out(OLD)
    scene.engine(BAD, BROKEN)
    scene.docker.errors[f"remove {PREVIOUS}"] = READ_ONLY
    assert (ask(scene), scene.serves()) == (outcome, serves)
    assert STAY in told(scene)
    scene.docker.errors.clear()
    assert scene.ask("rollback") == "verified"
    scene.assert_settled()


@pytest.mark.parametrize(
    ("ask", "outcome"),
    [(lambda scene: scene.ask("repair", OLD), "repaired"), (lambda scene: scene.recover("signal"), "")],
    ids=["a repair", "a recovery"],
)
def test_one_that_docker_does_not_remove_after_a_kill_is_told_and_costs_nothing(
    scene: Scene, ask: Ask, outcome: str
) -> None:
    scene.roll_out(OLD)
    left(scene, HELD)
    scene.docker.errors[f"remove {HELD}"] = READ_ONLY
    assert (ask(scene), scene.serves()) == (outcome, OLD)
    assert STAY in told(scene)
