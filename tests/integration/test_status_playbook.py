# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook status.yml: what was printed before, then a table, what is slow, and the files that were asked for."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.data import example_status
from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Fleet, Json, restart

SLOW: Json = {"status": example_status.status("slow")}


def test_hosts_at_a_glance_with_what_is_slow(tmp_path: pathlib.Path) -> None:
    hosts = {"gpu-2": {}, "gpu-10": SLOW, "gpu-3": {"unreachable": True}}
    ended = Fleet(tmp_path, hosts).run("status")
    # As it was before there was a table: a host that is down is 4, and what serves is said for each other one.
    assert ended.code == 4
    assert ended.recap("gpu-3")["unreachable"] == 1
    assert "a serves." in ended.said
    assert "1 host told nothing. 1 instance is slow, with a cause." in ended.said
    table = ended.said.partition("with a cause.\n")[2].partition("gpu-3: It was not reached")[0].splitlines()
    assert [line.split()[0] for line in table] == ["host", "gpu-2", "gpu-3", "gpu-10"]
    assert "gpu-10, assistant: Requests queue (places). All 1 places of max_num_seqs are taken" in ended.said
    assert "Try max_num_seqs: 4, now 1." in ended.said
    assert "-e vllm_status_html=status.html" in ended.said
    assert "See whether a change is due" in ended.said and "Plan the instances" not in ended.said
    written = {path.name for path in tmp_path.iterdir() if not path.name.startswith("asked.jsonl")}
    assert written == {"collections", "hosts.yml"}


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_files_that_are_asked_for_say_whether_a_change_is_due(tmp_path: pathlib.Path, options: tuple[str, ...]) -> None:
    hosts = {
        "gpu-1": {**SLOW, "plans": [restart("assistant")]},
        "gpu-2": {**SLOW, "errors": ["assistant: no such model."]},
    }
    files = {"vllm_status_html": str(tmp_path / "a.html"), "vllm_status_json": str(tmp_path / "a.json")}
    ended = Fleet(tmp_path, hosts).run("status", *options, **files)
    assert (ended.code, ended.recap("gpu-2")["failed"], ended.recap("gpu-1")["changed"]) == (0, 0, 0)
    assert ended.asked == []
    seen = {one["name"]: one["instances"][0] for one in json.loads((tmp_path / "a.json").read_text())["hosts"]}
    assert (seen["gpu-1"]["change"], seen["gpu-1"]["change_unknown"]) == ("restart", "")
    assert (seen["gpu-2"]["change"], seen["gpu-2"]["change_unknown"]) == ("", "assistant: no such model.")
    page = (tmp_path / "a.html").read_text()
    assert page.startswith("<!doctype html>") and "restart due" in page and "assistant: no such model." in page


def test_limits_of_a_class_hold_what_is_proposed(tmp_path: pathlib.Path) -> None:
    ended = Fleet(tmp_path, {"gpu-1": SLOW}).run("status", vllm_server_class_limits={"max_num_seqs": 2})
    assert ended.code == 0
    assert "Try max_num_seqs: 2, now 1; the class allows 2 at most." in ended.said


def test_limits_that_are_made_of_facts_need_none_of_a_host_that_is_down(tmp_path: pathlib.Path) -> None:
    limits = {"max_num_seqs": "{{ [ansible_facts.gpufleet.gpus | length, 2] | max }}"}
    hosts = {"gpu-1": SLOW, "gpu-3": {"unreachable": True}}
    ended = Fleet(tmp_path, hosts).run("status", vllm_server_class_limits=limits)
    assert (ended.code, ended.recap("gpu-1")["failed"]) == (4, 0)
    assert "Try max_num_seqs: 2, now 1; the class allows 2 at most." in ended.said


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"vllm_status_plan": "alway"}, "vllm_status_plan"),
        ({"vllm_status_seconds": "soon"}, "vllm_status_seconds is 'soon'"),
        ({"vllm_status_seconds": 601}, "vllm_status_seconds is 601, expected 0 to 600"),
    ],
)
def test_a_wrong_setting_is_found_before_any_host_is_looked_at(
    tmp_path: pathlib.Path, setting: dict[str, object], says: str
) -> None:
    ended = Fleet(tmp_path, {"gpu-1": SLOW}).run("status", **setting)
    assert ended.code == 2 and says in ended.said
    assert "TASK [Look at the instances]" not in ended.said
