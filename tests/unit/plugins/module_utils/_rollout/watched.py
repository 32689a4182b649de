# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted host with the watch on it."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.recover import BY_WATCH
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import units
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.request import Request
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch import Watch
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import Records
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.killing import Killed
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME, Json
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLD, NEW = 1024, 2048
WATCH: Json = {"interval": 10, "deadline": 5, "failure_threshold": 2, "restarts": 2, "rollback_window": 3000}
WEDGED = Engine(no_tokens_after=100)


class Watched(Scene):
    """A host with the watch on it, whose requests are carried out at once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.lines: list[str] = []
        self.asked: list[str] = []
        self.outcomes: list[str] = []
        self.locked = False
        self.records = Records(self.store, self.run_dir)
        self.watch = Watch(
            self.host,
            self.lines.append,
            self._start,
            self._roll_back,
            str(self.folder / "state"),
            self.run_dir,
        )

    def _start(self, _store: Store, request: Request) -> None:
        self._unit(request["kind"], lambda: self.request(request))

    def _roll_back(self, _store: Store) -> None:
        self._unit("recover", lambda: self.recover(BY_WATCH))

    def _unit(self, kind: str, act: t.Callable[[], str]) -> None:
        """A unit of its own: when it is killed, the watch lives on."""
        if self.locked:
            raise units.UnitProblem("another rollout is running")
        self.asked.append(kind)
        try:
            self.outcomes.append(act())
        except Killed:
            self.outcomes.append("killed")

    def serve(self, length: int, **watch: t.Any) -> None:
        assert (
            self.roll_out(
                length, settings={"smoke": {"deadline": 5}, "timeouts": {"hold": 1}, "watch": {**WATCH, **watch}}
            )
            == "verified"
        )

    def after(self, seconds: float, rounds: int = 1) -> list[str]:
        """Rounds of the watch, each this long after the one before; what was asked for."""
        already = len(self.asked)
        for _round in range(rounds):
            self.clock.sleep(seconds)
            self.watch.round()
        return self.asked[already:]

    def container(self) -> Json:
        found = self.docker.named(f"vllm-{NAME}")
        assert found is not None
        return found

    def dies(self, times: int = 1) -> None:
        """Docker restarts the engine."""
        self.container()["RestartCount"] += times

    def kept(self) -> list[Json]:
        folders = sorted(pathlib.Path(self.store.path("diagnosis")).glob("*-watch"))
        return [json.loads((folder / "diagnosis.json").read_text()) for folder in folders]
