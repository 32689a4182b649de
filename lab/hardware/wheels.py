#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""wheels.py FROM TO   Unpacks wheels without what nothing imports: tests, documentation, sources, other languages."""

from __future__ import annotations

import pathlib
import re
import sys
import typing as t
import zipfile

# Folders of tests, where they are not part of what is imported.
_TESTS = re.compile(r"(^|/)(tests?|testing_data|docs|examples)/")
_NEEDED = re.compile(r"(lark|apache|tvm|compressed|xgrammar/testing)")
_LANGUAGES = re.compile(r"pycountry/locales/|mistral_common/data/|.*iso3166-2\.json$")
_SUFFIXES = (".pyi", ".h", ".hpp", ".a", ".lib", ".c", ".cc", ".cpp", ".pyx", ".cuh", ".md")
_DATA = re.compile(r"^[^/]+\.data/(purelib|platlib)/")


def wanted(name: str) -> str | None:
    """Where a file of a wheel goes; None where it is left out."""
    if name.endswith(("/", *_SUFFIXES)) or _LANGUAGES.match(name) or (_TESTS.search(name) and not _NEEDED.search(name)):
        return None
    place = _DATA.sub("", name)
    return None if ".data/" in place else place


def unpack(wheels: t.Iterable[pathlib.Path], into: pathlib.Path) -> None:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                place = wanted(name)
                if place is not None:
                    (into / place).parent.mkdir(parents=True, exist_ok=True)
                    (into / place).write_bytes(archive.read(name))


if __name__ == "__main__":
    unpack(sorted(pathlib.Path(sys.argv[1]).glob("*.whl")), pathlib.Path(sys.argv[2]))
