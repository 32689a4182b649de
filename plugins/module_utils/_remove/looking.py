# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything of gpufleet.vllm that a host has: what goes, what stays and why, and what keeps all of it from going.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import time
import typing as t

from .._docker.client import DockerError
from .._docker.container import LABEL_INSTANCE
from .._images import brought
from .._outside.documents import Json
from .._prune import images, needed
from .._prune.due import GRACE, Due, Stays
from .._prune.folders import BY_INSTANCE, CACHE_FOLDER
from .._rollout.containers import has_a_name_of, is_ours
from .._state.store import STATE_DIR
from .._state.units import PROGRAM
from .._state.unsaved import RUN_DIR
from .._store.unit import SHARE
from . import engine, files, trees
from .host import CACHES, Asked, Containers, Ports, name_of

CONTAINER, RULE, MODELS = "container", "port", "models"
FETCHES = "gpufleet-fetch@"


class NotNow(Exception):
    """Nothing may be removed; the text says why and what to do."""


class Found(t.NamedTuple):
    """What goes, in the order in which it goes; what stays; instances that a rollout has to remove first."""

    due: list[Due]
    stays: list[Stays]
    instances: list[str]


def look(ports: Ports, asked: Asked, mountinfo: str = "") -> Found:
    """Raises NotNow."""
    needs = _needs(ports)
    instances = sorted(needs.instances)
    containers = _containers(ports, needs)
    if containers.away and instances:
        raise NotNow(f"{containers.away}, and {instances[0]} has containers there: start Docker, then run this again")
    due = [Due(CONTAINER, name, (one,), _size(ports, one), "a server of ours") for one, name in containers.ours.items()]
    due += [
        Due(RULE, f"rules for {name}", (name,), 0, "left by a rollout that was killed")
        for name in ports.entrance.closed()
    ]
    stays = [
        Stays(CONTAINER, name_of(row), "it has a label of ours, and nothing here knows it: see what it is")
        for row in containers.looks
    ]
    mounted = {f"{ports.root}{one}" for one in trees.mounts(mountinfo)}
    held = {f"{ports.root}{source}": name for source, name in containers.held().items()}
    for more, others in (
        files.look_door(ports),
        files.look_monitoring(ports),
        (files.look_units(ports), []),
        engine.look(ports, containers, asked.stop_containers),
        _images(ports, containers, asked),
        files.look_files(ports, asked),
        *_folders(ports, asked, mounted, held),
    ):
        due += more
        stays += others
    return Found(due, stays + files.look_prepared(ports), instances)


def _needs(ports: Ports) -> needed.Needs:
    transient = ports.at(needed.TRANSIENT)
    try:
        found = needed.of_host((), ports.at(STATE_DIR), ports.at(RUN_DIR), transient)
    except needed.Unsure as problem:
        raise NotNow(str(problem)) from problem
    transients = ports.names(needed.TRANSIENT)
    fetches = [name for name in transients if name.startswith(FETCHES)]
    if fetches:
        raise NotNow(f"{fetches[0]} brings a model: wait for it, or end it with systemctl stop")
    if SHARE in transients:
        raise NotNow(f"other hosts read models from this one: wait for {SHARE} to end, or end it with systemctl stop")
    return found


def _containers(ports: Ports, needs: needed.Needs) -> Containers:
    """Ours are those whose id the state has, and of the instances that it knows what a killed rollout has left."""
    try:
        rows = ports.docker.all_containers()
        ours: dict[str, str] = {}
        others: list[Json] = []
        looks: list[Json] = []
        for row in rows:
            instance = str((row.get("Labels") or {}).get(LABEL_INSTANCE) or "")
            if row["Id"] in needs.containers or (instance in needs.instances and _left_over(ports, row, instance)):
                ours[row["Id"]] = name_of(row)
                continue
            others.append(row)
            if instance:
                looks.append(row)
    except DockerError as error:
        return Containers({}, [], [], str(error) if not error.status else f"Docker is not understood ({error})")
    return Containers(ours, others, looks)


def _left_over(ports: Ports, row: Json, instance: str) -> bool:
    found = ports.docker.container(row["Id"]) if has_a_name_of(instance, row) else None
    return found is not None and is_ours(ports.docker, found, instance)


def _size(ports: Ports, container: str) -> int:
    """Bytes that it has written; what Docker does not say is taken for none."""
    try:
        found = ports.docker.get(f"/containers/{container}/json?size=true")
    except DockerError:
        return 0
    size = found.get("SizeRw")
    return size if isinstance(size, int) else 0


def _images(ports: Ports, containers: Containers, asked: Asked) -> tuple[list[Due], list[Stays]]:
    """Images that we brought, and nobody else has by another name or in a container."""
    known = brought.known(ports.at(STATE_DIR))
    if not known:
        return [], []
    if not asked.images:
        names = sorted({one["names"][0] for one in known.values() if one["names"]})
        because = "brought by us, and kept: -e vllm_remove_images=true removes it"
        return [], [Stays(images.IMAGE, name, because) for name in names]
    docker = _OtherContainers(ports, containers)
    later = time.time() + 2 * GRACE
    try:
        return images.look(t.cast("t.Any", docker), needed.Needs(), images.Records(known, ()), 0, later)
    except DockerError as error:
        return [], [Stays(images.IMAGE, "images", str(error))]


class _OtherContainers:
    """Docker as it will be once our containers are gone."""

    def __init__(self, ports: Ports, containers: Containers) -> None:
        self.image, self.others = ports.docker.image, containers.others

    def all_containers(self) -> t.Sequence[Json]:
        return self.others


def _folders(
    ports: Ports, asked: Asked, mounted: t.Collection[str], held: t.Mapping[str, str]
) -> t.Iterator[tuple[list[Due], list[Stays]]]:
    """Models and caches, then what is in memory, and what the host remembers as the last."""
    hub = ports.at(asked.hub_dir.rstrip("/"))
    if asked.models and trees.below(hub, ports.at(CACHES)):
        yield trees.due(hub, "models that were fetched for our servers", mounted, (), held)
    elif os.path.isdir(hub):
        how = "-e vllm_remove_models=true removes them" if trees.below(hub, ports.at(CACHES)) else "remove them by hand"
        yield [], [Stays(MODELS, asked.hub_dir, f"models are kept: {how}")]
    cache = ports.at(asked.cache_dir.rstrip("/"))
    by_instance = f"{cache}{BY_INSTANCE}"
    if not asked.cache_dir.startswith("/"):
        yield [], [Stays("volumes", f"{asked.cache_dir}-INSTANCE", "volumes of Docker are kept: docker volume rm")]
    else:
        if trees.below(cache, ports.at(CACHES)):
            yield trees.due(cache, "what engines have compiled", mounted, (), held)
        for name in ports.names(f"{asked.cache_dir.rstrip('/')}{BY_INSTANCE}"):
            if CACHE_FOLDER.fullmatch(name):
                yield trees.due(f"{by_instance}/{name}", "what an engine has compiled", mounted, (), held)
    yield trees.due(ports.at(RUN_DIR), "requests and locks, in memory", mounted, (), held)
    yield trees.due(ports.at(os.path.dirname(PROGRAM)), "the program that carries rollouts out", mounted, (), held)
    yield trees.due(ports.at(STATE_DIR), "releases, keys, logs of failures", mounted, (hub, cache, by_instance), held)
