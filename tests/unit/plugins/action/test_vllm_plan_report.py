# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action: what it shows, what it writes, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import pathlib
import stat
import typing as t
from unittest import mock

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task
from ansible.template import Templar

from ansible_collections.gpufleet.vllm.plugins.action import vllm_plan_report
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages import report_action
from ansible_collections.gpufleet.vllm.tests.data import example_fleet


class Shown:
    """Stands in for the terminal."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def display(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    found = Shown()
    monkeypatch.setattr(report_action, "display", found)
    return found


def run(check_mode: bool = False, **args: t.Any) -> dict[str, t.Any]:
    task = Task()
    task.args = {"results": example_fleet.fleet(), **args}
    task.check_mode = check_mode
    loader = DataLoader()
    connection = mock.NonCallableMock(spec_set=["_shell"])
    action = vllm_plan_report.ActionModule(task, connection, mock.Mock(), loader, Templar(loader), mock.Mock())
    return action.run(task_vars={"inventory_hostname": "gpu-1"})


def test_nothing_is_written_where_nobody_asked(
    shown: Shown, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run(html="", json="")
    assert found["changed"] is False
    assert list(tmp_path.iterdir()) == []
    headline = "3 hosts cannot be planned. 1 instance goes on although the planner would refuse it. 7 of 10 instances"
    assert shown.texts[0].startswith(f"{headline} would change.")
    assert shown.texts[-1] == vllm_plan_report.ActionModule.HINT


@pytest.mark.parametrize("check_mode", [False, True])
def test_both_files(shown: Shown, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, check_mode: t.Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = run(check_mode, html="plan.html", json=str(tmp_path / "plan.json"))
    assert found["changed"] is False
    assert found["html"] == str(tmp_path / "plan.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.html", "plan.json"]
    document = json.loads((tmp_path / "plan.json").read_text())
    assert {host["name"] for host in document["hosts"]} == set(example_fleet.fleet())
    assert document["totals"] == found["totals"]
    assert (tmp_path / "plan.html").read_text().startswith("<!doctype html>")
    assert vllm_plan_report.ActionModule.HINT not in shown.texts[-1]


def test_file_is_replaced_and_has_the_usual_rights(shown: Shown, tmp_path: pathlib.Path) -> None:
    target = tmp_path / "plan.json"
    target.write_text("old")
    mask = os.umask(0o027)
    try:
        run(json=str(target))
    finally:
        os.umask(mask)
    assert json.loads(target.read_text())["schema"] == 1
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_folder_that_is_not_there(shown: Shown, tmp_path: pathlib.Path) -> None:
    found = run(html=str(tmp_path / "none" / "plan.html"), json=str(tmp_path / "plan.json"))
    assert found["failed"] is True
    assert found["msg"] == (
        f"html: {tmp_path}/none/plan.html cannot be written (No such file or directory): "
        "name a file in a folder that is there."
    )
    assert (tmp_path / "plan.json").exists()


def test_target_that_is_a_folder_leaves_nothing_behind(shown: Shown, tmp_path: pathlib.Path) -> None:
    (tmp_path / "plan.json").mkdir()
    found = run(json=str(tmp_path / "plan.json"))
    assert "cannot be written" in found["msg"]
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


APPROVAL = {"a": {"change": "create", "release": "f" * 64, "revision": "", "settings": "e" * 64}}


def test_what_there_is_to_approve_is_written_of_hosts_that_can_be_planned(shown: Shown, tmp_path: pathlib.Path) -> None:
    results = {"g1": {"plans": [], "approval": APPROVAL}, "g2": {"plans": [], "errors": ["It has no GPU."]}}
    found = run(results=results, approval=str(tmp_path / "approved.json"))
    assert json.loads((tmp_path / "approved.json").read_text()) == {"vllm_server_approved": {"g1": APPROVAL}}
    assert found["approval"] == str(tmp_path / "approved.json")


def test_where_no_host_can_be_planned_an_approval_of_nothing_is_not_written(
    shown: Shown, tmp_path: pathlib.Path
) -> None:
    """An empty one would hold nothing against anybody."""
    file = tmp_path / "approved.json"
    file.write_text("of yesterday")
    found = run(results={"g2": {"plans": [], "errors": ["It has no GPU."]}}, approval=str(file))
    assert found["failed"] is True and "no host can be planned with an image that is stated" in found["msg"]
    assert file.read_text() == "of yesterday"
