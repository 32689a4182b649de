# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine has to show, from its release and its settings.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._docker.release import Release
from .._outside.documents import Json
from .._settings.rollout import Settings
from .._vllm import live_adapters
from .._vllm.path_arguments import adapter_names
from . import pooled, samples

PROMPT = "Say hello."
MAX_TOKENS = 16
DEADLINE = 60.0
# Tokens for an answer that has to be complete, and for one that comes after thoughts.
ENOUGH = 256
ENOUGH_TO_THINK = 1024
# Tokens whose arrival shows whether they come one after another.
TO_STREAM = 64
AUTO = "auto"

TOOL = "report_status"
TOOL_SCHEMA: Json = {
    "type": "object",
    "properties": {"status": {"type": "string", "enum": ["ok"]}},
    "required": ["status"],
    "additionalProperties": False,
}
ASKED = {
    "tool_call": f"Call the tool {TOOL} with the status ok.",
    "reasoning": "What is 17 + 25? Think step by step, then give the number.",
    "json_schema": "Answer with one JSON document and nothing else.",
    "stream": "Count from 1 to 50, with a space after each number.",
    "image": "What colours has this image?",
    "audio": "What is to be heard?",
}
MEDIA = ("image", "audio")


@dataclass(frozen=True)
class Question:
    """messages take the place of the prompt where there are any. max_tokens is None for as many as a complete answer
    takes; deadline is in seconds, for the whole answer. chat is True, False, or "auto": as a chat where the model has a
    chat template.
    """

    prompt: str = PROMPT
    messages: t.Sequence[Json] = ()
    pattern: str = ""
    json_schema: Json | None = None
    max_tokens: int | None = MAX_TOKENS
    deadline: float = DEADLINE
    chat: bool | str = AUTO


@dataclass(frozen=True)
class Check:
    """A question beside the first one, by its name in `smoke`. One that does not decide only warns."""

    name: str
    question: Question
    decides: bool = True

    @property
    def failure_class(self) -> str:
        return f"smoke.{self.name.partition('[')[0]}"


@dataclass(frozen=True)
class Ranking:
    """A query, and documents from the best answer to the worst."""

    query: str
    documents: tuple[str, ...]


@dataclass(frozen=True)
class Expectation:
    """What the plan promised.

    max_model_len in tokens, None where the engine decides. enough is what a complete answer takes, in tokens.
    warn_latency and warn_first_token are in seconds, None for no bound. Each of adapters answers by its name; names
    beside may_list are not listed, None allows any. With pools it answers with numbers, and is asked for nothing else;
    dimension is that of an embedding, rank what must be scored in this order. With transcribes it is given a sound, and
    asked for nothing else either. stream is the question whose answer must come as a stream; stream_interval tokens of
    it may come together.
    """

    base_url: str
    served_model_names: tuple[str, ...]
    max_model_len: int | None = None
    question: Question = field(default_factory=Question)
    checks: tuple[Check, ...] = ()
    enough: int = ENOUGH
    warn_latency: float | None = None
    warn_first_token: float | None = None
    adapters: tuple[str, ...] = ()
    may_list: frozenset[str] | None = None
    pools: bool = False
    dimension: int | None = None
    rank: Ranking | None = None
    transcribes: bool = False
    stream: Question | None = None
    stream_interval: int = 1


def base_url(bind: str, port: int) -> str:
    """Where a client on the host reaches an engine that is bound to this address."""
    address = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(bind, f"[{bind}]" if ":" in bind else bind)
    return f"http://{address}:{port}"


def expectation(release: Release, settings: Settings) -> Expectation:
    """What a release has to show, from its own document and its settings. Raises TypeError for unknown settings."""
    arguments = release["arguments"]
    planned = arguments.get("max_model_len")
    smoke = {key: value for key, value in settings.get("smoke", {}).items() if value not in (None, "")}
    thinks = bool(arguments.get("reasoning_parser"))
    enough = ENOUGH_TO_THINK if thinks else ENOUGH
    checks = _checks(smoke, arguments, enough)
    streams = _stream(smoke, arguments) if smoke.pop("stream", False) else {}
    rank = smoke.pop("rank", None)
    numbers: Json = {"dimension": smoke.pop("dimension", None), "rank": _ranking(rank) if rank else None}
    bounds = {key: smoke.pop(key) for key in ("warn_latency", "warn_first_token") if key in smoke}
    pooling, transcribes = pooled.pools(arguments), smoke.pop("transcription", False) is True
    numbers_or_words = pooling or transcribes
    if thinks and "pattern" in smoke:
        smoke.setdefault("max_tokens", None)
    return Expectation(
        base_url=base_url(release["bind"], release["port"]),
        served_model_names=tuple(release["served_model_names"]),
        max_model_len=planned if isinstance(planned, int) and planned > 0 else None,
        question=Question(**smoke),
        checks=() if numbers_or_words else tuple(checks),
        enough=enough,
        pools=pooling,
        transcribes=transcribes,
        **numbers,
        **({} if numbers_or_words else {**bounds, **streams, **_adapters(release, settings)}),
    )


def _checks(smoke: Json, arguments: t.Mapping[str, t.Any], enough: int) -> list[Check]:
    """Questions beside the first one; what asks for them is taken out of `smoke`."""
    thinks, chat = bool(arguments.get("reasoning_parser")), smoke.get("chat", AUTO)
    calls = bool(arguments.get("tool_call_parser") and arguments.get("enable_auto_tool_choice"))
    # Of what a model takes besides text the planner says whether to ask: `auto` is here that it is asked, and warns.
    media = {name: _asked(smoke.pop(name, False), configured=chat is not False) for name in MEDIA}
    asked = {
        "tool_call": _asked(smoke.pop("tool_call", AUTO), calls and chat is not False),
        "reasoning": _asked(smoke.pop("reasoning", AUTO), thinks and chat is not False),
        "json_schema": "json_schema" in smoke or None,
    }
    schema, prompts = smoke.pop("json_schema", None), smoke.pop("prompts", [])
    found = [
        Check(name, _own(name, smoke, schema, enough), decides)
        for name, decides in asked.items()
        if decides is not None
    ]
    found += [Check(name, _sent(name, smoke), decides) for name, decides in media.items() if decides is not None]
    common = {"max_tokens": None, "deadline": smoke.get("deadline", DEADLINE), "chat": chat}
    found += [
        Check(f"prompts[{at}]", Question(**{**common, **prompt, **({"chat": True} if "messages" in prompt else {})}))
        for at, prompt in enumerate(prompts)
    ]
    return found


def _adapters(release: Release, settings: Settings) -> Json:
    """Those of the command line, and those that are loaded later; of these no others may be there."""
    later = live_adapters.wanted(settings)
    volumes = (release.get("container") or {}).get("volumes") or ()
    served, closed = release["served_model_names"], bool(live_adapters.folder_of(volumes))
    return {
        "adapters": (*adapter_names(release["arguments"]), *later),
        "may_list": frozenset({*live_adapters.not_ours(release["arguments"], served), *later}) if closed else None,
    }


def _ranking(stated: Json) -> Ranking:
    return Ranking(stated["query"], tuple(stated["documents"]))


def _asked(stated: t.Any, configured: bool) -> bool | None:
    """Whether a check decides; None where it is not asked. What nobody stated only warns."""
    if stated == AUTO:
        return False if configured else None
    return True if stated else None


def _stream(smoke: Json, arguments: t.Mapping[str, t.Any]) -> Json:
    stated, interval = smoke.get("max_tokens") or 0, arguments.get("stream_interval")
    question = Question(ASKED["stream"], max_tokens=max(stated, TO_STREAM), deadline=smoke.get("deadline", DEADLINE))
    return {"stream": question, "stream_interval": interval if isinstance(interval, int) else 1}


def _sent(name: str, smoke: Json) -> Question:
    """A question with an image or a sound in it."""
    part: Json = {"type": "input_audio", "input_audio": {"data": samples.text(samples.sound()), "format": "wav"}}
    if name == "image":
        url = f"data:image/png;base64,{samples.text(samples.image())}"
        part = {"type": "image_url", "image_url": {"url": url}}
    content = [{"type": "text", "text": ASKED[name]}, part]
    stated = smoke.get("max_tokens") or 0
    return Question(
        prompt=ASKED[name],
        messages=({"role": "user", "content": content},),
        max_tokens=max(stated, MAX_TOKENS),
        deadline=smoke.get("deadline", DEADLINE),
        chat=True,
    )


def _own(name: str, smoke: Json, schema: Json | None, enough: int) -> Question:
    """The collection's own question for a check: never fewer tokens than a complete answer takes."""
    stated = smoke.get("max_tokens") or 0
    return Question(
        prompt=ASKED[name],
        json_schema=schema if name == "json_schema" else None,
        max_tokens=stated if stated > enough else None,
        deadline=smoke.get("deadline", DEADLINE),
        chat=smoke.get("chat", AUTO) if name == "json_schema" else True,
    )
