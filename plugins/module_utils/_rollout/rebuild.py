# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rebuild an instance's state from the labels of its containers, when the state file is damaged.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import os

from .client_file import CLIENT_DIR, environment
from .container import LABEL_DIGEST, LABEL_INSTANCE, LABEL_RELEASE
from .docker import Docker, DockerError, Json
from .durable import read_text
from .state import Entry, State, StateProblem
from .store import Store


def _entry(container: Json, client: Json) -> Entry:
    labels = container["Config"]["Labels"]
    return Entry(
        digest=labels[LABEL_DIGEST],
        release=json.loads(labels[LABEL_RELEASE]),
        client=client,
        settings={},
        container_id=container["Id"],
        image_id=container["Image"],
        verified={"served_model_names": client["served_model_names"], "max_model_len": client.get("max_model_len")},
    )


def rebuilt(instance: str, docker: Docker, client_dir: str = CLIENT_DIR) -> State:
    """The state that the containers tell of: the one with a restart policy is the verified one. Raises StateProblem."""
    listed = docker.containers_labelled(f"{LABEL_INSTANCE}={instance}")
    containers = [found for found in (docker.container(row["Id"]) for row in listed) if found is not None]
    verified = [found for found in containers if found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"]
    if len(verified) != 1:
        raise StateProblem(f"{len(verified)} of its {len(containers)} containers are verified, one has to be")
    kept = [found for found in containers if found["Name"].endswith("-previous")]
    try:
        text = read_text(os.path.join(client_dir, instance, "client.json"))
        if text is None:
            raise StateProblem("its client file is missing as well")
        client = json.loads(text)
        environment(client)  # all that a client file has to have
        return State(instance, current=_entry(verified[0], client), previous=_entry(kept[0], client) if kept else None)
    except (KeyError, TypeError, ValueError) as error:
        raise StateProblem(f"its labels or its client file are damaged as well ({error!r})") from error


def _must_not_be_lost(store: Store, docker: Docker) -> None:
    """An instance that has containers and no state file is not a new one. Raises StateProblem."""
    if os.path.exists(store.path("state.json")):
        return
    try:
        listed = docker.containers_labelled(f"{LABEL_INSTANCE}={store.instance}")
    except DockerError:
        return  # nothing is touched without Docker either: preflight refuses
    if listed:
        raise StateProblem(f"it is missing, and {len(listed)} containers of the instance are there")


def load(store: Store, docker: Docker, client_dir: str = CLIENT_DIR) -> tuple[State, str]:
    """The state, and what was wrong with its file ('' when nothing). Raises StateProblem when labels do not help."""
    try:
        _must_not_be_lost(store, docker)
        return store.load(), ""
    except StateProblem as problem:
        state = rebuilt(store.instance, docker, client_dir)
        return state, f"{store.path('state.json')}: {problem}; rebuilt from the labels of its containers"
