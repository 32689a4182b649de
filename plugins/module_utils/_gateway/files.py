# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that the role writes for the door on its host.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json

from .._door import unit
from . import configuration
from .configuration import Door


def of_host(door: Door) -> dict[str, str]:
    """Text by path; the maps beside them are the module's affair. None has a secret."""
    places = door.places
    return {
        places.instances: instances(door),
        unit.UNIT_FILE: unit.text(places.config),
        places.config: configuration.text(door),
    }


def instances(door: Door) -> str:
    """Which servers of the door the instances of its own host are: the host drains them itself."""
    found: dict[str, list[list[str]]] = {}
    for backend in door.backends:
        for endpoint in backend.endpoints:
            if endpoint.here:
                found.setdefault(endpoint.instance, []).append([backend.id, endpoint.server])
    return json.dumps(found, indent=1, sort_keys=True) + "\n"
