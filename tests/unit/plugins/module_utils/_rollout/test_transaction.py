# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A transaction from its request to its end."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.container import create_body
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import rollback
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.killing import Killed
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import (
    IMAGE_ID,
    Json,
    plan,
    release,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLDEST, OLD, NEW = 512, 1024, 2048
BROKEN = Engine(ready_after=99, exits_after=2.0, log=((1.0, "error: unrecognized arguments: --nope"),))


def names(scene: Scene) -> dict[str, bool]:
    """Name and whether it runs, of every container of the instance."""
    return {found["Name"][1:]: found["State"]["Running"] for found in scene.docker.of_instance()}


def test_the_first_release(scene: Scene) -> None:
    assert scene.roll_out(OLD) == "verified"
    assert scene.stages() == ["preflight", "breadcrumb", "start", "ready", "smoke", "hold", "commit"]
    last = scene.last()
    assert last["facts"]["serves"] == plan(OLD)["digest"]
    assert "is verified, max_model_len 1024, ready in 3.0 s." in last["detail"]
    assert names(scene) == {"vllm-assistant": True}
    scene.assert_settled()


def test_a_check_that_the_release_does_not_pass_takes_it_back(scene: Scene) -> None:
    scene.roll_out(OLD)
    settings = {"smoke": {"prompts": [{"prompt": "Who?"}, {"prompt": "Bye", "pattern": "Goodbye"}]}, "timeouts": {}}
    assert scene.roll_out(NEW, settings=settings) == "rolled_back"
    rejection = scene.store.load().rejected[-1]
    assert rejection.failure_class == "smoke.prompts"
    assert "the answer to smoke.prompts[1], 'Hello!', does not match the pattern 'Goodbye'" in rejection.cause
    assert scene.serves() == OLD
    scene.assert_settled()


def test_a_bound_that_is_passed_is_told_and_takes_nothing_back(scene: Scene) -> None:
    settings = {"smoke": {"warn_latency": 2, "warn_first_token": 0.5}, "timeouts": {}}
    assert scene.roll_out(OLD, settings=settings) == "verified"
    warning = "smoke.warn_first_token: the first token took 1 s, more than 0.5 s."
    assert scene.last()["facts"]["warnings"] == [warning]
    assert any(f"smoke  warning: {warning}" in line for line in scene.said)
    scene.assert_settled()


def test_the_next_release_keeps_the_one_before(scene: Scene) -> None:
    scene.roll_out(OLD)
    assert scene.roll_out(NEW) == "verified"
    assert names(scene) == {"vllm-assistant": True, "vllm-assistant-previous": False}
    state = scene.store.load()
    assert state.previous is not None and state.previous.digest == plan(OLD)["digest"]
    scene.assert_settled()


def test_only_one_before_is_kept(scene: Scene) -> None:
    for length in (OLDEST, OLD, NEW):
        assert scene.roll_out(length) == "verified"
    assert names(scene) == {"vllm-assistant": True, "vllm-assistant-previous": False}
    scene.assert_settled()


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("policy vllm-assistant unless-stopped", "failed"),
        ("rename vllm-assistant-held vllm-assistant-previous", "verified"),
        ("remove vllm-assistant-previous", "verified"),
    ],
)
def test_docker_that_refuses_around_the_commit(scene: Scene, name: str, outcome: str) -> None:
    scene.roll_out(OLDEST)
    scene.roll_out(OLD)
    scene.docker.errors[name] = DockerError(500, "read-only file system")
    assert scene.roll_out(NEW) == outcome
    assert scene.serves() == (NEW if outcome == "verified" else OLD)
    scene.docker.errors.clear()
    scene.recover()
    assert scene.store.load().candidate is None
    if outcome == "verified":
        scene.assert_settled()


def test_a_full_disk_is_refused_before_anything_stops(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.roll_out(OLD)
    before = pathlib.Path(scene.store.path("state.json")).read_bytes()
    scene.docker.writes.clear()

    def full(_state: t.Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scene.store, "save", full)
    assert scene.roll_out(NEW) == "refused"
    assert "(disk.full)" in scene.last()["detail"] and "No space left on device" in scene.last()["detail"]
    assert (pathlib.Path(scene.store.path("state.json")).read_bytes(), scene.docker.writes) == (before, [])
    assert scene.serves() == OLD


def test_what_is_rejected_is_written_down_before_the_rollback_begins(scene: Scene) -> None:
    """A kill at the first thing that the rollback does: the night after does not try the same again."""
    scene.roll_out(OLD)
    scene.engine(NEW, Engine(exits_after=2.0, log=((1.0, "error: unrecognized arguments: --nope"),)))
    failed = plan(NEW)["digest"]

    def killed(_journal: t.Any, _log: t.Any) -> t.NoReturn:
        raise Killed("at the rollback's first step")

    with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
        patched.setattr(rollback, "wait_for_docker", killed)
        scene.roll_out(NEW)
    state = scene.store.load()
    assert state.candidate is not None
    assert [(known.digest, known.failure_class) for known in state.rejected] == [(failed, "flag.unknown")]
    assert scene.recover("signal") == "rolled_back"
    assert [known.digest for known in scene.store.load().rejected] == [failed]
    assert scene.roll_out(NEW) == "refused"


def test_back_to_the_previous_release_on_request(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.roll_out(NEW)
    old = scene.docker.named("vllm-assistant-previous")
    assert scene.ask("rollback") == "verified"
    assert scene.serves() == OLD
    back = scene.docker.named("vllm-assistant")
    assert old is not None and back is not None and back["Id"] == old["Id"]
    scene.assert_settled()
    scene.docker.writes.clear()
    assert scene.roll_out(NEW) == "refused"
    assert "an operator put the release before it back" in scene.last()["detail"]
    assert scene.docker.writes == []
    assert scene.ask("rollback") == "verified"
    assert scene.serves() == NEW
    scene.assert_settled()


def test_a_rollback_that_fails_is_rolled_back_and_what_serves_is_not_rejected(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.roll_out(NEW)
    scene.engine(OLD, BROKEN)
    assert scene.ask("rollback") == "rolled_back"
    assert scene.serves() == NEW
    assert [known.digest for known in scene.store.load().rejected] == [plan(OLD)["digest"]]
    kept = scene.docker.named("vllm-assistant-previous")
    assert kept is not None and kept["Config"]["Labels"]["io.gpufleet.digest"] == plan(OLD)["digest"]
    scene.assert_settled()


def test_a_rollback_that_names_the_digest_it_leaves_is_gone_once(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.roll_out(NEW)
    rollback = {
        "kind": "rollback",
        "from": plan(NEW)["digest"],
        "reason": {"failure_class": "rolled_back", "cause": "gpu2 failed in the same run", "advice": ""},
    }
    assert scene.request(rollback) == "verified"
    assert scene.serves() == OLD
    scene.assert_settled()
    scene.docker.writes.clear()
    assert scene.request(rollback) == "refused"
    assert f"(rollback.moved_on): it was to go back from release {plan(NEW)['digest'][:12]} (" in scene.last()["detail"]
    assert scene.roll_out(NEW) == "refused"
    assert "gpu2 failed in the same run" in scene.last()["detail"]
    assert (scene.serves(), scene.docker.writes) == (OLD, [])


def test_a_rollback_that_reaches_another_host_is_refused(scene: Scene) -> None:
    """The same release serves there, in a container of its own: an inventory can lead to the wrong host."""
    scene.roll_out(OLD)
    scene.roll_out(NEW)
    served = scene.last()["facts"]
    current = scene.store.load().current
    assert current is not None
    assert (served["serves"], served["container"]) == (plan(NEW)["digest"], current.container_id)
    rollback = {"kind": "rollback", "from": served["serves"], "container": "of another host"}
    assert scene.request(rollback) == "refused"
    assert "(rollback.moved_on)" in scene.last()["detail"] and scene.serves() == NEW
    assert f"from release {served['serves'][:12]} (container of another h), and " in scene.last()["detail"]
    assert scene.request({**rollback, "container": served["container"]}) == "verified"
    assert scene.serves() == OLD


def test_a_rollback_is_refused_where_nothing_was_verified(scene: Scene) -> None:
    assert scene.request({"kind": "rollback", "from": plan(NEW)["digest"]}) == "refused"
    assert "and no verified release is current" in scene.last()["detail"]


def test_a_release_that_serves_already_is_not_started_again(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.docker.writes.clear()
    assert scene.roll_out(OLD) == "verified"
    assert (scene.docker.writes, scene.last()["detail"].endswith("serves already.")) == ([], True)


def test_a_server_that_only_lost_its_restart_policy_is_repaired_as_it_stands(scene: Scene) -> None:
    scene.roll_out(OLD)
    serving = scene.docker.named("vllm-assistant")
    assert serving is not None
    scene.docker.set_restart_policy(serving["Id"], "no")
    scene.docker.writes.clear()
    assert scene.ask("repair", OLD) == "repaired"
    assert not any(write.startswith(("create", "start", "stop", "remove")) for write in scene.docker.writes)
    scene.assert_settled()


def test_no_release_to_go_back_to(scene: Scene) -> None:
    scene.roll_out(OLD)
    writes = len(scene.docker.writes)
    assert scene.ask("rollback") == "refused"
    assert "no previous verified release is kept" in scene.last()["detail"]
    assert len(scene.docker.writes) == writes


def stop(scene: Scene) -> None:
    serving = scene.docker.named("vllm-assistant")
    assert serving is not None
    scene.docker.stopped(serving, 0)


def remove(scene: Scene) -> None:
    scene.docker.containers.clear()


@pytest.mark.parametrize("broken", [stop, remove])
def test_a_verified_release_that_does_not_serve_is_repaired(scene: Scene, broken: t.Callable[[Scene], None]) -> None:
    scene.roll_out(OLDEST)
    scene.roll_out(OLD)
    broken(scene)
    assert scene.ask("repair", OLD) == "repaired"
    assert "serves again" in scene.last()["detail"]
    previous = scene.store.load().previous
    assert previous is not None and previous.digest == plan(OLDEST)["digest"]
    assert scene.serves() == OLD
    if broken is stop:
        scene.assert_settled()
    assert scene.ask("rollback") == "verified"
    assert scene.serves() == OLDEST
    scene.assert_settled()


def test_a_repair_that_fails_is_said(scene: Scene) -> None:
    scene.roll_out(OLD)
    stop(scene)
    scene.engine(OLD, BROKEN)
    assert scene.ask("repair", OLD) == "failed"
    last = scene.last()
    assert "was started again and failed at stage ready" in last["detail"]
    assert scene.store.load().failed == last["detail"]
    assert pathlib.Path(last["facts"]["log"], "engine.log").exists()
    scene.docker.engines.clear()
    assert scene.ask("repair", OLD) == "repaired"
    scene.assert_settled()


@pytest.mark.parametrize(
    ("kind", "words"), [("repair", "no verified release is known"), ("live", "no verified release serves")]
)
def test_nothing_to_repair_or_to_change(scene: Scene, kind: str, words: str) -> None:
    assert scene.ask(kind) == "refused"
    assert words in scene.last()["detail"]
    assert scene.docker.writes == []


def test_live_touches_no_container(scene: Scene) -> None:
    scene.roll_out(OLD)
    before: Json = {key: dict(found) for key, found in scene.docker.containers.items()}
    scene.docker.writes.clear()
    assert scene.ask("live", OLD, sampling={"temperature": 0.7}) == "live"
    assert scene.docker.writes == []
    assert scene.docker.containers == before
    written = scene.client_file()
    assert written is not None and (written["sampling"], written["max_model_len"]) == ({"temperature": 0.7}, OLD)
    scene.assert_settled()


def test_removed(scene: Scene) -> None:
    scene.engine(NEW, BROKEN)
    scene.roll_out(OLDEST)
    scene.roll_out(OLD)
    scene.roll_out(NEW)
    assert scene.ask("remove", OLD) == "removed"
    assert (names(scene), scene.client_file(), scene.store.load().current) == ({}, None, None)
    assert pathlib.Path(scene.store.path("diagnosis")).exists()
    assert scene.ask("remove", OLD) == "removed"


def test_docker_that_breaks_off_a_removal_is_told(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.docker.errors["stop vllm-assistant"] = DockerError(0, "the Docker daemon broke off")
    assert scene.ask("remove", OLD) == "failed"
    assert "broke off at stage remove (internal): the Docker daemon broke off." in scene.last()["detail"]
    scene.docker.errors.clear()
    assert scene.ask("remove", OLD) == "removed"


def test_another_instance_that_has_the_name_of_a_kept_container_is_left_alone(scene: Scene) -> None:
    scene.roll_out(OLD)
    theirs = create_body(release(OLD, instance="assistant-held"), "d" * 64, IMAGE_ID)
    neighbour = scene.docker.create("vllm-assistant-held", theirs)
    assert scene.roll_out(NEW) == "refused"
    assert "a container vllm-assistant-held exists that is not ours" in scene.last()["detail"]
    assert neighbour in scene.docker.containers
    assert scene.serves() == OLD


@pytest.mark.parametrize(("engine", "outcome", "serves"), [(Engine(), "verified", NEW), (BROKEN, "rolled_back", OLD)])
def test_a_release_whose_container_somebody_removed_is_replaced_and_made_again_all_the_same(
    scene: Scene, engine: Engine, outcome: str, serves: int
) -> None:
    scene.roll_out(OLD)
    remove(scene)
    scene.engine(NEW, engine)
    assert scene.roll_out(NEW) == outcome
    assert scene.serves() == serves


def test_a_request_of_another_program_is_refused(scene: Scene) -> None:
    scene.roll_out(OLD)
    writes = len(scene.docker.writes)
    assert scene.ask("promote") == "refused"
    assert "(request.unknown): this program knows no request promote" in scene.last()["detail"]
    assert (scene.serves(), len(scene.docker.writes)) == (OLD, writes)
