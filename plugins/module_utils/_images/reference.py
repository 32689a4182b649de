# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of an image in its parts, as Docker reads it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

HUB = "docker.io"
HUB_NAMES = (HUB, "index.docker.io", "registry-1.docker.io")
DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})$")


class Reference(t.NamedTuple):
    """`docker.io/vllm/vllm-openai:v0.32.0@sha256:...`; tag and digest are '' where it has none."""

    registry: str
    path: str
    tag: str
    digest: str

    @property
    def repository(self) -> str:
        return f"{self.registry}/{self.path}"

    @property
    def version(self) -> str:
        """What comes behind the repository, and which image is pulled by it."""
        return f"@{self.digest}" if self.digest else f":{self.tag or 'latest'}"

    def at(self, repository: str) -> str:
        """The same image in another repository."""
        return f"{repository}{self.version}"


def read(image: str) -> Reference:
    found = DIGEST.search(image)
    head, slash, last = image.partition("@")[0].rpartition("/")
    name, _colon, tag = last.partition(":")
    repository = f"{head}{slash}{name}"
    registry, rest, path = repository.partition("/")
    if not rest or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, path = HUB, repository if rest else f"library/{repository}"
    return Reference(HUB if registry in HUB_NAMES else registry, path, tag, found[1] if found else "")


def host_of(address: str) -> str:
    """The registry of an address as it stands in a config.json: `https://index.docker.io/v1/` is `docker.io`."""
    host = address.partition("://")[2].partition("/")[0] if "://" in address else address.partition("/")[0]
    return HUB if host in HUB_NAMES else host
