# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that nobody has thought of: each proves an engine, or does not, and nothing else happens."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import typing as t

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker import client_shapes
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import liveness, metrics
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import Check, Question
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.prove import prove
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.smoke_errors import NotProved
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.status import container_facts
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import misfit
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.drain import in_flight
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import (
    EXPECTED,
    MODELS,
    URL,
    Script,
    message,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import entry

# fmt: off
KEYS = [
    "choices", "message", "content", "reasoning", "tool_calls", "function", "name", "arguments", "text",
    "finish_reason", "usage", "completion_tokens", "data", "id", "max_model_len", "error", "detail", "delta",
    "Id", "Name", "Image", "State", "Status", "Running", "StartedAt", "HostConfig", "RestartPolicy",
    "Config", "Labels", "RestartCount", "ExitCode", "OOMKilled", "assistant",
]
# fmt: on
Scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(KEYS)
Odd = st.recursive(
    Scalars,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.sampled_from(KEYS), parts, max_size=6),
    max_leaves=25,
)
Replies = st.builds(Reply, st.sampled_from([200, 200, 200, 400, 404, 500]), Odd)
EVERYTHING = dataclasses.replace(
    EXPECTED,
    checks=(
        Check("tool_call", Question()),
        Check("reasoning", Question()),
        Check("json_schema", Question(json_schema={"type": "object", "properties": {"a": {"type": "integer"}}})),
        Check("prompts[0]", Question(pattern="x")),
    ),
    warn_latency=1.0,
)
GOOD = message(content="Hello", tokens=5)


def judged(http: Script, expected: t.Any) -> None:
    try:
        proof = prove(http, expected)
    except NotProved as error:
        assert str(error) == printable(error) and len(str(error)) <= 1000
    else:
        assert proof.completion_tokens >= 1 and proof.answer


@given(Replies)
def test_any_list_of_models(reply: Reply) -> None:
    judged(Script(models=reply, chat=GOOD, completions=GOOD), dataclasses.replace(EXPECTED, max_model_len=None))


@given(Replies, Replies)
def test_any_generation(chat: Reply, completion: Reply) -> None:
    judged(Script(models=MODELS, chat=chat, completions=completion), EXPECTED)


@settings(max_examples=50)
@given(st.lists(Replies, min_size=8, max_size=8), st.lists(Odd, max_size=4))
def test_any_answer_to_any_check(replies: list[Reply], stream: list[t.Any]) -> None:
    judged(Script(models=MODELS, chat=[GOOD, *replies], completions=GOOD, stream=stream), EVERYTHING)


@given(Replies)
def test_any_answer_to_one_token(reply: Reply) -> None:
    with contextlib.suppress(NoAnswer):
        assert liveness.one_token(Script(completions=reply), URL, "a", 1) == reply


Values = st.floats().map(str) | st.text(max_size=6) | st.integers().map(str)
Names = st.sampled_from([*liveness.WORK, "vllm:num_requests_running", "vllm:num_requests_waiting", "other", ""])
Labels = st.sampled_from(["", '{engine="0"}', '{a="b c"}', "{"])
Pages = st.lists(st.tuples(Names, Labels, Values).map(lambda row: f"{row[0]}{row[1]} {row[2]}")).map("\n".join)


@given(Pages | st.text())
def test_any_page_of_metrics(page: str) -> None:
    with contextlib.suppress(NoAnswer):
        metrics.parsed(page, liveness.WORK)
    found = liveness.work(Script(metrics=Reply(200, page)), URL)
    assert all(math.isfinite(value) for value in found.counted.values())
    assert not liveness.moved(found, found)
    count = in_flight(Script(metrics=Reply(200, page)), entry())
    assert count is None or count >= 0


@given(Odd)
def test_any_container(document: t.Any) -> None:
    if not misfit(document, client_shapes.CONTAINER, "it"):
        container_facts(document)
