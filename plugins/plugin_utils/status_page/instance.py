# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One instance as its host showed it: what it does, what is due, what failed, and what is slow.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.reading import GpuReading
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json, Shape
from ansible_collections.gpufleet.vllm.plugins.module_utils._slow import changes, judging
from ansible_collections.gpufleet.vllm.plugins.module_utils._slow.changes import Bound, Bounds
from ansible_collections.gpufleet.vllm.plugins.module_utils._slow.numbers import numbers

SHARE = "gpu_memory_utilization"
# What vLLM takes where nobody states it, as far as every release takes it.
SHARE_UNSTATED = 0.9
State = t.Literal["serves", "rests", "changing", "away", "absent"]
RELEASE: Shape = {
    "version?": str,
    "image?": str,
    "bind?": str,
    "port?": int,
    "model?": {"id?": str},
    "arguments?": {},
    "gpus?": {"uuids?": [str]},
}
KEPT: Shape = {"digest": str, "verified_at?": str, "fallback_of?": str, "release": RELEASE}
INSTANCE: Shape = {
    "name": str,
    "current?": KEPT,
    "previous?": {"digest": str},
    "rejected?": [{"digest": str, "at": str, "failure_class": str, "cause": str, "advice?": str}],
    "transaction?": {"stage?": str},
    "unhealthy_because?": str,
    "watch?": {
        "enabled?": bool,
        "paused_until?": str,
        "stands_down?": str,
        "last_look?": str,
        "restarts?": [{"at": str}],
        "rolled_back?": {"from": str, "at": str},
        "events?": [{"at": str, "what": str}],
        "problem?": str,
    },
}


class Asked(t.NamedTuple):
    """What is known of a host beside its instances.

    `load`, `engines` and `unknown` are those of vllm_status, `planned` is the result of a plan or of what failed
    before it, None where nobody asked for one. `shares` are those of GPUs, by UUID and by instance. `made_at` is ISO
    8601.
    """

    load: Json
    engines: Json
    unknown: Json
    gpus: list[GpuReading]
    planned: Json | None
    bounds: Json
    shares: t.Mapping[str, t.Mapping[str, float]]
    made_at: str


def instance(seen: Json, asked: Asked) -> Json:
    """SEEN fits INSTANCE."""
    current = seen.get("current") or {}
    release = current.get("release") or {}
    arguments = release.get("arguments") or {}
    uuids = (release.get("gpus") or {}).get("uuids") or []
    own = [gpu for gpu in asked.gpus if gpu["uuid"] in uuids]
    window = asked.engines.get(seen["name"])
    read = numbers(window, own if len(own) == len(uuids) else [], arguments) if window else {}
    plan = _plan(seen["name"], asked.planned)
    judged: judging.Judged = {"findings": [], "unknown": {}}
    if read:
        others = _beside(seen["name"], uuids, asked.shares)
        judged = judging.judge(read, arguments, bounds(asked.bounds, plan, others))
    change, reasons, unknown = _change(plan, asked.planned)
    return {
        "name": seen["name"],
        "state": _state(seen),
        "because": seen.get("unhealthy_because") or "",
        "model": (release.get("model") or {}).get("id") or "",
        "version": release.get("version") or "",
        "image": release.get("image") or "",
        "address": f"{release['bind']}:{release['port']}" if release.get("bind") and release.get("port") else "",
        "digest": current.get("digest") or "",
        "fallback_of": current.get("fallback_of") or "",
        "verified_at": current.get("verified_at") or "",
        "age_seconds": _age(current.get("verified_at") or "", asked.made_at),
        "previous": (seen.get("previous") or {}).get("digest") or "",
        "change": change,
        "change_reasons": reasons,
        "change_unknown": unknown,
        "gpus": uuids,
        "gpu": _together(own) if len(own) == len(uuids) else _together([]),
        "load": asked.load.get(seen["name"]),
        "window": window,
        "numbers": read,
        "findings": judged["findings"],
        "unknown": judged["unknown"],
        "not_judged": "" if window else asked.unknown.get(seen["name"]) or "nobody has read its metrics twice",
        "failure": (seen.get("rejected") or [None])[-1],
        "watch": seen.get("watch") or {},
        "arguments": arguments,
    }


def absent(plan: Json, asked: Asked) -> Json:
    """One that is planned, and of which the host has nothing."""
    nothing: Json = {"name": plan["instance"], "unhealthy_because": "the host has nothing of it"}
    return {
        **instance(nothing, asked),
        "state": "absent",
        "model": ((plan.get("release") or {}).get("model") or {}).get("id", ""),
    }


def bounds(limits: Json, plan: Json | None, others: float) -> Bounds:
    """The largest values that a plan allows: the class's, and how many requests its memory has places for.

    OTHERS is what other instances take of the same GPUs, a share.
    """
    found: dict[str, list[Bound]] = {
        name: [Bound(float(value), f"the class allows {value} at most")]
        for name, value in limits.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    largest = (((plan or {}).get("memory") or {}).get("largest") or {}).get("max_num_seqs")
    if isinstance(largest, int):
        found.setdefault("max_num_seqs", []).append(Bound(largest, f"the planned memory has room for {largest}"))
    if others:
        left = round(changes.CEILINGS[SHARE][0].largest - others, 4)
        found.setdefault(SHARE, []).append(Bound(left, f"others ask for {others:g} of the same GPU"))
    return found


def _beside(name: str, uuids: t.Sequence[str], shares: t.Mapping[str, t.Mapping[str, float]]) -> float:
    """What others take of the GPU of which they take most."""
    taken = [sum(share for who, share in shares.get(uuid, {}).items() if who != name) for uuid in uuids]
    return round(max(taken, default=0.0), 4)


def _plan(name: str, planned: Json | None) -> Json | None:
    plans = (planned or {}).get("plans") or []
    return next((plan for plan in plans if plan["instance"] == name), None)


def _change(plan: Json | None, planned: Json | None) -> tuple[str, list[str], str]:
    """Its kind, the reasons, and why nobody knows it."""
    if planned is None:
        return "", [], "no plan was asked for"
    if plan is not None:
        return plan["change"], list(plan.get("reasons") or []), ""
    stands = planned.get("errors") or [planned.get("msg") or "it is not in the inventory"]
    return "", [], str(stands[0])


def _state(seen: Json) -> State:
    if seen.get("transaction"):
        return "changing"
    if seen.get("resting"):
        return "rests"
    return "serves" if seen.get("healthy") and seen.get("current") else "away"


def _age(since: str, now: str) -> float | None:
    """Seconds; None where a time cannot be read. Clocks of hosts differ: a release is never younger than now."""
    try:
        began, ends = (dt.datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (since, now))
        return max(0.0, (ends - began).total_seconds())
    except (ValueError, TypeError):
        return None


def _together(gpus: t.Sequence[GpuReading]) -> dict[str, float | None]:
    """Memory and power of all of them, the mean of how busy they are, and the hottest."""
    busy = _known([gpu["busy"] for gpu in gpus])
    return {
        "used_mib": _sum([gpu["used_mib"] for gpu in gpus]),
        "total_mib": _sum([gpu["total_mib"] for gpu in gpus]),
        "busy": sum(busy) / len(busy) if busy else None,
        "power_w": _sum([gpu["power_w"] for gpu in gpus]),
        "temperature_c": max(_known([gpu["temperature_c"] for gpu in gpus]), default=None),
    }


def _sum(values: t.Sequence[float | None]) -> float | None:
    known = _known(values)
    return sum(known) if known else None


def _known(values: t.Sequence[float | None]) -> list[float]:
    """All of them, or none where one is not known: a part is no sum."""
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else []
