# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of an instance."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._state.durable import write_atomically
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import State, StateProblem
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store, instances
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import entry
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    return Store("assistant", str(tmp_path), str(tmp_path / "run"))


def test_a_state_comes_back(store: Store) -> None:
    assert store.load() == State("assistant")
    state = State("assistant", current=entry())
    store.save(state)
    assert store.load() == state
    assert os.stat(store.path("state.json")).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_byte_for_byte(
    store: Store, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    store.save(State("assistant", current=entry()))
    before = pathlib.Path(store.path("state.json")).read_bytes()

    def full(*_args: t.Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken, pytest.raises(OSError, match="No space"):
        broken.setattr(os, fails, full)
        store.save(State("assistant"))
    assert pathlib.Path(store.path("state.json")).read_bytes() == before
    store.save(State("assistant"))
    assert store.load() == State("assistant")
    assert not os.path.exists(store.path("state.json.new"))


def test_what_is_no_text_is_a_state_problem(store: Store) -> None:
    store.save(State("assistant"))
    pathlib.Path(store.path("state.json")).write_bytes(b"\xff\xfe")
    with pytest.raises(StateProblem, match="it is not text"):
        store.load()


def test_a_damaged_file_is_kept_and_stays_until_the_next_save(store: Store) -> None:
    store.save(State("assistant"))
    path = pathlib.Path(store.path("state.json"))
    path.write_bytes(b"{\xff")
    assert pathlib.Path(store.set_damaged_aside()).read_bytes() == path.read_bytes() == b"{\xff"


def test_a_follower_misses_nothing_and_sees_whole_lines(store: Store) -> None:
    assert (store.stages_size(), store.stages_from(0), store.last_stage()) == (0, ([], 0), "")
    store.append_stage({"stage": "é"})
    first, offset = store.stages_from(0)
    assert (first, offset) == ([{"stage": "é"}], store.stages_size())
    with open(store.path("stages.jsonl"), "ab") as file:
        file.write(b'{"stage": "half')
    assert store.stages_from(offset) == ([], offset)
    with open(store.path("stages.jsonl"), "ab") as file:
        file.write(b'"}\n')
    assert store.stages_from(offset) == ([{"stage": "half"}], store.stages_size())
    assert store.last_stage() == "half"


def test_a_line_that_a_full_disk_cut_off_is_left_out(store: Store) -> None:
    store.append_stage({"stage": "start"})
    with open(store.path("stages.jsonl"), "ab") as file:
        file.write(b'{"stage": "sm\n')
    store.append_stage({"stage": "rollback"})
    lines, offset = store.stages_from(0)
    assert ([line["stage"] for line in lines], offset) == (["start", "rollback"], store.stages_size())


def test_the_newest_diagnoses_are_kept(store: Store) -> None:
    folders = [store.keep_diagnosis(f"2026010{day}T000000Z-abc", {"cause": "x"}, f"log {day}") for day in range(1, 8)]
    assert sorted(os.listdir(store.path("diagnosis"))) == [os.path.basename(folder) for folder in folders[-5:]]
    newest = pathlib.Path(folders[-1])
    assert (newest / "engine.log").read_text() == "log 7"
    assert '"cause": "x"' in (newest / "diagnosis.json").read_text()
    assert (newest / "engine.log").stat().st_mode & 0o777 == 0o600


def test_requests(store: Store, tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"request-none\.json"):
        store.take_request("request-none.json")
    mine, theirs = store.save_request({"kind": "rollback"}), store.save_request({"kind": "remove"})
    folder = tmp_path / "run" / "requests" / "assistant"
    assert {(path.name, path.stat().st_mode & 0o777) for path in folder.iterdir()} == {(mine, 0o600), (theirs, 0o600)}
    assert not os.path.exists(store.folder), "a disk that is full would keep a repair from being asked for"
    assert (store.take_request(mine), store.take_request(theirs)) == ({"kind": "rollback"}, {"kind": "remove"})
    assert list(folder.iterdir()) == []


def test_a_removed_instance_is_forgotten_and_its_diagnosis_kept(store: Store, tmp_path: pathlib.Path) -> None:
    store.save(State("assistant"))
    folder = store.keep_diagnosis("2026", {}, "log")
    assert instances(str(tmp_path)) == ["assistant"]
    store.remove()
    store.remove()
    assert instances(str(tmp_path)) == []
    assert os.path.exists(folder)


def test_no_state_folder_is_no_instance(tmp_path: pathlib.Path) -> None:
    assert instances(str(tmp_path / "none")) == []


def test_a_mode_of_its_own(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a" / "client.json"
    write_atomically(str(path), "{}", 0o644)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("{}", 0o644)


def test_what_was_tried_to_be_written_leaves_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store("assistant", str(tmp_path))
    store.try_writing()
    assert list((tmp_path / "assistant").iterdir()) == []

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.try_writing()
    assert list((tmp_path / "assistant").iterdir()) == []


def test_settings_of_what_the_state_knows(tmp_path: pathlib.Path) -> None:
    store = Store("assistant", str(tmp_path))
    assert store.settings() == []
    kept = {"timeouts": {"ready": 9}}
    store.save(State("assistant", current=entry(settings=kept), previous=entry(512, settings={})))
    assert store.settings() == [kept, {}]
    (tmp_path / "assistant" / "state.json").write_text("{")
    assert store.settings() == []


def test_what_a_killed_writer_left_is_gone_once_it_is_recovered(scene: Scene) -> None:
    assert scene.roll_out(1024) == "verified"
    left = pathlib.Path(scene.store.folder, f".state.json.{2**22 + 1}.0123abcd.new")
    left.write_text("torn")
    scene.recover()
    assert not left.exists()
