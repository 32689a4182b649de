# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A conversation that is too long: the oldest turns go, the system prompt stays first."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.roles.vllm_client.files.gpufleet_client import conversation
from ansible_collections.gpufleet.vllm.roles.vllm_client.files.gpufleet_client.budget import Count
from ansible_collections.gpufleet.vllm.roles.vllm_client.files.gpufleet_client.conversation import Fitted, Message
from ansible_collections.gpufleet.vllm.roles.vllm_client.files.gpufleet_client.settings import Settings

SYSTEM: Message = {"role": "system", "content": "be brief"}


def turn(number: int, words: int = 20) -> list[Message]:
    return [
        {"role": "user", "content": f"question{number} " * words},
        {"role": "assistant", "content": f"answer{number} " * words},
    ]


def count(messages: t.Iterable[Message]) -> int:
    return sum(3 + len(str(message.get("content") or "").split()) for message in messages)


def fit(messages: t.Sequence[Message], limit: int, rounds: list[int] | None = None) -> Fitted:
    phase = Settings("a", "u", ("m",), sampling={"context_limit": limit}).phase()
    steps = conversation.fit(messages, phase, None)
    asked = next(steps)
    while True:
        try:
            if rounds is not None:
                rounds.append(len(asked))
            asked = steps.send(Count(count(asked), "server"))
        except StopIteration as end:
            return t.cast(Fitted, end.value)


def test_what_fits_is_left_alone() -> None:
    messages = [SYSTEM, *turn(1), *turn(2)]
    assert fit(messages, count(messages)) == Fitted(tuple(messages), Count(count(messages), "server"), 0)


def test_the_oldest_turns_go_and_what_is_left_begins_with_a_user() -> None:
    messages = [SYSTEM, *turn(1), *turn(2), *turn(3), *turn(4), {"role": "user", "content": "now"}]
    found = fit(messages, count(messages) - 1)
    assert found.messages[0] is SYSTEM
    assert found.messages[-1]["content"] == "now"
    assert found.messages[1]["role"] == "user"
    assert found.dropped == len(messages) - len(found.messages) > 0
    assert found.count.tokens == count(found.messages) <= count(messages) - 1


def test_a_cut_makes_room_for_the_turns_to_come() -> None:
    """So that the server finds the same beginning again: a cut for each turn would have it computed anew each time."""
    messages: list[Message] = [SYSTEM]
    cuts = 0
    for number in range(40):
        messages += turn(number)
        found = fit(messages, 500)
        cuts += found.dropped > 0
        messages = list(found.messages)
    assert 0 < cuts <= 20
    assert messages[0] is SYSTEM


def test_the_last_turn_stays_whatever_it_takes() -> None:
    found = fit([SYSTEM, *turn(1), *turn(2, 900)], 50)
    assert [message["role"] for message in found.messages] == ["system", "user", "assistant"]
    assert found.count.tokens > 50


def test_a_tool_call_and_its_answer_go_together() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f" * 50}}]}
    answer = {"role": "tool", "tool_call_id": "1", "content": "word " * 50}
    messages = [SYSTEM, {"role": "user", "content": "x"}, call, answer, *turn(2), *turn(3)]
    for limit in range(20, count(messages)):
        kept = fit(messages, limit).messages
        assert (call in kept) == (answer in kept)
        assert kept[1]["role"] == "user"


@pytest.mark.parametrize("first", [[], [SYSTEM], [SYSTEM, {"role": "developer", "content": "x"}]])
def test_all_that_stands_first_stays(first: list[Message]) -> None:
    found = fit([*first, {"role": "assistant", "content": "hello " * 30}, *turn(1), *turn(2)], 80)
    assert list(found.messages[: len(first)]) == first
    assert found.dropped


@pytest.mark.parametrize("messages", [[], [SYSTEM], [SYSTEM, SYSTEM]])
def test_where_there_is_no_turn_nothing_goes(messages: list[Message]) -> None:
    assert fit(messages, 1).messages == tuple(messages)


def test_each_round_goes_on_where_the_server_counts_more() -> None:
    rounds: list[int] = []
    fit([SYSTEM, *turn(1, 1), *turn(2, 300), *turn(3, 1)], 100, rounds)
    assert rounds == sorted(rounds, reverse=True)


def test_the_limit_leaves_room_for_the_answer_and_half_for_the_input() -> None:
    def limit(length: int | None, asked: int | None = None, **sampling: int) -> int | None:
        return conversation.limit(Settings("a", "u", ("m",), sampling=sampling).phase(), length, asked)

    assert limit(12288, output_reserve=3000) == 12288 - 128 - 3000
    assert limit(12288, 100, output_reserve=3000) == 12288 - 128 - 100
    assert limit(4096, output_reserve=3000) == 2048
    assert limit(4096, context_limit=3072) == 3072
    assert limit(4096) == 4096 - 128 - 256
    assert limit(None) is None


def test_an_estimate_is_rather_too_high() -> None:
    words = "The quick brown fox jumps over the lazy dog. " * 20
    assert conversation.estimate([{"role": "user", "content": words}]) > 200  # a tokenizer makes 201 of it at most
    parts = [{"type": "text", "text": words}, {"type": "image_url", "image_url": {"url": "data:" + "x" * 10**6}}]
    assert conversation.estimate([{"role": "user", "content": parts}]) < 400
    assert conversation.estimate([], [{"type": "function"}]) > 0
    assert conversation.estimate([{"role": "user", "content": "\ud800"}]) > 0
