# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server that pools has to show: an embedding repeats, a class has a name, the better document is first.

Numbers alone are no proof: weights that were loaded wrong give numbers too.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import re
import typing as t
from dataclasses import dataclass

from . import pooled
from .expect import Expectation, Ranking
from .http_client import Http, NoAnswer, Reply
from .smoke_errors import NotProved, shown

OTHER = "Bananas are yellow and sweet."
# Which one answers the question is plain to any reranker of any language with a bit of English.
PLAIN = Ranking("What is the capital of France?", ("Paris is the capital of France.", OTHER))
# What vLLM says instead of numbers that JSON does not have.
NO_NUMBERS = "Out of range float values"
# Cosine of the same text's embeddings. A batch of other requests moves it in 16 bits by less than a thousandth.
SAME = 0.99


@dataclass(frozen=True)
class Pooled:
    """The path that answered, what it answered in words, what was demanded and passed, and what only warns."""

    path: str
    told: str
    checks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def offered(http: Http, expected: Expectation) -> tuple[str, Reply] | None:
    """The answer that there is; None where the server has none of these paths. Raises NotProved."""
    text, deadline = expected.question.prompt, expected.question.deadline
    bodies: dict[str, dict[str, t.Any]] = {
        pooled.EMBEDDINGS: {"input": [text, text, f"{text} {OTHER}"]},
        pooled.CLASSIFY: {"input": text},
        pooled.POOLING: {"input": text},
        pooled.SCORE: {"text_1": text, "text_2": [text, OTHER]},
    }
    try:
        path, reply = pooled.taken(http, expected.base_url, expected.served_model_names[0], bodies, deadline)
    except NoAnswer as error:
        raise NotProved("smoke.no_answer", f"the pooling got no answer within {deadline:g} s: {error}") from error
    return None if pooled.has_no_route(reply) else (path, reply)


def must_pool(http: Http, expected: Expectation) -> Pooled:
    """Raises NotProved."""
    found = offered(http, expected)
    if found is None:
        raise NotProved("smoke.error", f"none of {', '.join(pooled.PATHS)} is there: this server does not pool")
    return judged(http, expected, *found)


def judged(http: Http, expected: Expectation, path: str, reply: Reply) -> Pooled:
    """Raises NotProved."""
    if NO_NUMBERS in reply.error and reply.status != 200:
        why = "its numbers are none: its weights are damaged, or its dtype is too small for them"
        raise NotProved("smoke.content", f"{path} answered {reply.status}: {reply.error} ({why})")
    if reply.status != 200:
        raise NotProved("smoke.error", f"{path} answered {reply.status}: {reply.error}")
    try:
        entries = pooled.entries(reply)
        count = len(pooled.numbers(entries[0]))
        if path == pooled.EMBEDDINGS:
            _must_embed(entries)
        label = _label(entries[0], count) if path == pooled.CLASSIFY else ""
    except ValueError as error:
        raise NotProved("smoke.content", f"{path} answered 200 with no answer: {error}") from error
    told = f"class {label!r} of {count}" if label else f"{count} number{'' if count == 1 else 's'}"
    checks = _dimension(expected, path, count) + _pattern(expected, path, label)
    if expected.rank is not None:
        must_rank(http, expected, expected.rank)
        return Pooled(path, told, (*checks, "rank"))
    scores = path == pooled.SCORE or (path == pooled.CLASSIFY and count == 1)
    return Pooled(path, told, tuple(checks), _untold_rank(http, expected) if scores else ())


def must_rank(http: Http, expected: Expectation, ranking: Ranking) -> None:
    """Each document scores higher than the next one. Raises NotProved."""
    body = {
        "model": expected.served_model_names[0], "text_1": ranking.query, "text_2": list(ranking.documents),
    }  # fmt: skip
    deadline = expected.question.deadline
    try:
        reply = http.request("POST", f"{expected.base_url}{pooled.SCORE}", deadline, body)
    except NoAnswer as error:
        raise NotProved("smoke.no_answer", f"smoke.rank got no answer within {deadline:g} s: {error}") from error
    if reply.status != 200:
        failure = "smoke.error" if reply.status >= 500 else "smoke.rank"
        raise NotProved(failure, f"smoke.rank: {pooled.SCORE} answered {reply.status}: {reply.error}")
    try:
        scores = [pooled.numbers(one)[0] for one in pooled.entries(reply)]
    except ValueError as error:
        raise NotProved("smoke.rank", f"smoke.rank: {pooled.SCORE} answered 200 with no scores: {error}") from error
    if len(scores) != len(ranking.documents):
        raise NotProved("smoke.rank", f"smoke.rank: {len(scores)} scores came for {len(ranking.documents)} documents")
    for at, (better, worse) in enumerate(zip(scores, scores[1:])):
        if better <= worse:
            told = ", ".join(f"{score:.4g}" for score in scores)
            raise NotProved(
                "smoke.rank",
                f"smoke.rank: {shown(ranking.documents[at])} is no better an answer to {shown(ranking.query)} than "
                f"{shown(ranking.documents[at + 1])}: the scores are {told}",
            )


def _untold_rank(http: Http, expected: Expectation) -> tuple[str, ...]:
    """Nobody stated what is better, so that it only warns: what a model scores may be no answer to a question."""
    try:
        must_rank(http, expected, PLAIN)
    except NotProved as error:
        return (f"{error}. {error.advice}",)
    return ()


def _must_embed(entries: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    """Of the same text twice and another one. Raises ValueError."""
    if len(entries) != 3:
        raise ValueError(f"it has {len(entries)} embeddings for 3 texts")
    first, again, other = (pooled.numbers(one) for one in entries)
    if not len(first) == len(again) == len(other):
        raise ValueError(f"its embeddings have {len(first)}, {len(again)} and {len(other)} numbers")
    size = math.sqrt(_product(first, first) * _product(again, again))
    if size <= 0.0 or not math.isfinite(size):
        raise ValueError("its embedding is all zeros" if size <= 0.0 else "its embedding is too large to compare")
    alike = _product(first, again) / size
    if not alike >= SAME:
        raise ValueError(f"the same text, sent twice, has two embeddings, alike by {alike:.3f} (their cosine)")
    if first == other:
        raise ValueError("two texts have the very same embedding")


def _product(one: t.Sequence[float], other: t.Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other))


def _label(entry: t.Mapping[str, t.Any], count: int) -> str:
    """The name of the class; one class alone is a score and needs none. Raises ValueError."""
    label = entry.get("label")
    if count > 1 and not (isinstance(label, str) and label):
        raise ValueError(f"its class has no name ({label!r}): config.json has no id2label for it")
    return str(label) if count > 1 else ""


def _dimension(expected: Expectation, path: str, count: int) -> list[str]:
    if expected.dimension is None:
        return []
    if path != pooled.EMBEDDINGS:
        raise NotProved("smoke.dimension", f"smoke.dimension is stated, and what answers is {path}: no embedding")
    if count != expected.dimension:
        raise NotProved("smoke.dimension", f"an embedding has {count} numbers, and not {expected.dimension}")
    return ["dimension"]


def _pattern(expected: Expectation, path: str, label: str) -> list[str]:
    pattern = expected.question.pattern
    if not pattern:
        return []
    if not label:
        raise NotProved("smoke.content", f"smoke.pattern is for the name of a class, and {path} answers without one")
    if not re.search(pattern, label):
        raise NotProved("smoke.content", f"the class {shown(label)} does not match the pattern {pattern!r}")
    return ["pattern"]
