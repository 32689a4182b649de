# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the name of an image promises: whose it is, and whether it can become another one.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

OFFICIAL = "docker.io/vllm/vllm-openai"
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
DIGEST_OF = "docker image inspect --format '{{index .RepoDigests 0}}' IMAGE"
HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
# Tags that move on with every release or build; Docker takes latest where none is written.
MOVING = re.compile(r"latest|nightly|main|master|dev")


class Name(t.NamedTuple):
    """`docker.io/vllm/vllm-openai:v0.32.0` in its parts. `pinned`: it has a digest."""

    repository: str
    tag: str
    pinned: bool


def read(image: str) -> Name:
    """As Docker reads it."""
    pinned = DIGEST.search(image) is not None
    bare = image.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    name, _colon, tag = last.partition(":")
    repository = f"{head}{slash}{name}"
    registry, rest, path = repository.partition("/")
    if not rest or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, path = "docker.io", repository if rest else f"library/{repository}"
    return Name(f"{'docker.io' if registry in HUB else registry}/{path}", tag, pinned)


def notes(image: str) -> list[str]:
    """Sentences for who reads the plan; none of them stops it."""
    name = read(image)
    found = []
    if name.repository != OFFICIAL:
        who = f"The image is {name.repository}, not {OFFICIAL}"
        found.append(f"{who}: what runs is what those who build it and who hand it out decide.")
    if not name.pinned:
        tag = name.tag or "latest"
        moves = "is another image after every release" if MOVING.match(tag) else "can be moved by who publishes it"
        found.append(
            f"The image has no digest, and the tag {tag} {moves}: pin it, {DIGEST_OF} prints the name to write."
        )
    return found
