# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host's images are, as far as they were brought by us: each with its names, and when and how it came.

An image by digest that came from a mirror or an archive has no such name with Docker: it is found by this record.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import typing as t

from .._docker.client import Docker
from .._outside import documents
from .._outside.documents import Json
from .._state.durable import make_folder, read_text, write_atomically
from .._state.store import STATE_DIR
from . import reference

FILE = "brought-images.json"
# No name of an instance has an underscore.
LOCKS = "image_locks"
SHAPE: documents.Shape = {"names": [str], "by": str, "at": float}
PAUSE = 1.0


class Brought(t.TypedDict):
    """An image; `by` is registry, mirror or archive, `at` seconds of the epoch when it came last."""

    names: list[str]
    by: str
    at: float


def known(state_dir: str = STATE_DIR) -> dict[str, Brought]:
    """The images by their ids; none where the file is not one of ours any more."""
    try:
        listed = documents.parse(read_text(os.path.join(state_dir, FILE)) or "{}")
    except (OSError, ValueError):
        return {}
    whole = isinstance(listed, dict) and not any(documents.misfit(one, SHAPE, "") for one in listed.values())
    return t.cast("dict[str, Brought]", listed) if whole else {}


def note(state_dir: str, image_id: str, name: str, by: str) -> None:
    """Remember it. Raises OSError."""
    with locked(state_dir, "record"):
        listed = known(state_dir)
        before = listed.get(image_id)
        names = sorted({*(before["names"] if before else []), name})
        listed[image_id] = {"names": names, "by": by, "at": time.time()}
        _write(state_dir, listed)


def forget(state_dir: str, image_ids: t.Collection[str]) -> None:
    """What is gone from the host. Raises OSError."""
    with locked(state_dir, "record"):
        _write(state_dir, {one: brought for one, brought in known(state_dir).items() if one not in image_ids})


def _write(state_dir: str, listed: t.Mapping[str, Brought]) -> None:
    write_atomically(os.path.join(state_dir, FILE), json.dumps(listed, indent=1, sort_keys=True))


def ids(image: str, state_dir: str = STATE_DIR) -> list[str]:
    """Under which ids an image by digest may be there, though Docker has no such name for it."""
    if not reference.read(image).digest:
        return []
    return [one for one, brought in known(state_dir).items() if image in brought["names"]]


def find(docker: Docker, image: str, state_dir: str = STATE_DIR) -> Json | None:
    """The image of this name, as Docker knows it or by its digest in the record. Raises DockerError."""
    return docker.image(image) or next(filter(None, map(docker.image, ids(image, state_dir))), None)


@contextlib.contextmanager
def locked(state_dir: str, name: str, wait: t.Callable[[], None] | None = None) -> t.Iterator[None]:
    """One at a time on this host. The kernel frees the lock of whoever dies. WAIT is called while another holds it,
    as often as that is so. Raises OSError where no lock can be had."""
    folder = os.path.join(state_dir, LOCKS)
    make_folder(folder)
    with open(os.open(os.path.join(folder, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if wait else 0))
                break
            except BlockingIOError:
                if wait is not None:
                    wait()
        yield
