# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How busy an engine is, from pages as engines and hostile ones give them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.load import load

LABELS = 'engine="0",model_name="assistant"'
PAGE = f"""
# HELP vllm:num_requests_running Number of requests in model execution batches.
vllm:num_requests_running{{{LABELS}}} 3.0
vllm:num_requests_waiting{{{LABELS}}} 1.0
vllm:kv_cache_usage_perc{{{LABELS}}} 0.25
vllm:num_preemptions_total{{{LABELS}}} 2.0
vllm:time_to_first_token_seconds_bucket{{{LABELS},le="0.1"}} 2.0
vllm:time_to_first_token_seconds_bucket{{{LABELS},le="0.2"}} 6.0
vllm:time_to_first_token_seconds_bucket{{{LABELS},le="+Inf"}} 8.0
"""


class Page:
    """An engine that has one page."""

    def __init__(self, body: t.Any, status: int = 200) -> None:
        self._reply = Reply(status, body)

    def request(self, *_asked: t.Any) -> Reply:
        return self._reply


def read(body: t.Any, status: int = 200) -> t.Any:
    return load(t.cast("t.Any", Page(body, status)), "http://127.0.0.1:8000")


def test_a_page() -> None:
    seen = read(PAGE)
    assert {**seen, "first_token": None} == {
        "running": 3,
        "waiting": 1,
        "kv_cache": 0.25,
        "preemptions": 2,
        "first_token": None,
    }
    # Half of eight is the second of the four between 0.1 and 0.2 s.
    assert seen["first_token"] == pytest.approx(0.15)


def test_two_engines_are_added_and_the_fullest_cache_counts() -> None:
    second = PAGE.replace('engine="0"', 'engine="1"').replace("} 0.25", "} 0.75")
    seen = read(PAGE + second)
    assert (seen["running"], seen["waiting"], seen["kv_cache"]) == (6, 2, 0.75)
    assert seen["first_token"] == pytest.approx(0.15)


@pytest.mark.parametrize("page", ["", "vllm:num_requests_running NaN\nvllm:kv_cache_usage_perc +Inf"])
def test_what_is_not_counted_is_not_known(page: str) -> None:
    assert set(read(page).values()) == {None}


@pytest.mark.parametrize(
    "buckets",
    [
        'vllm:time_to_first_token_seconds_bucket{le="+Inf"} 8',
        'vllm:time_to_first_token_seconds_bucket{le="x"} 8',
        "vllm:time_to_first_token_seconds_bucket 8",
        'vllm:time_to_first_token_seconds_bucket{le="1"} -8',
        'vllm:time_to_first_token_seconds_bucket{le="1"} 0',
        'vllm:time_to_first_token_seconds_bucket{le="nan"} 1',
    ],
)
def test_buckets_that_tell_nothing(buckets: str) -> None:
    assert read(buckets)["first_token"] is None


@pytest.mark.parametrize(("body", "status"), [("", 404), ({"a": 1}, 200), ("vllm:num_requests_running x", 200)])
def test_what_is_no_page_is_said(body: t.Any, status: int) -> None:
    with pytest.raises(NoAnswer):
        read(body, status)


def test_numbers_whose_sum_is_none_are_not_counted() -> None:
    huge = "\n".join(f'vllm:num_requests_waiting{{engine="{engine}"}} 1e308' for engine in (0, 1))
    assert read(huge)["waiting"] is None
