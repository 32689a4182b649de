# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to give a server another argument: ours, and what people use. Each restarts the same engine."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.gpufleet.vllm.tests.faults.host import CONTAINER, Host
from ansible_collections.gpufleet.vllm.tests.faults.matrix import SITE
from ansible_collections.gpufleet.vllm.tests.faults.play import Play
from ansible_collections.gpufleet.vllm.tests.faults.wanted import ASSISTANT, merged, never_seen, wanted

Json = dict[str, t.Any]
COMPOSE = "/run/bench-compose.json"
NAME = "bench"


def sequences(count: int) -> Json:
    return merged(ASSISTANT, {"engine_args": {"max_num_seqs": count}})


class Bare:
    """The container of the verified release, made again by hand. `max_num_seqs` tells one from the next."""

    def __init__(self, host: Host) -> None:
        found = host.containers()[CONTAINER]
        self.host, self.image = host, str(found["Image"])
        self.command: list[str] = found["Config"]["Cmd"]
        self.env: list[str] = [pair for pair in found["Config"]["Env"] if pair.startswith("VLLM_")]
        self.binds: list[str] = found["HostConfig"]["Binds"]
        self.shm = int(found["HostConfig"]["ShmSize"])

    def _command(self, count: int) -> list[str]:
        at = self.command.index("--max-num-seqs")
        return [*self.command[: at + 1], str(count), *self.command[at + 2 :]]

    def docker(self, verb: str, name: str, count: int) -> None:
        """`docker run --detach` or `docker create`."""
        options = [f"--name={name}", "--publish=127.0.0.1:8000:8000", f"--shm-size={self.shm}"]
        options += [f"--env={pair}" for pair in self.env] + [f"--volume={bind}" for bind in self.binds]
        detach = ["--detach"] if verb == "run" else []
        self.host.run("docker", verb, *detach, *options, self.image, *self._command(count))

    def compose_up(self, count: int) -> None:
        service = {
            "container_name": NAME,
            "image": self.image,
            "command": self._command(count),
            "environment": self.env,
            "volumes": self.binds,
            "ports": ["127.0.0.1:8000:8000"],
            "shm_size": self.shm,
        }
        self.host.run("tee", COMPOSE, given=json.dumps({"name": NAME, "services": {NAME: service}}))
        self.host.run("docker-compose", "--file", COMPOSE, "up", "--detach")

    def remove(self, *names: str) -> None:
        self.host.run("docker", "rm", "--force", *names)


def ours(host: Host, _bare: Bare) -> None:
    """`ansible-playbook site.yml`: everything it does, from the plan to the proof."""
    play = Play(SITE, [host.name], wanted(never_seen(sequences(8)))).wait()
    assert play.code == 0, f"see {play.log}"


def stop_and_start(host: Host, _bare: Bare) -> None:
    """`docker stop` and `docker start` of one that was made before: nothing can be shorter."""
    host.run("docker", "stop", NAME)
    host.run("docker", "start", f"{NAME}-next")


def remove_and_run(_host: Host, bare: Bare) -> None:
    bare.remove(NAME)
    bare.docker("run", NAME, 8)


def compose(_host: Host, bare: Bare) -> None:
    bare.compose_up(8)


def _bare_before(bare: Bare) -> None:
    bare.docker("run", NAME, 4)
    bare.docker("create", f"{NAME}-next", 8)


def _compose_before(bare: Bare) -> None:
    bare.compose_up(4)


# What is measured, and what has to serve before it.
BARE: dict[str, tuple[t.Callable[[Bare], None], t.Callable[[Host, Bare], None]]] = {
    "docker_stop_start": (_bare_before, stop_and_start),
    "docker_rm_run": (_bare_before, remove_and_run),
    "docker_compose_up": (_compose_before, compose),
}
