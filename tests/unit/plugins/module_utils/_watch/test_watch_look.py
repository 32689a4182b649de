# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look asks depends on what the server is for."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Entry
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_look import look
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_policy import Limits
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import Script, completion

NOW = "2026-11-26T12:00:00Z"
RELEASE: t.Any = {"bind": "127.0.0.1", "port": 8000, "served_model_names": ["a"], "arguments": {}}
HEARD = Reply(200, {"text": ""})
DEAF = Reply(400, {"error": {"message": "Invalid or unsupported audio file."}})


@pytest.mark.parametrize(
    ("smoke", "heard", "asked", "status"),
    [
        ({"transcription": True}, HEARD, "/v1/audio/transcriptions", 200),
        ({"transcription": True}, DEAF, "/v1/audio/transcriptions", 400),
        ({"transcription": "auto"}, DEAF, "/v1/completions", 200),
        ({}, DEAF, "/v1/completions", 200),
    ],
)
def test_a_server_that_transcribes_is_given_a_sound(smoke: t.Any, heard: Reply, asked: str, status: int) -> None:
    http = Script(transcriptions=heard, completions=completion("x"), metrics=Reply(200, ""), health=Reply(200, ""))
    host: t.Any = types.SimpleNamespace(
        http=http,
        keys=types.SimpleNamespace(http=lambda asking, _release: asking),
        clock=types.SimpleNamespace(utc=lambda: NOW),
    )
    entry = Entry("d" * 64, RELEASE, t.cast(t.Any, {}), {"smoke": smoke})
    container = {"State": {"Status": "running", "StartedAt": NOW}}
    found = look(host, entry, container, Limits.of({}))
    assert (found.answer, asked in [path for path, _body in http.asked]) == (status, True)
