# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout of an instance goes by: deadlines, smoke test, what happens on a failure, watch.

The host states it, and the instance above it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..._engine.json_fit import unusable
from ..._findings.findings import Findings
from ..._outside.documents import Json
from ..._settings import renamed, types
from ..._settings.names import listed, meant
from ..._settings.rollout import Settings
from .instances import Instance
from .rollout_values import READERS, SMOKE, TIMEOUT_KEYS, WATCH_KEYS, Reader, WrongError

ON_FAILURE = ("rollback", "fallback", "stop")
WITHOUT_FALLBACK = ("rollback", "stop")
STEPS = 2
QUESTION_KEYS = ("prompt", "pattern", "max_tokens", "deadline")
SMOKE_KEYS = (
    *QUESTION_KEYS, "chat", "tool_call", "reasoning", "image", "audio", "transcription", "json_schema", "prompts",
    "stream", "dimension", "rank", "warn_latency", "warn_first_token",
)  # fmt: skip
PROMPT_KEYS = (*QUESTION_KEYS, "messages", "json_schema")


def check(listed: t.Sequence[Instance], settings: Json, profiles: Json, findings: Findings) -> None:
    """What is wrong with them and with what profiles demand, and what is stated in vain."""
    for instance in listed:
        merged(instance, settings, findings.errors)
    for name, profile in profiles.items():
        demanded = stated(profile.get("smoke") or {})
        _found(f"profile {name}: smoke", demanded, SMOKE_KEYS, READERS["smoke"], findings.errors)
    findings.warnings += _unused(listed, settings)


def _unused(listed: t.Sequence[Instance], settings: Json) -> list[str]:
    """A fallback that is stated where nothing falls back."""
    without = {one.name: how for one in listed for how in [_on_failure(one, settings)] if how in WITHOUT_FALLBACK}
    found = [
        f"instance {one.name}: fallback is stated and not used, because on_failure is {without[one.name]}: set "
        "on_failure: fallback (for a host vllm_server_on_failure), or leave it out."
        for one in listed
        if one.fallback and one.name in without
    ]
    if not listed or len(without) < len(listed):
        return found
    stated = {"steps": settings.get("fallback_steps"), "shorter": settings.get("fallback_shorter")}
    return found + [
        f"vllm_server_fallback_{name} is {str(value).lower()} and not used, as no instance of the host falls back: "
        "set vllm_server_on_failure (or an instance's on_failure) to fallback, or leave it out."
        for name, value in stated.items()
        if value not in (None, "", False, 0, STEPS)
    ]


def _on_failure(instance: Instance, settings: Json) -> t.Any:
    return instance.on_failure or settings.get("on_failure") or ON_FAILURE[0]


def merged(instance: Instance, settings: Json, errors: list[str]) -> Settings:
    """Timeouts in seconds, the smoke test, watch, and what happens on a failure; what is wrong is added to `errors`."""
    on_failure = _when_it_fails(instance, settings, errors)
    steps = settings.get("fallback_steps")
    return {
        "on_failure": on_failure,
        "fallback_steps": (STEPS if types.is_blank(steps) else t.cast(int, steps)) if on_failure == "fallback" else 0,
        "ask_parser": settings.get("ask_parser", True),
        "smoke": _read(instance, "smoke", instance.smoke, settings, SMOKE_KEYS, errors),
        "timeouts": _read(instance, "timeouts", instance.timeouts, settings, TIMEOUT_KEYS, errors),
        "watch": _read(instance, "watch", instance.watch, settings, WATCH_KEYS, errors),
    }


def _when_it_fails(instance: Instance, settings: Json, errors: list[str]) -> str:
    chosen = _on_failure(instance, settings)
    if chosen in ON_FAILURE:
        return str(chosen)
    where = f"instance {instance.name}: " if instance.on_failure else "vllm_server_"
    errors.append(f"{where}on_failure is {chosen!r}: write rollback, fallback or stop.{meant(str(chosen), ON_FAILURE)}")
    return ON_FAILURE[0]


def stated(own: t.Mapping[str, t.Any]) -> Json:
    """An empty value states nothing: what stands below it holds."""
    return {key: value for key, value in own.items() if not types.is_blank(value) and value != {}}


def _read(
    instance: Instance, what: str, own: t.Mapping[str, t.Any], settings: Json, known: t.Sequence[str], errors: list[str]
) -> Json:
    """The host's values are the host's mistakes, whatever instances there are."""
    of_host, own = stated(settings.get(what) or {}), stated(own)
    below = {key: value for key, value in of_host.items() if key not in own}
    found = _found(f"vllm_server_{what}", below, known, READERS[what], errors)
    found.update(_found(f"instance {instance.name}: {what}", own, known, READERS[what], errors))
    return {key: found[key] for key in (*of_host, *(key for key in own if key not in of_host)) if key in found}


def _found(where: str, given: Json, known: t.Sequence[str], readers: t.Mapping[str, Reader], errors: list[str]) -> Json:
    """The values of a mapping, each as its reader has it."""
    found = {}
    for key, value in given.items():
        if key in renamed.WATCH_KEYS and known is WATCH_KEYS:
            errors.append(f"{where} has the key {key}: {renamed.told(renamed.WATCH_KEYS[key])}.")
        elif key not in known:
            errors.append(f"{where} has no key {key}; it has {listed(known)}.{meant(key, known)}")
        elif key == "prompts":
            found[key] = prompts(f"{where}.{key}", value, errors)
        elif key == "json_schema":
            found[key] = _schema(f"{where}.{key}", value, errors)
        else:
            try:
                found[key] = readers[key](key, value)
            except WrongError as wrong:
                errors.append(f"{where}.{key} is {value!r}: {wrong}")
    return found


def prompts(
    where: str,
    value: t.Any,
    errors: list[str],
    known: t.Sequence[str] = PROMPT_KEYS,
    readers: t.Mapping[str, Reader] | None = None,
) -> list[Json]:
    """A user's own questions, each of them with a prompt or with messages, read as those of the smoke test."""
    readers = SMOKE if readers is None else readers
    if isinstance(value, str) and value.strip().startswith("["):
        with contextlib.suppress(types.WrongError):
            value = types.mappings(value)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        errors.append(f"{where} is {value!r}: write a list of mappings, each with a prompt or messages.")
        return []
    for at, item in enumerate(value):
        if len([key for key in ("prompt", "messages") if item.get(key) not in (None, "")]) != 1:
            errors.append(f"{where}[{at}]: write either a prompt or messages.")
    return [_found(f"{where}[{at}]", stated(item), known, readers, errors) for at, item in enumerate(value)]


def _schema(where: str, value: t.Any, errors: list[str]) -> t.Any:
    if isinstance(value, str) and value.strip().startswith("{"):
        with contextlib.suppress(types.WrongError):
            value = types.mapping(value)
    problem = unusable(value, where)
    if problem:
        errors.append(f"{problem}.")
    return value
