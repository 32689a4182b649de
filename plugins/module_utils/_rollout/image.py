# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a release: pulled before anything stops, and asked whether it is what the plan was made for.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re

from .._docker.client import Docker, DockerError
from .._docker.container import entrypoint_style, version_probe_body
from .._docker.release import Release
from .._outside.documents import Json
from .._state.deadlines import timeout
from .._state.state import Entry
from . import answers, probe
from .failure import Refused
from .host import Host
from .journal import Journal
from .registry_login import CONFIG, NoLogin, auth_header
from .stages import Stage

PROBE_LIMIT = 120.0
VERSION = re.compile(r"[0-9A-Za-z.+!_-]{1,64}")
REACH_REGISTRY = (
    "Correct vllm_server_image, or the instance's own image, or make its registry reachable from the host (docker "
    "login there if it asks)."
)


def present(host: Host, reference: str, journal: Journal, limit: float, config: str = CONFIG) -> Json:
    """The image's inspection; pulled first, in at most `limit` seconds, where it is not there. Raises Refused."""
    docker = host.docker
    image = docker.image(reference)
    if image is not None:
        return image
    journal.stage(Stage.PULL, reference)
    auth = _login(reference, config, journal)
    layers: dict[str, tuple[int, int]] = {}
    deadline = host.clock.monotonic() + limit

    def progress(event: Json) -> None:
        if host.clock.monotonic() >= deadline:
            raise DockerError(0, f"it took longer than {limit:g} s")
        detail = event.get("progressDetail") or {}
        if detail.get("total") and event.get("status") == "Downloading":
            layers[str(event.get("id"))] = (int(detail.get("current") or 0), int(detail["total"]))
        done, total = (sum(part) for part in zip(*layers.values())) if layers else (0, 0)
        journal.heartbeat(f"pulling, {done // 2**20} of {total // 2**20} MiB of the layers begun")

    try:
        docker.pull(reference, auth, progress, limit)
    except DockerError as error:
        if "no space left on device" in str(error).lower():
            raise _no_room(host, reference, error) from error
        raise Refused(
            "image.pull",
            f"the image {reference} could not be pulled: {error}",
            REACH_REGISTRY,
        ) from error
    image = docker.image(reference)
    if image is None:
        raise Refused("image.pull", f"the image {reference} is not there after its pull", "Pull it by hand and look.")
    return image


def _login(reference: str, config: str, journal: Journal) -> str:
    try:
        return auth_header(reference, config)
    except NoLogin as problem:
        journal.note(f"pulling without a login: {problem}")
        return ""


def again(host: Host, entry: Entry, journal: Journal) -> Json | None:
    """The very image of a release that is kept: still there, or pulled once more. None where it is not to be had."""
    if not entry.image_id:
        return None
    found = host.docker.image(entry.image_id)
    if found is not None:
        return found
    for reference in filter(None, (entry.image_digest, entry.release["image"])):
        try:
            found = present(host, reference, journal, timeout(entry, "pull"))
        except Refused as refusal:
            journal.note(str(refusal))
            continue
        if found["Id"] == entry.image_id:
            return found
    journal.note(f"the image of release {entry.short} ({entry.image_id}) is gone, and is not to be had again")
    return None


def digest_of(image: Json, reference: str) -> str:
    """`name@sha256:...`, by which the registry that it came from gives out the very same image; '' where none does."""
    name = reference.partition("@")[0]
    name = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    known = [str(digest) for digest in image.get("RepoDigests") or []]
    return next((digest for digest in known if digest.partition("@")[0] == name), known[0] if known else "")


def _no_room(host: Host, reference: str, error: DockerError) -> Refused:
    """The refusal of an image that does not fit on the disk of Docker's root."""
    try:
        root = str(host.docker.get("/info")["DockerRootDir"])
        left = f"{host.free_mib(root)} MiB are free on the disk of {root} without it"
    except (DockerError, OSError, KeyError):
        left = "what is free cannot be told"
    advice = "Make room there: `docker system df` says what images and containers take."
    return Refused("disk.full", f"the image {reference} does not fit: {error}; {left}", advice)


def version_of(docker: Docker, image_id: str, cache: str) -> str:
    """The vLLM version inside an image, by its own package metadata; cached by image id. '' where it cannot tell."""
    known = answers.remembered(cache)
    if image_id not in known:
        version = _asked(docker, image_id)
        if not version:
            return ""
        known[image_id] = version
        answers.remember(cache, dict(sorted(known.items())))
    return known[image_id]


def _asked(docker: Docker, image_id: str) -> str:
    name = f"gpufleet-version-{image_id.rpartition(':')[2][:12]}"
    with probe.made(docker, name, version_probe_body(image_id)) as container:
        try:
            docker.start(container)
            if docker.wait(container, PROBE_LIMIT) != 0:
                return ""
            lines = docker.logs(container).splitlines()
        except DockerError as error:
            if error.status == 0:
                raise
            return ""  # the daemon lives and the image has nothing that could be asked
    said = lines[-1].partition(" ")[2].strip() if lines else ""
    return said if VERSION.fullmatch(said) else ""


def must_agree(image: Json, release: Release, version: str) -> None:
    """Refuse an image that is not the vLLM the arguments were planned for. Raises Refused."""
    reference, stated = release["image"], release["version"]
    if version.partition("+")[0] != stated.partition("+")[0]:
        raise Refused(
            "image.version",
            f"the image {reference} holds vLLM {version or 'of an unknown version'}, the plan was made for {stated}",
            f"Set vllm_server_version, or the instance's own version, to {version or 'the version of the image'}, or "
            f"choose the image of {stated}.",
        )
    planned = "module" if release["command"][0] == "--model" else "serve"
    style = entrypoint_style(image)
    if style != planned:
        entrypoint = (image.get("Config") or {}).get("Entrypoint")
        raise Refused(
            "image.entrypoint",
            f"the image {reference} starts {entrypoint}, vLLM {stated} is planned to start with "
            + ("`vllm serve`" if planned == "serve" else "`python3 -m vllm.entrypoints.openai.api_server`"),
            "Use an image with vLLM's own entrypoint.",
        )
