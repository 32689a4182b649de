# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host knows and shows of its instances; read only.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import asdict

from .._docker.client import Docker, DockerError
from .._docker.container import LABEL_DIGEST, LABEL_INSTANCE
from .._docker.sockets import Listening
from .._engine import live_adapters
from .._engine.expect import base_url
from .._engine.http_client import Http
from .._engine.prove import healthy
from .._engine.smoke_errors import NotProved
from .._outside.documents import Json
from .._rollout import containers
from .._rollout.failure import unexpected
from .._rollout.rebuild import load
from .._state import tuned
from .._state.api_keys import ApiKeyMissing, ApiKeys
from .._state.client_file import CLIENT_DIR, differing
from .._state.observed import ContainerFacts, Kept, Observed, Rejected, Turned
from .._state.state import Entry, State, StateProblem
from .._state.store import STATE_DIR, Store, instances
from .._state.units import running, unit_name
from .._watch.watch_policy import Limits
from .._watch.watch_record import Records, shown

# A label is whatever somebody wrote into it: what is no name of an instance is no path either.
INSTANCE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def container_facts(container: Json) -> ContainerFacts:
    """A container as the planner sees it."""
    state = container["State"]
    return {
        "id": container["Id"],
        "name": container["Name"].lstrip("/"),
        "status": state["Status"],
        "running": bool(state["Running"]),
        "restart_count": int(container.get("RestartCount") or 0),
        "restart_policy": container["HostConfig"]["RestartPolicy"]["Name"],
        "exit_code": state.get("ExitCode"),
        "oom_killed": bool(state.get("OOMKilled")),
        "image_id": container["Image"],
        "digest": (container["Config"].get("Labels") or {}).get(LABEL_DIGEST, ""),
    }


def _why_unhealthy(
    current: Entry | None, resting: bool, container: ContainerFacts | None, http: Http, keys: ApiKeys
) -> str:
    """Why the verified release does not serve, as far as can be seen without a generation; '' when it does."""
    if current is None:
        return "no verified release"
    if resting:
        return f"inactive, verified release {current.short} of {current.verified_at}"
    if container is None:
        return "its container is gone"
    if container["digest"] != current.digest:
        return f"its container is of release {container['digest'][:12] or 'unknown'}, verified is {current.short}"
    if not container["running"]:
        return f"its container is {container['status']} (exit code {container['exit_code']})"
    if container["restart_policy"] != "unless-stopped":
        return f"its restart policy is {container['restart_policy']}: a repair was cut off, or somebody changed it"
    try:
        keys.token(current.release)
    except ApiKeyMissing as error:
        return str(error)
    if not healthy(http, base_url(current.release["bind"], current.release["port"])):
        return "/health does not answer 200"
    return ""


def observe_one(store: Store, docker: Docker, http: Http, client_dir: str = CLIENT_DIR) -> Observed:
    """One instance: its state, its container, and whether it is up. One that cannot be observed hides no other."""
    try:
        return _observed(store, docker, http, client_dir)
    except Exception as error:  # noqa: BLE001 - none of ours
        problem = unexpected(error)
        return {**NOTHING_KNOWN, "name": store.instance, "problem": problem, "unhealthy_because": problem}


class Shown(t.NamedTuple):
    """What state and Docker tell of an instance, as far as they could be read; `problem` says why not further.

    `state` is as a rollback would leave it where a rollout was `cut_off`. `gone` says what a rollback would lack.
    """

    state: State
    container: ContainerFacts | None = None
    rebuilt: str = ""
    problem: str = ""
    cut_off: bool = False
    holds: t.Sequence[Listening] = ()
    gone: str = ""


def _shown(store: Store, docker: Docker, client_dir: str, busy: bool) -> Shown:
    """Held without a live transaction means current."""
    found = Shown(State(store.instance))
    try:
        state, rebuilt = load(store, docker, client_dir)
        found = found._replace(state=state, rebuilt=rebuilt)
        if state.candidate is not None and not busy:
            state = state.rolled_back(state.held)
            found = found._replace(state=state, cut_off=True)
        current = state.current or state.resting
        if current is not None:
            seen = docker.container(current.container_id or current.release["container"]["name"])
            found = found._replace(container=None if seen is None else container_facts(seen))
        found = found._replace(holds=held_ports(docker, store.instance))
        return found if busy else found._replace(gone=previous_gone(docker, state.previous))
    except (StateProblem, DockerError) as error:
        return found._replace(problem=str(error))


def _observed(store: Store, docker: Docker, http: Http, client_dir: str) -> Observed:
    busy = running(store.instance)
    state, container, rebuilt, problem, cut_off, holds, gone = _shown(store, docker, client_dir, busy)
    keys = ApiKeys(store.state_dir)
    current = state.current or state.resting
    resting = state.current is None and current is not None
    unhealthy = "a rollout is running" if busy else problem or _why_unhealthy(current, resting, container, http, keys)
    if cut_off and unhealthy:
        unhealthy = "a rollout was cut off and is not rolled back yet"
    return {
        "current": _kept(current),
        "previous": _kept(state.previous),
        "candidate": _kept(state.candidate),
        "name": store.instance,
        "previous_gone": gone or None,
        "problem": problem or None,
        "rebuilt": rebuilt or None,
        "rejected": [t.cast(Rejected, asdict(rejection)) for rejection in state.rejected],
        "failed": state.failed or None,
        "transaction": {"unit": unit_name(store.instance), "stage": store.last_stage()} if busy else None,
        "container": container,
        "holds": list(holds),
        "cut_off": cut_off,
        "resting": resting,
        "turn": None if state.turn is None else t.cast(Turned, asdict(state.turn)),
        "healthy": not unhealthy,
        "unhealthy_because": unhealthy,
        "watch": shown(Records(store), Limits.of(current.settings if current else {}).enabled),
        "client_files_differ": sorted(differing(current, client_dir)) if current is not None else [],
        "tuned": tuned.read(store),
        "adapters_differ": [] if unhealthy or state.current is None else _adapters(state.current, http, keys),
    }


def _adapters(current: Entry, http: Http, keys: ApiKeys) -> list[str]:
    """What is loaded otherwise than it was verified, as after a restart of the container that no watch has seen."""
    release = current.release
    try:
        url = base_url(release["bind"], release["port"])
        return live_adapters.amiss(keys.http(http, release), url, release, current.settings)
    except NotProved:
        return []


NOTHING_KNOWN: Observed = {
    "current": None,
    "previous": None,
    "candidate": None,
    "previous_gone": None,
    "rebuilt": None,
    "failed": None,
    "transaction": None,
    "container": None,
    "rejected": [],
    "holds": [],
    "cut_off": False,
    "resting": False,
    "turn": None,
    "healthy": False,
    "watch": {
        "enabled": False,
        "paused_until": None,
        "stands_down": None,
        "last_look": None,
        "restarts": [],
        "rolled_back": None,
        "events": [],
        "problem": None,
    },
    "client_files_differ": [],
    "adapters_differ": [],
    "tuned": None,
}


def held_ports(docker: Docker, instance: str) -> list[Listening]:
    """Address and port that containers of an instance listen on, those included that a cut off rollout left."""
    listed = containers.listed_as_ours(docker, instance)
    ports = [port for container in listed for port in container.get("Ports") or [] if port.get("PublicPort")]
    return [{"address": port.get("IP") or "", "port": port["PublicPort"]} for port in ports]


def previous_gone(docker: Docker, previous: Entry | None) -> str:
    """What the rollback would have to make again, as after `docker system prune`; '' where it is kept."""
    if previous is None or (previous.container_id and docker.container(previous.container_id) is not None):
        return ""
    if docker.image(previous.image_id or previous.release["image"]) is not None:
        return "its container is gone; the rollback makes it again from its image"
    digest = previous.image_digest
    pulls = f"pulls {digest}" if digest else f"pulls {previous.release['image']}, if that is still the same image"
    return f"its container and its image are gone; the rollback {pulls}, and makes it again"


def _kept(entry: Entry | None) -> Kept | None:
    return None if entry is None else t.cast(Kept, asdict(entry))


def observe(state_dir: str = STATE_DIR, docker: Docker | None = None, http: Http | None = None) -> list[Observed]:
    """All instances of this host, by name."""
    docker, http = docker or Docker(), http or Http()
    return [observe_one(Store(name, state_dir), docker, http) for name in known(state_dir, docker)]


def known(state_dir: str, docker: Docker) -> list[str]:
    """Names of the instances that have a state file, or containers although their file is lost."""
    try:
        labelled = docker.containers_labelled(LABEL_INSTANCE)
    except DockerError:
        labelled = []
    found = ((str((row.get("Labels") or {}).get(LABEL_INSTANCE)), row) for row in labelled)
    named = {name for name, row in found if INSTANCE_NAME.fullmatch(name) and containers.has_a_name_of(name, row)}
    return sorted({*instances(state_dir), *named})
