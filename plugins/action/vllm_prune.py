# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a host remove what no release needs. Of the inventory it is told names and texts, and no key."""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import ToldAction

SECRETS = ("api_key",)


def texts(value: t.Any) -> set[str]:
    """What may name a model anywhere in a value."""
    if isinstance(value, dict):
        return {text for key, one in value.items() if key not in SECRETS for text in texts(one)}
    if isinstance(value, (list, tuple)):
        return {text for one in value for text in texts(one)}
    return {str.__str__(value)} if isinstance(value, str) and "\n" not in value else set()


class ActionModule(ToldAction):
    """One module execution."""

    MODULE = "gpufleet.vllm.vllm_prune"

    def _arguments(self) -> Json:
        given = super()._arguments()
        instances = given.pop("instances", None) or []
        names = [str(one.get("name")) for one in instances if isinstance(one, dict) and one.get("name")]
        mentioned = texts(instances) | texts(given.pop("mentioned", None) or [])
        return {**given, "names": names, "mentioned": sorted(mentioned)}
