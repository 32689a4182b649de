# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short ways to write an engine argument that vLLM's own parser takes: `-O3`, `-cc.mode`, `--tensor-parallel`.

Source: FlexibleArgumentParser.parse_args, and argparse's abbreviations, which it leaves on.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ..._findings.findings import Findings
from ..._settings.names import canonical
from ..._vllm.schema import Argument, Schema

LEVEL = re.compile(r"-*O=?(\w*)")
LEVEL_ARGUMENT = "optimization_level"
# Before it, the level was part of compilation_config.
DOCUMENTS = ("json", "str_or_json")


def written_out(where: str, given: t.Mapping[str, t.Any], schema: Schema, found: Findings) -> dict[str, t.Any]:
    """The same, with one key for each argument; what stands twice stays as it is, and is told later."""
    layer: dict[str, t.Any] = {}
    documents: dict[str, dict[str, t.Any]] = {}
    for spelling, value in given.items():
        level = LEVEL.fullmatch(spelling.strip())
        if level is not None:
            name, meaning = _level(level[1], value, schema)
            layer[name] = meaning
            found.warn(f"{where}: {spelling} is taken as {name}: {_shown(meaning)}, write that instead.")
            continue
        name, keys = _dotted(spelling, schema)
        if not keys:
            layer[spelling] = value
            continue
        _put(documents.setdefault(name, {}), keys, value)
        found.warn(f"{where}: {spelling} is taken as {name}: {{{': {'.join(keys)}: ...{'}' * len(keys)}, write that.")
    for name, document in documents.items():
        _merge(where, layer, name, document, schema, found)
    return layer


def opposite(name: str, schema: Schema) -> Argument | None:
    """The switch that says the contrary of a name that the release has as no argument of its own.

    `no_x` of any; `disable_x` of `enable_x` and the reverse, which from vLLM 0.33.0 on its parser takes too
    (EnableDisableAction in vllm/utils/argparse_utils.py).
    """
    if name in schema.arguments:
        return None
    for prefix, contrary in (("no_", ""), ("disable_", "enable_"), ("enable_", "disable_")):
        found = schema.arguments.get(f"{contrary}{name[len(prefix) :]}") if name.startswith(prefix) else None
        if found is not None and (found.type == "switch" or (contrary and found.type == "flag")):
            return found
    return None


def unabbreviated(name: str, schema: Schema) -> str | None:
    """The one argument that begins with NAME, as argparse finds it; None where there is none or more than one."""
    known = {*schema.arguments, *(alias for alias in schema.aliases() if len(alias) > 3)}
    known |= {f"no_{one.name}" for one in schema.arguments.values() if one.type == "switch"}
    longer = [candidate for candidate in known if candidate.startswith(name)]
    return longer[0] if len(longer) == 1 and name not in known else None


def _level(stated: str, value: t.Any, schema: Schema) -> tuple[str, t.Any]:
    """`-O3: true`, `-O: 3` and `-O3:` with nothing behind it."""
    level = stated or ("" if value in (None, True) else str(value))
    if LEVEL_ARGUMENT in schema.arguments:
        return LEVEL_ARGUMENT, level or None
    if not stated and isinstance(value, (dict, str)) and not str(value).isdecimal():
        return "compilation_config", value
    return "compilation_config", {"level": int(level)} if level.isdecimal() else None


def _dotted(spelling: str, schema: Schema) -> tuple[str, list[str]]:
    """An argument that takes a document, and the keys into it; no keys where it is none."""
    first, *keys = spelling.strip().lstrip("-").split(".")
    name = canonical(first)
    name = schema.aliases().get(name, name)
    known = schema.arguments.get(name)
    if not keys or not all(keys) or known is None or known.type not in DOCUMENTS:
        return "", []
    return name, keys


def _put(document: dict[str, t.Any], keys: t.Sequence[str], value: t.Any) -> None:
    """A key that ends in + has several values with commas between them."""
    *way, last = keys
    for key in way:
        inner = document.get(key)
        document[key] = inner if isinstance(inner, dict) else {}
        document = document[key]
    if last.endswith("+"):
        last, value = last[:-1], value.split(",") if isinstance(value, str) else value
    document[last] = value


def _merge(
    where: str,
    layer: dict[str, t.Any],
    name: str,
    document: dict[str, t.Any],
    schema: Schema,
    found: Findings,
) -> None:
    """Keys beside a whole document of the same argument complete it."""
    aliases = schema.aliases()
    for spelling, whole in list(layer.items()):
        bare = canonical(spelling)
        if aliases.get(bare, bare) != name:
            continue
        if not isinstance(whole, dict):
            found.error(f"{where}: {name} is given as a whole and by keys of it; write one mapping.")
            return
        both = sorted(set(whole) & set(document))
        if both:
            found.error(f"{where}: {name}.{both[0]} is given twice; keep one of the two.")
        layer[spelling] = {**document, **whole}
        return
    layer[name] = document


def _shown(value: t.Any) -> str:
    return "vLLM's default" if value is None else str(value)
