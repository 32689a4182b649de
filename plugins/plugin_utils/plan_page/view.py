# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page says, made from the plans of all hosts: sentences, rows and bars. How it looks is the template's.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import memory_text, report
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes.change import STARTS_AGAIN, shown
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes.plan import Argument, Plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.gpu_parts import parts
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.reason import SEVERITY
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages.words import capital, count, time, word
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.plan_page import bars

# More hosts than these start folded, but for those that want attention.
OPEN_HOSTS = 8
NOT_SAFE = ("tight", "does_not_fit", "unknown")
STATES = {
    "planned": "planned",
    "refused": "refused",
    "failed": "cannot be planned",
    "unreachable": "not reached",
}
KINDS = tuple(report.MEANING)
UNCHANGED = {"none": "unchanged"}
TIMES = "\N{MULTIPLICATION SIGN}"


def page(fleet: Json) -> Json:
    """Everything that the template shows."""
    hosts = [host(entry, f"host-{number}") for number, entry in enumerate(fleet["hosts"], 1)]
    for one in hosts:
        one["open"] = len(hosts) <= OPEN_HOSTS or one["state"] != "planned" or one["not_safe"]
    rows = [row for one in hosts for row in one["rows"]]
    return {
        "what": "vLLM plan",
        "headline": headline(fleet["totals"]),
        "made_at": time(fleet["made_at"]),
        "tally": tally(fleet["totals"]),
        "filters": filters(rows),
        "rows": rows,
        "hosts": hosts,
        "legend": list(bars.LONG_NAMES.items()),
        "columns": list(bars.NAMES.items()),
    }


def headline(totals: Json) -> list[str]:
    """The first thing to know, a sentence each."""
    stuck = sum(number for state, number in totals["hosts"].items() if state != "planned")
    there = totals["instances"]
    changing = there - totals["changes"].get("none", 0)
    said = [f"{count(stuck, 'host')} cannot be planned."] if stuck else []
    overruled = totals["overruled"]
    if overruled:
        verb = "goes" if overruled == 1 else "go"
        said.append(f"{count(overruled, 'instance')} {verb} on although the planner would refuse it.")
    if changing:
        who = count(there, "instance")
        said.append(f"{who} would change." if changing == there else f"{changing} of {who} would change.")
    elif there:
        said.append("Nothing would change.")
    return said or ["Nothing is planned."]


def tally(totals: Json) -> list[list[tuple[str, int]]]:
    """What there is, then what happens to it."""
    hosts = sum(totals["hosts"].values())
    there = [
        (word(hosts, "host"), hosts),
        (word(totals["gpus"], "GPU"), totals["gpus"]),
        (word(totals["instances"], "instance"), totals["instances"]),
    ]
    kinds = [(UNCHANGED.get(kind, kind), totals["changes"][kind]) for kind in KINDS if totals["changes"].get(kind)]
    return [group for group in (there, kinds) if group]


def filters(rows: t.Sequence[Json]) -> list[tuple[str, str, int]]:
    """Name, label, and how many rows it leaves."""
    return [
        ("all", "All", len(rows)),
        ("changes", "Changes", sum(row["changes"] for row in rows)),
        ("downtime", "Downtime", sum(row["stops"] for row in rows)),
        ("memory", "Memory not safe", sum(row["not_safe"] for row in rows)),
        ("refused", "Refused", sum(row["refused"] for row in rows)),
    ]


def host(entry: Json, anchor: str) -> Json:
    """One host with its GPUs, its instances, and its rows of the summary."""
    refused = entry["state"] != "planned"
    plans = entry["drafts"] if refused else entry["plans"]
    here = [plan for plan in plans if plan["active"]]
    cards = [instance(plan, entry, f"{anchor}-{number}", refused) for number, plan in enumerate(plans, 1)]
    rows = [row(entry, card) for card in cards] or [row(entry, nobody(anchor, entry))]
    return {
        "anchor": anchor,
        "name": entry["name"],
        "state": entry["state"],
        "state_text": STATES[entry["state"]],
        "about": about(entry),
        "errors": entry["errors"],
        "warnings": [text for text in entry["warnings"] if not _said(text, plans)],
        "devices": bars.devices(entry["gpus"], here),
        "instances": cards,
        "rows": rows,
        "kinds": [kind for kind in KINDS if kind in {card["change"] for card in cards}],
        "worst": _worst(cards),
        "not_safe": any(one["not_safe"] for one in rows),
        "changes": any(one["changes"] for one in rows),
        "stops": any(one["stops"] for one in rows),
        "refused": refused,
    }


def _worst(cards: t.Sequence[Json]) -> tuple[str, str]:
    """The verdict that a reader of a folded host wants to know: the most severe one, and its words."""
    found = max((card["verdict"] for card in cards if card["verdict"]), key=SEVERITY.__getitem__, default="")
    return found, memory_text.VERDICTS.get(found, "")


def about(entry: Json) -> str:
    """Class, GPUs and driver: gpu_4x48gb, 4 x NVIDIA L40S, driver 580.95.05."""
    names = [gpu["name"] for gpu in entry["gpus"]]
    gpus = [f"{names.count(name)} {TIMES} {name}" for name in dict.fromkeys(names)]
    driver = entry["driver"].get("version")
    parts = [entry["host_class"], *gpus, f"driver {driver}" if driver else ""]
    return ", ".join(part for part in parts if part)


def _said(text: str, plans: t.Sequence[Plan]) -> bool:
    return any(text in plan["warnings"] for plan in plans)


def instance(plan: Plan, entry: Json, anchor: str, refused: bool) -> Json:
    """One instance: what changes, its facts, its memory, its arguments."""
    memory = plan.get("memory")
    return {
        "anchor": anchor,
        "name": plan["instance"],
        "active": plan["active"],
        "change": plan["change"],
        "refused": refused,
        "lede": lede(plan, refused),
        "downtime": downtime(plan),
        "reasons": [reason.replace(" -> ", " → ") for reason in plan["reasons"]],
        "overruled": [f"{one['key']}: warn. {one['text']}" for one in plan.get("overruled", [])],
        "facts": facts(plan),
        "model": plan["release"]["model"]["id"] if plan["release"] else "",
        "verdict": memory["verdict"] if memory else "",
        "verdict_text": memory_text.VERDICTS[memory["verdict"]] if memory else "",
        "memory": memory and memory_view(memory),
        "bar": _tightest(plan),
        # Who takes turns is not on the host's bars: only the active one is.
        "own_devices": [] if plan["active"] else _own(plan, entry["gpus"]),
        "arguments": [argument(one) for one in plan["arguments"]],
        "changed_arguments": any("from_value" in one for one in plan["arguments"]),
        "warnings": report.notes(plan),
        "notes": plan.get("notes", []),
    }


def lede(plan: Plan, refused: bool) -> str:
    """What happens to the instance, in one sentence or two."""
    stops = downtime(plan)
    what = report.MEANING[plan["change"]] + (f", downtime {stops}" if stops else "")
    if refused:
        what = f"refused, so nothing happens. Without the errors of its host it would be {plan['change']}: {what}"
    memory = plan.get("memory")
    room = memory_text.held(memory, report.copies(plan)) if memory and memory["kv"]["concurrency"] else ""
    return f"{capital(what)}." + (f" Room for {room}." if room else "")


def nobody(anchor: str, entry: Json) -> Json:
    """Stands for a host of which nothing can be shown but its errors."""
    nothing = dict.fromkeys(("name", "change", "downtime", "model", "verdict", "verdict_text"), "")
    unknown: Json = {"overruled": [], "memory": None, "bar": None}
    return {**nothing, **unknown, "anchor": anchor, "refused": entry["state"] != "planned"}


def row(entry: Json, card: Json) -> Json:
    """A line of the summary."""
    return {
        **{
            key: card[key]
            for key in ("anchor", "name", "downtime", "model", "verdict", "verdict_text", "bar", "refused")
        },
        "host": entry["name"],
        "state_text": STATES[entry["state"]],
        "error": entry["errors"][0] if entry["errors"] else "no instance is listed",
        "change": card["change"],
        "held": card["memory"]["held_short"] if card["memory"] else "",
        "kv_cache": card["memory"]["kv_cache"] if card["memory"] else "",
        "overruled": bool(card["overruled"]),
        "changes": card["change"] not in ("", "none") and not card["refused"],
        "stops": card["change"] in (*STARTS_AGAIN, "rest", "remove") and not card["refused"],
        "not_safe": card["verdict"] in NOT_SAFE,
    }


def downtime(plan: Plan) -> str:
    """Short enough for a column."""
    if plan["change"] == "remove":
        return "for good"
    if plan["change"] == "rest":
        return "until its turn"
    if plan["change"] not in (*STARTS_AGAIN, "turn"):
        return ""
    seconds = plan["downtime_seconds"]
    return f"≈ {duration(seconds)}" if seconds else "not known yet"


def duration(seconds: float) -> str:
    """74 s, 2 min 5 s."""
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60} s"


def facts(plan: Plan) -> list[tuple[str, list[str]]]:
    release = plan["release"]
    if not release:
        return []
    revision = release["model"].get("revision")
    found = [
        ("model", [release["model"]["id"]]),
        ("revision", [revision] if revision else []),
        ("served as", release["served_model_names"]),
        ("image", [release["image"]]),
        ("vLLM", [release["version"]]),
        ("address", [f"{release['bind']}:{release['port']}"]),
        ("GPUs", release["gpus"]["uuids"]),
        ("files", [report.file_text(one) for one in plan.get("files", [])]),
        ("release", [(plan["digest"] or "")[: report.SHORT_DIGEST]]),
    ]
    return [(name, values) for name, values in found if values]


def memory_view(memory: Json) -> Json:
    """The sentences around the sums."""
    left = memory["kv"]["gib"]
    return {
        "reasons": [reason["text"] for reason in memory["reasons"]],
        "held_short": _held_short(memory),
        "kv_cache": f"{left['expected']:.2f}" if left else "",
        "lines": [capital(line) for line in (memory_text.cache(memory), memory_text.largest(memory)) if line],
        "help": capital(memory_text.help_text(memory)),
        "assumptions": memory["assumptions"],
    }


def _held_short(memory: Json) -> str:
    concurrency = memory["kv"]["concurrency"]
    return "" if concurrency is None else f"{concurrency:.1f} {TIMES} {memory_text.length(memory)}"


def _tightest(plan: Plan) -> bars.Bar | None:
    """The GPU with least room for the KV cache, as if the instance were alone there."""
    found = [parts(rank) for rank in bars.ranks(plan).values()]
    if not found:
        return None
    least = min(found, key=lambda one: one.kv_cache)
    return bars.stacked(least.total, [bars.Claim("", least)])


def _own(plan: Plan, gpus: t.Sequence[Json]) -> list[bars.Device]:
    held = bars.ranks(plan)
    return bars.devices([gpu for gpu in gpus if gpu["uuid"] in held], [plan])


def argument(one: Argument) -> Json:
    """`layer` is the origin's first word, by which it is coloured."""
    before = shown(one["from_value"]) if "from_value" in one else None
    origin = one["origin"]
    return {
        "name": one["name"],
        "value": shown(one["value"]),
        "before": before,
        "origin": origin,
        "layer": origin.split()[0],
    }
