# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bars of memory: one for each GPU, divided among the instances on it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes.plan import Plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.gpu_parts import Parts, parts

# Narrower pieces carry no text of their own.
LABEL_PERCENT = 8.0
MIB_PER_GIB = 1024.0
NAMES = {
    "weights": "weights",
    "activation": "activation",
    "non_torch": "non-torch",
    "graphs": "CUDA graphs",
    "kv_cache": "KV cache",
    "free": "free",
    "beyond": "beyond",
}
LONG_NAMES = {**NAMES, "free": "free within utilisation", "beyond": "beyond utilisation"}


@dataclasses.dataclass(frozen=True)
class Piece:
    """A piece of a bar. `percent` is of the bar's width."""

    kind: str
    gib: float
    percent: float
    owner: str

    @property
    def label(self) -> str:
        return f"{self.gib:.1f}" if self.percent >= LABEL_PERCENT else ""

    @property
    def title(self) -> str:
        whose = f"{self.owner}: " if self.owner else ""
        return f"{whose}{LONG_NAMES[self.kind]} {self.gib:.2f} GiB"


@dataclasses.dataclass(frozen=True)
class Bar:
    """`length` is what the whole width stands for: `total`, or more where the pieces do not fit it.

    `limit_percent` is where the instances' shares end, 0 where nobody claims anything; `end_percent` is where the GPU
    ends, and `over` is how far the pieces go beyond the shares. GiB, and percent of the whole width.
    """

    total: float
    length: float
    pieces: tuple[Piece, ...]
    limit_percent: float
    end_percent: float
    over: float
    over_percent: float

    @property
    def text(self) -> str:
        """The bar for those who cannot see it."""
        said = ", ".join(piece.title for piece in self.pieces)
        missing = f"; {self.over:.2f} GiB too much" if self.over else ""
        return f"{self.total:.2f} GiB: {said}{missing}"


@dataclasses.dataclass(frozen=True)
class Claim:
    """What one instance takes of one GPU."""

    instance: str
    parts: Parts


@dataclasses.dataclass(frozen=True)
class Device:
    """One GPU, who is on it, and their bar; no bar where nobody knows its size. `beyond` is outside of all shares."""

    name: str
    index: int
    uuid: str
    claims: tuple[Claim, ...]
    stack: Bar | None

    @property
    def beyond(self) -> float:
        return sum(piece.gib for piece in self.stack.pieces if piece.kind == "beyond") if self.stack else 0.0


def devices(gpus: t.Sequence[Json], plans: t.Sequence[Plan]) -> list[Device]:
    """GPUs of a host with those PLANS that use them."""
    found = []
    for gpu in gpus:
        claims = [claim for plan in plans if (claim := _claim(plan, gpu))]
        whole = claims[0].parts.total if claims else _seen(gpu)
        name = f"{gpu['name']} (MIG)" if gpu["mig"] else gpu["name"]
        found.append(Device(name, gpu["index"], gpu["uuid"], tuple(claims), stacked(whole, claims) if whole else None))
    return found


def _seen(gpu: Json) -> float:
    """GiB that vLLM would see, 0 where nobody knows."""
    return max(0.0, ((gpu["total_mib"] or 0) - (gpu["reserved_mib"] or 0)) / MIB_PER_GIB)


def _claim(plan: Plan, gpu: Json) -> Claim | None:
    rank = ranks(plan).get(gpu["uuid"])
    return Claim(plan["instance"], parts(rank)) if rank else None


def ranks(plan: Plan) -> dict[str, Json]:
    """The memory plan's ranks by the UUID of their GPU."""
    return {rank["uuid"]: rank for rank in (plan.get("memory") or {}).get("gpus", [])}


def stacked(total: float, claims: t.Sequence[Claim]) -> Bar:
    """Inside their shares first, then what comes on top, then the rest. The pieces add up to the bar's length."""
    inside = [piece for claim in claims for piece in _inside(claim)]
    on_top = [("graphs", claim.parts.graphs_on_top, claim.instance) for claim in claims]
    limit = sum(claim.parts.share for claim in claims)
    used = sum(gib for _kind, gib, _owner in inside)
    rest = total - used - sum(gib for _kind, gib, _owner in on_top)
    pieces = [piece for piece in [*inside, *on_top, ("beyond", rest, "")] if piece[1] >= 0.005]
    length = sum(gib for _kind, gib, _owner in pieces)
    over = used - limit if used - limit > 0.05 else 0.0
    return Bar(
        total=total,
        length=length,
        pieces=tuple(Piece(kind, gib, 100.0 * gib / length, owner) for kind, gib, owner in pieces),
        limit_percent=min(100.0, 100.0 * limit / length),
        end_percent=min(100.0, 100.0 * total / length),
        over=over,
        over_percent=100.0 * over / length,
    )


def _inside(claim: Claim) -> list[tuple[str, float, str]]:
    one = claim.parts
    sizes = (
        ("weights", one.weights),
        ("activation", one.activation),
        ("non_torch", one.non_torch),
        ("graphs", one.graphs_inside),
        ("kv_cache", max(0.0, one.kv_cache)),
        ("free", one.free),
    )
    return [(kind, gib, claim.instance) for kind, gib in sizes]
