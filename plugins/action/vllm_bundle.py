# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a bundle, part by part with a line for each: what hosts need is worked out here, and fetched elsewhere."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling import wanted
from ansible_collections.gpufleet.vllm.plugins.module_utils._images import sources
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.model_places import is_path, on_control_node
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.desk import QUICK
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import fetch_requests
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.piped_action import PipedAction
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import as_told

MODULE = "gpufleet.vllm.vllm_bundle"
OPTIONS: Json = {
    "dir": {"type": "path", "default": ""},
    "images": {"type": "list", "elements": "str", "default": []},
    "architecture": {"type": "str", "choices": ["amd64", "arm64"], "default": "amd64"},
    "registries": {"type": "dict", "default": {}, "no_log": True},
    "mirrors": {"type": "dict", "default": {}},
    "insecure_registries": {"type": "list", "elements": "str", "default": []},
    "models": {"type": "raw", "default": []},
    "instances": {"type": "raw", "default": []},
    "allow_code": {"type": "raw", "default": []},
    "allow_dangerous": {"type": "raw", "default": []},
    "allow_pickles": {"type": "list", "elements": "str", "default": []},
    "sources": {"type": "raw", "default": {}},
    "endpoint": {"type": "str", "default": "https://huggingface.co"},
    "token": {"type": "str", "default": "", "no_log": True},
    "bandwidth": {"type": "float", "default": 0},
    "packages": {"type": "dict", "default": {}},
    "parts": {"type": "list", "elements": "dict"},
    "hosts": {"type": "list", "elements": "str", "default": []},
    # A path of the machine that makes the bundle: the module expands its `~`, for the user there.
    "signing_key": {"type": "str", "default": ""},
}


class ActionModule(PipedAction):
    """One host's images, models and packages, or the manifest of all."""

    TRANSFERS_FILES = False
    SECRET, WITHOUT = "A token or a login", "leave both out"

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(OPTIONS)
        self._vars = task_vars or {}
        errors: list[str] = []
        if not args["dir"].startswith("/"):
            errors.append(
                f"vllm_bundle_dir is {args['dir']!r}: write an absolute path, as -e vllm_bundle_dir=/srv/bundle."
            )
        if args["parts"] is not None:
            if errors:
                return {**result, "failed": True, "msg": " ".join(errors)}
            given = {name: args[name] for name in ("dir", "parts", "hosts", "signing_key")}
            return {**result, **as_told(self._execute_module(MODULE, module_args=given, task_vars=self._vars))}
        stated = {name: args[name] for name in ("registries", "mirrors")}
        sources.read(stated, errors)
        store = {"hub_dir": "/", "verify": QUICK, "files_at_once": 4}
        requests = fetch_requests.read({**args, **store}, errors)
        asked_of = {name: args["packages"].get(name) or {} for name in ("os", "driver", "runtime", "archive")}
        packages = wanted.sets(asked_of["os"], asked_of["driver"], asked_of["runtime"], asked_of["archive"], errors)
        if errors:
            return {**result, "failed": True, "msg": " ".join(errors)}
        here = [one for one in requests if is_path(one.get("source", ""))]
        common = {name: args[name] for name in ("dir", "bandwidth")}
        said = [
            f"{one['model']} is left out: it comes from {one['source']}"
            f"{'' if on_control_node(one['source']) else ' of the hosts'} (vllm_server_model_sources)."
            for one in here
        ]
        parts: list[Json] = []
        changed = False
        for what, asked, secrets in [
            *self._images(args),
            *self._models(requests, args["token"]),
            *((", ".join(one["packages"]), {"package_set": one}, {}) for one in packages),
        ]:
            self._display.display(f"{what} ...")
            came = self._come({**common, **asked}, secrets)
            if came.get("failed") or "part" not in came:
                why = came.get("msg") or "what the module said is not understood"
                return {**result, "failed": True, "msg": f"{what}: {why}", "parts": parts}
            parts.append(came["part"])
            said.append(str(came["msg"]))
            changed = changed or bool(came.get("changed"))
        return {**result, "changed": changed, "parts": parts, "msg": said}

    def _images(self, args: Json) -> t.Iterator[tuple[str, Json, Json]]:
        logins = {"logins": json.dumps(args["registries"])} if args["registries"] else {}
        asked = {name: args[name] for name in ("mirrors", "insecure_registries", "architecture")}
        for image in dict.fromkeys(args["images"]):
            yield image, {**asked, "image": image}, logins

    def _models(self, requests: t.Sequence[t.Any], token: str) -> t.Iterator[tuple[str, Json, Json]]:
        for one in requests:
            if not is_path(one.get("source", "")):
                yield one["model"], {"request": one}, {"token": token} if token else {}

    def _come(self, asked: Json, secrets: Json) -> Json:
        if secrets:
            return as_told(self._execute_piped(MODULE, {**asked, **secrets}, self._vars))
        return as_told(self._execute_module(MODULE, module_args=asked, task_vars=self._vars))
