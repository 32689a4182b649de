# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that run vLLM and are not ours: of compose, of `docker run`, of whatever else made them.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import shlex
import typing as t

from .._docker import gpu_access
from .._docker.client import DockerError
from .._docker.container import LABEL_INSTANCE
from .._docker.shapes import mapping, records, text, texts, whole
from .._outside.documents import Json
from .._outside.limited import MIB
from . import commands
from .served import Mount, Served, variables_without_secrets, without_secrets

COMPOSE = "com.docker.compose.service"
ALL = "all"


class Engine(t.Protocol):
    """The part of the Docker Engine API that is read."""

    def get(self, path: str) -> t.Any: ...

    def image(self, reference: str) -> Json | None: ...


def look(engine: Engine) -> list[Served]:
    """Those that run now, by name. Raises DockerError where the engine does not answer."""
    found = [_served(container, engine) for container in gpu_access.running(engine)]
    return sorted((one for one in found if one is not None), key=lambda one: one["name"])


def _served(container: Json, engine: Engine) -> Served | None:
    config, host = container["Config"], container["HostConfig"]
    labels = mapping(config.get("Labels"))
    if LABEL_INSTANCE in labels:
        return None
    words = commands.serving([*texts(config.get("Entrypoint")), *texts(config.get("Cmd"))])
    if words is None:
        return None
    name = gpu_access.name_of(container)
    shown, secrets = without_secrets(words)
    environment = _variables(texts(config.get("Env")))
    stated, hidden = variables_without_secrets(
        {key: value for key, value in environment.items() if _of_image(container, engine).get(key) != value}
    )
    port, bind = _port(words, host)
    return {
        "what": f"container {name}",
        "name": text(labels.get(COMPOSE)) or name,
        "words": shown,
        "image": text(config.get("Image")),
        "version": environment.get("VLLM_VERSION", ""),
        "variables": stated,
        "mounts": _mounts(container),
        "port": port,
        "bind": bind,
        "gpus": _gpus(host, environment),
        "shm_mib": whole(host.get("ShmSize")) // MIB,
        "host_ipc": text(host.get("IpcMode")) == "host",
        "contained": True,
        "withheld": sorted({*secrets, *hidden}),
        "unread": [],
        "stop": f"docker update --restart=no {shlex.quote(name)} && docker stop {shlex.quote(name)}",
    }


def _of_image(container: Json, engine: Engine) -> dict[str, str]:
    """Variables that the image sets, which nobody has stated."""
    try:
        image = engine.image(text(container.get("Image")))
    except DockerError:
        image = None
    return _variables(texts(mapping(mapping(image).get("Config")).get("Env")))


def _variables(stated: t.Iterable[str]) -> dict[str, str]:
    return {name: value for name, equals, value in (one.partition("=") for one in stated) if equals}


def _mounts(container: Json) -> list[Mount]:
    found = [(text(one.get("Source")), text(one.get("Destination"))) for one in records(container.get("Mounts"))]
    return [{"host": source, "inside": inside} for source, inside in sorted(found) if source and inside]


def _port(words: t.Sequence[str], host: Json) -> tuple[int, str]:
    """The port and the address of the host that lead to the server; 0 and '' where it has the host's own network."""
    if text(host.get("NetworkMode")) == "host":
        return 0, ""
    for published in records(mapping(host.get("PortBindings")).get(f"{commands.port(words)}/tcp")):
        number = text(published.get("HostPort"))
        if number.isdecimal():
            return int(number), text(published.get("HostIp")) or "0.0.0.0"
    return -1, ""


def _gpus(host: Json, environment: t.Mapping[str, str]) -> list[str]:
    stated = [device for request in records(host.get("DeviceRequests")) for device in request["DeviceIDs"]]
    stated = [device.rpartition("=")[2] for device in stated]
    if not stated:
        stated = environment.get("NVIDIA_VISIBLE_DEVICES", "").split(",")
    given = [one.strip() for one in stated if one.strip() not in ("", ALL, "none", "void")]
    visible = [one.strip() for one in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if one.strip()]
    if not visible:
        return given
    # Inside, GPUs are counted among those that the container was given.
    return [given[int(one)] if one.isdecimal() and int(one) < len(given) else one for one in visible]
