# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is, as its inventory states it, without a connection."""

from __future__ import annotations

import types
import typing as t

from ansible_collections.gpufleet.vllm.plugins.action import vllm_bundle_system as action
from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.test_vllm_api_keys import Wire

Json = dict[str, t.Any]
NOTHING: t.Any = None


def run(**stated: t.Any) -> Json:
    task = types.SimpleNamespace(
        args={"system": stated},
        check_mode=False,
        async_val=0,
        diff=False,
        action="vllm_bundle_system",
        environment=None,
    )
    parts: Json = {
        "task": task,
        "connection": Wire().connection,
        "play_context": types.SimpleNamespace(check_mode=False),
    }
    result: Json = action.ActionModule(**parts, loader=NOTHING, templar=NOTHING, shared_loader_obj=NOTHING).run(
        None, {}
    )
    return result


def test_facts_are_returned_and_not_set() -> None:
    found = run(distribution="debian", version=13)
    assert found["facts"]["os"]["codename"] == "trixie" and "ansible_facts" not in found and not found["changed"]


def test_what_is_wrong_fails() -> None:
    found = run(distribution="debian", version="11", architecture="sparc")
    assert found["failed"] and "'debian' '11'" in found["msg"] and "'sparc'" in found["msg"]
    for stated, said in (({"distribution": "debian"}, "'debian' ''"), ({"version": 13}, "'' '13'"), ({}, "'' ''")):
        assert f"vllm_bundle_system is {said}, expected one of debian 12" in run(**stated)["msg"]
