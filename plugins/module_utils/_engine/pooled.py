# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that pools: it answers with numbers, an embedding or classes or a score, and never generates.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import typing as t

from .http_client import Http, Reply

# What a server of each task answers; the next one is asked where one is not there or not for this model.
EMBEDDINGS, CLASSIFY, POOLING, SCORE = "/v1/embeddings", "/classify", "/pooling", "/score"
PATHS = (EMBEDDINGS, CLASSIFY, POOLING, SCORE)
NOT_THIS_ONE = (400, 404, 405, 422, 501)
# Where each kind of answer has its numbers.
KEYS = ("embedding", "probs", "data", "score")
ARGUMENTS: t.Final[t.Mapping[str, tuple[str, ...]]] = {
    "runner": ("pooling",),
    "convert": ("embed", "classify", "reward"),
    "task": ("embed", "embedding", "classify", "score", "reward"),
}


def pools(arguments: t.Mapping[str, t.Any]) -> bool:
    """Whether engine arguments ask for such a server."""
    return any(arguments.get(name) in values for name, values in ARGUMENTS.items())


def has_no_route(reply: Reply) -> bool:
    """Whether the server has no such path at all, as one that pools has none for completions."""
    return reply.status == 404 and reply.error == "Not Found"


def asked(http: Http, url: str, model: str, text: str, deadline: float) -> tuple[str, Reply]:
    """The least that can be asked: one text. Raises NoAnswer."""
    bodies = {path: {"input": text} for path in (EMBEDDINGS, CLASSIFY, POOLING)}
    return taken(http, url, model, {**bodies, SCORE: {"text_1": text, "text_2": text}}, deadline)


def taken(
    http: Http, url: str, model: str, bodies: t.Mapping[str, t.Mapping[str, t.Any]], deadline: float
) -> tuple[str, Reply]:
    """Path and reply of the first question that the server takes. Where it takes none, of the first one that it has a
    path for: its words say more than those of one that is not there. Raises NoAnswer."""
    told: tuple[str, Reply] | None = None
    for path, body in bodies.items():
        reply = http.request("POST", f"{url}{path}", deadline, {"model": model, **body})
        if reply.status not in NOT_THIS_ONE:
            return path, reply
        if told is None or (has_no_route(told[1]) and not has_no_route(reply)):
            told = (path, reply)
    return t.cast("tuple[str, Reply]", told)


def entries(reply: Reply) -> list[t.Mapping[str, t.Any]]:
    """What an answer holds, one for each text. Raises ValueError where it holds nothing."""
    body = reply.body if isinstance(reply.body, dict) else {}
    data = body.get("data")
    if not isinstance(data, list) or not data or not all(isinstance(one, dict) for one in data):
        raise ValueError("it has no data")
    return data


def numbers(entry: t.Mapping[str, t.Any]) -> list[float]:
    """The numbers of one entry, all of them finite. Raises ValueError where they are none."""
    values = list(_flat(next((entry[key] for key in KEYS if key in entry), None)))
    if not values:
        raise ValueError("its data has no numbers")
    if not all(_is_number(value) for value in values):
        raise ValueError("its data is not all finite numbers")
    return values


def _flat(found: t.Any) -> t.Iterator[t.Any]:
    if isinstance(found, list):
        for one in found:
            yield from _flat(one)
    elif found is not None:
        yield found


def _is_number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
