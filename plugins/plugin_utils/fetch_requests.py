# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task asks of the store, as requests to a host: everything that is wrong with it is told at once.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.client import Client
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import MODEL, REVISION
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside import documents
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.asking import VARIABLE
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.desk import Request

MOST_FILES = 16
# Below this a file of some GB takes longer than anybody waits, and a connection counts as a dead one.
LEAST_BANDWIDTH = 0.1
MB = 1_000_000


def read(args: Json, errors: list[str]) -> list[Request]:
    """A request for each model, once; what is wrong is added to `errors`."""
    problem = Client(endpoint=args["endpoint"], token=args["token"], variable=VARIABLE).problem()
    errors += [problem] if problem else []
    if not 1 <= args["files_at_once"] <= MOST_FILES:
        errors.append(f"files_at_once is {args['files_at_once']}: write a number from 1 to {MOST_FILES}.")
    if args["bandwidth"] and not LEAST_BANDWIDTH <= args["bandwidth"] < 1e9:
        errors.append(
            f"bandwidth is {args['bandwidth']}: write MB a second, {LEAST_BANDWIDTH} or more, or 0 for no bound."
        )
    if not args["hub_dir"].startswith("/"):
        errors.append(f"hub_dir is {args['hub_dir']!r}: write an absolute path of the host.")
    found: list[Request] = []
    for one in [*args["models"], *of_instances(args["instances"], args["allow_code"], args["allow_pickles"])]:
        request = _request(one, args, errors)
        if request not in found:
            found.append(request)
    return found


def of_instances(instances: t.Any, allow_code: t.Any, allow_pickles: t.Collection[str]) -> list[Json]:
    """The models of a hub that instances are started with. What is wrong with an instance is told by its plan."""
    found: list[Json] = []
    for instance in instances if isinstance(instances, (list, tuple)) else ():
        engine_args = instance.get("engine_args") if isinstance(instance, dict) else None
        drafter = engine_args.get("speculative_config") if isinstance(engine_args, dict) else None
        for one in (instance, _mapping(drafter)):
            model = one.get("model") if isinstance(one, dict) else None
            if isinstance(model, str) and model.strip() and not model.startswith("/"):
                found.append(
                    {
                        "model": model,
                        "revision": str(one.get("revision") or ""),
                        "code": allow_code is True or (isinstance(allow_code, (list, tuple)) and model in allow_code),
                        "pickles": model in allow_pickles,
                    }
                )
    return found


def _mapping(value: t.Any) -> t.Any:
    """A mapping, which may be written as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return documents.parse(value)
    except ValueError:
        return None


def _request(one: Json, args: Json, errors: list[str]) -> Request:
    model, revision = one["model"].strip(), (one.get("revision") or "").strip()
    if not MODEL.fullmatch(model):
        errors.append(f"The model {model!r} is no id of a hub: write it as ORGANISATION/NAME.")
    if revision and not REVISION.fullmatch(revision):
        errors.append(f"The revision {revision!r} of {model} is no branch, tag or commit: write one.")
    return Request(
        model=model,
        revision=revision,
        hub_dir=args["hub_dir"].rstrip("/") or "/",
        endpoint=args["endpoint"],
        verify=args["verify"],
        files_at_once=args["files_at_once"],
        bandwidth=int(args["bandwidth"] * MB),
        code=bool(one.get("code")),
        pickles=bool(one.get("pickles")),
        gguf=one.get("gguf") or "",
    )
