# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance's state where its file does not tell it: damaged, lost, or older than what serves.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import replace

from .._docker.client import Docker, DockerError
from .._docker.container import LABEL_DIGEST, LABEL_RELEASE
from .._docker.release import Release
from .._outside import documents
from .._outside.documents import Json
from .._settings.rollout import Settings
from .._state import shapes
from .._state.client_file import CLIENT_DIR
from .._state.durable import read_text
from .._state.request import Client
from .._state.state import Entry, State, StateNotOurs, StateProblem
from .._state.store import Store
from . import containers
from .journal import Journal
from .written import write_down


def _entry(container: Json, client: Client) -> Entry:
    labels = container["Config"]["Labels"]
    release = _released(labels[LABEL_RELEASE])
    # The client's file may be as old as the state.
    length = release["arguments"].get("max_model_len")
    return Entry(
        digest=labels[LABEL_DIGEST],
        release=release,
        client=client,
        settings={},
        container_id=container["Id"],
        image_id=container["Image"],
        verified={
            "served_model_names": release["served_model_names"],
            "max_model_len": length if isinstance(length, int) else client.get("max_model_len"),
        },
    )


def _released(label: str) -> Release:
    """The release that a label holds: whoever makes a container writes its labels. Raises ValueError."""
    release = documents.parse(label)
    problem = documents.misfit(release, shapes.RELEASE, "the label")
    if problem:
        raise ValueError(problem)
    return t.cast(Release, release)


def rebuilt(instance: str, docker: Docker, client_dir: str = CLIENT_DIR) -> State:
    """The state that the containers tell of: the one with a restart policy is the verified one. Raises StateProblem."""
    found = containers.ours(docker, instance)
    verified = [one for one in found if _is_verified(one)]
    resting = [one for one in found if one["Name"].endswith(f"-{containers.RESTING}")]
    verified = verified or resting
    if len(verified) != 1:
        raise StateProblem(f"{len(verified)} of its {len(found)} containers are verified, one has to be")
    kept = [one for one in found if one["Name"].endswith(f"-{containers.PREVIOUS}")]
    try:
        text = read_text(os.path.join(client_dir, instance, "client.json"))
        if text is None:
            raise StateProblem("its client file is missing as well")
        client = documents.parse(text)
        wrong = shapes.of_client(client)
        if wrong:
            raise ValueError(wrong)
        state = State(instance, current=_entry(verified[0], client), previous=_entry(kept[0], client) if kept else None)
        return state.rested() if verified == resting else state
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateProblem(f"its labels or its client file are damaged as well ({error!r})") from error


def _is_verified(container: Json) -> bool:
    """Only a commit gives a container its restart policy."""
    return bool(container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped")


def _must_not_be_lost(store: Store, docker: Docker) -> None:
    """An instance that has containers and no state file is not a new one. Raises StateProblem."""
    if os.path.exists(store.path("state.json")):
        return
    try:
        listed = containers.listed_as_ours(docker, store.instance)
    except DockerError:
        return  # nothing is touched without Docker either: preflight refuses
    if listed:
        raise StateProblem(f"it is missing, and {len(listed)} containers of the instance are there")


def later_than(state: State, docker: Docker) -> Json | None:
    """The container that was verified after the state was written, as where a snapshot of the disk was restored."""
    try:
        verified = [found for found in containers.ours(docker, state.instance) if _is_verified(found)]
    except DockerError:
        return None  # who waits for Docker does not need it yet
    if any(found["Id"] in state.containers() for found in verified):
        return None
    return verified[0] if verified else None


def _caught_up(state: State, docker: Docker, client_dir: str) -> State:
    """What serves is the current release; what the older state knows of settings and rejections stays."""
    found = rebuilt(state.instance, docker, client_dir)
    unknown: Settings = {}
    entries = (state.current, state.held, state.candidate, state.previous)
    settings = next((entry.settings for entry in entries if entry is not None), unknown)
    current = None if found.current is None else replace(found.current, settings=settings)
    found = replace(found, current=current, rejected=state.rejected)
    return found if current is None else found.without_rejection(current)


def load(store: Store, docker: Docker, client_dir: str = CLIENT_DIR) -> tuple[State, str]:
    """The state, and what was wrong with its file ('' when nothing). Raises StateProblem when labels do not help."""
    try:
        _must_not_be_lost(store, docker)
        state = store.load()
    except StateNotOurs:
        raise
    except StateProblem as problem:
        state = rebuilt(store.instance, docker, client_dir)
        return state, f"{store.path('state.json')}: {problem}; rebuilt from the labels of its containers"
    later = later_than(state, docker)
    if later is None:
        return state, ""
    problem_text = f"it is older than the server {later['Name'][1:]} ({later['Id'][:12]}), which was verified after it"
    state = _caught_up(state, docker, client_dir)
    return state, f"{store.path('state.json')}: {problem_text}; rebuilt from the labels of its containers"


def settled(store: Store, docker: Docker, journal: Journal, client_dir: str = CLIENT_DIR) -> State:
    """The state as `load` tells it, written down where its file does not say so. Raises StateProblem."""
    state, problem = load(store, docker, client_dir)
    if problem:
        with contextlib.suppress(OSError):
            store.set_damaged_aside()
        journal.note(problem)
    if problem or store.is_unsaved():
        write_down(store, journal, state)
    return state
