# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What single runs come to: counts for each host, round trips from a slope, the CPU of one host more."""

from __future__ import annotations

import dataclasses
import typing as t

# Seconds of the round trip with and without the delay.
NEAR, FAR = 0.0, 0.1
Json = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Run:
    """One run, in seconds. `executions`, `chain` (round trips) and `kib_to_host` are means of its hosts."""

    way: str
    hosts: int
    round_trip: float
    wall: float
    cpu: float
    executions: float
    chain: float
    kib_to_host: float


def _least(runs: t.Iterable[Run], what: str) -> float:
    """Whatever else the machine did only adds to it."""
    return min(float(getattr(run, what)) for run in runs)


def summary(runs: t.Sequence[Run]) -> Json:
    """Each way by its number of hosts. Raises ValueError where a run is missing."""
    found: dict[str, dict[int, Json]] = {}
    for way, hosts in dict.fromkeys((run.way, run.hosts) for run in runs):
        found.setdefault(way, {})[hosts] = _of_hosts([run for run in runs if (run.way, run.hosts) == (way, hosts)])
    for by_hosts in found.values():
        few, many = min(by_hosts), max(by_hosts)
        if few != many:
            more = (by_hosts[many]["cpu_s"] - by_hosts[few]["cpu_s"]) / (many - few)
            by_hosts[many]["cpu_s_per_host_more"] = round(more, 3)
    return {way: {str(hosts): one for hosts, one in by_hosts.items()} for way, by_hosts in found.items()}


def _of_hosts(runs: t.Sequence[Run]) -> Json:
    near, far = ([run for run in runs if run.round_trip == delay] for delay in (NEAR, FAR))
    if not near or not far:
        raise ValueError(f"{runs[0].way} with {runs[0].hosts} hosts was not run at both {NEAR} and {FAR} s")
    return {
        "executions": round(max(run.executions for run in runs), 2),
        "round_trips_chain": round(_least(far, "chain"), 1),
        "round_trips_slope": round((_least(far, "wall") - _least(near, "wall")) / (FAR - NEAR), 1),
        "wall_s": round(_least(near, "wall"), 2),
        "cpu_s": round(_least(runs, "cpu"), 2),
        "kib_to_host": round(_least(runs, "kib_to_host")),
        "runs": len(runs),
    }


def ratios(of: Json, beside: Json) -> Json:
    """What one way takes of another one's, for each number of hosts that both were run with."""
    names = ("executions", "wall_s", "cpu_s", "cpu_s_per_host_more")
    return {
        hosts: {name: round(of[hosts][name] / beside[hosts][name], 2) for name in names if beside[hosts].get(name)}
        for hosts in of
        if hosts in beside
    }
