# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook maintenance.yml: one host at a time, none after one that fails, and each is let in again."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Ended, Fleet, Json

# This machine is every host: nothing of it is upgraded or rebooted here.
NOTHING: Json = {"vllm_maintenance_upgrade": False, "vllm_maintenance_reboot": "never"}
OUT, IN = "drained", "in_service"


def maintained(folder: pathlib.Path, tasks: str = "", *options: str, **hosts: Json) -> Ended:
    file = folder / "tasks.yml"
    file.write_text(tasks)
    own = {"vllm_maintenance_tasks": str(file)} if tasks else {}
    return Fleet(folder, hosts, connection="local").run("maintenance", *options, **NOTHING, **own)


def test_one_host_after_another(tmp_path: pathlib.Path) -> None:
    ended = maintained(tmp_path, g2={}, g1={})
    assert (ended.code, ended.kinds) == (0, [("g1", OUT), ("g1", IN), ("g2", OUT), ("g2", IN)])


def test_nothing_is_touched_where_a_host_does_not_serve_before(tmp_path: pathlib.Path) -> None:
    ended = maintained(tmp_path, g1={}, g2={"not_proved": True})
    assert (ended.code, ended.kinds) == (2, [])
    assert "a does not serve: it answers nothing." in ended.said


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_one_that_fails_is_let_in_and_ends_the_run(tmp_path: pathlib.Path, options: t.Sequence[str]) -> None:
    fails = "- ansible.builtin.fail: {msg: the disk is broken}\n  when: inventory_hostname == 'g2'\n"
    ended = maintained(tmp_path, fails, *options, g1={}, g2={}, g3={}, g4={})
    assert (ended.code, ended.kinds) == (2, [("g1", OUT), ("g1", IN), ("g2", OUT), ("g2", IN)])
    assert "g2: the disk is broken. The hosts after it (g3, g4) were not touched." in ended.said


@pytest.mark.parametrize("given", ["tasks.yml", "/nowhere/tasks.yml"])
def test_tasks_that_are_not_there_are_told_first(tmp_path: pathlib.Path, given: str) -> None:
    ended = Fleet(tmp_path, {"g1": {}}).run("maintenance", **{**NOTHING, "vllm_maintenance_tasks": given})
    assert (ended.code, ended.kinds) == (2, [])
    assert f"vllm_maintenance_tasks is {given}, and no such file is on the control node" in " ".join(ended.said.split())


@pytest.mark.parametrize("tasks", ["- ansible.builtin.comand: ls\n", "- name: a\n  debug: {msg: a\n", "- hosts: all\n"])
def test_tasks_that_cannot_be_parsed_end_the_run_before_a_host_is_drained(tmp_path: pathlib.Path, tasks: str) -> None:
    """Ansible ends at once there, without `always`: a host that was drained would stay so."""
    ended = maintained(tmp_path, tasks, g1={}, g2={})
    assert (ended.code, ended.kinds) == (4, [])


def test_tasks_are_done_once_and_only_out_of_service(tmp_path: pathlib.Path) -> None:
    """They were read before: what one needs of another is not there then."""
    done = tmp_path / "done"
    tasks = (
        "- ansible.builtin.command: echo localhost\n  register: found\n"
        f"- ansible.builtin.shell: echo {{{{ item }}}} >> {done}\n"
        '  loop: "{{ found.stdout_lines }}"\n  delegate_to: "{{ found.stdout }}"\n'
    )
    ended = maintained(tmp_path, tasks, g1={})
    assert (ended.code, ended.kinds, done.read_text()) == (0, [("g1", OUT), ("g1", IN)], "localhost\n")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("vllm_maintenance_reboot", "no", "vllm_maintenance_reboot is 'no': write due, always or never."),
        ("vllm_maintenance_upgrade", "nein", "vllm_maintenance_upgrade is 'nein'"),
        ("vllm_maintenance_ready", "0", "vllm_maintenance_ready is 0: write a number of seconds above 0."),
        ("vllm_maintenance_upgrde", "false", "Did you mean vllm_maintenance_upgrade?"),
    ],
)
def test_a_wrong_setting_is_told_before_a_host_is_drained(
    tmp_path: pathlib.Path, variable: str, value: str, told: str
) -> None:
    ended = Fleet(tmp_path, {"g1": {}}).run("maintenance", **{**NOTHING, variable: value})
    assert (ended.code, ended.kinds) == (2, [])
    assert told in " ".join(ended.said.split())
