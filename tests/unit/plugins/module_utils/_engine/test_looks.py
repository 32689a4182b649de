# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of an answer, and how long a look at what serves may take."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import live_adapters, liveness
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.adapters import must_serve
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import (
    Expectation,
    expectation,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import (
    Http,
    Reply,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.load import load
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.smoke_errors import ADVICE, NotProved, shown
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.speech import asked as asked_to_hear
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.live_adapters import FOLDER
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import (
    EXPECTED,
    MODELS,
    URL,
    Script,
    completion,
    message,
)

HELLO = message(content="Hello")
RELEASE: t.Any = {"bind": "127.0.0.1", "port": 8000, "served_model_names": ["assistant"], "arguments": {}}


def expected(smoke: dict[str, t.Any], **arguments: t.Any) -> Expectation:
    release: t.Any = {**RELEASE, "arguments": arguments}
    return expectation(release, {"smoke": smoke})


def refused(ask: t.Callable[[], object]) -> NotProved:
    with pytest.raises(NotProved) as found:
        ask()
    return found.value


# What is told


@pytest.mark.parametrize(("length", "cut"), [(200, False), (201, True)])
def test_what_came_back_is_cut_after_200_characters(length: int, cut: bool) -> None:
    assert shown("x" * length) == repr("x" * 200 + ("..." if cut else ""))


def test_a_failure_is_told_in_a_thousand_characters() -> None:
    assert str(NotProved("smoke.error", "x" * 5000)) == "x" * 1000


@pytest.mark.parametrize(
    ("failure_class", "of", "advice"),
    [
        ("smoke.image", "", ["smoke.image"]),
        ("smoke.image", "smoke.image", ["smoke.image"]),
        ("smoke.error", "smoke.image", ["", "smoke.image"]),
        ("smoke.error", "smoke.nothing", [""]),
    ],
)
def test_what_the_engine_broke_at_has_its_advice_too(failure_class: str, of: str, advice: list[str]) -> None:
    unanswered = NotProved("smoke.error", "").advice
    assert NotProved(failure_class, "", of).advice == " ".join(ADVICE.get(name, unanswered) for name in advice)


# Looks at what serves


def test_a_look_is_short_and_what_has_to_be_done_has_two_minutes() -> None:
    release: t.Any = {**RELEASE, "container": {"volumes": [f"/srv/adapters:{FOLDER}:ro"]}}
    planned: t.Any = {"adapters": {"sql": {"path": f"{FOLDER}/sql", "sha256": "a"}}}
    http = Script(models=MODELS, load_lora_adapter=Reply(200, "ok"))
    served: t.Any = {**release, "served_model_names": ["assistant", "alias"]}
    assert live_adapters.amiss(http, URL, served, planned) == ["adapter sql is not loaded"]
    assert live_adapters.bring(http, URL, served, planned, {}, {}) == ["sql loaded"]
    assert http.limits == [10.0, 120.0, 120.0]


@pytest.mark.parametrize(
    ("count", "lines", "more"), [(10, 10, ""), (11, 11, "1 more adapters are loaded, and not planned")]
)
def test_ten_names_are_told(count: int, lines: int, more: str) -> None:
    release: t.Any = {**RELEASE, "container": {"volumes": [f"/srv/adapters:{FOLDER}:ro"]}}
    cards = [{"id": "assistant"}, *({"id": f"{at}" * 200, "root": "/tmp"} for at in range(count))]
    told = live_adapters.amiss(Script(models=Reply(200, {"data": cards})), URL, release, {})
    assert (len(told), told[0]) == (lines, f"adapter {'0' * 80} is loaded, and not planned")
    assert (told[-1] if more else "") == more


@pytest.mark.parametrize(
    "reply",
    [Reply(503, {"data": []}), Reply(401, {"error": "Unauthorized"}), Reply(200, "<html>"), Reply(200, {"data": None})],
    ids=["a list with an error", "an error", "no JSON", "no list"],
)
def test_what_is_no_list_of_models_tells_of_no_adapter(reply: Reply) -> None:
    """Nothing is loaded or unloaded by it, whatever it holds."""
    release: t.Any = {**RELEASE, "container": {"volumes": [f"/srv/adapters:{FOLDER}:ro"]}}
    asks: list[t.Callable[[Http], object]] = [
        lambda http: live_adapters.amiss(http, URL, release, {}),
        lambda http: live_adapters.bring(http, URL, release, {}, {}, {}),
        lambda http: must_serve(http, dataclasses.replace(EXPECTED, adapters=("sql",)), 1024),
    ]
    for ask in asks:
        http = Script(models=reply)
        with pytest.raises(NotProved, match=f"/v1/models answered {reply.status}") as refused:
            ask(http)
        assert refused.value.failure_class == "smoke.models" and len(http.asked) == 1


def test_the_least_that_can_be_asked_is_the_same_each_time() -> None:
    """No chance in it, and no more than a token."""
    http = Script(completions=completion("a"))
    liveness.one_answer(http, URL, "a", 9)
    body = {"model": "a", "prompt": "Hello", "max_tokens": 1, "temperature": 0}
    assert http.asked == [("/v1/completions", body)]


class Asked(Http):
    """Remembers how long it may take."""

    def __init__(self, body: t.Any) -> None:
        super().__init__()
        self.body = body
        self.limits: list[tuple[str, float]] = []

    def request(self, method: str, url: str, timeout: float, body: t.Any = None) -> Reply:
        self.limits.append((url.removeprefix(URL), timeout))
        return Reply(200, self.body)


def test_looks_have_few_seconds() -> None:
    http = Asked("")
    liveness.health(http, URL)
    liveness.work(http, URL)
    load(http, URL)
    assert http.limits == [("/health", 10.0), ("/metrics", 10.0), ("/metrics", 5.0)]


@pytest.mark.parametrize(
    ("buckets", "median"),
    [
        ({"0.1": 2, "0.2": 2, "0.4": 8}, 0.2 + 0.2 * 2 / 6),
        ({"0.1": 4, "0.2": 8}, 0.1),
        ({"0": 6, "0.1": 8}, 0.05),
        ({"0.1": 3, "+Inf": 8}, None),
        ({"0.1": 4, "+Inf": 8}, 0.1),
    ],
    ids=["none in between", "half at a bound", "a bound of nothing", "above the last", "at the last"],
)
def test_the_median_of_buckets(buckets: dict[str, int], median: float | None) -> None:
    name = "vllm:time_to_first_token_seconds_bucket"
    page = "".join(f'{name}{{engine="0",le="{bound}"}} {count}\n' for bound, count in buckets.items())
    assert load(Asked(page), URL)["first_token"] == (None if median is None else pytest.approx(median))


def test_what_a_server_that_hears_is_sent() -> None:
    http = Script(transcriptions=Reply(200, {"text": ""}))
    asked_to_hear(http, URL, "a", 30)
    parts = http.asked[0][1].data.split(b'; name="')[1:]
    sent = {part.partition(b'"')[0]: part.partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0] for part in parts}
    assert sent.pop(b"file").startswith(b"RIFF")
    assert sent == {
        b"model": b"a",
        b"language": b"en",
        b"response_format": b"json",
        b"temperature": b"0",
        b"max_completion_tokens": b"16",
    }
