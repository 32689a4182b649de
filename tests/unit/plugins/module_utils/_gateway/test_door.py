# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door as clients find it: a real HAProxy, and engines that answer."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import threading
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gateway import paths, plan, settings
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gateway.doors import (
    ENGINE,
    KEY,
    OTHER,
    Door,
    Engine,
    endpoint,
    needs_haproxy,
    until,
)

pytestmark = needs_haproxy
# What vLLM 0.32 has of routes, in its own sources and in what it opens with VLLM_SERVER_DEV_MODE and its like.
ROUTES = json.loads((pathlib.Path(__file__).parent / "vllm_routes.json").read_text())
OPEN = {*paths.OPENAI, *paths.WITH_A_KEY, paths.MODELS, paths.HEALTH}


class House(t.NamedTuple):
    door: Door
    engines: list[Engine]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[House]:
    """Two replicas of `a`, one engine for `org/b` and its other name."""
    engines = [Engine("one"), Engine("two"), Engine("other")]
    door = Door(
        tmp_path_factory.mktemp("door"),
        [endpoint(engines[0]), endpoint(engines[1], "gpu-2"), endpoint(engines[2], names=("org/b", "b"))],
    )
    yield House(door, engines)
    door.stop()
    for engine in engines:
        engine.stop()


@pytest.fixture
def built(tmp_path: pathlib.Path) -> t.Iterator[t.Callable[..., House]]:
    """A house of one's own, of so many replicas of one name."""
    houses: list[House] = []

    def build(replicas: int = 1, **stated: t.Any) -> House:
        engines = [Engine(f"engine-{number}") for number in range(replicas)]
        door = Door(tmp_path, [endpoint(one, f"gpu-{number}") for number, one in enumerate(engines)], **stated)
        houses.append(House(door, engines))
        return houses[-1]

    yield build
    for house in houses:
        house.door.stop()
        for engine in house.engines:
            engine.stop()


def test_requests_go_to_who_serves_the_name_with_the_engines_key(house: House) -> None:
    assert {house.door.chat()[1]["who"] for _again in range(8)} == {"one", "two"}
    assert [house.door.chat(name)[1]["who"] for name in ("org/b", "b")] == ["other", "other"]
    _method, _path, headers = house.engines[2].asked[-1]
    assert headers["authorization"] == f"Bearer {ENGINE}"
    assert KEY not in repr(headers)


def test_a_slash_that_is_escaped_is_a_slash(house: House) -> None:
    status, answer = house.door.ask("/v1/chat/completions", '{"messages": ["x\\/y"], "model":"org\\/b"}')
    assert (status, answer["who"]) == (200, "other")


def test_all_names_are_listed_and_health_asks_for_no_key(house: House) -> None:
    status, listed = house.door.ask("/v1/models")
    assert (status, [one["id"] for one in listed["data"]]) == (200, ["a", "b", "org/b"])
    assert house.door.ask("/v1/models", key=None)[0] == 401
    assert house.door.ask("/health", key=None) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", [route for route in ROUTES if route not in OPEN])
def test_whatever_else_vllm_has_is_refused(house: House, path: str) -> None:
    before = [len(engine.asked) for engine in house.engines]
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
        status, answer = house.door.ask(path, '{"model": "a"}', method=method)
        assert status == 404
        assert method == "HEAD" or answer["error"]["code"] == "unknown_path"
    assert [len(engine.asked) for engine in house.engines] == before


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions/", "//v1/chat/completions", "/v1/../sleep", "/v1/chat/completions/../../sleep",
        "/%73leep",
        "/v1/chat%2fcompletions", "/v1/chat/completions%00", "/V1/chat/completions", "/v1/models/../../pause",
        "/v1/chat/completions;/sleep", "/v1/chat/completions%3f", "/health/../sleep", "*", "/\\sleep",
    ],
)  # fmt: skip
def test_a_path_that_is_written_another_way_is_another_path(house: House, path: str) -> None:
    before = [len(engine.asked) for engine in house.engines]
    status, _answer = house.door.ask(path, '{"model": "a"}')
    assert status in (400, 404)
    assert [len(engine.asked) for engine in house.engines] == before


@pytest.mark.parametrize(
    ("path", "method"), [("/v1/chat/completions", "GET"), ("/v1/models", "POST"), ("/health", "PUT")]
)
def test_a_path_has_its_method(house: House, path: str, method: str) -> None:
    assert house.door.ask(path, "{}", method=method)[1]["error"]["code"] == "wrong_method"


@pytest.mark.parametrize("key", [None, "", "wrong-key-0123456789", KEY + "x", KEY[:-1], KEY.upper(), f"{KEY} {KEY}"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize", "/v1/embeddings"])
def test_without_a_key_nothing_is_asked(house: House, key: str | None, path: str) -> None:
    before = [len(engine.asked) for engine in house.engines]
    status, answer = house.door.ask(path, {"model": "a"}, key=key)
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    assert [len(engine.asked) for engine in house.engines] == before


def test_the_log_has_the_request_and_the_name_of_the_key_only(house: House) -> None:
    house.door.ask("/v1/chat/completions", {"model": "a"}, X_Request_Id="my-own-id.1")
    assert house.door.headers["x-request-id"] == "my-own-id.1"
    house.door.ask("/v1/chat/completions", {"model": "a"}, X_Request_Id="bad id; x" * 9)
    assert house.door.headers["x-request-id"] != "bad id; x" * 9
    until(lambda: house.door.logged("request=my-own-id.1 key=web") == 1)
    log = house.door.log.read_text()
    assert KEY not in log and ENGINE not in log


def test_what_names_no_model_or_an_unknown_one_is_refused(house: House) -> None:
    for body, status, code in (
        ({"model": "nobody"}, 404, "model_not_found"),
        ({"messages": []}, 400, "model_missing"),
        ("no json", 400, "model_missing"),
        ({"messages": [{"model": "a"}]}, 400, "model_missing"),
        ({"model": {"a": 1}}, 400, "model_missing"),
        ("", 400, "model_missing"),
    ):
        found, answer = house.door.ask("/v1/chat/completions", body, method="POST")
        assert (found, answer["error"]["code"]) == (status, code), body


def test_a_model_behind_what_is_deeply_nested_is_not_read_and_the_answer_says_how_to_name_it(house: House) -> None:
    """HAProxy's reader of JSON ends where brackets are nested more than 20 deep."""

    def nested(depth: int) -> str:
        return f'{{"messages": {"[" * (depth - 1)}{"]" * (depth - 1)}, "model": "org/b"}}'

    assert house.door.ask("/v1/chat/completions", nested(20))[1].get("who") == "other"
    status, answer = house.door.ask("/v1/chat/completions", nested(21))
    assert (status, answer["error"]["code"]) == (400, "model_missing")
    assert "could not be read" in answer["error"]["message"] and "X-Model" in answer["error"]["message"]
    assert house.door.ask("/v1/chat/completions", nested(1000), X_Model="org/b")[1]["who"] == "other"
    early = f'{{"model": "org/b", "messages": {"[" * 1000}{"]" * 1000}}}'
    assert house.door.ask("/v1/chat/completions", early)[1]["who"] == "other"


def test_a_body_beyond_the_buffer_is_counted_and_refused_unless_it_says_its_model_early(house: House) -> None:
    long = "x" * 300_000
    late, early = {"messages": long, "model": "org/b"}, {"model": "org/b", "messages": long}
    status, answer = house.door.ask("/v1/chat/completions", late)
    assert (status, answer["error"]["code"]) == (413, "request_too_large")
    assert "64 KiB" in answer["error"]["message"]
    assert house.door.ask("/v1/chat/completions", early)[1]["bytes"] > 300_000
    assert house.door.ask("/v1/chat/completions", late, X_Model="org/b")[1]["who"] == "other"
    assert "gpc0=3" in house.door.runtime.ask("show", "table", "bodies")
    whole = {"messages": "x" * 65_000, "model": "org/b"}
    assert house.door.ask("/v1/chat/completions", whole)[1]["who"] == "other"
    assert "gpc0=3" in house.door.runtime.ask("show", "table", "bodies")


def test_refusals_are_counted_by_their_reason(house: House) -> None:
    house.door.ask("/sleep", "{}")
    metrics = house.door.metrics()
    assert 'haproxy_backend_http_requests_total{proxy="refused-path"}' in metrics
    assert 'haproxy_server_status{proxy="' in metrics


def test_headers_have_a_limit(house: House) -> None:
    assert house.door.ask("/v1/chat/completions", {"model": "a"}, X_Long="x" * 20_000)[0] == 400


def streamed(door: Door) -> list[tuple[float, bytes]]:
    """The pieces of a stream, each with the seconds after its beginning."""
    line = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
    body = json.dumps({"model": "a", "stream": True})
    line.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {KEY}"})
    answer = line.getresponse()
    began, pieces = time.monotonic(), []
    while piece := answer.read1(1000):
        pieces.append((time.monotonic() - began, piece))
    line.close()
    return pieces


@contextlib.contextmanager
def ends(ended: threading.Event) -> t.Iterator[None]:
    """Whoever asks until then stops also where the test fails."""
    try:
        yield
    finally:
        ended.set()


def test_a_stream_comes_while_it_is_made(house: House) -> None:
    pieces = streamed(house.door)
    assert b"".join(piece for _at, piece in pieces).count(b"data: ") == 5
    assert pieces[-1][0] - pieces[0][0] > 0.8


def test_a_reload_breaks_no_stream_and_loses_no_request(built: t.Callable[..., House]) -> None:
    house = built(2)
    ended = threading.Event()

    def steady() -> list[int]:
        found = []
        while not ended.is_set():
            found.append(house.door.chat()[0])
        return found

    with concurrent.futures.ThreadPoolExecutor() as pool, ends(ended):
        asking, streaming = pool.submit(steady), pool.submit(streamed, house.door)
        until(lambda: house.door.sessions() > 0)
        house.door.reload()
        pieces = streaming.result()
        until(lambda: house.door.logged("Loading success") == 2)
        ended.set()
        assert set(asking.result()) == {200}
    assert b"".join(piece for _at, piece in pieces).count(b"data: ") == 5


def test_one_model_takes_a_body_of_any_size_and_one_that_names_none(built: t.Callable[..., House]) -> None:
    house = built()
    assert house.door.ask("/v1/chat/completions", {"messages": "x" * 300_000, "model": "a"})[1]["bytes"] > 300_000
    assert house.door.ask("/tokenize", {"prompt": "x"})[1]["path"] == "/tokenize"
    assert house.door.chat("nobody")[0] == 404


def test_keys_are_rotated_without_a_request_lost(built: t.Callable[..., House]) -> None:
    house = built()
    file = house.door.places.map("keys")
    old, new = settings.digest(KEY), settings.digest(OTHER)
    ended = threading.Event()

    def steady(key: str) -> list[int]:
        found = []
        while not ended.is_set():
            found.append(house.door.ask("/v1/chat/completions", {"model": "a"}, key=key)[0])
        return found

    with concurrent.futures.ThreadPoolExecutor() as pool, ends(ended):
        asking = pool.submit(steady, KEY)
        time.sleep(0.3)
        assert house.door.ask("/v1/models", key=OTHER)[0] == 401
        assert house.door.runtime.bring(file, {old: "web", new: "web"})
        also = pool.submit(steady, OTHER)
        time.sleep(0.3)
        ended.set()
        assert {*asking.result(), *also.result()} == {200}
    assert not house.door.runtime.bring(file, {old: "web", new: "web"})
    house.door.runtime.bring(file, {new: "web"})
    assert [house.door.ask("/v1/models", key=key)[0] for key in (KEY, OTHER)] == [401, 200]


def test_each_key_has_its_rate_and_it_changes_while_it_runs(built: t.Callable[..., House]) -> None:
    house = built(api_keys=[{"name": "web", "key": KEY, "requests_per_minute": 5}, {"name": "cli", "key": OTHER}])
    asked = [house.door.ask("/v1/models")[0] for _again in range(7)]
    assert asked == [200] * 5 + [429] * 2
    assert house.door.headers["retry-after"] == "10"
    assert {house.door.ask("/v1/models", key=OTHER)[0] for _again in range(10)} == {200}
    house.door.runtime.bring(house.door.places.map("limits"), {"web": "100", "cli": "0"})
    assert house.door.ask("/v1/models")[0] == 200


def test_an_engine_that_is_killed_loses_nothing_that_it_had_not(built: t.Callable[..., House]) -> None:
    house = built(2)
    house.engines[0].stop()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _number: house.door.chat(), range(40)))
    assert {(status, answer["who"]) for status, answer in answers} == {(200, "engine-1")}
    house.engines[0].start()
    until(lambda: house.door.chat()[1]["who"] == "engine-0")  # it comes back by itself


def test_an_engine_that_sheds_load_is_not_the_only_one_that_is_asked(built: t.Callable[..., House]) -> None:
    house = built(2)
    house.engines[0].sheds = True
    assert {house.door.chat()[0] for _again in range(20)} == {200}
    house.engines[1].sheds = True
    before = sum(len(engine.asked) for engine in house.engines)
    assert house.door.chat()[0] == 503
    assert sum(len(engine.asked) for engine in house.engines) - before <= 4


def test_a_request_that_an_engine_had_is_never_asked_again(built: t.Callable[..., House]) -> None:
    house = built(2)
    for engine in house.engines:
        engine.pause = 20
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asking = pool.submit(house.door.chat)
        until(lambda: any(engine.asked for engine in house.engines))
        had = next(engine for engine in house.engines if engine.asked)
        house.door.runtime.ask(
            "shutdown", "sessions", "server", f"{house.door.backends[0].id}/gpu-{had.name[-1]}:{had.name}"
        )
        assert asking.result()[0] in (502, 503)
    assert sum(len(engine.asked) for engine in house.engines) == 1


def test_requests_wait_while_the_only_engine_is_drained_and_restarted(built: t.Callable[..., House]) -> None:
    house = built()
    backend, server = house.door.backends[0].id, "gpu-0:engine-0"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        house.engines[0].pause = 1.0
        had = pool.submit(house.door.chat)
        until(lambda: bool(house.engines[0].asked))
        house.door.runtime.set_state(backend, server, "drain")
        waiting = [pool.submit(house.door.chat) for _again in range(5)]
        assert had.result()[0] == 200, "what it has it ends"
        assert len(house.engines[0].asked) == 1
        house.engines[0].stop()
        time.sleep(2)
        assert not any(one.done() for one in waiting)
        house.engines[0].pause = 0
        house.engines[0].start()
        house.door.runtime.set_state(backend, server, "ready")
        house.door.runtime.believe(backend, server)
        assert {one.result()[0] for one in waiting} == {200}


def test_requests_wait_for_an_engine_that_died(built: t.Callable[..., House]) -> None:
    house = built(check_interval=1)
    house.engines[0].stop()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(house.door.chat) for _again in range(5)]
        until(lambda: f"CurrConns: {5 * plan.WAITING}\n" in house.door.runtime.ask("show", "info"))
        time.sleep(2)
        assert not any(one.done() for one in waiting)
        assert house.door.ask("/health", key=None)[0] == 503
        house.engines[0].start()
        assert {one.result()[0] for one in waiting} == {200}


def test_so_many_wait_and_so_long(built: t.Callable[..., House]) -> None:
    house = built(wait_requests=3, wait_seconds=3)
    house.engines[0].stop()
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(lambda: (house.door.chat(), time.monotonic() - began)) for _again in range(6)]
        answers = [one.result() for one in asked]
    assert {status for (status, _body), _at in answers} == {503}
    codes = [body["error"]["code"] for (_status, body), _at in answers]
    assert codes.count("too_many_waiting") >= 2
    assert codes.count("unavailable") >= 3
    assert max(at for _answer, at in answers) < 40


def test_what_begins_alike_goes_to_one_server_and_what_everybody_asks_for_to_several(
    built: t.Callable[..., House],
) -> None:
    house = built(3, balance="prefix", prefix_header="X-Session")

    def who(prefix: str, **headers: str) -> str:
        body = {"messages": [{"role": "system", "content": prefix}, {"role": "user", "content": "x"}], "model": "a"}
        return str(house.door.ask("/v1/chat/completions", body, **headers)[1]["who"])

    def alone(prefix: str, **headers: str) -> str:
        until(lambda: house.door.sessions() == 0)
        return who(prefix, **headers)

    prefixes = [f"You are agent {number}." for number in range(24)]
    first = {prefix: alone(prefix) for prefix in prefixes}
    assert len(set(first.values())) == 3
    assert {prefix: alone(prefix) for prefix in prefixes} == first
    assert len({alone(prefix, X_Session="one") for prefix in prefixes[:6]}) == 1
    gone = house.engines[0]
    house.door.runtime.set_state(house.door.backends[0].id, f"gpu-0:{gone.name}", "maint")
    now = {prefix: alone(prefix) for prefix in prefixes}
    assert gone.name not in now.values()
    assert {prefix: now[prefix] for prefix in prefixes if first[prefix] != gone.name} == {
        prefix: server for prefix, server in first.items() if server != gone.name
    }
    for engine in house.engines:
        engine.pause = 2
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        popular = list(pool.map(lambda _number: who(prefixes[0]), range(12)))
    assert len(set(popular)) == 2, "one prefix that everybody asks for is not one server's affair"
