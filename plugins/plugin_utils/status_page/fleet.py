# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all hosts showed as one JSON-shaped value: what the JSON file holds, and what page and table show.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json, Shape, misfit
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings import types
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages.words import natural
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.status_page import instance

SCHEMA = 1
SILENT = "It was not reached, or it failed before it was read: what was printed for it says which."
READING: Shape = {
    "index": int,
    "uuid?": str,
    "busy?": float,
    "power_w?": float,
    "temperature_c?": float,
    "used_mib?": float,
    "total_mib?": float,
}
COUNTED = (
    *("running", "waiting", "kv_cache", "served", "requests", "prompt_tokens", "generation_tokens", "prefix_queries"),
    *("prefix_hits", "preemptions", "drafted", "accepted", "first_token", "next_token", "queue", "block_size"),
)
WINDOW: Shape = {"seconds": float, "prefix_caching?": bool, **{f"{name}?": float for name in COUNTED}}
LOAD: Shape = {f"{name}?": float for name in ("running", "waiting", "kv_cache", "first_token", "preemptions")}
# What is read of ansible_facts, and no more: a cache may hold them from an older program.
FACTS: Shape = {
    "gpufleet?": {"advice?": str, "gpus?": [{"uuid?": str, "name?": str, "problems?": [str]}]},
    "gpufleet_host_class?": {"limits?": {}},
}
SEEN: Shape = {
    "instances": [instance.INSTANCE],
    "load?": {},
    "ages?": [str],
    "window?": {"engines?": {}, "unknown?": {}, "gpus?": [READING]},
}


class Host(t.NamedTuple):
    """`seen` is what vllm_status returned, `facts` are ansible_facts, `planned` as `instance.Asked` has it.

    `limits` are as the inventory has them: the largest value of an argument, by its name.
    """

    seen: Json
    facts: Json
    planned: Json | None
    limits: t.Any


def gather(hosts: t.Mapping[str, Host], made_at: str) -> Json:
    """MADE_AT is a time in UTC, ISO 8601."""
    found = [host(name, shown, made_at) for name, shown in sorted(hosts.items(), key=lambda one: natural(one[0]))]
    return {"schema": SCHEMA, "made_at": made_at, "totals": totals(found), "hosts": found}


def host(name: str, shown: Host, made_at: str) -> Json:
    """One host. What does not fit costs its own host, and no other one."""
    why = _unfit(shown)
    facts = shown.facts.get("gpufleet") or {}
    entry: Json = {"name": name, "state": "silent" if why else "seen", "because": why, "instances": [], "gpus": []}
    said = [str(facts.get("advice") or ""), *(shown.seen.get("ages") or [])] if not why else []
    entry["advice"] = " ".join(filter(None, said))
    if why:
        return entry
    looked = _whole(shown.seen.get("window") or {})
    known = {gpu.get("uuid"): gpu for gpu in facts.get("gpus") or []}
    gpus = looked["gpus"]
    entry["gpus"] = [_gpu(gpu, known.get(gpu["uuid"]) or {}) for gpu in gpus]
    load = shown.seen.get("load") or {}
    asked = instance.Asked(
        load, looked["engines"], looked["unknown"], gpus, shown.planned, _limits(shown), _shares(shown.seen), made_at
    )
    seen = shown.seen["instances"]
    here = {one["name"] for one in seen}
    plans = (shown.planned or {}).get("plans") or []
    coming = [plan for plan in plans if plan["instance"] not in here and plan["change"] != "none"]
    entry["instances"] = [instance.instance(one, asked) for one in seen]
    entry["instances"] += [instance.absent(plan, asked) for plan in coming]
    return entry


def _unfit(shown: Host) -> str:
    """Why nothing can be said of a host, or ''."""
    seen = shown.seen
    if seen.get("failed") or "instances" not in seen:
        return str(seen.get("msg") or SILENT)
    where = "what the host showed"
    wrong = misfit(seen, SEEN, where) or misfit(shown.facts, FACTS, "what is known of the host")
    looked = seen.get("window") if not wrong else {}
    for part, shape in (((looked or {}).get("engines"), WINDOW), (seen.get("load"), LOAD)):
        for name, one in (part or {}).items() if not wrong else ():
            wrong = wrong or (misfit(one, shape, f"{where} of {name}") if one is not None else "")
    return f"{wrong}: bring the host the program of this collection (site.yml)." if wrong else ""


def _whole(looked: Json) -> Json:
    """What an older program did not tell is what nobody knows."""
    engines = (looked.get("engines") or {}).items()
    return {
        "engines": {name: one and {**dict.fromkeys(map(name_of, WINDOW)), **one} for name, one in engines},
        "unknown": looked.get("unknown") or {},
        "gpus": [{**dict.fromkeys(map(name_of, READING)), **gpu} for gpu in looked.get("gpus") or []],
    }


def name_of(part: str) -> str:
    return part.rstrip("?")


def _gpu(reading: Json, fact: Json) -> Json:
    return {**reading, "name": fact.get("name") or "", "problems": list(fact.get("problems") or [])}


def _limits(shown: Host) -> Json:
    """Those of a class of the inventory's own, and those of the inventory. Wrong ones are the plan's to tell."""
    own = (shown.facts.get("gpufleet_host_class") or {}).get("limits") or {}
    return {**own, **types.stated(types.mapping, shown.limits, "vllm_server_class_limits", [], {})}


def _shares(seen: Json) -> dict[str, dict[str, float]]:
    """What share of each GPU an instance asks for that is not at rest, by the GPU's UUID and the instance's name."""
    found: dict[str, dict[str, float]] = {}
    for one in seen["instances"]:
        release = (one.get("current") or {}).get("release") or {}
        share = (release.get("arguments") or {}).get(instance.SHARE, instance.SHARE_UNSTATED)
        if one.get("resting") or isinstance(share, bool) or not isinstance(share, (int, float)):
            continue
        for uuid in (release.get("gpus") or {}).get("uuids") or []:
            found.setdefault(uuid, {})[one["name"]] = float(share)
    return found


def totals(hosts: t.Sequence[Json]) -> Json:
    """Counts over all hosts: of hosts by state, of instances by state, and of what wants attention."""
    instances = [one for entry in hosts for one in entry["instances"]]
    return {
        "hosts": dict(collections.Counter(entry["state"] for entry in hosts)),
        "gpus": sum(len(entry["gpus"]) for entry in hosts),
        "instances": dict(collections.Counter(one["state"] for one in instances)),
        "changes": sum(one["change"] not in ("", "none") for one in instances),
        "slow": sum(bool(one["findings"]) for one in instances),
    }
