# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hubs know of models that are not on a host yet, asked from the control node within a few seconds.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import facts, manifest
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.client import Client
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.refusals import HubError
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.resolve import MAIN, resolve
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.selection import Wish
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.hub_cache import HubCache

# For one question with its repetitions, and for all that is asked for one host: a plan waits no longer.
SECONDS, ALTOGETHER = 8.0, 20.0
# For how long an answer about a branch, or that there is none, holds for other hosts.
MOMENT = 120.0
# What is away for everybody and may be there soon; a refusal is asked for again, as people mend its cause.
AWAY = ("unreachable.", "server", "busy")
# Weights in any form: nothing is fetched here.
ANY = Wish(pickles=True)


@dataclasses.dataclass
class Asking:
    """For one host. Once a hub is away, no more is asked of it."""

    client: Client
    kept: HubCache
    away: HubError | None = None

    @classmethod
    def of(cls, endpoint: str, token: str, kept: HubCache) -> Asking:
        until = time.monotonic() + ALTOGETHER
        return cls(
            Client(
                endpoint=endpoint.rstrip("/"),
                token=token,
                variable="vllm_server_hub_token",
                seconds=SECONDS,
                patience=SECONDS,
                until=until,
            ),
            kept,
        )

    def facts(self, model: str, revision: str) -> Json:
        """Facts of a model, in the shape of vllm_model. Raises HubError."""
        commit = self._known(model, revision)
        found = self.kept.get(self._key("facts", model, commit)) if commit else None
        if found is not None:
            return found
        if self.away is not None:
            raise self.away
        try:
            resolved = resolve(self.client, model, revision, ANY)
            commit = resolved.manifest["commit"]
            found = self.kept.get(self._key("facts", model, commit)) or facts.of(self.client, resolved)
        except HubError as error:
            if error.kind.startswith(AWAY):
                self.away = error
                self.kept.put(self._key("away"), {"kind": error.kind, "text": str(error)})
            raise
        self.kept.put(self._key("facts", model, commit), found)
        self.kept.put(self._key("revision", model, revision), {"commit": commit})
        return found

    def _known(self, model: str, revision: str) -> str:
        """The commit, where it need not be asked for."""
        if manifest.COMMIT.fullmatch(revision):
            return revision
        said = self.kept.get(self._key("revision", model, revision), MOMENT) or {}
        away = self.kept.get(self._key("away"), MOMENT)
        if self.away is None and away is not None:
            self.away = HubError(str(away.get("kind")), str(away.get("text")))
        return str(said.get("commit") or "")

    def _key(self, *parts: str) -> tuple[t.Any, ...]:
        """Somebody with a token may be told other things than somebody without."""
        return (parts[0], self.client.endpoint, bool(self.client.token), *parts[1:])


def wanted(instances: t.Any, models: t.Mapping[str, Json]) -> dict[str, str]:
    """The revision of each model of a hub that is named and not on the host; '' where instances state several."""
    found: dict[str, str] = {}
    for one in instances if isinstance(instances, (list, tuple)) else ():
        model = str(one.get("model") or "") if isinstance(one, dict) else ""
        seen = models.get(model) or {}
        if not manifest.MODEL.fullmatch(model) or seen.get("path") or seen.get("config") or seen.get("problems"):
            continue
        revision = str(one.get("revision") or MAIN)
        found[model] = revision if found.get(model, revision) == revision else ""
    return found


def added(models: t.Mapping[str, Json], asked: t.Mapping[str, str], asking: Asking) -> dict[str, Json]:
    """The models with what their hub says; where it says nothing, with a note that says why."""
    found = dict(models)
    for model, revision in asked.items():
        seen = models.get(model) or {}
        notes = list(seen.get("notes") or [])
        try:
            if not revision:
                raise HubError("settings", f"Instances state several revisions of {model}.")
            told = asking.facts(model, revision)
            found[model] = {**told, "notes": [*notes, *told["notes"]]}
        except HubError as error:
            found[model] = {**seen, "notes": [*notes, f"Its hub was asked in vain, and is not in this plan. {error}"]}
    return found
