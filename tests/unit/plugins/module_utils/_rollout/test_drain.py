# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a serving engine has taken is finished before it is stopped, within a limit."""

from __future__ import annotations

import math
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._door.instances import Door
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import metrics
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.drain import POLL, QUIET, in_flight, own_limit
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import entry, plan, release
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import FakeEntrance, Scene

OLD, NEW = 1024, 2048


def said(scene: Scene) -> list[str]:
    lines, _offset = scene.store.stages_from(0)
    return [line["detail"] for line in lines if line["stage"] == "drain"]


def serving(scene: Scene, engine: Engine, **timeouts: t.Any) -> None:
    scene.engine(OLD, engine)
    assert scene.roll_out(OLD, settings={"smoke": {}, "timeouts": timeouts}) == "verified"
    scene.docker.graces.clear()


@pytest.mark.parametrize(
    ("busy", "waited", "words"),
    [(0.0, 0.0, "at most 30 s"), (70.0, 7.0, "at most 30 s"), (1e9, 30.0, "stopped with 1 requests in flight")],
    ids=["idle", "busy for a while", "busy for good"],
)
def test_an_engine_that_does_not_drain_by_itself_is_waited_for(
    scene: Scene, busy: float, waited: float, words: str
) -> None:
    serving(scene, Engine(busy_until=busy))
    before = scene.clock.now
    assert scene.roll_out(NEW) == "verified"
    assert words in said(scene)[-1]
    lines, _offset = scene.store.stages_from(0)
    stopped = max(line["elapsed"] for line in lines if line["stage"] == "stop")
    assert (stopped, scene.docker.graces) == (waited, [30])
    assert scene.clock.now > before


def test_an_engine_that_drains_by_itself_has_its_own_time_before_it_is_killed(scene: Scene) -> None:
    document = release(OLD)
    arguments = {**document["arguments"], "shutdown_timeout": 45}
    assert scene.roll_out(OLD, arguments=arguments) == "verified"
    scene.docker.graces.clear()
    assert scene.roll_out(NEW) == "verified"
    assert said(scene)[-1].endswith("ends what it has in flight as it stops, at most 45 s")
    assert scene.docker.graces == [75]


@pytest.mark.parametrize(("stated", "seconds"), [(45, 45), (4.5, 4), (None, 0), ("soon", 0), ([1], 0)])
def test_a_limit_that_is_no_number_is_none(stated: t.Any, seconds: int) -> None:
    """A release that was let through with it can be stopped and removed like any other."""
    document = release(OLD)
    document["arguments"]["shutdown_timeout"] = stated
    assert own_limit(entry(OLD, release=document)) == seconds


def test_nothing_to_wait_for(scene: Scene) -> None:
    serving(scene, Engine(busy_until=1e9), drain=0)
    assert scene.roll_out(NEW) == "verified"
    assert said(scene) == []


def test_an_engine_that_is_down_is_not_waited_for(scene: Scene) -> None:
    serving(scene, Engine(busy_until=1e9))
    stopped = scene.docker.named("vllm-assistant")
    assert stopped is not None
    scene.docker.stopped(stopped, 0)
    assert scene.roll_out(NEW) == "verified"
    assert said(scene) == []


def test_an_engine_that_does_not_say_is_taken_for_busy(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    serving(scene, Engine())
    monkeypatch.setattr(scene.docker, "serving", lambda _port: None)
    assert in_flight(scene.host.http, entry(OLD)) is None


RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"


@pytest.mark.parametrize(
    ("counts", "known"),
    [
        ({RUNNING: 1.0, WAITING: 2.0}, 3),
        ({RUNNING: 0.25, WAITING: 0.0}, 1),
        ({RUNNING: 0.0, WAITING: 0.0}, 0),
        ({RUNNING: 0.0}, None),
        ({WAITING: 0.0}, None),
        ({}, None),
        ({RUNNING: math.nan, WAITING: 0.0}, None),
        ({RUNNING: math.inf, WAITING: 0.0}, None),
        ({RUNNING: -1.0, WAITING: 1.0}, None),
    ],
    ids=["both", "a part", "none", "no waiting", "no running", "nothing", "NaN", "infinite", "negative"],
)
def test_what_is_not_known_is_not_zero(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, counts: dict[str, float], known: int | None
) -> None:
    monkeypatch.setattr(metrics, "series", lambda *_asked: counts)
    assert in_flight(scene.host.http, entry(OLD)) == known


def test_an_engine_that_does_not_say_has_its_whole_limit(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    serving(scene, Engine())
    monkeypatch.setattr(metrics, "series", lambda *_asked: {})
    assert scene.roll_out(NEW) == "verified"
    assert said(scene)[-1].endswith("stopped with an unknown number of requests in flight")
    lines, _offset = scene.store.stages_from(0)
    assert max(line["elapsed"] for line in lines if line["stage"] == "stop") == 30.0


class ToldDoor(Door):
    """Remembers what it was told, and at which stage."""

    def __init__(self, scene: Scene, amiss: str = "") -> None:
        super().__init__("/nowhere")
        self.scene, self.amiss = scene, amiss
        self.told: list[tuple[str, str]] = []

    def drain(self, instance: str) -> str:
        return self._tell(f"drain {instance}")

    def ready(self, instance: str, proved: bool = False) -> str:
        return self._tell(f"{'proved' if proved else 'ready'} {instance}")

    def _tell(self, word: str) -> str:
        self.told.append((word, self.scene.stages()[-1]))
        return self.amiss


@pytest.mark.parametrize("limit", [0, 30])
def test_the_door_is_told_before_an_engine_stops_and_once_the_next_one_has_answered(scene: Scene, limit: int) -> None:
    serving(scene, Engine(), drain=limit)
    scene.host.door = door = ToldDoor(scene)
    assert scene.roll_out(NEW) == "verified"
    assert door.told == [("drain assistant", "breadcrumb"), ("proved assistant", "smoke")]


def test_what_is_rolled_back_gets_requests_again_once_it_has_answered(scene: Scene) -> None:
    serving(scene, Engine())
    scene.engine(NEW, Engine(exits_after=1.0))
    scene.host.door = door = ToldDoor(scene)
    assert scene.roll_out(NEW) == "rolled_back"
    # A candidate that was let in may fail later: it is drained like any other.
    assert [word for word, _stage in door.told] == ["drain assistant"] * 2 + ["proved assistant"]
    assert scene.serves() == OLD


def test_a_door_that_cannot_be_told_keeps_no_rollout(scene: Scene) -> None:
    serving(scene, Engine())
    scene.host.door = ToldDoor(scene, "no such socket")
    assert scene.roll_out(NEW) == "verified"
    lines, _offset = scene.store.stages_from(0)
    assert [line["detail"] for line in lines].count("the door was not told: no such socket") == 2


def told(scene: Scene) -> list[tuple[str, str]]:
    assert isinstance(scene.host.entrance, FakeEntrance)
    return scene.host.entrance.told


def test_nothing_new_comes_from_elsewhere_from_before_the_drain_until_the_next_has_answered(scene: Scene) -> None:
    assert scene.roll_out(OLD, bind="0.0.0.0") == "verified"
    told(scene).clear()
    assert scene.roll_out(NEW, bind="0.0.0.0") == "verified"
    assert told(scene) == [("close assistant 0.0.0.0 8000", "breadcrumb"), ("open assistant", "smoke")]
    assert said(scene)[-1].endswith("at most 30 s; nothing new is let in")


def test_a_drain_that_may_take_hours_is_closed_for_as_long(scene: Scene) -> None:
    arguments = {**release(OLD)["arguments"], "shutdown_timeout": 20000}
    settings = {"smoke": {}, "timeouts": {"drain": 20000, "stop": 60}}
    assert scene.roll_out(OLD, arguments=arguments, bind="0.0.0.0", settings=settings) == "verified"
    assert scene.roll_out(NEW, bind="0.0.0.0") == "verified"
    assert isinstance(scene.host.entrance, FakeEntrance)
    assert scene.host.entrance.seconds == 20000 + 20000 + 60


def test_what_nobody_elsewhere_reaches_is_not_closed(scene: Scene) -> None:
    serving(scene, Engine())
    told(scene).clear()
    assert scene.roll_out(NEW) == "verified"
    assert [word for word, _stage in told(scene)] == ["open assistant"]


def test_an_engine_that_drains_by_itself_is_left_alone_until_it_is_quiet_where_nothing_new_is_let_in(
    scene: Scene,
) -> None:
    """What it has read and not yet begun at SIGTERM, it would answer with an error."""
    arguments = {**release(OLD)["arguments"], "shutdown_timeout": 45}
    assert scene.roll_out(OLD, arguments=arguments, bind="0.0.0.0") == "verified"
    assert scene.roll_out(NEW, bind="0.0.0.0") == "verified"
    lines, _offset = scene.store.stages_from(0)
    drained, stopped = (max(line["elapsed"] for line in lines if line["stage"] == name) for name in ("drain", "stop"))
    assert (stopped - drained) >= (QUIET - 1) * POLL


def test_a_port_that_cannot_be_closed_keeps_no_rollout(scene: Scene) -> None:
    assert scene.roll_out(OLD, bind="0.0.0.0") == "verified"
    scene.host.entrance = FakeEntrance(lambda: "any", "no iptables")
    assert scene.roll_out(NEW, bind="0.0.0.0") == "verified"
    lines, _offset = scene.store.stages_from(0)
    details = [line["detail"] for line in lines]
    assert "new connections are not refused: no iptables" in details
    assert "connections are still refused: no iptables" in details


def test_a_rollback_and_a_removal_close_it_too(scene: Scene) -> None:
    assert scene.roll_out(OLD, bind="0.0.0.0") == "verified"
    scene.docker.engines[plan(NEW, bind="0.0.0.0")["digest"]] = Engine(exits_after=1.0)
    told(scene).clear()
    assert scene.roll_out(NEW, bind="0.0.0.0") == "rolled_back"
    words = [word.split()[0] for word, _stage in told(scene)]
    assert words == ["close", "close", "open"]
    told(scene).clear()
    assert scene.request({"kind": "remove"}) == "removed"
    assert [word.split()[0] for word, _stage in told(scene)] == ["close"]


def test_a_rollback_to_another_port_keeps_that_closed_until_it_has_answered(scene: Scene) -> None:
    assert scene.roll_out(OLD, bind="0.0.0.0") == "verified"
    scene.docker.engines[plan(NEW, bind="0.0.0.0", port=8001)["digest"]] = Engine(exits_after=1.0)
    told(scene).clear()
    assert scene.roll_out(NEW, bind="0.0.0.0", port=8001) == "rolled_back"
    assert [word for word, _stage in told(scene)] == [
        "close assistant 0.0.0.0 8000",
        "close assistant 0.0.0.0 8001",
        "close assistant 0.0.0.0 8000",
        "open assistant",
    ]
