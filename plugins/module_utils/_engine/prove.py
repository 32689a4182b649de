# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that an engine serves: it lists its names with the planned length, and it generates.

/health alone is no proof: an engine can answer it and die on its first token, or answer it for hours while wedged.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import asdict, dataclass

from .wire import Http, NoAnswer, Reply

PROMPT = "Say hello."
MAX_TOKENS = 16
DEADLINE = 60.0


class NotProved(Exception):
    """The engine did not prove itself.

    failure_class is one of smoke.no_answer, smoke.models, smoke.length, smoke.error, smoke.content, smoke.open.
    """

    def __init__(self, failure_class: str, message: str) -> None:
        super().__init__(message)
        self.failure_class = failure_class


@dataclass(frozen=True)
class Expectation:
    """What the plan promised. max_model_len in tokens, None where the engine decides; deadline in seconds."""

    base_url: str
    served_model_names: tuple[str, ...]
    max_model_len: int | None = None
    prompt: str = PROMPT
    pattern: str = ""
    max_tokens: int = MAX_TOKENS
    deadline: float = DEADLINE


@dataclass(frozen=True)
class Proof:
    """What the engine showed. max_model_len and completion_tokens in tokens."""

    served_model_names: tuple[str, ...]
    max_model_len: int | None
    answer: str
    answered_in: str
    completion_tokens: int

    def as_dict(self) -> dict[str, t.Any]:
        return {**asdict(self), "served_model_names": list(self.served_model_names)}


def base_url(bind: str, port: int) -> str:
    """Where a client on the host reaches an engine that is bound to this address."""
    address = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(bind, f"[{bind}]" if ":" in bind else bind)
    return f"http://{address}:{port}"


def expectation(release: t.Mapping[str, t.Any], settings: t.Mapping[str, t.Any]) -> Expectation:
    """What a release has to show, from its own document and its settings."""
    planned = release["arguments"].get("max_model_len")
    smoke = {key: value for key, value in settings.get("smoke", {}).items() if value not in (None, "")}
    return Expectation(
        base_url=base_url(release["bind"], release["port"]),
        served_model_names=tuple(release["served_model_names"]),
        max_model_len=planned if isinstance(planned, int) and planned > 0 else None,
        **smoke,
    )


def _ask(http: Http, method: str, url: str, deadline: float, body: t.Any = None) -> Reply:
    try:
        return http.request(method, url, deadline, body)
    except NoAnswer as error:
        raise NotProved("smoke.no_answer", f"{method} {url} got no answer within {deadline:g} s: {error}") from error


def healthy(http: Http, url: str, timeout: float = 2.0) -> bool:
    """Whether /health says 200: enough to begin the proof, never enough to end it."""
    try:
        return http.request("GET", f"{url}/health", timeout).status == 200
    except NoAnswer:
        return False


def listed_length(reply: Reply, expected: Expectation) -> int | None:
    """The max_model_len that /v1/models states for the planned names, in tokens."""
    cards = reply.body.get("data") if isinstance(reply.body, dict) else None
    if reply.status != 200 or not isinstance(cards, list):
        raise NotProved("smoke.models", f"/v1/models answered {reply.status}: {reply.error}")
    lengths: dict[str, int | None] = {
        str(card.get("id")): card.get("max_model_len") for card in cards if isinstance(card, dict)
    }
    missing = [name for name in expected.served_model_names if name not in lengths]
    if missing:
        raise NotProved(
            "smoke.models", f"/v1/models lists {', '.join(sorted(lengths)) or 'no model'}, not {', '.join(missing)}"
        )
    length = lengths[expected.served_model_names[0]]
    if expected.max_model_len is not None and length != expected.max_model_len:
        raise NotProved(
            "smoke.length", f"/v1/models states max_model_len {length}, planned is {expected.max_model_len}"
        )
    return length


def _answer(body: t.Any) -> tuple[str, str]:
    """The generated text and the field it came in: content, reasoning, tool_calls or text."""
    choice = (body.get("choices") or [{}])[0] if isinstance(body, dict) else {}
    message = choice.get("message") or {}
    for field, value in (
        ("content", message.get("content")),
        ("reasoning", message.get("reasoning") or message.get("reasoning_content")),
        ("tool_calls", message.get("tool_calls")),
        ("text", choice.get("text")),
    ):
        if value:
            return str(value), field
    return "", ""


def _has_no_chat_template(reply: Reply) -> bool:
    return reply.status in (400, 404, 405) and ("chat template" in reply.error or reply.error == "Not Found")


def generated(reply: Reply, expected: Expectation) -> tuple[str, str, int]:
    """The answer, the field it came in and its length in tokens; a reasoning model that is cut short
    answers with content null and its text in reasoning, which is an answer."""
    if reply.status != 200:
        raise NotProved("smoke.error", f"the generation answered {reply.status}: {reply.error}")
    text, field = _answer(reply.body)
    usage = reply.body.get("usage") if isinstance(reply.body, dict) else None
    tokens = int((usage or {}).get("completion_tokens") or 0)
    if not text or tokens < 1:
        raise NotProved("smoke.content", f"the generation answered 200 without any text: {reply.error}")
    if expected.pattern and not re.search(expected.pattern, text):
        raise NotProved("smoke.content", f"the answer {text[:200]!r} does not match the pattern {expected.pattern!r}")
    return text, field, tokens


def generate(http: Http, expected: Expectation) -> tuple[str, str, int]:
    """Ask for a few tokens: as a chat, or as a plain completion where the model has no chat template."""
    common = {"model": expected.served_model_names[0], "max_tokens": expected.max_tokens, "temperature": 0}
    chat = {**common, "messages": [{"role": "user", "content": expected.prompt}]}
    reply = _ask(http, "POST", f"{expected.base_url}/v1/chat/completions", expected.deadline, chat)
    if _has_no_chat_template(reply):
        plain = {**common, "prompt": expected.prompt}
        reply = _ask(http, "POST", f"{expected.base_url}/v1/completions", expected.deadline, plain)
    return generated(reply, expected)


def must_ask_for_a_key(http: Http, expected: Expectation) -> None:
    """A server that was given a key answers 401 to whoever has none. Raises NotProved."""
    reply = _ask(http.with_token(""), "GET", f"{expected.base_url}/v1/models", expected.deadline)
    if reply.status != 401:
        raise NotProved("smoke.open", f"/v1/models answers {reply.status} without an API key, and must answer 401")


def prove(http: Http, expected: Expectation) -> Proof:
    """The whole proof, once; requests that carry a key also prove that it is needed. Raises NotProved."""
    if http.token:
        must_ask_for_a_key(http, expected)
    models = _ask(http, "GET", f"{expected.base_url}/v1/models", expected.deadline)
    length = listed_length(models, expected)
    text, field, tokens = generate(http, expected)
    return Proof(expected.served_model_names, length, text, field, tokens)
