# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until a transaction reaches a stage, then become a command: at_stage.py LOG OFFSET STAGE SECONDS [COMMAND...].

Runs on the host, so that no time is lost between the stage and what is done at it. STAGE is a stage's name, or `end`.
Exit code 1: the transaction ended, or the time did, and the stage was not reached. It ends with its input, so that none
is left behind by a row that was ended.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

PERIOD = 0.01


def leave_with_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def main(log: str, offset: str, stage: str, seconds: str, *command: str) -> None:
    threading.Thread(target=leave_with_input, daemon=True).start()
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        for line in lines(log, int(offset)):
            if line["stage"] == stage or (stage == "end" and "outcome" in line):
                if command:
                    os.execvp(command[0], command)
                return
            if "outcome" in line:
                sys.exit(f"it ended before stage {stage}: {line['detail']}")
        time.sleep(PERIOD)
    sys.exit(f"no stage {stage} within {seconds} s")


def lines(log: str, offset: int) -> list[dict[str, str]]:
    try:
        with open(log, "rb") as file:
            file.seek(offset)
            return [json.loads(line) for line in file.read().splitlines(keepends=True) if line.endswith(b"\n")]
    except FileNotFoundError:
        return []


main(*sys.argv[1:])
