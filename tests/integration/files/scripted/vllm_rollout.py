# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real action, on a wire that answers as the host's script says."""

from __future__ import annotations

import json
import typing as t

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.gpufleet.vllm.plugins.action import real_rollout, tuned_host  # type: ignore[attr-defined,unused-ignore]
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.rollout_requests import Due

Json = dict[str, t.Any]
SAID = {"verified": "verified", "rolled_back": "CUDA out of memory. It was rolled back.", "refused": "refused before"}


class ActionModule(real_rollout.ActionModule):  # type: ignore[misc,unused-ignore]
    # Nothing is brought to the host: a folder for it would be one of the machine that tests run on.
    TRANSFERS_FILES = False

    def _start(self, one: Due, task_vars: Json) -> Json:
        instance, request = one.instance, one.request
        with open(task_vars["script_log"], "a", encoding="utf-8") as log:
            log.write(json.dumps([self._host, instance, request]) + "\n")
        script = task_vars["hostvars"][self._host]["script"]
        self._request = request
        self._outcome = script.get("outcomes", {}).get(instance, "verified")
        if "tuned" in script and not tuned_host.holds(script["tuned"], request["plan"]["release"]["arguments"]):
            self._outcome = "rolled_back"
        if request["kind"] == "rollback":
            self._outcome = script.get("back", "verified")
        if self._outcome == "unreachable":
            raise AnsibleConnectionFailure("no route to host")
        return {"offset": 0}

    def _follow(self, instance: str, offset: int) -> Json:
        facts: Json = {}
        if self._outcome == "verified":
            facts["serves"] = "p" * 64 if self._request["kind"] == "rollback" else self._request["plan"]["digest"]
            facts["container"] = f"c-{self._host}"
        elif self._outcome != "lost":
            facts["failure"] = {"failure_class": "oom", "cause": "CUDA out of memory", "advice": "Less."}
        return {
            "outcome": self._outcome,
            "detail": f"{instance}: {SAID.get(self._outcome, self._outcome)}",
            "facts": facts,
        }
