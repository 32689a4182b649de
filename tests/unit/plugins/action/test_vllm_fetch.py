# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action that has a host fetch models: what it asks, what it shows, and what it never tells."""

from __future__ import annotations

import json
import pathlib
import shutil
import types
import typing as t

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.gpufleet.vllm.plugins.action import vllm_fetch as action
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import Progress
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import program_action, sent_models
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.host_program import HostProgram
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.hubs import request

Json = dict[str, t.Any]
TOKEN = "hf_0123456789abcdefgh"
NOTHING: t.Any = None


def told(**parts: t.Any) -> Json:
    return {**Progress().told(), "stage": "fetching", "bytes": 1000, "done": 500, "rate": 100.0, **parts}


def whole(changed: bool = True, **parts: t.Any) -> Json:
    return told(outcome="whole", detail="org/m is whole.", changed=changed, commit="c" * 40, **parts)


def seen(said: Json | None, active: bool = True) -> Json:
    return {"rc": 0, "stdout": json.dumps({"told": said, "active": active}), "stderr": ""}


class Wire:
    """The host: answers of `fetching` in order, and of the module."""

    def __init__(self, *follow: Json | Exception) -> None:
        self.follow = list(follow)
        self.calls: list[Json] = []
        self.commands: list[str] = []
        self.shown: list[str] = []
        self.piped: list[bool] = []
        self.ours = [True]
        self.pipes, self.clock, self.step = True, 0.0, 0.0
        self.found: Json = {}
        self.refusal = ""
        # What the host says of pieces that come from the control node, or that it is out of reach.
        self.sizes: list[Json | Exception] = []
        self.pieces: list[tuple[str, bytes]] = []

    def module(self, args: Json) -> Json:
        self.calls.append(args)
        if self.refusal:
            return {"failed": True, "msg": self.refusal}
        if self.found and ("look" in args or not self.follow):
            return {"changed": False, "found": self.found}
        if "program_source" not in args and len(self.calls) == 1:
            return {"changed": False, "program_needed": True}
        ours = self.ours.pop(0) if len(self.ours) > 1 else self.ours[0]
        started = {"name": "m-1", "unit": "gpufleet-fetch@m-1.service", "run": "r1", "ours": ours, "joined": not ours}
        return {"changed": True, "started": started, "invocation": {"module_args": {"token": "VALUE_SPECIFIED"}}}

    def command(self, command: str, in_data: bytes | None = None) -> Json:
        if in_data is not None:
            self.pieces.append((command, in_data))
            said = self.sizes.pop(0)
            if isinstance(said, Exception):
                raise said
            return said
        self.commands.append(command)
        self.clock += self.step
        answer = self.follow.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Json]:
    def carry_out(wire: Wire, *, check: bool = False, terminal: bool = False, **args: t.Any) -> Json:
        task = types.SimpleNamespace(
            args=args, check_mode=check, no_log=False, async_val=0, diff=False, action=action.MODULE, environment=None,
            delegate_to=None,
        )  # fmt: skip
        shell = types.SimpleNamespace(tmpdir="/tmp/task", join_path=lambda *parts: "/".join(parts))
        connection = types.SimpleNamespace(
            _shell=shell, has_pipelining=wire.pipes, is_pipelining_enabled=lambda _wrap_async: False
        )
        parts: Json = {
            "task": task,
            "connection": connection,
            "play_context": types.SimpleNamespace(remote_addr="gpu1", check_mode=check),
        }
        plugin = action.ActionModule(**parts, loader=NOTHING, templar=NOTHING, shared_loader_obj=NOTHING)

        def execute_module(_name: str, module_args: Json, task_vars: Json) -> Json:
            wire.piped.append(plugin._is_pipelining_enabled("new"))
            return wire.module(module_args)

        def sleep(seconds: float) -> None:
            wire.clock += seconds

        monkeypatch.setattr(program_action, "build", lambda _sources: HostProgram(b"", "digest"))
        monkeypatch.setattr(plugin, "_execute_module", execute_module)
        monkeypatch.setattr(plugin, "_low_level_execute_command", wire.command)
        monkeypatch.setattr(plugin, "_transfer_file", lambda _source, _target: None)
        monkeypatch.setattr(plugin, "_remove_tmp_path", lambda _path: None)
        monkeypatch.setattr(plugin, "_display", types.SimpleNamespace(display=wire.shown.append))
        monkeypatch.setattr(action, "time", types.SimpleNamespace(monotonic=lambda: wire.clock, sleep=sleep))
        monkeypatch.setattr(action, "on_terminal", lambda: terminal)
        result: Json = plugin.run(None, {"inventory_hostname": "gpu1"})
        return result

    return carry_out


MODELS = [{"model": "org/m"}]


def test_the_program_is_brought_and_the_download_followed_to_its_end(run: t.Callable[..., Json]) -> None:
    wire = Wire(seen(None), seen(told()), seen(whole(received=900, files=2, missing=900)))
    result = run(wire, models=MODELS, bandwidth=2.5)
    assert [set(call) & {"program_source"} for call in wire.calls] == [set(), {"program_source"}]
    assert (wire.calls[0]["request"]["bandwidth"], wire.calls[0]["request"]["revision"]) == (2_500_000, "")
    assert wire.commands[0].endswith("gpufleet-host fetching m-1 --run r1 --wait 10")
    assert (result["changed"], result["msg"]) == (True, ["org/m is whole."])
    (one,) = result["models"]
    assert (one["commit"], one["received_bytes"], one["missing_files"]) == ("c" * 40, 900, 2)


@pytest.mark.parametrize(("terminal", "lines"), [(True, 12), (False, 1)])
def test_a_line_every_few_seconds_on_a_terminal_and_one_a_minute_in_a_log(
    run: t.Callable[..., Json], terminal: bool, lines: int
) -> None:
    wire = Wire(*[seen(told())] * 12, seen(whole()))
    wire.step = 5
    run(wire, terminal=terminal, models=MODELS)
    assert wire.shown == ["[gpu1] org/m: 50 %, 500 bytes of 1.0 kB, 100 bytes/s, 5 s left"] * lines


def test_a_token_is_piped_and_told_nowhere(run: t.Callable[..., Json]) -> None:
    wire = Wire(seen(whole()))
    result = run(wire, models=MODELS, token=TOKEN)
    assert wire.piped == [True, True] and wire.calls[0]["token"] == TOKEN
    assert TOKEN not in json.dumps([result, wire.commands, wire.shown, [call["request"] for call in wire.calls]])
    run(other := Wire(seen(whole())), models=MODELS)
    assert other.piped == [False, False] and "token" not in other.calls[0]


def test_a_token_is_not_sent_where_it_would_be_written_down(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    wire.pipes = False
    with pytest.raises(AnsibleActionFail, match="A token of the hub would be written to temporary files"):
        run(wire, models=MODELS, token=TOKEN)


def test_models_of_instances_come_once_and_without_their_keys(run: t.Callable[..., Json]) -> None:
    instances = [
        {"name": "a", "model": "org/m", "port": 1, "api_key": "sk-0123456789abcdef"},
        {"name": "b", "model": "org/m", "port": 2},
        {"name": "c", "model": "/srv/models/x", "port": 3},
        {
            "name": "d", "model": "org/m", "revision": "v2", "port": 4,
            "engine_args": {"speculative_config": '{"model": "org/draft"}'},
        },
    ]  # fmt: skip
    wire = Wire(*[seen(whole(changed=False))] * 3)
    result = run(wire, instances=instances, allow_code=["org/draft"], allow_pickles=["org/m"])
    asked = [(one["model"], one["revision"]) for one in result["models"]]
    assert asked == [("org/m", ""), ("org/m", "v2"), ("org/draft", "")] and result["changed"] is False
    requests = [call["request"] for call in wire.calls[1:]]
    assert [(one["code"], one["pickles"]) for one in requests] == [(False, True), (False, True), (True, False)]
    assert "sk-0123" not in json.dumps(wire.calls)


def test_who_finds_another_download_of_the_model_waits_for_it_and_then_has_its_own(run: t.Callable[..., Json]) -> None:
    wire = Wire(seen(whole()), seen(whole(changed=False)))
    wire.ours = [False, True]
    assert run(wire, models=MODELS)["changed"] is False
    assert wire.shown == ["[gpu1] org/m: another download of it has ended; now this one"]


def test_one_that_fails_keeps_no_other_from_coming(run: t.Callable[..., Json]) -> None:
    failed = told(outcome="failed", detail="There is no model org/x: open https://hub.invalid/org/x.")
    wire = Wire(seen(failed), seen(whole()))
    result = run(wire, models=[{"model": "org/x"}, *MODELS])
    assert result["failed"] and result["changed"]
    assert result["msg"] == "org/x: There is no model org/x: open https://hub.invalid/org/x."
    assert [one["outcome"] for one in result["models"]] == ["failed", "whole"]


def test_all_that_is_wrong_is_told_at_once_and_no_host_is_asked(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    result = run(
        wire, models=[{"model": "a b"}, {"model": "org/m", "revision": "../x"}], files_at_once=99, bandwidth=-1,
        endpoint="ftp://x", hub_dir="x", token=f"{TOKEN}\n",
    )  # fmt: skip
    for said in (
        "model_store_models[0]: the model 'a b' is no id",
        "model_store_models[1]: the revision '../x'",
        "model_store_files_at_once is 99: write a number from 1 to 16",
        "model_store_bandwidth is -1: write MB a second",
        "(vllm_server_hub_endpoint) is no http",
        "vllm_server_hub_dir is 'x'",
    ):
        assert said in result["msg"]
    assert result["failed"] and wire.calls == [] and TOKEN not in result["msg"]


def test_a_check_run_says_what_is_missing_and_starts_nothing(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    wire.found = {"outcome": "missing", "detail": "2 files.", "commit": "c", "missing_files": 2, "missing_bytes": 9}
    result = run(wire, check=True, models=MODELS)
    assert (result["changed"], result["msg"], wire.commands) == (True, ["2 files."], [])
    assert (result["models"][0]["missing_bytes"], result["models"][0]["received_bytes"]) == (9, 0)


@pytest.mark.parametrize(
    ("answers", "told_as"),
    [
        (
            [seen(None, active=False)],
            "org/m: the download ended without a word; look at `journalctl -u gpufleet-fetch@m-1",
        ),
        (
            [AnsibleConnectionFailure("gone")] * 1000,
            "org/m: the host has been out of reach for 600 s. It goes on by itself",
        ),
    ],
)
def test_an_end_without_a_word_is_told(run: t.Callable[..., Json], answers: list[t.Any], told_as: str) -> None:
    result = run(Wire(*answers), models=MODELS)
    assert result["failed"] and result["msg"].startswith(told_as)


@pytest.mark.parametrize("stdout", ["", "[]", '{"told": {"stage": 1}, "active": true}', '{"active": "yes"}'])
def test_what_a_host_says_is_of_one_shape(run: t.Callable[..., Json], stdout: str) -> None:
    with pytest.raises(AnsibleActionFail, match="what the host says is not understood"):
        run(Wire({"rc": 0, "stdout": stdout, "stderr": ""}), models=MODELS)


def test_what_a_host_says_steers_no_terminal(run: t.Callable[..., Json]) -> None:
    steers = "\x1b]0;owned\x07\x1b[2Jx\nok: [gpu2]"
    wire = Wire(seen(told(waiting=steers)), seen(told(outcome="\x1b[2J", detail=steers)))
    wire.step = 100
    result = run(wire, models=MODELS)
    assert result["failed"] and result["msg"].isprintable() and wire.shown[0].isprintable()


@pytest.fixture
def source(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Json:
    """A model of the control node, as a task states it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"weights")
    return {"models": MODELS, "sources": {"org/m": f"control_node:{tmp_path}/m"}}


def lacks_all_of(source: Json) -> Json:
    """What a host without the model says."""
    asked = request("/var/cache/gpufleet/hub", model="org/m", source=source["sources"]["org/m"])
    made, _found = sent_models.held(asked, sent_models.cache())
    needs = [{"blob": one["sha256"], "there": 0} for one in made["files"]]
    missing = {"missing_files": 2, "missing_bytes": 9}
    return {"outcome": "missing", "detail": "2 files.", "commit": made["commit"], "needs": needs, **missing}


def size(count: int) -> Json:
    return {"rc": 0, "stdout": json.dumps({"size": count}), "stderr": ""}


def test_what_the_control_node_has_is_sent_and_then_placed(run: t.Callable[..., Json], source: Json) -> None:
    wire = Wire(seen(whole()))
    wire.found = lacks_all_of(source)
    wire.sizes = [size(2), AnsibleConnectionFailure("gone"), size(7)]
    result = run(wire, **source)
    assert [raw for _command, raw in wire.pieces] == [b"{}", b"weights", b"weights"]
    words = "gpufleet-host receive --hub-dir /var/cache/gpufleet/hub --model org/m --blob "
    assert all(words in command for command, _raw in wire.pieces)
    assert wire.shown == ["gpu1: the host is out of reach; trying again"]
    assert (result["changed"], result["msg"]) == (True, ["org/m is whole. 9 bytes were sent."])
    assert result["models"][0]["received_bytes"] == 9
    assert json.loads(wire.calls[-1]["request"]["listed"])["model"] == "org/m"


def test_nothing_is_sent_to_a_host_that_lacks_nothing(run: t.Callable[..., Json], source: Json) -> None:
    wire = Wire(seen(whole(changed=False)))
    wire.found = {**lacks_all_of(source), "outcome": "whole", "needs": []}
    result = run(wire, **source)
    assert (wire.pieces, result["changed"], result["msg"]) == ([], False, ["org/m is whole."])


def test_a_check_run_says_what_would_be_sent_and_sends_nothing(run: t.Callable[..., Json], source: Json) -> None:
    wire = Wire()
    wire.found = lacks_all_of(source)
    result = run(wire, check=True, **source)
    assert (result["changed"], result["msg"], wire.pieces, wire.commands) == (True, ["2 files."], [], [])
    assert "look" not in wire.calls[0] and "listed" in wire.calls[0]["request"]


@pytest.mark.parametrize(
    ("answer", "told_as"),
    [
        ({"rc": 1, "stdout": "", "stderr": "the disk of /x is full\n"}, "the host did not take a file: the disk of /x"),
        ({"rc": 0, "stdout": "[]", "stderr": ""}, "the host did not take a file: it is"),
        ({"rc": 0, "stdout": "x", "stderr": ""}, "the host did not take a file: "),
        (size(100), "the host has 100 of the 2 bytes of config.json"),
    ],
)
def test_a_piece_that_is_not_taken_ends_this_model(
    run: t.Callable[..., Json], source: Json, answer: Json, told_as: str
) -> None:
    wire = Wire(seen(whole()))
    wire.found = lacks_all_of(source)
    wire.sizes = [answer]
    result = run(wire, **source)
    assert result["failed"] and result["msg"].startswith(f"org/m: {told_as}") and len(wire.pieces) == 1


def test_a_host_that_cannot_be_piped_to_is_sent_nothing(run: t.Callable[..., Json], source: Json) -> None:
    wire = Wire(seen(whole()))
    wire.pipes, wire.found = False, lacks_all_of(source)
    assert "has no pipelining, by which files are sent" in run(wire, **source)["msg"] and wire.pieces == []


def test_a_host_without_room_is_sent_nothing(run: t.Callable[..., Json], source: Json) -> None:
    wire = Wire(seen(whole()))
    wire.found = {**lacks_all_of(source), "outcome": "failed", "detail": "9 bytes are missing."}
    assert run(wire, **source)["msg"] == "org/m: 9 bytes are missing." and wire.pieces == []


def test_a_source_that_is_gone_is_needed_for_no_commit(
    run: t.Callable[..., Json], source: Json, tmp_path: pathlib.Path
) -> None:
    shutil.rmtree(tmp_path / "m")
    assert "there is no" in run(Wire(), **source)["msg"]
    wire = Wire(seen(whole(changed=False)))
    result = run(wire, sources=source["sources"], models=[{"model": "org/m", "revision": "c" * 40}])
    assert result["msg"] == ["org/m is whole."] and "listed" not in wire.calls[-1]["request"]


SERVE: t.Final = {"serve_at": "192.0.2.9:8790", "serve_to": ["192.0.2.0/24"]}


def test_what_came_is_served_to_others_afterwards(run: t.Callable[..., Json]) -> None:
    wire = Wire(seen(whole()))
    result = run(wire, models=MODELS, hub_dir="/hub/", **SERVE)
    assert wire.calls[-1]["share"] == {"hub_dir": "/hub", "at": "192.0.2.9:8790", "to": ["192.0.2.0/24"]}
    assert "request" in wire.calls[0] and result["msg"] == ["org/m is whole."]


def test_one_that_serves_no_more_ends_what_serves_and_asks_not_itself(run: t.Callable[..., Json]) -> None:
    wire = Wire(seen(whole()))
    run(wire, models=MODELS)
    assert wire.calls[-1]["shares"] is False
    wire = Wire(seen(whole()))
    run(wire, models=MODELS, peers=["192.0.2.9:8790", "192.0.2.8:8790"], **SERVE)
    assert wire.calls[0]["shares"] is True and wire.calls[0]["request"]["peers"] == ["192.0.2.8:8790"]


def test_what_is_there_is_served_where_something_else_failed(run: t.Callable[..., Json]) -> None:
    wire = Wire(seen(told(outcome="failed", detail="The hub is away.")))
    assert run(wire, models=MODELS, **SERVE)["failed"]
    assert "share" in wire.calls[-1]


def test_a_check_run_serves_nothing(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    wire.found = {"outcome": "missing", "detail": "2 files.", "commit": "", "missing_files": 2, "missing_bytes": 1}
    run(wire, check=True, models=MODELS, **SERVE)
    assert wire.calls and not any("share" in call for call in wire.calls)


def test_that_nothing_is_served_is_told(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    wire.refusal = "systemd did not start gpufleet-share.service: no bus"
    result = run(wire, models=[], **SERVE)
    assert (result["failed"], result["msg"]) == (True, wire.refusal)


def test_nobody_may_read_unless_stated(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    result = run(wire, models=MODELS, serve_at="192.0.2.9:8790", peers=["x"])
    assert result["failed"] and not wire.calls
    assert "model_store_serve_to names nobody" in result["msg"] and "model_store_peers has 'x'" in result["msg"]
