# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import typing as t

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from . import base
from .base import Base
from .budget import Budget, Count
from .in_flight import AsyncInFlight
from .request import AnyMessage, Counted, Request, prepare
from .settings import Settings


class AsyncClient(Base):
    """As Client, for the tasks of one loop."""

    def __init__(
        self,
        source: Settings | str | os.PathLike[str] | None = None,
        *,
        sleep: t.Callable[[float], t.Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """SOURCE: the JSON file, or the file that VLLM_CLIENT_FILE names."""
        super().__init__(source)
        self._sleep = sleep
        self._in_flight = AsyncInFlight()
        self._made: tuple[dict[str, t.Any], openai.AsyncOpenAI] | None = None

    @property
    def openai(self) -> openai.AsyncOpenAI:
        """The plain client of the same server, for all that is not here. It neither waits nor tries again."""
        options = base.options(self.settings)
        if self._made is None or self._made[0] != options:
            self._made = (options, openai.AsyncOpenAI(**options))
        return self._made[1]

    async def chat(
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
        async with self._in_flight.one(self.settings.max_in_flight):
            request = await self._request(messages, phase, trim, {**more, "max_tokens": max_tokens})
            return t.cast(ChatCompletion, await self._tried(request.arguments))

    @contextlib.asynccontextmanager
    async def stream(
        self,
        messages: t.Iterable[AnyMessage],
        *,
        phase: str = "",
        max_tokens: int | None = None,
        trim: bool = True,
        **more: t.Any,
    ) -> t.AsyncIterator[t.AsyncIterator[ChatCompletionChunk]]:
        """The chunks of an answer, as `async with llm.stream(...) as chunks`. What breaks later is raised."""
        async with self._in_flight.one(self.settings.max_in_flight):
            request = await self._request(messages, phase, trim, {**more, "max_tokens": max_tokens})
            async with await self._tried({**request.arguments, "stream": True}) as chunks:
                yield chunks

    async def fit(
        self, messages: t.Iterable[AnyMessage], *, phase: str = "", max_tokens: int | None = None, **more: t.Any
    ) -> list[AnyMessage]:
        """The messages that fit, the system prompt first: go on with these, so that the server's cache is hit."""
        request = await self._request(messages, phase, True, {**more, "max_tokens": max_tokens})
        return list(request.arguments["messages"])

    async def budget(
        self, messages: t.Iterable[AnyMessage], *, phase: str = "", max_tokens: int | None = None, **more: t.Any
    ) -> Budget:
        """How long an answer to all of these may be. Raises InputTooLarge."""
        return (await self._request(messages, phase, False, {**more, "max_tokens": max_tokens})).budget

    async def close(self) -> None:
        """Close the connections."""
        made, self._made = self._made, None
        if made is not None:
            await made[1].close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def _request(
        self, messages: t.Iterable[AnyMessage], phase: str, trim: bool, given: t.Mapping[str, t.Any]
    ) -> Request:
        settings = self.settings
        self._heed(settings)
        steps = prepare(settings, messages, self._phase(settings, phase), trim, given)
        counted = next(steps)
        while True:
            try:
                counted = steps.send(await self._counted(settings, counted))
            except StopIteration as end:
                return self._prepared(t.cast(Request, end.value))

    async def _counted(self, settings: Settings, counted: Counted) -> Count:
        if not self._counts(settings):
            return counted.estimate()
        try:
            answer = await self.openai.post(
                base.tokenize(settings),
                cast_to=object,
                body=counted.body(settings.model),
                options=t.cast(t.Any, base.counting(settings)),
            )
        except openai.OpenAIError as error:
            return self._uncounted(settings, error, counted)
        return self._count(settings, answer, counted)

    async def _tried(self, arguments: t.Mapping[str, t.Any]) -> t.Any:
        for retry in itertools.count():
            try:
                return await self.openai.chat.completions.create(**arguments)
            except openai.OpenAIError as error:
                seconds = self._wait(error, retry)
            await self._sleep(seconds)
        raise AssertionError
