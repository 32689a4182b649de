# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance at a glance: what serves, how busy it is, and what went wrong last, in a sentence or two; read only.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._engine.expect import base_url
from .._engine.http_client import Http, NoAnswer
from .._engine.load import Load, load
from .._state.observed import Kept, Observed, Rejected, Watched

SHOWN = 12
AWAY = "it does not serve"


def load_of(seen: Observed, http: Http) -> tuple[Load | None, str]:
    """How busy the engine of an instance is; else why nobody can say."""
    current = seen["current"]
    if current is None or not seen["healthy"]:
        return None, AWAY
    release = current["release"]
    try:
        return load(http, base_url(release["bind"], release["port"])), ""
    except NoAnswer as error:
        return None, str(error)


def glance(seen: Observed, busy: Load | None, why: str = "") -> str:
    """One instance; `why` is why nobody can say how busy it is."""
    current = seen["current"]
    if current is not None and seen["resting"]:
        told = [f"{seen['name']} is {seen['unhealthy_because']}: another member of its group has the turn."]
    elif current is None or not seen["healthy"]:
        told = [f"{seen['name']} does not serve: {(seen['unhealthy_because'] or 'nobody knows why').rstrip('.')}."]
    else:
        told = [f"{seen['name']} serves {_release(current)}; {_busy(busy) if busy else f'how busy it is: {why}'}."]
    rejected = seen["rejected"]
    if rejected:
        told.append(_failure(rejected[-1]))
    told += _watched(seen["watch"])
    return " ".join(told)


def _release(current: Kept) -> str:
    model = (current["release"].get("model") or {}).get("id") or "a model"
    since = f" since {current['verified_at']}" if current.get("verified_at") else ""
    instead = f" in the place of {current['fallback_of'][:SHOWN]}" if current.get("fallback_of") else ""
    return f"{model}, release {current['digest'][:SHOWN]}{instead}{since}"


def _busy(busy: Load) -> str:
    parts = [f"{_number(busy['running'])} running", f"{_number(busy['waiting'])} waiting"]
    if busy["kv_cache"] is not None:
        parts.append(f"KV cache {busy['kv_cache']:.0%}")
    if busy["first_token"] is not None:
        parts.append(f"first token {busy['first_token']:.2f} s")
    if busy["preemptions"]:
        parts.append(f"{busy['preemptions']} preemptions since its start")
    return ", ".join(parts)


def _number(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _failure(entry: Rejected) -> str:
    cause = entry["cause"].rstrip(".")
    return f"Release {entry['digest'][:SHOWN]} failed at {entry['at']} ({entry['failure_class']}): {cause}."


def _watched(watch: Watched) -> list[str]:
    told = []
    if watch["restarts"]:
        told.append(f"Restarted {len(watch['restarts'])} times, the last at {watch['restarts'][-1]['at']}.")
    back = watch["rolled_back"]
    if back:
        told.append(f"The watch rolled release {back['from'][:SHOWN]} back at {back['at']}.")
    if not watch["enabled"]:
        told.append("It is not watched.")
    if watch["paused_until"]:
        told.append("Its watch is paused.")
    return told
