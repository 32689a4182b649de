# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that starts a download: what the host serves to others ends before it, where that is stated no more."""

from __future__ import annotations

import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpufleet.vllm.plugins.module_utils._state.units import UnitProblem
from ansible_collections.gpufleet.vllm.plugins.module_utils._store import unit
from ansible_collections.gpufleet.vllm.plugins.modules import vllm_fetch as module
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.hubs import request


class Ended(Exception):
    """exit_json or fail_json, with the result."""


@pytest.mark.parametrize(
    ("shares", "done"), [(True, ["started"]), (False, ["ended", "started"]), (None, ["ended", "others still read"])]
)
def test_what_is_served_no_more_ends(monkeypatch: pytest.MonkeyPatch, shares: bool | None, done: list[str]) -> None:
    did: list[str] = []

    def unshare(_run: t.Any) -> None:
        did.append("ended")
        if shares is None:
            raise UnitProblem("others still read")

    def ended(_module: t.Any, **result: t.Any) -> None:
        did.append(str(result.get("started") or result["msg"]))
        raise Ended

    monkeypatch.setattr(module, "program_needed", lambda _module: False)
    monkeypatch.setattr(unit, "unshare", unshare)
    monkeypatch.setattr(unit, "start", lambda *_given: "started")
    monkeypatch.setattr(AnsibleModule, "exit_json", ended)
    monkeypatch.setattr(AnsibleModule, "fail_json", ended)
    args = {"request": request("/hub"), "shares": bool(shares), "program_digest": "x"}
    with patch_module_args(args), pytest.raises(Ended):
        module.main()
    assert did == done
