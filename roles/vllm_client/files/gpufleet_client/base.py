# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both clients share: the settings as they are now, how tokens are counted, what is said of it."""

from __future__ import annotations

import logging
import os
import time
import typing as t

import openai

from . import retries
from .budget import SERVER, Count
from .live import Live
from .request import Counted, Request
from .settings import NO_KEY, Settings

log = logging.getLogger("gpufleet_client")
# A count is worth no long wait: an estimate does.
COUNT_SECONDS = 10.0
# A host that is gone does not even refuse a connection; one that is there takes it at once, however busy it is.
CONNECT_SECONDS = 10.0
# A server or a door that does not count will not do so for the next request either, until it is another one, or its key
# is. Nobody tells that it was restarted: so it is asked again after some seconds.
UNCOUNTED_SECONDS = 60.0
NO_COUNTS = (openai.NotFoundError, openai.AuthenticationError, openai.PermissionDeniedError)
MOST_TOKENS = 10**9


class Base:
    """Of one server. Without a source, the file is the one that the variable VLLM_CLIENT_FILE names."""

    def __init__(self, source: Settings | str | os.PathLike[str] | None = None) -> None:
        self._live = Live(source)
        self._said: set[str] = set()
        self._without_counts: tuple[Settings, float] | None = None

    @property
    def settings(self) -> Settings:
        """As they are now: a file that has changed is read again."""
        return self._live.now()

    def _say(self, key: str, text: str) -> None:
        """Once, until what it is about is right again."""
        if key not in self._said:
            self._said.add(key)
            log.warning("%s: %s", self._live.now().name, text)

    def _heed(self, settings: Settings) -> None:
        """What a request of these settings will meet."""
        if settings.api_key_required and settings.api_key == NO_KEY:
            self._say(
                "key",
                "the server asks for an API key, and there is none in its settings: state api_key of the endpoint, "
                "with file or json in vllm_client_api_key_in, or hand one over, as Client(dataclasses.replace("
                "settings.read(PATH), api_key=KEY)).",
            )
        else:
            self._said.discard("key")

    def _phase(self, settings: Settings, phase: str) -> str:
        if not isinstance(phase, str):
            raise TypeError(f"phase is a {type(phase).__name__}: write its name, a text.")
        if phase and phase not in settings.phases:
            known = ", ".join(sorted(settings.phases)) or "none"
            self._say(
                f"phase {phase}",
                f"there is no phase {phase[:100]!r}, so that it is asked as without one; there are: {known}.",
            )
        return phase

    def _counts(self, settings: Settings) -> bool:
        if self._without_counts is None:
            return True
        # What is read again is another object, and so is what has a new key.
        of, until = self._without_counts
        return of is not settings or time.monotonic() >= until

    def _count(self, settings: Settings, answer: t.Any, counted: Counted) -> Count:
        """What the server's answer says, or an estimate."""
        told = answer if isinstance(answer, dict) else {}
        tokens = _number(told.get("count"))
        if tokens is None:
            return self._estimate(settings, "it answers something else", counted)
        self._said.discard("count")
        return Count(tokens, SERVER, _number(told.get("max_model_len")) or None)

    def _uncounted(self, settings: Settings, error: openai.OpenAIError, counted: Counted) -> Count:
        if isinstance(error, NO_COUNTS):
            self._without_counts = (settings, time.monotonic() + UNCOUNTED_SECONDS)
        status = getattr(error, "status_code", None)
        return self._estimate(settings, f"HTTP {status}" if status else type(error).__name__, counted)

    def _estimate(self, settings: Settings, why: str, counted: Counted) -> Count:
        self._say("count", f"{tokenize(settings)} does not count tokens ({why}): they are estimated, rather too high.")
        return counted.estimate()

    def _prepared(self, request: Request) -> Request:
        name = self._live.now().name
        if request.budget.warning:
            log.warning("%s: %s", name, request.budget.warning)
        if request.dropped:
            log.info("%s: %d of the oldest messages were left out.", name, request.dropped)
        return request

    def _wait(self, error: openai.OpenAIError, retry: int) -> float:
        """Seconds until it is tried again; raises the error where it is not."""
        settings = self._live.now()
        seconds = retries.wait(error, retry, settings.waits)
        if seconds is None:
            raise error
        status = getattr(error, "status_code", None)
        why = f"HTTP {status}" if status else type(error).__name__
        log.warning("%s: %s, retry %d of %d in %g s.", settings.name, why, retry + 1, len(settings.waits), seconds)
        return seconds


def options(settings: Settings) -> dict[str, t.Any]:
    """Of the openai client. Retries are ours."""
    return {
        "base_url": settings.base_url,
        "api_key": settings.api_key,
        "timeout": timeout(settings.timeout),
        "max_retries": 0,
        # Never those of another account that an environment may hold.
        "organization": "",
        "project": "",
    }


def counting(settings: Settings) -> dict[str, t.Any]:
    """Options of the request that counts."""
    return {"timeout": timeout(min(settings.timeout, COUNT_SECONDS))}


def timeout(seconds: float) -> openai.Timeout:
    """Of a request, and a shorter one of its connection, which may be tried again."""
    return openai.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))


def tokenize(settings: Settings) -> str:
    """Beside /v1, not below it."""
    root = settings.base_url
    return f"{root[: -len('/v1')] if root.endswith('/v1') else root}/tokenize"


def _number(value: t.Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None
