# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine did between two readings, from pages as engines of several releases and hostile ones give them."""

from __future__ import annotations

import math
import pathlib
import re
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.window import NAMES, Window, between, read

METRICS = pathlib.Path(__file__).resolve().parents[4] / "data" / "metrics"
BUSY = (METRICS / "vllm-0.32.0-busy.txt").read_text()


class Page:
    """An engine that has one page."""

    def __init__(self, body: t.Any, status: int = 200) -> None:
        self._reply = Reply(status, body)

    def request(self, *_asked: t.Any) -> Reply:
        return self._reply


def seen(first: t.Any, second: t.Any) -> Window:
    readings = [
        read(t.cast("t.Any", Page(page)), "http://127.0.0.1:8000", at) for at, page in ((5.0, first), (15.0, second))
    ]
    return between(*readings)


def page(requests: int, seconds: float = 0.15, **gauges: float) -> str:
    """Of an engine that has had so many requests of 100 tokens, each with a first token between 0.1 and 0.2 s."""
    buckets = "\n".join(
        f'vllm:{name}_bucket{{engine="0",le="{upto}"}} {requests if float(upto) > seconds else 0}'
        for name in ("time_to_first_token_seconds", "inter_token_latency_seconds", "request_queue_time_seconds")
        for upto in ("0.1", "0.2", "+Inf")
    )
    counts = {"prompt_tokens": 100, "generation_tokens": 10, "prefix_cache_queries": 100, "prefix_cache_hits": 40}
    lines = [f'vllm:{name}_total{{engine="0"}} {requests * many}.0' for name, many in counts.items()]
    states = {"num_requests_running": 2, "num_requests_waiting": 1, "kv_cache_usage_perc": 0.25, **gauges}
    lines += [f'vllm:{name}{{engine="0"}} {value}' for name, value in states.items()]
    config = 'vllm:cache_config_info{_block_size_resolved="True",block_size="16",effective_attention_block_size="64",'
    return "\n".join([buckets, *lines, f'{config}enable_prefix_caching="True",engine="0"}} 1.0', ""])


def test_what_was_counted_in_between() -> None:
    window = seen(page(20), page(50, num_requests_waiting=3, num_requests_running=4, kv_cache_usage_perc=0.75))
    assert window["seconds"] == 10.0
    assert (window["served"], window["requests"]) == (20, 30)
    assert (window["prompt_tokens"], window["generation_tokens"]) == (3000, 300)
    assert (window["prefix_queries"], window["prefix_hits"]) == (3000, 1200)
    # The lesser of both, and of the cache the mean.
    assert (window["running"], window["waiting"], window["kv_cache"]) == (2, 1, 0.5)
    assert window["first_token"] == window["queue"] == window["next_token"] == pytest.approx(0.15)
    assert (window["block_size"], window["prefix_caching"]) == (16, True)
    # It is not counted there.
    assert window["preemptions"] is None


def test_the_median_is_of_the_window_and_not_of_all_before() -> None:
    slow = page(1000, 0.05).replace("1000.0", "1000")
    after = re.sub(r'(le="(?:0.2|\+Inf)"\}) 1000', r"\1 1010", slow)
    assert seen(slow, after)["first_token"] == pytest.approx(0.15)


def test_nothing_in_between_is_zero_and_has_no_median() -> None:
    window = seen(page(20), page(20))
    assert (window["requests"], window["prompt_tokens"], window["first_token"]) == (0, 0, None)


def test_of_an_engine_that_began_anew_nobody_knows_what_it_did() -> None:
    window = seen(page(50), page(20))
    counted = {"served", "requests", "prompt_tokens", "generation_tokens", "prefix_queries", "prefix_hits"}
    assert {window[name] for name in counted} == {None}  # type: ignore[literal-required]
    assert (window["first_token"], window["waiting"]) == (None, 1)


def test_a_real_engine_shows_all_of_it() -> None:
    window = seen(BUSY, BUSY)
    medians = ("first_token", "next_token", "queue")
    assert [name for name, value in window.items() if value is None] == ["drafted", "accepted", *medians]
    assert (window["block_size"], window["prefix_caching"], window["served"]) == (128, True, 5)


@pytest.mark.parametrize(
    "older", [("kv_cache_usage_perc", "gpu_cache_usage_perc"), ("prefix_cache_hits", "gpu_prefix_cache_hits")]
)
def test_names_of_older_releases_are_read(older: tuple[str, str]) -> None:
    before, after = (page(many).replace(f"vllm:{older[0]}", f"vllm:{older[1]}") for many in (20, 50))
    assert seen(before, after) == seen(page(20), page(50))


def test_what_is_shown_under_two_names_counts_once() -> None:
    double = page(20) + 'vllm:gpu_prefix_cache_hits_total{engine="0"} 800.0\n'
    more = page(50) + 'vllm:gpu_prefix_cache_hits_total{engine="0"} 2000.0\n'
    assert seen(double, more)["prefix_hits"] == 1200


def test_engines_of_one_server_are_added_and_the_fullest_cache_counts() -> None:
    pages = [page(many) + page(many, kv_cache_usage_perc=0.5).replace('engine="0"', 'engine="1"') for many in (20, 50)]
    window = seen(*pages)
    assert (window["requests"], window["running"], window["kv_cache"]) == (60, 4, 0.5)


@pytest.mark.parametrize("shown", ["", "# nothing\n", "vllm:num_requests_waiting NaN\n"])
def test_what_is_not_counted_is_not_known(shown: str) -> None:
    window = seen(shown, shown)
    assert {value for name, value in window.items() if name != "seconds"} == {None}


@pytest.mark.parametrize("label", ['block_size="None"', 'block_size="-16"', 'block_size="\N{SUPERSCRIPT TWO}"'])
def test_a_block_that_is_no_number_is_not_known(label: str) -> None:
    odd = page(20).replace(',block_size="16"', f",{label}").replace('caching="True"', 'caching="None"')
    window = seen(odd, odd)
    assert (window["block_size"], window["prefix_caching"]) == (None, None)


def test_what_appears_in_between_is_not_known() -> None:
    assert seen("", page(50))["requests"] is None
    assert seen("", page(50))["waiting"] is None


@pytest.mark.parametrize(("body", "status"), [("", 404), ({"a": 1}, 200), (f"{NAMES['running'][0]} x", 200)])
def test_what_is_no_page_is_said(body: t.Any, status: int) -> None:
    with pytest.raises(NoAnswer):
        read(t.cast("t.Any", Page(body, status)), "http://127.0.0.1:8000", 0.0)


@pytest.mark.parametrize("name", sorted({name for names in NAMES.values() for name in names}))
def test_nothing_that_is_reckoned_is_infinite(name: str) -> None:
    labels = ',le="0.1"' if name.endswith("_bucket") else ""
    first, second = (
        f'{name}{{engine="0"{labels}}} {value}\n{name}{{engine="1"{labels}}} {value}' for value in (-1e308, 1e308)
    )
    for before, after in ((first, second), (second, second)):
        found = [value for value in seen(before, after).values() if value is not None]
        assert all(math.isfinite(float(value)) for value in found)  # type: ignore[arg-type]
