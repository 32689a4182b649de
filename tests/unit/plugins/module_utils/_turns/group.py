# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One scripted host with three members of an exclusive group, and what a test does with them."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.journal import Journal
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.recover import recover
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.transaction import Transaction
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import State
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.plugins.module_utils._turns.members import Members
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout import releases
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.killing import KillableStore, Killer
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

Json = dict[str, t.Any]
# By name, each with its port.
PORTS = {"architect": 8000, "coder": 8001, "reviewer": 8002}
NAMES = tuple(PORTS)


def plan(name: str, max_model_len: int = 1024, **changes: t.Any) -> t.Any:
    """The plan of a member."""
    container = {**releases.release()["container"], "name": f"vllm-{name}"}
    own: Json = {"instance": name, "port": PORTS[name], "served_model_names": [name], "container": container}
    made = releases.plan(max_model_len, **own, **changes)
    made["client"] |= {"instance": name, "base_url": f"http://127.0.0.1:{PORTS[name]}/v1", "served_model_names": [name]}
    return made


class GroupMembers(Members):
    """Their states are written where a test can kill the writer."""

    killer: Killer

    def _store(self, name: str) -> Store:
        super()._store(name)
        return KillableStore(name, self.state_dir, self.run_dir, self.killer)


class Group:
    """The host, and a store for each member. `busy` are members with a transaction of their own under way."""

    def __init__(self, folder: pathlib.Path, killer: Killer | None = None) -> None:
        self.scene = Scene(folder, killer or Killer())
        scene, self.busy = self.scene, set[str]()
        members = GroupMembers(scene.store.state_dir, scene.run_dir, scene.client_dir, lambda name: name in self.busy)
        members.killer = scene.killer
        scene.host.others = members

    def store(self, name: str) -> Store:
        return KillableStore(name, self.scene.store.state_dir, self.scene.run_dir, self.scene.killer)

    def state(self, name: str) -> State:
        return self.store(name).load()

    def journal(self, name: str) -> Journal:
        return Journal(self.store(name), self.scene.clock, self.scene.said.append)

    def ask(self, name: str, request: Json, said: str = "architect") -> str:
        others = [other for other in NAMES if other != name]
        asked: t.Any = {"turns": {"others": others, "said": said}, **request}
        return Transaction(self.scene.host, self.store(name), self.journal(name), self.scene.client_dir).run(asked)

    def roll_out(self, name: str, max_model_len: int = 1024, **changes: t.Any) -> str:
        return self.ask(name, {"kind": "rollout", "plan": plan(name, max_model_len, **changes)})

    def switch(self, name: str, **more: t.Any) -> str:
        return self.ask(name, {"kind": "turn", **more})

    def recover(self, name: str) -> str:
        scene = self.scene
        return recover(scene.host, self.store(name), self.journal(name), "signal", scene.client_dir)

    def all_verified(self) -> Group:
        """Each had its turn, the first of them again at last."""
        for name in reversed(NAMES):
            assert self.roll_out(name) == "verified"
        return self

    def told(self, name: str) -> str:
        lines, _offset = self.store(name).stages_from(0)
        return str(lines[-1]["detail"])

    def stages(self, name: str) -> list[str]:
        lines, _offset = self.store(name).stages_from(0)
        names = [line["stage"] for line in lines]
        return [stage for at, stage in enumerate(names) if at == 0 or names[at - 1] != stage]

    def running(self) -> list[str]:
        return sorted(one["Name"][1:] for one in self.scene.docker.of_instance() if one["State"]["Running"])

    def assert_one_serves(self, name: str) -> None:
        """It alone, under its name and restarted by Docker; all others are kept and would be started by nobody."""
        assert self.running() == [f"vllm-{name}"]
        assert self.scene.docker.serving(PORTS[name]) is not None
        for one in NAMES:
            state = self.state(one)
            assert (state.candidate, state.held, state.instead_of, state.failed) == (None, None, (), "")
            serves = one == name
            assert (state.current is not None, state.resting is None) == (serves, serves or state.resting is None)
            if serves:
                assert state.current is not None
            entry = state.current or state.resting
            if entry is None:
                continue
            found = self.scene.docker.container(entry.container_id)
            assert found is not None
            assert found["HostConfig"]["RestartPolicy"]["Name"] == ("unless-stopped" if serves else "no")
            assert found["Name"] == f"/vllm-{one}" + ("" if serves else "-resting")
            client = json.loads(pathlib.Path(self.scene.client_dir, one, "client.json").read_text())
            assert client["served_model_names"] == [one]
