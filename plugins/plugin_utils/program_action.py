# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions whose work the program on the host does: brought where the host has another one, or none, and followed.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import shlex
import tempfile
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.units import PROGRAM
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.host_program import build
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.piped_action import PipedAction

MODULE_UTILS = Path(__file__).resolve().parent.parent / "module_utils"
FOLLOW_WAIT = 10
# For so many seconds a host that is followed may be out of reach.
LOST_LIMIT = 600
LOST_PAUSE = 5


class Clock(t.Protocol):
    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class ProgramAction(PipedAction):
    """Runs a module that starts a unit, and asks the program how far it is."""

    def _with_program(self, execute: t.Callable[[Json], Json], args: Json) -> Json:
        program = build(MODULE_UTILS)
        asked = {**args, "program_digest": program.digest}
        started = execute(asked)
        if started.get("program_needed"):
            source = self._bring(program.content)
            started = execute({**asked, "program_source": source})
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return started

    def _bring(self, content: bytes) -> str:
        folder = self._connection._shell.tmpdir or self._make_tmp_path()
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            target = self._connection._shell.join_path(folder, "gpufleet-host")
            self._transfer_file(file.name, target)
        return str(target)

    def _said_by_host(self, words: t.Sequence[str], name: str, what: str, clock: Clock) -> str:
        """What the program prints. Raises AnsibleConnectionFailure where the host stays out of reach."""
        answer = self._answer_of_host(words, name, clock)
        if answer["rc"] != 0:
            raise AnsibleActionFail(f"{name}: following {what} failed: {printable(answer['stderr']).strip()}")
        return str(answer["stdout"])

    def _answer_of_host(self, words: t.Sequence[str], name: str, clock: Clock, given: bytes | None = None) -> Json:
        """Of a verb that may be asked again, with what it is given on standard input. Raises AnsibleConnectionFailure
        where the host stays out of reach."""
        command = shlex.join([PROGRAM, *words])
        piped = {} if given is None else {"in_data": given}
        lost_since = None
        while True:
            try:
                answer: Json = self._low_level_execute_command(command, **piped)
            except AnsibleConnectionFailure:
                lost_since = lost_since or clock.monotonic()
                if clock.monotonic() - lost_since > LOST_LIMIT:
                    raise
                going = "" if given is not None else " and goes on by itself"
                self._display.display(f"{name}: the host is out of reach{going}; trying again")
                clock.sleep(LOST_PAUSE)
                continue
            return answer
