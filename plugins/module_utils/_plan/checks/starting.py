# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that is to start, as rules of a release's start see it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..._outside.documents import Json
from ..._vllm.gates import NEWEST_KNOWN
from ..._vllm.images import parse_capability
from ..._vllm.schema import Version, version_key
from ..memory.catalogue import Model

Values = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Start:
    """One engine that is to start.

    CAPABILITIES: of its GPUs, as NVML writes them. ARCHITECTURES: names of models' classes to [since, gone, ...].
    DRAFTER: config.json of the model that guesses ahead; None where it is not known.
    """

    values: Values
    variables: t.Mapping[str, str]
    model: Model
    version: str
    image: str
    capabilities: tuple[str, ...] = ()
    architectures: t.Mapping[str, t.Sequence[str]] = dataclasses.field(default_factory=dict)
    drafter: Json | None = None

    @property
    def at(self) -> Version:
        return version_key(self.version)

    @property
    def known(self) -> bool:
        """Whether the release is none that nobody has read."""
        return self.at <= NEWEST_KNOWN

    @property
    def config(self) -> Json:
        return dict(self.model.config or {})

    def gpus(self) -> list[tuple[int, int]]:
        """Compute capabilities that could be read."""
        found = [parse_capability(text) for text in self.capabilities]
        return [one for one in found if one is not None]

    def kinds(self) -> set[str]:
        """Kinds of layers that keep something for each request."""
        known = self.model.architecture
        return set() if known is None else {one.kind for one in known.layers.kept if one.count}

    def switch(self, name: str) -> bool | None:
        """A variable that vLLM reads as 0 or 1; None where it is not set."""
        stated = self.variables.get(name)
        return None if stated is None else str(stated).strip().lower() in ("1", "true")
