# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of a transaction, told as they are reached: one line each, with instance, stage and elapsed seconds.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import sys
import typing as t

from .._outside.concealing import concealed, concealed_log
from .._outside.printable import printable
from .._state.request import Ending, StageLine
from .._state.store import Store
from .host import Clock
from .stages import Stage

HEARTBEAT = 30.0

# What ends a transaction. `fallback`: a step of its fallback serves. `rested`: it is stopped and kept. `refused`:
# nothing was touched. `rolled_back`: what served before serves again. `stopped`: nothing serves, as was asked for.
# `failed`: nothing is sure to serve.
OUTCOMES = (
    *("verified", "fallback", "repaired", "live", "removed", "rested"),
    *("refused", "rolled_back", "stopped", "failed"),
)
GOOD_OUTCOMES = ("verified", "fallback", "repaired", "live", "removed", "rested")


def spoken(line: str) -> None:
    """A line for a console or the unit's own journal."""
    sys.stdout.write(f"{concealed_log(printable(line))}\n")
    sys.stdout.flush()


class Journal:
    """Writes to the instance's stage log, which the action plugin follows, and to the unit's own output."""

    def __init__(self, store: Store, clock: Clock, say: t.Callable[[str], None] = spoken) -> None:
        self._store = store
        self._clock = clock
        self._say = say
        self._began = clock.monotonic()
        self._spoke = self._began
        # A word, not a Stage: a recovery goes on from the log of a transaction that another version may have written.
        self.stage_name = ""

    @property
    def instance(self) -> str:
        return self._store.instance

    @property
    def elapsed(self) -> float:
        """Seconds since the transaction began."""
        return self._clock.monotonic() - self._began

    def stage(self, stage: Stage, detail: str = "") -> None:
        """A stage is reached."""
        self.stage_name = stage.word
        self._write({"detail": detail})

    def note(self, detail: str) -> None:
        """Something worth a line within the stage."""
        self._write({"detail": detail})

    def heartbeat(self, detail: str) -> None:
        """A line when nothing was said for a while."""
        if self._clock.monotonic() - self._spoke >= HEARTBEAT:
            self.note(detail)

    def end(self, outcome: str, message: str, **facts: t.Any) -> None:
        """The last line; `message` is the paragraph for the operator."""
        self._write({"detail": message, "outcome": outcome, "facts": t.cast(Ending, facts)})

    def _write(self, what: StageLine) -> None:
        self._spoke = self._clock.monotonic()
        what["detail"] = concealed_log(printable(what["detail"]))  # it may quote an engine's log
        line: StageLine = {
            "at": self._clock.utc(),
            "elapsed": round(self.elapsed, 1),
            "instance": self._store.instance,
            "stage": self.stage_name,
            **t.cast(StageLine, concealed(what)),
        }
        try:
            self._store.append_stage(line)
            if "outcome" in line:
                self._store.take_last_word()  # one that was remembered before is not the last any more
        except OSError as error:  # a full disk must not keep the rollback from being gone
            self._aloud(f"the stage log cannot be written: {error}")
            if "outcome" in line:
                self._store.keep_last_word(line)
        self._aloud(f"{line['instance']}  {line['elapsed']:6.1f} s  {line['stage']}  {line['detail']}".rstrip())

    def _aloud(self, line: str) -> None:
        """A journal that went away, as with its own disk, takes nothing with it."""
        with contextlib.suppress(OSError):
            self._say(line)
