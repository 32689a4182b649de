# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One end state of hosts, four ways to see to it: what is called for each, and how it says that nothing was due."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import shlex
import subprocess
import typing as t

from ansible_collections.gpufleet.vllm.tests.bench.trips.hosts import CHECKOUT, SHARED, Host, Json, inventory

SITE, PLAIN, PYINFRA, SCRIPT = "site", "plain", "pyinfra", "script"
WAYS = CHECKOUT / "tests" / "bench" / "trips" / "ways"
OPTIONS = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
# What site.yml leaves on a host, and Docker's settings: the other ways see to the same files.
FILES = (
    "/etc/docker/daemon.json",
    "/usr/local/lib/gpufleet/gpufleet-host",
    "/etc/systemd/system/gpufleet-recover.service",
    "/etc/systemd/system/gpufleet-watch.service",
    "/etc/systemd/system/gpufleet-watch.timer",
)
CONTAINER = "vllm-assistant"
# The last line of pyinfra's table: operations, and how many of them succeeded, failed, and had nothing to change.
NO_CHANGES = re.compile(r"Grand total\s+(\d+)\s+-\s+-\s+\1\s")


class Calls(t.NamedTuple):
    """Commands that run at the same time, and what each of them reads."""

    commands: list[list[str]]
    given: bytes = b""


@dataclasses.dataclass(frozen=True)
class Reached:
    """A host, and the port of 127.0.0.1 that leads to its sshd."""

    host: Host
    port: int


@dataclasses.dataclass(frozen=True)
class Ways:
    """`folder` takes inventories, `sources` has FILES below it, `pyinfra` is its program, '' where there is none."""

    folder: pathlib.Path
    key: pathlib.Path
    sources: pathlib.Path
    pyinfra: str = ""

    @property
    def names(self) -> list[str]:
        return [SITE, PLAIN, *([PYINFRA] if self.pyinfra else []), SCRIPT]

    def keep_sources(self, host: Host) -> None:
        for path in FILES:
            to = self.sources / path.lstrip("/")
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(host.read("cat", path))

    def calls(self, way: str, reached: t.Sequence[Reached]) -> Calls:
        if way == SITE:
            return self._ansible("site.yml", reached, {})
        if way == PLAIN:
            return self._ansible(str(WAYS / "plain.yml"), reached, self._of_the_container(reached[0].host))
        return self._pyinfra(reached) if way == PYINFRA else self._script(reached)

    def _ansible(self, playbook: str, reached: t.Sequence[Reached], told: Json) -> Calls:
        stated = {
            one.host.name: {
                "ansible_connection": "ssh",
                "ansible_host": "127.0.0.1",
                "ansible_port": one.port,
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(self.key),
                "ansible_ssh_common_args": shlex.join(OPTIONS),
            }
            for one in reached
        }
        path = self.folder / "hosts.json"
        path.write_text(json.dumps(inventory([one.host for one in reached], stated)))
        words = ["ansible-playbook", playbook, "-i", str(SHARED), "-i", str(path), "--forks", str(len(reached))]
        return Calls([[*words, "-e", json.dumps(told)]])

    def _of_the_container(self, host: Host) -> Json:
        """What vLLM was started with there."""
        config = json.loads(host.run("docker", "inspect", CONTAINER))[0]["Config"]
        environment = dict(one.split("=", 1) for one in config["Env"])
        return {"sources": str(self.sources), "arguments": config["Cmd"], "environment_of_vllm": environment}

    def _pyinfra(self, reached: t.Sequence[Reached]) -> Calls:
        stated = [
            (
                one.host.name,
                {
                    "ssh_hostname": "127.0.0.1",
                    "ssh_port": one.port,
                    "ssh_user": "root",
                    "ssh_key": str(self.key),
                    "ssh_strict_host_key_checking": "no",
                    "ssh_known_hosts_file": "/dev/null",
                    "image": one.host.image,
                    "sources": str(self.sources),
                },
            )
            for one in reached
        ]
        path = self.folder / "inventory.py"
        path.write_text(f"hosts = {stated!r}\n")
        return Calls([[self.pyinfra, "-y", str(path), str(WAYS / "deploy.py")]])

    def _script(self, reached: t.Sequence[Reached]) -> Calls:
        """Images of hosts differ, so that each is told its own in front of the script."""
        below = [path.lstrip("/") for path in FILES]
        hashed = subprocess.run(["sha256sum", *below], cwd=self.sources, capture_output=True, text=True, check=True)
        sums = shlex.quote(hashed.stdout.replace("  ", "  /"))
        words = ["ssh", *OPTIONS, "-i", str(self.key)]
        return Calls(
            [
                [*words, "-p", str(one.port), "root@127.0.0.1", f"IMAGE={one.host.image} SUMS={sums} sh -s"]
                for one in reached
            ],
            (WAYS / "look.sh").read_bytes(),
        )


def unchanged(way: str, said: str, hosts: int) -> bool:
    """Whether a run says of all its hosts that it changed nothing. The script changes nothing by itself."""
    if way in (SITE, PLAIN):
        return said.count(" changed=0 ") == hosts
    return way == SCRIPT or NO_CHANGES.search(said) is not None
