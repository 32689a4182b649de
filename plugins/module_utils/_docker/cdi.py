# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices in the CDI specifications of a host, for engines that do not list them themselves (Docker before 28.2).

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re
import typing as t

from .._outside import documents

_KEY = re.compile(r"^(\w+):\s*(.*)$")
_NAME = re.compile(r"^( *)(- )?name:\s*(.+)$")


def devices(folders: t.Iterable[str], root: str = "/") -> list[str]:
    """Fully qualified names (`nvidia.com/gpu=0`) in the specifications of these folders."""
    names: set[str] = set()
    for folder in folders:
        path = os.path.join(root, folder.lstrip("/"))
        for file in _files(path):
            names.update(_devices_of(os.path.join(path, file)))
    return sorted(names)


def _files(folder: str) -> list[str]:
    try:
        return [name for name in sorted(os.listdir(folder)) if name.endswith((".json", ".yaml"))]
    except OSError:
        return []


def _devices_of(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return []
    try:
        specification = documents.parse(text)
    except ValueError:
        kind, names = _from_yaml(text)
    else:
        kind, names = _from_json(specification)
    return [f"{kind}={name}" for name in names] if kind else []


def _from_json(specification: t.Any) -> tuple[str, list[str]]:
    if not isinstance(specification, dict):
        return "", []
    listed = specification.get("devices")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return str(specification.get("kind", "")), [str(entry["name"]) for entry in entries if "name" in entry]


def _from_yaml(text: str) -> tuple[str, list[str]]:
    """Kind and device names from the plain YAML that nvidia-ctk writes: hosts have no YAML parser to rely on."""
    kind, section, indent = "", "", 0
    names = []
    for line in text.splitlines():
        key = _KEY.match(line)
        if key:
            section, value = key.groups()
            kind = _plain(value) if section == "kind" else kind
            indent = -1
        elif section == "devices":
            indent = _indent(line) if indent < 0 and line.lstrip().startswith("- ") else indent
            name = _NAME.match(line)
            if name and _depth(name) == indent + 2:  # deeper names belong to a device's edits
                names.append(_plain(name.group(3)))
    return kind, names


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _depth(name: t.Match[str]) -> int:
    return len(name.group(1)) + len(name.group(2) or "")


def _plain(value: str) -> str:
    return value.strip().strip("\"'")
