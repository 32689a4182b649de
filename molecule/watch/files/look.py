# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the watch look, through its own service, until a text is in what the host knows of it; print that as JSON.

Runs on the host. Exits with 1 when the text is not seen in time. A rollout that was begun is waited for.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import time

PROGRAM = "/usr/local/lib/gpufleet/gpufleet-host"
UNIT = pathlib.Path("/run/systemd/transient/gpufleet-rollout@assistant.service")
# Seconds.
PATIENCE = 150


def look() -> dict[str, object]:
    """Return what the host knows after one more round. systemd allows five starts in ten seconds."""
    subprocess.run(["systemctl", "reset-failed", "gpufleet-watch.service"], check=False)
    subprocess.run(["systemctl", "start", "gpufleet-watch.service"], check=True)
    while UNIT.exists():
        time.sleep(0.5)
    known = subprocess.run([PROGRAM, "status", "assistant"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(known))


def main(text: str, rounds: int) -> int:
    """Return 0 once the text is seen; with `rounds`, after so many of them, seen in the last."""
    deadline = time.monotonic() + PATIENCE
    done = 0
    while True:
        known, done = look(), done + 1
        seen = text in json.dumps(known["watch"])
        if (seen and done >= rounds) or time.monotonic() >= deadline:
            json.dump(known, sys.stdout)
            return 0 if seen else 1
        time.sleep(1)


sys.exit(main(sys.argv[1], int(sys.argv[2])))
