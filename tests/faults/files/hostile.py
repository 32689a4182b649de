# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In an engine's place: it lists its names, says that it is healthy, and answers questions as $HOSTILE says.

Without that it is the engine. `loud` says a lot and dies. `turns` answers as an engine does, until a SIGUSR1 makes it
another one of the kinds.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time

WORDS = sys.argv
NAMES = WORDS[WORDS.index("--served-model-name") + 1 :]
NAMES = NAMES[: next((at for at, word in enumerate(NAMES) if word.startswith("--")), len(NAMES))]
LENGTH = int(WORDS[WORDS.index("--max-model-len") + 1]) if "--max-model-len" in WORDS else None
OK = b"HTTP/1.1 200 OK\r\n"
LATER = "dripping"
LINES = 20_000
KIND = os.environ.get("HOSTILE", "")
TURNED = threading.Event()


def say(connection: socket.socket, body: bytes) -> None:
    connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def pour(connection: socket.socket, head: bytes, piece: bytes, pause: float) -> None:
    connection.sendall(OK + head)
    while True:
        connection.sendall(piece)
        time.sleep(pause)


def generate(connection: socket.socket) -> None:
    """A chat and a completion in one."""
    choice = {"message": {"role": "assistant", "content": "Hello."}, "text": "Hello.", "finish_reason": "stop"}
    answer = {"model": NAMES[0], "choices": [choice], "usage": {"completion_tokens": 1}}
    say(connection, json.dumps(answer).encode())


def answer(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError, IndexError):
        path = connection.recv(65536).split()[1]
        kind = LATER if TURNED.is_set() else KIND
        if path == b"/health":
            say(connection, b"")
        elif path == b"/v1/models":
            say(connection, json.dumps({"data": [{"id": name, "max_model_len": LENGTH} for name in NAMES]}).encode())
        elif path == b"/metrics" or kind == "endless":
            pour(connection, b"\r\n", b"x" * 65536, 0)
        elif kind == "turns":
            generate(connection)
        elif kind == "dripping":
            pour(connection, b"Content-Length: 99999\r\n\r\n", b" ", 0.2)
        elif kind == "deep":
            say(connection, b"[" * 200_000)
        else:
            say(connection, b'{"choices": {}, "usage": {"completion_tokens": 1e400}}')


def turn(_signal: int, _frame: object) -> None:
    TURNED.set()


if not KIND:
    os.execvp(sys.executable, [sys.executable, "-m", "vllm.entrypoints.cli.main", *sys.argv[1:]])
sys.stdout.write("\x1b]0;owned\x07\x1b[2JINFO Application startup complete. prompt: 'Address already in use'\n")
if KIND == "loud":
    sys.stdout.write(f"{'x' * 1000}\n" * LINES)
    sys.stdout.flush()
    sys.exit("vllm: error: unrecognized arguments: --loud")
sys.stdout.flush()
signal.signal(signal.SIGUSR1, turn)
with socket.create_server(("0.0.0.0", 8000)) as listener:
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
