# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One layer of engine arguments in canonical names, with old spellings translated.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._findings.findings import Findings
from ..._settings.names import canonical
from ..._vllm.schema import Schema
from ..._vllm.spellings import BESIDE, DROPPED, OURS, PARSER_NAMES, RENAMED, SPECULATIVE, VARIABLES
from ..inventory.instances import KEYS
from ..inventory.sampling import SAMPLED
from . import shorthand

# Names with a meaning of their own: none of them is an abbreviation.
TABLES = frozenset({*KEYS, *DROPPED, *OURS, *RENAMED, *SPECULATIVE, *SAMPLED})
PARSER_LISTS = {"reasoning_parser": "reasoning_parsers", "tool_call_parser": "tool_parsers"}


def translate(where: str, given: t.Mapping[str, t.Any], schema: Schema, found: Findings) -> dict[str, t.Any]:
    """The layer in this release's names. A value of None stays: it unsets what a lower layer set."""
    layer = _one_spelling(where, shorthand.written_out(where, given, schema, found), schema, found)
    _elsewhere(where, layer, schema, found)
    _ours(where, layer, found)
    _variables(where, layer, schema, found)
    _speculative(where, layer, schema, found)
    _renamed(where, layer, schema, found)
    _dropped(where, layer, schema, found)
    _parser_names(where, layer, schema, found)
    return layer


def _one_spelling(where: str, given: t.Mapping[str, t.Any], schema: Schema, found: Findings) -> dict[str, t.Any]:
    aliases = schema.aliases()
    layer: dict[str, t.Any] = {}
    written: dict[str, str] = {}
    for spelling, stated in given.items():
        bare = canonical(spelling)
        name, value = _positive(_whole_name(where, aliases.get(bare, bare), schema, found), stated, schema)
        if name in written:
            found.error(
                f"{where}: {name} is given twice, as '{written[name]}' and as '{spelling}'; keep one of the two."
            )
            continue
        written[name] = spelling
        layer[name] = value
    return layer


def _whole_name(where: str, name: str, schema: Schema, found: Findings) -> str:
    """An abbreviation in full. Where unknown names are passed on, it is passed on too."""
    if found.unknown == "warn" or name in schema.arguments or name in schema.gone or name in schema.coming:
        return name
    if name in TABLES or name in BESIDE or name.upper() in VARIABLES:
        return name
    whole = shorthand.unabbreviated(name, schema)
    if whole is None:
        return name
    found.warn(f"{where}: {name} is short for {whole}, as vLLM's own parser has it; write {whole}.")
    return whole


def _elsewhere(where: str, layer: dict[str, t.Any], schema: Schema, found: Findings) -> None:
    """What is no engine argument and has its place somewhere else."""
    for name in [name for name in layer if name not in schema.arguments]:
        if name in BESIDE:
            del layer[name]
            found.error(f"{where}: {name} is no engine argument: {BESIDE[name]}.")
        elif name in KEYS:
            del layer[name]
            found.error(f"{where}: {name} is no engine argument: it is a key of the instance, beside engine_args.")
        elif name in SAMPLED:
            del layer[name]
            found.error(f"{where}: {name} is no engine argument: clients send it, use the instance's key sampling.")


def _positive(name: str, value: t.Any, schema: Schema) -> tuple[str, t.Any]:
    """`no_x: true` is `x: false`, and `disable_x: true` is `enable_x: false`."""
    if not isinstance(value, bool) or name in TABLES or name in schema.gone or name in schema.coming:
        return name, value
    opposite = shorthand.opposite(name, schema)
    return (name, value) if opposite is None else (opposite.name, not value)


def _ours(where: str, layer: dict[str, t.Any], found: Findings) -> None:
    for name in sorted(set(layer) & set(OURS)):
        del layer[name]
        found.error(f"{where}: {name} does not belong into engine_args: {OURS[name]}.")


def _variables(where: str, layer: dict[str, t.Any], schema: Schema, found: Findings) -> None:
    for name in [name for name in layer if name.upper() in VARIABLES]:
        argument = VARIABLES[name.upper()]
        value = truth(layer.pop(name), argument, schema)
        if argument in layer:
            found.error(f"{where}: {argument} is given twice, once as {name.upper()}; keep {argument}.")
            continue
        layer[argument] = value
        found.warn(variable_text(where, name.upper(), argument))


def variable_text(where: str, variable: str, argument: str) -> str:
    return (
        f"{where}: no vLLM release reads {variable}; it is taken as the engine argument {argument}, write that instead."
    )


def truth(value: t.Any, argument: str, schema: Schema) -> t.Any:
    """`1` and `0` as variables say it, for a switch."""
    known = schema.arguments.get(argument)
    if known is not None and known.type in ("switch", "flag") and str(value) in ("0", "1"):
        return str(value) == "1"
    return value


def _speculative(where: str, layer: dict[str, t.Any], schema: Schema, found: Findings) -> None:
    if "speculative_config" not in schema.arguments:
        return
    old = [name for name in layer if name in SPECULATIVE and name not in schema.arguments]
    if not old:
        return
    if layer.get("speculative_config") is not None:
        found.error(f"{where}: {', '.join(old)} stands beside speculative_config; keep speculative_config.")
        for name in old:
            del layer[name]
        return
    document = {
        SPECULATIVE[name]: value for name, value in ((name, layer.pop(name)) for name in old) if value is not None
    }
    if document.get("model") in ("[ngram]", "ngram"):
        del document["model"]
        document["method"] = "ngram"
    if not document:
        return
    layer["speculative_config"] = document
    found.warn(
        f"{where}: {', '.join(old)} is gone since vLLM 0.8.3; it is taken as speculative_config, write that instead."
    )


def _renamed(where: str, layer: dict[str, t.Any], schema: Schema, found: Findings) -> None:
    for old, (new, key) in RENAMED.items():
        if old not in layer or old in schema.arguments or new not in schema.arguments:
            continue
        value = layer.pop(old)
        if layer.get(new) is not None:
            found.error(f"{where}: {old} stands beside {new}; keep {new}.")
            continue
        layer[new] = {key: value} if key and value is not None else value
        what = f"{new}.{key}" if key else new
        found.warn(f"{where}: vLLM {schema.version} has no {old}; it is taken as {what}, write that instead.")


def _dropped(where: str, layer: dict[str, t.Any], schema: Schema, found: Findings) -> None:
    for name in [name for name in layer if name in DROPPED and name not in schema.arguments]:
        value = layer.pop(name)
        if value is None:
            continue
        since = schema.gone.get(name)
        left = f"is gone since vLLM {since}" if since else f"is not in vLLM {schema.version}"
        if name == "disable_log_requests" and value is False and "enable_log_requests" in schema.arguments:
            layer.setdefault("enable_log_requests", True)
            found.warn(f"{where}: {name} {left}; false is taken as enable_log_requests: true, write that instead.")
            continue
        found.warn(f"{where}: {name} {left} and is left out: {DROPPED[name]}.")


def _parser_names(where: str, layer: dict[str, t.Any], schema: Schema, found: Findings) -> None:
    for argument, known in PARSER_LISTS.items():
        value, names = layer.get(argument), getattr(schema, known)
        if not isinstance(value, str) or value in names:
            continue
        for candidate in (PARSER_NAMES.get(value, ""), value.replace("-", "_"), value.replace("_", "-"), value.lower()):
            if candidate in names:
                layer[argument] = candidate
                found.warn(f"{where}: the {argument} is called {candidate}, not {value}; write {candidate}.")
                break
