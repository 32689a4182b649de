# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes an inventory for vLLM servers that run already. Documented in plugins/modules/vllm_adopt.py."""

from __future__ import annotations

import os
import pathlib

from ansible.utils.display import Display

from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt import pasted
from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt.served import Served
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import adopted_inventory, schema_files
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import ToldAction

OPTIONS = {
    "schemas": {"type": "path", "required": True},
    "text": {"type": "str", "default": ""},
    "file": {"type": "path", "default": ""},
}
# Of two files for one host Ansible reads one.
ENDINGS = (".yml", ".yaml", ".json")
display = Display()


class ActionModule(ToldAction):
    """The module looks at the host; what becomes of it is made here, where the releases are known."""

    MODULE = "gpufleet.vllm.vllm_adopt"
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        _checked, args = self.validate_argument_spec(OPTIONS)
        target = str(args["file"])
        there = _there(target) if target else ""
        if there:
            return {"failed": True, "msg": f"{there} is there already, and is not replaced: name another, or move it."}
        try:
            history, readings = schema_files.load(str(args["schemas"]))
        except schema_files.BadSchemaError as error:
            return {"failed": True, "msg": str(error)}
        if args["text"].strip():
            try:
                result: Json = {"found": pasted.servers(args["text"]), "others": [], "problem": "", "changed": False}
            except pasted.NotUnderstood as error:
                return {"failed": True, "msg": f"vllm_adopt_text: {error}"}
        else:
            result = super().run(tmp, task_vars)
            if result.get("failed") or result.get("unreachable"):
                return result
        found: list[Served] = result.pop("found")
        made = adopted_inventory.adopt(found, history, readings)
        stated, _remarks = adopted_inventory.variables(made)
        text = adopted_inventory.render(found, made)
        if made:
            display.display(f"[{(task_vars or {}).get('inventory_hostname', 'the host')}]\n{text}")
        problem = _write(target, text) if target and made else ""
        if problem:
            return {"failed": True, "msg": problem}
        servers = [
            {"what": one["what"], "instance": new.instance, "remarks": new.remarks, "stop": one["stop"]}
            for one, new in zip(found, made, strict=True)
        ]
        return {**result, "servers": servers, "variables": stated, "yaml": text}

    def _arguments(self) -> Json:
        return {"schemas": self._task.args["schemas"]}


def _there(target: str) -> str:
    """What Ansible reads variables of the same host from: the file, its other endings, a folder; '' where none is."""
    stem = os.path.splitext(target)[0]
    return next((path for path in (target, stem, *(stem + end for end in ENDINGS)) if os.path.lexists(path)), "")


def _write(target: str, text: str) -> str:
    """Never over what is there; '' or why not."""
    path = pathlib.Path(target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        return f"{target} cannot be written ({error.strerror}): name a file in a folder that is yours."
    return ""
