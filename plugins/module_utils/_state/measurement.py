# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verified start measured, and of what: a key over image, model, GPUs and arguments.

The host makes the key of what it started, the planner that of what it plans: they agree in everything or the
measurement is nobody's. Names, ports and what a release is proved by play no part.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import typing as t
from dataclasses import asdict, dataclass

from .._docker.release import Release
from .._gpu.fact import Gpu
from .._outside.documents import Json
from .._vllm.path_arguments import INSIDE

KEY = re.compile(r"[0-9a-f]{64}")
AT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
# Where a container finds a drafter, whose weights take memory too.
OF_DRAFTERS = (f"{INSIDE}/speculative_config/", f"{INSIDE}/spec_model/")
# No GPU and no cache is larger: a figure above it is none.
MOST = 1e12


@dataclass(frozen=True)
class Measurement:
    """`at` is UTC in ISO 8601. Sizes are GiB of one GPU, lengths tokens; None is what the engine did not say."""

    key: str
    at: str
    max_model_len: float | None = None
    weights_gib: float | None = None
    activation_gib: float | None = None
    non_torch_gib: float | None = None
    graphs_gib: float | None = None
    kv_cache_gib: float | None = None
    kv_tokens: float | None = None
    concurrency: float | None = None

    def as_dict(self) -> Json:
        return asdict(self)


FIGURES = tuple(name for name in Measurement.__dataclass_fields__ if name not in ("key", "at"))


def parsed(value: t.Any) -> Measurement | None:
    """A measurement of a file; None for what is none. A figure that cannot be is left out."""
    if not isinstance(value, dict):
        return None
    key, at = value.get("key"), value.get("at")
    if not (isinstance(key, str) and KEY.fullmatch(key) and isinstance(at, str) and AT.fullmatch(at)):
        return None
    return Measurement(key, at, **{name: _figure(value.get(name)) for name in FIGURES})


def _figure(value: t.Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) and 0 <= value <= MOST else None


def key_of(release: Release, image_id: str | None, model: Json | None, gpus: t.Sequence[Gpu]) -> str:
    """The key of a start; '' where not all of it is known.

    MODEL is what its files are (see _model.inspect), GPUS are those of the host as its facts have them.
    """
    files, cards = _files(release, model), _cards(gpus, release["gpus"]["uuids"])
    if not image_id or files is None or cards is None:
        return ""
    start = {
        "image": image_id,
        "model": files,
        "gpus": cards,
        "arguments": release["arguments"],
        "env": release["env"],
    }
    drafters = {inside: mark for inside, mark in (release.get("files") or {}).items() if inside.startswith(OF_DRAFTERS)}
    return _digest({**start, **({"drafters": drafters} if drafters else {})})


def _digest(value: t.Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _files(release: Release, model: Json | None) -> Json | None:
    """The model by its files; None where they are not there, or are of another revision than is to be served."""
    seen, stated = model or {}, release["model"]
    config, weights = seen.get("config"), seen.get("weights")
    if not isinstance(config, dict) or not isinstance(weights, dict) or not weights.get("bytes"):
        return None
    revision = seen.get("revision")
    if stated.get("revision") not in (None, revision):
        return None
    return {"id": stated["id"], "revision": revision, "config": _digest(config), "bytes": weights["bytes"]}


def _cards(gpus: t.Sequence[Gpu], uuids: t.Sequence[str]) -> list[Json] | None:
    """The GPUs of a release by what they are: one of the same kind takes the place of another."""
    known: dict[t.Any, Json] = {}
    for gpu in gpus:
        card = {"name": gpu.get("name"), "compute_capability": gpu.get("compute_capability")}
        known[gpu.get("uuid")] = {**card, "memory_mib": (gpu.get("memory_mib") or {}).get("total")}
        for part in (gpu.get("mig") or {}).get("devices") or []:
            known[part.get("uuid")] = {**card, "mig": True, "memory_mib": part.get("memory_mib")}
    found = [known.get(uuid) for uuid in uuids]
    whole = [card for card in found if card is not None and None not in card.values()]
    return whole if len(whole) == len(found) else None
