# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that change while an application runs: a file is read again when it, or that of its key, is another one."""

from __future__ import annotations

import logging
import os
import threading
import typing as t

from . import settings
from .settings import Settings, SettingsError

# By the role: the environment of an application names the file.
VARIABLE = "VLLM_CLIENT_FILE"
log = logging.getLogger("gpufleet_client")
_State = tuple[t.Optional[tuple[int, int, int]], ...]


class Live:
    """The settings as they are now. What cannot be read leaves those of before in force, and is said once."""

    def __init__(self, source: Settings | str | os.PathLike[str] | None = None) -> None:
        given = os.environ.get(VARIABLE) if source is None else source
        if not given:
            raise SettingsError(f"No settings: name the JSON file of the server, or set {VARIABLE} to it.")
        self._lock = threading.Lock()
        self._path = "" if isinstance(given, Settings) else os.fspath(given)
        # Looked at before they are read: what changes meanwhile is seen by the next look. The first look reads again
        # where there is a key's file, which nobody knew of before.
        self._seen = self._state("") if self._path else ()
        self._settings = given if isinstance(given, Settings) else settings.read(given)

    def now(self) -> Settings:
        """The settings, read again where a file has changed."""
        if not self._path:
            return self._settings
        with self._lock:
            state = self._state(self._settings.api_key_file)
            if state != self._seen:
                self._seen = state
                self._read()
            return self._settings

    def _read(self) -> None:
        try:
            before, self._settings = self._settings.api_key_file, settings.read(self._path)
            if self._settings.api_key_file != before:
                self._seen = self._seen[:1]  # nobody looked at this one before it was read
        except SettingsError as error:
            log.warning("%s The settings of before stay in force.", error)

    def _state(self, key_file: str) -> _State:
        return (_signature(self._path), *([_signature(key_file)] if key_file else []))


def _signature(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size)
