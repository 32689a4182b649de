# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be tuned for: the figure that decides, and the engine arguments that it hangs on.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._benchmark.spread import BETTER

Number = t.Union[int, float]
Values = t.Mapping[str, Number]
# `places` are filled until the KV cache is as full as is aimed at; `step` is doubled and halved; `length` is as long as
# it serves; `share` is raised where a length does not fit.
Kind = t.Literal["places", "step", "length", "share"]


class Range(t.NamedTuple):
    """The least and the most that is tried."""

    least: Number
    most: Number


@dataclass(frozen=True)
class Argument:
    """An engine argument, and the widest range that it is tried in. The planner's bounds hold beside it."""

    kind: Kind
    range: Range


@dataclass(frozen=True)
class Goal:
    """`figure` is one of a benchmark, or the argument itself where that is the goal."""

    figure: str
    arguments: tuple[str, ...]

    @property
    def is_measured(self) -> bool:
        return self.figure in BETTER

    def beyond(self, new: t.Sequence[float], old: t.Sequence[float]) -> bool:
        """Whether every run of NEW is better than every run of OLD."""
        if not new or not old:
            return False
        return min(new) > max(old) if BETTER.get(self.figure, True) else max(new) < min(old)


ARGUMENTS: t.Mapping[str, Argument] = {
    "max_num_seqs": Argument("places", Range(1, 4096)),
    "max_num_batched_tokens": Argument("step", Range(64, 262_144)),
    "max_model_len": Argument("length", Range(128, 16_777_216)),
    # Above it nothing is left for what else uses the GPU.
    "gpu_memory_utilization": Argument("share", Range(0.1, 0.95)),
}
GOALS: t.Mapping[str, Goal] = {
    "throughput": Goal("tokens_per_second", ("max_num_seqs", "max_num_batched_tokens")),
    "first_token": Goal("first_token", ("max_num_seqs", "max_num_batched_tokens")),
    "length": Goal("max_model_len", ("max_model_len", "gpu_memory_utilization")),
}
