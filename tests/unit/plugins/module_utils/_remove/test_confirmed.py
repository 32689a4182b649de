# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is no confirmation."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._remove.confirmed import problem


@pytest.mark.parametrize("confirmed", ["a,b", "b, a", ["a", "b"], "a b"])
def test_the_names_of_the_hosts_are_one(confirmed: t.Any) -> None:
    assert problem(confirmed, ["a", "b"], True) == ""


@pytest.mark.parametrize(
    ("confirmed", "told"),
    [
        ("", "would go from a, b: confirm it with -e vllm_remove_confirm=a,b."),
        (None, "would go from a, b"),
        ([], "would go from a, b"),
        ("yes", "does not name a, b and names yes, which --limit leaves out"),
        ("all", "does not name a, b"),
        (True, "names True, which"),
        (1, "names 1, which"),
        ({"a": 1, "b": 1}, "does not name a, b"),
        ("a", "does not name b: this run is about a, b"),
        ("a,b,c", "names c, which"),
    ],
)
def test_anything_else_is_none_and_the_right_one_is_said(confirmed: t.Any, told: str) -> None:
    found = problem(confirmed, ["a", "b"], True)
    assert found.startswith("Nothing was touched.") and told in found and "vllm_remove_confirm=a,b" in found


def test_one_that_stands_in_the_inventory_is_none() -> None:
    assert "in an inventory confirms nothing" in problem("a", ["a"], False)


def test_hundreds_of_hosts_are_not_listed() -> None:
    hosts = [f"host{number:03}" for number in range(300)]
    assert len(problem("", hosts, True)) < 200 and "300 hosts" in problem("", hosts, True)
    assert "and 290 more" in problem("other", hosts, True) and problem(hosts, hosts, True) == ""
