#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Architectures of models by vLLM release, from unpacked source archives: prints architectures.json.

    tools/architectures_history.py 0.32.0=FOLDER 0.33.0=FOLDER ... > architectures.json

FOLDER is the package `vllm` of that release. All releases are given, oldest first: a name counts from the release after
the last one that lacked it, so that a release that was not read refuses nothing, and as gone only where it was missed.
Models that only Transformers runs are left out: they may run before vLLM lists them.
"""

from __future__ import annotations

import ast
import json
import pathlib
import sys

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


def marks(name: str, releases: dict[str, set[str]], versions: list[str]) -> list[str]:
    """`[since, gone, since again ...]`."""
    found: list[str] = []
    before = ""
    for version, names in releases.items():
        present = name in names
        if present != bool(len(found) % 2):
            lenient = present and before
            found.append(versions[versions.index(before) + 1] if lenient else version)
        before = version
    return found


def main() -> None:
    read = dict(argument.split("=", 1) for argument in sys.argv[1:])
    versions: list[str] = json.loads(HISTORY.read_text())["versions"]
    releases: dict[str, set[str]] = {}
    native: set[str] = set()
    for version, folder in read.items():
        names, borrowed = names_of((pathlib.Path(folder) / REGISTRY).read_text())
        releases[version] = names
        native |= names - borrowed
    rows = [f"  {json.dumps(name)}: {json.dumps(marks(name, releases, versions))}" for name in sorted(native)]
    sys.stdout.write('{\n "schema": 1,\n "architectures": {\n' + ",\n".join(rows) + "\n }\n}\n")


if __name__ == "__main__":
    main()
