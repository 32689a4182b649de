# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each of the image's Python processes does before anything else."""

from __future__ import annotations

import ctypes
import gc
import os
import platform

ARCH_PRCTL = 158  # the system call's number on x86-64
ARCH_REQ_XCOMP_PERM = 0x1023
XFEATURE_XTILEDATA = 18


def _allow_amx() -> None:
    """Ask Linux for the processor's AMX tiles: without, the first tile instruction of vLLM's kernels is a SIGILL.

    vLLM takes those kernels where the processor has AMX and asks nobody. An error says that there is no AMX here, or no
    permission to be had: then nothing is lost that was there. An image that is made to see no AMX has none to use.
    """
    if platform.machine() == "x86_64" and os.environ.get("GPUFLEET_LAB_CPU", "amx") == "amx":
        ctypes.CDLL(None).syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)


_allow_amx()
# Python looks for garbage less often: an import of vLLM makes none, and by default a fifth of its time goes there.
gc.set_threshold(200_000, 50, 100)
