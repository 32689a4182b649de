# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances that serve, taken out of service for work on their host: drained, running on, and nothing new comes in.

Nothing of it is remembered: what it takes to let requests in again is to open what is shut, which a start of the host,
the end of any rollout, and time do as well (`_door/entrance.py`).

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._docker.client import DockerError
from .._rollout.drain import ended, has_way_in, in_words, keep_out, let_in_at_last
from .._rollout.host import Host
from .._state import units
from .._state.deadlines import timeout
from .._state.state import Entry, StateProblem
from .._state.store import Store


@dataclass
class Drained:
    """One instance. `in_flight` is what it has still, None where it does not say."""

    instance: str
    in_flight: int | None = 0
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def said(self) -> str:
        left = "" if self.in_flight == 0 else f", with {in_words(self.in_flight)} in flight after its limit"
        return "; ".join([f"{self.instance} gets no new request{left}", *self.notes])


def is_out(host: Host, instance: str) -> bool:
    """Whether anything keeps new requests from it."""
    return host.door.drains(instance) or instance in host.entrance.closed()


def can_be_shut(host: Host, entries: t.Sequence[Entry]) -> bool:
    """Whether there is a way in to any of them that is open."""
    return any(has_way_in(host, entry) and not is_out(host, str(entry.release["instance"])) for entry in entries)


def serving(host: Host, stores: t.Sequence[Store], wrong: list[str]) -> list[Entry]:
    """The verified releases that run, and to `wrong` each instance of which that cannot be told, or that is at work."""
    found = []
    for store in stores:
        if units.running(store.instance):
            wrong.append(f"a rollout of {store.instance} is running ({units.unit_name(store.instance)}): wait for it")
            continue
        try:
            entry = store.load().current
            container = host.docker.container(entry.container_id) if entry and entry.container_id else None
        except (StateProblem, DockerError) as problem:
            wrong.append(f"{store.instance}: {problem}")
            continue
        if entry is not None and container is not None and container["State"]["Running"]:
            found.append(entry)
    return found


def take_out(host: Host, entries: t.Sequence[Entry]) -> list[Drained]:
    """Nothing new comes to any of them, and each has ended what it had, or its limit is over."""
    taken = [Drained(str(entry.release["instance"])) for entry in entries]
    for one, entry in zip(taken, entries):
        if not keep_out(host, one, entry):
            one.note("it listens on the loopback alone, and no door of this host knows it: who asks it there still can")
    for one, entry in zip(taken, entries):
        one.in_flight = ended(host, entry, timeout(entry, "drain"))
    return taken


def let_in(host: Host, instances: t.Sequence[str]) -> list[str]:
    """Requests come again as the doors' own checks see fit; what is still refused."""
    told = [(instance, let_in_at_last(host, instance)) for instance in instances]
    return [f"{instance}: connections are still refused: {amiss}" for instance, amiss in told if amiss]
