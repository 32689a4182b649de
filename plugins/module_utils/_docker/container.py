# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of a release: what is asked of the Docker Engine API.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import typing as t

from .._outside.documents import Json
from . import hardening
from .release import Gpus, Release

LABEL_INSTANCE = "io.gpufleet.instance"
LABEL_DIGEST = "io.gpufleet.digest"
LABEL_RELEASE = "io.gpufleet.release"
MIB = 1024 * 1024


# What a host's daemon.json would decide otherwise: `default-runtime` may be nvidia, which gives every GPU to an image
# that asks for all, or a sandbox without GPUs; a `log-driver` may be one that cannot be read. Docker always has runc.
STATED: t.Final[Json] = {
    "Runtime": "runc",
    "LogConfig": {"Type": "json-file", "Config": {"max-size": "50m", "max-file": "3"}},
}
# What NVIDIA's CDI specification says too: no GPU but those that were planned, whatever the image asks for.
NO_OTHER_GPUS: t.Final = {"NVIDIA_VISIBLE_DEVICES": "void"}


def device_requests(gpus: Gpus) -> list[Json]:
    """GPUs by UUID: as CDI devices where the engine has CDI, else through NVIDIA's runtime hook."""
    if gpus["mode"] == "cdi":
        return [{"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={uuid}" for uuid in gpus["uuids"]]}]
    if gpus["mode"] == "runtime":
        return [{"Driver": "nvidia", "DeviceIDs": list(gpus["uuids"]), "Capabilities": [["gpu"]]}]
    return []


def variables(env: t.Mapping[str, str], gpus: Gpus) -> list[str]:
    """The environment. NVIDIA's hook is told by a variable which GPUs to give; whoever has CDI devices needs none."""
    told = {} if gpus["mode"] == "runtime" else NO_OTHER_GPUS
    return [f"{name}={value}" for name, value in sorted({**env, **told}.items())]


def create_body(release: Release, digest: str, image_id: str, key_file: str = "", selinux: bool = False) -> Json:
    """The body of POST /containers/create. No restart policy: the commit sets it, once the release is verified.

    `key_file` is where the host keeps the release's API key, SELINUX says whether Docker labels what it starts.
    """
    container = release["container"]
    port = f"{container['container_port']}/tcp"
    shared = {"IpcMode": "host"} if container["ipc"] == "host" else {"ShmSize": container["shm_size_mib"] * MIB}
    return {
        "Image": image_id,
        "Cmd": release["command"],
        "Env": variables(release["env"], release["gpus"]),
        "Labels": {
            LABEL_INSTANCE: release["instance"],
            LABEL_DIGEST: digest,
            LABEL_RELEASE: json.dumps(release, sort_keys=True, separators=(",", ":")),
        },
        "ExposedPorts": {port: {}},
        **hardening.config_options(release),
        "HostConfig": {
            "Binds": hardening.binds(release, selinux),
            "PortBindings": {port: [{"HostIp": release["bind"], "HostPort": str(release["port"])}]},
            "DeviceRequests": device_requests(release["gpus"]),
            "RestartPolicy": {"Name": "no"},
            **hardening.host_options(release, selinux),
            **STATED,
            **shared,
            **_key_mount(release, key_file),
        },
    }


def _key_mount(release: Release, key_file: str) -> Json:
    """Not among `Binds`: Docker would make a folder where the file is missing."""
    if not key_file:
        return {}
    target = release["api_key"]["path"]
    return {"Mounts": [{"Type": "bind", "Source": key_file, "Target": target, "ReadOnly": True}]}


VERSION_PROBE = "import importlib.metadata as m; print(m.version('vllm'))"


def version_probe_body(image_id: str) -> Json:
    """A container that prints the vLLM version of an image: metadata only, no import of vLLM, no GPU, no network."""
    return {
        "Image": image_id,
        "Entrypoint": ["python3", "-c", VERSION_PROBE],
        "Cmd": [],
        "Env": variables({}, {"mode": "none"}),
        "NetworkDisabled": True,
        "HostConfig": {"NetworkMode": "none", **hardening.PROBE, **STATED},
    }


def entrypoint_style(image: Json) -> str:
    """`serve` (vllm serve, from 0.11.1), `module` (python3 -m vllm..., up to 0.11.0), or '' where it is neither."""
    entrypoint = (image.get("Config") or {}).get("Entrypoint") or []
    if list(entrypoint[-2:]) == ["vllm", "serve"]:
        return "serve"
    if entrypoint and str(entrypoint[-1]) == "vllm.entrypoints.openai.api_server":
        return "module"
    return ""
