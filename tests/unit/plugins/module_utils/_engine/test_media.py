# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server proves that it takes images and sounds. Answers are those of vLLM 0.32.0 on the CPU."""

from __future__ import annotations

import base64
import io
import struct
import typing as t
import wave
import zlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import liveness, samples, speech
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import Expectation, expectation
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Form, NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.prove import prove
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.smoke_errors import ADVICE, NotProved
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import (
    MODELS,
    URL,
    Script,
    message,
)

NO_IMAGES = Reply(400, {"error": {"message": "At most 0 image(s) may be provided in one prompt. (parameter=image)"}})
DEAF = Reply(400, {"error": {"message": "Invalid or unsupported audio file."}})
GONE = Reply(404, {"detail": "Not Found"})
HEARD = Reply(200, {"text": "well", "usage": {"type": "duration", "seconds": 1}})
HELLO = message(content="Hello")


def expected(**smoke: t.Any) -> Expectation:
    release: t.Any = {"arguments": {}, "bind": "127.0.0.1", "port": 8000, "served_model_names": ["assistant"]}
    return expectation(release, {"smoke": smoke})


def test_the_image_is_one() -> None:
    data = samples.image()
    assert data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) < 1024
    at, kinds, pixels = 8, [], b""
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        assert int.from_bytes(data[at + 8 + size : at + 12 + size], "big") == zlib.crc32(kind + body)
        kinds.append(kind)
        pixels += body if kind == b"IDAT" else b""
        at += 12 + size
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    lines = zlib.decompress(pixels)
    assert len(lines) == samples.SIDE * (1 + 3 * samples.SIDE)
    assert (lines[1:4], lines[-3:]) == (samples.RED, samples.BLUE)


def test_the_sound_is_one() -> None:
    with wave.open(io.BytesIO(samples.sound())) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (1, 2, 16000)
        assert read.getnframes() == 16000 and any(read.readframes(100))


def test_the_head_of_the_sound_agrees_with_itself() -> None:
    """Decoders go by one or the other of its fields, and strict ones refuse what does not agree."""
    data = samples.sound()
    riff, size, kind, form, length = struct.unpack("<4sI4s4sI", data[:20])
    assert (riff, size, kind, form, length) == (b"RIFF", len(data) - 8, b"WAVE", b"fmt ", 16)
    _pcm, channels, rate, each_second, each_frame, bits = struct.unpack("<HHIIHH", data[20:36])
    assert (8 * each_frame, each_second) == (channels * bits, rate * each_frame)
    assert struct.unpack("<4sI", data[36:44]) == (b"data", len(data) - 44)


@pytest.mark.parametrize(("kind", "part"), [("image", "image_url"), ("audio", "input_audio")])
def test_it_is_asked_in_a_chat(kind: str, part: str) -> None:
    http = Script(models=MODELS, chat=[HELLO, HELLO])
    assert prove(http, expected(**{kind: True})).checks == (kind,)
    path, body = http.asked[-1]
    content = body["messages"][0]["content"]
    assert (path, [one["type"] for one in content]) == ("/v1/chat/completions", ["text", part])
    sent = content[1][part]
    encoded = sent["url"].partition("base64,")[2] if kind == "image" else sent["data"]
    assert base64.b64decode(encoded) == (samples.image() if kind == "image" else samples.sound())


def test_a_demand_decides_and_what_nobody_stated_warns() -> None:
    with pytest.raises(NotProved, match="answered 400: At most 0 image") as refused:
        prove(Script(models=MODELS, chat=[HELLO, NO_IMAGES]), expected(image=True))
    assert refused.value.failure_class == "smoke.image" and refused.value.advice == ADVICE["smoke.image"]
    proof = prove(Script(models=MODELS, chat=[HELLO, NO_IMAGES]), expected(image="auto"))
    assert proof.checks == () and "limit_mm_per_prompt" in proof.warnings[0]
    http = Script(models=MODELS, chat=[HELLO])
    assert prove(http, expected(image=False)).checks == () and len(http.asked) == 2
    assert expected().checks == ()
    assert expected(image="auto", chat=False).checks == ()
    assert [one.name for one in expected(image=True, chat=False).checks] == ["image"]


@pytest.mark.parametrize(
    ("reply", "failure_class"),
    [
        (Reply(500, {"error": {"message": "EngineCore encountered an issue."}}), "smoke.error"),
        (NoAnswer("timed out"), "smoke.no_answer"),
        (message(content=None, tokens=0), "smoke.image"),
        (Reply(200, "<html>"), "smoke.image"),
    ],
)
def test_an_image_that_gets_no_answer(reply: t.Any, failure_class: str) -> None:
    with pytest.raises(NotProved) as refused:
        prove(Script(models=MODELS, chat=[HELLO, reply]), expected(image=True))
    assert refused.value.failure_class == failure_class
    assert ("chat_template that has a place for them" in refused.value.advice) == (failure_class != "smoke.no_answer")


def test_a_model_that_reads_has_nothing_to_say_of_a_plain_image() -> None:
    assert prove(Script(models=MODELS, chat=[HELLO, message(content="", tokens=1)]), expected(image=True)).checks


@pytest.mark.parametrize("text", ["well", ""])
def test_a_transcription_is_a_proof(text: str) -> None:
    http = Script(models=MODELS, transcriptions=Reply(200, {"text": text}))
    proof = prove(http, expected(transcription=True, warn_latency=3, tool_call=True, image=True))
    assert (proof.answer, proof.answered_in, proof.checks) == (text, "/v1/audio/transcriptions", ())
    path, form = http.asked[-1]
    assert path == speech.PATH and isinstance(form, Form)


def test_the_form_is_one_that_servers_read() -> None:
    http = Script(transcriptions=HEARD)
    speech.asked(http, URL, "a model", 30)
    form = http.asked[0][1]
    boundary = form.kind.partition("boundary=")[2].encode()
    parts = form.data.split(b"--" + boundary)
    assert parts[0] == b"" and parts[-1] == b"--\r\n"
    bodies = {
        part.partition(b'name="')[2].partition(b'"')[0]: part.partition(b"\r\n\r\n")[2][:-2] for part in parts[1:-1]
    }
    assert bodies[b"model"] == b"a model" and bodies[b"file"] == samples.sound()
    assert b"filename=" in next(part for part in parts if b'name="file"' in part)


@pytest.mark.parametrize(
    ("reply", "failure_class", "says"),
    [
        (DEAF, "smoke.transcription", "answered 400: Invalid or unsupported audio file"),
        (GONE, "smoke.transcription", "answered 404: Not Found"),
        (Reply(499, {"error": "gone"}), "smoke.transcription", "answered 499: gone"),
        (Reply(500, {"error": "boom"}), "smoke.error", "answered 500: boom"),
        (Reply(200, {"data": []}), "smoke.no_answer", "text"),
        (Reply(200, "words"), "smoke.no_answer", "the answer"),
        (Reply(200, {"text": None}), "smoke.no_answer", "text"),
        (NoAnswer("timed out"), "smoke.no_answer", "timed out"),
    ],
)
def test_what_is_no_transcription(reply: t.Any, failure_class: str, says: str) -> None:
    with pytest.raises(NotProved, match=says) as refused:
        prove(Script(models=MODELS, transcriptions=reply), expected(transcription=True))
    assert refused.value.failure_class == failure_class
    assert refused.value.advice.count("audio extra") == (failure_class != "smoke.no_answer")


def test_a_look_asks_for_a_transcription_too() -> None:
    assert liveness.one_answer(Script(transcriptions=HEARD), URL, "a", 30, transcribes=True).status == 200
    assert liveness.one_answer(Script(transcriptions=DEAF), URL, "a", 30, transcribes=True).status == 400
    with pytest.raises(NoAnswer):
        liveness.one_answer(Script(transcriptions=Reply(200, {})), URL, "a", 30, transcribes=True)
