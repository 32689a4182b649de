# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""API keys on a host: one file for each release that asks for a key, and a fingerprint that tells keys apart.

The file is what the engine reads as its configuration. Nothing else on the host holds the key.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import typing as t

from .._docker.release import Release
from .._engine.http_client import Http
from .._outside import documents
from .durable import read_text, write_atomically
from .state import State
from .store import STATE_DIR

FOLDER = "api-keys"
HOST_SECRET = "fingerprint.secret"
HOST_SECRET_BYTES = 32


class ApiKeyMissing(Exception):
    """The file with a release's key is not there, or holds no key."""


def host_secret(state_dir: str = STATE_DIR, remember: bool = True) -> str:
    """What fingerprints of this host are made with: random, made once, read by root alone.

    Where there is none and none shall be remembered, one that is good for a single use.
    """
    path = os.path.join(state_dir, HOST_SECRET)
    known = read_text(path)
    if known:
        return known
    made = secrets.token_hex(HOST_SECRET_BYTES)
    if remember:
        write_atomically(path, made, mode=0o400)
    return made


def fingerprint(secret: str, instance: str, keys: t.Sequence[str]) -> str:
    """HMAC-SHA-256 of an instance's keys: without the host's secret not even a weak key can be guessed from it."""
    stated = json.dumps([instance, list(keys)])
    return hmac.new(secret.encode(), stated.encode(), hashlib.sha256).hexdigest()


class ApiKeys:
    """The key files of all instances of a host."""

    def __init__(self, state_dir: str = STATE_DIR) -> None:
        self.state_dir = state_dir

    def path(self, release: Release) -> str:
        """The release's key file; '' where it asks for no key."""
        marked = release.get("api_key")
        return self._file(release["instance"], marked["fingerprint"]) if marked else ""

    def _file(self, instance: str, mark: str) -> str:
        return os.path.join(self.state_dir, instance, FOLDER, f"{mark}.yaml")

    def keep(self, release: Release, keys: t.Sequence[str]) -> None:
        """Write the release's keys down. JSON is YAML, and quotes what YAML would take for a number."""
        path, text = self.path(release), json.dumps({"api-key": list(keys)})
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        if read_text(path) != text:  # a file that is right belongs to the engine's user already
            write_atomically(path, text, mode=0o400)

    def hand_over(self, release: Release, uid: int) -> None:
        """Let the user that the engine runs as read the release's keys. Raises ApiKeyMissing."""
        path = self.path(release)
        if not path:
            return
        self.token(release)
        os.chown(path, uid, -1)

    def token(self, release: Release) -> str:
        """The release's first key; '' where it asks for none. Raises ApiKeyMissing."""
        path = self.path(release)
        if not path:
            return ""
        try:
            return str(documents.parse(read_text(path) or "")["api-key"][0])
        except (ValueError, KeyError, IndexError, TypeError, OSError):
            # The error's own text might hold what the file does.
            raise ApiKeyMissing(f"{path} is missing or holds no API key") from None

    def http(self, http: Http, release: Release) -> Http:
        """Requests as a client of the release makes them. Raises ApiKeyMissing."""
        token = self.token(release)
        return http.with_token(token) if token else http

    def prune(self, state: State) -> None:
        """Remove the keys of releases that are no longer kept."""
        known = {self.path(entry.release) for entry in state.entries()}
        folder = os.path.join(self.state_dir, state.instance, FOLDER)
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(folder):
                if os.path.join(folder, name) not in known:
                    os.remove(os.path.join(folder, name))
            if not os.listdir(folder):
                os.rmdir(folder)
