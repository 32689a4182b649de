# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A config.json with what hf_overrides puts in the place of its own figures.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._outside.documents import Json
from ..model.architecture import Architecture, from_config
from .request import MemoryRequest
from .settings import mapping


def overridden(request: MemoryRequest) -> Architecture | None:
    """The geometry that REQUEST's hf_overrides leave; None where there is nothing to override."""
    changes = mapping(request.arguments.get("hf_overrides"))
    if not changes or not isinstance(request.config, t.Mapping):
        return None
    return from_config(_merged(request.config, changes))


def _merged(config: t.Mapping[str, t.Any], changes: t.Mapping[str, t.Any]) -> Json:
    """CHANGES win; sections of both are merged."""
    found = dict(config)
    for key, value in changes.items():
        inner = found.get(key)
        both = isinstance(inner, t.Mapping) and isinstance(value, t.Mapping)
        found[key] = _merged(t.cast("t.Mapping[str, t.Any]", inner), value) if both else value
    return found
