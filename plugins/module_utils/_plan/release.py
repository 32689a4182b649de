# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release document, the client's file and the settings of a rollout.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._docker.hardening import CACHE_INSIDE, FIRST, NEWEST
from .._docker.release import ApiKey, Container, Model, Release
from .._outside.documents import Json
from .._state.observed import Observed
from .._state.request import Client
from .._vllm.schema import Schema
from .arguments import mounts
from .arguments.layers import Resolved
from .arguments.render import CONTAINER_PORT, command
from .gpus import Assignment
from .inventory import api_key, container_options
from .inventory.inputs import SHM_MIB, Inputs, mib
from .inventory.instances import Instance
from .prepare import Prepared

# Where the container finds what the host lends it, whoever runs inside.
HUB_INSIDE = "/var/cache/gpufleet/hub"


def document(
    one: Prepared,
    schema: Schema,
    inputs: Inputs,
    revision: str | None,
    gpus: Assignment,
    container_schema: int = NEWEST,
) -> Release:
    """One release. Nothing in it changes while the inventory and the host's hardware stay as they are.

    `container_schema` is that of its container settings: what serves keeps its own.
    """
    instance, settings = one.instance, inputs.settings
    mounted = mounted_of(one, inputs)
    inside = mounted.values({argument.name: argument.value for argument in one.arguments if argument.set})
    loaded_later = {given.name for given in one.arguments if given.set} - set(inside)
    arguments = [
        dataclasses.replace(given, value=inside.get(given.name, given.value))
        for given in one.arguments
        if given.name not in loaded_later
    ]
    local = instance.model.startswith("/")
    container = _container(instance, settings, local, container_schema)
    key_file = api_key.INSIDE if instance.api_key else ""
    mark: ApiKey = {"fingerprint": inputs.fingerprints.get(instance.name, ""), "path": key_file}
    named: Release = {"files": mounted.digests} if mounted.digests else {}
    keyed: Release = {"api_key": mark} if instance.api_key else {}
    return {
        **keyed,
        "schema": 1,
        "instance": instance.name,
        "image": inputs.image,
        "version": schema.version,
        "model": {
            "id": instance.model,
            "path": instance.model if local else None,
            "revision": revision,
            **_asked(instance, revision),
        },
        "served_model_names": list(instance.served_model_name),
        "arguments": inside,
        "command": command(schema, instance.model, revision, instance.served_model_name, arguments, key_file),
        "env": _variables(one, mounted.variables(one.variables), settings, local),
        "bind": instance.bind,
        "port": instance.port,
        "gpus": {"mode": gpus.mode, "uuids": list(gpus.uuids)},
        "container": {
            **container,
            "volumes": sorted([*container["volumes"], *mounted.volumes]),
        },
        **named,
    }


def _asked(instance: Instance, revision: str | None) -> Model:
    """What is stated, where a commit stands in its place: a branch that moves is told from another one."""
    return {"asked": instance.revision} if instance.revision and instance.revision != revision else {}


def mounted_of(one: Prepared, inputs: Inputs) -> mounts.Mounts:
    """What its arguments name of the host's files and the inventory's."""
    instance = one.instance
    running: Observed = inputs.observed.get(instance.name) or {}
    values = {argument.name: argument.value for argument in one.arguments if argument.set}
    own = _container(instance, inputs.settings, instance.model.startswith("/"), NEWEST)["volumes"]
    verified: Release = (running.get("current") or {}).get("release") or {}
    return mounts.of(values, one.variables, own, inputs.files, verified, instance.live_adapters)


def _variables(one: Prepared, variables: t.Mapping[str, str], settings: Json, local: bool) -> dict[str, str]:
    instance = one.instance
    found = container_options.variables(instance.container_user, bool(settings.get("cache_dir")))
    if settings.get("hub_dir") and not local:
        found["HF_HUB_CACHE"] = HUB_INSIDE
    if settings.get("hub_offline") or _no_hub_has(one, settings.get("model_sources") or {}):
        found["HF_HUB_OFFLINE"] = "1"
    if settings.get("cache_dir"):
        found["VLLM_CACHE_ROOT"] = CACHE_INSIDE
    found.update(variables)
    return dict(sorted(found.items()))


def _no_hub_has(one: Prepared, sources: t.Mapping[str, str]) -> bool:
    """Whether the model or its drafter comes from elsewhere: a hub may have somebody else's under that name."""
    drafter = one.values().get("speculative_config")
    return one.instance.model in sources or (isinstance(drafter, dict) and drafter.get("model") in sources)


def _container(instance: Instance, settings: Json, local: bool, schema: int) -> Container:
    volumes = []
    if local:
        volumes.append(f"{instance.model}:{instance.model}:ro")
    elif settings.get("hub_dir"):
        volumes.append(f"{settings['hub_dir']}:{HUB_INSIDE}:rw")
    if settings.get("cache_dir"):
        cache = settings["cache_dir"]
        if schema > FIRST:
            cache = container_options.own_cache(cache, instance.name, instance.container_user)
        volumes.append(f"{cache}:{CACHE_INSIDE}:rw")
    newer: Container = {"schema": schema} if schema > FIRST else {}
    return {
        **newer,
        **container_options.stated(instance.memory_limit_mib, instance.container_user),
        "name": f"vllm-{instance.name}",
        "shm_size_mib": mib(settings.get("shm_size_mib") or settings.get("shm_size") or SHM_MIB),
        "ipc": settings.get("ipc") or "private",
        "volumes": sorted(volumes),
        "container_port": CONTAINER_PORT,
    }


def client(instance: Instance, arguments: t.Sequence[Resolved], sampling: Json) -> Client:
    """What clients of the instance are told; the host puts the verified length in."""
    planned = {argument.name: argument.value for argument in arguments if argument.set}.get("max_model_len")
    return {
        "schema": 1,
        "instance": instance.name,
        "base_url": f"http://{_reachable(instance.bind)}:{instance.port}/v1",
        "served_model_names": list(instance.served_model_name),
        "max_model_len": planned if isinstance(planned, int) else None,
        "api_key_required": instance.api_key,
        "sampling": sampling,
    }


def _reachable(bind: str) -> str:
    """The address to call: a server on all addresses is called on the loopback."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)
    return f"[{address}]" if ":" in address else address
