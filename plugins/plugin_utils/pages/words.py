# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that every page has.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import re


def time(stamp: str) -> str:
    """20 November 2026, 10:00 UTC."""
    moment = dt.datetime.fromisoformat(stamp)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def word(number: int, one: str) -> str:
    return one if number == 1 else f"{one}s"


def count(number: int, one: str) -> str:
    return f"{number} {word(number, one)}"


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts gpu-2 before gpu-10."""
    pieces = re.findall(r"\d+|\D+", name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]
