# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator asks, and trials of it, on an engine that is a formula."""

from __future__ import annotations

import random
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._tune import asked as of_operator
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.asked import Asked
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.goals import Values
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.search import End, Step, next_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.trial import Stage, Trial

Json = dict[str, t.Any]
STATED: Json = {
    "goal": "throughput",
    "arguments": {},
    "values": [],
    "steps": 6,
    "rounds": 3,
    "minutes": 120,
    "concurrency": 32,
    "prompt_tokens": 256,
}


def asked(**changes: t.Any) -> Asked:
    errors: list[str] = []
    found = of_operator.read({**STATED, **changes}, errors)
    assert found is not None and errors == []
    return found


def run(**figures: float | None) -> Json:
    return {"tokens_per_second": 100.0, "kv_cache": 0.5, "waiting": 4.0, "running": 4.0, "preemptions": 0.0, **figures}


def measured(values: Values, stage: Stage = "search", seconds: float = 60.0, **figures: float | None) -> Trial:
    """Three runs that are alike."""
    return Trial(values, stage, "measured", "", "d" * 64, (run(**figures),) * 3, seconds)


def refused(values: Values, why: str = "it does not fit") -> Trial:
    return Trial(values, "search", "refused", why, seconds=5.0)


class Engine:
    """Throughput grows with what runs at once until the KV cache is full, then requests are computed again; a step that
    is too small for its prompts costs. Runs differ by NOISE."""

    def __init__(self, blocks: float = 60.0, noise: float = 0.02, seed: int = 0) -> None:
        self.blocks, self.noise, self.draw = blocks, noise, random.Random(seed)

    def tried(self, step: Step, concurrency: int = 32) -> Trial:
        if step.stage == "keep":
            return Trial(step.values, "keep", "kept", release="d" * 64, seconds=30.0)
        places = min(step.values["max_num_seqs"], concurrency)
        needed = 3 * places / self.blocks
        again = max(0.0, needed - 1)
        speed = 100 * min(places, self.blocks / 3) ** 0.8 / (1 + 2 * again)
        tokens = step.values["max_num_batched_tokens"]
        speed *= tokens / (tokens + 300)
        runs = tuple(
            run(
                tokens_per_second=speed * self.draw.uniform(1 - self.noise, 1 + self.noise),
                kv_cache=min(1.0, needed),
                waiting=concurrency - places,
                preemptions=100 * again,
            )
            for _run in range(3)
        )
        return Trial(step.values, step.stage, "measured", "", "d" * 64, runs, 60.0)


def tuned(engine: Engine, start: Values, **changes: t.Any) -> tuple[End, list[Trial]]:
    """A whole tuning, and how it ended."""
    wanted, trials = asked(**changes), list[Trial]()
    for _step in range(wanted.most_steps + 1):
        decided = next_of(wanted, start, trials, sum(one.seconds for one in trials))
        if isinstance(decided, End):
            return decided, trials
        trials.append(engine.tried(decided))
    raise AssertionError("it takes more steps than it says")
