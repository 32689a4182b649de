# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login to a registry: by the inventory's variables, or as `docker login` left it on the host.

It is sent to Docker alone, in the header of a pull. What cannot be used is said, and the image is pulled without a
login: most registries give it out all the same.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import base64
import json
import typing as t

from .._outside import documents
from .._outside.documents import Json
from .._state.durable import read_text
from . import credential_helper, reference
from .credential_helper import NoLogin

CONFIG = "/root/.docker/config.json"
# By this address Docker and its helpers know the login to Docker Hub.
HUB_ADDRESS = "https://index.docker.io/v1/"
# What a registry may be logged in with, by the key of config.json and by that of Docker's header.
TOKENS = {"identitytoken": "an identity token", "registrytoken": "a registry token"}

Ask = t.Callable[[str, str], "tuple[str, str] | None"]


class Login(t.NamedTuple):
    """User and password, or a token; `origin` says where it is from and holds nothing secret."""

    origin: str
    username: str = ""
    password: str = ""
    identitytoken: str = ""
    registrytoken: str = ""

    def header(self, registry: str) -> str:
        """X-Registry-Auth of Docker's API."""
        address = HUB_ADDRESS if registry == reference.HUB else registry
        secret = {key: value for key, value in self._asdict().items() if value and key != "origin"}
        return base64.urlsafe_b64encode(json.dumps({**secret, "serveraddress": address}).encode()).decode()


def login(
    registry: str,
    stated: t.Mapping[str, Json] | None = None,
    path: str = CONFIG,
    ask: Ask = credential_helper.ask,
) -> Login | None:
    """The login to a registry; None where nobody has one. STATED are those of the inventory. Raises NoLogin."""
    own = (stated or {}).get(registry)
    if own:
        return Login("the inventory", **{_KEYS[key]: str(value) for key, value in own.items() if key in _KEYS})
    try:
        text = read_text(path)
        config = documents.parse(text) if text else {}
    except (OSError, ValueError) as error:
        # The text of the error may quote what cannot be read.
        raise NoLogin(f"{path} cannot be read ({getattr(error, 'strerror', None) or 'it is no JSON'})") from None
    if not isinstance(config, dict):
        raise NoLogin(f"{path} holds no JSON object")
    return _configured(registry, config, path, ask)


_KEYS: t.Final = {"username": "username", "password": "password", "identity_token": "identitytoken"}


def _configured(registry: str, config: Json, path: str, ask: Ask) -> Login | None:
    """As Docker's own client looks for it: the registry's helper, else the store, else what stands in the file."""
    helpers = {reference.host_of(key): name for key, name in _texts(config.get("credHelpers")).items()}
    store = config.get("credsStore")
    helper = helpers.get(registry) or (store if isinstance(store, str) else "")
    kept = _logins(config.get("auths")).get(registry) or {}
    if helper:
        address = HUB_ADDRESS if registry == reference.HUB else registry
        found = ask(helper, address)
        if found is not None:
            user, secret = found
            origin = f"the credential helper {helper}"
            if user == "<token>":
                return Login(origin, identitytoken=secret)
            return Login(origin, user, secret)
    for key, what in TOKENS.items():
        if kept.get(key):
            if not isinstance(kept[key], str):
                raise NoLogin(f"the login to {registry} in {path} has {what} that is no text: log in again")
            return Login(path, **{key: kept[key]})
    if not kept.get("auth"):
        return None
    user, password = _user(str(kept["auth"]), registry, path)
    return Login(path, user, password)


def _logins(auths: t.Any) -> dict[str, Json]:
    """By the registry's host, however its address is written there."""
    known = auths.items() if isinstance(auths, dict) else ()
    return {reference.host_of(key): one for key, one in known if isinstance(one, dict)}


def _texts(value: t.Any) -> dict[str, str]:
    return {key: text for key, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}


def _user(auth: str, registry: str, path: str) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except ValueError:
        colon = ""
    if not colon:  # what it holds is not shown
        raise NoLogin(f"the login to {registry} in {path} is damaged: log in again (docker login)")
    return user, password.rstrip("\0")
