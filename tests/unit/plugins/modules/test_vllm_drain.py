# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that takes a host's instances out of service, and back."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._host import out_of_service
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import units
from ansible_collections.gpufleet.vllm.plugins.modules import vllm_drain as module
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import FakeEntrance, Scene
from ansible_collections.gpufleet.vllm.tests.unit.plugins.modules.shown_host import known_to, ran

Json = dict[str, t.Any]
LENGTH = 1024


@pytest.fixture
def scene(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A host as the module sees it."""
    made = known_to(module, tmp_path, monkeypatch)
    monkeypatch.setattr(module, "Host", lambda: made.host)
    return made


def run(state: str, check: bool = False, **args: t.Any) -> Json:
    return ran(module, state=state, _ansible_check_mode=check, **args)


def told(scene: Scene) -> list[str]:
    assert isinstance(scene.host.entrance, FakeEntrance)
    words = [word for word, _stage in scene.host.entrance.told]
    scene.host.entrance.told.clear()
    return words


def serve(scene: Scene, bind: str = "0.0.0.0", busy: float = 0.0, **settings: t.Any) -> None:
    scene.docker.engines.clear()
    scene.engine(LENGTH, Engine(busy_until=busy))
    assert scene.roll_out(LENGTH, bind=bind, **settings) == "verified"
    told(scene)


def test_a_host_with_nothing(scene: Scene) -> None:
    assert run("drained") == {"changed": False, "drained": [], "summary": []}
    assert run("in_service") == {"changed": False, "summary": []}


def test_it_is_shut_and_runs_on_until_it_is_let_in(scene: Scene) -> None:
    serve(scene)
    first = run("drained")
    assert first["changed"] and first["summary"] == ["assistant gets no new request."]
    assert first["drained"] == [{"instance": "assistant", "in_flight": 0, "notes": []}]
    assert scene.serves() == LENGTH
    assert not run("drained")["changed"]
    assert run("in_service") == {"changed": True, "summary": ["assistant gets requests again."]}
    assert told(scene)[-1] == "open assistant"
    assert run("in_service") == {"changed": False, "summary": []}


def test_check_mode_touches_nothing(scene: Scene) -> None:
    serve(scene)
    assert run("drained", check=True) == {"changed": True, "summary": ["assistant would get no new request."]}
    assert told(scene) == []
    run("drained")
    told(scene).clear()
    scene.host.entrance.close("assistant", "0.0.0.0", 8000)
    assert run("in_service", check=True) == {"changed": True, "summary": ["assistant would get requests again."]}
    assert told(scene) == ["close assistant 0.0.0.0 8000"]


def test_what_it_has_is_waited_for_within_its_limit(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(scene)
    before = scene.clock.now
    monkeypatch.setattr(out_of_service, "ended", lambda _host, _entry, limit: 3 if limit == 30 else 0)
    assert run("drained")["summary"] == ["assistant gets no new request, with 3 requests in flight after its limit."]
    monkeypatch.setattr(out_of_service, "ended", lambda *_asked: None)
    assert "with an unknown number of requests in flight" in run("drained")["summary"][0]
    assert scene.clock.now == before


def test_whoever_is_on_the_loopback_is_not_kept_out_and_that_is_said(scene: Scene) -> None:
    serve(scene, "127.0.0.1")
    ended = run("drained")
    assert "who asks it there still can" in ended["summary"][0] and not ended["changed"]
    assert told(scene) == []


def test_what_could_not_be_shut_is_said(scene: Scene) -> None:
    serve(scene)
    scene.host.entrance = FakeEntrance(lambda: "any", "no iptables")
    assert "new connections are not refused: no iptables" in run("drained")["summary"][0]
    assert run("in_service")["msg"] == "assistant: connections are still refused: no iptables."


def test_an_engine_that_does_not_run_has_nothing_to_end(scene: Scene) -> None:
    serve(scene)
    container = scene.docker.named("vllm-assistant")
    assert container is not None
    scene.docker.stopped(container, 0)
    assert run("drained")["drained"] == []


def test_a_rollout_that_is_under_way_is_left_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(scene)
    monkeypatch.setattr(units, "running", lambda _instance: True)
    ended = run("drained")
    assert ended["failed"] and ended["msg"].startswith("Nothing was drained: a rollout of assistant is running")
    assert told(scene) == []


def test_a_state_that_cannot_be_read_drains_nothing(scene: Scene, tmp_path: pathlib.Path) -> None:
    serve(scene)
    (tmp_path / "state" / "assistant" / "state.json").write_text("{")
    assert run("drained")["msg"].startswith("Nothing was drained: assistant: ")
    assert told(scene) == []


def test_one_that_is_not_there_is_named(scene: Scene) -> None:
    serve(scene)
    assert run("drained", instances=["other"])["msg"] == ("No instance other is on this host, which knows assistant.")
