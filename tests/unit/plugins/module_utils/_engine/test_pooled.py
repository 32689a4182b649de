# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that pools proves itself by numbers. Bodies are those of vLLM's entrypoints/pooling protocols."""

from __future__ import annotations

import dataclasses
import math
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.release import Release
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import liveness, pooled
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import Check, Question, Ranking, expectation
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.prove import prove
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.smoke_errors import NotProved
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import (
    EXPECTED,
    MODELS,
    URL,
    Script,
    message,
)

POOLS = dataclasses.replace(EXPECTED, pools=True)
NOT_HERE = Reply(400, {"error": {"message": "The model does not support Embeddings API"}})
GONE = Reply(404, {"detail": "Not Found"})
NO_NUMBERS = Reply(400, {"error": {"message": "Out of range float values are not JSON compliant"}})
GOOD = [0.1, -0.2, 0.3]
RANK = Ranking("q", ("good", "fair", "bad"))


def embeddings(*vectors: t.Any) -> Reply:
    data = [{"index": at, "object": "embedding", "embedding": values} for at, values in enumerate(vectors)]
    return Reply(200, {"object": "list", "data": data})


def embedding(values: t.Any) -> Reply:
    return embeddings(values, values, [0.3, 0.1, -0.2])


def classes(label: t.Any, *probs: float) -> Reply:
    return Reply(200, {"data": [{"label": label, "probs": list(probs), "num_classes": len(probs)}]})


def scores(*found: t.Any) -> Reply:
    return Reply(200, {"data": [{"index": at, "object": "score", "score": one} for at, one in enumerate(found)]})


def test_an_embedding_is_a_proof() -> None:
    http = Script(models=MODELS, embeddings=embedding(GOOD))
    proof = prove(http, dataclasses.replace(POOLS, dimension=3))
    assert (proof.answer, proof.answered_in, proof.max_model_len) == ("3 numbers", "/v1/embeddings", 1024)
    assert proof.checks == ("dimension",)
    path, body = http.asked[-1]
    same, again, other = body["input"]
    assert (path, body["model"], same, again) == ("/v1/embeddings", "assistant", "Say hello.", "Say hello.")
    assert other not in (same, "")


@pytest.mark.parametrize(
    ("answers", "path", "told"),
    [
        ({"classify": classes("a", 0.2, 0.8)}, "/classify", "class 'a' of 2"),
        ({"pooling": Reply(200, {"data": [{"data": [[0.1], [0.2]]}]})}, "/pooling", "2 numbers"),
        ({"pooling": NOT_HERE, "score": scores(0.5, 0.1)}, "/score", "1 number"),
        ({"classify": classes("LABEL_0", 0.4), "score": scores(0.9, 0.2)}, "/classify", "1 number"),
        ({"classify": classes(None, 0.4), "score": scores(0.9, 0.2)}, "/classify", "1 number"),
        ({"classify": classes("Out of range float values", 0.2, 0.8)}, "/classify", "class 'Out of range float v"),
    ],
)
def test_the_next_question_where_one_is_not_for_this_model(answers: dict[str, Reply], path: str, told: str) -> None:
    http = Script(models=MODELS, embeddings=NOT_HERE, classify=GONE)
    http.answers |= answers
    proof = prove(http, POOLS)
    assert (proof.answered_in, proof.answer[:27], proof.warnings) == (path, told, ())


@pytest.mark.parametrize(
    ("reply", "failure_class", "says"),
    [
        (embedding([]), "smoke.content", "no numbers"),
        (embedding([float("nan")]), "smoke.content", "not all finite numbers"),
        (embedding(["1"]), "smoke.content", "not all finite numbers"),
        (embedding([True]), "smoke.content", "not all finite numbers"),
        (embedding([0.0, 0.0]), "smoke.content", "have 2, 2 and 3 numbers"),
        (embeddings([0.0], [0.0], [0.5]), "smoke.content", "all zeros"),
        (embeddings([1e200], [1e200], [0.5]), "smoke.content", "too large to compare"),
        (embeddings(GOOD, GOOD), "smoke.content", "2 embeddings for 3 texts"),
        (embeddings(GOOD, [-0.1, 0.2, 0.3], [1.0, 0.0, 0.0]), "smoke.content", r"alike by 0\.\d+ \(their cosine\)"),
        (embeddings(GOOD, GOOD, GOOD), "smoke.content", "two texts have the very same embedding"),
        (Reply(200, {"data": []}), "smoke.content", "it has no data"),
        (Reply(200, {"data": [1, 2, 3]}), "smoke.content", "it has no data"),
        (Reply(200, "words"), "smoke.content", "it has no data"),
        (NO_NUMBERS, "smoke.content", "answered 400: Out of range float .* its weights are damaged, or its dtype"),
        (Reply(500, {"error": {"message": "boom"}}), "smoke.error", "answered 500: boom"),
        (NoAnswer("timed out"), "smoke.no_answer", "timed out"),
    ],
)
def test_what_is_no_proof(reply: t.Any, failure_class: str, says: str) -> None:
    http = Script(models=MODELS, embeddings=reply, classify=GONE, pooling=GONE, score=GONE)
    with pytest.raises(NotProved, match=says) as caught:
        prove(http, POOLS)
    assert caught.value.failure_class == failure_class


def test_a_batch_moves_an_embedding_a_little() -> None:
    turned = [math.cos(0.05), math.sin(0.05)]
    http = Script(models=MODELS, embeddings=embeddings([1.0, 0.0], turned, [0.0, 1.0]))
    assert prove(http, POOLS).answer == "2 numbers"


@pytest.mark.parametrize("label", [None, "", 3])
def test_a_class_has_a_name(label: t.Any) -> None:
    http = Script(models=MODELS, embeddings=GONE, classify=classes(label, 0.2, 0.8))
    with pytest.raises(NotProved, match="its class has no name"):
        prove(http, POOLS)


def test_the_name_of_a_class_matches_a_pattern() -> None:
    http = Script(models=MODELS, embeddings=GONE, classify=classes("praise", 0.2, 0.8))
    wants = dataclasses.replace(POOLS, question=Question(pattern="^praise$"))
    assert prove(http, wants).checks == ("pattern",)
    with pytest.raises(NotProved, match="the class 'praise' does not match the pattern 'complaint'"):
        prove(http, dataclasses.replace(POOLS, question=Question(pattern="complaint")))
    with pytest.raises(NotProved, match="/v1/embeddings answers without one"):
        prove(Script(models=MODELS, embeddings=embedding(GOOD)), wants)


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"embeddings": embedding(GOOD)}, "an embedding has 3 numbers, and not 4"),
        ({"embeddings": GONE, "classify": classes("a", 0.2, 0.8)}, "what answers is /classify: no embedding"),
    ],
)
def test_an_embedding_has_the_dimension_that_is_stated(answers: dict[str, Reply], says: str) -> None:
    http = Script(models=MODELS)
    http.answers |= answers
    with pytest.raises(NotProved, match=says) as caught:
        prove(http, dataclasses.replace(POOLS, dimension=4))
    assert caught.value.failure_class == "smoke.dimension" and "smoke.dimension" in caught.value.advice


def ranker(score: t.Any) -> Script:
    return Script(models=MODELS, embeddings=GONE, classify=classes("LABEL_0", 0.4), score=score)


def test_a_reranker_ranks_as_it_must() -> None:
    http = ranker(scores(0.9, 0.5, 0.1))
    proof = prove(http, dataclasses.replace(POOLS, rank=RANK))
    assert (proof.checks, proof.warnings) == (("rank",), ())
    assert http.asked[-1] == ("/score", {"model": "assistant", "text_1": "q", "text_2": ["good", "fair", "bad"]})


@pytest.mark.parametrize(
    ("score", "failure_class", "says"),
    [
        (scores(0.9, 0.1, 0.5), "smoke.rank", "'fair' is no better an answer to 'q' than 'bad': the scores are 0.9, 0"),
        (scores(0.5, 0.5, 0.1), "smoke.rank", "'good' is no better"),
        (scores(0.9, 0.1), "smoke.rank", "2 scores came for 3 documents"),
        (scores(0.9, None, 0.1), "smoke.rank", "no scores: its data has no numbers"),
        (GONE, "smoke.rank", "/score answered 404"),
        (Reply(499, {}), "smoke.rank", "/score answered 499"),
        (Reply(500, {}), "smoke.error", "/score answered 500"),
        (NoAnswer("timed out"), "smoke.no_answer", "smoke.rank got no answer"),
    ],
)
def test_a_reranker_that_does_not(score: t.Any, failure_class: str, says: str) -> None:
    with pytest.raises(NotProved, match=says) as caught:
        prove(ranker(score), dataclasses.replace(POOLS, rank=RANK))
    assert caught.value.failure_class == failure_class


@pytest.mark.parametrize("score", [scores(0.1, 0.9), GONE])
def test_what_nobody_stated_only_warns(score: Reply) -> None:
    (warning,) = prove(ranker(score), POOLS).warnings
    assert warning.startswith("smoke.rank: ") and "correct smoke.rank" in warning


def test_a_server_that_answers_none_of_them() -> None:
    """What has a path says more than one that has none."""
    http = Script(models=MODELS, embeddings=GONE, classify=NO_NUMBERS, pooling=NO_NUMBERS, score=GONE)
    with pytest.raises(NotProved, match="/classify answered 400: Out of range float values are not JSON compliant"):
        prove(http, POOLS)
    http = Script(models=MODELS, embeddings=GONE, classify=GONE, pooling=GONE, score=GONE)
    with pytest.raises(NotProved, match=r"none of /v1/embeddings, .* is there: this server does not pool"):
        prove(http, POOLS)


def test_a_server_that_pools_without_a_word() -> None:
    """Where a model's files are on the hub alone, nobody can say before it starts what it is."""
    http = Script(models=MODELS, chat=GONE, completions=GONE, embeddings=embedding(GOOD))
    proof = prove(http, dataclasses.replace(EXPECTED, checks=(Check("tool_call", Question(), decides=False),)))
    assert (proof.answer, proof.answered_in) == ("3 numbers", "/v1/embeddings")


@pytest.mark.parametrize(
    "demanded",
    [
        {"question": Question(chat=True)},
        {"question": Question(json_schema={"type": "object"})},
        {"checks": (Check("prompts[0]", Question()),)},
        {"stream": Question()},
    ],
)
def test_numbers_are_no_answer_where_a_generation_is_demanded(demanded: dict[str, t.Any]) -> None:
    http = Script(models=MODELS, chat=GONE, completions=GONE, embeddings=embedding(GOOD))
    with pytest.raises(NotProved, match="answered 404"):
        prove(http, dataclasses.replace(EXPECTED, **demanded))


def test_a_server_that_has_nothing_at_all() -> None:
    http = Script(models=MODELS, chat=GONE, completions=GONE, embeddings=GONE, classify=GONE, pooling=GONE, score=GONE)
    with pytest.raises(NotProved, match="the generation answered 404: Not Found"):
        prove(http, EXPECTED)


@pytest.mark.parametrize("demanded", [{"dimension": 3}, {"rank": RANK}])
def test_numbers_are_demanded_and_it_generates(demanded: dict[str, t.Any]) -> None:
    with pytest.raises(NotProved, match="is stated, and this server does not pool"):
        prove(Script(models=MODELS, chat=message(content="Hello")), dataclasses.replace(EXPECTED, **demanded))


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
    rank = {"query": "q", "documents": ["good", "fair", "bad"]}
    expected = expectation(release, {"smoke": {"warn_latency": 3, "dimension": 8, "rank": rank}})
    assert (expected.dimension, expected.rank) == (8, RANK)
    assert (expected.pools, expected.warn_latency is None) == (found, found)


def test_a_look_asks_it_for_numbers_too() -> None:
    http = Script(embeddings=embedding([0.5]))
    assert liveness.one_answer(http, URL, "a", 30, pools=True).status == 200
    assert http.asked == [("/v1/embeddings", {"model": "a", "input": "Hello"})]
    unsaid = Script(completions=GONE, embeddings=embedding([0.5]))
    assert liveness.one_answer(unsaid, URL, "a", 30, pools=False).status == 200
    missing = Script(completions=Reply(404, {"error": {"message": "The model `a` does not exist."}}))
    assert liveness.one_answer(missing, URL, "a", 30, pools=False).status == 404
    with pytest.raises(NoAnswer, match="no numbers"):
        liveness.one_answer(Script(embeddings=embedding([])), URL, "a", 30, pools=True)
    broken = Script(embeddings=Reply(500, {}))
    assert liveness.one_answer(broken, URL, "a", 30, pools=True).status == 500
