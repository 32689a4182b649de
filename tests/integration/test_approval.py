# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plan.yml leaves to be approved, and site.yml with it: what is planned otherwise by now is left as it is."""

from __future__ import annotations

import pathlib
import re

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes.approval import approval
from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Fleet, restart


def seen_to(said: str, host: str) -> bool:
    """Whether the play came to a host's driver, the first that it may change."""
    tasks = re.findall(r"^TASK \[gpufleet\.vllm\.nvidia_driver : .*\n((?:(?!TASK ).*\n)*)", said, re.MULTILINE)
    return any(f"[{host}]" in task for task in tasks)


def test_what_a_plan_leaves_is_rolled_out_and_nothing_else(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_CALLBACK_RESULT_FORMAT", "json")
    fleet = Fleet(tmp_path, {"g1": {"plans": [restart()]}, "g2": {"plans": [restart()]}, "g3": {"plans": []}})
    given = fleet.run("plan").left["vllm_server_approved"]
    assert {host: set(of) for host, of in given.items()} == {"g1": {"a"}, "g2": {"a"}, "g3": set()}
    same = fleet.run(vllm_server_approved=given)
    assert (same.code, sorted(same.kinds)) == (0, [("g1", "rollout"), ("g2", "rollout")])
    fleet.hosts["g2"] = {"plans": [restart(digest="o" * 64)]}
    other = fleet.run(vllm_server_approved=given)
    assert other.code == 2 and other.asked == []
    assert "g2 is not planned as it was approved." in other.said and "g1 is not planned" not in other.said
    assert re.search(r"instance a: release \w{12} was approved, and release \w{12} is planned now\.", other.said)
    assert seen_to(other.said, "g1") and not seen_to(other.said, "g2")


def test_a_canary_that_is_planned_otherwise_keeps_all_others_as_they_are(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": {"plans": [restart()]}, "g2": {"plans": [restart()]}}, {"vllm_canary": ["g2"]})
    ended = fleet.run(vllm_server_approved={"g1": approval([]), "g2": approval([])})
    assert ended.code == 2 and ended.asked == [] and not seen_to(ended.said, "g1")
    assert "instance a: restart is planned now, and it was in no plan that was approved." in ended.said


def test_a_file_goes_from_one_command_to_the_next_without_hosts_that_could_not_be_planned(
    tmp_path: pathlib.Path,
) -> None:
    fleet = Fleet(tmp_path, {"g1": {"plans": [restart()]}, "g2": {"errors": ["It has no GPU."]}})
    file = tmp_path / "approved.json"
    assert fleet.run("plan", vllm_plan_approval=str(file)).code == 2
    fleet.hosts["g2"] = {"plans": [restart()]}
    ended = fleet.run("site", "-e", f"@{file}")
    assert ended.code == 2 and ended.asked == [] and not seen_to(ended.said, "g2")
    assert "vllm_server_approved has no g2: it was not planned" in ended.said


def test_what_a_class_brings_is_part_of_what_was_approved(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class of the inventory's own brings arguments, and one that is found brings group vars, both before a plan."""
    monkeypatch.setenv("ANSIBLE_CALLBACK_RESULT_FORMAT", "json")
    own = {"name": "own", "engine_args": {"max_num_seqs": 4}, "limits": {}}
    script = {"plans": [restart()], "class": own}
    fleet = Fleet(tmp_path, {"g1": script, "g2": {**script, "class": {"name": "found"}}}, {"found": []})
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "found.yml").write_text("vllm_server_class_engine_args: {max_num_seqs: 8}\n")
    stated = {"gpu_detect_host_class": "auto"}
    given = fleet.run("plan", **stated).left["vllm_server_approved"]
    assert given["g1"]["a"]["release"] != given["g2"]["a"]["release"]
    ended = fleet.run(vllm_server_approved=given, **stated)
    assert (ended.code, sorted(ended.kinds)) == (0, [("g1", "rollout"), ("g2", "rollout")])


def test_a_plan_of_which_nothing_can_be_approved_leaves_that(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a workflow the job behind it would compare nothing otherwise, as with an image that only the plan has."""
    monkeypatch.setenv("ANSIBLE_CALLBACK_RESULT_FORMAT", "json")
    fleet = Fleet(tmp_path, {"g1": {"plans": [restart()], "unstated": True}})
    planned = fleet.run("plan")
    assert (planned.code, planned.left["vllm_server_approved"]) == (0, {"g1": ""})
    ended = fleet.run(vllm_server_approved=planned.left["vllm_server_approved"])
    assert ended.code == 2 and ended.asked == [] and "vllm_server_approved has no g1" in ended.said


@pytest.mark.parametrize(
    ("option", "told"), [("--skip-tags", "leaves out the comparison"), ("--tags", "is not planned as it was approved")]
)
def test_no_tag_leaves_out_the_comparison(tmp_path: pathlib.Path, option: str, told: str) -> None:
    fleet = Fleet(tmp_path, {"g1": {"plans": [restart()]}})
    ended = fleet.run("site", option, "nvidia_driver_install", vllm_server_approved={"g1": {}})
    assert ended.code == 2 and told in ended.said and not seen_to(ended.said, "g1")
