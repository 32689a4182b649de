# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of one instance: state.json, stages.jsonl and diagnosis/ under the state folder, requests in memory.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os

from .._outside import documents
from .._outside.documents import Json
from .._settings.rollout import Settings
from . import state as states
from .diagnoses import Diagnoses, with_room
from .durable import read_text, sweep, write_atomically
from .request import Request, StageLine
from .stage_log import StageLog
from .state import State, StateOfAnother, StateProblem
from .unsaved import RUN_DIR, Unsaved

STATE_DIR = "/var/lib/gpufleet"
STATE, DAMAGED, WATCH, TUNED = "state.json", "state.json.damaged", "watch.json", "tuned.json"


class Store:
    """The files of one instance."""

    def __init__(self, instance: str, state_dir: str = STATE_DIR, run_dir: str = RUN_DIR) -> None:
        self.instance, self.state_dir, self.run_dir = instance, state_dir, run_dir
        self.folder = os.path.join(state_dir, instance)
        self._stages = StageLog(self.path("stages.jsonl"))
        self.diagnoses = Diagnoses(self.path("diagnosis"))
        self._unsaved = Unsaved(self.path(STATE), os.path.join(run_dir, "unsaved", f"{instance}.json"))
        self._requests = os.path.join(run_dir, "requests", instance)
        self._last_word = os.path.join(run_dir, "last-word", f"{instance}.json")

    def path(self, *names: str) -> str:
        return os.path.join(self.folder, *names)

    def load(self) -> State:
        """The state; an empty one where no file is. Raises StateProblem."""
        try:
            text = self._unsaved.text() or read_text(self.path(STATE))
        except UnicodeDecodeError as error:
            raise StateProblem(f"it is not text ({error})") from error
        except OSError as error:
            raise StateProblem(f"it cannot be read ({error.strerror})") from error
        state = State(self.instance) if text is None else states.load(text)
        if state.instance != self.instance:
            raise StateOfAnother(
                f"it is the state of instance {state.instance}, whose containers are not those of {self.instance}: "
                f"remove {self.folder} if it is a copy"
            )
        return state

    def save(self, state: State) -> None:
        """Write the state down. Raises OSError where the disk does not take it, and no diagnosis can make room."""
        self._write(STATE, states.dump(state))
        self._unsaved.forget()

    def save_or_remember(self, state: State) -> OSError | None:
        """The state written down, or remembered until the disk takes it: then what was wrong."""
        try:
            self.save(state)
        except OSError as error:
            self._unsaved.keep(states.dump(state))
            return error
        return None

    def is_unsaved(self) -> bool:
        """Whether the disk still has to be told what is remembered."""
        return self._unsaved.text() is not None

    def holds(self, state: State) -> bool:
        """Whether this is the state that a reader finds, however its writing ended."""
        try:
            return read_text(self.path(STATE)) == states.dump(state)
        except (OSError, ValueError):
            return False

    def _write(self, name: str, text: str) -> None:
        with_room(self.diagnoses, self.path(name), text)

    def sweep(self) -> None:
        """Remove what killed writers left in the instance's folder. Only for who holds the instance's lock."""
        sweep(self.folder)

    def try_writing(self) -> None:
        """Write a file as large as a state file, and remove it. Raises OSError."""
        probe = self.path("preflight.probe")
        try:
            self._write("preflight.probe", " " * 2**16)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(probe)

    def settings(self) -> list[Settings]:
        """Settings of the releases that the state knows; none where it cannot be read."""
        try:
            state = self.load()
        except StateProblem:
            return []
        known = (state.current, state.previous, state.held, state.resting)
        return [entry.settings for entry in known if entry is not None]

    def set_damaged_aside(self) -> str:
        """Keep a copy of a damaged state file under another name; the name.

        A copy, because a kill before the next save must not leave a host that seems to know nothing.
        """
        aside = self.path(DAMAGED)
        with contextlib.suppress(FileNotFoundError), open(self.path(STATE), "rb") as damaged:
            write_atomically(aside, damaged.read())
        return aside

    def save_request(self, request: Request) -> str:
        """Write a request down under a name of its own, so that two starters cannot mix theirs up; the name.

        In memory, where its unit lives too: a disk that is full keeps nobody from repairing what is down.
        """
        text = json.dumps(request, sort_keys=True)
        name = f"request-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        write_atomically(os.path.join(self._requests, name), text)
        return name

    def take_request(self, name: str) -> Request:
        """Read a request and remove its file. Raises FileNotFoundError."""
        path = os.path.join(self._requests, os.path.basename(name))
        with open(path, encoding="utf-8") as file:
            request: Request = documents.parse(file.read())
        os.remove(path)
        return request

    def append_stage(self, line: StageLine) -> None:
        self._stages.append(line)

    def keep_last_word(self, line: StageLine) -> None:
        """Remember how a transaction ended where the stage log does not take it: who follows is told all the same."""
        with contextlib.suppress(OSError):
            write_atomically(self._last_word, json.dumps(line))

    def take_last_word(self) -> StageLine | None:
        """What was remembered of the end, once."""
        try:
            with open(self._last_word, encoding="utf-8") as file:
                line: StageLine = json.load(file)
            os.remove(self._last_word)
        except (OSError, ValueError):
            return None
        return line

    def stages_size(self) -> int:
        """Where a follower of the stage log begins."""
        return self._stages.size()

    def stages_from(self, offset: int) -> tuple[list[StageLine], int]:
        """Lines of the stage log from an offset on, and the offset behind them."""
        return self._stages.read_from(offset)

    def last_stage(self) -> str:
        """The stage that the last transaction reached; '' where there was none."""
        lines, _offset = self.stages_from(0)
        return str(lines[-1]["stage"]) if lines else ""

    def keep_diagnosis(self, name: str, diagnosis: Json, log: str) -> str:
        """Keep a failed start's log and diagnosis; the folder. Raises OSError."""
        return self.diagnoses.keep(name, diagnosis, log)

    def remove(self) -> None:
        """Forget the instance; what was said and diagnosed stays."""
        self._unsaved.forget()
        for name in (STATE, DAMAGED, WATCH, TUNED):
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.path(name))


def instances(state_dir: str = STATE_DIR) -> list[str]:
    """Names of the instances that this host knows."""
    try:
        names = sorted(os.listdir(state_dir))
    except FileNotFoundError:
        return []
    return [name for name in names if os.path.exists(os.path.join(state_dir, name, STATE))]
