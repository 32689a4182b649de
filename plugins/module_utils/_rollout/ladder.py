# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rungs below a planned release: whole releases that the planner made, each for the failures that it helps.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .state import Entry, Json, State


@dataclass
class Ladder:
    """What is left to try in the place of `planned`: at most `limit` rungs of those in `rungs`, top first."""

    planned: Entry
    rungs: list[Json] = field(default_factory=list)
    limit: int = 0
    retry: bool = False

    @classmethod
    def of(cls, planned: Entry, request: Json) -> Ladder:
        rungs = list(request["plan"].get("rungs") or [])
        return cls(planned, rungs, int(planned.settings.get("rungs") or 0), bool(request.get("retry")))

    def next(self, failure_class: str, state: State) -> Entry | None:
        """The next rung that helps this class of failure and was not rejected; None where the held release is next.

        A rung that is the held release itself is reached by going back.
        """
        for rung in self.rungs if self.limit > 0 else []:
            entry = self._entry(rung)
            if failure_class not in rung["helps"] or (state.rejection_of(entry) is not None and not self.retry):
                continue
            if state.held is not None and entry.identity == state.held.identity:
                return None
            self.rungs = [left for left in self.rungs if left is not rung]
            self.limit -= 1
            return entry
        return None

    def _entry(self, rung: t.Mapping[str, t.Any]) -> Entry:
        return Entry(
            digest=rung["digest"],
            release=rung["release"],
            client=rung["client"],
            settings=self.planned.settings,
            image_id=self.planned.image_id,
            fallback_of=self.planned.digest,
            fallback=rung["changes"],
        )
