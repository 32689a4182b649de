# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of many hosts as one value."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.plan_page import fleet
from ansible_collections.gpufleet.vllm.tests.data import example_fleet

AT = "2026-11-20T10:00:00+00:00"


@pytest.mark.parametrize(
    ("result", "state", "errors"),
    [
        ({"plans": [], "errors": []}, "planned", []),
        ({"plans": [], "errors": ["One."]}, "refused", ["One."]),
        ({"failed": True, "msg": "Task failed: The class is wrong."}, "failed", ["The class is wrong."]),
        ({"msg": "No JSON.", "module_stderr": "Traceback\n  x\nKeyError: 1\n"}, "failed", ["No JSON. KeyError: 1"]),
        ({"unreachable": True, "msg": "No route."}, "unreachable", ["No route."]),
        ({}, "failed", ["It was not planned, and nobody said why."]),
    ],
)
def test_state(result: dict[str, t.Any], state: str, errors: list[str]) -> None:
    found = fleet.host("gpu-1", result)
    assert (found["state"], found["errors"]) == (state, errors)


def test_everybody_is_there_whatever_is_wrong_with_the_others() -> None:
    results = example_fleet.fleet()
    found = fleet.gather(results, AT)
    assert {entry["name"] for entry in found["hosts"]} == set(results)
    assert found["totals"]["hosts"] == {"unreachable": 1, "refused": 2, "planned": 7}
    assert found["totals"]["instances"] == sum(found["totals"]["changes"].values())
    json.dumps(found)


def test_what_wants_attention_comes_first_and_numbers_are_numbers() -> None:
    good: dict[str, t.Any] = {"plans": [], "errors": []}
    results = {"gpu-10": good, "gpu-2": good, "gpu-30": {"unreachable": True}, "alpha": {**good, "errors": ["One."]}}
    names = [entry["name"] for entry in fleet.gather(results, AT)["hosts"]]
    assert names == ["gpu-30", "alpha", "gpu-2", "gpu-10"]


def test_drafts_are_no_plans() -> None:
    found = fleet.gather({"gpu-16gb-3": example_fleet.fleet()["gpu-16gb-3.example.com"]}, AT)
    assert found["hosts"][0]["plans"] == []
    assert found["hosts"][0]["drafts"][0]["memory"]["verdict"] == "does_not_fit"
    assert found["totals"]["instances"] == 0
