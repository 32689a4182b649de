# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real image and a real sound to ask an engine with, drawn here: nothing is fetched, and no file comes along.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib

# A multiple of every usual patch (14, 16, 28, 32), and no smaller than the least that encoders take.
SIDE = 224
RED, BLUE = b"\xff\x00\x00", b"\x00\x00\xff"
# What speech models listen at, so that nothing is resampled; one second.
RATE = 16000
TONE, LOUDNESS = 440.0, 8000


def image() -> bytes:
    """A PNG, red on the left and blue on the right."""
    line = b"\x00" + RED * (SIDE // 2) + BLUE * (SIDE // 2)
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(line * SIDE, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def sound() -> bytes:
    """A WAV of one tone, 16 bits, one channel."""
    wave = [round(LOUDNESS * math.sin(2.0 * math.pi * TONE * at / RATE)) for at in range(RATE)]
    data = struct.pack(f"<{RATE}h", *wave)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + len(data), b"WAVE") + form + struct.pack("<4sI", b"data", len(data)) + data
    )


def text(data: bytes) -> str:
    """As it stands in a message."""
    return base64.b64encode(data).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
