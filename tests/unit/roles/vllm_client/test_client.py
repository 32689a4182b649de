# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of applications, with the openai package, against a server that answers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import logging
import os
import pathlib
import socket
import time
import typing as t

import openai
import pytest

from ansible_collections.gpufleet.vllm.roles.vllm_client.files.gpufleet_client import (
    AsyncClient,
    Client,
    InputTooLarge,
    SettingsError,
    WouldWaitForItself,
    base,
)
from ansible_collections.gpufleet.vllm.tests.unit.roles.vllm_client.answering import Answering, answering

Json = dict[str, t.Any]
HELLO = [{"role": "user", "content": "hello"}]
SAMPLING: Json = {
    "temperature": 0.7,
    "top_k": 20,
    "output_reserve": 300,
    "reasoning_budget": 5,
    "tool_call": {"temperature": 0.0, "top_k": None, "max_tokens": 64},
}
HELD = 4


@pytest.fixture
def server() -> t.Iterator[Answering]:
    with answering() as found:
        yield found


@pytest.fixture
def file(server: Answering, tmp_path: pathlib.Path) -> pathlib.Path:
    return write(tmp_path / "assistant.json", server)


def write(path: pathlib.Path, server: Answering, **changes: t.Any) -> pathlib.Path:
    document = {
        "schema": 1,
        "name": "assistant",
        "base_url": server.url,
        "served_model_names": ["assistant"],
        "max_model_len": 1024,
        "sampling": SAMPLING,
        **changes,
    }
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document))
    os.replace(new, path)
    return path


def test_a_phase_is_asked_with_its_values(server: Answering, file: pathlib.Path) -> None:
    with Client(file) as llm:
        assert llm.chat(HELLO).choices[0].message.content == "hello"
        llm.chat(HELLO, phase="tool_call", tools=[{"type": "function", "function": {"name": "f"}}])
        llm.chat(HELLO, phase="tool_call", temperature=0.1, top_k=3, extra_body={"min_p": 0.1})
    plain, phase, own = server.asked
    assert plain == {
        "model": "assistant", "messages": HELLO, "temperature": 0.7, "top_k": 20, "max_tokens": 300,
    }  # fmt: skip
    assert (phase["temperature"], phase["max_tokens"], "top_k" in phase) == (0.0, 64, False)
    assert (own["temperature"], own["top_k"], own["min_p"]) == (0.1, 3, 0.1)
    assert server.counted[1]["tools"] == phase["tools"]


def test_a_phase_that_is_gone_is_asked_as_none_and_said_once(
    server: Answering, file: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Client(file) as llm:
        llm.chat(HELLO, phase="alignment")
        llm.chat(HELLO, phase="alignment")
    assert [request["temperature"] for request in server.asked] == [0.7, 0.7]
    assert caplog.text.count("there is no phase 'alignment'") == 1
    assert "there are: tool_call" in caplog.text


def test_the_answer_is_held_within_what_the_server_takes(
    server: Answering, file: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = [{"role": "user", "content": "word " * 800}]
    with Client(file) as llm:
        llm.chat(long, max_tokens=5000)
        assert server.asked[-1]["max_tokens"] == 1024 - 803  # a floor of 256, and no more than what is left
        assert "The input is too large: 803 tokens of 1024" in caplog.text
        with pytest.raises(InputTooLarge):
            llm.chat([{"role": "user", "content": "word " * 1100}])
        assert llm.budget(HELLO).max_tokens == 300
        llm.chat(HELLO, max_completion_tokens=9, min_tokens=50)
    assert server.asked[-1]["max_tokens"] == server.asked[-1]["min_tokens"] == 9
    assert "max_completion_tokens" not in server.asked[-1]


def test_a_server_that_takes_less_than_the_file_says_is_believed(server: Answering, file: pathlib.Path) -> None:
    server.length = 400
    with Client(file) as llm:
        assert llm.budget(HELLO).max_tokens == 400 - 4 - 128


@pytest.mark.parametrize("told", [404, 401, 500, {"count": "many"}, {"count": -1}, [], {"count": True}])
def test_what_is_not_counted_is_estimated_and_said_once(
    server: Answering, file: pathlib.Path, told: t.Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.tokenize = told
    with Client(file) as llm:
        assert llm.budget(HELLO).input.by == "estimate"
        llm.chat(HELLO)
    assert server.asked[-1]["max_tokens"] == 300
    assert caplog.text.count("does not count tokens") == 1
    assert len(server.counted) == (1 if told in (404, 401) else 2)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_counts_are_asked_for_again_with_a_new_key_or_after_a_minute(
    server: Answering, file: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    key = tmp_path / "key"
    key.write_text("key-of-before\n")
    write(file, server, api_key_file=str(key))
    server.tokenize = status
    with Client(file) as llm:
        assert [llm.budget(HELLO).input.by for _at in range(2)] == ["estimate"] * 2
        assert len(server.counted) == 1
        server.tokenize = 200
        key.write_text("key-of-after\n")
        assert llm.budget(HELLO).input.by == "server"
        server.tokenize = status
        assert llm.budget(HELLO).input.by == "estimate"
        server.tokenize = 200
        assert llm.budget(HELLO).input.by == "estimate"
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + base.UNCOUNTED_SECONDS)
        assert llm.budget(HELLO).input.by == "server"


def test_a_conversation_is_cut_and_the_system_prompt_stays(server: Answering, file: pathlib.Path) -> None:
    system = {"role": "system", "content": "be brief"}
    turns = [
        {"role": role, "content": f"{at} " * 100} for at in range(6) for role in ("user", "assistant")
    ]  # fmt: skip
    messages = [system, *turns, {"role": "user", "content": "now"}]
    with Client(file) as llm:
        llm.chat(messages)
        sent = server.asked[-1]["messages"]
        assert (sent[0], sent[-1], sent[1]["role"]) == (system, messages[-1], "user")
        assert len(sent) < len(messages)
        llm.chat([*messages, llm.chat(HELLO).choices[0].message], trim=True)
        assert server.asked[-1]["messages"][-1] == {"role": "assistant", "content": "hello"}
        assert llm.fit(messages) == sent
        with pytest.raises(InputTooLarge):
            llm.chat(messages, trim=False)


def test_retries_wait_2_4_8_and_16_seconds(server: Answering, file: pathlib.Path) -> None:
    waits: list[float] = []
    server.failures = [503, 429, "hang up", 500]
    with Client(file, sleep=waits.append) as llm:
        assert llm.chat(HELLO).choices[0].message.content == "hello"
        assert waits == [2, 4, 8, 16]
        server.failures = [503] * 5
        with pytest.raises(openai.InternalServerError):
            llm.chat(HELLO)
    assert waits == [2, 4, 8, 16] * 2
    assert len(server.asked) == 10


@pytest.mark.parametrize(
    ("stated", "waited"), [("30", 30), ("1", 2), ("86400", 60), ("soon", 2), ("inf", 2), ("nan", 2)]
)
def test_a_server_says_when_to_come_again(server: Answering, file: pathlib.Path, stated: str, waited: float) -> None:
    waits: list[float] = []
    server.failures, server.retry_after = [503], stated
    with Client(file, sleep=waits.append) as llm:
        llm.chat(HELLO)
    assert waits == [waited]


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_what_is_wrong_with_a_request_is_not_tried_again(server: Answering, file: pathlib.Path, status: int) -> None:
    waits: list[float] = []
    server.failures = [status]
    with Client(file, sleep=waits.append) as llm, pytest.raises(openai.APIStatusError):
        llm.chat(HELLO)
    assert (waits, len(server.asked)) == ([], 1)


def test_what_takes_too_long_is_not_asked_twice(server: Answering, tmp_path: pathlib.Path) -> None:
    server.pause = 1.0
    with Client(write(tmp_path / "a.json", server, timeout=0.2)) as llm, pytest.raises(openai.APITimeoutError):
        llm.chat(HELLO)
    assert len(server.asked) == 1


@contextlib.contextmanager
def hanging() -> t.Iterator[str]:
    """The address of a host that answers no connection: its queue is full, so that it drops what comes."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _at in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


def test_a_connection_that_hangs_is_tried_again(
    server: Answering, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "CONNECT_SECONDS", 0.2)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def main(path: pathlib.Path) -> None:
        async with AsyncClient(path, sleep=sleep) as llm:
            await llm.chat(HELLO)

    with hanging() as url:
        path = write(tmp_path / "a.json", server, base_url=url, retries=[0.5, 0.6])
        with Client(path, sleep=waits.append) as llm, pytest.raises(openai.APITimeoutError):
            llm.chat(HELLO)
        assert waits == [0.5, 0.6]
        with pytest.raises(openai.APITimeoutError):
            asyncio.run(main(path))
    assert waits == [0.5, 0.6] * 2


@pytest.mark.parametrize(("key", "said"), [({}, 1), ({"api_key": "key-of-tests"}, 0)])
def test_a_key_that_is_missing_is_said_once(
    server: Answering, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, key: Json, said: int
) -> None:
    with Client(write(tmp_path / "a.json", server, api_key_required=True, **key)) as llm:
        llm.chat(HELLO)
        llm.chat(HELLO)
    assert caplog.text.count("the server asks for an API key, and there is none") == said


def test_nothing_listens(file: pathlib.Path, server: Answering, tmp_path: pathlib.Path) -> None:
    waits: list[float] = []
    dead = write(tmp_path / "dead.json", server, base_url="http://127.0.0.1:9/v1", retries=[0.5])
    with Client(dead, sleep=waits.append) as llm, pytest.raises(openai.APIConnectionError):
        llm.chat(HELLO)
    assert waits == [0.5]


def test_a_stream(server: Answering, file: pathlib.Path) -> None:
    waits: list[float] = []
    server.failures = [503]
    with Client(file, sleep=waits.append) as llm:
        with llm.stream(HELLO, phase="tool_call") as chunks:
            assert [chunk.choices[0].delta.content for chunk in chunks] == ["hello"] * 3
        server.breaks = True
        with pytest.raises(openai.APIError, match="engine died"), llm.stream(HELLO) as chunks:
            list(chunks)
        with pytest.raises(TypeError, match="two methods"):
            llm.chat(HELLO, stream=True)
    assert server.asked[-1]["stream"] is True
    assert waits == [2]


def test_no_more_are_in_flight_than_said(server: Answering, tmp_path: pathlib.Path) -> None:
    server.together = 3
    with (
        Client(write(tmp_path / "a.json", server, max_in_flight=3)) as llm,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda _at: llm.chat(HELLO), range(8)))
        assert server.most == 3
        server.together = 6
        write(tmp_path / "a.json", server, max_in_flight=6)
        list(pool.map(lambda _at: llm.chat(HELLO), range(8)))
        assert server.most == 6


def test_a_stream_has_its_place_until_it_is_left(server: Answering, tmp_path: pathlib.Path) -> None:
    with (
        Client(write(tmp_path / "a.json", server, max_in_flight=1)) as llm,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        with llm.stream(HELLO):
            waiting = pool.submit(llm.chat, HELLO)
            with pytest.raises(concurrent.futures.TimeoutError):
                waiting.result(0.2)
        assert waiting.result(5).choices


def test_a_stream_that_waits_for_itself_is_told(server: Answering, tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.json", server, max_in_flight=1)

    async def main() -> None:
        async with AsyncClient(path) as llm:
            async with llm.stream(HELLO), asyncio.timeout(20):
                with pytest.raises(WouldWaitForItself):
                    await llm.chat(HELLO)
            await llm.chat(HELLO)

    with Client(path) as llm:
        with llm.stream(HELLO), pytest.raises(WouldWaitForItself, match=r"No more than 1 requests .*leave their with"):
            llm.chat(HELLO)
        llm.chat(HELLO)
    asyncio.run(main())


def test_what_is_no_list_of_messages_is_told(file: pathlib.Path, server: Answering) -> None:
    wrong: t.Any
    with Client(file) as llm:
        for wrong in ("confidential", {"role": "user", "content": "confidential"}, ["confidential"], [5]):
            with pytest.raises(TypeError, match="write a list of messages") as error:
                llm.chat(wrong)
            assert "confidential" not in str(error.value)
        wrong = ["x"]
        with pytest.raises(TypeError, match="phase is a list: write its name"):
            llm.chat(HELLO, phase=wrong)
        for name in ("stream", "messages"):
            with pytest.raises(TypeError, match="leave"):
                llm.chat(HELLO, extra_body={name: HELLO})
    assert server.asked == []


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_budget_holds_what_stands_in_the_body_too(server: Answering, file: pathlib.Path, name: str) -> None:
    with Client(file) as llm:
        llm.chat(HELLO, extra_body={name: 5000})
        llm.chat(HELLO, extra_body={name: 7, "min_p": 0.1})
    assert [request["max_tokens"] for request in server.asked] == [300, 7]
    assert not any("max_completion_tokens" in request for request in server.asked)


def test_a_change_is_live(
    server: Answering, file: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = tmp_path / "key"
    key.write_text("key-of-before\n")
    write(file, server, api_key_file=str(key))
    with Client(file) as llm:
        llm.chat(HELLO)
        write(file, server, sampling={"temperature": 0.2}, api_key_file=str(key))
        llm.chat(HELLO)
        key.write_text("key-of-after!\n")
        llm.chat(HELLO)
        file.write_text("{")
        llm.chat(HELLO)
        llm.chat(HELLO)
        assert "key-of" not in repr(llm.settings)
    assert [request["temperature"] for request in server.asked] == [0.7, 0.2, 0.2, 0.2, 0.2]
    assert server.keys[::2] == ["key-of-before"] * 2 + ["key-of-after!"] * 3
    assert caplog.text.count("The settings of before stay in force") == 1
    assert "key-of" not in caplog.text


def test_the_environment_names_the_file_and_lends_no_key(
    server: Answering, file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-another-account")
    with pytest.raises(SettingsError, match="set VLLM_CLIENT_FILE"):
        Client()
    monkeypatch.setenv("VLLM_CLIENT_FILE", str(file))
    with Client() as llm:
        llm.chat(HELLO)
    assert set(server.keys) == {"unused"}


def test_asyncio(server: Answering, tmp_path: pathlib.Path) -> None:
    server.together, server.failures = HELD, [503, 503]
    path = write(tmp_path / "a.json", server, max_in_flight=HELD, sampling=SAMPLING)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def main(llm: AsyncClient) -> None:
        await asyncio.gather(*(llm.chat(HELLO) for _at in range(HELD + 2)))
        async with llm.stream(HELLO, phase="tool_call") as chunks:
            assert [chunk.choices[0].delta.content async for chunk in chunks] == ["hello"] * 3
        assert (await llm.budget(HELLO)).input.by == "server"
        assert await llm.fit(HELLO) == HELLO
        server.tokenize = 404
        assert (await llm.budget(HELLO)).input.by == "estimate"
        assert (await llm.budget(HELLO)).input.by == "estimate"
        server.failures = [400]
        with pytest.raises(openai.BadRequestError):
            await llm.chat(HELLO)
        cut = asyncio.create_task(llm.chat(HELLO))
        await asyncio.sleep(0.02)
        cut.cancel()
        await asyncio.gather(*(llm.chat(HELLO) for _at in range(HELD + 1)))
        await llm.close()

    llm = AsyncClient(path, sleep=sleep)
    asyncio.run(main(llm))
    assert server.most == HELD
    assert sorted(waits) == [2, 2]

    async def again() -> None:
        async with AsyncClient(path) as other:
            await other.chat(HELLO)

    asyncio.run(again())


def test_waits_are_said_without_what_was_asked(
    server: Answering, file: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="gpufleet_client")
    server.failures = [503]
    with Client(file, sleep=lambda _seconds: None) as llm:
        llm.chat([{"role": "user", "content": "confidential"}])
    assert "assistant: HTTP 503, retry 1 of 4 in 2 s." in caplog.text
    assert "confidential" not in caplog.text
