# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a run measured what it says: why it is thrown away, from the engine's own counts.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .counts import Counts
from .figures import Figures
from .workload import Load, Workload

# Share of prompts, or of their tokens, from which on a load that is called cold is not.
REPEATED = 0.01
# A tokenizer's text is not always cut where it was put together; what is further off was not asked, or not answered.
OFF = 0.05
# Of what a shared prefix could have found in the cache, the least that makes it a warm one.
WARM = 0.5


@dataclass(frozen=True)
class Reason:
    """Why a run does not count. One that is `passing` is of the moment: the same load may be measured later."""

    kind: str
    text: str
    passing: bool = False


@dataclass(frozen=True)
class Seen:
    """What is known of the engine around a run: what it counted, requests of others before and after, its start."""

    added: Counts
    busy_before: int | None
    busy_after: int | None
    started_before: str
    started_after: str


def reasons(workload: Workload, load: Load, figures: Figures, seen: Seen) -> list[Reason]:
    """Why a run is thrown away; empty for one that counts."""
    return [
        *_engine(seen),
        *_requests(workload, load, figures, seen),
        *_prompts(figures),
        *(_warm(workload, load, seen.added) if load.shared else _cold(seen.added)),
    ]


def _engine(seen: Seen) -> t.Iterator[Reason]:
    if seen.started_before != seen.started_after or seen.added.fell:
        yield Reason(
            "restarted",
            f"the engine was started at {seen.started_before} before the run, and at {seen.started_after or 'no time'} "
            "after it: see why it ended (playbooks/logs.yml)",
        )


def _requests(workload: Workload, load: Load, figures: Figures, seen: Seen) -> t.Iterator[Reason]:
    if figures.completed != workload.requests:
        yield Reason(
            "failed_requests",
            f"{figures.completed:g} of {workload.requests} requests ended right: see what the engine says of the "
            "others (playbooks/logs.yml)",
        )
    wanted = figures.completed * load.answer
    if abs(figures.output_tokens - wanted) > OFF * wanted:
        yield Reason(
            "short_answers" if figures.output_tokens < wanted else "long_answers",
            f"answers had {figures.output_tokens:g} tokens and not {wanted:g}: "
            f"state {'long_answer_tokens' if load.name == 'long' else 'answer_tokens'} that the server gives",
        )
    prompts = figures.completed * workload.prompt_tokens
    if figures.input_tokens < (1 - OFF) * prompts:
        yield Reason(
            "short_prompts",
            f"prompts had {figures.input_tokens:g} tokens and not {prompts:g}: state other prompt_tokens",
        )
    finished = seen.added.finished
    if finished is None or seen.busy_before is None or seen.busy_after is None:
        yield Reason(
            "uncounted",
            "the engine does not say how many requests it has and had, so that those of others cannot be told: serve "
            "without disable_log_stats",
        )
    elif finished > workload.requests or seen.busy_before or seen.busy_after:
        others = max(0, round(finished) - workload.requests) + seen.busy_before + seen.busy_after
        yield Reason(
            "others",
            f"{others} requests of other clients were served meanwhile: measure when nobody asks, or drain the host at "
            "its doors",
            passing=True,
        )
    elif finished < figures.completed:
        yield Reason(
            "uncounted",
            f"the engine counted {finished:g} requests and answered {figures.completed:g}, so that those of others "
            "cannot be told: see that its /metrics counts all that it serves",
        )


def _prompts(figures: Figures) -> t.Iterator[Reason]:
    if figures.prompts and figures.distinct is not None:
        repeated = figures.prompts - figures.distinct
        if repeated >= REPEATED * figures.prompts:
            yield Reason(
                "repeated_prompts",
                f"{repeated:g} of {figures.prompts:g} prompts are the same as another one: state more prompt_tokens or "
                "fewer requests",
            )


def _cold(added: Counts) -> t.Iterator[Reason]:
    if (added.hits or 0) >= REPEATED:
        yield Reason(
            "warm_cache",
            f"{added.hits or 0:.1%} of the tokens of prompts came from the prefix cache, in a load that is to be cold: "
            "state another seed than an earlier run's, or 0 to have one drawn",
        )


def _warm(workload: Workload, load: Load, added: Counts) -> t.Iterator[Reason]:
    could = shareable(workload, load)
    if (added.hits or 0) < WARM * could:
        yield Reason(
            "cold_cache",
            f"{added.hits or 0:.1%} of the tokens of prompts came from the prefix cache, and {could:.1%} could have: "
            "see that enable_prefix_caching is on and prefix_tokens are more than a block or two, or state 0 of them",
        )
    prefix = load.shared / workload.prompt_tokens
    if (added.hits or 0) >= prefix + REPEATED:
        yield Reason(
            "warm_cache",
            f"{added.hits or 0:.1%} of the tokens of prompts came from the prefix cache, and {prefix:.1%} are of the "
            "prefix: state another seed than an earlier run's, or 0 to have one drawn",
        )


def shareable(workload: Workload, load: Load) -> float:
    """The share of prompts' tokens that can come from the cache: the first requests of all put the prefix there."""
    later = max(0, workload.requests - load.concurrency) / workload.requests
    return load.shared / workload.prompt_tokens * later
