# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In an engine's place: it lists its names, says that it is healthy, and answers questions as $HOSTILE says."""

import contextlib
import json
import os
import socket
import sys
import threading
import time

KIND = os.environ["HOSTILE"]
WORDS = sys.argv
NAMES = WORDS[WORDS.index("--served-model-name") + 1 :]
NAMES = NAMES[: next((at for at, word in enumerate(NAMES) if word.startswith("--")), len(NAMES))]
LENGTH = int(WORDS[WORDS.index("--max-model-len") + 1]) if "--max-model-len" in WORDS else None
OK = b"HTTP/1.1 200 OK\r\n"


def say(connection: socket.socket, body: bytes) -> None:
    connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def pour(connection: socket.socket, head: bytes, piece: bytes, pause: float) -> None:
    connection.sendall(OK + head)
    while True:
        connection.sendall(piece)
        time.sleep(pause)


def answer(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        path = connection.recv(65536).split()[1]
        if path == b"/health":
            say(connection, b"")
        elif path == b"/v1/models":
            say(connection, json.dumps({"data": [{"id": name, "max_model_len": LENGTH} for name in NAMES]}).encode())
        elif path == b"/metrics" or KIND == "endless":
            pour(connection, b"\r\n", b"x" * 65536, 0)
        elif KIND == "dripping":
            pour(connection, b"Content-Length: 99999\r\n\r\n", b" ", 0.2)
        elif KIND == "deep":
            say(connection, b"[" * 200_000)
        else:
            say(connection, b'{"choices": {}, "usage": {"completion_tokens": 1e400}}')


sys.stdout.write("\x1b]0;owned\x07\x1b[2JINFO Application startup complete. prompt: 'Address already in use'\n")
sys.stdout.flush()
with socket.create_server(("0.0.0.0", 8000)) as listener:
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
