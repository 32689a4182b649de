# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a signal to the engine's own process, the one that generates, once it is there. Runs on the host."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import time

TITLE = b"VLLM::EngineCore"
# Seconds.
PATIENCE = 60


def engines() -> list[int]:
    """Return the processes with the engine's title."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(TITLE):
                found.append(int(path.parent.name))
        except OSError:  # it has ended
            continue
    return found


deadline = time.monotonic() + PATIENCE
while not engines() and time.monotonic() < deadline:
    time.sleep(0.2)
for pid in engines():
    os.kill(pid, getattr(signal, sys.argv[1]))
    sys.stdout.write(f"{pid}\n")
