# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines, the smoke test and the watch of an instance: what the host states, and above it what the instance states.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .inputs import WORDS
from .instances import Instance
from .names import listed, meant

Json = dict[str, t.Any]
Read = t.Callable[[str, t.Any], t.Any]
TIMEOUT_KEYS = ("pull", "stop", "free", "ready", "hold")
MAY_BE_ZERO = ("hold", "stop", "young")
SMOKE_KEYS = ("prompt", "pattern", "max_tokens", "deadline")
WATCH_KEYS = ("enabled", "interval", "deadline", "looks", "restarts", "young")


class _WrongError(ValueError):
    """The text says what is right."""


def merged(instance: Instance, settings: Json, errors: list[str]) -> Json:
    """Timeouts in seconds, smoke test and watch, where somebody states them; what is wrong is added to `errors`."""
    return {
        "smoke": _read(instance, "smoke", _stated(instance.smoke, settings.get("smoke")), SMOKE_KEYS, errors),
        "timeouts": _read(
            instance, "timeouts", _stated(instance.timeouts, settings.get("timeouts")), TIMEOUT_KEYS, errors
        ),
        "watch": _read(instance, "watch", _stated(instance.watch, settings.get("watch")), WATCH_KEYS, errors),
    }


def _stated(own: t.Mapping[str, t.Any], host: t.Mapping[str, t.Any] | None) -> Json:
    """An empty value states nothing: what stands below it holds."""
    layers = ({key: value for key, value in (layer or {}).items() if value not in (None, "")} for layer in (host, own))
    return {key: value for layer in layers for key, value in layer.items()}


def _read(instance: Instance, what: str, given: Json, known: t.Sequence[str], errors: list[str]) -> Json:
    found = {}
    for key, value in given.items():
        where = f"instance {instance.name}: {what}"
        if key not in known:
            errors.append(f"{where} has no key {key}; it has {listed(known)}.{meant(key, known)}")
            continue
        try:
            read: Read = READERS[what].get(key, _seconds)
            found[key] = read(key, value)
        except _WrongError as wrong:
            errors.append(f"{where}.{key} is {value!r}: {wrong}")
    return found


def _whole(value: t.Any) -> int | None:
    """A number, or the digits that a survey sends."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _seconds(key: str, value: t.Any) -> int:
    found, least = _whole(value), 0 if key in MAY_BE_ZERO else 1
    if found is None or found < least:
        raise _WrongError(f"write seconds, a whole number of {least} or more.")
    return found


def _count(key: str, value: t.Any) -> int:
    found = _whole(value)
    if found is None or found < 1:
        raise _WrongError("write a whole number of 1 or more.")
    return found


def _deadline(key: str, value: t.Any) -> int | float:
    found = value if isinstance(value, float) else _whole(value)
    if found is None or found <= 0:
        raise _WrongError("write seconds, a number above 0.")
    return found


def _text(key: str, value: t.Any) -> str:
    if not isinstance(value, str):
        raise _WrongError("write a text, in quotes.")
    return value


def _pattern(key: str, value: t.Any) -> str:
    try:
        re.compile(_text(key, value))
    except re.error as error:
        raise _WrongError(f"write a regular expression of Python ({error}).") from error
    return t.cast(str, value)


def _switch(key: str, value: t.Any) -> bool:
    found = WORDS.get(str(value).strip().lower()) if isinstance(value, (bool, int, str)) else None
    if found is None:
        raise _WrongError("write true or false.")
    return found


# What is no whole number of seconds.
READERS: dict[str, dict[str, Read]] = {
    "smoke": {"prompt": _text, "pattern": _pattern, "max_tokens": _count, "deadline": _deadline},
    "timeouts": {},
    "watch": {"enabled": _switch, "looks": _count, "restarts": _count},
}
