# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Caches that move to other engines or into the host's memory, against the model's layers and the release.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from ..._vllm.connectors import MANAGER, knows_one_kind, turns_the_manager_off
from ..._vllm.gates import NO_SEGMENTS_WITH_CONNECTORS, OFFLOADED_CACHE
from .starting import Start

ALLOCATOR = "PYTORCH_CUDA_ALLOC_CONF"
SEGMENTS = "expandable_segments:True"
# With it vLLM takes a connector that knows several kinds.
SIMPLE = "VLLM_USE_SIMPLE_KV_OFFLOAD"


def problem(start: Start) -> str:
    """Why such a start ends; '' where it does not, or nobody knows."""
    if not start.known:
        return ""
    found = (_segments(start), _offloaded(start), _several_kinds(start), _not_its_kind(start))
    return next((text for text in found if text), "")


def _name(start: Start) -> str:
    section = start.values.get("kv_transfer_config")
    return str(section.get("kv_connector") or "") if isinstance(section, dict) else ""


def _offloads(start: Start) -> bool:
    size = start.values.get("kv_offloading_size")
    return isinstance(size, (int, float)) and not isinstance(size, bool) and size > 0


def _segments(start: Start) -> str:
    moves = _name(start) or _offloads(start)
    asked = SEGMENTS in str(start.variables.get(ALLOCATOR) or "")
    exempt = start.values.get("enable_cumem_allocator") is True or start.values.get("enable_sleep_mode") is True
    if not moves or not asked or exempt or not NO_SEGMENTS_WITH_CONNECTORS.open_at(start.at):
        return ""
    what = "kv_transfer_config" if _name(start) else "kv_offloading_size"
    return (
        f"env.{ALLOCATOR} has {SEGMENTS}, which does not go with {what} in vLLM {start.version}: leave one of them out."
    )


def _offloaded(start: Start) -> str:
    """The manager is chosen before kv_offloading_size becomes a connector."""
    stated = start.values
    free = stated.get(MANAGER) is True or stated.get("kv_transfer_config") or stated.get("kv_events_config")
    # With chunks vLLM turns the manager off by itself.
    free = free or "chunked" in start.kinds()
    if not _offloads(start) or free or start.switch(SIMPLE) or not OFFLOADED_CACHE.open_at(start.at):
        return ""
    return (
        f"kv_offloading_size does not go with the hybrid KV cache manager in vLLM {start.version}: set {MANAGER} to "
        f"true, or use vLLM {OFFLOADED_CACHE.first_without} or newer."
    )


def _several_kinds(start: Start) -> str:
    """Without the manager, windows become whole and states do not: unify_hybrid_kv_cache_specs."""
    kinds, name = start.kinds(), turns_the_manager_off(start.values, start.at)
    if not name or "linear" not in kinds or len(kinds) < 2:
        return ""
    return (
        f"kv_transfer_config with {name} turns the hybrid KV cache manager off in vLLM {start.version}, and "
        f"{start.model.name} needs it: beside attention it has layers that keep states. Leave it out."
    )


def caution(start: Start) -> str:
    """What such a connector costs a model with windows, which serves all the same where memory lasts."""
    kinds, name = start.kinds(), turns_the_manager_off(start.values, start.at)
    if not name or "linear" in kinds or not kinds & {"sliding", "chunked"}:
        return ""
    return (
        f"kv_transfer_config with {name} turns the hybrid KV cache manager off in vLLM {start.version}: layers with "
        f"windows keep the whole length, and {start.model.name} has such. Set {MANAGER} to false where the connector "
        "knows them."
    )


def _not_its_kind(start: Start) -> str:
    name = _name(start)
    if start.values.get(MANAGER) is not False or not knows_one_kind(name, start.at):
        return ""
    return f"kv_transfer_config with {name} does not go with the hybrid KV cache manager: leave {MANAGER} out."
