# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connectors of `kv_transfer_config`, by which caches move: which of them know layers of several kinds.

Source: classes that are SupportsHMA in distributed/kv_transfer/kv_connector/v1, read from 0.13.0 on.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .gates import CONNECTORS_ARE_ASKED, NEWEST_KNOWN
from .schema import Version

MANAGER = "disable_hybrid_kv_cache_manager"

# Those of vLLM that never did; another one may be anybody's.
NEVER = ("LMCacheConnectorV1", "LMCacheMPConnector", "P2pNcclConnector", "SharedStorageConnector")
SINCE: dict[str, Version] = {
    "DecodeBenchConnector": (0, 21, 0),
    "MooncakeConnector": (0, 20, 0),
    "OffloadingConnector": (0, 21, 0),
}


def turns_the_manager_off(values: t.Mapping[str, t.Any], at: Version) -> str:
    """The connector for which vLLM turns the hybrid KV cache manager off by itself; '' where it does not."""
    section = values.get("kv_transfer_config")
    name = str(section.get("kv_connector") or "") if isinstance(section, dict) else ""
    if not name or values.get(MANAGER) is not None or at > NEWEST_KNOWN:
        return ""
    return name if knows_one_kind(name, at) or not CONNECTORS_ARE_ASKED.open_at(at) else ""


def knows_one_kind(name: str, at: Version) -> bool:
    """Whether it is known that the connector takes layers of one kind only."""
    return name in NEVER or (name in SINCE and at < SINCE[name])
