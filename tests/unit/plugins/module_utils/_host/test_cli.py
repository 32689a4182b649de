# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of gpufleet-host and their exit codes."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.instances import Door
from ansible_collections.gpufleet.vllm.plugins.module_utils._host import boot, cli, fetching, following
from ansible_collections.gpufleet.vllm.plugins.module_utils._host import request as requests
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import rebuild
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import kept_files, units
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.deadlines import last_deadline
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import State, StateProblem
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import Records, lock
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME, entry, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import FakeEntrance, Scene

OLD, NEW = 1024, 2048
Started = list[tuple[str, str]]


@pytest.fixture
def started(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Started:
    """The program on this scene's host; the units that it started, as (instance, verb)."""
    asked: Started = []

    def start(_run: t.Any, instance: str, verb: str, _deadline: int, _words: t.Any = ()) -> None:
        if instance == "locked":
            raise units.UnitProblem("another rollout of locked is running")
        asked.append((instance, verb))

    monkeypatch.setattr(cli, "Host", lambda owner, keys, registry: scene.host)
    monkeypatch.setattr(units, "start", start)
    monkeypatch.setattr(units, "running", lambda _instance: False)
    return asked


def run(scene: Scene, *arguments: str) -> int:
    folders = ["--state-dir", str(scene.folder / "state"), "--client-dir", scene.client_dir, "--run-dir", scene.run_dir]
    return cli.main([*folders, *arguments])


def roll_out(scene: Scene, length: int) -> int:
    request = scene.store.save_request({"kind": "rollout", "plan": plan(length), "retry": False})
    return run(scene, "rollout", NAME, request)


def test_rollout(scene: Scene, started: Started) -> None:
    assert roll_out(scene, OLD) == 0
    assert scene.serves() == OLD
    scene.engine(NEW, Engine(ready_after=99, exits_after=2.0))
    assert roll_out(scene, NEW) == 1
    assert roll_out(scene, NEW) == 1
    assert scene.last()["outcome"] == "refused"
    assert scene.serves() == OLD


class ReadyDoor(Door):
    """Remembers whom it was told to take back."""

    def __init__(self) -> None:
        super().__init__("/nowhere")
        self.back: list[str] = []

    def ready(self, instance: str, proved: bool = False) -> str:
        self.back.append(f"{instance} has answered" if proved else instance)
        return ""


@pytest.mark.parametrize("verb", ["rollout", "recover"])
def test_however_it_ends_nothing_stays_drained_in_the_door(
    scene: Scene, started: Started, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    scene.host.door = door = ReadyDoor()
    scene.host.entrance = entrance = FakeEntrance(lambda: "", "iptables is locked")
    monkeypatch.setattr(cli, "recover", lambda *_args, **_more: "failed")
    assert (roll_out(scene, OLD) if verb == "rollout" else run(scene, "recover", NAME)) == 1
    assert (door.back, entrance.told) == ([NAME], [(f"open {NAME}", "")])
    assert capsys.readouterr().err == f"{NAME}: connections are still refused: iptables is locked\n"


@pytest.mark.parametrize("verb", ["rollout", "recover"])
def test_files_that_no_release_needs_go(scene: Scene, started: Started, verb: str) -> None:
    unused = kept_files.keep(b"x", str(scene.folder / "state"))
    os.utime(unused, (1, 1))
    assert (roll_out(scene, OLD) if verb == "rollout" else run(scene, "recover", NAME)) == 0
    assert not os.path.exists(unused)


def test_a_rollout_first_takes_back_what_is_unfinished(scene: Scene, started: Started) -> None:
    scene.roll_out(OLD)
    state = scene.store.load()
    assert state.current is not None
    scene.store.save(state.with_candidate(entry(4096), "dead"))
    assert roll_out(scene, NEW) == 0
    lines, _offset = scene.store.stages_from(0)
    assert [line["outcome"] for line in lines if "outcome" in line] == ["verified", "rolled_back", "verified"]
    (taken_over,) = [line["detail"] for line in lines if line["stage"] == "rollback" and "outcome" not in line][:1]
    assert taken_over.startswith("interrupted: the transaction was cut off")
    scene.assert_settled()


@pytest.mark.parametrize("verb", ["prove", "rollback", "status"])
def test_a_name_that_the_host_does_not_know(
    scene: Scene, started: Started, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    scene.roll_out(OLD)
    assert run(scene, verb, "asistant") == 1
    assert capsys.readouterr().err == f"no instance asistant is on this host, which knows {NAME}\n"
    assert (started, (scene.folder / "state" / "asistant").exists()) == ([], False)


def test_what_is_refused_after_that_says_what_was_touched(scene: Scene, started: Started) -> None:
    scene.roll_out(OLD)
    scene.store.save(scene.store.load().with_candidate(entry(4096), "dead"))
    request = scene.store.save_request({"kind": "rollback"})
    assert run(scene, "rollout", NAME, request) == 1
    last = scene.last()
    assert (last["outcome"], last["facts"]["rolled_back"]) == ("refused", True)
    assert "refused after a rollout that was cut off had been rolled back (rollback.none)" in last["detail"]
    assert scene.serves() == OLD


def test_nothing_is_tried_on_top_of_a_recovery_that_failed(scene: Scene, started: Started) -> None:
    scene.roll_out(OLD)
    state = scene.store.load()
    scene.store.save(state.with_candidate(entry(4096), "dead"))
    scene.docker.stopped(scene.docker.containers["id2"], 0)
    scene.engine(OLD, Engine(ready_after=99, exits_after=1.0))
    scene.docker.writes.clear()
    assert roll_out(scene, NEW) == 1
    assert scene.last()["outcome"] == "failed"
    assert [name for name in scene.docker.writes if name.startswith("create")] == []


def test_a_rollout_without_a_request_is_told(
    scene: Scene, started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(scene, "rollout", NAME, "request-none.json") == 1
    assert "request-none.json" in capsys.readouterr().err


@pytest.mark.parametrize("unfinished", [True, False])
def test_recover(scene: Scene, started: Started, monkeypatch: pytest.MonkeyPatch, unfinished: bool) -> None:
    scene.roll_out(OLD)
    if unfinished:
        scene.store.save(scene.store.load().with_candidate(entry(4096), "dead"))
    monkeypatch.setenv("SERVICE_RESULT", "timeout")
    assert run(scene, "recover", NAME, "--after-end") == 0
    assert ("passed its last deadline" in scene.last()["detail"]) is unfinished
    assert scene.store.load().candidate is None


def test_recover_for_the_watch_says_who_found_it(scene: Scene, started: Started) -> None:
    scene.roll_out(OLD)
    scene.store.save(scene.store.load().with_candidate(entry(4096), "dead"))
    assert run(scene, "recover", NAME, "--by-watch") == 0
    assert "so was its own recovery; the watch rolls it back" in scene.last()["detail"]
    scene.assert_settled()


def test_recover_that_does_not_succeed(scene: Scene, started: Started) -> None:
    scene.roll_out(OLD)
    pathlib.Path(scene.store.path("state.json")).write_text("{")
    scene.docker.containers.clear()
    assert run(scene, "recover", NAME) == 1


def test_no_key_is_given_up_while_the_state_is_lost(scene: Scene, started: Started) -> None:
    scene.roll_out(OLD)
    kept = pathlib.Path(scene.store.path("api-keys", "kept.yaml"))
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("api-key: x")
    pathlib.Path(scene.store.path("state.json")).unlink()
    t.cast(t.Any, scene.docker.named("vllm-assistant"))["HostConfig"]["RestartPolicy"]["Name"] = "no"
    assert run(scene, "recover", NAME) == 1
    assert kept.exists()


@pytest.mark.parametrize("cut_off", [True, False])
def test_at_boot_a_repair_that_was_cut_off_is_done(scene: Scene, started: Started, cut_off: bool) -> None:
    scene.roll_out(OLD)
    t.cast(t.Any, scene.docker.named("vllm-assistant"))["HostConfig"]["RestartPolicy"]["Name"] = (
        "no" if cut_off else "unless-stopped"
    )
    assert run(scene, "recover", "--all") == 0
    assert started == ([(NAME, "rollout")] if cut_off else [])


@pytest.mark.parametrize("under_way", [True, False])
def test_at_boot_what_a_saved_firewall_still_refuses_is_let_in(
    scene: Scene,
    started: Started,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    under_way: bool,
) -> None:
    scene.roll_out(OLD)
    scene.host.entrance = entrance = FakeEntrance(lambda: "", "iptables is locked")
    monkeypatch.setattr(units, "running", lambda _instance: under_way)
    assert run(scene, "recover", "--all") == 0
    assert entrance.told == ([] if under_way else [(f"open {NAME}", "")])
    said = f"{NAME}: connections are still refused: iptables is locked\n"
    assert capsys.readouterr().err == ("" if under_way else said)


def test_at_boot_every_unfinished_instance_gets_its_unit(
    scene: Scene, started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, state in {
        "a-damaged": None,
        "b-whole": State("b-whole"),
        "locked": State("locked", candidate=entry(), held=entry()),
        "z-unfinished": State("z-unfinished", candidate=entry()),
    }.items():
        store = Store(name, str(scene.folder / "state"), scene.run_dir)
        store.save(state or State(name))
        if state is None:
            pathlib.Path(store.path("state.json")).write_text("{")
    assert run(scene, "recover", "--all") == 1
    assert started == [("z-unfinished", "recover")]
    told = capsys.readouterr().err
    assert "a-damaged: " in told and "another rollout of locked is running" in told


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StateProblem("not to be read"), "a-odd: not to be read"),
        (DockerError(500, "no more"), "a-odd: "),
        (RuntimeError("nobody thought of it"), "a-odd: an unexpected error, please report it: RuntimeError("),
    ],
    ids=["a state", "Docker", "what nobody thought of"],
)
def test_at_boot_one_that_fails_costs_no_other_its_recovery(
    scene: Scene,
    started: Started,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    words: str,
) -> None:
    for name in ("a-odd", "z-unfinished"):
        Store(name, str(scene.folder / "state")).save(State(name, candidate=entry()))

    def load(store: Store, *what: t.Any) -> t.Any:
        if store.instance == "a-odd":
            raise error
        return rebuild.load(store, *what)

    monkeypatch.setattr(boot, "load", load)
    assert run(scene, "recover", "--all") == 1
    assert started == [("z-unfinished", "recover")]
    assert capsys.readouterr().err.startswith(words)


def test_at_boot_a_repair_whose_lock_is_taken_is_told(
    scene: Scene, started: Started, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.roll_out(OLD)
    t.cast(t.Any, scene.docker.named("vllm-assistant"))["HostConfig"]["RestartPolicy"]["Name"] = "no"

    def start(*_what: t.Any) -> None:
        raise units.UnitProblem("another rollout is running")

    monkeypatch.setattr(units, "start", start)
    assert run(scene, "recover", "--all") == 1
    assert "another rollout is running" in capsys.readouterr().err


def test_status_and_prove_print_json(scene: Scene, started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    scene.roll_out(OLD)
    assert run(scene, "status") == 0
    assert [seen["name"] for seen in json.loads(capsys.readouterr().out)] == [NAME]
    assert run(scene, "status", NAME) == 0
    assert json.loads(capsys.readouterr().out)["healthy"] is True
    assert run(scene, "prove", NAME) == 0
    assert json.loads(capsys.readouterr().out)["proved"] is True
    scene.engine(OLD, Engine(answer=""))
    assert run(scene, "prove", NAME) == 1
    assert json.loads(capsys.readouterr().out)["proved"] is False


def test_follow_gives_what_is_behind_the_offset(
    scene: Scene, started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.store.append_stage({"stage": "one"})
    offset = scene.store.stages_size()
    scene.store.append_stage({"stage": "two"})
    assert run(scene, "follow", NAME, "--offset", str(offset)) == 0
    assert json.loads(capsys.readouterr().out) == {
        "lines": [{"stage": "two"}],
        "offset": scene.store.stages_size(),
        "active": False,
    }


def test_follow_ends_with_the_last_word_that_the_disk_did_not_take(
    scene: Scene, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.store.append_stage({"stage": "ready"})
    behind = scene.store.stages_size()
    scene.store.keep_last_word({"stage": "rollback", "outcome": "rolled_back"})
    first = following.follow(scene.store, 0, 0)
    second = following.follow(scene.store, first["offset"], 0)
    assert (first["lines"], first["offset"]) == ([{"stage": "ready"}], behind)
    assert second == {"lines": [{"stage": "rollback", "outcome": "rolled_back"}], "offset": behind, "active": False}
    assert following.follow(scene.store, behind, 0)["lines"] == []
    # One that nobody followed is not taken for the end of the next transaction.
    scene.store.keep_last_word({"stage": "rollback", "outcome": "rolled_back"})
    monkeypatch.setattr(units, "start", lambda *_asked: None)
    requests.start(lambda _words: (0, "", ""), scene.store, {"kind": "rollback"})
    assert following.follow(scene.store, behind, 0)["lines"] == []


def test_follow_waits_no_longer_than_asked(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "running", lambda _instance: True)
    monkeypatch.setattr(time, "sleep", scene.clock.sleep)
    assert following.follow(scene.store, 0, 10, scene.clock.monotonic) == {"lines": [], "offset": 0, "active": True}
    assert scene.clock.now == pytest.approx(10, abs=following.FOLLOW_POLL)


def test_a_line_written_right_before_the_end_is_not_missed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(_instance: str) -> bool:
        scene.store.append_stage({"stage": "last"})
        return False

    monkeypatch.setattr(units, "running", ends)
    assert following.follow(scene.store, 0, 10, scene.clock.monotonic)["lines"] == [{"stage": "last"}]


def test_rollback_from_the_console(
    scene: Scene, started: Started, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.roll_out(OLD)
    scene.roll_out(NEW)
    monkeypatch.setattr(units, "start", lambda _run, name, verb, _deadline, words: run(scene, verb, name, *words))
    assert run(scene, "rollback", NAME) == 0
    assert scene.serves() == OLD
    assert "max_model_len 1024" in capsys.readouterr().out.splitlines()[-1]


def test_a_lock_that_is_taken_is_said_and_the_request_stays(
    scene: Scene, started: Started, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = scene.store.save_request({"kind": "rollout", "plan": plan(NEW)})
    monkeypatch.setattr(units, "running", lambda _instance: True)
    assert run(scene, "rollback", NAME) == cli.BUSY
    assert "another rollout is running" in capsys.readouterr().err
    assert scene.store.take_request(request)["kind"] == "rollout"


def watch(scene: Scene, *arguments: str) -> int:
    return run(scene, "watch", *arguments)


def records(scene: Scene) -> Records:
    return Records(scene.store, scene.run_dir)


def test_a_round_of_the_watch(scene: Scene, started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.request({"kind": "rollout", "plan": plan(OLD, settings={"watch": {"failure_threshold": 1}})})
    scene.docker.stopped(scene.docker.containers["id2"], 1)
    asked = []

    def start(_run: t.Any, instance: str, verb: str, deadline: int, words: list[str]) -> None:
        asked.append((instance, verb, deadline, scene.store.take_request(words[0])["kind"]))

    monkeypatch.setattr(units, "start", start)
    assert watch(scene) == 0
    assert asked == [(NAME, "rollout", last_deadline({"watch": {"failure_threshold": 1}}), "repair")]


def test_a_round_of_the_watch_starts_the_recovery_of_what_is_unfinished(
    scene: Scene, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.roll_out(OLD)
    scene.store.save(scene.store.load().with_candidate(entry(4096), "dead"))
    monkeypatch.setattr(units, "start", lambda _run, name, verb, _deadline, words: run(scene, verb, name, *words))
    assert watch(scene) == 0
    scene.assert_settled()
    assert "the watch rolls it back" in scene.last()["detail"]


@pytest.mark.parametrize("room", [True, False])
def test_a_round_of_the_watch_leaves_metrics_where_there_is_room(
    scene: Scene, started: Started, capsys: pytest.CaptureFixture[str], room: bool
) -> None:
    scene.roll_out(OLD)
    folder = pathlib.Path(scene.run_dir, "metrics")
    if not room:
        folder.parent.mkdir(exist_ok=True)
        folder.write_text("")
    assert watch(scene) == 0
    if room:
        assert f'gpufleet_instance_stuck{{vllm_instance="{NAME}"}} 0\n' in (folder / "gpufleet.prom").read_text()
    assert ("metrics cannot be written" in capsys.readouterr().err) is not room


def test_one_round_of_the_watch_at_a_time(scene: Scene, started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    with lock(str(pathlib.Path(scene.run_dir, "watch.lock"))):
        assert watch(scene) == cli.BUSY
    assert "another round of the watch" in capsys.readouterr().err
    assert watch(scene) == 0


@pytest.mark.parametrize("named", [[NAME], []], ids=["by name", "all"])
def test_pause_and_resume(scene: Scene, started: Started, capsys: pytest.CaptureFixture[str], named: list[str]) -> None:
    scene.roll_out(OLD)
    assert watch(scene, "--pause", *named) == 0
    assert records(scene).load().paused_until == "resumed"
    assert "left alone until somebody resumes" in capsys.readouterr().out
    assert watch(scene, *named, "--pause", "--for", "2h") == 0
    assert records(scene).load().paused(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7000)))
    assert not records(scene).load().paused(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7300)))
    assert watch(scene, "--resume", *named) == 0
    assert records(scene).load().paused_until == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pause", "asistant"], "no instance asistant is on this host, which knows assistant"),
        (["--pause", "--for", "2 hours"], "--for 2 hours is no time: write a number with s, m, h or d behind it"),
        (["--pause", "--for", "0h"], "--for 0h is no time"),
    ],
)
def test_a_word_that_is_not_understood(
    scene: Scene, started: Started, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    scene.roll_out(OLD)
    assert watch(scene, *words) == 1
    assert said in capsys.readouterr().err
    assert records(scene).load().paused_until == ""


@pytest.mark.parametrize("words", [[NAME], ["--for", "2h"], ["--resume", "--for", "2h"], ["--pause", "--resume"]])
def test_words_that_do_not_go_together(scene: Scene, started: Started, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        watch(scene, *words)
    assert ended.value.code == 2


def test_no_verb_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2


def test_what_serves_stays_when_it_is_asked_to(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Server:
        def __init__(self, at: str, to: list[str], hub_dir: str) -> None:
            asked.extend([at, *to, hub_dir])

        def asked(self) -> None:
            asked.append("stay")

        def serve(self) -> None:
            signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    monkeypatch.setattr(fetching, "Server", Server)
    try:
        assert run(scene, "serve", "/hub", "--at", "192.0.2.9:8790", "--to", "192.0.2.0/24") == 0
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert asked == ["192.0.2.9:8790", "192.0.2.0/24", "/hub", "stay"]


@pytest.mark.parametrize("words", [("192.0.2.9", "192.0.2.0/24"), ("192.0.2.9:8790", "lan")])
def test_where_nothing_can_be_served_is_told(
    scene: Scene, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run(scene, "serve", "/hub", "--at", words[0], "--to", words[1]) == 1
    assert f"nothing is served at {words[0]}: " in capsys.readouterr().err
