# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Defaults of vLLM that differ between the release that runs and the one that is planned.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._docker.release import Release
from ..._outside.documents import Json
from ..._vllm import schema
from .change import shown


def changes(
    running: Release,
    planned: schema.Schema,
    overridden: t.Container[str],
    history: Json,
    readings: t.Mapping[str, Json],
) -> list[str]:
    """One sentence about the defaults that nobody overrides; RUNNING is the verified release's document."""
    version = str(running.get("version") or "")
    if not version or version == planned.version:
        return []
    try:
        found = differing(version, planned, overridden, history, readings)
    except schema.UnknownVersionError:
        return [f"Which defaults differ from vLLM {version}, which runs, is not known."]
    if not found:
        return []
    return [f"Defaults that change from vLLM {version} to {planned.version}: {', '.join(found)}."]


def differing(
    version: str,
    planned: schema.Schema,
    overridden: t.Container[str],
    history: Json,
    readings: t.Mapping[str, Json],
) -> list[str]:
    """`name old -> new` for each default that nobody overrides. Raises UnknownVersionError."""
    before = schema.resolve(version, history, readings)
    found = []
    for name, now in sorted(planned.arguments.items()):
        then = before.arguments.get(name)
        if then is None or then.default == now.default or name in overridden:
            continue
        found.append(f"{name} {shown(then.default)} -> {shown(now.default)}")
    return found
