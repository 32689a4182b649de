# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole host program against engines that answer as nobody should, over real sockets."""

from __future__ import annotations

import json
import pathlib
import socket
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.release import Release
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import liveness, prove
from ansible_collections.gpufleet.vllm.plugins.module_utils._host import cli
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import trial
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import units
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import Records
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.neighbour import (
    CUT,
    DEEP,
    DRIPS,
    DRIPS_HEADERS,
    ENDLESS,
    ENDLESS_CHUNK,
    LIES,
    NOISE,
    SILENT,
    HttpTo,
    Neighbour,
    Says,
    patience,
    says,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME, Json, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLD, NEW = 1024, 2048
# What a release that answers oddly is asked, and then the one before it.
ASKED = 9
GOOD: Json = {"choices": [{"message": {"content": "Hello"}, "text": "Hello"}], "usage": {"completion_tokens": 3}}
NOBODY = Says(b"")


def settings(deadline: float, of_a_look: float) -> Json:
    watch = {"interval": 10, "deadline": of_a_look, "failure_threshold": 2}
    return {"smoke": {"deadline": deadline}, "timeouts": {"hold": 1, "drain": 1}, "watch": watch}


METRICS = (
    b'vllm:num_requests_running{e="0"} 0\nvllm:num_requests_waiting{e="0"} 0\nvllm:generation_tokens_total{e="0"} 7\n'
)


class Hostile(Scene):
    """A host whose engines are well behaved, but for that of one release: `odd` says what it answers to which path."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.odd: dict[str, Says] = {}
        self.started: list[tuple[str, str]] = []
        self.bad = plan(NEW)["digest"]
        listener = socket.create_server(("127.0.0.1", 0))
        self.neighbour = Neighbour(listener, self._answer)
        self.host.http = HttpTo(listener.getsockname()[1])

    def _answer(self, line: str) -> Says:
        container = self.docker.serving()
        if container is None:
            return NOBODY
        release = json.loads(container["Config"]["Labels"]["io.gpufleet.release"])
        path = line.partition(" ")[2]
        if container["Config"]["Labels"]["io.gpufleet.digest"] == self.bad and path in self.odd:
            return self.odd[path]
        if path == "/v1/models":
            cards = [{"id": NAME, "max_model_len": release["arguments"]["max_model_len"]}]
            return says({"data": cards})
        return says(METRICS) if path == "/metrics" else says(GOOD)

    def run(self, *arguments: str) -> int:
        where = ("--state-dir", str(self.folder / "state"), "--client-dir", self.client_dir)
        return cli.main([*where, "--run-dir", self.run_dir, *arguments])

    def night(self, length: int, of_a_look: float = 60.0) -> int:
        """One run of the playbook, as far as the host has to do with it. What is odd has as long as a test gives it."""
        asked = settings(patience(*self.odd.values()), of_a_look)
        wanted: t.Any = {**plan(length, settings=asked), "fallbacks": []}
        request = self.store.save_request({"kind": "rollout", "plan": wanted, "retry": False})
        return self.run("rollout", NAME, request)


@pytest.fixture
def hostile(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Hostile]:
    made = Hostile(tmp_path)

    def start(_run: t.Any, instance: str, verb: str, _deadline: int, _words: t.Any = ()) -> None:
        made.started.append((instance, verb))

    monkeypatch.setattr(cli, "Host", lambda owner, keys, registry: made.host)
    monkeypatch.setattr(units, "start", start)
    monkeypatch.setattr(units, "running", lambda _instance: False)
    yield made
    made.neighbour.close()


def chat(**changes: t.Any) -> Says:
    return says({**GOOD, **changes})


def raw_chat(tokens: str) -> Says:
    return says(b'{"choices":[{"message":{"content":"hi"}}],"usage":{"completion_tokens":%s}}' % tokens.encode())


def listed(length: t.Any) -> Says:
    return says({"data": [{"id": NAME, "max_model_len": length}]})


MODELS, CHAT = "/v1/models", "/v1/chat/completions"
ANSWERS: dict[str, tuple[str, Says, str, str]] = {
    "models deep": (MODELS, DEEP, "smoke.no_answer", "it is nested deeper than 64 levels"),
    "models a list": (MODELS, says([1]), "smoke.models", "the answer is a list, not an object"),
    "models without a list": (MODELS, says({"data": {}}), "smoke.models", "the answer.data is an object, not a list"),
    "length a text": (MODELS, listed("big"), "smoke.models", "max_model_len is a text, not a whole number"),
    "length longer": (MODELS, listed(4096), "smoke.length", "states max_model_len 4096, planned is 2048"),
    "length negative": (MODELS, listed(-1), "smoke.length", "states max_model_len -1, which is no length"),
    "length infinite": (MODELS, listed(float("inf")), "smoke.no_answer", "the number Infinity, which is no JSON"),
    "models endless": (MODELS, ENDLESS, "smoke.no_answer", "it sends more than 1 MiB"),
    "deep": (CHAT, DEEP, "smoke.no_answer", "it is nested deeper than 64 levels"),
    "choices an object": (CHAT, chat(choices={}), "smoke.no_answer", "choices is an object, not a list"),
    "choices a full object": (CHAT, chat(choices={"a": 1}), "smoke.no_answer", "choices is an object, not a list"),
    "a choice a text": (CHAT, chat(choices=["x"]), "smoke.no_answer", "choices[0] is a text, not an object"),
    "message a text": (CHAT, chat(choices=[{"message": "hi"}]), "smoke.no_answer", "message is a text, not an object"),
    "content a list": (CHAT, chat(choices=[{"message": {"content": ["hi"]}}]), "smoke.no_answer", "content is a list"),
    "calls a text": (CHAT, chat(choices=[{"message": {"tool_calls": "x"}}]), "smoke.no_answer", "tool_calls is a text"),
    "usage a text": (CHAT, chat(usage="3"), "smoke.no_answer", "usage is a text, not an object"),
    "tokens a word": (CHAT, raw_chat('"three"'), "smoke.no_answer", "tokens is a text, not a whole number"),
    "tokens too many": (CHAT, raw_chat("1e400"), "smoke.no_answer", "the number 1e400, which is too large"),
    "tokens no number": (CHAT, raw_chat("NaN"), "smoke.no_answer", "the number NaN, which is no JSON"),
    "tokens long": (CHAT, raw_chat("9" * 5000), "smoke.no_answer", "it has a number of 5000 digits"),
    "tokens below zero": (CHAT, raw_chat("-3"), "smoke.content", "answered 200 without any text"),
    "an empty text": (CHAT, chat(choices=[{"message": {"content": ""}}]), "smoke.content", "without any text"),
    "a list": (CHAT, says([]), "smoke.content", "without any text"),
    "endless": (CHAT, ENDLESS, "smoke.no_answer", "it sends more than 1 MiB"),
    "an endless chunk": (CHAT, ENDLESS_CHUNK, "smoke.no_answer", "it sends more than 1 MiB"),
    "a length that lies": (CHAT, LIES, "smoke.no_answer", "it sends more than 1 MiB"),
    "cut off": (CHAT, CUT, "smoke.no_answer", "IncompleteRead"),
    "silent": (CHAT, SILENT, "smoke.no_answer", "got no answer within 1 s"),
    "dripping": (CHAT, DRIPS, "smoke.no_answer", "got no answer within 1 s"),
    "dripping headers": (CHAT, DRIPS_HEADERS, "smoke.no_answer", "got no answer within 1 s"),
    "noise": (CHAT, NOISE, "smoke.no_answer", "got no answer within 60 s"),
    "steering words": (
        CHAT,
        says({"error": {"message": "\x1b]52;c;ZWNobw==\x07\x1b[2J\u202egone\ud800"}}, 500),
        "smoke.error",
        "answered 500: \ufffdgone\ufffd",
    ),
}


@pytest.mark.parametrize(("path", "said", "failure_class", "words"), ANSWERS.values(), ids=ANSWERS)
def test_a_release_that_answers_oddly_is_rolled_back_and_not_tried_again(
    hostile: Hostile,
    capsys: pytest.CaptureFixture[str],
    path: str,
    said: Says,
    failure_class: str,
    words: str,
) -> None:
    assert hostile.night(OLD) == 0
    hostile.odd[path] = said
    before = len(hostile.neighbour.asked)
    assert hostile.night(NEW) == 1
    assert len(hostile.neighbour.asked) - before <= ASKED, "each of it may take as long as its deadline"
    (rejection,) = hostile.store.load().rejected
    assert (rejection.digest, rejection.failure_class) == (hostile.bad, failure_class)
    assert words in rejection.cause
    assert (hostile.last()["outcome"], hostile.serves()) == ("rolled_back", OLD)
    hostile.assert_settled()
    writes = len(hostile.docker.writes)
    assert hostile.night(NEW) == 1
    assert (hostile.last()["outcome"], hostile.docker.writes[writes:]) == ("refused", [])
    told = capsys.readouterr().out
    assert words in told
    assert not [c for c in told if not c.isprintable() and c not in "\n"]


STEERS = "\x1b]52;c;ZWNobw==\x07\x1b[2J\x1b[1;32mok: [gpu1] verified\u202e"


def test_nothing_that_a_log_or_a_label_says_steers_a_terminal(
    hostile: Hostile, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of an engine that fails, and of somebody's container in the place of ours. What Docker hands over of a log is
    cleaned on its way in already (test_hostile_docker.py), which the one here is not.
    """
    assert hostile.night(OLD) == 0
    hostile.engine(NEW, Engine(exits_after=1.0, log=((0.5, f"ValueError: {STEERS}"),)))
    assert hostile.night(NEW) == 1
    made = hostile.docker.create(f"vllm-{NAME}-held", {"Image": STEERS, "Labels": {STEERS: STEERS}, "HostConfig": {}})
    hostile.docker.containers[made]["Name"] = f"/vllm-{NAME}-held"
    assert hostile.night(4096) == 1
    assert hostile.run("status") == 0
    told = capsys.readouterr().out
    assert "ValueError: " in told and f"vllm-{NAME}-held" in told
    kept = [path for path in hostile.folder.rglob("*") if path.is_file()]
    texts = {path.name: path.read_text() for path in kept} | {"told": told}
    assert {"state.json", "stages.jsonl", "diagnosis.json"} < texts.keys()
    steering = {name for name, text in texts.items() if not text.replace("\n", "").isprintable()}
    assert steering - {"engine.log"} == set()
    assert hostile.serves() == OLD


def test_what_nobody_has_thought_of_is_held_against_the_release(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next mistake in our own reading of an answer takes no good server down every night either."""
    assert hostile.night(OLD) == 0

    def breaks(http: t.Any, expected: t.Any, clock: t.Any) -> t.Any:
        if expected.max_model_len == NEW:
            raise KeyError("odd")
        return prove.prove(http, expected, clock)

    monkeypatch.setattr(trial, "prove", breaks)
    assert hostile.night(NEW) == 1
    (rejection,) = hostile.store.load().rejected
    assert rejection.failure_class == "smoke.no_answer"
    assert "an unexpected error, please report it: KeyError('odd') at " in rejection.cause
    assert hostile.serves() == OLD
    hostile.assert_settled()


LOOKS: dict[str, dict[str, Says]] = {
    "metrics a word": {"/metrics": says(b'vllm:generation_tokens_total{engine="0"} abc\n')},
    "metrics deep": {"/metrics": DEEP},
    "metrics JSON": {"/metrics": says({"a": 1})},
    "metrics not finite": {"/metrics": says(b"vllm:generation_tokens_total NaN\nvllm:prompt_tokens_total 1e400\n")},
    "metrics endless": {"/metrics": ENDLESS},
    "metrics silent": {"/metrics": SILENT},
    "token deep": {"/v1/completions": DEEP},
    "token an object": {"/v1/completions": says({"choices": {"a": 1}})},
    "token no JSON": {"/v1/completions": says(b"hello")},
    "token endless": {"/v1/completions": ENDLESS},
    "token dripping": {"/v1/completions": DRIPS},
    "health endless": {"/v1/completions": SILENT, "/health": ENDLESS},
    "health silent": {"/v1/completions": SILENT, "/health": SILENT, "/metrics": SILENT},
    "everything": dict.fromkeys(("/v1/completions", "/health", "/metrics"), NOISE),
}


def beside(hostile: Hostile, name: str) -> None:
    """Another instance, whose container is gone."""
    state = hostile.store.load()
    assert state.current is not None
    release: Release = {**state.current.release, "instance": name}
    gone = replace(state.current, container_id="gone", release=release)
    Store(name, str(hostile.folder / "state")).save(replace(state, instance=name, current=gone))


@pytest.mark.parametrize("odd", LOOKS.values(), ids=LOOKS)
def test_the_watch_goes_on_with_the_next_instance(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], odd: dict[str, Says]
) -> None:
    within = patience(*odd.values())
    monkeypatch.setattr(liveness, "QUICK", within)
    assert hostile.night(NEW, within) == 0
    beside(hostile, "zeta")
    hostile.odd = odd
    hostile.clock.sleep(60)
    assert hostile.run("watch") == 0
    (look,) = Records(hostile.store, hostile.run_dir).remembered().seen
    assert ("healthy: a token" in look) is ("/v1/completions" not in odd)
    assert look.isprintable()
    hostile.clock.sleep(60)
    assert hostile.run("watch") == 0
    assert ("zeta", "rollout") in hostile.started
    capsys.readouterr()
    assert hostile.run("status") == 0
    seen = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in seen] == [NAME, "zeta"]
    assert all(c.isprintable() for c in str(seen))


def test_what_nobody_has_thought_of_ends_no_round(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hostile.night(NEW) == 0
    beside(hostile, "zeta")

    def breaks(*_what: t.Any) -> t.NoReturn:
        raise KeyError("\x1b[2Jodd")

    monkeypatch.setattr(liveness, "work", breaks)
    capsys.readouterr()
    for _round in range(3):
        hostile.clock.sleep(60)
        assert hostile.run("watch") == 0
    assert ("zeta", "rollout") in hostile.started
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{NAME}: ")]
    assert len(told) == 1
    assert "the watch does nothing: an unexpected error, please report it: KeyError(" in told[0]


def test_a_full_run_folder_ends_no_round(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hostile.night(NEW) == 0
    beside(hostile, "zeta")
    real = Records.remember

    def full(records: t.Any, memory: t.Any) -> None:
        if NAME in records._memory:
            raise OSError(28, "No space left on device")
        real(records, memory)

    monkeypatch.setattr(Records, "remember", full)
    for _round in range(2):
        hostile.clock.sleep(60)
        assert hostile.run("watch") == 0
    assert ("zeta", "rollout") in hostile.started


@pytest.mark.parametrize(
    "body", [b"", b"vllm:num_requests_running abc\n", b"vllm:num_requests_running 0\n", b"[" * 9999]
)
def test_an_engine_that_does_not_count_its_requests_is_waited_for(hostile: Hostile, body: bytes) -> None:
    assert hostile.night(NEW) == 0
    hostile.odd["/metrics"] = says(body)
    assert hostile.night(4096) == 0
    lines, _offset = hostile.store.stages_from(0)
    assert "stopped with an unknown number of requests in flight" in [line["detail"] for line in lines]
