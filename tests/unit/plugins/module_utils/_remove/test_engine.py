# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our settings of Docker are given up, and never at the cost of a container of somebody else."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.observed import PATH, RECORD
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._remove.host import Host

PREVIOUS = f"{PATH}.previous"


def prepared(root: pathlib.Path, ours: dict[str, object], theirs: dict[str, object] | None = None) -> Host:
    host = Host(root)
    daemon = host.docker.daemon
    host.write(PATH, json.dumps({**(theirs or {}), **ours}))
    host.write(RECORD, json.dumps({"ours": ours, "pending": False}))
    host.write(PREVIOUS, "{}")
    daemon.config = {**(theirs or {}), **ours}
    return host


def test_ours_goes_and_theirs_stays(tmp_path: pathlib.Path) -> None:
    host = prepared(tmp_path, {"live-restore": True, "log-opts": {"max-size": "50m"}}, {"debug": True})
    (due,) = host.look().due
    assert due.what == f"{PATH}: live-restore, log-opts.max-size" and due.because == "set by us; Docker is restarted"
    assert host.docker.daemon.did("systemctl restart") == 0
    assert host.remove() == ([due.what], [])
    assert json.loads(host.at(PATH).read_text()) == {"debug": True}
    assert host.docker.daemon.did("systemctl restart") == 1 and host.paths() == [PATH, "/proc/77/cmdline"]
    assert host.remove() == ([], []) and host.docker.daemon.did("systemctl restart") == 1


def test_a_file_that_had_nothing_else_goes_too(tmp_path: pathlib.Path) -> None:
    host = prepared(tmp_path, {"live-restore": True})
    assert host.remove()[1] == [] and PATH not in host.paths()


def test_a_restart_waits_while_a_container_of_others_runs(tmp_path: pathlib.Path) -> None:
    host = prepared(tmp_path, {"live-restore": True, "log-opts": {"max-size": "50m"}})
    host.has("theirs", "o1")
    found = host.look()
    assert (
        found.due == [] and "Docker has to be restarted, and theirs, which is not ours, runs" in found.stays[0].because
    )
    assert host.remove() == ([], []) and host.docker.daemon.did("systemctl restart") == 0
    assert host.look(stop_containers=True).due[0].because == "set by us; Docker is restarted"


def test_a_container_of_ours_is_none_that_waits(tmp_path: pathlib.Path) -> None:
    host = prepared(tmp_path, {"log-opts": {"max-size": "50m"}})
    host.serves()
    assert any(one.kind == "settings" for one in host.look().due)


@pytest.mark.parametrize("config", [{"DeviceRequests": [{"Driver": "cdi"}]}, {"Runtime": "nvidia"}])
def test_what_gives_others_their_gpus_stays(tmp_path: pathlib.Path, config: dict[str, object]) -> None:
    host = prepared(tmp_path, {"features": {"cdi": True}})
    host.has("theirs", "o1")
    host.docker.rows[-1]["State"] = "exited"
    assert host.look().due
    host.docker.configs["o1"] = config
    found = host.look()
    assert found.due == [] and "the container theirs, which is not ours, has GPUs" in found.stays[0].because


def test_a_docker_that_does_not_answer_is_not_started(tmp_path: pathlib.Path) -> None:
    host = prepared(tmp_path, {"live-restore": True})
    host.docker.daemon.up = False

    host.docker.away = True
    found = host.look()
    assert found.due == [] and "start it, then run this again" in found.stays[0].because


def test_a_daemon_that_does_not_come_back_has_its_settings_again(tmp_path: pathlib.Path) -> None:
    host = prepared(tmp_path, {"log-opts": {"max-size": "50m"}}, {"bad": 1})
    host.docker.daemon.fatal = {"bad"}
    gone, (left,) = host.remove()
    assert gone == [] and "Docker did not come back" in left and json.loads(host.at(RECORD).read_text())["ours"]


def test_a_restart_that_was_allowed_says_what_it_has_stopped(tmp_path: pathlib.Path) -> None:
    """As a real daemon without live-restore does, which stops at its start what it finds running."""
    host = prepared(tmp_path, {"log-opts": {"max-size": "50m"}})
    host.has("theirs", "o1")
    run = host.docker.daemon.run

    def stops(command: list[str], stdin: str = "") -> tuple[int, str]:
        if command[1] == "restart":
            host.docker.rows.clear()
        return run(command, stdin)

    host.docker.daemon.run = stops  # type: ignore[method-assign]
    gone, (left,) = host.remove(stop_containers=True)
    assert gone == [] and "theirs stopped when it was restarted" in left
    assert host.look().due == [] and RECORD not in host.paths()
