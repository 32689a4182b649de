# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the files that engine arguments name: those of the inventory here, those of the host with the module."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside import documents
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.path_arguments import BROUGHT, VARIABLES, anywhere
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import brought_files, readable
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import as_told

MODULE = "gpufleet.vllm.vllm_files"
FACT: documents.Shape = {
    **dict.fromkeys(("kind", "digest", "problem"), str),
    "bytes": int,
    "text?": str,
    "names": [str],
    "adapter?": {},
    "model?": {},
    "tokenizer?": {},
}


def wanted(args: t.Mapping[str, t.Any]) -> set[str]:
    """Paths that may end up among an instance's arguments. Of an instance nothing else is read: it may hold keys."""
    layers: list[t.Any] = list(args.get("engine_args") or [])
    profiles = args.get("profiles")
    layers += [one.get("engine_args") for one in profiles.values() if isinstance(one, dict)] if profiles else []
    instances = args.get("instances")
    for instance in instances if isinstance(instances, list) else []:
        if isinstance(instance, dict):
            layers.append(instance.get("engine_args"))
            env = instance.get("env")
            layers += [env.get(name) for name in VARIABLES] if isinstance(env, dict) else []
    return anywhere(layers)


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    """One module execution, and none where no argument names a file of the host."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset({"engine_args", "files_dir", "instances", "profiles"})

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        args = self._task.args
        paths = wanted(args)
        folder = str(args.get("files_dir") or "")
        found = {path: brought_files.look(path, folder) for path in sorted(paths) if path.startswith(BROUGHT)}
        on_host = sorted(path for path in paths if path not in found)
        if on_host:
            said = self._execute_module(MODULE, module_args={"paths": on_host}, task_vars=task_vars)
            if said.get("failed") or said.get("unreachable"):
                return {**result, **as_told(said)}
            found.update(self._facts(said.get("files"), on_host))
        for fact in found.values():
            text = fact.pop("text", None)
            fact["unreadable"] = readable.problems(text) if isinstance(text, str) else {}
        return {**result, "changed": False, **as_told({"files": found})}

    def _facts(self, said: t.Any, paths: t.Sequence[str]) -> dict[str, Json]:
        """What the host tells of the paths that it was asked for."""
        told = said if isinstance(said, dict) else {}
        wrong = next(filter(None, (documents.misfit(told.get(path), FACT, path) for path in paths)), "")
        if wrong:
            raise AnsibleActionFail(f"What the host says of its files is not understood: {printable(wrong)}")
        return {path: dict(told[path]) for path in paths}
