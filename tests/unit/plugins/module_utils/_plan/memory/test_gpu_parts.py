# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a GPU: they add up to its total, whatever the figures."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.gpu_parts import Parts, parts

ADDENDS = ("weights", "activation", "non_torch", "graphs_inside", "graphs_on_top", "kv_cache", "free", "beyond")


def rank(**changes: float) -> dict[str, t.Any]:
    sizes = {"weights": 5.2, "activation": 0.3, "non_torch": 0.3, "graphs": 0.5, "graphs_counted": 0.2, "kv_cache": 4.0}
    whole = {"total": 12.0, "requested": 10.0}
    given = {**sizes, **whole, **changes}
    found: dict[str, t.Any] = {f"{name}_gib": {"low": 0.0, "expected": given[name], "high": 99.0} for name in sizes}
    return {"gpu": 0, **found, **{f"{name}_gib": given[name] for name in whole}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"free": 0.0, "beyond": 1.7, "graphs_inside": 0.2, "graphs_on_top": 0.3}),
        ({"kv_cache": 1.0}, {"free": 3.0, "beyond": 1.7}),
        ({"kv_cache": 3.98}, {"free": 0.0, "beyond": 1.72}),
        ({"weights": 20.0, "kv_cache": -10.8}, {"kv_cache": -10.8, "free": 0.0, "beyond": 1.7}),
        ({"graphs": 3.0}, {"graphs_on_top": 2.8, "beyond": -0.8}),
        ({"graphs": 0.0, "graphs_counted": 0.0, "kv_cache": 4.2}, {"graphs_inside": 0.0, "beyond": 2.0}),
    ],
)
def test_parts(changes: dict[str, float], expected: dict[str, float]) -> None:
    found = dataclasses.asdict(parts(rank(**changes)))
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert sum(found[name] for name in ADDENDS) == pytest.approx(found["total"])


def test_graphs_are_those_inside_and_those_on_top() -> None:
    found: Parts = parts(rank())
    assert found.graphs == pytest.approx(0.5)
