# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container that answers one question about an image and is gone.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .._docker.client import Docker
from .._outside.documents import Json
from .containers import is_marked

LABEL = "io.gpufleet.probe"


@contextlib.contextmanager
def made(docker: Docker, name: str, body: Json) -> t.Iterator[str]:
    """Its id, for as long as it is needed.

    What a probe that was killed left is removed; what somebody else has under the name stays, and another name is used.
    """
    left = docker.container(name)
    if left is not None and is_marked(docker, left, LABEL, name):
        docker.remove(left["Id"])
        left = None
    free = name if left is None else f"{name}-{os.urandom(4).hex()}"
    container = docker.create(free, {**body, "Labels": {LABEL: name}})
    try:
        yield container
    finally:
        docker.remove(container)
