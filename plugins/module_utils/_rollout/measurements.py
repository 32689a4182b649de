# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The measurements that a host remembers, beside its instances: they outlive the one that they were made by.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import typing as t

from .._outside import documents
from .._outside.documents import Json
from .._state import measurement
from .._state.durable import read_text, write_atomically
from .._state.measurement import Measurement
from .._state.state import Entry
from .._state.store import STATE_DIR, Store
from .host import Host

FILE = "measurements.json"
KEPT = 100


def listed(state_dir: str = STATE_DIR) -> list[Json]:
    """All of them, oldest first."""
    return [one.as_dict() for one in _read(os.path.join(state_dir, FILE))]


def remember(host: Host, store: Store, entry: Entry) -> None:
    """What a verified start measured takes the place of what its like did. Raises OSError."""
    figures = entry.verified.get("measured")
    key = key_of(host, entry) if figures is not None else ""
    if not key:
        return
    length = {"max_model_len": entry.verified.get("max_model_len")}
    found = measurement.parsed({**(figures or {}), **length, "key": key, "at": entry.verified_at})
    if found is not None:
        _change(store, key, [found])


def forget(host: Host, store: Store, entry: Entry) -> None:
    """What has failed since answers nothing any more. Raises OSError."""
    path = os.path.join(store.state_dir, FILE)
    if not os.path.exists(path):
        return
    key = key_of(host, entry)
    if key and any(one.key == key for one in _read(path)):
        _change(store, key, [])


def key_of(host: Host, entry: Entry) -> str:
    """The key of a release as it starts on this host now; '' where not all of it can be told."""
    gpus = host.gpus() if entry.release["gpus"]["uuids"] else []
    return measurement.key_of(entry.release, entry.image_id, host.look_at_model(entry.release), gpus)


def _change(store: Store, key: str, instead: list[Measurement]) -> None:
    path = os.path.join(store.state_dir, FILE)
    with _alone(store.state_dir):
        others = [one for one in _read(path) if one.key != key]
        kept = [one.as_dict() for one in [*others, *instead][-KEPT:]]
        write_atomically(path, json.dumps(kept, indent=1, sort_keys=True))


@contextlib.contextmanager
def _alone(state_dir: str) -> t.Iterator[None]:
    """Transactions of several instances may end at the same time."""
    with open(os.path.join(state_dir, f"{FILE}.lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(path: str) -> list[Measurement]:
    """None where the file is damaged: what it held is measured again."""
    try:
        found = documents.parse(read_text(path) or "[]")
    except ValueError:
        return []
    rows = found if isinstance(found, list) else []
    return [one for one in map(measurement.parsed, rows[-KEPT:]) if one is not None]
