# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans monitoring of a host on the control node, from the variables of all hosts it watches. See plugins/modules."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring import configuration
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring.settings import ROLE
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import monitors
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings as settings
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import as_told

MODULE = "gpufleet.vllm.vllm_monitoring"


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    """Fails with everything that is wrong, before anything is touched."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"hosts"})

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        variables = task_vars or {}
        errors: list[str] = []
        own = settings.read(settings.options_of(ROLE), variables, self._templar.template, errors)
        own[monitors.HOSTS] = self._task.args.get("hosts") or own[monitors.HOSTS]
        read, targets = monitors.planned(own, variables, self._templar, errors)
        if errors:
            here = str(variables.get("inventory_hostname", "the host"))
            return {**result, "failed": True, "msg": settings.failure(here, errors), "errors": errors}
        call = {"hosts": [], "files": configuration.of_host(read, targets)}
        told = {job: [group["labels"]["instance"] for group in groups] for job, groups in targets.items() if groups}
        done = as_told(self._execute_module(MODULE, module_args=call, task_vars=variables))
        return {**result, **done, "targets": told}
