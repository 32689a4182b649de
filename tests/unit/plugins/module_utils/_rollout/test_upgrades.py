# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that every released program wrote are read by this one, and an older program leaves a newer one's alone."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._host.status import observe_one
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import state as states
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_policy import Limits
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import Records
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import IMAGE, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

# What each released program has left behind: see the README beside.
WRITTEN = pathlib.Path(__file__).resolve().parents[4] / "data" / "state"
OLDEST, OLD, NEW = 512, 1024, 2048


def schema(scene: Scene) -> int:
    return int(json.loads(pathlib.Path(scene.store.path("state.json")).read_text())["schema"])


def left_by(scene: Scene, name: str) -> None:
    """The host as the older program left it: its containers, and its files in the place of ours."""
    scene.roll_out(OLDEST)
    scene.roll_out(OLD)
    shutil.copy(WRITTEN / name, scene.store.path("state.json"))
    shutil.copy(WRITTEN / "stages-1.jsonl", scene.store.path("stages.jsonl"))
    shutil.copy(WRITTEN / "watch-1.json", scene.store.path("watch.json"))


@pytest.mark.parametrize("path", sorted(WRITTEN.glob("schema-*.json")), ids=lambda path: path.stem)
def test_the_state_of_every_schema_is_read_and_written_anew(path: pathlib.Path) -> None:
    text = path.read_text()
    state = states.load(text)
    assert state.previous is not None and state.previous.digest == plan(OLDEST, settings={})["digest"]
    assert [known.failure_class for known in state.rejected] == ["flag.unknown"]
    written = states.dump(state)
    assert (json.loads(written)["schema"], states.load(written)) == (states.SCHEMA, state)


def test_settings_of_before_have_the_names_of_today() -> None:
    current = states.load((WRITTEN / "schema-2.json").read_text()).current
    assert current is not None
    assert (current.settings["fallback_steps"], current.settings["on_failure"]) == (2, "fallback")
    assert Limits.of(current.settings) == Limits(True, 10, 5, failure_threshold=2, restarts=2, rollback_window=3000)


def test_what_the_watch_rolled_back_under_an_older_program_is_not_rolled_back_again(scene: Scene) -> None:
    gone = {"from": "a" * 64, "to": "b" * 64, "at": "2026-01-01T00:00:00Z"}
    scene.roll_out(OLD)
    before = {**json.loads((WRITTEN / "watch-1.json").read_text()), "returned": gone}
    pathlib.Path(scene.store.path("watch.json")).write_text(json.dumps(before))
    assert Records(scene.store, scene.run_dir).load().rolled_back == gone


def test_every_schema_is_among_them() -> None:
    known = {json.loads(path.read_text())["schema"] for path in WRITTEN.glob("schema-*.json")}
    assert known == set(range(1, states.SCHEMA))


def test_a_host_of_an_older_program_goes_on_under_this_one(scene: Scene) -> None:
    left_by(scene, "schema-1.json")
    assert (scene.recover(), schema(scene)) == ("", 1), "what is not changed is not written"
    assert scene.roll_out(NEW) == "refused", "what was rejected stays so"
    assert scene.roll_out(4096) == "verified"
    assert schema(scene) == states.SCHEMA
    scene.assert_settled()
    assert scene.ask("rollback") == "verified" and scene.serves() == OLD
    assert Records(scene.store, scene.run_dir).load().restart_count == 1
    lines, offset = scene.store.stages_from(0)
    assert lines[0]["stage"] == "preflight" and offset == scene.store.stages_size()


def test_what_an_older_program_left_unfinished_is_rolled_back(scene: Scene) -> None:
    left_by(scene, "schema-1-unfinished.json")
    for container in scene.docker.of_instance():
        container["HostConfig"]["RestartPolicy"]["Name"] = "no"
    assert scene.recover() == "rolled_back"
    assert (scene.serves(), schema(scene)) == (OLD, states.SCHEMA)
    scene.assert_settled()


def test_up_and_down_and_up_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older program says whose state it is and touches nothing; the newer one goes on where it was."""
    left_by(scene, "schema-1.json")
    assert scene.roll_out(4096) == "verified"
    path = pathlib.Path(scene.store.path("state.json"))
    before, writes = path.read_bytes(), len(scene.docker.writes)
    with monkeypatch.context() as older:
        older.setattr(states, "SCHEMA", states.SCHEMA - 1)
        assert scene.recover() == "failed"
        said = scene.last()["detail"]
        assert "nothing was touched" in said and "a newer gpufleet.vllm wrote it, use that one" in said
        seen = observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)
        assert "a newer gpufleet.vllm wrote it" in str(seen["problem"])
    assert (path.read_bytes(), len(scene.docker.writes)) == (before, writes)
    assert not pathlib.Path(scene.store.path("state.json.damaged")).exists()
    scene.engine(8192, Engine(exits_after=1.0, log=((0.5, "ValueError: bad"),)))
    assert scene.roll_out(8192) == "rolled_back"
    assert scene.serves() == 4096
    scene.assert_settled()


def test_what_a_newer_program_asks_for_is_refused(scene: Scene) -> None:
    scene.roll_out(OLD)
    writes = len(scene.docker.writes)
    assert scene.request({"kind": "teleport", "plan": plan(NEW)}) == "refused"
    assert "this program knows no request teleport" in scene.last()["detail"]
    assert (len(scene.docker.writes), scene.serves()) == (writes, OLD)


def test_what_is_new_in_the_schema(scene: Scene) -> None:
    scene.docker.images[IMAGE]["RepoDigests"] = ["elsewhere/x@sha256:1", "vllm/vllm-openai@sha256:2"]
    scene.roll_out(OLD)
    current = scene.store.load().current
    assert current is not None and current.image_digest == "vllm/vllm-openai@sha256:2"
