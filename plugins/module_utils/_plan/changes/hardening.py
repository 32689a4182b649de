# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which schema of container settings a planned release has: the newest, unless that alone would restart what serves.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..._docker.hardening import NEWEST, SCHEMAS, schema_of
from ..._docker.release import Release
from ..._settings.canonical_json import digest
from ..._state.observed import Kept

APPLY = "vllm_server_apply_hardening"


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A release document with its digest, and the digests that it has in every schema.

    `older` is the document in the running release's schema, where that is an older one. `error` says why no schema
    can be chosen.
    """

    release: Release
    digest: str
    digests: t.Mapping[int, str]
    older: Release | None = None
    error: str = ""

    @property
    def schema(self) -> int:
        return schema_of(self.release)

    def notes(self) -> list[str]:
        if self.schema == NEWEST:
            return []
        serves = f"it serves with container settings of schema {self.schema}, {NEWEST} is the newest"
        return [f"hardening due at its next restart: {serves}. {APPLY}=true restarts it for that."]


def choose(
    name: str, make: t.Callable[[int], Release], current: Kept | None, image_id: str | None, applies: bool, retry: bool
) -> Chosen:
    """`make` gives the document in a schema; CURRENT is the verified release, `image_id` as in change.Desired."""
    documents = {schema: make(schema) for schema in SCHEMAS}
    digests = {schema: digest(document) for schema, document in documents.items()}
    newest = Chosen(documents[NEWEST], digests[NEWEST], digests)
    if current is None:
        return newest
    serves = schema_of(current["release"])
    if serves not in documents:
        return dataclasses.replace(newest, error=_newer(name, serves))
    if serves == NEWEST:
        return newest
    same = current["digest"] == digests[serves]
    stands_in = current.get("fallback_of") == digests[serves] and not retry
    moved = bool(image_id and current.get("image_id") and current["image_id"] != image_id)
    older = documents[serves]
    if moved or not (stands_in or (same and not applies)):
        return dataclasses.replace(newest, older=older)
    return Chosen(older, digests[serves], digests)


def _newer(name: str, schema: int) -> str:
    return (
        f"instance {name}: it serves with container settings of schema {schema}, and this gpufleet.vllm knows up to "
        f"{NEWEST}: a newer one made it, use that one."
    )
