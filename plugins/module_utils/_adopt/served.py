# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vLLM server that somebody else has started, as it is found.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import typing as t

from .._outside import documents
from .._outside.concealing import MASK, concealed, concealed_log, concealed_text, is_secret_variable
from .._settings.names import canonical

# Options with a secret behind them. vLLM's parser takes their beginnings too.
SECRET_OPTIONS = ("api_key", "hf_token")


class Mount(t.TypedDict):
    """A path of the host, and where the server sees it."""

    host: str
    inside: str


class Served(t.TypedDict):
    """`words` are vLLM's own, behind `vllm serve`. `port` and `bind` are the host's; 0 and '' are what the words say.

    `gpus` are indices or UUIDs; none where the server was not told which. `withheld` are names of secrets, whose values
    stay where they are, `unread` options of Docker without a place in an instance. `stop` is the command that ends it
    for good.
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
    unread: list[str]
    stop: str


def bare(words: t.Sequence[str], variables: t.Mapping[str, str], what: str, name: str = "", stop: str = "") -> Served:
    """One outside of containers: its paths and ports are the host's."""
    shown, secrets = without_secrets(words)
    stated, hidden = variables_without_secrets(variables)
    return {
        "what": what,
        "name": name,
        "words": shown,
        "image": "",
        "version": "",
        "variables": stated,
        "mounts": [],
        "port": 0,
        "bind": "",
        "gpus": [one.strip() for one in variables.get("CUDA_VISIBLE_DEVICES", "").split(",") if one.strip()],
        "shm_mib": 0,
        "host_ipc": False,
        "contained": False,
        "withheld": sorted({*secrets, *hidden}),
        "unread": [],
        "stop": stop,
    }


def without_secrets(words: t.Sequence[str]) -> tuple[list[str], list[str]]:
    """The words with secrets masked, and the names of those. Several keys may follow one option."""
    found: list[str] = []
    kept: list[str] = []
    hiding = False
    for word in words:
        if word.startswith("-"):
            flag, equals, _value = word.partition("=")
            secret = _secret_option(flag)
            hiding = bool(secret) and not equals
            if secret:
                found.append(secret)
                kept.append(f"{flag}={MASK}" if equals else word)
                continue
        elif hiding:
            kept.append(MASK)
            continue
        shown = _concealed(word)
        if shown != word:
            found.append(next((canonical(one.partition("=")[0]) for one in reversed(kept) if one[:1] == "-"), "a word"))
        kept.append(shown)
    return kept, sorted(set(found))


def variables_without_secrets(variables: t.Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The same of variables; those that are secrets are left out."""
    kept = {
        name: value for name, value in variables.items() if not is_secret_variable(name) and _concealed(value) == value
    }
    return kept, sorted(set(variables) - set(kept))


def _secret_option(flag: str) -> str:
    """The secret that an option takes, by its whole name; '' where it takes none."""
    name = canonical(flag)
    begun = [whole for whole in SECRET_OPTIONS if len(name) > 2 and whole.startswith(name)]
    return begun[0] if begun else name if is_secret_variable(name.replace(".", "_")) else ""


def _concealed(word: str) -> str:
    """A word, and what it holds as JSON, with the secrets in it masked."""
    option, equals, document = word.partition("=") if word.startswith("-") else ("", "", word)
    if not document.lstrip().startswith(("{", "[")):
        return concealed_text(word)
    try:
        held = documents.parse(document)
    except ValueError:
        return concealed_log(word)
    masked = concealed(held)
    return word if masked == held else f"{option}{equals}{json.dumps(masked, ensure_ascii=False)}"
