# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine arguments and variables whose value is a file or folder: where the path stands in it, and what it must be.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import typing as t

from .._settings.canonical_json import canonical_json

Values = t.Mapping[str, t.Any]
Kind = t.Literal["template", "python", "json", "file", "tokenizer", "config", "model", "adapter", "folder"]
# What an operator writes before the name of a file that is brought from the control node.
BROUGHT = "inventory:"
ADAPTERS = "lora_modules"
# Where a container finds all of them.
INSIDE = "/etc/gpufleet/files"
# Argument, the key into those that are documents, and what has to be there.
ARGUMENTS: tuple[tuple[str, str, Kind], ...] = (
    ("chat_template", "", "template"),
    ("tokenizer", "", "tokenizer"),
    ("hf_config_path", "", "config"),
    ("generation_config", "", "folder"),
    ("tool_parser_plugin", "", "python"),
    ("reasoning_parser_plugin", "", "python"),
    ("structured_outputs_config", "reasoning_parser_plugin", "python"),
    ("logits_processors", "", "file"),
    ("log_config_file", "", "json"),
    ("logging_config", "pylogging_config_file", "json"),
    ("mm_encoder_fp8_scale_path", "", "file"),
    ("speculative_config", "model", "model"),
    ("speculative_config", "tokenizer", "tokenizer"),
    ("spec_model", "", "model"),
    ("qlora_adapter_name_or_path", "", "adapter"),
)
VARIABLES: dict[str, Kind] = {
    "VLLM_LOGGING_CONFIG_PATH": "json",
    "VLLM_TUNED_CONFIG_FOLDER": "folder",
    "VLLM_MODEL_REDIRECT_PATH": "file",
}
FOLDERS: tuple[Kind, ...] = ("tokenizer", "config", "model", "adapter", "folder")


class Stated(t.NamedTuple):
    """`place` is how a reader finds it: `chat_template`, `speculative_config.model`, `lora_modules.sql`, `env.NAME`."""

    place: str
    kind: Kind
    path: str


def is_path(text: t.Any) -> bool:
    """Whether a value names a file or folder of the host or the inventory: a template may stand there itself."""
    if not isinstance(text, str) or "\n" in text or "{" in text:
        return False
    return text.startswith(("/", BROUGHT))


def stated(values: Values, variables: Values) -> list[Stated]:
    """The paths among an instance's arguments and variables, in their order."""
    found: list[Stated] = []

    def seen(place: str, kind: Kind, path: str) -> str:
        found.append(Stated(place, kind, path))
        return path

    replaced(values, seen)
    replaced_variables(variables, seen)
    return found


Replace = t.Callable[[str, Kind, str], str]


def replaced(values: Values, replace: Replace) -> dict[str, t.Any]:
    """The arguments with what `replace` makes of each path. Whatever is no path stays as it is."""
    found = dict(values)
    for name, key, kind in ARGUMENTS:
        value: t.Any = found.get(name)
        if not key and is_path(value):
            found[name] = replace(name, kind, value)
        elif key and isinstance(value, dict) and is_path(value.get(key)):
            found[name] = {**value, key: replace(f"{name}.{key}", kind, value[key])}
    if found.get(ADAPTERS) is not None:
        value = found[ADAPTERS]
        many = [_adapter(one, replace) for one in (value if isinstance(value, list) else [value])]
        found[ADAPTERS] = many if isinstance(value, list) else many[0]
    loras = found.get("default_mm_loras")
    if isinstance(loras, dict):
        found["default_mm_loras"] = {
            name: replace(f"default_mm_loras.{name}", "adapter", path) if is_path(path) else path
            for name, path in loras.items()
        }
    return found


def replaced_variables(variables: Values, replace: Replace) -> dict[str, t.Any]:
    """The same for variables of the container."""
    return {
        name: replace(f"env.{name}", VARIABLES[name], value) if name in VARIABLES and is_path(value) else value
        for name, value in variables.items()
    }


def _adapter(one: t.Any, replace: Replace) -> t.Any:
    """`name=path`, or a mapping with `name` and `path`, also as its JSON."""
    if isinstance(one, dict):
        if not is_path(one.get("path")):
            return one
        return {**one, "path": replace(f"{ADAPTERS}.{one.get('name')}", "adapter", one["path"])}
    if not isinstance(one, str):
        return one
    if one.lstrip().startswith("{"):
        document = _document(one)
        made = _adapter(document, replace) if document is not None else one
        return one if made in (document, one) else canonical_json(made)
    name, equals, path = one.partition("=")
    return f"{name}={replace(f'{ADAPTERS}.{name}', 'adapter', path)}" if equals and is_path(path) else one


def adapter_names(values: Values) -> tuple[str, ...]:
    """The names that an instance's adapters are asked by."""
    stated = values.get(ADAPTERS)
    found = [_adapter_name(one) for one in (stated if isinstance(stated, list) else [stated])]
    return tuple(name for name in found if name)


def _adapter_name(one: t.Any) -> str:
    if isinstance(one, str) and one.lstrip().startswith("{"):
        one = _document(one)
    if isinstance(one, dict):
        return str(one.get("name") or "")
    return one.partition("=")[0].strip() if isinstance(one, str) and "=" in one else ""


def named_path(one: t.Any) -> tuple[str, str]:
    """Name and path of an adapter; two empty texts where anything else is stated of it, or where it has no path."""
    if isinstance(one, str) and one.lstrip().startswith("{"):
        one = _document(one)
    if isinstance(one, dict):
        name, path = str(one.get("name") or ""), one.get("path")
        return (name, str(path)) if set(one) == {"name", "path"} and name and is_path(path) else ("", "")
    name, equals, path = one.partition("=") if isinstance(one, str) else ("", "", "")
    return (name.strip(), path) if equals and name.strip() and is_path(path) else ("", "")


def _document(text: str) -> dict[str, t.Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


# A folder that the engine writes to or that requests read is no file of a release.
NOT_READ = frozenset({"download_dir", "allowed_local_media_path", "dump_dir"})


def anywhere(layer: t.Any) -> set[str]:
    """Every text in a layer of arguments that may name a file or folder, however its argument is spelt."""
    if isinstance(layer, dict):
        kept = (value for name, value in layer.items() if str(name).lstrip("-").replace("-", "_") not in NOT_READ)
        return {path for value in kept for path in anywhere(value)}
    if isinstance(layer, (list, tuple)):
        return {path for value in layer for path in anywhere(value)}
    if not isinstance(layer, str):
        return set()
    text = layer.strip()
    if text.startswith(("{", "[")):
        try:
            return anywhere(json.loads(text))
        except (ValueError, RecursionError):
            return set()
    behind = text.partition("=")[2]
    return {found for found in (text, behind) if is_path(found)}
