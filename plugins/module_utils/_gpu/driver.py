# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of the NVIDIA driver without asking it: the loaded kernel module and the library on disk.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re

VERSION_FILE = "proc/driver/nvidia/version"
MODULE_FILE = "sys/module/nvidia/version"
LIBRARY = "libnvidia-ml.so.1"
LIBRARY_FOLDERS = ("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib")

_LOADED = re.compile(r"^NVRM version:.*?Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", re.MULTILINE)
_ON_DISK = re.compile(r"^libnvidia-ml\.so\.(\d+\.\d+(?:\.\d+)?)$")


def module_version(root: str = "/") -> str | None:
    """The version of the module that is loaded now; None where none is."""
    loaded = _LOADED.search(_read(os.path.join(root, VERSION_FILE)))
    return loaded.group(1) if loaded else _read(os.path.join(root, MODULE_FILE)).strip() or None


def open_modules(root: str = "/") -> bool | None:
    """Whether the module that is loaded is of the open kind; None where none is, or it does not say."""
    banner = _read(os.path.join(root, VERSION_FILE)).partition("\n")[0]
    return "Open Kernel Module" in banner if banner.startswith("NVRM version:") else None


def library_path(root: str = "/") -> str | None:
    """The file behind libnvidia-ml.so.1, as the host sees it; None where there is none, or its name has no version."""
    for folder in LIBRARY_FOLDERS:
        real = os.path.realpath(os.path.join(root, folder, LIBRARY))
        if _ON_DISK.match(os.path.basename(real)) and os.path.exists(real):
            return os.path.join("/", os.path.relpath(real, os.path.realpath(root)))
    return None


def library_version(root: str = "/") -> str | None:
    """The version in the name of that file."""
    named = _ON_DISK.match(os.path.basename(library_path(root) or ""))
    return named.group(1) if named else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
