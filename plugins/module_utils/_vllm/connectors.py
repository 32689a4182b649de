# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connectors of `kv_transfer_config`, by which caches move: which of them know layers of several kinds.

Source: classes that are SupportsHMA in distributed/kv_transfer/kv_connector/v1, read in 0.13.0 to 0.33.0.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .schema import Version

# Those of vLLM that never did; another one may be anybody's.
NEVER = ("LMCacheConnectorV1", "LMCacheMPConnector", "P2pNcclConnector", "SharedStorageConnector")
SINCE: dict[str, Version] = {
    "DecodeBenchConnector": (0, 21, 0),
    "MooncakeConnector": (0, 20, 0),
    "OffloadingConnector": (0, 21, 0),
}


def knows_one_kind(name: str, at: Version) -> bool:
    """Whether it is known that the connector takes layers of one kind only."""
    return name in NEVER or (name in SINCE and at < SINCE[name])
