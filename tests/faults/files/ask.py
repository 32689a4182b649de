# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask for one token five times a second until the input ends: ask.py URL MODEL [PATIENCE].

Writes a line of JSON when a question is asked (`id`, `asked`) and one when it has ended (`id`, `answered`, `error`), so
that a question whose end nobody saw is known too. No error means a whole and right answer; whatever else came is one.

Runs on the host. Every question has a thread of its own, so that one without an answer keeps no other from being asked.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request

PERIOD = 0.2
# Seconds. A busy host may be slow to answer; one that does not serve refuses at once.
PATIENCE = 20.0
# Bytes of an answer of one token; the engine's are below 1 KiB.
LARGEST = 64 * 1024

_lock = threading.Lock()


def write(line: dict[str, object]) -> None:
    with _lock:
        sys.stdout.write(f"{json.dumps(line)}\n")
        sys.stdout.flush()


def fetch(request: urllib.request.Request, patience: float) -> bytes:
    """The body, within the patience and a size."""
    end, body = time.monotonic() + patience, b""
    with urllib.request.urlopen(request, timeout=patience) as answer:
        if answer.status != 200:
            raise ValueError(f"HTTP status {answer.status}")
        length = answer.headers.get("Content-Length")
        while part := answer.read1(4096):
            body += part
            if len(body) > LARGEST:
                raise ValueError(f"more than {LARGEST} bytes")
            if time.monotonic() > end:
                raise TimeoutError(f"not whole after {patience:g} s")
    if length is not None and int(length) != len(body):
        raise ValueError(f"cut off: {len(body)} of {length} bytes")
    return body


def check(body: bytes, model: str) -> None:
    """Raises ValueError, KeyError or TypeError where this is no answer of one token."""
    answer = json.loads(body)
    tokens, text = answer["usage"]["completion_tokens"], answer["choices"][0]["text"]
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens != 1:
        raise ValueError(f"{tokens!r} tokens")
    if not isinstance(text, str) or answer["model"] != model:
        raise ValueError(f"text {text!r} of model {answer['model']!r}")


def ask(number: int, url: str, model: str, patience: float) -> None:
    body = json.dumps({"model": model, "prompt": "Say", "max_tokens": 1, "temperature": 0}).encode()
    request = urllib.request.Request(f"{url}/v1/completions", body, {"Content-Type": "application/json"})
    write({"id": number, "asked": time.time()})
    error = ""
    try:
        check(fetch(request, patience), model)
    except Exception as broken:  # noqa: BLE001  what else may come is not known, and all of it counts
        error = f"{type(broken).__name__}: {broken}"[:200]
    write({"id": number, "answered": time.time(), "error": error})


def listen(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def main(url: str, model: str, patience: str = str(PATIENCE)) -> None:
    ended = threading.Event()
    threading.Thread(target=listen, args=(ended,), daemon=True).start()
    threads: list[threading.Thread] = []
    while not ended.wait(PERIOD):
        question = (len(threads), url, model, float(patience))
        threads.append(threading.Thread(target=ask, args=question, daemon=True))
        threads[-1].start()
    # Twice, for a whole answer may be read for as long as it was waited for. What has no end then never had one.
    last = time.monotonic() + 2 * float(patience)
    for thread in threads:
        thread.join(max(0.0, last - time.monotonic()))


main(*sys.argv[1:])
