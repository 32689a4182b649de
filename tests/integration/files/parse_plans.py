# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside an image: parse many command lines with vLLM's own parser and print what it made of them.

Reads a JSON list of {"words": [..], "names": [..]} from stdin; prints a list of {name: value} or {"error": text}.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import typing as t

OUT = os.dup(1)
os.dup2(2, 1)
MAKERS = ("vllm.entrypoints.common.cli_args", "vllm.entrypoints.launchers.cli_args", "vllm.entrypoints.openai.cli_args")


def found(modules: t.Sequence[str], name: str) -> t.Any:
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise SystemExit(f"no {name} in this vLLM")


def plain(value: t.Any) -> t.Any:
    """As JSON; an object of vLLM's own by its fields."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain({field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def parsed(parser: t.Any, given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    try:
        answer = parser.parse_args(given["words"])
    except SystemExit as error:
        return {"error": f"exit {error.code}"}
    return {name: plain(getattr(answer, name, "no such name")) for name in given["names"]}


if __name__ == "__main__":
    maker = found(MAKERS, "make_arg_parser")
    parser_class = found(("vllm.utils.argparse_utils", "vllm.utils"), "FlexibleArgumentParser")
    whole = maker(parser_class())
    answers = [parsed(whole, one) for one in json.loads(sys.argv[1] if len(sys.argv) > 1 else sys.stdin.read())]
    os.write(OUT, json.dumps(answers).encode() + b"\n")
