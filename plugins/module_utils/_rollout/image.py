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
from .._images import brought
from .._images.fetching import Fetching, NoImage
from .._images.registry_login import CONFIG
from .._outside.documents import Json
from .._state import image_answers as answers
from .._state.deadlines import timeout
from .._state.state import Entry
from . import probe
from .failure import Refused
from .host import Host
from .journal import Journal
from .stages import Stage

PROBE_LIMIT = 120.0
VERSION = re.compile(r"[0-9A-Za-z.+!_-]{1,64}")


def present(host: Host, reference: str, journal: Journal, limit: float, config: str = CONFIG) -> Json:
    """The image's inspection; brought first, in at most `limit` seconds, where it is not there. Raises Refused."""
    state_dir = host.keys.state_dir
    image = brought.find(host.docker, reference, state_dir)
    if image is not None:
        return image
    journal.stage(Stage.PULL, reference)
    fetching = Fetching(
        host.docker, host.clock, journal.note, journal.heartbeat, host.free_mib, state_dir, config, host.registry
    )
    try:
        return fetching.present(reference, limit).image
    except NoImage as problem:
        raise Refused(problem.failure_class, problem.cause, problem.advice) from problem


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
