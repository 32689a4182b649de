# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at an engine under its load."""

from __future__ import annotations

import threading
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.sampling import MOST, Sample, Sampler, look
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer, Reply


class Page:
    def __init__(self, text: str | None) -> None:
        self.text = text

    def request(self, _method: str, _url: str, _deadline: float) -> Reply:
        if self.text is None:
            raise NoAnswer("timed out")
        return Reply(200, self.text)


TWO = (
    'vllm:kv_cache_usage_perc{engine="0"} 0.25\nvllm:kv_cache_usage_perc{engine="1"} 0.5\n'
    'vllm:num_requests_running{engine="0"} 2\nvllm:num_requests_running{engine="1"} 1\nvllm:num_requests_waiting 3\n'
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TWO, Sample(7.0, 0.5, 3.0, 3.0)),
        ("vllm:gpu_cache_usage_perc 0.1\n", Sample(7.0, 0.1, None, None)),
        ("vllm:kv_cache_usage_perc NaN\nvllm:num_requests_running +Inf\n", Sample(7.0, None, None, None)),
        ("vllm:kv_cache_usage_perc lots\n", None),
        (None, None),
    ],
)
def test_a_look(text: str | None, found: Sample | None) -> None:
    assert look(t.cast("t.Any", Page(text)), "http://h", 7.0) == found


def test_it_looks_until_the_run_is_over() -> None:
    seen = threading.Event()
    looking: list[threading.Thread] = []

    def looked(at: float) -> Sample:
        looking.append(threading.current_thread())
        seen.set()
        return Sample(at, 0.5, 1, 0)

    sampler = Sampler(looked, every=0.001)
    with sampler.running():
        assert seen.wait(60)
    assert len(sampler.samples) >= 1
    assert not looking[0].is_alive() and looking[0] is not threading.main_thread()


def test_a_long_run_has_no_more_looks_than_a_page_takes() -> None:
    sampler = Sampler(lambda _at: None)
    for at in range(10 * MOST):
        sampler.keep(Sample(float(at), None, None, None))
    assert MOST / 2 <= len(sampler.samples) <= MOST
    assert sampler.samples[0].at == 0
