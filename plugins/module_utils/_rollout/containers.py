# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and places of an instance's containers: the serving one, the held one, the previous one, leftovers.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib

from .container import LABEL_INSTANCE
from .docker import Docker, DockerError
from .state import Entry, State


def name_of(entry: Entry) -> str:
    return str(entry.release["container"]["name"])


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
    labels = (squatter["Config"].get("Labels") or {}) if squatter is not None else {}
    if squatter is not None and labels.get(LABEL_INSTANCE) == entry.release["instance"]:
        docker.remove(squatter["Id"])
    docker.rename(entry.container_id, name)


def tidy(docker: Docker, state: State) -> None:
    """Keep the containers that the state knows and no others; the previous release's gets its name."""
    remove_leftovers(docker, state)
    if state.previous is not None:
        renamed(docker, state.previous, f"{name_of(state.previous)}-previous")


def remove_leftovers(docker: Docker, state: State) -> list[str]:
    """Remove containers of this instance that the state does not know: what a killed rollout left. Their names."""
    known = {entry.container_id for entry in (state.current, state.previous, state.candidate, state.held) if entry}
    strangers = [
        found for found in docker.containers_labelled(f"{LABEL_INSTANCE}={state.instance}") if found["Id"] not in known
    ]
    for stranger in strangers:
        docker.remove(stranger["Id"])
    return [str((stranger.get("Names") or [stranger["Id"]])[0]).lstrip("/") for stranger in strangers]
