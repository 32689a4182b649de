# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook as an operator runs it: a process of its own, which can be waited for and killed."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
INVENTORIES = ("molecule/shared/inventory", "tests/faults/inventory")
LOGS = CHECKOUT / "build" / "faults"
LIMIT = 900.0
CALLBACKS = CHECKOUT / "tests" / "faults" / "files" / "callbacks"
STANDS_STILL = "It stands still before its handlers."
COMMANDS = pathlib.Path(sys.executable).parent

Json = dict[str, t.Any]
_numbers = itertools.count(1)


def as_user() -> dict[str, str]:
    """The environment of an operator in this checkout."""
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "false",
        "PATH": f"{COMMANDS}:{os.environ['PATH']}",
    }


def _group_of(stat: pathlib.Path) -> int:
    """The process group of a process; 0 for one that has ended."""
    try:
        state, _parent, group = stat.read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return 0
    return 0 if state == "Z" else int(group)


def _standing_still(until_gone: pathlib.Path) -> dict[str, str]:
    """The environment of a play that stands still before its handlers for as long as this file is there."""
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "gpufleet.vllm.summary,standstill",
        "GPUFLEET_STANDSTILL": str(until_gone),
    }


class Play:
    """One run of a playbook; its output is kept in build/faults.

    One with a `standstill` makes its plans, and rolls nothing out before it `goes_on`.
    """

    def __init__(
        self,
        playbook: str,
        hosts: t.Sequence[str],
        variables: Json | None = None,
        options: t.Sequence[str] = (),
        standstill: bool = False,
    ) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"{os.getpid()}-{next(_numbers):03d}-{playbook.rsplit('.', 1)[-1]}.log"
        self._inventories = [word for path in INVENTORIES for word in ("--inventory", path)]
        command = ["ansible-playbook", playbook, "--limit", ",".join(hosts), *self._inventories, *options]
        if variables:
            command += ["--extra-vars", json.dumps(variables)]
        self._until_gone = self.log.with_suffix(".standstill")
        environment = as_user()
        if standstill:
            self._until_gone.touch()
            environment.update(_standing_still(self._until_gone))
        self.began = time.time()
        with self.log.open("w") as output:
            self._process = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, limit: float = LIMIT) -> Play:
        """Wait for its end. Raises TimeoutExpired."""
        self._process.wait(limit)
        return self

    def wait_for(self, text: str, limit: float = LIMIT) -> None:
        """Wait until its output holds the text. Raises AssertionError when it ends without."""
        end = time.monotonic() + limit
        while text not in self.log.read_text():
            assert self.runs and time.monotonic() < end, f"{text} was not said; {self.log}"
            time.sleep(0.02)

    def stands_still(self) -> None:
        """Wait until its plans are made."""
        self.wait_for(STANDS_STILL)

    def goes_on(self) -> None:
        self._until_gone.unlink()

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def kill(self, whole_group: bool = True) -> None:
        """SIGKILL for the process and its workers, or for the process alone, which leaves them without a parent."""
        if whole_group:
            os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()

    @property
    def gone(self) -> bool:
        """Whether none of its processes lives: workers that a kill left without a parent go on with their task."""
        return not any(_group_of(path) == self._process.pid for path in pathlib.Path("/proc").glob("[0-9]*/stat"))

    @property
    def code(self) -> int:
        return int(self._process.returncode)

    @property
    def said(self) -> str:
        """Its output with every run of white space as one blank, however its lines are broken."""
        return " ".join(self.log.read_text().split())

    def recap(self, host: str) -> dict[str, int]:
        """The numbers of the host in the recap; empty where it did not come that far."""
        found = re.search(rf"{re.escape(host)} : ((?:\w+=\d+ ?)+)", self.said)
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", found.group(1))} if found else {}

    def changed(self, host: str) -> int | None:
        return self.recap(host).get("changed")
