# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that says what serves, and proves it; in check mode the same."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import bindings
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import State
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import Record, Records
from ansible_collections.gpufleet.vllm.plugins.modules import vllm_status as module
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import entry, plan, step
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene
from ansible_collections.gpufleet.vllm.tests.unit.plugins.modules.shown_host import ran, shown_to

Json = dict[str, t.Any]
LENGTH = 1024


@pytest.fixture
def scene(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = shown_to(module, tmp_path, monkeypatch)
    monkeypatch.setattr(module, "Http", lambda: made.host.http)
    return made


def run(**args: t.Any) -> Json:
    return ran(module, **args)


def test_a_host_with_nothing(scene: Scene) -> None:
    assert run() == {"changed": False, "serving": "nothing.", "watch": {}, "proofs": [], "summary": []}
    assert run(prove=False) == {"changed": False, "serving": "nothing.", "watch": {}, "instances": []}


@pytest.mark.parametrize("check", [False, True])
def test_what_serves_is_proved_and_nothing_changes(scene: Scene, check: bool) -> None:
    scene.roll_out(LENGTH)
    writes = len(scene.docker.writes)
    short = plan(LENGTH)["digest"][:12]
    for _again in range(2):
        result = run(_ansible_check_mode=check)
        assert result["changed"] is False
        assert result["serving"] == f"assistant release {short}."
        assert result["summary"] == [
            (
                f"assistant serves assistant at http://127.0.0.1:8000/v1, max_model_len 1024, release {short}; "
                "it answered (content): 'Hello!'"
            )
        ]
    assert len(scene.docker.writes) == writes


def test_a_fallback_says_in_whose_place_it_serves(scene: Scene) -> None:
    settings = {"smoke": {}, "timeouts": {}, "on_failure": "fallback", "fallback_steps": 1}
    scene.engine(LENGTH, Engine(ready_after=99, exits_after=1.0, log=((0.5, "CUDA out of memory"),)))
    assert scene.roll_out(LENGTH, steps=[step(512, "oom")], settings=settings) == "fallback"
    result = run()
    planned, serving = plan(LENGTH)["digest"], plan(512)["digest"]
    told = f"release {serving[:12]} (max_model_len -> 512, in the place of {planned[:12]})"
    assert result["serving"] == f"assistant {told}."
    assert f"max_model_len 512, {told}; it answered" in result["summary"][0]
    assert (result["proofs"][0]["fallback_of"], result["proofs"][0]["fallback"]) == (planned, "max_model_len -> 512")


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("resumed", "paused until somebody resumes it"),
        ("9999-01-01T00:00:00Z", "paused until 9999"),
        ("2000-01-01", ""),
    ],
)
def test_a_watch_that_is_paused_is_said(scene: Scene, end: str, words: str) -> None:
    scene.roll_out(LENGTH)
    records = Records(scene.store)
    records.save(Record(paused_until=end))
    result = run()
    assert result["watch"]["assistant"]["paused_until"] == (end if words else None)
    assert (words in result["summary"][0]) and ("paused" in result["summary"][0]) is bool(words)


def test_a_pause_of_what_does_not_serve_is_said(scene: Scene) -> None:
    scene.roll_out(LENGTH)
    scene.store.save(scene.store.load().with_candidate(entry(512), "dead"))
    serving = scene.docker.named("vllm-assistant")
    assert serving is not None
    scene.docker.stopped(serving, 0)
    Records(scene.store).save(Record(paused_until="resumed"))
    assert run()["msg"] == (
        "assistant does not serve: a rollout was cut off and is not rolled back yet. Its watch is paused until "
        "somebody resumes it."
    )


def test_a_pause_is_also_said_where_nothing_is_proved(scene: Scene) -> None:
    scene.roll_out(LENGTH)
    Records(scene.store).save(Record(paused_until="resumed"))
    assert run(prove=False)["serving"].endswith(", its watch is paused until somebody resumes it.")


def test_what_is_healthy_and_does_not_answer_fails(scene: Scene) -> None:
    scene.roll_out(LENGTH)
    scene.engine(LENGTH, Engine(answer=""))
    result = run()
    assert result["failed"] and result["msg"].startswith(
        "assistant does not serve: the generation answered 200 without any text"
    )
    assert result["proofs"][0]["proved"] is False
    assert set(result) == {"changed", "failed", "msg", "proofs", "serving", "watch"}
    assert run(prove=False)["instances"][0]["healthy"] is True


def test_what_only_warns_is_a_warning_of_the_module(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, warning: said.append(warning))
    arguments = {"max_model_len": LENGTH, "enable_auto_tool_choice": True, "tool_call_parser": "hermes"}
    assert scene.roll_out(LENGTH, arguments=arguments) == "verified"
    proof = run()["proofs"][0]
    assert proof["proved"]
    assert said == [f"assistant: {warning}" for warning in proof["proof"]["warnings"]]
    assert "smoke.tool_call: no tool was called; 'Hello!' came back" in said[0]


def test_without_a_proof_no_token_is_asked_for(scene: Scene) -> None:
    scene.roll_out(LENGTH)
    scene.engine(LENGTH, Engine(dies_of_question="dead"))
    result = run(prove=False)
    assert "proofs" not in result and scene.serves() == LENGTH


def test_an_instance_that_the_host_does_not_know_fails(scene: Scene) -> None:
    scene.roll_out(LENGTH)
    result = run(instances=["assistant", "ghost"])
    assert result["msg"] == "ghost does not serve: no verified release."
    assert result["serving"].endswith("; ghost nothing (no verified release).")


COUNTS = 'vllm:num_requests_running{engine="0"} 2.0\nvllm:num_requests_waiting{engine="0"} 0.0\n'


def test_how_busy_it_is_without_a_token(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.roll_out(LENGTH)
    asked = []
    request = scene.host.http.request

    def counted(method: str, url: str, *args: t.Any) -> t.Any:
        asked.append(url)
        return Reply(200, COUNTS) if url.endswith("/metrics") else request(method, url, *args)

    monkeypatch.setattr(scene.host.http, "request", counted)
    result = run(prove=False, load=True)
    assert result["load"]["assistant"] == {
        "running": 2,
        "waiting": 0,
        "kv_cache": None,
        "first_token": None,
        "preemptions": None,
    }
    (told,) = result["summary"]
    assert told.startswith(
        f"assistant serves {plan(LENGTH)['release']['model']['id']}, release {plan(LENGTH)['digest'][:12]}"
    )
    assert "2 running, 0 waiting" in told
    assert not any("completions" in url for url in asked)


def test_a_failure_and_a_rollback_are_told_at_a_glance(scene: Scene) -> None:
    scene.roll_out(LENGTH)
    scene.engine(2048, Engine(ready_after=99, exits_after=1.0, log=((0.5, "CUDA out of memory"),)))
    assert scene.roll_out(2048) == "rolled_back"
    (told,) = run(prove=False, load=True)["summary"]
    assert f"Release {plan(2048)['digest'][:12]} failed at " in told and "(oom)" in told


def test_an_engine_that_does_not_say_how_busy_it_is(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.roll_out(LENGTH)
    request = scene.host.http.request

    def silent(method: str, url: str, *args: t.Any) -> t.Any:
        if url.endswith("/metrics"):
            raise NoAnswer("nothing came in 5 s")
        return request(method, url, *args)

    monkeypatch.setattr(scene.host.http, "request", silent)
    result = run(prove=False, load=True)
    assert result["load"] == {"assistant": None}
    assert "how busy it is: nothing came in 5 s." in result["summary"][0]


def test_what_does_not_serve_is_said_at_a_glance(scene: Scene) -> None:
    scene.roll_out(LENGTH)
    scene.docker.stop(scene.store.load().current.container_id, 1)  # type: ignore[union-attr]
    result = run(prove=False, load=True)
    assert result["load"] == {"assistant": None}
    assert result["summary"][0].startswith("assistant does not serve: its container is exited")


def resting(scene: Scene, name: str, max_model_len: int) -> None:
    """A member of a group that another one has the turn of."""
    store = Store(name, scene.store.state_dir)
    known = entry(max_model_len, verified_at="2026-01-01T00:00:00Z")
    store.save(State(name, current=known).rested())


def test_what_rests_has_nothing_to_prove(scene: Scene) -> None:
    scene.roll_out(LENGTH)
    resting(scene, "coder", 2048)
    result = run()
    assert [proof["instance"] for proof in result["proofs"]] == ["assistant"]
    result = run(prove=False, load=True)
    assert "coder is inactive, verified release" in result["summary"][1]


@pytest.mark.parametrize(("groups", "proves"), [({"coder": "g", "assistant": "g"}, "assistant"), ({}, "coder")])
def test_who_has_the_turn_proves_itself_in_the_place_of_a_member_that_rests(
    scene: Scene, groups: Json, proves: str
) -> None:
    scene.roll_out(LENGTH)
    resting(scene, "coder", 2048)
    result = run(instances=["coder"], groups=groups)
    assert [proof["instance"] for proof in result["proofs"]] == [proves]
    assert result.get("failed", False) == (proves == "coder")


def test_nobody_proves_itself_where_the_whole_group_rests(scene: Scene) -> None:
    resting(scene, "coder", 2048)
    result = run(instances=["coder"], groups={"coder": "g", "assistant": "g"})
    assert result["failed"] and "coder does not serve: inactive, verified release" in result["msg"]


class Still:
    """A clock on which nobody waits."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def test_two_readings_where_seconds_are_asked_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.roll_out(LENGTH)
    monkeypatch.setattr(module, "time", Still())
    monkeypatch.setattr(bindings, "library_present", lambda: False)
    request = scene.host.http.request

    def counted(method: str, url: str, *args: t.Any) -> t.Any:
        return Reply(200, COUNTS) if url.endswith("/metrics") else request(method, url, *args)

    monkeypatch.setattr(scene.host.http, "request", counted)
    result = run(prove=False, seconds=10, pynvml_source="packed")
    assert result["window"]["engines"]["assistant"]["running"] == 2
    assert result["window"]["engines"]["assistant"]["requests"] is None
    assert (result["window"]["gpus"], result["window"]["unknown"]) == ([], {})
    assert "window" not in run(prove=False)


def test_a_pynvml_that_cannot_be_read_fails_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", Still())
    monkeypatch.setattr(bindings, "library_present", lambda: True)
    assert run(prove=False, seconds=1, pynvml_source="no such thing")["window"]["gpus"] == []


@pytest.mark.parametrize("seconds", [-1, 601])
def test_seconds_out_of_bounds_are_refused(scene: Scene, seconds: int) -> None:
    assert run(prove=False, seconds=seconds)["msg"] == f"seconds is {seconds}, expected 0 to 600: correct it."
