# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build gpufleet-host, the program that carries rollouts out on a host, from this collection's own modules.

One executable file for the host's /usr/bin/python3 (3.9 or newer, standard library only), the same bytes for the same
sources. NVIDIA's pynvml comes along from the control node, so that hosts need no package index.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pynvml_source import installed_source

ROOMS = ("_engine", "_gpu", "_model", "_outside", "_rollout")
SHEBANG = b"#!/usr/bin/python3\n"
MAIN = "import sys\n\nfrom gpufleet._rollout.cli import main\n\nsys.exit(main())\n"
LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class HostProgram:
    """The program's bytes and their SHA-256."""

    content: bytes
    digest: str


def sources(module_utils: Path) -> dict[str, str]:
    """Paths inside the archive and their text."""
    files = {"__main__.py": MAIN, "gpufleet/__init__.py": ""}
    for room in ROOMS:
        files[f"gpufleet/{room}/__init__.py"] = ""
        files.update({f"gpufleet/{room}/{path.name}": path.read_text() for path in (module_utils / room).glob("*.py")})
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
