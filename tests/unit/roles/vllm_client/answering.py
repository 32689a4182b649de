# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that answers as vLLM does, and fails as it is told: a word is a token, and a message has three more."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import threading
import time
import typing as t

Json = dict[str, t.Any]
FRAME = 3


@dataclasses.dataclass
class Answering:
    """`failures` are statuses, or `hang up`, each of one answer of /v1. `tokenize` is a status, or what it answers.

    `together` are requests of which none is answered before so many are there. `most` are those at a time.
    """

    url: str = ""
    length: int = 1024
    failures: list[int | str] = dataclasses.field(default_factory=list)
    retry_after: str = ""
    tokenize: int | t.Any = 200
    pause: float = 0.0
    asked: list[Json] = dataclasses.field(default_factory=list)
    counted: list[Json] = dataclasses.field(default_factory=list)
    keys: list[str] = dataclasses.field(default_factory=list)
    now: int = 0
    most: int = 0
    breaks: bool = False
    together: int = 0
    there: threading.Condition = dataclasses.field(default_factory=threading.Condition)


def tokens(body: Json) -> int:
    return sum(FRAME + len(str(message.get("content") or "").split()) for message in body["messages"])


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        of = self.server.of
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        of.keys.append(str(self.headers.get("Authorization", "")).removeprefix("Bearer "))
        if self.path == "/tokenize":
            of.counted.append(body)
            if isinstance(of.tokenize, int) and of.tokenize != 200:
                return self.say(of.tokenize, {"error": {"message": "no"}})
            count = {"count": tokens(body), "max_model_len": of.length, "tokens": []}
            return self.say(200, count if of.tokenize == 200 else of.tokenize)
        of.asked.append(body)
        if of.failures:
            status = of.failures.pop(0)
            if isinstance(status, str):
                self.close_connection = True
                return None
            return self.say(status, {"error": {"message": "no"}})
        with of.there:
            of.now += 1
            of.most = max(of.most, of.now)
            of.there.notify_all()
            of.there.wait_for(lambda: of.most >= of.together, timeout=120)
        time.sleep(of.pause)
        with of.there:
            of.now -= 1
        return self.stream(body) if body.get("stream") else self.say(200, answer(body, "chat.completion", "message"))

    def stream(self, body: Json) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        chunk = json.dumps(answer(body, "chat.completion.chunk", "delta"))
        self.wfile.write(f"data: {chunk}\n\n".encode() * 3)
        if (body.get("stream_options") or {}).get("include_usage"):
            last = answer(body, "chat.completion.chunk", "delta") | {"choices": [], "usage": usage(body)}
            self.wfile.write(f"data: {json.dumps(last)}\n\n".encode())
        self.wfile.write(
            b'data: {"error": {"message": "engine died"}}\n\n' if self.server.of.breaks else b"data: [DONE]\n\n"
        )

    def say(self, status: int, document: t.Any) -> None:
        raw = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if self.server.of.retry_after:
            self.send_header("Retry-After", self.server.of.retry_after)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_words: t.Any) -> None:
        return


def answer(body: Json, kind: str, part: str) -> Json:
    choice = {"index": 0, part: {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
    told = {"id": "1", "object": kind, "created": 1, "model": body["model"], "choices": [choice]}
    return told if part == "delta" else told | {"usage": usage(body)}


def usage(body: Json) -> Json:
    return {"prompt_tokens": tokens(body), "completion_tokens": 1, "total_tokens": tokens(body) + 1}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    of: Answering


@contextlib.contextmanager
def answering() -> t.Iterator[Answering]:
    server = Server(("127.0.0.1", 0), Handler)
    server.of = Answering(url=f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.of
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
