# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's maps: who may ask, how often, which backend a name is, and what engines want. They change without a reload.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .configuration import Door

Entries = dict[str, str]


def all_of(door: Door) -> dict[str, Entries]:
    """By the name of the map. `engines` holds keys in clear: what engines are sent."""
    return {
        "keys": {digest: key.name for key in door.settings.keys for digest in key.digests},
        "limits": {key.name: str(key.requests_per_minute) for key in door.settings.keys},
        "names": {name: backend.id for backend in door.backends for name in backend.names},
        "engines": {backend.id: backend.key for backend in door.backends if backend.key},
    }
