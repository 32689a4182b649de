# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every effect on the host is a point at which a test can kill the transaction, right before it or right after it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import live, steps, transaction, written
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.client_file import remove, write
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import State
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store


class Killed(BaseException):
    """kill -9: nothing in the program catches it."""


class Killer:
    """Counts the points at which the transaction can be killed, and kills it at one of them."""

    def __init__(self) -> None:
        self.at = 0
        self.points: list[str] = []

    def point(self, name: str) -> None:
        self.points.append(name)
        if len(self.points) == self.at:
            raise Killed(name)

    def arm(self, at: int) -> None:
        """Count anew, and kill at this point (from 1; 0 for never)."""
        self.at, self.points = at, []


class KillableStore(Store):
    """Its state writes are points at which a transaction can be killed."""

    def __init__(self, instance: str, state_dir: str, run_dir: str, killer: Killer) -> None:
        super().__init__(instance, state_dir, run_dir)
        self.killer = killer

    def save(self, state: State) -> None:
        self.killer.point("before save")
        super().save(state)
        self.killer.point("after save")


def make_client_writes_points(monkeypatch: pytest.MonkeyPatch, killer: Killer) -> None:
    """The client file has no port: its writes and removals become points by name."""

    def killable(name: str, real: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def effect(*args: t.Any) -> t.Any:
            killer.point(f"before {name}")
            answer = real(*args)
            killer.point(f"after {name}")
            return answer

        return effect

    for module in (steps, live, written):
        monkeypatch.setattr(module, "write", killable("client write", write))
    for module in (transaction, written):
        monkeypatch.setattr(module, "remove", killable("client remove", remove))
