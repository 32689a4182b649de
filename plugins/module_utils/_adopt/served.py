# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vLLM server that somebody else has started, as it is found.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.concealing import MASK, concealed_text, is_secret_variable
from .._settings.names import canonical


class Mount(t.TypedDict):
    """A path of the host, and where the server sees it."""

    host: str
    inside: str


class Served(t.TypedDict):
    """`words` are vLLM's own, behind `vllm serve`. `port` and `bind` are the host's; 0 and '' are what the words say.

    `gpus` are indices or UUIDs; none where the server was not told which. `withheld` are names of secrets, whose values
    stay where they are. `stop` is the command that ends it for good.
    """

    what: str
    name: str
    words: list[str]
    image: str
    version: str
    variables: dict[str, str]
    mounts: list[Mount]
    port: int
    bind: str
    gpus: list[str]
    shm_mib: int
    host_ipc: bool
    contained: bool
    withheld: list[str]
    stop: str


def without_secrets(words: t.Sequence[str]) -> tuple[list[str], list[str]]:
    """The words with secrets masked, and the names of those. Several keys may follow one option."""
    found: list[str] = []
    kept: list[str] = []
    hiding = False
    for word in words:
        if word.startswith("-"):
            flag, equals, _value = word.partition("=")
            hiding = is_secret_variable(canonical(flag).upper())
            if hiding:
                found.append(canonical(flag))
                kept.append(f"{flag}={MASK}" if equals else word)
                continue
        elif hiding:
            kept.append(MASK)
            continue
        shown = concealed_text(word)
        if shown != word:
            found.append(next((canonical(one.partition("=")[0]) for one in reversed(kept) if one[:1] == "-"), "a word"))
        kept.append(shown)
    return kept, sorted(set(found))


def variables_without_secrets(variables: t.Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The same of variables; those that are secrets are left out."""
    kept = {
        name: value
        for name, value in variables.items()
        if not is_secret_variable(name) and concealed_text(value) == value
    }
    return kept, sorted(set(variables) - set(kept))
