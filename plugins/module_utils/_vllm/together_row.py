# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A row of arguments that releases of vLLM refuse together.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .gates import NEWEST_KNOWN
from .schema import Version

Values = t.Mapping[str, t.Any]
Holds = t.Literal["stated", "unset", "true", "not true", "false", "one of", "none of", "above", "below", "splits not"]


class Term(t.NamedTuple):
    """What has to hold of the argument PATH, which may be a key of a document (`eplb_config.policy`).

    OTHER: a value, several, or the path of another argument. DEFAULT: what vLLM takes where PATH is not stated.
    """

    path: str
    holds: Holds
    other: t.Any = None
    default: t.Any = None


@dataclasses.dataclass(frozen=True)
class Together:
    """All TERMS hold, and such a release does not start. TEXT has values in it: `{tensor_parallel_size}`.

    INSTEAD: variables of the environment that vLLM takes in place of an argument; where one is set, nobody is refused.
    MENDED_ON_CPU: vLLM's platform for CPUs turns it off before anybody asks.
    """

    name: str
    terms: tuple[Term, ...]
    text: str
    source: str
    since: Version = (0, 10, 0)
    until: Version | None = None
    instead: tuple[str, ...] = ()
    mended_on_cpu: bool = False

    def open_at(self, version: Version) -> bool:
        read = self.since <= version <= NEWEST_KNOWN
        return read and (self.until is None or version < self.until)
