# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where images come from besides their registry: what the inventory states, kept on the host for whoever pulls there.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import os
import re
import typing as t
from dataclasses import dataclass, field

from .._outside import documents
from .._outside.documents import Json
from .._state.durable import read_text, write_atomically
from .._state.store import STATE_DIR
from . import reference

FILE = "image-sources.json"
REGISTRY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?|\[[0-9a-fA-F:]+\](:[0-9]{1,5})?")
PLACE = re.compile(rf"(?:{REGISTRY.pattern})(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")
WAYS: t.Final = ({"username", "password"}, {"identity_token"})
NOT_SHOWN = "what it is now is not shown"


class Archive(t.NamedTuple):
    """A file or folder of the host, and the id that its image has to have; '' where its digest is in the archive."""

    path: str
    image_id: str = ""


@dataclass(frozen=True)
class Sources:
    """Logins by registry, mirrors by what they stand for, archives by the image's name as it is planned."""

    registries: dict[str, Json] = field(default_factory=dict)
    mirrors: dict[str, str] = field(default_factory=dict)
    archives: dict[str, Archive] = field(default_factory=dict)

    def mirrored(self, image: str) -> str:
        """The same image at a mirror; '' where none is stated. The longest place that it is below decides."""
        name = reference.read(image)
        for place in sorted(self.mirrors, key=len, reverse=True):
            if name.repository == place or name.repository.startswith(f"{place}/"):
                return name.at(self.mirrors[place] + name.repository[len(place) :])
        return ""


def read(stated: Json, errors: list[str]) -> Sources:
    """What is stated as `registries`, `mirrors` and `archives`. What is wrong is added to `errors`, and left out."""
    return Sources(
        _registries(stated.get("registries") or {}, errors),
        _mirrors(stated.get("mirrors") or {}, errors),
        _archives(stated.get("archives") or {}, errors),
    )


def _registries(stated: Json, errors: list[str]) -> dict[str, Json]:
    found = {}
    for name, login in stated.items():
        host = reference.host_of(str(name))
        where = f"vllm_server_registries[{name!r}]"
        if not REGISTRY.fullmatch(host):
            errors.append(f"{where} is no registry: write its host, with its port where it has one, as ghcr.io.")
            continue
        texts = isinstance(login, dict) and all(isinstance(value, str) and value for value in login.values())
        if not texts or set(login) not in WAYS:
            keys = f"has {', '.join(map(str, login))}" if isinstance(login, dict) else "is no mapping"
            errors.append(
                f"{where} {keys} ({NOT_SHOWN}): write username and password, or identity_token, each a text that is "
                "not empty. An access token goes in as a password."
            )
        else:
            found[host] = dict(login)
    return found


def _mirrors(stated: Json, errors: list[str]) -> dict[str, str]:
    found = {}
    for name, mirror in stated.items():
        place = reference.host_of(str(name)) + str(name)[len(str(name).partition("/")[0]) :]
        wrong = next((one for one in (place, mirror) if not isinstance(one, str) or not PLACE.fullmatch(one)), None)
        if wrong is not None:
            errors.append(
                f"vllm_server_image_mirrors[{name!r}] has {wrong!r}: write a registry, or a place in one, without "
                "https:// in front and without a tag, as docker.io/vllm: mirror.example.com/hub/vllm."
            )
        else:
            found[place] = mirror
    return found


def _archives(stated: Json, errors: list[str]) -> dict[str, Archive]:
    found = {}
    for image, value in stated.items():
        where = f"vllm_server_image_archives[{image!r}]"
        told = {"path": value} if isinstance(value, str) else value
        if not isinstance(told, dict) or set(told) - {"path", "image_id"} or "path" not in told:
            errors.append(f"{where} is {value!r}: write the path of an archive, or a mapping of path and image_id.")
            continue
        path, image_id = told["path"], told.get("image_id") or ""
        if not isinstance(path, str) or not os.path.isabs(path):
            errors.append(f"{where} has the path {path!r}: write an absolute path on the host.")
        elif image_id and not (isinstance(image_id, str) and IMAGE_ID.fullmatch(image_id)):
            errors.append(f"{where} has the image_id {image_id!r}: write sha256: and 64 digits (docker image inspect).")
        else:
            found[str(image)] = Archive(path, image_id)
    return found


def path_of(state_dir: str = STATE_DIR) -> str:
    return os.path.join(state_dir, FILE)


def dumped(sources: Sources) -> str:
    """The file's text; '' where nothing is stated, and no file is to be."""
    stated: Json = {
        "registries": sources.registries,
        "mirrors": sources.mirrors,
        "archives": {image: one._asdict() for image, one in sources.archives.items()},
    }
    return json.dumps(stated, indent=1, sort_keys=True) if any(stated.values()) else ""


def keep(sources: Sources, state_dir: str, write: bool = True) -> bool:
    """Have the host know what is stated, for root alone; whether anything is new. Raises OSError."""
    path, text = path_of(state_dir), dumped(sources)
    try:
        same = (read_text(path) or "") == text and (not text or os.stat(path).st_mode & 0o777 == 0o400)
    except ValueError:
        same = False
    if same or not write:
        return not same
    if text:
        write_atomically(path, text, mode=0o400)
    else:
        os.remove(path)
    return True


def known(state_dir: str = STATE_DIR) -> Sources:
    """What the host knows; nothing where its file is not one of ours any more."""
    try:
        stated = documents.parse(read_text(path_of(state_dir)) or "{}")
        return read(stated, []) if isinstance(stated, dict) else Sources()
    except (OSError, ValueError, AttributeError):
        return Sources()
