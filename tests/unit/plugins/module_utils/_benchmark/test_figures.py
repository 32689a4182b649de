# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of vllm bench serve in its known shape."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import figures
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._benchmark.cases import result


def test_times_are_seconds() -> None:
    found = figures.read(result())
    assert (found.first_token, found.next_token_p99, found.answer) == pytest.approx((0.0625, 0.0072, 0.2376))
    assert (found.requests_per_minute, found.prompts, found.distinct) == pytest.approx((1002, 24, 24))


def test_a_release_that_does_not_count_prompts() -> None:
    found = figures.read({name: value for name, value in result().items() if name not in ("prompts", "distinct")})
    assert (found.prompts, found.distinct) == (None, None)


@pytest.mark.parametrize("value", [None, "12", True, -1, float("nan"), float("inf"), 1e13])
def test_what_is_no_figure_is_refused(value: t.Any) -> None:
    with pytest.raises(figures.NotUnderstood, match="for median_ttft_ms"):
        figures.read(result(median_ttft_ms=value))


@pytest.mark.parametrize("value", [None, [], "text"])
def test_what_is_no_result_is_refused(value: t.Any) -> None:
    with pytest.raises(figures.NotUnderstood, match="no object"):
        figures.read(value)
