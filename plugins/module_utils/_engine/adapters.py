# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapters that a server was started with: each is listed by its name, and answers by it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from dataclasses import replace

from .._outside import documents
from .expect import Expectation
from .http_client import Http
from .openai_client import ask, must_answer, put
from .smoke_errors import SHOWN, NotProved

LISTED: documents.Shape = {"data": [{"id": str}]}


def must_serve(http: Http, expected: Expectation, length: int | None) -> None:
    """Raises NotProved."""
    reply = ask(http, "GET", f"{expected.base_url}/v1/models", expected.question.deadline)
    if reply.status != 200 or documents.misfit(reply.body, LISTED, "the answer"):
        raise NotProved("smoke.models", f"/v1/models answered {reply.status}: {reply.error}")
    listed = {card["id"] for card in reply.body["data"]}
    missing = [name for name in expected.adapters if name not in listed]
    if missing:
        raise NotProved("smoke.models", f"/v1/models lists no adapter {', '.join(missing)}"[:SHOWN])
    extra = [] if expected.may_list is None else sorted(listed - expected.may_list)
    if extra:
        raise NotProved("smoke.models", f"/v1/models lists {', '.join(extra)}, which nobody has planned"[:SHOWN])
    for name in expected.adapters:
        by_it = replace(expected, served_model_names=(name,))
        reply = put(http, by_it, replace(expected.question, max_tokens=1), length)
        must_answer(reply, "smoke.content", f"the generation by the adapter {name}")
