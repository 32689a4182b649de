# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A download is a unit: started once, joined by whoever asks meanwhile, and told what to do in memory."""

from __future__ import annotations

import os
import pathlib
import stat
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._state import units
from ansible_collections.gpufleet.vllm.plugins.module_utils._store import desk as desks
from ansible_collections.gpufleet.vllm.plugins.module_utils._store import unit
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.desk import Desk
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import Progress
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.hubs import request

TOKEN = "hf_0123456789abcdefgh"


class Systemd:
    """What is started, and what it answers."""

    def __init__(self, run_dir: str) -> None:
        self.run_dir = run_dir
        self.commands: list[t.Sequence[str]] = []
        self.answer = (0, "", "")

    def run(self, command: t.Sequence[str]) -> tuple[int, str, str]:
        self.commands.append(command)
        return self.answer

    def is_running(self, _name: str) -> bool:
        return bool(self.commands) and self.answer[0] == 0


@pytest.fixture
def systemd(tmp_path: pathlib.Path) -> Systemd:
    return Systemd(str(tmp_path))


def start(systemd: Systemd, token: str = "", **asked: t.Any) -> unit.Started:
    return unit.start(systemd.run, request("/hub", **asked), token, systemd.is_running, systemd.run_dir)


def test_it_is_started_with_bounds_and_no_secret_in_its_command(systemd: Systemd) -> None:
    started = start(systemd, TOKEN)
    (command,) = systemd.commands
    assert started == {
        "name": started["name"], "unit": f"gpufleet-fetch@{started['name']}.service", "run": started["run"],
        "ours": True, "joined": False,
    }  # fmt: skip
    assert command[-3:] == [units.PROGRAM, "fetch", started["name"]]
    assert {"--property=MemoryMax=512M", "--property=TasksMax=64", "--property=Nice=10"} < set(command)
    assert TOKEN not in " ".join(command)


def test_the_token_is_for_root_alone_and_is_taken_once(systemd: Systemd, tmp_path: pathlib.Path) -> None:
    started = start(systemd, TOKEN)
    desk = Desk(started["name"], str(tmp_path))
    folder = tmp_path / "fetches" / started["name"]
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o400
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [desk.take_token(), desk.take_token()] == [TOKEN, ""]
    assert TOKEN not in "".join(path.read_text() for path in folder.iterdir())


def test_who_asks_meanwhile_joins_and_is_told_whether_it_is_the_same(systemd: Systemd) -> None:
    first = start(systemd)
    same, other = start(systemd), start(systemd, revision="v2")
    assert len(systemd.commands) == 1
    assert (same["run"], same["ours"], same["joined"]) == (first["run"], True, True)
    assert (other["run"], other["ours"], other["joined"]) == (first["run"], False, True)


def test_systemd_that_refuses_is_told_and_leaves_no_token(systemd: Systemd, tmp_path: pathlib.Path) -> None:
    systemd.answer = (1, "", "no bus\n")
    with pytest.raises(units.UnitProblem, match=r"systemd did not start gpufleet-fetch@.*: no bus"):
        start(systemd, TOKEN)
    (folder,) = (tmp_path / "fetches").iterdir()
    assert os.listdir(folder) == ["lock"]


def test_a_run_that_cannot_be_read_is_told(systemd: Systemd, tmp_path: pathlib.Path) -> None:
    started = start(systemd)
    asked = tmp_path / "fetches" / started["name"] / desks.ASKED
    for text in ("", "[]", '{"run": "x", "request": {"model": 1}}'):
        asked.write_text(text)
        with pytest.raises(units.UnitProblem, match="what it does cannot be read"):
            start(systemd)


def test_nobody_takes_the_end_of_another_run_for_its_own(tmp_path: pathlib.Path) -> None:
    desk = Desk("x", str(tmp_path))
    run = desk.put(request("/hub"), "")
    assert desk.told(run) is None
    desk.tell(run, Progress().told())
    told = desk.told(run)
    assert told is not None and told["stage"] == "asking" and desk.told("another") is None
    assert desk.put(request("/hub"), "") != run and desk.told(run) is None


def test_it_runs_while_systemd_keeps_its_file(tmp_path: pathlib.Path) -> None:
    assert unit.running("x", str(tmp_path)) is False
    (tmp_path / "run/systemd/transient").mkdir(parents=True)
    (tmp_path / "run/systemd/transient/gpufleet-fetch@x.service").write_text("")
    assert unit.running("x", str(tmp_path)) is True


SHARED: t.Final = "Let 192.0.2.0/24 read contents of /hub at 192.0.2.9:8790"


@pytest.mark.parametrize(
    ("said", "done"),
    [
        ("ActiveState=inactive\nDescription=gpufleet-share.service\n", ["systemd-run"]),
        # It stays for as long as a new one would.
        (f"ActiveState=active\nDescription={SHARED}\n", ["systemctl"]),
        # On its way up or down, it is no unit to be joined, and its name is taken.
        (f"ActiveState=deactivating\nDescription={SHARED}\n", ["systemctl", "systemd-run"]),
        (f"ActiveState=failed\nDescription={SHARED}\n", ["systemd-run"]),
        (f"ActiveState=active\nDescription={SHARED}0\n", ["systemctl", "systemd-run"]),
    ],
)
def test_what_others_read_is_served_once(systemd: Systemd, said: str, done: list[str]) -> None:
    systemd.answer = (0, said, "")
    unit.share(systemd.run, "/hub", "192.0.2.9:8790", ["192.0.2.0/24"])
    assert [command[0] for command in systemd.commands[1:]] == done
    if done == ["systemctl"]:
        assert systemd.commands[-1] == ["systemctl", "kill", "--signal=SIGUSR1", "gpufleet-share.service"]
    else:
        command = systemd.commands[-1]
        assert command[-6:] == [units.PROGRAM, "serve", "/hub", "--at=192.0.2.9:8790", "--to", "192.0.2.0/24"]
        assert {"--property=MemoryMax=512M", "--property=ProtectSystem=strict"} < set(command)


def test_another_run_may_serve_first() -> None:
    said, commands = ["ActiveState=inactive\n", f"ActiveState=active\nDescription={SHARED}\n"], []

    def run(command: t.Sequence[str]) -> tuple[int, str, str]:
        commands.append(command[:2])
        if command[0] == "systemd-run":
            return 1, "", "Unit gpufleet-share.service already exists."
        return 0, said.pop(0) if command[1] == "show" else "", ""

    unit.share(run, "/hub", "192.0.2.9:8790", ["192.0.2.0/24"])
    assert [command[1] for command in commands] == ["show", "--quiet", "show", "kill"]


def test_a_place_is_no_variable_of_systemd() -> None:
    assert "/srv/$$HOME" in unit.share_command("/srv/$HOME", "192.0.2.9:8790", ["192.0.2.0/24"])


def test_what_is_served_no_more_ends(systemd: Systemd, tmp_path: pathlib.Path) -> None:
    unit.unshare(systemd.run, str(tmp_path))
    assert not systemd.commands
    (tmp_path / "run/systemd/transient").mkdir(parents=True)
    (tmp_path / "run/systemd/transient/gpufleet-share.service").write_text("")
    unit.unshare(systemd.run, str(tmp_path))
    assert systemd.commands == [["systemctl", "stop", "gpufleet-share.service"]]
    systemd.answer = (1, "", "no bus")
    with pytest.raises(units.UnitProblem, match="did not end, and others still read: no bus"):
        unit.unshare(systemd.run, str(tmp_path))


def test_systemd_may_refuse_to_serve(systemd: Systemd) -> None:
    systemd.answer = (1, "", "no bus")
    with pytest.raises(
        units.UnitProblem, match=r"gpufleet-share\.service did not start, .*192\.0\.2\.9:8790 .* no bus"
    ):
        unit.share(systemd.run, "/hub", "192.0.2.9:8790", ["192.0.2.0/24"])
