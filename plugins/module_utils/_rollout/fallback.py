# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps below a planned release: whole releases that the planner made, each for the failures that it helps.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .._state.request import Request, Step
from .._state.state import Entry, State


@dataclass
class Fallback:
    """What is left to try in the place of `planned`: at most `limit` steps of those in `steps`, top first."""

    planned: Entry
    steps: list[Step] = field(default_factory=list)
    limit: int = 0
    retry: bool = False

    @classmethod
    def of(cls, planned: Entry, request: Request) -> Fallback:
        steps = list(request["plan"].get("fallbacks") or [])
        return cls(planned, steps, int(planned.settings.get("fallback_steps") or 0), bool(request.get("retry")))

    def next(self, failure_class: str, state: State) -> Entry | None:
        """The next step that helps this class of failure and was not rejected; None where the held release is next.

        A step that is the held release itself is reached by going back.
        """
        for step in self.steps if self.limit > 0 else []:
            entry = self._entry(step)
            if failure_class not in step["helps"] or (state.rejection_of(entry) is not None and not self.retry):
                continue
            if state.held is not None and entry.identity == state.held.identity:
                return None
            self.steps = [left for left in self.steps if left is not step]
            self.limit -= 1
            return entry
        return None

    def _entry(self, step: Step) -> Entry:
        return Entry(
            digest=step["digest"],
            release=step["release"],
            client=step["client"],
            settings=self.planned.settings,
            image_id=self.planned.image_id,
            fallback_of=self.planned.digest,
            fallback=step["changes"],
        )
