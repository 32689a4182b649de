# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that we brought and that no release needs any more. A stranger's image is none of them.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._docker.client import Docker, DockerError
from .._images import reference
from .._images.brought import Brought
from .._outside.documents import Json
from . import needed
from .due import DAY, GRACE, Due, Stays

IMAGE = "image"


class Records(t.NamedTuple):
    """What the host remembers: images that were brought, and ids of images that releases of ours were tried with."""

    brought: t.Mapping[str, Brought]
    tried: t.Collection[str]


def look(
    docker: Docker, needs: needed.Needs, records: Records, keep_days: float, now: float
) -> tuple[list[Due], list[Stays]]:
    """What may go, and what stays for another reason than being needed. Raises DockerError."""
    due: list[Due] = []
    stays: list[Stays] = []
    used = _used(docker)
    planned = _ids(docker, needs.images) | _brought_by_digest(needs.images, records)
    own = needed.repositories([*needs.images, *(name for one in records.brought.values() for name in one["names"])])
    for image_id in sorted({*records.brought, *records.tried, *needs.rejected}):
        if image_id in needs.image_ids or image_id in planned:
            continue
        found = docker.image(image_id)
        if found is None:
            continue
        what = _what(found, records.brought.get(image_id))
        because = _stays(found, own, used.get(image_id, ""), records.brought.get(image_id), keep_days, now)
        if because:
            stays.append(Stays(IMAGE, what, because))
            continue
        why = "of a rejected release" if image_id in needs.rejected else "no release needs it"
        due.append(Due(IMAGE, what, _names(found) or (image_id,), int(found.get("Size") or 0), why))
    return due, stays


def _ids(docker: Docker, names: t.Iterable[str]) -> set[str]:
    found = filter(None, map(docker.image, names))
    return {str(image["Id"]) for image in found}


def _brought_by_digest(images: t.Collection[str], records: Records) -> set[str]:
    """Those that Docker has no such name for."""
    names = {name for name in images if reference.read(name).digest}
    return {image_id for image_id, one in records.brought.items() if names.intersection(one["names"])}


def _used(docker: Docker) -> dict[str, str]:
    """A container of each image that one is made of, running or not."""
    return {str(row.get("ImageID")): (row.get("Names") or [row["Id"][:12]])[0] for row in docker.all_containers()}


def _names(image: Json) -> tuple[str, ...]:
    listed = [*(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])]
    return tuple(name for name in listed if not name.startswith("<none>"))


def _what(image: Json, brought: Brought | None) -> str:
    return next(iter([*(brought["names"] if brought else []), *_names(image)]), str(image["Id"]))


def _stays(
    image: Json, own: t.Collection[str], container: str, brought: Brought | None, keep_days: float, now: float
) -> str:
    """Why it is not removed; '' where it may go."""
    if container:
        return f"the container {container.lstrip('/')} is made of it"
    others = [name for name in _names(image) if reference.read(name).repository not in own]
    if others:
        return f"it is also {others[0]}, which is not ours"
    if brought and now - brought["at"] < max(keep_days * DAY, GRACE):
        return f"it came {(now - brought['at']) / DAY:.1f} days ago, and may be meant for what is still to come"
    return ""


def remove(docker: Docker, due: Due) -> str:
    """Remove it, never by force; why it is still there, or ''. It goes with its last name."""
    for name in due.names:
        try:
            docker.remove_image(name)
        except DockerError as error:
            return f"Docker keeps it: {error}"
    return ""
