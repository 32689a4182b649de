# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""API keys on their way to the host: over standard input, and nowhere else."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.errors import AnsibleActionFail, AnsibleError

from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.rollout_wire import (
    Json,
    Wire,
    good,
    plan,
)

KEY = "sk-0123456789abcdef"
LISTED = [{"name": "a", "api_key": KEY}, {"name": "b"}]


def test_a_key_goes_with_its_instance_over_standard_input(run: t.Callable[..., Json]) -> None:
    wire = Wire(good(2), program_there=False)
    result = run(wire, plans=[plan("a", "restart"), plan("b", "create")], instances=LISTED)
    assert [call.get("api_key") for call in wire.module_calls] == [[KEY], [KEY], None, None]
    assert wire.piped == [True, True, False, False]
    assert KEY not in json.dumps([call["request"] for call in wire.module_calls])
    assert KEY not in json.dumps(result) + repr(wire.shown) + repr(wire.commands)


def test_a_key_is_not_sent_where_it_would_need_a_temporary_file(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    wire.pipes = False
    with pytest.raises(AnsibleActionFail, match="has no pipelining") as refused:
        run(wire, plans=[plan("a", "restart")], instances=LISTED)
    assert KEY not in str(refused.value)
    assert wire.module_calls == []


@pytest.mark.parametrize("listed", [KEY, [KEY]])
def test_instances_that_are_none_are_refused_and_not_shown(run: t.Callable[..., Json], listed: t.Any) -> None:
    with pytest.raises(AnsibleError) as refused:
        run(Wire(), plans=[], instances=listed)
    assert KEY not in str(refused.value)
