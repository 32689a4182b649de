# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the hub about models that are not on a host yet, on the control node. Documented in plugins/modules."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.client import PUBLIC
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings import model_sources
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import hub_facts
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.hub_cache import HubCache, folder
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import as_told

OPTIONS = frozenset({"endpoint", "instances", "models", "sources", "token"})


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    """Never fails because of a hub."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = OPTIONS

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        args = self._task.args
        models = args.get("models") or {}
        # What is wrong with them is said by the plan; a name that a hub does not know is told to none.
        sources = model_sources.read(args.get("sources"), [])
        asked = {
            model: revision
            for model, revision in hub_facts.wanted(args.get("instances"), models).items()
            if model not in sources
        }
        # Texts of variables carry tags, which are none of the text.
        endpoint, token = (str.__str__(str(args.get(name) or "")) for name in ("endpoint", "token"))
        kept = HubCache(folder(), writes=not self._task.check_mode)
        found = (
            hub_facts.added(models, asked, hub_facts.Asking.of(endpoint or PUBLIC, token, kept)) if asked else models
        )
        return {**result, "changed": False, **as_told({"models": found})}
