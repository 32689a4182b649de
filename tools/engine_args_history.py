#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Add a vLLM release to roles/vllm_server/files/engine_args/history.json: prints the new one.

    .venv/bin/python -m tools.engine_args_history --base history.json READING READING > new.json

A READING is VERSION=FOLDER, the package `vllm` of unpacked sources, which are read and not run; or a file that
read_engine_args.py printed inside an image. One is of the newest release that the history knows, the others of those
that come after it, all made in the same way: only what differs between them begins a new span.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

from packaging.version import InvalidVersion, Version

from . import engine_args_sources
from .python_sources import Json

LISTS = ("reasoning_parsers", "tool_parsers", "quantization_methods", "environment")
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


def changed(known: Json, before: Json, after: Json) -> Json:
    """What is known of a release, with what two readings, made in the same way, say has changed since.

    So nothing changes because one way of reading tells less than another: which choices are open, a default that is
    computed, the variables of the environment that are not vLLM's own.
    """
    arguments = {name: argument for name, argument in known["arguments"].items() if name in after["arguments"]}
    for name, argument in after["arguments"].items():
        now, then = tidy(name, argument), before["arguments"].get(name)
        if then is None or name not in arguments:
            arguments[name] = now
        else:
            arguments[name] = altered(arguments[name], tidy(name, then), now)
    lists = {
        what: sorted((set(known[what]) - set(before[what])) | (set(known[what]) & set(after[what])) | added)
        for what in LISTS
        for added in (set(after[what]) - set(before[what]),)
    }
    return {"arguments": arguments, **lists}


def altered(known: Json, before: Json, after: Json) -> Json:
    """One argument: of what is the same in both readings, all stays as it is known."""
    found = dict(known)
    for word in ORDER:
        if before.get(word) == after.get(word):
            continue
        if word == "choices" and word in known and word in before and word in after:
            found[word] = (set(known[word]) - set(before[word])) | set(after[word])
        elif word in after:
            found[word] = after[word]
        else:
            found.pop(word, None)
    return tidy("", {**found, "choices": list(found["choices"])} if "choices" in found else found)


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
            for what in LISTS
        }
        found[version] = {"arguments": arguments, **lists}
    return found


def folded(releases: dict[str, Json]) -> Json:
    versions = sorted(releases, key=key)
    history: Json = {"schema": 1, "versions": versions, "arguments": arguments_over_time(releases, versions)}
    for what in LISTS:
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
    for what in LISTS:
        rows = ",\n".join(f"  {json.dumps(n)}: {json.dumps(marks)}" for n, marks in history[what].items())
        blocks.append(f" {json.dumps(what)}: {{\n{rows}\n }}")
    lines += [",\n".join(blocks), "}"]
    return "\n".join(lines) + "\n"


def reading(stated: str) -> tuple[str, Json]:
    """VERSION=FOLDER of sources, or a file of an image's answer."""
    version, equals, folder = stated.partition("=")
    if equals:
        key(version)
        if not pathlib.Path(folder, "engine").is_dir():
            raise SystemExit(f"{folder} is no package vllm: give VERSION=FOLDER/vllm of unpacked sources")
        return version, engine_args_sources.read(pathlib.Path(folder), version)
    try:
        document = json.loads(pathlib.Path(stated).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{stated} is no answer of an image: {error}") from error
    if not isinstance(document, dict) or not {"version", "arguments", *LISTS} <= document.keys():
        raise SystemExit(f"{stated} is no answer of an image: let read_engine_args.py write it anew")
    return str(document["version"]).partition("+")[0], document


def extended(history: Json, readings: dict[str, Json]) -> Json:
    """The history with the releases after its newest, which is read once more, in the same way as they are."""
    newest: str = history["versions"][-1]
    older = [version for version in readings if version in history["versions"] and version != newest]
    between = [version for version in readings if key(version) < key(newest) and version not in older]
    wrong = [f"{version} is known" for version in older]
    wrong += [f"{version} is older than {newest}, with which the history ends: it is not added" for version in between]
    if newest not in readings:
        wrong.append(f"the history ends with {newest}: give a reading of {newest} too, made in the same way")
    if len(readings) < 2:
        wrong.append(f"give a reading of a release after {newest}")
    if wrong:
        raise SystemExit("\n".join(wrong))
    releases = unfolded(history)
    before = newest
    for version in sorted(readings.keys() - {newest}, key=key):
        releases[version] = changed(releases[before], readings[before], readings[version])
        before = version
    return folded(releases)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=pathlib.Path, required=True, help="the history to which releases are added")
    parser.add_argument("readings", nargs="+", metavar="READING")
    options = parser.parse_args()
    history = json.loads(options.base.read_text(encoding="utf-8"))
    sys.stdout.write(written(extended(history, dict(reading(one) for one in options.readings))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
