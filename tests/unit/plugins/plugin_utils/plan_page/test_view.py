# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sentences and rows of the page and of the terminal's table."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.plan_page import fleet, summary, view
from ansible_collections.gpufleet.vllm.tests.data import example_fleet

AT = "2026-11-20T10:00:00+00:00"


@pytest.fixture(scope="module")
def page() -> dict[str, t.Any]:
    return view.page(fleet.gather(example_fleet.fleet(), AT))


@pytest.mark.parametrize(
    ("hosts", "changes", "expected"),
    [
        ({"planned": 1}, {"restart": 1}, ["1 instance would change."]),
        ({"planned": 2}, {"restart": 1, "none": 2}, ["1 of 3 instances would change."]),
        ({"planned": 2}, {"none": 2}, ["Nothing would change."]),
        ({"refused": 1}, {}, ["1 host cannot be planned."]),
        ({"failed": 1, "planned": 1}, {"create": 2}, ["1 host cannot be planned.", "2 instances would change."]),
        ({}, {}, ["Nothing is planned."]),
    ],
)
def test_headline(hosts: dict[str, int], changes: dict[str, int], expected: list[str]) -> None:
    totals = {"hosts": hosts, "instances": sum(changes.values()), "changes": changes, "overruled": 0}
    assert view.headline(totals) == expected


def test_the_first_thing_to_know_is_who_is_overruled() -> None:
    totals = {"hosts": {"planned": 1}, "instances": 2, "changes": {"create": 2}, "overruled": 1}
    assert view.headline(totals)[0] == "1 instance goes on although the planner would refuse it."


@pytest.mark.parametrize(("seconds", "text"), [(9.4, "9 s"), (99.0, "99 s"), (125.0, "2 min 5 s")])
def test_duration(seconds: float, text: str) -> None:
    assert view.duration(seconds) == text


def test_every_instance_has_a_row_and_every_host_has_one(page: dict[str, t.Any]) -> None:
    results = example_fleet.fleet()
    assert {row["host"] for row in page["rows"]} == set(results)
    count = sum(len([*result.get("plans", []), *result.get("drafts", [])]) for result in results.values())
    assert len([row for row in page["rows"] if row["name"]]) == count


def test_filters_count_what_they_leave(page: dict[str, t.Any]) -> None:
    counted = {name: number for name, _label, number in page["filters"]}
    assert counted == {"all": 13, "changes": 7, "downtime": 1, "memory": 5, "refused": 3}


def test_refused_plans_change_nothing(page: dict[str, t.Any]) -> None:
    assert all(not row["changes"] and not row["stops"] for row in page["rows"] if row["refused"])


def test_who_takes_turns_has_bars_of_its_own(page: dict[str, t.Any]) -> None:
    host = next(one for one in page["hosts"] if one["name"].startswith("gpu-16gb-1"))
    assert [claim.instance for claim in host["devices"][0].claims] == ["architect"]
    own = {
        one["name"]: [claim.instance for device in one["own_devices"] for claim in device.claims]
        for one in host["instances"]
    }
    assert own == {"architect": [], "developer": ["developer"], "product-owner": ["product-owner"]}


def test_only_a_large_fleet_starts_folded() -> None:
    results = {f"gpu-{number}": example_fleet.fleet()["gpu-12gb-2.example.com"] for number in range(9)}
    assert not any(one["open"] for one in view.page(fleet.gather(results, AT))["hosts"])
    results.pop("gpu-0")
    assert all(one["open"] for one in view.page(fleet.gather(results, AT))["hosts"])


def test_table_of_the_terminal() -> None:
    names = ("gpu-12gb-1.example.com", "gpu-16gb-3.example.com", "gpu-12gb-4.example.com", "cpu-1.example.com")
    all_of_them = example_fleet.fleet()
    text = summary.summary(fleet.gather({name: all_of_them[name] for name in names}, AT))
    headline, headings = text.splitlines()[:2]
    overruled = "1 instance goes on although the planner would refuse it."
    assert headline == f"2 hosts cannot be planned. {overruled} 2 instances would change."
    assert re.split(r"\s\s+", headings) == list(summary.HEADINGS)
    assert [line.split()[:3] for line in text.splitlines()[2:]] == [
        ["gpu-12gb-4.example.com", "-", "not"],
        ["gpu-16gb-3.example.com", "writer", "refused"],
        ["cpu-1.example.com", "demo", "create"],
        ["gpu-12gb-1.example.com", "assistant", "restart"],
    ]
    assert "about 74 s" in text
