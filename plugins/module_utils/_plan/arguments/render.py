# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that follows an image's entry point, rendered by the schema of its vLLM release.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ..._settings.canonical_json import canonical_json
from ..._vllm.schema import Argument, Schema, serves_with_subcommand
from .layers import Resolved

CONTAINER_PORT = 8000
NUMBER = re.compile(r"-\d+(\.\d*)?")
NAME = re.compile(r"[A-Za-z0-9_.]+")


def command(
    schema: Schema,
    model: str,
    revision: str | None,
    served: t.Sequence[str],
    arguments: t.Sequence[Resolved],
    config: str = "",
) -> list[str]:
    """Full-name options in one canonical order: abbreviations pass in one release and are ambiguous in the next."""
    words = [model] if serves_with_subcommand(schema.version) else ["--model", model]
    words += ["--served-model-name", *served, "--host", "0.0.0.0", "--port", str(CONTAINER_PORT)]
    if config:
        words += ["--config", config]
    if revision:
        words += ["--revision", revision]
    for argument in sorted(arguments, key=lambda item: item.name):
        if argument.set:
            words += option(argument.name, argument.value, schema.arguments.get(argument.name))
    return words


def option(name: str, value: t.Any, known: Argument | None) -> list[str]:
    """One argument as words. An argument that the schema does not know is passed by the type of its value."""
    flag = "--" + name.replace("_", "-")
    if isinstance(value, bool) and (known is None or known.type in ("switch", "flag")):
        return _switch(flag, value, known)
    if isinstance(value, list) and (known is None or known.many):
        if known is not None and known.many == "append":
            return [word for item in value for word in (flag, _text(item))]
        return [flag, *(_text(item) for item in value)]
    return _valued(flag, _text(value))


def misread(arguments: t.Sequence[Resolved], schema: Schema) -> list[str]:
    """What vLLM's parser would take for an option that nobody planned."""
    found = []
    for argument in arguments:
        known = schema.arguments.get(argument.name)
        if not NAME.fullmatch(argument.name):
            found.append(f"{argument.name!r} is no name of an engine argument: write letters, digits and underscores.")
        if argument.set and isinstance(argument.value, list) and (known is None or known.many):
            found += [
                f"{argument.name} has {item!r}: vLLM would read it as an option, write values with no hyphen first."
                for item in argument.value
                if isinstance(item, str) and item.startswith("-") and not NUMBER.fullmatch(item)
            ]
    return found


def _switch(flag: str, value: bool, known: Argument | None) -> list[str]:
    if value:
        return [flag]
    if known is not None and known.type == "flag":
        return []
    return ["--no-" + flag[2:]]


def _valued(flag: str, text: str) -> list[str]:
    """A value that begins with a dash would be taken for an option unless it is joined."""
    if text.startswith("-") and not NUMBER.fullmatch(text):
        return [f"{flag}={text}"]
    return [flag, text]


def _text(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return canonical_json(value)
    return str(value)
