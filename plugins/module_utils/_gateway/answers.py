# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door itself answers: errors of the shape that OpenAI's clients read, and the list of models.

Each refusal is a backend of its own, so that HAProxy's metrics count it by its name.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import typing as t


class Refusal(t.NamedTuple):
    """A reason to refuse a request."""

    status: int
    code: str
    message: str


def refusals(body_kib: int) -> dict[str, Refusal]:
    """By the end of their backends' names."""
    return {
        "path": Refusal(404, "unknown_path", "This path is not open here."),
        "method": Refusal(405, "wrong_method", "This path takes another method."),
        "headers": Refusal(400, "headers_too_large", "The headers have more than 16 KiB."),
        "key": Refusal(401, "invalid_api_key", "The API key is missing or wrong: send Authorization: Bearer KEY."),
        "rate": Refusal(429, "rate_limit_exceeded", "This API key has asked too often within the last minute."),
        "large": Refusal(
            413,
            "request_too_large",
            f"No model was found in the first {body_kib} KiB of the request: send model first, or name it in the "
            "header X-Model.",
        ),
        "no_model": Refusal(
            400,
            "model_missing",
            "The model of the request could not be read: send a JSON object with model before what is deeply nested, "
            "or name it in the header X-Model.",
        ),
        "model": Refusal(404, "model_not_found", "No such model is served here: see /v1/models."),
        "waiting": Refusal(503, "too_many_waiting", "No server is ready, and too many requests wait already."),
    }


# What HAProxy says by itself.
OWN: t.Final = {
    400: Refusal(400, "bad_request", "The request cannot be understood."),
    408: Refusal(408, "request_timeout", "The request did not come within its time."),
    413: Refusal(413, "request_too_large", "The request is too large."),
    500: Refusal(500, "internal_error", "The gateway failed."),
    502: Refusal(502, "bad_gateway", "The server broke off before it had answered."),
    503: Refusal(503, "unavailable", "No server is ready for this model."),
    504: Refusal(504, "timeout", "The server did not answer in time."),
}


def document(refusal: Refusal) -> str:
    kind = "invalid_request_error" if refusal.status < 500 else "server_error"
    if refusal.status == 429:
        kind = "rate_limit_error"
    error = {"message": refusal.message, "type": kind, "param": None, "code": refusal.code}
    return json.dumps({"error": error}, separators=(",", ":"))


def models(names: t.Iterable[str]) -> str:
    """The answer of /v1/models."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "vllm"} for name in names]
    return json.dumps({"object": "list", "data": data}, separators=(",", ":"))
