# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No host is asked anything before the hosts are named, where it is no check."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.action import vllm_remove as action
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.rollout_requests import planned

Json = dict[str, t.Any]
VARS = {"ansible_play_hosts_all": ["a", "b"], "inventory_hostname": "a"}
NOTHING: t.Any = None


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Json]:
    """The action, with what is stated as extra variables; `asked` is what the host was asked."""

    def ran(confirm: t.Any, extra: Json, check: bool = False, said: Json | None = None) -> Json:
        asked: list[Json] = []

        def execute(_self: t.Any, _module: str, module_args: Json, task_vars: t.Any) -> Json:
            asked.append(module_args)
            return dict(said or {"changed": False, "instances": ["assistant"]})

        monkeypatch.setattr(action, "load_extra_vars", lambda _loader: extra)
        monkeypatch.setattr(action.ActionModule, "_execute_module", execute)
        task = types.SimpleNamespace(
            args={"confirm": confirm, "models": True}, check_mode=check, async_val=0, environment=None, diff=False
        )
        shell = types.SimpleNamespace(tmpdir=None)
        parts: t.Any = {"task": task, "connection": types.SimpleNamespace(_shell=shell), "play_context": NOTHING}
        made = action.ActionModule(**parts, loader=NOTHING, templar=NOTHING, shared_loader_obj=NOTHING)
        return {**made.run(task_vars=VARS), "asked": asked}

    return ran


STATED: t.Final = {"vllm_remove_confirm": "a,b"}


def test_the_named_hosts_are_asked_and_not_told_of_it(run: t.Callable[..., Json]) -> None:
    told = run("a,b", STATED)
    assert told["asked"] == [{"models": True}] and not told.get("failed")
    assert [one.request["kind"] for one in planned(told["plans"], False)] == ["remove"]


@pytest.mark.parametrize(("confirm", "extra"), [("", STATED), ("a", STATED), ("a,b,c", STATED), ("a,b", {})])
def test_others_are_not_asked(run: t.Callable[..., Json], confirm: str, extra: Json) -> None:
    told = run(confirm, extra)
    assert told["failed"] and not told["changed"] and told["msg"].startswith("Nothing was touched.")
    assert told["asked"] == []


def test_a_check_needs_no_confirmation(run: t.Callable[..., Json]) -> None:
    assert run("", {}, check=True)["asked"] == [{"models": True}]


def test_a_host_that_refuses_has_nothing_planned(run: t.Callable[..., Json]) -> None:
    told = run("a,b", STATED, said={"failed": True, "msg": "Nothing was removed: \x1b[2J", "instances": "x"})
    assert told["failed"] and told["plans"] == [] and "\x1b" not in told["msg"]
