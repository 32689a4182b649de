# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at a running engine asks: one token, its health, and whether it works on anything.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .wire import Http, NoAnswer, Reply

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


def one_token(http: Http, url: str, model: str, deadline: float) -> Reply | None:
    """The reply to a completion of one token; None where none came within `deadline` seconds."""
    body = {"model": model, "prompt": PROMPT, "max_tokens": 1, "temperature": 0}
    return _reply(http, "POST", f"{url}/v1/completions", deadline, body)


def health(http: Http, url: str) -> int:
    """The status of /health; 0 where it does not answer."""
    reply = _reply(http, "GET", f"{url}/health", QUICK)
    return reply.status if reply is not None else 0


def work(http: Http, url: str) -> dict[str, float]:
    """What /metrics counts of the engine's work, one value a series; empty where it does not answer."""
    reply = _reply(http, "GET", f"{url}/metrics", QUICK)
    if reply is None or reply.status != 200 or not isinstance(reply.body, str):
        return {}
    series = (line.rpartition(" ") for line in reply.body.splitlines() if line.startswith(WORK))
    return {name: float(value) for name, _space, value in series}


def moved(before: t.Mapping[str, float], after: t.Mapping[str, float]) -> bool:
    """Whether the engine worked between two readings. Without both of them nothing is known to have moved."""
    return bool(before) and bool(after) and before != after


def _reply(http: Http, method: str, url: str, deadline: float, body: t.Any = None) -> Reply | None:
    try:
        return http.request(method, url, deadline, body)
    except NoAnswer:
        return None
