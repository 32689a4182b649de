# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds a share of a GPU once /trig/go is there: hog.py SHARE. Runs in a container of the image with torch."""

from __future__ import annotations

import pathlib
import sys
import time

import torch

GO, END = pathlib.Path("/trig/go"), pathlib.Path("/trig/end")
STEP = 1 << 30


def hold(share: float) -> None:
    torch.zeros(1, device="cuda")
    print("ready", flush=True)
    while not GO.exists():
        time.sleep(0.05)
    left = int(torch.cuda.mem_get_info()[1] * share)
    held = []
    while left > 0:
        try:
            held.append(torch.empty(min(left, STEP), dtype=torch.uint8, device="cuda"))
            left -= STEP
        except torch.cuda.OutOfMemoryError:  # somebody else holds it still
            time.sleep(0.2)
    free = torch.cuda.mem_get_info()[0] >> 20
    print(f"holds {sum(part.numel() for part in held) >> 20} MiB, {free} are free", flush=True)
    while not END.exists():
        time.sleep(0.2)


if __name__ == "__main__":
    hold(float(sys.argv[1]))
