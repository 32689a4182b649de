# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans what applications read on the control node, and has the host write it. Documented in plugins/modules."""

from __future__ import annotations

import base64
import binascii
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._client import document, endpoints
from ansible_collections.gpufleet.vllm.plugins.module_utils._client.endpoints import Served
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.names import listed
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.piped_action import PipedAction
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import as_told

MODULE = "gpufleet.vllm.vllm_client"
PACKAGE = role_settings.ROLES / "vllm_client" / "files" / "gpufleet_client"
DEFAULTS: Json = {"retries": [2, 4, 8, 16], "max_in_flight": 8, "timeout": 600}
OPTIONS = frozenset({"path", "endpoints", "served", "python", "api_key_in", "owner", "group", *DEFAULTS})


class ActionModule(PipedAction):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = OPTIONS

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        args, variables = self._task.args, task_vars or {}
        host = str(variables.get("inventory_hostname", ""))
        errors: list[str] = []
        path = str(args.get("path") or "")
        if not path.startswith("/") or path.rstrip("/") == "":
            errors.append(f"vllm_client_path is {path!r}: write an absolute path, a folder.")
        places = args.get("api_key_in", [document.FILE])
        errors += [
            f"vllm_client_api_key_in has {place!r}: write any of {listed(document.PLACES)}."
            for place in places
            if place not in document.PLACES
        ]
        found = {str(one.get("item", {}).get("name")): _served(one) for one in args.get("served") or []}
        ends = endpoints.read(
            args.get("endpoints"), found, host, {key: args.get(key, DEFAULTS[key]) for key in DEFAULTS}, errors
        )
        if any(one.api_key for one in ends) and not places:
            errors.append(
                f"vllm_client_api_key_in is empty, and there are keys: write any of {listed(document.PLACES)}."
            )
        if errors:
            return {
                **result,
                "failed": True,
                "msg": role_settings.failure(host or "the host", errors),
                "errors": errors,
            }
        texts = document.texts(ends, path, places)
        brought = package() if args.get("python", True) else {}
        own = {key: args[key] for key in ("owner", "group") if args.get(key)}
        call: Json = {"path": path, **own, "plain": {**brought, **texts.plain}, "api_keys": texts.secret}
        if texts.secret:
            return {**result, **as_told(self._execute_piped(MODULE, call, variables))}
        return {**result, **as_told(self._execute_module(MODULE, module_args=call, task_vars=variables))}


def package() -> dict[str, str]:
    """The Python package, by names below the folder."""
    files = sorted([*PACKAGE.glob("*.py"), PACKAGE / "py.typed"])
    return {f"{PACKAGE.name}/{path.name}": path.read_text(encoding="utf-8") for path in files}


def _served(result: t.Mapping[str, t.Any]) -> Served:
    """What slurp found on the server's host, or why it did not."""
    if result.get("unreachable"):
        return Served({}, "it is out of reach, or no host of the inventory")
    try:
        return endpoints.served(base64.b64decode(result["content"]).decode())
    except (KeyError, TypeError, ValueError, binascii.Error):
        return Served({}, "it has no client.json of it")
