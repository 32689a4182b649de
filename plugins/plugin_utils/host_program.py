# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build gpufleet-host, the program that carries rollouts out on a host, from this collection's own modules.

One executable file for the host's /usr/bin/python3 (3.9 or newer, standard library only), the same bytes for the same
sources: the command line and what it imports, nothing else. NVIDIA's pynvml comes along from the control node, so that
hosts need no package index.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import ast
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pynvml_source import installed_source

ENTRY = ("_host", "cli")
SHEBANG = b"#!/usr/bin/python3\n"
MAIN = "import sys\n\nfrom gpufleet._host.cli import main\n\nsys.exit(main())\n"
Module = tuple[str, ...]
LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class HostProgram:
    """The program's bytes and their SHA-256."""

    content: bytes
    digest: str


def imported(module_utils: Path, module: Module) -> set[Module]:
    """The modules that a packed one imports, which it does by relative paths only."""
    found = set()
    for node in ast.walk(ast.parse(_path(module_utils, module).read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            package = (*module[: len(module) - node.level], *(node.module or "").split("."))
            place = tuple(part for part in package if part)
            found |= {place} | {(*place, alias.name) for alias in node.names}
    return {one for one in found if _path(module_utils, one).is_file()}


def packed(module_utils: Path) -> set[Module]:
    """The command line, and everything that it imports however far down."""
    found: set[Module] = set()
    due: set[Module] = {ENTRY}
    while due:
        module = due.pop()
        found.add(module)
        due |= imported(module_utils, module) - found
    return found


def sources(module_utils: Path) -> dict[str, str]:
    """Paths inside the archive and their text."""
    files = {"__main__.py": MAIN, "gpufleet/__init__.py": ""}
    for module in packed(module_utils):
        files["/".join(("gpufleet", *module[:-1], "__init__.py"))] = ""
        files[f"gpufleet/{'/'.join(module)}.py"] = _path(module_utils, module).read_text()
    pynvml = installed_source()
    return files if pynvml is None else {**files, "pynvml.py": pynvml.decode()}


def build(module_utils: Path) -> HostProgram:
    """Pack the program."""
    packed = io.BytesIO(SHEBANG)
    packed.seek(len(SHEBANG))
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(sources(module_utils).items()):
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), text, zipfile.ZIP_DEFLATED)
    content = packed.getvalue()
    return HostProgram(content, hashlib.sha256(content).hexdigest())


def _path(module_utils: Path, module: Module) -> Path:
    return module_utils.joinpath(*module).with_suffix(".py")
