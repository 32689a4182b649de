# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of before and what they are now. An inventory that has one is told; what a host wrote down is read.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.documents import Json
from .rollout import Settings

VARIABLES: t.Final[dict[str, str]] = {
    "vllm_server_ladder": "vllm_server_promotion",
    "vllm_server_fallback_rungs": "vllm_server_fallback_steps",
}
INSTANCE_KEYS: t.Final[dict[str, str]] = {"ladder": "promotion"}
WATCH_KEYS: t.Final[dict[str, str]] = {"looks": "failure_threshold", "young": "rollback_window"}
SETTINGS: t.Final[dict[str, str]] = {"rungs": "fallback_steps"}


def told(new: str) -> str:
    """What to change, as the end of a sentence."""
    return f"it is called {new} now, rename it"


def settings(stored: Json) -> Settings:
    """Settings that an older program stored with a release, by the names of today."""
    found = _by_new_names(stored, SETTINGS)
    if isinstance(found.get("watch"), dict):
        found["watch"] = _by_new_names(found["watch"], WATCH_KEYS)
    return t.cast(Settings, found)


def _by_new_names(values: Json, names: t.Mapping[str, str]) -> Json:
    return {names.get(key, key): value for key, value in values.items()}
