# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that pools: it answers with numbers, an embedding or classes or a score, and never generates.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import typing as t

from .http_client import Http, NoAnswer, Reply
from .smoke_errors import NotProved

# What a server of each task answers; the next one is asked where one is not there or not for this model.
ASKED: t.Final = (
    ("/v1/embeddings", "input"),
    ("/classify", "input"),
    ("/pooling", "input"),
    ("/score", "text_1"),
)
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


def asked(http: Http, url: str, model: str, text: str, deadline: float) -> tuple[str, Reply]:
    """Path and reply of the first question that the server takes, else of the first. Raises NoAnswer."""
    first: tuple[str, Reply] | None = None
    for path, key in ASKED:
        body = {"model": model, key: text, **({"text_2": text} if key == "text_1" else {})}
        reply = http.request("POST", f"{url}{path}", deadline, body)
        if reply.status not in NOT_THIS_ONE:
            return path, reply
        first = first or (path, reply)
    return t.cast("tuple[str, Reply]", first)


def numbers(reply: Reply) -> int:
    """How many numbers the first answer has, all of them finite. Raises ValueError where it is none."""
    body = reply.body if isinstance(reply.body, dict) else {}
    data = body.get("data")
    first = data[0] if isinstance(data, list) and data else None
    if not isinstance(first, dict):
        raise ValueError("it has no data")
    found = next((first[key] for key in KEYS if key in first), None)
    values = list(_flat(found))
    if not values:
        raise ValueError("its data has no numbers")
    if not all(_is_number(value) for value in values):
        raise ValueError("its data is not all finite numbers")
    return len(values)


def must_pool(http: Http, url: str, model: str, text: str, deadline: float) -> tuple[str, int]:
    """The path that answered, and how many numbers. Raises NotProved."""
    try:
        path, reply = asked(http, url, model, text, deadline)
    except NoAnswer as error:
        raise NotProved("smoke.no_answer", f"the pooling got no answer within {deadline:g} s: {error}") from error
    if reply.status != 200:
        raise NotProved("smoke.error", f"{path} answered {reply.status}: {reply.error}")
    try:
        return path, numbers(reply)
    except ValueError as error:
        raise NotProved("smoke.content", f"{path} answered 200 with no answer: {error}") from error


def _flat(found: t.Any) -> t.Iterator[t.Any]:
    if isinstance(found, list):
        for one in found:
            yield from _flat(one)
    elif found is not None:
        yield found


def _is_number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
