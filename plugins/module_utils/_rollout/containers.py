# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and places of an instance's containers: the serving one, the held one, the previous one, leftovers.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib

from .._docker.client import Docker, DockerError
from .._docker.container import LABEL_INSTANCE
from .._outside.documents import Json
from .._state.state import Entry, State

HELD, PREVIOUS, RESTING = "held", "previous", "resting"


def name_of(entry: Entry) -> str:
    return str(entry.release["container"]["name"])


def names(instance: str) -> tuple[str, ...]:
    """The names that containers of an instance have."""
    return (f"vllm-{instance}", *(f"vllm-{instance}-{role}" for role in (HELD, PREVIOUS, RESTING)))


def is_ours(docker: Docker, container: Json, instance: str) -> bool:
    """Whether we made a container that has one of our names, as far as can be told without its id."""
    return is_marked(docker, container, LABEL_INSTANCE, instance)


def is_marked(docker: Docker, container: Json, label: str, value: str) -> bool:
    """Whether the container itself has a label of ours.

    A label alone says nothing: `docker commit` copies it into an image, and from there into whatever is run of that. So
    its image must not have the label.
    """
    if (container["Config"].get("Labels") or {}).get(label) != value:
        return False
    image = docker.image(container["Image"]) or {}
    return label not in ((image.get("Config") or {}).get("Labels") or {})


def ours(docker: Docker, instance: str) -> list[Json]:
    """What we made for the instance, inspected."""
    listed = (docker.container(row["Id"]) for row in listed_as_ours(docker, instance))
    return [found for found in listed if found is not None and is_ours(docker, found, instance)]


def listed_as_ours(docker: Docker, instance: str) -> list[Json]:
    """What looks like ours in Docker's list, by label and name."""
    rows = docker.containers_labelled(f"{LABEL_INSTANCE}={instance}")
    return [row for row in rows if has_a_name_of(instance, row)]


def has_a_name_of(instance: str, row: Json) -> bool:
    """Whether a container of Docker's list has a name of the instance's; one that is being removed has none at all."""
    return bool({f"/{name}" for name in names(instance)} & set(row.get("Names") or ()))


def foreign(docker: Docker, state: State) -> list[str]:
    """Names of ours that containers of somebody else have."""
    known = state.containers()
    found = [(name, docker.container(name)) for name in names(state.instance)]
    return [
        name
        for name, there in found
        if there is not None and there["Id"] not in known and not is_ours(docker, there, state.instance)
    ]


def set_aside(docker: Docker, entry: Entry, role: str, grace: int) -> None:
    """Stop a serving container and keep it under `<name>-<role>`, with no restart policy. A missing one is fine."""
    if not entry.container_id or docker.container(entry.container_id) is None:
        return
    docker.set_restart_policy(entry.container_id, "no")
    docker.stop(entry.container_id, grace)
    renamed(docker, entry, f"{name_of(entry)}-{role}")


def end_stop(docker: Docker, entry: Entry, grace: int) -> None:
    """Bring a stop to its end that a kill cut off: the engine still answers, and is about to go.

    A release that serves and was never to be stopped has its restart policy. One that Docker cannot stop runs on.
    """
    found = docker.container(entry.container_id) if entry.container_id else None
    if found is None or not found["State"]["Running"] or found["HostConfig"]["RestartPolicy"]["Name"] != "no":
        return
    with contextlib.suppress(DockerError):
        docker.stop(entry.container_id, grace)


def renamed(docker: Docker, entry: Entry, name: str) -> None:
    """Give the entry's container this name, taking it from a leftover of the same instance if need be."""
    found = docker.container(entry.container_id)
    if found is None or found["Name"] == f"/{name}":
        return
    squatter = docker.container(name)
    if squatter is not None and is_ours(docker, squatter, entry.release["instance"]):
        docker.remove(squatter["Id"])
    docker.rename(entry.container_id, name)


def tidy(docker: Docker, state: State) -> None:
    """Keep the containers that the state knows and no others; the previous release's gets its name."""
    remove_leftovers(docker, state)
    if state.previous is not None:
        renamed(docker, state.previous, f"{name_of(state.previous)}-{PREVIOUS}")


def remove_leftovers(docker: Docker, state: State) -> list[str]:
    """Remove containers of this instance that the state does not know: what a killed rollout left. Their names."""
    known = state.containers()
    strangers = [found for found in ours(docker, state.instance) if found["Id"] not in known]
    for stranger in strangers:
        docker.remove(stranger["Id"])
    return [str(stranger["Name"]).lstrip("/") for stranger in strangers]
