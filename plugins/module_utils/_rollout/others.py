# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other members of an exclusive group as the transaction of one of them sees them; `_turns` has those of a host.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._state.state import Entry, State

if t.TYPE_CHECKING:
    from .host import Host
    from .journal import Journal


class Others:
    """A host whose instances know nothing of each other."""

    def serving(self, host: Host, names: t.Sequence[str]) -> list[str]:
        """Those that have the turn. Raises Refused where one is being changed, or cannot be known."""
        return []

    def rest(self, host: Host, journal: Journal, name: str, why: str) -> None:
        """Stop what serves and keep it. Raises Failed, and StateProblem where it cannot be known."""

    def put_back(self, host: Host, journal: Journal, name: str) -> Entry | None:
        """Have what rests serve and prove itself; the release. Raises Failed, DockerError, StateProblem."""

    def give_up(self, name: str, why: str) -> None:
        """It has the turn, and is not sure to serve."""

    def awaited(self, state: State) -> bool:
        """Whether a member that was cut off has to put this one back: then it is not to be touched."""
        return False
