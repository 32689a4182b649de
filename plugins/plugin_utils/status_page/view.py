# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What page and table say of a fleet, made from what its hosts showed. How it looks is the template's.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes.change import shown
from ansible_collections.gpufleet.vllm.plugins.module_utils._slow.numbers import NUMBERS, written
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages.words import capital, count, time, word

DIGEST = 12
MIB_PER_GIB = 1024
UNKNOWN = "?"
STATES = {
    "serves": "serves",
    "rests": "rests",
    "changing": "changes now",
    "away": "does not serve",
    "absent": "not there",
}
AGES = ((86400, "d"), (3600, "h"), (60, "min"))


def page(fleet: Json) -> Json:
    """Everything that the template shows."""
    rows = [row for number, entry in enumerate(fleet["hosts"], 1) for row in host(entry, f"host-{number}")]
    return {
        "what": "vLLM status",
        "headline": headline(fleet),
        "made_at": time(fleet["made_at"]),
        "tally": tally(fleet["totals"]),
        "filters": filters(rows),
        "rows": rows,
    }


def headline(fleet: Json) -> list[str]:
    """The first thing to know, a sentence each."""
    totals = fleet["totals"]
    silent = totals["hosts"].get("silent", 0)
    states = totals["instances"]
    said = [f"{count(silent, 'host')} told nothing."] if silent else []
    away = states.get("away", 0)
    if away:
        said.append(f"{count(away, 'instance')} {'does' if away == 1 else 'do'} not serve.")
    if totals["slow"]:
        said.append(f"{count(totals['slow'], 'instance')} {'is' if totals['slow'] == 1 else 'are'} slow, with a cause.")
    if said or not states:
        return said or ["No instance is there."]
    return ["Everything serves." if set(states) == {"serves"} else "Nothing is amiss."]


def tally(totals: Json) -> list[list[tuple[str, int]]]:
    """What there is, then how it is."""
    hosts, instances = sum(totals["hosts"].values()), sum(totals["instances"].values())
    there = [(word(hosts, "host"), hosts), (word(totals["gpus"], "GPU"), totals["gpus"])]
    there.append((word(instances, "instance"), instances))
    states = [(text, totals["instances"][state]) for state, text in STATES.items() if totals["instances"].get(state)]
    more = [("slow", totals["slow"]), ("changes due", totals["changes"])]
    return [group for group in (there, [*states, *(one for one in more if one[1])]) if group]


def filters(rows: t.Sequence[Json]) -> list[tuple[str, str, int]]:
    """Name, label, and how many rows it leaves."""
    return [
        ("all", "All", len(rows)),
        ("slow", "Slow", sum(bool(row["findings"]) for row in rows)),
        ("away", "Not serving", sum(row["away"] for row in rows)),
        ("changes", "Change due", sum(row["changes"] for row in rows)),
        ("failed", "Failed before", sum(bool(row["failure"]) for row in rows)),
    ]


def host(entry: Json, anchor: str) -> list[Json]:
    """A row for each instance; one for a host without any."""
    cards = [_row(entry, one, f"{anchor}-{number}") for number, one in enumerate(entry["instances"], 1)]
    return cards or [_empty(entry, anchor)]


def _empty(entry: Json, anchor: str) -> Json:
    silent = entry["state"] == "silent"
    text = "told nothing" if silent else "no instance"
    return {
        "anchor": anchor,
        "host": entry["name"],
        "name": "",
        "state": "away" if silent else "absent",
        "state_text": text,
        "because": entry["because"],
        "away": silent,
        "changes": False,
        "advice": entry["advice"],
        "findings": [],
        "failure": None,
        "gpus": [_gpu(gpu) for gpu in entry["gpus"]],
    }


def _row(entry: Json, one: Json, anchor: str) -> Json:
    """A line of the table, and what unfolds below it."""
    failure, watch = one["failure"], one["watch"]
    return {
        "anchor": anchor,
        "host": entry["name"],
        "advice": entry["advice"],
        "name": one["name"],
        "model": one["model"],
        "state": one["state"],
        "state_text": STATES[one["state"]],
        "because": one["because"],
        "away": one["state"] in ("away", "absent"),
        "changes": one["change"] not in ("", "none"),
        "change": one["change"],
        "change_text": one["change"] or UNKNOWN,
        "change_unknown": one["change_unknown"],
        "change_reasons": [reason.replace(" -> ", " → ") for reason in one["change_reasons"]],
        "release": one["digest"][:DIGEST],
        "age": age(one["age_seconds"]),
        **_figures(one),
        "findings": [_finding(found) for found in one["findings"]],
        "unknown": [_unknown(name, missing) for name, missing in one["unknown"].items()],
        "not_judged": one["not_judged"],
        "seconds": f"{one['window']['seconds']:.0f}" if one["window"] else "",
        "failure": failure and _failure(failure),
        "watch": _watch(watch),
        "events": [(event["at"], event["what"]) for event in watch.get("events") or []],
        "facts": _facts(one),
        "gpus": [_gpu(gpu) for gpu in entry["gpus"] if gpu["uuid"] in one["gpus"]],
        "numbers": [(NUMBERS[name].means, written(name, value)) for name, value in one["numbers"].items()],
        "arguments": [(name, shown(value)) for name, value in sorted(one["arguments"].items())],
    }


def _figures(one: Json) -> Json:
    """Numbers of the table. What nobody knows is a question mark, never a zero."""
    gpu, load, window = one["gpu"], one["load"] or {}, one["window"] or {}
    first, since = window.get("first_token"), ""
    if first is None:
        first = load.get("first_token")
        since = "" if first is None else "since it started"
    return {
        "memory": memory(gpu["used_mib"], gpu["total_mib"]) if one["gpus"] else "",
        "memory_percent": 100 * gpu["used_mib"] / gpu["total_mib"] if gpu["used_mib"] and gpu["total_mib"] else None,
        "busy": _of(gpu["busy"], "{:.0%}") if one["gpus"] else "",
        "power": _of(gpu["power_w"], "{:.0f} W") if one["gpus"] else "",
        "temperature": _of(gpu["temperature_c"], "{:.0f} °C") if one["gpus"] else "",
        "kv_cache": _of(load.get("kv_cache"), "{:.0%}"),
        "running": _of(load.get("running"), "{:.0f}"),
        "waiting": _of(load.get("waiting"), "{:.0f}"),
        "first_token": _of(first, "{:.2f} s"),
        "first_token_since": since,
    }


def _of(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else form.format(value)


def memory(used: float | None, total: float | None) -> str:
    """Of GPUs, in GiB."""
    if used is None or total is None:
        return UNKNOWN
    return f"{used / MIB_PER_GIB:.1f} of {total / MIB_PER_GIB:.1f} GiB"


def age(seconds: float | None) -> str:
    """3 d 4 h, 5 min; of two units where the first one is coarse."""
    if seconds is None:
        return ""
    left = int(seconds)
    said: list[str] = []
    for size, unit in AGES:
        if left >= size and len(said) < 2:
            said.append(f"{left // size} {unit}")
        left %= size
    return " ".join(said) or "less than a minute"


def _finding(found: Json) -> Json:
    return {
        "rule": found["rule"],
        "symptom": capital(found["symptom"]),
        "cause": found["cause"],
        "advice": found["advice"],
        "numbers": [f"{name} {value}" for name, value in found["numbers"].items()],
    }


def _unknown(name: str, missing: t.Sequence[str]) -> str:
    return f"{name}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not known"


def _failure(failure: Json) -> Json:
    return {**failure, "release": failure["digest"][:DIGEST], "advice": failure.get("advice") or ""}


def _watch(watch: Json) -> list[str]:
    """What the watch did and does, a sentence each."""
    said = []
    restarts, back = watch.get("restarts") or [], watch.get("rolled_back")
    if restarts:
        said.append(f"Restarted {count(len(restarts), 'time')}, the last at {restarts[-1]['at']}.")
    if back:
        said.append(f"Release {back['from'][:DIGEST]} was rolled back at {back['at']}.")
    if watch.get("paused_until"):
        said.append("The watch is paused.")
    if watch and not watch.get("enabled"):
        said.append("It is not watched.")
    said += [f"{capital(watch[name]).rstrip('.')}." for name in ("stands_down", "problem") if watch.get(name)]
    return said


def _facts(one: Json) -> list[tuple[str, str]]:
    rows = (
        ("release", one["digest"]),
        ("verified", one["verified_at"]),
        ("in the place of", one["fallback_of"]),
        ("release before it", one["previous"]),
        ("vLLM", one["version"]),
        ("image", one["image"]),
        ("address", one["address"]),
        ("last look", one["watch"].get("last_look") or ""),
    )
    return [(name, value) for name, value in rows if value]


def _gpu(gpu: Json) -> Json:
    return {
        "name": " ".join(filter(None, (f"GPU {gpu['index']}", gpu["name"]))),
        "uuid": gpu["uuid"] or "",
        "memory": memory(gpu["used_mib"], gpu["total_mib"]),
        "busy": _of(gpu["busy"], "{:.0%}"),
        "power": _of(gpu["power_w"], "{:.0f} W"),
        "temperature": _of(gpu["temperature_c"], "{:.0f} °C"),
        "problems": gpu["problems"],
    }
