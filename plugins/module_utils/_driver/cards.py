# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA cards by PCI device id: what is known of them before any driver is there.

A device id tells the architecture. It does not tell the memory or the product's exact name, and nothing rests on those
here. An id that no row holds is a card newer than this table: a GPU, with the open modules, and nothing else is said.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

Version = tuple[int, ...]


@dataclass(frozen=True)
class Card:
    """An architecture: its CUDA compute capability, and the oldest driver with any card of it."""

    architecture: str
    capability: tuple[int, int]
    first_driver: Version
    open_modules: bool = True
    closed_modules: bool = True
    last_branch: int | None = None


MAXWELL = Card("Maxwell or older", (5, 0), (340,), open_modules=False, last_branch=580)
PASCAL = Card("Pascal", (6, 0), (367,), open_modules=False, last_branch=580)
VOLTA = Card("Volta", (7, 0), (384,), open_modules=False, last_branch=580)
TURING = Card("Turing", (7, 5), (410,))
GA100 = Card("Ampere (GA100)", (8, 0), (450,))
AMPERE = Card("Ampere", (8, 6), (455,))
ADA = Card("Ada Lovelace", (8, 9), (525,))
HOPPER = Card("Hopper", (9, 0), (525,))
BLACKWELL_CENTRE = Card("Blackwell (data centre)", (10, 0), (570,), closed_modules=False)
BLACKWELL = Card("Blackwell", (12, 0), (570,), closed_modules=False)

# First and last device id of each row.
RANGES: t.Final[tuple[tuple[int, int, Card], ...]] = (
    (0x0020, 0x15EF, MAXWELL),
    (0x15F0, 0x15FF, PASCAL),
    (0x1600, 0x17FF, MAXWELL),
    (0x1B00, 0x1D7F, PASCAL),
    (0x1D80, 0x1DFF, VOLTA),
    (0x1E00, 0x1FFF, TURING),
    (0x2080, 0x20FF, GA100),
    (0x2180, 0x21FF, TURING),
    (0x2200, 0x22FF, AMPERE),
    (0x2300, 0x23FF, HOPPER),
    (0x2400, 0x25FF, AMPERE),
    (0x2600, 0x28FF, ADA),
    (0x2900, 0x29FF, BLACKWELL_CENTRE),
    (0x2B00, 0x2DFF, BLACKWELL),
    (0x2E00, 0x2EFF, BLACKWELL),
    (0x2F00, 0x2FFF, BLACKWELL),
    (0x3180, 0x31FF, BLACKWELL_CENTRE),
)
# Cards that came later than the first of their architecture: the oldest driver whose open modules list the id.
FIRST_DRIVER: t.Final[dict[int, Version]] = {
    0x2321: (535, 104, 5),  # H100 NVL
    0x26B9: (535, 104, 5),  # L40S
    0x26B1: (525, 78, 1),  # RTX 6000 Ada
    0x2D04: (575, 51, 2),  # RTX 5060 Ti
    0x2BB5: (575, 57, 8),  # RTX PRO 6000 Blackwell
}


def card_of(device: str) -> Card | None:
    """The card with this device id, `0x2503`; None for one that is newer than the table."""
    number = int(device, 16)
    return next((card for first, last, card in RANGES if first <= number <= last), None)


def first_driver(device: str) -> Version | None:
    """The oldest driver that is known to drive the card."""
    card = card_of(device)
    return FIRST_DRIVER.get(int(device, 16), card.first_driver if card else None)
