# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Branches of the NVIDIA driver, and what CUDA asks of them.

Status as NVIDIA's data centre documentation of September 2026 gives it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._vllm.images import OLDEST_DRIVER, SHIPPED_DRIVER

Version = tuple[int, ...]


@dataclass(frozen=True)
class Branch:
    """`status` is NVIDIA's word; `ends` the month in which NVIDIA ends it, None where it is not published."""

    number: int
    status: str
    ends: str | None
    closed_modules: bool = True


BRANCHES: t.Final[dict[int, Branch]] = {
    branch.number: branch
    for branch in (
        Branch(535, "long-term support", "2026-06"),
        Branch(550, "production", None),
        Branch(570, "production", "2026-02"),
        Branch(575, "new feature", None),
        Branch(580, "long-term support", "2028-06"),
        Branch(590, "new feature", None),
        Branch(595, "production", "2027-03"),
        Branch(610, "new feature", "2026-08"),
        Branch(615, "new feature", None),
        Branch(620, "new feature", None, closed_modules=False),
    )
}
LONG_TERM = 580
PREFERRED = (580, 595, 615, 620)


def numbers(text: str) -> Version:
    """`580.95.05` as numbers."""
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


def oldest_for(cuda: str) -> int | None:
    """The oldest branch that runs this CUDA at all, `13.0`; None for a family that is not known."""
    return OLDEST_DRIVER.get(numbers(cuda)[0])


def made_for(cuda: str) -> int | None:
    """The branch that this CUDA was made for; None where it is not known."""
    shipped = SHIPPED_DRIVER.get(cuda)
    return shipped[0] if shipped else None
