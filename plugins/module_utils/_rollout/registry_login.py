# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login to an image's registry, as `docker login` left it on the host. Its password is sent to Docker alone.

What cannot be used is said, and the image is pulled without a login: most registries give it out all the same.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import base64
import json
import typing as t

from .._outside import documents
from .._outside.documents import Json
from .._state.durable import read_text

CONFIG = "/root/.docker/config.json"
HUB = "https://index.docker.io/v1/"


class NoLogin(Exception):
    """There may be a login, and it is not one that can be used; the text says why."""


def registry_of(reference: str) -> str:
    """The registry host of an image reference; Docker Hub where none is named."""
    first = reference.split("/", 1)[0]
    named = "/" in reference and ("." in first or ":" in first or first == "localhost")
    return first if named else HUB


def auth_header(reference: str, path: str = CONFIG) -> str:
    """The X-Registry-Auth header for a pull; '' where nobody has logged in. Raises NoLogin."""
    try:
        text = read_text(path)
        config = documents.parse(text) if text else {}
    except (OSError, ValueError) as error:
        raise NoLogin(f"{path} cannot be read ({error})") from error
    if not isinstance(config, dict):
        raise NoLogin(f"{path} holds no JSON object")
    return _header(reference, config, path)


def _header(reference: str, config: Json, path: str) -> str:
    registry = registry_of(reference)
    key = HUB if registry == "docker.io" else registry
    helper = _texts(config.get("credHelpers")).get(key) or config.get("credsStore")
    login = _logins(config.get("auths")).get(_host(key))
    if login is None and not helper:
        return ""
    if login is None or not login.get("auth"):
        if helper:
            raise NoLogin(f"the login to {_host(key)} is kept by a credential helper ({path}), which is not asked")
        if login and login.get("identitytoken"):
            raise NoLogin(f"the login to {_host(key)} is a token ({path}), which is not used")
        return ""
    user, password = _user(str(login["auth"]), key, path)
    header = {"username": user, "password": password, "serveraddress": registry}
    return base64.urlsafe_b64encode(json.dumps(header).encode()).decode()


def _logins(auths: t.Any) -> dict[str, Json]:
    """By the registry's host, however its address is written there."""
    known = auths.items() if isinstance(auths, dict) else ()
    return {_host(key): login for key, login in known if isinstance(login, dict)}


def _texts(value: t.Any) -> dict[str, str]:
    return {key: text for key, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}


def _host(address: str) -> str:
    """`https://registry.example.com/v1/` and `registry.example.com` are one."""
    return address.partition("://")[2].partition("/")[0] if "://" in address else address.partition("/")[0]


def _user(auth: str, key: str, path: str) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except ValueError:
        colon = ""
    if not colon:  # what it holds is not shown
        raise NoLogin(f"the login to {_host(key)} in {path} is damaged: log in again (docker login)")
    return user, password
