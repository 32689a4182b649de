# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gives a port up goes before who takes it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.fact import Facts
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes import ports
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import rollout_requests
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import Json

NOTHING: Facts = {"listening": []}


def host(*rows: tuple[str, str, int, int], bind: str = "127.0.0.1") -> tuple[t.Any, t.Any]:
    """Plans and what is observed: name, change, the port now (0 is none) and the port then."""
    plans: list[Json] = []
    for name, change, _now, then in rows:
        plans.append(
            {
                "instance": name,
                "change": change,
                "reasons": [],
                "downtime_seconds": None,
                "release": {"bind": bind, "port": then} if then else None,
                "client": {},
                "settings": {},
            }
        )
    seen = {
        name: {"name": name, "current": {"release": {"bind": "127.0.0.1", "port": now}}, "container": {"running": True}}
        for name, _change, now, _then in rows
        if now
    }
    return plans, seen


def order(*rows: tuple[str, str, int, int], **changes: t.Any) -> list[str]:
    plans, seen = host(*rows, **changes)
    return [plan["instance"] for plan in ports.ordered(plans, seen, NOTHING)]


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([("a", "restart", 1, 2), ("b", "restart", 2, 3)], "ba"),
        ([("a", "create", 0, 2), ("b", "restart", 2, 3)], "ba"),
        ([("a", "restart", 1, 2), ("b", "remove", 2, 0)], "ba"),
        # Ports say nothing: the order that memory asks for stays.
        ([("b", "restart", 1, 1), ("a", "restart", 2, 2)], "ba"),
        ([("b", "none", 1, 1), ("a", "live", 2, 2), ("c", "repair", 3, 3)], "bac"),
        ([("a", "restart", 1, 3), ("b", "restart", 2, 4)], "ab"),
    ],
)
def test_the_order(rows: list[tuple[str, str, int, int]], names: str) -> None:
    assert "".join(order(*rows)) == names


def test_all_addresses_wait_for_one_of_them() -> None:
    assert order(("a", "restart", 1, 2), ("b", "restart", 2, 3), bind="0.0.0.0") == ["b", "a"]


def test_a_circle_that_others_lead_into() -> None:
    """`x` waits for `a`, and is no part of the exchange."""
    rows = [("x", "restart", 9, 1), ("a", "restart", 1, 2), ("b", "restart", 2, 1)]
    plans, seen = host(*rows)
    plans[0]["release"]["port"] = 2  # as `a` wants it too, which is refused elsewhere
    found = ports.ordered(plans, seen, NOTHING)
    assert [(plan["instance"], plan.get("exchange")) for plan in found][1:] == [
        ("a", ["b", "a"]),
        ("x", None),
    ]


def test_two_circles_have_a_port_each_to_themselves() -> None:
    plans, seen = host(("a", "restart", 1, 2), ("b", "restart", 2, 1), ("c", "restart", 3, 4), ("d", "restart", 4, 3))
    found = ports.ordered(plans, seen, {"listening": [{"address": "127.0.0.1", "port": 5}]})
    assert [plan["by_way_of"]["release"]["port"] for plan in found if "by_way_of" in plan] == [6, 6], (
        "one after another"
    )


def test_a_part_of_the_plans_is_not_carried_out_as_a_whole() -> None:
    """The host refuses what finds its port taken."""
    plans, seen = host(("a", "restart", 1, 2), ("b", "restart", 2, 1))
    found = ports.ordered(plans, seen, NOTHING)
    assert [one.instance for one in rollout_requests.planned(found, False)] == ["a", "b", "a"]
    for part in found:
        assert [one.instance for one in rollout_requests.planned([part], False)] == [part["instance"]]


def test_a_step_of_an_exchange_has_no_fallback() -> None:
    """Another configuration in its place would be half an exchange."""
    plans, seen = host(("a", "restart", 1, 2), ("b", "restart", 2, 1))
    found: t.Any = [{**plan, "fallbacks": [{"digest": "x"}]} for plan in ports.ordered(plans, seen, NOTHING)]
    asked = [one.request for one in rollout_requests.planned(found, False)]
    assert [(one["on_failure"], one["plan"]["fallbacks"]) for one in asked] == [("rollback", [])] * 3
