# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image and the sound that are sent: what decoders read of them, without this program's own words for it."""

from __future__ import annotations

import io
import itertools
import struct
import wave
import zlib

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import samples


def test_the_head_of_the_image() -> None:
    """224 by 224 pixels of three bytes, in one pass: what every decoder reads."""
    data = samples.image()
    assert data[8:16] == struct.pack(">I", 13) + b"IHDR"
    assert struct.unpack(">IIBBBBB", data[16:29]) == (224, 224, 8, 2, 0, 0, 0)


def test_the_image_is_red_on_the_left_half_and_blue_on_the_right_in_every_line() -> None:
    data = samples.image()
    at = data.index(b"IDAT")
    raw = zlib.decompress(data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at], "big")])
    line = b"\x00" + b"\xff\x00\x00" * 112 + b"\x00\x00\xff" * 112
    assert raw == line * 224


def test_the_sound_is_one_second_of_a_tone_that_is_heard_and_not_clipped() -> None:
    with wave.open(io.BytesIO(samples.sound())) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (1, 2, 16000)
        frames = struct.unpack("<16000h", read.readframes(16000))
    ups = sum(before < 0 <= after for before, after in itertools.pairwise(frames))
    assert ups in (439, 440), "440 Hz"
    assert (max(frames), min(frames)) == (8000, -8000)


def test_the_sound_is_told_to_be_plain_samples() -> None:
    assert struct.unpack("<H", samples.sound()[20:22]) == (1,)
