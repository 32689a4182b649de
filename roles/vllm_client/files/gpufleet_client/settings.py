# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application is told of a server: the JSON that the role writes, read into a known shape or refused."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import typing as t

SCHEMA = 1
LARGEST_FILE = 1024 * 1024
WAITS = (2.0, 4.0, 8.0, 16.0)
MAX_IN_FLIGHT = 8
TIMEOUT = 600.0
SAFETY_MARGIN = 128
MINIMUM_OUTPUT = 256
# A server without a key is asked with this one: never with the key for another one that an environment may hold.
NO_KEY = "unused"

# What the client acts on itself. The planner has the same names and ranges.
BUDGET = frozenset({"output_reserve", "safety_margin", "minimum_output", "context_limit"})
# What the openai package sends by a name of its own, and what vLLM takes beside that.
OPENAI = frozenset(
    {"temperature", "top_p", "max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty", "seed"}
    | {"stop", "n", "logit_bias", "logprobs", "top_logprobs", "reasoning_effort", "response_format"}
)
VLLM = frozenset(
    {"top_k", "min_p", "repetition_penalty", "min_tokens", "stop_token_ids", "ignore_eos", "thinking_token_budget"}
    | {"bad_words", "skip_special_tokens", "include_stop_str_in_output", "chat_template_kwargs", "structured_outputs"}
)
# Mappings that are values. Every other one is a phase.
MAPPINGS = frozenset({"logit_bias", "response_format", "chat_template_kwargs", "structured_outputs"})


class SettingsError(ValueError):
    """The settings are not there, or not what they have to be. The message says where, what, and what is right."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """How to ask in one phase. `parameters` are sent as they are, `extra` in the body beside them.

    `own` is what the inventory states for the application alone: nothing of it is sent.
    """

    name: str
    parameters: t.Mapping[str, t.Any]
    extra: t.Mapping[str, t.Any]
    own: t.Mapping[str, t.Any]
    max_tokens: int | None
    output_reserve: int | None
    safety_margin: int
    minimum_output: int
    context_limit: int | None


@dataclasses.dataclass(frozen=True)
class Settings:
    """One server. `max_model_len` is in tokens, as the host has verified it; None where nobody has stated it.

    `waits` are the seconds before each retry, `timeout` those that one request may take.
    """

    name: str
    base_url: str
    models: tuple[str, ...]
    max_model_len: int | None = None
    sampling: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    phases: t.Mapping[str, t.Mapping[str, t.Any]] = dataclasses.field(default_factory=dict)
    waits: tuple[float, ...] = WAITS
    max_in_flight: int = MAX_IN_FLIGHT
    timeout: float = TIMEOUT
    api_key: str = dataclasses.field(default=NO_KEY, repr=False)
    api_key_file: str = ""
    api_key_required: bool = False

    @property
    def model(self) -> str:
        """The name to ask for."""
        return self.models[0]

    def phase(self, name: str = "") -> Phase:
        """The values of a phase above those of all requests; null takes one away. An unknown phase has none."""
        stated = {**self.sampling, **self.phases.get(name, {})}
        values = {key: value for key, value in stated.items() if value is not None}
        where = f"{self.name}: sampling{'.' if name else ''}{name}"
        asked = [_whole(values[key], f"{where}.{key}", 1) for key in _LONGEST if key in values]
        return Phase(
            name=name,
            parameters={key: value for key, value in values.items() if key in OPENAI and key not in _LONGEST},
            extra={key: value for key, value in values.items() if key in VLLM},
            own={key: value for key, value in values.items() if key not in OPENAI | VLLM | BUDGET},
            max_tokens=min(asked) if asked else None,
            output_reserve=_optional(values, "output_reserve", where),
            safety_margin=_whole(values.get("safety_margin", SAFETY_MARGIN), f"{where}.safety_margin", 0),
            minimum_output=_whole(values.get("minimum_output", MINIMUM_OUTPUT), f"{where}.minimum_output", 1),
            context_limit=_optional(values, "context_limit", where),
        )


_LONGEST = ("max_tokens", "max_completion_tokens")


def read(path: str | os.PathLike[str]) -> Settings:
    """The settings in a file, with the key from the file that it names. Raises SettingsError."""
    where = os.fspath(path)
    text = _text(where)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{where} is no JSON ({error}): write the client's files again.") from None
    return parse(document, where)


def parse(document: t.Any, where: str = "the settings") -> Settings:
    """The settings in a document. Raises SettingsError."""
    if not isinstance(document, dict):
        raise SettingsError(f"{where}: this is no mapping.")
    if document.get("schema") != SCHEMA:
        raise SettingsError(
            f"{where}: its schema is {_shown(document.get('schema'))}, and this client reads {SCHEMA}: write the "
            "client's files again, the client among them."
        )
    sampling = document.get("sampling") or {}
    if not isinstance(sampling, dict):
        raise SettingsError(f"{where}: sampling is {_shown(sampling)}: write a mapping.")
    phases = {name: value for name, value in sampling.items() if isinstance(value, dict) and name not in MAPPINGS}
    length = document.get("max_model_len")
    name = document.get("name") or document.get("instance")
    settings = Settings(
        name=_word(name, f"{where}: name"),
        base_url=_word(document.get("base_url"), f"{where}: base_url").rstrip("/"),
        models=_models(document.get("served_model_names"), where),
        max_model_len=None if length is None else _whole(length, f"{where}: max_model_len", 1),
        sampling={name: value for name, value in sampling.items() if name not in phases},
        phases=phases,
        waits=_waits(document.get("retries", WAITS), where),
        max_in_flight=_whole(document.get("max_in_flight", MAX_IN_FLIGHT), f"{where}: max_in_flight", 1),
        timeout=_seconds(document.get("timeout", TIMEOUT), f"{where}: timeout"),
        api_key=_key(document, where),
        api_key_file=document.get("api_key_file") or "",
        api_key_required=document.get("api_key_required") is True,
    )
    for phase in ("", *settings.phases):
        settings.phase(phase)
    return settings


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(LARGEST_FILE + 1)
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is no text in UTF-8: write the client's files again.") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}).") from None
    if len(text) > LARGEST_FILE:
        raise SettingsError(f"{path} has more than {LARGEST_FILE} characters: that is no file of the client.")
    return text


def _key(document: t.Mapping[str, t.Any], where: str) -> str:
    path = document.get("api_key_file")
    key = _text(_word(path, f"{where}: api_key_file")).strip() if path else document.get("api_key") or NO_KEY
    if not isinstance(key, str) or not key or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(f"{where}: its API key is none that can be sent (it is not shown).")
    return key


def _models(value: t.Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise SettingsError(f"{where}: served_model_names is {_shown(value)}: write a list of names.")
    return tuple(_word(name, f"{where}: served_model_names") for name in value)


def _waits(value: t.Any, where: str) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)):
        raise SettingsError(f"{where}: retries is {_shown(value)}: write a list of seconds.")
    return tuple(_seconds(one, f"{where}: retries") for one in value)


def _word(value: t.Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{what} is {_shown(value)}: write a text.")
    return value


def _whole(value: t.Any, what: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(f"{what} is {_shown(value)}: write a whole number of {least} or more.")
    return int(value)


def _optional(values: t.Mapping[str, t.Any], key: str, where: str) -> int | None:
    return _whole(values[key], f"{where}.{key}", 1) if key in values else None


def _seconds(value: t.Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise SettingsError(f"{what} is {_shown(value)}: write seconds, a number of 0 or more.")
    return float(value)


def _shown(value: t.Any) -> str:
    return "missing" if value is None else repr(value)[:100]
