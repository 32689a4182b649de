# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a server generate for many clients at once until a file appears, so that nobody else gets a token in time."""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys
import threading
import urllib.request

CLIENTS = 64
PATIENCE = 120


def burden(url: str, until: pathlib.Path) -> None:
    """Ask for long answers, one after another."""
    body = {"model": "assistant", "prompt": "a", "max_tokens": 1000, "ignore_eos": True}
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    while not until.exists():
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request, timeout=PATIENCE).read()


def main(url: str, until: pathlib.Path) -> None:
    for _client in range(CLIENTS):
        threading.Thread(target=burden, args=(url, until), daemon=True).start()
    waiting = threading.Event()
    while not until.exists():
        waiting.wait(0.2)


main(sys.argv[1], pathlib.Path(sys.argv[2]))
