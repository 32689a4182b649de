# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that an engine serves: it lists its names with the planned length, it generates, and its answers are right.

/health alone is no proof: an engine can answer it and die on its first token, or answer it for hours while wedged.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import asdict, dataclass, replace

from .._outside import documents
from .._outside.printable import printable_lines
from . import adapters
from .checks import check
from .expect import Expectation
from .http_client import Http, NoAnswer, Reply
from .latency import Clock, Pace, measure, too_slow
from .openai_client import ask, has_no_chat_template, must_answer, must_suit, put
from .pooled import PATHS, has_no_route
from .pooled_proof import Pooled, judged, must_pool, offered
from .smoke_errors import SHOWN, NotProved
from .speech import PATH, must_transcribe
from .streaming import must_stream

LISTED: documents.Shape = {"data": [{"id": str, "max_model_len?": int}]}


@dataclass(frozen=True)
class Proof:
    """What the engine showed. max_model_len and completion_tokens in tokens; checks are those that were passed;
    pace where a bound is stated."""

    served_model_names: tuple[str, ...]
    max_model_len: int | None
    answer: str
    answered_in: str
    completion_tokens: int
    checks: tuple[str, ...] = ()
    pace: Pace | None = None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def healthy(http: Http, url: str, timeout: float = 2.0) -> bool:
    """Whether /health says 200: enough to begin the proof, never enough to end it."""
    try:
        return http.request("GET", f"{url}/health", timeout).status == 200
    except NoAnswer:
        return False


def listed_length(reply: Reply, expected: Expectation) -> int | None:
    """The max_model_len that /v1/models states for the planned names, in tokens."""
    if reply.status != 200:
        raise NotProved("smoke.models", f"/v1/models answered {reply.status}: {reply.error}")
    problem = documents.misfit(reply.body, LISTED, "the answer")
    if problem:
        raise NotProved("smoke.models", f"/v1/models answered 200: {reply.error} ({problem})")
    lengths: dict[str, int | None] = {card["id"]: card.get("max_model_len") for card in reply.body["data"]}
    missing = [name for name in expected.served_model_names if name not in lengths]
    if missing:
        listed = ", ".join(sorted(lengths))[:SHOWN] or "no model"
        raise NotProved("smoke.models", f"/v1/models lists {listed}, not {', '.join(missing)}")
    length = lengths[expected.served_model_names[0]]
    if length is not None and length < 1:
        raise NotProved("smoke.length", f"/v1/models states max_model_len {length}, which is no length")
    if expected.max_model_len is not None and length != expected.max_model_len:
        raise NotProved(
            "smoke.length", f"/v1/models states max_model_len {length}, planned is {expected.max_model_len}"
        )
    return length


def answers(http: Http, expected: Expectation) -> Proof:
    """The least that every engine has to show: its names, its length, and one answer. Raises NotProved.

    A server that pools answers with numbers, also where nobody said that it would; one that transcribes with the words
    of a sound.
    """
    models = ask(http, "GET", f"{expected.base_url}/v1/models", expected.question.deadline)
    length = listed_length(models, expected)
    question = expected.question
    if expected.pools:
        return _of_pooling(must_pool(http, expected), expected, length)
    if expected.transcribes:
        heard = must_transcribe(http, expected.base_url, expected.served_model_names[0], question.deadline)
        return Proof(expected.served_model_names, length, printable_lines(heard), PATH, 0)
    reply = put(http, expected, question, length)
    if has_no_route(reply) and not _must_generate(expected):
        found = offered(http, expected)
        if found is not None:
            return _of_pooling(judged(http, expected, *found), expected, length)
    _no_numbers_demanded(expected)
    if question.chat is True and has_no_chat_template(reply):
        raise NotProved("smoke.chat", f"smoke.chat: the question was answered {reply.status}: {reply.error}")
    answer = must_answer(reply, "smoke.content", "the generation")
    must_suit(answer, question, "smoke.content", "the generation")
    return Proof(expected.served_model_names, length, printable_lines(answer.text), answer.field, answer.tokens)


def _of_pooling(shown: Pooled, expected: Expectation, length: int | None) -> Proof:
    told = printable_lines(shown.told)
    return Proof(expected.served_model_names, length, told, shown.path, 0, checks=shown.checks, warnings=shown.warnings)


def _must_generate(expected: Expectation) -> bool:
    """Whether anything is demanded that only a generation has."""
    decides = any(one.decides for one in expected.checks)
    question = expected.question
    return decides or expected.stream is not None or question.chat is True or question.json_schema is not None


def _no_numbers_demanded(expected: Expectation) -> None:
    """Raises NotProved."""
    for name, demanded in (("dimension", expected.dimension), ("rank", expected.rank)):
        if demanded is not None:
            raise NotProved(f"smoke.{name}", f"smoke.{name} is stated, and this server does not pool")


def must_ask_for_a_key(http: Http, expected: Expectation) -> None:
    """A server that was given a key answers 401 to whoever has none. Raises NotProved."""
    reply = ask(http.with_token(""), "GET", f"{expected.base_url}/v1/models", expected.question.deadline)
    if reply.status != 401:
        raise NotProved("smoke.open", f"/v1/models answers {reply.status} without an API key, and must answer 401")


def prove(http: Http, expected: Expectation, clock: Clock = time.monotonic) -> Proof:
    """The whole proof, once; requests that carry a key also prove that it is needed.

    Raises NotProved; what does not decide is among the warnings.
    """
    if http.token:
        must_ask_for_a_key(http, expected)
    proof = answers(http, expected)
    if proof.answered_in in PATHS:
        return proof
    length, passed, warnings = proof.max_model_len, [], []
    for one in expected.checks:
        try:
            check(http, expected, one, length)
            passed.append(one.name)
        except NotProved as error:
            if one.decides:
                raise
            warnings.append(f"{error}. {error.advice}")
    if expected.adapters or expected.may_list is not None:
        adapters.must_serve(http, expected, length)
        passed += ["adapters"] if expected.adapters else []
    chat = proof.answered_in != "text"
    if expected.stream is not None:
        untold = must_stream(http, expected, chat, length)
        passed += [] if untold else ["stream"]
        warnings += [untold] if untold else []
    pace = None
    if expected.warn_latency is not None or expected.warn_first_token is not None:
        try:
            pace = measure(http, expected, chat, length, clock)
            warnings += too_slow(pace, expected)
        except NoAnswer as error:
            warnings.append(f"The pace of the answer could not be measured: {error}.")
    return replace(proof, checks=tuple(passed), pace=pace, warnings=tuple(warnings))
