# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host knows of its instances as metrics, in a file that node exporter reads: written after each look.

Nobody asks for it through a port, and a host without node exporter has a small file in memory.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from .._outside.printable import printable
from .._rollout.trial import epoch
from .._state import units
from .._state.durable import write_atomically
from .._state.state import Rejection, State, StateProblem
from .._state.store import Store, instances
from .._watch.watch_record import Record, RecordProblem, Records
from .ages import HERE, Door, Key, of_instance

FILE = ("metrics", "gpufleet.prom")
LABEL = 200
HELP: t.Final = {
    "gpufleet_watch_round_timestamp_seconds": "When the watch looked last.",
    "gpufleet_release_info": "The verified release of an instance.",
    "gpufleet_release_verified_timestamp_seconds": "When that release was verified first.",
    "gpufleet_rollout_failed_timestamp_seconds": "When the last release failed that no newer one has made good.",
    "gpufleet_rollout_running": "1 while a rollout or a repair is under way.",
    "gpufleet_instance_stuck": "1 where a rollout could neither go on nor go back, or the state cannot be read.",
    "gpufleet_watch_paused": "1 while an operator has paused the watch.",
    "gpufleet_watch_restarts": "Restarts of the last day that are remembered.",
    "gpufleet_gpu_planned_ratio": "The share of a GPU's memory that a verified release is given.",
    "gpufleet_api_key_since_timestamp_seconds": "Since when an instance, or a client of the door, has had its key.",
    "gpufleet_door_certificate_ends_timestamp_seconds": "When the certificate ends that the door serves.",
}

Labels = t.Mapping[str, str]
Sample = tuple[str, Labels, float]


def write(state_dir: str, run_dir: str, now: float, door: Door = HERE) -> str:
    """Write the file; why it could not be, which harms nothing."""
    try:
        write_atomically(os.path.join(run_dir, *FILE), text(state_dir, run_dir, now, door), 0o644)
    except OSError as error:
        return f"metrics cannot be written: {error.strerror}"
    return ""


def text(state_dir: str, run_dir: str, now: float, door: Door = HERE) -> str:
    """All instances, and the door; one of which nothing is known hides no other."""
    samples: list[Sample] = [("gpufleet_watch_round_timestamp_seconds", {}, now)]
    for name in instances(state_dir):
        samples += _instance(Store(name, state_dir, run_dir), run_dir, now)
    samples += _door(door)
    lines: list[str] = []
    for metric, said in HELP.items():
        found = [sample for sample in samples if sample[0] == metric]
        if found:
            lines += [f"# HELP {metric} {said}", f"# TYPE {metric} gauge", *map(_line, found)]
    return "\n".join(lines) + "\n"


def _line(sample: Sample) -> str:
    metric, labels, value = sample
    told = ",".join(f'{name}="{_escaped(label)}"' for name, label in labels.items())
    return f"{metric}{{{told}}} {value:.15g}" if told else f"{metric} {value:.15g}"


def _escaped(label: str) -> str:
    return printable(label)[:LABEL].replace("\\", "\\\\").replace('"', '\\"')


def _instance(store: Store, run_dir: str, now: float) -> list[Sample]:
    own = {"vllm_instance": store.instance}
    under_way: Sample = ("gpufleet_rollout_running", own, float(units.running(store.instance)))
    try:
        state, record = store.load(), Records(store, run_dir).load()
    except (StateProblem, RecordProblem):
        return [under_way, ("gpufleet_instance_stuck", own, 1.0)]
    paused = record.paused_until != "" and (not _at(record.paused_until) or _at(record.paused_until) > now)
    return [
        under_way,
        ("gpufleet_instance_stuck", own, float(bool(state.failed))),
        ("gpufleet_watch_paused", own, float(paused)),
        ("gpufleet_watch_restarts", own, float(len(record.restarts))),
        *_release(own, state, record),
        *_keys(of_instance(store, state)),
    ]


def _door(door: Door) -> list[Sample]:
    served = door.certificate()
    ends = "gpufleet_door_certificate_ends_timestamp_seconds"
    return _keys(door.keys()) + ([(ends, {"path": served.path}, served.ends)] if served is not None else [])


def _keys(keys: t.Sequence[Key]) -> list[Sample]:
    metric = "gpufleet_api_key_since_timestamp_seconds"
    return [(metric, {"kind": key.kind, "key": key.name}, key.since) for key in keys]


def _release(own: Labels, state: State, record: Record) -> list[Sample]:
    """A release that serves again after a rollback was verified again, and is none the newer."""
    current = state.current
    verified = 0.0
    found: list[Sample] = []
    if current is not None:
        release = current.release
        same = (record.digest, record.image_id) == current.identity
        verified = _at(record.verified_at if same else current.verified_at)
        model = str((release.get("model") or {}).get("id") or "")
        about = {**own, "release": current.short, "model": model, "version": str(release.get("version") or "")}
        found.append(("gpufleet_release_info", about, 1.0))
        found.append(("gpufleet_release_verified_timestamp_seconds", own, verified))
        share = release.get("arguments", {}).get("gpu_memory_utilization")
        if isinstance(share, (int, float)) and not isinstance(share, bool):
            uuids = (release.get("gpus") or {}).get("uuids") or []
            found += [("gpufleet_gpu_planned_ratio", {**own, "gpu_uuid": str(one)}, float(share)) for one in uuids]
    last = max(state.rejected, key=lambda known: _at(known.at), default=None)
    return found + (_failed(own, last) if last is not None and _at(last.at) > verified else [])


def _failed(own: Labels, last: Rejection) -> list[Sample]:
    about = {**own, "failure_class": last.failure_class}
    return [("gpufleet_rollout_failed_timestamp_seconds", about, _at(last.at))]


def _at(utc: str) -> float:
    """Seconds of the epoch; 0 for what is no time."""
    return float(epoch(utc))
