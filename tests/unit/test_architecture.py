# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/architecture.md: the way of one argument is the one that it takes."""

from __future__ import annotations

import functools
import importlib
import pathlib
import re
import sys
import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.action import vllm_plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.container import create_body
from ansible_collections.gpufleet.vllm.tests.unit.plugins.action import test_vllm_plan as plan_action
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "architecture.md").read_text()
PLUGINS = "ansible_collections.gpufleet.vllm.plugins."
# The first is a task before the plan; what comes after it happens on a host.
FIRST, LAST = "action.vllm_plan.ActionModule.run", "_plan.changes.change.decide"


def named() -> list[str]:
    """The functions of the way, in its order."""
    way = PAGE.partition("## The way of one argument")[2]
    return re.findall(r"^\| `([\w.]+)` \|", way, re.MULTILINE)


def planned() -> list[str]:
    names = named()
    return names[names.index(FIRST) : names.index(LAST) + 1]


def function(name: str) -> t.Any:
    """What a name stands for, by the longest part of it that is a module."""
    words = name.split(".")
    room = "module_utils." if name.startswith("_") else ""
    for count in range(len(words) - 1, 0, -1):
        try:
            module = importlib.import_module(PLUGINS + room + ".".join(words[:count]))
        except ModuleNotFoundError:
            continue
        return functools.reduce(getattr, words[count:], module)
    raise AttributeError(name)


@pytest.mark.parametrize("name", named())
def test_a_function_that_is_named_is_there(name: str) -> None:
    assert callable(function(name))


def test_one_that_is_not_there_is_noticed() -> None:
    with pytest.raises(AttributeError):
        function("_plan.planner.plan_fleet")


def test_the_argument_goes_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_plan, "display", plan_action.Shown())
    codes = {function(name).__code__: name for name in planned()}
    called: dict[str, None] = {}

    def look(frame: types.FrameType, event: str, _argument: t.Any) -> None:
        if event == "call" and frame.f_code in codes:
            called.setdefault(codes[frame.f_code])

    sys.setprofile(look)
    try:
        found = plan_action.run(instances=[fleet.instance(engine_args={"max-num-seqs": 4})])
    finally:
        sys.setprofile(None)
    assert list(called) == planned()
    (plan,) = found["plans"]
    assert plan["release"]["arguments"]["max_num_seqs"] == 4
    body = create_body(plan["release"], plan["digest"], "sha256:aa")
    assert body["Cmd"][-2:] == ["--max-num-seqs", "4"]


def test_a_picture_names_every_room() -> None:
    rooms = set(re.findall(r"^\| `(_[a-z_/]+)` \|", PAGE.partition("## The picture")[0], re.MULTILINE))
    picture = PAGE.partition("## The picture")[2].partition("## The way")[0]
    named_there = set(re.findall(r"_[a-z]+(?:/[a-z]+)?", re.sub(r"[a-z]_[a-z_]*", "", picture)))
    assert rooms - named_there == set(), "the picture of docs/architecture.md lacks these rooms of its table"
    assert named_there - rooms == set(), "the table of docs/architecture.md lacks these rooms of its picture"
