#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Architectures of models by vLLM release, from unpacked source archives: prints architectures.json.

    .venv/bin/python tools/architectures_history.py [--base architectures.json] VERSION=FOLDER... > architectures.json

FOLDER is the package `vllm` of that release. A name counts from the release after the last one that lacked it, so that
a release that was not read refuses nothing, and as gone only where it was missed. Models that only Transformers runs
are left out: they may run before vLLM lists them.

Without --base all releases are given. With it those that are new, and the last one of the base: a model that only
Transformers ran in that one stays left out.
"""

from __future__ import annotations

import argparse
import ast
import json
import pathlib
import sys

Marks = dict[str, list[str]]
REGISTRY = pathlib.Path("model_executor") / "models" / "registry.py"
# Lists that say nothing about what a release runs by itself.
OTHERS = frozenset({"_PREVIOUSLY_SUPPORTED_MODELS", "_OOT_SUPPORTED_MODELS", "_SPECULATIVE_DECODING_MODELS"})
TRANSFORMERS = frozenset({"_TRANSFORMERS_SUPPORTED_MODELS"})
HISTORY = pathlib.Path(__file__).resolve().parents[1] / "roles/vllm_server/files/engine_args/history.json"


def names_of(source: str) -> tuple[set[str], set[str]]:
    """Names that the release runs, and those among them that it has from Transformers."""
    found: set[str] = set()
    borrowed: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or not isinstance(node.value, ast.Dict):
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        name = target.id if isinstance(target, ast.Name) else ""
        if not (name.startswith("_") and name.endswith("_MODELS")) or name in OTHERS:
            continue
        keys = {key.value for key in node.value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
        found |= keys
        borrowed |= keys if name in TRANSFORMERS else set()
    return found, borrowed


def marks(
    name: str, releases: dict[str, set[str]], versions: list[str], base: Marks | None = None, before: str = ""
) -> list[str]:
    """`[since, gone, since again ...]`, going on from a base that ends with the release `before`."""
    found = list((base or {}).get(name, ()))
    for version, names in releases.items():
        present = name in names
        if present != bool(len(found) % 2):
            lenient = present and before not in ("", version)
            found.append(versions[versions.index(before) + 1] if lenient else version)
        before = version
    return found


def folders(stated: list[str], versions: list[str], newest: str) -> dict[str, pathlib.Path]:
    """The sources of each release, oldest first, where all of them can be told of."""
    found = {version: pathlib.Path(folder) for version, _equals, folder in (one.partition("=") for one in stated)}
    unknown = sorted(found.keys() - versions)
    older = [version for version in found if newest and version in versions[: versions.index(newest)]]
    empty = [f"{version}={path}" for version, path in found.items() if not (path / REGISTRY).is_file()]
    wrong = [f"{version} is not in {HISTORY.name}: fold its arguments in first" for version in unknown]
    wrong += [f"the base tells of {newest}, which is newer than {version}: make it anew from all" for version in older]
    wrong += [f"{given} has no {REGISTRY}" for given in empty]
    if newest and found and newest not in found:
        wrong.append(f"the base ends with {newest}: give {newest}=FOLDER too")
    if wrong:
        raise SystemExit("\n".join(wrong))
    return {version: found[version] for version in versions if version in found}


def newest_of(base: Marks, versions: list[str]) -> str:
    """The last release that a base tells of; it may have been read from a later one that changed nothing."""
    told = {mark for changes in base.values() for mark in changes}
    return max(told, key=versions.index, default="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=pathlib.Path, help="an architectures.json to which the releases are added")
    parser.add_argument("releases", nargs="+", metavar="VERSION=FOLDER")
    options = parser.parse_args()
    versions: list[str] = json.loads(HISTORY.read_text())["versions"]
    base: Marks = json.loads(options.base.read_text())["architectures"] if options.base else {}
    newest = newest_of(base, versions)
    releases: dict[str, set[str]] = {}
    native: set[str] = set(base)
    left_out: set[str] = set()
    for version, folder in folders(options.releases, versions, newest).items():
        names, borrowed = names_of((folder / REGISTRY).read_text())
        releases[version] = names
        left_out |= borrowed - native if base else set()
        native |= names - borrowed - left_out
    rows = [
        f"  {json.dumps(name)}: {json.dumps(marks(name, releases, versions, base, newest))}" for name in sorted(native)
    ]
    sys.stdout.write('{\n "schema": 1,\n "architectures": {\n' + ",\n".join(rows) + "\n }\n}\n")


if __name__ == "__main__":
    main()
