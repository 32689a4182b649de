# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever stands in the files that a host keeps: it is of the known shape, or refused with a sentence."""

from __future__ import annotations

import copy
import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.rebuild import rebuilt
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import observed
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import state as states
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import State, StateProblem
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.unsaved import Unsaved
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import Memory, RecordProblem, Records
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME, entry
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._state.test_state import rejection

Json = dict[str, t.Any]
DEEP = "[" * 100_000
ODD = [DEEP, "", "nonsense", "null", "[]", '"x"', "1e999", '{"a": NaN}', "{" + '"a": {' * 1000, "\x00"]
WRONG: list[t.Any] = [5, "x", [], {}, None, True, [{}], {"x": 1}]


def signed(document: t.Any) -> str:
    """With a checksum that is right, as whoever can write there can make one."""
    return json.dumps({"schema": states.SCHEMA, "checksum": states._checksum(document), "state": document})


def whole() -> Json:
    state = State(NAME, current=entry(), previous=entry(digest="p"), rejected=(rejection("7"),))
    found: Json = json.loads(states.dump(state))["state"]
    return found


def places(document: t.Any, path: tuple[t.Any, ...] = ()) -> t.Iterator[tuple[t.Any, ...]]:
    parts = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, part in parts:
        yield (*path, name)
        yield from places(part, (*path, name))


def with_part(document: Json, path: tuple[t.Any, ...], value: t.Any) -> Json:
    changed = copy.deepcopy(document)
    inner: t.Any = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


@pytest.mark.parametrize("text", ODD)
def test_a_state_that_is_none(tmp_path: pathlib.Path, text: str) -> None:
    store = Store(NAME, str(tmp_path))
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "state.json").write_text(text)
    with pytest.raises(StateProblem):
        store.load()


def test_a_state_with_any_part_of_another_type() -> None:
    """What is taken has what is read of it."""
    for path in places(whole()):
        for value in WRONG:
            try:
                state: t.Any = states.load(signed(with_part(whole(), path, value)))
            except StateProblem:
                continue
            assert isinstance(state.instance, str) and isinstance(state.failed, str)
            for one in (state.current, state.previous):
                if one is not None:
                    assert one.short and one.release["container"]["name"] and one.release["port"] > 0
                    assert one.client["served_model_names"][0] and one.client["base_url"]
                    assert one.settings.get("timeouts") is None or isinstance(one.settings["timeouts"], dict)
            assert all(isinstance(known.cause, str) for known in state.rejected)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("current", "release", "port"), "8000", "the state.current.release.port is a text, not a whole number"),
        (("current", "client"), {}, "the state.current.client has no base_url"),
        (("current", "client", "served_model_names"), [], "the client's file has no name of a model"),
        (("rejected",), {}, "the state.rejected is an object, not a list"),
        (("failed",), 1, "the state.failed is a whole number, not a text"),
    ],
)
def test_what_is_said(path: tuple[t.Any, ...], value: t.Any, told: str) -> None:
    with pytest.raises(StateProblem, match=told):
        states.load(signed(with_part(whole(), path, value)))


@pytest.mark.parametrize("text", [*ODD, *(json.dumps(value) for value in WRONG)])
def test_a_copy_that_could_not_be_written(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "copy").write_text(text)
    assert Unsaved(str(tmp_path / "state.json"), str(tmp_path / "copy")).text() is None


@pytest.mark.parametrize(
    "value", [*ODD, *({"restarts": value} for value in WRONG if value), {"digest": 5}, {"events": [{}]}]
)
def test_a_record_of_the_watch(tmp_path: pathlib.Path, value: t.Any) -> None:
    records = Records(Store(NAME, str(tmp_path)), str(tmp_path / "run"))
    (tmp_path / NAME).mkdir()
    text = value if isinstance(value, str) else json.dumps({"schema": 1, "restarts": [], "events": [], **value})
    (tmp_path / NAME / "watch.json").write_text(text)
    with pytest.raises(RecordProblem, match="remove it to have the instance watched"):
        records.load()


@pytest.mark.parametrize("text", [*ODD, '{"bad": "x"}', '{"seen": 5}', '{"at": []}', '{"what": 1}'])
def test_what_the_watch_remembers(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / f"{NAME}.json").write_text(text)
    assert Records(Store(NAME, str(tmp_path)), str(tmp_path)).remembered() == Memory()


@pytest.mark.parametrize("line", [*ODD[:-1], '{"cut": "x"}', '{"cut": -5}', '{"cut": [1]}', '{"cut": 1e9}', "[1]"])
def test_a_line_of_the_stage_log(tmp_path: pathlib.Path, line: str) -> None:
    store = Store(NAME, str(tmp_path))
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "stages.jsonl").write_text(f"{line}\n")
    begin = store.stages_size()
    store.append_stage({"stage": "pull"})
    assert [found["stage"] for found in store.stages_from(begin)[0]] == ["pull"]
    assert store.last_stage() == "pull"


@pytest.mark.parametrize("text", [*ODD, '{"base_url": 5}', '{"base_url": "x", "served_model_names": []}'])
def test_a_clients_file(scene: Scene, text: str) -> None:
    assert scene.roll_out(1024) == "verified"
    pathlib.Path(scene.client_dir, NAME, "client.json").write_text(text)
    with pytest.raises(StateProblem, match="damaged as well"):
        rebuilt(NAME, scene.docker, scene.client_dir)


@pytest.mark.parametrize("text", [*ODD, '{"ours": 5}', '{"ours": [["a", 1]]}', '{"pending": "no"}'])
def test_our_record_of_daemon_json(text: str) -> None:
    assert observed.recorded(lambda _path: text.encode()) == {"ours": {}, "pending": False}
