# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All instances of one host and the GPUs that they are to have, beside what runs there now.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._docker.release import Release
from .._gpu.fact import Facts
from .._outside.documents import Json
from .._vllm.schema import Schema
from .memory.catalogue import Model
from .memory.settings import number

UTILISATION = "gpu_memory_utilization"


@dataclasses.dataclass(frozen=True)
class Placement:
    """An instance and the GPUs it is to have. `running` is the verified release whose container runs now; `drafter` the
    model that guesses ahead, where its files are known."""

    name: str
    owner: str
    active: bool
    values: Json
    variables: t.Mapping[str, str]
    uuids: tuple[str, ...]
    model: Model
    schema: Schema
    running: Release | None = None
    drafter: Model | None = None

    @property
    def utilisation(self) -> float:
        """Its share of each GPU."""
        return _utilisation(self.values, self.schema)


@dataclasses.dataclass(frozen=True)
class HostLoad:
    """All placements of one host; `leaving` are running releases of instances that are removed or do not start.

    `schema` is that of the host's own version.
    """

    facts: Facts
    schema: Schema
    placements: tuple[Placement, ...]
    leaving: tuple[Release, ...] = ()
    plugins_allowed: bool = False

    def utilisation(self, values: Json) -> float:
        """The share of a running release."""
        return _utilisation(values, self.schema)


def _utilisation(values: Json, schema: Schema) -> float:
    default = schema.arguments.get(UTILISATION)
    return number(values.get(UTILISATION)) or number(default.default if default else None) or 0.9
