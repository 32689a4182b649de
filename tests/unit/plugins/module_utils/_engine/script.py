# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that answers as a test scripts it, with bodies as vLLM 0.32.0 sends them."""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import Expectation
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http, NoAnswer, Reply

URL = "http://127.0.0.1:8000"
EXPECTED = Expectation(URL, ("assistant",), 1024)
MODELS = Reply(200, {"data": [{"id": "assistant", "max_model_len": 1024}, {"id": "alias", "max_model_len": 1024}]})
NO_TEMPLATE = Reply(400, {"error": {"message": "default chat template is no longer allowed", "code": 400}})


def message(finish_reason: str = "stop", tokens: int = 5, **fields: t.Any) -> Reply:
    """The reply to a chat whose message has these fields."""
    whole = {"role": "assistant", "content": None, "refusal": None, "function_call": None, **fields}
    choice = {"index": 0, "message": whole, "logprobs": None, "finish_reason": finish_reason, "stop_reason": None}
    usage = {"prompt_tokens": 23, "total_tokens": 23 + tokens, "completion_tokens": tokens}
    return Reply(200, {"object": "chat.completion", "model": "assistant", "choices": [choice], "usage": usage})


def completion(text: str, tokens: int = 1) -> Reply:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}
    return Reply(200, {"object": "text_completion", "choices": [choice], "usage": {"completion_tokens": tokens}})


def call(name: str, arguments: str) -> dict[str, t.Any]:
    """One call of a tool."""
    return {"id": "chatcmpl-tool-876c", "type": "function", "function": {"name": name, "arguments": arguments}}


class Script(Http):
    """Answers by the last part of the path, `chat` for chats; of several the next one. An exception is raised."""

    def __init__(self, *, stream: t.Sequence[t.Any] = (), **answers: t.Any) -> None:
        super().__init__()
        self.stream, self.answers = stream, answers
        self.asked: list[tuple[str, t.Any]] = []
        self.limits: list[float] = []

    def request(self, method: str, url: str, timeout: float, body: t.Any = None) -> Reply:
        self.asked.append((url.removeprefix(URL), body))
        self.limits.append(timeout)
        name = "chat" if url.endswith("chat/completions") else url.rsplit("/", 1)[-1]
        answer = self.answers[name]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Reply)
        return answer

    def arrivals(self, url: str, timeout: float, body: t.Any) -> t.Iterator[tuple[t.Any, float]]:
        """Each event a second after the one before."""
        self.asked.append((url.removeprefix(URL), body))
        for at, event in enumerate(self.stream, start=1):
            if isinstance(event, NoAnswer):
                raise event
            yield event, float(at)
