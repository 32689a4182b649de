# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tuning has found: one document, its page in Markdown, lines for a terminal, and the YAML for an inventory.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import typing as t
from statistics import median

from .._outside.documents import Json
from .asked import Asked
from .goals import Goal, Values
from .search import End, Step, best_of, serving
from .trial import Trial

SCHEMA = 1
SAID = {
    "better": "found better values",
    "not_better": "found nothing better for sure",
    "not_measured": "ended without a decision",
}
COLUMNS = ("stage", "values", "outcome", "figure", "KV cache", "waiting", "why")


def document(
    asked: Asked, start: Values, trials: t.Sequence[Trial], decided: Step | End, about: t.Mapping[str, t.Any]
) -> Json:
    """The whole. `outcome` is null until it has ended; ABOUT are host, instance, workload, times and notes."""
    end = decided if isinstance(decided, End) else None
    after = serving(start, trials)
    return {
        "schema": SCHEMA,
        **about,
        "goal": asked.goal,
        "figure": asked.aim.figure,
        "outcome": end.outcome if end else None,
        "why": end.why if end else "it has not ended",
        "before": start,
        "after": after,
        "best": best_of(asked, trials).values if trials else start,
        "release": next((one.release for one in reversed(trials) if one.served), ""),
        "trials": [one.as_dict() for one in trials],
    }


def yaml(instance: str, values: Values) -> str:
    """What an inventory has to hold for these values to stay."""
    lines = [f"    {name}: {json.dumps(value)}" for name, value in sorted(values.items())]
    return "\n".join([f"- name: {instance}", "  engine_args:", *lines]) + "\n"


def figure_of(goal: Goal, trial: Trial) -> str:
    """The median of the figure that decides, with the lowest and the highest run."""
    scores = trial.scores(goal)
    if not scores:
        return ""
    if not goal.is_measured:
        return f"{scores[0]:g}"
    return f"{median(scores):.4g} ({min(scores):.4g}..{max(scores):.4g})"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def said(values: Values) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def row(goal: Goal, one: Trial) -> list[str]:
    return [
        one.stage,
        said(one.values),
        one.outcome,
        figure_of(goal, one),
        _share(one.average("kv_cache")),
        _count(one.average("waiting")),
        one.why,
    ]


def line(goal: Goal, one: Trial) -> str:
    """A trial on a terminal."""
    found = figure_of(goal, one)
    told = f"{goal.figure} {found}" if found else one.why
    taken, waiting = one.average("kv_cache"), one.average("waiting")
    seen = "" if taken is None else f"; {taken:.0%} of the KV cache was taken"
    seen += "" if waiting is None else f", {waiting:.1f} requests waited"
    return f"{said(one.values)}: {one.outcome.replace('_', ' ')}, {told}{seen}."


def markdown(found: Json, goal: Goal, trials: t.Sequence[Trial]) -> str:
    """A page for people. What hosts and engines said stands in it as code or in cells, where it ends no line."""
    outcome = f"{SAID[found['outcome']]}: {_cell(found['why'])}" if found["outcome"] else "has not ended"
    rows = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    rows += ["| " + " | ".join(map(_cell, row(goal, one))) + " |" for one in trials]
    load = ", ".join(f"{name} {value}" for name, value in found["workload"].items())
    serves = f"Release `{found['release'][:12] or 'as before'}` serves, with {said(found['after'])}."
    parts = [
        f"# {found['instance']} on {found['host']}, tuned for {found['goal']}",
        f"It began at {found['began']} and {outcome}.",
        f"{serves} Before, it was {said(found['before'])}.",
        f"The load: {load}. The figure is {goal.figure}: median (lowest..highest) of the runs.",
        "\n".join(rows),
        *found["notes"],
    ]
    if found["outcome"] == "better":
        parts += [
            "For the inventory, else the next `site.yml` puts its values back:",
            f"```yaml\n{yaml(found['instance'], found['after'])}```",
        ]
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
