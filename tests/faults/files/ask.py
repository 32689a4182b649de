# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask for one token five times a second until the input ends: ask.py URL MODEL. A line of JSON for each answer.

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
PATIENCE = 20

_lock = threading.Lock()


def ask(url: str, body: bytes) -> None:
    asked, error = time.time(), ""
    request = urllib.request.Request(f"{url}/v1/completions", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            tokens = json.load(answer)["usage"]["completion_tokens"]
            error = "" if tokens else "no token"
    except (OSError, ValueError, KeyError) as broken:
        error = str(broken)
    line = json.dumps({"asked": asked, "answered": time.time(), "error": error})
    with _lock:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def listen(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def main(url: str, model: str) -> None:
    body = json.dumps({"model": model, "prompt": "Say", "max_tokens": 1, "temperature": 0}).encode()
    ended = threading.Event()
    threading.Thread(target=listen, args=(ended,), daemon=True).start()
    threads = []
    while not ended.wait(PERIOD):
        threads.append(threading.Thread(target=ask, args=(url, body)))
        threads[-1].start()
    for thread in threads:
        thread.join()


main(*sys.argv[1:])
