# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is killed in a rollout, and when; drawn from a seed, so that a run can be had again."""

from __future__ import annotations

import random
import typing as t
from dataclasses import dataclass

TARGETS: t.Final = ("playbook", "playbook and workers", "transaction", "transaction and follower")


@dataclass(frozen=True)
class Kill:
    """One kill. `moment` is a share of the time that a rollout takes, from the start of the playbook on."""

    number: int
    target: str
    moment: float

    def __str__(self) -> str:
        return f"{self.number}: {self.target} at {self.moment:.0%}"


def drawn(count: int, seed: int) -> list[Kill]:
    """Every target equally often; moments over the whole length of a rollout."""
    chance = random.Random(seed)
    targets = [TARGETS[number % len(TARGETS)] for number in range(count)]
    chance.shuffle(targets)
    return [Kill(number, target, chance.random()) for number, target in enumerate(targets, start=1)]
