# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action: what it shows, what it writes in check mode too, and that no secret gets onto its page."""

from __future__ import annotations

import json
import pathlib
import typing as t
from unittest import mock

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task
from ansible.template import Templar

from ansible_collections.gpufleet.vllm.plugins.action import vllm_status_report
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages import report_action
from ansible_collections.gpufleet.vllm.tests.data import example_status

SECRET = "hf_" + "abcDEF0123456789" * 2


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr(report_action, "display", mock.Mock(display=texts.append))
    return texts


def run(check_mode: bool = False, **args: t.Any) -> dict[str, t.Any]:
    task = Task()
    task.args = {"results": {"gpu-1": example_status.status("slow"), "gpu-2": {}}, **args}
    task.check_mode = check_mode
    loader = DataLoader()
    connection = mock.NonCallableMock(spec_set=["_shell"])
    action = vllm_status_report.ActionModule(task, connection, mock.Mock(), loader, Templar(loader), mock.Mock())
    return action.run(task_vars={"inventory_hostname": "gpu-1"})


def test_nothing_is_written_where_nobody_asked(
    shown: list[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(html="", json="")["changed"] is False
    assert list(tmp_path.iterdir()) == []
    assert shown[0].startswith("1 host told nothing. 1 instance is slow, with a cause.")
    assert shown[-1] == vllm_status_report.ActionModule.HINT


@pytest.mark.parametrize("check_mode", [False, True])
def test_both_files(shown: list[str], tmp_path: pathlib.Path, check_mode: bool) -> None:
    found = run(check_mode, html=str(tmp_path / "a.html"), json=str(tmp_path / "a.json"))
    assert (found["changed"], found["totals"]["slow"]) == (False, 1)
    assert json.loads((tmp_path / "a.json").read_text())["totals"] == found["totals"]
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert vllm_status_report.ActionModule.HINT not in shown[-1]


def test_a_folder_that_is_not_there_is_told(shown: list[str], tmp_path: pathlib.Path) -> None:
    found = run(html=str(tmp_path / "none" / "a.html"))
    assert found["failed"] and "name a file in a folder that is there" in found["msg"]


@pytest.mark.parametrize("target", ["/", "{0}/file/a.html", "{0}/" + "a" * 300, "{0}/a\0b"])
def test_a_path_that_cannot_be_is_told(shown: list[str], tmp_path: pathlib.Path, target: str) -> None:
    (tmp_path / "file").write_text("")
    found = run(html=target.format(tmp_path), json=str(tmp_path / "a.json"))
    assert found["failed"] and "name a file in a folder that is there" in found["msg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "file"]


def test_a_number_that_is_none_costs_its_own_host(shown: list[str]) -> None:
    wrong = example_status.status("slow")
    wrong["window"]["engines"]["assistant"]["waiting"] = float("inf")
    found = run(results={"gpu-1": wrong, "gpu-2": example_status.status("slow")})
    assert found["totals"]["hosts"] == {"silent": 1, "seen": 1}
    assert "gpu-1: what gpu-1 told.window.engines.assistant.waiting is inf" in shown[0]


def test_a_host_that_tells_without_measure_costs_itself_alone(shown: list[str]) -> None:
    wrong = example_status.status("slow")
    wrong["instances"][0]["watch"]["events"] = [{"at": "now", "what": "x" * 1000}] * 5000
    found = run(results={"gpu-1": wrong, "gpu-2": example_status.status("slow")})
    assert found["totals"]["hosts"] == {"silent": 1, "seen": 1}
    assert "more than 4000000 that a page of a fleet takes of one host" in shown[0]


def test_one_long_word_widens_no_table(shown: list[str]) -> None:
    wrong = example_status.status("slow")
    wrong["instances"][0]["name"] = "n" * 100_000
    run(results={"gpu-1": wrong, "gpu-2": {"msg": "m" * 100_000}})
    assert max(map(len, shown[0].splitlines())) <= 2000


def test_one_file_for_both_is_refused(shown: list[str], tmp_path: pathlib.Path) -> None:
    found = run(html=str(tmp_path / "a"), json=str(tmp_path / "." / "a"))
    assert found["failed"] and "name another one" in found["msg"]
    assert json.loads((tmp_path / "a").read_text())["hosts"]


def test_what_stands_in_the_way_steers_no_terminal_from_a_file(shown: list[str], tmp_path: pathlib.Path) -> None:
    hostile = "banner \x1b[2J\x9b31m\x07\u202e of a host"
    plans = {"gpu-1": {"failed": True, "msg": hostile}}
    run(plans=plans, html=str(tmp_path / "a.html"), json=str(tmp_path / "a.json"))
    for name in ("a.html", "a.json"):
        text = (tmp_path / name).read_text()
        assert "banner" in text and not set(text) & set("\x1b\x9b\x07\u202e")


def test_facts_that_nobody_reads_cost_nothing(shown: list[str]) -> None:
    facts = {**example_status.facts(), "ansible_local": {"own": float("nan")}}
    assert "failed" not in run(facts={"gpu-1": facts})


def test_a_secret_and_what_steers_a_terminal_get_nowhere(shown: list[str], tmp_path: pathlib.Path) -> None:
    seen = example_status.status("slow", hf_token=SECRET, api_key="letmein")
    seen["instances"][0]["rejected"] = [
        {"digest": "d", "at": "now", "failure_class": "oom", "cause": f"\x1b[31m {SECRET}", "advice": ""}
    ]
    run(results={"gpu-1": seen}, html=str(tmp_path / "a.html"), json=str(tmp_path / "a.json"))
    told = [*shown, (tmp_path / "a.html").read_text(), (tmp_path / "a.json").read_text()]
    assert not any(SECRET in text or "letmein" in text for text in told)
    assert "\x1b" not in "".join(shown)
