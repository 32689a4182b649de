#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fold engine arguments, one file per vLLM release, into roles/vllm_server/files/engine_args/history.json.

    .venv/bin/python tools/engine_args_history.py [--base history.json] FILE... > history.json

A FILE is what read_engine_args.py printed inside an image, or a static extraction of a released source tree
(`flags` with vLLM's own type names). Where both are given for one release the image wins: its parser is what will run.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import typing as t
from pathlib import Path

from packaging.version import InvalidVersion, Version

Json = dict[str, t.Any]
LISTS = {"reasoning_parsers": "reasoning_parsers", "tool_parsers": "tool_parsers",
         "quantization_methods": "quantization_methods", "env": "environment"}  # fmt: skip
# The parser takes 32k and 32K for these, whatever their annotation says.
SIZES = {"max_model_len", "max_num_batched_tokens", "kv_cache_memory_bytes", "max_num_scheduled_tokens",
         "max_num_queued_tokens", "safetensors_prefetch_block_size"}  # fmt: skip
# Annotated as lists or left to a closure, and parsed as told here (seen in the parser of 0.32.0).
CORRECTED: dict[str, Json] = {
    "allowed_origins": {"type": "json"},
    "allowed_methods": {"type": "json"},
    "allowed_headers": {"type": "json"},
    "custom_histogram_buckets": {"type": "json"},
    "additional_config": {"type": "str_or_json"},
    "hf_overrides": {"type": "str_or_json"},
    "model_loader_extra_config": {"type": "str_or_json"},
    "pt_load_map_location": {"type": "str_or_json"},
    "device_ids": {"type": "str"},
    "lora_modules": {"type": "str_or_json", "many": True},
    "log_level": {"type": "str", "choices": ["CRITICAL", "DEBUG", "ERROR", "INFO", "NOTSET", "WARNING"]},
    "middleware": {"type": "str", "many": "append"},
    # The second is the image's own platform.
    "mm_processor_device": {"type": "str", "choices": ["auto", "cpu", "cuda"], "open": True, "default": "auto"},
}
BOOLEAN = r"bool( \| None)?|Optional\[bool\]"
ORDER = ("type", "many", "choices", "open", "aliases", "deprecated", "default")
# What a parser of some releases adds for "nothing was said": nobody has to write it.
NOTHING = {None, "None"}
NOT_ACCEPTED = {"all2all_backend": {"passthrough"}}


def key(version: str) -> Version:
    """How releases follow each other: 0.8.5.post1 comes after 0.8.5, 0.34.0rc1 before 0.34.0."""
    try:
        return Version(version)
    except InvalidVersion as error:
        raise SystemExit(f"'{version}' is no release: write it as vLLM names it, such as 0.32.0") from error


def name_of(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")


def type_of(flag: Json) -> str:
    annotation = str(flag.get("type", ""))
    if flag.get("action") == "store_true":
        return "flag"
    if str(flag.get("action")).endswith("BooleanOptionalAction") or re.fullmatch(BOOLEAN, annotation):
        return "switch"
    return type_of_annotation(annotation)


def type_of_annotation(annotation: str) -> str:
    if ("Config" in annotation and "ConfigFormat" not in annotation) or re.search(r"\b[dD]ict\b", annotation):
        return "json"
    if annotation in ("json.loads", "HfOverrides", "LoggingConfig | None"):
        return "json"
    if re.search(r"\bfloat\b", annotation):
        return "float"
    if re.search(r"\bint\b|BlockSize|MaxLoRARanks", annotation) and "str" not in annotation:
        return "int"
    return "str"


def from_flag(name: str, flag: Json) -> Json:
    found: Json = {"type": "size" if name in SIZES else type_of(flag)}
    if flag.get("nargs") == "+" or "tuple[" in str(flag.get("type")):
        found["many"] = True
    if isinstance(flag.get("choices"), list):
        found["choices"] = flag["choices"]
    if flag.get("choices_open"):
        found["open"] = True
    if flag.get("aliases"):
        found["aliases"] = [name_of(alias) for alias in flag["aliases"]]
    if flag.get("deprecated"):
        found["deprecated"] = True
    if type(flag.get("default")) in (bool, int, float, str):
        found["default"] = flag["default"]
    return found


def release(document: Json) -> tuple[str, Json]:
    """One release in the form of an image's answer."""
    if "flags" not in document:
        return document["version"].split("+")[0], document
    arguments = {name_of(f): from_flag(name_of(f), a) for f, a in document["flags"].items() if f.startswith("--")}
    lists = {ours: document[theirs] for theirs, ours in LISTS.items()}
    return document["vllm_version"], {"arguments": arguments, "static": True, **lists}


def tidy(name: str, argument: Json) -> Json:
    """What rendering and checking use, in one spelling."""
    found = dict(argument)
    found.update(CORRECTED.get(name, {}))
    if name in CORRECTED:
        found = {k: v for k, v in found.items() if k not in ("many", "choices") or k in CORRECTED[name]}
    choices = set(found.pop("choices", [])) - NOTHING - NOT_ACCEPTED.get(name, set())
    if choices and name != "tool_call_parser":
        found["choices"] = sorted(choices, key=lambda choice: (isinstance(choice, str), choice))
    if found.get("open") and "choices" not in found:
        del found["open"]
    if found.get("default") is None or (found["default"] is False and found["type"] in ("switch", "flag")):
        found.pop("default", None)
    return {key: found[key] for key in ORDER if key in found}


def merged(static: Json, image: Json) -> Json:
    """The image's answer, with the suggested values from the sources that its parser does not tell."""
    arguments = {}
    for name, argument in image["arguments"].items():
        known = static["arguments"].get(name, {})
        # Defaults as in the sources, so that a span does not end where only the way of reading changed.
        arguments[name] = {key: value for key, value in argument.items() if key != "default"}
        if "default" in known or not known:
            arguments[name]["default"] = known.get("default", argument.get("default"))
        if known.get("open"):
            arguments[name].update(choices=known["choices"], open=True)
        if known.get("deprecated"):
            arguments[name]["deprecated"] = True
    return {**image, "arguments": arguments}


def boundaries(releases: dict[str, Json], versions: list[str], what: str) -> dict[str, list[str]]:
    """Name to [since, gone, since again ...]."""
    names = sorted({name for version in versions for name in releases[version][what]})
    found: dict[str, list[str]] = {name: [] for name in names}
    for version in versions:
        present = set(releases[version][what])
        for name in names:
            if (name in present) != bool(len(found[name]) % 2):
                found[name].append(version)
    return found


def arguments_over_time(releases: dict[str, Json], versions: list[str]) -> dict[str, list[Json]]:
    names = sorted({name for version in versions for name in releases[version]["arguments"]})
    found: dict[str, list[Json]] = {}
    for name in names:
        spans: list[Json] = []
        for version in versions:
            argument = releases[version]["arguments"].get(name)
            now = {"gone": True} if argument is None else tidy(name, argument)
            before = {k: v for k, v in spans[-1].items() if k != "since"} if spans else {"gone": True}
            if now != before:
                spans.append({"since": version, **now})
        found[name] = spans
    return found


def unfolded(history: Json) -> dict[str, Json]:
    """The releases that a history was made of."""
    found: dict[str, Json] = {}
    for version in history["versions"]:
        arguments = {}
        for name, spans in history["arguments"].items():
            past = [span for span in spans if key(span["since"]) <= key(version)]
            if past and not past[-1].get("gone"):
                arguments[name] = {k: v for k, v in past[-1].items() if k != "since"}
        lists = {
            what: [n for n, marks in history[what].items() if sum(key(m) <= key(version) for m in marks) % 2]
            for what in LISTS.values()
        }
        found[version] = {"arguments": arguments, **lists}
    return found


def folded(releases: dict[str, Json]) -> Json:
    versions = sorted(releases, key=key)
    history: Json = {"schema": 1, "versions": versions, "arguments": arguments_over_time(releases, versions)}
    for what in LISTS.values():
        history[what] = boundaries(releases, versions, what)
    return history


def written(history: Json) -> str:
    """One span per line, so that a new release reads as a short diff."""
    lines = [
        "{",
        f' "schema": {history["schema"]},',
        f' "versions": {json.dumps(history["versions"])},',
        ' "arguments": {',
    ]
    spans = [
        f"  {json.dumps(name)}: [\n" + ",\n".join("   " + json.dumps(span) for span in found) + "\n  ]"
        for name, found in history["arguments"].items()
    ]
    lines += [",\n".join(spans), " },"]
    blocks = []
    for what in LISTS.values():
        rows = ",\n".join(f"  {json.dumps(n)}: {json.dumps(marks)}" for n, marks in history[what].items())
        blocks.append(f" {json.dumps(what)}: {{\n{rows}\n }}")
    lines += [",\n".join(blocks), "}"]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="a history to which the files are added")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    releases = unfolded(json.loads(options.base.read_text())) if options.base else {}
    images: dict[str, Json] = {}
    for path in options.files:
        version, document = release(json.loads(path.read_text()))
        (releases if document.get("static") else images)[version] = document
    for version, document in images.items():
        releases[version] = merged(releases[version], document) if version in releases else document
    sys.stdout.write(written(folded(releases)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
