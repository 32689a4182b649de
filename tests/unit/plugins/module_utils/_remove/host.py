# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host below a folder, with a Docker, a systemd and tables of the kernel that say what was done to them."""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.container import LABEL_INSTANCE
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.entrance import Entrance
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files
from ansible_collections.gpufleet.vllm.plugins.module_utils._remove.host import Asked, Ports
from ansible_collections.gpufleet.vllm.plugins.module_utils._remove.looking import Found, look
from ansible_collections.gpufleet.vllm.plugins.module_utils._remove.removing import remove
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Entry, State
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._door.test_entrance import Tables
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._prune.test_images import Host as Images
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._runtime.test_applying import Host as Daemon

Json = dict[str, t.Any]


class Docker(Images):
    """Images and rows as those of the tests of _prune, and a daemon with settings as that of those of _runtime."""

    def __init__(self, root: pathlib.Path) -> None:
        super().__init__()
        self.daemon = Daemon(root)
        self.configs: dict[str, Json] = {}
        self.away = False

    def all_containers(self) -> list[Json]:
        if self.away:
            raise DockerError(0, "the Docker daemon does not answer")
        return self.rows

    def get(self, path: str) -> t.Any:
        if path.startswith("/containers/json"):
            return [row for row in self.rows if row.get("State") == "running"]
        if path.startswith("/containers/"):
            return {"SizeRw": 7}
        return self.daemon.get(path)

    def container(self, name: str) -> Json | None:
        row = next((row for row in self.rows if row["Id"] == name), None)
        labels = (row or {}).get("Labels") or {}
        config = {"Image": "sha256:x", "Config": {"Labels": labels}, "HostConfig": self.configs.get(name, {})}
        return None if row is None else {"Id": name, "Name": row["Names"][0], **config}

    def reloaded_since(self, since: float) -> bool:
        return self.daemon.reloaded_since(since)


class Host:
    def __init__(self, root: pathlib.Path) -> None:
        self.root, self.docker, self.tables, self.said = root, Docker(root), Tables(), ""
        docker: t.Any = self.docker
        self.ports = Ports(docker, self.run, Entrance(self.tables.run), Files(str(root)), str(root))

    def run(self, command: list[str], stdin: str = "") -> tuple[int, str]:
        code, told = self.docker.daemon.run(command, stdin)
        return (1, self.said) if self.said and command[1] == "stop" else (code, told)

    def at(self, path: str) -> pathlib.Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str = "x") -> None:
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        self.at(path).write_text(text)

    def serves(self, container: str = "c1") -> None:
        """An instance with a state, and its container."""
        found = plan(1024)
        entry = Entry("d", found["release"], found["client"], {}, container, "sha256:1")
        Store("assistant", str(self.at("/var/lib/gpufleet"))).save(State("assistant", current=entry))
        self.has("vllm-assistant", container, LABEL_INSTANCE)

    def has(self, name: str, container: str, *labels: str, source: str = "") -> None:
        mounts = [{"Source": source}] if source else []
        row = {"Id": container, "Names": [f"/{name}"], "State": "running", "Mounts": mounts}
        self.docker.rows.append({**row, "Labels": dict.fromkeys(labels, "assistant")})

    def look(self, mountinfo: str = "", **asked: t.Any) -> Found:
        return look(self.ports, Asked(**asked), mountinfo)

    def remove(self, **asked: t.Any) -> tuple[list[str], list[str]]:
        """What is gone, and what could not be removed."""
        gone, left = remove(self.ports, Asked(**asked), self.look(**asked))
        return [one.what for one in gone], [f"{one.what}: {one.because}" for one in left]

    def paths(self) -> list[str]:
        return sorted(f"/{path.relative_to(self.root)}" for path in self.root.rglob("*") if not path.is_dir())
