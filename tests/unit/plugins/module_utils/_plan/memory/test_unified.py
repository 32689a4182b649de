# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPUs that share the host's memory."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.unified import cautions

TAKES_100: t.Final = {"gpus": [{"gpu": 0, "requested_gib": 100.0}]}


def facts(free: int | None, source: str = "meminfo") -> t.Any:
    memory = {"total": 122_000, "available": 115_000, "free": free}
    return {"memory_mib": memory, "gpus": [{"index": 0, "memory_mib": {"source": source}}]}


@pytest.mark.parametrize(
    ("memory", "seen", "said"),
    [
        pytest.param(TAKES_100, facts(20_000), True, id="the page cache has it"),
        pytest.param(TAKES_100, facts(110_000), False, id="free at once"),
        pytest.param(TAKES_100, facts(20_000, "nvml"), False, id="a GPU with memory of its own"),
        pytest.param(TAKES_100, facts(None), False, id="facts of an older release"),
        pytest.param({"gpus": [{"gpu": 0, "requested_gib": 119.0}]}, facts(20_000), False, id="more than available"),
        pytest.param({"gpus": [{"gpu": 0, "requested_gib": None}]}, facts(20_000), False, id="nobody knows"),
        pytest.param(None, facts(20_000), False, id="no plan"),
    ],
)
def test_cautions(memory: dict[str, t.Any] | None, seen: t.Any, said: bool) -> None:
    found = cautions(memory, seen)
    assert bool(found) is said
    assert all("`sync; echo 1 > /proc/sys/vm/drop_caches`" in words for words in found)
    assert all("112.3 GiB are available and only 19.5 GiB free at once" in words for words in found)


@pytest.mark.parametrize(("version", "said"), [("0.19.0", True), ("0.20.0", False), ("0.33.0", False), (None, True)])
def test_from_020_the_page_cache_counts_as_free(version: str | None, said: bool) -> None:
    assert bool(cautions(TAKES_100, facts(20_000), version)) is said
