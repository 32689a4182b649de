# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which a role's defaults and its specification can differ is told."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tools import check_argument_specs as checks

ABOUT = {"description": "What it is."}


def option(**facts: t.Any) -> dict[str, t.Any]:
    """Return a described option."""
    return {"description": "What it is.", "type": "str", **facts}


@pytest.mark.parametrize(
    ("defaults", "options", "problem"),
    [
        ({"r_a": "x"}, {}, "r_a: in defaults, not in the specification"),
        ({}, {"r_a": option()}, "r_a: in the specification, not in defaults and not required"),
        ({"a": ""}, {"a": option(default="")}, "a: must start with r_"),
        ({"r_a": "x"}, {"r_a": option(default="y")}, "r_a: defaults/main.yml says 'x', the specification says 'y'"),
        ({"r_a": "x"}, {"r_a": option()}, "r_a: defaults/main.yml says 'x', the specification says None"),
        ({"r_a": "x"}, {"r_a": option(default="x", required=True)}, "r_a: is required and has a default"),
        ({"r_a": 1}, {"r_a": option(default=1)}, "r_a: 1 is int, must be str"),
        ({"r_a": "1"}, {"r_a": option(type="int", default="1")}, "r_a: '1' is str, must be int"),
        ({"r_a": True}, {"r_a": option(type="int", default=True)}, "r_a: True is bool, must be int"),
        (
            {"r_a": "z"},
            {"r_a": option(default="z", choices=["x", "y"])},
            "value of r_a must be one of: x, y, got: z",
        ),
        (
            {"r_a": {"c": 1}},
            {"r_a": option(type="dict", default={"c": 1}, options={"b": option()})},
            "r_a.c. Supported parameters include: b.",
        ),
        (
            {"r_a": {"c": 1}},
            {"r_a": option(type="raw", default={"c": 1}, options={"b": option()})},
            "r_a.c. Supported parameters include: b.",
        ),
        ({"r_a": ""}, {"r_a": {"type": "str"}}, "r_a: has no description"),
        ({"r_a": ""}, {"r_a": ABOUT}, "r_a: type is None, must be one of "),
        (
            {"r_a": {}},
            {"r_a": option(type="dict", default={}, options={"b": {"type": "str"}})},
            "r_a.b: has no description",
        ),
    ],
)
def test_told(defaults: dict[str, object], options: checks.Options, problem: str) -> None:
    problems = checks.compare("r", defaults, options)
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("defaults", "options"),
    [
        ({"r_a": "x"}, {"r_a": option(default="x", choices=["x"])}),
        ({"r_a": "{{ b }}"}, {"r_a": option(type="int", default="{{ b }}")}),
        ({"r_a": None}, {"r_a": option(type="dict")}),
        ({"r_a": 1}, {"r_a": option(type="float", default=1)}),
        ({}, {"r_a": option(required=True)}),
        (
            {"r_a": [{"b": "x"}]},
            {"r_a": option(type="list", elements="dict", default=[{"b": "x"}], options={"b": option(required=True)})},
        ),
    ],
)
def test_agree(defaults: dict[str, object], options: checks.Options) -> None:
    assert checks.compare("r", defaults, options) == []
