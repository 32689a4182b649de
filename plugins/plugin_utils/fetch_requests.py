# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task asks of the store, as requests to a host: everything that is wrong with it is told at once.

Sentences name the variables of the roles, which is what people write.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.client import Client
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import (
    COMMIT,
    MODEL,
    REVISION,
    path_problem,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.resolve import MAIN
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.selection import GGUF
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory.inputs import models_allowed, names
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings import model_sources, reader, store_peers, types
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.model_places import is_path
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.asking import VARIABLE
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.desk import Request
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.openings import ALLOW, TRUST
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings

MOST_FILES = 16
# Below this a file of some GB takes longer than anybody waits, and a connection counts as a dead one.
LEAST_BANDWIDTH, MOST_BANDWIDTH = 0.1, 1_000_000
MB = 1_000_000
ROLE = "model_store"
MODELS, PICKLES = f"{ROLE}_models", f"{ROLE}_allow_pickles"


class Wanted(t.NamedTuple):
    """A model, as somebody asks for it at `where`."""

    where: str
    model: str
    revision: str
    code: bool = False
    pickles: bool = False
    gguf: str = ""


def read(args: Json, errors: list[str]) -> list[Request]:
    """A request for each model, once; what is wrong is added to `errors`."""
    endpoint, hub_dir = args["endpoint"].strip().rstrip("/"), args["hub_dir"].strip()
    problem = Client(endpoint=endpoint, token=args["token"], variable=VARIABLE).problem()
    errors += [problem] if problem else []
    errors += bounds(args)
    if not hub_dir.startswith("/"):
        errors.append(f"vllm_server_hub_dir is {hub_dir!r}: write an absolute path of the host.")
    bundle = args.get("bundle", "").strip().rstrip("/")
    if bundle and not bundle.startswith("/"):
        errors.append(f"vllm_bundle is {bundle!r}: write an absolute path of the host.")
    allow_code = models_allowed(args["allow_code"], errors)
    sources = model_sources.read(args["sources"], errors)
    # All hosts mostly have one list, with the one that serves.
    own = args.get("serve_at", "").strip()
    peers = [one for one in store_peers.peers(args.get("peers", ()), errors) if one != own]
    everywhere = TRUST in names(ALLOW, args["allow_dangerous"], errors)
    asked: dict[tuple[str, str], list[Wanted]] = {}
    for one in [*models(args["models"], errors), *of_instances(args["instances"], everywhere)]:
        problems = [*_problems(one), *_moving(one, sources)]
        errors += [text for text in problems if text not in errors]
        asked.setdefault((one.model, one.revision), []).append(one)
    requests = [
        Request(
            model=model,
            revision=revision,
            hub_dir=hub_dir.rstrip("/") or "/",
            endpoint=endpoint,
            verify=args["verify"],
            files_at_once=args["files_at_once"],
            bandwidth=int(args["bandwidth"] * MB),
            code=_allows(allow_code, model) or any(one.code for one in those),
            pickles=model in args["allow_pickles"] or any(one.pickles for one in those),
            gguf=gguf,
        )
        for (model, revision), those in asked.items()
        # An instance has no key for the name of a GGUF file: its model comes as it is listed.
        for gguf in dict.fromkeys(one.gguf for one in those if one.gguf) or [""]
    ]
    for request in requests:
        if request["model"] in sources:
            request["source"] = sources[request["model"]]
        if is_path(request.get("source", "")):
            continue
        if bundle:
            request["bundle"] = bundle
        elif peers:
            request["peers"] = peers
    return requests


def _moving(one: Wanted, sources: t.Mapping[str, str]) -> list[str]:
    """What no hub has is one revision, by the digest of its content."""
    if one.model not in sources or one.revision in ("", MAIN) or COMMIT.fullmatch(one.revision):
        return []
    text = (
        f"{one.where}: {one.model} comes from {sources[one.model]}, which has no revision {one.revision!r}: leave the "
        "revision out, or write the 40 digits that a fetch says."
    )
    return [text]


def _allows(models_with_code: bool | list[str], model: str) -> bool:
    return models_with_code is True or (isinstance(models_with_code, list) and model in models_with_code)


def bounds(args: t.Mapping[str, t.Any]) -> list[str]:
    """What is wrong with the role's numbers, by their names without that of the role."""
    found: list[str] = []
    if not 1 <= args["files_at_once"] <= MOST_FILES:
        found.append(f"{ROLE}_files_at_once is {args['files_at_once']}: write a number from 1 to {MOST_FILES}.")
    if args["bandwidth"] and not LEAST_BANDWIDTH <= args["bandwidth"] <= MOST_BANDWIDTH:
        found.append(
            f"{ROLE}_bandwidth is {args['bandwidth']:g}: write MB a second, from {LEAST_BANDWIDTH} to "
            f"{MOST_BANDWIDTH}, or 0 for no bound."
        )
    return found


def stated_wrong(own: Json) -> list[str]:
    """What is wrong with the role's variables, by their names without that of the role."""
    errors = bounds(own)
    store_peers.peers(own["peers"], errors)
    store_peers.serving(own["serve_at"], own["serve_to"], errors)
    for one in models(own["models"], errors):
        errors += _problems(one)
    return errors


def models(value: t.Any, errors: list[str]) -> list[Wanted]:
    """Entries of model_store_models; what is wrong with one is added to `errors`, with its place."""
    options = role_settings.option(MODELS)["options"]
    found = []
    unset: list[Json] = []
    for at, entry in enumerate(
        types.stated(lambda given: types.mappings(given, ["model"]), value, MODELS, errors, unset)
    ):
        where, before = f"{MODELS}[{at}]", len(errors)
        one = reader.mapping(where, options, entry, errors)
        if len(errors) == before and not one.get("model"):
            errors.append(f"{where} has no model: write its id in the hub, as ORGANISATION/NAME.")
        if len(errors) == before:
            texts = {key: str(one.get(key) or "").strip() for key in ("model", "revision", "gguf")}
            found.append(Wanted(where, **texts, code=bool(one.get("code")), pickles=bool(one.get("pickles"))))
    return found


def of_instances(instances: t.Any, trusted_everywhere: bool = False) -> list[Wanted]:
    """The models of a hub that instances are started with. What is wrong with an instance is told by its plan."""
    found: list[Wanted] = []
    for instance in instances if isinstance(instances, (list, tuple)) else ():
        if not isinstance(instance, dict):
            continue
        engine_args = _mapping(instance.get("engine_args"))
        where = f"the instance {instance.get('name') or '?'}"
        trusted = trusted_everywhere or TRUST in _names(instance.get("allow_dangerous"))
        for one in (instance, _mapping(engine_args.get("speculative_config"))):
            model = one.get("model")
            if isinstance(model, str) and model.strip() and not model.startswith("/"):
                found.append(Wanted(where, model.strip(), str(one.get("revision") or "").strip(), code=trusted))
    return found


def _mapping(value: t.Any) -> Json:
    """A mapping, which may be written as JSON; none for what is none."""
    try:
        return types.mapping(value)
    except types.WrongError:
        return {}


def _names(value: t.Any) -> list[t.Any]:
    try:
        return types.items(value)
    except types.WrongError:
        return []


def _problems(one: Wanted) -> list[str]:
    found = []
    if not MODEL.fullmatch(one.model):
        found.append(f"{one.where}: the model {one.model!r} is no id of a hub: write it as ORGANISATION/NAME.")
    if one.revision and not REVISION.fullmatch(one.revision):
        found.append(f"{one.where}: the revision {one.revision!r} is no branch, tag or commit: write one.")
    if one.gguf and (path_problem(one.gguf) or not one.gguf.lower().endswith(GGUF)):
        found.append(f"{one.where}: gguf is {one.gguf!r}: write the name of one GGUF file of the model.")
    return found
