# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One value of what a rollout goes by, as its key has it: seconds, a count, a pattern, a switch.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import re
import typing as t

from ..._outside.documents import Json
from ..._settings import types

TIMEOUT_KEYS = ("pull", "drain", "stop", "free", "ready", "hold")
MAY_BE_ZERO = ("drain", "hold", "stop", "rollback_window")
WATCH_KEYS = ("enabled", "interval", "deadline", "failure_threshold", "restarts", "rollback_window")
LONGEST = 30 * 24 * 3600
MOST_RANKED = 16
AUTO = "auto"
Reader = t.Callable[[str, t.Any], t.Any]


class WrongError(ValueError):
    """The text says what is right."""


def _whole(value: t.Any) -> int | None:
    try:
        return types.whole(value)
    except types.WrongError:
        return None


def _seconds(key: str, value: t.Any) -> int:
    found, least = _whole(value), 0 if key in MAY_BE_ZERO else 1
    if found is None or not least <= found <= LONGEST:
        raise WrongError(f"write seconds, a whole number from {least} to {LONGEST} (30 days).")
    return found


def _count(key: str, value: t.Any) -> int:
    found = _whole(value)
    if found is None or found < 1:
        raise WrongError("write a whole number of 1 or more.")
    return found


def _deadline(key: str, value: t.Any) -> int | float:
    try:
        found = types.number(value)
    except types.WrongError:
        found = 0
    if not 0 < found <= LONGEST:
        raise WrongError(f"write seconds, a number above 0 and at most {LONGEST} (30 days).")
    return found


def _text(key: str, value: t.Any) -> str:
    try:
        return types.text(value)
    except types.WrongError as wrong:
        raise WrongError(f"{wrong}.") from wrong


def _pattern(key: str, value: t.Any) -> str:
    try:
        pattern = _text(key, value)
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise WrongError(f"write a regular expression of Python ({error}).") from error
    return pattern


def _messages(key: str, value: t.Any) -> list[Json]:
    whole = isinstance(value, list) and all(
        isinstance(item, dict) and isinstance(item.get("role"), str) and item.get("content") for item in value
    )
    if not whole or not value:
        raise WrongError("write a list of mappings, each with role and content.")
    return t.cast("list[Json]", value)


def _rank(key: str, value: t.Any) -> Json:
    """A query, and what must be scored in this order."""
    ranking: t.Any = None
    with contextlib.suppress(types.WrongError):
        ranking = types.mapping(value)
    documents = ranking.get("documents") if isinstance(ranking, dict) else None
    texts = documents if isinstance(documents, list) else []
    whole = all(isinstance(text, str) and text.strip() for text in texts) and 2 <= len(texts) <= MOST_RANKED
    query = ranking.get("query") if isinstance(ranking, dict) else None
    if not whole or not isinstance(query, str) or not query.strip() or set(ranking) != {"query", "documents"}:
        raise WrongError(f"write a mapping of query, a text, and documents, 2 to {MOST_RANKED} texts, the best first.")
    return {"query": query, "documents": texts}


def _choice(key: str, value: t.Any) -> bool | str:
    if isinstance(value, str) and value.strip().lower() == AUTO:
        return AUTO
    try:
        return types.switch(value)
    except types.WrongError:
        raise WrongError("write auto, true or false.") from None


def _switch(key: str, value: t.Any) -> bool:
    try:
        return types.switch(value)
    except types.WrongError as wrong:
        raise WrongError(f"{wrong}.") from wrong


SMOKE: dict[str, Reader] = {
    "prompt": _text,
    "messages": _messages,
    "pattern": _pattern,
    "max_tokens": _count,
    "deadline": _deadline,
    "chat": _choice,
    "tool_call": _choice,
    "reasoning": _choice,
    "image": _choice,
    "audio": _choice,
    "transcription": _choice,
    "dimension": _count,
    "rank": _rank,
    "stream": _switch,
    "warn_latency": _deadline,
    "warn_first_token": _deadline,
}
READERS: dict[str, t.Mapping[str, Reader]] = {
    "smoke": SMOKE,
    "timeouts": dict.fromkeys(TIMEOUT_KEYS, _seconds),
    "watch": {
        **dict.fromkeys(WATCH_KEYS, _seconds),
        "enabled": _switch,
        "failure_threshold": _count,
        "restarts": _count,
    },
}
