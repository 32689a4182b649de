# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook switch.yml: which names it refuses, before any host is looked at."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Fleet, Json

LISTED: list[Json] = [
    {"name": "architect", "model": "m/a", "port": 8000, "exclusive_group": "agents"},
    {"name": "coder", "model": "m/b", "port": 8001, "exclusive_group": "agents", "active": False},
    {"name": "painter", "model": "m/c", "port": 8002, "exclusive_group": "images"},
    {"name": "solo", "model": "m/d", "port": 8003},
]
MEMBERS = "Members are architect, coder, painter: add -e vllm_server_active=NAME."


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("", f"No member was named. {MEMBERS}"),
        ("Coder", f"Coder: no member of an exclusive group. {MEMBERS}"),
        ("coder,solo", f"solo: no member of an exclusive group. {MEMBERS}"),
        ("coder,painter,architect", "vllm_server_active names architect, coder, which take turns: name one of them."),
    ],
)
def test_names_that_cannot_be_meant_are_refused(tmp_path: pathlib.Path, asked: str, told: str, as_text: bool) -> None:
    """The list as a text is what a survey of AWX sends."""
    listed = json.dumps(LISTED) if as_text else LISTED
    ended = Fleet(tmp_path, {"g1": {}}).run("switch", vllm_server_active=asked, vllm_server_instances=listed)
    assert (ended.code, ended.kinds) == (2, [])
    assert told in " ".join(ended.said.split()) and "Look at the host" not in ended.said


def test_one_member_of_each_group_is_not_refused(tmp_path: pathlib.Path) -> None:
    """Scripted hosts plan no turns: the run comes as far as the plan."""
    fleet = Fleet(tmp_path, {"g1": {}})
    ended = fleet.run("switch", vllm_server_active="painter,coder,coder", vllm_server_instances=LISTED)
    assert "take turns" not in ended.said and "Plan the instances" in ended.said
