# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of one instance under the state folder: state.json, stages.jsonl, requests, diagnosis/.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil

from . import state as states
from .stage_log import StageLog
from .state import Json, State, StateProblem

STATE_DIR = "/var/lib/gpufleet"
DIAGNOSES_KEPT = 5


def write_atomically(path: str, text: str, mode: int = 0o600) -> None:
    """Write, sync and rename: a reader sees the old text or the new one, also after a crash."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


class Store:
    """The files of one instance."""

    def __init__(self, instance: str, state_dir: str = STATE_DIR) -> None:
        self.instance, self.state_dir = instance, state_dir
        self.folder = os.path.join(state_dir, instance)
        self._stages = StageLog(self.path("stages.jsonl"))

    def path(self, *names: str) -> str:
        return os.path.join(self.folder, *names)

    def load(self) -> State:
        """The state; an empty one where no file is. Raises StateProblem."""
        try:
            text = read_text(self.path("state.json"))
        except UnicodeDecodeError as error:
            raise StateProblem(f"it is not text ({error})") from error
        except OSError as error:
            raise StateProblem(f"it cannot be read ({error.strerror})") from error
        return State(self.instance) if text is None else states.load(text)

    def save(self, state: State) -> None:
        write_atomically(self.path("state.json"), states.dump(state))

    def try_writing(self) -> None:
        """Write a file as large as a state file, and remove it. Raises OSError."""
        path = self.path("preflight.probe")
        try:
            write_atomically(path, " " * 2**16)
        finally:
            for name in (path, f"{path}.new"):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(name)

    def settings(self) -> list[Json]:
        """Settings of the releases that the state knows; none where it cannot be read."""
        try:
            state = self.load()
        except StateProblem:
            return []
        return [entry.settings for entry in (state.current, state.previous, state.held) if entry is not None]

    def set_damaged_aside(self) -> str:
        """Keep a copy of a damaged state file under another name; the name.

        A copy, because a kill before the next save must not leave a host that seems to know nothing.
        """
        aside = self.path("state.json.damaged")
        if os.path.exists(self.path("state.json")):
            shutil.copyfile(self.path("state.json"), aside)
        return aside

    def save_request(self, request: Json) -> str:
        """Write a request down under a name of its own, so that two starters cannot mix theirs up; the name."""
        text = json.dumps(request, sort_keys=True)
        name = f"request-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        write_atomically(self.path(name), text)
        return name

    def take_request(self, name: str) -> Json:
        """Read a request and remove its file. Raises FileNotFoundError."""
        path = self.path(os.path.basename(name))
        with open(path, encoding="utf-8") as file:
            request: Json = json.load(file)
        os.remove(path)
        return request

    def append_stage(self, line: Json) -> None:
        self._stages.append(line)

    def stages_size(self) -> int:
        """Where a follower of the stage log begins."""
        return self._stages.size()

    def stages_from(self, offset: int) -> tuple[list[Json], int]:
        """Lines of the stage log from an offset on, and the offset behind them."""
        return self._stages.read_from(offset)

    def last_stage(self) -> str:
        """The stage that the last transaction reached; '' where there was none."""
        lines, _offset = self.stages_from(0)
        return str(lines[-1]["stage"]) if lines else ""

    def keep_diagnosis(self, name: str, diagnosis: Json, log: str) -> str:
        """Keep a failed start's log and diagnosis, the newest few of them; the folder."""
        folder = self.path("diagnosis", name)
        write_atomically(os.path.join(folder, "diagnosis.json"), json.dumps(diagnosis, indent=1, sort_keys=True))
        write_atomically(os.path.join(folder, "engine.log"), log)
        for old in sorted(os.listdir(self.path("diagnosis")))[:-DIAGNOSES_KEPT]:
            shutil.rmtree(self.path("diagnosis", old))
        return folder

    def remove(self) -> None:
        """Forget the instance; what was said and diagnosed stays."""
        for name in ("state.json", "state.json.damaged", "watch.json"):
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.path(name))


def instances(state_dir: str = STATE_DIR) -> list[str]:
    """Names of the instances that this host knows."""
    try:
        names = sorted(os.listdir(state_dir))
    except FileNotFoundError:
        return []
    return [name for name in names if os.path.exists(os.path.join(state_dir, name, "state.json"))]
