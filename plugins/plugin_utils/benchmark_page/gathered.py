# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A benchmark, or a comparison of two releases, as one JSON-shaped value: what the JSON file holds, and page and table
show.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import comparing, report
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.comparing import SIDES, Block
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.quality import BETTER as OF_PROMPTS
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.spread import BETTER, TARGETS
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json, Shape, misfit
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages.words import count

SCHEMA = 1
OUTCOMES = ("met", "some", "missed")
OUTCOMES_OF_PROMPTS = ("met", "missed")
REASON: Shape = {"kind": str, "text": str}
FIGURES: Shape = dict.fromkeys(BETTER, float)
SPREAD: Shape = {"median": float, "low": float, "high": float}
RUN: Shape = {
    "load": str,
    "seed": int,
    "figures?": FIGURES,
    "counted": {"hits?": float, "preemptions?": float, "acceptance?": float},
    "reasons": [REASON],
}
COUNTED_RUN: Shape = {**{name: shape for name, shape in RUN.items() if name != "figures?"}, "figures": FIGURES}
PROMPT: Shape = {"prompt": str, "asked": int, "right": int, "answered": int, "distinct": int, "wrong": [str]}
FOUND: Shape = {
    "at": str,
    "outcome": str,
    **dict.fromkeys(("instance", "release", "image", "version", "model"), str),
    "workload": {
        "seed": int,
        "repeats": int,
        "requests": int,
        "concurrency": int,
        "prompt_tokens": int,
        "answer_tokens": int,
    },
    "loads": {},
    "differences": [{"figure": str, "before": str, "after": str, "factor?": float, "counts": bool}],
    "quality?": {"figures": {f"{name}?": float for name in OF_PROMPTS}, "prompts": [PROMPT]},
    "targets": [{"figure": str, "wanted": float, "outcome": str, **SPREAD}],
    "thrown_away": [RUN],
}
LOAD: Shape = {"runs": [COUNTED_RUN], "spread": dict.fromkeys(BETTER, SPREAD)}
BLOCK: Shape = {"round": int, "side": str, "found": {}}
# Of each look, seconds, share of the cache, running, waiting.
SAMPLE = 4
# Characters of why a comparison ended early.
MOST = 1000


class NotUnderstoodError(ValueError):
    """What a host told is no benchmark."""


def benchmark(host: str, found: Json) -> Json:
    """One benchmark. Raises NotUnderstoodError."""
    return {"schema": SCHEMA, "kind": "benchmark", "host": host, **_whole(found, "found")}


def comparison(
    host: str, blocks: t.Sequence[Json], differs: t.Sequence[str], restarts: t.Sequence[float], ended: str = ""
) -> Json:
    """Rounds of two releases. RESTARTS are what each took, in seconds. ENDED is why they are not all that there were to
    be. Raises NotUnderstoodError."""
    problem = misfit(blocks, [BLOCK], "blocks") or ("" if blocks else "blocks is empty")
    if problem:
        raise NotUnderstoodError(problem)
    if strange := {one["side"] for one in blocks} - set(SIDES):
        raise NotUnderstoodError(f"blocks has the side {min(strange)!r:.20}, and sides are A and B")
    whole = [Block(one["round"], one["side"], _whole(one["found"], f"blocks[{at}]")) for at, one in enumerate(blocks)]
    wrong = comparing.wrong(whole, bool(ended))
    found = comparing.differences(whole, bool(ended))
    counts = any(one.counts for one in found)
    return {
        "schema": SCHEMA,
        "kind": "comparison",
        "host": host,
        "at": whole[-1].found["at"],
        "instance": whole[0].found["instance"],
        "outcome": "thrown_away" if wrong else "difference" if counts else "no_difference",
        "ended": f"It ended early, after {count(len(whole), 'measurement')}: {ended[:MOST]}" if ended else "",
        "differs": list(differs),
        "restarts": [float(seconds) for seconds in restarts if seconds],
        "differences": [one.as_dict() for one in found],
        "reasons": [{"kind": one.kind, "text": one.text} for one in wrong],
        "blocks": [{"round": one.round, "side": one.side, "found": one.found} for one in whole],
    }


def _whole(found: t.Any, where: str) -> Json:
    problem = misfit(found, FOUND, where)
    for name, load in {} if problem else found["loads"].items():
        within = f"{where}.loads.{name}"[:80]
        problem = problem or misfit(load, LOAD, within) or _samples_misfit(load["runs"], within)
    for one in [] if problem else found["targets"]:
        known = OUTCOMES if one["figure"] in TARGETS else OUTCOMES_OF_PROMPTS if one["figure"] in OF_PROMPTS else ()
        if one["outcome"] not in known:
            problem = f"{where} has the target {one['figure'][:40]!r} with the outcome {one['outcome'][:40]!r}"
    if problem:
        raise NotUnderstoodError(problem)
    whole: Json = {"quality": None, **found}
    return whole


def _samples_misfit(runs: t.Sequence[Json], where: str) -> str:
    """Each look is four numbers, or nothing where one was not told."""
    for run in runs:
        looks = run.setdefault("samples", [])
        if not isinstance(looks, list) or not all(_is_sample(one) for one in looks):
            return f"{where} has samples that are no lists of {SAMPLE} numbers"
    return ""


def _is_sample(one: t.Any) -> bool:
    numbers = isinstance(one, list) and len(one) == SAMPLE
    return numbers and one[0] is not None and all(value is None or _is_number(value) for value in one)


def _is_number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def table(gathered: Json) -> list[str]:
    """Lines for a terminal."""
    if gathered["kind"] == "benchmark":
        return report.table(gathered)
    lines = [gathered["ended"]] if gathered["ended"] else []
    lines += [f"A and B differ in: {'; '.join(gathered['differs']) or 'nothing that was planned'}."]
    if gathered["restarts"]:
        lines.append(f"{len(gathered['restarts'])} restarts took {sum(gathered['restarts']):.0f} s together.")
    if gathered["reasons"]:
        lines += [f"Nothing was compared ({one['kind']}): {one['text']}." for one in gathered["reasons"]]
        return [*lines, *(_measured(gathered["blocks"]) if gathered["ended"] else [])]
    counting = [one for one in gathered["differences"] if one["counts"]]
    others = sorted({one["figure"] for one in gathered["differences"]} - {one["figure"] for one in counting})
    if not counting:
        return [*lines, "No difference: every figure of B is within the spread of those of A."]
    lines += [difference(one) for one in counting]
    return [*lines, f"Within the spread in every load: {', '.join(others)}."] if others else lines


def _measured(blocks: t.Sequence[Json]) -> t.Iterator[str]:
    """What each block has found: all that is left of a comparison that is none."""
    for block in blocks:
        for name, load in block["found"]["loads"].items():
            figures = ", ".join(f"{figure} {report.shown(load['spread'][figure])}" for figure in report.TABLE)
            yield f"{block['side']} in round {block['round']}, {name}: {figures}."


def difference(one: Json) -> str:
    """A difference that counts, as a sentence."""
    factor = f"{one['factor']:.2f} x" if one["factor"] is not None else "more than"
    return (
        f"{one['figure']} of {one['load']}: B is {factor} A, {report.shown(one['b'])} and {report.shown(one['a'])}. "
        f"{one['better']} is better, beyond the spread."
    )


def as_csv(gathered: Json) -> str:
    """A row for each figure of each load, of a comparison for A and B."""
    return report.as_csv(gathered) if gathered["kind"] == "benchmark" else report.compared_as_csv(gathered)
