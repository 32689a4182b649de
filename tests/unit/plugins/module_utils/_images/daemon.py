# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon with images, for who brings them and who removes them."""

from __future__ import annotations

import base64
import json
import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker, DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.fetching import Fetching

Json = dict[str, t.Any]


class Clock:
    """Seconds pass while somebody sleeps."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Daemon(Docker):
    """`offered` is what registries have by name, an image or what they say instead; `names` is what the host has."""

    def __init__(self) -> None:
        super().__init__("/nowhere")
        self.offered: dict[str, Json | str] = {}
        self.names: dict[str, str] = {}
        self.known: dict[str, Json] = {}
        self.used: list[Json] = []
        self.done: list[str] = []
        self.logins: list[Json] = []
        self.on_pull: t.Callable[[], None] = lambda: None
        self.version = "28.5.1"

    def has(self, image: Json, *names: str) -> None:
        self.known[image["Id"]] = image
        self.names.update({name: str(image["Id"]) for name in names})

    def get(self, path: str) -> t.Any:
        if path == "/images/json":
            return list(self.known.values())
        return {"Version": self.version} if path == "/version" else {"DockerRootDir": "/docker"}

    def image(self, reference: str) -> Json | None:
        return self.known.get(self.names.get(reference, reference))

    def pull(
        self,
        reference: str,
        auth: str,
        on_progress: t.Callable[[Json], None],
        limit: float = 3600,
        silence: float = 600,
    ) -> None:
        self.done.append(f"pull {reference}")
        self.logins.append(json.loads(base64.urlsafe_b64decode(auth)) if auth else {})
        self.on_pull()
        offered = self.offered.get(reference, "manifest unknown")
        if isinstance(offered, str):
            raise DockerError(500, offered)
        on_progress({"status": "Downloading", "id": "1", "progressDetail": {"current": 1, "total": 2}})
        self.has(offered, reference)

    def tag(self, image: str, repository: str, tag: str) -> None:
        self.done.append(f"tag {repository}:{tag}")
        self.names[f"{repository.replace('docker.io/', '')}:{tag}"] = image


def fetching(folder: pathlib.Path, docker: Docker, said: list[str]) -> Fetching:
    return Fetching(
        docker, Clock(), said.append, said.append, lambda _path: 12, str(folder / "state"), str(folder / "config.json")
    )
