# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an earlier task of the run has updated is rolled back."""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.rollout_wire import (
    Json,
    Wire,
    ended,
    good,
    news,
)

GPU2_FAILED = {"failure_class": "rolled_back", "cause": "gpu2 failed in the same run", "advice": ""}
UPDATED = [
    {"instance": "x", "change": "remove", "serves": ""},
    {"instance": "l", "change": "live", "serves": ""},
    {"instance": "a", "change": "restart", "serves": "a" * 64, "container": "id-a"},
    {"instance": "c", "change": "create", "serves": "c" * 64},
    {"instance": "b", "change": "restart", "serves": "b" * 64, "container": "id-b"},
]


def test_what_was_updated_goes_back_last_first_from_the_digest_that_it_led_to(run: t.Callable[..., Json]) -> None:
    wire = Wire(
        [news(ended("verified", "b: release p is verified.")), news(), news(ended("refused", "a: no.")), news()]
    )
    result = run(wire, roll_back=UPDATED, because="gpu2 failed in the same run")
    assert [call["request"] for call in wire.module_calls] == [
        {"kind": "rollback", "from": name * 64, "container": f"id-{name}", "reason": GPU2_FAILED} for name in ("b", "a")
    ]
    assert wire.started == [("b", "rollback"), ("a", "rollback")]
    assert (result["failed"], result["changed"], result["updated"]) == (True, True, [])
    assert result["msg"] == (
        "Rolled back: b: release p is verified. "
        "c: stays on release cccccccccccc: this run has created it, and there is none before it. "
        "Not rolled back: a: no. "
        "l: keeps what clients are told: the engine was not touched. "
        "x: stays removed."
    )


def test_nothing_goes_back_in_check_mode(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    assert run(wire, check=True, roll_back=UPDATED)["changed"] is True
    assert wire.module_calls == []


def test_one_that_cannot_be_reached_is_named_and_keeps_no_other(run: t.Callable[..., Json]) -> None:
    wire = Wire(good(1))
    wire.out_of_reach = "b"
    result = run(wire, roll_back=UPDATED[2:])
    assert wire.started == [("a", "rollback")]
    assert result["failed"] and "b: not rolled back, the host is out of reach (gone)." in result["msg"]
    assert result["msg"].endswith("Rolled back: The end.")
