# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client for threads."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
import typing as t

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from . import base
from .base import Base
from .budget import Budget, Count
from .in_flight import InFlight
from .request import AnyMessage, Counted, Request, prepare
from .settings import Settings


class Client(Base):
    """Asks one server as its settings say. May be shared by threads.

    >>> llm = Client("/etc/gpufleet/clients/assistant.json")
    >>> llm.chat([{"role": "user", "content": "Hello"}], phase="effort").choices[0].message.content
    """

    def __init__(
        self,
        source: Settings | str | os.PathLike[str] | None = None,
        *,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        """SOURCE: the JSON file, or the file that VLLM_CLIENT_FILE names."""
        super().__init__(source)
        self._sleep = sleep
        self._in_flight = InFlight()
        self._lock = threading.Lock()
        self._made: tuple[dict[str, t.Any], openai.OpenAI] | None = None

    @property
    def openai(self) -> openai.OpenAI:
        """The plain client of the same server, for all that is not here. It neither waits nor tries again."""
        options = base.options(self.settings)
        with self._lock:
            if self._made is None or self._made[0] != options:
                self._made = (options, openai.OpenAI(**options))
            return self._made[1]

    def chat(
        self,
        messages: t.Iterable[AnyMessage],
        *,
        phase: str = "",
        max_tokens: int | None = None,
        trim: bool = True,
        **more: t.Any,
    ) -> ChatCompletion:
        """An answer. MORE is what `chat.completions.create` takes, or vLLM beside it, above what the phase says.

        MAX_TOKENS is held within the budget. Without TRIM the messages are sent as they are. Raises InputTooLarge, and
        openai's errors once no retry is left.
        """
        with self._in_flight.one(self.settings.max_in_flight):
            request = self._request(messages, phase, trim, {**more, "max_tokens": max_tokens})
            return t.cast(ChatCompletion, self._tried(request.arguments))

    @contextlib.contextmanager
    def stream(
        self,
        messages: t.Iterable[AnyMessage],
        *,
        phase: str = "",
        max_tokens: int | None = None,
        trim: bool = True,
        **more: t.Any,
    ) -> t.Iterator[t.Iterator[ChatCompletionChunk]]:
        """The chunks of an answer, as `with llm.stream(...) as chunks`. What breaks later is raised."""
        with self._in_flight.one(self.settings.max_in_flight):
            request = self._request(messages, phase, trim, {**more, "max_tokens": max_tokens})
            with self._tried({**request.arguments, "stream": True}) as chunks:
                yield chunks

    def fit(
        self, messages: t.Iterable[AnyMessage], *, phase: str = "", max_tokens: int | None = None, **more: t.Any
    ) -> list[AnyMessage]:
        """The messages that fit, the system prompt first: go on with these, so that the server's cache is hit."""
        request = self._request(messages, phase, True, {**more, "max_tokens": max_tokens})
        return list(request.arguments["messages"])

    def budget(
        self, messages: t.Iterable[AnyMessage], *, phase: str = "", max_tokens: int | None = None, **more: t.Any
    ) -> Budget:
        """How long an answer to all of these may be. Raises InputTooLarge."""
        return self._request(messages, phase, False, {**more, "max_tokens": max_tokens}).budget

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made[1].close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _request(
        self, messages: t.Iterable[AnyMessage], phase: str, trim: bool, given: t.Mapping[str, t.Any]
    ) -> Request:
        settings = self.settings
        self._heed(settings)
        steps = prepare(settings, messages, self._phase(settings, phase), trim, given)
        counted = next(steps)
        while True:
            try:
                counted = steps.send(self._counted(settings, counted))
            except StopIteration as end:
                return self._prepared(t.cast(Request, end.value))

    def _counted(self, settings: Settings, counted: Counted) -> Count:
        if not self._counts(settings):
            return counted.estimate()
        try:
            answer = self.openai.post(
                base.tokenize(settings),
                cast_to=object,
                body=counted.body(settings.model),
                options=t.cast(t.Any, base.counting(settings)),
            )
        except openai.OpenAIError as error:
            return self._uncounted(settings, error, counted)
        return self._count(settings, answer, counted)

    def _tried(self, arguments: t.Mapping[str, t.Any]) -> t.Any:
        for retry in itertools.count():
            try:
                return self.openai.chat.completions.create(**arguments)
            except openai.OpenAIError as error:
                seconds = self._wait(error, retry)
            self._sleep(seconds)
        raise AssertionError
