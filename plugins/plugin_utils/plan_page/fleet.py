# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans of all hosts as one JSON-shaped value: what the JSON file holds, and what the page shows.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes import approval
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages.words import natural
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages.written import document

State = t.Literal["planned", "refused", "failed", "unreachable"]
SCHEMA = 1
ANSIBLES_OWN = "Task failed: "
# What somebody has to do something about comes first.
ORDER: tuple[State, ...] = ("unreachable", "failed", "refused", "planned")


def gather(results: t.Mapping[str, Json], made_at: str) -> Json:
    """RESULTS are those of vllm_plan by host, or of whatever failed before it. MADE_AT is a time in UTC, ISO 8601."""
    hosts = sorted((host(name, result) for name, result in results.items()), key=_place)
    return {"schema": SCHEMA, "made_at": made_at, "totals": totals(hosts), "hosts": hosts}


def host(name: str, result: Json) -> Json:
    """One host. `plans` will be carried out when somebody runs site.yml; `drafts` are ruled out by `errors`."""
    about = result.get("host") or {}
    return {
        "name": name,
        "state": state(result),
        "host_class": about.get("host_class") or "",
        "driver": about.get("driver") or {"version": None, "cuda_version": None},
        "gpus": list(about.get("gpus") or []),
        "errors": _errors(result),
        "warnings": list(result.get("warnings") or []),
        "plans": list(result.get("plans") or []),
        "drafts": list(result.get("drafts") or []),
        "upgrade": dict(result.get("upgrade") or {}),
        **({"approval": dict(result["approval"])} if "approval" in result else {}),
    }


def approvals(gathered: Json) -> Json:
    """Of each host that can be planned, what there is to approve."""
    return {one["name"]: one["approval"] for one in gathered["hosts"] if "approval" in one}


def approved(gathered: Json) -> str:
    """What `site.yml -e @FILE` takes."""
    return document({approval.VARIABLE: approvals(gathered)})


def state(result: Json) -> State:
    """`refused` by the planner; `failed` before it came to plan; `unreachable`."""
    if result.get("unreachable"):
        return "unreachable"
    if "plans" not in result:
        return "failed"
    return "refused" if result.get("errors") else "planned"


def _errors(result: Json) -> list[str]:
    if result.get("errors") or "plans" in result:
        return list(result.get("errors") or [])
    said = str(result.get("msg") or "It was not planned, and nobody said why.")
    why = str(result.get("module_stderr") or "").strip().splitlines()[-1:]
    return [" ".join([said.removeprefix(ANSIBLES_OWN).strip(), *why])]


def _place(entry: Json) -> tuple[int, list[tuple[int, str]]]:
    return ORDER.index(entry["state"]), natural(entry["name"])


def totals(hosts: t.Sequence[Json]) -> Json:
    """Counts over all hosts: of hosts by state, of plans by kind of change and by verdict."""
    plans = [plan for one in hosts for plan in one["plans"]]
    verdicts = [plan["memory"]["verdict"] for plan in plans if plan.get("memory")]
    return {
        "hosts": dict(collections.Counter(one["state"] for one in hosts)),
        "gpus": sum(len(one["gpus"]) for one in hosts),
        "instances": len(plans),
        "changes": dict(collections.Counter(plan["change"] for plan in plans)),
        "overruled": sum(bool(plan.get("overruled")) for plan in plans),
        "verdicts": dict(collections.Counter(verdicts)),
    }
