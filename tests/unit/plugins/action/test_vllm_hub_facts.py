# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action vllm_hub_facts: whom it asks for what, what it keeps, and that no hub makes a plan fail or wait."""

from __future__ import annotations

import json
import pathlib
import stat
import time
import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.action import vllm_hub_facts as action
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory import catalogue
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import hub_facts
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.hub_cache import FILES, HubCache
from ansible_collections.gpufleet.vllm.tests.hub.faults import Fault
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub

Json = dict[str, t.Any]
NOTHING: t.Any = None
TOKEN = "hf_" + "t" * 34
HEADER = json.dumps({"w": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}).encode()
FILES_OF_A_MODEL = {
    "config.json": json.dumps({"num_hidden_layers": 2, "note": "\x1b[2Jno"}).encode(),
    "model.safetensors": len(HEADER).to_bytes(8, "little") + HEADER + bytes(8),
}
NOT_YET: Json = {"path": None, "revision": None, "config": None, "weights": None, "problems": [], "notes": ["not yet"]}


@pytest.fixture
def hub() -> t.Iterator[Hub]:
    with Hub() as made:
        made.add("org/model", FILES_OF_A_MODEL)
        made.add("org/gated", FILES_OF_A_MODEL, gated="auto")
        made.tokens[TOKEN] = {"org/gated"}
        yield made


@pytest.fixture(autouse=True)
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "gpufleet.vllm" / "hub"


def run(
    hub: Hub, *models: str, check: bool = False, token: str = "", revision: str = "", seen: Json | None = None
) -> Json:
    instances = [{"name": "a", "model": model, **({"revision": revision} if revision else {})} for model in models]
    given = dict.fromkeys(models, NOT_YET if seen is None else seen)
    task = types.SimpleNamespace(
        args={"instances": instances, "models": given, "endpoint": hub.url, "token": token},
        check_mode=check,
        async_val=0,
        diff=False,
        action="gpufleet.vllm.vllm_hub_facts",
    )
    connection = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/tmp/x"))
    parts: Json = {"task": task, "connection": connection, "play_context": NOTHING}
    plugin = action.ActionModule(**parts, loader=NOTHING, templar=NOTHING, shared_loader_obj=NOTHING)
    result: Json = plugin.run(None, {})
    assert result["changed"] is False
    assert TOKEN not in repr(result)
    return t.cast("Json", result["models"])


def test_a_model_that_is_not_there_has_the_facts_of_its_hub(hub: Hub) -> None:
    found = run(hub, "org/model")["org/model"]
    assert found["config"] == {"num_hidden_layers": 2, "note": "no"}  # fit for a terminal
    assert found["weights"] == {"files": 1, "bytes": 8, "parameters": 4, "dtypes": {"BF16": 4}}
    assert found["hub"]["commit"] == hub.models["org/model"].branches["main"]
    assert (found["revision"], found["notes"]) == (None, ["not yet"])


@pytest.mark.parametrize(
    "seen", [{"path": "/srv/x", "config": {"a": 1}}, {"path": "/srv/x", "problems": ["cut off"]}, {"config": {"a": 1}}]
)
def test_what_is_on_the_host_is_not_asked_for(hub: Hub, seen: Json) -> None:
    assert run(hub, "org/model", seen=seen) == {"org/model": seen}
    assert hub.log == []


def test_paths_and_what_is_no_model_are_not_asked_for(hub: Hub) -> None:
    assert set(run(hub, "/srv/models/x", "", "a/b/c", "../x")) == {"/srv/models/x", "", "a/b/c", "../x"}
    assert hub.log == []


def test_the_next_host_asks_nothing_and_later_only_what_the_branch_is(hub: Hub, place: pathlib.Path) -> None:
    first = run(hub, "org/model")
    asked = len(hub.log)
    assert run(hub, "org/model") == first
    assert len(hub.log) == asked
    for path in place.glob("*.json"):
        document = json.loads(path.read_text())
        if document["key"][1] == "revision":
            path.unlink()
    assert run(hub, "org/model") == first
    assert [one.server for one in hub.log[asked:]] == ["api"]


def test_a_commit_that_is_known_asks_nobody(hub: Hub) -> None:
    commit = hub.models["org/model"].branches["main"]
    first = run(hub, "org/model", revision=commit)
    hub.kill()
    assert run(hub, "org/model", revision=commit) == first


def test_several_revisions_of_one_model_are_none(hub: Hub) -> None:
    instances = [{"model": "org/model", "revision": "v1"}, {"model": "org/model"}, {"model": "org/model"}]
    assert hub_facts.wanted(instances, {}) == {"org/model": ""}
    assert hub_facts.wanted("none", {}) == {}


def test_check_mode_writes_nothing(hub: Hub, place: pathlib.Path) -> None:
    assert run(hub, "org/model", check=True)["org/model"]["config"]
    assert not place.exists()


def test_what_is_kept_is_for_its_owner_alone_and_not_for_ever(hub: Hub, place: pathlib.Path) -> None:
    run(hub, "org/gated", token=TOKEN)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in place.iterdir())
    assert TOKEN not in "".join(path.read_text() for path in place.iterdir())
    kept = HubCache(place)
    for number in range(FILES + 5):
        kept.put(("n", number), {})
    assert len(list(place.iterdir())) == FILES


@pytest.mark.parametrize("text", ["", "[]", "{", '{"key": [1, "x"], "value": {}}', '{"value": 7}', "\x00"])
def test_what_others_have_put_there_is_nothing(tmp_path: pathlib.Path, text: str) -> None:
    kept = HubCache(tmp_path)
    kept.put(("a",), {"b": 1})
    assert kept.get(("a",)) == {"b": 1}
    assert kept.get(("a",), seconds=-1) is None
    next(tmp_path.glob("*.json")).write_text(text)
    assert kept.get(("a",)) is None


def test_a_place_where_nothing_can_be_kept_is_no_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    kept = HubCache(tmp_path / "file")
    kept.put(("a",), {})
    assert kept.get(("a",)) is None


def test_a_refusal_is_a_note_and_is_asked_for_again(hub: Hub) -> None:
    found = run(hub, "org/gated", "org/model")
    assert found["org/gated"]["config"] is None
    assert found["org/gated"]["notes"][1].startswith(
        "Its hub was asked in vain, and is not in this plan. The model org/gated is gated, and no token was sent"
    )
    assert "set vllm_server_hub_token" in found["org/gated"]["notes"][1]
    assert found["org/model"]["config"]
    assert run(hub, "org/gated", token=TOKEN)["org/gated"]["config"]


def test_a_hub_that_is_away_is_asked_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_facts, "SECONDS", 1.5)
    hub.kill()
    began = time.monotonic()
    found = run(hub, "org/model", "org/gated")
    again = run(hub, "org/model")
    assert time.monotonic() - began < hub_facts.ALTOGETHER + 10
    assert found["org/model"]["notes"][1:] == found["org/gated"]["notes"][1:] == again["org/model"]["notes"][1:]
    assert "nothing can be reached there" in found["org/model"]["notes"][1]


def test_a_hub_that_does_not_answer_ends_in_time(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_facts, "SECONDS", 0.3)
    monkeypatch.setattr(hub_facts, "ALTOGETHER", 1.0)
    hub.faults.add(Fault("stall", after=1, seconds=30, count=-1))
    began = time.monotonic()
    assert "no whole answer came in time" in run(hub, "org/model", "org/gated")["org/gated"]["notes"][1]
    assert time.monotonic() - began < 25


@pytest.mark.parametrize(
    ("hub_said", "source"),
    [
        ({"endpoint": "http://h", "commit": "c" * 40, "bytes": 3 * 2**30}, "hub"),
        (None, "host"),
        ({"commit": 7}, "host"),
    ],
)
def test_the_plan_says_what_is_from_a_hub(hub_said: Json | None, source: str) -> None:
    model = catalogue.look_up("org/m", {"org/m": {"config": {"num_hidden_layers": 2}, "hub": hub_said}}, {})
    where = f"config.json and weights are from the hub at {'c' * 40} (http://h). 3.0 GiB of files are to be fetched."
    assert model.source == source
    assert catalogue.note(model) == (f"org/m is not on the host yet: {where}" if source == "hub" else "")
    assert catalogue.assumptions(model) == []
