# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that transcribes: it takes a sound and gives its words, and nothing else is asked of it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside import documents
from . import samples
from .http_client import Form, Http, NoAnswer, Reply
from .smoke_errors import NotProved

PATH: t.Final = "/v1/audio/transcriptions"
# A tone has no words: the text may well be empty.
TRANSCRIBED: documents.Shape = {"text": str}
BOUNDARY = "gpufleet-vllm-smoke"
# Tokens: a model that hears words in a tone goes on with them to its end.
ENOUGH = 16


def asked(http: Http, url: str, model: str, deadline: float) -> Reply:
    """The reply to one second of sound. Raises NoAnswer, also for a transcription without a text."""
    reply = http.request("POST", f"{url}{PATH}", deadline, _form(model))
    if reply.status == 200:
        problem = documents.misfit(reply.body, TRANSCRIBED, "the answer")
        if problem:
            raise NoAnswer(problem)
    return reply


def must_transcribe(http: Http, url: str, model: str, deadline: float) -> str:
    """What it heard. Raises NotProved."""
    try:
        reply = asked(http, url, model, deadline)
    except NoAnswer as error:
        raise NotProved("smoke.no_answer", f"the sound got no transcription within {deadline:g} s: {error}") from error
    if reply.status != 200:
        broken = "smoke.error" if reply.status >= 500 else "smoke.transcription"
        raise NotProved(broken, f"{PATH} answered {reply.status}: {reply.error}", "smoke.transcription")
    return str(reply.body["text"])


def _form(model: str) -> Form:
    """The language is stated, as some models look for none in a tone."""
    fields = {
        "model": model,
        "language": "en",
        "response_format": "json",
        "temperature": "0",
        "max_completion_tokens": str(ENOUGH),
    }
    lines = [_part(f'name="{name}"', value.encode()) for name, value in fields.items()]
    lines.append(_part('name="file"; filename="tone.wav"\r\nContent-Type: audio/wav', samples.sound()))
    body = b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()
    return Form(body, f"multipart/form-data; boundary={BOUNDARY}")


def _part(what: str, value: bytes) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {what}\r\n\r\n".encode() + value + b"\r\n"
