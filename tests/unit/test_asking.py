# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python on the pages for those who use the servers: it is asked of a server, or at least read."""

from __future__ import annotations

import ast
import pathlib
import re
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.roles.vllm_client.answering import Answering, answering, tokens

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
Messages = list[dict[str, str]]


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def block(page: str, word: str) -> str:
    (found,) = (one for one in blocks(page) if word in one)
    return found


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Answering]:
    with answering() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "unused")
        yield running


@pytest.mark.parametrize("page", ["asking.md", "tokens.md", "quantizing.md"])
def test_it_can_be_read(page: str) -> None:
    assert blocks(page)
    for text in blocks(page):
        ast.parse(text)


@pytest.mark.parametrize("word", ['Name three rivers."}', "stream_options"])
def test_a_question_is_answered(server: Answering, capsys: pytest.CaptureFixture[str], word: str) -> None:
    exec(block("asking.md", word), {})
    assert [asked["model"] for asked in server.asked] == ["assistant"]
    assert capsys.readouterr().out.strip()


def test_tokens_are_counted_by_the_server(server: Answering, capsys: pytest.CaptureFixture[str]) -> None:
    exec(block("tokens.md", "/tokenize"), {})
    assert len(server.counted) == 1
    left = server.length - tokens(server.counted[0])
    assert f"the answer may have {left} tokens" in capsys.readouterr().out


def talk(turns: int) -> Messages:
    said = [{"role": "system", "content": "You plan."}]
    for turn in range(turns):
        said += [{"role": "user", "content": f"q{turn}"}, {"role": "assistant", "content": f"a{turn}"}]
    return [*said, {"role": "user", "content": "and now?"}]


def cut(messages: Messages, limit: int) -> Messages:
    names: dict[str, t.Any] = {}
    exec(block("tokens.md", "def fit"), names)
    return t.cast(Messages, names["fit"](messages, limit, len))


def test_a_short_conversation_stays() -> None:
    assert cut(talk(3), 8) == talk(3)


@pytest.mark.parametrize("turns", [4, 10, 100])
def test_a_long_one_is_cut_to_three_quarters_at_a_question(turns: int) -> None:
    kept = cut(talk(turns), 8)
    assert len(kept) <= 6 and kept[0] == talk(1)[0] and kept[-1] == talk(1)[-1]
    assert kept[1]["role"] == "user" and kept[1:] == talk(turns)[-len(kept) + 1 :]


def test_its_beginning_stays_for_the_questions_after_a_cut() -> None:
    """Two of ten questions have another beginning than the one before; cut with each, all of them would."""
    messages, moved = talk(3), 0
    for turn in range(10):
        before = messages
        messages = cut(
            [*before, {"role": "assistant", "content": f"b{turn}"}, {"role": "user", "content": f"r{turn}"}], 16
        )
        moved += messages[: len(before)] != before
    assert moved == 2


def test_the_last_question_stays_whatever_it_takes() -> None:
    assert cut(talk(5), 1) == [talk(0)[0], talk(0)[-1]]
    assert cut(talk(0), 1) == talk(0)
