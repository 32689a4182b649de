# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine counts around a run."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import counts
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.counts import Counts
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http, NoAnswer, Reply


class Page(Http):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def request(self, method: str, url: str, timeout: float, body: object = None) -> Reply:
        return Reply(200, self.text)


def read(*lines: str) -> Counts:
    return counts.read(Page("\n".join(lines)), "http://127.0.0.1:8000")


def test_all_engines_and_reasons_together() -> None:
    found = read(
        'vllm:request_success_total{engine="0",finished_reason="length"} 5.0',
        'vllm:request_success_total{engine="1",finished_reason="abort"} 2.0',
        'vllm:prefix_cache_hits_total{engine="0"} 16',
        'vllm:prefix_cache_queries_total{engine="0"} 64',
    )
    assert found == Counts(7, 16, 64, None)
    assert found.hits == 0.25


def test_what_a_release_shows_under_two_names_counts_once() -> None:
    found = read("vllm:prefix_cache_hits_total 16", "vllm:gpu_prefix_cache_hits_total 16")
    assert found.prefix_hits == 16
    assert read("vllm:gpu_prefix_cache_hits_total 16").prefix_hits == 16


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(NoAnswer, match="says nan"):
        read("vllm:request_success_total nan")


def test_what_was_added() -> None:
    assert Counts(9, 4, 20, None).since(Counts(5, 1, 10, 3)) == Counts(4, 3, 10, None)
    assert Counts(1, 0, 0, 0).since(Counts(5, 0, 0, 0)).fell
    assert not Counts(5, 0, 0, 0).since(Counts(5, 0, 0, 0)).fell
    assert Counts(5, 1, 0).hits is None


def test_the_share_of_speculated_tokens_that_were_accepted() -> None:
    drafted = ("vllm:spec_decode_num_draft_tokens_total 40", "vllm:spec_decode_num_accepted_tokens_total 10")
    assert read(*drafted).acceptance == 0.25
    assert read("vllm:spec_decode_num_draft_tokens_total 0", drafted[1]).acceptance is None
    assert read("vllm:num_preemptions_total 0").acceptance is None
