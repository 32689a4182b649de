# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is killed in a rollout, and when, drawn from a seed so that a run can be had again; and what the kills hit."""

from __future__ import annotations

import collections
import random
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.stages import Stage

PLAYBOOKS: t.Final = ("playbook", "playbook and workers")
TRANSACTIONS: t.Final = ("transaction", "transaction and follower")
TARGETS: t.Final = (*PLAYBOOKS, *TRANSACTIONS)
BEFORE = "before the unit"
# Of the host's transaction. A run of kills has to hit each of them.
STAGES: t.Final = tuple(
    stage.word for stage in (Stage.STOP, Stage.START, Stage.READY, Stage.SMOKE, Stage.HOLD, Stage.COMMIT)
)
# Struck when the transaction had told its outcome, and the playbook had not heard it yet.
AFTER = "after the outcome"
# One hit of each stage is demanded for so many kills: of 100 at least 5.
KILLS_FOR_A_HIT = 20
# Late in a stage another machine's rollout is in the next one.
LATEST = 0.9


@dataclass(frozen=True)
class Kill:
    """One kill. `moment` is a share of the time that the stage takes."""

    number: int
    target: str
    stage: str
    moment: float

    def __str__(self) -> str:
        return f"{self.number}: {self.target} at {self.moment:.0%} of {self.stage}"

    def again(self, attempt: int) -> Kill:
        """The same at another moment of the same stage, for one that met nothing; the first attempt is itself."""
        if attempt == 1:
            return self
        return replace(self, moment=_moment(random.Random(f"{self.moment} {attempt}")))


def _moment(chance: random.Random) -> float:
    return chance.uniform(0, LATEST)


def drawn(count: int, seed: int) -> list[Kill]:
    """Every target equally often, and each at every stage at which it can be met."""
    chance = random.Random(seed)
    aims = {target: [BEFORE, *STAGES] if target in PLAYBOOKS else [*STAGES] for target in TARGETS}
    for stages in aims.values():
        chance.shuffle(stages)
    pairs = []
    for number in range(count):
        target = TARGETS[number % len(TARGETS)]
        pairs.append((target, aims[target][number // len(TARGETS) % len(aims[target])]))
    chance.shuffle(pairs)
    return [Kill(number, *pair, _moment(chance)) for number, pair in enumerate(pairs, start=1)]


def hits(struck: t.Iterable[tuple[str, str]]) -> str:
    """A line for each target, from pairs of target and stage that was struck, and one for all."""
    counted = collections.Counter(struck)
    columns = (BEFORE, *STAGES, AFTER)
    rows = [[target, *(str(counted[target, stage]) for stage in columns)] for target in TARGETS]
    rows.append(["all", *(str(sum(counted[target, stage] for target in TARGETS)) for stage in columns)])
    lines = [" | ".join(row) for row in (["killed", *columns], ["---"] * (len(columns) + 1), *rows)]
    return "\n".join(f"| {line} |" for line in lines)


def too_few(struck: t.Sequence[tuple[str, str]], kills: int) -> str:
    """Which stages were hit too seldom to show anything; empty where every one was hit often enough."""
    least, counted = kills // KILLS_FOR_A_HIT, collections.Counter(stage for _target, stage in struck)
    seldom = [f"{stage} {counted[stage]}" for stage in STAGES if counted[stage] < least]
    return (
        f"of {kills} kills at least {least} have to hit each stage, and did not: {', '.join(seldom)}" if seldom else ""
    )
