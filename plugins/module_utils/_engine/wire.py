# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP request to an engine, with a deadline.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import copy
import json
import typing as t
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener


class NoAnswer(Exception):
    """Nobody answered: refused, reset, timed out, or not HTTP."""


@dataclass(frozen=True)
class Reply:
    """What came back: the status code and the body, parsed where it is JSON."""

    status: int
    body: t.Any

    @property
    def error(self) -> str:
        """The engine's own words for what went wrong, in one line of at most 300 characters."""
        message = self.body
        if isinstance(self.body, dict):
            error = self.body.get("error") or self.body.get("detail") or self.body
            message = error.get("message", error) if isinstance(error, dict) else error
        return " ".join(str(message).split())[:300]


def parsed(text: str) -> t.Any:
    """JSON where the text is JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


class Http:
    """Requests that never leave through a proxy: engines are on this host."""

    def __init__(self) -> None:
        self._opener: OpenerDirector = build_opener(ProxyHandler({}))
        self.token = ""

    def with_token(self, token: str) -> Http:
        """The same with an API key; an empty one sends none."""
        asking = copy.copy(self)
        asking.token = token
        return asking

    def request(self, method: str, url: str, timeout: float, body: t.Any = None) -> Reply:
        """Ask once; `timeout` in seconds. Raises NoAnswer; an HTTP error status is a Reply."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = Request(url, data=data, method=method, headers=headers)
        try:
            with self._answer(request, timeout) as answer:
                return Reply(answer.status, parsed(answer.read().decode("utf-8", "replace")))
        except (OSError, HTTPException) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error

    def _answer(self, request: Request, timeout: float) -> t.Any:
        try:
            return self._opener.open(request, timeout=timeout)
        except HTTPError as error:
            return error
