# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that pools proves itself by numbers. Bodies are those of vLLM's entrypoints/pooling protocols."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.release import Release
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import liveness, pooled
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import expectation
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.prove import prove
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.smoke_errors import NotProved
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import (
    EXPECTED,
    MODELS,
    URL,
    Script,
)

POOLS = dataclasses.replace(EXPECTED, pools=True)
NOT_HERE = Reply(400, {"error": {"message": "The model does not support Embeddings API"}})
GONE = Reply(404, {"detail": "Not Found"})


def embedding(values: t.Any) -> Reply:
    return Reply(200, {"object": "list", "data": [{"index": 0, "object": "embedding", "embedding": values}]})


def test_an_embedding_is_a_proof() -> None:
    http = Script(models=MODELS, embeddings=embedding([0.1, -0.2, 0.3]))
    proof = prove(http, POOLS)
    assert (proof.answer, proof.answered_in, proof.max_model_len) == ("3 numbers", "/v1/embeddings", 1024)
    assert http.asked[-1] == ("/v1/embeddings", {"model": "assistant", "input": "Say hello."})


@pytest.mark.parametrize(
    ("answers", "path"),
    [
        ({"classify": Reply(200, {"data": [{"label": "a", "probs": [0.2, 0.8], "num_classes": 2}]})}, "/classify"),
        ({"classify": GONE, "pooling": Reply(200, {"data": [{"data": [[0.1], [0.2]]}]})}, "/pooling"),
        ({"classify": GONE, "pooling": NOT_HERE, "score": Reply(200, {"data": [{"score": 0.5}]})}, "/score"),
    ],
)
def test_the_next_question_where_one_is_not_for_this_model(answers: dict[str, Reply], path: str) -> None:
    http = Script(models=MODELS, embeddings=NOT_HERE)
    http.answers |= answers
    assert prove(http, POOLS).answered_in == path


@pytest.mark.parametrize(
    ("reply", "failure_class", "says"),
    [
        (embedding([]), "smoke.content", "no numbers"),
        (embedding([float("nan")]), "smoke.content", "not all finite numbers"),
        (embedding(["1"]), "smoke.content", "not all finite numbers"),
        (embedding([True]), "smoke.content", "not all finite numbers"),
        (Reply(200, {"data": []}), "smoke.content", "it has no data"),
        (Reply(200, "words"), "smoke.content", "it has no data"),
        (Reply(500, {"error": {"message": "boom"}}), "smoke.error", "answered 500: boom"),
        (NoAnswer("timed out"), "smoke.no_answer", "timed out"),
    ],
)
def test_what_is_no_proof(reply: t.Any, failure_class: str, says: str) -> None:
    with pytest.raises(NotProved, match=says) as caught:
        prove(Script(models=MODELS, embeddings=reply), POOLS)
    assert caught.value.failure_class == failure_class


def test_a_server_that_answers_none_of_them() -> None:
    http = Script(models=MODELS, embeddings=NOT_HERE, classify=GONE, pooling=GONE, score=GONE)
    with pytest.raises(NotProved, match="/v1/embeddings answered 400"):
        prove(http, POOLS)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"runner": "pooling"}, True),
        ({"convert": "embed"}, True),
        ({"task": "score"}, True),
        ({"runner": "auto"}, False),
        ({"task": "generate", "convert": "none"}, False),
        ({}, False),
    ],
)
def test_which_servers_pool(arguments: dict[str, str], found: bool) -> None:
    release: Release = {"arguments": arguments, "bind": "127.0.0.1", "port": 8000, "served_model_names": ["a"]}
    assert pooled.pools(arguments) is found
    expected = expectation(release, {"smoke": {"warn_latency": 3}})
    assert (expected.pools, expected.warn_latency is None) == (found, found)


def test_a_look_asks_it_for_numbers_too() -> None:
    http = Script(embeddings=embedding([0.5]))
    assert liveness.one_answer(http, URL, "a", 30, pools=True).status == 200
    assert http.asked == [("/v1/embeddings", {"model": "a", "input": "Hello"})]
    with pytest.raises(NoAnswer, match="no numbers"):
        liveness.one_answer(Script(embeddings=embedding([])), URL, "a", 30, pools=True)
    broken = Script(embeddings=Reply(500, {}))
    assert liveness.one_answer(broken, URL, "a", 30, pools=True).status == 500
