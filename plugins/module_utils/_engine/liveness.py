# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at a running engine asks: one token, its health, and whether it works on anything.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .._outside import documents
from . import metrics, pooled, speech
from .http_client import Http, NoAnswer, Reply

PROMPT = "Hello"
QUICK = 10.0
# What moves while an engine works. The fill of the KV cache moves during a long prefill, when no token is counted yet;
# its name was gpu_cache_usage_perc before 0.9.2.
WORK = (
    "vllm:generation_tokens_total",
    "vllm:prompt_tokens_total",
    "vllm:kv_cache_usage_perc",
    "vllm:gpu_cache_usage_perc",
)
TOKEN: documents.Shape = {"choices": [{"text?": str}]}


@dataclass(frozen=True)
class Work:
    """What /metrics counts of an engine's work, one value a series; none, and why, where it cannot be read."""

    counted: dict[str, float] = field(default_factory=dict)
    unread: str = ""


def one_token(http: Http, url: str, model: str, deadline: float) -> Reply:
    """The reply to a completion of one token. Raises NoAnswer where none came in time, or one without a token."""
    body = {"model": model, "prompt": PROMPT, "max_tokens": 1, "temperature": 0}
    reply = http.request("POST", f"{url}/v1/completions", deadline, body)
    if reply.status == 200:
        problem = documents.misfit(reply.body, TOKEN, "the answer")
        if problem or not reply.body["choices"]:
            raise NoAnswer(problem or "the answer has no choice")
    return reply


def one_answer(
    http: Http, url: str, model: str, deadline: float, pools: bool = False, transcribes: bool = False
) -> Reply:
    """The reply to the least that can be asked: one token, of a server that pools its numbers, of one that transcribes
    the words of a sound. Raises NoAnswer.

    A server that has no completions is asked for numbers too: nobody has to have said that it pools.
    """
    if transcribes:
        return speech.asked(http, url, model, deadline)
    if not pools:
        reply = one_token(http, url, model, deadline)
        if not pooled.has_no_route(reply):
            return reply
    _path, reply = pooled.asked(http, url, model, PROMPT, deadline)
    if reply.status == 200:
        try:
            pooled.numbers(pooled.entries(reply)[0])
        except ValueError as error:
            raise NoAnswer(str(error)) from error
    return reply


def health(http: Http, url: str) -> int:
    """The status of /health; 0 where it does not answer."""
    try:
        return http.request("GET", f"{url}/health", QUICK).status
    except NoAnswer:
        return 0


def work(http: Http, url: str) -> Work:
    """A reading of /metrics. A value that is not finite says nothing, and the others do."""
    try:
        found = metrics.series(http, url, QUICK, WORK)
    except NoAnswer as error:
        return Work(unread=str(error))
    return Work({name: value for name, value in found.items() if math.isfinite(value)})


def moved(before: Work, after: Work) -> bool:
    """Whether the engine worked between two readings. What is not in both of them is not known to have moved."""
    return any(after.counted[name] != value for name, value in before.counted.items() if name in after.counted)
