# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a rollout: what a host goes by later, beside the release. No part of its digest.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.documents import Json


class Adapter(t.TypedDict):
    """An adapter that is loaded while its server runs: its path in the container, the digest of its content."""

    path: str
    sha256: str


class Settings(t.TypedDict, total=False):
    """Read from variables by `_plan.inventory.rollout_settings`, and kept by the host with each release.

    An older program left some of them out, so none is sure to be there. `timeouts` are seconds by stage, `smoke` is the
    question and what else the smoke test asks, `watch` how the instance is watched. `profile` is the one that an
    instance with a promotion stands on; `stopover` says that the release serves on a port of the moment. `adapters` are
    loaded after each start, by their names; `unloaded` are digests of those that the running engine had before, by
    `NAME=PATH`.
    """

    on_failure: str
    fallback_steps: int
    ask_parser: bool
    smoke: Json
    timeouts: dict[str, float]
    watch: Json
    profile: str
    stopover: bool
    adapters: dict[str, Adapter]
    unloaded: dict[str, str]
