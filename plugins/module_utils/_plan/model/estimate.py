# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A figure that is not known exactly: low, expected and high, in GiB.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

GIB = 1024.0**3
MIB_PER_GIB = 1024.0


@dataclass(frozen=True)
class Estimate:
    """GiB, with low <= expected <= high."""

    low: float
    expected: float
    high: float

    @classmethod
    def exact(cls, value: float) -> Estimate:
        return cls(value, value, value)

    @classmethod
    def around(cls, value: float, down: float, up: float) -> Estimate:
        """VALUE, at most DOWN less and at most UP more (GiB, both positive)."""
        return cls(max(0.0, value - down), value, value + up)

    def plus(self, other: Estimate) -> Estimate:
        return Estimate(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def minus(self, other: Estimate) -> Estimate:
        """The difference; the low end takes the other's high end, and the other way round."""
        return Estimate(self.low - other.high, self.expected - other.expected, self.high - other.low)

    def times(self, factor: float) -> Estimate:
        return Estimate(self.low * factor, self.expected * factor, self.high * factor)

    def as_dict(self) -> dict[str, float]:
        return {"low": round(self.low, 2), "expected": round(self.expected, 2), "high": round(self.high, 2)}


ZERO = Estimate(0.0, 0.0, 0.0)


def total(parts: t.Iterable[Estimate]) -> Estimate:
    """The sum of PARTS."""
    result = ZERO
    for part in parts:
        result = result.plus(part)
    return result
