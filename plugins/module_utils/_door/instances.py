# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's instances behind the door of the same host: drained before one stops, taken back once it is proved.

The role vllm_gateway writes which server of the door an instance is. A host without that file has no door, and a door
that does not answer keeps no rollout: what it has in flight is lost then, as it would be without one.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.documents import misfit, parse
from .runtime import DoorError, Runtime

PATH = "/etc/gpufleet/gateway/instances.json"
LARGEST = 1024 * 1024
# Instances by name, each with the servers that it is: backend and server.
SHAPE = [[str]]


class Door:
    """The door of this host, if it has one."""

    def __init__(self, path: str = PATH, runtime: Runtime | None = None) -> None:
        self.path, self.runtime = path, runtime or Runtime()

    def knows(self, instance: str) -> bool:
        """Whether requests come to the instance through it."""
        return bool(self._of(instance))

    def drain(self, instance: str) -> str:
        """Nothing new goes to the instance from here on; what could not be told the door, or ''."""
        return self._each(instance, lambda backend, server: self.runtime.set_state(backend, server, "drain"))

    def ready(self, instance: str, proved: bool = False) -> str:
        """It gets requests again, at once where it has just PROVED itself, else when the door's own check passes.

        One that an operator has put into maintenance stays there.
        """
        try:
            kept = (
                {(one.backend, one.server): one.state for one in self.runtime.servers()} if self._of(instance) else {}
            )
        except DoorError as error:
            return str(error)

        def back(backend: str, server: str) -> None:
            if kept.get((backend, server)) == "drain":
                self.runtime.set_state(backend, server, "ready")
            if proved:
                self.runtime.believe(backend, server)

        return self._each(instance, back)

    def drains(self, instance: str) -> bool:
        """Whether nothing new goes to it, because it was asked for. A door that does not answer drains nothing."""
        of = self._of(instance)
        try:
            return bool(of) and any(
                one.state == "drain" and (one.backend, one.server) in of for one in self.runtime.servers()
            )
        except DoorError:
            return False

    def _each(self, instance: str, act: t.Callable[[str, str], None]) -> str:
        wrong = []
        for backend, server in self._of(instance):
            try:
                act(backend, server)
            except DoorError as error:
                wrong.append(str(error))
        return "; ".join(dict.fromkeys(wrong))

    def _of(self, instance: str) -> list[tuple[str, str]]:
        try:
            with open(self.path, encoding="utf-8") as file:
                known = parse(file.read(LARGEST))
        except (OSError, ValueError):
            return []
        servers = known.get(instance) if isinstance(known, dict) else None
        if servers is None or misfit(servers, SHAPE, "servers"):
            return []
        return [(one[0], one[1]) for one in servers if len(one) == 2]
