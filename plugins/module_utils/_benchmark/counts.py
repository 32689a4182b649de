# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine has counted since its start, before a run and after it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import asdict, dataclass, fields

from .._engine import metrics
from .._engine.http_client import Http, NoAnswer
from .._outside.documents import Json
from .._vllm.metric_names import SERIES, SPECULATION

WITHIN = 10.0


@dataclass(frozen=True)
class Counts:
    """Requests and tokens; None is what the engine does not count. `finished` are requests that ended, however.

    Where it speculates, `drafted` tokens were proposed, and `accepted` of them were right.
    """

    finished: float | None = None
    prefix_hits: float | None = None
    prefix_queries: float | None = None
    preemptions: float | None = None
    drafted: float | None = None
    accepted: float | None = None

    def since(self, before: Counts) -> Counts:
        """What was added."""
        pairs = ((getattr(self, one.name), getattr(before, one.name)) for one in fields(self))
        return Counts(*(None if now is None or then is None else now - then for now, then in pairs))

    @property
    def fell(self) -> bool:
        """Whether a difference of two is one of two engines: no counter goes back."""
        return any((getattr(self, one.name) or 0) < 0 for one in fields(self))

    @property
    def hits(self) -> float | None:
        """The share of tokens of prompts that were in the prefix cache; None where nobody looked there."""
        if self.prefix_hits is None or not self.prefix_queries:
            return None
        return self.prefix_hits / self.prefix_queries

    @property
    def acceptance(self) -> float | None:
        """The share of drafted tokens that were accepted; None where nothing was drafted."""
        return self.accepted / self.drafted if self.accepted is not None and self.drafted else None

    def as_dict(self) -> Json:
        return {**asdict(self), "hits": self.hits, "acceptance": self.acceptance}


def read(http: Http, url: str) -> Counts:
    """One reading, of all engines behind the page together. Raises NoAnswer."""
    known = {**SERIES, **SPECULATION}
    wanted = {name: known[name] for name in Counts.__dataclass_fields__}
    found = metrics.series(http, url, WITHIN, [series for names in wanted.values() for series in names])
    return Counts(**{name: _total(found, names) for name, names in wanted.items()})


def _total(found: t.Mapping[str, float], names: t.Sequence[str]) -> float | None:
    """By the newest name that the engine has: some releases show the same under two."""
    for name in names:
        values = [value for key, value in found.items() if key.partition("{")[0] == name]
        if values:
            total = sum(values)
            if not math.isfinite(total):
                raise NoAnswer(f"/metrics says {total} for {name}")
            return total
    return None
