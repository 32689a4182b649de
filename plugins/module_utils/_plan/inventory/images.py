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

# A name as Docker takes it (the grammar of github.com/distribution/reference): no blank, no scheme, no capital in a
# repository, and nothing that an option begins with.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
NAME = re.compile(rf"(?:{_REGISTRY}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Planned(t.NamedTuple):
    """An image and the release that arguments are planned for."""

    image: str
    version: str


def problem(image: str) -> str:
    """The end of a sentence that begins with the variable or key; '' where Docker takes the name."""
    name, at_sign, pin = image.partition("@")
    what = f"is '{image}': write"
    if "://" in image:
        return f"{what} the name of an image without {image.partition('://')[0]}://."
    if at_sign and not DIGEST.fullmatch(pin):
        return f"{what} a whole digest behind the @, sha256: and 64 hexadecimal digits in small letters."
    if NAME.fullmatch(name):
        return ""
    if NAME.fullmatch(name.lower()):
        return f"{what} its repository in small letters, Docker takes no others."
    return f"{what} the name of an image, such as docker.io/vllm/vllm-openai:v0.32.0, best with its digest."


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
