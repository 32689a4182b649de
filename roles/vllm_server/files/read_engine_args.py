# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the engine arguments of the vLLM that this interpreter can import, as one JSON object.

Runs inside an image, needs neither GPU nor network and changes nothing:

    docker run --rm -i --network none --entrypoint python3 IMAGE - < read_engine_args.py > VERSION.json

The form is described in engine_args/README.md. Takes about ten seconds, most of it vLLM's own import.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import typing as t

PARSER_CLASSES = ("vllm.utils.argparse_utils", "vllm.utils")
PARSER_MAKERS = (
    "vllm.entrypoints.common.cli_args",  # from 0.33.0
    "vllm.entrypoints.launchers.cli_args",  # from 0.29.0
    "vllm.entrypoints.openai.cli_args",
)
REASONING = (("vllm.reasoning", "ReasoningParserManager"),)
TOOLS = (
    ("vllm.tool_parsers", "ToolParserManager"),
    ("vllm.tool_parsers.abstract_tool_parser", "ToolParserManager"),
    ("vllm.entrypoints.openai.tool_parsers", "ToolParserManager"),
)
# Our word for a type, and the converters that mean it; the first row that has one of them wins.
TYPES = (
    ("str_or_json", {"union_dict_and_str"}),
    ("json", {"loads", "parse_dataclass", "_parse_type"}),
    ("size", {"human_readable_int", "human_readable_int_or_auto"}),
    ("int", {"int"}),
    ("float", {"float"}),
)


def first(candidates: t.Sequence[tuple[str, str]]) -> t.Any:
    """The first attribute that exists: vLLM moves its modules between releases."""
    for module, name in candidates:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise SystemExit(
        "none of these is in this vLLM: {}".format(", ".join("{}.{}".format(*pair) for pair in candidates))
    )


def callables(kind: t.Any) -> t.Iterator[str]:
    """Names of a converter and of the converters that it wraps."""
    yield getattr(kind, "__name__", "")
    for cell in getattr(kind, "__closure__", None) or ():
        if callable(cell.cell_contents):
            yield from callables(cell.cell_contents)


def type_of(action: argparse.Action) -> str:
    """Our word for what the parser accepts."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return "switch"
    if isinstance(action, argparse._StoreTrueAction):
        return "flag"
    # Takes name=path and JSON by an action of its own.
    if type(action).__name__ == "LoRAParserAction":
        return "str_or_json"
    names = set(callables(action.type))
    return next((word for word, converters in TYPES if names & converters), "str")


def plain(value: t.Any) -> t.Any:
    """A default as JSON, or None where it is an object of vLLM's."""
    return value if value is None or type(value) in (bool, int, float, str) else None


def negates(action: argparse.Action, option: str) -> bool:
    """Whether an option turns off what its action is called: --no-x, and from 0.33.0 --disable-x of --enable-x."""
    if not isinstance(action, argparse.BooleanOptionalAction):
        return False
    told = argparse.Namespace()
    action(argparse.ArgumentParser(add_help=False), told, None, option)
    return getattr(told, action.dest) is False


def argument(action: argparse.Action, deprecated: bool) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {"type": type_of(action)}
    if isinstance(action, argparse._AppendAction):
        found["many"] = "append"
    elif action.nargs in ("+", "*"):
        found["many"] = True
    if action.choices is not None:
        found["choices"] = [choice for choice in action.choices if choice is not None]
    others = [option for option in action.option_strings[1:] if not negates(action, option)]
    if others:
        found["aliases"] = [option.lstrip("-").replace("-", "_") for option in others]
    if deprecated or "[DEPRECATED]" in (action.help or ""):
        found["deprecated"] = True
    default = plain(action.default)
    if default is not None and default != argparse.SUPPRESS:
        found["default"] = default
    return found


def registered(manager: t.Any) -> list[str]:
    """Names of parsers, those that are loaded only when asked for included."""
    names: set[str] = set()
    for attribute in ("reasoning_parsers", "tool_parsers", "lazy_parsers"):
        names.update(getattr(manager, attribute, {}))
    return sorted(names)


def read() -> dict[str, t.Any]:
    # vLLM fills help texts, in which deprecations are marked, only when help is asked for.
    sys.argv.append("--help")
    parser = first([(m, "FlexibleArgumentParser") for m in PARSER_CLASSES])()
    parser = first([(m, "make_arg_parser") for m in PARSER_MAKERS])(parser)
    # argparse knows `deprecated` from Python 3.13; vLLM's own parser keeps such actions aside.
    marked = set(getattr(parser, "_deprecated", ())) | {a for a in parser._actions if getattr(a, "deprecated", False)}
    arguments = {}
    for action in parser._actions:
        long_names = [o for o in action.option_strings if o.startswith("--")]
        if long_names and action.dest != "help":
            arguments[long_names[0].lstrip("-").replace("-", "_")] = argument(action, action in marked)
    return {
        "schema": 1,
        "version": importlib.import_module("vllm").__version__,
        "arguments": arguments,
        "reasoning_parsers": registered(first(REASONING)),
        "tool_parsers": registered(first(TOOLS)),
        "quantization_methods": list(first([("vllm.model_executor.layers.quantization", "QUANTIZATION_METHODS")])),
        "environment": sorted(first([("vllm.envs", "environment_variables")])),
    }


if __name__ == "__main__":
    # vLLM writes warnings to stdout while it is imported; only the answer may be there.
    out = os.dup(1)
    os.dup2(2, 1)
    answer = json.dumps(read(), sort_keys=True)
    os.write(out, answer.encode() + b"\n")
