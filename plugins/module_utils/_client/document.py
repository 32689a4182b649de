# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application reads of one server, as JSON, as variables, and its key.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import shlex
import typing as t

from .._outside import concealing, documents
from .._outside.documents import Json
from .._state.client_file import environment
from .._state.request import Client

# Where a key may stand.
FILE, ENV, JSON = "file", "env", "json"
PLACES = (FILE, ENV, JSON)
# The openai package asks for a key, and takes one of another account where a variable has it.
NO_KEY = "unused"
# Variables that hold no key, beside those of sampling.
OPEN = frozenset({"OPENAI_BASE_URL", "VLLM_CLIENT_API_KEY_REQUIRED", "VLLM_CLIENT_API_KEY_FILE"})


class Document(Client, total=False):
    """What a rollout writes on the server's host, and what the client needs beside it."""

    name: str
    retries: list[float]
    max_in_flight: int
    timeout: int
    api_key_file: str
    api_key: str


OPEN_KEYS = frozenset(Document.__annotations__) - {"api_key"}


class Endpoint(t.NamedTuple):
    name: str
    document: Document
    api_key: str


class Texts(t.NamedTuple):
    """Contents by names of files below the folder: those for everybody, and those that hold a key."""

    plain: dict[str, str]
    secret: dict[str, str]


def texts(endpoints: t.Iterable[Endpoint], folder: str, places: t.Collection[str]) -> Texts:
    """The files of all endpoints in FOLDER; keys stand in PLACES alone."""
    found = Texts({}, {})
    for one in endpoints:
        path = f"{folder.rstrip('/')}/{one.name}"
        document: Document = {**one.document}
        if one.api_key and FILE in places:
            document["api_key_file"] = f"{path}.key"
            found.secret[f"{one.name}.key"] = one.api_key + "\n"
        if one.api_key and JSON in places:
            document["api_key"] = one.api_key
        in_json = found.secret if one.api_key and JSON in places else found.plain
        in_json[f"{one.name}.json"] = json.dumps(document, indent=2, sort_keys=True) + "\n"
        in_env = found.secret if one.api_key and ENV in places else found.plain
        in_env[f"{one.name}.env"] = _variables(one, f"{path}.json", places, document)
    return found


def _variables(one: Endpoint, path: str, places: t.Collection[str], document: Document) -> str:
    more: Json = {"VLLM_CLIENT_FILE": path}
    if "api_key_file" in document:
        more["VLLM_CLIENT_API_KEY_FILE"] = document["api_key_file"]
    if not one.api_key:
        more["OPENAI_API_KEY"] = NO_KEY
    elif ENV in places:
        more["OPENAI_API_KEY"] = one.api_key
    return environment(one.document) + "".join(f"{name}={shlex.quote(value)}\n" for name, value in more.items())


def may_hold_key(name: str, text: str) -> bool:
    """Whether a file of ours, as a host has it, may hold a key: all but what this writes without one."""
    if name.endswith((".py", ".typed")):
        return False
    try:
        return not (_is_open_json(text) if name.endswith(".json") else _are_open_variables(text))
    except ValueError:
        return True


def _is_open_json(text: str) -> bool:
    found = documents.parse(text)
    return isinstance(found, dict) and OPEN_KEYS.issuperset(found) and not concealing.secrets(found)


def _are_open_variables(text: str) -> bool:
    """Raises ValueError where it is none that a shell reads."""
    # What stands behind a # is read too: a key that somebody has put out of force is one still.
    return all(_is_open(*word.partition("=")) for word in shlex.split(text))


def _is_open(name: str, equals: str, value: str) -> bool:
    if not equals:
        return False
    if name in OPEN or (name, value) == ("OPENAI_API_KEY", NO_KEY):
        return True
    return name.startswith("VLLM_CLIENT_") and not concealing.secrets({"env": {name: value}})
