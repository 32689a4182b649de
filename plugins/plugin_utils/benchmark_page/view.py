# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page of a benchmark says. How it looks is the template's.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import report, spread
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.benchmark_page import pictures
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages.words import count, time

DIGEST = 12
NAMES = {
    "tokens_per_second": "tokens a second",
    "requests_per_minute": "requests a minute",
    "first_token": "first token, s",
    "first_token_p99": "first token, 99 in 100, s",
    "next_token": "next token, s",
    "next_token_p99": "next token, 99 in 100, s",
    "answer": "whole answer, s",
    "answer_p99": "whole answer, 99 in 100, s",
    "right": "right answers, share",
    "solved": "prompts with a right answer, share",
    "distinct": "answers that differ, share",
    "tries": "tries until right",
}
WORKLOAD = (
    ("prompt_tokens", "tokens of a prompt"),
    ("answer_tokens", "tokens of an answer"),
    ("long_answer_tokens", "tokens of a long answer"),
    ("prefix_tokens", "shared tokens of warm"),
    ("requests", "requests of a run"),
    ("concurrency", "requests at a time"),
    ("repeats", "runs of each load"),
    ("seed", "seed"),
)


def page(whole: Json) -> Json:
    """Everything that the template shows."""
    compares = whole["kind"] == "comparison"
    one = whole["blocks"][0]["found"] if compares else whole
    return {
        "what": f"vLLM {'comparison' if compares else 'benchmark'}",
        "headline": headline(whole),
        "made_at": _time(str(whole["at"])),
        "tally": _tally(whole),
        "compares": compares,
        "series": pictures.series_of(whole),
        "plots": pictures.all_of(whole),
        "reasons": [*filter(None, [whole["ended"]]), *(why["text"] for why in whole["reasons"])] if compares else [],
        "loads": [] if compares else [_load(name, load) for name, load in whole["loads"].items()],
        "figures": [NAMES[name] for name in spread.BETTER],
        "differences": [_compared(found) for found in whole["differences"]] if compares else [],
        "sentences": _sentences(whole),
        "differs": whole["differs"] if compares else [],
        "restarts": whole["restarts"] if compares else [],
        "targets": _targets(whole),
        "quality": [] if compares else _quality(whole["quality"]),
        "answers": _answers(whole),
        "facts": _facts(whole, one),
        "thrown_away": _thrown_away(whole),
    }


def headline(whole: Json) -> list[str]:
    """The first thing to know, a sentence each."""
    where = f"{whole['instance']} on {whole['host']}"
    if whole["outcome"] == "thrown_away":
        return [where, "Nothing was compared." if whole["kind"] == "comparison" else "Too few runs count."]
    if whole["kind"] == "benchmark":
        missed = [one for one in whole["targets"] if one["outcome"] != "met"]
        return [where, f"{count(len(missed), 'target')} missed." if missed else "It was measured."]
    if whole["outcome"] == "no_difference":
        return [where, "A and B do not differ beyond the spread."]
    counting = [one for one in whole["differences"] if one["counts"]]
    better = {side: sum(one["better"] == side for one in counting) for side in ("A", "B")}
    if better["A"] and better["B"]:
        return [where, f"B is better in {count(better['B'], 'figure')}, and A in {better['A']}."]
    return [where, f"{'B' if better['B'] else 'A'} is better in {count(len(counting), 'figure')}."]


def _time(stamp: str) -> str:
    """As every page says it. A host may have told anything."""
    try:
        return time(dt.datetime.fromisoformat(stamp.replace("Z", "+00:00")).isoformat())
    except ValueError:
        return stamp


def _tally(whole: Json) -> list[list[tuple[str, t.Any]]]:
    if whole["kind"] == "comparison":
        counting = sum(one["counts"] for one in whole["differences"])
        rounds = max(one["round"] for one in whole["blocks"])
        return [[("rounds", rounds)], [("figures", len(whole["differences"])), ("that differ", counting)]]
    runs = sum(len(load["runs"]) for load in whole["loads"].values())
    return [[("runs that count", runs), ("thrown away", len(whole["thrown_away"]))]]


def _load(name: str, load: Json) -> Json:
    shown = [load["spread"][figure] for figure in spread.BETTER]
    return {"name": name, "figures": [_spread(one) for one in shown]}


def _spread(one: Json) -> Json:
    return {
        "median": report.number(one["median"]),
        "range": f"{report.number(one['low'])}..{report.number(one['high'])}",
    }


def _compared(one: Json) -> Json:
    factor = "" if one["factor"] is None else f"{one['factor']:.2f} \N{MULTIPLICATION SIGN}"
    said = f"{one['better']} is better" if one["counts"] else "within the spread"
    return {
        "load": one["load"],
        "figure": NAMES[one["figure"]],
        "a": _spread(one["a"]),
        "b": _spread(one["b"]),
        "factor": factor,
        "counts": one["counts"],
        "said": said,
    }


def _sentences(whole: Json) -> list[str]:
    """The lines of a terminal that no table of the page has."""
    if whole["kind"] == "comparison":
        return []
    return [*(report.difference(one) for one in whole["differences"]), *report.acceptance(whole["loads"])]


def _targets(whole: Json) -> list[Json]:
    """Of a comparison those of the last round of each side."""
    if whole["kind"] == "benchmark":
        return [_target("", one) for one in whole["targets"]]
    last = {block["side"]: block for block in whole["blocks"]}
    return [_target(f"{side}: ", one) for side, block in last.items() for one in block["found"]["targets"]]


def _target(whose: str, one: Json) -> Json:
    return {"met": one["outcome"] == "met", "text": whose + report.target(one)}


def _quality(of_prompts: Json | None) -> list[tuple[str, str]]:
    if of_prompts is None:
        return []
    return [(NAMES[name], report.number(value)) for name, value in of_prompts["figures"].items()]


def _answers(whole: Json) -> list[Json]:
    """Each prompt; of a comparison those of all rounds together, A beside B."""
    blocks: list[Json] = whole["blocks"] if whole["kind"] == "comparison" else [{"side": "", "found": whole}]
    found: dict[tuple[int, str], Json] = {}
    for block in blocks:
        for at, one in enumerate((block["found"]["quality"] or {"prompts": []})["prompts"], 1):
            row = {"at": at, "side": block["side"], "prompt": one["prompt"], "asked": 0, "right": 0, "wrong": []}
            known = found.setdefault((at, block["side"]), row)
            known["asked"] += one["asked"]
            known["right"] += one["right"]
            known["wrong"] += [why for why in one["wrong"] if why not in known["wrong"]]
    return [found[key] for key in sorted(found)]


def _facts(whole: Json, one: Json) -> list[tuple[str, str]]:
    load = [(name, str(one["workload"][key])) for key, name in WORKLOAD if one["workload"].get(key)]
    served = [("model", one["model"]), ("vLLM", one["version"])]
    if whole["kind"] == "benchmark":
        return [*served, ("image", one["image"]), ("release", one["release"][:DIGEST]), *load]
    first = {block["side"]: block["found"] for block in reversed(whole["blocks"])}
    sides = [
        (f"{side}: {name}", value)
        for side, found in sorted(first.items())
        for name, value in (
            ("release", found["release"][:DIGEST]),
            ("vLLM", found["version"]),
            ("image", found["image"]),
        )
    ]
    return [("model", one["model"]), *sides, *[(name, value) for name, value in load if name != "seed"]]


def _thrown_away(whole: Json) -> list[str]:
    one: Json = {"side": "", "round": 0, "found": whole}
    blocks: list[Json] = whole["blocks"] if whole["kind"] == "comparison" else [one]
    return [
        f"{_whose(block)}{run['load']} with seed {run['seed']}: {why['text']}."
        for block in blocks
        for run in block["found"]["thrown_away"]
        for why in run["reasons"]
    ]


def _whose(block: Json) -> str:
    return f"{block['side']}, round {block['round']}, " if block["side"] else ""
