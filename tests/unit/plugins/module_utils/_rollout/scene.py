# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One scripted host with one instance, and what a test does with them."""

from __future__ import annotations

import json
import pathlib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.gpufleet.vllm.plugins.module_utils._door.entrance import Entrance
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.instances import Door
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.host import Host
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.journal import Journal
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.recover import recover
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.transaction import Transaction
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.api_keys import ApiKeys
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import (
    Engine,
    FakeClock,
    FakeDocker,
    FakeHttp,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.killing import KillableStore, Killer
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME, Json, plan


class FakeEntrance(Entrance):
    """Remembers what it was told, and at which stage."""

    def __init__(self, stage: t.Callable[[], str], amiss: str = "") -> None:
        super().__init__()
        self.stage, self.amiss = stage, amiss
        self.told: list[tuple[str, str]] = []
        self.seconds = 0.0

    def close(self, instance: str, bind: str, port: int, seconds: float = 0) -> str:
        self.seconds = seconds
        self.told.append((f"close {instance} {bind} {port}", self.stage()))
        return self.amiss

    def open(self, instance: str) -> str:
        self.told.append((f"open {instance}", self.stage()))
        return self.amiss

    def closed(self) -> list[str]:
        last = {word.split()[1]: word.split()[0] for word, _stage in self.told}
        return [instance for instance, word in last.items() if word == "close"]


@dataclass
class Scene:
    """One host, one instance, and what a test does with them."""

    folder: pathlib.Path
    killer: Killer = field(default_factory=Killer)
    clock: FakeClock = field(default_factory=FakeClock)
    ports: set[int] = field(default_factory=set)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.docker = FakeDocker(self.clock, self.killer)
        self.keys = ApiKeys(str(self.folder / "state"))
        self.host = Host(
            self.docker,
            FakeHttp(self.docker),
            self.clock,
            lambda: self.ports,
            owner="unit-1",
            open_nvml=lambda: None,
            keys=self.keys,
            door=Door(str(self.folder / "no-door.json")),
            entrance=FakeEntrance(lambda: (self.stages() or [""])[-1]),
        )
        (self.folder / "run").mkdir(parents=True, exist_ok=True)  # as every host has it
        self.run_dir = str(self.folder / "run" / "gpufleet")
        self.store: Store = KillableStore(NAME, str(self.folder / "state"), self.run_dir, self.killer)
        self.client_dir = str(self.folder / "clients")

    def engine(self, max_model_len: int, behaviour: Engine) -> None:
        """How the engine of the release with this length behaves."""
        self.docker.engines[plan(max_model_len)["digest"]] = behaviour

    def journal(self) -> Journal:
        return Journal(self.store, self.clock, self.said.append)

    def request(self, request: t.Any) -> str:
        transaction = Transaction(self.host, self.store, self.journal(), self.client_dir)
        return transaction.run(request)

    def roll_out(
        self, max_model_len: int, *, retry: bool = False, steps: t.Sequence[t.Any] = (), **changes: t.Any
    ) -> str:
        wanted = {**plan(max_model_len, **changes), "fallbacks": list(steps)}
        return self.request({"kind": "rollout", "plan": wanted, "retry": retry})

    def ask(self, kind: str, max_model_len: int = 1024, **changes: t.Any) -> str:
        return self.request({"kind": kind, "plan": plan(max_model_len, **changes)})

    def recover(self, service_result: str | None = None) -> str:
        return recover(self.host, self.store, self.journal(), service_result, self.client_dir)

    def last(self) -> t.Any:
        """The last line of the stage log."""
        lines, _offset = self.store.stages_from(0)
        return lines[-1]

    def stages(self) -> list[str]:
        """The stages in the order in which they were reached, each once in a row."""
        lines, _offset = self.store.stages_from(0)
        names = [line["stage"] for line in lines]
        return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]

    def client_file(self) -> Json | None:
        path = pathlib.Path(self.client_dir, NAME, "client.json")
        return json.loads(path.read_text()) if path.exists() else None

    def serves(self) -> int:
        """max_model_len of the release that answers now, 0 where nothing does."""
        container = self.docker.serving()
        if container is None:
            return 0
        document: Json = json.loads(container["Config"]["Labels"]["io.gpufleet.release"])
        return int(document["arguments"]["max_model_len"])

    def assert_settled(self) -> None:
        """Nothing is half done: one verified release that serves, or nothing at all."""
        state = self.store.load()
        assert (state.candidate, state.held, state.owner, state.failed) == (None, None, "", "")
        current = state.current
        if current is None:
            assert self.docker.of_instance() == []
            assert self.client_file() is None
            return
        serving = self.docker.named(f"vllm-{NAME}")
        assert serving is not None and serving["State"]["Running"]
        assert serving["Id"] == current.container_id
        assert serving["Config"]["Labels"]["io.gpufleet.digest"] == current.digest
        assert serving["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
        assert self.serves() == current.verified["max_model_len"]
        others = [found for found in self.docker.of_instance() if found["Id"] != serving["Id"]]
        assert [found["State"]["Running"] for found in others] == [False] * len(others)
        assert {found["HostConfig"]["RestartPolicy"]["Name"] for found in others} <= {"no"}
        assert [found["Id"] for found in others] in ([], [state.previous.container_id if state.previous else ""])
        written = self.client_file()
        assert written is not None and written["max_model_len"] == current.verified["max_model_len"]
        assert written["sampling"] == current.client["sampling"]
        assert state.rejection_of(current) is None
