# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a whole and right answer: each way in which a door may go wrong is seen."""

from __future__ import annotations

import http.server
import json
import pathlib
import socketserver
import threading
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.bench import steady

Json = dict[str, t.Any]
PROMPT, MORE = "Tell me about 1", " and so on"
WAYS = ("right", "another's", "another model", "short", "stopped", "no usage", "broken", "500", "nothing")
RIGHT = steady.Answer("assistant", PROMPT + MORE, "length", steady.TOKENS)


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (RIGHT, ""),
        (RIGHT._replace(model="coder"), "is of the model 'coder', and 'assistant' was asked for"),
        (RIGHT._replace(text="Tell me about 2" + MORE), "the answer to"),
        (RIGHT._replace(text=""), "the answer to"),
        (RIGHT._replace(reason=None), "ended with None"),
        (RIGHT._replace(reason="stop"), "ended with stop"),
        (RIGHT._replace(tokens=steady.TOKENS - 1), "23 of 24"),
        (RIGHT._replace(tokens=0), "0 of 24"),
    ],
)
def test_an_answer_is_right_or_not(answer: steady.Answer, wrong: str) -> None:
    said = steady.amiss("assistant", PROMPT, answer)
    assert wrong in said
    assert bool(said) == bool(wrong)


class Engine(http.server.BaseHTTPRequestHandler):
    """Goes wrong in the WAY of its server, and ends the run after six requests."""

    protocol_version = "HTTP/1.1"
    way = "right"
    folder: pathlib.Path
    asked = 0

    def log_message(self, *_args: t.Any) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        kind = type(self)
        kind.asked += 1
        if kind.asked >= 6:
            (self.folder / "enough").touch()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = ("Tell me about nobody" if self.way == "another's" else body["prompt"]) + MORE
        tokens = 3 if self.way == "short" else body["max_tokens"]
        usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
        reason = "stop" if self.way == "stopped" else "length"
        model = "nobody" if self.way == "another model" else body["model"]
        head: Json = {"id": "x", "created": 1, "model": model, "object": "text_completion"}
        choice = {"index": 0, "text": text, "finish_reason": reason, "logprobs": None}
        self.close_connection = True
        if self.way == "nothing":
            return None
        if self.way == "500":
            return self.send(500, "application/json", b"{}")
        if not body.get("stream"):
            whole = {**head, "choices": [choice], **({} if self.way == "no usage" else {"usage": usage})}
            return self.send(200, "application/json", json.dumps(whole).encode(), cut=self.way == "broken")
        pieces: list[Json] = [{**head, "choices": [choice]}]
        if self.way not in ("no usage", "broken"):
            pieces.append({**head, "choices": [], "usage": usage})
        raw = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
        return self.send(200, "text/event-stream", raw.encode(), cut=self.way == "broken")

    def send(self, status: int, kind: str, raw: bytes, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if cut else raw)


@pytest.mark.parametrize("way", WAYS)
def test_whatever_goes_wrong_is_counted(way: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text("sk-0123456789")
    handler = type("Handler", (Engine,), {"way": way, "folder": tmp_path})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        port = server.server_address[1]
        steady.main([f"http://127.0.0.1:{port}/v1", str(tmp_path), "--models", "architect", "coder", "--clients", "2"])
        server.shutdown()
        thread.join()
    told = json.loads(capsys.readouterr().out)
    assert told["asked"] >= 6
    assert told["streams"] >= 2
    assert sorted(told["asked_of"]) == ["architect", "coder"]
    assert sum(told["asked_of"].values()) == told["asked"]
    assert len(told["wrong"]) == (0 if way == "right" else told["asked"])
    lines = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
    assert len({line["id"] for line in lines}) == told["asked"]
    assert {line["id"] for line in lines if line["wrong"]} == {line["id"] for line in told["wrong"]}
