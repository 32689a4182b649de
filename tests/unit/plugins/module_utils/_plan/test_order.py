# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What gives something up comes before what may need it, in the plan and in what carries it out."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import order
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes import ports
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.host_load import HostLoad
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import rollout_requests
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.changes.test_ports import NOTHING, host
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import Json


def release(share: float) -> Json:
    return {"arguments": {"gpu_memory_utilization": share}, "gpus": {"uuids": ["GPU-1"]}, "bind": "::", "port": 1}


@pytest.mark.parametrize("kinds", [*itertools.permutations(order.KINDS, 3)])
def test_kinds_come_in_their_order(kinds: tuple[str, ...]) -> None:
    plans, seen = host(*((kind, kind, at + 1, at + 1) for at, kind in enumerate(kinds)))
    for plan in plans:
        plan["release"] = plan["release"] and {**plan["release"], **release(0.5)}
        seen[plan["instance"]]["current"]["release"] |= release(0.5)
    ordered = order.carried_out(plans, seen, HostLoad({}, fleet.schema_of("0.32.0"), ()))
    assert [plan["change"] for plan in ordered] == sorted(kinds, key=order.KINDS.index)


def test_what_shrinks_makes_room_for_what_grows() -> None:
    plans, seen = host(("grows", "restart", 1, 1), ("shrinks", "restart", 2, 2), ("new", "create", 0, 3))
    for plan, share in zip(plans, (0.6, 0.2, 0.2), strict=True):
        plan["release"] = release(share)
    for entry in seen.values():
        entry["current"]["release"] = release(0.4)
    ordered = order.carried_out(plans, seen, HostLoad({}, fleet.schema_of("0.32.0"), ()))
    assert [plan["instance"] for plan in ordered] == ["shrinks", "grows", "new"]


def test_what_is_created_waits_for_an_exchange_of_ports_and_so_it_is_carried_out() -> None:
    plans, seen = host(("a", "restart", 1, 2), ("b", "restart", 2, 1), ("new", "create", 0, 3), ("old", "remove", 4, 0))
    ordered = ports.ordered(plans, seen, NOTHING)
    assert [plan["instance"] for plan in ordered] == ["old", "b", "a", "new"]
    requests = rollout_requests.planned([{**plan, "fallbacks": []} for plan in ordered], False)
    assert [due.instance for due in requests] == ["old", "a", "b", "a", "new"]
