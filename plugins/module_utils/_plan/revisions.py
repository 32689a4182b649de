# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The revision of a model that a release states: a commit wherever one is known, and the same one while nobody asks for
another.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._model.hub import COMMIT, MAIN
from .._outside.documents import Json
from .._state.observed import Kept
from .inventory.instances import Instance


def planned(instance: Instance, models: t.Mapping[str, Json], current: Kept | None) -> str | None:
    """A commit as it is stated; else what runs; else what is on the host: a release must not change because a download
    has ended, or because a branch has moved."""
    stated = instance.revision
    if instance.model.startswith("/") or (stated and COMMIT.fullmatch(stated)):
        return stated
    running = ((current or {}).get("release") or {}).get("model") or {}
    if running.get("id") == instance.model and (
        not stated or stated in (running.get("asked"), running.get("revision"))
    ):
        return running.get("revision")
    if stated:
        return _there(stated, instance, models) or stated
    found: str | None = (models.get(instance.model) or {}).get("revision")
    return found


def notes(instance: Instance, models: t.Mapping[str, Json], revision: str | None) -> list[str]:
    """That a branch has moved since the release was made."""
    name = instance.revision or MAIN
    there = _there(name, instance, models)
    if not there or COMMIT.fullmatch(name) or not revision or not COMMIT.fullmatch(revision) or there == revision:
        return []
    text = (
        f"{name} of {instance.model} has moved to {there} on the host, and the release stays at {revision}: state "
        f"revision: {there} to go there."
    )
    return [text]


def _there(name: str, instance: Instance, models: t.Mapping[str, Json]) -> str:
    """The commit that a branch or tag stands for on the host; '' where it has none."""
    found = ((models.get(instance.model) or {}).get("references") or {}).get(name)
    return found if isinstance(found, str) and COMMIT.fullmatch(found) else ""
