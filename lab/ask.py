# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a vLLM server for words. Whatever comes back instead is one sentence about it."""

from __future__ import annotations

import http.client
import json
import typing as t
import urllib.error
import urllib.request

MOST = 1 << 20  # bytes that are read of an answer
SHOWN = 300


class NoAnswer(Exception):
    """There was no answer with words in it; the text says what there was."""


def words(url: str, body: dict[str, t.Any], seconds: float = 60.0) -> str:
    """The words of a completion, or of a chat's. Raises NoAnswer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            said = answer.read(MOST)
    except urllib.error.HTTPError as error:
        raise NoAnswer(f"{url} answered with HTTP status {error.code}: {_shown(_rest(error))}") from error
    except TimeoutError as error:
        raise NoAnswer(f"{url} did not answer within {seconds:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise NoAnswer(f"{url} cannot be asked: {reason or type(error).__name__}") from error
    text = _text(said)
    if text is None:
        raise NoAnswer(f"{url} answered with something that is no completion: {_shown(said)}")
    if not text.strip():
        raise NoAnswer(f"{url} answered with no words")
    return text


def _rest(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(MOST)
    except (OSError, http.client.HTTPException):
        return b""


def _text(said: bytes) -> str | None:
    try:
        choice = json.loads(said)["choices"][0]
        text = choice["message"]["content"] if "message" in choice else choice["text"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return text if isinstance(text, str) else None


def _shown(said: bytes) -> str:
    return " ".join(said.decode(errors="replace").split())[:SHOWN] or "nothing"
