# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which image an instance is planned with, and which release of vLLM that holds.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ..._outside.documents import Json
from ..._settings import types
from ..._vllm.images import at, tag_release

# A name as Docker takes it: no blank, and nothing that an option begins with.
REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")


class Planned(t.NamedTuple):
    """An image and the release that arguments are planned for."""

    image: str
    version: str


def own(image: str, version: str, host: Planned) -> Planned:
    """What an instance's own keys come to: each tells the other where an official tag says the release."""
    if image:
        return Planned(image, version or tag_release(image) or host.version)
    return Planned(at(host.image, version), version) if version else host


def moved(planned: Planned, version: str) -> Planned:
    """The same at a target version."""
    return Planned(at(planned.image, version), version) if version else planned


def stated(host: Planned, instances: t.Any, target_instance: str, target_version: str) -> list[Planned]:
    """All that a host's variables plan, each once; the host's own where an instance has none, or where none is listed.

    What is wrong with an instance is told where it is planned.
    """
    found = []
    for given in instances if isinstance(instances, list) else []:
        if not isinstance(given, dict):
            continue
        one = own(_text(given, "image"), _text(given, "version"), host)
        found.append(moved(one, target_version) if given.get("name") == target_instance else one)
    return list(dict.fromkeys(found)) or [host]


def _text(given: Json, key: str) -> str:
    return "" if types.is_blank(given.get(key)) else str(given[key]).strip()
