# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapters as an instance lists them: each has a name of its own, by which clients ask for it.

Source: vLLM 0.32.0, `vllm/entrypoints/launchers/cli_args.py` (`LoRAParserAction`) and
`vllm/entrypoints/openai/models/` (the served model is looked up before its adapters).

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import typing as t

from ..._outside.documents import Json
from ..._settings.names import listed
from ..._vllm import live_adapters
from ..._vllm.path_arguments import ADAPTERS
from ..inventory.instances import Instance

# The first is how many servers stand before an engine; without it as many as the second says.
SERVERS = ("api_server_count", "data_parallel_size")
# By these a plugin of vLLM's loads what a request names.
RESOLVERS = ("VLLM_LORA_RESOLVER_CACHE_DIR", "VLLM_LORA_RESOLVER_HF_REPO_LIST")
FIELDS = ("name", "path")
RIGHT = "write NAME=PATH, with the name that clients ask for"


def problems(values: t.Mapping[str, t.Any], served: t.Sequence[str]) -> list[str]:
    """One sentence for each adapter that cannot be asked for. SERVED: names of the model itself."""
    stated = values.get(ADAPTERS)
    if stated is None:
        return []
    read = _read_all(stated)
    found = [f"{ADAPTERS} has {wrong}" for _name, wrong in read if wrong]
    names = [name for name, _wrong in read if name]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            found.append(f"{ADAPTERS} has the name {name} {names.count(name)} times: give each adapter its own.")
        if not name.isprintable():
            found.append(f"{ADAPTERS} has the name {name!r}, with what no terminal shows: write it without.")
        if name in live_adapters.media(values):
            found.append(
                f"{ADAPTERS} names an adapter {name}, and vLLM calls one of {live_adapters.BY_MEDIUM} so: give it "
                "another name."
            )
        if name in served:
            found.append(
                f"{ADAPTERS} names an adapter {name}, and the model itself is served as {listed(served)}: a request "
                "for it never gets to the adapter, give it another name."
            )
    return found


def live_problems(instance: Instance, values: t.Mapping[str, t.Any], variables: t.Mapping[str, str]) -> list[str]:
    """What an instance lacks whose adapters are to be loaded while it runs.

    Source: vLLM 0.32.0, `vllm/entrypoints/cli/serve.py`: several servers of one engine do not tell each other what they
    loaded, and vLLM starts none of them so.
    """
    if not instance.live_adapters:
        return []
    found = []
    if values.get("enable_lora") is not True:
        found.append("live_adapters is stated, and enable_lora is not true: set it, without it vLLM loads no adapter.")
    if str(variables.get(live_adapters.VARIABLE)).lower() not in ("1", "true"):
        found.append(
            f"live_adapters is stated, and env has {live_adapters.VARIABLE}: "
            f"{variables.get(live_adapters.VARIABLE)!r}: leave the variable out."
        )
    found += [
        f"live_adapters is stated, and env has {name}, by which requests load adapters that nobody has planned, and "
        "each look unloads them: leave one of the two out."
        for name in RESOLVERS
        if variables.get(name)
    ]
    for name in SERVERS:
        count = values.get(name)
        if isinstance(count, int) and count > 1 and (name == SERVERS[0] or values.get(SERVERS[0]) is None):
            found.append(
                f"live_adapters is stated, and {name} is {count}: vLLM starts that many servers, which load adapters "
                f"each for itself, and refuses to: set {SERVERS[0]} to 1."
            )
    return found


def live_notes(instance: Instance, values: t.Mapping[str, t.Any]) -> list[str]:
    """Which adapters are not among those that are loaded while the server runs."""
    if not instance.live_adapters:
        return []
    live = live_adapters.of(values, instance.live_adapters)
    others = [name for name in names_of(values.get(ADAPTERS)) if name not in live]
    told = f"{listed(others)} of {ADAPTERS}: not below {instance.live_adapters}, or with more than a name and a path"
    return [f"{told}, so that a change of it restarts the server."] if others else []


def names_of(stated: t.Any) -> list[str]:
    """The names that clients ask for, of what an instance states for its adapters; one that cannot be read has none."""
    return [] if stated is None else [name for name, _wrong in _read_all(stated) if name]


def _read_all(stated: t.Any) -> list[tuple[str, str]]:
    return [_read(one) for one in (stated if isinstance(stated, list) else [stated])]


def _read(one: t.Any) -> tuple[str, str]:
    """Its name, or what is wrong with it."""
    document = one if isinstance(one, dict) else _document(one)
    if document is not None:
        return _of_mapping(document)
    name, equals, path = str(one).partition("=")
    if "," in str(one):
        return "", f"'{one}': one adapter for each entry, and no comma in its path: {RIGHT}."
    if equals and name.strip() and path.strip():
        return name, ""
    example = f", such as sql={one}" if not equals else ""
    return "", f"'{one}': {RIGHT}{example}."


def _of_mapping(document: Json) -> tuple[str, str]:
    name, path = (document.get(key) for key in FIELDS)
    if isinstance(name, str) and name and isinstance(path, str) and path:
        return name, ""
    others = [(key, value) for key, value in document.items() if isinstance(value, str) and value.startswith("/")]
    if len(document) == 1 and others and others[0][0] not in FIELDS:
        return "", f"{json.dumps(document)}: write {others[0][0]}={others[0][1]}."
    return "", f"{json.dumps(document)}: {RIGHT}, or a mapping with name and path."


def _document(one: t.Any) -> Json | None:
    if not isinstance(one, str) or not one.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(one)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
