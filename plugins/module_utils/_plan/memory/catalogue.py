# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a model: its files on the host, else its hub's, else the collection's catalogue, else nothing.

Source: `models` as vllm_model and vllm_hub_facts return it; `models.json` as described in the README beside it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..._outside import documents
from ..._outside.documents import Json
from ..model.architecture import Architecture, from_config
from . import weights

GIB = 2**30
# What says that facts are a hub's.
HUB: documents.Shape = {"endpoint": str, "commit": str, "bytes": int}
Source = t.Literal["host", "hub", "catalogue", "nothing"]


@dataclasses.dataclass(frozen=True)
class Model:
    """`config` is the content of config.json, `weights_bytes` the sum of the weight files; None is unknown.

    `hub` is where and at which commit they are, for what a hub has said.
    """

    name: str
    source: Source
    config: Json | None = None
    weights_bytes: int | None = None
    parameters: float | None = None
    architecture: Architecture | None = None
    hub: Json | None = None

    @property
    def billions(self) -> float | None:
        """Parameters in billions, counted from the geometry: packed weights do not tell."""
        if self.parameters:
            return self.parameters / 1e9
        counted = weights.count_parameters(self.architecture) if self.architecture is not None else None
        return counted / 1e9 if counted else None


def look_up(name: str, models: t.Mapping[str, Json], catalogue: t.Mapping[str, Json]) -> Model:
    """The files come first; the catalogue fills in what they do not say."""
    seen = models.get(name) or {}
    entry = catalogue.get(name) or {}
    config = seen.get("config") or entry.get("config")
    size = (seen.get("weights") or {}).get("bytes") or (entry.get("weights") or {}).get("bytes")
    hub = seen.get("hub") if seen.get("config") and not documents.misfit(seen.get("hub"), HUB, "hub") else None
    files: Source = "hub" if hub else "host"
    return Model(
        name=name,
        source=files if seen.get("config") else "catalogue" if entry else "nothing",
        config=config,
        weights_bytes=size,
        parameters=(entry.get("weights") or {}).get("parameters"),
        architecture=from_config(config),
        hub=hub,
    )


def drafter(
    values: t.Mapping[str, t.Any], models: t.Mapping[str, Json], catalogue: t.Mapping[str, Json]
) -> Model | None:
    """The model that guesses ahead, where speculative_config names one of which anything is known."""
    stated = values.get("speculative_config")
    name = stated.get("model") if isinstance(stated, dict) else None
    if not isinstance(name, str) or not name:
        return None
    found = look_up(name, models, catalogue)
    return None if found.source == "nothing" else found


def assumptions(model: Model) -> list[str]:
    """Where the facts about the model are not those of its own files."""
    if model.source in ("host", "hub"):
        return []
    if model.source == "catalogue":
        return [f"{model.name} is not on the host yet: its geometry is the collection's catalogue's."]
    return [f"{model.name} is neither on the host nor in the collection's catalogue: nothing is known of it."]


def note(model: Model) -> str:
    """Where what is planned by is from, where that is a hub."""
    if model.hub is None:
        return ""
    size = f"{model.hub['bytes'] / GIB:.1f} GiB of files are to be fetched"
    where = f"the hub at {model.hub['commit']} ({model.hub['endpoint']})"
    return f"{model.name} is not on the host yet: config.json and weights are from {where}. {size}."


def caution(model: Model) -> str:
    """That nothing was checked, where nothing is known; a path is looked at on the host, and said there."""
    if model.source != "nothing" or model.name.startswith("/"):
        return ""
    return (
        f"Nobody here knows the model {model.name}: its files are not on the host and it is not in the collection's "
        "catalogue, so that neither its name nor whether it fits could be checked. Download it first to be sure, or "
        "have the control node ask its hub (vllm_server_hub_facts)."
    )
