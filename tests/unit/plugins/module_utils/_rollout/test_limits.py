# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a transaction waits, how much it takes, and what it counts as none: at the limit, and beside it."""

from __future__ import annotations

import dataclasses
import errno
import os
import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.instances import Door
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import metrics
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.nvml import Nvml
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import (
    classes,
    host,
    journal,
    weights,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.drain import (
    ended,
    has_way_in,
    in_flight,
    in_words,
    keep_out,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.failure import Failed, rejects
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.fallback import Fallback
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.gpu_memory import shortage, wait_until_free
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.rollback import CANDIDATE_GRACE, wait_for_docker
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.trial import Trial
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.written import not_taken
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import State
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import (
    IMAGE_ID,
    NAME,
    entry,
    release,
    step,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLD, NEW = 1024, 2048
MIB = 2**20
BROKEN = Engine(ready_after=99, exits_after=2.0, log=((1.0, "error: unrecognized arguments: --nope"),))


def details(scene: Scene) -> list[str]:
    lines, _offset = scene.store.stages_from(0)
    return [line["detail"] for line in lines]


# GPU memory


class Card:
    """A GPU with so much memory that is free, held by these processes."""

    def __init__(self, total: int, free: int, *pids: int) -> None:
        self.memory = types.SimpleNamespace(total=total, free=free)
        self.pids, self.closed = pids, False

    def call(self, name: str, _of: object) -> t.Any:
        if name == "nvmlDeviceGetComputeRunningProcesses":
            return [types.SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in self.pids]
        return self.memory

    def close(self) -> None:
        self.closed = True


def short(card: Card, share: float) -> str:
    return shortage(t.cast(Nvml, card), "GPU-1", share)


@pytest.mark.parametrize(("free", "enough"), [(4999, False), (5000, True), (5001, True)])
def test_memory_is_enough_to_the_byte(free: int, enough: bool) -> None:
    assert (short(Card(10000, free), 0.5) == "") is enough


def test_what_is_short_is_told_in_mib() -> None:
    said = short(Card(1000 * MIB, 100 * MIB + MIB // 2), 0.5)
    assert said == "GPU GPU-1 has 100 MiB free, 500 MiB are asked for; no process is named"


@pytest.mark.parametrize(("stated", "asked"), [(None, 900), (0.25, 250), (1, 1000), (0, 900), ("0.5", 900), ([1], 900)])
def test_nine_tenths_are_asked_for_where_no_share_is_stated(scene: Scene, stated: t.Any, asked: int) -> None:
    card = Card(1000 * MIB, 0)
    scene.host.open_nvml = lambda: t.cast(Nvml, card)
    document = release(gpus={"mode": "cdi", "uuids": ["GPU-1"]})
    document["arguments"]["gpu_memory_utilization"] = stated
    with pytest.raises(Failed, match=f" {asked} MiB are asked for"):
        wait_until_free(scene.host, scene.journal(), entry(release=document), 7)
    assert (scene.clock.now, card.closed) == (7.0, True)


def test_each_gpu_that_is_short_is_named(scene: Scene) -> None:
    scene.host.open_nvml = lambda: t.cast(Nvml, Card(1000 * MIB, 0))
    document = release(gpus={"mode": "cdi", "uuids": ["GPU-1", "GPU-2"]})
    with pytest.raises(Failed, match=r"GPU GPU-1 has .*; GPU GPU-2 has"):
        wait_until_free(scene.host, scene.journal(), entry(release=document), 0)
    assert details(scene) == ["GPU memory of GPU-1, GPU-2"]


# Draining


class Knows(Door):
    def __init__(self, *known: str) -> None:
        super().__init__("/nowhere")
        self.known = known

    def knows(self, instance: str) -> bool:
        return instance in self.known


@pytest.mark.parametrize(
    ("bind", "known", "way_in"),
    [
        ("127.0.0.1", (), False),
        ("127.0.0.2", (), False),
        ("::1", (), False),
        ("127.0.0.1", ("another",), False),
        ("127.0.0.1", (NAME,), True),
        ("0.0.0.0", (), True),
        ("::", (), True),
        ("10.0.0.7", (NAME,), True),
    ],
)
def test_requests_come_from_elsewhere_or_through_the_door(
    scene: Scene, bind: str, known: tuple[str, ...], way_in: bool
) -> None:
    scene.host.door = Knows(*known)
    held = entry(release=release(bind=bind))
    assert has_way_in(scene.host, held) is way_in
    assert keep_out(scene.host, scene.journal(), held) is way_in


@pytest.mark.parametrize(
    ("looks", "busy", "limit", "left", "takes"),
    [
        (1, [0], 9.0, 0, 0.0),
        (3, [0, 0, 0], 9.0, 0, 1.0),
        (3, [0, 0, 1, 0, 0, 0], 9.0, 0, 2.5),
        (3, [0, None, 0, 0, 0], 9.0, 0, 2.0),
        (3, [1] * 9, 2.0, 1, 2.0),
        (3, [None] * 9, 2.0, None, 2.0),
        (3, [1] * 9, 0.0, 1, 0.0),
    ],
)
def test_it_has_ended_once_looks_in_succession_find_nothing(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    looks: int,
    busy: list[int | None],
    limit: float,
    left: int | None,
    takes: float,
) -> None:
    found = iter(busy)
    monkeypatch.setattr(f"{ended.__module__}.in_flight", lambda _http, _entry: next(found))
    assert ended(scene.host, entry(), limit, looks) == left
    assert scene.clock.now == takes


def test_an_engine_that_is_asked_what_it_has_in_flight_may_take_five_seconds(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    def page(_http: object, _url: str, within: float, names: t.Sequence[str]) -> dict[str, float]:
        limits.append(within)
        return dict.fromkeys(names, 0.0)

    monkeypatch.setattr(metrics, "series", page)
    assert (in_flight(scene.host.http, entry()), limits) == (0, [5.0])


@pytest.mark.parametrize(
    ("left", "words"), [(None, "an unknown number of requests"), (0, "0 requests"), (2, "2 requests")]
)
def test_what_is_left_in_words(left: int | None, words: str) -> None:
    assert in_words(left) == words


# A start


@pytest.mark.parametrize(
    ("dies_after", "with_log"), [(4.0, True), (17.5, True), (19.5, False)], ids=["soon", "late", "too late"]
)
def test_an_engine_that_broke_has_fifteen_seconds_to_die_of_it(scene: Scene, dies_after: float, with_log: bool) -> None:
    scene.engine(
        OLD, Engine(refuses=500, exits_after=dies_after, log=((1.0, "torch.OutOfMemoryError: CUDA out of memory."),))
    )
    with pytest.raises(Failed) as failed:
        Trial(scene.host, scene.journal(), entry(OLD, image_id=IMAGE_ID)).run()
    assert (failed.value.diagnosis.failure_class == "oom") is with_log
    assert "answered 500: no" in failed.value.diagnosis.cause


def test_an_engine_that_gives_a_wrong_answer_is_not_waited_for(scene: Scene) -> None:
    scene.engine(OLD, Engine(answer=""))
    with pytest.raises(Failed) as failed:
        Trial(scene.host, scene.journal(), entry(OLD, image_id=IMAGE_ID)).run()
    assert (failed.value.diagnosis.failure_class, scene.clock.now) == ("smoke.content", 3.0)


@pytest.mark.parametrize(("ready_after", "in_time"), [(9.0, True), (10.0, True), (11.0, False)])
def test_an_engine_is_ready_within_its_limit(scene: Scene, ready_after: float, in_time: bool) -> None:
    scene.engine(OLD, Engine(ready_after=ready_after))
    settings = {"smoke": {}, "timeouts": {"ready": 10, "hold": 0}}
    attempt = Trial(scene.host, scene.journal(), entry(OLD, image_id=IMAGE_ID, settings=settings))
    if in_time:
        assert attempt.run().start_seconds == ready_after
    else:
        with pytest.raises(Failed, match="not ready within 10 s"):
            attempt.run()
    assert scene.clock.now == min(ready_after, 10.0)


@pytest.mark.parametrize("window", [0, 0.5, 1, 2.5])
def test_the_window_of_the_hold_is_as_long_as_it_is_stated(scene: Scene, window: float) -> None:
    settings = {"smoke": {}, "timeouts": {"hold": window}}
    attempt = Trial(scene.host, scene.journal(), entry(OLD, image_id=IMAGE_ID, settings=settings))
    attempt.start()
    scene.clock.sleep(5)
    attempt.hold()
    assert scene.clock.now == 5 + window


def test_what_runs_already_keeps_what_its_own_start_showed(scene: Scene) -> None:
    scene.engine(OLD, Engine(ready_after=12.0))
    first = Trial(scene.host, scene.journal(), entry(OLD, image_id=IMAGE_ID)).run()
    known = dataclasses.replace(first, verified={**first.verified, "measured": {"kv_tokens": 7}})
    again = Trial(scene.host, scene.journal(), known).run()
    assert (again.start_seconds, again.verified["measured"]) == (12.0, {"kv_tokens": 7})
    assert [name for name in scene.docker.writes if name.startswith(("create", "start"))] == [
        "create vllm-assistant",
        "start vllm-assistant",
    ]


# Docker


@pytest.mark.parametrize(("until", "comes_back"), [(119.5, True), (120.0, True), (121.5, False)])
def test_docker_has_two_minutes_to_come_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, until: float, comes_back: bool
) -> None:
    def restarting(_path: str) -> t.Any:
        if scene.clock.now < until:
            raise DockerError(0, "away")

    monkeypatch.setattr(scene.docker, "get", restarting)
    if comes_back:
        wait_for_docker(scene.host, scene.journal())
        assert scene.clock.now == 120.0
    else:
        with pytest.raises(Failed, match="away"):
            wait_for_docker(scene.host, scene.journal())
        assert scene.clock.now == 120.0


def test_a_candidate_has_ten_seconds_and_what_serves_its_own_limit(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, Engine(ready_after=9999))
    scene.docker.graces.clear()
    assert scene.roll_out(NEW, settings={"smoke": {}, "timeouts": {"ready": 5, "stop": 44}}) == "rolled_back"
    assert scene.docker.graces == [30, CANDIDATE_GRACE] == [30, 10]


# A fallback


STEPS = [step(4096, "oom"), step(2048, "oom"), step(1536, "oom")]


def fallback(limit: t.Any, retry: bool = False) -> Fallback:
    planned = entry(8192, settings={"fallback_steps": limit})
    request: t.Any = {"plan": {"fallbacks": STEPS}, "retry": retry}
    return Fallback.of(planned, request)


@pytest.mark.parametrize(("limit", "steps"), [(None, 0), (0, 0), (1, 1), (2, 2), (9, 3)])
def test_so_many_steps_are_tried_each_once_from_the_top(limit: t.Any, steps: int) -> None:
    left = fallback(limit)
    tried = [left.next("oom", State(NAME)) for _at in range(4)]
    lengths = [one.release["arguments"]["max_model_len"] for one in tried if one is not None]
    assert lengths == [4096, 2048, 1536][:steps]
    assert Fallback(entry()).next("oom", State(NAME)) is None


def test_a_step_is_known_by_what_it_is_tried_for() -> None:
    planned = entry(8192, settings={"fallback_steps": 1}, image_id=IMAGE_ID)
    one = Fallback(planned, STEPS, 1).next("oom", State(NAME))
    assert one is not None
    assert (one.fallback_of, one.fallback, one.image_id) == (planned.digest, "max_model_len -> 4096", IMAGE_ID)
    assert (one.settings, one.digest) == (planned.settings, STEPS[0]["digest"])


# Failures


@pytest.mark.parametrize("name", ["docker", "port.busy", "flag.unknown", "bind.address", "interrupted", "internal"])
def test_what_is_of_the_moment(name: str) -> None:
    assert rejects(name) is (name in ("docker", "flag.unknown", "bind.address"))
    assert not classes.Own("a", "b").of_the_moment


@pytest.mark.parametrize(
    ("code", "failure_class", "words"),
    [
        (errno.ENOSPC, "disk.full", "/srv cannot be written: No space left on device"),
        (errno.EDQUOT, "disk.full", "/srv cannot be written: Disk quota exceeded"),
        (errno.EIO, "internal", "/srv cannot be written: [Errno 5] Input/output error"),
    ],
)
def test_a_full_disk_is_told_from_a_broken_one(code: int, failure_class: str, words: str) -> None:
    found = not_taken(OSError(code, os.strerror(code)), "/srv")
    assert (found.failure_class, found.cause) == (failure_class, words)


def test_every_outcome_that_serves_or_does_as_asked_is_good() -> None:
    assert set(journal.OUTCOMES) - set(journal.GOOD_OUTCOMES) == {"refused", "rolled_back", "stopped", "failed"}


# The host


def test_a_host_with_nothing_said_is_this_one() -> None:
    plain = host.Host()
    assert (plain.owner, plain.registry) == ("", None)
    assert plain.ports is host.listening_ports and plain.binds is host.binds
    assert plain.check_model is weights.must_be_whole and plain.look_at_model is weights.look_at


def test_a_host_whose_instances_know_nothing_of_each_other_has_no_turns(scene: Scene) -> None:
    others = scene.host.others
    assert others.serving(scene.host, ["another"]) == []
    assert others.put_back(scene.host, scene.journal(), "another") is None
    assert others.awaited(State(NAME)) is False
