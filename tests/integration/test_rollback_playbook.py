# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook rollback.yml: what it puts back, and what it says where nothing is kept."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Ended, Fleet, Json

KEPT: Json = {"digest": "o" * 64}
NOTHING = "{}: no previous release is kept on {}, so it stays as it is."


def all_of(folder: pathlib.Path, **previous: Json) -> Ended:
    """A rollback of all instances of these hosts."""
    fleet = Fleet(folder, {name: {"previous": instances} for name, instances in previous.items()})
    return fleet.run("rollback", vllm_server_target_instance="all")


def put_back(ended: Ended) -> list[tuple[str, str]]:
    return sorted((host, instance) for host, instance, _request in ended.asked)


def test_what_has_nothing_to_go_back_to_is_said_and_left_alone(tmp_path: pathlib.Path) -> None:
    ended = all_of(tmp_path, g1={"a": KEPT, "b": None}, g2={"a": None, "b": None}, g3={"a": KEPT}, g4={})
    assert (ended.code, put_back(ended)) == (0, [("g1", "a"), ("g3", "a")])
    assert [
        (one, host) for host in ("g1", "g2", "g3", "g4") for one in "ab" if NOTHING.format(one, host) in ended.said
    ] == [
        ("b", "g1"),
        ("a", "g2"),
        ("b", "g2"),
    ]
    assert "No instance is on g4." in ended.said and "No instance is on g1." not in ended.said
    assert "Nothing was rolled back" not in ended.said


def test_where_nothing_is_kept_anywhere_the_run_says_so_and_fails(tmp_path: pathlib.Path) -> None:
    ended = all_of(tmp_path, g1={"a": None, "b": None}, g2={"a": None})
    assert (ended.code, ended.asked) == (2, [])
    for one, host in (("a", "g1"), ("b", "g1"), ("a", "g2")):
        assert NOTHING.format(one, host) in ended.said
    assert "Nothing was rolled back: no previous release is kept on g1, g2." in ended.said
    assert "serves." not in ended.said


@pytest.mark.parametrize("previous", [KEPT, None])
def test_one_that_is_named_is_asked_of_the_host(tmp_path: pathlib.Path, previous: Json | None) -> None:
    """The host refuses it where nothing is kept."""
    fleet = Fleet(tmp_path, {"g1": {"previous": {"a": previous, "b": None}}})
    ended = fleet.run("rollback", vllm_server_target_instance="a")
    assert (ended.code, put_back(ended)) == (0, [("g1", "a")])
    assert "no previous release" not in ended.said


def test_a_check_run_ends_as_the_real_one_would(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": {"previous": {"a": None, "b": KEPT}}})
    ended = fleet.run("rollback", "--check", vllm_server_target_instance="a")
    assert (ended.code, ended.asked, ended.recap("g1")["changed"]) == (2, [], 0)
    assert "a: no previous release is kept on g1, so that a real run would be refused." in ended.said


def test_a_check_run_says_what_would_be_put_back_and_asks_no_engine(tmp_path: pathlib.Path) -> None:
    """What was stopped where it failed does not serve yet: to prove it would fail the very run that is to bring it."""
    fleet = Fleet(tmp_path, {"g1": {"previous": {"a": KEPT, "b": None}, "not_proved": True}})
    ended = fleet.run("rollback", "--check", vllm_server_target_instance="a")
    assert ended.code == 0
    assert "a: it would be rolled back to release oooooooooooo from nothing." in ended.said
    assert "serves." not in ended.said
